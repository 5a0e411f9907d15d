//! Arrays of numpy: read where they lie, and as tables.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use elman::data::table::{Rows, Table};
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArray2, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use elman::error::Error;

use crate::errors::raised;

/// A float32 array whose elements lie one behind the other in C's order.
///
/// # Errors
/// `TypeError` and `ValueError` that name it `what`.
pub(crate) fn contiguous<'py>(array: &Bound<'py, PyAny>, what: &str) -> PyResult<PyReadonlyArrayDyn<'py, f32>> {
    let array = array.cast::<PyArrayDyn<f32>>().map_err(|_| not_read(array, what, "float32"))?;
    if !array.is_c_contiguous() {
        return Err(PyValueError::new_err(format!("{what} is not contiguous; numpy.ascontiguousarray makes it so")));
    }
    array.try_readonly().map_err(|error| PyValueError::new_err(format!("{what}: {error}")))
}

fn not_read(array: &Bound<'_, PyAny>, what: &str, wants: &str) -> PyErr {
    let is = match array.getattr("dtype") {
        Ok(dtype) => format!("an array of {dtype}"),
        Err(_) => array.get_type().name().map_or_else(|_| "another object".into(), |name| format!("a {name}")),
    };
    PyTypeError::new_err(format!("{what} is {is}; an array of {wants} is read"))
}

/// Calls `f` with the values of an array of float32 or float64, or of a list of numbers, of the dimensions `want`. They are read
/// where they lie if they are float32 and contiguous; else each is converted into `buffer`.
pub(crate) fn with_values<R>(
    x: &Bound<'_, PyAny>,
    want: &[usize],
    buffer: &mut Vec<f32>,
    f: impl FnOnce(&[f32]) -> PyResult<R>,
) -> PyResult<R> {
    let fits = |dims: &[usize]| match dims == want || (want.first() == Some(&1) && dims == &want[1..]) {
        true => Ok(()),
        false => Err(PyValueError::new_err(format!("x is {dims:?}; {want:?} is read"))),
    };
    let busy = |error: numpy::BorrowError| PyValueError::new_err(format!("x: {error}"));
    if let Ok(array) = x.cast::<PyArrayDyn<f32>>() {
        fits(array.shape())?;
        let array = array.try_readonly().map_err(busy)?;
        if array.is_c_contiguous()
            && let Ok(values) = array.as_slice()
        {
            return f(values);
        }
        buffer.clear();
        buffer.extend(array.as_array().iter());
        return f(buffer);
    }
    if let Ok(array) = x.cast::<PyArrayDyn<f64>>() {
        fits(array.shape())?;
        buffer.clear();
        buffer.extend(array.try_readonly().map_err(busy)?.as_array().iter().map(|x| *x as f32));
        return f(buffer);
    }
    if x.getattr("dtype").is_ok() {
        return Err(not_read(x, "x", "float32 or float64"));
    }
    let values: Vec<f32> = match want {
        [1, _] | [_] => x.extract().map_err(|_| not_read(x, "x", "float32 or float64"))?,
        _ => return Err(not_read(x, "x", "float32 or float64")),
    };
    fits(&[values.len()])?;
    f(&values)
}

/// Refuses values that are not finite.
pub(crate) fn check_finite(values: &[f32]) -> PyResult<()> {
    // Without a branch within, so that it is vectorised.
    if values.iter().fold(0.0, |sum, x| sum + x * 0.0) == 0.0 {
        return Ok(());
    }
    let at = values.iter().position(|x| !x.is_finite()).unwrap_or(0);
    Err(PyValueError::new_err(format!("x holds {} at element {at}", values[at])))
}

/// Writes values where the caller wants them, or into an array of their own, of these dimensions.
pub(crate) fn answer<'py>(
    py: Python<'py>,
    values: &[f32],
    dims: &[usize],
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(out) = out else {
        let array = PyArray1::from_slice(py, values);
        return if dims.len() == 1 { Ok(array.into_any()) } else { Ok(array.reshape(dims.to_vec())?.into_any()) };
    };
    let array = out.cast::<PyArrayDyn<f32>>().map_err(|_| not_read(out, "out", "float32"))?;
    if array.shape() != dims {
        return Err(PyValueError::new_err(format!("out is {:?}; {dims:?} is written", array.shape())));
    }
    let refuse = |error: numpy::BorrowError| PyValueError::new_err(format!("out: {error}"));
    let mut writable = array.try_readwrite().map_err(refuse)?;
    match writable.as_slice_mut().ok().filter(|_| array.is_c_contiguous()) {
        Some(to) => to.copy_from_slice(values),
        None => writable.as_array_mut().iter_mut().zip(values).for_each(|(to, value)| *to = *value),
    }
    Ok(out.clone())
}

