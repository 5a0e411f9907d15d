//! The network and the run that suit a text and the time there is for it.
//!
//! The cost of a run is counted in products: multiplications of the forward pass per token, times the tokens trained on.
//! For a given cost the loss depends on how it is divided between size and length, but only a little: on Tiny
//! Shakespeare a network of 82,000 weights after 17 M characters and one of 263,000 after 3 M are as good. What costs
//! much is a run of few updates, or one that ends before it has read the text; and what is too large for its text learns
//! it by heart.

use super::{Corpus, score};
use crate::cell::CellKind;
use crate::settings::Settings;
use crate::train::teachable;

/// Products that a core is assumed to make per second where no time limit asks how fast this machine is; measured, beside
/// other work. It is a constant so that a run without a time limit is the same on every machine.
pub const ASSUMED_SPEED: f64 = 8e9;
/// Cores and seconds that a run without any limit may take, at that speed.
const ASSUMED_CORES: f64 = 2.0;
const UNLIMITED_S: f64 = 1800.0;
/// Share of a timed run that is left to training: the rest goes into validation and saving.
const TRAINING: f64 = 0.9;
/// Tokens trained on for each product per token, at least: below, size costs more than it brings.
const TOKENS_PER_PRODUCT: f64 = 20.0;
/// Validations of a run at most, and the share of its cost that they may have; to validate a token costs a third of what
/// it costs to train on it.
const VALIDATIONS: f64 = 10.0;
const VALIDATING: f64 = 0.15;
/// Tokens that are validated in a moment: of fewer it is not asked what they cost.
const MOMENT: f64 = 10_000.0;
/// Updates that a run should have, before its batches become larger, and the sequences of a batch: from eight on two cores
/// share them, and more than sixteen only bring fewer updates, unless there are more cores.
const UPDATES: f64 = 3000.0;
const BATCH: [usize; 2] = [8, 16];
/// Learning rate times width over the root of the batch: 0.009 at 160 units and batches of 16. There 100,000 characters are
/// learned better at 0.012 than at 0.006, and a million, at 192 units, better at 0.006.
const RATE: f64 = 0.36;
/// Widths of the network.
const HIDDEN: std::ops::RangeInclusive<usize> = 64..=1024;

/// What is known before anything is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Training tokens.
    pub tokens: usize,
    /// Validation tokens.
    pub held_out: usize,
    /// Distinct tokens `V`.
    pub vocab: usize,
    /// The recurrent cell.
    pub cell: CellKind,
    /// Recurrent layers.
    pub layers: usize,
    /// Batches of an update.
    pub accumulate: usize,
    /// The time limit and what the machine can do.
    pub time: Option<Time>,
    /// The limit of updates.
    pub max_steps: Option<u64>,
}

/// A time limit and what can be done in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    /// Seconds of the whole run.
    pub seconds: f64,
    /// Products per second, all threads together.
    pub speed: f64,
    /// Threads.
    pub threads: usize,
}

/// The settings that can be chosen; those that are given stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Given {
    pub hidden: Option<usize>,
    pub embedding: Option<usize>,
    pub batch: Option<usize>,
    pub seq_len: Option<usize>,
    pub lr: Option<f64>,
    pub dropout: Option<f64>,
    pub epochs: Option<f64>,
    pub ema_decay: Option<f64>,
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Fit {
    pub hidden: usize,
    pub embedding: usize,
    pub batch: usize,
    pub seq_len: usize,
    pub lr: f64,
    pub dropout: f64,
    /// 0 if the limit of updates alone ends the run.
    pub epochs: f64,
    pub ema_decay: f64,
    /// Updates between validations where they would cost too much once an epoch or ten times in the run.
    pub val_every: Option<u64>,
    /// Tokens that the run will train on, about.
    pub trained: f64,
    /// In a sentence, what was chosen and why.
    pub why: String,
}

/// Passes after which a text of so many tokens is learned: longer runs learn it by heart.
fn passes(tokens: f64) -> f64 {
    if tokens < 300_000.0 { 13.0 } else { 15.0 }
}

