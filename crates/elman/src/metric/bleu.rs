//! BLEU (Papineni et al. 2002), identical to sacreBLEU 2.6 (Post 2018), and the caption variant of COCO.

use std::collections::HashMap;
use std::fmt;

use super::ngrams::{count, is_space, shared, words};
use crate::error::{Error, Result};

/// The longest n-gram counted.
const ORDER: usize = 4;

/// Tokenisation of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokenizer {
    /// The rules of mteval-v13a, sacreBLEU's default: punctuation apart, numbers whole.
    #[default]
    V13a,
    /// White space only, for tokenised text.
    None,
}

impl Tokenizer {
    /// The tokens of a line.
    pub fn tokens(self, line: &str) -> Vec<String> {
        let line = line.trim_end_matches(is_space);
        match self {
            Tokenizer::V13a => words(&v13a(line)).map(str::to_string).collect(),
            Tokenizer::None => words(line).map(str::to_string).collect(),
        }
    }
}

/// Puts spaces around mteval-v13a's tokens. Its four rules rewrite the whole line one after another; each consumes what
/// it matches, so that of `,,` only the first comma is seen by a rule that needs the character before.
fn v13a(line: &str) -> String {
    let line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let line = line.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let mut text: Vec<char> = Vec::with_capacity(2 * line.len() + 2);
    text.push(' ');
    for c in line.chars() {
        // ASCII punctuation but for apostrophe, comma, hyphen and full stop.
        match c {
            '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/' => text.extend([' ', c, ' ']),
            _ => text.push(c),
        }
    }
    text.push(' ');
    let digit = |c: char| c.is_ascii_digit();
    let point = |c: char| c == '.' || c == ',';
    let text = pairs(&text, |a, b| !digit(a) && point(b), |a, b| vec![a, ' ', b, ' ']);
    let text = pairs(&text, |a, b| point(a) && !digit(b), |a, b| vec![' ', a, ' ', b]);
    let text = pairs(&text, |a, b| digit(a) && b == '-', |a, b| vec![a, ' ', b, ' ']);
    text.into_iter().collect()
}

/// Rewrites pairs of neighbours that match, from the left, each character in one pair at most.
fn pairs(text: &[char], matches: impl Fn(char, char) -> bool, rewrite: impl Fn(char, char) -> Vec<char>) -> Vec<char> {
    let mut out = Vec::with_capacity(2 * text.len());
    let mut i = 0;
    while i < text.len() {
        match text.get(i + 1) {
            Some(&next) if matches(text[i], next) => {
                out.extend(rewrite(text[i], next));
                i += 2;
            }
            _ => {
                out.push(text[i]);
                i += 1;
            }
        }
    }
    out
}

/// Sufficient statistics of BLEU; a corpus sums those of its segments, as does a bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BleuCounts {
    /// n-grams that match a reference, for n = 1 to 4.
    pub correct: [u64; ORDER],
    /// n-grams of the hypothesis.
    pub total: [u64; ORDER],
    /// Tokens of the hypothesis.
    pub hypothesis_tokens: u64,
    /// Tokens of the reference closest in length; ties: the shorter.
    pub reference_tokens: u64,
}

impl BleuCounts {
    /// The counts of one segment, tokenised.
    fn of(hypothesis: &[String], references: &[Vec<String>]) -> Self {
        let mut counts = BleuCounts { hypothesis_tokens: hypothesis.len() as u64, ..BleuCounts::default() };
        let lengths = references.iter().map(|reference| reference.len());
        let closest = lengths.min_by_key(|&n| (n.abs_diff(hypothesis.len()), n));
        counts.reference_tokens = closest.unwrap_or(0) as u64;
        for n in 1..=ORDER {
            let ours = count(hypothesis, n);
            // Clipping: an n-gram matches at most as often as in any one reference.
            let mut most: HashMap<&[String], u64> = HashMap::new();
            for reference in references {
                for (run, times) in count(reference, n) {
                    let seen = most.entry(run).or_insert(0);
                    *seen = times.max(*seen);
                }
            }
            counts.correct[n - 1] = shared(&ours, &most);
            counts.total[n - 1] = (hypothesis.len() + 1).saturating_sub(n) as u64;
        }
        counts
    }

    /// exp(1 - reference / hypothesis) if the hypotheses are shorter, else 1.
    fn brevity_penalty(&self) -> f64 {
        let (ours, theirs) = (self.hypothesis_tokens as f64, self.reference_tokens as f64);
        if ours >= theirs {
            1.0
        } else if ours > 0.0 {
            (1.0 - theirs / ours).exp()
        } else {
            0.0
        }
    }

