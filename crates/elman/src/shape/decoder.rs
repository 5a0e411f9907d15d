//! The decoder of translation and captions: a recurrent network that generates a sequence from a summary of its source,
//! optionally with attention.
//!
//! ```text
//! h0 = tanh(W s + b)                       from the summary s, a state for every layer
//! x_t = embedding(y_{t-1}) [+ feature]     h_t = lower stack (x_t)
//! c_t = attention(h_t, memory)             g_t = upper stack ([h_t, c_t]), or h_t where there is none
//! r_t = tanh(W_r [g_t, c_t, x_t] + b_r)    logits = W_o r_t + b_o, W_o tied to the embedding or its own
//! ```
//! The context is not fed back into the layer that queries it, so that in training every part runs over all steps at
//! once; the upper stack, above the attention as in Wu et al. 2016, carries it from step to step. In a conditional
//! decoder it is fed back: two cells share one state, with the attention between them ([`conditional`]).

mod conditional;
mod scheduled_sampling;
mod state;
mod stepper;
mod target;
mod walk;

use elman_kernels::{Operands, Scalar, Scratch, activation, rows, softmax};
use serde::{Deserialize, Serialize};

use self::state::DecoderState;
use self::walk::Walk;
use super::embedding::Embedding;
use crate::cell::{CellKind, Input, Source, Steps};
use crate::error::{Error, Result};
use crate::layer::{
    Attention, AttentionConfig, AttentionKind, AttentionPrepared, AttentionTape, Dropout, Grouping, Linear,
    LinearPrepared, Memory, MemoryGrad, Stack, StackConfig, StackPrepared, StackTape,
};
use crate::param::{Grads, Init, Layout, Params};
use crate::rng::Rng;

pub use self::stepper::Stepper;
pub use self::target::TargetSequences;

/// Configuration of a decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// The cell of every layer.
    pub cell: CellKind,
    /// `V`, size of the vocabulary.
    pub vocab: usize,
    /// `E`, width of the embedding and of the output layer's input.
    pub embedding: usize,
    /// `H`, of each layer.
    pub hidden: usize,
    /// Layers below the attention.
    pub layers: usize,
    /// Layers above the attention; 0 for none.
    pub upper_layers: usize,
    /// Whether one layer below the attention and one above it share a state, as in a conditional GRU.
    #[serde(default)]
    pub conditional: bool,
    /// The attention, if any.
    pub attention: Option<AttentionKind>,
    /// `A`, hidden units of additive attention.
    pub attention_hidden: usize,
    /// Whether attention's dot products are scaled; false if missing in a file.
    #[serde(default)]
    pub scaled_attention: bool,
    /// Whether the output layer uses the embedding's matrix.
    pub tied: bool,
    /// Dropout probability of the input, between layers and before the output.
    pub dropout: f64,
    /// Whether all steps of a sequence share one mask of input and output dropout.
    pub locked_dropout: bool,
    /// Share of the target distribution spread over all tokens.
    pub label_smoothing: f64,
}

/// A decoder: offsets and sizes.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: DecoderConfig,
    embedding: Embedding,
    /// Whether the embedding belongs to another part.
    shared: bool,
    bridge: Linear,
    lower: Stack,
    attention: Option<Attention>,
    upper: Option<Stack>,
    readout: Linear,
    output: Linear,
    /// `M`, width of a memory row; 0 without attention.
    memory: usize,
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct DecoderPrepared<F> {
    /// `[V, E]`, scaled.
    embedding: Vec<F>,
    bridge: LinearPrepared<F>,
    lower: StackPrepared<F>,
    attention: AttentionPrepared<F>,
    upper: StackPrepared<F>,
    readout: LinearPrepared<F>,
    output: LinearPrepared<F>,
}

