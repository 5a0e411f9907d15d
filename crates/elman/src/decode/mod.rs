//! From logits to tokens, independent of any network.

mod beam;
mod sample;
mod step_model;

pub use beam::{BeamConfig, Ensemble, Hypothesis, Query, SpecialTokens, beam_search};
pub use sample::{Sampler, SamplerConfig, StopString};
pub use step_model::{Likely, StepModel};
