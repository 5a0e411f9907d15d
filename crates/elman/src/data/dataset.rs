//! Data sets of labelled images or rows, as read from disk: idx files, folders of images, tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::table::cells::is_missing;
use super::table::{Form, Row, Rows, Table};
use super::{At, arrays, idx};
use crate::error::{Error, Result};
use crate::file::{self, fault};

/// An unprocessed input.
#[derive(Clone, Debug)]
pub(crate) enum RawInput {
    /// An image.
    Image(Box<LabelledImage>),
    /// A row of a table: its number, and the column of the label.
    Row(Arc<Rows>, [u32; 2]),
}

/// An image, its label and where that stands.
#[derive(Clone, Debug)]
pub(crate) struct LabelledImage {
    /// `[height, width, channels]`.
    pub pixels: Vec<u8>,
    pub label: String,
    pub at: At,
}

/// An unprocessed example.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub input: RawInput,
    /// The label's file.
    pub file: Arc<Path>,
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
    /// Of a table: whether columns that it lacks are zero.
    pub is_sparse: bool,
    pub path: PathBuf,
    /// What was decided in reading it.
    pub notes: Vec<String>,
}

impl Dataset {
    /// Reads a data set: a folder of idx files, a folder of images, or a table with this label column and form. Images are
    /// scaled to `size` (height and width), without one to the size that most of them have.
    pub(crate) fn read(path: &Path, label_column: &str, form: Form, size: Option<[usize; 2]>) -> Result<Dataset> {
        if !path.is_dir() {
            return match Self::of_arrays(path)? {
                Some(images) => Ok(images),
                None => Self::of_table(path, label_column, form),
            };
        }
        if let Some(idx::Dataset { train, test }) = idx::dataset(path)? {
            return Ok(Self::of_idx(&train, test.as_ref(), path));
        }
        Self::of_images(path, size)
    }

    pub(crate) fn of_idx(train: &idx::Labelled, test: Option<&idx::Labelled>, path: &Path) -> Dataset {
        let raw = |part: &idx::Labelled| {
            let file: Arc<Path> = part.label_file.as_path().into();
            let label = |i: usize| part.labels.item(i)[0].to_string();
            let one = |i: usize| Raw::new(part.images.item(i).to_vec(), label(i), file.clone(), At::Item(i + 1));
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
            is_sparse: false,
            path: path.to_path_buf(),
            notes: Vec::new(),
        }
    }

    /// Images in numpy's arrays, bytes of `[N, height, width]` or `[N, height, width, channels]`; `None` of anything else.
    fn of_arrays(path: &Path) -> Result<Option<Dataset>> {
        let name = path.to_string_lossy().to_lowercase();
        if !(name.ends_with(".npz") || name.ends_with(".npy")) {
            return Ok(None);
        }
        let (train, test) = arrays::parts(&file::read(path)?, path)?;
        let (arrays::Values::Bytes(_), [_, height, width, rest @ ..]) = (&train.inputs.values, &train.inputs.dims[..])
        else {
            return Ok(None);
        };
        let channels = match rest {
            [] => 1,
            [channels @ (1 | 3)] => *channels,
            _ => return Err(fault(path, format!("its images have dimensions {:?}", train.inputs.dims))),
        };
        let size = [*height, *width, channels];
        let file: Arc<Path> = path.into();
        let raw = |part: arrays::Part| -> Result<Vec<Raw>> {
            let Some(labels) = &part.labels else {
                return Err(fault(
                    path,
                    "has no labels; images to learn from need y_train beside x_train, or y beside X",
                ));
            };
            let arrays::Values::Bytes(pixels) = &part.inputs.values else {
                return Err(fault(path, "its training images are bytes, its test images are not"));
            };
            if part.inputs.dims[1..] != train.inputs.dims[1..] {
                return Err(fault(path, "its training and test images have different sizes"));
            }
            let one =
                |(i, image): (usize, &[u8])| Raw::new(image.to_vec(), labels.cell(i), file.clone(), At::Item(i + 1));
            Ok(pixels.chunks_exact(size.iter().product()).enumerate().map(one).collect())
        };
        let test = test.map(raw).transpose()?;
        let part = arrays::Part { inputs: train.inputs.clone(), labels: train.labels.clone() };
        let notes = vec![format!("read as images {width} wide and {height} high")];
        let path = path.to_path_buf();
        let train = raw(part)?;
        Ok(Some(Dataset { train, dev: None, test, size: Some(size), table: None, is_sparse: false, path, notes }))
    }

