//! PyTorch: a state dict, and an `nn.Module` with its names.

use std::fmt::Write as _;

use super::chain::{Chain, Kind, Layer, gates, plain, transposed};
use super::refused;
use crate::error::Result;
use crate::graph::{Activation, Cell, Direction, Graph};
use crate::tensor::Tensor;

/// A state dict and the module it belongs to.
pub struct Torch {
    /// Names and weights, in the order of the modules.
    pub tensors: Vec<(String, Tensor)>,
    /// Python source of a class `Model` whose `state_dict()` has these names.
    pub module: String,
}

/// The graph as a state dict and a module.
///
/// # Errors
/// If it is not a list of layers, or one of them has something that `torch.nn` has not; the error names it.
pub fn torch(graph: &Graph) -> Result<Torch> {
    let chain = Chain::of(graph)?;
    let mut writer = Writer { batch_first: chain.time == 1, ..Writer::default() };
    let mut layers = chain.layers.as_slice();
    while !layers.is_empty() {
        let taken = writer.layer(layers)?;
        layers = layers.get(taken.max(1)..).unwrap_or_default();
    }
    let name = if graph.name.is_empty() { "a network" } else { &graph.name };
    let name: String = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').filter(|c| *c != '"').collect();
    let axes = if writer.batch_first { "[batch, time, features]" } else { "[time, batch, features]" };
    let module = format!(
        "\"\"\"{name}: load with\n\n    model = Model()\n    model.load_state_dict(torch.load(\"FILE.pt\", weights_only=True))\n    model.eval()\n\"\"\"\nimport torch\nfrom torch import nn\n\n\nclass Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n{}\n    def forward(self, x):  # {axes}\n{}        return x\n",
        writer.modules, writer.forward
    );
    Ok(Torch { tensors: writer.tensors, module })
}

#[derive(Default)]
struct Writer {
    batch_first: bool,
    tensors: Vec<(String, Tensor)>,
    modules: String,
    forward: String,
    counts: [usize; 3],
}

/// What layers must share to be one module of several layers.
fn same(a: &Layer, b: &Layer) -> bool {
    let (Kind::Recurrent(a), Kind::Recurrent(b)) = (&a.kind, &b.kind) else { return false };
    let projected = |weights: &crate::builder::RecurrentWeights| weights.projection.as_ref().map(|p| p.dims().to_vec());
    (a.0.cell, a.0.hidden, a.0.direction, &a.0.activations) == (b.0.cell, b.0.hidden, b.0.direction, &b.0.activations)
        && projected(&a.1) == projected(&b.1)
}

impl Writer {
    fn name(&mut self, which: usize, base: &str) -> String {
        self.counts[which] += 1;
        if self.counts[which] == 1 { base.into() } else { format!("{base}{}", self.counts[which]) }
    }

    /// Writes the next module; returns how many layers it is.
    fn layer(&mut self, layers: &[Layer]) -> Result<usize> {
        let layer = &layers[0];
        let time = usize::from(self.batch_first);
        let step = match &layer.kind {
            Kind::Embedding(table) => {
                let name = self.name(0, "embedding");
                let [vocab, width] = [table.dims()[0], table.dims()[1]];
                let _ = writeln!(self.modules, "        self.{name} = nn.Embedding({vocab}, {width})");
                self.tensors.push((format!("{name}.weight"), table.clone()));
                format!("self.{name}(x)")
            }
            Kind::Recurrent(_) => {
                let count = 1 + layers.windows(2).take_while(|pair| same(&pair[0], &pair[1])).count();
                self.recurrent(&layers[..count])?;
                return Ok(count);
            }
            Kind::Dense(kernel, bias) => {
                let name = self.name(2, "linear");
                let [inputs, outputs] = [kernel.dims()[0], kernel.dims()[1]];
                let without = if bias.is_some() { "" } else { ", bias=False" };
                let _ = writeln!(self.modules, "        self.{name} = nn.Linear({inputs}, {outputs}{without})");
                self.tensors.push((format!("{name}.weight"), transposed(kernel)?));
                if let Some(bias) = bias {
                    self.tensors.push((format!("{name}.bias"), bias.clone()));
                }
                format!("self.{name}(x)")
            }
            Kind::Activation(activation) => function(layer, *activation)?,
            Kind::Softmax => "torch.softmax(x, -1)".into(),
            Kind::Last => format!("x.select({time}, -1)"),
            Kind::LastState => "h".into(),
            Kind::Mean => format!("x.mean({time})"),
            Kind::Max => format!("x.amax({time})"),
            Kind::Gain(gain) => format!("x * {gain:e}"),
            Kind::Skip => "x + given".into(),
        };
        if matches!(layer.kind, Kind::Skip) {
            self.forward.insert_str(0, "        given = x\n");
        }
        let _ = writeln!(self.forward, "        x = {step}");
        Ok(1)
    }

