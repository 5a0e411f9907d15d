//! The `elman` command.

mod args;
mod chart;
mod commands;
mod exit_code;
mod page;
mod progress;
mod settings_args;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use args::Args;

fn main() -> ExitCode {
    // `| head` closes the pipe early: the next write ends the process quietly, as for any Unix tool.
    exit_code::quiet_on_closed_pipe();
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = settings_args::described(Args::command(), &words);
    let args = command.try_get_matches_from_mut(std::env::args_os());
    let args = args.and_then(|matches| Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    match args {
        Ok(args) => ended(commands::run(args)),
        Err(error) => refused(&error),
    }
}

/// The exit code; the reason of a failure goes to standard error.
fn ended(outcome: exit_code::Outcome) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            exit_code::tell(&failure, "");
            ExitCode::from(failure.code())
        }
    }
}

/// Help and version go to standard output with code 0; a mistake is one line on standard error, with code 2.
fn refused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return ended(exit_code::stdout(error.print()).map(|()| 0));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
    } else {
        eprintln!("elman: {}", in_a_line(error));
    }
    ExitCode::from(exit_code::USAGE)
}

/// What is wrong with the command line, and what to do.
fn in_a_line(error: &clap::Error) -> String {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        Some(ContextValue::StyledStr(text)) => Some(text.to_string()),
        Some(ContextValue::StyledStrs(texts)) => texts.first().map(ToString::to_string),
        _ => None,
    };
    // `--length <N>` as it is written.
    let flag = |text: String| text.split_whitespace().next().unwrap_or_default().to_string();
    let value = of(ContextKind::InvalidArg).zip(of(ContextKind::InvalidValue));
    let nearest = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand].into_iter().find_map(of);
    let text = match (error.kind(), value) {
        (ErrorKind::InvalidValue, Some((arg, value))) if value.is_empty() => format!("{arg}: give a value"),
        (ErrorKind::InvalidValue, Some((arg, value))) => {
            let valid = of(ContextKind::ValidValue).unwrap_or_default();
            return format!("{} {value}: must be one of {valid}", flag(arg));
        }
        (ErrorKind::ValueValidation, Some((arg, value))) => {
            let reason = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
            let want = if reason.contains("float") { "a number" } else { "a whole number from 0 upwards" };
            return format!("{} {value}: must be {want}", flag(arg));
        }
        (ErrorKind::MissingRequiredArgument, _) => {
            format!("missing: {}", of(ContextKind::InvalidArg).unwrap_or_default())
        }
        _ => {
            let text = error.render().to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string()
        }
    };
    match nearest {
        Some(nearest) => format!("{text}; did you mean '{nearest}'?"),
        None => format!("{text}; see elman --help"),
    }
}
