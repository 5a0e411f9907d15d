//! How good an answer is: counts and sums over (truth, answer) pairs. Knows no network, no file and no task.
//!
//! What is usually reported in percent (BLEU, chrF, the segmental scores) runs from 0 to 100, as in the papers and in
//! sacreBLEU; shares (accuracy, precision, recall, F1, areas under curves) run from 0 to 1.

pub mod bleu;
pub mod bootstrap;
pub mod calibration;
pub mod chrf;
pub mod classification;
mod ngrams;
pub mod ranking;
pub mod segments;

pub use bleu::{Bleu, BleuCounts, BleuScore, Tokenizer, caption_bleu, caption_order};
pub use bootstrap::{Interval, Paired};
pub use chrf::{Chrf, ChrfCounts};
pub use classification::Confusion;
pub use segments::{Segment, SegmentScores};
