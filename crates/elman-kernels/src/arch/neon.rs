//! [`Vector`] for NEON: 32 registers of 4 `f32`. Every aarch64 target this is compiled for has it, so neither run-time
//! detection nor a `target_feature` shell is needed.

use core::arch::aarch64::*;

use crate::vector::{PairVector, Vector, approx};

/// One register.
#[derive(Clone, Copy)]
pub(crate) struct Neon(pub(super) float32x4_t);

const LANES: usize = 4;

// SAFETY of every block in it: the target this is compiled for has NEON; pointers are guaranteed valid by the caller of
// the trait's method.
impl Vector for Neon {
    type Scalar = f32;
    const LANES: usize = LANES;
    // 24 accumulators, the rest for operands.
    const ROWS_2: usize = 12;
    const ROWS_3: usize = 8;
    const ROWS_4: usize = 6;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vdupq_n_f32(x) })
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller guarantees 4 elements.
        Neon(unsafe { vld1q_f32(p) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller guarantees 4 elements.
        unsafe { vst1q_f32(p, self.0) }
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
        // SAFETY: see the impl.
        Neon(unsafe { vaddq_f32(self.0, b.0) })
    }
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vsubq_f32(self.0, b.0) })
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vmulq_f32(self.0, b.0) })
    }
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vdivq_f32(self.0, b.0) })
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vfmaq_f32(c.0, self.0, b.0) })
    }
    // NEON's own minimum and maximum propagate NaN from either operand.
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vbslq_f32(vcltq_f32(self.0, b.0), self.0, b.0) })
    }
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vbslq_f32(vcgtq_f32(self.0, b.0), self.0, b.0) })
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vsqrtq_f32(self.0) })
    }
    #[inline(always)]
    fn relu(self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vmaxq_f32(self.0, vdupq_n_f32(0.0)) })
    }
    #[inline(always)]
    fn where_positive(self, y: Self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vbslq_f32(vcgtzq_f32(self.0), y.0, vdupq_n_f32(0.0)) })
    }
    #[inline(always)]
    fn pow2(self) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe {
            let n = vaddq_s32(vcvtnq_s32_f32(self.0), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(n))
        })
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
        // SAFETY: see the impl.
        unsafe { vaddvq_f32(self.0) }
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        // SAFETY: see the impl.
        unsafe { vmaxvq_f32(self.0) }
    }
}

impl Neon {
    /// The even and the odd bfloat16 of each pair.
    #[inline(always)]
    pub(super) fn halves(pairs: uint32x4_t) -> (Self, Self) {
        // SAFETY: see the impl of `Vector`.
        unsafe {
            let odd = vandq_u32(pairs, vdupq_n_u32(0xffff_0000));
            (Neon(vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs))), Neon(vreinterpretq_f32_u32(odd)))
        }
    }
}

// SAFETY of every block in it: as for `Vector`.
impl PairVector for Neon {
    type Pairs = uint32x4_t;

    #[inline(always)]
    fn splat_pair(pair: u32) -> uint32x4_t {
        // SAFETY: see the impl.
        unsafe { vdupq_n_u32(pair) }
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const u32) -> uint32x4_t {
        // SAFETY: the caller guarantees 4 words.
        unsafe { vld1q_u32(p) }
    }
    #[inline(always)]
    fn multiply_add_pairs(self, a: uint32x4_t, b: uint32x4_t) -> Self {
        let ((a_even, a_odd), (b_even, b_odd)) = (Self::halves(a), Self::halves(b));
        a_even.mul_add(b_even, a_odd.mul_add(b_odd, self))
    }
}
