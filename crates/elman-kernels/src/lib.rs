//! Kernels of the Elman toolkit.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;
