//! Pairs of texts: two line-aligned files, or one table of two columns.

use std::path::Path;

use super::table::{Form, Table};
use crate::error::Result;
use crate::file::{self, Encoding};

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

/// The lines of a text file, plain or compressed; leading and trailing blanks are removed.
///
/// # Errors
/// A file that cannot be read, is empty or not UTF-8; an empty line or one of more than 100,000 bytes, by its number.
pub fn read_lines(path: &Path, encoding: Encoding) -> Result<Vec<String>> {
    let bytes = file::read(path)?;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(encoding.decode(&bytes, path)?.lines()) {
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
pub fn read_parallel(source: &Path, target: &Path, encoding: Encoding) -> Result<Vec<Pair>> {
    let (sources, targets) = (read_lines(source, encoding)?, read_lines(target, encoding)?);
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

/// Pairs from one table: the columns of these names or numbers, else those called `source` and `target`, else the first two
/// that hold texts; also says which it took and what else was decided.
///
/// # Errors
/// As [`Table::read_with`]; fewer than two columns of texts; an empty cell, by its line.
pub fn read_table(path: &Path, [source, target]: [&str; 2], form: Form) -> Result<(Vec<Pair>, Vec<String>)> {
    let mut table = Table::read_for(path, form, &[source, target])?;
    let named = |names: &[&str]| {
        let header = table.header.as_ref()?;
        header.iter().position(|column| names.contains(&column.to_lowercase().as_str()))
    };
    let asked = |asked: &str, names: &[&str]| match asked {
        "" => Ok(named(names)),
        asked => table.column(asked).map(Some),
    };
    let source = asked(source, &["source", "src", "source_text"])?;
    let target = asked(target, &["target", "tgt", "trg", "target_text"])?;
    // Numbers of rows and of sentences are no texts.
    let is_number = |column: usize| {
        let cells = table.rows.iter().map(|row| row.cell(column).trim()).filter(|cell| !cell.is_empty());
        let (all, numbers) =
            cells.fold((0, 0), |(all, n), cell| (all + 1, n + usize::from(cell.parse::<f64>().is_ok())));
        numbers * 2 > all
    };
    let mut texts =
        (0..table.width()).filter(|&column| Some(column) != source && Some(column) != target && !is_number(column));
    let (source, target) = match (source.or_else(|| texts.next()), target.or_else(|| texts.next())) {
        // Numbers in words, dates in figures: where there are two columns, these are meant.
        _ if source.is_none() && target.is_none() && table.width() == 2 => (0, 1),
        (Some(source), Some(target)) if source != target => (source, target),
        _ => {
            let reason = format!(
                "a pair needs two columns of texts, the source and the target; set `source_column` and `target_column`. Its \
                 columns: {}",
                table.list_columns()
            );
            return Err(file::fault(path, reason));
        }
    };
    let mut notes =
        vec![format!("the source is column {}, the target is column {}", table.name(source), table.name(target))];
    notes.append(&mut table.notes);
    notes.extend(table.leave_out_blank(&[(source, "source"), (target, "target")], form.skip_bad)?);
    let mut pairs = Vec::with_capacity(table.rows.len());
    for row in table.rows.iter() {
        check(row.cell(source), "the source", row.line(), path)?;
        check(row.cell(target), "the target", row.line(), path)?;
        let text = |column: usize| row.cell(column).trim().to_string();
        pairs.push(Pair { source: text(source), target: text(target) });
    }
    Ok((pairs, notes))
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
        assert_eq!(read_parallel(&en, &fr, Encoding::default()).unwrap(), want);
        let tsv = write(folder.path(), "a.tsv", "A dog.\tUn chien.\nTwo cats.\tDeux chats.\n");
        let read_table =
            |path: &Path, header: Option<bool>| read_table(path, ["", ""], header.into()).map(|(pairs, _)| pairs);
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
            read_parallel(&file("s.en", source), &file("t.fr", target), Encoding::default()).unwrap_err().to_string()
        };
        let error = message("a\nb\nc\n", "a\nb\n");
        assert!(error.contains("s.en: has 3 lines") && error.contains("t.fr has 2"), "{error}");
        assert!(message("a\n\nc\n", "a\nb\nc\n").contains("s.en: line 2: the line is empty"));
        assert!(message("a\nb\n", "a\n \t\n").contains("t.fr: line 2"));
        assert!(message("", "a\n").contains("is empty"));
        assert!(message(&"a".repeat(100_001), "a\n").contains("100001 bytes"));
        let table = |name: &str, text: &str| read_table(&file(name, text), ["", ""], Some(false).into());
        let one = table("one.tsv", "a\nb\n").unwrap_err().to_string();
        assert!(one.contains("needs two columns"), "{one}");
        let empty = table("two.tsv", "a\tb\nc\t \n").unwrap_err().to_string();
        assert!(empty.contains("line 2"), "{empty}");
    }

    #[test]
    fn numbers_are_no_texts_and_the_columns_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let read =
            |name: &str, text: &str, columns| read_table(&write(folder.path(), name, text), columns, Form::default());
        let json = "{\"id\": 7, \"en\": \"one\", \"fr\": \"un\"}\n{\"id\": 8, \"en\": \"two\", \"fr\": \"deux\"}\n";
        let (pairs, notes) = read("a.jsonl", json, ["", ""]).unwrap();
        assert_eq!((pairs[1].source.as_str(), pairs[1].target.as_str()), ("two", "deux"));
        assert!(notes[0].contains("\"en\"") && notes[0].contains("\"fr\""), "{notes:?}");
        let (pairs, _) = read("a.jsonl", json, ["fr", "en"]).unwrap();
        assert_eq!(pairs[0].source, "un");
        // As Tatoeba has them.
        let (pairs, _) = read("b.tsv", "1\tGo.\t2\tVa !\n3\tRun.\t4\tCours !\n", ["", ""]).unwrap();
        assert_eq!((pairs[1].source.as_str(), pairs[1].target.as_str()), ("Run.", "Cours !"));
        assert!(read("a.jsonl", json, ["de", ""]).unwrap_err().to_string().contains("no column \"de\""));
    }

    #[test]
    fn multi30k_is_read_whole() {
        let Some(folder) = real_data("multi30k") else { return };
        let pairs = read_parallel(&folder.join("train.en"), &folder.join("train.fr"), Encoding::default()).unwrap();
        assert_eq!(pairs.len(), 29_000);
        assert!(pairs[0].source.starts_with("Two young"), "{:?}", pairs[0]);
    }
}
