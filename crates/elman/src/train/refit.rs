//! The second training, on the validation data too, and how far a run is.

use super::{Batches, Carry, Ending, Refit, Trainer};
use crate::error::Result;
use crate::optim::{Average, Optimizer, Plateau};
use crate::shape::Shape;

impl<S: Shape<f32>, B: Batches<S> + Send> Trainer<'_, S, B>
where
    S::State: Carry<f32>,
{
    /// How much is done of this training: of the first, or of the one on all data.
    pub(super) fn share_done(&self) -> f64 {
        // A training on all data has the schedule of the first one; only that is limited by time, which includes the
        // validation at the end: it is expected to take as long as the last one.
        let clock = self.clock();
        let used_s = if self.progress.refit.is_some() { 0.0 } else { clock.elapsed + clock.validation };
        self.config.progress(self.steps(), self.source.cursor().epochs(), used_s)
    }

    /// How much is done of the run.
    pub(super) fn share_shown(&self) -> f64 {
        match (&self.initial, &self.progress.refit) {
            (None, _) => self.share_done(),
            (Some(_), None) => 0.5 * self.share_done(),
            (Some(_), Some(refit)) => {
                let share = refit.until.map_or_else(|| self.share_done(), |until| self.steps() as f64 / until as f64);
                0.5 + 0.5 * share
            }
        }
    }

    /// Whether a training on all data has the updates that the first one needed.
    pub(super) fn is_as_long_as_needed(&self) -> bool {
        self.progress.refit.as_ref().and_then(|refit| refit.until).is_some_and(|until| self.steps() >= until)
    }

    /// Steps of this training.
    pub(super) fn steps(&self) -> u64 {
        self.progress.step - self.progress.refit.as_ref().map_or(0, |refit| refit.step)
    }

    /// Epochs of the run.
    pub(super) fn epochs(&self) -> f64 {
        self.progress.refit.as_ref().map_or(0.0, |refit| refit.epochs) + self.source.cursor().epochs()
    }

    /// Begins again with all data, the validation data too; false if there is no such training. Where time is limited there
    /// must be as much left as the first one took.
    pub(super) fn begin_refit(&mut self, ending: Ending) -> Result<bool> {
        let limit = self.config.max_time.as_secs_f64();
        if limit > 0.0 && 2.0 * self.clock().elapsed > limit {
            return Ok(false);
        }
        let (Some(initial), Some(scores), None) =
            (self.initial.clone(), self.progress.scores.clone(), &self.progress.refit)
        else {
            return Ok(false);
        };
        // A longer run goes on from here.
        self.save_first()?;
        let step = self.progress.step;
        let best = self.progress.best.filter(|_| !self.config.keeps_last).map_or(step, |(_, step)| step);
        let until = (best < step || ending == Ending::NoProgress).then_some(best);
        let refit = Refit { step, epochs: self.source.cursor().epochs(), until, scores };
        self.params.values.copy_from_slice(&initial.values);
        self.optimizer = Optimizer::new(self.config.optimizer.clone(), self.shape.layout());
        self.optimizer.freeze(&self.frozen);
        self.average = (self.config.average > 0.0).then(|| Average::new(self.config.average, &self.params));
        self.source.refit();
        self.engine.states_mut().zip(self.source.initial_states()).for_each(|(state, initial)| *state = initial);
        let progress = &mut self.progress;
        (progress.first_nats, progress.smooth_nats, progress.lowest_nats) = (None, 0.0, f64::MAX);
        (progress.plateau, progress.validations.1) = (Plateau::default(), 0);
        progress.refit = Some(refit);
        Ok(true)
    }
}
