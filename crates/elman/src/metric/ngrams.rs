//! Counts of runs of n symbols, and how many two texts share.

use std::collections::HashMap;
use std::hash::Hash;

/// How often each run of `n` symbols occurs.
pub(super) fn count<T: Eq + Hash>(symbols: &[T], n: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    symbols.windows(n).for_each(|run| *counts.entry(run).or_insert(0) += 1);
    counts
}

/// Runs in both, each as often as in the text that has it less often.
pub(super) fn shared<T: Eq + Hash>(a: &HashMap<&[T], u64>, b: &HashMap<&[T], u64>) -> u64 {
    a.iter().map(|(run, &n)| n.min(b.get(run).copied().unwrap_or(0))).sum()
}

/// White space as Python's `str.split` sees it: Unicode's, and the four separators U+001C to U+001F.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The words between white space.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}
