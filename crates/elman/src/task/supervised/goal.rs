//! What a supervised model predicts.

use crate::data::Labels;
use crate::metric::Evaluator;

/// What is predicted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal<'a> {
    /// One of these classes.
    Classes(&'a Labels),
    /// A number, `output * std + mean`.
    Value { mean: f64, std: f64 },
}

impl<'a> Goal<'a> {
    /// `V`, the outputs of the network.
    pub(crate) fn outputs(self) -> usize {
        match self {
            Goal::Classes(labels) => labels.len(),
            Goal::Value { .. } => 1,
        }
    }

    /// The names of the classes; none of numbers.
    pub(crate) fn labels(self) -> &'a [String] {
        match self {
            Goal::Classes(labels) => labels.names(),
            Goal::Value { .. } => &[],
        }
    }

    /// How predictions for single examples are evaluated; logits are divided by `temperature`.
    pub(crate) fn evaluator(self, temperature: f64) -> Evaluator {
        match self {
            Goal::Classes(labels) => Evaluator::Classes { classes: labels.len(), temperature },
            Goal::Value { std, .. } => Evaluator::Values { std: vec![std] },
        }
    }
}
