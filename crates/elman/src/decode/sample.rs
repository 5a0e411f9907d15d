//! Sampling of the next token.
//!
//! The filters act in this order: temperature, top-k, top-p (Holtzman et al. 2020), min-p; then one token is drawn from
//! the rest, renormalised. Ties: the lower token first.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Sampling settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SamplerConfig {
    /// Divides the logits; 0 always takes the most likely token.
    pub temperature: f64,
    /// Only the k most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only the most likely tokens that together have this probability; 1 for all.
    pub top_p: f64,
    /// Only tokens at least this many times as likely as the most likely one; 0 for all.
    pub min_p: f64,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        SamplerConfig { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl SamplerConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn validate(&self) -> Result<()> {
        let SamplerConfig { temperature, top_p, min_p, .. } = *self;
        let (key, value, requirement) = if !temperature.is_finite() || temperature < 0.0 {
            ("temperature", temperature, "must be a number from 0 (always the most likely token) upwards")
        } else if !(top_p > 0.0 && top_p <= 1.0) {
            ("top_p", top_p, "must be a probability above 0, at most 1")
        } else if !(0.0..=1.0).contains(&min_p) {
            ("min_p", min_p, "must be a ratio from 0 to 1")
        } else {
            return Ok(());
        };
        Err(Error::setting(key, value, requirement))
    }
}

/// Samples tokens; reuses its memory.
///
/// ```
/// use elman::decode::{Sampler, SamplerConfig};
///
/// let logits = [0.1, 2.0, -1.0];
/// let mut greedy = Sampler::new(SamplerConfig { temperature: 0.0, ..SamplerConfig::default() })?;
/// assert_eq!(greedy.pick(&logits, 0.5)?, 1);
/// let mut of_two = Sampler::new(SamplerConfig { top_k: 2, ..SamplerConfig::default() })?;
/// assert_ne!(of_two.pick(&logits, 0.999)?, 2, "the least likely token is cut off");
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    config: SamplerConfig,
    /// `(probability, token)`.
    candidates: Vec<(f64, u32)>,
}

impl Sampler {
    /// A sampler with these settings.
    ///
    /// # Errors
    /// An invalid setting.
    pub fn new(config: SamplerConfig) -> Result<Self> {
        config.validate()?;
        Ok(Sampler { config, candidates: Vec::new() })
    }

    /// Samples from `logits` `[V]` with a uniform `u` in `[0, 1)`.
    ///
    /// # Errors
    /// If a logit is NaN or there are none.
    pub fn pick(&mut self, logits: &[f32], u: f64) -> Result<u32> {
        let max = logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
        if logits.iter().any(|x| x.is_nan()) || max == f32::NEG_INFINITY || max == f32::INFINITY {
            return Err(Error::Usage("the model's outputs are not finite; did its training diverge?".into()));
        }
        let best = logits.iter().position(|&x| x == max).unwrap_or(0);
        if self.config.temperature == 0.0 {
            return Ok(best as u32);
        }
        let weight = |x: f32| (f64::from(x - max) / self.config.temperature).exp();
        self.candidates.clear();
        self.candidates.extend(logits.iter().zip(0..).map(|(&x, token)| (weight(x), token)));
        self.filter();
        let total: f64 = self.candidates.iter().map(|c| c.0).sum();
        let mut left = u * total;
        for &(p, token) in &self.candidates {
            left -= p;
            if left < 0.0 {
                return Ok(token);
            }
        }
        // Rounding may leave a remainder past the last one.
        Ok(self.candidates.last().map_or(best as u32, |c| c.1))
    }

    fn filter(&mut self) {
        let SamplerConfig { top_k, top_p, min_p, .. } = self.config;
        if (top_k == 0 || top_k >= self.candidates.len()) && top_p >= 1.0 && min_p <= 0.0 {
            return;
        }
        self.candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        if top_k > 0 {
            self.candidates.truncate(top_k);
        }
        if top_p < 1.0 {
            let total: f64 = self.candidates.iter().map(|c| c.0).sum();
            let mut sum = 0.0;
            let reached = self.candidates.iter().position(|c| {
                sum += c.0;
                sum >= top_p * total
            });
            self.candidates.truncate(reached.map_or(self.candidates.len(), |i| i + 1));
        }
        let least = min_p * self.candidates.first().map_or(0.0, |c| c.0);
        self.candidates.retain(|c| c.0 >= least);
    }
}

/// Ends a text before a stop string, which may span several pieces of output.
#[derive(Clone, Debug, Default)]
pub struct StopString {
    stop: String,
    held: String,
}

