//! One step of one stream, one thread: `cargo bench -p elman-step [FILTER]`.
//!
//! `median` is over blocks of steps; `p99.9` and `worst` are over single steps, less the clock's overhead. The other
//! columns are the bytes of weights a step reads and the resulting bandwidth.

use std::hint::black_box;
use std::time::Instant;

use elman_step::{Gru, Layers, Lstm, Nonlinearity, Precision, Reset, Rnn, Source, Stack, Weights};

const CELLS: [(&str, usize); 6] =
    [("rnn-tanh", 1), ("rnn-relu", 1), ("gru", 3), ("gru-reset-before", 3), ("lstm", 4), ("lstm-peephole", 4)];

const PRECISIONS: [(&str, Precision, usize); 3] =
    [("f32", Precision::F32, 4), ("bf16", Precision::Bf16, 2), ("int8", Precision::Int8, 1)];

fn numbers(n: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| (((i * 7919) % 2003) as f32 / 1001.5 - 1.0) * scale).collect()
}

fn build(cell: &str, gates: usize, source: Source, hidden: usize, precision: Precision) -> Stack {
    let scale = 1.0 / (hidden as f32).sqrt();
    let matrix = |width: usize| numbers(gates * hidden * width, scale);
    let (w_ih, w_hh, bias) = (matrix(source.width()), matrix(hidden), matrix(1));
    let weights = Weights { w_ih: &w_ih, w_hh: &w_hh, b_ih: &bias, b_hh: &bias };
    let peephole = numbers(3 * hidden, scale);
    let cell: Result<Layers, _> = match cell {
        "rnn-tanh" => Rnn::new(source, hidden, Nonlinearity::Tanh, weights, precision).map(Layers::from),
        "rnn-relu" => Rnn::new(source, hidden, Nonlinearity::Relu, weights, precision).map(Layers::from),
        "gru" => Gru::new(source, hidden, Reset::After, weights, precision).map(Layers::from),
        "gru-reset-before" => Gru::new(source, hidden, Reset::Before, weights, precision).map(Layers::from),
        "lstm" => Lstm::new(source, hidden, None, weights, precision).map(Layers::from),
        _ => Lstm::new(source, hidden, Some(&peephole), weights, precision).map(Layers::from),
    };
    Stack::new(cell).expect("valid sizes")
}

/// Seconds: the median step of blocks, and of single steps the 99.9th percentile and the worst.
fn times(mut step: impl FnMut()) -> [f64; 3] {
    let mut block = |steps: usize| {
        let start = Instant::now();
        (0..steps).for_each(|_| step());
        start.elapsed().as_secs_f64() / steps as f64
    };
    let steps = ((20e-6 / block(200)) as usize).clamp(4, 2000);
    let mut blocks: Vec<f64> = (0..201).map(|_| block(steps)).collect();
    let mut clock: Vec<f64> = (0..1001).map(|_| Instant::now().elapsed().as_secs_f64()).collect();
    let mut single: Vec<f64> = (0..5000).map(|_| block(1)).collect();
    for times in [&mut blocks, &mut clock, &mut single] {
        times.sort_by(f64::total_cmp);
    }
    [blocks[100], single[single.len() * 999 / 1000] - clock[500], single[single.len() - 1] - clock[500]]
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    println!(
        "{:<34}{:>10}{:>10}{:>10}{:>10}{:>8}",
        "cell/input/precision/H", "median us", "p99.9", "worst", "KiB", "GB/s"
    );
    for (cell, gates) in CELLS {
        for dense in [true, false] {
            for hidden in [32, 64, 128, 256, 512] {
                for (name, precision, bytes) in PRECISIONS {
                    let name = format!("{cell}/{}/{name}/{hidden}", if dense { "dense" } else { "token" });
                    if !name.contains(&filter) {
                        continue;
                    }
                    let source = if dense { Source::Dense(hidden) } else { Source::Tokens(65) };
                    let mut stack = build(cell, gates, source, hidden, precision);
                    let x = numbers(hidden, 1.0);
                    let mut token = 0;
                    let [median, p999, worst] = times(|| {
                        token = (token + 7) % 65;
                        let h = if dense { stack.step(black_box(&x)) } else { stack.step_token(black_box(token)) };
                        black_box(h);
                    });
                    assert!(stack.state().iter().all(|h| h.is_finite()), "{name} diverged");
                    let bytes = (gates * hidden * hidden * bytes * if dense { 2 } else { 1 }) as f64;
                    println!(
                        "{name:<34}{:>10.3}{:>10.3}{:>10.3}{:>10.0}{:>8.1}",
                        median * 1e6,
                        p999 * 1e6,
                        worst * 1e6,
                        bytes / 1024.0,
                        bytes / median / 1e9
                    );
                }
            }
        }
    }
}
