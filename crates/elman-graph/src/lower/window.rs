//! Convolutions and pooling: over time with the frames of earlier steps, over other axes within a step.

use elman_step::machine::{Activation, Reduction, Value};

use super::flow::{Flow, Lowered, When, count};
use super::lowerer::{Lowerer, refused};
use super::node::Call;
use super::record::Carrier;
use crate::error::Result;
use crate::graph::{AutoPad, Conv, Pool, PoolKind};

/// Windows of a convolution along the axes after the second.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    before: Vec<usize>,
    after: Vec<usize>,
}

impl Window {
    fn new(call: &Call, conv: &Conv, kernel: &[usize], extents: &[usize], time: Option<usize>) -> Result<Window> {
        let n = kernel.len();
        let or = |list: &[usize], what: usize| if list.is_empty() { vec![what; n] } else { list.to_vec() };
        let (strides, dilations) = (or(&conv.strides, 1), or(&conv.dilations, 1));
        let mut pads = if conv.pads.is_empty() { vec![0; 2 * n] } else { conv.pads.clone() };
        let wrong = strides.len() != n || dilations.len() != n || pads.len() != 2 * n || extents.len() != n;
        if wrong || strides.contains(&0) || dilations.contains(&0) || kernel.contains(&0) {
            return call.refuse("its kernel, strides and pads do not fit its input");
        }
        if matches!(conv.auto_pad, AutoPad::SameUpper | AutoPad::SameLower) {
            for i in 0..n {
                if time == Some(i) {
                    if kernel[i] > 1 {
                        return call.refuse("it reads later steps: its padding is \"same\", not causal");
                    }
                    continue;
                }
                let outputs = extents[i].div_ceil(strides[i]);
                let reach = (kernel[i] - 1).saturating_mul(dilations[i]) + 1;
                let pad = ((outputs.max(1) - 1) * strides[i] + reach).saturating_sub(extents[i]);
                let less = pad / 2;
                let (before, after) =
                    if conv.auto_pad == AutoPad::SameUpper { (less, pad - less) } else { (pad - less, less) };
                (pads[i], pads[i + n]) = (before, after);
            }
        }
        let (before, after) = (pads[..n].to_vec(), pads[n..].to_vec());
        Ok(Window { kernel: kernel.to_vec(), strides, dilations, before, after })
    }

    /// Outputs along an axis of `extent` values.
    fn outputs(&self, axis: usize, extent: usize) -> Option<usize> {
        let reach = (self.kernel[axis] - 1).checked_mul(self.dilations[axis])?.checked_add(1)?;
        let padded = extent.checked_add(self.before[axis])?.checked_add(self.after[axis])?;
        Some(padded.checked_sub(reach)? / self.strides[axis] + 1)
    }
}

/// Every index of some dimensions, the last fastest.
fn indices(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let dims = dims.to_vec();
    (0..count(&dims)).map(move |mut i| {
        let mut index = vec![0; dims.len()];
        for axis in (0..dims.len()).rev() {
            index[axis] = i % dims[axis];
            i /= dims[axis];
        }
        index
    })
}

/// Frames that a step's windows read, and the windows' places in them.
struct Unrolled {
    /// `[outputs, channels * kernel]` for each group, one group after another.
    windows: Vec<Value>,
    /// Outputs along each axis; 1 along time.
    outputs: Vec<usize>,
}

