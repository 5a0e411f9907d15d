//! A language model: the next character of a text. Reader: contiguous streams; shape: synced; metric: nats per symbol.

use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use super::generate::Writer;
use super::plan::{Facts, grouped};
use super::score;
use super::settings::Settings;
use crate::cell::Steps;
use crate::data::{Streams, Vocab, builtin};
use crate::error::{Error, Result};
use crate::format::document::DocumentWriter;
use crate::format::model::Loaded;
use crate::layer::{Loss, StackState};
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{InputKind, Inputs, Synced, SyncedBatch, SyncedConfig};
use crate::train::{Engine, RunFolder, Scores, Session, Task, Trainer, blocks, weights};

/// The name in files and on the command line.
pub const NAME: &str = "language-model";
/// The measure that chooses the best model: see [`score`].
pub const METRIC: &str = "val_nats";

/// Largest size of a network that a file may claim.
const MAX_SIZE: usize = 1 << 20;

/// A text in tokens, and what is held out of it.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Its symbols.
    pub vocab: Vocab,
    /// What is trained on.
    pub train: Vec<u32>,
    /// What is held out.
    pub val: Vec<u32>,
}

impl Corpus {
    /// Reads the text the settings name, or the built-in one where they name none.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] with the file and what to do.
    pub fn read(settings: &Settings) -> Result<Corpus> {
        if settings.file.is_empty() {
            return Self::of(builtin::project_text().as_bytes(), None, Path::new("the built-in text"), settings);
        }
        let path = Path::new(&settings.file);
        let text = read_text(path)?;
        let val = if settings.val.is_empty() { None } else { Some(read_text(Path::new(&settings.val))?) };
        Self::of(&text, val.as_deref(), path, settings)
    }

    /// Splits a text: the symbols are those of all of it, so that the held-out part has none unknown.
    ///
    /// # Errors
    /// If the text is empty, too short, not in UTF-8, or the validation text has other symbols.
    pub fn of(text: &[u8], val: Option<&[u8]>, path: &Path, settings: &Settings) -> Result<Corpus> {
        let data = |path: &Path, reason: String| Error::Data { path: path.into(), reason };
        let vocab = Vocab::of(text, settings.bytes, path)?;
        let encode = |text: &[u8], path: &Path| {
            let tokens = vocab.encode(text, false);
            tokens.map(|(tokens, _)| tokens).map_err(|unseen| data(path, unseen.to_string()))
        };
        let mut train = encode(text, path)?;
        let val = match val {
            Some(val) => encode(val, Path::new(&settings.val))?,
            None => {
                let cut = ((1.0 - settings.val_frac) * train.len() as f64) as usize;
                train.split_off(cut.min(train.len()))
            }
        };
        if let Err(error) = Streams::new(train.len(), settings.batch, settings.seq_len, settings.seed) {
            return Err(data(path, error.to_string()));
        }
        if val.len() < 2 {
            let reason = format!(
                "{} symbols are held out, and validation takes at least 2; give a longer text, a higher --val-frac or \
                 a file by --val",
                val.len()
            );
            return Err(data(path, reason));
        }
        Ok(Corpus { vocab, train, val })
    }
}

/// Reads a file whole.
///
/// # Errors
/// [`Error::Io`] with the reason in words.
pub fn read_text(path: &Path) -> Result<Vec<u8>> {
    let read = match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            Err(std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a folder; name a text file"))
        }
        Ok(_) => std::fs::read(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(std::io::Error::new(error.kind(), "there is no such file"))
        }
        Err(error) => Err(error),
    };
    read.map_err(|source| Error::Io { path: path.into(), action: "read", source })
}

/// The network the settings ask for.
///
/// # Errors
/// [`Error::Usage`] with the flag to change.
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

/// The symbols of a language model's file.
///
/// # Errors
/// [`Error::Model`] if the file holds another kind of model, or its vocabulary is none.
pub fn vocab(loaded: &Loaded) -> Result<Vocab> {
    let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
    let config = loaded.document.config();
    if config["task"] != NAME {
        return Err(wrong(format!("its task is {}, not {NAME}", config["task"])));
    }
    let vocab: Vocab = serde_json::from_value(config.get("vocab").cloned().unwrap_or_default())
        .map_err(|error| wrong(format!("`vocab` in its metadata cannot be used: {error}")))?;
    if vocab.is_empty() || config["network"]["classes"] != vocab.len() {
        return Err(wrong(format!("its vocabulary of {} symbols does not fit its network", vocab.len())));
    }
    Ok(vocab)
}

/// A language model of a file, ready to be evaluated.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: Synced,
    /// Its weights.
    pub params: Params<f32>,
    /// Its symbols.
    pub vocab: Vocab,
}

impl Model {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds no language model, or one that contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Model> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let vocab = vocab(loaded)?;
        let network = loaded.document.config().get("network").cloned().unwrap_or_default();
        let network: SyncedConfig = serde_json::from_value(network)
            .map_err(|error| wrong(format!("`network` in its metadata cannot be used: {error}")))?;
        if network.feed != InputKind::Tokens(vocab.len()) || network.classes != vocab.len() {
            return Err(wrong(format!("its vocabulary of {} symbols does not fit its network", vocab.len())));
        }
        if [network.hidden, network.layers, network.embedding, network.classes].iter().any(|&size| size > MAX_SIZE) {
            return Err(wrong(format!("a size of its network is above {MAX_SIZE}")));
        }
        let network = Synced::new(network).map_err(|error| wrong(error.to_string()))?;
        let params = super::plan::params(loaded, network.layout())?;
        Ok(Model { network, params, vocab })
    }
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
}

