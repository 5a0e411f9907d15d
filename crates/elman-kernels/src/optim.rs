//! The optimizers' element-wise update rules, and the sum of squares that clipping needs.
//!
//! A rule reads the gradient and writes the weight and its own buffers in one pass: these loops are memory-bound, and a
//! second pass would double their time.

use crate::compiled::compiled;
use crate::isa::Isa;
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

/// The update of one element of the weights and of `N - 1` buffers, given its gradient.
pub trait UpdateRule<F: Scalar, const N: usize>: Copy {
    /// The new values of `[w, buffers ..]` from the old ones and the gradient.
    fn step<V: Vector<Scalar = F>>(self, g: V, state: [V; N]) -> [V; N];
    /// [`update`] by this rule, compiled in this crate.
    #[doc(hidden)]
    fn apply(self, grad: &[F], state: [&mut [F]; N]);
}

/// Applies an update rule to `state`, `[w, buffers ..]`, with the gradient `grad`; all `[P]`.
///
/// # Panics
/// If the lengths differ.
pub fn update<F: Scalar, const N: usize>(rule: impl UpdateRule<F, N>, grad: &[F], state: [&mut [F]; N]) {
    rule.apply(grad, state);
}

pub(crate) fn update_on<F: Scalar, const N: usize>(
    isa: Isa,
    rule: impl UpdateRule<F, N>,
    grad: &[F],
    state: [&mut [F]; N],
) {
    for part in &state {
        assert_eq!(part.len(), grad.len(), "update: a weight and a value of every buffer for each gradient");
    }
    F::run(isa, Update { rule, grad, state });
}

struct Update<'a, F, R, const N: usize> {
    rule: R,
    grad: &'a [F],
    state: [&'a mut [F]; N],
}

impl<F: Scalar, R: UpdateRule<F, N>, const N: usize> Kernel<F> for Update<'_, F, R, N> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let (n, grad) = (self.grad.len(), self.grad.as_ptr());
        let state = self.state.map(<[F]>::as_mut_ptr);
        let mut values = [V::splat(F::ZERO); N];
        let whole = n - n % V::LANES;
        for i in (0..whole).step_by(V::LANES) {
            // SAFETY: i + LANES <= n, the length of every array.
            unsafe {
                for k in 0..N {
                    values[k] = V::load(state[k].add(i));
                }
                values = self.rule.step(V::load(grad.add(i)), values);
                for k in 0..N {
                    values[k].store(state[k].add(i));
                }
            }
        }
        let rest = n - whole;
        if rest > 0 {
            // SAFETY: whole + rest = n, the length of every array.
            unsafe {
                for k in 0..N {
                    values[k] = V::load_n(state[k].add(whole), rest);
                }
                values = self.rule.step(V::load_n(grad.add(whole), rest), values);
                for k in 0..N {
                    values[k].store_n(state[k].add(whole), rest);
                }
            }
        }
    }
}

/// `g = grad_scale grad + decay w`: the gradient an update rule sees.
#[derive(Clone, Copy, Debug)]
pub struct Gradient<F> {
    /// Scales the gradient, as clipping by norm does.
    pub grad_scale: F,
    /// L2 regularisation.
    pub decay: F,
}

impl<F: Scalar> Gradient<F> {
    #[inline(always)]
    fn of<V: Vector<Scalar = F>>(self, g: V, w: V) -> V {
        g.mul(V::splat(self.grad_scale)).add(w.mul(V::splat(self.decay)))
    }
}

/// `w -= lr g`.
#[derive(Clone, Copy, Debug)]
pub struct Sgd<F> {
    /// `g`.
    pub gradient: Gradient<F>,
    /// The learning rate.
    pub lr: F,
}

impl<F: Scalar> UpdateRule<F, 1> for Sgd<F> {
    fn apply(self, grad: &[F], state: [&mut [F]; 1]) {
        let rule = self;
        compiled!(F: fn(rule: Sgd<f32>, grad: &[f32], state: [&mut [f32]; 1]) {
            update_on(Isa::best(), rule, grad, state)
        });
    }

