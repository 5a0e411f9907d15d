//! Building graphs, with widths checked as they are built.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::graph::{
    Activation, Binary, Cell, Conv, Dim, Direction, Fate, Graph, Node, Op, Port, Recurrent, Reduce, Sequence,
    TensorNote, Unary,
};
use crate::tensor::{Dtype, Tensor};

/// A value of a graph under construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    name: String,
    dtype: Dtype,
    dims: Vec<Dim>,
}

impl Value {
    /// Its name in the graph.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Dimensions.
    pub fn dims(&self) -> &[Dim] {
        &self.dims
    }

    /// The last dimension.
    ///
    /// # Errors
    /// If it is not a fixed size.
    pub fn width(&self) -> Result<usize> {
        self.dims.last().and_then(Dim::fixed).ok_or_else(|| Error::malformed(&self.name, "its width is not known"))
    }
}

/// Weights of a recurrent layer, as [`Recurrent`] wants them.
#[derive(Debug, Clone)]
pub struct RecurrentWeights {
    /// `[D, G*H, I]`.
    pub w: Tensor,
    /// `[D, G*H, O]`.
    pub r: Tensor,
    /// `[D, 2*G*H]`.
    pub b: Option<Tensor>,
    /// `[D, 3*H]`.
    pub peepholes: Option<Tensor>,
    /// `[D, P, H]`.
    pub projection: Option<Tensor>,
    /// `[D, 1, O]`, for every sequence.
    pub initial_h: Option<Tensor>,
    /// `[D, 1, H]`, for every sequence.
    pub initial_c: Option<Tensor>,
}

impl RecurrentWeights {
    /// Weights without anything optional.
    pub fn new(w: Tensor, r: Tensor) -> Self {
        RecurrentWeights { w, r, b: None, peepholes: None, projection: None, initial_h: None, initial_c: None }
    }
}

/// Builds a [`Graph`].
///
/// Layers are given as their format sees them, batch first: `[B, T, I]`, or `[B, I]`; [`Builder::recurrent`] alone
/// looks at the layer's `batch_first`.
///
/// ```
/// use elman_graph::{Activation, Builder, Dtype, Tensor};
/// let mut b = Builder::new("Keras 3");
/// let x = b.input("x", Dtype::F32, ["B".into(), "T".into(), 3.into()]);
/// let y = b.dense("dense", &x, Tensor::zeros([3, 2])?, Some(Tensor::zeros([2])?))?;
/// let y = b.activation("dense", &y, Activation::Tanh);
/// b.output("y", &y);
/// b.sequence(&x, Some(1), Some(0), Some("y"));
/// assert_eq!(b.finish()?.nodes.len(), 4);
/// # Ok::<(), elman_graph::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    graph: Graph,
    names: BTreeSet<String>,
}

impl Builder {
    /// An empty graph of a format.
    pub fn new(format: &str) -> Self {
        let mut builder = Builder::default();
        builder.graph.about.format = format.into();
        builder
    }

    /// The graph so far; for what has no method here.
    pub fn graph_mut(&mut self) -> &mut Graph {
        &mut self.graph
    }

    /// A name that no value has yet, made of `hint`.
    pub fn unique(&mut self, hint: &str) -> String {
        let hint = if hint.is_empty() { "v" } else { hint };
        let mut name = hint.to_string();
        let mut n = 1;
        while !self.names.insert(name.clone()) {
            n += 1;
            name = format!("{hint}_{n}");
        }
        name
    }

    /// A new input.
    pub fn input(&mut self, name: &str, dtype: Dtype, dims: impl Into<Vec<Dim>>) -> Value {
        let (name, dims) = (self.unique(name), dims.into());
        self.graph.inputs.push(Port::new(&name, dtype, dims.clone()));
        Value { name, dtype, dims }
    }

