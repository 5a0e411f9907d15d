//! Lossless tokenisation: subwords trained on the data, whole words or characters.
//!
//! Training needs the feature `subwords`. Without it every setting is still read, and models of words and characters run.

#[cfg(feature = "subwords")]
mod dropout;
// Compiled for tests in every build.
#[cfg(any(test, not(feature = "subwords")))]
#[cfg_attr(feature = "subwords", allow(dead_code, unreachable_pub))]
mod plain;
#[cfg(feature = "subwords")]
mod tokenizer;

use serde::{Deserialize, Serialize};

#[cfg(feature = "subwords")]
pub use self::dropout::SubwordDropout;
#[cfg(not(feature = "subwords"))]
pub use self::plain::{SubwordDropout, Subwords};
#[cfg(feature = "subwords")]
pub use self::tokenizer::Subwords;

/// The unit of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Units {
    /// Frequent words and parts of rarer ones.
    #[default]
    Subword,
    /// Words and single punctuation marks.
    Word,
    /// Characters.
    Char,
}

/// How a vocabulary is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubwordsConfig {
    /// The unit of a token.
    pub units: Units,
    /// Maximum vocabulary size of subwords or words; all characters are always included.
    pub size: usize,
    /// Minimum frequency of a subword or word.
    pub least: u64,
    /// Whether texts are lower-cased first.
    pub lowercase: bool,
}
