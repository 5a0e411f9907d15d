//! A vector becomes a sequence: what is seen in a photograph, a name of a kind, a melody of a mood. Reader: a matrix of
//! features, or photographs and an encoder, and a table of captions; shape: sequence output; measure: BLEU-4 of what is written for held-out rows.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::photographs::{self, Encoded};
use super::plan::{self, Facts};
use super::settings::Settings;
use super::translate::{Language, Written, beam_config, decoder, search_with};
use crate::data::encoder::{Encoder, EncoderId, Wanted};
use crate::data::table::Table;
use crate::data::{Buckets, Matrix, held_out};
use crate::decode::{BeamConfig, Hypothesis};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::metric::caption_bleu;
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{
    DecoderConfig, SequenceOutput, SequenceOutputBatch, SequenceOutputConfig, SequenceOutputPrepared,
    SequenceOutputTape, Shape,
};
use crate::train::{Engine, RunFolder, Scores, Session, Task, Trainer, blocks};

/// The name in files and on the command line.
pub const NAME: &str = "caption";

/// Captions scored side by side.
const SIDE_BY_SIDE: usize = 64;

/// A row of the features with its captions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The row, from 0.
    pub row: usize,
    /// Its captions; at least one.
    pub captions: Vec<String>,
}

/// The rows of a table of captions that belong to a split, in the order they first appear; `split` is empty for all.
#[derive(Clone, Debug, Default)]
struct Captions {
    train: Vec<Described>,
    dev: Vec<Described>,
    test: Vec<Described>,
    /// Without a split.
    rest: Vec<Described>,
    /// Names of photographs; a row is a place in here. Empty where rows are those of a matrix.
    names: Vec<String>,
}

/// What a line of captions describes.
#[derive(Clone, Copy, PartialEq)]
enum Subject {
    /// One of so many rows of a matrix.
    Row(usize),
    /// A photograph of this name.
    Image,
}

/// Which columns hold what.
struct Columns {
    subject: usize,
    split: Option<usize>,
    caption: usize,
}

impl Columns {
    fn of(table: &Table, subject: Subject) -> Result<Columns> {
        let named = |name: &str| table.header.as_ref().and_then(|h| h.iter().position(|column| column == name));
        let (name, column_of_5) = if subject == Subject::Image { ("image", 2) } else { ("row", 0) };
        if let (Some(subject), Some(caption)) = (named(name), named("caption")) {
            return Ok(Columns { subject, split: named("split"), caption });
        }
        match table.width() {
            5 => Ok(Columns { subject: column_of_5, split: Some(1), caption: 4 }),
            3 => Ok(Columns { subject: 0, split: Some(1), caption: 2 }),
            2 => Ok(Columns { subject: 0, split: None, caption: 1 }),
            width => {
                let reason = format!(
                    "has {width} columns; give row, split, image, number, caption; or {name}, split, caption; or {name}, \
                     caption; or columns named `{name}`, `split` and `caption`"
                );
                Err(Error::Data { path: table.path.clone(), reason })
            }
        }
    }
}

