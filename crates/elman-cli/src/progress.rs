//! What a person, or a program, sees of a run.

mod curve;
mod dashboard;
mod live;
mod view;
mod words;

use std::f64::consts::LN_2;
use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use elman::Error;
use elman::task::language_model::{METRIC, Plan, threads};
use elman::train::{Ending, Event, Progress, Record};
use serde_json::json;

use self::view::RunView;
use self::words::{TIE, fitted, shown, time, wrapped};
use crate::exit_code::Failure;

/// Between two pictures: at most ten a second.
const REFRESH: Duration = Duration::from_millis(100);

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Lines, and on a terminal a display below them.
    Lines,
    /// A dashboard that fills the terminal.
    Dashboard,
    /// JSON lines on standard output.
    Json,
    /// Errors only.
    Nothing,
}

impl Show {
    /// Refuses the dashboard where there is no terminal for it.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn possible(self) -> Result<Show, Failure> {
        if self == Show::Dashboard && !(stdout().is_terminal() && is_capable()) {
            let message = "--tui needs a terminal on standard output; leave it out for plain lines, or take --json";
            return Err(Error::Usage(message.into()).into());
        }
        Ok(self)
    }
}

/// Whether the terminal can move its cursor.
fn is_capable() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether colours are wanted (no-color.org).
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What the training thread and the drawing thread share. Drawing has its own thread, so that a slow terminal does not
/// hold up training.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    view: RunView,
    /// Lines to print above the display.
    lines: Vec<String>,
    is_over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it drew has spoiled a picture, no more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state after the time between two pictures, or at once when the run is over.
    fn next(&self) -> MutexGuard<'_, State> {
        let wait = self.wake.wait_timeout_while(self.lock(), REFRESH, |state| !state.is_over);
        wait.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state)
    }
}

/// Draws until the run is over.
fn draw(shared: &Shared) {
    let mut screen = live::Screen::default();
    let colours = colours();
    loop {
        let (size, mut state) = (live::size(), shared.next());
        let lines = std::mem::take(&mut state.lines);
        let is_over = state.is_over;
        let frame = live::frame(&state.view, size, colours, is_over);
        // Not while the terminal takes its time.
        drop(state);
        screen.draw(&lines, frame, size.0);
        if is_over {
            return;
        }
    }
}

/// Shows the events of a run.
#[derive(Debug)]
pub(crate) struct Watcher {
    show: Show,
    path: PathBuf,
    /// Updates seen.
    updates: u64,
    /// The display of a terminal, and the thread that draws it.
    display: Option<(Arc<Shared>, JoinHandle<()>)>,
    /// Lines go to a terminal: they are broken between words.
    is_terminal: bool,
}

impl Watcher {
    /// Says what is about to happen. `records` are those of the run so far; `stop` becomes true when the run is to end.
    ///
    /// # Errors
    /// If the dashboard cannot be opened.
    pub(crate) fn new(
        show: Show,
        plan: &Plan,
        path: &Path,
        progress: &Progress,
        records: &[Record],
        stop: &Arc<AtomicBool>,
    ) -> Result<Watcher, Failure> {
        let is_terminal = stderr().is_terminal();
        let mut watcher = Watcher { show, path: path.into(), updates: 0, display: None, is_terminal };
        let begin = watcher.begin(plan);
        let view = || RunView::new(begin.join("; "), progress, records);
        match show {
            Show::Dashboard => watcher.start(view(), Some(stop.clone()))?,
            Show::Lines if is_terminal && is_capable() => watcher.start(view(), None)?,
            _ => {}
        }
        Ok(watcher)
    }

    fn start(&mut self, view: RunView, dashboard: Option<Arc<AtomicBool>>) -> Result<(), Failure> {
        let state = Mutex::new(State { view, lines: Vec::new(), is_over: false });
        let shared = Arc::new(Shared { state, wake: Condvar::new() });
        let theirs = shared.clone();
        let failed = |e: std::io::Error| Failure::Other(format!("cannot open the display: {e}"));
        let thread = std::thread::Builder::new().name("display".into());
        let thread = match dashboard {
            None => thread.spawn(move || draw(&theirs)),
            Some(stop) => {
                let dashboard = dashboard::Dashboard::open().map_err(failed)?;
                thread.spawn(move || dashboard.run(&theirs, &stop))
            }
        };
        self.display = Some((shared, thread.map_err(failed)?));
        Ok(())
    }

