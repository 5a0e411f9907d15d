//! Which part of the data an example belongs to.

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose settings and the best weights by.
    Dev,
    /// To measure once, at the end.
    Test,
}

impl Split {
    /// The words that name a part, for messages.
    pub const WORDS: &str = "train, dev (or val) or test";

    /// The part a word names, in any case.
    pub fn of(word: &str) -> Option<Split> {
        match word.trim().to_lowercase().as_str() {
            "train" | "training" => Some(Split::Train),
            "dev" | "val" | "valid" | "validation" => Some(Split::Dev),
            "test" | "testing" => Some(Split::Test),
            _ => None,
        }
    }
}
