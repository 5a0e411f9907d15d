//! Beam search: the likely sequences of a model of next-token probabilities.
//!
//! Independent of any network: a [`StepModel`] takes rows of its last step and a token for each. A beam of 1 is greedy
//! search. Sequences of a batch are searched independently: each result is the one it would have alone.
//!
//! At every step the `2 beam` best extensions of a sequence's hypotheses are considered. Those among the first `beam`
//! that end are finished; the best others stay live. The search ends when `beam` hypotheses are finished and no live
//! one scores better: with few tokens, poor endings soon rank among the first and must not end the search.

use std::cmp::Ordering;
use std::fmt::Display;

use elman_kernels::rows;
use serde::{Deserialize, Serialize};

use super::{Likely, StepModel};
use crate::error::{Error, Result};

/// Beam search settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BeamConfig {
    /// Hypotheses kept of each sequence; 1 is greedy search.
    pub beam: usize,
    /// Hypotheses are compared by log-probability / length^this; 0 compares the log-probabilities.
    pub length_penalty: f64,
    /// Weight of `sum_s ln(min(1, attention to s))` (Wu et al. 2016), a coverage penalty.
    pub coverage_penalty: f64,
    /// Hypotheses returned of each sequence, at most `beam`.
    pub nbest: usize,
    /// Blocks repeated n-grams of this size; 0 allows all.
    pub no_repeat_ngram: usize,
    /// Minimum length in tokens.
    pub min_length: usize,
    /// Whether each token's attention weights are kept.
    pub keep_attention: bool,
}

impl Default for BeamConfig {
    fn default() -> Self {
        BeamConfig {
            beam: 5,
            length_penalty: 1.0,
            coverage_penalty: 0.0,
            nbest: 1,
            no_repeat_ngram: 0,
            min_length: 0,
            keep_attention: false,
        }
    }
}

impl BeamConfig {
    /// Greedy search: always the most likely token.
    pub fn greedy() -> Self {
        BeamConfig { beam: 1, ..Self::default() }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn validate(&self) -> Result<()> {
        let wrong = |key: &str, value: &dyn Display, requirement: String| Err(Error::setting(key, value, requirement));
        if self.beam == 0 || self.beam > MAX_BEAM {
            return wrong("beam", &self.beam, format!("must be from 1 (greedy search) to {MAX_BEAM}"));
        }
        if self.nbest == 0 || self.nbest > self.beam {
            return wrong("nbest", &self.nbest, format!("must be from 1 to `beam`, {}", self.beam));
        }
        for (key, value) in [("length_penalty", self.length_penalty), ("coverage_penalty", self.coverage_penalty)] {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(key, &value, "must be a number from 0 (none) upwards".into());
            }
        }
        if self.min_length > MAX_LENGTH {
            return wrong("min_length", &self.min_length, format!("must be at most {MAX_LENGTH}"));
        }
        Ok(())
    }
}

/// The most tokens of a text that is written: no sentence comes near, and a search must end.
const MAX_LENGTH: usize = 1 << 13;
/// Widest beam: each hypothesis holds a state.
const MAX_BEAM: usize = 1024;
/// Lower bound of a position's coverage.
const NEVER_SEEN: f64 = 1e-4;

/// Special tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Beginning of sequence: fed before the first token.
    pub bos: u32,
    /// End of sequence.
    pub eos: u32,
    /// Never chosen, such as padding.
    pub suppressed: Vec<u32>,
}

/// One sequence to generate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Forced first tokens.
    pub prefix: Vec<u32>,
    /// Maximum length in tokens, EOS not counted.
    pub max_length: usize,
}

/// A generated sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without BOS and EOS.
    pub tokens: Vec<u32>,
    /// Its log-probability in nats, EOS included.
    pub log_prob: f64,
    /// Its score: see [`BeamConfig`].
    pub score: f64,
    /// Attention over the source of each token and of EOS, if kept.
    pub attention: Vec<Vec<f32>>,
}

