//! Dropout (Srivastava et al. 2014): in training each value is zero with probability `p`, else scaled by `1 / (1 - p)`.

use elman_kernels::{Scalar, rows};

use crate::cell::Steps;
use crate::rng::Rng;

/// The masks of one layer, kept for backward.
#[derive(Clone, Default)]
pub struct Dropout<F> {
    mask: Vec<F>,
}

impl<F: Scalar> Dropout<F> {
    /// Draws a mask and applies it to `x`. The probability is rounded to a 65,536th.
    pub fn forward(&mut self, p: f64, rng: &mut Rng, x: &mut [F]) {
        self.mask.resize(x.len(), F::ZERO);
        draw(p, rng, &mut self.mask);
        rows::multiply(&self.mask, x);
    }

    /// As [`Self::forward`] with one mask for all steps of a sequence (Gal & Ghahramani 2016); `x` `[N, ..]`.
    pub fn forward_locked(&mut self, p: f64, rng: &mut Rng, steps: &Steps, x: &mut [F]) {
        let width = x.len() / steps.rows().max(1);
        self.mask.resize(x.len(), F::ZERO);
        for t in 0..steps.len() {
            let (start, len) = (steps.range(t).start * width, steps.active(t) * width);
            if t == 0 {
                draw(p, rng, &mut self.mask[..len]);
            } else {
                self.mask.copy_within(..len, start);
            }
        }
        rows::multiply(&self.mask, x);
    }

    /// As [`Self::forward`] with one mask for all positions of an example, since neighbours are correlated (spatial
    /// dropout, Tompson et al. 2015); `x` `[B, positions, width]`. The masks `[B, width]` do not fit
    /// [`Self::backward`].
    pub fn forward_channels(&mut self, p: f64, rng: &mut Rng, positions: usize, width: usize, x: &mut [F]) {
        self.mask.resize(x.len() / positions, F::ZERO);
        draw(p, rng, &mut self.mask);
        for (x, mask) in x.chunks_exact_mut(positions * width).zip(self.mask.chunks_exact(width)) {
            x.chunks_exact_mut(width).for_each(|x| rows::multiply(mask, x));
        }
    }

    /// Applies dropout if it is on: with a random stream and `p` above 0. Returns whether it is; `locked` selects
    /// [`Self::forward_locked`].
    pub fn forward_if(&mut self, p: f64, locked: bool, rng: Option<&mut Rng>, steps: &Steps, x: &mut [F]) -> bool {
        match rng.filter(|_| p > 0.0) {
            Some(rng) if locked => self.forward_locked(p, rng, steps, x),
            Some(rng) => self.forward(p, rng, x),
            None => return false,
        }
        true
    }

    /// The gradient of the values before the mask, in place.
    pub fn backward(&self, dx: &mut [F]) {
        rows::multiply(&self.mask[..dx.len()], dx);
    }
}

/// Fills a mask.
fn draw<F: Scalar>(p: f64, rng: &mut Rng, mask: &mut [F]) {
    let threshold = (p * 65536.0) as u32;
    let scale = F::from_f64(65536.0 / f64::from(65536 - threshold));
    let value = |bits: u32| if bits < threshold { F::ZERO } else { scale };
    let mut words = [0; Rng::AT_ONCE];
    for part in mask.chunks_mut(2 * Rng::AT_ONCE) {
        let words = &mut words[..part.len().div_ceil(2)];
        rng.fill(words);
        for (pair, &mut bits) in part.chunks_mut(2).zip(words) {
            pair[0] = value(bits & 0xffff);
            if let Some(second) = pair.get_mut(1) {
                *second = value(bits >> 16);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_mask_is_shared_by_all_steps_but_not_by_sequences() {
        let steps = Steps::ragged(&[3, 2, 2, 0]).unwrap();
        let width = 40;
        let (mut dropout, mut x) = (Dropout::default(), vec![1.0f32; 7 * width]);
        dropout.forward_locked(0.5, &mut Rng::new(1, "dropout"), &steps, &mut x);
        let row = |t: usize, i: usize| &x[(steps.range(t).start + i) * width..][..width];
        for i in 0..3 {
            assert_eq!(row(0, i), row(1, i));
        }
        assert_eq!(row(0, 0), row(2, 0));
        assert_ne!(row(0, 0), row(0, 1));
        let mut dx = vec![1.0; 7 * width];
        dropout.backward(&mut dx);
        assert_eq!(x, dx);
    }

    #[test]
    fn the_mean_is_kept_and_backward_uses_the_same_mask() {
        let mut dropout = Dropout::default();
        let mut x = vec![1.0f64; 100_001];
        dropout.forward(0.3, &mut Rng::new(1, "dropout"), &mut x);
        let zeros = x.iter().filter(|&&x| x == 0.0).count() as f64 / x.len() as f64;
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        assert!((zeros - 0.3).abs() < 0.01 && (mean - 1.0).abs() < 0.01, "{zeros} {mean}");
        let mut dx = vec![1.0f64; x.len()];
        dropout.backward(&mut dx);
        assert_eq!(x, dx);
    }
}
