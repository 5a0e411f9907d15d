//! The [`Task`] of every shape that is told the right answer to each example: shuffled batches of like length, and a
//! judgement of the held-out examples.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hasher};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::judge::{Answer, Judge, Judgement, Truth};
use super::settings::Settings;
use crate::data::Buckets;
use crate::error::{Error, Result};
use crate::metric::calibration;
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::Answers;
use crate::train::{Engine, Scores, Task};

/// Examples of a batch when they are judged.
const SIDE_BY_SIDE: usize = 32;
/// Examples of a block in training: as many as fill the kernels' tiles.
const BLOCK: usize = 12;
/// Blocks at most: each holds gradients of its own.
const MAX_BLOCKS: usize = 8;

/// Inputs with their right answers, as a shape reads them.
pub trait Examples<S: Answers>: Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Steps of an example.
    fn steps(&self, example: usize) -> usize;

    /// The right answer.
    fn truth(&self, example: usize) -> Truth<'_>;

    /// A batch of these examples, the longest first, in the memory of an earlier one if there is one. With a random
    /// stream, they are varied for training.
    fn batch(&self, examples: &[usize], vary: Option<&mut Rng>, old: Option<S::Batch>) -> S::Batch;

    /// The network's outputs for an example as they belong to its truth: where an answer comes late, the delay is undone.
    fn undelayed(&self, outputs: Vec<f32>) -> Vec<f32> {
        outputs
    }

    /// Gives what the network reads of an example to a hasher.
    fn hash(&self, example: usize, hasher: &mut dyn Hasher);

    /// A number that changes with the content.
    fn checksum(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        for example in 0..self.len() {
            self.hash(example, &mut sum);
            match self.truth(example) {
                Truth::Classes(classes) => classes.iter().for_each(|class| sum.update(&class.to_le_bytes())),
                Truth::Values(values) => values.iter().for_each(|value| sum.update(&value.to_le_bytes())),
            }
        }
        sum.finalize()
    }
}

/// What examples have in common: what a person looks at before training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survey {
    /// Targets of each class, in training and held out; none of numbers.
    pub classes: Vec<(String, [usize; 2])>,
    /// The shortest, the median and the longest example in training, and the one longer than nine of ten; in steps.
    pub steps: [usize; 4],
    /// Training examples that occur before in training.
    pub repeated: usize,
    /// Training examples that occur before with another answer.
    pub contradictory: usize,
    /// Held-out examples that occur in training.
    pub overlap: usize,
    /// Examples held out.
    pub held_out: usize,
}

/// Looks at the examples of a run.
pub(super) fn survey<S: Answers, E: Examples<S>>(train: &E, val: &E, names: &[String]) -> Survey {
    let mut classes: Vec<(String, [usize; 2])> = names.iter().map(|name| (name.clone(), [0; 2])).collect();
    for (part, examples) in [train, val].into_iter().enumerate() {
        for example in 0..examples.len() {
            for &class in examples.truth(example).classes() {
                // A step without a label has none.
                if let Some((_, counts)) = classes.get_mut(class as usize) {
                    counts[part] += 1;
                }
            }
        }
    }
    let mut steps: Vec<usize> = (0..train.len()).map(|example| train.steps(example)).collect();
    steps.sort_unstable();
    let at = |share: f64| steps.get((share * steps.len().saturating_sub(1) as f64) as usize).copied().unwrap_or(0);
    let content = |examples: &E, example: usize| {
        let mut hasher = DefaultHasher::new();
        examples.hash(example, &mut hasher);
        hasher.finish()
    };
    let mut first: HashMap<u64, usize> = HashMap::new();
    let (mut repeated, mut contradictory) = (0, 0);
    for example in 0..train.len() {
        match first.entry(content(train, example)) {
            Entry::Vacant(place) => _ = place.insert(example),
            Entry::Occupied(before) => {
                repeated += 1;
                contradictory += usize::from(train.truth(*before.get()) != train.truth(example));
            }
        }
    }
    let overlap = (0..val.len()).filter(|&example| first.contains_key(&content(val, example))).count();
    let steps = [at(0.0), at(0.5), at(0.9), at(1.0)];
    Survey { classes, steps, repeated, contradictory, overlap, held_out: val.len() }
}

/// What the network says to each of these examples, in their order. Runs on the current thread pool; an answer does not
/// depend on what else is asked.
pub(super) fn answers<S, E>(shape: &S, params: &Params<f32>, examples: &E, which: &[usize]) -> Vec<Vec<f32>>
where
    S: Answers,
    E: Examples<S> + ?Sized,
{
    let mut prepared = S::Prepared::default();
    shape.prepare(params, &mut prepared);
    let mut order: Vec<usize> = (0..which.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(examples.steps(which[i])));
    let parts: Vec<Vec<Vec<f32>>> = order
        .par_chunks(SIDE_BY_SIDE)
        .map_init(S::Tape::default, |tape, part| {
            let part: Vec<usize> = part.iter().map(|&i| which[i]).collect();
            shape.answers(params, &prepared, &examples.batch(&part, None, None), tape)
        })
        .collect();
    let mut answers = vec![Vec::new(); which.len()];
    for (answer, &i) in parts.into_iter().flatten().zip(&order) {
        answers[i] = examples.undelayed(answer);
    }
    answers
}

