//! Recurrent layers as a part of another program's network: a batch forward, and backward from the gradient of its outputs.
//!
//! The sequences of a batch lie in the rows of one matrix ([`Rows`]). Where a sequence is reset it is cut: what follows is a
//! sequence of its own that begins at the zero state, so that pieces of all lengths run packed, side by side. They are split
//! into blocks as those of a training step are, each block runs on one thread, and the gradients are added in a fixed tree:
//! the result has the same bits on any number of threads.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::engine::{add_in_tree, blocks, ranges};
use crate::cell::{Input, Steps};
use crate::error::{Error, Result};
use crate::layer::{Stack, StackConfig, StackPrepared, StackState, StackTape};
use crate::param::{Grads, Layout, Params};
use crate::rng::Rng;

/// Buffers kept for the next pass: of a network that is called a few times before its backward pass.
const KEPT: usize = 4;

/// Where the steps of a batch's sequences lie among the rows of a matrix `[N, ..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows<'a> {
    /// `[T, B]`: step `t` of sequence `b` is row `t B + b`.
    TimeFirst {
        /// `T`.
        steps: usize,
        /// `B`.
        batch: usize,
    },
    /// `[B, T]`: step `t` of sequence `b` is row `b T + t`.
    BatchFirst {
        /// `T`.
        steps: usize,
        /// `B`.
        batch: usize,
    },
    /// Step after step, the sequences that still run, longest first: as many as these at each step (PyTorch's packed
    /// sequences).
    Packed(&'a [usize]),
}

impl Rows<'_> {
    /// `N`.
    fn count(self) -> usize {
        match self {
            Rows::TimeFirst { steps, batch } | Rows::BatchFirst { steps, batch } => steps.saturating_mul(batch),
            Rows::Packed(sizes) => sizes.iter().sum(),
        }
    }

    /// `B`.
    fn batch(self) -> usize {
        match self {
            Rows::TimeFirst { batch, .. } | Rows::BatchFirst { batch, .. } => batch,
            Rows::Packed(sizes) => sizes.first().copied().unwrap_or(0),
        }
    }

    /// The rows of a sequence, step by step.
    fn of(self, sequence: usize) -> Box<dyn Iterator<Item = usize>> {
        match self {
            Rows::TimeFirst { steps, batch } => Box::new((0..steps).map(move |t| t * batch + sequence)),
            Rows::BatchFirst { steps, .. } => Box::new(sequence * steps..(sequence + 1) * steps),
            Rows::Packed(sizes) => {
                let running = sizes.iter().take_while(|&&size| size > sequence);
                let starts = running.scan(0, |start, &size| Some(mem::replace(start, *start + size)));
                Box::new(starts.map(|start| start + sequence).collect::<Vec<_>>().into_iter())
            }
        }
    }

    fn check(self) -> Result<()> {
        match self {
            Rows::Packed(sizes) if !sizes.is_sorted_by(|a, b| a >= b) || sizes.last() == Some(&0) => {
                Err(Error::Usage("the batch sizes of packed sequences must fall and stay above 0".into()))
            }
            _ => Ok(()),
        }
    }
}

/// A sequence, or a part of one from a reset on.
#[derive(Clone, Debug, Default)]
struct Piece {
    sequence: usize,
    rows: Vec<usize>,
    /// Whether it begins at the given state, not at zero.
    is_first: bool,
    /// Whether the state after it is that of the batch.
    is_last: bool,
}

/// The sequences of a batch, cut at their resets.
fn pieces(rows: Rows, reset: Option<&[bool]>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for sequence in 0..rows.batch() {
        let mut piece = Piece { sequence, is_first: true, ..Piece::default() };
        for row in rows.of(sequence) {
            if reset.is_some_and(|reset| reset[row]) {
                // Nothing stands before a reset at the first step.
                if !piece.rows.is_empty() {
                    pieces.push(mem::take(&mut piece));
                }
                (piece.sequence, piece.is_first) = (sequence, false);
            }
            piece.rows.push(row);
        }
        piece.is_last = true;
        pieces.push(piece);
    }
    pieces
}

