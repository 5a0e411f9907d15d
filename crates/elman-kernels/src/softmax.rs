//! Softmax and cross-entropy over rows of logits.

use crate::compiled::compiled;
use crate::isa::Isa;
use crate::scalar::Scalar;
use crate::vector::{Kernel, Vector};

/// A target excluded from the loss and the gradient.
pub const IGNORE: u32 = u32::MAX;

/// Cross-entropy in nats, summed over the rows of `logits` `[N, V]` whose target is not [`IGNORE`]; the logits become
/// `scale (softmax - onehot(target))`, the gradient of `scale` times that sum (zero in ignored rows).
///
/// # Panics
/// If `logits` is not `targets.len()` rows, or a target is not below `V`.
#[cfg(feature = "std")]
pub fn cross_entropy_backward<F: Scalar>(logits: &mut [F], targets: &[u32], scale: F) -> f64 {
    compiled!(F: fn(logits: &mut [f32], targets: &[u32], scale: f32) -> f64 {
        cross_entropy_backward_on(Isa::best(), logits, targets, scale)
    })
}

#[cfg(feature = "std")]
pub(crate) fn cross_entropy_backward_on<F: Scalar>(isa: Isa, logits: &mut [F], targets: &[u32], scale: F) -> f64 {
    let classes = classes(logits, targets);
    let mut loss_nats = 0.0;
    for (row, &target) in logits.chunks_exact_mut(classes.max(1)).zip(targets) {
        if target == IGNORE {
            row.fill(F::ZERO);
            continue;
        }
        let target = class(target, classes);
        let logit = row[target].to_f64();
        let (max, sum) = F::run(isa, Softmax { row, scale, shift: F::ZERO });
        loss_nats += sum.to_f64().ln() + max.to_f64() - logit;
        row[target] -= scale;
    }
    loss_nats
}

/// [`cross_entropy_backward`] with label smoothing (Szegedy et al. 2016): the target distribution is
/// `(1 - smoothing) onehot(target) + smoothing / V`, and the logits become `scale (softmax - that)`. Returns two sums
/// in nats: the smoothed cross-entropy, whose gradient this is, and the plain one.
///
/// # Panics
/// If `logits` is not `targets.len()` rows, or a target is not below `V`.
#[cfg(feature = "std")]
pub fn smoothed_cross_entropy_backward<F: Scalar>(
    logits: &mut [F],
    targets: &[u32],
    smoothing: f64,
    scale: F,
) -> (f64, f64) {
    compiled!(F: fn(logits: &mut [f32], targets: &[u32], smoothing: f64, scale: f32) -> (f64, f64) {
        smoothed_cross_entropy_backward_on(Isa::best(), logits, targets, smoothing, scale)
    })
}

#[cfg(feature = "std")]
pub(crate) fn smoothed_cross_entropy_backward_on<F: Scalar>(
    isa: Isa,
    logits: &mut [F],
    targets: &[u32],
    smoothing: f64,
    scale: F,
) -> (f64, f64) {
    let classes = classes(logits, targets);
    let (mut smoothed_nats, mut nats) = (0.0, 0.0);
    let share = smoothing / classes.max(1) as f64;
    let shift = scale * F::from_f64(share);
    let at_target = scale * F::from_f64(1.0 - smoothing);
    for (row, &target) in logits.chunks_exact_mut(classes.max(1)).zip(targets) {
        if target == IGNORE {
            row.fill(F::ZERO);
            continue;
        }
        let target = class(target, classes);
        let logit = row[target].to_f64();
        let sum_of_logits = F::run(isa, RowSum { row }).to_f64();
        let (max, sum) = F::run(isa, Softmax { row, scale, shift });
        let log_sum = sum.to_f64().ln() + max.to_f64();
        nats += log_sum - logit;
        smoothed_nats += log_sum - (1.0 - smoothing) * logit - share * sum_of_logits;
        row[target] -= at_target;
    }
    (smoothed_nats, nats)
}

/// Cross-entropy in nats, summed over the rows of `logits` `[N, V]` whose target is not [`IGNORE`].
///
/// # Panics
/// If `logits` is not `targets.len()` rows, or a target is not below `V`.
#[cfg(feature = "std")]
pub fn cross_entropy<F: Scalar>(logits: &[F], targets: &[u32]) -> f64 {
    compiled!(F: fn(logits: &[f32], targets: &[u32]) -> f64 { cross_entropy_on(Isa::best(), logits, targets) })
}

#[cfg(feature = "std")]
pub(crate) fn cross_entropy_on<F: Scalar>(isa: Isa, logits: &[F], targets: &[u32]) -> f64 {
    let classes = classes(logits, targets);
    let mut loss_nats = 0.0;
    for (row, &target) in logits.chunks_exact(classes.max(1)).zip(targets) {
        if target != IGNORE {
            let logit = row[class(target, classes)].to_f64();
            let (max, sum) = F::run(isa, MaxAndSum { row });
            loss_nats += sum.to_f64().ln() + max.to_f64() - logit;
        }
    }
    loss_nats
}