impl Lowerer<'_> {
    pub(super) fn conv(&mut self, call: &Call, conv: &Conv) -> Result<Flow> {
        let x = self.operand(call, 0)?;
        let part = call.part();
        let weight = call.needs_known(1)?;
        let (&[units, channels, ref kernel @ ..], groups) = (weight.dims(), conv.groups.max(1)) else {
            return call.refuse("its kernel has fewer than two axes");
        };
        let (kernel, all) = (kernel.to_vec(), weight.to_f32());
        if x.dims.len() != kernel.len() + 2
            || channels.checked_mul(groups) != x.dims.get(1).copied()
            || units % groups != 0
        {
            return call.refuse("its kernel does not fit its input");
        }
        let bias = match call.known(2)? {
            Some(bias) if bias.len() == units => bias.to_f32(),
            Some(_) => return call.refuse("its bias does not fit its kernel"),
            None => vec![0.0; units],
        };
        let time = x.when.axis().map(|axis| axis.checked_sub(2));
        let time = match time {
            Some(None) => return call.refuse("its channels or sequences are the time axis"),
            Some(Some(axis)) => Some(axis),
            None => None,
        };
        let window = Window::new(call, conv, &kernel, &x.dims[2..], time)?;
        let unrolled = self.unroll(call, &x, &window, groups)?;
        let (each, depth) = (units / groups, channels * count(&kernel));
        let mut parts = Vec::new();
        for (group, windows) in unrolled.windows.iter().enumerate() {
            let (weight, bias) =
                (&all[group * each * depth..(group + 1) * each * depth], &bias[group * each..][..each]);
            let y = self.builder.dense(weight, bias, Activation::Identity, *windows);
            parts.push(y.map_err(|e| refused(&part, e.to_string()))?);
        }
        let y = self.builder.concat(&parts).map_err(|e| refused(&part, e.to_string()))?;
        // From [groups, places, units of a group] to [units, places].
        let places = count(&unrolled.outputs);
        let y = self.permute(y, &[groups, places, each], &[0, 2, 1], &part)?;
        let mut dims = vec![1, units];
        dims.extend(&unrolled.outputs);
        if let Some(axis) = x.when.axis() {
            dims[axis] = super::lowerer::PROBE;
        }
        Ok(Flow { dtype: x.dtype, ..Flow::of(y, dims, self.moment_of(&x, y)) })
    }

    /// The windows that a step's outputs read.
    fn unroll(&mut self, call: &Call, x: &Flow, window: &Window, groups: usize) -> Result<Unrolled> {
        let part = call.part();
        let fail = |e: elman_step::Error| refused(&part, e.to_string());
        if x.dims[0] != 1 {
            return call.refuse("it reads several sequences at once");
        }
        let mut extents = x.step_dims()[2..].to_vec();
        let mut kernel = window.kernel.clone();
        let mut value = self.value(x)?;
        let channels = x.dims[1];
        let time = x.when.axis().map(|axis| axis - 2);
        if let Some(axis) = time {
            value = self.frames(call, x, window, axis, value)?;
            // All its frames are one window, oldest first.
            extents[axis] = kernel[axis];
        } else if x.lead != 0 {
            return call.refuse("it computes with steps that were padded in front of the sequence");
        }
        let mut outputs = Vec::new();
        for axis in 0..extents.len() {
            outputs.push(match (Some(axis) == time, window.outputs(axis, extents[axis])) {
                (true, _) => 1,
                (false, Some(n)) => n,
                (false, None) => return call.refuse("its kernel is longer than its input"),
            });
        }
        // The value is [frames of time,] channels, other axes: where time is, it comes first.
        let place = |channel: usize, at: &[usize]| -> u32 {
            let mut i = time.map_or(0, |axis| at[axis]) * channels + channel;
            for axis in (0..extents.len()).filter(|axis| Some(*axis) != time) {
                i = i * extents[axis] + at[axis];
            }
            i as u32
        };
        if kernel.iter().any(|k| *k > 1 << 20) || count(&outputs).saturating_mul(count(&kernel)) > 1 << 24 {
            return call.refuse("its windows are too large");
        }
        if let Some(axis) = time {
            kernel[axis] = window.kernel[axis];
        }
        let each = channels / groups;
        let mut windows = Vec::new();
        for group in 0..groups {
            let mut from = Vec::with_capacity(count(&outputs) * each * count(&kernel));
            for output in indices(&outputs) {
                for channel in group * each..(group + 1) * each {
                    for k in indices(&kernel) {
                        let at: Option<Vec<usize>> = (0..extents.len())
                            .map(|axis| {
                                if Some(axis) == time {
                                    return Some(k[axis]);
                                }
                                let at = output[axis] * window.strides[axis] + k[axis] * window.dilations[axis];
                                at.checked_sub(window.before[axis]).filter(|at| *at < extents[axis])
                            })
                            .collect();
                        from.push(at.map_or(u32::MAX, |at| place(channel, &at)));
                    }
                }
            }
            windows.push(self.builder.select(&from, value).map_err(fail)?);
        }
        Ok(Unrolled { windows, outputs })
    }

    /// The frames of the steps that a kernel reads, oldest first: `[kernel, channels, ...]`. Without enough padding in front
    /// there are none for the first steps.
    fn frames(&mut self, call: &Call, x: &Flow, window: &Window, axis: usize, value: Value) -> Result<Value> {
        let (kernel, dilation) = (window.kernel[axis], window.dilations[axis]);
        let reach = (kernel - 1).saturating_mul(dilation);
        let before = window.before[axis].saturating_add(x.lead);
        if window.after[axis] != 0 || before > reach {
            return call.refuse("it reads later steps: its padding is not causal");
        }
        if window.before[axis] > 0 {
            let mut dims = x.dims.clone();
            dims[axis + 2] = window.before[axis];
            let outputs = call.node.outputs.clone();
            self.builder.carries(|| Carrier::Frames { outputs, axis: axis + 2, dims });
        }
        let ages: Vec<usize> = (0..kernel).rev().map(|k| k * dilation).collect();
        let fail = |e: elman_step::Error| refused(&call.part(), e.to_string());
        let frames = self.builder.delay(&ages, value).map_err(fail)?;
        if window.strides[axis] > 1 || before < reach {
            self.builder.carries(|| Carrier::Thinned { part: call.part() });
        }
        self.builder.every(window.strides[axis], reach - before, frames).map_err(fail)
    }

    /// The moment of `y`, made of windows over `x`: see [`Self::frames`].
    fn moment_of(&self, x: &Flow, y: Value) -> When {
        x.when.axis().map_or(x.when, |axis| When::Timed(axis, self.builder.pace(y)))
    }

    pub(super) fn pool(&mut self, call: &Call, pool: &Pool) -> Result<Flow> {
        let Some(Lowered::Flow(x)) = call.input(0).cloned() else { return call.refuse("it has no input") };
        let part = call.part();
        if x.dims.len() != pool.kernel.len() + 2 || x.when.axis().is_some_and(|axis| axis < 2) {
            return call.refuse("its windows do not fit its input");
        }
        let time = x.when.axis().map(|axis| axis - 2);
        let window = Window::new(call, &pool.window, &pool.kernel, &x.dims[2..], time)?;
        let padded = window.before.iter().chain(&window.after).any(|pad| *pad != 0);
        if padded || pool.ceil || x.lead != 0 {
            return call.refuse("its windows reach beyond the edges");
        }
        let channels = x.dims[1];
        let unrolled = self.unroll(call, &x, &window, channels)?;
        let n = count(&pool.kernel);
        let reduction = if pool.kind == PoolKind::Max { Reduction::Max } else { Reduction::Mean };
        let mut parts = Vec::new();
        for windows in unrolled.windows {
            let y = self.builder.reduce(reduction, n, 1, windows);
            parts.push(y.map_err(|e| refused(&part, e.to_string()))?);
        }
        let y = self.builder.concat(&parts).map_err(|e| refused(&part, e.to_string()))?;
        let mut dims = vec![1, channels];
        dims.extend(&unrolled.outputs);
        if let Some(axis) = x.when.axis() {
            dims[axis] = super::lowerer::PROBE;
        }
        Ok(Flow { dtype: x.dtype, ..Flow::of(y, dims, self.moment_of(&x, y)) })
    }
}
