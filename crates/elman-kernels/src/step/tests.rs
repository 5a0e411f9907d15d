//! Every cell on every instruction set against the equations in f64.

use std::format;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::gates::rnn::Nonlinearity;
use crate::gates::{gru, lstm, rnn};
use crate::{Isa, Mat};

const CELLS: [&str; 7] = ["linear", "tanh", "relu", "gru", "before", "lstm", "peephole"];
const VOCAB: usize = 5;

fn numbers(n: usize, seed: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| (((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0) * scale).collect()
}

/// One step of one cell. `inputs` 0 reads tokens from a table.
struct Case {
    cell: &'static str,
    gates: usize,
    rows: usize,
    inputs: usize,
    hidden: usize,
    w_ih: Vec<f32>,
    w_hh: Vec<f32>,
    /// The bias, or the table `[V, gH]`.
    start: Vec<f32>,
    tokens: Vec<u32>,
    b_hn: Vec<f32>,
    peephole: Vec<f32>,
    x: Vec<f32>,
    h_prev: Vec<f32>,
    c_prev: Vec<f32>,
}

impl Case {
    fn new(cell: &'static str, rows: usize, inputs: usize, hidden: usize) -> Self {
        let gates = match cell {
            "lstm" | "peephole" => 4,
            "gru" | "before" => 3,
            _ => 1,
        };
        let inputs = if cell == "linear" { 0 } else { inputs };
        let starts = if inputs == 0 && cell != "linear" { VOCAB } else { 1 };
        let scale = 1.0 / (hidden as f32).sqrt();
        Case {
            cell,
            gates,
            rows,
            inputs,
            hidden,
            w_ih: numbers(gates * hidden * inputs, 1, scale),
            w_hh: numbers(gates * hidden * hidden, 2, scale),
            start: numbers(starts * gates * hidden, 3, 0.5),
            tokens: (0..rows).map(|row| (row * 3 % VOCAB) as u32).collect(),
            b_hn: numbers(hidden, 4, 0.5),
            peephole: numbers(3 * hidden, 5, 0.5),
            x: numbers(rows * inputs, 6, 1.0),
            h_prev: numbers(rows * hidden, 7, 1.0),
            c_prev: numbers(rows * hidden, 8, 2.0),
        }
    }

    /// Some gates' rows of both matrices, and of the start for each token.
    fn part(&self, isa: Isa, precision: Precision, gates: core::ops::Range<usize>) -> (Panels, Vec<f32>) {
        let rows = gates.start * self.hidden..gates.end * self.hidden;
        let part = |w: &'_ [f32], cols: usize| w[rows.start * cols..rows.end * cols].to_vec();
        let (w_ih, w_hh) = (part(&self.w_ih, self.inputs), part(&self.w_hh, self.hidden));
        let w_ih = Mat::new(&w_ih, rows.len(), self.inputs);
        let w_hh = Mat::new(&w_hh, rows.len(), self.hidden);
        let start = self.start.chunks_exact(self.gates * self.hidden).flat_map(|row| &row[rows.clone()]).copied();
        (Panels::new_on(isa, precision, gates.len(), w_ih, w_hh), start.collect())
    }

    fn start<'a>(&'a self, start: &'a [f32]) -> Start<'a> {
        if self.inputs == 0 { Start::Table(start, &self.tokens) } else { Start::Bias(start) }
    }

    /// `h`, then `c` of an LSTM.
    fn run(&self, isa: Isa, precision: Precision, backwards: bool) -> Vec<f32> {
        let mut h = numbers(self.rows * self.hidden, 9, 1.0);
        let mut c = numbers(self.rows * self.hidden, 10, 1.0);
        let (x, h_prev) = (&self.x[..], &self.h_prev[..]);
        let (panels, start) = self.part(isa, precision, 0..self.gates);
        let start = self.start(&start);
        let scratch = &mut Scratch::default();
        scratch.reserve(&panels, self.rows);
        match self.cell {
            "linear" => linear(&panels, &self.start, h_prev, &mut h, scratch, backwards),
            "tanh" => rnn::step(&panels, Nonlinearity::Tanh, start, x, h_prev, &mut h, scratch, backwards),
            "relu" => rnn::step(&panels, Nonlinearity::Relu, start, x, h_prev, &mut h, scratch, backwards),
            "gru" => gru::step(&panels, &self.b_hn, start, x, h_prev, &mut h, scratch, backwards),
            "before" => {
                let (mut s, mut z) = (c.clone(), c.clone());
                let (panels, start) = self.part(isa, precision, 0..2);
                gru::reset_step(&panels, self.start(&start), x, h_prev, &mut s, &mut z, scratch, backwards);
                let (panels, start) = self.part(isa, precision, 2..3);
                gru::update_step(&panels, self.start(&start), x, &s, &z, h_prev, &mut h, scratch, backwards);
            }
            _ => {
                let peephole = (self.cell == "peephole").then_some(&self.peephole[..]);
                lstm::step(&panels, peephole, start, x, (h_prev, &self.c_prev), (&mut h, &mut c), scratch, backwards);
                h.extend_from_slice(&c);
            }
        }
        h
    }

    /// The equations, over weights and inputs of a precision.
    fn want(&self, precision: Precision) -> Vec<f64> {
        let hidden = self.hidden;
        let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
        let dot = |w: &[f32], row: usize, x: &[f64]| -> f64 {
            let x: Vec<f32> = x.iter().map(|x| *x as f32).collect();
            let (w, x) = (&w[row * x.len()..][..x.len()], &x[..]);
            let of = |values: &[f32], precision| -> Vec<f64> { rounded(values, precision) };
            let x = of(x, if precision == Precision::Int8 { precision } else { Precision::F32 });
            of(w, precision).iter().zip(x).map(|(w, x)| w * x).sum()
        };
        let (mut hs, mut cs) = (vec![], vec![]);
        for m in 0..self.rows {
            let row = |v: &[f32], width: usize| -> Vec<f64> {
                v[m * width..(m + 1) * width].iter().map(|x| f64::from(*x)).collect()
            };
            let (x, h_prev, c_prev) = (row(&self.x, self.inputs), row(&self.h_prev, hidden), row(&self.c_prev, hidden));
            let token = if self.start.len() > self.gates * hidden { self.tokens[m] as usize } else { 0 };
            let start = &self.start[token * self.gates * hidden..];
            let from_x = |g: usize, u: usize| f64::from(start[g * hidden + u]) + dot(&self.w_ih, g * hidden + u, &x);
            let from_h = |g: usize, u: usize, h: &[f64]| dot(&self.w_hh, g * hidden + u, h);
            let a = |g: usize, u: usize| from_x(g, u) + from_h(g, u, &h_prev);
            let p = |g: usize, u: usize| {
                if self.cell == "peephole" { f64::from(self.peephole[g * hidden + u]) } else { 0.0 }
            };
            let s: Vec<f64> =
                (0..hidden).map(|u| if self.gates == 3 { sigmoid(a(0, u)) * h_prev[u] } else { 0.0 }).collect();
            for u in 0..hidden {
                let h = match self.cell {
                    "linear" => a(0, u),
                    "tanh" => a(0, u).tanh(),
                    "relu" => a(0, u).max(0.0),
                    "gru" | "before" => {
                        let (r, z) = (sigmoid(a(0, u)), sigmoid(a(1, u)));
                        let n = if self.cell == "gru" {
                            from_x(2, u) + r * (from_h(2, u, &h_prev) + f64::from(self.b_hn[u]))
                        } else {
                            from_x(2, u) + from_h(2, u, &s)
                        };
                        (1.0 - z) * n.tanh() + z * h_prev[u]
                    }
                    _ => {
                        let i = sigmoid(a(0, u) + p(0, u) * c_prev[u]);
                        let f = sigmoid(a(1, u) + p(1, u) * c_prev[u]);
                        let c = f * c_prev[u] + i * a(2, u).tanh();
                        cs.push(c);
                        sigmoid(a(3, u) + p(2, u) * c) * c.tanh()
                    }
                };
                hs.push(h);
            }
        }
        hs.extend(cs);
        hs
    }
}

/// Values rounded to a precision.
fn rounded(values: &[f32], precision: Precision) -> Vec<f64> {
    let max = values.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let one = |x: f32| match precision {
        Precision::F32 => f64::from(x),
        // Eight significant bits: what is lost is added and taken away.
        Precision::Bf16 => f64::from(x * 65537.0 - (x * 65537.0 - x)),
        Precision::Int8 if max == 0.0 => 0.0,
        Precision::Int8 => f64::from((x * (127.0 / max)).round()) * f64::from(max) / 127.0,
    };
    values.iter().map(|x| one(*x)).collect()
}

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];
const SIZES: [usize; 13] = [1, 3, 8, 15, 16, 17, 31, 33, 48, 65, 100, 129, 200];

