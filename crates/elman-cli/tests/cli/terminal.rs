//! What a terminal gets to see, through a pseudo-terminal that `script` (util-linux) makes.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::place::Place;

/// Runs until it is stopped.
const ENDLESS: &str = "--hidden 8 --batch 4 --seq-len 16 --seed 1 --max-steps 100000000 --val-every 50 --log-every 10 \
                       --sample-length 20";
const SHORT: &str = "--hidden 8 --batch 4 --seq-len 16 --seed 1 --max-steps 300 --log-every 10 --sample-length 20";
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// The command in a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// None where there is no `script`.
    fn run(place: &Place, words: &str, columns: u16, environment: &[(&str, &str)]) -> Option<Terminal> {
        let binary = env!("CARGO_BIN_EXE_elman");
        let line = format!("stty rows 24 cols {columns}; exec '{binary}' {words}");
        let mut command = Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).current_dir(place.folder());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ELMAN_") || name == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").envs(environment.iter().copied());
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = spawned else {
            println!("skipped: there is no `script` to make a terminal with");
            return None;
        };
        let (keys, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = stdout.read(&mut buffer) {
                if n == 0 || sender.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Some(Terminal { child, keys, output, seen: String::new() })
    }

    /// Waits until the terminal was sent this.
    fn expect(&mut self, text: &str) {
        let limit = Instant::now() + Duration::from_secs(120);
        while !self.seen.contains(text) {
            match self.output.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("`{text}` did not come: {:?}", self.seen),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Exit code and everything the terminal was sent.
    fn end(mut self) -> (i32, String) {
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(120)) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (self.child.wait().unwrap().code().unwrap_or(-1), self.seen)
    }
}

fn begun(place: &Place, run: &str) {
    for _ in 0..20_000 {
        if place.path(&format!("{run}/best.safetensors")).exists() {
            return;
        }
        sleep(Duration::from_millis(1));
    }
    panic!("{run} did not begin");
}

/// The dashboard was opened, and closed before the last words.
fn was_given_back(seen: &str) {
    let (enter, leave) = (seen.rfind(ENTER).unwrap(), seen.rfind(LEAVE).unwrap());
    assert!(enter < leave, "{seen:?}");
    let last = &seen[leave..];
    assert!(last.contains("\x1b[?25h"), "the cursor is still hidden: {last:?}");
    assert!(last.contains("Go on with:") && last.contains("elman train --resume run"), "{last:?}");
}

#[test]
fn the_dashboard_stops_as_a_signal_does_by_q_by_control_c_and_by_a_signal() {
    for (stop, code) in [("q", 130), ("\x03", 130), ("TERM", 143)] {
        let place = Place::new();
        let words = format!("train book.txt --out run {ENDLESS} --tui");
        let Some(mut terminal) = Terminal::run(&place, &words, 80, &[]) else { return };
        terminal.expect(ENTER);
        begun(&place, "run");
        // Spaces may be leaps of the cursor.
        terminal.expect("gradient");
        if stop == "TERM" {
            let process = String::from_utf8(place.read("run/lock")).unwrap();
            Command::new("sh").args(["-c", &format!("kill -TERM {process}")]).status().unwrap();
        } else {
            terminal.press(stop);
        }
        let (got, seen) = terminal.end();
        assert_eq!(got, code, "{stop:?}: {seen:?}");
        was_given_back(&seen);
        // It goes on from where it was saved.
        let config = String::from_utf8(place.read("run/config.toml")).unwrap();
        place.write("run/config.toml", config.replace("max_steps = 100000000", "max_steps = 1"));
        let run = place.run("train --resume run");
        assert!(run.code == 2 && run.stderr.contains("already"), "{run:?}");
    }
}

#[test]
fn an_error_leaves_the_dashboard_first() {
    let place = Place::new();
    let words = format!("train book.txt --out run {ENDLESS} --tui --lr 1e30 --optimizer sgd --clip-norm 0");
    let Some(terminal) = Terminal::run(&place, &words, 80, &[]) else { return };
    let (code, seen) = terminal.end();
    assert_eq!(code, 5, "{seen:?}");
    let (_, last) = seen.rsplit_once(LEAVE).unwrap();
    assert!(last.contains("elman: training diverged"), "{last:?}");
}

#[test]
fn the_dashboard_is_refused_where_there_is_no_terminal() {
    let place = Place::new();
    place.run("train book.txt --out run --tui").fails(2, &["--tui needs a terminal", "--json"]);
    assert!(!place.path("run").exists());
    place.run("train book.txt --out run --tui --json").fails(2, &["--tui", "--json"]);
}

/// What follows the last leap of the cursor up to the picture's first line, `\x1b[12A`.
fn after_last_redraw(seen: &str) -> &str {
    let redraws = seen.match_indices("\x1b[").filter_map(|(at, escape)| {
        let rest = seen[at + escape.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        rest.strip_prefix('A')
    });
    redraws.last().expect("the picture was drawn once only")
}

#[test]
fn the_display_is_redrawn_in_place_and_its_last_picture_stays() {
    let place = Place::new();
    // By time, that there are several pictures on a fast machine too.
    let words = format!("train book.txt --out run {ENDLESS} --max-time 3s");
    let Some(terminal) = Terminal::run(&place, &words, 80, &[]) else { return };
    let (code, seen) = terminal.end();
    assert_eq!(code, 0, "{seen:?}");
    assert!(seen.contains("\x1b[36m"), "no colour: {seen:?}");
    assert!(!seen.contains(ENTER), "{seen:?}");
    let last = after_last_redraw(&seen);
    for part in ["training ", "validation ", "sample at step "] {
        assert!(last.contains(part), "`{part}` is not in the last picture: {last:?}");
    }
    assert!(last.contains("% of it to save") && last.contains("elman sample run/best.safetensors"), "{last:?}");
}

#[test]
fn colours_can_be_switched_off_and_a_dumb_terminal_gets_lines() {
    let place = Place::new();
    for (n, (name, value)) in [("NO_COLOR", "1"), ("TERM", "dumb")].into_iter().enumerate() {
        for columns in [40, 80] {
            let words = format!("train book.txt --out run{n}-{columns} {SHORT}");
            let Some(terminal) = Terminal::run(&place, &words, columns, &[(name, value)]) else { return };
            let (code, seen) = terminal.end();
            assert_eq!(code, 0, "{seen:?}");
            // `m` ends what sets a colour; other letters move the cursor.
            let ends = |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m');
            assert!(!seen.split("\x1b[").skip(1).any(ends), "{name}: {seen:?}");
            assert_eq!(seen.contains('\x1b'), name == "NO_COLOR", "{name}: {seen:?}");
        }
    }
}

#[test]
fn a_terminal_that_goes_away_without_a_word_ends_the_dashboard_and_not_the_run() {
    let place = Place::new();
    // A session of its own has no terminal that could hang it up.
    let words = format!("train book.txt --tui --out run {ENDLESS}");
    let binary = env!("CARGO_BIN_EXE_elman");
    let line = format!("stty rows 24 cols 80; exec setsid -w '{binary}' {words}");
    let mut script = Command::new("script");
    script.args(["-qefc", &line, "/dev/null"]).current_dir(place.folder());
    script.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut terminal) = script.stderr(Stdio::null()).spawn() else {
        println!("skipped: there is no `script` to make a terminal with");
        return;
    };
    let mut stdout = terminal.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    // Until it draws.
    while !String::from_utf8_lossy(&seen).contains("\x1b[?1049h") {
        let n = stdout.read(&mut buffer).unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..n]);
    }
    let pid: u32 = String::from_utf8(place.read("run/lock")).unwrap().trim().parse().unwrap();
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    drop(stdout);
    let threads = || -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect()
    };
    let limit = Instant::now() + Duration::from_secs(60);
    while threads().iter().any(|name| name.trim() == "display") {
        assert!(Instant::now() < limit, "{:?}", threads());
        sleep(Duration::from_millis(20));
    }
    // It trains on, and ends as it is told to.
    assert!(threads().iter().any(|name| name.starts_with("elman")), "{:?}", threads());
    Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    while !threads().is_empty() {
        assert!(Instant::now() < limit, "{:?}", threads());
        sleep(Duration::from_millis(20));
    }
    place.ok("eval run book.txt");
}
