//! Files to batches. Knows no network: a batch is symbols and positions, numbers and labels.

pub mod builtin;
pub mod features;
pub mod file;
pub mod frames;
pub mod idx;
#[cfg(feature = "media")]
pub mod images;
mod natural;
pub mod sequences;
mod split;
pub mod table;
mod text;
mod vocab;

pub use split::Split;
pub use text::{Streams, StreamsPosition, Window};
pub use vocab::{Decoder, Unseen, Vocab, utf8};
