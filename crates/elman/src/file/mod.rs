//! Files read whole, plain or compressed, encodings of texts, and atomic replacement of files.

/// Whether there are files at all. A page has none, and carries no code that reads data files or plans a run on them.
pub(crate) const HAS_FILES: bool = !cfg!(target_arch = "wasm32");

pub mod atomic;
mod encoding;
mod read;

pub use encoding::Encoding;
pub(crate) use encoding::utf8_after;
pub use read::{DEFAULT_MAX_INPUT, bytes_of, max_input, read, set_max_input};
pub(crate) use read::{LIST, MAX_LINE, fault, listed, max_decompressed, open, read_failed, unreadable};
#[cfg(test)]
pub(crate) use read::{gzip, real_data, write};
