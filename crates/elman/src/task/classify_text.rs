//! Text to label: sentiment, topic, language. Reader: tables of text and label; shape: sequence input; measure: accuracy.

use std::hash::Hasher;
use std::path::Path;

use serde_json::{Value, json};

use super::judge::{Judge, Truth};
use super::plan::{self, Facts, grouped, memory};
use super::settings::{ClassWeights, Settings};
use super::supervised::{self, Examples, Supervised, Survey};
use crate::cell::Steps;
use crate::data::naive_bayes::NaiveBayes;
use crate::data::table::Table;
use crate::data::words::{UNKNOWN, Words};
use crate::data::{At, Labels, builtin, held_out};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::layer::Loss;
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{InputKind, Inputs, SequenceInput, SequenceInputBatch, SequenceInputConfig};
use crate::train::{RunFolder, Session, Trainer};

/// The name in files and on the command line.
pub const NAME: &str = "classify-text";

/// A text, its label, and the line it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The text.
    pub text: String,
    /// The label.
    pub label: String,
    /// From 1.
    pub line: usize,
}

/// Reads texts and labels out of a table; also says in a sentence which columns it took.
///
/// # Errors
/// [`Error::Data`] with the line: an empty text, an empty label; columns that cannot be told apart.
pub fn read(path: &Path, settings: &Settings) -> Result<(Vec<Labelled>, String)> {
    let table = Table::read_with(path, header(settings))?;
    let asked = |column: &str| if column.is_empty() { None } else { Some(column.to_string()) };
    let (text, label) = (asked(&settings.text_column), asked(&settings.label_column));
    let (text, label, taken) = table.text_and_label(text.as_deref(), label.as_deref())?;
    let mut rows = Vec::with_capacity(table.rows.len());
    for mut row in table.rows {
        let line = row.line;
        let empty = |what: &str| {
            let reason = format!("line {line}: the {what} is empty; leave such rows out");
            Error::Data { path: path.into(), reason }
        };
        let (text, label) = (std::mem::take(&mut row.cells[text]), std::mem::take(&mut row.cells[label]));
        if text.trim().is_empty() {
            return Err(empty("text"));
        }
        let label = label.trim().to_string();
        if label.is_empty() {
            return Err(empty("label"));
        }
        rows.push(Labelled { text, label, line });
    }
    Ok((rows, taken))
}

/// Whether a table's first row is a header, if the settings say.
pub(super) fn header(settings: &Settings) -> Option<bool> {
    match settings.header.as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Texts in tokens.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    tokens: Vec<Vec<u32>>,
    labels: Vec<[u32; 1]>,
    /// What naive Bayes makes of each text `[texts, X]`.
    evidence: Vec<f32>,
    word_dropout: f64,
}

impl Texts {
    /// Encodes texts.
    ///
    /// # Errors
    /// [`Error::Data`] with the line of a label that is none of the classes, or of a text without a word.
    pub fn new(rows: &[Labelled], words: &Words, labels: &Labels, word_dropout: f64, path: &Path) -> Result<Texts> {
        let mut texts = Texts { word_dropout, ..Texts::default() };
        for row in rows {
            texts.labels.push([labels.index(&row.label, path, At::Line(row.line))?]);
            texts.tokens.push(encode(words, &row.text));
        }
        Ok(texts)
    }

    /// Token sequences without labels, to be answered.
    pub fn of_tokens(tokens: Vec<Vec<u32>>) -> Texts {
        Texts { labels: vec![[0]; tokens.len()], tokens, ..Texts::default() }
    }

    /// Adds what naive Bayes makes of each text; of the texts it has `counted`, by the others.
    fn judged_by(mut self, bayes: Option<&NaiveBayes>, counted: bool) -> Texts {
        if let Some(bayes) = bayes {
            let texts = self.tokens.iter().zip(&self.labels);
            self.evidence =
                texts.flat_map(|(tokens, &[label])| bayes.evidence(tokens, counted.then_some(label))).collect();
        }
        self
    }
}

/// The tokens of a text; a text without any, such as `...` in a vocabulary of letters, is one unknown token.
fn encode(words: &Words, text: &str) -> Vec<u32> {
    let tokens = words.encode(text);
    if tokens.is_empty() { vec![UNKNOWN] } else { tokens }
}

impl Examples<SequenceInput> for Texts {
    fn len(&self) -> usize {
        self.tokens.len()
    }

