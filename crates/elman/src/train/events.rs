//! A run's records and samples for TensorBoard.
//!
//! The file is a function of the records and the samples: when a run is resumed or rolled back and the file disagrees,
//! it is rewritten, so that no step occurs twice. The new file has a later name, so that a running TensorBoard reads it
//! from the start.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Record;
use super::record::sample_path;
use crate::error::{Result, failed};
use crate::file::atomic::{self, Disk};
use crate::format::tensorboard;

/// TensorBoard looks for `tfevents`, and reads the files of a folder in the order of their names.
const PREFIX: &str = "events.out.tfevents.";
/// In place of a host name: identifies our files.
const SUFFIX: &str = ".elman.0";

/// The events file of a run folder, open for appending.
#[derive(Debug)]
pub(super) struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// Opens the folder's file if it matches these records, else rewrites it.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(super) fn of(disk: &impl Disk, folder: &Path, records: &[Record]) -> Result<Events> {
        let old = times(folder)?;
        if let [time] = old[..] {
            let path = path(folder, time);
            let is_whole = fs::read(&path).map_err(failed(&path, "read"))? == file(folder, time, records);
            if is_whole {
                return Self::open(path);
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let time = old.last().map_or(now, |last| now.max(last.saturating_add(1)));
        let new = path(folder, time);
        atomic::write_on(disk, &new, &file(folder, time, records))?;
        for old in old.into_iter().map(|time| path(folder, time)) {
            disk.remove(&old).map_err(failed(&old, "remove"))?;
        }
        Self::open(new)
    }

    fn open(path: PathBuf) -> Result<Events> {
        let file = OpenOptions::new().append(true).open(&path).map_err(failed(&path, "write"))?;
        Ok(Events { path, file })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn record(&mut self, record: &Record) -> Result<()> {
        let mut bytes = Vec::new();
        scalars(&mut bytes, record);
        self.append(&bytes)
    }

    /// Adds a sample made at a record.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn sample(&mut self, record: &Record, text: &str) -> Result<()> {
        let mut bytes = Vec::new();
        sample(&mut bytes, record, text);
        self.append(&bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let wrote = self.file.write_all(bytes);
        wrote.map_err(|source| atomic::with_need(source, bytes.len() as u64)).map_err(failed(&self.path, "write"))
    }
}

fn path(folder: &Path, time: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{time:010}{SUFFIX}"))
}

/// The times in the names of our files, rising.
fn times(folder: &Path) -> Result<Vec<u64>> {
    let mut times = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder, "read"))? {
        let name = entry.map_err(failed(folder, "read"))?.file_name();
        let time = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
        // Only names that we would write: `+1` parses, too.
        times.extend(time.filter(|time| path(folder, *time).file_name() == Some(&name)));
    }
    times.sort_unstable();
    Ok(times)
}

/// The whole file.
fn file(folder: &Path, time: u64, records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    tensorboard::begin(&mut out, time as f64);
    for record in records {
        scalars(&mut out, record);
        // Only validations have samples; those of a validation since rolled back are ignored.
        if !record.val.is_empty()
            && let Ok(text) = fs::read(sample_path(folder, record.step))
        {
            sample(&mut out, record, &String::from_utf8_lossy(&text));
        }
    }
    out
}

fn scalars(out: &mut Vec<u8>, r: &Record) {
    let val: Vec<(String, f64)> = r.val.iter().map(|(name, value)| (format!("val/{name}"), *value)).collect();
    let mut values: Vec<(&str, f64)> = Vec::new();
    values.extend(r.train_nats.map(|nats| ("train/nats", nats)));
    values.extend(r.train_loss.map(|loss| ("train/loss", loss)));
    values.extend(val.iter().map(|(tag, value)| (tag.as_str(), *value)));
    values.extend([("train/lr", r.lr), ("train/grad_norm", r.grad_norm), ("train/epoch", r.epoch)]);
    if r.targets_per_s > 0.0 {
        values.push(("speed/targets_per_s", r.targets_per_s));
    }
    values.retain(|(_, value)| value.is_finite());
    tensorboard::scalars(out, r.unix_time as f64, r.step, &values);
}

