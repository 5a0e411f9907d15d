//! The state carried from one step to the next.

use elman_kernels::Scalar;

/// The state of `B` sequences between two steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State<F> {
    /// Hidden state `[B, H]`.
    pub h: Vec<F>,
    /// Cell state `[B, H]` of an LSTM; empty for other cells.
    pub c: Vec<F>,
}

impl<F: Scalar> State<F> {
    /// The zero state.
    pub fn zeros(batch: usize, hidden: usize, has_c: bool) -> Self {
        State { h: vec![F::ZERO; batch * hidden], c: vec![F::ZERO; if has_c { batch * hidden } else { 0 }] }
    }

    /// Sets it to zero.
    pub fn zero(&mut self) {
        self.h.fill(F::ZERO);
        self.c.fill(F::ZERO);
    }
}
