//! `elman train --tui`: curves, numbers, sample and messages on the whole terminal.
//!
//! `q` and Ctrl-C are the signal that Ctrl-C is without a dashboard. As soon as the run has been asked to stop, in
//! whatever way, the terminal is given back: a second Ctrl-C then ends the process at once, as always.

use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::layout::Constraint::{Fill, Length, Ratio};
use ratatui::layout::{Alignment, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, LegendPosition, Paragraph};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::SIGINT;

use super::shared::Shared;
use super::view::RunView;
use super::words::{chunks, short, shown, time, wrapped};
use super::{curve, live};
use elman::task::grouped;

/// Whether the terminal is the dashboard's. The panic hook has to know, and it can be given nothing.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Gives the terminal back, if it was taken.
fn restore() {
    if OPEN.swap(false, Ordering::SeqCst) {
        // Whatever of it fails, the rest is tried; nobody could be told.
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

/// Leaves a terminal that takes nothing as well as can be done without writing to it.
pub(super) fn give_up() {
    if OPEN.load(Ordering::SeqCst) {
        let _ = disable_raw_mode();
    }
}

/// The terminal, taken; given back when dropped, and before a panic is told.
pub(super) struct Dashboard {
    terminal: DefaultTerminal,
    colours: bool,
}

impl Dashboard {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If it cannot be switched; it is then as before.
    pub(super) fn open() -> io::Result<Dashboard> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                next(info);
            }));
        });
        OPEN.store(true, Ordering::SeqCst);
        let opened = enable_raw_mode()
            .and_then(|()| execute!(stdout(), EnterAlternateScreen))
            .and_then(|()| DefaultTerminal::new(ratatui::backend::CrosstermBackend::new(stdout())));
        match opened {
            Ok(terminal) => Ok(Dashboard { terminal, colours: live::colours() }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Draws until the run is over or asked to stop.
    pub(super) fn run(mut self, shared: &Shared, stop: &AtomicBool) {
        let (mut is_over, mut is_gone) = (false, false);
        // After a panic elsewhere the terminal is no longer ours.
        while !is_over && !stop.load(Ordering::Relaxed) && OPEN.load(Ordering::SeqCst) {
            drop(shared.next());
            // A terminal that has gone away is ready to be read for ever, and would be: the run goes on without a picture.
            is_gone = !stdout().is_terminal() || has_hung_up();
            if is_gone {
                break;
            }
            // What was typed since the last picture; without keys to read the picture goes on.
            if event::poll(Duration::ZERO).unwrap_or(false) {
                match event::read() {
                    Ok(Event::Key(key)) if is_stop(key) => {
                        // The handlers of the real signal do the rest. It can fail only for a signal there is not.
                        let _ = signal_hook::low_level::raise(SIGINT);
                        break;
                    }
                    _ => {}
                }
            }
            let state = shared.lock();
            is_over = state.is_over;
            // A copy: the terminal may take its time, or take no more.
            let view = state.view.clone();
            drop(state);
            let colours = self.colours;
            is_gone = self.terminal.draw(|frame| draw(frame, &view, colours)).is_err();
            if is_gone {
                break;
            }
        }
        if is_gone {
            OPEN.store(false, Ordering::SeqCst);
            // It would say, on the terminal, that it cannot show the cursor.
            std::mem::forget(self);
            return;
        }
        drop(self);
        // What a run without a dashboard leaves on the terminal.
        let state = shared.lock();
        let lines: Vec<String> = state.view.log.iter().cloned().collect();
        let size = live::size();
        let has_terminal = stderr().is_terminal();
        let frame = if has_terminal { live::frame(&state.view, size, live::colours(), true) } else { Vec::new() };
        drop(state);
        live::Screen::default().leave(&lines, frame, has_terminal);
        if !is_over && has_terminal {
            let _ = writeln!(stderr(), "stopping after this update; Ctrl-C ends at once");
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether the terminal that keys come from has gone away.
#[cfg(unix)]
fn has_hung_up() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    io::stdin().is_terminal() && poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(gone)
}

/// Whether the terminal that keys come from has gone away.
#[cfg(not(unix))]
fn has_hung_up() -> bool {
    false
}

fn is_stop(key: KeyEvent) -> bool {
    let is_press = key.kind != KeyEventKind::Release;
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    is_press && (matches!(key.code, KeyCode::Char('q' | 'Q')) || with_control && key.code == KeyCode::Char('c'))
}

/// Rows a terminal has at least for all parts, and columns.
const WHOLE: (u16, u16) = (60, 20);

fn draw(frame: &mut Frame, view: &RunView, colours: bool) {
    let area = frame.area();
    let is_whole = area.width >= WHOLE.0 && area.height >= WHOLE.1;
    let titles = wrapped(&shown(&view.title, usize::MAX), area.width.into());
    let rows = match is_whole {
        true => [Length(titles.len().min(3) as u16), Length(1), Fill(3), Fill(2), Fill(2)],
        false => [Length(1), Length(1), Fill(1), Length(0), Length(0)],
    };
    let [title, numbers, loss, small, words] = Layout::vertical(rows).areas(area);
    let colour = |colour: Color| if colours { Style::new().fg(colour) } else { Style::new() };

    frame.render_widget(Paragraph::new(titles.into_iter().map(Line::raw).collect::<Vec<_>>()), title);
    draw_numbers(frame, view, numbers, colour(Color::Cyan));
    let train = view.train();
    let range = curve::range(&[&train, &view.val]);
    let curve_of = |name: &str, last: Option<f64>, points, of, marker| {
        let name = last.map(|nats| format!("{name} {nats:.4}"));
        Curve { name, points, style: colour(of), marker }
    };
    let losses = [
        curve_of("training", view.train_loss, train, Color::Cyan, Marker::Braille),
        curve_of("validation", view.val.last().map(|p| p.1), view.val.clone(), Color::Yellow, Marker::Dot),
    ];
    let best =
        view.best.map_or(String::new(), |(best, step)| format!(", best {best:.4} at step {}", grouped(step as usize)));
    let unit = if view.loss_unit.is_empty() { String::new() } else { format!(", {}", view.loss_unit) };
    chart(frame, loss, &format!("loss{unit}{best}"), &losses, range);
    if !is_whole {
        return;
    }
    let [norm, lr, speed] = Layout::horizontal([Fill(1); 3]).areas(small);
    for (area, name, points) in [
        (norm, "gradient norm", &view.grad_norm),
        (lr, "learning rate", &view.lr),
        (speed, "targets/s", &view.targets_per_s),
    ] {
        let last = points.last().map_or(String::new(), |(_, y)| format!(" {}", short(*y)));
        let curve = Curve { name: None, points: points.clone(), style: colour(Color::Green), marker: Marker::Braille };
        chart(frame, area, &format!("{name}{last}"), &[curve], curve::range(&[points]));
    }
    let [sample, log] = Layout::horizontal([Fill(1); 2]).areas(words);
    let inner = |area: Rect| (usize::from(area.width.saturating_sub(2)), usize::from(area.height.saturating_sub(2)));
    let (columns, rows) = inner(sample);
    let (heading, text) = match &view.sample {
        Some((step, text)) => {
            (format!("sample at step {}", grouped(*step as usize)), chunks(text.trim(), columns, rows))
        }
        None => ("sample".into(), vec!["after the first validations".into()]),
    };
    paragraph(frame, sample, heading, text);
    let (columns, rows) = inner(log);
    let lines: Vec<String> = view.log.iter().flat_map(|line| wrapped(&shown(line, usize::MAX), columns)).collect();
    let newest = lines[lines.len().saturating_sub(rows)..].to_vec();
    paragraph(frame, log, "messages (q stops and saves)".into(), newest);
}

fn paragraph(frame: &mut Frame, area: Rect, title: String, lines: Vec<String>) {
    let lines: Vec<Line> = lines.into_iter().map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), area);
}

fn draw_numbers(frame: &mut Frame, view: &RunView, area: Rect, style: Style) {
    let to_go = view.to_go_s().map_or("…".into(), time);
    let mut text =
        format!("{:.0} %  step {}  {to_go} to go", (100.0 * view.share).floor(), grouped(view.step as usize));
    if let Some(rate) = view.rate() {
        text.push_str(&format!("  {}/s", short(rate)));
    }
    text.push_str(&format!("  {} gone", time(view.elapsed_s())));
    let label = Span::raw(shown(&text, area.width.into()));
    let gauge = Gauge::default().ratio(if view.share.is_finite() { view.share.clamp(0.0, 1.0) } else { 0.0 });
    frame.render_widget(gauge.label(label).gauge_style(style), area);
}

struct Curve {
    name: Option<String>,
    points: Vec<(f64, f64)>,
    style: Style,
    marker: Marker,
}

/// Curves over steps; `range` from [`curve::range`].
fn chart(frame: &mut Frame, area: Rect, title: &str, curves: &[Curve], range: Option<(f64, f64)>) {
    let block = Block::bordered().title(shown(title, usize::from(area.width.saturating_sub(2))));
    let Some((low, high)) = range else {
        frame.render_widget(Paragraph::new("waiting for the first numbers").block(block), area);
        return;
    };
    // A curve that is level runs through the middle.
    let margin = if high > low { 0.02 * (high - low) } else { low.abs().max(1e-9) / 2.0 };
    let (y0, y1) = (low - margin, high + margin);
    // What lies outside runs along the edge.
    let inside = |curve: &Curve| -> Vec<(f64, f64)> {
        let finite = curve.points.iter().filter(|(_, y)| y.is_finite());
        finite.map(|&(x, y)| (x, y.clamp(low, high))).collect()
    };
    let clamped: Vec<Vec<(f64, f64)>> = curves.iter().map(inside).collect();
    let xs = || clamped.iter().flatten().map(|p| p.0);
    let (x0, x1) = (xs().fold(f64::MAX, f64::min), xs().fold(f64::MIN, f64::max));
    let datasets = curves.iter().zip(&clamped).map(|(curve, points)| {
        let set = Dataset::default().data(points).style(curve.style).marker(curve.marker);
        let set = set.graph_type(if curve.marker == Marker::Dot { GraphType::Scatter } else { GraphType::Line });
        match &curve.name {
            Some(name) => set.name(name.as_str()),
            None => set,
        }
    });
    let x_labels = [grouped(x0.max(0.0) as usize), grouped(x1.max(0.0) as usize)];
    let label = |y: f64| if (0.1..1000.0).contains(&y.abs()) { format!("{y:.3}") } else { short(y) };
    let chart = Chart::new(datasets.collect())
        .block(block)
        .legend_position(Some(LegendPosition::TopRight))
        .hidden_legend_constraints((Ratio(1, 2), Ratio(1, 2)))
        .x_axis(Axis::default().bounds([x0, x1.max(x0 + 1.0)]).labels(x_labels).labels_alignment(Alignment::Right))
        .y_axis(Axis::default().bounds([y0, y1]).labels([label(low), label(high)]));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use elman::train::{Event, Progress, Record};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn picture(view: &RunView, columns: u16, rows: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| draw(frame, view, true)).unwrap();
        terminal.backend().to_string()
    }

    fn view(records: u64) -> RunView {
        let record = |i: u64| Record {
            step: 10 * i,
            train_nats: Some(1.0 + 3.0 / i as f64),
            val: if i.is_multiple_of(5) { vec![("val_nats".into(), 1.2 + 3.0 / i as f64)] } else { vec![] },
            best: i.is_multiple_of(5),
            lr: 0.002,
            grad_norm: if i == 7 { f64::INFINITY } else { 0.5 },
            targets_per_s: 412_332.0,
            ..Record::default()
        };
        let records: Vec<Record> = (1..=records).map(record).collect();
        let mut view = RunView::new("lstm 2x128".into(), &Progress::default(), &records);
        view.see(&Event::Step { progress: 0.43, loss_nats: 1.0, targets: 1 });
        view
    }

    #[test]
    fn everything_is_shown_where_there_is_room() {
        let mut view = view(40);
        view.see(&Event::Sample { step: 400, text: "\x1b[2JTo be, or not\n日本" });
        view.say("step 400  validation 1.2750 nats (best)");
        let picture = picture(&view, 100, 30);
        let parts = [
            "lstm 2x128", "43 %", "best 1.2750 at step 400", "validation 1.2750", "gradient norm 0.5", "targets/s 412k",
        ];
        for part in parts.into_iter().chain(["learning rate 0.002", "To be, or not", "(best)", "q stops"]) {
            assert!(picture.contains(part), "`{part}` is not in\n{picture}");
        }
        assert!(!picture.contains('\x1b'));
    }

    #[test]
    fn any_size_and_any_beginning_can_be_drawn() {
        for records in [0, 1, 2, 40] {
            let view = view(records);
            for (columns, rows) in [(1, 1), (2, 5), (10, 3), (40, 12), (60, 20), (250, 70)] {
                picture(&view, columns, rows);
            }
        }
    }
}
