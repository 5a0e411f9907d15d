//! The display below the lines of a terminal: curve, numbers and the latest sample, refreshed in place.

use std::fmt::Write as _;
use std::io::{Write, stderr};

use ratatui::crossterm::terminal;

use super::curve::{self, Cell};
use super::view::RunView;
use super::words::{chunks, fitted, measure, short, time, width};
use elman::task::grouped;

/// Rows of the curve.
const HEIGHT: usize = 5;
/// Wider curves are no easier to read.
const WIDEST: usize = 110;
/// From here on there is room for a curve of several rows.
const WIDE: (usize, usize) = (56, 16);
/// Columns of the scale beside the curve.
const SCALE: usize = 8;

const TRAIN: &str = "36";
const VAL: &str = "1;33";
const DIM: &str = "2";

/// Columns and rows of the terminal; the classic ones where it does not say.
pub(crate) fn size() -> (usize, usize) {
    match terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => (columns.into(), rows.into()),
        _ => (80, 24),
    }
}

/// Whether colours are wanted (no-color.org).
pub(super) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A line of the display, and the columns it takes: colours take none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line {
    text: String,
    columns: usize,
}

impl Line {
    fn plain(text: String) -> Line {
        let columns = width(&text);
        Line { text, columns }
    }

    fn add(&mut self, text: &str, colour: Option<&str>) {
        self.columns += width(text);
        match colour.filter(|_| !text.is_empty()) {
            Some(code) => {
                // Writing to a String cannot fail.
                let _ = write!(self.text, "\x1b[{code}m{text}\x1b[0m");
            }
            None => self.text.push_str(text),
        }
    }
}

/// The display for a terminal of this size. At the end of a run without the bar: nothing is to come.
pub(crate) fn frame(view: &RunView, (columns, rows): (usize, usize), colours: bool, is_over: bool) -> Vec<Line> {
    // The last column stays free: a full line makes some terminals wrap.
    let columns = columns.saturating_sub(1).min(WIDEST + SCALE);
    let colour = |code: &'static str| colours.then_some(code);
    let mut lines = Vec::new();
    let train = view.train();
    let is_wide = columns >= WIDE.0 && rows >= WIDE.1;
    match curve::range(&[&train, &view.val]) {
        Some(range) if is_wide => {
            let cells = curve::drawing(&train, &view.val, columns - SCALE, HEIGHT, range);
            for (row, cells) in cells.iter().enumerate() {
                let mut line = Line::default();
                let value = match row {
                    0 => format!("{:>6.3}", range.1),
                    row if row + 1 == HEIGHT => format!("{:>6.3}", range.0),
                    _ => String::new(),
                };
                line.add(&format!("{value:>6} │"), colour(DIM));
                for run in cells.chunk_by(|a, b| std::mem::discriminant(a) == std::mem::discriminant(b)) {
                    let text = run.iter().map(|cell| match cell {
                        Cell::Empty => ' ',
                        Cell::Train(dots) => *dots,
                        Cell::Val => 'o',
                    });
                    let code = match run[0] {
                        Cell::Empty => None,
                        Cell::Train(_) => colour(TRAIN),
                        Cell::Val => colour(VAL),
                    };
                    line.add(&text.collect::<String>(), code);
                }
                lines.push(line);
            }
        }
        Some(_) => {
            let mut line = Line::default();
            line.add(&curve::blocks(&train, columns), colour(TRAIN));
            lines.push(line);
        }
        None => {}
    }
    lines.extend(losses(view, columns, is_wide, colour));
    if !is_over {
        lines.push(bar(view, columns, colour));
    }
    if let Some((step, text)) = &view.sample {
        let room = rows.saturating_sub(lines.len() + 3).min(if is_wide { 4 } else { 2 });
        let mut heading = Line::default();
        heading.add(&fitted(&[format!("sample at step {}", grouped(*step as usize))], columns), colour(DIM));
        let sample = chunks(text.trim(), columns.saturating_sub(2), room);
        if !sample.is_empty() {
            lines.push(heading);
            lines.extend(sample.into_iter().map(|line| Line::plain(format!("  {line}"))));
        }
    }
    lines.truncate(rows.saturating_sub(1));
    lines
}

