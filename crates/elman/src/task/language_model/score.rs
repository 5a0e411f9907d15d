//! Three numbers for a language model, named and never mixed.
//!
//! - windowed: non-overlapping windows of 256 tokens, each from the zero state: what nanoGPT reports, and so fair
//!   against a Transformer of that context;
//! - streaming: the state is carried through the whole text: what a recurrent network is for;
//! - dynamic: as streaming, and the weights adapt to what has been read (dynamic evaluation, Mikolov et al. 2010, Krause
//!   et al. 2018); each token is scored before the network learns from it.

use elman_step::{self as step, Network};
use rayon::prelude::*;

use std::collections::BTreeMap;

use crate::cell::Steps;
use crate::error::Result;
use crate::metric::Baseline;
use crate::optim::clip;
use crate::param::Params;
use crate::shape::{Inputs, Shape, Synced, SyncedBatch, SyncedPrepared, SyncedTape};
use crate::train::Ranks;

/// Tokens of a window.
const WINDOW: usize = 256;
/// Tokens that a validation while training predicts at most: at two nats of standard deviation their mean is known to 0.004.
pub const LIMIT: usize = 1 << 18;
/// Windows computed side by side.
const SIDE_BY_SIDE: usize = 32;
/// Tokens between two looks at the carried state in a stream.
const CHUNK: usize = 1024;

/// A sum of losses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Nats in all.
    pub nats: f64,
    /// Tokens predicted.
    pub tokens: usize,
}

impl Score {
    /// Nats per token.
    pub fn mean_nats(self) -> f64 {
        self.nats / self.tokens.max(1) as f64
    }
}

/// How the weights adapt in dynamic evaluation: gradient descent on the text just read, with a pull back to the trained
/// weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamic {
    /// Learning rate.
    pub lr: f64,
    /// Share of the way back to the trained weights after each segment.
    pub decay: f64,
    /// Tokens read between two adaptations.
    pub segment: usize,
    /// Gradients are scaled down to this norm.
    pub clip_norm: f64,
}

impl Default for Dynamic {
    fn default() -> Self {
        Dynamic { lr: 0.05, decay: 0.002, segment: 64, clip_norm: 1.0 }
    }
}

fn batch(text: &[u32], starts: &[usize], len: usize) -> SyncedBatch<f32> {
    let rows = || (0..len).flat_map(|t| starts.iter().map(move |&start| start + t));
    SyncedBatch {
        steps: Steps::equal(len, starts.len()),
        inputs: Inputs::Tokens(rows().map(|at| text[at]).collect()),
        targets: rows().map(|at| text[at + 1]).collect(),
    }
}

/// The windowed score of tokens; each but the first is predicted once. Runs on the current thread pool.
pub fn windowed(network: &Synced, params: &Params<f32>, text: &[u32]) -> Score {
    windowed_limited(network, params, text, usize::MAX)
}

/// As [`windowed_part`], by this process alone.
pub fn windowed_limited(network: &Synced, params: &Params<f32>, text: &[u32], limit: usize) -> Score {
    // What can fail is another rank.
    windowed_part(network, params, text, limit, &Ranks::default()).unwrap_or_default()
}

/// What the frequencies of a text's own tokens reach on it: their entropy.
pub fn frequencies(text: &[u32], unit: &str, measure: &str) -> Baseline {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    text.iter().for_each(|token| *counts.entry(*token).or_default() += 1);
    let share = |count: &usize| *count as f64 / text.len() as f64;
    let value = -counts.values().map(|count| share(count) * share(count).ln()).sum::<f64>();
    Baseline { name: format!("frequencies of the {unit}s"), measure: measure.into(), value }
}

/// As [`windowed`], of a text of more than `limit` tokens only as many windows as hold so many, evenly spread over it.
/// Ranks share them out.
///
/// # Errors
/// The failure of another rank.
pub fn windowed_part(
    network: &Synced,
    params: &Params<f32>,
    text: &[u32],
    limit: usize,
    ranks: &Ranks,
) -> Result<Score> {
    let all = text.len().saturating_sub(1);
    let mut prepared = SyncedPrepared::default();
    network.prepare(params, &mut prepared);
    let windows = all / WINDOW;
    let count = windows.min((limit / WINDOW).max(1));
    let chosen: Vec<usize> = (0..count).map(|i| i * windows / count * WINDOW).collect();
    let rest = if count == windows { all % WINDOW } else { 0 };
    let mut parts: Vec<(&[usize], usize)> = chosen.chunks(SIDE_BY_SIDE).map(|starts| (starts, WINDOW)).collect();
    let last = [all - rest];
    if rest > 0 {
        parts.push((&last, rest));
    }
    let tokens = count * WINDOW + rest;
    let loss = |tape: &mut SyncedTape<f32>, part: &usize| {
        let (starts, len) = parts[*part];
        let mut state = network.zero_state(starts.len());
        network.loss(params, &prepared, &batch(text, starts, len), &mut state, tape)
    };
    let losses: Vec<f64> =
        ranks.share(parts.len(), |own| Ok(own.par_iter().map_init(SyncedTape::default, loss).collect()))?;
    Ok(Score { nats: losses.iter().sum(), tokens })
}

