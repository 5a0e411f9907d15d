//! Training in bf16: near training in f32, and not the same.

use std::sync::atomic::AtomicBool;

use elman::cell::{CellKind, Steps};
use elman::param::{Init, Params};
use elman::rng::Rng;
use elman::settings::Settings;
use elman::shape::{Inputs, Synced, SyncedBatch, SyncedConfig};
use elman::task::language_model::Plan;
use elman::task::{Plan as _, Start};
use elman::train::{Engine, Every, Precision};

fn gradient(cell: CellKind, embedding: usize, precision: Precision) -> (f64, Vec<f32>) {
    let vocab = 29;
    let config = SyncedConfig { layers: 2, embedding, ..SyncedConfig::language_model(cell, 64, vocab) };
    let network = Synced::new(config).unwrap();
    let mut rng = Rng::new(1, "test");
    let params: Params<f32> = network.init(Init::Fan, &mut rng);
    let mut tokens = || (0..20 * 9).map(|_| rng.below(vocab) as u32).collect::<Vec<u32>>();
    let batch = SyncedBatch { steps: Steps::equal(20, 9), inputs: Inputs::Tokens(tokens()), targets: tokens() };
    let mut engine = Engine::new(&network, vec![network.zero_state(9)], 1).unwrap();
    engine.set_precision(&network, precision);
    let loss_nats = engine.loss_and_grad(&network, &params, &[batch], None);
    (loss_nats, engine.grads().values.clone())
}

#[test]
fn every_cell_has_in_bf16_nearly_the_gradient_of_f32() {
    for cell in CellKind::ALL {
        for embedding in [0, 24] {
            let exact = gradient(cell, embedding, Precision::F32);
            let rounded = gradient(cell, embedding, Precision::Bf16);
            assert!((exact.0 - rounded.0).abs() < 1e-3 * exact.0, "{cell:?}: {} {}", exact.0, rounded.0);
            let square = |x: f32| f64::from(x) * f64::from(x);
            let norm: f64 = exact.1.iter().map(|&x| square(x)).sum();
            let apart: f64 = exact.1.iter().zip(&rounded.1).map(|(&x, &y)| square(x - y)).sum();
            let apart = (apart / norm).sqrt();
            // A bfloat16 is off by at most 1 in 512; a relu, which may fall on the other side of its kink, dampens nothing.
            let most = if cell == CellKind::RnnRelu { 0.1 } else { 0.01 };
            assert!((1e-5..most).contains(&apart), "{cell:?}, embedding {embedding}: {apart}");
        }
    }
}

#[test]
fn a_run_in_bf16_ends_within_half_a_percent_of_one_in_f32() {
    let text: String = (0..400).map(|i| format!("The {i} quick foxes jump over {} lazy dogs.\n", i * 7)).collect();
    let val_nats = |precision| {
        let mut s = Settings::preset("default").unwrap();
        (s.cell, s.hidden, s.layers, s.batch, s.seq_len, s.dropout) = (CellKind::Lstm, 48, 2, 16, 24, 0.0);
        (s.max_steps, s.sample_length, s.threads, s.precision) = (1000, 0, 1, precision);
        s.checkpoint_every = Every::Steps(1000);
        let plan = Plan::of_text(text.as_bytes(), s).unwrap();
        let mut session = plan.session(Start::default()).unwrap();
        session.run(&AtomicBool::new(false), &mut |_| ()).unwrap();
        session.progress().best.unwrap().0
    };
    let (exact, rounded) = (val_nats(Precision::F32), val_nats(Precision::Bf16));
    assert!(exact < 1.5, "{exact}: nothing was learnt");
    assert!(exact != rounded && (rounded / exact - 1.0).abs() < 0.005, "f32 {exact}, bf16 {rounded}");
}
