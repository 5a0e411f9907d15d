//! Recurrent cells: forward and backward through time, written by hand, side by side in one file per cell.
//!
//! A cell holds places and sizes, no numbers. It runs over one block of sequences on one thread: threads split the batch
//! above it. All its buffers live in a [`Tape`] and are reused, so that from the second batch on nothing is allocated.

mod any;
mod gru;
mod lstm;
mod rnn;
mod source;
mod steps;

pub use any::{AnyCell, CellKind};
pub use gru::{Gru, Reset};
pub use lstm::Lstm;
pub use rnn::Rnn;
use source::SourceTape;
pub use source::{Input, Source, Weights};
pub use steps::{Order, Steps};

pub use elman_kernels::gates::rnn::Nonlinearity;
use elman_kernels::{Mat, MatMut, Operands, Packed, Scalar, Scratch, Start, gemm};

use crate::param::{Grads, Params};

/// What every cell can do. `T` steps, `B` sequences, `N` rows in all ([`Steps`]), `H` hidden units.
pub trait Cell {
    /// The places and sizes of the weights.
    fn weights(&self) -> &Weights;

    /// Rearranges the weights for the kernels: once per optimizer step, shared by all blocks of a batch.
    fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut Prepared<F>);

    /// `x` to `tape.h()` `[N, H]`, from `state`; leaves the final state of each sequence in `state`.
    fn forward<F: Scalar>(
        &self,
        prepared: &Prepared<F>,
        x: Input<F>,
        steps: &Steps,
        state: &mut State<F>,
        tape: &mut Tape<F>,
    );

    /// Backpropagation through time, from `T - 1` to 0. Takes dL/dh `[N, H]` and, in `dstate`, dL/d(final state); leaves
    /// there dL/d(initial state). Adds to `grads`, so that a batch may be split; `dx` `[N, I]`. Uses up the tape.
    fn backward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &Prepared<F>,
        x: Input<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        dh: &[F],
        dstate: &mut State<F>,
        grads: &mut Grads<F>,
        dx: InputGrad<F>,
    ) {
        self.backward_through_time(prepared, steps, tape, dh, dstate);
        self.backward_weights(params, prepared, x, steps, tape, grads, dx);
    }

    /// The half of [`Self::backward`] that recurs; leaves in the tape the gradients of the gates.
    fn backward_through_time<F: Scalar>(
        &self,
        prepared: &Prepared<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        dh: &[F],
        dstate: &mut State<F>,
    );

    /// The half of [`Self::backward`] that does not: the weights and the input see all steps at once.
    fn backward_weights<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &Prepared<F>,
        x: Input<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        grads: &mut Grads<F>,
        dx: InputGrad<F>,
    );

    /// Between the halves: the input's gradient `[N, I]`, added to `dx`.
    fn backward_dense_input<F: Scalar>(&self, prepared: &Prepared<F>, tape: &Tape<F>, dx: &mut [F]) {
        let weights = self.weights();
        let (width, inputs) = (weights.gates * weights.hidden, weights.source.width());
        let n = dx.len() / inputs;
        let da = Mat::strided(&tape.gates, n, width, tape.stride);
        gemm(da, &prepared.w_ih_back, MatMut::new(dx, n, inputs), Start::Add);
    }
}

/// Where the gradient of a cell's input goes.
pub enum InputGrad<'a, F> {
    /// Nowhere: it is not wanted.
    None,
    /// Over what is there.
    Write(&'a mut [F]),
    /// Added to what is there.
    Add(&'a mut [F]),
}

/// The state of `B` sequences between two steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State<F> {
    /// Hidden state `[B, H]`.
    pub h: Vec<F>,
    /// Cell state `[B, H]` of an LSTM; empty for other cells.
    pub c: Vec<F>,
}

impl<F: Scalar> State<F> {
    /// The zero state.
    pub fn zeros(batch: usize, hidden: usize, has_c: bool) -> Self {
        State { h: vec![F::ZERO; batch * hidden], c: vec![F::ZERO; if has_c { batch * hidden } else { 0 }] }
    }

    /// Sets it to zero.
    pub fn zero(&mut self) {
        self.h.fill(F::ZERO);
        self.c.fill(F::ZERO);
    }
}

/// The weights as the kernels want them, and tables made from them.
#[derive(Clone, Default)]
pub struct Prepared<F> {
    /// `W_ih^T` `[I, gH]`, for dense input and for making the token table.
    w_ih: Packed<F>,
    /// `W_ih` `[gH, I]`, for the gradient of the input.
    w_ih_back: Packed<F>,
    /// `W_hh^T`, gates side by side.
    w_hh: Packed<F>,
    /// `W_hh` `[gH, H]` (GRU: the rows of `r` and `z`), for the gradient of the state before.
    w_hh_back: Packed<F>,
    /// GRU: `W_hn^T` (reset-before form), and the rows of `n` in `W_hh`.
    w_hn: Packed<F>,
    w_hn_back: Packed<F>,
    /// What is added to the input product `[gH]`.
    bias: Vec<F>,
    /// GRU: `b_hn` `[H]`, which the reset gate scales.
    b_hn: Vec<F>,
    /// Peepholes `[3H]`, or empty.
    peephole: Vec<F>,
    /// For token input: `E W_ih^T + bias` `[V, gH]`.
    table: Vec<F>,
}

impl<F: Scalar> Prepared<F> {
    /// What is prepared from now on has its products of operands rounded to this.
    pub fn set_operands(&mut self, operands: Operands) {
        let Prepared { w_ih, w_ih_back, w_hh, w_hh_back, w_hn, w_hn_back, .. } = self;
        for packed in [w_ih, w_ih_back, w_hh, w_hh_back, w_hn, w_hn_back] {
            packed.set_operands(operands);
        }
    }

