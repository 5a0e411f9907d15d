//! The separator of a table, told by its content, and its rows.

use std::collections::HashMap;
use std::path::Path;

use super::cells::{is_missing, number};
use super::limits::{check_columns, check_widths, too_long};
use super::rows::Rows;
use crate::error::Result;
use crate::file::{MAX_LINE, fault};

/// Lines by which the separator is told.
const SAMPLE: usize = 200;
/// From this share of lines with as many cells on, a separator separates.
const SURELY: f64 = 0.9;

/// What stands between the cells of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    /// Cells are raw: a quote is a quote.
    Tab,
    /// Cells may stand in quotes, as in CSV: a comma, a semicolon, a bar, a colon, or a tab where all cells of a column do.
    Sign(u8),
    /// Numbers and words with blanks between them, in quotes where they hold blanks.
    Blanks,
}

impl Separator {
    /// What messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Separator::Tab | Separator::Sign(b'\t') => "tabs",
            Separator::Sign(b',') => "commas",
            Separator::Sign(b';') => "semicolons",
            Separator::Sign(b':') => "colons",
            Separator::Sign(_) => "bars (|)",
            Separator::Blanks => "blanks",
        }
    }

    fn sign(self) -> char {
        match self {
            Separator::Tab => '\t',
            Separator::Sign(sign) => sign.into(),
            Separator::Blanks => ' ',
        }
    }

    /// Tells the separator of the lines of a table; `usual` is that of files with its name, if they have one.
    pub(super) fn tell(text: &str, usual: Option<Separator>) -> Separator {
        const SIGNS: [Separator; 4] =
            [Separator::Tab, Separator::Sign(b';'), Separator::Sign(b'|'), Separator::Sign(b',')];
        let lines: Vec<&str> = sample(text);
        let separates = |separator: &Separator| separator.cells(&lines).is_some();
        let mut found: Vec<Separator> = SIGNS.into_iter().filter(separates).collect();
        let [semicolon, comma] = [b';', b','].map(Separator::Sign);
        if found.contains(&semicolon) && found.contains(&comma) {
            // Either the commas are within numbers, or the semicolons are within texts.
            let is_decimal = |cell: &str| {
                let rest = cell.trim().trim_start_matches(['-', '+']);
                rest.split_once(',')
                    .is_none_or(|(a, b)| [a, b].iter().all(|part| part.bytes().all(|c| c.is_ascii_digit())))
            };
            let decimals = lines.iter().skip(1).flat_map(|line| line.split(';')).all(is_decimal);
            found.retain(|separator| *separator != if decimals { comma } else { semicolon });
        }
        // Tabs within the texts of a table that another sign separates, header and all.
        let is_whole = |separator: &Separator| {
            let width = separator.cells(&lines);
            width.is_some() && lines.first().map(|line| separator.count(line)) == width
        };
        if found.first() == Some(&Separator::Tab) && !is_whole(&Separator::Tab) && found.iter().skip(1).any(is_whole) {
            found.remove(0);
        }
        if found == [comma] && are_decimals_between_blanks(&lines) {
            return Separator::Blanks;
        }
        if let Some(usual) = usual.filter(|usual| found.contains(usual) && !found.contains(&Separator::Tab)) {
            return usual;
        }
        if let Some(first) = found.first() {
            return if *first == Separator::Tab && are_quoted_between_tabs(&lines) {
                Separator::Sign(b'\t')
            } else {
                *first
            };
        }
        if are_between_blanks(&lines) {
            return Separator::Blanks;
        }
        let colon = Separator::Sign(b':');
        let is_name =
            |cell: &str| !cell.is_empty() && !cell.contains(|c: char| c.is_ascii_digit() || c.is_whitespace());
        if colon.cells(&lines).is_some_and(|cells| cells > 2)
            && lines.first().is_some_and(|l| l.split(':').all(is_name))
        {
            return colon;
        }
        // No sign separates all lines: that of most cells, so that the lines which it does not are named.
        let count = |separator: &&Separator| lines.iter().filter(|line| line.contains(separator.sign())).count();
        let most = SIGNS.iter().max_by_key(|separator| (count(separator), Some(**separator) == usual));
        match most.filter(|separator| count(separator) * 2 > lines.len()) {
            Some(separator) => *separator,
            None => usual.unwrap_or(Separator::Tab),
        }
    }

    /// Whether a sign or blanks separate as many cells in nearly all lines.
    pub(super) fn separates(text: &str, usual: Option<Separator>) -> bool {
        let lines = sample(text);
        let separator = Separator::tell(text, usual);
        separator.cells(&lines).is_some() || (separator == Separator::Blanks && are_between_blanks(&lines))
    }

    /// The number of cells that nearly all lines have, the first among them; none where they differ or there is one cell.
    fn cells(self, lines: &[&str]) -> Option<usize> {
        let counts: Vec<usize> = lines.iter().map(|line| self.count(line)).collect();
        let first = *counts.first()?;
        let mut times: HashMap<usize, usize> = HashMap::new();
        counts.iter().for_each(|&count| *times.entry(count).or_default() += 1);
        let (&usual, &most) = times.iter().max_by_key(|(count, times)| (**times, **count))?;
        // The header may lack the name of the rows' names, or of what follows a separator at each line's end.
        let is_ended = first == usual + 1 && lines[0].ends_with(self.sign());
        let is_near = first == usual || first + 1 == usual || is_ended;
        (usual > 1 && is_near && most as f64 >= SURELY * (counts.len() - usize::from(counts.len() > 4)) as f64)
            .then_some(usual)
    }

    fn count(self, line: &str) -> usize {
        let Separator::Sign(sign) = self else { return line.matches(self.sign()).count() + 1 };
        let (mut cells, mut is_quoted) = (1, false);
        for byte in line.bytes() {
            is_quoted ^= byte == b'"';
            cells += usize::from(byte == sign && !is_quoted);
        }
        cells
    }

    /// The rows; `before` lines came before `text`.
    ///
    /// # Errors
    /// What is not CSV; more columns than a table may have.
    pub(super) fn rows(self, text: &str, path: &Path, before: usize) -> Result<Rows> {
        match self {
            Separator::Sign(sign) => quoted(text, sign, path, before),
            Separator::Tab => raw(text, path, before, |line| line.split('\t')),
            Separator::Blanks => raw(text, path, before, |line| blank_cells(line).into_iter()),
        }
    }
}

