//! Recurrent networks one step at a time: `y = rnn.step(x)`.
//!
//! [`Rnn`], [`Gru`] and [`Lstm`] each hold their weights and their state; [`Stack`] stacks them;
//! [`Network`] is a whole model read from a file, with an embedding and a linear output; [`Streams`] runs
//! several independent states with one set of weights; [`machine::Machine`] runs a network of any form.
//!
//! After construction a step allocates nothing, takes no lock and makes no system call. The crate is
//! `no_std` and needs `alloc`; without the feature `std` the instruction set is the one the program is compiled for.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

mod cell;
mod config;
mod error;
pub mod machine;
pub mod model;
mod network;
mod single;
mod stack;

pub use cell::CellKind;
pub use cell::gru::Reset;
pub use cell::input::{InputKind, Source, Weights};
pub use config::{NetworkConfig, NoFront, NoLoss};
pub use elman_kernels::gates::rnn::Nonlinearity;
pub use elman_kernels::step::Precision;
pub use error::Error;
pub use network::{Network, Streams};
pub use single::{Gru, Lstm, Rnn};
pub use stack::{Layers, Stack};
