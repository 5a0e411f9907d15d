//! Averaged weights: an exponential moving average of the weights over the updates (Polyak & Juditsky 1992).

use elman_kernels::Scalar;
use rayon::prelude::*;

use super::CHUNK;
use crate::param::Params;

/// A moving average of weights.
#[derive(Clone, Debug)]
pub struct Average<F> {
    decay: f64,
    steps: u64,
    values: Params<F>,
}

impl<F: Scalar> Average<F> {
    /// Begins at these weights.
    pub fn new(decay: f64, params: &Params<F>) -> Self {
        Average { decay, steps: 0, values: params.clone() }
    }

    /// Takes in the weights after an update. The first updates count for more, so that the weights from before training
    /// are soon forgotten: the decay of update `t` is at most `(1 + t) / (10 + t)`.
    pub fn update(&mut self, params: &Params<F>) {
        let t = self.steps as f64;
        let new = F::from_f64(1.0 - self.decay.min((1.0 + t) / (10.0 + t)));
        self.steps += 1;
        let pairs = self.values.values.par_chunks_mut(CHUNK).zip(params.values.par_chunks(CHUNK));
        pairs.for_each(|(average, w)| average.iter_mut().zip(w).for_each(|(a, &w)| *a += new * (w - *a)));
    }

    /// The averaged weights.
    pub fn values(&self) -> &Params<F> {
        &self.values
    }

    /// Updates taken in.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Goes on from saved values after so many updates.
    ///
    /// # Panics
    /// If there are not as many values as weights.
    pub fn restore(&mut self, steps: u64, values: &[F]) {
        self.steps = steps;
        self.values.values.copy_from_slice(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::param::Layout;
    use std::sync::Arc;

    #[test]
    fn the_average_follows_its_formula() {
        let mut layout = Layout::new();
        layout.add("w", &[1]);
        let mut params = Params::<f64>::zeros(&Arc::new(layout));
        let mut average = Average::new(0.5, &params);
        let mut want = 0.0;
        for t in 0..20 {
            params.values[0] = f64::from(t);
            average.update(&params);
            let decay = 0.5f64.min((1.0 + f64::from(t)) / (10.0 + f64::from(t)));
            want = decay * want + (1.0 - decay) * f64::from(t);
            assert!((average.values().values[0] - want).abs() < 1e-12);
        }
    }
}
