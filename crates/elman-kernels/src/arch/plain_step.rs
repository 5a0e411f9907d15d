//! [`StepVector`] over arrays.

use super::plain::Plain;
use crate::isa::LANES;
use crate::vector::step::StepVector;

impl StepVector for Plain<f32> {
    type Int = [i32; LANES];
    type Quad = [i32; 4];

    #[inline(always)]
    unsafe fn load_pair(p: *const u32) -> (Self, Self) {
        // SAFETY: the caller guarantees LANES words.
        let words = unsafe { p.cast::<[u32; LANES]>().read_unaligned() };
        (Plain(words.map(|w| f32::from_bits(w << 16))), Plain(words.map(|w| f32::from_bits(w & 0xffff_0000))))
    }

    #[inline(always)]
    fn int_zero() -> [i32; LANES] {
        [0; LANES]
    }

    #[inline(always)]
    unsafe fn int_load(p: *const u32) -> [i32; LANES] {
        // SAFETY: the caller guarantees LANES words.
        unsafe { p.cast::<[i32; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    fn int_add(mut a: [i32; LANES], b: [i32; LANES]) -> [i32; LANES] {
        for i in 0..LANES {
            a[i] = a[i].wrapping_add(b[i]);
        }
        a
    }

    #[inline(always)]
    fn int_to_f32(a: [i32; LANES]) -> Self {
        Plain(a.map(|x| x as f32))
    }

    #[inline(always)]
    unsafe fn quad(p: *const u32) -> [i32; 4] {
        // SAFETY: the caller guarantees a word.
        unsafe { p.cast::<[u8; 4]>().read().map(i32::from) }
    }

    #[inline(always)]
    unsafe fn dot(mut acc: [i32; LANES], w: *const u32, q: [i32; 4]) -> [i32; LANES] {
        // SAFETY: the caller guarantees LANES words.
        let w = unsafe { w.cast::<[u32; LANES]>().read() }.map(u32::to_le_bytes);
        for i in 0..LANES {
            for j in 0..4 {
                acc[i] = acc[i].wrapping_add(i32::from(w[i][j] as i8) * q[j]);
            }
        }
        acc
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, n: usize) {
        // 1.5 * 2^23: in its neighbourhood floats are integers, and the sum is rounded to the nearest, ties to even.
        const ROUND: f32 = 12_582_912.0;
        for i in 0..n {
            // SAFETY: the caller guarantees n bytes.
            unsafe { p.add(i).write(((self.0[i] + ROUND - ROUND) as i32 + 128) as u8) };
        }
    }
}
