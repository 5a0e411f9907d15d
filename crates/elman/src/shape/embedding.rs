//! The token embedding of encoders and decoders, which may be tied to the output.

use elman_kernels::{Scalar, rows};

use crate::param::{Grads, Init, Layout, Params, Slot};
use crate::rng::Rng;

/// A matrix `[V, E]`.
///
/// One tied to the output is initialised small, with standard deviation `1 / sqrt(E)`, and scaled to unit variance at
/// the input (Vaswani et al. 2017).
#[derive(Clone, Copy, Debug)]
pub(super) struct Embedding {
    pub(super) slot: Slot,
    width: usize,
    tied: bool,
}

impl Embedding {
    /// Adds the matrix as `name`.
    pub(super) fn add(layout: &mut Layout, name: &str, vocab: usize, width: usize, tied: bool) -> Self {
        Embedding { slot: layout.add(name, &[vocab, width]), width, tied }
    }

    fn scale<F: Scalar>(&self) -> F {
        if self.tied { F::from_f64((self.width as f64).sqrt()) } else { F::ONE }
    }

    /// Initialises the vectors.
    pub(super) fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        let std = if self.tied { 1.0 / (self.width as f64).sqrt() } else { 1.0 };
        let init = if let Init::Uniform(_) | Init::Normal(_) = init { init } else { Init::Normal(std) };
        init.fill(self.slot.of_mut(params), self.width, false, rng);
    }

    /// Scales the matrix, once per optimizer step.
    pub(super) fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut Vec<F>) {
        let scale = self.scale();
        prepared.clear();
        prepared.extend(self.slot.of(params).iter().map(|&x| x * scale));
    }

    /// The vectors of `tokens` `[N]` to `x` `[N, E]`.
    pub(super) fn forward<F: Scalar>(&self, prepared: &[F], tokens: &[u32], x: &mut Vec<F>) {
        x.resize(tokens.len() * self.width, F::ZERO);
        rows::gather(prepared, self.width, tokens, x, self.width);
    }

    /// From `dx` `[N, E]`, which is consumed: adds to the gradient of the vectors.
    pub(super) fn backward<F: Scalar>(&self, tokens: &[u32], dx: &mut [F], grads: &mut Grads<F>) {
        let scale = self.scale();
        dx.iter_mut().for_each(|dx| *dx *= scale);
        rows::scatter_add(dx, self.width, tokens, self.slot.of_mut(grads), self.width);
    }
}
