//! Arrays of numbers, with the element type they have in a file.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Dtype {
    F32,
    F64,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Dtype {
    /// Bytes of an element in a file.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
            Dtype::F16 | Dtype::Bf16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }

    /// Whether elements have a fractional part.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::Bf16)
    }

    /// Whether elements are whole numbers (not truth values).
    pub fn is_int(self) -> bool {
        !self.is_float() && self != Dtype::Bool
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "float32",
            Dtype::F64 => "float64",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
            Dtype::I64 => "int64",
            Dtype::I32 => "int32",
            Dtype::I16 => "int16",
            Dtype::I8 => "int8",
            Dtype::U64 => "uint64",
            Dtype::U32 => "uint32",
            Dtype::U16 => "uint16",
            Dtype::U8 => "uint8",
            Dtype::Bool => "bool",
        })
    }
}

/// Elements in memory: each type is held in the narrowest of these that holds its values, so float16 in `F32` and every
/// integer in `I64` (uint64 with its bits).
#[derive(Debug, Clone)]
pub enum Values {
    /// float32, float16 and bfloat16.
    F32(Arc<Vec<f32>>),
    /// float64.
    F64(Arc<Vec<f64>>),
    /// Integers.
    I64(Arc<Vec<i64>>),
    /// Truth values.
    Bool(Arc<Vec<bool>>),
}

/// An array, row-major. Clones share their elements.
#[derive(Debug, Clone)]
pub struct Tensor {
    dtype: Dtype,
    dims: Vec<usize>,
    values: Values,
}

/// Product of dimensions.
///
/// # Errors
/// If it exceeds `usize`; of those beside a 0 too, as products of some of them are taken.
pub(crate) fn count(dims: &[usize]) -> Result<usize> {
    let beside = dims
        .iter()
        .filter(|d| **d > 0)
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .ok_or_else(|| Error::malformed(format!("{dims:?}"), "more elements than memory has addresses"))?;
    Ok(if dims.contains(&0) { 0 } else { beside })
}

impl Tensor {
    /// A tensor of values that may be too precise for their type: they are rounded to it, and integers wrap.
    ///
    /// # Errors
    /// If the number of values is not the product of `dims`, or they are held otherwise than `dtype` needs.
    pub fn new(dtype: Dtype, dims: Vec<usize>, values: Values) -> Result<Self> {
        let len = match &values {
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
            Values::I64(v) => v.len(),
            Values::Bool(v) => v.len(),
        };
        if count(&dims)? != len {
            return Err(Error::malformed(format!("a tensor {dims:?}"), format!("it has {len} values")));
        }
        let values = match (dtype, values) {
            (Dtype::F32, v @ Values::F32(_)) => v,
            (Dtype::F64, v @ Values::F64(_)) => v,
            (Dtype::I64 | Dtype::U64, v @ Values::I64(_)) => v,
            (Dtype::Bool, v @ Values::Bool(_)) => v,
            (Dtype::F16, Values::F32(mut v)) => {
                Arc::make_mut(&mut v).iter_mut().for_each(|x| *x = f16_to_f32(f32_to_f16(*x)));
                Values::F32(v)
            }
            (Dtype::Bf16, Values::F32(mut v)) => {
                Arc::make_mut(&mut v).iter_mut().for_each(|x| *x = bf16_to_f32(f32_to_bf16(*x)));
                Values::F32(v)
            }
            (dtype, Values::I64(mut v)) if dtype.is_int() => {
                Arc::make_mut(&mut v).iter_mut().for_each(|x| *x = wrap(dtype, *x));
                Values::I64(v)
            }
            _ => return Err(Error::malformed(format!("a tensor {dims:?}"), format!("its values are not {dtype}"))),
        };
        Ok(Tensor { dtype, dims, values })
    }

