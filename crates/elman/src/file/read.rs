//! Whole files, plain or compressed, standard input, and the error that names one.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use zip::ZipArchive;
use zip::result::ZipError;

use super::HAS_FILES;
use crate::error::{Error, Result};

#[cfg(test)]
pub(crate) use tests::{gzip, real_data, write};

/// The first two bytes of every gzip file (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The first four bytes of every Zstandard frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first four bytes of a zip archive's first entry.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// The path that stands for standard input.
const STDIN: &str = "-";

/// Bytes of an input, decompressed, that are read where nothing else is set: 4 GiB.
pub const DEFAULT_MAX_INPUT: u64 = 4 << 30;

/// Bytes of a line or a cell: what is longer is no text, and several copies of it are made.
pub(crate) const MAX_LINE: usize = 1 << 26;

/// Names that a message lists.
pub(crate) const LIST: usize = 20;

/// How much longer than the file its decompressed content may be where nothing else is set, once it is longer than
/// [`SMALL_CONTENT`]. Tables and texts become 3 to 20 times as long, what is made to take the memory 200 to 1,000 times.
const MAX_GROWTH: u64 = 25;
const SMALL_CONTENT: u64 = 128 << 20;

/// The one limit of the process, set by the front end before it reads; 0 where it is not set.
static MAX_INPUT: AtomicU64 = AtomicU64::new(0);

/// The most bytes that are read of one input, decompressed.
pub fn max_input() -> u64 {
    match MAX_INPUT.load(Ordering::Relaxed) {
        0 => DEFAULT_MAX_INPUT,
        limit => limit,
    }
}

/// The most bytes that are read of what a file of `len` bytes was compressed from.
pub(crate) fn max_decompressed(len: u64) -> u64 {
    match MAX_INPUT.load(Ordering::Relaxed) {
        0 => DEFAULT_MAX_INPUT.min(SMALL_CONTENT.max(len.saturating_mul(MAX_GROWTH))),
        limit => limit,
    }
}

/// Sets the most bytes that are read of one input, decompressed: for the whole process, before anything is read.
///
/// ```
/// elman::file::set_max_input(elman::file::bytes_of("8GiB")?);
/// assert_eq!(elman::file::max_input(), 8 << 30);
/// # Ok::<(), elman::Error>(())
/// ```
pub fn set_max_input(bytes: u64) {
    MAX_INPUT.store(bytes, Ordering::Relaxed);
}

/// A number of bytes as people write it: `4GiB`, `500 MB`, `1024`.
///
/// # Errors
/// [`Error::Setting`] of `max_input` for anything else, and for 0.
pub fn bytes_of(text: &str) -> Result<u64> {
    let wrong = || Error::setting("max_input", text, "must be a number of bytes above 0, such as 4GiB or 500MB");
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// The first names of a list, and how many more there are.
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let first: Vec<&str> = names.iter().take(LIST).map(AsRef::as_ref).collect();
    let more = if names.len() > LIST { format!(" and {} more", names.len() - LIST) } else { String::new() };
    first.join(", ") + &more
}

/// A stream of at most so many bytes.
struct Limited<R> {
    stream: R,
    left: u64,
    limit: u64,
}

/// The stream goes on after the limit.
#[derive(Debug, thiserror::Error)]
#[error("holds more than {limit} bytes")]
struct TooLong {
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // One byte more than allowed shows that there is one.
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.stream.read(&mut buffer[..most])?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => return Err(std::io::Error::other(TooLong { limit: self.limit })),
        }
        Ok(n)
    }
}

/// [`Error::Data`]: `path: reason`.
pub(crate) fn fault(path: &Path, reason: impl Into<String>) -> Error {
    Error::Data { path: path.into(), reason: reason.into() }
}

/// [`Error::Io`]: the file cannot be read.
pub(crate) fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.into(), action: "read", source }
}

/// A file's bytes, or with the path `-` those of standard input; what gzip or Zstandard compressed, or the one file of a zip
/// archive, told by their first bytes, is decompressed.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Data`] if the compressed data are damaged or cut short.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut stream = open(path)?;
    let mut bytes = Vec::new();
    // The memory of a plain file once, not up to twice as a growing buffer takes.
    if let Ok(len) = std::fs::metadata(path).map(|file| file.len().min(max_input()))
        && let Ok(len) = usize::try_from(len)
    {
        let full = || unreadable(path, ErrorKind::OutOfMemory.into());
        bytes.try_reserve_exact(len.saturating_add(32)).map_err(|_| full())?;
    }
    stream.read_to_end(&mut bytes).map_err(|error| read_failed(path, error))?;
    if !bytes.starts_with(ZIP_MAGIC) {
        return Ok(bytes);
    }
    // Arrays have a reader of their own; so has an archive of arrays or of anything else that is more than a file.
    Ok(only_file(&bytes, path)?.unwrap_or(bytes))
}

