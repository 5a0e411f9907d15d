//! A trained model of every supervised task.

use std::any::Any;

use super::baseline::Simple;
use super::examples::{outputs_alone, predicted};
use super::goal::Goal;
use super::reading::{Named, Reading};
use crate::error::{Error, Result};
use crate::file::HAS_FILES;
use crate::format::model::Loaded;
use crate::metric::{Evaluation, probabilities, sigmoid};
use crate::param::Params;
use crate::settings::Settings;
use crate::shape::Outputs;
use crate::task::metadata::{contradiction, params, part};
use crate::task::model::{Evaluate, Input, Model, Output, Predict, Prediction, Reads, Stream, most_likely, no_steps};
use crate::task::plan::Callback;
use crate::task::row::no_files;

/// Mistakes that are listed where nothing else is said.
const MISTAKES: usize = 5;

/// A network, its weights and how its inputs are read.
#[derive(Debug)]
pub(crate) struct SupervisedModel<S: Outputs, R> {
    network: S,
    params: Params<f32>,
    reading: R,
    temperature: f64,
    task: &'static str,
    /// Simple rules to compare it with.
    simple: Simple,
    /// Whether it was trained on data of the program.
    is_builtin: bool,
}

impl<S: Outputs, R: Reading<S>> SupervisedModel<S, R> {
    /// Reads a model or a checkpoint of this task.
    ///
    /// # Errors
    /// [`Error::Model`] if the file contradicts itself.
    pub(crate) fn open(loaded: &Loaded, task: &'static str) -> Result<Self> {
        let sizes: S::Config = part(loaded, "network")?;
        let reading = R::deserialize(loaded.document.config());
        let reading =
            reading.map_err(|error| contradiction(loaded, format!("its metadata cannot be used: {error}")))?;
        reading.check(&sizes).map_err(|reason| contradiction(loaded, reason))?;
        let network = S::from_config(sizes).map_err(|error| contradiction(loaded, error))?;
        let params = params(loaded, network.layout())?;
        let temperature: f64 = part(loaded, "temperature")?;
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(contradiction(loaded, format!("its `temperature` is {temperature}")));
        }
        let config = loaded.document.config();
        let simple: Simple = if config["baseline"].is_null() { Simple::default() } else { part(loaded, "baseline")? };
        if !simple.fits(reading.goal()) {
            return Err(contradiction(loaded, "its `baseline` does not fit what it predicts"));
        }
        let is_builtin = config["builtin"] == true;
        Ok(SupervisedModel { network, params, reading, temperature, task, simple, is_builtin })
    }

    /// The probabilities of the classes or labels `[V]` that each of these outputs `[T, V]` stands for.
    fn probabilities(&self, outputs: &[f32]) -> Vec<Vec<f64>> {
        let step = |logits: &[f32]| {
            if let Goal::Labels(_) = self.reading.goal() {
                return logits.iter().map(|z| sigmoid(f64::from(*z))).collect();
            }
            let mut p = Vec::new();
            probabilities(logits, self.temperature, &mut p);
            p
        };
        outputs.chunks_exact(self.reading.goal().outputs()).map(step).collect()
    }
}

impl<S: Outputs, R: Reading<S> + 'static> Model for SupervisedModel<S, R>
where
    S: 'static,
{
    fn task(&self) -> &'static str {
        self.task
    }

    fn labels(&self) -> &[String] {
        self.reading.goal().labels()
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        const NAMES: usize = 12;
        let mut lines = Vec::new();
        match self.reading.goal() {
            Goal::Classes(labels) | Goal::Labels(labels) => {
                let names = labels.names();
                let more = if names.len() > NAMES { ", .." } else { "" };
                let shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
                let several = if let Goal::Labels(_) = self.reading.goal() { ", several at a time" } else { "" };
                lines.push(("labels", format!("{}{several}: {shown}{more}", names.len())));
            }
            Goal::Value { mean, std } => lines.push(("predicts", format!("a number: output * {std} + {mean}"))),
        }
        lines.extend(self.reading.describe(self.network.sizes()));
        lines
    }

    fn reads(&self) -> Reads {
        self.reading.reads()
    }

    fn evaluate(&self, data: &Settings, options: &Evaluate, _: &mut Callback) -> Result<Evaluation> {
        if !HAS_FILES {
            return Err(no_files());
        }
        if data.file.is_empty() && !self.is_builtin {
            return Err(Error::Usage("name the data to evaluate on".into()));
        }
        let Named { examples, names, .. } =
            self.reading.labelled(data, options.split.as_deref().unwrap_or_default())?;
        let (evaluator, labels) = (self.reading.evaluator(self.temperature), self.labels());
        let outputs = outputs_alone(&self.network, &self.params, &examples);
        let predictions = predicted(&examples, &outputs);
        let mistakes = evaluator.mistakes(&predictions, &names, labels, options.mistakes.unwrap_or(MISTAKES));
        let curve = (options.curves == Some(true)).then(|| evaluator.curve(&predictions)).transpose()?;
        let goal = self.reading.goal();
        let baselines = self.simple.scores::<S, _>(&examples, &evaluator, goal, self.reading.rules(&examples));
        let shown = goal.shown::<S, _>(&examples, &predictions, self.temperature);
        Ok(Evaluation { mistakes, curve, baselines, shown, ..evaluator.evaluation(&predictions, labels) })
    }

    fn predict(&self, input: Input, options: &Predict) -> Result<Vec<Prediction>> {
        let Named { examples, names, fps, mut warnings } = self.reading.unlabelled(input, options)?;
        warnings.resize(names.len(), None);
        let one = |((input, warning), outputs): ((String, Option<String>), Vec<f32>)| {
            let output = match self.reading.goal() {
                Goal::Value { mean, std } => Output::Value(f64::from(outputs[0]) * std + mean),
                Goal::Classes(_) if R::EVERY_STEP => Output::Steps { probabilities: self.probabilities(&outputs), fps },
                goal @ (Goal::Classes(_) | Goal::Labels(_)) => {
                    let probabilities = self.probabilities(&outputs).pop().unwrap_or_default();
                    let mut words = Vec::new();
                    if options.explain == Some(true) {
                        let all = |examples: &R::Examples| {
                            let outputs = outputs_alone(&self.network, &self.params, examples);
                            outputs.iter().filter_map(|outputs| self.probabilities(outputs).pop()).collect()
                        };
                        words = self.reading.explain(&input, most_likely(&probabilities), &all);
                    }
                    match goal {
                        Goal::Labels(_) => Output::Labels { probabilities, words },
                        _ => Output::Class { probabilities, words },
                    }
                }
            };
            Prediction { input, output, warning }
        };
        Ok(names
            .into_iter()
            .zip(warnings)
            .zip(outputs_alone(&self.network, &self.params, &examples))
            .map(one)
            .collect())
    }

    fn stream(&self) -> Result<Box<dyn Stream>> {
        let stream = self.reading.stream(&self.network, &self.params, self.temperature);
        stream.unwrap_or_else(|| Err(no_steps(self.task)))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
