//! A run independent of its task.

use std::sync::atomic::AtomicBool;

use super::trainer::{Ending, OnEvent, Progress, Trainer};
use super::{Batches, Carry, Record};
use crate::error::Result;
use crate::shape::Shape;

/// A run of any task.
pub trait Session {
    /// Trains to the end of the run, or until `stop` becomes true; then the state is saved.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    fn run(&mut self, stop: &AtomicBool, on_event: &mut OnEvent) -> Result<Ending>;

    /// The progress so far.
    fn progress(&self) -> &Progress;

    /// The records so far.
    fn records(&self) -> &[Record];

    /// Seconds of training, earlier processes of the run included.
    fn elapsed_s(&self) -> f64;

    /// Seconds of this process spent saving.
    fn saving_s(&self) -> f64;

    /// What a person should know of the checkpoint that it goes on from.
    fn notes(&self) -> &[String];
}

impl<S: Shape<f32>, B: Batches<S> + Send> Session for Trainer<'_, S, B>
where
    S::State: Carry<f32>,
{
    fn run(&mut self, stop: &AtomicBool, on_event: &mut OnEvent) -> Result<Ending> {
        Trainer::run(self, stop, on_event)
    }

    fn progress(&self) -> &Progress {
        Trainer::progress(self)
    }

    fn records(&self) -> &[Record] {
        Trainer::records(self)
    }

    fn elapsed_s(&self) -> f64 {
        Trainer::elapsed_s(self)
    }

    fn saving_s(&self) -> f64 {
        Trainer::saving_s(self)
    }

    fn notes(&self) -> &[String] {
        Trainer::notes(self)
    }
}
