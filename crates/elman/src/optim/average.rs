//! An exponential moving average (EMA) of the weights (Polyak & Juditsky 1992), often better than the last weights.

use elman_kernels::{Scalar, optim};
use rayon::prelude::*;

use super::part::CHUNK;
use crate::error::{Error, Result};
use crate::param::Params;

/// `a = d a + (1 - d) w` with `d = min(decay, (1 + t) / (10 + t))` in step `t` from 0: a long average that soon
/// forgets the untrained weights.
#[derive(Clone, Debug)]
pub struct Average<F> {
    decay: f64,
    steps: u64,
    values: Params<F>,
}

impl<F: Scalar> Average<F> {
    /// Starts at these weights. `decay` in [0, 1); 0 keeps only the last weights.
    pub fn new(decay: f64, params: &Params<F>) -> Self {
        Average { decay, steps: 0, values: params.clone() }
    }

    /// Includes the weights after an optimizer step. Runs on the current rayon pool.
    ///
    /// # Panics
    /// If the weights have a different layout.
    pub fn update(&mut self, params: &Params<F>) {
        assert_eq!(params.values.len(), self.values.values.len(), "the averaged weights have a different layout");
        let t = self.steps as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t));
        self.steps += 1;
        let rule = optim::Average { part: F::from_f64(1.0 - decay) };
        self.values
            .values
            .par_chunks_mut(CHUNK)
            .zip(params.values.par_chunks(CHUNK))
            .for_each(|(average, weights)| optim::update(rule, weights, [average]));
    }

    /// The averaged weights.
    pub fn values(&self) -> &Params<F> {
        &self.values
    }

    /// Number of steps included.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Restores a checkpoint.
    ///
    /// # Errors
    /// [`Error::Usage`] if the number of values is not that of the weights.
    pub fn restore(&mut self, steps: u64, values: &[F]) -> Result<()> {
        let have = self.values.values.len();
        if values.len() != have {
            let got = values.len();
            let message = format!(
                "the saved average has {got} values, but the model has {have} weights; does it belong to another model?"
            );
            return Err(Error::Usage(message));
        }
        self.values.values.copy_from_slice(values);
        self.steps = steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::param::Layout;

    fn weights(n: usize) -> Params<f64> {
        let mut layout = Layout::new();
        layout.add("w", &[n, 1]);
        Params::zeros(&Arc::new(layout))
    }

    #[test]
    fn early_weights_are_forgotten_and_the_decay_grows_to_its_bound() {
        let mut w = weights(3);
        w.values.fill(5.0);
        let mut average = Average::new(0.5, &w);
        let mut want = 5.0;
        for t in 0..20 {
            w.values.fill(f64::from(t));
            average.update(&w);
            let d = [0.1, 2.0 / 11.0, 0.25, 4.0 / 13.0, 5.0 / 14.0, 0.4, 7.0 / 16.0, 8.0 / 17.0][t.min(7) as usize];
            let d = if t >= 8 { 0.5 } else { d };
            want = d * want + (1.0 - d) * f64::from(t);
            assert!(average.values().values.iter().all(|a| (a - want).abs() < 1e-12), "update {t}");
        }
    }

    #[test]
    fn a_restored_average_continues_bit_for_bit() {
        let mut w = weights(5);
        let mut average = Average::new(0.9, &w);
        let mut resumed = average.clone();
        for t in 0..10 {
            w.values.iter_mut().enumerate().for_each(|(i, x)| *x = (i + t) as f64 * 0.37);
            average.update(&w);
            if t < 5 {
                resumed.restore(average.steps(), &average.values().values).unwrap();
            } else {
                resumed.update(&w);
            }
        }
        assert_eq!(average.values().values, resumed.values().values);
        assert!(resumed.restore(1, &[0.0; 4]).is_err());
    }
}
