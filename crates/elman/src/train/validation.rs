//! Validation, its place in a run, and what is written down of it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::clock::Clock;
use super::config::VALIDATIONS;
use super::{Batches, Carry, Event, OnEvent, Record, Scores, Trainer};
use crate::error::Result;
use crate::optim::Average;
use crate::shape::Shape;

/// Maximum number of validations per run, where nothing is said: an epoch may be a few updates.
const MAX_VALIDATIONS: f64 = 40.0;

impl<S: Shape<f32>, B: Batches<S> + Send> Trainer<'_, S, B>
where
    S::State: Carry<f32>,
{
    pub(super) fn validation_is_due(&self) -> bool {
        if self.progress.refit.is_some() {
            return false;
        }
        let (step, config) = (self.progress.step, &self.config);
        let every = match config.val_every {
            0 => {
                let epoch = self.source.cursor().batches_per_epoch() / config.accumulate as f64;
                let mut run = f64::MAX;
                if config.epochs > 0.0 {
                    run = run.min(config.epochs * epoch);
                }
                if config.max_steps > 0 {
                    run = run.min(config.max_steps as f64);
                }
                // A run of unknown length is limited by time.
                let max = if config.rules == 1 { f64::INFINITY } else { MAX_VALIDATIONS };
                let least = if run < f64::MAX { (run / max).ceil() } else { 1.0 };
                epoch.max(least).min((run / VALIDATIONS).ceil()).max(1.0) as u64
            }
            every => every,
        };
        let Clock { validated, validation, validating, .. } = self.clock();
        config.validates(step, every, validated, validation, validating)
    }

    /// Validates the weights; false, and nothing is counted, if the objective is not finite.
    pub(super) fn validate(&mut self, on_event: &mut OnEvent) -> Result<bool> {
        let params = self.average.as_ref().map_or(&self.params, Average::values);
        let began = Instant::now();
        let scores = self.source.validate(self.shape, params, &self.engine)?;
        self.validated = Instant::now();
        self.validation_s = (self.validated - began).as_secs_f64();
        self.validating_s += self.validation_s;
        self.meet();
        let progress = &mut self.progress;
        let (objective, step) = (scores.objective(), progress.step);
        if !objective.is_finite() {
            return Ok(false);
        }
        self.unsaved = true;
        let is_better = progress.best.is_none_or(|(best, _)| objective < best);
        let is_best = is_better || self.config.keeps_last;
        progress.validated_at = Some(step);
        progress.validations.0 += 1;
        progress.validations.1 = if is_better { 0 } else { progress.validations.1 + 1 };
        progress.plateau.observe(objective, &self.config.schedule);
        if is_best {
            progress.best = Some((objective, step));
        }
        // Where the last are kept, there is a model from the first validation on, and the last one's is saved at the end.
        if is_best && (!self.config.keeps_last || self.progress.validations.0 == 1) {
            let began = Instant::now();
            self.save_best(&scores)?;
            self.saving_s += began.elapsed().as_secs_f64();
        }
        if let (true, Some(folder)) = (is_best, &self.folder) {
            let began = Instant::now();
            self.source.review(step).map_or(Ok(()), |review| folder.save_review(&review))?;
            self.saving_s += began.elapsed().as_secs_f64();
        }
        let sample_every = self.config.sample_every;
        let sample_is_due = sample_every > 0 && self.progress.validations.0.is_multiple_of(sample_every);
        self.record(scores.values.clone(), is_best, on_event)?;
        if is_best && (self.config.keeps_last || self.initial.is_some()) {
            // JSON has no undefined numbers.
            let values = scores.values.into_iter().filter(|(_, value)| value.is_finite()).collect();
            self.progress.scores = Some(Scores { values, ..scores });
        }
        if sample_is_due && self.ranks().is_lead() {
            let params = self.average.as_ref().map_or(&self.params, Average::values);
            if let Some(text) = self.source.sample(self.shape, params, step)? {
                if let (Some(folder), Some(record)) = (&mut self.folder, self.records.last()) {
                    let began = Instant::now();
                    folder.save_sample(record, &text)?;
                    self.saving_s += began.elapsed().as_secs_f64();
                }
                on_event(Event::Sample { step, text: &text });
            }
        }
        Ok(true)
    }

    pub(super) fn record(&mut self, val: Vec<(String, f64)>, best: bool, on_event: &mut OnEvent) -> Result<()> {
        let (nats, targets, updates) = std::mem::take(&mut self.progress.since_record);
        self.progress.targets += targets;
        let busy_s = std::mem::take(&mut self.busy).as_secs_f64();
        let has_val = !val.is_empty();
        let train = (updates > 0).then(|| nats / updates as f64);
        let in_nats = self.source.loss_is_in_nats();
        let record = Record {
            step: self.progress.step,
            epoch: self.epochs(),
            targets: self.progress.targets,
            train_nats: train.filter(|_| in_nats),
            train_loss: train.filter(|_| !in_nats),
            lr: self.progress.lr,
            grad_norm: self.progress.grad_norm,
            val,
            undefined: Vec::new(),
            best,
            targets_per_s: if busy_s > 0.0 { targets as f64 / busy_s } else { 0.0 },
            elapsed_s: self.elapsed_s(),
            saving_s: self.saving_s,
            unix_time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        };
        self.records.push(record.defined());
        if let (Some(folder), Some(record)) = (&mut self.folder, self.records.last()) {
            let began = Instant::now();
            folder.append(record)?;
            if has_val {
                folder.write_table(&self.records)?;
            }
            self.saving_s += began.elapsed().as_secs_f64();
        }
        if let Some(record) = self.records.last() {
            on_event(Event::Record(record));
        }
        Ok(())
    }
}
