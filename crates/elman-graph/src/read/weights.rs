//! Weights of recurrent layers brought to the one order that [`RecurrentWeights`] has.

use crate::builder::RecurrentWeights;
use crate::error::{Error, Result};
use crate::graph::Activation;
use crate::tensor::Tensor;

use super::tensors::{blocks, joined, stacked};

/// Gates of an LSTM as PyTorch, Keras, NAM and RTNeural have them, `i f g o`, to `i o f g`.
pub(crate) const LSTM_IFGO: &[usize] = &[0, 3, 1, 2];
/// Gates of a GRU as PyTorch has them, `r z n`, to `z r n`.
pub(crate) const GRU_RZN: &[usize] = &[1, 0, 2];
/// Gates of a GRU as Keras and ONNX have them, `z r h`.
pub(crate) const GRU_ZRH: &[usize] = &[0, 1, 2];
/// The one gate of a plain cell.
pub(crate) const ONE: &[usize] = &[0];

/// One direction of a recurrent layer, gates in rows.
#[derive(Debug)]
pub(crate) struct Rows {
    /// `[G*H, I]`.
    pub(crate) w: Tensor,
    /// `[G*H, O]`.
    pub(crate) r: Tensor,
    /// `[G*H]`, added to the input's part.
    pub(crate) b_in: Option<Tensor>,
    /// `[G*H]`, added to the state's part.
    pub(crate) b_rec: Option<Tensor>,
    /// `[P, H]`.
    pub(crate) projection: Option<Tensor>,
}

/// Both directions, or one, with their gates in ONNX's order: `order[i]` is where gate `i` of it stands in the file.
///
/// # Errors
/// If dimensions do not fit.
pub(crate) fn recurrent(layer: &str, directions: Vec<Rows>, order: &[usize]) -> Result<RecurrentWeights> {
    let (mut w, mut r, mut b, mut projections) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for rows in directions {
        let len = rows.w.dims().first().copied().unwrap_or(0);
        w.push(blocks(layer, &rows.w, order)?);
        r.push(blocks(layer, &rows.r, order)?);
        if rows.b_in.is_some() || rows.b_rec.is_some() {
            // A bias that the file lacks is zero.
            let part = |bias: Option<Tensor>| match bias {
                Some(bias) => blocks(layer, &bias, order),
                None => Tensor::zeros([len]),
            };
            b.push(joined(&[&part(rows.b_in)?, &part(rows.b_rec)?])?);
        } else {
            b.push(Tensor::zeros([2 * len])?);
        }
        projections.extend(rows.projection);
    }
    let mut weights = RecurrentWeights::new(stacked(layer, &w)?, stacked(layer, &r)?);
    if b.iter().any(|bias| bias.to_f32().iter().any(|&x| x != 0.0)) {
        weights.b = Some(stacked(layer, &b)?);
    }
    if !projections.is_empty() {
        weights.projection = Some(stacked(layer, &projections)?);
    }
    Ok(weights)
}

/// A pointwise function by the name that PyTorch, Keras and RTNeural share; `None` for the identity. `hard_sigmoid` is not
/// among them: its definition depends on the format.
pub(crate) fn activation(name: &str) -> Option<Option<Activation>> {
    Some(Some(match name {
        "" | "linear" | "none" | "identity" => return Some(None),
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "relu" => Activation::Relu,
        "elu" => Activation::Elu { alpha: 1.0 },
        // Klambauer et al. 2017.
        "selu" => Activation::Selu { alpha: 1.673_263_2, gamma: 1.050_701 },
        "softplus" => Activation::Softplus,
        "softsign" => Activation::Softsign,
        "exponential" => Activation::Exp,
        "swish" | "silu" => Activation::Swish,
        "gelu" => Activation::Gelu { tanh: false },
        _ => return None,
    }))
}

/// A kernel `[I, G*H]` of a CuDNN layer as rows `[G*H, I]`: each gate's block `[I, H]`, read row by row, is already `[H, I]`.
/// (A recurrent block, which Keras transposes instead, comes to the same.)
pub(crate) fn cudnn_rows(kernel: &Tensor, gates: usize) -> Result<Tensor> {
    let &[inputs, columns] = kernel.dims() else {
        return Err(Error::dimensions("a kernel", kernel.dims(), &[0, 0]));
    };
    let (values, units) = (kernel.to_f32(), columns / gates);
    let mut moved = Vec::with_capacity(values.len());
    for gate in 0..gates {
        for row in 0..inputs {
            moved.extend_from_slice(&values[row * columns + gate * units..][..units]);
        }
    }
    Tensor::from_f32([columns, inputs], moved)
}
