//! Builds machines, instruction by instruction.

use alloc::sync::Arc;
use alloc::vec::Vec;

use elman_kernels::Mat;
use elman_kernels::gates::rnn::Nonlinearity;
use elman_kernels::step::{Panels, Precision};

use super::activation::Activation;
use super::draft::Draft;
use super::instruction::{Binary, Instruction, Reduction};
use super::memory::{Region, Value};
use super::pace::{MOST_COUNTED, Pace};
use super::place::Layout;
use super::recurrent::{Recurrence, Recurrent, RecurrentKind};
use super::{Machine, Program};
use crate::cell::input::Source;
use crate::cell::layer::Layer;
use crate::cell::{gru, lstm, rnn};
use crate::error::{Error, check_length};

/// The packed weights of a recurrent layer, for the [`Builder`] that packed them.
#[derive(Clone)]
pub struct PackedLayer {
    cell: PackedCell,
    inputs: usize,
    state_width: usize,
}

#[derive(Clone)]
enum PackedCell {
    Plain(Arc<Layer>),
    General(Arc<Recurrent>),
}

/// Describes a step: every method adds an instruction and returns the values it writes.
///
/// The order of the inputs, of the outputs and of the states is the order in which they were declared.
pub struct Builder {
    precision: Precision,
    draft: Draft,
}

impl Builder {
    /// No instructions yet; `precision` is that of the weights.
    pub fn new(precision: Precision) -> Self {
        Builder { precision, draft: Draft::default() }
    }

    /// Values of a step's input, after those declared before.
    ///
    /// # Errors
    /// [`Error::Empty`] without values, [`Error::WrongInput`] after the first instruction.
    pub fn input(&mut self, width: usize) -> Result<Value, Error> {
        if width == 0 {
            return Err(Error::Empty { what: "the width of the input" });
        }
        if self.draft.arena != self.draft.input {
            return Err(Error::WrongInput { reads: "its inputs before the first instruction".into() });
        }
        let value = self.fresh(width);
        self.draft.input += width;
        Ok(value)
    }

    /// Values that are the same in every step.
    pub fn constant(&mut self, values: &[f32]) -> Value {
        let start = self.draft.constants.len();
        self.draft.constants.extend_from_slice(values);
        Value { region: Region::Constant, start, len: values.len() }
    }

    /// Values carried from step to step, from `initial` on; see [`Self::carry`].
    pub fn state(&mut self, initial: &[f32]) -> Value {
        let start = self.draft.initial.len();
        self.draft.initial.extend_from_slice(initial);
        Value { region: Region::State, start, len: initial.len() }
    }

    /// At the end of a step, `next` becomes the state that the next step reads.
    ///
    /// # Errors
    /// [`Error::Length`] if they differ in length, [`Error::WrongInput`] if the first is not a state.
    pub fn carry(&mut self, state: Value, next: Value) -> Result<(), Error> {
        check_length("the next state", Some(state.len), next.len)?;
        if state.region != Region::State {
            return Err(Error::WrongInput { reads: "states from the step before, and this value is none".into() });
        }
        if state == next {
            return Ok(());
        }
        let next = match self.draft.clock_of(next) {
            Some(clock) => self.latest(clock, next, state),
            None => next,
        };
        self.draft.carries.push((state, next));
        Ok(())
    }

    /// Values of a step's output, after those declared before. In steps that do not bring a new one it is the last there
    /// was, and before the first zero.
    pub fn output(&mut self, value: Value) {
        let value = self.held(value);
        self.draft.outputs.push(value);
    }