/// Losses: in one line, or in one for each where a line is short.
fn losses(
    view: &RunView,
    columns: usize,
    is_wide: bool,
    colour: impl Fn(&'static str) -> Option<&'static str>,
) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut used = 0;
    let mut add = |mark: &str, code: &'static str, text: String| {
        let mark = if columns > width(mark) { mark } else { "" };
        let needed = width(mark) + 1 + width(&text);
        if used > 0 && used + 2 + needed > columns {
            lines.push(Line::default());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.add("  ", None);
            }
            line.add(mark, colour(code));
            line.add(&fitted(&[format!(" {text}")], columns.saturating_sub(width(mark))), None);
            used = line.columns;
        }
    };
    // Only of a text's tokens, and where everything is in one line with them.
    let is_text = view.last_val.as_ref().is_some_and(|(name, _)| name.ends_with("nats"));
    let bits = |nats: f64| match columns {
        _ if !is_text => String::new(),
        0..96 => String::new(),
        _ => format!(" ({:.3} bits)", nats / std::f64::consts::LN_2),
    };
    let is_best = matches!((&view.last_val, view.best), (Some((_, last)), Some((best, _))) if *last == best);
    if let Some(nats) = view.train_loss {
        let text = format!("training {nats:.4} {}{}", view.loss_unit, bits(nats));
        add(if is_wide { "⠒⠒" } else { "▁▂" }, TRAIN, text.trim_end().into());
    }
    if let Some((name, value)) = &view.last_val {
        let bits = if is_text { bits(*value) } else { String::new() };
        let best = if is_best { ", the best" } else { "" };
        add("o", VAL, format!("validation {}{bits}{best}", measure(name, *value)));
    }
    if let Some((value, step)) = view.best.filter(|_| !is_best) {
        add("*", VAL, format!("best {value:.4} at step {}", grouped(step as usize)));
    }
    lines.retain(|line| line.columns > 0);
    lines
}

fn bar(view: &RunView, columns: usize, colour: impl Fn(&'static str) -> Option<&'static str>) -> Line {
    // Two columns of space behind it; nothing of it where there is hardly room for the numbers.
    let len = if columns < 12 { 0 } else { (columns / 4).clamp(4, 24) };
    let full = ((view.share * len as f64) as usize).min(len);
    let mut line = Line::default();
    line.add(&"━".repeat(full), colour(TRAIN));
    line.add(&(if colour(DIM).is_some() { "━" } else { "·" }).repeat(len - full), colour(DIM));
    let parts = [
        format!("{:>3.0} %", (100.0 * view.share).floor()),
        view.to_go_s().map_or("…".into(), |s| format!("{} to go", time(s))),
        format!("step {}", grouped(view.step as usize)),
        view.rate().map_or(String::new(), |rate| format!("{}/s", short(rate))),
        view.lr.last().map_or(String::new(), |(_, lr)| format!("lr {}", short(*lr))),
    ];
    let gap = if len > 0 { 2 } else { 0 };
    line.add(&" ".repeat(gap), None);
    line.add(&fitted(&parts, columns.saturating_sub(len + gap)), None);
    line
}

/// What is on the screen below the lines that stay.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// Columns of each line drawn.
    drawn: Vec<usize>,
    last: Vec<Line>,
}

impl Screen {
    /// Replaces what was drawn: first the lines that stay, then the display. Nothing is written if nothing changed.
    pub(crate) fn draw(&mut self, stay: &[String], lines: Vec<Line>, columns: usize) {
        if stay.is_empty() && lines == self.last {
            return;
        }
        let text = self.text(stay, &lines, columns);
        self.drawn = lines.iter().map(|line| line.columns).collect();
        self.last = lines;
        // A terminal that has gone away: the run goes on, and its signal ends it.
        let _ = stderr().lock().write_all(text.as_bytes());
    }

