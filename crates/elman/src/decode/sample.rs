//! Drawing the next symbol.
//!
//! The filters act in this order: temperature, top-k, top-p (Holtzman et al. 2020), min-p; then one symbol is drawn from
//! what is left, renormalised. Of equally likely symbols the lower token comes first.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SamplerConfig {
    /// Logits are divided by it; 0 takes the most likely symbol always.
    pub temperature: f64,
    /// Only the k most likely symbols; 0 for all.
    pub top_k: usize,
    /// Only the most likely symbols that together have this probability; 1 for all.
    pub top_p: f64,
    /// Only symbols at least this many times as likely as the most likely one; 0 for all.
    pub min_p: f64,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        SamplerConfig { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl SamplerConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The first that cannot be, with what could.
    pub fn validate(&self) -> Result<()> {
        let SamplerConfig { temperature, top_p, min_p, .. } = *self;
        let problem = if !temperature.is_finite() || temperature < 0.0 {
            format!("--temperature {temperature}: give a number from 0 (the most likely symbol always) upwards")
        } else if !(top_p > 0.0 && top_p <= 1.0) {
            format!("--top-p {top_p}: give a probability above 0, at most 1")
        } else if !(0.0..=1.0).contains(&min_p) {
            format!("--min-p {min_p}: give a ratio from 0 to 1")
        } else {
            return Ok(());
        };
        Err(Error::Usage(problem))
    }
}

/// Draws symbols; keeps its working memory.
#[derive(Clone, Debug)]
pub struct Sampler {
    config: SamplerConfig,
    /// `(probability, token)`.
    candidates: Vec<(f64, u32)>,
}

impl Sampler {
    /// A sampler for these settings.
    ///
    /// # Errors
    /// If a setting cannot be.
    pub fn new(config: SamplerConfig) -> Result<Self> {
        config.validate()?;
        Ok(Sampler { config, candidates: Vec::new() })
    }

    /// Draws from `logits` `[V]` by a uniform number `u` in `[0, 1)`.
    ///
    /// # Errors
    /// If a logit is NaN or there is none: the model is damaged.
    pub fn pick(&mut self, logits: &[f32], u: f64) -> Result<u32> {
        let max = logits.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
        if logits.iter().any(|x| x.is_nan()) || max == f32::NEG_INFINITY || max == f32::INFINITY {
            return Err(Error::Usage("the model's outputs are not numbers; was its training diverging?".into()));
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
        // Rounding may leave a crumb behind the last one.
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

/// Ends a text before a given string, also when it comes in pieces.
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

    /// Takes a piece of text: what may be shown now, and whether the end has come. What could be the beginning of the
    /// stop string is held back.
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

    /// What was held back when the text ended otherwise.
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
    fn symbols_are_drawn_as_often_as_they_are_likely() {
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
    fn filters_keep_what_they_say() {
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
    fn settings_that_cannot_be_and_damaged_logits_are_refused() {
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