    /// Every `period`-th of the values that the steps so far bring, from the `first`-th on, counted from 0: what a stride
    /// over time leaves. Instructions that read it run in those steps alone, and states that follow from it stay as they
    /// are in between; an instruction that also reads values of another pace reads the last there was, in each step.
    ///
    /// # Errors
    /// [`Error::Length`] if it passes what a machine counts, [`Error::Empty`] for a period of 0.
    ///
    /// ```
    /// use elman_step::Precision;
    /// use elman_step::machine::{Binary, Builder, Reduction};
    ///
    /// // Means of two steps each.
    /// let mut step = Builder::new(Precision::F32);
    /// let x = step.input(1)?;
    /// let both = step.delay(&[1, 0], None, x)?;
    /// let both = step.every(2, 1, both)?;
    /// let y = step.reduce(Reduction::Mean, 2, 1, both)?;
    /// step.output(y);
    /// let mut machine = step.finish()?;
    /// let mut y = [0.0; 5];
    /// machine.steps(&[1.0, 3.0, 5.0, 9.0, 0.0], &mut y)?;
    /// assert_eq!(y, [0.0, 2.0, 2.0, 7.0, 7.0]);
    /// # Ok::<(), elman_step::Error>(())
    /// ```
    pub fn every(&mut self, period: usize, first: usize, value: Value) -> Result<Value, Error> {
        if period == 0 {
            return Err(Error::Empty { what: "the period of a value" });
        }
        let before = self.pace(value);
        let Some(pace) = before.every(period, first) else {
            return Err(Error::Length { what: "a period".into(), want: MOST_COUNTED, got: usize::MAX });
        };
        if pace == before {
            return Ok(value);
        }
        let clock = match self.draft.clocks.iter().position(|(other, _)| *other == pace) {
            Some(clock) => clock,
            None => {
                let count = self.state(&[pace.first as f32]);
                self.draft.rings.push((count.range(), pace.period.max(pace.first + 1)));
                let output = self.fresh(1);
                self.add(Instruction::Clock { count, period: pace.period, output }, None);
                self.draft.clocks.push((pace, output));
                self.draft.clocks.len() - 1
            }
        };
        Ok(self.at(clock, value))
    }

    /// The steps that bring a new `value`.
    pub fn pace(&self, value: Value) -> Pace {
        self.draft.clock_of(value).map_or(Pace::EACH, |clock| self.draft.clocks[clock].0)
    }

    /// All that is carried, as it is before the first step: the states that were declared, and what delays and paces keep.
    pub fn initial(&self) -> &[f32] {
        &self.draft.initial
    }

    /// `value` at the pace of `like`: what reads it runs in its steps alone.
    pub fn beside(&mut self, value: Value, like: Value) -> Value {
        match self.draft.clock_of(like) {
            Some(clock) if self.draft.clock_of(value) != Some(clock) => self.at(clock, value),
            _ => value,
        }
    }

    /// A copy made in the steps of a clock.
    fn at(&mut self, clock: usize, from: Value) -> Value {
        let to = self.fresh(from.len);
        self.add(Instruction::Copy { from, to }, Some(clock));
        to
    }

    /// The value in the steps of a clock, elsewhere `state`.
    fn latest(&mut self, clock: usize, value: Value, state: Value) -> Value {
        let condition = self.draft.clocks[clock].1;
        let output = self.fresh(value.len);
        self.add(Instruction::Choose { condition, a: value, b: state, output }, None);
        output
    }

    /// The last of a value, in each step.
    fn held(&mut self, value: Value) -> Value {
        let Some(clock) = self.draft.clock_of(value) else { return value };
        if let Some((_, held)) = self.draft.held.iter().find(|(of, _)| *of == value) {
            return *held;
        }
        let state = self.state(&alloc::vec![0.0; value.len]);
        let held = self.latest(clock, value, state);
        self.draft.carries.push((state, held));
        self.draft.held.push((value, held));
        held
    }

