//! Photographs to features by a pretrained network of an ONNX file, which is run and never trained.
//!
//! The network has one input, f32 `[1, 3, height, width]`. An output `[1, C]` is a vector of a photograph, `[1, C, h, w]` a
//! map of its `h w` places, `[1, P, C]` one of `P` places. How a photograph becomes the input stands in the file's metadata:
//!
//! | key | value | where it is absent |
//! |---|---|---|
//! | `image.mean`, `image.std` | one number, or one for each channel: `(x - mean) / std`, `x` from 0 to 255 | ImageNet's |
//! | `image.channels` | `RGB` or `BGR` | `RGB` |
//! | `image.size` | rows and columns, where the input leaves them open | 224 224 |
//! | `image.crop` | share of the shorter side whose square in the middle is seen; `none`: all, squashed | `none` |
//! | `image.interpolation` | `bilinear` or `bicubic` | `bilinear` |

use std::cell::Cell;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file;
use crate::error::Result;

#[cfg(not(feature = "encoder"))]
mod absent;
#[cfg(feature = "encoder")]
mod onnx;

#[cfg(not(feature = "encoder"))]
pub use absent::Encoder;
#[cfg(feature = "encoder")]
pub use onnx::Encoder;

thread_local! {
    /// See [`is_catching`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would now be caught and become an error that names the file: a program's panic hook need
/// say nothing of it.
pub fn is_catching() -> bool {
    CATCHING.get()
}

/// Which encoder made features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderId {
    /// The file's name.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their checksum.
    pub crc32: u32,
    /// The output that was taken.
    pub output: String,
}

impl EncoderId {
    /// Of a file, without an output.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(path: &Path) -> Result<EncoderId> {
        Ok(Self::of(path, &file::read(path)?))
    }

    fn of(path: &Path, bytes: &[u8]) -> EncoderId {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        EncoderId { file, bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes), output: String::new() }
    }

    /// Whether both are the same file, whatever its name.
    pub fn is_file_of(&self, other: &EncoderId) -> bool {
        (self.bytes, self.crc32) == (other.bytes, other.crc32)
    }
}

impl std::fmt::Display for EncoderId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} ({} bytes, crc32 {:08x})", self.file, self.bytes, self.crc32)
    }
}

/// Which output of an encoder is taken.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The one of this name; the first, where it is empty.
    Named(&'a str),
    /// The first that gives so many vectors of this width.
    Fits {
        /// `P`.
        places: usize,
        /// `C`.
        width: usize,
    },
}

/// The part of a photograph that an encoder sees, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}
