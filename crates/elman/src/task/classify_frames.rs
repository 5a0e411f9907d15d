//! A label at every step: what each frame of a video shows, what a machine does in each row of its log. Readers: clips,
//! tables with a row per step; shape: synced; measures: accuracy per frame and of segments.
//!
//! A network may predict `lookahead` steps late: it is trained on delayed labels, and every output is moved back.

mod examples;
mod live;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::examples::Sequences;
use self::live::Live;
use super::model::{Input, Predict, Reads, Stream, wrong_input};
use super::plan::Callback;
use super::plan::{Plan, RunSummary, grouped};
use super::pretrained::Pretrained;
use super::row::{Task, planned, size, size_or, supervised};
use super::supervised::{Examples, Goal, Length, Named, Parts, Reading, SupervisedModel, SupervisedPlan, augmentation};
use crate::cell::CellKind;
use crate::data::columns::{Choice, Columns};
use crate::data::inputs::Values;
use crate::data::motion::Motion;
use crate::data::recordings::{self, Data as Read, How, Reader};
use crate::data::table::Table;
use crate::data::{Labels, MAX_LOOKAHEAD, Pixels, Split};
use crate::error::{Error, Result};
use crate::file::HAS_FILES;
use crate::layer::{FrontConfig, Loss};
use crate::metric::Evaluator;
use crate::param::Params;
use crate::settings::{Auto, Data, Settings, Sizes, Standardize};
use crate::shape::{InputKind, Synced, SyncedConfig};

/// Frames or steps to labels.
pub const TASK: Task = Task {
    name: "classify-frames",
    about: "a label for every frame of a clip or row of a log; also live",
    command: "predict",
    reads: &[
        "file", "text_column", "vocab_size", "vocab_min", "word_dropout", "embedding", "cell", "forget_bias", "layers",
        "hidden", "bidirectional", "convs", "dense", "label_smoothing", "class_weights", "init", "val", "label_column",
        "sequence_column", "header", "encoding", "skip_bad", "context", "lookahead", "differences", "background",
        "shift", "mirror", "distort", "gain", "noise", "jitter", "calibrate", "folds", "fold", "refit", "ignore",
        "use_columns", "seq_len", "standardize",
    ],
    sizes: &[
        size("cell", "/network/cell"),
        size("layers", "/network/layers"),
        size("hidden", "/network/hidden"),
        size("bidirectional", "/network/bidirectional"),
        size_or("convs", "/network/front/convs", ""),
        size_or("dense", "/network/front/dense", ""),
        size("lookahead", "/lookahead"),
        size_or("embedding", "/network/embedding", "0"),
        size("context", "/reader/frames/context"),
        size_or("differences", "/reader/frames/differences", "false"),
    ],
    data: &["file"],
    eval_data: &["file"],
    evaluate: &["split", "mistakes", "curves"],
    predict: &["sequence_column", "frames", "raw"],
    defaults,
    plan: planned(plan),
    open: |loaded| Ok(Box::new(SupervisedModel::<Synced, FramesReading>::open(loaded, TASK.name)?)),
};

/// Layers before the recurrent ones where the settings name none and the steps are frames.
const CONVS: [usize; 3] = [16, 32, 64];
const DENSE: usize = 192;
/// Names of the background class.
const BACKGROUND: [&str; 7] = ["sil", "silence", "background", "none", "null", "_", "O"];

fn defaults(_: Data) -> Settings {
    Settings {
        cell: CellKind::Gru,
        hidden: usize::AUTO,
        layers: usize::AUTO,
        dropout: f64::AUTO,
        seq_len: usize::AUTO,
        lookahead: usize::AUTO,
        standardize: Standardize::Auto,
        lr: 0.002,
        embedding: 128,
        word_dropout: 0.1,
        label_smoothing: 0.05,
        context: 5,
        shift: 3,
        gain: 0.25,
        noise: f64::AUTO,
        jitter: 3,
        ..supervised(TASK.name)
    }
}

/// The length of runs.
const LENGTH_OF_CLIPS: Length = Length { batch: [8, 16], share: 8, updates: (5, [400, 400]), epochs: 40.0 };
const LENGTH_OF_ROWS: Length = Length { batch: [8, 32], share: 8, updates: (5, [300, 600]), epochs: 10.0 };