/// A hypothesis that has not ended.
#[derive(Clone, Default)]
struct Live {
    tokens: Vec<u32>,
    log_prob: f64,
    /// Its row in the last step.
    row: usize,
    coverage: Vec<f32>,
    attention: Vec<Vec<f32>>,
}

/// The search for one sequence.
struct Search {
    live: Vec<Live>,
    done: Vec<Hypothesis>,
}

/// An extension of a hypothesis.
#[derive(Clone, Copy)]
struct Candidate {
    log_prob: f64,
    parent: usize,
    token: u32,
}

impl Candidate {
    /// The likeliest first; ties: the better parent, then the lower token.
    fn order(&self, other: &Self) -> Ordering {
        let by_place = (self.parent, self.token).cmp(&(other.parent, other.token));
        other.log_prob.total_cmp(&self.log_prob).then(by_place)
    }
}

/// The best sequences for each query, the best first, at least one and at most [`BeamConfig::nbest`].
///
/// # Errors
/// An invalid setting; a prefix that is too long or holds invalid tokens; model outputs that are not
/// finite.
pub fn beam_search<M: StepModel + ?Sized>(
    model: &mut M,
    queries: &[Query],
    special: &SpecialTokens,
    config: &BeamConfig,
) -> Result<Vec<Vec<Hypothesis>>> {
    config.validate()?;
    let vocab = model.vocab();
    for query in queries {
        if query.prefix.len() > query.max_length || config.min_length > query.max_length {
            return Err(Error::Usage(format!(
                "a sequence of at most {} tokens cannot have a prefix of {} and a minimum length of {}; allow a higher \
                 maximum length",
                query.max_length,
                query.prefix.len(),
                config.min_length
            )));
        }
        if query.prefix.iter().any(|&token| token as usize >= vocab || token == special.eos) {
            return Err(Error::Usage("a forced prefix holds an invalid token".into()));
        }
    }
    let start = |row| Search { live: vec![Live { row, ..Live::default() }], done: Vec::new() };
    let mut searches: Vec<Search> = (0..queries.len()).map(start).collect();
    let (mut from, mut tokens, mut likely) = (Vec::new(), Vec::new(), Likely::default());
    loop {
        from.clear();
        tokens.clear();
        for live in searches.iter().flat_map(|search| &search.live) {
            from.push(live.row);
            tokens.push(live.tokens.last().copied().unwrap_or(special.bos));
        }
        if from.is_empty() {
            break;
        }
        model.step(&from, &tokens, &mut likely);
        if !likely.are_numbers(from.len(), vocab) {
            return Err(Error::Usage("the model's outputs are not finite; did its training diverge?".into()));
        }
        let mut row = 0;
        for (search, query) in searches.iter_mut().zip(queries) {
            for live in &mut search.live {
                live.row = row;
                live.look(model.attention(row), config);
                row += 1;
            }
            search.advance(&likely, vocab, query, special, config);
        }
    }
    searches.iter_mut().for_each(|search| search.done.truncate(config.nbest));
    Ok(searches.into_iter().map(|search| search.done).collect())
}

impl Live {
    /// Records the attention of the last step.
    fn look(&mut self, attention: &[f32], config: &BeamConfig) {
        if config.coverage_penalty > 0.0 {
            self.coverage.resize(attention.len(), 0.0);
            self.coverage.iter_mut().zip(attention).for_each(|(sum, a)| *sum += a);
        }
        if config.keep_attention {
            self.attention.push(attention.to_vec());
        }
    }

    /// The finished hypothesis, `tokens` long.
    fn end(&self, log_prob: f64, tokens: usize, config: &BeamConfig) -> Hypothesis {
        let score = self.score(log_prob, tokens, config);
        Hypothesis { tokens: self.tokens.clone(), log_prob, score, attention: self.attention.clone() }
    }

