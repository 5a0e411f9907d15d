//! Fixed input to fixed output, without recurrence (one to one): an image or a row of numbers to a class, or to
//! numbers.
//!
//! Convolutions → dense layers → linear → softmax with cross-entropy, or squared error. With a skip connection, a linear map of
//! the inputs is added to the outputs (wide and deep: Cheng et al. 2016), so that the layers need only learn what is not linear.

use std::sync::Arc;

use elman_kernels::{Mat, MatMut, Operands, Packed, Scalar, Scratch, Start, gemm, gemm_unpacked_of, softmax};
use serde::{Deserialize, Serialize};

use super::{Outputs, Shape};
use crate::error::{Error, Result};
use crate::layer::{Front, FrontConfig, FrontPrepared, FrontTape, Linear, LinearPrepared, Loss, binary_cross_entropy};
use crate::param::{Grads, Init, Layout, Params, Slot};
use crate::rng::Rng;

/// Configuration of a [`Fixed`] network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedConfig {
    /// The CNN front end, all layers before the output.
    pub front: FrontConfig,
    /// `V`: classes, or values of a regression.
    pub outputs: usize,
    /// The loss of classification.
    pub loss: Loss,
    /// Of numbers: the error in standard deviations from which on it counts linearly, not squared; none for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub huber: Option<f64>,
    /// Whether a linear map of the inputs is added to the outputs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip: bool,
}

/// A network without recurrence.
#[derive(Clone, Debug)]
pub struct Fixed {
    config: FixedConfig,
    layout: Arc<Layout>,
    front: Front,
    output: Linear,
    /// `[V, I]`.
    skip: Option<Slot>,
}

/// The targets of a block.
#[derive(Clone, Debug)]
pub enum Targets<F> {
    /// A class for each row `[N]`; the loss is cross-entropy.
    Classes(Vec<u32>),
    /// The labels that hold for each row `[N]`; the loss is binary cross-entropy summed over all labels.
    Labels(Vec<Vec<u32>>),
    /// Numbers for each row `[N, V]`; the loss is half the squared error summed over them.
    Values(Vec<F>),
}

/// One block of examples.
#[derive(Clone, Debug)]
pub struct FixedBatch<F> {
    /// `[N, height, width, channels]`.
    pub inputs: Vec<F>,
    /// The targets.
    pub targets: Targets<F>,
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct FixedPrepared<F> {
    front: FrontPrepared<F>,
    output: LinearPrepared<F>,
    skip: Packed<F>,
}

/// Working memory of one block.
#[derive(Clone, Default)]
pub struct FixedTape<F> {
    front: FrontTape<F>,
    outputs: Vec<F>,
    dy: Vec<F>,
    scratch: Scratch<F>,
}

impl<F> FixedTape<F> {
    /// The outputs `[N, V]` of the last forward pass: logits, or values.
    pub fn outputs(&self) -> &[F] {
        &self.outputs
    }
}

impl Fixed {
    /// Builds the network.
    ///
    /// # Errors
    /// Invalid sizes or probabilities.
    pub fn new(config: FixedConfig) -> Result<Self> {
        if config.outputs == 0 {
            return Err(Error::Usage("the network has no outputs".into()));
        }
        let mut layout = Layout::new();
        let front = Front::add(&mut layout, "", config.front.clone())?;
        let output = Linear::add(&mut layout, "output.", front.output_width(), config.outputs, None);
        let skip = config.skip.then(|| layout.add("skip.weight", &[config.outputs, config.front.input_len()]));
        Ok(Fixed { config, layout: Arc::new(layout), front, output, skip })
    }

    /// Its configuration.
    pub fn config(&self) -> &FixedConfig {
        &self.config
    }

    /// The names and offsets of the weights.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Initialises the weights; those of a skip connection are zero.
    pub fn init<F: Scalar>(&self, rng: &mut Rng) -> Params<F> {
        let mut params = Params::zeros(&self.layout);
        self.front.init(&mut params, rng);
        self.output.init(Init::Fan, &mut params, rng);
        params
    }

