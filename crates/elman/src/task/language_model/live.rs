//! A language model in training whose owner makes each update when it likes: for a page, where there are neither threads
//! nor files, and a reader who looks on and turns the knobs.

use std::borrow::Cow;
use std::path::Path;

use elman_step::model::{Document, ModelError};
use elman_step::{Network, Precision};

use super::{Corpus, TextBatches, score};
use crate::data::Vocab;
use crate::error::{Error, Result};
use crate::format::document::DocumentWriter;
use crate::optim::{Optimizer, clip};
use crate::param::Params;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::shape::{Synced, SyncedBatch};
use crate::train::{Batches, Engine, Ranks, weights};

/// A language model in training.
///
/// An update is that of a run of the same settings with a constant learning rate, bit by bit.
///
/// ```
/// use elman::task::language_model::live::{Live, settings};
///
/// let settings = elman::Settings { hidden: 32, batch: 4, seq_len: 16, lr: 0.01, ..settings() };
/// let mut live = Live::new("the quick brown fox jumps over the lazy dog\n".repeat(60).as_bytes(), settings)?;
/// let first_nats = live.update()?.loss_nats;
/// (0..30).try_for_each(|_| live.update().map(drop))?;
/// assert!(live.update()?.loss_nats < first_nats);
/// # Ok::<(), elman::Error>(())
/// ```
pub struct Live {
    network: Synced,
    params: Params<f32>,
    settings: Settings,
    batches: TextBatches<'static>,
    parts: Vec<SyncedBatch<f32>>,
    engine: Engine<f32, Synced>,
    optimizer: Optimizer<f32>,
    read: u64,
}

/// What an update was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Mean loss of the batch before it, nats per token.
    pub loss_nats: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of the batch.
    pub tokens: usize,
}

/// Settings for a first look at a short text: a GRU of 128 units.
pub fn settings() -> Settings {
    Settings {
        task: super::model::NAME.into(),
        layers: 1,
        hidden: 128,
        embedding: 0,
        batch: 16,
        seq_len: 48,
        lr: 0.005,
        dropout: 0.0,
        ema_decay: 0.0,
        ..Settings::base()
    }
}

impl Live {
    /// A new network for a text; `val_frac` of it is held out.
    ///
    /// # Errors
    /// [`Error::Data`] for a text that is empty or too short; [`Error::Setting`] for an invalid size.
    pub fn new(text: &[u8], settings: Settings) -> Result<Live> {
        let settings = settings.resolve_values()?;
        let corpus = Corpus::of(text, None, Path::new("the text"), &settings)?;
        let network = super::network(&settings, corpus.vocab.len())?;
        let params = network.init(settings.init.0, &mut Rng::new(settings.seed, "weights"));
        Self::with(corpus, network, params, settings)
    }

    /// As [`Self::new`], going on with the weights of a model, whose sizes and vocabulary hold; what it does not know is
    /// left out of the text.
    ///
    /// # Errors
    /// As [`Self::new`]; a text of which the model knows too little.
    pub fn from_model(text: &[u8], model: (Synced, Params<f32>, Vocab), settings: Settings) -> Result<Live> {
        let (network, params, vocab) = model;
        let sizes = network.config();
        let settings =
            Settings { cell: sizes.cell, layers: sizes.layers, hidden: sizes.hidden, ..settings }.resolve_values()?;
        let (mut train, _) = vocab.encode(text, true).map_err(|unseen| Error::Usage(unseen.to_string()))?;
        let val = train.split_off(((1.0 - settings.val_frac) * train.len() as f64) as usize);
        if val.len() < 2 {
            return Err(Error::Usage(format!("the model knows only {} tokens of the text", train.len() + val.len())));
        }
        Self::with(Corpus { vocab, train, val }, network, params, settings)
    }

    fn with(corpus: Corpus, network: Synced, params: Params<f32>, settings: Settings) -> Result<Live> {
        let batches = TextBatches::of(Cow::Owned(corpus), &settings, &Ranks::default())?;
        let engine = Engine::here(&network, batches.initial_states());
        let optimizer = Optimizer::new(settings.optimizer_config(), network.layout());
        Ok(Live { network, params, settings, batches, parts: Vec::new(), engine, optimizer, read: 0 })
    }

