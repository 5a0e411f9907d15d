//! Operators that move elements and compute none.

use std::sync::Arc;

use super::broadcast::{expand as stretch, joint, rows, size, strides};
use crate::builder::axis_of;
use crate::error::{Error, Result};
use crate::graph::PadMode;
use crate::tensor::{Tensor, Values};

/// A tensor of the type of `$t` whose elements are made from its elements `$v`.
macro_rules! moved {
    ($t:expr, $dims:expr, |$v:ident| $body:expr) => {{
        let t = $t;
        let values = match t.values() {
            Values::F32($v) => Values::F32(Arc::new($body)),
            Values::F64($v) => Values::F64(Arc::new($body)),
            Values::I64($v) => Values::I64(Arc::new($body)),
            Values::Bool($v) => Values::Bool(Arc::new($body)),
        };
        Tensor::new(t.dtype(), $dims, values)
    }};
}
pub(super) use moved;

/// Integers of an input that says a shape, axes or positions.
pub(super) fn integers<'a>(what: &str, t: &'a Tensor) -> Result<&'a [i64]> {
    t.as_i64().ok_or_else(|| Error::malformed(what, format!("integers are needed, not {}", t.dtype())))
}

/// Integers that are sizes.
pub(super) fn sizes(what: &str, t: &Tensor) -> Result<Vec<usize>> {
    let size = |n: &i64| usize::try_from(*n).map_err(|_| Error::malformed(what, format!("a size of {n}")));
    integers(what, t)?.iter().map(size).collect()
}

/// Axes counted from either end, each once.
pub(super) fn axes(what: &str, list: &[i64], rank: usize) -> Result<Vec<usize>> {
    let axes = list.iter().map(|a| axis_of(what, *a, rank)).collect::<Result<Vec<_>>>()?;
    let mut seen = vec![false; rank];
    for axis in &axes {
        if std::mem::replace(&mut seen[*axis], true) {
            return Err(Error::malformed(what, format!("axis {axis} is named twice")));
        }
    }
    Ok(axes)
}

/// Dimensions in one order: before, at and after an axis.
pub(super) fn around(dims: &[usize], axis: usize) -> (usize, usize, usize) {
    (dims[..axis].iter().product(), dims[axis], dims[axis + 1..].iter().product())
}

pub(super) fn reshape(x: &Tensor, shape: &Tensor, allow_zero: bool) -> Result<Tensor> {
    let shape = integers("Reshape: shape", shape)?;
    let mut dims = Vec::with_capacity(shape.len());
    let mut inferred = None;
    for (i, n) in shape.iter().enumerate() {
        match *n {
            -1 if inferred.is_none() => {
                inferred = Some(i);
                dims.push(1);
            }
            0 if !allow_zero => match x.dims().get(i) {
                Some(d) => dims.push(*d),
                None => return Err(Error::malformed("Reshape", format!("it keeps axis {i} of {:?}", x.dims()))),
            },
            n => {
                dims.push(usize::try_from(n).map_err(|_| Error::malformed("Reshape", format!("the shape {shape:?}")))?)
            }
        }
    }
    if let Some(i) = inferred {
        let others = crate::tensor::count(&dims)?;
        dims[i] = x.len().checked_div(others).unwrap_or(0);
    }
    if crate::tensor::count(&dims)? != x.len() {
        return Err(Error::Dimensions {
            part: "Reshape".into(),
            got: format!("a value {:?}", x.dims()),
            want: format!("one of as many elements as {shape:?}"),
        });
    }
    x.reshaped(dims)
}

pub(super) fn flatten(x: &Tensor, axis: i64) -> Result<Tensor> {
    let rank = x.dims().len();
    let at = if axis == rank as i64 { rank } else { axis_of("Flatten", axis, rank)? };
    let (a, b) = (x.dims()[..at].iter().product(), x.dims()[at..].iter().product());
    x.reshaped([a, b])
}

pub(super) fn squeeze(x: &Tensor, list: Option<&Tensor>) -> Result<Tensor> {
    let dims = x.dims();
    let drop = match list {
        Some(list) => {
            let axes = axes("Squeeze", integers("Squeeze: axes", list)?, dims.len())?;
            if let Some(axis) = axes.iter().find(|a| dims[**a] != 1) {
                return Err(Error::malformed("Squeeze", format!("axis {axis} of {dims:?} is not 1")));
            }
            axes
        }
        None => (0..dims.len()).filter(|a| dims[*a] == 1).collect(),
    };
    let kept: Vec<usize> = (0..dims.len()).filter(|a| !drop.contains(a)).map(|a| dims[a]).collect();
    x.reshaped(kept)
}

