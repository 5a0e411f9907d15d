//! A learned vector for each token, with dropout of single values, optionally with one mask for all tokens of a
//! sequence ("locked", Gal & Ghahramani 2016).

use elman_kernels::{Scalar, rows};

use crate::cell::Steps;
use crate::param::{Grads, Layout, Params, Slot};
use crate::rng::Rng;

/// Vectors `[V, E]`.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// The matrix.
    pub slot: Slot,
    /// `V`.
    pub vocab: usize,
    /// `E`.
    pub width: usize,
    /// Dropout probability.
    pub dropout: f64,
    /// Whether all steps of a sequence share one mask.
    pub locked: bool,
}

/// The vectors of a block and their masks.
#[derive(Clone, Default)]
pub struct EmbeddingTape<F> {
    /// `[N, E]`.
    pub x: Vec<F>,
    mask: Vec<F>,
    /// The locked mask `[B, E]`.
    locked: Vec<F>,
}

impl Embedding {
    /// Adds `{prefix}weight`.
    pub fn add(layout: &mut Layout, prefix: &str, vocab: usize, width: usize, dropout: f64, locked: bool) -> Self {
        Embedding { slot: layout.add(format!("{prefix}weight"), &[vocab, width]), vocab, width, dropout, locked }
    }

    /// Initialises the vectors: normal with standard deviation `std`.
    pub fn init<F: Scalar>(&self, std: f64, params: &mut Params<F>, rng: &mut Rng) {
        self.slot.of_mut(params).fill_with(|| F::from_f64(std * rng.normal()));
    }

    /// The vectors of `tokens` `[N]` into `tape.x`. With a random stream, dropout is on.
    pub fn forward<F: Scalar>(
        &self,
        params: &Params<F>,
        tokens: &[u32],
        steps: &Steps,
        tape: &mut EmbeddingTape<F>,
        dropout: Option<&mut Rng>,
    ) {
        tape.x.resize(tokens.len() * self.width, F::ZERO);
        rows::gather(self.slot.of(params), self.width, tokens, &mut tape.x, self.width);
        let Some(rng) = dropout.filter(|_| self.dropout > 0.0) else { return tape.mask.clear() };
        let keep = F::from_f64(1.0 / (1.0 - self.dropout));
        let threshold = (self.dropout * f64::from(u32::MAX)) as u32;
        let mut words = [0; Rng::AT_ONCE];
        let mut draw = |mask: &mut Vec<F>, len: usize| {
            mask.resize(len, F::ZERO);
            for part in mask.chunks_mut(Rng::AT_ONCE) {
                let words = &mut words[..part.len()];
                rng.fill(words);
                let value = |&word: &u32| if word < threshold { F::ZERO } else { keep };
                part.iter_mut().zip(&*words).for_each(|(mask, word)| *mask = value(word));
            }
        };
        if self.locked {
            draw(&mut tape.locked, steps.batch() * self.width);
            tape.mask.clear();
            for t in 0..steps.len() {
                tape.mask.extend_from_slice(&tape.locked[..steps.active(t) * self.width]);
            }
        } else {
            draw(&mut tape.mask, tape.x.len());
        }
        rows::multiply(&tape.mask, &mut tape.x);
    }

    /// From `dx` `[N, E]`, which is consumed: adds to the gradient of the vectors.
    pub fn backward<F: Scalar>(&self, tokens: &[u32], tape: &EmbeddingTape<F>, dx: &mut [F], grads: &mut Grads<F>) {
        if !tape.mask.is_empty() {
            rows::multiply(&tape.mask, dx);
        }
        rows::scatter_add(dx, self.width, tokens, self.slot.of_mut(grads), self.width);
    }
}