/// The pieces of each block, in order of decreasing length: equal ones as they come, others dealt out so that every block
/// has as much to do.
fn divided(mut pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let count = blocks(pieces.len());
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.rows.len()));
    let are_equal = pieces.first().map(|piece| piece.rows.len()) == pieces.last().map(|piece| piece.rows.len());
    let place: Vec<usize> = match are_equal {
        true => ranges(pieces.len(), count).enumerate().flat_map(|(i, range)| range.map(move |_| i)).collect(),
        false => (0..pieces.len()).map(|i| i % count).collect(),
    };
    let mut blocks = vec![Vec::new(); count];
    pieces.into_iter().zip(place).for_each(|(piece, i)| blocks[i].push(piece));
    blocks
}

/// Weights, and the same packed for the kernels.
#[derive(Clone)]
struct Weights {
    params: Params<f32>,
    prepared: StackPrepared<f32>,
}

/// What a block needs for its backward pass.
#[derive(Default)]
struct Block {
    pieces: Vec<Piece>,
    steps: Option<Steps>,
    /// The row of the batch for each of the block's `n` rows.
    rows: Vec<usize>,
    /// Whether the block's rows are those of the batch, one by one.
    is_whole: bool,
    /// `[n, I]`, unless it is whole.
    x: Vec<f32>,
    dy: Vec<f32>,
    dx: Vec<f32>,
    state: StackState<f32>,
    tape: StackTape<f32>,
    grads: Option<Grads<f32>>,
}

impl Block {
    /// Takes these pieces on.
    fn begin(&mut self, pieces: Vec<Piece>) -> Result<()> {
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.rows.len()).collect();
        let steps = Steps::ragged(&lengths)?;
        self.rows.clear();
        for t in 0..steps.len() {
            self.rows.extend(pieces[..steps.active(t)].iter().map(|piece| piece.rows[t]));
        }
        self.is_whole = self.rows.iter().enumerate().all(|(i, row)| i == *row);
        self.steps = Some(steps);
        self.pieces = pieces;
        Ok(())
    }
}

/// A forward pass, kept for its backward pass.
pub struct Pass {
    blocks: Vec<Block>,
    weights: Arc<Weights>,
    /// Where its buffers go afterwards.
    kept: Arc<Mutex<Vec<Vec<Block>>>>,
    batch: usize,
    rows: usize,
    is_done: bool,
}

impl Pass {
    /// Whether [`Layers::backward`] has used it up.
    pub fn is_done(&self) -> bool {
        self.is_done
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut kept = locked(&self.kept);
        if kept.len() < KEPT {
            kept.push(mem::take(&mut self.blocks));
        }
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").field("rows", &self.rows).field("batch", &self.batch).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a forward pass reads. `L` layers, `D` directions, `N` rows, `B` sequences, `I` inputs, `H` hidden units.
#[derive(Clone, Copy, Debug)]
pub struct LayersInput<'a> {
    /// Where the sequences lie.
    pub rows: Rows<'a>,
    /// `[N, I]`.
    pub x: &'a [f32],
    /// `[N]`: whether a sequence begins anew before this row, from the zero state.
    pub reset: Option<&'a [bool]>,
    /// `[L D, B, H]`; zeros if none.
    pub h0: Option<&'a [f32]>,
    /// `[L D, B, H]` of an LSTM; zeros if none.
    pub c0: Option<&'a [f32]>,
    /// With a seed, dropout is on.
    pub dropout_seed: Option<u64>,
}

/// What a forward pass writes.
#[derive(Debug)]
pub struct LayersOutput<'a> {
    /// `[N, D H]`.
    pub y: &'a mut [f32],
    /// The state after the last step of each sequence `[L D, B, H]`.
    pub h: &'a mut [f32],
    /// As `h`, of an LSTM; else empty.
    pub c: &'a mut [f32],
}

