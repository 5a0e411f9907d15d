//! Instructions as they are given to a machine's builder, kept for writers of source code.

use std::rc::Rc;

use elman_step::machine::{
    Activation, Binary, Builder, Machine, Pace, PackedLayer, Recurrence, RecurrentKind, Reduction, Value,
};
use elman_step::{Error, Precision, Source};

use crate::tensor::Tensor;

type Result<T> = std::result::Result<T, Error>;

/// What a step computes, over values of a machine's memory.
pub(crate) enum Operation {
    Copy { from: Value, to: Value },
    Recurrent { layer: Rc<OwnedRecurrence>, input: Value, state: Value, next: Value },
    Dense { weight: Vec<f32>, bias: Vec<f32>, activation: Activation, input: Value, output: Value },
    Activate { activation: Activation, input: Value, output: Value },
    Binary { function: Binary, a: Value, b: Value, output: Value },
    Choose { condition: Value, a: Value, b: Value, output: Value },
    Embed { table: Vec<f32>, width: usize, tokens: Value, output: Value },
    Select { from: Vec<u32>, input: Value, output: Value },
    Delay { ring: usize, ages: Vec<usize>, input: Value, output: Value },
    Reduce { reduction: Reduction, n: usize, inner: usize, input: Value, output: Value },
    Softmax { width: usize, input: Value, output: Value },
    Normalize { width: usize, epsilon: f32, input: Value, output: Value },
}

/// [`Recurrence`] with its weights, for one row.
pub(crate) struct OwnedRecurrence {
    pub(crate) kind: RecurrentKind,
    pub(crate) hidden: usize,
    pub(crate) width: usize,
    pub(crate) inputs: usize,
    pub(crate) w_ih: Vec<f32>,
    pub(crate) w_hh: Vec<f32>,
    pub(crate) b_ih: Vec<f32>,
    pub(crate) b_hh: Vec<f32>,
    pub(crate) peephole: Option<Vec<f32>>,
    pub(crate) projection: Option<Vec<f32>>,
    pub(crate) activations: [Activation; 3],
    pub(crate) clip: Option<f32>,
    pub(crate) input_forget: bool,
}

/// What a node carries from one step to the next.
pub(crate) enum Carrier {
    /// The state of a recurrent layer, which the graph does not carry itself; and its value before the first step.
    Recurrent { outputs: Vec<String>, h: Option<Tensor>, c: Option<Tensor>, width: usize },
    /// Steps before this one, which a convolution or padding in front of it reads: dimensions of those of one sequence.
    Frames { outputs: Vec<String>, axis: usize, dims: Vec<usize> },
    /// A stride, or the steps that it waits for at the beginning.
    Thinned { part: String },
    /// A sum or extreme of all steps so far.
    Running { part: String },
}

/// A step: its operations and memory.
#[derive(Default)]
pub(crate) struct Recording {
    /// Each with the steps in which it is done.
    pub(crate) operations: Vec<(Operation, Pace)>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) outputs: Vec<Value>,
    pub(crate) constants: Vec<f32>,
    pub(crate) initial: Vec<f32>,
    /// States, what they become, and in which steps.
    pub(crate) carries: Vec<(Value, Value, Pace)>,
    /// Values computed in a step.
    pub(crate) arena: usize,
    /// What nodes carry.
    pub(crate) carriers: Vec<Carrier>,
}

/// A [`Builder`] that keeps what it is given, if wanted; its methods are those of the builder.
pub(super) struct Recorder {
    builder: Builder,
    kept: Option<Recording>,
}

/// A layer packed by a [`Recorder`].
pub(super) struct Packed {
    layer: PackedLayer,
    kept: Option<Rc<OwnedRecurrence>>,
}

impl Recorder {
    pub(super) fn new(precision: Precision, keep: bool) -> Self {
        Recorder { builder: Builder::new(precision), kept: keep.then(Recording::default) }
    }

