//! Where the tensors of a map come from: any container, found by content.

use std::path::Path;

use crate::error::{Error, Result};
use crate::read::json::Json;
use crate::read::safetensors;
use crate::read::tensors::Tensors;
use crate::source::Source;
use crate::tensor::{Dtype, Tensor};

/// Tensors nested this deep in JSON are not looked for.
const DEEPEST: usize = 16;

/// All tensors of a file or folder by their names, and its JSON if it is one.
///
/// # Errors
/// A container that is not known or is damaged.
pub(super) fn tensors(
    source: &Source<'_>,
    manifest: Option<&str>,
    key: Option<&str>,
) -> Result<(Tensors, Option<Json>)> {
    if source.path.is_dir() {
        let name = plain(manifest.unwrap_or("manifest.json"))?;
        let bytes = std::fs::read(source.path.join(name)).map_err(|source| Error::Io { action: "read", source })?;
        return Ok((Tensors::new(raw(source.path, &Json::parse(name, &bytes)?)?)?, None));
    }
    let bytes = source.bytes;
    #[cfg(feature = "keras")]
    if crate::read::keras::recognizes_hdf5(source) {
        return Ok((crate::read::keras::datasets(source)?, None));
    }
    #[cfg(feature = "pytorch")]
    {
        use crate::read::npy;
        use crate::read::torch;
        if torch::recognizes_zip(source) || torch::recognizes_pickle(source) {
            return Ok((torch::tensors(source, key)?, None));
        }
        if crate::read::archive::is_zip(bytes) {
            return Ok((Tensors::new(npy::read_npz(bytes)?)?, None));
        }
    }
    // Without PyTorch's files no container has several state dicts.
    let _ = key;
    if safetensors::recognizes(source) {
        return Ok((Tensors::new(safetensors::read(bytes)?)?, None));
    }
    if crate::read::json::recognizes(source) {
        let json = Json::parse("the file", bytes)?;
        let is_manifest = |json: &Json| {
            json.entries().is_some_and(|entries| {
                !entries.is_empty() && entries.iter().all(|(_, entry)| entry.get("filename").is_some())
            })
        };
        if is_manifest(&json) {
            let folder = source.path.parent().unwrap_or(Path::new("."));
            return Ok((Tensors::new(raw(folder, &json)?)?, None));
        }
        let mut named = Vec::new();
        collect(&json, "", 0, &mut named)?;
        return Ok((Tensors::new(named)?, Some(json)));
    }
    Err(Error::Unrecognized { reason: "no container of tensors that is known: PyTorch, safetensors, HDF5, npz, JSON and folders of raw files are read".into() })
}

/// The name of a file in the same folder.
///
/// # Errors
/// A path that leads elsewhere.
pub(super) fn plain(name: &str) -> Result<&str> {
    let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0']);
    if is_plain {
        Ok(name)
    } else {
        Err(Error::malformed(format!("file {name:?}"), "only files of the same folder are read"))
    }
}

/// Little-endian float32 in files of their own, listed with their shapes.
fn raw(folder: &Path, manifest: &Json) -> Result<Vec<(String, Tensor)>> {
    let entries = manifest.entries().ok_or_else(|| Error::malformed("the manifest", "not an object"))?;
    let mut named = Vec::new();
    for (name, entry) in entries {
        let wrong = |reason: &str| Error::malformed(format!("manifest entry {name}"), reason);
        let file = entry.get("filename").and_then(Json::text).ok_or_else(|| wrong("it has no filename"))?;
        let shape = entry.get("shape").and_then(Json::list);
        let dims = shape.and_then(|shape| shape.iter().map(Json::size).collect::<Option<Vec<_>>>());
        let dims = dims.ok_or_else(|| wrong("its shape cannot be read"))?;
        let path = folder.join(plain(file)?);
        let io = |source| Error::Io { action: "read", source }.at(&path);
        let needed = dims.iter().try_fold(4usize, |n, d| n.checked_mul(*d));
        if needed.map(|needed| needed as u64) != Some(std::fs::metadata(&path).map_err(io)?.len()) {
            return Err(wrong(&format!("its shape {dims:?} is not that of the file {file}")));
        }
        let bytes = std::fs::read(&path).map_err(io)?;
        named.push((name.clone(), Tensor::from_le_bytes(Dtype::F32, dims, &bytes)?));
    }
    Ok(named)
}

/// Lists of numbers, and objects of `dim` and `data`, named by the keys that lead to them.
fn collect(json: &Json, name: &str, depth: usize, named: &mut Vec<(String, Tensor)>) -> Result<()> {
    let wrong = |reason: String| Error::malformed(format!("tensor {name}"), reason);
    match json {
        Json::Object(entries) => {
            if let (Some(dims), Some(data)) = (json.get("dim"), json.get("data")) {
                let dims = dims.list().and_then(|dims| dims.iter().map(Json::size).collect::<Option<Vec<_>>>());
                let dims = dims.ok_or_else(|| wrong("its dim cannot be read".into()))?;
                let (_, values) = data.array().map_err(wrong)?;
                let fits = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) == Some(values.len());
                if !fits {
                    return Err(wrong(format!("its dim is {dims:?}, and it has {} numbers", values.len())));
                }
                named.push((name.to_owned(), Tensor::from_f32(dims, values)?));
                return Ok(());
            }
            if depth < DEEPEST {
                for (key, value) in entries {
                    let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    collect(value, &name, depth + 1, named)?;
                }
            }
        }
        Json::Numbers(numbers) if !numbers.is_empty() && !name.is_empty() => {
            named.push((
                name.to_owned(),
                Tensor::from_f32([numbers.len()], numbers.iter().map(|&x| x as f32).collect())?,
            ));
        }
        // Lists of other things, such as of words, are no tensors.
        Json::List(_) if !name.is_empty() => {
            if let Ok((dims, values)) = json.array() {
                named.push((name.to_owned(), Tensor::from_f32(dims, values)?));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Symbols by token number, from a list or from an object of numbers.
///
/// # Errors
/// Numbers that occur twice or are left out.
pub(super) fn vocabulary(json: &Json) -> Result<Vec<String>> {
    let part = "the vocabulary";
    if let Some(list) = json.list() {
        return list
            .iter()
            .map(|symbol| symbol.text().map(String::from))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::malformed(part, "a symbol that is not a text"));
    }
    let entries = json.entries().ok_or_else(|| Error::malformed(part, "neither a list nor an object"))?;
    let mut symbols: Vec<Option<String>> = Vec::new();
    for (symbol, number) in entries {
        let at = number
            .size()
            .filter(|at| *at < 1 << 22)
            .ok_or_else(|| Error::malformed(part, format!("the number of {symbol:?} is none")))?;
        if at >= symbols.len() {
            symbols.resize(at + 1, None);
        }
        if symbols[at].replace(symbol.clone()).is_some() {
            return Err(Error::malformed(part, format!("the number {at} occurs twice")));
        }
    }
    // Some count from 1 and keep 0 for padding.
    if let Some(first @ None) = symbols.first_mut() {
        *first = Some(String::new());
    }
    let missing = symbols.iter().position(Option::is_none);
    match missing {
        Some(at) => Err(Error::malformed(part, format!("no symbol has the number {at}"))),
        None => Ok(symbols.into_iter().flatten().collect()),
    }
}
