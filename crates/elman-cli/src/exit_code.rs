//! What the process says when it ends.
//!
//! 0 ok, 1 failure, 2 usage, 3 bad data, 4 bad model or checkpoint, 5 diverged, 6 disk, 7 processes that cannot train together, 129, 130 and 143 after SIGHUP,
//! SIGINT and SIGTERM, 141 of `train` when the reader of its output went away.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use clap::CommandFactory;
use elman::Error;
use elman::error::in_words;

use crate::args::Args;
use crate::progress::shown;

/// A wrong option or value.
pub(crate) const USAGE: u8 = 2;
/// The disk, or what stands in its place, takes no more.
pub(crate) const DISK: u8 = 6;
/// Processes that cannot train together.
pub(crate) const RANKS: u8 = 7;
/// The reader of a run's output went away: 128 and SIGPIPE, as of other programs that it ends.
pub(crate) const CLOSED: u8 = 141;

/// What a closed pipe ends the process with: 0, unless more was asked for than to print.
static WHEN_CLOSED: AtomicU8 = AtomicU8::new(0);

/// From here on a closed pipe is [`CLOSED`], no quiet end.
pub(crate) fn closed_pipe_is_a_failure() {
    WHEN_CLOSED.store(CLOSED, Ordering::Relaxed);
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library's reason.
    Elman(Error),
    /// A model file that cannot be opened.
    Model(Error),
    /// A network made elsewhere that cannot be read, run or written.
    Graph(elman_graph::Error),
    /// Standard output or input.
    Stream(&'static str, io::Error),
    /// Anything else, in words.
    Other(String),
}

/// What a command ends with: the exit code, or the reason of a failure.
pub(crate) type Outcome = Result<u8, Failure>;

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Graph(error) if writes(error) => DISK,
            Failure::Model(_) | Failure::Graph(_) | Failure::Elman(Error::Model { .. }) => 4,
            Failure::Elman(error) => match error {
                Error::Setting { .. } | Error::Unread { .. } | Error::UnknownSetting { .. } | Error::Usage(_) => USAGE,
                Error::Data { .. } | Error::Io { action: "read", .. } => 3,
                Error::Diverged { .. } => 5,
                Error::Ranks(_) => RANKS,
                Error::Io { .. } => DISK,
                _ => 1,
            },
            Failure::Stream("write to", _) => DISK,
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
        let is_config = |path: &Path| path.extension().is_some_and(|e| e == "toml");
        match self {
            Failure::Elman(error @ (Error::Setting { key, .. } | Error::Unread { key, .. })) => {
                // The message begins with the key.
                let text = error.to_string();
                // A switch has no value on the command line.
                let rest = said(&text[key.len()..]).replacen(" true: only ", ": only ", 1);
                write!(f, "{}{rest}", as_flag(key, &flags()).unwrap_or_else(|| key.clone()))
            }
            // These speak of the keys of a file.
            Failure::Elman(error @ (Error::UnknownSetting { .. } | Error::Model { .. })) => error.fmt(f),
            Failure::Elman(error @ Error::Data { path, .. }) if is_config(path) => error.fmt(f),
            Failure::Elman(error) => f.write_str(&said(&error.to_string())),
            Failure::Model(error) => error.fmt(f),
            // Names of foreign files may hold line breaks.
            Failure::Graph(error) => f.write_str(&error.to_string().replace(['\n', '\r'], " ")),
            Failure::Stream(what, error) => write!(f, "cannot {what} the terminal, file or pipe: {}", in_words(error)),
            Failure::Other(words) => f.write_str(words),
        }
    }
}

/// Whether a file could not be written.
fn writes(error: &elman_graph::Error) -> bool {
    match error {
        elman_graph::Error::File { source, .. } => writes(source),
        elman_graph::Error::Io { action, .. } => *action == "write",
        _ => false,
    }
}

