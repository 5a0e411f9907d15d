//! Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).
//!
//! `i, f, o = sigmoid(a)`, `g = tanh(a)` with `a = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh`;
//! `c_t = f c_{t-1} + i g`,  `h_t = o tanh(c_t)`. Gates are in the order `i, f, g, o`.
//!
//! With peepholes (Gers & Schmidhuber 2000) `i` and `f` also see `c_{t-1}` and `o` sees `c_t`, unit by unit.

use elman_kernels::{Mat, MatMut, Scalar, Start, gates::lstm, rows};

use super::cell::Cell;
use super::given::Given;
use super::prepared::{Prepared, both};
use super::state::State;
use super::steps::Steps;
use super::tape::{Tape, before_and_now, part, part_mut};
use super::weights::{Input, InputGrad, Weights, pack_back, sum_into};
use crate::param::{Grads, Init, Params, Slot};
use crate::rng::Rng;

/// Gates of the cell.
const GATES: usize = 4;

/// The bias of the forget gate at initialisation (Gers et al. 2000; Jozefowicz et al. 2015), unless another is set.
pub const FORGET_BIAS: f64 = 1.0;

/// Sets the bias of the forget gate of every LSTM layer, found by the names of their biases, `bias_ih_` and `bias_hh_`,
/// each `[4H]`: the first has all of it.
pub fn set_forget_bias<F: Scalar>(params: &mut Params<F>, bias: f64) {
    for tensor in params.layout().clone().tensors() {
        let value = match &tensor.name {
            name if name.contains("bias_ih_") => F::from_f64(bias),
            name if name.contains("bias_hh_") => F::ZERO,
            _ => continue,
        };
        let values = tensor.slot.of_mut(params);
        let hidden = values.len() / GATES;
        values[hidden..2 * hidden].fill(value);
    }
}

/// An LSTM layer in one direction.
#[derive(Clone, Debug)]
pub struct Lstm {
    /// Matrices and biases, gates in the order `i, f, g, o`.
    pub weights: Weights,
    /// Peepholes `[3, H]` of `i, f, o`.
    pub peephole: Option<Slot>,
}

impl Cell for Lstm {
    fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The forget gate starts at [`FORGET_BIAS`].
    fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        let Lstm { weights, peephole } = self;
        let hidden = weights.hidden;
        weights.init(init, params, rng);
        weights.b_ih.of_mut(params)[hidden..2 * hidden].fill(F::from_f64(FORGET_BIAS));
        weights.b_hh.of_mut(params)[hidden..2 * hidden].fill(F::ZERO);
        if let Some(peephole) = peephole {
            init.fill(peephole.of_mut(params), hidden, false, rng);
        }
    }

    fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut Prepared<F>) {
        let w = &self.weights;
        let Prepared { bias, w_hh, w_hh_back, peephole, input, .. } = prepared;
        sum_into(bias, w.b_ih.of(params), w.b_hh.of(params));
        let forward = || w_hh.pack_gates(w.recurrent(params).t(), GATES);
        let back = || pack_back(w, params, 0..GATES, w_hh_back);
        let weights = w.w_hh.of(params).len();
        both(weights, || w.prepare_input(params, bias, input), || both(weights, forward, back));
        peephole.clear();
        peephole.extend(self.peephole.iter().flat_map(|p| p.of(params)));
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
        tape.begin(steps, hidden, GATES, state);
        let stride = tape.stride;
        self.weights.project(given, x, steps.rows(), GATES * hidden, &mut tape.bias, &mut tape.gates, stride);
        let peephole = given.peephole();
        for t in 0..steps.len() {
            let (h_prev, h) = before_and_now(&mut tape.h, steps.before(t), steps.now(t), hidden);
            let (c_prev, c) = before_and_now(&mut tape.c, steps.before(t), steps.now(t), hidden);
            let a = part_mut(&mut tape.gates, steps.range(t), stride);
            match given {
                Given::Packed(prepared) => lstm::forward(&prepared.w_hh, peephole, h_prev, c_prev, a, c, h),
                Given::Plain(_) => {
                    let n = steps.active(t);
                    let into = MatMut::strided(a, n, GATES * hidden, stride);
                    given.recurrent(0..GATES, Mat::new(h_prev, n, hidden), into, Start::Add);
                    lstm::activate(hidden, peephole, c_prev, a, c, h);
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
        let peephole = given.peephole();
        for t in (0..steps.len()).rev() {
            // dL/dh_t comes from above and from t + 1.
            let n = steps.active(t);
            let dh_t = &mut dstate.h[..n * hidden];
            rows::add(part(dh, steps.range(t), hidden), dh_t);
            let a = part_mut(&mut tape.gates, steps.range(t), stride);
            let c_prev = part(&tape.c, steps.before(t), hidden);
            let c = part(&tape.c, steps.now(t), hidden);
            // Turns the gates into `da` and dL/dc_t into dL/dc_{t-1}.
            lstm::backward(hidden, peephole, a, c_prev, c, dh_t, &mut dstate.c[..n * hidden]);
            // dh_{t-1} = da W_hh
            let da = Mat::strided(a, n, GATES * hidden, stride);
            given.recurrent_back(0..GATES, da, MatMut::new(dh_t, n, hidden), Start::Zero, &mut tape.scratch);
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
        self.peephole_gradient(steps, tape, grads);
        // The weights see all T steps at once: one large product each, not T small ones.
        tape.gather_h_prev(steps);
        let mut scratch = std::mem::take(&mut tape.scratch);
        let h_prev = Mat::new(tape.h_prev(steps), steps.rows(), hidden);
        self.weights.backward_recurrent(0..GATES, given, &tape.gates, stride, h_prev, &mut scratch, grads);
        let source = &mut tape.source;
        self.weights.backward_input(params, given, x, &tape.gates, stride, source, &mut scratch, grads, dx);
        rows::add(&tape.source.dbias, self.weights.b_hh.of_mut(grads));
        tape.scratch = scratch;
    }
}

impl Lstm {
    /// `dp_i += sum da_i c_{t-1}`, `dp_f += sum da_f c_{t-1}`, `dp_o += sum da_o c_t`.
    fn peephole_gradient<F: Scalar>(&self, steps: &Steps, tape: &Tape<F>, grads: &mut Grads<F>) {
        let Some(slot) = self.peephole else { return };
        let hidden = self.weights.hidden;
        let (dp_i, rest) = slot.of_mut(grads).split_at_mut(hidden);
        let (dp_f, dp_o) = rest.split_at_mut(hidden);
        for t in 0..steps.len() {
            let da = part(&tape.gates, steps.range(t), tape.stride);
            let c_prev = part(&tape.c, steps.before(t), hidden);
            let c = part(&tape.c, steps.now(t), hidden);
            for (row, da) in da.chunks_exact(tape.stride).enumerate() {
                for j in 0..hidden {
                    dp_i[j] += da[j] * c_prev[row * hidden + j];
                    dp_f[j] += da[hidden + j] * c_prev[row * hidden + j];
                    dp_o[j] += da[3 * hidden + j] * c[row * hidden + j];
                }
            }
        }
    }
}
