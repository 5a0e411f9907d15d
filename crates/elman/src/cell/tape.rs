//! The activations a forward pass stores for the backward pass.

use std::ops::Range;

use elman_kernels::{Scalar, Scratch};

use super::state::State;
use super::steps::Steps;
use super::weights::SourceTape;

/// What the backward pass needs from the forward pass; working memory of one block, reused from batch to batch.
#[derive(Clone, Default)]
pub struct Tape<F> {
    /// The initial state and all later ones, `[B + N, H]`.
    pub(super) h: Vec<F>,
    /// As `h`, for an LSTM.
    pub(super) c: Vec<F>,
    /// Activated gates `[N, 4H]`, which backward turns into their gradients (simple RNN: `[N, H]`, gradients only).
    pub(super) gates: Vec<F>,
    /// Elements from one row of `gates` to the next.
    pub(super) stride: usize,
    /// The state before each row `[N, H]`, gathered where sequences differ in length.
    pub(super) h_prev: Vec<F>,
    pub(super) source: SourceTape<F>,
    pub(super) batch: usize,
    pub(super) hidden: usize,
    pub(super) scratch: Scratch<F>,
    /// Of weights as they lie: the bias of the input product.
    pub(super) bias: Vec<F>,
}

impl<F: Scalar> Tape<F> {
    /// The outputs `[N, H]` of the last forward pass.
    pub fn h(&self) -> &[F] {
        &self.h[self.batch * self.hidden..]
    }

    /// An activated gate `[H]` of a row after a forward pass, and before the backward pass, which consumes it: in the order
    /// of the weights. A simple cell has none.
    pub(crate) fn gate(&self, row: usize, gate: usize) -> &[F] {
        &self.gates[row * self.stride + gate * self.hidden..][..self.hidden]
    }

    /// Between the halves of a backward pass: joins the tapes of single steps into one step of all their rows.
    /// `parts`: each tape and its active rows.
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
        // Previous states, then those of the step.
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

    /// Allocates for a pass and writes the initial state. `gates`: parts in a row of `gates`.
    pub(super) fn begin(&mut self, steps: &Steps, hidden: usize, gates: usize, state: &State<F>) {
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
    pub(super) fn end(&self, steps: &Steps, state: &mut State<F>) {
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

    /// The state before each row, `[N, H]`: a slice of `h` if lengths are equal, else gathered.
    pub(super) fn gather_h_prev(&mut self, steps: &Steps) {
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

    pub(super) fn h_prev(&self, steps: &Steps) -> &[F] {
        if steps.is_ragged() { &self.h_prev } else { &self.h[..steps.rows() * self.hidden] }
    }
}

/// Elements from one row to the next of a matrix with `width` columns that is read down its columns: with a stride of a
/// power of two, a column would map to a few cache sets, so a cache line is left between rows.
fn apart<F>(width: usize) -> usize {
    const LINE: usize = 64;
    if (width * size_of::<F>()).is_multiple_of(16 * LINE) { width + LINE / size_of::<F>() } else { width }
}

/// Rows `rows` of a matrix with `width` columns.
pub(super) fn part<F>(x: &[F], rows: Range<usize>, width: usize) -> &[F] {
    &x[rows.start * width..rows.end * width]
}

/// As [`part`], mutable.
pub(super) fn part_mut<F>(x: &mut [F], rows: Range<usize>, width: usize) -> &mut [F] {
    &mut x[rows.start * width..rows.end * width]
}

/// The states before a step, and mutable those of the step. `now` begins after `before` ends.
pub(super) fn before_and_now<F>(
    states: &mut [F],
    before: Range<usize>,
    now: Range<usize>,
    width: usize,
) -> (&[F], &mut [F]) {
    let (old, new) = states.split_at_mut(now.start * width);
    (part(old, before, width), &mut new[..now.len() * width])
}
