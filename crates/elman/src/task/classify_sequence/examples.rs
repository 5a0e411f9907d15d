//! Series as a network reads them.

use std::hash::Hasher;

use crate::cell::Steps;
use crate::data::Vary;
use crate::data::inputs::Values;
use crate::data::series::{Labelled, Reader};
use crate::data::windows::Windows;
use crate::error::Result;
use crate::metric::{Shown, Truth};
use crate::rng::Rng;
use crate::shape::{Inputs, SequenceInput, SequenceInputBatch as Batch, Targets};
use crate::task::supervised::{Examples, Learned, Placed, WIDTH, grid, pooled};

/// Series ready for a network.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub reader: Reader,
    pub series: Vec<Values>,
    pub targets: Targets<f32>,
    pub vary: Vary,
    /// How their steps are read, where not one by one.
    pub windows: Option<Windows>,
}

/// A series's label and its place.
pub(super) fn placed((_, label, (file, at)): &Labelled) -> Placed<'_> {
    (label, file, *at)
}

impl Series {
    pub(super) fn new(all: Vec<Labelled>, reader: &Reader, goal: &Learned, vary: Vary) -> Result<Series> {
        let targets = goal.targets(all.iter().map(placed))?;
        let series = all.into_iter().map(|(raw, ..)| raw).collect();
        Ok(Series { reader: reader.clone(), series, targets, vary, windows: None })
    }

    /// The class of each series; 0 of each where these are numbers.
    pub(super) fn classes(&self) -> Vec<[u32; 1]> {
        match &self.targets {
            Targets::Classes(classes) => classes.iter().map(|&class| [class]).collect(),
            Targets::Labels(_) | Targets::Values(_) => vec![[0]; self.series.len()],
        }
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
                match &self.windows {
                    Some(windows) => windows.apply(out, |values| self.vary.add_noise(rng, values)),
                    None => {
                        self.vary.add_noise(rng, &mut out);
                        out
                    }
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
        all.targets.join(&others.targets);
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
        self.targets.truth(example)
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
        Batch { steps, inputs: Inputs::Dense(inputs), extra: Vec::new(), targets: self.targets.of(examples) }
    }

    fn shown(&self, example: usize) -> Shown {
        match (&self.series[example], &self.reader) {
            (Values::Pixels(image), Reader::PictureRows(p)) => Shown::image(image, [p.height, p.width, p.channels]),
            (Values::Numbers(numbers), reader) => Shown::series(numbers, reader.width()),
            (Values::Pixels(_), _) => Shown::Text(format!("series {}", example + 1)),
        }
    }

    /// Of each channel the mean, the deviation, and means of equal parts, as many as there is room for.
    fn features(&self, example: usize) -> Vec<f32> {
        let (numbers, reader) = match (&self.series[example], &self.reader) {
            (Values::Pixels(image), Reader::PictureRows(p)) => return grid(image, [p.height, p.width, p.channels]),
            (Values::Numbers(numbers), reader) => (numbers, reader),
            (Values::Pixels(_), _) => return Vec::new(),
        };
        let channels = reader.width();
        let parts = (WIDTH / channels.max(1)).saturating_sub(2).min(24);
        if channels * 2 > WIDTH || numbers.is_empty() {
            return Vec::new();
        }
        let mut features = Vec::with_capacity(channels * (parts + 2));
        for channel in 0..channels {
            let values: Vec<f32> = numbers.iter().skip(channel).step_by(channels).copied().collect();
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let squares: f32 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
            features.extend([mean, (squares / values.len() as f32).sqrt()]);
            // A short series has its last value for the parts that it lacks.
            let mut of_parts = pooled(&values, parts);
            of_parts.resize(parts, values[values.len() - 1]);
            features.extend(of_parts);
        }
        features
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        self.series[example].hash(hasher);
    }
}
