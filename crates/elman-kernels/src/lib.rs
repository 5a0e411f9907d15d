//! Kernels of the Elman toolkit: packed matrix products, fused recurrent steps, softmax with cross-entropy, row
//! operations, and the activation functions they share.
//!
//! Every function is safe, takes slices and sizes, and knows no model. Each body is written once over
//! a `Vector` of registers and compiled for every instruction set in `arch`; [`Isa::best`] selects one at run time.
//! `f64` runs the same bodies over plain arrays, for gradient checks and references.
//!
//! Sums have a fixed order: element `(m, n)` of a product is the start value plus `a[m][k] b[k][n]` for `k` ascending,
//! each a fused multiply-add where the instruction set has one. So a row's result depends neither on the other rows nor
//! on how rows are split over threads, and a time step computed alone is bit-identical to one computed in a batch.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_op_in_unsafe_fn)]
extern crate alloc;

pub mod activation;
mod arch;
pub mod attention;
mod bf16;
mod buffer;
mod compiled;
mod dot;
pub mod gates;
mod gemm;
mod isa;
mod mat;
pub mod optim;
pub mod peak;
pub mod reference;
pub mod rows;
mod scalar;
pub mod softmax;
pub mod step;
mod tile;
mod vector;

pub use bf16::Operands;
pub use buffer::Buffer;
pub use dot::gemm_rows;
pub use gemm::{Packed, Scratch, Start, gemm, gemm_unpacked, gemm_unpacked_of};
pub use isa::Isa;
pub use mat::{Mat, MatMut};
pub use scalar::Scalar;
