//! What every cell promises, checked the same way for each, over layers, directions, lengths and kinds of input.
//!
//! `CellKind::ALL` enters a new cell here.

use std::sync::Arc;

use elman::cell::{CellKind, Input, Source, State, Steps};
use elman::layer::{Stack, StackConfig, StackPrepared, StackState, StackTape};
use elman::param::{Grads, Layout, Params, Slot};
use elman::rng::Rng;
use elman_kernels::Scalar;

use crate::on_the_named_instruction_set;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Feed {
    Dense,
    Tokens,
    Embedded,
}

#[derive(Clone, Debug)]
struct Case {
    cell: CellKind,
    layers: usize,
    bidirectional: bool,
    feed: Feed,
    lengths: Vec<usize>,
    inputs: usize,
    hidden: usize,
}

const VOCAB: usize = 5;

/// A network, a batch, and the gradient of its loss with respect to every output.
struct Network<F> {
    stack: Stack,
    params: Params<F>,
    steps: Steps,
    x: Vec<F>,
    tokens: Vec<u32>,
    feed: Feed,
    state: StackState<F>,
    dy: Vec<F>,
    dstate: StackState<F>,
}

/// One kind of value a loss depends on.
#[derive(Clone, Copy)]
enum Place {
    Weights(Slot),
    X,
    H0(usize),
    C0(usize),
}

fn numbers<F: Scalar>(n: usize, rng: &mut Rng) -> Vec<F> {
    (0..n).map(|_| F::from_f64(rng.range(-1.0, 1.0))).collect()
}

impl Case {
    fn build(&self, seed: u64) -> Network<f64> {
        on_the_named_instruction_set();
        let mut rng = Rng::new(seed, "contract");
        let mut layout = Layout::new();
        let source = match self.feed {
            Feed::Dense => Source::Dense(self.inputs),
            Feed::Tokens => Source::Tokens(VOCAB),
            Feed::Embedded => {
                let slot = layout.add("embedding.weight", &[VOCAB, self.inputs]);
                Source::Embedded { vocab: VOCAB, width: self.inputs, slot }
            }
        };
        let config = StackConfig {
            cell: self.cell,
            source,
            hidden: self.hidden,
            layers: self.layers,
            bidirectional: self.bidirectional,
            dropout: 0.0,
            locked: false,
        };
        let stack = Stack::add(&mut layout, "rnn.", config).unwrap();
        let mut params = Params::zeros(&Arc::new(layout));
        params.values = numbers(params.values.len(), &mut rng);
        let steps = Steps::ragged(&self.lengths).unwrap();
        let mut state = stack.zero_state(self.lengths.len());
        let mut dstate = state.clone();
        for s in state.cells.iter_mut().chain(&mut dstate.cells) {
            s.h = numbers(s.h.len(), &mut rng);
            s.c = numbers(s.c.len(), &mut rng);
        }
        let x = numbers(steps.rows() * self.inputs, &mut rng);
        let tokens = (0..steps.rows()).map(|_| rng.below(VOCAB) as u32).collect();
        let dy = numbers(steps.rows() * stack.output_width(), &mut rng);
        Network { stack, params, steps, x, tokens, feed: self.feed, state, dy, dstate }
    }

    /// Every combination, at several sizes: more than 300 cases.
    fn all() -> Vec<Case> {
        let mut cases = Vec::new();
        for cell in CellKind::ALL {
            for layers in 1..=3 {
                for bidirectional in [false, true] {
                    for feed in [Feed::Dense, Feed::Tokens, Feed::Embedded] {
                        let mut add = |lengths: &[usize], inputs, hidden| {
                            let lengths = lengths.to_vec();
                            cases.push(Case { cell, layers, bidirectional, feed, lengths, inputs, hidden });
                        };
                        add(&[4], 3, 5);
                        add(&[5, 3, 2, 0], 2, 4);
                        add(&[2, 2, 1], 1, 9);
                        if layers == 1 {
                            add(&[1], 1, 1);
                            add(&[3, 3, 3, 3, 3], 5, 17);
                        }
                    }
                }
            }
        }
        cases
    }
}