    #[inline(always)]
    fn step<V: Vector<Scalar = F>>(self, g: V, [w]: [V; 1]) -> [V; 1] {
        let g = self.gradient.of(g, w);
        [w.sub(V::splat(self.lr).mul(g))]
    }
}

/// `v = momentum v + g`, `w -= lr v`.
#[derive(Clone, Copy, Debug)]
pub struct Momentum<F> {
    /// `g`.
    pub gradient: Gradient<F>,
    /// The learning rate.
    pub lr: F,
    /// Decay of the velocity.
    pub momentum: F,
}

impl<F: Scalar> UpdateRule<F, 2> for Momentum<F> {
    fn apply(self, grad: &[F], state: [&mut [F]; 2]) {
        let rule = self;
        compiled!(F: fn(rule: Momentum<f32>, grad: &[f32], state: [&mut [f32]; 2]) {
            update_on(Isa::best(), rule, grad, state)
        });
    }

    #[inline(always)]
    fn step<V: Vector<Scalar = F>>(self, g: V, [w, v]: [V; 2]) -> [V; 2] {
        let g = self.gradient.of(g, w);
        let v = V::splat(self.momentum).mul_add(v, g);
        [w.sub(V::splat(self.lr).mul(v)), v]
    }
}

/// `m += g^2`, `w -= lr g / (sqrt(m + eps_in_root) + eps)`.
#[derive(Clone, Copy, Debug)]
pub struct Adagrad<F> {
    /// `g`.
    pub gradient: Gradient<F>,
    /// The learning rate.
    pub lr: F,
    /// Added to the denominator.
    pub eps: F,
    /// Added under the root.
    pub eps_in_root: F,
}

impl<F: Scalar> UpdateRule<F, 2> for Adagrad<F> {
    fn apply(self, grad: &[F], state: [&mut [F]; 2]) {
        let rule = self;
        compiled!(F: fn(rule: Adagrad<f32>, grad: &[f32], state: [&mut [f32]; 2]) {
            update_on(Isa::best(), rule, grad, state)
        });
    }

    #[inline(always)]
    fn step<V: Vector<Scalar = F>>(self, g: V, [w, m]: [V; 2]) -> [V; 2] {
        let g = self.gradient.of(g, w);
        let m = g.mul_add(g, m);
        let root = m.add(V::splat(self.eps_in_root)).sqrt().add(V::splat(self.eps));
        [w.sub(V::splat(self.lr).mul(g).div(root)), m]
    }
}

/// `m = alpha m + (1 - alpha) g^2`, `w -= lr g / (sqrt(m) + eps)`.
#[derive(Clone, Copy, Debug)]
pub struct Rmsprop<F> {
    /// `g`.
    pub gradient: Gradient<F>,
    /// The learning rate.
    pub lr: F,
    /// Decay of the mean square.
    pub alpha: F,
    /// `1 - alpha`, rounded once.
    pub one_minus_alpha: F,
    /// Added to the denominator.
    pub eps: F,
}

impl<F: Scalar> Rmsprop<F> {
    /// The new `m`, and `g / (sqrt(m) + eps)`.
    #[inline(always)]
    fn normalised<V: Vector<Scalar = F>>(self, g: V, w: V, m: V) -> (V, V) {
        let g = self.gradient.of(g, w);
        let m = V::splat(self.alpha).mul_add(m, V::splat(self.one_minus_alpha).mul(g).mul(g));
        (m, g.div(m.sqrt().add(V::splat(self.eps))))
    }
}

impl<F: Scalar> UpdateRule<F, 2> for Rmsprop<F> {
    fn apply(self, grad: &[F], state: [&mut [F]; 2]) {
        let rule = self;
        compiled!(F: fn(rule: Rmsprop<f32>, grad: &[f32], state: [&mut [f32]; 2]) {
            update_on(Isa::best(), rule, grad, state)
        });
    }

