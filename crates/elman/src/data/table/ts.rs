//! The format `.ts` of aeon and sktime: series with their dimensions separated by colons, the label last.

use std::path::Path;

use super::cases::Cases;
use super::form::Table;
use crate::error::Result;
use crate::file::fault;

/// Reads the series of a file.
///
/// # Errors
/// A line that is no series, with its number; time stamps.
pub(super) fn table(text: &str, path: &Path) -> Result<Table> {
    let mut labels: Option<Vec<String>> = None;
    let (mut is_data, mut cases) = (false, Cases::new(path));
    for (i, line) in text.lines().enumerate() {
        let (number, line) = (i + 1, line.trim());
        let wrong = |reason: &str| fault(path, format!("line {number}: {reason}"));
        if line.is_empty() || line.starts_with(['#', '%']) {
            continue;
        }
        if let Some(tag) = line.strip_prefix('@').filter(|_| !is_data) {
            let mut words = tag.split_whitespace();
            let name = words.next().unwrap_or_default().to_lowercase();
            let is_true = |word: Option<&str>| word.is_some_and(|word| word.eq_ignore_ascii_case("true"));
            match name.as_str() {
                "data" => is_data = true,
                "classlabel" | "targetlabel" if is_true(words.next()) => {
                    labels = Some(words.map(String::from).collect())
                }
                "timestamps" if is_true(words.next()) => {
                    return Err(wrong("its series have time stamps, which are not read; write the values alone"));
                }
                _ => {}
            }
            continue;
        }
        if !is_data {
            return Err(wrong("comes before the line @data, and begins with no @"));
        }
        let mut parts: Vec<&str> = line.split(':').map(str::trim).collect();
        let label = match &labels {
            Some(known) => {
                let label = parts.pop().unwrap_or_default();
                if label.is_empty() || parts.is_empty() {
                    return Err(wrong("has no label behind its last colon, though @classLabel announces one"));
                }
                if !known.is_empty() && !known.iter().any(|name| name == label) {
                    let short: String = label.chars().take(40).collect();
                    return Err(wrong(&format!(
                        "the label {short:?} is none of those of @classLabel: {}",
                        known.join(", ")
                    )));
                }
                Some(label)
            }
            None => None,
        };
        let dimensions: Vec<Vec<&str>> = parts.iter().map(|part| part.split(',').map(str::trim).collect()).collect();
        cases.push(number, &dimensions, label)?;
    }
    cases.table("read as series in the format .ts".into())
}
