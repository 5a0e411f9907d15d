//! Every message of this crate.

use std::path::{Path, PathBuf};

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file cannot be read, a graph built or run, or a model written.
///
/// `part` names the tensor, layer, node or key, as the file does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error in a file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The file cannot be read or written.
    #[error("cannot {action}: {source}")]
    Io {
        /// Read or write.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No format that is read here.
    #[error("{reason}")]
    Unrecognized {
        /// Why, and what to do.
        reason: String,
    },
    /// The file contradicts itself or its format.
    #[error("{part}: {reason}")]
    Malformed {
        /// Where.
        part: String,
        /// What is wrong.
        reason: String,
    },
    /// Something that exists in the format and is not implemented: never ignored.
    #[error("{part}: {what} is not supported")]
    Unsupported {
        /// Where.
        part: String,
        /// What.
        what: String,
    },
    /// Dimensions that do not fit.
    #[error("{part}: {got}, but {want} is needed")]
    Dimensions {
        /// Which value or tensor.
        part: String,
        /// What is needed, such as `[32, 8]`.
        want: String,
        /// What is there.
        got: String,
    },
    /// Something the network needs is not in the file.
    #[error("{part}: not in the file, but {needed_by} needs it")]
    Missing {
        /// What.
        part: String,
        /// What needs it.
        needed_by: String,
    },
    /// Weights no layer uses: a network with a part left out gives wrong numbers.
    #[error("{part}: no layer uses this tensor{advice}")]
    Unused {
        /// The tensors.
        part: String,
        /// What to do, from a semicolon on, or nothing.
        advice: String,
    },
    /// The file allows two readings that differ in their numbers.
    #[error("{part}: {reason}; say which with {option}")]
    Ambiguous {
        /// Where.
        part: String,
        /// What the readings are.
        reason: String,
        /// The option that decides.
        option: String,
    },
    /// A size beyond what is read.
    #[error("{part}: {size}, but at most {most} is read")]
    TooLarge {
        /// What.
        part: String,
        /// Its size, with a unit.
        size: String,
        /// The limit.
        most: String,
    },
    /// An input given to a run does not fit the graph.
    #[error("input {name}: {reason}")]
    Input {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The network cannot be expressed in the format it is to be written in, or not be run in steps.
    #[error("{part}: {reason}")]
    Refused {
        /// The node or layer.
        part: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl Error {
    /// The error with the file's name before it.
    #[must_use]
    pub fn at(self, path: &Path) -> Self {
        match self {
            Error::File { .. } => self,
            source => Error::File { path: path.into(), source: Box::new(source) },
        }
    }

    /// Something wrong in a part of a file.
    pub fn malformed(part: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Malformed { part: part.into(), reason: reason.into() }
    }

    /// Something not implemented.
    pub fn unsupported(part: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Unsupported { part: part.into(), what: what.into() }
    }

    /// Dimensions that do not fit.
    pub fn dimensions(part: impl Into<String>, got: &[usize], want: &[usize]) -> Self {
        Error::Dimensions { part: part.into(), got: format!("{got:?}"), want: format!("{want:?}") }
    }
}
