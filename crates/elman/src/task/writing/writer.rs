//! Networks ready to write: one alone, or several that vote.

use std::cmp::Reverse;
use std::marker::PhantomData;

use rayon::prelude::*;

use super::member::Member;
use super::network::{Network, Sources};
use super::work::Writing;
use crate::data::captions::Example;
use crate::data::tokenizer::Tokenizer;
use crate::decode::{BeamConfig, Ensemble, Hypothesis, Query, SpecialTokens, beam_search};
use crate::error::Result;
use crate::shape::Shape;
use crate::task::{Evaluation, Measure, Unit};
use crate::train::Ranks;

/// Hypotheses of sequences that are searched side by side: enough rows that reading the weights costs little.
const ROWS: usize = 320;
/// Sequences side by side at most: the threads share them out.
const SIDE_BY_SIDE: usize = 128;

/// Writes with one network, or with the mean of the probabilities of several.
pub(super) struct Writer<'m, W: Writing> {
    tokenizer: &'m Tokenizer,
    members: &'m [Member<W::Network>],
    /// Those that share the sources out.
    ranks: Ranks,
    task: PhantomData<W>,
}

impl<'m, W: Writing> Writer<'m, W> {
    pub(super) fn new(tokenizer: &'m Tokenizer, members: &'m [Member<W::Network>]) -> Self {
        Writer { tokenizer, members, ranks: Ranks::default(), task: PhantomData }
    }

    /// Together with other processes, which ask the same.
    pub(super) fn among(self, ranks: &Ranks) -> Self {
        Writer { ranks: ranks.clone(), ..self }
    }

    /// The best hypotheses for some of the sources, in their order. Runs on the current thread pool; neither threads nor
    /// what else is asked change a result.
    ///
    /// # Errors
    /// As [`beam_search`] and [`Ensemble::new`].
    pub(super) fn search(
        &self,
        sources: &W::Sources,
        which: &[usize],
        config: &BeamConfig,
    ) -> Result<Vec<Vec<Hypothesis>>> {
        config.validate()?;
        let mut order: Vec<usize> = (0..which.len()).collect();
        order.sort_by_key(|&i| Reverse(sources.length(which[i])));
        let subwords = &self.tokenizer.subwords;
        let suppressed = vec![subwords.bos(), subwords.unk()];
        let special = SpecialTokens { bos: subwords.bos(), eos: subwords.eos(), suppressed };
        let part = |part: &[usize]| {
            let query = |&i: &usize| {
                let max_length = self.tokenizer.max_length(sources.length(which[i])).max(config.min_length);
                Query { prefix: Vec::new(), max_length }
            };
            let queries: Vec<Query> = part.iter().map(query).collect();
            let sources: Vec<_> = part.iter().map(|&i| sources.get(which[i])).collect();
            let steppers = self.members.iter().map(|member| member.network.start(&member.prepared, &sources));
            beam_search(&mut Ensemble::new(steppers.collect())?, &queries, &special, config)
        };
        let side_by_side = (ROWS / config.beam).clamp(1, SIDE_BY_SIDE);
        let all: Vec<&[usize]> = order.chunks(side_by_side).collect();
        let parts = self.ranks.share(all.len(), |own| own.par_iter().map(|&i| part(all[i])).collect())?;
        let mut found = vec![Vec::new(); which.len()];
        for (hypotheses, &i) in parts.into_iter().flatten().zip(&order) {
            found[i] = hypotheses;
        }
        Ok(found)
    }

    /// The text of the best hypothesis.
    pub(super) fn text(&self, found: &[Hypothesis]) -> Result<String> {
        found.first().map_or(Ok(String::new()), |best| self.tokenizer.subwords.decode(&best.tokens))
    }

    /// The mean loss of the targets in nats per token with teacher forcing, the EOS counted.
    fn loss_nats(&self, sources: &W::Sources, examples: &[Example]) -> Result<f64> {
        let mut targets = self.tokenizer.targets(examples)?;
        targets.sort_by_key(|(source, target)| Reverse(sources.length(*source) + target.len()));
        let all: Vec<_> = targets.chunks(W::Network::SIDE_BY_SIDE).collect();
        let loss = |tapes: &mut Vec<<W::Network as Shape<f32>>::Tape>, part: &usize| {
            let (sources, targets): (Vec<_>, Vec<_>) =
                all[*part].iter().map(|(source, target)| (sources.get(*source), &target[..])).unzip();
            let batch = W::Network::batch(&sources, &targets, self.tokenizer);
            tapes.resize_with(self.members.len(), Default::default);
            let each = self.members.iter().zip(tapes);
            let log_probs: Vec<Vec<f32>> =
                each.map(|(member, tape)| member.network.log_probs(&member.prepared, &batch, tape)).collect();
            (nats(&log_probs), self.members[0].network.targets(&batch) as u64)
        };
        let parts: Vec<(f64, u64)> =
            self.ranks.share(all.len(), |own| Ok(own.par_iter().map_init(Vec::new, loss).collect()))?;
        let (nats, tokens) = parts.iter().fold((0.0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        Ok(nats / tokens.max(1) as f64)
    }

    /// Writes for every example and compares with its targets. Runs on the current thread pool.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub(super) fn evaluate(
        &self,
        sources: &W::Sources,
        examples: &[Example],
        config: &BeamConfig,
    ) -> Result<Evaluation> {
        let loss_nats = self.loss_nats(sources, examples)?;
        let which: Vec<usize> = examples.iter().map(|example| example.source).collect();
        let found = self.search(sources, &which, &BeamConfig { nbest: 1, ..config.clone() })?;
        let tokens: usize = found.iter().filter_map(|found| found.first()).map(|best| best.tokens.len()).sum();
        let texts: Vec<String> = found.iter().map(|found| self.text(found)).collect::<Result<_>>()?;
        let references: Vec<Vec<&str>> =
            examples.iter().map(|example| example.targets.iter().map(String::as_str).collect()).collect();
        let mut evaluation = W::measure(&texts, &references, self.tokenizer)?;
        let unit = Unit::Nats(self.tokenizer.subwords.unit());
        let note = "with teacher forcing".into();
        evaluation.measures.push(Measure { name: "loss_nats", value: loss_nats, unit, note });
        evaluation.details.insert("length".into(), (tokens as f64 / texts.len().max(1) as f64).into());
        Ok(Evaluation { examples: (examples.len(), W::EXAMPLES), texts, ..evaluation })
    }
}

/// The loss in nats of targets whose log-probabilities under each network are given, summed: that of the networks' mean.
fn nats(log_probs: &[Vec<f32>]) -> f64 {
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

    #[test]
    fn the_loss_of_several_is_that_of_their_mean_probability() {
        let (a, b) = ([0.5f32, 0.1], [0.25f32, 0.3]);
        let log = |p: [f32; 2]| p.map(f32::ln).to_vec();
        assert!((nats(&[log(a), log(b)]) + (0.375f64.ln() + 0.2f64.ln())).abs() < 1e-6);
        assert!((nats(&[log(a)]) + (0.5f64.ln() + 0.1f64.ln())).abs() < 1e-6);
    }
}
