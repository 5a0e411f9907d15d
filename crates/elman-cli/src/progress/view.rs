//! What is known of a run while it goes on; the displays draw it.

use std::collections::VecDeque;
use std::time::Instant;

use elman::train::{Event, Progress, Record};

/// Losses of single updates drawn until there are enough records.
const EARLY: usize = 400;
/// Records from which on they alone are drawn.
const ENOUGH: usize = 12;
/// Points kept of a curve: twice as many as dots on the widest terminal.
const POINTS: usize = 2048;
/// Lines kept of what was said.
const LOG: usize = 200;

/// The curves, numbers and words of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunView {
    /// What is trained, in a few words.
    pub(crate) title: String,
    /// What the loss is counted in: nats, or nothing.
    pub(crate) loss_unit: &'static str,
    /// Update of the last event.
    pub(crate) step: u64,
    /// Share of the run that is done, and what it was when this process began.
    pub(crate) share: f64,
    began_with: Option<f64>,
    began: Option<Instant>,
    /// Losses of the first updates, until there are enough records.
    early: VecDeque<(f64, f64)>,
    train: Vec<(f64, f64)>,
    /// Validations, where they are in nats as the training loss is.
    pub(crate) val: Vec<(f64, f64)>,
    pub(crate) lr: Vec<(f64, f64)>,
    pub(crate) grad_norm: Vec<(f64, f64)>,
    pub(crate) targets_per_s: Vec<(f64, f64)>,
    /// Loss of the last record, or of the last update before there is one.
    pub(crate) train_loss: Option<f64>,
    /// Name and value of the last validation's first measure.
    pub(crate) last_val: Option<(String, f64)>,
    /// The best of them, and its step.
    pub(crate) best: Option<(f64, u64)>,
    /// The last sample, and its step.
    pub(crate) sample: Option<(u64, String)>,
    /// What was said, the newest last.
    pub(crate) log: VecDeque<String>,
}

impl RunView {
    /// A run that has come as far as this.
    pub(crate) fn new(title: String, progress: &Progress, records: &[Record]) -> RunView {
        let (step, began) = (progress.step, Some(Instant::now()));
        let mut view = RunView { title, loss_unit: "nats", step, began, ..RunView::default() };
        records.iter().for_each(|record| view.record(record));
        view
    }

