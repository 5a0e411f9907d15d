//! Every message a user of the library can meet: what was wrong, where, what to do.

use std::path::PathBuf;

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong; one variant per thing a caller treats differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option or a configuration value that cannot be: the caller's request is wrong.
    #[error("{0}")]
    Usage(String),
    /// Input data that cannot be used, with the place and the remedy in the text.
    #[error("{path}: {reason}", path = path.display())]
    Data {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong there and what to do.
        reason: String,
    },
    /// A model or checkpoint that is damaged, cut short, foreign or of another format.
    #[error("{path}: {reason}", path = path.display())]
    Model {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong there (the part or tensor) and what to do.
        reason: String,
    },
    /// Training left the finite numbers, or the loss grew without end.
    #[error(
        "training diverged {times} times, the last time at step {step} with loss {loss_nats} nats, although the \
         learning rate was halved each time; try a lower --lr or a lower --clip-norm"
    )]
    Diverged {
        /// The optimizer step at which it was noticed.
        step: u64,
        /// The loss there, nats per target.
        loss_nats: f64,
        /// How often it was noticed.
        times: u32,
    },
    /// Somebody asked it to stop before a run had begun.
    #[error("{0}")]
    Stopped(String),
    /// Another process has the run folder.
    #[error("{0}")]
    Busy(String),
    /// The disk or the operating system refused.
    #[error("{path}: cannot {action}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted: "read", "write", "create".
        action: &'static str,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
}
