//! From ONNX's graphs to ours: names made unique, constants collected, nodes in order.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::operators::node;
use super::proto::{Budget, GraphProto, NodeProto, ValueInfo, dtype};
use super::reader::{Reader, part};
use crate::error::{Error, Result};
use crate::graph::{Body, Fate, Graph, Node, Op, Port};
use crate::tensor::Dtype;

/// Subgraphs within subgraphs.
const DEEPEST: usize = 16;

pub(super) fn convert<'a>(
    proto: &GraphProto<'a>,
    opset: i64,
    folder: Option<&'a Path>,
    budget: Budget,
) -> Result<Graph> {
    let mut reader = Reader {
        opset,
        folder,
        budget,
        constants: BTreeMap::new(),
        tensors: vec![],
        inputs: vec![],
        single: HashSet::new(),
        taken: HashSet::new(),
        scopes: vec![],
    };
    reader.scopes.push(HashMap::new());
    reader.initializers(proto)?;
    // Files of old versions list weights among the inputs, too.
    let free = |info: &&ValueInfo| !proto.initializers.iter().any(|t| t.name == info.name);
    for info in proto.inputs.iter().filter(free) {
        let name = reader.define(info.name)?;
        reader.inputs.push(port(name, info)?);
    }
    let nodes = reader.nodes(&proto.nodes)?;
    let mut outputs = Vec::new();
    for info in &proto.outputs {
        outputs.push(port(reader.name(info.name)?, info)?);
    }
    if outputs.is_empty() {
        return Err(Error::malformed("the graph", "it has no outputs"));
    }
    let mut graph = Graph { name: proto.name.into(), outputs, nodes, ..Graph::default() };
    graph.inputs = reader.inputs;
    graph.constants = reader.constants;
    graph.about.tensors = reader.tensors;
    note_readers(&mut graph);
    Ok(graph)
}

fn port(name: String, info: &ValueInfo) -> Result<Port> {
    let number = info.dtype.ok_or_else(|| Error::unsupported(info.name, "a value that is no tensor"))?;
    // An output without an element type (0) is one that inference could not name.
    let dtype = if number == 0 { Dtype::F32 } else { dtype(info.name, number)? };
    Ok(Port { name, dtype, dims: info.dims.clone() })
}

/// Says of every tensor who reads it.
fn note_readers(graph: &mut Graph) {
    let mut readers: HashMap<String, String> = HashMap::new();
    fn walk(nodes: &[Node], readers: &mut HashMap<String, String>) {
        for node in nodes {
            let name = if node.name.is_empty() { node.outputs.first().map_or("", String::as_str) } else { &node.name };
            for (i, input) in node.inputs.iter().enumerate() {
                readers.entry(input.clone()).or_insert_with(|| format!("{name}, input {}", i + 1));
            }
            match &node.op {
                Op::If { then_branch, else_branch } => {
                    walk(&then_branch.nodes, readers);
                    walk(&else_branch.nodes, readers);
                }
                Op::Loop { body } | Op::Scan { body, .. } => walk(&body.nodes, readers),
                _ => {}
            }
        }
    }
    walk(&graph.nodes, &mut readers);
    for note in &mut graph.about.tensors {
        note.fate = match readers.get(&note.name) {
            Some(reader) => Fate::Used(reader.clone()),
            None => Fate::Unused("no node reads it".into()),
        };
    }
}

