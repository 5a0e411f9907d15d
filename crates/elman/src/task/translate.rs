//! A sequence becomes another: sentences and their translations, dates as they are written and as they are meant, words
//! and their phonemes. Reader: pairs of texts; shape: sequence I/O; measure: BLEU of what is written for held-out sources.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::{self, Facts};
use super::settings::Settings;
use crate::data::{Buckets, Pair, Subwords, SubwordsConfig, held_out, pairs};
use crate::decode::{BeamConfig, Hypothesis, Query, StepModel, Symbols, beam_search};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::metric::{Bleu, Chrf};
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{
    DecoderConfig, SequenceIo, SequenceIoBatch, SequenceIoConfig, SequenceIoPrepared, SequenceIoTape, Shape,
};
use crate::train::{Engine, RunFolder, Scores, Session, Task, Trainer, blocks};

/// The name in files and on the command line.
pub const NAME: &str = "translate";

/// Sequences searched or scored side by side.
const SIDE_BY_SIDE: usize = 32;
/// Symbols beyond the longest that training would lead to expect, before a search gives up.
const SPARE: usize = 5;

/// Texts to symbols and back, with what a search must know of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// Symbols of both sides.
    pub subwords: Subwords,
    /// Whether texts are lower-cased.
    pub lowercase: bool,
    /// The largest ratio of target to source length in training, the end counted on both sides.
    pub max_ratio: f64,
}

impl Language {
    /// Learns the symbols of texts.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn learn<'a>(texts: impl Iterator<Item = &'a str> + Send, settings: &Settings) -> Result<Self> {
        let Settings { units, vocab_size: size, vocab_min, lowercase, .. } = *settings;
        let config = SubwordsConfig { units, size, least: vocab_min as u64, lowercase };
        Ok(Language { subwords: Subwords::train(texts, &config)?, lowercase, max_ratio: 1.0 })
    }

    /// The symbols that are no content.
    fn symbols(&self) -> Symbols {
        let banned = vec![self.subwords.begin(), self.subwords.unknown()];
        Symbols { begin: self.subwords.begin(), end: self.subwords.end(), banned }
    }

    /// A source's symbols, with an end.
    ///
    /// # Errors
    /// If the text cannot be cut.
    pub fn source(&self, text: &str) -> Result<Vec<u32>> {
        let mut symbols = self.subwords.encode(text)?;
        symbols.push(self.subwords.end());
        Ok(symbols)
    }

    /// Hypotheses with their texts.
    pub(super) fn written(&self, found: Vec<Hypothesis>) -> Result<Vec<Written>> {
        let written = |hypothesis: Hypothesis| -> Result<Written> {
            Ok(Written { text: self.subwords.decode(&hypothesis.tokens)?, hypothesis })
        };
        found.into_iter().map(written).collect()
    }

    /// The text of the best hypothesis.
    pub(super) fn text(&self, found: &[Hypothesis]) -> Result<String> {
        found.first().map_or(Ok(String::new()), |best| self.subwords.decode(&best.tokens))
    }

    /// Symbols that what is written for a source of this length has at most.
    fn max_length(&self, source: usize) -> usize {
        (source as f64 * self.max_ratio).ceil() as usize + SPARE
    }
}

/// Pairs in symbols: sources with their end, targets without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairSymbols {
    /// What is read.
    pub sources: Vec<Vec<u32>>,
    /// What is to be written.
    pub targets: Vec<Vec<u32>>,
}

