//! Text written by a language model, token by token: each step reads one token and carries the state.

use crate::data::{Decoder, Vocab};
use crate::decode::{
    BeamConfig, Likely, Query, Sampler, SamplerConfig, SpecialTokens, StepModel, StopString, beam_search,
};
use crate::error::{Error, Result};
use crate::format::document::DocumentWriter;
use crate::rng::Rng;
use elman_kernels::softmax;
use elman_step::model::{Document, ModelError};
use elman_step::{Network, Precision};

/// A language model with its state, writing.
pub struct Writer {
    network: Network,
    vocab: Vocab,
    decoder: Decoder,
    sampler: Sampler,
    rng: Rng,
    has_read: bool,
}

impl Writer {
    /// A writer in the zero state.
    ///
    /// # Errors
    /// If a setting of the sampler cannot be.
    pub fn new(network: Network, vocab: Vocab, sampler: SamplerConfig, seed: u64) -> Result<Writer> {
        let decoder = vocab.decoder();
        let rng = Rng::new(seed, "sample");
        Ok(Writer { network, vocab, decoder, sampler: Sampler::new(sampler)?, rng, has_read: false })
    }

    /// A writer of a model that is still in memory; it is what reading the file of the same document gives.
    ///
    /// # Errors
    /// If the document is no model of a network.
    pub(super) fn of_document(
        document: &DocumentWriter,
        vocab: Vocab,
        sampler: SamplerConfig,
        seed: u64,
    ) -> Result<Writer> {
        let refused = |error: ModelError| Error::Usage(format!("the model cannot write: {error}"));
        let bytes = document.to_bytes().map_err(refused)?;
        let document = Document::parse_owned(bytes).map_err(refused)?;
        Writer::new(Network::read(&document, Precision::F32).map_err(refused)?, vocab, sampler, seed)
    }

    /// Reads a text; returns how many tokens were left out because the model does not know them, which is only done with
    /// `skip_unseen`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the first unknown token.
    pub fn read(&mut self, text: &[u8], skip_unseen: bool) -> Result<usize> {
        let (tokens, skipped) = self
            .vocab
            .encode(text, skip_unseen)
            .map_err(|unseen| Error::Usage(format!("the prompt: {unseen}; `skip_unseen` leaves such tokens out")))?;
        for token in tokens {
            self.step(token)?;
        }
        Ok(skipped)
    }

    fn step(&mut self, token: u32) -> Result<()> {
        self.has_read = true;
        self.network.step_token(token).map(drop).map_err(|error| Error::Usage(error.to_string()))
    }

    /// Where nothing has been read, the text begins after a line end, or after whatever is first in the vocabulary.
    fn begin(&mut self) -> Result<()> {
        if self.has_read {
            return Ok(());
        }
        let (newline, _) = self.vocab.encode(b"\n", true).map_err(|unseen| Error::Usage(unseen.to_string()))?;
        self.step(newline.first().copied().unwrap_or(0))
    }

    /// The most likely text of `length` tokens that a beam search finds, or a shorter one that ends before the token
    /// `stop`, if that is not empty.
    ///
    /// # Errors
    /// If `stop` is not one token of the model, as [`beam_search`], or if the model's outputs are not numbers.
    pub fn search(mut self, length: usize, stop: &str, config: &BeamConfig) -> Result<String> {
        let vocab = self.vocab.len() as u32;
        let end = match (stop, self.vocab.encode(stop.as_bytes(), false)) {
            ("", _) => vocab,
            (_, Ok((tokens, _))) if tokens.len() == 1 => tokens[0],
            _ => {
                return Err(Error::setting(
                    "stop",
                    stop,
                    "must be one token of the model's vocabulary: a search ends at it",
                ));
            }
        };
        self.begin()?;
        let special = SpecialTokens { bos: vocab, eos: end, suppressed: Vec::new() };
        let query = Query { prefix: Vec::new(), max_length: length };
        let mut branches = Branches { states: vec![self.network.state().to_vec()], network: self.network };
        let found = beam_search(&mut branches, &[query], &special, config)?;
        Ok(found[0].first().map_or_else(String::new, |best| self.vocab.decode(&best.tokens)))
    }

    /// Writes up to `length` tokens, each piece of text handed out as soon as it is whole; ends before the text `stop`,
    /// if that is not empty, or when `emit` returns false.
    ///
    /// # Errors
    /// If the model's outputs are not numbers.
    pub fn write(&mut self, length: usize, stop: &str, mut emit: impl FnMut(&str) -> bool) -> Result<()> {
        let mut stop = StopString::new(stop);
        if length > 0 {
            self.begin()?;
        }
        for _ in 0..length {
            let token = self.sampler.pick(self.network.logits(), self.rng.uniform())?;
            let (text, ended) = stop.push(&self.decoder.push(token));
            if (!text.is_empty() && !emit(&text)) || ended {
                return Ok(());
            }
            self.step(token)?;
        }
        let rest = self.decoder.finish();
        let (text, ended) = stop.push(&rest);
        let rest = if ended { String::new() } else { stop.finish() };
        emit(&format!("{text}{rest}"));
        Ok(())
    }
}

/// A network that goes on from several states. Its tokens are those of the model and one more that begins, and never
/// follows.
struct Branches {
    network: Network,
    /// Of each row of the last step.
    states: Vec<Vec<f32>>,
}

