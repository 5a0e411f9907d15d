//! From logits to symbols. Knows no network: takes logits, gives tokens.

mod sample;

pub use sample::{Sampler, SamplerConfig, StopString};
