//! Long short-term memory, one step: `i, f, o = sigmoid(a)`, `g = tanh(a)`, `c = f c_prev + i g`, `h = o tanh(c)`.
//!
//! Gates are in the order `i, f, g, o`. With peepholes (Gers & Schmidhuber 2000) `p` `[3H]`, `a_i += p_i c_prev`,
//! `a_f += p_f c_prev`, `a_o += p_o c`.

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

/// Forward over `B` rows. `a` `[B, 4H]`, whose rows may be strided, holds `W_xh x + b` and becomes the activated gates;
/// writes `c` and `h` `[B, H]` from `h_prev` and `c_prev` `[B, H]`. `w_hh` is packed with four gates.
///
/// # Panics
/// If a slice length does not match.
pub fn forward<F: Scalar>(
    w_hh: &Packed<F>,
    peephole: Option<&[F]>,
    h_prev: &[F],
    c_prev: &[F],
    a: &mut [F],
    c: &mut [F],
    h: &mut [F],
) {
    compiled!(F: fn(
        w_hh: &Packed<f32>,
        peephole: Option<&[f32]>,
        h_prev: &[f32],
        c_prev: &[f32],
        a: &mut [f32],
        c: &mut [f32],
        h: &mut [f32],
    ) {
        forward_of(w_hh, peephole, h_prev, c_prev, a, c, h)
    });
}

pub(crate) fn forward_of<F: Scalar>(
    w_hh: &Packed<F>,
    peephole: Option<&[F]>,
    h_prev: &[F],
    c_prev: &[F],
    a: &mut [F],
    c: &mut [F],
    h: &mut [F],
) {
    let hidden = w_hh.depth();
    let packed = w_hh.gates == 4 && hidden > 0 && w_hh.cols() == size([4, hidden]);
    assert!(packed, "w_hh is not packed for an LSTM");
    assert_eq!(h_prev.len(), h.len(), "the states h_prev and h of an LSTM step differ in rows");
    super::forward(w_hh, h_prev, Forward::new(hidden, peephole, c_prev, a, c, h));
}

/// [`forward`] over pre-activations `a` that are complete, the recurrent product in them.
///
/// # Panics
/// If a slice length does not match.
pub fn activate<F: Scalar>(hidden: usize, peephole: Option<&[F]>, c_prev: &[F], a: &mut [F], c: &mut [F], h: &mut [F]) {
    compiled!(F: fn(
        hidden: usize,
        peephole: Option<&[f32]>,
        c_prev: &[f32],
        a: &mut [f32],
        c: &mut [f32],
        h: &mut [f32],
    ) {
        activate_of(hidden, peephole, c_prev, a, c, h)
    });
}

pub(crate) fn activate_of<F: Scalar>(
    hidden: usize,
    peephole: Option<&[F]>,
    c_prev: &[F],
    a: &mut [F],
    c: &mut [F],
    h: &mut [F],
) {
    assert!(hidden > 0, "hidden must be at least 1");
    super::finish(h.len() / hidden, 4, hidden, Forward::new(hidden, peephole, c_prev, a, c, h));
}

impl<'a, F> Forward<'a, F> {
    /// # Panics
    /// If a slice length does not match.
    fn new(
        hidden: usize,
        peephole: Option<&'a [F]>,
        c_prev: &'a [F],
        a: &'a mut [F],
        c: &'a mut [F],
        h: &'a mut [F],
    ) -> Self {
        let rows = h.len() / hidden;
        assert!(
            h.len() == rows * hidden && [c_prev.len(), c.len()] == [h.len(); 2],
            "the states c_prev, c and h of an LSTM step differ in rows"
        );
        let stride = stride_of(a.len(), rows, size([4, hidden]));
        assert!(peephole.is_none_or(|p| p.len() == size([3, hidden])), "the peephole is [3H]");
        Forward { peephole, c_prev, a, stride, c, h, hidden }
    }
}

struct Forward<'a, F> {
    peephole: Option<&'a [F]>,
    c_prev: &'a [F],
    a: &'a mut [F],
    stride: usize,
    c: &'a mut [F],
    h: &'a mut [F],
    hidden: usize,
}

impl<F: Scalar> Ending<F, 4> for Forward<'_, F> {
    type End<V: Vector<Scalar = F>> = End<V>;
    #[inline(always)]
    fn end<V: Vector<Scalar = F>>(&mut self) -> End<V> {
        End {
            hidden: self.hidden,
            peephole: self.peephole.map(<[F]>::as_ptr),
            c_prev: self.c_prev.as_ptr(),
            a: self.a.as_mut_ptr(),
            stride: self.stride,
            c: self.c.as_mut_ptr(),
            h: self.h.as_mut_ptr(),
        }
    }
}

