//! Gated recurrent unit (Cho et al. 2014): `r, z = sigmoid(a)`, `h_t = (1 - z) n + z h_{t-1}`.

use alloc::vec::Vec;

use elman_kernels::gates::gru;
use elman_kernels::step::Precision;

use super::input::{Input, Source, Weights};
use super::layer::{Cell, Layer, Scratch};
use super::product::Product;
use crate::error::Error;

/// Gates of the cell.
const GATES: usize = 3;

/// Where the reset gate acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// On the recurrent product, as in PyTorch: `n = tanh(a_n + r (W_hn h_{t-1} + b_hn))`.
    After,
    /// On the state before the product, as in Cho et al. 2014: `n = tanh(a_n + W_hn (r h_{t-1}) + b_hn)`.
    Before,
}

enum Gru {
    After { product: Product, b_hn: Vec<f32> },
    Before { r_z: Product, n: Product },
}

/// Packs the weights.
///
/// # Errors
/// [`Error::Empty`] and [`Error::Length`].
pub(crate) fn layer(
    source: Source,
    hidden: usize,
    reset: Reset,
    weights: Weights,
    precision: Precision,
) -> Result<Layer, Error> {
    weights.check(&source, hidden, GATES)?;
    let product = |gates, shared| Product::new(precision, &source, &weights, hidden, gates, shared);
    let cell = match reset {
        Reset::After => Gru::After { product: product(0..3, 0..2), b_hn: weights.b_hh[2 * hidden..].to_vec() },
        Reset::Before => Gru::Before { r_z: product(0..2, 0..3), n: product(2..3, 0..3) },
    };
    Ok(Layer::new(source.kind(), hidden, cell))
}

impl Cell for Gru {
    fn reserve(&self, scratch: &mut Scratch, rows: usize, hidden: usize) {
        match self {
            Gru::After { product, .. } => scratch.reserve(product, rows),
            Gru::Before { r_z, n } => {
                scratch.reserve(r_z, rows);
                scratch.reserve(n, rows);
                let len = scratch.s.len().max(rows * hidden);
                scratch.s.resize(len, 0.0);
                scratch.z.resize(len, 0.0);
            }
        }
    }

    fn step(&self, input: Input, h_prev: &[f32], h: &mut [f32], scratch: &mut Scratch, backwards: bool) {
        let rounded = &mut scratch.rounded;
        match self {
            Gru::After { product, b_hn } => {
                let (start, x) = product.start(input);
                gru::step(&product.panels, b_hn, start, x, h_prev, h, rounded, backwards);
            }
            Gru::Before { r_z, n } => {
                let (s, z) = (&mut scratch.s[..h.len()], &mut scratch.z[..h.len()]);
                let (start, x) = r_z.start(input);
                gru::reset_step(&r_z.panels, start, x, h_prev, s, z, rounded, backwards);
                let (start, x) = n.start(input);
                gru::update_step(&n.panels, start, x, s, z, h_prev, h, rounded, backwards);
            }
        }
    }
}
