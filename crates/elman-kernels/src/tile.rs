//! The inner loop of every product: a tile of rows times one panel of packed columns, held in registers.

use core::marker::PhantomData;

use crate::mat::Mat;
use crate::vector::Vector;

/// The words of a product's operands, along the depth.
pub(crate) trait Words<V: Vector> {
    /// One word.
    type Word: Copy;
    /// A register of words.
    type Register: Copy;
    /// Broadcasts the word at `p`.
    ///
    /// # Safety
    /// `p` must be valid for reading a word.
    unsafe fn splat(p: *const Self::Word) -> Self::Register;
    /// Reads `LANES` words.
    ///
    /// # Safety
    /// `p` must be valid for reading them.
    unsafe fn load(p: *const Self::Word) -> Self::Register;
    /// `sum + a b`.
    fn multiply_add(a: Self::Register, b: Self::Register, sum: V) -> V;
}

/// Unrounded operands: a word is an element.
pub(crate) struct Exact;

impl<V: Vector> Words<V> for Exact {
    type Word = V::Scalar;
    type Register = V;

    #[inline(always)]
    unsafe fn splat(p: *const V::Scalar) -> V {
        // SAFETY: guaranteed by the caller.
        V::splat(unsafe { p.read() })
    }
    #[inline(always)]
    unsafe fn load(p: *const V::Scalar) -> V {
        // SAFETY: guaranteed by the caller.
        unsafe { V::load(p) }
    }
    #[inline(always)]
    fn multiply_add(a: V, b: V, sum: V) -> V {
        a.mul_add(b, sum)
    }
}

/// The left operand of a product, provided a block at a time.
pub(crate) trait Left<W> {
    /// Most words of depth per block.
    fn depth(&self) -> usize;

    /// Location of the words `k..k + depth` of the rows `row..row + rows`: a pointer to the first, and the strides
    /// between rows and between `k`, in words. Valid until the next call.
    ///
    /// # Safety
    /// They must lie in the operand.
    unsafe fn block(&mut self, row: usize, rows: usize, k: usize, depth: usize) -> (*const W, usize, usize);
}

/// A left operand of unrounded elements, read in place or copied a block at a time.
pub(crate) struct Plain<'a, F> {
    data: *const F,
    row_stride: usize,
    k_stride: usize,
    depth: usize,
    matrix: PhantomData<&'a [F]>,
    /// `[depth, ROWS]`.
    copy: Option<&'a mut [F]>,
}

impl<'a, F> Plain<'a, F> {
    /// Rows of a block that is copied, at most.
    pub(crate) const ROWS: usize = 48;
    /// Depth of a block that is copied: beside it, a panel of the right operand stays in the L1 cache.
    const DEPTH: usize = 256;
    /// Elements of a copy.
    pub(crate) const COPY: usize = Self::ROWS * Self::DEPTH;

    #[inline(always)]
    pub(crate) fn new(a: Mat<'a, F>) -> Self {
        let (row_stride, k_stride) = (a.row_stride, a.col_stride);
        // Few passes over the result, whose rows are far apart; a panel is read sequentially, which even the L3 cache feeds
        // faster than it is used.
        Plain { data: a.data.as_ptr(), row_stride, k_stride, depth: 1024, matrix: PhantomData, copy: None }
    }

    /// Beside a right operand in rows, which are read once: some rows at a time, each from its beginning to its end.
    #[inline(always)]
    pub(crate) fn beside_rows(a: Mat<'a, F>) -> Self {
        Plain { depth: 16, ..Self::new(a) }
    }

    /// Copied into [`Self::COPY`] elements: columns that lie a power of two apart share few places of the L1 cache, so that each would
    /// be fetched anew for every panel. The rows must be neighbours.
    #[inline(always)]
    pub(crate) fn copied(a: Mat<'a, F>, copy: &'a mut [F]) -> Self {
        assert!(a.row_stride == 1 && copy.len() >= Self::COPY, "an operand that cannot be copied");
        Plain { depth: Self::DEPTH, copy: Some(copy), ..Self::new(a) }
    }
}

impl<F: Copy> Left<F> for Plain<'_, F> {
    #[inline(always)]
    fn depth(&self) -> usize {
        self.depth
    }

    #[inline(always)]
    unsafe fn block(&mut self, row: usize, rows: usize, k: usize, depth: usize) -> (*const F, usize, usize) {
        let first = self.data.wrapping_add(row * self.row_stride + k * self.k_stride);
        let Some(copy) = &mut self.copy else { return (first, self.row_stride, self.k_stride) };
        for (k, to) in copy.chunks_exact_mut(Self::ROWS).take(depth).enumerate() {
            // SAFETY: the caller guarantees that the rows, which are neighbours, lie in the operand.
            to[..rows].copy_from_slice(unsafe { core::slice::from_raw_parts(first.add(k * self.k_stride), rows) });
        }
        (copy.as_ptr(), 1, Self::ROWS)
    }
}

