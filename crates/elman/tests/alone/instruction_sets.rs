//! A whole training step on one instruction set is that on another, but for the rounding of single operations.

use elman::cell::{CellKind, Steps};
use elman::optim::{Optimizer, OptimizerConfig, clip};
use elman::param::{Init, Params};
use elman::rng::Rng;
use elman::shape::{Inputs, Shape, Synced, SyncedBatch, SyncedConfig};
use elman::train::Engine;
use elman_kernels::Isa;

use crate::alone;

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

fn distance(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn losses_gradients_and_updates_agree_on_every_instruction_set() {
    let _alone = alone();
    let best = Isa::best();
    for cell in CellKind::ALL {
        Isa::PLAIN.choose();
        let plain = step(cell);
        assert!(plain.0.is_finite() && plain.2.values.iter().any(|&g| g != 0.0));
        for isa in Isa::available() {
            isa.choose();
            assert_eq!(Isa::best(), isa);
            let got = step(cell);
            let name = format!("{} on {isa:?}", cell.name());
            for (loss, want) in [(got.0, plain.0), (got.1, plain.1)] {
                assert!((loss - want).abs() <= NEAR * want, "{name}: loss {loss}, plain {want}");
            }
            for (part, got, want) in [("gradient", &got.2, &plain.2), ("weights", &got.3, &plain.3)] {
                for tensor in want.layout().tensors() {
                    let apart = distance(tensor.slot.of(got), tensor.slot.of(want));
                    let size = distance(tensor.slot.of(want), &vec![0.0; tensor.slot.range().len()]);
                    assert!(apart <= NEAR * size, "{name}: {part} of {}: {apart} apart, size {size}", tensor.name);
                }
            }
        }
    }
    best.choose();
}