    /// Takes an event in; called for every update, so it does little.
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::Step { progress, loss_nats, .. } => {
                self.step += 1;
                self.share = *progress;
                self.began_with.get_or_insert(*progress);
                if self.train.len() < ENOUGH {
                    self.early.push_back((self.step as f64, *loss_nats));
                    if self.early.len() > EARLY {
                        self.early.pop_front();
                    }
                    if self.train.is_empty() {
                        self.train_loss = Some(*loss_nats);
                    }
                }
            }
            Event::Record(record) => self.record(record),
            Event::Sample { step, text } => self.sample = Some((*step, (*text).to_string())),
            Event::Saved { .. } => {}
            Event::RolledBack { to, .. } => self.go_back(*to),
        }
    }

    fn record(&mut self, r: &Record) {
        let step = r.step as f64;
        self.step = r.step;
        if let Some(nats) = r.train() {
            push(&mut self.train, step, nats);
            self.train_loss = Some(nats);
        }
        if let Some((name, value)) = r.val.first() {
            if name.ends_with("nats") {
                push(&mut self.val, step, *value);
            }
            if r.best {
                self.best = Some((*value, r.step));
            }
            self.last_val = Some((name.clone(), *value));
        }
        push(&mut self.lr, step, r.lr);
        push(&mut self.grad_norm, step, r.grad_norm);
        if r.targets_per_s > 0.0 {
            push(&mut self.targets_per_s, step, r.targets_per_s);
        }
    }

    /// Forgets what came after a step.
    fn go_back(&mut self, to: u64) {
        self.step = to;
        let until = to as f64;
        for curve in [&mut self.train, &mut self.val, &mut self.lr, &mut self.grad_norm, &mut self.targets_per_s] {
            curve.retain(|(step, _)| *step <= until);
        }
        self.early.retain(|(step, _)| *step <= until);
        if self.best.is_some_and(|(_, step)| step > to) {
            let lowest = self.val.iter().min_by(|a, b| a.1.total_cmp(&b.1));
            self.best = lowest.map(|(step, value)| (*value, *step as u64));
        }
    }

    /// The training curve.
    pub(crate) fn train(&self) -> Vec<(f64, f64)> {
        if self.train.len() >= ENOUGH {
            return self.train.clone();
        }
        // Single updates are noisy: their running mean.
        let mut mean = None;
        let smooth = |&(step, nats): &(f64, f64)| {
            let next = mean.map_or(nats, |mean| 0.8 * mean + 0.2 * nats);
            mean = Some(next);
            (step, next)
        };
        self.early.iter().map(smooth).collect()
    }

    /// Seconds since this process began to train.
    pub(crate) fn elapsed_s(&self) -> f64 {
        self.began.map_or(0.0, |began| began.elapsed().as_secs_f64())
    }

    /// Seconds to go, as far as can be told.
    pub(crate) fn to_go_s(&self) -> Option<f64> {
        let (share, elapsed_s) = (self.share, self.elapsed_s());
        let done = share - self.began_with?;
        (done > 0.0 && elapsed_s > 1.0).then(|| elapsed_s * (1.0 - share).max(0.0) / done)
    }

    /// Targets per second now.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.targets_per_s.last().map(|(_, rate)| *rate)
    }

    /// Keeps a line of what was said.
    pub(crate) fn say(&mut self, line: &str) {
        self.log.push_back(line.to_string());
        if self.log.len() > LOG {
            self.log.pop_front();
        }
    }
}

/// Adds a point; a curve that has become long keeps the mean of every two.
fn push(curve: &mut Vec<(f64, f64)>, step: f64, value: f64) {
    if curve.len() == POINTS {
        *curve = curve.chunks(2).map(|pair| (pair[pair.len() - 1].0, mean(pair))).collect();
    }
    curve.push((step, value));
}

fn mean(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, nats: f64, best: bool) -> Record {
        let val = vec![("val_nats".to_string(), nats + 0.1)];
        Record { step, train_nats: Some(nats), val, best, targets_per_s: 10.0, ..Record::default() }
    }

    #[test]
    fn what_was_undone_is_forgotten() {
        let records = [record(10, 3.0, true), record(20, 2.0, true)];
        let mut view = RunView::new(String::new(), &Progress { step: 20, ..Progress::default() }, &records);
        view.see(&Event::Record(&record(30, 1.0, true)));
        assert_eq!(view.best, Some((1.1, 30)));
        view.see(&Event::RolledBack { at: 35, loss_nats: 9.0, to: 20, lr_scale: 0.5 });
        assert_eq!((view.step, view.best, view.val.len()), (20, Some((2.1, 20)), 2));
        view.see(&Event::Step { progress: 0.5, loss_nats: 2.0, targets: 1 });
        assert_eq!(view.step, 21);
    }

    #[test]
    fn the_first_updates_are_drawn_until_there_are_records() {
        let mut view = RunView::new(String::new(), &Progress::default(), &[]);
        for _ in 0..3 {
            view.see(&Event::Step { progress: 0.1, loss_nats: 4.0, targets: 1 });
        }
        assert_eq!(view.train(), [(1.0, 4.0), (2.0, 4.0), (3.0, 4.0)]);
        (4..40).for_each(|step| view.see(&Event::Record(&record(step, 3.0, false))));
        assert_eq!(view.train().len(), 36);
        (40..100_000).for_each(|step| view.see(&Event::Record(&record(step, 3.0, false))));
        assert!(view.train().len() <= POINTS && view.train().last() == Some(&(99_999.0, 3.0)));
    }
}
