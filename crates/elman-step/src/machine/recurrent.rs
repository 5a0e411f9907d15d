//! Recurrent cells with any activations, clipping, coupled gates and projection: the general path, for what the cells in
//! [`crate::cell`] do not compute.

use alloc::vec::Vec;

use elman_kernels::Mat;
use elman_kernels::step::{Panels, Precision, Scratch, linear};

use super::activation::Activation;
use crate::cell::gru::Reset;
use crate::cell::input::Weights;
use crate::error::{Error, check_length};

/// The equations of a recurrent layer; gates are in PyTorch's order, and `f`, `g` and `h` are its activations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RecurrentKind {
    /// `h_t = f(W x_t + R h_{t-1} + b)`.
    Rnn,
    /// `r, z = f(a)`, `h_t = (1 - z) g(n) + z h_{t-1}`.
    Gru(Reset),
    /// `i, f, o = f(a)`, `c_t = f c_{t-1} + i g(a)`, `h_t = o h(c_t)`.
    Lstm,
}

impl RecurrentKind {
    /// The gates.
    pub fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru(_) => 3,
            Self::Lstm => 4,
        }
    }

    /// The activations of a plain cell.
    pub fn activations(self) -> [Activation; 3] {
        match self {
            Self::Rnn => [Activation::Tanh, Activation::Identity, Activation::Identity],
            Self::Gru(_) => [Activation::Sigmoid, Activation::Tanh, Activation::Identity],
            Self::Lstm => [Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
        }
    }
}

/// A recurrent layer of `H` units whose state `h` has `P` values: `H`, or fewer with a projection.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a> {
    /// The equations.
    pub kind: RecurrentKind,
    /// `H`.
    pub hidden: usize,
    /// With `g` gates: `w_ih` `[gH, I]`, `w_hh` `[gH, P]`, biases `[gH]`.
    pub weights: Weights<'a>,
    /// Of an LSTM, `[3, H]` in the order `i, f, o`.
    pub peephole: Option<&'a [f32]>,
    /// Of an LSTM, `[P, H]`: `h_t` is this matrix times the cell's output.
    pub projection: Option<&'a [f32]>,
    /// `f`, `g` and `h`; those that the kind does not use are ignored.
    pub activations: [Activation; 3],
    /// Bound of the absolute value of every gate's argument.
    pub clip: Option<f32>,
    /// Of an LSTM: `f = 1 - i`.
    pub input_forget: bool,
}

impl<'a> Recurrence<'a> {
    /// A layer without the variations.
    pub fn plain(kind: RecurrentKind, hidden: usize, weights: Weights<'a>) -> Self {
        let activations = kind.activations();
        Recurrence {
            kind,
            hidden,
            weights,
            peephole: None,
            projection: None,
            activations,
            clip: None,
            input_forget: false,
        }
    }

    /// `P`, the width of `h`.
    pub fn width(&self) -> usize {
        match self.projection {
            Some(projection) => projection.len().checked_div(self.hidden).unwrap_or(0),
            None => self.hidden,
        }
    }

    /// Values of the state: `h`, and `c` of an LSTM.
    pub fn state_width(&self) -> usize {
        self.width() + if self.kind == RecurrentKind::Lstm { self.hidden } else { 0 }
    }

    /// Whether it has none of the variations that take the general path, which is slower and runs one row at a time.
    pub fn is_plain(&self) -> bool {
        let used = match self.kind {
            RecurrentKind::Rnn => 1,
            RecurrentKind::Gru(_) => 2,
            RecurrentKind::Lstm => 3,
        };
        let plain = self.activations[..used] == self.kind.activations()[..used]
            || (self.kind == RecurrentKind::Rnn && self.activations[0] == Activation::Relu);
        plain && self.clip.is_none() && !self.input_forget && self.projection.is_none()
    }

    fn check(&self, inputs: usize) -> Result<(), Error> {
        for (what, size) in [("the hidden size", self.hidden), ("the width of the input", inputs)] {
            if size == 0 {
                return Err(Error::Empty { what });
            }
        }
        if self.width() == 0 {
            return Err(Error::Empty { what: "the projection" });
        }
        let rows = self.kind.gates().checked_mul(self.hidden);
        let of = |width: usize| rows.and_then(|rows| rows.checked_mul(width));
        check_length("w_ih", of(inputs), self.weights.w_ih.len())?;
        check_length("w_hh", of(self.width()), self.weights.w_hh.len())?;
        check_length("b_ih", rows, self.weights.b_ih.len())?;
        check_length("b_hh", rows, self.weights.b_hh.len())?;
        if let Some(projection) = self.projection {
            check_length("the projection", self.width().checked_mul(self.hidden), projection.len())?;
        }
        match self.peephole {
            Some(peephole) => check_length("peephole", self.hidden.checked_mul(3), peephole.len()),
            None => Ok(()),
        }
    }
}

/// The packed form.
pub(super) struct Recurrent {
    kind: RecurrentKind,
    hidden: usize,
    inputs: usize,
    width: usize,
    activations: [Activation; 3],
    clip: Option<f32>,
    input_forget: bool,
    peephole: Option<Vec<f32>>,
    /// `[gH, I]` and its bias.
    w: (Panels, Vec<f32>),
    /// Of gates that read `h_{t-1}` itself, and their bias.
    r: (Panels, Vec<f32>),
    /// Of the candidate of a GRU that resets before the product.
    candidate: Option<(Panels, Vec<f32>)>,
    projection: Option<(Panels, Vec<f32>)>,
}

