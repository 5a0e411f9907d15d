//! Elman: recurrent networks trained and run on a CPU.
//!
//! A trained model runs one step at a time, without allocating ([`step`], a crate of its own for places without `std`):
//!
//! ```no_run
//! use std::path::Path;
//!
//! use elman::format::model;
//! use elman::step::{Network, Precision};
//!
//! let model = model::load(Path::new("model.safetensors"))?;
//! let mut network = Network::read(&model.document, Precision::F32).map_err(|error| model.error(error))?;
//! let logits = network.step_token(0)?;
//! # let _ = logits;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
pub mod cell;
pub mod data;
pub mod decode;
pub mod error;
pub mod format;
pub mod inspect;
pub mod layer;
pub mod metric;
pub mod optim;
pub mod param;
pub mod rng;
pub mod shape;
pub mod task;
pub mod train;

pub use elman_step as step;
pub use error::{Error, Result};
