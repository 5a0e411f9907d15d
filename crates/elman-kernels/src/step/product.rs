//! The loop every step shares: blocks of panels, each multiplied with `x` and `h_prev` and passed to the cell's
//! epilogue.

use core::marker::PhantomData;

use super::format::{Bf16, F32, Format, Int8, Operand, Precision};
use super::panels::{Panels, block, blocks};
use crate::arch::run_step;
use crate::buffer::Buffer;
use crate::isa::Isa;
use crate::mat::size;
use crate::vector::step::{StepKernel, StepVector};
use crate::vector::{Vector, load};

/// Registers of one row and one panel: the gates, and `q` of a GRU.
pub(crate) const PARTS: usize = 4;

/// Initial value of each row's pre-activations, `[gates * units]`.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// The same bias for every row.
    Bias(&'a [f32]),
    /// For row `m`, row `tokens[m]` of a table `[V, gates * units]`: the input product of that token, with the bias.
    Table(&'a [f32], &'a [u32]),
}

/// The epilogue of a cell's product.
pub(crate) trait Cell: Copy {
    /// The gates.
    const GATES: usize;
    /// Initial value `[units]` of the last gate's recurrent product, if that product is kept as a fourth part: the
    /// `q = W_hn h_prev + b_hn` that a GRU's reset gate scales.
    #[inline(always)]
    fn apart(&self) -> Option<*const f32> {
        None
    }
    /// Takes the complete pre-activations of `n` units of a row.
    ///
    /// # Safety
    /// `row` and the units must lie within the step's.
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, a: [V; PARTS]);
}

/// Buffers for quantised inputs and states.
#[derive(Clone, Default)]
pub struct Scratch {
    bytes: [Buffer<u32>; 2],
    scales: [Buffer<f32>; 2],
}

impl Scratch {
    /// Allocates for steps of `rows` rows with these weights; a step itself allocates nothing.
    pub fn reserve(&mut self, panels: &Panels, rows: usize) {
        if panels.precision == Precision::Int8 {
            for (part, depth) in panels.depths.into_iter().enumerate() {
                let (bytes, scales) = (&mut self.bytes[part], &mut self.scales[part]);
                bytes.resize(bytes.len().max(size([rows, depth.div_ceil(4)])));
                scales.resize(scales.len().max(rows));
            }
        }
    }

    /// Quantises `x` `[rows, depth]` to bytes.
    fn round(&mut self, isa: Isa, part: usize, (x, x_stride): (&[f32], usize), rows: usize, depth: usize) -> Operand {
        let stride = depth.div_ceil(4);
        let (bytes, scales) = (&mut self.bytes[part], &mut self.scales[part]);
        assert!(
            bytes.len() >= size([rows, stride]) && scales.len() >= rows,
            "`reserve` was not called for this many rows"
        );
        // SAFETY: quantising uses no byte products.
        unsafe { run_step(isa, Round { x, x_stride, rows, depth, bytes, scales }) };
        Operand { data: bytes.as_ptr(), stride, scales: scales.as_ptr() }
    }
}

/// One step: its inputs, weights and epilogue.
struct Step<'a, C, F> {
    panels: &'a Panels,
    start: Start<'a>,
    rows: usize,
    inputs: [Operand; 2],
    backwards: bool,
    cell: C,
    format: PhantomData<F>,
}

/// Runs a step of `rows` rows. `backwards` takes the blocks in reverse order: steps that alternate begin with the
/// blocks that the step before left in the cache. No result depends on it.
///
/// # Safety
/// `cell` must accept all rows and units.
///
/// # Panics
/// If a slice length does not match, a token has no row in the table, or [`Scratch::reserve`] was not called.
#[inline(always)]
pub(crate) unsafe fn run<C: Cell>(
    panels: &Panels,
    start: Start,
    rows: usize,
    x: &[f32],
    h_prev: &[f32],
    scratch: &mut Scratch,
    backwards: bool,
    cell: C,
) {
    let [x_depth, h_depth] = panels.depths;
    assert!(
        x.len() == size([rows, x_depth]) && h_prev.len() == size([rows, h_depth]),
        "input and state of a step differ in rows"
    );
    // SAFETY: the caller's promise.
    unsafe { run_rows(panels, start, rows, [(x, x_depth), (h_prev, h_depth)], scratch, backwards, cell) }
}

