//! Text to label: sentiment, topic, language. Reader: tables of text and label; shape: sequence input; measure: accuracy.

mod examples;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::examples::{Texts, encode};

use super::model::{Input, Predict, Reads, wrong_input};
use super::plan::Callback;
use super::plan::{Plan, RunSummary, grouped};
use super::pretrained::Pretrained;
use super::row::{Task, planned, size, supervised};
use super::supervised::{
    Examples, Goal, Length, Named, Parts, Reading, SupervisedModel, SupervisedPlan, divided, one_piece,
};
use crate::cell::CellKind;
use crate::data::columns::Columns;
use crate::data::naive_bayes::{self, NaiveBayes};
use crate::data::texts::{self, LabelledText, LabelledTexts};
use crate::data::words::{Level, UNKNOWN, Words};
use crate::data::{Labels, builtin, vectors};
use crate::error::{Error, Result};
use crate::param::Params;
use crate::settings::{Auto, ClassWeights, Data, Settings};
use crate::shape::{InputKind, SequenceInput, SequenceInputConfig};

/// Texts to labels.
pub const TASK: Task = Task {
    name: "classify-text",
    about: "a text to a label: sentiment, topic, language",
    command: "predict",
    reads: &[
        "file", "cell", "forget_bias", "layers", "hidden", "embedding", "bidirectional", "pooling",
        "embedding_dropout", "locked_dropout", "weight_drop", "label_smoothing", "class_weights", "init", "val",
        "text_column", "label_column", "label_separator", "header", "encoding", "skip_bad", "level", "vocab_size",
        "vocab_min", "max_len", "word_dropout", "nb_log_odds", "naive_bayes", "embeddings", "calibrate", "folds",
        "fold", "refit",
    ],
    sizes: &[
        size("cell", "/network/cell"),
        size("layers", "/network/layers"),
        size("hidden", "/network/hidden"),
        size("embedding", "/network/embedding"),
        size("bidirectional", "/network/bidirectional"),
        size("pooling", "/network/pooling"),
        size("level", "/words/level"),
    ],
    data: &["file"],
    eval_data: &["file"],
    evaluate: &["split", "mistakes", "curves"],
    predict: &["explain"],
    defaults,
    plan: planned(plan),
    open: |loaded| Ok(Box::new(SupervisedModel::<SequenceInput, TextReading>::open(loaded, TASK.name)?)),
};

/// Characters of a text shown among the mistakes.
const SHOWN: usize = 160;

fn defaults(_: Data) -> Settings {
    Settings {
        cell: CellKind::Gru,
        hidden: 128,
        embedding: 256,
        nb_log_odds: 0.5,
        naive_bayes: 0.5,
        bidirectional: true,
        embedding_dropout: f64::AUTO,
        level: Level::Word,
        word_dropout: 0.15,
        dropout: 0.5,
        label_smoothing: 0.05,
        lr: 0.001,
        weight_decay: 0.01,
        ..supervised(TASK.name)
    }
}

/// Texts from which on there are many, and tokens below which a text is short on average.
const MANY: usize = 5_000;
const SHORT: usize = 64;
/// The length of runs.
const LENGTH: Length = Length { batch: [8, 24], share: 8, updates: (5, [600, 600]), epochs: 6.0 };

/// The same of texts with several labels: the network begins without what naive Bayes knows.
const LENGTH_OF_SEVERAL: Length = Length { updates: (5, [1200, 1200]), epochs: 10.0, ..LENGTH };

