//! Gradient clipping (Pascanu, Mikolov & Bengio 2013).

use elman_kernels::{Scalar, optim};
use rayon::prelude::*;

use super::part::CHUNK;
use crate::param::Grads;

/// The L2 norm of all gradients together, on the current rayon pool.
///
/// Not finite if a gradient is not: check it before a step. The order of the sum depends only on the number of
/// gradients.
pub fn global_norm<F: Scalar>(grads: &Grads<F>) -> f64 {
    sum_of_squares(&grads.values).sqrt()
}

/// Halves at multiples of [`CHUNK`], so that the tree of sums is fixed and needs no memory.
fn sum_of_squares<F: Scalar>(values: &[F]) -> f64 {
    if values.len() <= CHUNK {
        return optim::sum_of_squares(values);
    }
    let (left, right) = values.split_at(values.len().div_ceil(CHUNK).div_ceil(2) * CHUNK);
    let (left, right) = rayon::join(|| sum_of_squares(left), || sum_of_squares(right));
    left + right
}

/// The factor that scales gradients of this norm to at most `max` (above 0): `min(1, max / (norm + 1e-6))`,
/// as in PyTorch. NaN for a norm of NaN.
pub fn scale_for_norm(norm: f64, max: f64) -> f64 {
    let scale = max / (norm + 1e-6);
    if scale > 1.0 { 1.0 } else { scale }
}

/// Clamps every gradient to `-bound..=bound`, min-char-rnn's `np.clip`; NaN stays. Runs on the current rayon pool.
pub fn by_value<F: Scalar>(grads: &mut Grads<F>, bound: f64) {
    let bound = F::from_f64(bound);
    grads.values.par_chunks_mut(CHUNK).for_each(|values| optim::clamp(values, bound));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::param::{Layout, Params};

    fn grads(values: &[f32]) -> Grads<f32> {
        let mut layout = Layout::new();
        layout.add("w", &[values.len()]);
        let mut grads = Params::zeros(&Arc::new(layout));
        grads.values.copy_from_slice(values);
        grads
    }

    #[test]
    fn the_norm_is_that_of_all_values_of_any_size() {
        for n in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7] {
            let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let want = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let got = global_norm(&grads(&values));
            assert!((got - want).abs() <= 1e-12 * want, "{n}: {got}, want {want}");
        }
    }

    #[test]
    fn nan_gradients_show_in_the_norm_and_are_not_clipped_away() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut g = grads(&[1.0, bad, 0.5]);
            let norm = global_norm(&g);
            assert!(!norm.is_finite());
            assert!(scale_for_norm(norm, 5.0).is_nan() == bad.is_nan());
            by_value(&mut g, 0.75);
            assert_eq!((g.values[0], g.values[2], g.values[1].is_nan()), (0.75, 0.5, bad.is_nan()));
        }
    }
}
