//! Pools of threads: one for each number of threads that was asked for, made anew in a forked process.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use rayon::ThreadPool;

use crate::errors::raised;

/// The pools of a process.
struct Pools {
    process: u32,
    /// Threads where nothing is said; 0 for one per core.
    threads: usize,
    pools: Option<HashMap<usize, Arc<ThreadPool>>>,
}

static POOLS: Mutex<Pools> = Mutex::new(Pools { process: 0, threads: 0, pools: None });

/// The pool of this many threads, or of as many as [`set_threads`] said. Asked for by threads that hold the interpreter, so
/// that no fork finds it locked.
pub(crate) fn pool(threads: Option<usize>) -> PyResult<Arc<ThreadPool>> {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if mem::replace(&mut pools.process, std::process::id()) != std::process::id() {
        // The threads of the process that forked are not in this one: waiting for their end would be for ever.
        mem::forget(pools.pools.take());
    }
    let threads = elman::train::threads(threads.unwrap_or(pools.threads));
    let known = pools.pools.get_or_insert_default();
    if let Some(pool) = known.get(&threads) {
        return Ok(pool.clone());
    }
    let pool = Arc::new(elman::train::pool(threads).map_err(raised)?);
    known.insert(threads, pool.clone());
    Ok(pool)
}

/// Threads of predictions and evaluations; 0 is one per core. Training has its own, by the setting `threads`.
#[pyfunction]
pub(crate) fn set_threads(threads: usize) -> PyResult<()> {
    // Refused if there cannot be so many.
    pool(Some(threads))?;
    POOLS.lock().unwrap_or_else(PoisonError::into_inner).threads = threads;
    Ok(())
}

/// Threads of predictions and evaluations.
#[pyfunction]
pub(crate) fn threads() -> usize {
    elman::train::threads(POOLS.lock().unwrap_or_else(PoisonError::into_inner).threads)
}
