//! Recurrent layers of a map, in any layout.

use crate::builder::{RecurrentWeights, Value};
use crate::error::{Error, Result};
use crate::graph::{Activation, Cell, Dim, Direction, Op, Port, Recurrent, State};
use crate::read::tensors::transposed;
use crate::read::weights::{self, Rows};
use crate::tensor::{Dtype, Tensor};

use super::fields::Fields;
use super::network::Network;

/// Layers of a module that are looked for.
const MOST_LAYERS: usize = 200;

/// What all directions of a layer share.
struct Kind<'a> {
    name: &'a str,
    cell: Cell,
    layout: &'a str,
    /// Where each of ONNX's gates stands in the file.
    order: Vec<usize>,
    /// Number added to the forget gate's bias.
    forget_bias: f32,
}

impl<'a> Network<'a> {
    pub(super) fn recurrent(&mut self, name: &'a str, kind: &str, fields: &Fields<'a>) -> Result<Value> {
        let layout = self.layout_of(fields)?;
        let (letters, default) = match (kind, layout) {
            ("lstm", "tensorflow") => ("iofg", "igfo"),
            ("lstm", _) => ("iofg", "ifgo"),
            ("gru", "torch") => ("zrn", "rzn"),
            ("gru", _) => ("zrn", "zrn"),
            _ => ("h", "h"),
        };
        // g is also written c and j, n also h.
        let gates = fields.text("gates")?.unwrap_or(default);
        let written: Vec<char> = gates
            .chars()
            .map(|c| match (kind, c) {
                ("lstm", 'c' | 'j') => 'g',
                ("gru", 'h') => 'n',
                (_, c) => c,
            })
            .collect();
        let order: Option<Vec<usize>> = letters.chars().map(|gate| written.iter().position(|c| *c == gate)).collect();
        let order = order
            .filter(|order| order.len() == written.len())
            .ok_or_else(|| fields.wrong(format!("the gates {gates:?} are not an order of {letters:?}")))?;
        let cell = match kind {
            "lstm" => Cell::Lstm { input_forget: false },
            "gru" => match fields.word("reset", &["before", "after"])? {
                Some(reset) => Cell::Gru { linear_before_reset: reset == "after" },
                None if layout == "torch" => Cell::Gru { linear_before_reset: true },
                None => return Err(fields.wrong("reset is missing: before or after the recurrent product")),
            },
            _ => Cell::Rnn,
        };
        let forget_bias = fields.number("forget_bias")?;
        if layout == "tensorflow" && kind == "lstm" && forget_bias.is_none() {
            return Err(
                fields.wrong("forget_bias is missing: TensorFlow adds it when it runs, 1.0 unless told otherwise")
            );
        }
        if forget_bias.is_some() && kind != "lstm" {
            return Err(fields.wrong("only an LSTM has a forget_bias"));
        }
        let kind = Kind { name, cell, layout, order, forget_bias: forget_bias.unwrap_or(0.0) as f32 };
        let direction = match fields.word("direction", &["forward", "backward", "both"])? {
            Some("backward") => Direction::Reverse,
            Some("both") => Direction::Bidirectional,
            _ => Direction::Forward,
        };
        let activations = self.activations(&kind, direction, fields)?;
        let mut x = self.read_by(name, fields)?;
        let output = fields.word("output", &["steps", "last"])?.unwrap_or("steps");
        let carried = fields.flag("carried")?;
        if let Some(module) = fields.text("module")? {
            let layers = (0..MOST_LAYERS)
                .take_while(|at| self.tensors.dims(&format!("{module}.weight_ih_l{at}")).is_some())
                .count();
            if layers == 0 {
                return Err(fields.wrong(format!("there is no tensor {module}.weight_ih_l0")));
            }
            let mut last = x.clone();
            for at in 0..layers {
                let directions = if direction == Direction::Bidirectional { &["", "_reverse"][..] } else { &[""] };
                let parts = directions.iter().map(|reverse| {
                    let of = |part: &str| format!("{module}.{part}_l{at}{reverse}");
                    let bias = |part: &str| Some(of(part)).filter(|name| self.tensors.dims(name).is_some());
                    Names {
                        input: of("weight_ih"),
                        recurrent: Some(of("weight_hh")),
                        bias: bias("bias_ih"),
                        recurrent_bias: bias("bias_hh"),
                    }
                });
                let parts: Vec<Names> = parts.collect();
                (x, last) = self.one(&kind, parts, direction, &activations, &x, (None, None), carried.then_some(at))?;
            }
            return Ok(if output == "last" { last } else { x });
        }
        let mut parts = vec![Names::of(fields)?];
        if let Some(backward) = fields.table("backward")? {
            parts.push(Names::of(&backward)?);
            backward.finish(&[])?;
        }
        if parts.len() != direction.count() {
            return Err(fields.wrong("a table backward belongs to direction = \"both\", and only to it"));
        }
        let initial = (fields.text("initial_h")?, fields.text("initial_c")?);
        let (y, last) = self.one(&kind, parts, direction, &activations, &x, initial, carried.then_some(0))?;
        Ok(if output == "last" { last } else { y })
    }

