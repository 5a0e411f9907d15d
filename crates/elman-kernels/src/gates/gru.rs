//! Gated recurrent unit, one step: `r, z = sigmoid(a)`, `h = (1 - z) n + z h_prev`.
//!
//! [`forward`] applies the reset gate after the recurrent product (cuDNN's and PyTorch's form, Keras' `reset_after`):
//! `n = tanh(a_n + r q)` with `q = W_hn h_prev + b_hn`. The form of Cho et al. 2014, `n = tanh(a_n + W_hn (r h_prev))`,
//! needs the product between its two halves: [`reset`], then the product, then [`update`].
//!
//! A row of the gates has four parts, `r, z, n, q`, so that it holds both halves of the gradient: `da` of the input
//! product is `r, z, n`, that of the recurrent product `r, z, q`. In the reset-before form the fourth part is
//! `r h_prev`.

use super::{Ending, Epilogue, registers, stride_of};
use crate::compiled::compiled;
use crate::gemm::Packed;
use crate::isa::Isa;
use crate::mat::size;
use crate::scalar::Scalar;
use crate::step::panels::Panels;
use crate::step::product::{Cell, PARTS, Scratch, Start, run};
use crate::step::states::{Rows, row_major, rows};
use crate::vector::{Kernel, Vector, load, store};

/// Forward over `B` rows. `a` `[B, 4H]`, whose rows may be strided, holds in its first three parts `W_xh x + b` (for
/// `n` without `b_hn`) and becomes `r, z, n, q`; writes `h` `[B, H]` from `h_prev` `[B, H]`. `w_hh` is packed with
/// three gates; `b_hn` `[H]`.
///
/// # Panics
/// If a slice length does not match.
pub fn forward<F: Scalar>(w_hh: &Packed<F>, b_hn: &[F], h_prev: &[F], a: &mut [F], h: &mut [F]) {
    compiled!(F: fn(w_hh: &Packed<f32>, b_hn: &[f32], h_prev: &[f32], a: &mut [f32], h: &mut [f32]) {
        forward_of(w_hh, b_hn, h_prev, a, h)
    });
}

pub(crate) fn forward_of<F: Scalar>(w_hh: &Packed<F>, b_hn: &[F], h_prev: &[F], a: &mut [F], h: &mut [F]) {
    let hidden = w_hh.depth();
    let packed = w_hh.gates == 3 && hidden > 0 && w_hh.cols() == size([3, hidden]);
    assert!(packed, "w_hh is not packed for a GRU");
    assert!(
        h.len() == h_prev.len() && h.len().is_multiple_of(hidden) && b_hn.len() == hidden,
        "the states h_prev and h of a GRU step differ in rows, or b_hn in units"
    );
    let stride = stride_of(a.len(), h.len() / hidden, size([4, hidden]));
    super::forward(w_hh, h_prev, Forward { b_hn: Some(b_hn), h_prev, a, stride, h, hidden });
}

/// [`forward`] over pre-activations `a` that are complete: `r` and `z` with the recurrent product in them, and in the fourth
/// part `q = W_hn h_prev + b_hn`.
///
/// # Panics
/// If a slice length does not match.
pub fn activate<F: Scalar>(hidden: usize, h_prev: &[F], a: &mut [F], h: &mut [F]) {
    compiled!(F: fn(hidden: usize, h_prev: &[f32], a: &mut [f32], h: &mut [f32]) { activate_of(hidden, h_prev, a, h) });
}

pub(crate) fn activate_of<F: Scalar>(hidden: usize, h_prev: &[F], a: &mut [F], h: &mut [F]) {
    assert!(hidden > 0, "hidden must be at least 1");
    let rows = h.len() / hidden;
    assert!(
        h.len() == rows * hidden && h_prev.len() == h.len(),
        "the states h_prev and h of a GRU step differ in rows"
    );
    let stride = stride_of(a.len(), rows, size([4, hidden]));
    super::finish(rows, 3, hidden, Forward { b_hn: None, h_prev, a, stride, h, hidden });
}

