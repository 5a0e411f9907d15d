//! After construction a step allocates nothing: counted by the allocator itself.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use elman_step::machine::{Activation, Binary, Builder, Recurrence, RecurrentKind, Reduction};
use elman_step::{Gru, Layers, Lstm, Nonlinearity, Precision, Reset, Rnn, Source, Stack, Weights};

thread_local! {
    /// Those of this thread: the harness prints on its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn allocations() -> usize {
    ALLOCATIONS.get()
}

struct Counting;

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A layer of 20 units over a vector of 20, of cell number `cell`.
fn layer(cell: usize, source: Source) -> Layers {
    let (gates, inputs) = ([4, 4, 3, 3, 1, 1][cell], source.width());
    let numbers = |n: usize| -> Vec<f32> { (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 200.0).collect() };
    let (w_ih, w_hh, b) = (numbers(gates * 20 * inputs), numbers(gates * 400), numbers(gates * 20));
    let weights = Weights { w_ih: &w_ih, w_hh: &w_hh, b_ih: &b, b_hh: &b };
    let peephole = numbers(60);
    match cell {
        0 => Lstm::new(source, 20, None, weights, Precision::F32).map(Layers::from),
        1 => Lstm::new(source, 20, Some(&peephole), weights, Precision::F32).map(Layers::from),
        2 => Gru::new(source, 20, Reset::After, weights, Precision::F32).map(Layers::from),
        3 => Gru::new(source, 20, Reset::Before, weights, Precision::F32).map(Layers::from),
        4 => Rnn::new(source, 20, Nonlinearity::Tanh, weights, Precision::F32).map(Layers::from),
        _ => Rnn::new(source, 20, Nonlinearity::Relu, weights, Precision::F32).map(Layers::from),
    }
    .unwrap()
}

#[test]
fn no_step_of_any_cell_allocates() {
    for cell in 0..6 {
        let mut dense = Stack::new([layer(cell, Source::Dense(20)), layer(cell, Source::Dense(20))]).unwrap();
        let mut tokens = Stack::new([layer(cell, Source::Tokens(7)), layer(cell, Source::Dense(20))]).unwrap();
        let x = [0.5; 20];
        let before = allocations();
        let mut sum = 0.0;
        for token in 0..100 {
            sum += dense.step(&x)[3] + tokens.step_token(token % 7)[3];
        }
        dense.reset();
        let after = allocations();
        assert!(sum.is_finite());
        assert_eq!(after - before, 0, "cell {cell} allocated");
    }
}

#[test]
fn no_step_of_a_machine_allocates() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        let mut step = Builder::new(precision);
        let (x, token) = (step.input(20).unwrap(), step.input(1).unwrap());
        let embedded = step.embedding(&[0.1; 35], 5, token).unwrap();
        let mut y = step.concat(&[x, embedded]).unwrap();
        let clips = [None, Some(1.0)];
        for (kind, clip) in [
            RecurrentKind::Rnn,
            RecurrentKind::Gru(Reset::Before),
            RecurrentKind::Gru(Reset::After),
            RecurrentKind::Lstm,
        ]
        .into_iter()
        .flat_map(|kind| clips.map(|clip| (kind, clip)))
        {
            let rows = kind.gates() * 20;
            let (w_ih, w_hh, b) = (vec![0.01; rows * y.len()], vec![0.02; rows * 20], vec![0.1; rows]);
            let weights = Weights { w_ih: &w_ih, w_hh: &w_hh, b_ih: &b, b_hh: &b };
            let layer = Recurrence { clip, ..Recurrence::plain(kind, 20, weights) };
            let state = step.state(&vec![0.5; layer.state_width()]);
            let next = step.recurrent(&layer, y, state).unwrap();
            step.carry(state, next).unwrap();
            y = next.slice(0..20).unwrap();
        }
        y = step.delay(&[7, 3, 0], None, y).unwrap();
        y = step.dense(&vec![0.1; 60 * 12], &[0.0; 12], Activation::Softplus, y).unwrap();
        y = step.normalize(4, 1e-5, y).unwrap();
        y = step.binary(Binary::Max, y, x.slice(0..12).unwrap()).unwrap();
        y = step.select(&[3, 2, 1, 0, u32::MAX], y).unwrap();
        y = step.softmax(5, y).unwrap();
        step.output(y);
        let largest = step.reduce(Reduction::Max, 5, 1, y).unwrap();
        step.output(largest);
        let mut machine = step.finish().unwrap();
        let mut y = [0.0; 6];
        let before = allocations();
        for token in 0..100 {
            let mut x = [0.5; 21];
            x[20] = (token % 7) as f32;
            machine.step(&x, &mut y).unwrap();
        }
        machine.reset();
        let after = allocations();
        assert!(y.iter().all(|y| y.is_finite()));
        assert_eq!(after - before, 0, "{precision:?} allocated");
        machine.reserve(32);
        let (x, mut y) = ([0.5; 21 * 100].map(|x: f32| x.floor()), [0.0; 6 * 100]);
        let before = allocations();
        machine.steps(&x, &mut y).unwrap();
        let after = allocations();
        assert_eq!(after - before, 0, "{precision:?} allocated in blocks");
    }
}
