//! From logits to symbols. Knows no network: takes logits or log-probabilities, gives tokens.

mod beam;
mod sample;
mod step_model;

pub use beam::{BeamConfig, Ensemble, Hypothesis, Query, Symbols, beam_search};
pub use sample::{Sampler, SamplerConfig, StopString};
pub use step_model::{Likely, StepModel};
