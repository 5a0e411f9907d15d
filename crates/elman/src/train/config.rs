//! Settings of the training loop.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use elman_kernels::Operands;
use serde::{Deserialize, Serialize};

use super::Reduce;
use crate::optim::{OptimizerConfig, ScheduleConfig};

/// Minimum number of validations per run.
pub(super) const VALIDATIONS: f64 = 10.0;
/// In a run with a time limit, training lasts at least this many times as long as the validation before it.
const TRAINING_PER_VALIDATION: f64 = 4.0;

/// A duration such as `90s`, `10m`, `2h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

impl Span {
    /// Zero; as a limit: none.
    pub const ZERO: Span = Span(Duration::ZERO);

    /// Whole seconds.
    pub const fn from_secs(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    /// In seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let wrong = || "must be a duration such as 90s, 10m or 2h".to_string();
        let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let seconds = match &text[at..] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = text[..at].parse().map_err(|_| wrong())?;
        Duration::try_from_secs_f64(number * seconds).map(Span).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.0.as_secs(), self.0.subsec_nanos());
        match seconds {
            _ if rest != 0 => write!(f, "{}s", self.as_secs_f64()),
            0 => f.write_str("0s"),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// An interval in steps or time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "EveryWord", into = "EveryWord")]
pub enum Every {
    /// Optimizer steps.
    Steps(u64),
    /// Time.
    Time(Span),
}

/// [`Every`] in a file: a number or a text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum EveryWord {
    Steps(u64),
    Text(String),
}

impl TryFrom<EveryWord> for Every {
    type Error = String;

    fn try_from(word: EveryWord) -> Result<Every, String> {
        match word {
            EveryWord::Steps(steps) => Ok(Every::Steps(steps)),
            EveryWord::Text(text) => text.parse(),
        }
    }
}

impl From<Every> for EveryWord {
    fn from(every: Every) -> EveryWord {
        match every {
            Every::Steps(steps) => EveryWord::Steps(steps),
            Every::Time(span) => EveryWord::Text(span.to_string()),
        }
    }
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        match text.parse() {
            Ok(steps) => Ok(Every::Steps(steps)),
            Err(_) => text
                .parse()
                .map(Every::Time)
                .map_err(|_| "must be a number of steps or a time such as 60s or 10m".to_string()),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Every::Steps(steps) => steps.fmt(f),
            Every::Time(span) => span.fmt(f),
        }
    }
}

/// Precision of the matrix products in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// `f32`.
    #[default]
    F32,
    /// Operands rounded to bfloat16, accumulated in `f32`; master weights are `f32` (mixed precision,
    /// Micikevicius et al. 2018; bfloat16: Kalamkar et al. 2019).
    Bf16,
}

impl Precision {
    /// The rounding of the products' operands.
    pub(super) fn operands(self) -> Operands {
        match self {
            Precision::F32 => Operands::Exact,
            Precision::Bf16 => Operands::Bf16,
        }
    }
}

/// The training loop's settings; documented at [`Settings`](crate::settings::Settings).
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct TrainConfig {
    pub seed: u64,
    pub precision: Precision,
    pub reduce: Reduce,
    pub lr: f64,
    pub optimizer: OptimizerConfig,
    pub schedule: ScheduleConfig,
    pub clip_norm: f64,
    pub clip_value: f64,
    pub accumulate: usize,
    pub average: f64,
    pub epochs: f64,
    pub max_steps: u64,
    pub max_time: Span,
    pub patience: u32,
    pub diverged_at: f64,
    pub log_every: u64,
    pub val_every: u64,
    pub keeps_last: bool,
    pub rules: u64,
    pub checkpoint_every: Every,
    pub sample_every: u64,
}

/// What ends a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// Passes over the data; 0 for no limit.
    pub epochs: f64,
    /// Updates; 0 for no limit.
    pub max_steps: u64,
    /// Time; zero for no limit.
    pub max_time: Span,
    /// Validations without improvement; 0 for no limit.
    pub patience: u32,
}

impl Length {
    /// Fraction of the run done, 0 to 1, by the nearest limit but patience.
    pub fn progress(&self, step: u64, epochs: f64, elapsed_s: f64) -> f64 {
        let mut progress = 0.0f64;
        if self.epochs > 0.0 {
            progress = progress.max(epochs / self.epochs);
        }
        if self.max_steps > 0 {
            progress = progress.max(step as f64 / self.max_steps as f64);
        }
        if self.max_time > Span::ZERO {
            progress = progress.max(elapsed_s / self.max_time.as_secs_f64());
        }
        progress.min(1.0)
    }
}

