//! Files to batches. Knows no network: a batch is symbols and positions.

mod text;

pub use text::{Streams, StreamsPosition, Window};