impl PairSymbols {
    /// Encodes pairs.
    ///
    /// # Errors
    /// If a text cannot be cut.
    pub fn new(pairs: &[Pair], language: &Language) -> Result<Self> {
        let sources = pairs.par_iter().map(|pair| language.source(&pair.source)).collect::<Result<_>>()?;
        let targets = pairs.par_iter().map(|pair| language.subwords.encode(&pair.target)).collect::<Result<_>>()?;
        Ok(PairSymbols { sources, targets })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Symbols of both sides of a pair.
    fn length(&self, pair: usize) -> usize {
        self.sources[pair].len() + self.targets[pair].len()
    }

    fn batch(&self, which: &[usize], language: &Language) -> SequenceIoBatch {
        let of = |texts: &'_ [Vec<u32>]| which.iter().map(|&i| texts[i].clone()).collect::<Vec<_>>();
        let (begin, end) = (language.subwords.begin(), language.subwords.end());
        SequenceIoBatch::new(&of(&self.sources), &of(&self.targets), begin, end)
    }

    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for text in self.sources.iter().chain(&self.targets) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            text.iter().for_each(|symbol| hasher.update(&symbol.to_le_bytes()));
        }
        hasher.finalize()
    }
}

/// Pairs to learn from and pairs held out.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The symbols.
    pub language: Language,
    /// What is trained on.
    pub train: PairSymbols,
    /// What is held out.
    pub val: PairSymbols,
    /// The texts held out.
    pub val_pairs: Vec<Pair>,
    /// Pairs left out of training, being longer than `--max-len`.
    pub too_long: usize,
}

/// The pairs that two files or one table hold.
///
/// # Errors
/// As [`pairs::read_parallel`] and [`pairs::read_table`]; one file without the other.
pub fn read(source: &str, target: &str, table: &str) -> Result<Vec<Pair>> {
    match (source.is_empty(), target.is_empty()) {
        (false, false) => pairs::read_parallel(Path::new(source), Path::new(target)),
        (true, true) if !table.is_empty() => pairs::read_table(Path::new(table), None),
        (true, true) => {
            let message = "give --source and --target, two files of as many lines, or one table of two columns";
            Err(Error::Usage(message.into()))
        }
        (is_missing, _) => {
            let (missing, given) = if is_missing { ("source", "target") } else { ("target", "source") };
            Err(Error::Usage(format!("--{given} is given without --{missing}; line by line they belong together")))
        }
    }
}

impl Corpus {
    /// Reads the pairs the settings name and learns their symbols.
    ///
    /// # Errors
    /// As [`read`], [`Corpus::of`] and [`held_out`].
    pub fn read(settings: &Settings) -> Result<Corpus> {
        let s = settings;
        let train = read(&s.source, &s.target, &s.file)?;
        let given = [&s.val_source, &s.val_target, &s.val].iter().any(|name| !name.is_empty());
        let path = if s.source.is_empty() { &s.file } else { &s.source };
        let (train, val) = if given {
            let val = read(&s.val_source, &s.val_target, &s.val);
            (train, val.map_err(name_the_held_out)?)
        } else {
            held_out(train, &s.hold_out(), Path::new(path))?
        };
        Self::of(&train, val, settings)
    }

    /// Learns the symbols of the training pairs and encodes all.
    ///
    /// # Errors
    /// If no training pair is left of at most `--max-len` symbols.
    pub fn of(train: &[Pair], val_pairs: Vec<Pair>, settings: &Settings) -> Result<Corpus> {
        let texts: Vec<&str> = train.iter().flat_map(|pair| [pair.source.as_str(), &pair.target]).collect();
        let mut language = Language::learn(texts.into_iter(), settings)?;
        let mut train = PairSymbols::new(train, &language)?;
        let (all, most) = (train.len(), if settings.max_len == 0 { usize::MAX } else { settings.max_len });
        let kept = |i: &usize| train.sources[*i].len() <= most && train.targets[*i].len() < most;
        let kept: Vec<usize> = (0..all).filter(kept).collect();
        if kept.is_empty() {
            let message = format!("every pair is longer than --max-len {most} symbols; give a higher one");
            return Err(Error::Usage(message));
        }
        let of = |texts: &mut Vec<Vec<u32>>| kept.iter().map(|&i| std::mem::take(&mut texts[i])).collect();
        train = PairSymbols { sources: of(&mut train.sources), targets: of(&mut train.targets) };
        let ratio = |(s, t): (&Vec<u32>, &Vec<u32>)| (t.len() + 1) as f64 / s.len() as f64;
        language.max_ratio = train.sources.iter().zip(&train.targets).map(ratio).fold(1.0, f64::max);
        let val = PairSymbols::new(&val_pairs, &language)?;
        Ok(Corpus { language, too_long: all - train.len(), train, val, val_pairs })
    }
}

