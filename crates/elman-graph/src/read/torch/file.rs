//! `.pt`, `.pth` and `.bin`: what `torch.save` writes, as a zip archive (since PyTorch 1.6) or as a row of pickles.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::read::archive::Archive;
use crate::tensor::{Dtype, Tensor};

use super::pickle::{Node, Pickle, Value, View};

/// Largest pickle that is read: names and dimensions of tensors, no numbers.
const MOST_PICKLE: u64 = 8 << 20;
/// The first pickle of a legacy file: protocol 2 and the number 0x1950a86a20f9469cfc6c.
pub(crate) const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// Names under which the state dict of an optimizer or a schedule is kept.
const NOT_WEIGHTS: [&str; 8] =
    ["optimizer", "optimizer_state", "optimizer_state_dict", "optim", "optimizer_states", "scheduler", "scaler", "amp"];

/// What a file holds.
pub(crate) struct StateDict {
    /// In the order of the file.
    pub(crate) tensors: Vec<(String, Tensor)>,
    /// Tensors beside the state dict and their dimensions, such as moments of an optimizer.
    pub(crate) passed_over: Vec<(String, Vec<usize>)>,
}

/// The state dict of a zip archive.
///
/// # Errors
/// TorchScript and whole modules; damaged files; several state dicts and no `key` to say which.
pub(crate) fn read_zip(bytes: &[u8], key: Option<&str>) -> Result<StateDict> {
    let mut archive = Archive::open(bytes)?;
    let names = archive.names();
    let pickle = names.iter().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(pickle) = pickle.cloned() else {
        return Err(Error::malformed("the zip archive", "no entry data.pkl: not a file of torch.save"));
    };
    let root = pickle.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    if names.iter().any(|name| name.starts_with(&format!("{root}code/")) || *name == format!("{root}constants.pkl")) {
        return Err(Error::malformed(
            "the zip archive",
            "a TorchScript program, which is code; save the weights with torch.save(model.state_dict(), \"model.pt\")",
        ));
    }
    let byte_order = format!("{root}byteorder");
    if names.contains(&byte_order) && *archive.read(&byte_order, 64)? != *b"little" {
        return Err(Error::unsupported(byte_order, "big-endian numbers"));
    }
    let pickle = Pickle::parse(&archive.read(&pickle, MOST_PICKLE)?)?;
    let mut load = |key: &str| archive.read(&format!("{root}data/{key}"), u64::MAX);
    state_dict(&pickle, key, bytes.len(), &mut load)
}

/// The state dict of a legacy file.
///
/// # Errors
/// As [`read_zip`].
pub(crate) fn read_legacy(bytes: &[u8], key: Option<&str>) -> Result<StateDict> {
    let mut at = LEGACY.len();
    let mut next = || {
        let rest = bytes.get(at..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(MOST_PICKLE as usize)).unwrap_or_default();
        let pickle = Pickle::parse(rest)?;
        at += pickle.end;
        Ok::<_, Error>(pickle)
    };
    // The protocol's number, facts of the machine, the object, the keys of its storages; then the storages.
    let version = next()?;
    if version.root != Value::Int(1001) {
        return Err(Error::unsupported("the pickle", "this version of the legacy format"));
    }
    let system = next()?;
    let entries = system.dict(system.root).unwrap_or_default();
    let is_big =
        entries.iter().any(|(name, value)| system.text(*name) == Some("little_endian") && *value == Value::Bool(false));
    if is_big {
        return Err(Error::unsupported("the pickle", "big-endian numbers"));
    }
    let pickle = next()?;
    let listed = next()?;
    let keys = listed.list(listed.root).unwrap_or_default().iter().filter_map(|key| listed.text(*key));
    let sizes = storage_sizes(&pickle);
    let mut places = HashMap::new();
    for key in keys {
        let cut = || Error::malformed(format!("storage {key}"), "the file ends too early");
        let count = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let count = count.and_then(|count| usize::try_from(count).ok()).ok_or_else(cut)?;
        let &element = sizes.get(key).ok_or_else(|| Error::malformed(format!("storage {key}"), "no tensor uses it"))?;
        let end =
            count.checked_mul(element).and_then(|len| (at + 8).checked_add(len)).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(cut)?;
        places.insert(key.to_owned(), at + 8..end);
        at = end;
    }
    let mut load = |key: &str| {
        let bytes = places.get(key).and_then(|place: &std::ops::Range<usize>| bytes.get(place.clone()));
        bytes.map(Cow::Borrowed).ok_or_else(|| Error::malformed(format!("storage {key}"), "it is not in the file"))
    };
    state_dict(&pickle, key, bytes.len(), &mut load)
}

/// Bytes of an element of every storage.
fn storage_sizes(pickle: &Pickle) -> HashMap<String, usize> {
    pickle.storages().map(|storage| (storage.key.clone(), storage.dtype.bytes())).collect()
}

/// The bytes of a storage.
type Load<'l, 'b> = dyn FnMut(&str) -> Result<Cow<'b, [u8]>> + 'l;