    /// BLEU of these counts, exponential smoothing of orders without a match (Chen & Cherry 2014, method 3). With
    /// `effective_order`, orders longer than the hypothesis do not count.
    pub fn score(&self, effective_order: bool) -> BleuScore {
        let mut precisions = [0.0; ORDER];
        let brevity_penalty = self.brevity_penalty();
        let score = |bleu, precisions| BleuScore { bleu, precisions, brevity_penalty, counts: *self };
        if self.correct.iter().all(|&n| n == 0) {
            return score(0.0, precisions);
        }
        let (mut order, mut smooth) = (ORDER, 1.0);
        for n in 0..ORDER {
            if self.total[n] == 0 {
                break;
            }
            if effective_order {
                order = n + 1;
            }
            precisions[n] = if self.correct[n] == 0 {
                smooth *= 2.0;
                100.0 / (smooth * self.total[n] as f64)
            } else {
                100.0 * self.correct[n] as f64 / self.total[n] as f64
            };
        }
        if precisions[..order].contains(&0.0) {
            return score(0.0, precisions);
        }
        let logs: f64 = precisions[..order].iter().map(|p| p.ln()).sum();
        score(brevity_penalty * (logs / order as f64).exp(), precisions)
    }

    /// BLEU-1 to BLEU-4 without smoothing, 0 to 100: the geometric mean of the first 1 to 4 precisions.
    fn cumulative(&self) -> [f64; ORDER] {
        let mut logs = 0.0;
        std::array::from_fn(|n| {
            logs += (self.correct[n] as f64 / self.total[n].max(1) as f64).ln();
            100.0 * self.brevity_penalty() * (logs / (n + 1) as f64).exp()
        })
    }
}

impl std::ops::AddAssign for BleuCounts {
    fn add_assign(&mut self, other: BleuCounts) {
        for n in 0..ORDER {
            self.correct[n] += other.correct[n];
            self.total[n] += other.total[n];
        }
        self.hypothesis_tokens += other.hypothesis_tokens;
        self.reference_tokens += other.reference_tokens;
    }
}

impl std::iter::Sum for BleuCounts {
    fn sum<I: Iterator<Item = BleuCounts>>(parts: I) -> BleuCounts {
        parts.fold(BleuCounts::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

/// A BLEU score and its components.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BleuScore {
    /// BLEU, 0 to 100.
    pub bleu: f64,
    /// Smoothed precisions of 1- to 4-grams, in percent.
    pub precisions: [f64; ORDER],
    /// The brevity penalty, 0 to 1.
    pub brevity_penalty: f64,
    /// The counts.
    pub counts: BleuCounts,
}

impl fmt::Display for BleuScore {
    /// sacreBLEU's line: `BLEU = 34.06 66.7/42.9/30.8/18.2 (BP = 0.942 ratio = 0.944 hyp_len = 17 ref_len = 18)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, theirs) = (self.counts.hypothesis_tokens, self.counts.reference_tokens);
        let ratio = if theirs == 0 { 0.0 } else { ours as f64 / theirs as f64 };
        let [one, two, three, four] = self.precisions;
        write!(f, "BLEU = {:.2} {one:.1}/{two:.1}/{three:.1}/{four:.1} ", self.bleu)?;
        write!(f, "(BP = {:.3} ratio = {ratio:.3} hyp_len = {ours} ref_len = {theirs})", self.brevity_penalty)
    }
}

/// BLEU with its settings.
///
/// ```
/// use elman::metric::Bleu;
///
/// let written = ["the cat sat on the mat"];
/// let references = [vec!["the cat sat on the mat", "a cat sat on a mat"]];
/// assert!((Bleu::default().corpus(&written, &references)?.bleu - 100.0).abs() < 1e-9);
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bleu {
    /// Tokenisation.
    pub tokenizer: Tokenizer,
    /// Whether lines are lower-cased first.
    pub lowercase: bool,
    /// Whether to ignore orders longer than all hypotheses: otherwise perfect outputs of three tokens score 0.
    pub effective_order: bool,
}

impl Bleu {
    fn tokens(self, line: &str) -> Vec<String> {
        if self.lowercase { self.tokenizer.tokens(&line.to_lowercase()) } else { self.tokenizer.tokens(line) }
    }

    /// Uses the effective order if no reference is long enough for all orders.
    pub fn for_references<S: AsRef<str>>(self, references: &[Vec<S>]) -> Self {
        let long = |line: &S| self.tokens(line.as_ref()).len() >= ORDER;
        Bleu { effective_order: !references.iter().flatten().any(long), ..self }
    }

