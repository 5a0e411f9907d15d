//! Pointwise operators.

use std::ops::{Add, Div, Mul, Sub};
use std::sync::Arc;

use elman_kernels::{Scalar, activation};

use super::broadcast::{joint, zip};
use crate::error::{Error, Result};
use crate::graph::{Activation, Binary, Unary};
use crate::tensor::{Dtype, Tensor, Values};

/// What pointwise functions need of `f32` and `f64`.
pub(super) trait Real:
    Scalar + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    fn pow(self, y: Self) -> Self;
    fn rem(self, y: Self) -> Self;
    fn round(self, unary: Unary) -> Self;
    fn sine(self, unary: Unary) -> Self;
    fn larger(self, y: Self) -> Self;
    fn smaller(self, y: Self) -> Self;
    fn ln_1p(self) -> Self;
}

macro_rules! real {
    ($t:ty) => {
        impl Real for $t {
            fn pow(self, y: Self) -> Self {
                // A square is by far the commonest power, and exact.
                if y == 2.0 { self * self } else { self.powf(y) }
            }
            fn rem(self, y: Self) -> Self {
                self % y
            }
            fn round(self, unary: Unary) -> Self {
                match unary {
                    Unary::Floor => self.floor(),
                    Unary::Ceil => self.ceil(),
                    _ => self.round_ties_even(),
                }
            }
            fn sine(self, unary: Unary) -> Self {
                if unary == Unary::Sin { self.sin() } else { self.cos() }
            }
            // NaN stays, as in NumPy.
            fn larger(self, y: Self) -> Self {
                if self.is_nan() || self > y { self } else { y }
            }
            fn smaller(self, y: Self) -> Self {
                if self.is_nan() || self < y { self } else { y }
            }
            fn ln_1p(self) -> Self {
                <$t>::ln_1p(self)
            }
        }
    };
}
real!(f32);
real!(f64);

/// A pointwise function of a tensor.
pub(super) fn activate(f: Activation, x: Tensor) -> Result<Tensor> {
    let (dtype, dims) = (x.dtype(), x.dims().to_vec());
    let values = match x.into_values() {
        Values::F32(mut v) => {
            activation_of(f, Arc::make_mut(&mut v).as_mut_slice());
            Values::F32(v)
        }
        Values::F64(mut v) => {
            activation_of(f, Arc::make_mut(&mut v).as_mut_slice());
            Values::F64(v)
        }
        // Relu and Elu of integers exist in ONNX, and mean the same.
        Values::I64(v) if f == Activation::Relu => Values::I64(Arc::new(v.iter().map(|x| *x.max(&0)).collect())),
        _ => return Err(Error::unsupported(format!("{f:?}"), format!("elements of {dtype}"))),
    };
    Tensor::new(dtype, dims, values)
}