impl Captions {
    /// Reads a table of captions of rows or of photographs.
    fn read(path: &Path, subject: Subject) -> Result<Captions> {
        let table = Table::read(path)?;
        let columns = Columns::of(&table, subject)?;
        let mut captions = Captions::default();
        let mut row_of: HashMap<&str, usize> = HashMap::new();
        for line in &table.rows {
            let wrong = |what: String| {
                let reason = format!("line {}: {what}", line.line);
                Error::Data { path: path.into(), reason }
            };
            let cell = line.cells[columns.subject].trim();
            let row = match subject {
                Subject::Image if cell.is_empty() => return Err(wrong("no photograph is named".into())),
                Subject::Image => *row_of.entry(cell).or_insert_with(|| {
                    captions.names.push(cell.into());
                    captions.names.len() - 1
                }),
                Subject::Row(rows) => {
                    let row: Option<usize> = cell.parse().ok();
                    let row = row.ok_or_else(|| wrong(format!("`{cell}` is no number of a row, from 0")))?;
                    if row >= rows {
                        let reason = format!("there is no row {row}; the features have {rows}, numbered from 0");
                        return Err(wrong(reason));
                    }
                    row
                }
            };
            let caption = line.cells[columns.caption].trim();
            if caption.is_empty() {
                return Err(wrong("the caption is empty; leave such rows out".into()));
            }
            let part = match columns.split.map(|column| line.cells[column].trim()) {
                None => &mut captions.rest,
                Some("train") => &mut captions.train,
                Some("dev" | "val" | "valid" | "validation") => &mut captions.dev,
                Some("test") => &mut captions.test,
                Some(other) => return Err(wrong(format!("the split is `{other}`; give train, dev or test"))),
            };
            match part.last_mut() {
                Some(described) if described.row == row => described.captions.push(caption.into()),
                _ => part.push(Described { row, captions: vec![caption.into()] }),
            }
        }
        Ok(captions)
    }

    /// What is trained on, and what is held out.
    fn into_training_and_held_out(self, settings: &Settings) -> Result<(Vec<Described>, Vec<Described>)> {
        let Captions { mut train, dev, rest, .. } = self;
        train.extend(rest);
        match dev.is_empty() {
            true => held_out(train, &settings.hold_out(), Path::new(&settings.captions)),
            false => Ok((train, dev)),
        }
    }

    /// The described rows of one part: `train`, `dev` or `test`; all, where the table names no parts.
    fn part(self, part: &str, path: &Path) -> Result<Vec<Described>> {
        let found = match part {
            "train" => self.train,
            "dev" => self.dev,
            "test" => self.test,
            _ => return Err(Error::Usage(format!("--split {part}: give train, dev or test"))),
        };
        let found = if found.is_empty() { self.rest } else { found };
        if found.is_empty() {
            return Err(Error::Data { path: path.into(), reason: format!("has no row of the split {part}") });
        }
        Ok(found)
    }
}

/// The described rows of one part of the data: `train`, `dev` or `test`.
///
/// # Errors
/// As the readers; if there is none of that part.
pub fn read(features: &Matrix, captions: &Path, part: &str) -> Result<Vec<Described>> {
    Captions::read(captions, Subject::Row(features.rows()))?.part(part, captions)
}

/// As [`read`], of photographs in a folder, with their features by an encoder.
///
/// # Errors
/// As [`read`] and [`photographs::encode`].
pub fn read_images(encoder: &Encoder, images: &Path, captions: &Path, part: &str) -> Result<(Encoded, Vec<Described>)> {
    let mut all = Captions::read(captions, Subject::Image)?;
    let names = std::mem::take(&mut all.names);
    let mut described = all.part(part, captions)?;
    let encoded = encode(encoder, images, &names, &mut [&mut described])?;
    Ok((encoded, described))
}

/// The features of the photographs that are described; the rows become theirs.
fn encode(encoder: &Encoder, images: &Path, names: &[String], parts: &mut [&mut Vec<Described>]) -> Result<Encoded> {
    let mut rows = vec![None; names.len()];
    let mut used = Vec::new();
    for described in parts.iter_mut().flat_map(|part| part.iter_mut()) {
        let row = described.row;
        described.row = *rows[row].get_or_insert_with(|| {
            used.push(names[row].clone());
            used.len() - 1
        });
    }
    photographs::encode(images, &used, encoder)
}

/// Features and captions, to learn from and held out.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The features.
    pub features: Matrix,
    /// The symbols.
    pub language: Language,
    /// What is trained on: row and symbols of each caption.
    pub train: Vec<(usize, Vec<u32>)>,
    /// What is held out.
    pub val: Vec<Described>,
    /// Captions left out of training, being longer than `--max-len`.
    pub too_long: usize,
    /// What made the features, if they were made here.
    pub encoder: Option<EncoderId>,
    /// How the features were come by, for people.
    pub note: Option<String>,
}

