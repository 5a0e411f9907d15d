//! Texts to tokens for networks that read a whole text: words or characters, the rare ones as one unknown token.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The number of the token that stands for all unknown ones.
pub const UNKNOWN: u32 = 0;

/// What a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Words, numbers and single punctuation marks.
    #[default]
    Word,
    /// Characters.
    Char,
}

/// A vocabulary of words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Words {
    level: Level,
    /// Tokens of a text at most; 0 for all.
    max_len: usize,
    /// Word `i` is token `i + 1`.
    words: Vec<String>,
    index: HashMap<String, u32>,
}

/// [`Words`] in a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    level: Level,
    max_len: usize,
    words: Vec<String>,
}

impl From<Stored> for Words {
    fn from(stored: Stored) -> Self {
        let Stored { level, max_len, words } = stored;
        let index = words.iter().enumerate().map(|(i, word)| (word.clone(), i as u32 + 1)).collect();
        Words { level, max_len, words, index }
    }
}

impl From<Words> for Stored {
    fn from(words: Words) -> Self {
        Stored { level: words.level, max_len: words.max_len, words: words.words }
    }
}

impl Words {
    /// The most frequent pieces of the texts, at most `size`, each seen at least `least` times.
    pub fn fit<'a>(
        texts: impl Iterator<Item = &'a str>,
        level: Level,
        size: usize,
        least: usize,
        max_len: usize,
    ) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for text in texts {
            for piece in pieces(text, level) {
                *counts.entry(piece).or_insert(0) += 1;
            }
        }
        let mut counts: Vec<(String, usize)> = counts.into_iter().filter(|(_, n)| *n >= least).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        counts.truncate(size);
        Words::from(Stored { level, max_len, words: counts.into_iter().map(|(word, _)| word).collect() })
    }

    /// `V`, with the unknown token.
    pub fn len(&self) -> usize {
        self.words.len() + 1
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
        let mut pieces = pieces(text, self.level);
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

/// A text in lower case and in pieces. Words are runs of letters, digits and apostrophes; every other mark stands alone;
/// HTML's line break is none.
fn pieces(text: &str, level: Level) -> Vec<String> {
    let text = text.to_lowercase().replace("<br />", " ");
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
        let words = Words::fit(texts.into_iter(), Level::Word, 10, 2, 0);
        assert_eq!(words.words(), ["good", "it's"]);
        assert_eq!(words.pieces(texts[0]), ["it's", "well", "-", "made", ",", "it's", "good", "!", "good", "."]);
        assert_eq!(words.encode("It's bad"), [2, UNKNOWN]);
        assert!(words.encode("  \t ").is_empty());
        let stored = serde_json::to_string(&words).unwrap();
        assert_eq!(serde_json::from_str::<Words>(&stored).unwrap(), words);
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        let words = Words::fit(["a b c d e f g h i j"].into_iter(), Level::Word, 100, 1, 4);
        assert_eq!(words.pieces("a b c d e f g h i j"), ["a", "h", "i", "j"]);
        let words = Words::fit(["Zoë"].into_iter(), Level::Char, 100, 1, 0);
        assert_eq!(words.pieces(" Zoë "), ["z", "o", "ë"]);
    }
}
