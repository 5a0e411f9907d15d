//! Vocabularies of words and of characters without the `tokenizers` library, for builds without the feature `subwords`:
//! models that have them are read and run, but not trained.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
#[cfg(test)]
use serde_json::json;
use unicode_normalization::UnicodeNormalization;

use super::SubwordsConfig;
use crate::error::{Error, Result};
use crate::rng::Rng;

const LACKING: &str = "this program was built without subword tokenisation; build it with the feature `subwords`";
const UNK: &str = "<unk>";
const BLANK: char = '▁';

/// A vocabulary of words or characters. BOS and EOS are the last two tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Subwords {
    names: Vec<String>,
    ids: HashMap<String, u32>,
    /// Whether tokens are words; else characters.
    words: bool,
    lowercase: bool,
    stored: Value,
}

impl TryFrom<Value> for Subwords {
    type Error = String;

    fn try_from(stored: Value) -> std::result::Result<Self, String> {
        let tokenizer = &stored["tokenizer"];
        let model = &tokenizer["model"];
        let words = match model["type"].as_str() {
            Some("WordLevel") => true,
            Some("BPE") if model["merges"].as_array().is_some_and(Vec::is_empty) => false,
            _ => return Err(LACKING.into()),
        };
        let vocab = model["vocab"].as_object().ok_or("its tokenizer has no `vocab`")?;
        let mut names = vec![None; vocab.len()];
        for (name, id) in vocab {
            let place = id.as_u64().and_then(|id| names.get_mut(usize::try_from(id).ok()?));
            *place.ok_or("its tokens are not numbered from 0")? = Some(name.clone());
        }
        let names: Option<Vec<String>> = names.into_iter().collect();
        let names = names.ok_or("its tokens are not numbered from 0")?;
        let ids: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
        if names.len() < 2 || !ids.contains_key(UNK) {
            return Err("the texts hold no tokens".into());
        }
        let lowercase = tokenizer["normalizer"].to_string().contains("\"Lowercase\"");
        Ok(Subwords { names, ids, words, lowercase, stored })
    }
}

impl From<Subwords> for Value {
    fn from(subwords: Subwords) -> Value {
        subwords.stored
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

    /// Always fails.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn extended(&self, _: &Subwords) -> Result<Self> {
        Err(Error::Usage(LACKING.into()))
    }

    /// `V`, with BOS and EOS.
    pub fn len(&self) -> usize {
        self.names.len() + 2
    }

    /// Whether there are no tokens; never true.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The beginning-of-sequence token, BOS.
    pub fn bos(&self) -> u32 {
        self.names.len() as u32
    }

    /// The end-of-sequence token, EOS.
    pub fn eos(&self) -> u32 {
        self.bos() + 1
    }

    /// The unknown token, UNK.
    pub fn unk(&self) -> u32 {
        self.ids.get(UNK).copied().unwrap_or(0)
    }

    /// The tokens of a text, without BOS and EOS.
    ///
    /// # Errors
    /// Never.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let normal: String = text.split_whitespace().collect::<Vec<_>>().join(" ").nfc().collect();
        let normal = if self.lowercase { normal.chars().flat_map(char::to_lowercase).collect() } else { normal };
        let id = |piece: &str| self.ids.get(piece).filter(|_| piece != UNK).copied().unwrap_or(self.unk());
        let mut tokens = Vec::new();
        for word in normal.split(' ').filter(|word| !word.is_empty()) {
            if !self.words {
                let mut buffer = [0; 4];
                tokens.extend(std::iter::once(BLANK).chain(word.chars()).map(|c| id(c.encode_utf8(&mut buffer))));
                continue;
            }
            // Marks stand alone; what is before the first begins with the blank.
            let mut piece = String::from(BLANK);
            for c in word.chars() {
                if is_mark(c) {
                    if !piece.is_empty() {
                        tokens.push(id(&piece));
                        piece.clear();
                    }
                    tokens.push(id(c.encode_utf8(&mut [0; 4])));
                } else {
                    piece.push(c);
                }
            }
            if !piece.is_empty() {
                tokens.push(id(&piece));
            }
        }
        Ok(tokens)
    }

    /// The text of tokens; BOS, EOS and UNK are left out.
    ///
    /// # Errors
    /// Never.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        let known =
            tokens.iter().filter(|&&token| token != self.unk()).filter_map(|&token| self.names.get(token as usize));
        let text: String = known.flat_map(|name| name.chars()).map(|c| if c == BLANK { ' ' } else { c }).collect();
        Ok(text.trim().to_string())
    }

    /// The name of the unit: word or character.
    pub fn unit(&self) -> &'static str {
        if self.words { "word" } else { "character" }
    }

    /// The text of a token: `▁dog`.
    pub fn name(&self, token: u32) -> String {
        match (token as usize).checked_sub(self.names.len()) {
            Some(0) => "<s>".into(),
            Some(_) => "</s>".into(),
            None => self.names[token as usize].clone(),
        }
    }
}

