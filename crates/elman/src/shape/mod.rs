//! The five pictures: how inputs, recurrent layers and outputs are wired, and the loss with its exact gradients.

mod decoder;
mod sequence_io;
mod sequence_output;
mod synced;

pub use decoder::{Decoder, DecoderConfig, DecoderPrepared, DecoderTape, Stepper, Targets};
pub use sequence_io::{SequenceIo, SequenceIoBatch, SequenceIoConfig, SequenceIoPrepared, SequenceIoTape, Sources};
pub use sequence_output::{
    SequenceOutput, SequenceOutputBatch, SequenceOutputConfig, SequenceOutputPrepared, SequenceOutputTape,
};
pub use synced::{Feed, Inputs, Synced, SyncedBatch, SyncedConfig, SyncedPrepared, SyncedTape};

use std::sync::Arc;

use elman_kernels::Scalar;

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
    /// Working memory of a block.
    type Tape: Default + Send;

    /// The names and places of the weights.
    fn layout(&self) -> &Arc<Layout>;

    /// Rearranges the weights for the kernels.
    fn prepare(&self, params: &Params<F>, prepared: &mut Self::Prepared);

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
        prepared: &Self::Prepared,
        batch: &Self::Batch,
        state: &mut Self::State,
        tape: &mut Self::Tape,
    ) -> f64;
}
