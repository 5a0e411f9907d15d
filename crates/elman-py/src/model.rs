//! A model trained here: opened, asked, saved.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use elman::data::table::Table;
use elman::format::model::Loaded;
use elman::metric::Evaluation;
use elman::task::{self, Input, Output, Prediction, Reads, Source};
use elman_step::model::{Document, Kind};
use numpy::{PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::arrays::Numbers;
use crate::errors::{of_graph, raised};
use crate::graph::Graph;
use crate::options;
use crate::stream::Stream;
use crate::threads::pool;

/// A model and its file.
pub(crate) struct Opened {
    pub(crate) model: Box<dyn elman::Model>,
    pub(crate) loaded: Loaded,
    /// As they are on the disk.
    bytes: Vec<u8>,
}

/// A model trained with Elman.
#[pyclass(frozen, module = "elman._elman")]
pub(crate) struct Model {
    opened: Mutex<Option<Arc<Opened>>>,
}

impl Model {
    fn of((loaded, bytes): (Loaded, Vec<u8>)) -> PyResult<Self> {
        let model = task::open_loaded(&loaded).map_err(raised)?;
        Ok(Model { opened: Mutex::new(Some(Arc::new(Opened { model, loaded, bytes }))) })
    }

    fn opened(&self) -> PyResult<Arc<Opened>> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.clone().ok_or_else(|| PyValueError::new_err("the model is closed; elman.open opens it again"))
    }
}

#[pymethods]
impl Model {
    /// Opens a model file, or the best model of a run folder: a `Model`, or of a network made elsewhere a `Graph`.
    #[staticmethod]
    #[pyo3(signature = (path, answers))]
    fn open(py: Python<'_>, path: PathBuf, answers: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let path = elman::format::model::file_of(&path);
        let answers: Vec<(String, String)> =
            answers.extract::<std::collections::BTreeMap<_, _>>()?.into_iter().collect();
        let loaded = match answers.is_empty() {
            true => py.detach(|| elman::format::model::load(&path)),
            false => Err(elman::Error::Usage(String::new())),
        };
        match loaded {
            Ok(loaded) if loaded.document.kind() != Kind::Graph && task::of_model(&loaded).is_ok() => {
                Ok(Py::new(py, Model::of(py.detach(|| again(loaded)).map_err(raised)?)?)?.into_any())
            }
            // The folder of a run without a best model yet, or nothing at all.
            Err(error @ elman::Error::Io { .. }) if path.is_dir() || !path.exists() => Err(raised(error)),
            // A damaged file of our own is no other program's.
            Err(error @ elman::Error::Model { .. }) if path.extension().is_some_and(|end| end == "safetensors") => {
                let graph = Graph::open(py, &path, &answers);
                Ok(Py::new(py, graph.map_err(|other| if is_ours(&path) { raised(error) } else { of_graph(other) })?)?
                    .into_any())
            }
            _ => Ok(Py::new(py, Graph::open(py, &path, &answers).map_err(of_graph)?)?.into_any()),
        }
    }

