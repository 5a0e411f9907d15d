//! A trained language model.

use std::any::Any;
use std::path::Path;

use elman_step::Network;
use serde_json::{Map, Value};

use super::corpus::plain;
use super::generate::Writer;
use super::score::{self, Dynamic};
use crate::data::{Vocab, builtin};
use crate::error::{Error, Result};
use crate::file::{self, Encoding, HAS_FILES};
use crate::format::model::Loaded;
use crate::metric::{Evaluation, Measure, Unit};
use crate::param::Params;
use crate::settings::Settings;
use crate::shape::{InputKind, Synced, SyncedConfig};
use crate::task::metadata::{contradiction, params, part};
use crate::task::model::{Evaluate, Input, Model, Predict, Prediction, Reads, Sample};
use crate::task::plan::Callback;
use crate::task::row::no_files;

/// The name of the task in files and on the command line.
pub(super) const NAME: &str = "language-model";

/// Largest size of a network that a file may claim.
const MAX_SIZE: usize = 1 << 20;

/// The vocabulary of a language model's file.
///
/// # Errors
/// [`Error::Model`] if the file holds another kind of model, or its vocabulary is invalid.
pub fn vocab(loaded: &Loaded) -> Result<Vocab> {
    let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
    let config = loaded.document.config();
    if config["task"] != NAME {
        return Err(wrong(format!("its task is {}, not {}", config["task"], NAME)));
    }
    let vocab: Vocab = serde_json::from_value(config.get("vocab").cloned().unwrap_or_default())
        .map_err(|error| wrong(format!("`vocab` in its metadata cannot be used: {error}")))?;
    if vocab.has_duplicates() {
        return Err(wrong("a token comes twice in its vocabulary".into()));
    }
    if vocab.is_empty() || config["network"]["classes"] != vocab.len() {
        return Err(wrong(format!("its vocabulary of {} tokens does not fit its network", vocab.len())));
    }
    Ok(vocab)
}

/// A network, its weights and its vocabulary.
pub struct LanguageModel {
    network: Synced,
    params: Params<f32>,
    vocab: Vocab,
    /// Whether it was trained on the text that the program contains.
    is_builtin: bool,
    /// The same network, ready to run step by step from the zero state.
    stepping: Network,
}

impl std::fmt::Debug for LanguageModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanguageModel").field("network", self.network.config()).finish_non_exhaustive()
    }
}

impl LanguageModel {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds another kind of model, or one that contradicts itself.
    pub fn open(loaded: &Loaded) -> Result<Self> {
        let vocab = vocab(loaded)?;
        let sizes: SyncedConfig = part(loaded, "network")?;
        if sizes.feed != InputKind::Tokens(vocab.len()) || sizes.classes != vocab.len() {
            let reason = format!("its vocabulary of {} tokens does not fit its network", vocab.len());
            return Err(contradiction(loaded, reason));
        }
        if [sizes.hidden, sizes.layers, sizes.embedding, sizes.classes].iter().any(|&size| size > MAX_SIZE) {
            return Err(contradiction(loaded, format!("a size of its network is above {MAX_SIZE}")));
        }
        let network = Synced::new(sizes).map_err(|error| contradiction(loaded, error))?;
        let params = params(loaded, network.layout())?;
        let stepping =
            Network::read(&loaded.document, loaded.document.precision()).map_err(|error| loaded.error(error))?;
        let is_builtin = loaded.document.config()["builtin"] == true;
        Ok(LanguageModel { network, params, vocab, is_builtin, stepping })
    }

    /// The tokens of a file that is evaluated, or of the built-in text, and how many were left out.
    fn tokens(&self, path: &Path, encoding: Encoding, from: f64, skip_unseen: bool) -> Result<(Vec<u32>, usize)> {
        let data = |reason: String| Error::Data { path: path.into(), reason };
        let text = match &self.vocab {
            _ if path.as_os_str().is_empty() => builtin::project_text().as_bytes().to_vec(),
            Vocab::Bytes(_) => file::read(path)?,
            // A model that has learned CR reads it.
            vocab => plain(path, encoding, vocab.has('\r'))?,
        };
        let (mut tokens, skipped) = self
            .vocab
            .encode(&text, skip_unseen)
            .map_err(|unseen| data(format!("{unseen}; `skip_unseen` leaves such tokens out")))?;
        tokens.drain(..(from * tokens.len() as f64) as usize);
        match tokens.len() {
            n @ (0 | 1) => Err(data(format!("{n} tokens to evaluate on; it takes at least 2"))),
            _ => Ok((tokens, skipped)),
        }
    }
}

