//! Images and rows as a network reads them.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};

use crate::data::dataset::Raw;
use crate::data::inputs::{Reader, Values, number};
use crate::data::{Labels, Vary, above_zero};
use crate::error::Result;
use crate::metric::Truth;
use crate::rng::Rng;
use crate::shape::{Fixed, FixedBatch, Targets};
use crate::task::supervised::{Examples, Goal};

/// Images or rows ready for a network.
#[derive(Clone, Debug)]
pub(super) struct FixedExamples {
    reader: Reader,
    values: Vec<Values>,
    targets: Targets<f32>,
    vary: Vary,
}

impl Examples<Fixed> for FixedExamples {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn joined(&self, others: &Self) -> Self {
        let mut all = self.clone();
        all.values.extend_from_slice(&others.values);
        match (&mut all.targets, &others.targets) {
            (Targets::Classes(all), Targets::Classes(others)) => all.extend_from_slice(others),
            (Targets::Values(all), Targets::Values(others)) => all.extend_from_slice(others),
            _ => {}
        }
        all
    }

    fn steps(&self, _: usize) -> usize {
        1
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        match &self.targets {
            Targets::Classes(classes) => Truth::Classes(&classes[example..=example]),
            Targets::Values(values) => Truth::Values(&values[example..=example]),
        }
    }

    fn batch(&self, examples: &[usize], mut vary: Option<&mut Rng>, old: Option<FixedBatch<f32>>) -> FixedBatch<f32> {
        let mut inputs = old.map_or_else(Vec::new, |batch| batch.inputs);
        let width = self.reader.width();
        inputs.resize(examples.len() * width, 0.0);
        for (&i, out) in examples.iter().zip(inputs.chunks_exact_mut(width)) {
            match (&self.values[i], &self.reader) {
                (Values::Pixels(image), Reader::Pixels(pixels)) => {
                    self.vary.image(pixels, image, vary.as_deref_mut(), out);
                }
                (Values::Numbers(row), _) => {
                    out.copy_from_slice(row);
                    self.vary.add_noise(vary.as_deref_mut(), out);
                }
                (Values::Pixels(_), Reader::Features(_)) => {}
            }
        }
        let targets = match &self.targets {
            Targets::Classes(classes) => Targets::Classes(examples.iter().map(|&i| classes[i]).collect()),
            Targets::Values(values) => Targets::Values(examples.iter().map(|&i| values[i]).collect()),
        };
        FixedBatch { inputs, targets }
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        self.values[example].hash(hasher);
    }
}

/// What the labels of rows stand for; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Learned {
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
    /// The number that a regression on these rows predicts: its scale.
    ///
    /// # Errors
    /// [`Error::Data`](crate::error::Error::Data) with the place of a label that is not a number.
    pub(super) fn value_of(train: &[Raw]) -> Result<Self> {
        let values: Vec<f64> = train.iter().map(number).collect::<Result<_>>()?;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
        Ok(Learned::Value { mean, std: if variance > 0.0 { variance.sqrt() } else { 1.0 } })
    }

    /// What is predicted.
    pub(super) fn as_goal(&self) -> Goal<'_> {
        match self {
            Learned::Classes(labels) => Goal::Classes(labels),
            &Learned::Value { mean, std } => Goal::Value { mean, std },
        }
    }

    fn targets(&self, rows: &[Raw]) -> Result<Targets<f32>> {
        Ok(match self {
            Learned::Classes(labels) => {
                let class = |row: &Raw| labels.index(&row.label, &row.file, row.at);
                Targets::Classes(rows.iter().map(class).collect::<Result<_>>()?)
            }
            Learned::Value { mean, std } => {
                let value = |row: &Raw| number(row).map(|x| ((x - mean) / std) as f32);
                Targets::Values(rows.iter().map(value).collect::<Result<_>>()?)
            }
        })
    }
}

impl FixedExamples {
    /// Examples with their targets.
    ///
    /// # Errors
    /// A label that is not a class, or not a number; inputs that the reader does not fit.
    pub(super) fn new(rows: &[Raw], reader: &Reader, goal: &Learned, vary: Vary) -> Result<Self> {
        let targets = goal.targets(rows)?;
        let values = rows.iter().map(|row| reader.values(row)).collect::<Result<_>>()?;
        Ok(FixedExamples { reader: reader.clone(), values, targets, vary })
    }

    /// Inputs without targets.
    pub(super) fn of(reader: Reader, values: Vec<Values>) -> Self {
        FixedExamples { reader, targets: Targets::Classes(vec![0; values.len()]), values, vary: Vary::default() }
    }

    /// The greatest distance of a number to predict from their mean, in standard deviations; none of classes.
    pub(super) fn heaviest(&self) -> Option<f64> {
        match &self.targets {
            Targets::Classes(_) => None,
            Targets::Values(values) => Some(values.iter().fold(0.0, |most, x| f64::max(most, f64::from(x.abs())))),
        }
    }

    /// The class of each example; none of numbers.
    pub(super) fn classes(&self) -> impl Iterator<Item = u32> + '_ {
        let classes = if let Targets::Classes(classes) = &self.targets { classes.as_slice() } else { &[] };
        classes.iter().copied()
    }
}
