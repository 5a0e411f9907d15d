//! `elman report`: one page of one or several runs that opens offline and on a phone.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use elman::Error;
use elman::file::atomic;
use elman::settings::{KEYS, Key, Settings};
use elman::task::{Task, grouped, language_model};
use elman::train::run_folder::{BEST, CONFIG, METRICS, SAMPLES, config, read_metrics};
use elman::train::{Record, VAL_LOSS, advice};
use serde_json::Value;

use super::models::load;
use crate::args::Report;
use crate::chart::{Chart, Curve, escaped};
use crate::exit_code::{Failure, Outcome, said};

/// The page's name in a run's own folder.
pub(crate) const NAME: &str = "report.html";
/// A colour for each run, readable on light and dark ground.
const COLOURS: [&str; 6] = ["#2f7ed8", "#e0672b", "#2e9e5b", "#a05bd0", "#c9981a", "#d33d6e"];
/// Samples shown of each run.
const SHOWN: usize = 12;

pub(crate) fn run(args: Report) -> Outcome {
    write(&args.runs, &args.out)?;
    eprintln!("{}", args.out.display());
    Ok(0)
}

/// Writes the page of these runs. A run without metrics is told and passed over, if there are others.
pub(crate) fn write(paths: &[PathBuf], out: &Path) -> Result<(), Failure> {
    let (mut runs, mut without) = (Vec::new(), Vec::new());
    for path in paths {
        match Run::read(path)? {
            Some(run) => runs.push(run),
            None => without.push(path),
        }
    }
    let reason = "has no metrics yet; let the run reach its first record";
    match without.first() {
        Some(path) if runs.is_empty() => {
            return Err(Error::Data { path: path.into(), reason: reason.into() }.into());
        }
        _ => without.iter().for_each(|path| eprintln!("{}: {reason}; left out", path.display())),
    }
    atomic::write(out, page(&runs).as_bytes())?;
    Ok(())
}

/// What a practitioner would say of a run; only of language models.
pub(super) fn advice_on(
    settings: &Settings,
    records: &[Record],
    parameters: usize,
    tokens: usize,
    rollbacks: u32,
) -> Vec<String> {
    match settings.task == language_model::TASK.name {
        true => advice(records, language_model::METRIC, parameters, tokens, rollbacks)
            .iter()
            .map(|sentence| said(sentence))
            .collect(),
        false => Vec::new(),
    }
}

/// The validation loss.
fn val_loss(record: &Record) -> Option<f64> {
    VAL_LOSS.iter().find_map(|name| record.val(name))
}

struct Run {
    name: String,
    settings: Settings,
    records: Vec<Record>,
    samples: Vec<(u64, String)>,
    /// The network in a few words.
    network: String,
    parameters: usize,
}

impl Run {
    /// Reads a run; none where it has no metrics yet.
    fn read(path: &Path) -> Result<Option<Run>, Failure> {
        let settings = Settings::from_toml(&config(path)?, &path.join(CONFIG))?.without_unread()?;
        let metrics = path.join(METRICS);
        let records = if metrics.exists() { read_metrics(&metrics)? } else { Vec::new() };
        if records.is_empty() {
            return Ok(None);
        }
        let mut samples = Vec::new();
        for entry in std::fs::read_dir(path.join(SAMPLES)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let step = name.strip_prefix("step-").and_then(|n| n.strip_suffix(".txt")).and_then(|n| n.parse().ok());
            if let (Some(step), Ok(text)) = (step, std::fs::read(entry.path())) {
                samples.push((step, String::from_utf8_lossy(&text).into_owned()));
            }
        }
        samples.sort();
        let (mut network, mut parameters) = (String::new(), 0);
        if let Ok(model) = load(&path.join(BEST)) {
            network = network_of(model.document.config());
            let tensors = model.document.names().filter_map(|name| model.document.tensor(name));
            parameters = tensors.map(|tensor| tensor.dims.iter().product::<usize>()).sum();
        }
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        Ok(Some(Run { name, settings, records, samples, network, parameters }))
    }

