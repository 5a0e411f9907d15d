//! Seeded random streams by name: one for the weights, one for dropout, one for the data, so that drawing more from
//! one changes nothing in another. ChaCha8, bit-identical on every machine; a position can be saved and restored.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use serde::{Deserialize, Serialize};

/// A stream of random numbers.
#[derive(Clone)]
pub struct Rng {
    seed: u64,
    stream: u64,
    generator: ChaCha8Rng,
}

/// The position of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RngPosition {
    /// The run's seed.
    pub seed: u64,
    /// The stream's number, a hash of its name.
    pub stream: u64,
    /// 32-bit words drawn so far.
    pub words: u64,
}

impl Rng {
    /// Words that [`Self::fill`] generates at once.
    pub const AT_ONCE: usize = 64;

    /// The stream `name` of a run with this seed. The stream's number is the FNV-1a hash of the name.
    pub fn new(seed: u64, name: &str) -> Self {
        Self::for_step(seed, name, 0, 0)
    }

    /// The substream of one step and one block of a batch, so that a block's draws depend neither on other blocks nor
    /// on earlier draws. A step may draw 2^32 words.
    pub fn for_step(seed: u64, name: &str, step: u64, block: u64) -> Self {
        let hash = |h: u64, byte: &u8| (h ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let stream = name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, hash).wrapping_add(block);
        Self::at(&RngPosition { seed, stream, words: step << 32 })
    }

    /// The stream at a saved position.
    pub fn at(position: &RngPosition) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(position.seed);
        generator.set_stream(position.stream);
        generator.set_word_pos(u128::from(position.words));
        Rng { seed: position.seed, stream: position.stream, generator }
    }

    /// The current position.
    pub fn position(&self) -> RngPosition {
        RngPosition { seed: self.seed, stream: self.stream, words: self.generator.get_word_pos() as u64 }
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.generator.next_u32()
    }

    /// Fills `words` as consecutive calls of [`Self::bits`] would, but faster.
    pub fn fill(&mut self, words: &mut [u32]) {
        for words in words.chunks_mut(Self::AT_ONCE) {
            let mut bytes = [0; 4 * Self::AT_ONCE];
            let bytes = &mut bytes[..4 * words.len()];
            self.generator.fill_bytes(bytes);
            words.iter_mut().zip(bytes.as_chunks().0).for_each(|(word, &bytes)| *word = u32::from_le_bytes(bytes));
        }
    }

    /// 64 random bits.
    pub fn long_bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.long_bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Standard normal (Box & Muller 1958; the cosine of each pair).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Uniform below `n`, without bias.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "`n` must be at least 1");
        let n = n as u64;
        // Numbers from the incomplete last group of n are drawn again.
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let bits = self.long_bits();
            if bits < limit {
                return (bits % n) as usize;
            }
        }
    }

    /// Shuffles the items (Fisher & Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_position_continues_bit_for_bit() {
        let mut rng = Rng::new(7, "dropout");
        (0..13).for_each(|_| {
            rng.bits();
        });
        let saved = rng.position();
        let ahead: Vec<u32> = (0..40).map(|_| rng.bits()).collect();
        let mut back = Rng::at(&saved);
        assert_eq!(ahead, (0..40).map(|_| back.bits()).collect::<Vec<_>>());
    }

    #[test]
    fn fill_equals_words_drawn_one_by_one() {
        let (mut one, mut many) = (Rng::new(5, "test"), Rng::new(5, "test"));
        for n in [1, 3, 64, 0, 100, 200, 7] {
            let mut words = vec![0; n];
            many.fill(&mut words);
            assert!(words.iter().all(|&word| word == one.bits()));
            assert_eq!(one.position(), many.position());
        }
        assert_eq!(one.long_bits(), many.long_bits());
    }

    #[test]
    fn streams_of_other_names_and_seeds_differ() {
        let first = |seed, name| Rng::new(seed, name).long_bits();
        assert_ne!(first(1, "weights"), first(1, "data"));
        assert_ne!(first(1, "weights"), first(2, "weights"));
    }

    /// A change of these values would change every published run.
    #[test]
    fn the_first_values_never_change() {
        let mut rng = Rng::new(1, "weights");
        let got = (rng.bits(), rng.uniform(), rng.normal(), rng.below(1000));
        assert_eq!(got, PINNED);
    }

    const PINNED: (u32, f64, f64, usize) = (1_482_656_306, 0.583_308_603_433_449_5, 0.251_290_512_770_873_34, 356);

    #[test]
    fn moments_match_the_distributions() {
        let mut rng = Rng::new(3, "test");
        let n = 100_000;
        let (mut sum, mut squares, mut uniform) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let x = rng.normal();
            sum += x;
            squares += x * x;
            uniform += rng.uniform();
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.02 && (squares / n - 1.0).abs() < 0.02 && (uniform / n - 0.5).abs() < 0.01);
        let mut items: Vec<usize> = (0..50).collect();
        rng.shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
