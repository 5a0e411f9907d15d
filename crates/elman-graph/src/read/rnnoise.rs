//! RNNoise weights: `nnnoiseless`' `.rnn` (bytes) and the text files of rnnoise-nu.
//!
//! Numbers are `i8 / 256`. Six layers, each with its inputs, units and activation before its weights: a dense layer, three
//! GRUs that read each other and the features, and two dense layers for gains and voice activity. The GRUs reset before the
//! product, their gates are `z r h`, their matrices `[inputs, 3H]`.

use crate::builder::{Builder, RecurrentWeights, Value};
use crate::error::{Error, Result};
use crate::graph::{Activation, Cell, Direction, Fate, Graph, Recurrent};
use crate::source::{Options, Source};
use crate::tensor::{Dtype, Tensor};

use super::tensors::transposed;
use super::weights::{self, GRU_ZRH, Rows};

const HEADER: &[u8] = b"rnnoise-nu model file version ";

/// Features of a frame.
const FEATURES: usize = 42;

/// Whether a file is such a text, or bytes that are six layers that fit each other, to the last.
pub(crate) fn recognizes(source: &Source) -> bool {
    let bytes = source.bytes;
    // Bytes have no header. Six layers have at most 127 inputs and units each.
    let plausible = bytes.len() < 1 << 20 && bytes.first() == Some(&(FEATURES as u8));
    bytes.starts_with(HEADER) || plausible && layers(&mut numbers(bytes)).is_ok_and(|layers| fits(&layers).is_ok())
}

/// The network of a file.
///
/// # Errors
/// Layers that do not fit each other, and missing or left-over numbers; of a text, versions other than 1 and words that are
/// not numbers from -128 to 127.
pub(crate) fn read(source: &Source, _: &Options) -> Result<Graph> {
    if source.bytes.starts_with(HEADER) { read_text(source.bytes) } else { build(&layers(&mut numbers(source.bytes))?) }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = Result<i8>> + '_ {
    bytes.iter().map(|&byte| Ok(byte as i8))
}

fn read_text(bytes: &[u8]) -> Result<Graph> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::malformed("the text", "it is not UTF-8"))?;
    let (header, rest) = text.split_once('\n').unwrap_or((text, ""));
    if header.trim().as_bytes().strip_prefix(HEADER) != Some(b"1") {
        return Err(Error::unsupported("the first line", format!("{:?} (only version 1)", header.trim())));
    }
    let numbers = rest.split_whitespace().enumerate().map(|(at, word)| {
        word.parse::<i8>()
            .map_err(|_| Error::malformed(format!("number {at}"), format!("{word:?} is not from -128 to 127")))
    });
    build(&layers(&mut { numbers })?)
}

struct Layer {
    name: &'static str,
    inputs: usize,
    units: usize,
    activation: Activation,
    input_weights: Vec<f32>,
    recurrent_weights: Vec<f32>,
    bias: Vec<f32>,
}

/// The layers in the order of the file, and whether they are GRUs.
const LAYERS: [(&str, bool); 6] = [
    ("input_dense", false),
    ("vad_gru", true),
    ("noise_gru", true),
    ("denoise_gru", true),
    ("denoise_output", false),
    ("vad_output", false),
];

fn layers(numbers: &mut dyn Iterator<Item = Result<i8>>) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    for (name, is_gru) in LAYERS {
        let cut = || Error::malformed(format!("layer {name}"), "the file ends too early");
        let mut next = || numbers.next().ok_or_else(cut)?;
        let mut size = || {
            next().and_then(|n| {
                usize::try_from(n).map_err(|_| Error::malformed(format!("layer {name}"), "a negative size"))
            })
        };
        let (inputs, units, activation) = (size()?, size()?, size()?);
        let activation = match activation {
            0 => Activation::Tanh,
            1 => Activation::Sigmoid,
            2 => Activation::Relu,
            other => return Err(Error::unsupported(format!("layer {name}"), format!("the activation {other}"))),
        };
        let gates = if is_gru { 3 } else { 1 };
        // Sizes are below 128: at most some 50,000 numbers.
        let mut take = |count: usize| (0..count).map(|_| Ok(f32::from(next()?) / 256.0)).collect::<Result<Vec<f32>>>();
        layers.push(Layer {
            name,
            inputs,
            units,
            activation,
            input_weights: take(inputs * units * gates)?,
            recurrent_weights: take(if is_gru { units * units * gates } else { 0 })?,
            bias: take(units * gates)?,
        });
    }
    match numbers.next() {
        None => Ok(layers),
        Some(_) => Err(Error::malformed("the end", "numbers are left over after the six layers")),
    }
}