/// The content of the one file that a zip archive holds; none where there are several, as in workbooks, or it is an array. What
/// other systems put beside it (`__MACOSX`, hidden files) is passed over.
///
/// # Errors
/// [`Error::Data`] if it is damaged, wants a password, or is longer than what is read.
fn only_file(bytes: &[u8], path: &Path) -> Result<Option<Vec<u8>>> {
    let damaged = |error: ZipError| fault(path, format!("the zip archive is damaged, or it is locked: {error}"));
    // Without a directory it is cut short, or no archive at all: bytes of any kind, as `--bytes` reads them.
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else { return Ok(None) };
    let mut found = None;
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(damaged)?;
        let name = file.name().map_err(damaged)?;
        let is_hidden =
            name.starts_with("__MACOSX/") || name.rsplit('/').next().is_none_or(|name| name.starts_with('.'));
        if file.is_dir() || is_hidden {
            continue;
        }
        if name.ends_with(".npy") || found.replace(index).is_some() {
            return Ok(None);
        }
    }
    let Some(index) = found else { return Ok(None) };
    let file = archive.by_index(index).map_err(damaged)?;
    let limit = max_decompressed(bytes.len() as u64);
    let mut content = Vec::new();
    let read = Limited { stream: file, left: limit, limit }.read_to_end(&mut content);
    match read {
        Err(error) if error.get_ref().is_none_or(|source| !source.is::<TooLong>()) => Err(damaged(ZipError::Io(error))),
        read => read.map(|_| Some(content)).map_err(|error| read_failed(path, error)),
    }
}

/// A file, or standard input, as a stream, decompressed. Map the stream's errors with [`read_failed`].
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>> {
    if !HAS_FILES {
        return Err(fault(path, "cannot be read: there are no files in a page"));
    }
    if path == Path::new(STDIN) {
        return decompressed(std::io::stdin().lock(), path, u64::MAX);
    }
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let data = file.metadata().map_err(|error| unreadable(path, error))?;
    if data.is_dir() {
        return Err(fault(path, "is a folder; a file is needed here"));
    }
    // A pipe has no length.
    decompressed(file, path, if data.is_file() { data.len() } else { u64::MAX })
}

/// The content of a stream of `len` bytes.
fn decompressed(mut raw: impl Read + 'static, path: &Path, len: u64) -> Result<Box<dyn Read>> {
    let mut head = Vec::with_capacity(ZSTD_MAGIC.len());
    let wanted = ZSTD_MAGIC.len() as u64;
    raw.by_ref().take(wanted).read_to_end(&mut head).map_err(|error| unreadable(path, error))?;
    let (is_gzip, is_zstd) = (head.starts_with(&GZIP_MAGIC), head == ZSTD_MAGIC);
    let whole = Cursor::new(head).chain(raw);
    let limit = if is_gzip || is_zstd { max_decompressed(len) } else { max_input() };
    Ok(match (is_gzip, is_zstd) {
        (true, _) => Box::new(Limited { stream: MultiGzDecoder::new(BufReader::new(whole)), left: limit, limit }),
        (_, true) => Box::new(Limited {
            stream: Frames { source: Some(BufReader::new(whole)), frame: None },
            left: limit,
            limit,
        }),
        _ => Box::new(Limited { stream: BufReader::new(whole), left: limit, limit }),
    })
}

/// Zstandard frames one after another, as files put together have them.
struct Frames<R: Read> {
    source: Option<BufReader<R>>,
    frame: Option<StreamingDecoder<BufReader<R>, FrameDecoder>>,
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // The decoder wraps the end of the file into an error of its own.
        let damaged = |error: String| {
            let is_cut = error.contains("UnexpectedEof") || error.contains("failed to fill whole buffer");
            std::io::Error::new(if is_cut { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData }, error)
        };
        loop {
            if let Some(frame) = &mut self.frame {
                let n = frame.read(buffer).map_err(|error| damaged(error.to_string()))?;
                if n > 0 || buffer.is_empty() {
                    return Ok(n);
                }
                self.source = self.frame.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut source) = self.source.take() else { return Ok(0) };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(source).map_err(|error| damaged(error.to_string()))?);
        }
    }
}

