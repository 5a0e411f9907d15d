//! The list of settings: a field here is a flag of the command line, a key of `config.toml`, an environment variable
//! `ELMAN_*` and a row of the documentation.

use serde::{Deserialize, Serialize};

use super::ranges::{self, Check};
use super::words::{ClassWeights, InitWord, Keep, Sizes, Whether};
use crate::cell::{CellKind, FORGET_BIAS};
use crate::data::columns::Choice;
use crate::data::table::Form;
use crate::data::words::Level;
use crate::data::{HoldOut, Standardize, Units};
use crate::decode::{BeamConfig, SamplerConfig};
use crate::error::{Error, Result};
use crate::file::Encoding;
use crate::layer::{AttentionKind, Pooling};
use crate::optim::{OptimizerConfig, OptimizerKind, ScheduleConfig, ScheduleKind};
use crate::param::Init;
use crate::train::{Every, Precision, Reduce, Span, TrainConfig};

/// The share of a run that its warm-up takes at most.
const WARMUP_SHARE: f64 = 0.1;

/// One setting, as the documentation and the command line show it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The field's name, such as `clip_norm`; the flag is `--clip-norm`.
    pub name: &'static str,
    /// Its name in version 0.1, which is still read; empty where it has not changed.
    pub old_name: &'static str,
    /// What it does, in sentences.
    pub help: &'static str,
    /// The heading it stands under.
    pub group: &'static str,
    /// Whether it is a number that may be left to the data.
    pub may_be_auto: bool,
}

impl Key {
    /// The flag: `--clip-norm`.
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// The key of this name, written with `_` or `-`, or of this old name.
    pub fn find(name: &str) -> Option<&'static Key> {
        let name = name.replace('-', "_");
        KEYS.iter().find(|key| key.name == name || (!name.is_empty() && key.old_name == name))
    }
}

