//! The inner loop of every product: a tile of rows times one panel of packed columns, held in registers.

use crate::vector::Vector;

/// `acc[r][j] += sum_k a[r * a_row + k * a_k] * b[k][j]` for `k` ascending; row `k` of `b`, `N * LANES`
/// elements, begins at `k * b_k`.
///
/// # Safety
/// `a` must be readable at every `r * a_row + k * a_k`, `b` over all its rows.
#[inline(always)]
pub(crate) unsafe fn multiply<V: Vector, const M: usize, const N: usize>(
    depth: usize,
    a: *const V::Scalar,
    a_row: usize,
    a_k: usize,
    b: *const V::Scalar,
    b_k: usize,
    mut acc: [[V; N]; M],
) -> [[V; N]; M] {
    for k in 0..depth {
        // SAFETY: the caller vouches for both operands over the whole depth.
        unsafe {
            let a = a.add(k * a_k);
            let b = b.add(k * b_k);
            // The shorter side is held in registers, the longer one passes through.
            if M <= N {
                let rows: [V; M] = core::array::from_fn(|r| V::splat(*a.add(r * a_row)));
                for j in 0..N {
                    let column = V::load(b.add(j * V::LANES));
                    for r in 0..M {
                        acc[r][j] = rows[r].mul_add(column, acc[r][j]);
                    }
                }
            } else {
                let columns: [V; N] = core::array::from_fn(|j| V::load(b.add(j * V::LANES)));
                for r in 0..M {
                    let row = V::splat(*a.add(r * a_row));
                    for j in 0..N {
                        acc[r][j] = row.mul_add(columns[j], acc[r][j]);
                    }
                }
            }
        }
    }
    acc
}

/// Rows in tiles of at most `max`, as equal as can be: `(first row, rows)`.
#[derive(Clone, Copy)]
pub(crate) struct Tiles {
    rows: usize,
    count: usize,
}

impl Tiles {
    #[inline(always)]
    pub(crate) fn new(rows: usize, max: usize) -> Self {
        Tiles { rows, count: rows.div_ceil(max) }
    }

    #[inline(always)]
    pub(crate) fn iter(self) -> impl Iterator<Item = (usize, usize)> {
        let (base, longer) = (self.rows / self.count.max(1), self.rows % self.count.max(1));
        (0..self.count).map(move |i| (i * base + i.min(longer), base + usize::from(i < longer)))
    }
}

/// Something to do for a tile whose number of rows is known when compiled.
pub(crate) trait ForRows {
    /// Runs it for `M` rows.
    ///
    /// # Safety
    /// The implementor says.
    unsafe fn run<const M: usize>(self);
}

/// Runs `tile` for `rows` rows, which are from 1 to `max`.
///
/// # Safety
/// That of `tile`.
#[inline(always)]
pub(crate) unsafe fn for_rows<T: ForRows>(rows: usize, max: usize, tile: T) {
    debug_assert!(rows >= 1 && rows <= max && max <= 12);
    // SAFETY: the caller vouches. `max` is a constant of the instruction set: arms above it are not compiled.
    unsafe {
        match rows {
            1 => tile.run::<1>(),
            2 if max >= 2 => tile.run::<2>(),
            3 if max >= 3 => tile.run::<3>(),
            4 if max >= 4 => tile.run::<4>(),
            5 if max >= 5 => tile.run::<5>(),
            6 if max >= 6 => tile.run::<6>(),
            7 if max >= 7 => tile.run::<7>(),
            8 if max >= 8 => tile.run::<8>(),
            9 if max >= 9 => tile.run::<9>(),
            10 if max >= 10 => tile.run::<10>(),
            11 if max >= 11 => tile.run::<11>(),
            12 if max >= 12 => tile.run::<12>(),
            _ => {}
        }
    }
}
