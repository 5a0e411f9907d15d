//! Graphs in files of our own: format version 2 of the model files that [`elman_step::model`] describes.
//!
//! `X.safetensors` has the constants as tensors, checksummed, and under the metadata key `elman` a JSON object with
//! `format_version` 2, `kind` `graph` and `graph`. Equal graphs give equal bytes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use elman_step::model::{CHECKSUM_KEY, CONFIG_KEY, Document, GRAPH_VERSION, Kind, TENSORS_KEY, checksum};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Op};
use crate::tensor::{Dtype, Tensor};

/// Alignment of the data in bytes.
const ALIGN: usize = 64;

/// Names of element types in safetensors.
const NAMES: [(Dtype, &str); 13] = [
    (Dtype::F32, "F32"),
    (Dtype::F64, "F64"),
    (Dtype::F16, "F16"),
    (Dtype::Bf16, "BF16"),
    (Dtype::I64, "I64"),
    (Dtype::I32, "I32"),
    (Dtype::I16, "I16"),
    (Dtype::I8, "I8"),
    (Dtype::U64, "U64"),
    (Dtype::U32, "U32"),
    (Dtype::U16, "U16"),
    (Dtype::U8, "U8"),
    (Dtype::Bool, "BOOL"),
];

/// The name of an element type in safetensors.
pub(crate) fn name_of(dtype: Dtype) -> &'static str {
    NAMES.iter().find(|(d, _)| *d == dtype).map_or("F32", |(_, name)| name)
}

impl Graph {
    /// The graph as a file.
    ///
    /// # Errors
    /// If its description exceeds what such files may hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors: Vec<(&String, &Tensor)> = self.constants.iter().collect();
        // Large elements first, so that each lies at a multiple of its own size.
        tensors.sort_by_key(|(name, tensor)| (std::cmp::Reverse(tensor.dtype().bytes()), *name));
        let (mut data, mut entries, mut sums) = (Vec::new(), String::new(), Map::new());
        for (name, tensor) in tensors {
            let start = data.len();
            data.extend(tensor.to_le_bytes());
            let (dtype, offsets) = (name_of(tensor.dtype()), [start, data.len()]);
            let entry = json!({"dtype": dtype, "shape": tensor.dims(), "data_offsets": offsets});
            // Writing to a String cannot fail.
            let _ = write!(entries, ",{}:{entry}", Value::from(name.as_str()));
            sums.insert(name.clone(), checksum(&data[start..]).into());
        }
        let graph = serde_json::to_value(self).map_err(|e| Error::malformed("the graph", e.to_string()))?;
        let mut config = json!({"format_version": GRAPH_VERSION, "kind": "graph", "graph": graph});
        config.sort_all_objects();
        let mut sums = Value::Object(sums);
        sums.sort_all_objects();
        let opening = format!("{{\"__metadata__\":{{\"{CHECKSUM_KEY}\":\"");
        let mut header = format!(
            "{opening}00000000\",\"{CONFIG_KEY}\":{},\"{TENSORS_KEY}\":{}}}{entries}}}",
            Value::from(config.to_string()),
            Value::from(sums.to_string()),
        );
        let length = size_of::<u64>();
        let data_start = (length + header.len()).next_multiple_of(ALIGN);
        header.push_str(&" ".repeat(data_start - length - header.len()));
        let mut file = Vec::with_capacity(data_start + data.len());
        file.extend_from_slice(&(header.len() as u64).to_le_bytes());
        file.extend_from_slice(header.as_bytes());
        file.append(&mut data);
        let sum = checksum(&file);
        let digits = length + opening.len();
        file[digits..digits + sum.len()].copy_from_slice(sum.as_bytes());
        Document::parse(&file).map_err(|e| Error::malformed("the graph", e.to_string()))?;
        Ok(file)
    }

    /// Reads a file of [`Graph::to_bytes`].
    ///
    /// # Errors
    /// If it is none, is damaged, or its description and its tensors contradict each other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let broken = |reason: String| Error::Unrecognized { reason };
        let document = Document::parse(bytes).map_err(|e| broken(e.to_string()))?;
        if document.kind() != Kind::Graph {
            return Err(broken("a model trained with Elman, not a graph".into()));
        }
        let description = document.config().get("graph").unwrap_or(&Value::Null);
        let graph = Graph::deserialize(description);
        let mut graph = graph.map_err(|e| Error::malformed("the description of the graph", e.to_string()))?;
        check_nodes(&graph.nodes)?;
        for name in document.names() {
            let Some(view) = document.tensor(name) else { continue };
            let dtype = NAMES.iter().find(|(_, n)| *n == view.dtype.to_string()).map(|(d, _)| *d);
            let dtype = dtype.ok_or_else(|| Error::unsupported(name, format!("elements of {}", view.dtype)))?;
            graph.constants.insert(name.into(), Tensor::from_le_bytes(dtype, view.dims, view.bytes)?);
        }
        Ok(graph)
    }

    /// Writes the graph to a file that is there whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.to_bytes()?).map_err(|e| e.at(path))
    }
}

/// Every node reads and makes something; the rest is checked where it is used.
fn check_nodes(nodes: &[Node]) -> Result<()> {
    for node in nodes {
        let reads = node.input(0).is_some() || matches!(node.op, Op::Loop { .. });
        if !reads || node.outputs.iter().all(String::is_empty) {
            return Err(Error::malformed(&node.name, "a node that reads or makes nothing"));
        }
        match &node.op {
            Op::If { then_branch, else_branch } => {
                check_nodes(&then_branch.nodes)?;
                check_nodes(&else_branch.nodes)?;
            }
            Op::Loop { body } | Op::Scan { body, .. } => check_nodes(&body.nodes)?,
            _ => {}
        }
    }
    Ok(())
}

/// Writes a file under another name, then gives it its own.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |source| Error::Io { action: "write", source };
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.tmp-{}", std::process::id()));
    let write = || {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        io(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Builder;
    use crate::graph::Activation;

    fn graph() -> Graph {
        let mut b = Builder::new("test");
        let x = b.input("x", Dtype::F32, ["T".into(), 3.into()]);
        let kernel = Tensor::from_f32([3, 2], vec![0.1, f32::NAN, -0.0, 1e-45, 3e38, 2.0]).unwrap();
        let y = b.dense("dense", &x, kernel, None).unwrap();
        let y = b.activation("a", &y, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 });
        for (dtype, _) in NAMES {
            b.constant("c", Tensor::from_f32([2], vec![1.0, 0.0]).unwrap().cast(dtype).unwrap());
        }
        b.output("y", &y);
        b.finish().unwrap()
    }

    #[test]
    fn a_graph_comes_back_with_its_bits() {
        let bytes = graph().to_bytes().unwrap();
        let read = Graph::from_bytes(&bytes).unwrap();
        assert_eq!(read, graph());
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let bytes = graph().to_bytes().unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            assert!(Graph::from_bytes(&changed).is_err(), "byte {at}");
            assert!(Graph::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
