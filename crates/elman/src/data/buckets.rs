//! Examples reshuffled every epoch and bucketed by length, so that a batch holds little padding.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::rng::Rng;

/// Batches among which lengths are sorted: enough to find neighbours, few enough to reshuffle each epoch.
const POOL: usize = 40;

/// Batches of examples, epoch after epoch. The order of an epoch depends on the seed and its number alone.
#[derive(Clone, Debug)]
pub struct Buckets {
    lengths: Vec<usize>,
    batch: usize,
    seed: u64,
    position: BucketsPosition,
    /// The batches of this epoch, each the longest example first.
    order: Vec<Vec<usize>>,
}

/// The position in the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketsPosition {
    /// Completed epochs.
    pub epoch: u64,
    /// Batches of this epoch read.
    pub next: usize,
}

impl Buckets {
    /// Batches of `batch` examples of these lengths, or of all where there are fewer. The last,
    /// incomplete batch of an epoch is dropped.
    ///
    /// # Errors
    /// If there are no examples.
    pub fn new(lengths: Vec<usize>, batch: usize, seed: u64) -> Result<Self> {
        if lengths.is_empty() {
            return Err(Error::Usage("there are no training examples".into()));
        }
        let batch = batch.clamp(1, lengths.len());
        let mut buckets = Buckets { lengths, batch, seed, position: BucketsPosition::default(), order: Vec::new() };
        buckets.draw();
        Ok(buckets)
    }

    /// Batch size.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.lengths.len() / self.batch
    }

    /// Epochs completed, with the fraction of the current one.
    pub fn epochs(&self) -> f64 {
        self.position.epoch as f64 + self.position.next as f64 / self.batches_per_epoch() as f64
    }

    /// The examples of the next batch, the longest first.
    pub fn next_batch(&mut self) -> &[usize] {
        if self.position.next == self.order.len() {
            self.position = BucketsPosition { epoch: self.position.epoch + 1, next: 0 };
            self.draw();
        }
        self.position.next += 1;
        &self.order[self.position.next - 1]
    }

    /// The position in the data.
    pub fn position(&self) -> BucketsPosition {
        self.position
    }

    /// Continues from a saved position.
    ///
    /// # Errors
    /// If an epoch has fewer batches.
    pub fn seek(&mut self, position: BucketsPosition) -> Result<()> {
        if position.next > self.batches_per_epoch() {
            let message = format!("batch {} of {} in an epoch", position.next, self.batches_per_epoch());
            return Err(Error::Usage(message));
        }
        self.position = position;
        self.draw();
        Ok(())
    }

    fn draw(&mut self) {
        let mut rng = Rng::for_step(self.seed, "order", self.position.epoch, 0);
        let mut examples: Vec<usize> = (0..self.lengths.len()).collect();
        rng.shuffle(&mut examples);
        examples.truncate(self.batches_per_epoch() * self.batch);
        for pool in examples.chunks_mut(POOL * self.batch) {
            pool.sort_by_key(|&example| std::cmp::Reverse(self.lengths[example]));
        }
        self.order = examples.chunks(self.batch).map(<[usize]>::to_vec).collect();
        rng.shuffle(&mut self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_every_example_once_and_batches_are_of_like_length() {
        let lengths: Vec<usize> = (0..1000).map(|i| i * 7919 % 101).collect();
        let mut buckets = Buckets::new(lengths.clone(), 10, 1).unwrap();
        let mut seen = Vec::new();
        let mut spread = 0;
        for _ in 0..buckets.batches_per_epoch() {
            let batch = buckets.next_batch();
            assert!(batch.is_sorted_by_key(|&i| std::cmp::Reverse(lengths[i])));
            spread += lengths[batch[0]] - lengths[batch[9]];
            seen.extend_from_slice(batch);
        }
        assert!(spread < 100 * 10, "{spread}");
        assert_eq!(buckets.epochs(), 1.0);
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..1000));
    }

    #[test]
    fn reading_continues_from_a_saved_position() {
        let mut whole = Buckets::new(vec![1; 25], 10, 1).unwrap();
        for _ in 0..5 {
            whole.next_batch();
        }
        let mut part = Buckets::new(vec![1; 25], 10, 1).unwrap();
        part.seek(whole.position()).unwrap();
        for _ in 0..5 {
            assert_eq!(part.next_batch(), whole.next_batch());
        }
        assert!(part.seek(BucketsPosition { epoch: 0, next: 3 }).is_err());
        assert!(Buckets::new(Vec::new(), 10, 1).is_err());
        assert_eq!(Buckets::new(vec![1; 3], 10, 1).unwrap().next_batch().len(), 3);
    }
}
