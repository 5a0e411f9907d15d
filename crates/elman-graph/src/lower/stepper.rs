//! A machine with the names and dimensions of the graph it was lowered from.

use std::sync::Arc;

use elman_step::machine::{Machine, Pace};

use crate::error::{Error, Result};
use crate::graph::State;
use crate::tensor::{Dtype, Tensor, Values};

/// An input or output of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPort {
    /// Name of the value.
    pub name: String,
    /// Element type in the graph; the machine's is always float32.
    pub dtype: Dtype,
    /// Dimensions of one step of one sequence: 1 on the axes of time and batch.
    pub dims: Vec<usize>,
    /// The axis of the steps in the whole value; `None` of an output that has one value, after the last step.
    pub time: Option<usize>,
    /// The axis of the sequences.
    pub batch: Option<usize>,
    /// The steps that bring a new value; in the others it is the last there was.
    pub pace: Pace,
}

impl StepPort {
    /// Values of one step.
    pub fn width(&self) -> usize {
        self.dims.iter().product()
    }

    /// The same with an axis of steps in front, where steps are runs of the graph.
    fn in_front(&self, stepped: bool) -> StepPort {
        let mut port = self.clone();
        if stepped {
            port.dims.insert(0, 1);
            (port.time, port.batch) = (Some(0), port.batch.map(|axis| axis + 1));
        }
        port
    }

    /// Where the values of step `t` of sequence `b` lie in the whole, of dimensions `dims`: for each run of adjacent
    /// values its beginning.
    fn places(&self, dims: &[usize], t: usize, b: usize) -> impl Iterator<Item = usize> {
        let mut strides = vec![1; dims.len()];
        for axis in (0..dims.len().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * dims[axis + 1];
        }
        let first = self.time.map_or(0, |axis| t * strides[axis]) + self.batch.map_or(0, |axis| b * strides[axis]);
        let step = self.dims.clone();
        (0..self.width()).map(move |mut i| {
            let mut at = first;
            for axis in (0..step.len()).rev() {
                at += i % step[axis] * strides[axis];
                i /= step[axis];
            }
            at
        })
    }
}

/// Inputs of a run.
struct Read {
    ports: Vec<StepPort>,
    /// Values and dimensions of each.
    whole: Vec<(Vec<f32>, Vec<usize>)>,
    steps: usize,
    rows: usize,
    /// Whether the steps are an axis in front of the others.
    stepped: bool,
}

/// The inputs of step `t` of sequence `b`, one after another.
fn gather(ports: &[StepPort], whole: &[(Vec<f32>, Vec<usize>)], t: usize, b: usize, x: &mut [f32]) {
    let places = ports
        .iter()
        .zip(whole)
        .flat_map(|(port, (values, dims))| port.places(dims, t, b).map(move |place| values[place]));
    x.iter_mut().zip(places).for_each(|(x, value)| *x = value);
}

/// A machine that computes a graph step by step.
#[derive(Debug, Clone)]
pub struct Stepper {
    machine: Machine,
    inputs: Vec<StepPort>,
    outputs: Vec<StepPort>,
    /// States of the graph, which are the first of the machine's, and their dimensions.
    states: Vec<(State, Vec<usize>)>,
    /// Whether a step is a run of the graph.
    runs: bool,
}

impl Stepper {
    pub(super) fn new(
        machine: Machine,
        inputs: Vec<StepPort>,
        outputs: Vec<StepPort>,
        states: Vec<(State, Vec<usize>)>,
        runs: bool,
    ) -> Self {
        Stepper { machine, inputs, outputs, states, runs }
    }

    /// The machine, in its current state.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// The machine alone, for programs that have no use for names.
    pub fn into_machine(self) -> Machine {
        self.machine
    }

    /// The inputs, in the order in which a step reads them.
    pub fn inputs(&self) -> &[StepPort] {
        &self.inputs
    }

    /// The outputs, in the order in which a step writes them.
    pub fn outputs(&self) -> &[StepPort] {
        &self.outputs
    }