/// Gradients of a loss by the outputs; none is zero.
#[derive(Clone, Copy, Debug)]
pub struct OutputGradients<'a> {
    /// dL/dy `[N, D H]`.
    pub y: Option<&'a [f32]>,
    /// dL/d(final `h`) `[L D, B, H]`.
    pub h: Option<&'a [f32]>,
    /// dL/d(final `c`) `[L D, B, H]`.
    pub c: Option<&'a [f32]>,
}

/// Gradients of a loss by what a pass read, all overwritten.
#[derive(Debug)]
pub struct InputGradients<'a> {
    /// Of the weights, in the order of [`Layers::layout`].
    pub weights: &'a mut [f32],
    /// dL/dx `[N, I]`, where it is wanted.
    pub x: Option<&'a mut [f32]>,
    /// dL/d(initial `h`) `[L D, B, H]`.
    pub h0: &'a mut [f32],
    /// dL/d(initial `c`) `[L D, B, H]` of an LSTM; else empty.
    pub c0: &'a mut [f32],
}

/// Recurrent layers with dense input whose weights are given from outside.
///
/// ```
/// use elman::cell::{CellKind, Source};
/// use elman::layer::StackConfig;
/// use elman::train::{InputGradients, Layers, LayersInput, LayersOutput, OutputGradients, Rows};
///
/// let source = Source::Dense(2);
/// let config =
///     StackConfig { cell: CellKind::Gru, source, hidden: 3, layers: 1, bidirectional: false, dropout: 0.0, locked: false };
/// let mut layers = Layers::new(config)?;
/// let tensors: Vec<Vec<f32>> = layers.layout().tensors().iter().map(|tensor| vec![0.1; tensor.slot.range().len()]).collect();
/// layers.set_weights(&tensors.iter().map(|tensor| Some(&tensor[..])).collect::<Vec<_>>())?;
///
/// // Four steps of one sequence.
/// let (x, mut y, mut h) = ([0.5; 8], [0.0; 12], [0.0; 3]);
/// let rows = Rows::TimeFirst { steps: 4, batch: 1 };
/// let input = LayersInput { rows, x: &x, reset: None, h0: None, c0: None, dropout_seed: None };
/// let mut pass = layers.forward(&input, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, None)?;
/// assert_eq!(y[9..], h);
/// let mut weights = vec![0.0; layers.layout().len()];
/// let of = OutputGradients { y: Some(&[1.0; 12]), h: None, c: None };
/// let by = InputGradients { weights: &mut weights, x: None, h0: &mut h, c0: &mut [] };
/// layers.backward(&mut pass, &x, of, by, None)?;
/// assert!(weights.iter().any(|dw| *dw != 0.0));
/// # Ok::<(), elman::Error>(())
/// ```
pub struct Layers {
    stack: Stack,
    layout: Arc<Layout>,
    weights: Option<Arc<Weights>>,
    kept: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layers").field("config", self.stack.config()).finish_non_exhaustive()
    }
}

impl Layers {
    /// Layers of this configuration.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid size or dropout probability.
    pub fn new(config: StackConfig) -> Result<Self> {
        let mut layout = Layout::new();
        let stack = Stack::add(&mut layout, "", config)?;
        Ok(Layers { stack, layout: Arc::new(layout), weights: None, kept: Arc::default() })
    }

