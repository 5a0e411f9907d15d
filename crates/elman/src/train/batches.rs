//! What the training loop needs of a task: batches in order, and validation.

use elman_kernels::Scalar;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine::Engine;
use crate::data::{Buckets, Streams};
use crate::error::{Error, Result};
use crate::metric::Review;
use crate::param::Params;
use crate::shape::Shape;

/// The metric common to all tasks: the mean validation loss, in nats where it is a cross-entropy.
pub const VAL_LOSS: [&str; 2] = ["val_nats", "val_loss"];
/// Weight of the loss as a tie-break: less than a change of one example.
const TIE: f64 = 1e-6;

/// A position in the training data, for checkpoints.
pub trait Cursor {
    /// Epochs done.
    fn epochs(&self) -> f64;

    /// Batches per epoch.
    fn batches_per_epoch(&self) -> f64;

    /// The position, for a checkpoint.
    fn position(&self) -> Value;

    /// Continues from a saved position.
    ///
    /// # Errors
    /// If the position is outside the data.
    fn seek(&mut self, position: &Value) -> Result<()>;
}

/// Implements [`Cursor`] by the methods of the type itself.
macro_rules! cursor {
    ($type:ty) => {
        impl Cursor for $type {
            fn epochs(&self) -> f64 {
                <$type>::epochs(self)
            }

            fn batches_per_epoch(&self) -> f64 {
                <$type>::batches_per_epoch(self) as f64
            }

            fn position(&self) -> Value {
                serde_json::json!(<$type>::position(self))
            }

            fn seek(&mut self, position: &Value) -> Result<()> {
                let position = serde_json::from_value(position.clone())
                    .map_err(|error| Error::Usage(format!("the position in the data cannot be used: {error}")))?;
                <$type>::seek(self, position)
            }
        }
    };
}

/// Of [`Batches`]: the position is that of a field.
macro_rules! cursor_of {
    ($field:ident) => {
        fn cursor(&self) -> &dyn Cursor {
            &self.$field
        }

        fn cursor_mut(&mut self) -> &mut dyn Cursor {
            &mut self.$field
        }
    };
}
pub(crate) use cursor_of;

cursor!(Buckets);
cursor!(Streams);

/// Supplies batches and evaluates the weights: all the loop needs of a task.
pub trait Batches<S: Shape<f32>> {
    /// The initial state of each block of a batch; one per block.
    fn initial_states(&self) -> Vec<S::State>;

    /// The next batch, one part per block. `index` counts batches from 0. Carried states that do not continue
    /// into this batch are reset here.
    fn next_batch(&mut self, index: u64, batches: &mut Vec<S::Batch>, states: &mut dyn Iterator<Item = &mut S::State>);

    /// The position in the training data.
    fn cursor(&self) -> &dyn Cursor;

    /// The position, to change.
    fn cursor_mut(&mut self) -> &mut dyn Cursor;

    /// A fingerprint of the data, so that a resumed run detects changes.
    fn fingerprint(&self) -> Value;

    /// Evaluates the weights on the validation set.
    ///
    /// # Errors
    /// Any error of the evaluation.
    fn validate(&mut self, shape: &S, params: &Params<f32>, engine: &Engine<f32, S>) -> Result<Scores>;

    /// Whether there is a second training on all data, the validation data too.
    fn can_refit(&self) -> bool {
        false
    }

    /// Begins that training: from now on batches are of all data.
    fn refit(&mut self) {}

    /// Whether the loss is a cross-entropy, in nats.
    fn loss_is_in_nats(&self) -> bool {
        true
    }

    /// A sample of the network's output to print, if the task has one.
    ///
    /// # Errors
    /// If the network's outputs are not finite.
    fn sample(&mut self, shape: &S, params: &Params<f32>, step: u64) -> Result<Option<String>> {
        let _ = (shape, params, step);
        Ok(None)
    }

    /// What the last validation showed, after `step` optimizer steps.
    fn review(&self, step: u64) -> Option<Review> {
        let _ = step;
        None
    }

    /// The config of a model file: a JSON object.
    fn model_config(&self, shape: &S) -> Value;
}

/// The result of a validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Metrics by name; the first selects the best model.
    pub values: Vec<(String, f64)>,
    /// Whether higher is better for the first.
    pub higher_is_better: bool,
}

impl Scores {
    /// Selects the best model: lower is better.
    pub fn objective(&self) -> f64 {
        let value = self.values.first().map_or(f64::NAN, |(_, value)| *value);
        // Ties, such as an early BLEU of 0, are broken by the loss.
        let is_loss = |name: &str| VAL_LOSS.contains(&name);
        let loss = self.values.iter().find(|(name, _)| is_loss(name)).map_or(0.0, |(_, loss)| *loss);
        if self.higher_is_better { TIE * loss.min(1e3) - value } else { value }
    }
}

/// A state as numbers, for checkpoints.
pub trait Carry<F: Scalar> {
    /// Appends the numbers.
    fn write(&self, out: &mut Vec<F>);

    /// Reads what [`Self::write`] appended; returns the rest, or `None` if there are too few.
    fn read<'a>(&mut self, from: &'a [F]) -> Option<&'a [F]>;

    /// The lengths of its parts in that order, each as many numbers of one sequence after another.
    fn lengths(&self) -> Vec<usize>;
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

    fn lengths(&self) -> Vec<usize> {
        self.cells.iter().flat_map(|cell| [cell.h.len(), cell.c.len()]).collect()
    }
}

/// Nothing is carried.
impl<F: Scalar> Carry<F> for () {
    fn write(&self, _: &mut Vec<F>) {}

    fn read<'a>(&mut self, from: &'a [F]) -> Option<&'a [F]> {
        Some(from)
    }

    fn lengths(&self) -> Vec<usize> {
        Vec::new()
    }
}

/// A carried state as numbers.
pub(super) fn numbers<C: Carry<f32>>(state: &C) -> Vec<f32> {
    let mut numbers = Vec::new();
    state.write(&mut numbers);
    numbers
}
