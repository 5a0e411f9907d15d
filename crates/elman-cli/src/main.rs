//! The `elman` command.

mod args;
mod chart;
mod commands;
mod exit_code;
mod progress;
mod settings_args;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // `| head` closes the pipe early: the next write ends the process quietly, as for any Unix tool.
    exit_code::quiet_on_closed_pipe();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refused(&error),
    };
    match commands::run(args) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("elman: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// Help and version go to standard output with code 0; a mistake is one line on standard error, with code 2.
fn refused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match exit_code::stdout(error.print()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("elman: {failure}");
                ExitCode::from(failure.code())
            }
        };
    }
    let text = error.render().to_string();
    let said: Vec<&str> = text.lines().take_while(|line| !line.starts_with("Usage:")).map(str::trim).collect();
    let said: Vec<&str> = said.into_iter().filter(|line| !line.is_empty()).collect();
    let line = said.join("; ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    if line.is_empty() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
    } else {
        eprintln!("elman: {line}; see elman --help");
    }
    ExitCode::from(exit_code::USAGE)
}
