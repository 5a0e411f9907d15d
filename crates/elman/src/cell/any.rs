//! The cell a configuration names.

use elman_kernels::Scalar;
use serde::{Deserialize, Serialize};

use super::{
    Cell, Gru, Input, InputGrad, Lstm, Nonlinearity, Prepared, Reset, Rnn, Source, State, Steps, Tape, Weights, gru,
    lstm,
};
use crate::param::{Grads, Init, Layout, Params};
use crate::rng::Rng;

/// The cells there are, as `--cell` and model files name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellKind {
    /// Long short-term memory.
    Lstm,
    /// Long short-term memory with peepholes.
    LstmPeephole,
    /// Gated recurrent unit, reset after the product (PyTorch's).
    Gru,
    /// Gated recurrent unit, reset before the product (Cho et al. 2014).
    GruResetBefore,
    /// Elman's network with tanh.
    RnnTanh,
    /// Elman's network with relu.
    RnnRelu,
}

impl CellKind {
    /// Every cell.
    pub const ALL: [CellKind; 6] = [
        CellKind::Lstm,
        CellKind::LstmPeephole,
        CellKind::Gru,
        CellKind::GruResetBefore,
        CellKind::RnnTanh,
        CellKind::RnnRelu,
    ];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            CellKind::Lstm => "lstm",
            CellKind::LstmPeephole => "lstm-peephole",
            CellKind::Gru => "gru",
            CellKind::GruResetBefore => "gru-reset-before",
            CellKind::RnnTanh => "rnn-tanh",
            CellKind::RnnRelu => "rnn-relu",
        }
    }

    /// Whether the state has a `c` beside `h`.
    pub fn has_c(self) -> bool {
        matches!(self, CellKind::Lstm | CellKind::LstmPeephole)
    }
}

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
        let mut weights = |gates| Weights::add(layout, prefix, suffix, source, hidden, gates);
        match kind {
            CellKind::Lstm => AnyCell::Lstm(Lstm { weights: weights(lstm::GATES), peephole: None }),
            CellKind::LstmPeephole => {
                let weights = weights(lstm::GATES);
                let peephole = layout.add(format!("{prefix}weight_peephole_{suffix}"), &[3, hidden]);
                AnyCell::Lstm(Lstm { weights, peephole: Some(peephole) })
            }
            CellKind::Gru => AnyCell::Gru(Gru { weights: weights(gru::GATES), reset: Reset::After }),
            CellKind::GruResetBefore => AnyCell::Gru(Gru { weights: weights(gru::GATES), reset: Reset::Before }),
            CellKind::RnnTanh => AnyCell::Rnn(Rnn { weights: weights(1), nonlinearity: Nonlinearity::Tanh }),
            CellKind::RnnRelu => AnyCell::Rnn(Rnn { weights: weights(1), nonlinearity: Nonlinearity::Relu }),
        }
    }

    /// Draws the weights before training; an LSTM's forget gate starts at 1 (Gers et al. 2000; Jozefowicz et al. 2015).
    pub fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        let weights = self.weights();
        weights.init(init, params, rng);
        if let AnyCell::Lstm(lstm) = self {
            let hidden = weights.hidden;
            weights.b_ih.of_mut(params)[hidden..2 * hidden].fill(F::ONE);
            weights.b_hh.of_mut(params)[hidden..2 * hidden].fill(F::ZERO);
            if let Some(peephole) = lstm.peephole {
                init.fill(peephole.of_mut(params), hidden, false, rng);
            }
        }
    }
}

impl Cell for AnyCell {
    fn weights(&self) -> &Weights {
        match self {
            AnyCell::Rnn(cell) => cell.weights(),
            AnyCell::Gru(cell) => cell.weights(),
            AnyCell::Lstm(cell) => cell.weights(),
        }
    }

    fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut Prepared<F>) {
        match self {
            AnyCell::Rnn(cell) => cell.prepare(params, prepared),
            AnyCell::Gru(cell) => cell.prepare(params, prepared),
            AnyCell::Lstm(cell) => cell.prepare(params, prepared),
        }
    }

    fn forward<F: Scalar>(
        &self,
        prepared: &Prepared<F>,
        x: Input<F>,
        steps: &Steps,
        state: &mut State<F>,
        tape: &mut Tape<F>,
    ) {
        match self {
            AnyCell::Rnn(cell) => cell.forward(prepared, x, steps, state, tape),
            AnyCell::Gru(cell) => cell.forward(prepared, x, steps, state, tape),
            AnyCell::Lstm(cell) => cell.forward(prepared, x, steps, state, tape),
        }
    }

    fn backward_through_time<F: Scalar>(
        &self,
        prepared: &Prepared<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        dh: &[F],
        dstate: &mut State<F>,
    ) {
        match self {
            AnyCell::Rnn(cell) => cell.backward_through_time(prepared, steps, tape, dh, dstate),
            AnyCell::Gru(cell) => cell.backward_through_time(prepared, steps, tape, dh, dstate),
            AnyCell::Lstm(cell) => cell.backward_through_time(prepared, steps, tape, dh, dstate),
        }
    }

    fn backward_weights<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &Prepared<F>,
        x: Input<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        grads: &mut Grads<F>,
        dx: InputGrad<F>,
    ) {
        match self {
            AnyCell::Rnn(cell) => cell.backward_weights(params, prepared, x, steps, tape, grads, dx),
            AnyCell::Gru(cell) => cell.backward_weights(params, prepared, x, steps, tape, grads, dx),
            AnyCell::Lstm(cell) => cell.backward_weights(params, prepared, x, steps, tape, grads, dx),
        }
    }
}