/// A pointwise function of a slice.
pub(super) fn activation_of<F: Real>(f: Activation, x: &mut [F]) {
    let of = |v: f32| F::from_f64(f64::from(v));
    let (zero, one) = (F::ZERO, F::ONE);
    let each = |x: &mut [F], f: &dyn Fn(F) -> F| x.iter_mut().for_each(|x| *x = f(*x));
    match f {
        Activation::Sigmoid => activation::sigmoid(x),
        Activation::Tanh => activation::tanh(x),
        Activation::Relu => activation::relu(x),
        Activation::Affine { alpha, beta } => x.iter_mut().for_each(|x| *x = of(alpha) * *x + of(beta)),
        Activation::LeakyRelu { alpha } => x.iter_mut().for_each(|x| {
            if *x < zero {
                *x = of(alpha) * *x;
            }
        }),
        Activation::ThresholdedRelu { alpha } => x.iter_mut().for_each(|x| {
            if *x <= of(alpha) {
                *x = zero;
            }
        }),
        Activation::ScaledTanh { alpha, beta } => each(x, &|x| of(alpha) * (of(beta) * x).tanh()),
        Activation::HardSigmoid { alpha, beta } => x.iter_mut().for_each(|x| {
            *x = (of(alpha) * *x + of(beta)).smaller(one).larger(zero);
        }),
        Activation::Elu { alpha } => each(x, &|x| if x < zero { of(alpha) * (x.exp() - one) } else { x }),
        Activation::Selu { alpha, gamma } => {
            each(x, &|x| of(gamma) * if x > zero { x } else { of(alpha) * (x.exp() - one) });
        }
        Activation::Softsign => each(x, &|x| x / (one + x.abs())),
        // log(1 + e^x), without overflow: max(x, 0) + log(1 + e^-|x|).
        Activation::Softplus => each(x, &|x| x.larger(zero) + (-x.abs()).exp().ln_1p()),
        Activation::HardSwish => {
            let (sixth, half) = (F::from_f64(1.0 / 6.0), F::from_f64(0.5));
            each(x, &|x| x * (sixth * x + half).smaller(one).larger(zero));
        }
        Activation::Swish => each(x, &|x| x / (one + (-x).exp())),
        Activation::Gelu { tanh: true } => {
            let (half, k, c) =
                (F::from_f64(0.5), F::from_f64((2.0 / std::f64::consts::PI).sqrt()), F::from_f64(0.044715));
            each(x, &|x| half * x * (one + (k * (x + c * x * x * x)).tanh()));
        }
        Activation::Gelu { tanh: false } => each(x, &|x| {
            let x = x.to_f64();
            F::from_f64(0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)))
        }),
        Activation::Exp => each(x, &|x| x.exp()),
    }
}

/// The error function, to 1e-15: its series for small values, else the continued fraction of its complement.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    if a > 6.0 {
        return x.signum();
    }
    if a < 2.5 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
            if n > 200.0 {
                break;
            }
        }
        return (x.signum() * sum * 2.0 / std::f64::consts::PI.sqrt()).clamp(-1.0, 1.0);
    }
    // erfc(a) = e^(-a²) / sqrt(π) / (a + (1/2)/(a + (2/2)/(a + (3/2)/(a + …)))), from the inside.
    let fraction = (1..=60).rev().fold(a, |f, k| a + f64::from(k) / 2.0 / f);
    x.signum() * (1.0 - (-a * a).exp() / std::f64::consts::PI.sqrt() / fraction)
}

