//! Sequence input and output (many to many): a sequence to another sequence. A sentence in English to one in French; a
//! word to its phonemes.
//!
//! Embedded source → recurrent encoder → its outputs as memory, its final states as summary → [`Decoder`].

use std::sync::Arc;

use elman_kernels::{Operands, Scalar, rows};
use serde::{Deserialize, Serialize};

use super::Shape;
use super::decoder::{
    Decoder, DecoderConfig, DecoderPrepared, DecoderTape, Reading, ReadingGrad, Stepper, TargetSequences, zeros,
};
use super::embedding::Embedding;
use crate::cell::{CellKind, Input, Order, Source, Steps};
use crate::error::{Error, Result};
use crate::layer::{Dropout, Grouping, Memory, Stack, StackConfig, StackPrepared, StackState, StackTape};
use crate::param::{Grads, Init, Layout, Params};
use crate::rng::Rng;

/// Configuration of a [`SequenceIo`] network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceIoConfig {
    /// The encoder's cell.
    pub cell: CellKind,
    /// Size of the source vocabulary.
    pub source_vocab: usize,
    /// Whether source and target share one embedding, and so one vocabulary.
    pub shared_embedding: bool,
    /// Layers of the encoder.
    pub layers: usize,
    /// Hidden units of the encoder, of each layer and direction.
    pub hidden: usize,
    /// Whether a second set of cells reads the source backwards.
    pub bidirectional: bool,
    /// The decoder; its embedding width and dropout are also the encoder's.
    pub decoder: DecoderConfig,
}

/// An encoder-decoder network.
#[derive(Clone, Debug)]
pub struct SequenceIo {
    config: SequenceIoConfig,
    layout: Arc<Layout>,
    embedding: Embedding,
    encoder: Stack,
    decoder: Decoder,
}

/// The source side of a block.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Which rows belong to which step, the longest source first.
    pub steps: Steps,
    /// `[N]`.
    pub tokens: Vec<u32>,
    /// The rows of each sequence, in the requested order.
    pub groups: Grouping,
    /// The position among the sources, longest first, of each sequence in the requested order.
    pub position: Vec<usize>,
}

impl Sources {
    /// Packs sequences of any lengths; `order[i]` is the caller's index of the decoder's `i`-th sequence.
    ///
    /// # Panics
    /// If `order` is not a permutation of the sequences.
    pub fn new<S: AsRef<[u32]>>(sequences: &[S], order: &[usize]) -> Self {
        let lengths: Vec<usize> = sequences.iter().map(|s| s.as_ref().len()).collect();
        let Order { steps, sorted } = Order::new(&lengths);
        let mut tokens = Vec::with_capacity(steps.rows());
        for t in 0..steps.len() {
            tokens.extend(sorted[..steps.active(t)].iter().map(|&i| sequences[i].as_ref()[t]));
        }
        let mut rank = vec![0; sorted.len()];
        sorted.iter().enumerate().for_each(|(at, &i)| rank[i] = at);
        let position: Vec<usize> = order.iter().map(|&i| rank[i]).collect();
        let groups = Grouping::new(&steps, &position);
        Sources { steps, tokens, groups, position }
    }
}

/// One block of sentence pairs: sources and targets each have their own order, by their own lengths.
#[derive(Clone, Debug)]
pub struct SequenceIoBatch {
    /// The sources.
    pub sources: Sources,
    /// The targets.
    pub targets: TargetSequences,
}

