//! A table in memory, and what is said of its form.

use std::path::PathBuf;

use super::rows::{Row, Rows};
use crate::file::Encoding;

/// What is said of a table's form; by default its content tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Whether the first row is a header. JSON and ARFF always name their columns.
    pub header: Option<bool>,
    /// The encoding of its characters.
    pub encoding: Encoding,
    /// Whether lines with another number of cells are left out.
    pub skip_bad: bool,
}

impl From<Option<bool>> for Form {
    fn from(header: Option<bool>) -> Form {
        Form { header, ..Form::default() }
    }
}

/// A file of rows and columns, every cell as text.
///
/// ```
/// use std::path::Path;
///
/// use elman::data::table::Table;
///
/// let table = Table::parse(b"width,colour\n1.5,red\n2,blue\n", Path::new("t.csv"), None)?;
/// assert_eq!((table.rows.len(), table.width()), (2, 2));
/// assert_eq!(table.column("colour")?, 1);
/// assert_eq!(table.rows.row(1).cell(1), "blue");
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its file; named in messages.
    pub path: PathBuf,
    /// The columns' names, if the file has any.
    pub header: Option<Vec<String>>,
    /// The rows in file order, each with the same number of cells; at least one.
    pub rows: Rows,
    /// What was decided in reading it, in sentences.
    pub notes: Vec<String>,
    /// The column of the label, where the format says it.
    pub label: Option<usize>,
    /// The column that says which rows are the steps of one series, where the format has such.
    pub series: Option<usize>,
    /// The column of texts, where the format says it.
    pub text: Option<usize>,
    /// Whether a column of numbers that it lacks is zero throughout, since the format leaves zeros out.
    pub is_sparse: bool,
}

impl Table {
    /// The number of columns.
    pub fn width(&self) -> usize {
        match &self.header {
            Some(header) => header.len(),
            None => self.rows.first().map_or(0, Row::width),
        }
    }

    /// A column in messages: its name in quotes, or its number from 1.
    pub fn name(&self, column: usize) -> String {
        match self.header.as_ref().and_then(|header| header.get(column)) {
            Some(name) if !name.is_empty() => format!("{name:?}"),
            _ => format!("{}", column + 1),
        }
    }
}
