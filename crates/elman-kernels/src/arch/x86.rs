//! [`Vector`] for the two x86 instruction sets: AVX2 with FMA (16 registers of 8 `f32`) and AVX-512F (32 of 16).

use core::arch::x86_64::*;

use crate::vector::{Kernel, PairKernel, PairVector, Vector, approx};

/// One register of AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(pub(super) __m256);

/// One register of AVX-512F; with `BF16`, of a CPU with AVX-512 BF16.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool = false>(pub(super) __m512);

/// Runs a kernel with AVX2 and FMA enabled.
///
/// # Safety
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn run_avx2<K: Kernel<f32>>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

/// Runs a kernel with AVX-512F enabled.
///
/// # Safety
/// The CPU must have AVX-512F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(crate) unsafe fn run_avx512<K: Kernel<f32>>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

/// Runs a kernel over pairs with AVX2 and FMA enabled.
///
/// # Safety
/// The CPU must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn run_pairs_avx2<K: PairKernel<f32>>(kernel: K) {
    kernel.run::<Avx2>();
}

/// Runs a kernel over pairs with AVX-512F enabled.
///
/// # Safety
/// The CPU must have AVX-512F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
pub(crate) unsafe fn run_pairs_avx512<K: PairKernel<f32>>(kernel: K) {
    kernel.run::<Avx512>();
}

/// Runs a kernel over pairs with AVX-512F and AVX-512 BF16 enabled.
///
/// # Safety
/// The CPU must have AVX-512F, AVX-512 BF16, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
pub(crate) unsafe fn run_pairs_avx512_bf16<K: PairKernel<f32>>(kernel: K) {
    kernel.run::<Avx512<true>>();
}

/// Lane masks: the 8 values from `8 - n` have their first n lanes set.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
fn mask8(n: usize) -> __m256i {
    debug_assert!(n <= 8);
    // SAFETY: n <= 8, so 8 values from 8 - n stay inside the 16; runs inside the shell of AVX2.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - n).cast()) }
}

#[inline(always)]
fn mask16(n: usize) -> __mmask16 {
    debug_assert!(n <= 16);
    ((1u32 << n) - 1) as __mmask16
}

/// The methods whose intrinsics differ only in their prefix.
macro_rules! same_but_for_width {
    ($add:ident $sub:ident $mul:ident $div:ident $fma:ident $min:ident $max:ident $sqrt:ident $zero:ident $splat:ident
     $load:ident $store:ident) => {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $splat(x) })
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $load(p) })
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: see the impl.
            unsafe { $store(p, self.0) }
        }
        #[inline(always)]
        fn prefetch(p: *const f32) {
            // SAFETY: a prefetch has no effect visible to the program, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
        #[inline(always)]
        fn prefetch_later(p: *const u8) {
            // SAFETY: a prefetch has no effect visible to the program, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
        }
        #[inline(always)]
        fn add(self, b: Self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $add(self.0, b.0) })
        }
        #[inline(always)]
        fn sub(self, b: Self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $sub(self.0, b.0) })
        }
        #[inline(always)]
        fn mul(self, b: Self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $mul(self.0, b.0) })
        }
        #[inline(always)]
        fn div(self, b: Self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $div(self.0, b.0) })
        }
        #[inline(always)]
        fn mul_add(self, b: Self, c: Self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $fma(self.0, b.0, c.0) })
        }
        #[inline(always)]
        fn min(self, b: Self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $min(self.0, b.0) })
        }
        #[inline(always)]
        fn max(self, b: Self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $max(self.0, b.0) })
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { $sqrt(self.0) })
        }
        #[inline(always)]
        fn relu(self) -> Self {
            // SAFETY: see the impl; the maximum of 0 and x is x where x is NaN.
            Self(unsafe { $max($zero(), self.0) })
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
    };
}

// SAFETY of every block in it: a value of `Avx2` is made only by a kernel inside `run_avx2`, whose caller has seen AVX2
// and FMA; pointers are guaranteed valid by the caller of the trait's method.
impl Vector for Avx2 {
    type Scalar = f32;
    const LANES: usize = 8;
    // 12 accumulators, the rest for operands.
    const ROWS_2: usize = 6;
    const ROWS_3: usize = 3;
    const ROWS_4: usize = 3;

