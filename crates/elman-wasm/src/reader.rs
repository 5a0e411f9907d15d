//! A trained language model: what it writes, and what goes on in it along a text.

use elman::data::Vocab;
use elman::decode::SamplerConfig;
use elman::format::model::Loaded;
use elman::inspect::{Influence, Recording, follow};
use elman::param::Params;
use elman::shape::{Shape, Synced};
use elman::step::{Network, Precision};
use elman::task::language_model::{self, generate::Writer};
use elman::train::read_weights;
use elman::{Error, Result};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

/// What is asked of a model that writes.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// What it goes on from; what it does not know of it is left out.
    pub prompt: &'a str,
    /// Tokens to write.
    pub length: usize,
    /// Divides the logits.
    pub temperature: f64,
    /// Only the likeliest tokens that have this probability together.
    pub top_p: f64,
    /// The same seed writes the same text.
    pub seed: u64,
}

/// The network, weights and vocabulary of a language model's file.
///
/// # Errors
/// A file of another task, or one that contradicts itself.
pub(crate) fn parts(loaded: &Loaded) -> Result<(Synced, Params<f32>, Vocab)> {
    let vocab = language_model::vocab(loaded)?;
    let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
    // Reading it for steps checks the sizes against the tensors before anything is allocated for them.
    Network::read(&loaded.document, Precision::F32).map_err(|error| loaded.error(error))?;
    let sizes = serde_json::from_value(loaded.document.config()["network"].clone());
    let network = Synced::new(sizes.map_err(|error| wrong(format!("in `network`: {error}")))?)?;
    let mut params = Params::zeros(Shape::<f32>::layout(&network));
    read_weights(&loaded.document, &mut params).map_err(|error| loaded.error(error))?;
    Ok((network, params, vocab))
}

/// Text that a network writes.
///
/// # Errors
/// A temperature or a share that there is not; a network whose outputs are not finite.
pub(crate) fn write(network: Network, vocab: &Vocab, written: &Written) -> Result<String> {
    let sampler = SamplerConfig { temperature: written.temperature, top_p: written.top_p, ..SamplerConfig::default() };
    let mut writer = Writer::new(network, vocab.clone(), sampler, written.seed)?;
    writer.read(written.prompt.as_bytes(), true)?;
    let mut text = String::new();
    writer.write(written.length, "", |piece| {
        text.push_str(piece);
        true
    })?;
    Ok(text)
}

/// A language model that reads a text.
#[wasm_bindgen]
pub struct Reader {
    vocab: Vocab,
    network: Network,
    influence: Influence,
    recording: Recording,
    tokens: Vec<u32>,
    /// A character for each token of the text, and of the vocabulary.
    characters: Vec<char>,
    alphabet: Vec<char>,
    weights: usize,
}

impl Reader {
    /// Opens a model file.
    ///
    /// # Errors
    /// A file that is not a language model, or is damaged.
    pub fn open(name: &str, bytes: Vec<u8>) -> Result<Reader> {
        let loaded = crate::loaded(name, bytes)?;
        let (synced, params, vocab) = parts(&loaded)?;
        let precision = loaded.document.precision();
        let mut network = Network::read(&loaded.document, precision).map_err(|error| loaded.error(error))?;
        let influence = Influence::new(&synced, &params)?;
        let recording = Recording::new(&mut network);
        let alphabet = characters(&vocab, &(0..vocab.len() as u32).collect::<Vec<_>>());
        let weights = params.values.len();
        let (tokens, characters) = (Vec::new(), Vec::new());
        Ok(Reader { vocab, network, influence, recording, tokens, characters, alphabet, weights })
    }

    /// Takes a text to read; returns how many characters the model does not know, which are left out.
    ///
    /// # Errors
    /// A text of which it knows nothing.
    pub fn take(&mut self, text: &str) -> Result<usize> {
        let (tokens, skipped) =
            self.vocab.encode(text.as_bytes(), true).map_err(|unseen| Error::Usage(unseen.to_string()))?;
        if tokens.is_empty() {
            return Err(Error::Usage("the model knows no character of this text; choose another text or model".into()));
        }
        self.characters = characters(&self.vocab, &tokens);
        self.tokens = tokens;
        self.recording = Recording::new(&mut self.network);
        Ok(skipped)
    }

    /// Reads on; returns how many characters have been read.
    ///
    /// # Errors
    /// Never, of a text that was taken.
    pub fn advance(&mut self, count: usize) -> Result<usize> {
        let from = self.recording.len();
        let to = (from + count).min(self.tokens.len());
        self.recording.extend(&mut self.network, &self.tokens[from..to])?;
        Ok(to)
    }

    /// For each feature of the text the neuron that follows it best: name, neuron, correlation; by strength.
    pub fn following(&self) -> Vec<(&'static str, usize, f32)> {
        let read = &self.characters[..self.recording.len()];
        let best = |feature: elman::inspect::Feature| {
            let values: Vec<f32> = feature.values.iter().map(|&x| x as f32).collect();
            let (neuron, r) = strongest(&self.recording.correlations(&values))?;
            (r.abs() > 1e-3).then_some((feature.name, neuron, r))
        };
        let mut found: Vec<_> = follow(read).into_iter().filter_map(best).collect();
        found.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
        found
    }

