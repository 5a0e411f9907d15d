//! BPE-dropout (Provilkov et al. 2020): in training, words are segmented differently each time, so that a
//! network learns how rare words are composed.

use std::collections::HashMap;

use tokenizers::models::ModelWrapper;

use super::tokenizer::{BLANK, Subwords};
use crate::error::{Error, Result};
use crate::rng::Rng;

/// The merges of a vocabulary and their dropout probability.
#[derive(Clone, Debug)]
pub struct SubwordDropout {
    probability: f64,
    /// From a pair of tokens to the rank of their merge and the merged token.
    merges: HashMap<(u32, u32), (u32, u32)>,
    /// The characters of each token, and whether it begins a word.
    tokens: Vec<(Vec<u32>, bool)>,
}

impl SubwordDropout {
    /// The merges of `subwords`, each dropped with this probability wherever it applies.
    ///
    /// # Errors
    /// If the tokens are whole words.
    pub fn new(subwords: &Subwords, probability: f64) -> Result<Self> {
        let wrong = |what: &str| Error::setting("subword_dropout", probability, what);
        let ModelWrapper::BPE(model) = subwords.tokenizer.get_model() else {
            return Err(wrong("needs `units` subword: whole words have no merges"));
        };
        let id = |name: &str| subwords.tokenizer.token_to_id(name);
        let stored = serde_json::to_value(model).map_err(|error| wrong(&error.to_string()))?;
        let mut merges = HashMap::new();
        for (rank, pair) in stored["merges"].as_array().into_iter().flatten().enumerate() {
            let (left, right) = (pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
            let (Some(a), Some(b), Some(merged)) = (id(left), id(right), id(&format!("{left}{right}"))) else {
                return Err(wrong(&format!("cannot be used: merge {rank} of the vocabulary has unknown tokens")));
            };
            merges.insert((a, b), (rank as u32, merged));
        }
        let characters = |token: u32| {
            let name = subwords.name(token);
            let ids: Option<Vec<u32>> = name.chars().map(|c| id(c.encode_utf8(&mut [0; 4]))).collect();
            // UNK is kept: its name is not text.
            let ids = ids.filter(|_| token != subwords.unk()).unwrap_or_else(|| vec![token]);
            (ids, name.starts_with(BLANK))
        };
        let tokens = (0..subwords.bos()).map(characters).collect();
        Ok(SubwordDropout { probability, merges, tokens })
    }

    /// Re-tokenises a text, given as its tokens from [`Subwords::encode`]. Special tokens (BOS, EOS) are kept.
    pub fn cut(&self, text: &[u32], rng: &mut Rng) -> Vec<u32> {
        let (mut cut, mut word) = (Vec::with_capacity(2 * text.len()), Vec::new());
        for &token in text {
            let Some((characters, begins)) = self.tokens.get(token as usize) else {
                self.merge(&mut word, rng, &mut cut);
                cut.push(token);
                continue;
            };
            // No merge crosses the start of a word.
            if *begins {
                self.merge(&mut word, rng, &mut cut);
            }
            word.extend_from_slice(characters);
        }
        self.merge(&mut word, rng, &mut cut);
        cut
    }

    /// Merges the characters of a word, always by the lowest-ranked merge not dropped, until none applies; moves the
    /// result to `cut`.
    fn merge(&self, word: &mut Vec<u32>, rng: &mut Rng, cut: &mut Vec<u32>) {
        loop {
            let mut best: Option<(u32, usize, u32)> = None;
            for (at, pair) in word.windows(2).enumerate() {
                let Some(&(rank, merged)) = self.merges.get(&(pair[0], pair[1])) else { continue };
                if rng.uniform() >= self.probability && best.is_none_or(|(lowest, ..)| rank < lowest) {
                    best = Some((rank, at, merged));
                }
            }
            let Some((_, at, merged)) = best else { break };
            word[at] = merged;
            word.remove(at + 1);
        }
        cut.append(word);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SubwordsConfig, Units};
    use super::*;
    use crate::file::real_data;

    const TEXTS: [&str; 4] =
        ["A dog runs (fast) in the garden.", "The dogs, big dogs, run!", "Un chien court.", "Les chiens, c'est grand."];

    fn subwords(units: Units) -> Subwords {
        let config = SubwordsConfig { units, size: 80, least: 1, lowercase: false };
        Subwords::train(TEXTS.into_iter(), &config).unwrap()
    }

    #[test]
    fn dropout_gives_more_tokens_of_the_same_text() {
        let subwords = subwords(Units::Subword);
        let text = "Les dogs run (a 犬 garden).";
        let whole = subwords.encode(text).unwrap();
        let mut rng = Rng::new(1, "test");
        assert_eq!(SubwordDropout::new(&subwords, 0.0).unwrap().cut(&whole, &mut rng), whole);
        let dropout = SubwordDropout::new(&subwords, 0.3).unwrap();
        let cuts: Vec<Vec<u32>> = (0..20).map(|_| dropout.cut(&whole, &mut rng)).collect();
        assert!(cuts.iter().any(|cut| cut != &cuts[0]) && cuts.iter().all(|cut| cut.len() >= whole.len()));
        for cut in &cuts {
            assert_eq!(subwords.decode(cut).unwrap(), subwords.decode(&whole).unwrap());
            assert!(cut.contains(&subwords.unk()));
        }
        let mut again = Rng::new(1, "test");
        assert_eq!(dropout.cut(&whole, &mut again), dropout.cut(&whole, &mut Rng::new(1, "test")));
        let ended = [&whole[..], &[subwords.eos()]].concat();
        assert_eq!(dropout.cut(&ended, &mut rng).last(), Some(&subwords.eos()));
        // Without merges, only characters remain.
        let all = SubwordDropout { probability: 1.0, ..dropout };
        assert_eq!(all.cut(&subwords.encode("dogs").unwrap(), &mut rng).len(), 5);
    }

    #[test]
    fn characters_stay_and_whole_words_are_refused() {
        let characters = subwords(Units::Char);
        let text = characters.encode(TEXTS[0]).unwrap();
        let dropout = SubwordDropout::new(&characters, 0.5).unwrap();
        assert_eq!(dropout.cut(&text, &mut Rng::new(1, "test")), text);
        let error = SubwordDropout::new(&subwords(Units::Word), 0.1).unwrap_err().to_string();
        assert!(error.contains("`units` subword"), "{error}");
    }

    #[test]
    fn multi30k_is_tokenised_as_by_the_library_and_longer_with_dropout() {
        let Some(folder) = real_data("multi30k") else { return };
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let (en, fr, val) = (text("train.en"), text("train.fr"), text("val.fr"));
        let config = SubwordsConfig { units: Units::Subword, size: 6000, least: 2, lowercase: false };
        let subwords = Subwords::train(en.lines().chain(fr.lines()), &config).unwrap();
        let same = SubwordDropout::new(&subwords, 0.0).unwrap();
        let dropout = SubwordDropout::new(&subwords, 0.1).unwrap();
        let mut rng = Rng::new(1, "test");
        let (mut before, mut after) = (0, 0);
        for line in val.lines().chain(en.lines().take(2000)) {
            let whole = subwords.encode(line).unwrap();
            assert_eq!(same.cut(&whole, &mut rng), whole, "{line}");
            (before, after) = (before + whole.len(), after + dropout.cut(&whole, &mut rng).len());
        }
        let longer = after as f64 / before as f64;
        assert!((1.05..1.5).contains(&longer), "{longer}");
    }
}
