//! From gradients to new weights: optimizers, clipping, averaging, the learning rate's course.
//!
//! All of it is loops over one flat buffer in chunks of fixed size, so that no result depends on threads.

mod average;
pub mod clip;
mod schedule;
mod update;

pub use average::Average;
pub use schedule::{Plateau, ScheduleConfig, ScheduleKind};
pub use update::{Optimizer, OptimizerConfig, OptimizerKind};

/// Values of the flat buffer that one task of a thread takes.
const CHUNK: usize = 1 << 15;
