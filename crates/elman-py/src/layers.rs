//! Recurrent layers inside another program's network.

use std::sync::{Arc, Mutex, PoisonError};

use elman::cell::{CellKind, Source};
use elman::layer::StackConfig;
use elman::train::{self, InputGradients, LayersInput, LayersOutput, OutputGradients, Rows};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArrayDyn};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::ThreadPool;

use crate::arrays::contiguous;
use crate::errors::raised;
use crate::threads::pool;

type Array<'py> = Bound<'py, PyArray1<f32>>;

/// Layers whose weights are given with each pass.
#[pyclass(frozen, module = "elman._elman")]
pub(crate) struct Layers {
    layers: train::Layers,
    inputs: usize,
    hidden: usize,
    directions: usize,
    depth: usize,
    has_c: bool,
}

/// A forward pass, kept for its backward pass.
#[pyclass(frozen, module = "elman._elman")]
pub(crate) struct Pass {
    pass: Mutex<Option<train::Pass>>,
}

/// The rows of a batch: `T` and `B` of a padded one, or the sequences that run at each step.
enum Layout {
    TimeFirst([usize; 2]),
    BatchFirst([usize; 2]),
    Packed(Vec<usize>),
}

impl Layout {
    fn of(steps: usize, batch: usize, batch_first: bool, sizes: Option<&PyReadonlyArray1<'_, i64>>) -> PyResult<Self> {
        let Some(sizes) = sizes else {
            let dims = [steps, batch];
            return Ok(if batch_first { Layout::BatchFirst(dims) } else { Layout::TimeFirst(dims) });
        };
        let size = |size: &i64| usize::try_from(*size).map_err(|_| PyValueError::new_err("a batch size below 0"));
        Ok(Layout::Packed(sizes.as_array().iter().map(size).collect::<PyResult<_>>()?))
    }

    fn rows(&self) -> Rows<'_> {
        match self {
            Layout::TimeFirst([steps, batch]) => Rows::TimeFirst { steps: *steps, batch: *batch },
            Layout::BatchFirst([steps, batch]) => Rows::BatchFirst { steps: *steps, batch: *batch },
            Layout::Packed(sizes) => Rows::Packed(sizes),
        }
    }

    /// `N` and `B`.
    fn sizes(&self) -> (usize, usize) {
        match self {
            Layout::TimeFirst([steps, batch]) | Layout::BatchFirst([steps, batch]) => {
                (steps.saturating_mul(*batch), *batch)
            }
            Layout::Packed(sizes) => (sizes.iter().sum(), sizes.first().copied().unwrap_or(0)),
        }
    }
}

fn values<'a>(array: &'a PyReadonlyArrayDyn<'_, f32>) -> PyResult<&'a [f32]> {
    array.as_slice().map_err(|error| PyValueError::new_err(error.to_string()))
}

fn given<'py>(array: Option<&Bound<'py, PyAny>>, what: &str) -> PyResult<Given<'py>> {
    array.map(|array| contiguous(array, what)).transpose()
}

type Given<'py> = Option<PyReadonlyArrayDyn<'py, f32>>;

fn all_given<'py>(arrays: &[Option<Bound<'py, PyAny>>]) -> PyResult<Vec<Given<'py>>> {
    arrays.iter().map(|array| given(array.as_ref(), "a weight")).collect()
}

