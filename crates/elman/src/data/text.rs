//! A text as batches for truncated backpropagation through time: `B` contiguous streams read side by side, `T` tokens
//! at a time, so that the state carried from one batch to the next is that of the text just before.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::rng::Rng;

/// A batch of tokens: `inputs[t][b]` at `start + b * stride + t`, its target one further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Position of the first stream in the text.
    pub start: usize,
    /// Distance between streams.
    pub stride: usize,
    /// Steps `T`.
    pub len: usize,
    /// Whether this is the first batch of an epoch: the carried state does not belong to it.
    pub is_first: bool,
}

impl Window {
    /// Inputs and targets `[T, B]` of streams `streams`.
    pub fn read(&self, text: &[u32], streams: std::ops::Range<usize>, inputs: &mut Vec<u32>, targets: &mut Vec<u32>) {
        inputs.clear();
        targets.clear();
        for t in 0..self.len {
            for b in streams.clone() {
                let at = self.start + b * self.stride + t;
                inputs.push(text[at]);
                targets.push(text[at + 1]);
            }
        }
    }
}

/// The position in the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamsPosition {
    /// Epochs started.
    pub epoch: u64,
    /// Where this epoch's first stream began.
    pub offset: usize,
    /// Steps of it read.
    pub done: usize,
}

/// Batches of a text, epoch after epoch. Each epoch but the first starts at a random offset below `T`, so that batch
/// boundaries vary.
#[derive(Clone, Debug)]
pub struct Streams {
    tokens: usize,
    batch: usize,
    seq_len: usize,
    seed: u64,
    position: StreamsPosition,
}

impl Streams {
    /// `batch` streams of a text of `tokens`, read `seq_len` at a time. A text too short for
    /// `batch` streams gives fewer: see [`Self::batch`].
    ///
    /// # Errors
    /// If the text has fewer than `seq_len + 1` tokens, or a size is 0.
    pub fn new(tokens: usize, batch: usize, seq_len: usize, seed: u64) -> Result<Self> {
        if batch == 0 || seq_len == 0 {
            let key = if batch == 0 { "batch" } else { "seq_len" };
            return Err(Error::setting(key, 0, "must be at least 1"));
        }
        if tokens < seq_len + 1 {
            return Err(Error::Usage(format!(
                "the training text has {tokens} tokens, but a sequence takes {} (`seq_len` {seq_len} and the next \
                 one); use a longer text or a lower `seq_len`",
                seq_len + 1
            )));
        }
        let batch = batch.min((tokens - 1) / seq_len);
        let mut streams =
            Streams { tokens, batch, seq_len, seed, position: StreamsPosition { epoch: 0, offset: 0, done: 0 } };
        streams.begin(0);
        Ok(streams)
    }

    /// `B`.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// `T`.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// Batches in an epoch (one fewer where the random offset takes a stream's last steps).
    pub fn batches_per_epoch(&self) -> usize {
        ((self.tokens - 1) / self.batch / self.seq_len).max(1)
    }

    /// Tokens of each stream in this epoch, without the last target.
    fn stream_len(&self) -> usize {
        (self.tokens - self.position.offset - 1) / self.batch
    }

    fn begin(&mut self, epoch: u64) {
        // Offsets that leave room for one batch.
        let spare = self.tokens - 1 - self.batch * self.seq_len;
        let mut rng = Rng::for_step(self.seed, "data", epoch, 0);
        let offset = if epoch == 0 { 0 } else { rng.below(spare.min(self.seq_len - 1) + 1) };
        self.position = StreamsPosition { epoch, offset, done: 0 };
    }

    /// The next batch.
    pub fn next_window(&mut self) -> Window {
        if self.position.done + self.seq_len > self.stream_len() {
            self.begin(self.position.epoch + 1);
        }
        let StreamsPosition { offset, done, .. } = self.position;
        self.position.done += self.seq_len;
        Window { start: offset + done, stride: self.stream_len(), len: self.seq_len, is_first: done == 0 }
    }

    /// Epochs started, with the fraction read of the current one.
    pub fn epochs(&self) -> f64 {
        self.position.epoch as f64 + self.position.done as f64 / self.stream_len() as f64
    }

    /// The position in the data.
    pub fn position(&self) -> &StreamsPosition {
        &self.position
    }

    /// Continues from a saved position.
    ///
    /// # Errors
    /// If the position lies outside this text.
    pub fn seek(&mut self, position: StreamsPosition) -> Result<()> {
        if position.offset >= self.seq_len || position.offset + position.done >= self.tokens {
            return Err(Error::Usage(
                "the saved position lies outside the text; has the text changed since the run began?".into(),
            ));
        }
        self.position = position;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_contiguous_streams_and_targets_are_the_next_tokens() {
        let text: Vec<u32> = (0..103).collect();
        let mut streams = Streams::new(text.len(), 4, 5, 1).unwrap();
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        let mut last = [None; 4];
        let mut read = Vec::new();
        for _ in 0..streams.batches_per_epoch() - 1 {
            let window = streams.next_window();
            window.read(&text, 0..4, &mut inputs, &mut targets);
            for (i, (x, y)) in inputs.iter().zip(&targets).enumerate() {
                assert_eq!(x + 1, *y);
                assert!(window.is_first == last[i % 4].is_none() || i >= 4);
                assert!(last[i % 4].is_none_or(|l| l + 1 == *x), "a stream has a gap");
                last[i % 4] = Some(*x);
                read.push(*x);
            }
        }
        read.sort_unstable();
        read.dedup();
        assert_eq!(read.len(), (streams.batches_per_epoch() - 1) * 20, "a token was read twice");
    }

    #[test]
    fn a_saved_position_continues_with_the_same_batches() {
        let mut streams = Streams::new(1000, 7, 9, 3).unwrap();
        (0..20).for_each(|_| {
            streams.next_window();
        });
        let saved = streams.position().clone();
        let ahead: Vec<Window> = (0..40).map(|_| streams.next_window()).collect();
        assert!(ahead.iter().any(|w| w.is_first) && ahead.iter().all(|w| w.start + 6 * w.stride + 9 < 1000));
        let mut again = Streams::new(1000, 7, 9, 3).unwrap();
        again.seek(saved).unwrap();
        assert_eq!(ahead, (0..40).map(|_| again.next_window()).collect::<Vec<_>>());
    }

    #[test]
    fn a_short_text_gives_fewer_streams_and_too_short_a_text_is_refused() {
        assert_eq!(Streams::new(100, 50, 20, 1).unwrap().batch(), 4);
        assert_eq!(Streams::new(21, 50, 20, 1).unwrap().batch(), 1);
        let error = Streams::new(20, 50, 20, 1).unwrap_err().to_string();
        assert!(error.contains("takes 21"), "{error}");
    }
}
