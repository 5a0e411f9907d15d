//! How long a run is, where that is left to the data.

use crate::settings::{Auto, Keep, Settings, Whether};

/// Examples below which a tenth of them is too few to choose by: the end of the run is kept, and all are learned from.
pub(crate) const FEW: usize = 300;
/// Decay of the averaged weights of a long run.
const EMA_DECAY: f64 = 0.99;

/// What a task's runs are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Examples of a batch, at least and at most.
    pub batch: [usize; 2],
    /// Batches that the examples make, between these.
    pub share: usize,
    /// Updates of each example where they are few, and of all at least and at most.
    pub updates: (u64, [u64; 2]),
    /// Passes over more examples than that.
    pub epochs: f64,
}

impl Settings {
    /// Settles batch, length, averaging and which weights are kept, where they are left to the data, for `examples` training
    /// examples; returns what was decided, in a sentence.
    pub(in crate::task) fn settle_length(&mut self, examples: usize, length: Length) -> Option<String> {
        let s = self;
        let Length { batch: [least, most], share, updates, epochs } = length;
        let mut said = Vec::new();
        if s.batch.is_auto() {
            // As a power of two.
            let part = (examples as f64 / share as f64).max(1.0).log2().round() as u32;
            s.batch = 2usize.pow(part.min(30)).clamp(least, most).min(examples.max(1));
            said.push(format!("batch {}", s.batch));
        }
        if s.epochs.is_auto() {
            s.epochs = 0.0;
            if s.max_steps == 0 {
                let few = (updates.0 * examples as u64).clamp(updates.1[0], updates.1[1]);
                s.max_steps = few.max((epochs * examples as f64 / s.batch as f64) as u64);
                let passes = (s.max_steps * s.batch as u64) as f64 / examples.max(1) as f64;
                said.push(format!("{} updates ({passes:.0} epochs)", s.max_steps));
            }
        }
        if s.ema_decay.is_auto() {
            let updates = if s.max_steps > 0 { s.max_steps as f64 } else { f64::INFINITY };
            s.ema_decay = EMA_DECAY.min(1.0 - 10.0 / updates.max(20.0));
        }
        if s.keep == Keep::Auto {
            let is_judge = s.folds > 0;
            s.keep = if is_judge || examples < FEW { Keep::Last } else { Keep::Best };
        }
        if s.refit == Whether::Auto {
            let is_small = examples < FEW && s.folds == 0 && s.val.is_empty();
            s.refit = if is_small { Whether::Yes } else { Whether::No };
        }
        if s.keep == Keep::Last && s.folds == 0 {
            said.push("the weights of the end are kept".into());
        }
        if s.refit == Whether::Yes {
            let most = if s.keep == Keep::Best { ", as long as was best" } else { "" };
            said.push(format!("trained once more with the validation data{most}"));
        }
        (!said.is_empty()).then(|| format!("by the data ({examples} training examples): {}", said.join(", ")))
    }
}
