//! Matrix products with the right operand packed once and used many times (after Goto & van de Geijn 2008).

use crate::bf16::{self, Operands, Pairs, RoundedLeft};
use crate::buffer::Buffer;
use crate::compiled::compiled;
use crate::isa::Isa;
use crate::mat::{Mat, MatMut, size};
use crate::scalar::Scalar;
use crate::tile::{Ahead, Exact, ForRows, Left, Plain, Tiles, Words, for_rows, multiply};
use crate::vector::{Kernel, PairKernel, PairVector, Vector, load, store};

/// Registers in a panel of a matrix packed without gates.
pub(crate) const PLAIN: usize = 2;
/// Depth of a block of an operand that is packed a block at a time; even, so that no pair is split.
const DEPTH: usize = 1024;
/// Rows of the left operand in a block: its part over one depth stays in the L2 cache.
const ROWS: usize = Plain::<f32>::ROWS;

/// The right operand `[K, N]` of a product, packed in panels so that the inner loop reads it in order.
///
/// Weights are packed once per optimizer step and then used at every time step.
#[derive(Clone, Default)]
pub struct Packed<F> {
    pub(crate) data: Buffer<F>,
    /// Used instead of `data` where operands are rounded to bfloat16.
    pub(crate) pairs: Buffer<u32>,
    /// Of what is packed.
    pub(crate) packed_as: Operands,
    /// Of the next packing.
    operands: Operands,
    pub(crate) depth: usize,
    pub(crate) cols: usize,
    pub(crate) gates: usize,
    pub(crate) isa: Isa,
}

impl<F: Scalar> Packed<F> {
    /// Empty.
    pub fn new() -> Self {
        Packed::default()
    }

    /// Precision of the operands, from the next packing on.
    pub fn set_operands(&mut self, operands: Operands) {
        self.operands = operands;
    }

    /// Precision of the operands, from the next packing on.
    pub fn operands(&self) -> Operands {
        self.operands
    }

    /// Packs `b` `[K, N]` for [`gemm`] and for [`crate::gates::rnn`]; reuses the memory.
    pub fn pack(&mut self, b: Mat<F>) {
        self.pack_gates(b, 1);
    }

    /// Packs `b` `[K, gates * H]`, gate after gate in its columns, for a fused recurrent step: a panel holds one
    /// register of units with all their gates side by side.
    ///
    /// # Panics
    /// If `gates` is 0 or does not divide the columns.
    pub fn pack_gates(&mut self, b: Mat<F>, gates: usize) {
        assert!(gates > 0, "a cell has at least one gate");
        let packed = self;
        compiled!(F: fn(packed: &mut Packed<f32>, b: Mat<'_, f32>, gates: usize) {
            packed.pack_on(packed.best(), b, gates)
        });
    }

    pub(crate) fn best(&self) -> Isa {
        match self.operands {
            Operands::Exact => Isa::best(),
            Operands::Bf16 => Isa::best().with_pair_products(),
        }
    }

    pub(crate) fn pack_on(&mut self, isa: Isa, b: Mat<F>, gates: usize) {
        assert_eq!(b.cols % gates, 0, "the gates do not divide the columns");
        // Empty until all of `b` is packed: a panic on the way must not leave sizes without their data.
        (self.depth, self.cols) = (0, 0);
        (self.isa, self.packed_as, self.gates) = (isa, self.operands, gates);
        let (depth, cols) = (b.rows, b.cols);
        if depth == 0 || cols == 0 {
            (self.depth, self.cols) = (depth, cols);
            return;
        }
        match self.packed_as {
            Operands::Exact => F::run(isa, Pack { packed: self, b }),
            Operands::Bf16 => F::run_pairs(isa, Pack { packed: self, b }),
        }
        (self.depth, self.cols) = (depth, cols);
    }

    /// `K`, the rows packed.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// `N`, the columns packed.
    pub fn cols(&self) -> usize {
        self.cols
    }
}

struct Pack<'a, 'b, F> {
    packed: &'a mut Packed<F>,
    b: Mat<'b, F>,
}

impl<F: Scalar> Kernel<F> for Pack<'_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let Pack { packed, b } = self;
        let parts = Parts::new(b.cols, packed.gates, V::LANES);
        let panel = size([b.rows, parts.width]);
        packed.data.resize(size([parts.panels, panel]));
        for (p, part, col, n) in parts.iter() {
            pack_part::<V>(b, col, n, &mut packed.data[p * panel..][..panel], part * V::LANES, parts.width);
        }
    }
}

