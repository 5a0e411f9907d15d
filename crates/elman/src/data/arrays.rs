//! numpy's arrays: one of `.npy`, several of `.npz`.

use std::io::{Cursor, Read};
use std::path::Path;

use npyz::{NpyFile, Order};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{Error, Result};
use crate::file::{fault, max_decompressed};

/// The first bytes of a `.npy` file, and of a zip archive, such as `.npz`.
const NPY_MAGIC: &[u8] = b"\x93NUMPY";
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// An array in C order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// Its values.
    pub values: Values,
}

/// Values of an array.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// Unsigned bytes, as pixels are.
    Bytes(Vec<u8>),
    /// Numbers of any other kind.
    Numbers(Vec<f64>),
    /// Words.
    Words(Vec<String>),
}

impl Array {
    /// A value as the cell of a table.
    pub(crate) fn cell(&self, at: usize) -> String {
        match &self.values {
            Values::Bytes(values) => values[at].to_string(),
            Values::Numbers(values) => values[at].to_string(),
            Values::Words(values) => values[at].clone(),
        }
    }
}

/// Whether these are the first bytes of arrays.
pub(crate) fn is(bytes: &[u8], path: &Path) -> bool {
    let is_npz = path.to_string_lossy().to_lowercase().ends_with(".npz");
    bytes.starts_with(NPY_MAGIC) || (is_npz && bytes.starts_with(ZIP_MAGIC))
}

/// The arrays of a file with their names; that of a `.npy` file has none.
///
/// # Errors
/// A damaged file; objects of Python; more bytes than are read.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Vec<(String, Array)>> {
    if bytes.starts_with(NPY_MAGIC) {
        return Ok(vec![(String::new(), one(bytes, path)?)]);
    }
    let damaged = |error: ZipError| fault(path, format!("is not an archive of arrays, or is cut short: {error}"));
    let limit = max_decompressed(bytes.len() as u64);
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(damaged)?;
        // What numpy calls an array of an archive; other files are none.
        let name = file.name().map_err(damaged)?;
        let Some(name) = name.strip_suffix(".npy").map(String::from) else { continue };
        let read = array(file, &name, limit, path)?;
        arrays.push((name, read));
    }
    Ok(arrays)
}

/// The array of a `.npy` file.
fn one(bytes: &[u8], path: &Path) -> Result<Array> {
    array(bytes, "", max_decompressed(bytes.len() as u64), path)
}

fn array(bytes: impl Read, name: &str, limit: u64, path: &Path) -> Result<Array> {
    let at = if name.is_empty() { String::new() } else { format!("array {name:?}: ") };
    let wrong = |reason: String| fault(path, format!("{at}is not a numpy array: {reason}"));
    let (head, rest) = header(bytes).map_err(wrong)?;
    let file = NpyFile::new(Cursor::new(head).chain(rest)).map_err(|error| wrong(error.to_string()))?;
    of(file, name, limit, path)
}

