//! `exp`, `tanh` and `sigmoid` over slices, and their vector bodies for `f32`.
//!
//! Errors against the exact function over all of `f32`, measured by the tests below: `exp` at most 2 ulp between -87.3
//! and 88.3 (below it stays at the smallest normal number, above at the largest power it reaches), `tanh` at most 4 ulp,
//! `sigmoid` at most 3 ulp above -87. NaN gives NaN. `f64` uses the standard library.

use crate::isa::Isa;
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

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
    // A NaN in x went into n and out of the integer conversion; r still holds it.
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

macro_rules! in_place {
    ($name:ident, $on:ident, $kernel:ident, $method:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name<F: Scalar>(x: &mut [F]) {
            $on(Isa::best(), x);
        }

        pub(crate) fn $on<F: Scalar>(isa: Isa, x: &mut [F]) {
            F::run(isa, $kernel { x });
        }

        struct $kernel<'a, F> {
            x: &'a mut [F],
        }

        impl<F: Scalar> Kernel<F> for $kernel<'_, F> {
            type Output = ();
            #[inline(always)]
            fn run<V: Vector<Scalar = F>>(self) {
                let (mut i, n) = (0, self.x.len());
                let p = self.x.as_mut_ptr();
                while i < n {
                    let m = V::LANES.min(n - i);
                    // SAFETY: i + m <= n, the length of the slice.
                    unsafe { V::load_n(p.add(i), m).$method().store_n(p.add(i), m) };
                    i += m;
                }
            }
        }
    };
}

in_place!(exp, exp_on, Exp, exp, "`x = e^x`, element by element; saturates instead of overflowing.");
in_place!(tanh, tanh_on, Tanh, tanh, "`x = tanh(x)`, element by element.");
in_place!(sigmoid, sigmoid_on, Sigmoid, sigmoid, "`x = 1 / (1 + e^-x)`, element by element.");
in_place!(relu, relu_on, Relu, relu, "`x = max(x, 0)`, element by element; NaN stays.");

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn ulps(got: f32, want: f64) -> f64 {
        let w = want as f32;
        let next = f32::from_bits(w.abs().to_bits() + 1);
        (f64::from(got) - want).abs() / (f64::from(next) - f64::from(w.abs()))
    }

    /// Every 997th float of the range: some four million.
    fn floats(lo: f32, hi: f32) -> Vec<f32> {
        (0..u32::MAX / 997).map(|i| f32::from_bits(i * 997)).filter(|x| *x >= lo && *x <= hi).collect()
    }

    fn worst(isa: Isa, lo: f32, hi: f32, on: fn(Isa, &mut [f32]), exact: fn(f64) -> f64) -> f64 {
        let x = floats(lo, hi);
        let mut y = x.clone();
        on(isa, &mut y);
        x.iter().zip(&y).map(|(&x, &y)| ulps(y, exact(f64::from(x)))).fold(0.0, f64::max)
    }

    #[test]
    fn errors_stay_within_the_documented_ulps() {
        for isa in Isa::available() {
            let exp = worst(isa, -87.3, 88.3, exp_on, f64::exp);
            let tanh = worst(isa, -1e30, 1e30, tanh_on, f64::tanh);
            let sigmoid = worst(isa, -87.0, 1e30, sigmoid_on, |x| 1.0 / (1.0 + (-x).exp()));
            assert!(exp <= 2.0 && tanh <= 4.0 && sigmoid <= 3.0, "{isa:?}: {exp} {tanh} {sigmoid}");
        }
    }

    #[test]
    fn nan_stays_nan_and_the_ends_saturate() {
        for isa in Isa::available() {
            for on in [exp_on::<f32>, tanh_on, sigmoid_on, relu_on] {
                let mut x = [f32::NAN; 19];
                on(isa, &mut x);
                assert!(x.iter().all(|x| x.is_nan()), "{isa:?}");
            }
            let mut x = [f32::INFINITY, f32::NEG_INFINITY, 1e9, -1e9];
            tanh_on(isa, &mut x);
            assert_eq!(x, [1.0, -1.0, 1.0, -1.0]);
            let mut x = [f32::INFINITY, f32::NEG_INFINITY];
            sigmoid_on(isa, &mut x);
            assert!(x[0] == 1.0 && x[1] < 2e-38);
        }
    }
}
