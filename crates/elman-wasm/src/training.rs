//! A network in training.

use elman::cell::CellKind;
use elman::task::language_model::live::{Live, settings};
use elman::task::language_model::ngrams;
use elman::{Error, Result, Settings};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use crate::reader::{self, Written};

/// A language model in training on the reader's text.
#[wasm_bindgen]
pub struct Training {
    live: Live,
}

/// The settings that the page asks for; those that are absent keep their defaults.
fn asked(options: &str) -> Result<Settings> {
    let options: Value =
        serde_json::from_str(options).map_err(|error| Error::Usage(format!("the options cannot be read: {error}")))?;
    let mut settings = settings();
    let whole = |key: &str, default: usize| options[key].as_u64().map_or(default, |value| value as usize);
    settings.hidden = whole("hidden", settings.hidden);
    settings.layers = whole("layers", settings.layers);
    settings.embedding = whole("embedding", settings.embedding);
    settings.batch = whole("batch", settings.batch);
    settings.seq_len = whole("seq_len", settings.seq_len);
    settings.seed = whole("seed", settings.seed as usize) as u64;
    settings.lr = options["lr"].as_f64().unwrap_or(settings.lr);
    settings.dropout = options["dropout"].as_f64().unwrap_or(settings.dropout);
    if let Some(name) = options["cell"].as_str() {
        let cell = CellKind::ALL.into_iter().find(|cell| cell.name() == name);
        settings.cell = cell.ok_or_else(|| Error::Usage(format!("there is no cell called {name}")))?;
    }
    Ok(settings)
}

impl Training {
    /// A new network for a text, with the options of the page as JSON.
    ///
    /// # Errors
    /// As [`Live::new`].
    pub fn begin(text: &str, options: &str) -> Result<Training> {
        Ok(Training { live: Live::new(text.as_bytes(), asked(options)?)? })
    }

    /// As [`Self::begin`], from the weights of a model file.
    ///
    /// # Errors
    /// As [`Live::from_model`]; a file that is not a language model.
    pub fn from_model(text: &str, name: &str, bytes: Vec<u8>, options: &str) -> Result<Training> {
        let model = reader::parts(&crate::loaded(name, bytes)?)?;
        Ok(Training { live: Live::from_model(text.as_bytes(), model, asked(options)?)? })
    }

    /// One update.
    ///
    /// # Errors
    /// As [`Live::update`].
    pub fn step(&mut self) -> Result<[f64; 2]> {
        let update = self.live.update()?;
        Ok([update.loss_nats, update.grad_norm])
    }

    /// All weights, in the order of the model's layout.
    pub fn values(&self) -> &[f32] {
        &self.live.params().values
    }

    /// Text as the network writes it now.
    ///
    /// # Errors
    /// A temperature or a share that there is not.
    pub fn write(&self, written: &Written) -> Result<String> {
        reader::write(self.live.stepping()?, &self.live.corpus().vocab, written)
    }
}

/// For the script.
#[wasm_bindgen]
impl Training {
    /// See [`Self::begin`].
    ///
    /// # Errors
    /// See [`Self::begin`].
    #[wasm_bindgen(constructor)]
    pub fn new(text: &str, options: &str) -> std::result::Result<Training, JsError> {
        Self::begin(text, options).map_err(crate::thrown)
    }

    /// See [`Self::from_model`].
    ///
    /// # Errors
    /// See [`Self::from_model`].
    #[wasm_bindgen(js_name = fromModel)]
    pub fn from_model_js(
        text: &str,
        name: &str,
        bytes: Vec<u8>,
        options: &str,
    ) -> std::result::Result<Training, JsError> {
        Self::from_model(text, name, bytes, options).map_err(crate::thrown)
    }

    /// One update: the loss in nats per token and the gradient's norm.
    ///
    /// # Errors
    /// A loss that is not finite.
    pub fn update(&mut self) -> std::result::Result<Vec<f64>, JsError> {
        self.step().map(|numbers| numbers.to_vec()).map_err(crate::thrown)
    }