    /// One `nn.LSTM`, `nn.GRU` or `nn.RNN` of several layers.
    fn recurrent(&mut self, layers: &[Layer]) -> Result<()> {
        let name = self.name(1, "rnn");
        for (number, layer) in layers.iter().enumerate() {
            let Kind::Recurrent(both) = &layer.kind else { continue };
            let (of, weights) = &**both;
            plain(layer, of, weights, false)?;
            let gru_before = of.cell == (Cell::Gru { linear_before_reset: false });
            if gru_before {
                return Err(refused(&layer.name, "nn.GRU resets after the product, this layer before it"));
            }
            if of.direction == Direction::Reverse {
                return Err(refused(&layer.name, "nn.LSTM has no layer that reads backwards only"));
            }
            // i o f c and z r h to i f g o and r z n.
            let (class, order, usual): (_, &[usize], &[Activation]) = match of.cell {
                Cell::Lstm { .. } => {
                    ("LSTM", &[0, 2, 3, 1], &[Activation::Sigmoid, Activation::Tanh, Activation::Tanh])
                }
                Cell::Gru { .. } => ("GRU", &[1, 0, 2], &[Activation::Sigmoid, Activation::Tanh]),
                Cell::Rnn => ("RNN", &[0], &[Activation::Tanh]),
            };
            let directions = of.direction.count();
            let relu = of.cell == Cell::Rnn && of.activations.iter().all(|a| *a == Activation::Relu);
            if of.activations != usual.repeat(directions) && !relu {
                return Err(refused(&layer.name, format!("nn.{class} has no other activations than its own")));
            }
            let (rows, inputs) = (weights.r.dims()[1], weights.w.dims()[2]);
            let width = weights.r.dims()[2];
            if number == 0 {
                let mut options = String::new();
                if layers.len() > 1 {
                    let _ = write!(options, ", num_layers={}", layers.len());
                }
                if self.batch_first {
                    options.push_str(", batch_first=True");
                }
                if directions == 2 {
                    options.push_str(", bidirectional=True");
                }
                if weights.projection.is_some() {
                    let _ = write!(options, ", proj_size={width}");
                }
                if relu {
                    options.push_str(", nonlinearity=\"relu\"");
                }
                let _ = writeln!(self.modules, "        self.{name} = nn.{class}({inputs}, {}{options})", of.hidden);
            }
            for direction in 0..directions {
                let suffix = format!("_l{number}{}", if direction == 1 { "_reverse" } else { "" });
                let zeros = || Tensor::zeros([directions, 2 * rows]);
                let biases = weights.b.clone().map_or_else(zeros, Ok)?;
                let both: Vec<f32> = biases.to_f32()[direction * 2 * rows..][..2 * rows].to_vec();
                let bias = |at: usize| -> Result<Tensor> {
                    let half = Tensor::from_f32([1, rows], both[at * rows..(at + 1) * rows].to_vec())?;
                    Tensor::from_f32([rows], gates(&half, 0, order))
                };
                let parts = [
                    ("weight_ih", Tensor::from_f32([rows, inputs], gates(&weights.w, direction, order))?),
                    ("weight_hh", Tensor::from_f32([rows, width], gates(&weights.r, direction, order))?),
                    ("bias_ih", bias(0)?),
                    ("bias_hh", bias(1)?),
                ];
                for (part, tensor) in parts {
                    self.tensors.push((format!("{name}.{part}{suffix}"), tensor));
                }
                if let Some(projection) = &weights.projection {
                    let tensor = Tensor::from_f32([width, of.hidden], gates(projection, direction, &[0]))?;
                    self.tensors.push((format!("{name}.weight_hr{suffix}"), tensor));
                }
            }
            if number + 1 == layers.len() {
                let state = match (class, directions) {
                    ("LSTM", 1) => "        h = state[0][-1]\n",
                    ("LSTM", _) => "        h = torch.cat((state[0][-2], state[0][-1]), -1)\n",
                    (_, 1) => "        h = state[-1]\n",
                    _ => "        h = torch.cat((state[-2], state[-1]), -1)\n",
                };
                let _ = write!(self.forward, "        x, state = self.{name}(x)\n{state}");
            }
        }
        Ok(())
    }
}