    fn activations(&self, kind: &Kind<'_>, direction: Direction, fields: &Fields<'_>) -> Result<Vec<Activation>> {
        let function = |key: &str, otherwise: Activation| match fields.text(key)? {
            None => Ok(otherwise),
            Some("hard_sigmoid_keras_2") => Ok(Activation::HardSigmoid { alpha: 0.2, beta: 0.5 }),
            Some("hard_sigmoid_keras_3") => Ok(Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }),
            Some(name) => {
                let known = weights::activation(name);
                let known = known.ok_or_else(|| fields.wrong(format!("{key}: the function {name:?} is not known")))?;
                Ok(known.unwrap_or(Activation::Affine { alpha: 1.0, beta: 0.0 }))
            }
        };
        let own = function("activation", Activation::Tanh)?;
        let one = match kind.cell {
            Cell::Rnn => vec![own],
            Cell::Gru { .. } => vec![function("gate_activation", Activation::Sigmoid)?, own],
            Cell::Lstm { .. } => vec![function("gate_activation", Activation::Sigmoid)?, own, own],
        };
        Ok(one.repeat(direction.count()))
    }

    /// One layer: its outputs at all steps, and after the last one it read.
    #[allow(clippy::type_complexity)]
    fn one(
        &mut self,
        kind: &Kind<'_>,
        parts: Vec<Names>,
        direction: Direction,
        activations: &[Activation],
        x: &Value,
        initial: (Option<&str>, Option<&str>),
        carried: Option<usize>,
    ) -> Result<(Value, Value)> {
        let width = x.width()?;
        let rows = parts.iter().map(|names| self.rows(kind, names, width)).collect::<Result<Vec<_>>>()?;
        let hidden = rows.first().and_then(|rows| rows.r.dims().get(1)).copied().unwrap_or(0);
        let mut weights: RecurrentWeights = weights::recurrent(kind.name, rows, &kind.order)?;
        let batch_first = self.batch == 0;
        let mut state = |name: Option<&str>, what: &str| match name {
            None => Ok(None),
            Some(name) => {
                let tensor = self.tensors.any(name, kind.name, what)?;
                let dims =
                    if batch_first { vec![1, direction.count(), hidden] } else { vec![direction.count(), 1, hidden] };
                tensor.reshaped(dims).map(Some)
            }
        };
        weights.initial_h = state(initial.0, "initial h")?;
        weights.initial_c = state(initial.1, "initial c")?;
        let start = [weights.initial_h.clone(), weights.initial_c.clone()];
        let layer = Recurrent {
            batch_first,
            activations: activations.to_vec(),
            ..Recurrent::new(kind.cell, hidden, direction)
        };
        let (y, h, c) = self.builder.recurrent(kind.name, x, layer, weights, None)?;
        if let Some(at) = carried {
            self.carry(kind.name, at, &h, c.as_ref(), start)?;
        }
        let axis = if batch_first { 1 } else { 0 };
        let mut ends = Vec::new();
        for side in 0..direction.count() {
            ends.push(self.builder.take(kind.name, &h, axis, side as i64)?);
        }
        let last = match ends.as_slice() {
            [end] => end.clone(),
            ends => self.builder.concat(kind.name, &ends.iter().collect::<Vec<_>>(), -1)?,
        };
        Ok((y, last))
    }

    /// Makes the states inputs and outputs, carried from run to run.
    fn carry(&mut self, name: &str, at: usize, h: &Value, c: Option<&Value>, start: [Option<Tensor>; 2]) -> Result<()> {
        let batch = if self.batch == 0 { 0 } else { 1 };
        let states: Vec<(&str, &Value, usize, Option<Tensor>)> = {
            let [h0, c0] = start;
            let mut states = vec![("h", h, 5, h0)];
            states.extend(c.map(|c| ("c", c, 6, c0)));
            states
        };
        for (letter, state, slot, start) in states {
            let label = if at == 0 { format!("{name}_{letter}") } else { format!("{name}_{at}_{letter}") };
            let mut dims = state.dims().to_vec();
            dims[batch] = Dim::from("B");
            let input = self.builder.input(&label, Dtype::F32, dims);
            let initial =
                start.map(|tensor| self.builder.constant(&format!("{label}.initial"), tensor).name().to_owned());
            let nodes = &mut self.builder.graph_mut().nodes;
            if let Some(node) = nodes.iter_mut().rev().find(|node| matches!(node.op, Op::Recurrent(_))) {
                if node.inputs.len() <= slot {
                    node.inputs.resize(slot + 1, String::new());
                }
                node.inputs[slot] = input.name().to_owned();
            }
            let output = format!("{label}_next");
            self.carried.push((
                Port { name: output.clone(), dtype: Dtype::F32, dims: Some(state.dims().to_vec()) },
                state.clone(),
                State { input: input.name().to_owned(), output, initial, batch: Some(batch) },
            ));
        }
        Ok(())
    }

    /// The weights of one direction, gates in rows.
    fn rows(&mut self, kind: &Kind<'_>, names: &Names, width: usize) -> Result<Rows> {
        let name = kind.name;
        let gates = kind.cell.gates();
        let input = self.tensors.any(&names.input, name, "W, gates reordered")?;
        let (w, r) = match &names.recurrent {
            Some(recurrent) => (input, self.tensors.any(recurrent, name, "R, gates reordered")?),
            // One matrix for the input and the state: [x; h] in rows of columns, or side by side.
            None => {
                let whole = if kind.layout == "torch" { transposed(&input)? } else { input };
                let &[both, columns] = whole.dims() else {
                    return Err(Error::dimensions(format!("tensor {}", names.input), whole.dims(), &[0, 0]));
                };
                let hidden = columns / gates;
                if both != width.saturating_add(hidden) {
                    return Err(Error::dimensions(
                        format!("tensor {}", names.input),
                        whole.dims(),
                        &[width + hidden, columns],
                    ));
                }
                let mut top = whole.to_f32();
                let bottom = top.split_off(width * columns);
                let (w, r) = (Tensor::from_f32([width, columns], top)?, Tensor::from_f32([hidden, columns], bottom)?);
                if kind.layout == "torch" { (transposed(&w)?, transposed(&r)?) } else { (w, r) }
            }
        };
        let columns = if kind.layout == "torch" { w.dims().first() } else { w.dims().last() }.copied().unwrap_or(0);
        let bias = names.bias.as_ref().map(|of| self.tensors.any(of, name, "B, gates reordered")).transpose()?;
        // Twice the biases of an LSTM in one row: weights that CuDNN had.
        let cudnn =
            kind.layout == "keras" && bias.as_ref().is_some_and(|bias| bias.dims() == [2 * columns]) && gates > 1;
        let (w, r) = match kind.layout {
            "torch" => (w, r),
            "keras" if cudnn => (weights::cudnn_rows(&w, gates)?, weights::cudnn_rows(&r, gates)?),
            _ => (transposed(&w)?, transposed(&r)?),
        };
        let recurrent_bias =
            names.recurrent_bias.as_ref().map(|of| self.tensors.any(of, name, "B, gates reordered")).transpose()?;
        let (mut b_in, mut b_rec) = (None, recurrent_bias);
        if let Some(bias) = bias {
            let mut first = bias.to_f32();
            if first.len() == 2 * columns && b_rec.is_none() {
                b_rec = Some(Tensor::from_f32([columns], first.split_off(columns))?);
            }
            b_in = Some(Tensor::from_f32([first.len()], first)?);
        }
        for bias in [&b_in, &b_rec].into_iter().flatten() {
            if bias.dims() != [columns] {
                return Err(Error::dimensions(format!("layer {name}: bias"), bias.dims(), &[columns]));
            }
        }
        if kind.forget_bias != 0.0 {
            let hidden = columns / gates;
            // Gate f is the third of ONNX's.
            let at = kind.order.get(2).copied().unwrap_or(0) * hidden;
            let mut added = vec![0.0; columns];
            added[at..at + hidden].fill(kind.forget_bias);
            let old = b_rec.map_or(vec![0.0; columns], |bias| bias.to_f32());
            let sum: Vec<f32> = old.iter().zip(&added).map(|(a, b)| a + b).collect();
            b_rec = Some(Tensor::from_f32([columns], sum)?);
        }
        Ok(Rows { w, r, b_in, b_rec, projection: None })
    }
}

/// Names of one direction's tensors.
struct Names {
    input: String,
    /// `None` where the first matrix is for both.
    recurrent: Option<String>,
    bias: Option<String>,
    recurrent_bias: Option<String>,
}

impl Names {
    fn of(fields: &Fields<'_>) -> Result<Self> {
        let text = |key: &str| fields.text(key).map(|name| name.map(String::from));
        let (both, input, recurrent) = (text("weights")?, text("input_weights")?, text("recurrent_weights")?);
        let (bias, recurrent_bias) = (text("bias")?, text("recurrent_bias")?);
        match (both, input, recurrent) {
            (Some(input), None, None) => Ok(Names { input, recurrent: None, bias, recurrent_bias }),
            (None, Some(input), recurrent @ Some(_)) => Ok(Names { input, recurrent, bias, recurrent_bias }),
            _ => Err(fields.wrong(
                "either weights (for input and state) or input_weights and recurrent_weights are needed, or module",
            )),
        }
    }
}
