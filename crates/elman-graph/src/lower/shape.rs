//! Operators that move values: found by what they do to the numbers of the places.
//!
//! The node is computed once on the places of three steps, numbered step by step. If one axis of the result holds the three
//! steps, in order and with the same places, the operator does the same in every step; if only the third occurs, it takes
//! the last step. Anything else mixes steps.

use elman_step::machine::Value;

use super::flow::{Data, Flow, Lowered, When, count};
use super::lowerer::{Lowerer, PROBE, refused};
use super::node::Call;
use super::record::Carrier;
use crate::error::Result;
use crate::graph::{Op, PadMode};
use crate::interpret;
use crate::tensor::Tensor;

/// Steps of the trial run.
const STEPS: usize = 3;
/// Place of a padded zero.
const ZERO: i64 = -1;

impl Lowerer<'_> {
    /// Any operator that only moves, repeats or drops values, or pads them with zeros.
    pub(super) fn moved(&mut self, call: &Call) -> Result<Vec<Lowered>> {
        let flows: Vec<&Flow> = call
            .inputs
            .iter()
            .filter_map(|input| if let Some(Lowered::Flow(flow)) = input { Some(flow) } else { None })
            .collect();
        let Some(&first) = flows.first() else { return call.refuse("it has no input") };
        let part = call.part();
        let mut when = first.when;
        for flow in &flows {
            // Axes may differ: which is time is seen in the result.
            let same = flow.when.axis().is_some() && when.axis().is_some() && flow.when.pace() == when.pace();
            when = if same { when } else { self.moment(&part, when, flow.when)? };
            let keeps = matches!(call.node.op, Op::Transpose { .. } | Op::Squeeze | Op::Unsqueeze);
            if flow.lead != 0 && !keeps {
                return call.refuse("it moves steps that were padded in front of the sequence");
            }
        }
        let (places, dtype) = (self.places(call, &flows)?, first.dtype);
        let outputs = interpret::evaluate_op(&call.node.op, places.inputs, call.node.outputs.len())?;
        let steps = if matches!(when, When::Timed(..)) { STEPS } else { 1 };
        // Views of one value keep what is still to be added to it.
        if let ([output], [flow], None) = (&outputs[..], &flows[..], places.constant) {
            let step = step_of(output, steps, places.len).ok_or_else(|| refused(&part, MIXES))?;
            if step.last == 0 && step.places.iter().copied().eq(0..flow.step_len() as i64) {
                let (dims, when) = step.dims_and_when(when);
                return Ok(vec![Lowered::Flow(flow.with_dims(dims, when))]);
            }
        }
        let mut sources = Vec::new();
        for flow in &flows {
            sources.push(self.value(flow)?);
        }
        sources.extend(places.constant);
        let joint = match sources[..] {
            [one] => one,
            _ => self.builder.concat(&sources).map_err(|e| refused(&part, e.to_string()))?,
        };
        let mut results = Vec::new();
        for output in outputs {
            let step = step_of(&output, steps, places.len).ok_or_else(|| refused(&part, MIXES))?;
            let from: Vec<u32> = step.places.iter().map(|place| u32::try_from(*place).unwrap_or(u32::MAX)).collect();
            let value = self.builder.select(&from, joint).map_err(|e| refused(&part, e.to_string()))?;
            let (dims, when) = step.dims_and_when(when);
            results.push(Lowered::Flow(Flow { dtype, dims, when, lead: first.lead, data: Data::Value(value) }));
        }
        Ok(results)
    }

    /// The inputs of a trial run: of each flow its places, of constants among them theirs after those of the flows.
    fn places(&mut self, call: &Call, flows: &[&Flow]) -> Result<Places> {
        let mut next: i64 = 0;
        let mut len: i64 = flows.iter().map(|flow| flow.step_len() as i64).sum();
        let mut constants = Vec::new();
        let moves = |i: usize| call.node.op.moves(i);
        let mut inputs = Vec::new();
        let lengths: i64 = len
            + call
                .inputs
                .iter()
                .enumerate()
                .filter(|(i, _)| moves(*i))
                .map(|(_, input)| if let Some(Lowered::Known { tensor, .. }) = input { tensor.len() as i64 } else { 0 })
                .sum::<i64>();
        for (i, input) in call.inputs.iter().enumerate() {
            inputs.push(match input {
                None => None,
                Some(Lowered::Flow(flow)) => {
                    let first = next;
                    next += flow.step_len() as i64;
                    Some(numbered(flow, first, lengths)?)
                }
                Some(Lowered::Known { tensor, of_time }) if moves(i) => {
                    if *of_time {
                        return call.refuse("its input depends on the length of the sequence");
                    }
                    let first = len;
                    len += tensor.len() as i64;
                    constants.extend(tensor.to_f32());
                    // In every step the same, so it stands for none of them; see `step_of`.
                    let places = (first..len).map(|place| place + lengths * ANY).collect();
                    Some(Tensor::from_i64(tensor.dims(), places)?)
                }
                Some(Lowered::Known { tensor, of_time: true }) => Some(shortened(tensor)?),
                Some(Lowered::Known { tensor, .. }) => Some(tensor.clone()),
            });
        }
        let constant = (!constants.is_empty()).then(|| self.builder.constant(&constants));
        Ok(Places { inputs, constant, len: lengths })
    }

    /// Padding. Zero steps in front of the sequence wait for the convolution that reads them.
    pub(super) fn pad(&mut self, call: &Call, mode: PadMode) -> Result<Vec<Lowered>> {
        let Some(Lowered::Flow(flow)) = call.input(0) else { return call.refuse("it has no input") };
        let rank = flow.dims.len();
        let pads = call.needs_known(1)?.as_i64().unwrap_or_default().to_vec();
        if let Some(value) = call.known(2)?
            && value.to_f32().iter().any(|x| *x != 0.0)
        {
            return call.refuse("it pads with a value other than 0");
        }
        let axes = match call.known(3)? {
            Some(axes) => super::lowerer::axes_of(&call.part(), axes, rank)?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return call.refuse("its pads do not fit its axes");
        }
        let time = flow.when.axis().and_then(|time| axes.iter().position(|axis| *axis == time));
        if let Some(at) = time
            && (pads[at] != 0 || pads[at + axes.len()] != 0)
        {
            let others = pads.iter().enumerate().any(|(i, pad)| *pad != 0 && i != at);
            if mode != PadMode::Constant || others || pads[at] < 0 {
                return call.refuse("only zeros before the first step can be padded in steps");
            }
            let frames = usize::try_from(pads[at]).unwrap_or(0);
            let lead = flow.lead.saturating_add(frames);
            let (mut dims, outputs, axis) = (flow.dims.clone(), call.node.outputs.clone(), axes[at]);
            dims[axis] = frames;
            self.builder.carries(|| Carrier::Frames { outputs, axis, dims });
            return Ok(vec![Lowered::Flow(Flow { lead, ..flow.clone() })]);
        }
        // The trial run pads with the place of no value.
        let mut inputs = call.inputs.clone();
        inputs.truncate(2);
        inputs.push(Some(Lowered::Known { tensor: Tensor::from_i64([], vec![ZERO])?, of_time: false }));
        inputs.push(call.inputs.get(3).cloned().flatten());
        self.moved(&Call { node: call.node, inputs })
    }

    /// Rows of a constant table by tokens.
    pub(super) fn embedding(&mut self, call: &Call) -> Result<Flow> {
        let table = call.needs_known(0)?.clone();
        let Some(Lowered::Flow(tokens)) = call.input(1) else { return call.refuse("it has no tokens") };
        let [vocab, width] = *table.dims() else { return call.refuse("its table is not a matrix") };
        if vocab == 0 || width == 0 || !matches!(call.node.op, Op::Gather { axis: 0 | -2 }) {
            return call.refuse("only rows of a table are looked up in steps");
        }
        let embedded =
            super::flow::Embedded { name: call.part(), table: table.to_f32(), width, tokens: self.value(tokens)? };
        let mut dims = tokens.dims.clone();
        dims.push(width);
        let data = Data::Embedded(std::rc::Rc::new(embedded));
        Ok(Flow { dtype: table.dtype(), dims, when: tokens.when, lead: tokens.lead, data })
    }
}

