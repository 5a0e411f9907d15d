//! Optimizers, gradient clipping, learning-rate schedules, averaged weights.
//!
//! Weights, gradients and an optimizer's buffers have one layout, so a step is one loop over one slice.

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
