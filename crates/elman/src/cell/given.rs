//! The weights that a pass multiplies by: packed for the kernels, or as they lie, where too few rows pass for packing to pay.

use std::ops::Range;

use elman_kernels::{Mat, MatMut, Operands, Scalar, Scratch, Start, gemm, gemm_rows, gemm_unpacked, rows};

use super::prepared::Prepared;

/// A cell's weights as they lie, row-major, gates in the cell's order. The input is dense.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a, F> {
    /// `[gH, I]`.
    pub w_ih: &'a [F],
    /// `[gH, H]`.
    pub w_hh: &'a [F],
    /// `[gH]`; none is zeros.
    pub b_ih: Option<&'a [F]>,
    /// `[gH]`; none is zeros.
    pub b_hh: Option<&'a [F]>,
    /// `[3H]`, of an LSTM that has them.
    pub peephole: Option<&'a [F]>,
}

impl<'a, F: Scalar> Plain<'a, F> {
    /// The rows of some gates in `W_hh`.
    fn recurrent(&self, gates: Range<usize>, hidden: usize) -> Mat<'a, F> {
        let gate = hidden * hidden;
        Mat::new(&self.w_hh[gates.start * gate..gates.end * gate], gates.len() * hidden, hidden)
    }

    /// The bias of the input product `[width]`, with what `b_hh` adds to its first `shared` elements.
    pub(super) fn bias(&self, width: usize, shared: usize, to: &mut Vec<F>) {
        to.clear();
        to.extend_from_slice(self.b_ih.unwrap_or(&[]));
        to.resize(width, F::ZERO);
        if let Some(b_hh) = self.b_hh {
            rows::add(&b_hh[..shared], &mut to[..shared]);
        }
    }
}

/// What a cell is given to multiply by.
#[derive(Clone, Copy)]
pub enum Given<'a, F> {
    /// For many rows.
    Packed(&'a Prepared<F>),
    /// For few, all those of a batch: the gradients of the matrices are written, not added to what is there.
    Plain(Plain<'a, F>),
}

impl<'a, F> From<&'a Prepared<F>> for Given<'a, F> {
    fn from(prepared: &'a Prepared<F>) -> Self {
        Given::Packed(prepared)
    }
}

impl<'a, F: Scalar> Given<'a, F> {
    /// Precision of the operands of all products.
    pub(super) fn operands(&self) -> Operands {
        match self {
            Given::Packed(prepared) => prepared.operands(),
            Given::Plain(_) => Operands::Exact,
        }
    }

    /// What the gradients of the matrices begin with.
    pub(super) fn gradient_start(&self) -> Start<'static, F> {
        match self {
            Given::Packed(_) => Start::Add,
            Given::Plain(_) => Start::Zero,
        }
    }

    /// `[3H]`, or none.
    pub(super) fn peephole(&self) -> Option<&'a [F]> {
        match *self {
            Given::Packed(prepared) => Some(&prepared.peephole[..]).filter(|peephole| !peephole.is_empty()),
            Given::Plain(plain) => plain.peephole,
        }
    }

    /// `to = start + h W^T`, with the rows of some gates in `W_hh`: of packed weights all gates of one matrix.
    pub(super) fn recurrent(&self, gates: Range<usize>, h: Mat<F>, to: MatMut<F>, start: Start<F>) {
        match self {
            Given::Packed(prepared) => {
                gemm(h, if gates.start == 2 { &prepared.w_hn } else { &prepared.w_hh }, to, start)
            }
            Given::Plain(plain) => gemm_rows(h, plain.recurrent(gates, h.cols()), to, start),
        }
    }

    /// `to = start + da W`, the gradient of the previous state, with the rows of some gates as in [`Self::recurrent`].
    pub(super) fn recurrent_back(
        &self,
        gates: Range<usize>,
        da: Mat<F>,
        to: MatMut<F>,
        start: Start<F>,
        scratch: &mut Scratch<F>,
    ) {
        match self {
            Given::Packed(prepared) => {
                gemm(da, if gates.start == 2 { &prepared.w_hn_back } else { &prepared.w_hh_back }, to, start);
            }
            Given::Plain(plain) => gemm_unpacked(da, plain.recurrent(gates, to.cols()), to, start, scratch),
        }
    }

    /// `to = start + da W_ih`, the gradient of a dense input.
    pub(super) fn input_back(&self, da: Mat<F>, to: MatMut<F>, start: Start<F>, scratch: &mut Scratch<F>) {
        match self {
            Given::Packed(prepared) => gemm(da, &prepared.input.w_ih_back, to, start),
            Given::Plain(plain) => gemm_unpacked(da, Mat::new(plain.w_ih, da.cols(), to.cols()), to, start, scratch),
        }
    }
}
