//! Text to rows: separators, header, names, numbers; what is wrong with all its lines.

use std::borrow::Cow;
use std::path::Path;

use super::around::{
    drop_comments, drop_headers, lines_from, no_table, preamble, titles, unquote, without_drawn_lines,
};
use super::form::{Form, Table};
use super::header::{clean, distinct, first_is_header};
use super::limits::too_long;
use super::rows::{Row, Rows};
use super::split::{Separator, without_blanks_before_quotes};
use super::{arff, conll, fasttext, json, libsvm, numbers, tagged, ts};
use crate::error::Result;
use crate::file::{MAX_LINE, fault, listed};

/// Rows that are named where many are wrong.
const NAMED: usize = 10;

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Arff,
    /// The series of aeon and sktime.
    Ts,
    /// Words with labels.
    Conll,
    /// Words with a tag each, behind this mark; sentences on lines.
    Tagged(char),
    /// A text behind its labels on each line.
    FastText,
    /// Numbers with that of their column, zeros left out.
    Libsvm,
    Separated(Option<Separator>),
}

fn format(text: &str, path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    let start = text.trim_start();
    let is_json = start.starts_with('{') || ["[{", "[[", "[\n", "[\r\n"].iter().any(|begin| start.starts_with(begin));
    let word = |word: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['%', '#']));
        lines.take(1).any(|line| line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
    };
    match end {
        "jsonl" | "json" | "ndjson" => Format::Json,
        _ if word("@relation") => Format::Arff,
        _ if word("@problemname") || (end == "ts" && start.starts_with(['@', '#'])) => Format::Ts,
        _ if fasttext::is(text) => Format::FastText,
        "svm" | "libsvm" | "svmlight" => Format::Libsvm,
        "conll" | "conllu" | "conllx" | "bio" | "iob" | "iob2" => Format::Conll,
        "tsv" | "tab" => Format::Separated(Some(Separator::Tab)),
        "csv" => Format::Separated(Some(Separator::Sign(b','))),
        _ if is_json => Format::Json,
        _ if libsvm::is(text) => Format::Libsvm,
        _ => match tagged::mark(text) {
            // First: blank lines between its sentences are not CoNLL's.
            Some(mark) => Format::Tagged(mark),
            None if conll::is(text) => Format::Conll,
            None => Format::Separated(None),
        },
    }
}

/// Parses a table; `before` lines came before `text`.
pub(super) fn table(text: &str, path: &Path, form: &Form, before: usize) -> Result<Table> {
    if text.trim().is_empty() {
        return Err(fault(path, "the file is empty; a table has one row per example"));
    }
    // What old programs put at a file's end.
    let text = text.trim_end_matches(['\0', '\u{1a}']);
    // Old Macintosh lines end with CR alone.
    let text: Cow<str> = match text.contains('\r') && !text.contains('\n') {
        true => Cow::Owned(text.replace('\r', "\n")),
        false => Cow::Borrowed(text),
    };
    if before == 0
        && let Some(what) = no_table(&text)
    {
        return Err(fault(path, what));
    }
    if let Some(i) = text.split('\n').position(|line| line.len() > MAX_LINE) {
        return Err(too_long(before + i + 1, path));
    }
    match format(&text, path) {
        Format::Json => {
            let json::Parsed { mut header, mut rows, note } = json::parse(&text, path, before)?;
            let mut notes: Vec<String> = note.map(|note| format!("read as {note}")).into_iter().collect();
            if header.is_none() {
                header = take_header(&mut rows, form, path, &mut notes)?;
            }
            notes.extend(numbers::rewrite(&mut rows, false, |column| named(header.as_ref(), column)));
            Ok(Table { path: path.into(), header, rows, notes, ..Table::default() })
        }
        Format::Arff => arff::table(&text, path),
        Format::Ts => ts::table(&text, path),
        Format::Conll => conll::table(&text, path),
        Format::Libsvm => libsvm::table(&text, path, form.skip_bad),
        Format::Tagged(mark) => tagged::table(&text, mark, path, form.skip_bad),
        Format::FastText => fasttext::table(&text, path, form.skip_bad),
        Format::Separated(usual) => separated(&text, usual, path, form, before),
    }
}

