//! From a causal graph to a machine that computes it step by step.
//!
//! A graph over sequences is read once with a length no dimension of a network has, so that dimensions which are multiples
//! of it are time wherever a reshape puts them. What depends on later steps is refused by the node's name: a machine
//! computes the numbers of the whole sequence or nothing.

mod flow;
mod lowerer;
mod node;
mod pointwise;
mod product;
pub(crate) mod record;
mod recurrent;
mod shape;
mod stepper;
mod window;

use std::collections::{BTreeMap, HashMap};

use elman_step::Precision;
use elman_step::machine::{Pace, Value};

use crate::error::Result;
use crate::graph::{Body, Dim, Graph, Node, Op, Port, State};
use crate::quantize::precision_of;
use crate::tensor::Tensor;
use flow::{Data, Flow, Lowered, When};
use lowerer::{Lowerer, PROBE, missing, refused};
use record::{Recorder, Recording};
pub use stepper::{StepPort, Stepper};

/// How a graph is lowered.
#[derive(Debug, Clone, Default)]
pub struct StepOptions {
    /// Storage of the weights; float32, the default, leaves it to the graph, which [`Graph::quantize`] may have rounded.
    pub precision: Precision,
    /// Inputs that are the same in every step, such as a sample rate, by name.
    pub fixed: BTreeMap<String, Tensor>,
    /// Dimensions of inputs where the graph leaves them open, by name; ignored on the axes of time and batch.
    pub dims: BTreeMap<String, Vec<usize>>,
}

impl Graph {
    /// The machine that computes the graph step by step, for any number of sequences one after another.
    ///
    /// If [`Graph::sequence`] names a time axis, a step of the machine is one step of it. A graph without one whose runs
    /// hand on states is a step itself.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) with the node's name if a step needs later ones, or something that does
    /// not run in steps.
    pub fn lower(&self, options: &StepOptions) -> Result<Stepper> {
        Ok(self.lower_and_record(options, false)?.0)
    }

    /// The machine and, if wanted, the instructions it was built of.
    pub(crate) fn lower_and_record(&self, options: &StepOptions, keep: bool) -> Result<(Stepper, Option<Recording>)> {
        let precision = match options.precision {
            Precision::F32 => precision_of(self),
            given => given,
        };
        let mut lowerer = Lowerer {
            graph: self,
            builder: Recorder::new(precision, keep),
            values: HashMap::new(),
            uses: uses(self),
            timed: false,
            time_name: None,
        };
        let (inputs, states) = lowerer.inputs(options)?;
        lowerer.nodes(&self.nodes)?;
        lowerer.finish(inputs, states)
    }
}

/// How often each value is read.
fn uses(graph: &Graph) -> HashMap<String, usize> {
    fn count(nodes: &[Node], uses: &mut HashMap<String, usize>) {
        let body = |body: &Body, uses: &mut HashMap<String, usize>| {
            count(&body.nodes, uses);
            body.outputs.iter().for_each(|name| *uses.entry(name.clone()).or_default() += 1);
        };
        for node in nodes {
            node.inputs.iter().for_each(|name| *uses.entry(name.clone()).or_default() += 1);
            match &node.op {
                Op::If { then_branch, else_branch } => {
                    body(then_branch, uses);
                    body(else_branch, uses);
                }
                Op::Loop { body: inner } | Op::Scan { body: inner, .. } => body(inner, uses),
                _ => {}
            }
        }
    }
    let mut uses = HashMap::new();
    count(&graph.nodes, &mut uses);
    graph.outputs.iter().for_each(|port| *uses.entry(port.name.clone()).or_default() += 1);
    uses
}

/// A state of the graph in the machine.
struct Carried<'g> {
    of: &'g State,
    dims: Vec<usize>,
    value: Value,
}

