//! Running graphs over whole sequences, with dimensions as they come.

mod broadcast;
mod compile;
mod control;
mod conv;
mod elementwise;
mod evaluate;
mod layout;
mod product;
mod recurrent;
mod reduce;

use crate::error::{Error, Result};
use crate::graph::{Dim, Graph, Port};
use crate::tensor::{Dtype, Tensor};
use compile::{Block, Compiled};

/// A graph ready to run: constants folded, weights packed once, values dropped after their last use.
///
/// ```
/// use elman_graph::{Activation, Builder, Dtype, Interpreter, Tensor};
/// let mut b = Builder::new("");
/// let x = b.input("x", Dtype::F32, ["T".into(), 1.into()]);
/// let y = b.dense("dense", &x, Tensor::from_f32([1, 2], vec![2.0, 3.0])?, None)?;
/// b.output("y", &y);
/// let mut run = Interpreter::new(b.finish()?)?;
/// let y = run.run(&[Tensor::from_f32([2, 1], vec![1.0, -1.0])?])?;
/// assert_eq!(y[0].as_f32(), Some(&[2.0, 3.0, -2.0, -3.0][..]));
/// # Ok::<(), elman_graph::Error>(())
/// ```
pub struct Interpreter {
    graph: Graph,
    block: Block,
    /// Values by number; constants stay.
    slots: Vec<Option<Tensor>>,
    /// Numbers of the inputs and outputs.
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

impl Interpreter {
    /// Prepares a graph.
    ///
    /// # Errors
    /// If a node reads a value that is not there, or a constant part cannot be computed.
    pub fn new(graph: Graph) -> Result<Self> {
        let Compiled { block, slots, inputs, outputs } = compile::compile(&graph)?;
        Ok(Interpreter { graph, block, slots, inputs, outputs })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Runs the graph on its inputs, in order; states are among them. Returns its outputs, in order.
    ///
    /// # Errors
    /// If an input's type or dimensions do not fit, or a node cannot compute with what it is given; the error names it.
    pub fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        if inputs.len() != self.graph.inputs.len() {
            let names: Vec<&str> = self.graph.inputs.iter().map(|p| p.name.as_str()).collect();
            let reason = format!("{} were given", inputs.len());
            return Err(Error::Input { name: names.join(", "), reason });
        }
        for (port, tensor) in self.graph.inputs.iter().zip(inputs) {
            check(port, tensor)?;
        }
        for (slot, tensor) in self.inputs.iter().zip(inputs) {
            self.slots[*slot] = Some(tensor.clone());
        }
        let done = self.block.run(&mut self.slots);
        let outputs = done.and_then(|()| {
            let value = |(slot, port): (&usize, &Port)| {
                self.slots[*slot].clone().ok_or_else(|| Error::malformed(&port.name, "nothing computed it"))
            };
            self.outputs.iter().zip(&self.graph.outputs).map(value).collect()
        });
        self.block.clear(&mut self.slots);
        for slot in &self.inputs {
            self.slots[*slot] = None;
        }
        outputs
    }

    /// The value of every state before the first run, for `batch` sequences, in the order of [`Graph::states`].
    ///
    /// # Errors
    /// If a state's dimensions are not known.
    pub fn initial_states(&self, batch: usize) -> Result<Vec<Tensor>> {
        self.graph.states.iter().map(|state| self.graph.initial_state(state, batch)).collect()
    }
}

/// A given input against what the graph says of it. Equal names are not compared: exporters give one name to two sizes.
fn check(port: &Port, tensor: &Tensor) -> Result<()> {
    let refuse = |reason: String| Err(Error::Input { name: port.name.clone(), reason });
    if tensor.dtype() != port.dtype {
        return refuse(format!("it is {}, but {} is needed", tensor.dtype(), port.dtype));
    }
    let Some(dims) = &port.dims else { return Ok(()) };
    let fits = dims.len() == tensor.dims().len()
        && dims.iter().zip(tensor.dims()).all(|(want, got)| want.fixed().is_none_or(|n| n == *got));
    if fits {
        return Ok(());
    }
    let want: Vec<String> = dims
        .iter()
        .map(|d| match d {
            Dim::Fixed(n) => n.to_string(),
            Dim::Named(name) if name.is_empty() => "?".into(),
            Dim::Named(name) => name.clone(),
        })
        .collect();
    refuse(format!("it is {:?}, but [{}] is needed", tensor.dims(), want.join(", ")))
}

impl Graph {
    /// A state's value before the first run, for `batch` sequences.
    ///
    /// # Errors
    /// If its dimensions are not known.
    pub fn initial_state(&self, state: &crate::graph::State, batch: usize) -> Result<Tensor> {
        let port = self.inputs.iter().find(|p| p.name == state.input);
        let port = port.ok_or_else(|| Error::malformed(&state.input, "a state that is no input"))?;
        if let Some(initial) = state.initial.as_ref() {
            let initial = self.constants.get(initial);
            let initial = initial.ok_or_else(|| Error::malformed(&state.input, "its initial value is missing"))?;
            let Some(axis) = state.batch.filter(|_| batch != 1) else { return Ok(initial.clone()) };
            return layout::concat(&vec![initial.clone(); batch], axis as i64);
        }
        let dims = port.dims.as_deref().unwrap_or_default();
        let size = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Fixed(n) => Ok(*n),
            Dim::Named(_) if Some(axis) == state.batch => Ok(batch),
            Dim::Named(name) => {
                Err(Error::malformed(&state.input, format!("the size {name:?} of a state is not known")))
            }
        };
        let dims = dims.iter().enumerate().map(size).collect::<Result<Vec<_>>>()?;
        layout::expand(&zero(port.dtype)?, &Tensor::from_i64([dims.len()], dims.iter().map(|d| *d as i64).collect())?)
    }
}

/// A scalar 0.
fn zero(dtype: Dtype) -> Result<Tensor> {
    Tensor::from_f32([], vec![0.0])?.cast(dtype)
}

/// The transpose.
pub(crate) fn reverse_axes(x: &Tensor) -> Result<Tensor> {
    layout::transpose(x, None)
}

/// One operator on constant inputs; `outputs` of its results at least are wanted.
pub(crate) fn evaluate_op(op: &crate::graph::Op, inputs: Vec<Option<Tensor>>, outputs: usize) -> Result<Vec<Tensor>> {
    let constant = vec![true; inputs.len()];
    evaluate::evaluate(op, inputs, &constant, outputs, &mut evaluate::Kept::default())
}
