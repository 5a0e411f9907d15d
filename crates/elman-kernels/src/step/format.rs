//! Storage formats of weights, and the product of a block with them.

use crate::vector::step::StepVector;

/// Storage precision of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As trained.
    #[default]
    F32,
    /// Rounded to bfloat16 (8 significant bits) and multiplied as `f32`: half the memory.
    Bf16,
    /// Signed bytes with a scale for each row of a matrix; inputs and states are quantised too, with a
    /// scale for each at every step. A quarter of the memory.
    Int8,
}

/// The vectors a block is multiplied with, one for each row of the step.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    /// `f32`, or bytes four to a word.
    pub(super) data: *const u32,
    /// Words from one row to the next.
    pub(super) stride: usize,
    /// For bytes: the scale of each row.
    pub(super) scales: *const f32,
}

/// The words of a block and the product with them. A part of a block, `[depth, N * LANES]` weights, is `HEADER` and
/// then `depth / DENSITY` (rounded up) rows of `N * LANES` words.
pub(super) trait Format {
    /// Rows of words before the weights.
    const HEADER: usize;
    /// Weights of a column in a word.
    const DENSITY: usize;
    /// Whether weights are bytes.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    const BYTES: bool;

    /// `acc[..][m][n] += sum_k x[m][k] w[k][n]`, where all `acc[s]` will be added in the end.
    ///
    /// # Safety
    /// `x` must have `M` rows of `depth` values, `w` the words of the part.
    unsafe fn multiply<V: StepVector, const M: usize, const N: usize, const S: usize>(
        depth: usize,
        x: Operand,
        w: *const u32,
        acc: &mut [[[V; N]; M]; S],
    );
}

/// Rows of words in a part of this depth.
pub(super) const fn words(precision: Precision, depth: usize) -> usize {
    let (header, density) = match precision {
        Precision::F32 => (F32::HEADER, F32::DENSITY),
        Precision::Bf16 => (Bf16::HEADER, Bf16::DENSITY),
        Precision::Int8 => (Int8::HEADER, Int8::DENSITY),
    };
    if depth == 0 { 0 } else { header + depth.div_ceil(density) }
}

/// Runs the body for `i` from 0 to `n - 1` with `s = i % S`, known at compile time. A macro, since a closure may not be
/// inlined into the `target_feature` shell.
macro_rules! in_turn {
    ($S:ident, $n:expr, |$i:ident, $s:ident| $body:block) => {
        let n = $n;
        let mut first = 0;
        while first + $S <= n {
            for $s in 0..$S {
                let $i = first + $s;
                $body
            }
            first += $S;
        }
        for $s in 0..$S {
            let $i = first + $s;
            if $i < n {
                $body
            }
        }
    };
}

/// Weights as `f32`.
pub(super) struct F32;

impl Format for F32 {
    const HEADER: usize = 0;
    const DENSITY: usize = 1;
    const BYTES: bool = false;

    #[inline(always)]
    unsafe fn multiply<V: StepVector, const M: usize, const N: usize, const S: usize>(
        depth: usize,
        x: Operand,
        w: *const u32,
        acc: &mut [[[V; N]; M]; S],
    ) {
        // A copy, so that it can stay in registers.
        let mut sums = *acc;
        let (w, data) = (w.cast::<f32>(), x.data.cast::<f32>());
        // SAFETY: k < depth; guaranteed by the caller.
        unsafe {
            in_turn!(S, depth, |k, s| {
                let w = w.add(k * N * V::LANES);
                let x: [V; M] = core::array::from_fn(|m| V::splat(*data.add(m * x.stride + k)));
                for n in 0..N {
                    let w = V::load(w.add(n * V::LANES));
                    for m in 0..M {
                        sums[s][m][n] = x[m].mul_add(w, sums[s][m][n]);
                    }
                }
            });
        }
        *acc = sums;
    }
}

/// Two weights in a word: those of an even `k` in the lower half, of the odd one after it in the upper.
pub(super) struct Bf16;

impl Format for Bf16 {
    const HEADER: usize = 0;
    const DENSITY: usize = 2;
    const BYTES: bool = false;

