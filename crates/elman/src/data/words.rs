//! Texts to tokens for networks that read a whole text: words, subwords or characters, the rare ones as one unknown token.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::subwords::{Subwords, SubwordsConfig, Units};
use crate::error::{Error, Result};

/// The number of the token that stands for all unknown ones.
pub const UNKNOWN: u32 = 0;

/// What a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Words, numbers and single punctuation marks.
    #[default]
    Word,
    /// Frequent words and parts of rarer ones, learnt from the texts.
    Subword,
    /// Characters.
    Char,
}

impl Level {
    /// What its pieces are called.
    pub fn unit(self) -> &'static str {
        match self {
            Level::Word => "word",
            Level::Subword => "subword",
            Level::Char => "character",
        }
    }
}

/// A vocabulary of words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Words {
    level: Level,
    /// Tokens of a text at most; 0 for all.
    max_len: usize,
    /// Word `i` is token `i + 1`.
    words: Vec<String>,
    index: HashMap<String, u32>,
    /// What cuts a text into subwords; its symbols are the tokens.
    subwords: Option<Box<Subwords>>,
}

/// [`Words`] in a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    level: Level,
    max_len: usize,
    /// Not of subwords, which name themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subwords: Option<Box<Subwords>>,
}

impl TryFrom<Stored> for Words {
    type Error = String;

    fn try_from(stored: Stored) -> std::result::Result<Self, String> {
        let Stored { level, max_len, mut words, subwords } = stored;
        if subwords.is_some() != (level == Level::Subword) {
            return Err(format!("its level is {}, which its vocabulary is not of", level.unit()));
        }
        if let Some(subwords) = &subwords {
            if subwords.unknown() != UNKNOWN {
                return Err("its first subword is not the unknown one".into());
            }
            words = (1..subwords.begin()).map(|symbol| subwords.name(symbol)).collect();
        }
        let index = words.iter().enumerate().map(|(i, word)| (word.clone(), i as u32 + 1)).collect();
        Ok(Words { level, max_len, words, index, subwords })
    }
}

impl From<Words> for Stored {
    fn from(words: Words) -> Self {
        let Words { level, max_len, words, subwords, .. } = words;
        Stored { level, max_len, words: if subwords.is_some() { Vec::new() } else { words }, subwords }
    }
}

impl Words {
    /// The most frequent pieces of the texts, at most `size`, each seen at least `least` times. The same texts give the
    /// same pieces.
    ///
    /// # Errors
    /// If no subwords can be learnt.
    pub fn fit<'a>(
        texts: impl Iterator<Item = &'a str>,
        level: Level,
        size: usize,
        least: usize,
        max_len: usize,
    ) -> Result<Self> {
        if level == Level::Subword {
            let texts: Vec<String> = texts.map(plain).collect();
            let config = SubwordsConfig { units: Units::Subword, size, least: least as u64, lowercase: false };
            let subwords = Some(Box::new(Subwords::train(texts.iter().map(String::as_str), &config)?));
            return Words::try_from(Stored { level, max_len, words: Vec::new(), subwords }).map_err(Error::Usage);
        }
        let mut counts: HashMap<String, usize> = HashMap::new();
        for text in texts {
            for piece in pieces(text, level) {
                *counts.entry(piece).or_insert(0) += 1;
            }
        }
        let mut counts: Vec<(String, usize)> = counts.into_iter().filter(|(_, n)| *n >= least).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        counts.truncate(size);
        let words = counts.into_iter().map(|(word, _)| word).collect();
        Words::try_from(Stored { level, max_len, words, subwords: None }).map_err(Error::Usage)
    }

    /// `V`, with the unknown token.
    pub fn len(&self) -> usize {
        self.words.len() + 1
    }

    /// What a piece is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether no word is known.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words in the order of their tokens, which begin at 1.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The pieces of a text that are read: of a long text its first quarter and its last three, as far as the length
    /// goes, since people begin with what it is about and end with what they think of it.
    pub fn pieces(&self, text: &str) -> Vec<String> {
        let mut pieces = match &self.subwords {
            // A text that the library refuses has no pieces.
            Some(subwords) => {
                subwords.encode(&plain(text)).unwrap_or_default().into_iter().map(|s| subwords.name(s)).collect()
            }
            None => pieces(text, self.level),
        };
        if self.max_len > 0 && pieces.len() > self.max_len {
            let head = self.max_len / 4;
            let tail = pieces.len() - (self.max_len - head);
            pieces.drain(head..tail);
        }
        pieces
    }

    /// The token of a piece.
    pub fn token(&self, piece: &str) -> u32 {
        self.index.get(piece).copied().unwrap_or(UNKNOWN)
    }

    /// The tokens of a text; none for a text of blanks alone.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.pieces(text).iter().map(|piece| self.token(piece)).collect()
    }
}

