//! Replaces a file atomically: at any moment, even in a power cut, its name refers to the complete old or new content.
//!
//! Write to a temporary name in the same folder, sync, read back and compare, rename, sync the folder. The temporary
//! name is `.NAME.tmp-PID`, so that leftovers of killed processes can be told from files being written.

#[cfg(unix)]
use std::fs::TryLockError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// Bytes written or compared at a time.
const CHUNK: usize = 1 << 20;

/// Age after which a temporary file is stale where running processes cannot be listed; no save takes that long.
const STALE_AFTER: Duration = Duration::from_secs(60 * 60);

/// The file operations of [`write_on`], so that tests can make each of them fail.
pub trait Disk {
    /// Creates a new file.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Writes all of `bytes` at the file's position.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the file's content is on the medium.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Gives a file a second name in the same folder, or copies it where hard links are not supported.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames a file within its folder, replacing any file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns when the folder's names are on the medium.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    /// Locks the file: one that a killed process of the same number left, as in containers, where it is always 1, is
    /// without a lock and used again.
    #[cfg(unix)]
    fn create(&self, path: &Path) -> io::Result<File> {
        let in_use = |file: File| match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            // Not every file system has locks.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        };
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => in_use(file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !fs::symlink_metadata(path)?.is_file() {
                    return Err(error);
                }
                let file = OpenOptions::new().write(true).open(path)?;
                file.try_lock().map_err(|_| error)?;
                file.set_len(0)?;
                Ok(file)
            }
            Err(error) => Err(error),
        }
    }

    /// On Windows a locked file cannot be read back.
    #[cfg(not(unix))]
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to).or_else(|_| {
            fs::copy(from, to)?;
            File::open(to)?.sync_all()
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        match File::open(path)?.sync_all() {
            // Some network and FUSE file systems cannot sync a folder and say so in this way.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }

    /// Windows has no such call; the file system's journal makes renames durable.
    #[cfg(not(unix))]
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// Replaces the content of `path` by `bytes`; on failure it is unchanged and no temporary file remains.
///
/// Concurrent writes of one path within a process are refused.
///
/// # Errors
/// [`Error::Io`] with the path, the action and, on a full disk, the bytes needed. If only the last step
/// fails, syncing the folder, the new file is in place, but a power cut may bring the old one back.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_on(&OsDisk, path, bytes)
}

/// As [`write()`], on any [`Disk`].
///
/// # Errors
/// As [`write()`].
pub fn write_on(disk: &impl Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let Some(name) = path.file_name() else {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it does not end in a file name");
        return Err(Error::Io { path: path.into(), action: "write", source });
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".tmp-{}", std::process::id()));
    let temporary = folder.join(temporary);

    let failed = |action| {
        let path = PathBuf::from(path);
        move |source| Error::Io { path, action, source: with_need(source, bytes.len() as u64) }
    };
    let mut file = disk.create(&temporary).map_err(|source| {
        let source = match source.kind() {
            io::ErrorKind::AlreadyExists => {
                let place = temporary.display();
                io::Error::new(
                    source.kind(),
                    format!(
                        "{place} exists: another save is in progress or was killed; if none is in progress, delete it"
                    ),
                )
            }
            _ => source,
        };
        failed("create")(source)
    })?;
    let complete = bytes
        .chunks(CHUNK)
        .try_for_each(|chunk| disk.write(&mut file, chunk))
        .map_err(failed("write"))
        .and_then(|()| disk.sync(&file).map_err(failed("sync")))
        .and_then(|()| compare(disk, &temporary, bytes).map_err(failed("read back")))
        .and_then(|()| {
            // Windows cannot rename an open file.
            drop(file);
            disk.rename(&temporary, path).map_err(failed("replace"))
        });
    if let Err(error) = complete {
        // Report the first error, not one of the clean-up.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.sync_folder(folder).map_err(failed("sync its folder"))
}

/// Creates a folder and those above it that are missing, each with its name on the medium.
///
/// # Errors
/// [`Error::Io`] if one cannot be created or synced.
pub fn create_folder(disk: &impl Disk, path: &Path) -> Result<()> {
    let failed = |action| move |source| Error::Io { path: path.into(), action, source };
    let missing: Vec<&Path> =
        path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()).collect();
    fs::create_dir_all(path).map_err(failed("create"))?;
    for folder in missing.into_iter().rev() {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.sync_folder(parent).map_err(failed("sync the folder of"))?;
    }
    Ok(())
}

/// Holds if the file has exactly these bytes.
fn compare(disk: &impl Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = disk.open(path)?;
    let mut buffer = vec![0; CHUNK];
    let mut rest = bytes;
    loop {
        let n = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if n == 0 && rest.is_empty() {
            return Ok(());
        }
        match rest.strip_prefix(&buffer[..n]) {
            Some(tail) if n > 0 => rest = tail,
            _ => return Err(io::Error::other("read back other bytes than were written; the disk may be failing")),
        }
    }
}

/// The operating system's reason, with the bytes a full disk would have needed.
#[derive(Debug, thiserror::Error)]
#[error("{source}; the file needs {bytes} bytes")]
struct NoRoom {
    bytes: u64,
    source: io::Error,
}

/// Adds the bytes needed to a disk-full error and keeps its kind; other errors are unchanged.
pub fn with_need(source: io::Error, bytes: u64) -> io::Error {
    if is_no_room(&source) { io::Error::new(source.kind(), NoRoom { bytes, source }) } else { source }
}

/// Whether the disk is full, a quota used up, or the file too large.
pub fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Removes and returns the temporary files that dead processes left in `folder`. To be called by the only process
/// that writes there, before it writes: a file with its own PID is stale, too, as in containers, where every PID is 1.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read or a file not removed.
pub fn remove_stale(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |action| move |source| Error::Io { path: folder.into(), action, source };
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("read"))? {
        let entry = entry.map_err(failed("read"))?;
        let Some(pid) = entry.file_name().to_str().and_then(writer_of) else { continue };
        if is_stale(pid, &entry) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|source| Error::Io { path: path.clone(), action: "remove", source })?;
            removed.push(path);
        }
    }
    removed.sort();
    Ok(removed)
}

