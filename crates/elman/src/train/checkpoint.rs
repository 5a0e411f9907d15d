//! Writing and restoring checkpoints.
//!
//! A checkpoint is a model file of kind `checkpoint`: the weights under their names, then the optimizer's buffers, the
//! averaged weights and the carried states; in its metadata, beside the model's own, `training`: progress, the
//! position in the data, the data's fingerprint, the number of records. It holds no wall-clock time, so that two runs
//! of the same seed have identical checkpoints.

use elman_step::model::{Document, Kind, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::batches::numbers;
use super::run_folder::{FIRST, LAST, PREVIOUS};
use super::{Batches, Carry, Length, Progress, Scores, Span, Trainer};
use crate::error::{Error, Result};
use crate::format::document::{DocumentWriter, Tensor, TensorData};
use crate::format::model::{self, Loaded};
use crate::optim::Average;
use crate::param::Params;
use crate::shape::Shape;

/// `training` in a checkpoint's metadata.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Training {
    progress: Progress,
    position: Value,
    data: Value,
    optimizer_steps: u64,
    average_steps: u64,
    /// Records written before it.
    records: usize,
    /// Only in runs with `max_time`, whose schedule depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elapsed_s: Option<f64>,
    /// What would have ended the run; version 0.1 did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<Length>,
}

impl Training {
    /// That of a checkpoint.
    fn of(loaded: &Loaded) -> Result<Training> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        if loaded.document.kind() != Kind::Checkpoint {
            return Err(wrong("is a model, not a checkpoint: training cannot continue from it".into()));
        }
        serde_json::from_value(loaded.document.config()["training"].clone())
            .map_err(|error| wrong(format!("\"training\" in its metadata is invalid: {error}")))
    }
}

/// The weights as tensors.
pub fn weights(params: &Params<f32>) -> Vec<Tensor<'_>> {
    let tensors = params.layout().tensors().iter();
    tensors
        .map(|t| Tensor { name: t.name.clone(), dims: t.dims.clone(), data: TensorData::F32(t.slot.of(params)) })
        .collect()
}

/// Reads the weights of a file into `params`, whose layout they must have.
///
/// # Errors
/// The first tensor that is missing or has other dimensions.
pub fn read_weights(document: &Document, params: &mut Params<f32>) -> std::result::Result<(), ModelError> {
    let layout = params.layout().clone();
    for t in layout.tensors() {
        document.copy_f32(&t.name, &t.dims, t.slot.of_mut(params))?;
    }
    Ok(())
}

