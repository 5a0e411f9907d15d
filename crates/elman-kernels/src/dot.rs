//! Products with rows of weights as they lie: each element is a dot product of two rows.
//!
//! For few rows: a matrix that is read once is not worth packing.

use crate::compiled::compiled;
use crate::gemm::{Start, check, fill};
use crate::isa::Isa;
use crate::mat::{Mat, MatMut};
use crate::scalar::Scalar;
use crate::tile::{ForRows, Tiles, for_rows};
use crate::vector::{Kernel, Vector, load};

/// Rows of `A` in a tile.
const ROWS: usize = 4;
/// Rows of `B` in a tile: as many sums as hide the latency of a multiply-add.
const COLS: usize = 4;
/// The same where `A` has a single row.
const COLS_OF_ONE: usize = 8;

/// `C [M, N] = start + A [M, K] B^T` with `B` `[N, K]`; the rows of both are contiguous. An element depends on its two rows
/// alone; its sum runs lane by lane, then over the lanes.
///
/// # Panics
/// If the dimensions do not match, or rows are not contiguous.
pub fn gemm_rows<F: Scalar>(a: Mat<F>, b: Mat<F>, c: MatMut<F>, start: Start<F>) {
    compiled!(F: fn(a: Mat<'_, f32>, b: Mat<'_, f32>, c: MatMut<'_, f32>, start: Start<'_, f32>) {
        gemm_rows_on(Isa::best(), a, b, c, start)
    });
}

pub(crate) fn gemm_rows_on<F: Scalar>(isa: Isa, a: Mat<F>, b: Mat<F>, c: MatMut<F>, start: Start<F>) {
    check(&a, [b.cols, b.rows], &c, start);
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    if a.cols == 0 {
        return fill(c, start);
    }
    assert!(a.col_stride == 1 && b.col_stride == 1, "rows of a product of rows are contiguous");
    F::run(isa, Dots { a, b, c, start });
}

struct Dots<'a, 'b, F> {
    a: Mat<'b, F>,
    b: Mat<'b, F>,
    c: MatMut<'a, F>,
    start: Start<'b, F>,
}

impl<F: Scalar> Kernel<F> for Dots<'_, '_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(mut self) {
        let (m, n) = (self.a.rows, self.b.rows);
        if m == 1 {
            let whole = n - n % COLS_OF_ONE;
            for col in (0..whole).step_by(COLS_OF_ONE) {
                // SAFETY: these rows exist.
                unsafe { self.tile::<V, 1, COLS_OF_ONE>(0, col) };
            }
            for col in whole..n {
                // SAFETY: as above.
                unsafe { self.tile::<V, 1, 1>(0, col) };
            }
            return;
        }
        let tiles = Tiles::new(m, ROWS);
        let whole = n - n % COLS;
        // Rows of `B` stay in the L1 cache while all of `A` passes.
        for col in (0..whole).step_by(COLS) {
            for (row, rows) in tiles.iter() {
                // SAFETY: these rows exist.
                unsafe { for_rows(rows, ROWS, Tile::<V, COLS> { dots: &mut self, row, col }) };
            }
        }
        for col in whole..n {
            for (row, rows) in tiles.iter() {
                // SAFETY: as above.
                unsafe { for_rows(rows, ROWS, Tile::<V, 1> { dots: &mut self, row, col }) };
            }
        }
    }
}

struct Tile<'t, 'a, 'b, V: Vector, const N: usize> {
    dots: &'t mut Dots<'a, 'b, V::Scalar>,
    row: usize,
    col: usize,
}

impl<V: Vector<Scalar: Scalar>, const N: usize> ForRows for Tile<'_, '_, '_, V, N> {
    #[inline(always)]
    unsafe fn run<const M: usize>(self) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.dots.tile::<V, M, N>(self.row, self.col) }
    }
}

impl<F: Scalar> Dots<'_, '_, F> {
    /// `M` rows of `A` from `row` on with `N` rows of `B` from `col` on.
    ///
    /// # Safety
    /// They must exist.
    #[inline(always)]
    unsafe fn tile<V: Vector<Scalar = F>, const M: usize, const N: usize>(&mut self, row: usize, col: usize) {
        let depth = self.a.cols;
        let mut sums = [[V::splat(F::ZERO); N]; M];
        for k in (0..depth).step_by(V::LANES) {
            let n = V::LANES.min(depth - k);
            // SAFETY: the caller guarantees the rows, k + n <= depth; lanes beyond are zero and add nothing.
            unsafe {
                let at = |x: &Mat<F>, r: usize| load::<V>(x.data.as_ptr().add(r * x.row_stride + k), n);
                let b: [V; N] = core::array::from_fn(|j| at(&self.b, col + j));
                for r in 0..M {
                    let a = at(&self.a, row + r);
                    for j in 0..N {
                        sums[r][j] = a.mul_add(b[j], sums[r][j]);
                    }
                }
            }
        }
        for r in 0..M {
            let to = &mut self.c.data[(row + r) * self.c.row_stride + col..][..N];
            for j in 0..N {
                let sum = sums[r][j].sum();
                to[j] = match self.start {
                    Start::Zero => sum,
                    Start::Add => to[j] + sum,
                    Start::Bias(bias) => bias[col + j] + sum,
                };
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
    fn products_of_rows_of_all_sizes_equal_the_plain_loops_and_depend_on_their_rows_alone() {
        for isa in Isa::available() {
            for m in [1, 2, 4, 5, 11] {
                for (k, n) in [(0, 3), (1, 1), (7, 3), (16, 8), (33, 13), (300, 21), (513, 8)] {
                    // Rows with a gap after each.
                    let (a, b, bias) = (numbers(m * (k + 2), 1), numbers(n * (k + 3), 2), numbers(n, 3));
                    let (a, b) = (Mat::strided(&a, m, k, k + 2), Mat::strided(&b, n, k, k + 3));
                    for start in [Start::Zero, Start::Add, Start::Bias(&bias[..])] {
                        let mut c = numbers(m * (n + 1), 4);
                        let (mut want, before) = (c.clone(), c.clone());
                        reference::gemm(a, b.t(), MatMut::strided(&mut want, m, n, n + 1), start);
                        gemm_rows_on(isa, a, b, MatMut::strided(&mut c, m, n, n + 1), start);
                        for (i, (got, want)) in c.iter().zip(&want).enumerate() {
                            assert!((got - want).abs() <= 1e-6 * k as f32, "{isa:?} [{m}, {k}] x [{k}, {n}] {i}");
                        }
                        for r in 0..m {
                            let mut one = before[r * (n + 1)..r * (n + 1) + n].to_vec();
                            let row = Mat::new(&a.data[r * (k + 2)..], 1, k);
                            gemm_rows_on(isa, row, b, MatMut::new(&mut one, 1, n), start);
                            assert_eq!(one, c[r * (n + 1)..r * (n + 1) + n]);
                        }
                    }
                }
            }
        }
    }
}
