//! The states of a step's rows, as the cells' epilogues read and write them.

use super::panels::Panels;
use crate::vector::{Vector, load, store};

/// `B`, the rows of a state `[B, H]`.
///
/// # Panics
/// If the length is not a multiple of `H`.
pub(crate) fn rows(panels: &Panels, h: &[f32]) -> usize {
    let rows = h.len() / panels.units.max(1);
    assert_eq!(h.len(), rows * panels.units, "a state is [B, H]");
    rows
}

/// Rows of `units` values to write.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    data: *mut f32,
    /// From the beginning of one row to that of the next.
    pub(crate) units: usize,
}

/// The rows of `data` `[B, H]`.
pub(crate) fn row_major(panels: &Panels, data: &mut [f32]) -> Rows {
    Rows { data: data.as_mut_ptr(), units: panels.units }
}

impl Rows {
    /// Rows of `data` that begin `stride` values one after another.
    pub(crate) fn apart(data: &mut [f32], stride: usize) -> Self {
        Rows { data: data.as_mut_ptr(), units: stride }
    }

    /// Writes `n` units of a row from `unit` on.
    ///
    /// # Safety
    /// Row and units must exist.
    #[inline(always)]
    pub(crate) unsafe fn write<V: Vector<Scalar = f32>>(self, row: usize, unit: usize, n: usize, value: V) {
        // SAFETY: guaranteed by the caller.
        unsafe { store(value, self.data.add(row * self.units + unit), n) }
    }

    /// The same units of another array with as many rows.
    ///
    /// # Safety
    /// Row and units must exist there.
    #[inline(always)]
    pub(crate) unsafe fn read<V: Vector<Scalar = f32>>(
        self,
        other: *const f32,
        row: usize,
        unit: usize,
        n: usize,
    ) -> V {
        // SAFETY: guaranteed by the caller.
        unsafe { load(other.add(row * self.units + unit), n) }
    }
}
