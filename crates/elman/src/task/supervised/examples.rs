//! Examples with their targets, and the outputs of a network for them.

use std::hash::Hasher;

use rayon::prelude::*;

use crate::error::Result;
use crate::metric::{Predicted, Shown, Truth};
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::Outputs;
use crate::train::Ranks;

/// Examples of a batch in an evaluation.
const SIDE_BY_SIDE: usize = 32;

/// Inputs with their targets, as a shape reads them.
pub(crate) trait Examples<S: Outputs>: Send + Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// These and others behind them, varied in training like these.
    fn joined(&self, others: &Self) -> Self;

    /// Steps of an example.
    fn steps(&self, example: usize) -> usize;

    /// The target.
    fn truth(&self, example: usize) -> Truth<'_>;

    /// A batch of these examples, the longest first, in the memory of an earlier one if there is one. With a random
    /// stream, they are varied for training.
    fn batch(&self, examples: &[usize], vary: Option<&mut Rng>, old: Option<S::Batch>) -> S::Batch;

    /// The network's outputs for an example as they belong to its targets: where predictions come late, the delay is undone.
    fn undelayed(&self, outputs: Vec<f32>) -> Vec<f32> {
        outputs
    }

    /// An example as a person is shown it.
    fn shown(&self, example: usize) -> Shown {
        Shown::Text(format!("example {}", example + 1))
    }

    /// The numbers `[T, D]` that a linear model predicts the targets from; empty where there is none of the task.
    fn features(&self, example: usize) -> Vec<f32> {
        let _ = example;
        Vec::new()
    }

    /// Gives what the network reads of an example to a hasher.
    fn hash(&self, example: usize, hasher: &mut dyn Hasher);

    /// A number that changes with the content.
    fn checksum(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        for example in 0..self.len() {
            self.hash(example, &mut sum);
            match self.truth(example) {
                Truth::Classes(classes) | Truth::Labels(classes) => {
                    classes.iter().for_each(|class| sum.update(&class.to_le_bytes()))
                }
                Truth::Values(values) => values.iter().for_each(|value| sum.update(&value.to_le_bytes())),
            }
        }
        sum.finalize()
    }
}

/// The outputs of the network for each example. Runs on the current thread pool; the outputs for an example do not depend
/// on the others. Ranks share them out.
///
/// # Errors
/// The failure of another rank.
pub(super) fn all_outputs<S: Outputs, E: Examples<S>>(
    shape: &S,
    params: &Params<f32>,
    examples: &E,
    ranks: &Ranks,
) -> Result<Vec<Vec<f32>>> {
    let mut prepared = S::Prepared::default();
    shape.prepare(params, &mut prepared);
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(examples.steps(i)));
    let all: Vec<&[usize]> = order.chunks(SIDE_BY_SIDE).collect();
    let parts = ranks.share(all.len(), |own| {
        let outputs = |tape: &mut S::Tape, part: &usize| {
            shape.outputs(params, &prepared, &examples.batch(all[*part], None, None), tape)
        };
        Ok(own.par_iter().map_init(S::Tape::default, outputs).collect())
    })?;
    let mut outputs = vec![Vec::new(); examples.len()];
    for (output, &i) in parts.into_iter().flatten().zip(&order) {
        outputs[i] = examples.undelayed(output);
    }
    Ok(outputs)
}

/// As [`all_outputs`], by this process alone.
pub(super) fn outputs_alone<S: Outputs, E: Examples<S>>(
    shape: &S,
    params: &Params<f32>,
    examples: &E,
) -> Vec<Vec<f32>> {
    // What can fail is another rank.
    all_outputs(shape, params, examples, &Ranks::default()).unwrap_or_default()
}

/// Outputs for all examples beside their targets.
pub(super) fn predicted<'a, S: Outputs, E: Examples<S>>(
    examples: &'a E,
    outputs: &'a [Vec<f32>],
) -> Vec<Predicted<'a>> {
    let predicted = |(i, outputs): (usize, &'a Vec<f32>)| Predicted { outputs, truth: examples.truth(i) };
    outputs.iter().enumerate().map(predicted).collect()
}
