//! One time step of each recurrent cell: the product with the recurrent weights, with the gates' nonlinearities
//! fused in registers; and the pointwise half of its backward step.

pub mod gru;
pub mod lstm;
pub mod rnn;

use core::mem::MaybeUninit;

use crate::bf16::{Operands, Pairs, RoundedLeft, words};
use crate::gemm::{Packed, Parts};
use crate::isa::Isa;
use crate::mat::{Mat, size};
use crate::scalar::Scalar;
use crate::tile::{Ahead, Exact, ForRows, Left, Plain, Tiles, Words, for_rows, multiply};
use crate::vector::{Kernel, PairKernel, PairVector, Vector};

/// Rows per pass over the weights.
const ROWS: usize = 32;

/// Elements from one row of gates to the next where `len` elements hold `rows` rows of at least `width`.
fn stride_of(len: usize, rows: usize, width: usize) -> usize {
    let stride = len.checked_div(rows).unwrap_or(width);
    assert!(stride >= width && len == rows * stride, "the gates a of a step have other rows than its states");
    stride
}

/// Initial value and epilogue of a recurrent product, for `G` registers of one row and one panel.
pub(crate) trait Epilogue<V: Vector, const G: usize> {
    /// The pre-activations before the recurrent product.
    ///
    /// # Safety
    /// `row` and `panel` must lie within the step's.
    unsafe fn start(&self, row: usize, panel: usize) -> [V; G];
    /// Fetches what `start` will read; the row or panel may lie past the last.
    fn prefetch(&self, row: usize, panel: usize);
    /// Takes the complete pre-activations.
    ///
    /// # Safety
    /// As for `start`; called once for each row and panel.
    unsafe fn finish(&self, row: usize, panel: usize, a: [V; G]);
}

/// The epilogue of a cell's recurrent product.
pub(crate) trait Ending<F: Scalar, const G: usize> {
    /// The epilogue over registers.
    type End<V: Vector<Scalar = F>>: Epilogue<V, G>;
    /// Constructs it.
    fn end<V: Vector<Scalar = F>>(&mut self) -> Self::End<V>;
}

/// A step forward over the rows of `h_prev`; the cell has checked all lengths against them.
pub(crate) fn forward<F: Scalar, C: Ending<F, G>, const G: usize>(w_hh: &Packed<F>, h_prev: &[F], cell: C) {
    let step = Forward { w_hh, h_prev, cell };
    match w_hh.packed_as {
        Operands::Exact => F::run(w_hh.isa, step),
        Operands::Bf16 => F::run_pairs(w_hh.isa, step),
    }
}

struct Forward<'a, F, C, const G: usize> {
    w_hh: &'a Packed<F>,
    h_prev: &'a [F],
    cell: C,
}

impl<F: Scalar, C: Ending<F, G>, const G: usize> Kernel<F> for Forward<'_, F, C, G> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let (w_hh, left) = (self.w_hh, Plain::new(self.h_prev()));
        self.over::<V, Exact, _>(&w_hh.data, w_hh.depth, left);
    }
}

impl<F: Scalar, C: Ending<F, G>, const G: usize> PairKernel<F> for Forward<'_, F, C, G> {
    #[inline(always)]
    fn run<V: PairVector<Scalar = F>>(self) {
        let (w_hh, left) = (self.w_hh, RoundedLeft::new(self.h_prev()));
        self.over::<V, Pairs, _>(&w_hh.pairs, words(w_hh.depth), left);
    }
}

impl<'a, F: Scalar, C: Ending<F, G>, const G: usize> Forward<'a, F, C, G> {
    fn h_prev(&self) -> Mat<'a, F> {
        Mat::new(self.h_prev, self.h_prev.len() / self.w_hh.depth, self.w_hh.depth)
    }

    #[inline(always)]
    fn over<V, W, L>(mut self, weights: &[W::Word], depth: usize, left: L)
    where
        V: Vector<Scalar = F>,
        W: Words<V>,
        L: Left<W::Word>,
    {
        let rows = self.h_prev().rows;
        let Parts { width, panels, .. } = Parts::new(self.w_hh.cols, self.w_hh.gates, V::LANES);
        assert!(
            width == G * V::LANES && weights.len() >= size([panels, depth, width]),
            "the packed weights are too short"
        );
        let max = match G {
            ..=2 => V::ROWS_2,
            3 => V::ROWS_3,
            4 => V::ROWS_4,
            // As many accumulators as with four gates, if they hold at least one row.
            _ => (4 * V::ROWS_4 / G).max(1),
        };
        let end = self.cell.end::<V>();
        // SAFETY: the weights were measured just now, `h_prev` has these rows, and the cell checked what `end` reads.
        unsafe { recurrent::<V, W, L, _, G>(weights.as_ptr(), depth, panels, left, rows, max, &end) };
    }
}

