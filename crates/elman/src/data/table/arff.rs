//! Weka's ARFF: attributes with their types, then rows; a relational attribute holds a series.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use super::cases::Cases;
use super::form::Table;
use super::numbers;
use super::rows::Rows;
use crate::error::Result;
use crate::file::{fault, listed, max_decompressed};

/// An attribute.
struct Attribute {
    name: String,
    /// The values that it may have; empty where it is no class.
    values: Vec<String>,
    /// The same, to look them up.
    known: HashSet<String>,
    is_series: bool,
}

/// Reads a file; the label is the attribute that is called so, else the last one with named values.
///
/// # Errors
/// A line that is none of the format, with its number.
pub(super) fn table(text: &str, path: &Path) -> Result<Table> {
    let mut attributes: Vec<Attribute> = Vec::new();
    let (mut is_data, mut is_within) = (false, false);
    let mut rows = Rows::default();
    let (mut written, limit) = (0, max_decompressed(text.len() as u64));
    for (i, line) in text.lines().enumerate() {
        let (number, line) = (i + 1, line.trim());
        let wrong = |reason: String| fault(path, format!("line {number}: {reason}"));
        if line.is_empty() || line.starts_with('%') || (line.starts_with('#') && !is_data) {
            continue;
        }
        if is_data {
            let cells = match line.strip_prefix('{') {
                Some(sparse) => {
                    let row = sparse_row(sparse, &attributes).map_err(wrong)?;
                    // A byte for each cell's length.
                    written += row.iter().map(|cell| cell.len() as u64 + 1).sum::<u64>();
                    if written > limit {
                        let reason = format!(
                            "with the zeros that it leaves out, its rows hold more than {limit} bytes up to here; `max_input` \
                             allows for more"
                        );
                        return Err(wrong(reason));
                    }
                    row
                }
                None => cells(line).into_iter().map(Cow::from).collect(),
            };
            if cells.len() != attributes.len() {
                let (got, want) = (cells.len(), attributes.len());
                return Err(wrong(format!("has {got} values, but there are {want} attributes")));
            }
            let unknown = |(cell, of): &(&Cow<str>, &Attribute)| {
                !of.known.is_empty() && **cell != "?" && !of.known.contains(&***cell)
            };
            if let Some((cell, of)) = cells.iter().zip(&attributes).find(unknown) {
                let values = listed(&of.values);
                return Err(wrong(format!("{cell:?} is no value of the attribute {:?}: {values}", of.name)));
            }
            rows.push(number, &cells);
            continue;
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word.to_lowercase().as_str() {
            "@relation" => {}
            "@attribute" if is_within => {}
            "@attribute" => {
                let (name, kind) = name(rest.trim_start());
                let kind = kind.trim();
                is_within = kind.eq_ignore_ascii_case("relational");
                let values = kind.strip_prefix('{').map(|rest| cells(rest.trim_end().trim_end_matches('}')));
                let values = values.unwrap_or_default();
                let known = values.iter().cloned().collect();
                attributes.push(Attribute { name, values, known, is_series: is_within });
            }
            "@end" => is_within = false,
            "@data" => is_data = true,
            "@frequency" | "@horizon" | "@missing" | "@equallength" => {
                let reason = "is a file of series to forecast (.tsf), whose series have no labels; write each as a column of \
                              a table, and a column of what is to be predicted";
                return Err(wrong(reason.into()));
            }
            _ => {
                return Err(wrong(format!("{word:?} is no word of ARFF; before @data stand @relation and @attribute")));
            }
        }
    }
    if rows.is_empty() {
        return Err(fault(path, "holds no rows; there is nothing behind its line @data"));
    }
    let is_called = |attribute: &Attribute| {
        ["class", "label", "target"].contains(&attribute.name.to_lowercase().as_str()) && !attribute.is_series
    };
    let label = attributes.iter().position(is_called).or_else(|| attributes.iter().rposition(|a| !a.values.is_empty()));
    let note = "read as ARFF".to_string();
    if let Some(series) = attributes.iter().position(|attribute| attribute.is_series) {
        return of_series(&rows, series, label, path, note);
    }
    let mut notes = vec![note];
    notes.extend(numbers::rewrite(&mut rows, true, |column| format!("{:?}", attributes[column].name)));
    let header = attributes.into_iter().map(|attribute| attribute.name).collect();
    Ok(Table { path: path.into(), header: Some(header), rows, notes, label, ..Table::default() })
}

/// Each row holds a series: a line of text for each dimension.
fn of_series(rows: &Rows, series: usize, label: Option<usize>, path: &Path, note: String) -> Result<Table> {
    let mut cases = Cases::new(path);
    for row in rows.iter() {
        let lines = row.cell(series).split("\\n").filter(|line| !line.trim().is_empty());
        let dimensions: Vec<Vec<&str>> = lines.map(|line| line.split(',').map(str::trim).collect()).collect();
        cases.push(row.line(), &dimensions, label.map(|label| row.cell(label)))?;
    }
    cases.table(note)
}

/// An attribute's name, in quotes where it has blanks, and what follows.
fn name(text: &str) -> (String, &str) {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"'))
        && let Some((name, rest)) = text[1..].split_once(quote)
    {
        return (name.into(), rest);
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '{').unwrap_or(text.len());
    (text[..end].into(), &text[end..])
}

/// Values between commas, each in quotes of either kind where it needs them; a backslash before a quote is the quote itself.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some(_)) if chars.peek().is_some_and(|next| matches!(next, '\'' | '"' | '\\')) => {
                cell.extend(chars.next());
            }
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) if cell.trim().is_empty() => {
                cell.clear();
                quote = Some(c);
            }
            (',', None) => cells.push(std::mem::take(&mut cell).trim().to_string()),
            (c, _) => cell.push(c),
        }
    }
    cells.push(cell.trim().to_string());
    cells
}

