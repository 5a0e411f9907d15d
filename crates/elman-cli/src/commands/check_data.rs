//! `elman check-data`: what is in the data of a task, and what training would do with them.

use elman::task::{DataStatistics, Plan, RunSummary, TextStatistics, grouped};
use elman::train::teachable;
use serde_json::{Value, json};

use crate::args::CheckData;
use crate::exit_code::{Outcome, said};
use crate::progress::{Encoding, data_name};

/// Share of the validation data that occurs in training, or of a text, that is worth a warning.
const OVERLAP: f64 = 0.2;
/// A class this many times rarer than another is worth a warning.
const UNBALANCED: usize = 20;
/// Tokens that occur fewer times are rare, and this share of rare ones is worth a warning.
const RARE: (usize, f64) = (5, 0.25);
/// A network of more than this many times the weights that its text can teach is worth a warning.
const LARGE: f64 = 3.0;
/// Classes shown.
const CLASSES: usize = 12;
/// Tokens shown of the most and of the least frequent.
const TOKENS: usize = 8;

pub(crate) fn run(args: &CheckData) -> Outcome {
    let settings = args.training.settings.settings(&args.training.files, args.training.preset.as_deref())?;
    let mut encoding = Encoding::new(args.json);
    let plan = elman::task::plan_with(settings, &mut |done, all| encoding.see(done, all))?;
    let (text, examples) = (plan.text_statistics()?, plan.statistics());
    let warnings: Vec<String> = match (&text, &examples) {
        (Some(text), _) => text_warnings(text, plan.summary()),
        (None, Some(examples)) => warnings(examples),
        (None, None) => Vec::new(),
    };
    if args.json {
        println!("{}", as_json(&*plan, text.as_ref(), examples.as_ref(), &warnings));
        return Ok(0);
    }
    let summary = plan.summary();
    println!("{:<16} {}: {}", "data", data_name(plan.settings()), summary.data);
    summary.notes.iter().for_each(|note| println!("{:<16} {}", "", said(note)));
    summary.reads.iter().for_each(|(name, text)| println!("{name:<16} {text}"));
    text.iter().for_each(print_text);
    examples.iter().for_each(print_examples);
    let updates = text.map_or_else(String::new, |text| format!(", {} updates an epoch", grouped(text.updates)));
    println!(
        "{:<16} a {} of {} parameters ({:.2} {}s each){updates}, about {} MB",
        "would train",
        summary.network,
        grouped(summary.parameters),
        summary.targets as f64 / summary.parameters as f64,
        summary.unit.trim_end_matches('s'),
        summary.memory.div_ceil(1 << 20)
    );
    if warnings.is_empty() {
        println!("no problems found");
    }
    warnings.iter().for_each(|warning| println!("! {warning}"));
    Ok(0)
}

fn as_json(
    plan: &dyn Plan,
    text: Option<&TextStatistics>,
    examples: Option<&DataStatistics>,
    warnings: &[String],
) -> Value {
    let summary = plan.summary();
    let mut json = summary.json.clone();
    json["task"] = json!(plan.settings().task);
    json["parameters"] = json!(summary.parameters);
    json["memory_bytes"] = json!(summary.memory);
    json["warnings"] = json!(warnings);
    if let Some(text) = text {
        let [train, val] = text.tokens;
        let facts = json!({
            "bytes": text.bytes, "symbols": train + val, "vocabulary": text.frequencies.len(), "lines": text.lines,
            "longest_line": text.longest_line, "empty_lines": text.empty_lines,
            "duplicate_lines": text.duplicate_lines, "bom": text.has_bom, "crlf_lines": text.crlf_lines,
            "control_characters": text.control, "entropy_nats": text.entropy_nats, "train_symbols": train,
            "held_out_symbols": val, "overlap": text.overlap, "updates_per_epoch": text.updates,
        });
        if let (Some(json), Value::Object(facts)) = (json.as_object_mut(), facts) {
            json.extend(facts);
        }
    } else {
        json["survey"] = json!(examples);
    }
    json
}

fn print_text(text: &TextStatistics) {
    let n = grouped;
    println!("{:<16} {} bytes", "size", n(text.bytes));
    println!(
        "{:<16} {}, the longest {} bytes; {} empty, {} repeated",
        "lines",
        n(text.lines),
        n(text.longest_line),
        n(text.empty_lines),
        n(text.duplicate_lines)
    );
    println!("{:<16} {}, unigram entropy {:.3} nats", "vocabulary", text.frequencies.len(), text.entropy_nats);
    let shown = |part: &mut dyn Iterator<Item = &(String, usize)>| -> String {
        part.take(TOKENS).map(|(token, count)| format!("{token:?} {}", n(*count))).collect::<Vec<_>>().join("  ")
    };
    println!("{:<16} {}", "most frequent", shown(&mut text.frequencies.iter()));
    println!("{:<16} {}", "least frequent", shown(&mut text.frequencies.iter().rev()));
    let [train, val] = text.tokens;
    println!(
        "{:<16} {} training {unit}s, {} validation {unit}s; {:.1} % of the validation text also occurs in the training \
         text",
        "split",
        n(train),
        n(val),
        100.0 * text.overlap,
        unit = text.unit
    );
}

