//! Matrices of numbers from files: numpy's `.npy` and `.safetensors`, in 16, 32 or 64 bits.
//!
//! The format of `.npy`: numpy's `lib.format` documentation (magic, version, length of the header, a Python
//! dictionary).

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::error::Result;
use crate::file;

/// Rows of numbers: features of images, one row for each.
///
/// ```
/// use elman::data::Matrix;
///
/// let matrix = Matrix { dims: vec![2, 3], values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
/// assert_eq!((matrix.rows(), matrix.row(1)), (2, &[4.0, 5.0, 6.0][..]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// `[N, ..]`, at least two dimensions.
    pub dims: Vec<usize>,
    /// The values, row after row; all finite.
    pub values: Vec<f32>,
}

/// Longest header of a `.safetensors` file of features.
const MAX_HEADER: u64 = 1 << 20;

/// How a number is stored; little-endian.
#[derive(Clone, Copy, PartialEq)]
enum Number {
    F16,
    Bf16,
    F32,
    F64,
}

impl Number {
    fn size(self) -> usize {
        match self {
            Number::F16 | Number::Bf16 => 2,
            Number::F32 => 4,
            Number::F64 => 8,
        }
    }

    fn read(self, bytes: &[u8]) -> Vec<f32> {
        let two = |f: fn(u16) -> f32| bytes.as_chunks().0.iter().map(|b| f(u16::from_le_bytes(*b))).collect();
        match self {
            Number::F16 => two(half),
            Number::Bf16 => two(|bits| f32::from_bits(u32::from(bits) << 16)),
            Number::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Number::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        }
    }
}

/// The value of a half-precision number (IEEE 754 binary16).
pub(crate) fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// A finite number rounded to half precision, ties to even; infinite on overflow.
pub(crate) fn to_half(x: f32) -> u16 {
    let sign = (x.to_bits() >> 16 & 0x8000) as u16;
    let x = x.abs();
    sign | if x >= 65520.0 {
        0x7c00
    } else if x < 2f32.powi(-14) {
        (x * 2f32.powi(24)).round_ties_even() as u16
    } else {
        let bits = x.to_bits();
        ((bits + 0xfff + (bits >> 13 & 1) - (112 << 23)) >> 13) as u16
    }
}

impl Matrix {
    /// Reads a matrix.
    ///
    /// # Errors
    /// A file that cannot be read, is of neither format, damaged, cut short, of fewer than two dimensions or of other
    /// numbers; a value that is not finite, by its row.
    pub fn read(path: &Path) -> Result<Matrix> {
        let bytes = file::read(path)?;
        let wrong = |reason: String| file::fault(path, reason);
        let (number, dims, data) = if bytes.starts_with(b"\x93NUMPY") {
            npy(&bytes).map_err(wrong)?
        } else if path.extension().is_some_and(|e| e == "safetensors") {
            tensor(&bytes).map_err(wrong)?
        } else {
            return Err(wrong("is not a matrix; give a .npy file (numpy.save) or a .safetensors file".into()));
        };
        let count = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        let Some(count) = count.filter(|count| count.checked_mul(number.size()) == Some(data.len())) else {
            let reason = format!("holds {} bytes of data, which do not match {dims:?}; is it cut short?", data.len());
            return Err(wrong(reason));
        };
        if dims.len() < 2 || count == 0 {
            return Err(wrong(format!("has dimensions {dims:?}; features need [rows, width] or [rows, .., width]")));
        }
        let matrix = Matrix { dims, values: number.read(data) };
        if let Some(at) = matrix.values.iter().position(|x| !x.is_finite()) {
            return Err(wrong(format!("row {}: a value is not finite", at / matrix.row_len())));
        }
        Ok(matrix)
    }

    /// `N`.
    pub fn rows(&self) -> usize {
        self.dims[0]
    }

    /// Values of a row.
    pub fn row_len(&self) -> usize {
        self.dims[1..].iter().product()
    }

    /// The last dimension, the width of a vector.
    pub fn width(&self) -> usize {
        self.dims[self.dims.len() - 1]
    }

    /// A row's values.
    ///
    /// # Panics
    /// If `row` is out of range.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.row_len()..(row + 1) * self.row_len()]
    }
}

type Found<'a> = (Number, Vec<usize>, &'a [u8]);

fn npy(bytes: &[u8]) -> std::result::Result<Found<'_>, String> {
    let cut = || "is cut short in its header".to_string();
    let version = *bytes.get(6).ok_or_else(cut)?;
    let (from, len) = if version == 1 {
        let len = bytes.get(8..10).and_then(|b| b.try_into().ok()).ok_or_else(cut)?;
        (10, usize::from(u16::from_le_bytes(len)))
    } else {
        let len = bytes.get(8..12).and_then(|b| b.try_into().ok()).ok_or_else(cut)?;
        (12, u32::from_le_bytes(len) as usize)
    };
    let header = bytes.get(from..from + len).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text".to_string())?;
    let value = |key: &str| {
        let at = header.find(&format!("'{key}':"))? + key.len() + 3;
        Some(header[at..].trim_start())
    };
    let missing = |key: &str| format!("its header has no `{key}`");
    let kind = value("descr").ok_or_else(|| missing("descr"))?;
    let kind = kind.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let number = match kind {
        "<f2" => Number::F16,
        "<f4" => Number::F32,
        "<f8" => Number::F64,
        _ => return Err(format!("its element type is {kind:?}; save it as float16, float32 or float64")),
    };
    if value("fortran_order").is_none_or(|order| !order.starts_with("False")) {
        return Err("is stored in column-major order; save numpy.ascontiguousarray(..) of it".into());
    }
    let shape = value("shape").and_then(|shape| shape.strip_prefix('(')?.split(')').next());
    let shape = shape.ok_or_else(|| missing("shape"))?;
    let dims = shape.split(',').map(str::trim).filter(|dim| !dim.is_empty()).map(str::parse);
    let dims: Vec<usize> =
        dims.collect::<std::result::Result<_, _>>().map_err(|_| format!("its header's shape is ({shape})"))?;
    Ok((number, dims, &bytes[from + len..]))
}

