//! The optimizers and their hyperparameters.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The optimizers, as the setting `optimizer` and files name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent, with or without momentum.
    Sgd,
    /// A learning rate per weight, from the sum of its squared gradients.
    Adagrad,
    /// As `Adagrad`, with a decaying mean of squares.
    Rmsprop,
    /// Decaying means of the gradient and its square.
    #[default]
    Adam,
    /// `Adam` with decoupled weight decay.
    Adamw,
}

impl OptimizerKind {
    /// Every optimizer.
    pub const ALL: [OptimizerKind; 5] =
        [OptimizerKind::Sgd, OptimizerKind::Adagrad, OptimizerKind::Rmsprop, OptimizerKind::Adam, OptimizerKind::Adamw];

    /// The name in files and settings.
    pub fn name(self) -> &'static str {
        match self {
            OptimizerKind::Sgd => "sgd",
            OptimizerKind::Adagrad => "adagrad",
            OptimizerKind::Rmsprop => "rmsprop",
            OptimizerKind::Adam => "adam",
            OptimizerKind::Adamw => "adamw",
        }
    }
}

/// An optimizer and its hyperparameters, except the learning rate.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// The optimizer.
    pub kind: OptimizerKind,
    /// `Sgd`, `Rmsprop`: decay of the velocity; 0 for none.
    pub momentum: f64,
    /// `Rmsprop`: decay of the mean square.
    pub alpha: f64,
    /// `Adam`, `Adamw`: decay of the first moment.
    pub beta1: f64,
    /// `Adam`, `Adamw`: decay of the second moment.
    pub beta2: f64,
    /// All but `Sgd`: added to the root in the denominator.
    pub eps: f64,
    /// `Adagrad`: `eps` is added under the root, as in min-char-rnn.
    pub eps_in_root: bool,
    /// Weight decay of matrices, not biases: `Adamw` shrinks the weights by `lr weight_decay`, the
    /// others add `weight_decay w` to the gradient.
    pub weight_decay: f64,
}

impl Default for OptimizerConfig {
    /// Adam with its authors' defaults.
    fn default() -> Self {
        OptimizerConfig {
            kind: OptimizerKind::default(),
            momentum: 0.0,
            alpha: 0.99,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_in_root: false,
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first invalid value.
    pub fn validate(&self) -> Result<()> {
        let OptimizerConfig { momentum, alpha, beta1, beta2, eps, weight_decay, .. } = *self;
        let fractions = [("momentum", momentum), ("alpha", alpha), ("beta1", beta1), ("beta2", beta2)];
        if let Some((key, value)) = fractions.iter().find(|(_, x)| !(0.0..1.0).contains(x)) {
            return Err(Error::setting(key, value, "must be in [0, 1)"));
        }
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(Error::setting("eps", eps, "must be a small number above 0, such as 1e-8"));
        }
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return Err(Error::setting("weight_decay", weight_decay, "must be at least 0, such as 0.01"));
        }
        Ok(())
    }
}