impl Given {
    /// Whether nothing is left to choose.
    pub fn is_complete(&self) -> bool {
        let sizes = [self.hidden, self.embedding, self.batch, self.seq_len];
        let rates = [self.lr, self.dropout, self.epochs, self.ema_decay];
        sizes.iter().all(Option::is_some) && rates.iter().all(Option::is_some)
    }
}

impl Facts {
    /// Of a text and what the settings say; without the time.
    pub fn of(corpus: &Corpus, settings: &Settings) -> Facts {
        Facts {
            tokens: corpus.train.len(),
            held_out: corpus.val.len(),
            vocab: corpus.vocab.len(),
            cell: settings.cell,
            layers: settings.layers,
            accumulate: settings.accumulate,
            time: None,
            max_steps: (settings.max_steps > 0).then_some(settings.max_steps),
        }
    }

    fn gates(&self) -> f64 {
        match self.cell {
            CellKind::RnnTanh | CellKind::RnnRelu => 1.0,
            CellKind::Gru | CellKind::GruResetBefore => 3.0,
            CellKind::Lstm | CellKind::LstmPeephole => 4.0,
        }
    }

    /// The learning rate of Adam: it falls with the width and grows with the root of the batch. At 160 units and twice the
    /// rate of a GRU an LSTM gains 0.05 nats.
    fn rate(&self, hidden: usize, batch: usize) -> f64 {
        let rate = if self.cell.has_c() { 2.0 * RATE } else { RATE };
        (rate * (batch as f64).sqrt() / hidden as f64).clamp(0.001, 0.02)
    }

    /// Recurrent weights of layers of `hidden` units that read `embedding` numbers.
    fn recurrent(&self, hidden: usize, embedding: usize) -> f64 {
        let (h, e, layers) = (hidden as f64, embedding as f64, self.layers as f64);
        self.gates() * h * (layers * h + e + (layers - 1.0) * h)
    }

    /// Products per token: the recurrent layers and the output. Tokens' input products are a table that is computed once
    /// per update.
    pub(super) fn products(&self, hidden: usize, embedding: usize, tokens_per_update: f64) -> f64 {
        let (h, v) = (hidden as f64, self.vocab as f64);
        let table = v * embedding.max(1) as f64 * self.gates() * h / tokens_per_update;
        self.recurrent(hidden, 0) + v * h + table
    }

    /// Products of the whole run.
    fn budget(&self) -> f64 {
        match self.time {
            Some(time) => TRAINING * time.speed * time.seconds,
            None => ASSUMED_SPEED * ASSUMED_CORES * UNLIMITED_S,
        }
    }

    /// Tokens that a run may train on, by its other limits than time.
    fn longest(&self, given: &Given, tokens_per_update: f64) -> f64 {
        let passes = match (given.epochs, self.max_steps) {
            (Some(epochs), _) if epochs > 0.0 => epochs,
            (Some(_), _) => f64::INFINITY,
            (None, Some(_)) => f64::INFINITY,
            (None, None) => passes(self.tokens as f64),
        };
        let steps = self.max_steps.map_or(f64::INFINITY, |steps| steps as f64 * tokens_per_update);
        (passes * self.tokens as f64).min(steps)
    }
}