/// Bytes of a run that keeps `segment` steps for backward. Measured: the peak of LSTM 2x512 with B 8 and T from 50 to 6,400
/// is within a tenth of it.
fn memory_of(s: &Settings, corpus: &Corpus, network: &Synced, segment: usize) -> usize {
    let weights = network.layout().len();
    let rows = s.batch * segment;
    let directions = s.layers * s.hidden;
    let activations = rows * (directions * 9 + 3 * corpus.vocab.len());
    let states = s.seq_len.div_ceil(segment) * s.batch * directions * 2;
    let texts = corpus.train.len() + corpus.val.len();
    4 * (weights * (6 + blocks(s.batch).len()) + activations + states + texts)
}

/// Steps to keep so that a run stays within its memory limit; none where all of them fit.
///
/// # Errors
/// [`Error::Usage`] if not even a few steps fit.
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
    Err(Error::Usage(format!("--memory-limit {}: this run takes at least {least} MiB", s.memory_limit)))
}

impl Plan {
    /// Reads the text and lays the network out.
    ///
    /// # Errors
    /// As [`Settings::resolve`], [`Corpus::read`] and [`network`].
    pub fn new(settings: Settings) -> Result<Plan> {
        let settings = settings.resolve()?;
        let corpus = Corpus::read(&settings)?;
        let mut network = network(&settings, corpus.vocab.len())?;
        let segment = segment(&settings, &corpus, &network)?;
        if let Some(steps) = segment {
            network = network.in_segments(steps);
        }
        Ok(Plan { corpus, network, settings, segment })
    }

    /// Bytes the run will take, roughly: weights, moments, gradients of each block, packed weights, activations.
    pub fn memory_estimate(&self) -> usize {
        memory_of(&self.settings, &self.corpus, &self.network, self.segment.unwrap_or(self.settings.seq_len))
    }

    /// The run, ready to train: from the beginning, or with `resume` from the folder's checkpoint.
    ///
    /// # Errors
    /// As [`Trainer::new`] and [`Trainer::resume`].
    pub fn trainer(&self, folder: Option<RunFolder>, resume: bool) -> Result<Trainer<'_, Synced, LanguageModel<'_>>> {
        let s = &self.settings;
        let params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        let task = LanguageModel::new(&self.corpus, s)?;
        let mut trainer = Trainer::new(&self.network, task, s.train_config(), params, threads(s.threads), folder)?;
        if resume {
            trainer.resume()?;
        }
        Ok(trainer)
    }
}

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let (s, vocab) = (&self.settings, &self.corpus.vocab);
        let (train, val) = (self.corpus.train.len(), self.corpus.val.len());
        Facts {
            network: format!("{} {}x{}", s.cell.name(), s.layers, s.hidden),
            parameters: self.network.layout().len(),
            data: format!(
                "{} {}s to learn from, {} held out; vocabulary {}",
                grouped(train),
                vocab.unit(),
                grouped(val),
                vocab.len()
            ),
            targets: train,
            unit: "symbol",
            notes: self
                .segment
                .map(|n| format!("kept for backward {n} steps at a time; forward runs twice"))
                .into_iter()
                .collect(),
            memory: self.memory_estimate(),
            json: json!({"vocabulary": vocab.len(), "symbols": train, "held_out": val}),
            command: "elman sample",
        }
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        Ok(Box::new(self.trainer(folder, resume)?))
    }
}

/// The number of threads asked for; 0 is one for each core.
pub fn threads(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// The task: batches of the text and the held-out loss.
#[derive(Debug)]
pub struct LanguageModel<'c> {
    corpus: &'c Corpus,
    settings: Settings,
    streams: Streams,
    blocks: Vec<Range<usize>>,
}

impl<'c> LanguageModel<'c> {
    /// The task of these settings on a text.
    ///
    /// # Errors
    /// If the text is too short.
    pub fn new(corpus: &'c Corpus, settings: &Settings) -> Result<Self> {
        let streams = Streams::new(corpus.train.len(), settings.batch, settings.seq_len, settings.seed)?;
        let blocks = blocks(streams.batch());
        Ok(LanguageModel { corpus, settings: settings.clone(), streams, blocks })
    }
}

impl Task<Synced> for LanguageModel<'_> {
    fn initial_states(&self) -> Vec<StackState<f32>> {
        let s = &self.settings;
        let state = |streams: usize| {
            let cells = (0..s.layers).map(|_| crate::cell::State::zeros(streams, s.hidden, s.cell.has_c()));
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

    fn epochs(&self) -> f64 {
        self.streams.epochs()
    }

    fn batches_per_epoch(&self) -> f64 {
        self.streams.batches_per_epoch() as f64
    }

    fn position(&self) -> Value {
        json!(self.streams.position())
    }

    fn seek(&mut self, position: &Value) -> Result<()> {
        let position = serde_json::from_value(position.clone())
            .map_err(|error| Error::Usage(format!("the position in the text cannot be used: {error}")))?;
        self.streams.seek(position)
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
        let score = engine.install(|| score::windowed(network, params, &self.corpus.val));
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
        json!({"task": NAME, "shape": "synced", "network": network.config(), "vocab": self.corpus.vocab})
    }
}
