//! Automated-GuitarAmpModelling and GuitarML (Proteus): `model_data` and a `state_dict` in JSON.
//!
//! `y = lin(rec(x)) + x` where `skip` is 1; gates and biases as in PyTorch.

use crate::builder::Builder;
use crate::error::{Error, Result};
use crate::graph::{Cell, Direction, Graph, Op, Recurrent};
use crate::tensor::{Dtype, Tensor};

use super::json::Json;
use super::tensors::{Tensors, transposed};
use super::weights::{self, GRU_RZN, LSTM_IFGO, ONE, Rows};

/// Whether JSON looks like such a file.
pub(crate) fn recognizes(json: &Json) -> bool {
    json.get("model_data").is_some() && json.get("state_dict").is_some()
}

/// The network of a file.
///
/// # Errors
/// Units and models that are not known; tensors that contradict `model_data`, or that nothing uses.
pub(crate) fn read(json: &Json) -> Result<Graph> {
    let data = json.get("model_data").ok_or_else(|| Error::malformed("model_data", "it is missing"))?;
    let wrong = |key: &str| Error::malformed(format!("model_data.{key}"), "missing, or not of the right kind");
    let size = |key: &str| data.get(key).and_then(Json::size).ok_or_else(|| wrong(key));
    let (inputs, outputs, hidden) = (size("input_size")?, size("output_size")?, size("hidden_size")?);
    let skip = size("skip")?;
    // Files of one layer written before there could be more do not say so.
    let layers = if data.get("num_layers").is_some() { size("num_layers")? } else { 1 };
    if let Some(model) = data.some("model")
        && model.text() != Some("SimpleRNN")
    {
        let model = model.text().unwrap_or(model.kind());
        return Err(Error::unsupported("model_data.model", format!("the model {model:?} (only SimpleRNN)")));
    }
    let unit = data.get("unit_type").and_then(Json::text).ok_or_else(|| wrong("unit_type"))?;
    let (cell, order) = match unit {
        "LSTM" => (Cell::Lstm { input_forget: false }, LSTM_IFGO),
        "GRU" => (Cell::Gru { linear_before_reset: true }, GRU_RZN),
        "RNN" => (Cell::Rnn, ONE),
        _ => return Err(Error::unsupported("model_data.unit_type", format!("the unit {unit:?}"))),
    };
    let state = json
        .get("state_dict")
        .and_then(Json::entries)
        .ok_or_else(|| Error::malformed("state_dict", "not an object"))?;
    let mut named = Vec::new();
    for (name, value) in state {
        let (dims, values) = value.array().map_err(|reason| Error::malformed(format!("tensor {name}"), reason))?;
        named.push((name.clone(), Tensor::from_f32(dims, values)?));
    }
    let mut tensors = Tensors::new(named)?;
    // Sizes are taken from the tensors once these are known to agree.
    let rows = cell.gates().checked_mul(hidden).ok_or_else(|| wrong("hidden_size"))?;
    if layers > tensors.names().count() {
        return Err(wrong("num_layers"));
    }
    let mut builder = Builder::new("GuitarML");
    let input = builder.input("x", Dtype::F32, ["B".into(), "T".into(), inputs.into()]);
    let mut x = input.clone();
    for layer in 0..layers {
        let name = format!("rec_{layer}");
        let width = if layer == 0 { inputs } else { hidden };
        let has_bias = tensors.dims(&format!("rec.bias_ih_l{layer}")).is_some();
        let mut part = |part: &str, dims: &[usize]| tensors.take(&format!("rec.{part}_l{layer}"), &name, dims, part);
        let rows = Rows {
            w: part("weight_ih", &[rows, width])?,
            r: part("weight_hh", &[rows, hidden])?,
            b_in: if has_bias { Some(part("bias_ih", &[rows])?) } else { None },
            b_rec: if has_bias { Some(part("bias_hh", &[rows])?) } else { None },
            projection: None,
        };
        let kind = Recurrent { batch_first: true, ..Recurrent::new(cell, hidden, Direction::Forward) };
        (x, ..) = builder.recurrent(&name, &x, kind, weights::recurrent(&name, vec![rows], order)?, None)?;
    }
    let kernel = transposed(&tensors.take("lin.weight", "lin", &[outputs, hidden], "kernel")?)?;
    let has_bias = tensors.dims("lin.bias").is_some();
    let bias = if has_bias { Some(tensors.take("lin.bias", "lin", &[outputs], "bias")?) } else { None };
    let mut y = builder.dense("lin", &x, kernel, bias)?;
    if skip > 0 {
        if skip > inputs || (skip != outputs && skip != 1) {
            return Err(Error::malformed(
                "model_data.skip",
                format!("{skip} of {inputs} inputs cannot be added to {outputs} outputs"),
            ));
        }
        let residual = if skip == inputs {
            input.clone()
        } else {
            // The first inputs; the others are knobs.
            let bound = |builder: &mut Builder, what: &str, at: usize| {
                Ok::<_, Error>(builder.constant(what, Tensor::from_i64([1], vec![at as i64])?))
            };
            let (from, to, axis) = (
                bound(&mut builder, "skip.from", 0)?,
                bound(&mut builder, "skip.to", skip)?,
                bound(&mut builder, "skip.axis", 2)?,
            );
            builder.node(
                "skip",
                Op::Slice,
                &[&input, &from, &to, &axis],
                Dtype::F32,
                ["B".into(), "T".into(), skip.into()],
            )
        };
        y = builder.add("skip", &y, &residual)?;
    }
    tensors.report(&mut builder, "a SimpleRNN has rec and lin alone")?;
    builder.output("y", &y);
    builder.sequence(&input, Some(1), Some(0), Some("y"));
    builder.finish()
}
