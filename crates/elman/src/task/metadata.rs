//! What a model file says beside its weights, read with suspicion.

use std::sync::Arc;

use elman_step::model::ModelError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::row::Task;
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::param::{Layout, Params};
use crate::train::read_weights;

/// Largest number of weights that a file may claim.
const MAX_WEIGHTS: usize = 1 << 30;
/// Sizes up to this are accepted whatever the tensors: of images, for example, which no tensor shows.
const SMALL: u64 = 1 << 16;

/// The task of a model file.
///
/// # Errors
/// [`Error::Model`] if it names none that there is.
pub fn of_model(loaded: &Loaded) -> Result<&'static Task> {
    let name = &loaded.document.config()["task"];
    Task::find(name.as_str().unwrap_or_default())
        .map_err(|_| contradiction(loaded, format!("its task is {name}, which this version does not have")))
}

/// A part of a model file's metadata.
///
/// # Errors
/// [`Error::Model`] that names the part.
pub(super) fn part<T: DeserializeOwned>(loaded: &Loaded, name: &str) -> Result<T> {
    let value = loaded.document.config().get(name).cloned().unwrap_or_default();
    if name == "network" {
        check_sizes(loaded, "network", &value)?;
    }
    serde_json::from_value(value)
        .map_err(|error| contradiction(loaded, format!("`{name}` in its metadata cannot be used: {error}")))
}

/// Compares the numbers of a network with the tensors of its file, before anything is made from them: each layer has tensors of
/// its own, and no size exceeds the number of weights.
///
/// # Errors
/// [`Error::Model`] with the first that cannot be.
fn check_sizes(loaded: &Loaded, key: &str, value: &Value) -> Result<()> {
    let document = &loaded.document;
    let (mut tensors, mut weights) = (0u64, 0u64);
    for tensor in document.names().filter_map(|name| document.tensor(name)) {
        tensors += 1;
        weights = weights.saturating_add(tensor.dims.iter().fold(1, |size, &dim| size.saturating_mul(dim as u64)));
    }
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(n) if key.contains("layers") && n > tensors => {
                Err(contradiction(loaded, format!("it claims {n} `{key}`, and the file holds {tensors} tensors")))
            }
            Some(n) if n > weights.max(SMALL) => {
                Err(contradiction(loaded, format!("its `{key}` is {n}, and the file holds {weights} weights")))
            }
            _ => Ok(()),
        },
        Value::Array(values) => values.iter().try_for_each(|value| check_sizes(loaded, key, value)),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| check_sizes(loaded, key, value)),
        _ => Ok(()),
    }
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
    for tensor in layout.tensors() {
        if let Some(at) = tensor.slot.of(&params).iter().position(|value| !value.is_finite()) {
            let reason = format!("{} holds a value at element {at} that is not finite", tensor.name);
            return Err(contradiction(loaded, reason));
        }
    }
    Ok(params)
}
