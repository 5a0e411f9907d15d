//! Loss and gradient of a whole batch: its blocks in parallel, their gradients added in a fixed order.
//!
//! A block is a fixed part of the batch and runs the whole sequence independently, so that threads need no
//! synchronisation within a step; the blocks' gradients are added pairwise in a fixed tree. So the result is
//! bit-identical for any number of threads.

use std::ops::Range;
use std::sync::Arc;

use elman_kernels::Scalar;
use rayon::prelude::*;

use super::Precision;
use super::ranks::{Message, Ranks, Reduce, Sum};
use crate::error::{Error, Result};
use crate::layer::MaskedWeights;
use crate::param::{Grads, Params};
use crate::rng::Rng;
use crate::shape::Shape;

/// Maximum number of blocks: each holds its own gradients.
const MAX_BLOCKS: usize = 8;
/// Values of the flat buffer per task: those of two blocks fit into the L2 cache.
const CHUNK: usize = 1 << 16;
/// Values checked at once for zero gradients: most words of an embedding occur in no block.
const STRETCH: usize = 64;

/// The number of blocks that a batch is split into: it depends on the batch alone, never on threads. Even from 8 sequences on,
/// so that two cores have as much to do, of about 16 sequences, which fill the kernels' tiles.
pub fn blocks(batch: usize) -> usize {
    if batch < 8 { 1 } else { batch.div_ceil(16).next_multiple_of(2).min(MAX_BLOCKS) }
}

/// As [`blocks`], for a batch that so many ranks share: as many for each, and a power of two, so that the sum over all blocks
/// is the tree over the ranks' sums. `fixed`: the same for 1, 2, 4 and 8 ranks.
pub(crate) fn blocks_among(batch: usize, ranks: usize, fixed: bool) -> usize {
    let wanted = if fixed { MAX_BLOCKS } else { blocks(batch) };
    if ranks == 1 && !fixed {
        return wanted;
    }
    let mut each = wanted.div_ceil(ranks).next_power_of_two().min(MAX_BLOCKS);
    while each > 1 && each * ranks > batch {
        each /= 2;
    }
    (each * ranks).min(batch)
}

/// As [`blocks`], by the rules of version 0.1, whose runs go on by them: of `size` sequences.
pub(crate) fn blocks_of(batch: usize, size: usize) -> usize {
    batch.div_ceil(size).min(MAX_BLOCKS)
}

/// The sequences of each of `count` blocks of a batch.
pub fn ranges(batch: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).map(move |i| i * batch / count..(i + 1) * batch / count)
}

/// The buffers of a block.
struct Block<F, S: Shape<F>>
where
    F: Scalar,
{
    tape: S::Tape,
    /// Zero between batches, except the first block's, which hold the batch's gradient.
    grads: Grads<F>,
    loss_nats: f64,
}

impl<F: Scalar, S: Shape<F>> Block<F, S> {
    fn new(shape: &S) -> Self {
        Block { tape: S::Tape::default(), grads: Params::zeros(shape.layout()), loss_nats: 0.0 }
    }
}

/// Runs a shape over batches of blocks.
pub struct Engine<F: Scalar, S: Shape<F>> {
    prepared: S::Prepared,
    /// Where the shape drops weights: those of the current batch.
    dropped: Option<MaskedWeights<F>>,
    /// The carried state of every block of a batch.
    states: Vec<S::State>,
    /// The buffers of those that are computed here: all, where there are no other ranks.
    blocks: Vec<Block<F, S>>,
    pool: Pool,
    ranks: Ranks,
    reduce: Reduce,
    sum: Sum,
}

/// The threads that an engine runs on.
#[derive(Clone)]
pub struct Pool(Option<Arc<rayon::ThreadPool>>);

impl Pool {
    /// Runs `f` in it.
    pub fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        match &self.0 {
            Some(pool) => pool.install(f),
            None => f(),
        }
    }
}

