//! `elman train`

use std::path::{Path, PathBuf};

use elman::Error;
use elman::error::in_words;
use elman::settings::Settings;
use elman::task::{Plan, Start, keep_from, language_model, save_changes};
use elman::train::{Ending, Precision, Ranks, Reduce, RunFolder};
use elman_kernels::Isa;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::{job::Job, report};
use crate::args::Train;
use crate::exit_code::{self, Failure, Outcome};
use crate::progress::{Encoding, Output, Show, Stop, Watcher};

pub(crate) fn run(args: Train) -> Outcome {
    let show = show(&args).possible()?;
    exit_code::closed_pipe_is_a_failure();
    let job = Job::find()?;
    job.ended(run_in(&args, show, &job))
}

fn run_in(args: &Train, show: Show, job: &Job) -> Outcome {
    // Before there is a run: from its first file on, a signal leaves it saved.
    let stop = listen().map_err(|e| Failure::Other(format!("cannot listen to signals: {}", in_words(&e))))?;
    if !job.ranks.is_lead() {
        return follow(job, &stop);
    }
    let training = &args.training;
    let settings = match &args.resume {
        Some(folder) => training.settings.resumed(folder)?,
        None => training.settings.settings(&training.files, training.preset.as_deref())?,
    };
    let code = if settings.folds > 0 && settings.fold == 0 {
        folds(args, settings, show, &stop, job)?
    } else {
        train(args, settings, args.out.clone(), show, &stop, job)?.0
    };
    // No more runs.
    job.ranks.from_lead(Vec::new());
    Ok(code)
}

/// Trains what the lead trains, and leaves folder and display to it.
fn follow(job: &Job, stop: &Stop) -> Outcome {
    let mut code = 0;
    loop {
        let text = job.ranks.from_lead(Vec::new());
        if text.is_empty() {
            return Ok(code);
        }
        let mut settings = Settings::from_toml(&String::from_utf8_lossy(&text), Path::new("the settings of rank 0"))?;
        settings.threads = job.threads(settings.threads);
        let planned = elman::task::plan_with(settings, &mut |_, _| !stop.is_set());
        if let Err(Error::Stopped(_)) = planned {
            return Ok(job.leave(stop.code()));
        }
        let plan = planned?;
        let mut session = plan.session(Start::default().among(job.ranks.clone()))?;
        let ending = session.run(&stop.flag, &mut |_| {})?;
        code = if ending == Ending::Stopped { stop.code() } else { 0 };
    }
}

/// One run; returns the exit code and the measures of the last validation.
fn train(
    args: &Train,
    settings: Settings,
    out: Option<PathBuf>,
    show: Show,
    stop: &Stop,
    job: &Job,
) -> Result<(u8, Vec<(String, f64)>), Failure> {
    let mut encoding = Encoding::new(show == Show::Nothing);
    let threads = settings.threads;
    let settings = Settings { threads: job.threads(threads), ..settings };
    let planned = elman::task::plan_with(settings, &mut |done, all| encoding.see(done, all) && !stop.is_set());
    let plan = match planned {
        Err(Error::Stopped(words)) => {
            eprintln!("{words}; the same command goes on from there");
            return Ok((job.leave(stop.code()), Vec::new()));
        }
        planned => planned?,
    };
    let plan: &dyn Plan = &*plan;
    // What is left to each machine is written down as such.
    let written = Settings { threads, ..plan.settings().clone() };
    let (path, folder) = match &args.resume {
        Some(path) => (path.clone(), RunFolder::open(path)?),
        None => {
            let path = out.unwrap_or_else(|| new_folder(plan.settings()));
            let folder = RunFolder::create(&path, &written.to_toml()?)?;
            keep_from(&folder, plan.settings())?;
            (path, folder)
        }
    };
    job.ranks.from_lead(written.to_toml()?.into_bytes());
    let mut summary = plan.summary().clone();
    summary.notes.extend(shared_out(plan.settings(), &job.ranks));
    if plan.settings().precision == Precision::Bf16 && !Isa::best().multiplies_pairs() {
        summary
            .notes
            .push("this CPU has no instructions for --precision bf16 (AVX512-BF16): f32 is faster here".into());
    }
    let start = Start { resume: args.resume.is_some(), ..Start::new(folder) };
    let mut session = plan.session(start.among(job.ranks.clone()))?;
    if args.resume.is_some() {
        save_changes(&path, plan.settings())?;
        summary.notes = session.notes().to_vec();
        summary.notes.extend(shared_out(plan.settings(), &job.ranks));
    }
    let mut watcher = Watcher::new(show, plan.settings(), &summary, &path, &*session, stop)?;
    let ending = session.run(&stop.flag, &mut |event| watcher.see(event))?;
    watcher.end(ending, &*session);
    let measures = session.records().iter().rev().map(|record| record.val.clone()).find(|val| !val.is_empty());
    if ending != Ending::Stopped {
        let (records, rollbacks) = (session.records(), session.progress().rollbacks);
        let sizes = [summary.parameters, summary.targets];
        let advice = report::advice_on(plan.settings(), records, sizes, rollbacks, &path);
        if !advice.is_empty() {
            watcher.advise(&advice);
        }
        report::write(std::slice::from_ref(&path), &path.join(report::NAME))?;
    }
    let code = match ending {
        Ending::Stopped => stop.code(),
        Ending::Complete | Ending::NoProgress => 0,
    };
    Ok((code, measures.unwrap_or_default()))
}

