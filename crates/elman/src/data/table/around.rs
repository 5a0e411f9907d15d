//! What stands around the rows of a table and among them: titles, comments, drawn lines, headers that come again, quotes.

use std::path::Path;

use super::header::first_is_header;
use super::rows::{Row, Rows};
use super::split::Separator;

/// What a text is that is no table, and what to do with it.
pub(super) fn no_table(text: &str) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 4] = [
        ("version https://git-lfs", "is a pointer of Git LFS, not the file: fetch it by `git lfs pull`"),
        ("<!doctype html", "is a page of HTML, perhaps that of an error or a login; download the file itself"),
        ("<html", "is a page of HTML, perhaps that of an error or a login; download the file itself"),
        ("<?xml", "is XML; write it as CSV or JSON"),
    ];
    if text.contains('\0') {
        return Some("holds bytes of zero, as archives and other binary files do: it is no table in text");
    }
    let start = text.trim_start();
    let begins = |beginning: &str| start.get(..beginning.len()).is_some_and(|s| s.eq_ignore_ascii_case(beginning));
    BEGINNINGS.into_iter().find(|(beginning, _)| begins(beginning)).map(|(_, what)| what)
}

/// A text without the bars around its lines and the lines under its header, as Markdown and databases draw them; none where there
/// are none.
pub(super) fn without_drawn_lines(text: &str) -> Option<String> {
    let is_rule = |line: &str| {
        let line = line.trim();
        line.len() > 2 && line.contains("--") && line.contains(['|', '+']) && line.chars().all(|c| "|+-: ".contains(c))
    };
    if !text.lines().take(4).any(is_rule) {
        return None;
    }
    let line = |line: &str| {
        let bare = line.trim();
        let counts = bare.starts_with('(') && (bare.ends_with(" rows)") || bare.ends_with(" row)"));
        if is_rule(line) || counts {
            return String::new();
        }
        let inner = bare.strip_prefix('|').and_then(|bare| bare.strip_suffix('|')).unwrap_or(bare);
        inner.split('|').map(str::trim).collect::<Vec<_>>().join("|")
    };
    Some(text.lines().map(line).collect::<Vec<_>>().join("\n"))
}

/// Lines before the table: `sep=;`, which spreadsheets write, and comments. How many there are, what follows them, and the
/// separator that they name.
pub(super) fn preamble(text: &str) -> (usize, &str, Option<Separator>) {
    let first = text.lines().next().unwrap_or_default().trim();
    if let Some(sign) = first.strip_prefix("sep=").or_else(|| first.strip_prefix("SEP=")) {
        let separator = match sign {
            "\t" | "\\t" => Some(Separator::Tab),
            "" => None,
            sign => sign.bytes().next().filter(|_| sign.len() == 1).map(Separator::Sign),
        };
        if separator.is_some() {
            return (1, lines_from(text, 1), separator);
        }
    }
    let rest = |skipped: usize| lines_from(text, skipped);
    let comments = text.lines().take_while(|line| line.starts_with('#') || line.trim().is_empty()).count();
    if !first.starts_with('#') || comments == 0 {
        return (0, text, None);
    }
    // A header may begin with such a sign: it has as many cells as a row.
    let body = rest(comments);
    let separator = Separator::tell(body, None);
    let cells =
        |line: &str| separator.rows(line, Path::new(""), 0).map_or(0, |rows| rows.first().map_or(0, Row::width));
    let last = text.lines().nth(comments - 1).unwrap_or_default();
    let width = cells(body.lines().next().unwrap_or_default());
    match width > 1 && cells(last) == width {
        true => (comments - 1, rest(comments - 1), None),
        false => (comments, body, None),
    }
}