impl SequenceIoBatch {
    /// Packs pairs of sequences; `bos` and `eos` enclose the targets.
    ///
    /// # Panics
    /// If the numbers of sources and targets differ.
    pub fn new<S: AsRef<[u32]>>(sources: &[S], targets: &[S], bos: u32, eos: u32) -> Self {
        assert_eq!(sources.len(), targets.len(), "one target per source");
        let targets = TargetSequences::new(targets, bos, eos);
        SequenceIoBatch { sources: Sources::new(sources, &targets.sorted), targets }
    }
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct SequenceIoPrepared<F> {
    /// `[V, E]`, scaled.
    embedding: Vec<F>,
    encoder: StackPrepared<F>,
    decoder: DecoderPrepared<F>,
}

/// Working memory of one block.
#[derive(Clone, Default)]
pub struct SequenceIoTape<F> {
    x: Vec<F>,
    x_mask: Dropout<F>,
    encoder: StackTape<F>,
    state: StackState<F>,
    y: Vec<F>,
    y_mask: Dropout<F>,
    dropped: bool,
    memory: Memory<F>,
    /// `[B, S]`, in the decoder's order.
    summary: Vec<F>,
    decoder: DecoderTape<F>,
    /// The decoder's input tokens `[N]`.
    fed: Vec<u32>,
    dsummary: Vec<F>,
    dmemory: Vec<F>,
    dy: Vec<F>,
    dx: Vec<F>,
    dstate: StackState<F>,
}

impl SequenceIo {
    /// Builds the network.
    ///
    /// # Errors
    /// Invalid or inconsistent sizes or probabilities.
    pub fn new(config: SequenceIoConfig) -> Result<Self> {
        if config.source_vocab == 0 {
            return Err(Error::Usage("the source vocabulary is empty".into()));
        }
        if config.shared_embedding && config.source_vocab != config.decoder.vocab {
            return Err(Error::Usage(format!(
                "a shared embedding needs one vocabulary; the source has {} tokens, the target {}",
                config.source_vocab, config.decoder.vocab
            )));
        }
        let width = config.decoder.embedding;
        let mut layout = Layout::new();
        let name = if config.shared_embedding { "embedding.weight" } else { "encoder.embedding.weight" };
        // Whether it is also the output's matrix.
        let tied = config.shared_embedding && config.decoder.tied;
        let embedding = Embedding::add(&mut layout, name, config.source_vocab, width, tied);
        let stack = StackConfig {
            cell: config.cell,
            source: Source::Dense(width),
            hidden: config.hidden,
            layers: config.layers,
            bidirectional: config.bidirectional,
            dropout: config.decoder.dropout,
            locked: false,
        };
        let encoder = Stack::add(&mut layout, "encoder.rnn.", stack)?;
        let memory = encoder.output_width();
        let shared = config.shared_embedding.then_some(embedding);
        let decoder = Decoder::add(&mut layout, "decoder.", &config.decoder, shared, memory, memory)?;
        Ok(SequenceIo { config, layout: Arc::new(layout), embedding, encoder, decoder })
    }

    /// Its configuration.
    pub fn config(&self) -> &SequenceIoConfig {
        &self.config
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, init: Init, rng: &mut Rng) -> Params<F> {
        let mut params = Params::zeros(&self.layout);
        self.embedding.init(init, &mut params, rng);
        self.encoder.init(init, &mut params, rng);
        self.decoder.init(init, &mut params, rng);
        params
    }

    /// Encodes the sources: memory with keys, and summary, into the tape.
    fn encode<F: Scalar>(
        &self,
        prepared: &SequenceIoPrepared<F>,
        sources: &Sources,
        tape: &mut SequenceIoTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        let DecoderConfig { dropout: p, locked_dropout: locked, .. } = self.config.decoder;
        let Sources { steps, tokens, groups, position } = sources;
        let (n, batch, width) = (steps.rows(), steps.batch(), self.encoder.output_width());
        self.embedding.forward(&prepared.embedding, tokens, &mut tape.x);
        tape.dropped = tape.x_mask.forward_if(p, locked, dropout.as_deref_mut(), steps, &mut tape.x);
        if tape.state.cells.first().is_none_or(|cell| cell.h.len() != batch * self.config.hidden) {
            tape.state = self.encoder.zero_state(batch);
        }
        tape.state.zero();
        let (x, encoder) = (Input::Dense(&tape.x), &mut tape.encoder);
        self.encoder.forward(&prepared.encoder, x, steps, &mut tape.state, encoder, dropout.as_deref_mut());
        tape.y.clear();
        tape.y.extend_from_slice(tape.encoder.output());
        tape.y_mask.forward_if(p, locked, dropout, steps, &mut tape.y);
        tape.memory.offsets.clone_from(&groups.offsets);
        tape.memory.values.resize(n * width, F::ZERO);
        rows::gather(&tape.y, width, &groups.row, &mut tape.memory.values, width);
        self.decoder.compute_keys(&prepared.decoder, &mut tape.memory);
        let hidden = self.config.hidden;
        tape.summary.clear();
        for &position in position {
            for cell in self.top(&tape.state) {
                tape.summary.extend_from_slice(&cell.h[position * hidden..(position + 1) * hidden]);
            }
        }
    }

