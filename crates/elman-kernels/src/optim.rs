//! Updates of the weights, each in one pass: gradient and moments are read, moments and weights written.
//!
//! The formulas are PyTorch's (`torch.optim`), so that a run can be compared with one there number by number.

use crate::isa::Isa;
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

/// What is done to each weight `w` with its gradient `g`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule<F> {
    /// `w -= lr g`.
    Sgd,
    /// `m = momentum m + g`, `w -= lr m`.
    Momentum {
        /// Share of the velocity that is kept.
        momentum: F,
    },
    /// `m += g^2`, `w -= lr g / (sqrt(m) + eps)` (Duchi et al. 2011).
    Adagrad {
        /// Added to the root.
        eps: F,
        /// Added under the root instead: min-char-rnn's form.
        eps_in_root: F,
    },
    /// `m = alpha m + (1 - alpha) g^2`, `w -= lr g / (sqrt(m) + eps)` (Tieleman & Hinton 2012).
    Rmsprop {
        /// Share of the mean square that is kept.
        alpha: F,
        /// Added to the root.
        eps: F,
    },
    /// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `w -= lr (m / c1) / (sqrt(v / c2) + eps)` (Kingma & Ba 2015).
    Adam {
        /// Share of the first moment that is kept.
        beta1: F,
        /// Share of the second moment that is kept.
        beta2: F,
        /// Added to the root.
        eps: F,
        /// `1 - beta1^step`.
        correction1: F,
        /// `1 - beta2^step`.
        correction2: F,
    },
}

impl<F> Rule<F> {
    /// Moments it keeps for each weight.
    pub fn moments(&self) -> usize {
        match self {
            Rule::Sgd => 0,
            Rule::Momentum { .. } | Rule::Adagrad { .. } | Rule::Rmsprop { .. } => 1,
            Rule::Adam { .. } => 2,
        }
    }
}

/// The factors of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors<F> {
    /// Learning rate.
    pub lr: F,
    /// What each gradient is multiplied by first: clipping by norm.
    pub grad_scale: F,
    /// L2 weight decay: `g += l2 w` before the rule.
    pub l2: F,
    /// Decoupled weight decay: `w -= lr decay w` before the rule (Loshchilov & Hutter 2019).
    pub decay: F,
}

/// Updates `w` by `g`. `m` and `v` are as long as `w` where the rule keeps them, else unused.
///
/// # Panics
/// If a length differs.
pub fn update<F: Scalar>(rule: Rule<F>, factors: Factors<F>, w: &mut [F], g: &[F], m: &mut [F], v: &mut [F]) {
    update_on(Isa::best(), rule, factors, w, g, m, v);
}

pub(crate) fn update_on<F: Scalar>(
    isa: Isa,
    rule: Rule<F>,
    factors: Factors<F>,
    w: &mut [F],
    g: &[F],
    m: &mut [F],
    v: &mut [F],
) {
    let moments = rule.moments();
    assert!(
        g.len() == w.len() && (moments < 1 || m.len() == w.len()) && (moments < 2 || v.len() == w.len()),
        "weights, gradients and moments differ in length"
    );
    F::run(isa, Update { rule, factors, w, g, m, v });
}

struct Update<'a, F> {
    rule: Rule<F>,
    factors: Factors<F>,
    w: &'a mut [F],
    g: &'a [F],
    m: &'a mut [F],
    v: &'a mut [F],
}

impl<F: Scalar> Kernel<F> for Update<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let one = F::ONE;
        let Factors { lr, .. } = self.factors;
        let lr_v = V::splat(-lr);
        match self.rule {
            Rule::Sgd => self.each::<V>(|w, g, m, v| (lr_v.mul_add(g, w), m, v)),
            Rule::Momentum { momentum } => {
                let momentum = V::splat(momentum);
                self.each::<V>(|w, g, m, v| {
                    let m = momentum.mul_add(m, g);
                    (lr_v.mul_add(m, w), m, v)
                });
            }
            Rule::Adagrad { eps, eps_in_root } => {
                let (eps, in_root) = (V::splat(eps), V::splat(eps_in_root));
                self.each::<V>(|w, g, m, v| {
                    let m = g.mul_add(g, m);
                    (lr_v.mul_add(g.div(m.add(in_root).sqrt().add(eps)), w), m, v)
                });
            }
            Rule::Rmsprop { alpha, eps } => {
                let (kept, new, eps) = (V::splat(alpha), V::splat(one - alpha), V::splat(eps));
                self.each::<V>(|w, g, m, v| {
                    let m = kept.mul_add(m, new.mul(g.mul(g)));
                    (lr_v.mul_add(g.div(m.sqrt().add(eps)), w), m, v)
                });
            }
            Rule::Adam { beta1, beta2, eps, correction1, correction2 } => {
                let (kept1, new1) = (V::splat(beta1), V::splat(one - beta1));
                let (kept2, new2) = (V::splat(beta2), V::splat(one - beta2));
                let (step, inverse2, eps) = (V::splat(-lr / correction1), V::splat(one / correction2), V::splat(eps));
                self.each::<V>(|w, g, m, v| {
                    let m = kept1.mul_add(m, new1.mul(g));
                    let v = kept2.mul_add(v, new2.mul(g.mul(g)));
                    let root = v.mul(inverse2).sqrt().add(eps);
                    (step.mul_add(m.div(root), w), m, v)
                });
            }
        }
    }
}

