//! Layers that several formats share and that are several nodes of a graph. All see `[.., features]`, or `[B, T, features]`.

use crate::builder::{Builder, Value};
use crate::error::{Error, Result};
use crate::graph::{Activation, AutoPad, Binary, Conv, Op, Unary};
use crate::tensor::Tensor;

/// `x * scale + shift` over the last axis; both `[features]`.
///
/// # Errors
/// If the widths differ.
pub(crate) fn affine(builder: &mut Builder, name: &str, x: &Value, scale: Vec<f32>, shift: Vec<f32>) -> Result<Value> {
    if x.width()? != scale.len() || scale.len() != shift.len() {
        return Err(Error::dimensions(name, &[scale.len()], &[x.width()?]));
    }
    let scale = builder.constant(&format!("{name}.scale"), Tensor::from_f32([scale.len()], scale)?);
    let shift = builder.constant(&format!("{name}.shift"), Tensor::from_f32([shift.len()], shift)?);
    let scaled = builder.binary(name, x, &scale, Binary::Mul)?;
    builder.add(name, &scaled, &shift)
}

/// Batch normalization after training: one factor and one summand per feature. Statistics `[features]`; without `gamma` and
/// `beta` these are 1 and 0.
///
/// # Errors
/// If the widths differ.
pub(crate) fn batch_norm(
    builder: &mut Builder,
    name: &str,
    x: &Value,
    [gamma, beta, mean, variance]: [Option<&Tensor>; 4],
    epsilon: f64,
) -> Result<Value> {
    let width = x.width()?;
    let values = |tensor: Option<&Tensor>, otherwise: f32| match tensor {
        Some(tensor) if tensor.dims() == [width] => Ok(tensor.to_f32()),
        Some(tensor) => Err(Error::dimensions(name, tensor.dims(), &[width])),
        None => Ok(vec![otherwise; width]),
    };
    let (gamma, beta, mean, variance) =
        (values(gamma, 1.0)?, values(beta, 0.0)?, values(mean, 0.0)?, values(variance, 1.0)?);
    let scale: Vec<f64> = (0..width).map(|i| f64::from(gamma[i]) / (f64::from(variance[i]) + epsilon).sqrt()).collect();
    let shift = (0..width).map(|i| (f64::from(beta[i]) - f64::from(mean[i]) * scale[i]) as f32).collect();
    if scale.iter().any(|scale| !scale.is_finite()) {
        return Err(Error::malformed(name, "a variance below 0"));
    }
    affine(builder, name, x, scale.iter().map(|&scale| scale as f32).collect(), shift)
}

/// How a convolution over time is applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvTime {
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) groups: usize,
    pub(crate) pads: TimePads,
}

/// What stands before and after the sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TimePads {
    /// Zeros.
    Zeros { before: usize, after: usize },
    /// As many zeros as give `ceil(T / stride)` outputs.
    Same,
}

/// A convolution over time: `x` `[B, T, I]` to `[B, T', O]`, `w` `[O, I / groups, K]`.
///
/// # Errors
/// If the widths do not match, or a stride or dilation is 0.
pub(crate) fn conv_time(
    builder: &mut Builder,
    name: &str,
    x: &Value,
    w: Tensor,
    bias: Option<Tensor>,
    how: ConvTime,
) -> Result<Value> {
    if how.stride == 0 || how.dilation == 0 {
        return Err(Error::malformed(name, "a stride or dilation of 0"));
    }
    let (pads, auto_pad) = match how.pads {
        TimePads::Zeros { before, after } => (vec![before, after], AutoPad::NotSet),
        TimePads::Same => (Vec::new(), AutoPad::SameUpper),
    };
    let conv = Conv { strides: vec![how.stride], dilations: vec![how.dilation], pads, groups: how.groups, auto_pad };
    let channels_first = builder.transpose(name, x, &[0, 2, 1])?;
    let y = builder.conv(name, &channels_first, w, bias, conv)?;
    builder.transpose(name, &y, &[0, 2, 1])
}

/// `x`, below 0 `slope x`; `slope` of one number or `[features]`.
///
/// # Errors
/// If the widths differ.
pub(crate) fn prelu(builder: &mut Builder, name: &str, x: &Value, slope: Tensor) -> Result<Value> {
    let slope = slope.reshaped([slope.len()])?;
    if slope.len() != 1 && slope.len() != x.width()? {
        return Err(Error::dimensions(name, slope.dims(), &[x.width()?]));
    }
    let slope = builder.constant(&format!("{name}.slope"), slope);
    builder.binary(name, x, &slope, Binary::PRelu)
}

/// A function by name, softmax included; nothing for the identity.
///
/// # Errors
/// A name that is not known.
pub(crate) fn activate(builder: &mut Builder, layer: &str, x: &Value, name: &str) -> Result<Value> {
    match name {
        "softmax" => Ok(builder.softmax(layer, x)),
        "log_softmax" => Ok(builder.node(layer, Op::LogSoftmax { axis: -1 }, &[x], x.dtype(), x.dims())),
        "abs" => Ok(builder.unary(layer, x, Unary::Abs)),
        "relu6" => {
            // relu6(x) = 6 hard_sigmoid(x) with slope 1/6 and no offset.
            let y = builder.activation(layer, x, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.0 });
            builder.gain(layer, &y, 6.0)
        }
        _ => match super::weights::activation(name) {
            Some(None) => Ok(x.clone()),
            Some(Some(activation)) => Ok(builder.activation(layer, x, activation)),
            None => Err(Error::unsupported(format!("layer {layer}"), format!("the activation {name:?}"))),
        },
    }
}

/// Layer normalization over the last axis; `scale` and `shift` `[features]`.
///
/// # Errors
/// If the widths differ.
pub(crate) fn layer_norm(
    builder: &mut Builder,
    name: &str,
    x: &Value,
    scale: Tensor,
    shift: Tensor,
    epsilon: f32,
) -> Result<Value> {
    for tensor in [&scale, &shift] {
        if tensor.dims() != [x.width()?] {
            return Err(Error::dimensions(name, tensor.dims(), &[x.width()?]));
        }
    }
    let scale = builder.constant(&format!("{name}.scale"), scale);
    let shift = builder.constant(&format!("{name}.shift"), shift);
    let op = Op::LayerNormalization { axis: -1, epsilon };
    Ok(builder.node(name, op, &[x, &scale, &shift], x.dtype(), x.dims()))
}
