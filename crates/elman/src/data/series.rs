//! Series with a label each: tables with a row per step or a row per series, and images read row by row.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{Choice, Columns};
use super::dataset::{Dataset, Raw};
use super::features::Features;
use super::inputs::Values;
use super::sequences::{Group, Scale, Sequence, SequenceTable, groups};
use super::table::cells::{is_missing, number};
use super::table::{Row, Rows, Table};
use super::{At, Pixels};
use crate::error::Result;
use crate::file::fault;

/// How a series becomes numbers; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reader {
    /// A image, a row of pixels at a step.
    PictureRows(Pixels),
    /// A row of a table at a step.
    Features(Features),
    /// One number at a step; a series stands in one row of a table.
    Series(Scale),
}

impl Reader {
    /// `I`, the numbers of a step.
    pub(crate) fn width(&self) -> usize {
        match self {
            Reader::PictureRows(pixels) => pixels.width * pixels.channels,
            Reader::Features(features) => features.width(),
            Reader::Series(_) => 1,
        }
    }
}

/// A series as it was read, its label and the label's place.
pub(crate) type Labelled = (Values, String, (Arc<Path>, At));

/// Series as they were read.
pub(crate) struct Data {
    pub series: Vec<Labelled>,
    pub path: PathBuf,
}

/// What was read, before the labels and the scale are known.
pub(crate) enum Source {
    Images(Dataset),
    /// A row of the table is a step.
    Steps(Table),
    /// A row of the table is a series.
    Rows(Table),
}

impl Source {
    /// Reads a table, or with `rows` a folder of images, each a series of its rows, scaled to `size`.
    pub(crate) fn read(path: &Path, columns: &Columns, rows: bool, size: Option<[usize; 2]>) -> Result<Source> {
        if path.is_dir() {
            if !rows {
                return Err(fault(path, "a folder holds images; `rows` reads each as a sequence of its rows"));
            }
            return Dataset::read(path, &columns.label, columns.form(), size).map(Source::Images);
        }
        let mut table = columns.read(path)?;
        if columns.sequence().is_empty() && table.series.is_none() {
            if columns.label.is_empty() && table.label_column("").is_err() {
                table.label = only_words(&table).or_else(|| label_of(&table.rows).filter(|_| table.header.is_none()));
                let note = table.label.map(|label| match label {
                    0 => "a row is a series of numbers, its label in the first column".to_string(),
                    label => format!("a row is a series of numbers, its label in column {}", table.name(label)),
                });
                table.notes.extend(note);
            }
            return Ok(Source::Rows(table));
        }
        let label = table.label_column(&columns.label)?;
        let needed = [(table.series_column(columns.sequence())?, "sequence id"), (label, "label")];
        let left_out = table.leave_out_blank(&needed, columns.form().skip_bad)?;
        table.notes.extend(left_out);
        Ok(Source::Steps(table))
    }