fn state_dict(pickle: &Pickle, key: Option<&str>, file_len: usize, load: &mut Load<'_, '_>) -> Result<StateDict> {
    let (mut passed_over, mut trail) = (Vec::new(), Vec::new());
    let mut dict = pickle.root;
    for part in key.into_iter().flat_map(|key| key.split('/')) {
        let entries = pickle.dict(dict).unwrap_or_default();
        let found = entries.iter().find(|(name, _)| pickle.text(*name) == Some(part));
        dict = found.ok_or_else(|| Error::malformed(format!("key {part}"), "the file has no such key"))?.1;
        trail.push(part.to_owned());
    }
    // From dict to dict as long as exactly one leads on to tensors.
    for _ in 0..8 {
        let entries = pickle.dict(dict).ok_or_else(|| {
            Error::malformed(
                "the pickle",
                "it holds no state dict; save the weights with torch.save(model.state_dict(), \"model.pt\")",
            )
        })?;
        if entries.iter().any(|(_, value)| matches!(pickle.node(*value), Some(Node::Tensor(_)))) {
            return tensors(pickle, dict, passed_over, file_len, load);
        }
        let mut within: Vec<(&str, Value)> = Vec::new();
        for &(name, value) in entries {
            let Some(name) = pickle.text(name) else { continue };
            let found = pickle.tensors_within(value);
            if found.is_empty() {
                continue;
            }
            if NOT_WEIGHTS.contains(&name) {
                passed_over.extend(found.into_iter().map(|(path, dims)| (format!("{name}.{path}"), dims)));
            } else {
                within.push((name, value));
            }
        }
        match within.as_slice() {
            [] => return Err(Error::malformed("the pickle", "it holds no tensors")),
            [(name, value)] => {
                trail.push((*name).to_owned());
                dict = *value;
            }
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                return Err(Error::Ambiguous {
                    part: "the pickle".into(),
                    reason: format!("it holds tensors under the keys {}", names.join(", ")),
                    option: format!("--key {}", [trail.as_slice(), &[names[0].to_owned()]].concat().join("/")),
                });
            }
        }
    }
    Err(Error::malformed("the pickle", "its state dict lies too deep"))
}

fn tensors(
    pickle: &Pickle,
    dict: Value,
    passed_over: Vec<(String, Vec<usize>)>,
    file_len: usize,
    load: &mut Load<'_, '_>,
) -> Result<StateDict> {
    // Tied weights are read once for each name; more than that only a malicious file asks for.
    let (mut tensors, mut room) = (Vec::new(), 2 * file_len + (1 << 20));
    for &(name, value) in pickle.dict(dict).unwrap_or_default() {
        let Some(Node::Tensor(view)) = pickle.node(value) else { continue };
        let name = pickle.text(name).ok_or_else(|| Error::malformed("the state dict", "a tensor without a name"))?;
        let tensor = tensor(name, view, load)?;
        room = room.checked_sub(4 * tensor.len()).ok_or_else(|| {
            Error::malformed(format!("tensor {name}"), "the tensors share their storages and exceed the file by far")
        })?;
        tensors.push((name.to_owned(), tensor));
    }
    Ok(StateDict { tensors, passed_over })
}

/// The numbers a view sees, row by row.
fn tensor(name: &str, view: &View, load: &mut Load<'_, '_>) -> Result<Tensor> {
    let wrong = |reason: String| Error::malformed(format!("tensor {name}"), reason);
    let element = view.storage.dtype.bytes();
    let count = view.dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let bytes = load(&view.storage.key)?;
    // What the pickle claims of its storages is not believed. A view may repeat its numbers with strides of 0, but no weights
    // of a layer do.
    let stored = bytes.len() / element;
    let count = count.filter(|count| *count <= stored);
    let count = count.ok_or_else(|| {
        wrong(format!(
            "its dimensions {:?} exceed the {stored} elements of its storage {}",
            view.dims, view.storage.key
        ))
    })?;
    let first = view.storage.offset.checked_add(view.offset);
    let beyond = || wrong(format!("it reaches beyond storage {}", view.storage.key));
    let numbers = if is_row_major(view) {
        let begin = first.and_then(|first| first.checked_mul(element)).ok_or_else(beyond)?;
        let end = begin.checked_add(count * element).ok_or_else(beyond)?;
        Cow::Borrowed(bytes.get(begin..end).ok_or_else(beyond)?)
    } else {
        Cow::Owned(gathered(view, &bytes, count, first).ok_or_else(beyond)?)
    };
    let tensor = Tensor::from_le_bytes(view.storage.dtype, view.dims.clone(), &numbers)?;
    // One width in memory for all: what a network computes with.
    if tensor.dtype() == Dtype::F64 { tensor.cast(Dtype::F32) } else { Ok(tensor) }
}

/// Whether a view lies in its storage as it is read, row by row.
fn is_row_major(view: &View) -> bool {
    let mut step = 1usize;
    view.dims.iter().zip(&view.strides).rev().all(|(dim, stride)| {
        let fits = *dim == 1 || *stride == step;
        step = step.saturating_mul(*dim);
        fits
    })
}

/// The bytes of a view's elements, row by row; `None` if one lies beyond `bytes`.
fn gathered(view: &View, bytes: &[u8], count: usize, first: Option<usize>) -> Option<Vec<u8>> {
    let element = view.storage.dtype.bytes();
    let mut gathered = Vec::with_capacity(count.saturating_mul(element).min(bytes.len()));
    let mut index = vec![0usize; view.dims.len()];
    for _ in 0..count {
        let place =
            index.iter().zip(&view.strides).try_fold(first?, |at, (i, stride)| at.checked_add(i.checked_mul(*stride)?));
        let at = place?.checked_mul(element)?;
        gathered.extend_from_slice(bytes.get(at..at.checked_add(element)?)?);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < view.dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Some(gathered)
}