impl<F: Scalar, S: Shape<F>> Engine<F, S> {
    /// Threads and buffers for blocks with these initial states.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(shape: &S, states: Vec<S::State>, threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|i| format!("elman-{i}"))
            .build()
            .map_err(|e| Error::setting("threads", threads, format!("cannot be started: {e}; try fewer")))?;
        Ok(Self::on(shape, states, Pool(Some(Arc::new(pool)))))
    }

    /// As [`Self::new`] on the thread pool that calls it, where threads cannot be started: in a page.
    pub fn here(shape: &S, states: Vec<S::State>) -> Self {
        Self::on(shape, states, Pool(None))
    }

    fn on(shape: &S, states: Vec<S::State>, pool: Pool) -> Self {
        let blocks = states.iter().map(|_| Block::new(shape)).collect();
        let dropped = shape.weight_drop().map(|_| MaskedWeights::new(&Params::zeros(shape.layout())));
        Engine {
            prepared: S::Prepared::default(),
            dropped,
            states,
            blocks,
            pool,
            ranks: Ranks::default(),
            reduce: Reduce::default(),
            sum: Sum::default(),
        }
    }

    /// Computes from now on only this rank's blocks of each batch.
    ///
    /// # Errors
    /// [`Error::Ranks`] if a batch has fewer blocks than there are ranks.
    pub(super) fn join(&mut self, ranks: Ranks, reduce: Reduce) -> Result<()> {
        let (count, size) = (self.states.len(), ranks.size());
        if count < size {
            return Err(Error::Ranks(format!(
                "a batch of this run falls into {count} parts, too few for {size} ranks: each takes one at least; use a \
                 larger `batch` or fewer ranks"
            )));
        }
        self.blocks.truncate(ranks.own(count).len());
        (self.ranks, self.reduce) = (ranks, reduce);
        Ok(())
    }

    /// The ranks that train together.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Sets the rounding of the products' operands; sums and weights stay `f32`.
    pub fn set_precision(&mut self, shape: &S, precision: Precision) {
        shape.set_operands(precision.operands(), &mut self.prepared);
    }

    /// The carried states, block after block.
    pub fn states(&self) -> impl Iterator<Item = &S::State> {
        self.states.iter()
    }

    /// The carried states, to change.
    pub fn states_mut(&mut self) -> impl Iterator<Item = &mut S::State> {
        self.states.iter_mut()
    }

    /// The thread pool.
    pub fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// Runs `f` in this engine's thread pool.
    pub fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        self.pool.install(f)
    }

    /// The mean loss of the batch in nats per target and its gradient, in [`Self::grads`]. `batches`: one per block.
    /// `dropout`: seed and step of the dropout masks of activations and weights.
    pub fn loss_and_grad(
        &mut self,
        shape: &S,
        params: &Params<F>,
        batches: &[S::Batch],
        dropout: Option<(u64, u64)>,
    ) -> f64 {
        let targets = self.backward(shape, params, batches, dropout);
        self.undrop(shape, dropout);
        self.blocks.iter().map(|block| block.loss_nats).sum::<f64>() / targets.max(1) as f64
    }

    /// Loss and gradient of this rank's blocks; returns the targets of all.
    fn backward(&mut self, shape: &S, params: &Params<F>, batches: &[S::Batch], dropout: Option<(u64, u64)>) -> usize {
        let targets: usize = batches.iter().map(|batch| shape.targets(batch)).sum();
        let scale = F::from_f64(1.0 / targets.max(1) as f64);
        let own = self.ranks.own(batches.len());
        let Engine { prepared, dropped, states, blocks, pool, .. } = self;
        let mut drop = shape.weight_drop().zip(dropped.as_mut()).filter(|_| dropout.is_some());
        pool.install(|| {
            let params = match (&mut drop, dropout) {
                (Some((drop, dropped)), Some((seed, step))) => {
                    drop.forward(params, &mut Rng::for_step(seed, "weight-drop", step, 0), dropped);
                    &dropped.params
                }
                _ => params,
            };
            shape.prepare(params, prepared);
            let parts = states[own.clone()].par_iter_mut().zip(&batches[own.clone()]);
            blocks.par_iter_mut().zip(parts).enumerate().for_each(|(i, (block, (state, batch)))| {
                if i == 0 {
                    block.grads.zero();
                }
                // The same masks, whichever rank computes the block.
                let number = (own.start + i) as u64;
                let mut rng = dropout.map(|(seed, step)| Rng::for_step(seed, "dropout", step, number));
                let Block { tape, grads, loss_nats } = block;
                *loss_nats = shape.loss_and_grad(params, prepared, batch, scale, rng.as_mut(), state, tape, grads);
            });
            blocks[own.len()..].iter_mut().for_each(|block| block.loss_nats = 0.0);
            let mut parts: [&mut [F]; MAX_BLOCKS] = Default::default();
            for (part, block) in parts.iter_mut().zip(&mut blocks[..own.len()]) {
                *part = &mut block.grads.values;
            }
            add_pairwise(parts, own.len());
        });
        targets
    }

    /// Takes the gradient of masked weights back to all weights.
    fn undrop(&mut self, shape: &S, dropout: Option<(u64, u64)>) {
        let Engine { dropped, blocks, pool, .. } = self;
        if let (Some(drop), Some(dropped), Some(_)) = (shape.weight_drop(), dropped, dropout) {
            pool.install(|| drop.backward(dropped, &mut blocks[0].grads));
        }
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

impl<S: Shape<f32>> Engine<f32, S> {
    /// As [`Self::loss_and_grad`], of a batch that all ranks share. Also tells them something, as long for each, and returns
    /// what all said.
    pub(super) fn loss_and_grad_of_all(
        &mut self,
        shape: &S,
        params: &Params<f32>,
        batches: &[S::Batch],
        dropout: Option<(u64, u64)>,
        note: &[u8],
    ) -> (f64, Vec<Vec<u8>>) {
        if self.ranks.is_alone() {
            return (self.loss_and_grad(shape, params, batches, dropout), Vec::new());
        }
        let targets = self.backward(shape, params, batches, dropout);
        let mut said = note.to_vec();
        let own = self.blocks.iter().map(|block| block.loss_nats);
        // As many from every rank: where there are no more blocks, zeros.
        let losses = own.chain(std::iter::repeat(0.0)).take(self.states.len().div_ceil(self.ranks.size()));
        losses.for_each(|loss| loss.write(&mut said));
        let Engine { blocks, ranks, reduce, sum, .. } = self;
        let mut notes = ranks.sum(&mut blocks[0].grads.values, *reduce, &said, sum);
        let mut total = 0.0;
        for said in &mut notes {
            let mut losses = &said[note.len()..];
            while let Some(loss) = f64::read(&mut losses) {
                total += loss;
            }
            said.truncate(note.len());
        }
        self.undrop(shape, dropout);
        (total / targets.max(1) as f64, notes)
    }
}

/// As [`add_pairwise`], of all parts, of which there are at most as many as a batch has blocks; with `is_parallel` on the
/// current thread pool, else on this thread alone. The sums are the same.
pub(super) fn add_in_tree(all: Vec<&mut [f32]>, is_parallel: bool) {
    let count = all.len();
    let mut rest: [&mut [f32]; MAX_BLOCKS] = Default::default();
    rest.iter_mut().zip(all).for_each(|(part, values)| *part = values);
    if is_parallel {
        return add_pairwise(rest, count);
    }
    while !rest[0].is_empty() {
        let len = rest[0].len().min(CHUNK);
        let mut stretch: [&mut [f32]; MAX_BLOCKS] = Default::default();
        for (stretch, rest) in stretch.iter_mut().zip(&mut rest).take(count) {
            (*stretch, *rest) = std::mem::take(rest).split_at_mut(len);
        }
        add_pairwise(stretch, count);
    }
}

/// Adds the gradients of the first `count` blocks into the first, (0 + 1) + (2 + 3) and so on, and zeroes the
/// others. Each stretch is read once.
fn add_pairwise<F: Scalar>(mut parts: [&mut [F]; MAX_BLOCKS], count: usize) {
    let len = parts[0].len();
    if len > CHUNK {
        let middle = (len / 2).next_multiple_of(CHUNK);
        let (mut left, mut right): ([&mut [F]; MAX_BLOCKS], [&mut [F]; MAX_BLOCKS]) = Default::default();
        for (i, part) in parts.into_iter().enumerate().take(count) {
            (left[i], right[i]) = part.split_at_mut(middle);
        }
        rayon::join(|| add_pairwise(left, count), || add_pairwise(right, count));
        return;
    }
    let mut distance = 1;
    while distance < count {
        for first in (0..count - distance).step_by(2 * distance) {
            let (to, from) = parts.split_at_mut(first + distance);
            for (to, from) in to[first].chunks_mut(STRETCH).zip(from[0].chunks_mut(STRETCH)) {
                if from.iter().fold(false, |any, &x| any | (x != F::ZERO)) {
                    to.iter_mut().zip(&*from).for_each(|(to, &from)| *to += from);
                    from.fill(F::ZERO);
                }
            }
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
    use crate::shape::{InputKind, Inputs, SequenceInput, SequenceInputBatch, SequenceInputConfig, Targets};

    #[test]
    fn gradients_are_added_in_a_tree_and_the_others_are_zeroed() {
        let len = 3 * CHUNK + 100;
        for count in 1..=MAX_BLOCKS {
            let mut rng = Rng::new(count as u64, "test");
            let mut value = |i: usize| if (i / 300).is_multiple_of(3) { 0.0 } else { rng.range(-1.0, 1.0) as f32 };
            let mut blocks: Vec<Vec<f32>> = (0..count).map(|_| (0..len).map(&mut value).collect()).collect();
            // NaN must propagate.
            blocks[count - 1][7] = f32::NAN;
            let mut sums = blocks.clone();
            let mut distance = 1;
            while distance < count {
                for first in (0..count - distance).step_by(2 * distance) {
                    let from = sums[first + distance].clone();
                    sums[first].iter_mut().zip(from).for_each(|(to, from)| *to += from);
                }
                distance *= 2;
            }
            let mut parts: [&mut [f32]; MAX_BLOCKS] = Default::default();
            parts.iter_mut().zip(&mut blocks).for_each(|(part, block)| *part = block);
            add_pairwise(parts, count);
            assert!(blocks[0][7].is_nan() && sums[0][7].is_nan());
            (blocks[0][7], sums[0][7]) = (0.0, 0.0);
            assert!(blocks[0] == sums[0], "{count}");
            assert!(blocks[1..].iter().flatten().all(|&x| x == 0.0), "{count}");
        }
    }

    #[test]
    fn all_blocks_share_the_mask_and_the_gradient_is_of_all_weights() {
        let network = SequenceInput::new(SequenceInputConfig {
            cell: CellKind::Gru,
            layers: 1,
            hidden: 4,
            bidirectional: true,
            feed: InputKind::Dense(2),
            embedding: 0,
            embedding_dropout: 0.0,
            locked: false,
            locked_layers: false,
            pooling: Pooling::Mean,
            extra: 0,
            classes: 3,
            dropout: 0.0,
            weight_drop: 0.5,
            loss: Loss::default(),
            huber: None,
        })
        .unwrap();
        let mut rng = Rng::new(1, "test");
        let mut block = |lengths: &[usize], targets: &[u32]| {
            let steps = Steps::ragged(lengths).unwrap();
            let inputs = Inputs::Dense((0..2 * steps.rows()).map(|_| rng.range(-1.0, 1.0)).collect());
            SequenceInputBatch { steps, inputs, extra: Vec::new(), targets: Targets::Classes(targets.to_vec()) }
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
        // 96 of them, half of which are dropped, give or take three standard deviations.
        assert!(recurrent == 96 && (34..=62).contains(&dropped), "{dropped} of {recurrent}");
        let mut loss = |dropout| engine.loss_and_grad(&network, &params, &batches, dropout);
        assert!(loss(Some((3, 7))) != loss(Some((3, 8))), "another step drops others");
        assert_eq!(loss(None), loss(None));
    }
}
