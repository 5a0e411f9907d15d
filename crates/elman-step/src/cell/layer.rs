//! A layer of any cell: packed weights, no state.

use alloc::boxed::Box;
use alloc::vec::Vec;

use elman_kernels::step;

use super::input::{Input, InputKind};
use super::product::Product;

/// The packed weights of one layer and their step.
pub(super) trait Cell: Send + Sync {
    /// State vectors of `H` values: 1 for `h`, 2 for `h` and `c`.
    fn states(&self) -> usize {
        1
    }

    /// Allocates for steps of `rows` rows of `hidden` units.
    fn reserve(&self, scratch: &mut Scratch, rows: usize, hidden: usize);

    /// One step of `B` rows: `prev` and `next` hold `h` `[B, H]`, then `c` `[B, H]` if the cell has one. `backwards`:
    /// see [`elman_kernels::step`].
    fn step(&self, input: Input, prev: &[f32], next: &mut [f32], scratch: &mut Scratch, backwards: bool);
}

/// Working memory of a step.
#[derive(Clone, Default)]
pub(crate) struct Scratch {
    pub(super) rounded: step::Scratch,
    /// Of a reset-before GRU, kept between the halves of its step, `[B, H]`: `r h_{t-1}` and `z`.
    pub(super) s: Vec<f32>,
    pub(super) z: Vec<f32>,
}

impl Scratch {
    /// Allocates for the products of `rows` rows.
    pub(super) fn reserve(&mut self, product: &Product, rows: usize) {
        self.rounded.reserve(&product.panels, rows);
    }
}

/// A layer of any cell.
pub(crate) struct Layer {
    pub(crate) input: InputKind,
    pub(crate) hidden: usize,
    cell: Box<dyn Cell>,
}

impl Layer {
    pub(super) fn new(input: InputKind, hidden: usize, cell: impl Cell + 'static) -> Self {
        Layer { input, hidden, cell: Box::new(cell) }
    }

    /// Values of one row's state: `h`, and `c` of an LSTM.
    pub(crate) fn state_width(&self) -> usize {
        self.cell.states() * self.hidden
    }

    /// Allocates for steps of `rows` rows.
    pub(crate) fn reserve(&self, scratch: &mut Scratch, rows: usize) {
        self.cell.reserve(scratch, rows, self.hidden);
    }

    /// One step of `B` rows: `prev` and `next` hold `h` `[B, H]`, then `c` `[B, H]` of an LSTM. `backwards`: see
    /// [`elman_kernels::step`].
    pub(crate) fn step(&self, input: Input, prev: &[f32], next: &mut [f32], scratch: &mut Scratch, backwards: bool) {
        self.cell.step(input, prev, next, scratch, backwards);
    }
}