/// Rows of numbers as they come from numpy: independent, or the steps of series one behind the other.
pub(crate) struct Numbers<'a> {
    /// `[N, C]`.
    pub(crate) x: numpy::ndarray::ArrayView2<'a, f64>,
    /// `[C]`.
    pub(crate) names: Vec<String>,
    /// Steps of each series, if the rows are steps.
    pub(crate) lengths: Option<Vec<usize>>,
    /// For each row, or for each series; none if there are no labels.
    pub(crate) labels: Option<Vec<String>>,
}

/// The column of the series and that of the label.
const SERIES: &str = "series";
const LABEL: &str = "label";

impl Numbers<'_> {
    fn check(&self) -> Result<(), String> {
        let (rows, columns) = self.x.dim();
        if self.names.len() != columns {
            return Err(format!("{} names for {columns} columns", self.names.len()));
        }
        let series = self.lengths.as_ref().map(|lengths| (lengths.len(), lengths.iter().sum::<usize>()));
        if let Some((_, steps)) = series.filter(|(_, steps)| *steps != rows) {
            return Err(format!("the series have {steps} steps, but there are {rows} rows"));
        }
        let fits = |labels: usize| labels == rows || series.is_some_and(|(count, _)| count == labels);
        match &self.labels {
            Some(labels) if !fits(labels.len()) => Err(format!("{} labels for {rows} rows", labels.len())),
            _ => Ok(()),
        }
    }

    fn header(&self) -> Vec<String> {
        let series = self.lengths.as_ref().map(|_| SERIES.to_string());
        let label = self.labels.as_ref().map(|_| LABEL.to_string());
        series.into_iter().chain(self.names.iter().cloned()).chain(label).collect()
    }

    /// The number of each row's series.
    fn series(&self) -> Vec<usize> {
        let lengths = self.lengths.iter().flatten().enumerate();
        lengths.flat_map(|(i, &length)| std::iter::repeat_n(i, length)).collect()
    }

    /// Calls `f` with the cells of each row.
    fn each_row(&self, mut f: impl FnMut(usize, &[String])) {
        let series = self.series();
        let per_row = self.labels.as_ref().is_some_and(|labels| labels.len() == self.x.nrows());
        let mut cells = Vec::new();
        for (i, row) in self.x.rows().into_iter().enumerate() {
            cells.clear();
            cells.extend(series.get(i).map(|series| (series + 1).to_string()));
            // As many digits as bring the same number back; a missing value is an empty cell.
            cells.extend(row.iter().map(|x| if x.is_nan() { String::new() } else { format!("{x:?}") }));
            if let Some(labels) = &self.labels {
                cells.push(labels[if per_row { i } else { series[i] }].clone());
            }
            f(i, &cells);
        }
    }

    /// As a table in memory.
    pub(crate) fn table(&self) -> PyResult<Table> {
        self.check().map_err(PyValueError::new_err)?;
        let mut rows = Rows::default();
        self.each_row(|i, cells| rows.push(i + 1, cells));
        let path = PathBuf::from("the array");
        Ok(Table { path, header: Some(self.header()), rows, ..Table::default() })
    }
}

fn quoted(cell: &str, out: &mut String) {
    // Always: a cell alone on its line may be empty, and an id may look like a header.
    out.push('"');
    out.push_str(&cell.replace('"', "\"\""));
    out.push('"');
}

/// Writes rows of numbers `[N, C]` as comma-separated values, with the columns `series` and `label` where there are such.
///
/// # Errors
/// Names, lengths or labels that do not fit; errors of the disk.
#[pyfunction]
#[pyo3(signature = (path, x, names, lengths=None, labels=None))]
pub(crate) fn write_table(
    path: PathBuf,
    x: PyReadonlyArray2<'_, f64>,
    names: Vec<String>,
    lengths: Option<Vec<usize>>,
    labels: Option<Vec<String>>,
) -> PyResult<()> {
    let numbers = Numbers { x: x.as_array(), names, lengths, labels };
    numbers.check().map_err(PyValueError::new_err)?;
    let mut text = String::new();
    let line = |text: &mut String, cells: &[String], is_number: &dyn Fn(usize) -> bool| {
        for (i, cell) in cells.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            if is_number(i) {
                text.push_str(cell);
            } else {
                quoted(cell, text);
            }
        }
        let _ = writeln!(text);
    };
    line(&mut text, &numbers.header(), &|_| false);
    let first = usize::from(numbers.lengths.is_some());
    let columns = first..first + numbers.names.len();
    numbers.each_row(|_, cells| line(&mut text, cells, &|i| i < columns.end));
    write(&path, text.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> PyResult<()> {
    std::fs::write(path, bytes).map_err(|source| raised(Error::Io { path: path.into(), action: "write", source }))
}
