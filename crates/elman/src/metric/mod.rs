//! Metrics: counts and sums over (truth, prediction) pairs, independent of networks, files and tasks.
//!
//! Metrics usually reported in percent (BLEU, chrF, the segmental scores) runs from 0 to 100, as in the papers and in
//! sacreBLEU; shares (accuracy, precision, recall, F1, areas under curves) run from 0 to 1.

pub mod bleu;
pub mod bootstrap;
pub mod calibration;
pub mod chrf;
pub mod classification;
mod evaluation;
mod evaluator;
mod labels;
mod logits;
mod ngrams;
pub mod ranking;
mod review;
pub mod segments;

pub use bleu::{Bleu, BleuCounts, BleuScore, Tokenizer, caption_bleu, caption_order};
pub use bootstrap::{Interval, Paired};
pub use chrf::{Chrf, ChrfCounts};
pub use classification::Confusion;
pub use evaluation::{Evaluation, Measure, Mistake, Unit};
pub use evaluator::{Evaluator, Measures, Predicted, Truth};
pub use labels::HOLDS;
pub(crate) use labels::holding;
pub use logits::{argmax, probabilities, sigmoid};
pub use review::{Baseline, CLASSES, Example, Review, Shown, chosen};
pub use segments::{Segment, SegmentScores};
