//! Images and rows as a network reads them.

use std::hash::Hasher;

use crate::data::Vary;
use crate::data::dataset::Raw;
use crate::data::inputs::{Reader, Values};
use crate::error::Result;
use crate::metric::{Shown, Truth};
use crate::rng::Rng;
use crate::shape::{Fixed, FixedBatch, Targets};
use crate::task::supervised::{Examples, Learned, WIDTH, grid, pooled};

/// Images or rows ready for a network.
#[derive(Clone, Debug)]
pub(super) struct FixedExamples {
    reader: Reader,
    values: Vec<Values>,
    targets: Targets<f32>,
    vary: Vary,
    /// The rows of a table that are shown.
    rows: Vec<Raw>,
}

impl Examples<Fixed> for FixedExamples {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn joined(&self, others: &Self) -> Self {
        let mut all = self.clone();
        all.values.extend_from_slice(&others.values);
        all.targets.join(&others.targets);
        all
    }

    fn steps(&self, _: usize) -> usize {
        1
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        self.targets.truth(example)
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
        FixedBatch { inputs, targets: self.targets.of(examples) }
    }

    fn shown(&self, example: usize) -> Shown {
        match (&self.values[example], &self.reader, self.rows.get(example).and_then(Raw::row)) {
            (Values::Pixels(image), Reader::Pixels(p), _) => Shown::image(image, [p.height, p.width, p.channels]),
            (_, Reader::Features(features), Some(row)) => Shown::text(&features.shown(row)),
            _ => Shown::Text(format!("row {}", example + 1)),
        }
    }

    fn features(&self, example: usize) -> Vec<f32> {
        match (&self.values[example], &self.reader) {
            (Values::Pixels(image), Reader::Pixels(p)) => grid(image, [p.height, p.width, p.channels]),
            (Values::Numbers(row), _) => pooled(row, WIDTH),
            _ => Vec::new(),
        }
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        self.values[example].hash(hasher);
    }
}

impl FixedExamples {
    /// Examples with their targets.
    ///
    /// # Errors
    /// A label that is not a class, or not a number; inputs that the reader does not fit.
    pub(super) fn new(rows: &[Raw], reader: &Reader, goal: &Learned) -> Result<Self> {
        let targets = goal.targets(rows.iter().map(Raw::labelled))?;
        let values = rows.iter().map(|row| reader.values(row)).collect::<Result<_>>()?;
        Ok(FixedExamples { reader: reader.clone(), values, targets, vary: Vary::default(), rows: Vec::new() })
    }

    /// Varies them in training.
    pub(super) fn varied(mut self, vary: Vary) -> Self {
        self.vary = vary;
        self
    }

    /// Keeps the rows of a table, to be shown.
    pub(super) fn with_rows(mut self, rows: Vec<Raw>) -> Self {
        self.rows = rows;
        self
    }

    /// Inputs without targets.
    pub(super) fn of(reader: Reader, values: Vec<Values>) -> Self {
        FixedExamples {
            reader,
            targets: Targets::Classes(vec![0; values.len()]),
            values,
            vary: Vary::default(),
            rows: Vec::new(),
        }
    }

    /// The greatest distance of a number to predict from their mean, in standard deviations; none of classes.
    pub(super) fn heaviest(&self) -> Option<f64> {
        self.targets.heaviest()
    }

    /// The class of each example; none of numbers.
    pub(super) fn classes(&self) -> impl Iterator<Item = u32> + '_ {
        let classes = if let Targets::Classes(classes) = &self.targets { classes.as_slice() } else { &[] };
        classes.iter().copied()
    }
}
