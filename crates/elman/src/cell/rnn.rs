//! The simple recurrent network (Elman 1990): `h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)`, or with relu.

use elman_kernels::gates::rnn::{self, Nonlinearity};
use elman_kernels::{Mat, MatMut, Scalar, Start, rows};

use super::cell::Cell;
use super::given::Given;
use super::prepared::{Prepared, both};
use super::state::State;
use super::steps::Steps;
use super::tape::{Tape, before_and_now, part, part_mut};
use super::weights::{Input, InputGrad, Weights, pack_back, sum_into};
use crate::param::{Grads, Params};

/// A simple recurrent layer in one direction.
#[derive(Clone, Debug)]
pub struct Rnn {
    /// Matrices and biases.
    pub weights: Weights,
    /// tanh or relu.
    pub nonlinearity: Nonlinearity,
}

impl Cell for Rnn {
    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut Prepared<F>) {
        let w = &self.weights;
        let Prepared { bias, w_hh, w_hh_back, input, .. } = prepared;
        sum_into(bias, w.b_ih.of(params), w.b_hh.of(params));
        let forward = || w_hh.pack(w.recurrent(params).t());
        let back = || pack_back(w, params, 0..1, w_hh_back);
        let weights = w.w_hh.of(params).len();
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
        tape.begin(steps, hidden, 1, state);
        // The pre-activations are written in place of the states.
        let a = &mut tape.h[steps.batch() * hidden..];
        self.weights.project(given, x, steps.rows(), hidden, &mut tape.bias, a, hidden);
        for t in 0..steps.len() {
            let (h_prev, h) = before_and_now(&mut tape.h, steps.before(t), steps.now(t), hidden);
            match given {
                Given::Packed(prepared) => rnn::forward(&prepared.w_hh, self.nonlinearity, h_prev, h),
                Given::Plain(_) => {
                    let n = steps.active(t);
                    given.recurrent(0..1, Mat::new(h_prev, n, hidden), MatMut::new(h, n, hidden), Start::Add);
                    rnn::activate(self.nonlinearity, h);
                }
            }
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
        for t in (0..steps.len()).rev() {
            let n = steps.active(t);
            // dL/dh_t comes from above and from t + 1; da = dh (1 - h^2).
            let dh_t = &mut dstate.h[..n * hidden];
            rows::add(part(dh, steps.range(t), hidden), dh_t);
            rnn::backward(self.nonlinearity, part(&tape.h, steps.now(t), hidden), dh_t);
            let da = part_mut(&mut tape.gates, steps.range(t), stride);
            for (to, from) in da.chunks_exact_mut(stride).zip(dh_t.chunks_exact(hidden)) {
                to[..hidden].copy_from_slice(from);
            }
            // dh_{t-1} = da W_hh
            let da = Mat::strided(da, n, hidden, stride);
            given.recurrent_back(0..1, da, MatMut::new(dh_t, n, hidden), Start::Zero, &mut tape.scratch);
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
        tape.gather_h_prev(steps);
        let mut scratch = std::mem::take(&mut tape.scratch);
        let h_prev = Mat::new(tape.h_prev(steps), steps.rows(), hidden);
        self.weights.backward_recurrent(0..1, given, &tape.gates, stride, h_prev, &mut scratch, grads);
        let source = &mut tape.source;
        self.weights.backward_input(params, given, x, &tape.gates, stride, source, &mut scratch, grads, dx);
        rows::add(&tape.source.dbias, self.weights.b_hh.of_mut(grads));
        tape.scratch = scratch;
    }
}
