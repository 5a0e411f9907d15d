//! Everything of a run before its first update, whatever its task.

use serde_json::Value;

use super::frozen::frozen;
use crate::cell::set_forget_bias;
pub use crate::data::statistics::{DataStatistics, TextStatistics};
use crate::error::Result;
use crate::param::Params;
use crate::settings::Settings;
use crate::shape::Shape;
use crate::train::{Batches, Carry, Ranks, RunFolder, Session, Trainer, blocks, blocks_among, threads};

/// Is told how much of a preparation is done and how much there is; answers whether to go on.
pub type Callback<'c> = dyn FnMut(usize, usize) -> bool + Send + 'c;

/// Data read and a network laid out: ready to train.
pub trait Plan: Send + Sync {
    /// The settings, resolved, and what a person or a program is told before training.
    fn parts(&self) -> (&Settings, &RunSummary);

    /// The settings, resolved.
    fn settings(&self) -> &Settings {
        self.parts().0
    }

    /// What a person or a program is told before training.
    fn summary(&self) -> &RunSummary {
        self.parts().1
    }

    /// Statistics of labelled examples; none where the task has none.
    fn statistics(&self) -> Option<DataStatistics> {
        None
    }

    /// Statistics of a text; none where the task does not read one.
    ///
    /// # Errors
    /// If the text can no longer be read.
    fn text_statistics(&self) -> Result<Option<TextStatistics>> {
        Ok(None)
    }

    /// The run.
    ///
    /// # Errors
    /// If threads cannot be started, the checkpoint belongs to another run, or other ranks train something else.
    fn session<'a>(&'a self, start: Start) -> Result<Box<dyn Session + 'a>>;
}

impl std::fmt::Debug for dyn Plan + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("task", &self.settings().task).field("summary", self.summary()).finish()
    }
}

/// How a run starts; by default from the beginning, alone and without a folder.
#[derive(Debug, Default)]
pub struct Start {
    /// Where it is recorded.
    pub folder: Option<RunFolder>,
    /// Whether it goes on from the folder's checkpoint.
    pub resume: bool,
    /// The processes that train together; the lead alone has a folder.
    pub ranks: Ranks,
}

impl Start {
    /// A new run, recorded in this folder.
    pub fn new(folder: RunFolder) -> Start {
        Start { folder: Some(folder), ..Start::default() }
    }

    /// The run in this folder goes on.
    pub fn resumed(folder: RunFolder) -> Start {
        Start { resume: true, ..Start::new(folder) }
    }

    /// Together with these processes.
    #[must_use]
    pub fn among(self, ranks: Ranks) -> Start {
        Start { ranks, ..self }
    }
}

/// A run in words and numbers.
#[derive(Clone, Debug, Default)]
pub struct RunSummary {
    /// The network in a few words: `gru 1x512`.
    pub network: String,
    /// Weights.
    pub parameters: usize,
    /// The data in a sentence, without their name: `1,000 training sentences, 100 validation sentences`.
    pub data: String,
    /// Targets in an epoch.
    pub targets: usize,
    /// What a target is: `character`, `example`, `frame`.
    pub unit: &'static str,
    /// What the loss is counted in: `nats`, or nothing where it is the squared error of numbers.
    pub loss_unit: &'static str,
    /// What was decided for the user, such as which column was taken for the label.
    pub notes: Vec<String>,
    /// How inputs are read, a column a line: names and texts.
    pub reads: Vec<(&'static str, String)>,
    /// Bytes that training will take, roughly.
    pub memory: usize,
    /// More for machines: an object.
    pub json: Value,
}

/// The one place that makes a run: network, batches and initial weights as the settings say.
///
/// # Errors
/// As [`Trainer::new`] and [`Trainer::resume`].
pub(super) fn session<'a, S: Shape<f32>, B: Batches<S> + Send + 'a>(
    shape: &'a S,
    batches: B,
    settings: &Settings,
    mut params: Params<f32>,
    start: Start,
) -> Result<Box<dyn Session + 'a>>
where
    S::State: Carry<f32>,
{
    let threads = threads(settings.threads);
    // Trained weights have theirs.
    if settings.cell.has_c() && settings.from.is_empty() {
        set_forget_bias(&mut params, settings.forget_bias);
    }
    let mut trainer = Trainer::new(shape, batches, settings.train_config(), params, threads, start.folder)?;
    if settings.single_bias {
        let second = shape.layout().tensors().iter().filter(|tensor| tensor.name.contains("bias_hh_"));
        trainer.freeze(second.map(|tensor| tensor.slot.range()));
    }
    trainer.freeze(frozen(settings, shape.layout())?.0);
    if start.resume {
        trainer.resume()?;
    }
    trainer.join(start.ranks)?;
    Ok(Box::new(trainer))
}

/// The number of blocks that a batch falls into.
pub(super) fn blocks_of_batch(
    settings: &Settings,
    batch: usize,
    ranks: &Ranks,
    of_old: impl Fn(usize) -> usize,
) -> usize {
    match settings.rules {
        1 if ranks.is_alone() => of_old(batch),
        _ => blocks_among(batch, ranks.size(), settings.deterministic),
    }
}

/// Bytes of weights, moments and gradients of a run, roughly, with `activations` values besides.
pub(super) fn memory(weights: usize, batch: usize, activations: usize) -> usize {
    4 * (weights * (6 + blocks(batch)) + activations)
}

/// `1234567` as `1,234,567`.
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let parts: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|part| str::from_utf8(part).ok()).collect();
    parts.join(",")
}