/// Chooses what is not given.
pub fn fit(facts: &Facts, given: &Given) -> Fit {
    let tokens = facts.tokens.max(1) as f64;
    // A short text still gives eight sequences.
    let seq_len = given.seq_len.unwrap_or(if facts.tokens < 30_000 { (facts.tokens / 9).clamp(1, 32) } else { 64 });
    let per_update = |batch: usize| (batch * seq_len * facts.accumulate.max(1)) as f64;
    // Where updates are counted, larger batches are more text and not fewer updates.
    let least = BATCH[usize::from(facts.max_steps.is_some())];
    let smallest = per_update(given.batch.unwrap_or(least));
    let (budget, longest) = (facts.budget(), facts.longest(given, smallest));

    let embedding_of = |hidden: usize| given.embedding.unwrap_or(if hidden < 384 { hidden.min(64) } else { 128 });
    // The size that makes the most of the time, or what the whole text can be read with if that is more; but no more than
    // the text can teach.
    let affordable = (budget / TOKENS_PER_PRODUCT).sqrt().max(budget / longest);
    let teachable = teachable(facts.tokens);
    let fits = |hidden: &usize| {
        facts.products(*hidden, embedding_of(*hidden), smallest) <= affordable
            && facts.recurrent(*hidden, embedding_of(*hidden)) <= teachable
    };
    let hidden = given.hidden.unwrap_or_else(|| HIDDEN.rev().step_by(16).find(fits).unwrap_or(*HIDDEN.start()));
    let embedding = embedding_of(hidden);
    let trained = longest.min(budget / facts.products(hidden, embedding, smallest));

    let batch = given.batch.unwrap_or_else(|| {
        if facts.max_steps.is_some() {
            return least;
        }
        // Powers of two, so that blocks are equal.
        let wanted = (trained / UPDATES / per_update(1)).max(1.0).log2().round();
        let batch = (wanted.exp2() as usize).clamp(BATCH[0], BATCH[1]);
        facts.time.map_or(batch, |time| batch.max((4 * time.threads).next_power_of_two().min(64)))
    });
    let updates = trained / per_update(batch);
    let read = trained / tokens;
    let fit = Fit {
        hidden,
        embedding,
        batch,
        seq_len,
        lr: given.lr.unwrap_or_else(|| rounded(facts.rate(hidden, batch))),
        dropout: given.dropout.unwrap_or(match read {
            _ if read < 2.0 => 0.05,
            _ if read < 6.0 => 0.1,
            _ if read < 10.0 => 0.3,
            _ if facts.tokens > 300_000 => 0.35,
            _ if facts.tokens > 30_000 => 0.45,
            _ => 0.5,
        }),
        epochs: given.epochs.unwrap_or(match (facts.max_steps, facts.time) {
            (Some(_), _) => 0.0,
            // Time ends the run, or this does where the text has nothing more to teach.
            (None, Some(_)) => passes(tokens),
            (None, None) => rounded(read),
        }),
        ema_decay: given.ema_decay.unwrap_or(rounded((1.0 - 30.0 / updates.max(60.0)).clamp(0.5, 0.998))),
        val_every: val_every(facts, trained, updates),
        trained,
        why: String::new(),
    };
    Fit { why: why(facts, &fit, affordable < teachable), ..fit }
}

fn val_every(facts: &Facts, trained: f64, updates: f64) -> Option<u64> {
    let each = facts.held_out.clamp(1, score::LIMIT) as f64;
    let count = 3.0 * VALIDATING * trained / each;
    (facts.time.is_none() && each > MOMENT && count < VALIDATIONS)
        .then(|| (updates / count.max(1.0)).ceil().max(1.0) as u64)
}

/// To three digits.
fn rounded(x: f64) -> f64 {
    format!("{x:.2e}").parse().unwrap_or(x)
}