/// Rows of a tile from which on it prefetches.
const FETCHES: usize = 6;

/// What is read of a panel after this one, prefetched meanwhile: weights of more than the L2 cache holds come from the L3 cache, whose
/// delay the products hide.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<W> {
    /// Where the next part of the panel, or the next panel, begins; null where nothing is fetched.
    next: *const W,
    /// The tile's number among those that pass over this part: each fetches the lines behind those of the one before.
    tile: usize,
}

/// Weights of up to so many bytes stay in the L2 cache of any machine beside what else a step reads: fetching them costs 3 to 7 %.
const NEAR: usize = 512 << 10;

impl<W> Ahead<W> {
    /// Bytes of a cache line.
    const LINE: usize = 64;

    /// For a tile of a product with so many weights, the next of which begin at `next`.
    #[inline(always)]
    pub(crate) fn new(next: *const W, tile: usize, weights: usize) -> Self {
        let is_near = weights.saturating_mul(size_of::<W>()) <= NEAR;
        Ahead { next: if is_near { core::ptr::null() } else { next }, tile }
    }

    /// The first of the lines that a tile over `depth` words fetches, `lines` with each word.
    #[inline(always)]
    fn first(self, depth: usize, lines: usize) -> *const u8 {
        self.next.cast::<u8>().wrapping_add(self.tile * depth * lines * Self::LINE)
    }
}

/// `acc[r][j] += sum_k a[r * a_row + k * a_k] * b[k][j]` for `k` ascending; row `k` of `b`, `N * LANES`
/// words, begins at `k * b_k`.
///
/// # Safety
/// `a` must be readable at every `r * a_row + k * a_k`, `b` over all its rows.
#[inline(always)]
pub(crate) unsafe fn multiply<V: Vector, W: Words<V>, const M: usize, const N: usize>(
    depth: usize,
    a: *const W::Word,
    a_row: usize,
    a_k: usize,
    b: *const W::Word,
    b_k: usize,
    ahead: Ahead<W::Word>,
    acc: [[V; N]; M],
) -> [[V; N]; M] {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Few rows wait for their weights whatever is done.
        if M >= FETCHES && !ahead.next.is_null() {
            steps::<V, W, M, N, true>(depth, a, a_row, a_k, b, b_k, ahead, acc)
        } else {
            steps::<V, W, M, N, false>(depth, a, a_row, a_k, b, b_k, ahead, acc)
        }
    }
}

/// Rows that share a pointer: the second and third are one and two strides behind it, which is how x86 addresses memory.
const SHARE: usize = 3;
/// Most rows of a tile.
const MOST: usize = 12;

/// [`multiply`]. What a step does beside its products takes places of theirs in the processor: what is the same for all steps is
/// decided before, and pointers go along instead of being computed from `k`.
///
/// # Safety
/// As for [`multiply`].
#[inline(always)]
unsafe fn steps<V: Vector, W: Words<V>, const M: usize, const N: usize, const FETCH: bool>(
    depth: usize,
    a: *const W::Word,
    a_row: usize,
    a_k: usize,
    mut b: *const W::Word,
    b_k: usize,
    ahead: Ahead<W::Word>,
    mut acc: [[V; N]; M],
) -> [[V; N]; M] {
    let lines = N.div_ceil(2);
    let mut next = ahead.first(depth, lines);
    let mut a: [_; MOST / SHARE] = core::array::from_fn(|i| a.wrapping_add(i * SHARE * a_row));
    for _ in 0..depth {
        if FETCH {
            for line in 0..lines {
                V::prefetch_later(next.wrapping_add(line * Ahead::<W::Word>::LINE));
            }
            next = next.wrapping_add(lines * Ahead::<W::Word>::LINE);
        }
        // SAFETY: the caller guarantees both operands over the whole depth.
        unsafe {
            let row = |r: usize| W::splat(a[r / SHARE].add(r % SHARE * a_row));
            // The shorter side is held in registers, the longer one is streamed.
            if M <= N {
                let rows: [W::Register; M] = core::array::from_fn(row);
                for j in 0..N {
                    let column = W::load(b.add(j * V::LANES));
                    for r in 0..M {
                        acc[r][j] = W::multiply_add(rows[r], column, acc[r][j]);
                    }
                }
            } else {
                let columns: [W::Register; N] = core::array::from_fn(|j| W::load(b.add(j * V::LANES)));
                for r in 0..M {
                    let row = row(r);
                    for j in 0..N {
                        acc[r][j] = W::multiply_add(row, columns[j], acc[r][j]);
                    }
                }
            }
        }
        a = a.map(|a| a.wrapping_add(a_k));
        b = b.wrapping_add(b_k);
    }
    acc
}

