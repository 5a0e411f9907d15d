//! The machine beside the cells it runs, and beside the plain formulas.

use elman_step::machine::{Activation, Binary, Builder, Machine, Recurrence, RecurrentKind, Reduction};
use elman_step::{Error, Gru, Lstm, Nonlinearity, Precision, Reset, Rnn, Source, Weights};

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| (((i * 37 + seed * 71) % 101) as f32 - 50.0) / 120.0).collect()
}

struct Parts {
    w_ih: Vec<f32>,
    w_hh: Vec<f32>,
    b_ih: Vec<f32>,
    b_hh: Vec<f32>,
}

impl Parts {
    fn new(kind: RecurrentKind, inputs: usize, hidden: usize, width: usize) -> Self {
        let rows = kind.gates() * hidden;
        Parts {
            w_ih: numbers(rows * inputs, 1),
            w_hh: numbers(rows * width, 2),
            b_ih: numbers(rows, 3),
            b_hh: numbers(rows, 4),
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights { w_ih: &self.w_ih, w_hh: &self.w_hh, b_ih: &self.b_ih, b_hh: &self.b_hh }
    }
}

/// A machine of one layer, from the zero state.
fn machine(of: &Recurrence, inputs: usize) -> Machine {
    let mut step = Builder::new(Precision::F32);
    let x = step.input(inputs).unwrap();
    let state = step.state(&vec![0.0; of.state_width()]);
    let next = step.recurrent(of, x, state).unwrap();
    step.carry(state, next).unwrap();
    step.output(next.slice(0..of.width()).unwrap());
    step.finish().unwrap()
}

const KINDS: [RecurrentKind; 4] =
    [RecurrentKind::Rnn, RecurrentKind::Gru(Reset::Before), RecurrentKind::Gru(Reset::After), RecurrentKind::Lstm];

#[test]
fn plain_layers_are_bit_identical_to_the_cells() {
    for kind in KINDS {
        let parts = Parts::new(kind, 5, 20, 20);
        let (weights, source) = (parts.weights(), Source::Dense(5));
        let mut machine = machine(&Recurrence::plain(kind, 20, weights), 5);
        type Step = Box<dyn FnMut(&[f32]) -> Vec<f32>>;
        let mut cell: Step = match kind {
            RecurrentKind::Rnn => {
                let mut cell = Rnn::new(source, 20, Nonlinearity::Tanh, weights, Precision::F32).unwrap();
                Box::new(move |x| cell.step(x).to_vec())
            }
            RecurrentKind::Gru(reset) => {
                let mut cell = Gru::new(source, 20, reset, weights, Precision::F32).unwrap();
                Box::new(move |x| cell.step(x).to_vec())
            }
            RecurrentKind::Lstm => {
                let mut cell = Lstm::new(source, 20, None, weights, Precision::F32).unwrap();
                Box::new(move |x| cell.step(x).to_vec())
            }
        };
        let mut y = [0.0; 20];
        for t in 0..10 {
            let x = numbers(5, t);
            machine.step(&x, &mut y).unwrap();
            assert_eq!(y[..], cell(&x)[..], "{kind:?} step {t}");
        }
    }
}

/// The equations of a layer with every variation, in f64.
fn formula(of: &Recurrence, inputs: usize, x: &[f32], h: &mut Vec<f64>, c: &mut [f64]) {
    let (hidden, width, w) = (of.hidden, of.width(), of.weights);
    let f = |which: usize, a: f64| {
        let a = of.clip.map_or(a, |clip| a.clamp(-f64::from(clip), f64::from(clip)));
        activation(of.activations[which], a)
    };
    let dot = |m: &[f32], row: usize, v: &[f64]| -> f64 {
        m[row * v.len()..][..v.len()].iter().zip(v).map(|(m, v)| f64::from(*m) * v).sum()
    };
    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    assert_eq!(x.len(), inputs);
    let from_x = |row: usize| dot(w.w_ih, row, &x) + f64::from(w.b_ih[row]);
    let from_h = |row: usize, h: &[f64]| dot(w.w_hh, row, h) + f64::from(w.b_hh[row]);
    let peephole = |gate: usize, u: usize| of.peephole.map_or(0.0, |p| f64::from(p[gate * hidden + u]));
    let mut out = vec![0.0; hidden];
    match of.kind {
        RecurrentKind::Rnn => (0..hidden).for_each(|u| out[u] = f(0, from_x(u) + from_h(u, h))),
        RecurrentKind::Gru(reset) => {
            let gate = |g: usize, u: usize| f(0, from_x(g * hidden + u) + from_h(g * hidden + u, h));
            let gated: Vec<f64> = (0..hidden).map(|u| gate(0, u) * h[u]).collect();
            for u in 0..hidden {
                let n = 2 * hidden + u;
                let a = match reset {
                    Reset::After => from_x(n) + gate(0, u) * from_h(n, h),
                    Reset::Before => from_x(n) + from_h(n, &gated),
                };
                out[u] = (1.0 - gate(1, u)) * f(1, a) + gate(1, u) * h[u];
            }
        }
        RecurrentKind::Lstm => {
            for u in 0..hidden {
                let a = |g: usize| from_x(g * hidden + u) + from_h(g * hidden + u, h);
                let i = f(0, a(0) + peephole(0, u) * c[u]);
                let forget = if of.input_forget { 1.0 - i } else { f(0, a(1) + peephole(1, u) * c[u]) };
                c[u] = forget * c[u] + i * f(1, a(2));
                out[u] = f(0, a(3) + peephole(2, u) * c[u]) * activation(of.activations[2], c[u]);
            }
        }
    }
    *h = match of.projection {
        Some(p) => (0..width).map(|row| dot(p, row, &out)).collect(),
        None => out,
    };
}

fn activation(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Relu => x.max(0.0),
        Activation::HardSigmoid { alpha, beta } => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
        Activation::Softsign => x / (1.0 + x.abs()),
        _ => x,
    }
}

