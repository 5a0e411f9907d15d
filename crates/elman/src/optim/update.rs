//! SGD, Adagrad, RMSprop, Adam and AdamW by PyTorch's formulas; see [`elman_kernels::optim::Rule`].

use std::ops::Range;

use elman_kernels::Scalar;
use elman_kernels::optim::{Factors, Rule, update};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::CHUNK;
use crate::error::{Error, Result};
use crate::param::{Grads, Layout, Params};

/// The optimizers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Gradient descent, with momentum if that is above 0.
    Sgd,
    /// Duchi et al. 2011.
    Adagrad,
    /// Tieleman & Hinton 2012.
    Rmsprop,
    /// Kingma & Ba 2015; weight decay is added to the gradient.
    Adam,
    /// Loshchilov & Hutter 2019: weight decay apart from the gradient.
    Adamw,
}

/// An optimizer and its factors; each uses those it knows.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// Which.
    pub kind: OptimizerKind,
    /// Of sgd: share of the velocity that is kept.
    pub momentum: f64,
    /// Of rmsprop: share of the mean square that is kept.
    pub alpha: f64,
    /// Of adam: share of the first moment that is kept.
    pub beta1: f64,
    /// Of adam: share of the second moment that is kept.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
    /// Of adagrad: `eps` stands under the root, as in min-char-rnn.
    pub eps_in_root: bool,
    /// Applies to matrices, not to biases.
    pub weight_decay: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            kind: OptimizerKind::Adam,
            momentum: 0.0,
            alpha: 0.99,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_in_root: false,
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig {
    /// Checks the factors.
    ///
    /// # Errors
    /// [`Error::Usage`] with the flag to change.
    pub fn validate(&self) -> Result<()> {
        let shares = [("momentum", self.momentum), ("alpha", self.alpha), ("beta1", self.beta1), ("beta2", self.beta2)];
        if let Some((flag, value)) = shares.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            return Err(Error::Usage(format!("--{flag} {value}: give a number from 0 to below 1")));
        }
        let sizes = [("eps", self.eps), ("weight-decay", self.weight_decay)];
        if let Some((flag, value)) = sizes.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            return Err(Error::Usage(format!("--{flag} {value}: give a number from 0 upwards")));
        }
        Ok(())
    }

    /// The rule of the `step`-th update, from 1.
    fn rule<F: Scalar>(&self, step: u64) -> Rule<F> {
        let f = F::from_f64;
        let correction = |beta: f64| f(1.0 - beta.powf(step as f64));
        match self.kind {
            OptimizerKind::Sgd if self.momentum == 0.0 => Rule::Sgd,
            OptimizerKind::Sgd => Rule::Momentum { momentum: f(self.momentum) },
            OptimizerKind::Adagrad => {
                let (eps, in_root) = if self.eps_in_root { (0.0, self.eps) } else { (self.eps, 0.0) };
                Rule::Adagrad { eps: f(eps), eps_in_root: f(in_root) }
            }
            OptimizerKind::Rmsprop => Rule::Rmsprop { alpha: f(self.alpha), eps: f(self.eps) },
            OptimizerKind::Adam | OptimizerKind::Adamw => Rule::Adam {
                beta1: f(self.beta1),
                beta2: f(self.beta2),
                eps: f(self.eps),
                correction1: correction(self.beta1),
                correction2: correction(self.beta2),
            },
        }
    }

    /// What its moments are called in checkpoints.
    fn names(&self) -> &'static [&'static str] {
        match self.kind {
            OptimizerKind::Sgd if self.momentum == 0.0 => &[],
            OptimizerKind::Sgd => &["sgd.velocity"],
            OptimizerKind::Adagrad => &["adagrad.sum"],
            OptimizerKind::Rmsprop => &["rmsprop.mean"],
            OptimizerKind::Adam | OptimizerKind::Adamw => &["adam.m", "adam.v"],
        }
    }
}

/// An optimizer and its moments, which have the layout of the weights.
#[derive(Clone, Debug)]
pub struct Optimizer<F> {
    config: OptimizerConfig,
    steps: u64,
    m: Vec<F>,
    v: Vec<F>,
    /// Where weight decay applies, in order.
    decayed: Vec<Range<usize>>,
}

impl<F: Scalar> Optimizer<F> {
    /// An optimizer at its beginning.
    pub fn new(config: OptimizerConfig, layout: &Layout) -> Self {
        let moments = config.names().len();
        let zeros = |there: bool| vec![F::ZERO; if there { layout.len() } else { 0 }];
        Optimizer { config, steps: 0, m: zeros(moments > 0), v: zeros(moments > 1), decayed: layout.matrices() }
    }

