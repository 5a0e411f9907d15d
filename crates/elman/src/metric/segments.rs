//! Segmental scores of a labelled sequence: they show the over-segmentation that frame accuracy hides.
//!
//! A segment is a run of equal labels. The edit score and F1@k are those of Lea, Reiter, Vidal & Hager, "Segmental
//! spatiotemporal CNNs for fine-grained action segmentation" (ECCV 2016) and Lea, Flynn, Vidal, Reiter & Hager,
//! "Temporal convolutional networks for action segmentation and detection" (CVPR 2017).

use std::ops::Range;

use serde_json::{Value, json};

/// IoU thresholds of F1, in percent.
pub const OVERLAPS: [u32; 3] = [10, 25, 50];

/// A run of equal labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The label.
    pub label: u32,
    /// The frames.
    pub frames: Range<usize>,
}

/// The segments of a label sequence, without those of `background`.
pub fn segments(labels: &[u32], background: Option<u32>) -> Vec<Segment> {
    let mut runs: Vec<Segment> = Vec::new();
    for (t, &label) in labels.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.label == label => run.frames.end = t + 1,
            _ => runs.push(Segment { label, frames: t..t + 1 }),
        }
    }
    runs.retain(|run| Some(run.label) != background);
    runs
}

/// Edit distance of two lists of segment labels (Levenshtein 1966).
fn edits(a: &[Segment], b: &[Segment]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x.label != y.label);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The segmental edit score, 0 to 100: 100 minus the edit distance of the segment labels in percent of the longer
/// list. 100 without segments.
pub fn edit_score(truth: &[u32], predicted: &[u32], background: Option<u32>) -> f64 {
    let (truth, predicted) = (segments(truth, background), segments(predicted, background));
    let longer = truth.len().max(predicted.len());
    if longer == 0 { 100.0 } else { 100.0 * (1.0 - edits(&truth, &predicted) as f64 / longer as f64) }
}

/// True positives, false positives and false negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Predicted segments matched to a true one of their label, each true one once.
    pub hits: u64,
    /// Unmatched predicted segments.
    pub false_alarms: u64,
    /// Unmatched true segments.
    pub misses: u64,
}

impl Overlap {
    /// F1 in percent; 100 without segments.
    pub fn f1(self) -> f64 {
        let whole = 2 * self.hits + self.false_alarms + self.misses;
        if whole == 0 { 100.0 } else { 200.0 * self.hits as f64 / whole as f64 }
    }
}

/// The overlap at `percent` of intersection over union: predicted segments, in order, match the true one of their
/// label with the largest IoU (ties: the earlier), if it reaches the threshold and is not yet matched.
pub fn overlap(truth: &[u32], predicted: &[u32], background: Option<u32>, percent: u32) -> Overlap {
    let truth = segments(truth, background);
    let mut hit = vec![false; truth.len()];
    let mut counts = Overlap::default();
    for run in segments(predicted, background) {
        // Intersection and union of the best so far; cross-multiplication compares ratios exactly.
        let mut best: Option<(usize, usize, usize)> = None;
        for (i, other) in truth.iter().enumerate().filter(|(_, other)| other.label == run.label) {
            let common = run.frames.end.min(other.frames.end).saturating_sub(run.frames.start.max(other.frames.start));
            let union = run.frames.len() + other.frames.len() - common;
            if best.is_none_or(|(_, c, u)| common * u > c * union) {
                best = Some((i, common, union));
            }
        }
        match best {
            Some((i, common, union)) if 100 * common >= percent as usize * union && common > 0 && !hit[i] => {
                hit[i] = true;
                counts.hits += 1;
            }
            _ => counts.false_alarms += 1,
        }
    }
    counts.misses = hit.iter().filter(|hit| !**hit).count() as u64;
    counts
}

/// The scores of a set of sequences: frames and segments are pooled, the edit score is the mean over
/// sequences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SegmentScores {
    background: Option<u32>,
    sequences: u64,
    frames: [u64; 2],
    foreground: [u64; 2],
    edit: f64,
    overlaps: [Overlap; OVERLAPS.len()],
}

impl SegmentScores {
    /// No sequences yet. Segments of `background` are left out, and its frames from the foreground accuracy.
    pub fn new(background: Option<u32>) -> Self {
        SegmentScores { background, ..SegmentScores::default() }
    }

    /// Counts one sequence; both `[T]`.
    ///
    /// # Panics
    /// If the sequences differ in length.
    pub fn add(&mut self, truth: &[u32], predicted: &[u32]) {
        assert_eq!(truth.len(), predicted.len(), "a label for each frame");
        self.sequences += 1;
        for (t, p) in truth.iter().zip(predicted) {
            let right = u64::from(t == p);
            self.frames = [self.frames[0] + right, self.frames[1] + 1];
            if Some(*t) != self.background {
                self.foreground = [self.foreground[0] + right, self.foreground[1] + 1];
            }
        }
        self.edit += edit_score(truth, predicted, self.background);
        for (sum, percent) in self.overlaps.iter_mut().zip(OVERLAPS) {
            let counts = overlap(truth, predicted, self.background, percent);
            sum.hits += counts.hits;
            sum.false_alarms += counts.false_alarms;
            sum.misses += counts.misses;
        }
    }

