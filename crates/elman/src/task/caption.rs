//! A vector becomes a sequence: what an image shows, a name of a kind, a melody of a mood. Reader: a matrix of features, or
//! images and an encoder, and a table of captions; shape: sequence output; measure: BLEU-4 on the validation images.

mod captions;
mod nearest;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::metadata::part;
use super::model::wrong_input;
use super::row::{base, no_files, planned, size};
use super::writing::{self, Asked, Corpus, Example, Given, Model, Tokenizer, Writing, decoder, tokenizer};
use super::{Callback, Evaluate, Evaluation, Input, Measure, Predict, Reads, Source, Task, Unit, grouped};
use crate::cell::CellKind;
use crate::data::captions::Captions;
use crate::data::encoder::{Encoder, EncoderId, Wanted};
#[cfg(feature = "media")]
use crate::data::images;
use crate::data::{Matrix, Units, builtin, train_val_split};
use crate::error::{Error, Result};
use crate::file::{self, HAS_FILES, fault};
use crate::format::model::Loaded;
use crate::layer::AttentionKind;
use crate::metric::{Shown, caption_bleu, caption_order};
use crate::settings::{Data, Settings};
use crate::shape::{DecoderConfig, SequenceOutput, SequenceOutputConfig};
use crate::train::pool;

/// The row of the table.
#[rustfmt::skip]
pub const TASK: Task = Task {
    name: "caption",
    about: "Learns to write a text for a vector or a feature map: the caption of an image.",
    command: "predict",
    reads: &[
        "features", "captions", "images", "encoder", "encoder_output", "cell", "forget_bias", "layers", "hidden", "embedding", "tied",
        "attention", "feature_dropout", "upper_layers", "conditional", "locked_dropout", "label_smoothing",
        "scheduled_sampling", "init", "units", "lowercase", "vocab_size", "vocab_min", "max_len", "folds", "fold",
        "beam", "val_beam", "val_limit", "length_penalty", "coverage_penalty", "no_repeat_ngram",
    ],
    sizes: &[
        size("cell", "/network/decoder/cell"),
        size("layers", "/network/decoder/layers"),
        size("hidden", "/network/decoder/hidden"),
        size("embedding", "/network/decoder/embedding"),
        size("conditional", "/network/decoder/conditional"),
        size("attention", "/network/decoder/attention"),
        size("tied", "/network/decoder/tied"),
        size("units", "/language/subwords/tokenizer"),
        size("lowercase", "/language/lowercase"),
    ],
    data: DATA,
    eval_data: &["features", "captions", "images", "encoder"],
    evaluate: &["split", "beam", "length_penalty", "coverage_penalty", "no_repeat_ngram", "min_length", "ensemble"],
    predict: &[
        "nbest", "attention", "encoder", "beam", "length_penalty", "coverage_penalty", "no_repeat_ngram", "min_length",
        "ensemble", "scores",
    ],
    defaults,
    plan: planned(writing::plan::<Caption>),
    open: writing::open::<Caption>,
};

/// The settings that name training data.
const DATA: &[&str] = &["features", "captions", "images"];
/// Scenes that are made where none are given.
const MADE: usize = 6000;
/// Scenes that a model of these is evaluated on where nothing else is named.
const SHOWN: usize = 300;
/// The names of BLEU-1 to BLEU-4.
const BLEU: [&str; 4] = ["bleu1", "bleu2", "bleu3", "bleu4"];

fn defaults(data: Data) -> Settings {
    let given = Settings {
        cell: CellKind::Lstm,
        hidden: 512,
        embedding: 256,
        tied: true,
        attention: AttentionKind::Additive,
        dropout: 0.5,
        label_smoothing: 0.1,
        scheduled_sampling: 0.3,
        units: Units::Word,
        lowercase: true,
        vocab_min: 5,
        max_len: 60,
        batch: 64,
        lr: 0.001,
        weight_decay: 0.01,
        ema_decay: 0.999,
        warmup: 200,
        sample_every: 1,
        // Greedily BLEU swings by a point between epochs, and the best so may write worse with the full beam.
        val_beam: 5,
        length_penalty: 0.7,
        ..base(TASK.name)
    };
    match data {
        Data::Given => given,
        Data::Builtin => Settings {
            cell: CellKind::Gru,
            hidden: 128,
            embedding: 64,
            vocab_min: 1,
            dropout: 0.1,
            feature_dropout: 0.0,
            label_smoothing: 0.0,
            scheduled_sampling: 0.0,
            val_frac: 0.05,
            lr: 0.004,
            ema_decay: 0.99,
            warmup: 50,
            epochs: 20.0,
            ..given
        },
    }
}

