//! Layers of a map without state, each by its kind.

use crate::builder::Value;
use crate::error::Result;
use crate::graph::{Activation, Binary, Op, Reduce};
use crate::read::layers::{self, ConvTime, TimePads};
use crate::read::tensors::{permuted, transposed};
use crate::tensor::{Dtype, Tensor};

use super::fields::Fields;
use super::network::Network;

/// All kinds, for messages.
const KINDS: &str = "embedding, dense, lstm, gru, rnn, conv1d, batchnorm, layernorm, prelu, activation, concat, add, multiply, \
                     gain, slice, pool, attention, l2norm, magnitude, frames, pad, flatten";

impl<'a> Network<'a> {
    /// Builds a layer.
    ///
    /// # Errors
    /// A kind that is not known; whatever its keys lack.
    pub(super) fn layer(&mut self, name: &'a str, kind: &str, fields: &Fields<'a>) -> Result<Value> {
        match kind {
            "embedding" => {
                let x = self.read_by(name, fields)?;
                let table = self.tensors.any(fields.needed("weight")?, name, "embedding")?;
                self.builder.embedding(name, &x, table)
            }
            "dense" => self.dense(name, fields),
            "lstm" | "gru" | "rnn" => self.recurrent(name, kind, fields),
            "conv1d" => self.conv(name, fields),
            "batchnorm" => {
                let x = self.read_by(name, fields)?;
                let mut tensors = Vec::new();
                for key in ["weight", "bias", "mean", "variance"] {
                    tensors.push(
                        fields
                            .text(key)?
                            .map(|of| self.tensors.any(of, name, "folded into a factor and a summand"))
                            .transpose()?,
                    );
                }
                let epsilon = fields.number("epsilon")?.ok_or_else(|| fields.wrong("epsilon is missing"))?;
                let [gamma, beta, mean, variance] = tensors.as_slice() else { return Err(fields.wrong("its tensors")) };
                let norm = [gamma.as_ref(), beta.as_ref(), mean.as_ref(), variance.as_ref()];
                let y = layers::batch_norm(&mut self.builder, name, &x, norm, epsilon)?;
                self.activated(name, &y, fields)
            }
            "layernorm" => {
                let x = self.read_by(name, fields)?;
                let width = x.width()?;
                let mut part = |key: &str, otherwise: f32| match fields.text(key)? {
                    Some(of) => self.tensors.take(of, name, &[width], key),
                    None => Tensor::from_f32([width], vec![otherwise; width]),
                };
                let (scale, shift) = (part("weight", 1.0)?, part("bias", 0.0)?);
                let epsilon = fields.number("epsilon")?.ok_or_else(|| fields.wrong("epsilon is missing"))?;
                layers::layer_norm(&mut self.builder, name, &x, scale, shift, epsilon as f32)
            }
            "prelu" => {
                let x = self.read_by(name, fields)?;
                let slope = self.tensors.any(fields.needed("weight")?, name, "slope")?;
                layers::prelu(&mut self.builder, name, &x, slope)
            }
            "activation" => {
                let x = self.read_by(name, fields)?;
                self.function(name, &x, fields.needed("function")?, fields)
            }
            "concat" => self.read_by(name, fields),
            "add" | "multiply" => {
                let names = fields.texts("input")?.unwrap_or_default();
                let [first, rest @ ..] = names.as_slice() else { return Err(fields.wrong("input is missing")) };
                let binary = if kind == "add" { Binary::Add } else { Binary::Mul };
                let mut sum = self.value(first, fields)?;
                for other in rest {
                    let other = self.value(other, fields)?;
                    sum = self.builder.binary(name, &sum, &other, binary)?;
                }
                self.activated(name, &sum, fields)
            }
            "gain" => {
                let x = self.read_by(name, fields)?;
                let factor = fields.number("factor")?.ok_or_else(|| fields.wrong("factor is missing"))?;
                self.builder.gain(name, &x, factor as f32)
            }
            "slice" => {
                let x = self.read_by(name, fields)?;
                let (Some(from), Some(to)) = (fields.size("from")?, fields.size("to")?) else {
                    return Err(fields.wrong("from and to are needed"));
                };
                if from >= to || to > x.width()? {
                    return Err(fields.wrong(format!("{from} to {to} of {} features", x.width()?)));
                }
                self.features(name, &x, from, to)
            }
            "pool" => self.pool(name, fields),
            "attention" => self.attention(name, fields),
            "l2norm" => {
                let x = self.read_by(name, fields)?;
                let axes = self.builder.constant(&format!("{name}.axes"), Tensor::from_i64([1], vec![-1])?);
                let mut dims = x.dims().to_vec();
                if let Some(last) = dims.last_mut() {
                    *last = 1.into();
                }
                let op = Op::Reduce { reduce: Reduce::L2, keepdims: true, noop_with_empty_axes: false };
                let norm = self.builder.node(name, op, &[&x, &axes], x.dtype(), dims);
                self.builder.binary(name, &x, &norm, Binary::Div)
            }
            "frames" | "pad" | "magnitude" | "flatten" => self.frames(name, kind, fields),
            _ => Err(fields.wrong(format!("the kind {kind:?} is not known; known are {KINDS}"))),
        }
    }