fn why(facts: &Facts, fit: &Fit, time_decides: bool) -> String {
    let passes = fit.trained / facts.tokens.max(1) as f64;
    let length = match passes {
        _ if passes < 0.5 => format!("{:.1} % of a pass", 100.0 * passes),
        _ if passes < 9.95 => format!("{passes:.1} passes"),
        _ => format!("{passes:.0} passes"),
    };
    let size = format!("{} units and batches of {} x {}", fit.hidden, fit.batch, fit.seq_len);
    match facts.time {
        Some(_) if time_decides => {
            format!("{size}: at the speed of this machine the time is enough for {length}")
        }
        Some(_) => {
            format!("{size}: as much as the text can teach; training ends after {length}, or with the time")
        }
        None => format!("{size}, {length}: chosen by the length of the text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(tokens: usize, seconds: Option<f64>) -> Facts {
        let time = seconds.map(|seconds| Time { seconds, speed: 2.0 * 12e9, threads: 2 });
        let (cell, layers) = (CellKind::Gru, 1);
        Facts { tokens, held_out: tokens / 9, vocab: 65, cell, layers, accumulate: 1, time, max_steps: None }
    }

    const TEXTS: [usize; 6] = [2_000, 13_500, 90_000, 270_000, 1_003_854, 90_000_000];
    const TIMES: [Option<f64>; 4] = [Some(10.0), Some(45.0), Some(600.0), None];

    /// Seconds that a run takes at the speed it was chosen for.
    fn seconds(facts: &Facts, fit: &Fit) -> f64 {
        let speed = facts.time.map_or(ASSUMED_SPEED * ASSUMED_CORES, |time| time.speed);
        fit.trained * facts.products(fit.hidden, fit.embedding, (fit.batch * fit.seq_len) as f64) / speed
    }

    fn updates(fit: &Fit) -> f64 {
        fit.trained / (fit.batch * fit.seq_len) as f64
    }

    #[test]
    fn every_text_is_learned_by_many_updates_within_the_time() {
        for tokens in TEXTS {
            for limit in TIMES {
                let facts = facts(tokens, limit);
                let fit = fit(&facts, &Given::default());
                println!("{tokens} {limit:?} {:.0} s {:.0} u {fit:?}", seconds(&facts, &fit), updates(&fit));
                assert!(seconds(&facts, &fit) <= limit.unwrap_or(UNLIMITED_S), "{tokens} {limit:?}");
                assert!(updates(&fit) >= 100.0, "{tokens} {limit:?}: {}", updates(&fit));
                // The average is over a small part of the run.
                assert!(10.0 / (1.0 - fit.ema_decay) < updates(&fit), "{tokens} {limit:?}: {}", fit.ema_decay);
                if let Some(every) = fit.val_every {
                    let validated = updates(&fit) / every as f64 * facts.held_out.min(score::LIMIT) as f64 / 3.0;
                    assert!(validated < 0.2 * fit.trained, "{tokens} {limit:?}: {validated}");
                }
            }
        }
    }

    #[test]
    fn short_texts_end_soon_and_more_text_or_time_never_gives_a_smaller_network() {
        let of = |tokens, limit| fit(&facts(tokens, limit), &Given::default());
        for limit in TIMES {
            let hidden = TEXTS.map(|tokens| of(tokens, limit).hidden);
            assert!(limit.is_some() || hidden.is_sorted(), "{hidden:?}");
            assert!(seconds(&facts(13_500, limit), &of(13_500, limit)) < 10.0);
        }
        for tokens in TEXTS {
            let hidden = [10.0, 45.0, 600.0, 3600.0].map(|seconds| of(tokens, Some(seconds)).hidden);
            assert!(hidden.is_sorted(), "{tokens}: {hidden:?}");
        }
        // What a text can teach bounds the network, however much time there is.
        assert!(of(13_500, Some(3600.0)).hidden < 200 && of(1_003_854, Some(36_000.0)).hidden < 600);
    }

    #[test]
    fn what_is_given_stays_and_the_rest_follows_it() {
        let facts = facts(1_003_854, Some(45.0));
        let given = Given { hidden: Some(800), batch: Some(5), seq_len: Some(10), lr: Some(0.1), ..Given::default() };
        let fit = fit(&facts, &given);
        assert_eq!((fit.hidden, fit.batch, fit.seq_len, fit.lr), (800, 5, 10, 0.1));
        let all = self::fit(&facts, &Given::default());
        assert!(fit.trained < all.trained / 4.0 && fit.dropout <= all.dropout);
        let steps = Facts { max_steps: Some(300), time: None, ..facts };
        let fit = self::fit(&steps, &Given::default());
        assert_eq!((fit.epochs, updates(&fit)), (0.0, 300.0));
        let epochs = Given { epochs: Some(2.0), ..Given::default() };
        let fit = self::fit(&Facts { max_steps: None, ..steps }, &epochs);
        assert_eq!((fit.epochs, fit.trained), (2.0, 2.0 * 1_003_854.0));
    }

    #[test]
    fn a_large_vocabulary_is_counted_in() {
        let letters = facts(1_000_000, Some(45.0));
        let signs = Facts { vocab: 5_000, ..letters.clone() };
        let [few, many] = [&letters, &signs].map(|facts| fit(facts, &Given::default()));
        assert!(many.hidden < few.hidden && seconds(&signs, &many) <= 45.0, "{many:?}");
    }
}
