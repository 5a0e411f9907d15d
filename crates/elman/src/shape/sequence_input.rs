//! Sequence input (many to one): one output after the whole sequence. The sentiment of a sentence; the kind of
//! movement in a series of measurements.
//!
//! Tokens through an embedding, or vectors → recurrent stack → pooling over the steps → linear → softmax with
//! cross-entropy, or the squared error of numbers.

use std::sync::Arc;

use elman_kernels::{Operands, Scalar, Scratch, softmax};
use serde::{Deserialize, Serialize};

use super::fixed::squared_error;
use super::{InputKind, Inputs, Outputs, Shape, Targets};
use crate::cell::{CellKind, Input, Source, Steps};
use crate::error::{Error, Result};
use crate::layer::{
    Dropout, Embedding, EmbeddingTape, Linear, LinearPrepared, Loss, Pool, PoolTape, Pooling, Stack, StackConfig,
    StackPrepared, StackState, StackTape, WeightDrop, binary_cross_entropy,
};
use crate::param::{Grads, Init, Layout, Params};
use crate::rng::Rng;

/// Configuration of a [`SequenceInput`] network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceInputConfig {
    /// The cell of every layer.
    pub cell: CellKind,
    /// `L`.
    pub layers: usize,
    /// `H`, of each layer and direction.
    pub hidden: usize,
    /// Whether a second set of cells reads each sequence backwards.
    pub bidirectional: bool,
    /// The kind of input.
    pub feed: InputKind,
    /// `E`, width of the token embedding.
    pub embedding: usize,
    /// Dropout probability of the embedding.
    pub embedding_dropout: f64,
    /// Whether all steps of a sequence share one embedding dropout mask.
    pub locked: bool,
    /// Whether the dropout between layers does too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub locked_layers: bool,
    /// How the steps are pooled into one vector.
    pub pooling: Pooling,
    /// `X`, further features of each sequence, concatenated to that vector before the output.
    pub extra: usize,
    /// `V`: the classes, or the numbers that are predicted.
    pub classes: usize,
    /// Dropout probability between layers and before the output.
    pub dropout: f64,
    /// Weight drop probability of the recurrent weights.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight_drop: f64,
    /// The training loss.
    pub loss: Loss,
    /// Of numbers: the error, in standard deviations, from which on it counts linearly; absent where it always counts squared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub huber: Option<f64>,
}

