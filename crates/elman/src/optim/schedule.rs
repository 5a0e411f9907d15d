//! Learning-rate schedules: a factor on `lr` at each step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The kind of schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// No change.
    #[default]
    Constant,
    /// Multiplied by `decay` every `decay_every` epochs.
    Step,
    /// As `Step`, but smooth: lower at every step.
    Exponential,
    /// Half a cosine from the end of the warm-up to the end of the run (Loshchilov & Hutter 2017).
    Cosine,
    /// Multiplied by `decay` whenever the validation loss has not improved for more than `patience` validations.
    Plateau,
}

impl ScheduleKind {
    /// Every schedule.
    pub const ALL: [ScheduleKind; 5] = [
        ScheduleKind::Constant,
        ScheduleKind::Step,
        ScheduleKind::Exponential,
        ScheduleKind::Cosine,
        ScheduleKind::Plateau,
    ];

    /// The name in files and settings.
    pub fn name(self) -> &'static str {
        match self {
            ScheduleKind::Constant => "constant",
            ScheduleKind::Step => "step",
            ScheduleKind::Exponential => "exponential",
            ScheduleKind::Cosine => "cosine",
            ScheduleKind::Plateau => "plateau",
        }
    }
}

/// A schedule and its hyperparameters.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleConfig {
    /// The schedule after the warm-up.
    pub kind: ScheduleKind,
    /// Steps of linear warm-up, for every kind.
    pub warmup: u64,
    /// The share of the run that the warm-up takes at most.
    pub warmup_share: f64,
    /// The smallest factor: the end of `Cosine`, and the floor of `Step`, `Exponential` and `Plateau`.
    pub min_lr_ratio: f64,
    /// The factor of `Step`, `Exponential` and `Plateau`.
    pub decay: f64,
    /// `Step` and `Exponential`: epochs before the decay begins.
    pub decay_after: f64,
    /// `Step` and `Exponential`: epochs for one factor of `decay`.
    pub decay_every: f64,
    /// `Plateau`: validations tolerated without a better loss.
    pub patience: u32,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        let kind = ScheduleKind::default();
        ScheduleConfig {
            kind,
            warmup: 0,
            warmup_share: 1.0,
            min_lr_ratio: 0.0,
            decay: 0.5,
            decay_after: 0.0,
            decay_every: 1.0,
            patience: 3,
        }
    }
}

impl ScheduleConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first invalid value.
    pub fn validate(&self) -> Result<()> {
        let ScheduleConfig { min_lr_ratio, decay, decay_after, decay_every, .. } = *self;
        let invalid = |key, value: f64, requirement: &str| Err(Error::setting(key, value, requirement));
        if !(0.0..=1.0).contains(&min_lr_ratio) {
            return invalid("min_lr_ratio", min_lr_ratio, "must be a fraction of `lr`, in [0, 1]");
        }
        if !(decay > 0.0 && decay <= 1.0) {
            return invalid("decay", decay, "must be in (0, 1]");
        }
        if !(decay_after >= 0.0 && decay_after.is_finite()) {
            return invalid("decay_after", decay_after, "must be a number of epochs, at least 0");
        }
        if !(decay_every > 0.0 && decay_every.is_finite()) {
            return invalid("decay_every", decay_every, "must be a number of epochs above 0");
        }
        Ok(())
    }

    /// The factor of the learning rate in step `step` (from 0), at the fractional `epoch`, `progress` (from 0 to 1)
    /// into the run.
    pub fn factor(&self, step: u64, epoch: f64, progress: f64, plateau: &Plateau) -> f64 {
        let periods = ((epoch - self.decay_after) / self.decay_every).max(0.0);
        let factor = match self.kind {
            ScheduleKind::Constant => 1.0,
            // An epoch counted in batches may round to just below a whole number.
            ScheduleKind::Step => self.decay.powf((periods + 1e-9).floor()).max(self.min_lr_ratio),
            ScheduleKind::Exponential => self.decay.powf(periods).max(self.min_lr_ratio),
            ScheduleKind::Cosine => {
                self.min_lr_ratio
                    + (1.0 - self.min_lr_ratio) * 0.5 * (1.0 + (PI * self.after_warmup(step, progress)).cos())
            }
            ScheduleKind::Plateau => self.decay.powf(f64::from(plateau.reductions)).max(self.min_lr_ratio),
        };
        let warmup = self.warmup_steps(step, progress);
        if (step as f64) < warmup { factor * ((step + 1) as f64 / warmup).min(1.0) } else { factor }
    }

    /// Steps of warm-up of a run that has come so far in `step` steps.
    fn warmup_steps(&self, step: u64, progress: f64) -> f64 {
        // Of a first step nothing is known yet.
        let all = if progress > 0.0 && step > 0 { step as f64 / progress } else { f64::INFINITY };
        (self.warmup as f64).min(self.warmup_share * all)
    }

    /// Progress after the warm-up, from 0 to 1. For a run of `n` steps, `progress = step / n`, it is
    /// `(step - warmup) / (n - warmup)`.
    fn after_warmup(&self, step: u64, progress: f64) -> f64 {
        let (warmup, step) = (self.warmup_steps(step, progress), step as f64);
        if step <= warmup && warmup > 0.0 || step == 0.0 || progress <= 0.0 {
            return 0.0;
        }
        (progress * (step - warmup) / (step - warmup * progress)).clamp(0.0, 1.0)
    }
}

/// A relative change below this is no improvement: the default of PyTorch's `ReduceLROnPlateau`.
const THRESHOLD: f64 = 1e-4;

/// The state of `Plateau`, saved in checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    best: Option<f64>,
    /// Validations since the best, or since the last reduction.
    worse: u32,
    reductions: u32,
}

