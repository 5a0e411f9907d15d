//! A graph as a list of layers, for formats that are one.
//!
//! Nodes that only arrange axes are passed over; whether the list computes what the graph does is then tried on an input,
//! and a graph it does not compute is refused.

use crate::builder::{Builder, RecurrentWeights, Value};
use crate::error::Result;
use crate::graph::{Activation, Binary, Dim, Graph, Node, Op, Port, Recurrent, Reduce};
use crate::interpret::Interpreter;
use crate::tensor::{Dtype, Tensor};

use super::refused;

/// A layer and its name.
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a layer computes over `[.., features]`.
pub(super) enum Kind {
    /// Rows of `[V, E]`.
    Embedding(Tensor),
    /// All directions side by side.
    Recurrent(Box<(Recurrent, RecurrentWeights)>),
    /// `x W + b`: `[I, O]` and `[O]`.
    Dense(Tensor, Option<Tensor>),
    Activation(Activation),
    Softmax,
    /// The last step.
    Last,
    /// The final state of each direction.
    LastState,
    Mean,
    Max,
    /// Times a number.
    Gain(f32),
    /// Plus the input of the network.
    Skip,
}

/// A network that is a list of layers.
pub(super) struct Chain {
    pub(super) layers: Vec<Layer>,
    pub(super) input: Port,
    /// The axis of time, 0 or 1; the batch is the other.
    pub(super) time: usize,
}

impl Chain {
    /// The layers of a graph.
    ///
    /// # Errors
    /// If it is not a list of the layers that are known; the error names the node.
    pub(super) fn of(graph: &Graph) -> Result<Chain> {
        let chain = Walk::new(graph)?.chain()?;
        chain.compare(graph)?;
        Ok(chain)
    }

    /// Width of the input, or the number of tokens.
    pub(super) fn inputs(&self) -> usize {
        match self.layers.first() {
            Some(Layer { kind: Kind::Embedding(table), .. }) => table.dims()[0],
            _ => self.input.dims.as_ref().and_then(|dims| dims.last()?.fixed()).unwrap_or(0),
        }
    }

    /// The graph of the layers.
    fn graph(&self) -> Result<Graph> {
        let mut b = Builder::new("");
        let dims = self.input.dims.clone().unwrap_or_default();
        let input = b.input("x", self.input.dtype, dims);
        let mut x = input.clone();
        let mut state: Option<Value> = None;
        for layer in &self.layers {
            let name = &layer.name;
            x = match &layer.kind {
                Kind::Embedding(table) => b.embedding(name, &x, table.clone())?,
                Kind::Recurrent(both) => {
                    let (of, weights) = (both.0.clone(), both.1.clone());
                    let directions = of.direction.count();
                    let (y, h, _) = b.recurrent(name, &x, of.clone(), weights, None)?;
                    // [D, B, H] or [B, D, H] to [B, D * H].
                    let h = if of.batch_first { h } else { b.transpose(name, &h, &[1, 0, 2])? };
                    let width = h.width()? * directions;
                    let shape = b.constant(name, Tensor::from_i64([2], vec![-1, width as i64])?);
                    let flat = Op::Reshape { allow_zero: false };
                    state = Some(b.node(name, flat, &[&h, &shape], Dtype::F32, ["B".into(), width.into()]));
                    y
                }
                Kind::Dense(kernel, bias) => b.dense(name, &x, kernel.clone(), bias.clone())?,
                Kind::Activation(activation) => b.activation(name, &x, *activation),
                Kind::Softmax => b.softmax(name, &x),
                Kind::Last => b.take(name, &x, self.time as i64, -1)?,
                Kind::LastState => state.clone().ok_or_else(|| refused(name, "there is no state"))?,
                Kind::Mean => b.reduce(name, &x, Reduce::Mean, self.time as i64)?,
                Kind::Max => b.reduce(name, &x, Reduce::Max, self.time as i64)?,
                Kind::Gain(gain) => b.gain(name, &x, *gain)?,
                Kind::Skip => b.add(name, &x, &input)?,
            };
        }
        b.output("y", &x);
        b.finish()
    }

