//! A label at every step: what each frame of a video shows, what a machine does in each row of its log. Readers: clips,
//! tables with a row per step; shape: synced; measures: accuracy per frame and of segments.
//!
//! A network may answer `lookahead` steps late: it is trained on delayed labels, and every output is moved back.

mod model;
mod sequences;

use std::path::Path;

use serde_json::json;

use self::sequences::{Data, Raw};
use super::judge::Judge;
use super::plan::{Facts, grouped, memory};
use super::settings::{ClassWeights, Settings, Sizes};
use super::supervised::{self, Examples, Supervised, Survey};
use crate::data::{Labels, Pixels, Split, Vary};
use crate::error::{Error, Result};
use crate::layer::{FrontConfig, Loss};
use crate::rng::Rng;
use crate::shape::{InputKind, Synced, SyncedConfig};
use crate::train::{RunFolder, Session, Trainer};

pub use self::model::Model;
pub use self::sequences::{Reader, Sequences};

/// The name in files and on the command line.
pub const NAME: &str = "classify-frames";

/// Layers before the recurrent ones where the settings name none and the steps are pictures.
const CONVS: [usize; 3] = [16, 32, 64];
const DENSE: usize = 192;
/// Names of the class that means nothing is there.
const BACKGROUND: [&str; 6] = ["sil", "silence", "background", "none", "null", "_"];

/// A run before its first update.
pub struct Plan {
    settings: Settings,
    network: Synced,
    reader: Reader,
    labels: Labels,
    background: Option<u32>,
    train: Sequences,
    val: Sequences,
    judge: Judge,
}

impl Plan {
    /// Reads the sequences and lays the network out.
    ///
    /// # Errors
    /// What the readers meet; a network that cannot be; looking ahead where the whole sequence is known.
    pub fn new(mut settings: Settings) -> Result<Plan> {
        if settings.bidirectional && settings.lookahead > 0 {
            let message = "--lookahead and --bidirectional: a network that reads from both ends need not wait".into();
            return Err(Error::Usage(message));
        }
        let (data, features) = if settings.file.is_empty() {
            (Data::builtin(settings.seed), None)
        } else {
            Data::read(Path::new(&settings.file), &settings, None)?
        };
        let reader = match (data.size, features) {
            (_, Some(features)) => Reader::Features(features),
            (size, None) => {
                let [height, width, channels] = size.unwrap_or([1, 1, 1]);
                let frames = data.sequences.iter().filter(|s| s.split.is_none_or(|split| split == Split::Train));
                let frames = frames.filter_map(|s| match &s.raw {
                    Raw::Frames(frames) => Some(frames.as_slice()),
                    Raw::Rows(_) => None,
                });
                let pixels = Pixels::fit(height, width, channels, true, frames);
                let context = settings.context.max(1);
                let ahead = if settings.bidirectional { context / 2 } else { 0 };
                Reader::Frames { pixels, context, ahead, differences: settings.differences }
            }
        };
        let classes = data.classes.clone();
        let (train, val) = if settings.val.is_empty() {
            data.divide(&settings.hold_out())?
        } else {
            (data, Data::read(Path::new(&settings.val), &settings, Some(&reader))?.0)
        };
        let names = train.sequences.iter().flat_map(|s| s.labels.iter().map(String::as_str));
        let seen = Labels::of(names, &train.path)?;
        // The data's own order, where it has one that holds them all.
        let own = Labels::from(classes);
        let labels = if seen.names().iter().all(|name| own.find(name).is_some()) { own } else { seen };
        let background = background(&settings, &labels)?;
        let mut train = Sequences::new(train, &reader, &labels, settings.lookahead)?;
        let val = Sequences::new(val, &reader, &labels, settings.lookahead)?;
        let s = &mut settings;
        let (front, vary) = match &reader {
            Reader::Frames { pixels, context, .. } => {
                if s.convs.0.is_empty() && s.dense.0.is_empty() {
                    let small = pixels.height.min(pixels.width) < 8;
                    s.convs = Sizes(if small { Vec::new() } else { CONVS.to_vec() });
                    s.dense = Sizes(vec![DENSE]);
                }
                let input = [pixels.height, pixels.width, pixels.channels * context];
                let vary = Vary { shift: s.shift, mirror: s.mirror, distort: s.distort, gain: s.gain, noise: s.noise };
                (Some(input), vary)
            }
            Reader::Features(features) => {
                let input = (!s.dense.0.is_empty()).then(|| [1, 1, features.width()]);
                (input, Vary { noise: s.noise, ..Vary::default() })
            }
        };
        (train.vary, train.jitter) = (vary, s.jitter);
        let front = front.map(|input| FrontConfig {
            input,
            convs: s.convs.0.clone(),
            dense: s.dense.0.clone(),
            dropout: s.dropout,
        });
        let class_weights = match s.class_weights {
            ClassWeights::Equal => Vec::new(),
            ClassWeights::Balanced => labels.balanced(train.labels.iter().flatten().copied()),
        };
        let network = Synced::new(SyncedConfig {
            cell: s.cell,
            layers: s.layers,
            hidden: s.hidden,
            bidirectional: s.bidirectional,
            feed: InputKind::Dense(reader.width()),
            embedding: 0,
            tied: false,
            classes: labels.len(),
            dropout: s.dropout,
            front,
            loss: Loss { smoothing: s.label_smoothing, class_weights },
        })?;
        let judge = Judge::Frames { classes: labels.len(), background, temperature: 1.0 };
        Ok(Plan { settings, network, reader, labels, background, train, val, judge })
    }
}

