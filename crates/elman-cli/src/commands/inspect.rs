//! `elman inspect`: what a model file contains; what the neurons of a language model follow in a text.

use std::path::Path;

use elman::format::model::Loaded;
use elman::param::layer_of;
use elman::step::model::Kind;
use elman::task::{self, grouped, language_model};
use elman::{Error, file};
use elman_graph::Graph;
use serde_json::{Map, Value, json};

use super::graphs::{Opened, describe, open_any};
use super::neurons::Neurons;
use crate::args::Inspect;
use crate::exit_code::{Failure, Outcome};
use crate::progress::shown;

pub(crate) fn run(args: &Inspect) -> Outcome {
    let loaded = match open_any(&args.model, &args.foreign)? {
        Opened::Trained(loaded) => loaded,
        Opened::Graph(graph) => return of_graph(args, &graph),
    };
    let Some(text) = &args.neurons else {
        match args.json {
            true => println!("{}", as_json(&loaded)),
            false => print(&loaded, &task::open_loaded(&loaded)?.describe()),
        }
        return Ok(0);
    };
    let of = task::of_model(&loaded)?.name;
    if of != language_model::TASK.name {
        let message = format!("--neurons: follows what a language model reads, and this model's task is {of}");
        return Err(Error::Usage(message).into());
    }
    let path = Path::new(text);
    let text = if path.is_file() { file::read(path)? } else { text.clone().into_bytes() };
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

/// Of a network that was not trained here.
fn of_graph(args: &Inspect, graph: &Graph) -> Outcome {
    if args.neurons.is_some() {
        return Err(Error::Usage("--neurons: follows a language model that was trained here".into()).into());
    }
    if args.json {
        let tensors: Map<String, Value> = graph.constants.iter().map(|(n, t)| (n.clone(), json!(t.dims()))).collect();
        println!("{}", json!({"graph": graph, "tensors": tensors}));
        return Ok(0);
    }
    describe(graph).iter().for_each(|line| println!("{}", shown(line, usize::MAX)));
    for node in &graph.nodes {
        println!(
            "{}",
            shown(&format!("node       {} -> {}", node.inputs.join(", "), node.outputs.join(", ")), usize::MAX)
        );
    }
    Ok(0)
}

/// A part of a configuration in words.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text, usize::MAX),
        Value::Array(values) => values.iter().map(in_words).collect::<Vec<_>>().join(" "),
        Value::Object(map) => format!("({})", pairs(map)),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(value) => rounded(value),
            None => number.to_string(),
        },
        value => value.to_string(),
    }
}

/// Four digits.
fn rounded(value: f64) -> String {
    let digits = 3 - value.abs().max(1e-9).log10().floor() as i32;
    let text = format!("{value:.*}", digits.clamp(0, 12) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// A recurrent network in a sentence; none of another.
fn sentence(network: &Map<String, Value>) -> Option<String> {
    let get = |key: &str| network.get(key).and_then(Value::as_u64);
    let (cell, layers, hidden) = (network.get("cell")?.as_str()?, get("layers")?, get("hidden")?);
    let plural = if layers == 1 { "" } else { "s" };
    let both = if network.get("bidirectional") == Some(&Value::Bool(true)) { ", in both directions" } else { "" };
    Some(format!("{layers} layer{plural} of {hidden} {} units{both}", cell.to_uppercase()))
}

fn pairs(map: &Map<String, Value>) -> String {
    let said = map.iter().map(|(key, value)| (key, in_words(value))).filter(|(_, text)| !text.is_empty());
    said.map(|(key, text)| format!("{} {text}", shown(key, usize::MAX))).collect::<Vec<_>>().join(", ")
}

fn print(loaded: &Loaded, description: &[(&str, String)]) {
    let config = loaded.document.config();
    let kind = if loaded.document.kind() == Kind::Checkpoint { "checkpoint" } else { "model" };
    println!("{}: a {kind}, format version {}", loaded.path.display(), config["format_version"]);
    for key in ["task", "shape", "network", "trained"] {
        match &config[key] {
            Value::Null => {}
            Value::Object(map) if sentence(map).is_some() => {
                println!("{key:<10} {}", sentence(map).unwrap_or_default());
                println!("{:<10} {}", "", pairs(map));
            }
            Value::Object(map) => println!("{key:<10} {}", pairs(map)),
            value => println!("{key:<10} {}", in_words(value)),
        }
    }
    if let Value::Object(progress) = &config["training"]["progress"] {
        let get = |key: &str| progress.get(key).map_or_else(String::new, Value::to_string);
        println!("training   step {}, {} targets, learning rate {}", get("step"), get("targets"), get("lr"));
    }
    description.iter().for_each(|(name, text)| println!("{name:<10} {}", shown(text, usize::MAX)));
    let is_weight = |name: &&str| !name.starts_with("training.") && !loaded.document.is_scale(name);
    let mut layers: Vec<String> = loaded.document.names().filter(is_weight).map(layer_of).collect();
    layers.dedup();
    println!("{:<10} {}", "layers", shown(&layers.join(", "), usize::MAX));
    println!("\n{:<32} {:>16} {:>5} {:>12} {:>10} {:>10}", "tensor", "dimensions", "type", "values", "mean", "std");
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
        let (mean, std) = loaded.document.f32(name).map_or((f64::NAN, f64::NAN), |values| moments(&values));
        let (dims, dtype, count) = (dims.join(" x "), tensor.dtype.to_string(), grouped(count));
        let name = shown(name, usize::MAX);
        println!("{name:<32} {dims:>16} {dtype:>5} {count:>12} {mean:>10.4} {std:>10.4}");
    }
    println!("\n{} parameters", grouped(weights));
    if others > 0 {
        println!("{} values of the training beside them", grouped(others));
    }
}

fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    (mean, (values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt())
}

fn as_json(loaded: &Loaded) -> Value {
    let mut tensors = Map::new();
    let mut parameters = 0;
    for name in loaded.document.names() {
        let Some(tensor) = loaded.document.tensor(name) else { continue };
        if !name.starts_with("training.") && !loaded.document.is_scale(name) {
            parameters += tensor.dims.iter().product::<usize>();
        }
        tensors.insert(name.into(), json!(tensor.dims));
    }
    json!({"config": loaded.document.config(), "parameters": parameters, "tensors": tensors})
}