impl SequenceInputConfig {
    /// A short description: `bi-gru 1x128`.
    pub fn in_words(&self) -> String {
        let directions = if self.bidirectional { "bi-" } else { "" };
        format!("{directions}{} {}x{}", self.cell.name(), self.layers, self.hidden)
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(probability: &f64) -> bool {
    *probability == 0.0
}

/// A network with one output, after the last step.
#[derive(Clone, Debug)]
pub struct SequenceInput {
    config: SequenceInputConfig,
    layout: Arc<Layout>,
    embedding: Option<Embedding>,
    stack: Stack,
    weight_drop: Option<WeightDrop>,
    pool: Pool,
    output: Linear,
}

/// One block of sequences.
#[derive(Clone, Debug)]
pub struct SequenceInputBatch<F> {
    /// Which rows belong to which step.
    pub steps: Steps,
    /// Inputs, `N` rows.
    pub inputs: Inputs<F>,
    /// Further features of each sequence `[B, X]`.
    pub extra: Vec<F>,
    /// The class of each sequence `[B]`, or the numbers to predict `[B, V]`.
    pub targets: Targets<F>,
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct SequenceInputPrepared<F> {
    stack: StackPrepared<F>,
    output: LinearPrepared<F>,
}

/// Working memory of one block.
#[derive(Clone, Default)]
pub struct SequenceInputTape<F> {
    embedding: EmbeddingTape<F>,
    stack: StackTape<F>,
    state: StackState<F>,
    dstate: StackState<F>,
    pool: PoolTape<F>,
    pooled: Vec<F>,
    mask: Dropout<F>,
    dropped: bool,
    y: Vec<F>,
    logits: Vec<F>,
    dseen: Vec<F>,
    dpooled: Vec<F>,
    dy: Vec<F>,
    dx: Vec<F>,
    scratch: Scratch<F>,
}

impl<F> SequenceInputTape<F> {
    /// The logits `[B, V]` of the last forward pass.
    pub fn logits(&self) -> &[F] {
        &self.logits
    }
}

impl SequenceInput {
    /// Builds the network.
    ///
    /// # Errors
    /// Invalid sizes or probabilities.
    pub fn new(config: SequenceInputConfig) -> Result<Self> {
        if config.classes == 0 {
            return Err(Error::Usage("the network has no classes".into()));
        }
        let mut layout = Layout::new();
        let (embedding, width) = match config.feed {
            InputKind::Dense(width) => (None, width),
            InputKind::Tokens(_) if config.embedding == 0 => {
                return Err(Error::setting("embedding", 0, "must be at least 1"));
            }
            InputKind::Tokens(vocab) => {
                let (width, dropout) = (config.embedding, config.embedding_dropout);
                if !(0.0..1.0).contains(&dropout) {
                    return Err(Error::setting("embedding_dropout", dropout, "must be in [0, 1)"));
                }
                (Some(Embedding::add(&mut layout, "embedding.", vocab, width, dropout, config.locked)), width)
            }
        };
        let stack = StackConfig {
            cell: config.cell,
            source: Source::Dense(width),
            hidden: config.hidden,
            layers: config.layers,
            bidirectional: config.bidirectional,
            dropout: config.dropout,
            locked: config.locked_layers,
        };
        let stack = Stack::add(&mut layout, "rnn.", stack)?;
        let probability = config.weight_drop;
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::setting("weight_drop", probability, "must be in [0, 1)"));
        }
        let weights = stack.recurrent_weights().collect();
        let weight_drop = (probability > 0.0).then_some(WeightDrop { probability, weights });
        let pool = Pool::add(&mut layout, "pool.", config.pooling, stack.output_width(), config.bidirectional);
        let output = Linear::add(&mut layout, "output.", pool.output_width() + config.extra, config.classes, None);
        Ok(SequenceInput { config, layout: Arc::new(layout), embedding, stack, weight_drop, pool, output })
    }

    /// Its configuration.
    pub fn config(&self) -> &SequenceInputConfig {
        &self.config
    }

    /// The embedding of tokens, if it reads tokens.
    pub fn embedding(&self) -> Option<&Embedding> {
        self.embedding.as_ref()
    }

    /// The output layer: its input is the pooled vector, then the extra features.
    pub fn output(&self) -> &Linear {
        &self.output
    }

    /// The names and offsets of the weights.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, init: Init, rng: &mut Rng) -> Params<F> {
        // Small vectors leave the first steps to the recurrent layers: the standard deviation of the reference recipes.
        const DEVIATION: f64 = 0.25;
        let mut params = Params::zeros(&self.layout);
        if let Some(embedding) = &self.embedding {
            embedding.init(DEVIATION, &mut params, rng);
        }
        self.stack.init(init, &mut params, rng);
        self.pool.init(&mut params, rng);
        self.output.init(init, &mut params, rng);
        params
    }

    /// Logits `[B, V]` into the tape. With a random stream, dropout is on.
    pub fn forward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &SequenceInputPrepared<F>,
        batch: &SequenceInputBatch<F>,
        tape: &mut SequenceInputTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        let steps = &batch.steps;
        if let (Some(embedding), Inputs::Tokens(tokens)) = (&self.embedding, &batch.inputs) {
            embedding.forward(params, tokens, steps, &mut tape.embedding, dropout.as_deref_mut());
        }
        self.stack.zero_state_into(steps.batch(), &mut tape.state);
        let x = input(batch, &tape.embedding);
        self.stack.forward(&prepared.stack, x, steps, &mut tape.state, &mut tape.stack, dropout.as_deref_mut());
        self.pool.forward(params, tape.stack.output(), steps, &mut tape.pool);
        tape.pooled.clear();
        tape.pooled.extend_from_slice(&tape.pool.y);
        tape.dropped = false;
        if let Some(rng) = dropout.filter(|_| self.config.dropout > 0.0) {
            tape.mask.forward(self.config.dropout, rng, &mut tape.pooled);
            tape.dropped = true;
        }
        let (width, extra) = (self.pool.output_width(), self.config.extra);
        tape.y.clear();
        for (b, pooled) in tape.pooled.chunks_exact(width).enumerate() {
            tape.y.extend_from_slice(pooled);
            tape.y.extend_from_slice(&batch.extra[b * extra..(b + 1) * extra]);
        }
        tape.logits.resize(steps.batch() * self.config.classes, F::ZERO);
        self.output.forward(&prepared.output, &tape.y, &mut tape.logits);
    }
}

/// The vectors that the stack reads.
fn input<'a, F: Scalar>(batch: &'a SequenceInputBatch<F>, embedding: &'a EmbeddingTape<F>) -> Input<'a, F> {
    match &batch.inputs {
        Inputs::Dense(x) => Input::Dense(x),
        Inputs::Tokens(_) => Input::Dense(&embedding.x),
    }
}