impl<F: Scalar> DecoderPrepared<F> {
    /// Precision of the operands of all products prepared from now on, except those of attention.
    pub(super) fn set_operands(&mut self, operands: Operands) {
        self.bridge.set_operands(operands);
        self.lower.set_operands(operands);
        self.upper.set_operands(operands);
        self.readout.set_operands(operands);
        self.output.set_operands(operands);
    }
}

/// Working memory of one block.
#[derive(Clone, Default)]
pub struct DecoderTape<F> {
    state: DecoderState<F>,
    bridged: Vec<F>,
    x: Vec<F>,
    x_mask: Dropout<F>,
    lower: StackTape<F>,
    queries: Vec<F>,
    attention: AttentionTape<F>,
    joined: Vec<F>,
    upper: StackTape<F>,
    walk: Walk<F>,
    read: Vec<F>,
    r: Vec<F>,
    r_dropped: Vec<F>,
    r_mask: Dropout<F>,
    dropped: bool,
    logits: Vec<F>,
    dr: Vec<F>,
    dread: Vec<F>,
    dh: Vec<F>,
    djoined: Vec<F>,
    dcontext: Vec<F>,
    dqueries: Vec<F>,
    dmemory: MemoryGrad<F>,
    dx: Vec<F>,
    dstate: DecoderState<F>,
    dbridged: Vec<F>,
    scratch: Scratch<F>,
    ahead: Option<Box<Ahead<F>>>,
}

impl<F> DecoderTape<F> {
    /// The logits `[N, V]` of the last forward pass.
    pub fn logits(&self) -> &[F] {
        &self.logits
    }
}

/// The inputs of a decoder.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a, F> {
    pub(super) steps: &'a Steps,
    /// `[N]`.
    pub(super) tokens: &'a [u32],
    /// The rows of each sequence.
    pub(super) groups: &'a Grouping,
    /// The memory, a group of rows per sequence; unused without attention.
    pub(super) memory: &'a Memory<F>,
    /// Added to the input of every step of a sequence `[B, E]`; may be empty.
    pub(super) feature: &'a [F],
}

/// The gradients of [`Reading`].
pub(super) struct ReadingGrad<'a, F> {
    /// Written `[B, S]`.
    pub(super) dsummary: &'a mut [F],
    /// Added to `[R, M]`.
    pub(super) dmemory: &'a mut [F],
    /// Added to `[B, E]`; empty without a feature.
    pub(super) dfeature: &'a mut [F],
}

/// `dx *= 1 - y^2`, the gradient through `y = tanh(x)`.
pub(super) fn tanh_backward<F: Scalar>(y: &[F], dx: &mut [F]) {
    dx.iter_mut().zip(y).for_each(|(dx, &y)| *dx *= F::ONE - y * y);
}

/// Resizes to `len` zeros, reusing the allocation.
pub(super) fn zeros<F: Scalar>(x: &mut Vec<F>, len: usize) {
    x.clear();
    x.resize(len, F::ZERO);
}

/// Copies strided rows of `width` values.
fn copy_columns<F: Copy>(from: &[F], from_stride: usize, to: &mut [F], to_stride: usize, width: usize, n: usize) {
    for r in 0..n {
        to[r * to_stride..r * to_stride + width].copy_from_slice(&from[r * from_stride..r * from_stride + width]);
    }
}

/// Working memory of the free-running decoder of scheduled sampling.
#[derive(Clone, Default)]
struct Ahead<F> {
    tape: DecoderTape<F>,
    groups: Grouping,
}

