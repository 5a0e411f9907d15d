//! Standard deviations in model files, by which values are divided.

use serde::{Deserialize, Deserializer};

/// Reads a standard deviation.
///
/// # Errors
/// One that is 0 or negative.
pub(crate) fn above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    match value > 0.0 && value.is_finite() {
        true => Ok(value),
        false => Err(serde::de::Error::custom(format!("a deviation is {value}, and must be above 0"))),
    }
}
