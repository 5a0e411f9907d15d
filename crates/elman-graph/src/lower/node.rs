//! One node: what is known is computed now, the rest becomes instructions.

use elman_step::machine as step;

use super::flow::{Data, Flow, Lowered, When, count};
use super::lowerer::{Lowerer, PROBE, missing, refused};
use crate::error::Result;
use crate::graph::{Body, Node, Op};
use crate::interpret;
use crate::tensor::{Dtype, Tensor};

/// A node and its inputs.
pub(super) struct Call<'a> {
    pub(super) node: &'a Node,
    pub(super) inputs: Vec<Option<Lowered>>,
}

impl Call<'_> {
    /// The node's name for messages: its own, or that of its first output.
    pub(super) fn part(&self) -> String {
        part(self.node)
    }

    pub(super) fn refuse<T>(&self, reason: impl Into<String>) -> Result<T> {
        Err(refused(&self.part(), reason))
    }

    pub(super) fn input(&self, i: usize) -> Option<&Lowered> {
        self.inputs.get(i).and_then(Option::as_ref)
    }

    /// Input `i`, known before the first step and for any length.
    pub(super) fn known(&self, i: usize) -> Result<Option<&Tensor>> {
        match self.input(i) {
            None => Ok(None),
            Some(Lowered::Known { tensor, of_time: false }) => Ok(Some(tensor)),
            Some(Lowered::Known { .. }) => self.refuse("its weights depend on the length of the sequence"),
            Some(Lowered::Flow(_)) => self.refuse(format!("input {i} is computed in every step, not a constant")),
        }
    }

    /// Input `i`, which must be there, known before the first step.
    pub(super) fn needs_known(&self, i: usize) -> Result<&Tensor> {
        self.known(i)?.ok_or_else(|| missing(&format!("input {i}"), &self.part()))
    }
}

pub(super) fn part(node: &Node) -> String {
    let first = node.outputs.iter().find(|name| !name.is_empty());
    if node.name.is_empty() { first.cloned().unwrap_or_default() } else { node.name.clone() }
}

impl Lowerer<'_> {
    pub(super) fn node(&mut self, node: &Node) -> Result<()> {
        let part = part(node);
        let inputs = node
            .inputs
            .iter()
            .map(|name| if name.is_empty() { Ok(None) } else { self.get(name, &part).map(Some) })
            .collect::<Result<Vec<_>>>()?;
        let call = Call { node, inputs };
        if let Op::If { then_branch, else_branch } = &node.op {
            let Some(condition) = call.needs_known(0)?.to_f32().first().copied() else {
                return call.refuse("its condition is empty");
            };
            return self.branch(node, if condition != 0.0 { then_branch } else { else_branch });
        }
        let outputs = match (&node.op, call.input(0)) {
            (Op::Shape { start, end }, Some(Lowered::Flow(flow))) => vec![shape_of(flow, *start, *end)?],
            (Op::Size, Some(Lowered::Flow(flow))) => {
                vec![ints([], vec![count(&flow.dims) as i64], flow.when.axis().is_some())?]
            }
            (Op::Loop { .. } | Op::Scan { .. }, _) => return call.refuse("loops do not run in steps"),
            _ if call.inputs.iter().flatten().all(|input| matches!(input, Lowered::Known { .. })) => fold(&call)?,
            _ => self.flow(&call)?,
        };
        for (name, output) in node.outputs.iter().zip(outputs) {
            if !name.is_empty() {
                self.put(name, output)?;
            }
        }
        Ok(())
    }

    /// The nodes of the branch that is taken, as if they stood in its place.
    fn branch(&mut self, node: &Node, body: &Body) -> Result<()> {
        self.nodes(&body.nodes)?;
        for (name, inner) in node.outputs.iter().zip(&body.outputs) {
            let lowered = self.get(inner, &part(node))?;
            self.put(name, lowered)?;
        }
        Ok(())
    }

    fn flow(&mut self, call: &Call) -> Result<Vec<Lowered>> {
        let one = |flow: Flow| Ok(vec![Lowered::Flow(flow)]);
        match &call.node.op {
            Op::Activation(activation) => one(self.activation(call, *activation)?),
            Op::Unary(unary) => one(self.unary(call, *unary)?),
            Op::Binary(binary) => one(self.binary(call, *binary)?),
            Op::Clip => one(self.clip(call)?),
            Op::Where => one(self.choose(call)?),
            Op::Softmax { axis } => one(self.softmax(call, *axis, false)?),
            Op::LogSoftmax { axis } => one(self.softmax(call, *axis, true)?),
            Op::MatMul => one(self.matmul(call)?),
            Op::Gemm { alpha, beta, trans_a, trans_b } => one(self.gemm(call, [*alpha, *beta], *trans_a, *trans_b)?),
            Op::Conv(conv) => one(self.conv(call, conv)?),
            Op::Pool(pool) => one(self.pool(call, pool)?),
            Op::GlobalPool(kind) => one(self.global_pool(call, *kind)?),
            Op::BatchNormalization { epsilon } => one(self.batch_norm(call, *epsilon)?),
            Op::LayerNormalization { axis, epsilon } => one(self.layer_norm(call, *axis, *epsilon)?),
            Op::InstanceNormalization { epsilon } => one(self.instance_norm(call, *epsilon)?),
            Op::Reduce { reduce, keepdims, noop_with_empty_axes } => {
                one(self.reduce(call, *reduce, *keepdims, *noop_with_empty_axes)?)
            }
            Op::CumSum { exclusive, reverse } => one(self.cumulative_sum(call, *exclusive, *reverse)?),
            Op::Recurrent(recurrent) => self.recurrent(call, recurrent),
            Op::Cast { to } => one(self.cast(call, *to)?),
            Op::Identity => match call.input(0) {
                Some(Lowered::Flow(flow)) => one(flow.clone()),
                _ => call.refuse("it has no input"),
            },
            Op::Gather { .. } if matches!(call.input(1), Some(Lowered::Flow(_))) => one(self.embedding(call)?),
            Op::Pad { mode } => self.pad(call, *mode),
            Op::Slice
            | Op::Split { .. }
            | Op::Concat { .. }
            | Op::Reshape { .. }
            | Op::Flatten { .. }
            | Op::Transpose { .. }
            | Op::Squeeze
            | Op::Unsqueeze
            | Op::Expand
            | Op::Tile
            | Op::Gather { .. }
            | Op::GatherElements { .. }
            | Op::ScatterNd => self.moved(call),
            op => call.refuse(format!("{} does not run in steps", name_of(op))),
        }
    }

    fn cast(&mut self, call: &Call, to: Dtype) -> Result<Flow> {
        let Some(Lowered::Flow(flow)) = call.input(0) else { return call.refuse("it has no input") };
        let exact = to.is_float() || !flow.dtype.is_float();
        if !exact || to == Dtype::Bool || matches!(to, Dtype::F16 | Dtype::Bf16) {
            return call.refuse(format!("values of a step are not rounded to {to}"));
        }
        Ok(Flow { dtype: to, ..flow.clone() })
    }
}

