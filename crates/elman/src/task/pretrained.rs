//! Trained weights that a run begins from: the setting `from`.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::metadata::{contradiction, of_model, part};
use super::row::{Size, Task};
use crate::error::{Error, Result};
use crate::format::model::{self as model_file, Loaded};
use crate::param::{Layout, Params, TensorInfo};
use crate::settings::Settings;

/// New tokens or labels that are named.
const NAMED: usize = 12;

/// The model that a run begins from.
#[derive(Debug)]
pub(super) struct Pretrained {
    loaded: Loaded,
}

/// Where the rows of a model stand among more tokens and classes: the new id of each old one, none where it is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Grown {
    /// Of the tokens that are read.
    pub tokens: Vec<Option<u32>>,
    /// Of what is predicted.
    pub classes: Vec<Option<u32>>,
}

impl Grown {
    /// New tokens and classes stand behind the old ones.
    pub(super) fn behind(tokens: usize, classes: usize) -> Grown {
        let ids = |count: usize| (0..count as u32).map(Some).collect();
        Grown { tokens: ids(tokens), classes: ids(classes) }
    }
}

impl Pretrained {
    /// The model that the settings name, if they name one.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Model`] of its file.
    pub(super) fn open(settings: &Settings) -> Result<Option<Pretrained>> {
        match settings.from.as_str() {
            "" => Ok(None),
            path => Ok(Some(Pretrained { loaded: model_file::load(Path::new(path))? })),
        }
    }

    /// What its file says.
    pub(super) fn config(&self) -> &Value {
        self.loaded.document.config()
    }

    /// A part of what its file says.
    ///
    /// # Errors
    /// [`Error::Model`] that names the part.
    pub(super) fn part<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        part(&self.loaded, name)
    }

    /// How it reads its inputs.
    ///
    /// # Errors
    /// [`Error::Model`] if its file does not say so.
    pub(super) fn reading<R: DeserializeOwned>(&self) -> Result<R> {
        R::deserialize(self.config())
            .map_err(|error| contradiction(&self.loaded, format!("its metadata cannot be used: {error}")))
    }

    /// Its file.
    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// That a run begins from it, with these new tokens and labels: what they are called, and each.
    pub(super) fn note(&self, added: &[(&str, Vec<String>)]) -> String {
        let mut note = format!("begins from the weights of {}", self.loaded.path.display());
        for (unit, new) in added.iter().filter(|(_, new)| !new.is_empty()) {
            let (count, plural) = (new.len(), if new.len() == 1 { "" } else { "s" });
            let named = new[..count.min(NAMED)].join(", ");
            let more = if count > NAMED { ", .." } else { "" };
            note += &format!("; {count} new {unit}{plural}, whose weights begin as new: {named}{more}");
        }
        note
    }

    /// Where each value of a tensor stands in the run's: a place along each of its dimensions, none where it has none.
    fn places(&self, tensor: &TensorInfo, grown: &Grown) -> Result<Vec<Vec<Option<u32>>>> {
        let (name, new) = (&tensor.name, &tensor.dims);
        let missing = || contradiction(&self.loaded, format!("it has no {name}, which the run needs"));
        let old = self.loaded.document.tensor(name).ok_or_else(missing)?.dims;
        let extra = self.config()["network"]["extra"].as_u64().unwrap_or(0) as usize;
        let is_output = tensor.layer().ends_with("output");
        let along = |axis: usize| match old[axis] == new[axis] {
            true => Some((0..old[axis] as u32).map(Some).collect()),
            // The last inputs of an output layer are evidence on each class: of other classes they are others.
            false if is_output && axis == 1 => {
                Some((0..old[axis]).map(|i| (i + extra < old[axis]).then_some(i as u32)).collect())
            }
            false => {
                let ids = if is_output { &grown.classes } else { &grown.tokens };
                (ids.len() == old[axis]).then(|| ids.clone())
            }
        };
        let places = if old.len() == new.len() { (0..old.len()).map(along).collect() } else { None };
        let reason = || format!("its {name} is {old:?}, and the data of the run need {new:?}");
        places.ok_or_else(|| contradiction(&self.loaded, reason()))
    }

    /// Checks that its weights fit a network.
    ///
    /// # Errors
    /// [`Error::Model`] with the first tensor that does not fit.
    pub(super) fn check(&self, layout: &Layout, grown: &Grown) -> Result<()> {
        layout.tensors().iter().try_for_each(|tensor| self.places(tensor, grown).map(|_| ()))
    }

    /// Begins `params` with its weights: rows of tokens and classes in their new places; those of new ones stay.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn copy(&self, params: &mut Params<f32>, grown: &Grown) -> Result<()> {
        let layout = params.layout().clone();
        for tensor in layout.tensors() {
            let places = self.places(tensor, grown)?;
            let values = self.loaded.document.f32(&tensor.name).map_err(|error| self.loaded.error(error))?;
            let out = tensor.slot.of_mut(params);
            // `[rows, columns]`; only the first two dimensions grow.
            let columns = places.get(1).cloned().unwrap_or_else(|| vec![Some(0)]);
            let inner: usize = tensor.dims.iter().skip(2).product();
            let width = tensor.dims.get(1).copied().unwrap_or(1);
            let cells = places[0].iter().flat_map(|row| columns.iter().map(move |column| row.zip(*column)));
            for (cell, values) in cells.zip(values.chunks_exact(inner)) {
                if let Some((row, column)) = cell {
                    out[(row as usize * width + column as usize) * inner..][..inner].copy_from_slice(values);
                }
            }
        }
        Ok(())
    }
}