impl Recurrent {
    pub(super) fn new(of: &Recurrence, inputs: usize, precision: Precision) -> Result<Self, Error> {
        of.check(inputs)?;
        let (hidden, width, Weights { w_ih, w_hh, b_ih, b_hh }) = (of.hidden, of.width(), of.weights);
        let rows = of.kind.gates() * hidden;
        let panels = |w: &[f32], rows, cols| Panels::new(precision, 1, Mat::new(&[], rows, 0), Mat::new(w, rows, cols));
        let before = of.kind == RecurrentKind::Gru(Reset::Before);
        let direct = if before { 2 * hidden } else { rows };
        let candidate = before.then(|| (panels(&w_hh[direct * width..], hidden, width), b_hh[direct..].to_vec()));
        let projection = of.projection.map(|p| (panels(p, width, hidden), alloc::vec![0.0; width]));
        Ok(Recurrent {
            kind: of.kind,
            hidden,
            inputs,
            width,
            activations: of.activations,
            clip: of.clip,
            input_forget: of.input_forget,
            peephole: of.peephole.map(<[f32]>::to_vec),
            w: (panels(w_ih, rows, inputs), b_ih.to_vec()),
            r: (panels(&w_hh[..direct * width], direct, width), b_hh[..direct].to_vec()),
            candidate,
            projection,
        })
    }

    /// Values of working memory.
    pub(super) fn work(&self) -> usize {
        2 * self.kind.gates() * self.hidden + self.hidden
    }

    pub(super) fn reserve(&self, scratch: &mut Scratch) {
        let all = [Some(&self.w), Some(&self.r), self.candidate.as_ref(), self.projection.as_ref()];
        all.into_iter().flatten().for_each(|(panels, _)| scratch.reserve(panels, 1));
    }

    /// One step. `prev` and `next` hold `h` `[P]` and, of an LSTM, `c` `[H]`.
    pub(super) fn step(&self, x: &[f32], prev: &[f32], work: &mut [f32], next: &mut [f32], scratch: &mut Scratch) {
        let gates = self.kind.gates() * self.hidden;
        let (a, rest) = work.split_at_mut(gates);
        let (q, s) = rest.split_at_mut(gates);
        let (h_prev, c_prev) = prev.split_at(self.width);
        let (h, c) = next.split_at_mut(self.width);
        debug_assert_eq!(x.len(), self.inputs);
        linear(&self.w.0, &self.w.1, x, a, scratch, false);
        let direct = self.r.1.len();
        linear(&self.r.0, &self.r.1, h_prev, &mut q[..direct], scratch, false);
        match self.kind {
            RecurrentKind::Rnn => {
                add(a, q);
                self.clip(a);
                self.activations[0].apply(a);
                h.copy_from_slice(a);
            }
            RecurrentKind::Gru(reset) => {
                let (r_z, n) = a.split_at_mut(2 * self.hidden);
                add(r_z, &q[..2 * self.hidden]);
                self.clip(r_z);
                self.activations[0].apply(r_z);
                let (r, z) = r_z.split_at(self.hidden);
                match (reset, &self.candidate) {
                    (Reset::Before, Some((panels, bias))) => {
                        s.iter_mut().zip(r).zip(h_prev).for_each(|((s, r), h)| *s = r * h);
                        linear(panels, bias, s, &mut q[2 * self.hidden..], scratch, false);
                        add(n, &q[2 * self.hidden..]);
                    }
                    _ => {
                        let q = &q[2 * self.hidden..];
                        n.iter_mut().zip(r).zip(q).for_each(|((n, r), q)| *n += r * q);
                    }
                }
                self.clip(n);
                self.activations[1].apply(n);
                for (((h, n), z), h_prev) in h.iter_mut().zip(n).zip(z).zip(h_prev) {
                    *h = *n + z * (h_prev - *n);
                }
            }
            RecurrentKind::Lstm => {
                add(a, q);
                self.lstm(a, c_prev, c, s);
                match &self.projection {
                    Some((panels, bias)) => linear(panels, bias, s, h, scratch, false),
                    None => h.copy_from_slice(s),
                }
            }
        }
    }

    /// From the gates' arguments without peepholes: `c`, and the cell's output in `s`.
    fn lstm(&self, a: &mut [f32], c_prev: &[f32], c: &mut [f32], s: &mut [f32]) {
        let hidden = self.hidden;
        let (i_f, g_o) = a.split_at_mut(2 * hidden);
        let (g, o) = g_o.split_at_mut(hidden);
        if let Some(p) = &self.peephole {
            let both = p.chunks_exact(hidden).zip(i_f.chunks_exact_mut(hidden));
            both.for_each(|(p, a)| add_product(a, p, c_prev));
        }
        self.clip(i_f);
        self.activations[0].apply(i_f);
        self.clip(g);
        self.activations[1].apply(g);
        let (i, f) = i_f.split_at_mut(hidden);
        if self.input_forget {
            f.iter_mut().zip(&*i).for_each(|(f, i)| *f = 1.0 - i);
        }
        for ((((c, f), c_prev), i), g) in c.iter_mut().zip(&*f).zip(c_prev).zip(&*i).zip(&*g) {
            *c = f * c_prev + i * g;
        }
        if let Some(p) = &self.peephole {
            add_product(o, &p[2 * hidden..], c);
        }
        self.clip(o);
        self.activations[0].apply(o);
        s.copy_from_slice(c);
        self.activations[2].apply(s);
        s.iter_mut().zip(&*o).for_each(|(s, o)| *s *= o);
    }

    fn clip(&self, a: &mut [f32]) {
        if let Some(clip) = self.clip {
            Activation::Clip { min: -clip, max: clip }.apply(a);
        }
    }
}

fn add(y: &mut [f32], x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

/// `y += a b`.
fn add_product(y: &mut [f32], a: &[f32], b: &[f32]) {
    y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y += a * b);
}
