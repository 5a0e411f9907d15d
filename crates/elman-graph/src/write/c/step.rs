//! The operations of a step as statements of C.

use std::fmt::Write as _;

use elman_step::Reset;
use elman_step::machine::{Activation, Binary, Pace, RecurrentKind, Reduction, Region, Value};

use crate::error::Result;
use crate::lower::record::{Operation, OwnedRecurrence, Recording};
use crate::write::refused;

/// Arrays and statements, as they are made.
pub(super) struct Source {
    name: String,
    arrays: String,
    count: usize,
    /// Most working memory of a recurrent layer, which lies behind the values of a step.
    most_work: usize,
    /// Paces other than that of the step, in the order in which the header counts them.
    paces: Vec<Pace>,
    /// Layers whose weights are written already, by address.
    layers: Vec<(*const OwnedRecurrence, Names)>,
}

/// Names of a layer's arrays.
#[derive(Clone)]
struct Names {
    w_ih: String,
    w_hh: String,
    b_ih: String,
    b_hh: String,
    peephole: Option<String>,
    projection: Option<(String, String)>,
}

/// An array of constants; nine digits give every float back.
pub(super) fn array(name: &str, values: &[f32]) -> Result<String> {
    let mut text = format!("static const float {name}[{}] = {{", values.len());
    for (i, x) in values.iter().enumerate() {
        let literal = match *x {
            x if x.is_finite() => format!("{x:e}f"),
            // What a largest value so far begins with.
            f32::INFINITY => "1.0f / 0.0f".into(),
            f32::NEG_INFINITY => "-1.0f / 0.0f".into(),
            x => return Err(refused(name, format!("value {i} is {x}, which C99 has no literal for"))),
        };
        let _ = write!(text, "{}{literal},", if i % 8 == 0 { "\n    " } else { " " });
    }
    text.push_str("\n};\n");
    Ok(text)
}

/// Values in memory, as a pointer of C.
fn at(value: Value) -> String {
    let memory = match value.region() {
        Region::Arena => "a",
        Region::State => "s",
        Region::Constant => "k",
    };
    format!("({memory} + {})", value.start())
}

impl Source {
    pub(super) fn new(name: &str) -> Self {
        Source {
            name: name.into(),
            arrays: String::new(),
            count: 0,
            most_work: 0,
            paces: Vec::new(),
            layers: Vec::new(),
        }
    }

    pub(super) fn arrays(&self) -> &str {
        &self.arrays
    }

    /// Paces other than that of the step; known after [`Self::body`].
    pub(super) fn paces(&self) -> &[Pace] {
        &self.paces
    }

    /// The condition under which something at this pace is done.
    fn when(&self, pace: Pace) -> Option<String> {
        self.paces.iter().position(|other| *other == pace).map(|i| format!("if (now{i})"))
    }

    /// Floats of working memory.
    pub(super) fn work(&self, recording: &Recording) -> usize {
        (recording.arena + self.most_work).max(1)
    }

    fn array(&mut self, values: &[f32]) -> Result<String> {
        let name = format!("{}_w{}", self.name, self.count);
        self.count += 1;
        self.arrays.push_str(&array(&name, values)?);
        Ok(name)
    }

    fn places(&mut self, values: impl Iterator<Item = i64>, len: usize) -> String {
        let name = format!("{}_i{}", self.name, self.count);
        self.count += 1;
        let _ = write!(self.arrays, "static const int32_t {name}[{len}] = {{");
        for (i, x) in values.enumerate() {
            let _ = write!(self.arrays, "{}{x},", if i % 16 == 0 { "\n    " } else { " " });
        }
        self.arrays.push_str("\n};\n");
        name
    }

