//! Updates on random data, to measure what a machine does in a second.

use super::{Engine, blocks, ranges};
use crate::cell::Steps;
use crate::error::Result;
use crate::optim::{Optimizer, OptimizerConfig, clip};
use crate::param::{Init, Params};
use crate::rng::Rng;
use crate::shape::{InputKind, Inputs, Synced, SyncedBatch, SyncedConfig};

/// A synced network in training on one random batch.
pub struct Trial {
    network: Synced,
    params: Params<f32>,
    engine: Engine<f32, Synced>,
    batches: Vec<SyncedBatch<f32>>,
    optimizer: Optimizer<f32>,
}

impl Trial {
    /// A network of this configuration, a batch of `batch` sequences of `steps` steps.
    ///
    /// # Errors
    /// As [`Synced::new`] and [`Engine::new`].
    pub fn new(config: SyncedConfig, batch: usize, steps: usize, threads: usize) -> Result<Self> {
        let network = Synced::new(config)?;
        let mut rng = Rng::new(1, "trial");
        let params = network.init(Init::Fan, &mut Rng::new(1, "weights"));
        let config = network.config();
        let mut random = |sequences: usize| {
            let rows = steps * sequences;
            let inputs = match config.feed {
                InputKind::Dense(width) => Inputs::Dense((0..rows * width).map(|_| rng.normal() as f32).collect()),
                InputKind::Tokens(vocab) => Inputs::Tokens((0..rows).map(|_| rng.below(vocab) as u32).collect()),
            };
            let targets = (0..rows).map(|_| rng.below(config.classes) as u32).collect();
            SyncedBatch { steps: Steps::equal(steps, sequences), inputs, targets }
        };
        let batches: Vec<SyncedBatch<f32>> = ranges(batch, blocks(batch)).map(|block| random(block.len())).collect();
        let states = batches.iter().map(|batch| network.zero_state(batch.steps.batch())).collect();
        let engine = Engine::new(&network, states, threads)?;
        let optimizer = Optimizer::new(OptimizerConfig::default(), network.layout());
        Ok(Trial { network, params, engine, batches, optimizer })
    }

    /// The network.
    pub fn network(&self) -> &Synced {
        &self.network
    }

    /// Forward, backward, clipping, update.
    pub fn step(&mut self) {
        self.engine.loss_and_grad(&self.network, &self.params, &self.batches, None);
        let (engine, params, optimizer) = (&self.engine, &mut self.params, &mut self.optimizer);
        engine.install(|| {
            let norm = clip::global_norm(engine.grads());
            optimizer.update(params, engine.grads(), 1e-4, clip::scale_for_norm(norm, 5.0));
        });
    }

    /// Runs `f` on the threads that train.
    pub fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        self.engine.install(f)
    }
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial").field("network", self.network.config()).finish_non_exhaustive()
    }
}
