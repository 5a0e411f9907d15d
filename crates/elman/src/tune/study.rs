//! The study: which trials are left to do, and doing them.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::journal::{Journal, Outcome, Results, Verdict};
use super::space::Space;
use crate::error::{Error, Result};
use crate::file::atomic;
use crate::settings::Settings;
use crate::task::{self, Start, keep_from};
use crate::train::{Event, RunFolder, is_better_high, run_folder};

/// The space, as the first process found it.
const SPACE: &str = "space.toml";
/// The run folders of the trials.
const TRIALS: &str = "trials";
/// Between two looks at what other processes have done.
const LOOK: Duration = Duration::from_millis(200);

/// A search in a folder, which any number of processes may share.
#[derive(Debug)]
pub struct Study {
    space: Space,
    folder: PathBuf,
    journal: Journal,
}

/// A trial's place among those that came as far.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What it reached.
    pub outcome: Outcome,
    /// The folder of its run.
    pub folder: PathBuf,
}

/// How a process left a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// No trial is left.
    Complete,
    /// It was asked to stop; its trial is saved.
    Stopped,
}

impl Study {
    /// Joins the study in a folder, or begins it.
    ///
    /// # Errors
    /// If the folder holds a study of another space; as [`Space::read`]; errors of the disk.
    pub fn join(space: &Path, folder: &Path) -> Result<Study> {
        let (read, text) = (Space::read(space)?, crate::file::read(space)?);
        atomic::create_folder(&atomic::OsDisk, &folder.join(TRIALS))?;
        let copy = folder.join(SPACE);
        if !copy.exists() {
            atomic::write(&copy, &text)?;
        }
        if crate::file::read(&copy)? != text {
            return Err(Error::Usage(format!(
                "{} holds the study of another space: {} differs from {}; choose another folder",
                folder.display(),
                space.display(),
                copy.display()
            )));
        }
        Ok(Study { space: read, folder: folder.into(), journal: Journal::of(folder) })
    }

    /// What is searched.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Works on the study until no trial is left; others may work on it at the same time. `index` is this process's number
    /// among them, if it has one: it begins elsewhere. `on_outcome` hears of each result of this process and how many are
    /// known of how many in all.
    ///
    /// # Errors
    /// If the data cannot be read; errors of the disk. A trial that fails is a result.
    pub fn work(
        &self,
        index: usize,
        stop: &AtomicBool,
        on_outcome: &mut dyn FnMut(&Outcome, [usize; 2]),
    ) -> Result<Finished> {
        // What no trial could read is said before any is tried.
        drop(task::plan(self.space.settings(0)?)?);
        let all: usize = (0..self.space.rungs()).map(|rung| self.space.trials(rung)).sum();
        loop {
            let mut left = self.left(&self.journal.read()?);
            if left.is_empty() {
                return Ok(Finished::Complete);
            }
            let len = left.len();
            left.rotate_left(index % len);
            let mut has_claimed = false;
            for (trial, rung) in left {
                if stop.load(Relaxed) {
                    return Ok(Finished::Stopped);
                }
                let Some((folder, settings)) = self.claim(trial)? else { continue };
                has_claimed = true;
                // Another process may have done it before it let go.
                if self.journal.read()?.contains_key(&(trial, rung)) {
                    continue;
                }
                let Some(outcome) = self.round(trial, rung, folder, settings, stop)? else {
                    return Ok(Finished::Stopped);
                };
                self.journal.append(&outcome)?;
                on_outcome(&outcome, [self.journal.read()?.len(), all]);
                break;
            }
            if !has_claimed {
                if stop.load(Relaxed) {
                    return Ok(Finished::Stopped);
                }
                std::thread::sleep(LOOK);
            }
        }
    }

    /// The trials of the last round that has begun, the best first, and those of earlier rounds behind them.
    ///
    /// # Errors
    /// Errors of the disk.
    pub fn standings(&self) -> Result<Vec<Standing>> {
        let results = self.journal.read()?;
        let mut last: Vec<&Outcome> = Vec::new();
        for outcome in results.values().rev() {
            if last.iter().all(|other| other.trial != outcome.trial) {
                last.push(outcome);
            }
        }
        last.sort_by(|a, b| b.rung.cmp(&a.rung).then_with(|| by_result(a, b)));
        let standing = |outcome: &Outcome| Standing { outcome: outcome.clone(), folder: self.trial(outcome.trial) };
        Ok(last.into_iter().map(standing).collect())
    }

