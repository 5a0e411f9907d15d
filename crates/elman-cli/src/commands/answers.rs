//! Predictions on standard output: as lines, as comma-separated values, as JSON.

use std::io::{self, IsTerminal, Write};

use elman::metric::HOLDS;
use elman::task::{Found, Output, Prediction, Written, most_likely};
use serde_json::{Map, Value, json};

use crate::args::Predict;
use crate::exit_code::{Failure, stdout};
use crate::progress::shown;

/// What stands where there is no answer.
const NONE: &str = "n/a";
/// Words that are shown of an explanation.
const WORDS: usize = 8;

/// Standard output in the form that was asked for.
pub(super) struct Answers<'a> {
    args: &'a Predict,
    labels: &'a [String],
    out: io::StdoutLock<'static>,
    has_header: bool,
    /// A person reads: what labels and texts hold moves no cursor.
    is_terminal: bool,
}

impl<'a> Answers<'a> {
    /// Of a model with these labels.
    pub(super) fn new(args: &'a Predict, labels: &'a [String]) -> Self {
        Answers { args, labels, out: io::stdout().lock(), has_header: false, is_terminal: io::stdout().is_terminal() }
    }

    /// Prints a prediction.
    ///
    /// # Errors
    /// If standard output takes no more.
    pub(super) fn show(&mut self, prediction: &Prediction) -> Result<(), Failure> {
        let input = &prediction.input;
        match &prediction.output {
            Output::Class { probabilities, words } => {
                self.class(input, probabilities)?;
                if self.args.explain { self.explain(words, most_likely(probabilities)) } else { Ok(()) }
            }
            Output::Labels { probabilities, words } => {
                self.several(input, probabilities)?;
                if self.args.explain { self.explain(words, most_likely(probabilities)) } else { Ok(()) }
            }
            Output::Value(value) => self.put(
                &format!("{value:.6}\t{input}"),
                &[("input", input.clone()), ("value", value.to_string())],
                || json!({"input": input, "value": value}),
            ),
            Output::Steps { probabilities, fps } => self.steps(input, probabilities, *fps),
            Output::Texts { written, .. } => self.texts(input, written),
        }
    }

