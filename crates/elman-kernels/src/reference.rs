//! Straightforward loops, over `f32` or `f64`: the reference of every kernel's test.

#[cfg(feature = "std")]
use alloc::vec::Vec;

use crate::gemm::{self, Start};
use crate::mat::{Mat, MatMut};
use crate::scalar::Scalar;
#[cfg(feature = "std")]
use crate::softmax::IGNORE;

/// `C = start + A B`.
///
/// # Panics
/// If the dimensions do not match.
pub fn gemm<F: Scalar>(a: Mat<F>, b: Mat<F>, c: MatMut<F>, start: Start<F>) {
    gemm::check(&a, [b.rows, b.cols], &c, start);
    for m in 0..a.rows {
        for n in 0..b.cols {
            let mut sum = match start {
                Start::Zero => F::ZERO,
                Start::Add => c.data[m * c.row_stride + n],
                Start::Bias(bias) => bias[n],
            };
            for k in 0..a.cols {
                sum += a.data[m * a.row_stride + k * a.col_stride] * b.data[k * b.row_stride + n * b.col_stride];
            }
            c.data[m * c.row_stride + n] = sum;
        }
    }
}

/// Cross-entropy and its gradient, as the formula reads.
#[cfg(feature = "std")]
pub fn cross_entropy<F: Scalar>(logits: &[F], targets: &[u32], scale: F) -> (f64, Vec<F>) {
    let classes = logits.len() / targets.len();
    let mut loss = 0.0;
    let mut grad = Vec::new();
    for (row, &target) in logits.chunks_exact(classes).zip(targets) {
        let sum: f64 = row.iter().map(|x| x.to_f64().exp()).sum();
        for (j, x) in row.iter().enumerate() {
            let p = x.to_f64().exp() / sum;
            let hit = if j == target as usize { 1.0 } else { 0.0 };
            grad.push(if target == IGNORE { F::ZERO } else { F::from_f64(p - hit) * scale });
        }
        if target != IGNORE {
            loss += sum.ln() - row[target as usize].to_f64();
        }
    }
    (loss, grad)
}
