//! What the training loop needs of a task.

use elman_kernels::Scalar;
use serde_json::Value;

use super::Engine;
use crate::error::Result;
use crate::param::Params;
use crate::shape::Shape;

/// The measure that every task has beside its own: the mean loss of the held-out data, in nats.
const LOSS: &str = "val_nats";
/// How much of a measure a nat weighs against it: less than one example more or less does.
const TIE: f64 = 1e-6;

/// Batches in order, a position that can be saved, and a judgement of the weights: the loop asks nothing else, so a new
/// task changes no loop.
pub trait Task<S: Shape<f32>> {
    /// The state each block of a batch begins in; their number is the number of blocks.
    fn initial_states(&self) -> Vec<S::State>;

    /// The next batch, one part for each block. `index` counts batches from 0. A carried state that does not belong to
    /// what follows is set to the right one here.
    fn next_batch(&mut self, index: u64, batches: &mut Vec<S::Batch>, states: &mut dyn Iterator<Item = &mut S::State>);

    /// Passes over the data made.
    fn epochs(&self) -> f64;

    /// Batches in one pass.
    fn batches_per_epoch(&self) -> f64;

    /// Where the reading stands, for a checkpoint.
    fn position(&self) -> Value;

    /// Goes on from a saved position.
    ///
    /// # Errors
    /// If the position is none of this data.
    fn seek(&mut self, position: &Value) -> Result<()>;

    /// What identifies the data, so that a resumed run notices that they have changed.
    fn fingerprint(&self) -> Value;

    /// Measures the weights on held-out data.
    ///
    /// # Errors
    /// What the measuring meets.
    fn validate(&mut self, shape: &S, params: &Params<f32>, engine: &Engine<f32, S>) -> Result<Scores>;

    /// A sample of what the network does now, for people; none where there is nothing to show.
    ///
    /// # Errors
    /// If the network's outputs are no numbers.
    fn sample(&mut self, shape: &S, params: &Params<f32>, step: u64) -> Result<Option<String>>;

    /// All of a model file but the weights: a JSON object.
    fn model_config(&self, shape: &S) -> Value;
}

/// What a validation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Each measure by its name, the one that chooses the best model first.
    pub values: Vec<(String, f64)>,
    /// Whether the first is better when it is higher.
    pub higher_is_better: bool,
}

impl Scores {
    /// The number that chooses the best model: lower is better.
    pub fn objective(&self) -> f64 {
        let value = self.values.first().map_or(f64::NAN, |(_, value)| *value);
        // Of equal measures, as the BLEU of first attempts, the one with the lower loss is better.
        let loss = self.values.iter().find(|(name, _)| name == LOSS).map_or(0.0, |(_, nats)| *nats);
        if self.higher_is_better { TIE * loss.min(1e3) - value } else { value }
    }
}

/// A state as numbers, for checkpoints.
pub trait Carry<F: Scalar> {
    /// Appends the numbers.
    fn write(&self, out: &mut Vec<F>);

    /// Takes as many numbers as [`Self::write`] appended; returns the rest, or none where there are too few.
    fn read<'a>(&mut self, from: &'a [F]) -> Option<&'a [F]>;
}

impl<F: Scalar> Carry<F> for crate::layer::StackState<F> {
    fn write(&self, out: &mut Vec<F>) {
        for cell in &self.cells {
            out.extend_from_slice(&cell.h);
            out.extend_from_slice(&cell.c);
        }
    }

    fn read<'a>(&mut self, mut from: &'a [F]) -> Option<&'a [F]> {
        for part in self.cells.iter_mut().flat_map(|cell| [&mut cell.h, &mut cell.c]) {
            let (values, rest) = from.split_at_checked(part.len())?;
            part.copy_from_slice(values);
            from = rest;
        }
        Some(from)
    }
}

/// Nothing is carried.
impl<F: Scalar> Carry<F> for () {
    fn write(&self, _: &mut Vec<F>) {}

    fn read<'a>(&mut self, from: &'a [F]) -> Option<&'a [F]> {
        Some(from)
    }
}
