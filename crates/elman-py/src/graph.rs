//! A network made elsewhere, or that of a model alone.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use elman_graph::read::{self, Options};
use elman_graph::{Dim, Dtype, Graph as Network, Interpreter, Port, StepOptions, Tensor, Values};
use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::of_graph;
use crate::stream::Stream;

/// A network of any form.
#[pyclass(frozen, module = "elman._elman")]
pub(crate) struct Graph {
    network: Arc<Network>,
    /// Made at the first run; each thread that runs at the same time takes one of its own.
    idle: Mutex<Vec<Interpreter>>,
}

impl Graph {
    fn of(network: Network) -> Self {
        Graph { network: Arc::new(network), idle: Mutex::default() }
    }

    pub(crate) fn open(py: Python<'_>, path: &Path, answers: &[(String, String)]) -> elman_graph::Result<Self> {
        let mut options = Options::default();
        for (name, answer) in answers {
            options.answers.insert(name.replace('_', "-"), answer.clone());
        }
        py.detach(|| read::open(path, &options)).map(Self::of)
    }

    /// From the bytes of a model file, by way of a file: readers find what they need beside it.
    pub(crate) fn of_bytes(bytes: &[u8], path: &Path) -> elman_graph::Result<Self> {
        read::of_model(bytes).map(Self::of).map_err(|error| error.at(path))
    }
}

fn port(port: &Port) -> (String, String, Option<Vec<String>>) {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => size.to_string(),
        Dim::Named(name) => name.clone(),
    };
    let dims = port.dims.as_ref().map(|dims| dims.iter().map(dim).collect());
    (port.name.clone(), port.dtype.to_string(), dims)
}

#[pymethods]
impl Graph {
    /// Format, producer, notes, labels, vocabulary and the number of weights.
    fn about<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let about = &self.network.about;
        let all = PyDict::new(py);
        all.set_item("format", &about.format)?;
        all.set_item("producer", &about.producer)?;
        all.set_item("notes", &about.notes)?;
        all.set_item("labels", &about.labels)?;
        all.set_item("vocabulary", &about.vocabulary)?;
        all.set_item("nodes", self.network.nodes.len())?;
        let floats = self.network.constants.values().filter(|tensor| tensor.dtype().is_float());
        all.set_item("weights", floats.map(Tensor::len).sum::<usize>())?;
        Ok(all)
    }

    /// Name, element type and dimensions of each input.
    #[getter]
    fn inputs(&self) -> Vec<(String, String, Option<Vec<String>>)> {
        self.network.inputs.iter().map(port).collect()
    }

    /// Name, element type and dimensions of each output.
    #[getter]
    fn outputs(&self) -> Vec<(String, String, Option<Vec<String>>)> {
        self.network.outputs.iter().map(port).collect()
    }

    /// The names of inputs that are states.
    #[getter]
    fn states(&self) -> Vec<String> {
        self.network.states.iter().map(|state| state.input.clone()).collect()
    }

    /// Runs whole sequences: arrays by the names of inputs to arrays by the names of outputs.
    fn run<'py>(&self, py: Python<'py>, inputs: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        let network = &*self.network;
        for key in inputs.keys() {
            let key: String = key.extract()?;
            if !network.inputs.iter().any(|port| port.name == key) {
                let names: Vec<&str> = network.inputs.iter().map(|port| port.name.as_str()).collect();
                return Err(PyKeyError::new_err(format!("no input {key:?}; there are {}", names.join(", "))));
            }
        }
        let (mut values, mut added) = (Vec::new(), elman_graph::Added::default());
        for port in &network.inputs {
            let Some(given) = inputs.get_item(&port.name)? else {
                values.push(None);
                continue;
            };
            let (value, more) = network.fit_input(port, &tensor(&given, &port.name)?).map_err(of_graph)?;
            added.batch |= more.batch;
            added.width |= more.width;
            values.push(Some(value));
        }
        let sequence = network.sequence.as_ref();
        let at = sequence.and_then(|s| network.inputs.iter().position(|port| port.name == s.input));
        let axis = sequence.and_then(|s| s.batch);
        let dims = at.and_then(|at| values[at].as_ref()).map(Tensor::dims);
        let batch = dims.zip(axis).and_then(|(dims, axis)| dims.get(axis).copied()).unwrap_or(1);
        let mut whole = Vec::new();
        for (port, value) in network.inputs.iter().zip(values) {
            let state = network.states.iter().find(|state| state.input == port.name);
            whole.push(match (value, state) {
                (Some(value), _) => value,
                (None, Some(state)) => network.initial_state(state, batch).map_err(of_graph)?,
                (None, None) => return Err(PyKeyError::new_err(format!("the input {:?} is not given", port.name))),
            });
        }
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let outputs = py.detach(|| {
            let mut interpreter = match kept {
                Some(interpreter) => interpreter,
                None => Interpreter::new(network.clone())?,
            };
            let outputs = interpreter.run(&whole)?;
            idle().push(interpreter);
            let fitted = network.outputs.iter().zip(&outputs).map(|(port, y)| network.fit_output(port, y, added));
            fitted.collect::<elman_graph::Result<Vec<_>>>()
        });
        let found = PyDict::new(py);
        for (port, y) in network.outputs.iter().zip(outputs.map_err(of_graph)?) {
            found.set_item(&port.name, array(py, y)?)?;
        }
        Ok(found)
    }

    /// Independent streams, stepped together.
    #[pyo3(signature = (rows=1))]
    fn stream(&self, py: Python<'_>, rows: usize) -> PyResult<Stream> {
        let network = self.network.clone();
        let stepper = py.detach(|| network.lower(&StepOptions::default())).map_err(of_graph)?;
        Stream::of_machine(stepper.into_machine(), rows)
    }

    /// Writes it as a model file.
    fn save(&self, py: Python<'_>, path: std::path::PathBuf) -> PyResult<()> {
        let network = self.network.clone();
        let bytes = py.detach(|| network.to_bytes()).map_err(of_graph)?;
        py.detach(|| elman::file::atomic::write(&path, &bytes)).map_err(crate::errors::raised)
    }
}

