//! Any number of recurrent layers, in one or two directions, with dropout between them: the training half of
//! `rnn2.step(rnn1.step(x))`.

use elman_kernels::{Operands, Scalar};

use super::Dropout;
use crate::cell::{AnyCell, Cell, CellKind, Given, Input, InputGrad, Order, Prepared, Source, State, Steps, Tape};
use crate::error::{Error, Result};
use crate::param::{Grads, Init, Layout, MAX_WEIGHTS, Params, Slot};
use crate::rng::Rng;

/// Configuration of a [`Stack`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StackConfig {
    /// The cell of every layer.
    pub cell: CellKind,
    /// Input of the first layer.
    pub source: Source,
    /// `H`, hidden units of each layer and direction.
    pub hidden: usize,
    /// `L`.
    pub layers: usize,
    /// Whether a second set of cells reads each sequence from its end.
    pub bidirectional: bool,
    /// Dropout probability between layers.
    pub dropout: f64,
    /// Whether all steps of a sequence share its mask there (Merity et al. 2017).
    pub locked: bool,
}

/// Recurrent layers, each fed by the one below.
#[derive(Clone, Debug)]
pub struct Stack {
    config: StackConfig,
    /// Layer after layer, forward before reverse: `directions` a layer.
    cells: Vec<AnyCell>,
}

/// The stack's weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct StackPrepared<F> {
    cells: Vec<Prepared<F>>,
    operands: Operands,
}

impl<F: Scalar> StackPrepared<F> {
    /// Precision of the operands of all products prepared from now on.
    pub fn set_operands(&mut self, operands: Operands) {
        self.operands = operands;
    }

    /// Those of a layer and direction.
    pub(crate) fn cell(&self, i: usize) -> &Prepared<F> {
        &self.cells[i]
    }
}

/// The state of each layer and direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackState<F> {
    /// One per layer and direction; direction runs faster.
    pub cells: Vec<State<F>>,
}

impl<F: Scalar> StackState<F> {
    /// Sets all states to zero.
    pub fn zero(&mut self) {
        self.cells.iter_mut().for_each(State::zero);
    }

    /// Sets the state of one of `batch` sequences to zero.
    pub fn zero_sequence(&mut self, sequence: usize, batch: usize) {
        for part in self.cells.iter_mut().flat_map(|cell| [&mut cell.h, &mut cell.c]) {
            let width = part.len() / batch;
            part[sequence * width..(sequence + 1) * width].fill(F::ZERO);
        }
    }

    /// Copies `other`, reusing the memory.
    pub fn copy_from(&mut self, other: &Self) {
        self.cells.resize_with(other.cells.len(), State::default);
        for (state, other) in self.cells.iter_mut().zip(&other.cells) {
            state.h.clone_from(&other.h);
            state.c.clone_from(&other.c);
        }
    }

    /// Resizes to zeros of the dimensions of `other`, reusing the memory.
    pub fn zero_like(&mut self, other: &Self) {
        self.cells.resize_with(other.cells.len(), State::default);
        for (state, other) in self.cells.iter_mut().zip(&other.cells) {
            state.h.resize(other.h.len(), F::ZERO);
            state.c.resize(other.c.len(), F::ZERO);
            state.zero();
        }
    }
}

/// What the backward pass needs from the forward pass, for one block.
#[derive(Clone, Default)]
pub struct StackTape<F> {
    cells: Vec<Tape<F>>,
    /// Outputs `[N, D H]` of each layer that are not a cell's: masked, or of two directions.
    outputs: Vec<Vec<F>>,
    masks: Vec<Dropout<F>>,
    dropped: bool,
    /// Each layer's input read backwards within its length.
    reversed: Vec<Vec<F>>,
    reversed_tokens: Vec<u32>,
    dh: Vec<F>,
    dx: Vec<F>,
    dx_reversed: Vec<F>,
    dy: Vec<F>,
}

impl<F: Scalar> StackTape<F> {
    /// The tape of each layer and direction.
    pub(crate) fn cells(&self) -> &[Tape<F>] {
        &self.cells
    }

    /// The outputs `[N, D H]` of the top layer.
    pub fn output(&self) -> &[F] {
        match self.outputs.last() {
            Some(output) if !output.is_empty() => output,
            _ => self.cells.last().map_or(&[], Tape::h),
        }
    }
}