    /// The statements of a step.
    pub(super) fn body(&mut self, recording: &Recording) -> Result<String> {
        let mut text = String::new();
        if !recording.constants.is_empty() {
            let name = format!("{}_constants", self.name);
            self.arrays.push_str(&array(&name, &recording.constants)?);
            let _ = writeln!(text, "    const float *k = {name};");
        }
        let name = self.name.clone();
        for (operation, _) in &recording.operations {
            if let Operation::Embed { table, width, tokens, .. } = operation {
                let (vocab, from) = (table.len() / width, tokens.start());
                let _ = writeln!(
                    text,
                    "    for (i = {from}; i < {}; i++) if (!(x[i] >= 0.0f && x[i] < {vocab}.0f && (float)(int32_t)x[i] == x[i])) return -1;",
                    from + tokens.len()
                );
            }
        }
        let inputs: usize = recording.inputs.iter().map(Value::len).sum();
        let _ = writeln!(text, "    for (i = 0; i < {inputs}; i++) a[i] = x[i];");
        for (_, pace) in &recording.operations {
            if *pace != Pace::EACH && !self.paces.contains(pace) {
                let i = self.paces.len();
                let _ = writeln!(text, "    int now{i} = stream->wait[{i}] == 0;");
                let _ = writeln!(text, "    stream->wait[{i}] = (now{i} ? {} : stream->wait[{i}]) - 1;", pace.period);
                self.paces.push(*pace);
            }
        }
        for together in recording.operations.chunk_by(|(_, a), (_, b)| a == b) {
            let when = together.first().and_then(|(_, pace)| self.when(*pace));
            let _ = when.as_ref().map_or(Ok(()), |when| writeln!(text, "    {when} {{"));
            for (operation, _) in together {
                self.operation(&mut text, &name, operation, recording.arena)?;
            }
            text.push_str(if when.is_some() { "    }\n" } else { "" });
        }
        let mut y = 0;
        for value in &recording.outputs {
            let n = value.len();
            let _ = writeln!(text, "    for (i = 0; i < {n}; i++) y[{y} + i] = {}[i];", at(*value));
            y += n;
        }
        // States that become other states are read before any is written.
        let mut work = recording.arena;
        let mut late = String::new();
        for (state, next, pace) in &recording.carries {
            let (n, when) = (state.len(), self.when(*pace).map(|when| when + " ").unwrap_or_default());
            if next.region() == Region::State {
                let _ = writeln!(text, "    for (i = 0; i < {n}; i++) a[{work} + i] = {}[i];", at(*next));
                let _ = writeln!(late, "    for (i = 0; i < {n}; i++) {}[i] = a[{work} + i];", at(*state));
                work += n;
            } else {
                let _ = writeln!(late, "    {when}for (i = 0; i < {n}; i++) {}[i] = {}[i];", at(*state), at(*next));
            }
        }
        self.most_work = self.most_work.max(work - recording.arena);
        text.push_str(&late);
        Ok(text)
    }

