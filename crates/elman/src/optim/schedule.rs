//! The learning rate's course over a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A change of the loss by less than this share is none (PyTorch's `threshold`).
const THRESHOLD: f64 = 1e-4;

/// The courses there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The same throughout.
    Constant,
    /// Multiplied by `decay` every `decay_every` epochs, from `decay_after` on.
    Step,
    /// As `step`, but falling evenly in between.
    Exponential,
    /// Half a cosine over the whole run, down to `lr_min` of the rate (Loshchilov & Hutter 2017).
    Cosine,
    /// Multiplied by `decay` when validation has not become better for `patience` times.
    Plateau,
}

/// A course and its factors.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleConfig {
    /// Which.
    pub kind: ScheduleKind,
    /// Updates over which the rate rises evenly from 0.
    pub warmup: u64,
    /// Where a cosine ends, as a share of the rate.
    pub lr_min: f64,
    /// Factor of one decay.
    pub decay: f64,
    /// Epochs before the first decay.
    pub decay_after: f64,
    /// Epochs from one decay to the next.
    pub decay_every: f64,
    /// Of a plateau: validations without a better one that are borne.
    pub patience: u32,
}

impl ScheduleConfig {
    /// Checks the factors.
    ///
    /// # Errors
    /// [`Error::Usage`] with the flag to change.
    pub fn validate(&self) -> Result<()> {
        let problem = if !(0.0..=1.0).contains(&self.lr_min) {
            format!("--lr-min {}: give a share of --lr from 0 to 1", self.lr_min)
        } else if !(self.decay > 0.0 && self.decay <= 1.0) {
            format!("--decay {}: give a factor above 0, at most 1", self.decay)
        } else if !(self.decay_every > 0.0 && self.decay_every.is_finite()) {
            format!("--decay-every {}: give a number of epochs above 0", self.decay_every)
        } else if !(self.decay_after >= 0.0 && self.decay_after.is_finite()) {
            format!("--decay-after {}: give a number of epochs from 0 upwards", self.decay_after)
        } else {
            return Ok(());
        };
        Err(Error::Usage(problem))
    }

    /// What the rate is multiplied by for the update after `step` others: `epoch` passes over the data and `progress` (from
    /// 0 to 1) of the run are done.
    pub fn factor(&self, step: u64, epoch: f64, progress: f64, plateau: &Plateau) -> f64 {
        let rise = if step < self.warmup { (step + 1) as f64 / self.warmup as f64 } else { 1.0 };
        let decays = ((epoch - self.decay_after) / self.decay_every).max(0.0);
        rise * match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Step => self.decay.powf(decays.floor()),
            ScheduleKind::Exponential => self.decay.powf(decays),
            ScheduleKind::Cosine => self.lr_min + (1.0 - self.lr_min) * (1.0 + (PI * progress).cos()) / 2.0,
            ScheduleKind::Plateau => plateau.factor,
        }
    }
}

/// What a plateau schedule remembers of the validations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    factor: f64,
    best: Option<f64>,
    worse: u32,
}

impl Default for Plateau {
    fn default() -> Self {
        Plateau { factor: 1.0, best: None, worse: 0 }
    }
}

impl Plateau {
    /// Takes a validation's number, lower being better.
    pub fn observe(&mut self, objective: f64, config: &ScheduleConfig) {
        let is_better = self.best.is_none_or(|best| objective < best - THRESHOLD * best.abs());
        if is_better {
            (self.best, self.worse) = (Some(objective), 0);
            return;
        }
        self.worse += 1;
        if self.worse > config.patience {
            (self.factor, self.worse) = (self.factor * config.decay, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: ScheduleKind) -> ScheduleConfig {
        let (decay, decay_after, decay_every) = (0.5, 2.0, 1.0);
        ScheduleConfig { kind, warmup: 0, lr_min: 0.1, decay, decay_after, decay_every, patience: 1 }
    }

    #[test]
    fn courses_follow_their_formulas() {
        let at = |kind, epoch, progress| config(kind).factor(100, epoch, progress, &Plateau::default());
        assert_eq!(at(ScheduleKind::Constant, 9.0, 0.9), 1.0);
        assert_eq!([1.9, 2.9, 3.0, 4.5].map(|epoch| at(ScheduleKind::Step, epoch, 0.0)), [1.0, 1.0, 0.5, 0.25]);
        assert!((at(ScheduleKind::Exponential, 3.5, 0.0) - 0.5f64.powf(1.5)).abs() < 1e-15);
        assert_eq!(at(ScheduleKind::Cosine, 0.0, 0.0), 1.0);
        assert!((at(ScheduleKind::Cosine, 0.0, 0.5) - 0.55).abs() < 1e-15);
        assert!((at(ScheduleKind::Cosine, 0.0, 1.0) - 0.1).abs() < 1e-15);
        let warm = ScheduleConfig { warmup: 4, ..config(ScheduleKind::Constant) };
        assert_eq!([0, 1, 3, 4].map(|step| warm.factor(step, 0.0, 0.0, &Plateau::default())), [0.25, 0.5, 1.0, 1.0]);
    }
}
