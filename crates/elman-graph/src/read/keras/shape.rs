//! Keras layers along time: convolutions, pooling, and changes of shape.

use crate::error::{Error, Result};
use crate::graph::{AutoPad, Binary, Conv, Dim, Op, Pool, PoolKind, Reduce};
use crate::read::layers::{self, ConvTime, TimePads};
use crate::read::tensors::permuted;
use crate::tensor::{Dtype, Tensor};

use super::flow::Flow;
use super::layer::Model;
use super::weights::Config;

impl Model<'_> {
    pub(super) fn conv(&mut self, config: Config<'_>, datasets: &[String], x: &Flow) -> Result<Flow> {
        let (layer, filters) = (config.layer, config.size(&["filters", "nb_filter"])?);
        let length = config.size(&["kernel_size", "filter_length"])?;
        let stride = config.size_or(&["strides", "subsample_length", "subsample"], 1)?;
        let dilation = config.size_or(&["dilation_rate"], 1)?;
        let groups = config.size_or(&["groups"], 1)?;
        if config.text(&["data_format"], "channels_last")? != "channels_last" {
            return Err(config.unsupported("channels_first"));
        }
        if x.rank() != 3 {
            return Err(config.unsupported("a convolution of what is not a sequence"));
        }
        let width = x.value.width()?;
        if groups == 0 || width % groups != 0 {
            return Err(Error::malformed(format!("layer {layer}"), format!("{groups} groups of {width} features")));
        }
        let (kernel, bias) = match datasets {
            [kernel] if !config.flag(&["use_bias", "bias"], true)? => (kernel, None),
            [kernel, bias] => (kernel, Some(self.weights.take(bias, layer, &[filters], "bias")?)),
            _ => {
                return Err(Error::malformed(
                    format!("layer {layer}"),
                    format!("{} weights in the file", datasets.len()),
                ));
            }
        };
        // Keras 1 has an axis more.
        let dims = if self.weights.dims(kernel).is_some_and(|dims| dims.len() == 4) {
            vec![length, 1, width / groups, filters]
        } else {
            vec![length, width / groups, filters]
        };
        let kernel = self.weights.take(kernel, layer, &dims, "kernel, axes reordered")?;
        let kernel = permuted(&kernel.reshaped([length, width / groups, filters])?, &[2, 1, 0])?;
        let padding = config.text(&["padding", "border_mode"], "valid")?;
        let pads = match padding {
            "valid" => TimePads::Zeros { before: 0, after: 0 },
            "same" => TimePads::Same,
            "causal" => {
                let before = (length - 1).checked_mul(dilation).filter(|before| *before < 1 << 24);
                TimePads::Zeros { before: before.ok_or_else(|| config.unsupported("this dilation"))?, after: 0 }
            }
            _ => return Err(config.unsupported(format!("the padding {padding:?}"))),
        };
        let y = layers::conv_time(
            &mut self.builder,
            layer,
            &x.value,
            kernel,
            bias,
            ConvTime { stride, dilation, groups, pads },
        )?;
        let y = self.activated(config, &y)?;
        let same_length = stride == 1 && (padding != "valid" || length == 1);
        Ok(Flow::new(y, x.per_step && same_length))
    }

    pub(super) fn global_pool(&mut self, class: &str, config: Config<'_>, x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        if x.rank() != 3 {
            return Err(config.unsupported("pooling of what is not a sequence"));
        }
        if config.flag(&["keepdims"], false)? || config.text(&["data_format"], "channels_last")? != "channels_last" {
            return Err(config.unsupported("keepdims or channels_first"));
        }
        let y = if class == "GlobalMaxPooling1D" {
            // Keras does not heed masks here.
            self.builder.reduce(layer, &x.value, Reduce::Max, 1)?
        } else if let Some(mask) = x.mask_for(layer)?.cloned() {
            let axes = self.builder.constant(&format!("{layer}.axes"), Tensor::from_i64([1], vec![2])?);
            let count = self.builder.node(layer, Op::Cast { to: Dtype::F32 }, &[&mask], Dtype::F32, mask.dims());
            let dims = [mask.dims(), &[1.into()]].concat();
            let factor = self.builder.node(layer, Op::Unsqueeze, &[&count, &axes], Dtype::F32, dims);
            let kept = self.builder.binary(layer, &x.value, &factor, Binary::Mul)?;
            let (sum, count) = (
                self.builder.reduce(layer, &kept, Reduce::Sum, 1)?,
                self.builder.reduce(layer, &factor, Reduce::Sum, 1)?,
            );
            self.builder.binary(layer, &sum, &count, Binary::Div)?
        } else {
            self.builder.reduce(layer, &x.value, Reduce::Mean, 1)?
        };
        Ok(Flow::new(y, false))
    }

    pub(super) fn pool(&mut self, class: &str, config: Config<'_>, x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        if x.rank() != 3 || config.text(&["data_format"], "channels_last")? != "channels_last" {
            return Err(config.unsupported("pooling of what is not a sequence with features last"));
        }
        let size = config.size(&["pool_size", "pool_length"])?;
        let stride = config.size_or(&["strides", "stride"], size)?;
        let auto_pad = match config.text(&["padding", "border_mode"], "valid")? {
            "valid" => AutoPad::Valid,
            "same" => AutoPad::SameUpper,
            other => return Err(config.unsupported(format!("the padding {other:?}"))),
        };
        let kind = if class == "MaxPooling1D" { PoolKind::Max } else { PoolKind::Average };
        let window = Conv { strides: vec![stride], groups: 1, auto_pad, ..Conv::default() };
        let pool = Pool { kind, kernel: vec![size], window, ceil: false, count_include_pad: false };
        let channels_first = self.builder.transpose(layer, &x.value, &[0, 2, 1])?;
        let [batch, width] = [channels_first.dims()[0].clone(), channels_first.dims()[1].clone()];
        let y = self.builder.node(
            layer,
            Op::Pool(pool),
            &[&channels_first],
            x.value.dtype(),
            [batch, width, Dim::Named(String::new())],
        );
        let y = self.builder.transpose(layer, &y, &[0, 2, 1])?;
        Ok(Flow::new(y, x.per_step && size == 1 && stride == 1))
    }

    pub(super) fn reshape(&mut self, config: Config<'_>, x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        let sizes = config.get(&["target_shape", "dims"]).and_then(|shape| shape.list()).unwrap_or_default();
        let sizes =
            sizes.iter().map(|size| size.number().filter(|size| size.fract() == 0.0)).collect::<Option<Vec<_>>>();
        let sizes =
            sizes.filter(|sizes| !sizes.is_empty()).ok_or_else(|| config.unsupported("a Reshape without a shape"))?;
        if sizes.iter().any(|size| *size == 0.0 || *size < -1.0 || *size > 1e9)
            || sizes.iter().filter(|size| **size == -1.0).count() > 1
        {
            return Err(Error::malformed(format!("layer {layer}"), "a shape that is none"));
        }
        let total = x.value.dims()[1..].iter().map(Dim::fixed).try_fold(1usize, |n, d| n.checked_mul(d?));
        let known = sizes.iter().filter(|size| **size > 0.0).try_fold(1usize, |n, size| n.checked_mul(*size as usize));
        let known = known.ok_or_else(|| Error::malformed(format!("layer {layer}"), "a shape that is too large"))?;
        let dim = |size: &f64| match total {
            _ if *size > 0.0 => Dim::Fixed(*size as usize),
            Some(total) => Dim::Fixed(total / known),
            None => Dim::Named(String::new()),
        };
        let dims: Vec<Dim> = [vec![x.value.dims()[0].clone()], sizes.iter().map(dim).collect()].concat();
        let shape: Vec<i64> = [vec![0], sizes.iter().map(|size| *size as i64).collect()].concat();
        let shape = self.builder.constant(&format!("{layer}.shape"), Tensor::from_i64([shape.len()], shape)?);
        let y = self.builder.node(layer, Op::Reshape { allow_zero: false }, &[&x.value, &shape], x.value.dtype(), dims);
        Ok(Flow::new(y, false))
    }

    pub(super) fn flatten(&mut self, config: Config<'_>, x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        let sizes = x.value.dims()[1..].iter().map(Dim::fixed).collect::<Option<Vec<_>>>();
        let width = sizes.and_then(|sizes| sizes.iter().try_fold(1usize, |n, d| n.checked_mul(*d)));
        let width = width.ok_or_else(|| config.unsupported("Flatten of a sequence of any length"))?;
        let shape = self.builder.constant(&format!("{layer}.shape"), Tensor::from_i64([2], vec![0, -1])?);
        let dims = [x.value.dims()[0].clone(), width.into()];
        let y = self.builder.node(layer, Op::Reshape { allow_zero: false }, &[&x.value, &shape], x.value.dtype(), dims);
        Ok(Flow::new(y, false))
    }

    pub(super) fn repeat_vector(&mut self, config: Config<'_>, x: &Flow) -> Result<Flow> {
        let layer = config.layer;
        let n = config.size(&["n"])?;
        if x.rank() != 2 {
            return Err(config.unsupported("RepeatVector of what is not a vector"));
        }
        let axes = self.builder.constant(&format!("{layer}.axes"), Tensor::from_i64([1], vec![1])?);
        let [batch, width] = [x.value.dims()[0].clone(), x.value.dims()[1].clone()];
        let dims = [batch.clone(), 1.into(), width.clone()];
        let one = self.builder.node(layer, Op::Unsqueeze, &[&x.value, &axes], x.value.dtype(), dims);
        let n_i64 = i64::try_from(n).map_err(|_| config.unsupported("this many repetitions"))?;
        let repeats = self.builder.constant(&format!("{layer}.repeats"), Tensor::from_i64([3], vec![1, n_i64, 1])?);
        let y = self.builder.node(layer, Op::Tile, &[&one, &repeats], x.value.dtype(), [batch, n.into(), width]);
        Ok(Flow::new(y, false))
    }
}