impl StopString {
    /// Stops before `stop`; never, if that is empty.
    pub fn new(stop: &str) -> Self {
        StopString { stop: stop.into(), held: String::new() }
    }

    /// Takes a piece of text; returns what may be shown and whether the stop string was found. A possible prefix of it
    /// is held back.
    pub fn push(&mut self, piece: &str) -> (String, bool) {
        if self.stop.is_empty() {
            return (piece.into(), false);
        }
        self.held.push_str(piece);
        if let Some(at) = self.held.find(&self.stop) {
            let text = self.held[..at].to_string();
            self.held.clear();
            return (text, true);
        }
        let may_begin = |at: usize| self.stop.starts_with(&self.held[at..]);
        let keep = self.held.char_indices().map(|(at, _)| at).find(|&at| may_begin(at));
        let held = self.held.split_off(keep.unwrap_or(self.held.len()));
        (std::mem::replace(&mut self.held, held), false)
    }

    /// The text held back, once the text has ended otherwise.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(config: SamplerConfig, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(config).unwrap();
        let mut kept: Vec<u32> = (0..1000).map(|i| sampler.pick(logits, f64::from(i) / 1000.0).unwrap()).collect();
        kept.sort_unstable();
        kept.dedup();
        kept
    }

    #[test]
    fn tokens_are_sampled_by_their_probabilities() {
        let mut sampler = Sampler::new(SamplerConfig::default()).unwrap();
        let logits = [0.1f32.ln(), 0.6f32.ln(), 0.3f32.ln()];
        let mut counts = [0; 3];
        (0..1000).for_each(|i| counts[sampler.pick(&logits, (f64::from(i) + 0.5) / 1000.0).unwrap() as usize] += 1);
        assert_eq!(counts, [100, 600, 300]);
        let cold = SamplerConfig { temperature: 0.5, ..SamplerConfig::default() };
        let mut sampler = Sampler::new(cold).unwrap();
        let mut first = 0;
        (0..1000).for_each(|i| first += u32::from(sampler.pick(&logits, (f64::from(i) + 0.5) / 1000.0).unwrap() == 1));
        assert_eq!(first, 782); // 0.36 / (0.01 + 0.36 + 0.09) = 0.7826
    }

    #[test]
    fn filters_keep_the_right_tokens() {
        let logits = [0.05f32.ln(), 0.5f32.ln(), 0.25f32.ln(), 0.2f32.ln()];
        let config = SamplerConfig::default();
        assert_eq!(kept(SamplerConfig { top_k: 2, ..config }, &logits), [1, 2]);
        assert_eq!(kept(SamplerConfig { top_p: 0.7, ..config }, &logits), [1, 2]);
        assert_eq!(kept(SamplerConfig { top_p: 0.8, ..config }, &logits), [1, 2, 3]);
        assert_eq!(kept(SamplerConfig { min_p: 0.45, ..config }, &logits), [1, 2]);
        assert_eq!(kept(SamplerConfig { temperature: 0.0, ..config }, &logits), [1]);
        assert_eq!(kept(SamplerConfig { top_k: 1, ..config }, &[1.0, 1.0, 1.0]), [0]);
        assert_eq!(kept(config, &[f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY]), [1]);
    }

    #[test]
    fn invalid_settings_and_damaged_logits_are_refused() {
        let config = SamplerConfig::default();
        for bad in [
            SamplerConfig { temperature: -1.0, ..config },
            SamplerConfig { temperature: f64::NAN, ..config },
            SamplerConfig { top_p: 0.0, ..config },
            SamplerConfig { min_p: 1.5, ..config },
        ] {
            assert!(Sampler::new(bad).is_err(), "{bad:?}");
        }
        assert!(Sampler::new(config).unwrap().pick(&[0.0, f32::NAN], 0.5).is_err());
        assert!(Sampler::new(config).unwrap().pick(&[], 0.5).is_err());
    }

    #[test]
    fn a_stop_string_is_found_across_pieces_and_never_shown() {
        let mut stop = StopString::new("\n\n");
        assert_eq!(stop.push("one\n"), ("one".into(), false));
        assert_eq!(stop.push("two\n"), ("\ntwo".into(), false));
        assert_eq!(stop.push("\nthree"), (String::new(), true));
        let mut stop = StopString::new("abc");
        assert_eq!(stop.push("xab"), ("x".into(), false));
        assert_eq!(stop.push("abd"), ("ababd".into(), false));
        assert_eq!(stop.push("a"), (String::new(), false));
        assert_eq!(stop.finish(), "a");
    }
}
