//! The one training loop, for every shape and task.

mod engine;

pub use engine::{Engine, blocks};
