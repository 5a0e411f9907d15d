//! Files read whole, plain or gzipped, and atomic replacement of files.

pub mod atomic;
mod read;

pub use read::read;
pub(crate) use read::{fault, open, read_failed, text, text_after, unreadable};
#[cfg(test)]
pub(crate) use read::{gzip, real_data, write};
