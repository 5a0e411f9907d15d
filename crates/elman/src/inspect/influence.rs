//! How much each earlier token moved a prediction: the gradient of one token's loss with respect to every token before it,
//! by backpropagation through time, and the gates on the way.

use elman_kernels::softmax;
use elman_step::InputKind;

use crate::cell::{CellKind, Input, Source, Steps};
use crate::error::{Error, Result};
use crate::layer::{Linear, LinearPrepared, Stack, StackConfig, StackPrepared, StackState, StackTape};
use crate::param::{Grads, Layout, Params};
use crate::shape::Synced;

/// A network that reads tokens, as one that reads the vectors which stand for them, so that there is a gradient for each.
pub struct Influence {
    stack: Stack,
    output: Linear,
    params: Params<f32>,
    prepared: StackPrepared<f32>,
    output_prepared: LinearPrepared<f32>,
    /// `[V, E]`; none where tokens are one-hot.
    embedding: Option<Vec<f32>>,
    vocab: usize,
    width: usize,
    tape: StackTape<f32>,
    /// Added to by backward, and not looked at.
    grads: Grads<f32>,
}

/// The activated gates of a layer along a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// `r`, `z`, `n` of a GRU; `i`, `f`, `g`, `o` of an LSTM.
    pub name: &'static str,
    /// `[T, H]`.
    pub values: Vec<f32>,
}

impl Influence {
    /// Of a language model.
    ///
    /// # Errors
    /// [`Error::Usage`] if it does not read tokens, or reads in both directions.
    pub fn new(network: &Synced, params: &Params<f32>) -> Result<Influence> {
        let config = network.config();
        let InputKind::Tokens(vocab) = config.feed else {
            return Err(Error::Usage("the network reads vectors, not tokens".into()));
        };
        if config.bidirectional {
            return Err(Error::Usage("the network reads in both directions: what is later moves it too".into()));
        }
        let embedding = params.get("embedding.weight").map(<[f32]>::to_vec);
        let width = if embedding.is_some() { config.embedding } else { vocab };
        let mut layout = Layout::new();
        let stack = StackConfig {
            cell: config.cell,
            source: Source::Dense(width),
            hidden: config.hidden,
            layers: config.layers,
            bidirectional: false,
            dropout: 0.0,
            locked: false,
        };
        let stack = Stack::add(&mut layout, "rnn.", stack)?;
        let output = Linear::add(&mut layout, "output.", config.hidden, config.classes, None);
        let layout = std::sync::Arc::new(layout);
        let mut own = Params::zeros(&layout);
        for tensor in layout.tensors() {
            let tied = (config.tied && tensor.name == "output.weight").then_some(embedding.as_deref()).flatten();
            let values =
                tied.or_else(|| params.get(&tensor.name)).filter(|values| values.len() == tensor.slot.range().len());
            let values = values.ok_or_else(|| Error::Usage(format!("the network has no {}", tensor.name)))?;
            tensor.slot.of_mut(&mut own).copy_from_slice(values);
        }
        let (mut prepared, mut output_prepared) = (StackPrepared::default(), LinearPrepared::default());
        stack.prepare(&own, &mut prepared);
        output.prepare(&own, &mut output_prepared);
        let (tape, grads) = (StackTape::default(), Params::zeros(&layout));
        Ok(Influence { stack, output, params: own, prepared, output_prepared, embedding, vocab, width, tape, grads })
    }

    /// The vectors `[T, E]` that stand for tokens.
    fn vectors(&self, tokens: &[u32]) -> Result<Vec<f32>> {
        if let Some(&token) = tokens.iter().find(|&&token| token as usize >= self.vocab) {
            return Err(Error::Usage(format!("token {token} is not in a vocabulary of {}", self.vocab)));
        }
        let mut x = vec![0.0; tokens.len() * self.width];
        for (x, &token) in x.chunks_exact_mut(self.width).zip(tokens) {
            match &self.embedding {
                Some(embedding) => x.copy_from_slice(&embedding[token as usize * self.width..][..self.width]),
                None => x[token as usize] = 1.0,
            }
        }
        Ok(x)
    }

    fn forward(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let x = self.vectors(tokens)?;
        let mut state = self.stack.zero_state(1);
        let steps = Steps::equal(tokens.len(), 1);
        self.stack.forward(&self.prepared, Input::Dense(&x), &steps, &mut state, &mut self.tape, None);
        Ok(x)
    }

    /// The gradient of the loss of `target` after `tokens`, read from the zero state, with respect to the vector of each of
    /// them: its length, for each token.
    ///
    /// # Errors
    /// [`Error::Usage`] for no token, or one that is not in the vocabulary.
    pub fn of(&mut self, tokens: &[u32], target: u32) -> Result<Vec<f32>> {
        let gradient = self.gradient(tokens, target)?;
        let length = |dx: &[f32]| dx.iter().map(|d| d * d).sum::<f32>().sqrt();
        Ok(gradient.chunks_exact(self.width).map(length).collect())
    }

