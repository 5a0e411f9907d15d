//! Zip archives: the entries of `.keras`, `.pt` and `.npz` files, never unpacked to disk.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::source::{Options, Source};

/// What all compressed entries together may take beyond the size of the file: weights barely compress.
const SLACK: u64 = 16 << 20;

/// Whether a file begins as an archive does.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Whether a file is an archive; asked after those kinds that have a reader.
pub(super) fn recognizes(source: &Source) -> bool {
    is_zip(source.bytes)
}

/// Says what is wrong with an archive that none of the readers knows.
///
/// # Errors
/// Always.
pub(super) fn refuse(source: &Source, _: &Options) -> Result<Graph> {
    Archive::open(source.bytes)?;
    Err(Error::Unrecognized {
        reason:
            "an archive that neither PyTorch nor Keras wrote; the layers of a NumPy archive can be described with --map"
                .into(),
    })
}

/// An open archive. The names of its entries are keys and never paths.
pub(crate) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    bytes: &'a [u8],
    budget: u64,
}

impl<'a> Archive<'a> {
    /// Opens an archive and reads its directory.
    ///
    /// # Errors
    /// A damaged directory; two entries of one name.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes));
        let zip = zip.map_err(|error| Error::malformed("the zip archive", error.to_string()))?;
        if entries_listed(bytes).is_some_and(|listed| listed != zip.len()) {
            return Err(Error::malformed("the zip archive", "two of its entries have one name"));
        }
        Ok(Archive { zip, bytes, budget: bytes.len() as u64 + SLACK })
    }

    /// The names of all entries, in the order of the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.zip.len()).filter_map(|at| self.zip.name_for_index(at)?.ok().map(Cow::into_owned)).collect()
    }

    /// The bytes of an entry, at most `most` of them.
    ///
    /// # Errors
    /// A missing, damaged or encrypted entry; more than `most` bytes, or more than the archive may hold in all.
    pub(crate) fn read(&mut self, name: &str, most: u64) -> Result<Cow<'a, [u8]>> {
        let part = format!("entry {name}");
        let entry = self.zip.by_name(name).map_err(|error| match error {
            ZipError::FileNotFound => Error::Missing { part: part.clone(), needed_by: "the network".into() },
            error => Error::malformed(&part, error.to_string()),
        })?;
        let stored = entry.compression() == CompressionMethod::Stored;
        let most = if stored { most } else { most.min(self.budget) };
        let too_large = |size: u64| Error::TooLarge {
            part: part.clone(),
            size: format!("{} MiB unpacked from a file of {} KiB", size >> 20, self.bytes.len().div_ceil(1024)),
            most: format!("{} MiB", most >> 20),
        };
        if entry.size() > most {
            return Err(too_large(entry.size()));
        }
        if stored {
            // Not copied; the checksum of an uncompressed entry is not needed to read it safely.
            let begin = entry.data_start().and_then(|begin| usize::try_from(begin).ok());
            let end = begin.and_then(|begin| begin.checked_add(usize::try_from(entry.size()).ok()?));
            let within = begin.zip(end).and_then(|(begin, end)| self.bytes.get(begin..end));
            return within
                .map(Cow::Borrowed)
                .ok_or_else(|| Error::malformed(&part, "it reaches beyond the end of the file"));
        }
        // The directory may lie: what is taken grows with what arrives.
        let mut bytes = Vec::with_capacity(entry.size().min(self.bytes.len() as u64) as usize);
        let unreadable = |error: std::io::Error| Error::malformed(&part, error.to_string());
        entry.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > most {
            return Err(too_large(bytes.len() as u64));
        }
        self.budget -= bytes.len() as u64;
        Ok(Cow::Owned(bytes))
    }
}

/// How many entries the end of the directory claims, unless it leaves that to the 64-bit record.
fn entries_listed(bytes: &[u8]) -> Option<usize> {
    // The record has 22 bytes and a comment of at most 65,535.
    let tail = &bytes[bytes.len().saturating_sub(22 + 65_535)..];
    let record = tail.windows(22).rev().find(|bytes| bytes.starts_with(b"PK\x05\x06"))?;
    Some(usize::from(u16::from_le_bytes([record[10], record[11]]))).filter(|&n| n != 0xffff)
}
