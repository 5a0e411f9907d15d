//! Text to rows: the three formats, header detection.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::cells::{is_missing, number};
use super::columns::{LABEL_NAMES, TEXT_NAMES};
use super::rows::{Row, Table};
use crate::error::Result;
use crate::file::{MAX_LINE, fault, listed};

/// Other typical header names, in lower case.
const OTHER_NAMES: [&str; 14] = [
    "id", "index", "split", "sequence", "sequence_id", "seq_id", "step", "frame", "time", "title", "source",
    "language", "filename", "path",
];
/// The most columns of a table.
const MAX_COLUMNS: usize = 1 << 20;
/// Maximum length of a header name.
const NAME_CHARS: usize = 40;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Tabs,
    Commas,
    JsonLines,
}

fn format(text: &str, path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("tsv" | "tab") => Format::Tabs,
        Some("csv") => Format::Commas,
        Some("jsonl" | "json" | "ndjson") => Format::JsonLines,
        _ => {
            let first = text.lines().next().unwrap_or_default();
            match () {
                () if first.trim_start().starts_with('{') => Format::JsonLines,
                () if first.contains(',') && !first.contains('\t') => Format::Commas,
                () => Format::Tabs,
            }
        }
    }
}

/// Parses a table; `before` lines came before `text`.
pub(super) fn table(text: &str, path: &Path, header: Option<bool>, before: usize) -> Result<Table> {
    if text.trim().is_empty() {
        return Err(fault(path, "the file is empty; a table has one row per example"));
    }
    if let Some(i) = text.split('\n').position(|line| line.len() > MAX_LINE) {
        return Err(too_long(before + i + 1, path));
    }
    let mut rows = match format(text, path) {
        Format::Tabs => tabs(text, path, before)?,
        Format::Commas => commas(text, path, before)?,
        Format::JsonLines => {
            let (header, rows) = json_lines(text, path, before)?;
            return Ok(Table { path: path.into(), header: Some(header), rows });
        }
    };
    let has_header = header.unwrap_or_else(|| first_is_header(&rows));
    let header = has_header.then(|| rows.remove(0).cells);
    if let Some(twice) = header.as_deref().and_then(repeated) {
        return Err(fault(path, format!("two columns are called {twice:?} in line 1; rename one of them")));
    }
    if rows.is_empty() {
        return Err(fault(path, "has a header but no rows; a table has one row per example"));
    }
    Ok(Table { path: path.into(), header, rows })
}

/// # Errors
/// More columns than a table may have.
fn check_columns(columns: usize, line: usize, path: &Path) -> Result<()> {
    if columns > MAX_COLUMNS {
        return Err(fault(path, format!("line {line} has {columns} columns; a table has at most {MAX_COLUMNS}")));
    }
    Ok(())
}

fn too_long(line: usize, path: &Path) -> crate::error::Error {
    fault(path, format!("line {line} is longer than {} MiB; a table has one row per example", MAX_LINE >> 20))
}

fn repeated(names: &[String]) -> Option<&String> {
    let mut seen = HashSet::new();
    names.iter().find(|name| !name.is_empty() && !seen.insert(*name))
}

fn check_count(row: &Row, want: usize, first_line: usize, separator: &str, path: &Path) -> Result<()> {
    let (line, got) = (row.line, row.cells.len());
    if got == want {
        return Ok(());
    }
    let cells = |n: usize| if n == 1 { "1 cell".to_string() } else { format!("{n} cells") };
    let reason = format!(
        "line {line} has {}, but line {first_line} has {}; every row needs the same number of cells, separated by \
         {separator}",
        cells(got),
        cells(want)
    );
    Err(fault(path, reason))
}

