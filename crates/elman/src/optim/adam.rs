//! Adam (Kingma & Ba 2015), and AdamW with decoupled weight decay (Loshchilov & Hutter 2019).
//!
//! In step `s`: `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
//! `w -= lr (m / (1 - b1^s)) / (sqrt(v / (1 - b2^s)) + eps)`.
//!
//! Adam adds the decay to the gradient, `g += decay w`; AdamW shrinks the weight first, `w -= lr decay w`.

use elman_kernels::Scalar;
use elman_kernels::optim::{self, Adam, Gradient};

use super::part::{Part, Step};

/// The first moment `m`.
pub(super) const FIRST: &str = "adam.m";
/// The second moment `v`.
pub(super) const SECOND: &str = "adam.v";

/// `decay` is decoupled: that of `gradient` is Adam's.
pub(super) fn update<F: Scalar>(step: &Step, gradient: Gradient<F>, decay: f64, part: Part<F>) {
    let config = step.config;
    let (correction1, correction2) = (1.0 - power(config.beta1, step.number), 1.0 - power(config.beta2, step.number));
    let rule = Adam {
        gradient,
        rate: F::from_f64(step.lr / correction1),
        root_scale: F::from_f64(1.0 / correction2.sqrt()),
        shrink: F::from_f64(1.0 - step.lr * decay),
        beta1: F::from_f64(config.beta1),
        one_minus_beta1: F::from_f64(1.0 - config.beta1),
        beta2: F::from_f64(config.beta2),
        one_minus_beta2: F::from_f64(1.0 - config.beta2),
        eps: F::from_f64(config.eps),
    };
    optim::update(rule, part.grads, [part.weights, part.first, part.second]);
}

/// `beta^steps`; beyond `i32` the power of a number below 1 is 0.
fn power(beta: f64, steps: u64) -> f64 {
    beta.powi(i32::try_from(steps).unwrap_or(i32::MAX))
}
