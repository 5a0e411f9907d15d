//! Synced sequence I/O: an output at every step (many to many, at each step). A label for every video frame; the next
//! character, which makes it a language model.
//!
//! Tokens or vectors → (convolutions and dense layers) → recurrent stack → linear → softmax with cross-entropy at each
//! step.

mod segments;

use std::sync::Arc;

use elman_kernels::{Operands, Scalar, Scratch, softmax};
use elman_step::{InputKind, NetworkConfig};

use super::{Outputs, Shape};
use crate::cell::{Input, Source, Steps};
use crate::error::{Error, Result};
use crate::layer::{
    Dropout, Front, FrontConfig, FrontPrepared, FrontTape, Linear, LinearPrepared, Loss, Stack, StackConfig,
    StackPrepared, StackState, StackTape,
};
use crate::param::{Grads, Init, Layout, Params, Slot};
use crate::rng::Rng;

/// Configuration of a [`Synced`] network, including its training.
pub type SyncedConfig = NetworkConfig<FrontConfig, Loss>;

/// A network with an output at every step.
#[derive(Clone, Debug)]
pub struct Synced {
    config: SyncedConfig,
    layout: Arc<Layout>,
    embedding: Option<Slot>,
    front: Option<Front>,
    stack: Stack,
    output: Linear,
    /// Steps whose tape is kept at a time; `None` for all.
    segment: Option<usize>,
}

/// The inputs of a block, `N` rows.
#[derive(Clone, Debug)]
pub enum Inputs<F> {
    /// `[N, I]`.
    Dense(Vec<F>),
    /// `[N]`.
    Tokens(Vec<u32>),
}

/// One block of sequences and their targets.
#[derive(Clone, Debug)]
pub struct SyncedBatch<F> {
    /// Which rows belong to which step.
    pub steps: Steps,
    /// The inputs.
    pub inputs: Inputs<F>,
    /// The class at each row `[N]`; [`softmax::IGNORE`] where there is none.
    pub targets: Vec<u32>,
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct SyncedPrepared<F> {
    front: FrontPrepared<F>,
    stack: StackPrepared<F>,
    output: LinearPrepared<F>,
}

/// Working memory of one block.
#[derive(Clone, Default)]
pub struct SyncedTape<F> {
    front: FrontTape<F>,
    dfeatures: Vec<F>,
    stack: StackTape<F>,
    y: Vec<F>,
    mask: Dropout<F>,
    logits: Vec<F>,
    dy: Vec<F>,
    dstate: StackState<F>,
    scratch: Scratch<F>,
    kept: Kept<F>,
}

/// State kept between the two passes over a sequence in segments.
#[derive(Clone)]
struct Kept<F> {
    /// The state before each segment.
    states: Vec<StackState<F>>,
    /// The current segment.
    part: SyncedBatch<F>,
}

impl<F> Default for Kept<F> {
    fn default() -> Self {
        let part = SyncedBatch { steps: Steps::equal(0, 0), inputs: Inputs::Tokens(Vec::new()), targets: Vec::new() };
        Kept { states: Vec::new(), part }
    }
}

impl<F> SyncedTape<F> {
    /// The logits `[N, V]` of the last [`Synced::forward`].
    pub fn logits(&self) -> &[F] {
        &self.logits
    }

    /// The recurrent layers' tape.
    pub fn stack(&self) -> &StackTape<F> {
        &self.stack
    }
}

impl Synced {
    /// Builds the network.
    ///
    /// # Errors
    /// Invalid sizes or probabilities; tied sizes that differ.
    pub fn new(config: SyncedConfig) -> Result<Self> {
        if config.classes == 0 {
            return Err(Error::Usage("the network has no classes".into()));
        }
        let mut layout = Layout::new();
        let mut embedding = None;
        let mut front = None;
        if let Some(config) = &config.front {
            front = Some(Front::add(&mut layout, "front.", config.clone())?);
        }
        let source = match config.feed {
            InputKind::Dense(width) => match &front {
                Some(front) if front.config().input_len() == width => Source::Dense(front.output_width()),
                Some(front) => {
                    let message =
                        format!("inputs of {width} values do not have the dimensions {:?}", front.config().input);
                    return Err(Error::Usage(message));
                }
                None => Source::Dense(width),
            },
            InputKind::Tokens(_) if front.is_some() => {
                return Err(Error::Usage("`convs` and `dense` layers need vectors, not tokens".into()));
            }
            InputKind::Tokens(vocab) if config.embedding == 0 => Source::Tokens(vocab),
            InputKind::Tokens(vocab) => {
                let slot = layout.add("embedding.weight", &[vocab, config.embedding]);
                embedding = Some(slot);
                Source::Embedded { vocab, width: config.embedding, slot }
            }
        };
        let stack = StackConfig {
            cell: config.cell,
            source,
            hidden: config.hidden,
            layers: config.layers,
            bidirectional: config.bidirectional,
            dropout: config.dropout,
            locked: false,
        };
        let stack = Stack::add(&mut layout, "rnn.", stack)?;
        let width = stack.output_width();
        let tied = match embedding {
            Some(slot)
                if config.tied && config.embedding == width && config.feed == InputKind::Tokens(config.classes) =>
            {
                Some(slot)
            }
            _ if config.tied => {
                let requirement = format!("must be {width}, the width of the recurrent layers' output, if `tied`");
                return Err(Error::setting("embedding", config.embedding, requirement));
            }
            _ => None,
        };
        let output = Linear::add(&mut layout, "output.", width, config.classes, tied);
        Ok(Synced { config, layout: Arc::new(layout), embedding, front, stack, output, segment: None })
    }