    #[cfg(feature = "media")]
    pub(crate) fn of_images(path: &Path, size: Option<[usize; 2]>) -> Result<Dataset> {
        use super::images;
        let folder = images::labelled_folder(path)?;
        let files = |part: Option<&[(PathBuf, String)]>| -> Result<Option<Vec<(images::Image, PathBuf, String)>>> {
            let Some(part) = part else { return Ok(None) };
            let one = |(file, label): &(PathBuf, String)| Ok((images::read(file, true)?, file.clone(), label.clone()));
            part.iter().map(one).collect::<Result<_>>().map(Some)
        };
        let train = files(Some(&folder.train))?.unwrap_or_default();
        let (dev, test) = (files(folder.dev.as_deref())?, files(folder.test.as_deref())?);
        let sizes: Vec<[usize; 2]> = train.iter().map(|(image, ..)| [image.height, image.width]).collect();
        let [height, width] = size.unwrap_or_else(|| usual_size(&sizes));
        let all = [Some(&train), dev.as_ref(), test.as_ref()].into_iter().flatten().flatten();
        let scaled = all.filter(|(image, ..)| [image.height, image.width] != [height, width]).count();
        let notes = match scaled {
            0 => Vec::new(),
            n => vec![format!("{n} images of other sizes are scaled to {width} wide and {height} high (`image_size`)")],
        };
        let raw = |part: Vec<(images::Image, PathBuf, String)>| -> Result<Vec<Raw>> {
            let one = |(image, file, label): (images::Image, PathBuf, String)| {
                let image = image.resize(width, height)?;
                Ok(Raw::new(image.pixels, label, file.as_path().into(), At::File))
            };
            part.into_iter().map(one).collect()
        };
        Ok(Dataset {
            train: raw(train)?,
            dev: dev.map(raw).transpose()?,
            test: test.map(raw).transpose()?,
            size: Some([height, width, 1]),
            table: None,
            is_sparse: false,
            path: path.to_path_buf(),
            notes,
        })
    }

    #[cfg(not(feature = "media"))]
    pub(crate) fn of_images(path: &Path, _: Option<[usize; 2]>) -> Result<Dataset> {
        let reason = "this build lacks the feature `media`, which reads images".into();
        Err(Error::Data { path: path.into(), reason })
    }

    fn of_table(path: &Path, label_column: &str, form: Form) -> Result<Dataset> {
        let mut table = Table::read_for(path, form, &[label_column])?;
        if table.width() == 1 {
            let first = table.rows.first().map_or("", |row| row.cell(0));
            let shown: String = first.chars().take(60).collect();
            let reason = format!(
                "has one column: its lines, such as {shown:?}, hold no separator that parts all of them into cells (commas, \
                 semicolons, tabs, bars; blanks between numbers)"
            );
            return Err(fault(path, reason));
        }
        let label = table.label_column(label_column)?;
        if table.series.is_some() {
            return Err(fault(path, "holds series of several steps; the task classify-sequence reads them"));
        }
        let mut notes = std::mem::take(&mut table.notes);
        if label_column.is_empty() {
            notes.insert(0, format!("the label is column {}", table.name(label)));
        }
        notes.extend(table.leave_out_blank(&[(label, "label")], form.skip_bad)?);
        let file: Arc<Path> = path.into();
        let (header, rows, is_sparse) = (table.header, Arc::new(table.rows), table.is_sparse);
        // The text of a table is shorter than 4 GiB.
        let raw = |i: usize| Raw { file: file.clone(), input: RawInput::Row(rows.clone(), [i as u32, label as u32]) };
        let train: Vec<Raw> = (0..rows.len()).map(raw).collect();
        let (table, path) = (Some((header, label)), path.into());
        Ok(Dataset { train, dev: None, test: None, size: None, table, is_sparse, path, notes })
    }

