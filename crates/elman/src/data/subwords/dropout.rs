//! BPE-dropout (Provilkov et al. 2020): in training the words of a text are cut into other pieces each time, so that a
//! network learns what rare words are made of.

use std::collections::HashMap;

use tokenizers::models::ModelWrapper;

use super::{BLANK, Subwords};
use crate::error::{Error, Result};
use crate::rng::Rng;

/// The merges of a vocabulary, to be left out now and then.
#[derive(Clone, Debug)]
pub struct SubwordDropout {
    probability: f64,
    /// Two neighbours, to the place of their merge in the order of learning and to what they become.
    merges: HashMap<(u32, u32), (u32, u32)>,
    /// The characters of each symbol, and whether it begins a word.
    symbols: Vec<(Vec<u32>, bool)>,
}

impl SubwordDropout {
    /// The merges of `subwords`, each left out with this probability wherever it could be made.
    ///
    /// # Errors
    /// If the symbols are no subwords.
    pub fn new(subwords: &Subwords, probability: f64) -> Result<Self> {
        let wrong = |what: &str| Error::Usage(format!("--subword-dropout: {what}"));
        let ModelWrapper::BPE(model) = subwords.tokenizer.get_model() else {
            return Err(wrong("the symbols are whole words, which cannot be cut; give --units subword"));
        };
        let id = |name: &str| subwords.tokenizer.token_to_id(name);
        let stored = serde_json::to_value(model).map_err(|error| wrong(&error.to_string()))?;
        let mut merges = HashMap::new();
        for (rank, pair) in stored["merges"].as_array().into_iter().flatten().enumerate() {
            let (left, right) = (pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
            let (Some(a), Some(b), Some(merged)) = (id(left), id(right), id(&format!("{left}{right}"))) else {
                return Err(wrong(&format!("merge {rank} of the vocabulary is of symbols that it does not have")));
            };
            merges.insert((a, b), (rank as u32, merged));
        }
        let characters = |symbol: u32| {
            let name = subwords.name(symbol);
            let ids: Option<Vec<u32>> = name.chars().map(|c| id(c.encode_utf8(&mut [0; 4]))).collect();
            // The unknown symbol, whose name is no text, stays whole.
            let ids = ids.filter(|_| symbol != subwords.unknown()).unwrap_or_else(|| vec![symbol]);
            (ids, name.starts_with(BLANK))
        };
        let symbols = (0..subwords.begin()).map(characters).collect();
        Ok(SubwordDropout { probability, merges, symbols })
    }

    /// Cuts a text, given as the symbols that [`Subwords::encode`] makes of it, anew. Symbols that are no part of a text
    /// (begin, end) stay as they are.
    pub fn cut(&self, text: &[u32], rng: &mut Rng) -> Vec<u32> {
        let (mut cut, mut word) = (Vec::with_capacity(2 * text.len()), Vec::new());
        for &symbol in text {
            let Some((characters, begins)) = self.symbols.get(symbol as usize) else {
                self.merge(&mut word, rng, &mut cut);
                cut.push(symbol);
                continue;
            };
            // No merge reaches over a word's beginning.
            if *begins {
                self.merge(&mut word, rng, &mut cut);
            }
            word.extend_from_slice(characters);
        }
        self.merge(&mut word, rng, &mut cut);
        cut
    }

    /// Merges the characters of a word, the merge learnt first of those not left out, until there is none; moves what
    /// comes out to `cut`.
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
    use crate::data::file::real_data;

    const TEXTS: [&str; 4] =
        ["A dog runs (fast) in the garden.", "The dogs, big dogs, run!", "Un chien court.", "Les chiens, c'est grand."];

    fn subwords(units: Units) -> Subwords {
        let config = SubwordsConfig { units, size: 80, least: 1, lowercase: false };
        Subwords::train(TEXTS.into_iter(), &config).unwrap()
    }

    #[test]
    fn without_dropout_texts_are_cut_as_they_were_and_with_it_into_more_pieces_of_the_same_text() {
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
            assert!(cut.contains(&subwords.unknown()));
        }
        let mut again = Rng::new(1, "test");
        assert_eq!(dropout.cut(&whole, &mut again), dropout.cut(&whole, &mut Rng::new(1, "test")));
        let ended = [&whole[..], &[subwords.end()]].concat();
        assert_eq!(dropout.cut(&ended, &mut rng).last(), Some(&subwords.end()));
        // Nothing is left of the merges: characters.
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
        assert!(error.contains("--units subword"), "{error}");
    }

    #[test]
    fn sentences_of_multi30k_are_cut_as_the_library_cuts_them_and_a_tenth_of_dropout_makes_them_longer_by_a_fifth() {
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
