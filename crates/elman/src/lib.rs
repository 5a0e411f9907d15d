//! Elman: recurrent networks trained and run on a CPU.
//!
//! A recurrent network is an object with a state: it reads a vector, changes the state and answers with a vector.
//!
//! ```
//! use elman::Rnn;
//!
//! let mut rnn = Rnn::new(3, 100, 8, 1)?; // 3 inputs, 100 hidden units, 8 outputs, seed 1
//! let x = [1.0, 0.0, -0.5];
//! let y = rnn.step(&x)?; // h = tanh(W_xh x + W_hh h + b_h); y = W_hy h + b_y
//! # assert_eq!(y.len(), 8);
//!
//! // And so networks stand one above the other.
//! let mut rnn1 = Rnn::new(3, 100, 8, 1)?;
//! let mut rnn2 = Rnn::new(8, 100, 2, 2)?;
//! let y = rnn2.step(rnn1.step(&x)?)?;
//! # assert_eq!(y.len(), 2);
//! # Ok::<(), elman::Error>(())
//! ```
//!
//! [`Gru`] and [`Lstm`] are used in the same way, and [`Stack`] is any number of layers of any cell. The same object is
//! trained: [`Stack::loss_and_grad`] is backpropagation through time over a sequence, and an
//! [`Optimizer`](optim::Optimizer) takes it from gradients to the next weights.
//!
//! ```
//! use elman::Rnn;
//! use elman::optim::{Optimizer, OptimizerConfig};
//!
//! // h e l l o: after each letter the next, of the letters h, e, l, o.
//! let (letters, next) = ([0, 1, 2, 2], [1, 2, 2, 3]);
//! let mut rnn = Rnn::tokens(4, 16, 1)?;
//! let mut adam = Optimizer::new(OptimizerConfig::default(), rnn.params().layout());
//! for _ in 0..100 {
//!     rnn.reset();
//!     let (loss_nats, grads) = rnn.loss_and_grad_tokens(&letters, &next)?;
//!     adam.update(rnn.params_mut(), &grads, 0.03, 1.0);
//!     # let _ = loss_nats;
//! }
//! rnn.reset();
//! let logits = rnn.step_token(0)?;
//! assert!(logits[1] > logits[0] && logits[1] > logits[2] && logits[1] > logits[3]);
//! # Ok::<(), elman::Error>(())
//! ```
//!
//! [`Stack::save`] and [`Stack::load`] write and read a model file.
//!
//! A task trains from files as the command `elman train` does: this reads a text, trains a language model and lets it write.
//!
//! ```
//! use elman::task::Sample;
//! use elman::Settings;
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let (text, run_folder) = (folder.path().join("book.txt"), folder.path().join("run"));
//! # std::fs::write(&text, "the quick brown fox jumps over the lazy dog\n".repeat(60)).unwrap();
//! let mut settings = Settings::for_task("language-model")?;
//! settings.file = text.display().to_string();
//! settings.hidden = 32;
//! settings.max_steps = 30;
//! # (settings.batch, settings.seq_len, settings.epochs, settings.threads) = (4, 16, 0.0, 1);
//! let run = elman::train(settings, &run_folder)?;
//! let text = run.model.sample("the ", &Sample { length: 40, ..Sample::default() })?;
//! assert_eq!(text.chars().count(), 40);
//! # Ok::<(), elman::Error>(())
//! ```
//!
//! Any model file opens in the same way, whatever its task, and says what it reads and predicts:
//!
//! ```no_run
//! use elman::task::{Input, Output, Predict, most_likely};
//!
//! let model = elman::open("runs/reviews-1")?; // a model file, or a run's folder for its best model
//! let texts = ["a warm, funny film", "two hours I want back"];
//! for prediction in model.predict(Input::Texts(&texts), &Predict::default())? {
//!     if let Output::Class { probabilities, .. } = &prediction.output {
//!         println!("{}: {}", prediction.input, model.labels()[most_likely(probabilities)]);
//!     }
//! }
//! # Ok::<(), elman::Error>(())
//! ```
//!
//! Where there is no `std`, the crate [`elman_step`] runs models one step at a time.
pub mod cell;
#[cfg(feature = "convert")]
pub mod convert;
pub mod data;
pub mod decode;
pub mod error;
pub mod file;
pub mod format;
pub mod inspect;
pub mod layer;
pub mod metric;
pub mod optim;
pub mod param;
pub mod rng;
pub mod rnn;
pub mod settings;
pub mod shape;
pub mod task;
pub mod train;
pub mod tune;

#[cfg(feature = "convert")]
pub use convert::import;
pub use elman_step as step;
pub use error::{Error, Result};
pub use rnn::{Gru, Lstm, Rnn, Stack};
pub use settings::Settings;
pub use task::{Model, open, resume, train};