impl Corpus {
    /// Reads what the settings name and learns the symbols.
    ///
    /// # Errors
    /// As the readers and [`photographs::encode`]; without captions, or features or photographs; if no caption is left of at
    /// most `--max-len` symbols.
    pub fn read(settings: &Settings) -> Result<Corpus> {
        let Settings { features, captions, images, encoder, encoder_output, .. } = settings;
        let usage = |message: &str| Err(Error::Usage(message.into()));
        if captions.is_empty() || (features.is_empty() && images.is_empty()) {
            return usage(
                "give --captions, a table of row, split and caption, and --features, a matrix with a row for each picture; or \
                 --captions with the photographs' names, --images, their folder, and --encoder, an .onnx file",
            );
        }
        let is_made = [images, encoder, encoder_output].iter().any(|word| !word.is_empty());
        if !features.is_empty() && is_made {
            return usage(
                "--features are ready features; leave out --images, --encoder and --encoder-output, or these",
            );
        }
        if features.is_empty() && encoder.is_empty() {
            return usage("--images are photographs; give --encoder, the .onnx file that makes features of them");
        }
        let path = Path::new(captions);
        if !features.is_empty() {
            let features = Matrix::read(Path::new(features))?;
            let captions = Captions::read(path, Subject::Row(features.rows()))?;
            let (train, val) = captions.into_training_and_held_out(settings)?;
            return Self::of(features, &train, val, settings);
        }
        let mut captions = Captions::read(path, Subject::Image)?;
        let names = std::mem::take(&mut captions.names);
        let (mut train, mut val) = captions.into_training_and_held_out(settings)?;
        let encoder = Encoder::open(Path::new(encoder), Wanted::Named(encoder_output))?;
        let threads = super::language_model::threads(settings.threads);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| Error::Usage(format!("--threads {threads}: cannot be started: {error}")))?;
        let encoded = pool.install(|| encode(&encoder, Path::new(images), &names, &mut [&mut train, &mut val]))?;
        let corpus = Self::of(encoded.features, &train, val, settings)?;
        Ok(Corpus { encoder: Some(encoder.id().clone()), note: Some(encoded.note), ..corpus })
    }

    /// Learns the symbols of the training captions and encodes them.
    ///
    /// # Errors
    /// If no caption is left of at most `--max-len` symbols.
    pub fn of(features: Matrix, train: &[Described], val: Vec<Described>, settings: &Settings) -> Result<Corpus> {
        let texts: Vec<&str> = train.iter().flat_map(|d| d.captions.iter().map(String::as_str)).collect();
        let mut language = Language::learn(texts.into_iter(), settings)?;
        let rows: Vec<(usize, &str)> =
            train.iter().flat_map(|d| d.captions.iter().map(|caption| (d.row, caption.as_str()))).collect();
        let encode = |&(row, caption): &(usize, &str)| Ok((row, language.subwords.encode(caption)?));
        let mut train: Vec<(usize, Vec<u32>)> = rows.par_iter().map(encode).collect::<Result<_>>()?;
        let (all, most) = (train.len(), if settings.max_len == 0 { usize::MAX } else { settings.max_len });
        train.retain(|(_, symbols)| symbols.len() < most);
        if train.is_empty() {
            return Err(Error::Usage(format!("no caption has fewer symbols than --max-len {most}; give a higher one")));
        }
        language.max_ratio = train.iter().map(|(_, symbols)| symbols.len() + 1).max().unwrap_or(1) as f64;
        let too_long = all - train.len();
        Ok(Corpus { features, language, train, val, too_long, encoder: None, note: None })
    }
}