pub(super) fn unsqueeze(x: &Tensor, list: &Tensor) -> Result<Tensor> {
    let list = integers("Unsqueeze: axes", list)?;
    let rank = x.dims().len() + list.len();
    let axes = axes("Unsqueeze", list, rank)?;
    let mut rest = x.dims().iter();
    let dims: Vec<usize> =
        (0..rank).map(|a| if axes.contains(&a) { 1 } else { rest.next().copied().unwrap_or(1) }).collect();
    x.reshaped(dims)
}

pub(super) fn transpose(x: &Tensor, perm: Option<&[usize]>) -> Result<Tensor> {
    let dims = x.dims();
    let reversed: Vec<usize> = (0..dims.len()).rev().collect();
    let perm = perm.unwrap_or(&reversed);
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..dims.len()) {
        return Err(Error::malformed("Transpose", format!("{perm:?} is no order of the axes of {dims:?}")));
    }
    let to: Vec<usize> = perm.iter().map(|a| dims[*a]).collect();
    // Where only axes of size 1 move, no element does.
    let order = perm.iter().filter(|a| dims[**a] != 1);
    if order.clone().is_sorted() {
        return x.reshaped(to);
    }
    let own = strides(dims);
    let from: Vec<usize> = perm.iter().map(|a| own[*a]).collect();
    moved!(x, to.clone(), |v| take(v, 0, &to, &from))
}

/// Elements at the positions of `dims` with `from` elements from one to the next along each axis.
fn take<T: Copy>(v: &[T], first: usize, dims: &[usize], from: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(dims.iter().product());
    let (width, step) = (dims.last().copied().unwrap_or(1), from.last().copied().unwrap_or(1));
    rows(dims, [from], |[at]| {
        let at = at + first;
        if step == 1 {
            out.extend_from_slice(&v[at..at + width]);
        } else {
            out.extend((0..width).map(|i| v[at + i * step]));
        }
    });
    out
}

pub(super) fn slice(
    x: &Tensor,
    starts: &Tensor,
    ends: &Tensor,
    list: Option<&Tensor>,
    steps: Option<&Tensor>,
) -> Result<Tensor> {
    let (starts, ends) = (integers("Slice: starts", starts)?, integers("Slice: ends", ends)?);
    let rank = x.dims().len();
    let all: Vec<i64> = (0..starts.len() as i64).collect();
    let list = list.map_or(Ok(&all[..]), |l| integers("Slice: axes", l))?;
    let axes = axes("Slice", list, rank)?;
    let ones = vec![1; axes.len()];
    let steps = steps.map_or(Ok(&ones[..]), |s| integers("Slice: steps", s))?;
    if [starts.len(), ends.len(), steps.len()] != [axes.len(); 3] {
        return Err(Error::malformed("Slice", "starts, ends, axes and steps differ in number"));
    }
    // Positions along every axis: the first, how many, and the step.
    let mut ranges: Vec<(usize, usize, i64)> = x.dims().iter().map(|d| (0, *d, 1)).collect();
    for (i, axis) in axes.iter().enumerate() {
        let n = i64::try_from(x.dims()[*axis]).unwrap_or(i64::MAX);
        let (step, from_end) = (steps[i], |v: i64| if v < 0 { v.saturating_add(n) } else { v });
        if step == 0 {
            return Err(Error::malformed("Slice", "a step is 0"));
        }
        let (lo, hi) = if step > 0 { (0, n) } else { (-1, n - 1) };
        let start = from_end(starts[i]).clamp(lo.max(0), hi.max(0));
        let end = from_end(ends[i]).clamp(lo, hi);
        let distance = if step > 0 { end - start } else { start - end };
        let count = if n == 0 || distance <= 0 { 0 } else { (distance - 1) / step.saturating_abs() + 1 };
        ranges[*axis] = (start as usize, count as usize, step);
    }
    let dims: Vec<usize> = ranges.iter().map(|r| r.1).collect();
    if dims == x.dims() && ranges.iter().all(|r| r.2 > 0) {
        return Ok(x.clone());
    }
    if dims.contains(&0) {
        return moved!(x, dims, |v| v[..0].to_vec());
    }
    let own = strides(x.dims());
    let first: usize = ranges.iter().zip(&own).map(|(r, s)| r.0 * s).sum();
    if ranges.iter().all(|r| r.2 > 0) {
        let from: Vec<usize> = ranges.iter().zip(&own).map(|(r, s)| (r.2 as usize).saturating_mul(*s)).collect();
        // The step of an axis with one position is never taken, and may be any number.
        let from: Vec<usize> = from.iter().zip(&dims).map(|(s, d)| if *d == 1 { 0 } else { *s }).collect();
        return moved!(x, dims.clone(), |v| take(v, first, &dims, &from));
    }
    // With a negative step somewhere: every axis by a list of positions.
    let mut at = vec![0usize];
    for ((start, count, step), stride) in ranges.iter().zip(&own) {
        let positions: Vec<usize> = (0..*count as i64).map(|i| (*start as i64 + i * step) as usize * stride).collect();
        at = at.iter().flat_map(|a| positions.iter().map(move |p| a + p)).collect();
    }
    moved!(x, dims, |v| at.iter().map(|i| v[*i]).collect())
}

