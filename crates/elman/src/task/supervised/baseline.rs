//! What simple rules predict: the commonest class or the mean, and a linear model. They are kept in the model's file, so that an
//! evaluation on other data has them beside the score.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::examples::Examples;
use super::goal::Goal;
use crate::metric::{Baseline, Evaluator, Predicted, Truth};
use crate::shape::Outputs;

/// Numbers of an example that a linear model reads, at most.
pub(crate) const WIDTH: usize = 128;
/// Products that fitting one takes, about, at most.
const WORK: usize = 200_000_000;
/// Steps of gradient descent.
const STEPS: usize = 200;
/// Weight decay.
const DECAY: f64 = 1e-3;

/// Rules that were fitted to the training examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Simple {
    /// The commonest class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    majority: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    linear: Option<Linear>,
}

/// A linear model: softmax regression, or least squares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Linear {
    /// Mean and inverse standard deviation of each input `[D]`.
    mean: Vec<f32>,
    scale: Vec<f32>,
    /// `[V, D + 1]`, the bias last.
    weights: Vec<f32>,
}

impl Simple {
    /// Fits the rules; of many examples some are used.
    pub(crate) fn fit<S: Outputs, E: Examples<S>>(train: &E, goal: Goal) -> Simple {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for example in 0..train.len() {
            train.truth(example).classes().iter().for_each(|class| *counts.entry(*class).or_default() += 1);
        }
        let most = counts.iter().map(|(class, count)| (*count, std::cmp::Reverse(*class))).max();
        let majority = most.map(|(_, class)| class.0 as usize);
        Simple { majority, linear: Linear::fit(train, goal.outputs(), !goal.labels().is_empty()) }
    }

    /// Whether it fits outputs of this number.
    pub(crate) fn fits(&self, outputs: usize) -> bool {
        self.majority.is_none_or(|class| class < outputs)
            && self.linear.as_ref().is_none_or(|linear| linear.fits(outputs))
    }

    /// What the rules reach by the first measure but the loss; `more` are rules of the task: their name, and their outputs for
    /// each example.
    pub(crate) fn scores<S: Outputs, E: Examples<S>>(
        &self,
        examples: &E,
        evaluator: &Evaluator,
        goal: Goal,
        more: Vec<(&'static str, Vec<Vec<f32>>)>,
    ) -> Vec<Baseline> {
        let outputs = goal.outputs();
        let all = 0..examples.len();
        let mut rules: Vec<(String, Vec<Vec<f32>>)> = Vec::new();
        let always = |step: &[f32]| all.clone().map(|i| step.repeat(targets(examples.truth(i)))).collect::<Vec<_>>();
        match (self.majority, goal.labels()) {
            (Some(class), labels) if class < labels.len() => {
                let mut step = vec![0.0; outputs];
                step[class] = 1.0;
                rules.push((format!("always {:?}", labels[class]), always(&step)));
            }
            (None, []) => rules.push(("the mean".into(), always(&vec![0.0; outputs]))),
            _ => {}
        }
        if let Some(linear) = &self.linear {
            let found: Option<Vec<Vec<f32>>> = all.map(|i| linear.outputs(&examples.features(i), outputs)).collect();
            rules.extend(found.map(|found| ("linear".into(), found)));
        }
        rules.extend(more.into_iter().map(|(name, outputs)| (name.to_string(), outputs)));
        let score = |(name, outputs): (String, Vec<Vec<f32>>)| {
            let predicted =
                outputs.iter().enumerate().map(|(i, outputs)| Predicted { outputs, truth: examples.truth(i) });
            let measures = evaluator.evaluate(predicted).values;
            let (measure, value) = measures.into_iter().find(|(measure, _)| !measure.starts_with("loss"))?;
            value.is_finite().then(|| Baseline { name, measure: measure.into(), value })
        };
        rules.into_iter().filter_map(score).collect()
    }
}

/// Predictions of an example.
fn targets(truth: Truth) -> usize {
    match truth {
        Truth::Classes(classes) => classes.len(),
        Truth::Values(_) => 1,
    }
}

impl Linear {
    fn fits(&self, outputs: usize) -> bool {
        let all = [&self.mean, &self.scale, &self.weights];
        let width = self.mean.len();
        (1..=WIDTH).contains(&width)
            && self.scale.len() == width
            && self.weights.len() == outputs * (width + 1)
            && all.into_iter().flatten().all(|x| x.is_finite())
    }

