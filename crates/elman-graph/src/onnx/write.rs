//! Graphs as ONNX files.

use std::collections::{BTreeMap, BTreeSet};

use super::proto::dtype_number;
use super::wire::Message;
use crate::error::{Error, Result};
use crate::graph::{
    Activation, ArgExtreme, AutoPad, Binary, Body, Cell, Conv, Dim, Direction, Graph, MaskedOutput, Node, Op, PadMode,
    PoolKind, Port, Recurrent, Reduce, Unary,
};
use crate::tensor::Tensor;

/// Version of the operators that are written: the first with every operator in its newest form that is needed here.
const OPSET: i64 = 18;
/// Version of the file format that goes with it.
const IR: i64 = 8;

/// The graph as an ONNX file, operators of version 18.
///
/// # Errors
/// If a node has no form in ONNX; the error names it.
pub fn write(graph: &Graph) -> Result<Vec<u8>> {
    let mut writer =
        Writer { graph, made: Vec::new(), constants: BTreeMap::new(), names: BTreeSet::new(), nodes: BTreeSet::new() };
    writer.names.extend(graph.constants.keys().cloned());
    writer.names.extend(graph.inputs.iter().map(|p| p.name.clone()));
    collect_names(&graph.nodes, &mut writer.names);
    for node in &graph.nodes {
        writer.node(node)?;
    }
    let mut message = Message::default();
    let mut read = BTreeSet::new();
    for node in &writer.made {
        message.message(1, &node.message);
        read.extend(node.reads.iter().map(String::as_str));
    }
    message.text(2, if graph.name.is_empty() { "elman" } else { &graph.name });
    let outputs: BTreeSet<&str> = graph.outputs.iter().map(|p| p.name.as_str()).collect();
    for (name, tensor) in graph.constants.iter().chain(&writer.constants) {
        if read.contains(name.as_str()) || outputs.contains(name.as_str()) {
            message.message(5, &tensor_message(name, tensor));
        }
    }
    graph.inputs.iter().for_each(|port| message.message(11, &port_message(port)));
    graph.outputs.iter().for_each(|port| message.message(12, &port_message(port)));
    let mut model = Message::default();
    model.number(1, IR);
    model.text(2, "elman");
    model.text(3, env!("CARGO_PKG_VERSION"));
    model.message(7, &message);
    let mut opset = Message::default();
    opset.text(1, "");
    opset.number(2, OPSET);
    model.message(8, &opset);
    for (key, list) in [("vocabulary", &graph.about.vocabulary), ("labels", &graph.about.labels)] {
        if let Some(list) = list {
            let mut entry = Message::default();
            entry.text(1, key);
            entry.text(2, &serde_json::Value::from(list.clone()).to_string());
            model.message(14, &entry);
        }
    }
    Ok(model.0)
}

fn collect_names(nodes: &[Node], names: &mut BTreeSet<String>) {
    for node in nodes {
        names.extend(node.outputs.iter().cloned());
        match &node.op {
            Op::If { then_branch, else_branch } => {
                collect_names(&then_branch.nodes, names);
                collect_names(&else_branch.nodes, names);
            }
            Op::Loop { body } | Op::Scan { body, .. } => {
                names.extend(body.inputs.iter().cloned());
                collect_names(&body.nodes, names);
            }
            _ => {}
        }
    }
}

/// A node that is written, and what it reads.
struct Made {
    message: Message,
    reads: Vec<String>,
}

struct Writer<'g> {
    graph: &'g Graph,
    made: Vec<Made>,
    /// Constants that only ONNX's form needs.
    constants: BTreeMap<String, Tensor>,
    names: BTreeSet<String>,
    /// Names of nodes, which onnxruntime wants to differ.
    nodes: BTreeSet<String>,
}

/// Attributes of a node being written.
#[derive(Default)]
struct Attributes(Vec<Message>);

impl Attributes {
    fn add(&mut self, name: &str, kind: i64, set: impl FnOnce(&mut Message)) {
        let mut message = Message::default();
        message.text(1, name);
        set(&mut message);
        message.number(20, kind);
        self.0.push(message);
    }

