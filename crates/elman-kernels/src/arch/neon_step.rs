//! [`StepVector`] for NEON.

use core::arch::aarch64::*;

use super::neon::Neon;
use crate::vector::step::StepVector;

// SAFETY of every block in it: as for `Vector`.
impl StepVector for Neon {
    type Int = int32x4_t;
    /// The four bytes as 16-bit numbers, twice.
    type Quad = int16x8_t;

    #[inline(always)]
    unsafe fn load_pair(p: *const u32) -> (Self, Self) {
        // SAFETY: the caller guarantees 4 words.
        Self::halves(unsafe { vld1q_u32(p) })
    }

    #[inline(always)]
    fn int_zero() -> int32x4_t {
        // SAFETY: see the impl.
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    unsafe fn int_load(p: *const u32) -> int32x4_t {
        // SAFETY: the caller guarantees 4 words.
        unsafe { vld1q_s32(p.cast()) }
    }

    #[inline(always)]
    fn int_add(a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: see the impl.
        unsafe { vaddq_s32(a, b) }
    }

    #[inline(always)]
    fn int_to_f32(a: int32x4_t) -> Self {
        // SAFETY: see the impl.
        Neon(unsafe { vcvtq_f32_s32(a) })
    }

    #[inline(always)]
    unsafe fn quad(p: *const u32) -> int16x8_t {
        // SAFETY: the caller guarantees a word.
        unsafe { vreinterpretq_s16_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(p.read())))) }
    }

    #[inline(always)]
    unsafe fn dot(acc: int32x4_t, w: *const u32, q: int16x8_t) -> int32x4_t {
        // SAFETY: see the impl; the caller guarantees 4 words.
        unsafe {
            let w = vld1q_s8(w.cast());
            let (low, high) = (vmovl_s8(vget_low_s8(w)), vmovl_high_s8(w));
            let (first, second) = (vmull_s16(vget_low_s16(low), vget_low_s16(q)), vmull_high_s16(low, q));
            let (third, fourth) = (vmull_s16(vget_low_s16(high), vget_low_s16(q)), vmull_high_s16(high, q));
            vaddq_s32(acc, vpaddq_s32(vpaddq_s32(first, second), vpaddq_s32(third, fourth)))
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, n: usize) {
        let mut lanes = [0; 4];
        // SAFETY: see the impl; the caller guarantees n bytes, `lanes` has 4.
        unsafe {
            let x = vaddq_s32(vcvtnq_s32_f32(self.0), vdupq_n_s32(128));
            vst1q_s32(lanes.as_mut_ptr(), x);
            for (i, lane) in lanes.into_iter().enumerate().take(n) {
                p.add(i).write(lane as u8);
            }
        }
    }
}