impl<'g> Lowerer<'g> {
    /// Declares inputs, states and constants.
    fn inputs(&mut self, options: &StepOptions) -> Result<(Vec<StepPort>, Vec<Carried<'g>>)> {
        let graph = self.graph;
        let sequence = graph.sequence.as_ref();
        if sequence.is_none() && graph.states.is_empty() {
            return Err(refused("the network", "it does not say which axis of its input is time, so it has no steps"));
        }
        let time_of = |port: &Port| sequence.filter(|s| s.input == port.name).and_then(|s| s.time);
        let batch_of = |port: &Port| sequence.filter(|s| s.input == port.name).and_then(|s| s.batch);
        if let Some(sequence) = sequence {
            let main = port(&graph.inputs, &sequence.input)?;
            self.timed = sequence.time.is_some();
            self.time_name = match (&main.dims, sequence.time) {
                (Some(dims), Some(axis)) => match dims.get(axis) {
                    Some(Dim::Named(name)) if !name.is_empty() => Some(name.clone()),
                    Some(_) => None,
                    None => return Err(refused(&main.name, format!("it has no time axis {axis}"))),
                },
                _ => None,
            };
        }
        let (mut ports, mut states) = (Vec::new(), Vec::new());
        for input in &graph.inputs {
            if let Some(tensor) = options.fixed.get(&input.name) {
                self.values.insert(input.name.clone(), Lowered::Known { tensor: tensor.clone(), of_time: false });
            } else if !graph.states.iter().any(|state| state.input == input.name) {
                let time = time_of(input).or_else(|| self.time_axis(input));
                if self.timed && time.is_none() {
                    return Err(refused(&input.name, "this input has no time axis; give its value for all steps"));
                }
                let batch = batch_of(input);
                let dims = self.dims(input, time, batch, options.dims.get(&input.name))?;
                let step = flow::step_dims(&dims, time);
                let value = self.builder.input(flow::count(&step)).map_err(|e| refused(&input.name, e.to_string()))?;
                let when = match time {
                    Some(axis) => When::Timed(axis, Pace::EACH),
                    None => When::Run,
                };
                let flow = Flow { dtype: input.dtype, dims, when, lead: 0, data: Data::Value(value) };
                self.values.insert(input.name.clone(), Lowered::Flow(flow));
                let (name, pace) = (input.name.clone(), Pace::EACH);
                ports.push(StepPort { name, dtype: input.dtype, dims: step, time, batch, pace });
            }
        }
        for state in &graph.states {
            let input = port(&graph.inputs, &state.input)?;
            let initial = match &state.initial {
                Some(name) => Some(graph.constants.get(name).ok_or_else(|| missing(name, &input.name))?),
                None => None,
            };
            let dims = match initial {
                Some(tensor) => tensor.dims().to_vec(),
                None => self.dims(input, None, state.batch, options.dims.get(&input.name))?,
            };
            let initial = initial.map_or_else(|| vec![0.0; flow::count(&dims)], Tensor::to_f32);
            let value = self.builder.state(&initial);
            let when = if self.timed { When::Before } else { When::Run };
            let flow = Flow { dtype: input.dtype, dims: dims.clone(), when, lead: 0, data: Data::Value(value) };
            self.values.insert(input.name.clone(), Lowered::Flow(flow));
            states.push(Carried { of: state, dims, value });
        }
        for (name, tensor) in &graph.constants {
            let known = Lowered::Known { tensor: tensor.clone(), of_time: false };
            self.values.entry(name.clone()).or_insert(known);
        }
        Ok((ports, states))
    }

    /// The axis of another input that has the name of the main input's time axis.
    fn time_axis(&self, input: &Port) -> Option<usize> {
        let name = self.time_name.as_ref()?;
        input.dims.as_ref()?.iter().position(|dim| matches!(dim, Dim::Named(other) if other == name))
    }

