//! The instructions of a machine.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use elman_kernels::softmax::softmax;
use elman_kernels::step::{Panels, linear};

use super::activation::Activation;
use super::memory::{Memory, Value};
use super::recurrent::Recurrent;
use crate::cell::input::Input;
use crate::cell::layer::Layer;

/// A function of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a b`.
    Mul,
    /// `a / b`.
    Div,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// `a` above 0, elsewhere `b a`: a parametric relu with slopes `b`.
    Prelu,
    /// 1 where they are equal, elsewhere 0.
    Equal,
    /// 1 where the first is greater, elsewhere 0.
    Greater,
    /// 1 where the first is greater or equal, elsewhere 0.
    GreaterOrEqual,
}

impl Binary {
    #[inline(always)]
    fn run(self, a: &[f32], b: &[f32], y: &mut [f32]) {
        #[inline(always)]
        fn all(a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
            if let [b] = *b {
                y.iter_mut().zip(a).for_each(|(y, a)| *y = f(*a, b));
            } else if let [a] = *a {
                y.iter_mut().zip(b).for_each(|(y, b)| *y = f(a, *b));
            } else {
                // The shorter repeats.
                for (at, y) in y.chunks_mut(a.len().min(b.len()).max(1)).enumerate() {
                    let part = |x: &[f32]| if x.len() > y.len() { at * y.len() } else { 0 };
                    let (a, b) = (&a[part(a)..], &b[part(b)..]);
                    y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = f(*a, *b));
                }
            }
        }
        match self {
            Self::Add => all(a, b, y, |a, b| a + b),
            Self::Sub => all(a, b, y, |a, b| a - b),
            Self::Mul => all(a, b, y, |a, b| a * b),
            Self::Div => all(a, b, y, |a, b| a / b),
            // A NaN of either stays.
            Self::Max => all(a, b, y, |a, b| if a > b || a.is_nan() { a } else { b }),
            Self::Min => all(a, b, y, |a, b| if a < b || a.is_nan() { a } else { b }),
            Self::Prelu => all(a, b, y, |a, b| if a < 0.0 { b * a } else { a }),
            Self::Equal => all(a, b, y, |a, b| truth(a == b)),
            Self::Greater => all(a, b, y, |a, b| truth(a > b)),
            Self::GreaterOrEqual => all(a, b, y, |a, b| truth(a >= b)),
        }
    }
}

/// What becomes of the `n` values of `[outer, n, inner]` that differ in the middle index alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The square root of the sum of their squares.
    L2,
}

/// One instruction; sizes were checked by [`super::Builder`].
pub(super) enum Instruction {
    Copy {
        from: Value,
        to: Value,
    },
    /// A recurrent layer by the fast path; `prev` and `next` hold `h` and, of an LSTM, `c`.
    Layer {
        layer: Arc<Layer>,
        input: Value,
        prev: Value,
        next: Value,
    },
    /// A recurrent layer by the general path, whose working memory lies before `next`.
    Recurrent {
        cell: Arc<Recurrent>,
        input: Value,
        prev: Value,
        next: Value,
    },
    /// `f(W x + b)` for each row.
    Dense {
        weight: Arc<Panels>,
        bias: Arc<Vec<f32>>,
        activation: Activation,
        input: Value,
        output: Value,
    },
    Activate {
        activation: Activation,
        input: Value,
        output: Value,
    },
    Binary {
        function: Binary,
        a: Value,
        b: Value,
        output: Value,
    },
    /// `a` where the condition, which repeats, is not 0, elsewhere `b`.
    Choose {
        condition: Value,
        a: Value,
        b: Value,
        output: Value,
    },
    /// Rows of a table by number.
    Embed {
        table: Arc<Vec<f32>>,
        tokens: Value,
        output: Value,
    },
    /// `y[i] = x[from[i]]`; 0 where there is no such value.
    Select {
        from: Arc<Vec<u32>>,
        input: Value,
        output: Value,
    },
    /// Puts `input` in a ring of frames with its position behind it; writes those of `ages` steps ago.
    Delay {
        ring: Value,
        ages: Box<[usize]>,
        input: Value,
        output: Value,
    },
    Reduce {
        reduction: Reduction,
        n: usize,
        inner: usize,
        input: Value,
        output: Value,
    },
    /// Softmax of each row.
    Softmax {
        width: usize,
        input: Value,
        output: Value,
    },
    /// Each row less its mean, divided by its standard deviation.
    Normalize {
        width: usize,
        epsilon: f32,
        input: Value,
        output: Value,
    },
}

impl Instruction {
    /// Allocates what the instruction needs beside its values.
    pub(super) fn reserve(&self, memory: &mut Memory) {
        match self {
            Self::Layer { layer, next, .. } => layer.reserve(&mut memory.layers, next.len() / layer.state_width()),
            Self::Recurrent { cell, .. } => cell.reserve(&mut memory.products),
            Self::Dense { weight, output, .. } => {
                memory.products.reserve(weight, output.len() / weight.units().max(1));
            }
            _ => {}
        }
    }

