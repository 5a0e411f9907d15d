//! Networks of any form that commands open.

use std::path::{Path, PathBuf};

use elman::Error;
use elman::format::model::{Loaded, file_of};
use elman::step::model::Kind;
use elman_graph::read::{self, Options};
use elman_graph::{Added, Graph, Interpreter, Sequence, Tensor, npy};

use super::models::load;
use crate::args::Foreign;
use crate::exit_code::Failure;

/// Reads a network from a file of any kind, or from the folder of a run.
pub(super) fn open(path: &Path, foreign: &Foreign) -> Result<Graph, Failure> {
    let path = &file_of(path);
    let mut options = Options { external_data: foreign.external_data, ..Options::default() };
    for (name, answer) in answers(foreign) {
        if let Some(answer) = answer {
            options.answers.insert(name.into(), answer.clone());
        }
    }
    Ok(read::open(path, &options)?)
}

/// What a foreign file leaves open, by option.
fn answers(foreign: &Foreign) -> [(&'static str, &Option<String>); 9] {
    [
        ("map", &foreign.map),
        ("layers", &foreign.layers),
        ("gru", &foreign.gru),
        ("hard-sigmoid", &foreign.hard_sigmoid),
        ("nonlinearity", &foreign.nonlinearity),
        ("batch-first", &foreign.batch_first),
        ("key", &foreign.key),
        ("part", &foreign.part),
        ("config", &foreign.config),
    ]
}

/// Refuses what only a foreign file leaves open.
pub(super) fn none_open(foreign: &Foreign) -> Result<(), Failure> {
    let given = answers(foreign).into_iter().find(|(_, answer)| answer.is_some()).map(|(name, _)| name);
    match given.or(foreign.external_data.then_some("external-data")) {
        Some(name) => Err(Error::Usage(format!("--{name}: only of a network made elsewhere")).into()),
        None => Ok(()),
    }
}

/// A model that training wrote, or a network of any other form.
pub(super) enum Opened {
    Trained(Loaded),
    Graph(Box<Graph>),
}

/// Opens whatever `path` is.
pub(super) fn open_any(path: &Path, foreign: &Foreign) -> Result<Opened, Failure> {
    let error = match load(path) {
        Ok(loaded) if loaded.document.kind() != Kind::Graph => {
            none_open(foreign)?;
            return Ok(Opened::Trained(loaded));
        }
        other => other.err(),
    };
    match (open(path, foreign), error) {
        (Ok(graph), _) => Ok(Opened::Graph(Box::new(graph))),
        // Of no kind that is known: then what is wrong with it as one of ours says more.
        (Err(Failure::Graph(elman_graph::Error::File { source, .. })), Some(error))
            if matches!(*source, elman_graph::Error::Unrecognized { .. } | elman_graph::Error::Io { .. }) =>
        {
            Err(error)
        }
        (Err(error), _) => Err(error),
    }
}

/// `NAME=FILE`, or a file alone.
pub(super) struct Named {
    pub(super) name: Option<String>,
    pub(super) file: PathBuf,
}

impl Named {
    pub(super) fn parse(text: &str) -> Self {
        // A file whose name has a `=` is no name and a file.
        match text.split_once('=').filter(|_| !Path::new(text).exists()) {
            Some((name, file)) => Named { name: Some(name.into()), file: file.into() },
            None => Named { name: None, file: text.into() },
        }
    }
}

fn wrong(name: &str, reason: impl Into<String>) -> Failure {
    Failure::Graph(elman_graph::Error::Input { name: name.into(), reason: reason.into() })
}

/// The given arrays as the graph's inputs, by name and position; states that are not given begin as the graph says.
#[derive(Clone)]
pub(super) struct Inputs {
    /// In the order of the graph's inputs; `None` of states that were not given.
    values: Vec<Option<Tensor>>,
    pub(super) added: Added,
}

impl Inputs {
    pub(super) fn new(graph: &Graph, given: &[(Option<String>, Tensor)]) -> Result<Self, Failure> {
        let mut values: Vec<Option<Tensor>> = vec![None; graph.inputs.len()];
        let mut added = Added::default();
        for (name, tensor) in given {
            let at = match name {
                Some(name) => graph.inputs.iter().position(|p| p.name == *name),
                None => (0..values.len()).find(|i| {
                    let later = given.iter().any(|(name, _)| name.as_ref() == Some(&graph.inputs[*i].name));
                    values[*i].is_none() && !later
                }),
            };
            let Some(at) = at else {
                let names: Vec<&str> = graph.inputs.iter().map(|p| p.name.as_str()).collect();
                let name = name.as_deref().unwrap_or("by position");
                return Err(wrong(name, format!("the network has the inputs {}", names.join(", "))));
            };
            let (tensor, more) = graph.fit_input(&graph.inputs[at], tensor)?;
            added = Added { batch: added.batch || more.batch, width: added.width || more.width };
            values[at] = Some(tensor);
        }
        for (port, value) in graph.inputs.iter().zip(&values) {
            if value.is_none() && !graph.states.iter().any(|s| s.input == port.name) {
                return Err(wrong(&port.name, "it is not given; pass --input NAME=FILE.npy"));
            }
        }
        Ok(Inputs { values, added })
    }

    /// Sequences side by side.
    fn batch(&self, graph: &Graph) -> usize {
        let sequence = graph.sequence.as_ref();
        let at = sequence.and_then(|s| graph.inputs.iter().position(|p| p.name == s.input));
        let value = at.and_then(|at| self.values[at].as_ref());
        let axis = sequence.and_then(|s| s.batch);
        value.zip(axis).and_then(|(x, axis)| x.dims().get(axis).copied()).unwrap_or(1)
    }

    /// All outputs of a run over whole sequences, by name.
    pub(super) fn run(self, graph: &Graph) -> Result<Vec<(String, Tensor)>, Failure> {
        let batch = self.batch(graph);
        let added = self.added;
        let mut interpreter = Interpreter::new(graph.clone())?;
        let mut inputs = Vec::new();
        for (port, value) in graph.inputs.iter().zip(self.values) {
            let state = graph.states.iter().find(|s| s.input == port.name);
            inputs.push(match (value, state) {
                (Some(value), _) => value,
                (None, Some(state)) => graph.initial_state(state, batch)?,
                (None, None) => return Err(wrong(&port.name, "it is not given")),
            });
        }
        let outputs = interpreter.run(&inputs)?;
        let named = graph.outputs.iter().zip(&outputs);
        named.map(|(port, y)| Ok((port.name.clone(), graph.fit_output(port, y, added)?))).collect()
    }

    /// All outputs of a run step by step, by name.
    pub(super) fn run_steps(self, graph: &Graph) -> Result<Vec<(String, Tensor)>, Failure> {
        let mut options = elman_graph::StepOptions::default();
        let mut inputs = Vec::new();
        for (port, value) in graph.inputs.iter().zip(&self.values) {
            let Some(value) = value else { continue };
            // What is not the sequence is the same in every step: a sample rate, weights that are given.
            let is_sequence = |s: &Sequence| s.input == port.name;
            let beside = graph.sequence.as_ref().is_some_and(|s| s.time.is_some() && !is_sequence(s));
            let is_state = graph.states.iter().any(|s| s.input == port.name);
            let one = !graph.sequence.as_ref().is_some_and(is_sequence) && value.dims().is_empty();
            if one || (beside && !is_state) {
                options.fixed.insert(port.name.clone(), value.clone());
            } else {
                inputs.push((port.name.clone(), value.clone()));
            }
        }
        let outputs = graph.lower(&options)?.run(&inputs)?;
        let fitted = |(name, y): (String, Tensor)| match graph.outputs.iter().find(|p| p.name == name) {
            Some(port) => Ok((name, graph.fit_output(port, &y, self.added)?)),
            None => Ok((name, y)),
        };
        outputs.into_iter().map(fitted).collect()
    }
}

/// Arrays of files.
pub(super) fn arrays(texts: &[String]) -> Result<Vec<(Option<String>, Tensor)>, Failure> {
    let read = |text: &String| {
        let Named { name, file } = Named::parse(text);
        Ok((name, npy::read(&file)?))
    };
    texts.iter().map(read).collect()
}

/// The graph in words: inputs, outputs, what was made of every tensor, notes.
pub(super) fn describe(graph: &Graph) -> Vec<String> {
    use elman_graph::{Dim, Fate, Port};
    let port = |port: &Port| {
        let dims = port.dims.as_ref().map_or("?".to_string(), |dims| {
            let words = dims.iter().map(|d| match d {
                Dim::Fixed(n) => n.to_string(),
                Dim::Named(name) if name.is_empty() => "?".into(),
                Dim::Named(name) => name.clone(),
            });
            words.collect::<Vec<_>>().join(", ")
        });
        format!("{} {} [{dims}]", port.name, port.dtype)
    };
    let mut lines = vec![format!("format     {}", graph.about.format)];
    if !graph.about.producer.is_empty() {
        lines.push(format!("producer   {}", graph.about.producer));
    }
    lines.extend(graph.inputs.iter().map(|p| format!("input      {}", port(p))));
    lines.extend(graph.outputs.iter().map(|p| format!("output     {}", port(p))));
    for tensor in &graph.about.tensors {
        let fate = match &tensor.fate {
            Fate::Used(what) => format!("used: {what}"),
            Fate::Folded(what) => format!("folded: {what}"),
            Fate::Unused(why) => format!("unused: {why}"),
        };
        lines.push(format!("tensor     {} {:?} {fate}", tensor.name, tensor.dims));
    }
    if let Some(symbols) = &graph.about.vocabulary {
        lines.push(format!("vocabulary {} symbols", symbols.len()));
    }
    if let Some(labels) = &graph.about.labels {
        lines.push(format!("labels     {}", labels.join(", ")));
    }
    lines.extend(graph.about.notes.iter().map(|note| format!("note       {note}")));
    let weights: usize = graph.constants.values().filter(|t| t.dtype().is_float()).map(Tensor::len).sum();
    lines.push(format!("{} nodes, {weights} weights", graph.nodes.len()));
    lines
}
