//! The loop every step shares: blocks of panels, each multiplied with `x` and `h_prev` and ended by a cell.

use super::Start;
use super::panels::{Panels, block, blocks};
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

/// Registers of one row and one panel: the gates, and `q` of a GRU.
pub(super) const PARTS: usize = 4;

/// What ends the product of a cell.
pub(super) trait Cell: Copy {
    /// The gates.
    const GATES: usize;
    /// Where the recurrent product of the last gate starts, `[units]`, if that product is a fourth part by itself: the
    /// `q = W_hn h_prev + b_hn` that a GRU's reset gate scales.
    #[inline(always)]
    fn apart(&self) -> Option<*const f32> {
        None
    }
    /// Takes the finished pre-activations of `n` units of a row.
    ///
    /// # Safety
    /// `row` and the units must lie within the step's.
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, a: [V; PARTS]);
}

/// One step: what it reads beside the weights, and what ends it.
pub(super) struct Step<'a, C> {
    panels: &'a Panels,
    start: Start<'a>,
    rows: usize,
    inputs: [&'a [f32]; 2],
    backwards: bool,
    cell: C,
}

/// Runs a step of `rows` rows. `backwards` takes the blocks in the other order: steps that alternate find the blocks
/// they begin with in the cache, where the step before ended. No result depends on it.
///
/// # Safety
/// `cell` must accept all rows and units.
///
/// # Panics
/// If a length does not fit, or a token has no row in the table.
pub(super) unsafe fn run<C: Cell>(
    panels: &Panels,
    start: Start,
    rows: usize,
    x: &[f32],
    h_prev: &[f32],
    backwards: bool,
    cell: C,
) {
    let width = panels.gates * panels.units;
    assert_eq!(panels.gates, C::GATES, "the weights are packed for another cell");
    assert!(
        x.len() == rows * panels.depths[0] && h_prev.len() == rows * panels.depths[1],
        "input and state of a step differ in rows"
    );
    match start {
        Start::Bias(bias) => assert_eq!(bias.len(), width, "a bias for each gate of each unit"),
        Start::Table(table, tokens) => {
            assert_eq!(tokens.len(), rows, "a token for each row");
            let reaches = |&token: &u32| (token as usize) < table.len() / width.max(1);
            assert!(tokens.iter().all(reaches), "a token has no row in the table");
        }
    }
    f32::run(panels.isa, Step { panels, start, rows, inputs: [x, h_prev], backwards, cell });
}

impl<C: Cell> Kernel<f32> for Step<'_, C> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = f32>>(self) {
        let panels = self.panels.panels();
        let depth: usize = self.panels.depths.iter().sum();
        assert!(self.panels.data.len() >= panels * depth * C::GATES * V::LANES, "the packed weights are too short");
        let count = blocks(C::GATES, panels);
        for i in 0..count {
            let block = block(C::GATES, panels, if self.backwards { count - 1 - i } else { i });
            // SAFETY: `run` checked all lengths, the caller of `run` vouches for the cell; the block lies in the data.
            unsafe {
                let weights = self.panels.data.as_ptr().add(block.first * depth * C::GATES * V::LANES);
                // Panels, columns in registers, accumulators per column.
                match (C::GATES, block.panels) {
                    (1, 8) => self.block::<V, 8, 8, 1>(block.first, weights),
                    (1, 4) => self.block::<V, 4, 4, 2>(block.first, weights),
                    (1, 2) => self.block::<V, 2, 2, 4>(block.first, weights),
                    (1, _) => self.block::<V, 1, 1, 8>(block.first, weights),
                    (2, 4) => self.block::<V, 4, 8, 1>(block.first, weights),
                    (2, 2) => self.block::<V, 2, 4, 2>(block.first, weights),
                    (2, _) => self.block::<V, 1, 2, 4>(block.first, weights),
                    (3, 2) => self.block::<V, 2, 6, 1>(block.first, weights),
                    (3, _) => self.block::<V, 1, 3, 2>(block.first, weights),
                    (_, 2) => self.block::<V, 2, 8, 1>(block.first, weights),
                    _ => self.block::<V, 1, 4, 2>(block.first, weights),
                }
            }
        }
    }
}