    #[inline(always)]
    pub(super) fn run(&self, memory: &mut Memory, constants: &[f32], backwards: bool) {
        match self {
            Self::Copy { from, to } => {
                let ([x], y) = memory.views(constants, [*from], *to);
                y.copy_from_slice(x);
            }
            Self::Layer { layer, input, prev, next } => {
                let (([x, prev], next), scratch) = memory.views_and_layers(constants, [*input, *prev], *next);
                match layer.input {
                    crate::InputKind::Dense(_) => layer.step(Input::Dense(x), prev, next, scratch, backwards),
                    crate::InputKind::Tokens(_) => {
                        layer.step(Input::Tokens(&[x[0] as u32]), prev, next, scratch, backwards);
                    }
                }
            }
            Self::Recurrent { cell, input, prev, next } => {
                let (([x, prev], out), scratch) =
                    memory.views_and_products(constants, [*input, *prev], next.after(cell.work()));
                let (work, next) = out.split_at_mut(cell.work());
                cell.step(x, prev, work, next, scratch);
            }
            Self::Dense { weight, bias, activation, input, output } => {
                let (([x], y), scratch) = memory.views_and_products(constants, [*input], *output);
                linear(weight, bias, x, y, scratch, backwards);
                activation.apply(y);
            }
            Self::Activate { activation, input, output } => {
                let ([x], y) = memory.views(constants, [*input], *output);
                y.copy_from_slice(x);
                activation.apply(y);
            }
            Self::Binary { function, a, b, output } => {
                let ([a, b], y) = memory.views(constants, [*a, *b], *output);
                function.run(a, b, y);
            }
            Self::Choose { condition, a, b, output } => {
                let ([condition, a, b], y) = memory.views(constants, [*condition, *a, *b], *output);
                for (((y, a), b), condition) in y.iter_mut().zip(a).zip(b).zip(condition.iter().cycle()) {
                    *y = if *condition == 0.0 { *b } else { *a };
                }
            }
            Self::Embed { table, tokens, output } => {
                let ([tokens], y) = memory.views(constants, [*tokens], *output);
                let width = y.len() / tokens.len();
                for (y, token) in y.chunks_exact_mut(width).zip(tokens) {
                    y.copy_from_slice(&table[*token as usize * width..][..width]);
                }
            }
            Self::Select { from, input, output } => {
                let ([x], y) = memory.views(constants, [*input], *output);
                y.iter_mut().zip(&**from).for_each(|(y, from)| *y = x.get(*from as usize).copied().unwrap_or(0.0));
            }
            Self::Delay { ring, ages, input, output } => memory.delay(constants, *ring, ages, *input, *output),
            Self::Reduce { reduction, n, inner, input, output } => {
                let ([x], y) = memory.views(constants, [*input], *output);
                reduce(*reduction, *n, *inner, x, y);
            }
            Self::Softmax { width, input, output } => {
                let ([x], y) = memory.views(constants, [*input], *output);
                y.copy_from_slice(x);
                y.chunks_exact_mut(*width).for_each(softmax);
            }
            Self::Normalize { width, epsilon, input, output } => {
                let ([x], y) = memory.views(constants, [*input], *output);
                y.copy_from_slice(x);
                y.chunks_exact_mut(*width).for_each(|row| normalize(row, *epsilon));
            }
        }
    }
}

#[inline(always)]
fn truth(x: bool) -> f32 {
    if x { 1.0 } else { 0.0 }
}

fn reduce(reduction: Reduction, n: usize, inner: usize, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(n * inner).zip(y.chunks_exact_mut(inner)) {
        y.copy_from_slice(&x[..inner]);
        if reduction == Reduction::L2 {
            y.iter_mut().for_each(|y| *y *= *y);
        }
        for x in x[inner..].chunks_exact(inner) {
            let both = y.iter_mut().zip(x);
            match reduction {
                Reduction::Sum | Reduction::Mean => both.for_each(|(y, x)| *y += x),
                Reduction::L2 => both.for_each(|(y, x)| *y += x * x),
                Reduction::Max => both.for_each(|(y, x)| *y = if *x > *y || x.is_nan() { *x } else { *y }),
                Reduction::Min => both.for_each(|(y, x)| *y = if *x < *y || x.is_nan() { *x } else { *y }),
            }
        }
        match reduction {
            Reduction::Mean => y.iter_mut().for_each(|y| *y /= n as f32),
            Reduction::L2 => Activation::Sqrt.apply(y),
            _ => {}
        }
    }
}

/// Sums in `f64`: a row may be long, and its mean far from 0.
fn normalize(row: &mut [f32], epsilon: f32) {
    let n = row.len() as f64;
    let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let square = |x: &f32| (f64::from(*x) - mean) * (f64::from(*x) - mean);
    let variance = row.iter().map(square).sum::<f64>() / n;
    let mut deviation = [(variance + f64::from(epsilon)) as f32];
    Activation::Sqrt.apply(&mut deviation);
    row.iter_mut().for_each(|x| *x = ((f64::from(*x) - mean) as f32) / deviation[0]);
}
