//! Which steps a value belongs to.

/// Rings count their frames and clocks their steps in a value of the state, and `f32` counts exactly to here.
pub(super) const MOST_COUNTED: usize = 1 << 24;

/// The steps that bring a new value: the `first`-th, counted from 0, and every `period`-th from there on. What a convolution
/// with a stride over time makes has a period above 1; one without padding has outputs only after the first steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Steps from one value to the next.
    pub period: usize,
    /// Steps before the first value.
    pub first: usize,
}

impl Pace {
    /// A value in each step.
    pub const EACH: Pace = Pace { period: 1, first: 0 };

    /// That of every `period`-th value, from the `first`-th on; nothing if it passes what a machine counts.
    pub fn every(self, period: usize, first: usize) -> Option<Pace> {
        let first = first.checked_mul(self.period)?.checked_add(self.first)?;
        let period = self.period.checked_mul(period)?;
        let is_counted = period > 0 && period.max(first) < MOST_COUNTED;
        is_counted.then_some(Pace { period, first })
    }

    /// The number of the value that step `step` brings, if it brings one.
    pub fn value_at(self, step: usize) -> Option<usize> {
        let since = step.checked_sub(self.first)?;
        since.is_multiple_of(self.period).then(|| since / self.period)
    }

    /// Values of the first `steps` steps.
    ///
    /// ```
    /// use elman_step::machine::Pace;
    ///
    /// let pace = Pace { period: 2, first: 3 };
    /// assert_eq!([0, 3, 4, 5, 6].map(|steps| pace.values(steps)), [0, 0, 1, 1, 2]);
    /// ```
    pub fn values(self, steps: usize) -> usize {
        steps.checked_sub(self.first + 1).map_or(0, |since| since / self.period + 1)
    }
}
