//! Writes the model files that [`elman_step::model`] reads.
//!
//! Equal content gives equal bytes: keys are sorted, tensors are sorted by element size, then name, and the
//! data start at a multiple of 64 bytes.

use std::fmt::Write;

use elman_step::model::{CHECKSUM_KEY, CONFIG_KEY, Document, Dtype, FORMAT_VERSION, ModelError, TENSORS_KEY, checksum};
use serde_json::{Map, Value};

/// Alignment of the data in bytes: a cache line, and the widest SIMD vector.
const ALIGN: usize = 64;

/// A model file to be written.
#[derive(Debug, Clone)]
pub struct DocumentWriter<'a> {
    /// A JSON object with `kind` (`"model"` or `"checkpoint"`) and the keys of that kind. `format_version` is added.
    pub config: Value,
    /// The tensors, in any order.
    pub tensors: Vec<Tensor<'a>>,
}

/// A tensor to be written.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// Its name, unique in the file.
    pub name: String,
    /// Its dimensions, outermost first; empty for a single number.
    pub dims: Vec<usize>,
    /// Its elements, row-major: as many as the product of `dims`.
    pub data: TensorData<'a>,
}

/// The elements of a tensor.
#[derive(Debug, Clone, Copy)]
pub enum TensorData<'a> {
    /// Weights.
    F32(&'a [f32]),
    /// Weights in bfloat16: the upper halves of their bits.
    Bf16(&'a [u16]),
    /// int8 weights; their scales are a separate tensor, named by [`elman_step::model::scale_name`].
    I8(&'a [i8]),
    /// Sums that need double precision.
    F64(&'a [f64]),
    /// Positions and counts.
    U64(&'a [u64]),
    /// Anything else.
    Bytes(&'a [u8]),
}

impl TensorData<'_> {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::Bf16(_) => Dtype::BF16,
            Self::I8(_) => Dtype::I8,
            Self::F64(_) => Dtype::F64,
            Self::U64(_) => Dtype::U64,
            Self::Bytes(_) => Dtype::U8,
        }
    }

    fn byte_length(self) -> usize {
        match self {
            Self::F32(data) => size_of_val(data),
            Self::Bf16(data) => size_of_val(data),
            Self::I8(data) => data.len(),
            Self::F64(data) => size_of_val(data),
            Self::U64(data) => size_of_val(data),
            Self::Bytes(data) => data.len(),
        }
    }

    /// Appends the elements, little-endian.
    fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Self::F32(data) => append(out, data, f32::to_le_bytes),
            Self::Bf16(data) => append(out, data, u16::to_le_bytes),
            Self::I8(data) => append(out, data, i8::to_le_bytes),
            Self::F64(data) => append(out, data, f64::to_le_bytes),
            Self::U64(data) => append(out, data, u64::to_le_bytes),
            Self::Bytes(data) => out.extend_from_slice(data),
        }
    }

    /// Position and value of the first element that is NaN or infinite.
    fn first_non_finite(self) -> Option<(usize, f64)> {
        match self {
            Self::F32(data) => data.iter().position(|x| !x.is_finite()).map(|i| (i, f64::from(data[i]))),
            Self::F64(data) => data.iter().position(|x| !x.is_finite()).map(|i| (i, data[i])),
            Self::Bf16(data) => {
                let value = |half: &u16| f64::from(f32::from_bits(u32::from(*half) << 16));
                data.iter().map(value).enumerate().find(|(_, x)| !x.is_finite())
            }
            Self::I8(_) | Self::U64(_) | Self::Bytes(_) => None,
        }
    }
}

fn append<T: Copy, const N: usize>(out: &mut Vec<u8>, data: &[T], to_le_bytes: fn(T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + size_of_val(data), 0);
    for (bytes, element) in out[start..].chunks_exact_mut(N).zip(data) {
        bytes.copy_from_slice(&to_le_bytes(*element));
    }
}