impl StepModel for Branches {
    fn vocab(&self) -> usize {
        self.network.classes() + 1
    }

    fn step(&mut self, from: &[usize], tokens: &[u32], likely: &mut Likely) {
        let (mut logits, mut log_sums) = std::mem::take(likely).into_buffers();
        logits.clear();
        log_sums.clear();
        let mut states = Vec::with_capacity(from.len());
        for (&from, &token) in from.iter().zip(tokens) {
            // What has been read already says what follows the beginning.
            if (token as usize) < self.network.classes() {
                let stepped =
                    self.network.set_state(&self.states[from]).and_then(|()| self.network.step_token(token).map(drop));
                debug_assert!(stepped.is_ok(), "a state and a token of this network");
            }
            log_sums.push(softmax::log_sum_exp(self.network.logits()));
            logits.extend_from_slice(self.network.logits());
            logits.push(f32::NEG_INFINITY);
            states.push(self.network.state().to_vec());
        }
        self.states = states;
        *likely = Likely::Logits(logits, log_sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use crate::task::language_model::{Corpus, TextBatches, network};
    use crate::train::{Batches, weights};
    use std::path::Path;

    fn writer(sampler: SamplerConfig, seed: u64) -> Writer {
        let settings = Settings { hidden: 7, batch: 1, seq_len: 4, ..Settings::base() };
        let text = "abc \n".repeat(20);
        let corpus = Corpus::of(text.as_bytes(), None, Path::new("test"), &settings).unwrap();
        let network = network(&settings, corpus.vocab.len()).unwrap();
        let params = network.init(crate::param::Init::Uniform(1.0), &mut Rng::new(1, "weights"));
        let mut config = TextBatches::new(&corpus, &settings).unwrap().model_config(&network);
        config["kind"] = "model".into();
        let document = DocumentWriter { config, tensors: weights(&params) };
        Writer::of_document(&document, corpus.vocab, sampler, seed).unwrap()
    }

    fn text(writer: &mut Writer, length: usize, stop: &str) -> String {
        let mut all = String::new();
        writer
            .write(length, stop, |piece| {
                all.push_str(piece);
                true
            })
            .unwrap();
        all
    }

    #[test]
    fn the_same_seed_writes_the_same_text_and_the_length_is_kept() {
        let hot = SamplerConfig { temperature: 1.0, ..SamplerConfig::default() };
        let one = text(&mut writer(hot, 5), 100, "");
        assert_eq!(one.chars().count(), 100);
        assert_eq!(one, text(&mut writer(hot, 5), 100, ""));
        assert_ne!(one, text(&mut writer(hot, 6), 100, ""));
    }

    #[test]
    fn writing_in_two_parts_is_writing_at_once() {
        let mut parts = writer(SamplerConfig::default(), 5);
        let two = text(&mut parts, 40, "") + &text(&mut parts, 60, "");
        assert_eq!(two, text(&mut writer(SamplerConfig::default(), 5), 100, ""));
    }

    #[test]
    fn a_search_of_one_is_greedy_and_a_wide_one_finds_the_most_likely_text() {
        let writer = || writer(SamplerConfig { temperature: 0.0, ..SamplerConfig::default() }, 1);
        let beam = |beam| BeamConfig { beam, ..BeamConfig::default() };
        assert_eq!(writer().search(50, "", &beam(1)).unwrap(), text(&mut writer(), 50, ""));
        // By trying all texts of three tokens.
        let log_prob = |text: &str| {
            let mut writer = writer();
            writer.begin().unwrap();
            let mut sum = 0.0;
            for token in writer.vocab.encode(text.as_bytes(), false).unwrap().0 {
                let logits = writer.network.logits();
                sum += f64::from(logits[token as usize] - softmax::log_sum_exp(logits));
                writer.step(token).unwrap();
            }
            sum
        };
        let tokens = ["a", "b", "c", " ", "\n"];
        let all = tokens.iter().flat_map(|a| tokens.iter().map(move |b| format!("{a}{b}")));
        let all = all.flat_map(|ab| tokens.iter().map(move |c| format!("{ab}{c}")));
        let best = all.max_by(|a, b| log_prob(a).total_cmp(&log_prob(b))).unwrap();
        assert_eq!(writer().search(3, "", &beam(125)).unwrap(), best);
        let first = text(&mut writer(), 1, "");
        assert_eq!(writer().search(50, &first, &beam(1)).unwrap(), "");
        assert!(writer().search(3, "ab", &beam(1)).is_err() && writer().search(3, "z", &beam(1)).is_err());
    }

    #[test]
    fn a_stop_text_ends_the_text_before_it() {
        let all = text(&mut writer(SamplerConfig::default(), 5), 200, "");
        let stop = &all[50..52];
        let want = &all[..all.find(stop).unwrap()];
        assert_eq!(text(&mut writer(SamplerConfig::default(), 5), 200, stop), want);
    }

    #[test]
    fn a_prompt_with_an_unknown_token_is_refused_or_the_token_left_out() {
        let mut writer = writer(SamplerConfig::default(), 5);
        let message = writer.read("ab€".as_bytes(), false).unwrap_err().to_string();
        assert!(message.contains("'€'") && message.contains("skip_unseen"), "{message}");
        assert_eq!(writer.read("ab€".as_bytes(), true).unwrap(), 1);
    }
}