    fn operation(&mut self, text: &mut String, name: &str, operation: &Operation, arena: usize) -> Result<()> {
        let _ = match operation {
            Operation::Copy { from, to } => {
                writeln!(text, "    for (i = 0; i < {}; i++) {}[i] = {}[i];", to.len(), at(*to), at(*from))
            }
            Operation::Recurrent { layer, input, state, next } => {
                return self.recurrent(text, layer, [*input, *state, *next], arena);
            }
            Operation::Dense { weight, bias, activation, input, output } => {
                let (units, depth) = (bias.len(), weight.len() / bias.len());
                let (w, b) = (self.array(weight)?, self.array(bias)?);
                let (x, y, rows) = (at(*input), at(*output), output.len() / units);
                let _ = writeln!(text, "    {name}_linear({w}, {b}, {units}, {depth}, {rows}, {x}, {y});");
                activate(text, name, *activation, &y, output.len());
                Ok(())
            }
            Operation::Activate { activation, input, output } => {
                let (n, x, y) = (output.len(), at(*input), at(*output));
                let _ = writeln!(text, "    for (i = 0; i < {n}; i++) {y}[i] = {x}[i];");
                activate(text, name, *activation, &y, n);
                Ok(())
            }
            Operation::Binary { function, a, b, output } => {
                let index = |value: &Value| {
                    if value.len() == output.len() { "[i]".to_string() } else { format!("[i % {}]", value.len()) }
                };
                let (p, q) = (format!("{}{}", at(*a), index(a)), format!("{}{}", at(*b), index(b)));
                let of = binary(*function, &p, &q);
                writeln!(text, "    for (i = 0; i < {}; i++) {}[i] = {of};", output.len(), at(*output))
            }
            Operation::Choose { condition, a, b, output } => writeln!(
                text,
                "    for (i = 0; i < {}; i++) {}[i] = {}[i % {}] != 0.0f ? {}[i] : {}[i];",
                output.len(),
                at(*output),
                at(*condition),
                condition.len(),
                at(*a),
                at(*b)
            ),
            Operation::Embed { table, width, tokens, output } => {
                let table = self.array(table)?;
                writeln!(
                    text,
                    "    for (i = 0; i < {}; i++) {}[i] = {table}[(int32_t){}[i / {width}] * {width} + i % {width}];",
                    output.len(),
                    at(*output),
                    at(*tokens)
                )
            }
            Operation::Select { from, input, output } => {
                let places = from.iter().map(|place| if *place == u32::MAX { -1 } else { i64::from(*place) });
                let places = self.places(places, from.len());
                writeln!(
                    text,
                    "    for (i = 0; i < {}; i++) {}[i] = {places}[i] < 0 ? 0.0f : {}[{places}[i]];",
                    output.len(),
                    at(*output),
                    at(*input)
                )
            }
            Operation::Delay { ring, ages, input, output } => {
                let width = input.len();
                let frames = ages.iter().max().map_or(1, |age| age + 1);
                let head = ring + frames * width;
                let list = self.places(ages.iter().map(|age| *age as i64), ages.len());
                let _ = writeln!(text, "    {{ int head = (int)s[{head}];");
                let _ = writeln!(
                    text,
                    "    for (i = 0; i < {width}; i++) s[{ring} + head * {width} + i] = {}[i];",
                    at(*input)
                );
                let _ = writeln!(
                    text,
                    "    for (i = 0; i < {}; i++) {}[i] = s[{ring} + (head + {frames} - {list}[i / {width}]) % {frames} * {width} + i % {width}];",
                    output.len(),
                    at(*output)
                );
                writeln!(text, "    s[{head}] = (float)((head + 1) % {frames}); }}")
            }
            Operation::Reduce { reduction, n, inner, input, output } => {
                reduce(text, name, *reduction, [*n, *inner], &at(*input), &at(*output), output.len());
                Ok(())
            }
            Operation::Softmax { width, input, output } => {
                let (x, y, rows) = (at(*input), at(*output), output.len() / width);
                let _ = writeln!(
                    text,
                    "    for (i = 0; i < {rows}; i++) {{ int j; float sum = 0.0f, max = {x}[i * {width}];"
                );
                let _ = writeln!(
                    text,
                    "    for (j = 1; j < {width}; j++) if ({x}[i * {width} + j] > max) max = {x}[i * {width} + j];"
                );
                let _ = writeln!(
                    text,
                    "    for (j = 0; j < {width}; j++) sum += {y}[i * {width} + j] = {name}_exp({x}[i * {width} + j] - max);"
                );
                writeln!(text, "    for (j = 0; j < {width}; j++) {y}[i * {width} + j] /= sum; }}")
            }
            Operation::Normalize { width, epsilon, input, output } => {
                let (x, y, rows) = (at(*input), at(*output), output.len() / width);
                let _ = writeln!(
                    text,
                    "    for (i = 0; i < {rows}; i++) {{ int j; double mean = 0.0, var = 0.0; float by;"
                );
                let _ = writeln!(text, "    for (j = 0; j < {width}; j++) mean += (double){x}[i * {width} + j];");
                let _ = writeln!(text, "    mean /= {width}.0;");
                let _ = writeln!(
                    text,
                    "    for (j = 0; j < {width}; j++) {{ double d = (double){x}[i * {width} + j] - mean; var += d * d; }}"
                );
                let _ = writeln!(text, "    by = {name}_sqrt((float)(var / {width}.0 + (double){epsilon:e}f));");
                writeln!(
                    text,
                    "    for (j = 0; j < {width}; j++) {y}[i * {width} + j] = (float)((double){x}[i * {width} + j] - mean) / by; }}"
                )
            }
        };
        Ok(())
    }

