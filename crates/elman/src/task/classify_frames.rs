//! A label at every step: what each frame of a video shows, what a machine does in each row of its log. Readers: clips,
//! tables with a row per step; shape: synced; measures: accuracy per frame and of segments.
//!
//! A network may answer `lookahead` steps late: it is trained on delayed labels, and every output is moved back.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use elman_kernels::softmax::IGNORE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{Judge, Truth};
use super::plan::{self, Facts, grouped, memory};
use super::settings::{ClassWeights, Settings, Sizes};
use super::supervised::{self, Examples, Supervised, Survey};
use crate::cell::Steps;
use crate::data::features::Features;
use crate::data::sequences::SequenceTable;
use crate::data::table::Table;
use crate::data::{At, HoldOut, Labels, Pixels, Split, Vary, builtin, held_out};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::layer::{FrontConfig, Loss};
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{Feed, Inputs, Synced, SyncedBatch, SyncedConfig};
use crate::train::{RunFolder, Session, Trainer};

/// The name in files and on the command line.
pub const NAME: &str = "classify-frames";

/// Layers before the recurrent ones where the settings name none and the steps are pictures.
const CONVS: [usize; 3] = [16, 32, 64];
const DENSE: usize = 192;
/// Names of the class that means nothing is there.
const BACKGROUND: [&str; 6] = ["sil", "silence", "background", "none", "null", "_"];

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
    pub(super) fn interleave<'a>(&self, frames: impl Iterator<Item = &'a [f32]>, out: &mut [f32]) {
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
enum Raw {
    /// `[T, height, width, channels]`.
    Frames(Vec<u8>),
    /// `[T, I]`.
    Rows(Vec<f32>),
}

/// A sequence as it was read.
#[derive(Clone, Debug, PartialEq)]
struct Sequence {
    id: String,
    raw: Raw,
    labels: Vec<String>,
    split: Option<Split>,
    /// The lines of the labels: one of each step, or one of all.
    lines: Vec<usize>,
}

/// Sequences as they were read.
struct Data {
    sequences: Vec<Sequence>,
    /// Of frames: height, width, channels.
    size: Option<[usize; 3]>,
    /// The classes in the data's own order, where they have one.
    classes: Vec<String>,
    path: PathBuf,
}

impl Data {
    fn read(path: &Path, settings: &Settings, reader: Option<&Reader>) -> Result<(Data, Option<Features>)> {
        if path.is_dir() {
            return Self::of_clips(path, reader).map(|data| (data, None));
        }
        let table = Table::read_with(path, super::classify_text::header(settings))?;
        if settings.sequence_column.is_empty() {
            let reason = "give --sequence-column: the column that says which rows are steps of one sequence".into();
            return Err(Error::Data { path: path.into(), reason });
        }
        let label = super::classify::label_column(&table, settings)?;
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
    fn part(self, split: Split) -> Result<Data> {
        let Data { sequences, size, classes, path } = self;
        let sequences: Vec<Sequence> = sequences.into_iter().filter(|s| s.split == Some(split)).collect();
        if sequences.is_empty() {
            let reason = format!("no sequence belongs to the part {split:?}").to_lowercase();
            return Err(Error::Data { path, reason });
        }
        Ok(Data { sequences, size, classes, path })
    }

    /// What is learnt from and what is held out: by the data's own parts, else drawn.
    fn divide(self, hold_out: &HoldOut) -> Result<(Data, Data)> {
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
    labels: Vec<Vec<u32>>,
    lookahead: usize,
    classes: usize,
    vary: Vary,
    jitter: usize,
}

impl Sequences {
    fn new(data: Data, reader: &Reader, labels: &Labels, lookahead: usize) -> Result<Sequences> {
        let mut sequences = Sequences {
            reader: reader.clone(),
            ids: Vec::new(),
            raw: Vec::new(),
            labels: Vec::new(),
            lookahead,
            classes: labels.len(),
            vary: Vary::default(),
            jitter: 0,
        };
        for sequence in data.sequences {
            let lines = sequence.lines.iter().chain(std::iter::repeat(&sequence.lines[0]));
            let label = |(name, &line): (&String, &usize)| labels.index(name, &data.path, At::Line(line));
            sequences.labels.push(sequence.labels.iter().zip(lines).map(label).collect::<Result<_>>()?);
            sequences.ids.push(sequence.id);
            sequences.raw.push(sequence.raw);
        }
        Ok(sequences)
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

/// A run before its first update.
pub struct Plan {
    settings: Settings,
    network: Synced,
    reader: Reader,
    labels: Labels,
    background: Option<u32>,
    train: Sequences,
    val: Sequences,
    judge: Judge,
}

impl Plan {
    /// Reads the sequences and lays the network out.
    ///
    /// # Errors
    /// What the readers meet; a network that cannot be; looking ahead where the whole sequence is known.
    pub fn new(mut settings: Settings) -> Result<Plan> {
        if settings.bidirectional && settings.lookahead > 0 {
            let message = "--lookahead and --bidirectional: a network that reads from both ends need not wait".into();
            return Err(Error::Usage(message));
        }
        let (data, features) = if settings.file.is_empty() {
            (builtin_data(settings.seed), None)
        } else {
            Data::read(Path::new(&settings.file), &settings, None)?
        };
        let reader = match (data.size, features) {
            (_, Some(features)) => Reader::Features(features),
            (size, None) => {
                let [height, width, channels] = size.unwrap_or([1, 1, 1]);
                let frames = data.sequences.iter().filter(|s| s.split.is_none_or(|split| split == Split::Train));
                let frames = frames.filter_map(|s| match &s.raw {
                    Raw::Frames(frames) => Some(frames.as_slice()),
                    Raw::Rows(_) => None,
                });
                let pixels = Pixels::fit(height, width, channels, true, frames);
                let context = settings.context.max(1);
                let ahead = if settings.bidirectional { context / 2 } else { 0 };
                Reader::Frames { pixels, context, ahead, differences: settings.differences }
            }
        };
        let classes = data.classes.clone();
        let (train, val) = if settings.val.is_empty() {
            data.divide(&settings.hold_out())?
        } else {
            (data, Data::read(Path::new(&settings.val), &settings, Some(&reader))?.0)
        };
        let names = train.sequences.iter().flat_map(|s| s.labels.iter().map(String::as_str));
        let seen = Labels::of(names, &train.path)?;
        // The data's own order, where it has one that holds them all.
        let own = Labels::from(classes);
        let labels = if seen.names().iter().all(|name| own.find(name).is_some()) { own } else { seen };
        let background = background(&settings, &labels)?;
        let mut train = Sequences::new(train, &reader, &labels, settings.lookahead)?;
        let val = Sequences::new(val, &reader, &labels, settings.lookahead)?;
        let s = &mut settings;
        let (front, vary) = match &reader {
            Reader::Frames { pixels, context, .. } => {
                if s.convs.0.is_empty() && s.dense.0.is_empty() {
                    let small = pixels.height.min(pixels.width) < 8;
                    s.convs = Sizes(if small { Vec::new() } else { CONVS.to_vec() });
                    s.dense = Sizes(vec![DENSE]);
                }
                let input = [pixels.height, pixels.width, pixels.channels * context];
                let vary = Vary { shift: s.shift, mirror: s.mirror, distort: s.distort, gain: s.gain, noise: s.noise };
                (Some(input), vary)
            }
            Reader::Features(features) => {
                let input = (!s.dense.0.is_empty()).then(|| [1, 1, features.width()]);
                (input, Vary { noise: s.noise, ..Vary::default() })
            }
        };
        (train.vary, train.jitter) = (vary, s.jitter);
        let front = front.map(|input| FrontConfig {
            input,
            convs: s.convs.0.clone(),
            dense: s.dense.0.clone(),
            dropout: s.dropout,
        });
        let class_weights = match s.class_weights {
            ClassWeights::Equal => Vec::new(),
            ClassWeights::Balanced => labels.balanced(train.labels.iter().flatten().copied()),
        };
        let network = Synced::new(SyncedConfig {
            cell: s.cell,
            layers: s.layers,
            hidden: s.hidden,
            bidirectional: s.bidirectional,
            feed: Feed::Dense(reader.width()),
            embedding: 0,
            tied: false,
            classes: labels.len(),
            dropout: s.dropout,
            front,
            loss: Loss { smoothing: s.label_smoothing, class_weights },
        })?;
        let judge = Judge::Frames { classes: labels.len(), background, temperature: 1.0 };
        Ok(Plan { settings, network, reader, labels, background, train, val, judge })
    }
}

/// The class that means nothing is there: the one asked for, or one that is called so.
fn background(settings: &Settings, labels: &Labels) -> Result<Option<u32>> {
    match settings.background.as_str() {
        "auto" => Ok(BACKGROUND.iter().find_map(|name| labels.find(name))),
        "none" if labels.find("none").is_none() => Ok(None),
        name => match labels.find(name) {
            Some(class) => Ok(Some(class)),
            None => {
                Err(Error::Usage(format!("--background {name}: there is no such class; give none for no such one")))
            }
        },
    }
}

fn builtin_data(seed: u64) -> Data {
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

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let s = &self.settings;
        let weights = self.network.layout().len();
        let frames: usize = self.train.labels.iter().map(Vec::len).sum();
        let longest = (0..self.train.len()).map(|i| self.train.steps(i)).max().unwrap_or(0);
        let directions = if s.bidirectional { 2 } else { 1 };
        let unit = if let Reader::Frames { .. } = self.reader { "frame" } else { "step" };
        let inputs = self.reader.width();
        let fronts = if self.network.config().front.is_some() { inputs * 2 } else { inputs };
        let activations = s.batch * longest * (fronts + s.layers * directions * s.hidden * 12);
        let knows = match (s.bidirectional, s.lookahead) {
            (true, _) => "reads each sequence from both ends".into(),
            (false, 0) => "answers at once".into(),
            (false, n) => format!("answers {n} {unit}s late"),
        };
        Facts {
            network: format!("{} {}x{}, {knows}", s.cell.name(), s.layers, s.hidden),
            parameters: weights,
            data: format!(
                "{} sequences of {} {unit}s to learn from, {} held out; {} classes{}",
                grouped(self.train.len()),
                grouped(frames),
                grouped(self.val.len()),
                self.labels.len(),
                self.background.map_or_else(String::new, |class| {
                    format!(", of which `{}` means nothing is there", self.labels.names()[class as usize])
                })
            ),
            targets: frames,
            unit,
            notes: Vec::new(),
            memory: memory(weights, s.batch, activations),
            json: json!({
                "train": self.train.len(), "held_out": self.val.len(), "steps": frames, "numbers": inputs,
                "classes": self.labels.names(),
            }),
            command: "elman predict",
        }
    }

    fn survey(&self) -> Option<Survey> {
        Some(supervised::survey::<Synced, _>(&self.train, &self.val, self.labels.names()))
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let config = json!({
            "task": NAME, "shape": "synced", "reader": self.reader, "labels": self.labels,
            "background": self.background, "lookahead": s.lookahead,
            "columns": {"label": s.label_column, "sequence": s.sequence_column, "header": s.header},
        });
        let network = |network: &Synced| json!(network.config());
        let state = |batch| self.network.zero_state(batch);
        let task = Supervised::new(&self.train, &self.val, &self.judge, s, state, config, network)?;
        let params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        let threads = super::language_model::threads(s.threads);
        let mut trainer = Trainer::new(&self.network, task, s.train_config(), params, threads, folder)?;
        if resume {
            trainer.resume()?;
        }
        Ok(Box::new(trainer))
    }
}

/// A trained classifier of frames or steps.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: Synced,
    /// Its weights.
    pub params: Params<f32>,
    /// How its steps are read.
    pub reader: Reader,
    /// Its classes.
    pub labels: Labels,
    /// The class that means nothing is there.
    pub background: Option<u32>,
    /// Steps by which its answers come late.
    pub lookahead: usize,
    /// What its logits are divided by.
    pub temperature: f64,
    /// The columns it was trained on: `label`, `sequence`, `header`.
    pub columns: Value,
}

impl Model {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds another kind of model, or one that contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Model> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let config: SyncedConfig = plan::part(loaded, "network")?;
        let (reader, labels): (Reader, Labels) = (plan::part(loaded, "reader")?, plan::part(loaded, "labels")?);
        if config.feed != Feed::Dense(reader.width()) || config.classes != labels.len() {
            return Err(wrong("its reader or its labels do not fit its network".into()));
        }
        if let Reader::Frames { context, ahead, .. } = reader
            && (context == 0 || ahead >= context)
        {
            return Err(wrong("its frames' context cannot be".into()));
        }
        let network = Synced::new(config).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, network.layout())?;
        let background: Option<u32> = plan::part(loaded, "background")?;
        let lookahead: usize = plan::part(loaded, "lookahead")?;
        let temperature: f64 = plan::part(loaded, "temperature")?;
        let columns = plan::part(loaded, "columns")?;
        Ok(Model { network, params, reader, labels, background, lookahead, temperature, columns })
    }

    /// Reads sequences to be measured on: of data with parts the one `split` names, else the test.
    ///
    /// # Errors
    /// What the readers meet.
    pub fn read(&self, path: &Path, settings: &Settings, split: &str) -> Result<Sequences> {
        let mut settings = settings.clone();
        for (column, key) in [(&mut settings.label_column, "label"), (&mut settings.sequence_column, "sequence")] {
            if column.is_empty() {
                *column = self.columns[key].as_str().unwrap_or_default().to_string();
            }
        }
        let mut data = Data::read(path, &settings, Some(&self.reader))?.0;
        let has_test = data.sequences.iter().any(|s| s.split == Some(Split::Test));
        if split != "all" && (has_test || !split.is_empty()) {
            let word = if split.is_empty() { "test" } else { split };
            let part = Split::of(word);
            data = data.part(part.ok_or_else(|| Error::Usage(format!("--split {word}: give {}", Split::WORDS)))?)?;
        }
        Sequences::new(data, &self.reader, &self.labels, self.lookahead)
    }

    /// How its answers are judged.
    pub fn judge(&self) -> Judge {
        let temperature = self.temperature;
        Judge::Frames { classes: self.labels.len(), background: self.background, temperature }
    }
}

impl Model {
    /// The probability of each class `[V]` at each frame of a clip.
    ///
    /// # Errors
    /// [`Error::Usage`] if its frames are of another size, or the model reads rows.
    #[cfg(feature = "media")]
    pub fn predict_clip(&self, clip: &crate::data::frames::Clip) -> Result<Vec<Vec<f64>>> {
        let Reader::Frames { pixels, .. } = &self.reader else {
            return Err(Error::Usage("the model reads rows of a table, not clips".into()));
        };
        if (clip.height, clip.width, clip.channels) != (pixels.height, pixels.width, pixels.channels) {
            let message = format!(
                "{}: its frames are {} wide and {} high, but the model reads {} x {}",
                clip.id, clip.width, clip.height, pixels.width, pixels.height
            );
            return Err(Error::Usage(message));
        }
        let raw = Raw::Frames(clip.pixels.clone());
        Ok(self.predict(vec![(clip.id.clone(), raw, clip.frames)]).pop().map(|(_, p)| p).unwrap_or_default())
    }

    /// The name of each sequence of a table, and the probability of each class `[V]` at each of its steps.
    ///
    /// # Errors
    /// What the model's reader cannot read.
    pub fn predict_table(&self, table: &Table, sequence_column: &str) -> Result<Vec<(String, Vec<Vec<f64>>)>> {
        let Reader::Features(features) = &self.reader else {
            return Err(Error::Usage("the model reads frames, not rows of a table".into()));
        };
        let trained = self.columns["sequence"].as_str().unwrap_or_default();
        let column = table.column(if sequence_column.is_empty() { trained } else { sequence_column })?;
        let read = SequenceTable::read(table, column, None, &features.bind(table)?)?;
        let width = read.width;
        let raw = |s: crate::data::sequences::Sequence| {
            let steps = s.inputs.len() / width;
            (s.id, Raw::Rows(s.inputs), steps)
        };
        Ok(self.predict(read.sequences.into_iter().map(raw).collect()))
    }

    fn predict(&self, sequences: Vec<(String, Raw, usize)>) -> Vec<(String, Vec<Vec<f64>>)> {
        let mut all = Sequences {
            reader: self.reader.clone(),
            ids: Vec::new(),
            raw: Vec::new(),
            labels: Vec::new(),
            lookahead: self.lookahead,
            classes: self.labels.len(),
            vary: Vary::default(),
            jitter: 0,
        };
        for (id, raw, steps) in sequences {
            all.ids.push(id);
            all.raw.push(raw);
            all.labels.push(vec![0; steps]);
        }
        let which: Vec<usize> = (0..all.raw.len()).collect();
        let logits = super::supervised::answers(&self.network, &self.params, &all, &which);
        let steps = |logits: Vec<f32>| {
            let step = |logits: &[f32]| {
                let mut p = Vec::new();
                super::judge::probabilities(logits, self.temperature, &mut p);
                p
            };
            logits.chunks_exact(self.labels.len()).map(step).collect()
        };
        all.ids.into_iter().zip(logits.into_iter().map(steps)).collect()
    }
}