fn all_values<'a>(arrays: &'a [Given<'_>]) -> PyResult<Vec<Option<&'a [f32]>>> {
    arrays.iter().map(|array| array.as_ref().map(values).transpose()).collect()
}

/// The pool for so many threads, none for one.
fn pool_of(threads: usize) -> PyResult<Option<Arc<ThreadPool>>> {
    if threads > 1 { pool(Some(threads)).map(Some) } else { Ok(None) }
}

/// What a backward pass returns: gradients of the weights, of x, h0 and c0.
type Gradients<'py> = (Array<'py>, Option<Array<'py>>, Array<'py>, Array<'py>);

#[pymethods]
impl Layers {
    /// `cell` as Elman names it: lstm, gru, rnn-tanh, rnn-relu.
    #[new]
    fn new(
        cell: &str,
        inputs: usize,
        hidden: usize,
        layers: usize,
        bidirectional: bool,
        dropout: f64,
    ) -> PyResult<Self> {
        let kind = CellKind::ALL.into_iter().find(|kind| kind.name() == cell);
        let cell = kind.ok_or_else(|| PyValueError::new_err(format!("there is no cell {cell:?}")))?;
        let source = Source::Dense(inputs);
        let config = StackConfig { cell, source, hidden, layers, bidirectional, dropout, locked: false };
        let built = train::Layers::new(config).map_err(raised)?;
        let directions = if bidirectional { 2 } else { 1 };
        Ok(Layers { layers: built, inputs, hidden, directions, depth: layers, has_c: cell.has_c() })
    }

    /// Names and dimensions of the weights, in the order in which a pass takes them.
    fn weights(&self) -> Vec<(String, Vec<usize>)> {
        self.layers.layout().tensors().iter().map(|tensor| (tensor.name.clone(), tensor.dims.clone())).collect()
    }

    /// A pass: `y`, `h`, `c` (empty but for an LSTM), flat, and what its backward pass needs.
    #[pyo3(signature = (weights, x, steps, batch, batch_first, sizes, reset, h0, c0, seed, is_kept, threads))]
    fn forward<'py>(
        &self,
        py: Python<'py>,
        weights: Vec<Option<Bound<'py, PyAny>>>,
        x: &Bound<'py, PyAny>,
        steps: usize,
        batch: usize,
        batch_first: bool,
        sizes: Option<PyReadonlyArray1<'py, i64>>,
        reset: Option<PyReadonlyArrayDyn<'py, bool>>,
        h0: Option<&Bound<'py, PyAny>>,
        c0: Option<&Bound<'py, PyAny>>,
        seed: Option<u64>,
        is_kept: bool,
        threads: usize,
    ) -> PyResult<(Array<'py>, Array<'py>, Array<'py>, Pass)> {
        let layout = Layout::of(steps, batch, batch_first, sizes.as_ref())?;
        let (rows, batch) = layout.sizes();
        let x = contiguous(x, "x")?;
        let x = values(&x)?;
        // Checked before memory is taken for what is claimed.
        if rows.checked_mul(self.inputs) != Some(x.len()) {
            let inputs = self.inputs;
            return Err(PyValueError::new_err(format!("x has {} values, not {rows} times {inputs}", x.len())));
        }
        let (h0, c0) = (given(h0, "h0")?, given(c0, "c0")?);
        let (h0, c0) = (h0.as_ref().map(values).transpose()?, c0.as_ref().map(values).transpose()?);
        let reset = reset.as_ref().map(|reset| reset.as_slice()).transpose();
        let reset = reset.map_err(|error| PyValueError::new_err(format!("reset: {error}")))?;
        let weights = all_given(&weights)?;
        let weights = all_values(&weights)?;
        let states = self.depth * self.directions * batch * self.hidden;
        let y = PyArray1::<f32>::zeros(py, rows * self.directions * self.hidden, false);
        let h = PyArray1::<f32>::zeros(py, states, false);
        let c = PyArray1::<f32>::zeros(py, if self.has_c { states } else { 0 }, false);
        let pool = pool_of(threads)?;
        let pass = {
            let (mut y, mut h, mut c) = (y.readwrite(), h.readwrite(), c.readwrite());
            let own = |error: numpy::AsSliceError| PyRuntimeError::new_err(error.to_string());
            let output = LayersOutput {
                y: y.as_slice_mut().map_err(own)?,
                h: h.as_slice_mut().map_err(own)?,
                c: c.as_slice_mut().map_err(own)?,
            };
            let input = LayersInput { rows: layout.rows(), x, reset, h0, c0, dropout_seed: seed, is_kept };
            py.detach(|| self.layers.forward(&weights, &input, output, pool.as_deref())).map_err(raised)?
        };
        Ok((y, h, c, Pass { pass: Mutex::new(Some(pass)) }))
    }

    /// Gradients by the weights (flat, in their order), by `x` if wanted, by `h0` and `c0`.
    fn backward<'py>(
        &self,
        py: Python<'py>,
        pass: &Pass,
        weights: Vec<Option<Bound<'py, PyAny>>>,
        x: &Bound<'py, PyAny>,
        batch: usize,
        dy: Option<&Bound<'py, PyAny>>,
        dh: Option<&Bound<'py, PyAny>>,
        dc: Option<&Bound<'py, PyAny>>,
        wants_dx: bool,
        threads: usize,
    ) -> PyResult<Gradients<'py>> {
        let x = contiguous(x, "x")?;
        let x = values(&x)?;
        let (dy, dh, dc) = (given(dy, "dy")?, given(dh, "dh")?, given(dc, "dc")?);
        let of = OutputGradients {
            y: dy.as_ref().map(values).transpose()?,
            h: dh.as_ref().map(values).transpose()?,
            c: dc.as_ref().map(values).transpose()?,
        };
        let states = self.depth * self.directions * batch * self.hidden;
        let weights = all_given(&weights)?;
        let weights = all_values(&weights)?;
        let dx = wants_dx.then(|| PyArray1::<f32>::zeros(py, x.len(), false));
        let dh0 = PyArray1::<f32>::zeros(py, states, false);
        let dc0 = PyArray1::<f32>::zeros(py, if self.has_c { states } else { 0 }, false);
        let pool = pool_of(threads)?;
        let dw = {
            let own = |error: numpy::AsSliceError| PyRuntimeError::new_err(error.to_string());
            let (mut dh0, mut dc0) = (dh0.readwrite(), dc0.readwrite());
            let mut dx = dx.as_ref().map(PyArrayMethods::readwrite);
            let by = InputGradients {
                x: dx.as_mut().map(|dx| dx.as_slice_mut()).transpose().map_err(own)?,
                h0: dh0.as_slice_mut().map_err(own)?,
                c0: dc0.as_slice_mut().map_err(own)?,
            };
            py.detach(|| {
                let mut pass = pass.pass.lock().unwrap_or_else(PoisonError::into_inner);
                let used = || elman::Error::Usage("this pass was used up by a backward pass before".into());
                let mut pass = pass.take().ok_or_else(used)?;
                self.layers.backward(&mut pass, &weights, x, of, by, pool.as_deref())
            })
            .map_err(raised)?
        };
        Ok((PyArray1::from_vec(py, dw), dx, dh0, dc0))
    }
}

#[pymethods]
impl Pass {
    /// Whether a backward pass has used it up.
    #[getter]
    fn is_done(&self) -> bool {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}
