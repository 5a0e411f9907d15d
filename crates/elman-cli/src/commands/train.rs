//! `elman train`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use elman::Error;
use elman::task::Settings;
use elman::task::language_model::{self, METRIC};
use elman::task::{NAMES, Plan};
use elman::train::{Ending, Precision, RunFolder, advice, run_folder};
use elman_kernels::Isa;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::{Outcome, report};
use crate::args::Train;
use crate::exit_code::Failure;
use crate::progress::{Encoding, Show, Watcher};

pub(crate) fn run(args: Train) -> Outcome {
    let show = show(&args).possible()?;
    let settings = settings(&args)?;
    // Before there is a run: from its first file on, a signal leaves it saved.
    let signals = Signals::listen().map_err(|e| Failure::Other(format!("cannot listen to signals: {e}")))?;
    if settings.folds > 0 && settings.fold == 0 {
        return folds(&args, settings, show, &signals);
    }
    Ok(train(&args, settings, args.out.clone(), show, &signals)?.0)
}

/// One run; returns the exit code and the best objective.
fn train(
    args: &Train,
    settings: Settings,
    out: Option<PathBuf>,
    show: Show,
    signals: &Signals,
) -> Result<(u8, Option<f64>), Failure> {
    let mut encoding = Encoding::new(show == Show::Nothing);
    let planned = elman::task::plan_watched(settings, &mut |done, all| {
        encoding.see(done, all);
        !signals.stop.load(Ordering::Relaxed)
    });
    let plan = match planned {
        Err(Error::Stopped(words)) => {
            eprintln!("{words}; the same command goes on from there");
            return Ok((signals.exit_code(), None));
        }
        planned => planned?,
    };
    let plan: &dyn Plan = &*plan;
    let (path, folder) = match &args.resume {
        Some(path) => (path.clone(), RunFolder::open(path)?),
        None => {
            let path = out.unwrap_or_else(|| new_folder(plan.settings()));
            let folder = RunFolder::create(&path, &plan.settings().to_toml())?;
            (path, folder)
        }
    };
    let mut facts = plan.facts();
    if plan.settings().precision == Precision::Bf16 && !Isa::best().multiplies_pairs() {
        facts.notes.push("this CPU has no instructions for --precision bf16 (AVX512-BF16): f32 is faster here".into());
    }
    let mut session = plan.session(Some(folder), args.resume.is_some())?;
    let (progress, records) = (session.progress(), session.records());
    let mut watcher = Watcher::new(show, plan.settings(), &facts, &path, progress, records, &signals.stop)?;
    let ending = session.run(&signals.stop, &mut |event| watcher.see(event))?;
    watcher.end(ending, session.progress(), session.records(), session.elapsed_s(), session.saving_s());
    let best = session.progress().best.map(|(best, _)| best);
    if ending != Ending::Stopped {
        let rollbacks = session.progress().rollbacks;
        if plan.settings().task == language_model::NAME {
            watcher.advise(&advice(session.records(), METRIC, facts.parameters, facts.targets, rollbacks));
        }
        report::write(std::slice::from_ref(&path), &path.join(report::NAME))?;
    }
    let code = match ending {
        Ending::Stopped => signals.exit_code(),
        Ending::Complete | Ending::NoProgress => 0,
    };
    Ok((code, best))
}