    /// The neurons that follow occurrences of some characters best, with their correlation; by strength.
    pub fn following_text(&self, query: &str, count: usize) -> Vec<(usize, f32)> {
        let (read, query) = (&self.characters[..self.recording.len()], query.chars().collect::<Vec<_>>());
        if query.is_empty() {
            return Vec::new();
        }
        let mut values = vec![0.0; read.len()];
        for (at, window) in read.windows(query.len()).enumerate() {
            if window == query {
                values[at..at + query.len()].fill(1.0);
            }
        }
        let mut all: Vec<(usize, f32)> = self.recording.correlations(&values).into_iter().enumerate().collect();
        all.retain(|(_, r)| r.abs() > 1e-3);
        all.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        all.truncate(count);
        all
    }

    /// The length of the gradient of the loss of the character at `at` with respect to each of the `window` characters before
    /// it.
    ///
    /// # Errors
    /// The first character, before which there is none, or one beyond the text.
    pub fn influences(&mut self, at: usize, window: usize) -> Result<Vec<f32>> {
        if at == 0 || at >= self.tokens.len() {
            return Err(Error::Usage("there is no character before this one".into()));
        }
        self.influence.of(&self.tokens[at.saturating_sub(window)..at], self.tokens[at])
    }

    /// The gates of a layer along some characters, from the zero state at most `before` characters earlier, as JSON.
    fn gates(&mut self, from: usize, to: usize, layer: usize, before: usize) -> Result<Value> {
        let (start, to) = (from.saturating_sub(before), to.min(self.tokens.len()));
        let skipped = from - start;
        let gates = self.influence.gates(&self.tokens[start..to], layer)?;
        let of = |gate: elman::inspect::Gate| {
            let width = gate.values.len() / (to - start).max(1);
            let values: Vec<f64> =
                gate.values[skipped * width..].iter().map(|&x| (f64::from(x) * 1000.0).round() / 1000.0).collect();
            json!({"name": gate.name, "values": values})
        };
        Ok(gates.into_iter().map(of).collect())
    }
}

fn strongest(correlations: &[f32]) -> Option<(usize, f32)> {
    let all = correlations.iter().copied().enumerate();
    all.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
}

/// One character for each token; bytes above ASCII stand as a dot.
fn characters(vocab: &Vocab, tokens: &[u32]) -> Vec<char> {
    let decoder = vocab.decoder();
    let character = |&token: &u32| match std::str::from_utf8(decoder.bytes(token)) {
        Ok(text) => text.chars().next().unwrap_or('.'),
        Err(_) => '.',
    };
    tokens.iter().map(character).collect()
}