fn separated(text: &str, usual: Option<Separator>, path: &Path, form: &Form, before: usize) -> Result<Table> {
    let mut notes = Vec::new();
    let drawn = if before == 0 { without_drawn_lines(text) } else { None };
    if drawn.is_some() {
        notes.push("the lines that are drawn around the cells were passed over".into());
    }
    let text = drawn.as_deref().unwrap_or(text);
    let (comments, body, said) = preamble(text);
    let titles = if said.is_none() && form.header != Some(false) && before == 0 { titles(body, usual) } else { 0 };
    let (skipped, body) = (comments + titles, lines_from(body, titles));
    let before = before + skipped;
    let separator = said.unwrap_or_else(|| Separator::tell(body, usual));
    let is_usual = usual.is_none_or(|usual| usual == separator);
    let mut rows = separator.rows(body, path, before)?;
    if let Separator::Sign(sign) = separator
        && (rows.first().is_some_and(|first| rows.of_width(first.width()) < rows.len())
            || rows.iter().any(|row| row.cells().any(is_quote_after_blank)))
        && let Some(text) = without_blanks_before_quotes(body, sign)
    {
        rows = separator.rows(&text, path, before)?;
    }
    if comments > 0 && said.is_none() {
        notes.push(format!("{comments} lines of comments before the table were passed over"));
    }
    if titles > 0 {
        notes.push(format!("{titles} lines before the header are no rows of the table and were passed over"));
    }
    notes.extend(drop_comments(&mut rows));
    if rows.is_empty() {
        return Err(fault(path, "has comments but no rows; a table has one row per example"));
    }
    if before == 0 || skipped > 0 {
        notes.extend(even_out(&mut rows));
    }
    let left_out = check_counts(&mut rows, separator, path, form.skip_bad)?;
    if left_out > 0 {
        notes.push(format!("{left_out} lines with another number of cells were left out (`skip_bad`)"));
    }
    notes.extend(unquote(&mut rows));
    notes.extend(numbers::take_units_off(&mut rows));
    notes.extend(drop_headers(&mut rows, form.header));
    let header = take_header(&mut rows, form, path, &mut notes)?;
    let name = |column: usize| named(header.as_ref(), column);
    notes.extend(numbers::rewrite(&mut rows, separator == Separator::Sign(b','), name));
    if !is_usual || matches!(separator, Separator::Sign(b';' | b'|') | Separator::Blanks) {
        notes.insert(0, format!("the cells are separated by {}", separator.name()));
    }
    Ok(Table { path: path.into(), header, rows, notes, ..Table::default() })
}

/// The names of the columns, if the first row holds them.
fn take_header(rows: &mut Rows, form: &Form, path: &Path, notes: &mut Vec<String>) -> Result<Option<Vec<String>>> {
    let has_header = form.header.unwrap_or_else(|| first_is_header(rows));
    let mut header = if has_header { rows.take_first() } else { None };
    if rows.is_empty() {
        return Err(fault(path, "has a header but no rows; a table has one row per example"));
    }
    if let Some(names) = &mut header {
        names.iter_mut().for_each(|name| *name = clean(name));
        // The sign of a comment before the names.
        if let Some(first) = names.first_mut().filter(|first| first.starts_with('#') && first.len() > 1) {
            *first = clean(first.trim_start_matches('#'));
        }
        drop_nameless(names, rows, notes);
        let renamed = distinct(names);
        if !renamed.is_empty() {
            notes.push(format!("columns of one name are told apart as {}", listed(&renamed)));
        }
    }
    Ok(header)
}

/// A column in messages.
fn named(header: Option<&Vec<String>>, column: usize) -> String {
    match header.and_then(|header| header.get(column)) {
        Some(name) if !name.is_empty() => format!("{name:?}"),
        _ => format!("column {}", column + 1),
    }
}

fn is_quote_after_blank(cell: &str) -> bool {
    cell.starts_with(' ') && cell.trim_start().starts_with('"')
}

