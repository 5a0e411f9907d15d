//! What a model file says beside its weights, read with suspicion.

use std::sync::Arc;

use elman_step::model::ModelError;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::param::{Layout, Params};
use crate::train::read_weights;

/// Largest number of weights that a file may claim.
const MAX_WEIGHTS: usize = 1 << 30;

/// A part of a model file's metadata.
///
/// # Errors
/// [`Error::Model`] that names the part.
pub(super) fn part<T: DeserializeOwned>(loaded: &Loaded, name: &str) -> Result<T> {
    let value = loaded.document.config().get(name).cloned().unwrap_or_default();
    serde_json::from_value(value)
        .map_err(|error| contradiction(loaded, format!("`{name}` in its metadata cannot be used: {error}")))
}

/// [`Error::Model`]: the parts of a model file do not fit each other.
pub(super) fn contradiction(loaded: &Loaded, reason: impl ToString) -> Error {
    Error::Model { path: loaded.path.clone(), reason: reason.to_string() }
}

/// The weights of a model file. Sizes are compared before memory is taken for what a damaged file may claim.
///
/// # Errors
/// [`Error::Model`] if a tensor is missing or of other dimensions.
pub(super) fn params(loaded: &Loaded, layout: &Arc<Layout>) -> Result<Params<f32>> {
    if layout.len() > MAX_WEIGHTS {
        return Err(contradiction(loaded, format!("it claims {} weights, more than {MAX_WEIGHTS}", layout.len())));
    }
    for tensor in layout.tensors() {
        match loaded.document.tensor(&tensor.name) {
            Some(found) if found.dims == tensor.dims => {}
            Some(found) => {
                let (tensor, got, want) = (tensor.name.clone(), found.dims.to_vec(), tensor.dims.clone());
                return Err(loaded.error(ModelError::Dimensions { tensor, got, want }));
            }
            None => return Err(loaded.error(ModelError::Missing { tensor: tensor.name.clone() })),
        }
    }
    let mut params = Params::zeros(layout);
    read_weights(&loaded.document, &mut params).map_err(|error| loaded.error(error))?;
    Ok(params)
}
