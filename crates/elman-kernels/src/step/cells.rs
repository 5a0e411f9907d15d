//! What ends the product of each cell, and the functions that run a step. The equations are those of
//! [`crate::gates`].

use super::Start;
use super::panels::Panels;
use super::product::{Cell, PARTS, Scratch, load, run, store};
use crate::gates::rnn::Nonlinearity;
use crate::vector::Vector;

/// A simple recurrent network: `h` `[B, H]` from `x` `[B, I]` and `h_prev` `[B, H]`.
///
/// # Panics
/// If a length does not fit, or a token has no row in the table.
pub fn rnn(
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
            Nonlinearity::Tanh => run(panels, start, rows, x, h_prev, scratch, backwards, Tanh(row_major(panels, h))),
            Nonlinearity::Relu => run(panels, start, rows, x, h_prev, scratch, backwards, Relu(row_major(panels, h))),
        }
    }
}

/// A linear layer: `y` `[B, V]` from `x` `[B, I]`, packed as the recurrent matrix of one gate with an empty input matrix.
///
/// # Panics
/// If a length does not fit.
pub fn linear(panels: &Panels, bias: &[f32], x: &[f32], y: &mut [f32], scratch: &mut Scratch, backwards: bool) {
    let rows = rows(panels, y);
    // SAFETY: `y` has `rows` rows of `units`.
    unsafe { run(panels, Start::Bias(bias), rows, &[], x, scratch, backwards, Linear(row_major(panels, y))) }
}

/// A long short-term memory: `h` and `c` `[B, H]` from `x` `[B, I]`, `h_prev` and `c_prev`; `peephole` `[3H]`.
///
/// # Panics
/// If a length does not fit, or a token has no row in the table.
pub fn lstm(
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
    assert!(c.len() == h.len() && c_prev.len() == h.len(), "the states of an LSTM step differ in rows");
    let (h, c) = (row_major(panels, h), row_major(panels, c));
    let c_prev = c_prev.as_ptr();
    // SAFETY: all states have `rows` rows of `units`, the peepholes three times `units`.
    unsafe {
        match peephole {
            None => run(panels, start, rows, x, h_prev, scratch, backwards, Lstm { c_prev, h, c }),
            Some(p) => {
                assert_eq!(p.len(), 3 * panels.units, "peepholes are [3H]");
                run(panels, start, rows, x, h_prev, scratch, backwards, Peephole { p: p.as_ptr(), c_prev, h, c });
            }
        }
    }
}

/// A gated recurrent unit that resets after the product: `h` `[B, H]` from `x` `[B, I]` and `h_prev`; `b_hn` `[H]`.
///
/// # Panics
/// If a length does not fit, or a token has no row in the table.
pub fn gru(
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
    assert!(h_prev.len() == h.len() && b_hn.len() == panels.units, "the states of a GRU step differ in rows");
    let cell = Gru { b_hn: b_hn.as_ptr(), h_prev: h_prev.as_ptr(), h: row_major(panels, h) };
    // SAFETY: both states have `rows` rows of `units`, the bias `units`.
    unsafe { run(panels, start, rows, x, h_prev, scratch, backwards, cell) }
}

/// First half of a GRU that resets before the product, over the gates `r` and `z`: writes `r h_prev` to `s` and `z`, both
/// `[B, H]`.
///
/// # Panics
/// If a length does not fit, or a token has no row in the table.
pub fn reset(
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
    let cell = Reset { h_prev: h_prev.as_ptr(), s: row_major(panels, s), z: row_major(panels, z) };
    // SAFETY: all three have `rows` rows of `units`.
    unsafe { run(panels, start, rows, x, h_prev, scratch, backwards, cell) }
}

/// Second half, over the candidate: `h` `[B, H]` from `x`, `s`, `z` and `h_prev`.
///
/// # Panics
/// If a length does not fit, or a token has no row in the table.
pub fn update(
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
    let cell = Update { z: z.as_ptr(), h_prev: h_prev.as_ptr(), h: row_major(panels, h) };
    // SAFETY: all three have `rows` rows of `units`.
    unsafe { run(panels, start, rows, x, s, scratch, backwards, cell) }
}

fn rows(panels: &Panels, h: &[f32]) -> usize {
    let rows = h.len() / panels.units.max(1);
    assert_eq!(h.len(), rows * panels.units, "a state is [B, H]");
    rows
}

/// Rows of `units` values to write.
#[derive(Clone, Copy)]
struct Rows {
    data: *mut f32,
    units: usize,
}

fn row_major(panels: &Panels, data: &mut [f32]) -> Rows {
    Rows { data: data.as_mut_ptr(), units: panels.units }
}