    /// Its configuration.
    pub fn config(&self) -> &SyncedConfig {
        &self.config
    }

    /// The names and offsets of the weights.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The recurrent layers.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, init: Init, rng: &mut Rng) -> Params<F> {
        let mut params = Params::zeros(&self.layout);
        if let Some(slot) = self.embedding {
            // Standard normal in PyTorch; smaller if tied to the output.
            let std = if self.config.tied { 1.0 / (self.config.embedding as f64).sqrt() } else { 1.0 };
            let init = if let Init::Uniform(_) | Init::Normal(_) = init { init } else { Init::Normal(std) };
            init.fill(slot.of_mut(&mut params), self.config.embedding, false, rng);
        }
        if let Some(front) = &self.front {
            front.init(&mut params, rng);
        }
        self.stack.init(init, &mut params, rng);
        self.output.init(init, &mut params, rng);
        params
    }

    /// The zero state of `batch` sequences.
    pub fn zero_state<F: Scalar>(&self, batch: usize) -> StackState<F> {
        self.stack.zero_state(batch)
    }

    /// Logits `[N, V]` into the tape; `state` becomes the final one. With a random stream, dropout is on.
    pub fn forward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &SyncedPrepared<F>,
        batch: &SyncedBatch<F>,
        state: &mut StackState<F>,
        tape: &mut SyncedTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        if let (Some(front), Inputs::Dense(x)) = (&self.front, &batch.inputs) {
            front.forward(params, &prepared.front, x, &mut tape.front, dropout.as_deref_mut());
        }
        let x = self.stack_input(batch, &tape.front);
        self.stack.forward(&prepared.stack, x, &batch.steps, state, &mut tape.stack, dropout.as_deref_mut());
        tape.logits.resize(batch.steps.rows() * self.config.classes, F::ZERO);
        tape.y.clear();
        if let Some(rng) = dropout.filter(|_| self.config.dropout > 0.0) {
            tape.y.extend_from_slice(tape.stack.output());
            tape.mask.forward(self.config.dropout, rng, &mut tape.y);
        }
        let y = if tape.y.is_empty() { tape.stack.output() } else { &tape.y };
        self.output.forward(&prepared.output, y, &mut tape.logits);
    }

    /// The recurrent layers' input: the input, or its features.
    fn stack_input<'a, F: Scalar>(&self, batch: &'a SyncedBatch<F>, front: &'a FrontTape<F>) -> Input<'a, F> {
        match self.front {
            Some(_) => Input::Dense(front.output()),
            None => batch.input(),
        }
    }
}

impl Synced {
    /// min-char-rnn's `lossFun` for one sequence of tokens: the loss in nats summed over its steps, the gradients, and
    /// the state after it.
    ///
    /// For a first loop and for tests: it allocates its memory, which training reuses ([`Shape::loss_and_grad`]).
    ///
    /// # Panics
    /// If there is not one target per input, a token or target is out of range, or the network reads vectors.
    ///
    /// ```
    /// use elman::cell::CellKind;
    /// use elman::param::{Init, Params};
    /// use elman::rng::Rng;
    /// use elman::shape::{Synced, SyncedConfig};
    ///
    /// let network = Synced::new(SyncedConfig::language_model(CellKind::RnnTanh, 8, 4))?;
    /// let mut params: Params<f32> = network.init(Init::Normal(0.01), &mut Rng::new(1, "weights"));
    /// // h e l l o, as in the blog's figure.
    /// let (inputs, targets, h_prev) = ([0, 1, 2, 2], [1, 2, 2, 3], network.zero_state(1));
    /// let (loss_nats, grads, h) = network.loss_and_gradients(&params, &inputs, &targets, &h_prev);
    /// assert!((loss_nats / 4.0 - 4f64.ln()).abs() < 0.01);
    ///
    /// params.values.iter_mut().zip(&grads.values).for_each(|(w, g)| *w -= 0.1 * g);
    /// assert!(network.loss_and_gradients(&params, &inputs, &targets, &h_prev).0 < loss_nats);
    /// assert_ne!(h, h_prev);
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn loss_and_gradients<F: Scalar>(
        &self,
        params: &Params<F>,
        inputs: &[u32],
        targets: &[u32],
        h_prev: &StackState<F>,
    ) -> (f64, Grads<F>, StackState<F>) {
        assert_eq!(inputs.len(), targets.len(), "one target per input");
        let steps = Steps::equal(inputs.len(), 1);
        let batch = SyncedBatch { steps, inputs: Inputs::Tokens(inputs.to_vec()), targets: targets.to_vec() };
        let (mut prepared, mut tape) = (SyncedPrepared::default(), SyncedTape::default());
        self.prepare(params, &mut prepared);
        let (mut h, mut grads) = (h_prev.clone(), Params::zeros(&self.layout));
        let loss_nats = self.loss_and_grad(params, &prepared, &batch, F::ONE, None, &mut h, &mut tape, &mut grads);
        (loss_nats, grads, h)
    }
}

