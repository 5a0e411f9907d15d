//! Neural Amp Modeler and RTNeural: JSON of players that run in real time.

use serde_json::{Value as Json, json};

use super::chain::{Chain, Kind, Layer, gates, plain};
use super::refused;
use crate::builder::RecurrentWeights;
use crate::error::Result;
use crate::graph::{Activation, Cell, Direction, Graph, Recurrent};
use crate::tensor::Tensor;

/// From i o f c to i f g o.
const LSTM: &[usize] = &[0, 2, 3, 1];

/// The graph as a `.nam` file of architecture LSTM: LSTM layers of one width and a head of one output.
///
/// # Errors
/// If it is anything else; the error names the layer.
pub fn nam(graph: &Graph) -> Result<String> {
    let chain = Chain::of(graph)?;
    let mut weights: Vec<f32> = Vec::new();
    let mut hidden = None;
    let (head, layers) = chain.layers.split_last().ok_or_else(|| refused("the network", "it has no layers"))?;
    for layer in layers {
        let Kind::Recurrent(both) = &layer.kind else {
            return Err(refused(&layer.name, "a .nam file of architecture LSTM has LSTM layers and a head"));
        };
        let (of, w) = &**both;
        lstm(layer, of, w, true)?;
        if *hidden.get_or_insert(of.hidden) != of.hidden {
            return Err(refused(&layer.name, "the layers of a .nam file have one width"));
        }
        let (ih, hh) = (gates(&w.w, 0, LSTM), gates(&w.r, 0, LSTM));
        let inputs = w.w.dims()[2];
        for row in 0..4 * of.hidden {
            weights.extend(&ih[row * inputs..(row + 1) * inputs]);
            weights.extend(&hh[row * of.hidden..(row + 1) * of.hidden]);
        }
        weights.extend(bias(w, 4 * of.hidden, LSTM)?);
        for state in [&w.initial_h, &w.initial_c] {
            weights.extend(state.as_ref().map_or_else(|| vec![0.0; of.hidden], Tensor::to_f32));
        }
    }
    let (Kind::Dense(kernel, b), Some(hidden)) = (&head.kind, hidden) else {
        return Err(refused(&head.name, "a .nam file of architecture LSTM ends with a dense layer"));
    };
    if kernel.dims()[1] != 1 {
        return Err(refused(&head.name, "a .nam file has one output"));
    }
    weights.extend(kernel.to_f32());
    weights.push(b.as_ref().and_then(|b| b.to_f32().first().copied()).unwrap_or(0.0));
    finite(&weights)?;
    let mut file = json!({
        "version": "0.5.4",
        "architecture": "LSTM",
        "config": { "input_size": chain.inputs(), "hidden_size": hidden, "num_layers": layers.len() },
        "weights": weights,
    });
    if let Some(rate) = rate(graph) {
        file["sample_rate"] = rate;
    }
    Ok(file.to_string())
}

/// The graph as JSON of RTNeural: LSTM, GRU and dense layers, weights in Keras' layout.
///
/// # Errors
/// If it has anything else; the error names the layer.
pub fn rtneural(graph: &Graph) -> Result<String> {
    let chain = Chain::of(graph)?;
    let mut list: Vec<Json> = Vec::new();
    let mut skip = false;
    for layer in &chain.layers {
        let not_here = |what: &str| Err(refused(&layer.name, format!("RTNeural has no {what}")));
        if skip {
            return not_here("layer after the input was added");
        }
        let written = match &layer.kind {
            Kind::Recurrent(both) => recurrent(layer, &both.0, &both.1)?,
            Kind::Dense(kernel, bias) => {
                let (inputs, outputs) = (kernel.dims()[0], kernel.dims()[1]);
                let bias = bias.as_ref().map_or_else(|| vec![0.0; outputs], Tensor::to_f32);
                finite(&kernel.to_f32())?;
                finite(&bias)?;
                json!({ "type": "dense", "activation": "", "shape": [null, null, outputs],
                    "weights": [matrix(&kernel.to_f32(), inputs, outputs), bias] })
            }
            Kind::Activation(activation) => {
                let name = match activation {
                    Activation::Tanh => "tanh",
                    Activation::Relu => "relu",
                    Activation::Sigmoid => "sigmoid",
                    _ => return not_here("activation of this kind"),
                };
                activate(&mut list, name);
                continue;
            }
            Kind::Softmax => {
                activate(&mut list, "softmax");
                continue;
            }
            Kind::Skip => {
                skip = true;
                continue;
            }
            Kind::Embedding(_) => return not_here("embedding"),
            Kind::Gain(_) => return not_here("gain between layers"),
            Kind::Last | Kind::LastState | Kind::Mean | Kind::Max => return not_here("pooling over the sequence"),
        };
        list.push(written);
    }
    let mut file = json!({ "in_shape": [null, null, chain.inputs()], "layers": list });
    if skip {
        // As AIDA-X names it.
        file["in_skip"] = json!(1);
    }
    if let Some(rate) = rate(graph) {
        file["metadata"] = json!({ "samplerate": rate });
    }
    Ok(file.to_string())
}