#[test]
fn every_variation_follows_its_equations() {
    let hard = Activation::HardSigmoid { alpha: 0.2, beta: 0.5 };
    let keras3 = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
    let (peephole, projection) = (numbers(3 * 9, 7), numbers(4 * 9, 8));
    let mut cases = 0;
    for kind in KINDS {
        let lstm = kind == RecurrentKind::Lstm;
        for activations in [
            kind.activations(),
            [hard, Activation::Tanh, Activation::Tanh],
            [keras3, Activation::Relu, Activation::Softsign],
            [Activation::Sigmoid, Activation::Relu, Activation::Identity],
        ] {
            for clip in [None, Some(0.2)] {
                for variation in 0..if lstm { 4 } else { 1 } {
                    let width = if variation == 3 { 4 } else { 9 };
                    let parts = Parts::new(kind, 3, 9, width);
                    let of = Recurrence {
                        activations,
                        clip,
                        peephole: (variation == 1).then_some(&peephole[..]),
                        input_forget: variation == 2,
                        projection: (variation == 3).then_some(&projection[..]),
                        ..Recurrence::plain(kind, 9, parts.weights())
                    };
                    let (mut machine, mut h, mut c) = (machine(&of, 3), vec![0.0; width], vec![0.0; 9]);
                    let mut y = vec![0.0; width];
                    for t in 0..6 {
                        let x = numbers(3, t + 20);
                        machine.step(&x, &mut y).unwrap();
                        formula(&of, 3, &x, &mut h, &mut c);
                        for (y, h) in y.iter().zip(&h) {
                            assert!((f64::from(*y) - h).abs() < 2e-6, "{of:?} step {t}: {y} {h}");
                        }
                    }
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 56);
}

#[test]
fn a_dilated_convolution_reads_the_steps_it_should() {
    let (width, units, ages) = (3, 4, [6, 3, 0]);
    let (weight, bias) = (numbers(units * 9, 1), numbers(units, 2));
    let mut step = Builder::new(Precision::F32);
    let x = step.input(width).unwrap();
    let window = step.delay(&ages, None, x).unwrap();
    let y = step.dense(&weight, &bias, Activation::Relu, window).unwrap();
    step.output(y);
    let mut machine = step.finish().unwrap();
    let xs: Vec<Vec<f32>> = (0..30).map(|t| numbers(width, t)).collect();
    let mut y = vec![0.0; units];
    for t in 0..xs.len() {
        // A state may be kept and restored at any time.
        if t == 17 {
            let state = machine.state();
            machine.reset();
            machine.step(&xs[0], &mut y).unwrap();
            machine.set_state(&state).unwrap();
        }
        machine.step(&xs[t], &mut y).unwrap();
        for unit in 0..units {
            let mut want = f64::from(bias[unit]);
            for (tap, age) in ages.iter().enumerate().filter(|(_, age)| **age <= t) {
                for i in 0..width {
                    want += f64::from(weight[unit * 9 + tap * width + i]) * f64::from(xs[t - age][i]);
                }
            }
            assert!((f64::from(y[unit]) - want.max(0.0)).abs() < 1e-6, "step {t}");
        }
    }
    let mut spoilt = machine.state();
    *spoilt.last_mut().unwrap() = f32::NAN;
    assert!(matches!(machine.set_state(&spoilt), Err(Error::WrongInput { .. })));
}

#[test]
fn values_are_selected_joined_and_reduced() {
    let mut step = Builder::new(Precision::F32);
    let x = step.input(6).unwrap();
    let transposed = step.select(&[0, 3, 1, 4, 2, 5, u32::MAX], x).unwrap();
    step.output(transposed);
    let slice = step.select(&[2, 3, 4], x).unwrap();
    let both = step.concat(&[slice, x]).unwrap();
    step.output(both);
    for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::Min, Reduction::L2] {
        let reduced = step.reduce(reduction, 2, 3, x).unwrap();
        step.output(reduced);
    }
    let two = step.constant(&[1.0, 2.0]);
    let product = step.binary(Binary::Mul, x, two).unwrap();
    step.output(product);
    let greater = step.binary(Binary::Greater, two, x).unwrap();
    let chosen = step.choose(greater, x, product).unwrap();
    let norm = step.normalize(3, 0.0, x).unwrap();
    step.output(norm);
    let softmax = step.softmax(3, x).unwrap();
    step.output(softmax);
    step.output(chosen);
    let mut machine = step.finish().unwrap();
    let mut y = vec![0.0; machine.output_width()];
    machine.step(&[1.0, 2.0, 3.0, -4.0, 5.0, 6.0], &mut y).unwrap();
    assert_eq!(y[..7], [1.0, -4.0, 2.0, 5.0, 3.0, 6.0, 0.0]);
    assert_eq!(y[7..16], [3.0, -4.0, 5.0, 1.0, 2.0, 3.0, -4.0, 5.0, 6.0]);
    assert_eq!(y[16..28], [-3.0, 7.0, 9.0, -1.5, 3.5, 4.5, 1.0, 5.0, 6.0, -4.0, 2.0, 3.0]);
    let l2 = [17.0_f32.sqrt(), 29.0_f32.sqrt(), 45.0_f32.sqrt()];
    assert_eq!(y[28..31], l2);
    assert_eq!(y[31..37], [1.0, 4.0, 3.0, -8.0, 5.0, 12.0]);
    assert!((y[37] + 1.5_f32.sqrt()).abs() < 1e-6 && y[38] == 0.0);
    assert!((y[43..46].iter().sum::<f32>() - 1.0).abs() < 1e-6);
    assert_eq!(y[49..], [1.0, 4.0, 3.0, -4.0, 5.0, 12.0]);
}

#[test]
fn tokens_are_checked_before_anything_changes() {
    let table = numbers(10, 1);
    let mut step = Builder::new(Precision::F32);
    let token = step.input(1).unwrap();
    let x = step.embedding(&table, 2, token).unwrap();
    let before = step.delay(&[1, 0], None, x).unwrap();
    step.output(before);
    let mut machine = step.finish().unwrap();
    let mut y = [0.0; 4];
    machine.step(&[3.0], &mut y).unwrap();
    assert_eq!(y, [0.0, 0.0, table[6], table[7]]);
    let state = machine.state();
    assert_eq!(machine.step(&[5.0], &mut y), Err(Error::Token { token: 5, vocab: 5 }));
    for bad in [0.5, -1.0, f32::NAN, 1e30] {
        assert!(matches!(machine.step(&[bad], &mut y), Err(Error::WrongInput { .. })), "{bad}");
    }
    assert!(matches!(machine.step(&[1.0, 2.0], &mut y), Err(Error::Length { .. })));
    assert!(matches!(machine.step(&[1.0], &mut y[..2]), Err(Error::Length { .. })));
    assert_eq!(machine.state(), state);
}

#[test]
fn streams_are_independent() {
    let parts = Parts::new(RecurrentKind::Lstm, 5, 20, 20);
    let mut first = machine(&Recurrence::plain(RecurrentKind::Lstm, 20, parts.weights()), 5);
    let mut second = first.clone();
    let (mut y, mut z) = ([0.0; 20], [0.0; 20]);
    first.step(&numbers(5, 1), &mut y).unwrap();
    second.step(&numbers(5, 1), &mut z).unwrap();
    assert_eq!(y, z);
    second.step(&numbers(5, 2), &mut z).unwrap();
    second.reset();
    second.step(&numbers(5, 1), &mut z).unwrap();
    assert_eq!(y, z);
}

/// A network in which every kind of value lies everywhere: layers one above another, a state that is also an output, two
/// states that change places, one that stays, an output twice, a window over steps, values computed from states alone.
fn tangled(precision: Precision) -> Machine {
    let mut step = Builder::new(precision);
    let (x, token) = (step.input(5).unwrap(), step.input(1).unwrap());
    let embedded = step.embedding(&numbers(21, 1), 3, token).unwrap();
    let both = step.concat(&[x, embedded]).unwrap();
    let wide = step.dense(&numbers(17 * 8, 2), &numbers(17, 3), Activation::Tanh, both).unwrap();
    let swapped = [step.state(&[0.5, -0.5]), step.state(&[0.25, 0.125])];
    let stays = step.state(&[0.75]);
    let window = step.delay(&[4, 1, 0], None, wide).unwrap();
    let mut y = step.dense(&numbers(6 * 51, 4), &numbers(6, 5), Activation::Relu, window).unwrap();
    for kind in KINDS {
        for clip in [None, Some(0.9)] {
            let parts = Parts::new(kind, y.len(), 9, 9);
            let layer = Recurrence { clip, ..Recurrence::plain(kind, 9, parts.weights()) };
            let state = step.state(&vec![0.1; layer.state_width()]);
            let next = step.recurrent(&layer, y, state).unwrap();
            step.carry(state, next).unwrap();
            y = next.slice(0..9).unwrap();
        }
    }
    step.carry(swapped[0], swapped[1]).unwrap();
    step.carry(swapped[1], swapped[0]).unwrap();
    let mean = step.reduce(Reduction::Mean, 9, 1, y).unwrap();
    let sum = step.binary(Binary::Add, swapped[0], mean).unwrap();
    let sum = step.binary(Binary::Mul, sum, stays).unwrap();
    let last = step.dense(&numbers(4 * 9, 6), &numbers(4, 7), Activation::Sigmoid, y).unwrap();
    // What the next step reads is an output too, and the memory of a mean over all steps.
    let running = step.state(&[0.0; 4]);
    let total = step.binary(Binary::Add, running, last).unwrap();
    step.carry(running, total).unwrap();
    for value in [last, x, total, last, y, sum, running, stays] {
        step.output(value);
    }
    step.finish().unwrap()
}

#[test]
fn blocks_of_steps_have_the_bits_of_single_steps() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let mut single = tangled(precision);
        let (width, out) = (single.input_width(), single.output_width());
        let steps = 200;
        let x: Vec<f32> = (0..steps)
            .flat_map(|t| numbers(5, t).into_iter().chain([(t * 5 % 7) as f32]).collect::<Vec<_>>())
            .collect();
        let mut want = vec![0.0; steps * out];
        let mut states = vec![single.state()];
        for (x, y) in x.chunks(width).zip(want.chunks_mut(out)) {
            single.step(x, y).unwrap();
            states.push(single.state());
        }
        for block in [1, 2, 7, 64, 1000] {
            let mut machine = tangled(precision);
            machine.reserve(block);
            let mut y = vec![0.0; steps * out];
            let mut t = 0;
            // Lengths that end anywhere in a block, single steps between them, and more memory on the way.
            for n in [1, 3, 64, 0, 7, 70, 1, 1, 2, 13, 38] {
                let (x, y) = (&x[t * width..(t + n) * width], &mut y[t * out..(t + n) * out]);
                match n {
                    1 => machine.step(x, y).unwrap(),
                    _ => machine.steps(x, y).unwrap(),
                }
                t += n;
                assert_eq!(machine.state(), states[t], "{precision:?} block {block}: the state after {t} steps");
                if n == 7 {
                    machine.reserve(block + 2);
                }
            }
            assert_eq!(t, steps);
            assert_eq!(y, want, "{precision:?} block {block}");
            // From any state on.
            machine.set_state(&states[50]).unwrap();
            let (x, want) = (&x[50 * width..150 * width], &want[50 * out..150 * out]);
            machine.steps(x, &mut y[..100 * out]).unwrap();
            assert_eq!(&y[..100 * out], want, "{precision:?} block {block} from step 50 on");
        }
        // A token outside the vocabulary in the last step: nothing has changed.
        let (state, mut wrong) = (single.state(), x.clone());
        *wrong.last_mut().unwrap() = 7.0;
        assert_eq!(single.steps(&wrong, &mut want), Err(Error::Token { token: 7, vocab: 7 }));
        assert!(matches!(single.steps(&x[1..], &mut want), Err(Error::Length { .. })));
        assert_eq!(single.state(), state);
    }
}

