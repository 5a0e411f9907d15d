//! The one description of networks: nodes in the vocabulary of ONNX operators, with the semantics of its newest version.
//!
//! Values have names. Every value is an input, a constant or an output of exactly one node; nodes are in an order in which
//! each reads only values that are there. Older forms of operators are brought to the newest while a file is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::attributes::{
    Activation, ArgExtreme, AutoPad, Binary, Cell, Conv, Direction, MaskedOutput, PadMode, Pool, PoolKind, Recurrent,
    Reduce, Unary,
};
use crate::tensor::{Dtype, Tensor};

/// A network.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Its name, or nothing.
    #[serde(default)]
    pub name: String,
    /// What a run is given, in order. Values of [`Graph::states`] are among them.
    pub inputs: Vec<Port>,
    /// What a run returns, in order. Values of [`Graph::states`] are among them.
    pub outputs: Vec<Port>,
    /// Weights and other constants, subgraphs' included, by name. A file keeps them apart, as tensors.
    #[serde(skip)]
    pub constants: BTreeMap<String, Tensor>,
    /// In an order in which each reads only what is there.
    pub nodes: Vec<Node>,
    /// Values carried from one run to the next.
    #[serde(default)]
    pub states: Vec<State>,
    /// Which axes are time and batch, where that is known.
    #[serde(default)]
    pub sequence: Option<Sequence>,
    /// Where the network came from.
    #[serde(default)]
    pub about: About,
}

/// An input or output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Name of the value.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions; `None` if not even their number is known.
    pub dims: Option<Vec<Dim>>,
}

impl Port {
    /// A port of known dimensions.
    pub fn new(name: impl Into<String>, dtype: Dtype, dims: impl Into<Vec<Dim>>) -> Self {
        Port { name: name.into(), dtype, dims: Some(dims.into()) }
    }
}

/// A dimension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Always this size.
    Fixed(usize),
    /// Any size; equal names are meant to be equal sizes, an empty name stands for nothing. `T` is time, `B` the batch.
    Named(String),
}

impl Dim {
    /// The size, if it is fixed.
    pub fn fixed(&self) -> Option<usize> {
        if let Dim::Fixed(n) = self { Some(*n) } else { None }
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Dim::Fixed(n)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Dim::Named(name.into())
    }
}

/// A value that a run leaves for the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The input it is read from.
    pub input: String,
    /// The output it is written to.
    pub output: String,
    /// Constant with the value before the first run, the extent of the batch axis being 1. `None`: zeros.
    pub initial: Option<String>,
    /// Which axis of it is the batch.
    pub batch: Option<usize>,
}

/// How the main input and output are laid out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// The input that is the sequence.
    pub input: String,
    /// Its time axis; `None` if a run sees one step and the input has no such axis.
    pub time: Option<usize>,
    /// Its batch axis.
    pub batch: Option<usize>,
    /// The output with a value for each step, if there is one, with time and batch on the same axes.
    pub output: Option<String>,
}

/// Where a network came from and what was made of its file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The format: `ONNX`, `Keras 3`, `PyTorch`, ….
    #[serde(default)]
    pub format: String,
    /// The program that wrote the file, where it says.
    #[serde(default)]
    pub producer: String,
    /// What was made of every tensor of the file.
    #[serde(default)]
    pub tensors: Vec<TensorNote>,
    /// What a user should know: warnings, choices made by an option.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Symbols by token number, in the order of the file; a symbol may have several characters, or none.
    #[serde(default)]
    pub vocabulary: Option<Vec<String>>,
    /// Token that stands for symbols outside the vocabulary.
    #[serde(default)]
    pub unknown: Option<u32>,
    /// Token that fills up sequences.
    #[serde(default)]
    pub padding: Option<u32>,
    /// Names of the classes.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// Anything else that a writer of the same format may want back, such as a sample rate.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
}

/// What was made of one tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorNote {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions in the file.
    pub dims: Vec<usize>,
    /// What was made of it.
    pub fate: Fate,
}

/// What was made of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is (part of) this weight: `lstm: W, gates reordered`.
    Used(String),
    /// It was computed into another while reading.
    Folded(String),
    /// Nothing, and why that is right: `optimizer state`.
    Unused(String),
}

/// One operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// For messages: the file's name of the node or layer.
    #[serde(default)]
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Values it reads; an empty name is an optional input left out.
    pub inputs: Vec<String>,
    /// Values it makes; an empty name is an output nobody reads.
    pub outputs: Vec<String>,
}

impl Node {
    /// Name of input `i`, if it is there.
    pub fn input(&self, i: usize) -> Option<&str> {
        self.inputs.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Name of output `i`, if it is wanted.
    pub fn output(&self, i: usize) -> Option<&str> {
        self.outputs.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }
}

/// A subgraph: its nodes read values of the graph around it, and constants are that graph's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Names of its own inputs (of loops; `If` has none).
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Names of its results.
    pub outputs: Vec<String>,
    /// In an order in which each reads only what is there.
    pub nodes: Vec<Node>,
}

