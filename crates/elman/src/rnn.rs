//! The blog's object: `y = rnn.step(x)`, and the same object trained, saved and loaded.
//!
//! [`Rnn`], [`Gru`] and [`Lstm`] are one recurrent layer with a linear output; [`Stack`] is any number of
//! layers of any cell. Each owns its weights and the state of one sequence. A step is elman-step's: it
//! allocates nothing, and a saved model steps bit-identically; gradients are those of
//! [`shape::Synced`](crate::shape::Synced).

mod single;
mod stack;

pub use elman_kernels::softmax::IGNORE;
pub use single::{Gru, Lstm, Rnn};
pub use stack::Stack;
