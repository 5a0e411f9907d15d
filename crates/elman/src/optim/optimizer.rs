//! The optimizer: one loop over the flat buffers, in pieces over threads.

use std::ops::Range;

use elman_kernels::Scalar;
use elman_kernels::optim::Gradient;

use super::config::{OptimizerConfig, OptimizerKind};
use super::part::{CHUNK, Part, Step};
use super::{adagrad, adam, rmsprop, sgd};
use crate::error::{Error, Result};
use crate::param::{Grads, Layout, Params};

impl OptimizerConfig {
    /// The names of the optimizer's buffers.
    fn buffers(&self) -> &'static [&'static str] {
        match self.kind {
            OptimizerKind::Sgd if self.momentum == 0.0 => &[],
            OptimizerKind::Sgd => &[sgd::VELOCITY],
            OptimizerKind::Adagrad => &[adagrad::SUM],
            OptimizerKind::Rmsprop if self.momentum == 0.0 => &[rmsprop::MEAN],
            OptimizerKind::Rmsprop => &[rmsprop::MEAN, rmsprop::VELOCITY],
            OptimizerKind::Adam | OptimizerKind::Adamw => &[adam::FIRST, adam::SECOND],
        }
    }
}

/// An optimizer of the weights of one layout.
///
/// A step down the gradient of one sequence:
///
/// ```
/// use elman::Rnn;
/// use elman::optim::{Optimizer, OptimizerConfig};
///
/// let mut rnn = Rnn::tokens(4, 8, 1)?;
/// let mut optimizer = Optimizer::new(OptimizerConfig::default(), rnn.params().layout());
/// let (before, grads) = rnn.loss_and_grad_tokens(&[0, 1, 2], &[1, 2, 3])?;
/// optimizer.update(rnn.params_mut(), &grads, 0.01, 1.0);
/// let (after, _) = rnn.loss_and_grad_tokens(&[0, 1, 2], &[1, 2, 3])?;
/// assert!(after < before);
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Optimizer<F> {
    config: OptimizerConfig,
    steps: u64,
    /// The buffers, `[P]` or empty.
    first: Vec<F>,
    second: Vec<F>,
    pieces: Vec<Piece>,
}

/// A range of the flat buffer, of at most [`CHUNK`] values, with or without weight decay, or left as it is.
#[derive(Clone, Debug, PartialEq)]
struct Piece {
    range: Range<usize>,
    decays: bool,
    frozen: bool,
}

impl<F: Scalar> Optimizer<F> {
    /// No steps, all buffers zero.
    pub fn new(config: OptimizerConfig, layout: &Layout) -> Self {
        let buffer = |i| vec![F::ZERO; if config.buffers().len() > i { layout.len() } else { 0 }];
        let matrices = if config.weight_decay == 0.0 { Vec::new() } else { layout.matrices() };
        let (first, second) = (buffer(0), buffer(1));
        Optimizer { config, steps: 0, first, second, pieces: pieces(&matrices, layout.len()) }
    }

    /// Leaves the weights in these ranges, and their buffers, as they are: without weight decay too.
    pub fn freeze(&mut self, ranges: &[Range<usize>]) {
        let split = |piece: &Piece| {
            let Range { start, end } = piece.range;
            let mut cuts: Vec<usize> = ranges.iter().flat_map(|r| [r.start, r.end]).chain([start, end]).collect();
            cuts.retain(|cut| (start..=end).contains(cut));
            cuts.sort_unstable();
            cuts.dedup();
            let of = |range: Range<usize>| {
                let frozen = piece.frozen || ranges.iter().any(|frozen| frozen.contains(&range.start));
                Piece { range, frozen, ..piece.clone() }
            };
            cuts.windows(2).map(|cut| of(cut[0]..cut[1])).collect::<Vec<_>>()
        };
        self.pieces = self.pieces.iter().flat_map(split).collect();
    }

