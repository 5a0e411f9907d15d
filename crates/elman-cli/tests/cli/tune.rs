//! A search by several processes, killed or not, ends as one undisturbed does.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::place::{Place, times};

const SPACE: &str = "\
[search]
trials = 9
steps = 90
seed = 3

[settings]
task = \"language-model\"
file = \"book.txt\"
batch = 4
seq_len = 16
layers = 1

[space]
hidden = { low = 4, high = 16, log = true }
lr = { low = 1e-3, high = 1e-1, log = true }
cell = [\"gru\", \"rnn-tanh\"]
";

fn place() -> Place {
    let place = Place::new();
    place.write("space.toml", SPACE);
    place
}

/// The results of a study without what depends on the clock, in the order of trials and rounds.
fn results(place: &Place, study: &str) -> Vec<(u64, u64, String)> {
    let text = String::from_utf8(place.read(&format!("{study}/journal.jsonl"))).unwrap();
    let outcomes = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut all: Vec<(u64, u64, String)> = outcomes
        .map(|outcome| {
            let number = |key: &str| outcome[key].as_u64().unwrap();
            (number("trial"), number("rung"), format!("{} {}", outcome["verdict"], outcome["drawn"]))
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

fn best(place: &Place, study: &str) -> String {
    let run = place.ok(&format!("tune space.toml --study {study} --json"));
    let last: serde_json::Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    format!("{} {} {}", last["event"], last["best"]["trial"], last["best"]["verdict"])
}

#[test]
fn killed_and_shared_a_study_ends_as_one_undisturbed() {
    let place = place();
    let run = place.ok("tune space.toml --study whole");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("   1 of 13  trial   0 at     10 updates: "), "{run:?}");
    assert!(!run.stdout.contains('␊') && run.stdout.contains("\n\nthe model: "), "{run:?}");
    assert!(run.stdout.contains("the best 9 of 9:") && run.stdout.contains("whole/report.html"), "{run:?}");
    let wanted = results(&place, "whole");
    assert_eq!(wanted.len(), 9 + 3 + 1);
    let start = |index: usize| -> Child {
        let mut command = place.command(&format!("tune space.toml --study shared --index {index}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for round in 0..times("ELMAN_KILLS", 4) {
        let children: Vec<Child> = (0..8).map(start).collect();
        sleep(Duration::from_millis(60 + (round * 97 % 200) as u64));
        for mut child in children {
            // Too late is well too.
            let _ = child.kill();
            child.wait().unwrap();
        }
    }
    for mut child in [start(0), start(5)] {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(results(&place, "shared"), wanted);
    assert_eq!(best(&place, "shared"), best(&place, "whole"));
    // Who went to the end has the bits of a run that was never interrupted.
    let winner = wanted.iter().find(|(_, rung, _)| *rung == 2).unwrap().0;
    let folder = format!("shared/trials/{winner:04}");
    place.ok(&format!("train {folder}/config.toml --out alone"));
    assert!(place.read(&format!("{folder}/best.safetensors")) == place.read("alone/best.safetensors"));
}

#[test]
fn a_trial_that_fails_is_a_result_and_another_space_is_refused() {
    let place = place();
    let wild = SPACE
        .replace("lr = {", "clip_norm = [0.0]\nlr = {")
        .replace("low = 1e-3, high = 1e-1", "low = 1e20, high = 1e30");
    place.write("wild.toml", wild.replace("trials = 9", "trials = 2"));
    let run = place.run("tune wild.toml --study wild");
    assert!(run.code == 1 && run.stdout.contains("failed: training diverged"), "{run:?}");
    place.run("tune space.toml --study wild").fails(2, &["another space", "choose another folder"]);
    place.write("space.toml", SPACE.replace("hidden", "hiden"));
    place.run("tune space.toml --study new").fails(3, &["space.toml", "did you mean", "hidden"]);
    place.write("space.toml", SPACE.replace("book.txt", "none.txt"));
    place.run("tune space.toml --study newer").fails(3, &["none.txt"]);
}
