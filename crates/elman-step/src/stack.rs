//! Stacked layers: `rnn2.step(rnn1.step(x))`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use elman_kernels::Buffer;

use crate::cell::input::{Input, InputKind};
use crate::cell::layer::{Layer, Scratch};
use crate::error::Error;

/// Recurrent layers and the state of `B` rows. Cloning shares the weights and copies the state.
///
/// The whole state lies in one buffer, layer after layer, each `h` `[B, H]` and, of an LSTM, `c` `[B, H]`. A step reads
/// one buffer and writes another, then swaps them.
#[derive(Clone)]
pub struct Layers {
    layers: Vec<Arc<Layer>>,
    rows: usize,
    states: [Buffer<f32>; 2],
    /// Which of the two is current. Every other step also reads the weights in reverse order; see
    /// [`elman_kernels::step`].
    second: bool,
    scratch: Scratch,
}

impl Layers {
    /// A layer by itself, for one row.
    pub(crate) fn one(layer: Layer) -> Self {
        Self::of(alloc::vec![Arc::new(layer)], 1)
    }

    /// Stacked layers, for one row.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers; [`Error::Length`] if a layer's input width is not the width of the layer below;
    /// [`Error::WrongInput`] if a layer above the first reads tokens.
    pub(crate) fn stacked(layers: Vec<Arc<Layer>>) -> Result<Self, Error> {
        if layers.is_empty() {
            return Err(Error::Empty { what: "the number of layers" });
        }
        for (number, pair) in layers.windows(2).enumerate() {
            match pair[1].input {
                InputKind::Dense(width) if width == pair[0].hidden => {}
                InputKind::Dense(width) => {
                    let what = alloc::format!("the input of layer {}", number + 1);
                    return Err(Error::Length { what, want: width, got: pair[0].hidden });
                }
                InputKind::Tokens(_) => {
                    return Err(Error::WrongInput { reads: alloc::format!("tokens in layer {}", number + 1) });
                }
            }
        }
        Ok(Self::of(layers, 1))
    }

    fn of(layers: Vec<Arc<Layer>>, rows: usize) -> Self {
        let len = layers.iter().map(|layer| rows * layer.state_width()).sum();
        let mut scratch = Scratch::default();
        layers.iter().for_each(|layer| layer.reserve(&mut scratch, rows));
        Layers { layers, rows, states: [Buffer::zeros(len), Buffer::zeros(len)], second: false, scratch }
    }

    /// The same layers for `rows` independent rows, from the zero state.
    pub(crate) fn with_rows(&self, rows: usize) -> Self {
        Self::of(self.layers.clone(), rows)
    }

    /// The input of the first layer.
    pub(crate) fn input(&self) -> InputKind {
        self.layers[0].input
    }

