//! What simple rules predict: the commonest class or the mean, a linear model, the nearest of some training examples. They are
//! kept in the model's file, so that an evaluation on other data has them beside the score.

mod linear;
mod nearest;
mod sample;
mod survey;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::linear::Linear;
use self::nearest::Nearest;
pub(crate) use self::sample::WIDTH;
use self::sample::{Sample, targets};
pub(crate) use self::survey::Survey;
use super::examples::Examples;
use super::goal::Goal;
use crate::metric::{Baseline, Evaluator, Predicted};
use crate::shape::Outputs;

/// Products that the nearest examples of an evaluation may take.
const NEAREST_WORK: usize = 4_000_000_000;

/// The outputs for standardised inputs.
type Rule<'a> = Box<dyn Fn(&[f32]) -> Vec<f32> + Sync + 'a>;

/// Rules that were fitted to the training examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Simple {
    /// The commonest class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    majority: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    linear: Option<Linear>,
    /// Of the inputs as the linear model standardises them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nearest: Option<Nearest>,
}

impl Simple {
    /// Fits the rules; of many examples some are used.
    pub(crate) fn fit<S: Outputs, E: Examples<S>>(train: &E, goal: Goal) -> Simple {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for example in 0..train.len() {
            train.truth(example).classes().iter().for_each(|class| *counts.entry(*class).or_default() += 1);
        }
        let most = counts.iter().map(|(class, count)| (*count, std::cmp::Reverse(*class))).max();
        // Of several labels the commonest may hold for few.
        let most = most.filter(|(count, _)| !matches!(goal, Goal::Labels(_)) || 2 * count > train.len());
        let majority = most.map(|(_, class)| class.0 as usize);
        let mut sample = Sample::take(train, goal);
        let linear = sample.as_mut().and_then(|all| Linear::fit(all, goal.outputs(), !goal.labels().is_empty()));
        let nearest = sample.filter(|_| linear.is_some()).and_then(|all| Nearest::fit(&all));
        Simple { majority, linear, nearest }
    }

    /// Whether it fits what is predicted.
    pub(crate) fn fits(&self, goal: Goal) -> bool {
        let (outputs, width) = (goal.outputs(), self.linear.as_ref().map(Linear::width));
        self.majority.is_none_or(|class| class < outputs)
            && self.linear.as_ref().is_none_or(|linear| linear.fits(outputs))
            && self.nearest.as_ref().is_none_or(|nearest| width.is_some_and(|d| nearest.fits(d, goal.labels().len())))
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
                // Of several labels, the others hold for none.
                let mut step = vec![-1.0; outputs];
                step[class] = 1.0;
                rules.push((format!("always {:?}", labels[class]), always(&step)));
            }
            (None, []) => rules.push(("the mean".into(), always(&vec![0.0; outputs]))),
            _ => {}
        }
        if let Some(linear) = &self.linear {
            // What each rule says of one step, from standardised inputs.
            let mut of_step: Vec<(String, Rule<'_>)> = vec![("linear".into(), Box::new(|x| linear.outputs(x)))];
            let steps: usize = all.clone().map(|i| targets(examples.truth(i))).sum();
            let is_soon = |kept: usize| steps.saturating_mul(kept * linear.width()) <= NEAREST_WORK;
            if let Some(nearest) = self.nearest.as_ref().filter(|nearest| is_soon(nearest.len())) {
                let is_of_classes = !goal.labels().is_empty();
                let one = move |x: &[f32]| {
                    let (truth, mut step) = (nearest.truth(x), vec![0.0; outputs]);
                    match is_of_classes {
                        true => step[truth as usize] = 1.0,
                        false => step[0] = truth,
                    }
                    step
                };
                of_step.push((format!("nearest of {}", nearest.len()), Box::new(one)));
            }
            for (name, one) in of_step {
                let of_example = |i: usize| -> Option<Vec<f32>> {
                    let (inputs, width) = (examples.features(i), linear.width());
                    let fits = !inputs.is_empty() && inputs.len().is_multiple_of(width);
                    fits.then(|| inputs.chunks_exact(width).flat_map(|x| one(&linear.standardised(x))).collect())
                };
                let found: Option<Vec<Vec<f32>>> = all.clone().into_par_iter().map(of_example).collect();
                rules.extend(found.map(|found| (name, found)));
            }
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

/// What simple rules find in the training examples; none where they have no numbers.
pub(crate) fn survey<S: Outputs, E: Examples<S>>(train: &E, goal: Goal) -> Option<Survey> {
    let sample = Sample::take(train, goal)?;
    Some(survey::survey(sample, goal.outputs(), !goal.labels().is_empty()))
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
