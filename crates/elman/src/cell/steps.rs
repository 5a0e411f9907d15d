//! Packed sequences: sequences of different lengths share a batch without padding.
//!
//! Sequences are sorted by decreasing length. Step `t` then has the first `n_t` of them, and a batch is stored as
//! `N = n_0 + n_1 + ..` rows, step after step (PyTorch's packed sequences). For equal lengths this is `[T, B, ..]`.

use std::ops::Range;

use crate::error::{Error, Result};

/// The rows of each step.
///
/// ```
/// use elman::cell::Steps;
///
/// let steps = Steps::ragged(&[3, 1])?;
/// assert_eq!((steps.len(), steps.batch(), steps.rows()), (3, 2, 4));
/// assert_eq!([0, 1, 2].map(|t| steps.active(t)), [2, 1, 1]);
/// # Ok::<(), elman::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    batch: usize,
    /// Step `t` occupies the rows `offsets[t]..offsets[t + 1]`.
    offsets: Vec<usize>,
}

impl Steps {
    /// `T` steps of `B` sequences.
    pub fn equal(steps: usize, batch: usize) -> Self {
        Steps { batch, offsets: (0..=steps).map(|t| t * batch).collect() }
    }

    /// One step of the first `active` of `B` sequences.
    pub(crate) fn one(active: usize, batch: usize) -> Self {
        Steps { batch, offsets: vec![0, active] }
    }

    /// Sequences of these lengths, longest first; a length may be 0.
    ///
    /// # Errors
    /// If lengths are not sorted, longest first ([`Order`] sorts them).
    pub fn ragged(lengths: &[usize]) -> Result<Self> {
        if !lengths.is_sorted_by(|a, b| a >= b) {
            return Err(Error::Usage("sequences of a packed batch must be sorted, the longest first".into()));
        }
        let mut offsets = vec![0];
        let mut active = lengths.len();
        for t in 0..lengths.first().copied().unwrap_or(0) {
            while lengths[active - 1] <= t {
                active -= 1;
            }
            offsets.push(offsets[t] + active);
        }
        Ok(Steps { batch: lengths.len(), offsets })
    }

    /// `T`, the steps of the longest sequence.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `B`.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// `N`, all rows.
    pub fn rows(&self) -> usize {
        self.offsets[self.len()]
    }

    /// The rows of step `t`.
    pub fn range(&self, t: usize) -> Range<usize> {
        self.offsets[t]..self.offsets[t + 1]
    }

    /// Sequences running at step `t`.
    pub fn active(&self, t: usize) -> usize {
        self.range(t).len()
    }

    /// Whether lengths differ.
    pub fn is_ragged(&self) -> bool {
        self.rows() != self.len() * self.batch
    }

    /// The length of a sequence.
    pub fn len_of(&self, sequence: usize) -> usize {
        if !self.is_ragged() {
            return self.len();
        }
        (0..self.len()).take_while(|&t| self.active(t) > sequence).count()
    }

    /// The states before step `t` in a tape, which holds the initial states before the rows.
    pub(super) fn before(&self, t: usize) -> Range<usize> {
        let start = if t == 0 { 0 } else { self.batch + self.offsets[t - 1] };
        start..start + self.active(t)
    }

    /// The states of step `t` in a tape.
    pub(super) fn now(&self, t: usize) -> Range<usize> {
        let rows = self.range(t);
        self.batch + rows.start..self.batch + rows.end
    }

    /// Calls `f(row, row of the reversed sequence)` for every row: each sequence is reversed within its length.
    pub fn for_each_reversed(&self, mut f: impl FnMut(usize, usize)) {
        for sequence in 0..self.batch {
            let len = self.len_of(sequence);
            for t in 0..len {
                f(self.offsets[t] + sequence, self.offsets[len - 1 - t] + sequence);
            }
        }
    }
}

