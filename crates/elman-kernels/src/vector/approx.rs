//! `exp`, `sigmoid` and `tanh` of a register of `f32`, with the same operations on every instruction set.
//!
//! [`crate::activation`] states the errors and measures them.

use super::Vector;

/// Beyond these, `2^n` below would leave the normal numbers.
const EXP_MAX: f32 = 88.37;
const EXP_MIN: f32 = -87.33;
/// ln 2 in two parts: the first has few bits, so that `n * LN2_HI` is exact.
const LN2_HI: f32 = 0.693_359_4;
const LN2_LO: f32 = -2.121_944_4e-4;
/// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
const ROUND: f32 = 12_582_912.0;
/// Near-minimax coefficients of `(e^r - 1 - r) / r^2` on |r| <= ln 2 / 2 (Cephes, expf).
const EXP_POLY: [f32; 6] = [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5];

/// `(2^n, e^r - 1)` with `x = n ln 2 + r`.
#[inline(always)]
fn split_exp<V: Vector<Scalar = f32>>(x: V) -> (V, V) {
    let x = V::splat(EXP_MAX).min(x);
    let x = V::splat(EXP_MIN).max(x);
    let n = x.mul_add(V::splat(core::f32::consts::LOG2_E), V::splat(ROUND)).sub(V::splat(ROUND));
    let r = n.mul_add(V::splat(-LN2_HI), x);
    let r = n.mul_add(V::splat(-LN2_LO), r);
    let mut p = V::splat(EXP_POLY[0]);
    for c in &EXP_POLY[1..] {
        p = p.mul_add(r, V::splat(*c));
    }
    (n.pow2(), p.mul_add(r.mul(r), r))
}

#[inline(always)]
pub(crate) fn exp_f32<V: Vector<Scalar = f32>>(x: V) -> V {
    let (scale, expm1) = split_exp(x);
    // A NaN in x is lost from n in the integer conversion; r still holds it.
    expm1.add(V::splat(1.0)).mul(scale)
}

#[inline(always)]
pub(crate) fn sigmoid_f32<V: Vector<Scalar = f32>>(x: V) -> V {
    let one = V::splat(1.0);
    one.div(one.add(exp_f32(V::splat(0.0).sub(x))))
}

/// `tanh x = e / (e + 2)` with `e = e^2x - 1`, computed without the cancellation near 0.
#[inline(always)]
pub(crate) fn tanh_f32<V: Vector<Scalar = f32>>(x: V) -> V {
    // From 9.011 on, tanh rounds to 1 in f32.
    let x = V::splat(10.0).min(x);
    let x = V::splat(-10.0).max(x);
    let (scale, expm1) = split_exp(x.add(x));
    let e = expm1.mul_add(scale, scale.sub(V::splat(1.0)));
    e.div(e.add(V::splat(2.0)))
}
