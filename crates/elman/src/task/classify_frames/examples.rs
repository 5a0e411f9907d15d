//! Clips, and tables with a row per step, as sequences that a network reads.

use std::hash::Hasher;

use elman_kernels::softmax::IGNORE;

use crate::cell::Steps;
use crate::data::inputs::Values;
use crate::data::recordings::{Data, Reader};
use crate::data::{At, Labels, Vary};
use crate::error::Result;
use crate::metric::Truth;
use crate::rng::Rng;
use crate::shape::{Inputs, Synced, SyncedBatch};
use crate::task::supervised::Examples;

/// Sequences ready for a network.
#[derive(Clone, Debug)]
pub(super) struct Sequences {
    reader: Reader,
    ids: Vec<String>,
    values: Vec<Values>,
    pub labels: Vec<Vec<u32>>,
    lookahead: usize,
    classes: usize,
    pub vary: Vary,
    pub jitter: usize,
}

impl Sequences {
    fn none(reader: &Reader, classes: usize, lookahead: usize) -> Sequences {
        Sequences {
            reader: reader.clone(),
            ids: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
            lookahead,
            classes,
            vary: Vary::default(),
            jitter: 0,
        }
    }

    pub(super) fn new(data: Data, reader: &Reader, labels: &Labels, lookahead: usize) -> Result<Sequences> {
        let mut sequences = Sequences::none(reader, labels.len(), lookahead);
        for sequence in data.sequences {
            let lines = sequence.lines.iter().chain(std::iter::repeat(&sequence.lines[0]));
            let label = |(name, &line): (&String, &usize)| labels.index(name, &data.path, At::Line(line));
            sequences.labels.push(sequence.labels.iter().zip(lines).map(label).collect::<Result<_>>()?);
            sequences.ids.push(sequence.id);
            sequences.values.push(sequence.values);
        }
        Ok(sequences)
    }

    /// Sequences without labels: name, steps, and the number of these.
    pub(super) fn unlabelled(
        sequences: Vec<(String, Values, usize)>,
        reader: &Reader,
        classes: usize,
        lookahead: usize,
    ) -> Sequences {
        let mut all = Sequences::none(reader, classes, lookahead);
        for (id, values, steps) in sequences {
            all.ids.push(id);
            all.values.push(values);
            all.labels.push(vec![0; steps]);
        }
        all
    }

    /// The names of the sequences.
    pub(super) fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Where each of `T` steps comes from: in training shifted, with single ones repeated or left out.
    fn times(&self, len: usize, vary: Option<&mut Rng>) -> Vec<usize> {
        // Probability that a step is repeated, and that one is left out.
        const STUMBLE: f64 = 0.03;
        let Some(rng) = vary.filter(|_| self.jitter > 0 && len > 0) else { return (0..len).collect() };
        let jitters = rng.uniform() < 0.5;
        let range = 2 * self.jitter + 1;
        let mut moved = rng.below(range) as i64 - self.jitter as i64;
        let mut time = |t: usize| {
            if !jitters {
                return t;
            }
            let stumble = rng.uniform();
            if stumble < STUMBLE {
                moved -= 1;
            } else if stumble < 2.0 * STUMBLE {
                moved += 1;
            }
            (t as i64 + moved).clamp(0, len as i64 - 1) as usize
        };
        (0..len).map(&mut time).collect()
    }

    /// Writes the inputs of a sequence, whose steps come from these times, into rows of a batch: step `t` into row
    /// `row(t)` `[I]`. `numbers` is working memory.
    fn write(
        &self,
        example: usize,
        times: &[usize],
        mut vary: Option<&mut Rng>,
        numbers: &mut Vec<f32>,
        row: impl Fn(usize) -> usize,
        inputs: &mut [f32],
    ) {
        let width = self.reader.width();
        let last = times.len().saturating_sub(1);
        let len = times.len() + self.lookahead;
        match (&self.values[example], &self.reader) {
            (Values::Pixels(frames), Reader::Frames { pixels, context, ahead, .. }) => {
                let size = pixels.len();
                let variation = vary.as_deref_mut().filter(|_| !self.vary.is_nothing());
                let mut variation = variation.map(|rng| (self.vary.draw(rng), rng));
                numbers.resize(times.len() * size, 0.0);
                for (&t, out) in times.iter().zip(numbers.chunks_exact_mut(size)) {
                    let variation = variation.as_mut().map(|(variation, rng)| (&*variation, &mut **rng));
                    pixels.numbers(&frames[t * size..(t + 1) * size], variation, out);
                }
                for t in 0..len {
                    let at = |k: usize| (t + ahead + k + 1).saturating_sub(*context).min(last);
                    let seen = (0..*context).map(|k| &numbers[at(k) * size..(at(k) + 1) * size]);
                    self.reader.interleave(seen, &mut inputs[row(t) * width..][..width]);
                }
            }
            (Values::Numbers(rows), _) => {
                for t in 0..len {
                    let from = times[t.min(last)] * width;
                    inputs[row(t) * width..][..width].copy_from_slice(&rows[from..from + width]);
                }
                if let Some(rng) = vary.filter(|_| self.vary.noise > 0.0) {
                    for t in 0..len {
                        let row = &mut inputs[row(t) * width..][..width];
                        row.iter_mut().for_each(|x| *x += (self.vary.noise * rng.normal()) as f32);
                    }
                }
            }
            (Values::Pixels(_), Reader::Features(_)) => {}
        }
    }
}

impl Examples<Synced> for Sequences {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn steps(&self, example: usize) -> usize {
        self.labels[example].len() + self.lookahead
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        Truth::Classes(&self.labels[example])
    }

    fn batch(&self, examples: &[usize], mut vary: Option<&mut Rng>, old: Option<SyncedBatch<f32>>) -> SyncedBatch<f32> {
        let lengths: Vec<usize> = examples.iter().map(|&i| self.labels[i].len() + self.lookahead).collect();
        let steps = Steps::ragged(&lengths).unwrap_or_else(|_| Steps::equal(0, 0));
        let mut inputs = match old.map(|batch| batch.inputs) {
            Some(Inputs::Dense(inputs)) => inputs,
            _ => Vec::new(),
        };
        inputs.resize(steps.rows() * self.reader.width(), 0.0);
        let mut targets = vec![IGNORE; steps.rows()];
        let mut numbers = Vec::new();
        for (b, &example) in examples.iter().enumerate() {
            let labels = &self.labels[example];
            let times = self.times(labels.len(), vary.as_deref_mut());
            let row = |t: usize| steps.range(t).start + b;
            self.write(example, &times, vary.as_deref_mut(), &mut numbers, row, &mut inputs);
            // The prediction comes late.
            times.iter().enumerate().for_each(|(t, &from)| targets[row(t + self.lookahead)] = labels[from]);
        }
        SyncedBatch { steps, inputs: Inputs::Dense(inputs), targets }
    }

    fn undelayed(&self, mut outputs: Vec<f32>) -> Vec<f32> {
        outputs.drain(..self.lookahead * self.classes);
        outputs
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        self.values[example].hash(hasher);
    }
}
