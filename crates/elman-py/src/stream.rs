//! Networks step by step: one stream or several side by side.

use std::sync::{Mutex, MutexGuard, TryLockError};

use elman::data::Vocab;
use elman::task::language_model;
use elman_step::machine::Machine;
use elman_step::{Network, Streams};
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::arrays::{answer, check_finite, with_values};
use crate::errors::{of_step, raised};
use crate::model::Opened;

/// What runs.
enum Engine {
    /// A language model.
    Token(Box<Network>),
    /// The same, several streams.
    Tokens(Box<Streams>),
    /// A network of any form, once for each stream.
    Machines(Vec<Machine>),
    /// A model with what reads its inputs, once for each stream.
    Live(Vec<Box<dyn elman::task::Stream>>),
}

struct Running {
    engine: Engine,
    x: Vec<f32>,
    /// As they were before the first step.
    y: Vec<f32>,
}

/// Streams of a model: a state each.
#[pyclass(frozen, module = "elman._elman")]
pub(crate) struct Stream {
    running: Mutex<Running>,
    vocab: Option<Vocab>,
    rows: usize,
    inputs: usize,
    outputs: usize,
}

/// Streams side by side at most.
const MAX_ROWS: usize = 1 << 16;

fn check_rows(rows: usize) -> PyResult<()> {
    match (1..=MAX_ROWS).contains(&rows) {
        true => Ok(()),
        false => Err(PyValueError::new_err(format!("rows is {rows}; it must be from 1 to {MAX_ROWS}"))),
    }
}

impl Stream {
    fn of(engine: Engine, vocab: Option<Vocab>, rows: usize, inputs: usize, outputs: usize) -> Self {
        let running = Running { engine, x: Vec::new(), y: vec![0.0; rows * outputs] };
        Stream { running: Mutex::new(running), vocab, rows, inputs, outputs }
    }

    pub(crate) fn of_machine(machine: Machine, rows: usize) -> PyResult<Self> {
        check_rows(rows)?;
        let (inputs, outputs) = (machine.input_width(), machine.output_width());
        Ok(Self::of(Engine::Machines(vec![machine; rows]), None, rows, inputs, outputs))
    }

    pub(crate) fn of_model(opened: &Opened, rows: usize) -> PyResult<Self> {
        check_rows(rows)?;
        let (model, loaded) = (&opened.model, &opened.loaded);
        if model.task() == language_model::TASK.name {
            let vocab = language_model::vocab(loaded).map_err(raised)?;
            let network = Network::read(&loaded.document, loaded.document.precision());
            let network = network.map_err(|error| raised(loaded.error(error)))?;
            let outputs = network.classes();
            let engine = match rows {
                1 => Engine::Token(Box::new(network)),
                _ => Engine::Tokens(Box::new(network.streams(rows).map_err(of_step)?)),
            };
            return Ok(Self::of(engine, Some(vocab), rows, 1, outputs));
        }
        let streams = (0..rows).map(|_| model.stream()).collect::<elman::Result<Vec<_>>>().map_err(raised)?;
        let inputs = streams.first().map_or(0, |stream| stream.columns());
        Ok(Self::of(Engine::Live(streams), None, rows, inputs, model.labels().len()))
    }

    fn running(&self) -> PyResult<MutexGuard<'_, Running>> {
        match self.running.try_lock() {
            Ok(running) => Ok(running),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(PyRuntimeError::new_err("another thread steps this stream; each thread takes a stream of its own"))
            }
        }
    }

    fn shape(&self) -> Vec<usize> {
        if self.rows == 1 { vec![self.outputs] } else { vec![self.rows, self.outputs] }
    }

    /// The tokens of a text or the numbers given.
    fn tokens(&self, x: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
        if let (Ok(text), Some(vocab)) = (x.extract::<&str>(), &self.vocab) {
            let found = vocab.encode(text.as_bytes(), false);
            return found.map(|(tokens, _)| tokens).map_err(|unseen| PyValueError::new_err(unseen.to_string()));
        }
        if let Ok(array) = x.cast::<PyArrayDyn<i64>>() {
            if array.ndim() > 1 {
                return Err(PyValueError::new_err(format!(
                    "x is {:?}; one token for each stream is read",
                    array.shape()
                )));
            }
            let readonly = array.try_readonly().map_err(|error| PyValueError::new_err(format!("x: {error}")))?;
            let token = |x: &i64| {
                u32::try_from(*x).map_err(|_| PyValueError::new_err(format!("token {x}: it must be from 0 on")))
            };
            return readonly.as_array().iter().map(token).collect();
        }
        let refused = |_| PyTypeError::new_err("a language model reads a token: a text, an integer, or int64 numbers");
        x.extract::<Vec<u32>>().map_err(refused)
    }
}

#[pymethods]
impl Stream {
    /// Streams side by side.
    #[getter]
    fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a step's input; 1 of a language model, which reads a token.
    #[getter]
    fn input_width(&self) -> usize {
        self.inputs
    }

    /// Numbers of a step's output.
    #[getter]
    fn output_width(&self) -> usize {
        self.outputs
    }

