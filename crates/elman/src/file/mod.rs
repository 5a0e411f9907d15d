//! Files read whole, plain or gzipped, and atomic replacement of files.

pub mod atomic;
mod read;

pub use read::{DEFAULT_MAX_INPUT, bytes_of, max_input, read, set_max_input};
pub(crate) use read::{LIST, MAX_LINE, fault, listed, open, read_failed, text, text_after, unreadable};
#[cfg(test)]
pub(crate) use read::{gzip, real_data, write};
