//! A linear layer, run as a stateless cell.

use super::panels::Panels;
use super::product::{Cell, PARTS, Scratch, Start, run};
use super::states::{Rows, row_major, rows};
use crate::vector::Vector;

/// A linear layer: `y` `[B, V]` from `x` `[B, I]`, packed as the recurrent matrix of one gate with an empty input
/// matrix.
///
/// # Panics
/// If a slice length does not match.
pub fn linear(panels: &Panels, bias: &[f32], x: &[f32], y: &mut [f32], scratch: &mut Scratch, backwards: bool) {
    let rows = rows(panels, y);
    // SAFETY: `y` has `rows` rows of `units`.
    unsafe { run(panels, Start::Bias(bias), rows, &[], x, scratch, backwards, Linear(row_major(panels, y))) }
}

/// `y = a`.
#[derive(Clone, Copy)]
struct Linear(Rows);

impl Cell for Linear {
    const GATES: usize = 1;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, a: [V; PARTS]) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.0.write(row, unit, n, a[0]) }
    }
}
