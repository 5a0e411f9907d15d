//! Tables of texts and their labels.

use std::path::Path;

use super::columns::Columns;
use super::table::Table;
use crate::error::Result;
use crate::file::fault;

/// A text, its label, and the line it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelledText {
    /// The text.
    pub text: String,
    /// The label.
    pub label: String,
    /// From 1.
    pub line: usize,
}

/// Reads texts and labels out of a table; also says in a sentence which columns it took.
///
/// # Errors
/// [`Error::Data`] with the line: an empty text, an empty label; columns that cannot be told apart.
pub(crate) fn read(path: &Path, columns: &Columns) -> Result<(Vec<LabelledText>, String)> {
    let table = Table::read_with(path, columns.header())?;
    let [text, label] = [columns.text(), &columns.label].map(|asked| Some(asked).filter(|asked| !asked.is_empty()));
    let (text, label, taken) = table.text_and_label(text, label)?;
    let mut rows = Vec::with_capacity(table.rows.len());
    for mut row in table.rows {
        let line = row.line;
        let (text, label) = (std::mem::take(&mut row.cells[text]), row.cells[label].trim().to_string());
        if let Some((what, _)) = [("text", text.trim()), ("label", &label)].iter().find(|(_, cell)| cell.is_empty()) {
            return Err(fault(path, format!("line {line}: the {what} is empty; leave such rows out")));
        }
        rows.push(LabelledText { text, label, line });
    }
    Ok((rows, taken))
}