    #[inline(always)]
    unsafe fn multiply<V: StepVector, const M: usize, const N: usize, const S: usize>(
        depth: usize,
        x: Operand,
        w: *const u32,
        acc: &mut [[[V; N]; M]; S],
    ) {
        let mut sums = *acc;
        let data = x.data.cast::<f32>();
        // SAFETY: 2 i + 1 < depth; guaranteed by the caller.
        unsafe {
            in_turn!(S, depth / 2, |i, s| {
                let w = w.add(i * N * V::LANES);
                let even: [V; M] = core::array::from_fn(|m| V::splat(*data.add(m * x.stride + 2 * i)));
                let odd: [V; M] = core::array::from_fn(|m| V::splat(*data.add(m * x.stride + 2 * i + 1)));
                for n in 0..N {
                    let (lower, upper) = V::load_pair(w.add(n * V::LANES));
                    for m in 0..M {
                        sums[s][m][n] = odd[m].mul_add(upper, even[m].mul_add(lower, sums[s][m][n]));
                    }
                }
            });
        }
        if depth % 2 == 1 {
            // SAFETY: the last word's upper half has no row of `x`.
            unsafe {
                let w = w.add(depth / 2 * N * V::LANES);
                for m in 0..M {
                    let last = V::splat(*data.add(m * x.stride + depth - 1));
                    for n in 0..N {
                        let (lower, _) = V::load_pair(w.add(n * V::LANES));
                        sums[0][m][n] = last.mul_add(lower, sums[0][m][n]);
                    }
                }
            }
        }
        *acc = sums;
    }
}

/// Four weights in a word, as signed bytes. Before them a row of initial sums, since the bytes of `x` are offset by
/// 128, and a row of scales.
pub(super) struct Int8;

/// The most byte products whose sum cannot overflow `i32`; a matrix with longer rows is stored as [`Precision::Bf16`].
pub const INT8_DEPTH: usize = 1 << 16;

impl Format for Int8 {
    const HEADER: usize = 2;
    const DENSITY: usize = 4;
    const BYTES: bool = true;

    #[inline(always)]
    unsafe fn multiply<V: StepVector, const M: usize, const N: usize, const S: usize>(
        depth: usize,
        x: Operand,
        w: *const u32,
        acc: &mut [[[V; N]; M]; S],
    ) {
        if depth == 0 {
            return;
        }
        let mut sums = [[[V::int_zero(); N]; M]; S];
        let row = N * V::LANES;
        // SAFETY: 4 i < depth, and words are padded; guaranteed by the caller.
        unsafe {
            for n in 0..N {
                let start = V::int_load(w.add(n * V::LANES));
                for m in 0..M {
                    sums[0][m][n] = start;
                }
            }
            let weights = w.add(2 * row);
            in_turn!(S, depth.div_ceil(4), |i, s| {
                let w = weights.add(i * row);
                let x: [V::Quad; M] = core::array::from_fn(|m| V::quad(x.data.add(m * x.stride + i)));
                for n in 0..N {
                    for m in 0..M {
                        sums[s][m][n] = V::dot(sums[s][m][n], w.add(n * V::LANES), x[m]);
                    }
                }
            });
            let scales = w.add(row).cast::<f32>();
            for m in 0..M {
                let scale = V::splat(*x.scales.add(m));
                for n in 0..N {
                    let mut sum = sums[0][m][n];
                    for s in 1..S {
                        sum = V::int_add(sum, sums[s][m][n]);
                    }
                    let scale = scale.mul(V::load(scales.add(n * V::LANES)));
                    acc[0][m][n] = V::int_to_f32(sum).mul_add(scale, acc[0][m][n]);
                }
            }
        }
    }
}

/// A row of weights as bytes: their scale, `max |w| / 127`, and a function that rounds one.
pub(super) fn to_bytes(row: impl Iterator<Item = f32>) -> (f32, impl Fn(f32) -> i8) {
    let max = row.fold(0.0, |max: f32, w| if w.abs() > max { w.abs() } else { max });
    let inverse = 127.0 / max;
    // A row so small that the inverse overflows is treated as zero.
    let (scale, inverse) = if inverse.is_finite() { (max / 127.0, inverse) } else { (0.0, 0.0) };
    // Half away from zero: the conversion truncates.
    (scale, move |w: f32| (w * inverse + if w < 0.0 { -0.5 } else { 0.5 }) as i8)
}

/// Quantises a row of weights to bytes as [`super::Panels`] does; returns the scale, `max |w| / 127`.
///
/// # Panics
/// If the lengths differ.
pub fn round_to_bytes(row: &[f32], bytes: &mut [i8]) -> f32 {
    assert_eq!(row.len(), bytes.len(), "one byte per weight");
    let (scale, round) = to_bytes(row.iter().copied());
    bytes.iter_mut().zip(row).for_each(|(byte, w)| *byte = round(*w));
    scale
}
