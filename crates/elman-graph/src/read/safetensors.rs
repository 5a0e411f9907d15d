//! safetensors, read with its own header parser: the crate of that name lets the last of two equal names win and forgets
//! their order.

use crate::error::{Error, Result};
use crate::source::Source;
use crate::tensor::{Dtype, Tensor};

use super::json::Json;

/// Largest header that is read; the format's own limit is 100 MB.
const MOST_HEADER: u64 = 16 << 20;

/// Whether a file has a header of this format.
pub(crate) fn recognizes(source: &Source) -> bool {
    let Some((len, rest)) = source.bytes.split_first_chunk() else { return false };
    // Headers begin with a brace, and no other format has a length before one.
    u64::from_le_bytes(*len) <= source.bytes.len() as u64 && rest.first() == Some(&b'{')
}

/// The tensors of a file, in the order of their data.
///
/// # Errors
/// A damaged header; a name twice; offsets that overlap, leave gaps or contradict the dimensions.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let cut = || Error::malformed("the header", "the file ends too early");
    let (header_len, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
    let header_len = u64::from_le_bytes(*header_len);
    if header_len > MOST_HEADER {
        let (size, most) = (format!("{header_len} bytes"), format!("{} MiB", MOST_HEADER >> 20));
        return Err(Error::TooLarge { part: "the header".into(), size, most });
    }
    let (header, data) = rest.split_at_checked(header_len as usize).ok_or_else(cut)?;
    let header = Json::parse("the header", header)?;
    let entries = header.entries().ok_or_else(|| Error::malformed("the header", "not a JSON object"))?;

    let mut found = Vec::new();
    for (name, entry) in entries {
        if name == "__metadata__" {
            continue;
        }
        let wrong = |reason: &str| Error::malformed(format!("tensor {name}"), reason);
        let dtype = match entry.get("dtype").and_then(Json::text).unwrap_or_default() {
            "F64" => Dtype::F64,
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::Bf16,
            "I64" => Dtype::I64,
            "I32" => Dtype::I32,
            "I16" => Dtype::I16,
            "I8" => Dtype::I8,
            "U64" => Dtype::U64,
            "U32" => Dtype::U32,
            "U16" => Dtype::U16,
            "U8" => Dtype::U8,
            "BOOL" => Dtype::Bool,
            other => return Err(Error::unsupported(format!("tensor {name}"), format!("the element type {other:?}"))),
        };
        let sizes = |key: &str| -> Option<Vec<usize>> { entry.get(key)?.list()?.iter().map(Json::size).collect() };
        let dims = sizes("shape").ok_or_else(|| wrong("its shape cannot be read"))?;
        let Some([begin, end]) = sizes("data_offsets").and_then(|offsets| <[usize; 2]>::try_from(offsets).ok()) else {
            return Err(wrong("its data_offsets cannot be read"));
        };
        let needed = dims.iter().try_fold(dtype.bytes(), |n, d| n.checked_mul(*d));
        if needed.is_none_or(|needed| end.checked_sub(begin) != Some(needed)) {
            return Err(wrong(&format!("its shape is {dims:?}, and its data_offsets are {begin} and {end}")));
        }
        found.push((begin, end, name.clone(), dtype, dims));
    }
    found.sort_by_key(|(begin, end, ..)| (*begin, *end));

    let (mut at, mut tensors) = (0, Vec::with_capacity(found.len()));
    for (begin, end, name, dtype, dims) in found {
        let wrong = |reason: &str| Error::malformed(format!("tensor {name}"), reason);
        if begin != at {
            return Err(wrong("its data overlap others or leave a gap"));
        }
        let data = data.get(begin..end).ok_or_else(|| wrong("its data lie beyond the end of the file"))?;
        tensors.push((name, Tensor::from_le_bytes(dtype, dims, data)?));
        at = end;
    }
    if at != data.len() {
        return Err(Error::malformed("the data", format!("{} bytes belong to no tensor", data.len() - at)));
    }
    Ok(tensors)
}
