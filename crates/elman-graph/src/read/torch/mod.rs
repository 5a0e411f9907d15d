//! PyTorch state dicts: `.pt`, safetensors and JSON with PyTorch's names.
//!
//! A state dict has names and numbers. Cells follow from dimensions (`4H` rows: LSTM, `3H`: GRU, `H`: plain), the number of
//! layers from `_l{k}`, the order of modules from the file and their widths. What is not there (the function of a plain
//! cell, functions between layers, strides, which axis is the batch) is asked for where it changes the numbers, or told.

#[cfg(feature = "pytorch")]
pub(crate) mod file;
mod modules;
mod order;
#[cfg(feature = "pytorch")]
pub(crate) mod pickle;

use crate::builder::{Builder, Value};
use crate::error::{Error, Result};
use crate::graph::{Activation, Cell, Dim, Direction, Fate, Graph, Recurrent, Reduce};
use crate::source::{Options, Source};
use crate::tensor::{Dtype, Tensor};

use self::modules::{Kind, Module, Stack};
use self::order::Step;
#[cfg(feature = "pytorch")]
use super::archive::{self, Archive};
use super::json::Json;
use super::tensors::{Tensors, transposed};
use super::weights::{self, GRU_RZN, LSTM_IFGO, ONE, Rows};
use super::{layers, safetensors};

/// Default of `nn.BatchNorm1d` and `nn.LayerNorm`; the file does not have it.
const EPSILON: f64 = 1e-5;

/// Whether a file is a zip archive of `torch.save`.
#[cfg(feature = "pytorch")]
pub(crate) fn recognizes_zip(source: &Source) -> bool {
    let names = || Archive::open(source.bytes).map(|archive| archive.names()).unwrap_or_default();
    archive::is_zip(source.bytes) && names().iter().any(|name| name.ends_with("data.pkl"))
}

/// The network of a zip archive of `torch.save`.
///
/// # Errors
/// As [`file::read_zip`] and [`network`].
#[cfg(feature = "pytorch")]
pub(crate) fn read_zip(source: &Source, options: &Options) -> Result<Graph> {
    let found = file::read_zip(source.bytes, options.answer("key"))?;
    network("PyTorch", found.tensors, &found.passed_over, true, options)
}

/// Whether a file is a pickle, of `torch.save` or not.
#[cfg(feature = "pytorch")]
pub(crate) fn recognizes_pickle(source: &Source) -> bool {
    matches!(source.bytes, [0x80, 2..=5, ..])
}

/// The network of a legacy file of `torch.save`.
///
/// # Errors
/// As [`file::read_legacy`] and [`network`]; other pickles.
#[cfg(feature = "pytorch")]
pub(crate) fn read_pickle(source: &Source, options: &Options) -> Result<Graph> {
    if !source.bytes.starts_with(file::LEGACY) {
        // A pickle without storages has nothing to read; what it would call is said.
        pickle::Pickle::parse(source.bytes)?;
        return Err(Error::malformed("the pickle", "it was not written by torch.save"));
    }
    let found = file::read_legacy(source.bytes, options.answer("key"))?;
    network("PyTorch", found.tensors, &found.passed_over, true, options)
}

/// The tensors of a file of `torch.save`, for a map.
///
/// # Errors
/// As [`file::read_zip`] and [`file::read_legacy`].
#[cfg(feature = "pytorch")]
pub(crate) fn tensors(source: &Source, key: Option<&str>) -> Result<Tensors> {
    let legacy = source.bytes.starts_with(file::LEGACY);
    let found = if legacy { file::read_legacy(source.bytes, key)? } else { file::read_zip(source.bytes, key)? };
    Tensors::new(found.tensors)
}

/// The network of a safetensors file with PyTorch's names.
///
/// # Errors
/// A damaged file; as [`network`].
pub(crate) fn read_safetensors(source: &Source, options: &Options) -> Result<Graph> {
    let tensors = safetensors::read(source.bytes)?;
    network("safetensors", tensors, &[], false, options)
}