/// Rows that are all one cell longer than the header: a name for each, as R writes them, or a separator at each line's end.
fn even_out(rows: &mut Rows) -> Option<String> {
    let width = rows.first()?.width();
    let is_ended = rows.first()?.cells().last().is_some_and(|cell| cell.trim().is_empty());
    if width > 2 && is_ended && rows.len() > 1 && rows.of_width(width - 1) == rows.len() - 1 {
        let kept = rows.iter().map(|row| (row.line(), row.cells().take(width - 1).collect::<Vec<_>>()));
        *rows = kept.collect();
        return Some("the separator at the end of the header was passed over".into());
    }
    if width < 2 || rows.len() < 2 || rows.of_width(width + 1) < rows.len() - 1 {
        return None;
    }
    if rows.iter().skip(1).all(|row| row.cell(width).trim().is_empty()) {
        rows.retain_columns(|column| column < width);
        return Some("the separator at the end of each line was passed over".into());
    }
    // Names are not equal.
    let names: std::collections::HashSet<&str> = rows.iter().skip(1).map(|row| row.cell(0)).collect();
    if names.len() + 1 < rows.len() {
        return None;
    }
    let first = rows.first()?;
    let named: Vec<&str> = std::iter::once("").chain(first.cells()).collect();
    let others = rows.iter().skip(1).map(|row| (row.line(), row.cells().collect()));
    *rows = std::iter::once((first.line(), named)).chain(others).collect::<Rows>();
    Some("the first column has no name: it names the rows".into())
}

/// Holds that all rows have the cells that most have; with `skip_bad` leaves others out, and counts them.
fn check_counts(rows: &mut Rows, separator: Separator, path: &Path, skip_bad: bool) -> Result<usize> {
    let Some(first) = rows.first().map(|row| (row.line(), row.width())) else { return Ok(0) };
    let is_wrong = |row: &Row| row.width() != first.1;
    let count = rows.len() - rows.of_width(first.1);
    // Where hardly a row is like the first, it is the first that is wrong, or the separator.
    if skip_bad && count > 0 && count * 2 < rows.len() {
        rows.retain(|row| !is_wrong(&row));
        return Ok(count);
    }
    let mut wrong = rows.iter().filter(is_wrong);
    let Some(one) = wrong.next() else { return Ok(0) };
    let cells = |n: usize| if n == 1 { "1 cell".to_string() } else { format!("{n} cells") };
    let shown: String = one.join(" | ").chars().take(60).collect();
    let others = match count {
        1 => String::new(),
        n => {
            let lines: Vec<String> = wrong.take(NAMED - 1).map(|row| row.line().to_string()).collect();
            let more = if n > NAMED { format!(" and {} more", n - NAMED) } else { String::new() };
            format!(" (likewise line{} {}{more})", if n > 2 { "s" } else { "" }, lines.join(", "))
        }
    };
    let has_quote = one.cells().any(|cell| cell.trim_start().starts_with('"'));
    let has_other_quote = one.cells().any(|cell| cell.trim_start().starts_with(['“', '„', '«', '”']));
    let cause = match (has_quote, has_other_quote) {
        (true, _) => "; a quote that opens no cell, or is not closed, may be the cause",
        (_, true) => "; typographic quotes (“ ”) do not hold a cell together, straight ones (\") do",
        _ => "",
    };
    Err(fault(
        path,
        format!(
            "line {} has {}, but line {} has {}{others}; every row needs the same number of cells, separated by {}{cause}. It \
             reads {shown:?}; `skip_bad` leaves such lines out",
            one.line(),
            cells(one.width()),
            first.0,
            cells(first.1),
            separator.name()
        ),
    ))
}

/// Drops columns without a name and without a value.
fn drop_nameless(names: &mut Vec<String>, rows: &mut Rows, notes: &mut Vec<String>) {
    let is_kept =
        |column: usize| !names[column].is_empty() || rows.iter().any(|row| !row.cell(column).trim().is_empty());
    let kept: Vec<bool> = (0..names.len()).map(is_kept).collect();
    let dropped = kept.iter().filter(|kept| !**kept).count();
    if dropped == 0 || dropped == names.len() {
        return;
    }
    rows.retain_columns(|column| kept[column]);
    let mut is_kept = kept.iter();
    names.retain(|_| is_kept.next().copied().unwrap_or(true));
    let columns = if dropped == 1 { "column" } else { "columns" };
    notes.push(format!("{dropped} {columns} without a name and without a value left out"));
}

#[cfg(test)]
mod tests {
    use super::super::limits::MAX_COLUMNS;
    use super::*;