    fn steps(&self, example: usize) -> usize {
        self.tokens[example].len()
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        Truth::Classes(&self.labels[example])
    }

    fn batch(
        &self,
        examples: &[usize],
        vary: Option<&mut Rng>,
        _: Option<SequenceInputBatch<f32>>,
    ) -> SequenceInputBatch<f32> {
        let lengths: Vec<usize> = examples.iter().map(|&i| self.tokens[i].len()).collect();
        let steps = Steps::ragged(&lengths).unwrap_or_else(|_| Steps::equal(0, 0));
        let mut inputs = Vec::with_capacity(steps.rows());
        for t in 0..steps.len() {
            inputs.extend(examples[..steps.active(t)].iter().map(|&i| self.tokens[i][t]));
        }
        if let Some(rng) = vary.filter(|_| self.word_dropout > 0.0) {
            for token in &mut inputs {
                if rng.uniform() < self.word_dropout {
                    *token = UNKNOWN;
                }
            }
        }
        let width = self.evidence.len() / self.len().max(1);
        let extra = examples.iter().flat_map(|&i| &self.evidence[i * width..(i + 1) * width]).copied().collect();
        let targets = examples.iter().map(|&i| self.labels[i][0]).collect();
        SequenceInputBatch { steps, inputs: Inputs::Tokens(inputs), extra, targets }
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        self.tokens[example].iter().for_each(|token| hasher.write(&token.to_le_bytes()));
    }
}

/// A run before its first update.
pub struct Plan {
    settings: Settings,
    network: SequenceInput,
    words: Words,
    labels: Labels,
    bayes: Option<NaiveBayes>,
    train: Texts,
    val: Texts,
    judge: Judge,
    taken: String,
}

impl Plan {
    /// Reads the texts and lays the network out.
    ///
    /// # Errors
    /// As [`read`]; labels of the held-out texts that training has not; a network that cannot be.
    pub fn new(settings: Settings) -> Result<Plan> {
        let (rows, taken, path) = if settings.file.is_empty() {
            let rows = builtin::reviews(settings.seed).into_iter().enumerate();
            let rows = rows.map(|(i, (text, label))| Labelled { text, label: label.into(), line: i + 1 });
            (rows.collect(), "made-up reviews of a sentence each".to_string(), "the built-in reviews".into())
        } else {
            let path = Path::new(&settings.file);
            let (rows, taken) = read(path, &settings)?;
            (rows, taken, path.to_path_buf())
        };
        let (train, val, val_path) = if settings.val.is_empty() {
            let (train, val) = held_out(rows, &settings.hold_out(), &path)?;
            (train, val, path.clone())
        } else {
            let val_path = Path::new(&settings.val);
            (rows, read(val_path, &settings)?.0, val_path.to_path_buf())
        };
        let labels = Labels::of(train.iter().map(|row| row.label.as_str()), &path)?;
        let texts = train.iter().map(|row| row.text.as_str());
        let words = Words::fit(texts, settings.level, settings.vocab_size, settings.vocab_min, settings.max_len)?;
        if words.is_empty() {
            let reason = format!("no word occurs {} times; give a lower --vocab-min", settings.vocab_min);
            return Err(Error::Data { path, reason });
        }
        let train = Texts::new(&train, &words, &labels, settings.word_dropout, &path)?;
        let val = Texts::new(&val, &words, &labels, 0.0, &val_path)?;
        let bayes = (settings.naive_bayes > 0.0)
            .then(|| NaiveBayes::fit(&train.tokens, &train.labels, words.len(), labels.len()));
        let (train, val) = (train.judged_by(bayes.as_ref(), true), val.judged_by(bayes.as_ref(), false));
        let class_weights = match settings.class_weights {
            ClassWeights::Equal => Vec::new(),
            ClassWeights::Balanced => labels.balanced(train.labels.iter().map(|label| label[0])),
        };
        let network = SequenceInput::new(SequenceInputConfig {
            cell: settings.cell,
            layers: settings.layers,
            hidden: settings.hidden,
            bidirectional: settings.bidirectional,
            feed: InputKind::Tokens(words.len()),
            embedding: settings.embedding,
            embedding_dropout: settings.embedding_dropout,
            locked: settings.locked_dropout,
            pooling: settings.pooling,
            extra: bayes.as_ref().map_or(0, NaiveBayes::width),
            classes: labels.len(),
            dropout: settings.dropout,
            weight_drop: settings.weight_drop,
            loss: Loss { smoothing: settings.label_smoothing, class_weights },
        })?;
        let judge = Judge::Classes { classes: labels.len(), temperature: 1.0 };
        Ok(Plan { settings, network, words, labels, bayes, train, val, judge, taken })
    }