/// Lines end with LF alone (a CR before it is dropped): other Unicode line breaks are text.
fn tabs(text: &str, path: &Path, before: usize) -> Result<Vec<Row>> {
    let text = text.trim_end_matches(['\n', '\r']);
    let mut rows: Vec<Row> = Vec::new();
    for (i, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let alone = rows.first().is_some_and(|first| first.cells.len() == 1);
        // Blank lines are skipped, but in a table of one column they are empty texts.
        if line.is_empty() && !alone {
            continue;
        }
        if rows.is_empty() {
            check_columns(line.matches('\t').count() + 1, before + i + 1, path)?;
        }
        let row = Row { line: before + i + 1, cells: line.split('\t').map(String::from).collect() };
        if let Some(first) = rows.first() {
            check_count(&row, first.cells.len(), first.line, "tabs", path)?;
        }
        rows.push(row);
    }
    Ok(rows)
}

fn commas(text: &str, path: &Path, before: usize) -> Result<Vec<Row>> {
    let first = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    // Spreadsheets write semicolons where the decimal separator is a comma.
    let semicolons = first.contains(';') && !first.contains(',');
    let (delimiter, separator) = if semicolons { (b';', "semicolons") } else { (b',', "commas") };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut rows: Vec<Row> = Vec::new();
    let mut record = csv::StringRecord::new();
    let (mut line, mut counted) = (before + 1, 0);
    let mut begin = 0;
    loop {
        // A record's position may be before the line break of the last one: skip to its actual start.
        let position = reader.position().byte() as usize;
        let more = reader.read_record(&mut record).map_err(|error| fault(path, format!("is not CSV: {error}")))?;
        if !more {
            break;
        }
        let rest = &text.as_bytes()[position.min(text.len())..];
        begin = position + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        line += text.as_bytes()[counted..begin].iter().filter(|&&byte| byte == b'\n').count();
        counted = begin;
        if record.as_slice().len() > MAX_LINE {
            return Err(too_long(line, path));
        }
        if rows.is_empty() {
            check_columns(record.len(), line, path)?;
        }
        let row = Row { line, cells: record.iter().map(String::from).collect() };
        if let Some(first) = rows.first() {
            check_count(&row, first.cells.len(), first.line, separator, path)?;
        }
        rows.push(row);
    }
    // An unclosed quote swallows the rest of the file, which the parser accepts.
    let last = text[begin..].trim_end();
    if last.contains('\n') && last.matches('"').count() % 2 == 1 {
        return Err(fault(path, format!("line {line} has an unclosed quote; quotes within a cell must be doubled")));
    }
    Ok(rows)
}

/// A JSON object with its keys in the order of the file.
struct Entries(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key()? {
                    let mut cell = String::new();
                    map.next_value_seed(Cell { to: &mut cell, is_nested: false })?;
                    entries.push((key, cell));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn json_lines(text: &str, path: &Path, before: usize) -> Result<(Vec<String>, Vec<Row>)> {
    if text.trim_start().starts_with('[') {
        return Err(fault(path, "is one JSON array; write one object a line: jq -c '.[]' FILE > NEW"));
    }
    let mut header: Vec<String> = Vec::new();
    let mut columns: HashMap<String, usize> = HashMap::new();
    let mut rows = Vec::new();
    for (i, line) in text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = before + i + 1;
        let Entries(entries) = serde_json::from_str(line).map_err(|error| {
            let remedy = "every line must be one JSON object, such as {\"text\": \"..\", \"label\": \"..\"}";
            let error = error.to_string();
            // The parser's line number is relative to this line.
            let error = error.replace(" at line 1 column ", " at column ");
            fault(path, format!("line {number}: {error}; {remedy}"))
        })?;
        if header.is_empty() {
            header = entries.iter().map(|(key, _)| key.clone()).collect();
            if header.is_empty() {
                return Err(fault(path, format!("line {number}: the first object has no keys; they name the columns")));
            }
            check_columns(header.len(), number, path)?;
            for (column, name) in header.iter().enumerate() {
                columns.entry(name.clone()).or_insert(column);
            }
        }
        let mut cells = vec![None; header.len()];
        for (key, value) in entries {
            let Some(&column) = columns.get(&key) else {
                let reason = format!(
                    "line {number}: the key {key:?} is not among those of the first object ({}); give it all \
                     the keys",
                    listed(&header)
                );
                return Err(fault(path, reason));
            };
            if cells[column].replace(value).is_some() {
                return Err(fault(path, format!("line {number}: the key {key:?} occurs twice")));
            }
        }
        rows.push(Row { line: number, cells: cells.into_iter().map(Option::unwrap_or_default).collect() });
    }
    Ok((header, rows))
}

/// A JSON value as a cell: `null` is an empty one, a nested value its JSON. It is written as it is read: a list of numbers takes
/// no more memory than its text.
struct Cell<'a> {
    to: &'a mut String,
    is_nested: bool,
}

