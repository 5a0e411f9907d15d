//! `LSTM`, `GRU`, `SimpleRNN`, `Bidirectional` and the CuDNN layers of Keras 1 to 3.
//!
//! Keras keeps kernels as `[I, G*H]`, gates `i f c o` of an LSTM and `z r h` of a GRU. A GRU with `reset_after` has two rows
//! of biases. The CuDNN layers have each gate's block as the transpose, read row by row, and all biases in one row.

use crate::builder::Value;
use crate::error::{Error, Result};
use crate::graph::{Activation, Binary, Cell, Dim, Direction, MaskedOutput, Op, Recurrent};
use crate::read::tensors::{blocks, transposed};
use crate::read::weights::{self, GRU_ZRH, LSTM_IFGO, ONE, Rows};
use crate::tensor::Tensor;

use super::flow::{Flow, Mask};
use super::layer::{Model, is_recurrent};
use super::weights::Config;

/// What a configuration says of a recurrent layer.
struct Layer<'a> {
    name: &'a str,
    cell: Cell,
    /// Of a GRU whose configuration does not say which form it is.
    form_unknown: bool,
    cudnn: bool,
    units: usize,
    order: &'static [usize],
    activations: Vec<Activation>,
    use_bias: bool,
    return_sequences: bool,
    return_state: bool,
    go_backwards: bool,
    zero_output: bool,
}

