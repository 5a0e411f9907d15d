//! The two products of some gates, `W_ih x + W_hh h`, and their initial value.

use alloc::vec::Vec;
use core::ops::Range;

use elman_kernels::step::{Panels, Precision, Start};
use elman_kernels::{Mat, MatMut, Packed, gemm};

use super::input::{Input, Source, Weights};

/// Some gates of a layer, packed.
pub(super) struct Product {
    pub(super) panels: Panels,
    /// The bias `[gH]`, or for tokens the table `[V, gH]` of their input products with the bias.
    start: Vec<f32>,
}

impl Product {
    /// Packs the gates `gates` of the weights. The bias is `b_ih` plus, for the gates `shared`, `b_hh`.
    pub(super) fn new(
        precision: Precision,
        source: &Source,
        weights: &Weights,
        hidden: usize,
        gates: Range<usize>,
        shared: Range<usize>,
    ) -> Self {
        let inputs = source.width();
        let rows = gates.start * hidden..gates.end * hidden;
        let w_ih = Mat::new(&weights.w_ih[rows.start * inputs..rows.end * inputs], rows.len(), inputs);
        let w_hh = Mat::new(&weights.w_hh[rows.start * hidden..rows.end * hidden], rows.len(), hidden);
        let bias: Vec<f32> = rows
            .clone()
            .map(|row| weights.b_ih[row] + if shared.contains(&(row / hidden)) { weights.b_hh[row] } else { 0.0 })
            .collect();
        let (w_in, start) = match *source {
            Source::Dense(_) => (w_ih, bias),
            Source::Tokens(vocab) => {
                let w_ih = &weights.w_ih[rows.start * inputs..rows.end * inputs];
                let table = |token: usize| bias.iter().enumerate().map(move |(r, b)| b + w_ih[r * inputs + token]);
                (Mat::new(&[], rows.len(), 0), (0..vocab).flat_map(table).collect())
            }
            Source::Embedded { vocab, width, embedding } => {
                let mut table = alloc::vec![0.0; vocab * rows.len()];
                let mut packed = Packed::new();
                packed.pack(w_ih.t());
                gemm(
                    Mat::new(embedding, vocab, width),
                    &packed,
                    MatMut::new(&mut table, vocab, rows.len()),
                    elman_kernels::Start::Bias(&bias),
                );
                (Mat::new(&[], rows.len(), 0), table)
            }
        };
        Product { panels: Panels::new(precision, gates.len(), w_in, w_hh), start }
    }

    /// The initial value of a step, and the dense part of its input.
    pub(super) fn start<'a>(&'a self, input: Input<'a>) -> (Start<'a>, &'a [f32]) {
        match input {
            Input::Dense(x) => (Start::Bias(&self.start), x),
            Input::Tokens(tokens) => (Start::Table(&self.start, tokens), &[]),
        }
    }
}
