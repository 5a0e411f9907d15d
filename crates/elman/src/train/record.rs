//! The metrics of a run: one record per line.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
    /// Global norm of the last gradient, before clipping.
    pub grad_norm: f64,
    /// Validation metrics by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_map")]
    pub val: Vec<(String, f64)>,
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

impl Record {
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
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
