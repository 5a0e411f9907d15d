//! Tokens for text classifiers: words, subwords or characters; rare ones become UNK.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::subwords::{Subwords, SubwordsConfig, Units};
use crate::error::{Error, Result};

/// The unknown token, UNK.
pub const UNKNOWN: u32 = 0;

/// The id of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Words, numbers and single punctuation marks.
    #[default]
    Word,
    /// Frequent words and parts of rarer ones, trained on the texts.
    Subword,
    /// Characters.
    Char,
}

impl Level {
    /// The name of the unit.
    pub fn unit(self) -> &'static str {
        match self {
            Level::Word => "word",
            Level::Subword => "subword",
            Level::Char => "character",
        }
    }
}

/// A vocabulary of words.
///
/// ```
/// use elman::data::Words;
/// use elman::data::words::Level;
///
/// let words = Words::fit(["a good film", "a bad film"].into_iter(), Level::Word, 100, 1, 0)?;
/// assert_eq!(words.tokens("Good!"), ["good", "!"]);
/// assert_eq!(words.encode("good film"), [words.id("good"), words.id("film")]);
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Words {
    level: Level,
    /// Maximum tokens per text; 0 for all.
    max_len: usize,
    /// How texts are cut into tokens.
    cut: Cut,
    /// Word `i` is token `i + 1`.
    words: Vec<String>,
    index: HashMap<String, u32>,
    /// The subword vocabulary, with the same token ids.
    subwords: Option<Box<Subwords>>,
}

/// How texts are cut into tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Cut {
    /// Of version 0.1: by code points, so that marks part words.
    #[default]
    CodePoints,
    /// By what readers see as a character, in its canonical form; scripts that write no blanks between words are cut there.
    Graphemes,
}

impl Cut {
    fn is_first(&self) -> bool {
        *self == Cut::CodePoints
    }
}

/// [`Words`] in a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    level: Level,
    max_len: usize,
    #[serde(default, skip_serializing_if = "Cut::is_first")]
    cut: Cut,
    /// Empty for subwords, which hold their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subwords: Option<Box<Subwords>>,
}

impl TryFrom<Stored> for Words {
    type Error = String;

    fn try_from(stored: Stored) -> std::result::Result<Self, String> {
        let Stored { level, max_len, cut, mut words, subwords } = stored;
        if subwords.is_some() != (level == Level::Subword) {
            return Err(format!("its level is {}, but its vocabulary is of another kind", level.unit()));
        }
        if let Some(subwords) = &subwords {
            if subwords.unk() != UNKNOWN {
                return Err("its first subword is not the unknown one".into());
            }
            words = (1..subwords.bos()).map(|token| subwords.name(token)).collect();
        }
        let index = words.iter().enumerate().map(|(i, word)| (word.clone(), i as u32 + 1)).collect();
        Ok(Words { level, max_len, cut, words, index, subwords })
    }
}

impl From<Words> for Stored {
    fn from(words: Words) -> Self {
        let Words { level, max_len, cut, words, subwords, .. } = words;
        Stored { level, max_len, cut, words: if subwords.is_some() { Vec::new() } else { words }, subwords }
    }
}

impl Words {
    /// The most frequent tokens of the texts, at most `size`, each seen at least `least` times. The same texts give the
    /// same vocabulary.
    ///
    /// # Errors
    /// If the subwords cannot be trained.
    pub fn fit<'a>(
        texts: impl Iterator<Item = &'a str>,
        level: Level,
        size: usize,
        least: usize,
        max_len: usize,
    ) -> Result<Self> {
        let cut = Cut::Graphemes;
        if level == Level::Subword {
            let texts: Vec<String> = texts.map(|text| plain(text, cut)).collect();
            let config = SubwordsConfig { units: Units::Subword, size, least: least as u64, lowercase: false };
            let subwords = Some(Box::new(Subwords::train(texts.iter().map(String::as_str), &config)?));
            return Words::try_from(Stored { level, max_len, cut, words: Vec::new(), subwords }).map_err(Error::Usage);
        }
        let mut counts: HashMap<String, usize> = HashMap::new();
        for text in texts {
            for token in tokens(text, level, cut) {
                *counts.entry(token).or_insert(0) += 1;
            }
        }
        let mut counts: Vec<(String, usize)> = counts.into_iter().filter(|(_, n)| *n >= least).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        counts.truncate(size);
        let words = counts.into_iter().map(|(word, _)| word).collect();
        Words::try_from(Stored { level, max_len, cut, words, subwords: None }).map_err(Error::Usage)
    }

    /// These, and behind them the words of another vocabulary that are not among them, texts cut to its length. Subwords
    /// stay as they are: they spell every word of their letters.
    pub(crate) fn extended(&self, other: &Words) -> Self {
        let mut words = Words { max_len: other.max_len, ..self.clone() };
        for word in other.words.iter().filter(|_| self.level != Level::Subword) {
            if !words.index.contains_key(word) {
                words.words.push(word.clone());
                words.index.insert(word.clone(), words.words.len() as u32);
            }
        }
        words
    }

    /// `V`, with UNK.
    pub fn len(&self) -> usize {
        self.words.len() + 1
    }

    /// The unit.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether the vocabulary is empty.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words in the order of their tokens, which start at 1.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The tokens of a text, at most `max_len`: of a longer text the first quarter and the last three quarters of that
    /// length, since reviews open with their subject and close with their verdict.
    pub fn tokens(&self, text: &str) -> Vec<String> {
        let mut tokens = match &self.subwords {
            // A text that the library refuses has no tokens.
            Some(subwords) => subwords
                .encode(&plain(text, self.cut))
                .unwrap_or_default()
                .into_iter()
                .map(|s| subwords.name(s))
                .collect(),
            None => tokens(text, self.level, self.cut),
        };
        if self.max_len > 0 && tokens.len() > self.max_len {
            let head = self.max_len / 4;
            let tail = tokens.len() - (self.max_len - head);
            tokens.drain(head..tail);
        }
        tokens
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> u32 {
        self.index.get(token).copied().unwrap_or(UNKNOWN)
    }

    /// The tokens of a text; empty for a blank text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.tokens(text).iter().map(|token| self.id(token)).collect()
    }
}

