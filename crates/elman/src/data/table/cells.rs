//! Values of single cells.

/// Markers of a missing value, beside the empty cell; case is ignored.
const MISSING: [&str; 6] = ["na", "n/a", "nan", "null", "none", "?"];

/// Whether a cell marks a missing value.
pub fn is_missing(cell: &str) -> bool {
    let cell = cell.trim();
    cell.is_empty() || MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// A cell as a number; infinite values are left to the caller to reject.
pub(crate) fn number(cell: &str) -> Option<f64> {
    cell.trim().parse().ok()
}
