//! What is read: the bytes of a file, and what a user says of them.

use std::collections::BTreeMap;
use std::path::Path;

/// What a user says where a format allows several readings.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Answers by name, as given on the command line: `gru` = `reset-after` or `cudnn`, `layers` = `lstm,lstm2,dense`,
    /// `map` = a file.
    pub answers: BTreeMap<String, String>,
    /// Whether tensors in other files of the model's folder are read (ONNX external data).
    pub external_data: bool,
}

impl Options {
    /// The answer of that name.
    pub fn answer(&self, name: &str) -> Option<&str> {
        self.answers.get(name).map(String::as_str)
    }
}

/// A file, or a folder of raw tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Where it is.
    pub(crate) path: &'a Path,
    /// Its bytes; none of a folder.
    pub(crate) bytes: &'a [u8],
}
