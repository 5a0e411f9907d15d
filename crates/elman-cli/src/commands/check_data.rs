//! `elman check-data`: what is in a text or in the data of another task, and what training would do with it.

use std::collections::{HashMap, HashSet};

use elman::Error;
use elman::task::language_model::{self, Corpus, Plan};
use elman::task::{Settings, Survey};
use serde_json::{Value, json};

use super::Outcome;
use crate::args::CheckData;
use crate::progress::{Encoding, grouped};

/// Symbols of the pieces whose repetition is counted.
const PIECE: usize = 50;
/// Overlap of held-out and training text that is worth a warning.
const OVERLAP: f64 = 0.2;
/// A class this many times rarer than another is worth a warning.
const UNBALANCED: usize = 20;
/// Classes shown.
const SHOWN: usize = 12;

pub(crate) fn run(args: CheckData) -> Outcome {
    let task = args.settings.0.iter().find(|(key, _)| *key == "task").map_or(language_model::NAME, |(_, task)| task);
    let mut settings = Settings::for_task(task)?;
    for (key, text) in &args.settings.0 {
        settings.set(key, text)?;
    }
    if let Some(file) = &args.file {
        settings.file = file.display().to_string();
    }
    if task != language_model::NAME {
        return of_task(settings, args.json);
    }
    let Some(file) = &args.file else {
        return Err(Error::Usage("give the FILE to look at, or a --task that makes its own data".into()).into());
    };
    let text = language_model::read_text(file)?;
    let plan = Plan::new(settings)?;
    let facts = Facts::of(&text, &plan.corpus);
    if args.json {
        println!("{}", facts.as_json(&plan))
    } else {
        facts.print(&plan)
    }
    Ok(0)
}

/// What is in the examples of a task that is told the right answers.
fn of_task(settings: Settings, as_json: bool) -> Outcome {
    let mut encoding = Encoding::new(as_json);
    let plan = elman::task::plan_watched(settings, &mut |done, all| {
        encoding.see(done, all);
        true
    })?;
    let (facts, survey) = (plan.facts(), plan.survey());
    let warnings = survey.as_ref().map_or_else(Vec::new, warnings);
    if as_json {
        let mut json = facts.json;
        json["task"] = json!(plan.settings().task);
        json["parameters"] = json!(facts.parameters);
        json["memory_bytes"] = json!(facts.memory);
        json["survey"] = json!(survey);
        json["warnings"] = json!(warnings);
        println!("{json}");
        return Ok(0);
    }
    let n = |count: usize| grouped(count as u64);
    println!("data             {}", facts.data);
    facts.notes.iter().for_each(|note| println!("taken            {note}"));
    if let Some(survey) = &survey {
        let total: usize = survey.classes.iter().map(|(_, counts)| counts[0]).sum();
        let mut classes: Vec<_> = survey.classes.iter().collect();
        classes.sort_by_key(|(_, counts)| std::cmp::Reverse(counts[0]));
        for (i, (name, [train, val])) in classes.iter().take(SHOWN).enumerate() {
            let share = 100.0 * *train as f64 / total.max(1) as f64;
            let head = if i == 0 { "labels" } else { "" };
            println!("{head:<16} {name}: {} ({share:.1} %), {} held out", n(*train), n(*val));
        }
        if classes.len() > SHOWN {
            println!("{:<16} and {} more", "", classes.len() - SHOWN);
        }
        if let Some((name, [_, val])) = classes.first() {
            let held_out: usize = classes.iter().map(|(_, counts)| counts[1]).sum();
            let share = 100.0 * *val as f64 / held_out.max(1) as f64;
            println!("to beat          always `{name}`: {share:.1} % of what is held out");
        }
        let [shortest, median, most, longest] = survey.steps.map(n);
        if survey.steps[3] > 1 {
            println!(
                "steps            from {shortest} to {longest}, half have at most {median}, nine of ten at most {most}"
            );
        }
        println!(
            "repeated         {} to learn from occurred before ({} with another answer); {} of {} held out occur in training",
            n(survey.repeated),
            n(survey.contradictory),
            n(survey.overlap),
            n(survey.held_out)
        );
    }
    println!(
        "training would   fit a {} of {} parameters, about {} MB",
        facts.network,
        n(facts.parameters),
        facts.memory.div_ceil(1 << 20)
    );
    if survey.is_some() && warnings.is_empty() {
        println!("nothing is in the way");
    }
    warnings.iter().for_each(|warning| println!("! {warning}"));
    Ok(0)
}