/// Values at several paces against loops over the whole sequence, with the state kept and restored in between.
#[test]
fn what_follows_a_stride_runs_in_its_steps_alone() {
    let (stride, first) = (3, 2);
    let mut step = Builder::new(Precision::F32);
    let x = step.input(1).unwrap();
    let window = step.delay(&[2, 1, 0], None, x).unwrap();
    let window = step.every(stride, first, window).unwrap();
    let sum = step.reduce(Reduction::Sum, 3, 1, window).unwrap();
    // A sum of the sums, which stays as it is in between.
    let state = step.state(&[0.5]);
    let total = step.binary(Binary::Add, state, sum).unwrap();
    step.carry(state, total).unwrap();
    // Every second of them, and the newest of all beside the newest input.
    let slower = step.every(2, 1, total).unwrap();
    let now = step.binary(Binary::Sub, x, total).unwrap();
    for value in [total, slower, now] {
        step.output(value);
    }
    let mut machine = step.finish().unwrap();
    machine.reserve(16);
    let xs = numbers(40, 3);
    let mut y = vec![0.0; 3];
    let (mut total, mut slower, mut held) = (0.5, 0.0, 0.0);
    for t in 0..xs.len() {
        if t % 7 == 5 {
            let state = machine.state();
            machine.reset();
            machine.steps(&xs[..4], &mut [0.0; 12]).unwrap();
            machine.set_state(&state).unwrap();
        }
        machine.step(&xs[t..=t], &mut y).unwrap();
        if t >= first && (t - first) % stride == 0 {
            total += xs[t - 2] + xs[t - 1] + xs[t];
            held = total;
            if (t - first) / stride % 2 == 1 {
                slower = total;
            }
        }
        for (y, want) in y.iter().zip([held, slower, xs[t] - held]) {
            assert!((y - want).abs() < 1e-5, "step {t}: {y}, not {want}");
        }
    }
    // Behind the ring of four values: the steps until the next.
    let mut spoilt = machine.state();
    spoilt[4] = 7.0;
    assert!(matches!(machine.set_state(&spoilt), Err(Error::WrongInput { .. })));
}

