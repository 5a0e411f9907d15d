//! What single neurons respond to in a text (Karpathy, Johnson & Li 2015): the state is recorded at every token and
//! correlated with interpretable features, such as the position in the line or being inside quotes.

use elman_step::Network;

use crate::error::{Error, Result};

/// A numeric feature of each token of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// Its value after each token.
    pub values: Vec<f64>,
}

/// A neuron and its correlation with a feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Follower {
    /// The feature.
    pub feature: &'static str,
    /// Layer, from 0.
    pub layer: usize,
    /// Index of the neuron in the layer, from 0.
    pub neuron: usize,
    /// Pearson's correlation, from -1 to 1.
    pub correlation: f64,
}

/// Next tokens that are kept of each prediction.
pub const GUESSES: usize = 5;

/// The activations of every layer after each token.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// `[layer][token * H + neuron]`.
    layers: Vec<Vec<f32>>,
    /// `H` of each layer.
    widths: Vec<usize>,
    /// The likeliest next tokens after each token, and their probabilities.
    guesses: Vec<[(u32, f32); GUESSES]>,
}

impl Trace {
    /// Reads tokens from the zero state.
    ///
    /// # Errors
    /// If a token is not in the network's vocabulary.
    pub fn of(network: &mut Network, tokens: &[u32]) -> Result<Trace> {
        network.reset();
        let mut trace = Trace::default();
        for &token in tokens {
            let logits = network.step_token(token).map_err(|error| Error::Usage(error.to_string()))?;
            trace.guesses.push(likeliest(logits));
            let mut layer = 0;
            while let Some(hidden) = network.hidden(layer) {
                if trace.layers.len() == layer {
                    trace.layers.push(Vec::new());
                    trace.widths.push(hidden.len());
                }
                trace.layers[layer].extend_from_slice(hidden);
                layer += 1;
            }
        }
        Ok(trace)
    }

    /// The activation of one neuron after each token.
    pub fn neuron(&self, layer: usize, neuron: usize) -> Vec<f64> {
        let width = self.widths[layer];
        self.layers[layer].chunks_exact(width).map(|h| f64::from(h[neuron])).collect()
    }

    /// `H` of each layer.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The likeliest next tokens after each token, and their probabilities.
    pub fn guesses(&self) -> &[[(u32, f32); GUESSES]] {
        &self.guesses
    }

    /// For each feature that varies, the neuron with the strongest correlation, in decreasing order.
    pub fn followers(&self, features: &[Feature]) -> Vec<Follower> {
        let mut followers = Vec::new();
        for feature in features {
            let mut best: Option<Follower> = None;
            for (layer, &width) in self.widths.iter().enumerate() {
                for neuron in 0..width {
                    let Some(r) = correlation(&self.neuron(layer, neuron), &feature.values) else { continue };
                    if best.as_ref().is_none_or(|b| r.abs() > b.correlation.abs()) {
                        best = Some(Follower { feature: feature.name, layer, neuron, correlation: r });
                    }
                }
            }
            followers.extend(best);
        }
        followers.sort_by(|a, b| b.correlation.abs().total_cmp(&a.correlation.abs()));
        followers
    }
}

/// The most probable tokens by their logits; of a smaller vocabulary some with probability 0.
pub(super) fn likeliest(logits: &[f32]) -> [(u32, f32); GUESSES] {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f32 = logits.iter().map(|z| (z - most).exp()).sum();
    let mut found = [(0, 0.0); GUESSES];
    for (token, z) in (0..).zip(logits) {
        let p = (z - most).exp() / sum;
        if let Some(at) = found.iter().position(|(_, other)| p > *other) {
            found[at..].rotate_right(1);
            found[at] = (token, p);
        }
    }
    found
}

/// Pearson's correlation; `None` if one side is constant.
fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len().min(y.len()) as f64;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (mx, my) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xy += (x - mx) * (y - my);
        xx += (x - mx).powi(2);
        yy += (y - my).powi(2);
    }
    let scale = (xx * yy).sqrt();
    (scale > 1e-12).then(|| xy / scale)
}

/// The features of a text, one value per character.
pub fn follow(chars: &[char]) -> Vec<Feature> {
    let mut names: Vec<(&'static str, Vec<f64>)> = [
        "position in the line", "indentation of the line", "length of the word so far", "inside \"quotes\"",
        "inside (brackets)", "depth of {braces}", "letter", "capital letter", "digit", "punctuation", "blank",
        "line end", "empty line before",
    ]
    .map(|name| (name, Vec::with_capacity(chars.len())))
    .into();
    let (mut column, mut indent, mut in_indent, mut word) = (0u32, 0u32, true, 0u32);
    let (mut quoted, mut round, mut braces, mut ends) = (false, 0i32, 0i32, 0u32);
    for &c in chars {
        if c == '\n' {
            (column, indent, in_indent) = (0, 0, true);
            ends += 1;
        } else {
            column += 1;
            in_indent &= c == ' ' || c == '\t';
            indent += u32::from(in_indent);
            if !in_indent && column > 1 {
                ends = 0;
            }
        }
        word = if c.is_alphanumeric() { word + 1 } else { 0 };
        match c {
            '"' => quoted = !quoted,
            '(' => round += 1,
            ')' => round = (round - 1).max(0),
            '{' => braces += 1,
            '}' => braces = (braces - 1).max(0),
            _ => {}
        }
        let flag = |is: bool| f64::from(u8::from(is));
        let values = [
            f64::from(column),
            f64::from(indent),
            f64::from(word),
            flag(quoted),
            flag(round > 0),
            f64::from(braces),
            flag(c.is_alphabetic()),
            flag(c.is_uppercase()),
            flag(c.is_numeric()),
            flag(c.is_ascii_punctuation()),
            flag(c == ' '),
            flag(c == '\n'),
            flag(ends > 1),
        ];
        names.iter_mut().zip(values).for_each(|((_, all), value)| all.push(value));
    }
    names.into_iter().map(|(name, values)| Feature { name, values }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_tokens_come_in_order_with_their_probabilities() {
        let found = likeliest(&[0.0, 3.0f32.ln(), 6.0f32.ln()]);
        assert_eq!(found.map(|(token, _)| token), [2, 1, 0, 0, 0]);
        let p = found.map(|(_, p)| (10.0 * p).round());
        assert_eq!(p, [6.0, 3.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_neuron_that_counts_the_position_in_the_line_is_found() {
        let text: Vec<char> = "one two\nthree (four) \"five\"\nsix\n".repeat(4).chars().collect();
        let features = follow(&text);
        let of = |name: &str| &features.iter().find(|f| f.name == name).unwrap().values;
        assert_eq!(of("inside \"quotes\"").iter().sum::<f64>(), 4.0 * 5.0);
        assert_eq!(of("inside (brackets)").iter().sum::<f64>(), 4.0 * 5.0);
        assert_eq!(of("position in the line").iter().copied().fold(0.0, f64::max), 19.0);
        // Neuron 1 falls along the line, the others are uncorrelated.
        let position = of("position in the line").clone();
        let hidden = position.iter().enumerate().flat_map(|(i, p)| [(i % 7) as f32, 1.0 - 0.1 * *p as f32, 0.5]);
        let trace = Trace { layers: vec![hidden.collect()], widths: vec![3], guesses: Vec::new() };
        let followers = trace.followers(&features);
        let first = &followers[0];
        assert_eq!((first.feature, first.layer, first.neuron), ("position in the line", 0, 1));
        assert!((first.correlation + 1.0).abs() < 1e-6);
        // The text has no digit: the feature is constant.
        assert!(followers.iter().all(|f| f.feature != "digit"));
    }
}