/// What makes the features of images.
#[derive(Debug, Default)]
pub(super) struct Caption {
    /// What made those of the training, if that is known.
    encoder: Option<EncoderId>,
    /// The encoder that was opened last, and its file.
    opened: Mutex<Option<(PathBuf, Arc<Encoder>)>>,
}

impl Caption {
    /// The encoder of this file for a model.
    ///
    /// # Errors
    /// As [`Encoder::open`]; [`Error::Data`] if it is not the one that the model was trained with, or of another width.
    fn open_encoder(&self, path: &Path, network: &SequenceOutput) -> Result<Arc<Encoder>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, encoder)) = opened.as_ref().filter(|(of, _)| of == path) {
            return Ok(encoder.clone());
        }
        let SequenceOutputConfig { features: width, positions: places, .. } = *network.config();
        let wanted = match &self.encoder {
            None => Wanted::Fits { positions: places, width },
            Some(id) => {
                let found = EncoderId::of_file(path)?;
                if !found.is_file_of(id) {
                    return Err(fault(path, format!("is {found}, but the model was trained with {id}; give that one")));
                }
                Wanted::Named(&id.output)
            }
        };
        let encoder = Arc::new(Encoder::open(path, wanted)?);
        if encoder.dims() != (places, width) {
            let (p, w) = encoder.dims();
            let reason = format!("gives {p} x {w} features per image; the model was trained on {places} x {width}");
            return Err(fault(path, reason));
        }
        *opened = Some((path.into(), encoder.clone()));
        Ok(encoder)
    }

    /// The features that a file holds, `[N, C]` or `[N, P, C]`, or that an encoder makes of an image.
    fn features(&self, path: &Path, encoder: Option<&Path>, network: &SequenceOutput) -> Result<(Matrix, Source)> {
        let is_matrix = path.extension().is_some_and(|extension| extension == "npy" || extension == "safetensors");
        match encoder {
            None if is_matrix => {
                let features = Matrix::read(path)?;
                check_fits(&features, network, path)?;
                Ok((features, Source::Features { grid: None, encoder: None }))
            }
            None => {
                let which = self.encoder.as_ref().map_or("an .onnx file".into(), |id| format!("{id}, as in training"));
                Err(Error::Usage(format!("{}: an image needs `encoder`: {which}", path.display())))
            }
            Some(file) if is_matrix => {
                let requirement = format!("is for images, but {} holds ready features", path.display());
                Err(Error::setting("encoder", file.display(), requirement))
            }
            Some(file) => {
                let encoder = self.open_encoder(file, network)?;
                let values = encoder.features(&file::read(path)?, path)?;
                let (places, width) = encoder.dims();
                let source = Source::Features { grid: encoder.grid(), encoder: Some(encoder) };
                Ok((Matrix { dims: vec![1, places, width], values }, source))
            }
        }
    }
}

/// Checks that a matrix has rows of the width the model was trained on.
fn check_fits(features: &Matrix, network: &SequenceOutput, path: &Path) -> Result<()> {
    let SequenceOutputConfig { features: width, positions: places, .. } = *network.config();
    if (features.row_len(), features.width()) == (places * width, width) {
        return Ok(());
    }
    let (dims, trained) = (&features.dims[1..], format!("{places} of {width} values"));
    Err(fault(path, format!("has rows {dims:?}; the model was trained on {trained}; was another encoder used?")))
}

/// An image, scaled to what is shown of it; none where it cannot be read.
#[cfg(feature = "media")]
fn small(path: &Path) -> Option<Shown> {
    const SIDE: usize = 64;
    let image = images::read(path, false).ok()?;
    let longest = image.width.max(image.height);
    let [width, height] = [image.width, image.height].map(|side| (side * SIDE.min(longest) / longest).max(1));
    let image = image.resize(width, height).ok()?;
    Some(Shown::image(&image.pixels, [height, width, image.channels]))
}

#[cfg(not(feature = "media"))]
fn small(_: &Path) -> Option<Shown> {
    None
}