/// The network the settings ask for: rows of `dims` `[N, ..]`, `vocab` symbols.
///
/// # Errors
/// [`Error::Usage`] with the flag to change.
pub fn network(settings: &Settings, dims: &[usize], vocab: usize) -> Result<SequenceOutput> {
    let features = dims.last().copied().unwrap_or(0);
    let places = dims.iter().skip(1).product::<usize>() / features.max(1);
    let is_map = places > 1;
    let with_attention = decoder(settings, vocab);
    let decoder = DecoderConfig {
        attention: with_attention.attention.filter(|_| is_map),
        upper_layers: if is_map { with_attention.upper_layers } else { 0 },
        ..with_attention
    };
    let (memory, feature_dropout) = (settings.hidden, settings.feature_dropout);
    SequenceOutput::new(SequenceOutputConfig { features, places, memory, feature_dropout, decoder })
}

/// The best that follows from each of these rows of features, in their order. Runs on the current thread pool.
///
/// # Errors
/// As [`beam_search`](crate::decode::beam_search).
pub fn search(
    network: &SequenceOutput,
    prepared: &SequenceOutputPrepared<f32>,
    language: &Language,
    features: &[&[f32]],
    config: &BeamConfig,
) -> Result<Vec<Vec<Hypothesis>>> {
    let stepper = |part: &[usize]| {
        let values: Vec<f32> = part.iter().flat_map(|&i| features[i].iter().copied()).collect();
        network.stepper(prepared, &values)
    };
    // A vector counts as a source of one symbol.
    search_with(stepper, language, &vec![1; features.len()], config)
}

/// The mean loss of captions in nats per symbol with teacher forcing, the ends counted.
fn loss_nats(
    network: &SequenceOutput,
    params: &Params<f32>,
    prepared: &SequenceOutputPrepared<f32>,
    language: &Language,
    features: &Matrix,
    described: &[Described],
) -> Result<f64> {
    let mut captions = Vec::new();
    for described in described {
        for caption in &described.captions {
            captions.push((described.row, language.subwords.encode(caption)?));
        }
    }
    captions.sort_by_key(|(_, symbols)| std::cmp::Reverse(symbols.len()));
    let parts: Vec<(f64, usize)> = captions
        .par_chunks(SIDE_BY_SIDE)
        .map_init(SequenceOutputTape::default, |tape, part| {
            let batch = batch(part.iter(), features, language);
            (network.loss(params, prepared, &batch, &mut (), tape), batch.targets.targets.len())
        })
        .collect();
    let (nats, symbols) = parts.iter().fold((0.0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    Ok(nats / symbols.max(1) as f64)
}

fn batch<'a>(
    captions: impl Iterator<Item = &'a (usize, Vec<u32>)>,
    features: &Matrix,
    language: &Language,
) -> SequenceOutputBatch<f32> {
    let (rows, symbols): (Vec<&[f32]>, Vec<&Vec<u32>>) =
        captions.map(|(row, symbols)| (features.row(*row), symbols)).unzip();
    SequenceOutputBatch::new(&rows, &symbols, language.subwords.begin(), language.subwords.end())
}

/// What a model makes of described rows.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Mean loss with teacher forcing, nats per symbol.
    pub loss_nats: f64,
    /// BLEU-1 to BLEU-4, 0 to 100, tokenised as in the caption papers.
    pub bleu: [f64; 4],
    /// Symbols of what was written, on average.
    pub length: f64,
    /// What is written for each row.
    pub texts: Vec<String>,
}

/// Writes for every row and compares with its captions. Runs on the current thread pool.
///
/// # Errors
/// As [`search`].
pub fn evaluate(
    network: &SequenceOutput,
    params: &Params<f32>,
    language: &Language,
    features: &Matrix,
    described: &[Described],
    config: &BeamConfig,
) -> Result<Evaluation> {
    let mut prepared = SequenceOutputPrepared::default();
    network.prepare(params, &mut prepared);
    let loss_nats = loss_nats(network, params, &prepared, language, features, described)?;
    let rows: Vec<&[f32]> = described.iter().map(|described| features.row(described.row)).collect();
    let config = BeamConfig { nbest: 1, ..config.clone() };
    let found = search(network, &prepared, language, &rows, &config)?;
    let symbols: usize = found.iter().filter_map(|found| found.first()).map(|best| best.tokens.len()).sum();
    let texts: Vec<String> = found.iter().map(|found| language.text(found)).collect::<Result<_>>()?;
    let references: Vec<Vec<&str>> =
        described.iter().map(|described| described.captions.iter().map(String::as_str).collect()).collect();
    let bleu = caption_bleu(&texts, &references)?;
    Ok(Evaluation { loss_nats, bleu, length: symbols as f64 / texts.len().max(1) as f64, texts })
}

