//! Gradient clipping: by global norm (Pascanu et al. 2013), or value by value as in the blog.

use elman_kernels::{Scalar, optim};
use rayon::prelude::*;

use super::CHUNK;
use crate::param::Grads;

/// Chunks whose sums are kept apart at a time.
const GROUP: usize = 64;

/// The 2-norm of all gradients together, on the current thread pool.
pub fn global_norm<F: Scalar>(grads: &Grads<F>) -> f64 {
    let mut total = 0.0;
    // Groups one after the other, the sums of a group's chunks in their order: threads change nothing.
    for group in grads.values.chunks(GROUP * CHUNK) {
        let mut sums = [0.0; GROUP];
        group.par_chunks(CHUNK).zip(&mut sums[..]).for_each(|(chunk, sum)| *sum = optim::sum_of_squares(chunk));
        total += sums.iter().sum::<f64>();
    }
    total.sqrt()
}

/// What to multiply gradients of this norm by, so that it becomes at most `limit`. PyTorch's formula.
pub fn scale_for_norm(norm: f64, limit: f64) -> f64 {
    (limit / (norm + 1e-6)).min(1.0)
}

/// Cuts each gradient off at `-limit` and `limit`.
pub fn by_value<F: Scalar>(grads: &mut Grads<F>, limit: f64) {
    let (low, high) = (F::from_f64(-limit), F::from_f64(limit));
    let clip = |g: &mut F| {
        if *g < low {
            *g = low;
        } else if *g > high {
            *g = high;
        }
    };
    grads.values.par_chunks_mut(CHUNK).for_each(|chunk| chunk.iter_mut().for_each(clip));
}
