//! Cross-entropy with label smoothing and class weights, for classification; squared error, for regression.

use elman_kernels::{Scalar, softmax};
use serde::{Deserialize, Serialize};

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
}
