//! Everything of a run before its first update, whatever its task.

use elman_step::model::ModelError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

use super::photographs::Watch;
use super::settings::Settings;
use super::supervised::Survey;
use super::{caption, classify, classify_frames, classify_sequence, classify_text, language_model, translate};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::param::{Layout, Params};
use crate::train::{RunFolder, Session, blocks, read_weights};

/// Largest size of a network that a file may claim.
const MAX_WEIGHTS: usize = 1 << 30;

/// Data read and a network laid out: ready to train.
pub trait Plan {
    /// What was asked for, resolved.
    fn settings(&self) -> &Settings;

    /// What people are told of it.
    fn facts(&self) -> Facts;

    /// What a person looks at before training; none where the task has no examples to count.
    fn survey(&self) -> Option<Survey> {
        None
    }

    /// The run: from the beginning, or with `resume` from the folder's checkpoint.
    ///
    /// # Errors
    /// If threads cannot be started, or the checkpoint is none of this run.
    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>>;
}

/// What people are told of a run before it begins.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The network in a few words: `gru 1x512`.
    pub network: String,
    /// Weights.
    pub parameters: usize,
    /// The data in a sentence, without their name: `1,000 sentences to learn from, 100 held out`.
    pub data: String,
    /// Targets in an epoch.
    pub targets: usize,
    /// What a target is: `character`, `example`, `frame`.
    pub unit: &'static str,
    /// What was decided for the user, such as which column was taken for the label.
    pub notes: Vec<String>,
    /// Bytes that training will take, roughly.
    pub memory: usize,
    /// More for machines: an object.
    pub json: Value,
    /// The command that uses the model, before its path.
    pub command: &'static str,
}

/// Reads the data of a task and lays its network out.
///
/// # Errors
/// As [`Settings::resolve`] and the task's reader.
pub fn plan(settings: Settings) -> Result<Box<dyn Plan>> {
    plan_watched(settings, &mut |_, _| true)
}

/// As [`plan`]; where features of photographs are made for it, `watch` is told how many there are of how many, and may end it.
///
/// # Errors
/// As [`plan`]; [`Error::Stopped`] if `watch` ended it. What was made is kept for the next time.
pub fn plan_watched(settings: Settings, watch: &mut Watch) -> Result<Box<dyn Plan>> {
    let settings = settings.resolve()?;
    Ok(match settings.task.as_str() {
        classify::CLASSIFY | classify::REGRESS => Box::new(classify::Plan::new(settings)?),
        classify_text::NAME => Box::new(classify_text::Plan::new(settings)?),
        classify_sequence::NAME => Box::new(classify_sequence::Plan::new(settings)?),
        classify_frames::NAME => Box::new(classify_frames::Plan::new(settings)?),
        translate::NAME => Box::new(translate::Plan::new(settings)?),
        caption::NAME => Box::new(caption::Plan::new(settings, watch)?),
        _ => Box::new(language_model::Plan::new(settings)?),
    })
}

/// `1234567` as `1,234,567`.
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes of weights, moments and gradients of a run, roughly, with `activations` values besides.
pub(super) fn memory(weights: usize, batch: usize, activations: usize) -> usize {
    4 * (weights * (6 + blocks(batch).len()) + activations)
}

/// A part of a model file's metadata.
///
/// # Errors
/// [`Error::Model`] that names the part.
pub(super) fn part<T: DeserializeOwned>(loaded: &Loaded, name: &str) -> Result<T> {
    let value = loaded.document.config().get(name).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|error| {
        let reason = format!("`{name}` in its metadata cannot be used: {error}");
        Error::Model { path: loaded.path.clone(), reason }
    })
}

/// The weights of a model file. Sizes are compared before memory is taken for what a damaged file may claim.
///
/// # Errors
/// [`Error::Model`] if a tensor is missing or of other dimensions.
pub(super) fn params(loaded: &Loaded, layout: &Arc<Layout>) -> Result<Params<f32>> {
    if layout.len() > MAX_WEIGHTS {
        let reason = format!("it claims {} weights, more than {MAX_WEIGHTS}", layout.len());
        return Err(Error::Model { path: loaded.path.clone(), reason });
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
