//! A sequence becomes another: sentences and their translations, dates in words and in numbers, words and their phonemes.
//! Reader: pairs of texts; shape: sequence I/O; measure: BLEU on the validation sources.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::model::wrong_input;
use super::row::{base, planned, size};
use super::writing::{
    self, Asked, Batch, Corpus, Example, Given, MAX_SOURCE, Model, Network, Pairs, Tokenizer, Writing, decoder,
    tokenizer,
};
use super::{Callback, Evaluate, Evaluation, Input, Measure, Predict, Reads, Source, Task, Unit, grouped};
use crate::cell::CellKind;
use crate::data::{Pair, SubwordDropout, Units, builtin, pairs, train_val_split};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::layer::AttentionKind;
use crate::metric::{Bleu, Chrf};
use crate::rng::Rng;
use crate::settings::{Data, Settings};
use crate::shape::{SequenceIo, SequenceIoConfig};

/// The row of the table.
#[rustfmt::skip]
pub const TASK: Task = Task {
    name: "translate",
    about: "Learns to write a text for a text: a translation, a date in another form, the phonemes of a word.",
    command: "predict",
    reads: &[
        "file", "source_column", "target_column", "header", "encoding", "skip_bad", "source", "target", "val", "val_source", "val_target", "cell", "forget_bias", "layers", "hidden", "embedding", "tied",
        "bidirectional", "encoder_hidden", "attention", "upper_layers", "conditional", "locked_dropout",
        "label_smoothing", "scheduled_sampling", "init", "units", "lowercase", "vocab_size", "vocab_min", "max_len",
        "word_dropout", "subword_dropout", "folds", "fold", "beam", "val_beam", "val_limit",
        "length_penalty", "coverage_penalty", "no_repeat_ngram",
    ],
    sizes: &[
        size("cell", "/network/cell"),
        size("layers", "/network/layers"),
        size("bidirectional", "/network/bidirectional"),
        size("encoder_hidden", "/network/hidden"),
        size("hidden", "/network/decoder/hidden"),
        size("embedding", "/network/decoder/embedding"),
        size("upper_layers", "/network/decoder/upper_layers"),
        size("conditional", "/network/decoder/conditional"),
        size("attention", "/network/decoder/attention"),
        size("tied", "/network/decoder/tied"),
        size("units", "/language/subwords/tokenizer"),
        size("lowercase", "/language/lowercase"),
    ],
    data: &KEYS,
    eval_data: &KEYS,
    evaluate: &["beam", "length_penalty", "coverage_penalty", "no_repeat_ngram", "min_length", "ensemble"],
    predict: &[
        "nbest", "attention", "beam", "length_penalty", "coverage_penalty", "no_repeat_ngram", "min_length",
        "ensemble", "scores", "source",
    ],
    defaults,
    plan: planned(writing::plan::<Translate>),
    open: writing::open::<Translate>,
};

/// The settings that name training data: two files, or one table.
const KEYS: [&str; 3] = ["source", "target", "file"];
/// The same of validation data.
const VAL_KEYS: [&str; 3] = ["val_source", "val_target", "val"];
/// Pairs that are made where none are given.
const MADE: usize = 6000;
/// Pairs that a model of these is evaluated on where nothing else is named.
const SHOWN: usize = 300;

fn defaults(data: Data) -> Settings {
    let given = Settings {
        cell: CellKind::Gru,
        hidden: 384,
        encoder_hidden: 256,
        embedding: 256,
        tied: true,
        bidirectional: true,
        attention: AttentionKind::Additive,
        conditional: true,
        dropout: 0.3,
        label_smoothing: 0.1,
        vocab_size: 6000,
        max_len: 100,
        batch: 64,
        lr: 0.0015,
        beta2: 0.98,
        weight_decay: 0.01,
        ema_decay: 0.999,
        warmup: 300,
        sample_every: 1,
        ..base(TASK.name)
    };
    match data {
        Data::Given => given,
        Data::Builtin => Settings {
            hidden: 128,
            encoder_hidden: 96,
            embedding: 96,
            units: Units::Word,
            vocab_min: 1,
            dropout: 0.1,
            label_smoothing: 0.0,
            val_frac: 0.05,
            lr: 0.004,
            ema_decay: 0.99,
            warmup: 50,
            epochs: 6.0,
            ..given
        },
    }
}

