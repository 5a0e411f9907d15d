//! The layers in front of others: convolutions over images, dense layers.

use serde_json::Value as Json;

use super::Reader;
use crate::builder::Value;
use crate::error::{Error, Result};
use crate::graph::{Activation, AutoPad, Conv, Dim, Op};
use crate::tensor::Tensor;

fn sizes(of: &Json, key: &str) -> Result<Vec<usize>> {
    let list = of.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let size = |n: &Json| n.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let sizes = list.iter().map(size).collect::<Option<_>>();
    sizes.ok_or_else(|| Error::malformed(format!("network.front.{key}"), "it has an entry that is no size"))
}

impl Reader<'_> {
    /// Convolutions over images, if there are any, then dense layers, each with layer normalization and relu; their tensors' names begin with `prefix`.
    pub(super) fn front(&mut self, prefix: &str, mut x: Value) -> Result<Value> {
        let front = self.network("front").clone();
        x = self.convolutions(prefix, &front, x)?;
        let widths = front.get("dense").and_then(Json::as_array).cloned().unwrap_or_default();
        for (i, width) in widths.iter().enumerate() {
            let width = width.as_u64().and_then(|w| usize::try_from(w).ok());
            let width = width.ok_or_else(|| Error::malformed("network.front.dense", "no size"))?;
            x = self.linear(&format!("{prefix}dense{i}"), &x, width)?;
            let gain = self.tensor(&format!("{prefix}norm{i}.weight"), &[width])?;
            let bias = self.tensor(&format!("{prefix}norm{i}.bias"), &[width])?;
            let gain = self.b.constant(&format!("{prefix}norm{i}.weight"), gain);
            let bias = self.b.constant(&format!("{prefix}norm{i}.bias"), bias);
            let op = Op::LayerNormalization { axis: -1, epsilon: 1e-5 };
            x = self.b.node(&format!("{prefix}norm{i}"), op, &[&x, &gain, &bias], x.dtype(), x.dims());
            x = self.b.activation(&format!("{prefix}relu{i}"), &x, Activation::Relu);
        }
        Ok(x)
    }

    /// Convolutions 3x3 with stride 2 and a relu each, over images `[.., height * width * channels]`, channels last; to rows
    /// of that order again.
    fn convolutions(&mut self, prefix: &str, front: &Json, x: Value) -> Result<Value> {
        let channels = sizes(front, "convs")?;
        if channels.is_empty() {
            return Ok(x);
        }
        let [mut height, mut width, mut inputs] = sizes(front, "input")?[..] else {
            return Err(Error::malformed("network.front.input", "three sizes are needed"));
        };
        let axes = x.dims()[..x.dims().len() - 1].to_vec();
        let name = |what: &str| format!("{prefix}{what}");
        let ints = |values: &[usize]| Tensor::from_i64([values.len()], values.iter().map(|n| *n as i64).collect());
        // All images of all steps are one batch.
        let mut shape = ints(&[0, height, width, inputs])?;
        if let Some(values) = shape.as_i64() {
            shape = Tensor::from_i64([4], [&[-1], &values[1..]].concat())?;
        }
        let shape = self.b.constant(&name("images"), shape);
        let dims: Vec<Dim> = vec!["N".into(), height.into(), width.into(), inputs.into()];
        let reshape = Op::Reshape { allow_zero: false };
        let mut y = self.b.node(&name("images"), reshape.clone(), &[&x, &shape], x.dtype(), dims);
        y = self.b.transpose(&name("channels_first"), &y, &[0, 3, 1, 2])?;
        for (i, outputs) in channels.into_iter().enumerate() {
            let weight = self.tensor(&name(&format!("conv{i}.weight")), &[outputs, 3, 3, inputs])?.to_f32();
            let bias = self.tensor(&name(&format!("conv{i}.bias")), &[outputs])?;
            // Ours has channels last.
            let mut w = vec![0.0; weight.len()];
            for (at, value) in weight.into_iter().enumerate() {
                let (o, tap, c) = (at / (9 * inputs), at / inputs % 9, at % inputs);
                w[(o * inputs + c) * 9 + tap] = value;
            }
            let w = self.b.constant(&name(&format!("conv{i}.weight")), Tensor::from_f32([outputs, inputs, 3, 3], w)?);
            let bias = self.b.constant(&name(&format!("conv{i}.bias")), bias);
            let conv = Conv {
                strides: vec![2; 2],
                dilations: vec![1; 2],
                pads: vec![1; 4],
                groups: 1,
                auto_pad: AutoPad::NotSet,
            };
            (height, width, inputs) = (height.div_ceil(2), width.div_ceil(2), outputs);
            let dims: Vec<Dim> = vec!["N".into(), outputs.into(), height.into(), width.into()];
            y = self.b.node(&name(&format!("conv{i}")), Op::Conv(conv), &[&y, &w, &bias], x.dtype(), dims);
            y = self.b.activation(&name(&format!("relu{i}")), &y, Activation::Relu);
        }
        y = self.b.transpose(&name("channels_last"), &y, &[0, 2, 3, 1])?;
        let flat = height * width * inputs;
        // The axes of the images are those of the rows again.
        let ends = [0, axes.len() as i64];
        let ends = Op::Shape { start: ends[0], end: Some(ends[1]) };
        let ends = self.b.node(&name("rows"), ends, &[&x], crate::tensor::Dtype::I64, vec![Dim::Fixed(axes.len())]);
        let last = self.b.constant(&name("width"), ints(&[flat])?);
        let shape = self.b.concat(&name("shape"), &[&ends, &last], 0)?;
        let dims = [axes, vec![Dim::Fixed(flat)]].concat();
        Ok(self.b.node(&name("features"), reshape, &[&y, &shape], x.dtype(), dims))
    }
}