    /// The weights' names and dimensions, those of `torch.nn.LSTM` and in its order.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Takes these weights, in the order of [`Self::layout`]; none is zeros. They are packed for the kernels only if one
    /// has changed.
    ///
    /// # Errors
    /// [`Error::Usage`] if one has another size.
    pub fn set_weights(&mut self, tensors: &[Option<&[f32]>]) -> Result<()> {
        let infos = self.layout.tensors();
        let fits = |tensor: &Option<&[f32]>, len: usize| tensor.is_none_or(|tensor| tensor.len() == len);
        if tensors.len() != infos.len() {
            return Err(Error::Usage(format!("{} weights are given, but {} are needed", tensors.len(), infos.len())));
        }
        for (tensor, info) in tensors.iter().zip(infos) {
            if !fits(tensor, info.slot.range().len()) {
                let got = tensor.map_or(0, <[f32]>::len);
                return Err(Error::Usage(format!("{} has {got} values, not {:?}", info.name, info.dims)));
            }
        }
        if let Some(weights) = &self.weights {
            let same = |(tensor, info): (&Option<&[f32]>, &crate::param::TensorInfo)| match tensor {
                Some(tensor) => same_bits(tensor, info.slot.of(&weights.params)),
                None => true,
            };
            if tensors.iter().zip(infos).all(same) {
                return Ok(());
            }
        }
        // Those that a pass still needs are left to it.
        let old = self.weights.take().and_then(|weights| Arc::try_unwrap(weights).ok());
        let mut weights =
            old.unwrap_or_else(|| Weights { params: Params::zeros(&self.layout), prepared: StackPrepared::default() });
        for (tensor, info) in tensors.iter().zip(infos) {
            if let Some(tensor) = tensor {
                info.slot.of_mut(&mut weights.params).copy_from_slice(tensor);
            }
        }
        self.stack.prepare(&weights.params, &mut weights.prepared);
        self.weights = Some(Arc::new(weights));
        Ok(())
    }

    /// Runs a batch, block by block on the threads of `pool`, or one after another on this one.
    ///
    /// # Errors
    /// [`Error::Usage`] if a slice has not the stated dimensions, or there are no weights yet.
    pub fn forward(&self, input: &LayersInput, output: LayersOutput, pool: Option<&rayon::ThreadPool>) -> Result<Pass> {
        let LayersInput { rows, x, reset, h0, c0, dropout_seed } = *input;
        rows.check()?;
        let config = self.stack.config();
        let (inputs, width, batch, count) =
            (config.source.width(), self.stack.output_width(), rows.batch(), rows.count());
        let states = self.stack.recurrent_weights().count() * batch * config.hidden;
        let cells = if config.cell.has_c() { states } else { 0 };
        let sizes = [
            ("x", x.len(), count * inputs),
            ("y", output.y.len(), count * width),
            ("h", output.h.len(), states),
            ("c", output.c.len(), cells),
            ("h0", h0.map_or(states, <[f32]>::len), states),
            ("c0", c0.map_or(cells, <[f32]>::len), cells),
            ("reset", reset.map_or(count, <[bool]>::len), count),
        ];
        check_sizes(&sizes)?;
        if reset.is_some() && config.bidirectional {
            return Err(Error::Usage("a network of two directions cannot be reset within a sequence".into()));
        }
        let weights = self.weights.clone().ok_or_else(|| Error::Usage("the layers have no weights yet".into()))?;
        let parts = divided(pieces(rows, reset));
        let mut blocks = locked(&self.kept).pop().unwrap_or_default();
        blocks.resize_with(parts.len(), Block::default);
        for (block, pieces) in blocks.iter_mut().zip(parts) {
            block.begin(pieces)?;
        }
        let run = |(i, block): (usize, &mut Block)| {
            let Block { pieces, steps: Some(steps), rows, is_whole, x: gathered, state, tape, .. } = block else {
                return;
            };
            self.stack.zero_state_into(pieces.len(), state);
            for (cell, of) in state.cells.iter_mut().enumerate() {
                for (given, to) in [(h0, &mut of.h), (c0, &mut of.c)] {
                    let Some(given) = given.filter(|_| !to.is_empty()) else { continue };
                    for (piece, to) in pieces.iter().zip(to.chunks_exact_mut(config.hidden)).filter(|(p, _)| p.is_first)
                    {
                        to.copy_from_slice(&given[(cell * batch + piece.sequence) * config.hidden..][..config.hidden]);
                    }
                }
            }
            let x = if *is_whole { &x[..rows.len() * inputs] } else { gather(x, inputs, rows, gathered) };
            let mut rng = dropout_seed.map(|seed| Rng::for_step(seed, "dropout", 0, i as u64));
            self.stack.forward(&weights.prepared, Input::Dense(x), steps, state, tape, rng.as_mut());
        };
        each(&mut blocks, pool, run);
        let LayersOutput { y, h, c } = output;
        for block in &blocks {
            scatter(block.tape.output(), width, block, y);
            for (cell, of) in block.state.cells.iter().enumerate() {
                for (from, to) in [(&of.h, &mut *h), (&of.c, &mut *c)] {
                    let pieces = block.pieces.iter().zip(from.chunks_exact(config.hidden));
                    for (piece, from) in pieces.filter(|(piece, _)| piece.is_last) {
                        to[(cell * batch + piece.sequence) * config.hidden..][..config.hidden].copy_from_slice(from);
                    }
                }
            }
        }
        Ok(Pass { blocks, weights, kept: self.kept.clone(), batch, rows: count, is_done: false })
    }

