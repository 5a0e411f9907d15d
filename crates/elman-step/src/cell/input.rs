//! The input of a cell, and its weights.

use crate::error::{Error, check_length};

/// The kind of input at each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum InputKind {
    /// Vectors of this width, `I`.
    Dense(usize),
    /// Tokens below this number, `V`.
    Tokens(usize),
}

/// The input of a cell at each step.
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

    pub(super) fn kind(&self) -> InputKind {
        match *self {
            Source::Dense(width) => InputKind::Dense(width),
            Source::Tokens(vocab) | Source::Embedded { vocab, .. } => InputKind::Tokens(vocab),
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

/// The weights of a cell with `g` gates, with PyTorch's names and order of gates (LSTM `i, f, g, o`; GRU `r, z, n`).
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
    pub(super) fn check(&self, source: &Source, hidden: usize, gates: usize) -> Result<(), Error> {
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