    fn best(&self) -> Option<(f64, u64)> {
        let vals = self.records.iter().filter_map(|r| Some((val_loss(r)?, r.step)));
        vals.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Whether its loss is a cross-entropy.
    fn is_in_nats(&self) -> bool {
        self.records.iter().any(|record| record.val(VAL_LOSS[0]).is_some())
    }

    fn curve(&self, value: impl Fn(&Record) -> Option<f64>) -> Vec<(f64, f64)> {
        self.records.iter().filter_map(|r| Some((r.step as f64, value(r)?))).collect()
    }
}

/// The network of a model file in a few words: cell, layers and hidden units, or its shape.
fn network_of(config: &Value) -> String {
    let network = &config["network"];
    match (network["cell"].as_str(), &network["layers"], &network["hidden"]) {
        (Some(cell), Value::Number(layers), Value::Number(hidden)) => format!("{cell} {layers}x{hidden}"),
        (Some(cell), ..) => cell.into(),
        _ => config["shape"].as_str().unwrap_or_default().into(),
    }
}

fn page(runs: &[Run]) -> String {
    let title = escaped(&runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", "));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    page.push_str(&summary(runs));
    let speed = format!("{}/s", targets(runs));
    let unit = if runs.iter().all(Run::is_in_nats) { "nats" } else { "" };
    for (name, unit, log) in [
        ("Loss", unit, false),
        ("Learning rate", "", false),
        ("Gradient norm", "", true),
        ("Speed", speed.as_str(), false),
    ] {
        let mut chart = Chart { name, unit, log, curves: Vec::new() };
        for (i, run) in runs.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let mut add = |what: &str, dashed, points| {
                let label = if runs.len() == 1 { what.to_string() } else { format!("{} {what}", run.name) };
                chart.curves.push(Curve { label, colour, dashed, points });
            };
            match name {
                "Loss" => {
                    add("training", true, run.curve(Record::train));
                    add("validation", false, run.curve(val_loss));
                }
                "Learning rate" => add("learning rate", false, run.curve(|r| Some(r.lr))),
                "Gradient norm" => add("gradient norm", false, run.curve(|r| Some(r.grad_norm))),
                _ => add(&speed, false, run.curve(|r| (r.targets_per_s > 0.0).then_some(r.targets_per_s))),
            }
        }
        page.push_str(&chart.svg());
    }
    measures(runs, &mut page);
    samples(runs, &mut page);
    settings(runs, &mut page);
    let _ = writeln!(
        page,
        "<p class=\"small\">elman {}, {} {}, {} cores</p></body></html>",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    page
}

/// The table of results, and what could be done better.
fn summary(runs: &[Run]) -> String {
    let mut text = String::from(
        "<div class=\"wide\"><table><tr><th>run<th>network<th>parameters<th>best validation loss<th>at step<th>steps\
         <th>epochs<th>time<th>to save",
    );
    // Writing to a String cannot fail.
    let _ = write!(text, "<th>{}/s</tr>", targets(runs));
    for run in runs {
        let Some(last) = run.records.last() else { continue };
        let best = run.best();
        let loss = best.map_or("none yet".into(), |(loss, _)| match run.is_in_nats() {
            true => format!("{loss:.4} nats, {:.4} bits", loss / std::f64::consts::LN_2),
            false => format!("{loss:.4}"),
        });
        let mut rates: Vec<f64> = run.records.iter().map(|r| r.targets_per_s).collect();
        rates.sort_by(f64::total_cmp);
        let _ = write!(
            text,
            "<tr><td>{}<td>{}<td>{}<td>{loss}<td>{}<td>{}<td>{:.1}<td>{}<td>{:.1} %<td>{}</tr>",
            escaped(&run.name),
            escaped(&run.network),
            grouped(run.parameters),
            best.map_or(String::new(), |(_, step)| grouped(step as usize)),
            grouped(last.step as usize),
            last.epoch,
            time(last.elapsed_s),
            100.0 * last.saving_s / last.elapsed_s.max(1e-9),
            grouped(rates[rates.len() / 2] as usize)
        );
    }
    text.push_str("</table></div>\n");
    for run in runs {
        let tokens = run.records.last().map_or(0.0, |r| r.targets as f64 / r.epoch.max(1e-9));
        for sentence in advice_on(&run.settings, &run.records, run.parameters, tokens as usize, 0) {
            let name = if runs.len() == 1 { String::new() } else { format!("<b>{}</b>: ", escaped(&run.name)) };
            let _ = writeln!(text, "<p>{name}{}</p>", escaped(&sentence));
        }
    }
    text
}

