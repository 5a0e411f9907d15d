//! The instructions of a machine.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use elman_kernels::softmax::softmax;
use elman_kernels::step::{Panels, linear, linear_rows};

use super::activation::Activation;
use super::memory::{Frame, Place, Scratch};
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

/// One instruction over values of the kind `V`; sizes were checked by [`super::Builder`].
pub(super) enum Instruction<V> {
    Copy {
        from: V,
        to: V,
    },
    /// A recurrent layer by the fast path; `prev` and `next` hold `h` and, of an LSTM, `c`.
    Layer {
        layer: Arc<Layer>,
        input: V,
        prev: V,
        next: V,
    },
    /// A recurrent layer by the general path.
    Recurrent {
        cell: Arc<Recurrent>,
        input: V,
        prev: V,
        next: V,
    },
    /// `f(W x + b)` for each row.
    Dense {
        weight: Arc<Panels>,
        bias: Arc<Vec<f32>>,
        activation: Activation,
        input: V,
        output: V,
    },
    Activate {
        activation: Activation,
        input: V,
        output: V,
    },
    Binary {
        function: Binary,
        a: V,
        b: V,
        output: V,
    },
    /// `a` where the condition, which repeats, is not 0, elsewhere `b`.
    Choose {
        condition: V,
        a: V,
        b: V,
        output: V,
    },
    /// Rows of a table by number.
    Embed {
        table: Arc<Vec<f32>>,
        tokens: V,
        output: V,
    },
    /// `y[i] = x[from[i]]`; 0 where there is no such value.
    Select {
        from: Arc<Vec<u32>>,
        input: V,
        output: V,
    },
    /// Puts `input` in a ring of frames with its position behind it; writes those of `ages` steps ago.
    Delay {
        ring: V,
        ages: Box<[usize]>,
        input: V,
        output: V,
    },
    Reduce {
        reduction: Reduction,
        n: usize,
        inner: usize,
        input: V,
        output: V,
    },
    /// Softmax of each row.
    Softmax {
        width: usize,
        input: V,
        output: V,
    },
    /// Each row less its mean, divided by its standard deviation.
    Normalize {
        width: usize,
        epsilon: f32,
        input: V,
        output: V,
    },
    /// Counts the steps in `count`; 1 in every `period`-th, elsewhere 0.
    Clock {
        count: V,
        period: usize,
        output: V,
    },
    /// The next `instructions` are passed over where the clock is 0.
    Gate {
        clock: V,
        instructions: usize,
    },
}

impl<V: Copy> Instruction<V> {
    /// What it reads, and what it writes; the ring of a delay and the count of a clock are neither.
    pub(super) fn operands(&self) -> (impl Iterator<Item = V>, V) {
        let (read, write) = match self {
            Self::Copy { from, to } => ([Some(*from), None, None], *to),
            Self::Layer { input, prev, next, .. } | Self::Recurrent { input, prev, next, .. } => {
                ([Some(*input), Some(*prev), None], *next)
            }
            Self::Binary { a, b, output, .. } => ([Some(*a), Some(*b), None], *output),
            Self::Choose { condition, a, b, output } => ([Some(*condition), Some(*a), Some(*b)], *output),
            Self::Embed { tokens: input, output, .. }
            | Self::Dense { input, output, .. }
            | Self::Activate { input, output, .. }
            | Self::Select { input, output, .. }
            | Self::Delay { input, output, .. }
            | Self::Reduce { input, output, .. }
            | Self::Softmax { input, output, .. }
            | Self::Normalize { input, output, .. }
            | Self::Gate { clock: input @ output, .. } => ([Some(*input), None, None], *output),
            Self::Clock { output, .. } => ([None; 3], *output),
        };
        (read.into_iter().flatten(), write)
    }

    /// The same over other values.
    pub(super) fn map<W>(self, f: impl Fn(V) -> W) -> Instruction<W> {
        use Instruction as I;
        match self {
            I::Copy { from, to } => I::Copy { from: f(from), to: f(to) },
            I::Layer { layer, input, prev, next } => I::Layer { layer, input: f(input), prev: f(prev), next: f(next) },
            I::Recurrent { cell, input, prev, next } => {
                I::Recurrent { cell, input: f(input), prev: f(prev), next: f(next) }
            }
            I::Dense { weight, bias, activation, input, output } => {
                I::Dense { weight, bias, activation, input: f(input), output: f(output) }
            }
            I::Activate { activation, input, output } => I::Activate { activation, input: f(input), output: f(output) },
            I::Binary { function, a, b, output } => I::Binary { function, a: f(a), b: f(b), output: f(output) },
            I::Choose { condition, a, b, output } => {
                I::Choose { condition: f(condition), a: f(a), b: f(b), output: f(output) }
            }
            I::Embed { table, tokens, output } => I::Embed { table, tokens: f(tokens), output: f(output) },
            I::Select { from, input, output } => I::Select { from, input: f(input), output: f(output) },
            I::Delay { ring, ages, input, output } => {
                I::Delay { ring: f(ring), ages, input: f(input), output: f(output) }
            }
            I::Reduce { reduction, n, inner, input, output } => {
                I::Reduce { reduction, n, inner, input: f(input), output: f(output) }
            }
            I::Softmax { width, input, output } => I::Softmax { width, input: f(input), output: f(output) },
            I::Normalize { width, epsilon, input, output } => {
                I::Normalize { width, epsilon, input: f(input), output: f(output) }
            }
            I::Clock { count, period, output } => I::Clock { count: f(count), period, output: f(output) },
            I::Gate { clock, instructions } => I::Gate { clock: f(clock), instructions },
        }
    }
}