    /// A function by its name; hard sigmoid has one for each definition.
    pub(super) fn function(&mut self, name: &str, x: &Value, function: &str, fields: &Fields<'_>) -> Result<Value> {
        match function {
            "hard_sigmoid" => {
                Err(fields.wrong("hard_sigmoid has two definitions: hard_sigmoid_keras_2 or hard_sigmoid_keras_3"))
            }
            "hard_sigmoid_keras_2" => {
                Ok(self.builder.activation(name, x, Activation::HardSigmoid { alpha: 0.2, beta: 0.5 }))
            }
            "hard_sigmoid_keras_3" => {
                Ok(self.builder.activation(name, x, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }))
            }
            _ => layers::activate(&mut self.builder, name, x, function),
        }
    }

    /// The function under the key `activation`, if there is one.
    pub(super) fn activated(&mut self, name: &str, x: &Value, fields: &Fields<'_>) -> Result<Value> {
        match fields.text("activation")? {
            Some(function) => self.function(name, x, function, fields),
            None => Ok(x.clone()),
        }
    }

    /// The layout of a layer: its own, or that of the map.
    pub(super) fn layout_of(&self, fields: &Fields<'a>) -> Result<&'a str> {
        Ok(fields.word("layout", &["torch", "keras", "tensorflow"])?.unwrap_or(self.layout))
    }

    fn dense(&mut self, name: &str, fields: &Fields<'a>) -> Result<Value> {
        let x = self.read_by(name, fields)?;
        let kernel = self.tensors.any(fields.needed("weight")?, name, "kernel")?;
        let kernel = if self.layout_of(fields)? == "torch" { transposed(&kernel)? } else { kernel };
        let bias = fields.text("bias")?.map(|of| self.tensors.any(of, name, "bias")).transpose()?;
        let y = self.builder.dense(name, &x, kernel, bias)?;
        self.activated(name, &y, fields)
    }

    fn conv(&mut self, name: &str, fields: &Fields<'a>) -> Result<Value> {
        let x = self.read_by(name, fields)?;
        let kernel = self.tensors.any(fields.needed("weight")?, name, "kernel")?;
        if kernel.dims().len() != 3 {
            return Err(fields.wrong(format!("the kernel {:?} has not three axes", kernel.dims())));
        }
        // [K, I, O] to [O, I, K].
        let kernel = if self.layout_of(fields)? == "torch" { kernel } else { permuted(&kernel, &[2, 1, 0])? };
        let bias = fields.text("bias")?.map(|of| self.tensors.any(of, name, "bias")).transpose()?;
        let size = |key: &str| fields.size(key).map(|size| size.unwrap_or(1));
        let (stride, dilation, groups) = (size("stride")?, size("dilation")?, size("groups")?);
        let most = 1 << 24;
        let length = kernel.dims()[2];
        let pads = match (fields.sizes("pad")?.as_deref(), fields.word("padding", &["same", "causal", "valid"])?) {
            (Some(&[before, after]), None) if before < most && after < most => TimePads::Zeros { before, after },
            (None, Some("same")) => TimePads::Same,
            (None, Some("causal")) => {
                let before = length.saturating_sub(1).checked_mul(dilation).filter(|before| *before < most);
                TimePads::Zeros { before: before.ok_or_else(|| fields.wrong("this dilation"))?, after: 0 }
            }
            (None, Some(_)) => TimePads::Zeros { before: 0, after: 0 },
            _ => {
                return Err(
                    fields.wrong("pad = [before, after] or padding = \"same\", \"causal\" or \"valid\" is needed")
                );
            }
        };
        let how = ConvTime { stride, dilation, groups, pads };
        let y = if x.dims().len() == 4 {
            self.conv_in_frame(name, &x, kernel, bias, how, fields)?
        } else {
            layers::conv_time(&mut self.builder, name, &x, kernel, bias, how)?
        };
        self.activated(name, &y, fields)
    }

    fn features(&mut self, name: &str, x: &Value, from: usize, to: usize) -> Result<Value> {
        let axis = x.dims().len() as i64 - 1;
        let mut dims = x.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = (to - from).into();
        }
        let mut bounds = Vec::new();
        for (what, at) in [("from", from as i64), ("to", to as i64), ("axis", axis)] {
            bounds.push(self.builder.constant(&format!("{name}.{what}"), Tensor::from_i64([1], vec![at])?));
        }
        let mut inputs = vec![x];
        inputs.extend(&bounds);
        Ok(self.builder.node(name, Op::Slice, &inputs, x.dtype(), dims))
    }

    fn pool(&mut self, name: &str, fields: &Fields<'_>) -> Result<Value> {
        let x = self.read_by(name, fields)?;
        if x.dims().len() != 3 {
            return Err(fields.wrong("there is no time left to pool over"));
        }
        let time = self.time as i64;
        match fields.word("over", &["last", "first", "mean", "max"])? {
            Some("last") => self.builder.take(name, &x, time, -1),
            Some("first") => self.builder.take(name, &x, time, 0),
            Some("mean") => self.builder.reduce(name, &x, Reduce::Mean, time),
            Some("max") => self.builder.reduce(name, &x, Reduce::Max, time),
            _ => Err(fields.wrong("over is missing: last, first, mean or max")),
        }
    }

    /// A weighted mean over time, the weights a softmax of `x w`: `weight` `[features, 1]`.
    fn attention(&mut self, name: &str, fields: &Fields<'_>) -> Result<Value> {
        let x = self.read_by(name, fields)?;
        let weight = self.tensors.any(fields.needed("weight")?, name, "attention")?;
        let weight = weight.reshaped([x.width()?, 1])?;
        if x.dims().len() != 3 {
            return Err(fields.wrong("there is no time to weigh"));
        }
        let scores = self.builder.dense(name, &x, weight, None)?;
        let op = Op::Softmax { axis: self.time as i64 };
        let shares = self.builder.node(name, op, &[&scores], Dtype::F32, scores.dims());
        let weighed = self.builder.binary(name, &x, &shares, Binary::Mul)?;
        self.builder.reduce(name, &weighed, Reduce::Sum, self.time as i64)
    }
}