impl<F: Scalar> SyncedBatch<F> {
    fn input(&self) -> Input<'_, F> {
        match &self.inputs {
            Inputs::Dense(x) => Input::Dense(x),
            Inputs::Tokens(x) => Input::Tokens(x),
        }
    }
}

impl Synced {
    /// The loss and its gradient, where `tape.dstate` holds dL/d(final state); leaves there dL/d(initial state).
    fn loss_and_grad_before<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &SyncedPrepared<F>,
        batch: &SyncedBatch<F>,
        scale: F,
        dropout: Option<&mut Rng>,
        state: &mut StackState<F>,
        tape: &mut SyncedTape<F>,
        grads: &mut Grads<F>,
    ) -> f64 {
        self.forward(params, prepared, batch, state, tape, dropout);
        // The logits become their gradient.
        let loss_nats = self.config.loss.backward(&mut tape.logits, &batch.targets, scale);
        let masked = !tape.y.is_empty();
        let y = if masked { &tape.y } else { tape.stack.output() };
        tape.dy.resize(y.len(), F::ZERO);
        self.output.backward(&prepared.output, y, &tape.logits, grads, &mut tape.dy, &mut tape.scratch);
        if masked {
            tape.mask.backward(&mut tape.dy);
        }
        let (steps, dstate) = (&batch.steps, &mut tape.dstate);
        let dx = self.front.as_ref().map(|_| {
            tape.dfeatures.clear();
            tape.dfeatures.resize(tape.front.output().len(), F::ZERO);
            &mut tape.dfeatures[..]
        });
        let x = self.stack_input(batch, &tape.front);
        self.stack.backward(params, &prepared.stack, x, steps, &mut tape.stack, &tape.dy, dstate, grads, dx);
        if let (Some(front), Inputs::Dense(x)) = (&self.front, &batch.inputs) {
            front.backward(params, &prepared.front, x, &mut tape.front, &tape.dfeatures, grads);
        }
        loss_nats
    }
}

impl<F: Scalar> Shape<F> for Synced {
    type Batch = SyncedBatch<F>;
    type State = StackState<F>;
    type Prepared = SyncedPrepared<F>;
    type Tape = SyncedTape<F>;

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn set_operands(&self, operands: Operands, prepared: &mut SyncedPrepared<F>) {
        prepared.front.set_operands(operands);
        prepared.stack.set_operands(operands);
        prepared.output.set_operands(operands);
    }

    fn prepare(&self, params: &Params<F>, prepared: &mut SyncedPrepared<F>) {
        if let Some(front) = &self.front {
            front.prepare(params, &mut prepared.front);
        }
        self.stack.prepare(params, &mut prepared.stack);
        self.output.prepare(params, &mut prepared.output);
    }

    fn targets(&self, batch: &SyncedBatch<F>) -> usize {
        batch.targets.iter().filter(|&&target| target != softmax::IGNORE).count()
    }

    fn loss_and_grad(
        &self,
        params: &Params<F>,
        prepared: &SyncedPrepared<F>,
        batch: &SyncedBatch<F>,
        scale: F,
        dropout: Option<&mut Rng>,
        state: &mut StackState<F>,
        tape: &mut SyncedTape<F>,
        grads: &mut Grads<F>,
    ) -> f64 {
        if let Some(segment) = self.segment_of(batch) {
            return self
                .loss_and_grad_in_segments(segment, params, prepared, batch, scale, dropout, state, tape, grads);
        }
        // Truncated: no gradient comes from beyond the last step.
        self.stack.zero_state_into(batch.steps.batch(), &mut tape.dstate);
        self.loss_and_grad_before(params, prepared, batch, scale, dropout, state, tape, grads)
    }

