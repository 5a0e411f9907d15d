//! Foreign formats, found by content.

#[cfg(any(feature = "pytorch", feature = "keras"))]
mod archive;
mod guitarml;
mod json;
#[cfg(feature = "keras")]
mod keras;
mod layers;
mod map;
mod nam;
#[cfg(feature = "pytorch")]
mod npy;
mod rnnoise;
mod rtneural;
mod safetensors;
mod tensors;
mod torch;
mod trained;
mod weights;

use std::path::Path;

use crate::error::{Error, Result};
use crate::graph::Graph;
pub use crate::source::Options;
use crate::source::Source;

use self::json::Json;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 4 << 30;

/// A format that can be read. To add one, add a row to [`FORMATS`].
struct Format {
    /// Whether a file looks like it: cheap, by its first bytes or by the keys of its JSON.
    recognizes: fn(&Source) -> bool,
    /// The network in it.
    read: fn(&Source, &Options) -> Result<Graph>,
}

/// In the order in which they are tried; the first that recognizes a file reads it.
const FORMATS: &[Format] = &[
    Format { recognizes: trained::recognizes, read: trained::read },
    Format { recognizes: crate::onnx::recognizes, read: crate::onnx::read },
    // The length before its header may look like the beginning of a pickle.
    Format { recognizes: safetensors::recognizes, read: torch::read_safetensors },
    #[cfg(feature = "pytorch")]
    Format { recognizes: torch::recognizes_zip, read: torch::read_zip },
    #[cfg(feature = "pytorch")]
    Format { recognizes: torch::recognizes_pickle, read: torch::read_pickle },
    #[cfg(feature = "keras")]
    Format { recognizes: keras::recognizes_archive, read: keras::read_archive },
    #[cfg(feature = "keras")]
    Format { recognizes: keras::recognizes_hdf5, read: keras::read_hdf5 },
    #[cfg(any(feature = "pytorch", feature = "keras"))]
    Format { recognizes: archive::recognizes, read: archive::refuse },
    Format { recognizes: json::recognizes, read: read_json },
    Format { recognizes: rnnoise::recognizes, read: rnnoise::read },
];

/// Reads a network from a file (or a folder, for formats that are one) of any kind that is known.
///
/// # Errors
/// If the kind is not known, the file is damaged or contradicts itself, or it needs something that is not implemented;
/// the message begins with the file's name.
pub fn open(path: &Path, options: &Options) -> Result<Graph> {
    read(path, options).map_err(|e| e.at(path))
}

/// The network of a model trained with Elman, from the bytes of its file: what reads its inputs is not part of it.
///
/// # Errors
/// If the bytes are not such a model, or its network is none that a graph describes.
pub fn of_model(bytes: &[u8]) -> Result<Graph> {
    let document = elman_step::model::Document::parse(bytes);
    trained::of_document(&document.map_err(|error| Error::Unrecognized { reason: error.to_string() })?)
}

fn read(path: &Path, options: &Options) -> Result<Graph> {
    let io = |source| Error::Io { action: "read", source };
    let about = std::fs::metadata(path).map_err(io)?;
    if about.len() > LARGEST {
        let (size, most) = (format!("{} bytes", about.len()), format!("{LARGEST} bytes"));
        return Err(Error::TooLarge { part: "the file".into(), size, most });
    }
    let bytes = if about.is_dir() { Vec::new() } else { std::fs::read(path).map_err(io)? };
    let source = Source { path, bytes: &bytes };
    if let Some(map) = options.answer("map") {
        return map::read(&source, Path::new(map), options);
    }
    if about.is_dir() {
        return Err(Error::Unrecognized {
            reason: "a folder of raw files needs a description of its layers; give one with --map".into(),
        });
    }
    let format = FORMATS.iter().find(|f| (f.recognizes)(&source)).ok_or_else(|| Error::Unrecognized {
        reason:
            "no kind of model file that is known; ONNX, PyTorch, Keras, safetensors, NAM and RTNeural files are read"
                .into(),
    })?;
    (format.read)(&source, options)
}

/// The formats that are JSON, told apart by their keys.
fn read_json(source: &Source, options: &Options) -> Result<Graph> {
    let json = Json::parse("the file", source.bytes)?;
    if nam::recognizes(&json) {
        nam::read(&json)
    } else if guitarml::recognizes(&json) {
        guitarml::read(&json)
    } else if rtneural::recognizes(&json) {
        rtneural::read(&json)
    } else if torch::recognizes_json(&json) {
        torch::read_json(&json, options)
    } else {
        Err(Error::Unrecognized {
            reason:
                "JSON of no kind that is known: neither NAM, GuitarML, RTNeural nor a state dict; a description of its \
                     layers can be given with --map"
                    .into(),
        })
    }
}
