//! Clips, and tables with a row per step, as sequences that a network reads.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use elman_kernels::softmax::IGNORE;
use serde::{Deserialize, Serialize};

use crate::cell::Steps;
use crate::data::features::Features;
use crate::data::sequences::SequenceTable;
use crate::data::table::Table;
use crate::data::{At, HoldOut, Labels, Pixels, Split, Vary, builtin, held_out};
use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::shape::{Inputs, Synced, SyncedBatch};
use crate::task::judge::Truth;
use crate::task::settings::Settings;
use crate::task::supervised::Examples;
use crate::task::{classify, classify_text};

/// How a step becomes numbers; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// A frame, with others beside it as further channels.
    Frames {
        /// A frame.
        pixels: Pixels,
        /// Frames seen at each step.
        context: usize,
        /// How many of these come later.
        ahead: usize,
        /// Whether the changes from frame to frame stand for the frames but the last.
        differences: bool,
    },
    /// A row of a table.
    Features(Features),
}

impl Reader {
    /// `I`, the numbers of a step.
    pub fn width(&self) -> usize {
        match self {
            Reader::Frames { pixels, context, .. } => pixels.len() * context,
            Reader::Features(features) => features.width(),
        }
    }

    /// The numbers of a step, from the frames it sees, each `[height, width, channels]` in numbers: every value of the
    /// first frame beside that of the second and so on.
    pub(in crate::task) fn interleave<'a>(&self, frames: impl Iterator<Item = &'a [f32]>, out: &mut [f32]) {
        let Reader::Frames { context, differences, .. } = *self else { return };
        for (k, frame) in frames.enumerate().take(context) {
            out.iter_mut().skip(k).step_by(context).zip(frame).for_each(|(out, &value)| *out = value);
        }
        if differences {
            // Each but the last becomes what the next one has more.
            for values in out.chunks_exact_mut(context) {
                for k in 1..context {
                    values[k - 1] = values[k] - values[k - 1];
                }
            }
        }
    }
}

/// The steps of a sequence as they were read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// `[T, height, width, channels]`.
    Frames(Vec<u8>),
    /// `[T, I]`.
    Rows(Vec<f32>),
}

/// A sequence as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sequence {
    pub(super) id: String,
    pub(super) raw: Raw,
    pub(super) labels: Vec<String>,
    pub(super) split: Option<Split>,
    /// The lines of the labels: one of each step, or one of all.
    pub(super) lines: Vec<usize>,
}

/// Sequences as they were read.
pub(super) struct Data {
    pub(super) sequences: Vec<Sequence>,
    /// Of frames: height, width, channels.
    pub(super) size: Option<[usize; 3]>,
    /// The classes in the data's own order, where they have one.
    pub(super) classes: Vec<String>,
    pub(super) path: PathBuf,
}

