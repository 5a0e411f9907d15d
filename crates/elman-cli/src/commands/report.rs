//! `elman report`: one page of one or several runs that opens offline and on a phone.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use elman::Error;
use elman::file::atomic;
use elman::metric::{Example, Review, Shown};
use elman::settings::{KEYS, Key, Settings, Whether};
use elman::task::{Task, grouped, language_model};
use elman::train::run_folder::{BEST, CONFIG, METRICS, SAMPLES, config, read_metrics, review};
use elman::train::{Finished, Record, Span, VAL_LOSS, advice, deciding, in_words, is_better_high, strongest};
use image::{ImageFormat, Rgb, RgbImage};
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
    let (mut runs, mut without, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        match Run::read(path) {
            Ok(Some(run)) => runs.push(run),
            Ok(None) => without.push(path),
            Err(error) => others.push(error),
        }
    }
    if runs.is_empty() && !others.is_empty() {
        return Err(others.swap_remove(0));
    }
    others.iter().for_each(|error| eprintln!("{}; left out", said(&error.to_string())));
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

/// The verdict on a run, and what to do next; `sizes` are the parameters and the training targets.
pub(super) fn advice_on(
    settings: &Settings,
    records: &[Record],
    sizes: [usize; 2],
    rollbacks: u32,
    folder: &Path,
) -> Vec<String> {
    let review = review(folder).unwrap_or_default();
    let finished = Finished {
        records,
        text: (settings.task == language_model::TASK.name).then_some(sizes),
        rollbacks,
        examples: review.examples,
        baselines: &review.baselines,
        longer: &longer(settings, records, folder),
    };
    advice(&finished).iter().map(|sentence| said(sentence)).collect()
}

/// The command that trains a run twice as long as it is.
fn longer(settings: &Settings, records: &[Record], folder: &Path) -> String {
    let (s, last) = (settings, records.last());
    let is_over = |done: f64, all: f64| all > 0.0 && done >= all - 1e-6;
    let length = match last {
        Some(last) if is_over(last.epoch, s.epochs) => format!("--epochs {}", 2.0 * s.epochs),
        Some(last) if is_over(last.step as f64, s.max_steps as f64) => format!("--max-steps {}", 2 * s.max_steps),
        _ if s.max_time > Span::ZERO => format!("--max-time {}s", 2.0 * s.max_time.as_secs_f64()),
        _ if s.max_steps > 0 => format!("--max-steps {}", 2 * s.max_steps),
        _ => format!("--epochs {}", 2.0 * s.epochs),
    };
    let folder = folder.display().to_string();
    let folder = if folder.contains(' ') { format!("'{folder}'") } else { folder };
    format!("elman train --resume {folder} {length}")
}

/// The validation loss.
fn val_loss(record: &Record) -> Option<f64> {
    VAL_LOSS.iter().find_map(|name| record.val(name))
}

