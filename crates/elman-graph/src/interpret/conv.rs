//! Convolutions and pooling over any number of spatial axes.

use std::sync::Arc;

use elman_kernels::{Mat, Scratch};

use super::broadcast::{size, strides};
use super::elementwise::Real;
use super::product::{Weights, once};
use crate::error::{Error, Result};
use crate::graph::{AutoPad, Conv, Pool, PoolKind};
use crate::tensor::{Tensor, Values};

/// Windows over the spatial axes.
struct Windows {
    /// Sizes of the input.
    input: Vec<usize>,
    /// Sizes of the kernel.
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    /// Elements before the input.
    before: Vec<usize>,
    /// Elements after it.
    after: Vec<usize>,
    /// Number of windows along each axis.
    output: Vec<usize>,
}

fn per_axis(what: &str, list: &[usize], n: usize, default: usize) -> Result<Vec<usize>> {
    match list.len() {
        0 => Ok(vec![default; n]),
        len if len == n => Ok(list.to_vec()),
        len => Err(Error::malformed(what, format!("{len} numbers for {n} axes"))),
    }
}

impl Windows {
    fn new(input: &[usize], kernel: &[usize], conv: &Conv, ceil: bool) -> Result<Self> {
        let n = input.len();
        let strides = per_axis("strides", &conv.strides, n, 1)?;
        let dilations = per_axis("dilations", &conv.dilations, n, 1)?;
        let pads = per_axis("pads", &conv.pads, 2 * n, 0)?;
        if kernel.len() != n || strides.contains(&0) || dilations.contains(&0) || kernel.contains(&0) {
            return Err(Error::malformed("a window", format!("kernel {kernel:?}, strides {strides:?}, {n} axes")));
        }
        let (mut before, mut after) = (pads[..n].to_vec(), pads[n..].to_vec());
        let mut output = Vec::with_capacity(n);
        for i in 0..n {
            let extent = (kernel[i] - 1).saturating_mul(dilations[i]).saturating_add(1);
            match conv.auto_pad {
                AutoPad::NotSet => {}
                AutoPad::Valid => (before[i], after[i]) = (0, 0),
                AutoPad::SameUpper | AutoPad::SameLower => {
                    let windows = input[i].div_ceil(strides[i]);
                    let all = (windows.saturating_sub(1) * strides[i] + extent).saturating_sub(input[i]);
                    let half = all / 2;
                    (before[i], after[i]) =
                        if conv.auto_pad == AutoPad::SameUpper { (half, all - half) } else { (all - half, half) };
                }
            }
            let padded = input[i].saturating_add(before[i]).saturating_add(after[i]);
            let Some(room) = padded.checked_sub(extent) else {
                return Err(Error::malformed("a window", format!("{extent} elements wide over {padded} with pads")));
            };
            let mut windows = room / strides[i] + 1;
            // One more, beyond the end, if it begins within input or pads before it.
            if ceil && room % strides[i] != 0 && windows * strides[i] < input[i] + before[i] {
                windows += 1;
            }
            output.push(windows);
        }
        let input = input.to_vec();
        Ok(Windows { input, kernel: kernel.to_vec(), strides, dilations, before, after, output })
    }

    /// Number of windows.
    fn count(&self) -> usize {
        self.output.iter().product()
    }

    /// For window `number`: calls `f(offset of a kernel element, offset of the input element it lies on, if any)`.
    fn each(&self, number: usize, mut f: impl FnMut(usize, Option<usize>)) {
        let n = self.input.len();
        let own = strides(&self.input);
        let mut rest = number;
        let mut first = vec![0isize; n];
        for axis in (0..n).rev() {
            let i = rest % self.output[axis];
            rest /= self.output[axis];
            first[axis] = (i * self.strides[axis]) as isize - self.before[axis] as isize;
        }
        let total: usize = self.kernel.iter().product();
        let last = n.saturating_sub(1);
        let width = self.kernel.last().copied().unwrap_or(1);
        for k in (0..total).step_by(width.max(1)) {
            // All axes but the last.
            let mut rest = k / width;
            let mut base = Some(0);
            for axis in (0..last).rev() {
                let at = first[axis] + (rest % self.kernel[axis] * self.dilations[axis]) as isize;
                rest /= self.kernel[axis];
                let inside = usize::try_from(at).ok().filter(|a| *a < self.input[axis]);
                base = base.zip(inside).map(|(b, a)| b + a * own[axis]);
            }
            for j in 0..width {
                let at = first[last] + (j * self.dilations[last]) as isize;
                let inside = usize::try_from(at).ok().filter(|a| *a < self.input[last]);
                f(k + j, base.zip(inside).map(|(b, a)| b + a));
            }
        }
    }