    /// The states of the top layer, one per direction.
    fn top<'s, F>(&self, state: &'s StackState<F>) -> &'s [crate::cell::State<F>] {
        let directions = if self.config.bidirectional { 2 } else { 1 };
        &state.cells[state.cells.len() - directions..]
    }

    /// Logits of a block into the tape. With a random stream, dropout is on.
    fn forward<F: Scalar>(
        &self,
        prepared: &SequenceIoPrepared<F>,
        batch: &SequenceIoBatch,
        tape: &mut SequenceIoTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        self.encode(prepared, &batch.sources, tape, dropout.as_deref_mut());
        self.decoder.begin(&prepared.decoder, &tape.summary, &mut tape.decoder);
        let reading = reading(&batch.targets, &batch.targets.inputs, &tape.memory);
        self.decoder
            .scheduled_inputs(&prepared.decoder, reading, &batch.targets.predicted, &mut tape.decoder, &mut tape.fed);
        let reading = Reading { tokens: &tape.fed, ..reading };
        self.decoder.forward(&prepared.decoder, reading, &mut tape.decoder, dropout);
    }

    /// The log-probability of each target `[N]`, with teacher forcing.
    pub fn target_log_probs<F: Scalar>(
        &self,
        prepared: &SequenceIoPrepared<F>,
        batch: &SequenceIoBatch,
        tape: &mut SequenceIoTape<F>,
    ) -> Vec<F> {
        if batch.sources.position.is_empty() {
            return Vec::new();
        }
        self.forward(prepared, batch, tape, None);
        self.decoder.target_log_probs(&batch.targets.targets, &tape.decoder)
    }

    /// Encodes sources, to generate their targets step by step.
    pub fn stepper<'a, F: Scalar, S: AsRef<[u32]>>(
        &'a self,
        prepared: &'a SequenceIoPrepared<F>,
        sources: &[S],
    ) -> Stepper<'a, F> {
        let order: Vec<usize> = (0..sources.len()).collect();
        let mut tape = SequenceIoTape::default();
        self.encode(prepared, &Sources::new(sources, &order), &mut tape, None);
        Stepper::new(&self.decoder, &prepared.decoder, &tape.summary, tape.memory, Vec::new())
    }
}

fn reading<'a, F>(targets: &'a TargetSequences, tokens: &'a [u32], memory: &'a Memory<F>) -> Reading<'a, F> {
    let TargetSequences { steps, groups, .. } = targets;
    Reading { steps, tokens, groups, memory, feature: &[] }
}

impl<F: Scalar> Shape<F> for SequenceIo {
    type Batch = SequenceIoBatch;
    type State = ();
    type Prepared = SequenceIoPrepared<F>;
    type Tape = SequenceIoTape<F>;

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn set_operands(&self, operands: Operands, prepared: &mut SequenceIoPrepared<F>) {
        prepared.encoder.set_operands(operands);
        prepared.decoder.set_operands(operands);
    }

    fn prepare(&self, params: &Params<F>, prepared: &mut SequenceIoPrepared<F>) {
        self.embedding.prepare(params, &mut prepared.embedding);
        self.encoder.prepare(params, &mut prepared.encoder);
        self.decoder.prepare(params, &mut prepared.decoder);
    }

    fn targets(&self, batch: &SequenceIoBatch) -> usize {
        batch.targets.targets.len()
    }