struct Run {
    path: PathBuf,
    name: String,
    settings: Settings,
    records: Vec<Record>,
    samples: Vec<(u64, String)>,
    /// The network in a few words.
    network: String,
    parameters: usize,
    /// What the validation of the best model showed.
    review: Review,
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
            network = network_of(model.document.config(), &settings);
            let tensors = model.document.names().filter_map(|name| model.document.tensor(name));
            parameters = tensors.map(|tensor| tensor.dims.iter().product::<usize>()).sum();
        }
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        Ok(Some(Run {
            path: path.into(),
            name,
            settings,
            records,
            samples,
            network,
            parameters,
            review: review(path).unwrap_or_default(),
        }))
    }

    /// The measure that decides, and its value for the model that is kept, with the step.
    fn best(&self) -> Option<(&str, f64, u64)> {
        let measure = deciding(&self.records)?;
        let kept = self.records.iter().rfind(|record| record.best && record.val(measure).is_some());
        let last = || self.records.iter().rfind(|record| record.val(measure).is_some());
        let record = kept.or_else(last)?;
        Some((measure, record.val(measure)?, record.step))
    }

    /// What the point of the model that is kept is called: the best, or another that was kept, as the last of few examples is.
    fn mark(&self) -> &'static str {
        let Some((measure, kept, _)) = self.best() else { return "best" };
        let sign = if is_better_high(measure) { 1.0 } else { -1.0 };
        let is_best =
            self.records.iter().filter_map(|record| record.val(measure)).all(|value| sign * value <= sign * kept);
        if is_best { "best" } else { "kept" }
    }

    /// Whether it was trained once more, on all data.
    fn is_refitted(&self) -> bool {
        let validated = self.records.iter().rfind(|record| !record.val.is_empty()).map_or(0, |record| record.step);
        self.settings.refit == Whether::Yes && self.records.last().is_some_and(|last| last.step > validated)
    }

    /// Whether its loss is a cross-entropy.
    fn is_in_nats(&self) -> bool {
        self.records.iter().any(|record| record.val(VAL_LOSS[0]).is_some())
    }

    fn curve(&self, value: impl Fn(&Record) -> Option<f64>) -> Vec<(f64, f64)> {
        self.records.iter().filter_map(|r| Some((r.step as f64, value(r)?))).collect()
    }
}

/// The network of a model file in a few words, as `train` says it.
fn network_of(config: &Value, settings: &Settings) -> String {
    let network = &config["network"];
    let front = |front: &Value| {
        let layers = |key: &str, name: &str| -> Vec<String> {
            front[key].as_array().into_iter().flatten().map(|size| format!("{name} {size}")).collect()
        };
        [layers("convs", "conv"), layers("dense", "dense")].concat()
    };
    let mut parts = front(&network["front"]);
    if let (Some(cell), Value::Number(layers), Value::Number(hidden)) =
        (network["cell"].as_str(), &network["layers"], &network["hidden"])
    {
        let directions = if network["bidirectional"] == true { "bi-" } else { "" };
        parts.push(match network["decoder"].is_object() {
            true => format!("{directions}{cell} encoder {layers}x{hidden}, decoder {}", settings.hidden),
            false => format!("{directions}{cell} {layers}x{hidden}"),
        });
    } else if let Some(cell) = network["decoder"]["cell"].as_str() {
        parts.push(format!("{cell} decoder {}", network["decoder"]["hidden"]));
    }
    parts.join(", ")
}

fn page(runs: &[Run]) -> String {
    let title = escaped(&runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", "));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    let steps = runs.iter().flat_map(|run| &run.records).map(|record| record.step).max().unwrap_or(1);
    let steps = (0.0, steps as f64);
    page.push_str(&head(runs));
    let decides = runs.iter().find_map(|run| deciding(&run.records)).unwrap_or(VAL_LOSS[0]).to_string();
    // The loss has a chart of its own, with the training loss.
    page.push_str("<div class=\"more\">");
    if !VAL_LOSS.contains(&decides.as_str()) {
        page.push_str(&measure(runs, &decides, steps, true).svg());
    }
    page.push_str(&loss(runs, steps, VAL_LOSS.contains(&decides.as_str())).svg());
    page.push_str("</div>\n");
    for run in runs {
        let name = if runs.len() == 1 { String::new() } else { format!(" of {}", escaped(&run.name)) };
        confusion(run, &name, &mut page);
        examples(run, &name, &mut page);
    }
    samples(runs, &mut page);
    page.push_str("<h2>More measures</h2>\n<div class=\"more\">");
    others(runs, &decides, steps, &mut page);
    page.push_str("</div>\n");
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

/// The loss in training and validation.
fn loss(runs: &[Run], steps: (f64, f64), decides: bool) -> Chart<'static> {
    let unit = if runs.iter().all(Run::is_in_nats) { "nats" } else { "loss" };
    let (mut curves, mut marks) = (Vec::new(), Vec::new());
    for (i, run) in runs.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let mut add = |what: &str, dashed, points| {
            let label = if runs.len() == 1 { what.to_string() } else { format!("{} {what}", run.name) };
            curves.push(Curve { label, colour, dashed, points });
        };
        add("training", true, run.curve(Record::train));
        add("validation", false, run.curve(val_loss));
        marks.extend(
            run.best()
                .filter(|_| decides)
                .map(|(_, value, step)| (step as f64, value, format!("{} {value:.3}", run.mark()))),
        );
    }
    Chart { name: "Loss".into(), unit, log: false, curves, steps, marks }
}

