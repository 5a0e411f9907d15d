//! Keras 1 to 3: `.keras`, `.h5`, and `.weights.h5` with the model's configuration beside it.
//!
//! Nothing of a configuration is run: classes are words, and those not known here are an error, as is Lambda.

mod flow;
mod hdf5;
mod layer;
mod model;
mod ops;
mod recurrent;
mod shape;
mod weights;

use std::path::{Path, PathBuf};

use crate::builder::Builder;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::source::{Options, Source};

use self::hdf5::Store;
use self::layer::Model;
use self::weights::Weights;
use super::archive::{self, Archive};
use super::json::Json;
use super::tensors::Tensors;

/// Largest configuration that is read.
const MOST_CONFIG: u64 = 8 << 20;

/// Whether a file is a `.keras` archive.
pub(crate) fn recognizes_archive(source: &Source) -> bool {
    let names = || Archive::open(source.bytes).map(|archive| archive.names()).unwrap_or_default();
    archive::is_zip(source.bytes) && names().iter().any(|name| name == "config.json")
}

/// The network of a `.keras` archive.
///
/// # Errors
/// A damaged archive; layers that are not known; weights that contradict the configuration.
pub(crate) fn read_archive(source: &Source, options: &Options) -> Result<Graph> {
    let mut archive = Archive::open(source.bytes)?;
    let (config, version) = described(&mut archive)?;
    let weights = archive.read("model.weights.h5", u64::MAX)?;
    network(&config, &Store::of(weights.into_owned())?, version, options, None)
}

/// Configuration and version of a `.keras` archive.
fn described(archive: &mut Archive<'_>) -> Result<(Json, Option<String>)> {
    let config = Json::parse("config.json", &archive.read("config.json", MOST_CONFIG)?)?;
    let version = if archive.names().iter().any(|name| name == "metadata.json") {
        let metadata = Json::parse("metadata.json", &archive.read("metadata.json", MOST_CONFIG)?)?;
        metadata.get("keras_version").and_then(Json::text).map(String::from)
    } else {
        None
    };
    Ok((config, version))
}

/// Whether a file is HDF5.
pub(crate) fn recognizes_hdf5(source: &Source) -> bool {
    hdf5::is_hdf5(source.bytes)
}

/// The network of an HDF5 file.
///
/// # Errors
/// As [`read_archive`]; weights alone without a configuration.
pub(crate) fn read_hdf5(source: &Source, options: &Options) -> Result<Graph> {
    let store = Store::open(source.path, source.bytes.len())?;
    let own = store.text("", "keras_version").or_else(|| store.text("model_weights", "keras_version"));
    if let Some(config) = store.config()? {
        return network(&config, &store, own, options, None);
    }
    // A damaged file is said to be so before anything is asked of its user.
    Weights::find(&store)?;
    let (path, told) = match options.answer("config") {
        Some(path) => (PathBuf::from(path), true),
        None => (beside(source.path).ok_or_else(|| Error::Missing {
            part: "the model's configuration".into(),
            needed_by: "a network (give it with --config: the file of model.to_json(), or a .keras or .h5 of the same model); a file of weights alone".into(),
        })?, false),
    };
    let (config, version) = configuration(&path)?;
    let note = (!told).then(|| format!("the layers are described by {}, which lies beside the file", path.display()));
    network(&config, &store, version.or(own), options, note)
}

/// All datasets of an HDF5 file by their paths, for a map.
///
/// # Errors
/// A damaged file.
pub(crate) fn datasets(source: &Source) -> Result<Tensors> {
    Ok(Store::open(source.path, source.bytes.len())?.datasets("")?.0)
}

/// The description of a file of weights in its own folder: of the same name, or `config.json`.
fn beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let stem = [".weights.h5", ".h5", ".hdf5"].iter().find_map(|end| name.strip_suffix(end))?;
    let names = [format!("{stem}.json"), format!("{stem}.keras"), format!("{stem}.h5"), "config.json".into()];
    names.into_iter().filter(|other| other != name).map(|other| path.with_file_name(other)).find(|path| path.is_file())
}

/// Configuration and version from JSON, a `.keras` or a full `.h5`.
fn configuration(path: &Path) -> Result<(Json, Option<String>)> {
    let part = format!("the configuration {}", path.display());
    let read = || -> Result<(Json, Option<String>)> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io { action: "read", source })?;
        if archive::is_zip(&bytes) {
            return described(&mut Archive::open(&bytes)?);
        }
        if hdf5::is_hdf5(&bytes) {
            let store = Store::of(bytes)?;
            let config = store.config()?.ok_or_else(|| Error::malformed("the HDF5 file", "it has no model_config"))?;
            return Ok((config, store.text("", "keras_version")));
        }
        if bytes.len() as u64 > MOST_CONFIG {
            let (size, most) = (format!("{} bytes", bytes.len()), format!("{} MiB", MOST_CONFIG >> 20));
            return Err(Error::TooLarge { part: "the JSON".into(), size, most });
        }
        let config = Json::parse("the JSON", &bytes)?;
        let version = config.get("keras_version").and_then(Json::text).map(String::from);
        Ok((config, version))
    };
    read().map_err(|error| Error::malformed(part, error.to_string()))
}

fn network(
    config: &Json,
    store: &Store,
    version: Option<String>,
    options: &Options,
    note: Option<String>,
) -> Result<Graph> {
    let major = version.as_deref().and_then(|version| version.split('.').next()?.parse().ok());
    let mut model = Model { builder: Builder::new("Keras"), weights: Weights::find(store)?, options, version: major };
    model.build(config)?;
    let Model { mut builder, weights, .. } = model;
    weights.into_tensors().report(&mut builder, "a part of the network would be left out")?;
    let about = &mut builder.graph_mut().about;
    about.producer = version.map(|version| format!("Keras {version}")).unwrap_or_default();
    about.notes.extend(note);
    builder.finish()
}