/// The task: batches of captions of like length, judged by what is written for held-out rows.
#[derive(Debug)]
pub struct Caption<'c> {
    corpus: &'c Corpus,
    settings: Settings,
    buckets: Buckets,
    blocks: usize,
}

impl<'c> Caption<'c> {
    /// The task of these settings on a corpus.
    ///
    /// # Errors
    /// If there is no caption.
    pub fn new(corpus: &'c Corpus, settings: &Settings) -> Result<Self> {
        let lengths = corpus.train.iter().map(|(_, symbols)| symbols.len()).collect();
        let buckets = Buckets::new(lengths, settings.batch, settings.seed)?;
        let blocks = blocks(buckets.batch()).len();
        Ok(Caption { corpus, settings: settings.clone(), buckets, blocks })
    }
}

impl Task<SequenceOutput> for Caption<'_> {
    fn initial_states(&self) -> Vec<()> {
        vec![(); self.blocks]
    }

    fn next_batch(
        &mut self,
        _: u64,
        batches: &mut Vec<SequenceOutputBatch<f32>>,
        _: &mut dyn Iterator<Item = &mut ()>,
    ) {
        let (examples, Corpus { features, language, train, .. }) = (self.buckets.next_batch(), self.corpus);
        batches.clear();
        // Dealt like cards, so that blocks take like times.
        batches.extend((0..self.blocks).map(|block| {
            let part = examples.iter().skip(block).step_by(self.blocks);
            batch(part.map(|&i| &train[i]), features, language)
        }));
    }

    fn epochs(&self) -> f64 {
        self.buckets.epochs()
    }

    fn batches_per_epoch(&self) -> f64 {
        self.buckets.batches_per_epoch() as f64
    }

    fn position(&self) -> Value {
        json!(self.buckets.position())
    }

    fn seek(&mut self, position: &Value) -> Result<()> {
        let position = serde_json::from_value(position.clone())
            .map_err(|error| Error::Usage(format!("the position in the data cannot be used: {error}")))?;
        self.buckets.seek(position)
    }

    fn fingerprint(&self) -> Value {
        let Corpus { features, train, val, .. } = self.corpus;
        let mut hasher = crc32fast::Hasher::new();
        for row in 0..features.rows() {
            // A call for each row, not for each value: a map has half a billion.
            hasher.update(&features.row(row).iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        }
        for (row, symbols) in train {
            hasher.update(&(*row as u64).to_le_bytes());
            symbols.iter().for_each(|symbol| hasher.update(&symbol.to_le_bytes()));
        }
        json!({"captions": train.len(), "held_out": val.len(), "crc32": hasher.finalize()})
    }

    fn validate(
        &mut self,
        network: &SequenceOutput,
        params: &Params<f32>,
        engine: &Engine<f32, SequenceOutput>,
    ) -> Result<Scores> {
        let Corpus { language, features, val, .. } = self.corpus;
        let config = BeamConfig { beam: self.settings.val_beam, ..beam_config(&self.settings) };
        let result = engine.install(|| evaluate(network, params, language, features, val, &config))?;
        let values = [("val_bleu4", result.bleu[3]), ("val_bleu1", result.bleu[0]), ("val_nats", result.loss_nats)];
        let values = values.map(|(name, value)| (name.to_string(), value)).to_vec();
        Ok(Scores { values, higher_is_better: true })
    }

    fn sample(&mut self, network: &SequenceOutput, params: &Params<f32>, step: u64) -> Result<Option<String>> {
        let Corpus { language, features, val, .. } = self.corpus;
        let Some(i) = val.len().checked_sub(1) else { return Ok(None) };
        let described = &val[Rng::for_step(self.settings.seed, "sample", step, 0).below(i + 1)];
        let mut prepared = SequenceOutputPrepared::default();
        network.prepare(params, &mut prepared);
        let row = [features.row(described.row)];
        let found = search(network, &prepared, language, &row, &BeamConfig::greedy())?;
        let (text, right) = (language.text(&found[0])?, &described.captions[0]);
        Ok(Some(format!("row {}: {text}\nright: {right}", described.row)))
    }

    fn model_config(&self, network: &SequenceOutput) -> Value {
        json!({
            "task": NAME,
            "shape": "sequence-output",
            "network": network.config(),
            "language": self.corpus.language,
            "decoding": beam_config(&self.settings),
            "encoder": self.corpus.encoder,
        })
    }
}

