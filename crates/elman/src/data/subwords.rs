//! Texts to symbols and back, without loss: subwords learnt from the data, whole words or characters.
//!
//! Subwords are byte-pair encoding (Sennrich et al. 2016), trained by the `tokenizers` library. Blanks are part of the
//! symbols (`▁dog`), so that a text comes back as it was, but for runs of blanks, which become one, and for characters
//! never seen in training, which become one unknown symbol.

mod dropout;

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::normalizers::utils::{Lowercase, Sequence as Normalizers};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::tokenizer::normalizer::SplitDelimiterBehavior;
use tokenizers::{AddedToken, Tokenizer};

use crate::error::{Error, Result};

pub use self::dropout::SubwordDropout;

/// Stands for what was never seen.
const UNKNOWN: &str = "<unk>";
/// Stands for a blank.
const BLANK: char = '▁';

/// What a symbol is.
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

/// Which symbols are learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubwordsConfig {
    /// What a symbol is.
    pub units: Units,
    /// Symbols at most, of subwords or words; all characters are known always.
    pub size: usize,
    /// A subword or word rarer than this is none.
    pub least: u64,
    /// Whether texts are lower-cased first.
    pub lowercase: bool,
}

/// A vocabulary of subwords. The symbols of texts come first; begin and end are the last two.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Subwords {
    tokenizer: Tokenizer,
    symbols: u32,
}

/// [`Subwords`] in a file: what the `tokenizers` library writes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    tokenizer: serde_json::Value,
}

impl TryFrom<Stored> for Subwords {
    type Error = String;

    fn try_from(stored: Stored) -> std::result::Result<Self, String> {
        Self::from_tokenizer(Tokenizer::from_str(&stored.tokenizer.to_string()).map_err(|error| error.to_string())?)
    }
}

impl From<Subwords> for Stored {
    fn from(subwords: Subwords) -> Self {
        // What was read or trained can be written; a library that could not would leave a file that cannot be read.
        let text = subwords.tokenizer.to_string(false).unwrap_or_default();
        Stored { tokenizer: serde_json::from_str(&text).unwrap_or_default() }
    }
}

impl PartialEq for Subwords {
    fn eq(&self, other: &Self) -> bool {
        self.tokenizer.get_vocab(true) == other.tokenizer.get_vocab(true)
    }
}

fn failed(error: tokenizers::Error) -> Error {
    Error::Usage(format!("the texts cannot be cut into symbols: {error}"))
}

impl Subwords {
    /// Learns the symbols of texts. The same texts give the same symbols.
    ///
    /// # Errors
    /// If there is no text.
    pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, config: &SubwordsConfig) -> Result<Self> {
        let SubwordsConfig { units, size, least, lowercase } = *config;
        let unknown = vec![AddedToken::from(UNKNOWN, true)];
        let (model, mut trainer): (ModelWrapper, TrainerWrapper) = match units {
            Units::Word => {
                let model = WordLevel::builder().unk_token(UNKNOWN.into()).build().map_err(failed)?;
                let mut trainer = WordLevelTrainer::builder();
                trainer.vocab_size(size).min_frequency(least).show_progress(false).special_tokens(unknown);
                let trainer = trainer.build().map_err(|e| failed(e.into()))?;
                (model.into(), trainer.into())
            }
            _ => {
                let model = BPE::builder().unk_token(UNKNOWN.into()).build().map_err(failed)?;
                // Without a merge, the symbols are the characters.
                let size = if units == Units::Char { 0 } else { size };
                let trainer = BpeTrainer::builder().vocab_size(size).min_frequency(least).show_progress(false);
                (model.into(), trainer.special_tokens(unknown).build().into())
            }
        };
        let mut tokenizer = Tokenizer::new(model);
        let blanks = Metaspace::new(BLANK, PrependScheme::Always, true);
        let marks = Punctuation::new(SplitDelimiterBehavior::Isolated);
        let cut: Vec<PreTokenizerWrapper> = vec![blanks.clone().into(), marks.into()];
        let normal = if lowercase { vec![NFC.into(), Lowercase.into()] } else { vec![NFC.into()] };
        tokenizer.with_normalizer(Some(Normalizers::new(normal)));
        tokenizer.with_pre_tokenizer(Some(Sequence::new(cut)));
        tokenizer.with_decoder(Some(blanks));
        let texts = texts.map(one_blank);
        tokenizer.train(&mut trainer, texts).map_err(failed)?;
        Self::from_tokenizer(tokenizer).map_err(Error::Usage)
    }

    fn from_tokenizer(mut tokenizer: Tokenizer) -> std::result::Result<Self, String> {
        // A text may hold the unknown symbol's name; that is text like any other.
        tokenizer.set_encode_special_tokens(true);
        let symbols = tokenizer.get_vocab_size(true) as u32;
        if symbols < 2 || tokenizer.token_to_id(UNKNOWN).is_none_or(|id| id >= symbols) {
            return Err("there are no symbols in the texts".into());
        }
        if (0..symbols).any(|id| tokenizer.id_to_token(id).is_none()) {
            return Err("its symbols are not numbered from 0".into());
        }
        Ok(Subwords { tokenizer, symbols })
    }

    /// `V`, with begin and end.
    pub fn len(&self) -> usize {
        self.symbols as usize + 2
    }

    /// Whether there is no symbol; never.
    pub fn is_empty(&self) -> bool {
        self.symbols == 0
    }

    /// The symbol before a text.
    pub fn begin(&self) -> u32 {
        self.symbols
    }

    /// The symbol after a text.
    pub fn end(&self) -> u32 {
        self.symbols + 1
    }

    /// The symbol of what was never seen.
    pub fn unknown(&self) -> u32 {
        self.tokenizer.token_to_id(UNKNOWN).unwrap_or(0)
    }

    /// The symbols of a text, without begin and end.
    ///
    /// # Errors
    /// If the library refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(one_blank(text), false).map_err(failed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of symbols; begin, end and unknown ones are left out.
    ///
    /// # Errors
    /// If the library refuses them.
    pub fn decode(&self, symbols: &[u32]) -> Result<String> {
        let known: Vec<u32> = symbols.iter().copied().filter(|&symbol| symbol < self.symbols).collect();
        Ok(self.tokenizer.decode(&known, true).map_err(failed)?.trim().to_string())
    }

    /// What a symbol is, in a word.
    pub fn unit(&self) -> &'static str {
        let is_character = |id| id == self.unknown() || self.name(id).chars().count() <= 1;
        match self.tokenizer.get_model() {
            ModelWrapper::WordLevel(_) => "word",
            _ if (0..self.symbols).all(is_character) => "character",
            _ => "subword",
        }
    }

    /// A symbol for people: `▁dog`.
    pub fn name(&self, symbol: u32) -> String {
        match symbol.checked_sub(self.symbols) {
            Some(0) => "<s>".into(),
            Some(_) => "</s>".into(),
            None => self.tokenizer.id_to_token(symbol).unwrap_or_default(),
        }
    }
}

