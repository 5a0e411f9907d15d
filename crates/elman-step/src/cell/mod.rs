//! The cells: the one place in this crate that lists them. Each has its own file.

pub(crate) mod gru;
pub(crate) mod input;
pub(crate) mod layer;
pub(crate) mod lstm;
mod product;
pub(crate) mod rnn;

use alloc::string::ToString;
use alloc::vec::Vec;

use elman_kernels::gates::rnn::Nonlinearity;
use elman_kernels::step::Precision;
use serde::{Deserialize, Serialize};

use crate::model::ModelError;

/// The cells, as the setting `cell` and model files name them.
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
    /// Every cell.
    pub const ALL: [CellKind; 6] = [
        CellKind::Lstm,
        CellKind::LstmPeephole,
        CellKind::Gru,
        CellKind::GruResetBefore,
        CellKind::RnnTanh,
        CellKind::RnnRelu,
    ];

    /// The name in files and settings.
    pub fn name(self) -> &'static str {
        match self {
            CellKind::Lstm => "lstm",
            CellKind::LstmPeephole => "lstm-peephole",
            CellKind::Gru => "gru",
            CellKind::GruResetBefore => "gru-reset-before",
            CellKind::RnnTanh => "rnn-tanh",
            CellKind::RnnRelu => "rnn-relu",
        }
    }

    /// `g`: the gates, each with its `H` rows in the weights.
    pub fn gates(self) -> usize {
        match self {
            CellKind::Lstm | CellKind::LstmPeephole => 4,
            CellKind::Gru | CellKind::GruResetBefore => 3,
            CellKind::RnnTanh | CellKind::RnnRelu => 1,
        }
    }

    /// Whether the state also has a cell state `c`.
    pub fn has_c(self) -> bool {
        matches!(self, CellKind::Lstm | CellKind::LstmPeephole)
    }

    /// A layer of this cell; `tensor` returns the tensor of a PyTorch name and dimensions.
    ///
    /// # Errors
    /// Any error of `tensor`; [`ModelError::Config`] if a size is 0 or too large.
    pub(crate) fn layer(
        self,
        source: input::Source,
        hidden: usize,
        precision: Precision,
        tensor: impl Fn(&str, &[usize]) -> Result<Vec<f32>, ModelError>,
    ) -> Result<layer::Layer, ModelError> {
        let refuse = |reason: &dyn ToString| ModelError::Config { reason: reason.to_string() };
        let rows = self.gates().checked_mul(hidden).ok_or_else(|| refuse(&"`hidden` is too large"))?;
        let (w_ih, w_hh) = (tensor("weight_ih", &[rows, source.width()])?, tensor("weight_hh", &[rows, hidden])?);
        let (b_ih, b_hh) = (tensor("bias_ih", &[rows])?, tensor("bias_hh", &[rows])?);
        let weights = input::Weights { w_ih: &w_ih, w_hh: &w_hh, b_ih: &b_ih, b_hh: &b_hh };
        let layer = match self {
            CellKind::Lstm => lstm::layer(source, hidden, None, weights, precision),
            CellKind::LstmPeephole => {
                let peephole = tensor("weight_peephole", &[3, hidden])?;
                lstm::layer(source, hidden, Some(&peephole), weights, precision)
            }
            CellKind::Gru => gru::layer(source, hidden, gru::Reset::After, weights, precision),
            CellKind::GruResetBefore => gru::layer(source, hidden, gru::Reset::Before, weights, precision),
            CellKind::RnnTanh => rnn::layer(source, hidden, Nonlinearity::Tanh, weights, precision),
            CellKind::RnnRelu => rnn::layer(source, hidden, Nonlinearity::Relu, weights, precision),
        };
        layer.map_err(|error| refuse(&error))
    }
}