    /// float32 values.
    ///
    /// # Errors
    /// If the number of values is not the product of `dims`.
    pub fn from_f32(dims: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Self> {
        Tensor::new(Dtype::F32, dims.into(), Values::F32(Arc::new(values)))
    }

    /// int64 values.
    ///
    /// # Errors
    /// If the number of values is not the product of `dims`.
    pub fn from_i64(dims: impl Into<Vec<usize>>, values: Vec<i64>) -> Result<Self> {
        Tensor::new(Dtype::I64, dims.into(), Values::I64(Arc::new(values)))
    }

    /// float32 zeros.
    ///
    /// # Errors
    /// If the product of `dims` exceeds `usize`.
    pub fn zeros(dims: impl Into<Vec<usize>>) -> Result<Self> {
        let dims = dims.into();
        let n = count(&dims)?;
        Tensor::from_f32(dims, vec![0.0; n])
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Dimensions; none for a scalar.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as they are held.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The elements, to be taken over.
    pub fn into_values(self) -> Values {
        self.values
    }

    /// Elements of float32, float16 and bfloat16, or `None`.
    pub fn as_f32(&self) -> Option<&[f32]> {
        if let Values::F32(v) = &self.values { Some(v) } else { None }
    }

    /// Elements of float64, or `None`.
    pub fn as_f64(&self) -> Option<&[f64]> {
        if let Values::F64(v) = &self.values { Some(v) } else { None }
    }

    /// Elements of integers, or `None`.
    pub fn as_i64(&self) -> Option<&[i64]> {
        if let Values::I64(v) = &self.values { Some(v) } else { None }
    }

    /// Truth values, or `None`.
    pub fn as_bool(&self) -> Option<&[bool]> {
        if let Values::Bool(v) = &self.values { Some(v) } else { None }
    }

    /// The elements as float32, rounded where they were float64; integers and truth values converted.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::F32(v) => v.to_vec(),
            Values::F64(v) => v.iter().map(|x| *x as f32).collect(),
            Values::I64(v) => v.iter().map(|x| *x as f32).collect(),
            Values::Bool(v) => v.iter().map(|x| f32::from(u8::from(*x))).collect(),
        }
    }

    /// The tensor in another element type: floats truncate towards zero to integers, anything but 0 is true.
    ///
    /// # Errors
    /// Never for tensors made by this crate.
    pub fn cast(&self, to: Dtype) -> Result<Tensor> {
        if to == self.dtype {
            return Ok(self.clone());
        }
        // Through the wide type of the target; `as` truncates and saturates.
        let values = if to == Dtype::Bool {
            Values::Bool(Arc::new(match &self.values {
                Values::F32(v) => v.iter().map(|x| *x != 0.0).collect(),
                Values::F64(v) => v.iter().map(|x| *x != 0.0).collect(),
                Values::I64(v) => v.iter().map(|x| *x != 0).collect(),
                Values::Bool(v) => v.to_vec(),
            }))
        } else if to == Dtype::F64 {
            Values::F64(Arc::new(match &self.values {
                Values::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
                Values::F64(v) => v.to_vec(),
                Values::I64(v) => v.iter().map(|x| *x as f64).collect(),
                Values::Bool(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
            }))
        } else if to.is_float() {
            Values::F32(Arc::new(self.to_f32()))
        } else {
            Values::I64(Arc::new(match &self.values {
                Values::F32(v) => v.iter().map(|x| *x as i64).collect(),
                Values::F64(v) => v.iter().map(|x| *x as i64).collect(),
                Values::I64(v) => v.to_vec(),
                Values::Bool(v) => v.iter().map(|x| i64::from(*x)).collect(),
            }))
        };
        Tensor::new(to, self.dims.clone(), values)
    }

    /// The same elements in other dimensions.
    ///
    /// # Errors
    /// If the number of elements would change.
    pub fn reshaped(&self, dims: impl Into<Vec<usize>>) -> Result<Tensor> {
        let dims = dims.into();
        if count(&dims)? != self.len() {
            return Err(Error::dimensions("reshape", &self.dims, &dims));
        }
        Ok(Tensor { dims, ..self.clone() })
    }

    /// Elements from little-endian bytes, as safetensors, ONNX `raw_data` and NumPy hold them.
    ///
    /// # Errors
    /// If the number of bytes does not fit.
    pub fn from_le_bytes(dtype: Dtype, dims: impl Into<Vec<usize>>, bytes: &[u8]) -> Result<Tensor> {
        let dims = dims.into();
        if count(&dims)?.checked_mul(dtype.bytes()) != Some(bytes.len()) {
            return Err(Error::malformed(format!("a tensor {dims:?}"), format!("it has {} bytes", bytes.len())));
        }
        fn each<const N: usize, T>(bytes: &[u8], of: impl Fn([u8; N]) -> T) -> Arc<Vec<T>> {
            Arc::new(bytes.as_chunks::<N>().0.iter().map(|b| of(*b)).collect())
        }
        let values = match dtype {
            Dtype::F32 => Values::F32(each(bytes, f32::from_le_bytes)),
            Dtype::F64 => Values::F64(each(bytes, f64::from_le_bytes)),
            Dtype::F16 => Values::F32(each(bytes, |b| f16_to_f32(u16::from_le_bytes(b)))),
            Dtype::Bf16 => Values::F32(each(bytes, |b| bf16_to_f32(u16::from_le_bytes(b)))),
            Dtype::I64 | Dtype::U64 => Values::I64(each(bytes, i64::from_le_bytes)),
            Dtype::I32 => Values::I64(each(bytes, |b| i32::from_le_bytes(b).into())),
            Dtype::U32 => Values::I64(each(bytes, |b| u32::from_le_bytes(b).into())),
            Dtype::I16 => Values::I64(each(bytes, |b| i16::from_le_bytes(b).into())),
            Dtype::U16 => Values::I64(each(bytes, |b| u16::from_le_bytes(b).into())),
            Dtype::I8 => Values::I64(each(bytes, |b| i8::from_le_bytes(b).into())),
            Dtype::U8 => Values::I64(each(bytes, |b: [u8; 1]| b[0].into())),
            Dtype::Bool => Values::Bool(each(bytes, |b: [u8; 1]| b[0] != 0)),
        };
        Ok(Tensor { dtype, dims, values })
    }

    /// The elements as little-endian bytes; the inverse of [`Tensor::from_le_bytes`].
    pub fn to_le_bytes(&self) -> Vec<u8> {
        fn flat<T: Copy, const N: usize>(v: &[T], of: impl Fn(T) -> [u8; N]) -> Vec<u8> {
            v.iter().flat_map(|x| of(*x)).collect()
        }
        match (&self.values, self.dtype) {
            (Values::F32(v), Dtype::F16) => flat(v, |x| f32_to_f16(x).to_le_bytes()),
            (Values::F32(v), Dtype::Bf16) => flat(v, |x| f32_to_bf16(x).to_le_bytes()),
            (Values::F32(v), _) => flat(v, f32::to_le_bytes),
            (Values::F64(v), _) => flat(v, f64::to_le_bytes),
            (Values::Bool(v), _) => flat(v, |x| [u8::from(x)]),
            (Values::I64(v), dtype) => match dtype.bytes() {
                1 => flat(v, |x| (x as u8).to_le_bytes()),
                2 => flat(v, |x| (x as u16).to_le_bytes()),
                4 => flat(v, |x| (x as u32).to_le_bytes()),
                _ => flat(v, i64::to_le_bytes),
            },
        }
    }
}

/// Equal in type, dimensions and bits.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        (self.dtype, &self.dims) == (other.dtype, &other.dims) && self.to_le_bytes() == other.to_le_bytes()
    }
}