    #[inline(always)]
    fn step<V: Vector<Scalar = F>>(self, g: V, [w, m]: [V; 2]) -> [V; 2] {
        let (m, q) = self.normalised(g, w, m);
        [w.sub(V::splat(self.lr).mul(q)), m]
    }
}

/// [`Rmsprop`] with `v = momentum v + g / (sqrt(m) + eps)`, `w -= lr v`.
#[derive(Clone, Copy, Debug)]
pub struct RmspropMomentum<F> {
    /// `m` and the quotient.
    pub rmsprop: Rmsprop<F>,
    /// Decay of the velocity.
    pub momentum: F,
}

impl<F: Scalar> UpdateRule<F, 3> for RmspropMomentum<F> {
    fn apply(self, grad: &[F], state: [&mut [F]; 3]) {
        let rule = self;
        compiled!(F: fn(rule: RmspropMomentum<f32>, grad: &[f32], state: [&mut [f32]; 3]) {
            update_on(Isa::best(), rule, grad, state)
        });
    }

    #[inline(always)]
    fn step<V: Vector<Scalar = F>>(self, g: V, [w, m, v]: [V; 3]) -> [V; 3] {
        let (m, q) = self.rmsprop.normalised(g, w, m);
        let v = V::splat(self.momentum).mul_add(v, q);
        [w.sub(V::splat(self.rmsprop.lr).mul(v)), m, v]
    }
}

/// `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
/// `w = shrink w - rate m / (sqrt(v) root_scale + eps)`.
///
/// `rate` and `root_scale` hold the bias corrections, `shrink` the decoupled weight decay.
#[derive(Clone, Copy, Debug)]
pub struct Adam<F> {
    /// `g`.
    pub gradient: Gradient<F>,
    /// `lr / (1 - beta1^s)` in step `s`.
    pub rate: F,
    /// `1 / sqrt(1 - beta2^s)`.
    pub root_scale: F,
    /// `1 - lr decay`, or 1.
    pub shrink: F,
    /// Decay of the first moment.
    pub beta1: F,
    /// `1 - beta1`, rounded once.
    pub one_minus_beta1: F,
    /// Decay of the second moment.
    pub beta2: F,
    /// `1 - beta2`, rounded once.
    pub one_minus_beta2: F,
    /// Added to the denominator.
    pub eps: F,
}

impl<F: Scalar> UpdateRule<F, 3> for Adam<F> {
    fn apply(self, grad: &[F], state: [&mut [F]; 3]) {
        let rule = self;
        compiled!(F: fn(rule: Adam<f32>, grad: &[f32], state: [&mut [f32]; 3]) {
            update_on(Isa::best(), rule, grad, state)
        });
    }

    #[inline(always)]
    fn step<V: Vector<Scalar = F>>(self, g: V, [w, m, v]: [V; 3]) -> [V; 3] {
        let g = self.gradient.of(g, w);
        let m = V::splat(self.beta1).mul_add(m, V::splat(self.one_minus_beta1).mul(g));
        let v = V::splat(self.beta2).mul_add(v, V::splat(self.one_minus_beta2).mul(g).mul(g));
        let root = v.sqrt().mul_add(V::splat(self.root_scale), V::splat(self.eps));
        [V::splat(self.shrink).mul(w).sub(V::splat(self.rate).mul(m).div(root)), m, v]
    }
}

/// `a += part (w - a)`, with `w` passed as the gradient: a moving average.
#[derive(Clone, Copy, Debug)]
pub struct Average<F> {
    /// Weight of the new value.
    pub part: F,
}

impl<F: Scalar> UpdateRule<F, 1> for Average<F> {
    fn apply(self, grad: &[F], state: [&mut [F]; 1]) {
        let rule = self;
        compiled!(F: fn(rule: Average<f32>, grad: &[f32], state: [&mut [f32]; 1]) {
            update_on(Isa::best(), rule, grad, state)
        });
    }

