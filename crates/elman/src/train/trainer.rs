//! The one training loop: forward, backward, clip, update, the next state; recovery from divergence.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::batches::numbers;
use super::clock::{Agreed, Clock};
use super::{Batches, Carry, Engine, Every, Ranks, Record, RunFolder, Scores, TrainConfig};
use crate::error::{Error, Result};
use crate::optim::{Average, Optimizer, Plateau, clip};
use crate::param::{Grads, Params};
use crate::shape::Shape;
use elman_kernels::rows;

/// Rollbacks before giving up.
const ROLLBACKS: u32 = 3;
/// A running mean of the loss counts as divergence only if it is also this many times the first.
const ABOVE_FIRST: f64 = 1.5;
/// Decay of the running mean, which is compared with its minimum.
const SMOOTH: f64 = 0.9;
/// A batch's loss counts at most this many times the running mean, so that only a row of high ones is divergence.
const OUTLIER: f64 = 3.0;
/// Updates whose mean loss is the first; before them only a loss that is not finite is divergence.
const BEGINNING: u64 = 20;
/// Batches before the one at which divergence shows that are left out with it when training goes on.
const LEADING: u64 = 10;

/// The progress of a run; saved in checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: u64,
    /// Batches read, `accumulate` per step.
    pub batches: u64,
    /// Targets trained on.
    pub targets: u64,
    /// Factor on the learning rate after divergence; 1 if training never diverged.
    pub lr_scale: f64,
    /// Rollbacks to an earlier checkpoint.
    pub rollbacks: u32,
    /// Mean loss of the first batches.
    pub first_nats: Option<f64>,
    /// Running mean of the loss.
    pub smooth_nats: f64,
    /// Its minimum.
    pub lowest_nats: f64,
    /// Since the last record: sum of the steps' losses, targets, steps.
    pub since_record: (f64, u64, u64),
    /// Norm of the last gradient.
    pub grad_norm: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// The best validation so far: objective and step.
    pub best: Option<(f64, u64)>,
    /// Validations made, and those since the best one.
    pub validations: (u64, u32),
    /// The step of the last validation.
    pub validated_at: Option<u64>,
    /// The plateau schedule's memory.
    pub plateau: Plateau,
    /// The last validation where the last weights are kept, else the best one where there is a second training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
    /// Batches that are left out, from and to, since training diverged at them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<(u64, u64)>,
    /// The second training, on the validation data too, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refit: Option<Refit>,
}

/// Where the training on all data began, and what the first one reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refit {
    /// Optimizer steps before.
    pub step: u64,
    /// Epochs before.
    pub epochs: f64,
    /// The updates of this training, where the first was best, or given up, before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The validation of the first training where it was best, or at its end where that is kept.
    pub scores: Scores,
}

/// An event of the training loop, passed to the callback.
#[derive(Debug)]
pub enum Event<'a> {
    /// A record was written.
    Record(&'a Record),
    /// A sample was made.
    Sample {
        /// Optimizer steps done.
        step: u64,
        /// The sample.
        text: &'a str,
    },
    /// A checkpoint was saved.
    Saved {
        /// Optimizer steps done.
        step: u64,
    },
    /// Training diverged; it continues from the last checkpoint with half the learning rate.
    RolledBack {
        /// The step at which it was detected.
        at: u64,
        /// The loss there.
        loss_nats: f64,
        /// The step of the checkpoint.
        to: u64,
        /// The learning rate's new factor.
        lr_scale: f64,
    },
    /// A step was made; frequent.
    Step {
        /// Fraction of the run done, 0 to 1.
        progress: f64,
        /// Mean loss of the step, nats per target.
        loss_nats: f64,
        /// Targets trained on so far.
        targets: u64,
    },
}

/// Callback for the events of a run.
pub type OnEvent<'w> = dyn FnMut(Event) + Send + 'w;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is complete.
    Complete,
    /// Early stopping: `patience` validations without improvement.
    NoProgress,
    /// It was asked to stop; the state is saved.
    Stopped,
}