/// The header of an array and what follows it, where it is one that can be parsed: not long, not nested, its dimensions a number
/// of values.
fn header<R: Read>(mut bytes: R) -> std::result::Result<(Vec<u8>, R), String> {
    const LONGEST: usize = 1 << 16;
    const DEEPEST: usize = 4;
    let mut take = |count: usize, head: &mut Vec<u8>| {
        let from = head.len();
        bytes.by_ref().take(count as u64).read_to_end(head).map_err(|error| error.to_string())?;
        if head.len() == from + count { Ok(()) } else { Err("it ends within its header".to_string()) }
    };
    let mut head = Vec::new();
    take(NPY_MAGIC.len() + 2, &mut head)?;
    let width = if head[NPY_MAGIC.len()] < 2 { 2 } else { 4 };
    take(width, &mut head)?;
    let len = head[NPY_MAGIC.len() + 2..].iter().rev().fold(0, |len, &byte| len << 8 | usize::from(byte));
    if len > LONGEST {
        return Err(format!("its header is said to have {len} bytes"));
    }
    take(len, &mut head)?;
    if head.last() != Some(&b'\n') {
        return Err("its header does not end where it says, with a line feed".into());
    }
    let text = String::from_utf8_lossy(&head[head.len() - len..]);
    let (mut depth, mut deepest) = (0, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > DEEPEST as i64 {
        return Err(format!("its header nests {deepest} brackets"));
    }
    let shape = text.split_once("'shape'").or_else(|| text.split_once("\"shape\"")).map_or("", |(_, after)| after);
    let dims = shape.split(['(', ')']).nth(1).unwrap_or_default();
    let sizes = dims.split(',').map(|size| size.trim().trim_end_matches('L')).filter(|size| !size.is_empty());
    let count = sizes.map(|size| size.parse::<u64>().ok()).try_fold(1u64, |product, size| product.checked_mul(size?));
    match count {
        // Also in bytes it is no number otherwise.
        Some(count) if count < 1 << 48 => Ok((head, bytes)),
        _ => Err(format!("its dimensions ({dims}) are no number of values")),
    }
}

/// The values of an array, no more of them than take `limit` bytes.
fn of<R: Read>(file: NpyFile<R>, name: &str, limit: u64, path: &Path) -> Result<Array> {
    let at = if name.is_empty() { String::new() } else { format!("array {name:?}: ") };
    let wrong = |reason: String| -> Error { fault(path, format!("{at}{reason}")) };
    if file.uses_pickled_array() {
        return Err(wrong(
            "holds objects of Python, which are never read; save numbers or words: x.astype(str)".into(),
        ));
    }
    let dims: Vec<usize> = file.shape().iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect();
    let count = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    if count.and_then(|count| count.checked_mul(8)).is_none_or(|bytes| bytes as u64 > limit) {
        return Err(wrong(format!("its dimensions {dims:?} are more than is read; `max_input` allows for more")));
    }
    let (order, kind) = (file.order(), file.dtype().descr());
    let cut = |error: std::io::Error| fault(path, format!("{at}is cut short or damaged: {error}"));
    macro_rules! numbers {
        ($file:expr, $($kind:ty),+) => {{
            let mut file = $file;
            $(match file.try_data::<$kind>() {
                Ok(data) => {
                    let values = data.map(|x| x.map(|x| x as f64)).collect::<std::io::Result<Vec<f64>>>();
                    return Ok(in_c_order(dims, Values::Numbers(values.map_err(cut)?), order));
                }
                Err(back) => file = back,
            })+
            file
        }};
    }
    let file = match file.try_data::<u8>() {
        Ok(data) => {
            let values = data.collect::<std::io::Result<Vec<u8>>>().map_err(cut)?;
            return Ok(in_c_order(dims, Values::Bytes(values), order));
        }
        Err(file) => file,
    };
    let file = numbers!(file, f32, f64, i64, i32, i16, i8, u16, u32, u64);
    let file = match file.try_data::<bool>() {
        Ok(data) => {
            let values = data.map(|x| x.map(f64::from)).collect::<std::io::Result<Vec<f64>>>().map_err(cut)?;
            return Ok(in_c_order(dims, Values::Numbers(values), order));
        }
        Err(file) => file,
    };
    match file.try_data::<String>() {
        Ok(data) => {
            let values = data.collect::<std::io::Result<Vec<String>>>().map_err(cut)?;
            Ok(in_c_order(dims, Values::Words(values), order))
        }
        Err(_) => Err(wrong(format!("holds values of the kind {kind}; numbers and words are read"))),
    }
}

/// Values that the file has in Fortran's order, the first dimension fastest, in that of C.
fn in_c_order(dims: Vec<usize>, values: Values, order: Order) -> Array {
    fn moved<T: Clone>(values: &[T], dims: &[usize]) -> Vec<T> {
        let strides: Vec<usize> =
            dims.iter().scan(1, |stride, &size| Some(std::mem::replace(stride, *stride * size))).collect();
        let place = |mut at: usize| {
            let mut from = 0;
            for (size, stride) in dims.iter().zip(&strides).rev() {
                from += at % size * stride;
                at /= size;
            }
            from
        };
        (0..values.len()).map(|at| values[place(at)].clone()).collect()
    }
    if order == Order::C || dims.len() < 2 {
        return Array { dims, values };
    }
    let values = match values {
        Values::Bytes(values) => Values::Bytes(moved(&values, &dims)),
        Values::Numbers(values) => Values::Numbers(moved(&values, &dims)),
        Values::Words(values) => Values::Words(moved(&values, &dims)),
    };
    Array { dims, values }
}

/// Inputs and their labels.
#[derive(Debug)]
pub(crate) struct Part {
    /// `[N, ..]`.
    pub inputs: Array,
    /// `[N]`, if there are labels.
    pub labels: Option<Array>,
}

/// The training and the test part of some arrays, by their usual names: `x_train`, `y_train`, `x_test`, `y_test`, or `X`
/// and `y`, or `data` and `target`; of a `.npy` file its only array, with the labels of the file beside it whose name has `y`
/// where its own has `X`.
///
/// # Errors
/// Arrays of other names; inputs and labels of different counts.
pub(crate) fn parts(bytes: &[u8], path: &Path) -> Result<(Part, Option<Part>)> {
    let mut arrays = read(bytes, path)?;
    if let [(name, _)] = &arrays[..]
        && name.is_empty()
    {
        let (_, inputs) = arrays.remove(0);
        let labels = beside(path).map(|labels| -> Result<Array> { one(&crate::file::read(&labels)?, &labels) });
        return Ok((part(inputs, labels.transpose()?, path)?, None));
    }
    let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
    let mut take = |wanted: &[&str]| {
        let at = arrays.iter().position(|(name, _)| wanted.contains(&name.to_lowercase().as_str()))?;
        Some(arrays.swap_remove(at).1)
    };
    const INPUTS: [&str; 8] = ["x_train", "x", "train_x", "data", "inputs", "images", "features", "train_images"];
    const LABELS: [&str; 8] = ["y_train", "y", "train_y", "target", "targets", "labels", "label", "train_labels"];
    let (inputs, labels) = (take(&INPUTS), take(&LABELS));
    let Some(inputs) = inputs else {
        let reason = format!("has arrays {}; x_train and y_train, or X and y, are read", crate::file::listed(&names));
        return Err(fault(path, reason));
    };
    let test = take(&["x_test", "test_x", "test_images"]).map(|inputs| {
        let labels = take(&["y_test", "test_y", "test_labels"]);
        part(inputs, labels, path)
    });
    Ok((part(inputs, labels, path)?, test.transpose()?))
}

fn part(inputs: Array, labels: Option<Array>, path: &Path) -> Result<Part> {
    let count = inputs.dims.first().copied().unwrap_or(0);
    if count == 0 {
        return Err(fault(path, format!("its inputs have dimensions {:?}: there are none", inputs.dims)));
    }
    if let Some(labels) = &labels
        && labels.dims.iter().product::<usize>() != count
    {
        let reason =
            format!("there are {count} inputs, but labels of dimensions {:?}: one for each is needed", labels.dims);
        return Err(fault(path, reason));
    }
    Ok(Part { inputs, labels })
}

/// The file of the labels beside one of inputs: `y_train.npy` for `X_train.npy`.
fn beside(path: &Path) -> Option<std::path::PathBuf> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let other = match name.strip_prefix(['X', 'x']) {
        Some(rest) => format!("y{rest}"),
        None => name.replacen("_X", "_y", 1).replacen("_x", "_y", 1),
    };
    Some(path.with_file_name(&other)).filter(|found| other != name && found.is_file())
}