    /// The learning rate from now on.
    ///
    /// # Errors
    /// A rate that is not above 0.
    #[wasm_bindgen(js_name = setRate)]
    pub fn set_rate(&mut self, lr: f64) -> std::result::Result<(), JsError> {
        self.live.set_lr(lr).map_err(crate::thrown)
    }

    /// The loss on held-out text, on `limit` tokens of it at most.
    pub fn validate(&self, limit: usize) -> f64 {
        self.live.validate(limit)
    }

    /// Nats per character of n-gram models of the orders 1 to `orders` on the held-out text.
    pub fn ngrams(&self, orders: usize, limit: usize) -> Vec<f64> {
        let corpus = self.live.corpus();
        let held_out = &corpus.val[..corpus.val.len().min(limit)];
        ngrams::nats(&corpus.train, held_out, corpus.vocab.len(), orders)
    }

    /// Text as the network writes it now.
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
        let seed = u64::from(seed);
        self.write(&Written { prompt, length, temperature, top_p, seed }).map_err(crate::thrown)
    }

    /// The model as a file.
    ///
    /// # Errors
    /// Weights that are not finite.
    pub fn save(&self) -> std::result::Result<Vec<u8>, JsError> {
        self.live.to_bytes().map_err(crate::thrown)
    }

    /// A fingerprint of the weights: the CRC of their bits.
    pub fn fingerprint(&self) -> u32 {
        let bytes = self.values().iter().flat_map(|w| w.to_le_bytes());
        // CRC-32 (IEEE), bit by bit: for a comparison, not for speed.
        !bytes.fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }

    /// Sizes and counts, as JSON.
    pub fn info(&self) -> String {
        let (config, corpus) = (self.live.network().config(), self.live.corpus());
        json!({
            "cell": config.cell.name(), "layers": config.layers, "hidden": config.hidden, "embedding": config.embedding,
            "vocabulary": corpus.vocab.len(), "weights": self.values().len(),
            "train": corpus.train.len(), "val": corpus.val.len(),
            "updates": self.live.updates(), "epochs": self.live.epochs(),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        "She sells sea shells on the sea shore; the shells she sells are sea shells.\n".repeat(30)
    }

    #[test]
    fn a_network_learns_writes_and_is_saved() {
        let mut training = Training::begin(&text(), r#"{"hidden": 24, "seq_len": 16, "lr": 0.02}"#).unwrap();
        let first = training.step().unwrap()[0];
        (0..60).for_each(|_| _ = training.step().unwrap());
        assert!(training.step().unwrap()[0] < 0.5 * first);
        let written = Written { prompt: "She ", length: 30, temperature: 0.5, top_p: 0.9, seed: 1 };
        assert_eq!(training.write(&written).unwrap().chars().count(), 30);
        let bytes = training.live.to_bytes().unwrap();
        let again = Training::from_model(&text(), "a.safetensors", bytes, "{}").unwrap();
        assert!(again.values() == training.values());
        let counted = training.ngrams(3, 1000);
        assert!(counted[0] > counted[1] && counted[1] > counted[2], "{counted:?}");
    }

    #[test]
    fn texts_and_options_that_cannot_be_are_refused_in_words() {
        let refused = |text: &str, options: &str| Training::begin(text, options).err().unwrap().to_string();
        assert!(refused("", "{}").contains("empty"));
        assert!(refused("ab", "{}").contains("too") || refused("ab", "{}").contains("at least"));
        assert!(refused(&text(), r#"{"cell": "transformer"}"#).contains("transformer"));
        assert!(refused(&text(), r#"{"hidden": 0}"#).contains("hidden"));
        assert!(refused(&text(), "{").contains("options"));
        // Emoji and Hangul are characters like others.
        let korean = "가나다라 마바사 \u{1F600}\u{1F680} 아자차카\n".repeat(60);
        assert!(Training::begin(&korean, r#"{"hidden": 8, "seq_len": 8}"#).unwrap().step().is_ok());
    }
}
