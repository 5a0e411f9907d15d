//! A language model: the next character of a text. Reader: contiguous streams; shape: synced; metric: nats per token.

mod corpus;
pub mod fit;
pub mod generate;
pub mod live;
mod model;
pub mod ngrams;
mod presets;
pub mod score;
mod speed;

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use self::generate::Writer;
use super::frozen::frozen;
use super::plan::{self, RunSummary, Start, TextStatistics, blocks_of_batch, grouped, session};
use super::pretrained::{Grown, Pretrained};
use super::row::{Task, planned, size, size_or};
use crate::cell::{State, Steps};
use crate::data::{Streams, Vocab, builtin};
use crate::error::{Error, Result};
use crate::file;
use crate::format::document::DocumentWriter;
use crate::layer::{Loss, StackState};
use crate::metric::Review;
use crate::optim::OptimizerKind;
use crate::param::Params;
use crate::rng::Rng;
use crate::settings::{Auto, Data, Settings};
use crate::shape::{InputKind, Inputs, Synced, SyncedBatch, SyncedConfig};
use crate::train::{
    Batches, Cursor, Engine, Ranks, Scores, Session, Span, blocks, blocks_of, ranges, threads, weights,
};

pub use self::corpus::Corpus;
pub use self::model::{LanguageModel, vocab};
pub use self::presets::PRESETS;
pub(super) use self::presets::preset;

/// Texts to the next character.
pub const TASK: Task = Task {
    name: model::NAME,
    about: "the next character of a text; writes text",
    command: "sample",
    reads: &[
        "file", "encoding", "level", "vocab_size", "vocab_min", "cell", "forget_bias", "layers", "hidden", "embedding",
        "tied", "init", "single_bias", "bytes", "val", "seq_len", "state_reset", "memory_limit", "sample_length",
        "temperature",
    ],
    sizes: &[
        size("cell", "/network/cell"),
        size("layers", "/network/layers"),
        size("hidden", "/network/hidden"),
        size_or("embedding", "/network/embedding", "0"),
        size_or("tied", "/network/tied", "false"),
        size_or("bytes", "/vocab/bytes", "false"),
        size_or("level", "/vocab/pieces/level", "char"),
    ],
    data: &["file"],
    eval_data: &["file"],
    evaluate: &["from", "dynamic", "dynamic_lr", "dynamic_decay", "skip_unseen"],
    predict: &[],
    defaults,
    plan: planned(|settings, _| Ok(Box::new(Plan::new(settings)?))),
    open: |loaded| Ok(Box::new(LanguageModel::open(loaded)?)),
};

/// The measure that chooses the best model: see [`score`].
pub const METRIC: &str = "val_nats";

/// Chosen by the text; for the one that the program contains: a first look.
fn defaults(data: Data) -> Settings {
    match data {
        Data::Given => presets::automatic(),
        Data::Builtin => presets::quick(),
    }
}

/// The network that the settings ask for, of `vocab` tokens.
///
/// # Errors
/// An invalid network configuration.
pub fn network(settings: &Settings, vocab: usize) -> Result<Synced> {
    Synced::new(SyncedConfig {
        cell: settings.cell,
        layers: settings.layers,
        hidden: settings.hidden,
        bidirectional: false,
        feed: InputKind::Tokens(vocab),
        embedding: settings.embedding,
        tied: settings.tied,
        classes: vocab,
        dropout: settings.dropout,
        front: None,
        loss: Loss::default(),
    })
}

/// Everything of a run before its first update.
pub struct Plan {
    /// The text.
    pub corpus: Corpus,
    /// The network.
    pub network: Synced,
    /// What was asked for, resolved.
    pub settings: Settings,
    /// Steps of a sequence that are kept for backward at a time, where memory is limited.
    pub segment: Option<usize>,
    summary: RunSummary,
}

/// Bytes of a run that keeps `segment` steps for backward. Measured: the peak of LSTM 2x512 with B 8 and T from 50 to 6,400
/// is within a tenth of it.
fn memory_of(s: &Settings, corpus: &Corpus, network: &Synced, segment: usize) -> usize {
    let weights = network.layout().len();
    let rows = s.batch.min(corpus.train.len() / s.seq_len.max(1) + 1) * segment;
    let directions = s.layers * s.hidden;
    let activations = rows * (directions * 9 + 3 * corpus.vocab.len());
    let states = s.seq_len.div_ceil(segment) * s.batch * directions * 2;
    let texts = corpus.train.len() + corpus.val.len();
    4 * (weights * (6 + blocks(s.batch)) + activations + states + texts)
}

/// The time that is spent on measuring the speed of this machine: a share of the time limit, at most a second.
const MEASURING: (f64, f64) = (0.02, 1.0);