/// Whether JSON is an object of lists, one of them named as PyTorch names weights.
pub(crate) fn recognizes_json(json: &Json) -> bool {
    let entries = json.entries().unwrap_or_default();
    let lists = entries.iter().all(|(_, value)| value.len().is_some());
    lists && entries.iter().any(|(name, _)| modules::split(name).1.starts_with("weight"))
}

/// The network of a state dict in JSON.
///
/// # Errors
/// As [`network`].
pub(crate) fn read_json(json: &Json, options: &Options) -> Result<Graph> {
    let mut named = Vec::new();
    for (name, value) in json.entries().unwrap_or_default() {
        let (dims, values) = value.array().map_err(|reason| Error::malformed(format!("tensor {name}"), reason))?;
        named.push((name.clone(), Tensor::from_f32(dims, values)?));
    }
    // Such files are played sample by sample; their users think of one sequence after the other.
    let mut options = options.clone();
    options.answers.entry("batch-first".into()).or_insert_with(|| "true".into());
    network("RTNeural, PyTorch names", named, &[], true, &options)
}

/// The network of a state dict; `passed_over` are tensors beside it.
///
/// # Errors
/// Tensors of unknown modules; orders and functions that the file leaves open.
pub(crate) fn network(
    format: &str,
    named: Vec<(String, Tensor)>,
    passed_over: &[(String, Vec<usize>)],
    file_has_order: bool,
    options: &Options,
) -> Result<Graph> {
    if named.is_empty() {
        return Err(Error::malformed("the state dict", "it holds no tensors"));
    }
    let named = named.into_iter().map(|(name, tensor)| (modules::unwrapped(&name), tensor)).collect();
    let mut tensors = Tensors::new(named)?;
    let modules = modules::find(&tensors)?;
    let steps = match options.answer("layers") {
        Some(list) => order::given(&modules, list)?,
        None => order::found(&modules, file_has_order)?,
    };
    let mut network = Network { builder: Builder::new(format), batch_first: batch_first(options)?, options };
    network.build(&steps, &mut tensors)?;
    let mut builder = network.builder;
    tensors.report(&mut builder, "a description of the layers can be given with --map")?;
    for (name, dims) in passed_over {
        builder.note(name, dims, Fate::Unused("beside the state dict".into()));
    }
    builder.finish()
}

fn batch_first(options: &Options) -> Result<bool> {
    match options.answer("batch-first") {
        None | Some("false") => Ok(false),
        Some("" | "true") => Ok(true),
        Some(other) => Err(Error::malformed(format!("--batch-first {other}"), "true or false")),
    }
}

struct Network<'a> {
    builder: Builder,
    batch_first: bool,
    options: &'a Options,
}

