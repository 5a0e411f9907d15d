//! A vocabulary trained by the `tokenizers` library: byte-pair encoding (Sennrich et al. 2016), words or characters.
//!
//! Blanks are part of the tokens (`▁dog`), so that decoding restores a text, except that runs of blanks become one
//! and characters unseen in training become UNK.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
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

use super::{SubwordsConfig, Units};
use crate::error::{Error, Result};

/// The unknown token.
const UNK: &str = "<unk>";
/// The marker of a blank.
pub(super) const BLANK: char = '▁';

/// A vocabulary of subwords. BOS and EOS are the last two tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Subwords {
    pub(super) tokenizer: Tokenizer,
    tokens: u32,
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
        check_stored(&stored.tokenizer)?;
        Self::from_tokenizer(Tokenizer::from_str(&stored.tokenizer.to_string()).map_err(|error| error.to_string())?)
    }
}

/// The library can do far more than is trained here: pad to any length, replace a text by a longer one, run patterns. Of a stored
/// tokenizer only what [`Subwords::train`] writes is accepted: everything but vocabulary and merges has to be equal.
fn check_stored(stored: &Value) -> std::result::Result<(), String> {
    let frame = |mut tokenizer: Value| {
        if let Some(model) = tokenizer.get_mut("model").and_then(Value::as_object_mut) {
            model.remove("vocab");
            model.remove("merges");
        }
        tokenizer
    };
    let stored = frame(stored.clone());
    let keys = |tokenizer: &Value| -> BTreeSet<String> {
        tokenizer.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
    };
    let mut nearest: Option<Vec<String>> = None;
    for (units, lowercase) in
        [Units::Subword, Units::Word].into_iter().flat_map(|units| [(units, false), (units, true)])
    {
        let config = SubwordsConfig { units, size: 10, least: 1, lowercase };
        let trained = Subwords::train(["a"].into_iter(), &config).map_err(|error| error.to_string())?;
        let trained = frame(Stored::from(trained).tokenizer);
        let all = &keys(&trained) | &keys(&stored);
        let differ: Vec<String> = all.into_iter().filter(|key| stored.get(key) != trained.get(key)).collect();
        if differ.is_empty() {
            return Ok(());
        }
        if nearest.as_ref().is_none_or(|nearest| differ.len() < nearest.len()) {
            nearest = Some(differ);
        }
    }
    Err(format!("its tokenizer's `{}` is not one that is trained here", nearest.unwrap_or_default().join("`, `")))
}

