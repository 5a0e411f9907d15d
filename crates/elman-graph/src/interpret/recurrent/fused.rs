//! Layers with the usual activations, on the kernels of steps: products and gates fused.

use elman_kernels::Mat;
use elman_kernels::gates::rnn::Nonlinearity;
use elman_kernels::gates::{gru, lstm, rnn};
use elman_kernels::step::{Panels, Precision, Scratch, Start};

use super::job::{Job, States, order};
use crate::graph::{Activation, Cell, Recurrent};
use crate::interpret::product::Weights;

/// Numbers of the input product held at once: it stays in the cache until the steps read it.
const AT_ONCE: usize = 1 << 16;

/// Weights of one direction, gates in the order of the kernels.
pub(crate) struct Layer {
    /// The products whose results a step begins with: one, or two of a GRU that resets before its product.
    parts: Vec<Part>,
    /// `[H]`, of a GRU that resets after its product.
    b_hn: Vec<f32>,
    /// `[3*H]`, `i f o`.
    peepholes: Vec<f32>,
    scratch: Scratch,
}

struct Part {
    input: Weights,
    bias: Vec<f32>,
    recurrent: Panels,
    width: usize,
}

/// Whether the kernels compute this layer.
pub(super) fn fits(layer: &Recurrent) -> bool {
    if layer.rounded {
        return false;
    }
    let usual: &[Activation] = match layer.cell {
        Cell::Lstm { input_forget: true } => return false,
        Cell::Lstm { .. } => &[Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
        Cell::Gru { .. } => &[Activation::Sigmoid, Activation::Tanh],
        Cell::Rnn => {
            let one = layer.activations.first();
            return layer.clip.is_none()
                && layer.activations.iter().all(|a| Some(a) == one)
                && matches!(one, Some(Activation::Tanh | Activation::Relu));
        }
    };
    layer.clip.is_none() && layer.activations.chunks(usual.len()).all(|a| a == usual)
}

impl Layer {
    fn new(job: &Job<f32>) -> Self {
        let (h, i) = (job.sizes.hidden, job.sizes.inputs);
        let direct = &job.direct;
        // Positions in the graph's order of the kernels' gates: i f g o of i o f c, r z n of z r h.
        let (gates, groups): (&[usize], &[usize]) = match job.layer.cell {
            Cell::Lstm { .. } => (&[0, 2, 3, 1], &[4]),
            Cell::Gru { linear_before_reset: true } => (&[1, 0, 2], &[3]),
            Cell::Gru { .. } => (&[1, 0, 2], &[2, 1]),
            Cell::Rnn => (&[0], &[1]),
        };
        let after = job.layer.cell == Cell::Gru { linear_before_reset: true };
        let bias = |half: usize, gate: usize| -> Vec<f32> {
            let at = (half * gates.len() + gate) * h;
            direct.b.get(at..at + h).map_or(vec![0.0; h], <[f32]>::to_vec)
        };
        let mut rest = gates;
        let mut parts = Vec::new();
        for group in groups {
            let (gates, others) = rest.split_at(*group);
            rest = others;
            let rows = |v: &[f32], width: usize| -> Vec<f32> {
                gates.iter().flat_map(|g| &v[g * h * width..(g + 1) * h * width]).copied().collect()
            };
            let (w, r) = (rows(direct.w, i), rows(direct.r, h));
            let both = |gate: &usize| -> Vec<f32> {
                let (input, recurrent) = (bias(0, *gate), bias(1, *gate));
                // The reset gate scales the candidate's recurrent bias: it stays apart.
                let apart = after && *gate == 2;
                input.iter().zip(recurrent).map(|(a, b)| if apart { *a } else { a + b }).collect()
            };
            let width = gates.len() * h;
            let recurrent = Panels::new(Precision::F32, gates.len(), Mat::new(&[], width, 0), Mat::new(&r, width, h));
            let bias = gates.iter().flat_map(both).collect();
            parts.push(Part { input: Weights::by_output(&w, width, i), bias, recurrent, width });
        }
        // P is i o f.
        let peephole = |g: usize| direct.peepholes.get(g * h..(g + 1) * h).unwrap_or_default().to_vec();
        let peepholes = [0, 2, 1].map(peephole).concat();
        Layer { parts, b_hn: if after { bias(1, 2) } else { vec![] }, peepholes, scratch: Scratch::default() }
    }
}

/// Runs it; `kept` as in [`super::run`].
pub(super) fn run(job: Job<f32>, kept: Option<&mut Option<Vec<Layer>>>) {
    let Some(kept) = kept else {
        let mut layer = Layer::new(&job);
        return steps(&mut layer, job);
    };
    let kept = kept.get_or_insert_with(Vec::new);
    if kept.len() == job.direction {
        kept.push(Layer::new(&job));
    }
    if let Some(layer) = kept.get_mut(job.direction) {
        steps(layer, job);
    }
}

fn steps(layer: &mut Layer, mut job: Job<f32>) {
    let (sizes, batch, h) = (job.sizes, job.sizes.batch, job.sizes.hidden);
    if batch == 0 || sizes.steps == 0 {
        return;
    }
    let widest = layer.parts.iter().map(|p| p.width).max().unwrap_or(1);
    let at_once = (AT_ONCE / (widest * batch)).clamp(1, sizes.steps);
    let mut tables: Vec<Vec<f32>> = layer.parts.iter().map(|p| vec![0.0; at_once * batch * p.width]).collect();
    let mut next = States { h: vec![0.0; batch * h], c: vec![0.0; job.states.c.len()] };
    let mut between = [vec![0.0; batch * h], vec![0.0; batch * h]];
    let mut tokens = vec![0u32; batch];
    let chunks = sizes.steps.div_ceil(at_once);
    for chunk in order(chunks, job.reverse) {
        let first = chunk * at_once;
        let count = at_once.min(sizes.steps - first);
        let x = &job.x[first * batch * sizes.inputs..][..count * batch * sizes.inputs];
        for (part, table) in layer.parts.iter_mut().zip(&mut tables) {
            let table = &mut table[..count * batch * part.width];
            part.input.product(x, count * batch, sizes.inputs, Some(&part.bias), table);
        }
        for t in order(count, job.reverse) {
            tokens.iter_mut().enumerate().for_each(|(b, token)| *token = (t * batch + b) as u32);
            step(layer, &job, &tables, &tokens, &mut next, &mut between);
            job.output.take(first + t, sizes, job.mask, job.states, &mut next);
            std::mem::swap(job.states, &mut next);
        }
    }
}

/// One step of all sequences, from `job.states` to `next`.
fn step(
    layer: &mut Layer,
    job: &Job<f32>,
    tables: &[Vec<f32>],
    tokens: &[u32],
    next: &mut States<f32>,
    [s, z]: &mut [Vec<f32>; 2],
) {
    let Layer { parts, b_hn, peepholes, scratch } = layer;
    let start = |i: usize| Start::Table(&tables[i], tokens);
    let States { h, c } = &*job.states;
    match job.layer.cell {
        Cell::Lstm { .. } => {
            let peepholes = (!peepholes.is_empty()).then_some(&peepholes[..]);
            let to = (&mut next.h[..], &mut next.c[..]);
            lstm::step(&parts[0].recurrent, peepholes, start(0), &[], (h, c), to, scratch, false);
        }
        Cell::Gru { linear_before_reset: true } => {
            gru::step(&parts[0].recurrent, b_hn, start(0), &[], h, &mut next.h, scratch, false);
        }
        Cell::Gru { .. } => {
            gru::reset_step(&parts[0].recurrent, start(0), &[], h, s, z, scratch, false);
            gru::update_step(&parts[1].recurrent, start(1), &[], s, z, h, &mut next.h, scratch, false);
        }
        Cell::Rnn => {
            let relu = job.direct.activations == [Activation::Relu];
            let nonlinearity = if relu { Nonlinearity::Relu } else { Nonlinearity::Tanh };
            rnn::step(&parts[0].recurrent, nonlinearity, start(0), &[], h, &mut next.h, scratch, false);
        }
    }
}
