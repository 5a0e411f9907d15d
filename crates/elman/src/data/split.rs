//! Training, validation and test sets.

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Training set.
    Train,
    /// Validation set: chooses settings and the best weights.
    Dev,
    /// Test set: measured once, at the end.
    Test,
}

impl Split {
    /// The names of the splits, for messages.
    pub const WORDS: &str = "train, dev (or val) or test";

    /// The split of this name; case is ignored.
    pub fn of(word: &str) -> Option<Split> {
        match word.trim().to_lowercase().as_str() {
            "train" | "training" => Some(Split::Train),
            "dev" | "val" | "valid" | "validation" => Some(Split::Dev),
            "test" | "testing" => Some(Split::Test),
            _ => None,
        }
    }
}
