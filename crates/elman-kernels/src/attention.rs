//! Attention scores.
//!
//! Dot-product scores are one small matrix product `Q K^T`: nothing is packed.
//!
//! Additive scores (Bahdanau et al. 2015) are `score_s = v . tanh(key_s + query)`. The hidden layer `[S, A]` of a query
//! is never stored: backward recomputes it, which costs a tanh and saves `T S A` values.

use crate::compiled::compiled;
use crate::dot::gemm_rows_on;
use crate::gemm::Start;
use crate::isa::Isa;
use crate::mat::{Mat, MatMut, size};
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

/// `scores[t][s] = queries[t] . keys[s]`; `queries` `[T, K]`, `keys` `[S, K]`, `scores` `[T, S]`. A score depends
/// on its query and key alone.
///
/// # Panics
/// If the dimensions do not match.
pub fn dot<F: Scalar>(queries: &[F], keys: &[F], width: usize, scores: &mut [F]) {
    compiled!(F: fn(queries: &[f32], keys: &[f32], width: usize, scores: &mut [f32]) {
        dot_on(Isa::best(), queries, keys, width, scores)
    });
}

pub(crate) fn dot_on<F: Scalar>(isa: Isa, queries: &[F], keys: &[F], width: usize, scores: &mut [F]) {
    assert!(width > 0, "the width must be at least 1");
    let (t, s) = (queries.len() / width, keys.len() / width);
    assert!(
        queries.len() == t * width && keys.len() == s * width && scores.len() == size([t, s]),
        "queries [T, K], keys [S, K], scores [T, S]"
    );
    let (queries, keys) = (Mat::new(queries, t, width), Mat::new(keys, s, width));
    gemm_rows_on(isa, queries, keys, MatMut::new(scores, t, s), Start::Zero);
}

/// `scores[s] = v . tanh(keys[s] + query)`; `keys` `[S, A]`, `query` and `v` `[A]`, `scores` `[S]`.
///
/// # Panics
/// If the dimensions do not match.
pub fn additive<F: Scalar>(keys: &[F], query: &[F], v: &[F], scores: &mut [F]) {
    compiled!(F: fn(keys: &[f32], query: &[f32], v: &[f32], scores: &mut [f32]) {
        additive_on(Isa::best(), keys, query, v, scores)
    });
}

pub(crate) fn additive_on<F: Scalar>(isa: Isa, keys: &[F], query: &[F], v: &[F], scores: &mut [F]) {
    assert!(
        query.len() == v.len() && keys.len() == size([scores.len(), v.len()]),
        "keys [S, A], query [A], v [A], scores [S]"
    );
    F::run(isa, Additive { keys, query, v, scores });
}

struct Additive<'a, F> {
    keys: &'a [F],
    query: &'a [F],
    v: &'a [F],
    scores: &'a mut [F],
}

impl<F: Scalar> Kernel<F> for Additive<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let width = self.v.len();
        for (s, score) in self.scores.iter_mut().enumerate() {
            let key = &self.keys[s * width..(s + 1) * width];
            let mut sum = V::splat(F::ZERO);
            for i in (0..width).step_by(V::LANES) {
                let m = V::LANES.min(width - i);
                // SAFETY: i + m <= A, the length of all three; lanes beyond are zero and add nothing.
                unsafe {
                    let e = V::load_n(key.as_ptr().add(i), m).add(V::load_n(self.query.as_ptr().add(i), m)).tanh();
                    sum = e.mul_add(V::load_n(self.v.as_ptr().add(i), m), sum);
                }
            }
            *score = sum.sum();
        }
    }
}

/// The gradients of [`additive`] from `dscores` `[S]`: adds to `dkeys` `[S, A]`, `dquery` `[A]` and `dv` `[A]`.
///
/// # Panics
/// If the dimensions do not match.
pub fn additive_backward<F: Scalar>(
    keys: &[F],
    query: &[F],
    v: &[F],
    dscores: &[F],
    dkeys: &mut [F],
    dquery: &mut [F],
    dv: &mut [F],
) {
    compiled!(F: fn(
        keys: &[f32],
        query: &[f32],
        v: &[f32],
        dscores: &[f32],
        dkeys: &mut [f32],
        dquery: &mut [f32],
        dv: &mut [f32],
    ) {
        additive_backward_on(Isa::best(), keys, query, v, dscores, dkeys, dquery, dv)
    });
}

pub(crate) fn additive_backward_on<F: Scalar>(
    isa: Isa,
    keys: &[F],
    query: &[F],
    v: &[F],
    dscores: &[F],
    dkeys: &mut [F],
    dquery: &mut [F],
    dv: &mut [F],
) {
    let width = v.len();
    assert!(query.len() == width && dquery.len() == width && dv.len() == width, "query, v and gradients [A]");
    assert!(keys.len() == size([dscores.len(), width]) && dkeys.len() == keys.len(), "keys [S, A], dscores [S]");
    F::run(isa, AdditiveBackward { keys, query, v, dscores, dkeys, dquery, dv });
}