    /// Prints what is about to be trained, and returns it.
    fn begin(&self, plan: &Plan) -> Vec<String> {
        let s = &plan.settings;
        let params = plan.network.layout().len();
        let symbols = plan.corpus.train.len();
        let threads = threads(s.threads);
        let memory = plan.memory_estimate();
        if self.show == Show::Json {
            println!(
                "{}",
                json!({
                    "event": "start", "parameters": params, "vocabulary": plan.corpus.vocab.len(), "symbols": symbols,
                    "held_out": plan.corpus.val.len(), "memory_bytes": memory, "threads": threads, "seed": s.seed,
                    "folder": self.path,
                })
            );
        }
        let file = if s.file.is_empty() { "the built-in text" } else { &s.file };
        let lines = vec![
            format!(
                "{} {}x{}: {} parameters, vocabulary {}, {:.2} symbols per parameter, about {} MB, {threads} \
                 threads, seed {}",
                s.cell.name(),
                s.layers,
                s.hidden,
                grouped(params as u64),
                plan.corpus.vocab.len(),
                symbols as f64 / params as f64,
                memory.div_ceil(1 << 20),
                s.seed
            ),
            format!(
                "{file}: {} {}s to learn from, {} held out; the run is in {}",
                grouped(symbols as u64),
                plan.corpus.vocab.unit(),
                grouped(plan.corpus.val.len() as u64),
                self.path.display()
            ),
        ];
        if self.show == Show::Lines {
            lines.iter().for_each(|line| self.line(line));
        }
        lines
    }

    /// Prints a line, on a terminal broken between words.
    fn line(&self, text: &str) {
        let lines = match self.is_terminal {
            true => wrapped(text, live::size().0.saturating_sub(1)),
            false => vec![text.replace(TIE, " ")],
        };
        match &self.display {
            Some((shared, _)) => {
                let mut state = shared.lock();
                lines.iter().for_each(|line| state.view.say(line));
                // The dashboard shows them itself.
                if self.show == Show::Lines {
                    state.lines.extend(lines);
                }
            }
            None => lines.iter().for_each(|line| eprintln!("{line}")),
        }
    }

    /// Shows an event.
    pub(crate) fn see(&mut self, event: Event) {
        self.updates += u64::from(matches!(event, Event::Step { .. }));
        if let Some((shared, _)) = &self.display {
            shared.lock().view.see(&event);
        }
        match self.show {
            Show::Nothing => {}
            Show::Json => see_as_json(&event),
            Show::Lines | Show::Dashboard => self.see_as_lines(&event),
        }
    }

    fn see_as_lines(&self, event: &Event) {
        match event {
            Event::Step { .. } | Event::Saved { .. } => {}
            Event::Record(record) if self.display.is_none() => self.line(&describe(record)),
            // The display has the rest.
            Event::Record(record) if record.val.is_empty() => {}
            Event::Record(record) => self.line(&describe_briefly(record, live::size().0.saturating_sub(1))),
            Event::Sample { .. } if self.display.is_some() => {}
            Event::Sample { text, .. } => {
                let lines = text.trim_end().split('\n');
                // Only a terminal obeys what it is sent.
                let shown = |line| if self.is_terminal { shown(line, usize::MAX) } else { String::from(line) };
                let text: Vec<String> = lines.map(shown).collect();
                self.line(&format!("----\n{}\n----", text.join("\n")));
            }
            Event::RolledBack { at, loss_nats, to, lr_scale } => self.line(&format!(
                "loss {loss_nats} at step {at}: training diverged; back to step {to} with {lr_scale} of the learning rate"
            )),
        }
    }

