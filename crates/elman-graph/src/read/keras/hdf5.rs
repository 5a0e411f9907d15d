//! Weights in HDF5, as Keras lays them out: by layer with names (`.h5`), or numbered (`.weights.h5`).

use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;

use hdf5_reader::group::Group;
use hdf5_reader::{ByteOrder, Dataset, Datatype, Hdf5File, OpenOptions};

use crate::error::{Error, Result};
use crate::read::json::Json;
use crate::read::tensors::Tensors;
use crate::tensor::{Dtype, Tensor};

/// Bounds on what is walked through: networks have some hundred datasets, three or four groups deep.
const MOST_OBJECTS: usize = 20_000;
const DEEPEST: usize = 24;
/// What chunks may hold beyond the size of the file.
const SLACK: usize = 16 << 20;

/// An open file.
pub(crate) struct Store {
    file: Hdf5File,
    room: usize,
}

fn damaged(error: hdf5_reader::error::Error) -> Error {
    Error::malformed("the HDF5 file", error.to_string())
}

/// Bytes that all datasets together may have.
fn room(len: usize) -> usize {
    len.saturating_mul(2).saturating_add(SLACK)
}

fn options(room: usize) -> OpenOptions {
    OpenOptions::default()
        .with_max_read_bytes(room)
        .with_max_chunk_bytes(room.min(32 << 20))
        .with_max_object_header_bytes(8 << 20)
        .with_chunk_cache_bytes(0)
}

/// Whether a file is HDF5.
pub(crate) fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89HDF\r\n\x1a\n")
}

impl Store {
    /// Opens a file that lies in memory. Links to other files lead nowhere.
    ///
    /// # Errors
    /// A damaged file.
    pub(crate) fn of(bytes: Vec<u8>) -> Result<Self> {
        let room = room(bytes.len());
        Ok(Store { file: Hdf5File::from_vec_with_options(bytes, options(room)).map_err(damaged)?, room })
    }

    /// Opens a file of `len` bytes on disk, which is read as it is needed. Links to other files lead nowhere.
    ///
    /// # Errors
    /// A damaged file.
    pub(crate) fn open(path: &Path, len: usize) -> Result<Self> {
        let room = room(len);
        Ok(Store { file: Hdf5File::open_with_options(path, options(room)).map_err(damaged)?, room })
    }

    fn root(&self) -> Result<Group> {
        self.file.root_group().map_err(damaged)
    }

