//! Dropout (Srivastava et al. 2014): in training each value is zero with probability `p`, else scaled by `1 / (1 - p)`.

use elman_kernels::{Scalar, rows};

use crate::rng::Rng;

/// The masks of one layer, kept for backward.
#[derive(Clone, Default)]
pub struct Dropout<F> {
    mask: Vec<F>,
}

impl<F: Scalar> Dropout<F> {
    /// Draws a mask and applies it to `x`. The probability is rounded to a 65,536th.
    pub fn forward(&mut self, p: f64, rng: &mut Rng, x: &mut [F]) {
        let threshold = (p * 65536.0) as u32;
        let scale = F::from_f64(65536.0 / f64::from(65536 - threshold));
        self.mask.resize(x.len(), F::ZERO);
        let value = |bits: u32| if bits < threshold { F::ZERO } else { scale };
        for pair in self.mask.chunks_mut(2) {
            let bits = rng.bits();
            pair[0] = value(bits & 0xffff);
            if let Some(second) = pair.get_mut(1) {
                *second = value(bits >> 16);
            }
        }
        rows::multiply(&self.mask, x);
    }

    /// The gradient of the values before the mask, in place.
    pub fn backward(&self, dx: &mut [F]) {
        rows::multiply(&self.mask[..dx.len()], dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_stays_and_backward_uses_the_same_mask() {
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