    /// The weights before training, with the user's word vectors where there are some.
    fn init(&self) -> Result<Params<f32>> {
        let s = &self.settings;
        let mut params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        if let Some(bayes) = &self.bayes {
            let output = self.network.output();
            let weight = output.weight.of_mut(&mut params);
            for (class, weight) in weight.chunks_exact_mut(output.inputs).enumerate() {
                let (_, seen) = weight.split_at_mut(output.inputs - bayes.width());
                for (evidence, of) in seen.chunks_exact_mut(2).zip(bayes.shown()) {
                    // Of two classes the first has only what speaks against the second.
                    let speaks = if class == of {
                        1.0
                    } else if bayes.shown().len() == 1 {
                        -1.0
                    } else {
                        0.0
                    };
                    evidence.fill((s.naive_bayes * speaks) as f32);
                }
            }
        }
        let Some(embedding) = self.network.embedding() else { return Ok(params) };
        let table = embedding.slot.of_mut(&mut params);
        if s.word_odds > 0.0 {
            self.write_odds(embedding.width, table);
        }
        if !s.embeddings.is_empty() {
            crate::data::vectors::read(Path::new(&s.embeddings), &self.words, embedding.width, table)?;
        }
        Ok(params)
    }

    /// Writes into the first values of each word's vector what the word says of each class: the log-odds of naive Bayes,
    /// from the texts that hold it (Wang & Manning 2012, section 2).
    fn write_odds(&self, width: usize, table: &mut [f32]) {
        let (classes, vocab) = (self.labels.len(), self.words.len());
        // Of two classes the second's odds say all.
        let shown = if classes == 2 { 1 } else { classes.min(width) };
        let mut with = vec![[0u32; 2]; shown * vocab];
        for (tokens, &[label]) in self.train.tokens.iter().zip(&self.train.labels) {
            let mut tokens = tokens.clone();
            tokens.sort_unstable();
            tokens.dedup();
            for class in 0..shown {
                let of = if classes == 2 { 1 } else { class };
                let is_of = usize::from(label as usize == of);
                tokens.iter().for_each(|&token| with[class * vocab + token as usize][is_of] += 1);
            }
        }
        for class in 0..shown {
            let with = &with[class * vocab..][..vocab];
            // One more text than there are, so that no word is impossible.
            let sum = |is_of: usize| with.iter().map(|n| f64::from(n[is_of]) + 1.0).sum::<f64>();
            let sums = [sum(0), sum(1)];
            for (token, n) in with.iter().enumerate().skip(1) {
                let odds = ((f64::from(n[1]) + 1.0) / sums[1]).ln() - ((f64::from(n[0]) + 1.0) / sums[0]).ln();
                table[token * width + class] = (self.settings.word_odds * odds) as f32;
            }
        }
    }
}

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let s = &self.settings;
        let weights = self.network.layout().len();
        let tokens: usize = self.train.tokens.iter().map(Vec::len).sum();
        let longest = self.train.tokens.iter().map(Vec::len).max().unwrap_or(0);
        let directions = if s.bidirectional { 2 } else { 1 };
        let unit = self.words.level().unit();
        let activations = s.batch * longest * (s.embedding * 3 + s.layers * directions * s.hidden * 12);
        Facts {
            network: format!("{}{} {}x{}", if s.bidirectional { "bi-" } else { "" }, s.cell.name(), s.layers, s.hidden),
            parameters: weights,
            data: format!(
                "{} texts to learn from, {} held out, {} {unit}s each on average; {} known {unit}s, {} classes",
                grouped(self.train.len()),
                grouped(self.val.len()),
                tokens / self.train.len().max(1),
                self.words.len() - 1,
                self.labels.len()
            ),
            targets: self.train.len(),
            unit: "text",
            notes: vec![self.taken.clone()],
            memory: memory(weights, s.batch, activations),
            json: json!({
                "train": self.train.len(), "held_out": self.val.len(), "vocabulary": self.words.len(),
                "classes": self.labels.names(), "tokens": tokens,
            }),
            command: "elman predict",
        }
    }

    fn survey(&self) -> Option<Survey> {
        Some(supervised::survey::<SequenceInput, _>(&self.train, &self.val, self.labels.names()))
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let config = json!({
            "task": NAME, "shape": "sequence-input", "words": self.words, "labels": self.labels, "naive_bayes": self.bayes,
            "columns": {"text": s.text_column, "label": s.label_column, "header": s.header},
        });
        let network = |network: &SequenceInput| json!(network.config());
        let task = Supervised::new(&self.train, &self.val, &self.judge, s, |_| (), config, network)?;
        let threads = super::language_model::threads(s.threads);
        let mut trainer = Trainer::new(&self.network, task, s.train_config(), self.init()?, threads, folder)?;
        if resume {
            trainer.resume()?;
        }
        Ok(Box::new(trainer))
    }
}