    /// One step on all weights with the learning rate `lr`.
    ///
    /// `grad_scale` multiplies every gradient first: clipping by norm
    /// ([`scale_for_norm`](super::clip::scale_for_norm)) costs no pass of its own. Runs on the current rayon pool; the
    /// result is bit-identical for any number of threads.
    ///
    /// # Panics
    /// If the weights or gradients have a different layout.
    pub fn update(&mut self, params: &mut Params<F>, grads: &Grads<F>, lr: f64, grad_scale: f64) {
        let len = self.pieces.last().map_or(0, |piece| piece.range.end);
        assert_eq!(
            (params.values.len(), grads.values.len()),
            (len, len),
            "weights or gradients have a different layout"
        );
        self.steps += 1;
        let step = Step { config: &self.config, number: self.steps, lr, grad_scale };
        let (weights, grads) = (&mut params.values[..], &grads.values[..]);
        let part = Part { weights, grads, first: &mut self.first, second: &mut self.second };
        step.apply_to_all(&self.pieces, part);
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The optimizer and its hyperparameters.
    pub fn config(&self) -> &OptimizerConfig {
        &self.config
    }

    /// The buffers by name, each `[P]`, for a checkpoint.
    pub fn buffers(&self) -> Vec<(&'static str, &[F])> {
        self.config.buffers().iter().copied().zip([&self.first[..], &self.second[..]]).collect()
    }

    /// Restores a checkpoint.
    ///
    /// # Errors
    /// [`Error::Usage`] if a buffer is missing, unknown or has the wrong length.
    pub fn restore(&mut self, steps: u64, buffers: &[(String, Vec<F>)]) -> Result<()> {
        let (names, kind) = (self.config.buffers(), self.config.kind.name());
        if let Some((name, _)) = buffers.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            let message =
                format!("the saved optimizer state has {name}, but {kind} does not; was `optimizer` different?");
            return Err(Error::Usage(message));
        }
        let mut saved = Vec::new();
        for (name, own) in self.buffers() {
            let Some((_, values)) = buffers.iter().find(|(other, _)| other == name) else {
                let message =
                    format!("the saved optimizer state lacks {name}, which {kind} needs; was `optimizer` different?");
                return Err(Error::Usage(message));
            };
            if values.len() != own.len() {
                let (got, want) = (values.len(), own.len());
                let message = format!(
                    "{name} has {got} values, but the model has {want} weights; does it belong to another model?"
                );
                return Err(Error::Usage(message));
            }
            saved.push(values);
        }
        for (own, values) in [&mut self.first, &mut self.second].into_iter().zip(saved) {
            own.copy_from_slice(values);
        }
        self.steps = steps;
        Ok(())
    }
}

impl Step<'_> {
    /// The pieces of `part` over the threads of the current pool.
    fn apply_to_all<F: Scalar>(&self, pieces: &[Piece], part: Part<F>) {
        let Some(first) = pieces.first() else { return };
        if let [piece] = pieces {
            if !piece.frozen {
                self.apply(part, piece.decays);
            }
            return;
        }
        let (left, right) = pieces.split_at(pieces.len() / 2);
        let len = part.weights.len();
        let (left_part, right_part) = part.split_at(right[0].range.start - first.range.start);
        if len <= CHUNK {
            self.apply_to_all(left, left_part);
            self.apply_to_all(right, right_part);
        } else {
            rayon::join(|| self.apply_to_all(left, left_part), || self.apply_to_all(right, right_part));
        }
    }

    fn apply<F: Scalar>(&self, part: Part<F>, decays: bool) {
        let decay = if decays { self.config.weight_decay } else { 0.0 };
        let grad_scale = F::from_f64(self.grad_scale);
        let plain = Gradient { grad_scale, decay: F::ZERO };
        let decayed = Gradient { grad_scale, decay: F::from_f64(decay) };
        match self.config.kind {
            OptimizerKind::Sgd => sgd::update(self, decayed, part),
            OptimizerKind::Adagrad => adagrad::update(self, decayed, part),
            OptimizerKind::Rmsprop => rmsprop::update(self, decayed, part),
            OptimizerKind::Adam => adam::update(self, decayed, 0.0, part),
            OptimizerKind::Adamw => adam::update(self, plain, decay, part),
        }
    }
}

