//! fastText's corpora: a text on each line, its labels before it, `__label__positive a warm film`.

use std::path::Path;

use serde_json::json;

use super::form::Table;
use super::rows::Rows;
use crate::error::Result;
use crate::file::fault;

const PREFIX: &str = "__label__";

/// Whether most of the first lines hold such a label.
pub(super) fn is(text: &str) -> bool {
    let lines = || text.lines().filter(|line| !line.trim().is_empty()).take(100);
    text.trim_start().starts_with(PREFIX)
        && 2 * lines().filter(|line| line.starts_with(PREFIX)).count() > lines().count()
}

/// The text of a line without its labels, and these.
fn parts(line: &str) -> (String, Vec<&str>) {
    let is_label = |word: &&str| word.len() > PREFIX.len() && word.starts_with(PREFIX);
    let (labels, words): (Vec<&str>, Vec<&str>) = line.split_whitespace().partition(is_label);
    (words.join(" "), labels.into_iter().map(|label| &label[PREFIX.len()..]).collect())
}

/// Reads the lines as texts and labels; as lists of labels where a line has several.
///
/// # Errors
/// Lines without a label, unless `skip_bad` leaves them out.
pub(super) fn table(text: &str, path: &Path, skip_bad: bool) -> Result<Table> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let parsed: Vec<(usize, (String, Vec<&str>))> = lines.map(|(number, line)| (number, parts(line))).collect();
    let bad: Vec<usize> = parsed.iter().filter(|(_, (_, labels))| labels.is_empty()).map(|(line, _)| *line).collect();
    let mut notes = vec![format!("read as fastText's labelled lines: `{PREFIX}NAME text`")];
    if let Some(first) = bad.first() {
        if !skip_bad {
            let others = match bad.len() {
                1 => String::new(),
                n => format!(" (so in {n} lines)"),
            };
            let reason = format!(
                "line {first} has no label, `{PREFIX}` and its name, but line 1 has one{others}; `skip_bad` leaves such lines out"
            );
            return Err(fault(path, reason));
        }
        notes.push(format!("{} lines without a label left out (`skip_bad`)", bad.len()));
    }
    let has_several = parsed.iter().any(|(_, (_, labels))| labels.len() > 1);
    let mut rows = Rows::default();
    for (line, (text, labels)) in parsed.iter().filter(|(_, (_, labels))| !labels.is_empty()) {
        let label = if has_several { json!(labels).to_string() } else { labels[0].to_string() };
        rows.push(*line, [label.as_str(), text.as_str()]);
    }
    let header = Some(vec!["label".to_string(), "text".into()]);
    Ok(Table { path: path.into(), header, rows, notes, label: Some(0), text: Some(1), ..Table::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_one_label_or_several_are_read() {
        let one = "__label__pos a warm film\n\n__label__neg a, dull one\n";
        assert!(is(one) && !is("a text\n__label__x y\n") && !is("a,b\n1,2\n"));
        let read = |text: &str, skip_bad| table(text, Path::new("t"), skip_bad).map_err(|error| error.to_string());
        let rows = |table: &Table| table.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>();
        let found = read(one, false).unwrap();
        assert_eq!(
            (rows(&found), found.rows.row(1).line()),
            (vec!["pos|a warm film".into(), "neg|a, dull one".into()], 3)
        );
        let several = read("__label__a __label__b x y\n__label__a z\n", false).unwrap();
        assert_eq!(rows(&several), ["[\"a\",\"b\"]|x y", "[\"a\"]|z"]);
        let bad = "__label__a x\ny z\n__label__b w\n";
        assert!(read(bad, false).unwrap_err().contains("line 2 has no label"));
        assert_eq!(read(bad, true).unwrap().rows.len(), 2);
    }
}
