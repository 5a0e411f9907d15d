//! A whole network, read from a model file: tokens or vectors, recurrent layers, a linear output.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use elman_kernels::Mat;
use elman_kernels::step::{self, Panels, Precision};

use crate::cell::input::{Input, InputKind, Source};
use crate::config::{NetworkConfig, refuse};
use crate::error::Error;
use crate::model::{Document, ModelError};
use crate::stack::Layers;

/// A token table may take this many times the memory of its source tensors; beyond that, the embedding is gathered and
/// multiplied at each step.
const TABLE_GROWTH: usize = 4;

/// A network and the state of one stream. Cloning shares the weights and copies the state.
#[derive(Clone)]
pub struct Network {
    running: Running,
}

/// A network and the states of `B` independent streams, stepped together: each weight is read once for all.
#[derive(Clone)]
pub struct Streams {
    running: Running,
}

/// The immutable part.
struct Shared {
    config: NetworkConfig,
    /// `[V, E]`, if there is no table.
    embedding: Option<Vec<f32>>,
    output: Panels,
    bias: Vec<f32>,
}

#[derive(Clone)]
struct Running {
    shared: Arc<Shared>,
    layers: Layers,
    /// Gathered embeddings `[B, E]`, if there is no table.
    x: Vec<f32>,
    /// `[B, V]`.
    logits: Vec<f32>,
    rounded: step::Scratch,
    backwards: bool,
}

impl Network {
    /// Reads a network from a verified model file; its state is zero.
    ///
    /// # Errors
    /// [`ModelError::Config`] and [`ModelError::Unsupported`] as [`NetworkConfig::read`]; [`ModelError::Missing`],
    /// [`ModelError::Dimensions`] and [`ModelError::Type`] if the tensors do not match the config;
    /// [`ModelError::NotFinite`] if a weight is infinite or NaN.
    pub fn read(document: &Document, precision: Precision) -> Result<Self, ModelError> {
        let config = NetworkConfig::read(document.config())?;
        Self::new(config, precision, |name, dims| document.expect_f32(name, dims))
    }

    /// Packs a network for stepping; its state is zero. `tensors` returns the weights by the names and dimensions they
    /// have in a model file, such as `rnn.weight_ih_l0` `[gH, I]` and `output.bias` `[V]`.
    ///
    /// # Errors
    /// Any error of `tensors`; [`ModelError::Config`] if sizes are inconsistent, [`ModelError::Unsupported`] if the
    /// network cannot run step by step, [`ModelError::Dimensions`] if a tensor has a different number of elements,
    /// [`ModelError::NotFinite`] if a weight is infinite or NaN.
    ///
    /// ```
    /// use elman_step::{CellKind, Network, NetworkConfig, Precision};
    ///
    /// // With all weights 0, every token is as likely as any other.
    /// let config = NetworkConfig::language_model(CellKind::Gru, 8, 3);
    /// let mut network = Network::new(config, Precision::F32, |_, dims| Ok(vec![0.0; dims.iter().product()]))?;
    /// assert_eq!(network.step_token(2), Ok(&[0.0; 3][..]));
    /// # Ok::<(), elman_step::model::ModelError>(())
    /// ```
    pub fn new(
        config: NetworkConfig,
        precision: Precision,
        tensors: impl Fn(&str, &[usize]) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        config.check()?;
        let tensor = |name: &str, dims: &[usize]| checked(name, dims, tensors(name, dims)?);
        let too_large = || refuse("`hidden` is too large");
        let gated = config.cell.gates().checked_mul(config.hidden).ok_or_else(too_large)?;
        let (hidden, classes) = (config.hidden, config.classes);

        let embedding = match config.feed {
            InputKind::Tokens(vocab) if config.embedding > 0 => {
                Some((vocab, tensor("embedding.weight", &[vocab, config.embedding])?))
            }
            _ => None,
        };
        // Kept where a table would be too large.
        let mut gathered = None;
        let mut layers = Vec::new();
        for number in 0..config.layers {
            let source = match (number, config.feed, &embedding) {
                (0, _, Some((vocab, embedding))) => {
                    let width = config.embedding;
                    let weights = embedding.len() + gated.saturating_mul(width.saturating_add(hidden));
                    if vocab.saturating_mul(gated) <= weights.saturating_mul(TABLE_GROWTH) {
                        Source::Embedded { vocab: *vocab, width, embedding }
                    } else {
                        gathered = Some(embedding.clone());
                        Source::Dense(width)
                    }
                }
                (0, InputKind::Dense(width), _) => Source::Dense(width),
                (0, InputKind::Tokens(vocab), None) => Source::Tokens(vocab),
                _ => Source::Dense(hidden),
            };
            let of_layer = |name: &str, dims: &[usize]| tensor(&format!("rnn.{name}_l{number}"), dims);
            layers.push(Arc::new(config.cell.layer(source, hidden, precision, of_layer)?));
        }
        let layers = Layers::stacked(layers).map_err(refuse)?;

        let bias = tensor("output.bias", &[classes])?;
        let output = |weight: &[f32]| {
            let weight = Mat::new(weight, classes, hidden);
            Panels::new(precision, 1, Mat::new(&[], classes, 0), weight)
        };
        let output = match &embedding {
            Some((_, embedding)) if config.tied => output(embedding),
            _ => output(&tensor("output.weight", &[classes, hidden])?),
        };
        let shared = Arc::new(Shared { config, embedding: gathered, output, bias });
        Ok(Network { running: Running::new(shared, layers) })
    }