impl<F: Scalar> PairKernel<F> for Pack<'_, '_, F> {
    #[inline(always)]
    fn run<V: PairVector<Scalar = F>>(self) {
        let Pack { packed, b } = self;
        let parts = Parts::new(b.cols, packed.gates, V::LANES);
        let panel = size([bf16::words(b.rows), parts.width]);
        packed.pairs.resize(size([parts.panels, panel]));
        for (p, part, col, n) in parts.iter() {
            let to = &mut packed.pairs[p * panel..][..panel];
            bf16::pack_part(b, col, n, V::LANES, to, part * V::LANES, parts.width);
        }
    }
}

/// Which columns are in which register of which panel: a plain panel is PLAIN registers of columns; a gated one has
/// one register of units per gate.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    units: usize,
    gates: usize,
    lanes: usize,
    /// Elements in a row of a panel.
    pub(crate) width: usize,
    pub(crate) panels: usize,
}

impl Parts {
    #[inline(always)]
    pub(crate) fn new(cols: usize, gates: usize, lanes: usize) -> Self {
        let units = cols / gates;
        let (registers, units_per_panel) = if gates == 1 { (PLAIN, PLAIN * lanes) } else { (gates, lanes) };
        Parts { units, gates, lanes, width: registers * lanes, panels: units.div_ceil(units_per_panel) }
    }

    /// `(panel, register, first column, columns)`.
    #[inline(always)]
    fn iter(self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let Parts { units, gates, lanes, width, panels } = self;
        let registers = width / lanes;
        (0..panels * registers).map(move |i| {
            let (panel, register) = (i / registers, i % registers);
            let (unit, gate) = if gates == 1 { (i * lanes, 0) } else { (panel * lanes, register) };
            (panel, register, gate * units + unit, units.saturating_sub(unit).min(lanes))
        })
    }
}

/// Copies columns `col..col + n` of `b` into the lanes from `at` on of a panel, zeros into the lanes after them.
#[inline(always)]
fn pack_part<V: Vector>(b: Mat<V::Scalar>, col: usize, n: usize, panel: &mut [V::Scalar], at: usize, width: usize) {
    for k in 0..b.rows {
        let to = &mut panel[k * width + at..][..V::LANES];
        if n == 0 {
            to.fill(V::Scalar::default());
            continue;
        }
        let from = &b.data[k * b.row_stride + col * b.col_stride..];
        if b.col_stride == 1 {
            let from = &from[..n];
            // SAFETY: `from` has n elements, `to` one register.
            unsafe { load::<V>(from.as_ptr(), n).store(to.as_mut_ptr()) };
            continue;
        }
        for (j, x) in to[..n].iter_mut().enumerate() {
            *x = from[j * b.col_stride];
        }
        to[n..].fill(V::Scalar::default());
    }
}

/// Working memory of products; grows to the largest and is kept.
#[derive(Clone, Default)]
pub struct Scratch<F> {
    b: Packed<F>,
    a: Buffer<F>,
}

/// Initial value of a product.
#[derive(Clone, Copy)]
pub enum Start<'a, F> {
    /// `C = A B`.
    Zero,
    /// `C += A B`.
    Add,
    /// `C = 1 bias + A B`; `bias` `[N]`.
    Bias(&'a [F]),
}

/// `C [M, N] = start + A [M, K] B [K, N]` with `B` packed.
///
/// # Panics
/// If the dimensions do not match, or if `b` was packed with gates.
pub fn gemm<F: Scalar>(a: Mat<F>, b: &Packed<F>, c: MatMut<F>, start: Start<F>) {
    compiled!(F: fn(a: Mat<'_, f32>, b: &Packed<f32>, c: MatMut<'_, f32>, start: Start<'_, f32>) {
        gemm_of(a, b, c, start, None)
    });
}