/// The settings with what is left to the text chosen, and what was chosen in a sentence.
///
/// # Errors
/// As [`speed::measure`].
fn fitted(mut s: Settings, corpus: &Corpus) -> Result<(Settings, Option<String>)> {
    fn given<T: Auto>(value: T) -> Option<T> {
        (!value.is_auto()).then_some(value)
    }
    s.layers = s.layers.or(1);
    // The rule for the rate is Adam's.
    let is_adam = matches!(s.optimizer, OptimizerKind::Adam | OptimizerKind::Adamw);
    s.lr = if is_adam { s.lr } else { s.lr.or(Settings::base().lr) };
    if s.tied && s.embedding.is_auto() {
        s.embedding = s.hidden.or(Settings::base().hidden);
        s.hidden = s.embedding;
    }
    let given = fit::Given {
        hidden: given(s.hidden),
        embedding: given(s.embedding),
        batch: given(s.batch),
        seq_len: given(s.seq_len),
        lr: given(s.lr),
        dropout: given(s.dropout),
        epochs: given(s.epochs),
        ema_decay: given(s.ema_decay),
    };
    if given.is_complete() {
        return Ok((s, None));
    }
    let mut facts = fit::Facts::of(corpus, &s);
    if s.max_time > Span::ZERO {
        let (seconds, threads) = (s.max_time.as_secs_f64(), threads(s.threads));
        let measuring = Duration::from_secs_f64((MEASURING.0 * seconds).min(MEASURING.1));
        let speed = speed(corpus, &s, threads, measuring)?;
        facts.time = Some(fit::Time { seconds, speed, threads });
    }
    let chosen = fit::fit(&facts, &given);
    s.hidden = chosen.hidden;
    s.embedding = chosen.embedding;
    s.batch = chosen.batch;
    s.seq_len = chosen.seq_len;
    s.lr = chosen.lr;
    s.dropout = chosen.dropout;
    s.epochs = chosen.epochs;
    s.ema_decay = chosen.ema_decay;
    if s.val_every == 0 {
        s.val_every = chosen.val_every.unwrap_or(0);
    }
    Ok((s, Some(chosen.why)))
}

/// Products per second of all threads together, in the sense of [`fit`], as the training of a small network has them.
///
/// # Errors
/// If the text is too short, or threads cannot be started.
fn speed(corpus: &Corpus, s: &Settings, threads: usize, time: Duration) -> Result<f64> {
    /// Its weights fill the second cache of a common core.
    const HIDDEN: usize = 256;
    const EMBEDDING: usize = 64;
    /// Sequences and steps of an update.
    const SIZE: (usize, usize) = (16, 64);
    let (batch, seq_len) = (SIZE.0, SIZE.1.min(corpus.train.len() - 1));
    let (hidden, embedding) = (HIDDEN, EMBEDDING);
    let s = Settings { hidden, embedding, layers: 1, batch, seq_len, tied: false, dropout: 0.1, ..s.clone() };
    let (network, batches) = (network(&s, corpus.vocab.len())?, TextBatches::new(corpus, &s)?);
    let tokens = batches.tokens();
    let per_second = speed::measure(&network, batches, tokens, &s, threads, time)?;
    Ok(per_second * fit::Facts::of(corpus, &s).products(HIDDEN, EMBEDDING, tokens as f64))
}

/// Steps to keep so that a run stays within its memory limit; none where all of them fit.
///
/// # Errors
/// [`Error::Setting`] if not even a few steps fit.
fn segment(s: &Settings, corpus: &Corpus, network: &Synced) -> Result<Option<usize>> {
    const LEAST: usize = 16;
    let Some(limit) = s.memory_limit()? else { return Ok(None) };
    let fits = |segment: &usize| memory_of(s, corpus, network, *segment) <= limit;
    if fits(&s.seq_len) {
        return Ok(None);
    }
    let mut segment = s.seq_len;
    while segment > LEAST {
        segment = segment.div_ceil(2);
        if fits(&segment) {
            return Ok(Some(segment));
        }
    }
    let least = memory_of(s, corpus, network, LEAST).div_ceil(1 << 20);
    Err(Error::setting("memory_limit", &s.memory_limit, format!("is too low: this run takes at least {least} MiB")))
}

impl Plan {
    /// Reads the text and lays the network out.
    ///
    /// # Errors
    /// As [`Settings::resolve`], [`Corpus::read`] and [`network`].
    pub fn new(settings: Settings) -> Result<Plan> {
        let settings = settings.resolve()?;
        let corpus = Corpus::read(&settings)?;
        let path = settings.file.clone();
        let name = Path::new(if path.is_empty() { "the built-in text" } else { &path });
        let mut plan = Self::of_corpus(corpus, settings, name)?;
        plan.summary.notes.extend(corpus::looks_like_table(name));
        Ok(plan)
    }

