//! The five pictures: how inputs, recurrent layers and outputs are wired, and the loss with its exact gradients.

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

use std::sync::Arc;

use elman_kernels::{Operands, Scalar};

use crate::layer::WeightDrop;
use crate::param::{Grads, Layout, Params};
use crate::rng::Rng;

/// A network with a loss: all that training sees of one.
///
/// Everything here concerns one block of sequences on one thread.
pub trait Shape<F: Scalar>: Sync {
    /// One block of a batch.
    type Batch: Send + Sync;
    /// What is carried from one batch to the next (truncated backpropagation through time).
    type State: Clone + Send;
    /// The weights as the kernels want them, made once per optimizer step.
    type Prepared: Default + Send + Sync;
    /// Working memory of a block, of one network.
    type Tape: Default + Send;

    /// The names and places of the weights.
    fn layout(&self) -> &Arc<Layout>;

    /// What is prepared from now on has the operands of its products (those of recurrent, dense and output layers) rounded
    /// to this: mixed-precision training.
    fn set_operands(&self, operands: Operands, prepared: &mut Self::Prepared);

    /// Rearranges the weights for the kernels.
    fn prepare(&self, params: &Params<F>, prepared: &mut Self::Prepared);

    /// The weights that training drops at random, anew for each batch; none unless the network was laid out so.
    fn weight_drop(&self) -> Option<&WeightDrop> {
        None
    }

    /// The targets of a block that count in the loss.
    fn targets(&self, batch: &Self::Batch) -> usize;

    /// The blog's `lossFun`: the loss in nats summed over the block's targets; `scale` times its gradient is added to
    /// `grads`; `state` becomes the one after the block. With a random stream, dropout is on.
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

/// A network that answers about each example of a batch by itself: what the classification tasks ask of a shape.
pub trait Answers: Shape<f32> {
    /// The outputs `[T, V]` of each example, in the order of the batch; `T` is 1 where there is one answer an example.
    fn answers(
        &self,
        params: &Params<f32>,
        prepared: &Self::Prepared,
        batch: &Self::Batch,
        tape: &mut Self::Tape,
    ) -> Vec<Vec<f32>>;
}

#[cfg(test)]
use crate::layer::Dropped;

/// Compares every gradient (of large tensors some, evenly spread) with central differences, with and without dropout: all
/// dropout is drawn from the same stream.
#[cfg(test)]
pub(crate) fn check_gradient<S: Shape<f64>>(shape: &S, params: &Params<f64>, batch: &S::Batch, state: &S::State) {
    /// What the gradients are multiplied by, as a mean over targets would be.
    const SCALE: f64 = 0.25;
    for dropout in [false, true] {
        let loss = |params: &Params<f64>, grads: &mut Grads<f64>| {
            let (mut prepared, mut tape, mut state) = (S::Prepared::default(), S::Tape::default(), state.clone());
            let mut rng = Rng::new(3, "dropout");
            let mut dropped = Dropped::new(params);
            let drop = shape.weight_drop().filter(|_| dropout);
            if let Some(drop) = drop {
                drop.forward(params, &mut rng, &mut dropped);
            }
            shape.prepare(&dropped.params, &mut prepared);
            let rng = dropout.then_some(&mut rng);
            let (tape, state) = (&mut tape, &mut state);
            let loss_nats = shape.loss_and_grad(&dropped.params, &prepared, batch, SCALE, rng, state, tape, grads);
            if let Some(drop) = drop {
                drop.backward(&dropped, grads);
            }
            SCALE * loss_nats
        };
        let (mut grads, mut ignored) = (Params::zeros(shape.layout()), Params::zeros(shape.layout()));
        loss(params, &mut grads);
        let mut moved = params.clone();
        for tensor in shape.layout().tensors() {
            let range = tensor.slot.range();
            for i in range.clone().step_by((range.len() / 128).max(1)) {
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