/// A run: network, source of batches, optimizer and position.
pub struct Trainer<'a, S: Shape<f32>, B: Batches<S>> {
    pub(super) shape: &'a S,
    pub(super) source: B,
    pub(super) config: TrainConfig,
    pub(super) params: Params<f32>,
    pub(super) optimizer: Optimizer<f32>,
    pub(super) average: Option<Average<f32>>,
    pub(super) engine: Engine<f32, S>,
    pub(super) progress: Progress,
    pub(super) folder: Option<RunFolder>,
    /// Seconds of training before this process.
    pub(super) elapsed_before_s: f64,
    /// Seconds spent writing, by this process and before.
    pub(super) saving_s: f64,
    /// The last checkpoint, if there is no folder.
    pub(super) kept: Vec<u8>,
    /// Whether anything has changed since the last checkpoint.
    pub(super) unsaved: bool,
    /// What a person should know of the checkpoint that it goes on from.
    pub(super) notes: Vec<String>,
    accumulated: Option<Grads<f32>>,
    /// The weights that a training on all data begins from, where there will be one.
    pub(super) initial: Option<Params<f32>>,
    /// Weights that stay as they are.
    pub(super) frozen: Vec<Range<usize>>,
    batches: Vec<S::Batch>,
    pub(super) records: Vec<Record>,
    /// Where other ranks train along: all decide by the same.
    agreed: Option<Agreed>,
    /// Whether the caller asked to stop, as last seen.
    asked: bool,
    pub(super) started: Instant,
    saved: Instant,
    pub(super) validated: Instant,
    /// Seconds that the last validation took; 0 before the first.
    pub(super) validation_s: f64,
    /// Seconds that all validations of this process took.
    pub(super) validating_s: f64,
    pub(super) busy: Duration,
}

