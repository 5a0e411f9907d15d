//! Writing and restoring checkpoints.
//!
//! A checkpoint is a model file of kind `checkpoint`: the weights under their names, then the optimizer's buffers, the
//! averaged weights and the carried states; in its metadata, beside the model's own, `training`: progress, the
//! position in the data, the data's fingerprint, the number of records. It holds no wall-clock time, so that two runs
//! of the same seed have identical checkpoints.

use elman_kernels::Isa;
use elman_step::model::{Document, Kind, ModelError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::batches::numbers;
use super::run_folder::{FIRST, LAST, PREVIOUS};
use super::{Batches, Carry, Length, Progress, Ranks, Scores, Span, Trainer};
use crate::error::{Error, Result, failed};
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
        let states = self.all_states();
        if !self.ranks().is_lead() {
            return Ok(());
        }
        if let Some(folder) = &self.folder {
            folder.sync_metrics()?;
        }
        match &self.folder {
            Some(folder) if is_first => folder.save_first(&self.document(&states)?),
            Some(folder) => folder.save_last(&self.document(&states)?),
            None if is_first => Ok(()),
            None => {
                self.kept = self.bytes(&states)?;
                Ok(())
            }
        }
    }

    /// The carried states of all blocks, each from the rank that computes it.
    fn all_states(&self) -> Vec<Vec<f32>> {
        let states: Vec<Vec<f32>> = self.engine.states().map(numbers).collect();
        if self.ranks().is_alone() {
            return states;
        }
        let own = self.ranks().own(states.len());
        let mut lengths = states.iter().map(Vec::len);
        let said: Vec<u8> = states[own].iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        let all = self.ranks().gather(&said).concat();
        let mut values = all.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        std::iter::from_fn(|| lengths.next().map(|len| values.by_ref().take(len).collect())).collect()
    }

    /// The checkpoint as bytes.
    fn bytes(&self, states: &[Vec<f32>]) -> Result<Vec<u8>> {
        let refused = |error: ModelError| Error::Usage(format!("cannot make the checkpoint: {error}"));
        self.document(states)?.to_bytes().map_err(refused)
    }

    fn document<'s>(&'s self, states: &'s [Vec<f32>]) -> Result<DocumentWriter<'s>> {
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
        Ok(DocumentWriter { config, tensors })
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
        let lengths: Vec<Vec<usize>> = self.engine.states().map(Carry::lengths).collect();
        let states = saved_states(document, &lengths).map_err(|error| loaded.error(error))?;
        for (state, values) in self.engine.states_mut().zip(&states) {
            state.read(values);
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
        let last = self.folder.as_ref().map(|folder| folder.path().join(LAST));
        let loaded = match (&last, self.ranks().is_alone()) {
            (Some(last), true) => model::load(last)?,
            (None, true) => in_memory(self.kept.clone())?,
            (Some(last), false) => {
                in_memory(self.ranks().from_lead(std::fs::read(last).map_err(failed(last, "read"))?))?
            }
            (None, false) => in_memory(self.ranks().from_lead(self.kept.clone()))?,
        };
        self.restore(&loaded)?;
        // Elapsed time is not rolled back.
        self.saving_s = saving_s;
        self.elapsed_before_s = elapsed_s - self.started.elapsed().as_secs_f64();
        Ok(())
    }
}

