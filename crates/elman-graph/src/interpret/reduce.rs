//! Sums, means and extremes over axes; softmax; normalization.

use std::sync::Arc;

use elman_kernels::softmax;

use super::broadcast::{rows, size, strides};
use super::elementwise::Real;
use super::layout::{around, axes, integers, moved};
use crate::builder::axis_of;
use crate::error::{Error, Result};
use crate::graph::{ArgExtreme, Reduce};
use crate::tensor::{Dtype, Tensor, Values};

pub(super) fn reduce(f: Reduce, x: &Tensor, list: Option<&Tensor>, keepdims: bool, noop: bool) -> Result<Tensor> {
    let rank = x.dims().len();
    let list = list.map_or(Ok(&[][..]), |l| integers("Reduce: axes", l))?;
    let over = if list.is_empty() && noop {
        vec![]
    } else if list.is_empty() {
        (0..rank).collect()
    } else {
        axes("Reduce", list, rank)?
    };
    // Kept axes first, then those that go: every result is one run of elements.
    let kept: Vec<usize> = (0..rank).filter(|a| !over.contains(a)).collect();
    let mut inner: Vec<usize> = over.clone();
    inner.sort_unstable();
    let own = strides(x.dims());
    let pick = |axes: &[usize], of: &[usize]| axes.iter().map(|a| of[*a]).collect::<Vec<_>>();
    let (outer_dims, outer_strides) = (pick(&kept, x.dims()), pick(&kept, &own));
    let (inner_dims, inner_strides) = (pick(&inner, x.dims()), pick(&inner, &own));
    let dims: Vec<usize> = if keepdims {
        (0..rank).map(|a| if over.contains(&a) { 1 } else { x.dims()[a] }).collect()
    } else {
        outer_dims.clone()
    };
    let n = size(&outer_dims)?;
    let offsets = |dims: &[usize], strides: &[usize]| {
        let (width, step) = (dims.last().copied().unwrap_or(1), strides.last().copied().unwrap_or(0));
        let mut at = Vec::with_capacity(dims.iter().product());
        rows(dims, [strides], |[first]| at.extend((0..width).map(|i| first + i * step)));
        at
    };
    let (outer, inner) = (offsets(&outer_dims, &outer_strides), offsets(&inner_dims, &inner_strides));
    if n > 0 && inner.is_empty() && matches!(f, Reduce::Max | Reduce::Min | Reduce::Mean) {
        return Err(Error::malformed("Reduce", "the largest, smallest or mean of nothing"));
    }
    let values = match x.values() {
        Values::F32(v) => Values::F32(Arc::new(outer.iter().map(|at| one(f, v, *at, &inner)).collect())),
        Values::F64(v) => Values::F64(Arc::new(outer.iter().map(|at| one(f, v, *at, &inner)).collect())),
        Values::I64(v) => {
            let of = |at: &usize| {
                let each = inner.iter().map(|i| v[at + i]);
                Ok(match f {
                    Reduce::Sum => each.fold(0, i64::wrapping_add),
                    Reduce::Prod => each.fold(1, i64::wrapping_mul),
                    Reduce::Max => each.fold(i64::MIN, i64::max),
                    Reduce::Min => each.fold(i64::MAX, i64::min),
                    Reduce::Mean => each.fold(0, i64::wrapping_add) / inner.len() as i64,
                    Reduce::L1 => each.fold(0i64, |s, x| s.wrapping_add(x.wrapping_abs())),
                    Reduce::SumSquare => each.fold(0i64, |s, x| s.wrapping_add(x.wrapping_mul(x))),
                    _ => return Err(Error::unsupported(format!("{f:?}"), "integer elements")),
                })
            };
            Values::I64(Arc::new(outer.iter().map(of).collect::<Result<_>>()?))
        }
        Values::Bool(v) => match f {
            Reduce::Max => Values::Bool(Arc::new(outer.iter().map(|at| inner.iter().any(|i| v[at + i])).collect())),
            Reduce::Min => Values::Bool(Arc::new(outer.iter().map(|at| inner.iter().all(|i| v[at + i])).collect())),
            _ => return Err(Error::unsupported(format!("{f:?}"), "truth values")),
        },
    };
    Tensor::new(x.dtype(), dims, values)
}