/// Declares [`Settings`], their defaults, ranges and [`KEYS`] from one list.
macro_rules! settings {
    ($($group:literal: { $(
        $(#[doc = $help:literal])+
        $name:ident $((was $old:ident))?: $type:ty $(as $auto:literal)? = $default:expr $(=> $check:expr)?;
    )+ })+) => {
        /// All settings of a run. In files an absent key has its task's default, an unknown one is an error.
        ///
        /// Every task reads some of them ([`Task::reads`](crate::task::Task::reads)); a setting that the task does not
        /// read must keep its default.
        ///
        /// ```
        /// use elman::{Error, Settings};
        ///
        /// let mut settings = Settings::for_task("classify-text")?;
        /// settings.set("hidden", "32")?;
        /// settings.pooling = elman::layer::Pooling::Max;
        /// assert!(matches!(settings.set("hiden", "32"), Err(Error::UnknownSetting { .. })));
        /// # Ok::<(), elman::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Settings {
            $($($(#[doc = $help])+ $(#[serde(with = $auto)])? pub $name: $type,)+)+
        }

        impl Settings {
            /// Every setting at the value that tasks' defaults start from.
            pub(crate) fn base() -> Self {
                Settings { $($($name: $default,)+)+ }
            }

            /// Checks the range of every value.
            ///
            /// # Errors
            /// [`Error::Setting`] for the first that is outside.
            pub(super) fn check_ranges(&self) -> Result<()> {
                $($($({
                    let check: Check<$type> = $check;
                    // What is left to the data is outside every range.
                    if let Some(requirement) = check(&self.$name).filter(|_| self.get(stringify!($name)) != "auto") {
                        return Err(Error::setting(stringify!($name), self.get(stringify!($name)), requirement));
                    }
                })?)+)+
                Ok(())
            }
        }

        /// Every setting, in the order of the documentation.
        pub const KEYS: &[Key] = &[
            $($(Key {
                name: stringify!($name),
                old_name: concat!($(stringify!($old))?),
                help: concat!($($help),+),
                group: $group,
                may_be_auto: !concat!($($auto)?).is_empty(),
            },)+)+
        ];
    };
}

settings! {
    "Task": {
        /// What is learned: one of the tasks that `elman train --help` lists.
        task: String = String::from("language-model");
        /// The training data; without any, data that the program contains or generates. Several texts stand on a line each.
        file: String = String::new();
        /// Parallel texts: the source side, one text per line.
        source: String = String::new();
        /// Parallel texts: the target side, line by line the translation of the source.
        target: String = String::new();
        /// Image features: a matrix with a row per image (.npy, .safetensors).
        features: String = String::new();
        /// Captions: a table of row (or image, with images), split and caption.
        captions: String = String::new();
        /// The folder of the images that the captions name, instead of features.
        images: String = String::new();
        /// A pretrained image encoder (.onnx) that makes the features; it is not trained.
        encoder: String = String::new();
        /// The encoder's output to use, by name, such as a feature map for attention; empty for its first.
        encoder_output: String = String::new();
        /// Validation source of parallel texts.
        val_source: String = String::new();
        /// Validation target of parallel texts.
        val_target: String = String::new();
        /// Begin from the weights of this model, or of the best of this run folder: its sizes, its reader and its vocabulary
        /// stay, new tokens and labels are added.
        from: String = String::new();
    }
    "Network": {
        /// Cell of every recurrent layer: lstm, lstm-peephole, gru, gru-reset-before, rnn-tanh, rnn-relu.
        cell: CellKind = CellKind::Gru;
        /// Recurrent layers.
        layers: usize as "super::auto" = 1 => ranges::size;
        /// Hidden units of each layer.
        hidden: usize as "super::auto" = 512 => ranges::size;
        /// Width of the token embedding; 0 for one-hot input.
        embedding: usize as "super::auto" = 0 => ranges::size_or_none;
        /// Tie the output layer to the embedding; the embedding must be as wide as the hidden layer.
        tied: bool = false;
        /// Dropout probability between layers and before the output.
        dropout: f64 as "super::auto" = 0.3 => ranges::probability;
        /// Read each sequence in both directions; such a model needs the whole sequence, so it cannot run live.
        bidirectional: bool = false;
        /// Hidden units of the encoder in each direction; 0 for half of the decoder's.
        encoder_hidden: usize = 0 => ranges::size_or_none;
        /// Attention of the decoder: dot, general or additive.
        attention: AttentionKind = AttentionKind::General;
        /// Dropout probability of the image features.
        feature_dropout: f64 = 0.3 => ranges::probability;
        /// Decoder layers above the attention.
        upper_layers: usize = 1;
        /// Conditional GRU decoder: two cells that share a state with attention between them, instead of layers below and
        /// above the attention; layers then counts those of the encoder. Captions need a feature map for it.
        conditional: bool = false;
        /// Channels of the convolutions (3x3, stride 2) applied to images or frames first, such as 16,32,64.
        convs: Sizes = Sizes::default();
        /// Widths of the dense layers after the convolutions, such as 256,128.
        dense: Sizes = Sizes::default();
        /// Pooling over the steps of a sequence: last, mean, max, max-mean or attention.
        pooling: Pooling = Pooling::MaxMean;
        /// Dropout probability of embedded tokens.
        embedding_dropout: f64 as "super::auto" = 0.0 => ranges::probability;
        /// Use the same dropout mask at all steps of a sequence, of tokens and, in classify-text, between layers (Gal &
        /// Ghahramani 2016).
        locked_dropout: bool = false;
        /// Dropout probability of recurrent weights, the same mask at all steps (DropConnect, Merity et al. 2017).
        weight_drop: f64 = 0.0 => ranges::probability;
        /// Label smoothing: the share of a target's probability that is spread over all classes.
        label_smoothing: f64 = 0.0 => ranges::probability;
        /// Scheduled sampling: the probability that the decoder is fed its own prediction; grows linearly from 0 to this
        /// over the epochs or max_steps of the run.
        scheduled_sampling: f64 = 0.0 => ranges::probability;
        /// Huber loss of a regression: errors beyond this many standard deviations count linearly, not squared; 0 for never,
        /// auto: by how far targets lie from their mean.
        huber: f64 as "super::auto" = 0.0 => ranges::from_zero;
        /// Per-class loss weights: equal, or balanced (inverse class frequency).
        class_weights: ClassWeights = ClassWeights::Equal;
        /// Weight initialisation: pytorch (uniform within 1/sqrt(H)), orthogonal, uniform:BOUND or normal:STD.
        init: InitWord = InitWord(Init::Fan);
        /// Initial bias of an LSTM's forget gate: PyTorch draws it around 0, Keras and char-rnn set 1 (Jozefowicz et al.
        /// 2015).
        forget_bias: f64 = FORGET_BIAS => ranges::finite;
        /// Train one bias of each recurrent layer, as min-char-rnn has, instead of PyTorch's two, which move it twice as
        /// fast; not for the cells gru.
        single_bias: bool = false;
    }
    "Data": {
        /// Tokens are bytes instead of characters; reads any file at all.
        bytes: bool = false;
        /// Share of the data that is held out for validation; of a text, its end. auto: a quarter of fewer than 300 series whose
        /// numbers are predicted, since by it the length of training is chosen; else a tenth.
        val_frac: f64 as "super::auto" = 0.1 => ranges::share;
        /// A file of validation data, instead of part of the training data.
        val: String = String::new();
        /// The column of the text, by name or by number from 1.
        text_column: String = String::new();
        /// The column of the label, by name or by number from 1.
        label_column: String = String::new();
        /// Several labels a text: what stands between them in a cell, such as `;`. A list in JSON is several labels without it.
        label_separator: String = String::new();
        /// The column that says which rows are the steps of one sequence, by name or by number from 1.
        sequence_column: String = String::new();
        /// Columns that are not inputs, by name or by number from 1, separated by commas.
        ignore: String = String::new();
        /// The columns that alone are inputs, by name or by number from 1, separated by commas; without them, columns that
        /// count rows or name them are left out, and named.
        use_columns (was use): String = String::new();
        /// The size to which images are scaled, N x N; 0: the size that most of them have.
        image_size (was size): usize = 0;
        /// Whether the first row of a table is a header: auto, yes or no.
        header: String = String::from("auto") => ranges::header;
        /// The encoding of texts and tables, such as cp949, shift_jis or cp1252; auto: UTF-8, or UTF-16 where the bytes tell it.
        encoding: String = String::from("auto") => ranges::encoding;
        /// Leave out rows of a table that have another number of cells than the others, or no text or label; they are counted.
        skip_bad: bool = false;
        /// Pairs in one table: the column of the source, by name or by number from 1.
        source_column: String = String::new();
        /// Pairs in one table: the column of the target, by name or by number from 1.
        target_column: String = String::new();
        /// Tokens of a text: word, subword (learned from the data) or char.
        level: Level = Level::Char;
        /// Tokens of the texts that are read and written: subword, word or char.
        units: Units = Units::Subword;
        /// Lower-case texts before tokenization and for scoring.
        lowercase: bool = false;
        /// Maximum vocabulary size; rarer words become one unknown token. Of characters (and auto: by the text) those beyond
        /// ASCII that are rarer are spelled by their bytes.
        vocab_size: usize as "super::auto" = 20_000 => ranges::size;
        /// Words that occur fewer times in training become the unknown token.
        vocab_min: usize = 2;
        /// Maximum number of tokens: longer texts to classify keep their first quarter and last three quarters of it,
        /// longer training pairs and captions are left out; 0 for no limit.
        max_len: usize = 400;
        /// Probability of replacing an input word (of pairs: a token) with the unknown token in training.
        word_dropout: f64 = 0.0 => ranges::probability;
        /// BPE-dropout: the probability of skipping a merge when training texts are tokenized (Provilkov et al. 2020).
        subword_dropout: f64 = 0.0 => ranges::probability;
        /// Initialise word embeddings with the words' naive Bayes log-odds, times this; 0 for none.
        nb_log_odds (was word_odds): f64 = 0.0 => ranges::from_zero;
        /// Feed the output layer naive Bayes scores of a text's words and bigrams, with this initial weight; 0 for none.
        naive_bayes: f64 = 0.0 => ranges::from_zero;
        /// Pretrained word vectors: a file with a word and its numbers per line (GloVe, fastText).
        embeddings: String = String::new();
        /// Steps of a series that are read at once, their mean apart; 1 for none, auto: by the length of the series.
        window: usize as "super::auto" = 1 => ranges::size;
        /// Steps from one window to the next.
        stride: usize as "super::auto" = 1 => ranges::size;
        /// Standardise series by the mean and deviation of all of them (all), each by its own (series), each by its own with
        /// these as inputs (moments), or auto: by its own, unless these tell the classes apart.
        standardize: Standardize = Standardize::All;
        /// Read each image as a sequence of its rows.
        rows: bool = false;
        /// Frames seen at each step: the current one and those before it (bidirectional: around it).
        context: usize = 1 => ranges::size_or_none;
        /// Predict this many frames late, having seen the frames in between.
        lookahead: usize as "super::auto" = 0 => ranges::lookahead;
        /// Feed differences between successive frames instead of the earlier frames themselves.
        differences: bool = false;
        /// The background class, left out of some measures; auto finds sil, background, none and the like.
        background: String = String::from("auto");
        /// Augmentation: shift images by up to this many pixels.
        shift: usize = 0;
        /// Augmentation: mirror images half of the time.
        mirror: bool = false;
        /// Augmentation: rotate images by up to this many degrees and scale them by up to as many percent.
        distort: f64 = 0.0 => ranges::from_zero;
        /// Augmentation: vary brightness and contrast of images by this share.
        gain: f64 = 0.0 => ranges::probability;
        /// Augmentation: standard deviation of the noise added to images and numbers.
        noise: f64 as "super::auto" = 0.0 => ranges::from_zero;
        /// Augmentation: shift frames in time by up to this many, repeating or skipping single ones.
        jitter: usize = 0;
        /// Calibrate the probabilities on the validation data (temperature scaling, Guo et al. 2017).
        calibrate: bool = false;
        /// Cross-validation: train this many networks, each with another part held out, and report the mean.
        folds: usize = 0;
        /// The fold to hold out, from 1; 0 for all folds in turn.
        fold: usize = 0;
        /// Sequences per batch.
        batch: usize as "super::auto" = 32 => ranges::size;
        /// Steps per update of truncated backpropagation through time.
        seq_len: usize as "super::auto" = 128 => ranges::size;
        /// Probability that a sequence starts a step from the zero state instead of the carried one.
        state_reset: f64 = 0.05 => ranges::probability;
    }
    "Optimizer": {
        /// sgd, adagrad, rmsprop, adam or adamw.
        optimizer: OptimizerKind = OptimizerKind::Adamw;
        /// Peak learning rate.
        lr: f64 as "super::auto" = 0.004 => ranges::positive;
        /// Momentum of sgd and rmsprop.
        momentum: f64 = 0.0;
        /// Decay of rmsprop's mean square.
        alpha: f64 = 0.95;
        /// Decay of adam's first moment.
        beta1: f64 = 0.9;
        /// Decay of adam's second moment.
        beta2: f64 = 0.99;
        /// Added to the root in adagrad, rmsprop and adam.
        eps: f64 = 1e-8;
        /// adagrad: eps stands under the root, as in min-char-rnn.
        eps_in_root: bool = false;
        /// Weight decay of the matrices (adamw: decoupled; others: L2).
        weight_decay: f64 = 0.02;
        /// Layers that stay as they are, by the names that `elman inspect` lists, separated by commas: embedding,rnn.0.
        freeze: String = String::new();
        /// Maximum global gradient norm; 0 for no clipping.
        clip_norm: f64 = 1.0 => ranges::from_zero;
        /// Maximum absolute value of each gradient element; 0 for no clipping.
        clip_value: f64 = 0.0 => ranges::from_zero;
        /// Batches whose gradients are accumulated for one update.
        accumulate: usize = 1 => ranges::size;
        /// Decay of the exponential moving average of the weights, which is what is validated and kept; 0 for none.
        ema_decay (was average): f64 as "super::auto" = 0.0 => ranges::probability;
    }
    "Schedule": {
        /// Learning rate schedule: constant, step, exponential, cosine or plateau.
        schedule: ScheduleKind = ScheduleKind::Cosine;
        /// Updates of linear warm-up, at most a tenth of the run.
        warmup: u64 = 50;
        /// Minimum learning rate as a ratio of the peak; where a cosine ends.
        min_lr_ratio (was lr_min): f64 = 0.01;
        /// Factor of one decay: step, exponential, plateau.
        decay: f64 = 0.5;
        /// Epochs before the first decay: step, exponential.
        decay_after: f64 = 0.0;
        /// Epochs between decays: step, exponential.
        decay_every: f64 = 1.0;
        /// Validations without improvement before a plateau decays.
        decay_patience: u32 = 2;
    }
    "Length": {
        /// Passes over the data; 0 for as many as max_time and max_steps allow, or 20 where neither is given.
        epochs: f64 as "super::auto" = 0.0 => ranges::from_zero;
        /// Maximum number of updates; 0 for no limit.
        max_steps: u64 = 0;
        /// Maximum time, such as 90s, 10m or 2h; 0s for no limit. The schedule ends with it, so such a run depends on the
        /// speed of the machine.
        max_time: Span = Span::ZERO;
        /// Early stopping: validations without improvement before training ends; 0 for never.
        patience: u32 = 0;
        /// Which weights are kept: best by validation, or last, those of the end; auto: last where fewer than 300 examples are
        /// learned from, too few to choose by (but not of series whose numbers are predicted, which a long training learns by
        /// heart), and in cross-validation, where the held-out part is the judge.
        keep: Keep = Keep::Best;
        /// Train once more on all data, the validation data too, for as many updates as brought the weights that are kept, and
        /// keep that: yes, no or auto, which is yes where fewer than 300 examples are learned from.
        refit: Whether = Whether::No;
        /// A running mean of the loss above this many times its lowest (and above the first) counts as divergence; 0 for
        /// never.
        diverged_at: f64 = 3.0 => ranges::from_zero;
    }
    "Run": {
        /// Random seed: runs with the same seed are bit-identical, on any number of threads.
        seed: u64 = 1;
        /// The version of the rules by which data are held out and batches split: 2; runs that version 0.1 began go on by 1.
        rules: u64 = 2 => ranges::rules;
        /// Threads; 0 for all cores. They change the time, not the result.
        threads: usize = 0 => ranges::threads;
        /// Precision of the products in training: f32, or bf16, which rounds their operands (not of convolutions and
        /// attention) to bfloat16 and accumulates in f32: faster on CPUs with AVX512-BF16, slower elsewhere. Weights stay
        /// f32.
        precision: Precision = Precision::F32;
        /// Split every batch into 8 parts (as many as it has sequences, if fewer), whose gradients are added in one order: so
        /// 1, 2, 4 or 8 processes have the same bits. Without it a batch has as many parts as suit it and the processes.
        deterministic: bool = false;
        /// How gradients travel between processes: f32, or bf16, rounded to bfloat16, in half the time.
        reduce: Reduce = Reduce::F32;
        /// Memory limit of training, such as 1GiB or 500MB: activations of long sequences are recomputed instead of kept;
        /// empty for no limit.
        memory_limit: String = String::new();
        /// Updates between records of the metrics.
        log_every: u64 = 20 => ranges::count;
        /// Updates between validations; 0 for once an epoch, and at least 10 and at most 40 times in a run.
        val_every: u64 = 0;
        /// Updates, or time as in 60s, between checkpoints.
        checkpoint_every: Every = Every::Time(Span::from_secs(60));
        /// Validations between samples of what the model writes; 0 for none.
        sample_every: u64 = 1;
    }
    "Decoding": {
        /// Beam width; 1 for greedy decoding.
        beam: usize = 5;
        /// Beam width used for validation during training.
        val_beam: usize = 1;
        /// Maximum number of validation examples that are decoded during training; 0 for all.
        val_limit: usize = 1000;
        /// Length penalty: hypotheses are ranked by log-probability / length^this.
        length_penalty: f64 = 1.0 => ranges::from_zero;
        /// Coverage penalty weight (Wu et al. 2016).
        coverage_penalty: f64 = 0.0 => ranges::from_zero;
        /// Block repeated n-grams of this size; 0 for none.
        no_repeat_ngram: usize = 0;
    }
    "Samples": {
        /// Tokens of a sample shown during training.
        sample_length: usize = 200 => ranges::size_or_none;
        /// Sampling temperature; 0 for greedy.
        temperature: f64 = 0.8;
    }
}

impl Settings {
    /// The memory limit in bytes, if there is one.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is not an amount of memory.
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
            None => Err(Error::setting("memory_limit", word, "must be an amount of memory such as 1GiB or 500MB")),
        }
    }

    /// Whether a table's first row is a header, if the settings say.
    pub fn header(&self) -> Option<bool> {
        match self.header.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    }

    /// What is said of the form of tables and texts.
    pub fn form(&self) -> Form {
        // What is no encoding was refused with the ranges.
        Form { header: self.header(), encoding: self.encoding(), skip_bad: self.skip_bad }
    }

    /// The height and width to which images are scaled, if that is said.
    pub(crate) fn scaled_size(&self) -> Option<[usize; 2]> {
        (self.image_size > 0).then_some([self.image_size; 2])
    }

    /// The encoding of texts.
    pub fn encoding(&self) -> Encoding {
        Encoding::named(&self.encoding).unwrap_or_default()
    }

    /// What is held out.
    pub fn hold_out(&self) -> HoldOut {
        HoldOut { seed: self.seed, share: self.val_frac, folds: self.folds, fold: self.fold }
    }

    /// Which columns of a table are inputs.
    pub(crate) fn choice(&self) -> Choice {
        Choice { ignore: self.ignore.clone(), only: self.use_columns.clone(), looks: self.rules > 1, words: None }
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
            warmup_share: if self.rules == 1 { 1.0 } else { WARMUP_SHARE },
            min_lr_ratio: self.min_lr_ratio,
            decay: self.decay,
            decay_after: self.decay_after,
            decay_every: self.decay_every,
            patience: self.decay_patience,
        }
    }

    /// How texts are decoded.
    pub fn beam_config(&self) -> BeamConfig {
        BeamConfig {
            beam: self.beam,
            length_penalty: self.length_penalty,
            coverage_penalty: self.coverage_penalty,
            no_repeat_ngram: self.no_repeat_ngram,
            ..BeamConfig::default()
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
            reduce: self.reduce,
            lr: self.lr,
            optimizer: self.optimizer_config(),
            schedule: self.schedule_config(),
            clip_norm: self.clip_norm,
            clip_value: self.clip_value,
            accumulate: self.accumulate,
            average: self.ema_decay,
            epochs: self.epochs,
            max_steps: self.max_steps,
            max_time: self.max_time,
            patience: self.patience,
            diverged_at: self.diverged_at,
            log_every: self.log_every,
            val_every: self.val_every,
            keeps_last: self.keep == Keep::Last,
            rules: self.rules,
            checkpoint_every: self.checkpoint_every,
            sample_every: self.sample_every,
        }
    }
}
