//! One step of a graph, with its states among inputs and outputs.

use std::collections::BTreeSet;

use super::refused;
use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Node, Op, Port, State};
use crate::lower::StepOptions;
use crate::lower::record::Carrier;
use crate::tensor::{Dtype, Tensor};

/// The graph for sequences of one step, whose states are inputs (`h`, `c`) and outputs (`hn`, `cn`): what a runtime that
/// knows no streams calls once per step. Several layers have `h_0`, `h_1`, …; causal convolutions carry the steps before
/// this one as `before`.
///
/// # Errors
/// As [`Graph::lower`]; a mean, sum or extreme of all steps, which has no step of its own.
pub fn stateful(graph: &Graph, options: &StepOptions) -> Result<Graph> {
    let (stepper, recording) = graph.lower_and_record(options, true)?;
    let carriers = recording.map(|recording| recording.carriers).unwrap_or_default();
    // A graph whose runs are steps is one already.
    let Some(sequence) = graph.sequence.clone().filter(|sequence| sequence.time.is_some()) else {
        return Ok(graph.clone());
    };
    let main = graph.inputs.iter().find(|port| port.name == sequence.input);
    let batch = sequence.batch.and_then(|axis| main?.dims.as_ref()?.get(axis).cloned());
    let mut change = Change {
        names: names(graph),
        graph: graph.clone(),
        batch: batch.unwrap_or(Dim::Fixed(1)),
        recurrent: carriers.iter().filter(|c| matches!(c, Carrier::Recurrent { .. })).count(),
        done: 0,
    };
    for carrier in carriers {
        match carrier {
            Carrier::Recurrent { outputs, h, c, width } => change.recurrent(&outputs, h, c, width)?,
            Carrier::Frames { outputs, axis, dims } => change.frames(&outputs, axis, dims)?,
            Carrier::Thinned { part } => {
                return Err(refused(&part, "it has fewer outputs than steps, and a single step has one of each"));
            }
            Carrier::Running { part } => {
                return Err(refused(&part, "it takes the mean, sum or extreme of all steps, which has no single step"));
            }
        }
    }
    // Sequences have one step.
    let timed = stepper.inputs().iter().chain(stepper.outputs()).filter_map(|port| Some((&port.name, port.time?)));
    for (name, axis) in timed {
        let ports = change.graph.inputs.iter_mut().chain(&mut change.graph.outputs);
        let dims = ports.filter(|port| port.name == *name).filter_map(|port| port.dims.as_mut()?.get_mut(axis));
        dims.for_each(|dim| *dim = Dim::Fixed(1));
    }
    Ok(change.graph)
}

/// Every name of a value.
fn names(graph: &Graph) -> BTreeSet<String> {
    let ports = graph.inputs.iter().chain(&graph.outputs).map(|port| port.name.clone());
    let values = graph.nodes.iter().flat_map(|node| node.outputs.iter().chain(&node.inputs).cloned());
    ports.chain(values).chain(graph.constants.keys().cloned()).collect()
}

struct Change {
    graph: Graph,
    names: BTreeSet<String>,
    batch: Dim,
    /// Recurrent layers in all, and those done.
    recurrent: usize,
    done: usize,
}

impl Change {
    fn unique(&mut self, hint: &str) -> String {
        let mut name = hint.to_string();
        let mut n = 1;
        while !self.names.insert(name.clone()) {
            n += 1;
            name = format!("{hint}_{n}");
        }
        name
    }

    fn find(&self, outputs: &[String]) -> Result<usize> {
        let found = self.graph.nodes.iter().position(|node| node.outputs == outputs);
        let name = outputs.iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
        found.ok_or_else(|| refused(&name, "it stands in a branch, and its state cannot leave it"))
    }

