//! The native half of the Python package `elman`: models, streams, training, recurrent layers. No mathematics of its own;
//! the Python half in `python/elman` says how it is used.

#![forbid(unsafe_code)]

mod arrays;
mod errors;
mod graph;
mod layers;
mod model;
mod options;
mod stream;
mod threads;
mod train;

use pyo3::prelude::*;

/// The native half of the package.
#[pymodule]
mod _elman {
    #[pymodule_export]
    use crate::arrays::write_table;
    #[pymodule_export]
    use crate::graph::Graph;
    #[pymodule_export]
    use crate::layers::{Layers, Pass};
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::options::{settings_of, tasks};
    #[pymodule_export]
    use crate::stream::Stream;
    #[pymodule_export]
    use crate::threads::{set_threads, threads};
    #[pymodule_export]
    use crate::train::train;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DivergedError", module.py().get_type::<crate::errors::DivergedError>())
    }
}