    /// A model from the bytes of its file.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        let document = Document::parse_owned(bytes.to_vec());
        let document = document.map_err(|error| PyValueError::new_err(format!("the bytes of a model: {error}")))?;
        Model::of((Loaded { path: "the bytes of a model".into(), document }, bytes.to_vec()))
    }

    /// The bytes of its file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.opened()?.bytes))
    }

    /// Writes its file, whole or not at all.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let opened = self.opened()?;
        py.detach(|| elman::file::atomic::write(&path, &opened.bytes)).map_err(raised)
    }

    fn close(&self) {
        let _ = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    #[getter]
    fn is_closed(&self) -> bool {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    #[getter]
    fn task(&self) -> PyResult<&'static str> {
        Ok(self.opened()?.model.task())
    }

    #[getter]
    fn path(&self) -> PyResult<PathBuf> {
        Ok(self.opened()?.loaded.path.clone())
    }

    #[getter]
    fn labels(&self) -> PyResult<Vec<String>> {
        Ok(self.opened()?.model.labels().to_vec())
    }

    /// `texts`, `rows`, `files` or `sequences`.
    #[getter]
    fn reads(&self) -> PyResult<&'static str> {
        Ok(match self.opened()?.model.reads() {
            Reads::Texts => "texts",
            Reads::Rows => "rows",
            Reads::Files => "files",
            Reads::Sequences => "sequences",
        })
    }

    /// What it reads and predicts: names and texts.
    fn describe(&self) -> PyResult<Vec<(&'static str, String)>> {
        Ok(self.opened()?.model.describe())
    }

    /// The metadata of its file as JSON.
    fn config(&self) -> PyResult<String> {
        Ok(self.opened()?.loaded.document.config().to_string())
    }

    /// Predicts for texts.
    fn predict_texts<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<String>,
        given: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.predict(py, Input::Texts(&texts), given)
    }

    /// Predicts for a file.
    fn predict_file<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        given: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        match self.opened()?.model.reads() {
            Reads::Rows => {
                let table = py.detach(|| Table::read(&path)).map_err(raised)?;
                self.predict(py, Input::Table(&table), given)
            }
            _ => self.predict(py, Input::File(&path), given),
        }
    }

    /// Predicts for a table in the bytes of a file.
    fn predict_bytes<'py>(
        &self,
        py: Python<'py>,
        bytes: &[u8],
        header: Option<bool>,
        given: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let table = py.detach(|| Table::parse(bytes, Path::new("the table"), header)).map_err(raised)?;
        self.predict(py, Input::Table(&table), given)
    }

    /// Predicts for rows of numbers `[N, C]`, or for series whose steps they are.
    fn predict_numbers<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f64>,
        names: Vec<String>,
        lengths: Option<Vec<usize>>,
        given: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let numbers = Numbers { x: x.as_array(), names, lengths, labels: None };
        let table = numbers.table()?;
        self.predict(py, Input::Table(&table), given)
    }

    /// Evaluates it on the data that settings name; a JSON object, beside it what a person reads.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        data: Vec<(String, String)>,
        given: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let opened = self.opened()?;
        let task = opened.model.task();
        let settings = options::data(task, &data).map_err(raised)?;
        let options = options::evaluate(task, given)?;
        let pool = pool(None)?;
        let found = py
            .detach(|| pool.install(|| opened.model.evaluate(&settings, &options, &mut |_, _| true)))
            .map_err(raised)?;
        evaluation(py, &found)
    }

    /// Goes on from a prompt.
    fn sample(&self, py: Python<'_>, prompt: &str, given: &Bound<'_, PyDict>) -> PyResult<String> {
        let opened = self.opened()?;
        let options = options::sample(given)?;
        py.detach(|| opened.model.sample(prompt, &options)).map_err(raised)
    }

    /// Independent streams, stepped together.
    #[pyo3(signature = (rows=1))]
    fn stream(&self, rows: usize) -> PyResult<Stream> {
        let opened = self.opened()?;
        Stream::of_model(&opened, rows)
    }

    /// Its network, without what reads its inputs.
    fn graph(&self) -> PyResult<Graph> {
        let opened = self.opened()?;
        Graph::of_bytes(&opened.bytes, &opened.loaded.path).map_err(of_graph)
    }
}

impl Model {
    fn predict<'py>(
        &self,
        py: Python<'py>,
        input: Input<'_>,
        given: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let opened = self.opened()?;
        let options = options::predict(opened.model.task(), given)?;
        let pool = pool(None)?;
        let found = py.detach(|| pool.install(|| opened.model.predict(input, &options))).map_err(raised)?;
        predictions(py, found)
    }
}

/// The file of a model with its bytes, which may have been replaced since it was read.
fn again(loaded: Loaded) -> elman::Result<(Loaded, Vec<u8>)> {
    let path = loaded.path;
    let bytes = elman::file::read(&path)?;
    let document = Document::parse_owned(bytes.clone());
    let document = document.map_err(|error| elman::Error::Model { path: path.clone(), reason: error.to_string() })?;
    Ok((Loaded { path, document }, bytes))
}