impl<F: Scalar> Network<F> {
    fn input(&self) -> Input<'_, F> {
        if self.feed == Feed::Dense { Input::Dense(&self.x) } else { Input::Tokens(&self.tokens) }
    }

    fn values(&mut self, place: Place) -> &mut [F] {
        match place {
            Place::Weights(slot) => slot.of_mut(&mut self.params),
            Place::X => &mut self.x,
            Place::H0(i) => &mut self.state.cells[i].h,
            Place::C0(i) => &mut self.state.cells[i].c,
        }
    }

    fn cast<G: Scalar>(&self) -> Network<G> {
        let cast = |x: &[F]| -> Vec<G> { x.iter().map(|x| G::from_f64(x.to_f64())).collect() };
        let state = |s: &StackState<F>| StackState {
            cells: s.cells.iter().map(|s| State { h: cast(&s.h), c: cast(&s.c) }).collect(),
        };
        Network {
            stack: self.stack.clone(),
            params: self.params.cast(),
            steps: self.steps.clone(),
            x: cast(&self.x),
            tokens: self.tokens.clone(),
            feed: self.feed,
            state: state(&self.state),
            dy: cast(&self.dy),
            dstate: state(&self.dstate),
        }
    }

    fn forward(&self, tape: &mut StackTape<F>) -> StackState<F> {
        let mut prepared = StackPrepared::default();
        self.stack.prepare(&self.params, &mut prepared);
        let mut state = self.state.clone();
        self.stack.forward(&prepared, self.input(), &self.steps, &mut state, tape, None);
        state
    }

    /// `sum dy y + sum dstate (final state)`.
    fn loss(&self) -> F {
        let mut tape = StackTape::default();
        let state = self.forward(&mut tape);
        let mut loss = F::ZERO;
        let mut add = |x: &[F], d: &[F]| x.iter().zip(d).for_each(|(&x, &d)| loss += x * d);
        add(tape.output(), &self.dy);
        for (s, d) in state.cells.iter().zip(&self.dstate.cells) {
            add(&s.h, &d.h);
            add(&s.c, &d.c);
        }
        loss
    }

    /// Adds the gradients of weights and input; returns that of the initial state.
    fn backward(&self, tape: &mut StackTape<F>, grads: &mut Grads<F>, dx: &mut [F]) -> StackState<F> {
        let mut prepared = StackPrepared::default();
        self.stack.prepare(&self.params, &mut prepared);
        self.forward(tape);
        let mut dstate = self.dstate.clone();
        let dx = (self.feed == Feed::Dense).then_some(dx);
        let (x, steps) = (self.input(), &self.steps);
        self.stack.backward(&self.params, &prepared, x, steps, tape, &self.dy, &mut dstate, grads, dx);
        dstate
    }

    /// All gradients in one list, from zeroed buffers and a tape of the caller's.
    fn gradients(&self, tape: &mut StackTape<F>) -> Vec<F> {
        let mut grads = Params::zeros(self.params.layout());
        let mut dx = vec![F::ZERO; self.x.len()];
        let dstate = self.backward(tape, &mut grads, &mut dx);
        let mut all = grads.values;
        all.extend(dx);
        dstate.cells.iter().for_each(|s| all.extend(s.h.iter().chain(&s.c)));
        all
    }
}

/// A tape whose every buffer is longer than the case needs and was last full of NaN.
fn dirty_tape<F: Scalar>(case: &Case) -> StackTape<F> {
    let lengths = vec![case.lengths[0] + 2; case.lengths.len() + 1];
    let mut large: Network<F> = Case { lengths, ..case.clone() }.build(99).cast();
    large.params.values.fill(F::from_f64(f64::NAN));
    let mut tape = StackTape::default();
    let poisoned = large.gradients(&mut tape);
    assert!(poisoned.iter().any(|x| !x.is_finite()) && tape.output().iter().all(|x| !x.is_finite()));
    tape
}

/// Passes at `|a - n| <= 1e-7 + 1e-5 |n|`, tighter than PyTorch's gradcheck, so that a small missing term shows.
fn assert_gradient(case: &Case, name: &str, network: &mut Network<f64>, place: Place, analytic: &[f64]) {
    let eps = 1e-5;
    let n = network.values(place).len();
    assert_eq!(n, analytic.len());
    // Up to 12 places spread over the tensor.
    for i in (0..n).step_by(n.div_ceil(12).max(1)) {
        let value = network.values(place)[i];
        network.values(place)[i] = value + eps;
        let above = network.loss();
        network.values(place)[i] = value - eps;
        let below = network.loss();
        network.values(place)[i] = value;
        let (analytic, numeric) = (analytic[i], (above - below) / (2.0 * eps));
        let near = (analytic - numeric).abs() <= 1e-7 + 1e-5 * numeric.abs();
        assert!(near, "{case:?}\n{name}[{i}]: backward says {analytic}, differences {numeric}");
    }
}