    /// The outputs `[T, V]` for inputs `[T, D]`; none where these are of another width.
    fn outputs(&self, inputs: &[f32], outputs: usize) -> Option<Vec<f32>> {
        let width = self.mean.len();
        let row = |x: &[f32]| {
            let standard: Vec<f32> = x.iter().zip(&self.mean).zip(&self.scale).map(|((x, m), s)| (x - m) * s).collect();
            let one = move |w: &[f32]| w[width] + w[..width].iter().zip(&standard).map(|(w, x)| w * x).sum::<f32>();
            self.weights.chunks_exact(width + 1).map(one).collect::<Vec<_>>()
        };
        let fits =
            !inputs.is_empty() && inputs.len().is_multiple_of(width) && self.weights.len() == outputs * (width + 1);
        fits.then(|| inputs.chunks_exact(width).flat_map(row).collect())
    }

    /// Fits the training examples by accelerated gradient descent from zero.
    fn fit<S: Outputs, E: Examples<S>>(train: &E, outputs: usize, is_of_classes: bool) -> Option<Linear> {
        let targets_of = |i: usize| targets(train.truth(i));
        let width =
            (0..train.len()).find_map(|i| train.features(i).len().checked_div(targets_of(i))).filter(|w| *w > 0)?;
        let all: usize = (0..train.len()).map(targets_of).sum();
        let rows = (WORK / (STEPS * outputs * (width + 1) * 2)).max(50);
        let every = all.div_ceil(rows).max(1);
        // Every so many-th target: its inputs and the truth.
        let (mut inputs, mut truths, mut at): (Vec<f32>, Vec<f32>, usize) = (Vec::new(), Vec::new(), 0);
        for i in 0..train.len() {
            let count = targets_of(i);
            let taken: Vec<usize> = (0..count).filter(|t| (at + t).is_multiple_of(every)).collect();
            at += count;
            if taken.is_empty() {
                continue;
            }
            let features = train.features(i);
            for t in taken {
                inputs.extend_from_slice(features.get(t * width..(t + 1) * width)?);
                truths.push(match train.truth(i) {
                    Truth::Classes(classes) => classes[t] as f32,
                    Truth::Values(values) => values[t],
                });
            }
        }
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
            for (x, truth) in inputs.chunks_exact(width).zip(&truths) {
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

/// Values as at most [`WIDTH`] numbers: means of equal parts.
pub(crate) fn pooled(values: &[f32], most: usize) -> Vec<f32> {
    let parts = values.len().min(most);
    let part = |i: usize| {
        let part = &values[i * values.len() / parts..(i + 1) * values.len() / parts];
        part.iter().sum::<f32>() / part.len() as f32
    };
    (0..parts).map(part).collect()
}

/// An image `[height, width, channels]` as the means of a grid of at most 8 x 8 cells.
pub(crate) fn grid(pixels: &[u8], [height, width, channels]: [usize; 3]) -> Vec<f32> {
    const CELLS: usize = 8;
    let side = if channels == 1 { CELLS } else { CELLS - 2 };
    let (rows, columns) = (height.min(side), width.min(side));
    let mut cells = Vec::with_capacity(rows * columns * channels);
    for row in 0..rows {
        for column in 0..columns {
            for channel in 0..channels {
                let (mut sum, mut count) = (0.0, 0);
                for y in row * height / rows..(row + 1) * height / rows {
                    for x in column * width / columns..(column + 1) * width / columns {
                        sum += f32::from(pixels[(y * width + x) * channels + channel]);
                        count += 1;
                    }
                }
                cells.push(sum / count.max(1) as f32);
            }
        }
    }
    cells
}
