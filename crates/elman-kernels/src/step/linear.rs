//! A linear layer, run as a stateless cell.

use super::panels::Panels;
use super::product::{Cell, PARTS, Scratch, Start, run, run_rows};
use super::states::{Rows, row_major, rows};
use crate::mat::size;
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

/// As [`linear`] for `rows` rows that lie apart: `x` and `y` are each given with the number of values from the beginning
/// of one row to that of the next. What lies between the rows of `y` stays.
///
/// # Panics
/// If a slice is too short for its rows, or a row of `y` reaches into the next.
pub fn linear_rows(
    panels: &Panels,
    bias: &[f32],
    (x, x_stride): (&[f32], usize),
    (y, y_stride): (&mut [f32], usize),
    rows: usize,
    scratch: &mut Scratch,
) {
    if rows == 0 {
        return;
    }
    let reach = size([rows - 1, y_stride]).saturating_add(panels.units());
    assert!(y.len() >= reach && (rows == 1 || y_stride >= panels.units()), "the output is too short for its rows");
    let cell = Linear(Rows::apart(y, y_stride));
    // SAFETY: `y` has `rows` rows of `units`, each `y_stride` after the one before.
    unsafe { run_rows(panels, Start::Bias(bias), rows, [(&[], 0), (x, x_stride)], scratch, false, cell) }
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