/// A pointwise function of a tensor.
pub(super) fn unary(f: Unary, x: Tensor) -> Result<Tensor> {
    fn of<F: Real>(f: Unary, x: &mut [F]) {
        let each = |x: &mut [F], f: &dyn Fn(F) -> F| x.iter_mut().for_each(|x| *x = f(*x));
        match f {
            Unary::Neg => x.iter_mut().for_each(|x| *x = -*x),
            Unary::Abs => x.iter_mut().for_each(|x| *x = x.abs()),
            Unary::Sign => each(x, &|x| {
                if x > F::ZERO {
                    F::ONE
                } else if x < F::ZERO {
                    -F::ONE
                } else {
                    x
                }
            }),
            Unary::Sqrt => x.iter_mut().for_each(|x| *x = x.sqrt()),
            Unary::Reciprocal => x.iter_mut().for_each(|x| *x = F::ONE / *x),
            Unary::Log => each(x, &|x| x.ln()),
            Unary::Floor | Unary::Ceil | Unary::Round => each(x, &|x| x.round(f)),
            Unary::Erf => each(x, &|x| F::from_f64(erf(x.to_f64()))),
            Unary::Sin | Unary::Cos => each(x, &|x| x.sine(f)),
            // Of truth values, and giving them: elsewhere.
            Unary::Not | Unary::IsNan => {}
        }
    }
    let (dtype, dims) = (x.dtype(), x.dims().to_vec());
    let refuse = || Err(Error::unsupported(format!("{f:?}"), format!("elements of {dtype}")));
    let bools = |v: Vec<bool>| Values::Bool(Arc::new(v));
    match (f, x.into_values()) {
        (Unary::Not, Values::Bool(v)) => Tensor::new(dtype, dims, bools(v.iter().map(|x| !x).collect())),
        (Unary::Not, _) => refuse(),
        (Unary::IsNan, Values::F32(v)) => Tensor::new(Dtype::Bool, dims, bools(v.iter().map(|x| x.is_nan()).collect())),
        (Unary::IsNan, Values::F64(v)) => Tensor::new(Dtype::Bool, dims, bools(v.iter().map(|x| x.is_nan()).collect())),
        (Unary::IsNan, _) => refuse(),
        (_, Values::F32(mut v)) => {
            of(f, Arc::make_mut(&mut v).as_mut_slice());
            Tensor::new(dtype, dims, Values::F32(v))
        }
        (_, Values::F64(mut v)) => {
            of(f, Arc::make_mut(&mut v).as_mut_slice());
            Tensor::new(dtype, dims, Values::F64(v))
        }
        (_, Values::I64(v)) => {
            let g: fn(i64) -> i64 = match f {
                Unary::Neg => i64::wrapping_neg,
                Unary::Abs => i64::wrapping_abs,
                Unary::Sign => i64::signum,
                _ => return refuse(),
            };
            Tensor::new(dtype, dims, Values::I64(Arc::new(v.iter().map(|x| g(*x)).collect())))
        }
        (_, Values::Bool(_)) => refuse(),
    }
}

/// A pointwise function of two tensors, broadcast against each other.
pub(super) fn binary(f: Binary, a: Tensor, b: Tensor) -> Result<Tensor> {
    // Exponents may be of another type than the base.
    let b = if f == Binary::Pow && a.dtype() != b.dtype() { b.cast(a.dtype())? } else { b };
    if a.dtype() != b.dtype() {
        return Err(Error::malformed(format!("{f:?}"), format!("it is given {} and {}", a.dtype(), b.dtype())));
    }
    let dtype = a.dtype();
    let (a_dims, b_dims) = (a.dims().to_vec(), b.dims().to_vec());
    let (dims, values) = match (a.into_values(), b.into_values()) {
        (Values::F32(a), Values::F32(b)) => floats(f, (a, a_dims), (b, b_dims), Values::F32)?,
        (Values::F64(a), Values::F64(b)) => floats(f, (a, a_dims), (b, b_dims), Values::F64)?,
        (Values::I64(a), Values::I64(b)) => integers(f, dtype, (&a, &a_dims), (&b, &b_dims))?,
        (Values::Bool(a), Values::Bool(b)) => truths(f, (&a, &a_dims), (&b, &b_dims))?,
        _ => return Err(Error::malformed(format!("{f:?}"), "its inputs differ in type")),
    };
    let dtype = if matches!(values, Values::Bool(_)) { Dtype::Bool } else { dtype };
    Tensor::new(dtype, dims, values)
}

type Shared<F> = (Arc<Vec<F>>, Vec<usize>);

