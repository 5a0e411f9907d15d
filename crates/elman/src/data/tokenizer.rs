//! Texts to tokens and back, with what a search must know of them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::captions::Example;
use super::{Subwords, SubwordsConfig};
use crate::error::{Error, Result};

/// Tokens beyond those that training would lead to expect, before a search gives up.
const SPARE: usize = 10;
/// Tokens of what is written at most, whatever a model file says of lengths.
const MAX_TARGET: usize = 1 << 13;
/// Tokens of a source, its EOS not counted, that are read when a text is written for it: a sentence has far fewer, and time
/// and memory grow with their square.
pub(crate) const MAX_SOURCE: usize = 1000;

/// The tokenizer of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tokenizer {
    /// The vocabulary.
    pub(crate) subwords: Subwords,
    /// Whether texts are lower-cased.
    pub(crate) lowercase: bool,
    /// The ratio of target to source length that (nearly) all training pairs stay below, the EOS counted on both sides; at
    /// least 1.
    pub(crate) max_ratio: f64,
}

impl Tokenizer {
    /// Learns the tokens of texts.
    ///
    /// # Errors
    /// If there are none.
    pub(crate) fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, config: &SubwordsConfig) -> Result<Self> {
        Ok(Tokenizer { subwords: Subwords::train(texts, config)?, lowercase: config.lowercase, max_ratio: 1.0 })
    }

    /// Learns how long targets are in relation to their sources from the lengths of both, the EOS counted: the search allows
    /// for the ratio of the share `usual` of them.
    pub(crate) fn learn_ratio(&mut self, lengths: impl Iterator<Item = (usize, usize)>, usual: f64) {
        let mut ratios: Vec<f64> = lengths.map(|(source, target)| target as f64 / source as f64).collect();
        ratios.sort_by(f64::total_cmp);
        let usual = (usual * ratios.len() as f64).ceil() as usize;
        self.max_ratio = ratios.get(usual.saturating_sub(1)).map_or(1.0, |ratio| ratio.max(1.0));
    }

    /// Checks that another tokenizer has the same tokens, so that models of both can predict together.
    ///
    /// # Errors
    /// [`Error::Usage`] with the sizes of both.
    pub(crate) fn check_same_tokens(&self, other: &Tokenizer) -> Result<()> {
        if self.subwords == other.subwords && self.lowercase == other.lowercase {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "models that predict together need the same tokens, learned from the same texts; one has {}, the other {}{}",
            self.subwords.len(),
            other.subwords.len(),
            if self.subwords.len() == other.subwords.len() { " different ones" } else { "" }
        )))
    }

    /// A source's tokens, with EOS.
    ///
    /// # Errors
    /// If the text cannot be tokenized.
    pub(crate) fn source(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self.subwords.encode(text)?;
        tokens.push(self.subwords.eos());
        Ok(tokens)
    }

    /// Cuts a source to the first [`MAX_SOURCE`] tokens and EOS; returns how many it had, if it had more.
    pub(crate) fn truncate(&self, source: &mut Vec<u32>) -> Option<usize> {
        let tokens = source.len() - 1;
        if tokens <= MAX_SOURCE {
            return None;
        }
        source.truncate(MAX_SOURCE);
        source.push(self.subwords.eos());
        Some(tokens)
    }

    /// The source and the tokens of each target of some examples.
    ///
    /// # Errors
    /// If a text cannot be tokenized.
    pub(crate) fn targets(&self, examples: &[Example]) -> Result<Vec<(usize, Vec<u32>)>> {
        let texts = examples.iter().flat_map(|example| example.targets.iter().map(|text| (example.source, text)));
        let texts: Vec<(usize, &String)> = texts.collect();
        texts.par_iter().map(|&(source, text)| Ok((source, self.subwords.encode(text)?))).collect()
    }

    /// The words of some tokens, and how much was attended to each position as each was written, given for each token: the
    /// mean over the word's tokens.
    pub(crate) fn words(&self, tokens: &[u32], attention: &[Vec<f32>]) -> Vec<(String, Vec<f32>)> {
        let names = tokens.iter().map(|&token| self.subwords.name(token));
        let mut words: Vec<(String, Vec<f32>, f32)> = Vec::new();
        for (name, attention) in names.zip(attention) {
            match words.last_mut() {
                // A token without a blank goes on with the word, unless it is a mark.
                Some((word, sum, n)) if !name.starts_with('▁') && name.starts_with(char::is_alphanumeric) => {
                    word.push_str(&name);
                    sum.iter_mut().zip(attention).for_each(|(sum, x)| *sum += x);
                    *n += 1.0;
                }
                _ => words.push((name.trim_start_matches('▁').to_string(), attention.clone(), 1.0)),
            }
        }
        words.retain(|(word, ..)| !word.is_empty());
        words.into_iter().map(|(word, sum, n)| (word, sum.iter().map(|x| x / n).collect())).collect()
    }

    /// Tokens that a text written for a source of this length has at most.
    pub(crate) fn max_length(&self, source: usize) -> usize {
        ((source as f64 * self.max_ratio).ceil() as usize).saturating_add(SPARE).min(MAX_TARGET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Units;

    fn tokenizer() -> Tokenizer {
        let config = SubwordsConfig { units: Units::Char, size: 6000, least: 1, lowercase: false };
        Tokenizer::train(["abc", "d"].into_iter(), &config).unwrap()
    }

    #[test]
    fn a_search_allows_for_usual_lengths_and_not_for_the_longest_one() {
        let mut tokenizer = tokenizer();
        tokenizer.learn_ratio((0..2000).map(|i| (10, if i == 7 { 900 } else { 20 })), 0.999);
        assert_eq!((tokenizer.max_ratio, tokenizer.max_length(10)), (2.0, 20 + SPARE));
        tokenizer.learn_ratio([(4, 2)].into_iter(), 0.999);
        assert_eq!(tokenizer.max_ratio, 1.0);
        tokenizer.max_ratio = 999_999.0;
        assert_eq!(tokenizer.max_length(1000), MAX_TARGET);
        // Of few pairs all count.
        tokenizer.learn_ratio((0..20).map(|i| (10, if i == 7 { 90 } else { 20 })), 0.999);
        assert_eq!(tokenizer.max_ratio, 9.0);
    }

    #[test]
    fn a_long_source_is_cut_and_keeps_its_end() {
        let tokenizer = tokenizer();
        let mut source = tokenizer.source(&"d".repeat(MAX_SOURCE - 1)).unwrap();
        assert_eq!((tokenizer.truncate(&mut source), source.len()), (None, MAX_SOURCE + 1));
        let mut source = tokenizer.source(&"d".repeat(MAX_SOURCE)).unwrap();
        assert_eq!((tokenizer.truncate(&mut source), source.len()), (Some(MAX_SOURCE + 1), MAX_SOURCE + 1));
        assert_eq!(source.last(), Some(&tokenizer.subwords.eos()));
    }

    #[test]
    fn attention_of_a_word_is_the_mean_over_its_tokens() {
        let tokenizer = tokenizer();
        let tokens = tokenizer.subwords.encode("ab d").unwrap();
        let attention: Vec<Vec<f32>> = (0..=tokens.len()).map(|i| vec![i as f32, 1.0]).collect();
        let words = tokenizer.words(&tokens, &attention);
        let names: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(names, ["ab", "d"]);
        assert_eq!(words[0].1.last(), Some(&1.0));
    }
}