/// The flags of all commands, without their dashes.
fn flags() -> BTreeSet<String> {
    let command = Args::command();
    let of = |command: &clap::Command| -> Vec<String> {
        command.get_arguments().filter_map(|arg| arg.get_long()).map(String::from).collect()
    };
    command.get_subcommands().chain([&command]).flat_map(of).collect()
}

/// The flag of a setting or an option.
fn as_flag(name: &str, flags: &BTreeSet<String>) -> Option<String> {
    Some(name.replace('_', "-")).filter(|flag| flags.contains(flag)).map(|flag| format!("--{flag}"))
}

/// The library's words with settings in backticks as flags: `` `val_frac` `` as `--val-frac`, `` `level = word` `` as
/// `--level word`.
pub(crate) fn said(text: &str) -> String {
    let (flags, mut said, mut rest) = (flags(), String::new(), text);
    while let Some((before, after)) = rest.split_once('`') {
        let flag = after.split_once('`').and_then(|(quoted, rest)| {
            let (name, value) = quoted.split_once(" = ").unwrap_or((quoted, ""));
            let equals = if matches!(value, "true" | "false") { "=" } else { " " };
            Some((format!("{}{equals}{value}", as_flag(name, &flags)?), rest))
        });
        let (shown, after) = flag.unwrap_or(("`".into(), after));
        said = said + before + shown.trim_end();
        rest = after;
    }
    said + rest
}

impl From<elman_graph::Error> for Failure {
    fn from(error: elman_graph::Error) -> Self {
        Failure::Graph(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Elman(error)
    }
}

/// Writes the reason of a failure to standard error, behind the name of who failed, if there are several.
pub(crate) fn tell(failure: &Failure, who: &str) {
    let lines = failure.to_string();
    let lines: Vec<String> = lines.split('\n').map(|line| shown(line, usize::MAX)).collect();
    // A terminal that went away changes no exit code.
    let _ = writeln!(io::stderr(), "elman: {who}{}", lines.join("\n"));
}

/// A failed write to standard output; a reader that went away is no failure.
pub(crate) fn stdout(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            std::process::exit(WHEN_CLOSED.load(Ordering::Relaxed).into())
        }
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
                std::process::exit(WHEN_CLOSED.load(Ordering::Relaxed).into());
            }
            let reason = reason.split_once(" (os error").map_or(reason, |(words, _)| words);
            let _ = writeln!(io::stderr(), "elman: cannot write to {reason}");
            std::process::exit(DISK.into());
        }
        default(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_in_backticks_are_said_as_flags_and_other_words_are_left() {
        assert_eq!(
            said("a higher `val_frac`, `a = b` or `level = word`"),
            "a higher --val-frac, `a = b` or --level word"
        );
        assert_eq!(said("`elman train` and `gzip -t` and `q"), "`elman train` and `gzip -t` and `q");
        assert_eq!(said("\"a`b\" and `lr`"), "\"a`b\" and --lr");
        let refused = |error: Error| Failure::from(error).to_string();
        assert_eq!(refused(Error::setting("val_frac", 0, "see `val`")), "--val-frac 0: see --val");
        let unread = |key: &str| {
            let (key, value, task) = (key.into(), "9".into(), "a".into());
            refused(Error::Unread { key, value, readers: vec!["b", "c"], task })
        };
        assert_eq!(unread("lookahead"), "--lookahead 9: only b and c read it; the task is a");
        let switch = Error::Unread { key: "raw".into(), value: "true".into(), readers: vec!["b"], task: "a".into() };
        assert_eq!(refused(switch), "--raw: only b reads it; the task is a");
        assert_eq!(unread("ELMAN_LOOKAHEAD"), "ELMAN_LOOKAHEAD 9: only b and c read it; the task is a");
        assert_eq!(unread("file"), "file 9: only b and c read it; the task is a");
        let data = |path: &str| refused(Error::Data { path: path.into(), reason: "`clip_norm`".into() });
        assert_eq!((data("a.toml"), data("a.txt")), ("a.toml: `clip_norm`".into(), "a.txt: --clip-norm".into()));
    }
}