struct End<V: Vector> {
    hidden: usize,
    peephole: Option<*const V::Scalar>,
    c_prev: *const V::Scalar,
    a: *mut V::Scalar,
    stride: usize,
    c: *mut V::Scalar,
    h: *mut V::Scalar,
}

impl<V: Vector> Epilogue<V, 4> for End<V> {
    #[inline(always)]
    unsafe fn start(&self, row: usize, panel: usize) -> [V; 4] {
        let unit = panel * V::LANES;
        let n = V::LANES.min(self.hidden - unit);
        // SAFETY: row and unit lie within the step; each gate's row has `hidden` elements.
        core::array::from_fn(|g| unsafe { load(self.a.add(row * self.stride + g * self.hidden + unit), n) })
    }

    #[inline(always)]
    fn prefetch(&self, row: usize, panel: usize) {
        let unit = panel * V::LANES;
        for g in 0..4 {
            V::prefetch(self.a.wrapping_add(row * self.stride + g * self.hidden + unit));
        }
        V::prefetch(self.c_prev.wrapping_add(row * self.hidden + unit));
    }

    #[inline(always)]
    unsafe fn finish(&self, row: usize, panel: usize, [mut i, mut f, g, mut o]: [V; 4]) {
        let hidden = self.hidden;
        let unit = panel * V::LANES;
        let n = V::LANES.min(hidden - unit);
        // SAFETY: as in `start`; states have `hidden` elements in a row, peepholes three times as many in all.
        unsafe {
            let c_prev: V = load(self.c_prev.add(row * hidden + unit), n);
            if let Some(p) = self.peephole {
                i = load::<V>(p.add(unit), n).mul_add(c_prev, i);
                f = load::<V>(p.add(hidden + unit), n).mul_add(c_prev, f);
            }
            let (i, f, g) = (i.sigmoid(), f.sigmoid(), g.tanh());
            let c = f.mul_add(c_prev, i.mul(g));
            if let Some(p) = self.peephole {
                o = load::<V>(p.add(2 * hidden + unit), n).mul_add(c, o);
            }
            let o = o.sigmoid();
            store(c, self.c.add(row * hidden + unit), n);
            store(o.mul(c.tanh()), self.h.add(row * hidden + unit), n);
            for (gate, value) in [i, f, g, o].into_iter().enumerate() {
                store(value, self.a.add(row * self.stride + gate * hidden + unit), n);
            }
        }
    }
}

/// The pointwise half of a backward step over `B` rows. `a` `[B, 4H]`, whose rows may be strided, holds the activated
/// gates and becomes `da`; `dh` `[B, H]` is dL/dh_t in full; `dc` `[B, H]` is dL/dc_t as it comes from `t + 1` and
/// becomes dL/dc_{t-1}.
///
/// # Panics
/// If a slice length does not match.
pub fn backward<F: Scalar>(
    hidden: usize,
    peephole: Option<&[F]>,
    a: &mut [F],
    c_prev: &[F],
    c: &[F],
    dh: &[F],
    dc: &mut [F],
) {
    compiled!(F: fn(
        hidden: usize,
        peephole: Option<&[f32]>,
        a: &mut [f32],
        c_prev: &[f32],
        c: &[f32],
        dh: &[f32],
        dc: &mut [f32],
    ) {
        backward_on(Isa::best(), hidden, peephole, a, c_prev, c, dh, dc)
    });
}

pub(crate) fn backward_on<F: Scalar>(
    isa: Isa,
    hidden: usize,
    peephole: Option<&[F]>,
    a: &mut [F],
    c_prev: &[F],
    c: &[F],
    dh: &[F],
    dc: &mut [F],
) {
    assert!(hidden > 0, "hidden must be at least 1");
    assert!(
        [c_prev.len(), c.len(), dc.len()] == [dh.len(); 3] && dh.len().is_multiple_of(hidden),
        "the states c_prev, c, dh and dc of an LSTM step differ in rows"
    );
    let stride = stride_of(a.len(), dh.len() / hidden, size([4, hidden]));
    assert!(peephole.is_none_or(|p| p.len() == size([3, hidden])), "the peephole is [3H]");
    F::run(isa, Backward { hidden, peephole, a, stride, c_prev, c, dh, dc });
}

struct Backward<'a, F> {
    hidden: usize,
    peephole: Option<&'a [F]>,
    a: &'a mut [F],
    stride: usize,
    c_prev: &'a [F],
    c: &'a [F],
    dh: &'a [F],
    dc: &'a mut [F],
}

