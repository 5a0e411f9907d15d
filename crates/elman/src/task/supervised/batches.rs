//! Training batches of every shape that is told the target of each example: shuffled, of examples of similar length.

use rayon::prelude::*;
use serde_json::{Value, json};

use super::examples::{Examples, all_outputs, predicted};
use super::goal::Goal;
use crate::data::Buckets;
use crate::error::Result;
use crate::metric::{Baseline, CLASSES, Confusion, Evaluator, Review, calibration};
use crate::param::Params;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::shape::Outputs;
use crate::task::plan::blocks_of_batch;
use crate::train::{Batches, Cursor, Engine, Ranks, Scores, blocks_of, cursor_of};

/// Training on examples.
pub(super) struct SupervisedBatches<'d, S: Outputs, E: Examples<S>> {
    train: &'d E,
    val: &'d E,
    /// Both, for a second training, until it begins.
    all: Option<&'d E>,
    evaluator: &'d Evaluator,
    /// What is predicted, and what simple rules reach on the validation examples.
    about: About<'d>,
    /// The outputs for the validation examples when they were last validated.
    outputs: Vec<Vec<f32>>,
    settings: Settings,
    buckets: Buckets,
    /// The state each block begins a batch in.
    initial: Vec<S::State>,
    /// Training and validation examples, and what they hold.
    counts: [usize; 2],
    checksums: [u32; 2],
    /// All of a model file but its network and weights.
    config: Value,
    temperature: f64,
}

impl<'d, S: Outputs, E: Examples<S>> SupervisedBatches<'d, S, E> {
    /// Training on the first of `examples`, validated on the second, and then on `all` of them; `config` is what a model file
    /// says of the reader.
    ///
    /// # Errors
    /// If there are no examples.
    pub(super) fn new(
        [train, val]: [&'d E; 2],
        all: Option<&'d E>,
        evaluator: &'d Evaluator,
        about: About<'d>,
        settings: &Settings,
        shape: &S,
        config: Value,
        ranks: &Ranks,
    ) -> Result<Self> {
        let buckets = Buckets::new(lengths(train), settings.batch, settings.seed)?;
        let count = blocks_of_batch(settings, buckets.batch(), ranks, blocks_of_old);
        let initial =
            (0..count).map(|block| shape.initial_state(dealt(buckets.batch(), count, block).count())).collect();
        let (counts, checksums) = ([train.len(), val.len()], [train.checksum(), val.checksum()]);
        let settings = settings.clone();
        Ok(SupervisedBatches {
            train,
            val,
            all,
            evaluator,
            about,
            outputs: Vec::new(),
            settings,
            buckets,
            initial,
            counts,
            checksums,
            config,
            temperature: 1.0,
        })
    }
}

/// What is predicted, and what simple rules reach on the validation examples.
#[derive(Clone, Debug)]
pub(super) struct About<'d> {
    pub goal: Goal<'d>,
    pub baselines: Vec<Baseline>,
}

/// The steps of each example.
fn lengths<S: Outputs, E: Examples<S>>(examples: &E) -> Vec<usize> {
    (0..examples.len()).map(|i| examples.steps(i)).collect()
}

/// The number of blocks of a batch by the rules of version 0.1.
fn blocks_of_old(batch: usize) -> usize {
    const SIZE: usize = 12;
    if batch < SIZE { 1 } else { blocks_of(batch, SIZE).next_multiple_of(2) }
}

/// The places in a sorted batch of the examples of a block: dealt like cards, so that blocks take like times.
fn dealt(batch: usize, blocks: usize, block: usize) -> impl Iterator<Item = usize> {
    (block..batch).step_by(blocks)
}

