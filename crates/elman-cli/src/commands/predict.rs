//! `elman predict`: labels for texts, pictures, rows, series and clips; live for streams.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use elman::Error;
use elman::data::frames::{Clip, FrameReader, Options};
use elman::data::table::Table;
use elman::task::classify::{Answer, Goal};
use elman::task::classify_frames::Reader;
use elman::task::live::{Found, Live};
use elman::task::{Classifier, classify, classify_frames, classify_sequence, classify_text};
use serde_json::json;

use super::{Outcome, load};
use crate::args::Predict;
use crate::exit_code::{Failure, stdout};

pub(crate) fn run(args: &Predict) -> Outcome {
    let loaded = load(&args.model)?;
    if let Some(code) = super::writing::predict(args, &loaded)? {
        return Ok(code);
    }
    if args.encoder.is_some() || args.attention.is_some() {
        let flag = if args.encoder.is_some() { "encoder" } else { "attention" };
        let message =
            format!("--{flag} is for models that write, and the model's task is {}", loaded.document.config()["task"]);
        return Err(Error::Usage(message).into());
    }
    let Some(classifier) = Classifier::from_file(&loaded)? else {
        let reason = format!("its task is {}; write with it by elman sample", loaded.document.config()["task"]);
        return Err(Failure::Model(Error::Model { path: loaded.path.clone(), reason }));
    };
    if args.explain && !matches!(classifier, Classifier::Text(_)) {
        return Err(Error::Usage("--explain is for models that read texts".into()).into());
    }
    let mut out = Out::new(args);
    match &classifier {
        Classifier::Text(model) => texts(model, args, &mut out)?,
        Classifier::Fixed(model) => fixed(model, args, &mut out)?,
        Classifier::Sequence(model) => series(model, args, &mut out)?,
        Classifier::Frames(model) => frames(model, args, &mut out)?,
    }
    Ok(0)
}

/// Whether the input is standard input.
fn is_stdin(args: &Predict) -> bool {
    match &args.inputs[..] {
        [] => true,
        [one] => one == "-",
        _ => false,
    }
}

/// Standard output in the form that was asked for.
struct Out<'a> {
    args: &'a Predict,
    out: io::StdoutLock<'static>,
    has_header: bool,
}

impl<'a> Out<'a> {
    fn new(args: &'a Predict) -> Self {
        Out { args, out: io::stdout().lock(), has_header: false }
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        stdout(self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n")))?;
        stdout(self.out.flush())
    }

    /// A row of comma-separated values below its header.
    fn csv(&mut self, header: &str, cells: &[String]) -> Result<(), Failure> {
        if !std::mem::replace(&mut self.has_header, true) {
            self.line(header)?;
        }
        self.line(&cells.iter().map(|cell| super::csv_cell(cell)).collect::<Vec<_>>().join(","))
    }

    /// The probabilities of one input.
    fn classes(&mut self, input: &str, labels: &[String], p: &[f64]) -> Result<(), Failure> {
        let class = (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b]).then(b.cmp(&a))).unwrap_or(0);
        if self.args.json {
            let all: serde_json::Map<_, _> = labels.iter().zip(p).map(|(l, p)| (l.clone(), json!(p))).collect();
            return self.line(
                &json!({"input": input, "label": labels[class], "probability": p[class], "probabilities": all})
                    .to_string(),
            );
        }
        if self.args.csv {
            let cells = [input.to_string(), labels[class].clone(), format!("{:.6}", p[class])];
            return self.csv("input,label,probability", &cells);
        }
        self.line(&format!("{}\t{:.4}\t{input}", labels[class], p[class]))
    }

    fn value(&mut self, input: &str, value: f64) -> Result<(), Failure> {
        if self.args.json {
            return self.line(&json!({"input": input, "value": value}).to_string());
        }
        if self.args.csv {
            return self.csv("input,value", &[input.to_string(), value.to_string()]);
        }
        self.line(&format!("{value:.6}\t{input}"))
    }
}