/// Answers and truths of all examples, judged.
pub(super) fn judgement<S, E>(
    shape: &S,
    params: &Params<f32>,
    examples: &E,
    judge: &Judge,
) -> (Judgement, Vec<Vec<f32>>)
where
    S: Answers,
    E: Examples<S> + ?Sized,
{
    let which: Vec<usize> = (0..examples.len()).collect();
    let outputs = answers(shape, params, examples, &which);
    let pairs = outputs.iter().zip(&which).map(|(outputs, &i)| Answer { outputs, truth: examples.truth(i) });
    (judge.judge(pairs), outputs)
}

/// Training on examples.
pub(super) struct Supervised<'d, S: Answers, E: Examples<S>> {
    train: &'d E,
    val: &'d E,
    judge: &'d Judge,
    settings: Settings,
    buckets: Buckets,
    /// The state each block begins a batch in.
    initial: Vec<S::State>,
    /// All of a model file but its network and weights.
    config: Value,
    temperature: f64,
    shape_config: fn(&S) -> Value,
}

impl<'d, S: Answers, E: Examples<S>> Supervised<'d, S, E> {
    /// Training on `train`, judged on `val`. `state` makes the initial state of a number of sequences, `config` and
    /// `shape_config` what a model file says of reader and network.
    ///
    /// # Errors
    /// If there are no examples.
    pub(super) fn new(
        train: &'d E,
        val: &'d E,
        judge: &'d Judge,
        settings: &Settings,
        state: impl Fn(usize) -> S::State,
        config: Value,
        shape_config: fn(&S) -> Value,
    ) -> Result<Self> {
        let lengths = (0..train.len()).map(|i| train.steps(i)).collect();
        let buckets = Buckets::new(lengths, settings.batch, settings.seed)?;
        let count = blocks(buckets.batch());
        let initial = (0..count).map(|block| state(dealt(buckets.batch(), count, block).count())).collect();
        let settings = settings.clone();
        Ok(Supervised { train, val, judge, settings, buckets, initial, config, temperature: 1.0, shape_config })
    }
}

/// The blocks of a batch: an even number, so that two threads have as much to do.
fn blocks(batch: usize) -> usize {
    if batch < BLOCK { 1 } else { batch.div_ceil(BLOCK).next_multiple_of(2).min(MAX_BLOCKS) }
}

/// The places in a sorted batch of the examples of a block: dealt like cards, so that blocks take like times.
fn dealt(batch: usize, blocks: usize, block: usize) -> impl Iterator<Item = usize> {
    (block..batch).step_by(blocks)
}

impl<S: Answers, E: Examples<S>> Task<S> for Supervised<'_, S, E>
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

    fn epochs(&self) -> f64 {
        self.buckets.epochs()
    }

    fn batches_per_epoch(&self) -> f64 {
        self.buckets.batches_per_epoch() as f64
    }

    fn position(&self) -> Value {
        json!(self.buckets.position())
    }

    fn seek(&mut self, position: &Value) -> Result<()> {
        let position = serde_json::from_value(position.clone())
            .map_err(|error| Error::Usage(format!("the position in the data cannot be used: {error}")))?;
        self.buckets.seek(position)
    }

    fn fingerprint(&self) -> Value {
        json!({
            "examples": [self.train.len(), self.val.len()],
            "crc32": [self.train.checksum(), self.val.checksum()],
        })
    }

    fn validate(&mut self, shape: &S, params: &Params<f32>, engine: &Engine<f32, S>) -> Result<Scores> {
        let (judgement, outputs) = engine.install(|| judgement(shape, params, self.val, self.judge));
        if self.settings.calibrate {
            let logits: Vec<f64> = outputs.iter().flatten().map(|&z| f64::from(z)).collect();
            let truths = (0..self.val.len()).map(|i| self.val.truth(i));
            let targets: Vec<u32> = truths.flat_map(|truth| truth.classes().to_vec()).collect();
            if !targets.is_empty() && logits.iter().all(|z| z.is_finite()) {
                self.temperature = calibration::fit_temperature(&logits, logits.len() / targets.len(), &targets)?;
            }
        }
        Ok(judgement.scores())
    }

    fn sample(&mut self, _: &S, _: &Params<f32>, _: u64) -> Result<Option<String>> {
        Ok(None)
    }

    fn model_config(&self, shape: &S) -> Value {
        let mut config = self.config.clone();
        config["network"] = (self.shape_config)(shape);
        config["temperature"] = self.temperature.into();
        config
    }
}