impl<C: Cell> Step<'_, C> {
    /// All rows through one block: three at a time where there are the registers, so that a weight that was read serves
    /// three.
    ///
    /// # Safety
    /// `weights` must be those of `P` panels from `panel` on.
    #[inline(always)]
    unsafe fn block<V: Vector<Scalar = f32>, const P: usize, const N: usize, const S: usize>(
        &self,
        panel: usize,
        weights: *const f32,
    ) {
        let mut row = 0;
        // SAFETY: the rows exist, the caller vouches for the rest.
        unsafe {
            while V::LANES == 16 && row + 3 <= self.rows {
                self.tile::<V, 3, P, N, S>(row, panel, weights);
                row += 3;
            }
            while row < self.rows {
                self.tile::<V, 1, P, N, S>(row, panel, weights);
                row += 1;
            }
        }
    }

    /// # Safety
    /// As [`Self::block`], for `M` rows from `row` on.
    #[inline(always)]
    unsafe fn tile<V: Vector<Scalar = f32>, const M: usize, const P: usize, const N: usize, const S: usize>(
        &self,
        row: usize,
        panel: usize,
        weights: *const f32,
    ) {
        let units = self.panels.units;
        let [x_depth, h_depth] = self.panels.depths;
        let lanes = |p: usize| {
            let unit = (panel + p) * V::LANES;
            (unit, V::LANES.min(units - unit))
        };
        let mut acc = [[[V::splat(0.0); N]; M]; S];
        // SAFETY: `run` checked that every row has `depth` values in its input, the start `gates * units`, and that the
        // tokens' rows exist; the caller vouches for the weights.
        unsafe {
            for m in 0..M {
                let start = match self.start {
                    Start::Bias(bias) => bias.as_ptr(),
                    Start::Table(table, tokens) => {
                        table.as_ptr().add(*tokens.get_unchecked(row + m) as usize * C::GATES * units)
                    }
                };
                for p in 0..P {
                    let (unit, n) = lanes(p);
                    for g in 0..C::GATES {
                        acc[0][m][p * C::GATES + g] = load(start.add(g * units + unit), n);
                    }
                }
            }
            let x = self.inputs[0].as_ptr().add(row * x_depth);
            multiply(x_depth, x, weights, &mut acc);
            // The part of the last gate that comes from the input, where the other part is kept apart.
            let mut from_x = [[V::splat(0.0); P]; M];
            if let Some(start) = self.cell.apart() {
                for m in 0..M {
                    for p in 0..P {
                        let last = p * C::GATES + C::GATES - 1;
                        from_x[m][p] = sum(&acc, m, last);
                        for s in 1..S {
                            acc[s][m][last] = V::splat(0.0);
                        }
                        let (unit, n) = lanes(p);
                        acc[0][m][last] = load(start.add(unit), n);
                    }
                }
            }
            let h = self.inputs[1].as_ptr().add(row * h_depth);
            multiply(h_depth, h, weights.add(x_depth * N * V::LANES), &mut acc);
            for m in 0..M {
                for p in 0..P {
                    let (unit, n) = lanes(p);
                    let mut a = [from_x[m][p]; PARTS];
                    for g in 0..C::GATES {
                        a[g] = sum(&acc, m, p * C::GATES + g);
                    }
                    self.cell.finish(row + m, unit, n, a);
                }
            }
        }
    }
}

/// The accumulators of one column added, neighbours first.
#[inline(always)]
fn sum<V: Vector, const M: usize, const N: usize, const S: usize>(acc: &[[[V; N]; M]; S], m: usize, n: usize) -> V {
    let mut parts: [V; S] = core::array::from_fn(|s| acc[s][m][n]);
    let mut left = S;
    while left > 1 {
        left /= 2;
        for i in 0..left {
            parts[i] = parts[i].add(parts[i + left]);
        }
    }
    parts[0]
}

/// `acc[k % S][m][n] += x[m][k] w[k][n]` for `k` ascending.
///
/// # Safety
/// `x` must have `M` rows of `depth` values, `w` `depth * N * LANES`.
#[inline(always)]
unsafe fn multiply<V: Vector<Scalar = f32>, const M: usize, const N: usize, const S: usize>(
    depth: usize,
    x: *const f32,
    w: *const f32,
    acc: &mut [[[V; N]; M]; S],
) {
    // A copy, so that it can live in registers.
    let mut sums = *acc;
    // SAFETY: k < depth; the caller vouches.
    let one = |k: usize, sums: &mut [[V; N]; M]| unsafe {
        let w = w.add(k * N * V::LANES);
        let x: [V; M] = core::array::from_fn(|m| V::splat(*x.add(m * depth + k)));
        for n in 0..N {
            let w = V::load(w.add(n * V::LANES));
            for m in 0..M {
                sums[m][n] = x[m].mul_add(w, sums[m][n]);
            }
        }
    };
    let whole = depth - depth % S;
    let mut k = 0;
    while k < whole {
        for s in 0..S {
            one(k + s, &mut sums[s]);
        }
        k += S;
    }
    for s in 0..S {
        if k + s < depth {
            one(k + s, &mut sums[s]);
        }
    }
    *acc = sums;
}

/// Reads `n` lanes: without a mask where the register is full.
///
/// # Safety
/// `p` must be valid for reading `n` elements.
#[inline(always)]
pub(super) unsafe fn load<V: Vector>(p: *const V::Scalar, n: usize) -> V {
    // SAFETY: the caller vouches.
    unsafe { if n == V::LANES { V::load(p) } else { V::load_n(p, n) } }
}

/// Writes `n` lanes: without a mask where the register is full.
///
/// # Safety
/// `p` must be valid for writing `n` elements.
#[inline(always)]
pub(super) unsafe fn store<V: Vector>(v: V, p: *mut V::Scalar, n: usize) {
    // SAFETY: the caller vouches.
    unsafe { if n == V::LANES { v.store(p) } else { v.store_n(p, n) } }
}