fn fits(layers: &[Layer]) -> Result<()> {
    let [dense, vad, noise, denoise, gains, voice] = layers else {
        return Err(Error::malformed("the layers", "there are not six"));
    };
    let widths = [
        (dense, FEATURES),
        (vad, dense.units),
        (noise, dense.units + vad.units + FEATURES),
        (denoise, vad.units + noise.units + FEATURES),
        (gains, denoise.units),
        (voice, vad.units),
    ];
    for (layer, inputs) in widths {
        if layer.inputs != inputs || layer.units == 0 {
            let part = format!("layer {}", layer.name);
            return Err(Error::malformed(
                part,
                format!("{} inputs and {} units, but {inputs} inputs are needed", layer.inputs, layer.units),
            ));
        }
    }
    if voice.units == 1 {
        Ok(())
    } else {
        Err(Error::malformed("layer vad_output", format!("{} units instead of 1", voice.units)))
    }
}

fn build(layers: &[Layer]) -> Result<Graph> {
    fits(layers)?;
    let mut builder = Builder::new("RNNoise");
    let x = builder.input("x", Dtype::F32, ["B".into(), "T".into(), FEATURES.into()]);
    let [dense, vad, noise, denoise, gains, voice] = layers else {
        return Err(Error::malformed("the layers", "there are not six"));
    };
    let hidden = dense_layer(&mut builder, dense, &x)?;
    let vad = gru(&mut builder, vad, &hidden)?;
    let to_noise = builder.concat("noise_input", &[&hidden, &vad, &x], -1)?;
    let noise = gru(&mut builder, noise, &to_noise)?;
    let to_denoise = builder.concat("denoise_input", &[&vad, &noise, &x], -1)?;
    let denoise = gru(&mut builder, denoise, &to_denoise)?;
    let gains = dense_layer(&mut builder, gains, &denoise)?;
    let voice = dense_layer(&mut builder, voice, &vad)?;
    let y = builder.concat("vad_and_gains", &[&voice, &gains], -1)?;
    builder.output("y", &y);
    builder.sequence(&x, Some(1), Some(0), Some("y"));
    for layer in layers {
        let numbers = layer.input_weights.len() + layer.recurrent_weights.len() + layer.bias.len();
        builder.note(layer.name, &[numbers], Fate::Used("weights and bias, divided by 256".into()));
    }
    let notes = &mut builder.graph_mut().about.notes;
    notes.push("y: the probability of voice, then the gains of the bands".into());
    notes.push("tanh and sigmoid are exact here; RNNoise's own tables differ by up to 1e-5".into());
    builder.finish()
}

fn dense_layer(builder: &mut Builder, layer: &Layer, x: &Value) -> Result<Value> {
    let kernel = Tensor::from_f32([layer.inputs, layer.units], layer.input_weights.clone())?;
    let bias = Tensor::from_f32([layer.units], layer.bias.clone())?;
    let y = builder.dense(layer.name, x, kernel, Some(bias))?;
    Ok(builder.activation(layer.name, &y, layer.activation))
}

fn gru(builder: &mut Builder, layer: &Layer, x: &Value) -> Result<Value> {
    let rows = 3 * layer.units;
    let rows = Rows {
        w: transposed(&Tensor::from_f32([layer.inputs, rows], layer.input_weights.clone())?)?,
        r: transposed(&Tensor::from_f32([layer.units, rows], layer.recurrent_weights.clone())?)?,
        b_in: Some(Tensor::from_f32([rows], layer.bias.clone())?),
        b_rec: None,
        projection: None,
    };
    let weights: RecurrentWeights = weights::recurrent(layer.name, vec![rows], GRU_ZRH)?;
    let kind = Recurrent {
        activations: vec![Activation::Sigmoid, layer.activation],
        batch_first: true,
        ..Recurrent::new(Cell::Gru { linear_before_reset: false }, layer.units, Direction::Forward)
    };
    builder.recurrent(layer.name, x, kind, weights, None).map(|(y, ..)| y)
}
