//! Loss and gradient of a whole batch: its blocks over threads, their gradients added in a fixed order.
//!
//! A block is a fixed part of the batch and runs the whole sequence by itself, so that threads never wait for each other
//! within a step; the blocks' gradients are added pairwise in a fixed tree. So the result has the same bits for any
//! number of threads.

use std::ops::Range;
use std::sync::Arc;

use elman_kernels::Scalar;
use rayon::prelude::*;

use super::Precision;
use crate::error::{Error, Result};
use crate::layer::Dropped;
use crate::param::{Grads, Params};
use crate::rng::Rng;
use crate::shape::Shape;

/// Sequences in a block: as many as keep the kernels' tiles full.
const BLOCK: usize = 16;
/// Blocks at most: each holds gradients of its own.
const MAX_BLOCKS: usize = 8;
/// Values of the flat buffer that one task of a thread takes.
const CHUNK: usize = 1 << 16;

/// The sequences of each block of a batch: depends on the batch alone, never on threads.
pub fn blocks(batch: usize) -> Vec<Range<usize>> {
    let count = batch.div_ceil(BLOCK).clamp(1, MAX_BLOCKS);
    (0..count).map(|i| i * batch / count..(i + 1) * batch / count).collect()
}

/// What one block needs.
struct Block<F, S: Shape<F>>
where
    F: Scalar,
{
    state: S::State,
    tape: S::Tape,
    grads: Grads<F>,
    loss_nats: f64,
}

/// Runs a shape over batches of blocks.
pub struct Engine<F: Scalar, S: Shape<F>> {
    prepared: S::Prepared,
    /// Where the shape drops weights: those of the batch at hand.
    dropped: Option<Dropped<F>>,
    blocks: Vec<Block<F, S>>,
    pool: Arc<rayon::ThreadPool>,
}

impl<F: Scalar, S: Shape<F>> Engine<F, S> {
    /// Threads and working memory for blocks that begin in these states.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(shape: &S, states: Vec<S::State>, threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|i| format!("elman-{i}"))
            .build()
            .map_err(|e| Error::Usage(format!("cannot start {threads} threads: {e}; try a lower --threads")))?;
        let block =
            |state| Block { state, tape: S::Tape::default(), grads: Params::zeros(shape.layout()), loss_nats: 0.0 };
        let blocks = states.into_iter().map(block).collect();
        let dropped = shape.weight_drop().map(|_| Dropped::new(&Params::zeros(shape.layout())));
        Ok(Engine { prepared: S::Prepared::default(), dropped, blocks, pool: Arc::new(pool) })
    }

    /// From now on, products round their operands so; sums and weights stay as they are.
    pub fn set_precision(&mut self, shape: &S, precision: Precision) {
        shape.set_operands(precision.operands(), &mut self.prepared);
    }

    /// The carried states, block after block.
    pub fn states(&self) -> impl Iterator<Item = &S::State> {
        self.blocks.iter().map(|block| &block.state)
    }

    /// The carried states, to change.
    pub fn states_mut(&mut self) -> impl Iterator<Item = &mut S::State> {
        self.blocks.iter_mut().map(|block| &mut block.state)
    }

    /// This engine's threads.
    pub fn pool(&self) -> Arc<rayon::ThreadPool> {
        self.pool.clone()
    }

    /// Runs `f` with this engine's threads.
    pub fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        self.pool.install(f)
    }

    /// The mean loss of the batch in nats per target and its gradient, in [`Self::grads`]. `batches`: one for each block.
    /// `dropout` is the seed and step that dropout is drawn for, of the blocks and of the weights.
    pub fn loss_and_grad(
        &mut self,
        shape: &S,
        params: &Params<F>,
        batches: &[S::Batch],
        dropout: Option<(u64, u64)>,
    ) -> f64 {
        let targets: usize = batches.iter().map(|batch| shape.targets(batch)).sum();
        let scale = F::from_f64(1.0 / targets.max(1) as f64);
        let (prepared, blocks, pool) = (&mut self.prepared, &mut self.blocks, &self.pool);
        let mut drop = shape.weight_drop().zip(self.dropped.as_mut()).filter(|_| dropout.is_some());
        pool.install(|| {
            let params = match (&mut drop, dropout) {
                (Some((drop, dropped)), Some((seed, step))) => {
                    drop.forward(params, &mut Rng::for_step(seed, "weight-drop", step, 0), dropped);
                    &dropped.params
                }
                _ => params,
            };
            shape.prepare(params, prepared);
            blocks.par_iter_mut().zip(batches).enumerate().for_each(|(i, (block, batch))| {
                block.grads.zero();
                let mut rng = dropout.map(|(seed, step)| Rng::for_step(seed, "dropout", step, i as u64));
                let (state, tape, grads) = (&mut block.state, &mut block.tape, &mut block.grads);
                block.loss_nats = shape.loss_and_grad(params, prepared, batch, scale, rng.as_mut(), state, tape, grads);
            });
            add_pairwise(&mut blocks[..batches.len()]);
            if let Some((drop, dropped)) = &drop {
                drop.backward(dropped, &mut blocks[0].grads);
            }
        });
        let total: f64 = self.blocks[..batches.len()].iter().map(|block| block.loss_nats).sum();
        total / targets.max(1) as f64
    }

    /// The gradient of the last batch.
    pub fn grads(&self) -> &Grads<F> {
        &self.blocks[0].grads
    }

    /// The gradient of the last batch, to clip or scale.
    pub fn grads_mut(&mut self) -> &mut Grads<F> {
        &mut self.blocks[0].grads
    }
}