#[test]
fn every_cell_follows_its_equations_in_every_precision_on_every_isa() {
    for cell in CELLS {
        for (i, hidden) in SIZES.into_iter().enumerate() {
            for inputs in [0, 1, 7, hidden] {
                let case = Case::new(cell, 1 + i % 5, inputs, hidden);
                for precision in PRECISIONS {
                    let want = case.want(precision);
                    // Where a value lies between two bytes, the last bit of r decides.
                    let bound = if (cell, precision) == ("before", Precision::Int8) { 1e-2 } else { 3e-6 };
                    for isa in Isa::available() {
                        let got = case.run(isa, precision, false);
                        assert_eq!(got.len(), want.len());
                        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                            let near = (f64::from(*got) - want).abs() <= bound * want.abs().max(1.0);
                            let what = format!("{isa:?} {cell} {precision:?} H {hidden} I {inputs}");
                            assert!(near, "{what} value {i}: {got}, not {want}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn byte_products_agree_on_every_isa() {
    for hidden in SIZES {
        let case = Case::new("linear", 2, 0, hidden);
        let want = case.run(Isa::PLAIN, Precision::Int8, false);
        for isa in Isa::available() {
            for (got, want) in case.run(isa, Precision::Int8, false).iter().zip(&want) {
                // The integers are equal; only the last multiply-add may round differently.
                assert!((got - want).abs() <= 2e-7 * want.abs().max(1.0), "{isa:?} {hidden}: {got} {want}");
            }
        }
    }
}

#[test]
fn non_finite_inputs_propagate_in_every_precision() {
    for precision in PRECISIONS {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for isa in Isa::available() {
                let mut case = Case::new("linear", 1, 0, 40);
                case.h_prev[20] = bad;
                assert!(case.run(isa, precision, false).iter().all(|y| !y.is_finite()), "{isa:?} {precision:?} {bad}");
            }
        }
    }
}

#[test]
fn the_order_of_the_blocks_changes_no_bit() {
    for cell in CELLS {
        for hidden in SIZES {
            let case = Case::new(cell, 2, 9, hidden);
            for isa in Isa::available() {
                assert_eq!(
                    case.run(isa, Precision::F32, false),
                    case.run(isa, Precision::F32, true),
                    "{cell} {hidden}"
                );
            }
        }
    }
}

#[test]
fn rows_that_lie_apart_have_the_bits_of_adjacent_ones() {
    for (hidden, rows) in SIZES.into_iter().flat_map(|hidden| [1, 2, 7].map(|rows| (hidden, rows))) {
        let case = Case::new("linear", rows, 0, hidden);
        for (isa, precision) in Isa::available().flat_map(|isa| PRECISIONS.map(|precision| (isa, precision))) {
            let want = case.run(isa, precision, false);
            let (panels, start) = case.part(isa, precision, 0..1);
            let (x_stride, y_stride) = (hidden + 3, hidden + 5);
            let mut x = vec![f32::NAN; (rows - 1) * x_stride + hidden];
            for (x, row) in x.chunks_mut(x_stride).zip(case.h_prev.chunks(hidden)) {
                x[..hidden].copy_from_slice(row);
            }
            let mut y = vec![7.0; rows * y_stride];
            let scratch = &mut Scratch::default();
            scratch.reserve(&panels, rows);
            linear_rows(&panels, &start, (&x, x_stride), (&mut y, y_stride), rows, scratch);
            for (y, want) in y.chunks(y_stride).zip(want.chunks(hidden)) {
                assert_eq!(&y[..hidden], want, "{isa:?} {precision:?} {hidden} {rows}");
                assert!(y[hidden..].iter().all(|y| *y == 7.0), "a value between the rows was written");
            }
        }
    }
}

#[test]
fn rows_of_a_step_are_independent() {
    for cell in CELLS {
        for (hidden, inputs) in [(33, 5), (96, 0), (150, 70)] {
            let all = Case::new(cell, 7, inputs, hidden);
            for (isa, precision) in Isa::available().flat_map(|isa| PRECISIONS.map(|precision| (isa, precision))) {
                let together = all.run(isa, precision, false);
                for m in 0..7 {
                    let mut one = Case::new(cell, 1, inputs, hidden);
                    one.tokens = vec![all.tokens[m]];
                    one.x = all.x[m * one.inputs..(m + 1) * one.inputs].to_vec();
                    one.h_prev = all.h_prev[m * hidden..(m + 1) * hidden].to_vec();
                    one.c_prev = all.c_prev[m * hidden..(m + 1) * hidden].to_vec();
                    let alone = one.run(isa, precision, false);
                    assert_eq!(alone[..hidden], together[m * hidden..(m + 1) * hidden], "{isa:?} {cell} row {m}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "no row in the table")]
fn a_token_beyond_the_table_is_refused() {
    let mut case = Case::new("lstm", 1, 0, 4);
    case.tokens = vec![VOCAB as u32];
    case.run(Isa::best(), Precision::F32, false);
}
