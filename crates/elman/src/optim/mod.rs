//! From gradients to the next weights: the rules, clipping, the rate over a run, averaged weights.
//!
//! Weights, gradients and a rule's buffers have one layout, so an update is one loop over one slice.

mod adagrad;
mod adam;
mod average;
pub mod clip;
mod config;
mod optimizer;
mod part;
mod rmsprop;
mod schedule;
mod sgd;

pub use average::Average;
pub use config::{OptimizerConfig, OptimizerKind};
pub use optimizer::Optimizer;
pub use schedule::{Plateau, ScheduleConfig, ScheduleKind};
