//! Errors of the library as exceptions.

use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(
    elman,
    DivergedError,
    PyRuntimeError,
    "Training left the finite numbers, or the loss grew without bound."
);

/// An error of the library: `OSError` of the disk, `DivergedError`, `RuntimeError` of a run folder in use, else `ValueError`.
pub(crate) fn raised(error: elman::Error) -> PyErr {
    use elman::Error;
    let text = error.to_string();
    match error {
        Error::UnknownSetting { name, nearest } => {
            let hint = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "elman.settings(task) lists those of a task".into(),
            };
            PyTypeError::new_err(format!("there is no setting `{name}`; {hint}"))
        }
        Error::Io { source, .. } => of_system(&source, text),
        Error::Diverged { .. } => DivergedError::new_err(text),
        Error::Busy(_) | Error::Stopped(_) => PyRuntimeError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

/// An error of a network made elsewhere.
pub(crate) fn of_graph(error: elman_graph::Error) -> PyErr {
    let text = error.to_string();
    match &error {
        elman_graph::Error::Io { source, .. } => of_system(source, text),
        elman_graph::Error::File { source: inner, .. } => match &**inner {
            elman_graph::Error::Io { source, .. } => of_system(source, text),
            _ => PyValueError::new_err(text),
        },
        _ => PyValueError::new_err(text),
    }
}

/// An error of a step.
pub(crate) fn of_step(error: elman_step::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn of_system(source: &std::io::Error, text: String) -> PyErr {
    match source.kind() {
        std::io::ErrorKind::NotFound => PyFileNotFoundError::new_err(text),
        _ => PyOSError::new_err(text),
    }
}