/// Everything of a run before its first update.
pub struct Plan {
    settings: Settings,
    corpus: Corpus,
    network: SequenceOutput,
}

impl Plan {
    /// Reads features and captions and lays the network out.
    ///
    /// # Errors
    /// As [`Corpus::read`] and [`network`].
    pub fn new(settings: Settings) -> Result<Plan> {
        BeamConfig { beam: settings.val_beam, ..beam_config(&settings) }.validate()?;
        beam_config(&settings).validate()?;
        let corpus = Corpus::read(&settings)?;
        let network = network(&settings, &corpus.features.dims, corpus.language.subwords.len())?;
        Ok(Plan { settings, corpus, network })
    }
}

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let (s, Corpus { features, language, train, val, too_long, note, .. }) = (&self.settings, &self.corpus);
        let weights = Shape::<f32>::layout(&self.network).len();
        let vocab = language.subwords.len();
        let symbols: usize = train.iter().map(|(_, symbols)| symbols.len() + 1).sum();
        let longest = train.iter().map(|(_, symbols)| symbols.len() + 1).max().unwrap_or(0);
        let activations = s.batch * (longest * (2 * vocab + 20 * s.hidden) + 3 * features.row_len());
        let mut notes: Vec<String> = note.iter().cloned().collect();
        if *too_long > 0 {
            notes.push(format!("{too_long} captions of more than {} symbols are left out (--max-len)", s.max_len));
        }
        Facts {
            network: format!("{} {}x{}", s.cell.name(), s.layers, s.hidden),
            parameters: weights,
            data: format!(
                "{} captions to learn from, {} rows held out, {} features; {vocab} symbols, {} a caption on average",
                train.len(),
                val.len(),
                features.row_len(),
                symbols / train.len().max(1)
            ),
            targets: symbols,
            unit: "symbol",
            notes,
            memory: plan::memory(weights, s.batch, activations) + 4 * features.values.len(),
            json: json!({"captions": train.len(), "held_out": val.len(), "symbols": vocab, "too_long": too_long}),
            command: "elman predict",
        }
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        let task = Caption::new(&self.corpus, s)?;
        let threads = super::language_model::threads(s.threads);
        let mut trainer = Trainer::new(&self.network, task, s.train_config(), params, threads, folder)?;
        if resume {
            trainer.resume()?;
        }
        Ok(Box::new(trainer))
    }
}

/// A model of a file, ready to write.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: SequenceOutput,
    /// Its weights.
    pub params: Params<f32>,
    /// Its symbols.
    pub language: Language,
    /// How it was meant to search.
    pub decoding: BeamConfig,
    /// What made the features it learnt from, if that is known.
    pub encoder: Option<EncoderId>,
}