/// How training varies its pairs; a model does not.
#[derive(Clone, Debug, Default)]
pub(super) struct Translate {
    subword_dropout: Option<SubwordDropout>,
    word_dropout: f64,
}

/// The pairs that two files or one table hold, with what was decided in reading them, which the settings of these names give: source, target, table.
fn read(settings: &Settings, [source, target, table]: [&str; 3]) -> Result<(Vec<Pair>, Vec<String>)> {
    let [sources, targets, pairs] = [source, target, table].map(|key| settings.get(key));
    match [&sources, &targets, &pairs].map(|path| path.is_empty()) {
        [false, false, true] => {
            let columns = ["source_column", "target_column", "header"];
            TASK.check_default(settings, &columns, "is only read for a table of pairs, and these are two files")?;
            let read = pairs::read_parallel(Path::new(&sources), Path::new(&targets), settings.encoding())?;
            Ok((read, Vec::new()))
        }
        [true, true, false] => {
            let columns = [settings.source_column.as_str(), &settings.target_column];
            pairs::read_table(Path::new(&pairs), columns, settings.form())
        }
        [true, true, true] => Err(Error::Usage(format!(
            "give `{source}` and `{target}`, two files of as many lines, or `{table}`, a table of two columns"
        ))),
        [_, _, false] => {
            let requirement =
                format!("is a table of pairs, which `{source}` and `{target}` give too; leave out one of both");
            Err(Error::setting(table, pairs, requirement))
        }
        [false, ..] => Err(Error::setting(source, sources, format!("needs `{target}`, its translation line by line"))),
        _ => Err(Error::setting(target, targets, format!("needs `{source}`, which it translates line by line"))),
    }
}

/// Pairs as examples, their sources numbered from `first`.
fn examples(pairs: Vec<Pair>, first: usize) -> Vec<Example> {
    let example = |(source, pair): (usize, Pair)| Example { name: pair.source, source, targets: vec![pair.target] };
    (first..).zip(pairs).map(example).collect()
}

/// The tokens of each source.
fn sources<'a>(texts: impl Iterator<Item = &'a Example>, tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>> {
    let texts: Vec<&str> = texts.map(|example| example.name.as_str()).collect();
    texts.par_iter().map(|text| tokenizer.source(text)).collect()
}

/// Of the sources and targets of pairs.
fn checksum(sources: &[Vec<u32>], targets: &[(usize, Vec<u32>)]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let sources = targets.iter().map(|(source, _)| &sources[*source]);
    for text in sources.chain(targets.iter().map(|(_, target)| target)) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        text.iter().for_each(|token| hasher.update(&token.to_le_bytes()));
    }
    hasher.finalize()
}

/// Learns the tokens of the training pairs.
fn corpus(train: Vec<Pair>, val: Vec<Pair>, settings: &Settings) -> Result<Corpus<Translate>> {
    let Settings { subword_dropout: p, word_dropout, .. } = *settings;
    let texts: Vec<&str> = train.iter().flat_map(|pair| [pair.source.as_str(), &pair.target]).collect();
    let tokenizer = tokenizer(texts.into_iter(), settings)?;
    let subword_dropout = (p > 0.0).then(|| SubwordDropout::new(&tokenizer.subwords, p)).transpose()?;
    let (first, train) = (train.len(), examples(train, 0));
    let val = examples(val, first);
    let sources = sources(train.iter().chain(&val), &tokenizer)?;
    Corpus::new(Translate { subword_dropout, word_dropout }, tokenizer, sources, (&train, val), settings)
}

impl Writing for Translate {
    const NAME: &'static str = TASK.name;
    const SHAPE: &'static str = "sequence-io";
    const EXAMPLE: &'static str = "pair";
    const EXAMPLES: &'static str = "pairs";
    /// The longest target in a thousand may be a mistake in the data.
    const USUAL: f64 = 0.999;
    const READS: Reads = Reads::Texts;
    type Network = SequenceIo;
    type Sources = Vec<Vec<u32>>;

