//! Adagrad (Duchi, Hazan & Singer 2011), min-char-rnn's choice.
//!
//! `m += g^2`, `w -= lr g / (sqrt(m) + eps)`.
//!
//! min-char-rnn has `sqrt(m + eps)`: that is this rule with a negligible `eps` and sums that begin at its `eps`, which
//! [`Optimizer::restore`](super::Optimizer::restore) can give them.

use elman_kernels::Scalar;
use elman_kernels::optim::{self, Adagrad, Gradient};

use super::{Part, Step};

/// The sum of squares `m`.
pub(super) const SUM: &str = "adagrad.sum";

pub(super) fn update<F: Scalar>(step: &Step, gradient: Gradient<F>, part: Part<F>) {
    let rule = Adagrad { gradient, lr: F::from_f64(step.lr), eps: F::from_f64(step.config.eps) };
    optim::update(rule, part.grads, [part.weights, part.first]);
}