#[cfg(feature = "std")]
fn classes<F>(logits: &[F], targets: &[u32]) -> usize {
    let classes = logits.len().checked_div(targets.len()).unwrap_or(0);
    assert_eq!(logits.len(), classes * targets.len(), "one row of logits per target");
    classes
}

#[cfg(feature = "std")]
#[inline(always)]
fn class(target: u32, classes: usize) -> usize {
    assert!((target as usize) < classes, "target {target} is not below the {classes} classes");
    target as usize
}

/// `x = softmax(x)` for one row.
pub fn softmax<F: Scalar>(row: &mut [F]) {
    compiled!(F: fn(row: &mut [f32]) { softmax_of(row) });
}

pub(crate) fn softmax_of<F: Scalar>(row: &mut [F]) {
    F::run(Isa::best(), Softmax { row, scale: F::ONE, shift: F::ZERO });
}

#[inline(always)]
fn max_of<V: Vector>(row: &[V::Scalar]) -> V::Scalar {
    let mut chunks = row.chunks_exact(V::LANES);
    let mut max = V::splat(row[0]);
    for chunk in &mut chunks {
        // SAFETY: a chunk has LANES elements.
        max = unsafe { V::load(chunk.as_ptr()) }.max(max);
    }
    chunks.remainder().iter().fold(max.max_lane(), |m, &x| if x > m { x } else { m })
}

/// `ln sum e^x` of one row: a logit minus this is its log-probability. NaN if the row has a NaN.
#[cfg(feature = "std")]
pub fn log_sum_exp<F: Scalar>(row: &[F]) -> F {
    compiled!(F: fn(row: &[f32]) -> f32 { log_sum_exp_of(row) })
}

#[cfg(feature = "std")]
pub(crate) fn log_sum_exp_of<F: Scalar>(row: &[F]) -> F {
    let (max, sum) = F::run(Isa::best(), MaxAndSum { row });
    F::from_f64(sum.to_f64().ln() + max.to_f64())
}

/// `row = scale softmax(row) - shift`; returns `(max, sum of e^(row - max))`.
struct Softmax<'a, F> {
    row: &'a mut [F],
    scale: F,
    shift: F,
}

impl<F: Scalar> Kernel<F> for Softmax<'_, F> {
    type Output = (F, F);
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) -> (F, F) {
        if self.row.is_empty() {
            return (F::ZERO, F::ZERO);
        }
        let max = max_of::<V>(self.row);
        let minus_max = V::splat(-max);
        let mut sum = V::splat(F::ZERO);
        let (p, n) = (self.row.as_mut_ptr(), self.row.len());
        let whole = n - n % V::LANES;
        for i in (0..whole).step_by(V::LANES) {
            // SAFETY: i + LANES <= n.
            unsafe {
                let e = V::load(p.add(i)).add(minus_max).exp();
                e.store(p.add(i));
                sum = sum.add(e);
            }
        }
        let mut total = sum.sum();
        if whole < n {
            // SAFETY: whole + (n - whole) = n.
            unsafe { V::load_n(p.add(whole), n - whole).add(minus_max).exp().store_n(p.add(whole), n - whole) };
            for x in &self.row[whole..] {
                total += *x;
            }
        }
        let (factor, shift) = (V::splat(self.scale / total), V::splat(self.shift));
        for i in (0..n).step_by(V::LANES) {
            let m = V::LANES.min(n - i);
            // SAFETY: i + m <= n.
            unsafe { V::load_n(p.add(i), m).mul(factor).sub(shift).store_n(p.add(i), m) };
        }
        (max, total)
    }
}

#[cfg(feature = "std")]
struct MaxAndSum<'a, F> {
    row: &'a [F],
}

#[cfg(feature = "std")]
impl<F: Scalar> Kernel<F> for MaxAndSum<'_, F> {
    type Output = (F, F);
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) -> (F, F) {
        if self.row.is_empty() {
            return (F::ZERO, F::ZERO);
        }
        let max = max_of::<V>(self.row);
        let minus_max = V::splat(-max);
        let mut sum = V::splat(F::ZERO);
        let mut chunks = self.row.chunks_exact(V::LANES);
        for chunk in &mut chunks {
            // SAFETY: a chunk has LANES elements.
            sum = sum.add(unsafe { V::load(chunk.as_ptr()) }.add(minus_max).exp());
        }
        let mut total = sum.sum();
        // One lane at a time, as `Softmax` adds them.
        for &x in chunks.remainder() {
            let mut e = [F::ZERO];
            // SAFETY: one lane of one element.
            unsafe { V::splat(x).add(minus_max).exp().store_n(e.as_mut_ptr(), 1) };
            total += e[0];
        }
        (max, total)
    }
}

