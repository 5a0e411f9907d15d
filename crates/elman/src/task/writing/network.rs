//! What the tasks that write ask of a shape.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::Matrix;
use crate::data::tokenizer::Tokenizer;
use crate::error::Result;
use crate::param::{Init, Params};
use crate::rng::Rng;
use crate::shape::{
    SequenceIo, SequenceIoBatch, SequenceIoConfig, SequenceOutput, SequenceOutputBatch, SequenceOutputConfig, Shape,
    Stepper, TargetSequences,
};

/// A network that writes tokens for a source.
pub(in crate::task) trait Network: Shape<f32, State = ()> + Clone + Debug + Send + 'static {
    /// Its sizes, as model files hold them.
    type Config: Serialize + DeserializeOwned;
    /// What a source consists of.
    type Element: Send + Sync;
    /// Texts scored side by side.
    const SIDE_BY_SIDE: usize;

    /// Lays the network out.
    ///
    /// # Errors
    /// Invalid sizes.
    fn from_config(config: Self::Config) -> Result<Self>;

    /// Its sizes.
    fn sizes(&self) -> &Self::Config;

    /// Whether it reads and writes so many tokens.
    fn has_vocab(&self, vocab: usize) -> bool;

    /// Draws the weights before training.
    fn initial(&self, init: Init, rng: &mut Rng) -> Params<f32>;

    /// Packs targets and the source of each.
    fn batch(sources: &[&[Self::Element]], targets: &[&[u32]], tokenizer: &Tokenizer) -> Self::Batch;

    /// The target side of a batch.
    fn targets_mut(batch: &mut Self::Batch) -> &mut TargetSequences;

    /// The log-probability of each target of a batch, with teacher forcing.
    fn log_probs(&self, prepared: &Self::Prepared, batch: &Self::Batch, tape: &mut Self::Tape) -> Vec<f32>;

    /// Starts to write for sources, a step at a time.
    fn start<'a>(&'a self, prepared: &'a Self::Prepared, sources: &[&[Self::Element]]) -> Stepper<'a, f32>;
}

/// Sources by their numbers.
pub(in crate::task) trait Sources: Debug + Send + Sync {
    /// What a source consists of.
    type Element;

    /// A source.
    fn get(&self, source: usize) -> &[Self::Element];

    /// Its length, which limits that of what is written for it.
    fn length(&self, source: usize) -> usize;
}

/// Tokens.
impl Sources for Vec<Vec<u32>> {
    type Element = u32;

    fn get(&self, source: usize) -> &[u32] {
        &self[source]
    }

    fn length(&self, source: usize) -> usize {
        self[source].len()
    }
}

/// A row of features counts as one token.
impl Sources for Matrix {
    type Element = f32;

    fn get(&self, source: usize) -> &[f32] {
        self.row(source)
    }

    fn length(&self, _: usize) -> usize {
        1
    }
}

/// Implements [`Network`] by the methods of the shape itself: what it reads, how it packs a batch, how it starts.
macro_rules! network {
    (
        $shape:ty, $batch:ty, $config:ty, $element:ty, side by side $side_by_side:literal,
        |$sizes:ident, $vocab:ident| $has_vocab:expr,
        |$network:ident, $prepared:ident, $sources:ident| $start:expr
    ) => {
        impl Network for $shape {
            type Config = $config;
            type Element = $element;
            const SIDE_BY_SIDE: usize = $side_by_side;

            fn from_config(config: $config) -> Result<Self> {
                <$shape>::new(config)
            }

            fn sizes(&self) -> &$config {
                self.config()
            }

            fn has_vocab(&self, $vocab: usize) -> bool {
                let $sizes = self.config();
                $has_vocab
            }

            fn initial(&self, init: Init, rng: &mut Rng) -> Params<f32> {
                self.init(init, rng)
            }

            fn batch(sources: &[&[$element]], targets: &[&[u32]], tokenizer: &Tokenizer) -> $batch {
                <$batch>::new(sources, targets, tokenizer.subwords.bos(), tokenizer.subwords.eos())
            }

            fn targets_mut(batch: &mut $batch) -> &mut TargetSequences {
                &mut batch.targets
            }

            fn log_probs(&self, prepared: &Self::Prepared, batch: &$batch, tape: &mut Self::Tape) -> Vec<f32> {
                self.target_log_probs(prepared, batch, tape)
            }

            fn start<'a>(&'a self, $prepared: &'a Self::Prepared, $sources: &[&[$element]]) -> Stepper<'a, f32> {
                let $network = self;
                $start
            }
        }
    };
}

network!(
    SequenceIo, SequenceIoBatch, SequenceIoConfig, u32, side by side 32,
    |sizes, vocab| sizes.source_vocab == vocab && sizes.decoder.vocab == vocab,
    |network, prepared, sources| network.stepper(prepared, sources)
);
network!(
    SequenceOutput, SequenceOutputBatch<f32>, SequenceOutputConfig, f32, side by side 64,
    |sizes, vocab| sizes.decoder.vocab == vocab,
    |network, prepared, sources| network.stepper(prepared, &sources.concat())
);
