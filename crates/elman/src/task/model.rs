//! A trained model of any task: what every front end asks of it.

use std::any::Any;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::plan::Callback;
use crate::data::Matrix;
use crate::data::encoder::Encoder;
use crate::data::table::Table;
use crate::decode::{BeamConfig, SamplerConfig};
use crate::error::{Error, Result};
use crate::metric::Evaluation;
use crate::settings::Settings;

/// A trained model of any task.
pub trait Model: Send + Sync + Debug {
    /// The name of its task.
    fn task(&self) -> &'static str;

    /// The classes it tells apart, in the order of its outputs; none where it does not classify.
    fn labels(&self) -> &[String] {
        &[]
    }

    /// What it reads and predicts: names and texts, a line each.
    fn describe(&self) -> Vec<(&'static str, String)>;

    /// The kind of input that [`Self::predict`] takes.
    fn reads(&self) -> Reads;

    /// Evaluates it on the data that `data` names, by the same settings as in training; column names left empty are those
    /// of the training. `callback` hears of preparations that take long. Runs on the current thread pool.
    ///
    /// # Errors
    /// Any reader error; data of another kind than it was trained on; options that contradict each other.
    fn evaluate(&self, data: &Settings, options: &Evaluate, callback: &mut Callback) -> Result<Evaluation>;

    /// A prediction for each input (for each row, series or sequence of a table or file), in their order. Runs on the
    /// current thread pool.
    ///
    /// # Errors
    /// Any reader error; input of another kind than [`Self::reads`] says.
    fn predict(&self, input: Input, options: &Predict) -> Result<Vec<Prediction>>;

    /// Ready to answer a stream, step by step, in constant memory.
    ///
    /// # Errors
    /// [`Error::Usage`] if the model does not answer step by step.
    fn stream(&self) -> Result<Box<dyn Stream>> {
        Err(no_steps(self.task()))
    }

    /// Goes on from a prompt.
    ///
    /// # Errors
    /// [`Error::Usage`] if the model does not write from a prompt; a token of the prompt that it does not know.
    fn sample(&self, prompt: &str, options: &Sample) -> Result<String> {
        let _ = (prompt, options);
        Err(Error::Usage(format!("a model of the task {} does not go on from a prompt", self.task())))
    }

    /// Lets another model vote: predictions come from the mean of their probabilities.
    ///
    /// # Errors
    /// [`Error::Usage`] if the models do not fit together, or models of this task do not vote.
    fn join(&mut self, other: Box<dyn Model>) -> Result<()> {
        let _ = other;
        Err(Error::Usage(format!("models of the task {} do not predict together", self.task())))
    }

    /// The concrete type, to join models of one kind.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// The kind of input a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Texts.
    Texts,
    /// Rows of tables.
    Rows,
    /// Files, each an input or a matrix of inputs.
    Files,
    /// Files or tables of sequences; or a stream of steps, see [`Model::stream`].
    Sequences,
}

/// What predictions are made for.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Texts, a prediction for each.
    Texts(&'a [&'a str]),
    /// A table: a prediction for each of its rows, series or sequences.
    Table(&'a Table),
    /// A file: an image, a clip, a table, a matrix of features, as the model reads.
    File(&'a Path),
    /// An image in memory.
    Image(Bitmap<'a>),
    /// Features in memory, a prediction for each row: what a model of captions reads of an image.
    Features(&'a Matrix),
}

/// An image in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bitmap<'a> {
    /// `[height, width, channels]`, 0 to 255.
    pub pixels: &'a [u8],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
}

/// Declares a set of options, each given or not.
macro_rules! options {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $help:literal])+ $option:ident: $type:ty,)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[doc = $help])+ pub $option: Option<$type>,)+
        }

        impl $name {
            /// Its options.
            pub const NAMES: &[&str] = &[$(stringify!($option)),+];

            /// Those that were given, with their values as text.
            pub fn given(&self) -> Vec<(&'static str, String)> {
                let mut given = Vec::new();
                $(if let Some(value) = &self.$option {
                    given.push((stringify!($option), format!("{value:?}").trim_matches('"').to_string()));
                })+
                given
            }

            /// The beam search that was asked for, with the model's own `config` for the rest.
            pub(super) fn beam_config(&self, config: &BeamConfig) -> Result<BeamConfig> {
                let config = BeamConfig {
                    beam: self.beam.unwrap_or(config.beam),
                    length_penalty: self.length_penalty.unwrap_or(config.length_penalty),
                    coverage_penalty: self.coverage_penalty.unwrap_or(config.coverage_penalty),
                    no_repeat_ngram: self.no_repeat_ngram.unwrap_or(config.no_repeat_ngram),
                    min_length: self.min_length.unwrap_or(config.min_length),
                    ..config.clone()
                };
                config.validate()?;
                Ok(config)
            }
        }
    };
}