    /// What [`Machine::step`] reads in every step of the first sequence of `inputs`, which are as for [`Self::run`]:
    /// `[T, I]`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn steps_of(&self, inputs: &[(String, Tensor)]) -> Result<Vec<f32>> {
        let Read { ports, whole, steps, .. } = self.read(inputs)?;
        let mut x = vec![0.0; steps * self.machine.input_width()];
        for (t, x) in x.chunks_exact_mut(self.machine.input_width()).enumerate() {
            gather(&ports, &whole, t, 0, x);
        }
        Ok(x)
    }

    /// Runs whole sequences step by step, each from the initial state or from the states given among the inputs. Returns
    /// the outputs of [`Self::outputs`], then the graph's states after the last step.
    ///
    /// Without a time axis every input may have one more axis in front, that of the steps; outputs then have it too.
    ///
    /// # Errors
    /// [`Error::Input`] if an input is missing or has other dimensions than the graph's.
    pub fn run(&mut self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let given = |name: &str| inputs.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
        let Read { ports: input_ports, whole, steps, rows, stepped } = self.read(inputs)?;
        let output_ports: Vec<StepPort> = self.outputs.iter().map(|port| port.in_front(stepped)).collect();
        if let Some(port) = output_ports.iter().find(|port| rows > 1 && port.batch.is_none()) {
            return Err(wrong(&port.name, "it has no axis for the sequences of a batch; give one sequence"));
        }
        let mut outputs: Vec<(Vec<f32>, Vec<usize>)> = output_ports
            .iter()
            .map(|port| {
                let mut dims = port.dims.clone();
                port.time.into_iter().for_each(|axis| dims[axis] = port.pace.values(steps));
                port.batch.into_iter().for_each(|axis| dims[axis] = rows);
                (vec![0.0; dims.iter().product()], dims)
            })
            .collect();
        let states = self.states.clone();
        let mut ends: Vec<Vec<f32>> = states.iter().map(|_| Vec::new()).collect();
        let mut x = vec![0.0; self.machine.input_width()];
        let mut y = vec![0.0; self.machine.output_width()];
        for b in 0..rows {
            self.start(&given, b, rows)?;
            for t in 0..steps {
                gather(&input_ports, &whole, t, b, &mut x);
                self.machine.step(&x, &mut y).map_err(|e| wrong(&input_ports[0].name, e.to_string()))?;
                let mut at = 0;
                for (port, (values, dims)) in output_ports.iter().zip(&mut outputs) {
                    // What has one value is that of the last step.
                    let t = if port.time.is_some() { port.pace.value_at(t) } else { Some(t) };
                    if let Some(t) = t {
                        port.places(dims, t, b).zip(&y[at..]).for_each(|(place, y)| values[place] = *y);
                    }
                    at += port.width();
                }
            }
            let (state, mut at) = (self.machine.state(), 0);
            for ((_, dims), end) in states.iter().zip(&mut ends) {
                let len = dims.iter().product::<usize>();
                end.extend_from_slice(&state[at..at + len]);
                at += len;
            }
        }
        let mut results = Vec::new();
        for (port, (values, dims)) in output_ports.iter().zip(outputs) {
            let tensor = Tensor::new(Dtype::F32, dims, Values::F32(Arc::new(values)))?.cast(port.dtype)?;
            results.push((port.name.clone(), tensor));
        }
        for ((state, dims), end) in states.iter().zip(ends) {
            results.push((state.output.clone(), joined(state, dims, &end, rows)?));
        }
        Ok(results)
    }

    /// Checks the inputs of a run.
    fn read(&self, inputs: &[(String, Tensor)]) -> Result<Read> {
        let given = |name: &str| inputs.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
        let (mut steps, mut rows) = (None, None);
        let mut whole = Vec::new();
        // Where a run is a step, steps are the axis in front of the others; without that axis there is one step.
        let ranks = |port: &StepPort| given(&port.name).is_some_and(|t| t.dims().len() == port.dims.len() + 1);
        let stepped = self.runs && self.inputs.iter().all(ranks);
        let ports: Vec<StepPort> = self.inputs.iter().map(|port| port.in_front(stepped)).collect();
        for port in &ports {
            let tensor = given(&port.name).ok_or_else(|| wrong(&port.name, "it is not given"))?;
            let mut want = port.dims.clone();
            if tensor.dims().len() != want.len() {
                return Err(wrong(&port.name, format!("it has {} axes, not {}", tensor.dims().len(), want.len())));
            }
            for (axis, size) in [(port.time, &mut steps), (port.batch, &mut rows)] {
                if let Some(axis) = axis {
                    let n = tensor.dims()[axis];
                    if *size.get_or_insert(n) != n {
                        return Err(wrong(&port.name, "it differs from the other inputs in steps or sequences"));
                    }
                    want[axis] = n;
                }
            }
            if tensor.dims() != want {
                return Err(wrong(&port.name, format!("its dimensions are {:?}, not {want:?}", tensor.dims())));
            }
            whole.push((tensor.to_f32(), want));
        }
        Ok(Read { ports, whole, steps: steps.unwrap_or(1), rows: rows.unwrap_or(1), stepped })
    }

    /// The initial state of a sequence.
    fn start<'t>(&mut self, given: &impl Fn(&str) -> Option<&'t Tensor>, b: usize, rows: usize) -> Result<()> {
        self.machine.reset();
        let mut state = self.machine.state();
        let mut at = 0;
        for (of, dims) in &self.states {
            let len = dims.iter().product::<usize>();
            if let Some(tensor) = given(&of.input) {
                let mut want = dims.clone();
                of.batch.into_iter().for_each(|axis| want[axis] = rows);
                if tensor.dims() != want {
                    let reason = format!("its dimensions are {:?}, not {want:?}", tensor.dims());
                    return Err(wrong(&of.input, reason));
                }
                let port = StepPort {
                    name: String::new(),
                    dtype: Dtype::F32,
                    dims: dims.clone(),
                    time: None,
                    batch: of.batch,
                    pace: Pace::EACH,
                };
                let values = tensor.to_f32();
                port.places(&want, 0, b).zip(&mut state[at..]).for_each(|(place, x)| *x = values[place]);
            }
            at += len;
        }
        self.machine.set_state(&state).map_err(|e| wrong("the states", e.to_string()))
    }
}

/// The states of all sequences, side by side on the batch axis.
fn joined(state: &State, dims: &[usize], ends: &[f32], rows: usize) -> Result<Tensor> {
    let mut whole = dims.to_vec();
    let Some(axis) = state.batch else {
        return Tensor::from_f32(whole, ends[ends.len() - dims.iter().product::<usize>()..].to_vec());
    };
    whole[axis] = rows;
    let port = StepPort {
        name: String::new(),
        dtype: Dtype::F32,
        dims: dims.to_vec(),
        time: None,
        batch: Some(axis),
        pace: Pace::EACH,
    };
    let mut values = vec![0.0; ends.len()];
    for (b, end) in ends.chunks_exact(port.width().max(1)).enumerate() {
        port.places(&whole, 0, b).zip(end).for_each(|(place, x)| values[place] = *x);
    }
    Tensor::from_f32(whole, values)
}

fn wrong(name: &str, reason: impl Into<String>) -> Error {
    Error::Input { name: name.into(), reason: reason.into() }
}
