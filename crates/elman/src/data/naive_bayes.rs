//! What naive Bayes makes of a text: the evidence of its words and of its pairs of neighbouring words, as inputs for a
//! network (Wang & Manning 2012).

use std::collections::{BTreeMap, HashMap};
use std::num::ParseIntError;

use serde::{Deserialize, Serialize};

use super::words::UNKNOWN;

/// Pairs kept at most, the most frequent ones.
const PAIRS: usize = 200_000;

/// In how many training texts of each class each word, and each pair of neighbours, occurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(crate) struct NaiveBayes {
    /// Texts of each class.
    texts: Vec<u32>,
    /// `[V, C]`.
    words: Vec<u32>,
    /// Indices of the pairs in `pair_counts`.
    pairs: HashMap<[u32; 2], u32>,
    /// `[pairs, C]`.
    pair_counts: Vec<u32>,
    /// Standard deviation of each input over the training texts.
    std: Vec<f32>,
}

/// [`NaiveBayes`] in a file: the long lists as numbers with blanks between, for there can be a million.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    texts: Vec<u32>,
    words: String,
    pairs: String,
    pair_counts: String,
    #[serde(rename = "deviation")]
    std: Vec<f32>,
}

impl TryFrom<Stored> for NaiveBayes {
    type Error = ParseIntError;

    fn try_from(stored: Stored) -> Result<Self, ParseIntError> {
        let numbers = |list: &str| list.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
        let pairs = numbers(&stored.pairs)?;
        Ok(NaiveBayes {
            texts: stored.texts,
            words: numbers(&stored.words)?,
            pairs: pairs.chunks_exact(2).map(|pair| [pair[0], pair[1]]).zip(0..).collect(),
            pair_counts: numbers(&stored.pair_counts)?,
            std: stored.std,
        })
    }
}

impl From<NaiveBayes> for Stored {
    fn from(bayes: NaiveBayes) -> Self {
        let mut pairs: Vec<([u32; 2], u32)> = bayes.pairs.into_iter().collect();
        pairs.sort_unstable_by_key(|&(_, place)| place);
        let pairs: Vec<u32> = pairs.into_iter().flat_map(|(pair, _)| pair).collect();
        let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        Stored {
            texts: bayes.texts,
            words: list(&bayes.words),
            pairs: list(&pairs),
            pair_counts: list(&bayes.pair_counts),
            std: bayes.std,
        }
    }
}

