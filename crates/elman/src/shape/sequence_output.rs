//! Sequence output (one to many): a vector to a sequence. An image's features to a caption; a class to a name.
//!
//! The source is a vector, or a map of vectors for attention, such as the 7 x 7 positions of an image:
//!
//! ```text
//! vector v [I]      summary v                         feature W_f v + b_f at every step's input
//! map m [P, I]      summary mean_p m_p                feature of that mean; memory tanh(W_m m_p + b_m)
//! ```

use std::sync::Arc;

use elman_kernels::{Operands, Scalar, Scratch, activation, rows};
use serde::{Deserialize, Serialize};

use super::Shape;
use super::decoder::{
    Decoder, DecoderConfig, DecoderPrepared, DecoderTape, Reading, ReadingGrad, Stepper, TargetSequences,
    tanh_backward, zeros,
};
use crate::error::{Error, Result};
use crate::layer::{Dropout, Linear, LinearPrepared, Memory};
use crate::param::{Grads, Init, Layout, Params};
use crate::rng::Rng;

/// Configuration of a [`SequenceOutput`] network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceOutputConfig {
    /// `I`, width of a vector.
    pub features: usize,
    /// `P`, vectors of a source; 1 without a map.
    #[serde(rename = "places")]
    pub positions: usize,
    /// `M`, width a map's vectors are projected to before attention.
    pub memory: usize,
    /// Dropout probability of the source.
    pub feature_dropout: f64,
    /// The decoder; with attention it attends to the map.
    pub decoder: DecoderConfig,
}

/// A network that generates a sequence from vectors.
#[derive(Clone, Debug)]
pub struct SequenceOutput {
    config: SequenceOutputConfig,
    layout: Arc<Layout>,
    feature: Linear,
    memory: Option<Linear>,
    decoder: Decoder,
}

/// One block: sources and targets.
#[derive(Clone, Debug)]
pub struct SequenceOutputBatch<F> {
    /// `[B, P, I]`, in the order of the targets ([`TargetSequences::sorted`]).
    pub features: Vec<F>,
    /// The targets.
    pub targets: TargetSequences,
}

impl<F: Scalar> SequenceOutputBatch<F> {
    /// Packs sequences and their sources, `features[i]` `[P, I]` each; `bos` and `eos` enclose the targets.
    ///
    /// # Panics
    /// If the numbers of sources and targets differ.
    pub fn new<S: AsRef<[u32]>>(features: &[&[F]], targets: &[S], bos: u32, eos: u32) -> Self {
        assert_eq!(features.len(), targets.len(), "one target per source");
        let targets = TargetSequences::new(targets, bos, eos);
        let features = targets.sorted.iter().flat_map(|&i| features[i].iter().copied()).collect();
        SequenceOutputBatch { features, targets }
    }
}

/// The weights, packed for the kernels.
#[derive(Clone, Default)]
pub struct SequenceOutputPrepared<F> {
    feature: LinearPrepared<F>,
    memory: LinearPrepared<F>,
    decoder: DecoderPrepared<F>,
}

/// Working memory of one block.
#[derive(Clone, Default)]
pub struct SequenceOutputTape<F> {
    /// `[B, P, I]`.
    x: Vec<F>,
    x_mask: Dropout<F>,
    /// `[B, I]`.
    summary: Vec<F>,
    /// `[B, E]`.
    feature: Vec<F>,
    memory: Memory<F>,
    decoder: DecoderTape<F>,
    /// The decoder's input tokens `[N]`.
    fed: Vec<u32>,
    dsummary: Vec<F>,
    dfeature: Vec<F>,
    dmemory: Vec<F>,
    scratch: Scratch<F>,
}

