//! What a person looks at before training: statistics of a text, or of labelled examples.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::Vocab;

/// Tokens of the pieces whose repetition is counted.
const PIECE: usize = 50;

/// What a person looks at before training on labelled examples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataStatistics {
    /// Targets of each class, in training and validation; none of numbers.
    pub classes: Vec<(String, [usize; 2])>,
    /// The shortest, the median, the 90th percentile and the longest training example; in steps.
    pub steps: [usize; 4],
    /// Training examples that occur before in training.
    pub repeated: usize,
    /// Training examples that occur before with another label.
    pub contradictory: usize,
    /// Validation examples that occur in training.
    pub overlap: usize,
    /// Validation examples.
    pub held_out: usize,
}

/// What a person looks at before training on a text.
#[derive(Clone, Debug, PartialEq)]
pub struct TextStatistics {
    /// Bytes of the text.
    pub bytes: usize,
    /// Lines.
    pub lines: usize,
    /// Bytes of the longest line.
    pub longest_line: usize,
    /// Lines of white space only.
    pub empty_lines: usize,
    /// Other lines that occur before.
    pub duplicate_lines: usize,
    /// Whether it begins with a byte-order mark.
    pub has_bom: bool,
    /// Lines that end in CR LF.
    pub crlf_lines: usize,
    /// Control characters.
    pub control: usize,
    /// What a token is: `character` or `byte`.
    pub unit: &'static str,
    /// Training and validation tokens.
    pub tokens: [usize; 2],
    /// Tokens with their counts, the most frequent first.
    pub frequencies: Vec<(String, usize)>,
    /// Unigram entropy in nats.
    pub entropy_nats: f64,
    /// Share of the validation text that also occurs in the training text.
    pub overlap: f64,
    /// Updates in an epoch.
    pub updates: usize,
}

/// What is counted of an example.
pub(crate) struct Described<T> {
    pub steps: usize,
    /// A hash of what is read.
    pub content: u64,
    /// What is right for it.
    pub target: T,
}

impl DataStatistics {
    /// Of training and validation examples; `classes` are those of a target by their number, and `names` their names.
    pub(crate) fn of<'a, T: PartialEq>(
        names: &[String],
        train: &'a [Described<T>],
        val: &'a [Described<T>],
        classes_of: impl Fn(&'a T) -> &'a [u32],
    ) -> DataStatistics {
        let mut classes: Vec<(String, [usize; 2])> = names.iter().map(|name| (name.clone(), [0; 2])).collect();
        for (part, examples) in [train, val].into_iter().enumerate() {
            for &class in examples.iter().flat_map(|example| classes_of(&example.target)) {
                // A step without a label has none.
                if let Some((_, counts)) = classes.get_mut(class as usize) {
                    counts[part] += 1;
                }
            }
        }
        let mut steps: Vec<usize> = train.iter().map(|example| example.steps).collect();
        steps.sort_unstable();
        let at = |share: f64| steps.get((share * steps.len().saturating_sub(1) as f64) as usize).copied().unwrap_or(0);
        let mut first: HashMap<u64, &T> = HashMap::new();
        let (mut repeated, mut contradictory) = (0, 0);
        for example in train {
            match first.entry(example.content) {
                Entry::Vacant(place) => _ = place.insert(&example.target),
                Entry::Occupied(before) => {
                    repeated += 1;
                    contradictory += usize::from(**before.get() != example.target);
                }
            }
        }
        let overlap = val.iter().filter(|example| first.contains_key(&example.content)).count();
        let steps = [at(0.0), at(0.5), at(0.9), at(1.0)];
        DataStatistics { classes, steps, repeated, contradictory, overlap, held_out: val.len() }
    }
}

impl TextStatistics {
    /// Of a text, and of its training and validation tokens; an epoch has so many `updates`.
    pub(crate) fn of(text: &[u8], vocab: &Vocab, [train, val]: [&[u32]; 2], updates: usize) -> TextStatistics {
        let lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
        let lines = if lines.last().is_some_and(|line| line.is_empty()) { &lines[..lines.len() - 1] } else { &lines };
        let full: Vec<&&[u8]> = lines.iter().filter(|line| !line.trim_ascii().is_empty()).collect();
        let distinct: HashSet<&&[u8]> = full.iter().copied().collect();
        let mut counts = vec![0usize; vocab.len()];
        train.iter().chain(val).for_each(|&token| counts[token as usize] += 1);
        let total: usize = counts.iter().sum();
        let share = |n: usize| n as f64 / total.max(1) as f64;
        let entropy_nats = counts.iter().filter(|n| **n > 0).map(|&n| -share(n) * share(n).ln()).sum();
        let mut frequencies: Vec<(String, usize)> =
            counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, &n)| (vocab.name(i as u32), n)).collect();
        frequencies.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        TextStatistics {
            bytes: text.len(),
            lines: lines.len(),
            longest_line: lines.iter().map(|line| line.len()).max().unwrap_or(0),
            empty_lines: lines.len() - full.len(),
            duplicate_lines: full.len() - distinct.len(),
            has_bom: text.starts_with(b"\xef\xbb\xbf"),
            crlf_lines: lines.iter().filter(|line| line.ends_with(b"\r")).count(),
            control: text.iter().filter(|b| b.is_ascii_control() && !b"\n\r\t".contains(b)).count(),
            unit: vocab.unit(),
            tokens: [train.len(), val.len()],
            frequencies,
            entropy_nats,
            overlap: overlap(train, val),
            updates,
        }
    }
}

/// The share of the pieces of some tokens that also occur in others.
fn overlap(train: &[u32], val: &[u32]) -> f64 {
    if val.len() < PIECE || train.len() < PIECE {
        return 0.0;
    }
    let wanted: Vec<&[u32]> = val.chunks_exact(PIECE).collect();
    let mut found: HashMap<&[u32], bool> = wanted.iter().map(|piece| (*piece, false)).collect();
    for piece in train.windows(PIECE) {
        if let Some(found) = found.get_mut(piece) {
            *found = true;
        }
    }
    wanted.iter().filter(|piece| found[**piece]).count() as f64 / wanted.len() as f64
}
