//! Data sets of labelled images or rows, as read from disk: idx files, folders of images, tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::table::Table;
use super::{At, idx};
use crate::error::{Error, Result};

/// An unprocessed input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawInput {
    /// `[height, width, channels]`.
    Image(Vec<u8>),
    /// Cells of a row.
    Row(Vec<String>),
}

/// An unprocessed example.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub input: RawInput,
    pub label: String,
    /// The label's file and its position there.
    pub file: Arc<Path>,
    pub at: At,
}

/// An unprocessed data set.
pub(crate) struct Dataset {
    pub train: Vec<Raw>,
    pub dev: Option<Vec<Raw>>,
    pub test: Option<Vec<Raw>>,
    /// Of images: height, width, channels.
    pub size: Option<[usize; 3]>,
    /// Of a table: its header and the label's column.
    pub table: Option<(Option<Vec<String>>, usize)>,
    pub path: PathBuf,
}

impl Dataset {
    /// Reads a data set: a folder of idx files, a folder of images, or a table with this label column and header.
    pub(crate) fn read(path: &Path, label_column: &str, header: Option<bool>) -> Result<Dataset> {
        if !path.is_dir() {
            return Self::of_table(path, label_column, header);
        }
        if let Some(idx::Dataset { train, test }) = idx::dataset(path)? {
            return Ok(Self::of_idx(&train, test.as_ref(), path));
        }
        Self::of_images(path)
    }

    pub(crate) fn of_idx(train: &idx::Labelled, test: Option<&idx::Labelled>, path: &Path) -> Dataset {
        let raw = |part: &idx::Labelled| {
            let file: Arc<Path> = part.label_file.as_path().into();
            let one = |i: usize| Raw {
                input: RawInput::Image(part.images.item(i).to_vec()),
                label: part.labels.item(i)[0].to_string(),
                file: file.clone(),
                at: At::Item(i + 1),
            };
            (0..part.images.len()).map(one).collect()
        };
        let dims = &train.images.dims;
        let size = [dims.get(1).copied().unwrap_or(1), dims.get(2).copied().unwrap_or(1), 1];
        Dataset {
            train: raw(train),
            dev: None,
            test: test.map(raw),
            size: Some(size),
            table: None,
            path: path.to_path_buf(),
        }
    }

    #[cfg(feature = "media")]
    pub(crate) fn of_images(path: &Path) -> Result<Dataset> {
        use super::images;
        let folder = images::labelled_folder(path)?;
        let mut size = None;
        let mut read = |files: &[(PathBuf, String)]| -> Result<Vec<Raw>> {
            let mut raw = Vec::with_capacity(files.len());
            for (file, label) in files {
                let image = images::read(file, true)?;
                let found = [image.height, image.width, image.channels];
                let want = *size.get_or_insert(found);
                if found != want {
                    let reason = format!(
                        "is {} wide and {} high, but the first image is {} x {}; all images need one size",
                        found[1], found[0], want[1], want[0]
                    );
                    return Err(Error::Data { path: file.clone(), reason });
                }
                raw.push(Raw::new(image.pixels, label.clone(), file.as_path().into(), At::File));
            }
            Ok(raw)
        };
        let train = read(&folder.train)?;
        let dev = folder.dev.as_deref().map(&mut read).transpose()?;
        let test = folder.test.as_deref().map(&mut read).transpose()?;
        Ok(Dataset { train, dev, test, size, table: None, path: path.to_path_buf() })
    }

    #[cfg(not(feature = "media"))]
    pub(crate) fn of_images(path: &Path) -> Result<Dataset> {
        let reason = "this build lacks the feature `media`, which reads images".into();
        Err(Error::Data { path: path.into(), reason })
    }

    fn of_table(path: &Path, label_column: &str, header: Option<bool>) -> Result<Dataset> {
        let table = Table::read_with(path, header)?;
        let label = table.label_column(label_column)?;
        let file: Arc<Path> = path.into();
        let raw = |row: super::table::Row| Raw {
            label: row.cells[label].trim().to_string(),
            file: file.clone(),
            at: At::Line(row.line),
            input: RawInput::Row(row.cells),
        };
        let header = table.header.clone();
        let train: Vec<Raw> = table.rows.into_iter().map(raw).collect();
        if let Some(row) = train.iter().find(|row| row.label.is_empty()) {
            let reason = format!("{}the label is empty; remove such rows", row.at);
            return Err(Error::Data { path: path.into(), reason });
        }
        Ok(Dataset { train, dev: None, test: None, size: None, table: Some((header, label)), path: path.into() })
    }

    /// The split of this name.
    pub(crate) fn part(self, split: &str) -> Result<Vec<Raw>> {
        let found = match split {
            "" | "all" => Some(self.train),
            "train" => Some(self.train),
            "dev" => self.dev,
            "test" => self.test,
            _ => return Err(Error::setting("split", split, "must be train, dev or test")),
        };
        found.ok_or_else(|| Error::Data { path: self.path, reason: format!("has no split {split:?}") })
    }

    /// The rows as a table.
    pub(crate) fn as_table(&self, rows: &[Raw]) -> Table {
        let header = self.table.as_ref().and_then(|(header, _)| header.clone());
        let rows = rows.iter().filter_map(|raw| match &raw.input {
            RawInput::Row(cells) => Some(super::table::Row { line: raw.line(), cells: cells.clone() }),
            RawInput::Image(_) => None,
        });
        Table { path: self.path.clone(), header, rows: rows.collect() }
    }
}

impl Raw {
    /// The image's pixels, if it is one.
    pub(crate) fn image(&self) -> Option<&[u8]> {
        match &self.input {
            RawInput::Image(pixels) => Some(pixels),
            RawInput::Row(_) => None,
        }
    }

    /// The example's name in messages; `number` counts from 0.
    pub(crate) fn name(&self, number: usize) -> String {
        match self.at {
            At::Line(line) => format!("line {line}"),
            At::Item(_) => format!("example {}", number + 1),
            At::File => self.file.display().to_string(),
        }
    }

    /// The line of a row.
    pub(crate) fn line(&self) -> usize {
        if let At::Line(line) = self.at { line } else { 0 }
    }

    pub(crate) fn new(image: Vec<u8>, label: String, file: Arc<Path>, at: At) -> Raw {
        Raw { input: RawInput::Image(image), label, file, at }
    }
}