    fn names(&mut self, layer: &std::rc::Rc<OwnedRecurrence>) -> Result<Names> {
        let address = std::rc::Rc::as_ptr(layer);
        if let Some((_, names)) = self.layers.iter().find(|(other, _)| *other == address) {
            return Ok(names.clone());
        }
        let projection = match &layer.projection {
            Some(projection) => Some((self.array(projection)?, self.array(&vec![0.0; layer.width])?)),
            None => None,
        };
        let names = Names {
            w_ih: self.array(&layer.w_ih)?,
            w_hh: self.array(&layer.w_hh)?,
            b_ih: self.array(&layer.b_ih)?,
            b_hh: self.array(&layer.b_hh)?,
            peephole: layer.peephole.as_ref().map(|peephole| self.array(peephole)).transpose()?,
            projection,
        };
        self.layers.push((address, names.clone()));
        Ok(names)
    }

    /// The equations of [`elman_step::machine::RecurrentKind`], row by row.
    fn recurrent(
        &mut self,
        text: &mut String,
        layer: &std::rc::Rc<OwnedRecurrence>,
        [input, state, next]: [Value; 3],
        arena: usize,
    ) -> Result<()> {
        let names = self.names(layer)?;
        let (name, hidden, width, inputs) = (self.name.clone(), layer.hidden, layer.width, layer.inputs);
        let (rows, gates) = (input.len() / inputs, layer.kind.gates() * hidden);
        self.most_work = self.most_work.max(2 * gates + hidden);
        let c_at = rows * width;
        for row in 0..rows {
            let x = format!("({} + {})", at(input), row * inputs);
            let h_prev = format!("({} + {})", at(state), row * width);
            let h = format!("({} + {})", at(next), row * width);
            let (c_prev, c) = (
                format!("({} + {})", at(state), c_at + row * hidden),
                format!("({} + {})", at(next), c_at + row * hidden),
            );
            // The sums from x, those from h, and what the cell puts out.
            let (g, q, o) =
                (format!("(a + {arena})"), format!("(a + {})", arena + gates), format!("(a + {})", arena + 2 * gates));
            let Names { w_ih, w_hh, b_ih, b_hh, .. } = &names;
            let _ = writeln!(text, "    {name}_linear({w_ih}, {b_ih}, {gates}, {inputs}, 1, {x}, {g});");
            let before = layer.kind == RecurrentKind::Gru(Reset::Before);
            let direct = if before { 2 * hidden } else { gates };
            let _ = writeln!(text, "    {name}_linear({w_hh}, {b_hh}, {direct}, {width}, 1, {h_prev}, {q});");
            let gate = |text: &mut String, which: usize, from: usize, n: usize| {
                let part = format!("({g} + {from})");
                if let Some(clip) = layer.clip {
                    activate(text, &name, Activation::Clip { min: -clip, max: clip }, &part, n);
                }
                activate(text, &name, layer.activations[which], &part, n);
            };
            match layer.kind {
                RecurrentKind::Rnn => {
                    let _ = writeln!(text, "    for (i = 0; i < {hidden}; i++) {g}[i] += {q}[i];");
                    gate(text, 0, 0, hidden);
                    let _ = writeln!(text, "    for (i = 0; i < {hidden}; i++) {h}[i] = {g}[i];");
                }
                RecurrentKind::Gru(_) => {
                    let (n, two) = (2 * hidden, 2 * hidden);
                    let _ = writeln!(text, "    for (i = 0; i < {two}; i++) {g}[i] += {q}[i];");
                    gate(text, 0, 0, two);
                    if before {
                        let _ = writeln!(text, "    for (i = 0; i < {hidden}; i++) {o}[i] = {g}[i] * {h_prev}[i];");
                        let _ = writeln!(
                            text,
                            "    {name}_linear({w_hh} + {}, {b_hh} + {two}, {hidden}, {width}, 1, {o}, ({q} + {two}));",
                            two * width
                        );
                        let _ = writeln!(text, "    for (i = 0; i < {hidden}; i++) {g}[{n} + i] += {q}[{n} + i];");
                    } else {
                        let _ =
                            writeln!(text, "    for (i = 0; i < {hidden}; i++) {g}[{n} + i] += {g}[i] * {q}[{n} + i];");
                    }
                    gate(text, 1, n, hidden);
                    let _ = writeln!(
                        text,
                        "    for (i = 0; i < {hidden}; i++) {h}[i] = {g}[{n} + i] + {g}[{hidden} + i] * ({h_prev}[i] - {g}[{n} + i]);"
                    );
                }
                RecurrentKind::Lstm => {
                    let (f, cell, out) = (hidden, 2 * hidden, 3 * hidden);
                    let _ = writeln!(text, "    for (i = 0; i < {gates}; i++) {g}[i] += {q}[i];");
                    if let Some(p) = &names.peephole {
                        let _ = writeln!(
                            text,
                            "    for (i = 0; i < {}; i++) {g}[i] += {p}[i] * {c_prev}[i % {hidden}];",
                            2 * hidden
                        );
                    }
                    gate(text, 0, 0, 2 * hidden);
                    gate(text, 1, cell, hidden);
                    if layer.input_forget {
                        let _ = writeln!(text, "    for (i = 0; i < {hidden}; i++) {g}[{f} + i] = 1.0f - {g}[i];");
                    }
                    let _ = writeln!(
                        text,
                        "    for (i = 0; i < {hidden}; i++) {c}[i] = {g}[{f} + i] * {c_prev}[i] + {g}[i] * {g}[{cell} + i];"
                    );
                    if let Some(p) = &names.peephole {
                        let _ = writeln!(
                            text,
                            "    for (i = 0; i < {hidden}; i++) {g}[{out} + i] += {p}[{cell} + i] * {c}[i];"
                        );
                    }
                    gate(text, 0, out, hidden);
                    let _ = writeln!(text, "    for (i = 0; i < {hidden}; i++) {o}[i] = {c}[i];");
                    activate(text, &name, layer.activations[2], &o, hidden);
                    let _ = writeln!(text, "    for (i = 0; i < {hidden}; i++) {o}[i] *= {g}[{out} + i];");
                    if let Some((p, zero)) = &names.projection {
                        let _ = writeln!(text, "    {name}_linear({p}, {zero}, {width}, {hidden}, 1, {o}, {h});");
                    } else {
                        let _ = writeln!(text, "    for (i = 0; i < {hidden}; i++) {h}[i] = {o}[i];");
                    }
                }
            }
        }
        Ok(())
    }
}