/// A text in lower case, without HTML's line breaks.
fn plain(text: &str) -> String {
    text.to_lowercase().replace("<br />", " ")
}

/// A text in lower case and in pieces. Words are runs of letters, digits and apostrophes; every other mark stands alone;
/// HTML's line break is none.
fn pieces(text: &str, level: Level) -> Vec<String> {
    let text = plain(text);
    if level == Level::Char {
        return text.trim().chars().map(String::from).collect();
    }
    let mut pieces = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || c == '\'' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            pieces.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            pieces.push(c.into());
        }
    }
    if !word.is_empty() {
        pieces.push(word);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_counted_and_found_again() {
        let texts = ["It's well-made, it's GOOD!<br />Good.", "good film"];
        let words = Words::fit(texts.into_iter(), Level::Word, 10, 2, 0).unwrap();
        assert_eq!(words.words(), ["good", "it's"]);
        assert_eq!(words.pieces(texts[0]), ["it's", "well", "-", "made", ",", "it's", "good", "!", "good", "."]);
        assert_eq!(words.encode("It's bad"), [2, UNKNOWN]);
        assert!(words.encode("  \t ").is_empty());
        let stored = serde_json::to_string(&words).unwrap();
        assert_eq!(serde_json::from_str::<Words>(&stored).unwrap(), words);
    }

    #[test]
    fn subwords_are_learnt_kept_in_a_file_and_damaged_ones_refused() {
        let texts = ["The tallest tower.<br />The taller tower!", "a tall tower, the smallest tower"];
        let fit = || Words::fit(texts.into_iter(), Level::Subword, 40, 1, 0).unwrap();
        let words = fit();
        let pieces = words.pieces("the smaller Tower");
        assert_eq!(pieces.concat(), "▁the▁smaller▁tower");
        assert!(pieces.contains(&"▁tower".to_string()) && pieces.len() < 12, "{pieces:?}");
        let tokens = words.encode("the smaller Tower");
        assert!(tokens.iter().all(|&token| token != UNKNOWN && (token as usize) < words.len()));
        assert_eq!(words.encode("the 塔"), [words.encode("the"), vec![words.token("▁"), UNKNOWN]].concat());
        assert_eq!(fit().encode(texts[0]), words.encode(texts[0]), "the same texts, the same pieces");
        let stored = serde_json::to_string(&words).unwrap();
        let read: Words = serde_json::from_str(&stored).unwrap();
        assert_eq!(
            (read.encode(texts[1]), read.len(), read.words()),
            (words.encode(texts[1]), words.len(), words.words())
        );
        for (from, to) in [("\"level\":\"subword\"", "\"level\":\"word\""), ("\"subwords\"", "\"other\"")] {
            let damaged = stored.replace(from, to);
            assert_ne!(damaged, stored);
            assert!(serde_json::from_str::<Words>(&damaged).is_err(), "{from}");
        }
        assert!(Words::fit(["", "<br />"].into_iter(), Level::Subword, 40, 1, 0).is_err());
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        let words = Words::fit(["a b c d e f g h i j"].into_iter(), Level::Word, 100, 1, 4).unwrap();
        assert_eq!(words.pieces("a b c d e f g h i j"), ["a", "h", "i", "j"]);
        let words = Words::fit(["Zoë"].into_iter(), Level::Char, 100, 1, 0).unwrap();
        assert_eq!(words.pieces(" Zoë "), ["z", "o", "ë"]);
    }
}