impl Model<'_> {
    fn layer<'a>(&mut self, class: &str, config: Config<'a>) -> Result<Layer<'a>> {
        let cudnn = class.starts_with("CuDNN");
        let reset_after = config.get(&["reset_after"]);
        let (cell, order, default): (Cell, &[usize], &[&str]) = match class {
            "LSTM" | "CuDNNLSTM" => (Cell::Lstm { input_forget: false }, LSTM_IFGO, &["sigmoid", "tanh", "tanh"]),
            "GRU" | "CuDNNGRU" => {
                let after = cudnn || config.flag(&["reset_after"], false)?;
                (Cell::Gru { linear_before_reset: after }, GRU_ZRH, &["sigmoid", "tanh"])
            }
            _ => (Cell::Rnn, ONE, &["tanh"]),
        };
        for (key, what) in [("time_major", "time_major"), ("time_distributed", "time_distributed")] {
            if config.flag(&[key], false)? {
                return Err(config.unsupported(what));
            }
        }
        let activations = if cudnn {
            default.iter().filter_map(|name| weights::activation(name).flatten()).collect()
        } else {
            let own = self.cell_activation(config, &["activation"])?;
            let gates = match cell {
                Cell::Rnn => own,
                _ => self.cell_activation(config, &["recurrent_activation", "inner_activation"])?,
            };
            match cell {
                Cell::Rnn => vec![own],
                Cell::Gru { .. } => vec![gates, own],
                Cell::Lstm { .. } => vec![gates, own, own],
            }
        };
        if config.flag(&["stateful"], false)? {
            self.note(format!("{}: stateful, and its state is zero at the beginning of each run", config.layer));
        }
        Ok(Layer {
            name: config.layer,
            cell,
            form_unknown: class == "GRU" && reset_after.is_none(),
            cudnn,
            units: config.size(&["units", "output_dim"])?,
            order,
            activations,
            use_bias: config.flag(&["use_bias"], true)?,
            return_sequences: config.flag(&["return_sequences"], false)?,
            return_state: config.flag(&["return_state"], false)?,
            go_backwards: config.flag(&["go_backwards"], false)?,
            zero_output: config.flag(&["zero_output_for_mask"], false)?,
        })
    }

    fn cell_activation(&self, config: Config<'_>, keys: &[&str]) -> Result<Activation> {
        // Versions differ in what they take where nothing is said, and all of them say it.
        if keys.iter().all(|key| config.json.get(key).is_none()) {
            return Err(Error::malformed(format!("layer {}", config.layer), format!("it has no {}", keys[0])));
        }
        let name = self.activation_name(config, keys, "linear")?;
        if name == "hard_sigmoid" {
            return self.hard_sigmoid(config.layer);
        }
        match weights::activation(name) {
            // A cell always has a function; the identity is one of the kind.
            Some(function) => Ok(function.unwrap_or(Activation::Affine { alpha: 1.0, beta: 0.0 })),
            None => Err(config.unsupported(format!("the activation {name:?} within a cell"))),
        }
    }

    /// The weights of one direction, gates in rows.
    fn rows(&mut self, layer: &mut Layer<'_>, datasets: &[String], inputs: usize) -> Result<Rows> {
        let name = layer.name;
        let gates = layer.cell.gates();
        let wrong = || Error::malformed(format!("layer {name}"), format!("{} units", layer.units));
        let rows = layer.units.checked_mul(gates).ok_or_else(wrong)?;
        if datasets.len() == 3 * gates && gates > 1 {
            return self.rows_of_keras_1(layer, datasets, inputs);
        }
        let expected = if layer.use_bias { 3 } else { 2 };
        let [kernel, recurrent, bias @ ..] = datasets else {
            return Err(Error::Missing { part: format!("layer {name}: its weights"), needed_by: "the network".into() });
        };
        if datasets.len() != expected {
            return Err(Error::malformed(
                format!("layer {name}"),
                format!("{} weights in the file instead of {expected}", datasets.len()),
            ));
        }
        // The rank and length of the bias tell CuDNN's weights, whatever the class says: Keras 2 saved them so too.
        let bias_dims = bias.first().and_then(|path| self.weights.dims(path)).map(<[usize]>::to_vec);
        let twice = rows.checked_mul(2).ok_or_else(wrong)?;
        let mut cudnn = layer.cudnn || (bias_dims.as_deref() == Some(&[twice]) && layer.cell != Cell::Rnn);
        if let Cell::Gru { linear_before_reset } = &mut layer.cell {
            let two_rows = bias_dims.as_deref() == Some(&[2, rows]);
            if layer.form_unknown && two_rows {
                *linear_before_reset = true;
                cudnn = self.gru_is_cudnn(name)?;
            } else if cudnn && !*linear_before_reset && !layer.form_unknown {
                let reason = "its weights come from CuDNN, and its configuration says reset_after false";
                return Err(Error::malformed(format!("layer {name}"), reason));
            } else if cudnn {
                *linear_before_reset = true;
            }
        }
        let note = if cudnn { ", from CuDNN's layout" } else { "" };
        let kernel = self.weights.take(kernel, name, &[inputs, rows], &format!("W, gates reordered{note}"))?;
        let recurrent =
            self.weights.take(recurrent, name, &[layer.units, rows], &format!("R, gates reordered{note}"))?;
        let (mut b_in, mut b_rec) = (None, None);
        if let [path] = bias {
            let two = cudnn || layer.cell == (Cell::Gru { linear_before_reset: true });
            let dims = match bias_dims.as_deref() {
                Some(&[length]) if cudnn && length == twice => vec![twice],
                _ if two => vec![2, rows],
                _ => vec![rows],
            };
            let mut first = self.weights.take(path, name, &dims, "B")?.to_f32();
            if two {
                let second = first.split_off(rows);
                b_rec = Some(Tensor::from_f32([rows], second)?);
            }
            b_in = Some(Tensor::from_f32([rows], first)?);
        }
        let (w, r) = if cudnn {
            (weights::cudnn_rows(&kernel, gates)?, weights::cudnn_rows(&recurrent, gates)?)
        } else {
            (transposed(&kernel)?, transposed(&recurrent)?)
        };
        Ok(Rows { w, r, b_in, b_rec, projection: None })
    }

    /// Keras 1: a kernel, a recurrent kernel and a bias for each gate; of an LSTM in the order `i c f o`.
    fn rows_of_keras_1(&mut self, layer: &Layer<'_>, datasets: &[String], inputs: usize) -> Result<Rows> {
        let (name, units, gates) = (layer.name, layer.units, layer.cell.gates());
        let (mut w, mut r, mut b) = (Vec::new(), Vec::new(), Vec::new());
        for gate in datasets.chunks_exact(3) {
            let [kernel, recurrent, bias] = gate else { continue };
            w.extend(transposed(&self.weights.take(kernel, name, &[inputs, units], "W of a gate")?)?.to_f32());
            r.extend(transposed(&self.weights.take(recurrent, name, &[units, units], "R of a gate")?)?.to_f32());
            b.extend(self.weights.take(bias, name, &[units], "B of a gate")?.to_f32());
        }
        let rows = gates * units;
        let icfo: &[usize] = if gates == 4 { &[0, 2, 1, 3] } else { &[0, 1, 2] };
        let ordered = |values: Vec<f32>, dims: &[usize]| blocks(name, &Tensor::from_f32(dims, values)?, icfo);
        Ok(Rows {
            w: ordered(w, &[rows, inputs])?,
            r: ordered(r, &[rows, units])?,
            b_in: Some(ordered(b, &[rows])?),
            b_rec: None,
            projection: None,
        })
    }

    /// A recurrent layer of one direction.
    pub(crate) fn recurrent(
        &mut self,
        class: &str,
        config: Config<'_>,
        datasets: &[String],
        x: &Flow,
        initial: &[Flow],
    ) -> Result<Vec<Flow>> {
        let mut layer = self.layer(class, config)?;
        let inputs = x.value.width()?;
        let rows = self.rows(&mut layer, datasets, inputs)?;
        let direction = if layer.go_backwards { Direction::Reverse } else { Direction::Forward };
        let weights = weights::recurrent(layer.name, vec![rows], layer.order)?;
        let mut kind = Recurrent {
            batch_first: true,
            activations: layer.activations.clone(),
            ..Recurrent::new(layer.cell, layer.units, direction)
        };
        kind.masked = if layer.zero_output { MaskedOutput::Zero } else { MaskedOutput::Repeat };
        let mask = x.mask_for(layer.name)?.cloned();
        if layer.zero_output && mask.is_some() && !layer.return_sequences {
            return Err(config.unsupported("zero_output_for_mask without return_sequences"));
        }
        let states = self.initial_states(config, &layer, initial)?;
        let (y, h, c) = self.builder.recurrent(layer.name, &x.value, kind, weights, mask.as_ref())?;
        self.start_from(&states);

        let squeezed = |model: &mut Self, state: &Value| model.builder.take(layer.name, state, 1, 0);
        let last = squeezed(self, &h)?;
        let mut outputs = vec![if layer.return_sequences {
            // Keras leaves the steps in the order in which it read them.
            let y = if layer.go_backwards { self.reversed(layer.name, &y)? } else { y };
            let reversed_mask = layer.go_backwards && mask.is_some();
            let mask = if reversed_mask { Mask::Unclear(layer.name.into()) } else { x.mask.clone() };
            Flow { value: y, mask, per_step: x.per_step && !layer.go_backwards }
        } else {
            Flow::new(last.clone(), false)
        }];
        if layer.return_state {
            outputs.push(Flow::new(last, false));
            if let Some(c) = c {
                outputs.push(Flow::new(squeezed(self, &c)?, false));
            }
        }
        Ok(outputs)
    }

    /// `[B, H]` of other layers as `[B, 1, H]`.
    fn initial_states(&mut self, config: Config<'_>, layer: &Layer<'_>, initial: &[Flow]) -> Result<Vec<Value>> {
        let want = if matches!(layer.cell, Cell::Lstm { .. }) { 2 } else { 1 };
        if !initial.is_empty() && initial.len() != want {
            return Err(config.unsupported(format!("{} initial states", initial.len())));
        }
        let mut states = Vec::new();
        for flow in initial {
            if flow.rank() != 2 || flow.value.width()? != layer.units {
                return Err(Error::malformed(format!("layer {}", layer.name), "an initial state of other dimensions"));
            }
            let axes = self.builder.constant(&format!("{}.axes", layer.name), Tensor::from_i64([1], vec![1])?);
            let dims = [flow.value.dims()[0].clone(), 1.into(), layer.units.into()];
            states.push(self.builder.node(layer.name, Op::Unsqueeze, &[&flow.value, &axes], flow.value.dtype(), dims));
        }
        Ok(states)
    }

    /// Makes the recurrent node built last begin with these states.
    fn start_from(&mut self, states: &[Value]) {
        let nodes = &mut self.builder.graph_mut().nodes;
        let Some(node) = nodes.iter_mut().rev().find(|node| matches!(node.op, Op::Recurrent(_))) else { return };
        for (at, state) in states.iter().enumerate() {
            // initial_h is input 5, initial_c input 6.
            if node.inputs.len() <= 5 + at {
                node.inputs.resize(6 + at, String::new());
            }
            node.inputs[5 + at] = state.name().to_owned();
        }
    }

    /// Both directions of a layer.
    pub(crate) fn bidirectional(&mut self, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Vec<Flow>> {
        let inner = |key: &str| {
            let layer = config.json.some(key)?;
            Some((layer.get("class_name")?.text()?, layer.get("config")?))
        };
        let (class, json) =
            inner("layer").ok_or_else(|| Error::malformed(format!("layer {}", config.layer), "it has no layer"))?;
        if !is_recurrent(class) {
            return Err(config.unsupported(format!("a {class} in both directions")));
        }
        let mut forward = self.layer(class, Config { json, ..config })?;
        // The backward layer is the same with go_backwards, unless it is given.
        let mut backward = self.layer(class, Config { json, ..config })?;
        backward.go_backwards = !forward.go_backwards;
        if let Some((class, json)) = inner("backward_layer") {
            backward = self.layer(class, Config { json, ..config })?;
        }
        let same =
            (backward.cell, backward.units, backward.return_sequences, backward.return_state, backward.zero_output)
                == (forward.cell, forward.units, forward.return_sequences, forward.return_state, forward.zero_output);
        if !same || forward.go_backwards || !backward.go_backwards {
            return Err(config.unsupported("a backward layer that differs from the forward one"));
        }
        let inputs = x.value.width()?;
        let (first, second) = datasets.split_at(datasets.len() / 2);
        let rows = vec![self.rows(&mut forward, first, inputs)?, self.rows(&mut backward, second, inputs)?];
        if forward.cell != backward.cell {
            return Err(config.unsupported("a backward layer of another form"));
        }
        let name = config.layer;
        let weights = weights::recurrent(name, rows, forward.order)?;
        let mut kind =
            Recurrent { batch_first: true, ..Recurrent::new(forward.cell, forward.units, Direction::Bidirectional) };
        kind.activations = [forward.activations, backward.activations].concat();
        kind.masked = if forward.zero_output { MaskedOutput::Zero } else { MaskedOutput::Repeat };
        let mask = x.mask_for(name)?.cloned();
        if forward.zero_output && mask.is_some() && !forward.return_sequences {
            return Err(config.unsupported("zero_output_for_mask without return_sequences"));
        }
        let (y, h, c) = self.builder.recurrent(name, &x.value, kind, weights, mask.as_ref())?;
        let mut ends = Vec::new();
        for direction in 0..2 {
            ends.push(self.builder.take(name, &h, 1, direction)?);
            if let Some(c) = &c {
                ends.push(self.builder.take(name, c, 1, direction)?);
            }
        }
        let halves = if forward.return_sequences {
            [self.half(name, &y, 0, forward.units)?, self.half(name, &y, forward.units, 2 * forward.units)?]
        } else {
            [ends[0].clone(), ends[ends.len() / 2].clone()]
        };
        let [left, right] = &halves;
        let merged = match config.get(&["merge_mode"]).map(|mode| mode.text()) {
            Some(Some("concat")) if forward.return_sequences => vec![y],
            Some(Some("concat")) => vec![self.builder.concat(name, &[left, right], -1)?],
            Some(Some("sum")) => vec![self.builder.add(name, left, right)?],
            Some(Some("mul")) => vec![self.builder.binary(name, left, right, Binary::Mul)?],
            Some(Some("ave")) => {
                let sum = self.builder.add(name, left, right)?;
                vec![self.builder.gain(name, &sum, 0.5)?]
            }
            None if config.json.get("merge_mode").is_some() => vec![left.clone(), right.clone()],
            None => return Err(Error::malformed(format!("layer {name}"), "it has no merge_mode")),
            Some(mode) => return Err(config.unsupported(format!("the merge_mode {mode:?}"))),
        };
        let wrap = |value| {
            if forward.return_sequences { x.with(value) } else { Flow::new(value, false) }
        };
        let mut outputs: Vec<Flow> = merged.into_iter().map(wrap).collect();
        if forward.return_state {
            outputs.extend(ends.into_iter().map(|value| Flow::new(value, false)));
        }
        Ok(outputs)
    }

    /// Features `from..to` of `[B, T, features]`.
    fn half(&mut self, name: &str, y: &Value, from: usize, to: usize) -> Result<Value> {
        let mut dims = y.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = Dim::Fixed(to - from);
        }
        let axis = y.dims().len() as i64 - 1;
        self.slice(name, y, [from as i64, to as i64, axis, 1], dims)
    }

    /// Time from its end to its beginning.
    fn reversed(&mut self, name: &str, y: &Value) -> Result<Value> {
        self.slice(name, y, [-1, i64::MIN, 1, -1], y.dims().to_vec())
    }

    /// One axis from, to, by a step: `[from, to, axis, step]`.
    pub(crate) fn slice(&mut self, name: &str, x: &Value, bounds: [i64; 4], dims: Vec<Dim>) -> Result<Value> {
        let mut constants = Vec::new();
        for (what, at) in ["from", "to", "axis", "step"].into_iter().zip(bounds) {
            constants.push(self.builder.constant(&format!("{name}.{what}"), Tensor::from_i64([1], vec![at])?));
        }
        let mut inputs = vec![x];
        inputs.extend(&constants);
        Ok(self.builder.node(name, Op::Slice, &inputs, x.dtype(), dims))
    }
}
