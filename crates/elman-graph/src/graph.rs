//! The one description of networks: nodes in the vocabulary of ONNX operators, with the semantics of its newest version.
//!
//! Values have names. Every value is an input, a constant or an output of exactly one node; nodes are in an order in which
//! each reads only values that are there. Older forms of operators are brought to the newest while a file is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// A recurrent layer of one or two directions (`D`), of `H` units, with `G` gates, `O` outputs (`P` of a projection, else
/// `H`).
///
/// Inputs, in this order:
///
/// | | | dimensions |
/// |---|---|---|
/// | 0 | `X` | `[T, B, I]` |
/// | 1 | `W` | `[D, G*H, I]`, gates `i o f c` of an LSTM, `z r h` of a GRU |
/// | 2 | `R` | `[D, G*H, O]`, same gates |
/// | 3 | `B`, optional | `[D, 2*G*H]`, input biases then recurrent biases |
/// | 4 | `sequence_lens`, optional | `[B]`, integers |
/// | 5 | `initial_h`, optional | `[D, B, O]`; `B` may be 1 for all |
/// | 6 | `initial_c`, optional, LSTM | `[D, B, H]`; `B` may be 1 for all |
/// | 7 | `P`, peepholes, optional, LSTM | `[D, 3*H]`, `i o f` |
/// | 8 | projection, optional, LSTM, not of ONNX | `[D, P, H]` |
/// | 9 | `mask`, optional, not of ONNX | `[B, T]`, bool: a step that is false keeps state and output |
///
/// Outputs: `Y` `[T, D, B, O]`, `Y_h` `[D, B, O]`, `Y_c` `[D, B, H]`, each optional. With `batch_first` `X` is `[B, T, I]`,
/// `Y` `[B, T, D, O]` and states are `[B, D, O]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// Which equations.
    pub cell: Cell,
    /// `H`.
    pub hidden: usize,
    /// One or both.
    pub direction: Direction,
    /// Per direction: of an LSTM gates, cell input, cell output; of a GRU gates, candidate; of a plain cell one.
    pub activations: Vec<Activation>,
    /// Bound on pre-activations, from both sides.
    pub clip: Option<f32>,
    /// ONNX `layout` 1.
    pub batch_first: bool,
    /// `Y` of steps that `mask` leaves out or that lie beyond `sequence_lens`.
    pub masked: MaskedOutput,
}

impl Recurrent {
    /// A layer with the usual activations: sigmoid and tanh.
    pub fn new(cell: Cell, hidden: usize, direction: Direction) -> Self {
        let one: &[Activation] = match cell {
            Cell::Lstm { .. } => &[Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
            Cell::Gru { .. } => &[Activation::Sigmoid, Activation::Tanh],
            Cell::Rnn => &[Activation::Tanh],
        };
        let activations = one.repeat(direction.count());
        Recurrent { cell, hidden, direction, activations, clip: None, batch_first: false, masked: MaskedOutput::Zero }
    }
}

/// Equations of a recurrent layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Elman's.
    Rnn,
    /// With `linear_before_reset` (PyTorch, cuDNN, Keras `reset_after`) the reset gate multiplies `R_h h + Rb_h`; without it
    /// (Cho's form) `h`.
    #[allow(missing_docs)]
    Gru { linear_before_reset: bool },
    /// With `input_forget` the forget gate is 1 - input gate.
    #[allow(missing_docs)]
    Lstm { input_forget: bool },
}

impl Cell {
    /// `G`.
    pub fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru { .. } => 3,
            Cell::Lstm { .. } => 4,
        }
    }

    /// Activations per direction.
    pub fn activations(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru { .. } => 2,
            Cell::Lstm { .. } => 3,
        }
    }
}

/// In which order a recurrent layer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// First to last.
    Forward,
    /// Last to first; `Y` stays in the order of `X`.
    Reverse,
    /// Both.
    Bidirectional,
}

impl Direction {
    /// `D`.
    pub fn count(self) -> usize {
        if self == Direction::Bidirectional { 2 } else { 1 }
    }
}

