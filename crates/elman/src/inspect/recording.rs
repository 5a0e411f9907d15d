//! The states of a network along a text, in a byte for each neuron: small enough for a megabyte of text, exact enough to
//! colour it, to search it and to compare states.

use std::ops::Range;

use elman_step::{CellKind, Network};

use super::neurons::{GUESSES, likeliest};
use crate::error::{Error, Result};

/// The greatest level; the least is its negative.
pub const LEVELS: f32 = 127.0;
/// Activations of relu cells beyond this are recorded as this.
const RELU_MOST: f32 = 4.0;
/// Tokens whose products are added before the sums become `f64`.
const BLOCK: usize = 1024;

/// The states of all layers after each token of a text.
#[derive(Clone, Debug)]
pub struct Recording {
    /// `H` of each layer.
    widths: Vec<usize>,
    /// The activation of the greatest level.
    most: f32,
    /// `[token][layer, neuron]`.
    levels: Vec<i8>,
    /// The likeliest next tokens after each token, and their probabilities as levels.
    guesses: Vec<[(u32, f32); GUESSES]>,
    /// What each token but the first cost, in nats; 0 for the first.
    nats: Vec<f32>,
    /// Of each neuron the sum of its levels, and of their squares.
    sums: Vec<[f64; 2]>,
}

impl Recording {
    /// Nothing read yet; the network's state becomes zero.
    pub fn new(network: &mut Network) -> Recording {
        network.reset();
        let widths: Vec<usize> = (0..).map_while(|layer| network.hidden(layer).map(<[f32]>::len)).collect();
        let width = widths.iter().sum();
        let most = if network.config().cell == CellKind::RnnRelu { RELU_MOST } else { 1.0 };
        let sums = vec![[0.0; 2]; width];
        Recording { widths, most, levels: Vec::new(), guesses: Vec::new(), nats: Vec::new(), sums }
    }

    /// Reads on, with the network that has read the tokens so far.
    ///
    /// # Errors
    /// [`Error::Usage`] for a token that is not in the network's vocabulary.
    pub fn extend(&mut self, network: &mut Network, tokens: &[u32]) -> Result<()> {
        let scale = LEVELS / self.most;
        for &token in tokens {
            let nats = match self.nats.is_empty() {
                true => 0.0,
                false => cost(network.logits(), token),
            };
            let logits = network.step_token(token).map_err(|error| Error::Usage(error.to_string()))?;
            self.nats.push(nats);
            self.guesses.push(likeliest(logits));
            let mut sums = self.sums.iter_mut();
            for layer in 0..self.widths.len() {
                for (h, sum) in network.hidden(layer).unwrap_or(&[]).iter().zip(&mut sums) {
                    let level = (h * scale).round().clamp(-LEVELS, LEVELS);
                    sum[0] += f64::from(level);
                    sum[1] += f64::from(level * level);
                    self.levels.push(level as i8);
                }
            }
        }
        Ok(())
    }

    /// Tokens read.
    pub fn len(&self) -> usize {
        self.nats.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.nats.is_empty()
    }

    /// Neurons of all layers together.
    pub fn width(&self) -> usize {
        self.sums.len()
    }

    /// `H` of each layer.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The activation of the greatest level: 1, but for relu cells.
    pub fn most(&self) -> f32 {
        self.most
    }

    /// The state after a token, a level for each neuron, layer after layer.
    pub fn state(&self, at: usize) -> &[i8] {
        &self.levels[at * self.width()..(at + 1) * self.width()]
    }

    /// The levels of one neuron, counted over all layers, after each token of a range.
    pub fn neuron(&self, neuron: usize, tokens: Range<usize>) -> Vec<i8> {
        tokens.map(|at| self.levels[at * self.width() + neuron]).collect()
    }

    /// The likeliest next tokens after each token, and their probabilities.
    pub fn guesses(&self) -> &[[(u32, f32); GUESSES]] {
        &self.guesses
    }

    /// What each token cost when it came, in nats; 0 for the first.
    pub fn nats(&self) -> &[f32] {
        &self.nats
    }

