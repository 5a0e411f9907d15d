//! Every setting of a run, in one list: a field here is a flag of the command line, a key of `config.toml`, an
//! environment variable `ELMAN_*` and a row of the documentation.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cell::CellKind;
use crate::data::words::Level;
use crate::data::{HoldOut, Units};
use crate::decode::SamplerConfig;
use crate::error::{Error, Result};
use crate::layer::{AttentionKind, Pooling};
use crate::optim::{OptimizerConfig, OptimizerKind, ScheduleConfig, ScheduleKind};
use crate::param::Init;
use crate::train::{Every, Precision, Span, TrainConfig};

/// One setting, as the documentation and the command line show it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The field's name, such as `clip_norm`; the flag is `--clip-norm`.
    pub name: &'static str,
    /// What it does, in sentences.
    pub help: &'static str,
    /// The heading it stands under.
    pub group: &'static str,
}

impl Key {
    /// The flag: `--clip-norm`.
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }
}

/// Declares [`Settings`], their defaults and [`KEYS`] from one list.
macro_rules! settings {
    ($($group:literal: { $($(#[doc = $help:literal])+ $name:ident: $type:ty = $default:expr,)+ })+) => {
        /// All settings of a run. In files an absent key has its default, an unknown one is an error.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Settings {
            $($($(#[doc = $help])+ pub $name: $type,)+)+
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($($name: $default,)+)+ }
            }
        }

        /// Every setting, in the order of the documentation.
        pub const KEYS: &[Key] = &[
            $($(Key { name: stringify!($name), help: concat!($($help),+), group: $group },)+)+
        ];
    };
}

settings! {
    "Task": {
        /// What is learnt: language-model, classify, regress, classify-text, classify-sequence, classify-frames, translate, caption.
        task: String = String::from("language-model"),
        /// The data to learn from; without them, data that the program itself contains or makes.
        file: String = String::new(),
        /// Of pairs of texts: the file to read, a text on each line.
        source: String = String::new(),
        /// Of pairs of texts: the file to be written, line by line what the source becomes.
        target: String = String::new(),
        /// Of pictures to be described: a matrix of features, a row for each (.npy, .safetensors).
        features: String = String::new(),
        /// Of pictures to be described: a table of row (or image, with images), split and caption.
        captions: String = String::new(),
        /// Of pictures to be described: the folder of the photographs that the captions name, instead of features.
        images: String = String::new(),
        /// A pretrained network that makes features of photographs (.onnx); it is not trained.
        encoder: String = String::new(),
        /// The encoder's output to take, such as a map for attention, by name; its first where this is empty.
        encoder_output: String = String::new(),
        /// The source of pairs to validate on.
        val_source: String = String::new(),
        /// The target of pairs to validate on.
        val_target: String = String::new(),
    }
    "Network": {
        /// Cell of every layer: lstm, lstm-peephole, gru, gru-reset-before, rnn-tanh, rnn-relu.
        cell: CellKind = CellKind::Gru,
        /// Recurrent layers.
        layers: usize = 1,
        /// Hidden units of each layer.
        hidden: usize = 512,
        /// Width of a learned embedding of the symbols; 0 feeds them as one-hot vectors.
        embedding: usize = 0,
        /// Use the embedding's matrix at the output too; needs an embedding as wide as the hidden layer.
        tied: bool = false,
        /// Probability of dropping a value between layers and before the output, in training.
        dropout: f64 = 0.3,
        /// Read each sequence from its end, too: knows what comes, so it cannot run live.
        bidirectional: bool = false,
        /// Hidden units of an encoder in each direction; 0 for half of the decoder's.
        encoder_hidden: usize = 0,
        /// How a decoder looks at its source: dot, general or additive attention.
        attention: AttentionKind = AttentionKind::General,
        /// Probability of dropping a value of the features that a sequence is written from, in training.
        feature_dropout: f64 = 0.3,
        /// Layers of a decoder above its attention.
        upper_layers: usize = 1,
        /// A decoder of two cells that share a state, with attention between them (conditional GRU), instead of layers below
        /// and above the attention; layers are then those of the encoder. Captions need a map for it.
        conditional: bool = false,
        /// Channels of convolutions (3x3, stride 2) that pictures or frames go through first, such as 16,32,64.
        convs: Sizes = Sizes::default(),
        /// Width of dense layers after these, such as 256,128.
        dense: Sizes = Sizes::default(),
        /// How the steps of a sequence become one vector: last, mean, max, max-mean or attention.
        pooling: Pooling = Pooling::MaxMean,
        /// Probability of dropping a value of an embedded token, in training.
        embedding_dropout: f64 = 0.0,
        /// Drop the same values of the embedded tokens in all steps of a sequence.
        locked_dropout: bool = false,
        /// Probability of dropping a recurrent weight, in training, the same ones at all steps; of classify-text and
        /// classify-sequence.
        weight_drop: f64 = 0.0,
        /// Share of a target's probability that is spread over all classes, in training.
        label_smoothing: f64 = 0.0,
        /// Probability that a decoder reads its own last symbol instead of the right one, in training; grows from 0 to this
        /// over the epochs or max_steps of the run.
        scheduled_sampling: f64 = 0.0,
        /// What each class counts: equal for each example alike, balanced for each class alike.
        class_weights: ClassWeights = ClassWeights::Equal,
        /// How weights begin: fan, orthogonal, uniform:BOUND or normal:DEVIATION.
        init: InitWord = InitWord(Init::Fan),
    }
    "Data": {
        /// Symbols are bytes instead of characters: for any file at all.
        bytes: bool = false,
        /// Share of the text, at its end, that is held out for validation.
        val_frac: f64 = 0.1,
        /// A file to validate on, instead of the end of the text.
        val: String = String::new(),
        /// The column with the text, by name or by number from 1.
        text_column: String = String::new(),
        /// The column with the label, by name or by number from 1.
        label_column: String = String::new(),
        /// The column that says which rows are the steps of one sequence, by name or by number from 1.
        sequence_column: String = String::new(),
        /// Whether the first row of a table names its columns: auto, yes or no.
        header: String = String::from("auto"),
        /// Pieces of a text: word, subword (learnt from the data) or char.
        level: Level = Level::Word,
        /// What pairs of texts are cut into: subword, word or char.
        units: Units = Units::Subword,
        /// Lower-case texts before they are cut, and what is measured.
        lowercase: bool = false,
        /// Words (of subwords: pieces) that are told apart, at most; the others are one unknown word.
        vocab_size: usize = 20_000,
        /// A word rarer than this in training is unknown.
        vocab_min: usize = 2,
        /// Pieces of a text that are read: its first quarter and last three quarters of so many; 0 for all.
        max_len: usize = 400,
        /// Probability of reading a word (of pairs: a symbol) as the unknown one, in training.
        word_dropout: f64 = 0.0,
        /// Of pairs in subwords: probability of leaving out a merge where a text is cut, in training, so that words are also
        /// seen in other pieces (BPE-dropout).
        subword_dropout: f64 = 0.0,
        /// Begin with vectors that hold what single words say of the classes: their log-odds, times this; 0 for none.
        word_odds: f64 = 0.0,
        /// Show the output what naive Bayes makes of a text's words and pairs of words, trusted so much at the start; 0 for
        /// none.
        naive_bayes: f64 = 0.0,
        /// Word vectors to begin from: a file of lines with a word and its numbers (GloVe, fastText).
        embeddings: String = String::new(),
        /// Read each picture as a sequence of its rows.
        rows: bool = false,
        /// Frames (of the past; where both sides are known, around) that are seen at each step.
        context: usize = 1,
        /// Answer so many frames late, having seen them.
        lookahead: usize = 0,
        /// See the changes from frame to frame instead of the earlier frames themselves.
        differences: bool = false,
        /// The class that means nothing is there, left out of some measures: auto finds sil, background, none.
        background: String = String::from("auto"),
        /// Pictures are moved by up to so many pixels, in training.
        shift: usize = 0,
        /// Pictures are mirrored half of the time, in training.
        mirror: bool = false,
        /// Pictures are turned by up to so many degrees and resized by up to as many percent, in training.
        distort: f64 = 0.0,
        /// Brightness and contrast of pictures vary by this share, in training.
        gain: f64 = 0.0,
        /// Deviation of the noise added to pictures and numbers, in training.
        noise: f64 = 0.0,
        /// Frames are shifted in time by up to so many, single ones repeated or left out, in training.
        jitter: usize = 0,
        /// Fit the sharpness of the probabilities on the held-out data, so that 0.8 is right 8 times in 10.
        calibrate: bool = false,
        /// Train so many networks, each with another part held out, and report their mean.
        folds: usize = 0,
        /// Of the folds, the one to hold out, from 1.
        fold: usize = 0,
        /// Sequences read side by side in one training step.
        batch: usize = 32,
        /// Steps of a sequence between two updates (truncated backpropagation through time).
        seq_len: usize = 128,
        /// Probability that a sequence begins a step from the zero state instead of the carried one.
        state_reset: f64 = 0.05,
    }
    "Optimizer": {
        /// sgd, adagrad, rmsprop, adam or adamw.
        optimizer: OptimizerKind = OptimizerKind::Adamw,
        /// Learning rate at its highest.
        lr: f64 = 0.004,
        /// Momentum of sgd and rmsprop.
        momentum: f64 = 0.0,
        /// Decay of rmsprop's mean square.
        alpha: f64 = 0.95,
        /// Decay of adam's first moment.
        beta1: f64 = 0.9,
        /// Decay of adam's second moment.
        beta2: f64 = 0.99,
        /// Added to the root in adagrad, rmsprop and adam.
        eps: f64 = 1e-8,
        /// Of adagrad: eps stands under the root, as in min-char-rnn.
        eps_in_root: bool = false,
        /// Weight decay of the matrices (adamw: decoupled; others: L2).
        weight_decay: f64 = 0.02,
        /// Gradients are scaled down to this global norm; 0 for never.
        clip_norm: f64 = 1.0,
        /// Each gradient is cut off at this size; 0 for never.
        clip_value: f64 = 0.0,
        /// Batches whose gradients are added before one update.
        accumulate: usize = 1,
        /// Averaged weights (exponential moving average with this decay) are what is validated and kept; 0 for none.
        average: f64 = 0.0,
    }
    "Schedule": {
        /// The learning rate's course: constant, step, exponential, cosine or plateau.
        schedule: ScheduleKind = ScheduleKind::Cosine,
        /// Updates over which the learning rate rises from 0.
        warmup: u64 = 50,
        /// Share of the learning rate that no schedule falls below, and at which a cosine ends.
        lr_min: f64 = 0.01,
        /// Factor of one decay: step, exponential, plateau.
        decay: f64 = 0.5,
        /// Epochs before the first decay: step, exponential.
        decay_after: f64 = 0.0,
        /// Epochs from one decay to the next: step, exponential.
        decay_every: f64 = 1.0,
        /// Validations without a better one before a plateau decays.
        decay_patience: u32 = 2,
    }
    "Length": {
        /// Passes over the data; 0 for as many as max_time and max_steps allow, or 20 where neither is given.
        epochs: f64 = 0.0,
        /// Updates at most; 0 for no limit.
        max_steps: u64 = 0,
        /// Time at most, such as 90s, 10m or 2h; 0s for no limit. The schedule ends with it, so such a run depends on the
        /// machine's speed.
        max_time: Span = Span::ZERO,
        /// Validations without a better one before training ends; 0 for never.
        patience: u32 = 0,
        /// A loss above this many times the lowest so far (and above the first) counts as divergence; 0 for never.
        diverged_at: f64 = 3.0,
    }
    "Run": {
        /// Seed of every random number: the same seed gives the same bits, on any number of threads.
        seed: u64 = 1,
        /// Threads; 0 for all cores. They change the time, not the result.
        threads: usize = 0,
        /// What training multiplies: f32, or bf16, which rounds the operands of products (not of convolutions and attention) to
        /// bfloat16 and adds in f32: faster where the CPU has AVX512-BF16, slower elsewhere. Weights stay f32.
        precision: Precision = Precision::F32,
        /// Memory that training may take, such as 1GiB or 500MB: long sequences are kept in parts and run forward twice;
        /// empty for no limit.
        memory_limit: String = String::new(),
        /// Updates from one line of metrics to the next.
        log_every: u64 = 20,
        /// Updates from one validation to the next; 0 for once an epoch, and at least ten times in a run.
        val_every: u64 = 0,
        /// Updates, or time as in 60s, from one checkpoint to the next.
        checkpoint_every: Every = Every::Time(Span::from_secs(60)),
        /// Validations from one sample of text to the next; 0 for none.
        sample_every: u64 = 1,
    }
    "Decoding": {
        /// Hypotheses kept of each sequence that is written; 1 always takes the most likely symbol.
        beam: usize = 5,
        /// The same while training, when held-out sources are written for.
        val_beam: usize = 1,
        /// Held-out examples that are measured while training, at most, of those that are written for; 0 for all.
        val_limit: usize = 1000,
        /// Hypotheses are compared by log-probability / length^this.
        length_penalty: f64 = 1.0,
        /// Weight of a penalty on what was not looked at.
        coverage_penalty: f64 = 0.0,
        /// No run of so many symbols twice in a sequence; 0 allows all.
        no_repeat_ngram: usize = 0,
    }
    "Samples": {
        /// Symbols of a sample shown while training.
        sample_length: usize = 200,
        /// Logits are divided by it when drawing; 0 takes the most likely symbol always.
        temperature: f64 = 0.8,
    }
}

/// Sizes as one word: `16,32,64`; none where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sizes(pub Vec<usize>);

impl TryFrom<String> for Sizes {
    type Error = String;

    fn try_from(word: String) -> std::result::Result<Self, String> {
        let parts = word.split(',').map(str::trim).filter(|part| !part.is_empty());
        let size = |part: &str| part.parse::<usize>().ok().filter(|size| (1..=1 << 16).contains(size));
        let sizes: Option<Vec<usize>> = parts.map(size).collect();
        sizes.map(Sizes).ok_or_else(|| format!("`{word}`: give sizes from 1 to 65536, such as 16,32,64"))
    }
}

impl From<Sizes> for String {
    fn from(sizes: Sizes) -> String {
        sizes.0.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    }
}

/// What the examples of a class count in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Each example the same.
    Equal,
    /// Each class the same.
    Balanced,
}

/// [`Init`] as one word: `fan`, `orthogonal`, `uniform:0.08`, `normal:0.01`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InitWord(pub Init);

impl TryFrom<String> for InitWord {
    type Error = String;

    fn try_from(word: String) -> std::result::Result<Self, String> {
        let (name, value) = word.split_once(':').unwrap_or((&word, ""));
        let number = || value.parse::<f64>().ok().filter(|x| *x > 0.0 && x.is_finite());
        match (name, number()) {
            ("fan", _) if value.is_empty() => Ok(InitWord(Init::Fan)),
            ("orthogonal", _) if value.is_empty() => Ok(InitWord(Init::Orthogonal)),
            ("uniform", Some(bound)) => Ok(InitWord(Init::Uniform(bound))),
            ("normal", Some(deviation)) => Ok(InitWord(Init::Normal(deviation))),
            _ => {
                Err(format!("`{word}`: give fan, orthogonal, uniform:BOUND or normal:DEVIATION, such as uniform:0.08"))
            }
        }
    }
}

impl From<InitWord> for String {
    fn from(word: InitWord) -> String {
        match word.0 {
            Init::Fan => "fan".into(),
            Init::Orthogonal => "orthogonal".into(),
            Init::Uniform(bound) => format!("uniform:{bound}"),
            Init::Normal(deviation) => format!("normal:{deviation}"),
        }
    }
}

/// The message for a key that is none.
fn unknown(name: &str) -> String {
    let asked = name.replace('-', "_");
    let near = KEYS.iter().map(|key| (strsim::jaro_winkler(&asked, key.name), key.name));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, near)) if likeness > 0.8 => format!("there is no setting `{name}`; did you mean `{near}`?"),
        _ => format!("there is no setting `{name}`; `elman init` lists them all"),
    }
}