/// `start + h_prev W` for all rows and panels, each handed to the epilogue while still in registers.
///
/// A panel of the weights is split along the depth into blocks that stay in the L1 cache while all rows pass over
/// them; between blocks the sums are kept in a small array, so that their order is that of one long loop.
///
/// # Safety
/// `weights` must hold `panels * depth * G * LANES` words, `h_prev` `rows` rows of `depth` words.
#[inline(always)]
pub(crate) unsafe fn recurrent<V, W, L, E, const G: usize>(
    weights: *const W::Word,
    depth: usize,
    panels: usize,
    mut h_prev: L,
    rows: usize,
    max: usize,
    epilogue: &E,
) where
    V: Vector,
    W: Words<V>,
    L: Left<W::Word>,
    E: Epilogue<V, G>,
{
    // 16 KiB of f32 in 8 lanes, 32 KiB in 16.
    let blocks = depth.div_ceil((512 / G).max(1));
    let block = depth.div_ceil(blocks.max(1));
    let mut waiting = [[MaybeUninit::<V>::uninit(); G]; ROWS];
    for first_row in (0..rows).step_by(ROWS) {
        let end_row = rows.min(first_row + ROWS);
        let tiles = Tiles::new(end_row - first_row, max);
        for panel in 0..panels {
            for k in (0..depth).step_by(block) {
                let kc = block.min(depth - k);
                // SAFETY: rows and words lie within those the caller vouches for.
                let (left, stride, k_stride) = unsafe { h_prev.block(first_row, end_row - first_row, k, kc) };
                // SAFETY: the panel's row k lies within the weights the caller vouches for.
                let weights = unsafe { weights.add((panel * depth + k) * G * V::LANES) };
                // The next block, or the first of the next panel.
                let next = weights.wrapping_add(kc * G * V::LANES);
                for (tile, (first, m)) in tiles.iter().enumerate() {
                    let row = first_row + first;
                    let tile = Tile::<V, W, E, G> {
                        h_prev: left.wrapping_add(first * stride),
                        weights,
                        ahead: Ahead::new(next, tile, panels * depth * G * V::LANES),
                        stride,
                        k_stride,
                        depth: kc,
                        is_first: k == 0,
                        is_last: k + block >= depth,
                        ends_panel: row + m == end_row,
                        first_row,
                        row,
                        panel,
                        waiting: waiting[first..].as_mut_ptr(),
                        epilogue,
                    };
                    // SAFETY: m <= max rows lie behind both pointers; `waiting` has an element for each row of the
                    // pass.
                    unsafe { for_rows(m, max, tile) };
                }
            }
        }
    }
}

struct Tile<'a, V: Vector, W: Words<V>, E, const G: usize> {
    h_prev: *const W::Word,
    weights: *const W::Word,
    ahead: Ahead<W::Word>,
    stride: usize,
    k_stride: usize,
    depth: usize,
    is_first: bool,
    is_last: bool,
    /// Whether the next tile is one of the next panel.
    ends_panel: bool,
    /// The first row of the pass.
    first_row: usize,
    row: usize,
    panel: usize,
    waiting: *mut [MaybeUninit<V>; G],
    epilogue: &'a E,
}

impl<V: Vector, W: Words<V>, E: Epilogue<V, G>, const G: usize> ForRows for Tile<'_, V, W, E, G> {
    #[inline(always)]
    unsafe fn run<const M: usize>(self) {
        // SAFETY: the caller guarantees the operands; `waiting` was written by the block before when this is not the
        // first one.
        unsafe {
            if self.is_first {
                // The tile after this one: the next rows of the panel, or the first rows of the next.
                let (row, panel) =
                    if self.ends_panel { (self.first_row, self.panel + 1) } else { (self.row + M, self.panel) };
                for r in 0..M {
                    self.epilogue.prefetch(row + r, panel);
                }
            }
            let mut acc = [[V::splat(V::Scalar::default()); G]; M];
            for r in 0..M {
                acc[r] = if self.is_first {
                    self.epilogue.start(self.row + r, self.panel)
                } else {
                    (*self.waiting.add(r)).map(|v| v.assume_init())
                };
            }
            let Tile { h_prev, stride, k_stride, weights, ahead, .. } = self;
            let acc = multiply::<V, W, M, G>(self.depth, h_prev, stride, k_stride, weights, G * V::LANES, ahead, acc);
            for r in 0..M {
                if self.is_last {
                    self.epilogue.finish(self.row + r, self.panel, acc[r]);
                } else {
                    *self.waiting.add(r) = acc[r].map(MaybeUninit::new);
                }
            }
        }
    }
}