    /// One axis, no dilation: where window `number` begins, and which part of it lies on the input.
    fn plain(&self, number: usize) -> (isize, std::ops::Range<usize>) {
        let first = (number * self.strides[0]) as isize - self.before[0] as isize;
        let from = usize::try_from(-first).unwrap_or(0).min(self.kernel[0]);
        let to = usize::try_from(self.input[0] as isize - first).unwrap_or(0).min(self.kernel[0]);
        (first, from..to.max(from))
    }

    /// The patches `[windows, channels * kernel]` of `x` `[channels, input]`, windows `from..to`.
    fn patches<F: Real>(&self, x: &[F], channels: usize, from: usize, to: usize, out: &mut Vec<F>) {
        let (per, area) = (self.kernel.iter().product::<usize>(), self.input.iter().product::<usize>());
        out.clear();
        out.resize((to - from) * channels * per, F::ZERO);
        for number in from..to {
            let row = &mut out[(number - from) * channels * per..][..channels * per];
            if self.input.len() == 1 && self.dilations[0] == 1 {
                let (first, part) = self.plain(number);
                let at = (first + part.start as isize).max(0) as usize;
                for c in 0..channels {
                    row[c * per..][part.clone()].copy_from_slice(&x[c * area + at..][..part.len()]);
                }
                continue;
            }
            self.each(number, |k, at| {
                if let Some(at) = at {
                    for c in 0..channels {
                        row[c * per + k] = x[c * area + at];
                    }
                }
            });
        }
    }
}

/// Most windows whose patches are held at once.
const AT_ONCE: usize = 512;

/// Dimensions of a convolution's input and weights.
fn sizes<'a>(
    what: &str,
    x: &'a Tensor,
    w: &'a Tensor,
    groups: usize,
) -> Result<(usize, usize, &'a [usize], &'a [usize])> {
    match (x.dims(), w.dims()) {
        ([b, c, input @ ..], [_, _, kernel @ ..]) if !input.is_empty() && input.len() == kernel.len() && groups > 0 => {
            Ok((*b, *c, input, kernel))
        }
        (x, w) => Err(Error::malformed(what, format!("an input {x:?}, weights {w:?} and {groups} groups"))),
    }
}

/// `kept`: weights of each group, where they are constants.
pub(super) fn conv(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv,
    kept: Option<&mut Option<Vec<Weights>>>,
) -> Result<Tensor> {
    let groups = conv.groups;
    let (batch, channels, input, kernel) = sizes("Conv", x, w, groups)?;
    let (outputs, per_group) = (w.dims()[0], w.dims()[1]);
    if per_group.checked_mul(groups) != Some(channels) || outputs % groups != 0 {
        return Err(Error::dimensions("Conv: weights", w.dims(), &[outputs, channels / groups]));
    }
    if bias.is_some_and(|b| b.dims() != [outputs] || b.dtype() != x.dtype()) || x.dtype() != w.dtype() {
        return Err(Error::malformed("Conv", "its input, weights and bias differ in type or size"));
    }
    let windows = Windows::new(input, kernel, conv, false)?;
    let dims = [&[batch, outputs][..], &windows.output].concat();
    let total = size(&dims)?;
    let depth = per_group * kernel.iter().product::<usize>();
    let (per, dtype) = (outputs / groups, x.dtype());
    match (x.values(), w.values()) {
        (Values::F32(x), Values::F32(w)) => {
            let mut own = None;
            let weights = kept.unwrap_or(&mut own).get_or_insert_with(|| {
                (0..groups).map(|g| Weights::by_output(&w[g * per * depth..], per, depth)).collect()
            });
            let bias = bias.and_then(Tensor::as_f32);
            let product = |g: usize, p: &[f32], m: usize, stride: usize, y: &mut [f32]| {
                weights[g].product(p, m, stride, bias.map(|b| &b[g * per..(g + 1) * per]), y);
            };
            let y = over_groups(&windows, x, [batch, channels, groups, outputs], total, true, product);
            Tensor::new(dtype, dims, Values::F32(Arc::new(y)))
        }
        (Values::F64(x), Values::F64(w)) => {
            let bias = bias.and_then(Tensor::as_f64);
            let mut scratch = Scratch::default();
            let product = |g: usize, p: &[f64], m: usize, stride: usize, y: &mut [f64]| {
                let weights = Mat::new(&w[g * per * depth..], per, depth).t();
                once(Mat::strided(p, m, depth, stride), weights, y, &mut scratch);
                if let Some(bias) = bias {
                    for row in y.chunks_mut(per) {
                        row.iter_mut().zip(&bias[g * per..]).for_each(|(y, b)| *y += b);
                    }
                }
            };
            let y = over_groups(&windows, x, [batch, channels, groups, outputs], total, false, product);
            Tensor::new(dtype, dims, Values::F64(Arc::new(y)))
        }
        _ => Err(Error::unsupported("Conv", format!("elements of {dtype}"))),
    }
}

