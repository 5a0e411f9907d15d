//! Files: a model or a checkpoint as one safetensors file, written so that the old one outlives any failure; what
//! TensorBoard reads.

pub mod atomic;
pub mod document;
pub mod model;
pub mod quantize;
pub mod tensorboard;