impl<S: Shape<f32>, B: Batches<S> + Send> Trainer<'_, S, B>
where
    S::State: Carry<f32>,
{
    /// Refuses ranks that do not train the same.
    pub(super) fn check_ranks(&self, ranks: &Ranks) -> Result<()> {
        let network = self.source.model_config(self.shape)["network"].clone();
        // What must be the same, and what to do where it is not.
        let here = [
            ("version of the program", json!(env!("CARGO_PKG_VERSION")), "start the same program everywhere"),
            ("instruction set", json!(Isa::best().name()), "they would round differently: use hosts of one kind"),
            ("training data", self.source.fingerprint(), "every rank reads all of them: give all hosts the same files"),
            ("network", network, "start all with the same settings"),
        ];
        for (name, value, remedy) in here {
            let all = ranks.gather(value.to_string().as_bytes());
            if let Some(rank) = all.iter().position(|one| *one != all[0]) {
                return Err(Error::Ranks(format!("rank {rank} and rank 0 do not have the same {name}; {remedy}")));
            }
        }
        Ok(())
    }

    /// Continues from where the lead stands.
    pub(super) fn begin_with_lead(&mut self) -> Result<()> {
        let states: Vec<Vec<f32>> = self.engine.states().map(numbers).collect();
        let is_lead = self.ranks().is_lead();
        let mut bytes = if is_lead { self.bytes(&states)? } else { Vec::new() };
        bytes.push(u8::from(self.unsaved));
        let mut bytes = self.ranks().from_lead(bytes);
        let unsaved = bytes.pop() == Some(1);
        if !is_lead {
            self.restore(&in_memory(bytes)?)?;
            self.unsaved = unsaved;
        }
        Ok(())
    }
}

/// A checkpoint that was not read from a file.
fn in_memory(bytes: Vec<u8>) -> Result<Loaded> {
    let refused = |error: ModelError| Error::Usage(format!("the checkpoint in memory is damaged: {error}"));
    let document = Document::parse_owned(bytes).map_err(refused)?;
    Ok(Loaded { path: "the checkpoint in memory".into(), document })
}

/// The carried states, block after block; `lengths`: of the parts of each. A batch may have been divided into other blocks
/// when it was saved, for another number of ranks: the sequences stand in the same order.
fn saved_states(document: &Document, lengths: &[Vec<usize>]) -> std::result::Result<Vec<Vec<f32>>, ModelError> {
    let name = |block: usize| format!("training.state.{block}");
    let len = |parts: &[usize]| parts.iter().sum::<usize>();
    let dims = |block: usize| document.tensor(&name(block)).map(|tensor| tensor.dims.to_vec());
    let is_same = lengths.iter().enumerate().all(|(block, parts)| dims(block).is_some_and(|dims| dims == [len(parts)]))
        && dims(lengths.len()).is_none();
    let all: usize = lengths.iter().map(|parts| len(parts)).sum();
    let old: Vec<usize> = (0..).map_while(dims).map(|dims| dims.iter().product()).collect();
    if is_same || old.iter().sum::<usize>() != all {
        let read = |(block, parts): (usize, &Vec<usize>)| document.expect_f32(&name(block), &[len(parts)]);
        return lengths.iter().enumerate().map(read).collect();
    }
    // Part by part, such as the hidden state of a layer, over all blocks.
    let (first, mut parts) = (&lengths[0], vec![Vec::new(); lengths[0].len()]);
    for (block, old) in old.iter().enumerate() {
        let values = document.expect_f32(&name(block), &[*old])?;
        let mut rest = &values[..];
        for (part, len_of_first) in parts.iter_mut().zip(first) {
            let values;
            (values, rest) = rest.split_at(old * len_of_first / len(first));
            part.extend_from_slice(values);
        }
    }
    let mut parts: Vec<std::vec::IntoIter<f32>> = parts.into_iter().map(Vec::into_iter).collect();
    let take = |lengths: &Vec<usize>| {
        parts.iter_mut().zip(lengths).flat_map(|(part, len)| part.by_ref().take(*len).collect::<Vec<_>>()).collect()
    };
    Ok(lengths.iter().map(take).collect())
}

fn flat(name: String, values: &[f32]) -> Tensor<'_> {
    Tensor { name, dims: vec![values.len()], data: TensorData::F32(values) }
}

fn to_value(training: &Training) -> Result<Value> {
    serde_json::to_value(training).map_err(|error| Error::Usage(format!("cannot make the checkpoint: {error}")))
}
