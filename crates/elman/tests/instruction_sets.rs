//! A whole training step on one instruction set is that on another, but for the rounding of single operations.
#![cfg(target_arch = "x86_64")]

use elman::cell::{CellKind, Steps};
use elman::optim::{Optimizer, OptimizerConfig, clip};
use elman::param::{Init, Params};
use elman::rng::Rng;
use elman::shape::{Inputs, Shape, Synced, SyncedBatch, SyncedConfig};
use elman::train::Engine;
use elman_kernels::Isa;

/// How far apart, relative to what is compared.
const NEAR: f64 = 1e-5;

/// The loss alone; the loss before a step; its gradient; the weights after it.
fn step(cell: CellKind) -> (f64, f64, Params<f32>, Params<f32>) {
    let vocab = 29;
    let config = SyncedConfig { layers: 2, ..SyncedConfig::language_model(cell, 70, vocab) };
    let network = Synced::new(config).unwrap();
    let mut rng = Rng::new(1, "test");
    let mut params: Params<f32> = network.init(Init::Fan, &mut rng);
    let mut tokens = || (0..20 * 9).map(|_| rng.below(vocab) as u32).collect::<Vec<u32>>();
    let batch = SyncedBatch { steps: Steps::equal(20, 9), inputs: Inputs::Tokens(tokens()), targets: tokens() };
    let (mut prepared, mut tape) = Default::default();
    network.prepare(&params, &mut prepared);
    let forward = network.loss(&params, &prepared, &batch, &mut network.zero_state(9), &mut tape);
    let mut engine = Engine::new(&network, vec![network.zero_state(9)], 1).unwrap();
    let loss_nats = engine.loss_and_grad(&network, &params, &[batch], None);
    let norm = clip::global_norm(engine.grads());
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), network.layout());
    optimizer.update(&mut params, engine.grads(), 1e-3, clip::scale_for_norm(norm, 1.0));
    (forward, loss_nats, engine.grads().clone(), params)
}

fn assert_near(what: &str, got: f64, want: f64, scale: f64) {
    assert!((got - want).abs() <= NEAR * scale.abs(), "{what}: {got}, plain {want}");
}

#[test]
fn losses_gradients_and_updates_agree_on_every_instruction_set() {
    for cell in CellKind::ALL {
        Isa::PLAIN.choose();
        let plain = step(cell);
        assert!(plain.0.is_finite() && plain.2.values.iter().any(|&g| g != 0.0));
        for isa in Isa::available() {
            isa.choose();
            assert_eq!(Isa::best(), isa);
            let got = step(cell);
            let name = format!("{} on {isa:?}", cell.name());
            assert_near(&format!("{name}: loss alone"), got.0, plain.0, plain.0);
            assert_near(&format!("{name}: loss"), got.1, plain.1, plain.1);
            // Sums of many signs: what counts is the distance beside the tensor's largest.
            for (part, got, want) in [("gradient", &got.2, &plain.2), ("weights", &got.3, &plain.3)] {
                for tensor in want.layout().tensors() {
                    let (got, want) = (tensor.slot.of(got), tensor.slot.of(want));
                    let largest = want.iter().fold(0.0, |m: f32, x| m.max(x.abs()));
                    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
                        let what = format!("{name}: {part} of {} {i}", tensor.name);
                        assert_near(&what, got.into(), want.into(), largest.into());
                    }
                }
            }
        }
    }
}
