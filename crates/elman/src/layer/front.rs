//! The CNN front end, a feed-forward feature extractor: convolutions over an image, then dense layers, each with layer
//! normalisation, ReLU and dropout. It turns each frame of a video, or each row of a table, into features.

use elman_kernels::{Operands, Scalar};
use serde::{Deserialize, Serialize};

use super::conv::{Conv, ConvPrepared, ConvScratch};
use super::norm::{LayerNorm, LayerNormTape};
use super::{Dropout, Linear, LinearPrepared};
use crate::error::{Error, Result};
use crate::param::{Grads, Init, Layout, Params};
use crate::rng::Rng;

/// Configuration of a [`Front`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontConfig {
    /// Height, width and channels of the input; a vector is `[1, 1, width]`.
    pub input: [usize; 3],
    /// Channels of each convolution, 3x3 with stride 2, first to last.
    pub convs: Vec<usize>,
    /// Width of each dense layer.
    pub dense: Vec<usize>,
    /// Dropout probability of the dense layers' outputs.
    pub dropout: f64,
}

impl FrontConfig {
    /// Values of one input.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }
}

/// The CNN front end: convolutions, then dense layers.
#[derive(Clone, Debug)]
pub struct Front {
    config: FrontConfig,
    convs: Vec<Conv>,
    dense: Vec<(Linear, LayerNorm)>,
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct FrontPrepared<F> {
    convs: Vec<ConvPrepared<F>>,
    dense: Vec<LinearPrepared<F>>,
    operands: Operands,
}

impl<F: Scalar> FrontPrepared<F> {
    /// Precision of the operands of the dense layers' products, prepared from now on.
    pub fn set_operands(&mut self, operands: Operands) {
        self.operands = operands;
    }
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Default)]
pub struct FrontTape<F> {
    /// Outputs of the convolutions, then of the dense layers.
    outputs: Vec<Vec<F>>,
    norms: Vec<LayerNormTape<F>>,
    masks: Vec<Dropout<F>>,
    dropped: bool,
    scratch: ConvScratch<F>,
    linear_scratch: elman_kernels::Scratch<F>,
    dy: Vec<F>,
    dx: Vec<F>,
}

impl<F> FrontTape<F> {
    /// The features `[N, width]` of the last forward pass.
    pub fn output(&self) -> &[F] {
        self.outputs.last().map_or(&[], Vec::as_slice)
    }
}

impl Front {
    /// Adds the layers' tensors: `{prefix}conv0.weight`, `{prefix}dense0.weight`, `{prefix}norm0.weight` and so on.
    ///
    /// # Errors
    /// An invalid size or dropout probability; no dense layer.
    pub fn add(layout: &mut Layout, prefix: &str, config: FrontConfig) -> Result<Self> {
        let sizes = config.input.iter().chain(&config.convs).chain(&config.dense);
        if config.dense.is_empty() || sizes.clone().any(|&size| size == 0) {
            return Err(Error::Usage(
                "the sizes of `convs` and `dense` must be at least 1, and `dense` must not be empty".into(),
            ));
        }
        if !(0.0..1.0).contains(&config.dropout) {
            return Err(Error::setting("dropout", config.dropout, "must be in [0, 1)"));
        }
        let [height, width, mut channels] = config.input;
        let mut at = [height, width];
        let mut convs = Vec::new();
        for (i, &outputs) in config.convs.iter().enumerate() {
            let conv = Conv::add(layout, &format!("{prefix}conv{i}."), at, channels, outputs, 2);
            (at, channels) = (conv.to(), outputs);
            convs.push(conv);
        }
        let mut inputs = at[0] * at[1] * channels;
        let mut dense = Vec::new();
        for (i, &outputs) in config.dense.iter().enumerate() {
            let linear = Linear::add(layout, &format!("{prefix}dense{i}."), inputs, outputs, None);
            dense.push((linear, LayerNorm::add(layout, &format!("{prefix}norm{i}."), outputs)));
            inputs = outputs;
        }
        Ok(Front { config, convs, dense })
    }

    /// Its configuration.
    pub fn config(&self) -> &FrontConfig {
        &self.config
    }

    /// Width of the features.
    pub fn output_width(&self) -> usize {
        self.config.dense.last().copied().unwrap_or(0)
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, params: &mut Params<F>, rng: &mut Rng) {
        for conv in &self.convs {
            conv.init(params, rng);
        }
        for (linear, norm) in &self.dense {
            linear.init(Init::Normal((2.0 / linear.inputs as f64).sqrt()), params, rng);
            norm.init(params);
        }
    }

