//! One file for each command.

mod answers;
mod attention;
mod bench;
mod check_data;
mod describe;
mod doctor;
mod eval;
mod eval_data;
mod export;
mod graphs;
mod import;
mod inspect;
mod job;
mod live;
mod models;
mod neurons;
mod page;
mod predict;
mod quantize;
mod quantize_graph;
mod report;
mod run_graph;
mod sample;
mod train;
mod tune;

use crate::args::{Args, Command};
use crate::exit_code::Outcome;

/// Runs the command that was asked for.
pub(crate) fn run(args: Args) -> Outcome {
    if let Some(text) = &args.max_input {
        elman::file::set_max_input(elman::file::bytes_of(text)?);
    }
    match args.command {
        Command::Train(args) => train::run(*args),
        Command::Eval(args) => eval::run(&args),
        Command::CheckData(args) => check_data::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Report(args) => report::run(args),
        Command::Page(args) => page::run(&args),
        Command::Show(args) => page::show(&args),
        Command::Init(args) => describe::init(&args),
        Command::Completions { shell } => describe::completions(shell),
        Command::Man { out } => describe::man(out.as_deref()),
        Command::Sample(args) => sample::run(args),
        Command::Predict(args) => predict::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Run(args) => run_graph::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Quantize(args) => quantize::run(args),
        Command::Bench(args) => bench::run(&args),
    }
}
