//! What a table may have at most.

use std::path::Path;

use super::rows::Rows;
use crate::error::{Error, Result};
use crate::file::{MAX_LINE, fault};

/// The most columns of a table.
pub(super) const MAX_COLUMNS: usize = 1 << 20;

/// # Errors
/// More columns than a table may have.
pub(super) fn check_columns(columns: usize, line: usize, path: &Path) -> Result<()> {
    if columns > MAX_COLUMNS {
        return Err(fault(path, format!("line {line} has {columns} columns; a table has at most {MAX_COLUMNS}")));
    }
    Ok(())
}

/// The most rows that have another number of cells than the row before.
const MAX_CHANGES: usize = 1 << 20;

/// # Errors
/// Rows whose number of cells keeps changing: they are no table.
pub(super) fn check_widths(rows: &Rows, line: usize, path: &Path) -> Result<()> {
    if rows.changes() > MAX_CHANGES {
        let reason =
            "another number of cells than the line before, as a million lines before it; these are no rows of a table";
        return Err(fault(path, format!("line {line} has {reason}")));
    }
    Ok(())
}

pub(super) fn too_long(line: usize, path: &Path) -> Error {
    fault(path, format!("line {line} is longer than {} MiB; a table has one row per example", MAX_LINE >> 20))
}