    /// Frame accuracy; 0 without frames.
    pub fn accuracy(&self) -> f64 {
        self.frames[0] as f64 / self.frames[1].max(1) as f64
    }

    /// Accuracy over the frames whose truth is not background; 0 if there are none.
    pub fn foreground_accuracy(&self) -> f64 {
        self.foreground[0] as f64 / self.foreground[1].max(1) as f64
    }

    /// The mean edit score, 0 to 100; 0 without sequences.
    pub fn edit(&self) -> f64 {
        self.edit / self.sequences.max(1) as f64
    }

    /// F1 in percent at each of [`OVERLAPS`], segments pooled over all sequences.
    pub fn f1(&self) -> [f64; OVERLAPS.len()] {
        self.overlaps.map(Overlap::f1)
    }

    /// All scores.
    pub fn to_json(&self) -> Value {
        let [f1_10, f1_25, f1_50] = self.f1();
        json!({
            "sequences": self.sequences, "frames": self.frames[1], "accuracy": self.accuracy(),
            "foreground_accuracy": self.foreground_accuracy(), "edit": self.edit(),
            "f1@10": f1_10, "f1@25": f1_25, "f1@50": f1_50,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(runs: &[(u32, usize)]) -> Vec<u32> {
        runs.iter().flat_map(|&(label, n)| std::iter::repeat_n(label, n)).collect()
    }

    #[test]
    fn segments_are_found_and_background_is_left_out() {
        let sequence = labels(&[(0, 2), (3, 1), (0, 1), (5, 4)]);
        let all = segments(&sequence, None);
        assert_eq!(all.len(), 4);
        let found = segments(&sequence, Some(0));
        assert_eq!(found, [Segment { label: 3, frames: 2..3 }, Segment { label: 5, frames: 4..8 }]);
        assert_eq!(segments(&[], None), []);
    }

    #[test]
    fn edit_distance_counts_segments_of_any_length() {
        let truth = labels(&[(0, 5), (1, 5), (2, 5)]);
        assert_eq!(edit_score(&truth, &labels(&[(0, 9), (1, 1), (2, 5)]), None), 100.0);
        // One segment missing of three; one too many makes the longer list four.
        assert!((edit_score(&truth, &labels(&[(0, 10), (2, 5)]), None) - 100.0 * 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(edit_score(&truth, &labels(&[(0, 5), (1, 4), (3, 1), (2, 5)]), None), 75.0);
        assert_eq!(edit_score(&truth, &labels(&[(4, 5), (5, 10)]), None), 0.0);
        assert_eq!(edit_score(&[7, 7], &[7, 7], Some(7)), 100.0);
        assert_eq!(edit_score(&[7, 7], &[7, 1], Some(7)), 0.0);
    }

    #[test]
    fn a_true_segment_is_matched_once_and_only_by_enough_overlap() {
        let truth = labels(&[(1, 10), (0, 10)]);
        // The first half of segment 1 only: intersection 5 of union 10.
        let half = labels(&[(1, 5), (0, 15)]);
        assert_eq!(overlap(&truth, &half, None, 50), Overlap { hits: 2, false_alarms: 0, misses: 0 });
        assert_eq!(overlap(&truth, &half, None, 51), Overlap { hits: 1, false_alarms: 1, misses: 1 });
        assert_eq!(overlap(&truth, &half, Some(0), 51), Overlap { hits: 0, false_alarms: 1, misses: 1 });
        // Over-segmentation: two parts of one segment, one of them a false alarm.
        let stutter = labels(&[(1, 5), (0, 1), (1, 4), (0, 10)]);
        assert_eq!(overlap(&truth, &stutter, Some(0), 25), Overlap { hits: 1, false_alarms: 1, misses: 0 });
        // A segment of the right label elsewhere matches nothing, even at 0 percent.
        let apart = labels(&[(0, 15), (1, 5)]);
        assert_eq!(overlap(&truth, &apart, Some(0), 0), Overlap { hits: 0, false_alarms: 1, misses: 1 });
        assert_eq!(Overlap::default().f1(), 100.0);
        assert!((Overlap { hits: 1, false_alarms: 1, misses: 0 }.f1() - 200.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn scores_pool_frames_and_segments_and_average_edit_scores() {
        let mut scores = SegmentScores::new(Some(0));
        assert_eq!((scores.accuracy(), scores.edit(), scores.foreground_accuracy()), (0.0, 0.0, 0.0));
        scores.add(&labels(&[(0, 4), (1, 4)]), &labels(&[(0, 3), (1, 5)]));
        scores.add(&labels(&[(2, 2)]), &labels(&[(3, 2)]));
        assert_eq!(scores.accuracy(), 0.7);
        assert!((scores.foreground_accuracy() - 4.0 / 6.0).abs() < 1e-15);
        assert_eq!(scores.edit(), 50.0);
        assert_eq!(scores.f1(), [50.0; 3]);
        assert_eq!(scores.to_json()["f1@50"], 50.0);
    }
}
