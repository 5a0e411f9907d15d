//! Inspecting a trained network.

mod neurons;

pub use neurons::{Feature, Follower, GUESSES, Trace, follow};