impl<S: Shape<f32>, B: Batches<S> + Send> Trainer<'_, S, B>
where
    S::State: Carry<f32>,
{
    /// Saves the newest checkpoint.
    pub(super) fn save_checkpoint(&mut self) -> Result<()> {
        self.save_state(false)
    }

    /// Saves the end of the first training, where there is a second: a longer run goes on from there.
    pub(super) fn save_first(&mut self) -> Result<()> {
        self.save_state(true)
    }

    fn save_state(&mut self, is_first: bool) -> Result<()> {
        if let Some(folder) = &self.folder {
            folder.sync_metrics()?;
        }
        let training = Training {
            progress: self.progress.clone(),
            position: self.source.cursor().position(),
            data: self.source.fingerprint(),
            optimizer_steps: self.optimizer.steps(),
            average_steps: self.average.as_ref().map_or(0, Average::steps),
            records: self.records().len(),
            elapsed_s: (self.config.max_time > Span::ZERO).then(|| self.elapsed_s()),
            length: Some(self.config.length()),
        };
        let mut config = self.source.model_config(self.shape);
        config["kind"] = "checkpoint".into();
        config["training"] = to_value(&training)?;
        let states: Vec<Vec<f32>> = self.engine.states().map(numbers).collect();
        let mut tensors = weights(&self.params);
        for (name, values) in self.optimizer.buffers() {
            tensors.push(flat(format!("training.{name}"), values));
        }
        if let Some(average) = &self.average {
            tensors.push(flat("training.average".into(), &average.values().values));
        }
        for (block, values) in states.iter().enumerate() {
            tensors.push(flat(format!("training.state.{block}"), values));
        }
        let document = DocumentWriter { config, tensors };
        match &self.folder {
            Some(folder) if is_first => folder.save_first(&document),
            Some(folder) => folder.save_last(&document),
            None if is_first => Ok(()),
            None => {
                let refused = |error: ModelError| Error::Usage(format!("cannot make the checkpoint: {error}"));
                self.kept = document.to_bytes().map_err(refused)?;
                Ok(())
            }
        }
    }

    /// Saves the evaluated weights as the best model.
    pub(super) fn save_best(&mut self, scores: &Scores) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut config = self.source.model_config(self.shape);
        config["kind"] = "model".into();
        let values: serde_json::Map<String, Value> =
            scores.values.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        config["trained"] = json!({"steps": self.progress.step, "epochs": self.epochs(), "val": values});
        let params = self.average.as_ref().map_or(&self.params, Average::values);
        folder.save_best(&DocumentWriter { config, tensors: weights(params) })
    }

    /// Continues from a checkpoint of the same settings: training is then bit-identical to an uninterrupted run.
    ///
    /// # Errors
    /// [`Error::Model`] if the file is not a checkpoint of this network; [`Error::Data`] if the data have changed.
    pub fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        let document = &loaded.document;
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let training = Training::of(loaded)?;
        let data = self.source.fingerprint();
        if data != training.data {
            let reason =
                "was made with other data: the data have changed since the run began; restore them to continue".into();
            return Err(Error::Data { path: loaded.path.clone(), reason });
        }
        read_weights(document, &mut self.params).map_err(|error| loaded.error(error))?;
        let len = self.params.values.len();
        let read = |name: &str| document.expect_f32(name, &[len]).map_err(|error| loaded.error(error));
        let names: Vec<&str> = self.optimizer.buffers().into_iter().map(|(name, _)| name).collect();
        let buffers: Result<Vec<_>> =
            names.into_iter().map(|name| Ok((name.to_string(), read(&format!("training.{name}"))?))).collect();
        self.optimizer.restore(training.optimizer_steps, &buffers?).map_err(|error| wrong(error.to_string()))?;
        if let Some(average) = &mut self.average {
            let values = read("training.average")?;
            average.restore(training.average_steps, &values).map_err(|error| wrong(error.to_string()))?;
        }
        for (block, state) in self.engine.states_mut().enumerate() {
            let name = format!("training.state.{block}");
            let values = document.expect_f32(&name, &[numbers(state).len()]).map_err(|error| loaded.error(error))?;
            state.read(&values);
        }
        if training.progress.refit.is_some() {
            self.source.refit();
        }
        self.source.cursor_mut().seek(&training.position).map_err(|error| wrong(error.to_string()))?;
        (self.progress, self.unsaved) = (training.progress, false);
        self.rewind_metrics(training.records)?;
        self.saving_s = self.records().last().map_or(0.0, |record| record.saving_s);
        self.elapsed_before_s = match training.elapsed_s {
            Some(elapsed_s) => elapsed_s,
            None => self.records().last().map_or(0.0, |record| record.elapsed_s),
        };
        Ok(())
    }

    /// Continues from a checkpoint; where the run has another length than it had, from where that one would have been.
    fn go_on(&mut self, loaded: &Loaded) -> Result<()> {
        let (now, training) = (self.config.length(), Training::of(loaded)?);
        let Some(was) = training.length.filter(|was| *was != now) else { return self.restore(loaded) };
        // What all data are trained on has as many steps as the first training: that one goes on.
        match &self.folder {
            Some(folder) if training.progress.refit.is_some() => {
                let first = model::load(&folder.path().join(FIRST))?;
                self.restore(&first)?;
            }
            _ => self.restore(loaded)?,
        }
        let (step, epochs) = (self.progress.step, self.source.cursor().epochs());
        if self.share_done() >= 1.0 {
            return Err(Error::Usage(format!(
                "the run has {step} updates ({epochs:.1} epochs) already and would end at {now}: a length counts from the \
                 beginning of the run; give a greater one"
            )));
        }
        if now.patience > 0 && self.progress.validations.1 >= now.patience {
            let since = self.progress.validations.1;
            return Err(Error::setting(
                "patience",
                now.patience,
                format!("the run ended because {since} validations brought nothing better; give a higher one, or 0"),
            ));
        }
        let rate = |share: f64| {
            let factor = self.config.schedule.factor(self.steps(), epochs, share, &self.progress.plateau);
            self.config.lr * factor * self.progress.lr_scale
        };
        let [old, new] = [rate(was.progress(self.steps(), epochs, self.elapsed_s())), rate(self.share_done())];
        let mut note =
            format!("goes on from update {step} (epoch {epochs:.1}) and ends at {now}, counted from its beginning");
        if old != new {
            let kind = self.config.schedule.kind.name();
            note += &format!(
                "; the {kind} schedule is that of the new length: learning rate {new:.2e} here, not {old:.2e}"
            );
        }
        self.notes = vec![note];
        self.unsaved = true;
        Ok(())
    }

    /// Continues from the folder's last checkpoint, or from the start if there is none yet. The run may have another length
    /// than before: see [`Self::notes`].
    ///
    /// # Errors
    /// As [`Self::restore`]; a length that is over already; where the checkpoint is damaged, the message names the previous one, if that is intact.
    pub fn resume(&mut self) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let (last, previous) = (folder.path().join(LAST), folder.path().join(PREVIOUS));
        if !last.exists() && !previous.exists() {
            return self.rewind_metrics(0);
        }
        match model::load(&last) {
            Ok(loaded) => self.go_on(&loaded),
            Err(Error::Model { path, reason }) if model::load(&previous).is_ok() => {
                let previous = previous.display();
                let reason = format!("{reason}; {previous} is intact: to continue from it, copy it over this file");
                Err(Error::Model { path, reason })
            }
            Err(error) => Err(error),
        }
    }

    /// Rolls back to the last checkpoint after training diverged.
    pub(super) fn return_to_checkpoint(&mut self) -> Result<()> {
        let (elapsed_s, saving_s) = (self.elapsed_s(), self.saving_s);
        let loaded = match &self.folder {
            Some(folder) => model::load(&folder.path().join(LAST))?,
            None => {
                let refused = |error: ModelError| Error::Usage(format!("the checkpoint in memory is damaged: {error}"));
                let document = Document::parse_owned(self.kept.clone()).map_err(refused)?;
                Loaded { path: "the checkpoint in memory".into(), document }
            }
        };
        self.restore(&loaded)?;
        // Elapsed time is not rolled back.
        self.saving_s = saving_s;
        self.elapsed_before_s = elapsed_s - self.started.elapsed().as_secs_f64();
        Ok(())
    }
}

fn flat(name: String, values: &[f32]) -> Tensor<'_> {
    Tensor { name, dims: vec![values.len()], data: TensorData::F32(values) }
}

fn to_value(training: &Training) -> Result<Value> {
    serde_json::to_value(training).map_err(|error| Error::Usage(format!("cannot make the checkpoint: {error}")))
}
