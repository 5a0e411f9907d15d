//! Words on a terminal: wrapped between words, cut at a width, harmless whatever they contain.

use unicode_width::UnicodeWidthChar;

/// Accents drawn over one letter; a model that has learned them may write hundreds.
const MARKS: usize = 2;

/// A space at which no line is broken: commands stay whole, to be copied.
pub(crate) const TIE: char = '\u{a0}';

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text in lines of at most `columns`, broken at spaces; a longer word has a line of its own and is not broken.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let is_first = line.is_empty();
            if !is_first && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::take(&mut line));
            } else if !is_first {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.into_iter().map(|line| line.replace(TIE, " ")).collect()
}

/// A line of a sample that moves no cursor and changes no colour, cut at `columns`.
///
/// Controls are shown as their pictures, marks that turn the writing direction as `\u{fffd}`.
pub(crate) fn shown(line: &str, columns: usize) -> String {
    let mut text = String::new();
    let (mut used, mut marks) = (0, 0);
    for c in line.chars() {
        let c = match c {
            '\t' => ' ',
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(' '),
            '\x7f' => '\u{2421}',
            '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                '\u{fffd}'
            }
            // Line and paragraph separators; and what makes of the character before it one of another width.
            '\u{2028}' | '\u{2029}' => ' ',
            '\u{fe00}'..='\u{fe0f}' | '\u{200b}'..='\u{200d}' => continue,
            c => c,
        };
        let columns_of_c = c.width().unwrap_or(0);
        marks = if columns_of_c == 0 { marks + 1 } else { 0 };
        // A mark needs something to stand on.
        if columns_of_c == 0 && (marks > MARKS || text.is_empty()) {
            continue;
        }
        if used + columns_of_c > columns {
            break;
        }
        used += columns_of_c;
        text.push(c);
    }
    text
}

/// The first `rows` rows of a text, each of at most `columns`, its lines broken anywhere; empty lines are left out.
pub(crate) fn chunks(text: &str, columns: usize, rows: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    if columns < 2 {
        return found;
    }
    for line in text.split('\n').map(|line| shown(line.trim_end_matches('\r'), usize::MAX)) {
        let mut row = String::new();
        for c in line.trim_end().chars() {
            if width(&row) + c.width().unwrap_or(0) > columns {
                found.push(std::mem::take(&mut row));
            }
            row.push(c);
            if found.len() >= rows {
                return found;
            }
        }
        if !row.is_empty() {
            found.push(row);
        }
    }
    found.truncate(rows);
    found
}

/// As many of these parts as fit into `columns`, two spaces between them; the first is cut rather than left out.
pub(crate) fn fitted(parts: &[String], columns: usize) -> String {
    let mut text = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if text.is_empty() {
            text = shown(part, columns);
        } else if width(&text) + 2 + width(part) <= columns {
            text.push_str("  ");
            text.push_str(part);
        }
    }
    text
}

/// Seconds as people say them, in at most seven columns.
pub(crate) fn time(seconds: f64) -> String {
    // What is not finite is 0.
    match seconds.max(0.0).round() as u64 {
        s if s >= 100 * 86_400 => "100+ d".into(),
        s if s >= 86_400 => format!("{}d {:02}h", s / 86_400, s / 3600 % 24),
        s if s >= 3600 => format!("{}h {:02}m", s / 3600, s / 60 % 60),
        s if s >= 60 => format!("{}m {:02}s", s / 60, s % 60),
        s => format!("{s}s"),
    }
}

/// A rate in few digits.
pub(crate) fn short(x: f64) -> String {
    match x.abs() {
        a if a >= 1e10 => format!("{x:.0e}"),
        a if a >= 9.995e6 => format!("{:.0}M", x / 1e6),
        a if a >= 9.995e5 => format!("{:.2}M", x / 1e6),
        a if a >= 9.995e3 => format!("{:.0}k", x / 1e3),
        a if a >= 100.0 || a == 0.0 => format!("{x:.0}"),
        a if a >= 1e-3 => format!("{x:.4}").trim_end_matches('0').to_string(),
        _ => format!("{x:.1e}"),
    }
}

/// A validation measure by the name it has in a record.
pub(super) fn measure(name: &str, value: f64) -> String {
    let name = name.strip_prefix("val_").unwrap_or(name);
    match (name, name.strip_prefix("bleu")) {
        ("nats", _) => format!("{value:.4} nats"),
        ("accuracy", _) => format!("accuracy {:.2} %", 100.0 * value),
        ("bleu", _) => format!("BLEU {value:.2}"),
        (_, Some(order)) => format!("BLEU-{order} {value:.2}"),
        _ => format!("{name} {value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_commands_stay_whole() {
        let text = format!("stopped; go on with: elman{TIE}train{TIE}--resume{TIE}runs/a");
        assert_eq!(wrapped(&text, 30), ["stopped; go on with:", "elman train --resume runs/a"]);
        assert_eq!(wrapped(&text, 10), ["stopped;", "go on", "with:", "elman train --resume runs/a"]);
        assert_eq!(wrapped("a\n\nb c", 80), ["a", "", "b c"]);
        assert_eq!(wrapped("日本 日本", 5), ["日本", "日本"]);
    }

    #[test]
    fn a_sample_cannot_move_the_cursor_and_stays_in_its_width() {
        assert_eq!(shown("a\x1b[2J\tb\x7f\r", 80), "a\u{241b}[2J b\u{2421}\u{240d}");
        assert_eq!(shown("日本語", 5), "日本");
        assert_eq!(shown("x\u{202e}y\u{9b}", 80), "x\u{fffd}y\u{fffd}");
        let zalgo = format!("\u{301}e{}f", "\u{301}".repeat(100));
        assert_eq!(shown(&zalgo, 2), "e\u{301}\u{301}f");
        assert_eq!(width(&shown(&"👍🏽".repeat(50), 41)), 40);
    }

    #[test]
    fn a_text_fills_rows_of_a_width() {
        assert_eq!(chunks("abcdef\r\n\n日本語", 4, 9), ["abcd", "ef", "日本", "語"]);
        assert_eq!(chunks("abcdef\nghi", 4, 2), ["abcd", "ef"]);
        assert_eq!(chunks("abc", 1, 2), [""; 0]);
    }

    #[test]
    fn parts_that_do_not_fit_are_left_out_whole() {
        let parts = ["abc", "", "defghi", "jk"].map(String::from);
        assert_eq!(fitted(&parts, 80), "abc  defghi  jk");
        assert_eq!(fitted(&parts, 8), "abc  jk");
        assert_eq!(fitted(&parts, 2), "ab");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 59.6, 3725.0, 90_000.0, 1e12].map(time), ["0s", "1m 00s", "1h 02m", "1d 01h", "100+ d"]);
        assert_eq!(time(f64::NAN), "0s");
        assert_eq!(
            [0.0, 0.002, 1.5, 412_332.0, 1.234e6, 2e-5].map(short),
            ["0", "0.002", "1.5", "412k", "1.23M", "2.0e-5"]
        );
    }
}
