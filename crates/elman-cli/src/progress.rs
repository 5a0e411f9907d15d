//! What a person, or a program, sees of a run.

use std::f64::consts::LN_2;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use elman::task::language_model::{METRIC, Plan, threads};
use elman::train::{Ending, Event, Progress, Record};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;

/// Parts of the bar.
const PARTS: u64 = 10_000;

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Lines, and on a terminal a bar below them.
    Lines,
    /// JSON lines on standard output.
    Json,
    /// Errors only.
    Nothing,
}

/// Shows the events of a run.
pub(crate) struct Watcher {
    show: Show,
    path: PathBuf,
    bar: Option<ProgressBar>,
    /// Updates seen.
    updates: u64,
    /// On a terminal the training loss is in the bar; lines are for validations.
    is_terminal: bool,
}

impl Watcher {
    /// Says what is about to happen.
    pub(crate) fn new(show: Show, plan: &Plan, path: &Path) -> Watcher {
        let is_terminal = stderr().is_terminal();
        let bar = (show == Show::Lines && is_terminal).then(|| {
            let bar = ProgressBar::new(PARTS);
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        let watcher = Watcher { show, path: path.into(), bar, updates: 0, is_terminal };
        watcher.begin(plan);
        watcher
    }

    fn begin(&self, plan: &Plan) {
        let s = &plan.settings;
        let params = plan.network.layout().len();
        let symbols = plan.corpus.train.len();
        let threads = threads(s.threads);
        let memory = plan.memory_estimate();
        match self.show {
            Show::Nothing => {}
            Show::Json => println!(
                "{}",
                json!({
                    "event": "start", "parameters": params, "vocabulary": plan.corpus.vocab.len(), "symbols": symbols,
                    "held_out": plan.corpus.val.len(), "memory_bytes": memory, "threads": threads, "seed": s.seed,
                    "folder": self.path,
                })
            ),
            Show::Lines => {
                self.line(&format!(
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
                ));
                let file = if s.file.is_empty() { "the built-in text" } else { &s.file };
                self.line(&format!(
                    "{file}: {} {}s to learn from, {} held out; the run is in {}",
                    grouped(symbols as u64),
                    plan.corpus.vocab.unit(),
                    grouped(plan.corpus.val.len() as u64),
                    self.path.display()
                ));
            }
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Shows an event.
    pub(crate) fn see(&mut self, event: Event) {
        self.updates += u64::from(matches!(event, Event::Step { .. }));
        match self.show {
            Show::Nothing => {}
            Show::Json => see_as_json(&event),
            Show::Lines => self.see_as_lines(&event),
        }
    }

    fn see_as_lines(&mut self, event: &Event) {
        match event {
            Event::Step { progress, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_position((progress * PARTS as f64) as u64);
                }
            }
            Event::Record(record) => {
                let text = describe(record);
                if let Some(bar) = &self.bar {
                    let eta = HumanDuration(bar.eta());
                    bar.set_message(format!("{text}, {eta} to go"));
                }
                if !self.is_terminal || !record.val.is_empty() {
                    self.line(&text);
                }
            }
            Event::Sample { text, .. } => {
                self.line(&format!("----\n{}\n----", text.trim_end()));
            }
            Event::Saved { .. } => {}
            Event::RolledBack { at, loss_nats, to, lr_scale } => self.line(&format!(
                "loss {loss_nats} at step {at}: training diverged; back to step {to} with {lr_scale} of the learning rate"
            )),
        }
    }

    /// Says how it ended.
    pub(crate) fn end(&self, ending: Ending, progress: &Progress, elapsed_s: f64) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let path = self.path.display();
        match self.show {
            Show::Nothing => {}
            Show::Json => println!(
                "{}",
                json!({
                    "event": "end", "ending": format!("{ending:?}").to_lowercase(), "step": progress.step,
                    "best": progress.best.map(|b| b.0), "best_step": progress.best.map(|b| b.1), "elapsed_s": elapsed_s,
                })
            ),
            Show::Lines => {
                let time = HumanDuration(Duration::from_secs_f64(elapsed_s));
                if ending == Ending::Stopped {
                    eprintln!(
                        "stopped after {} updates, {time}; saved. Go on with: elman train --resume {path}",
                        progress.step
                    );
                    return;
                }
                if self.updates == 0 {
                    eprintln!("the run was complete already, after {} updates", progress.step);
                }
                if let Some((nats, step)) = progress.best {
                    eprintln!(
                        "best: {nats:.4} nats, {:.4} bits per symbol on held-out text, at update {step} of {}; {time}",
                        nats / LN_2,
                        progress.step
                    );
                }
                eprintln!("write with it: elman sample {path}/best.safetensors");
            }
        }
    }
}

impl Watcher {
    /// What could be done better next time.
    pub(crate) fn advise(&self, sentences: &[String]) {
        match self.show {
            Show::Nothing => {}
            Show::Json => println!("{}", json!({"event": "advice", "sentences": sentences})),
            Show::Lines => sentences.iter().for_each(|sentence| eprintln!("{sentence}")),
        }
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