    /// `H` of the last layer.
    pub(crate) fn width(&self) -> usize {
        self.layers[self.layers.len() - 1].hidden
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// One step of all rows; returns `h` `[B, H]` of the last layer.
    ///
    /// # Panics
    /// If the input is of the other kind, has a different width, or a token is outside the vocabulary.
    pub(crate) fn step(&mut self, input: Input) -> &[f32] {
        match (input, self.input()) {
            (Input::Dense(x), InputKind::Dense(width)) => {
                assert_eq!(x.len(), self.rows * width, "the input of a step does not have the layer's width");
            }
            (Input::Tokens(tokens), InputKind::Tokens(vocab)) => {
                let known = tokens.iter().all(|&token| (token as usize) < vocab);
                assert!(known && tokens.len() == self.rows, "a token outside the vocabulary of {vocab}");
            }
            (Input::Dense(_), _) => panic!("a layer of tokens was given a vector"),
            (Input::Tokens(_), _) => panic!("a layer of vectors was given a token"),
        }
        let [first, second] = &mut self.states;
        let (prev, now) = if self.second { (second, first) } else { (first, second) };
        self.second = !self.second;
        // Where the layer's state begins, and that of the layer below.
        let (mut at, mut below) = (0, 0..0);
        for (number, layer) in self.layers.iter().enumerate() {
            let end = at + self.rows * layer.state_width();
            let (done, next) = now[..end].split_at_mut(at);
            let input = if number == 0 { input } else { Input::Dense(&done[below]) };
            layer.step(input, &prev[at..end], next, &mut self.scratch, self.second);
            (below, at) = (at..at + self.rows * layer.hidden, end);
        }
        &now[below]
    }

    /// `h` `[B, H]` of a layer, if it exists.
    pub(crate) fn hidden(&self, number: usize) -> Option<&[f32]> {
        let layer = self.layers.get(number)?;
        let at: usize = self.layers[..number].iter().map(|layer| self.rows * layer.state_width()).sum();
        Some(&self.state()[at..at + self.rows * layer.hidden])
    }

    pub(crate) fn reset(&mut self) {
        self.state_mut().fill(0.0);
    }

    /// # Panics
    /// If the row does not exist.
    pub(crate) fn reset_row(&mut self, row: usize) {
        let mut at = 0;
        let state = &mut self.states[usize::from(self.second)];
        for layer in &self.layers {
            // `h` and, of an LSTM, `c`: each `[B, H]`.
            for _ in 0..layer.state_width() / layer.hidden {
                state[at + row * layer.hidden..at + (row + 1) * layer.hidden].fill(0.0);
                at += self.rows * layer.hidden;
            }
        }
    }

    pub(crate) fn state(&self) -> &[f32] {
        &self.states[usize::from(self.second)]
    }

    fn state_mut(&mut self) -> &mut [f32] {
        &mut self.states[usize::from(self.second)]
    }

    /// # Panics
    /// If the length differs.
    pub(crate) fn set_state(&mut self, state: &[f32]) {
        assert_eq!(state.len(), self.state().len(), "a state of a different network");
        self.state_mut().copy_from_slice(state);
    }
}

/// Stacked cells with their states, stepped as one: `rnn2.step(rnn1.step(x))`.
///
/// ```
/// use elman_step::{Nonlinearity, Precision, Rnn, Source, Stack, Weights};
///
/// let weights = Weights { w_ih: &[1.0], w_hh: &[1.0], b_ih: &[0.0], b_hh: &[0.0] };
/// // A running sum, and the running sum of it.
/// let sum = || Rnn::new(Source::Dense(1), 1, Nonlinearity::Relu, weights, Precision::F32);
/// let (mut rnn1, mut rnn2) = (sum()?, sum()?);
/// assert_eq!(rnn2.step(rnn1.step(&[1.0])), [1.0]);
/// assert_eq!(rnn2.step(rnn1.step(&[2.0])), [4.0]);
///
/// let mut stack = Stack::new([sum()?.into(), sum()?.into()])?;
/// stack.step(&[1.0]);
/// assert_eq!(stack.step(&[2.0]), [4.0]);
/// assert_eq!(stack.hidden(0), Some(&[3.0][..]));
/// # Ok::<(), elman_step::Error>(())
/// ```
#[derive(Clone)]
pub struct Stack {
    layers: Layers,
}

impl Stack {
    /// Stacks cells, each reading the output of the one before; states start at zero.
    ///
    /// # Errors
    /// [`Error::Empty`] without cells; [`Error::Length`] if a cell's input width is not the width of the cell below;
    /// [`Error::WrongInput`] if a layer above the first reads tokens.
    pub fn new(cells: impl IntoIterator<Item = Layers>) -> Result<Self, Error> {
        Ok(Stack { layers: Layers::stacked(cells.into_iter().flat_map(|cell| cell.layers).collect())? })
    }

    /// One step: from `x` `[I]` to `h` `[H]` of the last layer. Allocates nothing.
    ///
    /// # Panics
    /// If `x` does not have the input's width, or the first layer reads tokens.
    pub fn step(&mut self, x: &[f32]) -> &[f32] {
        self.layers.step(Input::Dense(x))
    }

    /// One step from a token.
    ///
    /// # Panics
    /// If the token is outside the vocabulary, or the first layer reads vectors.
    pub fn step_token(&mut self, token: u32) -> &[f32] {
        self.layers.step(Input::Tokens(&[token]))
    }

    /// `h` `[H]` of a layer, if it exists.
    pub fn hidden(&self, layer: usize) -> Option<&[f32]> {
        self.layers.hidden(layer)
    }

    /// Sets all states to zero.
    pub fn reset(&mut self) {
        self.layers.reset();
    }

    /// The states, layer after layer: each `h` `[H]` and, of an LSTM, `c` `[H]`.
    pub fn state(&self) -> &[f32] {
        self.layers.state()
    }

    /// Restores a state that [`Self::state`] returned.
    ///
    /// # Panics
    /// If it has a different length.
    pub fn set_state(&mut self, state: &[f32]) {
        self.layers.set_state(state);
    }
}

impl From<Stack> for Layers {
    fn from(stack: Stack) -> Self {
        stack.layers
    }
}
