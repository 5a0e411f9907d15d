//! Values on their way through a Keras model, with their masks.

use crate::builder::Value;
use crate::error::{Error, Result};

/// A value between two layers.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(crate) value: Value,
    pub(crate) mask: Mask,
    /// Whether it has one entry for each step of the input, in the same order.
    pub(crate) per_step: bool,
}

/// Which steps of a sequence count.
#[derive(Debug, Clone)]
pub(crate) enum Mask {
    All,
    /// `[B, T]`, bool.
    Of(Value),
    /// Made by a layer whose mask differs between versions of Keras: an error where it is needed.
    Unclear(String),
}

impl Flow {
    /// A value without a mask.
    pub(crate) fn new(value: Value, per_step: bool) -> Self {
        Flow { value, mask: Mask::All, per_step }
    }

    /// The same place in the network after a layer that changes neither steps nor mask.
    pub(crate) fn with(&self, value: Value) -> Self {
        Flow { value, ..self.clone() }
    }

    /// The mask, for a layer that heeds it.
    ///
    /// # Errors
    /// If it is not clear what it is.
    pub(crate) fn mask_for(&self, layer: &str) -> Result<Option<&Value>> {
        match &self.mask {
            Mask::All => Ok(None),
            Mask::Of(mask) => Ok(Some(mask)),
            Mask::Unclear(from) => {
                Err(Error::unsupported(format!("layer {layer}"), format!("a mask that went through the layer {from}")))
            }
        }
    }

    /// The axes.
    pub(crate) fn rank(&self) -> usize {
        self.value.dims().len()
    }
}

/// The mask of several values put together by `layer`.
pub(crate) fn merged(layer: &str, flows: &[Flow]) -> Mask {
    let mut masks = flows.iter().map(|flow| &flow.mask);
    let Some(first) = masks.next() else { return Mask::All };
    let same = masks.all(|mask| match (first, mask) {
        (Mask::All, Mask::All) => true,
        (Mask::Of(a), Mask::Of(b)) => a == b,
        _ => false,
    });
    if same { first.clone() } else { Mask::Unclear(layer.into()) }
}
