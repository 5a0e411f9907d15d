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

/// Reads texts and labels out of a table; also says what was decided, such as which columns were taken.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) with the line: an empty text, an empty label, a list of labels; columns that cannot be
/// told apart.
pub(crate) fn read(path: &Path, columns: &Columns) -> Result<(Vec<LabelledText>, Vec<String>)> {
    let form = columns.form();
    let mut table = Table::read_with(path, form)?;
    let [text, label] = [columns.text(), &columns.label].map(|asked| Some(asked).filter(|asked| !asked.is_empty()));
    let (text, label, taken) = table.text_and_label(text, label)?;
    let mut notes = vec![taken];
    notes.append(&mut table.notes);
    notes.extend(table.leave_out_blank(&[(text, "text"), (label, "label")], form.skip_bad)?);
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in table.rows.iter() {
        let (line, text, label) = (row.line(), row.cell(text).to_string(), row.cell(label).trim().to_string());
        if label.starts_with('[') && label.ends_with(']') {
            let reason =
                format!("line {line}: the label is a list, {label}; a text has one label here: keep one of them");
            return Err(fault(path, reason));
        }
        rows.push(LabelledText { text, label, line });
    }
    Ok((rows, notes))
}