impl<'a, S: Shape<f32>, B: Batches<S> + Send> Trainer<'a, S, B>
where
    S::State: Carry<f32>,
{
    /// A run from these weights; recorded in the folder, if given.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(
        shape: &'a S,
        source: B,
        config: TrainConfig,
        params: Params<f32>,
        threads: usize,
        folder: Option<RunFolder>,
    ) -> Result<Self> {
        let mut engine = Engine::new(shape, source.initial_states(), threads)?;
        engine.set_precision(shape, config.precision);
        let optimizer = Optimizer::new(config.optimizer.clone(), shape.layout());
        let average = (config.average > 0.0).then(|| Average::new(config.average, &params));
        let accumulated = (config.accumulate > 1).then(|| Params::zeros(shape.layout()));
        let initial = source.can_refit().then(|| params.clone());
        let now = Instant::now();
        Ok(Trainer {
            initial,
            shape,
            source,
            config,
            params,
            optimizer,
            average,
            engine,
            progress: Progress { lr_scale: 1.0, lowest_nats: f64::MAX, ..Progress::default() },
            folder,
            elapsed_before_s: 0.0,
            saving_s: 0.0,
            kept: Vec::new(),
            unsaved: true,
            notes: Vec::new(),
            accumulated,
            frozen: Vec::new(),
            batches: Vec::new(),
            records: Vec::new(),
            agreed: None,
            asked: false,
            started: now,
            saved: now,
            validated: now,
            validation_s: 0.0,
            validating_s: 0.0,
            busy: Duration::ZERO,
        })
    }

    /// Shares every batch with other processes from now on, and begins where the lead stands; call it last.
    ///
    /// # Errors
    /// [`Error::Ranks`] if they train something else, or on other data; if a batch cannot be divided among so many.
    pub fn join(&mut self, ranks: Ranks) -> Result<()> {
        if ranks.is_alone() {
            return Ok(());
        }
        self.check_ranks(&ranks)?;
        self.engine.join(ranks, self.config.reduce)?;
        self.begin_with_lead()
    }

    /// The processes that train together.
    pub fn ranks(&self) -> &Ranks {
        self.engine.ranks()
    }

    /// Keeps the weights in these ranges of the flat buffer as they are: no update, no moments, no weight decay.
    pub fn freeze(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        self.frozen.extend(ranges);
        self.optimizer.freeze(&self.frozen);
    }

    /// What a person should know of the checkpoint that it goes on from.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The weights.
    pub fn params(&self) -> &Params<f32> {
        &self.params
    }

    /// The weights, to change.
    pub fn params_mut(&mut self) -> &mut Params<f32> {
        &mut self.params
    }

    /// The weights that are validated: the moving average, if one is kept.
    pub fn eval_params(&self) -> &Params<f32> {
        self.average.as_ref().map_or(&self.params, Average::values)
    }

    /// The progress so far.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The source of batches.
    pub fn source(&self) -> &B {
        &self.source
    }

    /// Its folder.
    pub fn folder(&self) -> Option<&RunFolder> {
        self.folder.as_ref()
    }

    /// Seconds of training, earlier processes of the run included.
    pub fn elapsed_s(&self) -> f64 {
        self.elapsed_before_s + self.started.elapsed().as_secs_f64()
    }

    /// Seconds of [`Self::elapsed_s`] spent writing checkpoints, best models, metrics, samples.
    pub fn saving_s(&self) -> f64 {
        self.saving_s
    }

    /// What the clock says here.
    fn clock_here(&self) -> Clock {
        Clock {
            elapsed: self.elapsed_s(),
            validated: self.validated.elapsed().as_secs_f64(),
            saved: self.saved.elapsed().as_secs_f64(),
            validation: self.validation_s,
            validating: self.validating_s,
        }
    }

    /// What decisions are made by: the clock, of the lead where there are other ranks.
    pub(super) fn clock(&self) -> Clock {
        self.agreed.map_or_else(|| self.clock_here(), |agreed| agreed.clock)
    }

    /// What this rank tells the others.
    fn said(&self) -> Vec<u8> {
        if self.ranks().is_alone() {
            return Vec::new();
        }
        let mut said = vec![u8::from(self.asked)];
        said.extend(self.clock_here().to_bytes());
        said
    }

    /// Agrees on what all said.
    fn agree(&mut self, said: &[Vec<u8>]) {
        if let ([lead, _, ..], false) = (said, self.ranks().is_alone()) {
            let stop = said.iter().any(|said| said[0] == 1);
            self.agreed = Some(Agreed { clock: Clock::of_bytes(&lead[1..]), stop });
        }
    }

    /// Agrees anew, after something that took time.
    pub(super) fn meet(&mut self) {
        if !self.ranks().is_alone() {
            let said = self.ranks().gather(&self.said());
            self.agree(&said);
        }
    }

    /// Truncates the metrics to the records at the restored checkpoint.
    pub(super) fn rewind_metrics(&mut self, records: usize) -> Result<()> {
        match &mut self.folder {
            Some(folder) => self.records = folder.rewind(records)?,
            None => self.records.truncate(records),
        }
        Ok(())
    }

    /// Trains to the end of the run, or until `stop` becomes true; then the state is saved.
    ///
    /// # Errors
    /// [`Error::Diverged`] if training diverged again after three rollbacks; errors of the disk.
    pub fn run(&mut self, stop: &AtomicBool, on_event: &mut OnEvent) -> Result<Ending> {
        // The loop itself runs on one of the pool's threads: so it hands work to the others without a queue.
        let pool = self.engine.pool();
        pool.install(|| self.run_in_pool(stop, on_event))
    }

    fn run_in_pool(&mut self, stop: &AtomicBool, on_event: &mut OnEvent) -> Result<Ending> {
        let now = Instant::now();
        (self.started, self.saved, self.validated) = (now, now, now);
        // What was restored for another length is saved with it.
        if self.progress.step == 0 || self.unsaved {
            self.checkpoint(on_event)?;
        }
        self.asked = stop.load(Ordering::Relaxed);
        self.meet();
        loop {
            self.asked = stop.load(Ordering::Relaxed);
            let ending = if self.share_done() >= 1.0 || self.is_as_long_as_needed() {
                Some(Ending::Complete)
            } else if self.config.patience > 0 && self.progress.validations.1 >= self.config.patience {
                Some(Ending::NoProgress)
            } else if self.agreed.map_or(self.asked, |agreed| agreed.stop) {
                Some(Ending::Stopped)
            } else {
                None
            };
            if let Some(ending) = ending {
                // A non-finite state is neither validated nor saved: training could not continue from it.
                let is_good = self.is_finite()
                    && (ending == Ending::Stopped
                        || self.progress.refit.is_some()
                        || self.progress.validated_at == Some(self.progress.step)
                        || self.validate(on_event)?);
                if !is_good {
                    self.roll_back(f64::NAN, on_event)?;
                    continue;
                }
                if let Some(scores) = self.progress.scores.clone().filter(|_| self.config.keeps_last) {
                    self.save_best(&scores)?;
                }
                if ending != Ending::Stopped {
                    if let Some(refit) = &self.progress.refit {
                        let scores = refit.scores.clone();
                        self.save_best(&scores)?;
                    } else if self.begin_refit(ending)? {
                        self.checkpoint(on_event)?;
                        continue;
                    }
                }
                if self.unsaved {
                    self.checkpoint(on_event)?;
                }
                return Ok(ending);
            }
            let began = Instant::now();
            let loss_nats = self.update();
            self.busy += began.elapsed();
            if self.has_diverged(loss_nats) {
                self.roll_back(loss_nats, on_event)?;
                continue;
            }
            self.count(loss_nats);
            on_event(Event::Step { progress: self.share_shown(), loss_nats, targets: self.progress.targets });
            let (validate, save) = (self.validation_is_due(), self.checkpoint_is_due());
            if (validate || save) && !self.is_finite() || validate && !self.validate(on_event)? {
                self.roll_back(f64::NAN, on_event)?;
                continue;
            }
            if !validate && self.progress.step.is_multiple_of(self.config.log_every) {
                self.record(Vec::new(), false, on_event)?;
            }
            if save {
                self.checkpoint(on_event)?;
            }
        }
    }

    /// One optimizer step: loss and gradient, clipping, update. Returns the mean loss in nats per target, not
    /// finite if the loss or the gradient is not; the weights are then unchanged.
    pub fn update(&mut self) -> f64 {
        let (loss_nats, heard) = self.update_and_hear();
        self.agree(&heard);
        loss_nats
    }

    /// As [`Self::update`]; also returns what all ranks said.
    fn update_and_hear(&mut self) -> (f64, Vec<Vec<u8>>) {
        self.unsaved = true;
        let (share_done, step, said) = (self.share_done(), self.steps(), self.said());
        let mut heard = Vec::new();
        let Trainer { shape, source, config, params, engine, progress, batches, accumulated, frozen, .. } = self;
        let epochs = source.cursor().epochs();
        let (mut loss_nats, mut weights) = (0.0, 0.0);
        for part in 0..config.accumulate {
            while progress.skipped.iter().any(|&(from, to)| (from..to).contains(&progress.batches)) {
                source.next_batch(progress.batches, batches, &mut engine.states_mut());
                progress.batches += 1;
            }
            source.next_batch(progress.batches, batches, &mut engine.states_mut());
            let dropout = Some((config.seed, progress.batches));
            let loss;
            (loss, heard) = engine.loss_and_grad_of_all(shape, params, batches, dropout, &said);
            let targets = batches.iter().map(|batch| shape.targets(batch) as u64).sum::<u64>();
            progress.since_record.1 += targets;
            progress.batches += 1;
            // Every target counts the same, whichever batch it is in.
            let weight = if config.accumulate == 1 || config.rules == 1 { 1.0 } else { targets as f64 };
            (loss_nats, weights) = (loss_nats + weight * loss, weights + weight);
            if let Some(sum) = accumulated {
                if part == 0 {
                    sum.zero();
                }
                let grads = &mut engine.grads_mut().values;
                if weight != 1.0 {
                    grads.iter_mut().for_each(|grad| *grad *= weight as f32);
                }
                rows::add(grads, &mut sum.values);
            }
        }
        let share = 1.0 / f64::max(weights, 1.0);
        loss_nats *= share;
        let grads = accumulated.as_mut().unwrap_or_else(|| engine.grads_mut());
        for range in frozen {
            grads.values[range.clone()].fill(0.0);
        }
        let mut norm = share * clip::global_norm(grads);
        progress.grad_norm = norm;
        if !(loss_nats.is_finite() && norm.is_finite()) {
            return (f64::NAN, heard);
        }
        let mut scale = share;
        if config.clip_value > 0.0 {
            clip::by_value(grads, config.clip_value / share);
            if config.clip_norm > 0.0 && config.rules > 1 {
                norm = share * clip::global_norm(grads);
            }
        }
        if config.clip_norm > 0.0 {
            scale *= clip::scale_for_norm(norm, config.clip_norm);
        }
        let factor = config.schedule.factor(step, epochs, share_done, &progress.plateau);
        progress.lr = config.lr * factor * progress.lr_scale;
        self.optimizer.update(params, grads, progress.lr, scale);
        if let Some(average) = &mut self.average {
            average.update(params);
        }
        progress.step += 1;
        (loss_nats, heard)
    }

    /// The running mean of the loss with this one.
    fn smoothed(&self, loss_nats: f64) -> f64 {
        let smooth = self.progress.smooth_nats;
        match self.progress.first_nats {
            None => loss_nats,
            Some(_) => SMOOTH * smooth + (1.0 - SMOOTH) * loss_nats.min(OUTLIER * smooth),
        }
    }

    fn has_diverged(&self, loss_nats: f64) -> bool {
        let Progress { first_nats, lowest_nats, .. } = self.progress;
        let (limit, smooth) = (self.config.diverged_at, self.smoothed(loss_nats));
        let is_beyond = limit > 0.0
            && self.steps() > BEGINNING
            && smooth > limit * lowest_nats
            && first_nats.is_some_and(|first| smooth > ABOVE_FIRST * first);
        !loss_nats.is_finite() || is_beyond
    }

    /// Whether all that a checkpoint holds is finite. A finite gradient can still carry a weight or a moment beyond the
    /// largest float.
    fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let is_finite = finite(&self.params.values)
            && self.optimizer.buffers().into_iter().all(|(_, values)| finite(values))
            && self.average.as_ref().is_none_or(|average| finite(&average.values().values))
            && self.engine.states().all(|state| finite(&numbers(state)));
        // Each rank has the states of its own blocks.
        self.ranks().all(is_finite)
    }

    /// Counts a good step.
    fn count(&mut self, loss_nats: f64) {
        let (smooth, steps) = (self.smoothed(loss_nats), self.steps());
        let progress = &mut self.progress;
        let first = progress.first_nats.get_or_insert(loss_nats);
        if steps <= BEGINNING {
            *first += (loss_nats - *first) / steps.max(1) as f64;
        }
        (progress.smooth_nats, progress.lowest_nats) = (smooth, progress.lowest_nats.min(smooth));
        progress.since_record.0 += loss_nats;
        progress.since_record.2 += 1;
    }

    fn roll_back(&mut self, loss_nats: f64, on_event: &mut OnEvent) -> Result<()> {
        let (at, rollbacks) = (self.progress.step, self.progress.rollbacks + 1);
        let lr_scale = self.progress.lr_scale / 2.0;
        let read = self.progress.batches;
        if rollbacks > ROLLBACKS {
            return Err(Error::Diverged { step: at, loss: loss_nats, times: rollbacks });
        }
        self.return_to_checkpoint()?;
        (self.progress.rollbacks, self.progress.lr_scale) = (rollbacks, lr_scale);
        // The same batches would lead to the same place.
        self.progress.skipped.push((read.saturating_sub(LEADING).max(self.progress.batches), read));
        on_event(Event::RolledBack { at, loss_nats, to: self.progress.step, lr_scale });
        // Saved at once: a run killed now must remember that it diverged.
        self.checkpoint(on_event)
    }

    fn checkpoint_is_due(&self) -> bool {
        match self.config.checkpoint_every {
            Every::Steps(steps) => self.progress.step.is_multiple_of(steps.max(1)),
            Every::Time(span) => self.clock().saved >= span.as_secs_f64(),
        }
    }

    fn checkpoint(&mut self, on_event: &mut OnEvent) -> Result<()> {
        let began = Instant::now();
        self.save_checkpoint()?;
        self.saving_s += began.elapsed().as_secs_f64();
        (self.saved, self.unsaved) = (Instant::now(), false);
        self.meet();
        on_event(Event::Saved { step: self.progress.step });
        Ok(())
    }
}
