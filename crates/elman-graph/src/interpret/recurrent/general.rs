//! Layers with any activations, clipping, coupled gates and projections, in float32 or float64.

use elman_kernels::{Mat, Scratch};

use super::job::{Job, States, order};
use crate::graph::{Activation, Cell, Unary};
use crate::interpret::elementwise::{Real, activation_of};
use crate::interpret::product::once;

/// Clips, then activates.
fn apply<F: Real>(clip: Option<f32>, f: Activation, a: &mut [F]) {
    if let Some(clip) = clip {
        let (lo, hi) = (F::from_f64(f64::from(-clip)), F::from_f64(f64::from(clip)));
        a.iter_mut().for_each(|x| *x = x.larger(lo).smaller(hi));
    }
    activation_of(f, a);
}

/// A step's gates, `[B, H]` each, and what they are made with.
struct Step<'a, F> {
    hidden: usize,
    batch: usize,
    outputs: usize,
    r: &'a [F],
    b: &'a [F],
    gates: usize,
    /// Whether the product reads `h` rounded.
    rounded: bool,
    /// The input product `[B, G*H]` with its bias.
    from_x: &'a [F],
}

/// `x` in 256 steps from its smallest value to its largest, 0 among them: ONNX's DynamicQuantizeLinear, and back.
fn in_steps<F: Real>(x: &[F]) -> Vec<F> {
    const LAST: f64 = 255.0;
    let last = F::from_f64(LAST);
    let most = x.iter().fold(F::ZERO, |most, x| most.larger(*x));
    let least = x.iter().fold(F::ZERO, |least, x| least.smaller(*x));
    let scale = if most == least { F::ONE } else { (most - least) / last };
    let within = |x: F| x.larger(F::ZERO).smaller(last);
    let zero = within(((F::ZERO - least) / scale).round(Unary::Round));
    x.iter().map(|x| (within((*x / scale).round(Unary::Round) + zero) - zero) * scale).collect()
}

impl<F: Real> Step<'_, F> {
    /// `from_h [B, H]`: the recurrent product of gate `g` with `h`, with its bias.
    fn recurrent(&self, g: usize, h: &[F], scratch: &mut Scratch<F>) -> Vec<F> {
        let Step { hidden, batch, outputs, .. } = *self;
        let mut a = vec![F::ZERO; batch * hidden];
        let rounded = self.rounded.then(|| in_steps(h));
        let h = rounded.as_deref().unwrap_or(h);
        let r = Mat::new(&self.r[g * hidden * outputs..], hidden, outputs);
        once(Mat::new(h, batch, outputs), r.t(), &mut a, scratch);
        if let Some(bias) = self.b.get((self.gates + g) * hidden..(self.gates + g + 1) * hidden) {
            for row in a.chunks_mut(hidden) {
                row.iter_mut().zip(bias).for_each(|(a, b)| *a += *b);
            }
        }
        a
    }

    /// Adds gate `g` of the input product.
    fn add_x(&self, g: usize, a: &mut [F]) {
        let hidden = self.hidden;
        for (row, x) in a.chunks_mut(hidden).zip(self.from_x.chunks(self.gates * hidden)) {
            row.iter_mut().zip(&x[g * hidden..]).for_each(|(a, x)| *a += *x);
        }
    }

    /// The complete pre-activation of gate `g`.
    fn gate(&self, g: usize, h: &[F], scratch: &mut Scratch<F>) -> Vec<F> {
        let mut a = self.recurrent(g, h, scratch);
        self.add_x(g, &mut a);
        a
    }
}

