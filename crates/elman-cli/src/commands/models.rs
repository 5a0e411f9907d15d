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

/// The seed of data that the program makes to evaluate on: no run is likely to have it.
pub(super) const ANEW: u64 = 1_405_071;

/// Whether a model was trained on data that the program contains or makes.
pub(super) fn is_builtin(path: &Path) -> Result<bool, Failure> {
    Ok(load(path)?.document.config()["builtin"] == true)
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
