//! From logits to symbols. Knows no network: takes logits or log-probabilities, gives tokens.

mod beam;
mod sample;

pub use beam::{BeamConfig, Ensemble, Hypothesis, Query, StepModel, Symbols, beam_search};
pub use sample::{Sampler, SamplerConfig, StopString};