impl SequenceOutput {
    /// Builds the network.
    ///
    /// # Errors
    /// Invalid sizes or probabilities; a map without attention, or attention without a map.
    pub fn new(config: SequenceOutputConfig) -> Result<Self> {
        if config.features == 0 || config.positions == 0 {
            return Err(Error::Usage("a source needs at least one vector of at least one value".into()));
        }
        if !(0.0..1.0).contains(&config.feature_dropout) {
            return Err(Error::setting("feature_dropout", config.feature_dropout, "must be in [0, 1)"));
        }
        if (config.positions > 1) != config.decoder.attention.is_some() {
            return Err(Error::Usage(format!(
                "a source of {} vectors {}",
                config.positions,
                if config.positions > 1 {
                    "needs `attention`"
                } else {
                    "has nothing to attend to; turn off `attention`"
                }
            )));
        }
        let mut layout = Layout::new();
        let feature = Linear::add(&mut layout, "feature.", config.features, config.decoder.embedding, None);
        let memory =
            (config.positions > 1).then(|| Linear::add(&mut layout, "memory.", config.features, config.memory, None));
        let (summary, width) = (config.features, config.memory);
        let decoder = Decoder::add(&mut layout, "decoder.", &config.decoder, None, summary, width)?;
        Ok(SequenceOutput { config, layout: Arc::new(layout), feature, memory, decoder })
    }

    /// Its configuration.
    pub fn config(&self) -> &SequenceOutputConfig {
        &self.config
    }

    /// Initialises the weights.
    pub fn init<F: Scalar>(&self, init: Init, rng: &mut Rng) -> Params<F> {
        let mut params = Params::zeros(&self.layout);
        self.feature.init(init, &mut params, rng);
        if let Some(memory) = &self.memory {
            memory.init(init, &mut params, rng);
        }
        self.decoder.init(init, &mut params, rng);
        params
    }

    /// Summary, feature and memory of the sources `[B, P, I]` into the tape.
    fn encode<F: Scalar>(
        &self,
        prepared: &SequenceOutputPrepared<F>,
        features: &[F],
        tape: &mut SequenceOutputTape<F>,
        dropout: Option<&mut Rng>,
    ) {
        let SequenceOutputConfig { features: width, positions, memory: memory_width, .. } = self.config;
        let batch = features.len() / (positions * width);
        tape.x.clear();
        tape.x.extend_from_slice(features);
        if let Some(rng) = dropout.filter(|_| self.config.feature_dropout > 0.0) {
            tape.x_mask.forward_channels(self.config.feature_dropout, rng, positions, width, &mut tape.x);
        }
        zeros(&mut tape.summary, batch * width);
        for (x, mean) in tape.x.chunks_exact(positions * width).zip(tape.summary.chunks_exact_mut(width)) {
            rows::sum_add(x, positions, width, mean);
        }
        let share = F::ONE / F::from_f64(positions as f64);
        tape.summary.iter_mut().for_each(|x| *x *= share);
        tape.feature.resize(batch * self.feature.outputs, F::ZERO);
        self.feature.forward(&prepared.feature, &tape.summary, &mut tape.feature);
        tape.memory.offsets.clear();
        tape.memory.values.clear();
        if let Some(memory) = &self.memory {
            tape.memory.offsets.extend((0..=batch).map(|b| b * positions));
            tape.memory.values.resize(batch * positions * memory_width, F::ZERO);
            memory.forward(&prepared.memory, &tape.x, &mut tape.memory.values);
            activation::tanh(&mut tape.memory.values);
            self.decoder.compute_keys(&prepared.decoder, &mut tape.memory);
        } else {
            tape.memory.offsets.resize(batch + 1, 0);
        }
    }

    fn forward<F: Scalar>(
        &self,
        prepared: &SequenceOutputPrepared<F>,
        batch: &SequenceOutputBatch<F>,
        tape: &mut SequenceOutputTape<F>,
        mut dropout: Option<&mut Rng>,
    ) {
        self.encode(prepared, &batch.features, tape, dropout.as_deref_mut());
        self.decoder.begin(&prepared.decoder, &tape.summary, &mut tape.decoder);
        let reading = reading(&batch.targets, &batch.targets.inputs, &tape.memory, &tape.feature);
        self.decoder
            .scheduled_inputs(&prepared.decoder, reading, &batch.targets.predicted, &mut tape.decoder, &mut tape.fed);
        let reading = Reading { tokens: &tape.fed, ..reading };
        self.decoder.forward(&prepared.decoder, reading, &mut tape.decoder, dropout);
    }

    /// The log-probability of each target `[N]`, with teacher forcing.
    pub fn target_log_probs<F: Scalar>(
        &self,
        prepared: &SequenceOutputPrepared<F>,
        batch: &SequenceOutputBatch<F>,
        tape: &mut SequenceOutputTape<F>,
    ) -> Vec<F> {
        if batch.targets.sorted.is_empty() {
            return Vec::new();
        }
        self.forward(prepared, batch, tape, None);
        self.decoder.target_log_probs(&batch.targets.targets, &tape.decoder)
    }

