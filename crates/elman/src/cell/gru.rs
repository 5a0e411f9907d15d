//! Gated recurrent unit (Cho et al. 2014): `r, z = sigmoid(a)`, `h_t = (1 - z) n + z h_{t-1}`.
//!
//! The candidate `n` has two forms, by where the reset gate acts:
//! after the recurrent product (cuDNN, PyTorch, Keras' `reset_after`): `n = tanh(a_n + r (W_hn h_{t-1} + b_hn))`;
//! before it (the paper): `n = tanh(a_n + W_hn (r h_{t-1}) + b_hn)`, which needs a second product at every step.
//!
//! A row of the tape's gates has four parts `r, z, n, q`; see [`elman_kernels::gates::gru`].

use elman_kernels::{Mat, MatMut, Scalar, Start, gates::gru, rows};
use elman_step::Reset;

use super::cell::Cell;
use super::given::Given;
use super::prepared::{Prepared, both};
use super::state::State;
use super::steps::Steps;
use super::tape::{Tape, before_and_now, part, part_mut};
use super::weights::{Input, InputGrad, Weights, pack_back};
use crate::param::{Grads, Params};

/// Gates of the cell.
const GATES: usize = 3;
/// Parts in a row of the tape.
const PARTS: usize = 4;

/// A GRU layer in one direction.
#[derive(Clone, Debug)]
pub struct Gru {
    /// Matrices and biases, gates in the order `r, z, n`.
    pub weights: Weights,
    /// Where the reset gate acts.
    pub reset: Reset,
}

