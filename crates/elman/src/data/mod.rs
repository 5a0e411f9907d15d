//! Files to batches. Knows no network: a batch is symbols and positions.

pub mod builtin;
mod text;
mod vocab;

pub use text::{Streams, StreamsPosition, Window};
pub use vocab::{Decoder, Unseen, Vocab, utf8};