    /// Writes lines, and the last picture where there is a terminal for it.
    pub(crate) fn leave(&self, stay: &[String], lines: Vec<Line>, is_terminal: bool) {
        let plain = || stay.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let text: String = if is_terminal { self.text(stay, &lines, usize::MAX) } else { plain() };
        let _ = stderr().lock().write_all(text.as_bytes());
    }

    fn text(&self, stay: &[String], lines: &[Line], columns: usize) -> String {
        let mut text = String::from("\r");
        // A terminal made narrower since has wrapped the lines into more rows.
        let rows: usize = self.drawn.iter().map(|used| used.div_ceil(columns.max(1)).max(1)).sum();
        if rows > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "\x1b[{rows}A");
        }
        if !stay.is_empty() {
            text.push_str("\x1b[J");
        }
        for line in stay {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        for line in lines {
            text.push_str(&line.text);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elman::train::{Event, Progress, Record};

    fn view() -> RunView {
        let record = |i: u64| Record {
            step: 100 * i,
            train_nats: Some(1.0 + 3.0 / i as f64),
            val: if i.is_multiple_of(5) { vec![("val_nats".into(), 1.2 + 3.0 / i as f64)] } else { vec![] },
            best: i.is_multiple_of(5),
            lr: 0.002,
            targets_per_s: 412_332.0,
            ..Record::default()
        };
        let records: Vec<Record> = (1..=42).map(record).collect();
        let mut view = RunView::new("lstm 2x128".into(), &Progress::default(), &records);
        let sample =
            "\x1b[2J日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語\n\u{301}\u{301}e\tq\r\n"
                .repeat(3);
        view.see(&Event::Sample { step: 4_000, text: &sample });
        view.see(&Event::Step { progress: 0.43, loss_nats: 1.0, targets: 1 });
        view
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_nor_the_display_higher() {
        let view = view();
        for columns in [1, 2, 5, 10, 20, 39, 40, 57, 58, 80, 120, 300] {
            for rows in [1, 2, 5, 16, 24] {
                let lines = frame(&view, (columns, rows), false, false);
                assert!(lines.len() < rows, "{columns} x {rows}: {lines:?}");
                for line in lines {
                    assert!(width(&line.text) < columns, "{columns} x {rows}: {line:?}");
                    assert!(!line.text.contains(char::is_control), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn forty_columns_say_what_matters_in_whole_words() {
        let lines = frame(&view(), (40, 24), false, false);
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert!(text[1..5].concat().contains("training 1.0714 nats"), "{text:#?}");
        assert!(text.iter().any(|line| line.ends_with("validation 1.2750 nats, the best")), "{text:#?}");
        let mut later = view();
        later.last_val = Some(("val_nats".into(), 1.3));
        let lines = frame(&later, (40, 24), false, false);
        assert!(lines.iter().any(|line| line.text == "* best 1.2750 at step 4,000"), "{lines:#?}");
    }

    #[test]
    fn without_colours_there_are_none_and_with_them_the_columns_are_the_same() {
        let view = view();
        let (plain, coloured) = (frame(&view, (80, 24), false, false), frame(&view, (80, 24), true, false));
        assert!(plain.iter().all(|line| !line.text.contains('\x1b')));
        assert!(coloured.iter().any(|line| line.text.contains("\x1b[36m")));
        let columns = |lines: &[Line]| lines.iter().map(|line| line.columns).collect::<Vec<_>>();
        assert_eq!(columns(&plain), columns(&coloured));
    }

    #[test]
    fn a_terminal_made_narrower_is_cleared_whole() {
        let line = |n: usize| Line::plain("x".repeat(n));
        let screen = Screen { drawn: vec![79, 0, 30], last: vec![] };
        assert!(screen.text(&[], &[line(3)], 80).starts_with("\r\x1b[3A"));
        assert!(screen.text(&[], &[line(3)], 40).starts_with("\r\x1b[4A"));
        assert_eq!(Screen::default().text(&["said".into()], &[line(1)], 80), "\r\x1b[Jsaid\x1b[K\nx\x1b[K\n\x1b[J");
    }
}