#[test]
fn what_depends_on_no_input_goes_with_any_pace() {
    let mut step = Builder::new(Precision::F32);
    let x = step.input(1).unwrap();
    let second = step.every(2, 0, x).unwrap();
    // Computed of a constant and of a state, which is none of the two paces.
    let constant = step.constant(&[2.0, 3.0]);
    let three = step.select(&[1, 0], constant).unwrap().slice(0..1).unwrap();
    let state = step.state(&[1.0]);
    let state_copy = step.activate(Activation::Neg, state);
    let sum = step.binary(Binary::Add, second, three).unwrap();
    let sum = step.binary(Binary::Sub, sum, state_copy).unwrap();
    step.carry(state, sum).unwrap();
    assert_eq!(step.pace(sum), step.pace(second));
    let both = step.concat(&[sum, three]).unwrap();
    // The last two of them, not of all steps.
    let window = step.delay(&[1, 0], None, both).unwrap();
    step.output(window);
    let mut machine = step.finish().unwrap();
    let mut y = [0.0; 20];
    machine.steps(&[1.0, 9.0, 2.0, 9.0, 3.0], &mut y).unwrap();
    let rows: Vec<&[f32]> = y.chunks(4).collect();
    let want = [[0.0, 0.0, 5.0, 3.0], [5.0, 3.0, 10.0, 3.0], [10.0, 3.0, 16.0, 3.0]];
    assert_eq!([rows[0], rows[2], rows[4]], want);
    assert_eq!((rows[1], rows[3]), (rows[0], rows[2]));
}