    /// Its configuration.
    pub fn config(&self) -> &NetworkConfig {
        &self.running.shared.config
    }

    /// `V`, the width of the logits.
    pub fn classes(&self) -> usize {
        self.config().classes
    }

    /// One step from a token; returns the logits `[V]`. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Token`] outside the vocabulary, [`Error::WrongInput`] if the network reads vectors; the state is then
    /// unchanged.
    pub fn step_token(&mut self, token: u32) -> Result<&[f32], Error> {
        self.running.step_tokens(&[token])
    }

    /// One step from a vector `x` `[I]`; returns the logits `[V]`. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Length`] if `x` has a different width, [`Error::WrongInput`] if the network reads tokens; the state is
    /// then unchanged.
    pub fn step(&mut self, x: &[f32]) -> Result<&[f32], Error> {
        self.running.step(x)
    }

    /// The logits of the last step (zeros before the first).
    pub fn logits(&self) -> &[f32] {
        &self.running.logits
    }

    /// The hidden state `h` `[H]` of a layer after the last step, if the layer exists.
    pub fn hidden(&self, layer: usize) -> Option<&[f32]> {
        self.running.layers.hidden(layer)
    }

    /// Sets the state to zero, as before the first step.
    pub fn reset(&mut self) {
        self.running.layers.reset();
    }

    /// The state, layer after layer: each `h` `[H]` and, of an LSTM, `c` `[H]`.
    pub fn state(&self) -> &[f32] {
        self.running.layers.state()
    }

    /// Restores a state that [`Self::state`] returned.
    ///
    /// # Errors
    /// [`Error::Length`] if it belongs to a different network.
    pub fn set_state(&mut self, state: &[f32]) -> Result<(), Error> {
        self.running.set_state(state)
    }

    /// The same weights for `rows` independent streams, from the zero state.
    ///
    /// # Errors
    /// [`Error::Empty`] for 0 rows.
    pub fn streams(&self, rows: usize) -> Result<Streams, Error> {
        if rows == 0 {
            return Err(Error::Empty { what: "the number of streams" });
        }
        let Running { shared, layers, .. } = &self.running;
        Ok(Streams { running: Running::new(shared.clone(), layers.with_rows(rows)) })
    }
}

impl Streams {
    /// `B`, the number of streams.
    pub fn rows(&self) -> usize {
        self.running.layers.rows()
    }

    /// One step of every stream, each from its token; returns the logits `[B, V]`. Allocates nothing.
    ///
    /// # Errors
    /// As [`Network::step_token`], and [`Error::Length`] if there is not one token per stream.
    pub fn step_tokens(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        self.running.step_tokens(tokens)
    }

    /// One step of every stream, from `x` `[B, I]`; returns the logits `[B, V]`. Allocates nothing.
    ///
    /// # Errors
    /// As [`Network::step`].
    pub fn step(&mut self, x: &[f32]) -> Result<&[f32], Error> {
        self.running.step(x)
    }

    /// `h` `[B, H]` of a layer after the last step, if the layer exists.
    pub fn hidden(&self, layer: usize) -> Option<&[f32]> {
        self.running.layers.hidden(layer)
    }