impl<S: Outputs, E: Examples<S>> Batches<S> for SupervisedBatches<'_, S, E>
where
    S::State: Sync,
{
    fn initial_states(&self) -> Vec<S::State> {
        self.initial.clone()
    }

    fn next_batch(&mut self, index: u64, batches: &mut Vec<S::Batch>, states: &mut dyn Iterator<Item = &mut S::State>) {
        let examples = self.buckets.next_batch();
        let (train, seed, count) = (self.train, self.settings.seed, self.initial.len());
        let mut old: Vec<Option<S::Batch>> = std::mem::take(batches).into_iter().map(Some).collect();
        old.resize_with(count, || None);
        let block = |(block, old): (usize, Option<S::Batch>)| {
            let part: Vec<usize> = dealt(examples.len(), count, block).map(|i| examples[i]).collect();
            train.batch(&part, Some(&mut Rng::for_step(seed, "vary", index, block as u64)), old)
        };
        old.into_par_iter().enumerate().map(block).collect_into_vec(batches);
        for (state, initial) in states.zip(&self.initial) {
            *state = initial.clone();
        }
    }

    cursor_of!(buckets);

    fn fingerprint(&self) -> Value {
        json!({
            "examples": self.counts,
            "crc32": self.checksums,
        })
    }

    fn validate(&mut self, shape: &S, params: &Params<f32>, engine: &Engine<f32, S>) -> Result<Scores> {
        let ranks = engine.ranks();
        let outputs = engine.install(|| all_outputs(shape, params, self.val, ranks))?;
        let predictions = predicted(self.val, &outputs);
        let measures = self.evaluator.evaluate(predictions.iter().copied());
        if self.settings.calibrate && !matches!(self.evaluator, Evaluator::Labels { .. }) {
            let logits: Vec<f64> = outputs.iter().flatten().map(|&z| f64::from(z)).collect();
            let targets: Vec<u32> = predictions.iter().flat_map(|one| one.truth.classes()).copied().collect();
            if !targets.is_empty() && logits.iter().all(|z| z.is_finite()) {
                self.temperature = calibration::fit_temperature(&logits, logits.len() / targets.len(), &targets)?;
            }
        }
        let named = |(name, value): (&str, f64)| (format!("val_{}", name.strip_prefix("loss_").unwrap_or(name)), value);
        let values = measures.values.into_iter().map(named).collect();
        self.outputs = outputs;
        Ok(Scores { values, higher_is_better: measures.higher_is_better })
    }

    fn sample(&mut self, _: &S, _: &Params<f32>, step: u64) -> Result<Option<String>> {
        /// Lines of a sample.
        const LINES: usize = 5;
        Ok(self.review(step).map(|review| review.in_words(LINES)))
    }

    fn review(&self, step: u64) -> Option<Review> {
        if self.outputs.len() != self.val.len() {
            return None;
        }
        let predictions = predicted(self.val, &self.outputs);
        let confusion = self.evaluator.evaluate(predictions.iter().copied()).confusion;
        let matrix = |confusion: &Confusion| {
            let classes = 0..confusion.classes();
            classes.clone().map(|truth| classes.clone().map(|found| confusion.count(truth, found)).collect()).collect()
        };
        Some(Review {
            step,
            examples: self.val.len(),
            labels: self.about.goal.labels().to_vec(),
            confusion: confusion.filter(|c| c.classes() <= CLASSES).as_ref().map_or_else(Vec::new, matrix),
            baselines: self.about.baselines.clone(),
            shown: self.about.goal.shown(self.val, &predictions, self.temperature),
        })
    }

    fn can_refit(&self) -> bool {
        self.all.is_some()
    }

    fn refit(&mut self) {
        let Some(all) = self.all.take() else { return };
        // There are examples, and batches of as many.
        if let Ok(buckets) = Buckets::new(lengths(all), self.buckets.batch(), self.settings.seed) {
            (self.train, self.buckets) = (all, buckets);
        }
    }

    fn loss_is_in_nats(&self) -> bool {
        !matches!(self.evaluator, Evaluator::Values { .. })
    }

    fn model_config(&self, shape: &S) -> Value {
        let mut config = self.config.clone();
        config["network"] = json!(shape.sizes());
        config["temperature"] = self.temperature.into();
        config
    }
}