impl Settings {
    /// Settles what is left to the data, training sequences of these steps: sizes and regularization of the network, the
    /// length of its pieces, and how late it answers.
    fn settle_frames_network(&mut self, steps: &[usize], is_clips: bool) {
        let s = self;
        /// Steps of a recording from which on it is long, and those of the pieces that it is then learned in.
        const LONG: usize = 400;
        const PIECE: usize = 128;
        /// A little of what follows, at a rate at which a recording is long, says much of what a step belongs to.
        const LATE: usize = 16;
        let (all, longest) = (steps.iter().sum::<usize>(), steps.iter().max().copied().unwrap_or(1).max(1));
        let is_long = !is_clips && all / steps.len().max(1) >= LONG;
        let (layers, hidden) = match all {
            _ if is_clips => (2, 256),
            0..20_000 => (1, 64),
            20_000..200_000 => (1, 128),
            _ => (2, 256),
        };
        (s.layers, s.hidden) = (s.layers.or(layers), s.hidden.or(hidden));
        (s.dropout, s.noise) =
            (s.dropout.or(if is_clips { 0.4 } else { 0.5 }), s.noise.or(if is_clips { 0.05 } else { 0.1 }));
        s.seq_len = s.seq_len.or(if is_long { PIECE } else { longest });
        s.lookahead = s.lookahead.or(if is_long && !s.bidirectional { LATE } else { 0 });
    }

    /// Settles what is left to the data where steps are words: a word's label depends on those around it.
    fn settle_words_network(&mut self, steps: &[usize]) {
        let s = self;
        let longest = steps.iter().max().copied().unwrap_or(1).max(1);
        (s.layers, s.hidden) = (s.layers.or(1), s.hidden.or(128));
        (s.dropout, s.noise) = (s.dropout.or(0.4), s.noise.or(0.0));
        (s.seq_len, s.lookahead) = (s.seq_len.or(longest), s.lookahead.or(if s.bidirectional { 0 } else { 1 }));
        // Words that come twice or are left out are no words of a sentence.
        s.jitter = 0;
    }

    /// What is added to the rows of a table, settled where it is left to the data; nothing where its rows are read as they are.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is only read for whole series.
    fn motion(&mut self, reader: &Reader, train: &Read) -> Result<Option<Motion>> {
        let s = self;
        let Reader::Features(features) = reader else { return Ok(None) };
        let running = match s.standardize {
            Standardize::Auto => None,
            // As version 0.1 did.
            Standardize::All if s.rules == 1 => return Ok(None),
            Standardize::All => Some(false),
            Standardize::Series => Some(true),
            Standardize::Moments => {
                let want = "is only read by `classify-sequence` and `regress-sequence`";
                return Err(Error::setting("standardize", s.get("standardize"), want));
            }
        };
        let motion = Motion::fit(features.numeric(), running, train.sequences.iter().map(|s| s.values.numbers()));
        s.standardize = if motion.is_running() { Standardize::Series } else { Standardize::All };
        Ok(Some(motion))
    }
}

impl Settings {
    /// What the model that a run begins from adds to the rows of a table, which settles how these are standardised.
    fn motion_of(&mut self, motion: Option<&Motion>) -> Result<Option<Motion>> {
        let Some(motion) = motion else { return Ok(None) };
        let own = if motion.is_running() { Standardize::Series } else { Standardize::All };
        if self.standardize != Standardize::Auto && self.standardize != own {
            let why = "is not how the model of `from` reads its rows; leave it out";
            return Err(Error::setting("standardize", self.get("standardize"), why));
        }
        self.standardize = own;
        Ok(Some(motion.clone()))
    }
}

