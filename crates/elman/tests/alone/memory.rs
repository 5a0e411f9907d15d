//! Files made to take memory are refused without it.

use std::path::Path;

use elman::data::table::Table;

use crate::alone;
use crate::made_file::{file, refused, sealed};

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Forgets the peak of making the cases (where the kernel allows it; otherwise the test sees less).
fn forget_peak() -> u64 {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    peak_kib()
}

/// A small file must not take much memory: twice its size and 64 MiB at most, whatever its header asks for.
#[test]
fn hostile_headers_of_ten_megabytes_take_little_memory() {
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
    let before = forget_peak();
    for case in &cases {
        refused(case);
        let taken = peak_kib() - before;
        let allowed = 2 * case.len() as u64 / 1024 + 64 * 1024;
        assert!(taken <= allowed, "{taken} KiB for a file of {} KiB", case.len() >> 10);
    }
}

/// A table takes at most three times its file, that among it, whatever its cells.
#[test]
fn a_table_of_one_digit_cells_takes_no_more_than_three_times_its_file() {
    let _alone = alone();
    const BYTES: usize = 12_000_000;
    let row = |cells: usize, cell: &str, end: &str| (vec![cell; cells].join(",") + end).into_bytes();
    let of = |row: &[u8]| row.repeat(BYTES / row.len());
    let series = [b"@problemName x\n@classLabel true a b\n@data\n".to_vec(), of(b"1,2,3,4,5,6,7,8:a\n")].concat();
    let column = format!("{{\"a\": [{}1], \"b\": [{}2]}}", "1,".repeat(BYTES / 4), "2,".repeat(BYTES / 4)).into_bytes();
    let cases = [
        ("wide.csv", of(&row(1000, "1", "\n"))),
        ("narrow.csv", of(b"1,2\n")),
        ("narrow.tsv", of(b"1\t2\r\n")),
        ("one.csv", of(b"7\n")),
        ("words.csv", of(&row(20, "word", "\n"))),
        ("texts.tsv", of(format!("{}\t1\n", "long ".repeat(100)).as_bytes())),
        ("lines.jsonl", of(b"{\"a\":1,\"b\":2}\n")),
        ("columns.json", column),
        ("series.ts", series),
    ];
    for (name, bytes) in cases {
        let before = forget_peak();
        let table = Table::parse(&bytes, Path::new(name), None).expect(name);
        let taken = peak_kib() - before;
        // The file itself is once more.
        let allowed = 2 * bytes.len() as u64 / 1024 + 4096;
        assert!(taken <= allowed, "{name}: {taken} KiB for a file of {} KiB", bytes.len() >> 10);
        assert!(table.rows.len() > 1, "{name}");
    }
}
