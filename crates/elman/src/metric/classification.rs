//! The confusion matrix of a classifier and the scores derived from it.

use serde_json::{Value, json};

/// Width of class names in the table.
const NAME_WIDTH: usize = 14;
/// From this many classes on, the table omits the matrix, whose rows would no longer fit a screen.
const MATRIX_CLASSES: usize = 12;

/// Counts of (truth, prediction), `[C, C]`, and the scores derived from them.
///
/// ```
/// use elman::metric::Confusion;
///
/// let mut confusion = Confusion::new(2);
/// for (truth, predicted) in [(0, 0), (0, 1), (1, 1), (1, 1)] {
///     confusion.add(truth, predicted);
/// }
/// assert_eq!(confusion.accuracy(), 0.75);
/// assert_eq!(confusion.class(1).recall, 1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

/// The scores of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClassScores {
    /// Precision; 0 if the class was never predicted.
    pub precision: f64,
    /// Recall; 0 if the class does not occur.
    pub recall: f64,
    /// F1, their harmonic mean: `2 TP / (2 TP + FP + FN)`, 0 if the class neither occurs nor is predicted.
    pub f1: f64,
    /// Examples of this class.
    pub support: u64,
    /// Examples predicted as this class.
    pub predicted: u64,
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Confusion {
    /// An empty matrix of this many classes.
    pub fn new(classes: usize) -> Self {
        Confusion { classes, counts: vec![0; classes * classes] }
    }

    /// Counts one example.
    ///
    /// # Panics
    /// If one of the classes is not below [`Confusion::classes`].
    pub fn add(&mut self, truth: usize, predicted: usize) {
        let c = self.classes;
        assert!(truth < c && predicted < c, "classes {truth} and {predicted} of {c}");
        self.counts[truth * c + predicted] += 1;
    }

    /// Adds the counts of another matrix of the same classes.
    ///
    /// # Panics
    /// If the matrices differ in size.
    pub fn merge(&mut self, other: &Confusion) {
        assert_eq!(self.classes, other.classes, "matrices of different classes");
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Examples of class `truth` predicted as `predicted`; 0 for unknown classes.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        let inside = truth < self.classes && predicted < self.classes;
        if inside { self.counts[truth * self.classes + predicted] } else { 0 }
    }

    /// Examples counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Correctly classified examples.
    pub fn correct(&self) -> u64 {
        (0..self.classes).map(|k| self.count(k, k)).sum()
    }

    /// Share of correctly classified examples; 0 without examples.
    pub fn accuracy(&self) -> f64 {
        share(self.correct(), self.total())
    }

    /// The scores of class `k`.
    pub fn class(&self, k: usize) -> ClassScores {
        let hits = self.count(k, k);
        let support = (0..self.classes).map(|p| self.count(k, p)).sum();
        let predicted = (0..self.classes).map(|t| self.count(t, k)).sum();
        ClassScores {
            precision: share(hits, predicted),
            recall: share(hits, support),
            f1: share(2 * hits, support + predicted),
            support,
            predicted,
        }
    }

    /// The mean F1 of the classes that occur, as truth or as prediction; 0 if none does.
    pub fn macro_f1(&self) -> f64 {
        let scores = (0..self.classes).map(|k| self.class(k)).filter(|s| s.support + s.predicted > 0);
        let (n, sum) = scores.fold((0u32, 0.0), |(n, sum), s| (n + 1, sum + s.f1));
        if n == 0 { 0.0 } else { sum / f64::from(n) }
    }

    /// The mean recall of the classes that occur as truth (balanced accuracy); 0 if none does.
    pub fn balanced_accuracy(&self) -> f64 {
        let scores = (0..self.classes).map(|k| self.class(k)).filter(|s| s.support > 0);
        let (n, sum) = scores.fold((0u32, 0.0), |(n, sum), s| (n + 1, sum + s.recall));
        if n == 0 { 0.0 } else { sum / f64::from(n) }
    }

    /// All counts and scores. An unnamed class is called by its number.
    pub fn to_json(&self, names: &[String]) -> Value {
        let classes = (0..self.classes).map(|k| {
            let s = self.class(k);
            json!({
                "class": name(names, k), "precision": s.precision, "recall": s.recall, "f1": s.f1,
                "support": s.support, "predicted": s.predicted,
            })
        });
        json!({
            "examples": self.total(),
            "accuracy": self.accuracy(),
            "balanced_accuracy": self.balanced_accuracy(),
            "macro_f1": self.macro_f1(),
            "classes": classes.collect::<Vec<_>>(),
            // Rows are the truth, columns the prediction.
            "confusion": self.counts.chunks(self.classes.max(1)).collect::<Vec<_>>(),
        })
    }

    /// A printable table: the scores of each class and, for few classes, the matrix, rows the truth. Names are
    /// truncated.
    pub fn table(&self, names: &[String]) -> String {
        let mut text =
            format!("{:<NAME_WIDTH$} {:>9} {:>7} {:>7} {:>9}\n", "class", "precision", "recall", "F1", "examples");
        for k in 0..self.classes {
            let s = self.class(k);
            let row = [s.precision, s.recall, s.f1].map(|share| format!("{:.2}", 100.0 * share));
            let [precision, recall, f1] = row;
            text +=
                &format!("{} {precision:>9} {recall:>7} {f1:>7} {:>9}\n", cut(&name(names, k), NAME_WIDTH), s.support);
        }
        if self.classes < 2 || self.classes > MATRIX_CLASSES {
            return text;
        }
        let widest = self.counts.iter().max().map_or(1, |n| n.to_string().len());
        let width = widest.max(5);
        let head = (0..self.classes).map(|k| format!(" {}", right(&name(names, k), width))).collect::<String>();
        text += &format!("\n{:<NAME_WIDTH$}{head}   predicted\n", "truth");
        for t in 0..self.classes {
            let row = (0..self.classes).map(|p| format!(" {:>width$}", self.count(t, p))).collect::<String>();
            text += &format!("{}{row}\n", cut(&name(names, t), NAME_WIDTH));
        }
        text
    }
}