    /// Keeps an operation that writes `output`.
    fn keep(&mut self, output: Value, operation: impl FnOnce() -> Operation) -> Value {
        if let Some(kept) = &mut self.kept {
            kept.arena = kept.arena.max(output.start() + output.len());
            kept.operations.push((operation(), self.builder.pace(output)));
        }
        output
    }

    /// Notes what a node carries.
    pub(super) fn carries(&mut self, carrier: impl FnOnce() -> Carrier) {
        if let Some(kept) = &mut self.kept {
            kept.carriers.push(carrier());
        }
    }

    pub(super) fn input(&mut self, width: usize) -> Result<Value> {
        let value = self.builder.input(width)?;
        if let Some(kept) = &mut self.kept {
            kept.inputs.push(value);
            kept.arena = kept.arena.max(value.start() + value.len());
        }
        Ok(value)
    }

    pub(super) fn constant(&mut self, values: &[f32]) -> Value {
        if let Some(kept) = &mut self.kept {
            kept.constants.extend_from_slice(values);
        }
        self.builder.constant(values)
    }

    pub(super) fn state(&mut self, initial: &[f32]) -> Value {
        self.builder.state(initial)
    }

    pub(super) fn carry(&mut self, state: Value, next: Value) -> Result<()> {
        if let Some(kept) = &mut self.kept
            && state != next
        {
            kept.carries.push((state, next, self.builder.pace(next)));
        }
        self.builder.carry(state, next)
    }

    pub(super) fn output(&mut self, value: Value) {
        if let Some(kept) = &mut self.kept {
            kept.outputs.push(value);
        }
        self.builder.output(value);
    }

    pub(super) fn pack(&mut self, of: &Recurrence, inputs: usize) -> Result<Packed> {
        let layer = self.builder.pack(of, inputs)?;
        let kept = self.kept.is_some().then(|| Rc::new(OwnedRecurrence::new(of, inputs)));
        Ok(Packed { layer, kept })
    }

    pub(super) fn recurrent_rows(&mut self, packed: &Packed, input: Value, state: Value) -> Result<Value> {
        let next = self.builder.recurrent_rows(&packed.layer, input, state)?;
        if let Some(layer) = &packed.kept {
            self.rows(layer, input, state, next);
        }
        Ok(next)
    }

    /// Rows one by one: their states lie apart, `h` of all before `c` of all.
    fn rows(&mut self, layer: &Rc<OwnedRecurrence>, input: Value, state: Value, next: Value) {
        let operation = Operation::Recurrent { layer: layer.clone(), input, state, next };
        self.keep(next, || operation);
    }

    pub(super) fn recurrent_tokens(
        &mut self,
        of: &Recurrence,
        source: Source,
        token: Value,
        state: Value,
    ) -> Result<Value> {
        if self.kept.is_some()
            && let Source::Embedded { width, embedding, .. } = source
        {
            // A table of products would be larger than the weights.
            let x = self.embedding(embedding, width, token)?;
            let packed = self.pack(of, width)?;
            return self.recurrent_rows(&packed, x, state);
        }
        self.builder.recurrent_tokens(of, source, token, state)
    }

    pub(super) fn dense(
        &mut self,
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
        input: Value,
    ) -> Result<Value> {
        let output = self.builder.dense(weight, bias, activation, input)?;
        let dense = || Operation::Dense { weight: weight.into(), bias: bias.into(), activation, input, output };
        Ok(self.keep(output, dense))
    }

    pub(super) fn activate(&mut self, activation: Activation, input: Value) -> Value {
        let output = self.builder.activate(activation, input);
        if output == input {
            return output;
        }
        self.keep(output, || Operation::Activate { activation, input, output })
    }

    pub(super) fn binary(&mut self, function: Binary, a: Value, b: Value) -> Result<Value> {
        let output = self.builder.binary(function, a, b)?;
        Ok(self.keep(output, || Operation::Binary { function, a, b, output }))
    }

    pub(super) fn choose(&mut self, condition: Value, a: Value, b: Value) -> Result<Value> {
        let output = self.builder.choose(condition, a, b)?;
        Ok(self.keep(output, || Operation::Choose { condition, a, b, output }))
    }

