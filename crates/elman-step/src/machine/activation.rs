//! Functions of one value, over slices.

use elman_kernels::activation;

/// Values worked on at once where a function needs its argument twice.
const CHUNK: usize = 64;

/// A function of one value, as layers and gates use it; the names are those of ONNX.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `tanh(x)`.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `max(x, 0)`.
    Relu,
    /// `x` above 0, elsewhere `alpha x`.
    LeakyRelu {
        /// Slope below 0.
        alpha: f32,
    },
    /// `x` above `alpha`, elsewhere 0.
    ThresholdedRelu {
        /// The threshold.
        alpha: f32,
    },
    /// `min(max(alpha x + beta, 0), 1)`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x` above 0, elsewhere `alpha (e^x - 1)`.
    Elu {
        /// Limit below 0, negated.
        alpha: f32,
    },
    /// `gamma x` above 0, elsewhere `gamma alpha (e^x - 1)`.
    Selu {
        /// As in [`Self::Elu`].
        alpha: f32,
        /// Scale.
        gamma: f32,
    },
    /// `x / (1 + |x|)`.
    Softsign,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `alpha x + beta`.
    Affine {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `alpha tanh(beta x)`.
    ScaledTanh {
        /// Scale of the result.
        alpha: f32,
        /// Scale of the argument.
        beta: f32,
    },
    /// `min(max(x, min), max)`.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `x / (1 + e^-x)`, also called swish.
    Silu,
    /// `x min(max(x / 6 + 1/2, 0), 1)`.
    HardSwish,
    /// `x Phi(x)`, `Phi` being the distribution of the standard normal.
    Gelu {
        /// Hendrycks and Gimpel's approximation by a tanh (2016, section 2) in place of the error function.
        tanh: bool,
    },
    /// The error function.
    Erf,
    /// `e^x`.
    Exp,
    /// `ln x`.
    Log,
    /// `sqrt(x)`.
    Sqrt,
    /// `x^2`.
    Square,
    /// `|x|`.
    Abs,
    /// `-x`.
    Neg,
    /// `1 / x`.
    Reciprocal,
}

impl Activation {
    /// `x = f(x)`, element-wise.
    pub fn apply(self, x: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Tanh => activation::tanh(x),
            Self::Sigmoid => activation::sigmoid(x),
            Self::Relu => activation::relu(x),
            Self::LeakyRelu { alpha } => each(x, |x| if x < 0.0 { alpha * x } else { x }),
            Self::ThresholdedRelu { alpha } => each(x, |x| if x > alpha { x } else { 0.0 }),
            Self::HardSigmoid { alpha, beta } => each(x, |x| clip(alpha * x + beta, 0.0, 1.0)),
            Self::Elu { alpha } => with(x, activation::exp, |x, e| if x < 0.0 { alpha * (e - 1.0) } else { x }),
            Self::Selu { alpha, gamma } => {
                with(x, activation::exp, |x, e| gamma * if x < 0.0 { alpha * (e - 1.0) } else { x });
            }
            Self::Softsign => each(x, |x| x / (1.0 + x.abs())),
            Self::Softplus => with(x, softplus_tail, |x, tail| if x > 0.0 { x + tail } else { tail }),
            Self::Affine { alpha, beta } => each(x, |x| alpha * x + beta),
            Self::ScaledTanh { alpha, beta } => {
                each(x, |x| beta * x);
                activation::tanh(x);
                each(x, |x| alpha * x);
            }
            Self::Clip { min, max } => each(x, |x| clip(x, min, max)),
            Self::Silu => with(x, activation::sigmoid, |x, s| x * s),
            Self::HardSwish => each(x, |x| x * clip(x / 6.0 + 0.5, 0.0, 1.0)),
            Self::Gelu { tanh: false } => with(
                x,
                |x| {
                    each(x, |x| x * core::f32::consts::FRAC_1_SQRT_2);
                    erfc(x);
                },
                |x, tail| 0.5 * x * if x < 0.0 { tail } else { 2.0 - tail },
            ),
            Self::Gelu { tanh: true } => with(
                x,
                |x| {
                    each(x, |x| 0.797_884_6 * (x + 0.044_715 * x * x * x));
                    activation::tanh(x);
                },
                |x, tanh| 0.5 * x * (1.0 + tanh),
            ),
            Self::Erf => with(x, erfc, |x, tail| if x < 0.0 { tail - 1.0 } else { 1.0 - tail }),
            Self::Exp => activation::exp(x),
            Self::Log => activation::ln(x),
            Self::Sqrt => activation::sqrt(x),
            Self::Square => each(x, |x| x * x),
            Self::Abs => each(x, f32::abs),
            Self::Neg => each(x, |x| -x),
            Self::Reciprocal => each(x, |x| 1.0 / x),
        }
    }
}

#[inline(always)]
fn each(x: &mut [f32], f: impl Fn(f32) -> f32) {
    x.iter_mut().for_each(|x| *x = f(*x));
}

/// `x = f(x, g(x))`.
#[inline(always)]
fn with(x: &mut [f32], g: impl Fn(&mut [f32]), f: impl Fn(f32, f32) -> f32) {
    for x in x.chunks_mut(CHUNK) {
        let mut values = [0.0; CHUNK];
        let values = &mut values[..x.len()];
        values.copy_from_slice(x);
        g(values);
        x.iter_mut().zip(values).for_each(|(x, value)| *x = f(*x, *value));
    }
}

