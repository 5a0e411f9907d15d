//! Imports point down: within the library by rows, between crates by their order.

use std::fs;
use std::path::{Path, PathBuf};

/// The rows of `elman`, from the top. A module may import those of lower rows and itself; two on a row stay apart.
const ROWS: [&[&str]; 8] = [
    &["task"],
    &["train", "inspect", "rnn"],
    &["shape"],
    &["layer", "decode"],
    &["cell", "optim", "data", "metric", "format"],
    &["param"],
    &["error", "rng"],
    &["step"],
];
/// The crates, from the top.
const CRATES: [&str; 4] = ["elman-cli", "elman", "elman-step", "elman-kernels"];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(sources(&entry));
        } else if entry.extension().is_some_and(|e| e == "rs") {
            files.push(entry);
        }
    }
    files
}

/// A file without its comments and without its tests, which stand at its end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

#[test]
fn imports_of_the_library_point_down() {
    let src = crates().join("elman/src");
    let mut seen = 0;
    for file in sources(&src) {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().to_string();
        let own = path.split(['/', '\\', '.']).next().unwrap();
        if own == "lib" {
            continue;
        }
        let own_row = row(own).unwrap_or_else(|| panic!("{path}: its module stands in no row"));
        for import in code(&file).split("crate::").skip(1) {
            let name: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name == own || name == "Error" || name == "Result" {
                continue;
            }
            let row = row(&name).unwrap_or_else(|| panic!("{path}: `crate::{name}` stands in no row"));
            assert!(row > own_row, "{path} imports `{name}`, which does not stand below `{own}`");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} imports were looked at");
}

#[test]
fn crates_depend_on_those_below_only() {
    for (i, name) in CRATES.iter().enumerate() {
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
        for above in &CRATES[..i] {
            let depends = manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(above));
            assert!(!depends, "{name} depends on {above}");
        }
    }
}

#[test]
fn only_the_kernels_are_unsafe_and_only_front_ends_print_exit_or_read_the_environment() {
    for name in CRATES {
        for file in sources(&crates().join(name).join("src")) {
            let code = code(&file);
            let has = |word: &str| code.contains(word);
            assert!(name == "elman-kernels" || !has("unsafe "), "{} has unsafe code", file.display());
            let front_end = ["println!", "eprintln!", "print!(", "dbg!", "process::exit", "env::var"];
            for word in front_end.iter().filter(|_| name != "elman-cli") {
                assert!(!has(word), "{}: {word} belongs into a front end", file.display());
            }
        }
    }
}
