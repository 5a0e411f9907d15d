//! The five network shapes: how inputs, recurrent layers and outputs are wired, and the loss with its exact gradients.

mod decoder;
mod embedding;
mod fixed;
mod sequence_input;
mod sequence_io;
mod sequence_output;
mod synced;

pub use decoder::{Decoder, DecoderConfig, DecoderPrepared, DecoderTape, Stepper, TargetSequences};
pub use elman_step::InputKind;
pub use fixed::{Fixed, FixedBatch, FixedConfig, FixedPrepared, FixedTape, Targets};
pub use sequence_input::{
    SequenceInput, SequenceInputBatch, SequenceInputConfig, SequenceInputPrepared, SequenceInputTape,
};
pub use sequence_io::{SequenceIo, SequenceIoBatch, SequenceIoConfig, SequenceIoPrepared, SequenceIoTape, Sources};
pub use sequence_output::{
    SequenceOutput, SequenceOutputBatch, SequenceOutputConfig, SequenceOutputPrepared, SequenceOutputTape,
};
pub use synced::{Inputs, Synced, SyncedBatch, SyncedConfig, SyncedPrepared, SyncedTape};

use std::fmt::Debug;
use std::sync::Arc;

use elman_kernels::{Operands, Scalar};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::layer::WeightDrop;
use crate::param::{Grads, Init, Layout, Params};
use crate::rng::Rng;

/// A network with a loss, as training sees it.
///
/// Everything here concerns one block of sequences on one thread.
pub trait Shape<F: Scalar>: Sync {
    /// One block of a batch.
    type Batch: Send + Sync;
    /// The state carried from one batch to the next (truncated backpropagation through time).
    type State: Clone + Send;
    /// The weights, packed for the kernels once per optimizer step.
    type Prepared: Default + Send + Sync;
    /// Working memory of a block, of one network.
    type Tape: Default + Send;

    /// The names and offsets of the weights.
    fn layout(&self) -> &Arc<Layout>;

    /// Precision of the operands of products in recurrent, dense and output layers, from the next [`Self::prepare`] on:
    /// mixed-precision training.
    fn set_operands(&self, operands: Operands, prepared: &mut Self::Prepared);

    /// Packs the weights for the kernels.
    fn prepare(&self, params: &Params<F>, prepared: &mut Self::Prepared);

    /// The weight drop of training, if configured; masks are drawn for each batch.
    fn weight_drop(&self) -> Option<&WeightDrop> {
        None
    }

    /// Number of targets of a block that count in the loss.
    fn targets(&self, batch: &Self::Batch) -> usize;

    /// The blog's `lossFun`: the loss in nats summed over the block's targets; `scale` times its gradient is added to
    /// `grads`; `state` becomes the final one. With a random stream, dropout is on.
    fn loss_and_grad(
        &self,
        params: &Params<F>,
        prepared: &Self::Prepared,
        batch: &Self::Batch,
        scale: F,
        dropout: Option<&mut Rng>,
        state: &mut Self::State,
        tape: &mut Self::Tape,
        grads: &mut Grads<F>,
    ) -> f64;

    /// The loss alone, in nats summed over the block's targets.
    fn loss(
        &self,
        params: &Params<F>,
        prepared: &Self::Prepared,
        batch: &Self::Batch,
        state: &mut Self::State,
        tape: &mut Self::Tape,
    ) -> f64;
}

/// A network with separate outputs for each example of a batch: what supervised tasks need of a shape.
pub trait Outputs: Shape<f32> + Debug + Send + Sync + Sized {
    /// Its configuration, as model files hold it.
    type Config: Serialize + DeserializeOwned;

    /// Builds the network.
    ///
    /// # Errors
    /// Invalid sizes.
    fn from_config(config: Self::Config) -> Result<Self>;

    /// Its configuration.
    fn sizes(&self) -> &Self::Config;

    /// Draws the weights before training.
    fn initial(&self, init: Init, rng: &mut Rng) -> Params<f32>;

    /// The zero state of `batch` sequences.
    fn initial_state(&self, batch: usize) -> Self::State;

    /// The outputs `[T, V]` of each example, in the order of the batch; `T` is 1 where there is one output per example.
    fn outputs(
        &self,
        params: &Params<f32>,
        prepared: &Self::Prepared,
        batch: &Self::Batch,
        tape: &mut Self::Tape,
    ) -> Vec<Vec<f32>>;
}

#[cfg(test)]
use crate::layer::MaskedWeights;

/// Compares every gradient (a subset for large tensors, evenly spread) with central differences, with and without
/// dropout: all dropout is drawn from the same stream.
#[cfg(test)]
pub(crate) fn check_gradient<S: Shape<f64>>(shape: &S, params: &Params<f64>, batch: &S::Batch, state: &S::State) {
    /// Scale of the gradients, as for a mean over targets.
    const SCALE: f64 = 0.25;
    for dropout in [false, true] {
        let loss = |params: &Params<f64>, grads: &mut Grads<f64>| {
            let (mut prepared, mut tape, mut state) = (S::Prepared::default(), S::Tape::default(), state.clone());
            let mut rng = Rng::new(3, "dropout");
            let mut masked = MaskedWeights::new(params);
            let drop = shape.weight_drop().filter(|_| dropout);
            if let Some(drop) = drop {
                drop.forward(params, &mut rng, &mut masked);
            }
            shape.prepare(&masked.params, &mut prepared);
            let rng = dropout.then_some(&mut rng);
            let (tape, state) = (&mut tape, &mut state);
            let loss_nats = shape.loss_and_grad(&masked.params, &prepared, batch, SCALE, rng, state, tape, grads);
            if let Some(drop) = drop {
                drop.backward(&masked, grads);
            }
            SCALE * loss_nats
        };
        let (mut grads, mut ignored) = (Params::zeros(shape.layout()), Params::zeros(shape.layout()));
        loss(params, &mut grads);
        let mut moved = params.clone();
        for tensor in shape.layout().tensors() {
            let range = tensor.slot.range();
            // An odd distance: of a matrix whose rows have an even length all columns are met.
            for i in range.clone().step_by((range.len() / 40) | 1) {
                let mut at = |value: f64| {
                    moved.values[i] = value;
                    loss(&moved, &mut ignored)
                };
                let (step, old) = (1e-5, params.values[i]);
                let numeric = (at(old + step) - at(old - step)) / (2.0 * step);
                moved.values[i] = old;
                let exact = grads.values[i];
                let near = (numeric - exact).abs() < 1e-7 * (1.0 + exact.abs());
                assert!(near, "{} {}: {exact}, by differences {numeric}", tensor.name, i - range.start);
            }
        }
    }
}