/// The flags of held-out files in a message about the ones of training.
fn name_the_held_out(error: Error) -> Error {
    match error {
        Error::Usage(message) => {
            Error::Usage(message.replace("--source", "--val-source").replace("--target", "--val-target"))
        }
        error => error,
    }
}

/// The network the settings ask for, with `vocab` symbols on both sides.
///
/// # Errors
/// [`Error::Usage`] with the flag to change.
pub fn network(settings: &Settings, vocab: usize) -> Result<SequenceIo> {
    let s = settings;
    let hidden = if s.encoder_hidden > 0 { s.encoder_hidden } else { s.hidden.div_ceil(2) };
    SequenceIo::new(SequenceIoConfig {
        cell: s.cell,
        source_vocab: vocab,
        shared_embedding: true,
        layers: s.layers,
        hidden,
        bidirectional: s.bidirectional,
        decoder: decoder(settings, vocab),
    })
}

/// The decoder the settings ask for, with attention.
pub(super) fn decoder(settings: &Settings, vocab: usize) -> DecoderConfig {
    let s = settings;
    DecoderConfig {
        cell: s.cell,
        vocab,
        embedding: if s.embedding > 0 { s.embedding } else { s.hidden },
        hidden: s.hidden,
        layers: s.layers,
        upper_layers: s.upper_layers,
        attention: Some(s.attention),
        attention_hidden: s.hidden,
        tied: s.tied,
        dropout: s.dropout,
        locked_dropout: s.locked_dropout,
        label_smoothing: s.label_smoothing,
    }
}

/// How the settings search.
pub(super) fn beam_config(settings: &Settings) -> BeamConfig {
    let s = settings;
    BeamConfig {
        beam: s.beam,
        length_penalty: s.length_penalty,
        coverage_penalty: s.coverage_penalty,
        no_repeat_ngram: s.no_repeat_ngram,
        ..BeamConfig::default()
    }
}

/// The best that follows from each source, in their order. Runs on the current thread pool; neither threads nor what else
/// is asked change an answer.
///
/// # Errors
/// As [`beam_search`].
pub fn search(
    network: &SequenceIo,
    prepared: &SequenceIoPrepared<f32>,
    language: &Language,
    sources: &[Vec<u32>],
    config: &BeamConfig,
) -> Result<Vec<Vec<Hypothesis>>> {
    let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
    let stepper = |part: &[usize]| {
        let sources: Vec<&Vec<u32>> = part.iter().map(|&i| &sources[i]).collect();
        network.stepper(prepared, &sources)
    };
    search_with(stepper, language, &lengths, config)
}

/// [`search`] for sources of these lengths; `stepper` starts to write for some of them.
pub(super) fn search_with<M: StepModel>(
    stepper: impl Fn(&[usize]) -> M + Sync,
    language: &Language,
    lengths: &[usize],
    config: &BeamConfig,
) -> Result<Vec<Vec<Hypothesis>>> {
    config.validate()?;
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let symbols = language.symbols();
    let part = |part: &[usize]| {
        let max_length = |&i: &usize| language.max_length(lengths[i]).max(config.min_length);
        let query = |i| Query { prefix: Vec::new(), max_length: max_length(i) };
        let queries: Vec<Query> = part.iter().map(query).collect();
        beam_search(&mut stepper(part), &queries, &symbols, config)
    };
    let parts: Vec<_> = order.par_chunks(SIDE_BY_SIDE).map(part).collect::<Result<_>>()?;
    let mut found = vec![Vec::new(); lengths.len()];
    for (hypotheses, &i) in parts.into_iter().flatten().zip(&order) {
        found[i] = hypotheses;
    }
    Ok(found)
}

