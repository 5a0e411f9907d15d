//! A run folder: `config.toml`, `metrics.jsonl` and `.csv`, `best`, `last` and `previous.safetensors`, `samples/`,
//! `review.json` (what the best model's validation showed), `first.safetensors` of a run that trains once more on all data, `from.safetensors` of one that began from a model,
//! and the same metrics and samples as a file that TensorBoard reads.
//!
//! A lock admits one writing process at a time. Everything but the metrics is replaced atomically; the metrics are
//! appended to, and a checkpoint holds their number, so that a resumed run truncates them. TensorBoard's file is
//! rewritten from them if it disagrees.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::events::Events;
use super::record::{Record, sample_path};
use crate::error::{Error, Result, failed};
use crate::file::atomic::{self, Disk};
use crate::format::document::DocumentWriter;
use crate::format::model;
use crate::metric::Review;

/// The settings, resolved.
pub const CONFIG: &str = "config.toml";
/// One record per line.
pub const METRICS: &str = "metrics.jsonl";
/// The same as a table.
pub const TABLE: &str = "metrics.csv";
pub use crate::format::model::{BEST, LAST};
/// The checkpoint before it.
pub const PREVIOUS: &str = "previous.safetensors";
pub use super::record::SAMPLES;
/// The checkpoint at the end of the first training, in a run that trains once more on all data.
pub const FIRST: &str = "first.safetensors";
/// A copy of the model that the run began from.
pub const FROM: &str = "from.safetensors";
/// What the validation of the best model showed.
pub const REVIEW: &str = "review.json";
const LOCK: &str = "lock";

/// A run's folder, locked.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Holds the lock until dropped.
    _lock: File,
    metrics: File,
    /// Opened with the first record, after the metrics were truncated.
    events: Option<Events>,
}

impl RunFolder {
    /// Creates the folder of a new run.
    ///
    /// # Errors
    /// If it already holds a run, is locked by another process, or cannot be written.
    pub fn create(path: &Path, config: &str) -> Result<RunFolder> {
        let refuse_a_run = || {
            if !path.join(CONFIG).exists() {
                return Ok(());
            }
            let path = path.display();
            let message = format!("{path} already holds a run; continue it with `resume`, or choose another `out`");
            Err(Error::Usage(message))
        };
        refuse_a_run()?;
        atomic::create_folder(&atomic::OsDisk, path)?;
        let folder = Self::locked(path)?;
        // Checked again under the lock: another process may have completed a run in between.
        refuse_a_run()?;
        atomic::write(&path.join(CONFIG), config.as_bytes())?;
        Ok(folder)
    }

    /// Opens the folder of a run to resume.
    ///
    /// # Errors
    /// If there is no run, or it is locked by another process.
    pub fn open(path: &Path) -> Result<RunFolder> {
        config(path)?;
        Self::locked(path)
    }

    fn locked(path: &Path) -> Result<RunFolder> {
        let lock_path = path.join(LOCK);
        let open = |path: &Path| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut lock = open(&lock_path).map_err(failed(&lock_path, "create"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The PID is only informative: the failed lock itself is the evidence.
                let _ = lock.read_to_string(&mut holder);
                let message = format!("{}: process {} is training there", path.display(), holder.trim());
                return Err(Error::Busy(message));
            }
            Err(TryLockError::Error(source)) => return Err(failed(&lock_path, "lock")(source)),
        }
        let write_holder = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            lock.write_all(std::process::id().to_string().as_bytes())
        };
        write_holder(&mut lock).map_err(failed(&lock_path, "write"))?;
        atomic::remove_stale(path)?;
        let samples = path.join(SAMPLES);
        if samples.is_dir() {
            atomic::remove_stale(&samples)?;
        }
        let metrics = path.join(METRICS);
        let append = OpenOptions::new().append(true).create(true).open(&metrics);
        Ok(RunFolder {
            path: path.into(),
            _lock: lock,
            metrics: append.map_err(failed(&metrics, "create"))?,
            events: None,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let path = self.path.join(METRICS);
        self.events()?;
        let mut line = serde_json::to_string(record).map_err(|e| failed(&path, "write")(e.into()))?;
        line.push('\n');
        let wrote = self.metrics.write_all(line.as_bytes());
        wrote.map_err(|source| atomic::with_need(source, line.len() as u64)).map_err(failed(&path, "write"))?;
        self.events()?.record(record)
    }

    fn events(&mut self) -> Result<&mut Events> {
        let events = match self.events.take() {
            Some(events) => events,
            None => Events::of(&atomic::OsDisk, &self.path, &read_metrics(&self.path.join(METRICS))?)?,
        };
        Ok(self.events.insert(events))
    }

    /// Replaces the table by these records.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_table(&self, records: &[Record]) -> Result<()> {
        atomic::write(&self.path.join(TABLE), table(records).as_bytes())
    }