    pub(super) fn embedding(&mut self, table: &[f32], width: usize, tokens: Value) -> Result<Value> {
        let output = self.builder.embedding(table, width, tokens)?;
        Ok(self.keep(output, || Operation::Embed { table: table.into(), width, tokens, output }))
    }

    pub(super) fn concat(&mut self, values: &[Value]) -> Result<Value> {
        let output = self.builder.concat(values)?;
        // Values that already lay side by side were not copied.
        if values.first().is_some_and(|first| (first.region(), first.start()) == (output.region(), output.start())) {
            return Ok(output);
        }
        let mut at = 0;
        for from in values {
            if let Some(to) = output.slice(at..at + from.len()) {
                self.keep(to, || Operation::Copy { from: *from, to });
            }
            at += from.len();
        }
        Ok(output)
    }

    pub(super) fn select(&mut self, from: &[u32], input: Value) -> Result<Value> {
        let output = self.builder.select(from, input)?;
        let within = output.region() == input.region()
            && output.start() >= input.start()
            && output.start() + output.len() <= input.start() + input.len();
        if within {
            return Ok(output);
        }
        Ok(self.keep(output, || Operation::Select { from: from.into(), input, output }))
    }

    pub(super) fn delay(&mut self, ages: &[usize], input: Value) -> Result<Value> {
        let ring = self.builder.initial().len();
        let output = self.builder.delay(ages, None, input)?;
        if output == input {
            return Ok(output);
        }
        Ok(self.keep(output, || Operation::Delay { ring, ages: ages.into(), input, output }))
    }

    /// The values that a stride leaves; see [`Builder::every`].
    pub(super) fn every(&mut self, period: usize, first: usize, input: Value) -> Result<Value> {
        let output = self.builder.every(period, first, input)?;
        Ok(self.copied(input, output))
    }

    /// A value at the pace of another.
    pub(super) fn beside(&mut self, value: Value, like: Value) -> Value {
        let output = self.builder.beside(value, like);
        self.copied(value, output)
    }

    /// The steps that bring a new value.
    pub(super) fn pace(&self, value: Value) -> Pace {
        self.builder.pace(value)
    }

    fn copied(&mut self, from: Value, to: Value) -> Value {
        if from == to { to } else { self.keep(to, || Operation::Copy { from, to }) }
    }

    pub(super) fn reduce(&mut self, reduction: Reduction, n: usize, inner: usize, input: Value) -> Result<Value> {
        let output = self.builder.reduce(reduction, n, inner, input)?;
        Ok(self.keep(output, || Operation::Reduce { reduction, n, inner, input, output }))
    }

    pub(super) fn softmax(&mut self, width: usize, input: Value) -> Result<Value> {
        let output = self.builder.softmax(width, input)?;
        Ok(self.keep(output, || Operation::Softmax { width, input, output }))
    }

    pub(super) fn normalize(&mut self, width: usize, epsilon: f32, input: Value) -> Result<Value> {
        let output = self.builder.normalize(width, epsilon, input)?;
        Ok(self.keep(output, || Operation::Normalize { width, epsilon, input, output }))
    }

    pub(super) fn finish(mut self) -> Result<(Machine, Option<Recording>)> {
        if let Some(kept) = &mut self.kept {
            kept.initial = self.builder.initial().into();
        }
        Ok((self.builder.finish()?, self.kept))
    }
}

impl OwnedRecurrence {
    fn new(of: &Recurrence, inputs: usize) -> Self {
        OwnedRecurrence {
            kind: of.kind,
            hidden: of.hidden,
            width: of.width(),
            inputs,
            w_ih: of.weights.w_ih.into(),
            w_hh: of.weights.w_hh.into(),
            b_ih: of.weights.b_ih.into(),
            b_hh: of.weights.b_hh.into(),
            peephole: of.peephole.map(<[f32]>::to_vec),
            projection: of.projection.map(<[f32]>::to_vec),
            activations: of.activations,
            clip: of.clip,
            input_forget: of.input_forget,
        }
    }
}
