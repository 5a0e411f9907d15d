//! A run that is killed, stopped or cut off goes on to the same end.
#![cfg(unix)]

mod elman;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use elman::Place;

const RUN: &str = "--seed 1 --max-steps 300 --hidden 8 --batch 4 --seq-len 16 --log-every 10 --val-every 50 \
                   --sample-length 20 --dropout 0.1 --average 0.9";

/// What must be equal: the models' bytes, and the metrics without what depends on the clock.
fn end(place: &Place, name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut end = BTreeMap::new();
    for file in ["best.safetensors", "last.safetensors"] {
        end.insert(file.to_string(), place.read(&format!("{name}/{file}")));
    }
    let metrics = String::from_utf8(place.read(&format!("{name}/metrics.jsonl"))).unwrap();
    let timeless = metrics.lines().map(|line| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["targets_per_s", "elapsed_s", "unix_time"] {
            record.as_object_mut().unwrap().remove(key).unwrap();
        }
        record.to_string()
    });
    end.insert("metrics".into(), timeless.collect::<Vec<_>>().join("\n").into_bytes());
    let names = std::fs::read_dir(place.path(name)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|n| n.contains(".tmp-")).count(), 0, "a temporary file is left in {name}");
    end
}

fn assert_same(got: &BTreeMap<String, Vec<u8>>, want: &BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, bytes) in want {
        assert!(got[name] == *bytes, "{what}: {name} differs from that of an unbroken run");
    }
}