    /// A constant.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> Value {
        let name = self.unique(name);
        let dims = tensor.dims().iter().map(|d| Dim::Fixed(*d)).collect();
        let value = Value { name: name.clone(), dtype: tensor.dtype(), dims };
        self.graph.constants.insert(name, tensor);
        value
    }

    /// A node with one output of the given type and dimensions; for what has no method here. Nothing is checked.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[&Value], dtype: Dtype, dims: impl Into<Vec<Dim>>) -> Value {
        let output = self.unique(name);
        self.push(name, op, inputs.iter().map(|v| v.name.clone()).collect(), vec![output.clone()]);
        Value { name: output, dtype, dims: dims.into() }
    }

    fn push(&mut self, name: &str, op: Op, inputs: Vec<String>, outputs: Vec<String>) {
        self.graph.nodes.push(Node { name: name.into(), op, inputs, outputs });
    }

    /// A pointwise function.
    pub fn activation(&mut self, name: &str, x: &Value, activation: Activation) -> Value {
        self.node(name, Op::Activation(activation), &[x], x.dtype, x.dims.clone())
    }

    /// A pointwise function.
    pub fn unary(&mut self, name: &str, x: &Value, unary: Unary) -> Value {
        self.node(name, Op::Unary(unary), &[x], x.dtype, x.dims.clone())
    }

    /// Softmax over the last axis.
    pub fn softmax(&mut self, name: &str, x: &Value) -> Value {
        self.node(name, Op::Softmax { axis: -1 }, &[x], x.dtype, x.dims.clone())
    }

    /// A pointwise function of two values, broadcast against each other.
    ///
    /// # Errors
    /// If two fixed sizes differ and neither is 1.
    pub fn binary(&mut self, name: &str, a: &Value, b: &Value, binary: Binary) -> Result<Value> {
        let rank = a.dims.len().max(b.dims.len());
        let one = Dim::Fixed(1);
        let at = |v: &Value, axis: usize| {
            let missing = rank - v.dims.len();
            if axis < missing { one.clone() } else { v.dims[axis - missing].clone() }
        };
        let dims = (0..rank)
            .map(|axis| match (at(a, axis), at(b, axis)) {
                (Dim::Fixed(1), d) | (d, Dim::Fixed(1)) => Ok(d),
                (Dim::Fixed(p), Dim::Fixed(q)) if p != q => Err(widths(name, q, p)),
                (Dim::Fixed(p), _) | (_, Dim::Fixed(p)) => Ok(Dim::Fixed(p)),
                (d, _) => Ok(d),
            })
            .collect::<Result<Vec<_>>>()?;
        let dtype = match binary {
            Binary::Equal
            | Binary::Greater
            | Binary::GreaterOrEqual
            | Binary::Less
            | Binary::LessOrEqual
            | Binary::And
            | Binary::Or
            | Binary::Xor => Dtype::Bool,
            _ => a.dtype,
        };
        Ok(self.node(name, Op::Binary(binary), &[a, b], dtype, dims))
    }

    /// `a + b`, as of a residual connection.
    ///
    /// # Errors
    /// As [`Builder::binary`].
    pub fn add(&mut self, name: &str, a: &Value, b: &Value) -> Result<Value> {
        self.binary(name, a, b, Binary::Add)
    }

    /// `x` times a number, as of a gain; none at all if it is 1.
    ///
    /// # Errors
    /// As [`Builder::binary`].
    pub fn gain(&mut self, name: &str, x: &Value, gain: f32) -> Result<Value> {
        if gain == 1.0 {
            return Ok(x.clone());
        }
        let gain = self.constant(name, Tensor::from_f32([], vec![gain])?);
        self.binary(name, x, &gain, Binary::Mul)
    }

    /// `x W + b` over the last axis: `kernel` `[I, O]`, `bias` `[O]`.
    ///
    /// # Errors
    /// If the widths do not match.
    pub fn dense(&mut self, name: &str, x: &Value, kernel: Tensor, bias: Option<Tensor>) -> Result<Value> {
        let [i, o] = *kernel.dims() else {
            return Err(Error::Dimensions {
                part: format!("{name}: kernel"),
                want: "[inputs, outputs]".into(),
                got: format!("{:?}", kernel.dims()),
            });
        };
        let width = x.width()?;
        if i != width {
            return Err(widths(name, i, width));
        }
        let kernel = self.constant(&format!("{name}.kernel"), kernel);
        let mut dims = x.dims.clone();
        if let Some(last) = dims.last_mut() {
            *last = Dim::Fixed(o);
        }
        let y = self.node(name, Op::MatMul, &[x, &kernel], x.dtype, dims);
        let Some(bias) = bias else { return Ok(y) };
        expect(&format!("{name}: bias"), bias.dims(), &[o])?;
        let bias = self.constant(&format!("{name}.bias"), bias);
        self.binary(name, &y, &bias, Binary::Add)
    }

    /// Rows of `table` `[V, E]` for the tokens of `x`.
    ///
    /// # Errors
    /// If `x` is not of integers or `table` is no matrix.
    pub fn embedding(&mut self, name: &str, x: &Value, table: Tensor) -> Result<Value> {
        let [_, e] = *table.dims() else {
            return Err(Error::Dimensions {
                part: format!("{name}: table"),
                want: "[symbols, width]".into(),
                got: format!("{:?}", table.dims()),
            });
        };
        if !x.dtype.is_int() {
            return Err(Error::malformed(name, format!("an embedding reads integers, but its input is {}", x.dtype)));
        }
        let dtype = table.dtype();
        let table = self.constant(&format!("{name}.table"), table);
        let mut dims = x.dims.clone();
        dims.push(Dim::Fixed(e));
        Ok(self.node(name, Op::Gather { axis: 0 }, &[&table, x], dtype, dims))
    }

    /// Values side by side along an axis.
    ///
    /// # Errors
    /// If there is none, or their other dimensions differ.
    pub fn concat(&mut self, name: &str, values: &[&Value], axis: i64) -> Result<Value> {
        let first = values.first().ok_or_else(|| Error::malformed(name, "it concatenates nothing"))?;
        let rank = first.dims.len();
        let at = axis_of(name, axis, rank)?;
        let mut dims = first.dims.clone();
        let mut sum = Some(0);
        for value in values {
            if value.dims.len() != rank {
                return Err(Error::malformed(name, "it concatenates values of different ranks"));
            }
            for (i, (a, b)) in dims.iter().zip(&value.dims).enumerate() {
                if let (Some(p), Some(q)) = (a.fixed(), b.fixed())
                    && i != at
                    && p != q
                {
                    return Err(widths(name, q, p));
                }
            }
            sum = sum.zip(value.dims[at].fixed()).map(|(a, b): (usize, usize)| a.saturating_add(b));
        }
        dims[at] = sum.map_or(Dim::Named(String::new()), Dim::Fixed);
        Ok(self.node(name, Op::Concat { axis }, values, first.dtype, dims))
    }

    /// A convolution: `x` `[B, I, T]`, `w` `[O, I / groups, K]`, `bias` `[O]`; the result `[B, O, T']`.
    ///
    /// # Errors
    /// If the widths do not match.
    pub fn conv(&mut self, name: &str, x: &Value, w: Tensor, bias: Option<Tensor>, conv: Conv) -> Result<Value> {
        let [o, i, ..] = *w.dims() else {
            return Err(Error::dimensions(format!("{name}: kernel"), w.dims(), &[]));
        };
        let channels = x.dims.get(1).and_then(Dim::fixed);
        if conv.groups == 0 || channels != i.checked_mul(conv.groups) || w.dims().len() != x.dims.len() {
            return Err(widths(name, i.saturating_mul(conv.groups), channels.unwrap_or(0)));
        }
        let w = self.constant(&format!("{name}.kernel"), w);
        let mut inputs = vec![x.clone(), w];
        if let Some(bias) = bias {
            expect(&format!("{name}: bias"), bias.dims(), &[o])?;
            inputs.push(self.constant(&format!("{name}.bias"), bias));
        }
        let mut dims = x.dims.clone();
        dims[1] = Dim::Fixed(o);
        dims[2..].fill(Dim::Named(String::new()));
        Ok(self.node(name, Op::Conv(conv), &inputs.iter().collect::<Vec<_>>(), x.dtype, dims))
    }

    /// Axes in another order.
    ///
    /// # Errors
    /// If `perm` is no permutation of the axes.
    pub fn transpose(&mut self, name: &str, x: &Value, perm: &[usize]) -> Result<Value> {
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..x.dims.len()) {
            return Err(Error::malformed(name, format!("{perm:?} is no order of {} axes", x.dims.len())));
        }
        let dims: Vec<Dim> = perm.iter().map(|a| x.dims[*a].clone()).collect();
        Ok(self.node(name, Op::Transpose { perm: Some(perm.to_vec()) }, &[x], x.dtype, dims))
    }

    /// Sum, mean or largest over an axis, which goes away.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn reduce(&mut self, name: &str, x: &Value, reduce: Reduce, axis: i64) -> Result<Value> {
        let at = axis_of(name, axis, x.dims.len())?;
        let axes = self.constant(&format!("{name}.axes"), Tensor::from_i64([1], vec![axis])?);
        let mut dims = x.dims.clone();
        dims.remove(at);
        let op = Op::Reduce { reduce, keepdims: false, noop_with_empty_axes: false };
        Ok(self.node(name, op, &[x, &axes], x.dtype, dims))
    }

    /// One position along an axis, which goes away: the last step with -1.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn take(&mut self, name: &str, x: &Value, axis: i64, index: i64) -> Result<Value> {
        let at = axis_of(name, axis, x.dims.len())?;
        let index = self.constant(&format!("{name}.index"), Tensor::from_i64([], vec![index])?);
        let mut dims = x.dims.clone();
        dims.remove(at);
        Ok(self.node(name, Op::Gather { axis }, &[x, &index], x.dtype, dims))
    }

    /// A recurrent layer with its outputs folded together: `x` `[T, B, I]`, or `[B, T, I]` with `layer.batch_first`;
    /// returns `y` of `x`'s layout and width `D * O`, and the final `h` `[D, B, O]` (`[B, D, O]` batch first) and, of an
    /// LSTM, `c`. `mask`, if given, is `[B, T]`.
    ///
    /// # Errors
    /// If the widths of input and weights do not match.
    pub fn recurrent(
        &mut self,
        name: &str,
        x: &Value,
        layer: Recurrent,
        weights: RecurrentWeights,
        mask: Option<&Value>,
    ) -> Result<(Value, Value, Option<Value>)> {
        let (d, h, g) = (layer.direction.count(), layer.hidden, layer.cell.gates());
        let gh = g.checked_mul(h).filter(|n| *n > 0).ok_or_else(|| Error::malformed(name, "it has no units"))?;
        let width = x.width()?;
        if x.dims.len() != 3 {
            return Err(Error::malformed(name, format!("a recurrent layer reads sequences, not {:?}", x.dims)));
        }
        let RecurrentWeights { w, r, b, peepholes, projection, initial_h, initial_c } = weights;
        let lstm = matches!(layer.cell, Cell::Lstm { .. });
        if !lstm && (peepholes.is_some() || projection.is_some() || initial_c.is_some()) {
            return Err(Error::malformed(name, "only an LSTM has peepholes, a projection and a cell state"));
        }
        let o = match &projection {
            Some(p) if p.dims().len() == 3 => p.dims()[1],
            Some(p) => return Err(Error::dimensions(format!("{name}: projection"), p.dims(), &[d, 0, h])),
            None => h,
        };
        expect(&format!("{name}: input weights"), w.dims(), &[d, gh, width])?;
        expect(&format!("{name}: recurrent weights"), r.dims(), &[d, gh, o])?;
        let optional = [
            ("biases", &b, vec![d, 2 * gh]),
            ("peepholes", &peepholes, vec![d, 3 * h]),
            ("projection", &projection, vec![d, o, h]),
            ("initial h", &initial_h, vec![d, 1, o]),
            ("initial c", &initial_c, vec![d, 1, h]),
        ];
        for (what, tensor, want) in optional {
            if let Some(tensor) = tensor {
                // States of all directions and sequences are laid out as `batch_first` says.
                let want = if layer.batch_first && what.starts_with("initial") { vec![1, d, want[2]] } else { want };
                expect(&format!("{name}: {what}"), tensor.dims(), &want)?;
            }
        }
        if layer.activations.len() != d * layer.cell.activations() {
            return Err(Error::malformed(name, "it has not as many activations as its cell"));
        }
        let mut inputs = vec![x.name.clone()];
        let parts = [
            ("W", Some(w)),
            ("R", Some(r)),
            ("B", b),
            ("", None),
            ("initial_h", initial_h),
            ("initial_c", initial_c),
            ("P", peepholes),
            ("projection", projection),
        ];
        for (part, tensor) in parts {
            inputs.push(match tensor {
                Some(tensor) => self.constant(&format!("{name}.{part}"), tensor).name,
                None => String::new(),
            });
        }
        inputs.push(mask.map(|m| m.name.clone()).unwrap_or_default());
        while inputs.last().is_some_and(String::is_empty) {
            inputs.pop();
        }
        let dtype = x.dtype;
        let (y, h_n) = (self.unique(&format!("{name}.Y")), self.unique(&format!("{name}.Y_h")));
        let c_n = lstm.then(|| self.unique(&format!("{name}.Y_c")));
        let mut outputs = vec![y.clone(), h_n.clone()];
        outputs.extend(c_n.clone());
        let (first, second) = (x.dims[0].clone(), x.dims[1].clone());
        let batch = if layer.batch_first { first.clone() } else { second.clone() };
        let state = |name: String, width: usize| {
            let dims = if layer.batch_first {
                vec![batch.clone(), d.into(), width.into()]
            } else {
                vec![d.into(), batch.clone(), width.into()]
            };
            Value { name, dtype, dims }
        };
        let (h_n, c_n) = (state(h_n, o), c_n.map(|c| state(c, h)));
        let batch_first = layer.batch_first;
        self.push(name, Op::Recurrent(layer), inputs, outputs);
        // Y is [T, D, B, O] or [B, T, D, O]; to [.., .., D * O].
        let y = if batch_first {
            Value { name: y, dtype, dims: vec![first.clone(), second.clone(), d.into(), o.into()] }
        } else if d == 1 {
            let y = Value { name: y, dtype, dims: vec![first.clone(), d.into(), second.clone(), o.into()] };
            let axes = self.constant(&format!("{name}.axes"), Tensor::from_i64([1], vec![1])?);
            let dims = [first, second, o.into()];
            return Ok((self.node(name, Op::Squeeze, &[&y, &axes], dtype, dims), h_n, c_n));
        } else {
            let y = Value { name: y, dtype, dims: vec![first.clone(), d.into(), second.clone(), o.into()] };
            self.transpose(name, &y, &[0, 2, 1, 3])?
        };
        let shape = self.constant(&format!("{name}.shape"), Tensor::from_i64([3], vec![0, 0, -1])?);
        let dims = [first, second, Dim::Fixed(d.saturating_mul(o))];
        Ok((self.node(name, Op::Reshape { allow_zero: false }, &[&y, &shape], dtype, dims), h_n, c_n))
    }

    /// An LSTM of usual activations, one direction, over `x` `[B, T, I]`: the outputs `[B, T, H]`.
    ///
    /// # Errors
    /// As [`Builder::recurrent`].
    pub fn lstm(&mut self, name: &str, x: &Value, hidden: usize, weights: RecurrentWeights) -> Result<Value> {
        let layer = Recurrent::new(Cell::Lstm { input_forget: false }, hidden, Direction::Forward);
        self.recurrent(name, x, Recurrent { batch_first: true, ..layer }, weights, None).map(|(y, ..)| y)
    }

    /// A GRU of usual activations, one direction, over `x` `[B, T, I]`: the outputs `[B, T, H]`.
    ///
    /// # Errors
    /// As [`Builder::recurrent`].
    pub fn gru(
        &mut self,
        name: &str,
        x: &Value,
        hidden: usize,
        linear_before_reset: bool,
        weights: RecurrentWeights,
    ) -> Result<Value> {
        let layer = Recurrent::new(Cell::Gru { linear_before_reset }, hidden, Direction::Forward);
        self.recurrent(name, x, Recurrent { batch_first: true, ..layer }, weights, None).map(|(y, ..)| y)
    }

    /// A plain recurrent layer, one direction, over `x` `[B, T, I]`: the outputs `[B, T, H]`.
    ///
    /// # Errors
    /// As [`Builder::recurrent`].
    pub fn rnn(
        &mut self,
        name: &str,
        x: &Value,
        hidden: usize,
        activation: Activation,
        weights: RecurrentWeights,
    ) -> Result<Value> {
        let layer = Recurrent::new(Cell::Rnn, hidden, Direction::Forward);
        let layer = Recurrent { batch_first: true, activations: vec![activation], ..layer };
        self.recurrent(name, x, layer, weights, None).map(|(y, ..)| y)
    }

    /// Names a value as the next output.
    pub fn output(&mut self, name: &str, value: &Value) {
        // An output has its own name, whatever made it.
        let name = self.unique(name);
        self.push(&name, Op::Identity, vec![value.name.clone()], vec![name.clone()]);
        self.graph.outputs.push(Port::new(name, value.dtype, value.dims.clone()));
    }

    /// Says which axes of an input are time and batch, and which output has a value for each step.
    pub fn sequence(&mut self, input: &Value, time: Option<usize>, batch: Option<usize>, output: Option<&str>) {
        let output = output.map(String::from);
        self.graph.sequence = Some(Sequence { input: input.name.clone(), time, batch, output });
    }

    /// Notes what was made of a tensor of the file.
    pub fn note(&mut self, tensor: &str, dims: &[usize], fate: Fate) {
        self.graph.about.tensors.push(TensorNote { name: tensor.into(), dims: dims.into(), fate });
    }

    /// The graph.
    ///
    /// # Errors
    /// If it has no output.
    pub fn finish(self) -> Result<Graph> {
        if self.graph.outputs.is_empty() {
            return Err(Error::malformed("the network", "it has no output"));
        }
        Ok(self.graph)
    }
}

fn widths(part: &str, want: usize, got: usize) -> Error {
    Error::Dimensions { part: part.into(), got: format!("input of width {got}"), want: format!("width {want}") }
}

fn expect(part: &str, got: &[usize], want: &[usize]) -> Result<()> {
    if got == want { Ok(()) } else { Err(Error::dimensions(part, got, want)) }
}

/// An axis counted from the end where it is negative.
pub(crate) fn axis_of(part: &str, axis: i64, rank: usize) -> Result<usize> {
    let at = if axis < 0 { axis.checked_add_unsigned(rank as u64) } else { Some(axis) };
    at.and_then(|a| usize::try_from(a).ok())
        .filter(|a| *a < rank)
        .ok_or_else(|| Error::malformed(part, format!("there is no axis {axis} of {rank}")))
}
