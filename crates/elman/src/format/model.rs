//! Saves and loads model files by name.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use elman_step::model::{Document, ModelError, header_length};

use super::document::DocumentWriter;
use crate::error::{Error, Result};
use crate::file::atomic;

/// The best model of a run, in its folder.
pub const BEST: &str = "best.safetensors";
/// The newest checkpoint of a run folder.
pub const LAST: &str = "last.safetensors";

/// A model file in memory, verified.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its file, for messages.
    pub path: PathBuf,
    /// Its content.
    pub document: Document<'static>,
}

impl Loaded {
    /// An error found later in the same file, such as dimensions that contradict the config.
    pub fn error(&self, error: ModelError) -> Error {
        refused(&self.path, error)
    }
}

/// Writes a model file; an old one of that name is kept until the new one is complete on disk.
///
/// # Errors
/// [`Error::Model`] if a float is NaN or infinite, or the document cannot be written in this format; [`Error::Io`] as
/// [`atomic::write`].
pub fn save(path: &Path, document: &DocumentWriter) -> Result<()> {
    save_on(&atomic::OsDisk, path, document)
}

/// As [`save`], on any [`Disk`](atomic::Disk).
///
/// # Errors
/// As [`save`].
pub fn save_on(disk: &impl atomic::Disk, path: &Path, document: &DocumentWriter) -> Result<()> {
    if let Some((tensor, index, value)) = document.first_non_finite() {
        let reason = format!("not written, because {tensor} holds {value} at element {index}; the model has diverged");
        return Err(Error::Model { path: path.into(), reason });
    }
    let bytes = document
        .to_bytes()
        .map_err(|error| Error::Model { path: path.into(), reason: format!("cannot be written: {error}") })?;
    atomic::write_on(disk, path, &bytes)
}

/// The file that a path to a model means: for a run folder its best model, and where none was validated yet its newest
/// checkpoint.
pub fn file_of(path: &Path) -> PathBuf {
    let in_folder = [BEST, LAST].map(|name| path.join(name)).into_iter().find(|file| file.is_file());
    in_folder.unwrap_or_else(|| path.into())
}

/// Reads and verifies a model file; for a run folder, [the one that is meant](file_of).
///
/// # Errors
/// [`Error::Io`] if there is no such file or it cannot be read; [`Error::Model`] if it is damaged or not a model.
pub fn load(path: &Path) -> Result<Loaded> {
    let path = &file_of(path);
    let bytes = read(path).map_err(|source| Error::Io { path: path.into(), action: "read", source })?;
    let document = bytes.and_then(Document::parse_owned).map_err(|error| refused(path, error))?;
    Ok(Loaded { path: path.into(), document })
}

/// The whole file, unless its first bytes show that it is not a model.
fn read(path: &Path) -> io::Result<std::result::Result<Vec<u8>, ModelError>> {
    // Asked before opening, because opening a pipe would wait for its writer.
    let meta = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(error.kind(), "no such file"),
        _ => error,
    })?;
    if meta.is_dir() {
        let reason = "is a folder; name the .safetensors file in it";
        return Err(io::Error::new(io::ErrorKind::IsADirectory, reason));
    }
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(9).read_to_end(&mut bytes)?;
    if let Err(error) = header_length(&bytes, meta.len()) {
        return Ok(Err(error));
    }
    file.read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

fn refused(path: &Path, error: ModelError) -> Error {
    Error::Model { path: path.into(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::document::{Tensor, TensorData};
    use serde_json::json;

    fn document(w: &[f32]) -> DocumentWriter<'_> {
        let tensor = Tensor { name: "w".into(), dims: vec![w.len()], data: TensorData::F32(w) };
        DocumentWriter { config: json!({"kind": "model"}), tensors: vec![tensor] }
    }

    #[test]
    fn a_saved_model_loads_and_names_itself_in_later_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best.safetensors");
        save(&path, &document(&[1.0, 2.0])).unwrap();
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.document.f32("w").unwrap(), [1.0, 2.0]);
        let error = loaded.document.expect_f32("w", &[3]).map_err(|error| loaded.error(error)).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: w: [2] in the file, but the config needs [3]", path.display()));
    }

    #[test]
    fn a_model_that_is_not_finite_is_refused_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best.safetensors");
        save(&path, &document(&[1.0])).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = save(&path, &document(&[0.0, bad])).unwrap_err();
            assert!(error.to_string().contains(&format!("w holds {bad} at element 1")), "{error}");
            let sums = [f64::from(bad)];
            let mut moments = document(&[]);
            moments.tensors.push(Tensor { name: "m".into(), dims: vec![1], data: TensorData::F64(&sums) });
            assert!(save(&path, &moments).unwrap_err().to_string().contains("m holds"));
        }
        assert_eq!(load(&path).unwrap().document.f32("w").unwrap(), [1.0]);
    }

    #[test]
    fn missing_files_and_folders_are_reported_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| match load(path) {
            Err(error @ Error::Io { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(message(&folder.path().join("best")).ends_with("best: cannot read: no such file"));
        let folder_message = message(folder.path());
        assert!(folder_message.ends_with("is a folder; name the .safetensors file in it"), "{folder_message}");
        save(&folder.path().join(BEST), &document(&[1.0])).unwrap();
        assert_eq!(load(folder.path()).unwrap().path, folder.path().join(BEST));
        #[cfg(unix)]
        assert!(message(Path::new("/dev/zero")).ends_with("is not a regular file"));
    }
}