/// The mean loss of pairs in nats per symbol with teacher forcing, the ends of targets counted.
pub fn loss_nats(
    network: &SequenceIo,
    params: &Params<f32>,
    prepared: &SequenceIoPrepared<f32>,
    language: &Language,
    pairs: &PairSymbols,
) -> f64 {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(pairs.length(i)));
    let parts: Vec<(f64, usize)> = order
        .par_chunks(SIDE_BY_SIDE)
        .map_init(SequenceIoTape::default, |tape, part| {
            let batch = pairs.batch(part, language);
            (network.loss(params, prepared, &batch, &mut (), tape), batch.targets.targets.len())
        })
        .collect();
    let (nats, symbols) = parts.iter().fold((0.0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    nats / symbols.max(1) as f64
}

/// What a model makes of pairs.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Mean loss with teacher forcing, nats per symbol.
    pub loss_nats: f64,
    /// BLEU of what is written, 0 to 100, as sacreBLEU's.
    pub bleu: f64,
    /// The line that says how BLEU was made.
    pub signature: String,
    /// chrF of it, 0 to 100.
    pub chrf: f64,
    /// Share of targets written exactly.
    pub exact: f64,
    /// What is written for each source.
    pub texts: Vec<String>,
}

/// Writes for every source and compares with the targets. Runs on the current thread pool.
///
/// # Errors
/// As [`search`].
pub fn evaluate(
    network: &SequenceIo,
    params: &Params<f32>,
    language: &Language,
    pairs: &[Pair],
    symbols: &PairSymbols,
    config: &BeamConfig,
) -> Result<Evaluation> {
    let mut prepared = SequenceIoPrepared::default();
    network.prepare(params, &mut prepared);
    let loss_nats = loss_nats(network, params, &prepared, language, symbols);
    let config = BeamConfig { nbest: 1, ..config.clone() };
    let found = search(network, &prepared, language, &symbols.sources, &config)?;
    let texts: Vec<String> = found.iter().map(|found| language.text(found)).collect::<Result<_>>()?;
    let references: Vec<Vec<&str>> = pairs.iter().map(|pair| vec![pair.target.as_str()]).collect();
    let bleu = Bleu { lowercase: language.lowercase, ..Bleu::default() };
    let same =
        |text: &str, target: &str| if language.lowercase { text == target.to_lowercase() } else { text == target };
    let exact = texts.iter().zip(pairs).filter(|(text, pair)| same(text, &pair.target)).count();
    Ok(Evaluation {
        loss_nats,
        bleu: bleu.corpus(&texts, &references)?.bleu,
        signature: bleu.signature(&references),
        chrf: Chrf { lowercase: language.lowercase }.corpus(&texts, &references)?,
        exact: exact as f64 / pairs.len().max(1) as f64,
        texts,
    })
}

/// The task: batches of pairs of like length, judged by what is written for held-out sources.
#[derive(Debug)]
pub struct Translate<'c> {
    corpus: &'c Corpus,
    settings: Settings,
    buckets: Buckets,
    blocks: usize,
}

impl<'c> Translate<'c> {
    /// The task of these settings on a corpus.
    ///
    /// # Errors
    /// If there is no pair.
    pub fn new(corpus: &'c Corpus, settings: &Settings) -> Result<Self> {
        let lengths = (0..corpus.train.len()).map(|i| corpus.train.length(i)).collect();
        let buckets = Buckets::new(lengths, settings.batch, settings.seed)?;
        let blocks = blocks(buckets.batch()).len();
        Ok(Translate { corpus, settings: settings.clone(), buckets, blocks })
    }
}