    /// The score for this log-probability and length.
    fn score(&self, log_prob: f64, tokens: usize, config: &BeamConfig) -> f64 {
        let covered = |&sum: &f32| f64::from(sum).clamp(NEVER_SEEN, 1.0).ln();
        let coverage: f64 = self.coverage.iter().map(covered).sum();
        log_prob / (tokens.max(1) as f64).powf(config.length_penalty) + config.coverage_penalty * coverage
    }

    /// Whether `token` would repeat an n-gram.
    fn repeats(&self, token: u32, n: usize) -> bool {
        let Some(start) = (self.tokens.len() + 1).checked_sub(n) else { return false };
        n > 0 && self.tokens.windows(n).any(|run| run[n - 1] == token && run[..n - 1] == self.tokens[start..])
    }
}

impl Search {
    /// One step of one sequence.
    fn advance(&mut self, likely: &Likely, vocab: usize, query: &Query, special: &SpecialTokens, config: &BeamConfig) {
        if self.live.is_empty() {
            return;
        }
        let wanted = 2 * config.beam;
        let mut candidates = Vec::new();
        for (parent, live) in self.live.iter().enumerate() {
            let row = likely.row(live.row, vocab);
            let at = |token: u32| {
                let log_prob = live.log_prob + likely.log_prob(live.row, row[token as usize]);
                Candidate { log_prob, parent, token }
            };
            let position = live.tokens.len();
            if let Some(&token) = query.prefix.get(position) {
                candidates.push(at(token));
                continue;
            }
            if position == query.max_length {
                candidates.push(at(special.eos));
                continue;
            }
            let allowed = |token: u32| {
                let too_soon = token == special.eos && position < config.min_length;
                !too_soon && !special.suppressed.contains(&token) && !live.repeats(token, config.no_repeat_ngram)
            };
            best_of_row(row, wanted, allowed, |token| candidates.push(at(token)));
        }
        candidates.retain(|c| c.log_prob > f64::NEG_INFINITY);
        candidates.sort_by(Candidate::order);
        let mut next = Vec::with_capacity(config.beam);
        for (rank, c) in candidates.iter().enumerate() {
            let parent = &self.live[c.parent];
            if c.token == special.eos {
                if rank < config.beam {
                    self.done.push(parent.end(c.log_prob, parent.tokens.len() + 1, config));
                }
            } else if next.len() < config.beam {
                let mut live = parent.clone();
                live.tokens.push(c.token);
                live.log_prob = c.log_prob;
                next.push(live);
            }
        }
        if next.is_empty() && self.done.is_empty() {
            // No extension is possible or allowed: return the live hypotheses.
            let best = &self.live[0];
            self.done.push(best.end(best.log_prob, best.tokens.len(), config));
        }
        self.done.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.done.truncate(config.beam);
        let worst = self.done.get(config.beam - 1).map_or(f64::NEG_INFINITY, |done| done.score);
        let hope = next.iter().map(|live| live.score(live.log_prob, live.tokens.len(), config));
        let best = hope.fold(f64::NEG_INFINITY, f64::max);
        self.live = if worst >= best { Vec::new() } else { next };
    }
}

/// Calls `take` for the `wanted` best allowed tokens of a row, the best first; ties: the lower token.
fn best_of_row(row: &[f32], wanted: usize, allowed: impl Fn(u32) -> bool, mut take: impl FnMut(u32)) {
    /// Values compared at once: most of a row is far below the threshold.
    const TOGETHER: usize = 64;
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(wanted + 1);
    let mut least = f32::NEG_INFINITY;
    for (part, first) in row.chunks(TOGETHER).zip((0..).step_by(TOGETHER)) {
        if best.len() == wanted && !part.iter().fold(false, |any, &x| any | (x > least)) {
            continue;
        }
        for (&x, token) in part.iter().zip(first..) {
            if (best.len() < wanted || x > least) && allowed(token) {
                let at = best.partition_point(|b| b.0 >= x);
                best.insert(at, (x, token));
                best.truncate(wanted);
                if best.len() == wanted {
                    least = best[wanted - 1].0;
                }
            }
        }
    }
    best.into_iter().for_each(|(_, token)| take(token));
}

