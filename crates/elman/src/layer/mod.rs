//! Layers: recurrent stacks, the linear output, dropout.

mod dropout;
mod linear;
mod stack;

pub use dropout::Dropout;
pub use linear::{Linear, LinearPrepared};
pub use stack::{Stack, StackConfig, StackPrepared, StackState, StackTape};
