//! LIBSVM's files, also of SVMlight: a label on each line and behind it the numbers that are not zero, `+1 3:0.5 12:1`.

use std::path::Path;

use super::form::Table;
use super::limits::check_columns;
use super::rows::Rows;
use crate::error::Result;
use crate::file::fault;

/// Cells of the rows written out, at most.
const MAX_CELLS: usize = 20_000_000;
/// Lines that are looked at.
const LOOKED_AT: usize = 20;
/// Wrong lines that are named.
const NAMED: usize = 10;

/// A line's label and its entries: columns by their number, which rise, and their values.
struct Line<'a> {
    label: &'a str,
    entries: Vec<(u32, &'a str)>,
}

/// The beginning of a word, for messages.
fn short(word: &str) -> String {
    word.chars().take(40).collect()
}

/// What is wrong with a line, or nothing where it holds no row.
fn line(number: usize, text: &str) -> std::result::Result<Option<Line<'_>>, String> {
    // A comment may follow the row.
    let mut words = text.split('#').next().unwrap_or_default().split_whitespace();
    let Some(label) = words.next() else { return Ok(None) };
    let mut entries: Vec<(u32, &str)> = Vec::new();
    for word in words {
        if word.starts_with("qid:") {
            continue;
        }
        let entry = word.split_once(':').and_then(|(index, value)| {
            let is_number = value.parse::<f64>().is_ok();
            Some((index.parse().ok()?, value)).filter(|_| is_number)
        });
        let Some((index, value)) = entry else {
            let word = short(word);
            return Err(format!("line {number} has {word:?}, which is not a column's number, a colon and a number"));
        };
        if entries.last().is_some_and(|(last, _)| *last >= index) {
            return Err(format!("line {number} has column {index} after column {}", entries[entries.len() - 1].0));
        }
        entries.push((index, value));
    }
    match label.contains(':') {
        true => Err(format!("line {number} begins with {:?}, where its label should be", short(label))),
        false => Ok(Some(Line { label, entries })),
    }
}

/// Whether three quarters of the first lines are such rows, with an entry among them.
pub(super) fn is(text: &str) -> bool {
    let first = text.lines().map(|text| line(0, text)).filter(|line| !matches!(line, Ok(None))).take(LOOKED_AT);
    let (mut lines, mut rows, mut entries) = (0, 0, 0);
    for line in first {
        lines += 1;
        rows += usize::from(line.is_ok());
        entries += line.ok().flatten().map_or(0, |line| line.entries.len());
    }
    4 * rows >= 3 * lines && entries > 0
}

