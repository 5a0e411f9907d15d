//! CoNLL's files: a word and its labels on a line, a blank line between sentences.

use std::path::Path;

use super::form::Table;
use super::rows::Rows;
use crate::error::Result;
use crate::file::fault;

/// Columns of CoNLL-U (universaldependencies.org/format.html) and of CoNLL-X, whose last ones may be left out.
const UNIVERSAL: [&str; 10] = ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"];
/// The fewest of them.
const LEAST: usize = 8;
/// The form, and the tags of which the first that is given is the label: the universal one, that of the language, the relation.
const FORM: usize = 1;
const TAGS: [usize; 3] = [3, 4, 7];

/// Whether a text is laid out so, by the first of its sentences: words with labels behind them, blank lines between.
pub(super) fn is(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().take(200).map(str::trim_end).filter(|line| !is_comment(line)).collect();
    let widths = || lines.iter().filter(|line| !line.is_empty()).map(|line| cells(line).len());
    let first = widths().next().unwrap_or(0);
    let gaps = lines.iter().skip(1).rev().skip_while(|line| line.is_empty()).filter(|line| line.is_empty()).count();
    let is_word = |line: &&&str| cells(line).last().is_some_and(|tag| tag.parse::<f64>().is_err());
    gaps > 0
        && first > 1
        && widths().all(|width| width == first)
        && lines.iter().filter(|l| !l.is_empty()).all(|line| is_word(&line))
}

fn is_comment(line: &str) -> bool {
    line.starts_with("# ") || line.starts_with("-DOCSTART-")
}

fn cells(line: &str) -> Vec<&str> {
    if line.contains('\t') { line.split('\t').map(str::trim).collect() } else { line.split_whitespace().collect() }
}

/// Reads the sentences: the word is the first column and the label the last; of CoNLL-U the form and the universal tag, or the
/// first tag that is given.
///
/// # Errors
/// A line with another number of columns than the first.
pub(super) fn table(text: &str, path: &Path) -> Result<Table> {
    let lines = (1..).zip(text.lines().map(str::trim_end));
    let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !is_comment(line)).collect();
    let is_universal = is_universal(&lines);
    let mut rows = Rows::default();
    let (mut sentence, mut is_new, mut width) = (0, true, (0, 0));
    for (number, line) in lines {
        if line.is_empty() {
            is_new = true;
            continue;
        }
        let mut cells = cells(line);
        if is_universal && (LEAST..UNIVERSAL.len()).contains(&cells.len()) {
            cells.resize(UNIVERSAL.len(), "_");
        }
        if width.0 == 0 {
            width = (cells.len(), number);
        }
        if cells.len() != width.0 || cells.len() < 2 {
            let reason = format!(
                "line {number} has {} columns, but line {} has {}: a word and its labels, or a blank line between sentences",
                cells.len(),
                width.1,
                width.0
            );
            return Err(fault(path, reason));
        }
        // Words that are written as one, and words that are not written.
        if is_universal && cells[0].contains(['-', '.']) {
            continue;
        }
        sentence += usize::from(std::mem::take(&mut is_new));
        rows.push(number, std::iter::once(sentence.to_string().as_str()).chain(cells));
    }
    let Some(last) = rows.first().map(|row| row.width() - 1) else {
        return Err(fault(path, "holds no words"));
    };
    let mut notes = vec!["read as CoNLL: a word on each line, a blank line between sentences".to_string()];
    if is_universal {
        // Behind the number of the sentence.
        let is_given = |tag: &usize| rows.iter().any(|row| row.cell(tag + 1) != "_");
        let tag = TAGS.into_iter().find(is_given).unwrap_or(TAGS[0]);
        notes.push(format!("a word is the column \"form\", its label the column {:?}", UNIVERSAL[tag]));
        let header = std::iter::once("sentence").chain(UNIVERSAL).map(String::from).collect();
        let (label, series, text) = (Some(tag + 1), Some(0), Some(FORM + 1));
        return Ok(Table {
            path: path.into(),
            header: Some(header),
            rows,
            notes,
            label,
            series,
            text,
            is_sparse: false,
        });
    }
    let middle = (2..last).map(|column| format!("column {column}"));
    let header = ["sentence".to_string(), "word".into()].into_iter().chain(middle).chain(["label".into()]).collect();
    let (label, series, text) = (Some(last), Some(0), Some(1));
    Ok(Table { path: path.into(), header: Some(header), rows, notes, label, series, text, is_sparse: false })
}

/// Whether the lines are numbered words of CoNLL-U or CoNLL-X.
fn is_universal(lines: &[(usize, &str)]) -> bool {
    let Some(first) = lines.iter().find(|(_, line)| !line.is_empty()).map(|(_, line)| cells(line)) else {
        return false;
    };
    let is_number =
        |cell: &str| cell.starts_with('1') && cell.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.'));
    (LEAST..=UNIVERSAL.len()).contains(&first.len()) && is_number(first[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_told_and_read() {
        let text = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n";
        assert!(is(text));
        let read = table(text, Path::new("t")).unwrap();
        assert_eq!(read.header.as_deref().unwrap(), ["sentence", "word", "column 2", "column 3", "label"]);
        assert_eq!(read.rows.row(2).join(" "), "2 Peter NNP B-NP B-PER");
        let universal = "# text = a\n1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\tde\tADP\tE\t_\t3\tcase\t_\t_\n\n1\tva\taller\tVERB\tV\t_\t0\troot\t_\t_\n";
        let read = table(universal, Path::new("t")).unwrap();
        assert_eq!(
            (read.rows.len(), read.rows.row(0).join(" "), read.rows.row(1).cell(0)),
            (2, "1 1 de de ADP E _ 3 case _ _".into(), "2")
        );
        assert_eq!(
            (read.name(read.text.unwrap()), read.name(read.label.unwrap())),
            ("\"form\"".into(), "\"upos\"".into())
        );
        // Without the universal tag, and the last columns left out.
        let dependencies = "1\tFor\t_\t_\tIN\t_\t0\tROOT\n2\tall\t_\t_\tDT\t_\t1\tPOBJ\t_\t_\n";
        let read = table(dependencies, Path::new("t")).unwrap();
        assert_eq!((read.rows.row(0).width(), read.name(read.label.unwrap())), (11, "\"xpos\"".into()));
        let error = table("a X\nb\n\nc Y\n", Path::new("t")).unwrap_err().to_string();
        assert!(error.contains("line 2 has 1 columns, but line 1 has 2"), "{error}");
        for other in ["a b\nc d\n", "1 2\n\n3 4\n", "a,b\n1,2\n\n3,4\n", "one\n\ntwo\n"] {
            assert!(!is(other), "{other:?}");
        }
    }
}
