//! Series as a network reads them.

use std::hash::Hasher;

use crate::cell::Steps;
use crate::data::inputs::Values;
use crate::data::series::{Labelled, Reader};
use crate::data::windows::Windows;
use crate::data::{Labels, Vary};
use crate::error::Result;
use crate::metric::Truth;
use crate::rng::Rng;
use crate::shape::{Inputs, SequenceInput, SequenceInputBatch as Batch};
use crate::task::supervised::Examples;

/// Series ready for a network.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub reader: Reader,
    pub series: Vec<Values>,
    pub labels: Vec<[u32; 1]>,
    pub vary: Vary,
    /// How their steps are read, where not one by one.
    pub windows: Option<Windows>,
}

impl Series {
    pub(super) fn new(all: Vec<Labelled>, reader: &Reader, labels: &Labels, vary: Vary) -> Result<Series> {
        let mut series = Series { reader: reader.clone(), series: Vec::new(), labels: Vec::new(), vary, windows: None };
        for (raw, label, (file, at)) in all {
            series.labels.push([labels.index(&label, &file, at)?]);
            series.series.push(raw);
        }
        Ok(series)
    }

    /// `I`, the numbers of a step.
    pub(super) fn width(&self) -> usize {
        self.windows.as_ref().map_or_else(|| self.reader.width(), Windows::width)
    }

    /// The numbers `[T, I]` of a series.
    fn numbers(&self, example: usize, vary: Option<&mut Rng>) -> Vec<f32> {
        match (&self.series[example], &self.reader) {
            (Values::Pixels(image), Reader::PictureRows(pixels)) => {
                let mut out = vec![0.0; pixels.len()];
                self.vary.image(pixels, image, vary, &mut out);
                out
            }
            (Values::Numbers(numbers), _) => {
                let mut out = numbers.clone();
                let mut rng = vary.filter(|_| !self.vary.is_nothing());
                if let Some(rng) = &mut rng {
                    // A variation is drawn of whatever is read.
                    self.vary.draw(rng);
                }
                self.vary.add_noise(rng, &mut out);
                match &self.windows {
                    Some(windows) => windows.apply(&out),
                    None => out,
                }
            }
            (Values::Pixels(_), _) => Vec::new(),
        }
    }
}

impl Examples<SequenceInput> for Series {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn joined(&self, others: &Self) -> Self {
        let mut all = self.clone();
        all.series.extend_from_slice(&others.series);
        all.labels.extend_from_slice(&others.labels);
        all
    }

    fn steps(&self, example: usize) -> usize {
        match (&self.series[example], &self.reader) {
            (Values::Pixels(_), Reader::PictureRows(pixels)) => pixels.height,
            (Values::Numbers(numbers), reader) => {
                let steps = numbers.len() / reader.width();
                self.windows.as_ref().map_or(steps, |windows| windows.steps(steps))
            }
            (Values::Pixels(_), _) => 0,
        }
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        Truth::Classes(&self.labels[example])
    }

    fn batch(&self, examples: &[usize], mut vary: Option<&mut Rng>, _: Option<Batch<f32>>) -> Batch<f32> {
        let width = self.width();
        let numbers: Vec<Vec<f32>> = examples.iter().map(|&i| self.numbers(i, vary.as_deref_mut())).collect();
        let lengths: Vec<usize> = numbers.iter().map(|numbers| numbers.len() / width).collect();
        let steps = Steps::ragged(&lengths).unwrap_or_else(|_| Steps::equal(0, 0));
        let mut inputs = Vec::with_capacity(steps.rows() * width);
        for t in 0..steps.len() {
            for numbers in &numbers[..steps.active(t)] {
                inputs.extend_from_slice(&numbers[t * width..(t + 1) * width]);
            }
        }
        let targets = examples.iter().map(|&i| self.labels[i][0]).collect();
        Batch { steps, inputs: Inputs::Dense(inputs), extra: Vec::new(), targets }
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        self.series[example].hash(hasher);
    }
}
