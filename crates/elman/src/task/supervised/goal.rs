//! What a supervised model predicts.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::examples::Examples;
use crate::data::{At, Labels, above_zero};
use crate::error::Result;
use crate::file::fault;
use crate::metric::{Evaluator, Example, Predicted, Truth, argmax, chosen, holding, probabilities};
use crate::shape::{Outputs, Targets};

/// A label as it stands in a file: the word, the file, the place.
pub(crate) type Placed<'a> = (&'a str, &'a Path, At);

/// What labels stand for; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Learned {
    /// One of these classes.
    Classes(Labels),
    /// A number, `output * std + mean`.
    Value {
        /// Mean in training.
        mean: f64,
        /// Standard deviation in training.
        #[serde(rename = "deviation", deserialize_with = "above_zero")]
        std: f64,
    },
}

impl Learned {
    /// The number that a regression on these examples predicts: its scale.
    ///
    /// # Errors
    /// [`Error::Data`](crate::error::Error::Data) with the place of a label that is not a number.
    pub(crate) fn value_of<'a>(train: impl Iterator<Item = Placed<'a>>) -> Result<Self> {
        let values: Vec<f64> = train.map(number).collect::<Result<_>>()?;
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        Ok(Learned::Value { mean, std: if variance > 0.0 { variance.sqrt() } else { 1.0 } })
    }

    /// What is predicted.
    pub(crate) fn as_goal(&self) -> Goal<'_> {
        match self {
            Learned::Classes(labels) => Goal::Classes(labels),
            &Learned::Value { mean, std } => Goal::Value { mean, std },
        }
    }

    /// The targets that labels are.
    ///
    /// # Errors
    /// [`Error::Data`](crate::error::Error::Data) with the place of a label that is no class of these, or no number.
    pub(crate) fn targets<'a>(&self, labels: impl Iterator<Item = Placed<'a>>) -> Result<Targets<f32>> {
        Ok(match self {
            Learned::Classes(classes) => {
                Targets::Classes(labels.map(|(label, file, at)| classes.index(label, file, at)).collect::<Result<_>>()?)
            }
            Learned::Value { mean, std } => {
                let value = |label| number(label).map(|x| ((x - mean) / std) as f32);
                Targets::Values(labels.map(value).collect::<Result<_>>()?)
            }
        })
    }
}

/// The number that a label is.
fn number((label, file, at): Placed) -> Result<f64> {
    label.trim().parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| {
        let reason = format!("{at}{label:?} is not a number to predict; for names use a task that classifies");
        fault(file, reason)
    })
}

impl Targets<f32> {
    /// The greatest distance of a number to predict from their mean, in standard deviations; none of classes.
    pub(crate) fn heaviest(&self) -> Option<f64> {
        match self {
            Targets::Classes(_) | Targets::Labels(_) => None,
            Targets::Values(values) => Some(values.iter().fold(0.0, |most, x| f64::max(most, f64::from(x.abs())))),
        }
    }

    /// What it is of an example.
    pub(crate) fn truth(&self, example: usize) -> Truth<'_> {
        match self {
            Targets::Classes(classes) => Truth::Classes(&classes[example..=example]),
            Targets::Labels(labels) => Truth::Labels(&labels[example]),
            Targets::Values(values) => Truth::Values(&values[example..=example]),
        }
    }

    /// Those of some examples.
    pub(crate) fn of(&self, examples: &[usize]) -> Targets<f32> {
        match self {
            Targets::Classes(classes) => Targets::Classes(examples.iter().map(|&i| classes[i]).collect()),
            Targets::Labels(labels) => Targets::Labels(examples.iter().map(|&i| labels[i].clone()).collect()),
            Targets::Values(values) => Targets::Values(examples.iter().map(|&i| values[i]).collect()),
        }
    }

    /// These and others of the same kind.
    pub(crate) fn join(&mut self, others: &Targets<f32>) {
        match (self, others) {
            (Targets::Classes(all), Targets::Classes(others)) => all.extend_from_slice(others),
            (Targets::Labels(all), Targets::Labels(others)) => all.extend_from_slice(others),
            (Targets::Values(all), Targets::Values(others)) => all.extend_from_slice(others),
            _ => {}
        }
    }
}

