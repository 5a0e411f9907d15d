//! What simple rules are fitted to.

use crate::metric::Truth;
use crate::shape::Outputs;
use crate::task::supervised::examples::Examples;
use crate::task::supervised::goal::Goal;

/// Numbers of an example that a linear model reads, at most.
pub(crate) const WIDTH: usize = 128;
/// Steps of gradient descent.
pub(super) const STEPS: usize = 200;
/// Products that they take, about, at most.
const WORK: usize = 200_000_000;

/// Training examples, or steps of them, that rules are fitted to.
pub(super) struct Sample {
    /// `D`.
    pub width: usize,
    /// `[N, D]`.
    pub inputs: Vec<f32>,
    /// `[N]`: classes, or numbers.
    pub truths: Vec<f32>,
}

impl Sample {
    /// Every so many-th target, so that a linear model of them is soon fitted; none where the task has no numbers.
    pub(super) fn take<S: Outputs, E: Examples<S>>(train: &E, goal: Goal) -> Option<Sample> {
        if let Goal::Labels(_) = goal {
            return None;
        }
        let targets_of = |i: usize| targets(train.truth(i));
        let width =
            (0..train.len()).find_map(|i| train.features(i).len().checked_div(targets_of(i))).filter(|w| *w > 0)?;
        let all: usize = (0..train.len()).map(targets_of).sum();
        let rows = (WORK / (STEPS * goal.outputs() * (width + 1) * 2)).max(50);
        let every = all.div_ceil(rows).max(1);
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
                    Truth::Classes(classes) | Truth::Labels(classes) => classes[t] as f32,
                    Truth::Values(values) => values[t],
                });
            }
        }
        Some(Sample { width, inputs, truths })
    }
}

/// Predictions of an example.
pub(super) fn targets(truth: Truth) -> usize {
    match truth {
        Truth::Classes(classes) => classes.len(),
        Truth::Labels(_) | Truth::Values(_) => 1,
    }
}
