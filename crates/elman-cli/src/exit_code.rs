//! What the process says when it ends.
//!
//! 0 ok, 1 failure, 2 usage, 3 bad data, 4 bad model or checkpoint, 5 diverged, 6 disk, 130 and 143 after a signal.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use elman::Error;

/// A wrong option or value.
pub(crate) const USAGE: u8 = 2;
/// The disk, or what stands in its place, takes no more.
const DISK: u8 = 6;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library's reason.
    Elman(Error),
    /// A model file that cannot be opened.
    Model(Error),
    /// Standard output or input.
    Stream(&'static str, io::Error),
    /// Anything else, in words.
    Other(String),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Elman(Error::Usage(_)) => USAGE,
            Failure::Elman(Error::Data { .. } | Error::Io { action: "read", .. }) => 3,
            Failure::Model(_) | Failure::Elman(Error::Model { .. }) => 4,
            Failure::Elman(Error::Diverged { .. }) => 5,
            Failure::Elman(Error::Io { .. }) | Failure::Stream("write to", _) => DISK,
            _ => 1,
        }
    }

    /// A file in the working folder that could not be written.
    pub(crate) fn write(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Failure::Elman(Error::Io { path: path.into(), action: "write", source })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Elman(error) | Failure::Model(error) => error.fmt(f),
            Failure::Stream(what, error) => write!(f, "cannot {what} the terminal, file or pipe: {error}"),
            Failure::Other(words) => f.write_str(words),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Elman(error)
    }
}

/// A failed write to standard output; a reader that went away is no failure.
pub(crate) fn stdout(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::Stream("write to", error)),
        Ok(()) => Ok(()),
    }
}

/// Ends the process without a word when what it prints to was closed, and with the reason when it is full or failing:
/// `println!` would panic. Says nothing of panics that become errors.
pub(crate) fn quiet_on_closed_pipe() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if elman::data::encoder::is_catching() {
            return;
        }
        let text = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if let Some(reason) = text.strip_prefix("failed printing to ") {
            // Rust's words for EPIPE and, on Windows, for ERROR_NO_DATA and ERROR_BROKEN_PIPE.
            let is_closed =
                ["(os error 32)", "(os error 232)", "(os error 109)"].iter().any(|end| reason.ends_with(end));
            if is_closed {
                std::process::exit(0);
            }
            let _ = writeln!(io::stderr(), "elman: cannot write to {reason}");
            std::process::exit(DISK.into());
        }
        default(info);
    }));
}
