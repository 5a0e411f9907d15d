//! Products of operands rounded to bfloat16: pairs of neighbours along the depth in one word, accumulated in full
//! precision.

use core::mem::MaybeUninit;

use crate::mat::Mat;
use crate::scalar::Scalar;
use crate::tile::{Left, Words};
use crate::vector::PairVector;

/// What the operands of a product are rounded to before multiplication; accumulation is in full precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operands {
    /// Not rounded.
    #[default]
    Exact,
    /// The nearest bfloat16 (8 significant bits): twice as fast where the CPU multiplies them.
    Bf16,
}

/// Rows of the left operand rounded at a time.
const ROWS: usize = 48;
/// Words of a row rounded at a time.
const DEPTH: usize = 512;
/// Words between rows, so that they do not map to the same few cache sets.
const APART: usize = 16;

/// Operands in pairs of bfloat16.
pub(crate) struct Pairs;

impl<V: PairVector> Words<V> for Pairs {
    type Word = u32;
    type Register = V::Pairs;

    #[inline(always)]
    unsafe fn splat(p: *const u32) -> V::Pairs {
        // SAFETY: guaranteed by the caller.
        V::splat_pair(unsafe { p.read() })
    }
    #[inline(always)]
    unsafe fn load(p: *const u32) -> V::Pairs {
        // SAFETY: guaranteed by the caller.
        unsafe { V::load_pairs(p) }
    }
    #[inline(always)]
    fn multiply_add(a: V::Pairs, b: V::Pairs, sum: V) -> V {
        sum.multiply_add_pairs(a, b)
    }
}

/// Words of a row of `depth` elements.
pub(crate) fn words(depth: usize) -> usize {
    depth.div_ceil(2)
}

#[inline(always)]
fn pair<F: Scalar>(even: F, odd: F) -> u32 {
    u32::from(even.to_bf16()) | u32::from(odd.to_bf16()) << 16
}

/// Rounds a row; an odd length is padded with a zero.
#[inline(always)]
fn round_row<F: Scalar>(row: &[F], to: &mut [MaybeUninit<u32>]) {
    let (whole, rest) = row.as_chunks();
    for (to, &[even, odd]) in to.iter_mut().zip(whole) {
        to.write(pair(even, odd));
    }
    if let [last] = *rest {
        to[whole.len()].write(pair(last, F::ZERO));
    }
}

/// Rounds two consecutive rows into interleaved words.
#[inline(always)]
fn round_rows<F: Scalar>(even: &[F], odd: Option<&[F]>, to: &mut [MaybeUninit<u32>]) {
    match odd {
        Some(odd) => to.iter_mut().zip(even.iter().zip(odd)).for_each(|(to, (&e, &o))| _ = to.write(pair(e, o))),
        None => to.iter_mut().zip(even).for_each(|(to, &e)| _ = to.write(pair(e, F::ZERO))),
    }
}

/// The left operand of a product, rounded a block at a time.
pub(crate) struct RoundedLeft<'a, F> {
    a: Mat<'a, F>,
    words: [MaybeUninit<u32>; ROWS * (DEPTH + APART)],
    /// The first of the rows that `words` holds completely.
    held: Option<usize>,
}

impl<'a, F: Scalar> RoundedLeft<'a, F> {
    #[inline(always)]
    pub(crate) fn new(a: Mat<'a, F>) -> Self {
        debug_assert!(a.col_stride == 1 || a.row_stride == 1);
        RoundedLeft { a, words: [MaybeUninit::uninit(); _], held: None }
    }
}

impl<F: Scalar> Left<u32> for RoundedLeft<'_, F> {
    #[inline(always)]
    fn depth(&self) -> usize {
        DEPTH
    }

    #[inline(always)]
    unsafe fn block(&mut self, row: usize, rows: usize, k: usize, depth: usize) -> (*const u32, usize, usize) {
        let a = self.a;
        let all = words(a.cols);
        // Short rows are rounded once and reused.
        let is_whole = all <= DEPTH;
        let (first, len) = if is_whole { (0, all) } else { (k, depth) };
        let (row_stride, k_stride) = if a.col_stride == 1 { (len + APART, 1) } else { (1, ROWS) };
        if !is_whole || self.held != Some(row) {
            self.held = Some(row);
            let cols = 2 * first..a.cols.min(2 * (first + len));
            if a.col_stride == 1 {
                for (r, to) in self.words.chunks_exact_mut(row_stride).take(rows).enumerate() {
                    let from = (row + r) * a.row_stride;
                    round_row(&a.data[from + cols.start..from + cols.end], to);
                }
            } else {
                for (col, to) in cols.clone().step_by(2).zip(self.words.chunks_exact_mut(ROWS)) {
                    let column = |col: usize| &a.data[col * a.col_stride + row..][..rows];
                    round_rows(column(col), (col + 1 < cols.end).then(|| column(col + 1)), to);
                }
            }
        }
        (self.words.as_ptr().wrapping_add((k - first) * k_stride).cast(), row_stride, k_stride)
    }
}