/// The class that means nothing is there: the one asked for, or one that is called so.
fn background(settings: &Settings, labels: &Labels) -> Result<Option<u32>> {
    match settings.background.as_str() {
        "auto" => Ok(BACKGROUND.iter().find_map(|name| labels.find(name))),
        "none" if labels.find("none").is_none() => Ok(None),
        name => match labels.find(name) {
            Some(class) => Ok(Some(class)),
            None => {
                Err(Error::Usage(format!("--background {name}: there is no such class; give none for no such one")))
            }
        },
    }
}

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let s = &self.settings;
        let weights = self.network.layout().len();
        let frames: usize = self.train.labels.iter().map(Vec::len).sum();
        let longest = (0..self.train.len()).map(|i| self.train.steps(i)).max().unwrap_or(0);
        let directions = if s.bidirectional { 2 } else { 1 };
        let unit = if let Reader::Frames { .. } = self.reader { "frame" } else { "step" };
        let inputs = self.reader.width();
        let fronts = if self.network.config().front.is_some() { inputs * 2 } else { inputs };
        let activations = s.batch * longest * (fronts + s.layers * directions * s.hidden * 12);
        let knows = match (s.bidirectional, s.lookahead) {
            (true, _) => "reads each sequence from both ends".into(),
            (false, 0) => "answers at once".into(),
            (false, n) => format!("answers {n} {unit}s late"),
        };
        Facts {
            network: format!("{} {}x{}, {knows}", s.cell.name(), s.layers, s.hidden),
            parameters: weights,
            data: format!(
                "{} sequences of {} {unit}s to learn from, {} held out; {} classes{}",
                grouped(self.train.len()),
                grouped(frames),
                grouped(self.val.len()),
                self.labels.len(),
                self.background.map_or_else(String::new, |class| {
                    format!(", of which `{}` means nothing is there", self.labels.names()[class as usize])
                })
            ),
            targets: frames,
            unit,
            notes: Vec::new(),
            memory: memory(weights, s.batch, activations),
            json: json!({
                "train": self.train.len(), "held_out": self.val.len(), "steps": frames, "numbers": inputs,
                "classes": self.labels.names(),
            }),
            command: "elman predict",
        }
    }

    fn survey(&self) -> Option<Survey> {
        Some(supervised::survey::<Synced, _>(&self.train, &self.val, self.labels.names()))
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let config = json!({
            "task": NAME, "shape": "synced", "reader": self.reader, "labels": self.labels,
            "background": self.background, "lookahead": s.lookahead,
            "columns": {"label": s.label_column, "sequence": s.sequence_column, "header": s.header},
        });
        let network = |network: &Synced| json!(network.config());
        let state = |batch| self.network.zero_state(batch);
        let task = Supervised::new(&self.train, &self.val, &self.judge, s, state, config, network)?;
        let params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        let threads = super::language_model::threads(s.threads);
        let mut trainer = Trainer::new(&self.network, task, s.train_config(), params, threads, folder)?;
        if resume {
            trainer.resume()?;
        }
        Ok(Box::new(trainer))
    }
}
