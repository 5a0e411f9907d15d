//! The events of a run say what its metrics say, each step once, whatever happened to the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::place::{Place, times};
use elman::format::tensorboard::{self, Entry};

const RUN: &str = "--hidden 8 --batch 4 --seq-len 16 --seed 1 --max-steps 300 --checkpoint-every 20 --sample-length 20 \
                   --log-every 5 --quiet";

fn events(folder: &Path) -> Vec<Entry> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_events = |path: &PathBuf| path.to_string_lossy().contains("tfevents");
    let files: Vec<PathBuf> = files.filter(is_events).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let bytes = std::fs::read(&files[0]).unwrap();
    let (entries, whole) = tensorboard::read(&bytes).unwrap();
    assert_eq!(whole, bytes.len());
    entries
}

/// Holds the events against `metrics.jsonl`; returns values and samples compared.
fn compare(place: &Place, run: &str) -> (usize, usize) {
    let metrics = String::from_utf8(place.read(&format!("{run}/metrics.jsonl"))).unwrap();
    let (mut scalars, mut steps, mut samples) = (BTreeMap::new(), Vec::new(), 0);
    for entry in events(&place.path(run)) {
        match entry {
            Entry::Scalar(step, tag, value) => {
                assert!(scalars.insert((step, tag.clone()), value).is_none(), "{run}: {tag} twice at step {step}");
            }
            Entry::Text(step, tag, text) => {
                let sample = place.read(&format!("{run}/samples/step-{step:08}.txt"));
                let lines = String::from_utf8(sample).unwrap();
                let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
                assert_eq!((tag.as_str(), text), ("sample", indented), "{run}");
                steps.push(step);
                samples += 1;
            }
            Entry::Version(_) | Entry::Start(_) => {}
        }
    }
    let compared = scalars.len();
    for line in metrics.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let step = record["step"].as_u64().unwrap();
        let mut expect = |tag: String, value: &serde_json::Value| {
            assert_eq!(
                scalars.remove(&(step, tag.clone())),
                value.as_f64().map(|v| v as f32),
                "{run}: {tag} at {step}"
            );
        };
        for key in ["train_nats", "lr", "grad_norm", "epoch"] {
            expect(format!("train/{}", key.trim_start_matches("train_")), &record[key]);
        }
        let val = record["val"].as_object();
        val.into_iter().flatten().for_each(|(name, value)| expect(format!("val/{name}"), value));
        expect("speed/targets_per_s".into(), &record["targets_per_s"]);
        assert_eq!(val.is_some(), steps.contains(&step), "{run}: sample at step {step}");
    }
    assert!(scalars.is_empty(), "{run}: {scalars:?}");
    (compared, samples)
}

/// Holds it against TensorBoard's own reader too, where there is one.
fn compare_in_python(place: &Place, run: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/tensorboard_read.py");
    let python = std::env::var("ELMAN_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import tensorboard"]).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        println!("skipped: {python} has no tensorboard (name one that has by ELMAN_PYTHON)");
        return;
    }
    let output = Command::new(&python).arg(script).arg(place.path(run)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    println!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
}

#[test]
fn a_run_killed_and_resumed_has_every_record_and_sample_once() {
    let place = Place::new();
    place.ok(&format!("train book.txt --out whole {RUN}"));
    let whole = compare(&place, "whole");
    assert!(whole.0 > 200 && whole.1 >= 10, "{whole:?}");
    compare_in_python(&place, "whole");
    for n in 0..times("ELMAN_KILLS", 5) {
        let run = format!("run{n}");
        let mut command = place.command(&format!("train book.txt --out {run} {RUN}"));
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        while !place.path(&format!("{run}/last.safetensors")).exists() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis((n * 23) as u64 % 200));
        // Too late is well too: it has ended by itself.
        let _ = child.kill();
        child.wait().unwrap();
        place.ok(&format!("train --resume {run} --quiet"));
        assert_eq!(compare(&place, &run), whole, "{run}");
    }
    compare_in_python(&place, "run0");
}

#[test]
fn a_torn_or_lost_file_is_made_anew_and_a_good_one_is_left_as_it_is() {
    let place = Place::new();
    place.ok(&format!("train book.txt --out run {RUN}"));
    let whole = compare(&place, "run");
    let name = || {
        let mut names = std::fs::read_dir(place.path("run")).unwrap().map(|entry| entry.unwrap().file_name());
        names.find(|name| name.to_string_lossy().contains("tfevents")).unwrap().into_string().unwrap()
    };
    let first = name();
    place.ok("train --resume run --quiet");
    assert_eq!(first, name());
    let torn = place.read(&format!("run/{first}"));
    place.write(&format!("run/{first}"), &torn[..torn.len() - 5]);
    place.ok("train --resume run --quiet");
    assert!(name() > first);
    assert_eq!(compare(&place, "run"), whole);
    std::fs::remove_file(place.path("run").join(name())).unwrap();
    place.ok("train --resume run --quiet");
    assert_eq!(compare(&place, "run"), whole);
}
