//! ONNX: reading into graphs, and writing.

mod attributes;
mod converter;
mod external;
mod graph;
mod operators;
mod proto;
mod quantized;
mod reader;
mod recurrent;
mod sequence;
mod wire;
mod write;

use std::path::Path;

use crate::error::{Error, Result};
use crate::graph::{Cell, Graph, Node, Op};
use crate::source::{Options, Source};
pub use write::write;

use proto::{Budget, GraphProto, Model};
use wire::{Field, Fields};

/// Whether a file looks like an ONNX model: its fields are those of a model, and one of them is a graph.
pub(crate) fn recognizes(source: &Source) -> bool {
    let mut fields = Fields::new("the model", source.bytes);
    let mut graph = false;
    while let Ok(Some((number, field))) = fields.next() {
        match (number, field) {
            (1 | 5, Field::Number(_)) | (2 | 3 | 4 | 6 | 8 | 14 | 20 | 25 | 26, Field::Bytes(_)) => {}
            (7, Field::Bytes(_)) => graph = true,
            _ => return false,
        }
    }
    // A file that breaks off is recognized by its beginning: field 1, the version of the format, is a small number.
    graph || (source.bytes.starts_with(&[8]) && source.bytes.get(1).is_some_and(|v| (3..=40).contains(v)))
}

/// Reads a model.
pub(crate) fn read(source: &Source, options: &Options) -> Result<Graph> {
    let folder = options.external_data.then(|| source.path.parent().unwrap_or(Path::new("")));
    parse(source.bytes, folder)
}

/// Reads a model from memory; external data only from `folder`, if there is one.
fn parse(bytes: &[u8], folder: Option<&Path>) -> Result<Graph> {
    let mut budget = Budget::default();
    let model = Model::parse(bytes, &mut budget)?;
    let proto = model.graph.ok_or_else(|| Error::malformed("the model", "it has no graph"))?;
    let opset = model.opsets.iter().find(|(domain, _)| matches!(*domain, "" | "ai.onnx")).map(|(_, version)| *version);
    let opset = opset.ok_or_else(|| Error::malformed("opset_import", "it names no version of the ONNX operators"))?;
    if !(7..=30).contains(&opset) {
        return Err(Error::unsupported(
            "opset_import",
            format!("version {opset} of the ONNX operators (7 to 30 are read)"),
        ));
    }
    let proto = GraphProto::parse(proto, &mut budget)?;
    let mut graph = graph::convert(&proto, opset, folder, budget)?;
    graph.about.format = format!("ONNX, opset {opset}");
    graph.about.producer = format!("{} {}", model.producer, model.producer_version).trim().into();
    sequence::find(&mut graph);
    if let Some(note) = doubtful_gru(&graph, model.producer, model.producer_version) {
        graph.about.notes.push(note);
    }
    Ok(graph)
}

/// PyTorch from 2.9 on has left out `linear_before_reset` of GRUs, which changes their outputs.
fn doubtful_gru(graph: &Graph, producer: &str, version: &str) -> Option<String> {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().ok());
    let (major, minor) = (numbers.next()??, numbers.next()??);
    if producer != "pytorch" || (major, minor) < (2, 9) {
        return None;
    }
    fn find(nodes: &[Node]) -> Option<&Node> {
        nodes.iter().find_map(|node| match &node.op {
            Op::Recurrent(layer) if layer.cell == Cell::Gru { linear_before_reset: false } => Some(node),
            Op::If { then_branch, else_branch } => find(&then_branch.nodes).or_else(|| find(&else_branch.nodes)),
            Op::Loop { body } | Op::Scan { body, .. } => find(&body.nodes),
            _ => None,
        })
    }
    find(&graph.nodes).map(|node| {
        format!(
            "warning: {} is a GRU with linear_before_reset 0 from PyTorch {version}, whose exporter is known to leave out \
             linear_before_reset=1; compare with PyTorch's own output (--test)",
            if node.name.is_empty() { "a node" } else { &node.name }
        )
    })
}