pub(super) fn run<F: Real>(mut job: Job<F>) {
    let sizes = job.sizes;
    let (batch, hidden, gates) = (sizes.batch, sizes.hidden, job.layer.cell.gates());
    if batch == 0 || sizes.steps == 0 {
        return;
    }
    let mut scratch = Scratch::default();
    let mut from_x = vec![F::ZERO; batch * gates * hidden];
    for t in order(sizes.steps, job.reverse) {
        let x = Mat::new(&job.x[t * batch * sizes.inputs..], batch, sizes.inputs);
        let w = Mat::new(job.direct.w, gates * hidden, sizes.inputs);
        once(x, w.t(), &mut from_x, &mut scratch);
        if let Some(bias) = job.direct.b.get(..gates * hidden) {
            for row in from_x.chunks_mut(gates * hidden) {
                row.iter_mut().zip(bias).for_each(|(a, b)| *a += *b);
            }
        }
        let (r, b) = (job.direct.r, job.direct.b);
        let rounded = job.layer.rounded;
        let step = Step { hidden, batch, outputs: sizes.outputs, r, b, gates, rounded, from_x: &from_x };
        let mut next = match job.layer.cell {
            Cell::Rnn => {
                let mut h = step.gate(0, &job.states.h, &mut scratch);
                apply(job.layer.clip, job.direct.activations[0], &mut h);
                States { h, c: vec![] }
            }
            Cell::Gru { linear_before_reset } => gru(&step, &job, linear_before_reset, &mut scratch),
            Cell::Lstm { input_forget } => lstm(&step, &job, input_forget, &mut scratch),
        };
        job.output.take(t, sizes, job.mask, job.states, &mut next);
        *job.states = next;
    }
}

/// `z, r = f(a)`, `n = g(W x + r (R h + b))` or `g(W x + R (r h) + b)`, `h = (1 - z) n + z h`.
fn gru<F: Real>(step: &Step<F>, job: &Job<F>, linear_before_reset: bool, scratch: &mut Scratch<F>) -> States<F> {
    let (clip, h) = (job.layer.clip, &job.states.h);
    let [f, g] = [0, 1].map(|i| job.direct.activations[i]);
    let mut z = step.gate(0, h, scratch);
    apply(clip, f, &mut z);
    let mut r = step.gate(1, h, scratch);
    apply(clip, f, &mut r);
    let mut n = if linear_before_reset {
        let mut n = step.recurrent(2, h, scratch);
        n.iter_mut().zip(&r).for_each(|(n, r)| *n *= *r);
        n
    } else {
        let reset: Vec<F> = r.iter().zip(h).map(|(r, h)| *r * *h).collect();
        step.recurrent(2, &reset, scratch)
    };
    step.add_x(2, &mut n);
    apply(clip, g, &mut n);
    let h = n.iter().zip(&z).zip(h).map(|((n, z), h)| (F::ONE - *z) * *n + *z * *h).collect();
    States { h, c: vec![] }
}

/// `i, f = f(a + P c)`, `c = f c + i g(a)`, `o = f(a + P c)`, `h = o h(c)`, projected.
fn lstm<F: Real>(step: &Step<F>, job: &Job<F>, input_forget: bool, scratch: &mut Scratch<F>) -> States<F> {
    let (clip, hidden, States { h, c }) = (job.layer.clip, step.hidden, &*job.states);
    let [f, g, out] = [0, 1, 2].map(|i| job.direct.activations[i]);
    // P is i o f.
    let peep = |gate: usize, a: &mut [F], c: &[F]| {
        if let Some(p) = job.direct.peepholes.get(gate * hidden..(gate + 1) * hidden) {
            for (a, c) in a.chunks_mut(hidden).zip(c.chunks(hidden)) {
                for ((a, c), p) in a.iter_mut().zip(c).zip(p) {
                    *a += *p * *c;
                }
            }
        }
    };
    let mut input = step.gate(0, h, scratch);
    peep(0, &mut input, c);
    apply(clip, f, &mut input);
    let forget = if input_forget {
        input.iter().map(|i| F::ONE - *i).collect()
    } else {
        let mut forget = step.gate(2, h, scratch);
        peep(2, &mut forget, c);
        apply(clip, f, &mut forget);
        forget
    };
    let mut cell = step.gate(3, h, scratch);
    apply(clip, g, &mut cell);
    let new: Vec<F> =
        cell.iter().zip(&input).zip(forget.iter().zip(c)).map(|((g, i), (f, c))| *f * *c + *i * *g).collect();
    let mut output = step.gate(1, h, scratch);
    peep(1, &mut output, &new);
    apply(clip, f, &mut output);
    let mut squashed = new.clone();
    activation_of(out, &mut squashed);
    let mut h: Vec<F> = output.iter().zip(&squashed).map(|(o, c)| *o * *c).collect();
    if !job.direct.projection.is_empty() {
        let projection = Mat::new(job.direct.projection, step.outputs, hidden);
        let mut projected = vec![F::ZERO; step.batch * step.outputs];
        once(Mat::new(&h, step.batch, hidden), projection.t(), &mut projected, scratch);
        h = projected;
    }
    States { h, c: new }
}