fn function(layer: &Layer, activation: Activation) -> Result<String> {
    Ok(match activation {
        Activation::Sigmoid => "torch.sigmoid(x)".into(),
        Activation::Tanh => "torch.tanh(x)".into(),
        Activation::Relu => "torch.relu(x)".into(),
        Activation::Affine { alpha, beta } => format!("{alpha:e} * x + {beta:e}"),
        Activation::LeakyRelu { alpha } => format!("nn.functional.leaky_relu(x, {alpha:e})"),
        Activation::ThresholdedRelu { alpha } => format!("nn.functional.threshold(x, {alpha:e}, 0.0)"),
        Activation::ScaledTanh { alpha, beta } => format!("{alpha:e} * torch.tanh({beta:e} * x)"),
        Activation::HardSigmoid { alpha, beta } => format!("({alpha:e} * x + {beta:e}).clamp(0.0, 1.0)"),
        Activation::Elu { alpha } => format!("nn.functional.elu(x, {alpha:e})"),
        Activation::Selu { alpha, gamma } => format!("{gamma:e} * nn.functional.elu(x, {alpha:e})"),
        Activation::Softsign => "nn.functional.softsign(x)".into(),
        Activation::Softplus => "torch.logaddexp(x, torch.zeros_like(x))".into(),
        Activation::HardSwish => "nn.functional.hardswish(x)".into(),
        Activation::Swish => "nn.functional.silu(x)".into(),
        Activation::Gelu { tanh: false } => "nn.functional.gelu(x)".into(),
        Activation::Gelu { tanh: true } => {
            return Err(refused(&layer.name, "older versions of torch have no gelu by tanh"));
        }
        Activation::Exp => "torch.exp(x)".into(),
    })
}

/// The bytes of a `.pt` file that `torch.load(FILE, weights_only=True)` reads: a zip archive of a pickle and the numbers.
///
/// # Errors
/// If the archive cannot be written.
#[cfg(feature = "pytorch")]
pub fn torch_file(tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    use std::io::{Cursor, Write as _};

    use zip::write::{SimpleFileOptions, ZipWriter};

    let failed = |e: &dyn std::fmt::Display| refused("the .pt file", e.to_string());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // As torch writes it: stored, and numbers aligned to 64 bytes.
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut add = |name: &str, bytes: &[u8], alignment: u16| -> Result<()> {
        zip.start_file(format!("archive/{name}"), options.with_alignment(alignment)).map_err(|e| failed(&e))?;
        zip.write_all(bytes).map_err(|e| failed(&e))
    };
    add("data.pkl", &pickled(tensors), 1)?;
    add("byteorder", b"little", 1)?;
    for (i, (_, tensor)) in tensors.iter().enumerate() {
        add(&format!("data/{i}"), &tensor.to_f32().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>(), 64)?;
    }
    add("version", b"3\n", 1)?;
    Ok(zip.finish().map_err(|e| failed(&e))?.into_inner())
}

/// A dict of tensors in protocol 2 of pickle, with the calls that `torch.save` writes and no others.
#[cfg(feature = "pytorch")]
fn pickled(tensors: &[(String, Tensor)]) -> Vec<u8> {
    fn text(to: &mut Vec<u8>, text: &str) {
        to.push(b'X');
        to.extend((text.len() as u32).to_le_bytes());
        to.extend(text.as_bytes());
    }
    fn int(to: &mut Vec<u8>, n: usize) {
        // As Python: in one, two or four bytes, or as a long of eight bytes and a sign.
        match (u8::try_from(n), u16::try_from(n), i32::try_from(n)) {
            (Ok(n), _, _) => to.extend([b'K', n]),
            (_, Ok(n), _) => {
                to.push(b'M');
                to.extend(n.to_le_bytes());
            }
            (_, _, Ok(n)) => {
                to.push(b'J');
                to.extend(n.to_le_bytes());
            }
            _ => {
                to.extend([0x8a, 9]);
                to.extend((n as u64).to_le_bytes());
                to.push(0);
            }
        }
    }
    fn tuple(to: &mut Vec<u8>, numbers: &[usize]) {
        to.push(b'(');
        numbers.iter().for_each(|n| int(to, *n));
        to.push(b't');
    }
    let mut to = vec![0x80, 2, b'}', b'('];
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        text(&mut to, name);
        to.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut to, "storage");
        to.extend(b"ctorch\nFloatStorage\n");
        text(&mut to, &i.to_string());
        text(&mut to, "cpu");
        int(&mut to, tensor.len());
        // The storage by its persistent id; then offset, dimensions, strides, no gradient, no hooks.
        to.extend(b"tQ");
        int(&mut to, 0);
        let dims = tensor.dims();
        tuple(&mut to, dims);
        let strides: Vec<usize> = (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect();
        tuple(&mut to, &strides);
        to.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    to.extend(b"u.");
    to
}
