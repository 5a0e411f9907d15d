//! Clips, and tables with a row per step, as sequences that a network reads.

use std::hash::Hasher;
use std::ops::Range;

use elman_kernels::softmax::IGNORE;

use crate::cell::Steps;
use crate::data::inputs::Values;
use crate::data::motion::Motion;
use crate::data::recordings::{Data, Reader};
use crate::data::tags::UNKNOWN;
use crate::data::{At, Labels, Vary};
use crate::error::Result;
use crate::metric::{Shown, Truth};
use crate::rng::Rng;
use crate::shape::{Inputs, Synced, SyncedBatch};
use crate::task::supervised::{Examples, WIDTH, grid, pooled};

/// Steps before a piece that are read without a loss, so that it begins in a state such as a whole sequence leads to.
const WARM: usize = 32;

/// A stretch of a sequence.
#[derive(Clone, Debug)]
struct Piece {
    /// The sequence.
    of: usize,
    /// Steps before it that are read too.
    warm: usize,
    /// Its steps in the sequence.
    steps: Range<usize>,
}

/// Sequences ready for a network.
#[derive(Clone, Debug)]
pub(super) struct Sequences {
    reader: Reader,
    width: usize,
    ids: Vec<String>,
    values: Vec<Values>,
    pub labels: Vec<Vec<u32>>,
    /// The examples: whole sequences, or pieces of them.
    pieces: Vec<Piece>,
    lookahead: usize,
    classes: usize,
    pub vary: Vary,
    pub jitter: usize,
    /// Of words, the share that is not known in training.
    pub word_dropout: f64,
}

impl Sequences {
    fn none(reader: &Reader, motion: Option<&Motion>, classes: usize, lookahead: usize) -> Sequences {
        Sequences {
            reader: reader.clone(),
            width: motion.map_or_else(|| reader.width(), Motion::width),
            ids: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
            pieces: Vec::new(),
            lookahead,
            classes,
            vary: Vary::default(),
            jitter: 0,
            word_dropout: 0.0,
        }
    }

    fn add(&mut self, id: String, values: Values, motion: Option<&Motion>, labels: Vec<u32>) {
        let values = match (values, motion) {
            (Values::Numbers(rows), Some(motion)) => Values::Numbers(motion.apply(&rows)),
            (values, _) => values,
        };
        self.ids.push(id);
        self.values.push(values);
        self.pieces.push(Piece { of: self.pieces.len(), warm: 0, steps: 0..labels.len() });
        self.labels.push(labels);
    }

    pub(super) fn new(
        data: Data,
        reader: &Reader,
        motion: Option<&Motion>,
        labels: &Labels,
        lookahead: usize,
    ) -> Result<Sequences> {
        let mut sequences = Sequences::none(reader, motion, labels.len(), lookahead);
        for sequence in data.sequences {
            let lines = sequence.lines.iter().chain(std::iter::repeat(&sequence.lines[0]));
            let label = |(name, &line): (&String, &usize)| labels.index(name, &data.path, At::Line(line));
            let labels = sequence.labels.iter().zip(lines).map(label).collect::<Result<_>>()?;
            sequences.add(sequence.id, sequence.values, motion, labels);
        }
        Ok(sequences)
    }

    /// Sequences without labels: name, values, steps.
    pub(super) fn unlabelled(
        sequences: Vec<(String, Values, usize)>,
        reader: &Reader,
        motion: Option<&Motion>,
        classes: usize,
        lookahead: usize,
    ) -> Sequences {
        let mut all = Sequences::none(reader, motion, classes, lookahead);
        for (id, values, steps) in sequences {
            all.add(id, values, motion, vec![0; steps]);
        }
        all
    }

    /// Cuts longer sequences into pieces of about `steps` steps, each an example, so that a pass has many updates.
    pub(super) fn cut(&mut self, steps: usize) {
        let pieces = self.labels.iter().enumerate().flat_map(|(of, labels)| {
            let count = (labels.len() / steps.max(1)).max(1);
            let at = move |i: usize| i * labels.len() / count;
            (0..count).map(move |i| Piece { of, warm: WARM.min(at(i)), steps: at(i)..at(i + 1) })
        });
        self.pieces = pieces.collect();
    }

    /// `I`, the numbers of a step.
    pub(super) fn width(&self) -> usize {
        self.width
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
        let width = self.width;
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
            (Values::Pixels(_), Reader::Features(_) | Reader::Words(_)) => {}
        }
    }
}

impl Examples<Synced> for Sequences {
    fn len(&self) -> usize {
        self.pieces.len()
    }