#[test]
fn gradients_equal_central_differences() {
    let cases = Case::all();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    for (seed, case) in cases.iter().enumerate() {
        let mut network = case.build(seed as u64);
        let mut grads = Params::zeros(network.params.layout());
        let mut dx = vec![0.0; network.x.len()];
        let dstate = network.backward(&mut dirty_tape(case), &mut grads, &mut dx);
        for tensor in grads.layout().clone().tensors() {
            let place = Place::Weights(tensor.slot);
            assert_gradient(case, &tensor.name, &mut network, place, tensor.slot.of(&grads));
        }
        if case.feed == Feed::Dense {
            assert_gradient(case, "x", &mut network, Place::X, &dx);
        }
        for (i, d) in dstate.cells.iter().enumerate() {
            assert_gradient(case, &format!("h0 of cell {i}"), &mut network, Place::H0(i), &d.h);
            assert_gradient(case, &format!("c0 of cell {i}"), &mut network, Place::C0(i), &d.c);
        }
    }
}

#[test]
fn backward_adds() {
    for case in Case::all() {
        let network = case.build(3);
        let mut tape = StackTape::default();
        let once = network.gradients(&mut tape);
        let mut grads = Params::zeros(network.params.layout());
        let mut dx = vec![0.0; network.x.len()];
        network.backward(&mut tape, &mut grads, &mut dx);
        network.backward(&mut tape, &mut grads, &mut dx);
        for (i, (twice, once)) in grads.values.iter().chain(&dx).zip(&once).enumerate() {
            assert!((twice - 2.0 * once).abs() <= 1e-12 * (1.0 + once.abs()), "{case:?} value {i}: {twice} {once}");
        }
    }
}

#[test]
fn single_precision_is_near_double_precision() {
    for case in Case::all() {
        let double = case.build(5);
        let single: Network<f32> = double.cast();
        let want = double.gradients(&mut dirty_tape(&case));
        let got = single.gradients(&mut dirty_tape(&case));
        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
            let near = (f64::from(*g) - w).abs() <= 2e-4 * (1.0 + w.abs());
            assert!(near, "{case:?} value {i}: {g} {w}");
        }
        let (got, want) = (f64::from(single.loss()), double.loss());
        assert!((got - want).abs() <= 1e-4 * (1.0 + want.abs()), "{case:?}: {got} {want}");
    }
}

/// Large enough for blocks of the depth, whole tiles and their remainders.
#[test]
fn single_precision_is_near_double_precision_at_real_sizes() {
    for cell in CellKind::ALL {
        let (lengths, feed) = (vec![9; 16], Feed::Tokens);
        let case = Case { cell, layers: 2, bidirectional: false, feed, lengths, inputs: 1, hidden: 301 };
        let mut double = case.build(5);
        // Weights of usual size: with larger ones the network is chaotic.
        double.params.values.iter_mut().for_each(|w| *w /= 17.0);
        let single: Network<f32> = double.cast();
        let want = double.gradients(&mut StackTape::default());
        let got = single.gradients(&mut StackTape::default());
        let norm = want.iter().map(|w| w * w).sum::<f64>().sqrt();
        let difference = got.iter().zip(&want).map(|(g, w)| (f64::from(*g) - w).powi(2)).sum::<f64>().sqrt();
        assert!(difference <= 1e-5 * norm, "{case:?}: {difference} of {norm}");
    }
}

/// Rows `rows` of every step, as a network of its own.
fn neighbours_removed(network: &Network<f32>, lengths: &[usize], sequence: usize) -> Network<f32> {
    let (inputs, batch) = (network.x.len() / network.steps.rows().max(1), lengths.len());
    let rows: Vec<usize> = (0..lengths[sequence]).map(|t| network.steps.range(t).start + sequence).collect();
    let pick = |x: &[f32], width: usize| -> Vec<f32> {
        rows.iter().flat_map(|&r| x[r * width..(r + 1) * width].to_vec()).collect()
    };
    let part = |x: &[f32]| x[sequence * x.len() / batch..(sequence + 1) * x.len() / batch].to_vec();
    let state = |s: &StackState<f32>| StackState {
        cells: s.cells.iter().map(|s| State { h: part(&s.h), c: part(&s.c) }).collect(),
    };
    Network {
        stack: network.stack.clone(),
        params: network.params.clone(),
        steps: Steps::equal(lengths[sequence], 1),
        x: pick(&network.x, inputs),
        tokens: rows.iter().map(|&r| network.tokens[r]).collect(),
        feed: network.feed,
        state: state(&network.state),
        dy: pick(&network.dy, network.stack.output_width()),
        dstate: state(&network.dstate),
    }
}

