//! Threshold-free metrics of a binary classifier.

/// A point of the ROC and precision-recall curves: scores of at least `threshold` are predicted positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// The threshold; infinite for the first point.
    pub threshold: f64,
    /// True positives.
    pub true_positives: u64,
    /// False positives.
    pub false_positives: u64,
    /// False positives over negatives.
    pub false_positive_rate: f64,
    /// True positives over positives: the recall.
    pub true_positive_rate: f64,
    /// Precision; 1 if nothing is predicted positive.
    pub precision: f64,
}

/// Positives and negatives at each distinct score, from the highest down; `None` without both classes, with a NaN
/// score, or with lists of different length.
fn steps(scores: &[f64], truths: &[bool]) -> Option<Vec<(f64, u64, u64)>> {
    let both = truths.contains(&true) && truths.contains(&false);
    if !both || scores.len() != truths.len() || scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(truths.iter().copied()).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut steps: Vec<(f64, u64, u64)> = Vec::new();
    for (score, truth) in order {
        match steps.last_mut() {
            // 0 and -0 are equal scores.
            Some(last) if last.0 == score => (last.1, last.2) = (last.1 + u64::from(truth), last.2 + u64::from(!truth)),
            _ => steps.push((score, u64::from(truth), u64::from(!truth))),
        }
    }
    Some(steps)
}

/// The area under the ROC curve: the probability that a positive scores higher than a negative, ties
/// counted half (Hanley & McNeil 1982). `None` if undefined: without both classes, or with a NaN.
pub fn roc_auc(scores: &[f64], truths: &[bool]) -> Option<f64> {
    let steps = steps(scores, truths)?;
    let (mut positives, mut negatives, mut twice_area) = (0u64, 0u64, 0u128);
    for (_, p, n) in steps {
        twice_area += u128::from(n) * u128::from(2 * positives + p);
        (positives, negatives) = (positives + p, negatives + n);
    }
    Some(twice_area as f64 / 2.0 / (positives as f64 * negatives as f64))
}

/// Average precision: the precision at each threshold, weighted by the recall it adds (no interpolation). `None` if
/// undefined, as for [`roc_auc`].
pub fn average_precision(scores: &[f64], truths: &[bool]) -> Option<f64> {
    let steps = steps(scores, truths)?;
    let total: u64 = steps.iter().map(|step| step.1).sum();
    let (mut positives, mut called, mut sum) = (0u64, 0u64, 0.0);
    for (_, p, n) in steps {
        (positives, called) = (positives + p, called + p + n);
        sum += p as f64 * (positives as f64 / called as f64);
    }
    Some(sum / total as f64)
}