    /// Whether the layers compute what the graph does, on an input of five steps.
    fn compare(&self, graph: &Graph) -> Result<()> {
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        let dims = self.input.dims.clone().unwrap_or_default();
        let size = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Fixed(n) => *n,
            Dim::Named(_) if axis == self.time => 5,
            Dim::Named(_) => 2,
        };
        let dims: Vec<usize> = dims.iter().enumerate().map(size).collect();
        let n = dims.iter().product();
        let x = if self.input.dtype.is_int() {
            let vocab = self.inputs().max(1) as u32;
            Tensor::from_i64(dims, (0..n).map(|_| i64::from(next() % vocab)).collect())?.cast(self.input.dtype)?
        } else {
            let values = (0..n).map(|_| next() as f32 / 8_388_608.0 - 1.0).collect();
            Tensor::from_f32(dims, values)?.cast(self.input.dtype)?
        };
        let run = |graph: Graph| Interpreter::new(graph)?.run(std::slice::from_ref(&x));
        let (got, want) = (run(self.graph()?)?, run(graph.clone())?);
        let (Some(got), Some(want)) = (got.first(), want.first()) else {
            return Err(refused("the network", "it has no output"));
        };
        let near = got.len() == want.len()
            && got.to_f32().iter().zip(want.to_f32()).all(|(g, w)| (g - w).abs() <= 1e-4 * w.abs().max(1.0));
        if near { Ok(()) } else { Err(refused("the network", "it is not a list of layers, one after another")) }
    }
}

/// A walk from the input to the output.
struct Walk<'g> {
    graph: &'g Graph,
    /// The value reached so far, and the same before axes were arranged.
    at: String,
    layers: Vec<Layer>,
    input: Port,
    time: usize,
}

impl<'g> Walk<'g> {
    fn new(graph: &'g Graph) -> Result<Self> {
        let sequence = graph.sequence.as_ref();
        let sequence = sequence.ok_or_else(|| refused("the network", "it does not say which axis is time"))?;
        let input = graph.inputs.iter().find(|port| port.name == sequence.input);
        let input = input.ok_or_else(|| refused(&sequence.input, "there is no such input"))?;
        let (Some(time), Some(batch)) = (sequence.time, sequence.batch) else {
            return Err(refused(&input.name, "it has no axes of time and batch"));
        };
        if graph.inputs.len() != 1 {
            return Err(refused("the network", "it has more inputs than one; the format has one"));
        }
        if time > 1 || batch > 1 {
            return Err(refused(&input.name, "time and batch are not its first axes"));
        }
        let at = input.name.clone();
        Ok(Walk { graph, at, layers: Vec::new(), input: input.clone(), time })
    }

    fn chain(mut self) -> Result<Chain> {
        let end = self.graph.outputs.first().map(|port| port.name.clone()).unwrap_or_default();
        if self.graph.outputs.len() != 1 {
            return Err(refused("the network", "it has more outputs than one; the format has one"));
        }
        while self.at != end {
            let at = self.at.clone();
            let readers: Vec<&Node> = self.graph.nodes.iter().filter(|node| node.inputs.contains(&at)).collect();
            let skips =
                |node: &&&Node| node.op == Op::Binary(Binary::Add) && at == self.input.name && self.layers.is_empty();
            // The input may also be read by a sum at the end.
            let others: Vec<&Node> = readers.iter().filter(|node| !skips(node)).copied().collect();
            let [node] = others[..] else {
                return Err(refused(
                    &at,
                    format!("it is read by {} layers; the format has one after another", readers.len()),
                ));
            };
            self.node(node)?;
        }
        let Walk { layers, input, time, .. } = self;
        Ok(Chain { layers, input, time })
    }