/// The streaming score of tokens, or, with `dynamic`, the dynamic one.
pub fn streaming(network: &Synced, params: &Params<f32>, text: &[u32], dynamic: Option<Dynamic>) -> Score {
    let tokens = text.len().saturating_sub(1);
    let (mut adapted, mut grads) = (params.clone(), Params::zeros(network.layout()));
    let (mut prepared, mut tape) = (SyncedPrepared::default(), SyncedTape::default());
    network.prepare(params, &mut prepared);
    let mut state = network.zero_state(1);
    let chunk = dynamic.map_or(CHUNK, |d| d.segment.max(1));
    let mut nats = 0.0;
    for start in (0..tokens).step_by(chunk) {
        let part = batch(text, &[start], chunk.min(tokens - start));
        let Some(Dynamic { lr, decay, clip_norm, .. }) = dynamic else {
            nats += network.loss(&adapted, &prepared, &part, &mut state, &mut tape);
            continue;
        };
        grads.zero();
        let scale = 1.0 / part.targets.len() as f32;
        nats += network.loss_and_grad(&adapted, &prepared, &part, scale, None, &mut state, &mut tape, &mut grads);
        let step = (lr * clip::scale_for_norm(clip::global_norm(&grads), clip_norm)) as f32;
        let weights = adapted.values.iter_mut().zip(&params.values).zip(&grads.values);
        weights.for_each(|((w, trained), g)| *w += decay as f32 * (trained - *w) - step * g);
        network.prepare(&adapted, &mut prepared);
    }
    Score { nats, tokens }
}

/// The streaming score of tokens through a network that runs a step at a time, from the zero state: what a model in fewer
/// bits is worth as it runs.
///
/// # Errors
/// If the network does not read tokens, or not one of these.
pub fn stepped(network: &mut Network, text: &[u32]) -> std::result::Result<Score, step::Error> {
    network.reset();
    let mut score = Score::default();
    for pair in text.windows(2) {
        let logits = network.step_token(pair[0])?;
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|z| f64::from(z - top).exp()).sum();
        let Some(target) = logits.get(pair[1] as usize) else {
            return Err(step::Error::Token { token: pair[1], vocab: logits.len() });
        };
        score.nats += sum.ln() - f64::from(target - top);
        score.tokens += 1;
    }
    Ok(score)
}

/// The streaming score of a text so short that all of it can be read at once; for tests against [`streaming`].
#[cfg(test)]
fn at_once(network: &Synced, params: &Params<f32>, text: &[u32]) -> f64 {
    let mut prepared = SyncedPrepared::default();
    network.prepare(params, &mut prepared);
    let part = batch(text, &[0], text.len() - 1);
    network.loss(params, &prepared, &part, &mut network.zero_state(1), &mut SyncedTape::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::CellKind;
    use crate::param::Init;
    use crate::rng::Rng;
    use crate::shape::{InputKind, SyncedConfig};

    fn network() -> (Synced, Params<f32>, Vec<u32>) {
        let config = SyncedConfig {
            cell: CellKind::Lstm,
            layers: 2,
            hidden: 12,
            bidirectional: false,
            feed: InputKind::Tokens(7),
            embedding: 0,
            tied: false,
            classes: 7,
            dropout: 0.5,
            front: None,
            loss: crate::layer::Loss::default(),
        };
        let network = Synced::new(config).unwrap();
        let mut rng = Rng::new(1, "test");
        let params = network.init(Init::Uniform(0.5), &mut rng);
        // A text with a rule: each token is the one before plus 1 or 2.
        let mut at = 0;
        let text = (0..3000).map(|_| {
            at = (at + 1 + rng.below(2) as u32) % 7;
            at
        });
        let text = text.collect();
        (network, params, text)
    }

    #[test]
    fn a_stream_in_chunks_scores_as_one_read_at_once_and_windows_score_alone() {
        let (network, params, text) = network();
        let score = streaming(&network, &params, &text, None);
        assert_eq!(score.tokens, 2999);
        assert!((score.nats - at_once(&network, &params, &text)).abs() < 1e-9 * score.nats);
        let alone: f64 = (0..2999usize.div_ceil(WINDOW))
            .map(|i| at_once(&network, &params, &text[i * WINDOW..(i * WINDOW + WINDOW).min(2999) + 1]))
            .sum();
        let windows = windowed(&network, &params, &text);
        assert_eq!(windows.tokens, 2999);
        let of = |i: usize| at_once(&network, &params, &text[i * WINDOW..i * WINDOW + WINDOW + 1]);
        let part = windowed_limited(&network, &params, &text, 3 * WINDOW + 7);
        assert_eq!(part.tokens, 3 * WINDOW);
        let spread = of(0) + of(3) + of(7);
        assert!((part.nats - spread).abs() < 1e-9 * spread, "{} {spread}", part.nats);
        assert!((windows.nats - alone).abs() < 1e-9 * alone, "{} {alone}", windows.nats);
        assert_eq!(windowed(&network, &params, &text[..1]), Score::default());
    }

    #[test]
    fn dynamic_evaluation_learns_the_rule_of_the_text_and_leaves_the_model_alone() {
        let (network, params, text) = network();
        let before = params.values.clone();
        let fixed = streaming(&network, &params, &text, None).mean_nats();
        let adapted = streaming(&network, &params, &text, Some(Dynamic { lr: 3.0, segment: 16, ..Dynamic::default() }))
            .mean_nats();
        assert!(adapted < fixed - 0.1, "{adapted} {fixed}");
        assert_eq!(params.values, before);
    }
}