/// One result: over the elements of `v` at `at + inner`. Summed in f64, so that long means keep their digits.
fn one<F: Real>(f: Reduce, v: &[F], at: usize, inner: &[usize]) -> F {
    let each = || inner.iter().map(|i| v[at + i].to_f64());
    let value = match f {
        Reduce::Sum => each().sum(),
        Reduce::Mean => each().sum::<f64>() / inner.len() as f64,
        Reduce::Max => each().fold(f64::NEG_INFINITY, Real::larger),
        Reduce::Min => each().fold(f64::INFINITY, Real::smaller),
        Reduce::Prod => each().product(),
        Reduce::L1 => each().map(f64::abs).sum(),
        Reduce::L2 => each().map(|x| x * x).sum::<f64>().sqrt(),
        Reduce::SumSquare => each().map(|x| x * x).sum(),
        Reduce::LogSum => each().sum::<f64>().ln(),
        Reduce::LogSumExp => {
            let max = each().fold(f64::NEG_INFINITY, Real::larger);
            if max.is_finite() { each().map(|x| (x - max).exp()).sum::<f64>().ln() + max } else { max }
        }
    };
    F::from_f64(value)
}

pub(super) fn arg_extreme(
    extreme: ArgExtreme,
    x: &Tensor,
    axis: i64,
    keepdims: bool,
    select_last: bool,
) -> Result<Tensor> {
    let at = axis_of("ArgMax", axis, x.dims().len())?;
    let (outer, n, inner) = around(x.dims(), at);
    if n == 0 {
        return Err(Error::malformed("ArgMax", "the largest or smallest of nothing"));
    }
    fn best<T: PartialOrd + Copy>(extreme: ArgExtreme, last: bool, each: impl Iterator<Item = T>) -> i64 {
        let mut best: Option<(i64, T)> = None;
        for (i, x) in each.enumerate() {
            let better = best.is_none_or(|(_, b)| match extreme {
                ArgExtreme::Max => x > b || (last && x == b),
                ArgExtreme::Min => x < b || (last && x == b),
            });
            if better {
                best = Some((i as i64, x));
            }
        }
        best.map_or(0, |(i, _)| i)
    }
    let index = |o: usize, i: usize, k: usize| (o * n + k) * inner + i;
    let positions = (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i)));
    let v: Vec<i64> = match x.values() {
        Values::F32(v) => {
            positions.map(|(o, i)| best(extreme, select_last, (0..n).map(|k| v[index(o, i, k)]))).collect()
        }
        Values::F64(v) => {
            positions.map(|(o, i)| best(extreme, select_last, (0..n).map(|k| v[index(o, i, k)]))).collect()
        }
        Values::I64(v) => {
            positions.map(|(o, i)| best(extreme, select_last, (0..n).map(|k| v[index(o, i, k)]))).collect()
        }
        Values::Bool(_) => return Err(Error::unsupported("ArgMax", "truth values")),
    };
    let mut dims = x.dims().to_vec();
    if keepdims {
        dims[at] = 1;
    } else {
        dims.remove(at);
    }
    Tensor::from_i64(dims, v)
}

