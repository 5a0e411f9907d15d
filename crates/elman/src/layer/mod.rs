//! Layers: recurrent stacks, attention, convolutions, embeddings, pooling, the linear output, dropout.

mod attention;
mod conv;
mod dropout;
mod embedding;
mod front;
mod grouping;
mod linear;
mod loss;
mod norm;
mod pool;
mod stack;
mod weight_drop;

pub use attention::{Attention, AttentionConfig, AttentionKind, AttentionPrepared, AttentionTape, Memory, MemoryGrad};
pub use conv::{Conv, ConvPrepared, ConvScratch};
pub use dropout::Dropout;
pub use embedding::{Embedding, EmbeddingTape};
pub use front::{Front, FrontConfig, FrontPrepared, FrontTape};
pub use grouping::Grouping;
pub use linear::{Linear, LinearPrepared};
pub use loss::Loss;
pub(crate) use loss::binary_cross_entropy;
pub use norm::{LayerNorm, LayerNormTape};
pub use pool::{Pool, PoolTape, Pooling};
pub use stack::{Stack, StackConfig, StackPrepared, StackState, StackTape};
pub use weight_drop::{MaskedWeights, WeightDrop};
