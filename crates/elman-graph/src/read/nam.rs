//! Neural Amp Modeler: `.nam` files of architecture LSTM.
//!
//! One flat list of weights, after `NAM/lstm.cpp`: per layer `[4H, I+H]` (gates `i f g o`, row by row), the bias, then the
//! **initial states** h0 and c0; last the head and its bias. The state at the start is not zero, and hosts feed some
//! silence first ("pre-warm"), which is theirs to do.

use crate::builder::Builder;
use crate::error::{Error, Result};
use crate::graph::{Cell, Direction, Fate, Graph, Recurrent};
use crate::tensor::{Dtype, Tensor};

use super::json::Json;
use super::weights::{self, LSTM_IFGO, Rows};

/// Whether JSON looks like a `.nam` file.
pub(crate) fn recognizes(json: &Json) -> bool {
    json.get("architecture").is_some() && json.get("weights").is_some()
}

/// The network of a `.nam` file.
///
/// # Errors
/// Architectures other than LSTM, by name; more or fewer weights than the configuration needs.
pub(crate) fn read(json: &Json) -> Result<Graph> {
    let architecture = json.get("architecture").and_then(Json::text).unwrap_or_default();
    if architecture != "LSTM" {
        return Err(Error::unsupported("architecture", format!("the architecture {architecture:?} (only LSTM)")));
    }
    let config = json.get("config").ok_or_else(|| Error::malformed("config", "it is missing"))?;
    let size = |key: &str| {
        let value = config.get(key).and_then(Json::size).filter(|size| *size > 0);
        value.ok_or_else(|| Error::malformed(format!("config.{key}"), "not a size"))
    };
    let (inputs, hidden, layers) = (size("input_size")?, size("hidden_size")?, size("num_layers")?);
    for (key, _) in config.entries().unwrap_or_default() {
        if !["input_size", "hidden_size", "num_layers", "train_burn_in", "train_truncate"].contains(&key.as_str()) {
            return Err(Error::unsupported(format!("config.{key}"), "this key"));
        }
    }
    let Some(Json::Numbers(list)) = json.get("weights") else {
        return Err(Error::malformed("weights", "not a list of numbers"));
    };
    // Layers are counted against the list before anything is made of them.
    let needed = || {
        let of = |inputs: usize| {
            let rows = hidden.checked_mul(4)?;
            rows.checked_mul(inputs.checked_add(hidden)?)?.checked_add(rows)?.checked_add(hidden.checked_mul(2)?)
        };
        let upper = of(hidden)?.checked_mul(layers - 1)?;
        of(inputs)?.checked_add(upper)?.checked_add(hidden)?.checked_add(1)
    };
    if needed() != Some(list.len()) {
        let needed = needed().map_or("more than can be counted".to_owned(), |needed| needed.to_string());
        let reason = format!("{} numbers, but the configuration needs {needed}", list.len());
        return Err(Error::malformed("weights", reason));
    }
    let list: Vec<f32> = list.iter().map(|&x| x as f32).collect();
    if let Some(at) = list.iter().position(|x| !x.is_finite()) {
        return Err(Error::malformed("weights", format!("number {at} is beyond the range of float32")));
    }

    let mut rest = list.as_slice();
    // The list has as many numbers as are taken: counted above.
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at(count.min(rest.len()));
        rest = left;
        taken
    };
    let mut builder = Builder::new("NAM");
    let input = builder.input("x", Dtype::F32, ["B".into(), "T".into(), inputs.into()]);
    let mut x = input.clone();
    for layer in 0..layers {
        let width = if layer == 0 { inputs } else { hidden };
        let rows = 4 * hidden;
        let both = take(rows * (width + hidden));
        let side =
            |from: usize, to: usize| both.chunks_exact(width + hidden).flat_map(|row| row[from..to].to_vec()).collect();
        let rows = Rows {
            w: Tensor::from_f32([rows, width], side(0, width))?,
            r: Tensor::from_f32([rows, hidden], side(width, width + hidden))?,
            b_in: Some(Tensor::from_f32([rows], take(rows).to_vec())?),
            b_rec: None,
            projection: None,
        };
        let name = format!("lstm_{layer}");
        let mut weights = weights::recurrent(&name, vec![rows], LSTM_IFGO)?;
        weights.initial_h = Some(Tensor::from_f32([1, 1, hidden], take(hidden).to_vec())?);
        weights.initial_c = Some(Tensor::from_f32([1, 1, hidden], take(hidden).to_vec())?);
        let kind = Recurrent::new(Cell::Lstm { input_forget: false }, hidden, Direction::Forward);
        (x, ..) = builder.recurrent(&name, &x, Recurrent { batch_first: true, ..kind }, weights, None)?;
    }
    let head = Tensor::from_f32([hidden, 1], take(hidden).to_vec())?;
    let bias = Tensor::from_f32([1], take(1).to_vec())?;
    let y = builder.dense("head", &x, head, Some(bias))?;
    builder.output("y", &y);
    builder.sequence(&input, Some(1), Some(0), Some("y"));
    builder.note("weights", &[list.len()], Fate::Used(format!("{layers} LSTM layers with initial states, head")));

    let about = &mut builder.graph_mut().about;
    about.producer =
        json.get("version").and_then(Json::text).map(|version| format!("NAM {version}")).unwrap_or_default();
    if let Some(rate) = json.some("sample_rate").and_then(Json::number) {
        about.extra.insert("sample_rate".into(), rate.to_string());
    }
    about
        .notes
        .push("the initial state of the file is used; a host feeds about 0.5 s of silence before the signal".into());
    builder.finish()
}