/// With memory for a copy of the left operand, where it is in columns.
pub(crate) fn gemm_of<F: Scalar>(
    a: Mat<F>,
    b: &Packed<F>,
    c: MatMut<F>,
    start: Start<F>,
    copy: Option<&mut Buffer<F>>,
) {
    assert_eq!(b.gates, 1, "a product needs a matrix packed without gates");
    check(&a, [b.depth, b.cols], &c, start);
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    match b.packed_as {
        Operands::Exact => {
            let copy = copy.filter(|_| a.row_stride == 1 && a.col_stride > 1).map(|copy| {
                copy.resize(Plain::<F>::COPY);
                &mut **copy
            });
            F::run(b.isa, ExactGemm { a, b: Operand::Packed(&b.data), c, start, copy });
        }
        Operands::Bf16 => F::run_pairs(b.isa, PairGemm { a, b: &b.pairs, c, start }),
    }
}

/// # Panics
/// If the dimensions of a product do not match.
pub(crate) fn check<F>(a: &Mat<F>, [depth, cols]: [usize; 2], c: &MatMut<F>, start: Start<F>) {
    assert!(
        a.cols == depth && a.rows == c.rows && cols == c.cols,
        "product [{}, {}] x [{depth}, {cols}] into [{}, {}]",
        a.rows,
        a.cols,
        c.rows,
        c.cols
    );
    if let Start::Bias(bias) = start {
        assert_eq!(bias.len(), cols, "a product's bias has a value for each column");
    }
}

/// [`gemm`] with an unpacked `B`, for operands used once, as in weight gradients: it is packed into `scratch` a block
/// at a time, or read in place if `A` has so few rows that each element is read only once.
///
/// # Panics
/// If the dimensions do not match.
pub fn gemm_unpacked<F: Scalar>(a: Mat<F>, b: Mat<F>, c: MatMut<F>, start: Start<F>, scratch: &mut Scratch<F>) {
    gemm_unpacked_of(Operands::Exact, a, b, c, start, scratch);
}

/// [`gemm_unpacked`] with rounded operands.
///
/// # Panics
/// If the dimensions do not match.
pub fn gemm_unpacked_of<F: Scalar>(
    operands: Operands,
    a: Mat<F>,
    b: Mat<F>,
    c: MatMut<F>,
    start: Start<F>,
    scratch: &mut Scratch<F>,
) {
    compiled!(F: fn(
        operands: Operands,
        a: Mat<'_, f32>,
        b: Mat<'_, f32>,
        c: MatMut<'_, f32>,
        start: Start<'_, f32>,
        scratch: &mut Scratch<f32>,
    ) {
        unpacked(operands, a, b, c, start, scratch)
    });
}

pub(crate) fn unpacked<F: Scalar>(
    operands: Operands,
    a: Mat<F>,
    b: Mat<F>,
    c: MatMut<F>,
    start: Start<F>,
    scratch: &mut Scratch<F>,
) {
    check(&a, [b.rows, b.cols], &c, start);
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    let mut done = 0;
    let MatMut { data, rows, cols, row_stride } = c;
    if operands == Operands::Exact && b.col_stride == 1 {
        let (b, c) = (Operand::Rows(b), MatMut::strided(&mut *data, rows, cols, row_stride));
        done = F::run(Isa::best(), ExactGemm { a, b, c, start, copy: None });
        if done == cols {
            return;
        }
    }
    let b = Mat { data: b.data.get(done..).unwrap_or(&[]), cols: cols - done, ..b };
    let (data, cols) = (&mut data[done..], cols - done);
    let mut start = match start {
        Start::Bias(bias) => Start::Bias(&bias[done..]),
        start => start,
    };
    let mut from = 0;
    let block = b.rows.div_ceil(b.rows.div_ceil(DEPTH).max(1)).next_multiple_of(2);
    scratch.b.set_operands(operands);
    // Blocks of the depth in order: the sum keeps its order, the packed block stays in the cache.
    loop {
        let to = (from + block).min(b.rows);
        let part = Mat { data: &b.data[from.saturating_mul(b.row_stride).min(b.data.len())..], rows: to - from, ..b };
        let left = Mat { data: &a.data[from.saturating_mul(a.col_stride).min(a.data.len())..], cols: to - from, ..a };
        scratch.b.pack(part);
        let c = MatMut::strided(&mut *data, rows, cols, row_stride);
        gemm_of(left, &scratch.b, c, start, Some(&mut scratch.a));
        (start, from) = (Start::Add, to);
        if from >= b.rows {
            break;
        }
    }
}

