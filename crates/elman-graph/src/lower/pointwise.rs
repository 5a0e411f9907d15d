//! Operators on single values, and reductions over axes other than time.

use elman_step::machine::{self as step, Reduction, Value};

use super::flow::{Data, Flow, Lowered, When, count};
use super::lowerer::{Lowerer, refused};
use super::node::Call;
use super::record::Carrier;
use crate::error::Result;
use crate::graph::{Activation, Binary, Op, PoolKind, Reduce, Unary};
use crate::interpret;
use crate::tensor::{Dtype, Tensor};

/// An activation as the machine's.
pub(super) fn activation(of: Activation) -> step::Activation {
    use step::Activation as Step;
    match of {
        Activation::Sigmoid => Step::Sigmoid,
        Activation::Tanh => Step::Tanh,
        Activation::Relu => Step::Relu,
        Activation::Affine { alpha, beta } if alpha == 1.0 && beta == 0.0 => Step::Identity,
        Activation::Affine { alpha, beta } => Step::Affine { alpha, beta },
        Activation::LeakyRelu { alpha } => Step::LeakyRelu { alpha },
        Activation::ThresholdedRelu { alpha } => Step::ThresholdedRelu { alpha },
        Activation::ScaledTanh { alpha, beta } => Step::ScaledTanh { alpha, beta },
        Activation::HardSigmoid { alpha, beta } => Step::HardSigmoid { alpha, beta },
        Activation::Elu { alpha } => Step::Elu { alpha },
        Activation::Selu { alpha, gamma } => Step::Selu { alpha, gamma },
        Activation::Softsign => Step::Softsign,
        Activation::Softplus => Step::Softplus,
        Activation::HardSwish => Step::HardSwish,
        Activation::Swish => Step::Silu,
        Activation::Exp => Step::Exp,
        Activation::Gelu { tanh } => Step::Gelu { tanh },
    }
}