/// Reads the texts and decides on the network.
fn plan(mut settings: Settings, _: &mut Callback) -> Result<Box<dyn Plan>> {
    if settings.level == Level::Subword && !settings.embeddings.is_empty() {
        let want = "is only read with `level = word`: its vectors are of words";
        return Err(Error::setting("embeddings", &settings.embeddings, want));
    }
    let columns = Columns {
        text: Some(settings.text_column.clone()),
        label: settings.label_column.clone(),
        label_separator: settings.label_separator.clone(),
        header: settings.header.clone(),
        form: settings.form(),
        sequence: None,
    };
    let (read, path) = if settings.file.is_empty() {
        let notes = vec!["generated reviews of a sentence each".to_string()];
        (LabelledTexts { rows: made(settings.seed), has_several: false, notes }, "the built-in reviews".into())
    } else {
        let path = PathBuf::from(&settings.file);
        (texts::read(&path, &columns, None)?, path)
    };
    let LabelledTexts { rows, has_several, notes: mut taken } = read;
    if has_several && settings.class_weights == ClassWeights::Balanced {
        let want = "is for texts of one class, and these have several labels";
        return Err(Error::setting("class_weights", "balanced", want));
    }
    if has_several && (settings.naive_bayes > 0.0 || settings.nb_log_odds > 0.0) {
        taken.push("naive Bayes is for texts of one class: `naive_bayes` and `nb_log_odds` are 0".into());
        (settings.naive_bayes, settings.nb_log_odds) = (0.0, 0.0);
    }
    let read = |path: &Path| texts::read(path, &columns, Some(has_several)).map(|read| read.rows);
    let (train, val, val_path) = divided(&settings, rows, &path, |row: &LabelledText| &row.label, read)?;
    let length = settings.settle_length(train.len(), if has_several { LENGTH_OF_SEVERAL } else { LENGTH });
    let old = Pretrained::open(&settings)?.map(|from| from.reading::<TextReading>()).transpose()?;
    if let Some(old) = old.as_ref().filter(|old| old.has_several != has_several) {
        let number = |several| if several { "several labels" } else { "one label" };
        let want = format!("has {} a text, and these have {}", number(old.has_several), number(has_several));
        return Err(Error::setting("from", &settings.from, want));
    }
    let names = train.iter().flat_map(|row| match has_several {
        true => row.labels.iter().map(String::as_str).collect(),
        false => vec![row.label.as_str()],
    });
    let labels = match &old {
        Some(old) => old.labels.extended(names),
        None => Labels::of(names, &path)?,
    };
    let texts = train.iter().map(|row| row.text.as_str());
    let words = Words::fit(texts, settings.level, settings.vocab_size, settings.vocab_min, settings.max_len)?;
    let words = old.as_ref().map_or(words.clone(), |old| old.words.extended(&words));
    if words.is_empty() {
        let reason = format!("no word occurs {} times; give a lower `vocab_min`", settings.vocab_min);
        return Err(Error::Data { path, reason });
    }
    let of = (&labels, has_several);
    let train = Texts::new(&train, &words, of, settings.word_dropout, &path)?;
    let val = Texts::new(&val, &words, of, 0.0, &val_path)?.with_texts(&val);
    // Of short texts many are learned from: more is left out.
    let tokens: usize = train.tokens.iter().map(Vec::len).sum();
    let is_short = train.len() >= MANY && tokens < SHORT * train.len();
    settings.embedding_dropout = settings.embedding_dropout.or(if is_short { 0.7 } else { 0.5 });
    let classes = train.classes();
    let bayes =
        (settings.naive_bayes > 0.0).then(|| NaiveBayes::fit(&train.tokens, &classes, words.len(), labels.len()));
    let (train, val) = (train.with_evidence(bayes.as_ref(), true), val.with_evidence(bayes.as_ref(), false));
    let s = &settings;
    let extra = bayes.as_ref().map_or(0, NaiveBayes::width);
    let sizes = s.sequence_input(InputKind::Tokens(words.len()), extra, &labels, &classes);
    let longest = train.tokens.iter().map(Vec::len).max().unwrap_or(0);
    let unit = words.level().unit();
    let summary = RunSummary {
        network: sizes.in_words(),
        data: format!(
            "{} training texts, {} validation texts, {} {unit}s each on average; {} known {unit}s, {} {}",
            grouped(train.len()),
            grouped(val.len()),
            tokens / train.len().max(1),
            words.len() - 1,
            labels.len(),
            if has_several { "labels, several a text" } else { "classes" },
        ),
        targets: train.len(),
        unit: "text",
        notes: taken.into_iter().chain(length).collect(),
        json: json!({"vocabulary": words.len(), "classes": labels, "tokens": tokens}),
        ..RunSummary::default()
    };
    let activations = s.batch.min(train.len()) * longest * (s.embedding * 3 + s.recurrent_values());
    let reading = TextReading { words, labels, has_several, naive_bayes: bayes, columns };
    let parts = Parts { reading, sizes, train, val, summary, activations, settings };
    Ok(Box::new(SupervisedPlan::<SequenceInput, _>::new(parts)?))
}

