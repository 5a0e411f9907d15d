//! Weight drop: in training each recurrent weight is zero with probability `p`, else scaled by `1 / (1 - p)`
//! (DropConnect, Wan et al. 2013; on `W_hh` of an LSTM: Merity, Keskar & Socher 2017, "Regularizing and Optimizing LSTM
//! Language Models", section 2). The same weights are dropped at all steps of all sequences of a batch, so that the
//! recurrence itself is not perturbed between steps.

use elman_kernels::Scalar;

use super::Dropout;
use crate::param::{Grads, Params, Slot};
use crate::rng::Rng;

/// Which weights are dropped, with what probability.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightDrop {
    /// `p`.
    pub probability: f64,
    /// `W_hh` of each layer and direction.
    pub weights: Vec<Slot>,
}

/// The weights of one batch after weight drop, and the masks.
#[derive(Clone)]
pub struct MaskedWeights<F> {
    /// All weights, dropped ones zero.
    pub params: Params<F>,
    masks: Vec<Dropout<F>>,
}

impl<F: Scalar> MaskedWeights<F> {
    /// Working memory for the weights of a network.
    pub fn new(params: &Params<F>) -> Self {
        MaskedWeights { params: params.clone(), masks: Vec::new() }
    }
}

impl WeightDrop {
    /// Draws the masks and writes the masked weights to `masked.params`.
    pub fn forward<F: Scalar>(&self, params: &Params<F>, rng: &mut Rng, masked: &mut MaskedWeights<F>) {
        masked.params.values.copy_from_slice(&params.values);
        masked.masks.resize_with(self.weights.len(), Dropout::default);
        for (slot, mask) in self.weights.iter().zip(&mut masked.masks) {
            mask.forward(self.probability, rng, slot.of_mut(&mut masked.params));
        }
    }

    /// Turns the gradient of the masked weights into that of all weights.
    pub fn backward<F: Scalar>(&self, masked: &MaskedWeights<F>, grads: &mut Grads<F>) {
        for (slot, mask) in self.weights.iter().zip(&masked.masks) {
            mask.backward(slot.of_mut(grads));
        }
    }
}