    fn trial(&self, trial: usize) -> PathBuf {
        self.folder.join(TRIALS).join(format!("{trial:04}"))
    }

    /// Trials and rounds that can be done now.
    fn left(&self, results: &Results) -> Vec<(usize, usize)> {
        let mut chosen: Vec<usize> = (0..self.space.trials(0)).collect();
        for rung in 0..self.space.rungs() {
            let left: Vec<_> =
                chosen.iter().map(|&trial| (trial, rung)).filter(|key| !results.contains_key(key)).collect();
            if !left.is_empty() {
                return left;
            }
            let mut order: Vec<&Outcome> = chosen.iter().map(|&trial| &results[&(trial, rung)]).collect();
            order.retain(|outcome| matches!(outcome.verdict, Verdict::Reached { .. }));
            order.sort_by(|a, b| by_result(a, b));
            chosen = order.iter().take(self.space.trials(rung + 1)).map(|outcome| outcome.trial).collect();
        }
        Vec::new()
    }

    /// The locked run folder of a trial and its settings; `None` where another process has it.
    fn claim(&self, trial: usize) -> Result<Option<(RunFolder, Settings)>> {
        let path = self.trial(trial);
        let settings = self.space.settings(trial)?;
        let folder = match path.join(run_folder::CONFIG).exists() {
            true => RunFolder::open(&path),
            false => RunFolder::create(&path, &settings.to_toml()?),
        };
        match folder {
            Ok(folder) => Ok(Some((folder, settings))),
            Err(Error::Busy(_)) => Ok(None),
            // Made by another process in between.
            Err(Error::Usage(_)) if path.join(run_folder::CONFIG).exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One round of a trial: from where it stands to the round's end. `None` if it was asked to stop before.
    fn round(
        &self,
        trial: usize,
        rung: usize,
        folder: RunFolder,
        settings: Settings,
        stop: &AtomicBool,
    ) -> Result<Option<Outcome>> {
        let (began, steps) = (Instant::now(), self.space.steps(rung));
        let drawn = self.space.drawn(trial).into_iter().map(|(name, text)| (name.to_string(), text)).collect();
        let outcome = |verdict: Verdict| {
            let seconds = began.elapsed().as_secs_f64();
            Some(Outcome { trial, rung, steps, verdict, drawn, seconds })
        };
        match self.measured(folder, settings, steps, stop) {
            Ok(Some(verdict)) => Ok(outcome(verdict)),
            Ok(None) => Ok(None),
            Err(error @ (Error::Diverged { .. } | Error::Setting { .. } | Error::Usage(_) | Error::Unread { .. })) => {
                Ok(outcome(Verdict::Failed(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    fn measured(
        &self,
        folder: RunFolder,
        settings: Settings,
        steps: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Verdict>> {
        let plan = task::plan(settings)?;
        keep_from(&folder, plan.settings())?;
        let mut session = plan.session(Start::resumed(folder))?;
        let (mut step, here) = (session.progress().step, AtomicBool::new(false));
        here.store(step >= steps, Relaxed);
        session.run(&here, &mut |event| {
            step += u64::from(matches!(event, Event::Step { .. }));
            if step >= steps || stop.load(Relaxed) {
                here.store(true, Relaxed);
            }
        })?;
        let mut records = session.records().iter().rev();
        let found = records.find(|record| record.step == steps && !record.val.is_empty());
        Ok(found.and_then(|record| record.val.first()).map(|(measure, value)| Verdict::Reached {
            measure: measure.clone(),
            value: *value,
            higher_is_better: is_better_high(measure),
        }))
    }
}

/// The better result first; of equal ones that of the lower number.
fn by_result(a: &Outcome, b: &Outcome) -> Ordering {
    cost(a).total_cmp(&cost(b)).then(a.trial.cmp(&b.trial))
}

/// What is lower where a result is better; above all where there is none.
fn cost(outcome: &Outcome) -> f64 {
    match outcome.verdict {
        Verdict::Reached { value, higher_is_better, .. } if value.is_finite() => {
            if higher_is_better {
                -value
            } else {
                value
            }
        }
        _ => f64::INFINITY,
    }
}
