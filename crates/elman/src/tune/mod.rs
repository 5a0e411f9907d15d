//! A search for settings: random, with successive halving, by any number of processes that share a folder.
//!
//! Trials draw their settings at random (Bergstra & Bengio 2012) and train for a few updates; the better part of them goes on
//! for `halving` times as many, and so on to the full length (successive halving, Jamieson & Talwalkar 2016). A trial that goes
//! on is *resumed*: it has the bits of a run of the full length that was never interrupted. Which trials go on depends on their
//! results alone, so that a study ends the same with one process or eight, killed or not.
//!
//! A process claims a trial by the lock of its run folder, which the system releases when the process ends, however it ends;
//! results are appended to a journal.

mod journal;
mod space;
mod study;

pub use journal::{Outcome, Verdict};
pub use space::Space;
pub use study::{Finished, Standing, Study};
