//! Calibration of probabilities: expected calibration error and temperature scaling.

use crate::error::{Error, Result};

/// Range of [`fit_temperature`]. Outside it the predictions are all right (or all wrong), with optimum 0 (or infinity).
const TEMPERATURES: (f64, f64) = (0.01, 100.0);

/// The expected calibration error (Naeini et al. 2015): predictions fall into `bins` equal-width bins `(lower, upper]`
/// of confidence; the mean over predictions of the gap between their bin's mean confidence and accuracy. `confidence`
/// `[N]` is the probability of the predicted class. 0 without predictions.
///
/// # Errors
/// For lists of different length, no bins, or a confidence outside 0 to 1.
pub fn expected_calibration_error(confidence: &[f64], correct: &[bool], bins: usize) -> Result<f64> {
    let inside = confidence.iter().all(|c| (0.0..=1.0).contains(c));
    if confidence.len() != correct.len() || bins == 0 || !inside {
        let reason = "calibration: needs a confidence from 0 to 1 for each prediction, and at least one bin";
        return Err(Error::Usage(reason.to_string()));
    }
    let mut sums = vec![(0.0, 0.0); bins];
    for (&c, &right) in confidence.iter().zip(correct) {
        let bin = ((c * bins as f64).ceil() as usize).clamp(1, bins) - 1;
        sums[bin] = (sums[bin].0 + c, sums[bin].1 + f64::from(u8::from(right)));
    }
    let gaps: f64 = sums.iter().map(|(confidence, right)| (confidence - right).abs()).sum();
    Ok(gaps / confidence.len().max(1) as f64)
}

/// Log-likelihood's slope and curvature in `beta = 1 / temperature`: over examples, the mean of
/// `E_p[z] - z_target` and of `Var_p[z]`, with `p = softmax(beta z)`.
fn slope(logits: &[f64], classes: usize, targets: &[u32], beta: f64) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (z, &target) in logits.chunks(classes).zip(targets) {
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
        for &z in z {
            let (p, z) = ((beta * (z - top)).exp(), z - top);
            (sum, mean, square) = (sum + p, mean + p * z, square + p * z * z);
        }
        let mean = mean / sum;
        slope += mean - (z[target as usize] - top);
        curvature += square / sum - mean * mean;
    }
    (slope / targets.len() as f64, curvature / targets.len() as f64)
}

/// The temperature that, dividing the logits `[N, classes]`, maximises the likelihood of the targets `[N]` (Guo et al.
/// 2017), between 0.01 and 100; 1 without examples. The loss is convex in 1 / temperature: Newton's method within a
/// shrinking bracket.
///
/// # Errors
/// If the sizes do not match, a target is not a class, or a logit is not finite.
pub fn fit_temperature(logits: &[f64], classes: usize, targets: &[u32]) -> Result<f64> {
    let sized = classes.checked_mul(targets.len()) == Some(logits.len());
    if !sized || targets.iter().any(|&t| t as usize >= classes) || logits.iter().any(|z| !z.is_finite()) {
        let reason = "temperature: needs finite logits [N, classes] and a target below `classes` for each of the N";
        return Err(Error::Usage(reason.to_string()));
    }
    if targets.is_empty() {
        return Ok(1.0);
    }
    let (mut low, mut high) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
    if slope(logits, classes, targets, low).0 >= 0.0 {
        return Ok(1.0 / low);
    }
    if slope(logits, classes, targets, high).0 <= 0.0 {
        return Ok(1.0 / high);
    }
    let mut beta = 1.0;
    for _ in 0..100 {
        let (slope, curvature) = slope(logits, classes, targets, beta);
        if slope > 0.0 {
            high = beta
        } else {
            low = beta
        }
        let newton = beta - slope / curvature;
        // Geometric bisection: 0.01 and 100 are equally far from 1.
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        if (next - beta).abs() <= 1e-12 * beta {
            return Ok(1.0 / next);
        }
        beta = next;
    }
    Ok(1.0 / beta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn nll(logits: &[f64], classes: usize, targets: &[u32], temperature: f64) -> f64 {
        let loss = logits.chunks(classes).zip(targets).map(|(z, &target)| {
            let sum: f64 = z.iter().map(|z| (z / temperature).exp()).sum();
            sum.ln() - z[target as usize] / temperature
        });
        loss.sum()
    }

    /// Logits of `classes`, and targets drawn from their softmax at `temperature`.
    fn drawn(n: usize, classes: usize, temperature: f64) -> (Vec<f64>, Vec<u32>) {
        let mut rng = Rng::new(5, "test");
        let logits: Vec<f64> = (0..n * classes).map(|_| 2.0 * rng.normal()).collect();
        let targets = logits.chunks(classes).map(|z| {
            let weights: Vec<f64> = z.iter().map(|z| (z / temperature).exp()).collect();
            let mut at = rng.uniform() * weights.iter().sum::<f64>();
            let passed = |w: &f64| {
                at -= w;
                at < 0.0
            };
            weights.iter().position(passed).unwrap_or(0) as u32
        });
        let targets = targets.collect();
        (logits, targets)
    }

    #[test]
    fn the_temperature_of_the_sampled_targets_is_recovered() {
        for truth in [0.4, 1.0, 3.0] {
            let (logits, targets) = drawn(20_000, 5, truth);
            let got = fit_temperature(&logits, 5, &targets).unwrap();
            assert!((got / truth - 1.0).abs() < 0.05, "{got} for {truth}");
            let best = nll(&logits, 5, &targets, got);
            for other in [0.999, 1.001] {
                assert!(nll(&logits, 5, &targets, got * other) > best);
            }
        }
    }

    #[test]
    fn targets_that_are_all_right_or_wrong_end_at_the_bounds() {
        let logits = [3.0, 1.0, 2.0, 4.0];
        assert!((fit_temperature(&logits, 2, &[0, 1]).unwrap() - 0.01).abs() < 1e-9);
        assert!((fit_temperature(&logits, 2, &[1, 0]).unwrap() - 100.0).abs() < 1e-9);
        assert_eq!(fit_temperature(&[], 4, &[]).unwrap(), 1.0);
        assert!(fit_temperature(&logits, 2, &[2, 0]).is_err());
        assert!(fit_temperature(&logits, 3, &[1, 0]).is_err());
        assert!(fit_temperature(&[f64::NAN, 1.0], 2, &[0]).is_err());
        // Equal logits: the temperature has no effect.
        assert!(fit_temperature(&[1.0, 1.0], 2, &[0]).unwrap().is_finite());
    }

    #[test]
    fn calibration_error_is_0_if_calibrated_else_the_overconfidence() {
        let correct: Vec<bool> = (0..100).map(|i| i % 4 != 0).collect();
        assert!(expected_calibration_error(&[0.75; 100], &correct, 15).unwrap() < 1e-12);
        let boast = expected_calibration_error(&[1.0; 100], &correct, 15).unwrap();
        assert!((boast - 0.25).abs() < 1e-12);
        // Bins whose gaps cancel in the mean do not cancel in the error.
        let split: Vec<f64> = (0..100).map(|i| if i % 4 == 0 { 0.9 } else { 0.2 }).collect();
        let want = 0.25 * 0.9 + 0.75 * 0.8;
        assert!((expected_calibration_error(&split, &correct, 10).unwrap() - want).abs() < 1e-12);
        assert_eq!(expected_calibration_error(&[], &[], 10).unwrap(), 0.0);
        assert!(expected_calibration_error(&[1.1], &[true], 10).is_err());
        assert!(expected_calibration_error(&[0.0], &[true], 0).is_err());
    }
}
