//! What a table may have at most.

use std::path::Path;

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

pub(super) fn too_long(line: usize, path: &Path) -> Error {
    fault(path, format!("line {line} is longer than {} MiB; a table has one row per example", MAX_LINE >> 20))
}
