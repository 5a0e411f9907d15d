//! The one training loop, for every shape and task: steps, validation, checkpoints, exact resume, divergence.

mod advice;
mod batches;
mod checkpoint;
mod clock;
mod config;
mod engine;
mod events;
mod layers;
mod pool;
mod ranks;
mod record;
mod refit;
pub mod run_folder;
mod session;
mod trainer;
mod trial;
mod validation;

pub use advice::{Finished, advice, deciding, in_words, is_better_high, strongest, teachable};
pub(crate) use batches::cursor_of;
pub use batches::{Batches, Carry, Cursor, Scores, VAL_LOSS};
pub use checkpoint::{read_weights, weights};
pub use config::{Every, Length, Precision, Span, TrainConfig};
pub use engine::{Engine, blocks, ranges};
pub(crate) use engine::{blocks_among, blocks_of};
pub use layers::{InputGradients, Layers, LayersInput, LayersOutput, OutputGradients, Pass, Rows};
pub use pool::{MAX_THREADS, pool, threads};
pub use ranks::{AllReduce, Ranks, Reduce};
pub use record::Record;
pub use run_folder::RunFolder;
pub use session::Session;

pub use trainer::{Ending, Event, OnEvent, Progress, Refit, Trainer};
pub use trial::Trial;