impl Task<SequenceIo> for Translate<'_> {
    fn initial_states(&self) -> Vec<()> {
        vec![(); self.blocks]
    }

    fn next_batch(&mut self, _: u64, batches: &mut Vec<SequenceIoBatch>, _: &mut dyn Iterator<Item = &mut ()>) {
        let (examples, corpus) = (self.buckets.next_batch(), self.corpus);
        batches.clear();
        // Dealt like cards, so that blocks take like times.
        batches.extend((0..self.blocks).map(|block| {
            let part: Vec<usize> = examples.iter().copied().skip(block).step_by(self.blocks).collect();
            corpus.train.batch(&part, &corpus.language)
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
        let Corpus { train, val, .. } = self.corpus;
        json!({"pairs": [train.len(), val.len()], "crc32": [train.checksum(), val.checksum()]})
    }

    fn validate(
        &mut self,
        network: &SequenceIo,
        params: &Params<f32>,
        engine: &Engine<f32, SequenceIo>,
    ) -> Result<Scores> {
        let Corpus { language, val, val_pairs, .. } = self.corpus;
        let config = BeamConfig { beam: self.settings.val_beam, ..beam_config(&self.settings) };
        let result = engine.install(|| evaluate(network, params, language, val_pairs, val, &config))?;
        let values = [("val_bleu", result.bleu), ("val_nats", result.loss_nats), ("val_exact", result.exact)];
        let values = values.map(|(name, value)| (name.to_string(), value)).to_vec();
        Ok(Scores { values, higher_is_better: true })
    }

    fn sample(&mut self, network: &SequenceIo, params: &Params<f32>, step: u64) -> Result<Option<String>> {
        let Corpus { language, val, val_pairs, .. } = self.corpus;
        if val.is_empty() {
            return Ok(None);
        }
        let i = Rng::for_step(self.settings.seed, "sample", step, 0).below(val.len());
        let mut prepared = SequenceIoPrepared::default();
        network.prepare(params, &mut prepared);
        let found = search(network, &prepared, language, &val.sources[i..=i], &BeamConfig::greedy())?;
        let text = language.text(&found[0])?;
        let Pair { source, target } = &val_pairs[i];
        Ok(Some(format!("source: {source}\nwritten: {text}\nright: {target}")))
    }

    fn model_config(&self, network: &SequenceIo) -> Value {
        json!({
            "task": NAME,
            "shape": "sequence-io",
            "network": network.config(),
            "language": self.corpus.language,
            "decoding": beam_config(&self.settings),
        })
    }
}

/// Everything of a run before its first update.
pub struct Plan {
    settings: Settings,
    corpus: Corpus,
    network: SequenceIo,
}

impl Plan {
    /// Reads the pairs and lays the network out.
    ///
    /// # Errors
    /// As [`Corpus::read`] and [`network`].
    pub fn new(settings: Settings) -> Result<Plan> {
        BeamConfig { beam: settings.val_beam, ..beam_config(&settings) }.validate()?;
        beam_config(&settings).validate()?;
        let corpus = Corpus::read(&settings)?;
        let network = network(&settings, corpus.language.subwords.len())?;
        Ok(Plan { settings, corpus, network })
    }
}

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let (s, Corpus { language, train, val, too_long, .. }) = (&self.settings, &self.corpus);
        let weights = Shape::<f32>::layout(&self.network).len();
        let vocab = language.subwords.len();
        let symbols: usize = train.targets.iter().map(|target| target.len() + 1).sum();
        let longest = (0..train.len()).map(|i| train.length(i)).max().unwrap_or(0);
        let activations = s.batch * longest * (2 * vocab + 30 * s.hidden);
        let notes = if *too_long > 0 {
            vec![format!("{too_long} pairs of more than {} symbols are left out (--max-len)", s.max_len)]
        } else {
            Vec::new()
        };
        Facts {
            network: format!("{} encoder {}, decoder {}", s.cell.name(), self.network.config().hidden, s.hidden),
            parameters: weights,
            data: format!(
                "{} pairs to learn from, {} held out; {vocab} symbols, {} a target on average",
                train.len(),
                val.len(),
                symbols / train.len().max(1)
            ),
            targets: symbols,
            unit: "symbol",
            notes,
            memory: plan::memory(weights, s.batch, activations),
            json: json!({"pairs": [train.len(), val.len()], "symbols": vocab, "too_long": too_long}),
            command: "elman predict",
        }
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        let task = Translate::new(&self.corpus, s)?;
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
    pub network: SequenceIo,
    /// Its weights.
    pub params: Params<f32>,
    /// Its symbols.
    pub language: Language,
    /// How it was meant to search.
    pub decoding: BeamConfig,
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
        let sizes: SequenceIoConfig = plan::part(loaded, "network")?;
        if sizes.source_vocab != language.subwords.len() || sizes.decoder.vocab != language.subwords.len() {
            return Err(wrong(format!("its {} symbols do not fit its network", language.subwords.len())));
        }
        let decoding: BeamConfig = plan::part(loaded, "decoding")?;
        let network = SequenceIo::new(sizes).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, Shape::<f32>::layout(&network))?;
        Ok(Model { network, params, language, decoding })
    }

    /// Prepares the weights, to write many times.
    pub fn writer(&self) -> Writer<'_> {
        let mut prepared = SequenceIoPrepared::default();
        self.network.prepare(&self.params, &mut prepared);
        Writer { model: self, prepared }
    }
}

