//! A full disk, and an output that takes nothing.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::Command;

use crate::place::{Place, Run, TINY};

/// A small file system of its own, unmounted at the end.
struct Small(PathBuf);

impl Small {
    fn mount(place: &Place, size: &str) -> Option<Small> {
        let path = place.path("small");
        std::fs::create_dir(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) { Some(Small(path)) } else { None }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_told_with_the_bytes_needed_and_the_old_checkpoint_stays() {
    let place = Place::new();
    let Some(small) = Small::mount(&place, "1m") else {
        println!("skipped: mounting a tmpfs takes root");
        return;
    };
    place.train("small/run", "--max-steps 10");
    let last = place.read("small/run/last.safetensors");
    let config = String::from_utf8(place.read("small/run/config.toml")).unwrap();
    place.write("small/run/config.toml", config.replace("max_steps = 10", "max_steps = 20"));
    // Room for less than a checkpoint is left.
    let mut filler = OpenOptions::new().create(true).append(true).open(small.0.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    let run = place.run("train --resume small/run --quiet");
    assert_eq!(run.code, 6, "{run:?}");
    run.fails(6, &["small/run/", "needs", "bytes"]);
    // The checkpoint that was, or a newer one that is whole.
    assert!(last.len().abs_diff(place.read("small/run/last.safetensors").len()) < 1000);
    place.ok("inspect small/run/last.safetensors");
    let names = std::fs::read_dir(place.path("small/run")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().contains(".tmp-")));
    // A file that is still open keeps its room.
    drop(filler);
    std::fs::remove_file(small.0.join("filler")).unwrap();
    place.ok("train --resume small/run --quiet");
}

#[test]
fn a_full_standard_output_ends_the_command_with_its_own_code() {
    let place = Place::new();
    place.train("run", "");
    let words = [
        format!("train book.txt --out other {TINY} --json"),
        "sample run/best.safetensors --length 100000".into(),
        "eval run/best.safetensors book.txt".into(),
        "--help".into(),
    ];
    for words in words {
        let full = OpenOptions::new().write(true).open("/dev/full").map(File::into);
        let full: std::process::Stdio = full.unwrap();
        let run = Run::of(&words, place.command(&words).stdout(full).output().unwrap());
        assert_eq!(run.code, 6, "{run:?}");
        assert!(run.stderr.contains("cannot write to"), "{run:?}");
        assert!(!run.stderr.contains("panicked"), "{run:?}");
    }
}