/// The cells of a line between blanks; one that begins with a quote ends with it.
fn blank_cells(line: &str) -> Vec<&str> {
    let (mut cells, mut rest) = (Vec::new(), line.trim_start());
    // A quote that is not closed once is closed nowhere behind: it is not looked for again.
    let mut is_open = [false; 2];
    while let Some(first) = rest.chars().next() {
        let is_open = &mut is_open[usize::from(first == '"')];
        let quoted = rest.strip_prefix(['"', '\'']).filter(|_| !*is_open).and_then(|inner| {
            let is_end = |at: &usize| inner[at + 1..].chars().next().is_none_or(char::is_whitespace);
            let close = inner.match_indices(first).map(|(at, _)| at).find(is_end);
            *is_open = close.is_none();
            close.map(|close| (&inner[..close], &inner[close + 1..]))
        });
        let (cell, after) =
            quoted.unwrap_or_else(|| rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())));
        cells.push(cell);
        rest = after.trim_start();
    }
    cells
}

/// Whether blanks separate cells of which at least half are columns of numbers, or the first of each line is in quotes; the first line may be a header, and lack the name
/// of the rows' names.
fn are_between_blanks(lines: &[&str]) -> bool {
    let rows: Vec<Vec<&str>> = lines.iter().map(|line| blank_cells(line)).collect();
    let Some(width) = rows.last().map(Vec::len).filter(|width| *width > 1) else { return false };
    let is_header = |row: &[&str]| row.len() == width || row.len() + 1 == width;
    let (first, rest) = match &rows[..] {
        [] => return false,
        [first] => (first, &rows[..]),
        [first, rest @ ..] => (first, rest),
    };
    let is_number = |column: usize| {
        let mut cells = rest.iter().map(|row| row[column]).filter(|cell| !is_missing(cell)).peekable();
        cells.peek().is_some() && cells.all(plain_or_decimal_comma)
    };
    // R puts all words in quotes.
    let are_quoted = lines.iter().all(|line| line.trim_start().starts_with('"'));
    is_header(first)
        && rest.iter().all(|row| row.len() == width)
        && (are_quoted || 2 * (0..width).filter(|column| is_number(*column)).count() >= width)
}

