//! Inspecting a trained network.

mod influence;
mod neurons;
mod recording;

pub use influence::{Gate, Influence};
pub use neurons::{Feature, Follower, GUESSES, Trace, follow};
pub use recording::{LEVELS, Recording};