    /// As [`Plan::new`], of a text in memory.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of_text(text: &[u8], settings: Settings) -> Result<Plan> {
        let settings = settings.resolve()?;
        let path = Path::new("the text");
        let corpus = Corpus::of(text, None, path, &settings)?;
        Self::of_corpus(corpus, settings, path)
    }

    fn of_corpus(corpus: Corpus, settings: Settings, path: &Path) -> Result<Plan> {
        let too_short = |error: Error| Error::Data { path: path.into(), reason: error.to_string() };
        if corpus.train.len() < 2 {
            let reason = format!("{} tokens are too few to train on; use a longer text", corpus.train.len());
            return Err(Error::Data { path: path.into(), reason });
        }
        let mut settings = settings;
        let spelled = settings.settle_vocab_size(&corpus.vocab);
        let (settings, chosen) = fitted(settings, &corpus)?;
        Streams::new(corpus.train.len(), settings.batch, settings.seq_len, settings.seed).map_err(too_short)?;
        let mut network = network(&settings, corpus.vocab.len())?;
        let segment = segment(&settings, &corpus, &network)?;
        if let Some(steps) = segment {
            network = network.in_segments(steps);
        }
        let (s, vocab, [train, val]) = (&settings, &corpus.vocab, [corpus.train.len(), corpus.val.len()]);
        let note = |steps| format!("activations of {steps} steps are kept at a time; forward runs twice");
        let begins = Pretrained::open(s)?.map(|from| {
            let old = model::vocab(from.loaded())?;
            from.check(network.layout(), &Grown::behind(old.len(), old.len()))?;
            let new = (old.len() as u32..vocab.len() as u32).map(|id| format!("{:?}", vocab.decode(&[id])));
            Ok::<_, Error>(from.note(&[(vocab.unit(), new.collect())]))
        });
        let begins = begins.transpose()?;
        let summary = RunSummary {
            network: format!("{} {}x{}", s.cell.name(), s.layers, s.hidden),
            parameters: network.layout().len(),
            data: format!(
                "{} training {unit}s, {} validation {unit}s; vocabulary {}",
                grouped(train),
                grouped(val),
                vocab.len(),
                unit = vocab.unit(),
            ),
            targets: train,
            unit: vocab.unit(),
            loss_unit: "nats",
            notes: begins
                .into_iter()
                .chain(frozen(s, network.layout())?.1)
                .chain(spelled)
                .chain(chosen)
                .chain(segment.map(note))
                .collect(),
            memory: memory_of(s, &corpus, &network, segment.unwrap_or(s.seq_len)),
            reads: Vec::new(),
            json: json!({"vocabulary": vocab.len(), "symbols": train, "held_out": val}),
        };
        Ok(Plan { corpus, network, settings, segment, summary })
    }
}

impl plan::Plan for Plan {
    fn parts(&self) -> (&Settings, &RunSummary) {
        (&self.settings, &self.summary)
    }

    fn text_statistics(&self) -> Result<Option<TextStatistics>> {
        let text = match self.settings.file.as_str() {
            "" => builtin::project_text().as_bytes().to_vec(),
            // With its mark and line ends, where it is one file of UTF-8.
            path => match file::read(Path::new(path)) {
                Ok(raw) if self.settings.bytes || std::str::from_utf8(&raw).is_ok_and(|text| !text.contains('\0')) => {
                    raw
                }
                _ => self.settings.text(Path::new(path))?,
            },
        };
        let (s, Corpus { vocab, train, val }) = (&self.settings, &self.corpus);
        let updates = (train.len() / (s.batch * s.seq_len * s.accumulate)).max(1);
        Ok(Some(TextStatistics::of(&text, vocab, [train, val], updates)))
    }

    fn session<'a>(&'a self, start: Start) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let mut params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        if let Some(from) = Pretrained::open(s)? {
            let old = model::vocab(from.loaded())?.len();
            from.copy(&mut params, &Grown::behind(old, old))?;
        }
        session(&self.network, TextBatches::among(&self.corpus, s, &start.ranks)?, s, params, start)
    }
}

/// Batches of the text, and the validation loss.
#[derive(Debug)]
pub struct TextBatches<'c> {
    corpus: Cow<'c, Corpus>,
    settings: Settings,
    streams: Streams,
    blocks: Vec<Range<usize>>,
}

impl<'c> TextBatches<'c> {
    /// Batches of a text as the settings say.
    ///
    /// # Errors
    /// If the text is too short.
    pub fn new(corpus: &'c Corpus, settings: &Settings) -> Result<Self> {
        Self::among(corpus, settings, &Ranks::default())
    }