/// Epochs of a run that says nothing of its length.
pub(super) const EPOCHS: f64 = 20.0;

impl Settings {
    /// Reads a `config.toml`; `path` is what messages name.
    ///
    /// # Errors
    /// [`Error::Data`] with the line and, for an unknown key, the nearest known one.
    pub fn from_toml(text: &str, path: &Path) -> Result<Settings> {
        let data = |reason: String| Error::Data { path: path.into(), reason };
        let at = |span: Option<std::ops::Range<usize>>| match span {
            Some(span) => format!("line {}: ", text[..span.start.min(text.len())].matches('\n').count() + 1),
            None => String::new(),
        };
        let table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| data(format!("{}{}", at(e.span()), e.message())))?;
        if let Some(key) = table.keys().find(|key| KEYS.iter().all(|k| k.name != key.as_str())) {
            let line = text.lines().position(|line| line.trim_start().starts_with(key.as_str()));
            let line = line.map_or_else(String::new, |line| format!("line {}: ", line + 1));
            return Err(data(format!("{line}{}", unknown(key))));
        }
        toml::from_str(text).map_err(|e| data(format!("{}{}", at(e.span()), e.message())))
    }

    /// The settings as a commented `config.toml`: every key, with what it does.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# Settings of a run. Each key is also a flag: clip_norm is --clip-norm.\n");
        let values = serde_json::to_value(self).unwrap_or_default();
        let mut group = "";
        for key in KEYS {
            if key.group != group {
                group = key.group;
                text.push_str(&format!("\n# == {group} ==\n"));
            }
            let value = match &values[key.name] {
                // Rust's debug form of a float is a TOML float: it always has a point or an exponent.
                serde_json::Value::Number(n) if n.is_f64() => format!("{:?}", n.as_f64().unwrap_or_default()),
                serde_json::Value::String(word) => toml::Value::from(word.as_str()).to_string(),
                value => value.to_string(),
            };
            text.push_str(&format!("\n#{}\n{} = {value}\n", key.help.trim_end(), key.name));
        }
        text
    }

    /// Sets one key from its text on the command line.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no such key, or the text is no value of its kind.
    pub fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let Some(key) = KEYS.iter().find(|key| key.name == name.replace('-', "_")) else {
            return Err(Error::Usage(unknown(name)));
        };
        let refuse = |want: String| Error::Usage(format!("{} {text}: {want}", key.flag()));
        let mut values = serde_json::to_value(&*self).map_err(|e| refuse(e.to_string()))?;
        let old = values[key.name].clone();
        let whole = old.is_u64();
        values[key.name] = match &old {
            serde_json::Value::Bool(_) => match text {
                "true" => true.into(),
                "false" => false.into(),
                _ => return Err(refuse("give true or false".into())),
            },
            serde_json::Value::Number(_) => match (text.parse::<u64>(), text.parse::<f64>()) {
                (Ok(n), _) => n.into(),
                (_, Ok(x)) if x.is_finite() && !whole => x.into(),
                _ if key.name == "checkpoint_every" => text.into(),
                _ if whole => return Err(refuse(format!("give a whole number, such as {old}"))),
                _ => return Err(refuse(format!("give a number, such as {old}"))),
            },
            _ => text.into(),
        };
        *self = serde_json::from_value(values).map_err(|e| refuse(e.to_string()))?;
        Ok(())
    }

    /// The text of one key's value, for help.
    pub fn get(&self, name: &str) -> String {
        match serde_json::to_value(self).unwrap_or_default().get(name) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }

    /// The memory limit in bytes, if there is one.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is no amount.
    pub fn memory_limit(&self) -> Result<Option<usize>> {
        let word = self.memory_limit.trim();
        if word.is_empty() {
            return Ok(None);
        }
        let at = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, unit) = word.split_at(at);
        let unit: Option<f64> = match unit.to_lowercase().as_str() {
            "" | "b" => Some(1.0),
            "kb" => Some(1e3),
            "mb" => Some(1e6),
            "gb" => Some(1e9),
            "kib" => Some(1024.0),
            "mib" => Some(1024.0 * 1024.0),
            "gib" => Some(1024.0 * 1024.0 * 1024.0),
            _ => None,
        };
        let number = number.trim().parse::<f64>().ok().filter(|n| *n > 0.0 && n.is_finite());
        match number.zip(unit) {
            Some((number, unit)) => Ok(Some((number * unit) as usize)),
            None => Err(Error::Usage(format!("--memory-limit {word}: give an amount such as 1GiB or 500MB"))),
        }
    }

    /// What is held out.
    pub fn hold_out(&self) -> HoldOut {
        HoldOut { seed: self.seed, share: self.val_frac, folds: self.folds, fold: self.fold }
    }

    /// The optimizer's share.
    pub fn optimizer_config(&self) -> OptimizerConfig {
        OptimizerConfig {
            kind: self.optimizer,
            momentum: self.momentum,
            alpha: self.alpha,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            eps_in_root: self.eps_in_root,
            weight_decay: self.weight_decay,
        }
    }

    /// The learning rate's course.
    pub fn schedule_config(&self) -> ScheduleConfig {
        ScheduleConfig {
            kind: self.schedule,
            warmup: self.warmup,
            lr_min: self.lr_min,
            decay: self.decay,
            decay_after: self.decay_after,
            decay_every: self.decay_every,
            patience: self.decay_patience,
        }
    }

    /// How samples are drawn.
    pub fn sampler(&self) -> SamplerConfig {
        SamplerConfig { temperature: self.temperature, ..SamplerConfig::default() }
    }

    /// The training loop's share.
    pub fn train_config(&self) -> TrainConfig {
        TrainConfig {
            seed: self.seed,
            precision: self.precision,
            lr: self.lr,
            optimizer: self.optimizer_config(),
            schedule: self.schedule_config(),
            clip_norm: self.clip_norm,
            clip_value: self.clip_value,
            accumulate: self.accumulate,
            average: self.average,
            epochs: self.epochs,
            max_steps: self.max_steps,
            max_time: self.max_time,
            patience: self.patience,
            diverged_at: self.diverged_at,
            log_every: self.log_every,
            val_every: self.val_every,
            checkpoint_every: self.checkpoint_every,
            sample_every: self.sample_every,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_config_reads_back_and_holds_every_key() {
        for (name, _) in crate::task::PRESETS {
            let settings = Settings::preset(name).unwrap().resolve().unwrap();
            let text = settings.to_toml();
            assert_eq!(Settings::from_toml(&text, Path::new("config.toml")).unwrap(), settings, "{name}");
            assert!(KEYS.iter().all(|key| text.contains(&format!("\n{} = ", key.name))));
        }
    }

    #[test]
    fn every_key_can_be_set_from_text_to_what_it_is() {
        let mut settings = Settings::default();
        for key in KEYS {
            let text = settings.get(key.name);
            settings.set(key.name, &text).unwrap_or_else(|e| panic!("{}: {e}", key.name));
        }
        assert_eq!(settings, Settings::default());
        settings.set("checkpoint-every", "20").unwrap();
        assert_eq!(settings.checkpoint_every, Every::Steps(20));
        settings.set("checkpoint_every", "2m").unwrap();
        assert_eq!(settings.checkpoint_every, Every::Time(Span::from_secs(120)));
        settings.set("lr", "1").unwrap();
        assert_eq!(settings.lr, 1.0);
    }

    #[test]
    fn wrong_words_are_refused_with_the_flag_and_the_remedy() {
        let mut settings = Settings::default();
        let mut message = |name: &str, text: &str| settings.set(name, text).unwrap_err().to_string();
        assert_eq!(message("lr", "nan"), "--lr nan: give a number, such as 0.004");
        assert!(message("hidden", "-3").contains("whole number"));
        assert!(message("hiden", "3").contains("did you mean `hidden`"));
        assert!(message("cell", "lstn").contains("lstm"));
        assert!(message("init", "normal").contains("normal:DEVIATION"));
        assert!(message("max_time", "10").contains("10m"));
        let file = |text: &str| Settings::from_toml(text, Path::new("c.toml")).unwrap_err().to_string();
        assert_eq!(file("seed = 1\nlrr = 2\n"), "c.toml: line 2: there is no setting `lrr`; did you mean `lr`?");
        assert!(file("seed = 1\nlr = \"x\"\n").contains("line 2"), "{}", file("seed = 1\nlr = \"x\"\n"));
        let resolve = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.resolve().unwrap_err().to_string()
        };
        assert!(resolve(|s| s.hidden = 0).contains("--hidden 0"));
        assert!(resolve(|s| s.layers = 0).contains("--layers 0"));
        assert!(resolve(|s| s.lr = -1.0).contains("--lr -1"));
        assert!(resolve(|s| s.val_frac = 1.0).contains("--val-frac 1"));
        assert!(resolve(|s| s.temperature = -1.0).contains("--temperature -1"));
    }
}
