//! `elman inspect`: what a model file holds, and what its neurons follow in a text.

use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;

use elman::data::features::{Features, Kind as ColumnKind};
use elman::data::sequences::Scale;
use elman::data::{Pixels, Vocab};
use elman::format::model::Loaded;
use elman::inspect::{Follower, Trace, follow};
use elman::step::Network;
use elman::step::model::Kind;
use elman::task::{Classifier, classify, classify_frames, classify_sequence, language_model};
use elman::{Error, Result};
use serde_json::{Value, json};

use super::{Outcome, load};
use crate::args::Inspect;
use crate::chart::escaped;
use crate::exit_code::Failure;
use crate::progress::grouped;

/// Symbols that are coloured on the terminal.
const SHOWN: usize = 600;

pub(crate) fn run(args: Inspect) -> Outcome {
    let loaded = load(&args.model)?;
    let task = &loaded.document.config()["task"];
    let Some(text) = &args.neurons else {
        if args.json {
            print_json(&loaded)
        } else {
            print(&loaded, &reading(&loaded)?)
        }
        return Ok(0);
    };
    if task != language_model::NAME {
        let message =
            format!("--neurons: follows the symbols that a language model reads, and this model's task is {task}");
        return Err(Error::Usage(message).into());
    }
    let text =
        if Path::new(text).is_file() { language_model::read_text(Path::new(text))? } else { text.clone().into_bytes() };
    let neurons = Neurons::of(&loaded, &text)?;
    if args.json {
        println!("{}", neurons.as_json());
    } else {
        neurons.print();
    }
    if let Some(path) = &args.html {
        std::fs::write(path, neurons.page()).map_err(|error| Failure::write(path, error))?;
    }
    Ok(0)
}

/// How a classifier or a regression reads its data, and what it answers: a name and a text for each line.
fn reading(loaded: &Loaded) -> Result<Vec<(&'static str, String)>> {
    let Some(classifier) = Classifier::from_file(loaded)? else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    let labels = classifier.labels();
    if !labels.is_empty() {
        lines.push(("labels", format!("{}: {}", labels.len(), list(labels))));
    }
    match &classifier {
        Classifier::Fixed(m) => {
            if let classify::Goal::Value { mean, deviation } = m.goal {
                lines.push(("answers", format!("a number: output * {deviation} + {mean}")));
            }
            match &m.reader {
                classify::Reader::Pixels(pixels) => lines.push(("reads", of_pixels("a picture", pixels))),
                classify::Reader::Features(features) => of_features("a row of a table", features, &mut lines),
            }
        }
        Classifier::Text(m) => {
            let (known, unit) = (m.words.len() - 1, m.words.level().unit());
            lines.push(("vocabulary", format!("{} {unit}s: {}", grouped(known as u64), list(m.words.words()))));
        }
        Classifier::Sequence(m) => match &m.reader {
            classify_sequence::Reader::PictureRows(pixels) => {
                lines.push(("reads", of_pixels("a row of pixels at a step", pixels)));
            }
            classify_sequence::Reader::Features(features) => of_features("a row a step", features, &mut lines),
            classify_sequence::Reader::Series(Scale { mean, deviation }) => {
                lines.push(("reads", format!("a number a step: (value - {mean}) / {deviation}")));
            }
        },
        Classifier::Frames(m) => {
            match &m.reader {
                classify_frames::Reader::Frames { pixels, context, differences, .. } => {
                    let what = if *differences { "the changes between frames" } else { "frames" };
                    lines.push(("reads", of_pixels(&format!("{what}, {context} seen at a step"), pixels)));
                }
                classify_frames::Reader::Features(features) => of_features("a row a step", features, &mut lines),
            }
            let knows = match (m.network.config().bidirectional, m.lookahead) {
                (true, _) => "when the whole sequence was read, from both ends".to_string(),
                (false, 0) => "at once".into(),
                (false, steps) => format!("{steps} steps late"),
            };
            lines.push(("answers", knows));
            if let Some(name) = m.background.and_then(|class| m.labels.names().get(class as usize)) {
                lines.push(("background", name.clone()));
            }
        }
    }
    Ok(lines)
}

/// The first of some names.
fn list(names: &[String]) -> String {
    const NAMES: usize = 12;
    let more = if names.len() > NAMES { ", .." } else { "" };
    names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ") + more
}

