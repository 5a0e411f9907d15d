//! Cross-entropy with label smoothing and class weights, of one class or of several labels.

use std::ops::Range;

use elman_kernels::{Scalar, softmax};
use serde::{Deserialize, Serialize};

use crate::metric::sigmoid;

/// The training loss.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Share of a target's probability spread over all classes (Szegedy et al. 2016, section 7).
    pub smoothing: f64,
    /// Loss weight of each class; empty for equal weights.
    pub class_weights: Vec<f64>,
}

impl Loss {
    /// Loss weight of a target.
    fn weight(&self, target: u32) -> f64 {
        self.class_weights.get(target as usize).copied().unwrap_or(1.0)
    }

    /// The loss in nats summed over the targets of `logits` `[N, V]`; `scale` times its gradient replaces the logits. A
    /// target of [`softmax::IGNORE`] is ignored.
    pub fn backward<F: Scalar>(&self, logits: &mut [F], targets: &[u32], scale: F) -> f64 {
        if targets.is_empty() {
            return 0.0;
        }
        let classes = logits.len() / targets.len();
        if self.smoothing == 0.0 && self.class_weights.is_empty() {
            return softmax::cross_entropy_backward(logits, targets, scale);
        }
        // With `q = (1 - s) onehot + s / V` the loss is that of one-hot targets plus `s (z_target - mean z)`.
        let share = F::from_f64(1.0 / classes as f64);
        let mut nats = 0.0;
        for (row, &target) in logits.chunks_exact_mut(classes).zip(targets) {
            if target == softmax::IGNORE {
                row.fill(F::ZERO);
                continue;
            }
            let weight = self.weight(target);
            let mean = row.iter().fold(F::ZERO, |sum, &z| sum + z) * share;
            let more = self.smoothing * (row[target as usize] - mean).to_f64();
            let scale = scale * F::from_f64(weight);
            nats += weight * (more + softmax::cross_entropy_backward(row, &[target], scale));
            let spread = scale * F::from_f64(self.smoothing);
            row.iter_mut().for_each(|d| *d -= spread * share);
            row[target as usize] += spread;
        }
        nats
    }

    /// The binary cross-entropy in nats of labels that each hold or do not, summed over `logits` `[N, V]`; `scale` times its
    /// gradient replaces the logits. `holding` are the labels that hold for each row; with smoothing `s` the target of a label
    /// is `(1 - s) t + s / 2`.
    pub(crate) fn backward_labels<F: Scalar>(&self, logits: &mut [F], holding: &[Vec<u32>], scale: F) -> f64 {
        let mut nats = 0.0;
        for (row, holding) in rows(logits.len(), holding) {
            for (label, z) in (0..).zip(&mut logits[row]) {
                let target =
                    (1.0 - self.smoothing) * f64::from(u8::from(holding.contains(&label))) + 0.5 * self.smoothing;
                let x = z.to_f64();
                nats += softplus(x) - target * x;
                *z = scale * F::from_f64(sigmoid(x) - target);
            }
        }
        nats
    }
}

/// The binary cross-entropy in nats of labels that each hold or do not, summed over `logits` `[N, V]`.
pub(crate) fn binary_cross_entropy<F: Scalar>(logits: &[F], holding: &[Vec<u32>]) -> f64 {
    let mut nats = 0.0;
    for (row, holding) in rows(logits.len(), holding) {
        nats += logits[row.clone()].iter().map(|z| softplus(z.to_f64())).sum::<f64>();
        nats -= holding.iter().map(|&label| logits[row.start + label as usize].to_f64()).sum::<f64>();
    }
    nats
}

/// The place of each row of so many logits, and the labels that hold for it.
fn rows(logits: usize, holding: &[Vec<u32>]) -> impl Iterator<Item = (Range<usize>, &Vec<u32>)> {
    let width = logits / holding.len().max(1);
    holding.iter().enumerate().map(move |(i, holding)| (i * width..(i + 1) * width, holding))
}

/// `ln(1 + e^x)`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn smoothed_weighted_loss_and_gradient_follow_the_definition() {
        let loss = Loss { smoothing: 0.1, class_weights: vec![0.5, 2.0, 1.0, 1.5] };
        let mut rng = Rng::new(1, "test");
        let mut logits: Vec<f64> = (0..12).map(|_| rng.range(-2.0, 2.0)).collect();
        let targets = [1, softmax::IGNORE, 3];
        let definition = |logits: &[f64]| -> f64 {
            let rows = logits.chunks_exact(4).zip(targets).filter(|(_, target)| *target != softmax::IGNORE);
            let one = |(row, target): (&[f64], u32)| {
                let sum: f64 = row.iter().map(|z| z.exp()).sum();
                let q = |j: usize| 0.025 + if j == target as usize { 0.9 } else { 0.0 };
                let nats: f64 = row.iter().enumerate().map(|(j, z)| -q(j) * (z - sum.ln())).sum();
                nats * loss.class_weights[target as usize]
            };
            rows.map(one).sum()
        };
        let mut grads = logits.clone();
        let nats = loss.backward(&mut grads, &targets, 0.5);
        assert!((nats - definition(&logits)).abs() < 1e-12);
        for i in 0..12 {
            let old = logits[i];
            logits[i] = old + 1e-6;
            let above = definition(&logits);
            logits[i] = old - 1e-6;
            let numeric = 0.5 * (above - definition(&logits)) / 2e-6;
            logits[i] = old;
            assert!((numeric - grads[i]).abs() < 1e-8, "{i}: {numeric} {}", grads[i]);
        }
    }

    #[test]
    fn the_loss_of_labels_and_its_gradient_follow_the_definition() {
        let mut rng = Rng::new(2, "test");
        let mut logits: Vec<f64> = (0..12).map(|_| rng.range(-3.0, 3.0)).collect();
        let holding = [vec![1], vec![], vec![0, 3]];
        let targets = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        for smoothing in [0.0, 0.1] {
            let loss = Loss { smoothing, class_weights: Vec::new() };
            let definition = |logits: &[f64]| -> f64 {
                let one = |(z, t): (&f64, &f64)| {
                    let (p, q) = (1.0 / (1.0 + (-z).exp()), (1.0 - smoothing) * t + 0.5 * smoothing);
                    -q * p.ln() - (1.0 - q) * (1.0 - p).ln()
                };
                logits.iter().zip(&targets).map(one).sum()
            };
            let mut grads = logits.clone();
            let nats = loss.backward_labels(&mut grads, &holding, 0.5);
            assert!((nats - definition(&logits)).abs() < 1e-12);
            if smoothing == 0.0 {
                assert!((binary_cross_entropy(&logits, &holding) - nats).abs() < 1e-12);
            }
            for i in 0..12 {
                let old = logits[i];
                logits[i] = old + 1e-6;
                let above = definition(&logits);
                logits[i] = old - 1e-6;
                let numeric = 0.5 * (above - definition(&logits)) / 2e-6;
                logits[i] = old;
                assert!((numeric - grads[i]).abs() < 1e-8, "{i}: {numeric} {}", grads[i]);
            }
        }
        // Far from zero nothing overflows.
        assert_eq!(binary_cross_entropy(&[1e4, -1e4], &[vec![0]]), 0.0);
        assert_eq!((sigmoid(-1e4), sigmoid(1e4)), (0.0, 1.0));
    }
}