impl Stack {
    /// Adds the layers' tensors to the layout, named as `torch.nn.LSTM`'s behind `prefix`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid size or dropout probability.
    pub fn add(layout: &mut Layout, prefix: &str, config: StackConfig) -> Result<Self> {
        if config.hidden == 0 || config.layers == 0 {
            let key = if config.hidden == 0 { "hidden" } else { "layers" };
            return Err(Error::setting(key, 0, "must be at least 1"));
        }
        if !(0.0..1.0).contains(&config.dropout) {
            return Err(Error::setting("dropout", config.dropout, "must be in [0, 1)"));
        }
        let mut cells = Vec::new();
        for layer in 0..config.layers {
            let above = Source::Dense(config.hidden * if config.bidirectional { 2 } else { 1 });
            let source = if layer == 0 { config.source } else { above };
            let suffixes = [format!("l{layer}"), format!("l{layer}_reverse")];
            for suffix in &suffixes[..if config.bidirectional { 2 } else { 1 }] {
                cells.push(AnyCell::add(config.cell, layout, prefix, suffix, source, config.hidden));
            }
            if layout.len() > MAX_WEIGHTS {
                let requirement = format!("makes a network of more than {MAX_WEIGHTS} weights");
                return Err(Error::setting("hidden", config.hidden, requirement));
            }
        }
        Ok(Stack { config, cells })
    }

    /// Its configuration.
    pub fn config(&self) -> &StackConfig {
        &self.config
    }

    /// `W_hh` `[gH, H]` of each layer and direction.
    pub fn recurrent_weights(&self) -> impl Iterator<Item = Slot> {
        self.cells.iter().map(|cell| cell.weights().w_hh)
    }

    /// `D H`, the width of the output.
    pub fn output_width(&self) -> usize {
        self.config.hidden * self.directions()
    }

    fn directions(&self) -> usize {
        if self.config.bidirectional { 2 } else { 1 }
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        self.cells.iter().for_each(|cell| cell.init(init, params, rng));
    }

    /// The zero state of `batch` sequences.
    pub fn zero_state<F: Scalar>(&self, batch: usize) -> StackState<F> {
        let state = || State::zeros(batch, self.config.hidden, self.config.cell.has_c());
        StackState { cells: self.cells.iter().map(|_| state()).collect() }
    }

    /// As [`Self::zero_state`], reusing memory.
    pub fn zero_state_into<F: Scalar>(&self, batch: usize, state: &mut StackState<F>) {
        state.cells.resize_with(self.cells.len(), State::default);
        for cell in &mut state.cells {
            cell.h.resize(batch * self.config.hidden, F::ZERO);
            cell.c.resize(if self.config.cell.has_c() { batch * self.config.hidden } else { 0 }, F::ZERO);
            cell.zero();
        }
    }

