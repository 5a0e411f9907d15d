//! Lines to standard output or standard error by a thread of its own: a reader that stalls or goes away holds up
//! neither the end of a run nor its saving.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use elman::error::in_words;

use crate::exit_code::{CLOSED, DISK};

/// Lines that may wait to be written.
const WAITING: usize = 4096;
/// How long a reader that takes nothing is waited for when the process ends.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks whether something has changed.
const PAUSE: Duration = Duration::from_millis(2);

/// What ends a run before its time: a signal, or an output that takes no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// The run is to end after its step.
    pub(crate) flag: Arc<AtomicBool>,
    /// The signal that asked for it first, plus 128; 0 if there was none.
    pub(crate) signal: Arc<AtomicUsize>,
    /// Why an output takes no more: the exit code, and words.
    output: Arc<OnceLock<(u8, String)>>,
}

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// The exit code of a run that was stopped.
    pub(crate) fn code(&self) -> u8 {
        match (u8::try_from(self.signal.load(Ordering::Relaxed)), self.output.get()) {
            (Ok(0) | Err(_), Some((code, _))) => *code,
            (Ok(code), _) => code,
            (Err(_), None) => 1,
        }
    }

    /// What to say of an output that takes no more; nothing of a pipe that was closed.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.output.get().filter(|(code, _)| *code != CLOSED).map(|(_, words)| words.as_str())
    }

    fn failed(&self, error: &io::Error) {
        let code = if error.kind() == io::ErrorKind::BrokenPipe { CLOSED } else { DISK };
        let _ = self.output.set((code, format!("cannot write to the terminal, file or pipe: {}", in_words(error))));
        self.flag.store(true, Ordering::Relaxed);
    }
}

/// Lines on their way to standard output or standard error.
#[derive(Debug)]
pub(crate) struct Output {
    lines: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    is_terminal: bool,
    stop: Stop,
}

impl Output {
    /// Standard output.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn stdout(stop: &Stop) -> io::Result<Output> {
        Self::new(io::stdout(), io::stdout().is_terminal(), stop)
    }

    /// Standard error.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn stderr(stop: &Stop) -> io::Result<Output> {
        Self::new(io::stderr(), io::stderr().is_terminal(), stop)
    }

    fn new(mut to: impl Write + Send + 'static, is_terminal: bool, stop: &Stop) -> io::Result<Output> {
        let (sender, lines) = sync_channel::<String>(WAITING);
        let failed = stop.clone();
        let write = move || {
            while let Ok(mut line) = lines.recv() {
                line.push('\n');
                if let Err(error) = to.write_all(line.as_bytes()).and_then(|()| to.flush()) {
                    // Without a terminal the run goes on: its hangup is a signal.
                    if !is_terminal {
                        failed.failed(&error);
                    }
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("output".into()).spawn(write)?;
        Ok(Output { lines: Some(sender), thread: Some(thread), is_terminal, stop: stop.clone() })
    }

    /// Writes a line. Waits for a slow reader while the run goes on; once it is to stop, what does not fit is left out.
    pub(crate) fn line(&self, line: String) {
        let mut line = line;
        while let Some(lines) = &self.lines {
            line = match lines.try_send(line) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                // A terminal shows what happens now or nothing.
                Err(TrySendError::Full(_)) if self.is_terminal || self.stop.is_set() => return,
                Err(TrySendError::Full(line)) => line,
            };
            sleep(PAUSE);
        }
    }

    /// Returns when all is written, or when the reader takes nothing and is a terminal or the run was to stop.
    pub(crate) fn close(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            let has_patience = |since: Instant| since.elapsed() < PATIENCE;
            let (began, mut stopped) = (Instant::now(), None);
            while !thread.is_finished() {
                if self.stop.is_set() {
                    stopped.get_or_insert(Instant::now());
                }
                if self.is_terminal && !has_patience(began) || stopped.is_some_and(|since| !has_patience(since)) {
                    return;
                }
                sleep(PAUSE);
            }
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.close();
    }
}

/// Waits for a thread that draws; false if its terminal takes nothing.
pub(super) fn ended(thread: JoinHandle<()>) -> bool {
    let began = Instant::now();
    while !thread.is_finished() {
        if began.elapsed() >= PATIENCE {
            return false;
        }
        sleep(PAUSE);
    }
    // If it panicked, it has said so.
    let _ = thread.join();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Takes nothing until it is let go.
    #[derive(Clone, Default)]
    struct Stalled(Arc<Mutex<()>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _wait = self.0.lock();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gone(io::ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_reader_holds_up_no_run_that_is_to_stop() {
        let (stop, to) = (Stop::default(), Stalled::default());
        let stalled = to.0.lock().unwrap();
        let mut output = Output::new(to.clone(), false, &stop).unwrap();
        stop.flag.store(true, Ordering::Relaxed);
        (0..3 * WAITING).for_each(|n| output.line(n.to_string()));
        output.close();
        drop(stalled);
    }

    #[test]
    fn a_stalled_terminal_holds_up_no_run_at_all() {
        let (stop, to) = (Stop::default(), Stalled::default());
        let stalled = to.0.lock().unwrap();
        let mut output = Output::new(to.clone(), true, &stop).unwrap();
        (0..3 * WAITING).for_each(|n| output.line(n.to_string()));
        output.close();
        drop(stalled);
        assert!(!stop.is_set());
    }

    #[test]
    fn every_line_reaches_a_slow_reader_in_order() {
        let (stop, to) = (Stop::default(), Stalled::default());
        let stalled = to.0.lock().unwrap();
        let mut output = Output::new(to.clone(), false, &stop).unwrap();
        let lines = std::thread::spawn(move || {
            (0..3 * WAITING).for_each(|n| output.line(n.to_string()));
            output.close();
        });
        sleep(Duration::from_millis(20));
        drop(stalled);
        lines.join().unwrap();
        let wanted: String = (0..3 * WAITING).map(|n| format!("{n}\n")).collect();
        assert!(*to.1.lock().unwrap() == wanted.as_bytes());
    }

    #[test]
    fn a_closed_pipe_and_a_full_disk_stop_the_run_with_their_codes_unless_a_signal_came_first() {
        for (kind, code) in [(io::ErrorKind::BrokenPipe, CLOSED), (io::ErrorKind::StorageFull, DISK)] {
            let stop = Stop::default();
            let mut output = Output::new(Gone(kind), false, &stop).unwrap();
            output.line("x".into());
            output.close();
            assert!(stop.is_set());
            assert_eq!((stop.code(), stop.reason().is_some()), (code, code == DISK));
            stop.signal.store(129, Ordering::Relaxed);
            assert_eq!(stop.code(), 129);
            let stop = Stop::default();
            let mut terminal = Output::new(Gone(kind), true, &stop).unwrap();
            (0..3).for_each(|_| terminal.line("x".into()));
            terminal.close();
            assert!(!stop.is_set());
        }
    }
}
