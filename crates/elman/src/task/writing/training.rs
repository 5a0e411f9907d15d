//! What a run trains on: batches of examples of similar length; validation writes texts.

use serde_json::{Value, json};

use super::member::Member;
use super::network::{Network, Sources};
use super::work::{Batch, Corpus, Writing, baselines, shown};
use super::writer::Writer;
use crate::data::Buckets;
use crate::data::captions::Example;
use crate::decode::BeamConfig;
use crate::error::Result;
use crate::metric::{Baseline, Review};
use crate::param::Params;
use crate::rng::Rng;
use crate::settings::{Data, Settings};
use crate::task::Task;
use crate::task::plan::blocks_of_batch;
use crate::train::{Batches, Cursor, Engine, Ranks, Scores, blocks_of, cursor_of};

/// The batches of a run.
#[derive(Debug)]
pub(super) struct Training<'c, W: Writing> {
    corpus: &'c Corpus<W>,
    settings: &'c Settings,
    buckets: Buckets,
    blocks: usize,
    /// The validation examples that texts are written for during training.
    val: Vec<Example>,
    /// What was written for them when they were last validated.
    written: Vec<String>,
    baselines: Vec<Baseline>,
    fingerprint: Value,
}

impl<'c, W: Writing> Training<'c, W> {
    /// # Errors
    /// If there is no example.
    pub(super) fn new(corpus: &'c Corpus<W>, settings: &'c Settings, ranks: &Ranks) -> Result<Self> {
        let lengths = corpus.train.iter().map(|(source, target)| corpus.sources.length(*source) + target.len());
        let buckets = Buckets::new(lengths.collect(), settings.batch, settings.seed)?;
        let batch = buckets.batch();
        let blocks = blocks_of_batch(settings, batch, ranks, |batch| blocks_of(batch, 16));
        let val: Vec<Example> = spread(corpus.val.len(), settings.val_limit).map(|i| corpus.val[i].clone()).collect();
        let baselines = baselines::<W>(&val, &corpus.tokenizer, Some(corpus))?;
        let (written, fingerprint) = (Vec::new(), W::fingerprint(corpus)?);
        Ok(Training { corpus, settings, buckets, blocks, val, written, baselines, fingerprint })
    }
}

impl<W: Writing> Batches<W::Network> for Training<'_, W> {
    fn initial_states(&self) -> Vec<()> {
        vec![(); self.blocks]
    }

    fn next_batch(&mut self, index: u64, batches: &mut Vec<Batch<W>>, _: &mut dyn Iterator<Item = &mut ()>) {
        let own = own_probability(self.settings, self.buckets.epochs(), index);
        let Corpus { task, tokenizer, sources, train, .. } = self.corpus;
        let examples = self.buckets.next_batch();
        batches.clear();
        // Dealt like cards, so that blocks take similar times.
        batches.extend((0..self.blocks).map(|block| {
            let part = examples.iter().skip(block).step_by(self.blocks).map(|&i| &train[i]);
            let pairs = part.map(|(source, target)| (sources.get(*source), &target[..])).unzip();
            let rng = |stream: &str| Rng::for_step(self.settings.seed, stream, index, block as u64);
            let mut batch = task.block(pairs, tokenizer, rng);
            if own > 0.0 {
                W::Network::targets_mut(&mut batch).scheduled_sampling(own, &mut rng("scheduled sampling"));
            }
            batch
        }));
    }

    cursor_of!(buckets);

    fn fingerprint(&self) -> Value {
        self.fingerprint.clone()
    }

    fn validate(
        &mut self,
        network: &W::Network,
        params: &Params<f32>,
        engine: &Engine<f32, W::Network>,
    ) -> Result<Scores> {
        let config = BeamConfig { beam: self.settings.val_beam, ..self.settings.beam_config() };
        let members = [Member::new(network.clone(), params)];
        let writer = Writer::<W>::new(&self.corpus.tokenizer, &members).among(engine.ranks());
        let found = engine.install(|| writer.evaluate(&self.corpus.sources, &self.val, &config))?;
        // `loss_nats` is `val_nats` in the metrics of every task.
        let record = |name: &str| format!("val_{}", name.strip_prefix("loss_").unwrap_or(name));
        let measures = W::validated(&self.val).into_iter().filter_map(|name| Some((record(name), found.get(name)?)));
        let values = measures.collect();
        self.written = found.texts;
        Ok(Scores { values, higher_is_better: true })
    }

    fn review(&self, step: u64) -> Option<Review> {
        (self.written.len() == self.val.len()).then(|| Review {
            step,
            examples: self.val.len(),
            baselines: self.baselines.clone(),
            shown: shown::<W>(self.settings, &self.corpus.sources, &self.val, &self.written),
            ..Review::default()
        })
    }

    fn sample(&mut self, network: &W::Network, params: &Params<f32>, step: u64) -> Result<Option<String>> {
        let Corpus { tokenizer, sources, val, .. } = self.corpus;
        if val.is_empty() {
            return Ok(None);
        }
        let example = &val[Rng::for_step(self.settings.seed, "sample", step, 0).below(val.len())];
        let members = [Member::new(network.clone(), params)];
        let writer = Writer::<W>::new(tokenizer, &members);
        let found = writer.search(sources, &[example.source], &BeamConfig::greedy())?;
        let (name, written, right) = (&example.name, writer.text(&found[0])?, &example.targets[0]);
        Ok(Some(format!("source: {name}\nwritten: {written}\nright: {right}")))
    }

    fn model_config(&self, network: &W::Network) -> Value {
        let mut config = json!({
            "task": W::NAME,
            "shape": W::SHAPE,
            "network": network.sizes(),
            "language": self.corpus.tokenizer,
            "decoding": self.settings.beam_config(),
            "builtin": Task::find(W::NAME).is_ok_and(|task| task.data_of(self.settings) == Data::Builtin),
        });
        self.corpus.task.describe_in(&mut config);
        config
    }
}

/// The probability of scheduled sampling at a point of the run: it grows linearly.
pub(super) fn own_probability(settings: &Settings, epochs: f64, batches: u64) -> f64 {
    let share = |done: f64, all: f64| if all > 0.0 { done / all } else { 0.0 };
    let updates = batches as f64 / settings.accumulate as f64;
    settings.scheduled_sampling * share(epochs, settings.epochs).max(share(updates, settings.max_steps as f64)).min(1.0)
}

/// `limit` of `n` validation examples at most, evenly spread; all, if that is 0.
pub(super) fn spread(n: usize, limit: usize) -> impl Iterator<Item = usize> {
    let count = if limit == 0 { n } else { n.min(limit) };
    (0..count).map(move |i| i * n / count)
}