fn name(names: &[String], k: usize) -> String {
    names.get(k).cloned().unwrap_or_else(|| k.to_string())
}

/// The name in exactly `width` characters: padded, or truncated with `…`; control characters are replaced.
fn cut(name: &str, width: usize) -> String {
    let clean = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    let length = name.chars().count();
    if length <= width {
        clean.chain(std::iter::repeat_n(' ', width - length)).collect()
    } else {
        clean.take(width.saturating_sub(1)).chain(['…']).collect()
    }
}

fn right(name: &str, width: usize) -> String {
    let cut = cut(name, width);
    format!("{:>width$}", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Confusion {
        let mut confusion = Confusion::new(4);
        for (truth, predicted, times) in [(0, 0, 5), (0, 1, 1), (1, 1, 2), (1, 0, 2), (3, 0, 1)] {
            (0..times).for_each(|_| confusion.add(truth, predicted));
        }
        confusion
    }

    #[test]
    fn scores_follow_from_the_counts() {
        let confusion = matrix();
        assert_eq!((confusion.total(), confusion.correct()), (11, 7));
        let first = confusion.class(0);
        assert_eq!((first.precision, first.recall, first.support, first.predicted), (5.0 / 8.0, 5.0 / 6.0, 6, 8));
        assert!((first.f1 - 10.0 / 14.0).abs() < 1e-15);
        // Class 2 does not occur and is ignored; class 3 was never predicted and counts.
        assert_eq!(confusion.class(2), ClassScores::default());
        let f1 = (10.0 / 14.0 + 4.0 / 7.0 + 0.0) / 3.0;
        assert!((confusion.macro_f1() - f1).abs() < 1e-15);
        assert!((confusion.balanced_accuracy() - (5.0 / 6.0 + 0.5 + 0.0) / 3.0).abs() < 1e-15);
        let empty = Confusion::new(3);
        assert_eq!((empty.accuracy(), empty.macro_f1(), empty.balanced_accuracy()), (0.0, 0.0, 0.0));
    }

    #[test]
    fn merged_matrices_equal_the_whole() {
        let (mut a, mut b, mut whole) = (Confusion::new(3), Confusion::new(3), Confusion::new(3));
        for i in 0..30 {
            let (truth, predicted) = (i % 3, i * i % 3);
            if i < 11 {
                a.add(truth, predicted)
            } else {
                b.add(truth, predicted)
            }
            whole.add(truth, predicted);
        }
        a.merge(&b);
        assert_eq!(a, whole);
    }

    #[test]
    fn table_columns_align_for_any_names() {
        let names = ["a class with a long name", "näm\té", "短い"].map(String::from);
        let text = matrix().table(&names);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("a class with … "), "{text}");
        assert!(!text.contains('\t'), "{text}");
        let widths: Vec<usize> = lines[..5].iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|&w| w == widths[0]), "{text}");
        assert!(lines[5].is_empty() && lines.len() == 11, "{text}");
        assert!(lines[7].ends_with("     5     1     0     0"), "{text}");
        assert_eq!(Confusion::new(30).table(&[]).lines().count(), 31);
        assert_eq!(Confusion::new(0).table(&[]).lines().count(), 1);
    }

    #[test]
    fn json_holds_every_count() {
        let value = matrix().to_json(&["x".to_string()]);
        assert_eq!(value["confusion"][1][0], 2);
        assert_eq!(value["classes"][0]["class"], "x");
        assert_eq!(value["classes"][3]["class"], "3");
        assert_eq!(value["accuracy"], 7.0 / 11.0);
    }
}