/// A measure of the validation; with the best model's point, if it is the one that decides.
fn measure(runs: &[Run], key: &str, steps: (f64, f64), decides: bool) -> Chart<'static> {
    let (name, sample) = in_words(key, 0.5);
    // As `in_words` counts it.
    let factor = if sample == "50.0 %" { 100.0 } else { 1.0 };
    let (mut curves, mut marks) = (Vec::new(), Vec::new());
    for (i, run) in runs.iter().enumerate() {
        let points = run.curve(|record| Some(factor * record.val(key)?));
        let colour = COLOURS[i % COLOURS.len()];
        let label = if runs.len() == 1 { "validation".to_string() } else { run.name.clone() };
        curves.push(Curve { label, colour, dashed: false, points });
        if let Some((_, value, step)) = run.best().filter(|_| decides) {
            marks.push((step as f64, factor * value, format!("{} {}", run.mark(), in_words(key, value).1)));
        }
        let rule = strongest(&run.review.baselines, key).filter(|_| decides && runs.len() == 1);
        if let Some(rule) = rule {
            let points = vec![(steps.0, factor * rule.value), (steps.1, factor * rule.value)];
            curves.push(Curve { label: rule.name.clone(), colour: "#8a8a8a", dashed: true, points });
        }
    }
    let unit = if factor > 1.0 { "%" } else { "" };
    Chart { name: capital(&name), unit, log: false, curves, steps, marks }
}