/// What each rank takes, in a sentence; where there is one, what that does to settings for several.
fn shared_out(settings: &Settings, ranks: &Ranks) -> Option<String> {
    let Settings { batch, threads, reduce, .. } = settings;
    if ranks.is_alone() {
        return (*reduce != Reduce::F32)
            .then(|| "--reduce bf16 is for several processes, and there is one: gradients do not travel".into());
    }
    let size = ranks.size();
    let each = batch.div_ceil(size);
    Some(format!("{size} ranks: of every batch of {batch} each computes about {each}, on {threads} threads"))
}

/// A run for each fold, in folders beside each other, and the mean of each measure at the end of the runs: the best of a fold
/// would be chosen by the examples that it is measured on.
fn folds(args: &Train, settings: Settings, show: Show, stop: &Stop, job: &Job) -> Outcome {
    let path = args.out.clone().unwrap_or_else(|| new_folder(&settings));
    let mut all: Vec<Vec<(String, f64)>> = Vec::new();
    for fold in 1..=settings.folds {
        let settings = Settings { fold, ..settings.clone() };
        let (code, measures) = train(args, settings, Some(path.join(format!("fold-{fold}"))), show, stop, job)?;
        if code != 0 {
            return Ok(code);
        }
        all.push(measures);
    }
    let names = all.first().into_iter().flatten().map(|(name, _)| name.as_str());
    let mut rows = Vec::new();
    for name in names {
        let values: Vec<f64> =
            all.iter().flatten().filter(|(other, _)| other == name).map(|(_, value)| *value).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread = (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (n - 1.0)).sqrt();
        rows.push((name.strip_prefix("val_").unwrap_or(name), mean, spread, values));
    }
    let failed = |error| Failure::Stream("write to", error);
    match show {
        Show::Json => {
            let of = |(name, mean, spread, values): &(&str, f64, f64, Vec<f64>)| {
                ((*name).to_string(), json!({"mean": mean, "standard_deviation": spread, "folds": values}))
            };
            let measures: serde_json::Map<String, serde_json::Value> = rows.iter().map(of).collect();
            let line = json!({"event": "folds", "folds": settings.folds, "measures": measures});
            Output::stdout(stop).map_err(failed)?.line(line.to_string());
        }
        Show::Nothing => {}
        Show::Lines | Show::Dashboard => {
            let out = Output::stderr(stop).map_err(failed)?;
            out.line(format!("{} folds, at the end of each: mean and standard deviation", settings.folds));
            for (name, mean, spread, _) in rows {
                out.line(format!("  {name:<24} {mean:.4}  {spread:.4}"));
            }
        }
    }
    Ok(0)
}

fn show(args: &Train) -> Show {
    if args.json {
        Show::Json
    } else if args.tui {
        Show::Dashboard
    } else if args.quiet {
        Show::Nothing
    } else {
        Show::Lines
    }
}

/// The first free `runs/NAME-N`.
fn new_folder(settings: &Settings) -> PathBuf {
    let first = settings.file.lines().next().unwrap_or_default();
    let stem = Path::new(first).file_stem().and_then(|stem| stem.to_str());
    let stem = stem.unwrap_or(if settings.task == language_model::TASK.name { "builtin" } else { &settings.task });
    let mut n = 1;
    loop {
        let path = PathBuf::from(format!("runs/{stem}-{n}"));
        if !path.exists() {
            return path;
        }
        n += 1;
    }
}

/// The first signal asks training to stop after the step; the second ends the process.
pub(super) fn listen() -> std::io::Result<Stop> {
    let stop = Stop::default();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the first signal finds the flag false and only sets it, and who sees it set knows which it was.
        flag::register_conditional_shutdown(signal, 128 + signal, stop.flag.clone())?;
        flag::register_usize(signal, stop.signal.clone(), 128 + signal as usize)?;
        flag::register(signal, stop.flag.clone())?;
    }
    Ok(stop)
}