/// Layout of the right operand's words: row `k` of panel `p` begins at `p * panel + k * row`.
#[derive(Clone, Copy)]
struct Right<W> {
    first: *const W,
    panel: usize,
    row: usize,
}

impl<W> Right<W> {
    /// A packed operand of `depth` words and `cols` columns, in panels of `width`.
    #[inline(always)]
    fn packed(b: &[W], depth: usize, cols: usize, width: usize) -> Self {
        assert!(b.len() >= size([cols.div_ceil(width), depth, width]), "the packed matrix is too short");
        Right { first: b.as_ptr(), panel: depth * width, row: width }
    }
}

struct Gemm<'a, 'b, F, W> {
    a: Mat<'b, F>,
    right: Right<W>,
    c: MatMut<'a, F>,
    start: Start<'b, F>,
}

/// A right operand of unrounded elements.
enum Operand<'a, F> {
    Packed(&'a [F]),
    Rows(Mat<'a, F>),
}

/// Computes the product and returns the columns of which it did: all, or of rows in place those that fill panels, none if
/// the rows would be read more than once.
struct ExactGemm<'a, 'b, F> {
    a: Mat<'b, F>,
    b: Operand<'b, F>,
    c: MatMut<'a, F>,
    start: Start<'b, F>,
    /// Memory for a copy of a left operand in columns.
    copy: Option<&'a mut [F]>,
}

impl<F: Scalar> Kernel<F> for ExactGemm<'_, '_, F> {
    type Output = usize;
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) -> usize {
        let ExactGemm { a, b, c, start, copy } = self;
        let (width, depth) = (PLAIN * V::LANES, a.cols);
        let cols = c.cols;
        let (right, cols, left) = match b {
            Operand::Packed(b) => {
                // A copy is read once for each panel.
                let left = match copy.filter(|_| cols > width) {
                    Some(copy) => Plain::copied(a, copy),
                    None => Plain::new(a),
                };
                (Right::packed(b, depth, cols, width), cols, left)
            }
            Operand::Rows(b) if a.rows <= V::ROWS_2 => {
                let right = Right { first: b.data.as_ptr(), panel: width, row: b.row_stride };
                (right, cols - cols % width, Plain::beside_rows(a))
            }
            Operand::Rows(_) => return 0,
        };
        if cols > 0 {
            let c = MatMut { cols, ..c };
            let start = match start {
                Start::Bias(bias) => Start::Bias(&bias[..cols]),
                start => start,
            };
            // SAFETY: `a` has these columns; `b` so many rows, in panels or of columns that fill panels.
            unsafe { Gemm { a, right, c, start }.blocks::<V, Exact, _>(depth, left) };
        }
        cols
    }
}

struct PairGemm<'a, 'b, F> {
    a: Mat<'b, F>,
    b: &'b [u32],
    c: MatMut<'a, F>,
    start: Start<'b, F>,
}

impl<F: Scalar> PairKernel<F> for PairGemm<'_, '_, F> {
    #[inline(always)]
    fn run<V: PairVector<Scalar = F>>(self) {
        let PairGemm { a, b, c, start } = self;
        let depth = bf16::words(a.cols);
        let right = Right::packed(b, depth, c.cols, PLAIN * V::LANES);
        // SAFETY: `a` has so many words of columns, `b` so many in its panels.
        unsafe { Gemm { a, right, c, start }.blocks::<V, Pairs, _>(depth, RoundedLeft::new(a)) };
    }
}