fn of_pixels(what: &str, pixels: &Pixels) -> String {
    let Pixels { width, height, channels, mean, deviation, centred } = pixels;
    let own = if *centred { ", then without its own mean" } else { "" };
    let colour = if *channels == 1 { "grey" } else { "colour" };
    format!("{what}: {width} x {height} {colour}, (value - {mean:.3}) / {deviation:.3}{own}")
}

/// A line for each column.
fn of_features(what: &str, features: &Features, lines: &mut Vec<(&'static str, String)>) {
    lines.push(("reads", format!("{what}, {} inputs of {} columns", features.width(), features.columns().len())));
    for column in features.columns() {
        let how = match &column.kind {
            ColumnKind::Numeric { mean, deviation } => format!("(value - {mean}) / {deviation}"),
            ColumnKind::Categorical { categories, other } => {
                let rest = if *other { ", others" } else { "" };
                format!("an input for each of {}: {}{rest}", categories.len(), list(categories))
            }
            ColumnKind::Empty => "was empty in training, is left out".into(),
        };
        let missing = if column.missing { "; an input says where it is missing" } else { "" };
        lines.push(("", format!("{}: {how}{missing}", column.title())));
    }
}

/// A part of a configuration in words.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(in_words).collect::<Vec<_>>().join(" "),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key} {}", in_words(value))).collect();
            format!("({})", pairs.join(", "))
        }
        value => value.to_string(),
    }
}

fn print(loaded: &Loaded, reading: &[(&str, String)]) {
    let config = loaded.document.config();
    let kind = if loaded.document.kind() == Kind::Checkpoint { "checkpoint" } else { "model" };
    println!("{}: a {kind}, format version {}", loaded.path.display(), config["format_version"]);
    for key in ["task", "shape", "network", "trained"] {
        match &config[key] {
            Value::Null => {}
            Value::Object(map) => {
                let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k} {}", in_words(v))).collect();
                println!("{key:<10} {}", pairs.join(", "));
            }
            value => println!("{key:<10} {}", in_words(value)),
        }
    }
    if let Value::Object(progress) = &config["training"]["progress"] {
        let get = |key: &str| progress.get(key).map_or_else(String::new, Value::to_string);
        println!("training   step {}, {} targets, learning rate {}", get("step"), get("targets"), get("lr"));
    }
    if let Ok(vocab) = language_model::vocab(loaded) {
        let tokens: Vec<u32> = (0..vocab.len() as u32).collect();
        println!("vocabulary {} {}s: {:?}", vocab.len(), vocab.unit(), vocab.decode(&tokens));
    }
    reading.iter().for_each(|(name, text)| println!("{name:<10} {text}"));
    let head = ["dimensions", "type", "values", "mean", "deviation"];
    println!("\n{:<32} {:>16} {:>5} {:>12} {:>10} {:>10}", "tensor", head[0], head[1], head[2], head[3], head[4]);
    let (mut weights, mut others) = (0, 0);
    for name in loaded.document.names() {
        let Some(tensor) = loaded.document.tensor(name) else { continue };
        let count: usize = tensor.dims.iter().product();
        if name.starts_with("training.") {
            others += count
        } else if !loaded.document.is_scale(name) {
            weights += count
        }
        let dims: Vec<String> = tensor.dims.iter().map(usize::to_string).collect();
        let (mean, deviation) = loaded.document.f32(name).map_or((f64::NAN, f64::NAN), |values| moments(&values));
        let (dims, dtype, count) = (dims.join(" x "), tensor.dtype.to_string(), grouped(count as u64));
        println!("{name:<32} {dims:>16} {dtype:>5} {count:>12} {mean:>10.4} {deviation:>10.4}");
    }
    println!("\n{} parameters", grouped(weights as u64));
    if others > 0 {
        println!("{} values of the training beside them", grouped(others as u64));
    }
}

fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    (mean, (values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt())
}

fn print_json(loaded: &Loaded) {
    let mut tensors = serde_json::Map::new();
    let mut parameters = 0;
    for name in loaded.document.names() {
        let Some(tensor) = loaded.document.tensor(name) else { continue };
        if !name.starts_with("training.") && !loaded.document.is_scale(name) {
            parameters += tensor.dims.iter().product::<usize>();
        }
        tensors.insert(name.into(), json!(tensor.dims));
    }
    let line = json!({"config": loaded.document.config(), "parameters": parameters, "tensors": tensors});
    println!("{line}");
}

/// The neurons that follow something in a text.
struct Neurons {
    symbols: Vec<char>,
    trace: Trace,
    followers: Vec<Follower>,
}

