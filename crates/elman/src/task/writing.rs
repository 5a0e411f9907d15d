//! What the tasks that write share: symbols, the search over them, and what is written.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::plan;
use super::settings::Settings;
use crate::data::{Subwords, SubwordsConfig};
use crate::decode::{BeamConfig, Ensemble, Hypothesis, Query, StepModel, Symbols, beam_search};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::shape::DecoderConfig;

/// Hypotheses of sequences that are searched side by side: enough rows that reading the weights costs little.
const ROWS: usize = 320;
/// Sequences side by side at most: the threads share them out.
const SIDE_BY_SIDE: usize = 128;
/// Symbols beyond those that training would lead to expect, before a search gives up.
const SPARE: usize = 10;
/// Symbols of a source, its end not counted, that are read when something is to be written for it: a sentence has far
/// fewer, and time and memory grow with their square.
pub const MAX_SOURCE: usize = 1000;
/// Share of the training pairs whose ratio of lengths a search allows for.
const USUAL: f64 = 0.999;

/// Texts to symbols and back, with what a search must know of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// Symbols of both sides.
    pub subwords: Subwords,
    /// Whether texts are lower-cased.
    pub lowercase: bool,
    /// The ratio of target to source length that all but one in a thousand of the training pairs stay below, the end
    /// counted on both sides; at least 1.
    pub max_ratio: f64,
}

impl Language {
    /// Learns the symbols of texts.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn learn<'a>(texts: impl Iterator<Item = &'a str> + Send, settings: &Settings) -> Result<Self> {
        let Settings { units, vocab_size: size, vocab_min, lowercase, .. } = *settings;
        let config = SubwordsConfig { units, size, least: vocab_min as u64, lowercase };
        Ok(Language { subwords: Subwords::train(texts, &config)?, lowercase, max_ratio: 1.0 })
    }

    /// Takes note of how long targets are, measured by their sources: the lengths of each pair, the ends counted.
    pub(super) fn learn_lengths(&mut self, lengths: impl Iterator<Item = (usize, usize)>) {
        let mut ratios: Vec<f64> = lengths.map(|(source, target)| target as f64 / source as f64).collect();
        ratios.sort_by(f64::total_cmp);
        let usual = (USUAL * ratios.len() as f64).ceil() as usize;
        self.max_ratio = ratios.get(usual.saturating_sub(1)).map_or(1.0, |ratio| ratio.max(1.0));
    }

    /// Checks that another language has the same symbols, so that models of both can vote.
    ///
    /// # Errors
    /// If it has not, with the sizes of both.
    pub fn shares_symbols(&self, other: &Language) -> Result<()> {
        if self.subwords == other.subwords && self.lowercase == other.lowercase {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "models that write together need the same symbols, learnt from the same texts; one has {}, the other {}{}",
            self.subwords.len(),
            other.subwords.len(),
            if self.subwords.len() == other.subwords.len() { " others" } else { "" }
        )))
    }

    /// The symbols that are no content.
    fn symbols(&self) -> Symbols {
        let banned = vec![self.subwords.begin(), self.subwords.unknown()];
        Symbols { begin: self.subwords.begin(), end: self.subwords.end(), banned }
    }

    /// A source's symbols, with an end.
    ///
    /// # Errors
    /// If the text cannot be cut.
    pub fn source(&self, text: &str) -> Result<Vec<u32>> {
        let mut symbols = self.subwords.encode(text)?;
        symbols.push(self.subwords.end());
        Ok(symbols)
    }

    /// Cuts a source down to what is read of it, its end kept.
    pub(super) fn shorten(&self, source: &mut Vec<u32>) {
        if source.len() > MAX_SOURCE + 1 {
            source.truncate(MAX_SOURCE);
            source.push(self.subwords.end());
        }
    }

    /// The symbols of a text, if only the first [`MAX_SOURCE`] of them are read.
    ///
    /// # Errors
    /// If the text cannot be cut.
    pub fn excess(&self, text: &str) -> Result<Option<usize>> {
        // A symbol has at least a byte.
        if text.len() < MAX_SOURCE {
            return Ok(None);
        }
        Ok(Some(self.subwords.encode(text)?.len()).filter(|&symbols| symbols > MAX_SOURCE))
    }

    /// Hypotheses with their texts.
    pub(super) fn written(&self, found: Vec<Hypothesis>) -> Result<Vec<Written>> {
        let written = |hypothesis: Hypothesis| -> Result<Written> {
            Ok(Written { text: self.subwords.decode(&hypothesis.tokens)?, hypothesis })
        };
        found.into_iter().map(written).collect()
    }

    /// The text of the best hypothesis.
    pub(super) fn text(&self, found: &[Hypothesis]) -> Result<String> {
        found.first().map_or(Ok(String::new()), |best| self.subwords.decode(&best.tokens))
    }

    /// Symbols that what is written for a source of this length has at most.
    fn max_length(&self, source: usize) -> usize {
        (source as f64 * self.max_ratio).ceil() as usize + SPARE
    }
}

