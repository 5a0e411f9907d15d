//! What can be wrong with a model file, in words for the person who has it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Dtype, FORMAT_VERSION};

/// Why a file is no model that can be used; one variant per thing a caller treats differently.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelError {
    /// The bytes are no safetensors file at all.
    NotSafetensors {
        /// What shows it.
        reason: String,
    },
    /// A safetensors file of another program: tensors, but no description of the network.
    Foreign,
    /// The file ends too early.
    CutShort {
        /// What the file ends in: the header, or a tensor's name.
        part: String,
        /// Bytes the whole file should have (a lower bound if the header itself is cut).
        want: u64,
        /// Bytes there are.
        got: u64,
    },
    /// Bytes follow the last tensor.
    TooLong {
        /// How many.
        extra: u64,
    },
    /// A part contradicts its checksum, itself or the rest of the file.
    Damaged {
        /// The header, the checksums, the config, or a tensor's name.
        part: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a later release in a format this one does not know.
    Version {
        /// The version the file states.
        found: u64,
    },
    /// The config needs a tensor that is not in the file.
    Missing {
        /// Its name.
        tensor: String,
    },
    /// A tensor has other dimensions than the config says.
    Dimensions {
        /// Its name.
        tensor: String,
        /// Its dimensions in the file.
        got: Vec<usize>,
        /// The dimensions that follow from the config.
        want: Vec<usize>,
    },
    /// A tensor has elements of another type than needed.
    Type {
        /// Its name.
        tensor: String,
        /// Its type in the file.
        got: Dtype,
        /// The type that is needed.
        want: Dtype,
    },
    /// A tensor holds a value that is infinite or not a number.
    NotFinite {
        /// Its name.
        tensor: String,
        /// The first such element.
        index: usize,
    },
    /// The config leaves something out, or contradicts itself.
    Config {
        /// What, and where.
        reason: String,
    },
    /// A model that cannot be run in this way.
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
                super::CONFIG_KEY
            ),
            Self::CutShort { part, want, got } => {
                write!(f, "cut short in {part}: {got} bytes of {want}; copy or download the file again")
            }
            Self::TooLong { extra } => {
                write!(f, "{extra} bytes too long: something was appended after the last tensor; copy the file again")
            }
            Self::Damaged { part, reason } => write!(f, "damaged in {part}: {reason}"),
            Self::Version { found } => {
                write!(f, "format version {found}, but this release reads version {FORMAT_VERSION}; use a newer Elman")
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