    #[inline(always)]
    fn step<V: Vector<Scalar = F>>(self, w: V, [a]: [V; 1]) -> [V; 1] {
        [V::splat(self.part).mul_add(w.sub(a), a)]
    }
}

/// `x = min(max(x, -bound), bound)`; NaN stays.
pub fn clamp<F: Scalar>(x: &mut [F], bound: F) {
    compiled!(F: fn(x: &mut [f32], bound: f32) { clamp_on(Isa::best(), x, bound) });
}

pub(crate) fn clamp_on<F: Scalar>(isa: Isa, x: &mut [F], bound: F) {
    F::run(isa, Clamp { x, bound });
}

struct Clamp<'a, F> {
    x: &'a mut [F],
    bound: F,
}

impl<F: Scalar> Kernel<F> for Clamp<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) {
        let (n, p) = (self.x.len(), self.x.as_mut_ptr());
        let (low, high) = (V::splat(-self.bound), V::splat(self.bound));
        for i in (0..n).step_by(V::LANES) {
            let m = V::LANES.min(n - i);
            // SAFETY: i + m <= n. The second operand is what `min` and `max` return where one is NaN.
            unsafe { low.max(high.min(V::load_n(p.add(i), m))).store_n(p.add(i), m) };
        }
    }
}

/// Lanes of [`sum_of_squares`]: one AVX-512 register of `f32`, on every instruction set, so that the sum has one order.
const SUMS: usize = 16;

/// The sum of `x^2`, in `f64`, bit-identical on every instruction set.
pub fn sum_of_squares<F: Scalar>(x: &[F]) -> f64 {
    compiled!(F: fn(x: &[f32]) -> f64 { sum_of_squares_on(Isa::best(), x) })
}

pub(crate) fn sum_of_squares_on<F: Scalar>(isa: Isa, x: &[F]) -> f64 {
    F::run(isa, SumOfSquares { x })
}

struct SumOfSquares<'a, F> {
    x: &'a [F],
}