impl Rows {
    /// # Safety
    /// Row and units must exist.
    #[inline(always)]
    unsafe fn write<V: Vector<Scalar = f32>>(self, row: usize, unit: usize, n: usize, value: V) {
        // SAFETY: the caller vouches.
        unsafe { store(value, self.data.add(row * self.units + unit), n) }
    }

    /// The same place of another array with as many rows.
    ///
    /// # Safety
    /// Row and units must exist there.
    #[inline(always)]
    unsafe fn read<V: Vector<Scalar = f32>>(self, other: *const f32, row: usize, unit: usize, n: usize) -> V {
        // SAFETY: the caller vouches.
        unsafe { load(other.add(row * self.units + unit), n) }
    }
}

/// `y = a`.
#[derive(Clone, Copy)]
struct Linear(Rows);

impl Cell for Linear {
    const GATES: usize = 1;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, a: [V; PARTS]) {
        // SAFETY: the caller vouches.
        unsafe { self.0.write(row, unit, n, a[0]) }
    }
}

/// `h = tanh(a)`.
#[derive(Clone, Copy)]
struct Tanh(Rows);

impl Cell for Tanh {
    const GATES: usize = 1;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, a: [V; PARTS]) {
        // SAFETY: the caller vouches.
        unsafe { self.0.write(row, unit, n, a[0].tanh()) }
    }
}

/// `h = relu(a)`.
#[derive(Clone, Copy)]
struct Relu(Rows);

impl Cell for Relu {
    const GATES: usize = 1;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, a: [V; PARTS]) {
        // SAFETY: the caller vouches.
        unsafe { self.0.write(row, unit, n, a[0].relu()) }
    }
}

/// `c = f c_prev + i g`, `h = o tanh(c)`.
#[derive(Clone, Copy)]
struct Lstm {
    c_prev: *const f32,
    h: Rows,
    c: Rows,
}

impl Cell for Lstm {
    const GATES: usize = 4;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [i, f, g, o]: [V; PARTS]) {
        // SAFETY: the caller vouches.
        unsafe {
            let c_prev: V = self.c.read(self.c_prev, row, unit, n);
            let c = f.sigmoid().mul_add(c_prev, i.sigmoid().mul(g.tanh()));
            self.c.write(row, unit, n, c);
            self.h.write(row, unit, n, o.sigmoid().mul(c.tanh()));
        }
    }
}

/// As [`Lstm`], with `a_i += p_i c_prev`, `a_f += p_f c_prev`, `a_o += p_o c`.
#[derive(Clone, Copy)]
struct Peephole {
    p: *const f32,
    c_prev: *const f32,
    h: Rows,
    c: Rows,
}

impl Cell for Peephole {
    const GATES: usize = 4;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [i, f, g, o]: [V; PARTS]) {
        // SAFETY: the caller vouches.
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

/// `n = tanh(a_n + r q)`, `h = n + z (h_prev - n)`.
#[derive(Clone, Copy)]
struct Gru {
    b_hn: *const f32,
    h_prev: *const f32,
    h: Rows,
}

impl Cell for Gru {
    const GATES: usize = 3;
    #[inline(always)]
    fn apart(&self) -> Option<*const f32> {
        Some(self.b_hn)
    }
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [r, z, q, a_n]: [V; PARTS]) {
        // SAFETY: the caller vouches.
        unsafe {
            let candidate = r.sigmoid().mul_add(q, a_n).tanh();
            let h_prev: V = self.h.read(self.h_prev, row, unit, n);
            self.h.write(row, unit, n, z.sigmoid().mul_add(h_prev.sub(candidate), candidate));
        }
    }
}

/// `s = r h_prev`.
#[derive(Clone, Copy)]
struct Reset {
    h_prev: *const f32,
    s: Rows,
    z: Rows,
}

impl Cell for Reset {
    const GATES: usize = 2;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [r, z, ..]: [V; PARTS]) {
        // SAFETY: the caller vouches.
        unsafe {
            let h_prev: V = self.s.read(self.h_prev, row, unit, n);
            self.s.write(row, unit, n, r.sigmoid().mul(h_prev));
            self.z.write(row, unit, n, z.sigmoid());
        }
    }
}

/// `n = tanh(a)`, `h = n + z (h_prev - n)`.
#[derive(Clone, Copy)]
struct Update {
    z: *const f32,
    h_prev: *const f32,
    h: Rows,
}

impl Cell for Update {
    const GATES: usize = 1;
    #[inline(always)]
    unsafe fn finish<V: Vector<Scalar = f32>>(&self, row: usize, unit: usize, n: usize, [a, ..]: [V; PARTS]) {
        // SAFETY: the caller vouches.
        unsafe {
            let candidate = a.tanh();
            let (z, h_prev): (V, V) = (self.h.read(self.z, row, unit, n), self.h.read(self.h_prev, row, unit, n));
            self.h.write(row, unit, n, z.mul_add(h_prev.sub(candidate), candidate));
        }
    }
}
