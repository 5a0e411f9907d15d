//! `exp`, `tanh` and `sigmoid` over slices.
//!
//! Errors of `f32` against the exact function over all of its values, measured by the tests below: `exp` at most 2 ulp
//! between -87.3 and 88.3 (outside it saturates at the smallest normal number and at the largest power in range),
//! `tanh` at most 4 ulp, `sigmoid` at most 3 ulp above -87. NaN gives NaN. `f64` uses the standard library.

use crate::compiled::compiled;
use crate::isa::Isa;
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

macro_rules! in_place {
    ($name:ident, $on:ident, $kernel:ident, $method:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name<F: Scalar>(x: &mut [F]) {
            compiled!(F: fn(x: &mut [f32]) { $on(Isa::best(), x) });
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

in_place!(exp, exp_on, Exp, exp, "`x = e^x`, element-wise; saturates instead of overflowing.");
in_place!(tanh, tanh_on, Tanh, tanh, "`x = tanh(x)`, element-wise.");
in_place!(sigmoid, sigmoid_on, Sigmoid, sigmoid, "`x = 1 / (1 + e^-x)`, element-wise.");
in_place!(relu, relu_on, Relu, relu, "`x = max(x, 0)`, element-wise; NaN stays.");
in_place!(sqrt, sqrt_on, Sqrt, sqrt, "`x = sqrt(x)`, element-wise, rounded exactly; NaN below 0.");

/// Near-minimax coefficients of `(ln(1 + r) - r + r^2 / 2) / r^3` for `1 + r` from sqrt(1/2) to sqrt(2) (Cephes, logf).
const LN_POLY: [f32; 9] = [
    7.037_683_6e-2, -0.115_146_1, 0.116_769_984, -0.124_201_41, 0.142_493_23, -0.166_680_57, 0.200_007_15,
    -0.249_999_94, 0.333_333_3,
];
/// ln 2 in two parts: the first has few bits, so that its product with an exponent is exact.
const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// `x = ln x`, element-wise, with an error of at most 2 ulp; negative infinity at 0, NaN below.
///
/// The same operations on every instruction set: a plain loop that the compiler vectorises.
pub fn ln(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = ln_of(*x));
}

#[inline(always)]
fn ln_of(x: f32) -> f32 {
    // Subnormal numbers are made normal.
    let (scaled, shift) = if x < f32::MIN_POSITIVE { (x * 8_388_608.0, 23) } else { (x, 0) };
    // x = 2^n (1 + r): the mantissa's upper half, from sqrt(2) on, counts for the next power.
    let bits = scaled.to_bits().wrapping_sub(0x3f35_04f3);
    let n = ((bits as i32) >> 23) as f32 - shift as f32;
    let r = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let p = LN_POLY[1..].iter().fold(LN_POLY[0], |p, c| p * r + c);
    let ln = r + (r * r * (p * r - 0.5) + n * LN2[1]) + n * LN2[0];
    if x > 0.0 && x < f32::INFINITY {
        ln
    } else if x == 0.0 {
        f32::NEG_INFINITY
    } else if x > 0.0 {
        x
    } else {
        f32::NAN
    }
}

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
    fn ln_and_sqrt_are_near_the_exact_functions() {
        let x: Vec<f32> = floats(f32::from_bits(1), f32::MAX).into_iter().filter(|x| *x > 0.0).collect();
        let mut y = x.clone();
        ln(&mut y);
        let worst = x.iter().zip(&y).map(|(&x, &y)| ulps(y, f64::from(x).ln())).fold(0.0, f64::max);
        assert!(worst <= 2.0, "{worst}");
        let mut ends = [0.0, -1.0, f32::INFINITY, f32::NAN, 1.0];
        ln(&mut ends);
        assert!(ends[0] == f32::NEG_INFINITY && ends[1].is_nan() && ends[2] == f32::INFINITY && ends[3].is_nan());
        assert_eq!(ends[4], 0.0);
        for isa in Isa::available() {
            let mut y = x.clone();
            sqrt_on(isa, &mut y);
            assert!(x.iter().zip(&y).all(|(x, y)| x.sqrt() == *y), "{isa:?}");
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