fn plain_or_decimal_comma(cell: &str) -> bool {
    number(cell).is_some() || cell.matches(',').count() == 1 && number(&cell.replace(',', ".")).is_some()
}

/// Whether the commas are within numbers that blanks separate.
fn are_decimals_between_blanks(lines: &[&str]) -> bool {
    let width = lines.last().map_or(0, |line| line.split_whitespace().count());
    let is_row =
        |line: &&str| line.split_whitespace().count() == width && line.split_whitespace().all(plain_or_decimal_comma);
    width > 1 && lines.len() > 1 && lines.iter().skip(1).all(is_row)
}

/// Whether all cells of a column between tabs stand in quotes, those of texts with tabs in them too.
fn are_quoted_between_tabs(lines: &[&str]) -> bool {
    let Some(first) = lines.first() else { return false };
    let is_quoted = |cell: &str| cell.len() > 1 && cell.starts_with('"') && cell.ends_with('"');
    let mut columns: Vec<bool> = first.split('\t').map(is_quoted).collect();
    for line in lines {
        let mut cells = line.split('\t');
        columns.iter_mut().for_each(|quoted| *quoted &= cells.next().is_some_and(is_quoted));
    }
    columns.contains(&true) || lines.iter().all(|line| is_quoted(line) && line.contains("\"\t\""))
}

/// Whether quotes within quoted cells are written with a backslash before them, as MySQL does: doubled ones apart, a quote within
/// a cell would else have to be its end.
fn has_escaped_quotes(text: &str, delimiter: u8) -> bool {
    let bytes = text.as_bytes();
    let (mut is_quoted, mut is_start, mut at) = (false, true, 0);
    while at < bytes.len() {
        let (byte, next) = (bytes[at], bytes.get(at + 1).copied());
        if is_quoted && byte == b'\\' && next == Some(b'"') {
            let after = bytes.get(at + 2).copied();
            if !after.is_none_or(|after| after == delimiter || matches!(after, b'\r' | b'\n' | b'"')) {
                return true;
            }
            at += 1;
        } else if is_quoted && byte == b'"' && next == Some(b'"') {
            at += 1;
        } else if byte == b'"' && (is_quoted || is_start) {
            is_quoted = !is_quoted;
        }
        is_start = !is_quoted && (bytes[at] == delimiter || bytes[at] == b'\n');
        at += 1;
    }
    false
}

/// The first lines that hold something; quoted line breaks are within lines.
fn sample(text: &str) -> Vec<&str> {
    let (mut lines, mut start, mut is_quoted) = (Vec::new(), 0, false);
    for (i, byte) in text.bytes().enumerate() {
        is_quoted ^= byte == b'"';
        if byte == b'\n' && !is_quoted {
            lines.push(text[start..i].trim_end_matches('\r'));
            start = i + 1;
            if lines.len() > SAMPLE {
                break;
            }
        }
    }
    // Quotes that are no quotes of cells.
    if is_quoted && lines.len() < SAMPLE {
        lines = text.split('\n').take(SAMPLE).map(|line| line.trim_end_matches('\r')).collect();
    } else if lines.len() < SAMPLE {
        lines.push(text[start..].trim_end_matches('\r'));
    }
    lines.retain(|line| !line.trim().is_empty());
    lines
}

/// Lines end with LF alone (a CR before it is dropped): other Unicode line breaks are text.
fn raw<'t, C: Iterator<Item = &'t str>>(
    text: &'t str,
    path: &Path,
    before: usize,
    split: impl Fn(&'t str) -> C,
) -> Result<Rows> {
    let text = text.trim_end_matches(['\n', '\r']);
    let mut rows = Rows::default();
    for (i, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let alone = rows.first().is_some_and(|first| first.width() == 1);
        // Blank lines are skipped, but in a table of one column they are empty texts.
        if line.trim_matches('\r').is_empty() && !alone {
            continue;
        }
        let number = before + i + 1;
        if rows.is_empty() {
            check_columns(split(line).count(), number, path)?;
        }
        rows.push(number, split(line));
        check_widths(&rows, number, path)?;
    }
    Ok(rows)
}

fn quoted(text: &str, delimiter: u8, path: &Path, before: usize) -> Result<Rows> {
    let is_escaped = text.contains("\\\"") && has_escaped_quotes(text, delimiter);
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter);
    if is_escaped {
        builder.escape(Some(b'\\')).double_quote(false);
    }
    let mut reader = builder.from_reader(text.as_bytes());
    let mut rows = Rows::default();
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
        rows.push(line, &record);
        check_widths(&rows, line, path)?;
    }
    if let Some(line) = torn_quote(text, delimiter).filter(|_| !is_escaped) {
        let line = before + line;
        return Err(fault(path, format!("line {line} has an unclosed quote; quotes within a cell must be doubled")));
    }
    // An unclosed quote swallows the rest of the file, which the parser accepts.
    let last = text[begin..].trim_end();
    let escaped = if is_escaped { last.matches("\\\"").count() } else { 0 };
    if last.contains('\n') && (last.matches('"').count() - escaped) % 2 == 1 {
        return Err(fault(path, format!("line {line} has an unclosed quote; quotes within a cell must be doubled")));
    }
    Ok(rows)
}