    fn corpus(settings: &Settings, _: &mut Callback) -> Result<Corpus<Self>> {
        let s = settings;
        if s.subword_dropout > 0.0 && s.units != Units::Subword {
            let requirement = "is only read with `units = subword`";
            return Err(Error::setting("subword_dropout", s.subword_dropout, requirement));
        }
        let is_given = |keys: [&str; 3]| keys.iter().any(|key| !s.get(key).is_empty());
        let (train, notes) =
            if is_given(KEYS) { read(s, KEYS)? } else { (builtin::numerals(s.seed, MADE), Vec::new()) };
        if is_given(VAL_KEYS) {
            return Ok(Corpus { notes, ..corpus(train, read(s, VAL_KEYS)?.0, s)? });
        }
        let path = [&s.source, &s.file].into_iter().find(|path| !path.is_empty());
        let path = path.map_or("the built-in numbers and dates", String::as_str);
        let (train, val) = train_val_split(train, &s.hold_out(), Path::new(path))?;
        Ok(Corpus { notes, ..corpus(train, val, s)? })
    }

    fn network(settings: &Settings, corpus: &Corpus<Self>) -> Result<SequenceIo> {
        let (s, vocab) = (settings, corpus.tokenizer.subwords.len());
        SequenceIo::new(SequenceIoConfig {
            cell: s.cell,
            source_vocab: vocab,
            shared_embedding: true,
            layers: s.layers,
            hidden: if s.encoder_hidden > 0 { s.encoder_hidden } else { s.hidden.div_ceil(2) },
            bidirectional: s.bidirectional,
            decoder: decoder(s, vocab),
        })
    }

    fn in_words(settings: &Settings, corpus: &Corpus<Self>, network: &SequenceIo) -> [String; 2] {
        let (cell, encoder, decoder) = (settings.cell.name(), network.config().hidden, settings.hidden);
        let [train, val] = [corpus.train.len(), corpus.val.len()].map(grouped);
        [
            format!("{cell} encoder {encoder}, decoder {decoder}"),
            format!("{train} training pairs, {val} validation pairs"),
        ]
    }

    fn activations(settings: &Settings, corpus: &Corpus<Self>, longest: usize) -> usize {
        settings.batch * longest * (2 * corpus.tokenizer.subwords.len() + 30 * settings.hidden)
    }

    fn fingerprint(corpus: &Corpus<Self>) -> Result<Value> {
        let Corpus { tokenizer, sources, train, val, .. } = corpus;
        let crc32 = [checksum(sources, train), checksum(sources, &tokenizer.targets(val)?)];
        Ok(json!({"pairs": [train.len(), val.len()], "crc32": crc32}))
    }

    fn block(&self, pairs: Pairs<Self>, tokenizer: &Tokenizer, rng: impl Fn(&str) -> Rng) -> Batch<Self> {
        let mut batch = match &self.subword_dropout {
            None => SequenceIo::batch(&pairs.0, &pairs.1, tokenizer),
            Some(dropout) => {
                let mut rng = rng("subword dropout");
                let texts: Vec<Vec<u32>> =
                    pairs.0.iter().chain(&pairs.1).map(|text| dropout.cut(text, &mut rng)).collect();
                let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
                let (sources, targets) = texts.split_at(pairs.0.len());
                SequenceIo::batch(sources, targets, tokenizer)
            }
        };
        if self.word_dropout > 0.0 {
            let (mut rng, subwords) = (rng("word dropout"), &tokenizer.subwords);
            // The targets stay, and so do BOS and EOS.
            let read = batch.sources.tokens.iter_mut().chain(&mut batch.targets.inputs);
            let dropped = read.filter(|token| **token < subwords.bos() && rng.uniform() < self.word_dropout);
            dropped.for_each(|token| *token = subwords.unk());
        }
        batch
    }