    /// Ends the display; what it showed last stays above what follows.
    fn close(&mut self) {
        if let Some((shared, thread)) = self.display.take() {
            shared.lock().is_over = true;
            shared.wake.notify_all();
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }

    /// Says how it ended, and how much of the time went into saving.
    pub(crate) fn end(&mut self, ending: Ending, progress: &Progress, elapsed_s: f64, saving_s: f64) {
        self.close();
        let path = self.path.display().to_string().replace(' ', &TIE.to_string());
        match self.show {
            Show::Nothing => {}
            Show::Json => println!(
                "{}",
                json!({
                    "event": "end", "ending": format!("{ending:?}").to_lowercase(), "step": progress.step,
                    "best": progress.best.map(|b| b.0), "best_step": progress.best.map(|b| b.1), "elapsed_s": elapsed_s,
                    "saving_s": saving_s,
                })
            ),
            Show::Lines | Show::Dashboard => {
                let percent = if elapsed_s > 0.0 { 100.0 * saving_s / elapsed_s } else { 0.0 };
                let time = format!("{}, {percent:.1} % of it to save", time(elapsed_s));
                if ending == Ending::Stopped {
                    self.line(&format!(
                        "stopped after {} updates, {time}; saved. Go on with: elman{TIE}train{TIE}--resume{TIE}{path}",
                        progress.step
                    ));
                    return;
                }
                if self.updates == 0 {
                    self.line(&format!("the run was complete already, after {} updates", progress.step));
                }
                if let Some((nats, step)) = progress.best {
                    self.line(&format!(
                        "best: {nats:.4} nats, {:.4} bits per symbol on held-out text, at update {step} of {}; {time}",
                        nats / LN_2,
                        progress.step
                    ));
                }
                self.line(&format!("write with it: elman{TIE}sample{TIE}{path}/best.safetensors"));
            }
        }
    }

    /// What could be done better next time.
    pub(crate) fn advise(&self, sentences: &[String]) {
        match self.show {
            Show::Nothing => {}
            Show::Json => println!("{}", json!({"event": "advice", "sentences": sentences})),
            Show::Lines | Show::Dashboard => sentences.iter().for_each(|sentence| self.line(sentence)),
        }
    }
}

/// On an error too the terminal is left as it was.
impl Drop for Watcher {
    fn drop(&mut self) {
        self.close();
    }
}

/// A record as a line.
fn describe(r: &Record) -> String {
    let mut text = format!("step {:>6}  epoch {:>6.2}", r.step, r.epoch);
    if let Some(nats) = r.train_nats {
        text.push_str(&format!("  train {nats:.4} nats {:.4} bits", nats / LN_2));
    }
    if let Some(nats) = r.val(METRIC) {
        let mark = if r.best { " (best)" } else { "" };
        text.push_str(&format!("  held out {nats:.4} nats {:.4} bits{mark}", nats / LN_2));
    }
    text.push_str(&format!("  {} symbols/s", grouped(r.targets_per_s as u64)));
    text
}

/// A validation as one line of a terminal: what there is room for, the most important first.
fn describe_briefly(r: &Record, columns: usize) -> String {
    let mark = if r.best { " (best)" } else { "" };
    let mut parts = vec![format!("step {:>7}", grouped(r.step))];
    parts.extend(r.val(METRIC).map(|nats| format!("held out {nats:.4} nats{mark:7}")));
    parts.extend(r.train_nats.map(|nats| format!("training {nats:.4}")));
    parts.push(format!("epoch {:.2}", r.epoch));
    parts.push(format!("{} elapsed", time(r.elapsed_s)));
    fitted(&parts, columns).trim_end().to_string()
}

fn see_as_json(event: &Event) {
    let line = match event {
        Event::Step { .. } => return,
        Event::Record(record) => match serde_json::to_value(record) {
            Ok(mut line) => {
                line["event"] = "record".into();
                line
            }
            Err(_) => return,
        },
        Event::Sample { step, text } => json!({"event": "sample", "step": step, "text": text}),
        Event::Saved { step } => json!({"event": "saved", "step": step}),
        Event::RolledBack { at, loss_nats, to, lr_scale } => {
            json!({"event": "rolled-back", "at": at, "loss_nats": loss_nats, "to": to, "lr_scale": lr_scale})
        }
    };
    println!("{line}");
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