/// The epilogue alone, over pre-activations that are complete: `rows` of `gates` gates of `hidden` units.
pub(crate) fn finish<F: Scalar, C: Ending<F, G>, const G: usize>(rows: usize, gates: usize, hidden: usize, cell: C) {
    F::run(Isa::best(), Finish { rows, gates, hidden, cell });
}

struct Finish<C, const G: usize> {
    rows: usize,
    gates: usize,
    hidden: usize,
    cell: C,
}

impl<F: Scalar, C: Ending<F, G>, const G: usize> Kernel<F> for Finish<C, G> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(mut self) {
        let Parts { width, panels, .. } = Parts::new(size([self.gates, self.hidden]), self.gates, V::LANES);
        assert!(width == G * V::LANES, "the gates of another cell");
        let end = self.cell.end::<V>();
        for row in 0..self.rows {
            for panel in 0..panels {
                // SAFETY: the cell checked what `end` reads and writes over these rows and its units.
                unsafe { end.finish(row, panel, end.start(row, panel)) };
            }
        }
    }
}

/// Calls `f(first unit, units)` for each register of a row of `hidden` units.
#[inline(always)]
pub(crate) fn registers<V: Vector>(hidden: usize, mut f: impl FnMut(usize, usize)) {
    for unit in (0..hidden).step_by(V::LANES) {
        f(unit, V::LANES.min(hidden - unit));
    }
}