    fn read(name: &str, text: &str) -> Result<Table> {
        Table::parse(text.as_bytes(), Path::new(name), None)
    }

    fn refusal(name: &str, text: &str) -> String {
        read(name, text).unwrap_err().to_string()
    }

    fn cells(table: &Table, row: usize) -> Vec<&str> {
        table.rows.row(row).cells().collect()
    }

    fn lines(table: &Table) -> Vec<usize> {
        table.rows.iter().map(|row| row.line()).collect()
    }

    #[test]
    fn tab_separated_cells_are_raw_and_lines_end_with_lf_only() {
        let table = read("t.tsv", "\"a\u{2028}b\u{85}\t1\r\n\n c \"\"\t2\n\n").unwrap();
        assert_eq!(cells(&table, 0), ["\"a\u{2028}b\u{85}", "1"]);
        assert_eq!(cells(&table, 1), [" c \"\"", "2"]);
        assert_eq!(lines(&table), [1, 3]);
        let alone = read("t.txt", "one\n\nthree").unwrap();
        assert_eq!((alone.rows.len(), alone.rows.row(1).cell(0)), (3, ""));
    }

    #[test]
    fn rows_of_csv_know_the_line_they_begin_on() {
        for end in ["\n", "\r\n"] {
            let text = ["a,1", "", "\"b", "c\",2", "d,3"].join(end);
            let table = read("t.csv", &text).unwrap();
            assert_eq!(lines(&table), [1, 3, 5], "{end:?}");
            assert_eq!(cells(&table, 1), [format!("b{end}c"), "2".into()]);
        }
        let table = read("t.csv", "x;y\n1,5;2\n").unwrap();
        assert_eq!(cells(&table, 0), ["1.5", "2"]);
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
    }

    #[test]
    fn json_lines_give_cells_in_the_order_of_the_first_object() {
        let text = "{\"z\": \"q\\tz\", \"a\": 1.50, \"m\": true}\n\n{\"m\": null, \"z\": [1, 2]}\r\n";
        let table = read("t.jsonl", text).unwrap();
        assert_eq!(table.header.as_deref().unwrap(), ["z", "a", "m"]);
        assert_eq!(cells(&table, 0), ["q\tz", "1.5", "true"]);
        assert_eq!(cells(&table, 1), ["[1,2]", "", ""]);
        assert_eq!(lines(&table), [1, 3]);
        let table = read("t.jsonl", "{\"a\": 1}\n{\"a\": 2, \"b\": 3}\n{\"b\": 4}\n").unwrap();
        assert_eq!(table.header.as_deref().unwrap(), ["a", "b"]);
        assert_eq!((table.rows.row(0).join(","), table.rows.row(2).join(",")), ("1,".into(), ",4".into()));
        let error = refusal("t.jsonl", "{\"a\": 1}\n{\"a\": \n");
        assert!(error.contains("line 2: EOF while parsing a value at column"), "{error}");
        let error = refusal("t.jsonl", "{\"a\": 1, \"a\": 2}\n");
        assert!(error.contains("twice") || error.contains("line 1"), "{error}");
    }

    #[test]
    fn nested_json_is_written_as_it_is_read() {
        let value = r#"[{"a":[1,-2,0.5,1e300,[],{},[null,true,"q\"\n"],{"b":{"c":""}}],"z":"x"}]"#;
        let table =
            read("t.jsonl", &format!("{{\"v\": {value}, \"w\": 18446744073709551615}}\n{{\"v\": 1, \"w\": 2}}\n"))
                .unwrap();
        let parsed: serde_json::Value = serde_json::from_str(value).unwrap();
        assert_eq!(cells(&table, 0), [parsed.to_string(), u64::MAX.to_string()]);
        assert!(refusal("t.jsonl", &format!("{{\"v\": {}", "[".repeat(100_000))).contains("recursion"));
        // The values of an object within are columns.
        let table = read(
            "t.jsonl",
            "{\"id\": 1, \"t\": {\"en\": \"a\", \"x\": {\"y\": 2}}}\n{\"id\": 2, \"t\": {\"en\": \"b\"}}\n",
        );
        let table = table.unwrap();
        assert_eq!(table.header.as_deref().unwrap(), ["id", "t.en", "t.x.y"]);
        assert_eq!((cells(&table, 0), cells(&table, 1)), (vec!["1", "a", "2"], vec!["2", "b", ""]));
    }

