//! Recurrent layers as a part of another program's network: a batch forward, and backward from the gradient of its outputs.
//!
//! The sequences of a batch lie in the rows of one matrix ([`Rows`]). Where a sequence is reset it is cut: what follows is a
//! sequence of its own that begins at the zero state, so that pieces of all lengths run packed, side by side. They are split
//! into blocks as those of a training step are, each block runs on one thread, and the gradients are added in a fixed tree:
//! the result has the same bits on any number of threads.

mod pass;
mod rows;

use std::mem;
use std::sync::{Arc, Mutex};

pub use pass::Pass;
pub use rows::Rows;

use self::pass::{Block, Kept, Packed, each, gather, locked};
use self::rows::{Piece, divided, pieces};
use super::engine::{add_in_tree, blocks};
use crate::cell::{Given, Input, Plain};
use crate::error::{Error, Result};
use crate::layer::{Stack, StackConfig, StackPrepared};
use crate::param::{Layout, Params, TensorInfo};
use crate::rng::Rng;

/// Rows up to which weights are read as they lie. To find out whether they have changed takes as long as to read them twice, to
/// pack them longer.
const FEW: usize = 64;

/// Multiply-adds that take longer than to wake another thread, some 100 us.
const WORTH_A_THREAD: usize = 1 << 23;

