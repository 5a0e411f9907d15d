//! Every setting of a run: its name, default, valid range and help in one list; its text on the command line and in files.

mod auto;
mod keys;
mod ranges;
mod resolve;
mod toml;
mod words;

pub use auto::Auto;
pub use keys::{KEYS, Key, Settings};
pub use resolve::Data;
pub use toml::ConfigFile;
pub use words::{ClassWeights, InitWord, Keep, Sizes, Whether};

pub use crate::data::Standardize;
