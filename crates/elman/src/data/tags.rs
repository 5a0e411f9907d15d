//! Words with a label each: the vocabulary by which a step's word is one token.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// The token of a word of which nothing is known.
pub(crate) const UNKNOWN: u32 = 0;
/// Letters at a rare word's end that still say what it is.
const ENDING: usize = 3;

/// Words and the endings of rare ones, each a token; saved with a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(crate) struct StepWords {
    /// The column of the words, by name or number.
    pub column: String,
    tokens: Vec<String>,
    index: HashMap<String, u32>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    column: String,
    tokens: Vec<String>,
}

impl TryFrom<Stored> for StepWords {
    type Error = String;

    fn try_from(Stored { column, tokens }: Stored) -> Result<Self, String> {
        // Token 0 is the unknown one.
        let index: HashMap<String, u32> = tokens.iter().cloned().zip(1..).collect();
        if index.len() != tokens.len() {
            return Err("a word comes twice in its vocabulary".into());
        }
        Ok(StepWords { column, tokens, index })
    }
}

impl From<StepWords> for Stored {
    fn from(StepWords { column, tokens, .. }: StepWords) -> Stored {
        Stored { column, tokens }
    }
}

/// A word's shape and ending: what is known of one that is not.
fn ending(word: &str) -> String {
    let has = |is: fn(char) -> bool| word.chars().any(is);
    let shape = match () {
        () if word.chars().all(|c| !c.is_alphabetic()) && has(|c| c.is_ascii_digit()) => return "<number>".into(),
        () if has(|c| c.is_ascii_digit()) => "9",
        () if word.chars().next().is_some_and(char::is_uppercase) => "X",
        () => "x",
    };
    let letters: Vec<char> = word.chars().collect();
    let last: String = letters[letters.len().saturating_sub(ENDING)..].iter().collect();
    format!("<{shape}..{}>", last.to_lowercase())
}

impl StepWords {
    /// The words that occur at least `least` times, at most `size`, and the shapes and endings of the others.
    pub(crate) fn fit<'a>(
        column: String,
        words: impl Iterator<Item = &'a str>,
        size: usize,
        least: usize,
    ) -> StepWords {
        let mut counts: HashMap<String, usize> = HashMap::new();
        words.for_each(|word| *counts.entry(word.trim().nfc().collect()).or_default() += 1);
        let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let known = counts.iter().take(size).take_while(|(_, n)| *n >= least).count();
        let rare: HashSet<String> = counts[known..].iter().map(|(word, _)| ending(word)).collect();
        let mut rare: Vec<String> = rare.into_iter().collect();
        rare.sort();
        let mut tokens: Vec<String> = counts.into_iter().take(known).map(|(word, _)| word).collect();
        rare.retain(|ending| !tokens.contains(ending));
        tokens.extend(rare);
        let index = tokens.iter().cloned().zip(1..).collect();
        StepWords { column, tokens, index }
    }

    /// `V`, with the unknown token.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len() + 1
    }

    /// The token of a word: its own, that of its lower case, or that of its shape and ending.
    pub(crate) fn token(&self, word: &str) -> u32 {
        let word: String = word.trim().nfc().collect();
        let find = |word: &str| self.index.get(word).copied();
        find(&word).or_else(|| find(&word.to_lowercase())).or_else(|| find(&ending(&word))).unwrap_or(UNKNOWN)
    }

    /// What a token stands for: a word, or the shape and ending of those that are not known.
    pub(crate) fn word(&self, token: u32) -> &str {
        (token as usize).checked_sub(1).and_then(|at| self.tokens.get(at)).map_or("<unknown>", String::as_str)
    }

    /// In words.
    pub(crate) fn describe(&self) -> String {
        const SHOWN: usize = 12;
        let shown = self.tokens.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        format!("a word a step (column {}), {} known: {shown}, ..", self.column, self.tokens.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_by_themselves_or_by_their_endings() {
        let words = ["the", "dog", "the", "dog", "running", "Berlin", "1999", "walking"];
        let found = StepWords::fit("word".into(), words.into_iter(), 100, 2);
        assert_eq!(found.len(), 1 + 2 + 3, "the, dog; ..ing, ..lin and numbers");
        assert_eq!(found.token("The"), found.token("the"));
        assert_eq!(found.token("talking"), found.token("running"));
        assert_eq!((found.word(found.token("dog")), found.word(UNKNOWN)), ("dog", "<unknown>"));
        assert_eq!((found.token("42"), found.token("zzz")), (found.token("7.5"), UNKNOWN));
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<StepWords>(&json).unwrap(), found);
        assert!(serde_json::from_str::<StepWords>(r#"{"column":"w","tokens":["a","a"]}"#).is_err());
    }
}