    fn operands(&self) -> Operands {
        self.w_hh.operands()
    }
}

/// What backward needs of forward; working memory of one block, reused from batch to batch.
#[derive(Clone, Default)]
pub struct Tape<F> {
    /// The initial state and all later ones, `[B + N, H]`.
    h: Vec<F>,
    /// As `h`, for an LSTM.
    c: Vec<F>,
    /// Activated gates `[N, 4H]`, which backward turns into their gradients (simple RNN: `[N, H]`, gradients only).
    gates: Vec<F>,
    /// Elements from one row of `gates` to the next.
    stride: usize,
    /// The state before each row `[N, H]`, gathered where sequences differ in length.
    h_prev: Vec<F>,
    source: SourceTape<F>,
    batch: usize,
    hidden: usize,
    scratch: Scratch<F>,
}

impl<F: Scalar> Tape<F> {
    /// The outputs `[N, H]` of the last forward pass.
    pub fn h(&self) -> &[F] {
        &self.h[self.batch * self.hidden..]
    }

    /// Between the halves of a backward pass: becomes the tape of steps run one by one, as one step of all their rows.
    /// `parts`: for each the active rows.
    pub fn join<'a>(&mut self, parts: impl Iterator<Item = (&'a Self, usize)> + Clone)
    where
        F: 'a,
    {
        let Some((first, _)) = parts.clone().next() else { return };
        (self.hidden, self.stride) = (first.hidden, first.stride);
        self.batch = parts.clone().map(|(_, rows)| rows).sum();
        for all in [&mut self.h, &mut self.c, &mut self.gates] {
            all.clear();
        }
        // States before, then those of the step.
        for now in [false, true] {
            for (part, rows) in parts.clone() {
                let from = if now { part.batch } else { 0 } * part.hidden;
                let range = from..from + rows * part.hidden;
                self.h.extend_from_slice(&part.h[range.clone()]);
                if !part.c.is_empty() {
                    self.c.extend_from_slice(&part.c[range]);
                }
            }
        }
        parts.for_each(|(part, rows)| self.gates.extend_from_slice(&part.gates[..rows * part.stride]));
    }

    /// Makes room for a pass and writes the initial state. `gates`: parts in a row of `gates`.
    fn begin(&mut self, steps: &Steps, hidden: usize, gates: usize, state: &State<F>) {
        let (batch, rows) = (steps.batch(), steps.rows());
        assert_eq!(state.h.len(), batch * hidden, "a state [B, H] for B = {batch}, H = {hidden}");
        (self.batch, self.hidden) = (batch, hidden);
        self.h.resize((batch + rows) * hidden, F::ZERO);
        self.h[..batch * hidden].copy_from_slice(&state.h);
        if !state.c.is_empty() {
            self.c.resize((batch + rows) * hidden, F::ZERO);
            self.c[..batch * hidden].copy_from_slice(&state.c);
        }
        self.stride = apart::<F>(gates * hidden);
        self.gates.resize(rows * self.stride, F::ZERO);
    }

    /// Copies the last state of each sequence.
    fn end(&self, steps: &Steps, state: &mut State<F>) {
        let hidden = self.hidden;
        for (sequence, len) in (0..steps.batch()).map(|b| (b, steps.len_of(b))) {
            let from = if len == 0 { sequence } else { self.batch + steps.range(len - 1).start + sequence } * hidden;
            let to = sequence * hidden;
            state.h[to..to + hidden].copy_from_slice(&self.h[from..from + hidden]);
            if !state.c.is_empty() {
                state.c[to..to + hidden].copy_from_slice(&self.c[from..from + hidden]);
            }
        }
    }

    /// The state before each row, `[N, H]`: a slice of `h` where lengths are equal, else gathered.
    fn gather_h_prev(&mut self, steps: &Steps) {
        if steps.is_ragged() {
            let hidden = self.hidden;
            self.h_prev.resize(steps.rows() * hidden, F::ZERO);
            for t in 0..steps.len() {
                let (from, to) = (steps.before(t), steps.range(t));
                self.h_prev[to.start * hidden..to.end * hidden]
                    .copy_from_slice(&self.h[from.start * hidden..from.end * hidden]);
            }
        }
    }

    fn h_prev(&self, steps: &Steps) -> &[F] {
        if steps.is_ragged() { &self.h_prev } else { &self.h[..steps.rows() * self.hidden] }
    }
}

/// Elements from one row to the next of a matrix with `width` columns that is read down its columns: where rows began a
/// power of two apart, a column would fall into a few sets of the cache, so that a cache line is left between them.
fn apart<F>(width: usize) -> usize {
    const LINE: usize = 64;
    if (width * size_of::<F>()).is_multiple_of(16 * LINE) { width + LINE / size_of::<F>() } else { width }
}

/// Rows `rows` of a matrix with `width` columns.
fn part<F>(x: &[F], rows: std::ops::Range<usize>, width: usize) -> &[F] {
    &x[rows.start * width..rows.end * width]
}

/// As [`part`], to write.
fn part_mut<F>(x: &mut [F], rows: std::ops::Range<usize>, width: usize) -> &mut [F] {
    &mut x[rows.start * width..rows.end * width]
}

/// The states before a step, to read, and those of the step, to write. `now` begins after `before` ends.
fn before_and_now<F>(
    states: &mut [F],
    before: std::ops::Range<usize>,
    now: std::ops::Range<usize>,
    width: usize,
) -> (&[F], &mut [F]) {
    let (old, new) = states.split_at_mut(now.start * width);
    (part(old, before, width), &mut new[..now.len() * width])
}