    /// Outputs `[N, V]` into the tape. With a random stream, dropout is on.
    pub fn forward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &FixedPrepared<F>,
        inputs: &[F],
        tape: &mut FixedTape<F>,
        dropout: Option<&mut Rng>,
    ) {
        self.front.forward(params, &prepared.front, inputs, &mut tape.front, dropout);
        let (width, outputs) = (self.config.front.input_len(), self.config.outputs);
        let n = inputs.len() / width;
        tape.outputs.resize(n * outputs, F::ZERO);
        self.output.forward(&prepared.output, tape.front.output(), &mut tape.outputs);
        if self.skip.is_some() {
            let y = MatMut::new(&mut tape.outputs, n, outputs);
            gemm(Mat::new(inputs, n, width), &prepared.skip, y, Start::Add);
        }
    }
}

/// Half the squared error summed over all values, of errors beyond `huber` in their absolute value (Huber 1964); `scale` times
/// its gradient replaces the outputs.
pub(super) fn squared_error<F: Scalar>(outputs: &mut [F], targets: &[F], huber: Option<f64>, scale: F) -> f64 {
    let limit = huber.unwrap_or(f64::INFINITY);
    let mut sum = 0.0;
    for (y, &target) in outputs.iter_mut().zip(targets) {
        let d = *y - target;
        let size = d.to_f64().abs();
        if size <= limit {
            sum += 0.5 * size * size;
            *y = scale * d;
        } else {
            sum += limit * (size - 0.5 * limit);
            *y = scale * F::from_f64(limit * d.to_f64().signum());
        }
    }
    sum
}

impl<F> Targets<F> {
    /// `B`, where an example has so many `outputs`.
    pub(super) fn rows(&self, outputs: usize) -> usize {
        match self {
            Targets::Classes(classes) => classes.len(),
            Targets::Labels(holding) => holding.len(),
            Targets::Values(values) => values.len() / outputs,
        }
    }
}

impl<F: Scalar> Shape<F> for Fixed {
    type Batch = FixedBatch<F>;
    type State = ();
    type Prepared = FixedPrepared<F>;
    type Tape = FixedTape<F>;

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn set_operands(&self, operands: Operands, prepared: &mut FixedPrepared<F>) {
        prepared.front.set_operands(operands);
        prepared.output.set_operands(operands);
        prepared.skip.set_operands(operands);
    }

    fn prepare(&self, params: &Params<F>, prepared: &mut FixedPrepared<F>) {
        self.front.prepare(params, &mut prepared.front);
        self.output.prepare(params, &mut prepared.output);
        if let Some(skip) = &self.skip {
            let weight = Mat::new(skip.of(params), self.config.outputs, self.config.front.input_len());
            prepared.skip.pack(weight.t());
        }
    }

    fn targets(&self, batch: &FixedBatch<F>) -> usize {
        batch.targets.rows(self.config.outputs)
    }

    fn loss_and_grad(
        &self,
        params: &Params<F>,
        prepared: &FixedPrepared<F>,
        batch: &FixedBatch<F>,
        scale: F,
        dropout: Option<&mut Rng>,
        (): &mut (),
        tape: &mut FixedTape<F>,
        grads: &mut Grads<F>,
    ) -> f64 {
        self.forward(params, prepared, &batch.inputs, tape, dropout);
        // The outputs become their gradient.
        let loss = match &batch.targets {
            Targets::Classes(classes) => self.config.loss.backward(&mut tape.outputs, classes, scale),
            Targets::Labels(labels) => self.config.loss.backward_labels(&mut tape.outputs, labels, scale),
            Targets::Values(values) => squared_error(&mut tape.outputs, values, self.config.huber, scale),
        };
        if let Some(skip) = &self.skip {
            let (width, outputs) = (self.config.front.input_len(), self.config.outputs);
            let n = batch.inputs.len() / width;
            let dw = MatMut::new(skip.of_mut(grads), outputs, width);
            let (dy_t, x) = (Mat::new(&tape.outputs, n, outputs).t(), Mat::new(&batch.inputs, n, width));
            gemm_unpacked_of(prepared.skip.operands(), dy_t, x, dw, Start::Add, &mut tape.scratch);
        }
        let y = tape.front.output();
        tape.dy.resize(y.len(), F::ZERO);
        self.output.backward(&prepared.output, y, &tape.outputs, grads, &mut tape.dy, &mut tape.scratch);
        self.front.backward(params, &prepared.front, &batch.inputs, &mut tape.front, &tape.dy, grads);
        loss
    }

