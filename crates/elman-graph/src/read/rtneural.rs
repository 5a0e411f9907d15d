//! RTNeural and AIDA-X: a list of layers in JSON, weights in Keras' layout. (JSON with PyTorch names is a state dict.)

use crate::builder::{Builder, Value};
use crate::error::{Error, Result};
use crate::graph::{Cell, Direction, Fate, Graph, Recurrent};
use crate::tensor::{Dtype, Tensor};

use super::json::Json;
use super::layers::{self, ConvTime, TimePads};
use super::tensors::{permuted, transposed};
use super::weights::{self, GRU_ZRH, LSTM_IFGO, Rows};

/// Whether JSON looks like such a file.
pub(crate) fn recognizes(json: &Json) -> bool {
    json.get("layers").is_some() && json.get("in_shape").is_some()
}

/// The network of a file.
///
/// # Errors
/// Layers and activations that are not known; weights that contradict each other or the sizes given.
pub(crate) fn read(json: &Json) -> Result<Graph> {
    let in_shape = json.get("in_shape").and_then(Json::list).unwrap_or_default();
    let inputs = in_shape.last().and_then(Json::size).filter(|inputs| *inputs > 0);
    let inputs = inputs.ok_or_else(|| Error::malformed("in_shape", "its last member is not a size"))?;
    let layers = json.get("layers").and_then(Json::list).filter(|layers| !layers.is_empty());
    let layers = layers.ok_or_else(|| Error::malformed("layers", "not a list of layers"))?;
    let mut builder = Builder::new("RTNeural");
    let input = builder.input("x", Dtype::F32, ["B".into(), "T".into(), inputs.into()]);
    // AIDA-X: gains in decibels; with `in_skip` the input, after its gain, is added to the output, before its own.
    let x = builder.gain("in_gain", &input, gain(json, "in_gain")?)?;
    let mut y = x.clone();
    for (at, layer) in layers.iter().enumerate() {
        let kind = layer.get("type").and_then(Json::text).unwrap_or_default().to_owned();
        let layer = Layer { name: format!("{kind}_{at}"), json: layer };
        y = layer.build(&mut builder, &kind, &y)?;
        let units = layer.json.get("shape").and_then(Json::list).unwrap_or_default().last().and_then(Json::size);
        if let Some(units) = units
            && units != y.width()?
        {
            let reason = format!("its shape says {units} units, but its weights have {}", y.width()?);
            return Err(Error::malformed(format!("layer {}", layer.name), reason));
        }
    }
    match json.some("in_skip").map(|skip| (skip.size(), skip)) {
        None | Some((Some(0), _)) => {}
        Some((Some(1), _)) => y = builder.add("in_skip", &y, &x)?,
        Some((_, skip)) => return Err(Error::unsupported("in_skip", format!("{skip:?}"))),
    }
    let y = builder.gain("out_gain", &y, gain(json, "out_gain")?)?;
    builder.output("y", &y);
    builder.sequence(&input, Some(1), Some(0), Some("y"));
    if let Some(metadata) = json.get("metadata") {
        let about = &mut builder.graph_mut().about;
        if let Some(rate) = metadata
            .get("samplerate")
            .and_then(|rate| rate.number().map(|rate| rate.to_string()).or(rate.text().map(String::from)))
        {
            about.extra.insert("sample_rate".into(), rate);
        }
    }
    builder.finish()
}

/// A gain in decibels, as a factor.
fn gain(json: &Json, key: &str) -> Result<f32> {
    match json.some(key) {
        None => Ok(1.0),
        // As the player of AIDA-X: nothing at all from -90 dB on.
        Some(Json::Number(decibels)) if *decibels <= -90.0 => Ok(0.0),
        Some(Json::Number(decibels)) if *decibels < 200.0 => Ok(10f64.powf(decibels / 20.0) as f32),
        Some(_) => Err(Error::malformed(key, "not a gain in decibels")),
    }
}

struct Layer<'a> {
    name: String,
    json: &'a Json,
}