/// Lines before the header that hold other numbers of cells than the table, as exports put titles and sources there: how many, where
/// what follows them is a header beyond doubt, names above numbers.
pub(super) fn titles(text: &str, usual: Option<Separator>) -> usize {
    const MOST: usize = 30;
    const ROWS: usize = 3;
    const TRIED: usize = 3;
    const LONGEST: usize = 1 << 16;
    let lines: Vec<&str> = text.lines().take(MOST + 1).collect();
    // A title stands apart, where a header that lacks a name does not.
    let stands_apart = lines.get(1).is_some_and(|line| line.trim().is_empty());
    // Each line that may be the header is tried with what follows it.
    if lines.iter().any(|line| line.len() > LONGEST) || !stands_apart && Separator::separates(text, usual) {
        return 0;
    }
    let may_be_header = |&skipped: &usize| {
        lines.get(skipped).is_some_and(|line| !line.trim().is_empty())
            && Separator::separates(lines_from(text, skipped), usual)
    };
    let is_header = |&skipped: &usize| {
        let body = lines_from(text, skipped);
        let Ok(rows) = Separator::tell(body, usual).rows(body, Path::new(""), 0) else { return false };
        let width = rows.first().map_or(0, Row::width);
        let cells =
            |line: &&str| Separator::tell(body, usual).rows(line, Path::new(""), 0).map_or(0, |rows| rows.widest());
        rows.len() > ROWS
            && rows.of_width(width) == rows.len()
            && lines[..skipped].iter().filter(|line| !line.trim().is_empty()).all(|line| cells(line) != width)
            && first_is_header(&rows)
    };
    (1..lines.len()).filter(may_be_header).take(TRIED).find(is_header).unwrap_or(0)
}

/// A text without its first lines.
pub(super) fn lines_from(text: &str, skipped: usize) -> &str {
    text.splitn(skipped + 1, '\n').nth(skipped).unwrap_or_default()
}

/// Leaves out rows that are the header again, as files that were put together have them; how many, in a sentence.
pub(super) fn drop_headers(rows: &mut Rows, said: Option<bool>) -> Option<String> {
    if said == Some(false) {
        return None;
    }
    let names: Vec<String> = rows.first()?.cells().map(String::from).collect();
    // Of a single column it may be a text that comes twice.
    if names.len() < 2 {
        return None;
    }
    let is_again =
        |row: &Row| row.line() > rows.first().map_or(0, |first| first.line()) && row.cells().eq(names.iter());
    let again = rows.iter().filter(is_again).count();
    if again == 0 || again + 1 == rows.len() {
        return None;
    }
    let others: Rows = rows.iter().filter(|row| !is_again(row)).map(|row| (row.line(), row.cells())).collect();
    if said.is_none() && !first_is_header(&others) {
        return None;
    }
    *rows = others;
    Some(format!("the header comes again among the rows, {again} times, and was left out there"))
}

/// Leaves out lines that are comments, `# ..` without a separator; how many, in a sentence.
pub(super) fn drop_comments(rows: &mut Rows) -> Option<String> {
    let is_comment = |row: &Row| row.width() == 1 && row.cell(0).starts_with("# ");
    let count = rows.iter().filter(is_comment).count();
    let is_wide = |row: Row| row.width() > 1;
    if count == 0 || !rows.first().is_some_and(is_wide) || count * 2 >= rows.len() {
        return None;
    }
    rows.retain(|row| !is_comment(&row));
    Some(format!("{count} lines of comments among the rows were passed over"))
}

/// Takes single quotes off columns of which every cell stands in them, with the header's.
pub(super) fn unquote(rows: &mut Rows) -> Option<String> {
    let is_quoted = |cell: &str| cell.len() > 1 && cell.starts_with('\'') && cell.ends_with('\'');
    let first = rows.first()?;
    if !first.cells().any(is_quoted) {
        return None;
    }
    let has_names = first.cells().all(is_quoted);
    let of = |column: usize| rows.iter().skip(usize::from(has_names)).all(|row| is_quoted(row.cell(column)));
    let columns: Vec<bool> = (0..first.width()).map(of).collect();
    if !has_names && !columns.contains(&true) {
        return None;
    }
    let bare = |(i, row): (usize, Row<'_>)| {
        let cell = |(cell, quoted): (&str, &bool)| {
            let inner = cell.get(1..cell.len().saturating_sub(1)).unwrap_or_default();
            if *quoted || (has_names && i == 0) { inner.to_string() } else { cell.to_string() }
        };
        (row.line(), row.cells().zip(&columns).map(cell).collect::<Vec<String>>())
    };
    *rows = rows.iter().enumerate().map(bare).collect();
    Some("single quotes around cells were taken off".into())
}

#[cfg(test)]
mod tests {
    use super::super::form::Table;
    use super::*;

    fn read(text: &str) -> crate::error::Result<Table> {
        Table::parse(text.as_bytes(), Path::new("t.txt"), None)
    }

