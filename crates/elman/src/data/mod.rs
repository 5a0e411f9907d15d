//! Files to batches. Knows no network: a batch is tokens and positions, numbers and labels.

mod buckets;
pub mod builtin;
pub(crate) mod captions;
pub(crate) mod columns;
pub(crate) mod dataset;
pub mod encoder;
pub mod features;
pub mod frames;
pub mod idx;
#[cfg(feature = "media")]
pub mod images;
pub(crate) mod inputs;
mod labels;
mod matrix;
pub(crate) mod motion;
pub(crate) mod naive_bayes;
mod natural;
pub mod pairs;
mod pixels;
pub(crate) mod recordings;
pub mod sequences;
pub(crate) mod series;
mod split;
pub(crate) mod statistics;
mod subwords;
pub mod table;
mod text;
pub(crate) mod texts;
pub(crate) mod tokenizer;
mod validation;
pub mod vectors;
mod vocab;
pub(crate) mod windows;
pub mod words;

pub use buckets::{Buckets, BucketsPosition};
pub use labels::{At, Labels};
pub use matrix::Matrix;
pub(crate) use matrix::{half, to_half};
pub use pairs::Pair;
pub use pixels::{Pixels, Variation, Vary};
pub use split::Split;
pub use subwords::{SubwordDropout, Subwords, SubwordsConfig, Units};
pub use text::{Streams, StreamsPosition, Window};
pub use validation::{HoldOut, stratified_split, train_val_split};
pub use vocab::{Decoder, Unseen, Vocab, utf8};
pub use words::Words;