impl Decoder {
    /// Adds the tensors to the layout behind `prefix`; `embedding` is a matrix shared with another part. `summary` is
    /// the width of the summary that sets the initial state, `memory` that of a memory row.
    ///
    /// # Errors
    /// Invalid sizes or probabilities.
    pub(super) fn add(
        layout: &mut Layout,
        prefix: &str,
        config: &DecoderConfig,
        embedding: Option<Embedding>,
        summary: usize,
        memory: usize,
    ) -> Result<Self> {
        let wrong = |message: &str| Err(Error::Usage(message.into()));
        if config.vocab == 0 {
            return wrong("the target vocabulary is empty");
        }
        if config.embedding == 0 {
            return Err(Error::setting("embedding", 0, "must be at least 1"));
        }
        if !(0.0..1.0).contains(&config.label_smoothing) {
            return Err(Error::setting("label_smoothing", config.label_smoothing, "must be in [0, 1)"));
        }
        if config.upper_layers > 0 && config.attention.is_none() {
            return wrong("`upper_layers`, the layers above the attention, need `attention`");
        }
        let DecoderConfig { layers, upper_layers, conditional, .. } = *config;
        if conditional && (config.attention.is_none() || layers != 1 || upper_layers != 1) {
            return wrong(
                "a `conditional` decoder has `attention`, one layer below it and one above it; without `conditional`, \
                 `layers` and `upper_layers` are free",
            );
        }
        let shared = embedding.is_some();
        let embedding = embedding.unwrap_or_else(|| {
            let name = format!("{prefix}embedding.weight");
            Embedding::add(layout, &name, config.vocab, config.embedding, config.tied)
        });
        let stack = |width, layers| StackConfig {
            cell: config.cell,
            source: Source::Dense(width),
            hidden: config.hidden,
            layers,
            bidirectional: false,
            dropout: config.dropout,
            locked: false,
        };
        let lower = Stack::add(layout, &format!("{prefix}rnn."), stack(config.embedding, config.layers))?;
        let memory = if config.attention.is_some() { memory } else { 0 };
        let attention = config.attention.map(|kind| {
            let (hidden, scaled) = (config.attention_hidden, config.scaled_attention);
            let sizes = AttentionConfig { kind, queries: config.hidden, memory, hidden, scaled };
            Attention::add(layout, &format!("{prefix}attention."), sizes)
        });
        let attention = attention.transpose()?;
        let upper = (config.upper_layers > 0).then(|| {
            let below = if conditional { 0 } else { config.hidden };
            Stack::add(layout, &format!("{prefix}upper."), stack(below + memory, config.upper_layers))
        });
        let upper = upper.transpose()?;
        let states = config.hidden * if config.cell.has_c() { 2 } else { 1 };
        let states = states * if conditional { 1 } else { config.layers + config.upper_layers };
        let bridge = Linear::add(layout, &format!("{prefix}bridge."), summary, states, None);
        let read = config.hidden + memory + config.embedding;
        let readout = Linear::add(layout, &format!("{prefix}readout."), read, config.embedding, None);
        let tied = config.tied.then_some(embedding.slot);
        let output = Linear::add(layout, &format!("{prefix}output."), config.embedding, config.vocab, tied);
        let config = config.clone();
        Ok(Decoder { config, embedding, shared, bridge, lower, attention, upper, readout, output, memory })
    }

    /// Its configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Initialises the weights.
    pub(super) fn init<F: Scalar>(&self, init: Init, params: &mut Params<F>, rng: &mut Rng) {
        if !self.shared {
            self.embedding.init(init, params, rng);
        }
        self.bridge.init(init, params, rng);
        self.lower.init(init, params, rng);
        if let Some(attention) = &self.attention {
            attention.init(init, params, rng);
        }
        if let Some(upper) = &self.upper {
            upper.init(init, params, rng);
        }
        self.readout.init(init, params, rng);
        self.output.init(init, params, rng);
        // The output's bias starts at 0: tokens differ by their embeddings.
        self.output.bias.of_mut(params).fill(F::ZERO);
    }