impl Model {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds none of this task, or one that contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Model> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let config = loaded.document.config();
        if config["task"] != NAME {
            return Err(wrong(format!("its task is {}, not {NAME}", config["task"])));
        }
        let language: Language = plan::part(loaded, "language")?;
        if !(1.0..1e6).contains(&language.max_ratio) {
            return Err(wrong(format!("`language.max_ratio` is {}", language.max_ratio)));
        }
        let sizes: SequenceOutputConfig = plan::part(loaded, "network")?;
        if sizes.decoder.vocab != language.subwords.len() {
            return Err(wrong(format!("its {} symbols do not fit its network", language.subwords.len())));
        }
        let decoding: BeamConfig = plan::part(loaded, "decoding")?;
        let network = SequenceOutput::new(sizes).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, Shape::<f32>::layout(&network))?;
        let encoder: Option<EncoderId> = plan::part(loaded, "encoder")?;
        Ok(Model { network, params, language, decoding, encoder })
    }

    /// Opens the encoder of this file for the model.
    ///
    /// # Errors
    /// As [`Encoder::open`]; [`Error::Data`] if it is another than the model was trained with, or of another width.
    pub fn open_encoder(&self, path: &Path) -> Result<Encoder> {
        let SequenceOutputConfig { features: width, places, .. } = *self.network.config();
        let wanted = match &self.encoder {
            None => Wanted::Fits { places, width },
            Some(id) => {
                let found = EncoderId::of_file(path)?;
                if !found.is_file_of(id) {
                    let reason = format!("is {found}, but the model was trained with {id}; give that one");
                    return Err(Error::Data { path: path.into(), reason });
                }
                Wanted::Named(&id.output)
            }
        };
        let encoder = Encoder::open(path, wanted)?;
        if encoder.dims() != (places, width) {
            let (p, w) = encoder.dims();
            let reason = format!("gives {p} x {w} values of a photograph; the model was trained on {places} x {width}");
            return Err(Error::Data { path: path.into(), reason });
        }
        Ok(encoder)
    }

    /// What is written for each row of features, the best first. Runs on the current thread pool.
    ///
    /// # Errors
    /// As [`search`].
    pub fn write(&self, features: &[&[f32]], config: &BeamConfig) -> Result<Vec<Vec<Written>>> {
        let mut prepared = SequenceOutputPrepared::default();
        self.network.prepare(&self.params, &mut prepared);
        let found = search(&self.network, &prepared, &self.language, features, config)?;
        found.into_iter().map(|found| self.language.written(found)).collect()
    }

    /// Checks that a matrix has rows of the width the model was trained on.
    ///
    /// # Errors
    /// [`Error::Data`] with both widths.
    pub fn fits(&self, features: &Matrix, path: &Path) -> Result<()> {
        let SequenceOutputConfig { features: width, places, .. } = *self.network.config();
        if (features.row_len(), features.width()) == (places * width, width) {
            return Ok(());
        }
        let reason = format!(
            "has rows {:?}; the model was trained on {places} of {width} values; was another encoder used?",
            &features.dims[1..]
        );
        Err(Error::Data { path: path.into(), reason })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::format::document::DocumentWriter;
    use crate::format::model;
    use crate::train::weights;

    const COLOURS: [&str; 3] = ["red", "green", "blue"];
    const FORMS: [&str; 3] = ["circle", "square", "star"];

    /// Pictures of two features each, one for the colour and one for the form, with two captions.
    fn scenes(rows: usize, seed: u64, places: usize) -> (Matrix, Vec<Described>) {
        let mut rng = Rng::new(seed, "scenes");
        let (mut values, mut described) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let (colour, form) = (rng.below(3), rng.below(3));
            for place in 0..places {
                let mut features = [0.0f32; 6];
                // In a map, colour and form stand at different places.
                if place == 0 {
                    features[colour] = 1.0;
                }
                if place == places - 1 {
                    features[3 + form] = 1.0;
                }
                values.extend(features);
            }
            let captions = vec![format!("There is a {} {}.", COLOURS[colour], FORMS[form])];
            described.push(Described { row, captions });
        }
        let dims = if places == 1 { vec![rows, 6] } else { vec![rows, places, 6] };
        (Matrix { dims, values }, described)
    }

    fn settings() -> Settings {
        Settings {
            hidden: 24,
            embedding: 16,
            dropout: 0.0,
            feature_dropout: 0.0,
            label_smoothing: 0.0,
            vocab_min: 1,
            batch: 16,
            lr: 0.01,
            average: 0.0,
            warmup: 10,
            epochs: 15.0,
            sample_every: 0,
            threads: 1,
            ..Settings::for_task(NAME).unwrap()
        }
    }

    #[test]
    fn scenes_are_described_from_a_vector_and_from_a_map() {
        for places in [1, 4] {
            let settings = settings();
            let (features, mut described) = scenes(300, 1, places);
            let val = described.split_off(250);
            let corpus = Corpus::of(features, &described, val, &settings).unwrap();
            let network = network(&settings, &corpus.features.dims, corpus.language.subwords.len()).unwrap();
            let params = network.init(settings.init.0, &mut Rng::new(1, "weights"));
            let task = Caption::new(&corpus, &settings).unwrap();
            let mut trainer = Trainer::new(&network, task, settings.train_config(), params, 1, None).unwrap();
            trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
            let params = trainer.params().clone();
            let Corpus { language, features, val, .. } = &corpus;
            let config = beam_config(&settings);
            let found = evaluate(&network, &params, language, features, val, &config).unwrap();
            assert!(found.bleu[3] > 99.0 && found.loss_nats < 0.05, "{places}: {:?}", found.bleu);
            assert_eq!(found.texts[3], val[3].captions[0].to_lowercase());

            let mut config = Caption::new(&corpus, &settings).unwrap().model_config(&network);
            config["kind"] = "model".into();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.safetensors");
            model::save(&path, &DocumentWriter { config, tensors: weights(&params) }).unwrap();
            let read = Model::from_file(&model::load(&path).unwrap()).unwrap();
            let again = evaluate(&read.network, &read.params, &read.language, features, val, &read.decoding).unwrap();
            assert_eq!(again.texts, found.texts);
            assert!(read.fits(features, &path).is_ok());
            let other = Matrix { dims: vec![2, 5], values: vec![0.0; 10] };
            assert!(read.fits(&other, &path).unwrap_err().to_string().contains("another encoder"));
        }
    }

    #[test]
    fn captions_are_read_by_split_and_wrong_lines_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.tsv");
        let features = Matrix { dims: vec![4, 1], values: vec![0.0; 4] };
        let lines = "0\ttrain\ta.jpg\t0\tA dog .\n0\ttrain\ta.jpg\t1\tIt runs .\n1\tdev\tb.jpg\t0\tA cat .\n";
        fs::write(&path, lines).unwrap();
        let train = read(&features, &path, "train").unwrap();
        assert_eq!(train, [Described { row: 0, captions: vec!["A dog .".into(), "It runs .".into()] }]);
        assert_eq!(read(&features, &path, "dev").unwrap()[0].row, 1);
        assert!(read(&features, &path, "test").unwrap_err().to_string().contains("split test"));
        assert!(read(&features, &path, "x").is_err());
        let message = |line: &str| {
            fs::write(&path, format!("{lines}{line}\n")).unwrap();
            read(&features, &path, "train").unwrap_err().to_string()
        };
        let error = message("4\ttrain\tc.jpg\t0\tA cow .");
        assert!(error.contains("line 4: there is no row 4; the features have 4"), "{error}");
        assert!(message("x\ttrain\tc.jpg\t0\tA cow .").contains("line 4: `x` is no number"));
        assert!(message("2\tholdout\tc.jpg\t0\tA cow .").contains("`holdout`"));
        assert!(message("2\ttrain\tc.jpg\t0\t ").contains("empty"));
        fs::write(&path, "0\ta dog\n1\ta cat\n").unwrap();
        assert_eq!(read(&features, &path, "test").unwrap().len(), 2);
        let settings = Settings { features: String::new(), ..settings() };
        assert!(Corpus::read(&settings).unwrap_err().to_string().contains("--features"));
    }
}