    /// Returns when the metrics are on the medium.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync_metrics(&self) -> Result<()> {
        self.metrics.sync_data().map_err(failed(&self.path.join(METRICS), "sync"))
    }

    /// Truncates the metrics to their first `count` records and returns these.
    ///
    /// # Errors
    /// If the file is damaged or cannot be written.
    pub fn rewind(&mut self, count: usize) -> Result<Vec<Record>> {
        let path = self.path.join(METRICS);
        let text = fs::read(&path).map_err(failed(&path, "read"))?;
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let len = ends.take(count).last().unwrap_or(0);
        self.metrics.set_len(len as u64).map_err(failed(&path, "write"))?;
        let records = read_metrics(&path)?;
        self.events = Some(Events::of(&atomic::OsDisk, &self.path, &records)?);
        Ok(records)
    }

    /// Replaces the newest checkpoint; the one it replaces becomes `previous`.
    ///
    /// # Errors
    /// As [`model::save`]; the old checkpoint is then still there.
    pub fn save_last(&self, document: &DocumentWriter) -> Result<()> {
        self.save_last_on(&atomic::OsDisk, document)
    }

    /// As [`Self::save_last`], on any [`Disk`].
    fn save_last_on(&self, disk: &impl Disk, document: &DocumentWriter) -> Result<()> {
        let last = self.path.join(LAST);
        if last.exists() {
            // A second name for the same file: a checkpoint exists at every moment.
            let previous = self.path.join(PREVIOUS);
            let temporary = self.path.join(format!(".{PREVIOUS}.tmp-{}", std::process::id()));
            let _ = disk.remove(&temporary);
            let linked = disk.link(&last, &temporary).and_then(|()| disk.rename(&temporary, &previous));
            // Renaming onto another name of the same file does nothing and keeps both names.
            let _ = disk.remove(&temporary);
            linked.map_err(failed(&previous, "replace"))?;
        }
        model::save_on(disk, &last, document)
    }

    /// Replaces the checkpoint at the end of the first training.
    ///
    /// # Errors
    /// As [`model::save`].
    pub fn save_first(&self, document: &DocumentWriter) -> Result<()> {
        model::save(&self.path.join(FIRST), document)
    }

    /// Keeps a copy of the model that the run begins from: its file may change before the run goes on.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn keep_from(&self, model: &Path) -> Result<()> {
        let bytes = fs::read(model).map_err(failed(model, "read"))?;
        atomic::write(&self.path.join(FROM), &bytes)
    }

    /// Replaces what the validation of the best model showed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_review(&self, review: &Review) -> Result<()> {
        let path = self.path.join(REVIEW);
        let text = serde_json::to_vec(review).map_err(|error| failed(&path, "write")(error.into()))?;
        atomic::write(&path, &text)
    }

    /// Replaces the best model.
    ///
    /// # Errors
    /// As [`model::save`].
    pub fn save_best(&self, document: &DocumentWriter) -> Result<()> {
        model::save(&self.path.join(BEST), document)
    }

    /// Saves a sample of a record already appended.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_sample(&mut self, record: &Record, text: &str) -> Result<()> {
        let folder = self.path.join(SAMPLES);
        atomic::create_folder(&atomic::OsDisk, &folder)?;
        atomic::write(&sample_path(&self.path, record.step), text.as_bytes())?;
        self.events()?.sample(record, text)
    }
}

/// Records as a table with a column for every metric in any of them.
fn table(records: &[Record]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in records.iter().flat_map(|r| &r.val) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let train = if records.iter().any(|r| r.train_loss.is_some()) { "train_loss" } else { "train_nats" };
    let mut text = format!("step,epoch,targets,{train},lr,grad_norm,targets_per_s,elapsed_s,saving_s,unix_time");
    names.iter().for_each(|name| text.push_str(&format!(",{name}")));
    text.push('\n');
    let cell = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for r in records {
        let train = cell(r.train());
        let grad_norm = cell(Some(r.grad_norm).filter(|norm| norm.is_finite()));
        text.push_str(&format!("{},{},{},{train},{},{grad_norm}", r.step, r.epoch, r.targets, r.lr));
        text.push_str(&format!(",{},{},{},{}", r.targets_per_s, r.elapsed_s, r.saving_s, r.unix_time));
        names.iter().for_each(|name| text.push_str(&format!(",{}", cell(r.val(name)))));
        text.push('\n');
    }
    text
}

/// What the validation of the best model showed; none where the run has no such file, or not one of this version.
pub fn review(folder: &Path) -> Option<Review> {
    serde_json::from_slice(&fs::read(folder.join(REVIEW)).ok()?).ok()
}

/// The settings of a run, as text.
///
/// # Errors
/// If there is no run.
pub fn config(folder: &Path) -> Result<String> {
    let path = folder.join(CONFIG);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = format!("holds no run: {CONFIG} is missing; start one with `elman train`");
            Err(Error::Data { path: folder.into(), reason })
        }
        Err(error) => Err(failed(&path, "read")(error)),
    }
}

/// Replaces the settings of a run, which goes on with others.
///
/// # Errors
/// If they cannot be written.
pub fn save_config(folder: &Path, config: &str) -> Result<()> {
    atomic::write(&folder.join(CONFIG), config.as_bytes())
}

