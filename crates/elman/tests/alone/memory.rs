//! Files made to take memory are refused without it.

use std::path::Path;

use crate::alone;
use crate::made_file::{file, refused, sealed};

/// A small file must not take much memory: twice its size and 64 MiB at most, whatever its header asks for.
#[test]
fn hostile_headers_of_ten_megabytes_take_little_memory() {
    fn peak_kib() -> u64 {
        let status = std::fs::read_to_string(Path::new("/proc/self/status")).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }
    let _alone = alone();
    let fill = |opening: &str, unit: &dyn Fn(usize) -> String, closing: &str| {
        let mut header = String::from(opening);
        for i in 0.. {
            let next = unit(i);
            if header.len() + next.len() + closing.len() > 10_000_000 {
                break;
            }
            header += &next;
        }
        file(&(header + closing), &[])
    };
    let cases = [
        fill(r#"{"w":{"dtype":"F32","shape":[1"#, &|_| ",1".into(), r#"],"data_offsets":[0,4]}}"#),
        fill(r#"{"w":{"x":[1"#, &|_| ",1".into(), "]}}"),
        fill(r#"{"__metadata__":{"":"""#, &|i| format!(r#","{i:x}":"""#), "}}"),
        fill("{", &|i| format!(r#""{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}},"#), r#""":0}"#),
        sealed(&format!("[{}0]", "0,".repeat(4_900_000)), "", &[]),
        sealed(&format!("[{}0]", "{},".repeat(3_300_000)), "", &[]),
    ];
    // Forgets the peak of making the cases (where the kernel allows it; otherwise the test sees less).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = peak_kib();
    for case in &cases {
        refused(case);
        let taken = peak_kib() - before;
        let allowed = 2 * case.len() as u64 / 1024 + 64 * 1024;
        assert!(taken <= allowed, "{taken} KiB for a file of {} KiB", case.len() >> 10);
    }
}