/// The PID in a temporary file's name, `.NAME.tmp-PID`.
fn writer_of(name: &str) -> Option<u32> {
    let (name, pid) = name.strip_prefix('.')?.rsplit_once(".tmp-")?;
    let digits = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    if name.is_empty() || !digits { None } else { pid.parse().ok() }
}

fn is_stale(pid: u32, entry: &fs::DirEntry) -> bool {
    if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
        return false;
    }
    let processes = Path::new("/proc");
    if pid == std::process::id() {
        true
    } else if processes.join("self").exists() {
        !processes.join(pid.to_string()).exists()
    } else {
        let age = entry.metadata().and_then(|meta| meta.modified()).map(|time| time.elapsed());
        matches!(age, Ok(Ok(age)) if age > STALE_AFTER)
    }
}

/// A disk that fails on request.
#[cfg(test)]
pub(crate) mod faulty {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// Linux's numbers.
    pub(crate) const EIO: i32 = 5;
    pub(crate) const ENOSPC: i32 = 28;

    /// Makes the `nth` operation (from 1) fail; a failing write leaves half its bytes, as a full disk does.
    pub(crate) struct Faulty {
        nth: usize,
        errno: i32,
        done: Cell<usize>,
        pub(crate) failed: RefCell<Option<&'static str>>,
    }

    impl Faulty {
        pub(crate) fn new(nth: usize, errno: i32) -> Self {
            Self { nth, errno, done: Cell::new(0), failed: RefCell::new(None) }
        }

        fn next(&self, operation: &'static str) -> io::Result<()> {
            self.done.set(self.done.get() + 1);
            if self.done.get() == self.nth {
                self.failed.replace(Some(operation));
                return Err(io::Error::from_raw_os_error(self.errno));
            }
            Ok(())
        }
    }