impl Layer<'_> {
    fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::malformed(format!("layer {}", self.name), reason)
    }

    /// The weights `0..count`, of which the ones from `needed` on may be missing.
    fn weights(&self, builder: &mut Builder, count: usize) -> Result<Vec<Tensor>> {
        let list = self.json.get("weights").and_then(Json::list).ok_or_else(|| self.wrong("it has no weights"))?;
        if list.len() != count {
            return Err(self.wrong(format!("it has {} weights instead of {count}", list.len())));
        }
        list.iter()
            .enumerate()
            .map(|(at, value)| {
                let (dims, values) = value.array().map_err(|reason| self.wrong(format!("weight {at}: {reason}")))?;
                if values.iter().any(|x| !x.is_finite()) {
                    return Err(self.wrong(format!("weight {at} is beyond the range of float32")));
                }
                builder.note(&format!("{}.{at}", self.name), &dims, Fate::Used(self.name.clone()));
                Tensor::from_f32(dims, values)
            })
            .collect()
    }

    fn size(&self, key: &str, otherwise: usize) -> Result<usize> {
        let value = match self.json.some(key) {
            None => return Ok(otherwise),
            // Keras has one number per axis.
            Some(value) => value.size().or_else(|| value.list()?.last()?.size()),
        };
        value.ok_or_else(|| self.wrong(format!("its {key} is not a size")))
    }

    fn build(&self, builder: &mut Builder, kind: &str, x: &Value) -> Result<Value> {
        let activation = self.json.some("activation").map_or(Some(""), Json::text);
        let activation = activation.ok_or_else(|| self.wrong("its activation is not a name"))?;
        let y = match kind {
            "dense" | "time-distributed-dense" => {
                let [kernel, bias] = self.fixed(builder)?;
                builder.dense(&self.name, x, kernel, Some(bias))?
            }
            "lstm" | "gru" => {
                if !matches!(activation, "" | "tanh") {
                    return Err(Error::unsupported(
                        format!("layer {}", self.name),
                        format!("the activation {activation:?}"),
                    ));
                }
                return self.recurrent(builder, kind == "lstm", x);
            }
            "conv1d" => self.conv(builder, x)?,
            "batchnorm" => {
                let count = self.json.get("weights").and_then(Json::len).unwrap_or(0);
                let list = self.weights(builder, if count == 2 { 2 } else { 4 })?;
                let epsilon = self.json.get("epsilon").and_then(Json::number).filter(|epsilon| *epsilon >= 0.0);
                let epsilon = epsilon.ok_or_else(|| self.wrong("it has no epsilon"))?;
                let norm = match list.as_slice() {
                    [mean, variance] => [None, None, Some(mean), Some(variance)],
                    [gamma, beta, mean, variance] => [Some(gamma), Some(beta), Some(mean), Some(variance)],
                    _ => return Err(self.wrong("it has not 2 or 4 weights")),
                };
                layers::batch_norm(builder, &self.name, x, norm, epsilon)?
            }
            "prelu" => {
                let [slope] = self.fixed(builder)?;
                return layers::prelu(builder, &self.name, x, slope);
            }
            "activation" => x.clone(),
            _ => return Err(Error::unsupported(format!("layer {}", self.name), format!("the layer type {kind:?}"))),
        };
        layers::activate(builder, &self.name, &y, activation)
    }

    fn fixed<const N: usize>(&self, builder: &mut Builder) -> Result<[Tensor; N]> {
        self.weights(builder, N)?.try_into().map_err(|_| self.wrong("its weights cannot be read"))
    }

    fn recurrent(&self, builder: &mut Builder, lstm: bool, x: &Value) -> Result<Value> {
        let [kernel, recurrent, bias] = self.fixed(builder)?;
        let hidden = recurrent.dims().first().copied().unwrap_or(0);
        let (cell, order) = if lstm {
            (Cell::Lstm { input_forget: false }, LSTM_IFGO)
        } else {
            (Cell::Gru { linear_before_reset: true }, GRU_ZRH)
        };
        let rows = hidden.saturating_mul(cell.gates());
        let expect = |what: &str, got: &[usize], want: &[usize]| {
            if got == want { Ok(()) } else { Err(Error::dimensions(format!("layer {}: {what}", self.name), got, want)) }
        };
        expect("kernel", kernel.dims(), &[x.width()?, rows])?;
        expect("recurrent kernel", recurrent.dims(), &[hidden, rows])?;
        let (b_in, b_rec) = if lstm {
            expect("bias", bias.dims(), &[rows])?;
            (bias, None)
        } else {
            // Row 0 goes with the input, row 1 with the state.
            expect("bias", bias.dims(), &[2, rows])?;
            let mut b_in = bias.to_f32();
            let b_rec = b_in.split_off(rows);
            (Tensor::from_f32([rows], b_in)?, Some(Tensor::from_f32([rows], b_rec)?))
        };
        let rows =
            Rows { w: transposed(&kernel)?, r: transposed(&recurrent)?, b_in: Some(b_in), b_rec, projection: None };
        let weights = weights::recurrent(&self.name, vec![rows], order)?;
        let kind = Recurrent { batch_first: true, ..Recurrent::new(cell, hidden, Direction::Forward) };
        builder.recurrent(&self.name, x, kind, weights, None).map(|(y, ..)| y)
    }

    /// Causal, as it runs sample by sample: what comes before the signal is zero.
    fn conv(&self, builder: &mut Builder, x: &Value) -> Result<Value> {
        let [kernel, bias] = self.fixed(builder)?;
        let &[length, _, _] = kernel.dims() else {
            return Err(self.wrong(format!("its kernel {:?} has not three axes", kernel.dims())));
        };
        if self.size("kernel_size", length)? != length {
            return Err(self.wrong(format!("its kernel_size is not the {length} of its weights")));
        }
        if self.size("strides", 1)? != 1 {
            return Err(Error::unsupported(format!("layer {}", self.name), "a stride above 1"));
        }
        if let Some(padding) = self.json.some("padding")
            && padding.text() != Some("causal")
        {
            return Err(Error::unsupported(format!("layer {}", self.name), "padding other than causal"));
        }
        let (dilation, groups) = (self.size("dilation", 1)?, self.size("groups", 1)?);
        let before = (length.saturating_sub(1)).checked_mul(dilation).filter(|before| *before < 1 << 24);
        let before = before.ok_or_else(|| self.wrong(format!("a dilation of {dilation}")))?;
        let how = ConvTime { stride: 1, dilation, groups, pads: TimePads::Zeros { before, after: 0 } };
        // [K, I, O] to [O, I, K].
        layers::conv_time(builder, &self.name, x, permuted(&kernel, &[2, 1, 0])?, Some(bias), how)
    }
}
