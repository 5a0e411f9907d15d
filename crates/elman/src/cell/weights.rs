//! The input of a cell, and its non-recurrent half: the input product over all steps at once.
//!
//! Dense input is one product `[N, I] x [I, gH]`. Tokens need no one-hot vectors: `E W_ih^T + b` is a table of `V`
//! rows, computed once per optimizer step and gathered; its gradient is a scatter-add into `V` rows, then small
//! products.

use elman_kernels::{Mat, MatMut, Operands, Packed, Scalar, Scratch, Start, gemm, gemm_rows, gemm_unpacked_of, rows};

use super::given::Given;
use super::prepared::{PreparedInput, both};
use crate::param::{Grads, Init, Layout, Params, Slot};
use crate::rng::Rng;

/// The source of a cell's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Vectors of this width, `I`.
    Dense(usize),
    /// Tokens below `V`: one-hot vectors, `I = V`.
    Tokens(usize),
    /// Tokens below `V` through an embedding `[V, E]`: `I = E`.
    Embedded {
        /// `V`.
        vocab: usize,
        /// `E`.
        width: usize,
        /// The embedding matrix.
        slot: Slot,
    },
}

impl Source {
    /// `I`, the columns of `W_ih`.
    pub fn width(self) -> usize {
        match self {
            Source::Dense(width) | Source::Tokens(width) | Source::Embedded { width, .. } => width,
        }
    }
}

