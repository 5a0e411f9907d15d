//! What this machine does in a second: a few updates of a small network.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::optim::{Optimizer, clip};
use crate::rng::Rng;
use crate::settings::Settings;
use crate::shape::Synced;
use crate::train::{Batches, Engine};

/// Tokens per second of all threads together, of `tokens` in a batch; not counted is the first update, which takes its memory.
///
/// # Errors
/// If threads cannot be started.
pub(super) fn measure(
    network: &Synced,
    mut batches: impl Batches<Synced> + Send,
    tokens: usize,
    settings: &Settings,
    threads: usize,
    time: Duration,
) -> Result<f64> {
    let mut params = network.init(settings.init.0, &mut Rng::new(settings.seed, "speed"));
    let mut optimizer = Optimizer::new(settings.optimizer_config(), network.layout());
    let mut engine = Engine::new(network, batches.initial_states(), threads)?;
    engine.set_precision(network, settings.precision);
    let pool = engine.pool();
    pool.install(|| {
        let (mut began, mut done, mut parts) = (Instant::now(), 0, Vec::new());
        for update in 0.. {
            batches.next_batch(update, &mut parts, &mut engine.states_mut());
            engine.loss_and_grad(network, &params, &parts, Some((settings.seed, update)));
            let scale = clip::scale_for_norm(clip::global_norm(engine.grads()), 1.0);
            optimizer.update(&mut params, engine.grads(), 1e-3, scale);
            if update == 0 {
                began = Instant::now();
                continue;
            }
            done += tokens;
            if began.elapsed() >= time {
                break;
            }
        }
        Ok(done as f64 / began.elapsed().as_secs_f64())
    })
}