    fn constant(&self, node: &Node, i: usize) -> Result<Option<&'g Tensor>> {
        let Some(name) = node.input(i) else { return Ok(None) };
        match self.graph.constants.get(name) {
            Some(tensor) => Ok(Some(tensor)),
            None => Err(refused(&node.name, format!("{name} is computed, not a constant"))),
        }
    }

    fn push(&mut self, node: &Node, kind: Kind) {
        self.layers.push(Layer { name: node.name.clone(), kind });
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        let first = node.outputs.first().cloned().unwrap_or_default();
        let mut reached = first;
        match &node.op {
            Op::Identity
            | Op::Squeeze
            | Op::Unsqueeze
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Flatten { .. }
            | Op::Cast { .. } => {}
            Op::Recurrent(of) => reached = self.recurrent(node, of, reached)?,
            Op::Activation(activation) => self.push(node, Kind::Activation(*activation)),
            Op::Softmax { .. } => self.push(node, Kind::Softmax),
            Op::MatMul => {
                let kernel = self.constant(node, 1)?.cloned();
                let kernel = kernel.ok_or_else(|| refused(&node.name, "it has no weight"))?;
                self.push(node, Kind::Dense(kernel, None));
            }
            Op::Gemm { alpha, beta, trans_a: false, trans_b } if *alpha == 1.0 && *beta == 1.0 => {
                let kernel = self.constant(node, 1)?.ok_or_else(|| refused(&node.name, "it has no weight"))?;
                let kernel = if *trans_b { transposed(kernel)? } else { kernel.clone() };
                let bias = self.constant(node, 2)?.cloned();
                self.push(node, Kind::Dense(kernel, bias));
            }
            Op::Binary(Binary::Add) => self.sum(node)?,
            Op::Binary(Binary::Mul) => {
                let other = if node.inputs.first() == Some(&self.at) { 1 } else { 0 };
                match self.constant(node, other)?.map(Tensor::to_f32).as_deref() {
                    Some([gain]) => self.push(node, Kind::Gain(*gain)),
                    _ => return Err(refused(&node.name, "the format has no factor for each feature")),
                }
            }
            Op::Gather { axis } => {
                let table = node.inputs.first() != Some(&self.at);
                if table && *axis == 0 {
                    let table = self.constant(node, 0)?.ok_or_else(|| refused(&node.name, "it has no table"))?;
                    self.push(node, Kind::Embedding(table.clone()));
                } else if self.constant(node, 1)?.and_then(Tensor::as_i64) == Some(&[-1]) {
                    self.push(node, Kind::Last);
                } else {
                    return Err(refused(&node.name, "the format does not take single values"));
                }
            }
            Op::Reduce { reduce: Reduce::Mean, .. } => self.push(node, Kind::Mean),
            Op::Reduce { reduce: Reduce::Max, .. } => self.push(node, Kind::Max),
            op => {
                let debug = format!("{op:?}");
                let what = debug.split([' ', '(', '{']).next().unwrap_or_default();
                return Err(refused(&node.name, format!("the format has no {what}")));
            }
        }
        self.at = reached;
        Ok(())
    }

    /// A bias, or the input of the network.
    fn sum(&mut self, node: &Node) -> Result<()> {
        let other = if node.inputs.first() == Some(&self.at) { 1 } else { 0 };
        if node.input(other) == Some(&self.input.name) {
            self.push(node, Kind::Skip);
            return Ok(());
        }
        let bias = self.constant(node, other)?.cloned();
        match self.layers.last_mut() {
            Some(Layer { kind: Kind::Dense(kernel, empty @ None), .. })
                if bias.as_ref().is_some_and(|bias| Some(&bias.len()) == kernel.dims().last()) =>
            {
                let width = kernel.dims().last().copied().unwrap_or(0);
                *empty = bias.map(|bias| bias.reshaped([width])).transpose()?;
                Ok(())
            }
            _ => Err(refused(&node.name, "the format has no sum of this kind")),
        }
    }

    fn recurrent(&mut self, node: &Node, of: &Recurrent, y: String) -> Result<String> {
        if node.input(4).is_some() || node.input(9).is_some() {
            return Err(refused(&node.name, "the format has no masks"));
        }
        if of.rounded {
            return Err(refused(&node.name, "the format has no states that are rounded"));
        }
        let part = |walk: &Self, i: usize| walk.constant(node, i).map(|tensor| tensor.cloned());
        let need = |tensor: Option<Tensor>| tensor.ok_or_else(|| refused(&node.name, "it has no weights"));
        let weights = RecurrentWeights {
            w: need(part(self, 1)?)?,
            r: need(part(self, 2)?)?,
            b: part(self, 3)?,
            peepholes: part(self, 7)?,
            projection: part(self, 8)?,
            initial_h: part(self, 5)?,
            initial_c: part(self, 6)?,
        };
        let read = |name: &str| {
            let nodes = self.graph.nodes.iter().any(|node| node.inputs.iter().any(|input| input == name));
            !name.is_empty() && (nodes || self.graph.outputs.iter().any(|port| port.name == name))
        };
        let h = node.output(1).filter(|h| read(h)).map(String::from);
        let (y_read, c_read) = (read(&y), node.output(2).is_some_and(read));
        if c_read || (y_read && h.is_some()) {
            return Err(refused(&node.name, "the format has no outputs for its final state"));
        }
        // Chains are laid out as the input is.
        let of = Recurrent { batch_first: self.time == 1, ..of.clone() };
        let flip = |tensor: Option<Tensor>| -> Result<Option<Tensor>> {
            let Some(tensor) = tensor else { return Ok(None) };
            let [a, b, c] = *tensor.dims() else {
                return Err(refused(&node.name, "its initial state is not [D, B, H]"));
            };
            // One of the two is 1.
            let (d, rows) = (of.direction.count(), a * b / of.direction.count().max(1));
            if rows != 1 {
                return Err(refused(&node.name, "its initial state differs between sequences"));
            }
            Ok(Some(tensor.reshaped(if of.batch_first { [1, d, c] } else { [d, 1, c] })?))
        };
        let weights = RecurrentWeights {
            initial_h: flip(weights.initial_h.clone())?,
            initial_c: flip(weights.initial_c.clone())?,
            ..weights
        };
        self.push(node, Kind::Recurrent(Box::new((of, weights))));
        match h {
            Some(h) => {
                self.push(node, Kind::LastState);
                Ok(h)
            }
            None => Ok(y),
        }
    }
}