/// An array as a tensor.
fn tensor(array: &Bound<'_, PyAny>, name: &str) -> PyResult<Tensor> {
    macro_rules! read {
        ($($kind:ty, $dtype:expr, $values:ident, $as:ty;)+) => {
            $(if let Ok(array) = array.cast::<PyArrayDyn<$kind>>() {
                let dims = array.shape().to_vec();
                let readonly = array.try_readonly().map_err(|e| PyValueError::new_err(format!("{name}: {e}")))?;
                let values: Vec<$as> = readonly.as_array().iter().map(|x| *x as $as).collect();
                return Tensor::new($dtype, dims, Values::$values(Arc::new(values))).map_err(of_graph);
            })+
        };
    }
    read! {
        f32, Dtype::F32, F32, f32;
        f64, Dtype::F64, F64, f64;
        i64, Dtype::I64, I64, i64;
        i32, Dtype::I32, I64, i64;
        i16, Dtype::I16, I64, i64;
        i8, Dtype::I8, I64, i64;
        u8, Dtype::U8, I64, i64;
        bool, Dtype::Bool, Bool, bool;
    }
    let dtype = array.getattr("dtype").map_or_else(|_| "no array".into(), |dtype| dtype.to_string());
    Err(PyTypeError::new_err(format!("input {name}: it is {dtype}; float32, float64, integers and bool are read")))
}

/// A tensor as an array.
fn array<'py>(py: Python<'py>, tensor: Tensor) -> PyResult<Bound<'py, PyAny>> {
    let dims = tensor.dims().to_vec();
    fn owned<T: Clone>(values: Arc<Vec<T>>) -> Vec<T> {
        Arc::try_unwrap(values).unwrap_or_else(|shared| shared.to_vec())
    }
    macro_rules! made {
        ($values:expr) => {
            numpy::PyArray1::from_vec(py, owned($values)).reshape(dims)?.into_any()
        };
    }
    Ok(match tensor.into_values() {
        Values::F32(values) => made!(values),
        Values::F64(values) => made!(values),
        Values::I64(values) => made!(values),
        Values::Bool(values) => made!(values),
    })
}
