//! What a user names: each task joins a reader, a shape and a metric. A new task of an old shape is one file here.

pub mod generate;
pub mod language_model;
pub mod score;
mod settings;

pub use settings::{InitWord, KEYS, Key, PRESETS, Settings};
