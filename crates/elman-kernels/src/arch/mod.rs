//! [`crate::vector::Vector`] for each instruction set, and the one place that dispatches to them.

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon_step;
mod plain;
mod plain_step;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128_step;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_step;

use crate::isa::{Isa, Kind};
use crate::vector::step::StepKernel;
use crate::vector::{Kernel, PairKernel};

/// What a page steps with, whatever is chosen: two paths of these kernels are half a page.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
type InPage = simd128::Simd128;
#[cfg(all(target_arch = "wasm32", not(target_feature = "simd128")))]
type InPage = plain::Plain<f32>;

/// An element type that kernels run over. Sealed: no other crate can name this trait.
pub trait Run: Sized {
    /// Runs a kernel on the vectors of an instruction set.
    fn run<K: Kernel<Self>>(isa: Isa, kernel: K) -> K::Output;

    /// Runs a kernel over bfloat16 pairs on the vectors of an instruction set.
    fn run_pairs<K: PairKernel<Self>>(isa: Isa, kernel: K);
}

impl Run for f32 {
    #[inline(always)]
    fn run<K: Kernel<f32>>(isa: Isa, kernel: K) -> K::Output {
        run_f32(isa, kernel)
    }

    #[inline(always)]
    fn run_pairs<K: PairKernel<f32>>(isa: Isa, kernel: K) {
        run_pairs(isa, kernel);
    }
}

/// Plain arrays, whatever the instruction set.
#[cfg(feature = "std")]
impl Run for f64 {
    #[inline(always)]
    fn run<K: Kernel<f64>>(_isa: Isa, kernel: K) -> K::Output {
        kernel.run::<plain::Plain<f64>>()
    }

    #[inline(always)]
    fn run_pairs<K: PairKernel<f64>>(_isa: Isa, kernel: K) {
        kernel.run::<plain::Plain<f64>>();
    }
}

/// Runs an `f32` kernel on the vectors of `isa`.
#[inline(always)]
fn run_f32<K: Kernel<f32>>(isa: Isa, kernel: K) -> K::Output {
    match isa.kind() {
        Kind::Plain => kernel.run::<plain::Plain<f32>>(),
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        Kind::Neon => kernel.run::<neon::Neon>(),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Kind::Simd128 => kernel.run::<simd128::Simd128>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this kind exists only after the CPU was seen to have AVX2 and FMA.
        Kind::Avx2 => unsafe { x86::run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of these kinds exists only after the CPU was seen to have AVX-512F, AVX2 and FMA.
        Kind::Avx512 | Kind::Avx512Bf16 => unsafe { x86::run_avx512(kernel) },
    }
}

/// Runs an `f32` kernel over bfloat16 pairs on the vectors of `isa`.
#[inline(always)]
fn run_pairs<K: PairKernel<f32>>(isa: Isa, kernel: K) {
    match isa.kind() {
        #[cfg(not(target_arch = "wasm32"))]
        Kind::Plain => kernel.run::<plain::Plain<f32>>(),
        // One path in a page, for its size: bfloat16 is no precision that it trains in.
        #[cfg(target_arch = "wasm32")]
        _ => kernel.run::<InPage>(),
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        Kind::Neon => kernel.run::<neon::Neon>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this kind exists only after the CPU was seen to have AVX2 and FMA.
        Kind::Avx2 => unsafe { x86::run_pairs_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this kind exists only after the CPU was seen to have AVX-512F, AVX2 and FMA.
        Kind::Avx512 => unsafe { x86::run_pairs_avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above, and AVX-512 BF16.
        Kind::Avx512Bf16 => unsafe { x86::run_pairs_avx512_bf16(kernel) },
    }
}

/// Runs a kernel of single steps on the vectors of `isa`.
///
/// # Safety
/// If the kernel multiplies bytes, `isa` must be what [`Isa::with_byte_products`] returned.
#[inline(always)]
pub(crate) unsafe fn run_step<K: StepKernel>(isa: Isa, kernel: K) {
    match isa.kind() {
        #[cfg(not(target_arch = "wasm32"))]
        Kind::Plain => kernel.run::<plain::Plain<f32>>(),
        // One path in a page, for its size.
        #[cfg(target_arch = "wasm32")]
        _ => kernel.run::<InPage>(),
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        Kind::Neon => kernel.run::<neon::Neon>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this kind exists only after the CPU was seen to have AVX2 and FMA.
        Kind::Avx2 => unsafe { x86_step::run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this kind exists only after the CPU was seen to have AVX-512F, AVX2 and FMA; the caller
        // guarantees VNNI.
        Kind::Avx512 | Kind::Avx512Bf16 => unsafe {
            if K::BYTES { x86_step::run_avx512_vnni(kernel) } else { x86_step::run_avx512(kernel) }
        },
    }
}