    fn float(mut self, name: &str, x: f32) -> Self {
        self.add(name, 1, |m| m.float(2, x));
        self
    }

    fn int(mut self, name: &str, n: i64) -> Self {
        self.add(name, 2, |m| m.number(3, n));
        self
    }

    fn text(mut self, name: &str, text: &str) -> Self {
        self.add(name, 3, |m| m.text(4, text));
        self
    }

    fn tensor(mut self, name: &str, tensor: &Tensor) -> Self {
        self.add(name, 4, |m| m.message(5, &tensor_message("", tensor)));
        self
    }

    fn graph(mut self, name: &str, graph: &Message) -> Self {
        self.add(name, 5, |m| m.message(6, graph));
        self
    }

    fn floats(mut self, name: &str, list: &[f32]) -> Self {
        self.add(name, 6, |m| list.iter().for_each(|x| m.float(7, *x)));
        self
    }

    fn ints(mut self, name: &str, list: impl IntoIterator<Item = i64>) -> Self {
        self.add(name, 7, |m| list.into_iter().for_each(|n| m.number(8, n)));
        self
    }

    fn sizes(self, name: &str, list: &[usize]) -> Self {
        if list.is_empty() { self } else { self.ints(name, list.iter().map(|n| *n as i64)) }
    }

    fn texts(mut self, name: &str, list: &[&str]) -> Self {
        self.add(name, 8, |m| list.iter().for_each(|t| m.text(9, t)));
        self
    }
}

fn tensor_message(name: &str, tensor: &Tensor) -> Message {
    let mut message = Message::default();
    message.numbers(1, tensor.dims().iter().map(|d| *d as i64));
    message.number(2, dtype_number(tensor.dtype()));
    message.text(8, name);
    message.bytes(9, &tensor.to_le_bytes());
    message
}

fn port_message(port: &Port) -> Message {
    let mut kind = Message::default();
    kind.number(1, dtype_number(port.dtype));
    if let Some(dims) = &port.dims {
        let mut shape = Message::default();
        for dim in dims {
            let mut one = Message::default();
            match dim {
                Dim::Fixed(n) => one.number(1, *n as i64),
                Dim::Named(name) if name.is_empty() => {}
                Dim::Named(name) => one.text(2, name),
            }
            shape.message(1, &one);
        }
        kind.message(2, &shape);
    }
    let (mut typed, mut message) = (Message::default(), Message::default());
    typed.message(1, &kind);
    message.text(1, &port.name);
    message.message(2, &typed);
    message
}

/// The name of a pointwise function that ONNX's cells know, and its numbers.
fn cell_activation(f: Activation) -> Option<(&'static str, Vec<f32>, Vec<f32>)> {
    Some(match f {
        Activation::Sigmoid => ("Sigmoid", vec![], vec![]),
        Activation::Tanh => ("Tanh", vec![], vec![]),
        Activation::Relu => ("Relu", vec![], vec![]),
        Activation::Softsign => ("Softsign", vec![], vec![]),
        Activation::Softplus => ("Softplus", vec![], vec![]),
        Activation::Affine { alpha, beta } => ("Affine", vec![alpha], vec![beta]),
        Activation::LeakyRelu { alpha } => ("LeakyRelu", vec![alpha], vec![]),
        Activation::ThresholdedRelu { alpha } => ("ThresholdedRelu", vec![alpha], vec![]),
        Activation::ScaledTanh { alpha, beta } => ("ScaledTanh", vec![alpha], vec![beta]),
        Activation::HardSigmoid { alpha, beta } => ("HardSigmoid", vec![alpha], vec![beta]),
        Activation::Elu { alpha } => ("Elu", vec![alpha], vec![]),
        _ => return None,
    })
}