    /// Dimensions of an input, with one sequence and the probe as length.
    fn dims(
        &self,
        input: &Port,
        time: Option<usize>,
        batch: Option<usize>,
        given: Option<&Vec<usize>>,
    ) -> Result<Vec<usize>> {
        let dims = match (&input.dims, given) {
            (Some(dims), Some(given)) if dims.len() != given.len() => {
                return Err(refused(&input.name, format!("it has {} axes, not {}", dims.len(), given.len())));
            }
            (Some(dims), _) => dims.clone(),
            (None, Some(given)) => given.iter().map(|n| Dim::Fixed(*n)).collect(),
            (None, None) => return Err(refused(&input.name, "the dimensions of this input are not known")),
        };
        dims.iter()
            .enumerate()
            .map(|(axis, dim)| match (dim, given) {
                _ if Some(axis) == time => Ok(PROBE),
                _ if Some(axis) == batch => Ok(1),
                (Dim::Fixed(n), _) => Ok(*n),
                (Dim::Named(_), Some(given)) => Ok(given[axis]),
                (Dim::Named(name), None) => Err(refused(&input.name, format!("its dimension {name:?} is not known"))),
            })
            .collect()
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<()> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn finish(mut self, inputs: Vec<StepPort>, states: Vec<Carried>) -> Result<(Stepper, Option<Recording>)> {
        let graph = self.graph;
        let mut outputs = Vec::new();
        for output in &graph.outputs {
            let state = states.iter().find(|state| state.of.output == output.name);
            let flow = match self.get(&output.name, &output.name)? {
                Lowered::Flow(flow) => flow,
                Lowered::Known { of_time: true, .. } => {
                    return Err(refused(&output.name, "this output depends on the length of the sequence alone"));
                }
                Lowered::Known { tensor, .. } => self.constant(&tensor)?,
            };
            let value = self.value(&flow)?;
            if let Some(state) = state {
                if matches!(flow.when, When::Timed(..)) {
                    return Err(refused(&output.name, "this state has a value for every step of the sequence"));
                }
                let carry = self.builder.carry(state.value, value);
                carry.map_err(|e| refused(&output.name, e.to_string()))?;
                continue;
            }
            if flow.lead != 0 {
                return Err(refused(&output.name, "this output has more steps than the input"));
            }
            self.builder.output(value);
            let (time, dims) = (flow.when.axis(), flow.step_dims());
            let (name, pace) = (output.name.clone(), flow.when.pace());
            outputs.push(StepPort { name, dtype: flow.dtype, dims, time, batch: None, pace });
        }
        for output in &mut outputs {
            output.batch = batch_axis(graph, output);
        }
        let (machine, recording) = self.builder.finish().map_err(|e| refused("the network", e.to_string()))?;
        let states = states.into_iter().map(|s| (s.of.clone(), s.dims)).collect();
        Ok((Stepper::new(machine, inputs, outputs, states, !self.timed), recording))
    }
}

/// The batch axis of an output: that of the same name as the input's or, by habit, on the same axis, counted without that of
/// time where the output has none.
fn batch_axis(graph: &Graph, output: &StepPort) -> Option<usize> {
    let sequence = graph.sequence.as_ref()?;
    let axis = sequence.batch?;
    let is_one = |axis: &usize| output.dims.get(*axis) == Some(&1);
    let main = graph.inputs.iter().find(|port| port.name == sequence.input)?;
    let name = main.dims.as_ref().and_then(|dims| dims.get(axis)).filter(|dim| **dim != Dim::from(""));
    let port = graph.outputs.iter().find(|port| port.name == output.name);
    let named = name.filter(|name| matches!(name, Dim::Named(_))).zip(port.and_then(|port| port.dims.as_ref()));
    let named = named.and_then(|(name, dims)| dims.iter().position(|dim| dim == name)).filter(is_one);
    let pooled = output.time.is_none() && sequence.time.is_some_and(|time| time < axis);
    named.or_else(|| Some(axis - usize::from(pooled)).filter(is_one))
}

fn port<'p>(ports: &'p [Port], name: &str) -> Result<&'p Port> {
    ports.iter().find(|port| port.name == name).ok_or_else(|| missing(name, "the network"))
}
