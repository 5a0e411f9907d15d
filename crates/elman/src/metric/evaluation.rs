//! What was measured of a model, with what a person looks at beside the measures.

use serde_json::{Map, Value};

use super::classification::Confusion;
use super::evaluator::{Evaluator, Measures, Predicted, Truth};
use super::labels::holding;
use super::logits::{argmax, probabilities};
use super::ranking::{self, CurvePoint};
use super::review::{Baseline, Example};
use crate::error::{Error, Result};

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// The measures, the one that chooses a model first.
    pub measures: Vec<Measure>,
    /// The number of examples, and what they are called: `examples`, `pairs`, `rows`, `tokens`.
    pub examples: (usize, &'static str),
    /// How it was measured, for programs.
    pub details: Map<String, Value>,
    /// What a person should know, such as tokens that were left out.
    pub notes: Vec<String>,
    /// The classes; none where the model does not classify.
    pub labels: Vec<String>,
    /// Counts of true and predicted classes.
    pub confusion: Option<Confusion>,
    /// The worst mistakes: single predictions by confidence, sequences by their share of wrong steps.
    pub mistakes: Vec<Mistake>,
    /// Points of the curves of the second of two classes.
    pub curve: Option<Vec<CurvePoint>>,
    /// What was written for each example, if the model writes.
    pub texts: Vec<String>,
    /// What simple rules reach on the same examples.
    pub baselines: Vec<Baseline>,
    /// Some examples with prediction and truth, wrong predictions first.
    pub shown: Vec<Example>,
}

impl Evaluation {
    /// A measure by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.measures.iter().find(|measure| measure.name == name).map(|measure| measure.value)
    }

    /// All of it but mistakes, curve, simple rules and examples as one JSON object.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        for measure in &self.measures {
            object.insert(measure.name.into(), measure.value.into());
        }
        object.insert(self.examples.1.into(), self.examples.0.into());
        object.extend(self.details.clone());
        if let Some(confusion) = &self.confusion {
            object.insert("confusion".into(), confusion.to_json(&self.labels));
        }
        Value::Object(object)
    }
}

/// A measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Its name, such as `accuracy`.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// What it is counted in.
    pub unit: Unit,
    /// How it was measured; may be empty.
    pub note: String,
}

impl Measure {
    fn of((name, value): (&'static str, f64)) -> Measure {
        let unit = match name {
            "loss_nats" => Unit::Nats("target"),
            "edit" | "f1_10" | "f1_25" | "f1_50" => Unit::Points,
            "loss" | "rmse" | "mae" | "r2" => Unit::Number,
            _ => Unit::Share,
        };
        Measure { name, value, unit, note: String::new() }
    }
}

/// What a measure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share from 0 to 1.
    Share,
    /// Points from 0 to 100.
    Points,
    /// A mean cross-entropy in nats, per this.
    Nats(&'static str),
    /// A number in the unit of the data, or none.
    Number,
}

/// A wrong prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// Which example: its line, number or name.
    pub example: String,
    /// The true class, or classes.
    pub truth: String,
    /// What was predicted.
    pub predicted: String,
    /// The probability of the prediction; of a sequence, the share of wrong steps.
    pub degree: f64,
}

impl Evaluator {
    /// What is measured of predictions of these classes, without mistakes and curve.
    pub(crate) fn evaluation(&self, predictions: &[Predicted], labels: &[String]) -> Evaluation {
        let Measures { values, confusion, .. } = self.evaluate(predictions.iter().copied());
        let (values, undefined): (Vec<_>, Vec<_>) = values.into_iter().partition(|(_, value)| value.is_finite());
        let left_out = |(name, _)| format!("{name} is undefined for these examples and left out");
        Evaluation {
            measures: values.into_iter().map(Measure::of).collect(),
            notes: undefined.into_iter().map(left_out).collect(),
            examples: (predictions.len(), "examples"),
            labels: labels.to_vec(),
            confusion,
            ..Evaluation::default()
        }
    }

    /// The worst mistakes: of single predictions the most confident, of sequences those with the most wrong steps. `names`
    /// are those of the examples.
    pub(crate) fn mistakes(
        &self,
        predictions: &[Predicted],
        names: &[String],
        labels: &[String],
        count: usize,
    ) -> Vec<Mistake> {
        let mut worst: Vec<(f64, usize)> = Vec::new();
        let mut p = Vec::new();
        for (i, Predicted { outputs, truth }) in predictions.iter().enumerate() {
            if let Truth::Labels(truth) = truth {
                // Labels that are missing or too many.
                let found = holding(outputs);
                let wrong = (0..labels.len() as u32).filter(|label| found.contains(label) != truth.contains(label));
                let wrong = wrong.count();
                if wrong > 0 {
                    worst.push((wrong as f64 / labels.len() as f64, i));
                }
                continue;
            }
            let Truth::Classes(truth) = truth else { continue };
            let steps = outputs.chunks_exact(labels.len()).zip(*truth);
            let wrong = steps.filter(|(logits, target)| argmax(logits) != **target as usize).count();
            if wrong == 0 {
                continue;
            }
            let degree = match (truth, self) {
                ([_], Evaluator::Classes { temperature, .. }) => {
                    probabilities(outputs, *temperature, &mut p);
                    p[argmax(outputs)]
                }
                _ => wrong as f64 / truth.len() as f64,
            };
            worst.push((degree, i));
        }
        worst.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let named = |mut classes: Vec<usize>| {
            classes.dedup();
            let separator = if matches!(self, Evaluator::Labels { .. }) { ", " } else { " " };
            classes.into_iter().map(|class| labels[class].as_str()).collect::<Vec<_>>().join(separator)
        };
        let mistake = |(degree, i): (f64, usize)| {
            let Predicted { outputs, truth } = predictions[i];
            let truth = named(truth.classes().iter().map(|&class| class as usize).collect());
            let predicted = match self {
                Evaluator::Labels { .. } => named(holding(outputs).into_iter().map(|label| label as usize).collect()),
                _ => named(outputs.chunks_exact(labels.len()).map(argmax).collect()),
            };
            Mistake { example: names[i].clone(), truth, predicted, degree }
        };
        worst.into_iter().take(count).map(mistake).collect()
    }

    /// The points of the curves of the second of two classes.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are not two classes, or the examples are all of one.
    pub(crate) fn curve(&self, predictions: &[Predicted]) -> Result<Vec<CurvePoint>> {
        let (classes, temperature) = match self {
            Evaluator::Classes { classes, temperature } | Evaluator::Frames { classes, temperature, .. } => {
                (*classes, *temperature)
            }
            Evaluator::Labels { .. } => {
                let message = "`curves` are for two classes, and this model gives several labels";
                return Err(Error::Usage(message.into()));
            }
            Evaluator::Values { .. } => {
                let message = "`curves` are for two classes, and this model predicts numbers";
                return Err(Error::Usage(message.into()));
            }
        };
        if classes != 2 {
            let message = format!("`curves` are for two classes, and this model tells {classes} classes apart");
            return Err(Error::Usage(message));
        }
        let (mut scores, mut truths, mut p) = (Vec::new(), Vec::new(), Vec::new());
        for Predicted { outputs, truth } in predictions {
            for (logits, &target) in outputs.chunks_exact(classes).zip(truth.classes()) {
                probabilities(logits, temperature, &mut p);
                scores.push(p[1]);
                truths.push(target == 1);
            }
        }
        ranking::curve(&scores, &truths).ok_or_else(|| {
            Error::Usage("every example is of one class, so that there are no curves; leave out `curves`".into())
        })
    }
}