#[test]
fn a_sequence_has_the_same_bits_alone_and_among_neighbours_of_other_lengths() {
    for case in Case::all() {
        let network: Network<f32> = case.build(7).cast();
        let mut tape = dirty_tape(&case);
        let state = network.forward(&mut tape);
        let width = network.stack.output_width();
        for sequence in 0..case.lengths.len() {
            let alone = neighbours_removed(&network, &case.lengths, sequence);
            let mut alone_tape = StackTape::default();
            let alone_state = alone.forward(&mut alone_tape);
            for t in 0..case.lengths[sequence] {
                let row = network.steps.range(t).start + sequence;
                let want = &alone_tape.output()[t * width..(t + 1) * width];
                assert_eq!(&tape.output()[row * width..(row + 1) * width], want, "{case:?} step {t}");
            }
            for (all, one) in state.cells.iter().zip(&alone_state.cells) {
                let n = all.h.len() / case.lengths.len();
                assert_eq!(all.h[sequence * n..(sequence + 1) * n], one.h, "{case:?}");
                let n = all.c.len() / case.lengths.len();
                assert_eq!(all.c[sequence * n..(sequence + 1) * n], one.c, "{case:?}");
            }
        }
    }
}

#[test]
fn two_chunks_have_the_bits_of_the_whole() {
    for cell in CellKind::ALL {
        for (layers, feed) in [(1, Feed::Dense), (2, Feed::Tokens), (3, Feed::Embedded)] {
            let lengths = vec![7; 4];
            let case = Case { cell, layers, bidirectional: false, feed, lengths, inputs: 3, hidden: 19 };
            let whole: Network<f32> = case.build(11).cast();
            let mut tape = StackTape::default();
            let state = whole.forward(&mut tape);
            let chunk = |from: usize, to: usize, state: StackState<f32>| {
                let rows = from * 4..to * 4;
                let mut chunk: Network<f32> = case.build(11).cast();
                chunk.steps = Steps::equal(to - from, 4);
                chunk.x = chunk.x[rows.start * 3..rows.end * 3].to_vec();
                chunk.tokens = chunk.tokens[rows].to_vec();
                chunk.state = state;
                let mut tape = StackTape::default();
                let state = chunk.forward(&mut tape);
                (tape.output().to_vec(), state)
            };
            let (first, between) = chunk(0, 3, whole.state.clone());
            let (second, last) = chunk(3, 7, between);
            assert_eq!([first, second].concat(), tape.output(), "{case:?}");
            assert_eq!(last, state, "{case:?}");
        }
    }
}

#[test]
fn padded_input_in_any_order_equals_each_sequence_alone() {
    let mut layout = Layout::new();
    let config = StackConfig {
        cell: CellKind::Gru,
        source: Source::Dense(2),
        hidden: 6,
        layers: 2,
        bidirectional: true,
        dropout: 0.0,
        locked: false,
    };
    let stack = Stack::add(&mut layout, "rnn.", config).unwrap();
    let mut params = Params::<f32>::zeros(&Arc::new(layout));
    let mut rng = Rng::new(1, "test");
    params.values = numbers(params.values.len(), &mut rng);
    let lengths = [2, 5, 0, 3];
    let mut x: Vec<f32> = numbers(5 * 4 * 2, &mut rng);
    let (y, state) = stack.run(&params, &x, &lengths, None).unwrap();
    for b in 0..4 {
        let alone: Vec<f32> = (0..lengths[b]).flat_map(|t| x[(t * 4 + b) * 2..(t * 4 + b) * 2 + 2].to_vec()).collect();
        let (want, want_state) = stack.run(&params, &alone, &[lengths[b]], None).unwrap();
        for t in 0..5 {
            let got = &y[(t * 4 + b) * 12..(t * 4 + b + 1) * 12];
            if t < lengths[b] {
                assert_eq!(got, &want[t * 12..(t + 1) * 12]);
            } else {
                assert_eq!(got, [0.0; 12]);
            }
        }
        for (all, one) in state.cells.iter().zip(&want_state.cells) {
            assert_eq!(all.h[b * 6..(b + 1) * 6], one.h);
        }
    }
    // Padding is never read.
    for b in 0..4 {
        for t in lengths[b]..5 {
            x[(t * 4 + b) * 2..(t * 4 + b) * 2 + 2].fill(f32::NAN);
        }
    }
    assert_eq!(stack.run(&params, &x, &lengths, None).unwrap().0, y);
    assert!(stack.run(&params, &x[..8], &lengths, None).is_err());
}
