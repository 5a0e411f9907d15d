//! Gathers the text that `elman train` learns from where it is given none: the project's own sources and documents, as
//! the blog did with Linux. In a packaged crate only its own sources are there, and they do.

use std::fs;
use std::path::{Path, PathBuf};

/// What is gathered, from the root of the workspace; paths that are absent are left out.
const PLACES: [&str; 8] = [
    "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs", "crates/elman-kernels/src", "crates/elman-step/src",
    "crates/elman/src", "crates/elman/tests",
];
/// Bytes at most: enough to learn from in a minute.
const CAP: usize = 600_000;

fn main() {
    let own = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = own.join("../..");
    let is_workspace = workspace.join("crates/elman/build.rs").exists();
    let places: Vec<PathBuf> =
        if is_workspace { PLACES.iter().map(|place| workspace.join(place)).collect() } else { vec![own.join("src")] };
    let mut text = String::new();
    for place in places {
        if place.exists() {
            println!("cargo:rerun-if-changed={}", place.display());
            gather(&place, &mut text);
        }
    }
    text.truncate(CAP);
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("project_text.txt"), text).expect("the build folder can be written");
}

/// Appends the files below `place` in the order of their names. Letters beyond ASCII are left out, so that the
/// vocabulary stays small.
fn gather(place: &Path, text: &mut String) {
    if place.is_dir() {
        let entries = fs::read_dir(place).expect("a folder of the sources can be read");
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.iter().for_each(|path| gather(path, text));
    } else if place.extension().is_some_and(|e| e == "rs" || e == "md") {
        let file = fs::read_to_string(place).expect("a source file can be read");
        let is_kept = |c: &char| *c == '\n' || (' '..='~').contains(c);
        text.extend(file.chars().filter(is_kept));
        text.push('\n');
    }
}
