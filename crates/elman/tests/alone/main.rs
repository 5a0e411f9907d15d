//! What concerns the whole process, in a binary of its own: its allocations, its peak of memory, its instruction set. Each
//! test waits for the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod allocation;
mod instruction_sets;
#[cfg(target_os = "linux")]
#[path = "../all/made_file.rs"]
mod made_file;
#[cfg(target_os = "linux")]
mod memory;

/// Held by a test while it has the process to itself; a test that failed gives it back too.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
