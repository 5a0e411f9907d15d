//! Cells to numbers.

/// Words that stand for a value that is not there, beside the empty cell; case is ignored.
const MISSING: [&str; 6] = ["na", "n/a", "nan", "null", "none", "?"];

/// Whether a cell says that its value is missing.
pub fn is_missing(cell: &str) -> bool {
    let cell = cell.trim();
    cell.is_empty() || MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// A cell as a number; infinity is one, for the reader of numbers to refuse with its place.
pub(crate) fn number(cell: &str) -> Option<f64> {
    cell.trim().parse().ok()
}