/// The reviews that the program makes.
fn made(seed: u64) -> Vec<LabelledText> {
    let one = |(i, (text, label)): (usize, (String, &str))| LabelledText {
        text,
        label: label.into(),
        labels: Vec::new(),
        line: i + 1,
    };
    builtin::reviews(seed).into_iter().enumerate().map(one).collect()
}

/// How texts are read.
#[derive(Debug, Serialize, Deserialize)]
struct TextReading {
    words: Words,
    labels: Labels,
    /// Whether a text may have several of them.
    #[serde(default, rename = "several_labels", skip_serializing_if = "std::ops::Not::not")]
    has_several: bool,
    /// The counts of naive Bayes, where the output layer sees its evidence.
    naive_bayes: Option<NaiveBayes>,
    columns: Columns,
}

impl TextReading {
    /// The words of a text that training did not see, where they are half of it or more.
    fn unknown(&self, text: &str) -> Option<String> {
        const SAID: usize = 5;
        let is_word = |token: &String| token.chars().any(char::is_alphanumeric);
        let words: Vec<String> = self.words.tokens(text).into_iter().filter(is_word).collect();
        let unknown: Vec<&String> = words.iter().filter(|word| self.words.id(word) == UNKNOWN).collect();
        let unit = self.words.level().unit();
        match (unknown.len(), words.len()) {
            (_, 0) => Some(format!("it holds no {unit} that could be known: the answer rests on nothing")),
            (n, all) if n == all => Some(format!("none of its {all} {unit}s is known: the answer rests on nothing")),
            (n, all) if 2 * n >= all => {
                let shown: Vec<&str> = unknown.iter().take(SAID).map(|word| word.as_str()).collect();
                let more = if n > SAID { ", .." } else { "" };
                Some(format!("{n} of its {all} {unit}s are not known: {}{more}", shown.join(", ")))
            }
            _ => None,
        }
    }

    fn texts(&self, tokens: Vec<Vec<u32>>) -> Texts {
        Texts::of_tokens(tokens).with_evidence(self.naive_bayes.as_ref(), false)
    }
}

impl Reading<SequenceInput> for TextReading {
    type Examples = Texts;

    const SHAPE: &'static str = "sequence-input";