    #[test]
    fn keys_of_json_lines_are_found_in_linear_time_and_messages_are_short() {
        // Quadratic, this is ten thousand million comparisons of names.
        let keys: String = (0..100_000).map(|i| format!("\"key{i}\": 1,")).collect();
        let line = format!("{{{}}}\n", keys.trim_end_matches(','));
        let table = read("t.jsonl", &line.repeat(2)).unwrap();
        assert_eq!((table.width(), table.rows.len()), (100_000, 2));
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
            ",Site,Al,Na\n1,Llanedyrn,14.4,0.5\n2,Caldicot,11.8,0.1\n",
            ",name,start\n1,Eisenhower,1953-01-20\n2,Kennedy,1961-01-20\n",
            "year,q,a,b,c,a\n2000,1,1,2,3,4\n2000,2,1,2,3,4\n",
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
        let twice = forced("a,a\n1,2", true);
        assert_eq!(twice.header.as_deref().unwrap(), ["a", "a (2)"]);
        assert!(twice.notes[0].contains("a (2)"), "{:?}", twice.notes);
    }

    #[test]
    fn headers_are_seen_by_what_stands_below_them() {
        let sms = |n: usize| {
            (0..n).map(|i| if i % 2 == 0 { "spam,win,,,\n" } else { "ham,see you,,,\n" }).collect::<String>()
        };
        let table = read("t.csv", &format!("v1,v2,,,\n{}", sms(40))).unwrap();
        assert_eq!(table.header.as_deref().unwrap(), ["v1", "v2"], "nameless columns without values go");
        assert!(read("t.csv", &sms(40)).unwrap().header.is_none());
        let korean: String =
            (0..30).map(|i| format!("좋아요 {i},{}\n", if i % 2 == 0 { "긍정" } else { "부정" })).collect();
        assert_eq!(read("t.csv", &format!("문장,감정\n{korean}")).unwrap().header.unwrap(), ["문장", "감정"]);
        let names = read("t.csv", " a , b ,c\n1,2,3\n").unwrap().header.unwrap();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn what_stands_around_a_table_is_passed_over() {
        let want = read("t.csv", "a,b\n1,2\n3,4\n").unwrap();
        for text in [
            "sep=;\na;b\n1;2\n3;4\n",
            "a|b\n1|2\n3|4\n",
            "a,b\r1,2\r3,4\r",
            "# made by hand\n# twice\na,b\n1,2\n3,4\n",
            "a;b;\n1;2;\n3;4;\n",
            "a,b\n1,2,\n3,4,\n",
            "a\tb\n1\t2\n3\t4\n",
            "\"a\", \"b\"\n\"1\", \"2\"\n\"3\", \"4\"\n",
        ] {
            let table = read("t.csv", text).unwrap();
            assert_eq!(table.header, want.header, "{text:?}");
            let cells = |table: &Table| table.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>();
            assert_eq!(cells(&table), cells(&want), "{text:?}");
        }
        let lines = read("t.csv", "# c\n# d\na,b\n1,2\n3,4\n").unwrap();
        assert_eq!(lines.rows.row(1).line(), 5);
        // As R writes them.
        let table = read("t.csv", "\"a\",\"b\"\n\"r1\",1,2\n\"r2\",3,4\n").unwrap();
        assert_eq!(
            (table.header.clone().unwrap(), &cells(&table, 1)[..]),
            (vec!["".into(), "a".into(), "b".into()], &["r2", "3", "4"][..])
        );
        let quoted = read("t.csv", "text, label\nx, pos\n\"a, b\", \"neg, really\"\n").unwrap();
        assert_eq!(cells(&quoted, 1), ["a, b", "neg, really"]);
    }

    #[test]
    fn bad_rows_are_named_all_or_left_out() {
        let text = "a,b\n1,2\n3\n5,6\n7,8,9\n10,11\n";
        let error = refusal("t.csv", text);
        assert!(
            error.contains("line 3 has 1 cell") && error.contains("likewise line 5") && error.contains("`skip_bad`"),
            "{error}"
        );
        let table =
            Table::parse(text.as_bytes(), Path::new("t.csv"), Form { skip_bad: true, ..Form::default() }).unwrap();
        assert_eq!((lines(&table), table.notes.len()), (vec![2, 4, 6], 1));
    }

    #[test]
    fn other_json_is_read_as_the_table_that_it_is() {
        let want = vec![vec!["1".to_string(), "x".into()], vec!["2".into(), "y".into()]];
        for text in [
            "[{\"a\": 1, \"b\": \"x\"},\n {\"a\": 2, \"b\": \"y\"}]",
            "{\"a\": [1, 2], \"b\": [\"x\", \"y\"]}",
            "{\"a\": {\"0\": 1, \"1\": 2}, \"b\": {\"0\": \"x\", \"1\": \"y\"}}",
            "{\n\"version\": 1,\n\"data\": [{\"a\": 1, \"b\": \"x\"}, {\"a\": 2, \"b\": \"y\"}]\n}",
        ] {
            let table = read("t.json", text).unwrap();
            assert_eq!((0..table.rows.len()).map(|row| cells(&table, row)).collect::<Vec<_>>(), want, "{text}");
            assert!(!table.notes.is_empty());
        }
        assert!(refusal("t.json", "[{\"a\": 1},\n {\"a\": }]").contains("line 2"));
        assert!(refusal("t.json", "[{\"a\": 1}").contains("no end"));
        assert!(refusal("t.json", "{\n\"a\": 1,\n\"b\": [1, 2]\n}").contains("no table"));
    }

    #[test]
    fn lists_of_cells_in_json_are_rows() {
        let want = vec![vec!["1.5".to_string(), "red, dark".into()], vec!["2".into(), String::new()]];
        for (name, text, header) in [
            ("t.json", "[[\"x\", \"colour\"],\n [1.5, \"red, dark\"],\n [2, null]]", Some(["x", "colour"])),
            ("t.json", "[\n[1.5, \"red, dark\"], [2, null]\n]\n", None),
            ("t.jsonl", "[1.5, \"red, dark\"]\n\n[2, null]\n", None),
            ("t", "[[1.5, \"red, dark\"], [2, null]]", None),
            (
                "t.json",
                "{\"columns\":[\"x\",\"colour\"],\"index\":[0,1],\"data\":[[1.5,\"red, dark\"],[2,null]]}",
                Some(["x", "colour"]),
            ),
        ] {
            let table = read(name, text).unwrap();
            assert_eq!((0..table.rows.len()).map(|row| cells(&table, row)).collect::<Vec<_>>(), want, "{text}");
            assert_eq!(table.header, header.map(|names| names.map(String::from).to_vec()), "{text}");
        }
        for (text, part) in [
            ("[[1, 2],\n [3]]", "line 2: a list of 1 values, where the first row has 2"),
            ("[[1, 2],\n [3, ]]", "line 2"),
            ("[[1, 2],\n [3, 4]", "no end"),
            ("[[1, 2],\n {\"a\": 1}]", "line 2: a list of 1"),
            ("[1, 2]\n[3, 4\n", "line 2"),
            ("[[], []]", "line 1"),
            ("[[1, 2], 3]", "every row must be a list"),
        ] {
            let error = refusal("t.json", text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn series_of_ts_files_are_read() {
        let head = "#c\n@problemName x\n@univariate true\n@classLabel true a b\n@data\n";
        let table = read("t.ts", &format!("{head}1,2,3:a\n3,2:b\n")).unwrap();
        assert_eq!((table.label, table.series, table.rows.row(1).join("|")), (Some(0), None, "b|3|2|".into()));
        let table = read("t.ts", &format!("{head}1,2:5,6:a\n3:4:b\n")).unwrap();
        assert_eq!((table.label, table.series, table.rows.len()), (Some(1), Some(0), 3));
        assert_eq!(cells(&table, 1), ["1", "a", "2", "6"]);
        assert!(refusal("t.ts", &format!("{head}1,2,3:c\n")).contains("line 6: the label \"c\" is none"));
        assert!(refusal("t.ts", &format!("{head}1,2:5:a\n")).contains("line 6: its dimensions have different lengths"));
        assert!(refusal("t.ts", &head.replace("@data", "@timeStamps true\n@data")).contains("time stamps"));
    }
}