impl Cell for Gru {
    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut Prepared<F>) {
        let w = &self.weights;
        let hidden = w.hidden;
        let (b_ih, b_hh) = (w.b_ih.of(params), w.b_hh.of(params));
        let shared = self.shared();
        let Prepared { bias, b_hn, w_hh, w_hh_back, w_hn, w_hn_back, input, .. } = prepared;
        bias.clear();
        bias.extend_from_slice(b_ih);
        rows::add(&b_hh[..shared], &mut bias[..shared]);
        b_hn.clear();
        b_hn.extend_from_slice(&b_hh[2 * hidden..]);
        let recurrent = w.w_hh.of(params);
        let forward = || match self.reset {
            Reset::After => w_hh.pack_gates(w.recurrent(params).t(), GATES),
            Reset::Before => {
                w_hh.pack(Mat::new(recurrent, 2 * hidden, hidden).t());
                w_hn.pack(Mat::new(&recurrent[2 * hidden * hidden..], hidden, hidden).t());
            }
        };
        let back = || {
            pack_back(w, params, 0..2, w_hh_back);
            pack_back(w, params, 2..3, w_hn_back);
        };
        let weights = recurrent.len();
        both(weights, || w.prepare_input(params, bias, input), || both(weights, forward, back));
    }

    fn forward<F: Scalar>(
        &self,
        given: Given<F>,
        x: Input<F>,
        steps: &Steps,
        state: &mut State<F>,
        tape: &mut Tape<F>,
    ) {
        let hidden = self.weights.hidden;
        tape.begin(steps, hidden, PARTS, state);
        let stride = tape.stride;
        self.weights.project(given, x, steps.rows(), self.shared(), &mut tape.bias, &mut tape.gates, stride);
        for t in 0..steps.len() {
            let (h_prev, h) = before_and_now(&mut tape.h, steps.before(t), steps.now(t), hidden);
            let a = part_mut(&mut tape.gates, steps.range(t), stride);
            if let (Reset::After, Given::Packed(prepared)) = (self.reset, given) {
                gru::forward(&prepared.w_hh, &prepared.b_hn, h_prev, a, h);
                continue;
            }
            let n = steps.active(t);
            let r_z = MatMut::strided(a, n, 2 * hidden, stride);
            given.recurrent(0..2, Mat::new(h_prev, n, hidden), r_z, Start::Add);
            if let (Reset::After, Given::Plain(plain)) = (self.reset, given) {
                let b_hn = plain.b_hh.map_or(Start::Zero, |b_hh| Start::Bias(&b_hh[2 * hidden..]));
                let q = MatMut::strided(&mut a[3 * hidden..], n, hidden, stride);
                given.recurrent(2..3, Mat::new(h_prev, n, hidden), q, b_hn);
                gru::activate(hidden, h_prev, a, h);
                continue;
            }
            gru::reset(hidden, a, h_prev, h);
            // The fourth part, r h_{t-1}, goes through W_hn into the third; they share rows, so it is copied out.
            copy_columns(a, stride, 3 * hidden, h, hidden);
            let candidate = MatMut::strided(&mut a[2 * hidden..], n, hidden, stride);
            given.recurrent(2..3, Mat::new(h, n, hidden), candidate, Start::Add);
            gru::update(hidden, a, h_prev, h);
        }
        tape.end(steps, state);
    }

    fn backward_through_time<F: Scalar>(
        &self,
        given: Given<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        dh: &[F],
        dstate: &mut State<F>,
    ) {
        let hidden = self.weights.hidden;
        let stride = tape.stride;
        // dL/d(r h_{t-1}) of the reset-before form.
        tape.h_prev.resize(steps.rows().max(steps.batch()) * hidden, F::ZERO);
        for t in (0..steps.len()).rev() {
            let n = steps.active(t);
            let dh_t = &mut dstate.h[..n * hidden];
            rows::add(part(dh, steps.range(t), hidden), dh_t);
            let a = part_mut(&mut tape.gates, steps.range(t), stride);
            let h_prev = part(&tape.h, steps.before(t), hidden);
            if self.reset == Reset::After {
                // dh becomes dh z; the rest of dL/dh_{t-1} passes through W_hr, W_hz, and W_hn behind r.
                gru::backward(hidden, a, h_prev, dh_t);
                let dq = Mat::strided(&a[3 * hidden..], n, hidden, stride);
                given.recurrent_back(2..3, dq, MatMut::new(dh_t, n, hidden), Start::Add, &mut tape.scratch);
            } else {
                gru::update_backward(hidden, a, h_prev, dh_t);
                let ds = &mut tape.h_prev[..n * hidden];
                let da_n = Mat::strided(&a[2 * hidden..], n, hidden, stride);
                given.recurrent_back(2..3, da_n, MatMut::new(ds, n, hidden), Start::Zero, &mut tape.scratch);
                gru::reset_backward(hidden, a, h_prev, ds);
                rows::add(ds, dh_t);
            }
            let da_rz = Mat::strided(a, n, 2 * hidden, stride);
            given.recurrent_back(0..2, da_rz, MatMut::new(dh_t, n, hidden), Start::Add, &mut tape.scratch);
        }
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
        let hidden = self.weights.hidden;
        let stride = tape.stride;
        let mut scratch = std::mem::take(&mut tape.scratch);
        tape.gather_h_prev(steps);
        let n = steps.rows();
        let h_prev = Mat::new(tape.h_prev(steps), n, hidden);
        let gates = &tape.gates[..];
        self.weights.backward_recurrent(0..2, given, gates, stride, h_prev, &mut scratch, grads);
        if n > 0 {
            let (da_n, into_n) = match self.reset {
                Reset::After => (&gates[3 * hidden..], h_prev),
                Reset::Before => (&gates[2 * hidden..], Mat::strided(&gates[3 * hidden..], n, hidden, stride)),
            };
            self.weights.backward_recurrent(2..3, given, da_n, stride, into_n, &mut scratch, grads);
        }
        let source = &mut tape.source;
        self.weights.backward_input(params, given, x, gates, stride, source, &mut scratch, grads, dx);
        let db_hh = self.weights.b_hh.of_mut(grads);
        if self.reset == Reset::Before {
            rows::add(&tape.source.dbias, db_hh);
        } else {
            // The reset gate scales b_hn, so its gradient is that of q.
            rows::add(&tape.source.dbias[..2 * hidden], &mut db_hh[..2 * hidden]);
            rows::sum_add(gates.get(3 * hidden..).unwrap_or(&[]), n, stride, &mut db_hh[2 * hidden..]);
        }
        tape.scratch = scratch;
    }
}

impl Gru {
    /// Elements of the biases that are added: the reset gate scales `b_hn` only if it acts after the product.
    fn shared(&self) -> usize {
        (if self.reset == Reset::After { 2 } else { GATES }) * self.weights.hidden
    }
}

/// Columns `from..from + to_width` of rows of `width` to rows of `to_width`.
fn copy_columns<F: Copy>(x: &[F], width: usize, from: usize, to: &mut [F], to_width: usize) {
    for (row, to) in x.chunks_exact(width).zip(to.chunks_exact_mut(to_width)) {
        to.copy_from_slice(&row[from..from + to_width]);
    }
}