/// Output of a recurrent layer at a masked step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskedOutput {
    /// 0: ONNX.
    Zero,
    /// The output of the step before, 0 before the first: Keras.
    Repeat,
}

/// Pointwise functions that cells use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Activation {
    Sigmoid,
    Tanh,
    Relu,
    /// `alpha x + beta`; the identity with 1 and 0.
    Affine {
        alpha: f32,
        beta: f32,
    },
    /// `x`, below 0 `alpha x`.
    LeakyRelu {
        alpha: f32,
    },
    /// `x` above `alpha`, else 0.
    ThresholdedRelu {
        alpha: f32,
    },
    /// `alpha tanh(beta x)`.
    ScaledTanh {
        alpha: f32,
        beta: f32,
    },
    /// `max(0, min(1, alpha x + beta))`: ONNX and Keras 1 and 2 with 0.2 and 0.5, Keras 3 and PyTorch with 1/6 and 0.5.
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    /// `x`, below 0 `alpha (exp(x) - 1)`.
    Elu {
        alpha: f32,
    },
    /// `gamma x`, below 0 `gamma alpha (exp(x) - 1)`.
    Selu {
        alpha: f32,
        gamma: f32,
    },
    /// `x / (1 + |x|)`.
    Softsign,
    /// `log(1 + exp(x))`.
    Softplus,
    /// `x max(0, min(1, x/6 + 0.5))`.
    HardSwish,
    /// `x sigmoid(x)`.
    Swish,
    /// `x Phi(x)`, or its approximation by tanh.
    Gelu {
        tanh: bool,
    },
    /// `exp(x)`.
    Exp,
}

/// Pointwise functions of one input, beside [`Activation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Unary {
    Neg,
    Abs,
    Sign,
    Sqrt,
    Reciprocal,
    Log,
    Floor,
    Ceil,
    /// To the nearest, ties to even.
    Round,
    Erf,
    Sin,
    Cos,
    Not,
    IsNan,
}

/// Pointwise functions of two inputs. `Min` and `Max` take any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Integers truncate towards 0.
    Div,
    Pow,
    /// The remainder: sign of the divisor, with `fmod` of the dividend.
    Mod {
        fmod: bool,
    },
    Min,
    Max,
    /// `x`, below 0 `slope x`.
    PRelu,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
    Xor,
}

/// Attributes of a convolution; one number per spatial axis, an empty list for ones and zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Steps between outputs.
    pub strides: Vec<usize>,
    /// Steps between the elements of a kernel.
    pub dilations: Vec<usize>,
    /// Zeros before each axis, then zeros after each.
    pub pads: Vec<usize>,
    /// Groups of channels; 1 where all outputs read all inputs.
    pub groups: usize,
    /// How pads are found, where they are not given.
    pub auto_pad: AutoPad,
}

/// How pads are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoPad {
    /// They are given.
    #[default]
    NotSet,
    /// None.
    Valid,
    /// So that there are `ceil(inputs / stride)` outputs, an odd one at the end.
    SameUpper,
    /// The same, an odd one at the beginning.
    SameLower,
}

/// Pooling over windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Largest or mean.
    pub kind: PoolKind,
    /// Size of the window.
    pub kernel: Vec<usize>,
    /// Strides, dilations and pads, one group.
    pub window: Conv,
    /// Whether the last window may reach beyond the end.
    pub ceil: bool,
    /// Whether a mean counts the zeros of padding.
    pub count_include_pad: bool,
}

/// What is taken over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum PoolKind {
    Max,
    Average,
}

/// What is taken over axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Reduce {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    L1,
    L2,
    SumSquare,
    LogSumExp,
    LogSum,
}

/// Which element's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum ArgExtreme {
    Max,
    Min,
}

/// What stands beyond the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PadMode {
    /// A value, 0 by default.
    Constant,
    /// The mirror image, without the edge.
    Reflect,
    /// The edge.
    Edge,
    /// The other end.
    Wrap,
}
