//! One file for each command.

mod attention;
mod bench;
mod check_data;
mod describe;
mod doctor;
mod eval;
mod inspect;
mod predict;
mod quantize;
mod report;
mod sample;
mod train;
mod writing;

use std::path::Path;

use elman::format::model::{self, Loaded};

use crate::args::{Args, Command};
use crate::exit_code::Failure;

/// What a command ends with: the exit code, or the reason of a failure.
pub(crate) type Outcome = Result<u8, Failure>;

/// Runs the command that was asked for.
pub(crate) fn run(args: Args) -> Outcome {
    match args.command {
        Command::Train(args) => train::run(*args),
        Command::Eval(args) => eval::run(args),
        Command::CheckData(args) => check_data::run(*args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Report(args) => report::run(args),
        Command::Init(args) => describe::init(&args),
        Command::Completions { shell } => describe::completions(shell),
        Command::Man { out } => describe::man(out.as_deref()),
        Command::Sample(args) => sample::run(args),
        Command::Predict(args) => predict::run(&args),
        Command::Inspect(args) => inspect::run(args),
        Command::Quantize(args) => quantize::run(args),
        Command::Bench(args) => bench::run(&args),
    }
}

/// A cell of comma-separated values, quoted where it has to be.
pub(crate) fn csv_cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

/// Reads and verifies a model file; whatever is wrong with it is the model's fault.
pub(crate) fn load(path: &Path) -> Result<Loaded, Failure> {
    model::load(path).map_err(Failure::Model)
}