/// Model ensemble: averages probabilities. Attention is the first model's.
pub struct Ensemble<M> {
    models: Vec<M>,
    one: Likely,
}

impl<M: StepModel> Ensemble<M> {
    /// An ensemble of models with one vocabulary.
    ///
    /// # Errors
    /// If there are no models, or their vocabularies differ in size.
    pub fn new(models: Vec<M>) -> Result<Self> {
        let sizes: Vec<usize> = models.iter().map(StepModel::vocab).collect();
        if sizes.is_empty() || sizes.iter().any(|&size| size != sizes[0]) {
            let message = format!("the models of an ensemble must share a vocabulary; theirs have {sizes:?} tokens");
            return Err(Error::Usage(message));
        }
        Ok(Ensemble { models, one: Likely::default() })
    }
}

impl<M: StepModel> StepModel for Ensemble<M> {
    fn vocab(&self) -> usize {
        self.models[0].vocab()
    }

    fn step(&mut self, from: &[usize], tokens: &[u32], likely: &mut Likely) {
        let vocab = self.vocab();
        let [first, others @ ..] = &mut self.models[..] else { return };
        first.step(from, tokens, likely);
        if others.is_empty() {
            return;
        }
        let share = 1.0 / (others.len() + 1) as f32;
        let mut sum = std::mem::take(likely).probabilities(vocab);
        for model in others {
            model.step(from, tokens, &mut self.one);
            let p = std::mem::take(&mut self.one).probabilities(vocab);
            rows::add(&p, &mut sum);
            self.one = Likely::Logits(p, Vec::new());
        }
        sum.iter_mut().for_each(|p| *p *= share);
        *likely = Likely::Probabilities(sum);
    }

