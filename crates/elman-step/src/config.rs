//! What a model file says of its network: the JSON the trainer writes.

use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cell::Feed;
use crate::model::ModelError;

/// The cells there are, as model files name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellKind {
    /// Long short-term memory.
    Lstm,
    /// Long short-term memory with peepholes.
    LstmPeephole,
    /// Gated recurrent unit, reset after the product (PyTorch's).
    Gru,
    /// Gated recurrent unit, reset before the product (Cho et al. 2014).
    GruResetBefore,
    /// Elman's network with tanh.
    RnnTanh,
    /// Elman's network with relu.
    RnnRelu,
}

impl CellKind {
    /// `g`: the gates, each with its rows in the weights.
    pub(crate) fn gates(self) -> usize {
        match self {
            CellKind::Lstm | CellKind::LstmPeephole => 4,
            CellKind::Gru | CellKind::GruResetBefore => 3,
            CellKind::RnnTanh | CellKind::RnnRelu => 1,
        }
    }
}

/// Sizes of a network that answers at every step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The cell of every layer.
    pub cell: CellKind,
    /// `L`.
    pub layers: usize,
    /// `H`, of each layer.
    pub hidden: usize,
    /// Whether each sequence is also read from its end.
    pub bidirectional: bool,
    /// What stands at the input.
    pub feed: Feed,
    /// Width of the embedding of tokens; 0: one-hot vectors.
    pub embedding: usize,
    /// Whether the output layer uses the embedding's matrix.
    pub tied: bool,
    /// `V`, classes at the output.
    pub classes: usize,
    /// Probability of dropping a value in training; nothing is dropped here.
    pub dropout: f64,
}

impl NetworkConfig {
    /// Reads the part of a model's config that describes its network.
    ///
    /// # Errors
    /// [`ModelError::Config`] if a part is missing or sizes contradict each other, [`ModelError::Unsupported`] if the
    /// network cannot run a step at a time.
    pub fn read(config: &Value) -> Result<Self, ModelError> {
        match config.get("shape").and_then(Value::as_str) {
            Some("synced") => {}
            Some(shape) => {
                let reason = format!("a network of the shape \"{shape}\" does not answer step by step");
                return Err(ModelError::Unsupported { reason });
            }
            None => return Err(refuse("`shape` is missing")),
        }
        let network = config.get("network").ok_or_else(|| refuse("`network` is missing"))?;
        let network = Self::deserialize(network).map_err(|error| refuse(format!("in `network`: {error}")))?;
        network.check()?;
        Ok(network)
    }

    fn check(&self) -> Result<(), ModelError> {
        if self.bidirectional {
            return Err(ModelError::Unsupported {
                reason: "a bidirectional network also reads each sequence from its end, and a stream has no end yet; \
                         run it over whole sequences, or train one without --bidirectional"
                    .into(),
            });
        }
        let feed = match self.feed {
            Feed::Dense(width) | Feed::Tokens(width) => width,
        };
        for (what, size) in
            [("layers", self.layers), ("hidden", self.hidden), ("classes", self.classes), ("feed", feed)]
        {
            if size == 0 {
                return Err(refuse(format!("`{what}` is 0")));
            }
        }
        if matches!(self.feed, Feed::Dense(_)) && (self.embedding > 0 || self.tied) {
            return Err(refuse("there is an embedding, but the network reads vectors"));
        }
        if self.tied && (self.embedding != self.hidden || self.feed != Feed::Tokens(self.classes)) {
            return Err(refuse("the output is tied to an embedding of other dimensions"));
        }
        Ok(())
    }
}

pub(crate) fn refuse(reason: impl ToString) -> ModelError {
    let reason: String = reason.to_string();
    ModelError::Config { reason }
}
