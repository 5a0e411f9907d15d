//! A run as those see it who do not care what it trains.

use std::sync::atomic::AtomicBool;

use super::trainer::{Ending, Progress, Trainer, Watch};
use super::{Carry, Record, Task};
use crate::error::Result;
use crate::shape::Shape;

/// A run of any task.
pub trait Session {
    /// Trains to the end of the run, or until `stop` becomes true; then the state is saved.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    fn run(&mut self, stop: &AtomicBool, watch: &mut Watch) -> Result<Ending>;

    /// What has been counted so far.
    fn progress(&self) -> &Progress;

    /// The lines of metrics so far.
    fn records(&self) -> &[Record];

    /// Seconds of training, earlier processes of the run included.
    fn elapsed_s(&self) -> f64;

    /// Seconds of this process that went into saving.
    fn saving_s(&self) -> f64;
}

impl<S: Shape<f32>, T: Task<S> + Send> Session for Trainer<'_, S, T>
where
    S::State: Carry<f32>,
{
    fn run(&mut self, stop: &AtomicBool, watch: &mut Watch) -> Result<Ending> {
        Trainer::run(self, stop, watch)
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
}