/// What the targets of these runs are.
fn targets(runs: &[Run]) -> &'static str {
    let is_text = |run: &Run| run.settings.task == language_model::TASK.name;
    if runs.iter().all(is_text) { "tokens" } else { "targets" }
}

/// A chart of each measure of the validation beside the loss.
fn measures(runs: &[Run], page: &mut String) {
    let vals = runs.iter().flat_map(|run| &run.records).flat_map(|record| &record.val);
    let names: BTreeSet<&str> = vals.map(|(name, _)| name.as_str()).filter(|name| !VAL_LOSS.contains(name)).collect();
    for key in names {
        let name = key.strip_prefix("val_").unwrap_or(key).replace('_', " ");
        let mut chart = Chart { name: &name, unit: "validation", log: false, curves: Vec::new() };
        for (i, run) in runs.iter().enumerate() {
            let points = run.curve(|record| record.val(key));
            let curve = Curve { label: run.name.clone(), colour: COLOURS[i % COLOURS.len()], dashed: false, points };
            chart.curves.push(curve);
        }
        page.push_str(&chart.svg());
    }
}

fn samples(runs: &[Run], page: &mut String) {
    for run in runs.iter().filter(|run| !run.samples.is_empty()) {
        let _ = writeln!(page, "<h2>Samples of {}</h2>", escaped(&run.name));
        // Spread over the run, the last one always and open.
        let n = run.samples.len();
        let shown = n.min(SHOWN);
        for i in 0..shown {
            let at = if shown == 1 { 0 } else { i * (n - 1) / (shown - 1) };
            let (step, text) = &run.samples[at];
            let open = if at + 1 == n { " open" } else { "" };
            let step = grouped(*step as usize);
            let _ =
                writeln!(page, "<details{open}><summary>step {step}</summary><pre>{}</pre></details>", escaped(text));
        }
    }
}

/// Every setting that a run reads; what differs between runs stands out.
fn settings(runs: &[Run], page: &mut String) {
    page.push_str("<h2>Settings</h2>\n<div class=\"wide\"><table><tr><th>setting");
    for run in runs {
        let _ = write!(page, "<th>{}", escaped(&run.name));
    }
    page.push_str("</tr>\n");
    let reads = |run: &Run, key: &Key| Task::find(&run.settings.task).is_ok_and(|task| task.is_read(key.name));
    for key in KEYS.iter().filter(|key| runs.iter().any(|run| reads(run, key))) {
        let value = |run: &Run| if reads(run, key) { run.settings.get(key.name) } else { String::new() };
        let values: Vec<String> = runs.iter().map(value).collect();
        let class = if values.iter().any(|v| *v != values[0]) { " class=\"differs\"" } else { "" };
        let _ = write!(page, "<tr{class}><td>{}", key.name);
        for value in values {
            let _ = write!(page, "<td>{}", escaped(&value));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
}

fn time(seconds: f64) -> String {
    match seconds as u64 {
        s if s >= 3600 => format!("{}h {:02}m", s / 3600, s / 60 % 60),
        s if s >= 60 => format!("{}m {:02}s", s / 60, s % 60),
        s => format!("{s}s"),
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1c1c;--ground:#fff;--line:#d8d8d8;--mark:#fff3c4}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--ground:#16181c;--line:#3a3d44;--mark:#4a3f14}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:60rem;margin:1rem auto;\
padding:0 1rem}h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.2rem;margin-top:2rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}td,th{border-bottom:1px solid var(--line);\
padding:.25rem .75rem .25rem 0;text-align:left;vertical-align:top;white-space:nowrap}.differs{background:var(--mark)}\
svg{width:100%;max-width:44rem;height:auto;font:13px system-ui,sans-serif}svg text{fill:var(--ink)}.grid{stroke:var(--line)}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);padding:.5rem;font-size:.85rem}\
.small{font-size:.8rem;opacity:.7;margin-top:2rem}.legend{display:flex;flex-wrap:wrap;gap:.25rem 1rem;font-size:.85rem}\
.legend span::before{content:'';display:inline-block;width:1.4rem;border-top:3px var(--dash,solid) var(--c);\
margin-right:.4rem;vertical-align:middle}";