/// The line of a quote that opens a cell and is closed lines later in the middle of one: it was never meant to be open.
fn torn_quote(text: &str, delimiter: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut line, mut at, mut is_start) = (1, 0, true);
    while at < bytes.len() {
        if !(is_start && bytes[at] == b'"') {
            line += usize::from(bytes[at] == b'\n');
            is_start = bytes[at] == delimiter || bytes[at] == b'\n';
            at += 1;
            continue;
        }
        let opened = line;
        at += 1;
        while at < bytes.len() && (bytes[at] != b'"' || bytes.get(at + 1) == Some(&b'"')) {
            line += usize::from(bytes[at] == b'\n');
            at += if bytes[at] == b'"' { 2 } else { 1 };
        }
        at += 1;
        let next = bytes.get(at).copied();
        let is_closed = next.is_none_or(|next| next == delimiter || matches!(next, b'\r' | b'\n' | b' '));
        if !is_closed && line > opened {
            return Some(opened);
        }
        is_start = false;
    }
    None
}

/// A text without the blanks between a separator and a quote, where the quote would else be part of the cell; none where there
/// are none.
pub(super) fn without_blanks_before_quotes(text: &str, delimiter: u8) -> Option<String> {
    let (mut out, mut is_quoted, mut rest) = (String::with_capacity(text.len()), false, text);
    let mut found = false;
    while let Some(at) = rest.find(['"', char::from(delimiter)]) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        out.push_str(&from[..1]);
        rest = &from[1..];
        if from.starts_with('"') {
            is_quoted = !is_quoted;
        } else if !is_quoted {
            let trimmed = rest.trim_start_matches(' ');
            if trimmed.len() < rest.len() && trimmed.starts_with('"') {
                (rest, found) = (trimmed, true);
            }
        }
    }
    out.push_str(rest);
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_told_by_content() {
        let [comma, semicolon, bar] = [b',', b';', b'|'].map(Separator::Sign);
        for (text, usual, want) in [
            ("text\tlabel\ngood, yes\tpos\nbad, no\tneg\n", Some(comma), Separator::Tab),
            ("a;b\n1,5;2\n2,5;3,25\n", Some(comma), semicolon),
            ("1,5;2,5\n2,5;3,25\n", None, semicolon),
            ("a|b|c\n1|2|3\n", None, bar),
            ("a,b\n\"x;y\",2\n\"z;w\",3\n", None, comma),
            ("good; but long,1\nbad; and short,0\n", Some(comma), comma),
            ("1.5 2.5  3\n 2 3 4\n", None, Separator::Blanks),
            ("a film, really\nno\n\nanother\n", None, Separator::Tab),
            ("hello world\nhow are you\n", None, Separator::Tab),
            ("a\tb\n1\t2\n", Some(comma), Separator::Tab),
        ] {
            assert_eq!(Separator::tell(text, usual), want, "{text:?}");
        }
    }

    #[test]
    fn blanks_before_quotes_go_and_others_stay() {
        let text = "a, \"b, c\",  d\n\"x, \"\"y\"\"\", \"z\"";
        assert_eq!(without_blanks_before_quotes(text, b',').unwrap(), "a,\"b, c\",  d\n\"x, \"\"y\"\"\",\"z\"");
        assert_eq!(without_blanks_before_quotes("a, b,\"c\"", b','), None);
    }
}
