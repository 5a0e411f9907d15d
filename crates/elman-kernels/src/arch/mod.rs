//! [`crate::vector::Vector`] for each instruction set, and the one place that chooses among them.

pub(crate) mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::isa::{Isa, Kind};
use crate::vector::Kernel;

/// Runs an `f32` kernel on the vectors of `isa`.
#[inline(always)]
pub(crate) fn run_f32<K: Kernel<f32>>(isa: Isa, kernel: K) -> K::Output {
    match isa.kind() {
        Kind::Plain => kernel.run::<plain::Plain<f32>>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this kind exists only after the CPU was seen to have AVX2 and FMA.
        Kind::Avx2 => unsafe { x86::run_avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this kind exists only after the CPU was seen to have AVX-512F, AVX2 and FMA.
        Kind::Avx512 => unsafe { x86::run_avx512(kernel) },
    }
}
