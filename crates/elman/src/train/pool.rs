//! Thread pools.

use crate::error::{Error, Result};

/// The most threads: each takes a stack and, in training, gradients of its own.
pub const MAX_THREADS: usize = 1024;

/// The number of threads; 0 is one per core.
pub fn threads(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// A pool of this many threads; 0 is one per core.
///
/// # Errors
/// [`Error::Setting`] if they cannot be started.
pub fn pool(asked: usize) -> Result<rayon::ThreadPool> {
    if asked > MAX_THREADS {
        return Err(Error::setting("threads", asked, format!("must be at most {MAX_THREADS}; 0 is one per core")));
    }
    let threads = threads(asked);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Error::setting("threads", threads, format!("cannot be started: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_without_end_are_refused() {
        for asked in [MAX_THREADS + 1, 60_000, usize::MAX] {
            assert!(pool(asked).unwrap_err().to_string().contains("must be at most 1024"), "{asked}");
        }
    }
}
