//! What a person, or a program, sees of a run.

mod curve;
mod dashboard;
mod live;
mod output;
mod shared;
mod view;
mod words;

use std::f64::consts::LN_2;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use elman::Error;
use elman::error::in_words;
use elman::metric::Baseline;
use elman::settings::Settings;
use elman::task::{RunSummary, Task, grouped};
use elman::train::run_folder::review;
use elman::train::{Ending, Event, Record, Session, VAL_LOSS, in_words as in_words_of, threads};
use serde_json::json;

pub(crate) use self::output::{Output, Stop};
use self::shared::{Shared, State};
use self::view::RunView;
pub(crate) use self::words::shown;
use self::words::{TIE, fitted, measure, time, wrapped};
use crate::exit_code::{Failure, said};

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

/// Says on standard error, every few seconds, how many images have their features: there may be thousands.
#[derive(Debug)]
pub(crate) struct Encoding {
    is_quiet: bool,
    said: Instant,
}

impl Encoding {
    /// Between two lines.
    const PAUSE: Duration = Duration::from_secs(5);

    pub(crate) fn new(is_quiet: bool) -> Self {
        Encoding { is_quiet, said: Instant::now() }
    }

    /// Is told how many are done; always answers to go on.
    pub(crate) fn see(&mut self, done: usize, all: usize) -> bool {
        if !self.is_quiet && self.said.elapsed() >= Self::PAUSE {
            self.said = Instant::now();
            let _ = writeln!(stderr(), "features of images: {} of {}", grouped(done), grouped(all));
        }
        true
    }
}

/// Draws until the run is over.
fn draw(shared: &Shared) {
    let mut screen = live::Screen::default();
    let colours = live::colours();
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
    /// What a target is.
    unit: &'static str,
    /// What the loss is counted in: nats, or nothing.
    loss_unit: &'static str,
    /// The command that uses the model.
    command: &'static str,
    /// Updates seen.
    updates: u64,
    /// How much of the run was done when this process began, and when that was.
    began: Option<(f64, Instant)>,
    /// How much of it is done.
    share: f64,
    /// The display of a terminal, and the thread that draws it.
    display: Option<(Arc<Shared>, JoinHandle<()>)>,
    /// Lines go to a terminal: they are broken between words.
    is_terminal: bool,
    /// JSON lines.
    stdout: Output,
    /// Words.
    stderr: Output,
    stop: Stop,
}

impl Watcher {
    /// Says what is about to happen; `stop` is set when the run is to end, and by an output that takes no more.
    ///
    /// # Errors
    /// If the dashboard cannot be opened.
    pub(crate) fn new(
        show: Show,
        settings: &Settings,
        summary: &RunSummary,
        path: &Path,
        session: &dyn Session,
        stop: &Stop,
    ) -> Result<Watcher, Failure> {
        let is_terminal = stderr().is_terminal();
        let failed = |error| Failure::Stream("write to", error);
        let mut watcher = Watcher {
            show,
            path: path.into(),
            unit: summary.unit,
            loss_unit: summary.loss_unit,
            command: Task::find(&settings.task)?.command,
            updates: 0,
            began: None,
            share: 0.0,
            display: None,
            is_terminal,
            stdout: Output::stdout(stop).map_err(failed)?,
            stderr: Output::stderr(stop).map_err(failed)?,
            stop: stop.clone(),
        };
        let begin = watcher.begin(settings, summary);
        let view = || {
            let mut view = RunView::new(begin.join("; "), session.progress(), session.records());
            view.loss_unit = summary.loss_unit;
            view
        };
        match show {
            Show::Dashboard => watcher.start(view(), true)?,
            Show::Lines if is_terminal && is_capable() => watcher.start(view(), false)?,
            _ => {}
        }
        Ok(watcher)
    }

    fn start(&mut self, view: RunView, is_dashboard: bool) -> Result<(), Failure> {
        let state = Mutex::new(State { view, lines: Vec::new(), is_over: false });
        let shared = Arc::new(Shared { state, wake: Condvar::new() });
        let theirs = shared.clone();
        let failed = |e: std::io::Error| Failure::Other(format!("cannot open the display: {}", in_words(&e)));
        let thread = std::thread::Builder::new().name("display".into());
        let thread = if is_dashboard {
            let (dashboard, stop) = (dashboard::Dashboard::open().map_err(failed)?, self.stop.flag.clone());
            thread.spawn(move || dashboard.run(&theirs, &stop))
        } else {
            thread.spawn(move || draw(&theirs))
        };
        self.display = Some((shared, thread.map_err(failed)?));
        Ok(())
    }