/// The symbols and the way to search of a model file of this task.
///
/// # Errors
/// [`Error::Model`] if it is of another task, or a part is missing or cannot be.
pub(super) fn parts_of(loaded: &Loaded, task: &str) -> Result<(Language, BeamConfig)> {
    let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
    let of = &loaded.document.config()["task"];
    if of != task {
        return Err(wrong(format!("its task is {of}, not {task}")));
    }
    let language: Language = plan::part(loaded, "language")?;
    if !(1.0..1e6).contains(&language.max_ratio) {
        return Err(wrong(format!("`language.max_ratio` is {}", language.max_ratio)));
    }
    Ok((language, plan::part(loaded, "decoding")?))
}

/// A text that was written, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Its symbols, log-probability and score.
    pub hypothesis: Hypothesis,
}

/// The decoder the settings ask for, with attention.
pub(super) fn decoder(settings: &Settings, vocab: usize) -> DecoderConfig {
    let s = settings;
    DecoderConfig {
        cell: s.cell,
        vocab,
        embedding: if s.embedding > 0 { s.embedding } else { s.hidden },
        hidden: s.hidden,
        layers: if s.conditional { 1 } else { s.layers },
        upper_layers: if s.conditional { 1 } else { s.upper_layers },
        conditional: s.conditional,
        attention: Some(s.attention),
        attention_hidden: s.hidden,
        scaled_attention: true,
        tied: s.tied,
        dropout: s.dropout,
        locked_dropout: s.locked_dropout,
        label_smoothing: s.label_smoothing,
    }
}

/// How the settings search.
pub(super) fn beam_config(settings: &Settings) -> BeamConfig {
    let s = settings;
    BeamConfig {
        beam: s.beam,
        length_penalty: s.length_penalty,
        coverage_penalty: s.coverage_penalty,
        no_repeat_ngram: s.no_repeat_ngram,
        ..BeamConfig::default()
    }
}

/// How the settings search while training.
pub(super) fn val_beam_config(settings: &Settings) -> BeamConfig {
    BeamConfig { beam: settings.val_beam, ..beam_config(settings) }
}

/// The probability that a decoder reads its own symbols at a point of the run: grows in a line, scheduled sampling.
pub(super) fn own_probability(settings: &Settings, epochs: f64, batches: u64) -> f64 {
    let share = |done: f64, all: f64| if all > 0.0 { done / all } else { 0.0 };
    let updates = batches as f64 / settings.accumulate as f64;
    settings.scheduled_sampling * share(epochs, settings.epochs).max(share(updates, settings.max_steps as f64)).min(1.0)
}

/// The held-out examples that are looked at while training: `limit` of `n` at most, evenly spread; all, if that is 0.
pub(super) fn spread(n: usize, limit: usize) -> impl Iterator<Item = usize> {
    let count = if limit == 0 { n } else { n.min(limit) };
    (0..count).map(move |i| i * n / count)
}