impl NaiveBayes {
    /// Counts the training texts, tokens below `vocab` with labels below `classes`. Pairs seen in one text only are left
    /// out: without that text they say nothing.
    pub(crate) fn fit(texts: &[Vec<u32>], labels: &[[u32; 1]], vocab: usize, classes: usize) -> NaiveBayes {
        let mut of_class = vec![0; classes];
        let mut words = vec![0; vocab * classes];
        // Sorted, so that equally frequent pairs are kept by their tokens.
        let mut counted: BTreeMap<[u32; 2], Vec<u32>> = BTreeMap::new();
        for (tokens, &[label]) in texts.iter().zip(labels) {
            let label = label as usize;
            of_class[label] += 1;
            for word in distinct_words(tokens) {
                words[word as usize * classes + label] += 1;
            }
            for pair in distinct_pairs(tokens) {
                counted.entry(pair).or_insert_with(|| vec![0; classes])[label] += 1;
            }
        }
        let mut pairs: Vec<([u32; 2], Vec<u32>)> =
            counted.into_iter().filter(|(_, counts)| counts.iter().sum::<u32>() > 1).collect();
        pairs.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<u32>()));
        pairs.truncate(PAIRS);
        let pair_counts = pairs.iter().flat_map(|(_, counts)| counts.iter().copied()).collect();
        let pairs = pairs.into_iter().map(|(pair, _)| pair).zip(0..).collect();
        let mut bayes = NaiveBayes { texts: of_class, words, pairs, pair_counts, std: Vec::new() };
        bayes.std = vec![1.0; bayes.width()];
        let mut squares = vec![0.0; bayes.width()];
        for (tokens, &[label]) in texts.iter().zip(labels) {
            let evidence = bayes.evidence(tokens, Some(label));
            squares.iter_mut().zip(evidence).for_each(|(sum, x)| *sum += f64::from(x) * f64::from(x));
        }
        let std = |sum: f64| ((sum / texts.len().max(1) as f64).sqrt() as f32).max(1e-3);
        bayes.std = squares.into_iter().map(std).collect();
        bayes
    }

    /// Begins the weights `[C, inputs]` of an output layer, whose last inputs are the evidence: each class trusts what speaks
    /// for it with this weight.
    pub(crate) fn init_output(&self, trust: f64, inputs: usize, weights: &mut [f32]) {
        for (class, weights) in weights.chunks_exact_mut(inputs).enumerate() {
            let (_, seen) = weights.split_at_mut(inputs - self.width());
            for (evidence, of) in seen.chunks_exact_mut(2).zip(self.shown()) {
                // Of two classes the first has only what speaks against the second.
                let speaks = match class == of {
                    true => 1.0,
                    false if self.shown().len() == 1 => -1.0,
                    false => 0.0,
                };
                evidence.fill((trust * speaks) as f32);
            }
        }
    }

    /// Whether the counts are those of `vocab` tokens and `classes`.
    pub(crate) fn fits(&self, vocab: usize, classes: usize) -> bool {
        self.texts.len() == classes
            && self.words.len() == vocab * classes
            && self.pair_counts.len() == self.pairs.len() * classes
            && self.std.len() == self.width()
    }

    /// The classes that have inputs of their own: of two, the second's says all.
    pub(crate) fn shown(&self) -> std::ops::Range<usize> {
        if self.texts.len() == 2 { 1..2 } else { 0..self.texts.len() }
    }

    /// Inputs of a text: for each shown class that of its words, then that of its pairs.
    pub(crate) fn width(&self) -> usize {
        2 * self.shown().len()
    }

    /// The evidence `[width]` for each shown class: the summed log-odds of the words, then of the pairs, each once, over
    /// their standard deviation. Of a training text, with its label, the counts leave itself out.
    pub(crate) fn evidence(&self, tokens: &[u32], own: Option<u32>) -> Vec<f32> {
        let classes = self.texts.len();
        let mut sums = vec![0.0; self.width()];
        let all: u32 = self.texts.iter().sum::<u32>() - u32::from(own.is_some());
        let mut add = |counts: &[u32], of_pairs: usize| {
            let seen = counts.iter().sum::<u32>().saturating_sub(u32::from(own.is_some()));
            if seen == 0 {
                return;
            }
            for (i, class) in self.shown().enumerate() {
                let is_own = u32::from(own == Some(class as u32));
                let (with, texts) = (counts[class].saturating_sub(is_own), self.texts[class] - is_own);
                // One more text with it and one without in each class, so that nothing is impossible.
                let share = |with: u32, texts: u32| (f64::from(with) + 1.0) / (f64::from(texts) + 2.0);
                sums[2 * i + of_pairs] += (share(with, texts) / share(seen - with, all - texts)).ln();
            }
        };
        for word in distinct_words(tokens) {
            add(&self.words[word as usize * classes..][..classes], 0);
        }
        for pair in distinct_pairs(tokens) {
            if let Some(&place) = self.pairs.get(&pair) {
                add(&self.pair_counts[place as usize * classes..][..classes], 1);
            }
        }
        sums.iter().zip(&self.std).map(|(sum, std)| (sum / f64::from(*std)) as f32).collect()
    }
}

impl NaiveBayes {
    /// The evidence for each class `[C]`, of words and pairs together.
    pub(crate) fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let evidence = self.evidence(tokens, None);
        let mut logits = vec![0.0; self.texts.len()];
        for (i, class) in self.shown().enumerate() {
            logits[class] = evidence[2 * i] * self.std[2 * i] + evidence[2 * i + 1] * self.std[2 * i + 1];
        }
        logits
    }
}