/// For the script.
#[wasm_bindgen]
impl Reader {
    /// See [`Self::open`].
    ///
    /// # Errors
    /// See [`Self::open`].
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, bytes: Vec<u8>) -> std::result::Result<Reader, JsError> {
        Self::open(name, bytes).map_err(crate::thrown)
    }

    /// See [`Self::take`].
    ///
    /// # Errors
    /// See [`Self::take`].
    #[wasm_bindgen(js_name = begin)]
    pub fn take_js(&mut self, text: &str) -> std::result::Result<usize, JsError> {
        self.take(text).map_err(crate::thrown)
    }

    /// See [`Self::advance`].
    ///
    /// # Errors
    /// See [`Self::advance`].
    #[wasm_bindgen(js_name = advance)]
    pub fn advance_js(&mut self, count: usize) -> std::result::Result<usize, JsError> {
        self.advance(count).map_err(crate::thrown)
    }

    /// The model, as JSON.
    pub fn info(&self) -> String {
        let config = self.network.config();
        json!({
            "cell": config.cell.name(), "layers": config.layers, "hidden": config.hidden, "embedding": config.embedding,
            "vocabulary": self.vocab.len(), "weights": self.weights, "unit": self.vocab.unit(),
        })
        .to_string()
    }

    /// The text as the model reads it: a character for each token.
    pub fn text(&self) -> String {
        self.characters.iter().collect()
    }

    /// Nats per character of what has been read.
    pub fn nats(&self) -> f64 {
        let nats = self.recording.nats();
        nats.iter().map(|&x| f64::from(x)).sum::<f64>() / (nats.len().max(2) - 1) as f64
    }

    /// What each character of a range cost, in nats.
    pub fn costs(&self, from: usize, to: usize) -> Vec<f32> {
        self.recording.nats()[from.min(self.recording.len())..to.min(self.recording.len())].to_vec()
    }

    /// The levels of a neuron, from -127 to 127, after each character of a range.
    pub fn neuron(&self, neuron: usize, from: usize, to: usize) -> Vec<i8> {
        self.recording.neuron(neuron, from..to.min(self.recording.len()))
    }

    /// The levels of all neurons after each character of a range, `[T, H]`.
    pub fn states(&self, from: usize, to: usize) -> Vec<i8> {
        (from..to.min(self.recording.len())).flat_map(|at| self.recording.state(at)).copied().collect()
    }

    /// The five likeliest next characters after each of a range.
    #[wasm_bindgen(js_name = guessedCharacters)]
    pub fn guessed_characters(&self, from: usize, to: usize) -> String {
        let guesses = &self.recording.guesses()[from..to.min(self.recording.len())];
        guesses.iter().flatten().map(|(token, _)| self.alphabet.get(*token as usize).copied().unwrap_or('.')).collect()
    }

    /// Their probabilities.
    #[wasm_bindgen(js_name = guessedProbabilities)]
    pub fn guessed_probabilities(&self, from: usize, to: usize) -> Vec<f32> {
        self.recording.guesses()[from..to.min(self.recording.len())].iter().flatten().map(|(_, p)| *p).collect()
    }

    /// See [`Self::following`]; as JSON.
    #[wasm_bindgen(js_name = following)]
    pub fn following_js(&self) -> String {
        json!(self.following()).to_string()
    }

    /// See [`Self::following_text`]; as JSON.
    #[wasm_bindgen(js_name = followingText)]
    pub fn following_text_js(&self, query: &str, count: usize) -> String {
        json!(self.following_text(query, count)).to_string()
    }

    /// Places with the most similar state and the cosine of each, as JSON.
    pub fn similar(&self, at: usize, count: usize) -> String {
        json!(self.recording.similar(at, count, 8)).to_string()
    }

    /// See [`Self::influences`].
    ///
    /// # Errors
    /// See [`Self::influences`].
    #[wasm_bindgen(js_name = influences)]
    pub fn influences_js(&mut self, at: usize, window: usize) -> std::result::Result<Vec<f32>, JsError> {
        self.influences(at, window).map_err(crate::thrown)
    }

    /// The gates of a layer along a range of characters, as JSON.
    ///
    /// # Errors
    /// A layer that there is not.
    #[wasm_bindgen(js_name = gates)]
    pub fn gates_js(&mut self, from: usize, to: usize, layer: usize) -> std::result::Result<String, JsError> {
        self.gates(from, to, layer, 200).map(|gates| gates.to_string()).map_err(crate::thrown)
    }

    /// Text that the model writes.
    ///
    /// # Errors
    /// A temperature or a share that there is not.
    pub fn sample(
        &self,
        prompt: &str,
        length: usize,
        temperature: f64,
        top_p: f64,
        seed: u32,
    ) -> std::result::Result<String, JsError> {
        let mut network = self.network.clone();
        network.reset();
        let seed = u64::from(seed);
        write(network, &self.vocab, &Written { prompt, length, temperature, top_p, seed }).map_err(crate::thrown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Training;

    fn reader() -> Reader {
        let text = "A \"quoted (word)\" here.\nAnd \"another one\" there.\n".repeat(40);
        let mut training = Training::begin(&text, r#"{"hidden": 16, "seq_len": 16, "lr": 0.02}"#).unwrap();
        (0..80).for_each(|_| _ = training.step().unwrap());
        let mut reader = Reader::open("a.safetensors", training.save().ok().unwrap()).unwrap();
        assert_eq!(reader.take(&format!("{text}\u{1F600}")).unwrap(), 1);
        assert_eq!(reader.advance(500).unwrap(), 500);
        assert_eq!(reader.advance(usize::MAX / 2).unwrap(), text.chars().count());
        reader
    }

    #[test]
    fn a_text_is_read_searched_and_explained() {
        let mut reader = reader();
        let found = reader.following();
        assert!(found.iter().any(|(name, _, r)| *name == "inside \"quotes\"" && r.abs() > 0.3), "{found:?}");
        let words = reader.following_text("another", 3);
        assert!(words.len() == 3 && words[0].1.abs() >= words[2].1.abs());
        assert!(reader.following_text("", 3).is_empty());
        let influences = reader.influences(300, 200).unwrap();
        assert!(influences.len() == 200 && influences[199] > influences[0]);
        assert!(reader.influences(0, 200).is_err());
        let gates = reader.gates(290, 300, 0, 200).unwrap();
        assert_eq!(gates[0]["values"].as_array().unwrap().len(), 160);
        assert_eq!(reader.neuron(3, 10, 20).len(), 10);
        assert_eq!(reader.guessed_characters(10, 20).chars().count(), 50);
        assert!(reader.nats() < 2.0);
    }

    #[test]
    fn damaged_and_foreign_files_are_refused_in_words() {
        let bytes = Training::begin(&"one two three\n".repeat(100), "{\"hidden\": 8}").unwrap().save().ok().unwrap();
        let refused = |bytes: Vec<u8>| Reader::open("dropped.safetensors", bytes).err().unwrap().to_string();
        assert!(refused(Vec::new()).contains("empty"));
        assert!(refused(b"<!doctype html>".to_vec()).contains("dropped.safetensors"));
        assert!(refused(bytes[..bytes.len() - 9].to_vec()).contains("dropped.safetensors"));
        let mut damaged = bytes.clone();
        let last = damaged.len() - 3;
        damaged[last] ^= 1;
        assert!(refused(damaged).contains("checksum"));
    }
}