struct Forward<'a, F> {
    /// None where `q` is complete.
    b_hn: Option<&'a [F]>,
    h_prev: &'a [F],
    a: &'a mut [F],
    stride: usize,
    h: &'a mut [F],
    hidden: usize,
}

impl<F: Scalar> Ending<F, 3> for Forward<'_, F> {
    type End<V: Vector<Scalar = F>> = End<V>;
    #[inline(always)]
    fn end<V: Vector<Scalar = F>>(&mut self) -> End<V> {
        let a = self.a.as_mut_ptr();
        let (q, q_stride) = match self.b_hn {
            Some(b_hn) => (b_hn.as_ptr(), 0),
            None => (a.cast_const().wrapping_add(3 * self.hidden), self.stride),
        };
        End {
            hidden: self.hidden,
            q,
            q_stride,
            h_prev: self.h_prev.as_ptr(),
            a,
            stride: self.stride,
            h: self.h.as_mut_ptr(),
        }
    }
}

struct End<V: Vector> {
    hidden: usize,
    /// What `q` begins with: a row for all, or one for each.
    q: *const V::Scalar,
    q_stride: usize,
    h_prev: *const V::Scalar,
    a: *mut V::Scalar,
    stride: usize,
    h: *mut V::Scalar,
}

impl<V: Vector> Epilogue<V, 3> for End<V> {
    #[inline(always)]
    unsafe fn start(&self, row: usize, panel: usize) -> [V; 3] {
        let unit = panel * V::LANES;
        let n = V::LANES.min(self.hidden - unit);
        // SAFETY: row and unit lie within the step; each part of a row has `hidden` elements, the bias as many.
        unsafe {
            let part = |g: usize| load(self.a.add(row * self.stride + g * self.hidden + unit), n);
            [part(0), part(1), load(self.q.add(row * self.q_stride + unit), n)]
        }
    }

    #[inline(always)]
    fn prefetch(&self, row: usize, panel: usize) {
        let unit = panel * V::LANES;
        for g in 0..4 {
            V::prefetch(self.a.wrapping_add(row * self.stride + g * self.hidden + unit));
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, row: usize, panel: usize, [r, z, q]: [V; 3]) {
        let hidden = self.hidden;
        let unit = panel * V::LANES;
        let n = V::LANES.min(hidden - unit);
        // SAFETY: as in `start`; states have `hidden` elements in a row.
        unsafe {
            let part = |g: usize| self.a.add(row * self.stride + g * hidden + unit);
            let (r, z) = (r.sigmoid(), z.sigmoid());
            let candidate = r.mul_add(q, load(part(2), n)).tanh();
            let h_prev: V = load(self.h_prev.add(row * hidden + unit), n);
            // (1 - z) n + z h_prev = n + z (h_prev - n)
            let h = z.mul_add(h_prev.sub(candidate), candidate);
            store(h, self.h.add(row * hidden + unit), n);
            for (g, value) in [r, z, candidate, q].into_iter().enumerate() {
                store(value, part(g), n);
            }
        }
    }
}

/// What a pointwise body does with the four parts of a register of units; returns them and the new `x`.
trait Pointwise<F: Scalar> {
    fn units<V: Vector<Scalar = F>>(&self, parts: [V; 4], h_prev: V, x: V) -> ([V; 4], V);
}

/// Runs a pointwise body over `B` rows of gates `a` `[B, 4H]`, `h_prev` and `x` `[B, H]`.
struct OverRows<'a, F, P> {
    hidden: usize,
    a: &'a mut [F],
    stride: usize,
    h_prev: &'a [F],
    x: &'a mut [F],
    body: P,
}