/// Reads the sequences and decides on the network.
fn plan(mut settings: Settings, _: &mut Callback) -> Result<Box<dyn Plan>> {
    if settings.bidirectional && settings.lookahead.or(0) > 0 {
        let want = "is only read without `bidirectional`: a network that reads in both directions need not wait";
        return Err(Error::setting("lookahead", settings.lookahead, want));
    }
    let columns = Columns {
        label: settings.label_column.clone(),
        sequence: Some(settings.sequence_column.clone()),
        header: settings.header.clone(),
        form: settings.form(),
        text: Some(settings.text_column.clone()).filter(|column| !column.is_empty()),
        label_separator: String::new(),
    };
    let old = Pretrained::open(&settings)?.map(|from| from.reading::<FramesReading>()).transpose()?;
    let (data, rows) = match settings.file.as_str() {
        "" => (Read::builtin(settings.seed), None),
        file => {
            let words = Some([settings.vocab_size, settings.vocab_min]);
            let (choice, hold_out) = (Choice { words, ..settings.choice() }, settings.hold_out());
            let hold_out = settings.val.is_empty().then_some(&hold_out);
            let how = old.as_ref().map_or(How::Fit(&choice, hold_out), |old| How::As(&old.reader, None));
            Read::read(Path::new(file), &columns, how)?
        }
    };
    if rows.is_some() {
        let of_frames = ["convs", "context", "differences", "shift", "mirror", "distort", "gain"];
        TASK.check_default(&settings, &of_frames, "is only read for clips, and this is a table")?;
    } else {
        TASK.check_default(
            &settings,
            &["sequence_column", "label_column", "text_column", "ignore", "use_columns", "standardize"],
            "is only read for tables, and these are clips",
        )?;
    }
    let mut notes = Vec::new();
    let reader = match (data.size, rows) {
        (_, Some((reader, said))) => {
            notes = said;
            reader
        }
        (size, None) => {
            let [height, width, channels] = size.unwrap_or([1, 1, 1]);
            let frames = data.sequences.iter().filter(|s| s.split.is_none_or(|split| split == Split::Train));
            let frames = frames.filter_map(|s| match &s.values {
                Values::Pixels(frames) => Some(frames.as_slice()),
                Values::Numbers(_) => None,
            });
            let pixels = match old.as_ref().map(|old| &old.reader) {
                Some(Reader::Frames { pixels, .. }) => pixels.clone(),
                _ => Pixels::fit(height, width, channels, true, frames),
            };
            let context = settings.context.max(1);
            let ahead = if settings.bidirectional { context / 2 } else { 0 };
            Reader::Frames { pixels, context, ahead, differences: settings.differences }
        }
    };
    let classes = data.classes.clone();
    let is_alone = data.sequences.len() == 1;
    let (train, val) = match settings.val.as_str() {
        "" => data.divide(&settings.hold_out())?,
        val => (data, Read::read(Path::new(val), &columns, How::As(&reader, None))?.0),
    };
    if let ([held], true, "") = (&val.sequences[..], is_alone, settings.val.as_str()) {
        let (steps, unit) = (held.labels.len(), if val.size.is_some() { "frames" } else { "steps" });
        let lines = match &held.lines[..] {
            [first, .., last] if held.lines.len() == steps => format!(", lines {first} to {last},"),
            _ => String::new(),
        };
        notes.push(format!("of the only recording {} {unit}{lines} are for validation", grouped(steps)));
    }
    let names = train.sequences.iter().flat_map(|s| s.labels.iter().map(String::as_str));
    let labels = match &old {
        Some(old) => old.labels.extended(names),
        None => {
            let seen = Labels::of(names, &train.path)?;
            // The data's own order, where it has one that holds them all.
            let own = Labels::from(classes);
            if seen.names().iter().all(|name| own.find(name).is_some()) { own } else { seen }
        }
    };
    let background = background(&settings, &labels)?;
    let steps = train.sequences.iter().map(|s| s.labels.len()).collect::<Vec<_>>();
    if let Reader::Words(_) = &reader {
        settings.settle_words_network(&steps);
    } else {
        // A run that goes on, and the model that one begins from, have none.
        let asked: &[&str] = if settings.embedding == 0 { &["word_dropout"] } else { &["embedding", "word_dropout"] };
        TASK.check_default(&settings, asked, "is only read for steps that are words")?;
        settings.embedding = 0;
    }
    settings.settle_frames_network(&steps, matches!(reader, Reader::Frames { .. }));
    let motion = match &old {
        Some(old) => settings.motion_of(old.motion.as_ref())?,
        None => settings.motion(&reader, &train)?,
    };
    let mut train = Sequences::new(train, &reader, motion.as_ref(), &labels, settings.lookahead)?;
    let val = Sequences::new(val, &reader, motion.as_ref(), &labels, settings.lookahead)?;
    train.cut(settings.seq_len);
    let length = if let Reader::Frames { .. } = reader { LENGTH_OF_CLIPS } else { LENGTH_OF_ROWS };
    let length = settings.settle_length(train.len(), length);
    let s = &mut settings;
    let input = match &reader {
        Reader::Frames { pixels, context, .. } => {
            if s.convs.0.is_empty() && s.dense.0.is_empty() {
                let small = pixels.height.min(pixels.width) < 8;
                s.convs = Sizes(if small { Vec::new() } else { CONVS.to_vec() });
                s.dense = Sizes(vec![DENSE]);
            }
            Some([pixels.height, pixels.width, pixels.channels * context])
        }
        Reader::Features(_) => (!s.dense.0.is_empty()).then(|| [1, 1, train.width()]),
        Reader::Words(_) => {
            TASK.check_default(s, &["dense"], "is only read for frames and rows, and these are words")?;
            None
        }
    };
    let s = &settings;
    train.word_dropout = s.word_dropout;
    (train.vary, train.jitter) = (augmentation(s, matches!(reader, Reader::Frames { .. })), s.jitter);
    let front = |input| FrontConfig { input, convs: s.convs.0.clone(), dense: s.dense.0.clone(), dropout: s.dropout };
    let class_weights = s.weights_of_classes(&labels, train.labels.iter().flatten().copied());
    let sizes = SyncedConfig {
        cell: s.cell,
        layers: s.layers,
        hidden: s.hidden,
        bidirectional: s.bidirectional,
        feed: feed(&reader, train.width()),
        embedding: s.embedding,
        tied: false,
        classes: labels.len(),
        dropout: s.dropout,
        front: input.map(front),
        loss: Loss { smoothing: s.label_smoothing, class_weights },
    };
    let recordings = train.labels.len();
    let frames: usize = train.labels.iter().map(Vec::len).sum();
    let longest = (0..train.len()).map(|i| train.steps(i)).max().unwrap_or(0);
    let unit = if let Reader::Frames { .. } = reader { "frame" } else { "step" };
    let inputs = train.width();
    let fronts = if sizes.front.is_some() { inputs * 2 } else { inputs };
    let activations = s.batch.min(train.len()) * longest * (fronts + s.recurrent_values());
    let of_background = background.and_then(|class| labels.names().get(class as usize));
    let summary = RunSummary {
        network: format!("{} {}x{}, {}", s.cell.name(), s.layers, s.hidden, timing(s.bidirectional, s.lookahead, unit)),
        data: format!(
            "{} training sequences of {} {unit}s, {} validation sequences; {} classes{}",
            grouped(recordings),
            grouped(frames),
            grouped(val.len()),
            labels.len(),
            of_background.map_or_else(String::new, |name| format!(", of which {name:?} is the background"))
        ),
        targets: frames,
        unit,
        notes: notes.into_iter().chain(length).collect(),
        json: json!({"steps": frames, "numbers": inputs, "classes": labels}),
        ..RunSummary::default()
    };
    let reading = FramesReading { reader, labels, background, lookahead: s.lookahead, columns, motion };
    let parts = Parts { reading, sizes, train, val, summary, activations, settings };
    Ok(Box::new(SupervisedPlan::<Synced, _>::new(parts)?))
}