    fn loss_and_grad(
        &self,
        params: &Params<F>,
        prepared: &SequenceIoPrepared<F>,
        batch: &SequenceIoBatch,
        scale: F,
        dropout: Option<&mut Rng>,
        _: &mut (),
        tape: &mut SequenceIoTape<F>,
        grads: &mut Grads<F>,
    ) -> f64 {
        let Sources { steps, tokens, groups, position } = &batch.sources;
        if position.is_empty() {
            return 0.0;
        }
        self.forward(prepared, batch, tape, dropout);
        let loss_nats = self.decoder.loss_backward(&batch.targets.targets, scale, &mut tape.decoder);
        let (n, width, hidden) = (steps.rows(), self.encoder.output_width(), self.config.hidden);
        tape.dsummary.resize(tape.summary.len(), F::ZERO);
        zeros(&mut tape.dmemory, n * width);
        let reading = reading(&batch.targets, &tape.fed, &tape.memory);
        let to = ReadingGrad { dsummary: &mut tape.dsummary, dmemory: &mut tape.dmemory, dfeature: &mut [] };
        let (summary, decoder) = (&tape.summary, &mut tape.decoder);
        self.decoder.backward(params, &prepared.decoder, reading, summary, decoder, grads, to);
        tape.dy.resize(n * width, F::ZERO);
        rows::gather(&tape.dmemory, width, &groups.position, &mut tape.dy, width);
        if tape.dropped {
            tape.y_mask.backward(&mut tape.dy);
        }
        tape.dstate.zero_like(&tape.state);
        let first = tape.dstate.cells.len() - self.top(&tape.state).len();
        for (&position, dsummary) in position.iter().zip(tape.dsummary.chunks_exact(width)) {
            for (cell, dh) in tape.dstate.cells[first..].iter_mut().zip(dsummary.chunks_exact(hidden)) {
                cell.h[position * hidden..(position + 1) * hidden].copy_from_slice(dh);
            }
        }
        let embedding = self.config.decoder.embedding;
        zeros(&mut tape.dx, n * embedding);
        let (x, dstate, dx) = (Input::Dense(&tape.x), &mut tape.dstate, Some(&mut tape.dx[..]));
        self.encoder.backward(params, &prepared.encoder, x, steps, &mut tape.encoder, &tape.dy, dstate, grads, dx);
        if tape.dropped {
            tape.x_mask.backward(&mut tape.dx);
        }
        self.embedding.backward(tokens, &mut tape.dx, grads);
        loss_nats
    }

