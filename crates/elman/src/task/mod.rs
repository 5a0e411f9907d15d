//! What a user names: each task joins a reader, a shape and a metric. A new task of an old shape is one file here.

pub mod caption;
mod checks;
mod classifier;
pub mod classify;
pub mod classify_frames;
pub mod classify_sequence;
pub mod classify_text;
pub mod generate;
pub mod judge;
pub mod language_model;
pub mod live;
pub mod photographs;
mod plan;
mod presets;
pub mod score;
mod settings;
mod supervised;
pub mod translate;
mod writing;

pub use classifier::{Classifier, Evaluation, Mistake};
pub use plan::{Facts, Plan, grouped, plan, plan_watched};
pub use presets::PRESETS;
pub use settings::{ClassWeights, InitWord, KEYS, Key, Settings, Sizes};
pub use supervised::{Examples, Survey};

/// The tasks.
pub const NAMES: [&str; 8] = [
    language_model::NAME,
    classify::CLASSIFY,
    classify::REGRESS,
    classify_text::NAME,
    classify_sequence::NAME,
    classify_frames::NAME,
    translate::NAME,
    caption::NAME,
];
