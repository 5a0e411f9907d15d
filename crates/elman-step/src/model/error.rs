//! Errors in a model file.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::format::{CONFIG_KEY, Dtype, FORMAT_VERSION, GRAPH_VERSION};

/// Why a file cannot be used as a model; one variant per cause that a caller treats differently.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelError {
    /// Not a safetensors file.
    NotSafetensors {
        /// Why not.
        reason: String,
    },
    /// A safetensors file of another program: tensors without a description of the network.
    Foreign,
    /// The file ends too early.
    CutShort {
        /// The incomplete part: the header, or a tensor's name.
        part: String,
        /// Expected file size in bytes (a lower bound if the header itself is cut).
        want: u64,
        /// Actual file size in bytes.
        got: u64,
    },
    /// Bytes follow the last tensor.
    TooLong {
        /// Number of extra bytes.
        extra: u64,
    },
    /// A part fails its checksum, or is inconsistent in itself or with the rest of the file.
    Damaged {
        /// The header, the checksums, the config, or a tensor's name.
        part: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A format version of a later release.
    Version {
        /// The file's version.
        found: u64,
    },
    /// The config needs a tensor that is not in the file.
    Missing {
        /// Its name.
        tensor: String,
    },
    /// A tensor's dimensions contradict the config.
    Dimensions {
        /// Its name.
        tensor: String,
        /// Its dimensions in the file.
        got: Vec<usize>,
        /// The dimensions the config requires.
        want: Vec<usize>,
    },
    /// A tensor's elements have the wrong type.
    Type {
        /// Its name.
        tensor: String,
        /// Its type in the file.
        got: Dtype,
        /// The required type.
        want: Dtype,
    },
    /// A tensor has an infinite or NaN value.
    NotFinite {
        /// Its name.
        tensor: String,
        /// The first such element.
        index: usize,
    },
    /// The config is incomplete or inconsistent.
    Config {
        /// What, and where.
        reason: String,
    },
    /// A model that does not support the operation.
    Unsupported {
        /// Why, and what to do.
        reason: String,
    },
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSafetensors { reason } => write!(f, "not a safetensors file: {reason}"),
            Self::Foreign => write!(
                f,
                "a safetensors file, but not one of Elman's: it holds tensors and no description of the network \
                 (metadata key `{}`)",
                CONFIG_KEY
            ),
            Self::CutShort { part, want, got } => {
                write!(f, "cut short in {part}: {got} bytes of {want}; copy or download the file again")
            }
            Self::TooLong { extra } => {
                write!(f, "{extra} bytes too long: something was appended after the last tensor; copy the file again")
            }
            Self::Damaged { part, reason } => write!(f, "damaged in {part}: {reason}"),
            Self::Version { found } => {
                write!(
                    f,
                    "format version {found}, but this release reads versions {FORMAT_VERSION} and {GRAPH_VERSION}; use a newer Elman"
                )
            }
            Self::Missing { tensor } => write!(f, "{tensor}: not in the file, but the config needs it"),
            Self::Dimensions { tensor, got, want } => {
                write!(f, "{tensor}: {got:?} in the file, but the config needs {want:?}")
            }
            Self::Type { tensor, got, want } => {
                write!(f, "{tensor}: elements of type {got} in the file, but {want} is needed")
            }
            Self::NotFinite { tensor, index } => {
                write!(f, "{tensor}: element {index} is not a finite number; the model has diverged")
            }
            Self::Config { reason } => write!(f, "the config cannot be used: {reason}"),
            Self::Unsupported { reason } => f.write_str(reason),
        }
    }
}

impl core::error::Error for ModelError {}