    fn among(corpus: &'c Corpus, settings: &Settings, ranks: &Ranks) -> Result<Self> {
        Self::of(Cow::Borrowed(corpus), settings, ranks)
    }

    fn of(corpus: Cow<'c, Corpus>, settings: &Settings, ranks: &Ranks) -> Result<Self> {
        let streams = Streams::new(corpus.train.len(), settings.batch, settings.seq_len, settings.seed)?;
        let batch = streams.batch();
        let count = blocks_of_batch(settings, batch, ranks, |batch| blocks_of(batch, 16));
        let blocks = ranges(batch, count).collect();
        Ok(TextBatches { corpus, settings: settings.clone(), streams, blocks })
    }
}

impl TextBatches<'_> {
    /// Tokens of a batch.
    pub fn tokens(&self) -> usize {
        self.streams.batch() * self.streams.seq_len()
    }
}

impl Batches<Synced> for TextBatches<'_> {
    fn initial_states(&self) -> Vec<StackState<f32>> {
        let s = &self.settings;
        let state = |streams: usize| {
            let cells = (0..s.layers).map(|_| State::zeros(streams, s.hidden, s.cell.has_c()));
            StackState { cells: cells.collect() }
        };
        self.blocks.iter().map(|block| state(block.len())).collect()
    }

    fn next_batch(
        &mut self,
        index: u64,
        batches: &mut Vec<SyncedBatch<f32>>,
        states: &mut dyn Iterator<Item = &mut StackState<f32>>,
    ) {
        let window = self.streams.next_window();
        let s = &self.settings;
        let mut rng = Rng::for_step(s.seed, "state-reset", index, 0);
        if batches.is_empty() {
            batches.extend(self.blocks.iter().map(|block| SyncedBatch {
                steps: Steps::equal(window.len, block.len()),
                inputs: Inputs::Tokens(Vec::new()),
                targets: Vec::new(),
            }));
        }
        for ((block, part), state) in self.blocks.iter().zip(batches).zip(states) {
            if let Inputs::Tokens(inputs) = &mut part.inputs {
                window.read(&self.corpus.train, block.clone(), inputs, &mut part.targets);
            }
            for row in 0..block.len() {
                if window.is_first || rng.uniform() < s.state_reset {
                    state.zero_sequence(row, block.len());
                }
            }
        }
    }

    fn cursor(&self) -> &dyn Cursor {
        &self.streams
    }

    fn cursor_mut(&mut self) -> &mut dyn Cursor {
        &mut self.streams
    }

    fn fingerprint(&self) -> Value {
        let bytes = |tokens: &[u32]| tokens.iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<u8>>();
        let sum = |tokens: &[u32]| crc32fast::hash(&bytes(tokens));
        json!({
            "symbols": [self.corpus.train.len(), self.corpus.val.len()],
            "crc32": [sum(&self.corpus.train), sum(&self.corpus.val)],
        })
    }

    fn validate(&mut self, network: &Synced, params: &Params<f32>, engine: &Engine<f32, Synced>) -> Result<Scores> {
        let limit = if self.settings.rules == 1 { usize::MAX } else { score::LIMIT };
        let (val, ranks) = (&self.corpus.val, engine.ranks());
        let score = engine.install(|| score::windowed_part(network, params, val, limit, ranks))?;
        Ok(Scores { values: vec![(METRIC.into(), score.mean_nats())], higher_is_better: false })
    }

    fn sample(&mut self, network: &Synced, params: &Params<f32>, step: u64) -> Result<Option<String>> {
        let s = &self.settings;
        if s.sample_length == 0 {
            return Ok(None);
        }
        let mut config = self.model_config(network);
        config["kind"] = "model".into();
        let document = DocumentWriter { config, tensors: weights(params) };
        // Another text each time, the same in every run of this seed.
        let seed = s.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut writer = Writer::of_document(&document, self.corpus.vocab.clone(), s.sampler(), seed)?;
        let mut text = String::new();
        writer.write(s.sample_length, "", |piece| {
            text.push_str(piece);
            true
        })?;
        Ok(Some(text))
    }

    fn model_config(&self, network: &Synced) -> Value {
        let is_builtin = self.settings.file.is_empty();
        let vocab: &Vocab = &self.corpus.vocab;
        let mut config = json!({"task": model::NAME, "shape": "synced", "network": network.config(), "vocab": vocab});
        if is_builtin {
            config["builtin"] = true.into();
        }
        config
    }

    fn review(&self, step: u64) -> Option<Review> {
        let baselines = vec![score::frequencies(&self.corpus.val, self.corpus.vocab.unit(), METRIC)];
        Some(Review { step, examples: self.corpus.val.len(), baselines, ..Review::default() })
    }
}