impl Writer<'_> {
    fn refuse(&self, node: &Node, reason: &str) -> Error {
        let part =
            if node.name.is_empty() { node.outputs.first().cloned().unwrap_or_default() } else { node.name.clone() };
        Error::Refused { part, reason: reason.into() }
    }

    fn unique(&mut self, hint: &str) -> String {
        let mut name = hint.to_string();
        let mut n = 1;
        while !self.names.insert(name.clone()) {
            n += 1;
            name = format!("{hint}_{n}");
        }
        name
    }

    fn constant(&mut self, hint: &str, tensor: Tensor) -> String {
        let name = self.unique(hint);
        self.constants.insert(name.clone(), tensor);
        name
    }

    fn ints(&mut self, hint: &str, list: &[i64]) -> Result<String> {
        let tensor = Tensor::from_i64([list.len()], list.to_vec())?;
        Ok(self.constant(hint, tensor))
    }

    /// The constant of that name.
    fn known(&self, name: &str) -> Option<&Tensor> {
        self.graph.constants.get(name)
    }

    fn emit(&mut self, name: &str, op: &str, inputs: &[String], outputs: &[String], attributes: Attributes) {
        let mut message = Message::default();
        inputs.iter().for_each(|i| message.text(1, i));
        outputs.iter().for_each(|o| message.text(2, o));
        // Layers that are several nodes have numbers.
        let mut own = name.to_string();
        let mut n = 1;
        while !self.nodes.insert(own.clone()) {
            n += 1;
            own = format!("{name}_{n}");
        }
        message.text(3, &own);
        message.text(4, op);
        attributes.0.iter().for_each(|a| message.message(5, a));
        self.made.push(Made { message, reads: inputs.to_vec() });
    }

    /// A node between; the name of its value.
    fn between(&mut self, node: &Node, op: &str, inputs: &[String], attributes: Attributes) -> String {
        let output = self.unique(&format!("{}.{}", node.outputs.first().map_or("", String::as_str), op.to_lowercase()));
        let name = self.unique(&format!("{}.{op}", node.name));
        self.emit(&name, op, inputs, std::slice::from_ref(&output), attributes);
        output
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        let none = Attributes::default;
        let mut inputs = node.inputs.clone();
        let mut op = "";
        let attributes = match &node.op {
            Op::Recurrent(layer) => return self.recurrent(node, layer),
            Op::Activation(f) => return self.activation(node, *f),
            Op::Binary(f) => {
                op = binary(*f);
                if let Binary::Mod { fmod } = f { none().int("fmod", i64::from(*fmod)) } else { none() }
            }
            Op::Unary(f) => {
                op = unary(*f);
                none()
            }
            Op::Softmax { axis } | Op::LogSoftmax { axis } => none().int("axis", *axis),
            Op::Gemm { alpha, beta, trans_a, trans_b } => none()
                .float("alpha", *alpha)
                .float("beta", *beta)
                .int("transA", (*trans_a).into())
                .int("transB", (*trans_b).into()),
            Op::Conv(conv) => window(none(), conv, true),
            Op::ConvTranspose { conv, output_padding, output_shape } => {
                let attributes = window(none(), conv, true).sizes("output_padding", output_padding);
                attributes.sizes("output_shape", output_shape.as_deref().unwrap_or_default())
            }
            Op::Pool(pool) => {
                let attributes = window(none(), &pool.window, false).sizes("kernel_shape", &pool.kernel);
                let attributes = attributes.int("ceil_mode", pool.ceil.into());
                op = if pool.kind == PoolKind::Max { "MaxPool" } else { "AveragePool" };
                if pool.kind == PoolKind::Average {
                    if pool.window.dilations.iter().any(|d| *d != 1) {
                        return Err(
                            self.refuse(node, "an average over a dilated window has no form in version 18 of ONNX")
                        );
                    }
                    attributes.int("count_include_pad", pool.count_include_pad.into())
                } else {
                    attributes
                }
            }
            Op::GlobalPool(kind) => {
                op = if *kind == PoolKind::Max { "GlobalMaxPool" } else { "GlobalAveragePool" };
                none()
            }
            Op::Einsum { equation } => none().text("equation", equation),
            Op::BatchNormalization { epsilon } | Op::InstanceNormalization { epsilon } => {
                none().float("epsilon", *epsilon)
            }
            Op::LayerNormalization { axis, epsilon } => none().int("axis", *axis).float("epsilon", *epsilon),
            Op::Reduce { reduce, keepdims, noop_with_empty_axes } => {
                op = reduction(*reduce);
                none().int("keepdims", (*keepdims).into()).int("noop_with_empty_axes", (*noop_with_empty_axes).into())
            }
            Op::ArgExtreme { extreme, axis, keepdims, select_last } => {
                op = if *extreme == ArgExtreme::Max { "ArgMax" } else { "ArgMin" };
                let attributes = none().int("axis", *axis).int("keepdims", (*keepdims).into());
                attributes.int("select_last_index", (*select_last).into())
            }
            Op::TopK { axis, largest } => none().int("axis", *axis).int("largest", (*largest).into()),
            Op::CumSum { exclusive, reverse } => {
                none().int("exclusive", (*exclusive).into()).int("reverse", (*reverse).into())
            }
            Op::Gather { axis } | Op::GatherElements { axis } | Op::Concat { axis } | Op::Flatten { axis } => {
                none().int("axis", *axis)
            }
            Op::Split { axis } => {
                let attributes = none().int("axis", *axis);
                if node.input(1).is_some() {
                    attributes
                } else {
                    attributes.int("num_outputs", node.outputs.len() as i64)
                }
            }
            Op::Reshape { allow_zero } => none().int("allowzero", (*allow_zero).into()),
            Op::Transpose { perm } => none().sizes("perm", perm.as_deref().unwrap_or_default()),
            Op::Pad { mode } => none().text(
                "mode",
                match mode {
                    PadMode::Constant => "constant",
                    PadMode::Reflect => "reflect",
                    PadMode::Edge => "edge",
                    PadMode::Wrap => {
                        return Err(self.refuse(node, "padding with the other end has no form in version 18 of ONNX"));
                    }
                },
            ),
            Op::Shape { start, end } => {
                let attributes = none().int("start", *start);
                if let Some(end) = end { attributes.int("end", *end) } else { attributes }
            }
            Op::ConstantOfShape => {
                inputs.truncate(1);
                match node.input(1) {
                    Some(value) => {
                        let value = self.known(value).ok_or_else(|| self.refuse(node, "its value is no constant"))?;
                        none().tensor("value", &value.reshaped([1])?)
                    }
                    None => none(),
                }
            }
            Op::Cast { to } => none().int("to", dtype_number(*to)),
            Op::ReverseSequence { time_axis, batch_axis } => {
                none().int("time_axis", *time_axis as i64).int("batch_axis", *batch_axis as i64)
            }
            Op::If { then_branch, else_branch } => {
                let (a, b) = (self.body(then_branch, node)?, self.body(else_branch, node)?);
                let attributes = none().graph("then_branch", &a.0).graph("else_branch", &b.0);
                // The subgraphs read from outside what the node must be counted to read.
                let reads = [a.1, b.1].concat();
                self.emit(&node.name, "If", &inputs, &node.outputs, attributes);
                if let Some(made) = self.made.last_mut() {
                    made.reads.extend(reads);
                }
                return Ok(());
            }
            Op::Loop { .. } | Op::Scan { .. } => {
                return Err(self.refuse(node, "loops are read and run, but not written"));
            }
            _ => none(),
        };
        let op = if op.is_empty() { plain_name(&node.op) } else { op };
        if op.is_empty() {
            return Err(self.refuse(node, "it has no form in ONNX"));
        }
        let name =
            if node.name.is_empty() { node.outputs.first().cloned().unwrap_or_default() } else { node.name.clone() };
        self.emit(&name, op, &inputs, &node.outputs, attributes);
        Ok(())
    }

    /// A subgraph, and what it reads.
    fn body(&mut self, body: &Body, node: &Node) -> Result<(Message, Vec<String>)> {
        let outside = std::mem::take(&mut self.made);
        let mut done = Ok(());
        for inner in &body.nodes {
            done = done.and_then(|()| self.node(inner));
        }
        let inner = std::mem::replace(&mut self.made, outside);
        done?;
        let mut message = Message::default();
        let mut reads = Vec::new();
        for made in inner {
            message.message(1, &made.message);
            reads.extend(made.reads);
        }
        message.text(2, &node.name);
        let inside: BTreeSet<&String> = body.nodes.iter().flat_map(|n| &n.outputs).collect();
        for output in &body.outputs {
            // A result must be made inside.
            if !inside.contains(output) {
                return Err(self.refuse(node, "a branch returns a value from outside"));
            }
            let mut info = Message::default();
            info.text(1, output);
            message.message(12, &info);
        }
        Ok((message, reads))
    }

    fn activation(&mut self, node: &Node, f: Activation) -> Result<()> {
        let none = Attributes::default;
        let scalar = |x: f32| Tensor::from_f32([], vec![x]);
        let x = node.inputs.clone();
        let (op, inputs, attributes) = match f {
            Activation::Sigmoid => ("Sigmoid", x, none()),
            Activation::Tanh => ("Tanh", x, none()),
            Activation::Relu => ("Relu", x, none()),
            Activation::Softsign => ("Softsign", x, none()),
            Activation::Softplus => ("Softplus", x, none()),
            Activation::HardSwish => ("HardSwish", x, none()),
            Activation::Exp => ("Exp", x, none()),
            Activation::LeakyRelu { alpha } => ("LeakyRelu", x, none().float("alpha", alpha)),
            Activation::ThresholdedRelu { alpha } => ("ThresholdedRelu", x, none().float("alpha", alpha)),
            Activation::Elu { alpha } => ("Elu", x, none().float("alpha", alpha)),
            Activation::Selu { alpha, gamma } => ("Selu", x, none().float("alpha", alpha).float("gamma", gamma)),
            Activation::HardSigmoid { alpha, beta } => {
                ("HardSigmoid", x, none().float("alpha", alpha).float("beta", beta))
            }
            Activation::Affine { alpha, beta } => {
                let alpha = self.constant("alpha", scalar(alpha)?);
                let scaled = self.between(node, "Mul", &[x[0].clone(), alpha], none());
                ("Add", vec![scaled, self.constant("beta", scalar(beta)?)], none())
            }
            Activation::ScaledTanh { alpha, beta } => {
                let beta = self.constant("beta", scalar(beta)?);
                let scaled = self.between(node, "Mul", &[x[0].clone(), beta], none());
                let tanh = self.between(node, "Tanh", &[scaled], none());
                ("Mul", vec![tanh, self.constant("alpha", scalar(alpha)?)], none())
            }
            Activation::Swish => {
                let sigmoid = self.between(node, "Sigmoid", &x, none());
                ("Mul", vec![x[0].clone(), sigmoid], none())
            }
            Activation::Gelu { tanh: false } => {
                let root = self.constant("root", scalar(std::f32::consts::FRAC_1_SQRT_2)?);
                let scaled = self.between(node, "Mul", &[x[0].clone(), root], none());
                let erf = self.between(node, "Erf", &[scaled], none());
                let one = self.constant("one", scalar(1.0)?);
                let phi = self.between(node, "Add", &[erf, one], none());
                let half = self.constant("half", scalar(0.5)?);
                let half = self.between(node, "Mul", &[x[0].clone(), half], none());
                ("Mul", vec![half, phi], none())
            }
            Activation::Gelu { tanh: true } => {
                return Err(self.refuse(node, "gelu by tanh has no form in version 18 of ONNX"));
            }
        };
        let name = if node.name.is_empty() { node.outputs[0].clone() } else { node.name.clone() };
        self.emit(&name, op, &inputs, &node.outputs, attributes);
        Ok(())
    }

    fn recurrent(&mut self, node: &Node, layer: &Recurrent) -> Result<()> {
        if node.input(8).is_some() {
            return Err(self.refuse(node, "an LSTM with a projection has no form in ONNX"));
        }
        if layer.rounded {
            return Err(self.refuse(node, "an LSTM whose state is rounded has no form in ONNX itself"));
        }
        if node.input(9).is_some() || (node.input(4).is_some() && layer.masked == MaskedOutput::Repeat) {
            return Err(self.refuse(node, "a mask that keeps state and output has no form in ONNX"));
        }
        let mut attributes = Attributes::default().int("hidden_size", layer.hidden as i64).text(
            "direction",
            match layer.direction {
                Direction::Forward => "forward",
                Direction::Reverse => "reverse",
                Direction::Bidirectional => "bidirectional",
            },
        );
        let usual = Recurrent::new(layer.cell, layer.hidden, layer.direction).activations;
        if layer.activations != usual {
            let known = layer.activations.iter().map(|f| cell_activation(*f)).collect::<Option<Vec<_>>>();
            let known = known.ok_or_else(|| self.refuse(node, "an activation that ONNX's cells do not have"))?;
            let names: Vec<&str> = known.iter().map(|k| k.0).collect();
            let alphas: Vec<f32> = known.iter().flat_map(|k| k.1.clone()).collect();
            let betas: Vec<f32> = known.iter().flat_map(|k| k.2.clone()).collect();
            attributes = attributes.texts("activations", &names);
            if !alphas.is_empty() {
                attributes = attributes.floats("activation_alpha", &alphas);
            }
            if !betas.is_empty() {
                attributes = attributes.floats("activation_beta", &betas);
            }
        }
        if let Some(clip) = layer.clip {
            attributes = attributes.float("clip", clip);
        }
        let op = match layer.cell {
            Cell::Rnn => "RNN",
            Cell::Gru { linear_before_reset } => {
                attributes = attributes.int("linear_before_reset", linear_before_reset.into());
                "GRU"
            }
            Cell::Lstm { input_forget } => {
                if input_forget {
                    attributes = attributes.int("input_forget", 1);
                }
                "LSTM"
            }
        };
        let mut inputs = node.inputs.clone();
        let swap = || Attributes::default().ints("perm", [1, 0, 2]);
        // Runtimes refuse or misread `layout` 1: time first everywhere, with transposes around.
        if layer.batch_first {
            inputs[0] = self.between(node, "Transpose", &inputs[..1], swap());
        }
        for i in [5, 6] {
            let Some(name) = node.input(i).map(String::from) else { continue };
            let dims = self.known(&name).map(|t| t.dims().to_vec());
            if layer.batch_first {
                inputs[i] = self.between(node, "Transpose", &[name], swap());
            }
            // One initial state for all sequences.
            let shared = dims.filter(|d| d.len() == 3 && d[usize::from(!layer.batch_first)] == 1);
            if let Some(dims) = shared {
                let (d, width) = (layer.direction.count() as i64, dims[2] as i64);
                let shape =
                    self.between(node, "Shape", &inputs[..1], Attributes::default().int("start", 1).int("end", 2));
                let (d, width) = (self.ints("directions", &[d])?, self.ints("width", &[width])?);
                let shape = self.between(node, "Concat", &[d, shape, width], Attributes::default().int("axis", 0));
                inputs[i] = self.between(node, "Expand", &[inputs[i].clone(), shape], Attributes::default());
            }
        }
        let most = if op == "LSTM" { 8 } else { 6 };
        inputs.truncate(most);
        while inputs.last().is_some_and(String::is_empty) {
            inputs.pop();
        }
        let name =
            if node.name.is_empty() { node.outputs.first().cloned().unwrap_or_default() } else { node.name.clone() };
        if !layer.batch_first {
            self.emit(&name, op, &inputs, &node.outputs, attributes);
            return Ok(());
        }
        let inner: Vec<String> = node
            .outputs
            .iter()
            .map(|o| if o.is_empty() { String::new() } else { self.unique(&format!("{o}.time_first")) })
            .collect();
        self.emit(&name, op, &inputs, &inner, attributes);
        for (i, (from, to)) in inner.iter().zip(&node.outputs).enumerate() {
            if !to.is_empty() {
                // [T, D, B, O] to [B, T, D, O].
                let attributes = if i == 0 { Attributes::default().ints("perm", [2, 0, 1, 3]) } else { swap() };
                let name = self.unique(&format!("{name}.Transpose"));
                self.emit(&name, "Transpose", std::slice::from_ref(from), std::slice::from_ref(to), attributes);
            }
        }
        Ok(())
    }
}