impl Plateau {
    /// Observes a validation's objective, lower is better; NaN never is.
    pub fn observe(&mut self, objective: f64, config: &ScheduleConfig) {
        if self.best.map_or(!objective.is_nan(), |best| objective < best - THRESHOLD * best.abs()) {
            (self.best, self.worse) = (Some(objective), 0);
            return;
        }
        self.worse += 1;
        if self.worse > config.patience {
            (self.worse, self.reductions) = (0, self.reductions.saturating_add(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The factors of a run of 40 steps, 10 to an epoch.
    fn run(config: &ScheduleConfig) -> Vec<f64> {
        config.validate().unwrap();
        let plateau = Plateau::default();
        (0..40).map(|k| config.factor(k, k as f64 / 10.0, k as f64 / 40.0, &plateau)).collect()
    }

    #[test]
    fn every_schedule_warms_up_linearly_to_its_full_rate() {
        for kind in ScheduleKind::ALL {
            let config = ScheduleConfig { kind, warmup: 8, decay_after: 1.0, ..Default::default() };
            let factors = run(&config);
            for k in 0..8 {
                assert!((factors[k] - (k + 1) as f64 / 8.0).abs() < 1e-15, "{kind:?} step {k}: {}", factors[k]);
            }
            assert_eq!(factors[8], 1.0, "{kind:?}");
        }
    }

    #[test]
    fn a_warm_up_takes_no_more_than_its_share_of_the_run() {
        let config =
            ScheduleConfig { kind: ScheduleKind::Cosine, warmup: 100, warmup_share: 0.1, ..Default::default() };
        let plateau = Plateau::default();
        let factors: Vec<f64> = (0..40).map(|k| config.factor(k, 0.0, k as f64 / 40.0, &plateau)).collect();
        assert_eq!((factors[0], factors[1..4].to_vec()), (0.01, vec![0.5, 0.75, 1.0]));
        assert!(factors[4] == 1.0 && factors[4..].is_sorted_by(|a, b| a > b), "{factors:?}");
        // Limited by time, the first step begins a little late.
        assert_eq!(config.factor(0, 0.0, 1e-6, &plateau), 0.01);
        // A long run is as it would be without the limit.
        let free = ScheduleConfig { warmup_share: 1.0, ..config.clone() };
        for k in 0..2000 {
            let of = |config: &ScheduleConfig| config.factor(k, 0.0, k as f64 / 2000.0, &plateau).to_bits();
            assert_eq!(of(&config), of(&free), "step {k}");
        }
    }

    #[test]
    fn decay_begins_after_decay_after_and_stops_at_the_floor() {
        let config =
            ScheduleConfig { kind: ScheduleKind::Step, decay_after: 1.0, min_lr_ratio: 0.2, ..Default::default() };
        let factors = run(&config);
        assert_eq!((factors[19], factors[20], factors[29], factors[30]), (1.0, 0.5, 0.5, 0.25));
        assert_eq!(config.factor(0, 30.0, 1.0, &Plateau::default()), 0.2);
        let factors = run(&ScheduleConfig { kind: ScheduleKind::Exponential, ..config });
        assert!(factors[10] == 1.0 && factors[20] == 0.5 && (factors[15] - 0.5f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_cosine_falls_from_the_full_rate_to_the_minimum() {
        for warmup in [0, 10] {
            let config = ScheduleConfig { kind: ScheduleKind::Cosine, warmup, min_lr_ratio: 0.1, ..Default::default() };
            let factors = run(&config);
            let from = warmup as usize;
            assert_eq!(factors[from], 1.0);
            assert!(factors[from..].is_sorted_by(|a, b| a > b));
            let middle = from + (40 - from) / 2;
            assert!((factors[middle] - 0.55).abs() < 1e-12, "{}", factors[middle]);
            assert!((config.factor(40, 4.0, 1.0, &Plateau::default()) - 0.1).abs() < 1e-12);
        }
    }

    #[test]
    fn a_plateau_survives_json_amid_its_patience() {
        let config = ScheduleConfig { kind: ScheduleKind::Plateau, patience: 2, ..Default::default() };
        let mut plateau = Plateau::default();
        let mut factors = Vec::new();
        for loss in [f64::NAN, 3.0, 2.0, 2.0, f64::NAN, 1.99999, 2.5, 1.0, 1.0] {
            plateau = serde_json::from_str(&serde_json::to_string(&plateau).unwrap()).unwrap();
            plateau.observe(loss, &config);
            factors.push(config.factor(0, 0.0, 0.0, &plateau));
        }
        assert_eq!(factors, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]);
    }

    #[test]
    fn a_plateau_accepts_negative_objectives() {
        let config = ScheduleConfig { kind: ScheduleKind::Plateau, patience: 0, ..Default::default() };
        let mut plateau = Plateau::default();
        let factors = [-0.5, -0.6, -0.600001, -0.7].map(|objective| {
            plateau.observe(objective, &config);
            config.factor(0, 0.0, 0.0, &plateau)
        });
        assert_eq!(factors, [1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn invalid_values_are_rejected_naming_the_setting() {
        let good = ScheduleConfig::default();
        let bad = [
            ("min_lr_ratio", ScheduleConfig { min_lr_ratio: 1.5, ..good.clone() }),
            ("decay", ScheduleConfig { decay: 0.0, ..good.clone() }),
            ("decay_after", ScheduleConfig { decay_after: f64::NAN, ..good.clone() }),
            ("decay_every", ScheduleConfig { decay_every: 0.0, ..good }),
        ];
        for (key, config) in bad {
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with(&format!("{key} ")), "{key}: {message}");
        }
    }
}
