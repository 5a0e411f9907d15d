//! What this machine does in a second: a few updates of a small network.

use std::time::{Duration, Instant};

use super::{Corpus, TextBatches, fit, network};
use crate::error::Result;
use crate::optim::{Optimizer, clip};
use crate::rng::Rng;
use crate::settings::Settings;
use crate::train::{Batches, Engine};

/// Units of the network that is measured: its weights fill the second cache of a common core.
const HIDDEN: usize = 256;
const EMBEDDING: usize = 64;
/// Tokens of an update: sequences and steps.
const SIZE: (usize, usize) = (16, 64);

/// Products per second of all threads together, in the sense of [`fit`], as training has them.
///
/// # Errors
/// If the text is too short, or threads cannot be started.
pub(super) fn measure(corpus: &Corpus, settings: &Settings, threads: usize, time: Duration) -> Result<f64> {
    let (batch, seq_len) = (SIZE.0, SIZE.1.min(corpus.train.len() - 1));
    let settings = Settings { hidden: HIDDEN, embedding: EMBEDDING, layers: 1, batch, seq_len, ..settings.clone() };
    let network = network(&Settings { tied: false, dropout: 0.1, ..settings.clone() }, corpus.vocab.len())?;
    let mut batches = TextBatches::new(corpus, &settings)?;
    let mut params = network.init(settings.init.0, &mut Rng::new(settings.seed, "speed"));
    let mut optimizer = Optimizer::new(settings.optimizer_config(), network.layout());
    let mut engine = Engine::new(&network, batches.initial_states(), threads)?;
    engine.set_precision(&network, settings.precision);
    let pool = engine.pool();
    pool.install(|| {
        let (mut began, mut tokens, mut parts) = (Instant::now(), 0, Vec::new());
        for update in 0.. {
            batches.next_batch(update, &mut parts, &mut engine.states_mut());
            engine.loss_and_grad(&network, &params, &parts, Some((settings.seed, update)));
            let scale = clip::scale_for_norm(clip::global_norm(engine.grads()), 1.0);
            optimizer.update(&mut params, engine.grads(), 1e-3, scale);
            if update == 0 {
                // The first takes its memory.
                began = Instant::now();
                continue;
            }
            tokens += batches.tokens();
            if began.elapsed() >= time {
                break;
            }
        }
        let facts = fit::Facts::of(corpus, &settings);
        let products = facts.products(HIDDEN, EMBEDDING, batches.tokens() as f64);
        Ok(products * tokens as f64 / began.elapsed().as_secs_f64())
    })
}
