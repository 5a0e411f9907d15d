//! Several labels an example, each of which holds or does not.

use super::logits::sigmoid;
use super::ranking;

/// The probability from which on a label is said to hold.
pub const HOLDS: f64 = 0.5;

/// The labels that hold by their logits, by number.
pub(crate) fn holding(logits: &[f32]) -> Vec<u32> {
    let holds = |(_, z): &(u32, &f32)| sigmoid(f64::from(**z)) >= HOLDS;
    (0..).zip(logits).filter(holds).map(|(label, _)| label).collect()
}

/// What is counted of a label.
#[derive(Clone, Default)]
struct Counted {
    true_positives: u64,
    false_positives: u64,
    false_negatives: u64,
    scores: Vec<f64>,
    truths: Vec<bool>,
}

impl Counted {
    /// F1; 0 where nothing holds and nothing was predicted, as scikit-learn has it.
    fn f1(&self) -> f64 {
        let twice = 2 * self.true_positives;
        twice as f64 / (twice + self.false_positives + self.false_negatives).max(1) as f64
    }
}

/// Metrics of predictions of so many labels, logits and the labels that hold: F1 over all pairs of example and label and its mean over labels, the share of
/// examples with all labels right, the mean of the labels' average precision, and the binary cross-entropy summed over labels.
pub(super) fn measures<'a>(
    predictions: impl Iterator<Item = (&'a [f32], &'a [u32])>,
    labels: usize,
) -> Vec<(&'static str, f64)> {
    let mut counted = vec![Counted::default(); labels];
    let (mut examples, mut exact, mut nats) = (0u64, 0u64, 0.0);
    for (outputs, truth) in predictions {
        let found = holding(outputs);
        examples += 1;
        exact += u64::from(found == truth);
        for (label, (counted, &z)) in (0..).zip(counted.iter_mut().zip(outputs)) {
            let (is_found, is_true) = (found.contains(&label), truth.contains(&label));
            counted.true_positives += u64::from(is_found && is_true);
            counted.false_positives += u64::from(is_found && !is_true);
            counted.false_negatives += u64::from(!is_found && is_true);
            let p = sigmoid(f64::from(z));
            nats -= if is_true { p } else { 1.0 - p }.max(f64::MIN_POSITIVE).ln();
            counted.scores.push(p);
            counted.truths.push(is_true);
        }
    }
    let sum = |of: fn(&Counted) -> u64| counted.iter().map(of).sum();
    let all = Counted {
        true_positives: sum(|one| one.true_positives),
        false_positives: sum(|one| one.false_positives),
        false_negatives: sum(|one| one.false_negatives),
        ..Counted::default()
    };
    let share = |part: f64, of: usize| part / of.max(1) as f64;
    let precisions: Vec<f64> =
        counted.iter().filter_map(|one| ranking::average_precision(&one.scores, &one.truths)).collect();
    vec![
        ("micro_f1", all.f1()),
        ("macro_f1", share(counted.iter().map(Counted::f1).sum(), labels)),
        ("subset_accuracy", share(exact as f64, examples as usize)),
        // Undefined where every label holds always or never.
        ("mean_average_precision", precisions.iter().sum::<f64>() / precisions.len() as f64),
        ("loss_nats", share(nats, examples as usize)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::evaluator::{Evaluator, Predicted, Truth};

    #[test]
    fn measures_of_labels_follow_their_definitions() {
        // Found: {0}, {1, 2}, {}; true: {0, 1}, {1, 2}, {2}.
        let outputs: [[f32; 3]; 3] = [[2.0, -1.0, -2.0], [-3.0, 0.0, 1.0], [-1.0, -2.0, -0.5]];
        let truths: [&[u32]; 3] = [&[0, 1], &[1, 2], &[2]];
        let predicted = || outputs.iter().zip(truths).map(|(z, t)| Predicted { outputs: z, truth: Truth::Labels(t) });
        let measures = Evaluator::Labels { labels: 3 }.evaluate(predicted());
        let get = |name: &str| measures.values.iter().find(|(n, _)| *n == name).unwrap().1;
        // 3 right, none too many, 2 missing.
        assert_eq!(get("micro_f1"), 6.0 / 8.0);
        assert!((get("macro_f1") - (1.0 + 2.0 / 3.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert_eq!(get("subset_accuracy"), 1.0 / 3.0);
        // Every true label scores above the others.
        assert_eq!(get("mean_average_precision"), 1.0);
        let p = |z: f32| 1.0 / (1.0 + (-f64::from(z)).exp());
        let mut nats = 0.0;
        for (row, truth) in outputs.iter().zip(truths) {
            for (label, z) in (0..).zip(row) {
                nats -= if truth.contains(&label) { p(*z) } else { 1.0 - p(*z) }.ln();
            }
        }
        assert!((get("loss_nats") - nats / 3.0).abs() < 1e-12);
        assert_eq!(measures.values[0].0, "micro_f1");
    }

    #[test]
    fn a_mean_of_no_average_precision_is_left_out_and_said() {
        let predicted = [Predicted { outputs: &[1.0, -1.0], truth: Truth::Labels(&[0]) }];
        let evaluation = Evaluator::Labels { labels: 2 }.evaluation(&predicted, &["a".into(), "b".into()]);
        assert!(evaluation.notes[0].starts_with("mean_average_precision is undefined"), "{:?}", evaluation.notes);
        assert_eq!(evaluation.measures[2].value, 1.0);
    }
}
