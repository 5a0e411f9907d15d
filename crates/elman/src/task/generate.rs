//! Text written by a language model, symbol by symbol: each step reads one token and carries the state.

use crate::data::{Decoder, Vocab};
use crate::decode::{Sampler, SamplerConfig, StopString};
use crate::error::{Error, Result};
use crate::format::document::DocumentWriter;
use crate::rng::Rng;
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

    /// Reads a text; returns how many symbols were left out because the model does not know them, which is only done with
    /// `skip_unseen`.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the first unknown symbol.
    pub fn read(&mut self, text: &[u8], skip_unseen: bool) -> Result<usize> {
        let (tokens, skipped) = self
            .vocab
            .encode(text, skip_unseen)
            .map_err(|unseen| Error::Usage(format!("the prompt: {unseen}; --skip-unseen leaves such symbols out")))?;
        for token in tokens {
            self.step(token)?;
        }
        Ok(skipped)
    }

    fn step(&mut self, token: u32) -> Result<()> {
        self.has_read = true;
        self.network.step_token(token).map(drop).map_err(|error| Error::Usage(error.to_string()))
    }

    /// Writes up to `length` symbols, each piece of text handed out as soon as it is whole; ends before the text `stop`,
    /// if that is not empty, or when `emit` returns false.
    ///
    /// # Errors
    /// If the model's outputs are no numbers.
    pub fn write(&mut self, length: usize, stop: &str, mut emit: impl FnMut(&str) -> bool) -> Result<()> {
        let mut stop = StopString::new(stop);
        if !self.has_read && length > 0 {
            // Nothing has been read: the text begins after a line end, or after whatever is first in the vocabulary.
            let (newline, _) = self.vocab.encode(b"\n", true).map_err(|unseen| Error::Usage(unseen.to_string()))?;
            self.step(newline.first().copied().unwrap_or(0))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Settings;
    use crate::task::language_model::{Corpus, LanguageModel, network};
    use crate::train::{Task, weights};
    use std::path::Path;

    fn writer(sampler: SamplerConfig, seed: u64) -> Writer {
        let settings = Settings { hidden: 7, batch: 1, seq_len: 4, ..Settings::default() };
        let text = "abc \n".repeat(20);
        let corpus = Corpus::of(text.as_bytes(), None, Path::new("test"), &settings).unwrap();
        let network = network(&settings, corpus.vocab.len()).unwrap();
        let params = network.init(crate::param::Init::Uniform(1.0), &mut Rng::new(1, "weights"));
        let mut config = LanguageModel::new(&corpus, &settings).unwrap().model_config(&network);
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
    fn a_stop_text_ends_the_text_before_it() {
        let all = text(&mut writer(SamplerConfig::default(), 5), 200, "");
        let stop = &all[50..52];
        let want = &all[..all.find(stop).unwrap()];
        assert_eq!(text(&mut writer(SamplerConfig::default(), 5), 200, stop), want);
    }

    #[test]
    fn a_prompt_with_an_unknown_symbol_is_refused_or_the_symbol_left_out() {
        let mut writer = writer(SamplerConfig::default(), 5);
        let message = writer.read("ab€".as_bytes(), false).unwrap_err().to_string();
        assert!(message.contains("'€'") && message.contains("--skip-unseen"), "{message}");
        assert_eq!(writer.read("ab€".as_bytes(), true).unwrap(), 1);
    }
}
