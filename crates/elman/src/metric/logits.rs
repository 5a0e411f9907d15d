//! Softmax, sigmoid and argmax.

/// Probabilities of logits divided by a temperature, into `out`.
pub fn probabilities(logits: &[f32], temperature: f64, out: &mut Vec<f64>) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    out.clear();
    out.extend(logits.iter().map(|&z| (f64::from(z - highest) / temperature).exp()));
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|p| *p /= sum);
}

/// `1 / (1 + e^-x)`.
pub fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// The index of the largest of some values, ties: the first; 0 if empty.
pub fn argmax<F: PartialOrd + Copy>(values: &[F]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}