    /// Pearson's correlation of each neuron with a feature of each token; 0 where either is constant.
    ///
    /// # Panics
    /// If there is not one value for each token.
    pub fn correlations(&self, feature: &[f32]) -> Vec<f32> {
        assert_eq!(feature.len(), self.len(), "one value for each token");
        let n = self.len().max(1) as f64;
        let mean = feature.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = feature.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>();
        let width = self.width();
        let (mut products, mut block) = (vec![0.0f64; width], vec![0.0f32; width]);
        for (levels, feature) in self.levels.chunks(BLOCK * width).zip(feature.chunks(BLOCK)) {
            block.fill(0.0);
            for (levels, &x) in levels.chunks_exact(width).zip(feature) {
                let x = (f64::from(x) - mean) as f32;
                if x != 0.0 {
                    block.iter_mut().zip(levels).for_each(|(sum, &level)| *sum += x * f32::from(level));
                }
            }
            products.iter_mut().zip(&block).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let of = |(product, [sum, squares]): (f64, &[f64; 2])| {
            let scale = (variance * (squares - sum * sum / n)).sqrt();
            if scale > 1e-9 { (product / scale) as f32 } else { 0.0 }
        };
        products.into_iter().zip(&self.sums).map(of).collect()
    }

    /// The places whose state is most like that after `at`, by the cosine, the most alike first: at most `count`, none closer
    /// than `apart` tokens to another or to `at`.
    pub fn similar(&self, at: usize, count: usize, apart: usize) -> Vec<(usize, f32)> {
        let (width, wanted) = (self.width(), self.state(at));
        let dot = |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>() as f32;
        let norm = dot(wanted, wanted).sqrt();
        let of = |(place, state): (usize, &[i8])| {
            (place, dot(state, wanted) / (norm * dot(state, state).sqrt()).max(f32::MIN_POSITIVE))
        };
        let mut all: Vec<(usize, f32)> = self.levels.chunks_exact(width.max(1)).enumerate().map(of).collect();
        all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut found: Vec<(usize, f32)> = Vec::new();
        for (place, cosine) in all {
            if found.len() == count {
                break;
            }
            if place.abs_diff(at) >= apart && found.iter().all(|(other, _)| other.abs_diff(place) >= apart) {
                found.push((place, cosine));
            }
        }
        found
    }
}

/// What a token costs, in nats.
fn cost(logits: &[f32], token: u32) -> f32 {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f32 = logits.iter().map(|z| (z - most).exp()).sum();
    logits.get(token as usize).map_or(f32::INFINITY, |z| sum.ln() + most - z)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stack;
    use crate::inspect::Trace;
    use crate::shape::SyncedConfig;

    fn network() -> (Network, Vec<u32>) {
        let mut config = SyncedConfig::language_model(CellKind::Gru, 6, 4);
        config.layers = 2;
        let stack = Stack::from_config(config.clone(), 1).unwrap();
        let tensor = |name: &str, _: &[usize]| Ok(stack.params().get(name).unwrap().iter().map(|w| 4.0 * w).collect());
        let network = Network::new(config.without_training().unwrap(), elman_step::Precision::F32, tensor).unwrap();
        (network, (0..300).map(|i| (i * i / 7 % 4) as u32).collect())
    }

    #[test]
    fn levels_guesses_and_correlations_are_those_of_the_exact_states() {
        let (mut network, tokens) = network();
        let exact = Trace::of(&mut network, &tokens).unwrap();
        let mut recording = Recording::new(&mut network);
        // In two pieces: the state goes on.
        recording.extend(&mut network, &tokens[..111]).unwrap();
        recording.extend(&mut network, &tokens[111..]).unwrap();
        assert_eq!((recording.len(), recording.width()), (300, 12));
        assert_eq!(recording.guesses(), exact.guesses());
        let feature: Vec<f32> = tokens.iter().map(|&t| f32::from(t == 2)).collect();
        let found = recording.correlations(&feature);
        for layer in 0..2 {
            for neuron in 0..6 {
                let values = exact.neuron(layer, neuron);
                let levels = recording.neuron(layer * 6 + neuron, 0..300);
                assert!(values.iter().zip(&levels).all(|(x, &l)| (x - f64::from(l) / 127.0).abs() < 0.51 / 127.0));
                // The correlation is that of what was kept.
                let values: Vec<f64> = levels.iter().map(|&l| f64::from(l) / 127.0).collect();
                let n = 300.0;
                let (mx, my) = (values.iter().sum::<f64>() / n, f64::from(feature.iter().sum::<f32>()) / n);
                let both = values.iter().zip(&feature).map(|(x, &y)| (x - mx) * (f64::from(y) - my)).sum::<f64>();
                let x2 = values.iter().map(|x| (x - mx).powi(2)).sum::<f64>();
                let y2 = feature.iter().map(|&y| (f64::from(y) - my).powi(2)).sum::<f64>();
                let want = both / (x2 * y2).sqrt();
                assert!((f64::from(found[layer * 6 + neuron]) - want).abs() < 1e-3, "{layer} {neuron}");
            }
        }
    }

    #[test]
    fn the_most_similar_states_are_found_and_lie_apart() {
        let (mut network, _) = network();
        // The same text again: the state comes back.
        let tokens: Vec<u32> = (0..400).map(|i| [0, 1, 3, 2, 2, 1, 0, 3, 3, 1][i % 10]).collect();
        let mut recording = Recording::new(&mut network);
        recording.extend(&mut network, &tokens).unwrap();
        let found = recording.similar(205, 5, 10);
        assert_eq!(found.len(), 5);
        assert!(found.iter().all(|&(at, cosine)| at % 10 == 5 && at != 205 && cosine > 0.999), "{found:?}");
    }

    #[test]
    fn costs_are_the_cross_entropy_of_what_came() {
        let (mut network, tokens) = network();
        let mut recording = Recording::new(&mut network);
        recording.extend(&mut network, &tokens).unwrap();
        network.reset();
        let p: Vec<f64> = network.step_token(tokens[0]).unwrap().iter().map(|z| f64::from(*z).exp()).collect();
        let want = -(p[tokens[1] as usize] / p.iter().sum::<f64>()).ln();
        assert!((f64::from(recording.nats()[1]) - want).abs() < 1e-5 && recording.nats()[0] == 0.0);
        assert!(recording.extend(&mut network, &[9]).is_err());
    }
}