/// What a person should know before training on these examples.
fn warnings(survey: &Survey) -> Vec<String> {
    let mut warnings = Vec::new();
    let of_training = |(name, counts): &(String, [usize; 2])| (counts[0], name.clone());
    let (least, most) = (survey.classes.iter().map(of_training).min(), survey.classes.iter().map(of_training).max());
    if let (Some((few, rare)), Some((many, common))) = (least, most)
        && few * UNBALANCED < many
    {
        let (few, many) = (grouped(few as u64), grouped(many as u64));
        warnings.push(format!("`{rare}` has {few} targets, `{common}` {many}: consider --class-weights balanced"));
    }
    for (name, [train, val]) in &survey.classes {
        if *train > 0 && *val == 0 {
            warnings.push(format!("nothing of `{name}` is held out, so how well it is learnt will not be seen"));
        }
    }
    if survey.overlap as f64 > OVERLAP * survey.held_out as f64 {
        let share = 100.0 * survey.overlap as f64 / survey.held_out.max(1) as f64;
        warnings.push(format!(
            "{share:.0} % of what is held out is learnt from, too: its result will look better than it is"
        ));
    }
    if survey.contradictory > 0 {
        let n = grouped(survey.contradictory as u64);
        warnings.push(format!("examples that occur before with another answer: {n}; look at their labels"));
    }
    warnings
}

struct Facts {
    bytes: usize,
    lines: usize,
    longest_line: usize,
    empty_lines: usize,
    duplicate_lines: usize,
    has_bom: bool,
    crlf_lines: usize,
    control: usize,
    /// Symbols by how often they occur, the most frequent first.
    frequencies: Vec<(String, usize)>,
    entropy_nats: f64,
    overlap: f64,
}

impl Facts {
    fn of(text: &[u8], corpus: &Corpus) -> Facts {
        let lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
        let lines = if lines.last().is_some_and(|line| line.is_empty()) { &lines[..lines.len() - 1] } else { &lines };
        let full: Vec<&&[u8]> = lines.iter().filter(|line| !line.trim_ascii().is_empty()).collect();
        let distinct: HashSet<&&[u8]> = full.iter().copied().collect();
        let mut counts = vec![0usize; corpus.vocab.len()];
        corpus.train.iter().chain(&corpus.val).for_each(|&token| counts[token as usize] += 1);
        let total: usize = counts.iter().sum();
        let share = |n: usize| n as f64 / total.max(1) as f64;
        let entropy_nats = counts.iter().filter(|n| **n > 0).map(|&n| -share(n) * share(n).ln()).sum();
        let mut frequencies: Vec<(String, usize)> =
            counts.iter().enumerate().map(|(i, &n)| (corpus.vocab.decode(&[i as u32]), n)).collect();
        frequencies.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        Facts {
            bytes: text.len(),
            lines: lines.len(),
            longest_line: lines.iter().map(|line| line.len()).max().unwrap_or(0),
            empty_lines: lines.len() - full.len(),
            duplicate_lines: full.len() - distinct.len(),
            has_bom: text.starts_with(b"\xef\xbb\xbf"),
            crlf_lines: lines.iter().filter(|line| line.ends_with(b"\r")).count(),
            control: text.iter().filter(|b| b.is_ascii_control() && !b"\n\r\t".contains(b)).count(),
            frequencies,
            entropy_nats,
            overlap: overlap(&corpus.train, &corpus.val),
        }
    }