pub(super) fn concat(parts: &[Tensor], axis: i64) -> Result<Tensor> {
    let first = parts.first().ok_or_else(|| Error::malformed("Concat", "it has no inputs"))?;
    let at = axis_of("Concat", axis, first.dims().len())?;
    let mut dims = first.dims().to_vec();
    dims[at] = 0;
    for part in parts {
        let fits = part.dims().len() == dims.len() && (0..dims.len()).all(|i| i == at || part.dims()[i] == dims[i]);
        if !fits || part.dtype() != first.dtype() {
            return Err(Error::Dimensions {
                part: "Concat".into(),
                got: format!("{} {:?} beside {} {:?}", part.dtype(), part.dims(), first.dtype(), first.dims()),
                want: "equal types and dimensions but for one axis".into(),
            });
        }
        dims[at] += part.dims()[at];
    }
    let n = size(&dims)?;
    let outer = dims[..at].iter().product();
    fn join<'a, T: Copy + 'a>(n: usize, outer: usize, parts: &[&'a [T]]) -> Arc<Vec<T>> {
        let mut out = Vec::with_capacity(n);
        for i in 0..outer {
            for part in parts {
                let width = part.len() / outer;
                out.extend_from_slice(&part[i * width..(i + 1) * width]);
            }
        }
        Arc::new(out)
    }
    let values = match first.values() {
        Values::F32(_) => Values::F32(join(n, outer, &parts.iter().filter_map(Tensor::as_f32).collect::<Vec<_>>())),
        Values::F64(_) => Values::F64(join(n, outer, &parts.iter().filter_map(Tensor::as_f64).collect::<Vec<_>>())),
        Values::I64(_) => Values::I64(join(n, outer, &parts.iter().filter_map(Tensor::as_i64).collect::<Vec<_>>())),
        Values::Bool(_) => Values::Bool(join(n, outer, &parts.iter().filter_map(Tensor::as_bool).collect::<Vec<_>>())),
    };
    Tensor::new(first.dtype(), dims, values)
}

pub(super) fn split(x: &Tensor, axis: i64, parts: Option<&Tensor>, outputs: usize) -> Result<Vec<Tensor>> {
    let at = axis_of("Split", axis, x.dims().len())?;
    let n = x.dims()[at];
    let parts = match parts {
        Some(parts) => sizes("Split: split", parts)?,
        // As large as the first, the last with what is left.
        None => {
            let part = n.div_ceil(outputs.max(1));
            (0..outputs).map(|i| part.min(n.saturating_sub(i * part))).collect()
        }
    };
    if parts.iter().try_fold(0usize, |a, b| a.checked_add(*b)) != Some(n) || parts.len() != outputs {
        return Err(Error::malformed("Split", format!("{n} in {outputs} parts of {parts:?}")));
    }
    let (outer, _, inner) = around(x.dims(), at);
    let mut from = 0;
    let part = |size: &usize| {
        let mut dims = x.dims().to_vec();
        dims[at] = *size;
        let first = from * inner;
        from += size;
        moved!(x, dims, |v| {
            let mut out = Vec::with_capacity(outer * size * inner);
            for i in 0..outer {
                out.extend_from_slice(&v[i * n * inner + first..][..size * inner]);
            }
            out
        })
    };
    parts.iter().map(part).collect()
}

/// A position counted from either end of `n`.
fn position(what: &str, index: i64, n: usize) -> Result<usize> {
    let at = if index < 0 { index.checked_add_unsigned(n as u64) } else { Some(index) };
    at.and_then(|a| usize::try_from(a).ok())
        .filter(|a| *a < n)
        .ok_or_else(|| Error::malformed(what, format!("index {index} is outside the {n} that there are")))
}

pub(super) fn gather(x: &Tensor, indices: &Tensor, axis: i64) -> Result<Tensor> {
    let at = axis_of("Gather", axis, x.dims().len())?;
    let (outer, n, inner) = around(x.dims(), at);
    let index = integers("Gather: indices", indices)?;
    let index = index.iter().map(|i| position("Gather", *i, n)).collect::<Result<Vec<_>>>()?;
    let dims = [&x.dims()[..at], indices.dims(), &x.dims()[at + 1..]].concat();
    let total = size(&dims)?;
    moved!(x, dims, |v| {
        let mut out = Vec::with_capacity(total);
        for i in 0..outer {
            for k in &index {
                out.extend_from_slice(&v[(i * n + k) * inner..][..inner]);
            }
        }
        out
    })
}

pub(super) fn gather_elements(x: &Tensor, indices: &Tensor, axis: i64) -> Result<Tensor> {
    let rank = x.dims().len();
    let at = axis_of("GatherElements", axis, rank)?;
    let dims = indices.dims();
    if dims.len() != rank || (0..rank).any(|i| i != at && dims[i] > x.dims()[i]) {
        return Err(Error::dimensions("GatherElements: indices", dims, x.dims()));
    }
    let own = strides(x.dims());
    let index = integers("GatherElements: indices", indices)?;
    let to = strides(dims);
    let mut positions = Vec::with_capacity(index.len());
    for (i, k) in index.iter().enumerate() {
        let k = position("GatherElements", *k, x.dims()[at])?;
        let of = |axis: usize| if axis == at { k } else { i / to[axis] % dims[axis] };
        positions.push((0..rank).map(|axis| of(axis) * own[axis]).sum::<usize>());
    }
    moved!(x, dims.to_vec(), |v| positions.iter().map(|p| v[*p]).collect())
}

pub(super) fn scatter_nd(x: &Tensor, indices: &Tensor, updates: &Tensor) -> Result<Tensor> {
    let what = "ScatterND";
    let (rank, depth) = (x.dims().len(), indices.dims().last().copied().unwrap_or(0));
    if depth > rank || indices.dims().is_empty() {
        return Err(Error::dimensions("ScatterND: indices", indices.dims(), x.dims()));
    }
    let want = [&indices.dims()[..indices.dims().len() - 1], &x.dims()[depth..]].concat();
    if updates.dims() != want || updates.dtype() != x.dtype() {
        return Err(Error::dimensions("ScatterND: updates", updates.dims(), &want));
    }
    let (own, inner) = (strides(x.dims()), x.dims()[depth..].iter().product::<usize>());
    let index = integers("ScatterND: indices", indices)?;
    let mut positions = Vec::new();
    for tuple in index.chunks(depth.max(1)) {
        let mut at = 0;
        for (axis, k) in tuple.iter().enumerate() {
            at += position(what, *k, x.dims()[axis])? * own[axis];
        }
        positions.push(at);
    }
    fn set<T: Copy>(x: &[T], updates: &[T], positions: &[usize], inner: usize) -> Arc<Vec<T>> {
        let mut out = x.to_vec();
        for (i, at) in positions.iter().enumerate() {
            out[*at..at + inner].copy_from_slice(&updates[i * inner..(i + 1) * inner]);
        }
        Arc::new(out)
    }
    let values = match (x.values(), updates.values()) {
        (Values::F32(x), Values::F32(u)) => Values::F32(set(x, u, &positions, inner)),
        (Values::F64(x), Values::F64(u)) => Values::F64(set(x, u, &positions, inner)),
        (Values::I64(x), Values::I64(u)) => Values::I64(set(x, u, &positions, inner)),
        (Values::Bool(x), Values::Bool(u)) => Values::Bool(set(x, u, &positions, inner)),
        _ => return Err(Error::malformed(what, "its inputs differ in type")),
    };
    Tensor::new(x.dtype(), x.dims().to_vec(), values)
}

pub(super) fn expand(x: &Tensor, shape: &Tensor) -> Result<Tensor> {
    let dims = joint(x.dims(), &sizes("Expand: shape", shape)?)?;
    if dims == x.dims() {
        return Ok(x.clone());
    }
    size(&dims)?;
    let values = match x.values() {
        Values::F32(v) => Values::F32(Arc::new(stretch(v, x.dims(), &dims)?)),
        Values::F64(v) => Values::F64(Arc::new(stretch(v, x.dims(), &dims)?)),
        Values::I64(v) => Values::I64(Arc::new(stretch(v, x.dims(), &dims)?)),
        Values::Bool(v) => Values::Bool(Arc::new(stretch(v, x.dims(), &dims)?)),
    };
    Tensor::new(x.dtype(), dims, values)
}

pub(super) fn tile(x: &Tensor, repeats: &Tensor) -> Result<Tensor> {
    let repeats = sizes("Tile: repeats", repeats)?;
    if repeats.len() != x.dims().len() {
        return Err(Error::malformed("Tile", format!("{repeats:?} repeats of {:?}", x.dims())));
    }
    let dims: Vec<usize> = x.dims().iter().zip(&repeats).map(|(d, r)| d.saturating_mul(*r)).collect();
    size(&dims)?;
    let positions: Vec<Vec<Option<usize>>> =
        dims.iter().zip(x.dims()).map(|(to, from)| (0..*to).map(|i| Some(i % from)).collect()).collect();
    by_position(x, dims, &positions, None)
}

/// Elements whose index along each axis is the listed one; `fill` where there is none.
fn by_position(
    x: &Tensor,
    dims: Vec<usize>,
    positions: &[Vec<Option<usize>>],
    fill: Option<&Tensor>,
) -> Result<Tensor> {
    fn of<T: Copy + Default>(v: &[T], own: &[usize], positions: &[Vec<Option<usize>>], fill: T) -> Vec<T> {
        let mut at = vec![Some(0usize)];
        for (positions, stride) in positions.iter().zip(own) {
            at =
                at.iter().flat_map(|a| positions.iter().map(move |p| a.zip(*p).map(|(a, p)| a + p * stride))).collect();
        }
        at.into_iter().map(|i| i.and_then(|i| v.get(i).copied()).unwrap_or(fill)).collect()
    }
    let own = strides(x.dims());
    let fill = fill.map(|f| f.cast(x.dtype())).transpose()?;
    let fill = fill.as_ref().map(Tensor::values);
    macro_rules! filled {
        ($v:ident, $variant:ident) => {{
            let fill = match fill {
                Some(Values::$variant(f)) => f.first().copied().unwrap_or_default(),
                _ => Default::default(),
            };
            Values::$variant(Arc::new(of($v, &own, positions, fill)))
        }};
    }
    let values = match x.values() {
        Values::F32(v) => filled!(v, F32),
        Values::F64(v) => filled!(v, F64),
        Values::I64(v) => filled!(v, I64),
        Values::Bool(v) => filled!(v, Bool),
    };
    Tensor::new(x.dtype(), dims, values)
}

pub(super) fn pad(
    x: &Tensor,
    pads: &Tensor,
    fill: Option<&Tensor>,
    list: Option<&Tensor>,
    mode: PadMode,
) -> Result<Tensor> {
    let (pads, rank) = (integers("Pad: pads", pads)?, x.dims().len());
    let all: Vec<i64> = (0..rank as i64).collect();
    let axes = axes("Pad", list.map_or(Ok(&all[..]), |l| integers("Pad: axes", l))?, rank)?;
    if pads.len() != 2 * axes.len() {
        return Err(Error::malformed("Pad", format!("{} pads of {} axes", pads.len(), axes.len())));
    }
    let mut dims = x.dims().to_vec();
    let mut before = vec![0i64; rank];
    for (i, axis) in axes.iter().enumerate() {
        before[*axis] = pads[i];
        let n = i64::try_from(dims[*axis]).unwrap_or(i64::MAX);
        let to = n.saturating_add(pads[i]).saturating_add(pads[axes.len() + i]);
        dims[*axis] =
            usize::try_from(to).map_err(|_| Error::malformed("Pad", format!("{pads:?} of {:?}", x.dims())))?;
    }
    size(&dims)?;
    let mut positions = Vec::with_capacity(rank);
    for axis in 0..rank {
        let n = x.dims()[axis] as i64;
        if n == 0 && dims[axis] > 0 && mode != PadMode::Constant {
            return Err(Error::malformed("Pad", "it repeats the elements of an empty axis"));
        }
        let of = |i: i64| -> Option<usize> {
            let i = i - before[axis];
            let inside = match mode {
                PadMode::Constant => i,
                PadMode::Edge => i.clamp(0, n - 1),
                PadMode::Wrap => i.rem_euclid(n.max(1)),
                // There and back again has 2 (n - 1) elements.
                PadMode::Reflect if n == 1 => 0,
                PadMode::Reflect => {
                    let i = i.rem_euclid(2 * (n - 1));
                    i.min(2 * (n - 1) - i)
                }
            };
            usize::try_from(inside).ok().filter(|i| *i < n as usize)
        };
        positions.push((0..dims[axis] as i64).map(of).collect());
    }
    by_position(x, dims, &positions, fill)
}

pub(super) fn reverse_sequence(x: &Tensor, lens: &Tensor, time_axis: usize, batch_axis: usize) -> Result<Tensor> {
    let dims = x.dims();
    let ok = dims.len() >= 2 && time_axis + batch_axis == 1 && lens.dims() == [dims[batch_axis]];
    let lens = integers("ReverseSequence: lengths", lens)?;
    let ok = ok && lens.iter().all(|n| usize::try_from(*n).is_ok_and(|n| n <= dims[time_axis]));
    if !ok {
        return Err(Error::malformed("ReverseSequence", format!("lengths {lens:?} of {dims:?}")));
    }
    let inner: usize = dims[2..].iter().product();
    moved!(x, dims.to_vec(), |v| {
        let mut out = v.to_vec();
        for (b, n) in lens.iter().enumerate() {
            let n = *n as usize;
            let at = |t: usize| (if time_axis == 0 { t * dims[1] + b } else { b * dims[1] + t }) * inner;
            for t in 0..n {
                out[at(t)..at(t) + inner].copy_from_slice(&v[at(n - 1 - t)..at(n - 1 - t) + inner]);
            }
        }
        out
    })
}

/// `start`, `start + delta`, … to before `limit`.
pub(super) fn range(start: &Tensor, limit: &Tensor, delta: &Tensor) -> Result<Tensor> {
    fn first<T: Copy>(v: &[T]) -> Result<T> {
        v.first().copied().ok_or_else(|| Error::malformed("Range", "an input is empty"))
    }
    let dtype = start.dtype();
    if limit.dtype() != dtype || delta.dtype() != dtype {
        return Err(Error::malformed("Range", "its inputs differ in type"));
    }
    if let (Some(start), Some(limit), Some(delta)) = (start.as_i64(), limit.as_i64(), delta.as_i64()) {
        let (start, limit, delta) = (first(start)?, first(limit)?, first(delta)?);
        if delta == 0 {
            return Err(Error::malformed("Range", "its step is 0"));
        }
        let distance = i128::from(limit) - i128::from(start);
        let n = (distance + i128::from(delta) - i128::from(delta.signum())) / i128::from(delta);
        let n = usize::try_from(n.max(0)).unwrap_or(usize::MAX);
        size(&[n])?;
        let v = (0..n as i64).map(|i| start + i * delta).collect();
        return Tensor::new(dtype, vec![n], Values::I64(Arc::new(v)));
    }
    let [start, limit, delta] = [start, limit, delta].map(|t| t.cast(crate::tensor::Dtype::F64));
    let value = |t: Result<Tensor>| t.and_then(|t| first(t.as_f64().unwrap_or_default()));
    let (start, limit, delta) = (value(start)?, value(limit)?, value(delta)?);
    let n = ((limit - start) / delta).ceil().max(0.0);
    if !n.is_finite() {
        return Err(Error::malformed("Range", "it has no end"));
    }
    let n = n as usize;
    size(&[n])?;
    let v = Tensor::new(
        crate::tensor::Dtype::F64,
        vec![n],
        Values::F64(Arc::new((0..n).map(|i| start + i as f64 * delta).collect())),
    )?;
    v.cast(dtype)
}