impl<F: Scalar, W> Gemm<'_, '_, F, W> {
    /// The product, block after block.
    ///
    /// # Safety
    /// `left` must have `depth` words in the rows of `a`, `right` as many in panels that cover the columns of `c`.
    #[inline(always)]
    unsafe fn blocks<V, P, L>(self, depth: usize, mut left: L)
    where
        V: Vector<Scalar = F>,
        P: Words<V, Word = W>,
        L: Left<W>,
    {
        let Gemm { a, right, c, start } = self;
        let width = PLAIN * V::LANES;
        if depth == 0 {
            return fill(c, start);
        }
        let blocks = depth.div_ceil(left.depth());
        let block = depth.div_ceil(blocks);
        let panels = c.cols.div_ceil(width);
        let to = c.data.as_mut_ptr();
        let at = |row: usize, col: usize| to.wrapping_add(row * c.row_stride + col);
        for k in (0..depth).step_by(block) {
            let kc = block.min(depth - k);
            for row in (0..a.rows).step_by(ROWS) {
                let rows = ROWS.min(a.rows - row);
                let tiles = Tiles::new(rows, V::ROWS_2);
                // SAFETY: the rows lie in `a`, the words in the depth the caller vouches for.
                let (left, a_row, a_k) = unsafe { left.block(row, rows, k, kc) };
                for panel in 0..panels {
                    let col = panel * width;
                    let b = |panel: usize| right.first.wrapping_add(panel * right.panel + k * right.row);
                    let next = b(if panel + 1 < panels { panel + 1 } else { 0 });
                    for (tile, (first, m)) in tiles.iter().enumerate() {
                        let tile = Tile::<V, P> {
                            a: left.wrapping_add(first * a_row),
                            a_row,
                            a_k,
                            b: b(panel),
                            b_k: right.row,
                            ahead: Ahead::new(next, tile, depth * c.cols),
                            depth: kc,
                            c: at(row + first, col),
                            c_row: c.row_stride,
                            cols: width.min(c.cols - col),
                            start: match start {
                                Start::Zero if k == 0 => Start::Zero,
                                Start::Bias(bias) if k == 0 => Start::Bias(&bias[col..]),
                                _ => Start::Add,
                            },
                        };
                        // SAFETY: the tile's rows and columns lie in the matrices, whose reach was checked when made.
                        unsafe { for_rows(m, V::ROWS_2, tile) };
                    }
                }
            }
        }
    }
}

/// A product of depth 0: only the initial value remains.
pub(crate) fn fill<F: Scalar>(c: MatMut<F>, start: Start<F>) {
    for r in 0..c.rows {
        let row = &mut c.data[r * c.row_stride..r * c.row_stride + c.cols];
        match start {
            Start::Zero => row.fill(F::ZERO),
            Start::Add => {}
            Start::Bias(bias) => row.copy_from_slice(bias),
        }
    }
}

/// One register tile of `C`.
struct Tile<'a, V: Vector, P: Words<V>> {
    a: *const P::Word,
    a_row: usize,
    a_k: usize,
    b: *const P::Word,
    b_k: usize,
    ahead: Ahead<P::Word>,
    depth: usize,
    c: *mut V::Scalar,
    c_row: usize,
    cols: usize,
    start: Start<'a, V::Scalar>,
}

impl<V: Vector, P: Words<V>> ForRows for Tile<'_, V, P> {
    #[inline(always)]
    unsafe fn run<const M: usize>(self) {
        // SAFETY: the caller guarantees the tile's rows and columns. A panel whose second register would hold no
        // column of `C` is multiplied without it.
        unsafe { if self.cols > V::LANES { self.columns::<M, PLAIN>() } else { self.columns::<M, 1>() } }
    }
}