/// The sum of a row.
#[cfg(feature = "std")]
struct RowSum<'a, F> {
    row: &'a [F],
}

#[cfg(feature = "std")]
impl<F: Scalar> Kernel<F> for RowSum<'_, F> {
    type Output = F;
    #[inline(always)]
    fn run<V: Vector<Scalar = F>>(self) -> F {
        let mut sum = V::splat(F::ZERO);
        let mut chunks = self.row.chunks_exact(V::LANES);
        for chunk in &mut chunks {
            // SAFETY: a chunk has LANES elements.
            sum = sum.add(unsafe { V::load(chunk.as_ptr()) });
        }
        let mut total = sum.sum();
        chunks.remainder().iter().for_each(|&x| total += x);
        total
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::reference;
    use alloc::vec::Vec;

    #[test]
    fn loss_and_gradient_equal_the_plain_formula() {
        for classes in [1, 2, 7, 8, 9, 65, 100] {
            let n = 5;
            let logits: Vec<f32> = (0..n * classes).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.3).collect();
            let targets: Vec<u32> = (0..n).map(|i| if i == 3 { IGNORE } else { (i * 5 % classes) as u32 }).collect();
            let exact: Vec<f64> = logits.iter().map(|&x| f64::from(x)).collect();
            let (want, want_grad) = reference::cross_entropy(&exact, &targets, 0.25);
            for isa in Isa::available() {
                let mut grad = logits.clone();
                let got = cross_entropy_backward_on(isa, &mut grad, &targets, 0.25);
                assert!((got - want).abs() <= 1e-5 * want.abs().max(1.0), "{isa:?} {classes}: {got} {want}");
                assert_eq!(cross_entropy_on(isa, &logits, &targets), got);
                for (g, w) in grad.iter().zip(&want_grad) {
                    assert!((f64::from(*g) - w).abs() <= 1e-6, "{isa:?} {classes}: {g} {w}");
                }
            }
        }
    }

    #[test]
    fn smoothed_loss_and_gradient_equal_the_plain_formula() {
        for classes in [1, 2, 8, 9, 100] {
            let n = 4;
            let logits: Vec<f32> = (0..n * classes).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.1).collect();
            let targets: Vec<u32> = (0..n).map(|i| if i == 2 { IGNORE } else { (i * 5 % classes) as u32 }).collect();
            for isa in Isa::available() {
                let mut grad = logits.clone();
                let (got, plain) = smoothed_cross_entropy_backward_on(isa, &mut grad, &targets, 0.1, 0.25);
                let mut want = 0.0;
                for (r, &target) in targets.iter().enumerate() {
                    let row: Vec<f64> = logits[r * classes..(r + 1) * classes].iter().map(|&x| f64::from(x)).collect();
                    let log_sum = row.iter().map(|x| x.exp()).sum::<f64>().ln();
                    for (j, x) in row.iter().enumerate() {
                        let hot = if j as u32 == target { 0.9 } else { 0.0 };
                        let q = if target == IGNORE { 0.0 } else { hot + 0.1 / classes as f64 };
                        let p = if target == IGNORE { 0.0 } else { (x - log_sum).exp() };
                        want -= q * (x - log_sum);
                        let g = f64::from(grad[r * classes + j]);
                        assert!((g - 0.25 * (p - q)).abs() < 1e-6, "{isa:?} {classes}: {g}");
                    }
                }
                assert!((got - want).abs() < 1e-4, "{isa:?} {classes}: {got} {want}");
                assert_eq!(plain, cross_entropy_on(isa, &logits, &targets));
                // Without smoothing it is the plain kernel, bit for bit.
                let (mut a, mut b) = (logits.clone(), logits.clone());
                let none = smoothed_cross_entropy_backward_on(isa, &mut a, &targets, 0.0, 0.25);
                assert!((none.0 - cross_entropy_backward_on(isa, &mut b, &targets, 0.25)).abs() < 1e-9);
                assert_eq!(a, b);
            }
        }
    }

    #[test]
    fn a_logit_minus_log_sum_exp_is_log_softmax() {
        let logits: Vec<f32> = (0..37).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.1).collect();
        let (mut p, log_sum) = (logits.clone(), log_sum_exp(&logits));
        softmax(&mut p);
        assert!(p.iter().zip(&logits).all(|(p, l)| (p.ln() - (l - log_sum)).abs() < 1e-5));
        for at in [0, 20, 36] {
            let mut spoilt = logits.clone();
            spoilt[at] = f32::NAN;
            assert!(log_sum_exp(&spoilt).is_nan(), "{at}");
        }
    }

    #[test]
    fn a_nan_logit_makes_the_loss_nan() {
        let mut logits = [0.5f32; 20];
        logits[13] = f32::NAN;
        assert!(cross_entropy(&logits, &[3]).is_nan());
        assert!(cross_entropy_backward(&mut logits, &[3], 1.0).is_nan());
    }
}
