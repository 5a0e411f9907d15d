//! The target side of a decoder's block.

use crate::cell::{Order, Steps};
use crate::layer::Grouping;
use crate::rng::Rng;

/// The target side of a block: target sequences, longest first.
#[derive(Clone, Debug)]
pub struct TargetSequences {
    /// Which rows belong to which step.
    pub steps: Steps,
    /// Inputs: BOS and the sequence `[N]`.
    pub inputs: Vec<u32>,
    /// Targets: the sequence and EOS `[N]`.
    pub targets: Vec<u32>,
    /// The rows in which the decoder is fed its own prediction instead of `inputs` `[N]`; empty for none.
    pub predicted: Vec<bool>,
    /// The rows of each sequence.
    pub groups: Grouping,
    /// `sorted[i]` is the caller's index of the `i`-th longest sequence.
    pub sorted: Vec<usize>,
}

impl TargetSequences {
    /// Packs sequences of any lengths, in any order.
    pub fn new<S: AsRef<[u32]>>(sequences: &[S], bos: u32, eos: u32) -> Self {
        let lengths: Vec<usize> = sequences.iter().map(|s| s.as_ref().len() + 1).collect();
        let Order { steps, sorted } = Order::new(&lengths);
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for t in 0..steps.len() {
            for sequence in sorted[..steps.active(t)].iter().map(|&i| sequences[i].as_ref()) {
                inputs.push(if t == 0 { bos } else { sequence[t - 1] });
                targets.push(sequence.get(t).copied().unwrap_or(eos));
            }
        }
        let groups = Grouping::new(&steps, &(0..sequences.len()).collect::<Vec<_>>());
        TargetSequences { steps, inputs, targets, predicted: Vec::new(), groups, sorted }
    }

    /// Draws the rows in which the decoder is fed its own prediction, each with this probability; never the first step.
    pub fn scheduled_sampling(&mut self, probability: f64, rng: &mut Rng) {
        let first = self.steps.active(0);
        self.predicted = (0..self.inputs.len()).map(|row| rng.uniform() < probability && row >= first).collect();
    }
}