/// What is predicted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal<'a> {
    /// One of these classes.
    Classes(&'a Labels),
    /// Which of these labels hold.
    Labels(&'a Labels),
    /// A number, `output * std + mean`.
    Value { mean: f64, std: f64 },
}

impl<'a> Goal<'a> {
    /// `V`, the outputs of the network.
    pub(crate) fn outputs(self) -> usize {
        match self {
            Goal::Classes(labels) | Goal::Labels(labels) => labels.len(),
            Goal::Value { .. } => 1,
        }
    }

    /// The names of the classes or labels; none of numbers.
    pub(crate) fn labels(self) -> &'a [String] {
        match self {
            Goal::Classes(labels) | Goal::Labels(labels) => labels.names(),
            Goal::Value { .. } => &[],
        }
    }

    /// How predictions for single examples are evaluated; logits are divided by `temperature`.
    pub(crate) fn evaluator(self, temperature: f64) -> Evaluator {
        match self {
            Goal::Classes(labels) => Evaluator::Classes { classes: labels.len(), temperature },
            Goal::Labels(labels) => Evaluator::Labels { labels: labels.len() },
            Goal::Value { std, .. } => Evaluator::Values { std: vec![std] },
        }
    }

    /// Some examples with what was predicted for them; logits are divided by `temperature`.
    pub(crate) fn shown<S: Outputs, E: Examples<S>>(
        self,
        examples: &E,
        predictions: &[Predicted],
        temperature: f64,
    ) -> Vec<Example> {
        let classes = self.outputs();
        let mut p = Vec::new();
        let mut wrong = |Predicted { outputs, truth }: &Predicted| match truth {
            Truth::Values(truth) => f64::from((outputs[0] - truth[0]).abs()),
            Truth::Labels(truth) => {
                let found = holding(outputs);
                let wrong = |label: &u32| found.contains(label) != truth.contains(label);
                (0..classes as u32).filter(wrong).count() as f64
            }
            Truth::Classes(truth) => {
                let steps = outputs.chunks_exact(classes).zip(*truth);
                let count = steps.filter(|(logits, class)| argmax(logits) != **class as usize).count();
                if count > 0 && truth.len() == 1 {
                    probabilities(outputs, temperature, &mut p);
                    return p[argmax(outputs)];
                }
                count as f64 / truth.len().max(1) as f64
            }
        };
        let wrong: Vec<f64> = predictions.iter().map(&mut wrong).collect();
        chosen(&wrong).into_iter().map(|i| self.example(examples, i, &predictions[i], temperature)).collect()
    }

    fn example<S: Outputs, E: Examples<S>>(self, examples: &E, i: usize, one: &Predicted, temperature: f64) -> Example {
        let (input, outputs) = (examples.shown(i), one.outputs);
        let example = |truth, predicted| Example {
            input,
            truth,
            predicted,
            probability: None,
            is_right: None,
            steps: Vec::new(),
        };
        match (self, one.truth) {
            (Goal::Classes(labels), Truth::Classes(&[class])) => {
                let (mut p, found) = (Vec::new(), argmax(outputs));
                probabilities(outputs, temperature, &mut p);
                let [truth, predicted] = [class as usize, found].map(|class| labels.names()[class].clone());
                let is_right = Some(class as usize == found);
                Example { probability: Some(p[found]), is_right, ..example(truth, predicted) }
            }
            (Goal::Classes(labels), Truth::Classes(truth)) => {
                let found: Vec<u32> = outputs.chunks_exact(labels.len()).map(|z| argmax(z) as u32).collect();
                let right = found.iter().zip(truth).filter(|(a, b)| a == b).count();
                let words = |steps: &[(usize, usize)]| {
                    let names = steps.iter().map(|(class, _)| labels.names()[*class].as_str());
                    names.collect::<Vec<_>>().join(" ")
                };
                let [truth, found] = [stretches(truth), stretches(&found)];
                let share = right as f64 / one.truth.classes().len().max(1) as f64;
                let (named, predicted) = (words(&truth), words(&found));
                let is_right = Some(truth == found);
                Example { probability: Some(share), is_right, steps: vec![truth, found], ..example(named, predicted) }
            }
            (Goal::Labels(labels), Truth::Labels(truth)) => {
                let found = holding(outputs);
                let named = |held: &[u32]| match held {
                    [] => "no label".into(),
                    _ => held.iter().map(|&i| labels.names()[i as usize].as_str()).collect::<Vec<_>>().join(", "),
                };
                let is_right = Some(found == truth);
                Example { is_right, ..example(named(truth), named(&found)) }
            }
            (Goal::Value { mean, std }, Truth::Values(truth)) => {
                let number = |x: f32| format!("{:.4}", f64::from(x) * std + mean);
                example(number(truth[0]), number(outputs[0]))
            }
            _ => example(String::new(), String::new()),
        }
    }
}

/// Classes of steps as stretches of the same class: class and steps.
fn stretches(classes: &[u32]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for &class in classes {
        match found.last_mut() {
            Some((last, count)) if *last == class as usize => *count += 1,
            _ => found.push((class as usize, 1)),
        }
    }
    found
}
