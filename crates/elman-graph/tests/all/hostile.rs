//! Broken and malicious files: each is refused in one sentence that names file and part, soon, in little memory, and nothing
//! is run, read or written elsewhere.
//!
//! Each file is read by a process of its own, whose peak memory is its to measure.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use elman_graph::read::{self, Options};

use crate::files::data;
use crate::hostile_files::{Hostile, all};

const FILE: &str = "ELMAN_HOSTILE_FILE";
const MAP: &str = "ELMAN_HOSTILE_MAP";

/// What the child does; without a file to read it is no test.
#[test]
fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let mut options = Options::default();
    if let Ok(map) = std::env::var(MAP) {
        options.answers.insert("map".into(), map);
    }
    let started = Instant::now();
    let read = read::open(Path::new(&path), &options);
    let took = started.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap()
        .trim()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    match read {
        Ok(_) => println!("\nREAD {peak} {} accepted", took.as_millis()),
        Err(error) => println!("\nREFUSED {peak} {} {}", took.as_millis(), error.to_string().replace('\n', "\\n")),
    }
}

/// Reads a file in a process of its own and says what is wrong with how it went.
fn judged(path: &Path, map: Option<&Path>) -> Result<String, String> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["hostile::child", "--exact", "--nocapture", "--test-threads=1"]).env(FILE, path);
    if let Some(map) = map {
        child.env(MAP, map);
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().find(|line| line.starts_with("REFUSED ") || line.starts_with("READ ")) else {
        return Err(format!("no answer: {} {}", output.status, String::from_utf8_lossy(&output.stderr)));
    };
    let mut words = line.splitn(4, ' ');
    let (verdict, peak, took, message) =
        (words.next().unwrap(), words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let (peak, took): (u64, u64) = (peak.parse().unwrap(), took.parse().unwrap());
    let size = if path.is_file() { std::fs::metadata(path).unwrap().len() / 1024 } else { 0 };
    if verdict != "REFUSED" {
        return Err("it was read".into());
    }
    if message.contains("\\n") || !message.starts_with(&path.display().to_string()) {
        return Err(format!("not one sentence that begins with the file: {message}"));
    }
    if peak > 2 * size + 64 * 1024 || Duration::from_millis(took) > Duration::from_secs(2) {
        return Err(format!("{peak} KiB and {took} ms for {size} KiB: {message}"));
    }
    Ok(format!("{peak} KiB, {took} ms: {message}"))
}

#[test]
fn hostile_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let hostile = all(folder.path());
    let before = listing(folder.path());
    for Hostile { name, path, map, word } in &hostile {
        match judged(path, map.as_deref()) {
            Ok(said) if said.contains(word) => println!("{name}: {said}"),
            Ok(said) => wrong.push(format!("{name}: {word:?} is not in {said}")),
            Err(reason) => wrong.push(format!("{name}: {reason}")),
        }
    }
    assert_eq!(listing(folder.path()), before);
    assert!(!Path::new("elman-was-here").exists());
    assert!(hostile.len() >= 30);
    println!("{} files", hostile.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), hostile.len(), wrong.join("\n"));
}

#[test]
fn shared_hostile_files_are_refused() {
    let Some(folder) = data("interop/hostile") else { return };
    let mut wrong = Vec::new();
    for file in [
        "chunk-bomb.h5", "nam-wavenet.nam", "pickle-os-system.pt", "storage-missing.pt", "units-huge.keras",
        "zip-bomb.pt",
    ] {
        match judged(&folder.join(file), None) {
            Ok(said) => println!("{file}: {said}"),
            Err(reason) => wrong.push(format!("{file}: {reason}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
