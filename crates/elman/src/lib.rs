//! Elman: recurrent networks trained and run on a CPU.
pub mod cell;
pub mod data;
pub mod decode;
pub mod error;
pub mod format;
pub mod layer;
pub mod optim;
pub mod param;
pub mod rng;
pub mod shape;
pub mod task;
pub mod train;

pub use error::{Error, Result};