    /// Prints that there is no answer for a text, and why: each has its line.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub(super) fn none(&mut self, input: &str, why: &str) -> Result<(), Failure> {
        if self.args.json {
            return self.line(&json!({"input": input, "error": why}).to_string());
        }
        if self.labels.is_empty() {
            let none = [
                ("input", input.into()),
                ("text", String::new()),
                ("score", String::new()),
                ("log_prob", String::new()),
            ];
            // A text for each line, so that they stay beside their sources.
            return self.put("", &none, || Value::Null);
        }
        let none = [("input", input.into()), ("label", NONE.into()), ("probability", String::new())];
        self.put(&format!("{NONE}\t\t{input}"), &none, || Value::Null)
    }

    /// Prints that there is no answer for a step of a stream, and why.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub(super) fn no_step(&mut self, line: usize, why: &str) -> Result<(), Failure> {
        let cells = [("step", String::new()), ("label", NONE.into()), ("probability", String::new())];
        self.put(&format!("\t{NONE}\tline {line}"), &cells, || json!({"line": line, "error": why}))
    }

    /// Prints the prediction for a step of a stream.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub(super) fn step(&mut self, found: &Found) -> Result<(), Failure> {
        let (step, label, p) = (found.step, &self.labels[found.class], found.probability);
        self.put(
            &format!("{step}\t{label}\t{p:.4}"),
            &[("step", step.to_string()), ("label", label.clone()), ("probability", format!("{p:.6}"))],
            || json!({"step": step, "label": label, "probability": p}),
        )
    }

    fn class(&mut self, input: &str, probabilities: &[f64]) -> Result<(), Failure> {
        let class = most_likely(probabilities);
        let (label, p) = (&self.labels[class], probabilities[class]);
        self.put(
            &format!("{label}\t{p:.4}\t{input}"),
            &[("input", input.into()), ("label", label.clone()), ("probability", format!("{p:.6}"))],
            || {
                let all: Map<_, _> =
                    self.labels.iter().zip(probabilities).map(|(l, p)| (l.clone(), json!(p))).collect();
                json!({"input": input, "label": label, "probability": p, "probabilities": all})
            },
        )
    }

    /// The labels that hold, the likeliest first.
    fn several(&mut self, input: &str, probabilities: &[f64]) -> Result<(), Failure> {
        let mut holding: Vec<usize> = (0..probabilities.len()).filter(|&i| probabilities[i] >= HOLDS).collect();
        holding.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let joined = |separator: &str, of: &dyn Fn(usize) -> String| {
            holding.iter().map(|&i| of(i)).collect::<Vec<_>>().join(separator)
        };
        let names = |separator: &str| joined(separator, &|i| self.labels[i].clone());
        let named = if holding.is_empty() { "no label".into() } else { names(", ") };
        let line = format!("{named}\t{}\t{input}", joined(", ", &|i| format!("{:.4}", probabilities[i])));
        let cells = [
            ("input", input.into()),
            ("label", names(";")),
            ("probability", joined(";", &|i| format!("{:.6}", probabilities[i]))),
        ];
        let holding: Vec<&String> = holding.iter().map(|&i| &self.labels[i]).collect();
        let all: Map<_, _> = self.labels.iter().zip(probabilities).map(|(l, p)| (l.clone(), json!(p))).collect();
        let json = json!({"input": input, "labels": holding, "probabilities": all});
        self.put(&line, &cells, || json)
    }

    /// The words by how much they speak for the class, or against it.
    fn explain(&mut self, words: &[(String, f64)], class: usize) -> Result<(), Failure> {
        let label = &self.labels[class];
        if self.args.json {
            let words: Vec<Value> = words.iter().map(|(word, nats)| json!({"word": word, "nats": nats})).collect();
            return self.line(&json!({"explains": label, "words": words}).to_string());
        }
        let mut order: Vec<&(String, f64)> = words.iter().collect();
        order.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        for (word, nats) in order.into_iter().take(WORDS) {
            let bar = "#".repeat(((nats.abs() * 10.0).round() as usize).clamp(1, 40));
            let towards = if *nats >= 0.0 { "for" } else { "against" };
            self.line(&format!("    {word:<16} {nats:>+7.3} nats {towards} {label} {bar}"))?;
        }
        Ok(())
    }

    /// The runs of equal labels of a sequence, with their times; or every frame.
    fn steps(&mut self, input: &str, probabilities: &[Vec<f64>], fps: Option<f64>) -> Result<(), Failure> {
        let classes: Vec<usize> = probabilities.iter().map(|p| most_likely(p)).collect();
        let mut first = 0;
        while first < classes.len() {
            let class = classes[first];
            let equal = classes[first..].iter().take_while(|&&c| c == class).count();
            let last = first + if self.args.frames { 1 } else { equal };
            let label = &self.labels[class];
            let p = probabilities[first..last].iter().map(|p| p[class]).sum::<f64>() / (last - first) as f64;
            let [start_s, end_s] = [first, last].map(|step| fps.map(|fps| step as f64 / fps));
            let seconds = |s: Option<f64>| s.map_or_else(String::new, |s| format!("{s:.3}"));
            let time = start_s.zip(end_s).map_or_else(String::new, |(a, b)| format!("  {a:.2}-{b:.2} s"));
            self.put(
                &format!("{input}\t{first}-{}{time}\t{label}\t{p:.4}", last - 1),
                &[
                    ("input", input.into()),
                    ("first_frame", first.to_string()),
                    ("last_frame", (last - 1).to_string()),
                    ("label", label.clone()),
                    ("probability", format!("{p:.6}")),
                    ("start_s", seconds(start_s)),
                    ("end_s", seconds(end_s)),
                ],
                || {
                    json!({
                        "input": input, "first_frame": first, "last_frame": last - 1, "label": label,
                        "probability": p, "start_s": start_s, "end_s": end_s,
                    })
                },
            )?;
            first = last;
        }
        Ok(())
    }

    fn texts(&mut self, input: &str, written: &[Written]) -> Result<(), Failure> {
        if self.args.json {
            let all = written.iter().map(|w| json!({"text": w.text, "log_prob": w.log_prob, "score": w.score}));
            let best = written.first().map(|w| w.text.as_str());
            return self.line(&json!({"input": input, "text": best, "nbest": all.collect::<Vec<_>>()}).to_string());
        }
        for Written { text, score, log_prob, .. } in written {
            let line = match self.args.scores {
                true => format!("{score:.4}\t{log_prob:.4}\t{text}"),
                false => text.clone(),
            };
            let numbers = [("score", format!("{score:.6}")), ("log_prob", format!("{log_prob:.6}"))];
            let cells = [vec![("input", input.into()), ("text", text.clone())], numbers.into()].concat();
            self.put(&line, &cells, || Value::Null)?;
        }
        Ok(())
    }

    /// Prints one of three forms.
    fn put(&mut self, line: &str, cells: &[(&str, String)], json: impl FnOnce() -> Value) -> Result<(), Failure> {
        if self.args.json {
            return self.line(&json().to_string());
        }
        if !self.args.csv {
            return self.line(line);
        }
        if !std::mem::replace(&mut self.has_header, true) {
            let names: Vec<&str> = cells.iter().map(|(name, _)| *name).collect();
            self.line(&names.join(","))?;
        }
        let cells: Vec<String> = cells.iter().map(|(_, cell)| csv_cell(cell)).collect();
        self.line(&cells.join(","))
    }

    /// A line that is there before the next input is read.
    fn line(&mut self, line: &str) -> Result<(), Failure> {
        if self.is_terminal {
            let cells: Vec<String> = line.split('\t').map(|cell| shown(cell, usize::MAX)).collect();
            return self.write(&cells.join("\t"));
        }
        self.write(line)
    }

    fn write(&mut self, line: &str) -> Result<(), Failure> {
        stdout(self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n")))?;
        stdout(self.out.flush())
    }
}

/// A cell of comma-separated values, quoted where it has to be.
pub(super) fn csv_cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}
