//! Thread pools.

use crate::error::{Error, Result};

/// The number of threads; 0 is one per core.
pub fn threads(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// A pool of this many threads; 0 is one per core.
///
/// # Errors
/// [`Error::Setting`] if they cannot be started.
pub fn pool(asked: usize) -> Result<rayon::ThreadPool> {
    let threads = threads(asked);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Error::setting("threads", threads, format!("cannot be started: {error}")))
}
