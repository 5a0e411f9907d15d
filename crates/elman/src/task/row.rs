//! A row of the table of tasks: everything the program asks of a task by name.

use super::model::Model;
use super::plan::{Callback, Plan};
use crate::error::{Error, Result};
use crate::file::HAS_FILES;
use crate::format::model::Loaded;
use crate::settings::{Auto, Data, Keep, Settings, Whether};

/// Reads the data that settings name and lays a network out.
type PlanFn = fn(Settings, &mut Callback) -> Result<Box<dyn Plan>>;

/// A task.
#[derive(Clone, Copy)]
pub struct Task {
    /// Its name in files and on the command line.
    pub name: &'static str,
    /// What it learns, in a sentence.
    pub about: &'static str,
    /// The command that uses its models: `predict` or `sample`.
    pub command: &'static str,
    /// The settings it reads beside [`COMMON`].
    pub reads: &'static [&'static str],
    /// Those of them that name training data; where none is given, the program contains or generates some.
    pub data: &'static [&'static str],
    /// Those of them that name the data of an evaluation.
    pub eval_data: &'static [&'static str],
    /// The options it reads of an evaluation ([`Evaluate`](super::Evaluate)).
    pub evaluate: &'static [&'static str],
    /// The options it reads of predictions ([`Predict`](super::Predict)), and those a front end may offer for them.
    pub predict: &'static [&'static str],
    /// The settings that the weights of its models decide.
    pub sizes: &'static [Size],
    /// Its settings where nothing else is said.
    pub defaults: fn(Data) -> Settings,
    /// Reads the data that the settings name and lays the network out.
    pub plan: PlanFn,
    /// Opens a trained model.
    pub open: fn(&Loaded) -> Result<Box<dyn Model>>,
}

/// A setting that a model's weights decide, and where its file says it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The setting.
    pub key: &'static str,
    /// The place in the metadata, as a JSON pointer.
    pub place: &'static str,
    /// Its text where there is nothing in that place; none if the model then does not decide it.
    pub absent: Option<&'static str>,
}

/// How a task reads data and lays its network out; not there where there are no files.
pub(super) const fn planned(plan: PlanFn) -> PlanFn {
    if HAS_FILES { plan } else { |_, _| Err(no_files()) }
}

/// [`Error::Usage`]: where there are no files.
pub(super) fn no_files() -> Error {
    Error::Usage("there are no files in a page".into())
}

/// A size that every file says.
pub(super) const fn size(key: &'static str, place: &'static str) -> Size {
    Size { key, place, absent: None }
}

/// A size that a file need not say.
pub(super) const fn size_or(key: &'static str, place: &'static str, absent: &'static str) -> Size {
    Size { key, place, absent: Some(absent) }
}

/// The settings that every task reads.
pub const COMMON: &[&str] = &[
    "task", "from", "freeze", "dropout", "val_frac", "batch", "optimizer", "lr", "momentum", "alpha", "beta1", "beta2",
    "eps", "eps_in_root", "weight_decay", "clip_norm", "clip_value", "accumulate", "ema_decay", "schedule", "warmup",
    "min_lr_ratio", "decay", "decay_after", "decay_every", "decay_patience", "epochs", "max_steps", "max_time",
    "patience", "keep", "diverged_at", "seed", "rules", "threads", "precision", "deterministic", "reduce", "log_every",
    "val_every", "checkpoint_every", "sample_every",
];

/// What the defaults of all tasks but the language model start from.
pub(super) fn base(task: &str) -> Settings {
    Settings {
        task: task.into(),
        state_reset: 0.0,
        log_every: 50,
        beta2: 0.99,
        ema_decay: 0.99,
        epochs: 10.0,
        ..Settings::base()
    }
}

/// What the defaults of the supervised tasks start from: what can be is left to the data.
pub(super) fn supervised(task: &str) -> Settings {
    Settings {
        batch: usize::AUTO,
        epochs: f64::AUTO,
        ema_decay: f64::AUTO,
        keep: Keep::Auto,
        refit: Whether::Auto,
        ..base(task)
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Task {
    /// Whether the task reads a setting.
    pub fn is_read(&self, key: &str) -> bool {
        COMMON.contains(&key) || self.reads.contains(&key)
    }

    /// Whether these settings name training data, or the program makes its own.
    pub fn data_of(&self, settings: &Settings) -> Data {
        match self.data.iter().any(|key| !settings.get(key).is_empty()) {
            true => Data::Given,
            false => Data::Builtin,
        }
    }

    /// Refuses settings that the data have no use for, where they are not at their defaults.
    ///
    /// # Errors
    /// [`Error::Setting`] with the reason `why`.
    pub(super) fn check_default(&self, settings: &Settings, keys: &[&str], why: &str) -> Result<()> {
        let defaults = (self.defaults)(self.data_of(settings));
        match keys.iter().find(|key| settings.get(key) != defaults.get(key)) {
            Some(key) => Err(Error::setting(key, settings.get(key), why)),
            None => Ok(()),
        }
    }
}