    /// Encodes sources `[B, P, I]`, to generate their sequences step by step.
    pub fn stepper<'a, F: Scalar>(&'a self, prepared: &'a SequenceOutputPrepared<F>, features: &[F]) -> Stepper<'a, F> {
        let mut tape = SequenceOutputTape::default();
        self.encode(prepared, features, &mut tape, None);
        Stepper::new(&self.decoder, &prepared.decoder, &tape.summary, tape.memory, tape.feature)
    }
}

fn reading<'a, F>(
    targets: &'a TargetSequences,
    tokens: &'a [u32],
    memory: &'a Memory<F>,
    feature: &'a [F],
) -> Reading<'a, F> {
    let TargetSequences { steps, groups, .. } = targets;
    Reading { steps, tokens, groups, memory, feature }
}

impl<F: Scalar> Shape<F> for SequenceOutput {
    type Batch = SequenceOutputBatch<F>;
    type State = ();
    type Prepared = SequenceOutputPrepared<F>;
    type Tape = SequenceOutputTape<F>;

    fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn set_operands(&self, operands: Operands, prepared: &mut SequenceOutputPrepared<F>) {
        prepared.feature.set_operands(operands);
        prepared.memory.set_operands(operands);
        prepared.decoder.set_operands(operands);
    }

    fn prepare(&self, params: &Params<F>, prepared: &mut SequenceOutputPrepared<F>) {
        self.feature.prepare(params, &mut prepared.feature);
        if let Some(memory) = &self.memory {
            memory.prepare(params, &mut prepared.memory);
        }
        self.decoder.prepare(params, &mut prepared.decoder);
    }

    fn targets(&self, batch: &SequenceOutputBatch<F>) -> usize {
        batch.targets.targets.len()
    }

    fn loss_and_grad(
        &self,
        params: &Params<F>,
        prepared: &SequenceOutputPrepared<F>,
        batch: &SequenceOutputBatch<F>,
        scale: F,
        dropout: Option<&mut Rng>,
        _: &mut (),
        tape: &mut SequenceOutputTape<F>,
        grads: &mut Grads<F>,
    ) -> f64 {
        if batch.targets.sorted.is_empty() {
            return 0.0;
        }
        self.forward(prepared, batch, tape, dropout);
        let loss_nats = self.decoder.loss_backward(&batch.targets.targets, scale, &mut tape.decoder);
        tape.dsummary.resize(tape.summary.len(), F::ZERO);
        zeros(&mut tape.dmemory, tape.memory.values.len());
        zeros(&mut tape.dfeature, tape.feature.len());
        let reading = reading(&batch.targets, &tape.fed, &tape.memory, &tape.feature);
        let (dsummary, dmemory, dfeature) = (&mut tape.dsummary[..], &mut tape.dmemory[..], &mut tape.dfeature[..]);
        let to = ReadingGrad { dsummary, dmemory, dfeature };
        let (summary, decoder) = (&tape.summary, &mut tape.decoder);
        self.decoder.backward(params, &prepared.decoder, reading, summary, decoder, grads, to);
        self.feature.backward_weights(&prepared.feature, &tape.summary, &tape.dfeature, grads, &mut tape.scratch);
        if let Some(memory) = &self.memory {
            tanh_backward(&tape.memory.values, &mut tape.dmemory);
            memory.backward_weights(&prepared.memory, &tape.x, &tape.dmemory, grads, &mut tape.scratch);
        }
        loss_nats
    }

