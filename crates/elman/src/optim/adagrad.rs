//! Adagrad (Duchi, Hazan & Singer 2011), min-char-rnn's choice.
//!
//! `m += g^2`, `w -= lr g / (sqrt(m) + eps)`; min-char-rnn divides by `sqrt(m + eps)`.

use elman_kernels::Scalar;
use elman_kernels::optim::{self, Adagrad, Gradient};

use super::part::{Part, Step};

/// The sum of squares `m`.
pub(super) const SUM: &str = "adagrad.sum";

pub(super) fn update<F: Scalar>(step: &Step, gradient: Gradient<F>, part: Part<F>) {
    let config = step.config;
    let (eps, eps_in_root) = if config.eps_in_root { (0.0, config.eps) } else { (config.eps, 0.0) };
    let (eps, eps_in_root) = (F::from_f64(eps), F::from_f64(eps_in_root));
    let rule = Adagrad { gradient, lr: F::from_f64(step.lr), eps, eps_in_root };
    optim::update(rule, part.grads, [part.weights, part.first]);
}