/// What the network reads of a step of `width` numbers.
fn feed(reader: &Reader, width: usize) -> InputKind {
    match reader {
        Reader::Words(words) => InputKind::Tokens(words.len()),
        _ => InputKind::Dense(width),
    }
}

/// When a prediction is made, in words.
fn timing(bidirectional: bool, lookahead: usize, unit: &str) -> String {
    match (bidirectional, lookahead) {
        (true, _) => "reads each sequence in both directions".into(),
        (false, 0) => "predicts at once".into(),
        (false, n) => format!("predicts {n} {unit}s late"),
    }
}

/// The background class: the one asked for, or one that is called so.
fn background(settings: &Settings, labels: &Labels) -> Result<Option<u32>> {
    match settings.background.as_str() {
        "auto" => Ok(BACKGROUND.iter().find_map(|name| labels.find(name))),
        "none" if labels.find("none").is_none() => Ok(None),
        name => match labels.find(name) {
            Some(class) => Ok(Some(class)),
            None => Err(Error::setting("background", name, "is not a class; give none for no background")),
        },
    }
}

/// How frames or rows are read, and when they are answered.
#[derive(Debug, Serialize, Deserialize)]
struct FramesReading {
    reader: Reader,
    labels: Labels,
    /// The background class.
    background: Option<u32>,
    /// Steps by which predictions come late.
    lookahead: usize,
    columns: Columns,
    /// What is added to the rows of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    motion: Option<Motion>,
}

impl FramesReading {
    /// `I`, the numbers of a step.
    fn width(&self) -> usize {
        self.motion.as_ref().map_or_else(|| self.reader.width(), Motion::width)
    }
}

impl Reading<Synced> for FramesReading {
    type Examples = Sequences;

