//! Elman: recurrent networks trained and run on a CPU.
pub mod error;
pub use error::{Error, Result};