fn floats<F: Real>(
    f: Binary,
    (a, a_dims): Shared<F>,
    (b, b_dims): Shared<F>,
    to: fn(Arc<Vec<F>>) -> Values,
) -> Result<(Vec<usize>, Values)> {
    let truth =
        |f: fn(F, F) -> bool| zip((&a, &a_dims), (&b, &b_dims), f).map(|(dims, v)| (dims, Values::Bool(Arc::new(v))));
    match f {
        Binary::Equal => return truth(|a, b| a == b),
        Binary::Greater => return truth(|a, b| a > b),
        Binary::GreaterOrEqual => return truth(|a, b| a >= b),
        Binary::Less => return truth(|a, b| a < b),
        Binary::LessOrEqual => return truth(|a, b| a <= b),
        _ => {}
    }
    let shared = ((a, a_dims), (b, b_dims));
    let (dims, v) = match f {
        Binary::Add => in_place(shared, |a, b| a + b)?,
        Binary::Sub => in_place(shared, |a, b| a - b)?,
        Binary::Mul => in_place(shared, |a, b| a * b)?,
        Binary::Div => in_place(shared, |a, b| a / b)?,
        Binary::Pow => in_place(shared, F::pow)?,
        Binary::Mod { fmod: true } => in_place(shared, F::rem)?,
        Binary::Mod { fmod: false } => in_place(shared, |a, b| {
            let r = a.rem(b);
            match (r < F::ZERO) != (b < F::ZERO) {
                true if r != F::ZERO => r + b,
                // A zero has the divisor's sign, too.
                _ if r == F::ZERO => F::from_f64(if b < F::ZERO { -0.0 } else { 0.0 }),
                _ => r,
            }
        })?,
        Binary::Min => in_place(shared, F::smaller)?,
        Binary::Max => in_place(shared, F::larger)?,
        Binary::PRelu => in_place(shared, |x, slope| if x < F::ZERO { slope * x } else { x })?,
        _ => return Err(Error::unsupported(format!("{f:?}"), "floating-point elements")),
    };
    Ok((dims, to(v)))
}

/// `f` of two values, written over `a` where nobody else reads it.
fn in_place<F: Real>(
    ((mut a, a_dims), (b, b_dims)): (Shared<F>, Shared<F>),
    f: impl Fn(F, F) -> F,
) -> Result<(Vec<usize>, Arc<Vec<F>>)> {
    let dims = joint(&a_dims, &b_dims)?;
    // `b` repeats over `a` where it has the last axes of `a`, after any number of 1.
    let skip = b_dims.iter().take_while(|d| **d == 1).count();
    let repeats = dims == a_dims && !b.is_empty() && a_dims.ends_with(&b_dims[skip..]);
    if repeats && let Some(a) = Arc::get_mut(&mut a) {
        if let [b] = b[..] {
            a.iter_mut().for_each(|a| *a = f(*a, b));
        } else {
            for row in a.chunks_mut(b.len()) {
                row.iter_mut().zip(b.iter()).for_each(|(a, b)| *a = f(*a, *b));
            }
        }
        return Ok((dims, Arc::new(std::mem::take(a))));
    }
    let (dims, v) = zip((&a, &a_dims), (&b, &b_dims), f)?;
    Ok((dims, Arc::new(v)))
}

fn integers(f: Binary, dtype: Dtype, a: (&[i64], &[usize]), b: (&[i64], &[usize])) -> Result<(Vec<usize>, Values)> {
    let truth = |f: fn(i64, i64) -> bool| zip(a, b, f).map(|(dims, v)| (dims, Values::Bool(Arc::new(v))));
    let number = |f: fn(i64, i64) -> i64| zip(a, b, f).map(|(dims, v)| (dims, Values::I64(Arc::new(v))));
    let divides = matches!(f, Binary::Div | Binary::Mod { .. });
    if divides && b.0.contains(&0) {
        return Err(Error::malformed(format!("{f:?}"), "an integer is divided by 0"));
    }
    if dtype == Dtype::U64 && a.0.iter().chain(b.0).any(|x| *x < 0) {
        return Err(Error::unsupported(format!("{f:?}"), "uint64 beyond the range of int64"));
    }
    match f {
        Binary::Add => number(i64::wrapping_add),
        Binary::Sub => number(i64::wrapping_sub),
        Binary::Mul => number(i64::wrapping_mul),
        Binary::Div => number(i64::wrapping_div),
        Binary::Mod { fmod: true } => number(i64::wrapping_rem),
        Binary::Mod { fmod: false } => number(|a, b| {
            let r = a.wrapping_rem(b);
            if r != 0 && (r < 0) != (b < 0) { r + b } else { r }
        }),
        Binary::Pow => {
            number(|a, b| u32::try_from(b).map_or_else(|_| (a as f64).powf(b as f64) as i64, |b| a.wrapping_pow(b)))
        }
        Binary::Min => number(i64::min),
        Binary::Max => number(i64::max),
        Binary::Equal => truth(|a, b| a == b),
        Binary::Greater => truth(|a, b| a > b),
        Binary::GreaterOrEqual => truth(|a, b| a >= b),
        Binary::Less => truth(|a, b| a < b),
        Binary::LessOrEqual => truth(|a, b| a <= b),
        Binary::PRelu => number(|x, slope| if x < 0 { x.wrapping_mul(slope) } else { x }),
        Binary::And | Binary::Or | Binary::Xor => Err(Error::unsupported(format!("{f:?}"), "integer elements")),
    }
}