/// A run for each fold, in folders beside each other, and their mean.
fn folds(args: &Train, settings: Settings, show: Show, signals: &Signals) -> Outcome {
    let path = args.out.clone().unwrap_or_else(|| new_folder(&settings));
    let mut bests = Vec::new();
    for fold in 1..=settings.folds {
        let settings = Settings { fold, ..settings.clone() };
        let (code, best) = train(args, settings, Some(path.join(format!("fold-{fold}"))), show, signals)?;
        if code != 0 {
            return Ok(code);
        }
        bests.extend(best.map(f64::abs));
    }
    let n = bests.len() as f64;
    let mean = bests.iter().sum::<f64>() / n;
    let deviation = (bests.iter().map(|best| (best - mean) * (best - mean)).sum::<f64>() / (n - 1.0)).sqrt();
    match show {
        Show::Json => println!("{}", json!({"event": "folds", "best": bests, "mean": mean, "deviation": deviation})),
        Show::Nothing => {}
        Show::Lines | Show::Dashboard => {
            eprintln!("{} folds: the best of each is {mean:.4} on average, with deviation {deviation:.4}", bests.len());
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

/// Preset or config file, then the environment and the flags, then `-s`.
fn settings(args: &Train) -> Result<Settings, Failure> {
    if let Some(folder) = &args.resume {
        let config = run_folder::config(folder)?;
        let mut settings = Settings::from_toml(&config, &folder.join(run_folder::CONFIG))?;
        for (key, text) in &args.settings.0 {
            if *key != "threads" {
                let flag = key.replace('_', "-");
                let message = format!("--{flag} cannot be changed by --resume; only --threads can");
                return Err(Error::Usage(message).into());
            }
            settings.set(key, text)?;
        }
        return Ok(settings);
    }
    let config = args.file.as_deref().filter(|file| file.extension().is_some_and(|e| e == "toml"));
    let preset = args.preset.as_deref();
    let mut settings = match (config, preset) {
        (Some(path), None) => {
            let text = language_model::read_text(path)?;
            let text = elman::data::utf8(&text, path)?;
            Settings::from_toml(text, path)?
        }
        (Some(_), Some(_)) => {
            let message = "a config file and --preset were given; name one of them".to_string();
            return Err(Error::Usage(message).into());
        }
        (None, Some(name)) => Settings::preset(name)?,
        (None, None) => match task(args) {
            Some(task) if task != language_model::NAME && names_data(args) => Settings::for_task(task)?,
            Some(task) if task != language_model::NAME => Settings::for_made_data(task)?,
            _ => Settings::preset(if args.file.is_none() { "quick" } else { "default" })?,
        },
    };
    if let (Some(file), None) = (&args.file, config) {
        // Whole, so that the run can be resumed from any folder.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        settings.file = text_of(file)?;
    }
    for (key, text) in &args.settings.0 {
        settings.set(key, text)?;
    }
    for pair in &args.set {
        let Some((key, text)) = pair.split_once('=') else {
            return Err(Error::Usage(format!("-s {pair}: write KEY=VALUE, such as -s lr=0.002")).into());
        };
        settings.set(key.trim(), text.trim())?;
    }
    let s = &mut settings;
    let of_pictures = [&mut s.features, &mut s.captions, &mut s.images, &mut s.encoder];
    let of_pairs = [&mut s.source, &mut s.target, &mut s.val_source, &mut s.val_target];
    for file in [&mut s.val, &mut s.embeddings].into_iter().chain(of_pictures).chain(of_pairs) {
        if !file.is_empty() {
            let path = PathBuf::from(&*file);
            *file = text_of(std::path::absolute(&path).unwrap_or(path))?;
        }
    }
    Ok(settings)
}

/// Whether data were named, on the command line or in the environment; without, the program makes its own.
fn names_data(args: &Train) -> bool {
    let is_data = |key: &str| matches!(key, "source" | "target" | "features" | "captions");
    let set = args.set.iter().filter_map(|pair| pair.split_once('=')).map(|(key, _)| key.trim());
    args.file.is_some() || args.settings.0.iter().map(|(key, _)| &key[..]).chain(set).any(is_data)
}

/// The task that was asked for, on the command line or in the environment.
fn task(args: &Train) -> Option<&str> {
    let set = args.set.iter().rev().find_map(|pair| pair.split_once('=').filter(|(key, _)| key.trim() == "task"));
    let given = args.settings.0.iter().find(|(key, _)| *key == "task").map(|(_, text)| text.as_str());
    set.map(|(_, task)| task.trim()).or(given).filter(|task| NAMES.contains(task))
}

fn text_of(path: PathBuf) -> Result<String, Failure> {
    path.into_os_string().into_string().map_err(|path| {
        let message = format!("{}: a path that is not in UTF-8 cannot be written into config.toml", path.display());
        Error::Usage(message).into()
    })
}

/// The first free `runs/NAME-N`.
fn new_folder(settings: &Settings) -> PathBuf {
    let stem = Path::new(&settings.file).file_stem().and_then(|stem| stem.to_str());
    let stem = stem.unwrap_or(if settings.task == language_model::NAME { "builtin" } else { &settings.task });
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
struct Signals {
    stop: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        let (stop, which) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal finds `stop` false and only sets it, and who sees it set knows which it was.
            flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?;
            flag::register_usize(signal, which.clone(), signal as usize)?;
            flag::register(signal, stop.clone())?;
        }
        Ok(Signals { stop, which })
    }

    fn exit_code(&self) -> u8 {
        128 + u8::try_from(self.which.load(Ordering::Relaxed)).unwrap_or(0)
    }
}