fn over_rows<F: Scalar, P: Pointwise<F>>(isa: Isa, hidden: usize, a: &mut [F], h_prev: &[F], x: &mut [F], body: P) {
    assert!(hidden > 0, "hidden must be at least 1");
    let rows = x.len() == h_prev.len() && x.len().is_multiple_of(hidden);
    assert!(rows, "h_prev and the other state of a GRU step differ in rows");
    let stride = stride_of(a.len(), x.len() / hidden, size([4, hidden]));
    F::run(isa, OverRows { hidden, a, stride, h_prev, x, body });
}

impl<F: Scalar, P: Pointwise<F>> Kernel<F> for OverRows<'_, F, P> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let hidden = self.hidden;
        for row in 0..self.x.len() / hidden {
            registers::<V>(hidden, |unit, n| {
                let at = row * hidden + unit;
                let a = self.a.as_mut_ptr();
                // SAFETY: `over_rows` checked that the states and `a` have this row.
                unsafe {
                    let part = |g: usize| a.add(row * self.stride + g * hidden + unit);
                    let parts = [0, 1, 2, 3].map(|g| load::<V>(part(g), n));
                    let h_prev = load(self.h_prev.as_ptr().add(at), n);
                    let x = load(self.x.as_ptr().add(at), n);
                    let (parts, x) = self.body.units(parts, h_prev, x);
                    store(x, self.x.as_mut_ptr().add(at), n);
                    for (g, value) in parts.into_iter().enumerate() {
                        store(value, part(g), n);
                    }
                }
            });
        }
    }
}

/// The pointwise half of a backward step over `B` rows: `a` `[B, 4H]` holds `r, z, n, q` and becomes their
/// pre-activation gradients (`q`: dL/dq); `dh` `[B, H]`, dL/dh_t in full, becomes the part of dL/dh_{t-1} that bypasses
/// the weights.
///
/// # Panics
/// If a slice length does not match.
pub fn backward<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], dh: &mut [F]) {
    compiled!(F: fn(hidden: usize, a: &mut [f32], h_prev: &[f32], dh: &mut [f32]) {
        backward_on(Isa::best(), hidden, a, h_prev, dh)
    });
}

pub(crate) fn backward_on<F: Scalar>(isa: Isa, hidden: usize, a: &mut [F], h_prev: &[F], dh: &mut [F]) {
    struct Backward;
    impl<F: Scalar> Pointwise<F> for Backward {
        #[inline(always)]
        fn units<V: Vector<Scalar = F>>(&self, [r, z, n, q]: [V; 4], h_prev: V, dh: V) -> ([V; 4], V) {
            let one = V::splat(F::ONE);
            let da_z = dh.mul(h_prev.sub(n)).mul(z).mul(one.sub(z));
            let da_n = dh.mul(one.sub(z)).mul(one.sub(n.mul(n)));
            let da_r = da_n.mul(q).mul(r).mul(one.sub(r));
            ([da_r, da_z, da_n, da_n.mul(r)], dh.mul(z))
        }
    }
    over_rows(isa, hidden, a, h_prev, dh, Backward);
}

/// First half of the reset-before form: `a`'s complete pre-activations `r` and `z` are activated, and its fourth part
/// becomes `r h_prev`, the input of the product with `W_hn`.
///
/// # Panics
/// If a slice length does not match.
pub fn reset<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], h: &mut [F]) {
    compiled!(F: fn(hidden: usize, a: &mut [f32], h_prev: &[f32], h: &mut [f32]) { reset_of(hidden, a, h_prev, h) });
}

pub(crate) fn reset_of<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], h: &mut [F]) {
    struct Reset;
    impl<F: Scalar> Pointwise<F> for Reset {
        #[inline(always)]
        fn units<V: Vector<Scalar = F>>(&self, [r, z, n, _]: [V; 4], h_prev: V, h: V) -> ([V; 4], V) {
            let r = r.sigmoid();
            ([r, z.sigmoid(), n, r.mul(h_prev)], h)
        }
    }
    over_rows(Isa::best(), hidden, a, h_prev, h, Reset);
}