    fn loss(
        &self,
        params: &Params<F>,
        prepared: &FixedPrepared<F>,
        batch: &FixedBatch<F>,
        (): &mut (),
        tape: &mut FixedTape<F>,
    ) -> f64 {
        self.forward(params, prepared, &batch.inputs, tape, None);
        match &batch.targets {
            Targets::Classes(classes) => softmax::cross_entropy(&tape.outputs, classes),
            Targets::Labels(labels) => binary_cross_entropy(&tape.outputs, labels),
            Targets::Values(values) => squared_error(&mut tape.outputs, values, self.config.huber, F::ONE),
        }
    }
}

impl Outputs for Fixed {
    type Config = FixedConfig;

    fn from_config(config: FixedConfig) -> Result<Self> {
        Self::new(config)
    }

    fn sizes(&self) -> &FixedConfig {
        &self.config
    }

    fn initial(&self, _: Init, rng: &mut Rng) -> Params<f32> {
        self.init(rng)
    }

    fn initial_state(&self, _: usize) {}

    fn outputs(
        &self,
        params: &Params<f32>,
        prepared: &FixedPrepared<f32>,
        batch: &FixedBatch<f32>,
        tape: &mut FixedTape<f32>,
    ) -> Vec<Vec<f32>> {
        self.forward(params, prepared, &batch.inputs, tape, None);
        tape.outputs.chunks_exact(self.config.outputs).map(<[f32]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::check_gradient;

    fn network(outputs: usize, skip: bool) -> Fixed {
        let front = FrontConfig { input: [5, 6, 2], convs: vec![3, 4], dense: vec![7, 5], dropout: 0.3 };
        let loss = Loss { smoothing: 0.1, class_weights: Vec::new() };
        Fixed::new(FixedConfig { front, outputs, loss, huber: Some(0.3), skip }).unwrap()
    }

    #[test]
    fn gradients_equal_central_differences_for_classes_and_numbers() {
        let mut rng = Rng::new(1, "test");
        let inputs: Vec<f64> = (0..4 * 60).map(|_| rng.range(-1.0, 1.0)).collect();
        let targets = [
            Targets::Classes(vec![0, 2, 1, 1]),
            Targets::Labels(vec![vec![0, 2], vec![], vec![1], vec![2]]),
            Targets::Values((0..12).map(|_| rng.range(-1.0, 1.0)).collect()),
        ];
        for network in [network(3, false), network(3, true)] {
            let mut params = network.init(&mut Rng::new(2, "weights"));
            if let Some(skip) = network.skip {
                skip.of_mut(&mut params).fill_with(|| rng.range(-0.5, 0.5));
            }
            for targets in targets.clone() {
                let batch = FixedBatch { inputs: inputs.clone(), targets };
                check_gradient(&network, &params, &batch, &());
            }
        }
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        let front = FrontConfig { input: [1, 1, 4], convs: vec![], dense: vec![], dropout: 0.0 };
        let config = FixedConfig { front, outputs: 2, loss: Loss::default(), huber: None, skip: false };
        assert!(Fixed::new(config.clone()).is_err());
        let with = |change: fn(&mut FixedConfig)| {
            let mut config = config.clone();
            config.front.dense = vec![3];
            change(&mut config);
            Fixed::new(config).is_ok()
        };
        assert!(with(|_| ()));
        assert!(!with(|c| c.outputs = 0));
        assert!(!with(|c| c.front.dropout = 1.0));
        assert!(!with(|c| c.front.input[2] = 0));
    }
}