/// A text in lower case, without HTML line breaks.
fn plain(text: &str, cut: Cut) -> String {
    let text = text.to_lowercase().replace("<br />", " ");
    if cut.is_first() { text } else { text.nfc().collect() }
}

/// Splits a text, lower-cased, into tokens. Words are runs of letters, digits and apostrophes with their marks; every other
/// mark is a word of its own; HTML line breaks are removed.
fn tokens(text: &str, level: Level, cut: Cut) -> Vec<String> {
    let text = plain(text, cut);
    let by_code_points = || text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]);
    let characters: Box<dyn Iterator<Item = &str>> = match cut {
        Cut::CodePoints => Box::new(by_code_points()),
        Cut::Graphemes => Box::new(text.graphemes(true)),
    };
    if level == Level::Char {
        let is_blank = |c: &str| c.chars().all(char::is_whitespace);
        let all: Vec<&str> = characters.collect();
        let first = all.iter().position(|c| !is_blank(c)).unwrap_or(all.len());
        let last = all.iter().rposition(|c| !is_blank(c)).map_or(first, |at| at + 1);
        return all[first..last].iter().map(|c| c.to_string()).collect();
    }
    let mut tokens = Vec::new();
    let mut word = String::new();
    for character in characters {
        let c = character.chars().next().unwrap_or(' ');
        let stands_alone = cut == Cut::Graphemes && has_no_blanks(c);
        if (c.is_alphanumeric() || c == '\'') && !stands_alone {
            word.push_str(character);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            tokens.push(character.into());
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}

/// Whether a letter is of a script that writes no blanks between words: Chinese characters, kana, Thai, Lao, Khmer, Burmese. Its
/// words would be whole sentences.
fn has_no_blanks(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_counted_and_looked_up() {
        let texts = ["It's well-made, it's GOOD!<br />Good.", "good film"];
        let words = Words::fit(texts.into_iter(), Level::Word, 10, 2, 0).unwrap();
        assert_eq!(words.words(), ["good", "it's"]);
        assert_eq!(words.tokens(texts[0]), ["it's", "well", "-", "made", ",", "it's", "good", "!", "good", "."]);
        assert_eq!(words.encode("It's bad"), [2, UNKNOWN]);
        assert!(words.encode("  \t ").is_empty());
        let stored = serde_json::to_string(&words).unwrap();
        assert_eq!(serde_json::from_str::<Words>(&stored).unwrap(), words);
    }

    #[test]
    fn words_of_all_scripts_are_whole_and_alike_whatever_their_form() {
        let words = Words::fit(["a"].into_iter(), Level::Word, 10, 1, 0).unwrap();
        assert_eq!(
            words.tokens("हिन्दी फ़िल्म, अच्छी!"),
            ["हिन्दी", "फ़िल्म".nfc().collect::<String>().as_str(), ",", "अच्छी", "!"]
        );
        assert_eq!(words.tokens("cafe\u{301} 좋아요"), words.tokens("café 좋아요".nfd().collect::<String>().as_str()));
        assert_eq!(words.tokens("很好看 film"), ["很", "好", "看", "film"]);
        assert_eq!(words.tokens("great 👍🏽!"), ["great", "👍🏽", "!"]);
        // Models of version 0.1 read as they have learned.
        let old: Words = serde_json::from_str(r#"{"level":"word","max_len":0,"words":["a"]}"#).unwrap();
        assert_eq!(old.tokens("फ\u{93c} e\u{301}"), ["फ", "\u{93c}", "e", "\u{301}"]);
    }

    #[cfg(feature = "subwords")]
    #[test]
    fn subwords_are_trained_and_stored_and_damaged_ones_refused() {
        let texts = ["The tallest tower.<br />The taller tower!", "a tall tower, the smallest tower"];
        let fit = || Words::fit(texts.into_iter(), Level::Subword, 40, 1, 0).unwrap();
        let words = fit();
        let tokens = words.tokens("the smaller Tower");
        assert_eq!(tokens.concat(), "▁the▁smaller▁tower");
        assert!(tokens.contains(&"▁tower".to_string()) && tokens.len() < 12, "{tokens:?}");
        let ids = words.encode("the smaller Tower");
        assert!(ids.iter().all(|&id| id != UNKNOWN && (id as usize) < words.len()));
        assert_eq!(words.encode("the 塔"), [words.encode("the"), vec![words.id("▁"), UNKNOWN]].concat());
        assert_eq!(fit().encode(texts[0]), words.encode(texts[0]), "the same texts, the same tokens");
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
        assert_eq!(words.tokens("a b c d e f g h i j"), ["a", "h", "i", "j"]);
        let words = Words::fit(["Zoë"].into_iter(), Level::Char, 100, 1, 0).unwrap();
        assert_eq!(words.tokens(" Zoë "), ["z", "o", "ë"]);
    }
}