const MIXES: &str = "it mixes steps, or reads others than the last";

struct Places {
    inputs: Vec<Option<Tensor>>,
    /// Values of constants, which follow those of the flows.
    constant: Option<Value>,
    /// Places of a step.
    len: i64,
}

/// The step of a constant's places.
const ANY: i64 = 1 << 20;

/// The places of three steps of a flow, or of its only one: the first has the numbers from `first` on, each later one
/// `len` more.
fn numbered(flow: &Flow, first: i64, len: i64) -> Result<Tensor> {
    let mut dims = flow.dims.clone();
    let Some(axis) = flow.when.axis() else {
        return Tensor::from_i64(dims, (first..first + flow.step_len() as i64).collect());
    };
    dims[axis] = STEPS;
    let (outer, inner) = (count(&dims[..axis]) as i64, count(&dims[axis + 1..]) as i64);
    let mut places = Vec::new();
    for o in 0..outer {
        for t in 0..STEPS as i64 {
            places.extend((0..inner).map(|i| first + t * len + o * inner + i));
        }
    }
    Tensor::from_i64(dims, places)
}

/// Dimensions computed from the sequence's length, as they would be with that of the trial run.
fn shortened(tensor: &Tensor) -> Result<Tensor> {
    let Some(values) = tensor.as_i64() else {
        return Err(refused("the length of the sequence", "it is computed with as a number"));
    };
    let probe = PROBE as i64;
    let short = |x: &i64| {
        // Beyond any multiple that dimensions reach: "to the end".
        if x.unsigned_abs() >= 1 << 40 {
            return *x;
        }
        let times = (x + x.signum() * probe / 2) / probe;
        x - times * probe + times * STEPS as i64
    };
    Tensor::from_i64(tensor.dims(), values.iter().map(short).collect())
}