/// The best that follows from each source, in their order; `lengths` are the sources', `steppers` starts to write for some
/// of them with each network: several vote. Runs on the current thread pool; neither threads nor what else is asked change
/// an answer.
///
/// # Errors
/// As [`beam_search`] and [`Ensemble::new`].
pub(super) fn search<M: StepModel>(
    steppers: impl Fn(&[usize]) -> Vec<M> + Sync,
    language: &Language,
    lengths: &[usize],
    config: &BeamConfig,
) -> Result<Vec<Vec<Hypothesis>>> {
    config.validate()?;
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let symbols = language.symbols();
    let part = |part: &[usize]| {
        let max_length = |&i: &usize| language.max_length(lengths[i]).max(config.min_length);
        let query = |i| Query { prefix: Vec::new(), max_length: max_length(i) };
        let queries: Vec<Query> = part.iter().map(query).collect();
        beam_search(&mut Ensemble::new(steppers(part))?, &queries, &symbols, config)
    };
    let side_by_side = (ROWS / config.beam).clamp(1, SIDE_BY_SIDE);
    let parts: Vec<_> = order.par_chunks(side_by_side).map(part).collect::<Result<_>>()?;
    let mut found = vec![Vec::new(); lengths.len()];
    for (hypotheses, &i) in parts.into_iter().flatten().zip(&order) {
        found[i] = hypotheses;
    }
    Ok(found)
}

/// The loss in nats of targets whose log-probabilities under each network are given, summed: that of the networks' mean.
pub(super) fn nats(log_probs: &[Vec<f32>]) -> f64 {
    let [first, others @ ..] = log_probs else { return 0.0 };
    if others.is_empty() {
        return -first.iter().map(|&x| f64::from(x)).sum::<f64>();
    }
    let of = |row: usize| {
        let p: f64 = log_probs.iter().map(|one| f64::from(one[row]).exp()).sum();
        -(p / log_probs.len() as f64).ln()
    };
    (0..first.len()).map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Units;

    #[test]
    fn a_search_allows_for_usual_lengths_and_not_for_the_longest_one() {
        let settings = Settings { units: Units::Char, vocab_min: 1, ..Settings::default() };
        let mut language = Language::learn(["abc"].into_iter(), &settings).unwrap();
        language.learn_lengths((0..2000).map(|i| (10, if i == 7 { 900 } else { 20 })));
        assert_eq!((language.max_ratio, language.max_length(10)), (2.0, 20 + SPARE));
        language.learn_lengths([(4, 2)].into_iter());
        assert_eq!(language.max_ratio, 1.0);
        // Of few pairs all count.
        language.learn_lengths((0..20).map(|i| (10, if i == 7 { 90 } else { 20 })));
        assert_eq!(language.max_ratio, 9.0);
    }

    #[test]
    fn own_symbols_are_read_more_and_more_over_the_run() {
        let settings = Settings { scheduled_sampling: 0.4, epochs: 10.0, max_steps: 0, ..Settings::default() };
        assert_eq!([0.0, 5.0, 12.0].map(|epochs| own_probability(&settings, epochs, 7)), [0.0, 0.2, 0.4]);
        let settings = Settings { max_steps: 100, accumulate: 2, ..settings };
        assert_eq!(own_probability(&settings, 1.0, 100), 0.2);
    }

    #[test]
    fn what_is_looked_at_while_training_is_spread_over_all() {
        assert_eq!(spread(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(spread(3, 4).count(), 3);
        assert_eq!(spread(3, 0).count(), 3);
        assert_eq!(spread(0, 5).count(), 0);
    }

    #[test]
    fn the_loss_of_several_is_that_of_their_mean_probability() {
        let (a, b) = ([0.5f32, 0.1], [0.25f32, 0.3]);
        let log = |p: [f32; 2]| p.map(f32::ln).to_vec();
        assert!((nats(&[log(a), log(b)]) + (0.375f64.ln() + 0.2f64.ln())).abs() < 1e-6);
        assert!((nats(&[log(a)]) + (0.5f64.ln() + 0.1f64.ln())).abs() < 1e-6);
    }
}
