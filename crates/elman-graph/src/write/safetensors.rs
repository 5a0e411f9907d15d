//! Tensors alone, as every framework reads them.

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::file::name_of;
use crate::tensor::Tensor;

/// A safetensors file of tensors in the order given.
///
/// # Errors
/// Never for tensors of this crate.
pub fn safetensors(tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, tensor) in tensors {
        let start = data.len();
        data.extend(tensor.to_le_bytes());
        let entry =
            json!({"dtype": name_of(tensor.dtype()), "shape": tensor.dims(), "data_offsets": [start, data.len()]});
        header.insert(name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string();
    // The data begins at a multiple of 8 bytes.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.append(&mut data);
    Ok(file)
}