/// A row that names the values which are not zero: `{0 1.5, 3 red}`.
fn sparse_row<'a>(text: &str, attributes: &'a [Attribute]) -> std::result::Result<Vec<Cow<'a, str>>, String> {
    let zero = |attribute: &'a Attribute| Cow::from(attribute.values.first().map_or("0", String::as_str));
    let mut row: Vec<Cow<str>> = attributes.iter().map(zero).collect();
    for entry in cells(text.trim_end().trim_end_matches('}')).iter().filter(|entry| !entry.is_empty()) {
        let (index, value) = entry.split_once(char::is_whitespace).unwrap_or((entry, ""));
        let cell = index.parse::<usize>().ok().and_then(|index| row.get_mut(index));
        *cell.ok_or_else(|| format!("{index:?} is no attribute's number, from 0 to {}", attributes.len() - 1))? =
            value.trim().trim_matches(['\'', '"']).to_string().into();
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Table, String> {
        table(text, Path::new("t.arff")).map_err(|error| error.to_string())
    }

    #[test]
    fn attributes_rows_and_series_are_read() {
        let head = "% made\n@RELATION x\n@attribute 'sepal length' REAL\n@attribute kind {'Iris setosa', b}\n@data\n";
        let table = read(&format!("{head}5.1,'Iris setosa'\n?, b\n{{0 2.5, 1 b}}\n")).unwrap();
        assert_eq!(table.header.as_deref().unwrap(), ["sepal length", "kind"]);
        assert_eq!(table.rows.row(0).join(" "), "5.1 Iris setosa");
        assert_eq!(
            (table.rows.row(1).cell(0), table.rows.row(2).join(" "), table.label),
            ("?", "2.5 b".into(), Some(1))
        );
        assert!(
            read(&format!("{head}5.1,c\n"))
                .unwrap_err()
                .contains("line 6: \"c\" is no value of the attribute \"kind\"")
        );
        assert!(read(&format!("{head}5.1\n")).unwrap_err().contains("line 6: has 1 values, but there are 2"));
        assert!(read("@relation x\nfoo bar\n").unwrap_err().contains("line 2: \"foo\" is no word of ARFF"));
        let series = "@relation x\n@attribute r relational\n@attribute a numeric\n@end r\n@attribute class {u,v}\n@data\n\
                      \"1,2,3\\n4,5,6\",u\n\"7,8\\n9,10\",v\n";
        let table = read(series).unwrap();
        assert_eq!((table.rows.len(), table.width(), table.series, table.label), (5, 4, Some(0), Some(1)));
        assert_eq!(table.rows.row(1).join(" "), "1 u 2 5");
    }
}