impl DocumentWriter<'_> {
    /// The file's bytes, verified by parsing them.
    ///
    /// # Errors
    /// Any error of [`Document::parse`]: a config that is not an object or has no `kind`, a name used twice, data that
    /// do not fill the dimensions, a header over [`elman_step::model::MAX_HEADER`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let mut tensors: Vec<&Tensor> = self.tensors.iter().collect();
        // Large elements first, so that each lies at a multiple of its own size.
        tensors.sort_by(|a, b| b.data.dtype().bitsize().cmp(&a.data.dtype().bitsize()).then(a.name.cmp(&b.name)));

        let mut data = Vec::with_capacity(tensors.iter().map(|tensor| tensor.data.byte_length()).sum());
        let mut entries = String::new();
        let mut sums = Map::new();
        for tensor in tensors {
            let start = data.len();
            tensor.data.append_to(&mut data);
            let entry = serde_json::json!({
                "dtype": tensor.data.dtype().to_string(),
                "shape": tensor.dims,
                "data_offsets": [start, data.len()],
            });
            // Writing to a String cannot fail.
            let _ = write!(entries, ",{}:{entry}", Value::from(tensor.name.as_str()));
            sums.insert(tensor.name.clone(), checksum(&data[start..]).into());
        }

        let mut config = self.config.clone();
        if let Value::Object(config) = &mut config {
            config.insert("format_version".into(), FORMAT_VERSION.into());
        }
        let (mut config, mut sums) = (config, Value::Object(sums));
        // In case a crate in the build asks serde_json to keep the order of insertion.
        config.sort_all_objects();
        sums.sort_all_objects();
        let opening = format!("{{\"__metadata__\":{{\"{CHECKSUM_KEY}\":\"");
        let mut header = format!(
            "{opening}00000000\",\"{CONFIG_KEY}\":{},\"{TENSORS_KEY}\":{}}}{entries}}}",
            Value::from(config.to_string()),
            Value::from(sums.to_string()),
        );
        let digits = size_of::<u64>() + opening.len();
        let data_start = (size_of::<u64>() + header.len()).next_multiple_of(ALIGN);
        header.push_str(&" ".repeat(data_start - size_of::<u64>() - header.len()));

        let mut file = Vec::with_capacity(data_start + data.len());
        file.extend_from_slice(&(header.len() as u64).to_le_bytes());
        file.extend_from_slice(header.as_bytes());
        file.append(&mut data);
        let sum = checksum(&file);
        file[digits..digits + sum.len()].copy_from_slice(sum.as_bytes());
        Document::parse(&file)?;
        Ok(file)
    }

    /// The first element that is NaN or infinite: its tensor's name, its index there, its value.
    pub fn first_non_finite(&self) -> Option<(&str, usize, f64)> {
        self.tensors.iter().find_map(|tensor| {
            let (index, value) = tensor.data.first_non_finite()?;
            Some((tensor.name.as_str(), index, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elman_step::model::Kind;
    use safetensors::SafeTensors;
    use serde_json::json;

    const WEIGHTS: [f32; 6] = [1.0, -0.0, f32::MIN_POSITIVE, f32::MAX, 1e-45, 0.1];
    const SUMS: [f64; 2] = [0.1, 1e-310];
    const POSITION: [u64; 1] = [u64::MAX];

    fn tensor<'a>(name: &str, dims: &[usize], data: TensorData<'a>) -> Tensor<'a> {
        Tensor { name: name.into(), dims: dims.into(), data }
    }

    fn writer() -> DocumentWriter<'static> {
        DocumentWriter {
            config: json!({"kind": "checkpoint", "lr": 0.1, "labels": ["\u{1F600}", "\"quoted\"", "\u{0}"]}),
            tensors: vec![
                tensor("text", &[3], TensorData::Bytes(b"abc")),
                tensor("rnn.w", &[2, 3], TensorData::F32(&WEIGHTS)),
                tensor("a \"name\"", &[0, 7], TensorData::F32(&[])),
                tensor("moments", &[2], TensorData::F64(&SUMS)),
                tensor("position", &[], TensorData::U64(&POSITION)),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = writer().to_bytes().unwrap();
        let document = Document::parse(&bytes).unwrap();
        assert_eq!(document.kind(), Kind::Checkpoint);
        let mut config = writer().config;
        config["format_version"] = 1.into();
        assert_eq!(document.config(), &config);
        let names: Vec<&str> = document.names().collect();
        assert_eq!(names, ["a \"name\"", "moments", "position", "rnn.w", "text"]);
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&document.expect_f32("rnn.w", &[2, 3]).unwrap()), bits(&WEIGHTS));
        assert_eq!(bits(&document.f32("rnn.w").unwrap()), bits(&WEIGHTS));
        let mut copy = [9.0; 6];
        document.copy_f32("rnn.w", &[2, 3], &mut copy).unwrap();
        assert_eq!(bits(&copy), bits(&WEIGHTS));
        assert_eq!(document.f32("a \"name\"").unwrap(), [0.0_f32; 0]);
        assert_eq!(document.expect_f64("moments", &[2]).unwrap(), SUMS);
        assert_eq!(document.f64("moments").unwrap(), SUMS);
        assert_eq!(document.expect_u64("position", &[]).unwrap(), POSITION);
        assert_eq!(document.u64("position").unwrap(), POSITION);
        assert_eq!(document.expect_bytes("text", &[3]).unwrap(), b"abc");
        assert_eq!(document.bytes("text").unwrap(), b"abc");
        let view = document.tensor("rnn.w").unwrap();
        assert_eq!((view.dims, view.dtype, view.bytes.len()), (&[2, 3][..], Dtype::F32, 24));
        assert_eq!(document.tensor("none"), None);
    }

    #[test]
    fn the_reference_implementation_reads_the_same_tensors() {
        let bytes = writer().to_bytes().unwrap();
        let document = Document::parse(&bytes).unwrap();
        let theirs = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.len(), 5);
        for (name, view) in theirs.iter() {
            let ours = document.tensor(name).unwrap();
            assert_eq!((ours.dims, ours.dtype, ours.bytes), (view.shape(), view.dtype(), view.data()));
        }
    }

    #[test]
    fn equal_content_gives_equal_bytes_in_any_order() {
        let one = writer();
        let mut other = writer();
        other.tensors.reverse();
        other.config = json!({});
        for (key, value) in one.config.as_object().unwrap().iter().rev() {
            other.config[key] = value.clone();
        }
        assert!(one.to_bytes().unwrap() == other.to_bytes().unwrap());
    }

    #[test]
    fn every_tensor_lies_at_a_multiple_of_its_element() {
        let mut writer = writer();
        for n in 0..70 {
            writer.config["pad"] = "x".repeat(n).into();
            let bytes = writer.to_bytes().unwrap();
            let document = Document::parse(&bytes).unwrap();
            let offset = |name| document.tensor(name).unwrap().bytes.as_ptr().addr() - bytes.as_ptr().addr();
            assert_eq!(offset("moments") % 64, 0);
            assert_eq!(offset("position") % 8, 0);
            assert_eq!(offset("rnn.w") % 4, 0);
        }
    }

    #[test]
    fn numbers_of_the_config_are_bit_identical_after_reading() {
        // Pseudo-random bit patterns, hard cases for decimal parsers.
        let mut x = 1_u64;
        let numbers: Vec<f64> = std::iter::repeat_with(|| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits(x)
        })
        .filter(|number| number.is_finite())
        .take(2000)
        .collect();
        let config = json!({"kind": "model", "numbers": numbers, "max": u64::MAX, "min": i64::MIN});
        let bytes = DocumentWriter { config, tensors: vec![] }.to_bytes().unwrap();
        let document = Document::parse(&bytes).unwrap();
        let read = document.config()["numbers"].as_array().unwrap();
        for (read, number) in read.iter().zip(&numbers) {
            assert_eq!(read.as_f64().unwrap().to_bits(), number.to_bits());
        }
        assert_eq!(document.config()["max"], u64::MAX);
        assert_eq!(document.config()["min"], i64::MIN);
    }

    #[test]
    fn a_tensor_that_contradicts_the_config_is_named_with_both_dimensions() {
        let bytes = writer().to_bytes().unwrap();
        let document = Document::parse(&bytes).unwrap();
        let message = document.expect_f32("rnn.w", &[3, 2]).unwrap_err().to_string();
        assert_eq!(message, "rnn.w: [2, 3] in the file, but the config needs [3, 2]");
        let message = document.f64("rnn.w").unwrap_err().to_string();
        assert_eq!(message, "rnn.w: elements of type F32 in the file, but F64 is needed");
        let message = document.bytes("rnn.v").unwrap_err().to_string();
        assert_eq!(message, "rnn.v: not in the file, but the config needs it");
        let mut out = [9.0; 6];
        assert!(document.copy_f32("rnn.w", &[6], &mut out).is_err());
        assert_eq!(out, [9.0; 6]);
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let refused = |change: fn(&mut DocumentWriter)| {
            let mut writer = writer();
            change(&mut writer);
            writer.to_bytes().unwrap_err().to_string()
        };
        let contains = |message: String, part: &str| assert!(message.contains(part), "{message}");
        contains(refused(|w| w.config = Value::Null), "format_version");
        contains(refused(|w| w.config = json!({"kind": "poem"})), "kind");
        contains(refused(|w| w.tensors[1].dims = vec![2, 2]), "rnn.w");
        contains(refused(|w| w.tensors[0].name = "rnn.w".into()), "`rnn.w` is repeated");
        contains(refused(|w| w.tensors[0].name = "__metadata__".into()), "`__metadata__` is repeated");
        contains(refused(|w| w.tensors[0].dims = vec![1, 1, 1, 1, 1, 1, 1, 1, 3]), "more than 8 dimensions");
        contains(refused(|w| w.config["text"] = "x".repeat(10_000_000).into()), "the header's length");
    }
}