/// What a person should know before training on this text.
fn text_warnings(text: &TextStatistics, summary: &RunSummary) -> Vec<String> {
    let rare = text.frequencies.iter().filter(|(_, n)| *n < RARE.0).count();
    let unit = text.unit;
    let warnings = [
        (text.has_bom, format!("the file begins with a byte-order mark, which becomes a {unit}: save it without")),
        (
            text.crlf_lines > 0,
            format!("{} lines end in CR LF, so that CR becomes a {unit}: convert to LF", grouped(text.crlf_lines)),
        ),
        (text.control > 0, format!("{} control characters: is it a text?", grouped(text.control))),
        (
            text.overlap > OVERLAP,
            format!(
                "{:.0} % of the validation text also occurs in the training text, so its loss will look better than it is",
                100.0 * text.overlap
            ),
        ),
        (
            rare as f64 > RARE.1 * text.frequencies.len() as f64,
            format!("{rare} of {} different {unit}s occur fewer than {} times", text.frequencies.len(), RARE.0),
        ),
        (
            summary.parameters as f64 > LARGE * teachable(text.tokens[0]),
            format!(
                "{} parameters are many for {} {unit}s: choose a smaller --hidden",
                grouped(summary.parameters),
                grouped(text.tokens[0])
            ),
        ),
    ];
    warnings.into_iter().filter(|(is, _)| *is).map(|(_, text)| text).collect()
}

fn print_examples(statistics: &DataStatistics) {
    let n = grouped;
    let mut classes: Vec<_> = statistics.classes.iter().collect();
    classes.sort_by_key(|(_, counts)| std::cmp::Reverse(counts[0]));
    let [total, validation] = [0, 1].map(|part| classes.iter().map(|(_, counts)| counts[part]).sum::<usize>());
    let percent = |count: usize, of: usize| 100.0 * count as f64 / of.max(1) as f64;
    for (i, (name, [train, val])) in classes.iter().take(CLASSES).enumerate() {
        let head = if i == 0 { "labels" } else { "" };
        println!("{head:<16} {name}: {} ({:.1} %), {} in validation", n(*train), percent(*train, total), n(*val));
    }
    if classes.len() > CLASSES {
        println!("{:<16} and {} more", "", classes.len() - CLASSES);
    }
    if let Some((name, [_, val])) = classes.first() {
        println!("{:<16} always \"{name}\": {:.1} % of the validation data", "to beat", percent(*val, validation));
    }
    let [shortest, median, most, longest] = statistics.steps.map(n);
    if statistics.steps[3] > 1 {
        println!("{:<16} {shortest} to {longest}, median {median}, 90th percentile {most}", "steps");
    }
    println!(
        "{:<16} {} training examples ({} with another label); {} of {} validation examples also occur in the training set",
        "repeated",
        n(statistics.repeated),
        n(statistics.contradictory),
        n(statistics.overlap),
        n(statistics.held_out)
    );
}

/// What a person should know before training on these examples.
fn warnings(statistics: &DataStatistics) -> Vec<String> {
    let mut warnings = Vec::new();
    let of_training = |(name, counts): &(String, [usize; 2])| (counts[0], name.clone());
    let (least, most) =
        (statistics.classes.iter().map(of_training).min(), statistics.classes.iter().map(of_training).max());
    if let (Some((few, rare)), Some((many, common))) = (least, most)
        && few * UNBALANCED < many
    {
        let (few, many) = (grouped(few), grouped(many));
        warnings.push(format!("\"{rare}\" has {few} targets, \"{common}\" {many}: consider --class-weights balanced"));
    }
    for (name, [train, val]) in &statistics.classes {
        if *train > 0 && *val == 0 {
            warnings.push(format!("no validation example of \"{name}\", so how well it is learned will not be seen"));
        }
    }
    if statistics.overlap as f64 > OVERLAP * statistics.held_out as f64 {
        let share = 100.0 * statistics.overlap as f64 / statistics.held_out.max(1) as f64;
        warnings.push(format!(
            "{share:.0} % of the validation examples also occur in the training set: the result will look better than it is"
        ));
    }
    if statistics.contradictory > 0 {
        let n = grouped(statistics.contradictory);
        warnings.push(format!("training examples that occur before with another label: {n}; look at their labels"));
    }
    warnings
}