/// Values and places of the `k` largest or smallest along an axis; of equal ones the first comes first.
pub(super) fn top_k(x: &Tensor, k: &Tensor, axis: i64, largest: bool) -> Result<Vec<Tensor>> {
    let at = axis_of("TopK", axis, x.dims().len())?;
    let (outer, n, inner) = around(x.dims(), at);
    let k = match *integers("TopK: K", k)? {
        [k] => usize::try_from(k).ok().filter(|k| *k <= n),
        _ => None,
    };
    let k = k.ok_or_else(|| Error::malformed("TopK", format!("K must be one number from 0 to {n}")))?;
    let mut dims = x.dims().to_vec();
    dims[at] = k;
    fn found<T: PartialOrd + Copy>(
        v: &[T],
        [outer, n, inner]: [usize; 3],
        k: usize,
        largest: bool,
    ) -> (Arc<Vec<T>>, Vec<i64>) {
        let (mut values, mut places) = (vec![None; outer * k * inner], vec![0; outer * k * inner]);
        let mut order: Vec<usize> = Vec::new();
        for o in 0..outer {
            for i in 0..inner {
                let value = |p: &usize| v[(o * n + p) * inner + i];
                order.clear();
                order.extend(0..n);
                order.sort_by(|a, b| {
                    let is_nan = |x: T| x.partial_cmp(&x).is_none();
                    let (a, b) = (value(a), value(b));
                    // NaN is above all numbers: an order of all values.
                    let order = a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)));
                    if largest { order.reverse() } else { order }
                });
                for (p, place) in order[..k].iter().enumerate() {
                    let to = (o * k + p) * inner + i;
                    (values[to], places[to]) = (Some(value(place)), *place as i64);
                }
            }
        }
        (Arc::new(values.into_iter().flatten().collect()), places)
    }
    let sizes = [outer, n, inner];
    let (values, places) = match x.values() {
        Values::F32(v) => {
            let (v, p) = found(v, sizes, k, largest);
            (Values::F32(v), p)
        }
        Values::F64(v) => {
            let (v, p) = found(v, sizes, k, largest);
            (Values::F64(v), p)
        }
        Values::I64(v) => {
            let (v, p) = found(v, sizes, k, largest);
            (Values::I64(v), p)
        }
        Values::Bool(_) => return Err(Error::unsupported("TopK", "truth values")),
    };
    Ok(vec![Tensor::new(x.dtype(), dims.clone(), values)?, Tensor::from_i64(dims, places)?])
}

pub(super) fn cumulative_sum(x: &Tensor, axis: &Tensor, exclusive: bool, reverse: bool) -> Result<Tensor> {
    let [axis] = *integers("CumSum: axis", axis)? else {
        return Err(Error::malformed("CumSum", "one axis is needed"));
    };
    let at = axis_of("CumSum", axis, x.dims().len())?;
    let (outer, n, inner) = around(x.dims(), at);
    if x.as_bool().is_some() {
        return Err(Error::unsupported("CumSum", "truth values"));
    }
    fn of<T: Copy>(
        v: &[T],
        zero: T,
        add: impl Fn(T, T) -> T,
        [outer, n, inner]: [usize; 3],
        e: bool,
        r: bool,
    ) -> Vec<T> {
        let mut out = v.to_vec();
        for o in 0..outer {
            for i in 0..inner {
                let mut sum = zero;
                for k in 0..n {
                    let at = (o * n + if r { n - 1 - k } else { k }) * inner + i;
                    let next = add(sum, v[at]);
                    out[at] = if e { sum } else { next };
                    sum = next;
                }
            }
        }
        out
    }
    let sizes = [outer, n, inner];
    let values = match x.values() {
        Values::F32(v) => Values::F32(Arc::new(of(v, 0.0, |a, b| a + b, sizes, exclusive, reverse))),
        Values::F64(v) => Values::F64(Arc::new(of(v, 0.0, |a, b| a + b, sizes, exclusive, reverse))),
        Values::I64(v) => Values::I64(Arc::new(of(v, 0, i64::wrapping_add, sizes, exclusive, reverse))),
        Values::Bool(v) => Values::Bool(v.clone()),
    };
    Tensor::new(x.dtype(), x.dims().to_vec(), values)
}