    /// Packs the weights for the kernels, once per optimizer step.
    pub fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut StackPrepared<F>) {
        prepared.cells.resize_with(self.cells.len(), Prepared::default);
        let operands = prepared.operands;
        for (cell, prepared) in self.cells.iter().zip(&mut prepared.cells) {
            prepared.set_operands(operands);
            cell.prepare(params, prepared);
        }
    }

    /// The first cell, the only one of a stack of one layer in one direction, to run it step by step.
    pub fn first<'a, F>(&'a self, prepared: &'a StackPrepared<F>) -> (&'a AnyCell, &'a Prepared<F>) {
        (&self.cells[0], &prepared.cells[0])
    }

    /// `x` to `tape.output()` `[N, D H]`, from `state`, which becomes the final state. With an `rng`, dropout is on.
    pub fn forward<F: Scalar>(
        &self,
        prepared: &StackPrepared<F>,
        x: Input<F>,
        steps: &Steps,
        state: &mut StackState<F>,
        tape: &mut StackTape<F>,
        dropout: Option<&mut Rng>,
    ) {
        self.forward_given(|i| (&prepared.cells[i]).into(), x, steps, state, tape, dropout);
    }

    /// As [`Self::forward`], by what each cell is given.
    pub(crate) fn forward_given<'a, F: Scalar>(
        &self,
        given: impl Fn(usize) -> Given<'a, F>,
        x: Input<F>,
        steps: &Steps,
        state: &mut StackState<F>,
        tape: &mut StackTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        let (layers, directions, width) = (self.config.layers, self.directions(), self.output_width());
        tape.cells.resize_with(self.cells.len(), Tape::default);
        tape.outputs.resize_with(layers, Vec::new);
        tape.masks.resize_with(layers, Dropout::default);
        tape.reversed.resize_with(layers, Vec::new);
        tape.dropped = dropout.is_some() && self.config.dropout > 0.0;
        for layer in 0..layers {
            let first = layer * directions;
            let (below, cells) = tape.cells.split_at_mut(first);
            let x = input_of(layer, x, below, &tape.outputs);
            self.cells[first].forward(given(first), x, steps, &mut state.cells[first], &mut cells[0]);
            if directions == 2 {
                let i = first + 1;
                let x = reverse(x, steps, &mut tape.reversed[layer], &mut tape.reversed_tokens);
                self.cells[i].forward(given(i), x, steps, &mut state.cells[i], &mut cells[1]);
            }
            let masked = tape.dropped && layer + 1 < layers;
            let output = &mut tape.outputs[layer];
            output.clear();
            if directions == 2 {
                output.resize(steps.rows() * width, F::ZERO);
                join(steps, cells[0].h(), cells[1].h(), output);
            } else if masked {
                output.extend_from_slice(cells[0].h());
            }
            if let (true, Some(rng)) = (masked, dropout.as_deref_mut()) {
                let (p, locked) = (self.config.dropout, self.config.locked);
                tape.masks[layer].forward_if(p, locked, Some(rng), steps, output);
            }
        }
    }

    /// Backpropagation through all layers. Takes dL/dy `[N, D H]` and, in `dstate`, dL/d(final state); leaves there
    /// dL/d(initial state). Adds to `grads` and to `dx` `[N, I]` (dense input only).
    pub fn backward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &StackPrepared<F>,
        x: Input<F>,
        steps: &Steps,
        tape: &mut StackTape<F>,
        dy: &[F],
        dstate: &mut StackState<F>,
        grads: &mut Grads<F>,
        dx: Option<&mut [F]>,
    ) {
        self.backward_given(params, |i| (&prepared.cells[i]).into(), x, steps, tape, dy, dstate, grads, dx);
    }

    /// As [`Self::backward`], by what each cell is given. Of `params` only the embedding of tokens is read.
    pub(crate) fn backward_given<'a, F: Scalar>(
        &self,
        params: &Params<F>,
        given: impl Fn(usize) -> Given<'a, F>,
        x: Input<F>,
        steps: &Steps,
        tape: &mut StackTape<F>,
        dy: &[F],
        dstate: &mut StackState<F>,
        grads: &mut Grads<F>,
        mut dx: Option<&mut [F]>,
    ) {
        let (directions, width) = (self.directions(), self.output_width());
        let rows = steps.rows();
        // dL/d(output) of the current layer, unless it is the top one.
        let mut from_above = std::mem::take(&mut tape.dy);
        for layer in (0..self.config.layers).rev() {
            let is_top = layer + 1 == self.config.layers;
            if tape.dropped && !is_top {
                tape.masks[layer].backward(&mut from_above);
            }
            let above = if is_top { dy } else { &from_above[..rows * width] };
            let first = layer * directions;
            let (below, cells) = tape.cells.split_at_mut(first);
            let input = input_of(layer, x, below, &tape.outputs);
            // The gradient of an inner layer's input is held here; that of the first layer's by the caller.
            let wants_dx = layer > 0 || dx.is_some();
            if layer > 0 {
                tape.dx.resize(rows * width, F::ZERO);
            }
            for direction in 0..directions {
                let i = first + direction;
                let dh = if directions == 1 {
                    above
                } else {
                    split(steps, above, direction, self.config.hidden, &mut tape.dh);
                    &tape.dh
                };
                let input = if direction == 0 {
                    input
                } else {
                    reverse(input, steps, &mut tape.reversed[layer], &mut tape.reversed_tokens)
                };
                let target = match dx.as_deref_mut() {
                    _ if layer > 0 => InputGrad::Write(&mut tape.dx[..]),
                    Some(dx) => InputGrad::Add(dx),
                    None => InputGrad::None,
                };
                let (cell, dstate) = (&self.cells[i], &mut dstate.cells[i]);
                let (given, tape_i) = (given(i), &mut cells[direction]);
                if direction == 0 {
                    cell.backward(params, given, input, steps, tape_i, dh, dstate, grads, target);
                } else {
                    let inputs = cell.weights().source.width();
                    let reversed = if wants_dx {
                        tape.dx_reversed.resize(rows * inputs, F::ZERO);
                        InputGrad::Write(&mut tape.dx_reversed[..])
                    } else {
                        InputGrad::None
                    };
                    cell.backward(params, given, input, steps, tape_i, dh, dstate, grads, reversed);
                    if let InputGrad::Write(dx) | InputGrad::Add(dx) = target {
                        add_reversed(steps, &tape.dx_reversed, inputs, dx);
                    }
                }
            }
            if layer > 0 {
                std::mem::swap(&mut from_above, &mut tape.dx);
            }
        }
        tape.dy = from_above;
    }

    /// Runs padded sequences `[T, B, I]` of any lengths in any order; the output `[T, B, D H]` is zero where a sequence
    /// has ended. `initial` and the returned final state are in the caller's order.
    ///
    /// # Errors
    /// If a length exceeds `T` or a slice does not have the stated dimensions.
    pub fn run<F: Scalar>(
        &self,
        params: &Params<F>,
        x: &[F],
        lengths: &[usize],
        initial: Option<&StackState<F>>,
    ) -> Result<(Vec<F>, StackState<F>)> {
        let (batch, inputs) = (lengths.len(), self.config.source.width());
        let longest = lengths.iter().max().copied().unwrap_or(0);
        if !x.len().is_multiple_of((batch * inputs).max(1)) || x.len() < longest * batch * inputs {
            let message = format!("input of {} values is not [T, {batch}, {inputs}] with T >= {longest}", x.len());
            return Err(Error::Usage(message));
        }
        let order = Order::new(lengths);
        let mut prepared = StackPrepared::default();
        self.prepare(params, &mut prepared);
        let mut state =
            initial.map_or_else(|| self.zero_state(batch), |s| reorder(s, |h| order.sort(h, h.len() / batch)));
        let mut tape = StackTape::default();
        let packed = order.pack(x, inputs);
        self.forward(&prepared, Input::Dense(&packed), &order.steps, &mut state, &mut tape, None);
        let y = order.unpack(tape.output(), self.output_width(), F::ZERO);
        Ok((y, reorder(&state, |h| order.unsort(h, h.len() / batch))))
    }
}