fn texts(model: &classify_text::Model, args: &Predict, out: &mut Out) -> Result<(), Failure> {
    let mut answer = |text: &str, place: &str| -> Result<(), Failure> {
        if text.trim().is_empty() {
            return Err(Error::Usage(format!("{place}: the text is empty")).into());
        }
        let p = model.predict(&[text]);
        out.classes(text, model.labels.names(), &p[0])?;
        if args.explain {
            let class = (0..p[0].len()).max_by(|&a, &b| p[0][a].total_cmp(&p[0][b]).then(b.cmp(&a))).unwrap_or(0);
            explain(model, text, class, out)?;
        }
        Ok(())
    };
    if !is_stdin(args) {
        return args.inputs.iter().enumerate().try_for_each(|(i, text)| answer(text, &format!("text {}", i + 1)));
    }
    if io::stdin().is_terminal() {
        eprintln!("type a text and press Enter; Ctrl-D ends");
    }
    for (i, line) in io::stdin().lock().split(b'\n').enumerate() {
        let line = line.map_err(|e| Failure::Stream("read from", e))?;
        let name = Path::new("standard input");
        let text = std::str::from_utf8(&line)
            .map_err(|_| Error::Data { path: name.into(), reason: format!("line {}: it is not UTF-8 text", i + 1) })?;
        answer(text.trim_end_matches('\r'), &format!("line {}", i + 1))?;
    }
    Ok(())
}

/// The words by how much they moved the decision.
fn explain(model: &classify_text::Model, text: &str, class: usize, out: &mut Out) -> Result<(), Failure> {
    const SHOWN: usize = 8;
    let moved = model.explain(text, class);
    let label = &model.labels.names()[class];
    if out.args.json {
        let words: Vec<_> = moved.iter().map(|(word, nats)| json!({"word": word, "nats": nats})).collect();
        return out.line(&json!({"explains": label, "words": words}).to_string());
    }
    let mut order: Vec<&(String, f64)> = moved.iter().collect();
    order.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    for (word, nats) in order.into_iter().take(SHOWN) {
        let bar = "#".repeat(((nats.abs() * 10.0).round() as usize).clamp(1, 40));
        let towards = if *nats >= 0.0 { "for" } else { "against" };
        out.line(&format!("    {word:<16} {nats:>+7.3} nats {towards} {label} {bar}"))?;
    }
    Ok(())
}

fn fixed(model: &classify::Model, args: &Predict, out: &mut Out) -> Result<(), Failure> {
    let (answers, names): (Vec<Answer>, Vec<String>) = match &model.reader {
        classify::Reader::Pixels(_) => {
            let paths: Vec<PathBuf> = args.inputs.iter().map(PathBuf::from).collect();
            if paths.is_empty() {
                return Err(Error::Usage("name the pictures to look at".into()).into());
            }
            (model.predict_pictures(&paths)?, args.inputs.clone())
        }
        classify::Reader::Features(_) => {
            let (mut answers, mut names) = (Vec::new(), Vec::new());
            for table in tables(args)? {
                answers.extend(model.predict_table(&table)?);
                names.extend(table.rows.iter().map(|row| format!("line {}", row.line)));
            }
            (answers, names)
        }
    };
    for (answer, name) in answers.into_iter().zip(names) {
        match (answer, &model.goal) {
            (Answer::Classes(p), Goal::Classes(labels)) => out.classes(&name, labels.names(), &p)?,
            (Answer::Value(value), _) => out.value(&name, value)?,
            (Answer::Classes(_), Goal::Value { .. }) => {}
        }
    }
    Ok(())
}

/// The tables named, or that of standard input.
fn tables(args: &Predict) -> Result<Vec<Table>, Failure> {
    let header = match args.columns.header.as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    if is_stdin(args) {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes).map_err(|e| Failure::Stream("read from", e))?;
        return Ok(vec![Table::parse(&bytes, Path::new("standard input"), header)?]);
    }
    args.inputs.iter().map(|path| Ok(Table::read_with(Path::new(path), header)?)).collect()
}

fn series(model: &classify_sequence::Model, args: &Predict, out: &mut Out) -> Result<(), Failure> {
    for table in tables(args)? {
        for (name, p) in model.predict_table(&table, &args.columns.sequence_column, &args.columns.label_column)? {
            out.classes(&name, model.labels.names(), &p)?;
        }
    }
    Ok(())
}

