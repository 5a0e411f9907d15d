//! File formats: models and checkpoints as safetensors, replaced atomically; TensorBoard events.

pub mod document;
pub mod model;
pub mod quantize;
pub mod tensorboard;