    fn validated(_: &[Example]) -> Vec<&'static str> {
        vec!["bleu", "loss_nats", "exact"]
    }

    fn measure(texts: &[String], references: &[Vec<&str>], tokenizer: &Tokenizer) -> Result<Evaluation> {
        let lowercase = tokenizer.lowercase;
        let bleu = Bleu { lowercase, ..Bleu::default() }.for_references(references);
        let signature = bleu.signature(references);
        let same = |text: &str, target: &str| if lowercase { text == target.to_lowercase() } else { text == target };
        let exact = texts.iter().zip(references).filter(|(text, targets)| same(text, targets[0])).count();
        let exact = exact as f64 / texts.len().max(1) as f64;
        let chrf = Chrf { lowercase }.corpus(texts, references)?;
        let measure = |name, value, unit, note: &str| Measure { name, value, unit, note: note.into() };
        let measures = vec![
            measure("bleu", bleu.corpus(texts, references)?.bleu, Unit::Points, &signature),
            measure("chrf", chrf, Unit::Points, ""),
            measure("exact", exact, Unit::Share, ""),
        ];
        let details = [("signature".to_string(), json!(signature))].into_iter().collect();
        Ok(Evaluation { measures, details, ..Evaluation::default() })
    }

    fn rule(examples: &[Example], _: Option<&Corpus<Self>>) -> Result<Option<(&'static str, Vec<String>)>> {
        Ok(Some(("the source as it is", examples.iter().map(|example| example.name.clone()).collect())))
    }

    fn open(_: &Loaded) -> Result<Self> {
        Ok(Translate::default())
    }

    fn given(model: &Model<Self>, data: &Settings, _: &Evaluate, _: &mut Callback) -> Result<Given<Self>> {
        let is_given = KEYS.iter().any(|key| !data.get(key).is_empty());
        let (pairs, notes) = match model.is_builtin && !is_given {
            true => (builtin::numerals(data.seed, SHOWN), Vec::new()),
            false => read(data, KEYS)?,
        };
        let examples = examples(pairs, 0);
        Ok(Given { sources: sources(examples.iter(), &model.tokenizer)?, examples, notes })
    }

    fn asked(model: &Model<Self>, input: Input, _: &Predict) -> Result<Asked<Self>> {
        let Input::Texts(texts) = input else { return Err(wrong_input("texts")) };
        let tokenizer = &model.tokenizer;
        let (mut sources, mut about) = (Vec::new(), Vec::new());
        for (number, text) in (1..).zip(texts) {
            if text.trim().is_empty() {
                return Err(Error::Usage(format!("text {number}: the text is empty")));
            }
            let mut source = tokenizer.source(text)?;
            let tokens = tokenizer.truncate(&mut source);
            let warning = tokens.map(|tokens| format!("the text has {tokens} tokens; the first {MAX_SOURCE} are read"));
            // The last token is EOS.
            let names = source[..source.len() - 1].iter().map(|&token| tokenizer.subwords.name(token));
            about.push((text.to_string(), Source::Tokens(names.collect()), warning));
            sources.push(source);
        }
        Ok(Asked { sources, about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_input_is_refused_with_the_setting_to_change() {
        let message = |paths: [&str; 3]| {
            let mut settings = defaults(Data::Given);
            KEYS.iter().zip(paths).for_each(|(key, path)| settings.set(key, path).unwrap());
            read(&settings, KEYS).unwrap_err().to_string()
        };
        assert_eq!(message(["a.en", "", ""]), "source a.en: needs `target`, its translation line by line");
        assert!(message(["", "a.fr", ""]).starts_with("target a.fr: needs `source`"));
        assert!(message(["", "", ""]).contains("`source` and `target`"));
        assert!(message(["a.en", "a.fr", "a.tsv"]).starts_with("file a.tsv: "));
        assert!(message(["", "a.fr", "a.tsv"]).starts_with("file a.tsv: "));
        let message = |settings: Settings| super::super::plan(settings).unwrap_err().to_string();
        let made = defaults(Data::Builtin);
        let error = message(Settings { subword_dropout: 0.1, ..made.clone() });
        assert_eq!(error, "subword_dropout 0.1: is only read with `units = subword`");
        assert!(message(Settings { max_len: 1, ..made.clone() }).starts_with("max_len 1: "));
        assert!(message(Settings { beam: 0, ..made.clone() }).starts_with("beam 0: "));
        assert!(message(Settings { val_beam: 0, ..made.clone() }).starts_with("val_beam 0: "));
        assert!(message(Settings { upper_layers: 2, ..made.clone() }).contains("`conditional`"));
        let endless = Settings { scheduled_sampling: 0.5, epochs: 0.0, max_time: "1s".parse().unwrap(), ..made };
        assert!(message(endless).contains("`max_steps`"));
    }
}