/// Rows in tiles of at most `max`, about equal: `(first row, rows)`. Tiles of 5, 7, 9 and 11 rows are not compiled: they would be two
/// fifths of all code, and those beside them do as well. All divisions are in [`Tiles::new`]: tiles are taken for each panel anew, and
/// two divisions a tile were 2 % of a step.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    /// Rows of each tile but the last few, and how many such tiles.
    step: usize,
    steps: usize,
    /// The rows of the last few; 0 after them.
    last: [u8; LAST],
}

/// Tiles that two of the first may become at most, and an end.
const LAST: usize = 6;

impl Tiles {
    #[inline(always)]
    pub(crate) fn new(rows: usize, max: usize) -> Self {
        let step = Self::first(rows, max);
        let steps = if rows > 2 * step { (rows - 2 * step).div_ceil(step) } else { 0 };
        let (mut left, mut last) = (rows - steps * step, [0; LAST]);
        for tile in &mut last {
            if left == 0 {
                break;
            }
            let rows = Self::first(left, max);
            *tile = rows as u8;
            left -= rows;
        }
        debug_assert_eq!(left, 0);
        Tiles { step, steps, last }
    }

    /// Rows of the first tile of `left` rows.
    #[inline(always)]
    fn first(left: usize, max: usize) -> usize {
        let equal = left.div_ceil(left.div_ceil(max).max(1));
        match equal {
            5 | 7 | 9 | 11 if equal < left && equal < max => equal + 1,
            5 => 3,
            7 => 4,
            9 => 6,
            11 => 8,
            _ => equal,
        }
    }

    #[inline(always)]
    pub(crate) fn iter(self) -> impl Iterator<Item = (usize, usize)> {
        let (mut first, mut tile) = (0, 0);
        core::iter::from_fn(move || {
            let rows = if tile < self.steps { self.step } else { usize::from(*self.last.get(tile - self.steps)?) };
            (tile, first) = (tile + 1, first + rows);
            (rows > 0).then(|| (first - rows, rows))
        })
    }
}

/// An operation on a tile whose number of rows is known at compile time.
pub(crate) trait ForRows {
    /// Runs it for `M` rows.
    ///
    /// # Safety
    /// The implementor says.
    unsafe fn run<const M: usize>(self);
}

/// Runs `tile` for `rows` rows, a number of [`Tiles`] of `max`.
///
/// # Safety
/// That of `tile`.
#[inline(always)]
pub(crate) unsafe fn for_rows<T: ForRows>(rows: usize, max: usize, tile: T) {
    debug_assert!(rows >= 1 && rows <= max && max <= MOST);
    // SAFETY: guaranteed by the caller. `max` is a constant of the instruction set: arms above it are not compiled.
    unsafe {
        match rows {
            1 => tile.run::<1>(),
            2 if max >= 2 => tile.run::<2>(),
            3 if max >= 3 => tile.run::<3>(),
            4 if max >= 4 => tile.run::<4>(),
            6 if max >= 6 => tile.run::<6>(),
            8 if max >= 8 => tile.run::<8>(),
            10 if max >= 10 => tile.run::<10>(),
            12 if max >= 12 => tile.run::<12>(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_hold_every_row_once_in_sizes_that_are_compiled() {
        for max in 1..=12 {
            for rows in 0..100 {
                let mut next = 0;
                for (first, count) in Tiles::new(rows, max).iter() {
                    assert!(
                        first == next && count <= max && [1, 2, 3, 4, 6, 8, 10, 12].contains(&count),
                        "{rows} {max}"
                    );
                    next += count;
                }
                assert_eq!(next, rows, "{max}");
            }
        }
        let of = |rows, max| Tiles::new(rows, max).iter().map(|(_, rows)| rows).collect::<std::vec::Vec<_>>();
        assert_eq!((of(16, 6), of(16, 8), of(48, 12), of(5, 6)), (vec![6, 6, 4], vec![8, 8], vec![12; 4], vec![3, 2]));
    }
}
