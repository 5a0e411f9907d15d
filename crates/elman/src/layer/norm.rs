//! Layer normalisation (Ba et al. 2016): each row has mean 0 and standard deviation 1, then `y = gain x + bias`.

use elman_kernels::Scalar;

use crate::param::{Grads, Layout, Params, Slot};

/// Added to the variance, as in PyTorch.
const EPS: f64 = 1e-5;

/// Normalises rows of one width.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    gain: Slot,
    bias: Slot,
    width: usize,
}

/// What backward needs: the normalised rows `[N, width]` and `1 / std` of each.
#[derive(Clone, Default)]
pub struct LayerNormTape<F> {
    normal: Vec<F>,
    scale: Vec<F>,
}

impl LayerNorm {
    /// Adds `{prefix}weight` (the gain) and `{prefix}bias`.
    pub fn add(layout: &mut Layout, prefix: &str, width: usize) -> Self {
        let gain = layout.add(format!("{prefix}weight"), &[width]);
        let bias = layout.add(format!("{prefix}bias"), &[width]);
        LayerNorm { gain, bias, width }
    }

    /// Gain 1, bias 0.
    pub fn init<F: Scalar>(&self, params: &mut Params<F>) {
        self.gain.of_mut(params).fill(F::ONE);
        self.bias.of_mut(params).fill(F::ZERO);
    }

    /// Normalises `x` `[N, width]` in place.
    pub fn forward<F: Scalar>(&self, params: &Params<F>, x: &mut [F], tape: &mut LayerNormTape<F>) {
        let (gain, bias) = (self.gain.of(params), self.bias.of(params));
        let share = F::from_f64(1.0 / self.width as f64);
        tape.normal.resize(x.len(), F::ZERO);
        tape.scale.clear();
        for (x, normal) in x.chunks_exact_mut(self.width).zip(tape.normal.chunks_exact_mut(self.width)) {
            let mean = sum(x.iter().copied()) * share;
            let variance = sum(x.iter().map(|&x| (x - mean) * (x - mean))) * share;
            let scale = F::from_f64(1.0 / (variance.to_f64() + EPS).sqrt());
            tape.scale.push(scale);
            for (((x, normal), &gain), &bias) in x.iter_mut().zip(normal).zip(gain).zip(bias) {
                *normal = (*x - mean) * scale;
                *x = *normal * gain + bias;
            }
        }
    }

    /// `dy` `[N, width]` becomes the gradient of the input; adds to `grads`.
    pub fn backward<F: Scalar>(&self, params: &Params<F>, tape: &LayerNormTape<F>, dy: &mut [F], grads: &mut Grads<F>) {
        let share = F::from_f64(1.0 / self.width as f64);
        let rows = dy.chunks_exact_mut(self.width).zip(tape.normal.chunks_exact(self.width)).zip(&tape.scale);
        for ((dy, normal), &scale) in rows {
            for ((d, &dy), &normal) in self.gain.of_mut(grads).iter_mut().zip(&*dy).zip(normal) {
                *d += dy * normal;
            }
            self.bias.of_mut(grads).iter_mut().zip(&*dy).for_each(|(d, &dy)| *d += dy);
            dy.iter_mut().zip(self.gain.of(params)).for_each(|(dy, &gain)| *dy *= gain);
            let mean = sum(dy.iter().copied()) * share;
            let along = sum(dy.iter().zip(normal).map(|(&dy, &normal)| dy * normal)) * share;
            for (dy, &normal) in dy.iter_mut().zip(normal) {
                *dy = (*dy - mean - normal * along) * scale;
            }
        }
    }
}

fn sum<F: Scalar>(values: impl Iterator<Item = F>) -> F {
    values.fold(F::ZERO, |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn rows_are_normalised_and_gradients_equal_central_differences() {
        let mut layout = Layout::new();
        let norm = LayerNorm::add(&mut layout, "norm.", 5);
        let mut rng = Rng::new(1, "test");
        let mut params: Params<f64> = Params::zeros(&Arc::new(layout));
        norm.init(&mut params);
        let mut x: Vec<f64> = (0..15).map(|_| rng.range(-2.0, 2.0)).collect();
        let mut y = x.clone();
        norm.forward(&params, &mut y, &mut LayerNormTape::default());
        for row in y.chunks_exact(5) {
            let mean = row.iter().sum::<f64>() / 5.0;
            let variance = row.iter().map(|y| y * y).sum::<f64>() / 5.0;
            assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-3);
        }
        params.values.fill_with(|| rng.range(-1.0, 1.0));
        let weights: Vec<f64> = (0..15).map(|_| rng.range(-1.0, 1.0)).collect();
        let loss = |params: &Params<f64>, x: &[f64]| -> f64 {
            let mut y = x.to_vec();
            norm.forward(params, &mut y, &mut LayerNormTape::default());
            y.iter().zip(&weights).map(|(y, w)| y * w).sum()
        };
        let (mut tape, mut grads, mut dx) = (LayerNormTape::default(), Params::zeros(params.layout()), weights.clone());
        norm.forward(&params, &mut x.clone(), &mut tape);
        norm.backward(&params, &tape, &mut dx, &mut grads);
        let step = 1e-6;
        for i in 0..15 {
            let (old, dx) = (x[i], dx[i]);
            x[i] = old + step;
            let above = loss(&params, &x);
            x[i] = old - step;
            let below = loss(&params, &x);
            x[i] = old;
            assert!(((above - below) / (2.0 * step) - dx).abs() < 1e-7);
        }
        for i in 0..10 {
            let (old, d) = (params.values[i], grads.values[i]);
            params.values[i] = old + step;
            let above = loss(&params, &x);
            params.values[i] = old - step;
            let below = loss(&params, &x);
            params.values[i] = old;
            assert!(((above - below) / (2.0 * step) - d).abs() < 1e-7);
        }
    }
}