/// Rounds columns `col..col + n` of `b` into `lanes` lanes from `at` on of a panel, zeros into the lanes after them.
#[inline(always)]
pub(crate) fn pack_part<F: Scalar>(
    b: Mat<F>,
    col: usize,
    n: usize,
    lanes: usize,
    panel: &mut [u32],
    at: usize,
    width: usize,
) {
    /// Words rounded at a time where they are contiguous.
    const BLOCK: usize = 16;
    let lines = |first: usize| (first..words(b.rows)).map(move |k| k * width + at..k * width + at + lanes);
    for line in lines(0) {
        panel[line][n..].fill(0);
    }
    if n == 0 {
        return;
    }
    if b.col_stride == 1 {
        let row = |k: usize| &b.data[k * b.row_stride + col..][..n];
        let mut rounded = [MaybeUninit::uninit(); 16];
        for (k, line) in lines(0).enumerate() {
            round_rows(row(2 * k), (2 * k + 1 < b.rows).then(|| row(2 * k + 1)), &mut rounded[..n]);
            for (to, word) in panel[line].iter_mut().zip(&rounded[..n]) {
                // SAFETY: `round_rows` wrote n words.
                *to = unsafe { word.assume_init() };
            }
        }
        return;
    }
    for first in (0..words(b.rows)).step_by(BLOCK) {
        let rows = 2 * first..b.rows.min(2 * (first + BLOCK));
        for j in 0..n {
            let mut rounded = [MaybeUninit::uninit(); BLOCK];
            let column = (col + j) * b.col_stride;
            round_row(&b.data[column + rows.start..column + rows.end], &mut rounded);
            for (line, word) in lines(first).zip(&rounded[..words(rows.len())]) {
                // SAFETY: `round_row` wrote as many words.
                panel[line.start + j] = unsafe { word.assume_init() };
            }
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::{Isa, MatMut, Packed, Scratch, Start, gemm, gemm_unpacked_of, reference};
    use alloc::vec::Vec;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| (((i * 7919 + seed * 104_729) % 2003) as f32) / 1001.5 - 1.0).collect()
    }

    /// The rounded values.
    fn rounded(x: &[f32]) -> Vec<f32> {
        x.iter().map(|x| f32::from_bits(u32::from(x.to_bf16()) << 16)).collect()
    }

    fn bf16(isa: Isa, b: Mat<f32>) -> Packed<f32> {
        let mut packed = Packed::new();
        packed.set_operands(Operands::Bf16);
        packed.pack_on(isa, b, 1);
        packed
    }

    #[test]
    fn bf16_products_are_bit_identical_on_every_isa_and_near_f64() {
        for (k, n) in [(1, 1), (2, 16), (3, 7), (31, 33), (64, 9), (300, 65), (1030, 20), (2050, 5)] {
            for m in [1, 2, 7, 13, 60] {
                let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
                let (near_a, near_b) = (rounded(&a), rounded(&b));
                for transposed in [false, true] {
                    let view =
                        |x, rows, cols| if transposed { Mat::new(x, cols, rows).t() } else { Mat::new(x, rows, cols) };
                    for start in [Start::Zero, Start::Add, Start::Bias(&bias[..])] {
                        // Dirty memory, and a column beyond each row that must survive.
                        let dirty = numbers(m * (n + 1), 4);
                        let mut want = dirty.clone();
                        let into = MatMut::strided(&mut want, m, n, n + 1);
                        reference::gemm(view(&near_a, m, k), view(&near_b, k, n), into, start);
                        let mut plain = None;
                        let all = Isa::available().flat_map(|isa| [isa, isa.with_pair_products()]);
                        for isa in all {
                            let mut c = dirty.clone();
                            let into = MatMut::strided(&mut c, m, n, n + 1);
                            gemm(view(&a, m, k), &bf16(isa, view(&b, k, n)), into, start);
                            for (got, want) in c.iter().zip(&want) {
                                let near = (got - want).abs() <= 1e-6 * k as f32;
                                assert!(near, "{isa:?} [{m}, {k}] x [{k}, {n}]: {got} {want}");
                            }
                            assert_eq!(plain.get_or_insert_with(|| c.clone()), &c, "{isa:?} [{m}, {k}] x [{k}, {n}]");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn unpacked_equals_packed_and_rows_are_independent_bit_for_bit() {
        let (m, k, n) = (61, 2101, 45);
        let (a, b) = (numbers(k * m, 5), numbers(k * n, 6));
        let (a, b) = (Mat::new(&a, k, m).t(), Mat::new(&b, k, n));
        let (mut one, mut two) = (numbers(m * n, 7), numbers(m * n, 7));
        let packed = bf16(Isa::best(), b);
        gemm(a, &packed, MatMut::new(&mut one, m, n), Start::Add);
        let into = MatMut::new(&mut two, m, n);
        gemm_unpacked_of(Operands::Bf16, a, b, into, Start::Add, &mut Scratch::default());
        assert_eq!(one, two);
        let last = Mat { data: &a.data[m - 1..], rows: 1, ..a };
        let mut row = numbers(m * n, 7)[(m - 1) * n..].to_vec();
        gemm(last, &packed, MatMut::new(&mut row, 1, n), Start::Add);
        assert_eq!(row, one[(m - 1) * n..]);
    }

    #[test]
    fn non_finite_values_stay_non_finite() {
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut c = [0.0];
            let packed = bf16(Isa::best(), Mat::new(&[1.0, 1.0], 2, 1));
            gemm(Mat::new(&[x, 1.0], 1, 2), &packed, MatMut::new(&mut c, 1, 1), Start::Zero);
            assert!(if x.is_nan() { c[0].is_nan() } else { c[0] == x }, "{x} {c:?}");
        }
    }
}
