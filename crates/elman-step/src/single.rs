//! A single cell with its weights and its state: the blog's `rnn`, whose API is `y = rnn.step(x)`.

use elman_kernels::gates::rnn::Nonlinearity;
use elman_kernels::step::Precision;

use crate::cell::gru::{self, Reset};
use crate::cell::input::{Input, InputKind, Source, Weights};
use crate::cell::{lstm, rnn};
use crate::error::Error;
use crate::stack::Layers;

/// The methods of every cell: one layer and its state.
macro_rules! face {
    ($cell:ident, $state:literal) => {
        impl $cell {
            /// One step: from `x` `[I]` to `h` `[H]`. Allocates nothing.
            ///
            /// # Panics
            /// If `x` does not have the input's width, or the cell reads tokens.
            pub fn step(&mut self, x: &[f32]) -> &[f32] {
                self.layers.step(Input::Dense(x))
            }

            /// One step from a token: the cell reads its recurrent weights and one row of a table.
            ///
            /// # Panics
            /// If the token is outside the vocabulary, or the cell reads vectors.
            pub fn step_token(&mut self, token: u32) -> &[f32] {
                self.layers.step(Input::Tokens(&[token]))
            }

            /// Sets the state to zero.
            pub fn reset(&mut self) {
                self.layers.reset();
            }

            #[doc = concat!("The state: ", $state, ".")]
            pub fn state(&self) -> &[f32] {
                self.layers.state()
            }

            /// Restores a state that [`Self::state`] returned.
            ///
            /// # Panics
            /// If it has a different length.
            pub fn set_state(&mut self, state: &[f32]) {
                self.layers.set_state(state);
            }

            /// The kind of input.
            pub fn input(&self) -> InputKind {
                self.layers.input()
            }

            /// `H`, the width of the output.
            pub fn hidden(&self) -> usize {
                self.layers.width()
            }
        }

        impl From<$cell> for Layers {
            fn from(cell: $cell) -> Self {
                cell.layers
            }
        }
    };
}

/// A simple recurrent network with its state: Karpathy's `rnn`, whose API is `y = rnn.step(x)`.
///
/// ```
/// use elman_step::{Nonlinearity, Precision, Rnn, Source, Weights};
///
/// // Two hidden units; the first copies the input, the second the first, one step later.
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
    /// Packs the weights; the state is zero.
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
        Ok(Rnn { layers: Layers::one(rnn::layer(source, hidden, nonlinearity, weights, precision)?) })
    }
}

face!(Rnn, "`h` `[H]`");

/// A gated recurrent unit with its state.
#[derive(Clone)]
pub struct Gru {
    layers: Layers,
}

impl Gru {
    /// Packs the weights; the state is zero.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn new(
        source: Source,
        hidden: usize,
        reset: Reset,
        weights: Weights,
        precision: Precision,
    ) -> Result<Self, Error> {
        Ok(Gru { layers: Layers::one(gru::layer(source, hidden, reset, weights, precision)?) })
    }
}

face!(Gru, "`h` `[H]`");

/// A long short-term memory with its state.
#[derive(Clone)]
pub struct Lstm {
    layers: Layers,
}

impl Lstm {
    /// Packs the weights; the state is zero. With `peephole` `[3, H]` (Gers & Schmidhuber 2000), `a_i += p_i c_{t-1}`,
    /// `a_f += p_f c_{t-1}`, `a_o += p_o c_t`.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Length`].
    pub fn new(
        source: Source,
        hidden: usize,
        peephole: Option<&[f32]>,
        weights: Weights,
        precision: Precision,
    ) -> Result<Self, Error> {
        Ok(Lstm { layers: Layers::one(lstm::layer(source, hidden, peephole, weights, precision)?) })
    }
}

face!(Lstm, "`h` `[H]`, then `c` `[H]`");
