//! One step of a recurrent layer for one or a few independent rows: inference, as opposed to training. Each cell's step
//! is next to its training kernels, such as [`crate::gates::lstm::step`].
//!
//! A step of one row is a matrix-vector product, so it costs as much as reading the weights. [`Panels`] holds
//! `W_ih` and `W_hh` in the order they are read: register-wide panels of units, gates side by side, a few panels to a
//! block, in each block first the rows multiplied with `x`, then those with `h_prev`. A block ends with all gates of
//! its units in registers, and the nonlinearities are applied there.
//!
//! A block keeps eight sums in flight, since a multiply-add takes four cycles and up to two start in each; where the
//! block has fewer columns than eight registers, each column's sum is split over several accumulators. How depends on
//! the dimensions and the instruction set alone, so a row's result does not depend on the other rows.

mod format;
mod linear;
pub(crate) mod panels;
pub(crate) mod product;
pub(crate) mod states;

pub use format::{INT8_DEPTH, Precision, round_to_bytes};
pub use linear::{linear, linear_rows};
pub use panels::Panels;
pub use product::{Scratch, Start};

pub use crate::scalar::round_to_bf16;

#[cfg(all(test, feature = "std"))]
mod tests;
