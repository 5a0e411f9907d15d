//! Every error a user of the library can meet: what was wrong, where, what to do.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong; one variant per cause that a caller treats differently.
///
/// Messages name settings in backticks, such as `` `val_frac` ``, as fields of [`Settings`](crate::settings::Settings) and
/// keys of `config.toml` are called; a front end may show them as its users write them. What comes from the user's data
/// stands in double quotes.
///
/// ```
/// use elman::{Error, Rnn};
///
/// let mut rnn = Rnn::new(2, 8, 1, 1)?;
/// assert!(rnn.step(&[1.0, 2.0, 3.0]).is_err(), "two values are wanted");
/// match elman::open("no/such/model") {
///     Err(Error::Io { path, .. }) => assert_eq!(path.to_str(), Some("no/such/model")),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting or an option whose value is invalid.
    #[error("{key} {value}: {requirement}")]
    Setting {
        /// Its name, such as `clip_norm`.
        key: String,
        /// The value as text.
        value: String,
        /// What it must be.
        requirement: String,
    },
    /// A setting or an option that nothing would read.
    #[error("{key} {value}: {}; the task is {task}", who_reads(.readers))]
    Unread {
        /// Its name.
        key: String,
        /// The value as text.
        value: String,
        /// The tasks that read it.
        readers: Vec<&'static str>,
        /// The task that does not.
        task: String,
    },
    /// A name that is not a setting.
    #[error("there is no setting `{name}`{}", suggestion(.nearest.as_deref()))]
    UnknownSetting {
        /// The name.
        name: String,
        /// The setting with the most similar name.
        nearest: Option<String>,
    },
    /// A request that contradicts itself or the model, in another way than the above.
    #[error("{0}")]
    Usage(String),
    /// Input data that cannot be used, with the place and the remedy in the text.
    #[error("{path}: {reason}", path = path.display())]
    Data {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong there and what to do.
        reason: String,
    },
    /// A model or checkpoint that is damaged, cut short, foreign or of another format.
    #[error("{path}: {reason}", path = path.display())]
    Model {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong there (the part or tensor) and what to do.
        reason: String,
    },
    /// Training left the finite numbers, or the loss grew without bound.
    #[error(
        "training diverged {times} times, the last time at step {step} with loss {loss:.4}, although the learning rate was \
         halved each time and those batches were left out; try a lower `lr` or a lower `clip_norm`, or, where single \
         losses are large by nature, `diverged_at = 0`"
    )]
    Diverged {
        /// The optimizer step at which it was noticed.
        step: u64,
        /// The training loss there, per target.
        loss: f64,
        /// How often it was noticed.
        times: u32,
    },
    /// The caller asked to stop before a run had begun.
    #[error("{0}")]
    Stopped(String),
    /// Processes that cannot train together.
    #[error("{0}")]
    Ranks(String),
    /// Another process has the run folder.
    #[error("{0}")]
    Busy(String),
    /// The disk or the operating system refused.
    #[error("{path}: cannot {action}: {reason}", path = path.display(), reason = in_words(.source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted: "read", "write", "create".
        action: &'static str,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// [`Error::Setting`]: `key` has a `value` that does not meet the `requirement`.
    pub fn setting(key: &str, value: impl Display, requirement: impl Into<String>) -> Error {
        Error::Setting { key: key.into(), value: value.to_string(), requirement: requirement.into() }
    }
}

fn who_reads(readers: &[&str]) -> String {
    match readers {
        [] => "nothing reads it here".into(),
        [one] => format!("only {one} reads it"),
        [all @ .., last] => format!("only {} and {last} read it", all.join(", ")),
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| "; `elman init` lists them all".into(), |name| format!("; did you mean `{name}`?"))
}

/// The operating system's reason without its number.
pub fn in_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{AlreadyExists, NotADirectory, NotFound};
    // What this program says itself it says better.
    let is_the_systems = error.raw_os_error().is_some();
    let text = match error.kind() {
        NotFound if is_the_systems => return "there is no such file or folder".into(),
        AlreadyExists if is_the_systems => return "a file of that name is in the way".into(),
        NotADirectory if is_the_systems => return "a part of the path is a file, not a folder".into(),
        _ => error.to_string(),
    };
    let Some((words, rest)) = text.split_once(" (os error ") else { return text };
    // What a wrapper added stands behind the number.
    words.to_lowercase() + rest.split_once(')').map_or("", |(_, more)| more)
}

/// [`Error::Io`]: an `action` on `path` failed.
pub(crate) fn failed<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io { path: path.into(), action, source }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::file::atomic::with_need;

    #[test]
    fn the_systems_reasons_are_said_without_their_numbers() {
        // ENOSPC and EACCES on every Unix.
        let full = with_need(std::io::Error::from_raw_os_error(28), 1000);
        assert_eq!(in_words(&full), "no space left on device; the file needs 1000 bytes");
        assert_eq!(in_words(&std::io::Error::from_raw_os_error(13)), "permission denied");
        let own = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no header in a.npy");
        assert_eq!(in_words(&own), "there is no header in a.npy");
    }
}
