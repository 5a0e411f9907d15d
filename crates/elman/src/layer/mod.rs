//! Layers: recurrent stacks, convolutions, embeddings, pooling, the linear output, dropout.

mod conv;
mod dropout;
mod embedding;
mod front;
mod linear;
mod loss;
mod norm;
mod pool;
mod stack;

pub use conv::{Conv, ConvPrepared, ConvScratch};
pub use dropout::Dropout;
pub use embedding::{Embedding, EmbeddingTape};
pub use front::{Front, FrontConfig, FrontPrepared, FrontTape};
pub use linear::{Linear, LinearPrepared};
pub use loss::Loss;
pub use norm::{LayerNorm, LayerNormTape};
pub use pool::{Pool, PoolTape, Pooling};
pub use stack::{Stack, StackConfig, StackPrepared, StackState, StackTape};