    /// The learning rate from the next update on.
    ///
    /// # Errors
    /// [`Error::Setting`] unless it is a positive number.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        if !(lr > 0.0 && lr.is_finite()) {
            return Err(Error::setting("lr", lr, "must be a number above 0"));
        }
        self.settings.lr = lr;
        Ok(())
    }

    /// One update: forward, backward, clipping, the optimizer's step.
    ///
    /// # Errors
    /// [`Error::Usage`] if the loss or a gradient is not finite; the weights are then unchanged.
    pub fn update(&mut self) -> Result<Update> {
        let Live { network, params, settings, batches, parts, engine, optimizer, read } = self;
        batches.next_batch(*read, parts, &mut engine.states_mut());
        let loss_nats = engine.loss_and_grad(network, params, parts, Some((settings.seed, *read)));
        *read += 1;
        let grad_norm = clip::global_norm(engine.grads());
        if !(loss_nats.is_finite() && grad_norm.is_finite()) {
            let message = "the loss is not finite: training has diverged; begin again with a lower learning rate";
            return Err(Error::Usage(message.into()));
        }
        let mut norm = grad_norm;
        if settings.clip_value > 0.0 {
            clip::by_value(engine.grads_mut(), settings.clip_value);
            norm = clip::global_norm(engine.grads());
        }
        let scale = if settings.clip_norm > 0.0 { clip::scale_for_norm(norm, settings.clip_norm) } else { 1.0 };
        optimizer.update(params, engine.grads(), settings.lr, scale);
        Ok(Update { loss_nats, grad_norm, tokens: batches.tokens() })
    }

    /// The loss on the text that was held out, or on evenly spread parts of it of `limit` tokens, in nats per token.
    pub fn validate(&self, limit: usize) -> f64 {
        score::windowed_limited(&self.network, &self.params, &self.corpus().val, limit).mean_nats()
    }

    /// The text.
    pub fn corpus(&self) -> &Corpus {
        &self.batches.corpus
    }

    /// The network.
    pub fn network(&self) -> &Synced {
        &self.network
    }

    /// Its weights.
    pub fn params(&self) -> &Params<f32> {
        &self.params
    }

    /// Updates made.
    pub fn updates(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Passes through the text, with the share of the current one.
    pub fn epochs(&self) -> f64 {
        self.batches.cursor().epochs()
    }

    /// The model as a file.
    ///
    /// # Errors
    /// [`Error::Usage`] if a weight is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut config = self.batches.model_config(&self.network);
        config["kind"] = "model".into();
        if let Some(config) = config.as_object_mut() {
            // The reader's text, not the program's own.
            config.remove("builtin");
        }
        let document = DocumentWriter { config, tensors: weights(&self.params) };
        if let Some((tensor, ..)) = document.first_non_finite() {
            return Err(Error::Usage(format!("{tensor} is not finite: training has diverged")));
        }
        document.to_bytes().map_err(refused)
    }

    /// The network as it is now, ready to run step by step.
    ///
    /// # Errors
    /// As [`Self::to_bytes`].
    pub fn stepping(&self) -> Result<Network> {
        let document = Document::parse_owned(self.to_bytes()?).map_err(refused)?;
        Network::read(&document, Precision::F32).map_err(refused)
    }
}

fn refused(error: ModelError) -> Error {
    Error::Usage(error.to_string())
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Live");
        debug.field("network", self.network.config()).field("updates", &self.updates()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Trainer;

    #[test]
    fn updates_have_the_bits_of_a_run_with_the_same_settings() {
        let text = "one two three four five six seven eight nine ten\n".repeat(40);
        let settings = Settings { hidden: 24, seq_len: 16, max_steps: 60, ema_decay: 0.0, dropout: 0.2, ..settings() };
        let mut live = Live::new(text.as_bytes(), settings.clone()).unwrap();
        let losses: Vec<f64> = (0..60).map(|_| live.update().unwrap().loss_nats).collect();
        assert!(losses[59] < 0.7 * losses[0], "{losses:?}");

        let settings = Settings { schedule: crate::optim::ScheduleKind::Constant, warmup: 0, ..settings };
        let plan = super::super::Plan::of_text(text.as_bytes(), settings).unwrap();
        let s = &plan.settings;
        let params = plan.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        let batches = TextBatches::new(&plan.corpus, s).unwrap();
        let mut run = Trainer::new(&plan.network, batches, s.train_config(), params, 2, None).unwrap();
        (0..60).for_each(|_| _ = run.update());
        assert!(run.params().values == live.params().values);
    }

    #[test]
    fn a_saved_model_goes_on_from_its_weights_and_bad_texts_are_refused() {
        let text = "one two three four five six seven eight nine ten\n".repeat(40);
        let mut live = Live::new(text.as_bytes(), Settings { hidden: 16, ..settings() }).unwrap();
        (0..5).for_each(|_| _ = live.update().unwrap());
        let model = (live.network().clone(), live.params().clone(), live.corpus().vocab.clone());
        let again = Live::from_model("four \u{1F600} five ".repeat(200).as_bytes(), model, settings()).unwrap();
        assert!(again.params().values == live.params().values);
        assert_eq!(live.stepping().unwrap().classes(), live.corpus().vocab.len());
        for text in ["", "ab"] {
            assert!(Live::new(text.as_bytes(), settings()).is_err());
        }
        assert!(live.set_lr(f64::NAN).is_err() && live.set_lr(0.0).is_err() && live.set_lr(0.1).is_ok());
    }
}