impl Lowerer<'_> {
    /// Input `i` as a value of the machine.
    pub(super) fn operand(&mut self, call: &Call, i: usize) -> Result<Flow> {
        match call.input(i) {
            Some(Lowered::Flow(flow)) => Ok(flow.clone()),
            Some(Lowered::Known { .. }) => {
                let tensor = call.needs_known(i)?.clone();
                self.constant(&tensor)
            }
            None => call.refuse(format!("it has no input {i}")),
        }
    }

    pub(super) fn activation(&mut self, call: &Call, of: Activation) -> Result<Flow> {
        self.activate(call, activation(of))
    }

    fn activate(&mut self, call: &Call, activation: step::Activation) -> Result<Flow> {
        let flow = self.operand(call, 0)?;
        // Of padded zeros another value might become.
        if flow.lead != 0 {
            return call.refuse("it computes with steps that were padded in front of the sequence");
        }
        if let Data::Dense(dense) = &flow.data
            && dense.activation == step::Activation::Identity
        {
            let mut dense = (**dense).clone();
            dense.activation = activation;
            return Ok(Flow { data: Data::Dense(dense.into()), ..flow });
        }
        let value = self.value(&flow)?;
        Ok(Flow { data: Data::Value(self.builder.activate(activation, value)), ..flow })
    }

    pub(super) fn unary(&mut self, call: &Call, unary: Unary) -> Result<Flow> {
        self.activate(
            call,
            match unary {
                Unary::Neg => step::Activation::Neg,
                Unary::Abs => step::Activation::Abs,
                Unary::Sqrt => step::Activation::Sqrt,
                Unary::Reciprocal => step::Activation::Reciprocal,
                Unary::Log => step::Activation::Log,
                Unary::Erf => step::Activation::Erf,
                Unary::Not => step::Activation::Affine { alpha: -1.0, beta: 1.0 },
                other => return call.refuse(format!("{other:?} does not run in steps")),
            },
        )
    }

    pub(super) fn clip(&mut self, call: &Call) -> Result<Flow> {
        let bound = |i: usize, without: f32| -> Result<f32> {
            Ok(call.known(i)?.and_then(|tensor| tensor.to_f32().first().copied()).unwrap_or(without))
        };
        let (min, max) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
        self.activate(call, step::Activation::Clip { min, max })
    }

    pub(super) fn binary(&mut self, call: &Call, binary: Binary) -> Result<Flow> {
        if let Some(flow) = self.power(call, binary)? {
            return Ok(flow);
        }
        if binary == Binary::Add
            && let Some(flow) = self.bias(call)?
        {
            return Ok(flow);
        }
        let mut sum = self.operand(call, 0)?;
        for i in 1..call.inputs.len() {
            let next = self.operand(call, i)?;
            sum = self.pair(call, binary, &sum, &next, [&call.inputs[0], &call.inputs[i]])?;
        }
        Ok(sum)
    }

    /// `x` to a constant power.
    fn power(&mut self, call: &Call, binary: Binary) -> Result<Option<Flow>> {
        if binary != Binary::Pow {
            return Ok(None);
        }
        let exponent = call.needs_known(1)?.to_f32();
        let activation = match exponent[..] {
            [1.0] => step::Activation::Identity,
            [2.0] => step::Activation::Square,
            [0.5] => step::Activation::Sqrt,
            [-1.0] => step::Activation::Reciprocal,
            _ => return call.refuse("only the powers 1, 2, 0.5 and -1 are computed in steps"),
        };
        self.activate(call, activation).map(Some)
    }

    /// The bias of a dense layer that has none yet.
    fn bias(&mut self, call: &Call) -> Result<Option<Flow>> {
        let (Some(a), Some(b)) = (call.input(0), call.input(1)) else { return Ok(None) };
        let ((Lowered::Flow(flow), known) | (known, Lowered::Flow(flow))) = (a, b) else { return Ok(None) };
        let (Data::Dense(dense), Lowered::Known { tensor, of_time: false }) = (&flow.data, known) else {
            return Ok(None);
        };
        let units = dense.bias.len();
        let fits = tensor.dims().last() == Some(&units) && tensor.len() == units && flow.dims.last() == Some(&units);
        let free = dense.activation == step::Activation::Identity && dense.bias.iter().all(|b| *b == 0.0);
        if !fits || !free || tensor.dims().len() > flow.dims.len() {
            return Ok(None);
        }
        let mut dense = (**dense).clone();
        dense.bias = tensor.to_f32();
        Ok(Some(Flow { data: Data::Dense(dense.into()), ..flow.clone() }))
    }

    fn pair(&mut self, call: &Call, binary: Binary, a: &Flow, b: &Flow, from: [&Option<Lowered>; 2]) -> Result<Flow> {
        use step::Binary as Step;
        let truth = Dtype::Bool;
        let (function, swap, dtype) = match binary {
            Binary::Add => (Step::Add, false, a.dtype),
            Binary::Sub => (Step::Sub, false, a.dtype),
            Binary::Mul => (Step::Mul, false, a.dtype),
            Binary::Div if a.dtype.is_float() => (Step::Div, false, a.dtype),
            Binary::Min => (Step::Min, false, a.dtype),
            Binary::Max => (Step::Max, false, a.dtype),
            Binary::PRelu => (Step::Prelu, false, a.dtype),
            Binary::Equal => (Step::Equal, false, truth),
            Binary::Greater => (Step::Greater, false, truth),
            Binary::Less => (Step::Greater, true, truth),
            Binary::GreaterOrEqual => (Step::GreaterOrEqual, false, truth),
            Binary::LessOrEqual => (Step::GreaterOrEqual, true, truth),
            Binary::And => (Step::Mul, false, truth),
            Binary::Or => (Step::Max, false, truth),
            other => return call.refuse(format!("{other:?} does not run in steps")),
        };
        let (x, y, dims, when) = self.broadcast(call, a, b, from)?;
        let (x, y) = if swap { (y, x) } else { (x, y) };
        let value = self.builder.binary(function, x, y).map_err(|e| refused(&call.part(), e.to_string()))?;
        Ok(Flow { dtype, ..Flow::of(value, dims, when) })
    }

    /// Two operands, of which the shorter repeats, the dimensions of the result, and its moment.
    fn broadcast(
        &mut self,
        call: &Call,
        a: &Flow,
        b: &Flow,
        from: [&Option<Lowered>; 2],
    ) -> Result<(Value, Value, Vec<usize>, When)> {
        let part = call.part();
        if a.lead != 0 || b.lead != 0 {
            return call.refuse("it computes with steps that were padded in front of the sequence");
        }
        let rank = a.dims.len().max(b.dims.len());
        // Axes are aligned at the last.
        let widen = |flow: &Flow| {
            let missing = rank - flow.dims.len();
            let dims: Vec<usize> = core::iter::repeat_n(1, missing).chain(flow.dims.iter().copied()).collect();
            let when = match flow.when {
                When::Timed(axis, pace) => When::Timed(axis + missing, pace),
                when => when,
            };
            flow.with_dims(dims, when)
        };
        let (a, b) = (widen(a), widen(b));
        // What is known belongs to every moment.
        let when = match from.map(|input| matches!(input, Some(Lowered::Known { .. }))) {
            [true, _] => b.when,
            [_, true] => a.when,
            _ => self.moment(&part, a.when, b.when)?,
        };
        let (in_step_a, in_step_b) = (a.step_dims(), b.step_dims());
        let mut dims = Vec::new();
        for (axis, (p, q)) in in_step_a.iter().zip(&in_step_b).enumerate() {
            let n = match (p, q) {
                (1, n) | (n, 1) => *n,
                (p, q) if p == q => *p,
                (p, q) => return call.refuse(format!("axis {axis} has {p} values of one input and {q} of the other")),
            };
            if when.axis() == Some(axis) && n != 1 {
                return call.refuse("it combines steps with a constant that has a length of its own");
            }
            dims.push(n);
        }
        let (x, y) = (self.value(&a)?, self.value(&b)?);
        let (x, y) = (self.stretch(x, &in_step_a, &dims, &part)?, self.stretch(y, &in_step_b, &dims, &part)?);
        let (x, y) = match (x.len().max(y.len()) == count(&dims), dims.len()) {
            (true, _) => (x, y),
            _ => (self.repeat(x, count(&dims), &part)?, y),
        };
        if let Some(axis) = when.axis() {
            dims[axis] = super::lowerer::PROBE;
        }
        Ok((x, y, dims, when))
    }

    /// A value of dimensions `from` in dimensions `to`; left alone where repeating it as it lies does that.
    fn stretch(&mut self, value: Value, from: &[usize], to: &[usize], part: &str) -> Result<Value> {
        let first = from.iter().position(|n| *n != 1).unwrap_or(from.len());
        if from[first..] == to[first..] || count(from) == 1 {
            return Ok(value);
        }
        let places = Tensor::from_i64(from, (0..value.len() as i64).collect())?;
        let shape = Tensor::from_i64([to.len()], to.iter().map(|n| *n as i64).collect())?;
        self.select(value, &interpret::evaluate_op(&Op::Expand, vec![Some(places), Some(shape)], 1)?, part)
    }

    /// A value again and again, to `len` values.
    fn repeat(&mut self, value: Value, len: usize, part: &str) -> Result<Value> {
        let n = value.len() as u32;
        let from: Vec<u32> = (0..len as u32).map(|i| i % n).collect();
        self.builder.select(&from, value).map_err(|e| refused(part, e.to_string()))
    }

    /// The values whose places a trial run returned.
    pub(super) fn select(&mut self, value: Value, places: &[Tensor], part: &str) -> Result<Value> {
        let places = places.first().and_then(Tensor::as_i64).unwrap_or_default();
        let from: Vec<u32> = places.iter().map(|place| u32::try_from(*place).unwrap_or(u32::MAX)).collect();
        self.builder.select(&from, value).map_err(|e| refused(part, e.to_string()))
    }

    pub(super) fn choose(&mut self, call: &Call) -> Result<Flow> {
        let (condition, a, b) = (self.operand(call, 0)?, self.operand(call, 1)?, self.operand(call, 2)?);
        let part = call.part();
        let (x, y, dims, when) = self.broadcast(call, &a, &b, [&call.inputs[1], &call.inputs[2]])?;
        // Broadcast twice: what the first two become is broadcast against the condition.
        let joint = Flow { dtype: a.dtype, ..Flow::of(x, dims.clone(), when) };
        let constant = [1, 2].map(|i| matches!(call.input(i), Some(Lowered::Known { .. })));
        let joint_from = if constant == [true; 2] { &call.inputs[1] } else { &None };
        let (c, _, dims, when) = self.broadcast(call, &condition, &joint, [&call.inputs[0], joint_from])?;
        let len = count(&super::flow::step_dims(&dims, when.axis()));
        let fill = |lowerer: &mut Self, value: Value| {
            if value.len() == len { Ok(value) } else { lowerer.repeat(value, len, &part) }
        };
        if x.len().max(y.len()) != len && x.len().max(y.len()) != 1 {
            return call.refuse("its condition has more values than what it chooses from");
        }
        let (c, x, y) = (fill(self, c)?, fill(self, x)?, fill(self, y)?);
        let value = self.builder.choose(c, x, y).map_err(|e| refused(&part, e.to_string()))?;
        Ok(Flow { dtype: a.dtype, ..Flow::of(value, dims, when) })
    }

    /// The value with some axes moved behind the others: dimensions of the others, and of those.
    pub(super) fn behind(&mut self, flow: &Flow, axes: &[usize], part: &str) -> Result<(Value, Vec<usize>, usize)> {
        let (dims, value) = (flow.step_dims(), self.value(flow)?);
        let kept: Vec<usize> = (0..dims.len()).filter(|axis| !axes.contains(axis)).collect();
        let perm: Vec<usize> = kept.iter().chain(axes).copied().collect();
        let value = self.permute(value, &dims, &perm, part)?;
        let n = axes.iter().map(|axis| dims[*axis]).product();
        Ok((value, kept.iter().map(|axis| dims[*axis]).collect(), n))
    }

    pub(super) fn permute(&mut self, value: Value, dims: &[usize], perm: &[usize], part: &str) -> Result<Value> {
        let places = Tensor::from_i64(dims, (0..value.len() as i64).collect())?;
        let op = Op::Transpose { perm: Some(perm.to_vec()) };
        self.select(value, &interpret::evaluate_op(&op, vec![Some(places)], 1)?, part)
    }

    pub(super) fn softmax(&mut self, call: &Call, axis: i64, log: bool) -> Result<Flow> {
        let (flow, part) = (self.operand(call, 0)?, call.part());
        let axis = crate::builder::axis_of(&part, axis, flow.dims.len())?;
        if flow.when.axis() == Some(axis) {
            return call.refuse("softmax over all steps needs the whole sequence");
        }
        let (value, kept, n) = self.behind(&flow, &[axis], &part)?;
        let fail = |e: elman_step::Error| refused(&part, e.to_string());
        let value = if log {
            let largest = self.builder.reduce(Reduction::Max, n, 1, value).map_err(fail)?;
            let largest = self.each(largest, n, &part)?;
            let shifted = self.builder.binary(step::Binary::Sub, value, largest).map_err(fail)?;
            let exp = self.builder.activate(step::Activation::Exp, shifted);
            let sum = self.builder.reduce(Reduction::Sum, n, 1, exp).map_err(fail)?;
            let sum = self.builder.activate(step::Activation::Log, sum);
            let sum = self.each(sum, n, &part)?;
            self.builder.binary(step::Binary::Sub, shifted, sum).map_err(fail)?
        } else {
            self.builder.softmax(n, value).map_err(fail)?
        };
        // Back to where the axis was.
        let mut dims = kept;
        dims.push(n);
        let mut perm: Vec<usize> = (0..dims.len() - 1).collect();
        perm.insert(axis, dims.len() - 1);
        let value = self.permute(value, &dims, &perm, &part)?;
        Ok(Flow { data: Data::Value(value), ..flow })
    }

    /// Every value `n` times.
    fn each(&mut self, value: Value, n: usize, part: &str) -> Result<Value> {
        let from: Vec<u32> = (0..value.len() as u32).flat_map(|i| core::iter::repeat_n(i, n)).collect();
        self.builder.select(&from, value).map_err(|e| refused(part, e.to_string()))
    }

    pub(super) fn global_pool(&mut self, call: &Call, kind: PoolKind) -> Result<Flow> {
        let flow = self.operand(call, 0)?;
        let axes: Vec<usize> = (2..flow.dims.len()).collect();
        let reduce = if kind == PoolKind::Max { Reduce::Max } else { Reduce::Mean };
        self.reduced(call, &flow, reduce, &axes, true)
    }

    pub(super) fn reduce(&mut self, call: &Call, of: Reduce, keepdims: bool, noop: bool) -> Result<Flow> {
        let (flow, axes) = (self.operand(call, 0)?, call.known(1)?);
        let rank = flow.dims.len();
        let axes = match axes.filter(|axes| !axes.is_empty()) {
            Some(axes) => super::lowerer::axes_of(&call.part(), axes, rank)?,
            None if noop => return Ok(flow),
            None => (0..rank).collect(),
        };
        self.reduced(call, &flow, of, &axes, keepdims)
    }

    fn reduced(&mut self, call: &Call, flow: &Flow, of: Reduce, axes: &[usize], keepdims: bool) -> Result<Flow> {
        let part = call.part();
        let fail = |e: elman_step::Error| refused(&part, e.to_string());
        if flow.lead != 0 {
            return call.refuse("it computes with steps that were padded in front of the sequence");
        }
        let over_time = flow.when.axis().filter(|axis| axes.contains(axis));
        let reduction = match of {
            Reduce::Sum | Reduce::L1 | Reduce::SumSquare => Reduction::Sum,
            Reduce::Mean => Reduction::Mean,
            Reduce::Max => Reduction::Max,
            Reduce::Min => Reduction::Min,
            Reduce::L2 => Reduction::L2,
            other => return call.refuse(format!("{other:?} does not run in steps")),
        };
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        let (mut value, _, n) = self.behind(flow, &sorted, &part)?;
        match of {
            Reduce::L1 => value = self.builder.activate(step::Activation::Abs, value),
            Reduce::SumSquare => value = self.builder.activate(step::Activation::Square, value),
            _ => {}
        }
        if over_time.is_some() && reduction == Reduction::L2 {
            return call.refuse("the norm over all steps needs the whole sequence");
        }
        value = self.builder.reduce(reduction, n, 1, value).map_err(fail)?;
        let mut when = flow.when;
        if over_time.is_some() {
            value = self.running(reduction, value, &part)?;
            when = When::Final;
        }
        let mut dims = flow.dims.clone();
        for axis in sorted.iter().rev() {
            if keepdims {
                dims[*axis] = 1;
            } else {
                dims.remove(*axis);
                if let When::Timed(time, _) = &mut when
                    && *time > *axis
                {
                    *time -= 1;
                }
            }
        }
        Ok(Flow { dtype: flow.dtype, ..Flow::of(value, dims, when) })
    }

    /// A reduction over the steps so far.
    fn running(&mut self, reduction: Reduction, value: Value, part: &str) -> Result<Value> {
        let fail = |e: elman_step::Error| refused(part, e.to_string());
        let (initial, function) = match reduction {
            Reduction::Max => (f32::NEG_INFINITY, step::Binary::Max),
            Reduction::Min => (f32::INFINITY, step::Binary::Min),
            _ => (0.0, step::Binary::Add),
        };
        self.builder.carries(|| Carrier::Running { part: part.into() });
        let so_far = self.builder.state(&vec![initial; value.len()]);
        let now = self.builder.binary(function, so_far, value).map_err(fail)?;
        self.builder.carry(so_far, now).map_err(fail)?;
        if reduction != Reduction::Mean {
            return Ok(now);
        }
        let (steps, one) = (self.builder.state(&[0.0]), self.builder.constant(&[1.0]));
        let one = self.builder.beside(one, value);
        let count = self.builder.binary(step::Binary::Add, steps, one).map_err(fail)?;
        self.builder.carry(steps, count).map_err(fail)?;
        self.builder.binary(step::Binary::Div, now, count).map_err(fail)
    }

    pub(super) fn cumulative_sum(&mut self, call: &Call, exclusive: bool, reverse: bool) -> Result<Flow> {
        let (flow, part) = (self.operand(call, 0)?, call.part());
        let axis = call.needs_known(1)?.as_i64().and_then(|axis| axis.first().copied()).unwrap_or(0);
        let axis = crate::builder::axis_of(&part, axis, flow.dims.len())?;
        if flow.when.axis() != Some(axis) || exclusive || reverse || flow.lead != 0 {
            return call.refuse("only a sum of the steps so far runs in steps");
        }
        let value = self.value(&flow)?;
        let value = self.running(Reduction::Sum, value, &part)?;
        Ok(Flow { data: Data::Value(value), ..flow })
    }
}
