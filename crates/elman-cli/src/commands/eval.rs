//! `elman eval`: three numbers for a language model, named, never mixed.

use std::f64::consts::LN_2;
use std::path::Path;

use elman::Error;
use elman::metric::ranking::CurvePoint;
use elman::task::language_model::{self, Model};
use elman::task::score::{self, Dynamic, Score};
use elman::task::{Classifier, Settings};
use serde_json::json;

use super::{Outcome, load};
use crate::args::Eval;
use crate::exit_code::Failure;

pub(crate) fn run(args: Eval) -> Outcome {
    if !(0.0..1.0).contains(&args.from) {
        return Err(Error::Usage(format!("--from {}: give a share from 0 to below 1", args.from)).into());
    }
    let dynamic = Dynamic { lr: args.dynamic_lr, decay: args.dynamic_decay, ..Dynamic::default() };
    if !(dynamic.lr > 0.0 && dynamic.lr.is_finite() && (0.0..=1.0).contains(&dynamic.decay)) {
        let message = "--dynamic-lr must be above 0 and --dynamic-decay from 0 to 1".to_string();
        return Err(Error::Usage(message).into());
    }
    let loaded = load(&args.model)?;
    let classifier = Classifier::from_file(&loaded)?;
    if let (Some(path), false) = (&args.curves, classifier.as_ref().is_some_and(|c| c.labels().len() == 2)) {
        let classes = classifier.as_ref().map_or(0, |c| c.labels().len());
        let what = if classes == 0 { "gives no classes".into() } else { format!("tells {classes} classes apart") };
        return Err(
            Error::Usage(format!("--curves {}: is for two classes, and this model {what}", path.display())).into()
        );
    }
    if let Some(code) = super::writing::eval(&args, &loaded)? {
        return Ok(code);
    }
    if args.images.is_some() {
        let message = format!(
            "--images is for models that describe, and the model's task is {}",
            loaded.document.config()["task"]
        );
        return Err(Error::Usage(message).into());
    }
    let Some(file) = &args.file else {
        return Err(Error::Usage("name the data to measure on, behind the model".into()).into());
    };
    if let Some(classifier) = classifier {
        return classify(&args, file, &classifier);
    }
    if !args.split.is_empty() {
        return Err(Error::Usage("--split is for data in parts; of a text, --from measures the end".into()).into());
    }
    let model = Model::from_file(&loaded)?;
    let data = |reason: String| Error::Data { path: file.clone(), reason };
    let text = language_model::read_text(file)?;
    let (tokens, skipped) = model
        .vocab
        .encode(&text, args.skip_unseen)
        .map_err(|unseen| data(format!("{unseen}; --skip-unseen leaves such symbols out")))?;
    let tokens = &tokens[(args.from * tokens.len() as f64) as usize..];
    if tokens.len() < 2 {
        return Err(data(format!("{} symbols to measure on; it takes at least 2", tokens.len())).into());
    }
    let pool = pool(args.threads)?;
    let (network, params) = (&model.network, &model.params);
    let (windowed, streaming, dynamic) = pool.install(|| {
        let streaming = |dynamic| score::streaming(network, params, tokens, dynamic);
        let dynamic = args.dynamic.then(|| streaming(Some(dynamic)).mean_nats());
        (score::windowed(network, params, tokens), streaming(None).mean_nats(), dynamic)
    });
    print(&args, windowed, streaming, dynamic, skipped);
    Ok(0)
}

pub(super) fn pool(threads: usize) -> Result<rayon::ThreadPool, Failure> {
    let threads = language_model::threads(threads);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| Failure::Other(format!("cannot start {threads} threads: {e}")))
}

/// The measures of a classifier or a regression.
fn classify(args: &Eval, file: &Path, classifier: &Classifier) -> Outcome {
    /// Classes whose confusion fits a terminal.
    const CLASSES: usize = 12;
    let settings = Settings {
        text_column: args.columns.text_column.clone(),
        label_column: args.columns.label_column.clone(),
        sequence_column: args.columns.sequence_column.clone(),
        header: args.columns.header.clone(),
        ..Settings::default()
    };
    let found = pool(args.threads)?.install(|| classifier.evaluate(file, &settings, &args.split, args.mistakes))?;
    if let Some(path) = &args.curves {
        let Some(curve) = &found.curve else {
            let reason = "every example is of one class, so that there are no curves; leave out --curves".into();
            return Err(Error::Data { path: file.into(), reason }.into());
        };
        std::fs::write(path, curves(curve, &found.labels[1])).map_err(|error| Failure::write(path, error))?;
    }
    if args.json {
        let mut object = found.judgement.as_json();
        object["examples"] = found.examples.into();
        if let Some(confusion) = &found.judgement.confusion {
            object["confusion"] = confusion.to_json(&found.labels);
        }
        let mistakes = found
            .mistakes
            .iter()
            .map(|m| json!({"example": m.example, "truth": m.truth, "answer": m.answer, "degree": m.degree}));
        object["mistakes"] = mistakes.collect();
        println!("{object}");
        return Ok(0);
    }
    for (name, value) in &found.judgement.values {
        let is_share = name.contains("accuracy");
        match is_share {
            true => println!("{name:<20} {:.2} %", 100.0 * value),
            false => println!("{name:<20} {value:.4}"),
        }
    }
    println!("{:<20} {}", "examples", found.examples);
    if let Some(confusion) = found.judgement.confusion.as_ref().filter(|_| found.labels.len() <= CLASSES) {
        println!("\n{}", confusion.table(&found.labels).trim_end());
    }
    if !found.mistakes.is_empty() {
        println!("\nthe worst mistakes:");
    }
    for m in &found.mistakes {
        println!("  {} is {}, answered {} ({:.1} %)", m.example, m.truth, m.answer, 100.0 * m.degree);
    }
    Ok(0)
}

/// The points of the curves as comma-separated values: a line for each threshold at which something changes.
fn curves(points: &[CurvePoint], positive: &str) -> String {
    let head = "positive_class,threshold,true_positives,false_positives,false_positive_rate,recall,precision\n";
    let positive = super::csv_cell(positive);
    let line = |p: &CurvePoint| {
        format!(
            "{positive},{},{},{},{},{},{}\n",
            p.threshold, p.true_positives, p.false_positives, p.false_positive_rate, p.true_positive_rate, p.precision
        )
    };
    head.to_string() + &points.iter().map(line).collect::<String>()
}

fn print(args: &Eval, windowed: Score, streaming: f64, dynamic: Option<f64>, skipped: usize) {
    if args.json {
        let line = json!({
            "windowed_nats": windowed.mean_nats(),
            "streaming_nats": streaming,
            "dynamic_nats": dynamic,
            "symbols": windowed.symbols,
        });
        println!("{line}");
        return;
    }
    let line = |name: &str, nats: f64, what: &str| {
        println!("{name:<10} {nats:.4} nats  {:.4} bits per symbol   {what}", nats / LN_2);
    };
    line("windowed", windowed.mean_nats(), "windows of 256 symbols from the zero state");
    line("streaming", streaming, "the state carried through the text");
    if let Some(dynamic) = dynamic {
        line("dynamic", dynamic, "the weights adapt to what has been read");
    }
    println!("symbols    {}", windowed.symbols);
    if skipped > 0 {
        println!("left out   {skipped} symbols the model does not know");
    }
}