impl Data {
    /// The clips that the program makes.
    pub(super) fn builtin(seed: u64) -> Data {
        let one = |(i, (frames, labels)): (usize, (Vec<u8>, Vec<&'static str>))| Sequence {
            id: format!("clip{}", i + 1),
            raw: Raw::Frames(frames),
            labels: labels.into_iter().map(String::from).collect(),
            split: None,
            lines: vec![i + 1],
        };
        Data {
            sequences: builtin::clips(seed).into_iter().enumerate().map(one).collect(),
            size: Some([builtin::FRAME, builtin::FRAME, 1]),
            classes: builtin::MOVES.iter().map(|name| (*name).to_string()).collect(),
            path: PathBuf::from("the built-in clips"),
        }
    }

    pub(super) fn read(path: &Path, settings: &Settings, reader: Option<&Reader>) -> Result<(Data, Option<Features>)> {
        if path.is_dir() {
            return Self::of_clips(path, reader).map(|data| (data, None));
        }
        let table = Table::read_with(path, classify_text::header(settings))?;
        if settings.sequence_column.is_empty() {
            let reason = "give --sequence-column: the column that says which rows are steps of one sequence".into();
            return Err(Error::Data { path: path.into(), reason });
        }
        let label = classify::label_column(&table, settings)?;
        let sequence = table.column(&settings.sequence_column)?;
        let features = match reader {
            Some(Reader::Features(features)) => features.bind(&table)?,
            Some(Reader::Frames { .. }) => {
                let reason = "it is a table, but the model reads frames of video".into();
                return Err(Error::Data { path: path.into(), reason });
            }
            None => Features::fit(&table, &[label, sequence])?,
        };
        let read = SequenceTable::read(&table, sequence, Some(label), &features)?;
        let one = |s: crate::data::sequences::Sequence| Sequence {
            id: s.id,
            raw: Raw::Rows(s.inputs),
            labels: s.labels.iter().map(|&label| read.classes[label].clone()).collect(),
            split: None,
            lines: s.lines,
        };
        let sequences = read.sequences.into_iter().map(one).collect();
        Ok((Data { sequences, size: None, classes: read.classes, path: path.into() }, Some(features)))
    }

    #[cfg(feature = "media")]
    fn of_clips(path: &Path, reader: Option<&Reader>) -> Result<Data> {
        use crate::data::frames::{LabelledClips, Options};
        if let Some(Reader::Features(_)) = reader {
            let reason = "it is a folder of clips, but the model reads rows of a table".into();
            return Err(Error::Data { path: path.into(), reason });
        }
        let read = LabelledClips::read(path, &Options::default())?;
        let size = read.clips.first().map(|c| [c.clip.height, c.clip.width, c.clip.channels]);
        if let (Some([height, width, _]), Some(Reader::Frames { pixels, .. })) = (size, reader)
            && (height, width) != (pixels.height, pixels.width)
        {
            let reason = format!(
                "its frames are {width} wide and {height} high, but the model reads {} x {}",
                pixels.width, pixels.height
            );
            return Err(Error::Data { path: path.into(), reason });
        }
        let one = |c: crate::data::frames::LabelledClip| Sequence {
            id: c.clip.id,
            raw: Raw::Frames(c.clip.pixels),
            labels: c.labels.iter().map(|&label| read.classes[label].clone()).collect(),
            split: c.split,
            lines: vec![c.line],
        };
        let sequences = read.clips.into_iter().map(one).collect();
        Ok(Data { sequences, size, classes: read.classes, path: read.label_file })
    }

    #[cfg(not(feature = "media"))]
    fn of_clips(path: &Path, _: Option<&Reader>) -> Result<Data> {
        let reason = "this program was built without pictures (feature `media`)".into();
        Err(Error::Data { path: path.into(), reason })
    }

    /// The sequences of a part, where the data name parts.
    pub(super) fn part(self, split: Split) -> Result<Data> {
        let Data { sequences, size, classes, path } = self;
        let sequences: Vec<Sequence> = sequences.into_iter().filter(|s| s.split == Some(split)).collect();
        if sequences.is_empty() {
            let reason = format!("no sequence belongs to the part {split:?}").to_lowercase();
            return Err(Error::Data { path, reason });
        }
        Ok(Data { sequences, size, classes, path })
    }

    /// What is learnt from and what is held out: by the data's own parts, else drawn.
    pub(super) fn divide(self, hold_out: &HoldOut) -> Result<(Data, Data)> {
        let Data { sequences, size, classes, path } = self;
        let with = |sequences| Data { sequences, size, classes: classes.clone(), path: path.clone() };
        let has = |split| sequences.iter().any(|s| s.split == Some(split));
        if has(Split::Dev) && hold_out.folds == 0 {
            let of = |split| sequences.iter().filter(|s| s.split == Some(split)).cloned().collect();
            return Ok((with(of(Split::Train)), with(of(Split::Dev))));
        }
        let learnt = sequences.into_iter().filter(|s| s.split != Some(Split::Test)).collect();
        let (train, val) = held_out(learnt, hold_out, &path)?;
        Ok((with(train), with(val)))
    }
}

/// Sequences ready for a network.
#[derive(Clone, Debug)]
pub struct Sequences {
    reader: Reader,
    ids: Vec<String>,
    raw: Vec<Raw>,
    pub(super) labels: Vec<Vec<u32>>,
    lookahead: usize,
    classes: usize,
    pub(super) vary: Vary,
    pub(super) jitter: usize,
}

impl Sequences {
    fn none(reader: &Reader, classes: usize, lookahead: usize) -> Sequences {
        Sequences {
            reader: reader.clone(),
            ids: Vec::new(),
            raw: Vec::new(),
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
            sequences.raw.push(sequence.raw);
        }
        Ok(sequences)
    }

    /// Sequences without labels, to be answered: name, steps, and the number of these.
    pub(super) fn unlabelled(
        sequences: Vec<(String, Raw, usize)>,
        reader: &Reader,
        classes: usize,
        lookahead: usize,
    ) -> Sequences {
        let mut all = Sequences::none(reader, classes, lookahead);
        for (id, raw, steps) in sequences {
            all.ids.push(id);
            all.raw.push(raw);
            all.labels.push(vec![0; steps]);
        }
        all
    }

    /// The names of the sequences.
    pub fn ids(&self) -> &[String] {
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
        match (&self.raw[example], &self.reader) {
            (Raw::Frames(frames), Reader::Frames { pixels, context, ahead, .. }) => {
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
            (Raw::Rows(rows), _) => {
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
            (Raw::Frames(_), Reader::Features(_)) => {}
        }
    }
}

impl Examples<Synced> for Sequences {
    fn len(&self) -> usize {
        self.raw.len()
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
            // The answer comes late.
            times.iter().enumerate().for_each(|(t, &from)| targets[row(t + self.lookahead)] = labels[from]);
        }
        SyncedBatch { steps, inputs: Inputs::Dense(inputs), targets }
    }

    fn undelayed(&self, mut outputs: Vec<f32>) -> Vec<f32> {
        outputs.drain(..self.lookahead * self.classes);
        outputs
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        match &self.raw[example] {
            Raw::Frames(frames) => hasher.write(frames),
            Raw::Rows(rows) => rows.iter().for_each(|value| hasher.write(&value.to_le_bytes())),
        }
    }
}
