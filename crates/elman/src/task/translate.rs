//! A sequence becomes another: sentences and their translations, dates as they are written and as they are meant, words
//! and their phonemes. Reader: pairs of texts; shape: sequence I/O; measure: BLEU of what is written for held-out sources.

mod corpus;
mod model;

use serde_json::{Value, json};

use super::plan::{self, Facts};
use super::settings::Settings;
use super::writing::{beam_config, decoder, own_probability, spread, val_beam_config};
use crate::data::{Buckets, Pair, SubwordDropout, Units};
use crate::decode::BeamConfig;
use crate::error::{Error, Result};
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{SequenceIo, SequenceIoBatch, SequenceIoConfig, Shape};
use crate::train::{Engine, RunFolder, Scores, Session, Task, Trainer, blocks};

pub use self::corpus::{Corpus, PairSymbols, read};
pub use self::model::{Model, Writer};
pub use super::writing::{Language, MAX_SOURCE, Written};

/// The name in files and on the command line.
pub const NAME: &str = "translate";

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

/// The task: batches of pairs of like length, judged by what is written for held-out sources.
#[derive(Debug)]
pub struct Translate<'c> {
    corpus: &'c Corpus,
    settings: Settings,
    buckets: Buckets,
    blocks: usize,
    /// How texts are cut in training, if not always alike.
    subword_dropout: Option<SubwordDropout>,
    /// The held-out pairs that are looked at while training.
    judged: (Vec<Pair>, PairSymbols),
}

impl<'c> Translate<'c> {
    /// The task of these settings on a corpus.
    ///
    /// # Errors
    /// If there is no pair, or the symbols cannot be cut as the settings say.
    pub fn new(corpus: &'c Corpus, settings: &Settings) -> Result<Self> {
        let lengths = (0..corpus.train.len()).map(|i| corpus.train.length(i)).collect();
        let buckets = Buckets::new(lengths, settings.batch, settings.seed)?;
        let blocks = blocks(buckets.batch()).len();
        let which: Vec<usize> = spread(corpus.val.len(), settings.val_limit).collect();
        let judged = (which.iter().map(|&i| corpus.val_pairs[i].clone()).collect(), corpus.val.select(&which));
        let Settings { subword_dropout, units, .. } = *settings;
        let subword_dropout = (units == Units::Subword && subword_dropout > 0.0)
            .then(|| SubwordDropout::new(&corpus.language.subwords, subword_dropout))
            .transpose()?;
        Ok(Translate { corpus, settings: settings.clone(), buckets, blocks, subword_dropout, judged })
    }

    /// The pairs of a block, cut and blotted out as the settings say.
    fn block(&self, which: &[usize], index: u64, block: u64) -> SequenceIoBatch {
        let Corpus { train, language, .. } = self.corpus;
        let Settings { seed, word_dropout, .. } = self.settings;
        let mut pairs = train.select(which);
        if let Some(dropout) = &self.subword_dropout {
            let mut rng = Rng::for_step(seed, "subword dropout", index, block);
            let texts = pairs.sources.iter_mut().chain(&mut pairs.targets);
            texts.for_each(|text| *text = dropout.cut(text, &mut rng));
        }
        let mut batch = pairs.all(language);
        if word_dropout > 0.0 {
            let mut rng = Rng::for_step(seed, "word dropout", index, block);
            // What is to be written stays, and so do begin and end.
            let read = batch.sources.tokens.iter_mut().chain(&mut batch.targets.inputs);
            let dropped = read.filter(|symbol| **symbol < language.subwords.begin() && rng.uniform() < word_dropout);
            dropped.for_each(|symbol| *symbol = language.subwords.unknown());
        }
        batch
    }
}

impl Task<SequenceIo> for Translate<'_> {
    fn initial_states(&self) -> Vec<()> {
        vec![(); self.blocks]
    }

    fn next_batch(&mut self, index: u64, batches: &mut Vec<SequenceIoBatch>, _: &mut dyn Iterator<Item = &mut ()>) {
        let own = own_probability(&self.settings, self.buckets.epochs(), index);
        let examples = self.buckets.next_batch().to_vec();
        batches.clear();
        // Dealt like cards, so that blocks take like times.
        batches.extend((0..self.blocks).map(|block| {
            let part: Vec<usize> = examples.iter().copied().skip(block).step_by(self.blocks).collect();
            let mut batch = self.block(&part, index, block as u64);
            if own > 0.0 {
                let mut rng = Rng::for_step(self.settings.seed, "scheduled sampling", index, block as u64);
                batch.targets.read_own(own, &mut rng);
            }
            batch
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
        let (config, (pairs, symbols)) = (val_beam_config(&self.settings), &self.judged);
        let writer = Writer::new(network, params, &self.corpus.language);
        let result = engine.install(|| writer.evaluate(pairs, symbols, &config))?;
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
        let writer = Writer::new(network, params, language);
        let found = writer.search(&val.sources[i..=i], &BeamConfig::greedy())?;
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
        val_beam_config(&settings).validate()?;
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
            unit: language.subwords.unit(),
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
        let found = Writer::new(&network, &params, language).evaluate(val_pairs, val, &config).unwrap();
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
