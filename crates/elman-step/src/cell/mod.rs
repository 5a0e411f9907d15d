//! The cells' weights, arranged for steps, and one step of each.

mod gru;
mod lstm;
mod product;
mod rnn;

pub use gru::{Gru, Reset};
pub use lstm::Lstm;
pub use rnn::Rnn;

use alloc::vec::Vec;

use elman_kernels::step;

use crate::error::{Error, check_length};

/// What a cell reads at each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source<'a> {
    /// Vectors of this width, `I`.
    Dense(usize),
    /// Tokens below `V`: one-hot vectors, `I = V`.
    Tokens(usize),
    /// Tokens below `V` through an embedding: `I = E`.
    Embedded {
        /// `V`.
        vocab: usize,
        /// `E`.
        width: usize,
        /// `[V, E]`.
        embedding: &'a [f32],
    },
}

impl Source<'_> {
    /// `I`, the columns of `W_ih`.
    pub fn width(&self) -> usize {
        match *self {
            Source::Dense(width) | Source::Tokens(width) | Source::Embedded { width, .. } => width,
        }
    }

    fn feed(&self) -> Feed {
        match *self {
            Source::Dense(width) => Feed::Dense(width),
            Source::Tokens(vocab) | Source::Embedded { vocab, .. } => Feed::Tokens(vocab),
        }
    }

    fn check(&self) -> Result<(), Error> {
        match *self {
            Source::Dense(0) => Err(Error::Empty { what: "the width of the input" }),
            Source::Tokens(0) | Source::Embedded { vocab: 0, .. } => Err(Error::Empty { what: "the vocabulary" }),
            Source::Embedded { width: 0, .. } => Err(Error::Empty { what: "the width of the embedding" }),
            Source::Embedded { vocab, width, embedding } => {
                check_length("the embedding", vocab.checked_mul(width), embedding.len())
            }
            _ => Ok(()),
        }
    }
}

/// What stands at the input of each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Feed {
    /// Vectors of this width.
    Dense(usize),
    /// Tokens below this number.
    Tokens(usize),
}

/// The weights of a cell with `g` gates, in PyTorch's names and order of gates (LSTM `i, f, g, o`; GRU `r, z, n`).
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// `[gH, I]`.
    pub w_ih: &'a [f32],
    /// `[gH, H]`.
    pub w_hh: &'a [f32],
    /// `[gH]`.
    pub b_ih: &'a [f32],
    /// `[gH]`.
    pub b_hh: &'a [f32],
}

impl Weights<'_> {
    fn check(&self, source: &Source, hidden: usize, gates: usize) -> Result<(), Error> {
        source.check()?;
        if hidden == 0 {
            return Err(Error::Empty { what: "the hidden size" });
        }
        let rows = gates.checked_mul(hidden);
        let of = |width: usize| rows.and_then(|rows| rows.checked_mul(width));
        check_length("w_ih", of(source.width()), self.w_ih.len())?;
        check_length("w_hh", of(hidden), self.w_hh.len())?;
        check_length("b_ih", rows, self.b_ih.len())?;
        check_length("b_hh", rows, self.b_hh.len())
    }
}

/// The input of a step of `B` rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// `[B, I]`.
    Dense(&'a [f32]),
    /// `[B]`.
    Tokens(&'a [u32]),
}

/// Working memory of a step.
#[derive(Clone, Default)]
pub(crate) struct Scratch {
    rounded: step::Scratch,
    /// What a GRU that resets before the product keeps between its halves, `[B, H]`: `r h_{t-1}` and `z`.
    s: Vec<f32>,
    z: Vec<f32>,
}

impl Scratch {
    /// Makes room for a layer.
    pub(crate) fn reserve(&mut self, layer: &Layer, rows: usize) {
        let mut reserve = |product: &product::Product| self.rounded.reserve(&product.panels, rows);
        match &layer.kind {
            Kind::Rnn(rnn) => reserve(&rnn.product),
            Kind::Lstm(lstm) => reserve(&lstm.product),
            Kind::Gru(gru::Layer::After { product, .. }) => reserve(product),
            Kind::Gru(gru::Layer::Before { r_z, n }) => {
                reserve(r_z);
                reserve(n);
                let len = self.s.len().max(rows * layer.hidden);
                self.s.resize(len, 0.0);
                self.z.resize(len, 0.0);
            }
        }
    }
}

/// A layer of any cell: weights, no state.
pub(crate) struct Layer {
    pub(crate) feed: Feed,
    pub(crate) hidden: usize,
    kind: Kind,
}

enum Kind {
    Rnn(rnn::Layer),
    Gru(gru::Layer),
    Lstm(lstm::Layer),
}

impl Layer {
    /// Values of one row's state: `h`, and `c` of an LSTM.
    pub(crate) fn state_width(&self) -> usize {
        match self.kind {
            Kind::Lstm(_) => 2 * self.hidden,
            _ => self.hidden,
        }
    }

    /// One step of `B` rows: `prev` and `next` hold `h` `[B, H]`, then `c` `[B, H]` of an LSTM. `backwards`: see
    /// [`elman_kernels::step`].
    pub(crate) fn step(&self, input: Input, prev: &[f32], next: &mut [f32], scratch: &mut Scratch, backwards: bool) {
        match &self.kind {
            Kind::Rnn(rnn) => rnn.step(input, prev, next, &mut scratch.rounded, backwards),
            Kind::Gru(gru) => gru.step(input, prev, next, scratch, backwards),
            Kind::Lstm(lstm) => lstm.step(input, prev, next, &mut scratch.rounded, backwards),
        }
    }
}

/// Gives a cell its public face: it is one layer and its state.
macro_rules! cell {
    ($cell:ident, $state:literal) => {
        impl $cell {
            /// One step: from `x` `[I]` to `h` `[H]`. Allocates nothing.
            ///
            /// # Panics
            /// If `x` has not the width of the input, or the cell reads tokens.
            pub fn step(&mut self, x: &[f32]) -> &[f32] {
                self.layers.step($crate::cell::Input::Dense(x))
            }

            /// One step from a token: the cell reads its recurrent weights and one row of a table.
            ///
            /// # Panics
            /// If the token is outside the vocabulary, or the cell reads vectors.
            pub fn step_token(&mut self, token: u32) -> &[f32] {
                self.layers.step($crate::cell::Input::Tokens(&[token]))
            }

            /// Sets the state to zero.
            pub fn reset(&mut self) {
                self.layers.reset();
            }

            #[doc = concat!("The state: ", $state, ".")]
            pub fn state(&self) -> &[f32] {
                self.layers.state()
            }

            /// Goes on from a state that [`Self::state`] returned.
            ///
            /// # Panics
            /// If it has another length.
            pub fn set_state(&mut self, state: &[f32]) {
                self.layers.set_state(state);
            }

            /// What it reads.
            pub fn feed(&self) -> $crate::cell::Feed {
                self.layers.feed()
            }

            /// `H`, the width of what it returns.
            pub fn hidden(&self) -> usize {
                self.layers.width()
            }
        }

        impl From<$cell> for $crate::stack::Layers {
            fn from(cell: $cell) -> Self {
                cell.layers
            }
        }
    };
}
use cell;