    fn check(&self, sizes: &SequenceInputConfig) -> std::result::Result<(), &'static str> {
        let TextReading { words, labels, naive_bayes, .. } = self;
        let counts_fit = naive_bayes.as_ref().is_none_or(|bayes| bayes.fits(words.len(), labels.len()));
        let extra = naive_bayes.as_ref().map_or(0, NaiveBayes::width);
        let wanted = (InputKind::Tokens(words.len()), labels.len(), extra);
        match (sizes.feed, sizes.classes, sizes.extra) == wanted && counts_fit {
            true => Ok(()),
            false => Err("its vocabulary, its labels or its counts do not fit its network"),
        }
    }

    fn goal(&self) -> Goal<'_> {
        match self.has_several {
            true => Goal::Labels(&self.labels),
            false => Goal::Classes(&self.labels),
        }
    }

    fn tokens(&self) -> usize {
        self.words.len()
    }

    fn added_to(&self, old: &Self) -> Vec<(&'static str, Vec<String>)> {
        let labels = self.labels.names()[old.labels.len()..].iter().map(|label| format!("{label:?}"));
        let words = self.words.words()[old.words.len() - 1..].to_vec();
        vec![("label", labels.collect()), (self.words.level().unit(), words)]
    }

    fn begin(&self, network: &SequenceInput, s: &Settings, train: &Texts, params: &mut Params<f32>) -> Result<()> {
        if let Some(bayes) = &self.naive_bayes {
            let output = network.output();
            bayes.init_output(s.naive_bayes, output.inputs, output.weight.of_mut(params));
        }
        let Some(embedding) = network.embedding() else { return Ok(()) };
        let table = embedding.slot.of_mut(params);
        if s.nb_log_odds > 0.0 {
            let (tokens, classes) = (&train.tokens, train.classes());
            let sizes = [self.words.len(), self.labels.len()];
            naive_bayes::write_log_odds(s.nb_log_odds, tokens, &classes, sizes, embedding.width, table);
        }
        if !s.embeddings.is_empty() {
            vectors::read(Path::new(&s.embeddings), &self.words, embedding.width, table)?;
        }
        Ok(())
    }

    fn rules(&self, texts: &Texts) -> Vec<(&'static str, Vec<Vec<f32>>)> {
        let logits = |bayes: &NaiveBayes| texts.tokens.iter().map(|tokens| bayes.logits(tokens)).collect();
        self.naive_bayes.iter().map(|bayes| ("naive Bayes", logits(bayes))).collect()
    }

    fn describe(&self, _: &SequenceInputConfig) -> Vec<(&'static str, String)> {
        const NAMES: usize = 12;
        let (words, unit) = (self.words.words(), self.words.level().unit());
        let shown = words.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
        let more = if words.len() > NAMES { ", .." } else { "" };
        vec![("vocabulary", format!("{} {unit}s: {shown}{more}", grouped(self.words.len() - 1)))]
    }

    fn reads(&self) -> Reads {
        Reads::Texts
    }

    fn labelled(&self, data: &Settings, split: &str) -> Result<Named<Texts>> {
        let path = Path::new(&data.file);
        let rows = match data.file.as_str() {
            "" => made(data.seed),
            _ => {
                one_piece(split, path)?;
                texts::read(path, &self.columns.complete(data), Some(self.has_several))?.rows
            }
        };
        let of = (&self.labels, self.has_several);
        let texts = Texts::new(&rows, &self.words, of, 0.0, path)?.with_texts(&rows);
        let name = |row: &LabelledText| {
            let text: String = row.text.chars().take(SHOWN).collect();
            format!("line {}: {text}", row.line)
        };
        let names = rows.iter().map(name).collect();
        Ok(Named::new(texts.with_evidence(self.naive_bayes.as_ref(), false), names))
    }

    fn unlabelled(&self, input: Input, _: &Predict) -> Result<Named<Texts>> {
        let Input::Texts(texts) = input else { return Err(wrong_input("texts")) };
        let examples = self.texts(texts.iter().map(|text| encode(&self.words, text)).collect());
        let warnings = texts.iter().map(|text| self.unknown(text)).collect();
        let names = texts.iter().map(|text| (*text).to_string()).collect();
        Ok(Named { warnings, ..Named::new(examples, names) })
    }

    /// What the log-probability of the class loses when a word is unknown.
    fn explain(
        &self,
        input: &str,
        class: usize,
        probabilities: &dyn Fn(&Texts) -> Vec<Vec<f64>>,
    ) -> Vec<(String, f64)> {
        let pieces = self.words.tokens(input);
        let tokens: Vec<u32> = pieces.iter().map(|piece| self.words.id(piece)).collect();
        if tokens.is_empty() {
            return Vec::new();
        }
        let mut variants = vec![tokens.clone()];
        variants.extend((0..tokens.len()).map(|i| {
            let mut variant = tokens.clone();
            variant[i] = UNKNOWN;
            variant
        }));
        let p = probabilities(&self.texts(variants));
        let log_p = |p: &[f64]| p[class].max(f64::MIN_POSITIVE).ln();
        pieces.into_iter().zip(&p[1..]).map(|(piece, without)| (piece, log_p(&p[0]) - log_p(without))).collect()
    }
}
