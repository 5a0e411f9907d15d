//! Recurrent networks one step at a time.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

pub mod model;
