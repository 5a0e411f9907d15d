//! Elman's simple recurrent network: `h_t = tanh(W_xh x_t + W_hh h_{t-1} + b)`, or with `relu`.

use elman_kernels::gates::rnn::{self, Nonlinearity};
use elman_kernels::step::{self, Precision};

use super::product::Product;
use super::{Input, Kind, Source, Weights, cell};
use crate::error::Error;
use crate::stack::Layers;

/// A simple recurrent network with its state: Karpathy's `rnn`, whose API is `y = rnn.step(x)`.
///
/// ```
/// use elman_step::{Nonlinearity, Precision, Rnn, Source, Weights};
///
/// // Two hidden units; the first follows the input, the second the first, one step late.
/// let weights = Weights { w_ih: &[1.0, 0.0], w_hh: &[0.0, 0.0, 1.0, 0.0], b_ih: &[0.0; 2], b_hh: &[0.0; 2] };
/// let mut rnn = Rnn::new(Source::Dense(1), 2, Nonlinearity::Relu, weights, Precision::F32)?;
/// assert_eq!(rnn.step(&[3.0]), [3.0, 0.0]);
/// assert_eq!(rnn.step(&[5.0]), [5.0, 3.0]);
/// # Ok::<(), elman_step::Error>(())
/// ```
#[derive(Clone)]
pub struct Rnn {
    layers: Layers,
}

impl Rnn {
    /// Arranges the weights; the state is zero.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn new(
        source: Source,
        hidden: usize,
        nonlinearity: Nonlinearity,
        weights: Weights,
        precision: Precision,
    ) -> Result<Self, Error> {
        weights.check(&source, hidden, 1)?;
        let product = Product::new(precision, &source, &weights, hidden, 0..1, 0..1);
        let kind = Kind::Rnn(Layer { nonlinearity, product });
        Ok(Rnn { layers: Layers::one(super::Layer { feed: source.feed(), hidden, kind }) })
    }
}

cell!(Rnn, "`h` `[H]`");

pub(super) struct Layer {
    nonlinearity: Nonlinearity,
    pub(super) product: Product,
}

impl Layer {
    pub(super) fn step(
        &self,
        input: Input,
        h_prev: &[f32],
        h: &mut [f32],
        rounded: &mut step::Scratch,
        backwards: bool,
    ) {
        let (start, x) = self.product.start(input);
        rnn::step(&self.product.panels, self.nonlinearity, start, x, h_prev, h, rounded, backwards);
    }
}
