//! One time step of each recurrent cell: the product with the recurrent weights, ended in registers by the gates'
//! nonlinearities; and the pointwise half of its backward step.

pub mod gru;
pub mod lstm;
pub mod rnn;

use core::mem::MaybeUninit;

use crate::tile::{ForRows, Tiles, for_rows, multiply};
use crate::vector::Vector;

/// Rows carried through one pass over the weights.
const ROWS: usize = 32;

/// Elements from one row of gates to the next where `len` elements hold `rows` rows of at least `width`.
fn stride_of(len: usize, rows: usize, width: usize) -> usize {
    let stride = len.checked_div(rows).unwrap_or(width);
    assert!(stride >= width && len == rows * stride, "states and gates of a step differ in rows");
    stride
}

/// Where a recurrent product starts and what ends it, for `G` registers of one row and one panel.
pub(crate) trait Epilogue<V: Vector, const G: usize> {
    /// The pre-activations before the recurrent product.
    ///
    /// # Safety
    /// `row` and `panel` must lie within the step's.
    unsafe fn start(&self, row: usize, panel: usize) -> [V; G];
    /// Fetches what `start` will read; the row or panel may lie behind the last.
    fn prefetch(&self, row: usize, panel: usize);
    /// Takes the finished pre-activations.
    ///
    /// # Safety
    /// As for `start`; called once for each row and panel.
    unsafe fn finish(&self, row: usize, panel: usize, a: [V; G]);
}

/// `start + h_prev W` for all rows and panels, each handed to the epilogue while still in registers.
///
/// The panel of the weights is taken in blocks of the depth that stay in the first-level cache while all rows pass over
/// them; between blocks the sums wait in a small array, so that their order is that of one long loop.
///
/// # Safety
/// `weights` must hold `panels * depth * G * LANES` elements, `h_prev` `rows` rows of `depth` elements.
#[inline(always)]
pub(crate) unsafe fn recurrent<V: Vector, const G: usize, E: Epilogue<V, G>>(
    weights: *const V::Scalar,
    depth: usize,
    panels: usize,
    h_prev: *const V::Scalar,
    rows: usize,
    max: usize,
    epilogue: &E,
) {
    // 16 KiB of f32 in 8 lanes, 32 KiB in 16.
    let blocks = depth.div_ceil(512 / G);
    let block = depth.div_ceil(blocks.max(1));
    let mut waiting = [[MaybeUninit::<V>::uninit(); G]; ROWS];
    for first_row in (0..rows).step_by(ROWS) {
        let end_row = rows.min(first_row + ROWS);
        let tiles = Tiles::new(end_row - first_row, max);
        for panel in 0..panels {
            for k in (0..depth).step_by(block) {
                for (first, m) in tiles.iter() {
                    let row = first_row + first;
                    let tile = Tile::<V, G, E> {
                        // SAFETY: row and k lie within the rows and the depth the caller vouches for.
                        h_prev: unsafe { h_prev.add(row * depth + k) },
                        // SAFETY: the panel's row k lies within the weights the caller vouches for.
                        weights: unsafe { weights.add((panel * depth + k) * G * V::LANES) },
                        stride: depth,
                        depth: block.min(depth - k),
                        is_first: k == 0,
                        is_last: k + block >= depth,
                        ends_panel: row + m == end_row,
                        first_row,
                        row,
                        panel,
                        waiting: waiting[first..].as_mut_ptr(),
                        epilogue,
                    };
                    // SAFETY: m <= max rows lie behind both pointers; `waiting` has a place for each row of the pass.
                    unsafe { for_rows(m, max, tile) };
                }
            }
        }
    }
}

struct Tile<'a, V: Vector, const G: usize, E> {
    h_prev: *const V::Scalar,
    weights: *const V::Scalar,
    stride: usize,
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

impl<V: Vector, const G: usize, E: Epilogue<V, G>> ForRows for Tile<'_, V, G, E> {
    #[inline(always)]
    unsafe fn run<const M: usize>(self) {
        // SAFETY: the caller vouches for the operands; `waiting` was written by the block before when this is not the
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
            let acc = multiply(self.depth, self.h_prev, self.stride, 1, self.weights, G * V::LANES, acc);
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

/// Calls `f(first unit, units)` for each register of a row of `hidden` units.
#[inline(always)]
pub(crate) fn registers<V: Vector>(hidden: usize, mut f: impl FnMut(usize, usize)) {
    for unit in (0..hidden).step_by(V::LANES) {
        f(unit, V::LANES.min(hidden - unit));
    }
}

/// The SIMD bodies against the same formulas in f64 (which the training crate holds to finite differences and PyTorch).
#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::gates::rnn::Nonlinearity;
    use crate::{Isa, Mat, Packed, Scalar};
    use std::vec::Vec;

    fn numbers<F: Scalar>(n: usize, seed: usize) -> Vec<F> {
        (0..n).map(|i| F::from_f64(((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.5 - 1.0)).collect()
    }

    /// All that a forward and a backward step of one cell write.
    fn step<F: Scalar>(isa: Isa, cell: &str, rows: usize, hidden: usize) -> Vec<f64> {
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
    fn every_cell_on_every_instruction_set_is_near_its_f64_self() {
        for isa in Isa::available() {
            for cell in ["tanh", "relu", "gru", "lstm", "peephole"] {
                for (rows, hidden) in [(1, 1), (2, 3), (5, 8), (3, 17), (16, 33), (40, 64), (7, 300)] {
                    let got = step::<f32>(isa, cell, rows, hidden);
                    let want = step::<f64>(isa, cell, rows, hidden);
                    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                        assert!((g - w).abs() <= 2e-5, "{isa:?} {cell} [{rows}, {hidden}] value {i}: {g} {w}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_of_a_step_does_not_depend_on_the_rows_beside_it() {
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