    fn attention(&self, row: usize) -> &[f32] {
        self.models[0].attention(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const VOCAB: usize = 4;
    const SPECIAL: SpecialTokens = SpecialTokens { bos: 0, eos: 1, suppressed: Vec::new() };

    /// Probabilities depend on the sequence and its whole history.
    #[derive(Clone, Default)]
    struct Toy {
        seed: u64,
        rows: Vec<(u64, Vec<u32>)>,
        attention: Vec<[f32; 2]>,
    }

    impl Toy {
        fn log_probs(&self, sequence: u64, history: &[u32]) -> Vec<f32> {
            let code = history.iter().fold(sequence + 1, |code, &token| code * 7 + u64::from(token) + 1);
            let mut rng = Rng::new(self.seed ^ (code << 8), "toy");
            let weights: Vec<f64> = (0..VOCAB).map(|_| (2.0 * rng.normal()).exp()).collect();
            let total: f64 = weights.iter().sum();
            weights.iter().map(|w| (w / total).ln() as f32).collect()
        }

        fn log_prob(&self, sequence: u64, tokens: &[u32]) -> f64 {
            let fed = [&[SPECIAL.bos], tokens].concat();
            let wanted = [tokens, &[SPECIAL.eos]].concat();
            (0..fed.len()).map(|t| f64::from(self.log_probs(sequence, &fed[..=t])[wanted[t] as usize])).sum()
        }
    }

    impl StepModel for Toy {
        fn vocab(&self) -> usize {
            VOCAB
        }

        fn step(&mut self, from: &[usize], tokens: &[u32], likely: &mut Likely) {
            let row = |(&from, &token): (&usize, &u32)| {
                let (sequence, mut history) = self.rows[from].clone();
                history.push(token);
                (sequence, history)
            };
            let rows: Vec<(u64, Vec<u32>)> = from.iter().zip(tokens).map(row).collect();
            assert!(rows.is_sorted_by_key(|row| row.0), "rows of a sequence stand together");
            let logits = rows.iter().flat_map(|row| self.log_probs(row.0, &row.1)).collect();
            *likely = Likely::Logits(logits, vec![0.0; rows.len()]);
            let look = |row: &(u64, Vec<u32>)| if row.1.last() == Some(&2) { [0.9, 0.1] } else { [0.2, 0.8] };
            self.attention = rows.iter().map(look).collect();
            self.rows = rows;
        }

        fn attention(&self, row: usize) -> &[f32] {
            &self.attention[row]
        }
    }

    fn toy(seed: u64, sequences: std::ops::Range<u64>) -> Toy {
        Toy { seed, rows: sequences.map(|s| (s, Vec::new())).collect(), attention: Vec::new() }
    }

    fn search(model: &mut Toy, max_length: usize, config: &BeamConfig) -> Vec<Vec<Hypothesis>> {
        let queries = vec![Query { prefix: Vec::new(), max_length }; model.rows.len()];
        beam_search(model, &queries, &SPECIAL, config).unwrap()
    }

    /// Every sequence of at most `max_length` tokens other than EOS.
    fn all(max_length: usize) -> Vec<Vec<u32>> {
        let mut sequences = vec![Vec::new()];
        let mut last = sequences.clone();
        for _ in 0..max_length {
            let longer = |s: &Vec<u32>| [0, 2, 3].map(|token| [&s[..], &[token]].concat());
            last = last.iter().flat_map(longer).collect();
            sequences.extend(last.clone());
        }
        sequences
    }

    #[test]
    fn a_beam_of_one_is_greedy() {
        for seed in 0..50 {
            let found = search(&mut toy(seed, 0..1), 6, &BeamConfig::greedy()).remove(0).remove(0);
            let (model, mut tokens, mut log_prob) = (toy(seed, 0..1), Vec::new(), 0.0);
            loop {
                let row = model.log_probs(0, &[&[SPECIAL.bos], &tokens[..]].concat());
                let best = (0..VOCAB).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
                let best = if tokens.len() == 6 { 1 } else { best };
                log_prob += f64::from(row[best]);
                if best == 1 {
                    break;
                }
                tokens.push(best as u32);
            }
            assert_eq!((found.tokens, found.log_prob), (tokens, log_prob), "seed {seed}");
        }
    }

    #[test]
    fn an_exhaustive_beam_is_optimal_and_narrower_ones_are_not_better() {
        for seed in 0..30 {
            for length_penalty in [0.0, 1.0] {
                let (model, max_length) = (toy(seed, 0..1), 4);
                let score = |s: &Vec<u32>| model.log_prob(0, s) / ((s.len() + 1) as f64).powf(length_penalty);
                let best = all(max_length).iter().map(score).fold(f64::NEG_INFINITY, f64::max);
                let mut found = Vec::new();
                for beam in [1, 2, 4, 200] {
                    let config = BeamConfig { beam, length_penalty, ..BeamConfig::default() };
                    let top = search(&mut toy(seed, 0..1), max_length, &config).remove(0).remove(0);
                    assert!((top.log_prob - model.log_prob(0, &top.tokens)).abs() < 1e-9);
                    assert!((top.score - score(&top.tokens)).abs() < 1e-9);
                    assert!(top.score <= best + 1e-9);
                    found.push(top.score);
                }
                assert!((found[3] - best).abs() < 1e-9, "seed {seed}: {found:?} {best}");
            }
        }
    }

    #[test]
    fn an_exhaustive_beam_gives_every_sequence_once_in_order() {
        let config = BeamConfig { beam: 200, nbest: 200, length_penalty: 0.0, ..BeamConfig::default() };
        let found = search(&mut toy(5, 0..1), 3, &config).remove(0);
        assert_eq!(found.len(), all(3).len());
        assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        let mut tokens: Vec<_> = found.into_iter().map(|h| h.tokens).collect();
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), all(3).len());
    }