/// Learns the tokens of the training captions.
fn corpus(
    encoder: Option<EncoderId>,
    features: Matrix,
    [train, val]: [Vec<Example>; 2],
    settings: &Settings,
) -> Result<Corpus<Caption>> {
    let texts: Vec<&str> = train.iter().flat_map(|example| example.targets.iter().map(String::as_str)).collect();
    let tokenizer = tokenizer(texts.into_iter(), settings)?;
    let caption = Caption { encoder, ..Caption::default() };
    Corpus::new(caption, tokenizer, features, (&train, val), settings)
}

impl Writing for Caption {
    const NAME: &'static str = TASK.name;
    const SHAPE: &'static str = "sequence-output";
    const EXAMPLE: &'static str = "caption";
    const EXAMPLES: &'static str = "rows";
    const USUAL: f64 = 1.0;
    const READS: Reads = Reads::Files;
    type Network = SequenceOutput;
    type Sources = Matrix;

    fn corpus(settings: &Settings, callback: &mut Callback) -> Result<Corpus<Self>> {
        let s = settings;
        if DATA.iter().chain(&["encoder", "encoder_output"]).all(|key| s.get(key).is_empty()) {
            let (features, captions) = builtin::scenes(s.seed, MADE);
            let example = |(source, text)| Example { name: format!("row {source}"), source, targets: vec![text] };
            let examples = captions.into_iter().enumerate().map(example).collect();
            let (train, val) = train_val_split(examples, &s.hold_out(), Path::new("the built-in scenes"))?;
            return corpus(None, features, [train, val], s);
        }
        let mut id = None;
        let open = |path: &Path| {
            let encoder = Encoder::open(path, Wanted::Named(&s.encoder_output))?;
            id = Some(encoder.id().clone());
            Ok(Arc::new(encoder))
        };
        let choose = |all: Captions| all.into_train_and_val(&s.hold_out(), Path::new(&s.captions));
        let read = pool(s.threads)?.install(|| captions::read(s, choose, open, callback))?;
        let corpus = corpus(id, read.features, read.parts, s)?;
        Ok(Corpus { notes: read.note.into_iter().collect(), ..corpus })
    }

    fn network(settings: &Settings, corpus: &Corpus<Self>) -> Result<SequenceOutput> {
        let (s, features) = (settings, corpus.sources.width());
        let places = corpus.sources.row_len() / features.max(1);
        // There is no encoder whose layers these would be: a conditional decoder refuses more than one.
        let of_map = DecoderConfig { layers: s.layers, ..decoder(s, corpus.tokenizer.subwords.len()) };
        let decoder = match places > 1 {
            true => of_map,
            // There is nothing to attend to; a conditional decoder refuses that, too.
            false => DecoderConfig { attention: None, upper_layers: 0, ..of_map },
        };
        let (memory, feature_dropout) = (s.hidden, s.feature_dropout);
        SequenceOutput::new(SequenceOutputConfig { features, positions: places, memory, feature_dropout, decoder })
    }

    fn in_words(settings: &Settings, corpus: &Corpus<Self>, _: &SequenceOutput) -> [String; 2] {
        let Settings { cell, layers, hidden, .. } = settings;
        let [train, val] = [corpus.train.len(), corpus.val.len()].map(grouped);
        let features = grouped(corpus.sources.row_len());
        [
            format!("{} {layers}x{hidden}", cell.name()),
            format!("{train} training captions, {val} validation images, {features} features per image"),
        ]
    }

    fn activations(settings: &Settings, corpus: &Corpus<Self>, longest: usize) -> usize {
        let Corpus { tokenizer, sources, .. } = corpus;
        let of_one = longest * (2 * tokenizer.subwords.len() + 20 * settings.hidden) + 3 * sources.row_len();
        settings.batch * of_one + sources.values.len()
    }

    fn fingerprint(corpus: &Corpus<Self>) -> Result<Value> {
        let Corpus { sources: features, train, val, .. } = corpus;
        let mut hasher = crc32fast::Hasher::new();
        for row in 0..features.rows() {
            // A call for each row, not for each value: a map has half a billion.
            hasher.update(&features.row(row).iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        }
        for (row, tokens) in train {
            hasher.update(&(*row as u64).to_le_bytes());
            tokens.iter().for_each(|token| hasher.update(&token.to_le_bytes()));
        }
        Ok(json!({"captions": train.len(), "held_out": val.len(), "crc32": hasher.finalize()}))
    }

    fn validated(examples: &[Example]) -> Vec<&'static str> {
        let references: Vec<Vec<String>> = examples.iter().map(|example| example.targets.clone()).collect();
        let mut measures = vec![BLEU[caption_order(&references) - 1], BLEU[0], "loss_nats"];
        measures.dedup();
        measures
    }