/// For every sequence and group: patches, their product, and the result with channels before windows.
fn over_groups<F: Real>(
    windows: &Windows,
    x: &[F],
    [batch, channels, groups, outputs]: [usize; 4],
    total: usize,
    in_place: bool,
    mut product: impl FnMut(usize, &[F], usize, usize, &mut [F]),
) -> Vec<F> {
    let (count, area) = (windows.count(), windows.input.iter().product::<usize>());
    let (per_group, per) = (channels / groups, outputs / groups);
    let depth = per_group * windows.kernel.iter().product::<usize>();
    let mut y = vec![F::ZERO; total];
    let (mut patches, mut columns) = (Vec::new(), vec![F::ZERO; AT_ONCE.min(count) * per]);
    // One channel, one axis, no pads: windows lie in the input as they are.
    let strided = in_place
        && per_group == 1
        && windows.input.len() == 1
        && windows.dilations[0] == 1
        && windows.before[0] + windows.after[0] == 0;
    for b in 0..batch {
        for g in 0..groups {
            let x = &x[(b * channels + g * per_group) * area..][..per_group * area];
            let y = &mut y[(b * outputs + g * per) * count..][..per * count];
            for from in (0..count).step_by(AT_ONCE) {
                let to = count.min(from + AT_ONCE);
                let columns = &mut columns[..(to - from) * per];
                if strided {
                    product(g, &x[from * windows.strides[0]..], to - from, windows.strides[0], columns);
                } else {
                    windows.patches(x, per_group, from, to, &mut patches);
                    product(g, &patches, to - from, depth, columns);
                }
                for (i, column) in columns.chunks(per.max(1)).enumerate() {
                    for (o, value) in column.iter().enumerate() {
                        y[o * count + from + i] = *value;
                    }
                }
            }
        }
    }
    y
}

pub(super) fn conv_transpose(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv,
    output_padding: &[usize],
    output_shape: Option<&[usize]>,
) -> Result<Tensor> {
    let what = "ConvTranspose";
    let groups = conv.groups;
    let (batch, channels, input, kernel) = sizes(what, x, w, groups)?;
    let (per, n) = (w.dims()[1], input.len());
    if w.dims()[0] != channels || channels % groups != 0 || x.dtype() != w.dtype() {
        return Err(Error::dimensions("ConvTranspose: weights", w.dims(), &[channels]));
    }
    let outputs = per * groups;
    if bias.is_some_and(|b| b.dims() != [outputs] || b.dtype() != x.dtype()) {
        return Err(Error::malformed(what, "its bias does not fit"));
    }
    let strides = per_axis("strides", &conv.strides, n, 1)?;
    let dilations = per_axis("dilations", &conv.dilations, n, 1)?;
    let pads = per_axis("pads", &conv.pads, 2 * n, 0)?;
    let extra = per_axis("output_padding", output_padding, n, 0)?;
    if input.contains(&0) || kernel.contains(&0) || strides.contains(&0) || dilations.contains(&0) {
        return Err(Error::malformed(what, format!("an input {:?} and a kernel {kernel:?}", x.dims())));
    }
    let (mut before, mut after) = (pads[..n].to_vec(), pads[n..].to_vec());
    let mut output = Vec::with_capacity(n);
    for i in 0..n {
        let full = strides[i]
            .saturating_mul(input[i] - 1)
            .saturating_add((kernel[i] - 1).saturating_mul(dilations[i]))
            .saturating_add(1)
            .saturating_add(extra[i]);
        let wanted = match (output_shape, conv.auto_pad) {
            // The last sizes are those of the spatial axes.
            (Some(shape), _) if shape.len() >= n => Some(shape[shape.len() - n + i]),
            (Some(shape), _) => return Err(Error::malformed(what, format!("output_shape {shape:?}"))),
            (None, AutoPad::SameUpper | AutoPad::SameLower) => Some(input[i].saturating_mul(strides[i])),
            _ => None,
        };
        if let Some(wanted) = wanted {
            let all = full.saturating_sub(wanted);
            let half = all / 2;
            (before[i], after[i]) =
                if conv.auto_pad == AutoPad::SameUpper { (half, all - half) } else { (all - half, half) };
            output.push(wanted);
        } else {
            if conv.auto_pad == AutoPad::Valid {
                (before[i], after[i]) = (0, 0);
            }
            let size = full.checked_sub(before[i].saturating_add(after[i]));
            output.push(size.ok_or_else(|| Error::malformed(what, format!("pads {pads:?} leave nothing")))?);
        }
    }
    let dims = [&[batch, outputs][..], &output].concat();
    let total = size(&dims)?;
    let (area, count) = (input.iter().product::<usize>(), output.iter().product::<usize>());
    // Seen from the output, every input position is a window.
    let windows =
        Windows { input: output, kernel: kernel.to_vec(), strides, dilations, before, after, output: input.to_vec() };
    fn of<F: Real>(
        windows: &Windows,
        (x, w, bias): (&[F], &[F], Option<&[F]>),
        [batch, channels, groups, per]: [usize; 4],
        [area, count, total]: [usize; 3],
    ) -> Vec<F> {
        let (depth, taps) = (channels / groups, windows.kernel.iter().product::<usize>());
        let mut y = vec![F::ZERO; total];
        let mut columns = vec![F::ZERO; area * per * taps];
        let mut scratch = Scratch::default();
        for b in 0..batch {
            for g in 0..groups {
                let x = Mat::new(&x[(b * channels + g * depth) * area..], depth, area).t();
                let w = Mat::new(&w[g * depth * per * taps..], depth, per * taps);
                once(x, w, &mut columns, &mut scratch);
                let y = &mut y[(b * groups + g) * per * count..][..per * count];
                for number in 0..area {
                    let column = &columns[number * per * taps..];
                    windows.each(number, |k, at| {
                        if let Some(at) = at {
                            for o in 0..per {
                                y[o * count + at] += column[o * taps + k];
                            }
                        }
                    });
                }
                if let Some(bias) = bias {
                    for (o, row) in y.chunks_mut(count.max(1)).enumerate() {
                        row.iter_mut().for_each(|y| *y += bias[g * per + o]);
                    }
                }
            }
        }
        y
    }
    let (all, ends) = ([batch, channels, groups, per], [area, count, total]);
    let values = match (x.values(), w.values()) {
        (Values::F32(x), Values::F32(w)) => {
            Values::F32(Arc::new(of(&windows, (x, w, bias.and_then(Tensor::as_f32)), all, ends)))
        }
        (Values::F64(x), Values::F64(w)) => {
            Values::F64(Arc::new(of(&windows, (x, w, bias.and_then(Tensor::as_f64)), all, ends)))
        }
        _ => return Err(Error::unsupported(what, format!("elements of {}", x.dtype()))),
    };
    Tensor::new(x.dtype(), dims, values)
}

