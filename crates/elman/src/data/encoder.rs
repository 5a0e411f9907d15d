//! Image features from a pretrained ONNX network, which is never trained.
//!
//! The network has one input, f32 `[1, 3, height, width]`. An output `[1, C]` is a vector of an image, `[1, C, h, w]` a
//! map of its `h w` positions, `[1, P, C]` one of `P` positions. The file's metadata describe the
//! preprocessing:
//!
//! | key | value | default |
//! |---|---|---|
//! | `image.mean`, `image.std` | one number, or one per channel: `(x - mean) / std`, `x` from 0 to 255 | ImageNet's |
//! | `image.channels` | `RGB` or `BGR` | `RGB` |
//! | `image.size` | rows and columns, where the input has dynamic sizes | 224 224 |
//! | `image.crop` | centre crop: side as a share of the shorter side; `none`: the whole image, stretched | `none` |
//! | `image.interpolation` | `bilinear` or `bicubic` | `bilinear` |

use std::cell::Cell;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::file;

// Compiled for tests in every build.
#[cfg(any(test, not(feature = "encoder")))]
#[cfg_attr(feature = "encoder", allow(dead_code, unreachable_pub))]
mod absent;
pub mod cache;
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

/// Whether a panic of this thread would now be caught and become an error that names the file: a program's panic hook
/// may stay silent.
pub fn is_catching() -> bool {
    CATCHING.get()
}

/// Identifies an encoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderId {
    /// The file's name.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their CRC-32.
    pub crc32: u32,
    /// The selected output.
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

    /// Whether both are the same file content, whatever the name.
    pub fn is_file_of(&self, other: &EncoderId) -> bool {
        (self.bytes, self.crc32) == (other.bytes, other.crc32)
    }
}

impl std::fmt::Display for EncoderId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} ({} bytes, crc32 {:08x})", self.file, self.bytes, self.crc32)
    }
}

/// Which output of an encoder to use.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The one of this name; the first if the name is empty.
    Named(&'a str),
    /// The first with this many vectors of this width.
    Fits {
        /// `P`.
        positions: usize,
        /// `C`.
        width: usize,
    },
}

/// The part of an image that an encoder sees, in pixels.
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