/// Softmax, or its logarithm, over an axis.
pub(super) fn softmax(x: &Tensor, axis: i64, log: bool) -> Result<Tensor> {
    let rank = x.dims().len();
    let at = axis_of("Softmax", axis, rank)?;
    if at + 1 != rank {
        // The axis to the end and back.
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(at, rank - 1);
        let x = super::layout::transpose(x, Some(&perm))?;
        return super::layout::transpose(&softmax(&x, -1, log)?, Some(&perm));
    }
    fn of<F: Real>(v: &mut [F], width: usize, log: bool) {
        for row in v.chunks_mut(width.max(1)) {
            if log {
                // The largest first: it may be so large that nothing of the logarithm is left beside it.
                let largest = row.iter().fold(F::from_f64(f64::NEG_INFINITY), |max, x| if *x > max { *x } else { max });
                row.iter_mut().for_each(|x| *x -= largest);
                let sum = softmax::log_sum_exp(row);
                row.iter_mut().for_each(|x| *x -= sum);
            } else {
                softmax::softmax(row);
            }
        }
    }
    let width = x.dims()[at];
    let values = match x.clone().into_values() {
        Values::F32(mut v) => {
            of(Arc::make_mut(&mut v).as_mut_slice(), width, log);
            Values::F32(v)
        }
        Values::F64(mut v) => {
            of(Arc::make_mut(&mut v).as_mut_slice(), width, log);
            Values::F64(v)
        }
        _ => return Err(Error::unsupported("Softmax", format!("elements of {}", x.dtype()))),
    };
    Tensor::new(x.dtype(), x.dims().to_vec(), values)
}

/// Channel parameters `[C]`.
fn channels(what: &str, t: &Tensor, n: usize) -> Result<Vec<f64>> {
    if t.dims() != [n] || !t.dtype().is_float() {
        return Err(Error::dimensions(what, t.dims(), &[n]));
    }
    Ok(t.cast(Dtype::F64)?.as_f64().unwrap_or_default().to_vec())
}

fn second(what: &str, x: &Tensor) -> Result<(usize, usize, usize)> {
    match x.dims() {
        [b, c, rest @ ..] => Ok((*b, *c, rest.iter().product())),
        [b] if what == "BatchNormalization" => Ok((*b, 1, 1)),
        _ => Err(Error::malformed(what, format!("its input is {:?}", x.dims()))),
    }
}

/// `y = a x + b` per channel, the second axis.
fn per_channel(x: &Tensor, width: usize, factors: &[(f64, f64)]) -> Result<Tensor> {
    fn of<F: Real>(v: &[F], width: usize, factors: &[(f64, f64)]) -> Vec<F> {
        let mut out = v.to_vec();
        for (i, row) in out.chunks_mut(width.max(1)).enumerate() {
            let (a, b) = factors[i % factors.len()];
            let (a, b) = (F::from_f64(a), F::from_f64(b));
            row.iter_mut().for_each(|x| *x = a * *x + b);
        }
        out
    }
    let values = match x.values() {
        Values::F32(v) => Values::F32(Arc::new(of(v, width, factors))),
        Values::F64(v) => Values::F64(Arc::new(of(v, width, factors))),
        _ => return Err(Error::unsupported("normalization", format!("elements of {}", x.dtype()))),
    };
    Tensor::new(x.dtype(), x.dims().to_vec(), values)
}

pub(super) fn batch_normalization(x: &Tensor, parts: [&Tensor; 4], epsilon: f32) -> Result<Tensor> {
    let (_, c, width) = second("BatchNormalization", x)?;
    let [scale, bias, mean, var] = parts.map(|p| channels("BatchNormalization", p, c));
    let (scale, bias, mean, var) = (scale?, bias?, mean?, var?);
    let factors: Vec<(f64, f64)> = (0..c)
        .map(|i| {
            let a = scale[i] / (var[i] + f64::from(epsilon)).sqrt();
            (a, bias[i] - a * mean[i])
        })
        .collect();
    if factors.is_empty() {
        return Ok(x.clone());
    }
    per_channel(x, width, &factors)
}