/// Second half of the reset-before form: the complete pre-activation `n` is activated; writes `h` `[B, H]`.
///
/// # Panics
/// If a slice length does not match.
pub fn update<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], h: &mut [F]) {
    compiled!(F: fn(hidden: usize, a: &mut [f32], h_prev: &[f32], h: &mut [f32]) { update_of(hidden, a, h_prev, h) });
}

pub(crate) fn update_of<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], h: &mut [F]) {
    struct Update;
    impl<F: Scalar> Pointwise<F> for Update {
        #[inline(always)]
        fn units<V: Vector<Scalar = F>>(&self, [r, z, n, s]: [V; 4], h_prev: V, _: V) -> ([V; 4], V) {
            let n = n.tanh();
            ([r, z, n, s], z.mul_add(h_prev.sub(n), n))
        }
    }
    over_rows(Isa::best(), hidden, a, h_prev, h, Update);
}

/// Backward of [`update`]: `z` and `n` become their pre-activation gradients; `dh` as in [`backward`].
///
/// # Panics
/// If a slice length does not match.
pub fn update_backward<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], dh: &mut [F]) {
    compiled!(F: fn(hidden: usize, a: &mut [f32], h_prev: &[f32], dh: &mut [f32]) {
        update_backward_of(hidden, a, h_prev, dh)
    });
}

pub(crate) fn update_backward_of<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], dh: &mut [F]) {
    struct UpdateBackward;
    impl<F: Scalar> Pointwise<F> for UpdateBackward {
        #[inline(always)]
        fn units<V: Vector<Scalar = F>>(&self, [r, z, n, s]: [V; 4], h_prev: V, dh: V) -> ([V; 4], V) {
            let one = V::splat(F::ONE);
            let da_z = dh.mul(h_prev.sub(n)).mul(z).mul(one.sub(z));
            let da_n = dh.mul(one.sub(z)).mul(one.sub(n.mul(n)));
            ([r, da_z, da_n, s], dh.mul(z))
        }
    }
    over_rows(Isa::best(), hidden, a, h_prev, dh, UpdateBackward);
}

/// Backward of [`reset`]: `ds` `[B, H]` is dL/d(r h_prev) and becomes its share of dL/dh_{t-1}; `r` becomes its
/// pre-activation gradient; the fourth part keeps `r h_prev`, which the weights' gradient needs.
///
/// # Panics
/// If a slice length does not match.
pub fn reset_backward<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], ds: &mut [F]) {
    compiled!(F: fn(hidden: usize, a: &mut [f32], h_prev: &[f32], ds: &mut [f32]) {
        reset_backward_of(hidden, a, h_prev, ds)
    });
}

pub(crate) fn reset_backward_of<F: Scalar>(hidden: usize, a: &mut [F], h_prev: &[F], ds: &mut [F]) {
    struct ResetBackward;
    impl<F: Scalar> Pointwise<F> for ResetBackward {
        #[inline(always)]
        fn units<V: Vector<Scalar = F>>(&self, [r, z, n, s]: [V; 4], h_prev: V, ds: V) -> ([V; 4], V) {
            let one = V::splat(F::ONE);
            let da_r = ds.mul(h_prev).mul(r).mul(one.sub(r));
            ([da_r, z, n, s], ds.mul(r))
        }
    }
    over_rows(Isa::best(), hidden, a, h_prev, ds, ResetBackward);
}

/// One inference step over few rows, with the reset after the product: `h` `[B, H]` from `x` `[B, I]` and `h_prev`;
/// `b_hn` `[H]`.
///
/// # Panics
/// If a slice length does not match, or a token has no row in the table.
pub fn step(
    panels: &Panels,
    b_hn: &[f32],
    start: Start,
    x: &[f32],
    h_prev: &[f32],
    h: &mut [f32],
    scratch: &mut Scratch,
    backwards: bool,
) {
    let rows = rows(panels, h);
    assert!(h_prev.len() == h.len() && b_hn.len() == panels.units(), "the states of a GRU step differ in rows");
    let cell = Step { b_hn: b_hn.as_ptr(), h_prev: h_prev.as_ptr(), h: row_major(panels, h) };
    // SAFETY: both states have `rows` rows of `units`, the bias `units`.
    unsafe { run(panels, start, rows, x, h_prev, scratch, backwards, cell) }
}

