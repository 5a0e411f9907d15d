//! Reads a model: one safetensors file, the weights as tensors, everything else as JSON in its metadata.
//!
//! safetensors does not detect corrupted tensors, so the file carries its own checksums. The metadata has three
//! keys, all strings:
//! - `elman`: a JSON object with `format_version`, `kind` (`"model"`, `"checkpoint"` or `"graph"`) and what the kind needs;
//! - `elman.tensors`: a JSON object, the CRC-32 of each tensor's bytes by its name, to name the damaged one;
//! - `elman.crc32`: the CRC-32 of the whole file, computed with these eight digits set to `00000000`.
//!
//! A CRC-32 is eight lower-case hexadecimal digits of the polynomial zlib and PNG use. Numbers are little-endian. To
//! any other program the file is a plain safetensors file.

mod error;
mod format;
mod header;
mod weights;

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::Value;

pub use error::ModelError;
pub use format::{
    CHECKSUM_KEY, CONFIG_KEY, Dtype, FORMAT_VERSION, GRAPH_VERSION, MAX_HEADER, MAX_RANK, MAX_TENSORS, MAX_VALUES,
    TENSORS_KEY,
};
use header::Header;
pub use weights::{SCALE, scale_name};

/// Bytes of the header's length, at the very start.
const LENGTH: usize = 8;
/// Replaces the digits of [`CHECKSUM_KEY`] while the checksum is computed.
const BLANK: &[u8; 8] = b"00000000";

/// A tensor, borrowed from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorView<'d> {
    /// Dimensions, outermost first; empty for a scalar.
    pub dims: &'d [usize],
    /// Type of the elements.
    pub dtype: Dtype,
    /// The elements, row-major and little-endian.
    pub bytes: &'d [u8],
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Weights and what is needed for inference.
    Model,
    /// A model and the exact state of its training.
    Checkpoint,
    /// A network of any form, trained elsewhere: the crate elman-graph runs it.
    Graph,
}

/// A verified model file. Parsing allocates the names and the config; tensor views allocate nothing.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    file: Cow<'a, [u8]>,
    /// Where the tensors' bytes begin in `file`.
    data: usize,
    tensors: BTreeMap<String, TensorInfo>,
    config: Value,
    kind: Kind,
}