    fn warnings(&self, plan: &Plan) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |is: bool, text: String| {
            if is {
                warnings.push(text);
            }
        };
        let percent = |share: f64| (100.0 * share).round();
        warn(self.has_bom, "the file begins with a byte-order mark, which becomes a symbol: save it without".into());
        warn(
            self.crlf_lines > 0,
            format!(
                "{} lines end in CR LF, so that CR becomes a symbol: convert to LF",
                grouped(self.crlf_lines as u64)
            ),
        );
        warn(self.control > 0, format!("{} control characters: is it a text?", grouped(self.control as u64)));
        warn(
            self.overlap > OVERLAP,
            format!(
                "{} % of the held-out text also stands in the training text, so its loss will look better than it is",
                percent(self.overlap)
            ),
        );
        let rare = self.frequencies.iter().filter(|(_, n)| *n < 5).count();
        warn(
            rare * 4 > self.frequencies.len(),
            format!("{rare} of {} symbols occur fewer than 5 times", self.frequencies.len()),
        );
        let ratio = plan.corpus.train.len() as f64 / plan.network.layout().len() as f64;
        warn(ratio < 0.5, format!("{ratio:.2} symbols for each parameter: choose a smaller --hidden"));
        warnings
    }

    fn as_json(&self, plan: &Plan) -> Value {
        json!({
            "bytes": self.bytes, "symbols": plan.corpus.train.len() + plan.corpus.val.len(),
            "vocabulary": plan.corpus.vocab.len(), "lines": self.lines, "longest_line": self.longest_line,
            "empty_lines": self.empty_lines, "duplicate_lines": self.duplicate_lines, "bom": self.has_bom,
            "crlf_lines": self.crlf_lines, "control_characters": self.control,
            "entropy_nats": self.entropy_nats, "train_symbols": plan.corpus.train.len(),
            "held_out_symbols": plan.corpus.val.len(), "overlap": self.overlap,
            "parameters": plan.network.layout().len(), "updates_per_epoch": updates(plan),
            "memory_bytes": plan.memory_estimate(), "warnings": self.warnings(plan),
        })
    }

    fn print(&self, plan: &Plan) {
        let n = |count: usize| grouped(count as u64);
        let (train, val) = (plan.corpus.train.len(), plan.corpus.val.len());
        println!("{}: {} bytes, {} {}s", plan.settings.file, n(self.bytes), n(train + val), plan.corpus.vocab.unit());
        println!(
            "lines            {}, the longest {} bytes; {} empty, {} repeated",
            n(self.lines),
            n(self.longest_line),
            n(self.empty_lines),
            n(self.duplicate_lines)
        );
        println!("vocabulary       {}, unigram entropy {:.3} nats", plan.corpus.vocab.len(), self.entropy_nats);
        let shown = |part: &mut dyn Iterator<Item = &(String, usize)>| -> String {
            part.map(|(symbol, count)| format!("{symbol:?} {}", n(*count))).collect::<Vec<_>>().join("  ")
        };
        println!("most frequent    {}", shown(&mut self.frequencies.iter().take(8)));
        println!("least frequent   {}", shown(&mut self.frequencies.iter().rev().take(8)));
        println!(
            "split            {} to learn from, {} held out; {:.1} % of the held-out text also stands in the training text",
            n(train),
            n(val),
            100.0 * self.overlap
        );
        let s = &plan.settings;
        let parameters = plan.network.layout().len();
        println!(
            "training would   fit a {} {}x{} of {} parameters ({:.2} symbols each), {} updates an epoch, about {} MB",
            s.cell.name(),
            s.layers,
            s.hidden,
            n(parameters),
            train as f64 / parameters as f64,
            n(updates(plan)),
            plan.memory_estimate().div_ceil(1 << 20)
        );
        let warnings = self.warnings(plan);
        if warnings.is_empty() {
            println!("nothing is in the way");
        }
        warnings.iter().for_each(|warning| println!("! {warning}"));
    }
}

fn updates(plan: &Plan) -> usize {
    let s = &plan.settings;
    (plan.corpus.train.len() / (s.batch * s.seq_len * s.accumulate)).max(1)
}

/// The share of the held-out text's pieces that also occur in the training text.
fn overlap(train: &[u32], val: &[u32]) -> f64 {
    if val.len() < PIECE || train.len() < PIECE {
        return 0.0;
    }
    let wanted: Vec<&[u32]> = val.chunks_exact(PIECE).collect();
    let mut found: HashMap<&[u32], bool> = wanted.iter().map(|piece| (*piece, false)).collect();
    for piece in train.windows(PIECE) {
        if let Some(found) = found.get_mut(piece) {
            *found = true;
        }
    }
    wanted.iter().filter(|piece| found[**piece]).count() as f64 / wanted.len() as f64
}
