//! One direction of a recurrent layer to run: its weights, its states and where its outputs go.

use crate::graph::{Activation, MaskedOutput, Recurrent};
use crate::interpret::elementwise::Real;

/// Sizes of a run.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) inputs: usize,
    pub(super) hidden: usize,
    /// Width of `h`: the projection's, or `hidden`.
    pub(super) outputs: usize,
}

/// One direction of a layer: its weights, in the order of the graph.
pub(super) struct Direct<'a, F> {
    pub(super) w: &'a [F],
    pub(super) r: &'a [F],
    /// `[2*G*H]` or nothing.
    pub(super) b: &'a [F],
    /// `[3*H]` or nothing.
    pub(super) peepholes: &'a [F],
    /// `[O, H]` or nothing.
    pub(super) projection: &'a [F],
    pub(super) activations: &'a [Activation],
}

/// State of all sequences: `h [B, O]`, `c [B, H]`.
pub(super) struct States<F> {
    pub(super) h: Vec<F>,
    pub(super) c: Vec<F>,
}

/// Steps of a sequence that count.
pub(super) struct Mask<'a> {
    pub(super) lens: Option<&'a [i64]>,
    /// `[B, T]`.
    pub(super) mask: Option<&'a [bool]>,
    pub(super) steps: usize,
    pub(super) masked: MaskedOutput,
}

impl Mask<'_> {
    pub(super) fn is_full(&self) -> bool {
        self.lens.is_none() && self.mask.is_none()
    }

    pub(super) fn counts(&self, t: usize, b: usize) -> bool {
        self.lens.is_none_or(|lens| (t as i64) < lens[b]) && self.mask.is_none_or(|mask| mask[b * self.steps + t])
    }
}

/// Where a direction's outputs go: `y [T, D, B, O]`.
pub(super) struct Output<'a, F> {
    pub(super) y: &'a mut [F],
    pub(super) directions: usize,
    pub(super) direction: usize,
    /// The last output of every sequence, for those that repeat it.
    pub(super) last: Vec<F>,
}

impl<F: Real> Output<'_, F> {
    /// Takes the state after step `t`; sequences whose step does not count keep the state of before.
    pub(super) fn take(&mut self, t: usize, sizes: Sizes, mask: &Mask, before: &States<F>, after: &mut States<F>) {
        let (b, o) = (sizes.batch, sizes.outputs);
        let y = &mut self.y[(t * self.directions + self.direction) * b * o..][..b * o];
        y.copy_from_slice(&after.h);
        if mask.is_full() {
            return;
        }
        for row in 0..b {
            let h = row * o..(row + 1) * o;
            if mask.counts(t, row) {
                self.last[h.clone()].copy_from_slice(&after.h[h]);
                continue;
            }
            match mask.masked {
                MaskedOutput::Zero => y[h.clone()].fill(F::ZERO),
                MaskedOutput::Repeat => y[h.clone()].copy_from_slice(&self.last[h.clone()]),
            }
            after.h[h.clone()].copy_from_slice(&before.h[h]);
            if !after.c.is_empty() {
                let c = row * sizes.hidden..(row + 1) * sizes.hidden;
                after.c[c.clone()].copy_from_slice(&before.c[c]);
            }
        }
    }
}

/// One direction to run.
pub(super) struct Job<'a, 'b, F> {
    pub(super) layer: &'a Recurrent,
    pub(super) sizes: Sizes,
    /// `[T, B, I]`.
    pub(super) x: &'a [F],
    pub(super) direct: Direct<'a, F>,
    /// Before the first step; after the last when done.
    pub(super) states: &'a mut States<F>,
    pub(super) mask: &'a Mask<'a>,
    pub(super) reverse: bool,
    pub(super) output: Output<'b, F>,
    /// 0 forward, 1 backward of a layer in both directions.
    pub(super) direction: usize,
}

/// Time indices in the order of reading.
pub(super) fn order(steps: usize, reverse: bool) -> impl Iterator<Item = usize> {
    (0..steps).map(move |t| if reverse { steps - 1 - t } else { t })
}
