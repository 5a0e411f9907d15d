//! Broadcasting as NumPy and ONNX do it: dimensions are aligned at the end, and a 1 stretches.

use crate::error::{Error, Result};
use crate::tensor::count;

/// Largest number of elements of a value that a run makes.
const LARGEST: usize = 1 << 30;

/// Number of elements of a value about to be made.
///
/// # Errors
/// If it is more than a run may make.
pub(super) fn size(dims: &[usize]) -> Result<usize> {
    let n = count(dims)?;
    if n > LARGEST {
        return Err(Error::TooLarge {
            part: format!("a value {dims:?}"),
            size: format!("{n} elements"),
            most: format!("{LARGEST}"),
        });
    }
    Ok(n)
}

/// Dimensions of two values broadcast against each other.
pub(super) fn joint(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |d: &[usize], i: usize| (i + d.len()).checked_sub(rank).map_or(1, |i| d[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (p, q) if p == q => Ok(p),
            (1, q) => Ok(q),
            (p, 1) => Ok(p),
            _ => Err(Error::Dimensions {
                part: "broadcasting".into(),
                got: format!("{a:?} and {b:?}"),
                want: "sizes that are equal or 1".into(),
            }),
        })
        .collect()
}

/// Elements from one index to the next along each axis, row-major.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(dims[i]);
    }
    strides
}

/// Strides of `dims` seen as `to`: 0 along stretched axes.
pub(super) fn stretched(dims: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(dims);
    let missing = to.len() - dims.len();
    (0..to.len()).map(|i| if i < missing || dims[i - missing] == 1 { 0 } else { own[i - missing] }).collect()
}

/// Calls `f` with the offsets of the first element of every row (last axis) of `dims`, for each list of strides, in order.
pub(super) fn rows<const N: usize>(dims: &[usize], strides: [&[usize]; N], mut f: impl FnMut([usize; N])) {
    if dims.contains(&0) {
        return;
    }
    let outer = dims.len().saturating_sub(1);
    let mut index = vec![0; outer];
    let mut at = [0; N];
    loop {
        f(at);
        let mut axis = outer;
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            for (at, strides) in at.iter_mut().zip(strides) {
                *at += strides[axis];
            }
            if index[axis] < dims[axis] {
                break;
            }
            for (at, strides) in at.iter_mut().zip(strides) {
                *at -= strides[axis] * dims[axis];
            }
            index[axis] = 0;
        }
    }
}

/// `f` of two broadcast values.
pub(super) fn zip<A: Copy, B: Copy, O>(
    (a, a_dims): (&[A], &[usize]),
    (b, b_dims): (&[B], &[usize]),
    f: impl Fn(A, B) -> O,
) -> Result<(Vec<usize>, Vec<O>)> {
    if a_dims == b_dims {
        return Ok((a_dims.to_vec(), a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()));
    }
    let dims = joint(a_dims, b_dims)?;
    let n = size(&dims)?;
    if b.len() == 1 && a.len() == n {
        return Ok((dims, a.iter().map(|a| f(*a, b[0])).collect()));
    }
    if a.len() == 1 && b.len() == n {
        return Ok((dims, b.iter().map(|b| f(a[0], *b)).collect()));
    }
    let (sa, sb) = (stretched(a_dims, &dims), stretched(b_dims, &dims));
    let (Some(width), Some(&ia), Some(&ib)) = (dims.last(), sa.last(), sb.last()) else {
        return Ok((dims, vec![f(a[0], b[0])]));
    };
    let mut out = Vec::with_capacity(n);
    rows(&dims, [&sa, &sb], |[at_a, at_b]| match (ia, ib) {
        (1, 1) => out.extend(a[at_a..at_a + width].iter().zip(&b[at_b..at_b + width]).map(|(a, b)| f(*a, *b))),
        (1, 0) => out.extend(a[at_a..at_a + width].iter().map(|a| f(*a, b[at_b]))),
        (0, 1) => out.extend(b[at_b..at_b + width].iter().map(|b| f(a[at_a], *b))),
        _ => out.extend((0..*width).map(|i| f(a[at_a + i * ia], b[at_b + i * ib]))),
    });
    Ok((dims, out))
}

/// A value stretched to other dimensions.
pub(super) fn expand<A: Copy>(a: &[A], from: &[usize], to: &[usize]) -> Result<Vec<A>> {
    let n = size(to)?;
    let strides = stretched(from, to);
    let (Some(width), Some(&step)) = (to.last(), strides.last()) else { return Ok(a.to_vec()) };
    let mut out = Vec::with_capacity(n);
    rows(to, [&strides], |[at]| {
        if step == 1 {
            out.extend_from_slice(&a[at..at + width]);
        } else {
            out.extend((0..*width).map(|i| a[at + i * step]));
        }
    });
    Ok(out)
}
