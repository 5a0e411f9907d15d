//! Layers within one step, where a step is a frame of samples: convolutions that look across the frame and not across steps.
//!
//! The frames `[B, T, F]` become `[B, channels, T, F]`, so that a convolution of height 1 leaves steps apart and any number of
//! them is computed at once.

use crate::builder::Value;
use crate::error::Result;
use crate::graph::{Binary, Conv, Dim, Op, PadMode, Unary};
use crate::read::layers::{ConvTime, TimePads};
use crate::tensor::Tensor;

use super::fields::Fields;
use super::network::Network;

impl Network<'_> {
    pub(super) fn frames(&mut self, name: &str, kind: &str, fields: &Fields<'_>) -> Result<Value> {
        let x = self.read_by(name, fields)?;
        let rank = if kind == "frames" { 3 } else { 4 };
        if x.dims().len() != rank || self.batch != 0 {
            return Err(fields.wrong(format!(
                "{kind} reads {}, and axes batch-time",
                if rank == 3 { "a sequence" } else { "frames" }
            )));
        }
        match kind {
            "frames" => {
                let axes = self.builder.constant(&format!("{name}.axes"), Tensor::from_i64([1], vec![1])?);
                let dims = [&x.dims()[..1], &[1.into()], &x.dims()[1..]].concat();
                Ok(self.builder.node(name, Op::Unsqueeze, &[&x, &axes], x.dtype(), dims))
            }
            "pad" => {
                let pads = fields.sizes("pad")?;
                let Some(&[before, after]) = pads.as_deref() else {
                    return Err(fields.wrong("pad = [before, after] is needed"));
                };
                let mode = match fields.word("mode", &["zeros", "reflect", "edge"])? {
                    Some("zeros") => PadMode::Constant,
                    Some("reflect") => PadMode::Reflect,
                    Some("edge") => PadMode::Edge,
                    _ => return Err(fields.wrong("mode is missing: zeros, reflect or edge")),
                };
                let width = x.width()?;
                if before >= width || after >= width {
                    return Err(fields.wrong(format!("{before} and {after} are not below the width {width}")));
                }
                let pads = self.builder.constant(
                    &format!("{name}.pads"),
                    Tensor::from_i64([8], vec![0, 0, 0, before as i64, 0, 0, 0, after as i64])?,
                );
                let dims = with_width(&x, width + before + after);
                Ok(self.builder.node(name, Op::Pad { mode }, &[&x, &pads], x.dtype(), dims))
            }
            "magnitude" => {
                // Real parts in the first half of the channels, imaginary ones in the second.
                let channels = x.dims()[1].fixed().filter(|channels| channels % 2 == 0);
                let half = channels.ok_or_else(|| fields.wrong("an odd number of channels"))? / 2;
                let square = self.builder.binary(name, &x, &x, Binary::Mul)?;
                let mut parts = Vec::new();
                for from in [0, half] {
                    let mut inputs = vec![square.clone()];
                    for (what, at) in [("from", from), ("to", from + half), ("axis", 1)] {
                        inputs.push(
                            self.builder.constant(&format!("{name}.{what}"), Tensor::from_i64([1], vec![at as i64])?),
                        );
                    }
                    let mut dims = x.dims().to_vec();
                    dims[1] = half.into();
                    parts.push(self.builder.node(name, Op::Slice, &inputs.iter().collect::<Vec<_>>(), x.dtype(), dims));
                }
                let sum = self.builder.add(name, &parts[0], &parts[1])?;
                Ok(self.builder.unary(name, &sum, Unary::Sqrt))
            }
            _ => {
                // [B, C, T, F] to [B, T, C * F].
                let (channels, width) = (x.dims()[1].fixed(), x.dims()[3].fixed());
                let features = channels.zip(width).and_then(|(channels, width)| channels.checked_mul(width));
                let features = features.ok_or_else(|| fields.wrong("frames of unknown width"))?;
                let steps = self.builder.transpose(name, &x, &[0, 2, 1, 3])?;
                let shape = self
                    .builder
                    .constant(&format!("{name}.shape"), Tensor::from_i64([3], vec![0, 0, features as i64])?);
                let dims = [steps.dims()[0].clone(), steps.dims()[1].clone(), features.into()];
                Ok(self.builder.node(name, Op::Reshape { allow_zero: false }, &[&steps, &shape], x.dtype(), dims))
            }
        }
    }

    /// A convolution across frames: `x` `[B, I, T, F]`, `w` `[O, I / groups, K]`.
    pub(super) fn conv_in_frame(
        &mut self,
        name: &str,
        x: &Value,
        w: Tensor,
        bias: Option<Tensor>,
        how: ConvTime,
        fields: &Fields<'_>,
    ) -> Result<Value> {
        let TimePads::Zeros { before, after } = how.pads else {
            return Err(fields.wrong("within frames pad = [before, after] is needed"));
        };
        let &[outputs, inputs, length] = w.dims() else { return Err(fields.wrong("a kernel of three axes is needed")) };
        let conv = Conv {
            strides: vec![1, how.stride],
            dilations: vec![1, how.dilation],
            pads: vec![0, before, 0, after],
            groups: how.groups,
            ..Conv::default()
        };
        let reach = length.checked_sub(1).and_then(|n| n.checked_mul(how.dilation)).and_then(|n| n.checked_add(1));
        let width = reach.and_then(|reach| (x.width().ok()? + before + after).checked_sub(reach));
        let width = width.and_then(|width| width.checked_div(how.stride));
        let width = width.ok_or_else(|| fields.wrong("its kernel is longer than the frame, or its stride is 0"))? + 1;
        let y = self.builder.conv(name, x, w.reshaped([outputs, inputs, 1, length])?, bias, conv)?;
        // The builder does not follow sizes through a convolution, and here they are known.
        let dims = vec![x.dims()[0].clone(), outputs.into(), x.dims()[2].clone(), width.into()];
        Ok(self.builder.node(name, Op::Identity, &[&y], x.dtype(), dims))
    }
}

fn with_width(x: &Value, width: usize) -> Vec<Dim> {
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = width.into();
    }
    dims
}