    const SHAPE: &'static str = "synced";
    const EVERY_STEP: bool = true;

    fn check(&self, sizes: &SyncedConfig) -> std::result::Result<(), &'static str> {
        match self.reader {
            _ if self.motion.as_ref().is_some_and(|motion| !motion.fits(self.reader.width())) => {
                Err("its differences do not fit its reader")
            }
            _ if (sizes.feed, sizes.classes) != (feed(&self.reader, self.width()), self.labels.len()) => {
                Err("its reader or its labels do not fit its network")
            }
            Reader::Frames { context, ahead, .. } if context == 0 || ahead >= context => {
                Err("the context of its frames is invalid")
            }
            _ if self.lookahead > MAX_LOOKAHEAD => Err("its `lookahead` is above 1000"),
            _ => Ok(()),
        }
    }

    fn goal(&self) -> Goal<'_> {
        Goal::Classes(&self.labels)
    }

    fn evaluator(&self, temperature: f64) -> Evaluator {
        Evaluator::Frames { classes: self.labels.len(), background: self.background, temperature }
    }

    fn describe(&self, sizes: &SyncedConfig) -> Vec<(&'static str, String)> {
        let mut lines = match &self.reader {
            Reader::Frames { pixels, context, differences, .. } => {
                let what = if *differences { "differences between frames" } else { "frames" };
                vec![("reads", pixels.describe(&format!("{what}, {context} seen at a step")))]
            }
            Reader::Features(features) => features.describe("a row a step"),
            Reader::Words(words) => vec![("reads", words.describe())],
        };
        lines.extend(self.motion.as_ref().map(|motion| ("steps", motion.describe())));
        lines.push(("timing", timing(sizes.bidirectional, self.lookahead, "step")));
        if let Some(name) = self.background.and_then(|class| self.labels.names().get(class as usize)) {
            lines.push(("background", name.clone()));
        }
        lines
    }

    fn reads(&self) -> Reads {
        Reads::Sequences
    }

    fn labelled(&self, data: &Settings, split: &str) -> Result<Named<Sequences>> {
        let columns = self.columns.complete(data);
        let mut read = match data.file.as_str() {
            "" => Read::builtin(data.seed),
            file => {
                let trained = data.sequence_column.is_empty().then(|| self.columns.sequence());
                Read::read(Path::new(file), &columns, How::As(&self.reader, trained))?.0
            }
        };
        let has_test = read.sequences.iter().any(|s| s.split == Some(Split::Test));
        if split != "all" && (has_test || !split.is_empty()) {
            let word = if split.is_empty() { "test" } else { split };
            let wrong = || Error::setting("split", word, format!("must be {}", Split::WORDS));
            read = read.part(Split::of(word).ok_or_else(wrong)?)?;
        }
        let examples = Sequences::new(read, &self.reader, self.motion.as_ref(), &self.labels, self.lookahead)?;
        let names = examples.ids().to_vec();
        Ok(Named::new(examples, names))
    }

    fn unlabelled(&self, input: Input, options: &Predict) -> Result<Named<Sequences>> {
        let (sequences, fps) = match (&self.reader, input) {
            (Reader::Frames { pixels, .. }, Input::File(path)) if HAS_FILES => recordings::clip(path, pixels)?,
            (Reader::Features(_) | Reader::Words(_), Input::File(path)) if HAS_FILES => {
                return self.unlabelled(Input::Table(&Table::read(path)?), options);
            }
            (Reader::Features(_) | Reader::Words(_), Input::Table(table)) => {
                let asked = options.sequence_column.as_deref();
                (recordings::rows(table, asked, self.columns.sequence(), &self.reader)?, None)
            }
            (Reader::Frames { .. }, _) => return Err(wrong_input("clips")),
            (Reader::Features(_) | Reader::Words(_), _) => return Err(wrong_input("rows of a table")),
        };
        let examples =
            Sequences::unlabelled(sequences, &self.reader, self.motion.as_ref(), self.labels.len(), self.lookahead);
        let names = examples.ids().to_vec();
        Ok(Named { fps, ..Named::new(examples, names) })
    }

    fn stream(&self, network: &Synced, params: &Params<f32>, temperature: f64) -> Option<Result<Box<dyn Stream>>> {
        let live = Live::new(&self.reader, self.motion.as_ref(), self.lookahead, network, params, temperature);
        Some(live.map(|live| Box::new(live) as Box<dyn Stream>))
    }
}