    /// Prints what is about to be trained, and returns it.
    fn begin(&self, s: &Settings, summary: &RunSummary) -> Vec<String> {
        let threads = threads(s.threads);
        if self.show == Show::Json {
            let mut line = summary.json.clone();
            line["event"] = "start".into();
            line["task"] = s.task.as_str().into();
            line["parameters"] = summary.parameters.into();
            line["memory_bytes"] = summary.memory.into();
            line["threads"] = threads.into();
            line["seed"] = s.seed.into();
            line["folder"] = json!(self.path);
            self.stdout.line(line.to_string());
        }
        let share = summary.targets as f64 / summary.parameters as f64;
        let per_parameter = match format!("{share:.2}").as_str() {
            "0.00" => String::new(),
            share => format!(", {share} {}s per parameter", summary.unit.trim_end_matches('s')),
        };
        let mut lines = vec![
            format!(
                "{}: {} parameters{per_parameter}, about {} MB, {threads} threads, seed {}",
                summary.network,
                grouped(summary.parameters),
                summary.memory.div_ceil(1 << 20),
                s.seed
            ),
            format!("{}: {}; the run is in {}", data_name(s), summary.data, self.path.display()),
        ];
        let cores = elman::train::threads(0);
        if s.threads > cores {
            lines.push(format!("{} threads on {cores} cores are no faster than {cores}", s.threads));
        }
        lines.extend(summary.notes.iter().map(|note| said(note)));
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
            None => lines.into_iter().for_each(|line| self.stderr.line(line)),
        }
    }

    /// Shows an event.
    pub(crate) fn see(&mut self, event: Event) {
        if let Event::Step { progress, .. } = event {
            self.updates += 1;
            self.share = progress;
            self.began.get_or_insert((progress, Instant::now()));
        }
        if let Some((shared, _)) = &self.display {
            shared.lock().view.see(&event);
        }
        match self.show {
            Show::Nothing => {}
            Show::Json => self.see_as_json(&event),
            Show::Lines | Show::Dashboard => self.see_as_lines(&event),
        }
    }

    fn see_as_lines(&self, event: &Event) {
        match event {
            Event::Step { .. } | Event::Saved { .. } => {}
            Event::Record(record) if self.display.is_none() => {
                let to_go = self.to_go_s().map_or_else(String::new, |seconds| format!("  {} to go", time(seconds)));
                self.line(&(describe(record, self.unit, self.loss_unit) + &to_go));
            }
            // The display has the rest.
            Event::Record(record) if record.val.is_empty() => {}
            Event::Record(record) => self.line(&describe_briefly(record, self.unit, live::size().0.saturating_sub(1))),
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

    /// Seconds to go, as far as can be told.
    fn to_go_s(&self) -> Option<f64> {
        let (before, since) = self.began?;
        let (done, seconds) = (self.share - before, since.elapsed().as_secs_f64());
        (done > 0.0 && seconds > 1.0 && self.share < 1.0).then(|| seconds * (1.0 - self.share) / done)
    }

    fn see_as_json(&self, event: &Event) {
        let line = match event {
            Event::Step { .. } => return,
            Event::Record(record) => {
                let mut line = json!(record);
                line["event"] = "record".into();
                line
            }
            Event::Sample { step, text } => json!({"event": "sample", "step": step, "text": text}),
            Event::Saved { step } => json!({"event": "saved", "step": step}),
            Event::RolledBack { at, loss_nats, to, lr_scale } => {
                json!({"event": "rolled-back", "at": at, "loss_nats": loss_nats, "to": to, "lr_scale": lr_scale})
            }
        };
        self.stdout.line(line.to_string());
    }

    /// Ends the display; what it showed last stays above what follows.
    fn close(&mut self) {
        if let Some((shared, thread)) = self.display.take() {
            shared.lock().is_over = true;
            shared.wake.notify_all();
            if !output::ended(thread) {
                dashboard::give_up();
            }
        }
    }

    /// Says how it ended, and how much of the time went into saving.
    pub(crate) fn end(&mut self, ending: Ending, session: &dyn Session) {
        self.close();
        let (progress, elapsed_s, saving_s) = (session.progress(), session.elapsed_s(), session.saving_s());
        let path = self.path.display().to_string().replace(' ', &TIE.to_string());
        match self.show {
            Show::Nothing => {}
            Show::Json => self.stdout.line(
                json!({
                    "event": "end", "ending": format!("{ending:?}").to_lowercase(), "step": progress.step,
                    "best": progress.best.map(|b| b.0.abs()), "best_step": progress.best.map(|b| b.1), "elapsed_s": elapsed_s,
                    "saving_s": saving_s, "baselines": review(&self.path).unwrap_or_default().baselines,
                })
                .to_string(),
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
                if let Some((_, step)) = progress.best {
                    let is_best = |record: &&Record| record.step == step && !record.val.is_empty();
                    let best = session.records().iter().rfind(is_best);
                    let best = best.map_or_else(String::new, |record| validation(record, self.unit));
                    self.line(&format!(
                        "best: {best} on validation data, at update {step} of {}; {time}",
                        progress.step
                    ));
                }
                let rules = review(&self.path).unwrap_or_default().baselines;
                let rules: Vec<String> = rules.iter().map(rule).collect();
                if !rules.is_empty() {
                    self.line(&format!("simple rules on the same data: {}", rules.join("; ")));
                }
                self.line(&format!("use it: elman{TIE}{}{TIE}{path}/best.safetensors", self.command));
            }
        }
    }

    /// What could be done better next time.
    pub(crate) fn advise(&self, sentences: &[String]) {
        match self.show {
            Show::Nothing => {}
            Show::Json => self.stdout.line(json!({"event": "advice", "sentences": sentences}).to_string()),
            Show::Lines | Show::Dashboard => sentences.iter().for_each(|sentence| self.line(sentence)),
        }
    }
}

/// On an error too the terminal is left as it was.
impl Drop for Watcher {
    fn drop(&mut self) {
        self.close();
        self.stdout.close();
        if let Some(reason) = self.stop.reason() {
            self.stderr.line(format!("elman: {reason}"));
        }
        self.stderr.close();
    }
}

/// What a simple rule reaches.
pub(crate) fn rule(rule: &Baseline) -> String {
    let (name, value) = in_words_of(&rule.measure, rule.value);
    format!("{} {name} {value}", rule.name)
}

/// What the data of a run are called.
pub(crate) fn data_name(s: &Settings) -> String {
    let given = [&s.file, &s.source, &s.features, &s.images].into_iter().find(|name| !name.is_empty());
    match given.map(|names| (names.lines().next().unwrap_or_default(), names.lines().count())) {
        None => "built-in data".into(),
        Some((first, ..=1)) => first.into(),
        Some((first, count)) => format!("{first} and {} more", count - 1),
    }
}

/// A cross-entropy per target as people compare it: of characters in bits, of words as a perplexity.
pub(crate) fn nats(nats: f64, unit: &str) -> String {
    match unit {
        "character" | "byte" | "symbol" | "token" => format!("{nats:.4} nats, {:.4} bits per {unit}", nats / LN_2),
        "word" | "subword" => format!("perplexity {:.2} per {unit} ({nats:.4} nats)", nats.exp()),
        _ => format!("{nats:.4} nats"),
    }
}

/// A record as a line.
fn describe(r: &Record, unit: &str, loss_unit: &str) -> String {
    let mut text = format!("step {:>6}  epoch {:>6.2}", r.step, r.epoch);
    if let Some(loss) = r.train() {
        text.push_str(format!("  train {loss:.4} {loss_unit}").trim_end());
        if matches!(unit, "character" | "byte" | "symbol" | "token") {
            text.push_str(&format!(" {:.4} bits", loss / LN_2));
        }
    }
    if !r.val.is_empty() {
        let mark = if r.best { " (best)" } else { "" };
        text.push_str(&format!("  validation {}{mark}", validation(r, unit)));
    }
    r.undefined.iter().for_each(|name| text.push_str(&format!("  {name} is undefined")));
    let plural = if unit.ends_with('s') { "" } else { "s" };
    text.push_str(&format!("  {} {unit}{plural}/s", grouped(r.targets_per_s as usize)));
    text
}

/// What was measured on validation data, the measure that chooses first.
fn validation(r: &Record, unit: &str) -> String {
    // Of numbers that are predicted their error, in the label's unit.
    if let (Some(rmse), false) = (r.val("val_rmse"), r.val.iter().any(|(name, _)| name == VAL_LOSS[0])) {
        let r2 = r.val("val_r2").map_or_else(String::new, |r2| format!(", r2 {r2:.3}"));
        return format!("off by {} (rmse){r2}", in_words_of("rmse", rmse).1);
    }
    let first = r.val.first().filter(|(name, _)| !VAL_LOSS.contains(&name.as_str()));
    let first = first.map(|(name, value)| measure(name, *value));
    let loss = r.val.iter().find(|(name, _)| VAL_LOSS.contains(&name.as_str()));
    let loss = loss.map(|(name, value)| match name == VAL_LOSS[0] {
        true => nats(*value, unit).replace(" nats)", " nats, teacher-forced)"),
        false => measure(name, *value),
    });
    first.into_iter().chain(loss).collect::<Vec<_>>().join(", ")
}

/// A validation as one line of a terminal: what there is room for, the most important first.
fn describe_briefly(r: &Record, unit: &str, columns: usize) -> String {
    let (step, mark) = (grouped(r.step as usize), if r.best { ", best" } else { "" });
    let is_narrow = columns < 60;
    let mut parts = vec![if is_narrow { format!("step {step}") } else { format!("step {step:>7}") }];
    parts.push(match (r.val.first(), is_narrow) {
        (Some((name, nats)), true) if name == VAL_LOSS[0] => format!("validation {nats:.4}{mark}"),
        (Some((name, nats)), false) if name == VAL_LOSS[0] => format!("validation {nats:.4} nats{mark:6}"),
        _ => format!("validation {}{mark:6}", validation(r, unit)),
    });
    parts.extend(r.train().map(|loss| format!("training {loss:.4}")));
    parts.push(format!("epoch {:.2}", r.epoch));
    parts.push(format!("{} elapsed", time(r.elapsed_s)));
    fitted(&parts, columns).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_measured_by_bleu_and_perplexity() {
        let val = vec![("val_bleu".to_string(), 31.416), (VAL_LOSS[0].to_string(), 1.5)];
        let record = Record { val, ..Record::default() };
        assert_eq!(validation(&record, "word"), "BLEU 31.42, perplexity 4.48 per word (1.5000 nats, teacher-forced)");
        assert_eq!(measure("val_accuracy", 0.975), "accuracy 97.50 %");
    }

    #[test]
    fn a_loss_is_in_nats_only_where_it_is_a_cross_entropy() {
        let record = |name: &str| {
            let val = vec![("val_rmse".to_string(), 2.0), (name.to_string(), 0.5)];
            Record { step: 10, train_nats: Some(0.25), val, ..Record::default() }
        };
        let numbers = describe(&record(VAL_LOSS[1]), "example", "");
        assert!(numbers.contains("train 0.2500  validation off by 2.000 (rmse)"), "{numbers}");
        let classes = describe(&record(VAL_LOSS[0]), "example", "nats");
        assert!(classes.contains("train 0.2500 nats  validation rmse 2.0000, 0.5000 nats"), "{classes}");
    }

    #[test]
    fn a_validation_is_one_line_with_its_result_on_any_terminal() {
        let val = vec![(VAL_LOSS[0].to_string(), 1.8032)];
        let record = Record { step: 123_456, train_nats: Some(1.7), val, best: true, ..Record::default() };
        assert_eq!(describe_briefly(&record, "character", 39), "step 123,456  validation 1.8032, best");
        let wide = describe_briefly(&record, "character", 79);
        assert_eq!(wide, "step 123,456  validation 1.8032 nats, best  training 1.7000  epoch 0.00");
        assert!((1..130).all(|columns| words::width(&describe_briefly(&record, "character", columns)) <= columns));
    }
}
