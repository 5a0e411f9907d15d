//! The configuration of a network with an output at every step: the part `network` of a model file's JSON. Training
//! writes it, and inference reads it.

use alloc::format;
use alloc::string::{String, ToString};

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::cell::CellKind;
use crate::cell::input::InputKind;
use crate::model::ModelError;

/// Configuration of a network with an output at every step: recurrent layers and a linear output.
///
/// Types that only training knows are parameters: `Front`, the feed-forward layers before the recurrent ones, and
/// `Loss`, which compares outputs with targets. A network that runs step by step has no front and ignores the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    bound(
        serialize = "Front: Serialize, Loss: Serialize + Default + PartialEq",
        deserialize = "Front: Deserialize<'de>, Loss: Deserialize<'de> + Default"
    )
)]
pub struct NetworkConfig<Front = NoFront, Loss = NoLoss> {
    /// The cell of every layer.
    pub cell: CellKind,
    /// `L`.
    pub layers: usize,
    /// `H`, of each layer and direction.
    pub hidden: usize,
    /// Whether a second set of cells reads each sequence backwards.
    pub bidirectional: bool,
    /// The kind of input.
    pub feed: InputKind,
    /// Width of a learned embedding of tokens; 0 for one-hot vectors.
    pub embedding: usize,
    /// Whether the output layer uses the embedding's matrix (needs an embedding as wide as the output of the layers).
    pub tied: bool,
    /// `V`, classes at the output.
    pub classes: usize,
    /// Dropout probability between layers and before the output.
    pub dropout: f64,
    /// Feed-forward layers between the input, which must be vectors, and the recurrent ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<Front>,
    /// How outputs are compared with targets in training.
    #[serde(default, skip_serializing_if = "is_default")]
    pub loss: Loss,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The front of a network without one; an uninhabited type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoFront {}

/// The loss of a network that is not trained; ignored when a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoLoss;

impl Serialize for NoLoss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for NoLoss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| NoLoss)
    }
}

impl<Front, Loss: Default> NetworkConfig<Front, Loss> {
    /// A language model like min-char-rnn: one layer that reads one of `vocab` tokens as a one-hot vector and predicts
    /// the next.
    pub fn language_model(cell: CellKind, hidden: usize, vocab: usize) -> Self {
        NetworkConfig {
            cell,
            layers: 1,
            hidden,
            bidirectional: false,
            feed: InputKind::Tokens(vocab),
            embedding: 0,
            tied: false,
            classes: vocab,
            dropout: 0.0,
            front: None,
            loss: Loss::default(),
        }
    }
}

impl<Front, Loss> NetworkConfig<Front, Loss> {
    /// The configuration without training's parts, to run the network step by step.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] if it has a front.
    pub fn without_training(&self) -> Result<NetworkConfig, ModelError> {
        let &NetworkConfig { cell, layers, hidden, bidirectional, feed, embedding, tied, classes, dropout, .. } = self;
        if self.front.is_some() {
            return Err(has_front());
        }
        let (front, loss) = (None, NoLoss);
        Ok(NetworkConfig { cell, layers, hidden, bidirectional, feed, embedding, tied, classes, dropout, front, loss })
    }
}

impl NetworkConfig {
    /// Reads the part of a model's config that describes its network.
    ///
    /// # Errors
    /// [`ModelError::Config`] if a part is missing or sizes are inconsistent, [`ModelError::Unsupported`] if the
    /// network cannot run step by step.
    pub fn read(config: &Value) -> Result<Self, ModelError> {
        match config.get("shape").and_then(Value::as_str) {
            Some("synced") => {}
            Some(shape) => {
                let reason = format!("a network of the shape {shape:?} has no output at every step");
                return Err(ModelError::Unsupported { reason });
            }
            None => return Err(refuse("`shape` is missing")),
        }
        let network = config.get("network").ok_or_else(|| refuse("`network` is missing"))?;
        if network.get("front").is_some_and(|front| !front.is_null()) {
            return Err(has_front());
        }
        let network = Self::deserialize(network).map_err(|error| refuse(format!("in `network`: {error}")))?;
        network.check()?;
        Ok(network)
    }

    /// Checks that a network of this configuration can run step by step.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        if self.bidirectional {
            return Err(ModelError::Unsupported {
                reason: "a bidirectional network also reads each sequence from its end, and a stream has no end yet; \
                         run it over whole sequences, or train one without `bidirectional`"
                    .into(),
            });
        }
        let feed = match self.feed {
            InputKind::Dense(width) | InputKind::Tokens(width) => width,
        };
        for (what, size) in
            [("layers", self.layers), ("hidden", self.hidden), ("classes", self.classes), ("feed", feed)]
        {
            if size == 0 {
                return Err(refuse(format!("`{what}` is 0")));
            }
        }
        if matches!(self.feed, InputKind::Dense(_)) && (self.embedding > 0 || self.tied) {
            return Err(refuse("there is an embedding, but the network reads vectors"));
        }
        if self.tied && (self.embedding != self.hidden || self.feed != InputKind::Tokens(self.classes)) {
            return Err(refuse("the output is tied to an embedding of other dimensions"));
        }
        Ok(())
    }
}

fn has_front() -> ModelError {
    ModelError::Unsupported {
        reason:
            "this network has convolutions or dense layers before the recurrent ones, which do not run a step at a \
                 time; run it over whole sequences"
                .into(),
    }
}

pub(crate) fn refuse(reason: impl ToString) -> ModelError {
    let reason: String = reason.to_string();
    ModelError::Config { reason }
}
