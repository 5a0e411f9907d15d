//! The metrics of a run: one record per line.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use super::batches::VAL_LOSS;

/// The folder of samples in a run folder.
pub const SAMPLES: &str = "samples";

/// A line of `metrics.jsonl`. All but the last four fields are reproducible.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Optimizer steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// Targets trained on so far.
    pub targets: u64,
    /// Mean training loss since the record before, nats per target; absent if only a validation was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_nats: Option<f64>,
    /// The same if the loss is not a cross-entropy: half the mean squared error of a standardised target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Global norm of the last gradient, before clipping; NaN if it was not finite.
    #[serde(default = "undefined", skip_serializing_if = "is_undefined", deserialize_with = "defined_or_nan")]
    pub grad_norm: f64,
    /// Validation metrics by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_map")]
    pub val: Vec<(String, f64)>,
    /// Names of the measures that are left out because they are infinite or undefined, as `r2` is of equal targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undefined: Vec<String>,
    /// Whether this validation was the best so far.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub best: bool,
    /// Targets per second since the record before.
    pub targets_per_s: f64,
    /// Seconds of training, earlier processes of the run included.
    pub elapsed_s: f64,
    /// Seconds of these spent writing, before this record.
    #[serde(default)]
    pub saving_s: f64,
    /// Seconds since 1970.
    pub unix_time: u64,
}

fn undefined() -> f64 {
    f64::NAN
}

fn is_undefined(value: &f64) -> bool {
    !value.is_finite()
}

/// JSON has no number for what is not finite; older runs hold `null` there.
fn defined_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Record {
    /// The record with the measures that can be written and read back; the others are named as undefined.
    pub(super) fn defined(mut self) -> Record {
        let (val, undefined): (Vec<_>, Vec<_>) = self.val.into_iter().partition(|(_, value)| value.is_finite());
        self.val = val;
        self.undefined.extend(undefined.into_iter().map(|(name, _)| name));
        for (name, value) in [("train_nats", &mut self.train_nats), ("train_loss", &mut self.train_loss)] {
            if value.is_some_and(|value| !value.is_finite()) {
                *value = None;
                self.undefined.push(name.into());
            }
        }
        if !self.grad_norm.is_finite() {
            self.grad_norm = f64::NAN;
            self.undefined.push("grad_norm".into());
        }
        self
    }

    /// The record without its clock-dependent fields.
    pub fn without_clock(&self) -> Record {
        Record { targets_per_s: 0.0, elapsed_s: 0.0, saving_s: 0.0, unix_time: 0, ..self.clone() }
    }

    /// The mean training loss, in nats or not.
    pub fn train(&self) -> Option<f64> {
        self.train_nats.or(self.train_loss)
    }

    /// The validation loss, in nats or not.
    pub fn val_loss(&self) -> Option<f64> {
        VAL_LOSS.iter().find_map(|name| self.val(name))
    }

    /// A validation metric by name.
    pub fn val(&self, name: &str) -> Option<f64> {
        self.val.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }
}

/// The file of a sample made after `step` steps.
pub(super) fn sample_path(folder: &Path, step: u64) -> PathBuf {
    folder.join(SAMPLES).join(format!("step-{step:08}.txt"))
}

/// Names and values as a JSON object, in their order.
mod as_map {
    use serde::de::{Deserializer, MapAccess, Visitor};
    use serde::ser::{SerializeMap, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(values.len()))?;
        for (name, value) in values {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, f64)>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, f64)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of numbers")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                // Older runs hold `null` for a value that is not finite.
                while let Some((name, value)) = map.next_entry::<String, Option<f64>>()? {
                    pairs.extend(value.map(|value| (name, value)));
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_left_out_and_named_and_every_line_can_be_read_back() {
        let val = vec![("val_rmse".to_string(), 2.0), ("val_r2".to_string(), f64::NEG_INFINITY)];
        let record =
            Record { train_loss: Some(f64::NAN), grad_norm: f64::INFINITY, val, ..Record::default() }.defined();
        assert_eq!(record.val, [("val_rmse".to_string(), 2.0)]);
        assert_eq!(record.undefined, ["val_r2", "train_loss", "grad_norm"]);
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains("null"), "{line}");
        let read: Record = serde_json::from_str(&line).unwrap();
        assert_eq!((&read.val, &read.undefined, read.train_loss), (&record.val, &record.undefined, None));
        assert!(read.grad_norm.is_nan());
        // What older versions wrote.
        let old = line.replace("\"val_rmse\":2.0", "\"val_rmse\":2.0,\"val_r2\":null");
        assert_eq!(serde_json::from_str::<Record>(&old).unwrap().val, record.val);
    }
}
