//! The state of a decoder.

use elman_kernels::Scalar;

use crate::layer::StackState;

/// The state of a decoder between two steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DecoderState<F> {
    pub(super) lower: StackState<F>,
    pub(super) upper: StackState<F>,
}

impl<F: Scalar> DecoderState<F> {
    /// Each part `[B, H]`, in the order of the bridge's outputs.
    pub(super) fn parts(&mut self) -> impl Iterator<Item = &mut Vec<F>> {
        self.lower.cells.iter_mut().chain(&mut self.upper.cells).flat_map(|cell| [&mut cell.h, &mut cell.c])
    }

    /// Copies the rows `from` of another state.
    pub(super) fn select(&mut self, other: &mut Self, from: &[usize], batch: usize) {
        for (to, part) in self.parts().zip(other.parts()) {
            let width = part.len() / batch.max(1);
            to.clear();
            from.iter().for_each(|&row| to.extend_from_slice(&part[row * width..(row + 1) * width]));
        }
    }

    /// Copies `other`, reusing the memory.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.lower.copy_from(&other.lower);
        self.upper.copy_from(&other.upper);
    }

    /// Keeps the first `active` of `batch` rows.
    pub(super) fn truncate(&mut self, batch: usize, active: usize) {
        self.parts().for_each(|part| part.truncate(part.len() / batch.max(1) * active));
    }

    /// Splits rows `[B, all parts]` into the parts.
    pub(super) fn split(&mut self, rows: &[F], batch: usize) {
        let (all, mut at) = (rows.len() / batch.max(1), 0);
        for part in self.parts() {
            let width = part.len() / batch.max(1);
            for b in 0..batch {
                part[b * width..(b + 1) * width].copy_from_slice(&rows[b * all + at..b * all + at + width]);
            }
            at += width;
        }
    }

    /// The inverse of [`Self::split`].
    pub(super) fn join(&mut self, rows: &mut [F], batch: usize) {
        let (all, mut at) = (rows.len() / batch.max(1), 0);
        for part in self.parts() {
            let width = part.len() / batch.max(1);
            for b in 0..batch {
                rows[b * all + at..b * all + at + width].copy_from_slice(&part[b * width..(b + 1) * width]);
            }
            at += width;
        }
    }
}
