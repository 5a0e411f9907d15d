//! Natural order of file names: `frame2` before `frame10`.

use std::cmp::Ordering;
#[cfg(feature = "media")]
use std::path::{Path, PathBuf};

#[cfg(feature = "media")]
use crate::error::Result;
#[cfg(feature = "media")]
use crate::file::unreadable;

/// Compares names with runs of digits as numbers; ties are broken by the plain text.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (rest_a.chars().next(), rest_b.chars().next()) else {
            return rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b));
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number_a, number_b) = (digits(rest_a), digits(rest_b));
            let value = |number: &'_ str| number.trim_start_matches('0').to_string();
            let (value_a, value_b) = (value(number_a), value(number_b));
            // Without leading zeros, the longer number is greater: no overflow.
            let order = value_a.len().cmp(&value_b.len()).then_with(|| value_a.cmp(&value_b));
            if order != Ordering::Equal {
                return order;
            }
            (rest_a, rest_b) = (&rest_a[number_a.len()..], &rest_b[number_b.len()..]);
        } else if x != y {
            return x.cmp(&y);
        } else {
            (rest_a, rest_b) = (&rest_a[x.len_utf8()..], &rest_b[y.len_utf8()..]);
        }
    }
}

fn digits(text: &str) -> &str {
    &text[..text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len()]
}

/// The entries of a folder in natural order, hidden ones left out.
///
/// # Errors
/// If the folder cannot be read.
#[cfg(feature = "media")]
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| unreadable(folder, error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    entries.sort_by(|a, b| compare(&a.0, &b.0));
    Ok(entries.into_iter().map(|(_, path)| path).collect())
}

/// The last part of a path as text.
#[cfg(feature = "media")]
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let sorted = ["a", "a1", "a01b", "a1b2", "a1b010", "a9", "a10", "a99999999999999999999999", "b", "é2", "é10"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(compare("x01", "x1"), Ordering::Less, "a total order");
    }
}
