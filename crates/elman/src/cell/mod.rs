//! Recurrent cells: forward and backward through time, written by hand, side by side in one file per cell.
//!
//! A cell holds offsets and sizes, no values. It runs over one block of sequences on one thread: the batch is split
//! over threads above it. All its buffers are in a [`Tape`] and are reused, so nothing is allocated from the second
//! batch on.
//!
//! This file is the one place in this crate that lists the cells; each has its own file, named as here.

#[allow(clippy::module_inception)] // `cell/cell.rs` holds the trait `Cell`.
mod cell;
mod given;
mod gru;
mod lstm;
mod prepared;
mod rnn;
mod state;
mod steps;
mod tape;
mod weights;

pub use cell::Cell;
pub use given::{Given, Plain};
pub use gru::Gru;
pub use lstm::{FORGET_BIAS, Lstm, set_forget_bias};
pub use prepared::Prepared;
pub(crate) use prepared::both;
pub use rnn::Rnn;
pub use state::State;
pub use steps::{Order, Steps};
pub use tape::Tape;
pub use weights::{Input, InputGrad, Source, Weights};

pub use elman_kernels::gates::rnn::Nonlinearity;
pub use elman_step::{CellKind, Reset};

use elman_kernels::Scalar;

use crate::param::{Grads, Init, Layout, Params};
use crate::rng::Rng;

/// A cell of any kind.
#[derive(Clone, Debug)]
pub enum AnyCell {
    /// Elman's network.
    Rnn(Rnn),
    /// Gated recurrent unit.
    Gru(Gru),
    /// Long short-term memory.
    Lstm(Lstm),
}

impl AnyCell {
    /// Adds a cell's tensors to the layout, named `{prefix}weight_ih_{suffix}` and so on.
    pub fn add(kind: CellKind, layout: &mut Layout, prefix: &str, suffix: &str, source: Source, hidden: usize) -> Self {
        let weights = Weights::add(layout, prefix, suffix, source, hidden, kind.gates());
        match kind {
            CellKind::Lstm => AnyCell::Lstm(Lstm { weights, peephole: None }),
            CellKind::LstmPeephole => {
                let peephole = layout.add(format!("{prefix}weight_peephole_{suffix}"), &[3, hidden]);
                AnyCell::Lstm(Lstm { weights, peephole: Some(peephole) })
            }
            CellKind::Gru => AnyCell::Gru(Gru { weights, reset: Reset::After }),
            CellKind::GruResetBefore => AnyCell::Gru(Gru { weights, reset: Reset::Before }),
            CellKind::RnnTanh => AnyCell::Rnn(Rnn { weights, nonlinearity: Nonlinearity::Tanh }),
            CellKind::RnnRelu => AnyCell::Rnn(Rnn { weights, nonlinearity: Nonlinearity::Relu }),
        }
    }
}

/// Evaluates an expression for the cell in an [`AnyCell`].
macro_rules! with {
    ($any:expr, $cell:ident => $value:expr) => {
        match $any {
            AnyCell::Rnn($cell) => $value,
            AnyCell::Gru($cell) => $value,
            AnyCell::Lstm($cell) => $value,
        }
    };
}

impl Cell for AnyCell {
    fn weights(&self) -> &Weights {
        with!(self, cell => cell.weights())
    }

    fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        with!(self, cell => cell.init(init, params, rng))
    }

    fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut Prepared<F>) {
        with!(self, cell => cell.prepare(params, prepared))
    }

    fn forward<F: Scalar>(
        &self,
        given: Given<F>,
        x: Input<F>,
        steps: &Steps,
        state: &mut State<F>,
        tape: &mut Tape<F>,
    ) {
        with!(self, cell => cell.forward(given, x, steps, state, tape))
    }

    fn backward_through_time<F: Scalar>(
        &self,
        given: Given<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        dh: &[F],
        dstate: &mut State<F>,
    ) {
        with!(self, cell => cell.backward_through_time(given, steps, tape, dh, dstate))
    }

    fn backward_weights<F: Scalar>(
        &self,
        params: &Params<F>,
        given: Given<F>,
        x: Input<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        grads: &mut Grads<F>,
        dx: InputGrad<F>,
    ) {
        with!(self, cell => cell.backward_weights(params, given, x, steps, tape, grads, dx))
    }
}
