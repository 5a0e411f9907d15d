//! [`Vector`] over arrays: correct on every target, and vectorised by the compiler where it can.

use crate::isa::LANES;
use crate::vector::{PairVector, Vector, approx};

/// [`LANES`] elements.
#[derive(Clone, Copy)]
pub(crate) struct Plain<F>(pub(super) [F; LANES]);

impl<F: Copy> Plain<F> {
    #[inline(always)]
    fn map(self, f: impl Fn(F) -> F) -> Self {
        Plain(self.0.map(f))
    }

    #[inline(always)]
    fn zip(mut self, b: Self, f: impl Fn(F, F) -> F) -> Self {
        for i in 0..LANES {
            self.0[i] = f(self.0[i], b.0[i]);
        }
        self
    }
}

macro_rules! plain {
    ($type:ty) => {
        type Scalar = $type;
        const LANES: usize = LANES;
        const ROWS_2: usize = 3;
        const ROWS_3: usize = 2;
        const ROWS_4: usize = 2;

        #[inline(always)]
        fn splat(x: $type) -> Self {
            Plain([x; LANES])
        }
        #[inline(always)]
        unsafe fn load(p: *const $type) -> Self {
            // SAFETY: the caller guarantees LANES readable elements; an array needs no more alignment than its element.
            Plain(unsafe { p.cast::<[$type; LANES]>().read_unaligned() })
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut $type) {
            // SAFETY: as for `load`, writable.
            unsafe { p.cast::<[$type; LANES]>().write_unaligned(self.0) }
        }
        #[inline(always)]
        unsafe fn load_n(p: *const $type, n: usize) -> Self {
            let mut v = [0.0; LANES];
            for i in 0..n {
                // SAFETY: the caller guarantees n readable elements.
                v[i] = unsafe { p.add(i).read() };
            }
            Plain(v)
        }
        #[inline(always)]
        unsafe fn store_n(self, p: *mut $type, n: usize) {
            for i in 0..n {
                // SAFETY: the caller guarantees n writable elements.
                unsafe { p.add(i).write(self.0[i]) }
            }
        }
        #[inline(always)]
        fn prefetch(_: *const $type) {}
        #[inline(always)]
        fn add(self, b: Self) -> Self {
            self.zip(b, |x, y| x + y)
        }
        #[inline(always)]
        fn sub(self, b: Self) -> Self {
            self.zip(b, |x, y| x - y)
        }
        #[inline(always)]
        fn mul(self, b: Self) -> Self {
            self.zip(b, |x, y| x * y)
        }
        #[inline(always)]
        fn div(self, b: Self) -> Self {
            self.zip(b, |x, y| x / y)
        }
        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            // Two roundings: a fused one would be a library call on targets without the instruction.
            self.mul(b).add(c)
        }
        #[inline(always)]
        fn min(self, b: Self) -> Self {
            self.zip(b, |x, y| if x < y { x } else { y })
        }
        #[inline(always)]
        fn max(self, b: Self) -> Self {
            self.zip(b, |x, y| if x > y { x } else { y })
        }
        #[inline(always)]
        fn relu(self) -> Self {
            self.map(|x| if x <= 0.0 { 0.0 } else { x })
        }
        #[inline(always)]
        fn where_positive(self, y: Self) -> Self {
            self.zip(y, |x, y| if x > 0.0 { y } else { 0.0 })
        }
        #[inline(always)]
        fn sum(self) -> $type {
            let v = self.0;
            ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))
        }
        #[inline(always)]
        fn max_lane(self) -> $type {
            self.0.iter().fold(<$type>::NEG_INFINITY, |m, &x| if x > m { x } else { m })
        }
    };
}

impl Vector for Plain<f32> {
    plain!(f32);

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.map(sqrt_f32)
    }
    #[inline(always)]
    fn pow2(self) -> Self {
        self.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn exp(self) -> Self {
        approx::exp_f32(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        approx::tanh_f32(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        approx::sigmoid_f32(self)
    }
}

#[cfg(feature = "std")]
#[inline(always)]
fn sqrt_f32(x: f32) -> f32 {
    x.sqrt()
}

/// Newton's iteration from an estimate from the exponent bits: `core` has no square root.
#[cfg(not(feature = "std"))]
#[inline(always)]
fn sqrt_f32(x: f32) -> f32 {
    if x <= 0.0 || !x.is_finite() {
        return if x < 0.0 { f32::NAN } else { x };
    }
    let mut y = f32::from_bits((x.to_bits() >> 1) + 0x1fbd_1df5);
    for _ in 0..4 {
        y = 0.5 * (y + x / y);
    }
    y
}

#[cfg(feature = "std")]
impl Vector for Plain<f64> {
    plain!(f64);

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.map(f64::sqrt)
    }
    #[inline(always)]
    fn pow2(self) -> Self {
        self.map(|n| f64::from_bits(((n as i64 + 1023) as u64) << 52))
    }
    #[inline(always)]
    fn exp(self) -> Self {
        self.map(f64::exp)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        self.map(f64::tanh)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        self.map(|x| 1.0 / (1.0 + (-x).exp()))
    }
}

macro_rules! plain_pairs {
    ($type:ty) => {
        type Pairs = [u32; LANES];

        #[inline(always)]
        fn splat_pair(pair: u32) -> [u32; LANES] {
            [pair; LANES]
        }
        #[inline(always)]
        unsafe fn load_pairs(p: *const u32) -> [u32; LANES] {
            // SAFETY: the caller guarantees LANES words.
            unsafe { p.cast::<[u32; LANES]>().read_unaligned() }
        }
        #[inline(always)]
        fn multiply_add_pairs(self, a: [u32; LANES], b: [u32; LANES]) -> Self {
            let odd = |pairs: [u32; LANES]| Plain(pairs.map(|p| <$type>::from(f32::from_bits(p & 0xffff_0000))));
            let even = |pairs: [u32; LANES]| Plain(pairs.map(|p| <$type>::from(f32::from_bits(p << 16))));
            even(a).mul_add(even(b), odd(a).mul_add(odd(b), self))
        }
    };
}

impl PairVector for Plain<f32> {
    plain_pairs!(f32);
}

#[cfg(feature = "std")]
impl PairVector for Plain<f64> {
    plain_pairs!(f64);
}
