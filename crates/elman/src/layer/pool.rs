//! From one vector per step to one per sequence: last, mean, max, max and mean, or attention.

use elman_kernels::Scalar;
use serde::{Deserialize, Serialize};

use crate::cell::Steps;
use crate::param::{Grads, Init, Layout, Params, Slot};
use crate::rng::Rng;

/// How the outputs of a sequence become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The last output; of the reverse direction, the one at the first step.
    Last,
    /// The mean over all steps.
    Mean,
    /// The maximum over all steps, value by value.
    Max,
    /// Maximum and mean, concatenated.
    MaxMean,
    /// A mean with learned weights: `softmax(u · y)` over the steps.
    Attention,
}

impl Pooling {
    /// Width of the result for outputs of this width.
    pub fn width(self, width: usize) -> usize {
        if self == Pooling::MaxMean { 2 * width } else { width }
    }
}

/// A pooling over outputs of one width.
#[derive(Clone, Debug)]
pub struct Pool {
    kind: Pooling,
    width: usize,
    /// Whether the second half of an output belongs to the reverse direction, which ends at the first step.
    bidirectional: bool,
    /// `u` `[width]`.
    query: Option<Slot>,
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Default)]
pub struct PoolTape<F> {
    /// `[B, pooled]`.
    pub y: Vec<F>,
    /// Of a maximum: its row `[B, width]`.
    best: Vec<usize>,
    /// Of attention: the weight of each row `[N]`.
    weights: Vec<F>,
}

impl<F> PoolTape<F> {
    /// Of attention: the weight of each row `[N]`.
    pub fn weights(&self) -> &[F] {
        &self.weights
    }
}

impl Pool {
    /// Adds the weights: `{prefix}query` of attention.
    pub fn add(layout: &mut Layout, prefix: &str, kind: Pooling, width: usize, bidirectional: bool) -> Self {
        let query = (kind == Pooling::Attention).then(|| layout.add(format!("{prefix}query"), &[width]));
        Pool { kind, width, bidirectional, query }
    }

    /// Width of the result.
    pub fn output_width(&self) -> usize {
        self.kind.width(self.width)
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, params: &mut Params<F>, rng: &mut Rng) {
        if let Some(query) = self.query {
            Init::Fan.fill(query.of_mut(params), self.width, false, rng);
        }
    }

    /// The row of the last step of each direction.
    fn last_row(&self, steps: &Steps, sequence: usize, column: usize) -> usize {
        let at_start = self.bidirectional && column >= self.width / 2;
        let t = if at_start { 0 } else { steps.len_of(sequence) - 1 };
        steps.range(t).start + sequence
    }

    /// `x` `[N, width]` to `tape.y` `[B, pooled]`; a sequence without steps becomes zeros.
    pub fn forward<F: Scalar>(&self, params: &Params<F>, x: &[F], steps: &Steps, tape: &mut PoolTape<F>) {
        let (batch, width, pooled) = (steps.batch(), self.width, self.output_width());
        let PoolTape { y, best, weights } = tape;
        y.clear();
        y.resize(batch * pooled, F::ZERO);
        weights.clear();
        let active = (0..batch).take_while(|&b| steps.len_of(b) > 0).count();
        match self.kind {
            Pooling::Last => {
                for (b, y) in y.chunks_exact_mut(pooled).enumerate().take(active) {
                    let rows = [self.last_row(steps, b, 0), self.last_row(steps, b, width - 1)];
                    for (j, y) in y.iter_mut().enumerate() {
                        *y = x[rows[usize::from(2 * j >= width)] * width + j];
                    }
                }
            }
            Pooling::Mean => mean(x, steps, width, pooled, 0, y),
            Pooling::Max => max(x, steps, width, pooled, y, best),
            Pooling::MaxMean => {
                max(x, steps, width, pooled, y, best);
                mean(x, steps, width, pooled, width, y);
            }
            Pooling::Attention => {
                let query = self.query.map_or(&[][..], |query| query.of(params));
                weights.extend(x.chunks_exact(width).map(|x| dot(x, query)));
                softmax_over_time(weights, steps);
                for t in 0..steps.len() {
                    for (b, row) in steps.range(t).enumerate() {
                        add_scaled(&x[row * width..][..width], weights[row], &mut y[b * pooled..][..width]);
                    }
                }
            }
        }
    }

