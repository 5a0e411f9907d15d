//! Row operations: gather and scatter for tokens, sums over rows for biases, element-wise updates.

use crate::compiled::compiled;
use crate::isa::Isa;
use crate::mat::reaches;
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

/// `out[r] = table[tokens[r]]`: rows of `width` elements, the `r`-th at `r * stride` in `out`.
///
/// # Panics
/// If a token is beyond the table, or `out` too short.
pub fn gather<F: Scalar>(table: &[F], width: usize, tokens: &[u32], out: &mut [F], stride: usize) {
    assert!(reaches(out.len(), tokens.len(), width, stride), "gather: out has no row for each token");
    if width == 0 {
        return;
    }
    for (r, &token) in tokens.iter().enumerate() {
        let from = row_of(table.len(), width, token);
        out[r * stride..r * stride + width].copy_from_slice(&table[from..from + width]);
    }
}

/// Where the row of a token begins.
#[inline(always)]
fn row_of(table: usize, width: usize, token: u32) -> usize {
    let token = token as usize;
    assert!(token < table / width, "token {token} is beyond the table");
    token * width
}

/// `table[tokens[r]] += x[r]`, in the order of the rows; the `r`-th row of `width` elements starts at `r * stride` in
/// `x`.
///
/// # Panics
/// If a token is beyond the table, or `x` too short.
pub fn scatter_add<F: Scalar>(x: &[F], stride: usize, tokens: &[u32], table: &mut [F], width: usize) {
    compiled!(F: fn(x: &[f32], stride: usize, tokens: &[u32], table: &mut [f32], width: usize) {
        scatter_add_of(x, stride, tokens, table, width)
    });
}

pub(crate) fn scatter_add_of<F: Scalar>(x: &[F], stride: usize, tokens: &[u32], table: &mut [F], width: usize) {
    assert!(reaches(x.len(), tokens.len(), width, stride), "scatter_add: x has no row for each token");
    if width == 0 {
        return;
    }
    F::run(Isa::best(), ScatterAdd { x, stride, tokens, table, width });
}

struct ScatterAdd<'a, F> {
    x: &'a [F],
    stride: usize,
    tokens: &'a [u32],
    table: &'a mut [F],
    width: usize,
}

impl<F: Scalar> Kernel<F> for ScatterAdd<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        for (r, &token) in self.tokens.iter().enumerate() {
            let to = row_of(self.table.len(), self.width, token);
            add_to::<V>(&mut self.table[to..to + self.width], &self.x[r * self.stride..r * self.stride + self.width]);
        }
    }
}

/// `y += x`, equal lengths.
#[inline(always)]
fn add_to<V: Vector>(y: &mut [V::Scalar], x: &[V::Scalar]) {
    assert_eq!(x.len(), y.len());
    let n = y.len();
    for i in (0..n).step_by(V::LANES) {
        let m = V::LANES.min(n - i);
        // SAFETY: i + m <= n, the length of both.
        unsafe {
            let (x, p) = (x.as_ptr().add(i), y.as_mut_ptr().add(i));
            if m == V::LANES {
                V::load(p).add(V::load(x)).store(p);
            } else {
                V::load_n(p, m).add(V::load_n(x, m)).store_n(p, m);
            }
        }
    }
}

/// `out += ` the sum of the rows of `x`, in their order; rows of `out.len()` elements, `stride` apart.
///
/// # Panics
/// If `x` is shorter than `rows` rows.
pub fn sum_add<F: Scalar>(x: &[F], rows: usize, stride: usize, out: &mut [F]) {
    compiled!(F: fn(x: &[f32], rows: usize, stride: usize, out: &mut [f32]) { sum_add_of(x, rows, stride, out) });
}

pub(crate) fn sum_add_of<F: Scalar>(x: &[F], rows: usize, stride: usize, out: &mut [F]) {
    assert!(reaches(x.len(), rows, out.len(), stride), "sum_add: x is shorter than its rows");
    if out.is_empty() {
        return;
    }
    F::run(Isa::best(), SumAdd { x, rows, stride, out });
}

struct SumAdd<'a, F> {
    x: &'a [F],
    rows: usize,
    stride: usize,
    out: &'a mut [F],
}

impl<F: Scalar> Kernel<F> for SumAdd<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        for r in 0..self.rows {
            add_to::<V>(self.out, &self.x[r * self.stride..r * self.stride + self.out.len()]);
        }
    }
}

/// `y += x`.
///
/// # Panics
/// If the lengths differ.
pub fn add<F: Scalar>(x: &[F], y: &mut [F]) {
    assert_eq!(x.len(), y.len(), "add: x and y differ in length");
    sum_add(x, 1, x.len(), y);
}

/// `y *= x`.
///
/// # Panics
/// If the lengths differ.
pub fn multiply<F: Scalar>(x: &[F], y: &mut [F]) {
    compiled!(F: fn(x: &[f32], y: &mut [f32]) { multiply_of(x, y) });
}

pub(crate) fn multiply_of<F: Scalar>(x: &[F], y: &mut [F]) {
    assert_eq!(x.len(), y.len(), "multiply: x and y differ in length");
    F::run(Isa::best(), Multiply { x, y });
}

struct Multiply<'a, F> {
    x: &'a [F],
    y: &'a mut [F],
}

impl<F: Scalar> Kernel<F> for Multiply<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let n = self.y.len();
        for i in (0..n).step_by(V::LANES) {
            let m = V::LANES.min(n - i);
            // SAFETY: i + m <= n, the length of both.
            unsafe {
                let p = self.y.as_mut_ptr().add(i);
                V::load_n(p, m).mul(V::load_n(self.x.as_ptr().add(i), m)).store_n(p, m);
            }
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn scatter_add_is_the_adjoint_of_gather() {
        let width = 11;
        let table: std::vec::Vec<f32> = (0..5 * width).map(|i| i as f32).collect();
        let tokens = [4, 0, 4];
        let mut out = std::vec![-1.0; 3 * 13];
        gather(&table, width, &tokens, &mut out, 13);
        assert_eq!(out[..width], table[4 * width..]);
        assert_eq!(out[width..13], [-1.0, -1.0]);
        let mut sums = std::vec![1.0; 5 * width];
        scatter_add(&out, 13, &tokens, &mut sums, width);
        for j in 0..width {
            assert_eq!(sums[4 * width + j], 1.0 + 2.0 * table[4 * width + j]);
            assert_eq!(sums[j], 1.0 + table[j]);
            assert_eq!(sums[width + j], 1.0);
        }
    }

    #[test]
    fn rows_are_summed_and_multiplied() {
        let x: std::vec::Vec<f64> = (0..30).map(f64::from).collect();
        let mut out = [0.5; 9];
        sum_add(&x, 3, 10, &mut out);
        assert_eq!(out[8], 0.5 + 8.0 + 18.0 + 28.0);
        let mut y = std::vec![2.0; 30];
        multiply(&x, &mut y);
        add(&x, &mut y);
        assert_eq!(y[29], 87.0);
    }
}
