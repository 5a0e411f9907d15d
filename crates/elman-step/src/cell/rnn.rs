//! Elman's simple recurrent network: `h_t = tanh(W_xh x_t + W_hh h_{t-1} + b)`, or with `relu`.

use elman_kernels::gates::rnn::{self, Nonlinearity};
use elman_kernels::step::Precision;

use super::input::{Input, Source, Weights};
use super::layer::{Cell, Layer, Scratch};
use super::product::Product;
use crate::error::Error;

struct Rnn {
    nonlinearity: Nonlinearity,
    product: Product,
}

/// Packs the weights.
///
/// # Errors
/// [`Error::Empty`] and [`Error::Length`].
pub(crate) fn layer(
    source: Source,
    hidden: usize,
    nonlinearity: Nonlinearity,
    weights: Weights,
    precision: Precision,
) -> Result<Layer, Error> {
    weights.check(&source, hidden, 1)?;
    let product = Product::new(precision, &source, &weights, hidden, 0..1, 0..1);
    Ok(Layer::new(source.kind(), hidden, Rnn { nonlinearity, product }))
}

impl Cell for Rnn {
    fn reserve(&self, scratch: &mut Scratch, rows: usize, _: usize) {
        scratch.reserve(&self.product, rows);
    }

    fn step(&self, input: Input, h_prev: &[f32], h: &mut [f32], scratch: &mut Scratch, backwards: bool) {
        let (start, x) = self.product.start(input);
        let rounded = &mut scratch.rounded;
        rnn::step(&self.product.panels, self.nonlinearity, start, x, h_prev, h, rounded, backwards);
    }
}