impl From<Subwords> for Stored {
    fn from(subwords: Subwords) -> Self {
        // Writing what was read or trained cannot fail; if it did, the file would be rejected when read.
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
    Error::Usage(format!("the texts cannot be tokenised: {error}"))
}

impl Subwords {
    /// Trains a vocabulary. The same texts give the same tokens.
    ///
    /// # Errors
    /// If the texts are empty.
    pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, config: &SubwordsConfig) -> Result<Self> {
        let SubwordsConfig { units, size, least, lowercase } = *config;
        let unknown = vec![AddedToken::from(UNK, true)];
        let (model, mut trainer): (ModelWrapper, TrainerWrapper) = match units {
            Units::Word => {
                let model = WordLevel::builder().unk_token(UNK.into()).build().map_err(failed)?;
                let mut trainer = WordLevelTrainer::builder();
                trainer.vocab_size(size).min_frequency(least).show_progress(false).special_tokens(unknown);
                let trainer = trainer.build().map_err(|e| failed(e.into()))?;
                (model.into(), trainer.into())
            }
            _ => {
                let model = BPE::builder().unk_token(UNK.into()).build().map_err(failed)?;
                // Without a merge, the tokens are the characters.
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
        // A literal `<unk>` in a text is text like any other.
        tokenizer.set_encode_special_tokens(true);
        let tokens = tokenizer.get_vocab_size(true) as u32;
        if tokens < 2 || tokenizer.token_to_id(UNK).is_none_or(|id| id >= tokens) {
            return Err("the texts hold no tokens".into());
        }
        if (0..tokens).any(|id| tokenizer.id_to_token(id).is_none()) {
            return Err("its tokens are not numbered from 0".into());
        }
        Ok(Subwords { tokenizer, tokens })
    }

    /// These with what another vocabulary has beside them: all its words, or of subwords its characters.
    ///
    /// # Errors
    /// If the library refuses the tokens.
    pub(crate) fn extended(&self, other: &Subwords) -> Result<Self> {
        let is_of_words = matches!(self.tokenizer.get_model(), ModelWrapper::WordLevel(_));
        let names = (0..other.tokens).map(|token| other.name(token));
        let new: Vec<String> = names
            .filter(|name| self.tokenizer.token_to_id(name).is_none() && (is_of_words || name.chars().count() == 1))
            .collect();
        if new.is_empty() {
            return Ok(self.clone());
        }
        let mut stored = Stored::from(self.clone());
        if let Some(vocab) = stored.tokenizer.pointer_mut("/model/vocab").and_then(Value::as_object_mut) {
            vocab.extend((self.tokens..).zip(new).map(|(token, name)| (name, token.into())));
        }
        Self::try_from(stored).map_err(Error::Usage)
    }

    /// `V`, with BOS and EOS.
    pub fn len(&self) -> usize {
        self.tokens as usize + 2
    }

    /// Whether there are no tokens; never true.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    /// The beginning-of-sequence token, BOS.
    pub fn bos(&self) -> u32 {
        self.tokens
    }

    /// The end-of-sequence token, EOS.
    pub fn eos(&self) -> u32 {
        self.tokens + 1
    }

    /// The unknown token, UNK.
    pub fn unk(&self) -> u32 {
        self.tokenizer.token_to_id(UNK).unwrap_or(0)
    }

    /// The tokens of a text, without BOS and EOS.
    ///
    /// # Errors
    /// If the library refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(one_blank(text), false).map_err(failed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of tokens; BOS, EOS and UNK are left out.
    ///
    /// # Errors
    /// If the library refuses them.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        let known: Vec<u32> = tokens.iter().copied().filter(|&token| token < self.tokens).collect();
        Ok(self.tokenizer.decode(&known, true).map_err(failed)?.trim().to_string())
    }

    /// The name of the unit: word, character or subword.
    pub fn unit(&self) -> &'static str {
        let is_character = |id| id == self.unk() || self.name(id).chars().count() <= 1;
        match self.tokenizer.get_model() {
            ModelWrapper::WordLevel(_) => "word",
            _ if (0..self.tokens).all(is_character) => "character",
            _ => "subword",
        }
    }

    /// The text of a token: `▁dog`.
    pub fn name(&self, token: u32) -> String {
        match token.checked_sub(self.tokens) {
            Some(0) => "<s>".into(),
            Some(_) => "</s>".into(),
            None => self.tokenizer.id_to_token(token).unwrap_or_default(),
        }
    }
}

