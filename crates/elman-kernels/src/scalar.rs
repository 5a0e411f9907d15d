//! The two element types: `f32`, which runs the SIMD kernels, and `f64`, which runs plain loops, for gradient
//! checks and references.

use core::fmt::{Debug, Display};
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::arch::Run;
use crate::buffer::Element;

/// An element type: `f32` or (with `std`) `f64`.
pub trait Scalar:
    Copy
    + Default
    + Debug
    + Display
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Run
    + Element
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;
    #[doc(hidden)]
    const IS_F32: bool;
    /// Rounds to the nearest value of the type.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// The absolute value.
    fn abs(self) -> Self;
    /// The square root.
    #[cfg(feature = "std")]
    fn sqrt(self) -> Self;
    /// `e^self`, from the standard library.
    #[cfg(feature = "std")]
    fn exp(self) -> Self;
    /// The natural logarithm.
    #[cfg(feature = "std")]
    fn ln(self) -> Self;
    /// The hyperbolic tangent, from the standard library.
    #[cfg(feature = "std")]
    fn tanh(self) -> Self;

    /// The bits of the nearest bfloat16.
    #[doc(hidden)]
    fn to_bf16(self) -> u16;
}

macro_rules! scalar {
    ($type:ty, $name:literal) => {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
        const NAME: &'static str = $name;
        const IS_F32: bool = size_of::<$type>() == size_of::<f32>();
        #[inline(always)]
        fn from_f64(value: f64) -> Self {
            value as Self
        }
        #[inline(always)]
        fn to_f64(self) -> f64 {
            f64::from(self)
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            <$type>::is_finite(self)
        }
        #[inline(always)]
        fn abs(self) -> Self {
            <$type>::abs(self)
        }
        #[cfg(feature = "std")]
        #[inline(always)]
        fn sqrt(self) -> Self {
            <$type>::sqrt(self)
        }
        #[cfg(feature = "std")]
        #[inline(always)]
        fn exp(self) -> Self {
            <$type>::exp(self)
        }
        #[cfg(feature = "std")]
        #[inline(always)]
        fn ln(self) -> Self {
            <$type>::ln(self)
        }
        #[cfg(feature = "std")]
        #[inline(always)]
        fn tanh(self) -> Self {
            <$type>::tanh(self)
        }
    };
}

impl Scalar for f32 {
    scalar!(f32, "f32");

    #[inline(always)]
    fn to_bf16(self) -> u16 {
        round_to_bf16(self)
    }
}

#[cfg(feature = "std")]
impl Scalar for f64 {
    scalar!(f64, "f64");

    #[inline(always)]
    fn to_bf16(self) -> u16 {
        round_to_bf16(self as f32)
    }
}

/// The nearest bfloat16, ties to even: the upper half of an `f32`'s bits; non-finite values stay non-finite.
#[inline(always)]
pub fn round_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if !x.is_finite() {
        return (bits >> 16 | u32::from(x.is_nan())) as u16;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}