impl<F: Scalar> Update<'_, F> {
    /// Runs `rule` over all weights: `(w, g, m, v)` to the new `(w, m, v)`.
    #[inline(always)]
    fn each<V: Vector<Scalar = F>>(self, rule: impl Fn(V, V, V, V) -> (V, V, V)) {
        let Factors { lr, grad_scale, l2, decay } = self.factors;
        let (scale, l2, keep) = (V::splat(grad_scale), V::splat(l2), V::splat(F::ONE - lr * decay));
        let moments = self.rule.moments();
        let n = self.w.len();
        for i in (0..n).step_by(V::LANES) {
            let lanes = V::LANES.min(n - i);
            // SAFETY: i + lanes <= n, the length of `w`, `g` and of the moments the rule keeps, which `update` checked.
            unsafe {
                let p = self.w.as_mut_ptr().add(i);
                let w = V::load_n(p, lanes);
                let g = l2.mul_add(w, V::load_n(self.g.as_ptr().add(i), lanes).mul(scale));
                let zero = V::splat(F::ZERO);
                let m = if moments > 0 { V::load_n(self.m.as_ptr().add(i), lanes) } else { zero };
                let v = if moments > 1 { V::load_n(self.v.as_ptr().add(i), lanes) } else { zero };
                let (w, m, v) = rule(w.mul(keep), g, m, v);
                w.store_n(p, lanes);
                if moments > 0 {
                    m.store_n(self.m.as_mut_ptr().add(i), lanes);
                }
                if moments > 1 {
                    v.store_n(self.v.as_mut_ptr().add(i), lanes);
                }
            }
        }
    }
}

/// The sum of squares, in `f64`; its order depends on the length alone.
pub fn sum_of_squares<F: Scalar>(x: &[F]) -> f64 {
    let mut sums = [0.0f64; 16];
    let mut chunks = x.chunks_exact(16);
    for chunk in &mut chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x.to_f64() * x.to_f64();
        }
    }
    let rest: f64 = chunks.remainder().iter().map(|x| x.to_f64() * x.to_f64()).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn numbers<F: Scalar>(n: usize, seed: usize) -> Vec<F> {
        (0..n).map(|i| F::from_f64(((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.5 - 1.0)).collect()
    }

    /// Weights and moments after three updates.
    fn run<F: Scalar>(isa: Isa, rule: Rule<F>, n: usize) -> Vec<f64> {
        let f = F::from_f64;
        let factors = Factors { lr: f(0.1), grad_scale: f(0.5), l2: f(0.02), decay: f(0.03) };
        let (mut w, mut m, mut v) = (numbers::<F>(n, 1), vec_of(n), vec_of(n));
        for step in 0..3 {
            update_on(isa, rule, factors, &mut w, &numbers::<F>(n, step + 2), &mut m, &mut v);
        }
        w.into_iter().chain(m).chain(v).map(F::to_f64).collect()
    }

    fn vec_of<F: Scalar>(n: usize) -> Vec<F> {
        std::vec![F::ZERO; n]
    }

    fn rules<F: Scalar>() -> [Rule<F>; 6] {
        let f = F::from_f64;
        [
            Rule::Sgd,
            Rule::Momentum { momentum: f(0.9) },
            Rule::Adagrad { eps: f(1e-6), eps_in_root: F::ZERO },
            Rule::Adagrad { eps: F::ZERO, eps_in_root: f(1e-4) },
            Rule::Rmsprop { alpha: f(0.95), eps: f(1e-6) },
            Rule::Adam { beta1: f(0.9), beta2: f(0.99), eps: f(1e-6), correction1: f(0.1), correction2: f(0.01) },
        ]
    }

    #[test]
    fn every_rule_on_every_instruction_set_is_near_its_f64_self() {
        for isa in Isa::available() {
            for (single, double) in rules::<f32>().into_iter().zip(rules::<f64>()) {
                for n in [0, 1, 7, 8, 9, 31, 64, 1000] {
                    let (got, want) = (run(isa, single, n), run(isa, double, n));
                    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                        assert!((g - w).abs() <= 1e-5 * (1.0 + w.abs()), "{isa:?} {single:?} {n} value {i}: {g} {w}");
                    }
                }
            }
        }
    }

    #[test]
    fn squares_are_summed() {
        let x: Vec<f32> = (1..=40).map(|i| i as f32).collect();
        assert_eq!(sum_of_squares(&x), 22_140.0);
        assert_eq!(sum_of_squares::<f64>(&[]), 0.0);
    }
}