/// A layer's weights in the order of the layout; none is zeros.
type Tensor<'a> = Option<&'a [f32]>;

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
    /// Whether a backward pass may follow.
    pub is_kept: bool,
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
/// let layers = Layers::new(config)?;
/// let tensors: Vec<Vec<f32>> = layers.layout().tensors().iter().map(|tensor| vec![0.1; tensor.slot.range().len()]).collect();
/// let weights: Vec<_> = tensors.iter().map(|tensor| Some(&tensor[..])).collect();
///
/// // Four steps of one sequence.
/// let (x, mut y, mut h) = ([0.5; 8], [0.0; 12], [0.0; 3]);
/// let rows = Rows::TimeFirst { steps: 4, batch: 1 };
/// let input = LayersInput { rows, x: &x, reset: None, h0: None, c0: None, dropout_seed: None, is_kept: true };
/// let mut pass = layers.forward(&weights, &input, LayersOutput { y: &mut y, h: &mut h, c: &mut [] }, None)?;
/// assert_eq!(y[9..], h);
/// let of = OutputGradients { y: Some(&[1.0; 12]), h: None, c: None };
/// let by = InputGradients { x: None, h0: &mut h, c0: &mut [] };
/// let dw = layers.backward(&mut pass, &weights, &x, of, by, None)?;
/// assert!(dw.iter().any(|dw| *dw != 0.0));
/// # Ok::<(), elman::Error>(())
/// ```
pub struct Layers {
    stack: Stack,
    layout: Arc<Layout>,
    /// Those of the last pass of many rows.
    packed: Mutex<Option<Arc<Packed>>>,
    kept: Kept,
    /// What is read of weights beside those that are given: nothing, for dense input.
    nothing: Params<f32>,
    /// [`FEW`], except in tests.
    few: usize,
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
        let nothing = Params::zeros(&Arc::new(Layout::new()));
        let layout = Arc::new(layout);
        Ok(Layers { stack, layout, packed: Mutex::default(), kept: Kept::default(), nothing, few: FEW })
    }

    /// The weights' names and dimensions, those of `torch.nn.LSTM` and in its order.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn check_weights(&self, tensors: &[Tensor]) -> Result<()> {
        let infos = self.layout.tensors();
        if tensors.len() != infos.len() {
            return Err(Error::Usage(format!("{} weights are given, but {} are needed", tensors.len(), infos.len())));
        }
        for (tensor, info) in tensors.iter().zip(infos) {
            let fits = match tensor {
                Some(tensor) => tensor.len() == info.slot.range().len(),
                None => info.dims.len() == 1,
            };
            if !fits {
                let got = tensor.map_or(0, <[f32]>::len);
                return Err(Error::Usage(format!("{} has {got} values, not {:?}", info.name, info.dims)));
            }
        }
        Ok(())
    }

    /// These weights packed for the kernels; only if one has changed since the last time.
    fn pack(&self, tensors: &[Tensor], pool: Option<&rayon::ThreadPool>) -> Arc<Packed> {
        let infos = self.layout.tensors();
        let mut held = locked(&self.packed);
        if let Some(packed) = &*held {
            let is_same = |(tensor, info): (&Tensor, &TensorInfo)| {
                let own = info.slot.of(&packed.params);
                tensor.map_or_else(|| own.iter().all(|own| *own == 0.0), |tensor| same_bits(tensor, own))
            };
            if tensors.iter().zip(infos).all(is_same) {
                return packed.clone();
            }
        }
        // Those that a pass still needs are left to it.
        let old = held.take().and_then(|packed| Arc::try_unwrap(packed).ok());
        let new = || Packed { params: Params::zeros(&self.layout), prepared: StackPrepared::default() };
        let mut packed = old.unwrap_or_else(new);
        for (tensor, info) in tensors.iter().zip(infos) {
            let own = info.slot.of_mut(&mut packed.params);
            match tensor {
                Some(tensor) => own.copy_from_slice(tensor),
                None => own.fill(0.0),
            }
        }
        let Packed { params, prepared } = &mut packed;
        match pool {
            Some(pool) => pool.install(|| self.stack.prepare(params, prepared)),
            None => self.stack.prepare(params, prepared),
        }
        let packed = Arc::new(packed);
        *held = Some(packed.clone());
        packed
    }

    /// What a cell multiplies by.
    fn given<'a>(&self, packed: Option<&'a Packed>, tensors: &[Tensor<'a>], cell: usize) -> Given<'a, f32> {
        if let Some(packed) = packed {
            return Given::Packed(packed.prepared.cell(cell));
        }
        let own = tensors.len() / self.stack.recurrent_weights().count();
        let at = |i: usize| tensors[cell * own..][..own].get(i).copied().flatten();
        let matrix = |i| at(i).unwrap_or(&[]);
        Given::Plain(Plain { w_ih: matrix(0), w_hh: matrix(1), b_ih: at(2), b_hh: at(3), peephole: at(4) })
    }

    /// Runs a batch, block by block on the threads of `pool`, or one after another on this one. `weights` are in the order of
    /// [`Self::layout`]; a bias that is none is zeros. They may change from pass to pass.
    ///
    /// # Errors
    /// [`Error::Usage`] if a slice has not the stated dimensions.
    pub fn forward(
        &self,
        weights: &[Option<&[f32]>],
        input: &LayersInput,
        output: LayersOutput,
        pool: Option<&rayon::ThreadPool>,
    ) -> Result<Pass> {
        let LayersInput { rows, x, reset, h0, c0, dropout_seed, is_kept } = *input;
        rows.check()?;
        self.check_weights(weights)?;
        let config = self.stack.config();
        let (inputs, width, batch, count) =
            (config.source.width(), self.stack.output_width(), rows.batch(), rows.count());
        let (states, cells) = self.state_sizes(batch);
        let sizes = [
            ("x", x.len(), count.saturating_mul(inputs)),
            ("y", output.y.len(), count.saturating_mul(width)),
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
        let packed = (count > self.few).then(|| self.pack(weights, pool));
        let pieces = pieces(rows, reset);
        let parts = match (is_kept, dropout_seed, &packed) {
            // Each block would write gradients of all weights.
            (true, _, None) => 1,
            // A sequence does not depend on the others of its block: fewer blocks read the weights less often.
            (false, None, _) if count.saturating_mul(self.layout.len()) < WORTH_A_THREAD => 1,
            (false, None, _) => blocks(pieces.len()).min(pool.map_or(1, rayon::ThreadPool::current_num_threads)),
            _ => blocks(pieces.len()),
        };
        let parts = divided(pieces, parts);
        let mut blocks = self.kept.take();
        blocks.resize_with(parts.len(), Block::default);
        for (block, pieces) in blocks.iter_mut().zip(parts) {
            block.begin(pieces)?;
        }
        let run = |(i, block): (usize, &mut Block)| {
            self.stack.zero_state_into(block.pieces.len(), &mut block.state);
            block.take_states([h0, c0], batch, config.hidden, |piece| piece.is_first);
            let Block { steps: Some(steps), rows, is_whole, x: gathered, state, tape, .. } = block else { return };
            let x = if *is_whole { &x[..rows.len() * inputs] } else { gather(x, inputs, rows, gathered) };
            let mut rng = dropout_seed.map(|seed| Rng::for_step(seed, "dropout", 0, i as u64));
            let given = |cell| self.given(packed.as_deref(), weights, cell);
            self.stack.forward_given(given, Input::Dense(x), steps, state, tape, rng.as_mut());
        };
        each(&mut blocks, pool, run);
        let LayersOutput { y, h, c } = output;
        for block in &blocks {
            block.scatter(block.tape.output(), width, y);
            block.give_states([&mut *h, &mut *c], batch, config.hidden, |piece| piece.is_last);
        }
        Ok(Pass { blocks, packed, kept: self.kept.clone(), batch, rows: count, is_done: !is_kept })
    }

    /// Backpropagation through time of a pass, which it uses up; `weights` and `x` are what the pass read. Returns the gradients
    /// of the weights, one behind the other in the order of [`Self::layout`].
    ///
    /// # Errors
    /// [`Error::Usage`] if a slice has not the stated dimensions, or the pass is used up or was not kept.
    pub fn backward(
        &self,
        pass: &mut Pass,
        weights: &[Option<&[f32]>],
        x: &[f32],
        of: OutputGradients,
        by: InputGradients,
        pool: Option<&rayon::ThreadPool>,
    ) -> Result<Vec<f32>> {
        self.check_weights(weights)?;
        let config = self.stack.config();
        let (inputs, width, batch, count) = (config.source.width(), self.stack.output_width(), pass.batch, pass.rows);
        let (states, cells) = self.state_sizes(batch);
        let InputGradients { x: mut dx_all, h0, c0 } = by;
        let sizes = [
            ("x", x.len(), count * inputs),
            ("dy", of.y.map_or(count * width, <[f32]>::len), count * width),
            ("dh", of.h.map_or(states, <[f32]>::len), states),
            ("dc", of.c.map_or(cells, <[f32]>::len), cells),
            ("dx", dx_all.as_ref().map_or(count * inputs, |dx| dx.len()), count * inputs),
            ("dh0", h0.len(), states),
            ("dc0", c0.len(), cells),
        ];
        check_sizes(&sizes)?;
        if mem::replace(&mut pass.is_done, true) {
            return Err(Error::Usage("this pass was not kept, or used up by a backward pass before".into()));
        }
        // Kept for another pass only if this one ends.
        let mut blocks = mem::take(&mut pass.blocks);
        let packed = pass.packed.as_deref();
        let wants_dx = dx_all.is_some();
        let run = |(_, block): (usize, &mut Block)| {
            // From here on it holds dL/d(state).
            self.stack.zero_state_into(block.pieces.len(), &mut block.state);
            block.take_states([of.h, of.c], batch, config.hidden, |piece| piece.is_last);
            let Block { steps: Some(steps), rows, is_whole, x: gathered, dy, dx, state, tape, grads, .. } = block
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
            let grads = grads.get_or_insert_with(|| Params::zeros(&self.layout));
            let dx = wants_dx.then(|| {
                dx.clear();
                dx.resize(n * inputs, 0.0);
                &mut dx[..]
            });
            let params = packed.map_or(&self.nothing, |packed| &packed.params);
            let given = |cell| self.given(packed, weights, cell);
            self.stack.backward_given(params, given, Input::Dense(x), steps, tape, dy, state, grads, dx);
        };
        each(&mut blocks, pool, run);
        let parts: Vec<&mut [f32]> =
            blocks.iter_mut().filter_map(|block| block.grads.as_mut()).map(|grads| &mut grads.values[..]).collect();
        match pool {
            Some(pool) if parts.len() > 1 => pool.install(|| add_in_tree(parts, true)),
            // Without a pool of its own it would be rayon's, of all cores, which a forked process has not.
            _ => add_in_tree(parts, false),
        }
        let dw = blocks.first_mut().and_then(|block| block.grads.take());
        // A sequence that is reset at its first step has no use for its initial state.
        h0.fill(0.0);
        c0.fill(0.0);
        for block in &blocks {
            if let Some(dx) = dx_all.as_deref_mut() {
                block.scatter(&block.dx, inputs, dx);
            }
            block.give_states([&mut *h0, &mut *c0], batch, config.hidden, |piece: &Piece| piece.is_first);
        }
        pass.blocks = blocks;
        Ok(dw.map_or_else(|| vec![0.0; self.layout.len()], |dw| dw.values))
    }

    /// Values of `h` and of `c` for all cells.
    fn state_sizes(&self, batch: usize) -> (usize, usize) {
        let config = self.stack.config();
        let states = self.stack.recurrent_weights().count() * batch * config.hidden;
        (states, if config.cell.has_c() { states } else { 0 })
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

#[cfg(test)]
mod tests;
