//! A signal stops a run between two updates, saved; a second one ends it at once.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::place::{Place, text, times};

const RUN: &str = "--hidden 8 --batch 4 --seq-len 16 --seed 1 --max-steps 300 --checkpoint-every 20 --sample-length 20";
const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(child: &Child, signal: &str) {
    // The process may have ended: then nothing is sent, and the test sees that.
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).output();
    sent.unwrap();
}

fn wait(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

fn begun(place: &Place, run: &str) {
    for _ in 0..20_000 {
        if place.path(&format!("{run}/last.safetensors")).exists() {
            return;
        }
        sleep(Duration::from_millis(1));
    }
    panic!("{run} did not begin");
}

#[test]
fn a_signal_at_any_moment_leaves_a_run_that_goes_on_as_printed() {
    let place = Place::new();
    place.ok(&format!("train book.txt --out whole {RUN} --quiet"));
    let wanted = times("ELMAN_SIGNALS", 5);
    let (mut stopped, mut early, mut late) = (0, 0, 0);
    for n in 0..wanted {
        let run = format!("run{n}");
        let (name, signal) = SIGNALS[n % SIGNALS.len()];
        let begin = format!("train book.txt --out {run} {RUN}");
        let child = spawn(place.command(&begin));
        if n % 4 != 0 {
            begun(&place, &run);
        }
        sleep(Duration::from_millis((n * 37 % 150) as u64));
        send(&child, name);
        let output = wait(child);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let go_on = match output.status.code() {
            Some(0) => {
                late += 1;
                format!("train --resume {run}")
            }
            Some(code) => {
                assert_eq!(code, 128 + signal, "{said}");
                stopped += 1;
                let last = said.lines().last().unwrap();
                last.split_once("Go on with: elman ").unwrap_or_else(|| panic!("{said}")).1.to_string()
            }
            // Before there was anything to save, it ended as any process does.
            None => {
                assert_eq!(output.status.signal(), Some(signal));
                assert!(!place.path(&format!("{run}/config.toml")).exists());
                early += 1;
                begin
            }
        };
        place.ok(&go_on);
        for file in ["best.safetensors", "last.safetensors"] {
            let whole = place.read(&format!("whole/{file}"));
            assert!(whole == place.read(&format!("{run}/{file}")), "{file} of {run}");
        }
        std::fs::remove_dir_all(place.path(&run)).unwrap();
    }
    println!("{wanted} signals: {stopped} runs stopped and saved, {early} not begun, {late} finished already");
    assert!(stopped > 0);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let place = Place::new();
    // One update takes far longer than the test waits: the first signal alone would not end it soon.
    place.write("long.txt", text().repeat(150));
    let slow = "--hidden 1000 --layers 3 --batch 64 --seq-len 200 --max-steps 100000 --threads 1 --val-every 100000";
    let child = spawn(place.command(&format!("train long.txt --out run --seed 1 {slow}")));
    begun(&place, "run");
    let before = place.read("run/last.safetensors");
    send(&child, "INT");
    // Two signals sent at the same time may be one.
    sleep(Duration::from_millis(200));
    send(&child, "INT");
    let output = wait(child);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("Go on with"), "{output:?}");
    assert!(before == place.read("run/last.safetensors"));
}
