//! How a supervised task reads its inputs and what it predicts of them: all in which these tasks differ.

use std::fmt::Debug;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::examples::Examples;
use super::goal::Goal;
use crate::data::columns::Columns;
use crate::error::{Error, Result};
use crate::metric::Evaluator;
use crate::param::Params;
use crate::settings::Settings;
use crate::shape::Outputs;
use crate::task::model::{Input, Predict, Reads, Stream};

/// Examples and the name of each.
pub(crate) struct Named<E> {
    /// The examples.
    pub examples: E,
    /// Their names, as messages and predictions say them.
    pub names: Vec<String>,
    /// Steps per second, where that is known.
    pub fps: Option<f64>,
    /// What a person should know of an example, such as that training saw nothing like it; of each, or of none.
    pub warnings: Vec<Option<String>>,
}

impl<E> Named<E> {
    /// Examples of which nothing more is known.
    pub(crate) fn new(examples: E, names: Vec<String>) -> Self {
        Named { examples, names, fps: None, warnings: Vec::new() }
    }
}

/// How a task reads its inputs: a part of each model file, by the names of the fields.
pub(crate) trait Reading<S: Outputs>: Debug + Send + Sync + Serialize + DeserializeOwned {
    /// Its examples.
    type Examples: Examples<S>;

    /// The name of the shape in model files.
    const SHAPE: &'static str;

    /// Whether each example has a prediction at every step.
    const EVERY_STEP: bool = false;

    /// Checks that its parts fit each other and a network of these sizes; else says what does not.
    fn check(&self, sizes: &S::Config) -> std::result::Result<(), &'static str>;

    /// What is predicted.
    fn goal(&self) -> Goal<'_>;

    /// How predictions are evaluated; logits are divided by `temperature`.
    fn evaluator(&self, temperature: f64) -> Evaluator {
        self.goal().evaluator(temperature)
    }

    /// `V` of the tokens that it reads; 0 where it reads numbers.
    fn tokens(&self) -> usize {
        0
    }

    /// What it has more than another: labels, and tokens if it reads such.
    fn added_to(&self, old: &Self) -> Vec<(&'static str, Vec<String>)> {
        let known = old.goal().labels();
        let new = self.goal().labels().iter().filter(|label| !known.contains(label));
        vec![("label", new.map(|label| format!("{label:?}")).collect())]
    }

    /// Other simple rules of the task: their names, and their outputs for each example.
    fn rules(&self, examples: &Self::Examples) -> Vec<(&'static str, Vec<Vec<f32>>)> {
        let _ = examples;
        Vec::new()
    }

    /// Changes the weights before training.
    ///
    /// # Errors
    /// Any error of a file that they begin from.
    fn begin(&self, network: &S, settings: &Settings, train: &Self::Examples, params: &mut Params<f32>) -> Result<()> {
        let _ = (network, settings, train, params);
        Ok(())
    }

    /// What it reads and predicts: names and texts.
    fn describe(&self, sizes: &S::Config) -> Vec<(&'static str, String)>;

    /// The kind of input that predictions are made for.
    fn reads(&self) -> Reads;

    /// Reads examples with their targets: of data in parts the one that `split` names, else the test part.
    ///
    /// # Errors
    /// Any reader error.
    fn labelled(&self, data: &Settings, split: &str) -> Result<Named<Self::Examples>>;

    /// Reads inputs without targets.
    ///
    /// # Errors
    /// Any reader error; input of another kind.
    fn unlabelled(&self, input: Input, options: &Predict) -> Result<Named<Self::Examples>>;

    /// Each word of an input and what it adds to the log-probability of a class, in nats: `probabilities` are those of some
    /// examples.
    fn explain(
        &self,
        input: &str,
        class: usize,
        probabilities: &dyn Fn(&Self::Examples) -> Vec<Vec<f64>>,
    ) -> Vec<(String, f64)> {
        let _ = (input, class, probabilities);
        Vec::new()
    }

    /// Ready to answer a stream; none where it answers whole inputs alone.
    fn stream(&self, network: &S, params: &Params<f32>, temperature: f64) -> Option<Result<Box<dyn Stream>>> {
        let _ = (network, params, temperature);
        None
    }
}

impl Columns {
    /// Those that the settings name, and where they name none those of the training.
    pub(crate) fn complete(&self, data: &Settings) -> Columns {
        let or = |asked: &str, trained: &str| if asked.is_empty() { trained.into() } else { asked.to_string() };
        Columns {
            text: Some(or(&data.text_column, self.text())),
            label: or(&data.label_column, &self.label),
            label_separator: or(&data.label_separator, &self.label_separator),
            sequence: Some(or(&data.sequence_column, self.sequence())),
            header: data.header.clone(),
            form: data.form(),
        }
    }
}

/// Refuses a part of data that come in one piece.
///
/// # Errors
/// [`Error::Setting`] for `split`.
pub(crate) fn one_piece(split: &str, path: &Path) -> Result<()> {
    match split {
        "" | "all" => Ok(()),
        _ => Err(Error::setting("split", split, format!("{} comes in one piece", path.display()))),
    }
}
