//! One operator on its inputs.

use std::sync::Arc;

use super::product::Weights;
use super::{conv, elementwise, layout, product, recurrent, reduce};
use crate::error::{Error, Result};
use crate::graph::{Binary, Op, PoolKind, Reduce};
use crate::tensor::{Tensor, Values};

/// What a step keeps between runs.
#[derive(Default)]
pub(super) struct Kept {
    weights: Option<Weights>,
    convolution: Option<Vec<Weights>>,
    recurrent: Option<recurrent::Kept>,
}

/// Inputs of an operator, taken one by one.
struct Inputs(Vec<Option<Tensor>>);

impl Inputs {
    fn get(&self, i: usize) -> Option<&Tensor> {
        self.0.get(i).and_then(Option::as_ref)
    }

    fn need(&self, i: usize) -> Result<&Tensor> {
        self.get(i).ok_or_else(|| missing(i))
    }

    fn take(&mut self, i: usize) -> Result<Tensor> {
        self.0.get_mut(i).and_then(Option::take).ok_or_else(|| missing(i))
    }

    fn optional(&mut self, i: usize) -> Option<Tensor> {
        self.0.get_mut(i).and_then(Option::take)
    }
}

fn missing(i: usize) -> Error {
    Error::malformed(format!("input {}", i + 1), "it is missing")
}

