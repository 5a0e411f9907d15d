//! Pairs of texts: two line-aligned files, or one table of two columns.

use std::path::Path;

use super::table::Table;
use crate::error::Result;
use crate::file;

/// A source text and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The source.
    pub source: String,
    /// The target.
    pub target: String,
}

/// Longest sentence, in bytes: a file without line breaks is not a list of sentences.
const MAX_LINE: usize = 100_000;

/// The lines of a text file, plain or gzipped; leading and trailing blanks are removed.
///
/// # Errors
/// A file that cannot be read, is empty or not UTF-8; an empty line or one of more than 100,000 bytes, by its number.
pub fn read_lines(path: &Path) -> Result<Vec<String>> {
    let bytes = file::read(path)?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(file::text(&bytes, path)?.lines()) {
        check(line, "the line", number, path)?;
        lines.push(line.trim().to_string());
    }
    if lines.is_empty() {
        return Err(file::fault(path, "is empty; give a file with a sentence on each line"));
    }
    Ok(lines)
}

fn check(text: &str, what: &str, line: usize, path: &Path) -> Result<()> {
    if text.trim().is_empty() {
        return Err(file::fault(path, format!("line {line}: {what} is empty; remove such pairs (from both files)")));
    }
    if text.len() > MAX_LINE {
        let reason = format!("line {line}: {what} has {} bytes; a sentence has at most {MAX_LINE}", text.len());
        return Err(file::fault(path, reason));
    }
    Ok(())
}

/// Pairs from two files, line by line.
///
/// # Errors
/// As [`read_lines`]; files of different lengths, with both line counts.
pub fn read_parallel(source: &Path, target: &Path) -> Result<Vec<Pair>> {
    let (sources, targets) = (read_lines(source)?, read_lines(target)?);
    if sources.len() != targets.len() {
        let reason = format!(
            "has {} lines, but {} has {}; they must correspond line by line",
            sources.len(),
            target.display(),
            targets.len()
        );
        return Err(file::fault(source, reason));
    }
    Ok(sources.into_iter().zip(targets).map(|(source, target)| Pair { source, target }).collect())
}

/// Pairs from one table, tab- or comma-separated or JSON lines: its columns `source` and `target`, or its first two.
///
/// # Errors
/// As [`Table::read_with`]; fewer than two columns; an empty cell, by its line.
pub fn read_table(path: &Path, header: Option<bool>) -> Result<Vec<Pair>> {
    let table = Table::read_with(path, header)?;
    let named = |name: &str| table.header.as_ref().and_then(|header| header.iter().position(|column| column == name));
    let (source, target) = match (named("source"), named("target")) {
        (Some(source), Some(target)) => (source, target),
        _ if table.width() >= 2 => (0, 1),
        _ => {
            let reason = "has one column; a pair needs two, the source and the target, with a tab between them";
            return Err(file::fault(path, reason));
        }
    };
    let mut pairs = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        check(&row.cells[source], "the source", row.line, path)?;
        check(&row.cells[target], "the target", row.line, path)?;
        let text = |column: usize| row.cells[column].trim().to_string();
        pairs.push(Pair { source: text(source), target: text(target) });
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{real_data, write};

    #[test]
    fn pairs_are_the_same_from_two_files_and_from_tables() {
        let folder = tempfile::tempdir().unwrap();
        let en = write(folder.path(), "a.en", "A dog.\r\n Two cats. \n");
        let fr = write(folder.path(), "a.fr", "Un chien.\nDeux chats.");
        let pair = |source: &str, target: &str| Pair { source: source.into(), target: target.into() };
        let want = [pair("A dog.", "Un chien."), pair("Two cats.", "Deux chats.")];
        assert_eq!(read_parallel(&en, &fr).unwrap(), want);
        let tsv = write(folder.path(), "a.tsv", "A dog.\tUn chien.\nTwo cats.\tDeux chats.\n");
        assert_eq!(read_table(&tsv, Some(false)).unwrap(), want);
        let named =
            write(folder.path(), "b.tsv", "n\ttarget\tsource\n1\tUn chien.\tA dog.\n2\tDeux chats.\tTwo cats.\n");
        assert_eq!(read_table(&named, Some(true)).unwrap(), want);
        let json = write(folder.path(), "c.jsonl", "{\"source\": \"A dog.\", \"target\": \"Un chien.\"}\n");
        assert_eq!(read_table(&json, None).unwrap(), want[..1]);
    }

    #[test]
    fn files_of_different_lengths_and_empty_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| write(folder.path(), name, text);
        let message = |source: &str, target: &str| {
            read_parallel(&file("s.en", source), &file("t.fr", target)).unwrap_err().to_string()
        };
        let error = message("a\nb\nc\n", "a\nb\n");
        assert!(error.contains("s.en: has 3 lines") && error.contains("t.fr has 2"), "{error}");
        assert!(message("a\n\nc\n", "a\nb\nc\n").contains("s.en: line 2: the line is empty"));
        assert!(message("a\nb\n", "a\n \t\n").contains("t.fr: line 2"));
        assert!(message("", "a\n").contains("is empty"));
        assert!(message(&"a".repeat(100_001), "a\n").contains("100001 bytes"));
        let one = read_table(&file("one.tsv", "a\nb\n"), Some(false)).unwrap_err().to_string();
        assert!(one.contains("one column"), "{one}");
        let empty = read_table(&file("two.tsv", "a\tb\nc\t \n"), Some(false)).unwrap_err().to_string();
        assert!(empty.contains("line 2"), "{empty}");
    }

    #[test]
    fn multi30k_is_read_whole() {
        let Some(folder) = real_data("multi30k") else { return };
        let pairs = read_parallel(&folder.join("train.en"), &folder.join("train.fr")).unwrap();
        assert_eq!(pairs.len(), 29_000);
        assert!(pairs[0].source.starts_with("Two young"), "{:?}", pairs[0]);
    }
}