options! {
    /// Options of an evaluation; each is read by some tasks only ([`Task::evaluate`](super::Task::evaluate)).
    Evaluate {
        /// The part to evaluate on, of data that come in parts: train, dev, test or all; test where there is one.
        split: String,
        /// The number of worst mistakes to list; 5.
        mistakes: usize,
        /// Of two classes: return the points of the ROC and precision-recall curves.
        curves: bool,
        /// Start at this share of the text: 0.9 evaluates its last tenth.
        from: f64,
        /// Also evaluate with weights that adapt to what has been read (dynamic evaluation).
        dynamic: bool,
        /// Learning rate of the adaptation.
        dynamic_lr: f64,
        /// Share of the way back to the trained weights after each 64 tokens.
        dynamic_decay: f64,
        /// Leave out tokens that the model does not know.
        skip_unseen: bool,
        /// Beam width.
        beam: usize,
        /// Hypotheses are ranked by log-probability / length^this.
        length_penalty: f64,
        /// Coverage penalty weight (Wu et al. 2016).
        coverage_penalty: f64,
        /// Block repeated n-grams of this size; 0 for none.
        no_repeat_ngram: usize,
        /// Minimum length in tokens.
        min_length: usize,
    }
}

options! {
    /// Options of predictions; each is read by some tasks only ([`Task::predict`](super::Task::predict)).
    Predict {
        /// The column of the label, which is not an input; that of the training.
        label_column: String,
        /// The column that says which rows are the steps of one sequence; that of the training.
        sequence_column: String,
        /// Say how much each word speaks for the predicted class.
        explain: bool,
        /// The number of best texts to return; 1.
        nbest: usize,
        /// Keep where the decoder attended to as it wrote each word.
        attention: bool,
        /// The image encoder (.onnx), the one the model was trained with.
        encoder: PathBuf,
        /// Beam width.
        beam: usize,
        /// Hypotheses are ranked by log-probability / length^this.
        length_penalty: f64,
        /// Coverage penalty weight (Wu et al. 2016).
        coverage_penalty: f64,
        /// Block repeated n-grams of this size; 0 for none.
        no_repeat_ngram: usize,
        /// Minimum length in tokens.
        min_length: usize,
    }
}

/// How a model goes on from a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Tokens to write.
    pub length: usize,
    /// How tokens are drawn.
    pub sampler: SamplerConfig,
    /// The same seed writes the same text.
    pub seed: u64,
    /// End before this text; never where it is empty.
    pub stop: String,
}

impl Default for Sample {
    fn default() -> Self {
        Sample { length: 500, sampler: SamplerConfig::default(), seed: 1, stop: String::new() }
    }
}

/// What was predicted for an input.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The input's name: its text, its line, its file.
    pub input: String,
    /// The prediction.
    pub output: Output,
    /// What a person should know, such as that the input was cut or is like nothing in training.
    pub warning: Option<String>,
}

