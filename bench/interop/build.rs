//! Copies the network of nnnoiseless, which its crate keeps to itself, from where cargo unpacked it.

use std::path::{Path, PathBuf};

fn main() {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"))).unwrap();
    let sources = std::fs::read_dir(home.join("registry/src")).unwrap();
    let found = sources.map(|source| source.unwrap().path().join("nnnoiseless-0.5.2/src")).find(|path| path.exists());
    let from = found.expect("nnnoiseless 0.5.2 is unpacked");
    let to = PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    for name in ["rnn.rs", "util.rs"] {
        let text = std::fs::read_to_string(from.join(name)).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("//!")).collect();
        std::fs::write(to.join(name), lines.join("\n")).unwrap();
    }
    std::fs::copy(from.join("weights.rnn"), to.join("weights.rnn")).unwrap();
    println!("cargo::rerun-if-changed=build.rs");
}
