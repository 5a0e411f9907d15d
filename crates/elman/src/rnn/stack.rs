//! Recurrent layers with a linear output, and the state of one sequence.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use elman_kernels::softmax::IGNORE;
use elman_step::model::ModelError;
use elman_step::{CellKind, InputKind, Network, Precision};
use serde_json::{Value, json};

use crate::cell::Steps;
use crate::error::{Error, Result};
use crate::format::document::{DocumentWriter, Tensor, TensorData};
use crate::format::model;
use crate::layer::StackState;
use crate::param::{Grads, Init, Params};
use crate::rng::Rng;
use crate::shape::{Inputs, Shape, Synced, SyncedBatch, SyncedConfig, SyncedPrepared, SyncedTape};

/// Stacked recurrent layers with a linear output, and the state of one sequence: `y = stack.step(x)`, with
/// `h = cell(x, h)` in each layer and `y = W_hy h + b` after the last.
///
/// ```
/// use elman::{Stack, cell::CellKind};
///
/// // Vectors of 3 values through two layers of 16 units to 2 outputs.
/// let mut stack = Stack::new(CellKind::Gru, 3, 16, 2, 2, 1)?;
/// let y = stack.step(&[0.5, -1.0, 0.0])?;
/// assert_eq!(y.len(), 2);
/// assert_eq!(stack.hidden(1).map(<[f32]>::len), Some(16));
/// assert!(stack.step(&[0.5]).is_err());
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone)]
pub struct Stack {
    network: Synced,
    params: Params<f32>,
    /// The weights packed for steps, and the state, also during training.
    running: Network,
    /// Whether the weights may have changed since `running` was packed.
    is_stale: bool,
    training: Box<Training>,
    /// The rest of a loaded file's JSON, such as the vocabulary.
    config: Value,
}

/// Working memory of training, kept between calls.
#[derive(Clone, Default)]
struct Training {
    prepared: SyncedPrepared<f32>,
    tape: SyncedTape<f32>,
    state: StackState<f32>,
}

impl Stack {
    /// `layers` layers of `hidden` units of `cell` that read vectors `[inputs]` and output `[outputs]`. The state is
    /// zero; weights are random, uniform within `1 / sqrt(hidden)` as PyTorch's, and the same for the same `seed`.
    ///
    /// # Errors
    /// [`Error::Usage`] if a size is 0 or their product too large.
    pub fn new(cell: CellKind, inputs: usize, hidden: usize, layers: usize, outputs: usize, seed: u64) -> Result<Self> {
        let feed = InputKind::Dense(inputs);
        let config = SyncedConfig { layers, feed, ..SyncedConfig::language_model(cell, hidden, outputs) };
        Stack::from_config(config, seed)
    }

    /// As [`Self::new`], for tokens: reads one of `vocab` tokens as a one-hot vector and outputs logits `[vocab]`.
    ///
    /// # Errors
    /// As [`Self::new`].
    ///
    /// ```
    /// use elman::{Stack, cell::CellKind};
    ///
    /// let mut stack = Stack::tokens(CellKind::Lstm, 65, 32, 2, 1)?;
    /// let logits = stack.step_token(7)?;
    /// assert_eq!(logits.len(), 65);
    /// assert!(stack.step_token(65).is_err());
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn tokens(cell: CellKind, vocab: usize, hidden: usize, layers: usize, seed: u64) -> Result<Self> {
        Stack::from_config(SyncedConfig { layers, ..SyncedConfig::language_model(cell, hidden, vocab) }, seed)
    }

    /// Any unidirectional network with an output at every step, also with an embedding, tied or not.
    ///
    /// # Errors
    /// [`Error::Usage`] if a size is 0 or their product too large, or the network cannot run step by step: it is
    /// bidirectional or has layers before the recurrent ones. [`Error::Setting`] for other invalid values.
    pub fn from_config(config: SyncedConfig, seed: u64) -> Result<Self> {
        check_sizes(&config)?;
        let network = Synced::new(config)?;
        let params = network.init(Init::Fan, &mut Rng::new(seed, "weights"));
        let running = arrange(&network, &params).map_err(usage)?;
        let config = json!({"shape": "synced"});
        Ok(Stack { network, params, running, is_stale: false, training: Box::default(), config })
    }

    /// One step: from `x` `[inputs]` to the outputs `[outputs]`; the state advances. Allocates nothing, except the
    /// first time after the weights were changed.
    ///
    /// # Errors
    /// [`Error::Usage`] if `x` has a different width or the network reads tokens (the state is then unchanged), or if a
    /// weight is infinite or NaN after training.
    pub fn step(&mut self, x: &[f32]) -> Result<&[f32]> {
        self.arrange()?;
        self.running.step(x).map_err(usage)
    }

