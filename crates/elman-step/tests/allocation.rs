//! After construction a step allocates nothing: counted by the allocator itself.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use elman_step::{Gru, Layers, Lstm, Nonlinearity, Precision, Reset, Rnn, Source, Stack, Weights};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let mut sum = 0.0;
        for token in 0..100 {
            sum += dense.step(&x)[3] + tokens.step_token(token % 7)[3];
        }
        dense.reset();
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        assert!(sum.is_finite());
        assert_eq!(after - before, 0, "cell {cell} allocated");
    }
}