fn window(attributes: Attributes, conv: &Conv, groups: bool) -> Attributes {
    let attributes = attributes.sizes("strides", &conv.strides).sizes("dilations", &conv.dilations);
    let attributes = match conv.auto_pad {
        AutoPad::NotSet => attributes.sizes("pads", &conv.pads),
        AutoPad::Valid => attributes.text("auto_pad", "VALID"),
        AutoPad::SameUpper => attributes.text("auto_pad", "SAME_UPPER"),
        AutoPad::SameLower => attributes.text("auto_pad", "SAME_LOWER"),
    };
    if groups { attributes.int("group", conv.groups as i64) } else { attributes }
}

fn binary(f: Binary) -> &'static str {
    match f {
        Binary::Add => "Add",
        Binary::Sub => "Sub",
        Binary::Mul => "Mul",
        Binary::Div => "Div",
        Binary::Pow => "Pow",
        Binary::Mod { .. } => "Mod",
        Binary::Min => "Min",
        Binary::Max => "Max",
        Binary::PRelu => "PRelu",
        Binary::Equal => "Equal",
        Binary::Greater => "Greater",
        Binary::GreaterOrEqual => "GreaterOrEqual",
        Binary::Less => "Less",
        Binary::LessOrEqual => "LessOrEqual",
        Binary::And => "And",
        Binary::Or => "Or",
        Binary::Xor => "Xor",
    }
}