/// Adds the gradients of all blocks into the first: (0 + 1) + (2 + 3) and so on.
fn add_pairwise<F: Scalar, S: Shape<F>>(blocks: &mut [Block<F, S>]) {
    let mut distance = 1;
    while distance < blocks.len() {
        let mut rest = &mut blocks[..];
        while rest.len() > distance {
            let (pair, after) = rest.split_at_mut(rest.len().min(2 * distance));
            let (to, from) = pair.split_at_mut(distance);
            let (to, from) = (&mut to[0].grads.values, &from[0].grads.values);
            to.par_chunks_mut(CHUNK)
                .zip(from.par_chunks(CHUNK))
                .for_each(|(to, from)| elman_kernels::rows::add(from, to));
            rest = after;
        }
        distance *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{CellKind, Steps};
    use crate::layer::{Loss, Pooling};
    use crate::param::Init;
    use crate::shape::{Feed, Inputs, SequenceInput, SequenceInputBatch, SequenceInputConfig};

    #[test]
    fn all_blocks_drop_the_same_weights_and_the_gradient_is_that_of_all_weights() {
        let network = SequenceInput::new(SequenceInputConfig {
            cell: CellKind::Gru,
            layers: 1,
            hidden: 4,
            bidirectional: true,
            feed: Feed::Dense(2),
            embedding: 0,
            embedding_dropout: 0.0,
            locked: false,
            pooling: Pooling::Mean,
            extra: 0,
            classes: 3,
            dropout: 0.0,
            weight_drop: 0.5,
            loss: Loss::default(),
        })
        .unwrap();
        let mut rng = Rng::new(1, "test");
        let mut block = |lengths: &[usize], targets: &[u32]| {
            let steps = Steps::ragged(lengths).unwrap();
            let inputs = Inputs::Dense((0..2 * steps.rows()).map(|_| rng.range(-1.0, 1.0)).collect());
            SequenceInputBatch { steps, inputs, extra: Vec::new(), targets: targets.to_vec() }
        };
        let batches = [block(&[5, 3], &[0, 2]), block(&[4, 4, 1], &[1, 2, 0])];
        let mut params: Params<f64> = network.init(Init::Uniform(0.8), &mut Rng::new(2, "weights"));
        let mut engine = Engine::new(&network, vec![(); 2], 2).unwrap();
        engine.loss_and_grad(&network, &params, &batches, Some((3, 7)));
        let exact = engine.grads().clone();
        let (mut dropped, mut recurrent) = (0, 0);
        for tensor in network.layout().tensors() {
            let is_recurrent = tensor.name.contains("weight_hh");
            for i in tensor.slot.range() {
                let (step, old) = (1e-5, params.values[i]);
                let mut at = |value: f64| {
                    params.values[i] = value;
                    engine.loss_and_grad(&network, &params, &batches, Some((3, 7)))
                };
                let numeric = (at(old + step) - at(old - step)) / (2.0 * step);
                params.values[i] = old;
                assert!((numeric - exact.values[i]).abs() < 1e-8, "{} {i}: {} {numeric}", tensor.name, exact.values[i]);
                recurrent += usize::from(is_recurrent);
                dropped += usize::from(is_recurrent && exact.values[i] == 0.0);
            }
        }
        // 96 of them, half of which are dropped, give or take three deviations.
        assert!(recurrent == 96 && (34..=62).contains(&dropped), "{dropped} of {recurrent}");
        let mut loss = |dropout| engine.loss_and_grad(&network, &params, &batches, dropout);
        assert!(loss(Some((3, 7))) != loss(Some((3, 8))), "another step drops others");
        assert_eq!(loss(None), loss(None));
    }
}
