//! Products with constant matrices, and normalisations.

use elman_step::machine as step;

use super::flow::{Data, Dense, Flow, Lowered, count};
use super::lowerer::{Lowerer, refused};
use super::node::Call;
use crate::error::Result;
use crate::tensor::Tensor;

impl Lowerer<'_> {
    pub(super) fn matmul(&mut self, call: &Call) -> Result<Flow> {
        let part = call.part();
        match (call.input(0), call.input(1)) {
            (Some(Lowered::Flow(x)), Some(Lowered::Known { .. })) => {
                let weight = call.needs_known(1)?.clone();
                let [depth, units] = *weight.dims() else { return call.refuse("its weight is not a matrix") };
                let weight = transposed(&weight.to_f32(), depth, units);
                self.dense(call, x, weight, vec![0.0; units], depth)
            }
            // W x, for x whose columns are not steps.
            (Some(Lowered::Known { .. }), Some(Lowered::Flow(x))) => {
                let weight = call.needs_known(0)?.clone();
                let [units, depth] = *weight.dims() else { return call.refuse("its weight is not a matrix") };
                let rank = x.dims.len();
                if rank < 2 || x.dims[rank - 2] != depth || x.when.axis().is_some_and(|axis| axis + 2 == rank) {
                    return call.refuse("its input does not have the rows of its weight");
                }
                let (value, dims) = (self.value(x)?, x.step_dims());
                let mut swap: Vec<usize> = (0..rank).collect();
                swap.swap(rank - 2, rank - 1);
                let columns = self.permute(value, &dims, &swap, &part)?;
                let product =
                    self.builder.dense(&weight.to_f32(), &vec![0.0; units], step::Activation::Identity, columns);
                let product = product.map_err(|e| refused(&part, e.to_string()))?;
                let mut turned: Vec<usize> = swap.iter().map(|axis| dims[*axis]).collect();
                turned[rank - 1] = units;
                let value = self.permute(product, &turned, &swap, &part)?;
                let mut dims = x.dims.clone();
                dims[rank - 2] = units;
                Ok(Flow::of(value, dims, x.when))
            }
            _ => call.refuse("it multiplies two values that are both computed in steps"),
        }
    }

    pub(super) fn gemm(&mut self, call: &Call, [alpha, beta]: [f32; 2], trans_a: bool, trans_b: bool) -> Result<Flow> {
        let Some(Lowered::Flow(x)) = call.input(0) else {
            return call.refuse("its first input is not computed in steps");
        };
        if trans_a {
            return call.refuse("its input is transposed");
        }
        let b = call.needs_known(1)?;
        let [rows, cols] = *b.dims() else { return call.refuse("its weight is not a matrix") };
        let (depth, units) = if trans_b { (cols, rows) } else { (rows, cols) };
        let mut weight = if trans_b { b.to_f32() } else { transposed(&b.to_f32(), depth, units) };
        weight.iter_mut().for_each(|w| *w *= alpha);
        let bias = match call.known(2)? {
            None => vec![0.0; units],
            Some(c) if c.len() == 1 => vec![c.to_f32()[0] * beta; units],
            Some(c) if c.len() == units && c.dims().last() == Some(&units) => {
                c.to_f32().iter().map(|b| b * beta).collect()
            }
            Some(c) => return call.refuse(format!("its bias has the dimensions {:?}", c.dims())),
        };
        let x = x.clone();
        self.dense(call, &x, weight, bias, depth)
    }

    /// `W x + b` over the last axis; `weight` is `[O, I]`.
    fn dense(&mut self, call: &Call, x: &Flow, weight: Vec<f32>, bias: Vec<f32>, depth: usize) -> Result<Flow> {
        let last = x.dims.len().checked_sub(1);
        let Some(last) = last.filter(|last| x.dims[*last] == depth && x.when.axis() != Some(*last) && depth > 0) else {
            return call.refuse(format!("its input {:?} is not as wide as its weight, {depth}", x.step_dims()));
        };
        if x.lead != 0 {
            return call.refuse("it computes with steps that were padded in front of the sequence");
        }
        let mut dims = x.dims.clone();
        dims[last] = bias.len();
        let input = self.value(x)?;
        let dense = Dense { name: call.part(), weight, bias, activation: step::Activation::Identity, input };
        Ok(Flow { dtype: x.dtype, dims, when: x.when, lead: 0, data: Data::Dense(dense.into()) })
    }

    /// With the statistics of training: a factor and a shift for each channel.
    pub(super) fn batch_norm(&mut self, call: &Call, epsilon: f32) -> Result<Flow> {
        let flow = self.operand(call, 0)?;
        let [scale, bias, mean, var] = {
            let part = |i: usize| call.needs_known(i).map(Tensor::to_f32);
            [part(1)?, part(2)?, part(3)?, part(4)?]
        };
        let channels = flow.dims.get(1).copied().unwrap_or(0);
        if [&scale, &bias, &mean, &var].iter().any(|v| v.len() != channels) || flow.when.axis() == Some(1) {
            return call.refuse("its parameters do not fit its input");
        }
        let factor: Vec<f32> = scale.iter().zip(&var).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
        let shift: Vec<f32> = bias.iter().zip(&mean).zip(&factor).map(|((b, m), f)| b - m * f).collect();
        self.scale_and_shift(call, &flow, &factor, Some(&shift), 1)
    }

    /// `x * factor + shift`, both with a value for each index of the axes from `axis` on (those they have).
    fn scale_and_shift(
        &mut self,
        call: &Call,
        flow: &Flow,
        factor: &[f32],
        shift: Option<&[f32]>,
        axis: usize,
    ) -> Result<Flow> {
        let (part, dims) = (call.part(), flow.step_dims());
        if flow.lead != 0 {
            return call.refuse("it computes with steps that were padded in front of the sequence");
        }
        let fail = |e: elman_step::Error| refused(&part, e.to_string());
        // Repeated for the axes after those of the parameters; those before repeat by themselves.
        let mut inner = count(&dims[axis..]);
        if factor.is_empty() || !inner.is_multiple_of(factor.len()) {
            return call.refuse("its parameters do not fit its input");
        }
        inner /= factor.len();
        let each = |v: &[f32]| -> Vec<f32> { v.iter().flat_map(|x| core::iter::repeat_n(*x, inner)).collect() };
        let mut value = self.value(flow)?;
        let factor = self.builder.constant(&each(factor));
        value = self.builder.binary(step::Binary::Mul, value, factor).map_err(fail)?;
        if let Some(shift) = shift {
            let shift = self.builder.constant(&each(shift));
            value = self.builder.binary(step::Binary::Add, value, shift).map_err(fail)?;
        }
        Ok(Flow { data: Data::Value(value), ..flow.clone() })
    }

    pub(super) fn layer_norm(&mut self, call: &Call, axis: i64, epsilon: f32) -> Result<Flow> {
        let (flow, part) = (self.operand(call, 0)?, call.part());
        let axis = crate::builder::axis_of(&part, axis, flow.dims.len())?;
        if flow.when.axis().is_some_and(|time| time >= axis) || flow.lead != 0 {
            return call.refuse("it normalises over all steps, which needs the whole sequence");
        }
        let scale = call.needs_known(1)?.to_f32();
        let bias = call.known(2)?.map(Tensor::to_f32);
        let n = count(&flow.dims[axis..]);
        if scale.len() != n || bias.as_ref().is_some_and(|bias| bias.len() != n) {
            return call.refuse("its parameters do not fit its input");
        }
        let value = self.value(&flow)?;
        let value = self.builder.normalize(n, epsilon, value).map_err(|e| refused(&part, e.to_string()))?;
        let flow = Flow { data: Data::Value(value), ..flow };
        self.scale_and_shift(call, &flow, &scale, bias.as_deref(), axis)
    }

    pub(super) fn instance_norm(&mut self, call: &Call, epsilon: f32) -> Result<Flow> {
        let (flow, part) = (self.operand(call, 0)?, call.part());
        if flow.when.axis().is_some_and(|time| time >= 1) || flow.dims.len() < 3 || flow.lead != 0 {
            return call.refuse("it normalises over all steps, which needs the whole sequence");
        }
        let (scale, bias) = (call.needs_known(1)?.to_f32(), call.needs_known(2)?.to_f32());
        if scale.len() != flow.dims[1] || bias.len() != flow.dims[1] {
            return call.refuse("its parameters do not fit its input");
        }
        let n = count(&flow.dims[2..]);
        let value = self.value(&flow)?;
        let value = self.builder.normalize(n, epsilon, value).map_err(|e| refused(&part, e.to_string()))?;
        let flow = Flow { data: Data::Value(value), ..flow };
        self.scale_and_shift(call, &flow, &scale, Some(&bias), 1)
    }
}

/// `[depth, units]` as `[units, depth]`.
fn transposed(w: &[f32], depth: usize, units: usize) -> Vec<f32> {
    (0..units).flat_map(|unit| (0..depth).map(move |k| w[k * units + unit])).collect()
}