/// A model whose weights are ready.
pub struct Writer<'m> {
    model: &'m Model,
    prepared: SequenceIoPrepared<f32>,
}

impl Writer<'_> {
    /// What is written for each text, the best first.
    ///
    /// # Errors
    /// As [`search`].
    pub fn write(&self, texts: &[&str], config: &BeamConfig) -> Result<Vec<Vec<Written>>> {
        let Model { network, language, .. } = self.model;
        let sources: Vec<Vec<u32>> = texts.iter().map(|text| language.source(text)).collect::<Result<_>>()?;
        let found = search(network, &self.prepared, language, &sources, config)?;
        found.into_iter().map(|found| language.written(found)).collect()
    }
}

/// A text that was written, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Its symbols, log-probability and score.
    pub hypothesis: Hypothesis,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::data::Units;
    use crate::format::document::DocumentWriter;
    use crate::format::model;
    use crate::train::weights;

    /// Digits and their names in another order: `4 7` becomes `seven four`.
    fn pairs(n: usize, seed: u64) -> Vec<Pair> {
        const NAMES: [&str; 6] = ["zero", "one", "two", "three", "four", "five"];
        let mut rng = Rng::new(seed, "pairs");
        let pair = |_| {
            let digits: Vec<usize> = (0..1 + rng.below(4)).map(|_| rng.below(6)).collect();
            let source: Vec<String> = digits.iter().map(usize::to_string).collect();
            let target: Vec<&str> = digits.iter().rev().map(|&digit| NAMES[digit]).collect();
            Pair { source: source.join(" "), target: target.join(" ") }
        };
        (0..n).map(pair).collect()
    }

    fn settings() -> Settings {
        Settings {
            hidden: 32,
            encoder_hidden: 16,
            embedding: 24,
            dropout: 0.0,
            label_smoothing: 0.05,
            units: Units::Word,
            vocab_min: 1,
            batch: 32,
            lr: 0.01,
            average: 0.0,
            warmup: 10,
            epochs: 25.0,
            sample_every: 0,
            threads: 1,
            ..Settings::for_task(NAME).unwrap()
        }
    }

    fn trained(settings: &Settings, corpus: &Corpus) -> (SequenceIo, Params<f32>) {
        let network = network(settings, corpus.language.subwords.len()).unwrap();
        let params = network.init(settings.init.0, &mut Rng::new(1, "weights"));
        let task = Translate::new(corpus, settings).unwrap();
        let mut trainer = Trainer::new(&network, task, settings.train_config(), params, 1, None).unwrap();
        trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
        let params = trainer.params().clone();
        drop(trainer);
        (network, params)
    }

    #[test]
    fn a_small_language_is_learnt_and_a_model_file_writes_as_the_network_did() {
        let settings = settings();
        let corpus = Corpus::of(&pairs(600, 1), pairs(100, 2), &settings).unwrap();
        let (network, params) = trained(&settings, &corpus);
        let Corpus { language, val, val_pairs, .. } = &corpus;
        let config = beam_config(&settings);
        let found = evaluate(&network, &params, language, val_pairs, val, &config).unwrap();
        assert!(found.exact > 0.9 && found.bleu > 90.0, "{} {}", found.exact, found.bleu);
        assert!(found.loss_nats < 0.3 && found.chrf > 90.0, "{}", found.loss_nats);

        let mut config = Translate::new(&corpus, &settings).unwrap().model_config(&network);
        config["kind"] = "model".into();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        model::save(&path, &DocumentWriter { config, tensors: weights(&params) }).unwrap();
        let read = Model::from_file(&model::load(&path).unwrap()).unwrap();
        assert_eq!(read.decoding, beam_config(&settings));
        let sources: Vec<&str> = val_pairs.iter().map(|pair| pair.source.as_str()).collect();
        let writer = read.writer();
        let written = writer.write(&sources, &read.decoding).unwrap();
        let texts: Vec<String> = written.iter().map(|best| best[0].text.clone()).collect();
        assert_eq!(texts, found.texts);
        // Alone as among others.
        let alone = writer.write(&sources[7..8], &read.decoding).unwrap();
        assert_eq!(alone[0], written[7]);
        // A symbol never seen is read as the unknown one.
        assert_eq!(writer.write(&["3 犬"], &read.decoding).unwrap().len(), 1);
    }

    #[test]
    fn reading_goes_on_from_a_saved_position() {
        let settings = settings();
        let corpus = Corpus::of(&pairs(100, 1), pairs(5, 2), &settings).unwrap();
        let mut whole = Translate::new(&corpus, &settings).unwrap();
        let next = |task: &mut Translate| {
            let mut batches = Vec::new();
            task.next_batch(0, &mut batches, &mut std::iter::empty());
            batches.iter().flat_map(|b: &SequenceIoBatch| b.sources.tokens.clone()).collect::<Vec<_>>()
        };
        (0..4).for_each(|_| drop(next(&mut whole)));
        let mut part = Translate::new(&corpus, &settings).unwrap();
        part.seek(&whole.position()).unwrap();
        for _ in 0..5 {
            assert_eq!(next(&mut part), next(&mut whole));
        }
        assert_ne!(
            whole.fingerprint(),
            Translate::new(&Corpus::of(&pairs(100, 3), pairs(5, 2), &settings).unwrap(), &settings)
                .unwrap()
                .fingerprint()
        );
    }

    #[test]
    fn wrong_input_is_refused_with_the_flag_to_change() {
        let message = |source: &str, target: &str, table: &str| read(source, target, table).unwrap_err().to_string();
        assert!(message("a.en", "", "").contains("--source is given without --target"));
        assert!(message("", "a.fr", "").contains("--target is given without --source"));
        assert!(message("", "", "").contains("--source and --target"));
        let long = Settings { max_len: 1, ..settings() };
        let error = Corpus::of(&pairs(20, 1), pairs(2, 2), &long).unwrap_err().to_string();
        assert!(error.contains("--max-len 1"), "{error}");
        let some = Settings { max_len: 4, ..settings() };
        let corpus = Corpus::of(&pairs(50, 1), pairs(2, 2), &some).unwrap();
        assert!(corpus.too_long > 0 && corpus.train.len() + corpus.too_long == 50);
        assert!(Plan::new(Settings { beam: 0, ..settings() }).is_err());
    }
}