/// What the operator does in a step.
struct Step {
    /// For every value of the result the place it comes from.
    places: Vec<i64>,
    /// Of the trial run.
    dims: Vec<usize>,
    /// The axis of time in the result.
    axis: Option<usize>,
    /// 1 if the result is the last step alone.
    last: usize,
}

impl Step {
    fn dims_and_when(&self, when: When) -> (Vec<usize>, When) {
        let mut dims = self.dims.clone();
        match (when, self.axis) {
            (When::Timed(_, pace), Some(axis)) => {
                dims[axis] = PROBE;
                (dims, When::Timed(axis, pace))
            }
            (When::Timed(..), None) => (dims, When::Final),
            (when, _) => (dims, when),
        }
    }
}

/// What the result of a trial run of `steps` steps of `len` places says; nothing if steps are mixed.
fn step_of(output: &Tensor, steps: usize, len: i64) -> Option<Step> {
    let (values, dims) = (output.as_i64()?, output.dims());
    let split = |place: i64| if place == ZERO { (ANY, ZERO) } else { (place / len, place % len) };
    if steps == 1 {
        let places = values.iter().map(|place| split(*place).1).collect();
        return Some(Step { places, dims: dims.into(), axis: None, last: 0 });
    }
    let last = steps as i64 - 1;
    if values.iter().all(|place| [last, ANY].contains(&split(*place).0)) {
        let places = values.iter().map(|place| split(*place).1).collect();
        return Some(Step { places, dims: dims.into(), axis: None, last: 1 });
    }
    (0..dims.len()).filter(|axis| dims[*axis] == steps).find_map(|axis| {
        let inner = count(&dims[axis + 1..]);
        let mut of: Vec<Vec<i64>> = vec![Vec::new(); steps];
        for (i, place) in values.iter().enumerate() {
            let t = i / inner.max(1) % steps;
            let (step, place) = split(*place);
            if step != t as i64 && step != ANY {
                return None;
            }
            of[t].push(place);
        }
        let same = of.iter().all(|places| *places == of[0]);
        same.then(|| Step { places: of.swap_remove(0), dims: dims.into(), axis: Some(axis), last: 0 })
    })
}

impl Flow {
    /// Values of a step.
    pub(super) fn step_len(&self) -> usize {
        count(&self.step_dims())
    }
}

impl Op {
    /// Whether an operator moves this input; the others say how.
    fn moves(&self, input: usize) -> bool {
        match self {
            Self::Concat { .. } => true,
            Self::ScatterNd => input == 0 || input == 2,
            _ => input == 0,
        }
    }
}
