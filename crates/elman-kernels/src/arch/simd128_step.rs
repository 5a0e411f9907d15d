//! [`StepVector`] for WebAssembly's SIMD.

use core::arch::wasm32::*;

use super::simd128::Simd128;
use crate::vector::step::StepVector;

impl StepVector for Simd128 {
    type Int = v128;
    /// The four bytes as 16-bit numbers, twice.
    type Quad = v128;

    #[inline(always)]
    unsafe fn load_pair(p: *const u32) -> (Self, Self) {
        // SAFETY: the caller guarantees 4 words.
        Self::halves(unsafe { v128_load(p.cast()) })
    }

    #[inline(always)]
    fn int_zero() -> v128 {
        i32x4_splat(0)
    }

    #[inline(always)]
    unsafe fn int_load(p: *const u32) -> v128 {
        // SAFETY: the caller guarantees 4 words.
        unsafe { v128_load(p.cast()) }
    }

    #[inline(always)]
    fn int_add(a: v128, b: v128) -> v128 {
        i32x4_add(a, b)
    }

    #[inline(always)]
    fn int_to_f32(a: v128) -> Self {
        Simd128(f32x4_convert_i32x4(a))
    }

    #[inline(always)]
    unsafe fn quad(p: *const u32) -> v128 {
        // SAFETY: the caller guarantees a word.
        i16x8_extend_low_u8x16(u32x4_splat(unsafe { p.read_unaligned() }))
    }

    #[inline(always)]
    unsafe fn dot(acc: v128, w: *const u32, q: v128) -> v128 {
        // SAFETY: the caller guarantees 4 words.
        let w = unsafe { v128_load(w.cast()) };
        // The sums of two neighbouring products each.
        let low = i32x4_dot_i16x8(i16x8_extend_low_i8x16(w), q);
        let high = i32x4_dot_i16x8(i16x8_extend_high_i8x16(w), q);
        let even = i32x4_shuffle::<0, 2, 4, 6>(low, high);
        let odd = i32x4_shuffle::<1, 3, 5, 7>(low, high);
        i32x4_add(acc, i32x4_add(even, odd))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, n: usize) {
        let mut lanes = [0u32; 4];
        // SAFETY: the caller guarantees n bytes, `lanes` has 4.
        unsafe {
            v128_store(lanes.as_mut_ptr().cast(), self.rounded());
            for (i, lane) in lanes.into_iter().enumerate().take(n) {
                p.add(i).write((lane as u8).wrapping_add(128));
            }
        }
    }
}
