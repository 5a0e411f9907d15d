//! NumPy's array files.

use std::io::{Read, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::tensor::{Dtype, Tensor, count};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Largest file, in bytes.
const LARGEST: u64 = 8 << 30;

/// Reads a `.npy` file: C or Fortran order, little or big endian.
///
/// # Errors
/// If it is none, or holds elements that are no numbers; the message begins with the file's name.
pub fn read(path: &Path) -> Result<Tensor> {
    let load = || -> Result<Tensor> {
        let io = |source| Error::Io { action: "read", source };
        let mut bytes = Vec::new();
        std::fs::File::open(path).map_err(io)?.take(LARGEST).read_to_end(&mut bytes).map_err(io)?;
        parse("the array", &bytes)
    };
    load().map_err(|e| e.at(path))
}

/// A `.npy` file in memory; `part` names it in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(part: &str, bytes: &[u8]) -> Result<Tensor> {
    let bad = |reason: &str| Error::malformed(part, reason);
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| bad("not a .npy file"))?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| bad("cut short"))?;
    let (length, rest) = if version[0] == 1 {
        let (n, rest) = rest.split_first_chunk::<2>().ok_or_else(|| bad("cut short"))?;
        (usize::from(u16::from_le_bytes(*n)), rest)
    } else {
        let (n, rest) = rest.split_first_chunk::<4>().ok_or_else(|| bad("cut short"))?;
        (u32::from_le_bytes(*n) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(|| bad("cut short"))?;
    let header = std::str::from_utf8(header).map_err(|_| bad("a header that is no text"))?;
    let after = |key: &str| -> Option<&str> {
        let (_, after) = header.split_once(&format!("'{key}'"))?;
        after.trim_start().strip_prefix(':').map(str::trim_start)
    };
    let descr = after("descr").and_then(|t| t.strip_prefix('\'')?.split_once('\'')).map(|(d, _)| d);
    let descr = descr.ok_or_else(|| Error::unsupported(part, "a type of several fields"))?;
    let fortran = after("fortran_order").ok_or_else(|| bad("no fortran_order"))?.starts_with("True");
    let shape = after("shape").and_then(|t| t.strip_prefix('(')?.split_once(')')).map(|(s, _)| s);
    let shape = shape.ok_or_else(|| bad("no shape"))?;
    let dims = shape.split(',').map(str::trim).filter(|d| !d.is_empty());
    let dims = dims.map(|d| d.parse::<usize>().map_err(|_| bad("a shape that is none"))).collect::<Result<Vec<_>>>()?;
    let (order, kind) = descr.split_at_checked(1).ok_or_else(|| bad("no type"))?;
    let dtype = match kind {
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "f2" => Dtype::F16,
        "i8" => Dtype::I64,
        "i4" => Dtype::I32,
        "i2" => Dtype::I16,
        "i1" => Dtype::I8,
        "u8" => Dtype::U64,
        "u4" => Dtype::U32,
        "u2" => Dtype::U16,
        "u1" => Dtype::U8,
        "b1" => Dtype::Bool,
        _ => return Err(Error::unsupported(part, format!("elements of type {descr}"))),
    };
    let want = count(&dims)?.checked_mul(dtype.bytes()).ok_or_else(|| bad("too large a shape"))?;
    let data = data.get(..want).ok_or_else(|| bad("cut short: fewer elements than its shape"))?;
    let swapped: Vec<u8>;
    let data = if order == ">" && dtype.bytes() > 1 {
        swapped = data.chunks(dtype.bytes()).flat_map(|e| e.iter().rev()).copied().collect();
        &swapped
    } else {
        data
    };
    if !fortran {
        return Tensor::from_le_bytes(dtype, dims, data);
    }
    let reversed: Vec<usize> = dims.iter().rev().copied().collect();
    crate::interpret::reverse_axes(&Tensor::from_le_bytes(dtype, reversed, data)?)
}

/// Writes a `.npy` file.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, tensor: &Tensor) -> Result<()> {
    let io = |source| Error::Io { action: "write", source };
    let mut file = std::fs::File::create(path).map_err(|e| io(e).at(path))?;
    file.write_all(&bytes(tensor)).map_err(|e| io(e).at(path))
}

/// A `.npy` file as bytes. NumPy has no bfloat16: such elements are written as float32, which holds them.
pub fn bytes(tensor: &Tensor) -> Vec<u8> {
    let widened = if tensor.dtype() == Dtype::Bf16 { tensor.cast(Dtype::F32).ok() } else { None };
    let tensor = widened.as_ref().unwrap_or(tensor);
    let descr = match tensor.dtype() {
        Dtype::F32 | Dtype::Bf16 => "<f4",
        Dtype::F64 => "<f8",
        Dtype::F16 => "<f2",
        Dtype::I64 => "<i8",
        Dtype::I32 => "<i4",
        Dtype::I16 => "<i2",
        Dtype::I8 => "|i1",
        Dtype::U64 => "<u8",
        Dtype::U32 => "<u4",
        Dtype::U16 => "<u2",
        Dtype::U8 => "|u1",
        Dtype::Bool => "|b1",
    };
    let dims: Vec<String> = tensor.dims().iter().map(|d| format!("{d},")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", dims.join(" "));
    // The data begins at a multiple of 64 bytes; the header ends with a new line.
    let filled = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    header.push_str(&" ".repeat(filled - header.len() - 1));
    header.push('\n');
    let mut out = [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    out.extend(tensor.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_and_foreign_orders_are_read() {
        for dims in [vec![], vec![3], vec![2, 3]] {
            let n = dims.iter().product();
            let x = Tensor::from_f32(dims, (0..n).map(|i| i as f32).collect()).unwrap();
            assert_eq!(parse("x", &bytes(&x)).unwrap(), x);
        }
        let x = Tensor::from_i64([2, 3], vec![0, 1, 2, 3, 4, 5]).unwrap();
        let text = String::from_utf8_lossy(&bytes(&x)).into_owned();
        assert!(text.contains("'shape': (2, 3,)"), "{text}");
        let mut fortran = bytes(&x);
        let at = fortran.windows(5).position(|w| w == b"False").unwrap();
        fortran[at..at + 5].copy_from_slice(b"True ");
        assert_eq!(parse("x", &fortran).unwrap().as_i64(), Some(&[0, 2, 4, 1, 3, 5][..]));
        let mut big = bytes(&x);
        let at = big.windows(3).position(|w| w == b"<i8").unwrap();
        big[at] = b'>';
        assert_eq!(parse("x", &big).unwrap().as_i64().unwrap()[1], 1 << 56);
    }
}