    fn loss(
        &self,
        _: &Params<F>,
        prepared: &SequenceOutputPrepared<F>,
        batch: &SequenceOutputBatch<F>,
        _: &mut (),
        tape: &mut SequenceOutputTape<F>,
    ) -> f64 {
        if batch.targets.sorted.is_empty() {
            return 0.0;
        }
        self.forward(prepared, batch, tape, None);
        self.decoder.loss(&batch.targets.targets, &tape.decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::CellKind;
    use crate::decode::{BeamConfig, Query, SpecialTokens, beam_search};
    use crate::layer::AttentionKind;
    use crate::optim::{Optimizer, OptimizerConfig};
    use crate::shape::check_gradient;

    fn network(positions: usize, dropout: f64, conditional: bool) -> SequenceOutput {
        SequenceOutput::new(SequenceOutputConfig {
            features: 5,
            positions,
            memory: 4,
            feature_dropout: dropout,
            decoder: DecoderConfig {
                cell: CellKind::Lstm,
                vocab: 6,
                embedding: 7,
                hidden: 5,
                layers: 1,
                upper_layers: usize::from(conditional),
                conditional,
                attention: (positions > 1).then_some(AttentionKind::Additive),
                attention_hidden: 3,
                scaled_attention: true,
                tied: true,
                dropout,
                locked_dropout: false,
                label_smoothing: dropout,
            },
        })
        .unwrap()
    }

    fn features(positions: usize, sequences: usize) -> Vec<Vec<f64>> {
        let mut rng = Rng::new(4, "test");
        (0..sequences).map(|_| (0..positions * 5).map(|_| rng.range(-1.0, 1.0)).collect()).collect()
    }

    #[test]
    fn gradients_equal_central_differences_for_a_vector_and_for_a_map() {
        for (positions, conditional) in [(1, false), (3, false), (3, true)] {
            let network = network(positions, 0.2, conditional);
            let params: Params<f64> = network.init(Init::Uniform(0.6), &mut Rng::new(1, "test"));
            let features = features(positions, 3);
            let features: Vec<&[f64]> = features.iter().map(Vec::as_slice).collect();
            let batch = SequenceOutputBatch::new(&features, &[vec![2], vec![3, 4, 5], vec![]], 0, 1);
            check_gradient(&network, &params, &batch, &());
        }
    }

    #[test]
    fn captions_of_three_sources_are_learnt_and_generated() {
        for (positions, conditional) in [(1, false), (3, false), (3, true)] {
            let network = network(positions, 0.0, conditional);
            let mut params: Params<f32> = network.init(Init::Fan, &mut Rng::new(1, "weights"));
            let features: Vec<Vec<f32>> =
                features(positions, 3).iter().map(|f| f.iter().map(|&x| x as f32).collect()).collect();
            let given: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
            let targets = [vec![2, 3], vec![3, 4, 5, 5], vec![4, 4]];
            let batch = SequenceOutputBatch::new(&given, &targets, 0, 1);
            let mut optimizer = Optimizer::new(OptimizerConfig::default(), &network.layout);
            let (mut prepared, mut tape) = (SequenceOutputPrepared::default(), SequenceOutputTape::default());
            let mut grads = Params::zeros(&network.layout);
            let mut nats = f64::NAN;
            for _ in 0..500 {
                network.prepare(&params, &mut prepared);
                grads.zero();
                let (scale, tape) = (0.1, &mut tape);
                nats = network.loss_and_grad(&params, &prepared, &batch, scale, None, &mut (), tape, &mut grads);
                optimizer.update(&mut params, &grads, 0.01, 1.0);
            }
            assert!(nats < 0.05, "{positions}: {nats}");
            network.prepare(&params, &mut prepared);
            // Scores of the whole equal those of the steps.
            let whole = network.loss(&params, &prepared, &batch, &mut (), &mut tape);
            let mut stepper = network.stepper(&prepared, &features.concat());
            let queries = vec![Query { prefix: Vec::new(), max_length: 8 }; 3];
            let special_tokens = SpecialTokens { bos: 0, eos: 1, suppressed: vec![0] };
            let found = beam_search(&mut stepper, &queries, &special_tokens, &BeamConfig::default()).unwrap();
            for (found, target) in found.iter().zip(&targets) {
                assert_eq!(&found[0].tokens, target);
            }
            let steps: f64 = found.iter().map(|found| -found[0].log_prob).sum();
            assert!((steps - whole).abs() < 1e-5, "{steps} {whole}");
        }
    }

    #[test]
    fn a_map_needs_attention_and_a_vector_has_none() {
        let mut config = network(3, 0.0, false).config().clone();
        config.positions = 1;
        assert!(SequenceOutput::new(config.clone()).unwrap_err().to_string().contains("attention"));
        (config.positions, config.decoder.attention) = (4, None);
        assert!(SequenceOutput::new(config).unwrap_err().to_string().contains("needs `attention`"));
    }
}