    same_but_for_width!(_mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps _mm256_min_ps
        _mm256_max_ps _mm256_sqrt_ps _mm256_setzero_ps _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps);

    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self {
        // SAFETY: see the impl; masked lanes are not read.
        Self(unsafe { _mm256_maskload_ps(p, mask8(n)) })
    }
    #[inline(always)]
    unsafe fn store_n(self, p: *mut f32, n: usize) {
        // SAFETY: see the impl; masked lanes are not written.
        unsafe { _mm256_maskstore_ps(p, mask8(n), self.0) }
    }
    #[inline(always)]
    fn where_positive(self, y: Self) -> Self {
        // SAFETY: see the impl.
        Self(unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, _mm256_setzero_ps()), y.0) })
    }
    #[inline(always)]
    fn pow2(self) -> Self {
        // SAFETY: see the impl.
        Self(unsafe {
            let n = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(n))
        })
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: see the impl.
        unsafe {
            let x = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        // SAFETY: see the impl.
        unsafe {
            let x = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }
}

// SAFETY of every block in it: as for `Avx2`, with AVX-512F and `run_avx512`.
impl<const BF16: bool> Vector for Avx512<BF16> {
    type Scalar = f32;
    const LANES: usize = 16;
    // 24 accumulators, the rest for operands.
    const ROWS_2: usize = 12;
    const ROWS_3: usize = 8;
    const ROWS_4: usize = 6;

    same_but_for_width!(_mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_fmadd_ps _mm512_min_ps
        _mm512_max_ps _mm512_sqrt_ps _mm512_setzero_ps _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps);

    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self {
        // SAFETY: see the impl; masked lanes are not read.
        Self(unsafe { _mm512_maskz_loadu_ps(mask16(n), p) })
    }
    #[inline(always)]
    unsafe fn store_n(self, p: *mut f32, n: usize) {
        // SAFETY: see the impl; masked lanes are not written.
        unsafe { _mm512_mask_storeu_ps(p, mask16(n), self.0) }
    }
    #[inline(always)]
    fn where_positive(self, y: Self) -> Self {
        // SAFETY: see the impl.
        Self(unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(positive, y.0)
        })
    }
    #[inline(always)]
    fn pow2(self) -> Self {
        // SAFETY: see the impl.
        Self(unsafe {
            let n = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(n))
        })
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: see the impl.
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        // SAFETY: see the impl.
        unsafe { _mm512_reduce_max_ps(self.0) }
    }
}

impl Avx2 {
    /// The even and the odd bfloat16 of each pair.
    ///
    /// # Safety
    /// The CPU must have AVX2.
    #[inline(always)]
    pub(super) unsafe fn halves(pairs: __m256i) -> (Self, Self) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let upper = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff_0000_u32 as i32));
            (Self(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs))), Self(_mm256_castsi256_ps(upper)))
        }
    }
}

impl<const BF16: bool> Avx512<BF16> {
    /// The even and the odd bfloat16 of each pair.
    ///
    /// # Safety
    /// The CPU must have AVX-512F.
    #[inline(always)]
    pub(super) unsafe fn halves(pairs: __m512i) -> (Self, Self) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let upper = _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            (Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs))), Self(_mm512_castsi512_ps(upper)))
        }
    }
}

// SAFETY of every block in it: as for `Vector`.
impl PairVector for Avx2 {
    type Pairs = __m256i;

    #[inline(always)]
    fn splat_pair(pair: u32) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_set1_epi32(pair as i32) }
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const u32) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_loadu_si256(p.cast()) }
    }
    #[inline(always)]
    fn multiply_add_pairs(self, a: __m256i, b: __m256i) -> Self {
        // SAFETY: see the impl.
        unsafe {
            let ((a_even, a_odd), (b_even, b_odd)) = (Self::halves(a), Self::halves(b));
            a_even.mul_add(b_even, a_odd.mul_add(b_odd, self))
        }
    }
}

// SAFETY of every block in it: as for `Vector`; with `BF16` inside `run_pairs_avx512_bf16`.
impl<const BF16: bool> PairVector for Avx512<BF16> {
    type Pairs = __m512i;

    #[inline(always)]
    fn splat_pair(pair: u32) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_epi32(pair as i32) }
    }
    #[inline(always)]
    unsafe fn load_pairs(p: *const u32) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    fn multiply_add_pairs(self, a: __m512i, b: __m512i) -> Self {
        // SAFETY: see the impl; both are 512-bit registers of integers.
        unsafe {
            if BF16 {
                let (a, b) = core::mem::transmute::<(__m512i, __m512i), (__m512bh, __m512bh)>((a, b));
                return Self(_mm512_dpbf16_ps(self.0, a, b));
            }
            let ((a_even, a_odd), (b_even, b_odd)) = (Self::halves(a), Self::halves(b));
            a_even.mul_add(b_even, a_odd.mul_add(b_odd, self))
        }
    }
}
