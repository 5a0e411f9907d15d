//! Inspecting a trained network.

mod neurons;

pub use neurons::{Feature, Follower, Trace, follow};