/// A prediction.
#[derive(Clone, Debug)]
pub enum Output {
    /// A class.
    Class {
        /// The probability of each class `[V]`, in the order of [`Model::labels`].
        probabilities: Vec<f64>,
        /// With `explain`: each word that was read, and the nats that it adds to the log-probability of the class.
        words: Vec<(String, f64)>,
    },
    /// Several labels, each of which holds or does not.
    Labels {
        /// The probability that each label holds `[V]`, in the order of [`Model::labels`].
        probabilities: Vec<f64>,
        /// With `explain`: each word that was read, and the nats that it adds to the log-probability of the likeliest label.
        words: Vec<(String, f64)>,
    },
    /// A number.
    Value(f64),
    /// A class at each step.
    Steps {
        /// The probability of each class `[T][V]`.
        probabilities: Vec<Vec<f64>>,
        /// Steps per second, where that is known.
        fps: Option<f64>,
    },
    /// Texts, the best first.
    Texts {
        /// The texts.
        written: Vec<Written>,
        /// What the decoder attended to.
        source: Source,
    },
}

/// A text that was written, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Its log-probability.
    pub log_prob: f64,
    /// What hypotheses are ranked by.
    pub score: f64,
    /// With `attention`: its words, and how much the decoder attended to each position of the source as it wrote them.
    pub words: Vec<(String, Vec<f32>)>,
}

/// What a decoder attends to.
#[derive(Clone, Debug)]
pub enum Source {
    /// The tokens of a text, without the end.
    Tokens(Vec<String>),
    /// A vector of features, or the positions of a feature map.
    Features {
        /// Rows and columns of the map, where they are known.
        grid: Option<(usize, usize)>,
        /// What made the features of an image, if it was made here.
        encoder: Option<Arc<Encoder>>,
    },
}

/// The index of the largest of some probabilities, the first of equals.
pub fn most_likely(probabilities: &[f64]) -> usize {
    crate::metric::argmax(probabilities)
}

/// A model at work on a stream.
pub trait Stream: Send {
    /// What a step is.
    fn reads(&self) -> StepKind;

    /// Reads a frame `[height, width, channels]`; returns the prediction that is due.
    ///
    /// # Errors
    /// [`Error::Usage`] if the frame is of another size, or steps are not frames.
    fn frame(&mut self, frame: &[u8]) -> Result<Option<Found>>;

    /// Reads a line of a table; returns the prediction that is due. `path` is what messages name.
    ///
    /// # Errors
    /// [`Error::Usage`] if steps are not lines; [`Error::Data`] with the line.
    fn line(&mut self, line: &[u8], path: &Path) -> Result<Option<Found>>;

    /// The values that a row of numbers has ([`Self::numbers`]); 0 where the model does not read rows.
    fn columns(&self) -> usize;

    /// Reads a row of numbers `[C]`, one for each input column in the order of the training; NaN where a value is missing.
    /// Returns the prediction that is due.
    ///
    /// # Errors
    /// [`Error::Usage`] if steps are not rows of numbers, or the row has another number of values.
    fn numbers(&mut self, row: &[f64]) -> Result<Option<Found>>;

    /// The probability of each class `[V]` of the prediction returned last.
    fn probabilities(&self) -> &[f64];

    /// Begins anew, as before the first step.
    fn reset(&mut self);

    /// The predictions that are still due when the stream has ended.
    fn finish(self: Box<Self>) -> Vec<Found>;
}

/// What a step of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A frame of this size.
    Frames {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// 1 or 3.
        channels: usize,
    },
    /// A line of a table.
    Lines,
}

/// The prediction for a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The step, from 0.
    pub step: u64,
    /// Its class.
    pub class: usize,
    /// The probability of the class.
    pub probability: f64,
}

/// [`Error::Usage`]: the model takes inputs of another kind.
pub(super) fn wrong_input(reads: &str) -> Error {
    Error::Usage(format!("the model reads {reads}"))
}

/// The error of a model that does not answer a stream.
pub(super) fn no_steps(task: &str) -> Error {
    Error::Usage(format!("a model of the task {task} does not answer step by step"))
}
