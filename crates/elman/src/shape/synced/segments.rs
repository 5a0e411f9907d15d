//! Gradient checkpointing through time: activations are kept for one segment of the steps at a time and recomputed from
//! the states between the segments (Chen et al. 2016; for recurrent networks Gruslys et al. 2016).

use elman_kernels::Scalar;

use super::{Inputs, Synced, SyncedBatch, SyncedPrepared, SyncedTape};
use crate::cell::Steps;
use crate::layer::StackState;
use crate::param::{Grads, Params};
use crate::rng::Rng;

impl Synced {
    /// The same network, which keeps the activations of this many steps only and runs forward twice: the same gradients
    /// (with dropout, of other masks) for about a third more time. Ragged batches and bidirectional networks are not
    /// split.
    pub fn in_segments(mut self, steps: usize) -> Self {
        self.segment = Some(steps.max(1));
        self
    }

    /// Steps per segment of this block, if it is split.
    pub(super) fn segment_of<F: Scalar>(&self, batch: &SyncedBatch<F>) -> Option<usize> {
        let may = !batch.steps.is_ragged() && !self.config.bidirectional;
        self.segment.filter(|&segment| may && segment < batch.steps.len())
    }

    /// As `loss_and_grad`, segment after segment.
    pub(super) fn loss_and_grad_in_segments<F: Scalar>(
        &self,
        segment: usize,
        params: &Params<F>,
        prepared: &SyncedPrepared<F>,
        batch: &SyncedBatch<F>,
        scale: F,
        dropout: Option<&mut Rng>,
        state: &mut StackState<F>,
        tape: &mut SyncedTape<F>,
        grads: &mut Grads<F>,
    ) -> f64 {
        // Masks must be the same when a segment is recomputed: each segment has its own random stream.
        let seed = dropout.map(Rng::long_bits);
        let stream = |k: usize| seed.map(|seed| Rng::for_step(seed, "segment", k as u64, 0));
        let mut kept = std::mem::take(&mut tape.kept);
        let segments = batch.steps.len().div_ceil(segment);
        kept.states.resize_with(segments, StackState::default);
        for k in 0..segments {
            kept.states[k].copy_from(state);
            if k + 1 < segments {
                cut(batch, k * segment, segment, &mut kept.part);
                self.forward(params, prepared, &kept.part, state, tape, stream(k).as_mut());
            }
        }
        // Truncated: no gradient comes from beyond the last step.
        tape.dstate.zero_like(state);
        let mut loss_nats = 0.0;
        for k in (0..segments).rev() {
            cut(batch, k * segment, segment, &mut kept.part);
            let before = &mut kept.states[k];
            let mut rng = stream(k);
            loss_nats +=
                self.loss_and_grad_before(params, prepared, &kept.part, scale, rng.as_mut(), before, tape, grads);
            if k + 1 == segments {
                state.copy_from(&kept.states[k]);
            }
        }
        tape.kept = kept;
        loss_nats
    }
}

/// Copies at most `steps` steps from `first` on.
fn cut<F: Scalar>(batch: &SyncedBatch<F>, first: usize, steps: usize, part: &mut SyncedBatch<F>) {
    let sequences = batch.steps.batch();
    let last = (first + steps).min(batch.steps.len());
    if part.steps.batch() != sequences || part.steps.len() != last - first {
        part.steps = Steps::equal(last - first, sequences);
    }
    let rows = first * sequences..last * sequences;
    match (&batch.inputs, &mut part.inputs) {
        (Inputs::Tokens(from), Inputs::Tokens(to)) => {
            to.clear();
            to.extend_from_slice(&from[rows.clone()]);
        }
        (Inputs::Dense(from), to) => {
            let width = from.len() / batch.steps.rows().max(1);
            let from = &from[rows.start * width..rows.end * width];
            match to {
                Inputs::Dense(to) => {
                    to.clear();
                    to.extend_from_slice(from);
                }
                Inputs::Tokens(_) => *to = Inputs::Dense(from.to_vec()),
            }
        }
        (Inputs::Tokens(from), to) => *to = Inputs::Tokens(from[rows.clone()].to_vec()),
    }
    part.targets.clear();
    part.targets.extend_from_slice(&batch.targets[rows]);
}

#[cfg(test)]
mod tests {
    use super::super::{InputKind, SyncedConfig};
    use super::*;
    use crate::cell::CellKind;
    use crate::param::Init;
    use crate::shape::{Shape, check_gradient};

    fn network(dropout: f64) -> Synced {
        let base = SyncedConfig::language_model(CellKind::Lstm, 5, 4);
        Synced::new(SyncedConfig { layers: 2, dropout, ..base }).unwrap()
    }

    fn batch(rng: &mut Rng) -> SyncedBatch<f64> {
        let mut tokens = || (0..14).map(|_| rng.below(4) as u32).collect::<Vec<u32>>();
        SyncedBatch { steps: Steps::equal(7, 2), inputs: Inputs::Tokens(tokens()), targets: tokens() }
    }

    #[test]
    fn segments_of_any_length_equal_the_whole_sequence() {
        let mut rng = Rng::new(1, "test");
        let whole = network(0.0);
        let params: Params<f64> = whole.init(Init::Uniform(0.8), &mut rng);
        let batch = batch(&mut rng);
        let run = |network: &Synced| {
            let (mut prepared, mut tape, mut state) = Default::default();
            network.prepare(&params, &mut prepared);
            network.stack.zero_state_into(2, &mut state);
            let mut grads = Params::zeros(network.layout());
            let nats = network.loss_and_grad(&params, &prepared, &batch, 0.5, None, &mut state, &mut tape, &mut grads);
            (nats, grads.values, state)
        };
        let want = run(&whole);
        for segment in [1, 2, 3, 7, 100] {
            let got = run(&network(0.0).in_segments(segment));
            assert!((got.0 - want.0).abs() < 1e-12);
            assert!(got.1.iter().zip(&want.1).all(|(a, b)| (a - b).abs() < 1e-13), "segments of {segment}");
            assert_eq!(got.2, want.2);
        }
    }

    #[test]
    fn with_dropout_the_gradient_is_that_of_its_loss() {
        let mut rng = Rng::new(2, "test");
        let network = network(0.4).in_segments(3);
        let params: Params<f64> = network.init(Init::Uniform(0.8), &mut rng);
        let batch = batch(&mut rng);
        check_gradient(&network, &params, &batch, &network.zero_state(2));
        // The same for a network of vectors.
        let config = SyncedConfig { feed: InputKind::Dense(3), ..network.config().clone() };
        let dense = Synced::new(config).unwrap().in_segments(2);
        let params: Params<f64> = dense.init(Init::Uniform(0.8), &mut rng);
        let inputs = Inputs::Dense((0..42).map(|_| rng.range(-1.0, 1.0)).collect());
        check_gradient(&dense, &params, &SyncedBatch { inputs, ..batch }, &dense.zero_state(2));
    }
}
