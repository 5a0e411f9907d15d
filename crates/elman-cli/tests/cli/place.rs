//! The built binary, run as a user runs it: in an empty folder, with no settings from the environment.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// An empty folder to work in, and a small text.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        place.write("book.txt", text());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The command with these words as arguments, not yet run.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elman"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ELMAN_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.folder.path()).args(words.split_whitespace());
        command
    }

    pub(crate) fn run(&self, words: &str) -> Run {
        Run::of(words, self.command(words).output().unwrap())
    }

    /// Runs and expects success.
    pub(crate) fn ok(&self, words: &str) -> Run {
        let run = self.run(words);
        assert_eq!(run.code, 0, "{run:?}");
        run
    }

    /// Trains a small model into `name`.
    pub(crate) fn train(&self, name: &str, more: &str) -> Run {
        self.ok(&format!("train book.txt --out {name} {TINY} {more}"))
    }
}

/// Settings of a run that takes a fraction of a second.
pub(crate) const TINY: &str =
    "--hidden 8 --batch 4 --seq-len 16 --max-steps 30 --log-every 10 --seed 1 --threads 1 --sample-length 20";

/// What a command did.
#[derive(Debug)]
pub(crate) struct Run {
    /// Said by the assertions that print the whole.
    #[allow(dead_code)]
    words: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(words: &str, output: Output) -> Run {
        Run {
            words: words.into(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Expects a failure with this code and one line that says all of these.
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "not one line: {self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in {self:?}");
        }
    }
}

/// Runs the command with something on its standard input.
pub(crate) fn with_input(place: &Place, words: &str, input: &[u8]) -> Run {
    let mut command = place.command(words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // Who refuses its input early closes the pipe.
        let _ = stdin.write_all(&input);
    });
    let run = Run::of(words, child.wait_with_output().unwrap());
    writer.join().unwrap();
    run
}

/// A text with something to learn in it.
pub(crate) fn text() -> String {
    (0..150).map(|i| format!("The {} fox jumps over {} lazy dogs.\n", ["quick", "slow"][i % 2], i)).collect()
}

/// How often a test does to a run what may come at any moment: a few times, or as often as the environment says, for a soak.
pub(crate) fn times(name: &str, few: usize) -> usize {
    std::env::var(name).map_or(few, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no count")))
}