    fn loss(
        &self,
        _: &Params<F>,
        prepared: &SequenceIoPrepared<F>,
        batch: &SequenceIoBatch,
        _: &mut (),
        tape: &mut SequenceIoTape<F>,
    ) -> f64 {
        if batch.sources.position.is_empty() {
            return 0.0;
        }
        self.forward(prepared, batch, tape, None);
        self.decoder.loss(&batch.targets.targets, &tape.decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{BeamConfig, Query, SpecialTokens, StepModel, beam_search};
    use crate::layer::AttentionKind;
    use crate::optim::{Optimizer, OptimizerConfig};
    use crate::shape::check_gradient;

    const BEGIN: u32 = 0;
    const END: u32 = 1;

    fn config(kind: AttentionKind, upper_layers: usize, tied: bool) -> SequenceIoConfig {
        SequenceIoConfig {
            cell: CellKind::Gru,
            source_vocab: if tied { 6 } else { 5 },
            shared_embedding: tied,
            layers: 1,
            hidden: 3,
            bidirectional: true,
            decoder: DecoderConfig {
                cell: if tied { CellKind::Gru } else { CellKind::Lstm },
                vocab: 6,
                embedding: 4,
                hidden: 6,
                layers: 1,
                upper_layers,
                conditional: false,
                attention: Some(kind),
                attention_hidden: 3,
                scaled_attention: tied,
                tied,
                dropout: 0.3,
                locked_dropout: tied,
                label_smoothing: 0.1,
            },
        }
    }

    /// As [`config`], conditional.
    fn conditional(kind: AttentionKind, tied: bool) -> SequenceIoConfig {
        let config = config(kind, 1, tied);
        SequenceIoConfig { decoder: DecoderConfig { conditional: true, ..config.decoder }, ..config }
    }

    /// Lengths in another order for the sources than for the targets; an empty source and an empty target.
    fn pairs() -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
        let sources = vec![vec![2, 3], vec![4, 2, 3, 1], vec![], vec![1]];
        let targets = vec![vec![5, 2, 4], vec![2], vec![3, 3], vec![]];
        (sources, targets)
    }

    #[test]
    fn gradients_equal_central_differences_with_dropout_and_smoothing() {
        let cases = [
            (AttentionKind::General, 1, true, true),
            (AttentionKind::Dot, 0, false, true),
            (AttentionKind::Additive, 1, false, true),
            (AttentionKind::Additive, 0, true, false),
        ];
        for (kind, upper, tied, bidirectional) in cases {
            let mut config = config(kind, upper, tied);
            config.bidirectional = bidirectional;
            config.layers = if bidirectional { 1 } else { 2 };
            check(config);
        }
        for kind in [AttentionKind::Dot, AttentionKind::General, AttentionKind::Additive] {
            check(conditional(kind, kind == AttentionKind::General));
        }
        for cell in CellKind::ALL {
            let config = conditional(AttentionKind::General, false);
            check(SequenceIoConfig { decoder: DecoderConfig { cell, ..config.decoder }, ..config });
        }
    }

    fn check(config: SequenceIoConfig) {
        let network = SequenceIo::new(config).unwrap();
        let params: Params<f64> = network.init(Init::Uniform(0.6), &mut Rng::new(1, "test"));
        let (sources, targets) = pairs();
        let batch = SequenceIoBatch::new(&sources, &targets, BEGIN, END);
        check_gradient(&network, &params, &batch, &());
    }

    #[test]
    fn gradients_equal_central_differences_with_scheduled_sampling() {
        for config in [config(AttentionKind::General, 1, true), conditional(AttentionKind::Additive, true)] {
            let network = SequenceIo::new(config).unwrap();
            let params: Params<f64> = network.init(Init::Uniform(0.6), &mut Rng::new(1, "test"));
            let (sources, targets) = pairs();
            let mut batch = SequenceIoBatch::new(&sources, &targets, BEGIN, END);
            batch.targets.scheduled_sampling(0.7, &mut Rng::new(2, "test"));
            assert!(!batch.targets.predicted[0] && batch.targets.predicted.iter().any(|&is| is));
            check_gradient(&network, &params, &batch, &());
        }
    }

    #[test]
    fn scheduled_sampling_feeds_what_greedy_search_generates() {
        for config in [config(AttentionKind::General, 1, true), conditional(AttentionKind::General, true)] {
            feeds_what_greedy_search_generates(&SequenceIo::new(config).unwrap());
        }
    }

    fn feeds_what_greedy_search_generates(network: &SequenceIo) {
        let params: Params<f32> = network.init(Init::Uniform(1.0), &mut Rng::new(1, "test"));
        let mut prepared = SequenceIoPrepared::default();
        network.prepare(&params, &mut prepared);
        let sources = vec![vec![2, 3], vec![4, 2, 3, 1], vec![5]];
        let targets = vec![vec![3; 5], vec![3; 2], vec![3; 4]];
        let mut batch = SequenceIoBatch::new(&sources, &targets, BEGIN, END);
        batch.targets.scheduled_sampling(1.0, &mut Rng::new(2, "test"));
        let mut tape = SequenceIoTape::default();
        network.forward(&prepared, &batch, &mut tape, None);
        for (position, &i) in batch.targets.sorted.iter().enumerate() {
            let mut stepper = network.stepper(&prepared, &sources[i..=i]);
            let mut token = BEGIN;
            for t in 0..=targets[i].len() {
                let row = batch.targets.steps.range(t).start + position;
                assert_eq!(tape.fed[row], token, "{i} {t}");
                let logits = stepper.logits(&[0], &[token]);
                let best = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
                token = best as u32;
            }
        }
    }

    fn trained(
        mut config: SequenceIoConfig,
        sources: &[Vec<u32>],
        targets: &[Vec<u32>],
    ) -> (SequenceIo, Params<f32>, f64) {
        (config.hidden, config.decoder.hidden, config.decoder.embedding) = (8, 16, 12);
        (config.decoder.dropout, config.decoder.label_smoothing) = (0.0, 0.0);
        let network = SequenceIo::new(config).unwrap();
        let mut params: Params<f32> = network.init(Init::Fan, &mut Rng::new(1, "weights"));
        let batch = SequenceIoBatch::new(sources, targets, BEGIN, END);
        let mut optimizer = Optimizer::new(OptimizerConfig::default(), &network.layout);
        let (mut prepared, mut tape) = (SequenceIoPrepared::default(), SequenceIoTape::default());
        let mut grads = Params::zeros(&network.layout);
        let mut loss_nats = f64::NAN;
        for _ in 0..400 {
            network.prepare(&params, &mut prepared);
            grads.zero();
            let scale = 0.1;
            loss_nats = network.loss_and_grad(&params, &prepared, &batch, scale, None, &mut (), &mut tape, &mut grads);
            optimizer.update(&mut params, &grads, 0.01, 1.0);
        }
        (network, params, loss_nats)
    }

    fn special_tokens() -> SpecialTokens {
        SpecialTokens { bos: BEGIN, eos: END, suppressed: vec![BEGIN] }
    }

    #[test]
    fn two_sentences_are_learnt_and_translated() {
        let sources = vec![vec![2, 3, 4, 5], vec![3, 2]];
        let targets = vec![vec![5, 5, 2, 3], vec![4, 2, 2, 2, 3]];
        let kinds = [AttentionKind::Dot, AttentionKind::General, AttentionKind::Additive];
        let cases = kinds.map(|kind| config(kind, 1, true)).into_iter();
        for config in cases.chain([conditional(AttentionKind::General, true)]) {
            let (kind, conditional) = (config.decoder.attention, config.decoder.conditional);
            let (network, params, loss_nats) = trained(config, &sources, &targets);
            assert!(loss_nats < 0.02, "{kind:?} {conditional}: {loss_nats} nats");
            let mut prepared = SequenceIoPrepared::default();
            network.prepare(&params, &mut prepared);
            let queries = vec![Query { prefix: Vec::new(), max_length: 10 }; 2];
            let mut scores = vec![f64::NEG_INFINITY; 2];
            for beam in [1, 2, 5, 20] {
                let mut stepper = network.stepper(&prepared, &sources);
                let config = BeamConfig { beam, ..BeamConfig::default() };
                let found = beam_search(&mut stepper, &queries, &special_tokens(), &config).unwrap();
                for ((found, target), score) in found.iter().zip(&targets).zip(&mut scores) {
                    assert_eq!(&found[0].tokens, target, "{kind:?}");
                    assert!(found[0].score >= *score, "{kind:?}: a beam of {beam} scores lower");
                    *score = found[0].score;
                }
            }
        }
    }

    #[test]
    fn stepwise_logits_are_bit_identical_whatever_runs_beside_them() {
        let usual = [config(AttentionKind::General, 1, true), config(AttentionKind::Additive, 1, false)];
        let others = [conditional(AttentionKind::General, true), conditional(AttentionKind::Additive, false)];
        for mut config in usual.into_iter().chain(others) {
            let (kind, conditional) = (config.decoder.attention, config.decoder.conditional);
            (config.hidden, config.decoder.hidden, config.decoder.embedding) = (17, 33, 20);
            let network = SequenceIo::new(config).unwrap();
            let params: Params<f32> = network.init(Init::Uniform(0.4), &mut Rng::new(1, "weights"));
            let mut prepared = SequenceIoPrepared::default();
            network.prepare(&params, &mut prepared);
            let (sources, targets) = pairs();
            let batch = SequenceIoBatch::new(&sources, &targets, BEGIN, END);
            let mut tape = SequenceIoTape::default();
            network.forward(&prepared, &batch, &mut tape, None);
            let vocab = network.config.decoder.vocab;
            for (i, (source, target)) in sources.iter().zip(&targets).enumerate() {
                // The sequence twice, as two hypotheses, next to another one.
                let other = vec![3, 3, 1];
                let mut stepper = network.stepper(&prepared, &[other, source.clone()]);
                let position = batch.targets.sorted.iter().position(|&s| s == i).unwrap();
                for t in 0..=target.len() {
                    let token = if t == 0 { BEGIN } else { target[t - 1] };
                    let from = if t == 0 { [0, 1, 1] } else { [0, 2, 1] };
                    let logits = stepper.logits(&from, &[2, token, token]);
                    let row = batch.targets.steps.range(t).start + position;
                    let whole = &tape.decoder.logits()[row * vocab..(row + 1) * vocab];
                    assert_eq!(&logits[vocab..2 * vocab], whole, "{kind:?} {conditional} {i} {t}");
                    assert_eq!(&logits[2 * vocab..], whole, "{kind:?} {conditional} {i} {t}");
                }
                let sum: f32 = stepper.attention(2).iter().sum();
                assert_eq!(stepper.attention(2).len(), source.len());
                assert!(source.is_empty() || (sum - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_batch_is_searched_as_its_sentences_alone_bit_for_bit() {
        for config in [config(AttentionKind::General, 1, true), conditional(AttentionKind::General, true)] {
            a_batch_is_searched_as_its_sentences_alone(config);
        }
    }

    fn a_batch_is_searched_as_its_sentences_alone(mut config: SequenceIoConfig) {
        (config.hidden, config.decoder.hidden, config.decoder.embedding) = (17, 33, 20);
        let network = SequenceIo::new(config).unwrap();
        let params: Params<f32> = network.init(Init::Uniform(1.0), &mut Rng::new(2, "weights"));
        let mut prepared = SequenceIoPrepared::default();
        network.prepare(&params, &mut prepared);
        let mut rng = Rng::new(3, "test");
        let sources: Vec<Vec<u32>> = (0..9).map(|i| (0..i).map(|_| rng.below(6) as u32).collect()).collect();
        let config = BeamConfig { beam: 4, nbest: 4, coverage_penalty: 0.1, ..BeamConfig::default() };
        let queries = vec![Query { prefix: Vec::new(), max_length: 12 }; 9];
        let mut stepper = network.stepper(&prepared, &sources);
        let together = beam_search(&mut stepper, &queries, &special_tokens(), &config).unwrap();
        for i in 0..9 {
            let mut stepper = network.stepper(&prepared, &sources[i..=i]);
            let alone = beam_search(&mut stepper, &queries[..1], &special_tokens(), &config).unwrap();
            assert_eq!(together[i], alone[0], "sentence {i}");
        }
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        let config = config(AttentionKind::General, 1, true);
        let message = |config: SequenceIoConfig| SequenceIo::new(config).unwrap_err().to_string();
        assert!(message(SequenceIoConfig { source_vocab: 5, ..config.clone() }).contains("one vocabulary"));
        assert!(message(SequenceIoConfig { hidden: 0, ..config.clone() }).contains("hidden 0"));
        let decoder = DecoderConfig { label_smoothing: 1.0, ..config.decoder.clone() };
        assert!(message(SequenceIoConfig { decoder, ..config.clone() }).contains("label_smoothing 1"));
        let decoder = DecoderConfig { attention: None, ..config.decoder.clone() };
        assert!(message(SequenceIoConfig { decoder, ..config.clone() }).contains("attention"));
        let decoder = DecoderConfig { conditional: true, layers: 2, ..config.decoder.clone() };
        assert!(message(SequenceIoConfig { decoder, ..config }).contains("conditional"));
    }
}
