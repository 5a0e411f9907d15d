//! `elman quantize`: a model in fewer bits, and what that costs.

use std::f64::consts::LN_2;
use std::path::Path;

use elman::data::{Vocab, builtin};
use elman::format::model::{self, Loaded};
use elman::format::quantize::quantize;
use elman::settings::Settings;
use elman::step::model::Document;
use elman::step::{Network, Precision};
use elman::task::language_model::{self, score};
use elman::task::{self, Evaluate, Measure, Unit, grouped};
use elman::train::pool;
use elman::{Error, file};
use serde_json::json;

use super::graphs::{Opened, open_any};
use super::{eval, eval_data, quantize_graph};
use crate::args::{FewerBits, Quantize};
use crate::exit_code::{Failure, Outcome};

/// Part of the built-in text that is measured: the tenth that is its validation data.
const TENTH: usize = 10;

pub(crate) fn run(args: Quantize) -> Outcome {
    let precision = match args.precision {
        FewerBits::Int8 => Precision::Int8,
        FewerBits::Bf16 => Precision::Bf16,
    };
    let loaded = match open_any(&args.model, &args.foreign)? {
        Opened::Trained(loaded) => loaded,
        Opened::Graph(graph) => {
            keep_full_model(&args.model, &args.out)?;
            return quantize_graph::run(&args, &graph, precision);
        }
    };
    keep_full_model(&loaded.path, &args.out)?;
    let quantized = quantize(&loaded.document, precision).map_err(|error| loaded.error(error))?;
    let document = quantized.document();
    let bytes = document.to_bytes().map_err(|error| loaded.error(error))?;
    let rounded = Document::parse_owned(bytes).map_err(|error| loaded.error(error))?;
    let rounded = Loaded { path: args.out.clone(), document: rounded };
    // Whatever can be wrong with the data is said before anything is written.
    let task = task::of_model(&loaded)?;
    task.check_evaluate(&options(&args))?;
    let file = ("file", args.data.as_ref().map(|path| path.display().to_string()));
    let data = eval_data::data(task, std::iter::once(file).chain(eval_data::columns(&args.columns)))?;
    let cost = match task.name == language_model::TASK.name {
        true => of_text(&args, &loaded, &rounded, precision)?,
        false => of_examples(&args, &data, &loaded, &rounded)?,
    };
    model::save(&args.out, &document)?;
    // What a checkpoint holds of its training is no part of the model.
    let of_training = loaded.document.names().filter(|name| name.starts_with("training."));
    let of_training: usize = of_training.filter_map(|name| Some(loaded.document.tensor(name)?.bytes.len())).sum();
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    print(&args, cost.as_ref(), [size(&loaded.path) - of_training as u64, size(&args.out)]);
    Ok(0)
}

fn keep_full_model(model: &Path, out: &Path) -> Result<(), Error> {
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    match same(model).is_some_and(|model| same(out) == Some(model)) {
        true => Err(Error::Usage("--out: the full model would be lost; name another file".into())),
        false => Ok(()),
    }
}

