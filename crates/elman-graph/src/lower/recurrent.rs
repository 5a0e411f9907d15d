//! Recurrent layers: forward over time with the state carried, or over an axis of known length within a step.

use elman_step::machine::{self as step, Pace, RecurrentKind, Value};
use elman_step::{Reset, Source, Weights};

use super::flow::{Data, Flow, Lowered, When};
use super::lowerer::{Lowerer, refused};
use super::node::Call;
use super::pointwise::activation;
use super::record::{Carrier, Packed};
use crate::error::Result;
use crate::graph::{Cell, Direction, MaskedOutput, Recurrent};
use crate::tensor::Tensor;

/// Most steps of an axis other than time: each is an instruction.
const MOST_UNROLLED: usize = 4096;

/// Weights of a direction in the machine's order of gates.
struct Parts {
    kind: RecurrentKind,
    hidden: usize,
    width: usize,
    inputs: usize,
    w_ih: Vec<f32>,
    w_hh: Vec<f32>,
    b_ih: Vec<f32>,
    b_hh: Vec<f32>,
    peephole: Option<Vec<f32>>,
    projection: Option<Vec<f32>>,
    activations: [step::Activation; 3],
    clip: Option<f32>,
    input_forget: bool,
}

impl Parts {
    fn recurrence(&self) -> step::Recurrence<'_> {
        let weights = Weights { w_ih: &self.w_ih, w_hh: &self.w_hh, b_ih: &self.b_ih, b_hh: &self.b_hh };
        step::Recurrence {
            kind: self.kind,
            hidden: self.hidden,
            weights,
            peephole: self.peephole.as_deref(),
            projection: self.projection.as_deref(),
            activations: self.activations,
            clip: self.clip,
            input_forget: self.input_forget,
        }
    }

    fn has_c(&self) -> bool {
        self.kind == RecurrentKind::Lstm
    }
}

/// Blocks of `size` values in another order.
fn blocks(values: &[f32], size: usize, order: &[usize]) -> Vec<f32> {
    order.iter().flat_map(|block| values[block * size..(block + 1) * size].iter().copied()).collect()
}

fn parts(call: &Call, of: &Recurrent, direction: usize, inputs: usize) -> Result<Parts> {
    let (hidden, gates, d) = (of.hidden, of.cell.gates(), of.direction.count());
    let rows = gates * hidden;
    // From ONNX's order of gates, i o f c and z r h, to PyTorch's.
    let (kind, order): (_, &[usize]) = match of.cell {
        Cell::Rnn => (RecurrentKind::Rnn, &[0]),
        Cell::Gru { linear_before_reset } => {
            (RecurrentKind::Gru(if linear_before_reset { Reset::After } else { Reset::Before }), &[1, 0, 2])
        }
        Cell::Lstm { .. } => (RecurrentKind::Lstm, &[0, 2, 3, 1]),
    };
    let part = |i: usize, dims: &[usize]| -> Result<Option<Vec<f32>>> {
        let Some(tensor) = call.known(i)? else { return Ok(None) };
        if tensor.dims() != dims {
            return Err(crate::Error::dimensions(format!("{}: input {i}", call.part()), tensor.dims(), dims));
        }
        let n = tensor.len() / d;
        Ok(Some(tensor.to_f32()[direction * n..(direction + 1) * n].to_vec()))
    };
    let width = match call.known(8)? {
        Some(projection) => projection.dims().get(1).copied().unwrap_or(0),
        None => hidden,
    };
    let need = |values: Option<Vec<f32>>, what: &str| values.ok_or_else(|| super::lowerer::missing(what, &call.part()));
    let w = need(part(1, &[d, rows, inputs])?, "W")?;
    let r = need(part(2, &[d, rows, width])?, "R")?;
    let b = part(3, &[d, 2 * rows])?.unwrap_or_else(|| vec![0.0; 2 * rows]);
    let mut activations = kind.activations();
    let count = of.cell.activations();
    let own = of.activations.get(direction * count..(direction + 1) * count);
    let Some(own) = own else { return call.refuse("it has not as many activations as its cell") };
    for (to, from) in activations.iter_mut().zip(own) {
        let own = activation(*from);
        *to = own;
    }
    Ok(Parts {
        kind,
        hidden,
        width,
        inputs,
        w_ih: blocks(&w, hidden * inputs, order),
        w_hh: blocks(&r, hidden * width, order),
        b_ih: blocks(&b[..rows], hidden, order),
        b_hh: blocks(&b[rows..], hidden, order),
        // i o f.
        peephole: part(7, &[d, 3 * hidden])?.map(|p| blocks(&p, hidden, &[0, 2, 1])),
        projection: part(8, &[d, width, hidden])?,
        activations,
        clip: of.clip,
        input_forget: of.cell == (Cell::Lstm { input_forget: true }),
    })
}