    /// One step from a token; returns the logits `[vocab]`. Allocates nothing, except the first time after the weights
    /// were changed.
    ///
    /// # Errors
    /// [`Error::Usage`] if the token is outside the vocabulary or the network reads vectors (the state is then
    /// unchanged), or if a weight is infinite or NaN after training.
    pub fn step_token(&mut self, token: u32) -> Result<&[f32]> {
        self.arrange()?;
        self.running.step_token(token).map_err(usage)
    }

    /// Sets the state to zero, as before the first step.
    pub fn reset(&mut self) {
        self.running.reset();
    }

    /// The state, layer after layer: each `h` `[hidden]` and, of an LSTM, `c` `[hidden]`.
    pub fn state(&self) -> &[f32] {
        self.running.state()
    }

    /// Restores a state that [`Self::state`] returned.
    ///
    /// # Errors
    /// [`Error::Usage`] if it has a different length.
    ///
    /// ```
    /// use elman::Gru;
    ///
    /// let mut gru = Gru::new(1, 4, 1, 1)?;
    /// gru.step(&[1.0])?;
    /// let state = gru.state().to_vec();
    /// let y = gru.step(&[2.0])?.to_vec();
    /// gru.set_state(&state)?;
    /// assert_eq!(gru.step(&[2.0])?, y);
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn set_state(&mut self, state: &[f32]) -> Result<()> {
        self.running.set_state(state).map_err(usage)
    }

    /// The hidden state `h` `[hidden]` of a layer, counted from 0 at the input; `None` if there is no such layer.
    pub fn hidden(&self, layer: usize) -> Option<&[f32]> {
        self.running.hidden(layer)
    }

    /// The weights, by the names they have in files: `rnn.weight_ih_l0` `[gates * hidden, inputs]`,
    /// `rnn.weight_hh_l0` `[gates * hidden, hidden]`, `rnn.bias_ih_l0`, `rnn.bias_hh_l0`, .., `output.weight`
    /// `[outputs, hidden]`, `output.bias`.
    pub fn params(&self) -> &Params<f32> {
        &self.params
    }

    /// The weights, mutable: changed by an [`Optimizer`](crate::optim::Optimizer), or by hand. The next step repacks
    /// them.
    pub fn params_mut(&mut self) -> &mut Params<f32> {
        self.is_stale = true;
        &mut self.params
    }

    /// Reinitialises the weights; the state is unchanged.
    pub fn init(&mut self, init: Init, seed: u64) {
        *self.params_mut() = self.network.init(init, &mut Rng::new(seed, "weights"));
    }

    /// Its configuration.
    pub fn config(&self) -> &SyncedConfig {
        self.network.config()
    }

    /// The blog's `lossFun` over a sequence of vectors: forward through `inputs` `[T, inputs]` from the current state,
    /// and backpropagation through time. `targets` `[T]` are the classes, [`IGNORE`](crate::rnn::IGNORE) where there is
    /// none. Returns the cross-entropy in nats summed over the targets, and its gradients; the state becomes the final
    /// one, so that the next call continues where this one ended (truncated backpropagation).
    ///
    /// Dropout is off, whatever the config says; label smoothing and class weights apply.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no step, not one target per step, a class is not below `outputs`, `inputs` are not
    /// `[T, inputs]`, or the network reads tokens; the state is then unchanged.
    ///
    /// ```
    /// use elman::Rnn;
    /// use elman::optim::{Optimizer, OptimizerConfig};
    ///
    /// // Predict at every step whether the last two inputs differ: XOR through time.
    /// let (bits, mut targets) = ([0, 1, 1, 0, 1, 0, 0, 1], [elman::rnn::IGNORE; 8]);
    /// (1..8).for_each(|t| targets[t] = bits[t - 1] ^ bits[t]);
    /// let inputs = bits.map(|bit| bit as f32);
    ///
    /// let mut rnn = Rnn::new(1, 8, 2, 1)?;
    /// let mut adam = Optimizer::new(OptimizerConfig::default(), rnn.params().layout());
    /// let mut last_nats = f64::INFINITY;
    /// for _ in 0..200 {
    ///     rnn.reset();
    ///     let (loss_nats, grads) = rnn.loss_and_grad(&inputs, &targets)?;
    ///     adam.update(rnn.params_mut(), &grads, 0.03, 1.0);
    ///     last_nats = loss_nats;
    /// }
    /// assert!(last_nats / 7.0 < 0.05);
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn loss_and_grad(&mut self, inputs: &[f32], targets: &[u32]) -> Result<(f64, Grads<f32>)> {
        let InputKind::Dense(width) = self.config().feed else {
            return Err(Error::Usage("this network reads tokens, not vectors; call `loss_and_grad_tokens`".into()));
        };
        if targets.len().checked_mul(width) != Some(inputs.len()) {
            let (got, steps) = (inputs.len(), targets.len());
            let message = format!("the inputs have {got} values, but {steps} steps need {width} each");
            return Err(Error::Usage(message));
        }
        self.backward(Inputs::Dense(inputs.to_vec()), targets)
    }

