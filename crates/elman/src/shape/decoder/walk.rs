//! Working memory of a conditional decoder.

use crate::cell::Tape;
use crate::layer::{AttentionTape, Grouping};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Default)]
pub(super) struct Walk<F> {
    pub(super) steps: Vec<StepTape<F>>,
    /// What the backward passes of the steps leave for the gradients of weights and memory, all steps joined.
    pub(super) all: StepTape<F>,
    /// Contexts `[N, M]`.
    pub(super) contexts: Vec<F>,
    pub(super) dcontext: Vec<F>,
    pub(super) dh: Vec<F>,
    pub(super) dqueries: Vec<F>,
    /// Queries `[N, H]` and dL/dcontext `[N, M]`, grouped by sequence.
    pub(super) grouped_queries: Vec<F>,
    pub(super) grouped_dcontext: Vec<F>,
}

/// One step.
#[derive(Clone, Default)]
pub(super) struct StepTape<F> {
    pub(super) lower: Tape<F>,
    pub(super) attention: AttentionTape<F>,
    pub(super) upper: Tape<F>,
    pub(super) groups: Grouping,
}

impl<F> Walk<F> {
    /// The weights of attention in the first step.
    pub(super) fn weights(&self) -> &[F] {
        self.steps.first().map_or(&[], |step| step.attention.weights())
    }
}
