//! Networks made elsewhere, and those trained with Elman, as one kind of graph.
//!
//! A [`Graph`] is a list of nodes in the vocabulary of ONNX operators and with their semantics; every foreign format is
//! read into it with a [`Builder`].

mod attributes;
mod builder;
mod error;
mod file;
mod graph;
mod habit;
mod interpret;
mod lower;
pub mod npy;
pub mod onnx;
mod quantize;
pub mod read;
mod source;
mod tensor;
pub mod write;

pub use builder::{Builder, RecurrentWeights, Value};
pub use error::{Error, Result};
pub use graph::{
    About, Activation, ArgExtreme, AutoPad, Binary, Body, Cell, Conv, Dim, Direction, Fate, Graph, MaskedOutput, Node,
    Op, PadMode, Pool, PoolKind, Port, Recurrent, Reduce, Sequence, State, TensorNote, Unary,
};
pub use habit::Added;
pub use interpret::Interpreter;
pub use lower::{StepOptions, StepPort, Stepper};
pub use tensor::{Dtype, Tensor, Values};
