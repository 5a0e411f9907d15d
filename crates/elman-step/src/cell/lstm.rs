//! Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000): `i, f, o = sigmoid(a)`,
//! `g = tanh(a)`, `c_t = f c_{t-1} + i g`, `h_t = o tanh(c_t)`.

use alloc::vec::Vec;

use elman_kernels::gates::lstm;
use elman_kernels::step::{self, Precision};

use super::product::Product;
use super::{Input, Kind, Source, Weights, cell};
use crate::error::{Error, check_length};
use crate::stack::Layers;

/// Gates of the cell.
const GATES: usize = 4;

/// A long short-term memory with its state.
#[derive(Clone)]
pub struct Lstm {
    layers: Layers,
}

impl Lstm {
    /// Arranges the weights; the state is zero. With `peephole` `[3, H]` (Gers & Schmidhuber 2000), `a_i += p_i c_{t-1}`,
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
        weights.check(&source, hidden, GATES)?;
        if let Some(peephole) = peephole {
            check_length("peephole", hidden.checked_mul(3), peephole.len())?;
        }
        let product = Product::new(precision, &source, &weights, hidden, 0..GATES, 0..GATES);
        let kind = Kind::Lstm(Layer { product, peephole: peephole.map(<[f32]>::to_vec) });
        Ok(Lstm { layers: Layers::one(super::Layer { feed: source.feed(), hidden, kind }) })
    }
}

cell!(Lstm, "`h` `[H]`, then `c` `[H]`");

pub(super) struct Layer {
    pub(super) product: Product,
    peephole: Option<Vec<f32>>,
}

impl Layer {
    pub(super) fn step(
        &self,
        input: Input,
        prev: &[f32],
        next: &mut [f32],
        rounded: &mut step::Scratch,
        backwards: bool,
    ) {
        let (start, x) = self.product.start(input);
        let states = next.len() / 2;
        let (h, c) = next.split_at_mut(states);
        let peephole = self.peephole.as_deref();
        lstm::step(&self.product.panels, peephole, start, x, prev.split_at(states), (h, c), rounded, backwards);
    }
}
