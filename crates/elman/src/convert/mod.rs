//! Networks made elsewhere, and those trained here, as one kind of object.

use std::path::Path;

pub use elman_graph::{Graph, Interpreter, Stepper, Tensor, onnx, read, write};

use crate::error::{Error, Result};

/// Reads a network from a file of any kind that is known, a model trained here among them; the kind is found by content.
///
/// # Errors
/// [`Error::Model`] if the kind is not known, the file is damaged, or it needs something that is not implemented.
pub fn import(path: impl AsRef<Path>) -> Result<Graph> {
    let path = path.as_ref();
    read::open(path, &read::Options::default()).map_err(|error| {
        let reason = match error {
            // The file is named already.
            elman_graph::Error::File { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        Error::Model { path: path.into(), reason }
    })
}