/// The permutation between the caller's order of sequences and decreasing length.
#[derive(Clone, Debug)]
pub struct Order {
    /// The steps of the sorted batch.
    pub steps: Steps,
    /// `sorted[i]` is the caller's index of the `i`-th longest sequence; equal lengths keep their order.
    pub sorted: Vec<usize>,
}

impl Order {
    /// Sorts by length.
    pub fn new(lengths: &[usize]) -> Self {
        let mut sorted: Vec<usize> = (0..lengths.len()).collect();
        sorted.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
        let falling: Vec<usize> = sorted.iter().map(|&i| lengths[i]).collect();
        let steps = Steps::ragged(&falling).unwrap_or_else(|_| Steps::equal(0, 0));
        Order { steps, sorted }
    }

    /// Calls `f(packed row, padded row)` for every step that is not padding: padded is `[T, B]` in the caller's order.
    pub fn for_each_row(&self, mut f: impl FnMut(usize, usize)) {
        let batch = self.steps.batch();
        for t in 0..self.steps.len() {
            for (i, row) in self.steps.range(t).enumerate() {
                f(row, t * batch + self.sorted[i]);
            }
        }
    }

    /// `[T, B, width]` in the caller's order to packed rows `[N, width]`.
    pub fn pack<T: Copy>(&self, padded: &[T], width: usize) -> Vec<T> {
        let mut packed = Vec::with_capacity(self.steps.rows() * width);
        self.for_each_row(|_, from| packed.extend_from_slice(&padded[from * width..(from + 1) * width]));
        packed
    }

    /// Packed rows `[N, width]` to `[T, B, width]` in the caller's order, `fill` as padding.
    pub fn unpack<T: Copy>(&self, packed: &[T], width: usize, fill: T) -> Vec<T> {
        let mut padded = vec![fill; self.steps.len() * self.steps.batch() * width];
        self.for_each_row(|from, to| {
            padded[to * width..(to + 1) * width].copy_from_slice(&packed[from * width..(from + 1) * width]);
        });
        padded
    }

    /// `[B, width]` in the caller's order to the sorted order.
    pub fn sort<T: Copy>(&self, rows: &[T], width: usize) -> Vec<T> {
        self.sorted.iter().flat_map(|&i| rows[i * width..(i + 1) * width].iter().copied()).collect()
    }

    /// The inverse of [`Self::sort`].
    pub fn unsort<T: Copy>(&self, rows: &[T], width: usize) -> Vec<T> {
        let mut out = rows.to_vec();
        for (from, &to) in self.sorted.iter().enumerate() {
            out[to * width..(to + 1) * width].copy_from_slice(&rows[from * width..(from + 1) * width]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacking_restores_the_callers_order_and_pads_with_zeros() {
        let order = Order::new(&[2, 0, 3, 2]);
        assert_eq!(order.sorted, [2, 0, 3, 1]);
        assert_eq!((order.steps.rows(), order.steps.len(), order.steps.active(2)), (7, 3, 1));
        let padded: Vec<i32> = (1..=12).collect();
        let packed = order.pack(&padded, 1);
        assert_eq!(packed, [3, 1, 4, 7, 5, 8, 11]);
        assert_eq!(order.unpack(&packed, 1, 0), [1, 0, 3, 4, 5, 0, 7, 8, 0, 0, 11, 0]);
        let rows = [10, 20, 30, 40];
        assert_eq!(order.unsort(&order.sort(&rows, 1), 1), rows);
    }

    #[test]
    fn reversal_stays_within_each_length() {
        let steps = Steps::ragged(&[3, 1]).unwrap();
        let mut pairs = Vec::new();
        steps.for_each_reversed(|row, other| pairs.push((row, other)));
        assert_eq!(pairs, [(0, 3), (2, 2), (3, 0), (1, 1)]);
    }

    #[test]
    fn unsorted_lengths_are_rejected() {
        assert!(Steps::ragged(&[1, 2]).is_err());
    }
}