impl<F: Scalar> Shape<F> for SequenceInput {
    type Batch = SequenceInputBatch<F>;
    type State = ();
    type Prepared = SequenceInputPrepared<F>;
    type Tape = SequenceInputTape<F>;

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn set_operands(&self, operands: Operands, prepared: &mut SequenceInputPrepared<F>) {
        prepared.stack.set_operands(operands);
        prepared.output.set_operands(operands);
    }

    fn prepare(&self, params: &Params<F>, prepared: &mut SequenceInputPrepared<F>) {
        self.stack.prepare(params, &mut prepared.stack);
        self.output.prepare(params, &mut prepared.output);
    }

    fn weight_drop(&self) -> Option<&WeightDrop> {
        self.weight_drop.as_ref()
    }

    fn targets(&self, batch: &SequenceInputBatch<F>) -> usize {
        batch.targets.rows(self.config.classes)
    }

    fn loss_and_grad(
        &self,
        params: &Params<F>,
        prepared: &SequenceInputPrepared<F>,
        batch: &SequenceInputBatch<F>,
        scale: F,
        dropout: Option<&mut Rng>,
        (): &mut (),
        tape: &mut SequenceInputTape<F>,
        grads: &mut Grads<F>,
    ) -> f64 {
        self.forward(params, prepared, batch, tape, dropout);
        // The logits become their gradient.
        let loss = match &batch.targets {
            Targets::Classes(classes) => self.config.loss.backward(&mut tape.logits, classes, scale),
            Targets::Labels(labels) => self.config.loss.backward_labels(&mut tape.logits, labels, scale),
            Targets::Values(values) => squared_error(&mut tape.logits, values, self.config.huber, scale),
        };
        tape.dseen.resize(tape.y.len(), F::ZERO);
        self.output.backward(&prepared.output, &tape.y, &tape.logits, grads, &mut tape.dseen, &mut tape.scratch);
        tape.dpooled.clear();
        for dseen in tape.dseen.chunks_exact(self.output.inputs) {
            tape.dpooled.extend_from_slice(&dseen[..self.pool.output_width()]);
        }
        if tape.dropped {
            tape.mask.backward(&mut tape.dpooled);
        }
        let steps = &batch.steps;
        tape.dy.resize(tape.stack.output().len(), F::ZERO);
        self.pool.backward(params, tape.stack.output(), steps, &tape.pool, &tape.dpooled, grads, &mut tape.dy);
        tape.dstate.zero_like(&tape.state);
        let dx = self.embedding.as_ref().map(|_| {
            tape.dx.clear();
            tape.dx.resize(tape.embedding.x.len(), F::ZERO);
            &mut tape.dx[..]
        });
        let x = input(batch, &tape.embedding);
        let (stack, dstate) = (&mut tape.stack, &mut tape.dstate);
        self.stack.backward(params, &prepared.stack, x, steps, stack, &tape.dy, dstate, grads, dx);
        if let (Some(embedding), Inputs::Tokens(tokens)) = (&self.embedding, &batch.inputs) {
            embedding.backward(tokens, &tape.embedding, &mut tape.dx, grads);
        }
        loss
    }

    fn loss(
        &self,
        params: &Params<F>,
        prepared: &SequenceInputPrepared<F>,
        batch: &SequenceInputBatch<F>,
        (): &mut (),
        tape: &mut SequenceInputTape<F>,
    ) -> f64 {
        self.forward(params, prepared, batch, tape, None);
        match &batch.targets {
            Targets::Classes(classes) => softmax::cross_entropy(&tape.logits, classes),
            Targets::Labels(labels) => binary_cross_entropy(&tape.logits, labels),
            Targets::Values(values) => squared_error(&mut tape.logits, values, self.config.huber, F::ONE),
        }
    }
}

impl Outputs for SequenceInput {
    type Config = SequenceInputConfig;

    fn from_config(config: SequenceInputConfig) -> Result<Self> {
        Self::new(config)
    }

    fn sizes(&self) -> &SequenceInputConfig {
        &self.config
    }

    fn initial(&self, init: Init, rng: &mut Rng) -> Params<f32> {
        self.init(init, rng)
    }

    fn initial_state(&self, _: usize) {}

