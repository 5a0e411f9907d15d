//! Weight initialisation.

use elman_kernels::Scalar;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// The initial distribution of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Init {
    /// Uniform within `± 1 / sqrt(fan)`, PyTorch's default, for recurrent layers with the hidden size as fan.
    Fan,
    /// Uniform within `± bound` (char-rnn: 0.08); biases too.
    Uniform(f64),
    /// Normal with this standard deviation (min-char-rnn: 0.01); biases zero.
    Normal(f64),
    /// As `Fan`, but recurrent matrices orthogonal gate by gate (Saxe et al. 2014) and biases zero.
    Orthogonal,
}

impl Init {
    /// Draws a matrix or bias whose input or hidden size is `fan`.
    pub fn fill<F: Scalar>(self, values: &mut [F], fan: usize, is_bias: bool, rng: &mut Rng) {
        let bound = 1.0 / (fan.max(1) as f64).sqrt();
        match self {
            Init::Normal(_) | Init::Orthogonal if is_bias => values.fill(F::ZERO),
            Init::Fan | Init::Orthogonal => values.fill_with(|| F::from_f64(rng.range(-bound, bound))),
            Init::Uniform(bound) => values.fill_with(|| F::from_f64(rng.range(-bound, bound))),
            Init::Normal(std) => values.fill_with(|| F::from_f64(std * rng.normal())),
        }
    }

    /// Draws a recurrent matrix `[gates * hidden, hidden]`.
    pub fn fill_recurrent<F: Scalar>(self, values: &mut [F], hidden: usize, rng: &mut Rng) {
        if self != Init::Orthogonal {
            return self.fill(values, hidden, false, rng);
        }
        for gate in values.chunks_exact_mut(hidden * hidden) {
            orthogonal(gate, hidden, rng);
        }
    }
}

/// Random rows, orthonormalised (Gram & Schmidt, twice for accuracy).
fn orthogonal<F: Scalar>(matrix: &mut [F], n: usize, rng: &mut Rng) {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
    while rows.len() < n {
        let mut row: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        for _ in 0..2 {
            for done in &rows {
                let dot: f64 = row.iter().zip(done).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(done).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        // A row almost in the span of the others is drawn again.
        if norm > 1e-6 {
            row.iter_mut().for_each(|a| *a /= norm);
            rows.push(row);
        }
    }
    for (value, x) in matrix.iter_mut().zip(rows.iter().flatten()) {
        *value = F::from_f64(*x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_rows_are_orthonormal() {
        let n = 20;
        let mut w = vec![0.0f64; 3 * n * n];
        Init::Orthogonal.fill_recurrent(&mut w, n, &mut Rng::new(1, "weights"));
        for gate in w.chunks_exact(n * n) {
            for i in 0..n {
                for j in 0..n {
                    let dot: f64 = (0..n).map(|k| gate[i * n + k] * gate[j * n + k]).sum();
                    assert!((dot - if i == j { 1.0 } else { 0.0 }).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn bounds_and_zero_biases_are_as_documented() {
        let mut rng = Rng::new(1, "weights");
        let mut w = vec![9.0f32; 1000];
        Init::Fan.fill(&mut w, 25, false, &mut rng);
        assert!(w.iter().all(|x| x.abs() <= 0.2) && w.iter().any(|x| x.abs() > 0.19));
        Init::Normal(0.01).fill(&mut w, 25, true, &mut rng);
        assert!(w.iter().all(|&x| x == 0.0));
    }
}
