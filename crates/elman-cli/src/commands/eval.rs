//! `elman eval`: what a model of any task measures on data.

use elman::Error;
use elman::metric::ranking::CurvePoint;
use elman::task::{Evaluate, Evaluation, Measure, Unit, language_model};
use elman::train::pool;
use serde_json::json;

use super::answers::csv_cell;
use super::eval_data::{columns, data};
use super::models::{ANEW, is_builtin, open};
use crate::args::{Decoding, Eval};
use crate::chart::trimmed;
use crate::exit_code::{Failure, Outcome, said};
use crate::progress::{Encoding, nats, rule, shown};

/// Classes whose confusion fits a terminal.
const CLASSES: usize = 12;

pub(crate) fn run(args: &Eval) -> Outcome {
    let (model, task) = open(&args.model, &args.decoding.ensemble)?;
    if let Some(path) = &args.curves
        && model.labels().len() != 2
    {
        let what = match model.labels().len() {
            0 => "predicts no classes".into(),
            n => format!("predicts {n} classes"),
        };
        return Err(
            Error::setting("curves", path.display(), format!("must be of two classes; this model {what}")).into()
        );
    }
    let options = options(args);
    task.check_evaluate(&options)?;
    let mut settings = data(task, given(args))?;
    let has_data = task.eval_data.iter().any(|key| !settings.get(key).is_empty());
    if !has_data && is_builtin(&args.model)? {
        settings.seed = ANEW;
        eprintln!("on data of the program that the model has not seen; name a file behind the model for your own");
    } else if !has_data {
        let flag = |key: &&str| if *key == "file" { "FILE".into() } else { format!("`{key}`") };
        let keys: Vec<String> = task.eval_data.iter().map(flag).collect();
        return Err(Error::Usage(format!("name the data to evaluate on, behind the model: {}", keys.join(", "))).into());
    }
    let mut encoding = Encoding::new(args.json);
    let mut callback = |done, all| encoding.see(done, all);
    let found = pool(args.threads)?.install(|| model.evaluate(&settings, &options, &mut callback))?;
    if let (Some(path), Some(curve)) = (&args.curves, &found.curve) {
        std::fs::write(path, curves(curve, &found.labels[1])).map_err(|error| Failure::write(path, error))?;
    }
    if args.json {
        let mut object = found.to_json();
        // Programs read four numbers of a language model.
        if task.name != language_model::TASK.name && !found.baselines.is_empty() {
            object["baselines"] = json!(found.baselines);
        }
        if !found.labels.is_empty() {
            let mistakes = found
                .mistakes
                .iter()
                .map(|m| json!({"example": m.example, "truth": m.truth, "answer": m.predicted, "degree": m.degree}));
            object["mistakes"] = mistakes.collect();
        }
        println!("{object}");
        found.notes.iter().for_each(|note| eprintln!("{}", said(note)));
    } else {
        print(&found);
    }
    Ok(0)
}

fn options(args: &Eval) -> Evaluate {
    let Decoding { beam, length_penalty, coverage_penalty, no_repeat_ngram, min_length, .. } = args.decoding;
    Evaluate {
        split: args.split.clone(),
        mistakes: args.mistakes,
        curves: args.curves.as_ref().map(|_| true),
        from: args.from,
        dynamic: args.dynamic.then_some(true),
        dynamic_lr: args.dynamic_lr,
        dynamic_decay: args.dynamic_decay,
        skip_unseen: args.skip_unseen.then_some(true),
        beam,
        length_penalty,
        coverage_penalty,
        no_repeat_ngram,
        min_length,
    }
}

fn given(args: &Eval) -> impl Iterator<Item = (&'static str, Option<String>)> {
    let files = [
        ("file", &args.file),
        ("source", &args.source),
        ("target", &args.target),
        ("features", &args.features),
        ("captions", &args.captions),
        ("images", &args.images),
        ("encoder", &args.encoder),
    ];
    files.map(|(key, text)| (key, text.clone())).into_iter().chain(columns(&args.columns))
}

/// A measure's value as people compare it.
pub(super) fn in_words(measure: &Measure) -> String {
    match measure.unit {
        Unit::Share => format!("{:.2} %", 100.0 * measure.value),
        Unit::Points => format!("{:.2}", measure.value),
        Unit::Nats(per) => nats(measure.value, per),
        Unit::Number => format!("{:.4}", measure.value),
    }
}

fn print(found: &Evaluation) {
    for measure in &found.measures {
        let note = if measure.note.is_empty() { String::new() } else { format!("   {}", measure.note) };
        println!("{:<20} {}{note}", measure.name, in_words(measure));
    }
    println!("{:<20} {}", found.examples.1, found.examples.0);
    let rules: Vec<String> = found.baselines.iter().map(rule).collect();
    if !rules.is_empty() {
        println!("{:<20} {}", "simple rules", rules.join("; "));
    }
    let details = found.details.iter().filter_map(|(key, value)| Some((key.replace('_', " "), value.as_f64()?)));
    let details: Vec<String> = details.map(|(key, value)| format!("{key} {}", trimmed(value))).collect();
    if !details.is_empty() {
        println!("{:<20} {}", "measured with", details.join(", "));
    }
    found.notes.iter().for_each(|note| println!("{}", said(note)));
    if let Some(confusion) = found.confusion.as_ref().filter(|_| found.labels.len() <= CLASSES) {
        let labels: Vec<String> = found.labels.iter().map(|label| shown(label, usize::MAX)).collect();
        println!("\n{}", confusion.table(&labels).trim_end());
    }
    if !found.mistakes.is_empty() {
        println!("\nthe worst mistakes:");
    }
    for m in &found.mistakes {
        let [example, truth, predicted] = [&m.example, &m.truth, &m.predicted].map(|text| shown(text, usize::MAX));
        println!("  {example} is {truth}, predicted {predicted} ({:.1} %)", 100.0 * m.degree);
    }
}

/// The points of the curves as comma-separated values: a line for each threshold at which something changes.
fn curves(points: &[CurvePoint], positive: &str) -> String {
    let head = "positive_class,threshold,true_positives,false_positives,false_positive_rate,recall,precision\n";
    let positive = csv_cell(positive);
    let line = |p: &CurvePoint| {
        format!(
            "{positive},{},{},{},{},{},{}\n",
            p.threshold, p.true_positives, p.false_positives, p.false_positive_rate, p.true_positive_rate, p.precision
        )
    };
    head.to_string() + &points.iter().map(line).collect::<String>()
}