    /// As [`Self::loss_and_grad`], over a sequence of tokens `[T]`: for a language model the targets are the next
    /// tokens.
    ///
    /// # Errors
    /// As [`Self::loss_and_grad`], where a token is not below the vocabulary, or the network reads vectors.
    ///
    /// ```
    /// use elman::Rnn;
    ///
    /// // h e l l o, as in the blog's figure.
    /// let mut rnn = Rnn::tokens(4, 8, 1)?;
    /// let (loss_nats, grads) = rnn.loss_and_grad_tokens(&[0, 1, 2, 2], &[1, 2, 2, 3])?;
    /// assert!(loss_nats > 0.0 && grads.values.len() == rnn.params().values.len());
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn loss_and_grad_tokens(&mut self, tokens: &[u32], targets: &[u32]) -> Result<(f64, Grads<f32>)> {
        let InputKind::Tokens(vocab) = self.config().feed else {
            return Err(Error::Usage("this network reads vectors, not tokens; call `loss_and_grad`".into()));
        };
        if tokens.len() != targets.len() {
            let message = format!("{} tokens, but {} targets", tokens.len(), targets.len());
            return Err(Error::Usage(message));
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocab) {
            return Err(usage(elman_step::Error::Token { token, vocab }));
        }
        self.backward(Inputs::Tokens(tokens.to_vec()), targets)
    }

    /// The loss of a sequence with checked inputs.
    fn backward(&mut self, inputs: Inputs<f32>, targets: &[u32]) -> Result<(f64, Grads<f32>)> {
        let classes = self.config().classes;
        if targets.is_empty() {
            return Err(Error::Usage("a sequence needs at least one step".into()));
        }
        if let Some(target) = targets.iter().find(|&&target| target as usize >= classes && target != IGNORE) {
            return Err(Error::Usage(format!("target {target} is not below the number of outputs, {classes}")));
        }
        self.check_layout()?;
        let batch = SyncedBatch { steps: Steps::equal(targets.len(), 1), inputs, targets: targets.to_vec() };
        let Stack { network, params, running, training, .. } = self;
        let Training { prepared, tape, state } = &mut **training;
        network.prepare(params, prepared);
        network.stack().zero_state_into(1, state);
        let mut values = running.state();
        for part in state.cells.iter_mut().flat_map(|cell| [&mut cell.h, &mut cell.c]) {
            let (now, rest) = values.split_at(part.len());
            part.copy_from_slice(now);
            values = rest;
        }
        let mut grads = Params::zeros(network.layout());
        let loss_nats = network.loss_and_grad(params, prepared, &batch, 1.0, None, state, tape, &mut grads);
        let after: Vec<f32> = state.cells.iter().flat_map(|cell| cell.h.iter().chain(&cell.c)).copied().collect();
        running.set_state(&after).map_err(usage)?;
        Ok((loss_nats, grads))
    }