    fn cells(table: &Table) -> Vec<String> {
        table.rows.iter().map(|row| row.join("|")).collect()
    }

    #[test]
    fn one_table_is_read_whatever_stands_around_it() {
        let want = read("a,b\n1,x\n2,y\n3,z\n4,x\n").unwrap();
        for (text, said) in [
            ("Source: office of numbers\n\nTable 3\na,b\n1,x\n2,y\n3,z\n4,x\n", "3 lines before the header"),
            ("a,b\n1,x\n# moved\n2,y\n3,z\n4,x\n", "comments among the rows"),
            ("a,b\n1,x\n2,y\na,b\n3,z\n4,x\n", "the header comes again"),
            ("| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |\n| 3 | z |\n| 4 | x |\n", "drawn"),
            (" a | b \n---+---\n 1 | x\n 2 | y\n 3 | z\n 4 | x\n(4 rows)\n", "drawn"),
            ("'a','b'\n1,'x'\n2,'y'\n3,'z'\n4,'x'\n", "single quotes"),
            ("\"a\"\t\"b\"\n1\t\"x\"\n2\t\"y\"\n3\t\"z\"\n4\t\"x\"\n", ""),
            ("a b\n1 x\n2 y\n3 z\n4 x\n", "blanks"),
            ("a,b,\n1,x\n2,y\n3,z\n4,x\n", "end of the header"),
            ("a,b\n1 kg,x\n2 kg,y\n3kg,z\n4 kg,x\n", "unit \"kg\""),
            ("#a,b\n1,x\n2,y\n3,z\n4,x\n\0\u{1a}", ""),
        ] {
            let table = read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!((&table.header, cells(&table)), (&want.header, cells(&want)), "{text:?}");
            assert!(
                table.notes.iter().any(|note| note.contains(said)) || said.is_empty(),
                "{text:?}: {:?}",
                table.notes
            );
        }
        assert_eq!(read("made by hand\n\na,b\n1,x\n2,y\n3,z\n4,x\n").unwrap().rows.row(0).line(), 4);
    }

    #[test]
    fn blanks_separate_numbers_and_words_in_quotes() {
        // As R's write.table does: the rows' names have no name.
        let table = read("\"x\" \"kind\"\n\"row 1\" 1.5 \"a b\"\n\"row 2\" 2.5 \"c\"\n\"row 3\" 3.5 \"c\"\n").unwrap();
        assert_eq!(table.header.as_deref().unwrap(), ["", "x", "kind"]);
        assert_eq!(cells(&table)[0], "row 1|1.5|a b");
        let decimals = read("1,5 2,5\n3,5 4\n").unwrap();
        assert_eq!(cells(&decimals), ["1.5|2.5", "3.5|4"]);
        assert_eq!(read("a film, really\nno\n").unwrap().width(), 1);
        assert_eq!(read("city:state:people\nBoston:MA:9\nSalem:MA:4\n").unwrap().header.unwrap().len(), 3);
    }

    #[test]
    fn quotes_may_be_written_with_a_backslash() {
        let table = read("name;year\n\"\\\"Hacksaw\\\" Jim\";1987\n\"Bret \\\"Hit\\\" Hart\";1984\n").unwrap();
        assert_eq!(cells(&table), ["\"Hacksaw\" Jim|1987", "Bret \"Hit\" Hart|1984"]);
        // A path ends with one.
        let path = read("dir,n\n\"C:\\x\\\",1\n\"D:\\\",2\n").unwrap();
        assert_eq!(cells(&path), ["C:\\x\\|1", "D:\\|2"]);
    }

    #[test]
    fn what_is_no_table_says_what_it_is() {
        for (text, said) in [
            ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"),
            ("<!DOCTYPE html>\n<html>\n", "page of HTML"),
            ("a.csv\0\0\0\0x,y\n1,2\n", "bytes of zero"),
            ("<?xml version=\"1.0\"?>\n<a/>\n", "XML"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        // A header that lost its last cells is no title, and equal first cells are no names of rows.
        assert!(read("a\n1,2,3\n4,5,6\n7,8,9\n1,2,4\n").is_err());
        let error = read("text,label\n“good, or\u{201d},x\n“good, and\u{201d},y\n").unwrap_err().to_string();
        assert!(error.contains("typographic quotes"), "{error}");
    }
}
