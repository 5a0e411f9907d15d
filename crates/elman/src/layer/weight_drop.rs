//! Weight drop: in training each recurrent weight is zero with probability `p`, else scaled by `1 / (1 - p)` (DropConnect,
//! Wan et al. 2013; on `W_hh` of an LSTM: Merity, Keskar & Socher 2017, "Regularizing and Optimizing LSTM Language
//! Models", section 2). The same weights are dropped at all steps of all sequences of a batch, so that the state is not
//! disturbed from step to step.

use elman_kernels::Scalar;

use super::Dropout;
use crate::param::{Grads, Params, Slot};
use crate::rng::Rng;

/// Which weights are dropped, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightDrop {
    /// `p`.
    pub probability: f64,
    /// `W_hh` of each layer and direction.
    pub weights: Vec<Slot>,
}

/// The weights of one batch and what was dropped of them.
#[derive(Clone)]
pub struct Dropped<F> {
    /// All weights, the dropped ones zero.
    pub params: Params<F>,
    masks: Vec<Dropout<F>>,
}

impl<F: Scalar> Dropped<F> {
    /// Working memory for the weights of a network.
    pub fn new(params: &Params<F>) -> Self {
        Dropped { params: params.clone(), masks: Vec::new() }
    }
}

impl WeightDrop {
    /// Draws which weights are dropped of `params`; the rest is in `dropped.params`.
    pub fn forward<F: Scalar>(&self, params: &Params<F>, rng: &mut Rng, dropped: &mut Dropped<F>) {
        dropped.params.values.copy_from_slice(&params.values);
        dropped.masks.resize_with(self.weights.len(), Dropout::default);
        for (slot, mask) in self.weights.iter().zip(&mut dropped.masks) {
            mask.forward(self.probability, rng, slot.of_mut(&mut dropped.params));
        }
    }

    /// The gradient of the dropped weights becomes that of all.
    pub fn backward<F: Scalar>(&self, dropped: &Dropped<F>, grads: &mut Grads<F>) {
        for (slot, mask) in self.weights.iter().zip(&dropped.masks) {
            mask.backward(slot.of_mut(grads));
        }
    }
}
