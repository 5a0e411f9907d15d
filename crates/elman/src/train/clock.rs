//! What decisions of a run are made by: the clock, and, where several ranks train, what they agreed on.

/// What the clock says, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// Of training, earlier processes of the run included.
    pub(super) elapsed: f64,
    /// Since the last validation.
    pub(super) validated: f64,
    /// Since the last checkpoint.
    pub(super) saved: f64,
    /// That the last validation took; 0 before the first.
    pub(super) validation: f64,
    /// That all validations of this process took.
    pub(super) validating: f64,
}

impl Clock {
    /// To tell the other ranks.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Clock { elapsed, validated, saved, validation, validating } = self;
        [elapsed, validated, saved, validation, validating].into_iter().flat_map(f64::to_le_bytes).collect()
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Clock {
        let mut values = bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
        let mut next = || values.next().unwrap_or_default();
        Clock { elapsed: next(), validated: next(), saved: next(), validation: next(), validating: next() }
    }
}

/// What the ranks agreed on last: the lead's clock, and whether any of them was asked to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) clock: Clock,
    pub(super) stop: bool,
}