/// A sample as Markdown: a code block keeps lines and spaces.
fn sample(out: &mut Vec<u8>, record: &Record, text: &str) {
    let markdown: String = text.lines().flat_map(|line| ["    ", line, "\n"]).collect();
    tensorboard::text(out, record.unix_time as f64, record.step, "sample", &markdown);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::file::atomic::OsDisk;
    use crate::file::atomic::faulty::{EIO, ENOSPC, Faulty};
    use crate::format::tensorboard::Entry;

    fn record(step: u64) -> Record {
        let val = if step.is_multiple_of(2) { vec![("val_nats".to_string(), 1.5)] } else { vec![] };
        Record { step, train_nats: Some(step as f64), lr: 0.002, val, unix_time: 1_000 + step, ..Record::default() }
    }

    fn records(steps: u64) -> Vec<Record> {
        (1..=steps).map(record).collect()
    }

    fn the_file(folder: &Path) -> PathBuf {
        let times = times(folder).unwrap();
        assert_eq!(times.len(), 1);
        path(folder, times[0])
    }

    fn entries(folder: &Path) -> Vec<Entry> {
        let bytes = fs::read(the_file(folder)).unwrap();
        let (entries, whole) = tensorboard::read(&bytes).unwrap();
        assert_eq!(whole, bytes.len());
        entries
    }

    /// A run of `steps` records with a sample at step 2.
    fn begun(folder: &Path, steps: u64) -> Events {
        let mut events = Events::of(&OsDisk, folder, &[]).unwrap();
        for record in records(steps) {
            events.record(&record).unwrap();
            if record.step == 2 {
                fs::create_dir_all(sample_path(folder, 2).parent().unwrap()).unwrap();
                fs::write(sample_path(folder, 2), "a\n  b").unwrap();
                events.sample(&record, "a\n  b").unwrap();
            }
        }
        events
    }

    #[test]
    fn a_rewritten_file_equals_the_appended_one() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        drop(begun(folder, 3));
        let (name, bytes) = (the_file(folder), fs::read(the_file(folder)).unwrap());
        drop(Events::of(&OsDisk, folder, &records(3)).unwrap());
        assert_eq!((name, bytes), (the_file(folder), fs::read(the_file(folder)).unwrap()));
        let expected = Entry::Text(2, "sample".into(), "    a\n      b\n".into());
        assert_eq!(entries(folder).iter().filter(|entry| **entry == expected).count(), 1);
    }

    #[test]
    fn no_step_occurs_twice_and_a_torn_file_is_rewritten_under_a_later_name() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        let mut events = begun(folder, 5);
        let whole = entries(folder);
        events.append(b"torn").unwrap();
        let old = the_file(folder);
        let mut events = Events::of(&OsDisk, folder, &records(3)).unwrap();
        assert!(the_file(folder) > old);
        (4..=5).for_each(|step| events.record(&record(step)).unwrap());
        assert_eq!(entries(folder), whole);
    }

    #[test]
    fn other_programs_files_are_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let other = place.path().join("events.out.tfevents.1700000000.host.1.0");
        fs::write(&other, "theirs").unwrap();
        drop(begun(place.path(), 5));
        drop(Events::of(&OsDisk, place.path(), &records(1)).unwrap());
        assert_eq!(fs::read(&other).unwrap(), b"theirs");
        assert_eq!(
            the_file(place.path()).file_name().unwrap().to_str().unwrap().len(),
            "events.out.tfevents.".len() + 18
        );
    }

    #[test]
    fn after_any_disk_failure_the_next_open_repairs_the_file() {
        for errno in [EIO, ENOSPC] {
            for nth in 1.. {
                let place = tempfile::tempdir().unwrap();
                let folder = place.path();
                drop(begun(folder, 5));
                let disk = Faulty::new(nth, errno);
                let result = Events::of(&disk, folder, &records(3));
                let Some(operation) = disk.failed.take() else {
                    result.unwrap();
                    assert!(nth > 6, "only {nth} operations were tried");
                    break;
                };
                assert!(matches!(result, Err(Error::Io { .. })), "{operation}");
                let mut events = Events::of(&OsDisk, folder, &records(3)).unwrap();
                (4..=5).for_each(|step| events.record(&record(step)).unwrap());
                let scalars = entries(folder).into_iter().filter_map(|entry| match entry {
                    Entry::Scalar(step, tag, _) if tag == "train/nats" => Some(step),
                    _ => None,
                });
                assert_eq!(scalars.collect::<Vec<_>>(), [1, 2, 3, 4, 5], "{operation}");
            }
        }
    }
}
