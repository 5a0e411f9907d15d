//! The optimizers there are, and their numbers.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The rules, as `--optimizer` and files name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent, with or without momentum.
    Sgd,
    /// A rate for each weight, by the sum of its squared gradients.
    Adagrad,
    /// As `Adagrad`, by a decaying mean of squares.
    Rmsprop,
    /// Decaying means of the gradient and its square.
    #[default]
    Adam,
    /// `Adam` with decoupled weight decay.
    Adamw,
}

impl OptimizerKind {
    /// Every rule.
    pub const ALL: [OptimizerKind; 5] =
        [OptimizerKind::Sgd, OptimizerKind::Adagrad, OptimizerKind::Rmsprop, OptimizerKind::Adam, OptimizerKind::Adamw];

    /// The name in files and on the command line.
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

/// A rule and its numbers, all but the rate.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// The rule.
    pub kind: OptimizerKind,
    /// `Sgd`, `Rmsprop`: how much of the velocity stays; 0 keeps none.
    pub momentum: f64,
    /// `Rmsprop`: how much of the mean square stays.
    pub alpha: f64,
    /// `Adam`, `Adamw`: how much of the first moment stays.
    pub beta1: f64,
    /// `Adam`, `Adamw`: how much of the second moment stays.
    pub beta2: f64,
    /// All but `Sgd`: added to the root in the denominator.
    pub eps: f64,
    /// `Adagrad`: `eps` stands under the root, as in min-char-rnn.
    pub eps_in_root: bool,
    /// Decay of matrices towards zero, biases being left alone: `Adamw` shrinks the weights by `lr weight_decay`, the
    /// others add `weight_decay w` to the gradient.
    pub weight_decay: f64,
}

impl Default for OptimizerConfig {
    /// Adam as its authors propose it.
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
    /// Refuses numbers that cannot be.
    ///
    /// # Errors
    /// [`Error::Usage`], naming the flag.
    pub fn validate(&self) -> Result<()> {
        let OptimizerConfig { momentum, alpha, beta1, beta2, eps, weight_decay, .. } = *self;
        let fractions = [("momentum", momentum), ("alpha", alpha), ("beta1", beta1), ("beta2", beta2)];
        let problem = if let Some((flag, value)) = fractions.iter().find(|(_, x)| !(0.0..1.0).contains(x)) {
            format!("--{flag} {value}: give a number from 0 to below 1")
        } else if !(eps > 0.0 && eps.is_finite()) {
            format!("--eps {eps}: give a small number above 0, such as 1e-8")
        } else if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            format!("--weight-decay {weight_decay}: give a number from 0 upwards, such as 0.01")
        } else {
            return Ok(());
        };
        Err(Error::Usage(problem))
    }
}