/// First half of a step with the reset before the product, over the gates `r` and `z`: writes `r h_prev` to `s`, and
/// `z`; both `[B, H]`.
///
/// # Panics
/// If a slice length does not match, or a token has no row in the table.
pub fn reset_step(
    panels: &Panels,
    start: Start,
    x: &[f32],
    h_prev: &[f32],
    s: &mut [f32],
    z: &mut [f32],
    scratch: &mut Scratch,
    backwards: bool,
) {
    let rows = rows(panels, s);
    assert!(h_prev.len() == s.len() && z.len() == s.len(), "the states of a GRU step differ in rows");
    let cell = ResetStep { h_prev: h_prev.as_ptr(), s: row_major(panels, s), z: row_major(panels, z) };
    // SAFETY: all three have `rows` rows of `units`.
    unsafe { run(panels, start, rows, x, h_prev, scratch, backwards, cell) }
}

/// Second half, over the candidate: `h` `[B, H]` from `x`, `s`, `z` and `h_prev`.
///
/// # Panics
/// If a slice length does not match, or a token has no row in the table.
pub fn update_step(
    panels: &Panels,
    start: Start,
    x: &[f32],
    s: &[f32],
    z: &[f32],
    h_prev: &[f32],
    h: &mut [f32],
    scratch: &mut Scratch,
    backwards: bool,
) {
    let rows = rows(panels, h);
    assert!(h_prev.len() == h.len() && z.len() == h.len(), "the states of a GRU step differ in rows");
    let cell = UpdateStep { z: z.as_ptr(), h_prev: h_prev.as_ptr(), h: row_major(panels, h) };
    // SAFETY: all three have `rows` rows of `units`.
    unsafe { run(panels, start, rows, x, s, scratch, backwards, cell) }
}

/// `n = tanh(a_n + r q)`, `h = n + z (h_prev - n)`.
#[derive(Clone, Copy)]
struct Step {
    b_hn: *const f32,
    h_prev: *const f32,
    h: Rows,
}

impl Cell for Step {
    const GATES: usize = 3;
    #[inline(always)]
    fn apart(&self) -> Option<*const f32> {
        Some(self.b_hn)
    }
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [r, z, q, a_n]: [V; PARTS]) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let candidate = r.sigmoid().mul_add(q, a_n).tanh();
            let h_prev: V = self.h.read(self.h_prev, row, unit, n);
            self.h.write(row, unit, n, z.sigmoid().mul_add(h_prev.sub(candidate), candidate));
        }
    }
}

/// `s = r h_prev`.
#[derive(Clone, Copy)]
struct ResetStep {
    h_prev: *const f32,
    s: Rows,
    z: Rows,
}

impl Cell for ResetStep {
    const GATES: usize = 2;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [r, z, ..]: [V; PARTS]) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let h_prev: V = self.s.read(self.h_prev, row, unit, n);
            self.s.write(row, unit, n, r.sigmoid().mul(h_prev));
            self.z.write(row, unit, n, z.sigmoid());
        }
    }
}

/// `n = tanh(a)`, `h = n + z (h_prev - n)`.
#[derive(Clone, Copy)]
struct UpdateStep {
    z: *const f32,
    h_prev: *const f32,
    h: Rows,
}

impl Cell for UpdateStep {
    const GATES: usize = 1;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [a, ..]: [V; PARTS]) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let candidate = a.tanh();
            let (z, h_prev): (V, V) = (self.h.read(self.z, row, unit, n), self.h.read(self.h_prev, row, unit, n));
            self.h.write(row, unit, n, z.mul_add(h_prev.sub(candidate), candidate));
        }
    }
}
