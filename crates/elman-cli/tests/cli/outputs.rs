//! Readers that stall or go away: the run is saved and ends all the same, with the code of what ended it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::place::Place;

/// Runs until it is stopped.
const ENDLESS: &str = "--hidden 8 --batch 4 --seq-len 16 --seed 1 --threads 1 --max-steps 100000000 --log-every 1 \
                       --val-every 50 --sample-length 20 --checkpoint-every 1000000";

/// What hangs is found, however slow the machine.
const LIMIT: Duration = Duration::from_secs(120);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "{what}");
        sleep(Duration::from_millis(20));
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    until("the process did not end", || child.try_wait().unwrap().is_some());
    child.wait().unwrap()
}

fn begun(place: &Place) {
    until("the run did not begin", || place.path("run/best.safetensors").exists());
}

fn signal(place: &Place, name: &str) {
    let process = String::from_utf8(place.read("run/lock")).unwrap();
    Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap();
}

/// The run goes on from a checkpoint after its last record.
fn is_saved(place: &Place) {
    let records = String::from_utf8(place.read("run/metrics.jsonl")).unwrap().lines().count();
    let config = String::from_utf8(place.read("run/config.toml")).unwrap();
    place.write("run/config.toml", config.replace("max_steps = 100000000", &format!("max_steps = {}", records / 2)));
    // It has more updates than that.
    let run = place.run("train --resume run");
    assert!(run.code == 2 && run.stderr.contains("updates") && run.stderr.contains("already"), "{run:?}");
}

#[test]
fn a_closed_pipe_stops_the_run_saved_with_its_own_code() {
    for json in [true, false] {
        let place = Place::new();
        let mut command =
            place.command(&format!("train book.txt --out run {ENDLESS} {}", if json { "--json" } else { "" }));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let lines: Vec<String> = match json {
            true => BufReader::new(stdout).lines().take(3).map(Result::unwrap).collect(),
            false => BufReader::new(stderr).lines().take(4).map(Result::unwrap).collect(),
        };
        assert!(lines.len() >= 3);
        let status = ended(&mut child);
        assert_eq!(status.code(), Some(141), "{status}");
        is_saved(&place);
    }
}

#[test]
fn a_stalled_reader_keeps_no_signal_from_saving() {
    let place = Place::new();
    let mut command = place.command(&format!("train book.txt --out run {ENDLESS} --json"));
    // A pipe that nobody reads.
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // More than it holds was written.
    let metrics = place.path("run/metrics.jsonl");
    until("the run stalls", || std::fs::metadata(&metrics).is_ok_and(|file| file.len() > 100_000));
    signal(&place, "TERM");
    assert_eq!(ended(&mut child).code(), Some(143));
    is_saved(&place);
}

/// The command in a terminal of its own, whose output nobody reads; its exit code is written to `code`. None where there
/// is no `script`.
#[cfg(target_os = "linux")]
fn in_a_terminal(place: &Place, words: &str) -> Option<Child> {
    let binary = env!("CARGO_BIN_EXE_elman");
    // Once `flood` exists, more is written than any terminal holds.
    let flood = "(while [ ! -e flood ]; do sleep 0.05; done; exec head -c 1000000 /dev/zero) &";
    let line = format!("stty rows 24 cols 80; trap : HUP; {flood} '{binary}' {words}; echo $? > c; mv c code");
    let mut command = Command::new("script");
    command.args(["-qefc", &line, "/dev/null"]).current_dir(place.folder());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ELMAN_") {
            command.env_remove(name);
        }
    }
    command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    if child.is_err() {
        println!("skipped: there is no `script` to make a terminal with");
    }
    child.ok()
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_that_stalls_holds_up_neither_training_nor_its_end() {
    for (display, is_stopped) in [("", true), ("--tui", true), ("", false), ("--tui", false)] {
        let place = Place::new();
        let steps = if is_stopped { "" } else { "--max-time 6s" };
        let Some(mut script) = in_a_terminal(&place, &format!("train book.txt --out run {ENDLESS} {display} {steps}"))
        else {
            return;
        };
        begun(&place);
        place.write("flood", "");
        sleep(Duration::from_secs(1));
        if is_stopped {
            let metrics = || std::fs::metadata(place.path("run/metrics.jsonl")).map_or(0, |file| file.len());
            let before = metrics();
            until("training stands still", || metrics() > before + 10_000);
            signal(&place, "TERM");
        }
        until("the process did not end", || place.path("code").exists());
        let code = String::from_utf8(place.read("code")).unwrap();
        assert_eq!(code.trim(), if is_stopped { "143" } else { "0" }, "{display}");
        script.kill().unwrap();
        script.wait().unwrap();
        if is_stopped {
            is_saved(&place);
        } else {
            assert!(place.path("run/report.html").exists());
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_that_goes_away_is_a_hangup() {
    for display in ["", "--tui"] {
        let place = Place::new();
        let Some(mut script) = in_a_terminal(&place, &format!("train book.txt --out run {ENDLESS} {display}")) else {
            return;
        };
        begun(&place);
        script.kill().unwrap();
        script.wait().unwrap();
        signal(&place, "HUP");
        until("the process did not end", || place.path("code").exists());
        assert_eq!(String::from_utf8(place.read("code")).unwrap().trim(), "129", "{display}");
        is_saved(&place);
    }
}

#[test]
fn equal_held_out_targets_have_no_r2_and_the_run_can_be_read_back() {
    let place = Place::new();
    let rows: String = (0..12).map(|i| format!("{i},{}\n", 5000 + 1000 * i)).collect();
    place.write("reg.csv", format!("x,y\n{rows}"));
    let words = "--label-column y --max-steps 20 --dense 4 --seed 1 --threads 1";
    let run = place.ok(&format!("train reg.csv --task regress --out run {words}"));
    assert!(run.stderr.contains("val_r2 is undefined"), "{run:?}");
    let metrics = String::from_utf8(place.read("run/metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"undefined\":[\"val_r2\"]") && !metrics.contains("null"), "{metrics}");
    place.ok("train --resume run");
    place.ok("report run --out report.html");
}
