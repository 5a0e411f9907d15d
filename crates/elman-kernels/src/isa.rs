//! Detection of the instruction sets of this CPU.

#[cfg(feature = "std")]
use core::sync::atomic::{AtomicUsize, Ordering};

/// `f32` (and `f64`) values in an array of the plain path.
pub(crate) const LANES: usize = 8;

/// Every instruction set, in order of width; a CPU has all up to its widest, but that with bfloat16, which comes after.
const ALL: &[Isa] = &[
    Isa(Kind::Plain),
    #[cfg(target_arch = "x86_64")]
    Isa(Kind::Avx2),
    #[cfg(target_arch = "x86_64")]
    Isa(Kind::Avx512),
    #[cfg(target_arch = "x86_64")]
    Isa(Kind::Avx512Bf16),
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Isa(Kind::Neon),
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Isa(Kind::Simd128),
];

/// One plus the index of [`Isa::best`] in [`ALL`]; 0 before detection.
#[cfg(feature = "std")]
static FOUND: AtomicUsize = AtomicUsize::new(0);

/// An instruction set detected on this CPU: holding one is the proof.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

/// The supported instruction sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Arrays, vectorised by the compiler for the target.
    Plain,
    /// AVX2 with FMA: 16 registers of 8 `f32`.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512F: 32 registers of 16 `f32`.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512F with AVX-512 BF16: only returned by [`Isa::with_pair_products`].
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// NEON: 32 registers of 4 `f32`.
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Neon,
    /// WebAssembly's SIMD: registers of 4 `f32`.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
}

impl Isa {
    /// The portable path, available on every CPU.
    pub const PLAIN: Isa = Isa(Kind::Plain);

    /// The widest instruction set of this CPU, detected once, or the one set by [`Isa::choose`].
    pub fn best() -> Isa {
        #[cfg(feature = "std")]
        {
            let found = FOUND.load(Ordering::Relaxed);
            if found > 0 {
                return ALL[found - 1];
            }
            let isa = Self::detect();
            isa.choose();
            isa
        }
        #[cfg(not(feature = "std"))]
        Self::detect()
    }

    /// Makes this one [`Isa::best`] for the whole process, that with bfloat16 products too: to compare a whole computation between instruction sets.
    #[cfg(feature = "std")]
    pub fn choose(self) {
        FOUND.store(1 + ALL.iter().position(|isa| *isa == self).unwrap_or(0), Ordering::Relaxed);
    }

    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    fn detect() -> Isa {
        let avx2 = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
        if avx2 && std::is_x86_feature_detected!("avx512f") {
            Isa(Kind::Avx512)
        } else if avx2 {
            Isa(Kind::Avx2)
        } else {
            Isa(Kind::Plain)
        }
    }

    /// The instruction set the program was compiled for: without `std` there is no run-time detection, and NEON and
    /// WebAssembly's SIMD are part of their targets.
    #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
    fn detect() -> Isa {
        #[cfg(all(target_arch = "x86_64", target_feature = "avx512f"))]
        return Isa(Kind::Avx512);
        #[cfg(all(
            target_arch = "x86_64",
            target_feature = "avx2",
            target_feature = "fma",
            not(target_feature = "avx512f")
        ))]
        return Isa(Kind::Avx2);
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        return Isa(Kind::Neon);
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        return Isa(Kind::Simd128);
        #[allow(unreachable_code)]
        Isa(Kind::Plain)
    }

    /// Every instruction set this CPU can run, the portable one first: for tests that compare paths.
    pub fn available() -> impl Iterator<Item = Isa> {
        let widest = ALL.iter().position(|isa| *isa == Isa::detect()).unwrap_or(0);
        ALL[..=widest].iter().copied()
    }

    /// `"plain"`, `"avx2"`, `"avx512"`, `"neon"`, `"simd128"` or, with bfloat16 products, `"avx512-bf16"`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => "avx512-bf16",
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Kind::Neon => "neon",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Kind::Simd128 => "simd128",
        }
    }

    /// `f32` values in one register.
    pub fn lanes(self) -> usize {
        match self.0 {
            Kind::Plain => LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => 8,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Avx512Bf16 => 16,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Kind::Neon => 4,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Kind::Simd128 => 4,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }

    /// This instruction set with bfloat16 pair products, if the CPU has them.
    pub fn with_pair_products(self) -> Isa {
        #[cfg(target_arch = "x86_64")]
        if self.0 == Kind::Avx512 {
            #[cfg(feature = "std")]
            let bf16 = std::is_x86_feature_detected!("avx512bf16");
            #[cfg(not(feature = "std"))]
            let bf16 = cfg!(target_feature = "avx512bf16");
            return if bf16 { Isa(Kind::Avx512Bf16) } else { self };
        }
        self
    }

    /// Whether [`Self::with_pair_products`] has native instructions. Otherwise products are emulated at a fraction of
    /// the speed of `f32`.
    pub fn multiplies_pairs(self) -> bool {
        self.with_pair_products().name() == "avx512-bf16"
    }

    /// The widest instruction set, up to this one, with int8 dot products: AVX-512 has them only with VNNI.
    pub(crate) fn with_byte_products(self) -> Isa {
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        let vnni = std::is_x86_feature_detected!("avx512vnni");
        #[cfg(all(target_arch = "x86_64", not(feature = "std")))]
        let vnni = cfg!(target_feature = "avx512vnni");
        #[cfg(target_arch = "x86_64")]
        return self.with_byte_products_if(vnni);
        #[cfg(not(target_arch = "x86_64"))]
        self
    }

    #[cfg(target_arch = "x86_64")]
    fn with_byte_products_if(self, vnni: bool) -> Isa {
        let needs_vnni = matches!(self.0, Kind::Avx512 | Kind::Avx512Bf16);
        if needs_vnni && !vnni { Isa(Kind::Avx2) } else { self }
    }
}

impl Default for Isa {
    /// [`Isa::best`].
    fn default() -> Self {
        Isa::best()
    }
}

impl core::fmt::Debug for Isa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_there_is_can_be_chosen() {
        for isa in Isa::available() {
            assert!(ALL.contains(&isa) && ALL.contains(&isa.with_pair_products()), "{isa:?}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn without_vnni_no_instruction_set_of_avx512_multiplies_bytes() {
        for &isa in ALL {
            let bytes = isa.with_byte_products_if(false);
            assert!(bytes == Isa(Kind::Plain) || bytes == Isa(Kind::Avx2), "{isa:?}");
            assert_eq!(isa.with_byte_products_if(true), isa);
        }
    }
}
