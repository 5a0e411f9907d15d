//! Stochastic gradient descent, plain or with momentum (Polyak 1964).
//!
//! `v = momentum v + g`, `w -= lr v`.

use elman_kernels::Scalar;
use elman_kernels::optim::{self, Gradient, Momentum, Sgd};

use super::part::{Part, Step};

/// The velocity `v`, kept with momentum.
pub(super) const VELOCITY: &str = "sgd.velocity";

pub(super) fn update<F: Scalar>(step: &Step, gradient: Gradient<F>, part: Part<F>) {
    let lr = F::from_f64(step.lr);
    if step.config.momentum == 0.0 {
        optim::update(Sgd { gradient, lr }, part.grads, [part.weights]);
    } else {
        let momentum = F::from_f64(step.config.momentum);
        optim::update(Momentum { gradient, lr, momentum }, part.grads, [part.weights, part.first]);
    }
}
