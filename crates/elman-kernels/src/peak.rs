//! Peak throughput: fused multiply-adds on registers alone, the reference of the benches.

use core::hint::black_box;

use crate::arch::Run;
use crate::isa::Isa;
use crate::vector::{Kernel, Vector};

/// Accumulators: enough to hide the latency of a multiply-add everywhere.
const CHAINS: usize = 12;

/// Runs `rounds` rounds of multiply-adds in registers and returns the number of floating-point operations.
pub fn multiply_adds(isa: Isa, rounds: usize) -> f64 {
    f32::run(isa, MultiplyAdds { rounds })
}

struct MultiplyAdds {
    rounds: usize,
}

impl Kernel<f32> for MultiplyAdds {
    type Output = f64;
    #[inline(always)]
    fn run<V: Vector<Scalar = f32>>(self) -> f64 {
        let factor = V::splat(black_box(0.999));
        let mut acc: [V; CHAINS] = core::array::from_fn(|i| V::splat(i as f32));
        for _ in 0..self.rounds {
            for a in &mut acc {
                *a = a.mul_add(factor, factor);
            }
        }
        black_box(acc.map(V::sum));
        (self.rounds * CHAINS * V::LANES * 2) as f64
    }
}
