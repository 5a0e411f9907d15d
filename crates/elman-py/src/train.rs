//! A run, on a thread of its own: Python hears of its events and may stop it, Ctrl-C among others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use elman::settings::Settings;
use elman::task::{Start, keep_from, plan_with, save_changes};
use elman::train::{Ending, Event, RunFolder};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use serde_json::json;

use crate::errors::raised;
use crate::options::settings;

/// Time between two looks at the signals.
const LOOK: Duration = Duration::from_millis(50);
/// Time between two reports of progress.
const PROGRESS: Duration = Duration::from_millis(100);
/// A run that was interrupted while its data were read.
const NOT_BEGUN: &str = "not begun";

/// Settings by name.
type Texts = Vec<(String, String)>;

/// An event as JSON, its kind under `event`; the run waits for the answer where there is somebody to give it.
struct Said {
    text: String,
    heard: Option<SyncSender<()>>,
}

/// What a run is told and tells.
struct Line {
    stop: Arc<AtomicBool>,
    events: SyncSender<Said>,
    last: Instant,
}

impl Line {
    /// Tells and waits until it was heard.
    fn tell(&self, event: serde_json::Value) {
        let (heard, answer) = sync_channel(1);
        if self.events.send(Said { text: event.to_string(), heard: Some(heard) }).is_ok() {
            // An error is the end of the listener.
            let _ = answer.recv();
        }
    }

    /// Tells what may be missed, now and then.
    fn report(&mut self, event: impl FnOnce() -> serde_json::Value) {
        if self.last.elapsed() >= PROGRESS {
            self.last = Instant::now();
            let _ = self.events.try_send(Said { text: event().to_string(), heard: None });
        }
    }

    fn see(&mut self, event: Event) {
        match event {
            Event::Record(record) => self.tell(json!({"event": "record", "record": record})),
            Event::Sample { step, text } => self.tell(json!({"event": "sample", "step": step, "text": text})),
            Event::Saved { step } => self.tell(json!({"event": "saved", "step": step})),
            Event::RolledBack { at, loss_nats, to, lr_scale } => self.tell(json!({
                "event": "rolled_back", "at": at, "loss": loss_nats, "to": to, "lr_scale": lr_scale
            })),
            Event::Step { progress, loss_nats, targets } => self
                .report(|| json!({"event": "progress", "progress": progress, "loss": loss_nats, "targets": targets})),
        }
    }
}

/// The whole run.
fn run(settings: Settings, folder: &Path, resume: bool, line: &mut Line) -> elman::Result<&'static str> {
    let stop = line.stop.clone();
    // In a pool of its own: rayon's would be missing in a forked process.
    let plan = elman::train::pool(settings.threads)?.install(|| {
        plan_with(settings, &mut |done, all| {
            line.report(|| json!({"event": "preparing", "done": done, "all": all}));
            !stop.load(Ordering::Relaxed)
        })
    });
    let plan = match plan {
        Err(elman::Error::Stopped(_)) => return Ok(NOT_BEGUN),
        plan => plan?,
    };
    let run_folder = match resume {
        true => RunFolder::open(folder)?,
        false => RunFolder::create(folder, &plan.settings().to_toml()?)?,
    };
    if !resume {
        keep_from(&run_folder, plan.settings())?;
    }
    let mut session = plan.session(Start { resume, ..Start::new(run_folder) })?;
    if resume {
        save_changes(folder, plan.settings())?;
    }
    let summary = plan.summary();
    line.tell(json!({
        "event": "plan", "network": summary.network, "parameters": summary.parameters, "data": summary.data,
        "notes": summary.notes, "unit": summary.unit, "records": session.records(),
    }));
    let ending = session.run(&stop, &mut |event| line.see(event))?;
    Ok(match ending {
        Ending::Complete => "complete",
        Ending::NoProgress => "no progress",
        Ending::Stopped => "stopped",
    })
}

/// Trains in a folder, to the end or until `on_event` returns false, raises, or Ctrl-C comes; then the state is saved. Returns
/// how it ended: `complete`, `no progress`, `stopped`, `interrupted`.
#[pyfunction]
#[pyo3(signature = (task, preset, given, folder, resume, on_event))]
pub(crate) fn train(
    py: Python<'_>,
    task: &str,
    preset: Option<&str>,
    given: Texts,
    folder: PathBuf,
    resume: bool,
    on_event: &Bound<'_, PyAny>,
) -> PyResult<&'static str> {
    let settings = match resume {
        true => {
            let mut settings = Settings::of_folder(&folder).map_err(raised)?;
            let changes: Vec<(&str, &str)> = given.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
            settings.change(&changes).map_err(raised)?;
            settings
        }
        false => settings(task, preset, &given).map_err(raised)?,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (events, mut heard) = sync_channel(16);
    let mut line = Line { stop: stop.clone(), events, last: Instant::now() };
    let worker = std::thread::Builder::new().name("elman training".into());
    let worker = worker.spawn(move || run(settings, &folder, resume, &mut line));
    let worker = worker.map_err(|error| PyRuntimeError::new_err(format!("a thread cannot be started: {error}")))?;
    let mut interrupted = false;
    let mut failed = None;
    let mut looked = Instant::now();
    loop {
        let said;
        (said, heard) = py.detach(move || next(heard));
        match said {
            Ok(Said { text, heard }) => {
                if failed.is_none() {
                    match on_event.call1((text,)) {
                        Ok(answer) if answer.is(py.get_type::<pyo3::types::PyBool>().call1((false,))?) => {
                            stop.store(true, Ordering::Relaxed);
                        }
                        Ok(_) => {}
                        Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => interrupted = true,
                        Err(error) => failed = Some(error),
                    }
                }
                if interrupted || failed.is_some() {
                    stop.store(true, Ordering::Relaxed);
                }
                if let Some(heard) = heard {
                    let _ = heard.send(());
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            if let Err(error) = py.check_signals() {
                if interrupted || !error.is_instance_of::<PyKeyboardInterrupt>(py) {
                    // The second time: it ends without us.
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                interrupted = true;
                stop.store(true, Ordering::Relaxed);
            }
        }
    }
    let ending = py.detach(|| worker.join());
    let ending = ending.map_err(|_| PyRuntimeError::new_err("training panicked; this is a bug of Elman"))?;
    match failed {
        Some(error) => Err(error),
        None if matches!(ending, Ok(NOT_BEGUN)) => {
            Err(PyKeyboardInterrupt::new_err("interrupted before training began; there is nothing to save"))
        }
        None if interrupted => ending.map(|_| "interrupted").map_err(raised),
        None => ending.map_err(raised),
    }
}

/// The next event, or none for a while.
fn next(heard: Receiver<Said>) -> (Result<Said, RecvTimeoutError>, Receiver<Said>) {
    let said = heard.recv_timeout(LOOK);
    (said, heard)
}