    /// Packs the weights, once per optimizer step.
    pub fn prepare<F: Scalar>(&self, params: &Params<F>, prepared: &mut FrontPrepared<F>) {
        prepared.convs.resize_with(self.convs.len(), ConvPrepared::default);
        prepared.dense.resize_with(self.dense.len(), LinearPrepared::default);
        self.convs.iter().zip(&mut prepared.convs).for_each(|(conv, to)| conv.prepare(params, to));
        for ((linear, _), to) in self.dense.iter().zip(&mut prepared.dense) {
            to.set_operands(prepared.operands);
            linear.prepare(params, to);
        }
    }

    /// `x` `[N, height, width, channels]` to `tape.output()` `[N, features]`. With a random stream, dropout is on.
    pub fn forward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &FrontPrepared<F>,
        x: &[F],
        tape: &mut FrontTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        let n = x.len() / self.config.input_len();
        tape.outputs.resize_with(self.convs.len() + self.dense.len(), Vec::new);
        tape.norms.resize_with(self.dense.len(), LayerNormTape::default);
        tape.masks.resize_with(self.dense.len(), Dropout::default);
        tape.dropped = dropout.is_some() && self.config.dropout > 0.0;
        for (i, conv) in self.convs.iter().enumerate() {
            let (below, above) = tape.outputs.split_at_mut(i);
            let x = below.last().map_or(x, Vec::as_slice);
            above[0].resize(n * conv.output_len(), F::ZERO);
            conv.forward(&prepared.convs[i], x, &mut tape.scratch, &mut above[0]);
        }
        for (i, (linear, norm)) in self.dense.iter().enumerate() {
            let (below, above) = tape.outputs.split_at_mut(self.convs.len() + i);
            let (x, y) = (below.last().map_or(x, Vec::as_slice), &mut above[0]);
            y.resize(n * linear.outputs, F::ZERO);
            linear.forward(&prepared.dense[i], x, y);
            norm.forward(params, y, &mut tape.norms[i]);
            y.iter_mut().for_each(|y| *y = if *y < F::ZERO { F::ZERO } else { *y });
            if let Some(rng) = dropout.as_deref_mut().filter(|_| tape.dropped) {
                tape.masks[i].forward(self.config.dropout, rng, y);
            }
        }
    }

    /// From dL/d(features) `[N, features]`, adds to the gradients of all weights.
    pub fn backward<F: Scalar>(
        &self,
        params: &Params<F>,
        prepared: &FrontPrepared<F>,
        x: &[F],
        tape: &mut FrontTape<F>,
        dy: &[F],
        grads: &mut Grads<F>,
    ) {
        let (mut above, mut below) = (std::mem::take(&mut tape.dy), std::mem::take(&mut tape.dx));
        above.clear();
        above.extend_from_slice(dy);
        for (i, (linear, norm)) in self.dense.iter().enumerate().rev() {
            let at = self.convs.len() + i;
            let (inputs, outputs) = tape.outputs.split_at(at);
            let x = inputs.last().map_or(x, Vec::as_slice);
            if tape.dropped {
                tape.masks[i].backward(&mut above);
            }
            // Values zeroed by the ReLU or the mask have no gradient.
            for (dy, &y) in above.iter_mut().zip(&outputs[0]) {
                *dy = if y > F::ZERO { *dy } else { F::ZERO };
            }
            norm.backward(params, &tape.norms[i], &mut above, grads);
            below.resize(x.len(), F::ZERO);
            linear.backward(&prepared.dense[i], x, &above, grads, &mut below, &mut tape.linear_scratch);
            std::mem::swap(&mut above, &mut below);
        }
        for (i, conv) in self.convs.iter().enumerate().rev() {
            let (inputs, outputs) = tape.outputs.split_at(i);
            let x = inputs.last().map_or(x, Vec::as_slice);
            below.resize(x.len(), F::ZERO);
            let dx = (i > 0).then_some(&mut below[..]);
            conv.backward(&prepared.convs[i], x, &outputs[0], &mut above, &mut tape.scratch, grads, dx);
            std::mem::swap(&mut above, &mut below);
        }
        (tape.dy, tape.dx) = (above, below);
    }
}