/// `[I, O]` of `[O, I]`, or the other way round.
pub(super) fn transposed(tensor: &Tensor) -> Result<Tensor> {
    let [rows, cols] = *tensor.dims() else { return Err(refused("a weight", "it is not a matrix")) };
    let values = tensor.to_f32();
    Tensor::from_f32(
        [cols, rows],
        (0..cols)
            .flat_map(|c| {
                (0..rows).map({
                    let values = &values;
                    move |r| values[r * cols + c]
                })
            })
            .collect(),
    )
}

/// Blocks of `H` rows of one direction in another order: `values` `[D, G*H, ..]`.
pub(super) fn gates(tensor: &Tensor, direction: usize, order: &[usize]) -> Vec<f32> {
    let (values, d) = (tensor.to_f32(), tensor.dims().first().copied().unwrap_or(1).max(1));
    let n = values.len() / d;
    let own = &values[direction * n..(direction + 1) * n];
    let size = n / order.len();
    order.iter().flat_map(|gate| own[gate * size..(gate + 1) * size].iter().copied()).collect()
}

/// Refuses the variations of a recurrent layer that most formats have no words for.
pub(super) fn plain(layer: &Layer, of: &Recurrent, weights: &RecurrentWeights, states: bool) -> Result<()> {
    let says = |reason: &str| Err(refused(&layer.name, format!("the format has no {reason}")));
    if of.clip.is_some() {
        return says("clipping of gates");
    }
    if of.cell == (crate::graph::Cell::Lstm { input_forget: true }) {
        return says("coupled input and forget gates");
    }
    if weights.peepholes.is_some() {
        return says("peepholes");
    }
    let zero = |tensor: &Option<Tensor>| tensor.as_ref().is_none_or(|t| t.to_f32().iter().all(|x| *x == 0.0));
    let begins_at_zero = zero(&weights.initial_h) && zero(&weights.initial_c);
    if !states && !begins_at_zero {
        return says("initial states");
    }
    Ok(())
}