    /// Backpropagation through time of a pass, which it uses up; `x` is what the pass read.
    ///
    /// # Errors
    /// [`Error::Usage`] if a slice has not the stated dimensions, or the pass is used up.
    pub fn backward(
        &self,
        pass: &mut Pass,
        x: &[f32],
        of: OutputGradients,
        by: InputGradients,
        pool: Option<&rayon::ThreadPool>,
    ) -> Result<()> {
        let config = self.stack.config();
        let (inputs, width, batch, count) = (config.source.width(), self.stack.output_width(), pass.batch, pass.rows);
        let states = self.stack.recurrent_weights().count() * batch * config.hidden;
        let cells = if config.cell.has_c() { states } else { 0 };
        let sizes = [
            ("x", x.len(), count * inputs),
            ("dy", of.y.map_or(count * width, <[f32]>::len), count * width),
            ("dh", of.h.map_or(states, <[f32]>::len), states),
            ("dc", of.c.map_or(cells, <[f32]>::len), cells),
            ("dw", by.weights.len(), self.layout.len()),
            ("dx", by.x.as_ref().map_or(count * inputs, |dx| dx.len()), count * inputs),
            ("dh0", by.h0.len(), states),
            ("dc0", by.c0.len(), cells),
        ];
        check_sizes(&sizes)?;
        if mem::replace(&mut pass.is_done, true) {
            return Err(Error::Usage("this pass was used up by a backward pass before".into()));
        }
        let InputGradients { weights: dw, x: mut dx_all, h0, c0 } = by;
        let wants_dx = dx_all.is_some();
        let weights = &pass.weights;
        let run = |(_, block): (usize, &mut Block)| {
            let Block { pieces, steps: Some(steps), rows, is_whole, x: gathered, dy, dx, state, tape, grads } = block
            else {
                return;
            };
            let n = rows.len();
            let x = if *is_whole { &x[..n * inputs] } else { &gathered[..] };
            let dy = match of.y {
                Some(all) if *is_whole => &all[..n * width],
                Some(all) => gather(all, width, rows, dy),
                None => {
                    dy.clear();
                    dy.resize(n * width, 0.0);
                    &dy[..]
                }
            };
            // From here on it holds dL/d(state).
            self.stack.zero_state_into(pieces.len(), state);
            for (cell, to) in state.cells.iter_mut().enumerate() {
                for (given, to) in [(of.h, &mut to.h), (of.c, &mut to.c)] {
                    let Some(given) = given.filter(|_| !to.is_empty()) else { continue };
                    for (piece, to) in pieces.iter().zip(to.chunks_exact_mut(config.hidden)).filter(|(p, _)| p.is_last)
                    {
                        to.copy_from_slice(&given[(cell * batch + piece.sequence) * config.hidden..][..config.hidden]);
                    }
                }
            }
            let grads = grads.get_or_insert_with(|| Params::zeros(&self.layout));
            grads.zero();
            let dx = wants_dx.then(|| {
                dx.clear();
                dx.resize(n * inputs, 0.0);
                &mut dx[..]
            });
            let Weights { params, prepared } = &**weights;
            self.stack.backward(params, prepared, Input::Dense(x), steps, tape, dy, state, grads, dx);
        };
        each(&mut pass.blocks, pool, run);
        let parts: Vec<&mut [f32]> = pass
            .blocks
            .iter_mut()
            .filter_map(|block| block.grads.as_mut())
            .map(|grads| &mut grads.values[..])
            .collect();
        match pool {
            Some(pool) if parts.len() > 1 => pool.install(|| add_in_tree(parts, true)),
            // Without a pool of its own it would be rayon's, of all cores, which a forked process has not.
            _ => add_in_tree(parts, false),
        }
        match pass.blocks.first().and_then(|block| block.grads.as_ref()) {
            Some(grads) => dw.copy_from_slice(&grads.values),
            None => dw.fill(0.0),
        }
        // A sequence that is reset at its first step has no use for its initial state.
        h0.fill(0.0);
        c0.fill(0.0);
        for block in &pass.blocks {
            if let Some(dx) = dx_all.as_deref_mut() {
                scatter(&block.dx, inputs, block, dx);
            }
            for (cell, of) in block.state.cells.iter().enumerate() {
                for (from, to) in [(&of.h, &mut *h0), (&of.c, &mut *c0)] {
                    let pieces = block.pieces.iter().zip(from.chunks_exact(config.hidden));
                    for (piece, from) in pieces.filter(|(piece, _)| piece.is_first) {
                        to[(cell * batch + piece.sequence) * config.hidden..][..config.hidden].copy_from_slice(from);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Calls `f` for each block with its number.
fn each(blocks: &mut [Block], pool: Option<&rayon::ThreadPool>, f: impl Fn((usize, &mut Block)) + Sync) {
    match pool {
        Some(pool) if blocks.len() > 1 => pool.install(|| blocks.par_iter_mut().enumerate().for_each(&f)),
        _ => blocks.iter_mut().enumerate().for_each(f),
    }
}

fn check_sizes(sizes: &[(&str, usize, usize)]) -> Result<()> {
    match sizes.iter().find(|(_, got, want)| got != want) {
        Some((name, got, want)) => Err(Error::Usage(format!("{name} has {got} values, but {want} are needed"))),
        None => Ok(()),
    }
}

/// Whether two slices of one length hold the same bits; without a branch within a stretch, so that it is vectorised.
fn same_bits(a: &[f32], b: &[f32]) -> bool {
    const STRETCH: usize = 1024;
    let differ =
        |(a, b): (&[f32], &[f32])| a.iter().zip(b).fold(0, |any, (a, b)| any | (a.to_bits() ^ b.to_bits())) != 0;
    !a.chunks(STRETCH).zip(b.chunks(STRETCH)).any(differ)
}

fn gather<'a>(all: &[f32], width: usize, rows: &[usize], to: &'a mut Vec<f32>) -> &'a [f32] {
    to.clear();
    rows.iter().for_each(|row| to.extend_from_slice(&all[row * width..(row + 1) * width]));
    to
}

fn scatter(from: &[f32], width: usize, block: &Block, to: &mut [f32]) {
    if block.is_whole {
        return to[..from.len()].copy_from_slice(from);
    }
    for (row, from) in block.rows.iter().zip(from.chunks_exact(width)) {
        to[row * width..(row + 1) * width].copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{CellKind, Source};

    fn config(cell: CellKind) -> StackConfig {
        let source = Source::Dense(3);
        StackConfig { cell, source, hidden: 5, layers: 2, bidirectional: false, dropout: 0.0, locked: false }
    }

    fn weights(layers: &Layers, rng: &mut Rng) -> Vec<Vec<f32>> {
        let draw = |n: usize, rng: &mut Rng| (0..n).map(|_| rng.range(-0.5, 0.5) as f32).collect();
        layers.layout().tensors().iter().map(|tensor| draw(tensor.slot.range().len(), rng)).collect()
    }

    /// The loss `sum(y k) + sum(h k)` with fixed `k`, and its gradients by weights, `x` and `h0`.
    fn run(
        layers: &Layers,
        rows: Rows,
        x: &[f32],
        reset: Option<&[bool]>,
        h0: &[f32],
    ) -> (Vec<f32>, Vec<f32>, [Vec<f32>; 3]) {
        let count = rows.count();
        let cells = if layers.stack.config().cell.has_c() { h0.len() } else { 0 };
        let (mut y, mut h, mut c) = (vec![0.0; count * 5], vec![0.0; h0.len()], vec![0.0; cells]);
        let input = LayersInput { rows, x, reset, h0: Some(h0), c0: None, dropout_seed: None };
        let output = LayersOutput { y: &mut y, h: &mut h, c: &mut c };
        let mut pass = layers.forward(&input, output, None).unwrap();
        let dy: Vec<f32> = (0..y.len()).map(|i| ((i * 7) % 11) as f32 / 11.0 - 0.4).collect();
        let dh: Vec<f32> = (0..h.len()).map(|i| ((i * 5) % 7) as f32 / 7.0 - 0.3).collect();
        let mut found = [vec![0.0; layers.layout().len()], vec![0.0; x.len()], vec![0.0; h0.len()]];
        let [dw, dx, dh0] = &mut found;
        let mut dc0 = vec![0.0; cells];
        let of = OutputGradients { y: Some(&dy), h: Some(&dh), c: None };
        let by = InputGradients { weights: dw, x: Some(dx), h0: dh0, c0: &mut dc0 };
        layers.backward(&mut pass, x, of, by, None).unwrap();
        assert!(
            layers
                .backward(
                    &mut pass,
                    x,
                    of,
                    InputGradients { weights: &mut found[0].clone(), x: None, h0: &mut found[2].clone(), c0: &mut dc0 },
                    None
                )
                .is_err()
        );
        (y, h, found)
    }

    fn near(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-6, "{worst}");
    }

    #[test]
    fn both_orders_of_the_axes_and_packed_rows_are_one_computation() {
        for cell in CellKind::ALL {
            let mut layers = Layers::new(config(cell)).unwrap();
            let rng = &mut Rng::new(3, "test");
            let tensors = weights(&layers, rng);
            layers.set_weights(&tensors.iter().map(|t| Some(&t[..])).collect::<Vec<_>>()).unwrap();
            let (steps, batch) = (4, 9);
            let x: Vec<f32> = (0..steps * batch * 3).map(|_| rng.range(-1.0, 1.0) as f32).collect();
            let h0: Vec<f32> = (0..2 * batch * 5).map(|_| rng.range(-1.0, 1.0) as f32).collect();
            let (y, h, [dw, ..]) = run(&layers, Rows::TimeFirst { steps, batch }, &x, None, &h0);
            let sizes = [batch; 4];
            let packed = run(&layers, Rows::Packed(&sizes), &x, None, &h0);
            assert!(packed.0 == y && packed.1 == h && packed.2[0] == dw, "{cell:?}");
            // Two of them alone, in the other order of axes.
            let two: Vec<f32> = [2, 7]
                .iter()
                .flat_map(|b| (0..steps).map(move |t| t * batch + b))
                .flat_map(|r| x[r * 3..r * 3 + 3].to_vec())
                .collect();
            let h0: Vec<f32> = [2, 7, 11, 16].iter().flat_map(|r| h0[r * 5..r * 5 + 5].to_vec()).collect();
            let (y2, ..) = run(&layers, Rows::BatchFirst { steps, batch: 2 }, &two, None, &h0);
            let want: Vec<f32> = [2, 7]
                .iter()
                .flat_map(|b| (0..steps).map(move |t| t * batch + b))
                .flat_map(|r| y[r * 5..r * 5 + 5].to_vec())
                .collect();
            near(&y2, &want);
        }
    }

    #[test]
    fn a_reset_is_a_call_of_its_own_from_the_zero_state() {
        for cell in [CellKind::Lstm, CellKind::Gru, CellKind::RnnTanh] {
            let mut layers = Layers::new(config(cell)).unwrap();
            let rng = &mut Rng::new(5, "test");
            let tensors = weights(&layers, rng);
            layers.set_weights(&tensors.iter().map(|t| Some(&t[..])).collect::<Vec<_>>()).unwrap();
            let x: Vec<f32> = (0..6 * 3).map(|_| rng.range(-1.0, 1.0) as f32).collect();
            let h0: Vec<f32> = (0..10).map(|_| rng.range(-1.0, 1.0) as f32).collect();
            let reset = [false, false, true, false, false, true];
            let rows = |steps| Rows::TimeFirst { steps, batch: 1 };
            let (y, h, _) = run(&layers, rows(6), &x, Some(&reset), &h0);
            let (first, ..) = run(&layers, rows(2), &x[..6], None, &h0);
            let (second, ..) = run(&layers, rows(3), &x[6..15], None, &[0.0; 10]);
            let (third, last, _) = run(&layers, rows(1), &x[15..], None, &[0.0; 10]);
            near(&y, &[first, second, third].concat());
            near(&h, &last);
            // At its first step: the given state counts for nothing.
            let reset = [true, false, false, false, false, false];
            let (y, _, [_, _, dh0]) = run(&layers, rows(6), &x, Some(&reset), &h0);
            near(&y, &run(&layers, rows(6), &x, None, &[0.0; 10]).0);
            assert_eq!(dh0, [0.0; 10]);
        }
    }

    #[test]
    fn threads_change_no_bit_and_wrong_sizes_are_refused() {
        let mut layers = Layers::new(config(CellKind::Gru)).unwrap();
        let rng = &mut Rng::new(7, "test");
        let tensors = weights(&layers, rng);
        let (mut y, mut h) = (vec![0.0; 5 * 40 * 5], vec![0.0; 2 * 40 * 5]);
        let x: Vec<f32> = (0..5 * 40 * 3).map(|_| rng.range(-1.0, 1.0) as f32).collect();
        let rows = Rows::TimeFirst { steps: 5, batch: 40 };
        let input = LayersInput { rows, x: &x, reset: None, h0: None, c0: None, dropout_seed: None };
        assert!(layers.forward(&input, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, None).is_err(), "no weights");
        layers.set_weights(&tensors.iter().map(|t| Some(&t[..])).collect::<Vec<_>>()).unwrap();
        assert!(layers.set_weights(&[None]).is_err());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let mut found = Vec::new();
        for pool in [None, Some(&pool)] {
            let mut pass = layers.forward(&input, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, pool).unwrap();
            let (mut dw, mut dh0) = (vec![0.0; layers.layout().len()], vec![0.0; 400]);
            let of = OutputGradients { y: Some(&y), h: None, c: None };
            let by = InputGradients { weights: &mut dw, x: None, h0: &mut dh0, c0: &mut [] };
            layers.backward(&mut pass, &x, of, by, pool).unwrap();
            found.push((y.clone(), dw, dh0));
        }
        assert!(found[0] == found[1]);
        let short = LayersInput { x: &x[1..], ..input };
        assert!(layers.forward(&short, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, None).is_err());
        let unsorted = LayersInput { rows: Rows::Packed(&[1, 2]), ..input };
        assert!(layers.forward(&unsorted, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, None).is_err());
    }
}