/// Normalizes runs of `width` elements; then `scale` and `bias` by `of(run, position)`.
fn normalized(x: &Tensor, width: usize, epsilon: f32, of: impl Fn(usize, usize) -> (f64, f64)) -> Result<Tensor> {
    fn runs<F: Real>(v: &[F], width: usize, epsilon: f32, of: impl Fn(usize, usize) -> (f64, f64)) -> Vec<F> {
        let mut out = Vec::with_capacity(v.len());
        for (r, run) in v.chunks(width.max(1)).enumerate() {
            let n = run.len() as f64;
            let mean = run.iter().map(|x| x.to_f64()).sum::<f64>() / n;
            let var = run.iter().map(|x| (x.to_f64() - mean).powi(2)).sum::<f64>() / n;
            let by = 1.0 / (var + f64::from(epsilon)).sqrt();
            out.extend(run.iter().enumerate().map(|(i, x)| {
                let (scale, bias) = of(r, i);
                F::from_f64((x.to_f64() - mean) * by * scale + bias)
            }));
        }
        out
    }
    let values = match x.values() {
        Values::F32(v) => Values::F32(Arc::new(runs(v, width, epsilon, of))),
        Values::F64(v) => Values::F64(Arc::new(runs(v, width, epsilon, of))),
        _ => return Err(Error::unsupported("normalization", format!("elements of {}", x.dtype()))),
    };
    Tensor::new(x.dtype(), x.dims().to_vec(), values)
}

pub(super) fn instance_normalization(x: &Tensor, scale: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor> {
    let (_, c, width) = second("InstanceNormalization", x)?;
    let scale = channels("InstanceNormalization: scale", scale, c)?;
    let bias = channels("InstanceNormalization: B", bias, c)?;
    normalized(x, width, epsilon, |run, _| (scale[run % c], bias[run % c]))
}

pub(super) fn layer_normalization(
    x: &Tensor,
    scale: &Tensor,
    bias: Option<&Tensor>,
    axis: i64,
    epsilon: f32,
) -> Result<Tensor> {
    let at = axis_of("LayerNormalization", axis, x.dims().len())?;
    let over = &x.dims()[at..];
    let width: usize = over.iter().product();
    let stretched = |what: &str, t: &Tensor| -> Result<Vec<f64>> {
        let t = t.cast(Dtype::F64)?;
        if super::broadcast::joint(t.dims(), over)? != over {
            return Err(Error::dimensions(what, t.dims(), over));
        }
        super::broadcast::expand(t.as_f64().unwrap_or_default(), t.dims(), over)
    };
    let scale = stretched("LayerNormalization: scale", scale)?;
    let bias = match bias {
        Some(bias) => stretched("LayerNormalization: B", bias)?,
        None => vec![0.0; width],
    };
    normalized(x, width, epsilon, |_, i| (scale[i], bias[i]))
}

/// Largest or mean over all axes after the second.
pub(super) fn global_pool(x: &Tensor, reduce_by: Reduce) -> Result<Tensor> {
    let rank = x.dims().len();
    if rank < 3 {
        return Err(Error::malformed("global pooling", format!("its input is {:?}", x.dims())));
    }
    let axes = Tensor::from_i64([rank - 2], (2..rank as i64).collect())?;
    reduce(reduce_by, x, Some(&axes), true, false)
}

/// A tensor filled with one value.
pub(super) fn filled(shape: &[usize], value: &Tensor) -> Result<Tensor> {
    let n = size(shape)?;
    if value.len() != 1 {
        return Err(Error::malformed("ConstantOfShape", "its value is not one number"));
    }
    moved!(value, shape.to_vec(), |v| vec![v[0]; n])
}
