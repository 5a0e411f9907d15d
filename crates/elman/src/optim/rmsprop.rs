//! RMSprop (Tieleman & Hinton 2012), char-rnn's choice, plain or with momentum.
//!
//! `m = alpha m + (1 - alpha) g^2`, `w -= lr g / (sqrt(m) + eps)`;
//! with momentum `v = momentum v + g / (sqrt(m) + eps)`, `w -= lr v`.

use elman_kernels::Scalar;
use elman_kernels::optim::{self, Gradient, Rmsprop, RmspropMomentum};

use super::part::{Part, Step};

/// The mean square `m`.
pub(super) const MEAN: &str = "rmsprop.mean";
/// The velocity `v`, kept with momentum.
pub(super) const VELOCITY: &str = "rmsprop.velocity";

pub(super) fn update<F: Scalar>(step: &Step, gradient: Gradient<F>, part: Part<F>) {
    let config = step.config;
    let rmsprop = Rmsprop {
        gradient,
        lr: F::from_f64(step.lr),
        alpha: F::from_f64(config.alpha),
        one_minus_alpha: F::from_f64(1.0 - config.alpha),
        eps: F::from_f64(config.eps),
    };
    if config.momentum == 0.0 {
        optim::update::<F, 2>(rmsprop, part.grads, [part.weights, part.first]);
    } else {
        let momentum = F::from_f64(config.momentum);
        let rule = RmspropMomentum { rmsprop, momentum };
        optim::update(rule, part.grads, [part.weights, part.first, part.second]);
    }
}
