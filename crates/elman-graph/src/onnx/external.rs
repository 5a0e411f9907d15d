//! Data of tensors in files beside the model.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use super::proto::TensorProto;
use crate::error::{Error, Result};
use crate::tensor::count;

/// The bytes of a tensor whose data is in another file of `folder`.
pub(super) fn bytes(tensor: &TensorProto, folder: Option<&Path>) -> Result<Vec<u8>> {
    let get = |key: &str| tensor.external.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
    let location = get("location").unwrap_or_default();
    let refuse = |reason: String| Error::malformed(tensor.name, reason);
    let inside = !location.is_empty()
        && Path::new(location).components().all(|c| matches!(c, Component::Normal(_)))
        && !location.contains('\\');
    if !inside {
        return Err(refuse(format!(
            "its data is said to be in {location:?}, outside the model's folder; it is not read"
        )));
    }
    let Some(folder) = folder else {
        return Err(refuse(format!("its data is in another file, {location:?}; pass --external-data to have it read")));
    };
    let io = |source| Error::Io { action: "read external data", source };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (root, path) = (folder.canonicalize().map_err(io)?, folder.join(location).canonicalize().map_err(io)?);
    // A link may lead out of the folder.
    if !path.starts_with(&root) {
        return Err(refuse(format!("{location:?} leads outside the model's folder")));
    }
    let number = |key: &str| match get(key) {
        Some(text) => text.parse::<u64>().map_err(|_| refuse(format!("{key} {text:?} is no number"))),
        None => Ok(0),
    };
    let (dtype, dims) = tensor.form()?;
    let want = count(&dims)?.checked_mul(dtype.bytes()).ok_or_else(|| refuse(format!("{dims:?} is too large")))?;
    let (offset, length) = (number("offset")?, number("length")?);
    if get("length").is_some() && length != want as u64 {
        return Err(refuse(format!("{dims:?} of {dtype}, but {length} bytes of data")));
    }
    let mut file = File::open(&path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if offset.checked_add(want as u64).is_none_or(|end| end > size) {
        return Err(refuse(format!("{location:?} ends before its data does")));
    }
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let mut bytes = vec![0; want];
    file.read_exact(&mut bytes).map_err(io)?;
    Ok(bytes)
}