/// Punctuation: of ASCII and Latin-1, of General Punctuation, and the common marks of East Asian texts.
fn is_mark(c: char) -> bool {
    let ranges = ['\u{2010}'..='\u{2027}', '\u{2030}'..='\u{205E}', '\u{3001}'..='\u{3003}', '\u{3008}'..='\u{3011}'];
    c.is_ascii_punctuation()
        || "¡§«¶·»¿".contains(c)
        || ranges.iter().any(|range| range.contains(&c)) && c != '\u{2044}'
}

/// The merges of a vocabulary; there are none here.
#[derive(Clone, Debug)]
pub struct SubwordDropout;

impl SubwordDropout {
    /// Always fails.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: &Subwords, _: f64) -> Result<Self> {
        Err(Error::Usage(LACKING.into()))
    }

    /// The same tokens.
    pub fn cut(&self, tokens: &[u32], _: &mut Rng) -> Vec<u32> {
        tokens.to_vec()
    }
}

/// A vocabulary of words as a model file holds it, for tests.
#[cfg(test)]
fn stored(words: &[&str], lowercase: bool) -> Value {
    let vocab: serde_json::Map<String, Value> =
        std::iter::once(UNK).chain(words.iter().copied()).zip(0..).map(|(word, id)| (word.into(), json!(id))).collect();
    let normal = if lowercase { json!([{"type": "NFC"}, {"type": "Lowercase"}]) } else { json!([{"type": "NFC"}]) };
    let model = json!({"type": "WordLevel", "vocab": vocab, "unk_token": UNK});
    json!({"tokenizer": {"normalizer": {"type": "Sequence", "normalizers": normal}, "model": model}})
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

    #[test]
    fn words_and_marks_are_tokens_and_come_back() {
        let subwords = Subwords::try_from(stored(&["▁the", "▁dog", ",", "▁", "\"", "s", "'"], true)).unwrap();
        let tokens = subwords.encode(" The  dog, \"the dog's cat").unwrap();
        let names: Vec<String> = tokens.iter().map(|&token| subwords.name(token)).collect();
        assert_eq!(names, ["▁the", "▁dog", ",", "▁", "\"", "<unk>", "▁dog", "'", "s", "<unk>"]);
        assert_eq!(subwords.decode(&tokens[..3]).unwrap(), "the dog,");
        assert_eq!(subwords.decode(&[subwords.bos(), subwords.eos(), subwords.unk()]).unwrap(), "");
        assert_eq!((subwords.unit(), subwords.len()), ("word", 10));
        let names: Vec<String> = subwords.encode("<bos>").unwrap().iter().map(|&token| subwords.name(token)).collect();
        assert!(names.iter().all(|name| name == "▁" || name == UNK), "{names:?}");
        let mut gap = stored(&["a"], false);
        gap["tokenizer"]["model"]["vocab"]["a"] = json!(7);
        assert!(Subwords::try_from(gap).unwrap_err().contains("numbered"));
    }

    #[cfg(feature = "subwords")]
    #[test]
    fn tokens_are_those_of_the_library() {
        let texts =
            ["A dog runs, fast.", "The \"big\" dog's tail: twenty-one, and (so) on!", "Déjà vu — «oui»", "가나 다라."];
        for (units, lowercase) in [(Units::Word, false), (Units::Word, true), (Units::Char, false)] {
            let config = SubwordsConfig { units, size: 300, least: 1, lowercase };
            let library = super::super::Subwords::train(texts.into_iter(), &config).unwrap();
            let plain = Subwords::try_from(serde_json::to_value(&library).unwrap()).unwrap();
            for text in texts.into_iter().chain(["  unseen words,\ttoo ", ""]) {
                let tokens = library.encode(text).unwrap();
                assert_eq!(plain.encode(text).unwrap(), tokens, "{units:?} {text:?}");
                assert_eq!(plain.decode(&tokens).unwrap(), library.decode(&tokens).unwrap());
            }
            assert_eq!((plain.unit(), plain.len()), (library.unit(), library.len()));
        }
    }
}