/// Splits `0..len` where decay begins or ends, and into at most [`CHUNK`] values. `decaying` ranges are in order.
fn pieces(decaying: &[Range<usize>], len: usize) -> Vec<Piece> {
    let mut stretches: Vec<Piece> = Vec::new();
    let mut push = |range: Range<usize>, decays: bool| match stretches.last_mut() {
        Some(last) if last.decays == decays => last.range.end = range.end,
        _ if range.is_empty() => {}
        _ => stretches.push(Piece { range, decays, frozen: false }),
    };
    let mut at = 0;
    for range in decaying {
        push(at..range.start, false);
        push(range.clone(), true);
        at = range.end;
    }
    push(at..len, false);
    let cut = |Piece { range, decays, frozen }: Piece| {
        range.clone().step_by(CHUNK).map(move |at| Piece { range: at..range.end.min(at + CHUNK), decays, frozen })
    };
    stretches.into_iter().flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::optim::{Average, ScheduleKind, clip};

    /// A matrix and a bias in turn; the first matrix is split into pieces.
    fn layout() -> Arc<Layout> {
        let mut layout = Layout::new();
        layout.add("weight_ih", &[3, CHUNK]);
        layout.add("bias_ih", &[70]);
        layout.add("bias_hh", &[71]);
        layout.add("weight_out", &[7, 11]);
        layout.add("bias_out", &[5]);
        Arc::new(layout)
    }

    fn wave<F: Scalar>(layout: &Arc<Layout>, shift: f64) -> Params<F> {
        let mut params = Params::zeros(layout);
        let value = |i| F::from_f64((0.37 * i as f64 + shift).sin());
        params.values.iter_mut().enumerate().for_each(|(i, x)| *x = value(i));
        params
    }

    fn configs() -> Vec<OptimizerConfig> {
        let of = |kind| OptimizerConfig { kind, weight_decay: 0.1, ..Default::default() };
        let plain = OptimizerKind::ALL.map(of);
        let momentum = [OptimizerKind::Sgd, OptimizerKind::Rmsprop];
        plain.into_iter().chain(momentum.map(|kind| OptimizerConfig { momentum: 0.9, ..of(kind) })).collect()
    }

    #[test]
    fn steps_are_bit_identical_for_any_number_of_threads() {
        let layout = layout();
        for config in configs() {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let (mut params, mut grads) = (wave::<f32>(&layout, 1.0), wave(&layout, 2.0));
                    let mut optimizer = Optimizer::new(config.clone(), &layout);
                    let mut average = Average::new(0.9, &params);
                    for _ in 0..3 {
                        let scale = clip::scale_for_norm(clip::global_norm(&grads), 1.0);
                        optimizer.update(&mut params, &grads, 0.1, scale);
                        average.update(&params);
                        clip::by_value(&mut grads, 0.9);
                    }
                    (params.values, average.values().values.clone(), clip::global_norm(&grads))
                })
            };
            assert!(run(1) == run(3), "{config:?}");
        }
    }

    #[test]
    fn matrices_decay_and_biases_do_not() {
        let layout = layout();
        for config in configs() {
            let mut params = wave::<f64>(&layout, 1.0);
            let before = params.clone();
            Optimizer::new(config.clone(), &layout).update(&mut params, &Params::zeros(&layout), 0.1, 1.0);
            for tensor in layout.tensors() {
                let pairs = tensor.slot.of(&params).iter().zip(tensor.slot.of(&before));
                let towards_zero = pairs.clone().all(|(now, old)| (now - old) * old < 0.0);
                let same = pairs.clone().all(|(now, old)| now == old);
                let decays = tensor.dims.len() == 2;
                assert_eq!((towards_zero, same), (decays, !decays), "{} with {config:?}", tensor.name);
            }
        }
    }

    #[test]
    fn frozen_weights_and_their_moments_stay_and_the_others_move_as_before() {
        let layout = layout();
        let frozen = [CHUNK - 3..CHUNK + 2, 3 * CHUNK + 10..3 * CHUNK + 20];
        for config in configs() {
            let before = wave::<f32>(&layout, 1.0);
            let (mut free, mut held) = (before.clone(), before.clone());
            let (mut one, mut other) = (Optimizer::new(config.clone(), &layout), Optimizer::new(config, &layout));
            other.freeze(&frozen);
            for i in 0..3 {
                one.update(&mut free, &wave(&layout, f64::from(i)), 0.1, 1.0);
                other.update(&mut held, &wave(&layout, f64::from(i)), 0.1, 1.0);
            }
            for i in 0..layout.len() {
                let is_frozen = frozen.iter().any(|range| range.contains(&i));
                let want = if is_frozen { before.values[i] } else { free.values[i] };
                assert_eq!(held.values[i], want, "{i}");
                let moments = other.buffers().into_iter().all(|(_, buffer)| buffer[i] == 0.0);
                assert!(!is_frozen || moments, "{i}");
            }
        }
    }

    #[test]
    fn grad_scale_equals_scaling_the_gradient_first() {
        let layout = layout();
        for config in configs() {
            let (mut folded, mut scaled) = (wave::<f64>(&layout, 1.0), wave(&layout, 1.0));
            let grads = wave(&layout, 2.0);
            let mut half = grads.clone();
            half.values.iter_mut().for_each(|g| *g *= 0.5);
            Optimizer::new(config.clone(), &layout).update(&mut folded, &grads, 0.1, 0.5);
            Optimizer::new(config.clone(), &layout).update(&mut scaled, &half, 0.1, 1.0);
            assert!(folded.values == scaled.values, "{config:?}");
        }
    }

    #[test]
    fn a_restored_optimizer_continues_bit_for_bit() {
        let layout = layout();
        for config in configs() {
            let mut params = wave::<f32>(&layout, 1.0);
            let mut optimizer = Optimizer::new(config.clone(), &layout);
            (0..5).for_each(|i| optimizer.update(&mut params, &wave(&layout, f64::from(i)), 0.1, 0.5));
            let saved: Vec<(String, Vec<f32>)> =
                optimizer.buffers().into_iter().map(|(name, values)| (name.into(), values.into())).collect();
            let (mut resumed, mut resumed_params) = (Optimizer::new(config.clone(), &layout), params.clone());
            resumed.restore(optimizer.steps(), &saved).unwrap();
            for (optimizer, params) in [(&mut optimizer, &mut params), (&mut resumed, &mut resumed_params)] {
                (5..9).for_each(|i| optimizer.update(params, &wave(&layout, f64::from(i)), 0.1, 0.5));
                assert_eq!(optimizer.steps(), 9);
            }
            assert!(params.values == resumed_params.values, "{config:?}");
        }
    }

    #[test]
    fn the_state_of_another_optimizer_or_model_is_rejected() {
        let layout = layout();
        let mut adam = Optimizer::<f32>::new(OptimizerConfig::default(), &layout);
        let n = layout.len();
        let saved = |name: &str, n| (name.to_string(), vec![1.0; n]);
        let mut message = |buffers: &[_]| adam.restore(3, buffers).unwrap_err().to_string();
        assert!(message(&[saved("adam.m", n)]).contains("lacks adam.v"));
        assert!(message(&[saved("adam.m", n), saved("adam.v", n - 1)]).contains("adam.v has"));
        assert!(message(&[saved("adam.m", n), saved("adam.v", n), saved("sgd.velocity", n)]).contains("sgd.velocity"));
        assert!(adam.steps() == 0 && adam.buffers().iter().all(|(_, x)| x.iter().all(|&x| x == 0.0)));
    }

    #[test]
    fn invalid_values_are_rejected_naming_the_setting() {
        let good = OptimizerConfig::default();
        assert!(good.validate().is_ok());
        let bad = [
            ("momentum", OptimizerConfig { momentum: 1.0, ..good.clone() }),
            ("alpha", OptimizerConfig { alpha: -0.1, ..good.clone() }),
            ("beta1", OptimizerConfig { beta1: f64::NAN, ..good.clone() }),
            ("beta2", OptimizerConfig { beta2: 2.0, ..good.clone() }),
            ("eps", OptimizerConfig { eps: 0.0, ..good.clone() }),
            ("weight_decay", OptimizerConfig { weight_decay: f64::INFINITY, ..good }),
        ];
        for (key, config) in bad {
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with(&format!("{key} ")), "{key}: {message}");
        }
    }

    #[test]
    fn names_in_json_are_those_of_the_settings() {
        for kind in OptimizerKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.name()));
        }
        for kind in ScheduleKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.name()));
        }
    }

    #[test]
    fn pieces_tile_the_buffer_and_end_where_decay_does() {
        let layout = layout();
        for matrices in [layout.matrices(), Vec::new(), std::iter::once(0..layout.len()).collect()] {
            let pieces = pieces(&matrices, layout.len());
            let mut at = 0;
            for piece in &pieces {
                assert_eq!(piece.range.start, at);
                assert!((1..=CHUNK).contains(&piece.range.len()));
                at = piece.range.end;
                assert!(piece.range.clone().all(|i| matrices.iter().any(|m| m.contains(&i)) == piece.decays));
            }
            assert_eq!(at, layout.len());
        }
        assert!(pieces(&[], 0).is_empty());
    }
}
