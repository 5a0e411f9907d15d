//! How much of the targets simple rules explain: what is left may be noise, which a long training learns by heart.

use std::collections::BTreeMap;

use super::linear::Linear;
use super::sample::Sample;

/// Examples that are each predicted from the others, at most.
const ASKED: usize = 1000;
/// Others that each is predicted from.
const NEAREST: usize = 5;

/// The share that the better of two rules explains, a linear model (by its degrees of freedom) and the nearest other examples: 0 for
/// no more than the commonest class or the mean, 1 for all.
pub(super) fn explained(mut sample: Sample, outputs: usize, is_of_classes: bool) -> f64 {
    let Some(linear) = Linear::fit(&mut sample, outputs, is_of_classes) else { return 0.0 };
    let Sample { width, inputs, truths } = &sample;
    let n = truths.len();
    let share = |truths: &[f32], predicted: &[f32]| share(truths, predicted, is_of_classes);
    let of_linear = |x: &[f32]| {
        let outputs = linear.outputs(x);
        if is_of_classes { class_of(&outputs) } else { outputs[0] }
    };
    let fitted: Vec<f32> = inputs.chunks_exact(*width).map(of_linear).collect();
    let free = n.saturating_sub(width + 1) as f64 / n.saturating_sub(1).max(1) as f64;
    let of_linear = if free > 0.0 { 1.0 - (1.0 - share(truths, &fitted)) / free } else { 0.0 };

    let asked: Vec<usize> = (0..n.min(ASKED)).map(|i| i * n / n.min(ASKED)).collect();
    let row = |i: usize| &inputs[i * width..(i + 1) * width];
    let of_nearest = |&i: &usize| {
        let distance = |&j: &usize| row(i).iter().zip(row(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let mut others: Vec<(f32, usize)> = asked.iter().filter(|&&j| j != i).map(|j| (distance(j), *j)).collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        others.truncate(NEAREST);
        let near = || others.iter().map(|(_, j)| truths[*j]);
        if is_of_classes {
            let mut votes = vec![0.0; outputs];
            near().for_each(|class| votes[class as usize] += 1.0);
            class_of(&votes)
        } else {
            near().sum::<f32>() / others.len().max(1) as f32
        }
    };
    let near: Vec<f32> = asked.iter().map(of_nearest).collect();
    let asked: Vec<f32> = asked.iter().map(|i| truths[*i]).collect();
    of_linear.max(share(&asked, &near)).max(0.0)
}

/// The largest output's class.
fn class_of(outputs: &[f32]) -> f32 {
    let most = outputs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    most.map_or(0.0, |(class, _)| class as f32)
}

/// One less the error's share of that of the commonest class or the mean.
fn share(truths: &[f32], predicted: &[f32], is_of_classes: bool) -> f64 {
    let pairs = || truths.iter().zip(predicted).map(|(t, p)| (f64::from(*t), f64::from(*p)));
    let n = truths.len() as f64;
    let (error, all) = if is_of_classes {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        truths.iter().for_each(|class| *counts.entry(*class as u32).or_default() += 1);
        let most = counts.into_values().max().unwrap_or(0);
        (pairs().filter(|(t, p)| t != p).count() as f64, n - most as f64)
    } else {
        let mean = pairs().map(|(t, _)| t).sum::<f64>() / n;
        (pairs().map(|(t, p)| (t - p).powi(2)).sum(), pairs().map(|(t, _)| (t - mean).powi(2)).sum())
    };
    if all > 0.0 { 1.0 - error / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Two inputs in -1..1 and a target of them.
    fn sample(target: impl Fn(f32, f32, f32) -> f32) -> Sample {
        let mut rng = Rng::new(3, "explained");
        let mut one = || rng.uniform() as f32 * 2.0 - 1.0;
        let (mut inputs, mut truths) = (Vec::new(), Vec::new());
        for _ in 0..500 {
            let (a, b, noise) = (one(), one(), one());
            inputs.extend([a, b]);
            truths.push(target(a, b, noise));
        }
        Sample { width: 2, inputs, truths }
    }

    #[test]
    fn a_rule_is_told_from_noise() {
        let value = |target: fn(f32, f32, f32) -> f32| explained(sample(target), 1, false);
        assert!(value(|a, b, _| 3.0 * a - b) > 0.98);
        assert!(value(|a, b, _| (3.0 * (a * a + b * b)).sin()) > 0.8);
        assert!(value(|_, _, noise| noise) < 0.1);
        let half = value(|a, _, noise| a + noise);
        assert!((0.4..0.6).contains(&half), "{half}");
        let class =
            |target: fn(f32, f32, f32) -> bool| explained(sample(|a, b, n| f32::from(target(a, b, n))), 2, true);
        assert!(class(|a, b, _| a + b > 0.1) > 0.9);
        assert!(class(|a, b, _| a * a + b * b < 0.5) > 0.8);
        assert!(class(|_, _, noise| noise > 0.0) < 0.2);
    }

    #[test]
    fn nothing_is_explained_where_there_is_nothing_to_explain() {
        assert_eq!(explained(sample(|_, _, _| 1.0), 2, true), 0.0);
        assert_eq!(explained(sample(|_, _, _| 1.0), 1, false), 0.0);
        let alone = Sample { width: 2, inputs: vec![1.0, 2.0], truths: vec![0.0] };
        assert_eq!(explained(alone, 1, false), 0.0);
    }
}
