//! Attributes of LSTM, GRU and RNN.

use super::converter::Converter;
use crate::error::{Error, Result};
use crate::graph::{Activation, Cell, Direction, MaskedOutput, Recurrent};

pub(super) fn layer(c: &mut Converter, op: &str) -> Result<Recurrent> {
    let cell = match op {
        "LSTM" => Cell::Lstm { input_forget: c.a.flag("input_forget", false)? },
        "GRU" => Cell::Gru { linear_before_reset: c.a.flag("linear_before_reset", false)? },
        _ => Cell::Rnn,
    };
    let direction = match c.a.text("direction")?.unwrap_or("forward") {
        "forward" => Direction::Forward,
        "reverse" => Direction::Reverse,
        "bidirectional" => Direction::Bidirectional,
        other => return Err(Error::malformed(&c.a.part, format!("direction {other:?}"))),
    };
    let most_inputs = if op == "LSTM" { 8 } else { 6 };
    if c.inputs.len() > most_inputs {
        return Err(Error::malformed(&c.a.part, format!("{} inputs", c.inputs.len())));
    }
    let known = c.inputs.get(2).and_then(|r| c.reader.known(r)).map(|r| r.dims().to_vec());
    let hidden = match (c.a.int("hidden_size")?, &known) {
        (Some(n), _) => usize::try_from(n).ok().filter(|n| (1..1 << 24).contains(n)),
        (None, Some(dims)) => dims.last().copied(),
        (None, None) => None,
    };
    let hidden = hidden.ok_or_else(|| Error::malformed(&c.a.part, "hidden_size is missing or no size"))?;
    let clip = c.a.float("clip")?.filter(|clip| *clip > 0.0);
    let batch_first = c.a.flag("layout", false)?;
    let activations = activations(c, cell, direction)?;
    let masked = MaskedOutput::Zero;
    let layer = Recurrent { cell, hidden, direction, activations, clip, batch_first, masked, rounded: false };
    check(c, &layer)?;
    Ok(layer)
}

/// Weights that are in the file have the sizes that the attributes say.
fn check(c: &Converter, layer: &Recurrent) -> Result<()> {
    let (d, h, g) = (layer.direction.count(), layer.hidden, layer.cell.gates());
    let dims = |i: usize| c.inputs.get(i).and_then(|name| c.reader.known(name)).map(|t| t.dims());
    let inputs = dims(1).and_then(|w| w.last().copied()).unwrap_or(0);
    let wants = [
        ("W", 1, vec![d, g * h, inputs]),
        ("R", 2, vec![d, g * h, h]),
        ("B", 3, vec![d, 2 * g * h]),
        ("P", 7, vec![d, 3 * h]),
    ];
    for (name, i, want) in wants {
        if let Some(got) = dims(i)
            && got != want
        {
            return Err(Error::dimensions(format!("{}: {name}", c.a.part), got, &want));
        }
    }
    Ok(())
}

fn activations(c: &mut Converter, cell: Cell, direction: Direction) -> Result<Vec<Activation>> {
    let n = cell.activations() * direction.count();
    let (alphas, betas) = (c.a.floats("activation_alpha"), c.a.floats("activation_beta"));
    let Some(names) = c.a.texts("activations")? else {
        if !alphas.unwrap_or_default().is_empty() || !betas.unwrap_or_default().is_empty() {
            return Err(Error::unsupported(&c.a.part, "activation_alpha without activations"));
        }
        return Ok(Recurrent::new(cell, 1, direction).activations);
    };
    if names.len() != n {
        return Err(Error::malformed(&c.a.part, format!("{} activations, but {n} are needed", names.len())));
    }
    // One list of numbers for all: each activation that takes one takes the next.
    let (mut alphas, mut betas) = (alphas.unwrap_or_default().iter(), betas.unwrap_or_default().iter());
    let part = c.a.part.clone();
    let mut made = Vec::with_capacity(n);
    for name in names {
        let need = |value: Option<f32>, what: &str| {
            value.ok_or_else(|| Error::malformed(&part, format!("activation {name} needs an {what}")))
        };
        made.push(match name.to_ascii_lowercase().as_str() {
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "relu" => Activation::Relu,
            "softsign" => Activation::Softsign,
            "softplus" => Activation::Softplus,
            "leakyrelu" => Activation::LeakyRelu { alpha: alphas.next().copied().unwrap_or(0.01) },
            // Without one the standard means 1, and onnxruntime computes with 0.
            "thresholdedrelu" => {
                Activation::ThresholdedRelu { alpha: need(alphas.next().copied(), "activation_alpha")? }
            }
            "elu" => Activation::Elu { alpha: alphas.next().copied().unwrap_or(1.0) },
            "hardsigmoid" => Activation::HardSigmoid {
                alpha: alphas.next().copied().unwrap_or(0.2),
                beta: betas.next().copied().unwrap_or(0.5),
            },
            "affine" => Activation::Affine {
                alpha: need(alphas.next().copied(), "activation_alpha")?,
                beta: need(betas.next().copied(), "activation_beta")?,
            },
            "scaledtanh" => Activation::ScaledTanh {
                alpha: need(alphas.next().copied(), "activation_alpha")?,
                beta: need(betas.next().copied(), "activation_beta")?,
            },
            _ => return Err(Error::unsupported(&part, format!("activation {name}"))),
        });
    }
    if alphas.next().is_some() || betas.next().is_some() {
        return Err(Error::unsupported(&part, "more activation_alpha or activation_beta than activations take"));
    }
    Ok(made)
}