/// The same state with its sequences reordered.
fn reorder<F: Scalar>(state: &StackState<F>, order: impl Fn(&[F]) -> Vec<F>) -> StackState<F> {
    let one = |s: &State<F>| State { h: order(&s.h), c: if s.c.is_empty() { Vec::new() } else { order(&s.c) } };
    StackState { cells: state.cells.iter().map(one).collect() }
}

/// Each sequence read backwards within its length.
fn reverse<'a, F: Scalar>(
    x: Input<'_, F>,
    steps: &Steps,
    dense: &'a mut Vec<F>,
    tokens: &'a mut Vec<u32>,
) -> Input<'a, F> {
    match x {
        Input::Dense(x) => {
            let width = x.len() / steps.rows().max(1);
            dense.resize(x.len(), F::ZERO);
            steps.for_each_reversed(|row, other| {
                dense[row * width..(row + 1) * width].copy_from_slice(&x[other * width..(other + 1) * width]);
            });
            Input::Dense(dense)
        }
        Input::Tokens(x) => {
            tokens.resize(x.len(), 0);
            steps.for_each_reversed(|row, other| tokens[row] = x[other]);
            Input::Tokens(tokens)
        }
    }
}

/// `y = [forward, reverse read backwards]`, `[N, 2H]`.
fn join<F: Scalar>(steps: &Steps, forward: &[F], reverse: &[F], y: &mut [F]) {
    let hidden = forward.len() / steps.rows().max(1);
    steps.for_each_reversed(|row, other| {
        let (left, right) = y[row * 2 * hidden..(row + 1) * 2 * hidden].split_at_mut(hidden);
        left.copy_from_slice(&forward[row * hidden..(row + 1) * hidden]);
        right.copy_from_slice(&reverse[other * hidden..(other + 1) * hidden]);
    });
}

/// The inverse of [`join`] for one direction's gradient.
fn split<F: Scalar>(steps: &Steps, dy: &[F], direction: usize, hidden: usize, dh: &mut Vec<F>) {
    dh.resize(steps.rows() * hidden, F::ZERO);
    steps.for_each_reversed(|row, other| {
        let from = (if direction == 0 { row } else { other } * 2 + direction) * hidden;
        dh[row * hidden..(row + 1) * hidden].copy_from_slice(&dy[from..from + hidden]);
    });
}

/// `dx += ` the gradient of the reversed input, read backwards.
fn add_reversed<F: Scalar>(steps: &Steps, reversed: &[F], width: usize, dx: &mut [F]) {
    steps.for_each_reversed(|row, other| {
        let from = &reversed[other * width..(other + 1) * width];
        elman_kernels::rows::add(from, &mut dx[row * width..(row + 1) * width]);
    });
}

/// What a layer reads: the input of all, or what the layer below put out, where dropout or another direction made that something
/// else than its hidden states.
fn input_of<'a, F: Scalar>(layer: usize, x: Input<'a, F>, below: &'a [Tape<F>], outputs: &'a [Vec<F>]) -> Input<'a, F> {
    match (layer.checked_sub(1).map(|l| &outputs[l]), below.last()) {
        (Some(output), Some(below)) if output.is_empty() => Input::Dense(below.h()),
        (Some(output), _) => Input::Dense(output),
        (None, _) => x,
    }
}
