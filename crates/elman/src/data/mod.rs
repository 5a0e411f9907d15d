//! Files to batches. Knows no network: a batch is symbols and positions, numbers and labels.

mod buckets;
pub mod builtin;
pub mod encoder;
pub mod features;
pub mod file;
pub mod frames;
mod held_out;
pub mod idx;
#[cfg(feature = "media")]
pub mod images;
mod labels;
mod matrix;
pub mod naive_bayes;
mod natural;
pub mod pairs;
mod pixels;
pub mod sequences;
mod split;
mod subwords;
pub mod table;
mod text;
pub mod vectors;
mod vocab;
pub mod words;

pub use buckets::{Buckets, BucketsPosition};
pub use held_out::{HoldOut, held_out};
pub use labels::{At, Labels};
pub use matrix::Matrix;
pub(crate) use matrix::{half, to_half};
pub use pairs::Pair;
pub use pixels::{Pixels, Variation, Vary};
pub use split::Split;
pub use subwords::{SubwordDropout, Subwords, SubwordsConfig, Units};
pub use text::{Streams, StreamsPosition, Window};
pub use vocab::{Decoder, Unseen, Vocab, utf8};
pub use words::Words;
