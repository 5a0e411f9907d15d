//! Layers: recurrent stacks, attention, the linear output, dropout.

mod attention;
mod dropout;
mod grouping;
mod linear;
mod stack;

pub use attention::{Attention, AttentionConfig, AttentionKind, AttentionPrepared, AttentionTape, Memory};
pub use dropout::Dropout;
pub use grouping::Grouping;
pub use linear::{Linear, LinearPrepared};
pub use stack::{Stack, StackConfig, StackPrepared, StackState, StackTape};