/// The error of a failed read of [`open`]'s stream.
pub(crate) fn read_failed(path: &Path, error: std::io::Error) -> Error {
    if let Some(too_long) = error.get_ref().and_then(|source| source.downcast_ref::<TooLong>()) {
        return fault(path, format!("{too_long}, decompressed; `max_input` allows for more"));
    }
    match error.kind() {
        ErrorKind::UnexpectedEof => fault(
            path,
            "the compressed file is cut short; copy or download it again (`gzip -t` or `zstd -t` checks it)",
        ),
        // A wrong checksum, block or header.
        ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            let remedy = "copy or download it again (`gzip -t` or `zstd -t` checks it)";
            fault(path, format!("the compressed file is damaged ({error}); {remedy}"))
        }
        _ => unreadable(path, error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    /// A folder of the real data sets: `$ELMAN_DATA/name`, else `../shared/data/name` beside the repository; `None`,
    /// with a message, if absent.
    pub(crate) fn real_data(name: &str) -> Option<PathBuf> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let folder = std::env::var_os("ELMAN_DATA").map_or_else(beside, PathBuf::from).join(name);
        if !folder.is_dir() {
            eprintln!("SKIPPED: {} is absent; set ELMAN_DATA to test on real data", folder.display());
            return None;
        }
        Some(folder)
    }

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub(crate) fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn gzip_is_detected_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let two_members = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(read(&write(folder.path(), "a.txt", two_members)).unwrap(), b"one two");
        assert_eq!(read(&write(folder.path(), "b.gz", b"plain")).unwrap(), b"plain");
        assert_eq!(read(&write(folder.path(), "c", b"x")).unwrap(), b"x");
        assert_eq!(read(&write(folder.path(), "d", b"")).unwrap(), b"");
    }

    #[test]
    fn zstandard_is_detected_by_content_and_damage_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"some text that repeats, some text that repeats\n".repeat(50);
        let frame = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
        let two = [&frame[..], &frame].concat();
        assert_eq!(read(&write(folder.path(), "a.zst", &two)).unwrap(), [&text[..], &text].concat());
        for cut in [5, frame.len() / 2, two.len() - 1] {
            let error = read(&write(folder.path(), "b", &two[..cut])).unwrap_err().to_string();
            assert!(error.contains("is cut short"), "{cut}: {error}");
        }
    }

    /// A zip archive of these files.
    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn the_one_file_of_a_zip_archive_is_read_and_of_several_none() {
        let folder = tempfile::tempdir().unwrap();
        let of = |bytes: &[u8]| read(&write(folder.path(), "a.zip", bytes));
        let text = b"a,b\n1,2\n".repeat(400);
        let one = zipped(&[("__MACOSX/._t.csv", b"x"), ("data/t.csv", &text), ("data/.DS_Store", b"y")]);
        assert_eq!(of(&one).unwrap(), text);
        let two = zipped(&[("t.csv", b"a"), ("u.csv", b"b")]);
        assert_eq!(of(&two).unwrap(), two);
        let arrays = zipped(&[("x.npy", b"\x93NUMPY")]);
        assert_eq!(of(&arrays).unwrap(), arrays);
        for cut in [10, one.len() / 2, one.len() - 1] {
            assert_eq!(of(&one[..cut]).unwrap(), one[..cut], "{cut}");
        }
        let mut wrong = one.clone();
        let at = one.windows(4).position(|four| four == b"t.cs").unwrap();
        wrong[at + 10] ^= 0x55;
        assert!(of(&wrong).unwrap_err().to_string().contains("damaged"));
        let zeros = zipped(&[("zeros", &vec![0; (SMALL_CONTENT + 1) as usize])]);
        assert!(of(&zeros).unwrap_err().to_string().contains("holds more than 134217728 bytes, decompressed"));
    }

    #[test]
    fn an_input_ends_at_the_limit_whatever_it_is_compressed_to() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"0123456789";
        let of = |limit: u64| {
            let mut read = Vec::new();
            Limited { stream: &text[..], left: limit, limit }.read_to_end(&mut read).map(|_| read)
        };
        assert_eq!(of(10).unwrap(), text);
        let path = folder.path().join("a.txt");
        let error = read_failed(&path, of(9).unwrap_err()).to_string();
        assert!(error.contains("holds more than 9 bytes") && error.contains("`max_input`"), "{error}");
        for (text, bytes) in [("4GiB", 4 << 30), ("500 MB", 500_000_000), ("7", 7), ("2k", 2048)] {
            assert_eq!(bytes_of(text).unwrap(), bytes);
        }
        for text in ["", "0", "-1", "4 bananas", "99999999999TiB"] {
            assert!(bytes_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_grows_a_thousandfold_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![0; 1 << 24]).unwrap();
        let zeros = encoder.finish().unwrap();
        assert!(zeros.len() * 1000 < 1 << 24, "{} bytes", zeros.len());
        let path = write(folder.path(), "a.gz", zeros.repeat(16));
        let error = read(&path).map(|bytes| bytes.len()).unwrap_err().to_string();
        assert!(error.contains("holds more than 134217728 bytes, decompressed"), "{error}");
        assert_eq!(read(&write(folder.path(), "b.gz", zeros)).unwrap().len(), 1 << 24);
        assert_eq!([max_decompressed(1 << 20), max_decompressed(1 << 30)], [SMALL_CONTENT, DEFAULT_MAX_INPUT]);
    }

    #[test]
    fn a_gzip_file_cut_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = gzip(&b"some text that repeats, some text that repeats\n".repeat(50));
        for cut in 2..whole.len() {
            let error = read(&write(folder.path(), "a.gz", &whole[..cut])).unwrap_err();
            assert!(error.to_string().contains("cut short"), "at {cut}: {error}");
        }
        let mut damaged = whole.clone();
        let crc = whole.len() - 8;
        damaged[crc] ^= 1;
        let error = read(&write(folder.path(), "a.gz", damaged)).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    #[test]
    fn files_that_are_absent_or_folders_say_so() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(&folder.path().join("none")), Err(Error::Io { action: "read", .. })));
        assert!(read(folder.path()).unwrap_err().to_string().contains("is a folder"));
    }
}
