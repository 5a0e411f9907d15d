//! The plan of every supervised task.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::baseline::Simple;
use super::batches::{About, SupervisedBatches};
use super::examples::Examples;
use super::reading::Reading;
use crate::data::statistics::Described;
use crate::data::{Labels, Vary, stratified_split, train_val_split};
use crate::error::{Error, Result};
use crate::layer::Loss;
use crate::metric::{Evaluator, Truth};
use crate::rng::Rng;
use crate::settings::{ClassWeights, Settings, Whether};
use crate::shape::{InputKind, Outputs, SequenceInputConfig};
use crate::task::frozen::frozen;
use crate::task::plan::{DataStatistics, Plan, RunSummary, Start, memory, session};
use crate::task::pretrained::{Grown, Pretrained};
use crate::train::{Session, pool};

/// What a task has read and decided.
pub(crate) struct Parts<S: Outputs, R: Reading<S>> {
    /// The settings, resolved; with what the data decided.
    pub settings: Settings,
    /// How inputs are read.
    pub reading: R,
    /// The sizes of the network.
    pub sizes: S::Config,
    /// Training examples.
    pub train: R::Examples,
    /// Validation examples.
    pub val: R::Examples,
    /// The run in words; parameters and memory are filled in.
    pub summary: RunSummary,
    /// Values that are kept for backward.
    pub activations: usize,
}

/// A supervised run before its first update.
pub(crate) struct SupervisedPlan<S: Outputs, R: Reading<S>> {
    settings: Settings,
    network: S,
    reading: R,
    train: R::Examples,
    val: R::Examples,
    /// Both, for a second training.
    all: Option<R::Examples>,
    evaluator: Evaluator,
    summary: RunSummary,
}

impl<S: Outputs, R: Reading<S>> SupervisedPlan<S, R> {
    /// Lays the network out.
    ///
    /// # Errors
    /// An invalid network configuration.
    pub(crate) fn new(parts: Parts<S, R>) -> Result<Self> {
        let Parts { settings, reading, sizes, train, val, mut summary, activations } = parts;
        let network = S::from_config(sizes)?;
        let all = (settings.refit == Whether::Yes).then(|| train.joined(&val));
        summary.json["train"] = train.len().into();
        summary.json["held_out"] = val.len().into();
        summary.loss_unit = if reading.goal().labels().is_empty() { "" } else { "nats" };
        summary.reads = reading.describe(network.sizes());
        summary.parameters = network.layout().len();
        let (begins, frozen) = (Pretrained::open(&settings)?, frozen(&settings, network.layout())?.1);
        let begins = begins.map(|from| {
            let old: R = from.reading()?;
            from.check(network.layout(), &Grown::behind(old.tokens(), old.goal().outputs()))?;
            Ok::<_, Error>(from.note(&reading.added_to(&old)))
        });
        let begins = begins.transpose()?;
        let alike = Labels::alike(reading.goal().labels());
        summary.notes = begins.into_iter().chain(frozen).chain(summary.notes).chain(alike).collect();
        summary.memory += memory(summary.parameters, settings.batch, activations);
        let evaluator = reading.evaluator(1.0);
        Ok(SupervisedPlan { settings, network, reading, train, val, all, evaluator, summary })
    }
}

impl<S: Outputs, R: Reading<S>> Plan for SupervisedPlan<S, R>
where
    S::State: Sync + crate::train::Carry<f32>,
{
    fn parts(&self) -> (&Settings, &RunSummary) {
        (&self.settings, &self.summary)
    }

    fn statistics(&self) -> Option<DataStatistics> {
        let [train, val] = [&self.train, &self.val].map(described);
        Some(DataStatistics::of(self.reading.goal().labels(), &train, &val, |truth| truth.classes()))
    }

    fn session<'a>(&'a self, start: Start) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let mut config = json!(self.reading);
        config["task"] = s.task.as_str().into();
        config["shape"] = json!(R::SHAPE);
        config["builtin"] = json!(s.file.is_empty());
        let (goal, simple) = (self.reading.goal(), Simple::fit::<S, _>(&self.train, self.reading.goal()));
        // On the run's own threads: those of the process are gone in a fork of it.
        let rules = self.reading.rules(&self.val);
        let baselines = pool(s.threads)?.install(|| simple.scores::<S, _>(&self.val, &self.evaluator, goal, rules));
        config["baseline"] = json!(simple);
        let about = About { goal, baselines };
        let mut params = self.network.initial(s.init.0, &mut Rng::new(s.seed, "weights"));
        self.reading.begin(&self.network, s, &self.train, &mut params)?;
        if let Some(from) = Pretrained::open(s)? {
            let old: R = from.reading()?;
            from.copy(&mut params, &Grown::behind(old.tokens(), old.goal().outputs()))?;
        }
        let batches = SupervisedBatches::new(
            [&self.train, &self.val],
            self.all.as_ref(),
            &self.evaluator,
            about,
            s,
            &self.network,
            config,
            &start.ranks,
        )?;
        session(&self.network, batches, s, params, start)
    }
}

