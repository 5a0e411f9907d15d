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
        let cases: [(Activation, Formula); 20] = [
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