    /// A recurrent layer from the state `h` and, of an LSTM, `c` in one value; returns the next one, of which the first
    /// [`Recurrence::width`] values are `h`. The caller carries it.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn recurrent(&mut self, of: &Recurrence, input: Value, state: Value) -> Result<Value, Error> {
        let layer = self.pack(of, input.len)?;
        self.recurrent_rows(&layer, input, state)
    }

    /// Packs the weights of a layer with `inputs` inputs, for [`Self::recurrent_rows`].
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn pack(&self, of: &Recurrence, inputs: usize) -> Result<PackedLayer, Error> {
        let cell = if of.is_plain() {
            PackedCell::Plain(Arc::new(self.plain(of, Source::Dense(inputs))?))
        } else {
            PackedCell::General(Arc::new(Recurrent::new(of, inputs, self.precision)?))
        };
        Ok(PackedLayer { cell, inputs, state_width: of.state_width() })
    }

    /// A packed layer over one row or, without variations, over several: `input` `[B, I]`, and a state that holds `h`
    /// `[B, P]` and, of an LSTM, `c` `[B, H]`. The same layer may read one input after another.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::WrongInput`] for several rows of a layer with variations.
    pub fn recurrent_rows(&mut self, layer: &PackedLayer, input: Value, state: Value) -> Result<Value, Error> {
        let rows = input.len / layer.inputs;
        check_length("the input of a layer", Some(rows * layer.inputs), input.len)?;
        check_length("the state of a layer", Some(rows * layer.state_width), state.len)?;
        match &layer.cell {
            PackedCell::Plain(layer) => Ok(self.layer(layer.clone(), input, state)),
            PackedCell::General(_) if rows != 1 => {
                Err(Error::WrongInput { reads: "one row: a layer with variations".into() })
            }
            PackedCell::General(cell) => {
                let next = self.fresh(state.len);
                self.push(Instruction::Recurrent { cell: cell.clone(), input, prev: state, next });
                Ok(next)
            }
        }
    }

    /// A plain recurrent layer fed with tokens: as [`Self::recurrent`], where `token` is one value of the input and
    /// `source` says how it is read.
    ///
    /// # Errors
    /// As [`Self::recurrent`], and [`Error::WrongInput`] if `token` is not an input, `source` reads vectors, or the layer
    /// has variations.
    pub fn recurrent_tokens(
        &mut self,
        of: &Recurrence,
        source: Source,
        token: Value,
        state: Value,
    ) -> Result<Value, Error> {
        check_length("the state of a layer", Some(of.state_width()), state.len)?;
        check_length("the token", Some(1), token.len)?;
        let (Source::Tokens(vocab) | Source::Embedded { vocab, .. }) = source else {
            return Err(Error::WrongInput { reads: "vectors, not tokens".into() });
        };
        if !of.is_plain() {
            return Err(Error::WrongInput { reads: "vectors: a layer with variations has no table of tokens".into() });
        }
        self.tokens(token, vocab)?;
        let layer = self.plain(of, source)?;
        Ok(self.layer(Arc::new(layer), token, state))
    }

    fn layer(&mut self, layer: Arc<Layer>, input: Value, state: Value) -> Value {
        let next = self.fresh(state.len);
        self.push(Instruction::Layer { layer, input, prev: state, next });
        next
    }

    fn plain(&self, of: &Recurrence, source: Source) -> Result<Layer, Error> {
        let (hidden, precision, weights) = (of.hidden, self.precision, of.weights);
        match of.kind {
            RecurrentKind::Rnn => {
                let relu = of.activations[0] == Activation::Relu;
                let nonlinearity = if relu { Nonlinearity::Relu } else { Nonlinearity::Tanh };
                rnn::layer(source, hidden, nonlinearity, weights, precision)
            }
            RecurrentKind::Gru(reset) => gru::layer(source, hidden, reset, weights, precision),
            RecurrentKind::Lstm => lstm::layer(source, hidden, of.peephole, weights, precision),
        }
    }

    /// `f(W x + b)` for each row of `x` `[B, I]`: `[B, O]`. `weight` is `[O, I]`, `bias` `[O]`.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn dense(
        &mut self,
        weight: &[f32],
        bias: &[f32],
        activation: Activation,
        input: Value,
    ) -> Result<Value, Error> {
        let units = bias.len();
        if units == 0 || weight.is_empty() {
            return Err(Error::Empty { what: "the weight of a dense layer" });
        }
        let depth = weight.len() / units;
        check_length("the weight of a dense layer", depth.checked_mul(units), weight.len())?;
        check_length("the input of a dense layer", Some(input.len / depth * depth), input.len)?;
        let panels = Panels::new(self.precision, 1, Mat::new(&[], units, 0), Mat::new(weight, units, depth));
        let output = self.fresh(input.len / depth * units);
        let (weight, bias) = (Arc::new(panels), Arc::new(bias.to_vec()));
        self.push(Instruction::Dense { weight, bias, activation, input, output });
        Ok(output)
    }

    /// `f(x)`, element-wise.
    pub fn activate(&mut self, activation: Activation, input: Value) -> Value {
        if activation == Activation::Identity {
            return input;
        }
        let output = self.fresh(input.len);
        self.push(Instruction::Activate { activation, input, output });
        output
    }

    /// A function of two values, element-wise; the shorter repeats.
    ///
    /// # Errors
    /// [`Error::Length`] if one length is not a multiple of the other.
    pub fn binary(&mut self, function: Binary, a: Value, b: Value) -> Result<Value, Error> {
        let (short, long) = (a.len.min(b.len), a.len.max(b.len));
        if short == 0 {
            return Err(Error::Empty { what: "a value" });
        }
        check_length("a value", Some(long / short * short), long)?;
        let output = self.fresh(long);
        self.push(Instruction::Binary { function, a, b, output });
        Ok(output)
    }

    /// `a` where `condition`, which repeats, is not 0, elsewhere `b`.
    ///
    /// # Errors
    /// [`Error::Length`] if `a` and `b` differ in length, or it is not a multiple of that of `condition`.
    pub fn choose(&mut self, condition: Value, a: Value, b: Value) -> Result<Value, Error> {
        if condition.is_empty() {
            return Err(Error::Empty { what: "a condition" });
        }
        check_length("the second value", Some(a.len), b.len)?;
        check_length("a value", Some(a.len / condition.len * condition.len), a.len)?;
        let output = self.fresh(a.len);
        self.push(Instruction::Choose { condition, a, b, output });
        Ok(output)
    }

    /// Rows of an embedding `[V, E]` by the tokens in `tokens`, which are values of the input.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`], and [`Error::WrongInput`] if `tokens` are not values of the input.
    pub fn embedding(&mut self, table: &[f32], width: usize, tokens: Value) -> Result<Value, Error> {
        if width == 0 || table.is_empty() || tokens.is_empty() {
            return Err(Error::Empty { what: "an embedding" });
        }
        let vocab = table.len() / width;
        check_length("an embedding", vocab.checked_mul(width), table.len())?;
        self.tokens(tokens, vocab)?;
        let output = self.fresh(tokens.len * width);
        self.push(Instruction::Embed { table: Arc::new(table.to_vec()), tokens, output });
        Ok(output)
    }

    fn tokens(&mut self, tokens: Value, vocab: usize) -> Result<(), Error> {
        if tokens.region != Region::Arena || tokens.start + tokens.len > self.draft.input {
            return Err(Error::WrongInput { reads: "tokens from its input, not computed ones".into() });
        }
        self.draft.tokens.push((tokens.range(), vocab));
        Ok(())
    }

    /// One value after another. Values that already lie so are not copied.
    ///
    /// # Errors
    /// [`Error::Empty`] without values.
    pub fn concat(&mut self, values: &[Value]) -> Result<Value, Error> {
        let Some(first) = values.first() else { return Err(Error::Empty { what: "a concatenation" }) };
        let len = values.iter().map(Value::len).sum();
        let adjacent = |pair: &[Value]| pair[0].region == pair[1].region && pair[0].range().end == pair[1].start;
        let are_alike = |pair: &[Value]| {
            self.draft.clock_of(pair[0]) == self.draft.clock_of(pair[1])
                && self.draft.is_timeless(pair[0]) == self.draft.is_timeless(pair[1])
        };
        if values.windows(2).all(|pair| adjacent(pair) && are_alike(pair)) {
            return Ok(Value { len, ..*first });
        }
        let is_timeless = values.iter().all(|value| self.draft.is_timeless(*value));
        let values = self.at_one_pace(values);
        let clock = values.iter().find_map(|value| self.draft.clock_of(*value));
        let output = self.fresh(len);
        if is_timeless {
            self.draft.timeless.push(output.range());
        }
        let mut start = output.start;
        for from in values {
            let to = Value { start, len: from.len, ..output };
            self.add_at(Instruction::Copy { from, to }, clock);
            start += from.len;
        }
        Ok(output)
    }

    /// `y[i] = x[from[i]]`, and 0 where `from[i]` is [`u32::MAX`]: any transposition, padding or repetition.
    ///
    /// # Errors
    /// [`Error::Length`] if there is no such value.
    pub fn select(&mut self, from: &[u32], input: Value) -> Result<Value, Error> {
        if let Some(beyond) = from.iter().find(|from| **from as usize >= input.len && **from != u32::MAX) {
            let want = (*beyond as usize).saturating_add(1);
            return Err(Error::Length { what: "the input of a selection".into(), want, got: input.len });
        }
        let in_order = |from: &[u32]| from.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
        if let (Some(&first), true) = (from.first(), in_order(from)) {
            let start = first as usize;
            if let Some(slice) = start.checked_add(from.len()).and_then(|end| input.slice(start..end)) {
                return Ok(slice);
            }
        }
        let output = self.fresh(from.len());
        self.push(Instruction::Select { from: Arc::new(from.to_vec()), input, output });
        Ok(output)
    }

    /// The frames of `ages` steps ago (0: this one) one after another: what a causal convolution over time reads. Before
    /// the first step all frames were `before`, or zero.
    ///
    /// # Errors
    /// [`Error::Empty`] without ages or values, [`Error::Length`] if `before` is not a frame.
    pub fn delay(&mut self, ages: &[usize], before: Option<&[f32]>, input: Value) -> Result<Value, Error> {
        let Some(oldest) = ages.iter().max() else { return Err(Error::Empty { what: "the ages of a delay" }) };
        if input.is_empty() {
            return Err(Error::Empty { what: "the input of a delay" });
        }
        let zeros = alloc::vec![0.0; input.len];
        let before = before.unwrap_or(&zeros);
        check_length("the frame before the first", Some(input.len), before.len())?;
        if *oldest == 0 && ages.len() == 1 {
            return Ok(input);
        }
        let frames = oldest.saturating_add(1);
        let len = frames.checked_mul(input.len).filter(|len| frames <= MOST_COUNTED && *len <= MAX_RING);
        let Some(len) = len else {
            return Err(Error::Length { what: "a delay".into(), want: MAX_RING, got: usize::MAX });
        };
        let mut initial = before.repeat(frames);
        initial.push(0.0);
        debug_assert_eq!(initial.len(), len + 1);
        let ring = self.state(&initial);
        self.draft.rings.push((ring.range(), frames));
        let output = self.fresh(ages.len() * input.len);
        self.push(Instruction::Delay { ring, ages: ages.into(), input, output });
        Ok(output)
    }

    /// Reduces the middle index of `[outer, n, inner]`.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn reduce(&mut self, reduction: Reduction, n: usize, inner: usize, input: Value) -> Result<Value, Error> {
        let size = n.saturating_mul(inner);
        if size == 0 {
            return Err(Error::Empty { what: "the values to reduce" });
        }
        check_length("the values to reduce", Some(input.len / size * size), input.len)?;
        let output = self.fresh(input.len / n);
        self.push(Instruction::Reduce { reduction, n, inner, input, output });
        Ok(output)
    }

    /// Softmax of each row of `width` values.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn softmax(&mut self, width: usize, input: Value) -> Result<Value, Error> {
        self.rows(width, input)?;
        let output = self.fresh(input.len);
        self.push(Instruction::Softmax { width, input, output });
        Ok(output)
    }

    /// Each row of `width` values less its mean, divided by the root of its variance plus `epsilon`.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn normalize(&mut self, width: usize, epsilon: f32, input: Value) -> Result<Value, Error> {
        self.rows(width, input)?;
        let output = self.fresh(input.len);
        self.push(Instruction::Normalize { width, epsilon, input, output });
        Ok(output)
    }

    fn rows(&self, width: usize, input: Value) -> Result<(), Error> {
        if width == 0 {
            return Err(Error::Empty { what: "the width of a row" });
        }
        check_length("the rows", Some(input.len / width * width), input.len)
    }

    fn fresh(&mut self, len: usize) -> Value {
        let start = self.draft.arena;
        self.draft.arena += len;
        Value { region: Region::Arena, start, len }
    }

    /// The values as they are if the same steps bring them all, else the last of each. What depends on no input goes with
    /// any.
    fn at_one_pace(&mut self, values: &[Value]) -> Vec<Value> {
        let clocks = values.iter().filter(|value| !self.draft.is_timeless(**value)).map(|v| self.draft.clock_of(*v));
        let clocks: Vec<Option<usize>> = clocks.collect();
        match clocks.windows(2).all(|pair| pair[0] == pair[1]) {
            true => values.to_vec(),
            false => values.iter().map(|value| self.held(*value)).collect(),
        }
    }

    /// Adds an instruction, which runs in the steps that bring what it reads.
    fn push(&mut self, instruction: Instruction<Value>) {
        let read: Vec<Value> = instruction.operands().0.collect();
        let now = self.at_one_pace(&read);
        let clock = now.iter().find_map(|value| self.draft.clock_of(*value));
        let latest = |value: Value| read.iter().position(|other| *other == value).map_or(value, |i| now[i]);
        self.add(instruction.map(latest), clock);
    }

    fn add(&mut self, instruction: Instruction<Value>, clock: Option<usize>) {
        let is_timeless = instruction.operands().0.all(|value| self.draft.is_timeless(value));
        if clock.is_none() && is_timeless {
            let range = instruction.operands().1.range();
            let at = self.draft.timeless.partition_point(|other| other.start < range.start);
            self.draft.timeless.insert(at, range);
        }
        self.add_at(instruction, clock);
    }

    /// Adds an instruction that runs in the steps of a clock, or in all.
    fn add_at(&mut self, instruction: Instruction<Value>, clock: Option<usize>) {
        if let Some(clock) = clock {
            let range = instruction.operands().1.range();
            let at = self.draft.paced.partition_point(|(other, _)| other.start < range.start);
            self.draft.paced.insert(at, (range, clock));
        }
        self.draft.instructions.push(instruction);
        self.draft.gates.push(clock);
    }

    /// The machine, in its initial state.
    ///
    /// # Errors
    /// [`Error::Empty`] without an input or output.
    pub fn finish(mut self) -> Result<Machine, Error> {
        if self.draft.input == 0 {
            return Err(Error::Empty { what: "the number of inputs" });
        }
        if self.draft.outputs.iter().all(Value::is_empty) {
            return Err(Error::Empty { what: "the number of outputs" });
        }
        self.draft.set_gates();
        let is_gated = !self.draft.clocks.is_empty();
        let Layout { widths, instructions, pieces, segments } = Layout::new(&mut self.draft);
        let Draft { constants, initial, rings, tokens, .. } = self.draft;
        let rings = rings.into_iter().map(|(range, frames)| (range.end - 1, frames)).collect();
        let program = Program { instructions, segments, widths, constants, initial, pieces, rings, tokens, is_gated };
        Ok(Machine::new(Arc::new(program), 1))
    }
}

/// Values of a ring: 1 GiB.
const MAX_RING: usize = 1 << 28;

impl core::fmt::Debug for Builder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Builder").field("instructions", &self.draft.instructions.len()).finish_non_exhaustive()
    }
}