/// The points of both curves, from nothing predicted positive to everything, one per distinct score. `None` if
/// undefined, as for [`roc_auc`].
pub fn curve(scores: &[f64], truths: &[bool]) -> Option<Vec<CurvePoint>> {
    let steps = steps(scores, truths)?;
    let total = steps.iter().fold((0, 0), |(p, n), step| (p + step.1, n + step.2));
    let (mut true_positives, mut false_positives) = (0, 0);
    let nothing = [(f64::INFINITY, 0, 0)];
    let point = |&(threshold, p, n): &(f64, u64, u64)| {
        (true_positives, false_positives) = (true_positives + p, false_positives + n);
        let called = true_positives + false_positives;
        CurvePoint {
            threshold,
            true_positives,
            false_positives,
            false_positive_rate: false_positives as f64 / total.1 as f64,
            true_positive_rate: true_positives as f64 / total.0 as f64,
            precision: if called == 0 { 1.0 } else { true_positives as f64 / called as f64 },
        }
    };
    Some(nothing.iter().chain(&steps).map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn the_area_is_the_share_of_ordered_pairs_and_that_under_the_curve() {
        let mut rng = Rng::new(1, "test");
        let truths: Vec<bool> = (0..200).map(|_| rng.uniform() < 0.3).collect();
        // Coarse scores: many ties.
        let scores: Vec<f64> = truths.iter().map(|&t| (rng.normal() + f64::from(u8::from(t))).round()).collect();
        let (mut pairs, mut ordered) = (0.0, 0.0);
        for i in (0..200).filter(|&i| truths[i]) {
            for j in (0..200).filter(|&j| !truths[j]) {
                pairs += 1.0;
                ordered += if scores[i] > scores[j] {
                    1.0
                } else if scores[i] == scores[j] {
                    0.5
                } else {
                    0.0
                };
            }
        }
        let area = roc_auc(&scores, &truths).unwrap();
        assert!((area - ordered / pairs).abs() < 1e-12, "{area}");
        let points = curve(&scores, &truths).unwrap();
        let trapezia = points.windows(2).map(|p| {
            let width = p[1].false_positive_rate - p[0].false_positive_rate;
            width * (p[0].true_positive_rate + p[1].true_positive_rate) / 2.0
        });
        assert!((trapezia.sum::<f64>() - area).abs() < 1e-12);
        let last = points[points.len() - 1];
        assert_eq!((last.false_positive_rate, last.true_positive_rate), (1.0, 1.0));
    }

    #[test]
    fn auc_is_1_if_ordered_0_if_reversed_a_half_if_tied() {
        let truths = [false, false, true, true];
        assert_eq!(roc_auc(&[0.1, 0.2, 0.3, 0.4], &truths), Some(1.0));
        assert_eq!(roc_auc(&[0.4, 0.3, 0.2, 0.1], &truths), Some(0.0));
        assert_eq!(roc_auc(&[0.0, -0.0, 0.0, -0.0], &truths), Some(0.5));
        assert_eq!(average_precision(&[0.1, 0.2, 0.3, 0.4], &truths), Some(1.0));
        assert_eq!(average_precision(&[7.0; 4], &truths), Some(0.5));
    }

    #[test]
    fn the_curve_matches_one_counted_by_hand() {
        // From the highest score: positive, then a positive and a negative at one score, negative, positive.
        let points = curve(&[0.5, 0.9, 0.2, 0.5, 0.1], &[true, true, false, false, true]).unwrap();
        let found = points.iter().map(|p| {
            (p.threshold, p.true_positives, p.false_positives, p.false_positive_rate, p.true_positive_rate, p.precision)
        });
        let want = [
            (f64::INFINITY, 0, 0, 0.0, 0.0, 1.0),
            (0.9, 1, 0, 0.0, 1.0 / 3.0, 1.0),
            (0.5, 2, 1, 0.5, 2.0 / 3.0, 2.0 / 3.0),
            (0.2, 2, 2, 1.0, 2.0 / 3.0, 0.5),
            (0.1, 3, 2, 1.0, 1.0, 0.6),
        ];
        assert_eq!(found.collect::<Vec<_>>(), want);
        // By the definitions: 1/3 * 1 + 1/3 * 2/3 + 1/3 * 3/5; pairs in order 1 + 1/2 + 1 + 1 of 6.
        let (scores, truths) = ([0.5, 0.9, 0.2, 0.5, 0.1], [true, true, false, false, true]);
        assert!((average_precision(&scores, &truths).unwrap() - 34.0 / 45.0).abs() < 1e-15);
        assert!((roc_auc(&scores, &truths).unwrap() - 3.5 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn without_both_classes_there_is_no_area() {
        assert_eq!(roc_auc(&[], &[]), None);
        assert_eq!(roc_auc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(roc_auc(&[1.0, f64::NAN], &[true, false]), None);
        assert_eq!(roc_auc(&[1.0], &[true, false]), None);
        assert_eq!((curve(&[], &[]), average_precision(&[], &[])), (None, None));
        assert!(roc_auc(&[f64::INFINITY, f64::NEG_INFINITY], &[true, false]) == Some(1.0));
    }
}
