//! chrF2 (Popović 2015, 2016): character n-grams of 1 to 6, recall weighted twice; identical to sacreBLEU 2.6.

use super::bleu::{VERSION, check, reference_count};
use super::ngrams::{count, is_space, shared};
use crate::error::Result;

/// The longest n-gram counted.
const ORDER: usize = 6;
/// Recall weighs `BETA` squared times as much as precision.
const BETA: f64 = 2.0;

/// chrF2 with its settings; white space is ignored.
///
/// ```
/// use elman::metric::Chrf;
///
/// let score = Chrf::default().sentence("the cats", &["the cat"]);
/// assert!(score > 80.0 && score < 100.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chrf {
    /// Whether lines are lower-cased first.
    pub lowercase: bool,
}

/// n-grams of hypotheses, of references and of both, for n = 1 to 6; a corpus sums those of its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChrfCounts([[u64; 3]; ORDER]);

impl ChrfCounts {
    fn of(hypothesis: &[char], reference: &[char]) -> Self {
        ChrfCounts(std::array::from_fn(|n| {
            let (ours, theirs) = (count(hypothesis, n + 1), count(reference, n + 1));
            let runs = |text: &[char]| text.len().saturating_sub(n) as u64;
            // An order longer than the reference is ignored.
            let our_runs = if theirs.is_empty() { 0 } else { runs(hypothesis) };
            [our_runs, runs(reference), shared(&ours, &theirs)]
        }))
    }

    /// chrF2, 0 to 100: the F-score of the mean precision and the mean recall over the orders of both sides.
    pub fn score(&self) -> f64 {
        let orders = self.0.iter().filter(|[ours, theirs, _]| *ours > 0 && *theirs > 0);
        let (mut orders_seen, mut precision, mut recall) = (0.0, 0.0, 0.0);
        for &[ours, theirs, both] in orders {
            orders_seen += 1.0;
            precision += both as f64 / ours as f64;
            recall += both as f64 / theirs as f64;
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / orders_seen, recall / orders_seen);
        100.0 * (1.0 + BETA * BETA) * precision * recall / (BETA * BETA * precision + recall)
    }
}

impl std::iter::Sum for ChrfCounts {
    fn sum<I: Iterator<Item = ChrfCounts>>(parts: I) -> ChrfCounts {
        parts.fold(ChrfCounts::default(), |mut sum, part| {
            let both = sum.0.as_flattened_mut().iter_mut().zip(part.0.as_flattened());
            both.for_each(|(a, b)| *a += b);
            sum
        })
    }
}

impl Chrf {
    fn characters(self, line: &str) -> Vec<char> {
        let lower = if self.lowercase { line.to_lowercase() } else { line.to_string() };
        lower.chars().filter(|&c| !is_space(c)).collect()
    }

    /// The counts of one segment with the reference that scores best; ties: the first.
    pub fn counts<S: AsRef<str>>(self, hypothesis: &str, references: &[S]) -> ChrfCounts {
        let hypothesis = self.characters(hypothesis);
        let mut best: Option<(f64, ChrfCounts)> = None;
        for reference in references {
            let counts = ChrfCounts::of(&hypothesis, &self.characters(reference.as_ref()));
            let score = counts.score();
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, counts));
            }
        }
        best.map_or_else(ChrfCounts::default, |(_, counts)| counts)
    }

    /// The counts of each segment of a corpus, `references[i]` those of `hypotheses[i]`.
    ///
    /// # Errors
    /// If the lists differ in length, are empty, or a segment has no reference.
    pub fn segments<S: AsRef<str>, R: AsRef<str>>(
        self,
        hypotheses: &[S],
        references: &[Vec<R>],
    ) -> Result<Vec<ChrfCounts>> {
        check(hypotheses.len(), references)?;
        let pairs = hypotheses.iter().zip(references);
        Ok(pairs.map(|(hypothesis, references)| self.counts(hypothesis.as_ref(), references)).collect())
    }

    /// chrF2 of a corpus, 0 to 100.
    ///
    /// # Errors
    /// As for [`Chrf::segments`].
    pub fn corpus<S: AsRef<str>, R: AsRef<str>>(self, hypotheses: &[S], references: &[Vec<R>]) -> Result<f64> {
        Ok(self.segments(hypotheses, references)?.into_iter().sum::<ChrfCounts>().score())
    }

    /// chrF2 of one sentence, 0 to 100.
    pub fn sentence<S: AsRef<str>>(self, hypothesis: &str, references: &[S]) -> f64 {
        self.counts(hypothesis, references).score()
    }

    /// sacreBLEU's signature of the score, with this library's version.
    pub fn signature<R>(self, references: &[Vec<R>]) -> String {
        let case = if self.lowercase { "lc" } else { "mixed" };
        format!("nrefs:{}|case:{case}|eff:yes|nc:{ORDER}|nw:0|space:no|{VERSION}", reference_count(references))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_do_not_count_and_recall_weighs_four_times() {
        let chrf = Chrf::default();
        assert!((chrf.sentence("a b cdefg", &["ab cd efg"]) - 100.0).abs() < 1e-9);
        assert_eq!(chrf.sentence("xyz", &["abc"]), 0.0);
        assert_eq!(chrf.sentence("", &["abc"]), 0.0);
        // One character of two: precision 1/1, recall 1/2 at order 1; order 2 is not in the hypothesis.
        let want = 100.0 * 5.0 * 1.0 * 0.5 / (4.0 * 1.0 + 0.5);
        assert!((chrf.sentence("a", &["ab"]) - want).abs() < 1e-9);
        assert!((Chrf { lowercase: true }.sentence("AB", &["ab"]) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn the_best_reference_counts() {
        let chrf = Chrf::default();
        let alone = ["zzz", "abcdeg", "abdefg"].map(|reference| chrf.sentence("abcdef", &[reference]));
        assert!(alone[1] > alone[2] && alone[2] > alone[0], "{alone:?}");
        assert_eq!(chrf.sentence("abcdef", &["zzz", "abcdeg", "abdefg"]), alone[1]);
        assert!(chrf.signature(&[vec![(), ()]]).starts_with("nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no|"));
    }
}
