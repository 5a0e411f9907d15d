//! Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000): `i, f, o = sigmoid(a)`,
//! `g = tanh(a)`, `c_t = f c_{t-1} + i g`, `h_t = o tanh(c_t)`.

use alloc::vec::Vec;

use elman_kernels::gates::lstm;
use elman_kernels::step::Precision;

use super::input::{Input, Source, Weights};
use super::layer::{Cell, Layer, Scratch};
use super::product::Product;
use crate::error::{Error, check_length};

/// Gates of the cell.
const GATES: usize = 4;

struct Lstm {
    product: Product,
    peephole: Option<Vec<f32>>,
}

/// Packs the weights; `peephole` `[3, H]`.
///
/// # Errors
/// [`Error::Empty`] and [`Error::Length`].
pub(crate) fn layer(
    source: Source,
    hidden: usize,
    peephole: Option<&[f32]>,
    weights: Weights,
    precision: Precision,
) -> Result<Layer, Error> {
    weights.check(&source, hidden, GATES)?;
    if let Some(peephole) = peephole {
        check_length("peephole", hidden.checked_mul(3), peephole.len())?;
    }
    let product = Product::new(precision, &source, &weights, hidden, 0..GATES, 0..GATES);
    Ok(Layer::new(source.kind(), hidden, Lstm { product, peephole: peephole.map(<[f32]>::to_vec) }))
}

impl Cell for Lstm {
    fn states(&self) -> usize {
        2
    }

    fn reserve(&self, scratch: &mut Scratch, rows: usize, _: usize) {
        scratch.reserve(&self.product, rows);
    }

    fn step(&self, input: Input, prev: &[f32], next: &mut [f32], scratch: &mut Scratch, backwards: bool) {
        let (start, x) = self.product.start(input);
        let states = next.len() / 2;
        let (h, c) = next.split_at_mut(states);
        let (peephole, rounded) = (self.peephole.as_deref(), &mut scratch.rounded);
        lstm::step(&self.product.panels, peephole, start, x, prev.split_at(states), (h, c), rounded, backwards);
    }
}
