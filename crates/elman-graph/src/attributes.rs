//! What operators are told beside their inputs: cells, functions, windows and modes.

use serde::{Deserialize, Serialize};

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
    /// Whether products read the state rounded: to 256 steps from its smallest value of all sequences to its largest, 0 among them, as
    /// quantised layers do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rounded: bool,
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
        let masked = MaskedOutput::Zero;
        Recurrent { cell, hidden, direction, activations, clip: None, batch_first: false, masked, rounded: false }
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
