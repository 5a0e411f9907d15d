//! Whole files, plain or gzipped, and the error that names one.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

#[cfg(test)]
pub(crate) use tests::{gzip, real_data, write};

/// The first two bytes of every gzip file (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// [`Error::Data`]: `path: reason`.
pub(crate) fn fault(path: &Path, reason: impl Into<String>) -> Error {
    Error::Data { path: path.into(), reason: reason.into() }
}

/// [`Error::Io`]: the file cannot be read.
pub(crate) fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: path.into(), action: "read", source }
}

/// A file's bytes; a gzipped file, detected by its first bytes, is decompressed.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Data`] if the compressed data are damaged or cut short.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|error| read_failed(path, error))?;
    Ok(bytes)
}

/// A file as a stream, decompressed if gzipped. Map the stream's errors with [`read_failed`].
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let mut file = File::open(path).map_err(|error| unreadable(path, error))?;
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        return Err(fault(path, "is a folder; a file is needed here"));
    }
    let mut head = Vec::with_capacity(GZIP_MAGIC.len());
    let limit = GZIP_MAGIC.len() as u64;
    file.by_ref().take(limit).read_to_end(&mut head).map_err(|error| unreadable(path, error))?;
    let gzipped = head == GZIP_MAGIC;
    let whole = std::io::Cursor::new(head).chain(BufReader::new(file));
    Ok(if gzipped { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

/// The error of a failed read of [`open`]'s stream.
pub(crate) fn read_failed(path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            fault(path, "the gzip file is cut short; copy or download it again (`gzip -t` checks it)")
        }
        // flate2's error kind for a wrong checksum, block or header.
        ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            fault(path, format!("the gzip file is damaged ({error}); copy or download it again (`gzip -t` checks it)"))
        }
        _ => unreadable(path, error),
    }
}

/// UTF-8 text without its byte order mark.
///
/// # Errors
/// The position of the first byte that is not UTF-8.
pub(crate) fn text<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str> {
    text_after(0, bytes, path)
}

/// As [`text`], for bytes after `lines` lines.
///
/// # Errors
/// As [`text`].
pub(crate) fn text_after<'a>(lines: usize, bytes: &'a [u8], path: &Path) -> Result<&'a str> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(fault(path, "is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = lines + before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        let byte = bytes[error.valid_up_to()];
        let remedy = "convert the file, say with iconv -f LATIN1 -t UTF-8 FILE > NEW";
        fault(path, format!("line {line}: byte 0x{byte:02X} at character {column} is not UTF-8; {remedy}"))
    })
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

    #[test]
    fn text_of_another_encoding_is_refused_with_its_position() {
        let path = Path::new("t.tsv");
        assert_eq!(text("\u{feff}é\n".as_bytes(), path).unwrap(), "é\n");
        let error = text(b"ok\nna\xefve", path).unwrap_err().to_string();
        assert!(error.starts_with("t.tsv: line 2: byte 0xEF at character 3 is not UTF-8; convert"), "{error}");
        assert!(text(b"\xff\xfea\0", path).unwrap_err().to_string().contains("UTF-16"));
    }
}
