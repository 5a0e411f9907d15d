//! What an ONNX file does not say: which axis is time, and which outputs are the next run's inputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::graph::{AutoPad, Binary, Dim, Graph, Node, Op, Port, Sequence, State};

/// Finds the sequence and the states of a graph, where its recurrent layers show them.
pub(super) fn find(graph: &mut Graph) {
    graph.states = states(graph);
    for state in &graph.states {
        graph
            .about
            .notes
            .push(format!("state: input {} is the output {} of the step before", state.input, state.output));
    }
    graph.sequence = sequence(graph);
}

struct Links<'g> {
    graph: &'g Graph,
    makers: HashMap<&'g str, &'g Node>,
}

impl<'g> Links<'g> {
    fn new(graph: &'g Graph) -> Self {
        let makers = graph.nodes.iter().flat_map(|n| n.outputs.iter().map(move |o| (o.as_str(), n)));
        Links { graph, makers: makers.filter(|(o, _)| !o.is_empty()).collect() }
    }

    /// Whether a convolution or pool has as many outputs along an axis, counted after that of the channels, as inputs:
    /// unlike padding around them, its own says so.
    fn keeps_length(&self, node: &Node, axis: usize) -> bool {
        let (window, kernel) = match &node.op {
            Op::Conv(conv) => {
                let weight = node.input(1).and_then(|name| self.graph.constants.get(name));
                (conv, weight.and_then(|weight| weight.dims().get(axis + 2)).copied())
            }
            Op::Pool(pool) => (&pool.window, pool.kernel.get(axis).copied()),
            _ => return false,
        };
        let at = |list: &[usize], axis: usize, or: usize| list.get(axis).copied().unwrap_or(or);
        let pads = at(&window.pads, axis, 0) + at(&window.pads, axis + window.pads.len() / 2, 0);
        let reach = kernel.map(|kernel| kernel.saturating_sub(1).saturating_mul(at(&window.dilations, axis, 1)));
        let is_same = matches!(window.auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
        at(&window.strides, axis, 1) == 1 && (is_same || reach == Some(pads))
    }

    /// The one input of a node that keeps its axes, if the node keeps them.
    fn kept(&self, node: &'g Node) -> Option<&'g str> {
        let constant = |i: usize| node.input(i).is_some_and(|n| self.graph.constants.contains_key(n));
        match &node.op {
            Op::Activation(_) | Op::Unary(_) | Op::Identity | Op::Clip | Op::Cast { .. } => node.input(0),
            Op::LayerNormalization { axis: -1, .. } | Op::Softmax { axis: -1 } | Op::LogSoftmax { axis: -1 } => {
                node.input(0)
            }
            Op::MatMul if constant(1) => node.input(0),
            Op::Binary(Binary::Add | Binary::Mul | Binary::Sub | Binary::Div) if constant(1) => node.input(0),
            Op::Binary(Binary::Add | Binary::Mul) if constant(0) => node.input(1),
            Op::Gather { axis: 0 } if constant(0) => node.input(1),
            _ => None,
        }
    }
}

fn sequence(graph: &Graph) -> Option<Sequence> {
    let links = Links::new(graph);
    let (layer, first) =
        graph.nodes.iter().find_map(|n| if let Op::Recurrent(l) = &n.op { Some((l, n)) } else { None })?;
    let (mut time, mut batch) = if layer.batch_first { (1, 0) } else { (0, 1) };
    let mut value = first.input(0)?;
    let mut is_whole = true;
    // Back to an input: what a transpose did is undone.
    for _ in 0..graph.nodes.len() {
        let Some(node) = links.makers.get(value) else { break };
        value = match &node.op {
            Op::Transpose { perm: Some(perm) } => {
                (time, batch) = (*perm.get(time)?, *perm.get(batch)?);
                node.input(0)?
            }
            // Windows over time; with states among inputs and outputs they carry on from run to run, which is a step then.
            Op::Conv(_) | Op::Pool(_) if batch == 0 && time >= 2 && graph.states.is_empty() => {
                is_whole &= links.keeps_length(node, time - 2);
                node.input(0)?
            }
            Op::BatchNormalization { .. } | Op::Pad { .. } => node.input(0)?,
            // Parts of an activation that was written out.
            Op::Binary(Binary::Add | Binary::Mul | Binary::Sub | Binary::Div) => {
                links.kept(node).or_else(|| node.input(0))?
            }
            _ => links.kept(node)?,
        }
    }
    let port = graph.inputs.iter().find(|p| p.name == value)?;
    let dims = port.dims.as_ref()?;
    // With one step a run there is no time axis.
    if dims.get(time)? == &Dim::Fixed(1) && !graph.states.is_empty() {
        return None;
    }
    let is_output = |port: &&Port| is_whole && axes(&links, port) == Some((time, batch));
    let output = graph.outputs.iter().find(is_output).map(|port| port.name.clone());
    Some(Sequence { input: value.into(), time: Some(time), batch: Some(batch), output })
}

/// Where time and batch are in an output that has both; found from the recurrent layer on.
fn axes(links: &Links, port: &Port) -> Option<(usize, usize)> {
    let mut chain = Vec::new();
    let mut value = port.name.as_str();
    let (mut time, mut batch, mut rank) = loop {
        let node = links.makers.get(value)?;
        if let Op::Recurrent(layer) = &node.op {
            if node.output(0) != Some(value) {
                return None;
            }
            break if layer.batch_first { (1, 0, 4) } else { (0, 2, 4) };
        }
        chain.push(*node);
        value = match &node.op {
            Op::Transpose { .. } | Op::Squeeze | Op::Reshape { .. } => node.input(0)?,
            _ => links.kept(node)?,
        };
        if chain.len() > links.graph.nodes.len() {
            return None;
        }
    };
    for node in chain.into_iter().rev() {
        let numbers = || links.graph.constants.get(node.input(1)?)?.as_i64();
        match &node.op {
            Op::Transpose { perm: Some(perm) } => {
                let at = |axis: usize| perm.iter().position(|p| *p == axis);
                (time, batch) = (at(time)?, at(batch)?);
            }
            Op::Squeeze => {
                let gone: Vec<usize> =
                    numbers()?.iter().filter_map(|a| usize::try_from(a.rem_euclid(rank)).ok()).collect();
                let after = |axis: usize| axis - gone.iter().filter(|g| **g < axis).count();
                (time, batch, rank) = (after(time), after(batch), rank - gone.len() as i64);
            }
            // Kept axes, then all the rest in one.
            Op::Reshape { .. } => {
                let shape = numbers()?;
                let kept = shape.iter().take_while(|d| **d == 0).count();
                if time >= kept || batch >= kept {
                    return None;
                }
                rank = shape.len() as i64;
            }
            Op::Transpose { .. } => return None,
            _ => {}
        }
    }
    Some((time, batch))
}

/// Which of a recurrent layer's states a value is, or is made of: h, c.
type Kinds = BTreeSet<usize>;

fn states(graph: &Graph) -> Vec<State> {
    let mut pairs = by_layers(graph);
    if pairs.is_empty() {
        pairs = by_names(graph);
    }
    pairs
        .into_iter()
        .map(|(input, output)| State { batch: batch(input), input: input.name.clone(), output, initial: None })
        .collect()
}

/// The axis of a state whose size is not fixed; none where there are several.
fn batch(port: &Port) -> Option<usize> {
    let dims = port.dims.as_ref()?;
    let mut free = (0..dims.len()).filter(|i| dims[*i].fixed().is_none());
    let first = free.next();
    if free.next().is_some() { None } else { first }
}

/// An input that becomes the initial state of layers, and the output of the same dimensions that their final state becomes.
fn by_layers(graph: &Graph) -> Vec<(&Port, String)> {
    let links = Links::new(graph);
    let mut inputs: BTreeMap<&str, Kinds> = BTreeMap::new();
    for node in graph.nodes.iter().filter(|n| matches!(n.op, Op::Recurrent(_))) {
        for kind in [5, 6] {
            if let Some(name) = node.input(kind) {
                for input in sources(&links, name).0 {
                    inputs.entry(input).or_default().insert(kind - 4);
                }
            }
        }
    }
    let sequences: BTreeSet<&str> = graph
        .nodes
        .iter()
        .filter(|n| matches!(n.op, Op::Recurrent(_)))
        .flat_map(|n| n.input(0).map(|x| sources(&links, x).0).unwrap_or_default())
        .collect();
    let mut pairs = Vec::new();
    for port in graph.inputs.iter().filter(|p| !sequences.contains(p.name.as_str())) {
        let Some(kinds) = inputs.get(port.name.as_str()) else { continue };
        let fits = |output: &&Port| output.dtype == port.dtype && &sources(&links, &output.name).1 == kinds;
        let mut outputs = graph.outputs.iter().filter(fits);
        let alone = inputs.values().filter(|k| *k == kinds).count() == 1;
        if let (Some(output), None, true) = (outputs.next(), outputs.next(), alone) {
            pairs.push((port, output.name.clone()));
        }
    }
    pairs
}

/// The inputs a value is made of, not through a recurrent layer, and of which outputs of layers it is made.
fn sources<'g>(links: &Links<'g>, name: &str) -> (BTreeSet<&'g str>, Kinds) {
    let (mut inputs, mut kinds, mut seen) = (BTreeSet::new(), Kinds::new(), BTreeSet::new());
    let mut open = vec![name.to_string()];
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        if let Some(port) = links.graph.inputs.iter().find(|p| p.name == name) {
            inputs.insert(port.name.as_str());
        }
        let Some(node) = links.makers.get(name.as_str()) else { continue };
        match &node.op {
            Op::Recurrent(_) => {
                kinds.extend(node.outputs.iter().position(|o| *o == name));
            }
            // Only the size of the input counts.
            Op::Shape { .. } | Op::Size => {}
            _ => open.extend(node.inputs.iter().filter(|i| !i.is_empty()).cloned()),
        }
    }
    (inputs, kinds)
}

/// An input `state` and an output of the same dimensions that is called the new one of that name.
fn by_names(graph: &Graph) -> Vec<(&Port, String)> {
    let mut pairs = Vec::new();
    for port in &graph.inputs {
        let name = port.name.as_str();
        let base = name.strip_suffix("_in").or_else(|| name.strip_suffix("_prev")).unwrap_or(name);
        let names: Vec<String> =
            ["N", "n", "_n", "_out", "_next", "_new"].iter().map(|s| format!("{base}{s}")).collect();
        let rank = |p: &Port| p.dims.as_ref().map(Vec::len);
        let fits = |o: &&Port| {
            names.contains(&o.name)
                && o.dtype == port.dtype
                && (rank(o).is_none() || rank(o) == rank(port))
                && rank(port) > Some(1)
        };
        if let Some(output) = graph.outputs.iter().find(fits) {
            pairs.push((port, output.name.clone()));
        }
    }
    pairs
}