impl Model for LanguageModel {
    fn task(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        let (len, unit) = (self.vocab.len(), self.vocab.unit());
        let tokens = match &self.vocab {
            Vocab::Spelled { chars, bytes } => format!("{chars:?}, and {} bytes that spell others", bytes.len()),
            vocab => format!("{:?}", vocab.decode(&(0..len as u32).collect::<Vec<_>>())),
        };
        vec![("vocabulary", format!("{len} {unit}s: {tokens}"))]
    }

    fn reads(&self) -> Reads {
        Reads::Texts
    }

    fn evaluate(&self, data: &Settings, options: &Evaluate, _: &mut Callback) -> Result<Evaluation> {
        if !HAS_FILES {
            return Err(no_files());
        }
        let own = data.file.is_empty() && self.is_builtin;
        // Of the program's own text its end was held out.
        let from = options.from.unwrap_or(if own { 1.0 - data.val_frac } else { 0.0 });
        if !(0.0..1.0).contains(&from) {
            return Err(Error::setting("from", from, "must be a share in [0, 1)"));
        }
        let usual = Dynamic::default();
        let dynamic = Dynamic {
            lr: options.dynamic_lr.unwrap_or(usual.lr),
            decay: options.dynamic_decay.unwrap_or(usual.decay),
            ..usual
        };
        if !(dynamic.lr > 0.0 && dynamic.lr.is_finite()) {
            return Err(Error::setting("dynamic_lr", dynamic.lr, "must be above 0"));
        }
        if !(0.0..=1.0).contains(&dynamic.decay) {
            return Err(Error::setting("dynamic_decay", dynamic.decay, "must be in [0, 1]"));
        }
        if data.file.is_empty() && !own {
            return Err(Error::Usage("name the text to evaluate on".into()));
        }
        let (path, skip_unseen) = (Path::new(&data.file), options.skip_unseen == Some(true));
        let (tokens, skipped) = self.tokens(path, data.encoding(), from, skip_unseen)?;
        let (network, params, unit) = (&self.network, &self.params, Unit::Nats(self.vocab.unit()));
        let measure = |name, value, note: &str| Measure { name, value, unit, note: note.into() };
        let windowed = score::windowed(network, params, &tokens);
        let streaming = |dynamic| score::streaming(network, params, &tokens, dynamic).mean_nats();
        let mut measures = vec![
            measure("windowed_nats", windowed.mean_nats(), "windows of 256 tokens from the zero state"),
            measure("streaming_nats", streaming(None), "the state carried through the text"),
        ];
        let mut details = Map::new();
        if options.dynamic == Some(true) {
            measures.push(measure("dynamic_nats", streaming(Some(dynamic)), "the weights adapt to what has been read"));
        } else {
            details.insert("dynamic_nats".into(), Value::Null);
        }
        let notes = (skipped > 0).then(|| format!("left out {skipped} tokens that the model does not know"));
        let examples = (windowed.tokens, "symbols");
        let baselines = vec![score::frequencies(&tokens, self.vocab.unit(), "windowed_nats")];
        Ok(Evaluation {
            measures,
            examples,
            baselines,
            details,
            notes: notes.into_iter().collect(),
            ..Evaluation::default()
        })
    }

    fn predict(&self, _: Input, _: &Predict) -> Result<Vec<Prediction>> {
        Err(Error::Usage("this is a language model; use `elman sample`, or `Model::sample` in the library".into()))
    }

    fn sample(&self, prompt: &str, options: &Sample) -> Result<String> {
        let sampler = options.sampler;
        let mut writer = Writer::new(self.stepping.clone(), self.vocab.clone(), sampler, options.seed)?;
        writer.read(prompt.as_bytes(), false)?;
        let mut text = String::new();
        writer.write(options.length, &options.stop, |piece| {
            text.push_str(piece);
            true
        })?;
        Ok(text)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