/// A batch of input, `N` rows.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a, F> {
    /// `[N, I]`.
    Dense(&'a [F]),
    /// `[N]`.
    Tokens(&'a [u32]),
}

/// Where the gradient of a cell's input goes.
pub enum InputGrad<'a, F> {
    /// Not needed.
    None,
    /// Overwritten.
    Write(&'a mut [F]),
    /// Accumulated.
    Add(&'a mut [F]),
}

/// Working memory of the input's backward pass.
#[derive(Clone, Default)]
pub(super) struct SourceTape<F> {
    /// Gradient of the token table `[V, gH]`.
    dtable: Vec<F>,
    /// Sum of `da` over all rows `[gH]`.
    pub(super) dbias: Vec<F>,
}

/// The offsets and sizes of a cell's weights, named and ordered as PyTorch's.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Source of the input.
    pub source: Source,
    /// `H`.
    pub hidden: usize,
    /// Gates `g`.
    pub gates: usize,
    /// `[gH, I]`.
    pub w_ih: Slot,
    /// `[gH, H]`.
    pub w_hh: Slot,
    /// `[gH]`.
    pub b_ih: Slot,
    /// `[gH]`.
    pub b_hh: Slot,
}

impl Weights {
    /// Adds a cell's tensors to the layout: `{prefix}weight_ih_{suffix}` and so on; `suffix` such as `l0` or
    /// `l1_reverse`.
    pub fn add(layout: &mut Layout, prefix: &str, suffix: &str, source: Source, hidden: usize, gates: usize) -> Self {
        let mut add = |name: &str, dims: &[usize]| layout.add(format!("{prefix}{name}_{suffix}"), dims);
        Weights {
            source,
            hidden,
            gates,
            w_ih: add("weight_ih", &[gates * hidden, source.width()]),
            w_hh: add("weight_hh", &[gates * hidden, hidden]),
            b_ih: add("bias_ih", &[gates * hidden]),
            b_hh: add("bias_hh", &[gates * hidden]),
        }
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        init.fill(self.w_ih.of_mut(params), self.hidden, false, rng);
        init.fill_recurrent(self.w_hh.of_mut(params), self.hidden, rng);
        init.fill(self.b_ih.of_mut(params), self.hidden, true, rng);
        init.fill(self.b_hh.of_mut(params), self.hidden, true, rng);
    }

    fn width(&self) -> usize {
        self.gates * self.hidden
    }

    /// `W_ih` and its table, which holds the bias of the input product `[gH]`.
    pub(super) fn prepare_input<F: Scalar>(&self, params: &Params<F>, bias: &[F], prepared: &mut PreparedInput<F>) {
        let PreparedInput { w_ih: packed, w_ih_back, table } = prepared;
        let width = self.width();
        let w_ih = Mat::new(self.w_ih.of(params), width, self.source.width());
        match self.source {
            Source::Dense(_) => {
                both(w_ih.rows() * w_ih.cols(), || packed.pack(w_ih.t()), || w_ih_back.pack(w_ih));
            }
            Source::Tokens(vocab) => {
                table.resize(vocab * width, F::ZERO);
                let w_ih = self.w_ih.of(params);
                each_in_blocks(vocab, width, |token, j| {
                    table[token * width + j] = bias[j] + w_ih[j * vocab + token];
                });
            }
            Source::Embedded { vocab, width: inputs, slot } => {
                packed.pack(w_ih.t());
                table.resize(vocab * width, F::ZERO);
                let embedding = Mat::new(slot.of(params), vocab, inputs);
                gemm(embedding, packed, MatMut::new(table, vocab, width), Start::Bias(bias));
            }
        }
    }

    /// Writes `W_ih x + bias` into the first `gH` columns of `out`, whose rows are `stride` apart. `shared`: elements of the
    /// bias that `b_hh` adds to. `bias` is working memory.
    ///
    /// # Panics
    /// If there are tokens and no table of them.
    pub(super) fn project<F: Scalar>(
        &self,
        given: Given<F>,
        x: Input<F>,
        n: usize,
        shared: usize,
        bias: &mut Vec<F>,
        out: &mut [F],
        stride: usize,
    ) {
        let inputs = self.source.width();
        match (x, given) {
            (Input::Dense(x), given) => {
                assert_eq!(x.len(), n * inputs, "input [N, I]");
                let (x, out) = (Mat::new(x, n, inputs), MatMut::strided(out, n, self.width(), stride));
                match given {
                    Given::Packed(prepared) => gemm(x, &prepared.input.w_ih, out, Start::Bias(&prepared.bias)),
                    Given::Plain(plain) => {
                        plain.bias(self.width(), shared, bias);
                        gemm_rows(x, Mat::new(plain.w_ih, self.width(), inputs), out, Start::Bias(bias));
                    }
                }
            }
            (Input::Tokens(tokens), Given::Packed(prepared)) => {
                assert_eq!(tokens.len(), n, "tokens [N]");
                rows::gather(&prepared.input.table, self.width(), tokens, out, stride);
            }
            (Input::Tokens(_), Given::Plain(_)) => panic!("tokens are looked up in a table, which is prepared"),
        }
    }

    /// Gradients of `W_ih`, `b_ih` and the input from `da` `[N, gH]` with rows `stride` apart; leaves in `tape.dbias`
    /// its contribution to that of `b_ih`.
    pub(super) fn backward_input<F: Scalar>(
        &self,
        params: &Params<F>,
        given: Given<F>,
        x: Input<F>,
        da: &[F],
        stride: usize,
        tape: &mut SourceTape<F>,
        scratch: &mut Scratch<F>,
        grads: &mut Grads<F>,
        dx: InputGrad<F>,
    ) {
        let (width, inputs) = (self.width(), self.source.width());
        let SourceTape { dtable, dbias } = tape;
        dbias.clear();
        dbias.resize(width, F::ZERO);
        match x {
            Input::Dense(x) => {
                let n = x.len() / inputs;
                let da_rows = Mat::strided(da, n, width, stride);
                let dw = MatMut::new(self.w_ih.of_mut(grads), width, inputs);
                let start = given.gradient_start();
                gemm_unpacked_of(given.operands(), da_rows.t(), Mat::new(x, n, inputs), dw, start, scratch);
                rows::sum_add(da, n, stride, dbias);
                let (dx, start) = match dx {
                    InputGrad::None => (None, Start::Zero),
                    InputGrad::Write(dx) => (Some(dx), Start::Zero),
                    InputGrad::Add(dx) => (Some(dx), Start::Add),
                };
                if let Some(dx) = dx {
                    given.input_back(da_rows, MatMut::new(dx, n, inputs), start, scratch);
                }
            }
            Input::Tokens(tokens) => {
                let vocab = match self.source {
                    Source::Dense(n) | Source::Tokens(n) | Source::Embedded { vocab: n, .. } => n,
                };
                dtable.clear();
                dtable.resize(vocab * width, F::ZERO);
                rows::scatter_add(da, stride, tokens, dtable, width);
                rows::sum_add(dtable, vocab, width, dbias);
                self.backward_table(params, given.operands(), dtable, vocab, scratch, grads);
            }
        }
        rows::add(dbias, self.b_ih.of_mut(grads));
    }

    /// Gradients of `W_ih` and the embedding from that of the table `[V, gH]`.
    fn backward_table<F: Scalar>(
        &self,
        params: &Params<F>,
        operands: Operands,
        dtable: &[F],
        vocab: usize,
        scratch: &mut Scratch<F>,
        grads: &mut Grads<F>,
    ) {
        let width = self.width();
        if let Source::Embedded { width: inputs, slot, .. } = self.source {
            let dtable = Mat::new(dtable, vocab, width);
            let embedding = Mat::new(slot.of(params), vocab, inputs);
            let w_ih = Mat::new(self.w_ih.of(params), width, inputs);
            let dw = MatMut::new(self.w_ih.of_mut(grads), width, inputs);
            gemm_unpacked_of(operands, dtable.t(), embedding, dw, Start::Add, scratch);
            let de = MatMut::new(slot.of_mut(grads), vocab, inputs);
            gemm_unpacked_of(operands, dtable, w_ih, de, Start::Add, scratch);
        } else {
            let dw = self.w_ih.of_mut(grads);
            each_in_blocks(vocab, width, |token, j| dw[j * vocab + token] += dtable[token * width + j]);
        }
    }

    /// Gradient of the rows of `gates` in `W_hh` from columns of `da`: one product over all steps.
    pub(super) fn backward_recurrent<F: Scalar>(
        &self,
        gates: std::ops::Range<usize>,
        given: Given<F>,
        da: &[F],
        stride: usize,
        h_prev: Mat<F>,
        scratch: &mut Scratch<F>,
        grads: &mut Grads<F>,
    ) {
        let hidden = self.hidden;
        let da_rows = Mat::strided(da, h_prev.rows(), gates.len() * hidden, stride);
        let dw = &mut self.w_hh.of_mut(grads)[gates.start * hidden * hidden..gates.end * hidden * hidden];
        let dw = MatMut::new(dw, gates.len() * hidden, hidden);
        gemm_unpacked_of(given.operands(), da_rows.t(), h_prev, dw, given.gradient_start(), scratch);
    }

    /// `W_hh` `[gH, H]`.
    pub(super) fn recurrent<'a, F: Scalar>(&self, params: &'a Params<F>) -> Mat<'a, F> {
        Mat::new(self.w_hh.of(params), self.width(), self.hidden)
    }
}

/// Calls `f(row, column)` for every element of `[rows, cols]`, one cache line of columns at a time, so that a
/// transposed copy touches few cache lines on both sides.
fn each_in_blocks(rows: usize, cols: usize, mut f: impl FnMut(usize, usize)) {
    const BLOCK: usize = 16;
    for first in (0..cols).step_by(BLOCK) {
        for row in 0..rows {
            for col in first..cols.min(first + BLOCK) {
                f(row, col);
            }
        }
    }
}

/// Packs rows `gates` of `W_hh` for the gradient of the previous state.
pub(super) fn pack_back<F: Scalar>(
    weights: &Weights,
    params: &Params<F>,
    gates: std::ops::Range<usize>,
    to: &mut Packed<F>,
) {
    let hidden = weights.hidden;
    let w = &weights.w_hh.of(params)[gates.start * hidden * hidden..gates.end * hidden * hidden];
    to.pack(Mat::new(w, gates.len() * hidden, hidden));
}

/// `out = a + b`.
pub(super) fn sum_into<F: Scalar>(out: &mut Vec<F>, a: &[F], b: &[F]) {
    out.clear();
    out.extend(a.iter().zip(b).map(|(&a, &b)| a + b));
}