/// The operator's results; `outputs` says how many are wanted at least, `constant` which inputs never change.
pub(super) fn evaluate(
    op: &Op,
    inputs: Vec<Option<Tensor>>,
    constant: &[bool],
    outputs: usize,
    kept: &mut Kept,
) -> Result<Vec<Tensor>> {
    let mut given = Inputs(inputs);
    let is_constant = |i: usize| constant.get(i).copied().unwrap_or(true);
    let i = &mut given;
    let one = match op {
        Op::Activation(f) => elementwise::activate(*f, i.take(0)?),
        Op::Unary(f) => elementwise::unary(*f, i.take(0)?),
        Op::Binary(f @ (Binary::Min | Binary::Max)) => {
            let mut all = i.0.drain(..).flatten();
            let first = all.next().ok_or_else(|| missing(0))?;
            all.try_fold(first, |a, b| elementwise::binary(*f, a, b))
        }
        Op::Binary(f) => {
            let a = i.take(0)?;
            elementwise::binary(*f, a, i.take(1)?)
        }
        Op::Clip => {
            let x = i.take(0)?;
            let min = i.optional(1);
            elementwise::clip(x, min, i.optional(2))
        }
        Op::Softmax { axis } => reduce::softmax(&i.take(0)?, *axis, false),
        Op::LogSoftmax { axis } => reduce::softmax(&i.take(0)?, *axis, true),
        Op::MatMul => {
            let kept = is_constant(1).then_some(&mut kept.weights);
            product::matmul(i.need(0)?, i.need(1)?, kept)
        }
        Op::Gemm { alpha, beta, trans_a, trans_b } => {
            let kept = is_constant(1).then_some(&mut kept.weights);
            product::gemm_op([i.need(0)?, i.need(1)?], i.get(2), (*alpha, *beta), (*trans_a, *trans_b), kept)
        }
        Op::Conv(c) => {
            let kept = is_constant(1).then_some(&mut kept.convolution);
            conv::conv(i.need(0)?, i.need(1)?, i.get(2), c, kept)
        }
        Op::ConvTranspose { conv: c, output_padding, output_shape } => {
            conv::conv_transpose(i.need(0)?, i.need(1)?, i.get(2), c, output_padding, output_shape.as_deref())
        }
        Op::Pool(p) => conv::pool(i.need(0)?, p),
        Op::GlobalPool(PoolKind::Max) => reduce::global_pool(i.need(0)?, Reduce::Max),
        Op::GlobalPool(PoolKind::Average) => reduce::global_pool(i.need(0)?, Reduce::Mean),
        Op::Einsum { equation } => product::einsum(equation, &i.0.drain(..).flatten().collect::<Vec<_>>()),
        Op::BatchNormalization { epsilon } => {
            let parts = [i.need(1)?, i.need(2)?, i.need(3)?, i.need(4)?];
            reduce::batch_normalization(i.need(0)?, parts, *epsilon)
        }
        Op::LayerNormalization { axis, epsilon } => {
            reduce::layer_normalization(i.need(0)?, i.need(1)?, i.get(2), *axis, *epsilon)
        }
        Op::InstanceNormalization { epsilon } => {
            reduce::instance_normalization(i.need(0)?, i.need(1)?, i.need(2)?, *epsilon)
        }
        Op::Reduce { reduce: f, keepdims, noop_with_empty_axes } => {
            reduce::reduce(*f, i.need(0)?, i.get(1), *keepdims, *noop_with_empty_axes)
        }
        Op::ArgExtreme { extreme, axis, keepdims, select_last } => {
            reduce::arg_extreme(*extreme, i.need(0)?, *axis, *keepdims, *select_last)
        }
        Op::TopK { axis, largest } => return reduce::top_k(i.need(0)?, i.need(1)?, *axis, *largest),
        Op::CumSum { exclusive, reverse } => reduce::cumulative_sum(i.need(0)?, i.need(1)?, *exclusive, *reverse),
        Op::Gather { axis } => layout::gather(i.need(0)?, i.need(1)?, *axis),
        Op::GatherElements { axis } => layout::gather_elements(i.need(0)?, i.need(1)?, *axis),
        Op::Slice => layout::slice(i.need(0)?, i.need(1)?, i.need(2)?, i.get(3), i.get(4)),
        Op::Split { axis } => return layout::split(i.need(0)?, *axis, i.get(1), outputs),
        Op::Concat { axis } => layout::concat(&i.0.drain(..).flatten().collect::<Vec<_>>(), *axis),
        Op::Reshape { allow_zero } => layout::reshape(i.need(0)?, i.need(1)?, *allow_zero),
        Op::Flatten { axis } => layout::flatten(i.need(0)?, *axis),
        Op::Transpose { perm } => layout::transpose(i.need(0)?, perm.as_deref()),
        Op::Squeeze => layout::squeeze(i.need(0)?, i.get(1)),
        Op::Unsqueeze => layout::unsqueeze(i.need(0)?, i.need(1)?),
        Op::Expand => layout::expand(i.need(0)?, i.need(1)?),
        Op::Tile => layout::tile(i.need(0)?, i.need(1)?),
        Op::Pad { mode } => layout::pad(i.need(0)?, i.need(1)?, i.get(2), i.get(3), *mode),
        Op::ScatterNd => layout::scatter_nd(i.need(0)?, i.need(1)?, i.need(2)?),
        Op::Range => layout::range(i.need(0)?, i.need(1)?, i.need(2)?),
        Op::Where => elementwise::choose(i.need(0)?, i.need(1)?, i.need(2)?),
        Op::Shape { start, end } => shape(i.need(0)?, *start, *end),
        Op::Size => Tensor::from_i64([], vec![i.need(0)?.len() as i64]),
        Op::ConstantOfShape => {
            let dims = layout::sizes("ConstantOfShape", i.need(0)?)?;
            match i.get(1) {
                Some(value) => reduce::filled(&dims, value),
                None => reduce::filled(&dims, &Tensor::zeros([1])?),
            }
        }
        Op::Cast { to } => i.need(0)?.cast(*to),
        Op::Identity => i.take(0),
        Op::ReverseSequence { time_axis, batch_axis } => {
            layout::reverse_sequence(i.need(0)?, i.need(1)?, *time_axis, *batch_axis)
        }
        Op::Recurrent(layer) => {
            let fixed = [1, 2, 3, 7, 8].into_iter().all(is_constant);
            return recurrent::run(layer, &i.0, fixed.then_some(&mut kept.recurrent)).map(Vec::from);
        }
        Op::If { .. } | Op::Loop { .. } | Op::Scan { .. } => Err(Error::malformed("a subgraph", "it is missing")),
    };
    one.map(|t| vec![t])
}

/// Dimensions from `start` to before `end`.
fn shape(x: &Tensor, start: i64, end: Option<i64>) -> Result<Tensor> {
    let rank = x.dims().len() as i64;
    let at = |i: i64| if i < 0 { i.saturating_add(rank) } else { i }.clamp(0, rank) as usize;
    let (start, end) = (at(start), at(end.unwrap_or(rank)));
    let dims: Vec<i64> = x.dims().get(start..end).unwrap_or_default().iter().map(|d| *d as i64).collect();
    Tensor::new(crate::tensor::Dtype::I64, vec![dims.len()], Values::I64(Arc::new(dims)))
}
