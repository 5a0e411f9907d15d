//! [`Vector`] for WebAssembly's SIMD: registers of 4 `f32`, of which an engine on x86 has 16. A module that is compiled for
//! it is only loaded by an engine that has it, so neither run-time detection nor a `target_feature` shell is needed.

use core::arch::wasm32::*;

use crate::vector::{PairVector, Vector, approx};

/// One register.
#[derive(Clone, Copy)]
pub(crate) struct Simd128(pub(super) v128);

const LANES: usize = 4;
/// 1.5 * 2^23: the low bits of `x + ROUND` are those of the nearest integer.
const ROUND: f32 = 12_582_912.0;

impl Vector for Simd128 {
    type Scalar = f32;
    const LANES: usize = LANES;
    // 10 accumulators at most, so that operands and the products, which are rounded on their own, stay in registers.
    const ROWS_2: usize = 5;
    const ROWS_3: usize = 3;
    const ROWS_4: usize = 2;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Simd128(f32x4_splat(x))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller guarantees 4 elements; no alignment is needed.
        Simd128(unsafe { v128_load(p.cast()) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: as for `load`, writable.
        unsafe { v128_store(p.cast(), self.0) }
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self {
        let mut lanes = [0.0; LANES];
        // SAFETY: the caller guarantees n elements; there are 4 lanes.
        unsafe {
            core::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n.min(LANES));
            Self::load(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store_n(self, p: *mut f32, n: usize) {
        let mut lanes = [0.0; LANES];
        // SAFETY: as for `load_n`, writable.
        unsafe {
            self.store(lanes.as_mut_ptr());
            core::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n.min(LANES));
        }
    }
    #[inline(always)]
    fn prefetch(_: *const f32) {}
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        Simd128(f32x4_add(self.0, b.0))
    }
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        Simd128(f32x4_sub(self.0, b.0))
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Simd128(f32x4_mul(self.0, b.0))
    }
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        Simd128(f32x4_div(self.0, b.0))
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // Two roundings: the fused one of relaxed SIMD is missing in some engines.
        self.mul(b).add(c)
    }
    // `pmin` and `pmax` are x86's single instructions; they return their first operand where either is NaN.
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        Simd128(f32x4_pmin(b.0, self.0))
    }
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        Simd128(f32x4_pmax(b.0, self.0))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Simd128(f32x4_sqrt(self.0))
    }
    #[inline(always)]
    fn relu(self) -> Self {
        Simd128(f32x4_pmax(self.0, f32x4_splat(0.0)))
    }
    #[inline(always)]
    fn where_positive(self, y: Self) -> Self {
        Simd128(v128_and(f32x4_gt(self.0, f32x4_splat(0.0)), y.0))
    }
    #[inline(always)]
    fn pow2(self) -> Self {
        // Converting to integers takes several instructions on x86; the low bits of a sum need none.
        let n = i32x4_add(f32x4_add(self.0, f32x4_splat(ROUND)), i32x4_splat(127));
        Simd128(i32x4_shl(n, 23))
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
    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d] = self.lanes();
        (a + c) + (b + d)
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        self.lanes().into_iter().fold(f32::NEG_INFINITY, |m, x| if x > m { x } else { m })
    }
}

impl Simd128 {
    #[inline(always)]
    fn lanes(self) -> [f32; LANES] {
        let x = self.0;
        [f32x4_extract_lane::<0>(x), f32x4_extract_lane::<1>(x), f32x4_extract_lane::<2>(x), f32x4_extract_lane::<3>(x)]
    }

    /// The even and the odd bfloat16 of each pair.
    #[inline(always)]
    pub(super) fn halves(pairs: v128) -> (Self, Self) {
        (Simd128(i32x4_shl(pairs, 16)), Simd128(v128_and(pairs, u32x4_splat(0xffff_0000))))
    }

    /// The nearest integers, ties to even, in the low bits; |x| below 2^22.
    #[inline(always)]
    pub(super) fn rounded(self) -> v128 {
        f32x4_add(self.0, f32x4_splat(ROUND))
    }
}

impl PairVector for Simd128 {
    type Pairs = v128;

    #[inline(always)]
    fn splat_pair(pair: u32) -> v128 {
        u32x4_splat(pair)
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const u32) -> v128 {
        // SAFETY: the caller guarantees 4 words.
        unsafe { v128_load(p.cast()) }
    }
    #[inline(always)]
    fn multiply_add_pairs(self, a: v128, b: v128) -> Self {
        let ((a_even, a_odd), (b_even, b_odd)) = (Self::halves(a), Self::halves(b));
        a_even.mul_add(b_even, a_odd.mul_add(b_odd, self))
    }
}
