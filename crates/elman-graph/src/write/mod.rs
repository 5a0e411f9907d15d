//! Graphs written in formats of other programs.

mod amp;
mod c;
mod chain;
#[cfg(feature = "keras")]
mod keras;
mod safetensors;
mod stateful;
mod torch;

pub use amp::{nam, rtneural};
pub use c::c;
#[cfg(feature = "keras")]
pub use keras::keras;
pub use safetensors::safetensors;
pub use stateful::stateful;
#[cfg(feature = "pytorch")]
pub use torch::torch_file;
pub use torch::{Torch, torch};

use crate::error::Error;

fn refused(part: &str, reason: impl Into<String>) -> Error {
    Error::Refused { part: part.into(), reason: reason.into() }
}