    fn outputs(
        &self,
        params: &Params<f32>,
        prepared: &SequenceInputPrepared<f32>,
        batch: &SequenceInputBatch<f32>,
        tape: &mut SequenceInputTape<f32>,
    ) -> Vec<Vec<f32>> {
        self.forward(params, prepared, batch, tape, None);
        tape.logits.chunks_exact(self.config.classes).map(<[f32]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::MaskedWeights;
    use crate::shape::check_gradient;

    fn network(feed: InputKind, pooling: Pooling, bidirectional: bool) -> SequenceInput {
        SequenceInput::new(SequenceInputConfig {
            cell: CellKind::Lstm,
            layers: 2,
            hidden: 4,
            bidirectional,
            feed,
            embedding: 3,
            embedding_dropout: 0.2,
            locked: true,
            locked_layers: true,
            pooling,
            extra: 2,
            classes: 3,
            dropout: 0.3,
            weight_drop: 0.4,
            loss: Loss { smoothing: 0.05, class_weights: vec![1.0, 0.5, 2.0] },
            huber: Some(0.3),
        })
        .unwrap()
    }

    #[test]
    fn gradients_equal_central_differences_for_every_pooling() {
        let mut rng = Rng::new(1, "test");
        let steps = Steps::ragged(&[5, 3, 3, 1]).unwrap();
        let kinds = [Pooling::Last, Pooling::Mean, Pooling::Max, Pooling::MaxMean, Pooling::Attention];
        for (i, pooling) in kinds.into_iter().enumerate() {
            for bidirectional in [false, true] {
                let inputs = if (i + usize::from(bidirectional)).is_multiple_of(2) {
                    Inputs::Tokens((0..12).map(|_| rng.below(6) as u32).collect())
                } else {
                    Inputs::Dense((0..24).map(|_| rng.range(-1.0, 1.0)).collect())
                };
                let feed = if let Inputs::Tokens(_) = inputs { InputKind::Tokens(6) } else { InputKind::Dense(2) };
                let network = network(feed, pooling, bidirectional);
                let extra = (0..8).map(|_| rng.range(-1.0, 1.0)).collect();
                let classes = Targets::Classes(vec![0, 2, 1, 2]);
                let values = Targets::Values((0..12).map(|_| rng.range(-1.0, 1.0)).collect());
                let params = network.init(Init::Uniform(0.8), &mut Rng::new(2, "weights"));
                let mut batch = SequenceInputBatch { steps: steps.clone(), inputs, extra, targets: classes };
                check_gradient(&network, &params, &batch, &());
                batch.targets = values;
                check_gradient(&network, &params, &batch, &());
                batch.targets = Targets::Labels(vec![vec![0, 2], vec![], vec![1], vec![2]]);
                check_gradient(&network, &params, &batch, &());
            }
        }
    }

    #[test]
    fn weight_drop_masks_and_rescales_only_recurrent_weights() {
        let network = network(InputKind::Tokens(6), Pooling::Mean, true);
        let params: Params<f64> = network.init(Init::Uniform(0.8), &mut Rng::new(2, "weights"));
        let drop = network.weight_drop.as_ref().unwrap();
        assert_eq!(drop.weights.len(), 4);
        let mut masked = MaskedWeights::new(&params);
        drop.forward(&params, &mut Rng::new(1, "weight-drop"), &mut masked);
        let mut zeros = 0;
        for tensor in network.layout().tensors() {
            let is_recurrent = tensor.name.contains("weight_hh");
            for (&w, &d) in tensor.slot.of(&params).iter().zip(tensor.slot.of(&masked.params)) {
                // The probability is rounded to a 65,536th.
                let is_kept = (d - w / 0.6).abs() < 1e-4 * w.abs();
                assert!(if is_recurrent { d == 0.0 || is_kept } else { d == w }, "{}: {w} {d}", tensor.name);
                zeros += usize::from(is_recurrent && d == 0.0);
            }
        }
        // 4 matrices of 16 x 4: 102 of 256, plus or minus three standard deviations.
        assert!((80..=126).contains(&zeros), "{zeros}");
    }

    #[test]
    fn outputs_do_not_depend_on_the_other_sequences_of_a_batch() {
        let network = network(InputKind::Tokens(6), Pooling::MaxMean, true);
        let params: Params<f32> = network.init(Init::Fan, &mut Rng::new(2, "weights"));
        let (mut prepared, mut tape) = (SequenceInputPrepared::default(), SequenceInputTape::default());
        network.prepare(&params, &mut prepared);
        let mut logits = |lengths: &[usize], tokens: Vec<u32>| {
            let steps = Steps::ragged(lengths).unwrap();
            let (extra, targets) = (vec![0.5; 2 * lengths.len()], vec![0; lengths.len()]);
            let batch =
                SequenceInputBatch { steps, inputs: Inputs::Tokens(tokens), extra, targets: Targets::Classes(targets) };
            network.forward(&params, &prepared, &batch, &mut tape, None);
            tape.logits().to_vec()
        };
        // The second sequence, 4 5, alone and next to a longer one.
        let both = logits(&[3, 2], vec![1, 4, 2, 5, 3]);
        assert_eq!(both[3..], logits(&[2], vec![4, 5])[..]);
    }
}
