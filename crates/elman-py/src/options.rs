//! Dictionaries of Python as options and settings of the library, and what was measured as a dictionary.

use elman::settings::{KEYS, Settings};
use elman::task::{Evaluate, Predict, Sample, TASKS, Task};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::raised;

/// Takes each option by its name; an unknown one is an error that lists those there are.
macro_rules! options {
    ($dict:expr, $options:ident, [$($name:ident),+]) => {
        for (key, value) in $dict.iter() {
            let key: String = key.extract()?;
            if value.is_none() {
                continue;
            }
            match key.as_str() {
                $(stringify!($name) => $options.$name = Some(typed(&key, &value)?),)+
                _ => return Err(unknown(&key, &[$(stringify!($name)),+])),
            }
        }
    };
}

fn typed<'py, T: FromPyObject<'py, 'py>>(key: &str, value: &'py Bound<'py, PyAny>) -> PyResult<T> {
    value.extract().map_err(|error: T::Error| {
        let error: PyErr = error.into();
        PyTypeError::new_err(format!("`{key}`: {error}"))
    })
}

fn unknown(key: &str, names: &[&str]) -> PyErr {
    PyTypeError::new_err(format!("there is no option `{key}`; there are {}", names.join(", ")))
}

/// Options of predictions that a model's task reads.
pub(crate) fn predict(task: &str, given: &Bound<'_, PyDict>) -> PyResult<Predict> {
    let mut o = Predict::default();
    options!(
        given,
        o,
        [
            label_column, sequence_column, explain, nbest, attention, encoder, beam, length_penalty, coverage_penalty,
            no_repeat_ngram, min_length
        ]
    );
    Task::find(task).and_then(|task| task.check_predict(&o, &[])).map_err(raised)?;
    Ok(o)
}

/// Options of an evaluation that a model's task reads.
pub(crate) fn evaluate(task: &str, given: &Bound<'_, PyDict>) -> PyResult<Evaluate> {
    let mut o = Evaluate::default();
    options!(
        given,
        o,
        [
            split, mistakes, curves, from, dynamic, dynamic_lr, dynamic_decay, skip_unseen, beam, length_penalty,
            coverage_penalty, no_repeat_ngram, min_length
        ]
    );
    Task::find(task).and_then(|task| task.check_evaluate(&o)).map_err(raised)?;
    Ok(o)
}

/// How a model goes on from a prompt.
pub(crate) fn sample(given: &Bound<'_, PyDict>) -> PyResult<Sample> {
    let mut o = Sample::default();
    for (key, value) in given.iter() {
        let key: String = key.extract()?;
        if value.is_none() {
            continue;
        }
        match key.as_str() {
            "length" => o.length = typed(&key, &value)?,
            "seed" => o.seed = typed(&key, &value)?,
            "stop" => o.stop = typed(&key, &value)?,
            "temperature" => o.sampler.temperature = typed(&key, &value)?,
            "top_k" => o.sampler.top_k = typed(&key, &value)?,
            "top_p" => o.sampler.top_p = typed(&key, &value)?,
            "min_p" => o.sampler.min_p = typed(&key, &value)?,
            _ => return Err(unknown(&key, &["length", "seed", "stop", "temperature", "top_k", "top_p", "min_p"])),
        }
    }
    Ok(o)
}

/// The settings of a run: the task's defaults, or those of a preset, with what is given as text.
pub(crate) fn settings(task: &str, preset: Option<&str>, given: &[(String, String)]) -> elman::Result<Settings> {
    let row = Task::find(task)?;
    let has_data = given.iter().any(|(key, text)| row.data.contains(&key.as_str()) && !text.is_empty());
    let mut settings = match preset {
        Some(name) => Settings { task: task.into(), ..Settings::preset(name)? },
        None if has_data => Settings::for_task(task)?,
        None => Settings::for_builtin_data(task)?,
    };
    for (key, text) in given {
        settings.set(key, text)?;
    }
    Ok(settings)
}

/// The settings that name data to evaluate on and say how they are read.
pub(crate) fn data(task: &str, given: &[(String, String)]) -> elman::Result<Settings> {
    const COLUMNS: [&str; 8] = [
        "text_column", "label_column", "sequence_column", "source_column", "target_column", "header", "encoding",
        "skip_bad",
    ];
    let row = Task::find(task)?;
    let mut settings = Settings::for_task(task)?;
    for (key, text) in given {
        let key = key.as_str();
        row.check(key, text, |task| task.eval_data.contains(&key) || (COLUMNS.contains(&key) && task.is_read(key)))?;
        settings.set(key, text)?;
    }
    Ok(settings)
}

/// The tasks: name and what each learns.
#[pyfunction]
pub(crate) fn tasks() -> Vec<(&'static str, &'static str)> {
    TASKS.iter().map(|task| (task.name, task.about)).collect()
}

/// The settings that a task reads: name, default as text, help, heading.
#[pyfunction]
pub(crate) fn settings_of(task: &str) -> PyResult<Vec<(&'static str, String, &'static str, &'static str)>> {
    let row = Task::find(task).map_err(raised)?;
    let defaults = Settings::for_task(task).map_err(raised)?;
    let keys = KEYS.iter().filter(|key| row.is_read(key.name) && key.name != "task");
    Ok(keys.map(|key| (key.name, defaults.get(key.name), key.help.trim(), key.group)).collect())
}