/// The text of a setting that the model's file decides.
fn text_of(size: &Size, config: &Value, is_switch: bool) -> Option<String> {
    let units = |tokenizer: &Value| match tokenizer["model"]["type"].as_str() {
        Some("WordLevel") => "word",
        _ if tokenizer["model"]["merges"].as_array().is_some_and(Vec::is_empty) => "char",
        _ => "subword",
    };
    match config.pointer(size.place) {
        None | Some(Value::Null) => size.absent.map(String::from),
        Some(tokenizer) if size.key == "units" => Some(units(tokenizer).into()),
        Some(Value::Bool(value)) => Some(value.to_string()),
        // The file has that part.
        Some(_) if is_switch => Some("true".into()),
        Some(Value::String(word)) => Some(word.clone()),
        Some(Value::Array(values)) => Some(values.iter().map(Value::to_string).collect::<Vec<_>>().join(",")),
        Some(value) => Some(value.to_string()),
    }
}

/// The settings that the weights of a model decide.
fn sizes(task: &Task, config: &Value, settings: &Settings) -> Vec<(&'static str, String)> {
    let is_switch = |key: &str| matches!(settings.get(key).as_str(), "true" | "false");
    task.sizes.iter().filter_map(|size| Some((size.key, text_of(size, config, is_switch(size.key))?))).collect()
}

impl Settings {
    /// The default settings of a run on the user's data that begins from a trained model, a file or the folder of a run: its
    /// task, its sizes, its columns.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Model`] of its file.
    ///
    /// ```
    /// use elman::Settings;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (book, run) = (folder.path().join("book.txt"), folder.path().join("run"));
    /// # std::fs::write(&book, "the quick brown fox\n".repeat(60)).unwrap();
    /// # let mut first = Settings::for_task("language-model")?;
    /// # first.file = book.display().to_string();
    /// # (first.hidden, first.batch, first.seq_len, first.max_steps, first.epochs) = (16, 4, 16, 5, 0.0);
    /// # elman::train(first, &run)?;
    /// # let other = folder.path().join("other.txt");
    /// # std::fs::write(&other, "ein schöner Tag\n".repeat(60)).unwrap();
    /// let mut settings = Settings::from_model(&run)?;
    /// settings.file = other.display().to_string(); // characters that it lacks are added
    /// settings.freeze = "rnn.0".into();
    /// # (settings.batch, settings.seq_len, settings.max_steps, settings.epochs) = (4, 16, 5, 0.0);
    /// let fine_tuned = elman::train(settings, folder.path().join("fine"))?;
    /// # assert!(fine_tuned.model.describe()[0].1.contains('ö'));
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn from_model(path: impl AsRef<Path>) -> Result<Settings> {
        let task = of_model(&model_file::load(path.as_ref())?)?;
        Settings::for_task(task.name)?.with_model(path)
    }

    /// These settings of a task with the sizes and the columns of a trained model of it, which the run begins from.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Model`] of its file; [`Error::Setting`] if the model is of another task.
    pub fn with_model(self, path: impl AsRef<Path>) -> Result<Settings> {
        let (mut settings, path) = (self, path.as_ref());
        let loaded = model_file::load(path)?;
        let (task, config) = (same_task(&loaded, &settings)?, loaded.document.config());
        settings.from = path.display().to_string();
        for (key, text) in sizes(task, config, &settings) {
            settings.set(key, &text)?;
        }
        if task.is_read("naive_bayes") && config["naive_bayes"].is_null() {
            settings.naive_bayes = 0.0;
        }
        let columns = [
            ("label_column", "/columns/label"),
            ("label_column", "/label_column"),
            ("label_separator", "/columns/label_separator"),
            ("text_column", "/columns/text"),
            ("sequence_column", "/columns/sequence"),
        ];
        for (key, place) in columns.into_iter().filter(|(key, _)| task.is_read(key)) {
            if let Some(column) = config.pointer(place).and_then(Value::as_str) {
                settings.set(key, column)?;
            }
        }
        Ok(settings)
    }

    /// The settings with what the model that they begin from decides, where that is left to it.
    ///
    /// # Errors
    /// As [`Settings::with_model`]; [`Error::Setting`] that contradicts the model.
    pub(super) fn fitted_to_model(mut self) -> Result<Settings> {
        if self.from.is_empty() {
            return Ok(self);
        }
        let loaded = model_file::load(Path::new(&self.from))?;
        let (task, config) = (same_task(&loaded, &self)?, loaded.document.config());
        for (key, text) in sizes(task, config, &self) {
            let mut with = self.clone();
            with.set(key, &text)?;
            let (asked, own) = (self.get(key), with.get(key));
            if asked != own && asked != "auto" {
                let why =
                    format!("the weights are those of {}, whose `{key}` is {own}; leave it out, or `from`", self.from);
                return Err(Error::setting(key, asked, why));
            }
            self = with;
        }
        let has_evidence = !config["naive_bayes"].is_null();
        if task.is_read("naive_bayes") && has_evidence != (self.naive_bayes > 0.0) {
            let has = if has_evidence { "has" } else { "has no" };
            let why =
                format!("the weights are those of {}, which {has} inputs for it; leave it out, or `from`", self.from);
            return Err(Error::setting("naive_bayes", self.naive_bayes, why));
        }
        Ok(self)
    }
}

/// The task of a model, which has to be that of the settings.
fn same_task(loaded: &Loaded, settings: &Settings) -> Result<&'static Task> {
    let task = of_model(loaded)?;
    if task.name == settings.task {
        return Ok(task);
    }
    let why = format!("is a model of the task {}, and the run is of the task {}", task.name, settings.task);
    Err(Error::setting("from", loaded.path.display(), why))
}