    /// From `dy` `[B, pooled]`: writes `dx` `[N, width]`, adds to `grads`.
    pub fn backward<F: Scalar>(
        &self,
        params: &Params<F>,
        x: &[F],
        steps: &Steps,
        tape: &PoolTape<F>,
        dy: &[F],
        grads: &mut Grads<F>,
        dx: &mut [F],
    ) {
        let (width, pooled) = (self.width, self.output_width());
        dx.fill(F::ZERO);
        let active = (0..steps.batch()).take_while(|&b| steps.len_of(b) > 0).count();
        match self.kind {
            Pooling::Last => {
                for (b, dy) in dy.chunks_exact(pooled).enumerate().take(active) {
                    let rows = [self.last_row(steps, b, 0), self.last_row(steps, b, width - 1)];
                    for (j, &dy) in dy.iter().enumerate() {
                        dx[rows[usize::from(2 * j >= width)] * width + j] += dy;
                    }
                }
            }
            Pooling::Mean => mean_backward(dy, steps, width, pooled, 0, dx),
            Pooling::Max => max_backward(dy, active, width, pooled, &tape.best, dx),
            Pooling::MaxMean => {
                max_backward(dy, active, width, pooled, &tape.best, dx);
                mean_backward(dy, steps, width, pooled, width, dx);
            }
            Pooling::Attention => {
                let Some(query) = self.query else { return };
                // With weights `a` and `y = sum a x`: the logits' gradient is `a (x · dy - y · dy)`.
                for t in 0..steps.len() {
                    for (b, row) in steps.range(t).enumerate() {
                        let (x, dy) = (&x[row * width..][..width], &dy[b * pooled..][..width]);
                        let weight = tape.weights[row];
                        let dlogit = weight * (dot(x, dy) - dot(&tape.y[b * pooled..][..width], dy));
                        let dx = &mut dx[row * width..][..width];
                        add_scaled(dy, weight, dx);
                        add_scaled(query.of(params), dlogit, dx);
                        add_scaled(x, dlogit, query.of_mut(grads));
                    }
                }
            }
        }
    }
}

fn dot<F: Scalar>(a: &[F], b: &[F]) -> F {
    a.iter().zip(b).fold(F::ZERO, |sum, (&a, &b)| sum + a * b)
}

fn add_scaled<F: Scalar>(x: &[F], scale: F, y: &mut [F]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y += scale * x);
}

/// The mean of each sequence into columns `first..first + width` of `y`.
fn mean<F: Scalar>(x: &[F], steps: &Steps, width: usize, pooled: usize, first: usize, y: &mut [F]) {
    for t in 0..steps.len() {
        for (b, row) in steps.range(t).enumerate() {
            add_scaled(&x[row * width..][..width], F::ONE, &mut y[b * pooled + first..][..width]);
        }
    }
    for (b, y) in y.chunks_exact_mut(pooled).enumerate() {
        let share = F::from_f64(1.0 / steps.len_of(b).max(1) as f64);
        y[first..first + width].iter_mut().for_each(|y| *y *= share);
    }
}

fn mean_backward<F: Scalar>(dy: &[F], steps: &Steps, width: usize, pooled: usize, first: usize, dx: &mut [F]) {
    let shares: Vec<F> = (0..steps.batch()).map(|b| F::from_f64(1.0 / steps.len_of(b).max(1) as f64)).collect();
    for t in 0..steps.len() {
        for (b, row) in steps.range(t).enumerate() {
            add_scaled(&dy[b * pooled + first..][..width], shares[b], &mut dx[row * width..][..width]);
        }
    }
}

fn max<F: Scalar>(x: &[F], steps: &Steps, width: usize, pooled: usize, y: &mut [F], best: &mut Vec<usize>) {
    best.clear();
    best.resize(steps.batch() * width, 0);
    for t in 0..steps.len() {
        for (b, row) in steps.range(t).enumerate() {
            let values = x[row * width..][..width].iter().zip(&mut y[b * pooled..][..width]);
            for ((&x, y), best) in values.zip(&mut best[b * width..][..width]) {
                if t == 0 || x > *y {
                    (*y, *best) = (x, row);
                }
            }
        }
    }
}

fn max_backward<F: Scalar>(dy: &[F], active: usize, width: usize, pooled: usize, best: &[usize], dx: &mut [F]) {
    for (dy, best) in dy.chunks_exact(pooled).zip(best.chunks_exact(width)).take(active) {
        for (j, (&dy, &row)) in dy[..width].iter().zip(best).enumerate() {
            dx[row * width + j] += dy;
        }
    }
}

/// Logits `[N]` to weights that sum to 1 over each sequence.
fn softmax_over_time<F: Scalar>(logits: &mut [F], steps: &Steps) {
    let mut highest: Vec<F> = Vec::new();
    let mut sums: Vec<F> = vec![F::ZERO; steps.batch()];
    for t in 0..steps.len() {
        for (b, row) in steps.range(t).enumerate() {
            if t == 0 {
                highest.push(logits[row]);
            } else if logits[row] > highest[b] {
                highest[b] = logits[row];
            }
        }
    }
    for t in 0..steps.len() {
        for (b, row) in steps.range(t).enumerate() {
            logits[row] = (logits[row] - highest[b]).exp();
            sums[b] += logits[row];
        }
    }
    for t in 0..steps.len() {
        for (b, row) in steps.range(t).enumerate() {
            logits[row] /= sums[b];
        }
    }
}