fn start(place: &Place, words: &str) -> Child {
    place.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Numbers that look random and are the same in every run of the test.
fn random(i: u64) -> u64 {
    (i + 1).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33
}

fn count(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// The time an unbroken run takes, and its end.
fn unbroken(place: &Place, every: &str) -> (Duration, BTreeMap<String, Vec<u8>>) {
    let began = Instant::now();
    place.ok(&format!("train book.txt --out whole {RUN} {every} --threads 1 --quiet"));
    (began.elapsed(), end(place, "whole"))
}

/// `ELMAN_KILLS=200` for the long form.
#[test]
fn killed_at_any_moment_a_run_goes_on_to_the_same_end() {
    // Half of the kills fall into a run that saves at every step, so that most of its time is saving.
    for (every, share) in [("--checkpoint-every 20", 0), ("--checkpoint-every 1", 1)] {
        let place = Place::new();
        let (time, want) = unbroken(&place, every);
        for i in 0..(count("ELMAN_KILLS", 25) + share) / 2 {
            let name = format!("killed{i}");
            let mut child = start(&place, &format!("train book.txt --out {name} {RUN} {every} --threads 1 --quiet"));
            std::thread::sleep(time.mul_f64((random(2 * i + share) % 1000) as f64 / 1000.0));
            let _ = child.kill();
            child.wait().unwrap();
            if place.path(&name).join("config.toml").exists() {
                place.ok(&format!("train --resume {name} --quiet --threads 2"));
            } else {
                place.ok(&format!("train book.txt --out {name} {RUN} {every} --threads 1 --quiet"));
            }
            assert_same(&end(&place, &name), &want, &format!("kill {i}, {every}"));
        }
    }
}

/// `ELMAN_SIGNALS=100` for the long form.
#[test]
fn a_signal_saves_says_how_to_go_on_and_ends_with_its_code() {
    let place = Place::new();
    let (time, want) = unbroken(&place, "--checkpoint-every 1000");
    let mut stopped = 0;
    for i in 0..count("ELMAN_SIGNALS", 18) {
        let (flag, code) = [("-INT", 130), ("-TERM", 143), ("-HUP", 129)][i as usize % 3];
        let name = format!("stopped{i}");
        let words = format!("train book.txt --out {name} {RUN} --checkpoint-every 1000 --threads 1");
        let child = start(&place, &words);
        std::thread::sleep(time.mul_f64(0.05 + 0.9 * (random(i) % 1000) as f64 / 1000.0));
        signal(&child, flag);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            // It had ended before.
            Some(0) => {}
            Some(got) => {
                assert_eq!(got, code, "{said}");
                let command = said.lines().find_map(|line| line.split("elman train").nth(1)).unwrap();
                place.ok(&format!("train {command} --quiet"));
                stopped += 1;
            }
            // Before the handler was set up: as if it had not been started.
            None => continue,
        }
        assert_same(&end(&place, &name), &want, &format!("signal {flag} {i}"));
    }
    assert!(stopped > 0, "no signal came in time");
}

#[test]
fn threads_and_cut_points_change_nothing() {
    let place = Place::new();
    let (_, want) = unbroken(&place, "--checkpoint-every 7");
    for (i, cut) in [1u64, 50, 99, 150, 299].into_iter().enumerate() {
        let (name, threads) = (format!("cut{i}"), [1, 2, 4][i % 3]);
        let mut child =
            start(&place, &format!("train book.txt --out {name} {RUN} --checkpoint-every 7 --json --threads 1"));
        // Until the metrics have come so far.
        let lines = (cut / 10) as usize;
        let deadline = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            let text = std::fs::read_to_string(place.path(&name).join("metrics.jsonl")).unwrap_or_default();
            if text.lines().count() >= lines {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = child.kill();
        child.wait().unwrap();
        if place.path(&name).join("config.toml").exists() {
            place.ok(&format!("train --resume {name} --quiet --threads {threads}"));
            assert_same(&end(&place, &name), &want, &format!("cut at {cut}"));
        }
    }
    for threads in [2, 4] {
        place.ok(&format!("train book.txt --out t{threads} {RUN} --checkpoint-every 7 --threads {threads} --quiet"));
        assert_same(&end(&place, &format!("t{threads}")), &want, &format!("{threads} threads"));
    }
}

#[test]
fn a_second_process_on_a_run_is_turned_away_and_told_who_has_it() {
    let place = Place::new();
    let words = format!("train book.txt --out run {RUN} --max-steps 1000000 --max-time 60s --quiet");
    let mut child = start(&place, &words);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !place.path("run/last.safetensors").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..20 {
        place.run("train --resume run").fails(1, &[&format!("process {}", child.id()), "run"]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_finished_run_stays_as_it_is_and_other_data_are_noticed() {
    let place = Place::new();
    let (_, want) = unbroken(&place, "--checkpoint-every 20");
    place.ok("train --resume whole");
    assert_same(&end(&place, "whole"), &want, "resuming what is done");
    place.run("train --resume whole --lr 0.1").fails(2, &["--lr", "--resume"]);
    place.run("train --resume absent").fails(3, &["absent", "holds no run"]);
    place.write("book.txt", elman::text().replace("fox", "ox"));
    place.run("train --resume whole").fails(3, &["was made on other data"]);
    assert_same(&end(&place, "whole"), &want, "a refused resume");
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_one_before_it_named() {
    let place = Place::new();
    place.ok(&format!("train book.txt --out run {RUN} --checkpoint-every 100 --threads 1 --quiet"));
    let last = place.read("run/last.safetensors");
    for at in (0..last.len()).step_by(last.len() / 20) {
        let mut damaged = last.clone();
        damaged[at] ^= 255;
        place.write("run/last.safetensors", &damaged);
        place.run("train --resume run").fails(4, &["last.safetensors", "previous.safetensors is whole"]);
    }
    for length in [0, 9, last.len() / 2, last.len() - 1] {
        place.write("run/last.safetensors", &last[..length]);
        place.run("train --resume run").fails(4, &["last.safetensors"]);
    }
    // Every byte, in two ways, by the library itself.
    for at in 0..last.len().min(6000) {
        for flip in [1, 255] {
            let mut damaged = last.clone();
            damaged[at] ^= flip;
            assert!(::elman::step::model::Document::parse(&damaged).is_err(), "byte {at}");
        }
    }
}

#[test]
fn divergence_is_noticed_undone_three_times_and_then_told_with_advice() {
    let place = Place::new();
    let words = format!("train book.txt --out run {RUN} --optimizer sgd --lr 1e9 --clip-norm 0 --warmup 0 --json");
    let run = place.run(&words);
    assert_eq!(run.code, 5, "{run:?}");
    assert_eq!(run.stdout.matches("rolled-back").count(), 3, "{run:?}");
    assert!(run.stderr.contains("--lr") && run.stderr.lines().count() == 1, "{run:?}");
    // What is on the disk is finite, and can be gone on from.
    place.ok("inspect run/last.safetensors");
    place.ok("sample run/last.safetensors --length 5");
}
