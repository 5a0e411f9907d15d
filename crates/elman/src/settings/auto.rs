//! Values that are left to the data: `auto` in files and on the command line.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

/// A number that may be left to the data.
///
/// ```
/// use elman::settings::{Auto, Settings};
///
/// let mut settings = Settings::for_task("classify")?;
/// assert!(settings.batch.is_auto());
/// settings.batch = 16;
/// assert_eq!(settings.batch.or(64), 16);
/// # Ok::<(), elman::Error>(())
/// ```
pub trait Auto: Copy + PartialEq {
    /// The value that stands for `auto`; no setting takes it as a number.
    const AUTO: Self;

    /// Whether it is left to the data.
    fn is_auto(self) -> bool {
        self == Self::AUTO
    }

    /// It, or `chosen` where it is left to the data.
    #[must_use]
    fn or(self, chosen: Self) -> Self {
        if self.is_auto() { chosen } else { self }
    }
}

impl Auto for usize {
    const AUTO: usize = usize::MAX;
}

impl Auto for f64 {
    const AUTO: f64 = f64::INFINITY;
}

/// The word in files.
const WORD: &str = "auto";

pub(super) fn serialize<T: Auto + Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_auto() { WORD.serialize(serializer) } else { value.serialize(serializer) }
}

pub(super) fn deserialize<'d, T: Auto + DeserializeOwned, D: Deserializer<'d>>(deserializer: D) -> Result<T, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(word) if word == WORD => Ok(T::AUTO),
        Value::String(_) => Err(D::Error::custom("must be a number, or auto")),
        value => match T::deserialize(value).map_err(D::Error::custom)? {
            // The number that stands for the word.
            number if number.is_auto() => Err(D::Error::custom("must be a smaller number, or auto")),
            number => Ok(number),
        },
    }
}