/// A trained classifier of texts.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: SequenceInput,
    /// Its weights.
    pub params: Params<f32>,
    /// Its words.
    pub words: Words,
    /// Its classes.
    pub labels: Labels,
    /// The counts it judges words by, if it does.
    pub bayes: Option<NaiveBayes>,
    /// What its logits are divided by.
    pub temperature: f64,
    /// The columns it was trained on.
    pub columns: Value,
}

impl Model {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds another kind of model, or one that contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Model> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let config: SequenceInputConfig = plan::part(loaded, "network")?;
        let words: Words = plan::part(loaded, "words")?;
        let labels: Labels = plan::part(loaded, "labels")?;
        let bayes: Option<NaiveBayes> = plan::part(loaded, "naive_bayes")?;
        let counts_fit = bayes.as_ref().is_none_or(|bayes| bayes.fits(words.len(), labels.len()));
        let extra = bayes.as_ref().map_or(0, NaiveBayes::width);
        let fits =
            config.feed == InputKind::Tokens(words.len()) && config.classes == labels.len() && config.extra == extra;
        if !fits || !counts_fit {
            return Err(wrong("its vocabulary, its labels or its counts do not fit its network".into()));
        }
        let network = SequenceInput::new(config).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, network.layout())?;
        let temperature: f64 = plan::part(loaded, "temperature")?;
        let columns = plan::part(loaded, "columns")?;
        Ok(Model { network, params, words, labels, bayes, temperature, columns })
    }

    /// Reads texts to be measured on.
    ///
    /// # Errors
    /// As [`read`] and [`Texts::new`].
    pub fn read(&self, path: &Path, settings: &Settings) -> Result<(Vec<Labelled>, Texts)> {
        let (rows, _) = read(path, settings)?;
        let texts = Texts::new(&rows, &self.words, &self.labels, 0.0, path)?;
        Ok((rows, texts.judged_by(self.bayes.as_ref(), false)))
    }

    /// The probability of each class `[V]` for each text.
    pub fn predict(&self, texts: &[&str]) -> Vec<Vec<f64>> {
        self.probabilities(texts.iter().map(|text| encode(&self.words, text)).collect())
    }

    fn probabilities(&self, texts: Vec<Vec<u32>>) -> Vec<Vec<f64>> {
        let texts = Texts::of_tokens(texts).judged_by(self.bayes.as_ref(), false);
        let which: Vec<usize> = (0..texts.len()).collect();
        let logits = super::supervised::answers(&self.network, &self.params, &texts, &which);
        let one = |logits: &Vec<f32>| {
            let mut p = Vec::new();
            super::judge::probabilities(logits, self.temperature, &mut p);
            p
        };
        logits.iter().map(one).collect()
    }

    /// Each piece of a text that is read, with what the log-probability of `class` loses when that piece is unknown: how
    /// much it speaks for the class, in nats.
    pub fn explain(&self, text: &str, class: usize) -> Vec<(String, f64)> {
        let pieces = self.words.pieces(text);
        let tokens: Vec<u32> = pieces.iter().map(|piece| self.words.token(piece)).collect();
        if tokens.is_empty() {
            return Vec::new();
        }
        let mut variants = vec![tokens.clone()];
        variants.extend((0..tokens.len()).map(|i| {
            let mut variant = tokens.clone();
            variant[i] = UNKNOWN;
            variant
        }));
        let p = self.probabilities(variants);
        let log_p = |p: &[f64]| p[class].max(f64::MIN_POSITIVE).ln();
        pieces.into_iter().zip(&p[1..]).map(|(piece, without)| (piece, log_p(&p[0]) - log_p(without))).collect()
    }
}