/// What the bits that are left out cost.
struct Cost {
    before: Measure,
    after: Measure,
    /// On how many tokens, rows or other examples it was measured.
    examples: (usize, &'static str),
}

/// The loss of a language model as it runs step by step, on the text that was given, or on the built-in one if it knows
/// exactly its tokens.
fn of_text(args: &Quantize, loaded: &Loaded, rounded: &Loaded, precision: Precision) -> Result<Option<Cost>, Failure> {
    let vocab = language_model::vocab(loaded)?;
    let tokens = match &args.data {
        Some(path) => {
            let data = |reason: String| Error::Data { path: path.clone(), reason };
            let (tokens, _) = vocab
                .encode(&file::read(path)?, args.skip_unseen)
                .map_err(|unseen| data(format!("{unseen}; --skip-unseen leaves such tokens out")))?;
            if tokens.len() < 2 {
                return Err(data(format!("{} tokens to measure on; it takes at least 2", tokens.len())).into());
            }
            tokens
        }
        None => {
            let text = builtin::project_text().as_bytes();
            if !Vocab::of(text, false, Path::new("the built-in text")).is_ok_and(|known| known == vocab) {
                return Ok(None);
            }
            let tokens = vocab.encode(text, true).map_or_else(|_| Vec::new(), |(tokens, _)| tokens);
            tokens[tokens.len() - tokens.len() / TENTH..].to_vec()
        }
    };
    let measure = |loaded: &Loaded, precision: Precision| -> Result<(Measure, usize), Failure> {
        let mut network = Network::read(&loaded.document, precision).map_err(|error| loaded.error(error))?;
        let score = score::stepped(&mut network, &tokens).map_err(|error| Error::Usage(error.to_string()))?;
        let (value, note) = (score.mean_nats(), String::new());
        Ok((Measure { name: "nats", value, unit: Unit::Nats(vocab.unit()), note }, score.tokens))
    };
    let (before, examples) = measure(loaded, Precision::F32)?;
    let (after, _) = measure(rounded, precision)?;
    Ok(Some(Cost { before, after, examples: (examples, "symbols") }))
}

fn options(args: &Quantize) -> Evaluate {
    Evaluate { skip_unseen: args.skip_unseen.then_some(true), ..Evaluate::default() }
}

/// The first measure of any other model, on the data that were given.
fn of_examples(args: &Quantize, data: &Settings, loaded: &Loaded, rounded: &Loaded) -> Result<Option<Cost>, Failure> {
    if args.data.is_none() {
        return Ok(None);
    }
    let pool = pool(0)?;
    let measure = |loaded: &Loaded| -> Result<(Measure, (usize, &'static str)), Failure> {
        let model = task::open_loaded(loaded)?;
        let found = pool.install(|| model.evaluate(data, &options(args), &mut |_, _| true))?;
        let examples = found.examples;
        let first = found.measures.into_iter().next();
        Ok((first.ok_or_else(|| Failure::Other("nothing was measured".into()))?, examples))
    };
    let (before, examples) = measure(loaded)?;
    Ok(Some(Cost { before, after: measure(rounded)?.0, examples }))
}

fn print(args: &Quantize, cost: Option<&Cost>, [bytes_before, bytes_after]: [u64; 2]) {
    let name = match args.precision {
        FewerBits::Int8 => "int8",
        FewerBits::Bf16 => "bf16",
    };
    if args.json {
        let mut line = json!({"precision": name, "bytes_before": bytes_before, "bytes_after": bytes_after});
        let measure = cost.map_or("nats", |cost| cost.before.name);
        line[format!("{measure}_before")] = json!(cost.map(|cost| cost.before.value));
        line[format!("{measure}_after")] = json!(cost.map(|cost| cost.after.value));
        line[cost.map_or("symbols", |cost| cost.examples.1)] = json!(cost.map(|cost| cost.examples.0));
        println!("{line}");
        return;
    }
    let share = 100.0 * bytes_after as f64 / bytes_before.max(1) as f64;
    let [before, after] = [bytes_before, bytes_after].map(|bytes| grouped(bytes as usize));
    println!("{}: {name}, {after} bytes of {before} ({share:.0} %)", args.out.display());
    let Some(Cost { before, after, examples: (n, what) }) = cost else {
        println!("the cost was not measured: give data by --data");
        return;
    };
    let difference = after.value - before.value;
    match before.unit {
        Unit::Nats(per) => {
            println!("{:<6} {}", "f32", eval::in_words(before));
            println!("{name:<6} {}", eval::in_words(after));
            // What is rounded to 0 has no sign.
            let shown = |x: f64| (x * 1e4).round() / 1e4 + 0.0;
            println!("loss   {:+.4} nats, {:+.4} bits per {per}", shown(difference), shown(difference / LN_2));
        }
        _ => println!("{}: {} in f32, {} in {name}", before.name, eval::in_words(before), eval::in_words(after)),
    }
    println!("measured on {} {what}", grouped(*n));
}
