//! `elman tune`

use elman::train::in_words;
use elman::tune::{Finished, Outcome, Study, Verdict};
use serde_json::json;

use super::report;
use super::train::listen;
use crate::args::Tune;
use crate::exit_code::{self, Failure, stdout};
use crate::progress::shown;

/// Trials that the report and the last lines show.
const BEST: usize = 10;

pub(crate) fn run(args: &Tune) -> exit_code::Outcome {
    let study = Study::join(&args.space, &args.study)?;
    let stop =
        listen().map_err(|e| Failure::Other(format!("cannot listen to signals: {}", elman::error::in_words(&e))))?;
    exit_code::closed_pipe_is_a_failure();
    let mut printed = Ok(());
    let finished = study.work(args.index, &stop.flag, &mut |outcome, [done, all]| {
        let line = if args.json {
            json!({"event": "outcome", "outcome": outcome, "done": done, "all": all}).to_string()
        } else {
            format!("{done:>4} of {all}  {}", line(outcome))
        };
        if printed.is_ok() {
            printed = print(&line);
        }
    })?;
    printed?;
    if finished == Finished::Stopped {
        eprintln!("stopped; the same command goes on from there");
        return Ok(stop.code());
    }
    let standings = study.standings()?;
    let best = standings.first().filter(|best| matches!(best.outcome.verdict, Verdict::Reached { .. }));
    let Some(best) = best else {
        return Err(Failure::Other(match standings.first().map(|standing| &standing.outcome.verdict) {
            Some(Verdict::Failed(reason)) => format!("no trial reached its end; the first one: {reason}"),
            _ => "no trial reached its end".into(),
        }));
    };
    if args.json {
        print(&json!({"event": "complete", "best": best.outcome, "folder": best.folder}).to_string())?;
    } else {
        print("")?;
        print(&format!("the best {} of {}:", standings.len().min(BEST), study.space().trials(0)))?;
        for standing in standings.iter().take(BEST) {
            print(&format!("  {}", line(&standing.outcome)))?;
        }
    }
    let folders: Vec<_> = standings.iter().take(BEST).map(|standing| standing.folder.clone()).collect();
    let page = args.study.join(report::NAME);
    report::write(&folders, &page)?;
    if !args.json {
        print("")?;
        print(&format!("the model: {}; the runs side by side: {}", best.folder.display(), page.display()))?;
    }
    Ok(0)
}

fn print(line: &str) -> Result<(), Failure> {
    use std::io::Write;
    stdout(writeln!(std::io::stdout(), "{}", shown(line, usize::MAX)))
}

/// A result in a line: the trial, its updates, its measure, what it drew.
fn line(outcome: &Outcome) -> String {
    let drawn: Vec<String> = outcome.drawn.iter().map(|(name, text)| format!("{name} {text}")).collect();
    let reached = match &outcome.verdict {
        Verdict::Reached { measure, value, .. } => {
            let (name, value) = in_words(measure, *value);
            format!("{name} {value}")
        }
        Verdict::Failed(reason) => format!("failed: {reason}"),
    };
    format!("trial {:>3} at {:>6} updates: {reached}  ({})", outcome.trial, outcome.steps, drawn.join(", "))
}