    /// The counts of one segment with its references.
    pub fn counts<S: AsRef<str>>(self, hypothesis: &str, references: &[S]) -> BleuCounts {
        let references: Vec<_> = references.iter().map(|line| self.tokens(line.as_ref())).collect();
        BleuCounts::of(&self.tokens(hypothesis), &references)
    }

    /// The counts of each segment of a corpus, `references[i]` those of `hypotheses[i]`.
    ///
    /// # Errors
    /// If the lists differ in length, are empty, or a segment has no reference.
    pub fn segments<S: AsRef<str>, R: AsRef<str>>(
        self,
        hypotheses: &[S],
        references: &[Vec<R>],
    ) -> Result<Vec<BleuCounts>> {
        check(hypotheses.len(), references)?;
        let pairs = hypotheses.iter().zip(references);
        Ok(pairs.map(|(hypothesis, references)| self.counts(hypothesis.as_ref(), references)).collect())
    }

    /// BLEU of a corpus.
    ///
    /// # Errors
    /// As for [`Bleu::segments`].
    pub fn corpus<S: AsRef<str>, R: AsRef<str>>(self, hypotheses: &[S], references: &[Vec<R>]) -> Result<BleuScore> {
        Ok(self.segments(hypotheses, references)?.into_iter().sum::<BleuCounts>().score(self.effective_order))
    }

    /// BLEU of one sentence: with effective order, so that a short one can score.
    pub fn sentence<S: AsRef<str>>(self, hypothesis: &str, references: &[S]) -> BleuScore {
        self.counts(hypothesis, references).score(true)
    }