    /// Packs the weights, once per optimizer step.
    pub(super) fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut DecoderPrepared<F>) {
        self.embedding.prepare(params, &mut prepared.embedding);
        self.bridge.prepare(params, &mut prepared.bridge);
        self.lower.prepare(params, &mut prepared.lower);
        if let Some(attention) = &self.attention {
            attention.prepare(params, &mut prepared.attention);
        }
        if let Some(upper) = &self.upper {
            upper.prepare(params, &mut prepared.upper);
        }
        self.readout.prepare(params, &mut prepared.readout);
        self.output.prepare(params, &mut prepared.output);
    }

    /// Computes the keys of a memory whose values and offsets are set.
    pub(super) fn compute_keys<F: Scalar>(&self, prepared: &DecoderPrepared<F>, memory: &mut Memory<F>) {
        if let Some(attention) = &self.attention {
            attention.compute_keys(&prepared.attention, memory);
        }
    }

    fn zero_state<F: Scalar>(&self, batch: usize) -> DecoderState<F> {
        let upper = self.upper.as_ref().filter(|_| !self.config.conditional);
        let upper = upper.map(|upper| upper.zero_state(batch)).unwrap_or_default();
        DecoderState { lower: self.lower.zero_state(batch), upper }
    }

    /// The initial states, computed from `summary` `[B, S]`, into the tape.
    pub(super) fn begin<F: Scalar>(&self, prepared: &DecoderPrepared<F>, summary: &[F], tape: &mut DecoderTape<F>) {
        let batch = summary.len() / self.bridge.inputs;
        tape.bridged.resize(batch * self.bridge.outputs, F::ZERO);
        self.bridge.forward(&prepared.bridge, summary, &mut tape.bridged);
        activation::tanh(&mut tape.bridged);
        if tape.state.lower.cells.first().is_none_or(|cell| cell.h.len() != batch * self.config.hidden) {
            tape.state = self.zero_state(batch);
        }
        tape.state.split(&tape.bridged, batch);
    }

    /// From the state in the tape, which becomes the final one, to logits `[N, V]`. With a random stream, dropout is
    /// on.
    pub(super) fn forward<F: Scalar>(
        &self,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        tape: &mut DecoderTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        let Reading { steps, tokens, feature, .. } = reading;
        let DecoderConfig { hidden, embedding, dropout: p, locked_dropout: locked, .. } = self.config;
        let (n, context) = (steps.rows(), self.memory);
        self.embedding.forward(&prepared.embedding, tokens, &mut tape.x);
        if !feature.is_empty() {
            for t in 0..steps.len() {
                let rows_of = steps.range(t);
                let x = &mut tape.x[rows_of.start * embedding..rows_of.end * embedding];
                rows::add(&feature[..x.len()], x);
            }
        }
        tape.dropped = tape.x_mask.forward_if(p, locked, dropout.as_deref_mut(), steps, &mut tape.x);
        let width = self.readout.inputs;
        tape.read.resize(n * width, F::ZERO);
        match self.config.conditional {
            true => self.walk(prepared, reading, tape),
            false => self.run(prepared, reading, tape, dropout.as_deref_mut()),
        }
        copy_columns(&tape.x, embedding, &mut tape.read[hidden + context..], width, embedding, n);
        tape.r.resize(n * embedding, F::ZERO);
        self.readout.forward(&prepared.readout, &tape.read, &mut tape.r);
        activation::tanh(&mut tape.r);
        tape.r_dropped.clear();
        if tape.dropped {
            tape.r_dropped.extend_from_slice(&tape.r);
            tape.r_mask.forward_if(p, locked, dropout, steps, &mut tape.r_dropped);
        }
        let r = if tape.dropped { &tape.r_dropped } else { &tape.r };
        tape.logits.resize(n * self.config.vocab, F::ZERO);
        self.output.forward(&prepared.output, r, &mut tape.logits);
    }

    /// The stacks and the attention between them over all steps at once: `g` and the context, to the columns of `read`.
    fn run<F: Scalar>(
        &self,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        tape: &mut DecoderTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        let Reading { steps, groups, memory, .. } = reading;
        let (n, hidden, context, width) = (steps.rows(), self.config.hidden, self.memory, self.readout.inputs);
        let state = &mut tape.state;
        let (x, lower) = (Input::Dense(&tape.x), &mut tape.lower);
        self.lower.forward(&prepared.lower, x, steps, &mut state.lower, lower, dropout.as_deref_mut());
        let h = tape.lower.output();
        if let Some(attention) = &self.attention {
            tape.queries.resize(n * hidden, F::ZERO);
            rows::gather(h, hidden, &groups.row, &mut tape.queries, hidden);
            attention.forward(&prepared.attention, memory, &groups.offsets, &tape.queries, &mut tape.attention);
            rows::gather(tape.attention.context(), context, &groups.position, &mut tape.read[hidden..], width);
        }
        let mut top = h;
        if let Some(upper) = &self.upper {
            let joined = hidden + context;
            tape.joined.resize(n * joined, F::ZERO);
            copy_columns(h, hidden, &mut tape.joined, joined, hidden, n);
            copy_columns(&tape.read[hidden..], width, &mut tape.joined[hidden..], joined, context, n);
            let (x, state) = (Input::Dense(&tape.joined), &mut state.upper);
            upper.forward(&prepared.upper, x, steps, state, &mut tape.upper, dropout);
            top = tape.upper.output();
        }
        copy_columns(top, hidden, &mut tape.read, width, hidden, n);
    }

    /// Cross-entropy in nats of the logits in the tape, summed over all rows; they become `scale` times its gradient.
    /// Includes label smoothing.
    pub(super) fn loss_backward<F: Scalar>(&self, targets: &[u32], scale: F, tape: &mut DecoderTape<F>) -> f64 {
        match self.config.label_smoothing {
            0.0 => softmax::cross_entropy_backward(&mut tape.logits, targets, scale),
            smoothing => softmax::smoothed_cross_entropy_backward(&mut tape.logits, targets, smoothing, scale).0,
        }
    }

    /// Plain cross-entropy in nats of the logits in the tape, summed over all rows.
    pub(super) fn loss<F: Scalar>(&self, targets: &[u32], tape: &DecoderTape<F>) -> f64 {
        softmax::cross_entropy(&tape.logits, targets)
    }

    /// The log-probabilities of targets `[N]` from the logits in the tape.
    pub(super) fn target_log_probs<F: Scalar>(&self, targets: &[u32], tape: &DecoderTape<F>) -> Vec<F> {
        let rows = tape.logits.chunks_exact(self.config.vocab).zip(targets);
        rows.map(|(row, &target)| row[target as usize] - softmax::log_sum_exp(row)).collect()
    }

    /// From the gradient of the logits, stored in their place, to all others. `summary` as given to
    /// [`Self::begin`].
    pub(super) fn backward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        summary: &[F],
        tape: &mut DecoderTape<F>,
        grads: &mut Grads<F>,
        to: ReadingGrad<F>,
    ) {
        let Reading { steps, tokens, feature, .. } = reading;
        let DecoderConfig { hidden, embedding, .. } = self.config;
        let (n, context, batch) = (steps.rows(), self.memory, steps.batch());
        let r = if tape.dropped { &tape.r_dropped } else { &tape.r };
        tape.dr.resize(n * embedding, F::ZERO);
        self.output.backward(&prepared.output, r, &tape.logits, grads, &mut tape.dr, &mut tape.scratch);
        if tape.dropped {
            tape.r_mask.backward(&mut tape.dr);
        }
        tanh_backward(&tape.r, &mut tape.dr);
        let width = self.readout.inputs;
        tape.dread.resize(n * width, F::ZERO);
        self.readout.backward(&prepared.readout, &tape.read, &tape.dr, grads, &mut tape.dread, &mut tape.scratch);
        tape.dx.resize(n * embedding, F::ZERO);
        copy_columns(&tape.dread[hidden + context..], width, &mut tape.dx, embedding, embedding, n);
        // No gradient comes from beyond the last step.
        tape.dstate.lower.zero_like(&tape.state.lower);
        tape.dstate.upper.zero_like(&tape.state.upper);
        let dmemory = to.dmemory;
        match self.config.conditional {
            true => self.walk_backward(params, prepared, reading, tape, grads, dmemory),
            false => self.run_backward(params, prepared, reading, tape, grads, dmemory),
        }
        if tape.dropped {
            tape.x_mask.backward(&mut tape.dx);
        }
        if !feature.is_empty() {
            for t in 0..steps.len() {
                let rows_of = steps.range(t);
                let dx = &tape.dx[rows_of.start * embedding..rows_of.end * embedding];
                rows::add(dx, &mut to.dfeature[..dx.len()]);
            }
        }
        self.embedding.backward(tokens, &mut tape.dx, grads);
        tape.dbridged.resize(batch * self.bridge.outputs, F::ZERO);
        tape.dstate.join(&mut tape.dbridged, batch);
        tanh_backward(&tape.bridged, &mut tape.dbridged);
        self.bridge.backward(&prepared.bridge, summary, &tape.dbridged, grads, to.dsummary, &mut tape.scratch);
    }

    /// The inverse of [`Self::run`]: from `dread` to the gradients of weights and memory, of `x` and of the first
    /// states.
    fn run_backward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &DecoderPrepared<F>,
        reading: Reading<F>,
        tape: &mut DecoderTape<F>,
        grads: &mut Grads<F>,
        dmemory: &mut [F],
    ) {
        let Reading { steps, groups, memory, .. } = reading;
        let (n, hidden, context, width) = (steps.rows(), self.config.hidden, self.memory, self.readout.inputs);
        tape.dh.resize(n * hidden, F::ZERO);
        copy_columns(&tape.dread, width, &mut tape.dh, hidden, hidden, n);
        tape.dcontext.resize(n * context, F::ZERO);
        if self.attention.is_some() {
            let rows_of = groups.row.iter().map(|&row| row as usize * width + hidden);
            for (to, from) in tape.dcontext.chunks_exact_mut(context).zip(rows_of) {
                to.copy_from_slice(&tape.dread[from..from + context]);
            }
        }
        if let Some(upper) = &self.upper {
            let width = hidden + context;
            zeros(&mut tape.djoined, n * width);
            let (x, dstate, dx) = (Input::Dense(&tape.joined), &mut tape.dstate.upper, Some(&mut tape.djoined[..]));
            upper.backward(params, &prepared.upper, x, steps, &mut tape.upper, &tape.dh, dstate, grads, dx);
            copy_columns(&tape.djoined, width, &mut tape.dh, hidden, hidden, n);
            rows::scatter_add(&tape.djoined[hidden..], width, &groups.position, &mut tape.dcontext, context);
        }
        if let Some(attention) = &self.attention {
            tape.dqueries.resize(n * hidden, F::ZERO);
            attention.begin_backward(memory, &mut tape.dmemory);
            attention.backward(
                &prepared.attention, memory, &groups.offsets, &tape.queries, &tape.dcontext, &mut tape.attention,
                grads, &mut tape.dqueries, &mut tape.dmemory,
            );
            let (queries, dcontext) = (&tape.queries, &tape.dcontext);
            let (asked, rows) = (&mut tape.attention, &mut tape.dmemory);
            attention.backward_rows(memory, &groups.offsets, queries, dcontext, asked, rows, dmemory);
            attention.backward_memory(&prepared.attention, memory, &mut tape.dmemory, grads, dmemory);
            rows::scatter_add(&tape.dqueries, hidden, &groups.row, &mut tape.dh, hidden);
        }
        let (x, dstate, dx) = (Input::Dense(&tape.x), &mut tape.dstate.lower, Some(&mut tape.dx[..]));
        self.lower.backward(params, &prepared.lower, x, steps, &mut tape.lower, &tape.dh, dstate, grads, dx);
    }
}