impl Instruction<Place> {
    /// Allocates what the instruction needs beside its values, for blocks of `block` steps.
    pub(super) fn reserve(&self, scratch: &mut Scratch, block: usize) {
        match self {
            Self::Layer { layer, next, .. } => layer.reserve(&mut scratch.layers, next.len / layer.state_width()),
            Self::Recurrent { cell, .. } => {
                cell.reserve(&mut scratch.products);
                let work = scratch.work.len().max(cell.work());
                scratch.work.resize(work, 0.0);
            }
            Self::Dense { weight, input, output, .. } => {
                scratch.products.reserve(weight, block.max(output.len / weight.units().max(1)));
                let rows = scratch.rows.len().max(block * input.len);
                scratch.rows.resize(if block > 1 { rows } else { 0 }, 0.0);
            }
            _ => {}
        }
    }

    /// `T` steps at once, `frame` being the first of them; whether it could.
    ///
    /// Only for an instruction that reads nothing of what it writes.
    pub(super) fn run_rows(&self, frame: &mut Frame, steps: usize) -> bool {
        match self {
            Self::Dense { weight, bias, activation, input, output } if output.len == weight.units() => {
                let (x, (y, stride), products) = frame.rows(*input, *output, steps);
                linear_rows(weight, bias, x, (y, stride), steps, products);
                match stride == output.len {
                    true => activation.apply(y),
                    false => y.chunks_mut(stride).for_each(|row| activation.apply(&mut row[..output.len])),
                }
                true
            }
            _ => false,
        }
    }

    /// One step.
    #[inline(always)]
    pub(super) fn run(&self, frame: &mut Frame, backwards: bool) {
        match self {
            Self::Copy { from, to } => {
                let ([x], y, _) = frame.views([*from], *to);
                copy(x, y);
            }
            Self::Layer { layer, input, prev, next } => {
                let ([x, prev], next, scratch) = frame.views([*input, *prev], *next);
                let scratch = &mut scratch.layers;
                match layer.input {
                    crate::InputKind::Dense(_) => layer.step(Input::Dense(x), prev, next, scratch, backwards),
                    crate::InputKind::Tokens(_) => {
                        layer.step(Input::Tokens(&[x[0] as u32]), prev, next, scratch, backwards);
                    }
                }
            }
            Self::Recurrent { cell, input, prev, next } => {
                let ([x, prev], next, Scratch { products, work, .. }) = frame.views([*input, *prev], *next);
                cell.step(x, prev, &mut work[..cell.work()], next, products);
            }
            Self::Dense { weight, bias, activation, input, output } => {
                let ([x], y, scratch) = frame.views([*input], *output);
                linear(weight, bias, x, y, &mut scratch.products, backwards);
                activation.apply(y);
            }
            Self::Activate { activation, input, output } => {
                let ([x], y, _) = frame.views([*input], *output);
                copy(x, y);
                activation.apply(y);
            }
            Self::Binary { function, a, b, output } => {
                let ([a, b], y, _) = frame.views([*a, *b], *output);
                function.run(a, b, y);
            }
            Self::Choose { condition, a, b, output } => {
                let ([condition, a, b], y, _) = frame.views([*condition, *a, *b], *output);
                for (((y, a), b), condition) in y.iter_mut().zip(a).zip(b).zip(condition.iter().cycle()) {
                    *y = if *condition == 0.0 { *b } else { *a };
                }
            }
            Self::Embed { table, tokens, output } => {
                let ([tokens], y, _) = frame.views([*tokens], *output);
                let width = y.len() / tokens.len();
                for (y, token) in y.chunks_exact_mut(width).zip(tokens) {
                    y.copy_from_slice(&table[*token as usize * width..][..width]);
                }
            }
            Self::Select { from, input, output } => {
                let ([x], y, _) = frame.views([*input], *output);
                y.iter_mut().zip(&**from).for_each(|(y, from)| *y = x.get(*from as usize).copied().unwrap_or(0.0));
            }
            Self::Delay { ring, ages, input, output } => frame.delay(*ring, ages, *input, *output),
            Self::Reduce { reduction, n, inner, input, output } => {
                let ([x], y, _) = frame.views([*input], *output);
                reduce(*reduction, *n, *inner, x, y);
            }
            Self::Softmax { width, input, output } => {
                let ([x], y, _) = frame.views([*input], *output);
                y.copy_from_slice(x);
                y.chunks_exact_mut(*width).for_each(softmax);
            }
            Self::Normalize { width, epsilon, input, output } => {
                let ([x], y, _) = frame.views([*input], *output);
                y.copy_from_slice(x);
                y.chunks_exact_mut(*width).for_each(|row| normalize(row, *epsilon));
            }
            Self::Clock { count, period, output } => frame.clock(*count, *period, *output),
            // Of the list of instructions: see [`super::Machine::step`].
            Self::Gate { .. } => {}
        }
    }
}

/// A few values faster than by the general copy.
#[inline(always)]
fn copy(x: &[f32], y: &mut [f32]) {
    if let ([x], [y]) = (x, &mut *y) {
        *y = *x;
    } else {
        y.copy_from_slice(x);
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
