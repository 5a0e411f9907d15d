//! A conditional decoder (the conditional GRU of Firat & Cho, described in Sennrich et al. 2017, "Nematus", here for
//! any cell): within a step one cell reads the previous token, its state queries the attention, and a second cell reads
//! the context, starting from the first one's state.
//!
//! ```text
//! h_t = lower(x_t, s_{t-1})     c_t = attention(h_t, memory)     s_t = upper(c_t, h_t)     g_t = s_t
//! ```

use elman_kernels::{Scalar, rows};

use super::walk::{StepTape, Walk};
use super::{Decoder, DecoderPrepared, DecoderTape, Reading, copy_columns};
use crate::cell::{AnyCell, Cell, Input, InputGrad, Prepared, Steps};
use crate::layer::Attention;
use crate::param::{Grads, Params};

/// A cell and its weights, packed for the kernels.
type Ready<'a, F> = (&'a AnyCell, &'a Prepared<F>);

impl Decoder {
    /// The cell below the attention, the attention, the cell above it.
    fn parts<'a, F>(&'a self, prepared: &'a DecoderPrepared<F>) -> Option<(Ready<'a, F>, &'a Attention, Ready<'a, F>)> {
        let (attention, upper) = (self.attention.as_ref()?, self.upper.as_ref()?);
        Some((self.lower.first(&prepared.lower), attention, upper.first(&prepared.upper)))
    }

    /// As [`Decoder::run`], step after step.
    pub(super) fn walk<F: Scalar>(
        &self,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        tape: &mut DecoderTape<F>,
    ) {
        let Reading { steps, groups, memory, .. } = reading;
        let Some(((lower, lower_prepared), attention, (upper, upper_prepared))) = self.parts(prepared) else { return };
        let (hidden, embedding, width) = (self.config.hidden, self.config.embedding, self.readout.inputs);
        let DecoderTape { state, x, read, walk, .. } = tape;
        // Both cells update the same state.
        let state = &mut state.lower.cells[0];
        walk.steps.resize_with(walk.steps.len().max(steps.len()), StepTape::default);
        for (t, step) in walk.steps[..steps.len()].iter_mut().enumerate() {
            let (range, n) = (steps.range(t), steps.active(t));
            let one = Steps::one(n, steps.batch());
            match steps.len() {
                // Beam hypotheses: several queries of one sequence.
                1 => step.groups.clone_from(groups),
                _ => step.groups.set_one_step((0..steps.batch()).map(|s| usize::from(s < n))),
            }
            let x = Input::Dense(&x[range.start * embedding..range.end * embedding]);
            lower.forward(lower_prepared.into(), x, &one, state, &mut step.lower);
            let (h, offsets) = (step.lower.h(), &step.groups.offsets);
            attention.forward(&prepared.attention, memory, offsets, h, &mut step.attention);
            let context = step.attention.context();
            upper.forward(upper_prepared.into(), Input::Dense(context), &one, state, &mut step.upper);
            let read = &mut read[range.start * width..];
            copy_columns(step.upper.h(), hidden, read, width, hidden, n);
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
        let Reading { steps, groups, memory, .. } = reading;
        let Some(((lower, lower_prepared), attention, (upper, upper_prepared))) = self.parts(prepared) else { return };
        let (hidden, width, n) = (self.config.hidden, self.readout.inputs, steps.rows());
        let DecoderTape { x, read, walk, dread, dx, dmemory, dstate, .. } = tape;
        let Walk { steps: tapes, all, contexts, dcontext, dh, dqueries, grouped_queries, grouped_dcontext } = walk;
        let tapes = &mut tapes[..steps.len()];
        let dstate = &mut dstate.lower.cells[0];
        dcontext.resize(n * self.memory, F::ZERO);
        copy_columns(&dread[hidden..], width, dcontext, self.memory, self.memory, n);
        attention.begin_backward(memory, dmemory);
        for (t, step) in tapes.iter_mut().enumerate().rev() {
            let (range, n) = (steps.range(t), steps.active(t));
            let one = Steps::one(n, steps.batch());
            dh.resize(n * hidden, F::ZERO);
            copy_columns(&dread[range.start * width..], width, dh, hidden, hidden, n);
            let dcontext = &mut dcontext[range.start * self.memory..range.end * self.memory];
            upper.backward_through_time(upper_prepared.into(), &one, &mut step.upper, dh, dstate);
            upper.backward_dense_input(upper_prepared, &step.upper, dcontext);
            dqueries.resize(n * hidden, F::ZERO);
            let (offsets, queries) = (&step.groups.offsets, step.lower.h());
            let asked = &mut step.attention;
            attention
                .backward(&prepared.attention, memory, offsets, queries, dcontext, asked, grads, dqueries, dmemory);
            lower.backward_through_time(lower_prepared.into(), &one, &mut step.lower, dqueries, dstate);
        }
        // The weights and the memory see all steps at once, as one step of all rows.
        let once = Steps::one(n, n);
        contexts.resize(n * self.memory, F::ZERO);
        copy_columns(&read[hidden..], width, contexts, self.memory, self.memory, n);
        all.upper.join(tapes.iter().enumerate().map(|(t, step)| (&step.upper, steps.active(t))));
        let contexts = Input::Dense(contexts);
        upper.backward_weights(params, upper_prepared.into(), contexts, &once, &mut all.upper, grads, InputGrad::None);
        all.lower.join(tapes.iter().enumerate().map(|(t, step)| (&step.lower, steps.active(t))));
        grouped_queries.resize(n * hidden, F::ZERO);
        rows::gather(all.lower.h(), hidden, &groups.row, grouped_queries, hidden);
        grouped_dcontext.resize(n * self.memory, F::ZERO);
        rows::gather(dcontext, self.memory, &groups.row, grouped_dcontext, self.memory);
        let (x, dx) = (Input::Dense(&x[..]), InputGrad::Add(&mut dx[..]));
        lower.backward_weights(params, lower_prepared.into(), x, &once, &mut all.lower, grads, dx);
        all.attention.join(tapes.iter().map(|step| &step.attention), &groups.offsets, memory);
        let asked = &mut all.attention;
        attention.backward_rows(memory, &groups.offsets, grouped_queries, grouped_dcontext, asked, dmemory, dvalues);
        attention.backward_memory(&prepared.attention, memory, dmemory, grads, dvalues);
    }
}