/// Trims a text and collapses runs of blanks.
fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::real_data;

    const TEXTS: [&str; 4] = ["A dog runs.", "The dog, a big dog, runs!", "Un chien court.", "Le chien, c'est grand."];

    fn config(units: Units, size: usize, least: u64) -> SubwordsConfig {
        SubwordsConfig { units, size, least, lowercase: false }
    }

    #[test]
    fn decoding_restores_texts_and_training_is_deterministic() {
        for units in [Units::Subword, Units::Word, Units::Char] {
            let subwords = Subwords::train(TEXTS.into_iter(), &config(units, 60, 1)).unwrap();
            let again = Subwords::train(TEXTS.into_iter(), &config(units, 60, 1)).unwrap();
            assert_eq!(subwords.unit(), format!("{units:?}").to_lowercase().replace("char", "character"));
            for text in TEXTS {
                let tokens = subwords.encode(text).unwrap();
                assert_eq!(subwords.decode(&tokens).unwrap(), text, "{units:?}");
                assert!(tokens.iter().all(|&s| s < subwords.bos()));
                assert_eq!(again.encode(text).unwrap(), tokens);
            }
            let stored = serde_json::to_string(&subwords).unwrap();
            assert_eq!(stored, serde_json::to_string(&again).unwrap());
            let read: Subwords = serde_json::from_str(&stored).unwrap();
            assert_eq!(read, subwords);
            assert_eq!(read.encode(TEXTS[1]).unwrap(), subwords.encode(TEXTS[1]).unwrap());
        }
    }

    #[test]
    fn unseen_characters_are_unk_and_a_literal_unk_is_text() {
        let subwords = Subwords::train(TEXTS.into_iter(), &config(Units::Subword, 60, 1)).unwrap();
        assert!(subwords.encode("dog 犬").unwrap().contains(&subwords.unk()));
        let marked = Subwords::train(["a < b > unk <unk>"].into_iter(), &config(Units::Char, 0, 1)).unwrap();
        let tokens = marked.encode("<unk>").unwrap();
        assert!(!tokens.contains(&marked.unk()), "{tokens:?}");
        assert_eq!(marked.decode(&tokens).unwrap(), "<unk>");
        assert_eq!(subwords.encode("  A \t dog ").unwrap(), subwords.encode("A dog").unwrap());
        assert!(subwords.encode("").unwrap().is_empty());
        let config = SubwordsConfig { lowercase: true, ..config(Units::Word, 60, 1) };
        let lower = Subwords::train(TEXTS.into_iter(), &config).unwrap();
        assert_eq!(lower.decode(&lower.encode("The DOG runs.").unwrap()).unwrap(), "the dog runs.");
        assert_eq!(subwords.decode(&[subwords.bos(), subwords.eos()]).unwrap(), "");
        assert_eq!((subwords.name(subwords.eos()), subwords.len()), ("</s>".into(), subwords.eos() as usize + 1));
    }

    #[test]
    fn empty_texts_and_damaged_vocabularies_are_refused() {
        assert!(Subwords::train(["", "  "].into_iter(), &config(Units::Subword, 60, 1)).is_err());
        let subwords = Subwords::train(TEXTS.into_iter(), &config(Units::Subword, 60, 1)).unwrap();
        let stored = serde_json::to_string(&subwords).unwrap();
        for damage in ["\"merges\":[", "\"type\":\"BPE\"", "\"vocab\":{"] {
            let damaged = stored.replacen(damage, "\"x\":[", 1);
            assert!(damaged == stored || serde_json::from_str::<Subwords>(&damaged).is_err(), "{damage}");
        }
    }

    #[test]
    fn what_the_library_can_do_beyond_what_is_trained_here_is_refused() {
        for units in [Units::Subword, Units::Word, Units::Char] {
            let config = SubwordsConfig { lowercase: units == Units::Word, ..config(units, 60, 1) };
            let stored = serde_json::to_value(Subwords::train(TEXTS.into_iter(), &config).unwrap()).unwrap();
            serde_json::from_value::<Subwords>(stored.clone()).unwrap();
            let grow = serde_json::json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"});
            let pad = serde_json::json!({
                "strategy": {"Fixed": 1_000_000_000u64}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 4_000_000_000u64, "pad_type_id": 0, "pad_token": "x",
            });
            let cut = serde_json::json!({
                "direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 5,
            });
            for (key, value) in [("padding", pad), ("truncation", cut), ("normalizer", grow)] {
                let mut hostile = stored.clone();
                hostile["tokenizer"][key] = value;
                let error = serde_json::from_value::<Subwords>(hostile).unwrap_err().to_string();
                assert!(error.contains(&format!("`{key}`")), "{units:?}: {error}");
            }
            let mut hostile = stored.clone();
            hostile["tokenizer"]["model"]["unk_token"] = "a".into();
            assert!(serde_json::from_value::<Subwords>(hostile).is_err());
        }
    }

    #[test]
    fn six_thousand_tokens_restore_the_sentences_of_multi30k() {
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