    /// That gradient, `[T, E]`.
    fn gradient(&mut self, tokens: &[u32], target: u32) -> Result<Vec<f32>> {
        if tokens.is_empty() || target as usize >= self.vocab {
            return Err(Error::Usage("it takes a token, and a target that the network knows".into()));
        }
        let x = self.forward(tokens)?;
        let hidden = self.stack.output_width();
        let mut dy = vec![0.0; tokens.len() * hidden];
        let last = (tokens.len() - 1) * hidden;
        let h = self.tape.output()[last..].to_vec();
        let mut logits = vec![0.0; self.output.outputs];
        self.output.forward(&self.output_prepared, &h, &mut logits);
        // The logits become their gradient.
        softmax::cross_entropy_backward(&mut logits, &[target], 1.0);
        let weight = self.output.weight.of(&self.params);
        for (row, &dlogit) in weight.chunks_exact(hidden).zip(&logits) {
            dy[last..].iter_mut().zip(row).for_each(|(dy, w)| *dy += dlogit * w);
        }
        let mut dx = vec![0.0; x.len()];
        let mut dstate: StackState<f32> = self.stack.zero_state(1);
        let Influence { stack, params, prepared, tape, grads, .. } = self;
        let steps = Steps::equal(tokens.len(), 1);
        stack.backward(params, prepared, Input::Dense(&x), &steps, tape, &dy, &mut dstate, grads, Some(&mut dx));
        Ok(dx)
    }

    /// The gates of a layer after each token, read from the zero state; none of a simple network, which has no gates.
    ///
    /// # Errors
    /// [`Error::Usage`] for a token that is not in the vocabulary, or a layer that there is not.
    pub fn gates(&mut self, tokens: &[u32], layer: usize) -> Result<Vec<Gate>> {
        let config = *self.stack.config();
        if layer >= config.layers {
            return Err(Error::Usage(format!("the network has {} layers, counted from 0", config.layers)));
        }
        self.forward(tokens)?;
        let names: &[&str] = match config.cell {
            CellKind::Lstm | CellKind::LstmPeephole => &["i", "f", "g", "o"],
            CellKind::Gru | CellKind::GruResetBefore => &["r", "z", "n"],
            CellKind::RnnTanh | CellKind::RnnRelu => &[],
        };
        let tape = &self.tape.cells()[layer];
        let values = |gate: usize| (0..tokens.len()).flat_map(|t| tape.gate(t, gate)).copied().collect();
        Ok(names.iter().enumerate().map(|(gate, name)| Gate { name, values: values(gate) }).collect())
    }
}

impl std::fmt::Debug for Influence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Influence").field("stack", self.stack.config()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::param::Init;
    use crate::rng::Rng;
    use crate::shape::{Shape, SyncedConfig};

    fn network(cell: CellKind, embedding: usize, tied: bool) -> (Synced, Params<f32>) {
        let config = SyncedConfig { layers: 2, embedding, tied, ..SyncedConfig::language_model(cell, 6, 5) };
        let network = Synced::new(config).unwrap();
        let params = network.init(Init::Uniform(0.7), &mut Rng::new(1, "weights"));
        (network, params)
    }

    const TOKENS: [u32; 7] = [0, 3, 1, 4, 4, 2, 1];

    #[test]
    fn gradients_equal_central_differences_of_the_loss() {
        for (cell, embedding, tied) in
            [(CellKind::RnnTanh, 0, false), (CellKind::Gru, 4, false), (CellKind::Lstm, 6, true)]
        {
            let (network, params) = network(cell, embedding, tied);
            let mut influence = Influence::new(&network, &params).unwrap();
            let gradient = influence.gradient(&TOKENS, 3).unwrap();
            let width = influence.width;
            let x = influence.vectors(&TOKENS).unwrap();
            let steps = Steps::equal(TOKENS.len(), 1);
            let loss = |x: &[f32]| {
                let (mut state, mut tape) = (influence.stack.zero_state(1), StackTape::default());
                influence.stack.forward(&influence.prepared, Input::Dense(x), &steps, &mut state, &mut tape, None);
                let mut logits = vec![0.0f32; 5];
                let last = &tape.output()[(TOKENS.len() - 1) * 6..];
                influence.output.forward(&influence.output_prepared, last, &mut logits);
                softmax::cross_entropy(&logits, &[3])
            };
            for i in 0..x.len() {
                let at = |by: f32| {
                    let mut moved = x.clone();
                    moved[i] += by;
                    loss(&moved)
                };
                let numeric = (at(0.01) - at(-0.01)) / 0.02;
                let exact = f64::from(gradient[i]);
                assert!((numeric - exact).abs() < 2e-4, "{cell:?} {i}: {exact}, by differences {numeric}");
            }
            let lengths = influence.of(&TOKENS, 3).unwrap();
            assert!(lengths.len() == TOKENS.len() && lengths.iter().all(|&length| length > 0.0));
            assert_eq!(gradient.len(), TOKENS.len() * width);
        }
    }

    #[test]
    fn gates_are_within_their_range_and_give_the_state_that_the_network_has() {
        let (network, params) = network(CellKind::Gru, 0, false);
        let mut influence = Influence::new(&network, &params).unwrap();
        let gates = influence.gates(&TOKENS, 1).unwrap();
        assert_eq!(gates.iter().map(|gate| gate.name).collect::<Vec<_>>(), ["r", "z", "n"]);
        let (z, n) = (&gates[1].values, &gates[2].values);
        assert!(z.iter().all(|z| (0.0..=1.0).contains(z)) && n.iter().all(|n| n.abs() <= 1.0));
        let h = influence.tape.output();
        for at in 0..h.len() {
            let before = if at < 6 { 0.0 } else { h[at - 6] };
            assert!((h[at] - ((1.0 - z[at]) * n[at] + z[at] * before)).abs() < 1e-6, "{at}");
        }
        let (simple, params) = self::network(CellKind::RnnTanh, 0, false);
        assert_eq!(Influence::new(&simple, &params).unwrap().gates(&TOKENS, 0).unwrap(), []);
        assert!(influence.gates(&TOKENS, 2).is_err() && influence.gates(&[7], 0).is_err());
        assert!(influence.of(&[], 1).is_err() && influence.of(&[1], 9).is_err());
        let _ = Shape::<f32>::layout(&network);
    }
}
