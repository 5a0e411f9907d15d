//! NumPy's `.npz`: several arrays in one archive.

use crate::error::Result;
use crate::tensor::Tensor;

use super::archive::Archive;

/// All arrays of a `.npz` file, by the name of their entry without `.npy`.
pub(crate) fn read_npz(bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let mut archive = Archive::open(bytes)?;
    let mut arrays = Vec::new();
    for entry in archive.names() {
        let Some(name) = entry.strip_suffix(".npy") else { continue };
        let bytes = archive.read(&entry, u64::MAX)?;
        arrays.push((name.to_owned(), crate::npy::parse(name, &bytes)?));
    }
    Ok(arrays)
}
