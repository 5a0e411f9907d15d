//! n-gram counts and overlaps.

use std::collections::HashMap;
use std::hash::Hash;

/// The n-grams and their counts.
pub(super) fn count<T: Eq + Hash>(tokens: &[T], n: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    tokens.windows(n).for_each(|run| *counts.entry(run).or_insert(0) += 1);
    counts
}

/// Clipped overlap: n-grams in both, each counted as often as in the text that has it less often.
pub(super) fn shared<T: Eq + Hash>(a: &HashMap<&[T], u64>, b: &HashMap<&[T], u64>) -> u64 {
    a.iter().map(|(run, &n)| n.min(b.get(run).copied().unwrap_or(0))).sum()
}

/// White space as in Python's `str.split`: Unicode's, and the four separators U+001C to U+001F.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The words between white space.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}