/// The operator's name as its variant is spelled.
fn name_of(op: &Op) -> String {
    let debug = format!("{op:?}");
    debug.split([' ', '(', '{']).next().unwrap_or_default().to_string()
}

/// Computes a node whose inputs are all known.
fn fold(call: &Call) -> Result<Vec<Lowered>> {
    let tensor = |input: &Option<Lowered>| match input {
        Some(Lowered::Known { tensor, .. }) => Some(tensor.clone()),
        _ => None,
    };
    let inputs: Vec<Option<Tensor>> = call.inputs.iter().map(tensor).collect();
    let of_time = call.inputs.iter().flatten().any(|input| matches!(input, Lowered::Known { of_time: true, .. }));
    let outputs = interpret::evaluate_op(&call.node.op, inputs, call.node.outputs.len())?;
    let known = |tensor: Tensor| Lowered::Known { of_time: of_time && !is_free_of_time(&tensor), tensor };
    Ok(outputs.into_iter().map(known).collect())
}

/// Whether no element of what was computed from dimensions is the length of the sequence or close to a multiple of it.
fn is_free_of_time(tensor: &Tensor) -> bool {
    tensor.as_i64().is_some_and(|values| values.iter().all(|x| x.unsigned_abs() < PROBE as u64 / 2))
        && count(tensor.dims()) < PROBE / 2
}

fn ints(dims: impl Into<Vec<usize>>, values: Vec<i64>, of_time: bool) -> Result<Lowered> {
    let tensor = Tensor::from_i64(dims, values)?;
    Ok(Lowered::Known { of_time: of_time && !is_free_of_time(&tensor), tensor })
}

fn shape_of(flow: &Flow, start: i64, end: Option<i64>) -> Result<Lowered> {
    let rank = flow.dims.len() as i64;
    let clamp = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let (start, end) = (clamp(start), end.map_or(flow.dims.len(), clamp));
    let dims: Vec<i64> = flow.dims.iter().take(end).skip(start).map(|n| *n as i64).collect();
    ints([dims.len()], dims, flow.when.axis().is_some())
}

impl Flow {
    /// A value of float32 that the machine computes.
    pub(super) fn of(value: step::Value, dims: Vec<usize>, when: When) -> Flow {
        Flow { dtype: Dtype::F32, dims, when, lead: 0, data: Data::Value(value) }
    }
}