/// Runs of blanks as one, none at the ends.
fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::file::real_data;

    const TEXTS: [&str; 4] = ["A dog runs.", "The dog, a big dog, runs!", "Un chien court.", "Le chien, c'est grand."];

    fn config(units: Units, size: usize, least: u64) -> SubwordsConfig {
        SubwordsConfig { units, size, least, lowercase: false }
    }

    #[test]
    fn texts_come_back_as_they_were_and_the_same_texts_give_the_same_symbols() {
        for units in [Units::Subword, Units::Word, Units::Char] {
            let subwords = Subwords::train(TEXTS.into_iter(), &config(units, 60, 1)).unwrap();
            let again = Subwords::train(TEXTS.into_iter(), &config(units, 60, 1)).unwrap();
            assert_eq!(subwords.unit(), format!("{units:?}").to_lowercase().replace("char", "character"));
            for text in TEXTS {
                let symbols = subwords.encode(text).unwrap();
                assert_eq!(subwords.decode(&symbols).unwrap(), text, "{units:?}");
                assert!(symbols.iter().all(|&s| s < subwords.begin()));
                assert_eq!(again.encode(text).unwrap(), symbols);
            }
            let stored = serde_json::to_string(&subwords).unwrap();
            assert_eq!(stored, serde_json::to_string(&again).unwrap());
            let read: Subwords = serde_json::from_str(&stored).unwrap();
            assert_eq!(read, subwords);
            assert_eq!(read.encode(TEXTS[1]).unwrap(), subwords.encode(TEXTS[1]).unwrap());
        }
    }

    #[test]
    fn what_was_never_seen_is_unknown_and_names_of_symbols_in_a_text_are_text() {
        let subwords = Subwords::train(TEXTS.into_iter(), &config(Units::Subword, 60, 1)).unwrap();
        assert!(subwords.encode("dog 犬").unwrap().contains(&subwords.unknown()));
        let marked = Subwords::train(["a < b > unk <unk>"].into_iter(), &config(Units::Char, 0, 1)).unwrap();
        let symbols = marked.encode("<unk>").unwrap();
        assert!(!symbols.contains(&marked.unknown()), "{symbols:?}");
        assert_eq!(marked.decode(&symbols).unwrap(), "<unk>");
        assert_eq!(subwords.encode("  A \t dog ").unwrap(), subwords.encode("A dog").unwrap());
        assert!(subwords.encode("").unwrap().is_empty());
        let config = SubwordsConfig { lowercase: true, ..config(Units::Word, 60, 1) };
        let lower = Subwords::train(TEXTS.into_iter(), &config).unwrap();
        assert_eq!(lower.decode(&lower.encode("The DOG runs.").unwrap()).unwrap(), "the dog runs.");
        assert_eq!(subwords.decode(&[subwords.begin(), subwords.end()]).unwrap(), "");
        assert_eq!((subwords.name(subwords.end()), subwords.len()), ("</s>".into(), subwords.end() as usize + 1));
    }

    #[test]
    fn texts_without_a_symbol_and_damaged_vocabularies_are_refused() {
        assert!(Subwords::train(["", "  "].into_iter(), &config(Units::Subword, 60, 1)).is_err());
        let subwords = Subwords::train(TEXTS.into_iter(), &config(Units::Subword, 60, 1)).unwrap();
        let stored = serde_json::to_string(&subwords).unwrap();
        for damage in ["\"merges\":[", "\"type\":\"BPE\"", "\"vocab\":{"] {
            let damaged = stored.replacen(damage, "\"x\":[", 1);
            assert!(damaged == stored || serde_json::from_str::<Subwords>(&damaged).is_err(), "{damage}");
        }
    }

    #[test]
    fn six_thousand_symbols_of_multi30k_give_its_sentences_back() {
        let Some(folder) = real_data("multi30k") else { return };
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let (en, fr, val) = (text("train.en"), text("train.fr"), text("val.fr"));
        let subwords = Subwords::train(en.lines().chain(fr.lines()), &config(Units::Subword, 6000, 2)).unwrap();
        assert_eq!(subwords.len(), 6002);
        let mut same = 0;
        for line in val.lines() {
            same += usize::from(subwords.decode(&subwords.encode(line).unwrap()).unwrap() == one_blank(line));
        }
        assert!(same >= 1010, "{same} of 1014");
    }
}