/// An integer's low bits, read as a type.
fn wrap(dtype: Dtype, x: i64) -> i64 {
    match dtype {
        Dtype::I32 => (x as i32).into(),
        Dtype::I16 => (x as i16).into(),
        Dtype::I8 => (x as i8).into(),
        Dtype::U32 => (x as u32).into(),
        Dtype::U16 => (x as u16).into(),
        Dtype::U8 => (x as u8).into(),
        _ => x,
    }
}

/// bfloat16 is the upper half of float32.
pub(crate) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// To the nearest, ties to even.
pub(crate) fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// IEEE 754 binary16 to binary32, exact.
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        // Subnormal: fraction times 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 * (1.0 / 16_777_216.0)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// IEEE 754 binary32 to binary16, to the nearest, ties to even.
pub(crate) fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // From 65520 on the nearest is infinity.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    // Below 2^-14: adding 0.5 leaves the fraction, rounded, in the low bits.
    if magnitude < 0x3880_0000 {
        return sign | ((f32::from_bits(magnitude) + 0.5).to_bits() - 0x3f00_0000) as u16;
    }
    let rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    sign | ((rounded - 0x3800_0000) >> 13) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_comes_back() {
        for bits in 0..=u16::MAX {
            let x = f16_to_f32(bits);
            if !x.is_nan() {
                assert_eq!(f32_to_f16(x), bits, "{x}");
            }
        }
        assert_eq!(f32_to_f16(65519.0), 0x7bff);
        assert_eq!(f32_to_f16(65520.0), 0x7c00);
        assert_eq!(f32_to_f16(1.0 + 1.0 / 2048.0), 0x3c00);
        assert_eq!(f32_to_f16(1.0 + 3.0 / 2048.0), 0x3c02);
    }

    #[test]
    fn more_elements_than_there_are_addresses_are_refused_beside_a_0_too() {
        for dims in [[1 << 40, 1 << 40, 0], [0, 1 << 40, 1 << 40]] {
            assert!(Tensor::from_f32(dims, vec![]).is_err(), "{dims:?}");
        }
        assert_eq!(Tensor::from_f32([1 << 40, 0, 1 << 20], vec![]).unwrap().len(), 0);
    }

    #[test]
    fn integers_wrap_and_floats_truncate() {
        let x = Tensor::from_f32([3], vec![-1.9, 2.7, 300.0]).unwrap();
        assert_eq!(x.cast(Dtype::I32).unwrap().as_i64(), Some(&[-1, 2, 300][..]));
        assert_eq!(x.cast(Dtype::I32).unwrap().cast(Dtype::U8).unwrap().as_i64(), Some(&[255, 2, 44][..]));
    }
}