/// The records of a `metrics.jsonl`; an incomplete last line, left by a killed process, is ignored.
///
/// # Errors
/// If it cannot be read, or a line is not a record.
pub fn read_metrics(path: &Path) -> Result<Vec<Record>> {
    let text = fs::read_to_string(path).map_err(failed(path, "read"))?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut records = Vec::new();
    for (number, line) in whole.lines().enumerate() {
        let record = serde_json::from_str(line).map_err(|error| Error::Data {
            path: path.into(),
            reason: format!("line {} is not a record of a run: {error}", number + 1),
        })?;
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::atomic::faulty::{EIO, ENOSPC, Faulty};
    use serde_json::json;

    fn record(step: u64) -> Record {
        let val = if step.is_multiple_of(2) { vec![("val_nats".to_string(), 1.5)] } else { vec![] };
        Record { step, epoch: 0.25, train_nats: Some(0.1 + step as f64), lr: 0.002, val, ..Record::default() }
    }

    #[test]
    fn a_folder_takes_one_run_and_one_process_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        let folder = RunFolder::create(&path, "seed = 1\n").unwrap();
        let message = RunFolder::open(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        drop(folder);
        let message = RunFolder::create(&path, "seed = 1\n").unwrap_err().to_string();
        assert!(message.contains("`resume`"), "{message}");
        assert_eq!(config(&path).unwrap(), "seed = 1\n");
        RunFolder::open(&path).unwrap();
        assert!(RunFolder::open(place.path()).unwrap_err().to_string().contains("holds no run"));
    }

    #[test]
    fn metrics_are_truncated_to_the_checkpoint_and_whole_lines() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        let mut folder = RunFolder::create(&path, "").unwrap();
        (1..=2).for_each(|step| folder.append(&record(step)).unwrap());
        folder.sync_metrics().unwrap();
        folder.append(&record(3)).unwrap();
        folder.metrics.write_all(b"{\"step\":4").unwrap();
        assert_eq!(read_metrics(&path.join(METRICS)).unwrap().len(), 3);
        assert_eq!(folder.rewind(2).unwrap(), [record(1), record(2)]);
        folder.append(&record(3)).unwrap();
        assert_eq!(read_metrics(&path.join(METRICS)).unwrap(), [record(1), record(2), record(3)]);
        folder.write_table(&[record(1), record(2)]).unwrap();
        let table = fs::read_to_string(path.join(TABLE)).unwrap();
        let ends: Vec<&str> = table.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
        assert_eq!(ends, ["val_nats", "", "1.5"]);
    }

    #[test]
    fn the_checkpoint_before_is_kept_under_its_own_name() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&place.path().join("run"), "").unwrap();
        let save = |n: u64| {
            folder.save_last(&DocumentWriter { config: json!({"kind": "checkpoint", "n": n}), tensors: vec![] })
        };
        (1..=3).for_each(|n| save(n).unwrap());
        let n = |name: &str| model::load(&folder.path.join(name)).unwrap().document.config()["n"].clone();
        assert_eq!((n(LAST), n(PREVIOUS)), (json!(3), json!(2)));
        // A process killed between the two renames leaves both names on one file.
        fs::remove_file(folder.path.join(PREVIOUS)).unwrap();
        fs::hard_link(folder.path.join(LAST), folder.path.join(PREVIOUS)).unwrap();
        save(4).unwrap();
        assert_eq!((n(LAST), n(PREVIOUS)), (json!(4), json!(3)));
        let names = fs::read_dir(&folder.path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.contains(".tmp-")).count(), 0);
    }

    #[test]
    fn after_any_disk_failure_a_checkpoint_remains() {
        let document = |n: u64| DocumentWriter { config: json!({"kind": "checkpoint", "n": n}), tensors: vec![] };
        for errno in [EIO, ENOSPC] {
            let mut failures = Vec::new();
            for nth in 1.. {
                let place = tempfile::tempdir().unwrap();
                let path = place.path().join("run");
                let folder = RunFolder::create(&path, "").unwrap();
                (1..=2).for_each(|n| folder.save_last(&document(n)).unwrap());
                let disk = Faulty::new(nth, errno);
                let result = folder.save_last_on(&disk, &document(3));
                let n = |name: &str| model::load(&path.join(name)).unwrap().document.config()["n"].as_u64().unwrap();
                let (last, previous) = (n(LAST), n(PREVIOUS));
                let left = fs::read_dir(&path)
                    .unwrap()
                    .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".tmp-"));
                assert_eq!(left.count(), 0);
                let Some(operation) = disk.failed.take() else {
                    result.unwrap();
                    assert_eq!((last, previous), (3, 2));
                    break;
                };
                assert!(matches!(result, Err(Error::Io { .. })), "{operation}");
                // Only the folder's sync comes after the new checkpoint has its name.
                assert_eq!(last, if operation == "sync_folder" { 3 } else { 2 }, "{operation}");
                assert!(previous == 1 || previous == 2, "{operation}");
                // The next save succeeds whatever the failed one left.
                folder.save_last(&document(4)).unwrap();
                assert_eq!(n(LAST), 4);
                failures.push(operation);
            }
            let all = ["link", "rename", "create", "write", "sync", "open", "rename", "sync_folder"];
            assert_eq!(failures, all);
        }
    }
}
