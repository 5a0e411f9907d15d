//! [`StepVector`] for the two x86 instruction sets.

use core::arch::x86_64::*;

use super::x86::{Avx2, Avx512};
use crate::vector::step::{StepKernel, StepVector};

/// Runs a kernel with AVX2 and FMA enabled.
///
/// # Safety
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run_avx2<K: StepKernel>(kernel: K) {
    kernel.run::<Avx2>();
}

/// Runs a kernel with AVX-512F enabled.
///
/// # Safety
/// The CPU must have AVX-512F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) unsafe fn run_avx512<K: StepKernel>(kernel: K) {
    kernel.run::<Avx512>();
}

/// Runs a kernel with AVX-512F and VNNI enabled.
///
/// # Safety
/// The CPU must have AVX-512F, AVX-512 VNNI, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx512vnni,avx2,fma")]
pub(super) unsafe fn run_avx512_vnni<K: StepKernel>(kernel: K) {
    kernel.run::<Avx512>();
}

/// The first `n <= bytes.len()` bytes.
///
/// # Safety
/// `p` must be valid for writing `n` bytes.
#[inline(always)]
unsafe fn store_first<const N: usize>(bytes: [u8; N], p: *mut u8, n: usize) {
    // SAFETY: the caller guarantees `p`; `bytes` has at least n.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), p, n.min(N)) }
}

// SAFETY of every block in it: a value of `Avx2` is made only by a kernel inside `run_avx2`, whose caller has seen AVX2
// and FMA; pointers are guaranteed valid by the caller of the trait's method.
impl StepVector for Avx2 {
    type Int = __m256i;
    /// The bytes 0 and 2, and the bytes 1 and 3, each as two 16-bit numbers.
    type Quad = (__m256i, __m256i);

    #[inline(always)]
    unsafe fn load_pair(p: *const u32) -> (Self, Self) {
        // SAFETY: see the impl.
        unsafe { Self::halves(_mm256_loadu_si256(p.cast())) }
    }

    #[inline(always)]
    fn int_zero() -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn int_load(p: *const u32) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_loadu_si256(p.cast()) }
    }

    #[inline(always)]
    fn int_add(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn int_to_f32(a: __m256i) -> Self {
        // SAFETY: see the impl.
        Avx2(unsafe { _mm256_cvtepi32_ps(a) })
    }

    #[inline(always)]
    unsafe fn quad(p: *const u32) -> (__m256i, __m256i) {
        // SAFETY: see the impl.
        unsafe {
            let q = _mm256_set1_epi32(p.cast::<i32>().read());
            (_mm256_and_si256(q, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(q))
        }
    }

    #[inline(always)]
    unsafe fn dot(acc: __m256i, w: *const u32, (even, odd): (__m256i, __m256i)) -> __m256i {
        // Bytes widened to 16 bits, since the instruction that multiplies bytes saturates its sums.
        // SAFETY: see the impl.
        unsafe {
            let w = _mm256_loadu_si256(w.cast());
            let w_even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(w));
            let w_odd = _mm256_srai_epi16::<8>(w);
            let sum = _mm256_add_epi32(_mm256_madd_epi16(w_even, even), _mm256_madd_epi16(w_odd, odd));
            _mm256_add_epi32(acc, sum)
        }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, n: usize) {
        // SAFETY: see the impl.
        unsafe {
            let x = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(128));
            let words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
            let bytes = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
            if n == 8 { p.cast::<i64>().write_unaligned(bytes) } else { store_first(bytes.to_le_bytes(), p, n) }
        }
    }
}

// SAFETY of every block in it: as for `Avx2`, with AVX-512F and `run_avx512`; `dot` is called only by kernels that
// declare it, inside `run_avx512_vnni`.
impl StepVector for Avx512 {
    type Int = __m512i;
    type Quad = __m512i;

    #[inline(always)]
    unsafe fn load_pair(p: *const u32) -> (Self, Self) {
        // SAFETY: see the impl.
        unsafe { Self::halves(_mm512_loadu_si512(p.cast())) }
    }

    #[inline(always)]
    fn int_zero() -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn int_load(p: *const u32) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }

    #[inline(always)]
    fn int_add(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn int_to_f32(a: __m512i) -> Self {
        // SAFETY: see the impl.
        Avx512(unsafe { _mm512_cvtepi32_ps(a) })
    }

    #[inline(always)]
    unsafe fn quad(p: *const u32) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_epi32(p.cast::<i32>().read()) }
    }

    #[inline(always)]
    unsafe fn dot(acc: __m512i, w: *const u32, q: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_dpbusd_epi32(acc, q, _mm512_loadu_si512(w.cast())) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut u8, n: usize) {
        // SAFETY: see the impl; masked bytes are not written.
        unsafe {
            let x = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(128));
            _mm512_mask_cvtepi32_storeu_epi8(p.cast(), ((1u32 << n) - 1) as __mmask16, x);
        }
    }
}