/// Reads the lines as rows with a column for each number that any of them has, named by it, and zeros where a line has none.
///
/// # Errors
/// Lines of another form, unless `skip_bad` leaves them out; more columns or cells than a table may have.
pub(super) fn table(text: &str, path: &Path, skip_bad: bool) -> Result<Table> {
    // The lines are read twice, so that their entries need not be kept.
    let (mut count, mut bad, mut left_out) = (0usize, Vec::new(), 0usize);
    let (mut least, mut last, mut longest) = (1, 0, 0);
    for (number, text) in (1..).zip(text.lines()) {
        match line(number, text) {
            Ok(found) => {
                count += usize::from(found.is_some());
                for (index, _) in found.iter().flat_map(|line| &line.entries) {
                    least = least.min(*index);
                    (last, longest) = (last, longest).max((*index, number));
                }
            }
            Err(reason) => {
                left_out += 1;
                if bad.len() < NAMED {
                    bad.push(reason);
                }
            }
        }
    }
    if left_out > 0 && !skip_bad {
        let more = if left_out > bad.len() { format!("; and {} more", left_out - bad.len()) } else { String::new() };
        return Err(fault(path, format!("{}{more}; `skip_bad` leaves such lines out", bad.join("; "))));
    }
    if count == 0 {
        return Err(fault(path, "has no row of LIBSVM, `label 1:0.5 3:2`"));
    }
    // The numbers begin at 1, of some programs at 0.
    let (first, last) = (least as usize, last as usize);
    let columns = last.saturating_add(1).saturating_sub(first);
    check_columns(columns, longest, path)?;
    if count.saturating_mul(columns) > MAX_CELLS {
        let reason = format!(
            "has {count} rows of {columns} columns (line {longest}), most of them zeros; written out these are more than \
             {MAX_CELLS} cells: choose the columns that matter"
        );
        return Err(fault(path, reason));
    }
    let mut rows = Rows::default();
    let mut cells = Vec::with_capacity(columns + 1);
    for (number, text) in (1..).zip(text.lines()) {
        let Ok(Some(line)) = line(number, text) else { continue };
        cells.clear();
        cells.resize(columns + 1, "0");
        cells[0] = line.label;
        line.entries.iter().for_each(|(index, value)| cells[*index as usize - first + 1] = value);
        rows.push(number, &cells);
    }
    let mut notes = vec![format!(
        "read as LIBSVM's rows: a label and {columns} columns, {first} to {last}, zero where a row has none"
    )];
    if left_out > 0 {
        notes.push(format!("{left_out} lines of another form were left out (`skip_bad`)"));
    }
    let header = Some(std::iter::once("label".to_string()).chain((first..=last).map(|i| i.to_string())).collect());
    Ok(Table { path: path.into(), header, rows, notes, label: Some(0), is_sparse: true, ..Table::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, skip_bad: bool) -> std::result::Result<Vec<String>, String> {
        let table = table(text, Path::new("t"), skip_bad).map_err(|error| error.to_string())?;
        let header = table.header.unwrap().join(" ");
        Ok(std::iter::once(header).chain(table.rows.iter().map(|row| row.join(" "))).collect())
    }

    #[test]
    fn rows_get_a_column_for_each_number_that_there_is() {
        let text = "# made by hand\n+1 1:0.5 3:2 # one\n\n-1 2:-1e3\n+1\n2 qid:7 3:1\n";
        assert!(is(text));
        assert_eq!(read(text, false).unwrap(), ["label 1 2 3", "+1 0.5 0 2", "-1 0 -1e3 0", "+1 0 0 0", "2 0 0 1"]);
        assert_eq!(read("a 0:1 1:2\nb 1:3\n", false).unwrap(), ["label 0 1", "a 1 2", "b 0 3"]);
        // Several labels are one cell.
        assert_eq!(read("1,3 1:2\n", false).unwrap()[1], "1,3 2");
        for other in ["a b\nc d\n", "12:30 1:2\n", "1\n2\n", "a x:1\n", "10:00 open\n", ""] {
            assert!(!is(other), "{other:?}");
        }
    }

    #[test]
    fn other_lines_are_named_or_left_out_and_zeros_have_a_limit() {
        let text = "1 1:0.5\n1 2:x\n0 2:1 1:1\n0 1:1\n2:3 4:5\n";
        let error = read(text, false).unwrap_err();
        for part in ["line 2 has \"2:x\"", "line 3 has column 1 after column 2", "line 5 begins with \"2:3\""] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(read(text, true).unwrap(), ["label 1", "1 0.5", "0 1"]);
        assert!(read("1 99999999:1\n", false).unwrap_err().contains("line 1 has 99999999 columns"));
        for beyond in [u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
            assert!(read(&format!("1 1:2\n0 {beyond}:1\n"), false).unwrap_err().contains("line 2"));
        }
        assert!(
            read(&"0 1:1 x\n".repeat(12), false)
                .unwrap_err()
                .contains("line 10 has \"x\", which is not a column's number, a colon and a number; and 2 more")
        );
        let wide = format!("{}1 1000000:1\n", "0 1:1\n".repeat(30));
        assert!(read(&wide, false).unwrap_err().contains("31 rows of 1000000 columns (line 31)"));
    }
}