    /// A group by its path, if it is there.
    fn group(&self, path: &str) -> Option<Group> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(self.root().ok()?, |group, part| group.group(part).ok())
    }

    /// A text attribute of a group, if it is there.
    pub(crate) fn text(&self, path: &str, name: &str) -> Option<String> {
        self.group(path)?.attribute(name).ok()?.read_string().ok()
    }

    /// A list of texts of a group, which Keras splits into numbered attributes where it is long.
    pub(crate) fn texts(&self, path: &str, name: &str) -> Option<Vec<String>> {
        let group = self.group(path)?;
        let attributes = group.attributes().ok()?;
        let list = |name: &str| {
            let attribute = attributes.iter().find(|attribute| attribute.name == name)?;
            // Of an empty list Keras writes an empty array of numbers.
            if attribute.num_elements().ok()? == 0 { Some(Vec::new()) } else { attribute.read_strings().ok() }
        };
        if let Some(whole) = list(name) {
            return Some(whole);
        }
        let mut parts = list(&format!("{name}0"))?;
        for at in 1.. {
            let Some(part) = list(&format!("{name}{at}")) else { break };
            parts.extend(part);
        }
        Some(parts)
    }

    /// The configuration of the model, where the file has it.
    ///
    /// # Errors
    /// JSON that is none.
    pub(crate) fn config(&self) -> Result<Option<Json>> {
        self.text("", "model_config").map(|text| Json::parse("the attribute model_config", text.as_bytes())).transpose()
    }

    /// All datasets below a group, by path from it, still unread; and the names that groups called `vars` give their layer.
    ///
    /// # Errors
    /// Groups that contain themselves, links to other files, too many objects.
    pub(crate) fn datasets(&self, path: &str) -> Result<(Tensors, Vec<(String, String)>)> {
        let root =
            self.group(path).ok_or_else(|| Error::malformed(format!("group {path}"), "it is not in the file"))?;
        let (mut tensors, mut layers, mut count) = (Tensors::default(), Vec::new(), 0);
        let mut seen = HashSet::from([root.address()]);
        let mut open = vec![(String::new(), root, 0)];
        let room = Rc::new(std::cell::Cell::new(self.room));
        while let Some((path, group, depth)) = open.pop() {
            let part = || if path.is_empty() { "the root group".to_owned() } else { format!("group {path}") };
            let (groups, datasets) = group.members().map_err(|error| Error::malformed(part(), error.to_string()))?;
            count += groups.len() + datasets.len();
            if count > MOST_OBJECTS || depth > DEEPEST {
                let size = if depth > DEEPEST { format!("{depth} groups deep") } else { format!("{count} objects") };
                return Err(Error::TooLarge {
                    part: part(),
                    size,
                    most: format!("{MOST_OBJECTS} objects, {DEEPEST} deep,"),
                });
            }
            let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            for group in groups {
                let path = below(group.name());
                if !seen.insert(group.address()) {
                    return Err(Error::malformed(format!("group {path}"), "it is linked to from two places"));
                }
                if group.name() == "vars"
                    && let Some(name) = group.attribute("name").ok().and_then(|name| name.read_string().ok())
                {
                    layers.push((path.clone(), name));
                }
                open.push((path, group, depth + 1));
            }
            for dataset in datasets {
                let path = below(dataset.name());
                let dims = dataset.shape().iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>();
                let dims =
                    dims.ok_or_else(|| Error::malformed(format!("tensor {path}"), "its dimensions are too large"))?;
                let (name, room) = (path.clone(), Rc::clone(&room));
                tensors.unread(path, dims, Box::new(move || read(&name, &dataset, &room)))?;
            }
        }
        Ok((tensors, layers))
    }
}

/// The numbers of a dataset. All together take no more than the file and its slack: what is beyond that is fill value.
fn read(name: &str, dataset: &Dataset, room: &std::cell::Cell<usize>) -> Result<Tensor> {
    let part = format!("tensor {name}");
    let dtype = match dataset.dtype() {
        Datatype::FloatingPoint { byte_order: ByteOrder::BigEndian, .. }
        | Datatype::FixedPoint { byte_order: ByteOrder::BigEndian, .. } => {
            return Err(Error::unsupported(part, "big-endian numbers"));
        }
        Datatype::FloatingPoint { size: 2, .. } => Dtype::F16,
        Datatype::FloatingPoint { size: 4, .. } => Dtype::F32,
        Datatype::FloatingPoint { size: 8, .. } => Dtype::F64,
        Datatype::FixedPoint { size: 4, signed: true, .. } => Dtype::I32,
        Datatype::FixedPoint { size: 4, signed: false, .. } => Dtype::U32,
        Datatype::FixedPoint { size: 8, signed: true, .. } => Dtype::I64,
        other => return Err(Error::unsupported(part, format!("the element type {other:?}"))),
    };
    let len = dataset.raw_byte_len().map_err(|error| Error::malformed(&part, error.to_string()))?;
    let left = room.get().checked_sub(len).ok_or_else(|| Error::TooLarge {
        part: part.clone(),
        size: format!("{} MiB", len >> 20),
        most: format!("{} MiB, in proportion to the file,", room.get() >> 20),
    })?;
    room.set(left);
    let bytes = dataset.read_raw_bytes().map_err(|error| Error::malformed(&part, error.to_string()))?;
    let dims: Vec<usize> = dataset.shape().iter().map(|&d| d as usize).collect();
    Tensor::from_le_bytes(dtype, dims, &bytes)
}