impl<'a> Reader<'a> {
    /// Nodes in an order in which each reads what is there.
    fn nodes(&mut self, protos: &[NodeProto<'a>]) -> Result<Vec<Node>> {
        let mut nodes = Vec::with_capacity(protos.len());
        for i in self.order(protos)? {
            let proto = &protos[i];
            let part = part(proto);
            let mut inputs = Vec::with_capacity(proto.inputs.len());
            for name in &proto.inputs {
                inputs.push(if name.is_empty() { String::new() } else { self.name(name)? });
            }
            // Subgraphs see nothing of the node's own outputs.
            let first = nodes.len();
            let others = node(self, proto, part, inputs, &mut nodes)?;
            let mut outputs = Vec::with_capacity(proto.outputs.len());
            for name in &proto.outputs {
                outputs.push(if name.is_empty() { String::new() } else { self.define(name)? });
            }
            // The last node made is the one whose outputs are the file's, but for those that earlier ones make.
            for (made, output) in others.iter().zip(outputs.iter().skip(1)).filter(|(_, output)| !output.is_empty()) {
                if self.single.contains(made) {
                    self.single.insert(output.clone());
                }
                for node in &mut nodes[first..] {
                    let names = node.inputs.iter_mut().chain(&mut node.outputs);
                    names.filter(|name| *name == made).for_each(|name| name.clone_from(output));
                }
            }
            if let Some(last) = nodes.last_mut() {
                outputs.truncate(if others.is_empty() { outputs.len() } else { 1 });
                last.outputs = outputs;
            }
        }
        Ok(nodes)
    }

    /// The order of the file, if it is one; else a sorted one.
    fn order(&self, protos: &[NodeProto]) -> Result<Vec<usize>> {
        let mut maker: HashMap<&str, usize> = HashMap::new();
        for (i, proto) in protos.iter().enumerate() {
            for name in proto.outputs.iter().filter(|n| !n.is_empty()) {
                if maker.insert(name, i).is_some() {
                    return Err(Error::malformed(*name, "two nodes make this value"));
                }
            }
        }
        // What subgraphs read of the graph around them counts too.
        let mut needs: Vec<BTreeSet<usize>> = Vec::with_capacity(protos.len());
        for proto in protos {
            let mut names: Vec<&str> = proto.inputs.clone();
            for graph in proto.attributes.iter().filter_map(|a| a.graph) {
                captured(graph, &mut names, 0)?;
            }
            needs.push(names.iter().filter_map(|n| maker.get(n).copied()).collect());
        }
        if needs.iter().enumerate().all(|(i, needs)| needs.last().is_none_or(|last| *last < i)) {
            return Ok((0..protos.len()).collect());
        }
        // Kahn's algorithm, the first of the file first.
        let mut waiting: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
        let mut readers: Vec<Vec<usize>> = vec![vec![]; protos.len()];
        for (i, needs) in needs.iter().enumerate() {
            needs.iter().for_each(|n| readers[*n].push(i));
        }
        let mut ready: BTreeSet<usize> = (0..protos.len()).filter(|i| waiting[*i] == 0).collect();
        let mut order = Vec::with_capacity(protos.len());
        while let Some(i) = ready.pop_first() {
            order.push(i);
            for reader in &readers[i] {
                waiting[*reader] -= 1;
                if waiting[*reader] == 0 {
                    ready.insert(*reader);
                }
            }
        }
        match (0..protos.len()).find(|i| waiting[*i] > 0) {
            Some(i) => Err(Error::malformed(part(&protos[i]), "it reads what is made of its own result: a cycle")),
            None => Ok(order),
        }
    }

    /// A subgraph.
    pub(super) fn body(&mut self, bytes: &'a [u8], part: &str) -> Result<Body> {
        if self.scopes.len() > DEEPEST {
            return Err(Error::TooLarge {
                part: part.into(),
                size: format!("more than {DEEPEST} subgraphs within each other"),
                most: DEEPEST.to_string(),
            });
        }
        let proto = GraphProto::parse(bytes, &mut self.budget)?;
        self.scopes.push(HashMap::new());
        self.initializers(&proto)?;
        let mut inputs = Vec::new();
        for info in &proto.inputs {
            inputs.push(self.define(info.name)?);
        }
        let nodes = self.nodes(&proto.nodes)?;
        let outputs = proto.outputs.iter().map(|info| self.name(info.name)).collect::<Result<_>>()?;
        self.scopes.pop();
        Ok(Body { inputs, outputs, nodes })
    }
}

/// Names that a subgraph may read from outside: all its nodes read, and its results.
fn captured<'a>(bytes: &'a [u8], names: &mut Vec<&'a str>, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Ok(());
    }
    let proto = GraphProto::parse(bytes, &mut Budget::default())?;
    names.extend(proto.outputs.iter().map(|o| o.name));
    for node in &proto.nodes {
        names.extend(&node.inputs);
        for graph in node.attributes.iter().filter_map(|a| a.graph) {
            captured(graph, names, depth + 1)?;
        }
    }
    Ok(())
}