    /// Leaves out examples whose label marks a missing number, if `skip_bad`.
    ///
    /// # Errors
    /// Without `skip_bad`, if there are some.
    pub(crate) fn leave_out_missing_numbers(&mut self, skip_bad: bool) -> Result<()> {
        let is_bad = |row: &Raw| is_missing(row.label());
        let Some(first) = self.train.iter().find(|row| is_bad(row)) else { return Ok(()) };
        let count = self.train.iter().filter(|row| is_bad(row)).count();
        if !skip_bad || count == self.train.len() {
            let (at, label) = (first.at(), first.label());
            let reason = format!(
                "{at}there is no number to predict, but {label:?}; so in {count} rows: `skip_bad` leaves them out"
            );
            return Err(fault(&first.file, reason));
        }
        self.train.retain(|row| !is_bad(row));
        self.notes.push(format!("{count} rows without a number to predict left out (`skip_bad`)"));
        Ok(())
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
        let rows = rows.iter().filter_map(Raw::row).map(|row| (row.line(), row.cells()));
        let (path, is_sparse) = (self.path.clone(), self.is_sparse);
        Table { path, header, rows: rows.collect(), is_sparse, ..Table::default() }
    }
}

/// The size that more than half of the images have; else that of the median image, its longer side at most 64 pixels.
#[cfg(feature = "media")]
fn usual_size(sizes: &[[usize; 2]]) -> [usize; 2] {
    const LONGEST: usize = 64;
    let mut counts: std::collections::BTreeMap<[usize; 2], usize> = std::collections::BTreeMap::new();
    sizes.iter().for_each(|size| *counts.entry(*size).or_default() += 1);
    if let Some((&size, _)) = counts.iter().find(|(_, count)| **count * 2 > sizes.len()) {
        return size;
    }
    let median = |side: usize| {
        let mut all: Vec<usize> = sizes.iter().map(|size| size[side]).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(1)
    };
    let (height, width) = (median(0), median(1));
    let longest = height.max(width).max(1);
    [height, width].map(|side| if longest > LONGEST { (side * LONGEST).div_ceil(longest) } else { side }.max(1))
}

impl Raw {
    /// The row, if it is one of a table.
    pub(crate) fn row(&self) -> Option<Row<'_>> {
        match &self.input {
            RawInput::Row(rows, [row, _]) => rows.get(*row as usize),
            RawInput::Image(_) => None,
        }
    }

    /// The image's pixels, if it is one.
    pub(crate) fn image(&self) -> Option<&[u8]> {
        match &self.input {
            RawInput::Image(image) => Some(&image.pixels),
            RawInput::Row(..) => None,
        }
    }

    /// The label.
    pub(crate) fn label(&self) -> &str {
        match &self.input {
            RawInput::Image(image) => &image.label,
            RawInput::Row(rows, [row, column]) => rows.row(*row as usize).cell(*column as usize).trim(),
        }
    }

    /// Where the label stands in its file.
    pub(crate) fn at(&self) -> At {
        match &self.input {
            RawInput::Image(image) => image.at,
            RawInput::Row(rows, [row, _]) => At::Line(rows.row(*row as usize).line()),
        }
    }

    /// The label and its place.
    pub(crate) fn labelled(&self) -> (&str, &Path, At) {
        (self.label(), &self.file, self.at())
    }

    /// The example's name in messages; `number` counts from 0.
    pub(crate) fn name(&self, number: usize) -> String {
        match self.at() {
            At::Line(line) => format!("line {line}"),
            At::Item(_) => format!("example {}", number + 1),
            At::File => self.file.display().to_string(),
        }
    }

    pub(crate) fn new(pixels: Vec<u8>, label: String, file: Arc<Path>, at: At) -> Raw {
        Raw { input: RawInput::Image(Box::new(LabelledImage { pixels, label, at })), file }
    }
}