    impl Disk for Faulty {
        fn create(&self, path: &Path) -> io::Result<File> {
            self.next("create")?;
            OsDisk.create(path)
        }
        fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            if let Err(error) = self.next("write") {
                file.write_all(&bytes[..bytes.len() / 2])?;
                return Err(error);
            }
            OsDisk.write(file, bytes)
        }
        fn sync(&self, file: &File) -> io::Result<()> {
            self.next("sync")?;
            OsDisk.sync(file)
        }
        fn open(&self, path: &Path) -> io::Result<File> {
            self.next("open")?;
            OsDisk.open(path)
        }
        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.next("link")?;
            OsDisk.link(from, to)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.next("rename")?;
            OsDisk.rename(from, to)
        }
        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            self.next("sync_folder")?;
            OsDisk.sync_folder(path)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            OsDisk.remove(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::faulty::{EIO, ENOSPC, Faulty};
    use super::*;
    use std::io::ErrorKind;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn whichever_operation_fails_the_old_file_stays_and_no_temporary_one() {
        let new = vec![7; 2 * CHUNK + 3];
        for errno in [EIO, ENOSPC] {
            let mut failures = Vec::new();
            for nth in 1.. {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("best");
                fs::write(&path, b"old").unwrap();
                let disk = Faulty::new(nth, errno);
                let result = write_on(&disk, &path, &new);
                let failed = disk.failed.take();
                assert_eq!(names(folder.path()), ["best"], "a file more after {failed:?}");
                let held = fs::read(&path).unwrap();
                let Some(operation) = failed else {
                    result.unwrap();
                    assert!(held == new);
                    break;
                };
                // The new name is in place when only the folder's sync fails.
                assert!(if operation == "sync_folder" { held == new } else { held == b"old" }, "after {operation}");
                let Error::Io { path: named, source, .. } = result.unwrap_err() else { panic!("not Io: {operation}") };
                assert_eq!(named, path);
                assert_eq!(is_no_room(&source), errno == ENOSPC);
                assert_eq!(source.to_string().contains("the file needs 2097155 bytes"), errno == ENOSPC, "{source}");
                failures.push(operation);
            }
            let all = ["create", "write", "write", "write", "sync", "open", "rename", "sync_folder"];
            assert_eq!(failures, all);
        }
    }

    /// Writes other bytes than given.
    struct Lying(Lie);

    type Lie = fn(&[u8]) -> Vec<u8>;

    impl Disk for Lying {
        fn create(&self, path: &Path) -> io::Result<File> {
            OsDisk.create(path)
        }
        fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            OsDisk.write(file, &(self.0)(bytes))
        }
        fn sync(&self, file: &File) -> io::Result<()> {
            OsDisk.sync(file)
        }
        fn open(&self, path: &Path) -> io::Result<File> {
            OsDisk.open(path)
        }
        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            OsDisk.link(from, to)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            OsDisk.rename(from, to)
        }
        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            OsDisk.sync_folder(path)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            OsDisk.remove(path)
        }
    }

    #[test]
    fn a_file_that_reads_back_differently_is_never_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best");
        write(&path, b"old").unwrap();
        let lies: [Lie; 4] = [
            |bytes| bytes.iter().map(|b| b ^ 1).collect(),
            |bytes| bytes[1..].to_vec(),
            |bytes| [bytes, b"x"].concat(),
            |_| Vec::new(),
        ];
        for lie in lies {
            let message = write_on(&Lying(lie), &path, b"newer").unwrap_err().to_string();
            assert!(message.contains("cannot read back"), "{message}");
            assert_eq!(fs::read(&path).unwrap(), b"old");
            assert_eq!(names(folder.path()), ["best"]);
        }
    }

    #[test]
    fn a_bare_name_an_empty_file_and_a_long_one_are_written() {
        let folder = tempfile::tempdir().unwrap();
        for n in [0, 1, CHUNK, CHUNK + 1] {
            let path = folder.path().join("file");
            write(&path, &vec![3; n]).unwrap();
            assert!(fs::read(&path).unwrap() == vec![3; n]);
        }
        assert!(matches!(write(Path::new("/"), b"x"), Err(Error::Io { .. })));
        assert!(matches!(write(Path::new(""), b"x"), Err(Error::Io { .. })));
    }

    #[test]
    fn a_missing_folder_or_one_of_that_name_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/best");
        let Err(Error::Io { path: named, source, .. }) = write(&path, b"x") else { panic!("written") };
        assert_eq!((named, source.kind()), (path, ErrorKind::NotFound));
        fs::create_dir(folder.path().join("best")).unwrap();
        assert!(write(&folder.path().join("best"), b"x").unwrap_err().to_string().contains("cannot replace"));
        assert_eq!(names(folder.path()), ["best"]);
    }

    #[test]
    fn a_save_in_progress_is_not_disturbed_by_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join(format!(".best.tmp-{}", std::process::id()));
        OsDisk.write(&mut OsDisk.create(&other).unwrap(), b"half").unwrap();
        let in_progress = OpenOptions::new().read(true).open(&other).unwrap();
        in_progress.lock().unwrap();
        let message = write(&folder.path().join("best"), b"x").unwrap_err().to_string();
        assert!(message.contains("another save"), "{message}");
        assert_eq!(fs::read(&other).unwrap(), b"half");
    }

    #[test]
    #[cfg(unix)]
    fn what_a_killed_process_of_the_same_number_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!(".best.tmp-{}", std::process::id())), b"half of a longer file").unwrap();
        write(&folder.path().join("best"), b"new").unwrap();
        assert_eq!(fs::read(folder.path().join("best")).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["best"]);
    }

    #[test]
    fn every_folder_created_has_its_name_synced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        for nth in 1..=2 {
            let disk = Faulty::new(nth, EIO);
            assert!(create_folder(&disk, &path).is_err(), "sync {nth} of 2 was not made");
            fs::remove_dir_all(folder.path().join("a")).unwrap();
        }
        create_folder(&Faulty::new(3, EIO), &path).unwrap();
        assert!(path.is_dir());
        // Nothing is new.
        create_folder(&Faulty::new(1, EIO), &path).unwrap();
    }

    #[test]
    fn only_temporary_files_of_dead_processes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        // PIDs end at 2^22 on Linux: 4294967295 never exists; 1 always does.
        let stale = [".best.safetensors.tmp-4294967295".to_string(), format!(".x.tmp-{}", std::process::id())];
        let kept =
            [".best.tmp-1", "best.tmp-4294967295", ".best.tmp-", ".best.tmp-12a", ".tmp-4294967295", "best", "note"];
        for name in stale.iter().map(String::as_str).chain(kept) {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        fs::create_dir(folder.path().join(".dir.tmp-4294967295")).unwrap();
        let removed = remove_stale(folder.path()).unwrap();
        let mut left: Vec<&str> = kept.into_iter().chain([".dir.tmp-4294967295"]).collect();
        left.sort_unstable();
        assert_eq!(names(folder.path()), left);
        let mut expected: Vec<_> = stale.iter().map(|name| folder.path().join(name)).collect();
        expected.sort();
        // Where running processes cannot be listed, a recent file is not stale.
        if Path::new("/proc/self").exists() {
            assert_eq!(removed, expected);
        }
    }
}
