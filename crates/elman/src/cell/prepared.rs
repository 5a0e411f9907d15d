//! The weights of a cell, packed once per optimizer step.

use elman_kernels::{Operands, Packed, Scalar};

/// The weights, packed for the kernels, and tables computed from them.
#[derive(Clone, Default)]
pub struct Prepared<F> {
    pub(super) input: PreparedInput<F>,
    /// `W_hh^T`, gates side by side.
    pub(super) w_hh: Packed<F>,
    /// `W_hh` `[gH, H]` (GRU: the rows of `r` and `z`), for the gradient of the previous state.
    pub(super) w_hh_back: Packed<F>,
    /// GRU: `W_hn^T` (reset-before form), and the rows of `n` in `W_hh`.
    pub(super) w_hn: Packed<F>,
    pub(super) w_hn_back: Packed<F>,
    /// Bias of the input product `[gH]`.
    pub(super) bias: Vec<F>,
    /// GRU: `b_hn` `[H]`, which the reset gate scales.
    pub(super) b_hn: Vec<F>,
    /// Peepholes `[3H]`, or empty.
    pub(super) peephole: Vec<F>,
}

/// Those of the input product.
#[derive(Clone, Default)]
pub(super) struct PreparedInput<F> {
    /// `W_ih^T` `[I, gH]`, for dense input and the token table.
    pub(super) w_ih: Packed<F>,
    /// `W_ih` `[gH, I]`, for the gradient of the input.
    pub(super) w_ih_back: Packed<F>,
    /// For token input: `E W_ih^T + bias` `[V, gH]`.
    pub(super) table: Vec<F>,
}

/// Weights from which on two threads pack them.
const MANY: usize = 1 << 16;

/// Does two things with so many weights each: side by side where a pool of threads runs this and they are many.
pub(crate) fn both(weights: usize, one: impl FnOnce() + Send, other: impl FnOnce() + Send) {
    if weights >= MANY && rayon::current_thread_index().is_some() {
        rayon::join(one, other);
    } else {
        one();
        other();
    }
}

impl<F: Scalar> Prepared<F> {
    /// Precision of the operands of all products prepared from now on.
    pub fn set_operands(&mut self, operands: Operands) {
        let Prepared { input: PreparedInput { w_ih, w_ih_back, .. }, w_hh, w_hh_back, w_hn, w_hn_back, .. } = self;
        for packed in [w_ih, w_ih_back, w_hh, w_hh_back, w_hn, w_hn_back] {
            packed.set_operands(operands);
        }
    }

    pub(super) fn operands(&self) -> Operands {
        self.w_hh.operands()
    }
}