pub(super) fn pool(x: &Tensor, pool: &Pool) -> Result<Tensor> {
    let [batch, channels, input @ ..] = x.dims() else {
        return Err(Error::malformed("pooling", format!("its input is {:?}", x.dims())));
    };
    let windows = Windows::new(input, &pool.kernel, &pool.window, pool.ceil)?;
    let dims = [&[*batch, *channels][..], &windows.output].concat();
    let total = size(&dims)?;
    let area: usize = input.iter().product();
    fn of<F: Real>(windows: &Windows, pool: &Pool, x: &[F], total: usize, area: usize) -> Vec<F> {
        let count = windows.count();
        let mut y = Vec::with_capacity(total);
        if total == 0 {
            return y;
        }
        for x in x.chunks(area) {
            for number in 0..count {
                let (mut sum, mut max, mut n) = (0.0, f64::NEG_INFINITY, 0usize);
                windows.each(number, |_, at| {
                    if let Some(at) = at {
                        let x = x[at].to_f64();
                        (sum, max, n) = (sum + x, max.larger(x), n + 1);
                    }
                });
                let n = if pool.count_include_pad { windows.within_pads(number) } else { n };
                y.push(F::from_f64(match pool.kind {
                    PoolKind::Max => max,
                    PoolKind::Average => sum / n as f64,
                }));
            }
        }
        y
    }
    let values = match x.values() {
        Values::F32(v) => Values::F32(Arc::new(of(&windows, pool, v, total, area))),
        Values::F64(v) => Values::F64(Arc::new(of(&windows, pool, v, total, area))),
        _ => return Err(Error::unsupported("pooling", format!("elements of {}", x.dtype()))),
    };
    Tensor::new(x.dtype(), dims, values)
}

impl Windows {
    /// Elements of a window that lie on the input or its pads, not beyond.
    fn within_pads(&self, number: usize) -> usize {
        let mut rest = number;
        let mut n = 1;
        for axis in (0..self.input.len()).rev() {
            let first = rest % self.output[axis] * self.strides[axis];
            rest /= self.output[axis];
            let end = self.before[axis] + self.input[axis] + self.after[axis];
            n *= (0..self.kernel[axis]).filter(|k| first + k * self.dilations[axis] < end).count();
        }
        n
    }
}