    fn recurrent(&mut self, outputs: &[String], h: Option<Tensor>, c: Option<Tensor>, width: usize) -> Result<()> {
        let at = self.find(outputs)?;
        let Op::Recurrent(of) = &self.graph.nodes[at].op else {
            return Err(Error::malformed("a layer", "not recurrent"));
        };
        let (hidden, batch_first, name) = (of.hidden, of.batch_first, self.graph.nodes[at].name.clone());
        let lstm = matches!(of.cell, crate::graph::Cell::Lstm { .. });
        if self.graph.nodes[at].input(9).is_some() {
            return Err(refused(&name, "its mask is for whole sequences"));
        }
        // Lengths of sequences were those of the whole.
        if let Some(lens) = self.graph.nodes[at].inputs.get_mut(4) {
            lens.clear();
        }
        let suffix = if self.recurrent > 1 { format!("_{}", self.done) } else { String::new() };
        self.done += 1;
        let mut parts = vec![("h", h, width, 5, 1)];
        if lstm {
            parts.push(("c", c, hidden, 6, 2));
        }
        for (letter, initial, width, input, output) in parts {
            let (before, after) =
                (self.unique(&format!("{letter}{suffix}")), self.unique(&format!("{letter}n{suffix}")));
            let node = &mut self.graph.nodes[at];
            if node.inputs.len() <= input {
                node.inputs.resize(input + 1, String::new());
            }
            if node.outputs.len() <= output {
                node.outputs.resize(output + 1, String::new());
            }
            node.inputs[input].clone_from(&before);
            let own = node.outputs[output].clone();
            if own.is_empty() {
                self.graph.nodes[at].outputs[output].clone_from(&after);
            } else {
                let copy =
                    Node { name: after.clone(), op: Op::Identity, inputs: vec![own], outputs: vec![after.clone()] };
                self.graph.nodes.push(copy);
            }
            let (dims, axis, shape) = if batch_first {
                (vec![self.batch.clone(), 1.into(), width.into()], 0, [1, 1, width])
            } else {
                (vec![1.into(), self.batch.clone(), width.into()], 1, [1, 1, width])
            };
            self.state(before, after, dims, axis, initial.map(|initial| initial.reshaped(shape)).transpose()?);
        }
        Ok(())
    }

    /// A state, whose value before the first step is zero unless given.
    fn state(&mut self, before: String, after: String, dims: Vec<Dim>, axis: usize, initial: Option<Tensor>) {
        let initial = initial.filter(|tensor| tensor.to_f32().iter().any(|x| *x != 0.0));
        let initial = initial.map(|tensor| {
            let name = self.unique(&format!("{before}.initial"));
            self.graph.constants.insert(name.clone(), tensor);
            name
        });
        self.graph.inputs.push(Port::new(&before, Dtype::F32, dims.clone()));
        self.graph.outputs.push(Port::new(&after, Dtype::F32, dims));
        self.graph.states.push(State { input: before, output: after, initial, batch: Some(axis) });
    }

    /// Steps before this one in front of it, instead of zeros.
    fn frames(&mut self, outputs: &[String], axis: usize, dims: Vec<usize>) -> Result<()> {
        let at = self.find(outputs)?;
        let x = self.graph.nodes[at].inputs.first().cloned().unwrap_or_default();
        let (before, after) = (self.unique("before"), self.unique("before_n"));
        let joint = self.unique(&format!("{x}.joint"));
        let name = self.graph.nodes[at].name.clone();
        let concat = Node {
            name: name.clone(),
            op: Op::Concat { axis: axis as i64 },
            inputs: vec![before.clone(), x],
            outputs: vec![joint.clone()],
        };
        let node = &mut self.graph.nodes[at];
        match &mut node.op {
            Op::Conv(conv) => {
                if let Some(pad) = conv.pads.get_mut(axis - 2) {
                    *pad = 0;
                }
                node.inputs[0].clone_from(&joint);
            }
            _ => {
                node.op = Op::Identity;
                node.inputs = vec![joint.clone()];
            }
        }
        let mut slice = vec![joint];
        for (what, value) in [("starts", -(dims[axis] as i64)), ("ends", i64::MAX), ("axes", axis as i64)] {
            let constant = self.unique(&format!("{after}.{what}"));
            self.graph.constants.insert(constant.clone(), Tensor::from_i64([1], vec![value])?);
            slice.push(constant);
        }
        let last = Node { name, op: Op::Slice, inputs: slice, outputs: vec![after.clone()] };
        self.graph.nodes.insert(at + 1, last);
        self.graph.nodes.insert(at, concat);
        // Sequences are the first axis, or the second where time is the first.
        let batch = usize::from(axis == 0);
        let dims = dims.iter().enumerate().map(|(i, n)| if i == batch { self.batch.clone() } else { (*n).into() });
        self.state(before, after, dims.collect(), batch, None);
        Ok(())
    }
}