    /// Sets all states to zero.
    pub fn reset(&mut self) {
        self.running.layers.reset();
    }

    /// Sets the state of one stream to zero, for a new sequence.
    ///
    /// # Errors
    /// [`Error::Stream`] if there is no such stream.
    pub fn reset_row(&mut self, row: usize) -> Result<(), Error> {
        if row >= self.rows() {
            return Err(Error::Stream { row, rows: self.rows() });
        }
        self.running.layers.reset_row(row);
        Ok(())
    }

    /// The states, layer after layer: each `h` `[B, H]` and, of an LSTM, `c` `[B, H]`.
    pub fn state(&self) -> &[f32] {
        self.running.layers.state()
    }

    /// Restores states that [`Self::state`] returned.
    ///
    /// # Errors
    /// [`Error::Length`] if they belong to a different network or number of streams.
    pub fn set_state(&mut self, state: &[f32]) -> Result<(), Error> {
        self.running.set_state(state)
    }
}

impl Running {
    fn new(shared: Arc<Shared>, layers: Layers) -> Self {
        let rows = layers.rows();
        let x = if shared.embedding.is_some() { alloc::vec![0.0; rows * shared.config.embedding] } else { Vec::new() };
        let logits = alloc::vec![0.0; rows * shared.config.classes];
        let mut rounded = step::Scratch::default();
        rounded.reserve(&shared.output, rows);
        Running { shared, layers, x, logits, rounded, backwards: false }
    }

    fn step_tokens(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        let InputKind::Tokens(vocab) = self.shared.config.feed else { return Err(self.wrong_input()) };
        if tokens.len() != self.layers.rows() {
            let (want, got) = (self.layers.rows(), tokens.len());
            return Err(Error::Length { what: "the list of tokens".into(), want, got });
        }
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= vocab) {
            return Err(Error::Token { token, vocab });
        }
        let h = match &self.shared.embedding {
            None => self.layers.step(Input::Tokens(tokens)),
            Some(embedding) => {
                let width = self.shared.config.embedding;
                for (x, &token) in self.x.chunks_exact_mut(width).zip(tokens) {
                    x.copy_from_slice(&embedding[token as usize * width..][..width]);
                }
                self.layers.step(Input::Dense(&self.x))
            }
        };
        // logits = W_hy h + b
        step::linear(&self.shared.output, &self.shared.bias, h, &mut self.logits, &mut self.rounded, self.backwards);
        self.backwards = !self.backwards;
        Ok(&self.logits)
    }

    fn step(&mut self, x: &[f32]) -> Result<&[f32], Error> {
        let InputKind::Dense(width) = self.shared.config.feed else { return Err(self.wrong_input()) };
        if x.len() != self.layers.rows() * width {
            let want = self.layers.rows() * width;
            return Err(Error::Length { what: "the input".into(), want, got: x.len() });
        }
        let h = self.layers.step(Input::Dense(x));
        // logits = W_hy h + b
        step::linear(&self.shared.output, &self.shared.bias, h, &mut self.logits, &mut self.rounded, self.backwards);
        self.backwards = !self.backwards;
        Ok(&self.logits)
    }

    fn wrong_input(&self) -> Error {
        let reads: String = match self.shared.config.feed {
            InputKind::Dense(width) => format!("vectors of width {width}, not tokens"),
            InputKind::Tokens(vocab) => format!("tokens below {vocab}, not vectors"),
        };
        Error::WrongInput { reads }
    }

    fn set_state(&mut self, state: &[f32]) -> Result<(), Error> {
        crate::error::check_length("the state", Some(self.layers.state().len()), state.len())?;
        self.layers.set_state(state);
        Ok(())
    }
}

/// Checks the number of elements and that all are finite.
fn checked(name: &str, dims: &[usize], values: Vec<f32>) -> Result<Vec<f32>, ModelError> {
    let len = dims.iter().try_fold(1, |len: usize, dim| len.checked_mul(*dim));
    if len != Some(values.len()) {
        return Err(ModelError::Dimensions { tensor: name.into(), got: alloc::vec![values.len()], want: dims.into() });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(ModelError::NotFinite { tensor: name.into(), index }),
        None => Ok(values),
    }
}
