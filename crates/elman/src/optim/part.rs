//! What an optimizer sees of one step: a range of the flat buffers.

use super::config::OptimizerConfig;

/// Values of the flat buffer per task: for `f32` its weights, gradients and two buffers fill half an L2 cache of 1 MiB.
pub(super) const CHUNK: usize = 1 << 15;

/// One step.
pub(super) struct Step<'a> {
    pub(super) config: &'a OptimizerConfig,
    /// From 1.
    pub(super) number: u64,
    pub(super) lr: f64,
    pub(super) grad_scale: f64,
}

/// A range of weights, gradients and buffers; a buffer the optimizer does not have is empty.
pub(super) struct Part<'a, F> {
    pub(super) weights: &'a mut [F],
    pub(super) grads: &'a [F],
    pub(super) first: &'a mut [F],
    pub(super) second: &'a mut [F],
}

impl<'a, F> Part<'a, F> {
    /// The part before `at` and the part from it on.
    pub(super) fn split_at(self, at: usize) -> (Part<'a, F>, Part<'a, F>) {
        let (weights, weights_after) = self.weights.split_at_mut(at);
        let (grads, grads_after) = self.grads.split_at(at);
        let (first, first_after) = self.first.split_at_mut(at.min(self.first.len()));
        let (second, second_after) = self.second.split_at_mut(at.min(self.second.len()));
        let after = Part { weights: weights_after, grads: grads_after, first: first_after, second: second_after };
        (Part { weights, grads, first, second }, after)
    }
}