/// `x = ln(1 + e^-|x|)`: what softplus adds to the positive part.
fn softplus_tail(x: &mut [f32]) {
    each(x, |x| -x.abs());
    activation::exp(x);
    each(x, |x| 1.0 + x);
    activation::ln(x);
}

/// `x = erfc(|x|)`, to 4e-7: `e^(-z²) t Q(u)` with `t = 1 / (1 + z / 2)`, and `Q` a polynomial of least deviation fitted to
/// `e^(z²) erfc(z) / t` over `z` from 0 to 6.5, in `u`, which goes from 1 to -1 there.
fn erfc(x: &mut [f32]) {
    const Q: [f32; 10] = [
        5.038_453_3e-6, -2.437_549_6e-5, -2.014_762_9e-5, 3.455_01e-4, -2.124_097_4e-4, -4.500_163_7e-3,
        3.013_785_2e-3, 8.694_371e-2, 0.314_876_68, 0.599_572_36,
    ];
    let tail = |z: f32, e: f32| {
        let t = 1.0 / (1.0 + 0.5 * z);
        let u = 2.615_384_6 * t - 1.615_384_6;
        e * t * Q.iter().fold(0.0, |sum, q| sum * u + q)
    };
    let square = |x: &mut [f32]| {
        each(x, |x| -x * x);
        activation::exp(x);
    };
    with(x, square, |x, e| tail(x.abs(), e));
}

/// NaN stays.
#[inline(always)]
fn clip(x: f32, min: f32, max: f32) -> f32 {
    if x < min {
        min
    } else if x > max {
        max
    } else {
        x
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    #[test]
    fn every_function_follows_its_formula() {
        let (alpha, beta, gamma) = (0.3_f32, 0.4_f32, 1.05_f32);
        let (a, b, g) = (f64::from(alpha), f64::from(beta), f64::from(gamma));
        type Formula = Box<dyn Fn(f64) -> f64>;
        let elu = move |x: f64| if x < 0.0 { a * (x.exp() - 1.0) } else { x };
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        // Simpson's rule.
        let erf = |x: f64| {
            let (n, f) = (2000, |t: f64| (-t * t).exp());
            let h = x / f64::from(n);
            let sum: f64 = (1..n).map(|i| f64::from(2 + 2 * (i % 2)) * f(f64::from(i) * h)).sum();
            (f(0.0) + f(x) + sum) * h / 3.0 * 2.0 / core::f64::consts::PI.sqrt()
        };
        let cases: [(Activation, Formula); 23] = [
            (Activation::Identity, Box::new(|x| x)),
            (Activation::Tanh, Box::new(f64::tanh)),
            (Activation::Sigmoid, Box::new(sigmoid)),
            (Activation::Relu, Box::new(|x| x.max(0.0))),
            (Activation::LeakyRelu { alpha }, Box::new(move |x| if x < 0.0 { a * x } else { x })),
            (Activation::ThresholdedRelu { alpha }, Box::new(move |x| if x > a { x } else { 0.0 })),
            (Activation::HardSigmoid { alpha, beta }, Box::new(move |x| (a * x + b).clamp(0.0, 1.0))),
            (Activation::Elu { alpha }, Box::new(elu)),
            (Activation::Selu { alpha, gamma }, Box::new(move |x| g * elu(x))),
            (Activation::Softsign, Box::new(|x| x / (1.0 + x.abs()))),
            (Activation::Softplus, Box::new(|x| x.max(0.0) + (-x.abs()).exp().ln_1p())),
            (Activation::Affine { alpha, beta }, Box::new(move |x| a * x + b)),
            (Activation::ScaledTanh { alpha, beta }, Box::new(move |x| a * (b * x).tanh())),
            (Activation::Clip { min: -0.5, max: 2.0 }, Box::new(|x| x.clamp(-0.5, 2.0))),
            (Activation::Silu, Box::new(move |x| x * sigmoid(x))),
            (Activation::HardSwish, Box::new(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
            (Activation::Erf, Box::new(erf)),
            (Activation::Gelu { tanh: false }, Box::new(move |x| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())))),
            (
                Activation::Gelu { tanh: true },
                Box::new(|x| {
                    0.5 * x * (1.0 + ((2.0 / core::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
                }),
            ),
            (Activation::Exp, Box::new(f64::exp)),
            (Activation::Square, Box::new(|x| x * x)),
            (Activation::Abs, Box::new(f64::abs)),
            (Activation::Neg, Box::new(|x| -x)),
        ];
        let x: Vec<f32> = (0..401).map(|i| (i as f32 - 200.0) / 25.0).collect();
        for (activation, formula) in cases {
            let mut y = x.clone();
            activation.apply(&mut y);
            for (x, y) in x.iter().zip(y) {
                let want = formula(f64::from(*x));
                assert!((f64::from(y) - want).abs() <= 1e-6 * want.abs().max(1.0), "{activation:?} {x}: {y} {want}");
            }
        }
        for (activation, formula) in [
            (Activation::Log, f64::ln as fn(f64) -> f64),
            (Activation::Sqrt, f64::sqrt),
            (Activation::Reciprocal, f64::recip),
        ] {
            for x in x.iter().filter(|x| **x > 0.0) {
                let mut y = [*x];
                activation.apply(&mut y);
                let want = formula(f64::from(*x));
                assert!((f64::from(y[0]) - want).abs() <= 1e-6 * want.abs().max(1.0), "{activation:?} {x}");
            }
        }
    }
}