    /// The file or folder.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Source::Images(data) => &data.path,
            Source::Steps(table) | Source::Rows(table) => &table.path,
        }
    }

    /// The column of the label, as it is named from now on: what was found counts for other files too.
    ///
    /// # Errors
    /// No such column.
    pub(crate) fn label_column(&self, columns: &Columns) -> Result<String> {
        let (Source::Steps(table) | Source::Rows(table)) = self else { return Ok(columns.label.clone()) };
        let label = table.label_column(&columns.label)?;
        Ok(match table.header.as_ref().map(|header| header[label].clone()) {
            Some(name) if !name.is_empty() => name,
            _ => (label + 1).to_string(),
        })
    }

    /// What was decided in reading it.
    pub(crate) fn notes(&self) -> &[String] {
        match self {
            Source::Images(data) => &data.notes,
            Source::Steps(table) | Source::Rows(table) => &table.notes,
        }
    }

    /// Whether a part of the data is for validation.
    pub(crate) fn has_dev(&self) -> bool {
        matches!(self, Source::Images(data) if data.dev.is_some())
    }

    /// The label of each series, and its rows in the table; none of images.
    ///
    /// # Errors
    /// No such column; rows of a series that are not together.
    pub(crate) fn labels(&self, columns: &Columns) -> Result<Vec<(String, Vec<usize>)>> {
        Ok(match self {
            Source::Images(_) => Vec::new(),
            Source::Steps(table) => {
                let label = table.label_column(&columns.label)?;
                let groups = groups(table, table.series_column(columns.sequence())?)?;
                let of = |group: Group| (table.rows.row(group.rows[0]).cell(label).to_string(), group.rows);
                groups.into_iter().map(of).collect()
            }
            Source::Rows(table) => {
                let label = table.label_column(&columns.label)?;
                table.rows.iter().enumerate().map(|(i, row)| (row.cell(label).to_string(), vec![i])).collect()
            }
        })
    }

    /// How the series become numbers: fitted to the rows of the training series, with what was left out of them.
    pub(crate) fn reader(
        &self,
        columns: &Columns,
        train: &[Vec<usize>],
        choice: &Choice,
    ) -> Result<(Reader, Option<String>)> {
        let reader = match self {
            Source::Images(data) => {
                let [height, width, channels] = data.size.unwrap_or([1, 1, 1]);
                let images = data.train.iter().filter_map(Raw::image);
                Reader::PictureRows(Pixels::fit(height, width, channels, false, images))
            }
            Source::Steps(table) => {
                let label = table.label_column(&columns.label)?;
                let sequence = table.series_column(columns.sequence())?;
                let (features, note) = Features::choose(table, train, &[label, sequence], choice)?;
                return Ok((Reader::Features(features), note));
            }
            Source::Rows(table) => {
                let label = table.label_column(&columns.label)?;
                Reader::Series(Scale::fit(table, &train.concat(), Some(label), &[])?)
            }
        };
        Ok((reader, None))
    }

    /// The part of the data that `split` names, as numbers.
    pub(crate) fn data(self, reader: &Reader, columns: &Columns, split: &str) -> Result<Data> {
        let (path, table) = match (self, reader) {
            (Source::Images(data), Reader::PictureRows(pixels)) => {
                let (path, size) = (data.path.clone(), data.size);
                if size != Some([pixels.height, pixels.width, pixels.channels]) {
                    let reason = format!("the model reads images {} wide and {} high", pixels.width, pixels.height);
                    return Err(fault(&path, reason));
                }
                let part = data.part(split)?.into_iter();
                let one = |raw: Raw| {
                    let (image, label, at) = (raw.image().unwrap_or_default().to_vec(), raw.label().into(), raw.at());
                    (Values::Pixels(image), label, (raw.file, at))
                };
                return Ok(Data { series: part.map(one).collect(), path });
            }
            (Source::Steps(table), Reader::Features(features)) => {
                let label = table.label_column(&columns.label)?;
                let sequence = table.series_column(columns.sequence())?;
                let features = features.bind(&table)?;
                let sequences = SequenceTable::read_whole(&table, sequence, label, &features)?;
                (table.path, sequences)
            }
            (Source::Rows(table), Reader::Series(scale)) => {
                let label = table.label_column(&columns.label)?;
                let sequences = SequenceTable::read_rows(&table, Some(label), &[], scale)?;
                (table.path, sequences)
            }
            (
                Source::Images(Dataset { path, .. })
                | Source::Steps(Table { path, .. })
                | Source::Rows(Table { path, .. }),
                _,
            ) => {
                return Err(fault(&path, "it is not laid out as the data the model was trained on"));
            }
        };
        let SequenceTable { classes, sequences, .. } = table;
        let label = |labels: &[usize]| labels.first().map_or_else(String::new, |&label| classes[label].clone());
        let file: Arc<Path> = path.as_path().into();
        let one = |sequence: Sequence| {
            (Values::Numbers(sequence.inputs), label(&sequence.labels), (file.clone(), At::Line(sequence.lines[0])))
        };
        Ok(Data { series: sequences.into_iter().map(one).collect(), path })
    }
}

/// The only column that holds no numbers, if its values come again.
fn only_words(table: &Table) -> Option<usize> {
    let is_number = |column: usize| {
        table.rows.iter().take(100).all(|row| is_missing(row.cell(column)) || number(row.cell(column)).is_some())
    };
    let mut others = (0..table.width()).filter(|column| !is_number(*column));
    let column = others.next().filter(|_| others.next().is_none() && table.width() > 2)?;
    let values: HashSet<&str> = table.rows.iter().map(|row| row.cell(column).trim()).collect();
    (2 * values.len() <= table.rows.len()).then_some(column)
}

/// The label of series in rows, as the UCR archive has them: numbers alone, the first of each row whole and one of few.
fn label_of(rows: &Rows) -> Option<usize> {
    const WIDTH: usize = 8;
    const SHARE: usize = 4;
    let is_number = |cell: &str| cell.trim().parse::<f64>().is_ok();
    let width = rows.first()?.width();
    // A slip is named later, with its line.
    let is_row = |row: &Row<'_>| row.cells().all(|cell| is_missing(cell) || is_number(cell));
    let sample = rows.len().min(100);
    if width < WIDTH || rows.iter().take(sample).filter(is_row).count() * 20 < sample * 19 {
        return None;
    }
    let values = |column: usize| -> Option<std::collections::BTreeSet<String>> {
        let whole = |row: Row<'_>| row.cell(column).trim().parse::<f64>().ok().filter(|x| x.fract() == 0.0);
        rows.iter().map(|row| whole(row).map(|x| x.to_string())).collect()
    };
    // Of measured values the others are not whole: classes may be many.
    let are_measured = rows
        .iter()
        .take(100)
        .all(|row| row.cells().skip(1).any(|cell| cell.trim().parse::<f64>().is_ok_and(|x| x.fract() != 0.0)));
    let few = |column: usize| {
        let share = if are_measured { 2 } else { SHARE };
        values(column).is_some_and(|values| values.len() > 1 && values.len() * share <= rows.len().max(8))
    };
    // Where the second is alike, the first may be a value as well.
    (few(0) && !few(1)).then_some(0)
}
