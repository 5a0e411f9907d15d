//! A linear model of an example's numbers.

use serde::{Deserialize, Serialize};

use super::sample::{STEPS, Sample, WIDTH};

/// Weight decay.
const DECAY: f64 = 1e-3;

/// A linear model: softmax regression, or least squares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Linear {
    /// Mean and inverse standard deviation of each input `[D]`.
    mean: Vec<f32>,
    scale: Vec<f32>,
    /// `[V, D + 1]`, the bias last.
    weights: Vec<f32>,
}

impl Linear {
    /// `D`.
    pub(super) fn width(&self) -> usize {
        self.mean.len()
    }

    /// Whether it is of outputs of this number.
    pub(super) fn fits(&self, outputs: usize) -> bool {
        let all = [&self.mean, &self.scale, &self.weights];
        let width = self.width();
        (1..=WIDTH).contains(&width)
            && self.scale.len() == width
            && self.weights.len() == outputs * (width + 1)
            && all.into_iter().flatten().all(|x| x.is_finite())
    }

    /// Inputs `[D]` less their means, by their standard deviations.
    pub(super) fn standardised(&self, inputs: &[f32]) -> Vec<f32> {
        inputs.iter().zip(&self.mean).zip(&self.scale).map(|((x, m), s)| (x - m) * s).collect()
    }

    /// The outputs `[V]` for standardised inputs `[D]`.
    pub(super) fn outputs(&self, standardised: &[f32]) -> Vec<f32> {
        let width = self.width();
        let one = |w: &[f32]| w[width] + w[..width].iter().zip(standardised).map(|(w, x)| w * x).sum::<f32>();
        self.weights.chunks_exact(width + 1).map(one).collect()
    }

    /// Fits the examples by accelerated gradient descent from zero, and standardises them.
    pub(super) fn fit(sample: &mut Sample, outputs: usize, is_of_classes: bool) -> Option<Linear> {
        let Sample { width, inputs, truths } = sample;
        let width = *width;
        let n = truths.len();
        let mean: Vec<f32> = (0..width).map(|d| inputs.iter().skip(d).step_by(width).sum::<f32>() / n as f32).collect();
        let scale = |d: usize| {
            let squares: f32 = inputs.iter().skip(d).step_by(width).map(|x| (x - mean[d]) * (x - mean[d])).sum();
            let std = (squares / n as f32).sqrt();
            // What never changes says nothing.
            if std > 1e-6 { 1.0 / std } else { 0.0 }
        };
        let scale: Vec<f32> = (0..width).map(scale).collect();
        for row in inputs.chunks_exact_mut(width) {
            row.iter_mut().zip(&mean).zip(&scale).for_each(|((x, m), s)| *x = (*x - m) * s);
        }
        let (mut weights, mut before) = (vec![0.0f64; outputs * (width + 1)], vec![0.0f64; outputs * (width + 1)]);
        // The largest curvature is at most the sum of the variances, halved by the softmax.
        let rate = if is_of_classes { 2.0 } else { 1.0 } / (width + 1) as f64;
        let mut z = vec![0.0f64; outputs];
        for step in 0..STEPS {
            let momentum = step as f64 / (step as f64 + 3.0);
            let ahead: Vec<f64> = weights.iter().zip(&before).map(|(w, b)| w + momentum * (w - b)).collect();
            let mut gradient: Vec<f64> = ahead.iter().map(|w| DECAY * w).collect();
            for (x, truth) in inputs.chunks_exact(width).zip(truths.iter()) {
                for (z, w) in z.iter_mut().zip(ahead.chunks_exact(width + 1)) {
                    *z = w[width] + w.iter().zip(x).map(|(w, x)| w * f64::from(*x)).sum::<f64>();
                }
                if is_of_classes {
                    let most = z.iter().copied().fold(f64::MIN, f64::max);
                    z.iter_mut().for_each(|z| *z = (*z - most).exp());
                    let sum: f64 = z.iter().sum();
                    z.iter_mut().for_each(|z| *z /= sum);
                    z[*truth as usize] -= 1.0;
                } else {
                    z[0] -= f64::from(*truth);
                }
                for (dz, g) in z.iter().zip(gradient.chunks_exact_mut(width + 1)) {
                    let dz = dz / n as f64;
                    g[width] += dz;
                    g.iter_mut().zip(x).for_each(|(g, x)| *g += dz * f64::from(*x));
                }
            }
            before = std::mem::replace(&mut weights, ahead.iter().zip(&gradient).map(|(w, g)| w - rate * g).collect());
        }
        let linear = Linear { mean, scale, weights: weights.iter().map(|w| *w as f32).collect() };
        linear.fits(outputs).then_some(linear)
    }
}