/// In words: `10 epochs`, `600 updates or 10m`.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limits = Vec::new();
        if self.epochs > 0.0 {
            limits.push(format!("{} epochs", self.epochs));
        }
        if self.max_steps > 0 {
            limits.push(format!("{} updates", self.max_steps));
        }
        if self.max_time > Span::ZERO {
            limits.push(self.max_time.to_string());
        }
        f.write_str(&limits.join(" or "))
    }
}

impl TrainConfig {
    /// What ends the run.
    pub fn length(&self) -> Length {
        let TrainConfig { epochs, max_steps, max_time, patience, .. } = *self;
        Length { epochs, max_steps, max_time, patience }
    }

    /// Fraction of the run done, 0 to 1, by the nearest limit.
    pub fn progress(&self, step: u64, epochs: f64, elapsed_s: f64) -> f64 {
        self.length().progress(step, epochs, elapsed_s)
    }

    /// Whether the weights are validated after this step: every `every` steps; in a run with a time limit also after a tenth
    /// of it, but there, unless an interval is set, validation begins when the warm-up is over and takes at most a fifth of
    /// the time, the one at the end included. `trained_s`: seconds since the last validation; `last_s`: what that one took, 0
    /// before the first; `spent_s`: what all took.
    pub fn validates(&self, step: u64, every: u64, trained_s: f64, last_s: f64, spent_s: f64) -> bool {
        let is_step = step.is_multiple_of(every);
        if self.val_every > 0 || self.max_time == Span::ZERO {
            return is_step;
        }
        let limit_s = self.max_time.as_secs_f64();
        // A warm-up takes at most a tenth of the run.
        let is_due = trained_s > limit_s / VALIDATIONS || is_step && step >= self.schedule.warmup;
        let is_left = last_s == 0.0 || spent_s + 2.0 * last_s <= limit_s / (1.0 + TRAINING_PER_VALIDATION);
        is_due && is_left && trained_s >= TRAINING_PER_VALIDATION * last_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_with_units() {
        for (text, seconds) in [("90s", 90.0), ("10m", 600.0), ("2h", 7200.0), ("1.5m", 90.0), ("250ms", 0.25)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_secs_f64(), seconds);
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        assert_eq!(Span::from_secs(5400).to_string(), "90m");
        for wrong in ["10", "m", "-5s", "10 days", "", "1e99h", "nans"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn validation_takes_at_most_a_fifth_of_a_limited_time_and_begins_after_the_warm_up() {
        let settings = crate::Settings { max_time: Span::from_secs(40), warmup: 50, ..crate::Settings::base() };
        let config = settings.train_config();
        assert!(!config.validates(49, 1, 3.9, 0.0, 0.0) && config.validates(50, 1, 0.1, 0.0, 0.0));
        assert!(!config.validates(51, 100, 3.9, 0.0, 0.0) && config.validates(51, 100, 4.1, 0.0, 0.0));
        // A run of updates of 0.1 s, with validations that take so long and one of them at the end.
        for (takes, least) in [(0.2, 6.0), (1.5, 6.0), (3.0, 6.0)] {
            let (mut now, mut trained, mut last, mut spent, mut step) = (0.0, 0.0, 0.0, 0.0, 0);
            while config.progress(step, 0.0, now + last) < 1.0 {
                (now, trained, step) = (now + 0.1, trained + 0.1, step + 1);
                if config.validates(step, 10, trained, last, spent) {
                    (now, trained, last, spent) = (now + takes, 0.0, takes, spent + takes);
                }
            }
            let (spent, now) = (spent + takes, now + takes);
            assert!((least - 0.1..=8.001).contains(&spent) && now < 40.2, "{takes}: {spent}, {now}");
        }
        // What is asked for is done.
        let often = crate::Settings { val_every: 10, ..settings }.train_config();
        assert!(often.validates(10, 10, 0.1, 3.0, 30.0) && !often.validates(11, 10, 9.0, 0.0, 0.0));
    }

    #[test]
    fn a_frequency_is_steps_or_time() {
        assert_eq!("20".parse(), Ok(Every::Steps(20)));
        assert_eq!("2m".parse(), Ok(Every::Time(Span::from_secs(120))));
        assert!("often".parse::<Every>().is_err());
    }
}