impl Neurons {
    fn of(loaded: &Loaded, text: &[u8]) -> Result<Neurons> {
        let vocab = language_model::vocab(loaded)?;
        let mut network =
            Network::read(&loaded.document, loaded.document.precision()).map_err(|error| loaded.error(error))?;
        // What the model does not know is left out: it looks, it does not judge.
        let (tokens, _) = vocab.encode(text, true).map_err(|unseen| Error::Usage(unseen.to_string()))?;
        if tokens.len() < 2 {
            return Err(Error::Usage("--neurons: give a text of at least 2 symbols that the model knows".into()));
        }
        let symbols = symbols(&vocab, &tokens);
        let trace = Trace::of(&mut network, &tokens)?;
        let followers = trace.followers(&follow(&symbols));
        Ok(Neurons { symbols, trace, followers })
    }

    fn as_json(&self) -> Value {
        let followers = self
            .followers
            .iter()
            .map(|f| json!({"feature": f.feature, "layer": f.layer, "neuron": f.neuron, "correlation": f.correlation}));
        json!({"symbols": self.symbols.len(), "followers": followers.collect::<Vec<_>>()})
    }

    fn print(&self) {
        println!("{:<28} {:>5} {:>7} {:>12}", "feature", "layer", "neuron", "correlation");
        for f in &self.followers {
            println!("{:<28} {:>5} {:>7} {:>12.3}", f.feature, f.layer, f.neuron, f.correlation);
        }
        let (Some(first), true) = (self.followers.first(), std::io::stdout().is_terminal()) else { return };
        println!("\nneuron {} of layer {}, blue below 0, red above:\n", first.neuron, first.layer);
        let mut text = String::new();
        for (c, (r, g, b)) in self.symbols.iter().zip(self.colours(first)).take(SHOWN) {
            let shown = if *c == '\n' { " \x1b[0m\n".to_string() } else { c.to_string() };
            // Writing to a String cannot fail.
            let _ = write!(text, "\x1b[48;2;{r};{g};{b}m\x1b[38;2;0;0;0m{shown}");
        }
        println!("{text}\x1b[0m");
    }

    /// A colour for each symbol: blue for the neuron's lowest value, white for 0, red for the highest.
    fn colours(&self, follower: &Follower) -> impl Iterator<Item = (u8, u8, u8)> + use<> {
        let values = self.trace.neuron(follower.layer, follower.neuron);
        let largest = values.iter().fold(1e-9f64, |m, v| m.max(v.abs()));
        values.into_iter().map(move |value| {
            let share = value / largest;
            let pale = (255.0 * (1.0 - share.abs())) as u8;
            if share < 0.0 { (pale, pale, 255) } else { (255, pale, pale) }
        })
    }

    /// One section for each follower, its text coloured by the neuron.
    fn page(&self) -> String {
        let mut page = String::from(
            "<!doctype html><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>What the neurons follow</title><style>body{font:16px/1.5 system-ui;margin:1rem auto;\
             max-width:60rem;padding:0 1rem}pre{font:14px/1.35 monospace;white-space:pre-wrap;overflow-wrap:anywhere;\
             color:#000;background:#fff;border:1px solid #999;padding:.5rem}</style>\
             <h1>What the neurons follow</h1><p>Each text is coloured by one neuron: blue below 0, red above.</p>",
        );
        for f in &self.followers {
            // Writing to a String cannot fail.
            let _ = write!(
                page,
                "<h2>{}</h2><p>Neuron {} of layer {}, correlation {:.3}.</p><pre>",
                escaped(f.feature),
                f.neuron,
                f.layer,
                f.correlation
            );
            for (c, (r, g, b)) in self.symbols.iter().zip(self.colours(f)) {
                let text = if *c == '\n' { " \n".to_string() } else { escaped(&c.to_string()) };
                let _ = write!(page, "<span style=\"background:#{r:02x}{g:02x}{b:02x}\">{text}</span>");
            }
            page.push_str("</pre>");
        }
        page
    }
}

/// One character for each token; bytes above ASCII stand as a dot.
fn symbols(vocab: &Vocab, tokens: &[u32]) -> Vec<char> {
    let decoder = vocab.decoder();
    let symbol = |&token: &u32| match std::str::from_utf8(decoder.bytes(token)) {
        Ok(text) => text.chars().next().unwrap_or('.'),
        Err(_) => '.',
    };
    tokens.iter().map(symbol).collect()
}