impl Network<'_> {
    fn note(&mut self, note: impl Into<String>) {
        self.builder.graph_mut().about.notes.push(note.into());
    }

    fn build(&mut self, steps: &[Step], tensors: &mut Tensors) -> Result<()> {
        let axes: [Dim; 2] = if self.batch_first { ["B".into(), "T".into()] } else { ["T".into(), "B".into()] };
        let first = steps.iter().find(|step| !matches!(step, Step::Function(_)));
        let input = match first {
            Some(Step::Embedding(_)) => self.builder.input("tokens", Dtype::I64, axes.to_vec()),
            Some(Step::Module(module)) => {
                let width = match &module.kind {
                    Kind::Recurrent(stack) => stack.inputs,
                    Kind::Matrix { columns, .. } => *columns,
                    Kind::Linear { inputs, .. } => *inputs,
                    Kind::BatchNorm { width, .. } | Kind::LayerNorm { width } => *width,
                    Kind::Conv => 0,
                };
                self.builder.input("x", Dtype::F32, [axes.to_vec(), vec![width.into()]].concat())
            }
            _ => return Err(Error::malformed("the state dict", "it holds no modules")),
        };
        let (mut x, mut states, mut has_time) = (input.clone(), Vec::new(), true);
        for step in steps {
            x = match step {
                Step::Embedding(module) => {
                    let name = format!("{}.weight", module.path);
                    let table = tensors.any(name.trim_start_matches('.'), module.name(), "embedding")?;
                    self.builder.embedding(module.name(), &x, table)?
                }
                Step::Module(module) => self.module(module, tensors, &x, &mut states)?,
                Step::Function(name) if order::POOLINGS.contains(&name.as_str()) => {
                    if !has_time {
                        return Err(Error::malformed(format!("--layers {name}"), "there is no time left to pool over"));
                    }
                    has_time = false;
                    let time = i64::from(self.batch_first);
                    match name.as_str() {
                        "last" => self.builder.take(name, &x, time, -1)?,
                        "mean" => self.builder.reduce(name, &x, Reduce::Mean, time)?,
                        _ => self.builder.reduce(name, &x, Reduce::Max, time)?,
                    }
                }
                Step::Function(name) => layers::activate(&mut self.builder, name, &x, name)?,
            };
        }
        self.builder.output("y", &x);
        if let [step] = steps
            && matches!(step, Step::Module(_))
        {
            self.final_states(&states)?;
        }
        let (time, batch) = if self.batch_first { (1, 0) } else { (0, 1) };
        self.builder.sequence(&input, Some(time), Some(batch), has_time.then_some("y"));
        self.note(format!(
            "axes are [{}, features]; the file does not say (--batch-first)",
            if self.batch_first { "batch, time" } else { "time, batch" }
        ));
        if steps.len() > 1 && self.options.answer("layers").is_none() {
            self.note("no functions between layers and no softmax at the end are in the file, and none were assumed (--layers)");
        }
        Ok(())
    }

    /// `h` and `c` of all layers and directions, as the modules of PyTorch return them beside the output.
    fn final_states(&mut self, states: &[(Value, Option<Value>)]) -> Result<()> {
        let hidden: Vec<Value> = states.iter().map(|(h, _)| h.clone()).collect();
        let cells: Vec<Value> = states.iter().filter_map(|(_, c)| c.clone()).collect();
        for (name, values) in [("h_n", hidden), ("c_n", cells)] {
            if values.is_empty() {
                continue;
            }
            // Batch first they are [B, D, H] here and [D, B, H] in PyTorch all the same.
            let mut parts = Vec::new();
            for value in values {
                parts.push(if self.batch_first { self.builder.transpose(name, &value, &[1, 0, 2])? } else { value });
            }
            let joined = self.builder.concat(name, &parts.iter().collect::<Vec<_>>(), 0)?;
            self.builder.output(name, &joined);
        }
        Ok(())
    }

    fn module(
        &mut self,
        module: &Module,
        tensors: &mut Tensors,
        x: &Value,
        states: &mut Vec<(Value, Option<Value>)>,
    ) -> Result<Value> {
        let layer = module.name().to_owned();
        let full =
            |part: &str| if module.path.is_empty() { part.to_owned() } else { format!("{}.{part}", module.path) };
        match &module.kind {
            Kind::Recurrent(stack) => self.recurrent(&layer, &full, stack, tensors, x, states),
            Kind::Linear { outputs, inputs } => {
                let kernel = tensors.take(&full("weight"), &layer, &[*outputs, *inputs], "kernel")?;
                let bias = tensors.take(&full("bias"), &layer, &[*outputs], "bias")?;
                self.builder.dense(&layer, x, transposed(&kernel)?, Some(bias))
            }
            Kind::Matrix { rows, columns } => {
                let kernel = tensors.take(&full("weight"), &layer, &[*rows, *columns], "kernel")?;
                self.builder.dense(&layer, x, transposed(&kernel)?, None)
            }
            Kind::LayerNorm { width } => {
                let scale = tensors.take(&full("weight"), &layer, &[*width], "scale")?;
                let shift = tensors.take(&full("bias"), &layer, &[*width], "shift")?;
                self.note(format!("{layer}: epsilon {EPSILON:e}, the default; the file does not have it"));
                layers::layer_norm(&mut self.builder, &layer, x, scale, shift, EPSILON as f32)
            }
            Kind::BatchNorm { width, affine } => {
                let mut take =
                    |part: &str| tensors.take(&full(part), &layer, &[*width], "folded into a factor and a summand");
                let (mean, variance) = (take("running_mean")?, take("running_var")?);
                let (scale, shift) = if *affine { (Some(take("weight")?), Some(take("bias")?)) } else { (None, None) };
                tensors.pass_over(&full("num_batches_tracked"), "a count of training steps");
                self.note(format!("{layer}: epsilon {EPSILON:e}, the default; the file does not have it"));
                let norm = [scale.as_ref(), shift.as_ref(), Some(&mean), Some(&variance)];
                layers::batch_norm(&mut self.builder, &layer, x, norm, EPSILON)
            }
            Kind::Conv => Err(Error::Ambiguous {
                part: format!("module {layer}"),
                reason: "the file does not tell stride, padding and dilation of a convolution".into(),
                option: "--map and a description of the layers".into(),
            }),
        }
    }

    fn recurrent(
        &mut self,
        layer: &str,
        full: &dyn Fn(&str) -> String,
        stack: &Stack,
        tensors: &mut Tensors,
        x: &Value,
        states: &mut Vec<(Value, Option<Value>)>,
    ) -> Result<Value> {
        let (order, function) = match stack.cell {
            Cell::Lstm { .. } => (LSTM_IFGO, None),
            Cell::Gru { .. } => (GRU_RZN, None),
            Cell::Rnn => (ONE, Some(self.nonlinearity(layer)?)),
        };
        let direction = if stack.bidirectional { Direction::Bidirectional } else { Direction::Forward };
        let rows = stack.cell.gates().saturating_mul(stack.hidden);
        let mut x = x.clone();
        for at in 0..stack.layers {
            let name = if stack.single { layer.to_owned() } else { format!("{layer}_l{at}") };
            let width = if at == 0 { stack.inputs } else { stack.width() };
            let mut directions = Vec::new();
            for reverse in if stack.bidirectional { &["", "_reverse"][..] } else { &[""] } {
                let suffix = if stack.single { String::new() } else { format!("_l{at}{reverse}") };
                let mut take =
                    |part: &str, dims: &[usize]| tensors.take(&full(&format!("{part}{suffix}")), &name, dims, part);
                directions.push(Rows {
                    w: take("weight_ih", &[rows, width])?,
                    r: take("weight_hh", &[rows, stack.outputs])?,
                    b_in: if stack.biases { Some(take("bias_ih", &[rows])?) } else { None },
                    b_rec: if stack.biases { Some(take("bias_hh", &[rows])?) } else { None },
                    projection: if stack.projection {
                        Some(take("weight_hr", &[stack.outputs, stack.hidden])?)
                    } else {
                        None
                    },
                });
            }
            let mut kind = Recurrent::new(stack.cell, stack.hidden, direction);
            kind.batch_first = self.batch_first;
            if let Some(function) = function {
                kind.activations.fill(function);
            }
            let weights = weights::recurrent(&name, directions, order)?;
            let (y, h, c) = self.builder.recurrent(&name, &x, kind, weights, None)?;
            states.push((h, c));
            x = y;
        }
        Ok(x)
    }

    fn nonlinearity(&mut self, layer: &str) -> Result<Activation> {
        match self.options.answer("nonlinearity") {
            None => {
                self.note(format!("{layer}: tanh, the default of nn.RNN; the file does not say (--nonlinearity relu)"));
                Ok(Activation::Tanh)
            }
            Some("tanh") => Ok(Activation::Tanh),
            Some("relu") => Ok(Activation::Relu),
            Some(other) => Err(Error::malformed(format!("--nonlinearity {other}"), "tanh or relu")),
        }
    }
}
