//! Model files that commands open.

use std::path::{Path, PathBuf};

use elman::Error;
use elman::format::model::{self, Loaded};
use elman::task::{self, Model, Predict, Task};

use crate::exit_code::Failure;

/// Reads and verifies a model file; whatever is wrong with it is the model's fault.
pub(super) fn load(path: &Path) -> Result<Loaded, Failure> {
    model::load(path).map_err(Failure::Model)
}

/// Opens a model and those that predict together with it.
pub(super) fn open(path: &Path, ensemble: &[PathBuf]) -> Result<(Box<dyn Model>, &'static Task), Failure> {
    let loaded = load(path)?;
    let task = task::of_model(&loaded)?;
    let given: Vec<_> = ensemble.iter().map(|other| ("ensemble", other.display().to_string())).collect();
    task.check_predict(&Predict::default(), &given)?;
    let mut model = task::open_loaded(&loaded)?;
    for other in ensemble {
        let fits = model.join(task::open_loaded(&load(other)?)?);
        fits.map_err(|error| {
            Error::Usage(format!("--ensemble {}: with {}: {error}", other.display(), path.display()))
        })?;
    }
    Ok((model, task))
}