    fn loss(
        &self,
        params: &Params<F>,
        prepared: &SyncedPrepared<F>,
        batch: &SyncedBatch<F>,
        state: &mut StackState<F>,
        tape: &mut SyncedTape<F>,
    ) -> f64 {
        self.forward(params, prepared, batch, state, tape, None);
        softmax::cross_entropy(&tape.logits, &batch.targets)
    }
}

impl Outputs for Synced {
    type Config = SyncedConfig;

    fn from_config(config: SyncedConfig) -> Result<Self> {
        Self::new(config)
    }

    fn sizes(&self) -> &SyncedConfig {
        &self.config
    }

    fn initial(&self, init: Init, rng: &mut Rng) -> Params<f32> {
        self.init(init, rng)
    }

    fn initial_state(&self, batch: usize) -> StackState<f32> {
        self.zero_state(batch)
    }

    fn outputs(
        &self,
        params: &Params<f32>,
        prepared: &SyncedPrepared<f32>,
        batch: &SyncedBatch<f32>,
        tape: &mut SyncedTape<f32>,
    ) -> Vec<Vec<f32>> {
        let (steps, classes) = (&batch.steps, self.config.classes);
        self.forward(params, prepared, batch, &mut self.zero_state(steps.batch()), tape, None);
        let row = |t: usize, b: usize| &tape.logits[(steps.range(t).start + b) * classes..][..classes];
        let one = |b: usize| (0..steps.len_of(b)).flat_map(|t| row(t, b)).copied().collect();
        (0..steps.batch()).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::CellKind;
    use crate::shape::check_gradient;

    fn network(feed: InputKind, embedding: usize, tied: bool, bidirectional: bool) -> Synced {
        Synced::new(SyncedConfig {
            cell: CellKind::Lstm,
            layers: 2,
            hidden: 6,
            bidirectional,
            feed,
            embedding,
            tied,
            classes: 5,
            dropout: 0.3,
            front: None,
            loss: Loss::default(),
        })
        .unwrap()
    }

    #[test]
    fn gradients_flow_through_the_front_end() {
        let front = FrontConfig { input: [4, 3, 2], convs: vec![3], dense: vec![5], dropout: 0.2 };
        let config = network(InputKind::Dense(24), 0, false, true).config().clone();
        let loss = Loss { smoothing: 0.05, class_weights: Vec::new() };
        let network = Synced::new(SyncedConfig { front: Some(front), loss, ..config }).unwrap();
        let mut rng = Rng::new(1, "test");
        let steps = Steps::ragged(&[3, 2]).unwrap();
        let inputs = Inputs::Dense((0..5 * 24).map(|_| rng.range(-1.0, 1.0)).collect());
        let batch = SyncedBatch { steps, inputs, targets: vec![0, 4, softmax::IGNORE, 2, 1] };
        let params = network.init(Init::Uniform(0.8), &mut rng);
        check_gradient(&network, &params, &batch, &network.zero_state(2));
    }

    #[test]
    fn gradients_equal_central_differences_with_dropout_and_ignored_targets() {
        let cases = [
            (InputKind::Tokens(5), 0, false, false),
            (InputKind::Tokens(5), 3, false, true),
            (InputKind::Tokens(5), 6, true, false),
            (InputKind::Dense(2), 0, false, true),
        ];
        for (feed, embedding, tied, bidirectional) in cases {
            let network = network(feed, embedding, tied, bidirectional);
            let mut rng = Rng::new(1, "test");
            let params: Params<f64> = network.init(Init::Uniform(0.8), &mut rng);
            let steps = Steps::ragged(&[4, 3, 1]).unwrap();
            let inputs = match feed {
                InputKind::Dense(width) => Inputs::Dense((0..8 * width).map(|_| rng.range(-1.0, 1.0)).collect()),
                InputKind::Tokens(vocab) => Inputs::Tokens((0..8).map(|_| rng.below(vocab) as u32).collect()),
            };
            let batch = SyncedBatch { steps, inputs, targets: vec![0, 4, softmax::IGNORE, 2, 2, 1, 3, 0] };
            check_gradient(&network, &params, &batch, &network.zero_state(3));
        }
    }

    #[test]
    fn invalid_sizes_are_rejected_naming_the_setting() {
        let config = network(InputKind::Tokens(5), 6, true, false).config().clone();
        let message = |config: SyncedConfig| Synced::new(config).unwrap_err().to_string();
        assert!(message(SyncedConfig { hidden: 0, ..config.clone() }).contains("hidden 0"));
        assert!(message(SyncedConfig { layers: 0, ..config.clone() }).contains("layers 0"));
        assert!(message(SyncedConfig { dropout: 1.0, ..config.clone() }).contains("dropout 1"));
        assert!(message(SyncedConfig { embedding: 4, ..config }).contains("embedding 4"));
    }
}