    #[test]
    fn batched_equals_one_by_one() {
        for beam in [1, 3] {
            let config = BeamConfig { beam, nbest: beam, coverage_penalty: 0.3, ..BeamConfig::default() };
            let together = search(&mut toy(9, 0..8), 7, &config);
            let alone = (0..8).flat_map(|i| search(&mut toy(9, i..i + 1), 7, &config));
            assert_eq!(together, alone.collect::<Vec<_>>());
        }
    }

    #[test]
    fn lengths_prefixes_suppression_and_repeats_are_obeyed() {
        for seed in 0..30 {
            let config = BeamConfig { beam: 3, nbest: 3, min_length: 4, no_repeat_ngram: 2, ..BeamConfig::default() };
            let special = SpecialTokens { suppressed: vec![0], ..SPECIAL };
            let queries = [Query { prefix: vec![3, 2], max_length: 5 }];
            for found in beam_search(&mut toy(seed, 0..1), &queries, &special, &config).unwrap().remove(0) {
                let tokens = found.tokens;
                assert!(tokens.starts_with(&[3, 2]) && !tokens.contains(&0), "{tokens:?}");
                let mut pairs: Vec<&[u32]> = tokens.windows(2).collect();
                pairs.sort();
                pairs.dedup();
                assert_eq!(pairs.len(), tokens.len() - 1, "{tokens:?}");
                // Two tokens have four pairs: 3 2 2 3 3 is the longest without a repeat.
                assert!((4..=5).contains(&tokens.len()), "{tokens:?}");
            }
        }
    }

    #[test]
    fn coverage_prefers_full_attention_and_attention_is_kept() {
        let config = BeamConfig {
            beam: 200,
            length_penalty: 0.0,
            coverage_penalty: 50.0,
            keep_attention: true,
            ..BeamConfig::default()
        };
        let found = search(&mut toy(2, 0..1), 4, &config).remove(0).remove(0);
        assert_eq!(found.attention.len(), found.tokens.len() + 1);
        let seen: f32 = found.attention.iter().map(|a| a[0]).sum();
        assert!(seen >= 0.999, "{found:?}");
    }

    #[test]
    fn an_ensemble_averages_probabilities() {
        let queries = vec![Query { prefix: Vec::new(), max_length: 5 }; 2];
        let mut twins = Ensemble::new(vec![toy(3, 0..2), toy(3, 0..2)]).unwrap();
        let together = beam_search(&mut twins, &queries, &SPECIAL, &BeamConfig::default()).unwrap();
        let alone = search(&mut toy(3, 0..2), 5, &BeamConfig::default());
        assert_eq!(together[1][0].tokens, alone[1][0].tokens);
        let mut strangers = Ensemble::new(vec![toy(3, 0..1), toy(4, 0..1)]).unwrap();
        let mut got = Likely::default();
        strangers.step(&[0], &[0], &mut got);
        let (a, b) = (toy(3, 0..1).log_probs(0, &[0]), toy(4, 0..1).log_probs(0, &[0]));
        let got = got.log_prob(0, got.row(0, VOCAB)[2]);
        assert!((got - f64::from((a[2].exp() + b[2].exp()) / 2.0).ln()).abs() < 1e-6);
        assert!(Ensemble::<Toy>::new(Vec::new()).is_err());
    }

    #[test]
    fn invalid_settings_are_refused() {
        let config = BeamConfig::default();
        for bad in [
            BeamConfig { beam: 0, ..config.clone() },
            BeamConfig { nbest: 6, ..config.clone() },
            BeamConfig { length_penalty: f64::NAN, ..config.clone() },
            BeamConfig { coverage_penalty: -1.0, ..config.clone() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        let queries = [Query { prefix: vec![2, 2], max_length: 1 }];
        assert!(beam_search(&mut toy(1, 0..1), &queries, &SPECIAL, &config).is_err());
        let queries = [Query { prefix: vec![99], max_length: 3 }];
        assert!(beam_search(&mut toy(1, 0..1), &queries, &SPECIAL, &config).is_err());
    }
}
