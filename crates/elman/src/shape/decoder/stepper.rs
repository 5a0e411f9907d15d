//! A decoder one step at a time.

use elman_kernels::{Scalar, softmax};

use super::{Decoder, DecoderPrepared, DecoderState, DecoderTape, Reading};
use crate::cell::Steps;
use crate::decode::{Likely, StepModel};
use crate::layer::{Grouping, Memory};

/// A decoder that generates step by step, for sampling and beam search.
pub struct Stepper<'a, F> {
    decoder: &'a Decoder,
    prepared: &'a DecoderPrepared<F>,
    memory: Memory<F>,
    /// `[B, E]` of each sequence, or empty.
    feature: Vec<F>,
    /// The sequence of each row.
    sequence: Vec<usize>,
    before: DecoderState<F>,
    tape: DecoderTape<F>,
    groups: Grouping,
    rows_feature: Vec<F>,
    next_sequence: Vec<usize>,
}

impl<'a, F: Scalar> Stepper<'a, F> {
    /// Starts sequences from their summaries `[B, S]`, memories with keys, and features `[B, E]` or none.
    pub(in crate::shape) fn new(
        decoder: &'a Decoder,
        prepared: &'a DecoderPrepared<F>,
        summary: &[F],
        memory: Memory<F>,
        feature: Vec<F>,
    ) -> Self {
        let batch = summary.len() / decoder.bridge.inputs;
        let mut tape = DecoderTape::default();
        decoder.begin(prepared, summary, &mut tape);
        Stepper {
            decoder,
            prepared,
            memory,
            feature,
            sequence: (0..batch).collect(),
            before: decoder.zero_state(0),
            tape,
            groups: Grouping::default(),
            rows_feature: Vec::new(),
            next_sequence: Vec::new(),
        }
    }

    /// Feeds `tokens[i]` to a copy of row `from[i]` of the step before; returns the logits `[rows, V]`.
    ///
    /// # Panics
    /// If a row or a token does not exist.
    pub fn logits(&mut self, from: &[usize], tokens: &[u32]) -> &[F] {
        let Stepper { before, tape, sequence, next_sequence, feature, rows_feature, .. } = self;
        std::mem::swap(before, &mut tape.state);
        tape.state.select(before, from, sequence.len());
        next_sequence.clear();
        next_sequence.extend(from.iter().map(|&row| sequence[row]));
        std::mem::swap(sequence, next_sequence);
        rows_feature.clear();
        if !feature.is_empty() {
            let width = self.decoder.config.embedding;
            sequence.iter().for_each(|&s| rows_feature.extend_from_slice(&feature[s * width..(s + 1) * width]));
        }
        let sequences = self.memory.offsets.len().saturating_sub(1);
        let mut rest = &sequence[..];
        self.groups.set_one_step((0..sequences).map(|s| {
            let count = rest.iter().take_while(|&&of| of == s).count();
            rest = &rest[count..];
            count
        }));
        let steps = Steps::equal(1, from.len());
        let (groups, memory, feature) = (&self.groups, &self.memory, &rows_feature[..]);
        let reading = Reading { steps: &steps, tokens, groups, memory, feature };
        self.decoder.forward(self.prepared, reading, tape, None);
        &tape.logits
    }
}

impl StepModel for Stepper<'_, f32> {
    fn vocab(&self) -> usize {
        self.decoder.config.vocab
    }

    fn step(&mut self, from: &[usize], tokens: &[u32], likely: &mut Likely) {
        let vocab = self.decoder.config.vocab;
        self.logits(from, tokens);
        let (mut logits, mut log_sums) = std::mem::take(likely).into_buffers();
        // Two buffers are swapped: nothing is copied.
        std::mem::swap(&mut logits, &mut self.tape.logits);
        log_sums.clear();
        log_sums.extend(logits.chunks_exact(vocab).map(softmax::log_sum_exp));
        *likely = Likely::Logits(logits, log_sums);
    }

    fn attention(&self, row: usize) -> &[f32] {
        if self.decoder.attention.is_none() {
            return &[];
        }
        let tape = &self.tape;
        let weights = if self.decoder.config.conditional { tape.walk.weights() } else { tape.attention.weights() };
        let mut at = 0;
        for (queries, memory) in self.groups.offsets.windows(2).zip(self.memory.offsets.windows(2)) {
            let width = memory[1] - memory[0];
            if row < queries[1] {
                let from = at + (row - queries[0]) * width;
                return &weights[from..from + width];
            }
            at += (queries[1] - queries[0]) * width;
        }
        &[]
    }
}
