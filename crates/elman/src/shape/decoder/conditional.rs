//! A conditional decoder (the conditional GRU of Firat & Cho, described in Sennrich et al. 2017, "Nematus", and here of any
//! cell): within a step one cell reads the last symbol, attention looks at the source with what the cell then knows, and a
//! second cell takes in what was found, going on from the first one's state.
//!
//! ```text
//! h_t = lower(x_t, s_{t-1})     c_t = attention(h_t, memory)     s_t = upper(c_t, h_t)     g_t = s_t
//! ```

use elman_kernels::Scalar;

use super::{Decoder, DecoderPrepared, DecoderTape, Reading, copy_columns};
use crate::cell::{Input, Steps};
use crate::layer::{AttentionTape, Grouping, StackTape};
use crate::param::{Grads, Params};

/// What backward needs of forward.
#[derive(Clone, Default)]
pub(super) struct Walk<F> {
    steps: Vec<StepTape<F>>,
    dh: Vec<F>,
    dcontext: Vec<F>,
    dqueries: Vec<F>,
}

/// One step of it.
#[derive(Clone, Default)]
struct StepTape<F> {
    lower: StackTape<F>,
    attention: AttentionTape<F>,
    upper: StackTape<F>,
    groups: Grouping,
}

impl<F> Walk<F> {
    /// The weights of attention in the first step.
    pub(super) fn weights(&self) -> &[F] {
        self.steps.first().map_or(&[], |step| step.attention.weights())
    }
}

impl Decoder {
    /// As [`Decoder::run`], step after step.
    pub(super) fn walk<F: Scalar>(
        &self,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        tape: &mut DecoderTape<F>,
    ) {
        let Reading { steps, groups, memory, .. } = reading;
        let (Some(attention), Some(upper)) = (&self.attention, &self.upper) else { return };
        let (hidden, embedding, width) = (self.config.hidden, self.config.embedding, self.readout.inputs);
        let DecoderTape { state, x, read, walk, .. } = tape;
        // Both cells carry the one state on.
        let state = &mut state.lower;
        walk.steps.resize_with(walk.steps.len().max(steps.len()), StepTape::default);
        for (t, step) in walk.steps[..steps.len()].iter_mut().enumerate() {
            let (range, n) = (steps.range(t), steps.active(t));
            let one = Steps::one(n, steps.batch());
            match steps.len() {
                // Hypotheses of a search: several queries of one sequence.
                1 => step.groups.clone_from(groups),
                _ => step.groups.set_one_step((0..steps.batch()).map(|s| usize::from(s < n))),
            }
            let x = Input::Dense(&x[range.start * embedding..range.end * embedding]);
            self.lower.forward(&prepared.lower, x, &one, state, &mut step.lower, None);
            let (h, offsets) = (step.lower.output(), &step.groups.offsets);
            attention.forward(&prepared.attention, memory, offsets, h, &mut step.attention);
            let context = step.attention.context();
            upper.forward(&prepared.upper, Input::Dense(context), &one, state, &mut step.upper, None);
            let read = &mut read[range.start * width..];
            copy_columns(step.upper.output(), hidden, read, width, hidden, n);
            copy_columns(context, self.memory, &mut read[hidden..], width, self.memory, n);
        }
    }

    /// As [`Decoder::run_backward`], from the last step to the first.
    pub(super) fn walk_backward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        tape: &mut DecoderTape<F>,
        grads: &mut Grads<F>,
        dvalues: &mut [F],
    ) {
        let Reading { steps, memory, .. } = reading;
        let (Some(attention), Some(upper)) = (&self.attention, &self.upper) else { return };
        let (hidden, embedding, width) = (self.config.hidden, self.config.embedding, self.readout.inputs);
        let DecoderTape { x, walk, dread, dx, dmemory, dstate, .. } = tape;
        let Walk { steps: tapes, dh, dcontext, dqueries } = walk;
        let dstate = &mut dstate.lower;
        attention.begin_backward(memory, dmemory);
        for (t, step) in tapes[..steps.len()].iter_mut().enumerate().rev() {
            let (range, n) = (steps.range(t), steps.active(t));
            let one = Steps::one(n, steps.batch());
            let dread = &dread[range.start * width..];
            dh.resize(n * hidden, F::ZERO);
            copy_columns(dread, width, dh, hidden, hidden, n);
            dcontext.resize(n * self.memory, F::ZERO);
            copy_columns(&dread[hidden..], width, dcontext, self.memory, self.memory, n);
            let context = Input::Dense(step.attention.context());
            let tape = &mut step.upper;
            upper.backward(params, &prepared.upper, context, &one, tape, dh, dstate, grads, Some(&mut dcontext[..]));
            dqueries.resize(n * hidden, F::ZERO);
            attention.backward(
                &prepared.attention,
                memory,
                &step.groups.offsets,
                step.lower.output(),
                dcontext,
                &mut step.attention,
                grads,
                dqueries,
                dmemory,
                dvalues,
            );
            let rows = range.start * embedding..range.end * embedding;
            let (x, dx) = (Input::Dense(&x[rows.clone()]), Some(&mut dx[rows]));
            self.lower.backward(params, &prepared.lower, x, &one, &mut step.lower, dqueries, dstate, grads, dx);
        }
        attention.backward_memory(&prepared.attention, memory, dmemory, grads, dvalues);
    }
}