/// The activation of the layer before, or a layer of its own.
fn activate(list: &mut Vec<Json>, name: &str) {
    match list.last_mut() {
        Some(dense) if dense["type"] == "dense" && dense["activation"] == "" => dense["activation"] = json!(name),
        last => {
            let shape = last.map_or(Json::Null, |layer| layer["shape"].clone());
            list.push(json!({ "type": "activation", "activation": name, "shape": shape, "weights": [] }));
        }
    }
}

fn recurrent(layer: &Layer, of: &Recurrent, weights: &RecurrentWeights) -> Result<Json> {
    let (inputs, hidden) = (weights.w.dims()[2], of.hidden);
    let is_lstm = matches!(of.cell, Cell::Lstm { .. });
    let (kind, order, rows) = match of.cell {
        Cell::Lstm { .. } => ("lstm", LSTM, 4 * hidden),
        Cell::Gru { linear_before_reset: true } => ("gru", &[0, 1, 2][..], 3 * hidden),
        Cell::Gru { .. } => {
            return Err(refused(&layer.name, "RTNeural's GRU resets after the product, this one before it"));
        }
        Cell::Rnn => return Err(refused(&layer.name, "RTNeural has no plain recurrent layer")),
    };
    if is_lstm {
        lstm(layer, of, weights, false)?;
    } else {
        plain(layer, of, weights, false)?;
        if of.direction != Direction::Forward || of.activations != [Activation::Sigmoid, Activation::Tanh] {
            return Err(refused(&layer.name, "RTNeural's GRU reads forward, with its usual activations"));
        }
    }
    let columns = |w: &Tensor, width: usize| -> Json {
        let values = gates(w, 0, order);
        let turned: Vec<f32> = (0..width)
            .flat_map(|k| {
                (0..rows).map({
                    let values = &values;
                    move |r| values[r * width + k]
                })
            })
            .collect();
        matrix(&turned, width, rows)
    };
    finite(&weights.w.to_f32())?;
    finite(&weights.r.to_f32())?;
    let bias = if is_lstm {
        json!(bias(weights, rows, order)?)
    } else {
        let both = weights.b.as_ref().map_or_else(|| vec![0.0; 2 * rows], Tensor::to_f32);
        finite(&both)?;
        json!([&both[..rows], &both[rows..]])
    };
    Ok(json!({ "type": kind, "activation": "", "shape": [null, null, hidden],
        "weights": [columns(&weights.w, inputs), columns(&weights.r, hidden), bias] }))
}

/// Refuses what is not a plain LSTM that reads forward.
fn lstm(layer: &Layer, of: &Recurrent, weights: &RecurrentWeights, states: bool) -> Result<()> {
    plain(layer, of, weights, states)?;
    let usual = [Activation::Sigmoid, Activation::Tanh, Activation::Tanh];
    let is_lstm = matches!(of.cell, Cell::Lstm { .. }) && of.activations == usual;
    if !is_lstm || of.direction != Direction::Forward || weights.projection.is_some() {
        return Err(refused(
            &layer.name,
            "the format has only LSTM layers that read forward, with the usual activations",
        ));
    }
    Ok(())
}

/// The sum of both biases.
fn bias(weights: &RecurrentWeights, rows: usize, order: &[usize]) -> Result<Vec<f32>> {
    let both = weights.b.as_ref().map_or_else(|| vec![0.0; 2 * rows], Tensor::to_f32);
    let sum: Vec<f32> = both[..rows].iter().zip(&both[rows..]).map(|(a, b)| a + b).collect();
    finite(&sum)?;
    Ok(gates(&Tensor::from_f32([1, rows], sum)?, 0, order))
}

fn matrix(values: &[f32], rows: usize, cols: usize) -> Json {
    json!((0..rows).map(|row| &values[row * cols..(row + 1) * cols]).collect::<Vec<_>>())
}

fn finite(values: &[f32]) -> Result<()> {
    match values.iter().find(|x| !x.is_finite()) {
        Some(x) => Err(refused("a weight", format!("it is {x}, which JSON has no number for"))),
        None => Ok(()),
    }
}

fn rate(graph: &Graph) -> Option<Json> {
    graph.about.extra.get("sample_rate")?.parse::<f64>().ok().map(|rate| json!(rate))
}