/// As [`run`], with rows that lie apart: those of `x` and `h_prev` begin as many values one after another.
///
/// # Safety
/// `cell` must accept all rows and units.
///
/// # Panics
/// As [`run`].
#[inline(always)]
pub(crate) unsafe fn run_rows<C: Cell>(
    panels: &Panels,
    start: Start,
    rows: usize,
    [(x, x_stride), (h_prev, h_stride)]: [(&[f32], usize); 2],
    scratch: &mut Scratch,
    backwards: bool,
    cell: C,
) {
    let width = panels.gates * panels.units;
    let [x_depth, h_depth] = panels.depths;
    assert_eq!(panels.gates, C::GATES, "the weights are packed for a different cell");
    let reach = |stride, depth| size([rows.saturating_sub(1), stride]).saturating_add(depth);
    assert!(
        rows == 0 || (x.len() >= reach(x_stride, x_depth) && h_prev.len() >= reach(h_stride, h_depth)),
        "input and state of a step have fewer rows"
    );
    match start {
        Start::Bias(bias) => assert_eq!(bias.len(), width, "one bias per gate and unit"),
        Start::Table(table, tokens) => {
            assert_eq!(tokens.len(), rows, "one token per row");
            let reaches = |&token: &u32| (u64::from(token) + 1).saturating_mul(width as u64) <= table.len() as u64;
            assert!(tokens.iter().all(reaches), "a token has no row in the table");
        }
    }
    if rows == 0 {
        return;
    }
    let floats = |x: &[f32], stride| Operand { data: x.as_ptr().cast(), stride, scales: core::ptr::null() };
    // SAFETY: for bytes, `Panels` chose the instruction set by `with_byte_products`.
    unsafe {
        match panels.precision {
            Precision::F32 => {
                let inputs = [floats(x, x_stride), floats(h_prev, h_stride)];
                let format = PhantomData::<F32>;
                run_step(panels.isa, &Step { panels, start, rows, inputs, backwards, cell, format });
            }
            Precision::Bf16 => {
                let inputs = [floats(x, x_stride), floats(h_prev, h_stride)];
                let format = PhantomData::<Bf16>;
                run_step(panels.isa, &Step { panels, start, rows, inputs, backwards, cell, format });
            }
            Precision::Int8 => {
                let inputs = [
                    scratch.round(panels.isa, 0, (x, x_stride), rows, x_depth),
                    scratch.round(panels.isa, 1, (h_prev, h_stride), rows, h_depth),
                ];
                let format = PhantomData::<Int8>;
                run_step(panels.isa, &Step { panels, start, rows, inputs, backwards, cell, format });
            }
        }
    }
}

impl<C: Cell, F: Format> StepKernel for &Step<'_, C, F> {
    const BYTES: bool = F::BYTES;
    #[inline(always)]
    fn run<V: StepVector>(self) {
        let panels = self.panels.panels();
        let words = (self.panels.words[0] + self.panels.words[1]) * C::GATES * V::LANES;
        assert!(self.panels.data.len() >= panels * words, "the packed weights are too short");
        let count = blocks(C::GATES, panels);
        for i in 0..count {
            let block = block(C::GATES, panels, if self.backwards { count - 1 - i } else { i });
            // SAFETY: `run` checked all lengths, the caller of `run` vouches for the cell; the block lies in the data.
            unsafe {
                let weights = self.panels.data.as_ptr().add(block.first * words);
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
                    _ => self.block::<V, 1, 4, 2>(block.first, weights),
                }
            }
        }
    }
}

impl<C: Cell, F: Format> Step<'_, C, F> {
    /// All rows through one block: three at a time where registers allow, so that each weight read is used three times.
    ///
    /// # Safety
    /// `weights` must be those of `P` panels from `panel` on.
    #[inline(always)]
    unsafe fn block<V: StepVector, const P: usize, const N: usize, const S: usize>(
        &self,
        panel: usize,
        weights: *const u32,
    ) {
        let mut row = 0;
        // SAFETY: the rows exist, the caller guarantees the rest.
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
    unsafe fn tile<V: StepVector, const M: usize, const P: usize, const N: usize, const S: usize>(
        &self,
        row: usize,
        panel: usize,
        weights: *const u32,
    ) {
        let units = self.panels.units;
        let lanes = |p: usize| {
            let unit = (panel + p) * V::LANES;
            (unit, V::LANES.min(units - unit))
        };
        let operand = |part: usize| {
            let Operand { data, stride, scales } = self.inputs[part];
            // Past the end where there is no such part, and then not read.
            Operand { data: data.wrapping_add(row * stride), stride, scales: scales.wrapping_add(row) }
        };
        let mut acc = [[[V::splat(0.0); N]; M]; S];
        // SAFETY: `run` checked that every row has `depth` values in its input, the start `gates * units`, and that the
        // tokens' rows exist; the caller guarantees the weights.
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
            F::multiply(self.panels.depths[0], operand(0), weights, &mut acc);
            // The input part of the last gate, where its recurrent part is kept separate.
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
            let weights = weights.add(self.panels.words[0] * N * V::LANES);
            F::multiply(self.panels.depths[1], operand(1), weights, &mut acc);
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

/// The sum of one column's accumulators, pairwise.
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

/// Quantises rows to bytes, each with the scale `max |x| / 127`.
struct Round<'a> {
    x: &'a [f32],
    x_stride: usize,
    rows: usize,
    depth: usize,
    bytes: &'a mut [u32],
    scales: &'a mut [f32],
}

impl StepKernel for Round<'_> {
    const BYTES: bool = false;
    #[inline(always)]
    fn run<V: StepVector>(self) {
        let depth = self.depth;
        for row in 0..self.rows {
            let (mut max, mut poison) = (V::splat(0.0), V::splat(0.0));
            let x = &self.x[row * self.x_stride..][..depth];
            let bytes = &mut self.bytes[row * depth.div_ceil(4)..(row + 1) * depth.div_ceil(4)];
            let registers = || (0..depth).step_by(V::LANES).map(|k| (k, V::LANES.min(depth - k)));
            for (k, n) in registers() {
                // SAFETY: k + n <= depth, the length of the row.
                let x: V = unsafe { load(x.as_ptr().add(k), n) };
                max = x.max(max).max(V::splat(0.0).sub(x));
                // Becomes NaN with the first non-finite value, which `max` may lose.
                poison = x.mul_add(V::splat(0.0), poison);
            }
            let max = max.max_lane();
            self.scales[row] = max / 127.0 + poison.sum();
            let inverse = V::splat(if max > 0.0 { 127.0 / max } else { 0.0 });
            for (k, n) in registers() {
                // SAFETY: as above; the row of words has a byte for each value.
                unsafe {
                    load::<V>(x.as_ptr().add(k), n).mul(inverse).store_bytes(bytes.as_mut_ptr().cast::<u8>().add(k), n)
                }
            }
        }
    }
}