/// `y = f(y)` for `n` values.
fn activate(text: &mut String, name: &str, of: Activation, y: &str, n: usize) {
    let x = format!("{y}[i]");
    let exp = |x: &str| format!("{name}_exp({x})");
    let f = match of {
        Activation::Identity => return,
        Activation::Tanh => format!("{name}_tanh({x})"),
        Activation::Sigmoid => format!("{name}_sigmoid({x})"),
        Activation::Relu => format!("{x} < 0.0f ? 0.0f : {x}"),
        Activation::LeakyRelu { alpha } => format!("{x} < 0.0f ? {alpha:e}f * {x} : {x}"),
        Activation::ThresholdedRelu { alpha } => format!("{x} > {alpha:e}f ? {x} : 0.0f"),
        Activation::HardSigmoid { alpha, beta } => {
            let _ = writeln!(text, "    for (i = 0; i < {n}; i++) {x} = {alpha:e}f * {x} + {beta:e}f;");
            format!("{x} < 0.0f ? 0.0f : {x} > 1.0f ? 1.0f : {x}")
        }
        Activation::Elu { alpha } => format!("{x} < 0.0f ? {alpha:e}f * ({} - 1.0f) : {x}", exp(&x)),
        Activation::Selu { alpha, gamma } => {
            format!("{gamma:e}f * ({x} < 0.0f ? {alpha:e}f * ({} - 1.0f) : {x})", exp(&x))
        }
        Activation::Softsign => format!("{x} / (1.0f + ({x} < 0.0f ? -{x} : {x}))"),
        Activation::Softplus => {
            format!("({x} > 0.0f ? {x} : 0.0f) + {name}_ln(1.0f + {name}_exp({x} < 0.0f ? {x} : -{x}))")
        }
        Activation::Affine { alpha, beta } => format!("{alpha:e}f * {x} + {beta:e}f"),
        Activation::ScaledTanh { alpha, beta } => format!("{alpha:e}f * {name}_tanh({beta:e}f * {x})"),
        Activation::Clip { min, max } => {
            let below = if min.is_finite() { format!("{x} < {min:e}f ? {min:e}f : ") } else { String::new() };
            let above = if max.is_finite() { format!("{x} > {max:e}f ? {max:e}f : ") } else { String::new() };
            format!("{below}{above}{x}")
        }
        Activation::Silu => format!("{x} * {name}_sigmoid({x})"),
        Activation::HardSwish => {
            format!("{x} * ({x} < -3.0f ? 0.0f : {x} > 3.0f ? 1.0f : {x} / 6.0f + 0.5f)")
        }
        Activation::Gelu { tanh: false } => {
            let _ = writeln!(text, "    for (i = 0; i < {n}; i++) {{ float z = {x} * 0.707106781f;");
            let _ = writeln!(text, "        z = {name}_erfc(z < 0.0f ? -z : z);");
            let _ = writeln!(text, "        {x} *= 0.5f * ({x} < 0.0f ? z : 2.0f - z); }}");
            return;
        }
        Activation::Gelu { tanh: true } => {
            format!("0.5f * {x} * (1.0f + {name}_tanh(0.797884561f * ({x} + 0.044715f * {x} * {x} * {x})))")
        }
        Activation::Erf => format!("{x} < 0.0f ? {name}_erfc(-{x}) - 1.0f : 1.0f - {name}_erfc({x})"),
        Activation::Exp => exp(&x),
        Activation::Log => format!("{name}_ln({x})"),
        Activation::Sqrt => format!("{name}_sqrt({x})"),
        Activation::Square => format!("{x} * {x}"),
        Activation::Abs => format!("{x} < 0.0f ? -{x} : {x}"),
        Activation::Neg => format!("-{x}"),
        Activation::Reciprocal => format!("1.0f / {x}"),
    };
    let _ = writeln!(text, "    for (i = 0; i < {n}; i++) {x} = {f};");
}

