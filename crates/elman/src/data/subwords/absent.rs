//! Stub of the tokenizer for builds without the feature `subwords`.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SubwordsConfig;
use crate::error::{Error, Result};
use crate::rng::Rng;

const LACKING: &str = "this program was built without subword tokenisation; build it with the feature `subwords`";

/// A vocabulary of subwords; this build has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Subwords(Infallible);

impl TryFrom<Value> for Subwords {
    type Error = &'static str;

    fn try_from(_: Value) -> std::result::Result<Self, &'static str> {
        Err(LACKING)
    }
}

impl From<Subwords> for Value {
    fn from(subwords: Subwords) -> Value {
        match subwords.0 {}
    }
}

impl Subwords {
    /// Always fails.
    ///
    /// # Errors
    /// Always.
    pub fn train<'a>(_: impl Iterator<Item = &'a str> + Send, _: &SubwordsConfig) -> Result<Self> {
        Err(Error::Usage(LACKING.into()))
    }

    /// These.
    ///
    /// # Errors
    /// Never.
    pub(crate) fn extended(&self, _: &Subwords) -> Result<Self> {
        match self.0 {}
    }

    /// `V`, with BOS and EOS.
    pub fn len(&self) -> usize {
        match self.0 {}
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        match self.0 {}
    }

    /// The beginning-of-sequence token, BOS.
    pub fn bos(&self) -> u32 {
        match self.0 {}
    }

    /// The end-of-sequence token, EOS.
    pub fn eos(&self) -> u32 {
        match self.0 {}
    }

    /// The unknown token, UNK.
    pub fn unk(&self) -> u32 {
        match self.0 {}
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// Never.
    pub fn encode(&self, _: &str) -> Result<Vec<u32>> {
        match self.0 {}
    }

    /// The text of tokens.
    ///
    /// # Errors
    /// Never.
    pub fn decode(&self, _: &[u32]) -> Result<String> {
        match self.0 {}
    }

    /// The name of the unit.
    pub fn unit(&self) -> &'static str {
        match self.0 {}
    }

    /// The text of a token.
    pub fn name(&self, _: u32) -> String {
        match self.0 {}
    }
}

/// The merges of a vocabulary; this build has none.
#[derive(Clone, Debug)]
pub struct SubwordDropout(Infallible);

impl SubwordDropout {
    /// Always fails.
    ///
    /// # Errors
    /// Never: there is no vocabulary.
    pub fn new(subwords: &Subwords, _: f64) -> Result<Self> {
        match subwords.0 {}
    }

    /// Re-tokenises a text.
    pub fn cut(&self, _: &[u32], _: &mut Rng) -> Vec<u32> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::Units;
    use super::*;

    #[test]
    fn training_and_reading_subwords_name_the_missing_feature() {
        let config = SubwordsConfig { units: Units::Subword, size: 60, least: 1, lowercase: false };
        let error = Subwords::train(["a dog"].into_iter(), &config).unwrap_err().to_string();
        assert!(error.contains("the feature `subwords`"), "{error}");
        let error = serde_json::from_str::<Subwords>(r#"{"tokenizer":{}}"#).unwrap_err().to_string();
        assert!(error.contains("the feature `subwords`"), "{error}");
    }
}