/// The other measures, the learning rate, the gradient and the speed.
fn others(runs: &[Run], decides: &str, steps: (f64, f64), page: &mut String) {
    let vals = runs.iter().flat_map(|run| &run.records).flat_map(|record| &record.val);
    let names: BTreeSet<&str> = vals.map(|(name, _)| name.as_str()).filter(|name| !VAL_LOSS.contains(name)).collect();
    for key in names.into_iter().filter(|name| *name != decides) {
        page.push_str(&measure(runs, key, steps, false).svg());
    }
    let speed = format!("{}/s", targets(runs));
    let curves = |value: fn(&Record) -> Option<f64>, what: &str| -> Vec<Curve> {
        let one = |(i, run): (usize, &Run)| {
            let label = if runs.len() == 1 { what.to_string() } else { format!("{} {what}", run.name) };
            Curve { label, colour: COLOURS[i % COLOURS.len()], dashed: false, points: run.curve(value) }
        };
        runs.iter().enumerate().map(one).collect()
    };
    let rate: fn(&Record) -> Option<f64> = |r| (r.targets_per_s > 0.0).then_some(r.targets_per_s);
    let chart =
        |name: &str, unit, log, curves| Chart { name: name.into(), unit, log, curves, steps, marks: Vec::new() }.svg();
    page.push_str(&chart("Learning rate", "", false, curves(|r| Some(r.lr), "learning rate")));
    page.push_str(&chart("Gradient norm", "", true, curves(|r| Some(r.grad_norm), "gradient norm")));
    page.push_str(&chart("Speed", &speed, false, curves(rate, &speed)));
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What counts: the measure that decides, beside simple rules; the verdict; the table of results.
fn head(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let Some((measure, value, step)) = run.best() else { continue };
        let (name, words) = in_words(measure, value);
        let run_name = if runs.len() == 1 { String::new() } else { format!("<b>{}</b> ", escaped(&run.name)) };
        let last = run.records.last().map_or(0, |record| record.step);
        let examples = match run.review.examples {
            0 => String::new(),
            n => format!(
                " on {} validation {}",
                grouped(n),
                if targets(runs) == "tokens" { "tokens" } else { "examples" }
            ),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "<section class=\"hero\"><p class=\"big\">{run_name}{} <strong>{}</strong></p>\
             <p>{examples} at update {} of {}{}</p>",
            escaped(&capital(&name)),
            escaped(&words),
            grouped(step as usize),
            grouped(last as usize),
            if run.is_refitted() { "; then trained once more, on these examples too" } else { "" }
        );
        let rules: Vec<_> = run
            .review
            .baselines
            .iter()
            .filter(|rule| measure.ends_with(&rule.measure) || measure.ends_with("nats"))
            .collect();
        let most = rules.iter().map(|rule| rule.value.abs()).fold(value.abs(), f64::max).max(1e-9);
        if !rules.is_empty() {
            text.push_str("<div class=\"bars\">");
            let own = [("this model", value, true)];
            let others = rules.iter().map(|rule| (rule.name.as_str(), rule.value, false));
            for (name, value, is_own) in own.into_iter().chain(others) {
                let class = if is_own { " class=\"own\"" } else { "" };
                let _ = write!(
                    text,
                    "<span>{}</span><i{class} style=\"width:{:.1}%\"></i><b>{}</b>",
                    escaped(name),
                    (100.0 * value / most).clamp(0.5, 100.0),
                    escaped(&in_words(measure, value).1)
                );
            }
            let note = if is_better_high(measure) { "longer is better" } else { "shorter is better" };
            let _ = writeln!(text, "</div><p class=\"small\">{note}; the others are simple rules on the same data</p>");
        }
        let tokens = run.records.last().map_or(0.0, |r| r.targets as f64 / r.epoch.max(1e-9));
        for sentence in advice_on(&run.settings, &run.records, [run.parameters, tokens as usize], 0, &run.path) {
            let _ = writeln!(text, "<p class=\"verdict\">{}</p>", escaped(&sentence));
        }
        text.push_str("</section>\n");
    }
    let speed = format!("{}/s", targets(runs));
    let names = ["run", "best", "network", "parameters", "at update", "updates", "epochs", "time", "to save", &speed];
    text.push_str("<div class=\"wide\"><table class=\"stacks\"><thead><tr>");
    names.iter().for_each(|name| text.push_str(&format!("<th>{name}")));
    text.push_str("</tr></thead>\n");
    for run in runs {
        let Some(last) = run.records.last() else { continue };
        let best = run.best();
        let mut rates: Vec<f64> = run.records.iter().map(|r| r.targets_per_s).collect();
        rates.sort_by(f64::total_cmp);
        let cells = [
            run.name.clone(),
            best.map_or("none yet".into(), |(measure, value, _)| {
                let (name, words) = in_words(measure, value);
                format!("{name} {words}")
            }),
            run.network.clone(),
            grouped(run.parameters),
            best.map_or(String::new(), |(_, _, step)| grouped(step as usize)),
            grouped(last.step as usize),
            format!("{:.1}", last.epoch),
            time(last.elapsed_s),
            format!("{:.1} %", 100.0 * last.saving_s / last.elapsed_s.max(1e-9)),
            grouped(rates[rates.len() / 2] as usize),
        ];
        text.push_str("<tr>");
        for (name, cell) in names.iter().zip(cells) {
            let _ = write!(text, "<td data-name=\"{name}\">{}", escaped(&cell));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table></div>\n");
    text
}

/// The confusion matrix: a row for each true class.
fn confusion(run: &Run, of: &str, page: &mut String) {
    let Review { confusion, labels, .. } = &run.review;
    if confusion.is_empty() || labels.len() != confusion.len() {
        return;
    }
    let _ = write!(
        page,
        "<h2>Which classes are confused{of}</h2>\n<div class=\"wide\"><table class=\"matrix\"><tr><th>truth \\ predicted"
    );
    labels.iter().for_each(|label| page.push_str(&format!("<th>{}", escaped(label))));
    page.push_str("<th>right</tr>\n");
    for (truth, row) in confusion.iter().enumerate() {
        let sum: u64 = row.iter().sum();
        let _ = write!(page, "<tr><th>{}", escaped(&labels[truth]));
        for (found, count) in row.iter().enumerate() {
            let share = *count as f64 / sum.max(1) as f64;
            let kind = if truth == found { "hit" } else { "miss" };
            let of = format!("{} of {sum} {} predicted as {}", count, labels[truth], labels[found]);
            let _ = write!(
                page,
                "<td class=\"{kind}\" style=\"--s:{share:.3}\" title=\"{}\">{}",
                escaped(&of),
                if *count > 0 { count.to_string() } else { "·".into() }
            );
        }
        let hits = row.get(truth).copied().unwrap_or(0);
        let _ = writeln!(
            page,
            "<td>{}</tr>",
            if sum > 0 { format!("{:.0} %", 100.0 * hits as f64 / sum as f64) } else { "none".into() }
        );
    }
    page.push_str("</table></div>\n");
}

/// Examples with what was predicted and what is right.
fn examples(run: &Run, of: &str, page: &mut String) {
    let shown = &run.review.shown;
    if shown.is_empty() {
        return;
    }
    let wrong = shown.iter().filter(|example| example.is_right == Some(false)).count();
    let note = match wrong {
        0 => "held out from training",
        _ => "held out from training, the surest mistakes first",
    };
    let kind = if matches!(shown[0].input, Shown::Text(_)) { "texts" } else { "pictures" };
    let _ = writeln!(page, "<h2>Examples{of}</h2><p class=\"small\">{note}</p>\n<div class=\"examples {kind}\">");
    for example in shown {
        let (class, sign) = match example.is_right {
            Some(true) => ("right", "✓ "),
            Some(false) => ("wrong", "✗ "),
            None => ("", ""),
        };
        let Example { input, truth, predicted, probability, .. } = example;
        let _ = write!(page, "<figure class=\"{class}\">{}<figcaption>", drawn(input));
        if example.steps.len() == 2 {
            bands(example, &run.review.labels, page);
        }
        let sure = match probability {
            Some(p) if !example.steps.is_empty() => format!(" <small>{:.0} % of the steps right</small>", 100.0 * p),
            Some(p) => format!(" <small>{:.0} % sure</small>", 100.0 * p),
            None => String::new(),
        };
        if example.steps.is_empty() {
            let _ = write!(page, "<b>{sign}{}</b>{sure}", escaped(predicted));
            if example.is_right != Some(true) {
                let _ = write!(page, "<br>truth: {}", escaped(truth));
            }
        } else {
            page.push_str(&sure);
        }
        page.push_str("</figcaption></figure>\n");
    }
    page.push_str("</div>\n");
}

/// The true and the predicted class at each step, as two bands of colour.
fn bands(example: &Example, labels: &[String], page: &mut String) {
    for (name, steps) in ["truth", "predicted"].iter().zip(&example.steps) {
        let _ = write!(page, "<div class=\"band\"><span>{name}</span><div>");
        for (class, count) in steps {
            let label = labels.get(*class).map_or("", String::as_str);
            let colour = COLOURS[class % COLOURS.len()];
            let _ = write!(
                page,
                "<i style=\"flex:{count};background:{colour}\" title=\"{0}, {count} steps\">{0}</i>",
                escaped(label)
            );
        }
        page.push_str("</div></div>");
    }
}

/// An input as a picture of a page.
fn drawn(input: &Shown) -> String {
    match input {
        Shown::Text(text) => format!("<blockquote>{}</blockquote>", escaped(text)),
        Shown::Image { width, height, channels, pixels } => {
            let byte =
                |i: usize| pixels.get(2 * i..2 * i + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
            let colour = |x: u32, y: u32| {
                let at = (y as usize * width + x as usize) * channels;
                Rgb(std::array::from_fn(|channel| byte(at + channel.min(channels.saturating_sub(1)))))
            };
            // A damaged file may claim any size.
            let side = |size: usize| size.clamp(1, 256) as u32;
            let image = RgbImage::from_fn(side(*width), side(*height), colour);
            let mut png = std::io::Cursor::new(Vec::new());
            match image.write_to(&mut png, ImageFormat::Png) {
                Ok(()) => {
                    format!("<img alt=\"\" src=\"data:image/png;base64,{}\">", BASE64_STANDARD.encode(png.into_inner()))
                }
                Err(_) => String::new(),
            }
        }
        Shown::Series(channels) => {
            let all = || channels.iter().flatten().filter(|x| x.is_finite());
            let (low, high) = all().fold((f32::MAX, f32::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
            let mut svg = String::from("<svg class=\"series\" viewBox=\"0 0 160 70\" preserveAspectRatio=\"none\">");
            for (i, values) in channels.iter().enumerate() {
                let point = |(t, x): (usize, &f32)| {
                    let across = 160.0 * t as f32 / values.len().saturating_sub(1).max(1) as f32;
                    format!("{across:.1},{:.1}", 66.0 - 62.0 * (x - low) / (high - low).max(1e-9))
                };
                let points: Vec<String> = values.iter().enumerate().filter(|(_, x)| x.is_finite()).map(point).collect();
                let _ = write!(
                    svg,
                    "<polyline fill=\"none\" stroke=\"{}\" points=\"{}\"/>",
                    COLOURS[i % COLOURS.len()],
                    points.join(" ")
                );
            }
            svg + "</svg>"
        }
    }
}

/// What the targets of these runs are.
fn targets(runs: &[Run]) -> &'static str {
    let is_text = |run: &Run| run.settings.task == language_model::TASK.name;
    if runs.iter().all(is_text) { "tokens" } else { "targets" }
}

fn samples(runs: &[Run], page: &mut String) {
    for run in runs.iter().filter(|run| !run.samples.is_empty()) {
        let _ = writeln!(page, "<h2>Samples of {}</h2>", escaped(&run.name));
        // Spread over the run, the last one always.
        let n = run.samples.len();
        let shown = n.min(SHOWN);
        for i in 0..shown {
            let at = if shown == 1 { 0 } else { i * (n - 1) / (shown - 1) };
            let (step, text) = &run.samples[at];
            // Examples say more than the same in lines.
            let open = if at + 1 == n && run.review.shown.is_empty() { " open" } else { "" };
            let step = grouped(*step as usize);
            let _ =
                writeln!(page, "<details{open}><summary>step {step}</summary><pre>{}</pre></details>", escaped(text));
        }
    }
}

/// Every setting that a run reads; what differs between runs stands out.
fn settings(runs: &[Run], page: &mut String) {
    let open = if runs.len() > 1 { " open" } else { "" };
    let _ = write!(
        page,
        "<details{open}><summary><h2>Settings</h2></summary>\n<div class=\"wide\"><table class=\"settings\"><tr><th>setting"
    );
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
    page.push_str("</table></div></details>\n");
}

fn time(seconds: f64) -> String {
    match seconds as u64 {
        s if s >= 3600 => format!("{}h {:02}m", s / 3600, s / 60 % 60),
        s if s >= 60 => format!("{}m {:02}s", s / 60, s % 60),
        s => format!("{s}s"),
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c1c1c;--ground:#fff;--line:#d8d8d8;--mark:#fff3c4;--soft:#f5f6f8;--own:#2f7ed8;\
--right:#2e9e5b;--wrong:#d33d3d}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--ground:#16181c;--line:#3a3d44;--mark:#4a3f14;--soft:#1f2228;\
--right:#4fbf7d;--wrong:#ee6a6a}}\
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:64rem;\
margin:1rem auto;padding:0 1rem}h1{font-size:1.3rem;overflow-wrap:anywhere;opacity:.75}h2{font-size:1.15rem;margin:2rem 0 .3rem}\
.hero{background:var(--soft);border-radius:.6rem;padding:.8rem 1.2rem;margin:0 0 1rem}.hero p{margin:.2rem 0}\
.big{font-size:1.5rem}.big strong{font-size:2.2rem}.verdict{font-size:1.05rem;border-left:.25rem solid var(--own);\
padding-left:.7rem;margin:.7rem 0!important;overflow-wrap:anywhere}\
.bars{display:grid;grid-template-columns:max-content 1fr max-content;gap:.2rem .7rem;align-items:center;margin:.7rem 0 0;\
max-width:40rem;font-size:.95rem}.bars i{height:.8rem;border-radius:.2rem;background:var(--line)}.bars i.own{background:var(--own)}\
.bars span{overflow-wrap:anywhere;max-width:12rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}td,th{border-bottom:1px solid var(--line);\
padding:.25rem .75rem .25rem 0;text-align:left;vertical-align:top}.stacks td,.stacks th{white-space:nowrap}\
.stacks td:nth-child(3){white-space:normal}.settings td{overflow-wrap:anywhere}.differs{background:var(--mark)}\
svg{width:100%;max-width:44rem;height:auto;font:13px system-ui,sans-serif}svg text{fill:var(--ink)}.grid{stroke:var(--line)}\
.axis{font-size:12px;opacity:.7}.p{opacity:0}.p:hover{opacity:1}.best{fill:var(--ground);stroke:var(--ink);stroke-width:2}\
svg text.mark{font-weight:600;paint-order:stroke;stroke:var(--ground);stroke-width:4px}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);padding:.5rem;font-size:.85rem}\
.small{font-size:.85rem;opacity:.75;margin:.3rem 0}.legend{display:flex;flex-wrap:wrap;gap:.25rem 1rem;font-size:.85rem}\
.legend span::before{content:'';display:inline-block;width:1.4rem;border-top:3px var(--dash,solid) var(--c);\
margin-right:.4rem;vertical-align:middle}.legend em{opacity:.7}\
.more{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:0 1.5rem}.more h2{font-size:1rem;\
margin-top:1rem}.chart{min-width:0}summary h2{display:inline}\
.matrix td{text-align:center;padding:.3rem .5rem;border:1px solid var(--line);min-width:2.2rem}\
.matrix th{padding:.3rem .5rem;max-width:9rem}.matrix th:first-child{min-width:5.5rem}\
.hit{background:color-mix(in srgb,var(--right) calc(var(--s)*60%),transparent)}\
.miss{background:color-mix(in srgb,var(--wrong) calc(var(--s)*90%),transparent)}\
.examples{display:grid;grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));gap:.7rem}\
.examples.texts{grid-template-columns:repeat(auto-fill,minmax(18rem,1fr))}\
figure{margin:0;padding:.5rem;background:var(--soft);border-radius:.4rem;border-top:3px solid var(--line);min-width:0}\
figure.right{border-color:var(--right)}figure.wrong{border-color:var(--wrong)}figcaption{font-size:.9rem;overflow-wrap:anywhere}\
figure img{width:100%;image-rendering:pixelated;max-height:10rem;object-fit:contain;background:#0001}\
figure .series{height:5.5rem;stroke-width:1.2}.series polyline{vector-effect:non-scaling-stroke}\
blockquote{margin:0 0 .4rem;font-size:.9rem;overflow-wrap:anywhere}\
.band{display:grid;grid-template-columns:4rem minmax(0,1fr);font-size:.7rem;align-items:center}.band div{display:flex;height:1.1rem;overflow:hidden}\
.band i{overflow:hidden;white-space:nowrap;color:#fff;font-style:normal;padding-left:1px;min-width:0;text-shadow:0 0 2px #000}\
@media(max-width:640px){.stacks thead{display:none}.stacks tr,.stacks td{display:block}\
.stacks td,.stacks td:nth-child(3){display:flex;gap:1rem;justify-content:space-between;white-space:normal;padding:.2rem 0}\
.stacks td::before{content:attr(data-name);opacity:.7}.stacks{width:100%}.stacks tr{margin-bottom:1rem}\
.big{font-size:1.2rem}.big strong{font-size:1.8rem}.bars span{max-width:7rem}\
.examples{grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr))}.examples.texts{grid-template-columns:1fr}}";