fn binary(function: Binary, a: &str, b: &str) -> String {
    match function {
        Binary::Add => format!("{a} + {b}"),
        Binary::Sub => format!("{a} - {b}"),
        Binary::Mul => format!("{a} * {b}"),
        Binary::Div => format!("{a} / {b}"),
        Binary::Max => format!("{a} > {b} || {a} != {a} ? {a} : {b}"),
        Binary::Min => format!("{a} < {b} || {a} != {a} ? {a} : {b}"),
        Binary::Prelu => format!("{a} < 0.0f ? {b} * {a} : {a}"),
        Binary::Equal => format!("{a} == {b} ? 1.0f : 0.0f"),
        Binary::Greater => format!("{a} > {b} ? 1.0f : 0.0f"),
        Binary::GreaterOrEqual => format!("{a} >= {b} ? 1.0f : 0.0f"),
    }
}

fn reduce(text: &mut String, name: &str, of: Reduction, [n, inner]: [usize; 2], x: &str, y: &str, outputs: usize) {
    let first = format!("{x}[i / {inner} * {} + i % {inner}]", n * inner);
    let each = format!("{x}[i / {inner} * {} + j * {inner} + i % {inner}]", n * inner);
    let (start, next) = match of {
        Reduction::Sum | Reduction::Mean => (first, format!("r += {each};")),
        Reduction::Max => (first, format!("if ({each} > r) r = {each};")),
        Reduction::Min => (first, format!("if ({each} < r) r = {each};")),
        Reduction::L2 => (format!("{first} * {first}"), format!("r += {each} * {each};")),
    };
    let end = match of {
        Reduction::Mean => format!("r / {n}.0f"),
        Reduction::L2 => format!("{name}_sqrt(r)"),
        _ => "r".into(),
    };
    let _ = writeln!(text, "    for (i = 0; i < {outputs}; i++) {{ int j; float r = {start};");
    let _ = writeln!(text, "    for (j = 1; j < {n}; j++) {next}");
    let _ = writeln!(text, "    {y}[i] = {end}; }}");
}