/// The known words of a text, each once.
fn distinct_words(tokens: &[u32]) -> Vec<u32> {
    let mut words: Vec<u32> = tokens.iter().copied().filter(|&token| token != UNKNOWN).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The pairs of known neighbours in a text, each once.
fn distinct_pairs(tokens: &[u32]) -> Vec<[u32; 2]> {
    let pairs = tokens.windows(2).map(|pair| [pair[0], pair[1]]);
    let mut pairs: Vec<[u32; 2]> = pairs.filter(|pair| !pair.contains(&UNKNOWN)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Writes into the first values of each word's embedding (rows of `table`, `width` values each) the word's log-odds for each
/// class times `scale`, from the texts that contain it (Wang & Manning 2012, section 2). `sizes`: words and classes.
pub(crate) fn write_log_odds(
    scale: f64,
    texts: &[Vec<u32>],
    labels: &[[u32; 1]],
    [vocab, classes]: [usize; 2],
    width: usize,
    table: &mut [f32],
) {
    // Of two classes the second's odds say all.
    let shown = if classes == 2 { 1 } else { classes.min(width) };
    let mut with = vec![[0u32; 2]; shown * vocab];
    for (tokens, &[label]) in texts.iter().zip(labels) {
        let mut tokens = tokens.clone();
        tokens.sort_unstable();
        tokens.dedup();
        for class in 0..shown {
            let of = if classes == 2 { 1 } else { class };
            let is_of = usize::from(label as usize == of);
            tokens.iter().for_each(|&token| with[class * vocab + token as usize][is_of] += 1);
        }
    }
    for class in 0..shown {
        let with = &with[class * vocab..][..vocab];
        // One more text than there are, so that no word is impossible.
        let sum = |is_of: usize| with.iter().map(|n| f64::from(n[is_of]) + 1.0).sum::<f64>();
        let sums = [sum(0), sum(1)];
        for (token, n) in with.iter().enumerate().skip(1) {
            let odds = ((f64::from(n[1]) + 1.0) / sums[1]).ln() - ((f64::from(n[0]) + 1.0) / sums[0]).ln();
            table[token * width + class] = (scale * odds) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_evidence_is_that_of_the_formula_and_a_text_is_judged_by_the_others() {
        let texts = [vec![1, 2], vec![1, 2, 2], vec![1, 3], vec![3, 0, 3]];
        let bayes = NaiveBayes::fit(&texts, &[[1], [1], [0], [0]], 4, 2);
        assert!(bayes.fits(4, 2) && bayes.width() == 2);
        // Word 1: once in class 0, twice in class 1; word 2: none and twice; the pair 1 2: none and twice.
        let log_odds = |with: f64, of: f64, other: f64, of_other: f64| {
            (((with + 1.0) / (of + 2.0)) / ((other + 1.0) / (of_other + 2.0))).ln()
        };
        let [words, pairs] = bayes.evidence(&[1, 2], None)[..] else { panic!() };
        let expected = log_odds(2.0, 2.0, 1.0, 2.0) + log_odds(2.0, 2.0, 0.0, 2.0);
        assert!((words * bayes.std[0] - expected as f32).abs() < 1e-6);
        assert!((pairs * bayes.std[1] - log_odds(2.0, 2.0, 0.0, 2.0) as f32).abs() < 1e-6);
        // The first text is judged as if it had not been counted.
        let without = NaiveBayes::fit(&texts[1..], &[[1], [0], [0]], 4, 2);
        let (own, other) = (bayes.evidence(&texts[0], Some(1)), without.evidence(&texts[0], None));
        assert!((own[0] * bayes.std[0] - other[0] * without.std[0]).abs() < 1e-6);
        // A pair seen nowhere else is no evidence, nor is an unknown word.
        assert_eq!(bayes.evidence(&[0, 3, 0], Some(0))[1], 0.0);
        assert_eq!(bayes.evidence(&[0], None), [0.0, 0.0]);
    }

    #[test]
    fn it_survives_the_file_and_serves_more_classes() {
        let texts = [vec![1, 2], vec![1, 2], vec![3], vec![2, 1], vec![2, 1]];
        let bayes = NaiveBayes::fit(&texts, &[[0], [1], [2], [2], [2]], 4, 3);
        assert_eq!(bayes.width(), 6);
        let stored = serde_json::to_string(&bayes).unwrap();
        let again: NaiveBayes = serde_json::from_str(&stored).unwrap();
        assert_eq!(again, bayes);
        assert!(!again.fits(5, 3) && !again.fits(4, 2));
        assert!(serde_json::from_str::<NaiveBayes>(&stored.replacen("0 ", "x ", 1)).is_err());
        let evidence = bayes.evidence(&[2, 1], None);
        assert!(evidence[5] > 0.0 && evidence[1] < 0.0, "{evidence:?}");
    }
}
