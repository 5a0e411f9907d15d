//! Settings whose values are words.

use serde::{Deserialize, Serialize};

use crate::param::Init;

/// Sizes as one word: `16,32,64`; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sizes(pub Vec<usize>);

impl TryFrom<String> for Sizes {
    type Error = String;

    fn try_from(word: String) -> std::result::Result<Self, String> {
        let parts = word.split(',').map(str::trim).filter(|part| !part.is_empty());
        let size = |part: &str| part.parse::<usize>().ok().filter(|size| (1..=1 << 16).contains(size));
        let sizes: Option<Vec<usize>> = parts.map(size).collect();
        sizes.map(Sizes).ok_or_else(|| "must be sizes from 1 to 65536, such as 16,32,64".into())
    }
}

impl From<Sizes> for String {
    fn from(sizes: Sizes) -> String {
        sizes.0.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Which weights a run keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// By the number of examples.
    Auto,
    /// The best by validation.
    Best,
    /// Those of the end.
    Last,
}

/// Yes, no, or left to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whether {
    /// Left to the data.
    Auto,
    /// Yes.
    Yes,
    /// No.
    No,
}

/// Per-class weights of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Every example counts the same.
    Equal,
    /// Every class counts the same: an example is weighted by the inverse frequency of its class.
    Balanced,
}

/// [`Init`] as one word: `pytorch`, `orthogonal`, `uniform:0.08`, `normal:0.01`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InitWord(pub Init);

impl TryFrom<String> for InitWord {
    type Error = String;

    fn try_from(word: String) -> std::result::Result<Self, String> {
        let (name, value) = word.split_once(':').unwrap_or((&word, ""));
        let number = || value.parse::<f64>().ok().filter(|x| *x > 0.0 && x.is_finite());
        match (name, number()) {
            // `fan` is its name in files of version 0.1.
            ("pytorch" | "fan", _) if value.is_empty() => Ok(InitWord(Init::Fan)),
            ("orthogonal", _) if value.is_empty() => Ok(InitWord(Init::Orthogonal)),
            ("uniform", Some(bound)) => Ok(InitWord(Init::Uniform(bound))),
            ("normal", Some(std)) => Ok(InitWord(Init::Normal(std))),
            _ => Err("must be pytorch, orthogonal, uniform:BOUND or normal:STD, such as uniform:0.08".into()),
        }
    }
}

impl From<InitWord> for String {
    fn from(word: InitWord) -> String {
        match word.0 {
            Init::Fan => "pytorch".into(),
            Init::Orthogonal => "orthogonal".into(),
            Init::Uniform(bound) => format!("uniform:{bound}"),
            Init::Normal(std) => format!("normal:{std}"),
        }
    }
}