fn truths(f: Binary, a: (&[bool], &[usize]), b: (&[bool], &[usize])) -> Result<(Vec<usize>, Values)> {
    let g: fn(bool, bool) -> bool = match f {
        Binary::And => |a, b| a && b,
        Binary::Or => |a, b| a || b,
        Binary::Xor => |a, b| a != b,
        Binary::Equal => |a, b| a == b,
        _ => return Err(Error::unsupported(format!("{f:?}"), "truth values")),
    };
    zip(a, b, g).map(|(dims, v)| (dims, Values::Bool(Arc::new(v))))
}

/// `x` between two optional scalars.
pub(super) fn clip(x: Tensor, min: Option<Tensor>, max: Option<Tensor>) -> Result<Tensor> {
    // Before version 11 the bounds are attributes, and float32 whatever `x` is.
    let of = |bound: Tensor| if x.dtype().is_float() { bound.cast(x.dtype()) } else { Ok(bound) };
    let (min, max) = (min.map(of).transpose()?, max.map(of).transpose()?);
    let x = match min {
        Some(min) => binary(Binary::Max, x, min)?,
        None => x,
    };
    match max {
        Some(max) => binary(Binary::Min, x, max),
        None => Ok(x),
    }
}

/// `x` where `condition`, else `y`.
pub(super) fn choose(condition: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let Some(c) = condition.as_bool() else {
        return Err(Error::malformed("Where", format!("its condition is {}", condition.dtype())));
    };
    if x.dtype() != y.dtype() {
        return Err(Error::malformed("Where", format!("it is given {} and {}", x.dtype(), y.dtype())));
    }
    // Which of the two an element is, then the element: only the condition decides dimensions beyond those of x and y.
    fn of<T: Copy>(c: (&[bool], &[usize]), x: (&[T], &[usize]), y: (&[T], &[usize])) -> Result<(Vec<usize>, Vec<T>)> {
        let (dims, chosen) = zip(c, x, |c, x| c.then_some(x))?;
        zip((&chosen, &dims), y, |x, y| x.unwrap_or(y))
    }
    let (c, xd, yd) = ((c, condition.dims()), x.dims(), y.dims());
    let (dims, values) = match (x.values(), y.values()) {
        (Values::F32(x), Values::F32(y)) => of(c, (x, xd), (y, yd)).map(|(d, v)| (d, Values::F32(Arc::new(v))))?,
        (Values::F64(x), Values::F64(y)) => of(c, (x, xd), (y, yd)).map(|(d, v)| (d, Values::F64(Arc::new(v))))?,
        (Values::I64(x), Values::I64(y)) => of(c, (x, xd), (y, yd)).map(|(d, v)| (d, Values::I64(Arc::new(v))))?,
        (Values::Bool(x), Values::Bool(y)) => of(c, (x, xd), (y, yd)).map(|(d, v)| (d, Values::Bool(Arc::new(v))))?,
        _ => return Err(Error::malformed("Where", "its inputs differ in type")),
    };
    Tensor::new(x.dtype(), dims, values)
}
