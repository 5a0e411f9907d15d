//! Confidence intervals by bootstrap resampling over examples (Efron 1979), and paired for two systems (Koehn 2004).

use serde::Serialize;

use crate::rng::Rng;

/// A percentile interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The score of the original sample.
    pub score: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// Two systems compared on the same examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Paired {
    /// The first system.
    pub first: Interval,
    /// The second system.
    pub second: Interval,
    /// The second minus the first.
    pub difference: Interval,
    /// Two-sided p-value: the share of resamples whose difference deviates from the mean by at least the observed one,
    /// which is itself counted (as in sacreBLEU).
    pub p_value: f64,
}

/// The quantile at `share`, linearly interpolated.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

fn interval(score: f64, mut values: Vec<f64>, level: f64) -> Interval {
    if values.is_empty() {
        return Interval { score, low: score, high: score };
    }
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - level.clamp(0.0, 1.0)) / 2.0;
    Interval { score, low: percentile(&values, tail), high: percentile(&values, 1.0 - tail) }
}

fn draw(rng: &mut Rng, picked: &mut [usize]) {
    let n = picked.len();
    picked.iter_mut().for_each(|i| *i = rng.below(n));
}

/// The interval of `level` (0.95, say) around `score` of all `n` examples, from `resamples` draws of `n` examples with
/// replacement. `score` takes example indices; sums of counts (as [`super::BleuCounts`]) make it fast.
pub fn interval_of(n: usize, resamples: usize, level: f64, seed: u64, score: impl Fn(&[usize]) -> f64) -> Interval {
    let all: Vec<usize> = (0..n).collect();
    let observed = score(&all);
    if n == 0 {
        return interval(observed, Vec::new(), level);
    }
    let mut rng = Rng::new(seed, "bootstrap");
    let mut picked = all;
    let values = (0..resamples).map(|_| {
        draw(&mut rng, &mut picked);
        score(&picked)
    });
    let values = values.collect();
    interval(observed, values, level)
}

/// Two systems' scores on the same `n` examples: both use the same draws.
pub fn paired(
    n: usize,
    resamples: usize,
    level: f64,
    seed: u64,
    first: impl Fn(&[usize]) -> f64,
    second: impl Fn(&[usize]) -> f64,
) -> Paired {
    let mut picked: Vec<usize> = (0..n).collect();
    let (a, b) = (first(&picked), second(&picked));
    let mut rng = Rng::new(seed, "bootstrap");
    let (mut values_a, mut values_b) = (Vec::with_capacity(resamples), Vec::with_capacity(resamples));
    for _ in 0..if n == 0 { 0 } else { resamples } {
        draw(&mut rng, &mut picked);
        values_a.push(first(&picked));
        values_b.push(second(&picked));
    }
    let differences: Vec<f64> = values_a.iter().zip(&values_b).map(|(a, b)| b - a).collect();
    let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    let far = differences.iter().filter(|d| (*d - mean).abs() >= (b - a).abs()).count();
    Paired {
        first: interval(a, values_a, level),
        second: interval(b, values_b, level),
        p_value: (far + 1) as f64 / (differences.len() + 1) as f64,
        difference: interval(b - a, differences, level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[f64]) -> impl Fn(&[usize]) -> f64 {
        move |picked| picked.iter().map(|&i| values[i]).sum::<f64>() / picked.len() as f64
    }

    #[test]
    fn the_interval_of_a_mean_is_near_two_standard_errors() {
        let mut rng = Rng::new(2, "test");
        let values: Vec<f64> = (0..400).map(|_| 5.0 + 2.0 * rng.normal()).collect();
        let got = interval_of(400, 2000, 0.95, 1, mean(&values));
        let error = 1.96 * 2.0 / 20.0;
        assert!((got.high - got.low - 2.0 * error).abs() < 0.2 * error, "{got:?}");
        assert!(got.low < got.score && got.score < got.high);
        assert_eq!(got, interval_of(400, 2000, 0.95, 1, mean(&values)));
        assert_ne!(got, interval_of(400, 2000, 0.95, 2, mean(&values)));
        let narrow = interval_of(400, 2000, 0.5, 1, mean(&values));
        assert!(narrow.high - narrow.low < 0.5 * (got.high - got.low));
    }

    #[test]
    fn pairs_see_a_difference_that_the_two_intervals_hide() {
        let mut rng = Rng::new(3, "test");
        let first: Vec<f64> = (0..200).map(|_| 10.0 * rng.normal()).collect();
        let second: Vec<f64> = first.iter().map(|a| a + 0.2 + 0.5 * rng.normal()).collect();
        let got = paired(200, 1000, 0.95, 1, mean(&first), mean(&second));
        assert!(got.first.high > got.second.low, "{got:?}");
        assert!(got.difference.low > 0.0 && got.p_value < 0.01, "{got:?}");
        let same = paired(200, 1000, 0.95, 1, mean(&first), mean(&first));
        assert_eq!((same.difference.score, same.p_value), (0.0, 1.0));
    }

    #[test]
    fn no_examples_or_resamples_leave_the_score() {
        let none = interval_of(0, 100, 0.95, 1, |_| 7.0);
        assert_eq!((none.score, none.low, none.high), (7.0, 7.0, 7.0));
        assert_eq!(interval_of(3, 0, 0.95, 1, |_| 7.0).low, 7.0);
        assert_eq!(paired(0, 10, 0.95, 1, |_| 1.0, |_| 2.0).difference.score, 1.0);
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.75), 3.0);
    }
}
