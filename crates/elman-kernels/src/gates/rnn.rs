//! Elman's simple recurrent network, one step: `h = tanh(a)` or `relu(a)` with `a = W_xh x + W_hh h_prev + b`.

use super::{Ending, Epilogue, registers};
use crate::activation;
use crate::compiled::compiled;
use crate::gemm::{PLAIN, Packed};
use crate::isa::Isa;
use crate::scalar::Scalar;
use crate::step::panels::Panels;
use crate::step::product::{Cell, PARTS, Scratch, Start, run};
use crate::step::states::{Rows, row_major, rows};
use crate::vector::{Kernel, Vector, load, store};

/// The nonlinearity of a simple recurrent network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// `tanh`, as in Elman 1990.
    Tanh,
    /// `max(0, a)`.
    Relu,
}

/// Forward over `B` rows: `h` `[B, H]` holds `W_xh x + b` and becomes the new state, from `h_prev` `[B, H]`. `w_hh` is
/// packed without gates.
///
/// # Panics
/// If a slice length does not match.
pub fn forward<F: Scalar>(w_hh: &Packed<F>, nonlinearity: Nonlinearity, h_prev: &[F], h: &mut [F]) {
    compiled!(F: fn(w_hh: &Packed<f32>, nonlinearity: Nonlinearity, h_prev: &[f32], h: &mut [f32]) {
        forward_of(w_hh, nonlinearity, h_prev, h)
    });
}

pub(crate) fn forward_of<F: Scalar>(w_hh: &Packed<F>, nonlinearity: Nonlinearity, h_prev: &[F], h: &mut [F]) {
    let hidden = w_hh.depth();
    let packed = w_hh.gates == 1 && hidden > 0 && w_hh.cols() == hidden;
    assert!(packed, "w_hh is not packed for a simple recurrent network");
    let rows = h.len() == h_prev.len() && h.len().is_multiple_of(hidden);
    assert!(rows, "the states h_prev and h of a step differ in rows");
    super::forward(w_hh, h_prev, Forward { nonlinearity, h, hidden });
}

/// [`forward`] over pre-activations `h` that are complete, the recurrent product in them.
pub fn activate<F: Scalar>(nonlinearity: Nonlinearity, h: &mut [F]) {
    match nonlinearity {
        Nonlinearity::Tanh => activation::tanh(h),
        Nonlinearity::Relu => activation::relu(h),
    }
}

struct Forward<'a, F> {
    nonlinearity: Nonlinearity,
    h: &'a mut [F],
    hidden: usize,
}

impl<F: Scalar> Ending<F, PLAIN> for Forward<'_, F> {
    type End<V: Vector<Scalar = F>> = End<V>;
    #[inline(always)]
    fn end<V: Vector<Scalar = F>>(&mut self) -> End<V> {
        End { hidden: self.hidden, h: self.h.as_mut_ptr(), nonlinearity: self.nonlinearity }
    }
}

struct End<V: Vector> {
    hidden: usize,
    h: *mut V::Scalar,
    nonlinearity: Nonlinearity,
}

impl<V: Vector> End<V> {
    /// The first unit of a register, and how many there are.
    #[inline(always)]
    fn units(&self, panel: usize, part: usize) -> (usize, usize) {
        let unit = (panel * PLAIN + part) * V::LANES;
        (unit, self.hidden.saturating_sub(unit).min(V::LANES))
    }
}

impl<V: Vector> Epilogue<V, PLAIN> for End<V> {
    #[inline(always)]
    unsafe fn start(&self, row: usize, panel: usize) -> [V; PLAIN] {
        core::array::from_fn(|part| {
            let (unit, n) = self.units(panel, part);
            // SAFETY: row and unit lie within the step; where n is 0 nothing is read.
            unsafe { load(self.h.wrapping_add(row * self.hidden + unit), n) }
        })
    }

    #[inline(always)]
    fn prefetch(&self, row: usize, panel: usize) {
        for part in 0..PLAIN {
            V::prefetch(self.h.wrapping_add(row * self.hidden + (panel * PLAIN + part) * V::LANES));
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, row: usize, panel: usize, a: [V; PLAIN]) {
        for (part, a) in a.into_iter().enumerate() {
            let (unit, n) = self.units(panel, part);
            let h = match self.nonlinearity {
                Nonlinearity::Tanh => a.tanh(),
                Nonlinearity::Relu => a.relu(),
            };
            // SAFETY: as in `start`.
            unsafe { store(h, self.h.wrapping_add(row * self.hidden + unit), n) };
        }
    }
}

/// The pointwise half of a backward step over `B` rows: `dh` `[B, H]`, dL/dh_t in full, becomes `da`; `h` `[B, H]` is
/// the state of the step.
///
/// # Panics
/// If the lengths differ.
pub fn backward<F: Scalar>(nonlinearity: Nonlinearity, h: &[F], dh: &mut [F]) {
    compiled!(F: fn(nonlinearity: Nonlinearity, h: &[f32], dh: &mut [f32]) {
        backward_on(Isa::best(), nonlinearity, h, dh)
    });
}

pub(crate) fn backward_on<F: Scalar>(isa: Isa, nonlinearity: Nonlinearity, h: &[F], dh: &mut [F]) {
    assert_eq!(h.len(), dh.len(), "h and dh of a step differ in rows");
    F::run(isa, Backward { nonlinearity, h, dh });
}

struct Backward<'a, F> {
    nonlinearity: Nonlinearity,
    h: &'a [F],
    dh: &'a mut [F],
}

impl<F: Scalar> Kernel<F> for Backward<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let one = V::splat(F::ONE);
        registers::<V>(self.h.len(), |at, n| {
            // SAFETY: both slices have `at + n` elements.
            unsafe {
                let h: V = load(self.h.as_ptr().add(at), n);
                let dh: V = load(self.dh.as_ptr().add(at), n);
                let da = match self.nonlinearity {
                    Nonlinearity::Tanh => dh.mul(one.sub(h.mul(h))),
                    Nonlinearity::Relu => h.where_positive(dh),
                };
                store(da, self.dh.as_mut_ptr().add(at), n);
            }
        });
    }
}

/// One inference step over few rows: `h` `[B, H]` from `x` `[B, I]` and `h_prev` `[B, H]`.
///
/// # Panics
/// If a slice length does not match, or a token has no row in the table.
pub fn step(
    panels: &Panels,
    nonlinearity: Nonlinearity,
    start: Start,
    x: &[f32],
    h_prev: &[f32],
    h: &mut [f32],
    scratch: &mut Scratch,
    backwards: bool,
) {
    let rows = rows(panels, h);
    // SAFETY: `h` has `rows` rows of `units`.
    unsafe {
        match nonlinearity {
            Nonlinearity::Tanh => {
                run(panels, start, rows, x, h_prev, scratch, backwards, TanhStep(row_major(panels, h)))
            }
            Nonlinearity::Relu => {
                run(panels, start, rows, x, h_prev, scratch, backwards, ReluStep(row_major(panels, h)))
            }
        }
    }
}

/// `h = tanh(a)`.
#[derive(Clone, Copy)]
struct TanhStep(Rows);

impl Cell for TanhStep {
    const GATES: usize = 1;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, a: [V; PARTS]) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.0.write(row, unit, n, a[0].tanh()) }
    }
}

/// `h = relu(a)`.
#[derive(Clone, Copy)]
struct ReluStep(Rows);

impl Cell for ReluStep {
    const GATES: usize = 1;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, a: [V; PARTS]) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.0.write(row, unit, n, a[0].relu()) }
    }
}