impl<'a> Document<'a> {
    /// Reads and verifies a whole file.
    ///
    /// # Errors
    /// Any [`ModelError`] but `Missing`, `Dimensions` and `Type`. A file that differs in one byte from what was written
    /// fails its checksum; an inconsistent header is rejected even with a valid checksum.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        Self::read(Cow::Borrowed(bytes))
    }

    /// As [`Document::parse`], taking ownership of the bytes.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse_owned(bytes: Vec<u8>) -> Result<Document<'static>, ModelError> {
        Document::read(Cow::Owned(bytes))
    }

    fn read(file: Cow<'a, [u8]>) -> Result<Self, ModelError> {
        let bytes: &[u8] = &file;
        let data = LENGTH + header_length(bytes, bytes.len() as u64)?;
        let Some(text) = bytes.get(LENGTH..data) else {
            return Err(ModelError::CutShort { part: "the header".into(), want: data as u64, got: bytes.len() as u64 });
        };
        let text = core::str::from_utf8(text).map_err(|error| damaged("the header", error))?;
        let header = Header::parse(text).map_err(|error| damaged("the header", error))?;
        let missing = |key| damaged("the header", format!("the metadata key `{key}` is missing"));
        let (config, checksum, sums) = match (header.config, header.checksum, header.sums) {
            (Some(config), Some(checksum), Some(sums)) => (config, checksum, sums),
            (None, None, None) => return Err(ModelError::Foreign),
            (None, ..) => return Err(missing(CONFIG_KEY)),
            (_, None, _) => return Err(missing(CHECKSUM_KEY)),
            (.., None) => return Err(missing(TENSORS_KEY)),
        };
        check_layout(&header.tensors, (bytes.len() - data) as u64, data as u64)?;
        if !checksum_holds(bytes, checksum)? {
            return Err(blame(&header.tensors, &bytes[data..], &sums));
        }
        let config = header::parse_value(&config).map_err(|error| damaged("the config", error))?;
        let kind = check_config(&config)?;
        Ok(Self { data, tensors: header.tensors, config, kind, file })
    }

    /// The JSON document: an object with at least `format_version` and `kind`.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Model or checkpoint.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The tensors' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor by its name.
    pub fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        let info = self.tensors.get(name)?;
        let (start, end) = info.data_offsets;
        let bytes = self.file.get(self.data..)?.get(start..end)?;
        Some(TensorView { dims: &info.shape, dtype: info.dtype, bytes })
    }

    /// The elements of a tensor of any dimensions; quantised weights are dequantised.
    ///
    /// # Errors
    /// [`ModelError::Missing`] and [`ModelError::Type`]; for bytes, any error of their scales.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        self.weights(name, None)
    }

    /// As [`Document::f32`].
    ///
    /// # Errors
    /// As [`Document::f32`].
    pub fn f64(&self, name: &str) -> Result<Vec<f64>, ModelError> {
        self.elements(name, None, f64::from_le_bytes)
    }

    /// As [`Document::f32`].
    ///
    /// # Errors
    /// As [`Document::f32`].
    pub fn u64(&self, name: &str) -> Result<Vec<u64>, ModelError> {
        self.elements(name, None, u64::from_le_bytes)
    }

    /// A tensor of bytes, borrowed.
    ///
    /// # Errors
    /// As [`Document::f32`].
    pub fn bytes(&self, name: &str) -> Result<&[u8], ModelError> {
        self.typed(name, None, Dtype::U8)
    }

    /// The elements of a tensor that must have the dimensions `dims`.
    ///
    /// # Errors
    /// [`ModelError::Missing`], [`ModelError::Type`] and [`ModelError::Dimensions`].
    pub fn expect_f32(&self, name: &str, dims: &[usize]) -> Result<Vec<f32>, ModelError> {
        self.weights(name, Some(dims))
    }

    /// As [`Document::expect_f32`].
    ///
    /// # Errors
    /// As [`Document::expect_f32`].
    pub fn expect_f64(&self, name: &str, dims: &[usize]) -> Result<Vec<f64>, ModelError> {
        self.elements(name, Some(dims), f64::from_le_bytes)
    }

    /// As [`Document::expect_f32`].
    ///
    /// # Errors
    /// As [`Document::expect_f32`].
    pub fn expect_u64(&self, name: &str, dims: &[usize]) -> Result<Vec<u64>, ModelError> {
        self.elements(name, Some(dims), u64::from_le_bytes)
    }

    /// As [`Document::expect_f32`], for borrowed bytes.
    ///
    /// # Errors
    /// As [`Document::expect_f32`].
    pub fn expect_bytes(&self, name: &str, dims: &[usize]) -> Result<&[u8], ModelError> {
        self.typed(name, Some(dims), Dtype::U8)
    }

    /// As [`Document::expect_f32`], into an existing buffer.
    ///
    /// # Errors
    /// As [`Document::expect_f32`]; `out` is then unchanged.
    ///
    /// # Panics
    /// If the length of `out` is not the product of `dims`.
    pub fn copy_f32(&self, name: &str, dims: &[usize], out: &mut [f32]) -> Result<(), ModelError> {
        if self.tensor(name).is_some_and(|view| view.dtype != Dtype::F32) {
            let weights = self.weights(name, Some(dims))?;
            assert_eq!(out.len(), weights.len(), "{name}: the buffer does not have the dimensions {dims:?}");
            out.copy_from_slice(&weights);
            return Ok(());
        }
        let bytes = self.typed(name, Some(dims), Dtype::F32)?;
        let (elements, _) = bytes.as_chunks();
        assert_eq!(out.len(), elements.len(), "{name}: the buffer does not have the dimensions {dims:?}");
        for (out, element) in out.iter_mut().zip(elements) {
            *out = f32::from_le_bytes(*element);
        }
        Ok(())
    }

    fn elements<T: Element, const N: usize>(
        &self,
        name: &str,
        dims: Option<&[usize]>,
        from_le_bytes: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, ModelError> {
        let (elements, _) = self.typed(name, dims, T::DTYPE)?.as_chunks();
        Ok(elements.iter().map(|element| from_le_bytes(*element)).collect())
    }

    /// A tensor's bytes, if it has this type and these dimensions.
    fn typed(&self, name: &str, dims: Option<&[usize]>, want: Dtype) -> Result<&[u8], ModelError> {
        let view = self.tensor(name).ok_or_else(|| ModelError::Missing { tensor: name.into() })?;
        if let Some(dims) = dims
            && view.dims != dims
        {
            return Err(ModelError::Dimensions { tensor: name.into(), got: view.dims.into(), want: dims.into() });
        }
        if view.dtype != want {
            return Err(ModelError::Type { tensor: name.into(), got: view.dtype, want });
        }
        Ok(view.bytes)
    }
}

/// A number type tensors can be read as.
trait Element {
    const DTYPE: Dtype;
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;
}

impl Element for f64 {
    const DTYPE: Dtype = Dtype::F64;
}

impl Element for u64 {
    const DTYPE: Dtype = Dtype::U64;
}