    fn measure(texts: &[String], references: &[Vec<&str>], _: &Tokenizer) -> Result<Evaluation> {
        let (unit, note) = (Unit::Points, "tokenised as in the caption papers");
        let bleu = BLEU.into_iter().zip(caption_bleu(texts, references)?);
        let measures = bleu.map(|(name, value)| Measure { name, value, unit, note: note.into() }).collect();
        Ok(Evaluation { measures, ..Evaluation::default() })
    }

    fn rule(examples: &[Example], training: Option<&Corpus<Self>>) -> Result<Option<(&'static str, Vec<String>)>> {
        let Some(corpus) = training else { return Ok(None) };
        let images: Vec<usize> = examples.iter().map(|example| example.source).collect();
        Ok(Some(("the caption of the most similar image", nearest::captions(corpus, &images)?)))
    }

    fn picture(settings: &Settings, sources: &Matrix, example: &Example) -> Option<Shown> {
        if !settings.images.is_empty() {
            return small(&Path::new(&settings.images).join(&example.name));
        }
        let is_builtin = DATA.iter().all(|key| settings.get(key).is_empty());
        let (pixels, [height, width]) = is_builtin.then(|| builtin::picture(sources.row(example.source)))?;
        Some(Shown::image(&pixels, [height, width, 3]))
    }

    fn describe_in(&self, config: &mut Value) {
        config["encoder"] = json!(self.encoder);
    }

    fn open(loaded: &Loaded) -> Result<Self> {
        Ok(Caption { encoder: part(loaded, "encoder")?, ..Caption::default() })
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        self.encoder.iter().map(|id| ("encoder", format!("{id}, output {:?}", id.output))).collect()
    }

    fn check_together(one: &SequenceOutput, other: &SequenceOutput) -> Result<()> {
        let [(a, b), (c, d)] = [one, other].map(|network| (network.config().positions, network.config().features));
        if (a, b) == (c, d) {
            return Ok(());
        }
        Err(Error::Usage(format!("models that predict together need the same features: {a} x {b} and {c} x {d}")))
    }

    fn given(model: &Model<Self>, data: &Settings, options: &Evaluate, call: &mut Callback) -> Result<Given<Self>> {
        let network = model.network();
        if model.is_builtin && DATA.iter().all(|key| data.get(key).is_empty()) {
            let (sources, captions) = builtin::scenes(data.seed, SHOWN);
            let example = |(source, text)| Example { name: format!("row {source}"), source, targets: vec![text] };
            return Ok(Given {
                sources,
                examples: captions.into_iter().enumerate().map(example).collect(),
                notes: Vec::new(),
            });
        }
        let split = options.split.as_deref().unwrap_or("test");
        let choose = |all: Captions| all.into_split(split, Path::new(&data.captions));
        let read = captions::read(data, choose, |path| model.task.open_encoder(path, network), call)?;
        check_fits(&read.features, network, Path::new(&data.features))?;
        let [examples] = read.parts;
        Ok(Given { sources: read.features, examples, notes: read.note.into_iter().collect() })
    }

    fn asked(model: &Model<Self>, input: Input, options: &Predict) -> Result<Asked<Self>> {
        let network = model.network();
        if !matches!(input, Input::File(_) | Input::Features(_)) {
            return Err(wrong_input("image files and matrices of features"));
        }
        if options.attention == Some(true) && network.config().positions == 1 {
            let message = "`attention`: the model reads an image as one vector and attends to no position; train it on a \
                           feature map, with `encoder_output`";
            return Err(Error::Usage(message.into()));
        }
        let path = match input {
            Input::File(path) => path,
            _ => Path::new("the features"),
        };
        let (sources, source) = match input {
            Input::Features(features) => {
                check_fits(features, network, path)?;
                (features.clone(), Source::Features { grid: None, encoder: None })
            }
            _ if HAS_FILES => model.task.features(path, options.encoder.as_deref(), network)?,
            _ => return Err(no_files()),
        };
        let name = |row: usize| match options.encoder {
            None => format!("{}:{row}", path.display()),
            Some(_) => path.display().to_string(),
        };
        let about = (0..sources.rows()).map(|row| (name(row), source.clone(), None)).collect();
        Ok(Asked { sources, about })
    }
}