    /// sacreBLEU's signature of the score, with this library's version.
    pub fn signature<R>(self, references: &[Vec<R>]) -> String {
        let tokenizer = match self.tokenizer {
            Tokenizer::V13a => "13a",
            Tokenizer::None => "none",
        };
        let case = if self.lowercase { "lc" } else { "mixed" };
        let (references, order) = (reference_count(references), if self.effective_order { "yes" } else { "no" });
        format!("nrefs:{references}|case:{case}|eff:{order}|tok:{tokenizer}|smooth:exp|{VERSION}")
    }
}

/// The end of every signature.
pub(super) const VERSION: &str = concat!("version:elman-", env!("CARGO_PKG_VERSION"));

/// References of each segment, or `var` if the numbers differ.
pub(super) fn reference_count<R>(references: &[Vec<R>]) -> String {
    let first = references.first().map_or(0, Vec::len);
    if references.iter().all(|r| r.len() == first) { first.to_string() } else { "var".to_string() }
}

pub(super) fn check<R>(hypotheses: usize, references: &[Vec<R>]) -> Result<()> {
    if hypotheses != references.len() {
        let counts = (hypotheses, references.len());
        let reason = format!("{} hypotheses, but references for {}: the numbers must match", counts.0, counts.1);
        return Err(Error::Usage(reason));
    }
    if hypotheses == 0 {
        return Err(Error::Usage("no hypotheses to score".to_string()));
    }
    match references.iter().position(Vec::is_empty) {
        Some(i) => Err(Error::Usage(format!("hypothesis {} has no reference", i + 1))),
        None => Ok(()),
    }
}

/// A caption's tokens as in the COCO evaluation: lower case, without punctuation.
pub fn caption_tokens(caption: &str) -> Vec<String> {
    let clean = |c: char| if c.is_alphanumeric() || c == '\'' || c == '-' { c } else { ' ' };
    let text: String = caption.to_lowercase().chars().map(clean).collect();
    words(&text).map(|word| word.trim_matches(['\'', '-'])).filter(|w| !w.is_empty()).map(str::to_string).collect()
}

/// BLEU-1 to BLEU-4 of captions, 0 to 100: corpus-level, multiple references, closest reference length,
/// no smoothing (Chen et al. 2015, "Microsoft COCO captions").
///
/// # Errors
/// As for [`Bleu::segments`].
pub fn caption_bleu<S: AsRef<str>, R: AsRef<str>>(captions: &[S], references: &[Vec<R>]) -> Result<[f64; ORDER]> {
    check(captions.len(), references)?;
    let segment = |(caption, references): (&S, &Vec<R>)| {
        let references: Vec<_> = references.iter().map(|line| caption_tokens(line.as_ref())).collect();
        BleuCounts::of(&caption_tokens(caption.as_ref()), &references)
    };
    Ok(captions.iter().zip(references).map(segment).sum::<BleuCounts>().cumulative())
}

/// The highest order of [`caption_bleu`] for which some reference is long enough; at least 1.
pub fn caption_order<R: AsRef<str>>(references: &[Vec<R>]) -> usize {
    let longest = references.iter().flatten().map(|line| caption_tokens(line.as_ref()).len()).max();
    longest.unwrap_or(0).clamp(1, ORDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tokenised_as_by_mteval() {
        let cut = |line| Tokenizer::V13a.tokens(line).join(" ");
        assert_eq!(cut("Hello, world! It's 3,000.5 km/h."), "Hello , world ! It's 3,000.5 km / h .");
        assert_eq!(cut("a 1990-91 well-known,,, \"&quot;x&quot;\""), "a 1990 - 91 well-known , , , \" \" x \" \"");
        assert_eq!(cut("<skipped>end-\nof line\nnext"), "endof line next");
        assert_eq!(cut("  L'été… (1.)  "), "L'été… ( 1 . )");
        assert_eq!(Tokenizer::None.tokens(" a, b\u{1f}c\u{a0}d "), ["a,", "b", "c", "d"]);
    }

    #[test]
    fn a_perfect_hypothesis_has_100_and_an_empty_one_0() {
        let same = Bleu::default().corpus(&["the cat sat on the mat"], &[vec!["the cat sat on the mat"]]).unwrap();
        assert!((same.bleu - 100.0).abs() < 1e-9);
        let none = Bleu::default().corpus(&[""], &[vec!["the cat"]]).unwrap();
        assert_eq!((none.bleu, none.brevity_penalty), (0.0, 0.0));
    }

    #[test]
    fn short_hypotheses_are_scored_by_their_effective_order() {
        let references = [vec!["un deux"], vec!["trois"]];
        let hypotheses = ["un deux", "trois"];
        assert_eq!(Bleu::default().corpus(&hypotheses, &references).unwrap().bleu, 0.0);
        let bleu = Bleu::default().for_references(&references);
        assert!((bleu.corpus(&hypotheses, &references).unwrap().bleu - 100.0).abs() < 1e-9);
        assert!(bleu.signature(&references).contains("|eff:yes|"));
        let longer = [vec!["un deux trois quatre"], vec!["trois"]];
        assert_eq!(Bleu::default().for_references(&longer), Bleu::default());
        assert_eq!([caption_order(&references), caption_order(&longer), caption_order(&[vec!["."]])], [2, 4, 1]);
    }

    #[test]
    fn lists_of_different_lengths_are_refused() {
        let bleu = Bleu::default();
        assert!(bleu.corpus(&["a"], &[vec!["a"], vec!["b"]]).unwrap_err().to_string().contains("references for 2"));
        assert!(bleu.corpus::<&str, &str>(&[], &[]).is_err());
        let error = bleu.corpus::<_, &str>(&["a", "b"], &[vec!["a"], vec![]]).unwrap_err();
        assert!(error.to_string().contains("hypothesis 2"), "{error}");
        assert!(caption_bleu::<_, &str>(&["a"], &[vec![]]).is_err());
    }

    #[test]
    fn signatures_describe_the_settings() {
        let bleu = Bleu { lowercase: true, tokenizer: Tokenizer::None, effective_order: false };
        assert_eq!(
            bleu.signature(&[vec![1, 2], vec![3]]),
            format!("nrefs:var|case:lc|eff:no|tok:none|smooth:exp|{VERSION}")
        );
        assert!(Bleu::default().signature(&[vec![1, 2]]).starts_with("nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|"));
    }

    #[test]
    fn captions_ignore_case_and_punctuation() {
        assert_eq!(caption_tokens("A man's dog, - \"running\"."), ["a", "man's", "dog", "running"]);
        let scores = caption_bleu(&["A dog runs."], &[vec!["a dog runs", "a dog runs very fast"]]).unwrap();
        assert!(scores[..3].iter().all(|s| (s - 100.0).abs() < 1e-9), "{scores:?}");
        assert_eq!(scores[3], 0.0, "no 4-gram, no smoothing");
        // 2 of 3 words; of the pairs 1 of 2; as long as the closest reference.
        let scores = caption_bleu(&["a dog sleeps"], &[vec!["a dog runs", "the small dog is there"]]).unwrap();
        assert!((scores[0] - 200.0 / 3.0).abs() < 1e-9);
        assert!((scores[1] - 100.0 * (2.0 / 3.0 * 0.5f64).sqrt()).abs() < 1e-9);
    }
}