    /// One step of every stream.
    #[pyo3(signature = (x, out=None))]
    fn step<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut running = self.running()?;
        let Running { engine, x: buffer, y } = &mut *running;
        match engine {
            Engine::Token(network) => {
                if let Ok(token) = x.extract::<u32>() {
                    let logits = network.step_token(token).map_err(of_step)?;
                    return answer(py, logits, &[self.outputs], out).map(Some);
                }
                let tokens = self.tokens(x)?;
                let Some((last, before)) = tokens.split_last() else {
                    return Err(PyValueError::new_err("x is empty; a token, or a text of some, is read"));
                };
                let vocab = network.classes();
                if let Some(token) = tokens.iter().find(|token| **token as usize >= vocab) {
                    return Err(of_step(elman_step::Error::Token { token: *token, vocab }));
                }
                for token in before {
                    network.step_token(*token).map_err(of_step)?;
                }
                answer(py, network.step_token(*last).map_err(of_step)?, &[self.outputs], out).map(Some)
            }
            Engine::Tokens(streams) => {
                let tokens = self.tokens(x)?;
                answer(py, streams.step_tokens(&tokens).map_err(of_step)?, &self.shape(), out).map(Some)
            }
            Engine::Machines(machines) => {
                with_values(x, &[self.rows, self.inputs], buffer, |values| {
                    check_finite(values)?;
                    for (row, machine) in machines.iter_mut().enumerate() {
                        let x = &values[row * self.inputs..][..self.inputs];
                        machine.step(x, &mut y[row * self.outputs..][..self.outputs]).map_err(of_step)?;
                    }
                    Ok(())
                })?;
                if self.rows == 1 {
                    return answer(py, y, &[self.outputs], out).map(Some);
                }
                answer(py, y, &self.shape(), out).map(Some)
            }
            Engine::Live(streams) => {
                let mut due = false;
                with_wide_values(x, &[self.rows, self.inputs], |values| {
                    for (row, stream) in streams.iter_mut().enumerate() {
                        let found = stream.numbers(&values[row * self.inputs..][..self.inputs]).map_err(raised)?;
                        let to = &mut y[row * self.outputs..][..self.outputs];
                        match found {
                            Some(_) => to.iter_mut().zip(stream.probabilities()).for_each(|(to, p)| *to = *p as f32),
                            // Its first prediction is late.
                            None => to.fill(f32::NAN),
                        }
                        due |= found.is_some();
                    }
                    Ok(())
                })?;
                if due { answer(py, y, &self.shape(), out).map(Some) } else { Ok(None) }
            }
        }
    }

    /// The state of all streams, to be restored later.
    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let running = self.running()?;
        Ok(match &running.engine {
            Engine::Token(network) => PyArray1::from_slice(py, network.state()),
            Engine::Tokens(streams) => PyArray1::from_slice(py, streams.state()),
            Engine::Machines(machines) => PyArray1::from_iter(py, machines.iter().flat_map(|machine| machine.state())),
            Engine::Live(_) => return Err(no_state()),
        })
    }

    #[setter]
    fn set_state(&self, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let state = crate::arrays::contiguous(state, "the state")?;
        let state = state.as_slice().map_err(|error| PyValueError::new_err(format!("the state: {error}")))?;
        check_finite(state)?;
        let mut running = self.running()?;
        match &mut running.engine {
            Engine::Token(network) => network.set_state(state).map_err(of_step),
            Engine::Tokens(streams) => streams.set_state(state).map_err(of_step),
            Engine::Machines(machines) => {
                let width = machines.first().map_or(0, |machine| machine.state().len());
                if state.len() != width * machines.len() {
                    let want = width * machines.len();
                    return Err(PyValueError::new_err(format!("the state has {} values, not {want}", state.len())));
                }
                let mut parts = state.chunks_exact(width.max(1));
                machines
                    .iter_mut()
                    .try_for_each(|machine| machine.set_state(parts.next().unwrap_or(&[])).map_err(of_step))
            }
            Engine::Live(_) => Err(no_state()),
        }
    }

    /// The state of all streams, or of one, as before the first step.
    #[pyo3(signature = (row=None))]
    fn reset(&self, row: Option<usize>) -> PyResult<()> {
        if let Some(row) = row.filter(|row| *row >= self.rows) {
            return Err(PyValueError::new_err(format!("there is no stream {row}: there are {}", self.rows)));
        }
        let mut running = self.running()?;
        match &mut running.engine {
            Engine::Token(network) => network.reset(),
            Engine::Tokens(streams) => match row {
                Some(row) => streams.reset_row(row).map_err(of_step)?,
                None => streams.reset(),
            },
            Engine::Machines(machines) => {
                let of_row = machines.iter_mut().enumerate().filter(|(i, _)| row.is_none_or(|row| row == *i));
                of_row.for_each(|(_, machine)| machine.reset());
            }
            Engine::Live(streams) => {
                let of_row = streams.iter_mut().enumerate().filter(|(i, _)| row.is_none_or(|row| row == *i));
                of_row.for_each(|(_, stream)| stream.reset());
            }
        }
        Ok(())
    }
}

fn no_state() -> PyErr {
    PyValueError::new_err("this stream holds what its model remembers of inputs, which cannot be copied out")
}

/// As [`with_values`], in double precision and with missing values.
fn with_wide_values<R>(x: &Bound<'_, PyAny>, want: &[usize], f: impl FnOnce(&[f64]) -> PyResult<R>) -> PyResult<R> {
    if let Ok(array) = x.cast::<PyArrayDyn<f64>>()
        && array.is_c_contiguous()
        && (array.shape() == want || (want[0] == 1 && array.shape() == &want[1..]))
    {
        let readonly = array.try_readonly().map_err(|error| PyValueError::new_err(format!("x: {error}")))?;
        if let Ok(values) = readonly.as_slice() {
            return f(values);
        }
    }
    let mut buffer = Vec::new();
    with_values(x, want, &mut buffer, |values| f(&values.iter().map(|x| f64::from(*x)).collect::<Vec<_>>()))
}
