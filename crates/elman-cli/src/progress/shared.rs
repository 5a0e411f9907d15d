//! What the training thread and the drawing thread share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::view::RunView;

/// Between two pictures: at most ten a second.
const REFRESH: Duration = Duration::from_millis(100);

/// What the training thread and the drawing thread share. Drawing has its own thread, so that a slow terminal does not
/// hold up training.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) wake: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) view: RunView,
    /// Lines to print above the display.
    pub(super) lines: Vec<String>,
    pub(super) is_over: bool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it drew has spoiled a picture, no more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state after the time between two pictures, or at once when the run is over.
    pub(super) fn next(&self) -> MutexGuard<'_, State> {
        let wait = self.wake.wait_timeout_while(self.lock(), REFRESH, |state| !state.is_over);
        wait.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state)
    }
}
