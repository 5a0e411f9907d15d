//! The permutation between the rows of a packed batch, step after step, and the same rows grouped by sequence.

use crate::cell::Steps;

/// The rows of a packed batch, grouped by sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// Where each sequence's rows begin, and the end: `[B + 1]`.
    pub offsets: Vec<usize>,
    /// The grouped position of each packed row `[N]`.
    pub position: Vec<u32>,
    /// The packed row at each grouped position `[N]`.
    pub row: Vec<u32>,
}

impl Grouping {
    /// Groups the rows of `steps`; the `g`-th group is the packed sequence `order[g]`.
    ///
    /// # Panics
    /// If `order` is not a permutation of the sequences.
    pub fn new(steps: &Steps, order: &[usize]) -> Self {
        let mut grouping = Grouping { offsets: vec![0], position: vec![u32::MAX; steps.rows()], row: Vec::new() };
        for &sequence in order {
            for t in 0..steps.len_of(sequence) {
                let row = steps.range(t).start + sequence;
                grouping.position[row] = grouping.row.len() as u32;
                grouping.row.push(row as u32);
            }
            grouping.offsets.push(grouping.row.len());
        }
        assert!(order.len() == steps.batch() && grouping.row.len() == steps.rows(), "one group per sequence");
        grouping
    }

    /// A single step whose rows are already grouped, `counts[g]` in the `g`-th group; reuses the memory.
    pub fn set_one_step(&mut self, counts: impl Iterator<Item = usize>) {
        self.offsets.clear();
        self.offsets.push(0);
        let mut rows = 0;
        for count in counts {
            rows += count;
            self.offsets.push(rows);
        }
        for rows_of in [&mut self.position, &mut self.row] {
            rows_of.clear();
            rows_of.extend(0..rows as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_grouped_by_sequence_in_the_given_order() {
        // Packed: a0 b0 c0 | a1 b1 | a2.
        let steps = Steps::ragged(&[3, 2, 1, 0]).unwrap();
        let grouping = Grouping::new(&steps, &[1, 3, 0, 2]);
        assert_eq!(grouping.offsets, [0, 2, 2, 5, 6]);
        assert_eq!(grouping.row, [1, 4, 0, 3, 5, 2]);
        assert!((0..6).all(|row| grouping.row[grouping.position[row] as usize] == row as u32));
        let mut one = grouping;
        one.set_one_step([2, 0, 1].into_iter());
        assert_eq!((one.offsets, one.position), (vec![0, 2, 2, 3], vec![0, 1, 2]));
    }
}
