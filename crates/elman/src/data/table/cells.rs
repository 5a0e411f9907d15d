//! Values of single cells.

/// Markers of a missing value, beside the empty cell; case is ignored.
const MISSING: [&str; 16] = [
    "na", "n/a", "n.a.", "nan", "-nan", "<na>", "null", "none", "nil", "?", "\\n", "#n/a", "#na", "#value!", "#div/0!",
    "#ref!",
];
/// What else may stand for a missing number, where the column's others are numbers.
const NO_NUMBER: [&str; 12] =
    ["-", "--", "---", ".", "..", "*", "x", "missing", "unknown", "not available", "not applicable", "n.d."];

/// Whether a cell marks a missing value.
pub fn is_missing(cell: &str) -> bool {
    let cell = cell.trim();
    cell.is_empty() || MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// Whether a cell among numbers marks a missing one.
pub(crate) fn is_no_number(cell: &str) -> bool {
    let cell = cell.trim();
    is_missing(cell) || NO_NUMBER.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// A cell as a number; infinite values are left to the caller to reject.
pub(crate) fn number(cell: &str) -> Option<f64> {
    cell.trim().parse().ok()
}
