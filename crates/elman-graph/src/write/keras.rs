//! Keras 3: a `.keras` archive of configuration and weights.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};

use hdf5_writer::{DatasetBuilder, Hdf5Builder, WriteOptions};
use serde_json::{Value as Json, json};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::chain::{Chain, Kind, Layer, gates, plain};
use super::refused;
use crate::builder::RecurrentWeights;
use crate::error::Result;
use crate::graph::{Activation, Cell, Direction, Graph, Recurrent};
use crate::tensor::Tensor;

/// The graph as the bytes of a `.keras` file: a `Sequential` of Keras 3. Sequences are `[batch, time, features]`.
///
/// # Errors
/// If it is not a list of layers, or one of them has something that Keras has not; the error names it.
pub fn keras(graph: &Graph) -> Result<Vec<u8>> {
    let chain = Chain::of(graph)?;
    let (width, tokens) = (chain.inputs(), chain.input.dtype.is_int());
    let shape = if tokens { json!([null, null]) } else { json!([null, null, width]) };
    let dtype = if tokens { "int32" } else { "float32" };
    let input = json!({ "batch_shape": shape, "dtype": dtype, "name": "input" });
    let mut writer = Writer { layers: vec![named("InputLayer", input)], used: BTreeMap::new(), weights: Vec::new() };
    let mut layers = chain.layers.iter().peekable();
    while let Some(layer) = layers.next() {
        let pooled = layers.peek().is_some_and(|next| match next.kind {
            Kind::LastState => true,
            Kind::Last => matches!(&layer.kind, Kind::Recurrent(both) if both.0.direction == Direction::Forward),
            _ => false,
        });
        writer.layer(layer, pooled)?;
        if pooled && matches!(layer.kind, Kind::Recurrent(_)) {
            layers.next();
        }
    }
    let name = "sequential";
    let config = json!({
        "module": "keras", "class_name": "Sequential", "registered_name": null,
        "config": { "name": name, "trainable": true, "dtype": "float32", "layers": writer.layers,
            "build_input_shape": shape },
        "build_config": { "input_shape": shape },
    });
    let metadata = json!({ "keras_version": "3.0.0", "date_saved": "1970-01-01@00:00:00" });
    let mut hdf5 = Hdf5Builder::new();
    for (path, tensor) in writer.weights {
        let dims: Vec<u64> = tensor.dims().iter().map(|n| *n as u64).collect();
        hdf5 = hdf5.dataset(DatasetBuilder::typed_data(path, dims, &tensor.to_f32()).map_err(|e| failed(&e))?);
    }
    let plan = hdf5.into_plan().map_err(|e| failed(&e))?;
    let weights = plan.encode(WriteOptions::default()).map_err(|e| failed(&e))?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let files = [
        ("metadata.json", metadata.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("model.weights.h5", weights),
    ];
    for (name, bytes) in files {
        zip.start_file(name, options).map_err(|e| failed(&e))?;
        zip.write_all(&bytes).map_err(|e| failed(&e))?;
    }
    Ok(zip.finish().map_err(|e| failed(&e))?.into_inner())
}

fn failed(e: &dyn std::fmt::Display) -> crate::Error {
    refused("the .keras file", e.to_string())
}

fn named(class: &str, config: Json) -> Json {
    json!({ "module": "keras.layers", "class_name": class, "config": config, "registered_name": null })
}

struct Writer {
    layers: Vec<Json>,
    /// How often each class occurred.
    used: BTreeMap<&'static str, usize>,
    weights: Vec<(String, Tensor)>,
}

impl Writer {
    /// The name of a layer in the file, which counts those of its class from 0.
    fn name(&mut self, class: &'static str) -> String {
        let count = self.used.entry(class).or_insert(0);
        *count += 1;
        if *count == 1 { class.into() } else { format!("{class}_{}", *count - 1) }
    }

    fn layer(&mut self, layer: &Layer, pooled: bool) -> Result<()> {
        let not_here = |what: &str| Err(refused(&layer.name, format!("Keras has no {what}")));
        let (class, snake, config): (_, _, Json) = match &layer.kind {
            Kind::Embedding(table) => {
                let name = self.name("embedding");
                self.weights.push((format!("layers/{name}/vars/0"), table.clone()));
                let config = json!({ "name": name, "input_dim": table.dims()[0], "output_dim": table.dims()[1] });
                self.layers.push(named("Embedding", config));
                return Ok(());
            }
            Kind::Recurrent(both) => return self.recurrent(layer, &both.0, &both.1, pooled),
            Kind::Dense(kernel, bias) => {
                let name = self.name("dense");
                self.weights.push((format!("layers/{name}/vars/0"), kernel.clone()));
                if let Some(bias) = bias {
                    self.weights.push((format!("layers/{name}/vars/1"), bias.clone()));
                }
                let config = json!({ "name": name, "units": kernel.dims()[1], "activation": "linear", "use_bias": bias.is_some() });
                self.layers.push(named("Dense", config));
                return Ok(());
            }
            Kind::Activation(Activation::LeakyRelu { alpha }) => {
                ("LeakyReLU", "leaky_re_lu", json!({ "negative_slope": alpha }))
            }
            Kind::Activation(Activation::Elu { alpha }) => ("ELU", "elu", json!({ "alpha": alpha })),
            Kind::Activation(Activation::Affine { alpha, beta }) => {
                ("Rescaling", "rescaling", json!({ "scale": alpha, "offset": beta }))
            }
            Kind::Activation(activation) => {
                ("Activation", "activation", json!({ "activation": function(layer, *activation)? }))
            }
            Kind::Softmax => ("Activation", "activation", json!({ "activation": "softmax" })),
            Kind::Mean => ("GlobalAveragePooling1D", "global_average_pooling1d", json!({})),
            Kind::Max => ("GlobalMaxPooling1D", "global_max_pooling1d", json!({})),
            Kind::Gain(gain) => ("Rescaling", "rescaling", json!({ "scale": gain })),
            Kind::Last | Kind::LastState => return not_here("layer that takes the last step of other layers"),
            Kind::Skip => return not_here("sum with the input in a list of layers"),
        };
        let mut config = config;
        config["name"] = json!(self.name(snake));
        self.layers.push(named(class, config));
        Ok(())
    }

    fn recurrent(&mut self, layer: &Layer, of: &Recurrent, weights: &RecurrentWeights, pooled: bool) -> Result<()> {
        plain(layer, of, weights, false)?;
        if weights.projection.is_some() {
            return Err(refused(&layer.name, "Keras has no projection"));
        }
        let count = of.cell.activations();
        let own = &of.activations[..count];
        if of.activations.chunks(count).any(|other| other != own) {
            return Err(refused(&layer.name, "its two directions have different activations"));
        }
        // From i o f c to i f c o; z r h stays.
        let (class, snake, order, gate_order): (_, _, &[usize], _) = match of.cell {
            Cell::Lstm { .. } => ("LSTM", "lstm", &[0, 2, 3, 1], Some(0)),
            Cell::Gru { .. } => ("GRU", "gru", &[0, 1, 2], Some(0)),
            Cell::Rnn => ("SimpleRNN", "simple_rnn", &[0], None),
        };
        let mut config = json!({ "units": of.hidden, "use_bias": true, "return_sequences": !pooled });
        match gate_order {
            Some(_) => {
                config["recurrent_activation"] = json!(function(layer, own[0])?);
                config["activation"] = json!(function(layer, own[1])?);
            }
            None => config["activation"] = json!(function(layer, own[0])?),
        }
        if matches!(of.cell, Cell::Lstm { .. }) && own[1] != own[2] {
            return Err(refused(&layer.name, "Keras has one activation for the input and the output of a cell"));
        }
        if let Cell::Gru { linear_before_reset } = of.cell {
            config["reset_after"] = json!(linear_before_reset);
        }
        let (d, rows) = (of.direction.count(), order.len() * of.hidden);
        match of.direction {
            Direction::Reverse => {
                return Err(refused(&layer.name, "Keras returns what a layer reads backwards in reverse order"));
            }
            Direction::Forward => {
                let name = self.name(snake);
                self.cell(&format!("layers/{name}"), of, weights, 0, [d, rows], order)?;
                config["name"] = json!(name);
                self.layers.push(named(class, config));
            }
            Direction::Bidirectional => {
                let name = self.name("bidirectional");
                for (direction, part) in ["forward_layer", "backward_layer"].into_iter().enumerate() {
                    self.cell(&format!("layers/{name}/{part}"), of, weights, direction, [d, rows], order)?;
                }
                let mut backward = config.clone();
                (config["name"], backward["name"]) =
                    (json!(format!("forward_{snake}")), json!(format!("backward_{snake}")));
                backward["go_backwards"] = json!(true);
                let both = json!({ "name": name, "merge_mode": "concat", "layer": named(class, config),
                    "backward_layer": named(class, backward) });
                self.layers.push(named("Bidirectional", both));
            }
        }
        Ok(())
    }

    /// Kernels `[I, G*H]` and `[H, G*H]`, and the bias.
    fn cell(
        &mut self,
        path: &str,
        of: &Recurrent,
        weights: &RecurrentWeights,
        direction: usize,
        [directions, rows]: [usize; 2],
        order: &[usize],
    ) -> Result<()> {
        let kernel = |w: &Tensor| {
            let width = w.dims()[2];
            super::chain::transposed(&Tensor::from_f32([rows, width], gates(w, direction, order))?)
        };
        let both = weights.b.as_ref().map_or_else(|| vec![0.0; directions * 2 * rows], Tensor::to_f32);
        let own = &both[direction * 2 * rows..][..2 * rows];
        let reorder = |half: Vec<f32>| Tensor::from_f32([1, rows], half).map(|half| gates(&half, 0, order));
        let bias = if of.cell == (Cell::Gru { linear_before_reset: true }) {
            let halves = [reorder(own[..rows].to_vec())?, reorder(own[rows..].to_vec())?].concat();
            Tensor::from_f32([2, rows], halves)?
        } else {
            let sum = own[..rows].iter().zip(&own[rows..]).map(|(a, b)| a + b).collect();
            Tensor::from_f32([rows], reorder(sum)?)?
        };
        for (i, tensor) in [kernel(&weights.w)?, kernel(&weights.r)?, bias].into_iter().enumerate() {
            self.weights.push((format!("{path}/cell/vars/{i}"), tensor));
        }
        Ok(())
    }
}

/// The name of a function in Keras 3.
fn function(layer: &Layer, activation: Activation) -> Result<&'static str> {
    Ok(match activation {
        Activation::Sigmoid => "sigmoid",
        Activation::Tanh => "tanh",
        Activation::Relu => "relu",
        Activation::Affine { alpha: 1.0, beta: 0.0 } => "linear",
        Activation::HardSigmoid { alpha, beta: 0.5 } if alpha == 1.0 / 6.0 => "hard_sigmoid",
        Activation::Elu { alpha: 1.0 } => "elu",
        Activation::Softsign => "softsign",
        Activation::Softplus => "softplus",
        Activation::HardSwish => "hard_silu",
        Activation::Swish => "silu",
        Activation::Gelu { tanh: false } => "gelu",
        Activation::Exp => "exponential",
        other => return Err(refused(&layer.name, format!("Keras 3 has no function for {other:?}"))),
    })
}