    fn joined(&self, others: &Self) -> Self {
        let mut all = self.clone();
        let (sequences, longest) =
            (all.labels.len(), self.pieces.iter().map(|piece| piece.steps.len()).max().unwrap_or(1));
        let mut others = others.clone();
        others.cut(longest);
        all.pieces.extend(others.pieces.into_iter().map(|piece| Piece { of: piece.of + sequences, ..piece }));
        all.ids.extend(others.ids);
        all.values.extend(others.values);
        all.labels.extend(others.labels);
        all
    }

    fn steps(&self, example: usize) -> usize {
        let Piece { warm, steps, .. } = &self.pieces[example];
        warm + steps.len() + self.lookahead
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        let Piece { of, steps, .. } = &self.pieces[example];
        Truth::Classes(&self.labels[*of][steps.clone()])
    }

    fn batch(&self, examples: &[usize], mut vary: Option<&mut Rng>, old: Option<SyncedBatch<f32>>) -> SyncedBatch<f32> {
        let lengths: Vec<usize> = examples.iter().map(|&i| self.steps(i)).collect();
        let steps = Steps::ragged(&lengths).unwrap_or_else(|_| Steps::equal(0, 0));
        let mut inputs = match old.map(|batch| batch.inputs) {
            Some(Inputs::Dense(inputs)) => inputs,
            _ => Vec::new(),
        };
        inputs.resize(steps.rows() * self.width, 0.0);
        let mut targets = vec![IGNORE; steps.rows()];
        let mut numbers = Vec::new();
        for (b, &example) in examples.iter().enumerate() {
            let Piece { of, warm, steps: range } = &self.pieces[example];
            let labels = &self.labels[*of];
            let mut from = range.start - warm;
            if let Some(rng) = vary.as_deref_mut().filter(|_| range.len() < labels.len() && *warm > 0) {
                // Another piece each time: moved by up to half of its length.
                let half = range.len() / 2;
                from = (from + rng.below(2 * half + 1)).saturating_sub(half).min(labels.len() - range.len() - warm);
            }
            let mut times = self.times(warm + range.len(), vary.as_deref_mut());
            times.iter_mut().for_each(|t| *t += from);
            let row = |t: usize| steps.range(t).start + b;
            self.write(*of, &times, vary.as_deref_mut(), &mut numbers, row, &mut inputs);
            // The prediction comes late.
            let learned = times.iter().enumerate().skip(*warm);
            learned.for_each(|(t, &from)| targets[row(t + self.lookahead)] = labels[from]);
        }
        let inputs = match self.reader {
            Reader::Words(_) => {
                let p = self.word_dropout;
                let mut is_dropped = || vary.as_deref_mut().is_some_and(|rng| p > 0.0 && rng.uniform() < p);
                let token = |&token: &f32| if is_dropped() { UNKNOWN } else { token as u32 };
                Inputs::Tokens(inputs.iter().map(token).collect())
            }
            _ => Inputs::Dense(inputs),
        };
        SyncedBatch { steps, inputs, targets }
    }

    fn undelayed(&self, mut outputs: Vec<f32>) -> Vec<f32> {
        outputs.drain(..self.lookahead * self.classes);
        outputs
    }

    /// The frame in the middle, or the series.
    fn shown(&self, example: usize) -> Shown {
        let Piece { of, steps, .. } = &self.pieces[example];
        match (&self.values[*of], &self.reader) {
            (Values::Pixels(frames), Reader::Frames { pixels: p, .. }) => {
                let middle = (steps.start + steps.end) / 2;
                let frame = frames
                    .get(middle * p.len()..(middle + 1) * p.len())
                    .unwrap_or(&frames[..p.len().min(frames.len())]);
                Shown::image(frame, [p.height, p.width, p.channels])
            }
            (Values::Numbers(tokens), Reader::Words(words)) => {
                let known = tokens[steps.clone()].iter().map(|&token| words.word(token as u32));
                Shown::Text(known.collect::<Vec<_>>().join(" "))
            }
            (Values::Numbers(numbers), _) => {
                Shown::series(&numbers[steps.start * self.width..steps.end * self.width], self.width)
            }
            _ => Shown::Text(self.ids[*of].clone()),
        }
    }

    fn features(&self, example: usize) -> Vec<f32> {
        let Piece { of, steps, .. } = &self.pieces[example];
        match (&self.values[*of], &self.reader) {
            (Values::Pixels(frames), Reader::Frames { pixels: p, .. }) => {
                let frames = frames.chunks_exact(p.len()).skip(steps.start).take(steps.len());
                frames.flat_map(|frame| grid(frame, [p.height, p.width, p.channels])).collect()
            }
            (Values::Numbers(numbers), _) => {
                let rows = numbers[steps.start * self.width..steps.end * self.width].chunks_exact(self.width);
                rows.flat_map(|row| pooled(row, WIDTH)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        let Piece { of, steps, .. } = &self.pieces[example];
        if steps.start == 0 {
            self.values[*of].hash(hasher);
        }
    }
}