impl Settings {
    /// The weight of each class in the loss, by the training targets; none where all count the same.
    pub(in crate::task) fn weights_of_classes(&self, labels: &Labels, targets: impl Iterator<Item = u32>) -> Vec<f64> {
        match self.class_weights {
            ClassWeights::Balanced => labels.balanced(targets),
            _ => Vec::new(),
        }
    }

    /// The network of a task that predicts a class for a whole sequence.
    pub(in crate::task) fn sequence_input(
        &self,
        feed: InputKind,
        extra: usize,
        labels: &Labels,
        targets: &[[u32; 1]],
    ) -> SequenceInputConfig {
        let s = self;
        let class_weights = s.weights_of_classes(labels, targets.iter().map(|label| label[0]));
        SequenceInputConfig {
            cell: s.cell,
            layers: s.layers,
            hidden: s.hidden,
            bidirectional: s.bidirectional,
            feed,
            embedding: s.embedding,
            embedding_dropout: s.embedding_dropout,
            locked: s.locked_dropout,
            // Version 0.1 locked tokens alone.
            locked_layers: s.locked_dropout && s.rules > 1,
            pooling: s.pooling,
            extra,
            classes: labels.len(),
            dropout: s.dropout,
            weight_drop: s.weight_drop,
            loss: Loss { smoothing: s.label_smoothing, class_weights },
            huber: None,
        }
    }

    /// Values that recurrent layers keep of a step, roughly.
    pub(in crate::task) fn recurrent_values(&self) -> usize {
        let directions = if self.bidirectional { 2 } else { 1 };
        self.layers * directions * self.hidden * 12
    }
}

/// Training examples, and those of the file `val` or else some of them, of each `class` in proportion, with the file of these.
///
/// # Errors
/// Any error of `read`; too few examples.
pub(crate) fn divided<T>(
    settings: &Settings,
    rows: Vec<T>,
    path: &Path,
    class: fn(&T) -> &str,
    read: impl FnOnce(&Path) -> Result<Vec<T>>,
) -> Result<(Vec<T>, Vec<T>, PathBuf)> {
    if settings.val.is_empty() {
        let (train, val) = match settings.rules {
            1 => train_val_split(rows, &settings.hold_out(), path)?,
            _ => stratified_split(rows, class, &settings.hold_out(), path)?,
        };
        return Ok((train, val, path.into()));
    }
    let path = PathBuf::from(&settings.val);
    let val = read(&path)?;
    Ok((rows, val, path))
}

/// What statistics count of examples.
fn described<S: Outputs, E: Examples<S>>(examples: &E) -> Vec<Described<Truth<'_>>> {
    let one = |example| {
        let mut hasher = DefaultHasher::new();
        examples.hash(example, &mut hasher);
        Described { steps: examples.steps(example), content: hasher.finish(), target: examples.truth(example) }
    };
    (0..examples.len()).map(one).collect()
}

/// The augmentation that the settings ask for; rows of a table have noise only.
pub(crate) fn augmentation(settings: &Settings, is_image: bool) -> Vary {
    let s = settings;
    match is_image {
        true => Vary { shift: s.shift, mirror: s.mirror, distort: s.distort, gain: s.gain, noise: s.noise },
        false => Vary { noise: s.noise, ..Vary::default() },
    }
}