    /// Writes a model file, which [`Self::load`] and [`elman_step::Network::read`] read. The state is not part of it.
    ///
    /// A loaded network keeps the other contents of its file, such as the vocabulary, but not the record of its
    /// training.
    ///
    /// # Errors
    /// [`Error::Model`] if a weight is infinite or NaN; [`Error::Io`] if it cannot be written. An existing file is
    /// then unchanged.
    ///
    /// ```
    /// use elman::Lstm;
    ///
    /// let path = std::env::temp_dir().join(format!("elman-example-{}.safetensors", std::process::id()));
    /// let mut lstm = Lstm::new(2, 8, 3, 1)?;
    /// lstm.save(&path)?;
    /// let mut again = Lstm::load(&path)?;
    /// assert_eq!(again.step(&[1.0, 2.0])?, lstm.step(&[1.0, 2.0])?);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check_layout()?;
        let mut config = self.config.clone();
        config["kind"] = "model".into();
        config["network"] = json!(self.config());
        let tensors = self.params.layout().tensors().iter().map(|tensor| Tensor {
            name: tensor.name.clone(),
            dims: tensor.dims.clone(),
            data: TensorData::F32(tensor.slot.of(&self.params)),
        });
        model::save(path.as_ref(), &DocumentWriter { config, tensors: tensors.collect() })
    }

    /// Reads a model file of any network with an output at every step, such as a language model; its state is zero.
    /// Quantised weights become `f32`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Model`] if it is damaged, not a model, or of a network that cannot
    /// run step by step.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let loaded = model::load(path.as_ref())?;
        let document = &loaded.document;
        // This checks the sizes against the tensors, so that no more is allocated than the file has.
        let running = Network::read(document, Precision::F32).map_err(|error| loaded.error(error))?;
        let mut config = document.config().clone();
        let refused = |reason: String| loaded.error(ModelError::Config { reason });
        let sizes = serde_json::from_value(config["network"].take());
        let network = Synced::new(sizes.map_err(|error| refused(format!("in `network`: {error}")))?)
            .map_err(|error| refused(error.to_string()))?;
        let mut params = Params::zeros(network.layout());
        for tensor in network.layout().tensors() {
            let values = document.expect_f32(&tensor.name, &tensor.dims).map_err(|error| loaded.error(error))?;
            tensor.slot.of_mut(&mut params).copy_from_slice(&values);
        }
        if let Some(config) = config.as_object_mut() {
            // They describe the weights in that file, not later ones.
            config.remove("trained");
            config.remove("training");
        }
        Ok(Stack { network, params, running, is_stale: false, training: Box::default(), config })
    }

    /// Packs the weights for steps if they may have changed; keeps the state.
    fn arrange(&mut self) -> Result<()> {
        if self.is_stale {
            self.check_layout()?;
            let mut running = arrange(&self.network, &self.params).map_err(usage)?;
            running.set_state(self.running.state()).map_err(usage)?;
            (self.running, self.is_stale) = (running, false);
        }
        Ok(())
    }

    /// Checks that [`Self::params_mut`] was not replaced by weights of a different network.
    fn check_layout(&self) -> Result<()> {
        let (own, layout) = (self.network.layout(), self.params.layout());
        let is_own = Arc::ptr_eq(own, layout) || own == layout;
        if is_own && self.params.values.len() == own.len() {
            return Ok(());
        }
        Err(Error::Usage("the weights belong to a different network".into()))
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Stack");
        debug.field("config", self.config()).field("weights", &self.params.values.len()).finish_non_exhaustive()
    }
}

/// The weights packed for steps.
fn arrange(network: &Synced, params: &Params<f32>) -> std::result::Result<Network, ModelError> {
    let tensor = |name: &str, _: &[usize]| match params.get(name) {
        Some(values) => Ok(values.to_vec()),
        None => Err(ModelError::Missing { tensor: name.into() }),
    };
    Network::new(network.config().without_training()?, Precision::F32, tensor)
}

/// Rejects sizes of 0 and of more weights than can be addressed, before anything is allocated.
fn check_sizes(config: &SyncedConfig) -> Result<()> {
    let (what, width) = match config.feed {
        InputKind::Dense(width) => ("inputs", width),
        InputKind::Tokens(vocab) => ("tokens", vocab),
    };
    let sizes =
        [(what, width), ("hidden units", config.hidden), ("layers", config.layers), ("outputs", config.classes)];
    if let Some((what, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return Err(Error::Usage(format!("the number of {what} must be at least 1")));
    }
    let of_layers = |width: usize| {
        let rows = config.cell.gates().checked_mul(config.hidden)?;
        rows.checked_mul(width.checked_add(config.hidden)?.checked_add(8)?)?.checked_mul(config.layers)
    };
    let widest = width.checked_add(config.embedding);
    let output = config.hidden.checked_add(config.embedding).and_then(|rows| rows.checked_mul(config.classes));
    let embedding = width.checked_mul(config.embedding);
    let bytes =
        widest.and_then(|width| of_layers(width.max(config.hidden))).zip(output).zip(embedding).and_then(
            |((layers, output), embedding)| layers.checked_add(output)?.checked_add(embedding)?.checked_mul(8),
        );
    match bytes {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(Error::Usage("a network of these sizes has too many weights to address".into())),
    }
}

fn usage(error: impl fmt::Display) -> Error {
    Error::Usage(error.to_string())
}

#[cfg(test)]
mod tests;
