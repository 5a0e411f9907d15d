//! The interface between a recurrent layer and its cells.

use elman_kernels::{Mat, MatMut, Scalar, Start, gemm};

use super::given::Given;
use super::prepared::Prepared;
use super::state::State;
use super::steps::Steps;
use super::tape::Tape;
use super::weights::{Input, InputGrad, Weights};
use crate::param::{Grads, Init, Params};
use crate::rng::Rng;

/// The operations of every cell. `T` steps, `B` sequences, `N` rows in all ([`Steps`]), `H` hidden units.
pub trait Cell {
    /// The offsets and sizes of the weights.
    fn weights(&self) -> &Weights;

    /// Initialises the weights.
    fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        self.weights().init(init, params, rng);
    }

    /// Packs the weights for the kernels: once per optimizer step, shared by all blocks of a batch.
    fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut Prepared<F>);

    /// `x` to `tape.h()` `[N, H]`, from `state`; leaves the final state of each sequence in `state`.
    fn forward<F: Scalar>(&self, given: Given<F>, x: Input<F>, steps: &Steps, state: &mut State<F>, tape: &mut Tape<F>);

    /// Backpropagation through time, from `T - 1` to 0. Takes dL/dh `[N, H]` and, in `dstate`, dL/d(final state);
    /// leaves there dL/d(initial state). Adds to `grads`, so that a batch may be split; `dx` `[N, I]`. Consumes the
    /// tape.
    fn backward<F: Scalar>(
        &self,
        params: &Params<F>,
        given: Given<F>,
        x: Input<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        dh: &[F],
        dstate: &mut State<F>,
        grads: &mut Grads<F>,
        dx: InputGrad<F>,
    ) {
        self.backward_through_time(given, steps, tape, dh, dstate);
        self.backward_weights(params, given, x, steps, tape, grads, dx);
    }

    /// The recurrent half of [`Self::backward`]; leaves the gradients of the gates in the tape.
    fn backward_through_time<F: Scalar>(
        &self,
        given: Given<F>,
        steps: &Steps,
        tape: &mut Tape<F>,
        dh: &[F],
        dstate: &mut State<F>,
    );

    /// The other half: gradients of the weights and the input, over all steps at once.
    fn backward_weights<F: Scalar>(
        &self,
        params: &Params<F>,
        given: Given<F>,
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
        gemm(da, &prepared.input.w_ih_back, MatMut::new(dx, n, inputs), Start::Add);
    }
}