fn frames(model: &classify_frames::Model, args: &Predict, out: &mut Out) -> Result<(), Failure> {
    if is_stdin(args) {
        return live(model, args, out);
    }
    for input in &args.inputs {
        let path = Path::new(input);
        let (sequences, fps) = match &model.reader {
            Reader::Frames { pixels, .. } => {
                let options = Options { colour: pixels.channels == 3, ..Options::default() };
                let clip = Clip::read(path, &options)?;
                let fps = clip.fps;
                (vec![(input.clone(), model.predict_clip(&clip)?)], fps)
            }
            Reader::Features(_) => {
                let table = Table::read(path)?;
                (model.predict_table(&table, &args.columns.sequence_column)?, None)
            }
        };
        for (name, p) in sequences {
            runs(model, &name, &p, fps, args, out)?;
        }
    }
    Ok(())
}

/// The runs of like labels of a sequence, with their times; or every frame.
fn runs(
    model: &classify_frames::Model,
    name: &str,
    p: &[Vec<f64>],
    fps: Option<f64>,
    args: &Predict,
    out: &mut Out,
) -> Result<(), Failure> {
    let labels = model.labels.names();
    let best = |p: &Vec<f64>| (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b]).then(b.cmp(&a))).unwrap_or(0);
    let classes: Vec<usize> = p.iter().map(best).collect();
    let mut first = 0;
    while first < classes.len() {
        let class = classes[first];
        let same = classes[first..].iter().take_while(|&&c| c == class).count();
        let last = first + if args.frames { 1 } else { same };
        let mean = p[first..last].iter().map(|p| p[class]).sum::<f64>() / (last - first) as f64;
        let seconds = fps.map(|fps| (first as f64 / fps, last as f64 / fps));
        if args.json {
            out.line(
                &json!({
                    "input": name, "first_frame": first, "last_frame": last - 1, "label": labels[class],
                    "probability": mean, "start_s": seconds.map(|s| s.0), "end_s": seconds.map(|s| s.1),
                })
                .to_string(),
            )?;
        } else if args.csv {
            let time = |s: Option<f64>| s.map_or_else(String::new, |s| format!("{s:.3}"));
            let cells = [
                name.to_string(),
                first.to_string(),
                (last - 1).to_string(),
                labels[class].clone(),
                format!("{mean:.6}"),
                time(seconds.map(|s| s.0)),
                time(seconds.map(|s| s.1)),
            ];
            out.csv("input,first_frame,last_frame,label,probability,start_s,end_s", &cells)?;
        } else {
            let time = seconds.map_or_else(String::new, |(a, b)| format!("  {a:.2}-{b:.2} s"));
            out.line(&format!("{name}\t{first}-{}{time}\t{}\t{mean:.4}", last - 1, labels[class]))?;
        }
        first = last;
    }
    Ok(())
}

/// Answers each frame or row of standard input as it comes.
fn live(model: &classify_frames::Model, args: &Predict, out: &mut Out) -> Result<(), Failure> {
    let name = Path::new("standard input");
    let mut live = Live::new(model)?;
    let show = |found: Found, out: &mut Out| {
        let (step, label, p) = (found.step, &model.labels.names()[found.class], found.probability);
        if args.json {
            out.line(&json!({"step": step, "label": label, "probability": p}).to_string())
        } else if args.csv {
            out.csv("step,label,probability", &[step.to_string(), label.clone(), format!("{p:.6}")])
        } else {
            out.line(&format!("{step}\t{label}\t{p:.4}"))
        }
    };
    match &model.reader {
        Reader::Frames { pixels, .. } => {
            let stdin = io::stdin().lock();
            let mut reader = match args.raw {
                true => FrameReader::raw(stdin, name, pixels.width, pixels.height)?,
                false => FrameReader::y4m(stdin, name, pixels.channels == 3)?,
            };
            if (reader.width(), reader.height()) != (pixels.width, pixels.height) {
                let reason = format!(
                    "its frames are {} wide and {} high, but the model reads {} x {}",
                    reader.width(),
                    reader.height(),
                    pixels.width,
                    pixels.height
                );
                return Err(Error::Data { path: name.into(), reason }.into());
            }
            let mut frame = Vec::new();
            while reader.next(&mut frame)? {
                if let Some(found) = live.frame(&frame)? {
                    show(found, out)?;
                }
            }
        }
        Reader::Features(_) => {
            for line in io::stdin().lock().split(b'\n') {
                let line = line.map_err(|e| Failure::Stream("read from", e))?;
                if let Some(found) = live.line(&line, name)? {
                    show(found, out)?;
                }
            }
        }
    }
    live.finish().into_iter().try_for_each(|found| show(found, out))
}
