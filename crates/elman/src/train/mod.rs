//! The one training loop, for every shape and task: updates, validation, checkpoints, exact resume, divergence.

mod advice;
mod checkpoint;
mod config;
mod engine;
mod events;
mod record;
pub mod run_folder;
mod session;
mod task;
mod trainer;

pub use advice::advice;
pub use checkpoint::{read_weights, weights};
pub use config::{Every, Precision, Span, TrainConfig};
pub use engine::{Engine, blocks};
pub use record::Record;
pub use run_folder::RunFolder;
pub use session::Session;
pub use task::{Carry, Scores, Task};
pub use trainer::{Ending, Event, Progress, Trainer, Watch};
