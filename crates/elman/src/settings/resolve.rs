//! Whether settings are valid and read by their task, and what some of them decide for others.

use super::keys::{KEYS, Settings};
use crate::cell::{CellKind, FORGET_BIAS};
use crate::error::{Error, Result};
use crate::train::Span;

/// Where the training data come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// The user names them.
    Given,
    /// The program contains or generates them.
    Builtin,
}

/// Epochs of a run that says nothing of its length.
const EPOCHS: f64 = 20.0;

impl Settings {
    /// Checks every value, and settles what others decide: the length of the run.
    ///
    /// # Errors
    /// [`Error::Setting`] with the setting and its requirement.
    pub(crate) fn resolve_values(mut self) -> Result<Settings> {
        self.check_ranges()?;
        if self.folds == 1 || self.fold > self.folds {
            let want = "must be 0 for none, or at least 2 and no less than `fold`";
            return Err(Error::setting("folds", self.folds, want));
        }
        if self.forget_bias != FORGET_BIAS && !self.cell.has_c() {
            return Err(Error::setting("forget_bias", self.forget_bias, "is for the cells lstm and lstm-peephole"));
        }
        if self.single_bias && matches!(self.cell, CellKind::Gru | CellKind::GruResetBefore) {
            let requirement = "is for the other cells: the two biases of a GRU's candidate are not one";
            return Err(Error::setting("single_bias", true, requirement));
        }
        self.memory_limit()?;
        self.optimizer_config().validate()?;
        self.schedule_config().validate()?;
        self.sampler().validate()?;
        if self.epochs == 0.0 && self.max_steps == 0 && self.max_time == Span::ZERO {
            self.epochs = EPOCHS;
        }
        Ok(self)
    }

    /// The first setting that differs from the defaults although it is not read, with its value.
    pub(crate) fn unread(&self, defaults: &Settings, is_read: impl Fn(&str) -> bool) -> Option<(&'static str, String)> {
        let given = KEYS.iter().filter(|key| !is_read(key.name)).map(|key| (key.name, self.get(key.name)));
        given.into_iter().find(|(name, value)| *value != defaults.get(name))
    }
}