/// The SIMD bodies against the same formulas in f64 (which the training crate checks against finite differences and
/// PyTorch).
#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::gates::rnn::Nonlinearity;
    use crate::gemm::{PLAIN, Start};
    use crate::mat::MatMut;
    use crate::reference;
    use crate::vector::store;
    use std::vec;
    use std::vec::Vec;

    fn numbers<F: Scalar>(n: usize, seed: usize) -> Vec<F> {
        (0..n).map(|i| F::from_f64(((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.5 - 1.0)).collect()
    }

    /// All that a forward and a backward step of one cell write.
    fn step<F: Scalar>(isa: Isa, operands: Operands, cell: &str, rows: usize, hidden: usize) -> Vec<f64> {
        let scale = |v: Vec<F>| -> Vec<F> { v.iter().map(|&x| x / F::from_f64((hidden as f64).sqrt())).collect() };
        let state = |seed| numbers::<F>(rows * hidden, seed);
        let (h_prev, c_prev) = (state(1), state(2));
        let (mut h, mut c, mut a) = (state(3), state(4), numbers::<F>(rows * 4 * hidden, 5));
        let (mut dh, mut dc) = (state(6), state(7));
        let p = numbers::<F>(3 * hidden, 8);
        let w = scale(numbers(4 * hidden * hidden, 9));
        let mut w_hh = Packed::new();
        let gates = match cell {
            "lstm" | "peephole" => 4,
            "gru" => 3,
            _ => 1,
        };
        w_hh.set_operands(operands);
        w_hh.pack_on(isa, Mat::new(&w, gates * hidden, hidden).t(), gates);
        let nonlinearity = if cell == "relu" { Nonlinearity::Relu } else { Nonlinearity::Tanh };
        let peephole = (cell == "peephole").then_some(&p[..]);
        let mut out = Vec::new();
        match gates {
            4 => {
                lstm::forward(&w_hh, peephole, &h_prev, &c_prev, &mut a, &mut c, &mut h);
                out.extend_from_slice(&a);
                lstm::backward_on(isa, hidden, peephole, &mut a, &c_prev, &c, &dh, &mut dc);
            }
            3 => {
                gru::forward(&w_hh, &p[..hidden], &h_prev, &mut a, &mut h);
                out.extend_from_slice(&a);
                gru::backward_on(isa, hidden, &mut a, &h_prev, &mut dh);
            }
            _ => {
                rnn::forward(&w_hh, nonlinearity, &h_prev, &mut h);
                rnn::backward_on(isa, nonlinearity, &h, &mut dh);
            }
        }
        for part in [a, c, h, dh, dc] {
            out.extend_from_slice(&part);
        }
        out.into_iter().map(F::to_f64).collect()
    }

    #[test]
    fn every_cell_on_every_isa_is_near_its_f64_version() {
        for isa in Isa::available().flat_map(|isa| [isa, isa.with_pair_products()]) {
            for cell in ["tanh", "relu", "gru", "lstm", "peephole"] {
                for (rows, hidden) in [(1, 1), (2, 3), (5, 8), (3, 17), (16, 33), (40, 64), (7, 300)] {
                    is_near_f64(isa, Operands::Exact, cell, rows, hidden);
                    is_near_f64(isa, Operands::Bf16, cell, rows, hidden);
                }
            }
            // Rows too long to be rounded at once.
            is_near_f64(isa, Operands::Bf16, "tanh", 33, 1030);
        }
    }

    #[test]
    fn a_step_whose_product_was_added_before_is_the_fused_one() {
        for (rows, hidden) in [(1, 1), (3, 17), (5, 40)] {
            let w = numbers::<f32>(4 * hidden * hidden, 9);
            let (h_prev, c_prev, b_hn) = (numbers(rows * hidden, 1), numbers(rows * hidden, 2), numbers(hidden, 3));
            let peephole = numbers::<f32>(3 * hidden, 4);
            let fresh = || (numbers::<f32>(rows * 4 * hidden, 5), vec![0.0; rows * hidden], vec![0.0; rows * hidden]);
            let near = |got: [&[f32]; 3], want: [&[f32]; 3]| {
                for (got, want) in got.concat().iter().zip(want.concat()) {
                    assert!((got - want).abs() < 1e-5 * hidden as f32, "[{rows}, {hidden}] {got} {want}");
                }
            };
            // `a += h_prev W^T` of some gates, `a` beginning at the part `from`.
            let product = |a: &mut [f32], from: usize, gates: core::ops::Range<usize>, start| {
                let w = &w[gates.start * hidden * hidden..gates.end * hidden * hidden];
                let w = Mat::new(w, gates.len() * hidden, hidden);
                let to = MatMut::strided(&mut a[from * hidden..], rows, gates.len() * hidden, 4 * hidden);
                crate::gemm_rows(Mat::new(&h_prev, rows, hidden), w, to, start);
            };
            let packed = |gates: usize| {
                let mut packed = Packed::new();
                packed.pack_gates(Mat::new(&w, gates * hidden, hidden).t(), gates);
                packed
            };
            let ((mut a, mut c, mut h), (mut a_2, mut c_2, mut h_2)) = (fresh(), fresh());
            lstm::forward(&packed(4), Some(&peephole), &h_prev, &c_prev, &mut a, &mut c, &mut h);
            product(&mut a_2, 0, 0..4, Start::Add);
            lstm::activate(hidden, Some(&peephole), &c_prev, &mut a_2, &mut c_2, &mut h_2);
            near([&a, &c, &h], [&a_2, &c_2, &h_2]);
            let ((mut a, _, mut h), (mut a_2, _, mut h_2)) = (fresh(), fresh());
            gru::forward(&packed(3), &b_hn, &h_prev, &mut a, &mut h);
            product(&mut a_2, 0, 0..2, Start::Add);
            product(&mut a_2, 3, 2..3, Start::Bias(&b_hn));
            gru::activate(hidden, &h_prev, &mut a_2, &mut h_2);
            near([&a, &[], &h], [&a_2, &[], &h_2]);
            for nonlinearity in [Nonlinearity::Tanh, Nonlinearity::Relu] {
                let (mut h, mut h_2) = (c_prev.clone(), c_prev.clone());
                let mut one = Packed::new();
                one.pack(Mat::new(&w[..hidden * hidden], hidden, hidden).t());
                rnn::forward(&one, nonlinearity, &h_prev, &mut h);
                let to = MatMut::new(&mut h_2, rows, hidden);
                crate::gemm_rows(Mat::new(&h_prev, rows, hidden), Mat::new(&w, hidden, hidden), to, Start::Add);
                rnn::activate(nonlinearity, &mut h_2);
                near([&[], &[], &h], [&[], &[], &h_2]);
            }
        }
    }

    fn is_near_f64(isa: Isa, operands: Operands, cell: &str, rows: usize, hidden: usize) {
        let got = step::<f32>(isa, operands, cell, rows, hidden);
        let want = step::<f64>(isa, operands, cell, rows, hidden);
        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
            assert!((g - w).abs() <= 2e-5, "{isa:?} {operands:?} {cell} [{rows}, {hidden}] value {i}: {g} {w}");
        }
    }

    /// An epilogue for any number of gates that writes the product out: `a` `[B, G * H]`, gate after gate.
    struct Copied<'a, F> {
        a: &'a mut [F],
        gates: usize,
        hidden: usize,
    }

    struct CopiedEnd<F> {
        a: *mut F,
        gates: usize,
        hidden: usize,
    }

    impl<F: Scalar, const G: usize> Ending<F, G> for Copied<'_, F> {
        type End<V: Vector<Scalar = F>> = CopiedEnd<F>;
        fn end<V: Vector<Scalar = F>>(&mut self) -> CopiedEnd<F> {
            CopiedEnd { a: self.a.as_mut_ptr(), gates: self.gates, hidden: self.hidden }
        }
    }

    impl<F: Scalar, V: Vector<Scalar = F>, const G: usize> Epilogue<V, G> for CopiedEnd<F> {
        unsafe fn start(&self, _: usize, _: usize) -> [V; G] {
            [V::splat(F::ZERO); G]
        }
        fn prefetch(&self, _: usize, _: usize) {}
        unsafe fn finish(&self, row: usize, panel: usize, a: [V; G]) {
            for (register, a) in a.into_iter().enumerate() {
                let (gate, unit) =
                    if self.gates == 1 { (0, (panel * G + register) * V::LANES) } else { (register, panel * V::LANES) };
                let n = self.hidden.saturating_sub(unit).min(V::LANES);
                // SAFETY: row, gate and units lie within `a`; where n is 0 nothing is written.
                unsafe { store(a, self.a.wrapping_add((row * self.gates + gate) * self.hidden + unit), n) };
            }
        }
    }

    fn packed_gates_equal_the_product<const G: usize>(gates: usize) {
        for isa in Isa::available().flat_map(|isa| [isa, isa.with_pair_products()]) {
            for operands in [Operands::Exact, Operands::Bf16] {
                for (rows, hidden) in [(1, 1), (3, 7), (33, 17), (5, 40), (2, 600)] {
                    let (w, h_prev) = (numbers::<f32>(gates * hidden * hidden, 1), numbers(rows * hidden, 2));
                    let near = |x: &[f32]| -> Vec<f32> {
                        let bf16 = |x: &f32| f32::from_bits(u32::from(x.to_bf16()) << 16);
                        if operands == Operands::Bf16 { x.iter().map(bf16).collect() } else { x.to_vec() }
                    };
                    let mut want = vec![0.0; rows * gates * hidden];
                    let (near_w, near_h) = (near(&w), near(&h_prev));
                    let into = MatMut::new(&mut want, rows, gates * hidden);
                    let w_hh = Mat::new(&near_w, gates * hidden, hidden).t();
                    reference::gemm(Mat::new(&near_h, rows, hidden), w_hh, into, Start::Zero);
                    let mut packed = Packed::new();
                    packed.set_operands(operands);
                    packed.pack_on(isa, Mat::new(&w, gates * hidden, hidden).t(), gates);
                    // Dirty memory.
                    let mut a = numbers(rows * gates * hidden, 3);
                    forward::<f32, _, G>(&packed, &h_prev, Copied { a: &mut a, gates, hidden });
                    for (i, (got, want)) in a.iter().zip(&want).enumerate() {
                        let near = (got - want).abs() <= 1e-6 * hidden as f32;
                        assert!(near, "{isa:?} {operands:?} {gates} gates [{rows}, {hidden}] value {i}: {got} {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn any_number_of_gates_gives_the_plain_product() {
        packed_gates_equal_the_product::<PLAIN>(1);
        packed_gates_equal_the_product::<2>(2);
        packed_gates_equal_the_product::<3>(3);
        packed_gates_equal_the_product::<4>(4);
        packed_gates_equal_the_product::<5>(5);
        packed_gates_equal_the_product::<9>(9);
    }

    #[test]
    fn rows_of_a_step_are_independent() {
        let hidden = 200;
        let w = numbers::<f32>(4 * hidden * hidden, 1);
        let mut w_hh = Packed::new();
        w_hh.pack_gates(Mat::new(&w, 4 * hidden, hidden).t(), 4);
        let run = |rows: core::ops::Range<usize>| {
            let part = |seed, width: usize| {
                numbers::<f32>(40 * width * hidden, seed)[rows.start * width * hidden..rows.end * width * hidden]
                    .to_vec()
            };
            let (mut a, mut c, mut h) = (part(2, 4), part(5, 1), part(6, 1));
            lstm::forward(&w_hh, None, &part(3, 1), &part(4, 1), &mut a, &mut c, &mut h);
            (a, c, h)
        };
        let all = run(0..40);
        for r in 0..40 {
            let one = run(r..r + 1);
            assert_eq!(one.0, all.0[r * 4 * hidden..(r + 1) * 4 * hidden]);
            assert_eq!(one.1, all.1[r * hidden..(r + 1) * hidden]);
            assert_eq!(one.2, all.2[r * hidden..(r + 1) * hidden]);
        }
    }
}
