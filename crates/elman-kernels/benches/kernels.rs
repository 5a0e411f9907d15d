//! Shares of the machine's measured multiply-add peak, one thread: `cargo bench -p elman-kernels [FILTER]`.
//!
//! The peak is measured again before each row, in the same process, so that machine noise divides out.

use std::hint::black_box;
use std::time::{Duration, Instant};

use elman_kernels::gates::rnn::Nonlinearity;
use elman_kernels::{Isa, Mat, MatMut, Operands, Packed, Scratch, Start, gates, gemm, gemm_unpacked_of, peak, softmax};

/// Median seconds of one call, over 15 samples of at least 3 ms.
fn seconds(mut f: impl FnMut()) -> f64 {
    f();
    let mut calls = 1;
    loop {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        if start.elapsed() > Duration::from_millis(3) {
            break;
        }
        calls *= 2;
    }
    let mut samples: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| f());
            start.elapsed().as_secs_f64() / calls as f64
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[7]
}

fn row(filter: &str, name: String, flops: f64, f: impl FnMut()) {
    if !name.contains(filter) {
        return;
    }
    let rounds = 100_000;
    let peak = peak::multiply_adds(Isa::best(), rounds)
        / seconds(|| {
            black_box(peak::multiply_adds(Isa::best(), rounds));
        });
    let time = seconds(f);
    println!(
        "{name:<40} {:>9.2} us {:>7.1} GFLOP/s {:>5.1} % of {:.0}",
        time * 1e6,
        flops / time / 1e9,
        100.0 * flops / time / peak,
        peak / 1e9
    );
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 % 2003) as f32 / 1001.5 - 1.0) * 0.1).collect()
}

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    println!("instruction set {}", Isa::best().name());
    let mut scratch = Scratch::default();
    for (b, h) in [(1, 128), (8, 128), (16, 128), (32, 128), (16, 256), (32, 256), (16, 512), (32, 512)] {
        let w = numbers(4 * h * h);
        let (mut w_hh, mut bf16) = (Packed::new(), Packed::new());
        bf16.set_operands(Operands::Bf16);
        let (h_prev, c_prev) = (numbers(b * h), numbers(b * h));
        let (mut c, mut out) = (numbers(b * h), numbers(b * h));

        w_hh.pack_gates(Mat::new(&w, 4 * h, h).t(), 4);
        let start = numbers(b * 4 * h);
        let mut a = start.clone();
        row(&filter, format!("lstm/forward/B{b}_H{h}"), (8 * b * h * h) as f64, || {
            gates::lstm::forward(&w_hh, None, &h_prev, &c_prev, &mut a, &mut c, &mut out);
        });
        bf16.pack_gates(Mat::new(&w, 4 * h, h).t(), 4);
        row(&filter, format!("bf16/lstm/forward/B{b}_H{h}"), (8 * b * h * h) as f64, || {
            gates::lstm::forward(&bf16, None, &h_prev, &c_prev, &mut a, &mut c, &mut out);
        });
        let mut dc = numbers(b * h);
        row(&filter, format!("lstm/backward/pointwise/B{b}_H{h}"), (8 * b * h * h) as f64, || {
            a.copy_from_slice(&start);
            dc.copy_from_slice(&h_prev);
            gates::lstm::backward(h, None, &mut a, &c_prev, &c, &out, &mut dc);
        });
        let mut back = Packed::new();
        back.pack(Mat::new(&w, 4 * h, h));
        row(&filter, format!("lstm/backward/dh/B{b}_H{h}"), (8 * b * h * h) as f64, || {
            gemm(Mat::new(&start, b, 4 * h), &back, MatMut::new(&mut out, b, h), Start::Zero);
        });
        bf16.pack(Mat::new(&w, 4 * h, h));
        row(&filter, format!("bf16/lstm/backward/dh/B{b}_H{h}"), (8 * b * h * h) as f64, || {
            gemm(Mat::new(&start, b, 4 * h), &bf16, MatMut::new(&mut out, b, h), Start::Zero);
        });
        w_hh.pack_gates(Mat::new(&w[..3 * h * h], 3 * h, h).t(), 3);
        row(&filter, format!("gru/forward/B{b}_H{h}"), (6 * b * h * h) as f64, || {
            gates::gru::forward(&w_hh, &w[..h], &h_prev, &mut a, &mut out);
        });
        w_hh.pack(Mat::new(&w[..h * h], h, h).t());
        row(&filter, format!("rnn/forward/B{b}_H{h}"), (2 * b * h * h) as f64, || {
            gates::rnn::forward(&w_hh, Nonlinearity::Tanh, &h_prev, &mut out);
        });
        row(&filter, format!("pack/4Hx{h}"), (8 * b * h * h) as f64, || back.pack(Mat::new(&w, 4 * h, h).t()));
        row(&filter, format!("bf16/pack/4Hx{h}"), (8 * b * h * h) as f64, || bf16.pack(Mat::new(&w, 4 * h, h).t()));
    }
    for (m, k, n) in [(800, 128, 512), (800, 256, 1024), (800, 512, 2048), (1600, 256, 65)] {
        let (a, b) = (numbers(m * k), numbers(k * n));
        let mut c = numbers(m * n);
        let flops = (2 * m * k * n) as f64;
        for (name, operands) in [("", Operands::Exact), ("bf16/", Operands::Bf16)] {
            let mut packed = Packed::new();
            packed.set_operands(operands);
            packed.pack(Mat::new(&b, k, n));
            row(&filter, format!("{name}gemm/{m}x{k}x{n}"), flops, || {
                gemm(Mat::new(&a, m, k), &packed, MatMut::new(&mut c, m, n), Start::Zero);
            });
            let mut dw = numbers(n * k);
            row(&filter, format!("{name}gemm/weight_gradient/{n}x{m}x{k}"), flops, || {
                let (dy, x) = (Mat::new(&c, m, n).t(), Mat::new(&a, m, k));
                gemm_unpacked_of(operands, dy, x, MatMut::new(&mut dw, n, k), Start::Add, &mut scratch);
            });
        }
    }
    let mut logits = numbers(1600 * 65);
    let targets: Vec<u32> = (0..1600).map(|i| i % 65).collect();
    row(&filter, "softmax/1600x65".into(), (1600 * 65) as f64, || {
        black_box(softmax::cross_entropy_backward(&mut logits, &targets, 1e-3));
    });
}