impl<F: Scalar> Kernel<F> for Backward<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let hidden = self.hidden;
        let one = V::splat(F::ONE);
        for row in 0..self.dh.len() / hidden {
            registers::<V>(hidden, |unit, n| {
                let at = row * hidden + unit;
                // SAFETY: `backward` checked that every state has this row and `a` four times as much.
                unsafe {
                    let gate = |g: usize| self.a.as_ptr().add(row * self.stride + g * hidden + unit);
                    let [i, f, g, o]: [V; 4] = [0, 1, 2, 3].map(|g| load(gate(g), n));
                    let c_prev: V = load(self.c_prev.as_ptr().add(at), n);
                    let tanh_c = load::<V>(self.c.as_ptr().add(at), n).tanh();
                    let dh: V = load(self.dh.as_ptr().add(at), n);
                    let da_o = dh.mul(tanh_c).mul(o).mul(one.sub(o));
                    // dL/dc_t: from t + 1, and through h_t = o tanh(c_t).
                    let mut dc: V = load(self.dc.as_ptr().add(at), n);
                    dc = dh.mul(o).mul_add(one.sub(tanh_c.mul(tanh_c)), dc);
                    if let Some(p) = self.peephole {
                        dc = da_o.mul_add(load(p.as_ptr().add(2 * hidden + unit), n), dc);
                    }
                    let da_i = dc.mul(g).mul(i).mul(one.sub(i));
                    let da_f = dc.mul(c_prev).mul(f).mul(one.sub(f));
                    let da_g = dc.mul(i).mul(one.sub(g.mul(g)));
                    let mut dc_prev = dc.mul(f);
                    if let Some(p) = self.peephole {
                        dc_prev = da_i.mul_add(load(p.as_ptr().add(unit), n), dc_prev);
                        dc_prev = da_f.mul_add(load(p.as_ptr().add(hidden + unit), n), dc_prev);
                    }
                    store(dc_prev, self.dc.as_mut_ptr().add(at), n);
                    for (gate, value) in [da_i, da_f, da_g, da_o].into_iter().enumerate() {
                        store(value, self.a.as_mut_ptr().add(row * self.stride + gate * hidden + unit), n);
                    }
                }
            });
        }
    }
}

/// One inference step over few rows: `h` and `c` `[B, H]` from `x` `[B, I]`, `h_prev` and `c_prev`; `peephole` `[3H]`.
///
/// # Panics
/// If a slice length does not match, or a token has no row in the table.
pub fn step(
    panels: &Panels,
    peephole: Option<&[f32]>,
    start: Start,
    x: &[f32],
    (h_prev, c_prev): (&[f32], &[f32]),
    (h, c): (&mut [f32], &mut [f32]),
    scratch: &mut Scratch,
    backwards: bool,
) {
    let rows = rows(panels, h);
    assert!(
        c.len() == h.len() && c_prev.len() == h.len(),
        "the states h_prev, c_prev, h and c of an LSTM step differ in rows"
    );
    let (h, c) = (row_major(panels, h), row_major(panels, c));
    let c_prev = c_prev.as_ptr();
    // SAFETY: all states have `rows` rows of `units`, the peepholes three times `units`.
    unsafe {
        match peephole {
            None => run(panels, start, rows, x, h_prev, scratch, backwards, Step { c_prev, h, c }),
            Some(p) => {
                assert_eq!(p.len(), size([3, panels.units()]), "the peephole is [3H]");
                run(panels, start, rows, x, h_prev, scratch, backwards, PeepholeStep { p: p.as_ptr(), c_prev, h, c });
            }
        }
    }
}

/// `c = f c_prev + i g`, `h = o tanh(c)`.
#[derive(Clone, Copy)]
struct Step {
    c_prev: *const f32,
    h: Rows,
    c: Rows,
}

impl Cell for Step {
    const GATES: usize = 4;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [i, f, g, o]: [V; PARTS]) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let c_prev: V = self.c.read(self.c_prev, row, unit, n);
            let c = f.sigmoid().mul_add(c_prev, i.sigmoid().mul(g.tanh()));
            self.c.write(row, unit, n, c);
            self.h.write(row, unit, n, o.sigmoid().mul(c.tanh()));
        }
    }
}

/// As [`Step`], with `a_i += p_i c_prev`, `a_f += p_f c_prev`, `a_o += p_o c`.
#[derive(Clone, Copy)]
struct PeepholeStep {
    p: *const f32,
    c_prev: *const f32,
    h: Rows,
    c: Rows,
}

impl Cell for PeepholeStep {
    const GATES: usize = 4;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [i, f, g, o]: [V; PARTS]) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let p = |gate: usize| load::<V>(self.p.add(gate * self.h.units + unit), n);
            let c_prev: V = self.c.read(self.c_prev, row, unit, n);
            let (i, f) = (p(0).mul_add(c_prev, i), p(1).mul_add(c_prev, f));
            let c = f.sigmoid().mul_add(c_prev, i.sigmoid().mul(g.tanh()));
            self.c.write(row, unit, n, c);
            self.h.write(row, unit, n, p(2).mul_add(c, o).sigmoid().mul(c.tanh()));
        }
    }
}