impl Cell<'_> {
    fn nested(&mut self) -> Cell<'_> {
        Cell { to: self.to, is_nested: true }
    }

    fn add(self, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.to, "{value}");
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        if self.is_nested {
            self.add("null");
        }
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<(), E> {
        self.add(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<(), E> {
        self.add(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<(), E> {
        self.add(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<(), E> {
        self.add(serde_json::Value::from(value));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<(), E> {
        match self.is_nested {
            true => self.add(serde_json::Value::from(text)),
            false => self.to.push_str(text),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> std::result::Result<(), A::Error> {
        self.to.push('[');
        let mut len = self.to.len();
        while list.next_element_seed(self.nested())?.is_some() {
            len = self.to.len();
            self.to.push(',');
        }
        self.to.truncate(len);
        self.to.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        self.to.push('{');
        let mut len = self.to.len();
        while let Some(key) = map.next_key::<String>()? {
            self.nested().add(serde_json::Value::from(key));
            self.to.push(':');
            map.next_value_seed(self.nested())?;
            len = self.to.len();
            self.to.push(',');
        }
        self.to.truncate(len);
        self.to.push('}');
        Ok(())
    }
}

/// Whether the first row names the columns. Conservative, since a row mistaken for a header is lost to training: its
/// cells must be distinct names, none a number; and either a column below is all numeric, or one name is a typical
/// header name that does not recur in its column.
fn first_is_header(rows: &[Row]) -> bool {
    let Some((first, rest)) = rows.split_first() else { return false };
    let cells: HashSet<&String> = first.cells.iter().collect();
    if rest.is_empty() || cells.len() != first.cells.len() {
        return false;
    }
    let is_index = |column: usize, name: &str| column == 0 && name.is_empty() && first.cells.len() > 1;
    let named = |extra: &[char]| {
        first.cells.iter().enumerate().all(|(column, name)| {
            let sign = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ') || extra.contains(&c);
            let plain = !is_missing(name) && name.chars().all(sign) && name.chars().count() <= NAME_CHARS;
            is_index(column, name) || plain && number(name).is_none()
        })
    };
    let numeric = |column: usize| {
        let mut cells = rest.iter().map(|row| row.cells[column].as_str()).filter(|cell| !is_missing(cell)).peekable();
        cells.peek().is_some() && cells.all(|cell| number(cell).is_some())
    };
    if (0..first.cells.len()).any(numeric) {
        // Names over numbers are sufficient evidence; they may contain units: `sepal length (cm)`, `log2(x)/y`.
        return named(&['.', '(', ')', '/', '%', ':', '#']);
    }
    let known = |name: &str| {
        let name = name.to_lowercase();
        [&TEXT_NAMES[..], &LABEL_NAMES, &OTHER_NAMES].iter().any(|names| names.contains(&name.as_str()))
    };
    let again = |column: usize| rest.iter().any(|row| row.cells[column] == first.cells[column]);
    named(&[]) && first.cells.iter().any(|name| known(name)) && !(0..first.cells.len()).any(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Table> {
        Table::parse(text.as_bytes(), Path::new(name), None)
    }

    fn refusal(name: &str, text: &str) -> String {
        read(name, text).unwrap_err().to_string()
    }

    fn lines(table: &Table) -> Vec<usize> {
        table.rows.iter().map(|row| row.line).collect()
    }

    #[test]
    fn tab_separated_cells_are_raw_and_lines_end_with_lf_only() {
        let table = read("t.tsv", "\"a\u{2028}b\u{85}\t1\r\n\n c \"\"\t2\n\n").unwrap();
        assert_eq!(table.rows[0].cells, ["\"a\u{2028}b\u{85}", "1"]);
        assert_eq!(table.rows[1].cells, [" c \"\"", "2"]);
        assert_eq!(lines(&table), [1, 3]);
        let alone = read("t.txt", "one\n\nthree").unwrap();
        assert_eq!((alone.rows.len(), alone.rows[1].cells[0].as_str()), (3, ""));
    }

    #[test]
    fn rows_of_csv_know_the_line_they_begin_on() {
        for end in ["\n", "\r\n"] {
            let text = ["a,1", "", "\"b", "c\",2", "d,3"].join(end);
            let table = read("t.csv", &text).unwrap();
            assert_eq!(lines(&table), [1, 3, 5], "{end:?}");
            assert_eq!(table.rows[1].cells, [format!("b{end}c"), "2".into()]);
        }
        let table = read("t.csv", "x;y\n1,5;2\n").unwrap();
        assert_eq!(table.rows.last().unwrap().cells, ["1,5", "2"]);
    }

    #[test]
    fn an_unclosed_quote_loses_no_rows_silently() {
        let error = refusal("t.csv", "1,ok\n2,\"open\n3,x\n4,y\n");
        assert!(error.contains("line 2 has an unclosed quote"), "{error}");
        assert!(read("t.csv", "1,5\" pipe\n2,6\" pipe\n").is_ok());
    }

    #[test]
    fn a_row_of_another_length_is_refused_with_line_and_counts() {
        let error = refusal("t.tsv", "a\t1\nb\t2\nc\n");
        assert!(error.starts_with("t.tsv: line 3 has 1 cell, but line 1 has 2 cells"), "{error}");
        let error = refusal("t.csv", "a,1\n\"b\nb\",2\nc,3,4\n");
        assert!(error.starts_with("t.csv: line 4 has 3 cells, but line 1 has 2 cells"), "{error}");
    }

    #[test]
    fn empty_files_and_headers_without_rows_are_refused() {
        for text in ["", "\n\n", "\u{feff}", "  \r\n"] {
            assert!(refusal("t.tsv", text).contains("empty"), "{text:?}");
        }
        let error = Table::parse(b"text\tlabel\n", Path::new("t.tsv"), Some(true)).unwrap_err().to_string();
        assert!(error.contains("no rows"), "{error}");
        let error = refusal("t.jsonl", "[{\"a\": 1}]");
        assert!(error.contains("jq -c"), "{error}");
    }

    #[test]
    fn json_lines_give_cells_in_the_order_of_the_first_object() {
        let text = "{\"z\": \"q\\tz\", \"a\": 1.50, \"m\": true}\n\n{\"m\": null, \"z\": [1, 2]}\r\n";
        let table = read("t.jsonl", text).unwrap();
        assert_eq!(table.header.as_deref().unwrap(), ["z", "a", "m"]);
        assert_eq!(table.rows[0].cells, ["q\tz", "1.5", "true"]);
        assert_eq!(table.rows[1].cells, ["[1,2]", "", ""]);
        assert_eq!(lines(&table), [1, 3]);
        let error = refusal("t.jsonl", "{\"a\": 1}\n{\"a\": 2, \"b\": 3}\n");
        assert!(error.contains("line 2: the key \"b\""), "{error}");
        let error = refusal("t.jsonl", "{\"a\": 1}\n{\"a\": \n");
        assert!(error.contains("line 2: EOF while parsing a value at column"), "{error}");
        let error = refusal("t.jsonl", "{\"a\": 1, \"a\": 2}\n");
        assert!(error.contains("twice") || error.contains("line 1"), "{error}");
    }

    #[test]
    fn nested_json_is_written_as_it_is_read() {
        let value = r#"{"a":[1,-2,0.5,1e300,[],{},[null,true,"q\"\n"],{"b":{"c":""}}],"z":"x"}"#;
        let table = read("t.jsonl", &format!("{{\"v\": {value}, \"w\": 18446744073709551615}}")).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(value).unwrap();
        assert_eq!(table.rows[0].cells, [parsed.to_string(), u64::MAX.to_string()]);
        assert!(refusal("t.jsonl", &format!("{{\"v\": {}", "[".repeat(100_000))).contains("recursion"));
    }

    #[test]
    fn keys_of_json_lines_are_found_in_linear_time_and_messages_are_short() {
        // Quadratic, this is ten thousand million comparisons of names.
        let keys: String = (0..100_000).map(|i| format!("\"key{i}\": 1,")).collect();
        let line = format!("{{{}}}\n", keys.trim_end_matches(','));
        let table = read("t.jsonl", &line.repeat(2)).unwrap();
        assert_eq!((table.width(), table.rows.len()), (100_000, 2));
        assert!(refusal("t.jsonl", &format!("{line}{{\"other\": 1}}")).len() < 2000);
        assert!(table.list_columns().len() < 2000 && table.label_column("").unwrap_err().to_string().len() < 2000);
    }

    #[test]
    fn lines_and_columns_without_end_are_refused() {
        let long = "x".repeat(MAX_LINE + 1);
        for name in ["t.csv", "t.tsv", "t.jsonl"] {
            assert!(refusal(name, &format!("a\n{long}\n")).contains("line 2 is longer than 64 MiB"), "{name}");
        }
        let quoted = format!("a,\"{}\"\n", "x\n".repeat(MAX_LINE / 2));
        assert!(refusal("t.csv", &quoted).contains("longer than 64 MiB"));
        for (name, separator) in [("t.csv", ","), ("t.tsv", "\t")] {
            let error = refusal(name, &format!("x{}\n", separator.repeat(MAX_COLUMNS)));
            assert!(error.contains("1048577 columns"), "{error}");
        }
    }

    #[test]
    fn header_detection_is_conservative() {
        for with in [
            "text,label\ngood film,pos\nbad film,neg",
            "Sentence,Sentiment\ngood film,1\nbad film,0",
            "a,b\n1,x\n2,y",
            "sepal length (cm),species\n5.1,setosa\n?,virginica",
            ",x\n0,5\n1,6",
        ] {
            assert!(read("t.csv", with).unwrap().header.is_some(), "{with}");
        }
        for without in [
            "good,0\nbad,1",                  // "good" is above words, 0 above a number
            "good,pos\nbad,neg",              // not typical header names
            "class,noun\nrun,verb\ndog,noun", // `noun` recurs in its column
            "1,2\n3,4",
            "x,x\n1,2", // not distinct
            "what a film. really,good\nno,bad",
            "?,good\n1,bad", // a missing value is not a name
            "NA,good\n1,bad\n2,bad\n",
            "a,b",
        ] {
            assert!(read("t.csv", without).unwrap().header.is_none(), "{without}");
        }
        let forced = |text: &str, header| Table::parse(text.as_bytes(), Path::new("t.csv"), Some(header)).unwrap();
        assert_eq!(forced("good,0\nbad,1", true).rows.len(), 1);
        assert_eq!(forced("text,label\nbad,x", false).rows.len(), 2);
        let twice = Table::parse(b"a,a\n1,2", Path::new("t.csv"), Some(true)).unwrap_err().to_string();
        assert!(twice.contains("two columns are called \"a\""), "{twice}");
    }
}