fn tensor(bytes: &[u8]) -> std::result::Result<Found<'_>, String> {
    let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    if header > MAX_HEADER {
        return Err(format!("claims a header of {header} bytes; one or a few tensors take at most {MAX_HEADER}"));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| format!("cannot be read: {error}"))?;
    let names = tensors.names();
    let name = match &names[..] {
        [only] => *only,
        _ if tensors.tensor("features").is_ok() => "features",
        _ => return Err(format!("holds {} tensors; name the one with the features \"features\"", names.len())),
    };
    let (dtype, dims, range) = {
        let view = tensors.tensor(name).map_err(|error| error.to_string())?;
        let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        (view.dtype(), view.shape().to_vec(), start..start + view.data().len())
    };
    let number = match dtype {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        other => return Err(format!("its element type is {other:?}; save it as float16, float32 or float64")),
    };
    Ok((number, dims, &bytes[range]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{real_data, write};

    fn npy_bytes(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        header.push_str(&" ".repeat(63 - (header.len() + 10) % 64));
        header.push('\n');
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn halves_singles_doubles_and_tensors_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let values = [1.0f32, -0.5, 0.0, 65504.0, 6.103_515_6e-5, 2.0];
        let halves: Vec<u8> =
            [0x3c00u16, 0xb800, 0x0000, 0x7bff, 0x0400, 0x4000].iter().flat_map(|b| b.to_le_bytes()).collect();
        let singles: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let doubles: Vec<u8> = values.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
        for (descr, data) in [("<f2", &halves), ("<f4", &singles), ("<f8", &doubles)] {
            let matrix = Matrix::read(&write(folder.path(), "m.npy", npy_bytes(descr, "(2, 3)", data))).unwrap();
            assert_eq!((matrix.dims.as_slice(), matrix.values.as_slice()), (&[2, 3][..], &values[..]), "{descr}");
            assert_eq!(matrix.row(1), &values[3..]);
        }
        let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![2, 1, 3], &singles).unwrap();
        let bytes = safetensors::serialize([("x", view)], None).unwrap();
        let matrix = Matrix::read(&write(folder.path(), "m.safetensors", &bytes)).unwrap();
        assert_eq!((matrix.rows(), matrix.row_len(), matrix.width(), &matrix.values[..]), (2, 3, 3, &values[..]));
    }

    #[test]
    fn half_precision_rounds_to_the_nearest() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            assert_eq!(to_half(half(bits)), bits, "{bits:#x}");
        }
        // A tie goes to even; slightly above, up.
        assert_eq!([to_half(1.0 + 2f32.powi(-11)), to_half(1.0 + 1.1 * 2f32.powi(-11))], [0x3c00, 0x3c01]);
        assert_eq!([to_half(1.0 + 3.0 * 2f32.powi(-11)), to_half(0.4 * 2f32.powi(-24))], [0x3c02, 0]);
        assert_eq!([to_half(65519.0), to_half(-65520.0)], [0x7bff, 0xfc00]);
    }

    #[test]
    fn files_that_are_not_matrices_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let message =
            |name: &str, bytes: &[u8]| Matrix::read(&write(folder.path(), name, bytes)).unwrap_err().to_string();
        let good = npy_bytes("<f4", "(1, 2)", &[0; 8]);
        assert!(message("a.npy", &good[..good.len() - 1]).contains("cut short"));
        assert!(message("a.npy", &good[..9]).contains("cut short"));
        assert!(message("a.npy", b"hello").contains("not a matrix"));
        assert!(message("a.npy", &npy_bytes("<i8", "(1, 1)", &[0; 8])).contains("float16"));
        assert!(message("a.npy", &npy_bytes("<f4", "(2,)", &[0; 8])).contains("[rows, width]"));
        assert!(message("a.npy", &npy_bytes("<f4", "(18446744073709551615, 8)", &[0; 8])).contains("cut short"));
        assert!(message("a.npy", &npy_bytes("<f4", "(1, x)", &[0; 8])).contains("shape"));
        let nan = npy_bytes("<f4", "(2, 1)", &[0, 0, 0, 0, 0, 0, 0xc0, 0x7f]);
        assert!(message("a.npy", &nan).contains("row 1: a value is not finite"));
        assert!(message("a.safetensors", b"\0").contains("cannot be read"));
        assert!(message("a.safetensors", &(90u64 << 20).to_le_bytes()).contains("claims a header of 94371840 bytes"));
        for cut in 0..good.len() {
            assert!(Matrix::read(&write(folder.path(), "b.npy", &good[..cut])).is_err());
        }
    }

    #[test]
    fn the_features_of_flickr8k_are_read() {
        let Some(folder) = real_data("flickr8k") else { return };
        let matrix = Matrix::read(&folder.join("features_lite0_f16.npy")).unwrap();
        assert_eq!(matrix.dims, [8000, 1280]);
        let zeros = matrix.values.iter().filter(|&&x| x == 0.0).count() as f64 / matrix.values.len() as f64;
        assert!(matrix.values.iter().all(|x| (0.0..6.0).contains(x)) && (0.30..0.34).contains(&zeros), "{zeros}");
    }
}