impl Lowerer<'_> {
    pub(super) fn recurrent(&mut self, call: &Call, of: &Recurrent) -> Result<Vec<Lowered>> {
        let x = self.operand(call, 0)?;
        let [first, second, inputs] = *x.dims else { return call.refuse("its input is not [steps, sequences, width]") };
        let (time, steps, rows) = if of.batch_first { (1, second, first) } else { (0, first, second) };
        if x.lead != 0 {
            return call.refuse("it reads steps that were padded in front of the sequence");
        }
        if of.rounded {
            return call.refuse("its state is rounded by the range of all sequences");
        }
        if x.when.axis() == Some(time) {
            return self.over_time(call, of, &x, rows, inputs);
        }
        if x.when.axis() == Some(2) {
            return call.refuse("the width of its input is the time axis");
        }
        if call.input(4).is_some() || call.input(9).is_some() {
            return call.refuse("only layers over time have lengths and masks in steps");
        }
        // Time, if any, lies among the sequences, which are independent.
        self.within(call, of, &x, steps, x.step_dims()[if of.batch_first { 0 } else { 1 }], inputs)
    }

    /// Over time: one step, from the state of the step before.
    fn over_time(&mut self, call: &Call, of: &Recurrent, x: &Flow, rows: usize, inputs: usize) -> Result<Vec<Lowered>> {
        if of.direction != Direction::Forward {
            return call.refuse("it also reads the sequence from its end, which a stream does not have yet");
        }
        self.whole_lengths(call)?;
        let part = call.part();
        let fail = |e: elman_step::Error| refused(&part, e.to_string());
        let parts = parts(call, of, 0, inputs)?;
        let layer = parts.recurrence();
        let (width, c_width) = (parts.width, if parts.has_c() { parts.hidden } else { 0 });
        let state_width = rows * (width + c_width);
        let (state, explicit) = match (self.initial(call, 5)?, self.initial(call, 6)?) {
            (Initial::Known(h), Initial::Known(c)) => {
                self.builder.carries(|| Carrier::Recurrent {
                    outputs: call.node.outputs.clone(),
                    h: h.clone(),
                    c: c.clone(),
                    width,
                });
                let mut initial = spread(h, rows * width);
                initial.extend(spread(c, rows * c_width));
                (self.builder.state(&initial), false)
            }
            (h, c) => {
                // Carried by the graph.
                let h = self.state_value(h, rows * width);
                let both = if parts.has_c() { vec![h, self.state_value(c, rows * c_width)] } else { vec![h] };
                (self.builder.concat(&both).map_err(fail)?, true)
            }
        };
        if state.len() != state_width {
            return call.refuse("its initial state does not fit its width");
        }
        let next = match &x.data {
            Data::Embedded(embedded) if rows == 1 && layer_is_plain(&parts) && embedded.tokens.len() == 1 => {
                let vocab = embedded.table.len() / embedded.width;
                // A table of input products grows with the vocabulary; beyond some size the matrix is cheaper.
                let weights = embedded.table.len() + parts.w_ih.len() + parts.w_hh.len();
                if vocab.saturating_mul(parts.b_ih.len()) <= weights.saturating_mul(4) {
                    let source = Source::Embedded { vocab, width: embedded.width, embedding: &embedded.table };
                    self.builder.recurrent_tokens(&layer, source, embedded.tokens, state).map_err(fail)?
                } else {
                    let value = self.value(x)?;
                    let packed = self.builder.pack(&layer, inputs).map_err(fail)?;
                    self.builder.recurrent_rows(&packed, value, state).map_err(fail)?
                }
            }
            _ => {
                let value = self.value(x)?;
                let packed = self.builder.pack(&layer, inputs).map_err(fail)?;
                self.rows(call, &packed, &parts, value, state, rows)?
            }
        };
        let (h, next) = self.masked(call, of, x.when.pace(), [rows, width], state, next)?;
        if !explicit {
            self.builder.carry(state, next).map_err(fail)?;
        }
        let slice = |range: core::ops::Range<usize>| {
            next.slice(range).ok_or_else(|| refused(&part, "its state is shorter than its width"))
        };
        let (h_n, c_n) = (slice(0..rows * width)?, slice(rows * width..state_width)?);
        let time = |flow: Flow| Lowered::Flow(Flow { dtype: x.dtype, ..flow });
        let probe = super::lowerer::PROBE;
        let (y, y_when, state_dims): (_, _, fn(usize, usize) -> Vec<usize>) = if of.batch_first {
            (vec![rows, probe, 1, width], When::Timed(1, x.when.pace()), |rows, n| vec![rows, 1, n])
        } else {
            (vec![probe, 1, rows, width], When::Timed(0, x.when.pace()), |rows, n| vec![1, rows, n])
        };
        let mut outputs = vec![time(Flow::of(h, y, y_when)), time(Flow::of(h_n, state_dims(rows, width), When::Final))];
        if parts.has_c() {
            outputs.push(time(Flow::of(c_n, state_dims(rows, c_width), When::Final)));
        }
        Ok(outputs)
    }

    /// Lengths of sequences are those of the sequence itself, or there are none.
    fn whole_lengths(&self, call: &Call) -> Result<()> {
        match call.input(4) {
            None => Ok(()),
            Some(Lowered::Known { tensor, of_time: true })
                if tensor.as_i64().is_some_and(|lens| lens.iter().all(|len| *len == super::lowerer::PROBE as i64)) =>
            {
                Ok(())
            }
            Some(_) => call.refuse("it is given the lengths of its sequences; in steps a sequence ends by a reset"),
        }
    }

    /// The rows of a step together, or one after another where the layer has variations.
    fn rows(
        &mut self,
        call: &Call,
        packed: &Packed,
        parts: &Parts,
        x: Value,
        state: Value,
        rows: usize,
    ) -> Result<Value> {
        let part = call.part();
        let fail = |e: elman_step::Error| refused(&part, e.to_string());
        if rows == 1 || layer_is_plain(parts) {
            return self.builder.recurrent_rows(packed, x, state).map_err(fail);
        }
        let (width, c_width) = (parts.width, if parts.has_c() { parts.hidden } else { 0 });
        let cut = |value: Value, from: usize, len: usize| {
            value.slice(from..from + len).ok_or_else(|| refused(&part, "its state is shorter than its width"))
        };
        let (mut h, mut c) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let x = cut(x, row * parts.inputs, parts.inputs)?;
            let mut own = vec![cut(state, row * width, width)?];
            if c_width > 0 {
                own.push(cut(state, rows * width + row * c_width, c_width)?);
            }
            let state = self.builder.concat(&own).map_err(fail)?;
            let next = self.builder.recurrent_rows(packed, x, state).map_err(fail)?;
            h.push(cut(next, 0, width)?);
            c.push(cut(next, width, c_width)?);
        }
        if c_width > 0 {
            h.append(&mut c);
        }
        self.builder.concat(&h).map_err(fail)
    }

    /// The output and the next state where a mask may leave the step out.
    fn masked(
        &mut self,
        call: &Call,
        of: &Recurrent,
        pace: Pace,
        [rows, width]: [usize; 2],
        state: Value,
        next: Value,
    ) -> Result<(Value, Value)> {
        let part = call.part();
        let fail = |e: elman_step::Error| refused(&part, e.to_string());
        let h_of = |value: Value| {
            value.slice(0..rows * width).ok_or_else(|| refused(&part, "its state is shorter than its width"))
        };
        let Some(mask) = call.input(9) else { return Ok((h_of(next)?, next)) };
        let Lowered::Flow(mask) = mask else { return call.refuse("its mask is not computed in steps") };
        if mask.when != When::Timed(1, pace) || rows != 1 {
            return call.refuse("its mask is not [sequences, steps] of one sequence");
        }
        let mask = self.value(mask)?;
        let kept = self.builder.choose(mask, next, state).map_err(fail)?;
        let zero = self.builder.constant(&vec![0.0; width]);
        let h = match of.masked {
            MaskedOutput::Zero => self.builder.choose(mask, h_of(next)?, zero).map_err(fail)?,
            // The last output, which is not the initial state.
            MaskedOutput::Repeat => {
                let last = self.builder.state(&vec![0.0; width]);
                let h = self.builder.choose(mask, h_of(next)?, last).map_err(fail)?;
                self.builder.carry(last, h).map_err(fail)?;
                h
            }
        };
        Ok((h, kept))
    }

    /// Over an axis of known length within a step, in one or both directions.
    fn within(
        &mut self,
        call: &Call,
        of: &Recurrent,
        x: &Flow,
        steps: usize,
        rows: usize,
        inputs: usize,
    ) -> Result<Vec<Lowered>> {
        let part = call.part();
        let fail = |e: elman_step::Error| refused(&part, e.to_string());
        if steps == 0 || steps > MOST_UNROLLED {
            return call.refuse(format!("it reads {steps} values of an axis that is not time"));
        }
        let (value, d) = (self.value(x)?, of.direction.count());
        // Time first.
        let value =
            if of.batch_first { self.permute(value, &[rows, steps, inputs], &[1, 0, 2], &part)? } else { value };
        let (mut ys, mut hs, mut cs) = (vec![Vec::new(); steps], Vec::new(), Vec::new());
        for direction in 0..d {
            let parts = parts(call, of, direction, inputs)?;
            let (width, c_width) = (parts.width, if parts.has_c() { parts.hidden } else { 0 });
            let packed = self.builder.pack(&parts.recurrence(), inputs).map_err(fail)?;
            let h = self.initial(call, 5)?;
            let mut state = vec![self.start(call, h, of.batch_first, direction, d, rows, width)?];
            if c_width > 0 {
                let c = self.initial(call, 6)?;
                state.push(self.start(call, c, of.batch_first, direction, d, rows, c_width)?);
            }
            let mut state = self.builder.concat(&state).map_err(fail)?;
            let reverse = of.direction == Direction::Reverse || direction == 1;
            for i in 0..steps {
                let t = if reverse { steps - 1 - i } else { i };
                let len = rows * inputs;
                let Some(x) = value.slice(t * len..(t + 1) * len) else {
                    return call.refuse("its input is shorter than its dimensions");
                };
                state = self.rows(call, &packed, &parts, x, state, rows)?;
                ys[t].extend(state.slice(0..rows * width));
            }
            hs.extend(state.slice(0..rows * width));
            cs.extend(state.slice(rows * width..state.len()));
        }
        let joint = |lowerer: &mut Self, values: &[Value]| lowerer.builder.concat(values).map_err(fail);
        let y = joint(self, &ys.concat())?;
        let h = joint(self, &hs)?;
        let width = h.len() / (d * rows).max(1);
        let mut outputs = vec![(y, vec![steps, d, rows, width]), (h, vec![d, rows, width])];
        if cs.iter().any(|c| !c.is_empty()) {
            let c = joint(self, &cs)?;
            outputs.push((c, vec![d, rows, c.len() / (d * rows).max(1)]));
        }
        let mut results = Vec::new();
        for (i, (value, dims)) in outputs.into_iter().enumerate() {
            let perm: &[usize] = match (of.batch_first, i) {
                (true, 0) => &[2, 0, 1, 3],
                (true, _) => &[1, 0, 2],
                (false, 0) => &[0, 1, 2, 3],
                (false, _) => &[0, 1, 2],
            };
            let value = self.permute(value, &dims, perm, &part)?;
            let mut dims: Vec<usize> = perm.iter().map(|axis| dims[*axis]).collect();
            // Where the sequences were steps, they are in the results.
            let when = match x.when {
                When::Timed(_, pace) => {
                    let axis = perm.iter().position(|axis| *axis == if i == 0 { 2 } else { 1 }).unwrap_or(0);
                    dims[axis] = super::lowerer::PROBE;
                    When::Timed(axis, pace)
                }
                when => when,
            };
            results.push(Lowered::Flow(Flow { dtype: x.dtype, ..Flow::of(value, dims, when) }));
        }
        Ok(results)
    }

    /// The state of a direction before the first step within a step.
    fn start(
        &mut self,
        call: &Call,
        initial: Initial,
        batch_first: bool,
        direction: usize,
        directions: usize,
        rows: usize,
        width: usize,
    ) -> Result<Value> {
        let part = call.part();
        match initial {
            Initial::Known(None) => Ok(self.builder.constant(&vec![0.0; rows * width])),
            Initial::Known(Some(tensor)) => {
                let values = spread(Some(tensor), directions * rows * width);
                let value = self.builder.constant(&values);
                self.of_direction(value, batch_first, direction, directions, rows, width, &part)
            }
            Initial::Value(value) => self.of_direction(value, batch_first, direction, directions, rows, width, &part),
        }
    }

    fn of_direction(
        &mut self,
        value: Value,
        batch_first: bool,
        direction: usize,
        directions: usize,
        rows: usize,
        width: usize,
        part: &str,
    ) -> Result<Value> {
        let value = if batch_first && directions > 1 {
            self.permute(value, &[rows, directions, width], &[1, 0, 2], part)?
        } else {
            value
        };
        let n = rows * width;
        let slice = value.slice(direction * n..(direction + 1) * n);
        slice.ok_or_else(|| refused(part, "its initial state does not fit its width"))
    }

    /// The state before the first step: zero, a constant, or the graph's.
    fn initial(&mut self, call: &Call, i: usize) -> Result<Initial> {
        match call.input(i) {
            None => Ok(Initial::Known(None)),
            Some(Lowered::Known { .. }) => Ok(Initial::Known(Some(call.needs_known(i)?.clone()))),
            Some(Lowered::Flow(flow)) if matches!(flow.when, When::Before | When::Run) => {
                Ok(Initial::Value(self.value(&flow.clone())?))
            }
            Some(Lowered::Flow(_)) => call.refuse("its initial state depends on steps of the sequence"),
        }
    }

    fn state_value(&mut self, initial: Initial, len: usize) -> Value {
        match initial {
            Initial::Value(value) => value,
            Initial::Known(tensor) => self.builder.constant(&spread(tensor, len)),
        }
    }
}

enum Initial {
    Known(Option<Tensor>),
    Value(Value),
}

/// A state for all sequences, given for one or for all.
fn spread(tensor: Option<Tensor>, len: usize) -> Vec<f32> {
    match tensor.map(|tensor| tensor.to_f32()).filter(|values| !values.is_empty()) {
        Some(values) => values.iter().copied().cycle().take(len).collect(),
        None => vec![0.0; len],
    }
}

/// Whether several rows run together.
fn layer_is_plain(parts: &Parts) -> bool {
    parts.recurrence().is_plain()
}