struct AdditiveBackward<'a, F> {
    keys: &'a [F],
    query: &'a [F],
    v: &'a [F],
    dscores: &'a [F],
    dkeys: &'a mut [F],
    dquery: &'a mut [F],
    dv: &'a mut [F],
}

impl<F: Scalar> Kernel<F> for AdditiveBackward<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let width = self.v.len();
        let one = V::splat(F::ONE);
        // A register of columns at a time over all keys: dquery and dv stay in registers.
        for i in (0..width).step_by(V::LANES) {
            let m = V::LANES.min(width - i);
            // SAFETY: i + m <= A, the length of every row read or written, checked above.
            unsafe {
                let query = V::load_n(self.query.as_ptr().add(i), m);
                let v = V::load_n(self.v.as_ptr().add(i), m);
                let mut dquery = V::load_n(self.dquery.as_ptr().add(i), m);
                let mut dv = V::load_n(self.dv.as_ptr().add(i), m);
                for (s, &dscore) in self.dscores.iter().enumerate() {
                    let dscore = V::splat(dscore);
                    let e = V::load_n(self.keys.as_ptr().add(s * width + i), m).add(query).tanh();
                    dv = dscore.mul_add(e, dv);
                    // d tanh = 1 - tanh^2.
                    let da = dscore.mul(v).mul(one.sub(e.mul(e)));
                    dquery = dquery.add(da);
                    let dkey = self.dkeys.as_mut_ptr().add(s * width + i);
                    V::load_n(dkey, m).add(da).store_n(dkey, m);
                }
                dquery.store_n(self.dquery.as_mut_ptr().add(i), m);
                dv.store_n(self.dv.as_mut_ptr().add(i), m);
            }
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| (((i * 7919 + seed * 104_729) % 2003) as f32) / 1001.5 - 1.0).collect()
    }

    #[test]
    fn dot_products_equal_the_plain_loops_and_are_independent() {
        for isa in Isa::available() {
            for (t, s, width) in [(1, 1, 1), (2, 3, 7), (3, 4, 16), (5, 9, 33), (1, 0, 5), (0, 2, 5), (4, 8, 100)] {
                let (queries, keys) = (numbers(t * width, 1), numbers(s * width, 2));
                let mut scores = vec![9.0; t * s];
                dot_on(isa, &queries, &keys, width, &mut scores);
                for (i, &got) in scores.iter().enumerate() {
                    let query = &queries[i / s * width..][..width];
                    let key = &keys[i % s * width..][..width];
                    let want: f64 = query.iter().zip(key).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum();
                    assert!((f64::from(got) - want).abs() < 1e-6 * width as f64, "{isa:?}: {got} {want}");
                    let mut alone = [9.0];
                    dot_on(isa, query, key, width, &mut alone);
                    assert_eq!(got, alone[0], "{isa:?}");
                }
            }
        }
    }

    #[test]
    fn scores_and_gradients_equal_the_plain_loops() {
        for isa in Isa::available() {
            for (keys, width) in [(0, 3), (1, 1), (3, 7), (5, 16), (2, 33), (9, 100)] {
                let (k, q, v, ds) = (numbers(keys * width, 1), numbers(width, 2), numbers(width, 3), numbers(keys, 4));
                let mut scores = vec![9.0; keys];
                additive_on(isa, &k, &q, &v, &mut scores);
                // Gradients are added to.
                let (mut dk, mut dq, mut dv) = (vec![0.5; keys * width], vec![0.25; width], vec![0.125; width]);
                additive_backward_on(isa, &k, &q, &v, &ds, &mut dk, &mut dq, &mut dv);
                let (mut want_dq, mut want_dv) = (vec![0.25; width], vec![0.125; width]);
                for s in 0..keys {
                    let mut want = 0.0;
                    for a in 0..width {
                        let e = f64::from(k[s * width + a] + q[a]).tanh();
                        want += f64::from(v[a]) * e;
                        let da = f64::from(ds[s]) * f64::from(v[a]) * (1.0 - e * e);
                        want_dq[a] += da;
                        want_dv[a] += f64::from(ds[s]) * e;
                        let got = f64::from(dk[s * width + a]);
                        assert!((got - 0.5 - da).abs() < 2e-6, "{isa:?} {keys}x{width}: {got} {da}");
                    }
                    assert!((f64::from(scores[s]) - want).abs() < 2e-6 * width as f64, "{isa:?}: {} {want}", scores[s]);
                }
                for a in 0..width {
                    assert!((f64::from(dq[a]) - want_dq[a]).abs() < 5e-6, "{isa:?}: {} {}", dq[a], want_dq[a]);
                    assert!((f64::from(dv[a]) - want_dv[a]).abs() < 5e-6, "{isa:?}: {} {}", dv[a], want_dv[a]);
                }
            }
        }
    }
}
