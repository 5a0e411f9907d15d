//! Elman: recurrent networks trained and run on a CPU.
pub mod cell;
pub mod error;
pub mod layer;
pub mod param;
pub mod rng;

pub use error::{Error, Result};