/// Operators; inputs and outputs in the order of the ONNX operator of that name, newest version, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Op {
    /// Pointwise, of those that cells use too.
    Activation(Activation),
    /// Pointwise, of one input.
    Unary(Unary),
    /// Pointwise, of two inputs; they are broadcast against each other.
    Binary(Binary),
    /// `x`, optional `min`, optional `max` (scalars).
    Clip,
    /// Over an axis.
    #[allow(missing_docs)]
    Softmax { axis: i64 },
    /// Over an axis.
    #[allow(missing_docs)]
    LogSoftmax { axis: i64 },
    /// As `numpy.matmul`.
    MatMul,
    /// `alpha A B + beta C`, `C` optional.
    #[allow(missing_docs)]
    Gemm { alpha: f32, beta: f32, trans_a: bool, trans_b: bool },
    /// `X [B, I, D...]`, `W [O, I / groups, K...]`, optional `B [O]`.
    Conv(Conv),
    /// `X [B, I, D...]`, `W [I, O / groups, K...]`, optional `B [O]`.
    #[allow(missing_docs)]
    ConvTranspose { conv: Conv, output_padding: Vec<usize>, output_shape: Option<Vec<usize>> },
    /// Over windows of the axes after the second.
    Pool(Pool),
    /// Over all axes after the second.
    GlobalPool(PoolKind),
    /// Sum of products by subscripts.
    #[allow(missing_docs)]
    Einsum { equation: String },
    /// `X`, `scale`, `B`, `mean`, `var`, of a trained network.
    #[allow(missing_docs)]
    BatchNormalization { epsilon: f32 },
    /// `X`, `scale`, optional `B`, over the axes from `axis` on.
    #[allow(missing_docs)]
    LayerNormalization { axis: i64, epsilon: f32 },
    /// `X [B, C, D...]`, `scale [C]`, `B [C]`, over `D`.
    #[allow(missing_docs)]
    InstanceNormalization { epsilon: f32 },
    /// `X`, optional `axes`; without axes over all, or none if `noop_with_empty_axes`.
    #[allow(missing_docs)]
    Reduce { reduce: Reduce, keepdims: bool, noop_with_empty_axes: bool },
    /// Index of the largest or smallest.
    #[allow(missing_docs)]
    ArgExtreme { extreme: ArgExtreme, axis: i64, keepdims: bool, select_last: bool },
    /// `X`, `K [1]`: the `K` largest or smallest, from the first on, and their places.
    #[allow(missing_docs)]
    TopK { axis: i64, largest: bool },
    /// `X`, `axis`.
    #[allow(missing_docs)]
    CumSum { exclusive: bool, reverse: bool },
    /// `data`, `indices`: also an embedding, with the table as `data`.
    #[allow(missing_docs)]
    Gather { axis: i64 },
    /// `data`, `indices`.
    #[allow(missing_docs)]
    GatherElements { axis: i64 },
    /// `data`, `starts`, `ends`, optional `axes`, optional `steps`.
    Slice,
    /// `data`, optional `split`; without it, equal parts, as many as outputs.
    #[allow(missing_docs)]
    Split { axis: i64 },
    /// Any number of inputs.
    #[allow(missing_docs)]
    Concat { axis: i64 },
    /// `data`, `shape`.
    #[allow(missing_docs)]
    Reshape { allow_zero: bool },
    /// To two dimensions.
    #[allow(missing_docs)]
    Flatten { axis: i64 },
    /// Without `perm` the axes are reversed.
    #[allow(missing_docs)]
    Transpose { perm: Option<Vec<usize>> },
    /// `data`, optional `axes`; without them every axis of size 1.
    Squeeze,
    /// `data`, `axes`.
    Unsqueeze,
    /// `data`, `shape`.
    Expand,
    /// `data`, `repeats`.
    Tile,
    /// `data`, `pads`, optional `value`, optional `axes`.
    #[allow(missing_docs)]
    Pad { mode: PadMode },
    /// `data`, `indices`, `updates`.
    ScatterNd,
    /// `start`, `limit`, `delta`.
    Range,
    /// `condition`, `x`, `y`.
    Where,
    /// Dimensions from `start` to before `end`.
    #[allow(missing_docs)]
    Shape { start: i64, end: Option<i64> },
    /// Number of elements.
    Size,
    /// `shape`; filled with the value `[1]` of the constant given as second input, or 0.0 without one. (In ONNX the value is
    /// an attribute.)
    ConstantOfShape,
    /// To another element type.
    #[allow(missing_docs)]
    Cast { to: Dtype },
    /// The input.
    Identity,
    /// `X`, `sequence_lens`: each sequence's first steps in reverse order.
    #[allow(missing_docs)]
    ReverseSequence { time_axis: usize, batch_axis: usize },
    /// `condition`: one or the other subgraph.
    #[allow(missing_docs)]
    If { then_branch: Box<Body>, else_branch: Box<Body> },
    /// Optional `trip_count`, optional `condition`, then carried values. The body has inputs iteration, condition, carried
    /// values, and outputs condition, carried values, values stacked over iterations.
    #[allow(missing_docs)]
    Loop { body: Box<Body> },
    /// Carried values, then `scan_inputs` sequences. Axes and directions are one per sequence.
    #[allow(missing_docs)]
    Scan {
        body: Box<Body>,
        scan_inputs: usize,
        input_axes: Vec<i64>,
        input_reversed: Vec<bool>,
        output_axes: Vec<i64>,
        output_reversed: Vec<bool>,
    },
    /// A recurrent layer.
    Recurrent(Recurrent),
}
