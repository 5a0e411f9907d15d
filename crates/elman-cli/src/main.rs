//! The `elman` command.

mod args;
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
        Err(error) => {
            // Help and version go to stdout with code 0, mistakes to stderr with code 2.
            let code = u8::try_from(error.exit_code()).unwrap_or(exit_code::USAGE);
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match commands::run(args) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("elman: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
