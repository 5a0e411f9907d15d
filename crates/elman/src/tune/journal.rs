//! The journal of a study: a line for every result, appended by all processes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, failed};

/// Its name in the folder of a study.
const NAME: &str = "journal.jsonl";

/// What a trial came to at the end of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The trial, from 0.
    pub trial: usize,
    /// The round, from 0.
    pub rung: usize,
    /// Updates at its end.
    pub steps: u64,
    /// What it reached.
    pub verdict: Verdict,
    /// Settings that it drew, and their values as text.
    pub drawn: Vec<(String, String)>,
    /// Seconds that this round took.
    pub seconds: f64,
}

/// What a trial reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The measure that counts, and whether more of it is better.
    Reached {
        /// Its name, such as `val_accuracy`.
        measure: String,
        /// Its value.
        value: f64,
        /// Whether higher is better.
        higher_is_better: bool,
    },
    /// Why there is none.
    Failed(String),
}

/// The results so far, by trial and round.
pub(super) type Results = BTreeMap<(usize, usize), Outcome>;

/// The journal of a study.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(super) fn of(study: &Path) -> Journal {
        Journal { path: study.join(NAME) }
    }

    /// All results. Lines that a killed process left unfinished count for nothing: whatever they were to say is found out
    /// again. Of two results the first counts; they are the same but for their time.
    pub(super) fn read(&self) -> Result<Results> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(&self.path, "read")(error)),
        };
        let mut results = Results::new();
        for line in text.split(|&byte| byte == b'\n') {
            if let Ok(outcome) = serde_json::from_slice::<Outcome>(line) {
                results.entry((outcome.trial, outcome.rung)).or_insert(outcome);
            }
        }
        Ok(results)
    }

    /// Appends a result; when this returns it is on the medium.
    pub(super) fn append(&self, outcome: &Outcome) -> Result<()> {
        let open = || OpenOptions::new().read(true).append(true).create(true).open(&self.path);
        let mut file = open().map_err(failed(&self.path, "create"))?;
        let write = |file: &mut File| {
            // Appending at once is not one act on every file system.
            file.lock()?;
            let mut line = serde_json::to_vec(outcome)?;
            line.push(b'\n');
            let is_whole = file.seek(SeekFrom::End(-1)).map_or(Ok(true), |_| {
                let mut last = [0];
                file.read_exact(&mut last).map(|()| last == *b"\n")
            })?;
            if !is_whole {
                line.insert(0, b'\n');
            }
            file.write_all(&line)?;
            file.sync_data()
        };
        write(&mut file).map_err(failed(&self.path, "write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_and_half_a_line_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::of(folder.path());
        assert!(journal.read().unwrap().is_empty());
        let outcome = |trial: usize, value: f64| Outcome {
            trial,
            rung: 0,
            steps: 10,
            verdict: Verdict::Reached { measure: "val_nats".into(), value, higher_is_better: false },
            drawn: vec![("lr".into(), "0.1".into())],
            seconds: 1.5,
        };
        journal.append(&outcome(0, 0.1 + 0.2)).unwrap();
        let path = folder.path().join(NAME);
        let mut text = std::fs::read(&path).unwrap();
        let whole = text.clone();
        text.extend_from_slice(&whole[..whole.len() / 2]);
        std::fs::write(&path, text).unwrap();
        assert_eq!(journal.read().unwrap().len(), 1);
        let failure = Outcome { verdict: Verdict::Failed("diverged".into()), ..outcome(2, 0.0) };
        journal.append(&failure).unwrap();
        journal.append(&outcome(0, 9.0)).unwrap();
        let results = journal.read().unwrap();
        assert_eq!(results.into_values().collect::<Vec<_>>(), [outcome(0, 0.1 + 0.2), failure]);
    }
}