impl<F: Scalar> Kernel<F> for SumOfSquares<'_, F> {
    type Output = f64;
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) -> f64 {
        // The compiler vectorises these lanes: a `Vector` does not widen to f64.
        let mut sums = [0.0f64; SUMS];
        let chunks = self.x.chunks_exact(SUMS);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *sum += x.to_f64() * x.to_f64();
            }
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum += x.to_f64() * x.to_f64();
        }
        sums.iter().sum()
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const LENGTHS: [usize; 12] = [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 1000];
    const GRADIENT: Gradient<f32> = Gradient { grad_scale: 0.75, decay: 0.02 };

    fn wave(n: usize, shift: f64, low: f64, high: f64) -> Vec<f32> {
        (0..n).map(|i| (low + (high - low) * 0.5 * (1.0 + (0.37 * i as f64 + shift).sin())) as f32).collect()
    }

    /// Compares a rule on every instruction set with `want(w, g, [buffers])`, the formula in f64, where `g` is already
    /// scaled and decayed.
    fn assert_rule<const N: usize>(rule: impl UpdateRule<f32, N>, want: impl Fn(f64, f64, [f64; N]) -> [f64; N]) {
        for n in LENGTHS {
            let grad = wave(n, 0.3, -2.0, 2.0);
            // The weights have both signs; buffers may hold squares.
            let old: [Vec<f32>; N] = core::array::from_fn(|k| wave(n, k as f64, if k == 0 { -1.0 } else { 0.01 }, 1.0));
            for isa in Isa::available() {
                // A value past the end of each array must stay.
                let mut new = old.clone();
                new.iter_mut().for_each(|x| x.push(7.0));
                update_on(isa, rule, &grad, new.each_mut().map(|x| &mut x[..n]));
                for i in 0..n {
                    let state: [f64; N] = core::array::from_fn(|k| f64::from(old[k][i]));
                    let g = 0.75 * f64::from(grad[i]) + 0.02 * state[0];
                    let want = want(g, f64::from(grad[i]), state);
                    for k in 0..N {
                        let got = f64::from(new[k][i]);
                        assert!((got - want[k]).abs() <= 1e-6, "{isa:?} [{k}][{i}] of {n}: {got}, want {}", want[k]);
                    }
                }
                assert!(new.iter().all(|x| x[n] == 7.0), "{isa:?}: wrote past {n} values");
            }
        }
    }

    #[test]
    fn every_rule_equals_its_formula_on_every_isa() {
        let (lr, eps) = (0.1, 1e-3);
        assert_rule(Sgd { gradient: GRADIENT, lr: 0.1 }, |g, _, [w]| [w - lr * g]);
        assert_rule(Momentum { gradient: GRADIENT, lr: 0.1, momentum: 0.9 }, |g, _, [w, v]| {
            let v = 0.9 * v + g;
            [w - lr * v, v]
        });
        assert_rule(Adagrad { gradient: GRADIENT, lr: 0.1, eps: 1e-3, eps_in_root: 0.5 }, |g, _, [w, m]| {
            let m = m + g * g;
            [w - lr * g / ((m + 0.5).sqrt() + eps), m]
        });
        let rmsprop = Rmsprop { gradient: GRADIENT, lr: 0.1, alpha: 0.95, one_minus_alpha: 0.05, eps: 1e-3 };
        assert_rule::<2>(rmsprop, |g, _, [w, m]| {
            let m = 0.95 * m + 0.05 * g * g;
            [w - lr * g / (m.sqrt() + eps), m]
        });
        assert_rule(RmspropMomentum { rmsprop, momentum: 0.9 }, |g, _, [w, m, v]| {
            let m = 0.95 * m + 0.05 * g * g;
            let v = 0.9 * v + g / (m.sqrt() + eps);
            [w - lr * v, m, v]
        });
        let adam = Adam {
            gradient: GRADIENT,
            rate: 0.1,
            root_scale: 1.5,
            shrink: 0.98,
            beta1: 0.9,
            one_minus_beta1: 0.1,
            beta2: 0.99,
            one_minus_beta2: 0.01,
            eps: 1e-3,
        };
        assert_rule(adam, |g, _, [w, m, v]| {
            let (m, v) = (0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g);
            [0.98 * w - lr * m / (1.5 * v.sqrt() + eps), m, v]
        });
        assert_rule(Average { part: 0.25 }, |_, w, [a]| [a + 0.25 * (w - a)]);
    }

    #[test]
    fn clamping_keeps_values_in_range_and_nan() {
        for n in LENGTHS {
            let mut x = wave(n, 0.0, -3.0, 3.0);
            if n > 5 {
                (x[5], x[n - 1]) = (f32::NAN, f32::INFINITY);
            }
            for isa in Isa::available() {
                let mut got = x.clone();
                clamp_on(isa, &mut got, 1.25);
                for (got, x) in got.iter().zip(&x) {
                    assert!(*got == x.clamp(-1.25, 1.25) || got.is_nan() && x.is_nan(), "{isa:?}: {x} became {got}");
                }
            }
        }
    }

    #[test]
    fn sums_of_squares_are_bit_identical_on_every_isa() {
        for n in LENGTHS {
            let x = wave(n, 0.0, -3.0, 3.0);
            let want: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            let plain = sum_of_squares_on(Isa::PLAIN, &x);
            assert!((plain - want).abs() <= 1e-14 * want, "{n}: {plain}, want {want}");
            for isa in Isa::available() {
                assert_eq!(sum_of_squares_on(isa, &x).to_bits(), plain.to_bits(), "{isa:?} {n}");
            }
        }
        // Squares beyond f32's range are within f64's.
        assert_eq!(sum_of_squares(&[1e30f32]).sqrt(), f64::from(1e30f32));
    }
}