impl<V: Vector, P: Words<V>> Tile<'_, V, P> {
    /// The tile with `N` registers of columns, of which the last may be partial.
    ///
    /// # Safety
    /// `a`, `b` and `c` must reach over `M` rows, the depth, and `(N - 1) * LANES < cols <= N * LANES` columns.
    #[inline(always)]
    unsafe fn columns<const M: usize, const N: usize>(self) {
        let lanes = |j: usize| if j + 1 < N { V::LANES } else { self.cols - j * V::LANES };
        // SAFETY: the caller guarantees the tile's rows and columns; partial registers touch only columns that exist.
        unsafe {
            let at = |r: usize, j: usize| self.c.add(r * self.c_row + j * V::LANES);
            // The next panel's tile of `C` is adjacent; it is prefetched meanwhile.
            for r in 0..M {
                for j in 0..N {
                    V::prefetch(self.c.wrapping_add(r * self.c_row + (N + j) * V::LANES));
                }
            }
            let acc: [[V; N]; M] = match self.start {
                Start::Zero => [[V::splat(V::Scalar::default()); N]; M],
                Start::Add => core::array::from_fn(|r| core::array::from_fn(|j| load(at(r, j), lanes(j)))),
                Start::Bias(bias) => [core::array::from_fn(|j| load(bias.as_ptr().add(j * V::LANES), lanes(j))); M],
            };
            let acc =
                multiply::<V, P, M, N>(self.depth, self.a, self.a_row, self.a_k, self.b, self.b_k, self.ahead, acc);
            for r in 0..M {
                for j in 0..N {
                    store(acc[r][j], at(r, j), lanes(j));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use alloc::vec::Vec;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| (((i * 7919 + seed * 104_729) % 2003) as f32) / 1001.5 - 1.0).collect()
    }

    #[test]
    fn products_of_all_sizes_equal_the_plain_loops() {
        for isa in Isa::available() {
            for m in [1, 2, 5, 7, 13, 16, 200] {
                for (k, n) in [(1, 1), (3, 7), (8, 16), (31, 33), (64, 9), (300, 65), (513, 20)] {
                    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
                    for transposed in [false, true] {
                        let a = if transposed { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
                        let b = if transposed { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
                        let bias = numbers(n, 3);
                        for start in [Start::Zero, Start::Add, Start::Bias(&bias[..])] {
                            // Dirty memory, and a column beyond each row that must survive.
                            let mut c = numbers(m * (n + 1), 4);
                            let mut want = c.clone();
                            reference::gemm(a, b, MatMut::strided(&mut want, m, n, n + 1), start);
                            let mut packed = Packed::new();
                            packed.pack_on(isa, b, 1);
                            gemm(a, &packed, MatMut::strided(&mut c, m, n, n + 1), start);
                            for (i, (got, want)) in c.iter().zip(&want).enumerate() {
                                assert!(
                                    (got - want).abs() <= 1e-6 * k as f32,
                                    "{isa:?} [{m}, {k}] x [{k}, {n}] element {i}: {got} {want}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn unpacked_products_equal_packed_ones_bit_for_bit() {
        // Packed on the way, and read in place: few rows, columns that fill panels.
        for (m, k, n) in [
            (37, 700, 45),
            (110, 300, 70),
            (1, 700, 64),
            (5, 1100, 128),
            (6, 3, 64),
            (1, 9, 45),
            (3, 50, 100),
            (2, 0, 70),
        ] {
            // Rows of `b` with a gap after each.
            let (a, b) = (numbers(m * k, 5), numbers(k * (n + 3), 6));
            let (a, b) = (Mat::new(&a, k, m).t(), Mat::strided(&b, k, n, n + 3));
            let mut scratch = Scratch::default();
            let mut packed = Packed::new();
            packed.pack(b);
            for start in [Start::Zero, Start::Add, Start::Bias(&numbers(n, 8))] {
                let (mut one, mut two) = (numbers(m * n, 7), numbers(m * n, 7));
                gemm(a, &packed, MatMut::new(&mut one, m, n), start);
                gemm_unpacked(a, b, MatMut::new(&mut two, m, n), start, &mut scratch);
                assert_eq!(one, two, "[{m}, {k}] x [{k}, {n}]");
            }
        }
    }

    #[test]
    fn rows_of_a_product_are_independent() {
        let (m, k, n) = (29, 130, 40);
        let (a, b) = (numbers(m * k, 8), numbers(k * n, 9));
        let mut packed = Packed::new();
        packed.pack(Mat::new(&b, k, n));
        let mut all = numbers(m * n, 1);
        gemm(Mat::new(&a, m, k), &packed, MatMut::new(&mut all, m, n), Start::Zero);
        for r in 0..m {
            let mut one = numbers(n, 2);
            gemm(Mat::new(&a[r * k..], 1, k), &packed, MatMut::new(&mut one, 1, n), Start::Zero);
            assert_eq!(one, all[r * n..(r + 1) * n]);
        }
    }

    #[test]
    fn a_product_of_depth_0_is_its_initial_value() {
        let mut c = [5.0f32; 6];
        let packed = {
            let mut packed = Packed::new();
            packed.pack(Mat::new(&[], 0, 3));
            packed
        };
        let mut scratch = Scratch::default();
        gemm(Mat::new(&[], 2, 0), &packed, MatMut::new(&mut c, 2, 3), Start::Add);
        assert_eq!(c, [5.0; 6]);
        gemm_unpacked(
            Mat::new(&[], 2, 0),
            Mat::new(&[], 0, 3),
            MatMut::new(&mut c, 2, 3),
            Start::Bias(&[1.0, 2.0, 3.0]),
            &mut scratch,
        );
        assert_eq!(c, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }
}