fn unary(f: Unary) -> &'static str {
    match f {
        Unary::Neg => "Neg",
        Unary::Abs => "Abs",
        Unary::Sign => "Sign",
        Unary::Sqrt => "Sqrt",
        Unary::Reciprocal => "Reciprocal",
        Unary::Log => "Log",
        Unary::Floor => "Floor",
        Unary::Ceil => "Ceil",
        Unary::Round => "Round",
        Unary::Erf => "Erf",
        Unary::Sin => "Sin",
        Unary::Cos => "Cos",
        Unary::Not => "Not",
        Unary::IsNan => "IsNaN",
    }
}

fn reduction(f: Reduce) -> &'static str {
    match f {
        Reduce::Sum => "ReduceSum",
        Reduce::Mean => "ReduceMean",
        Reduce::Max => "ReduceMax",
        Reduce::Min => "ReduceMin",
        Reduce::Prod => "ReduceProd",
        Reduce::L1 => "ReduceL1",
        Reduce::L2 => "ReduceL2",
        Reduce::SumSquare => "ReduceSumSquare",
        Reduce::LogSumExp => "ReduceLogSumExp",
        Reduce::LogSum => "ReduceLogSum",
    }
}

/// Operators whose name says all, or whose attributes are written with it.
fn plain_name(op: &Op) -> &'static str {
    match op {
        Op::Clip => "Clip",
        Op::Softmax { .. } => "Softmax",
        Op::LogSoftmax { .. } => "LogSoftmax",
        Op::MatMul => "MatMul",
        Op::Gemm { .. } => "Gemm",
        Op::Conv(_) => "Conv",
        Op::ConvTranspose { .. } => "ConvTranspose",
        Op::Einsum { .. } => "Einsum",
        Op::BatchNormalization { .. } => "BatchNormalization",
        Op::LayerNormalization { .. } => "LayerNormalization",
        Op::InstanceNormalization { .. } => "InstanceNormalization",
        Op::TopK { .. } => "TopK",
        Op::CumSum { .. } => "CumSum",
        Op::Gather { .. } => "Gather",
        Op::GatherElements { .. } => "GatherElements",
        Op::Slice => "Slice",
        Op::Split { .. } => "Split",
        Op::Concat { .. } => "Concat",
        Op::Reshape { .. } => "Reshape",
        Op::Flatten { .. } => "Flatten",
        Op::Transpose { .. } => "Transpose",
        Op::Squeeze => "Squeeze",
        Op::Unsqueeze => "Unsqueeze",
        Op::Expand => "Expand",
        Op::Tile => "Tile",
        Op::Pad { .. } => "Pad",
        Op::ScatterNd => "ScatterND",
        Op::Range => "Range",
        Op::Where => "Where",
        Op::Shape { .. } => "Shape",
        Op::Size => "Size",
        Op::ConstantOfShape => "ConstantOfShape",
        Op::Cast { .. } => "Cast",
        Op::Identity => "Identity",
        Op::ReverseSequence { .. } => "ReverseSequence",
        _ => "",
    }
}