    /// One update, on the current thread pool. Every gradient is first multiplied by `grad_scale`.
    pub fn update(&mut self, params: &mut Params<F>, grads: &Grads<F>, lr: f64, grad_scale: f64) {
        self.steps += 1;
        let rule = self.config.rule::<F>(self.steps);
        let f = F::from_f64;
        let decoupled = self.config.kind == OptimizerKind::Adamw;
        let factors = |decayed: bool| {
            let decay = if decayed { self.config.weight_decay } else { 0.0 };
            let (l2, decay) = if decoupled { (0.0, decay) } else { (decay, 0.0) };
            Factors { lr: f(lr), grad_scale: f(grad_scale), l2: f(l2), decay: f(decay) }
        };
        let decayed = &self.decayed;
        let one = |first: usize, w: &mut [F], g: &[F], m: &mut [F], v: &mut [F]| {
            for_each_run(decayed, first..first + w.len(), |run, is_decayed| {
                let run = run.start - first..run.end - first;
                let of = |x: &Range<usize>, len: usize| if len == 0 { 0..0 } else { x.clone() };
                let (m_run, v_run) = (of(&run, m.len()), of(&run, v.len()));
                update(rule, factors(is_decayed), &mut w[run.clone()], &g[run], &mut m[m_run], &mut v[v_run]);
            });
        };
        let weights = params.values.par_chunks_mut(CHUNK).zip(grads.values.par_chunks(CHUNK)).enumerate();
        match rule.moments() {
            0 => weights.for_each(|(i, (w, g))| one(i * CHUNK, w, g, &mut [], &mut [])),
            1 => {
                weights.zip(self.m.par_chunks_mut(CHUNK)).for_each(|((i, (w, g)), m)| one(i * CHUNK, w, g, m, &mut []))
            }
            _ => weights
                .zip(self.m.par_chunks_mut(CHUNK).zip(self.v.par_chunks_mut(CHUNK)))
                .for_each(|((i, (w, g)), (m, v))| one(i * CHUNK, w, g, m, v)),
        }
    }

    /// Updates made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The moments by name, for checkpoints.
    pub fn buffers(&self) -> impl Iterator<Item = (&'static str, &[F])> {
        self.config.names().iter().copied().zip([&self.m[..], &self.v[..]])
    }

    /// The moments by name, to restore.
    pub fn buffers_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Vec<F>)> {
        self.config.names().iter().copied().zip([&mut self.m, &mut self.v])
    }

    /// Sets the number of updates made, which the moments belong to.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }
}

/// Cuts `all` at the borders of the sorted `ranges`: calls `f(run, whether it lies in one of them)`.
fn for_each_run(ranges: &[Range<usize>], all: Range<usize>, mut f: impl FnMut(Range<usize>, bool)) {
    let mut at = all.start;
    let first = ranges.partition_point(|range| range.end <= at);
    for range in &ranges[first..] {
        if range.start >= all.end {
            break;
        }
        if at < range.start {
            f(at..range.start, false);
            at = range.start;
        }
        let end = range.end.min(all.end);
        f(at..end, true);
        at = end;
    }
    if at < all.end {
        f(at..all.end, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn decay_touches_matrices_and_no_bias_wherever_the_chunks_are_cut() {
        let mut layout = Layout::new();
        for i in 0..5 {
            layout.add(format!("bias{i}"), &[77]);
            layout.add(format!("weight{i}"), &[3, 9001]);
        }
        let layout = Arc::new(layout);
        let config = OptimizerConfig { kind: OptimizerKind::Sgd, weight_decay: 0.5, ..OptimizerConfig::default() };
        let mut params = Params::<f32>::zeros(&layout);
        params.values.fill(1.0);
        let grads = Params::zeros(&layout);
        Optimizer::new(config, &layout).update(&mut params, &grads, 0.5, 1.0);
        for tensor in layout.tensors() {
            let want = if tensor.dims.len() == 2 { 0.75 } else { 1.0 };
            assert!(tensor.slot.of(&params).iter().all(|&w| w == want), "{}", tensor.name);
        }
    }

    #[test]
    fn factors_that_cannot_be_are_refused_with_the_flag() {
        let refused = |config: OptimizerConfig| config.validate().unwrap_err().to_string();
        let default = OptimizerConfig::default();
        assert!(refused(OptimizerConfig { beta2: 1.0, ..default.clone() }).contains("--beta2 1"));
        assert!(refused(OptimizerConfig { eps: f64::NAN, ..default.clone() }).contains("--eps"));
        assert!(refused(OptimizerConfig { weight_decay: -1.0, ..default }).contains("--weight-decay -1"));
    }
}
