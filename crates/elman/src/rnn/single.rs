//! One layer of a given cell: a [`Stack`] of one.

use std::path::Path;

use elman_step::CellKind;

use super::stack::Stack;
use crate::error::{Error, Result};
use crate::param::{Grads, Init, Params};
use crate::shape::SyncedConfig;

/// Defines the type of a cell: the methods of [`Stack`], with constructors for one layer.
macro_rules! single {
    ($(#[$doc:meta])* $name:ident, $cell:expr, $is:pat, $state:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            stack: Stack,
        }

        impl $name {
            /// Reads vectors `[inputs]` and outputs `[outputs]`. The state is zero; weights are random, uniform
            /// within `1 / sqrt(hidden)`, and the same for the same `seed`.
            ///
            /// # Errors
            /// [`Error::Usage`] if a size is 0 or their product too large.
            pub fn new(inputs: usize, hidden: usize, outputs: usize, seed: u64) -> Result<Self> {
                Ok($name { stack: Stack::new($cell, inputs, hidden, 1, outputs, seed)? })
            }

            /// As [`Self::new`], for tokens: reads one of `vocab` tokens as a one-hot vector and outputs logits
            /// `[vocab]`.
            ///
            /// # Errors
            /// As [`Self::new`].
            pub fn tokens(vocab: usize, hidden: usize, seed: u64) -> Result<Self> {
                Ok($name { stack: Stack::tokens($cell, vocab, hidden, 1, seed)? })
            }

            /// One step: from `x` `[inputs]` to the outputs `[outputs]`; the state advances. Allocates nothing, except
            /// the first time after the weights were changed.
            ///
            /// # Errors
            /// As [`Stack::step`].
            pub fn step(&mut self, x: &[f32]) -> Result<&[f32]> {
                self.stack.step(x)
            }

            /// One step from a token; returns the logits `[vocab]`.
            ///
            /// # Errors
            /// As [`Stack::step_token`].
            pub fn step_token(&mut self, token: u32) -> Result<&[f32]> {
                self.stack.step_token(token)
            }

            /// Sets the state to zero, as before the first step.
            pub fn reset(&mut self) {
                self.stack.reset();
            }

            #[doc = concat!("The state: ", $state, ".")]
            pub fn state(&self) -> &[f32] {
                self.stack.state()
            }

            /// Restores a state that [`Self::state`] returned.
            ///
            /// # Errors
            /// [`Error::Usage`] if it has a different length.
            pub fn set_state(&mut self, state: &[f32]) -> Result<()> {
                self.stack.set_state(state)
            }

            /// The hidden state `h` `[hidden]` of layer 0, the only one; `None` for any other.
            pub fn hidden(&self, layer: usize) -> Option<&[f32]> {
                self.stack.hidden(layer)
            }

            /// The weights, by the names they have in files; see [`Stack::params`].
            pub fn params(&self) -> &Params<f32> {
                self.stack.params()
            }

            /// The weights, mutable. The next step repacks them.
            pub fn params_mut(&mut self) -> &mut Params<f32> {
                self.stack.params_mut()
            }

            /// Reinitialises the weights; the state is unchanged.
            pub fn init(&mut self, init: Init, seed: u64) {
                self.stack.init(init, seed);
            }

            /// Its configuration.
            pub fn config(&self) -> &SyncedConfig {
                self.stack.config()
            }

            /// The blog's `lossFun` over vectors `[T, inputs]` and classes `[T]`: the loss in nats summed over the
            /// steps, and its gradients; the state advances. See [`Stack::loss_and_grad`].
            ///
            /// # Errors
            /// As [`Stack::loss_and_grad`].
            pub fn loss_and_grad(&mut self, inputs: &[f32], targets: &[u32]) -> Result<(f64, Grads<f32>)> {
                self.stack.loss_and_grad(inputs, targets)
            }

            /// The blog's `lossFun` over tokens `[T]` and next tokens `[T]`; see [`Stack::loss_and_grad_tokens`].
            ///
            /// # Errors
            /// As [`Stack::loss_and_grad_tokens`].
            pub fn loss_and_grad_tokens(&mut self, tokens: &[u32], targets: &[u32]) -> Result<(f64, Grads<f32>)> {
                self.stack.loss_and_grad_tokens(tokens, targets)
            }

            /// Writes a model file; see [`Stack::save`].
            ///
            /// # Errors
            /// As [`Stack::save`].
            pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
                self.stack.save(path)
            }

            /// Reads a model file of one layer of this cell; the state is zero.
            ///
            /// # Errors
            /// As [`Stack::load`], and [`Error::Model`] if it has a different cell or more layers.
            pub fn load(path: impl AsRef<Path>) -> Result<Self> {
                let path = path.as_ref();
                let stack = Stack::load(path)?;
                let (cell, layers) = (stack.config().cell, stack.config().layers);
                if layers == 1 && matches!(cell, $is) {
                    return Ok($name { stack });
                }
                let is = if layers == 1 { "a layer".into() } else { format!("{layers} layers") };
                let reason = format!("holds {is} of {}; `Stack::load` reads any cell and number of layers", cell.name());
                Err(Error::Model { path: path.into(), reason })
            }
        }

        impl From<$name> for Stack {
            fn from(single: $name) -> Stack {
                single.stack
            }
        }
    };
}

single!(
    /// Elman's simple recurrent network, the blog's `rnn`: `h = tanh(W_xh x + W_hh h + b)`, `y = W_hy h + b_y`.
    ///
    /// ```
    /// use elman::Rnn;
    ///
    /// let mut rnn1 = Rnn::new(3, 16, 8, 1)?;
    /// let mut rnn2 = Rnn::new(8, 16, 2, 2)?;
    /// let x = [0.5, -1.0, 0.0];
    /// let y = rnn2.step(rnn1.step(&x)?)?;
    /// assert_eq!(y.len(), 2);
    /// # Ok::<(), elman::Error>(())
    /// ```
    Rnn, CellKind::RnnTanh, CellKind::RnnTanh | CellKind::RnnRelu, "`h` `[hidden]`"
);

single!(
    /// A gated recurrent unit (Cho et al. 2014, in PyTorch's form) with a linear output, `y = W_hy h + b_y`.
    Gru, CellKind::Gru, CellKind::Gru | CellKind::GruResetBefore, "`h` `[hidden]`"
);

single!(
    /// A long short-term memory (Hochreiter & Schmidhuber 1997) with a linear output, `y = W_hy h + b_y`.
    Lstm, CellKind::Lstm, CellKind::Lstm | CellKind::LstmPeephole, "`h` `[hidden]`, then `c` `[hidden]`"
);