/// The length of the header, from the first bytes of a file (9 are enough) and its length in bytes. It rejects a file
/// that cannot be a model before the rest is read.
///
/// # Errors
/// [`ModelError::NotSafetensors`]; [`ModelError::Damaged`] if only the length is invalid.
pub fn header_length(start: &[u8], file_length: u64) -> Result<usize, ModelError> {
    let Some((length, rest)) = start.split_first_chunk::<LENGTH>() else {
        return Err(ModelError::NotSafetensors {
            reason: match file_length {
                0 => "it is empty".into(),
                n => format!("{n} bytes are fewer than the smallest such file has"),
            },
        });
    };
    let stated = u64::from_le_bytes(*length);
    match (usize::try_from(stated), rest.first()) {
        (_, Some(first)) if *first != b'{' => {
            Err(ModelError::NotSafetensors { reason: "byte 8 does not begin a header".into() })
        }
        (Ok(length), _) if (2..=MAX_HEADER).contains(&length) => Ok(length),
        _ => Err(damaged("the header's length", format!("{stated} bytes, but must be from 2 to {MAX_HEADER}"))),
    }
}

/// CRC-32 of `bytes`, in the form of the metadata.
pub fn checksum(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

fn damaged(part: &str, reason: impl ToString) -> ModelError {
    ModelError::Damaged { part: part.into(), reason: reason.to_string() }
}

/// Checks that the tensors fill `length` bytes of data without a hole or an overlap, each with the bytes its dimensions
/// need. `before` is the length of everything before the data.
fn check_layout(tensors: &BTreeMap<String, TensorInfo>, length: u64, before: u64) -> Result<(), ModelError> {
    let mut in_order = Vec::with_capacity(tensors.len());
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        let spans = end.checked_sub(start).ok_or_else(|| damaged(name, format!("it ends at {end}, before {start}")))?;
        let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |bits, &dim| bits.checked_mul(dim));
        if bits.is_none() || bits != spans.checked_mul(8) {
            let (shape, dtype) = (&info.shape, info.dtype);
            return Err(damaged(name, format!("{shape:?} of {dtype} does not fill the {spans} bytes it is given")));
        }
        in_order.push((name.clone(), info.clone()));
    }
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let last = in_order.last().map_or(0, |(_, info)| info.data_offsets.1) as u64;
    let at_the_cut =
        in_order.iter().find(|(_, info)| info.data_offsets.1 as u64 > length).map(|(name, _)| name.clone());
    // The reference implementation checks for holes and overlaps.
    Metadata::new(None, in_order).map_err(|error| damaged("the header", error))?;
    if let Some(part) = at_the_cut {
        return Err(ModelError::CutShort { part, want: before.saturating_add(last), got: before + length });
    }
    if length > last {
        return Err(ModelError::TooLong { extra: length - last });
    }
    Ok(())
}

/// Whether the whole file has the checksum it states. `stated` must lie in `file`.
fn checksum_holds(file: &[u8], stated: Cow<'_, str>) -> Result<bool, ModelError> {
    let malformed = || damaged("the checksum", "it is not eight digits");
    let Cow::Borrowed(digits) = stated else { return Err(malformed()) };
    if digits.len() != BLANK.len() {
        return Err(malformed());
    }
    let at = digits.as_ptr().addr() - file.as_ptr().addr();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&file[..at]);
    crc.update(BLANK);
    crc.update(&file[at + BLANK.len()..]);
    Ok(format!("{:08x}", crc.finalize()) == *digits)
}

/// Names what is damaged in a file whose checksum does not match: the first tensor that fails its own checksum,
/// otherwise the header.
fn blame(tensors: &BTreeMap<String, TensorInfo>, data: &[u8], sums: &str) -> ModelError {
    let sums = match header::parse_value(sums) {
        Ok(sums) => sums,
        Err(error) => return damaged("the tensors' checksums", error),
    };
    for (name, info) in tensors {
        let Some(sum) = sums.get(name) else { return damaged("the header", format!("no checksum for {name}")) };
        if *sum != checksum(&data[info.data_offsets.0..info.data_offsets.1]) {
            return damaged(name, "its bytes do not match its checksum; copy the file again, or use an earlier one");
        }
    }
    damaged("the header", "its checksum does not match; copy the file again, or use an earlier one")
}

/// Checks the format version; returns the kind.
fn check_config(config: &Value) -> Result<Kind, ModelError> {
    let kind = config.get("kind").and_then(Value::as_str);
    match config.get("format_version").and_then(Value::as_u64) {
        Some(GRAPH_VERSION) if kind == Some("graph") => return Ok(Kind::Graph),
        Some(FORMAT_VERSION) => {}
        Some(found) => return Err(ModelError::Version { found }),
        None => return Err(damaged("the config", "`format_version` is missing")),
    }
    match kind {
        Some("model") => Ok(Kind::Model),
        Some("checkpoint") => Ok(Kind::Checkpoint),
        _ => Err(damaged("the config", "`kind` is neither \"model\" nor \"checkpoint\"")),
    }
}
