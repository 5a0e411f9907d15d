//! What simple rules find in the training examples: how much of the targets they explain, and how much noise on the inputs they
//! bear. What is not explained may be noise of the targets, which a long training learns by heart; where noise of the inputs hides
//! what matters, as between columns that hardly differ, none must be added.

use std::collections::BTreeMap;

use super::linear::Linear;
use super::sample::Sample;
use crate::rng::Rng;

/// Examples that are each predicted from the others, at most.
const ASKED: usize = 1000;
/// Others that each is predicted from.
const NEAREST: usize = 5;
/// Noise that is tried, in standard deviations of an input.
const NOISE: [f64; 5] = [0.3, 0.2, 0.1, 0.05, 0.0];

/// See the file's beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Survey {
    /// The share that the better of two rules explains, a linear model (by its degrees of freedom) and the nearest other examples:
    /// 0 for no more than the commonest class or the mean, 1 for all.
    pub explained: f64,
    /// The most noise that leaves this rule nearly as good.
    pub bears: f64,
}

/// What neither explains anything nor has anything that noise could hide.
const NOTHING: Survey = Survey { explained: 0.0, bears: NOISE[0] };

pub(super) fn survey(mut sample: Sample, outputs: usize, is_of_classes: bool) -> Survey {
    let Some(linear) = Linear::fit(&mut sample, outputs, is_of_classes) else { return NOTHING };
    let Sample { width, inputs, truths } = &sample;
    let (width, n) = (*width, truths.len());
    let asked: Vec<usize> = (0..n.min(ASKED)).map(|i| i * n / n.min(ASKED)).collect();
    let row = |i: usize| &inputs[i * width..(i + 1) * width];
    let of_linear = |_: usize, x: &[f32]| {
        let outputs = linear.outputs(x);
        if is_of_classes { class_of(&outputs) } else { outputs[0] }
    };
    let of_nearest = |i: usize, x: &[f32]| {
        let distance = |j: usize| x.iter().zip(row(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let mut others: Vec<(f32, usize)> = asked.iter().filter(|j| **j != i).map(|j| (distance(*j), *j)).collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        others.truncate(NEAREST);
        let near = others.iter().map(|(_, j)| truths[*j]);
        if is_of_classes {
            let mut votes = vec![0.0; outputs];
            near.for_each(|class| votes[class as usize] += 1.0);
            class_of(&votes)
        } else {
            near.sum::<f32>() / others.len().max(1) as f32
        }
    };
    let asked_truths: Vec<f32> = asked.iter().map(|i| truths[*i]).collect();
    let all = spread(&asked_truths, is_of_classes);
    let error = |rule: &dyn Fn(usize, &[f32]) -> f32, noise: f64| {
        let mut rng = Rng::new(0, "survey");
        let mut noisy = |i: &usize| {
            let x: Vec<f32> = row(*i).iter().map(|x| x + (noise * rng.normal()) as f32).collect();
            rule(*i, &x)
        };
        let predicted: Vec<f32> = asked.iter().map(&mut noisy).collect();
        errors(&asked_truths, &predicted, is_of_classes)
    };
    if all <= 0.0 {
        return NOTHING;
    }
    // The linear model was fitted to these examples; the others are not among their own neighbours.
    let free = n.saturating_sub(width + 1) as f64 / n.saturating_sub(1).max(1) as f64;
    let by_linear = if free > 0.0 { 1.0 - error(&of_linear, 0.0) / all / free } else { 0.0 };
    let by_nearest = 1.0 - error(&of_nearest, 0.0) / all;
    let rule: &dyn Fn(usize, &[f32]) -> f32 = if by_linear >= by_nearest { &of_linear } else { &of_nearest };
    let clean = error(rule, 0.0);
    // A fifth more errors; and what chance makes of few, or a hundredth of the spread.
    let chance = if is_of_classes { clean.sqrt() + 1.0 } else { 0.01 * all };
    let bears = NOISE.into_iter().find(|noise| error(rule, *noise) <= 1.2 * clean + chance);
    Survey { explained: by_linear.max(by_nearest).max(0.0), bears: bears.unwrap_or(0.0) }
}

/// The largest output's class.
fn class_of(outputs: &[f32]) -> f32 {
    let most = outputs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    most.map_or(0.0, |(class, _)| class as f32)
}

/// Wrong classes, or squared errors.
fn errors(truths: &[f32], predicted: &[f32], is_of_classes: bool) -> f64 {
    let pairs = truths.iter().zip(predicted).map(|(t, p)| f64::from(t - p));
    if is_of_classes { pairs.filter(|d| *d != 0.0).count() as f64 } else { pairs.map(|d| d * d).sum() }
}

/// The errors of the commonest class, or of the mean.
fn spread(truths: &[f32], is_of_classes: bool) -> f64 {
    if is_of_classes {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        truths.iter().for_each(|class| *counts.entry(*class as u32).or_default() += 1);
        return (truths.len() - counts.into_values().max().unwrap_or(0)) as f64;
    }
    let mean = truths.iter().sum::<f32>() / truths.len().max(1) as f32;
    errors(truths, &vec![mean; truths.len()], false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two inputs in -1..1, the second `apart` from the first where that is given, and a target of them.
    fn sample(apart: Option<f32>, target: impl Fn(f32, f32, f32) -> f32) -> Sample {
        let mut rng = Rng::new(3, "explained");
        let mut one = || rng.uniform() as f32 * 2.0 - 1.0;
        let (mut inputs, mut truths) = (Vec::new(), Vec::new());
        for _ in 0..500 {
            let (a, b, noise) = (one(), one(), one());
            let b = apart.map_or(b, |apart| a + apart * b);
            inputs.extend([a, b]);
            truths.push(target(a, b, noise));
        }
        Sample { width: 2, inputs, truths }
    }

    #[test]
    fn a_rule_is_told_from_noise() {
        let value = |target: fn(f32, f32, f32) -> f32| survey(sample(None, target), 1, false).explained;
        assert!(value(|a, b, _| 3.0 * a - b) > 0.98);
        assert!(value(|a, b, _| (3.0 * (a * a + b * b)).sin()) > 0.8);
        assert!(value(|_, _, noise| noise) < 0.1);
        let half = value(|a, _, noise| a + noise);
        assert!((0.4..0.6).contains(&half), "{half}");
        let class = |target: fn(f32, f32, f32) -> bool| {
            survey(sample(None, |a, b, n| f32::from(target(a, b, n))), 2, true).explained
        };
        assert!(class(|a, b, _| a + b > 0.1) > 0.9);
        assert!(class(|a, b, _| a * a + b * b < 0.5) > 0.8);
        assert!(class(|_, _, noise| noise > 0.0) < 0.2);
    }

    #[test]
    fn noise_that_hides_what_matters_is_not_borne() {
        let bears = |apart, outputs, target: fn(f32, f32, f32) -> f32| {
            survey(sample(apart, target), outputs, outputs > 1).bears
        };
        assert!(bears(None, 1, |a, b, noise| a + b + noise) >= 0.2);
        assert!(bears(None, 2, |a, _, noise| f32::from(a + 0.5 * noise > 0.0)) >= 0.2);
        // The difference of two columns that hardly differ.
        assert!(bears(Some(0.1), 1, |a, b, _| b - a) <= 0.05);
        assert!(bears(Some(0.1), 2, |a, b, _| f32::from(b > a)) <= 0.05);
    }

    #[test]
    fn nothing_is_explained_where_there_is_nothing_to_explain() {
        assert_eq!(survey(sample(None, |_, _, _| 1.0), 2, true), NOTHING);
        assert_eq!(survey(sample(None, |_, _, _| 1.0), 1, false), NOTHING);
        let alone = Sample { width: 2, inputs: vec![1.0, 2.0], truths: vec![0.0] };
        assert_eq!(survey(alone, 1, false), NOTHING);
    }
}
