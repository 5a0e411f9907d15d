//! The linear output: `y = x W^T + b`.

use elman_kernels::{Mat, MatMut, Operands, Packed, Scalar, Scratch, Start, gemm, gemm_unpacked_of, rows};

use crate::cell::both;
use crate::param::{Grads, Init, Layout, Params, Slot};
use crate::rng::Rng;

/// A linear layer from `inputs` to `outputs` values.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`; may belong to another layer, as with tied embeddings (Press & Wolf 2017).
    pub weight: Slot,
    /// `[outputs]`.
    pub bias: Slot,
    /// Width of the input.
    pub inputs: usize,
    /// Width of the output.
    pub outputs: usize,
    tied: bool,
}

/// A linear layer's weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct LinearPrepared<F> {
    weight: Packed<F>,
    weight_back: Packed<F>,
    bias: Vec<F>,
}

impl<F: Scalar> LinearPrepared<F> {
    /// Precision of the operands of all products prepared from now on.
    pub fn set_operands(&mut self, operands: Operands) {
        self.weight.set_operands(operands);
        self.weight_back.set_operands(operands);
    }
}

impl Linear {
    /// Adds `{prefix}weight` and `{prefix}bias` to the layout; with `tied`, only the bias.
    pub fn add(layout: &mut Layout, prefix: &str, inputs: usize, outputs: usize, tied: Option<Slot>) -> Self {
        let weight = tied.unwrap_or_else(|| layout.add(format!("{prefix}weight"), &[outputs, inputs]));
        let bias = layout.add(format!("{prefix}bias"), &[outputs]);
        Linear { weight, bias, inputs, outputs, tied: tied.is_some() }
    }

    /// Initialises the weights; a tied matrix is initialised by its owner.
    pub fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        if !self.tied {
            init.fill(self.weight.of_mut(params), self.inputs, false, rng);
        }
        init.fill(self.bias.of_mut(params), self.inputs, true, rng);
    }

    /// Packs the weights, once per optimizer step.
    pub fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut LinearPrepared<F>) {
        let weight = Mat::new(self.weight.of(params), self.outputs, self.inputs);
        let LinearPrepared { weight: packed, weight_back, bias } = prepared;
        both(self.outputs * self.inputs, || packed.pack(weight.t()), || weight_back.pack(weight));
        bias.clear();
        bias.extend_from_slice(self.bias.of(params));
    }

    /// `x` `[N, inputs]` to `y` `[N, outputs]`.
    pub fn forward<F: Scalar>(&self, prepared: &LinearPrepared<F>, x: &[F], y: &mut [F]) {
        let n = x.len() / self.inputs;
        let y = MatMut::new(y, n, self.outputs);
        gemm(Mat::new(x, n, self.inputs), &prepared.weight, y, Start::Bias(&prepared.bias));
    }

    /// From dL/dy `[N, outputs]`: adds to the weights' gradients, writes dL/dx `[N, inputs]`.
    pub fn backward<F: Scalar>(
        &self,
        prepared: &LinearPrepared<F>,
        x: &[F],
        dy: &[F],
        grads: &mut Grads<F>,
        dx: &mut [F],
        scratch: &mut Scratch<F>,
    ) {
        self.backward_weights(prepared, x, dy, grads, scratch);
        let n = x.len() / self.inputs;
        gemm(Mat::new(dy, n, self.outputs), &prepared.weight_back, MatMut::new(dx, n, self.inputs), Start::Zero);
    }

    /// As [`Self::backward`], without the gradient of `x`.
    pub fn backward_weights<F: Scalar>(
        &self,
        prepared: &LinearPrepared<F>,
        x: &[F],
        dy: &[F],
        grads: &mut Grads<F>,
        scratch: &mut Scratch<F>,
    ) {
        let n = x.len() / self.inputs;
        let dw = MatMut::new(self.weight.of_mut(grads), self.outputs, self.inputs);
        let (dy_t, x) = (Mat::new(dy, n, self.outputs).t(), Mat::new(x, n, self.inputs));
        gemm_unpacked_of(prepared.weight.operands(), dy_t, x, dw, Start::Add, scratch);
        rows::sum_add(dy, n, self.outputs, self.bias.of_mut(grads));
    }
}