/// Whether a file's metadata are those of Elman.
fn is_ours(path: &Path) -> bool {
    let mut start = vec![0; 64];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
    let key = elman_step::model::CHECKSUM_KEY.as_bytes();
    read.is_ok() && start.windows(key.len()).any(|window| window == key)
}

/// Predictions of one kind, a list or an array for each part of them.
fn predictions<'py>(py: Python<'py>, found: Vec<Prediction>) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("inputs", PyList::new(py, found.iter().map(|one| one.input.as_str()))?)?;
    all.set_item("warnings", PyList::new(py, found.iter().map(|one| one.warning.as_deref()))?)?;
    let (mut classes, mut words, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut steps, mut rates, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    let mut kind = "nothing";
    for prediction in found {
        match prediction.output {
            Output::Class { probabilities, words: of } => {
                kind = "classes";
                classes.push(probabilities);
                words.push(of);
            }
            Output::Labels { probabilities, words: of } => {
                kind = "labels";
                classes.push(probabilities);
                words.push(of);
            }
            Output::Value(value) => {
                kind = "values";
                values.push(value);
            }
            Output::Steps { probabilities, fps } => {
                kind = "steps";
                steps.push(PyArray2::from_vec2(py, &probabilities).map_err(|e| PyTypeError::new_err(e.to_string()))?);
                rates.push(fps);
            }
            Output::Texts { written, source } => {
                kind = "texts";
                let read = if let Source::Tokens(tokens) = source { tokens } else { Vec::new() };
                let written: Vec<_> =
                    written.into_iter().map(|one| (one.text, one.log_prob, one.score, one.words)).collect();
                texts.push((written, read));
            }
        }
    }
    all.set_item("kind", kind)?;
    match kind {
        "classes" | "labels" => {
            all.set_item("holds", elman::metric::HOLDS)?;
            let array = PyArray2::from_vec2(py, &classes).map_err(|e| PyTypeError::new_err(e.to_string()))?;
            all.set_item("probabilities", array)?;
            all.set_item("words", words)?;
        }
        "values" => all.set_item("values", PyArray1::from_vec(py, values))?,
        "steps" => {
            all.set_item("steps", PyList::new(py, steps)?)?;
            all.set_item("fps", rates)?;
        }
        "texts" => all.set_item("texts", texts)?,
        _ => {}
    }
    Ok(all)
}

/// What was measured, for Python.
fn evaluation<'py>(py: Python<'py>, found: &Evaluation) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    let measures = PyDict::new(py);
    for measure in &found.measures {
        measures.set_item(measure.name, measure.value)?;
    }
    all.set_item("measures", measures)?;
    all.set_item("examples", found.examples.0)?;
    all.set_item("unit", found.examples.1)?;
    all.set_item("labels", &found.labels)?;
    all.set_item("notes", &found.notes)?;
    let json = |value: serde_json::Value| value.to_string();
    all.set_item("details", json(serde_json::Value::Object(found.details.clone())))?;
    all.set_item("confusion", found.confusion.as_ref().map(|confusion| json(confusion.to_json(&found.labels))))?;
    let mistakes = found.mistakes.iter().map(|m| (&m.example, &m.truth, &m.predicted, m.degree));
    all.set_item("mistakes", mistakes.collect::<Vec<_>>())?;
    let rules = found.baselines.iter().map(|rule| (&rule.name, &rule.measure, rule.value));
    all.set_item("baselines", rules.collect::<Vec<_>>())?;
    let points = |p: &elman::metric::ranking::CurvePoint| {
        (p.threshold, p.false_positive_rate, p.true_positive_rate, p.precision)
    };
    all.set_item("curve", found.curve.as_ref().map(|curve| curve.iter().map(points).collect::<Vec<_>>()))?;
    all.set_item("texts", &found.texts)?;
    Ok(all)
}
