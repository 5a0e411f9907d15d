//! Good files of each format, spoiled at random in the ways that files are: read right, or refused with the line.

use std::path::Path;

use elman::data::features::Features;
use elman::data::table::Table;

/// Spoilings of each file.
const TIMES: usize = 200;

/// Pseudorandom numbers (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
}

/// How a file is written.
struct Format {
    name: &'static str,
    separator: char,
    is_quoted: bool,
    has_decimal_commas: bool,
}

const FORMATS: [Format; 4] = [
    Format { name: "t.csv", separator: ',', is_quoted: true, has_decimal_commas: false },
    Format { name: "t.tsv", separator: '\t', is_quoted: false, has_decimal_commas: false },
    Format { name: "semicolons.csv", separator: ';', is_quoted: true, has_decimal_commas: true },
    Format { name: "bars.txt", separator: '|', is_quoted: false, has_decimal_commas: false },
];

const NAMES: [&str; 4] = ["größe", "colour", "count", "class"];

/// The cells of a good table.
fn cells(seed: usize) -> Vec<Vec<String>> {
    let mut random = Random(seed as u64 + 1);
    let row = |random: &mut Random| {
        let number = format!("{}.{}", random.below(90) + 10, random.below(9) + 1);
        let colour = ["red", "green", "light blue"][random.below(3)];
        vec![number, colour.to_string(), random.below(1000).to_string(), ["a", "b"][random.below(2)].to_string()]
    };
    (0..60).map(|_| row(&mut random)).collect()
}

fn lines(format: &Format, names: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let separator = format.separator.to_string();
    let cell = |(column, text): (usize, &String)| match (column, format.has_decimal_commas, format.is_quoted) {
        (_, true, _) if text.contains('.') => text.replace('.', ","),
        (1, _, true) => format!("\"{text}\""),
        _ => text.clone(),
    };
    let row = |row: &Vec<String>| row.iter().enumerate().map(cell).collect::<Vec<_>>().join(&separator);
    std::iter::once(names.join(&separator)).chain(rows.iter().map(row)).collect()
}

fn read(name: &str, bytes: &[u8]) -> Result<Table, String> {
    Table::parse(bytes, Path::new(name), None).map_err(|error| error.to_string())
}

/// The columns by name, as they were written.
fn by_name(table: &Table, what: &str) -> Vec<Vec<String>> {
    let columns = NAMES.map(|name| table.column(name).unwrap_or_else(|error| panic!("{what}: {error}")));
    table.rows.iter().map(|row| columns.iter().map(|&column| row.cell(column).to_string()).collect()).collect()
}

#[test]
fn spoiled_tables_are_read_right_or_refused_with_the_line() {
    let mut counts = [0; 2];
    for format in &FORMATS {
        for seed in 0..5 {
            let want = cells(seed);
            let good = lines(format, &NAMES, &want);
            let table = read(format.name, good.join("\n").as_bytes()).unwrap();
            assert_eq!(by_name(&table, format.name), want, "{}", format.name);
            let mut random = Random(seed as u64 * 977 + 5);
            for time in 0..TIMES {
                let mut bad = good.clone();
                let at = 1 + random.below(bad.len() - 1);
                let what = format!("{} {seed}, spoiling {time}, line {}", format.name, at + 1);
                let separator = format.separator.to_string();
                // What must come of it: the same table, or a refusal that says this.
                let (bytes, refusal) = match random.below(8) {
                    0 => {
                        let end = bad[at].rfind(format.separator).unwrap();
                        bad[at].truncate(end);
                        (bad.join("\n").into_bytes(), Some(format!("line {}", at + 1)))
                    }
                    1 => {
                        bad[at] = bad[at].replacen(&separator, &separator.repeat(2), 1);
                        (bad.join("\n").into_bytes(), Some(format!("line {}", at + 1)))
                    }
                    2 => {
                        let units = bad.join("\r\n");
                        let units = std::iter::once(0xfeff).chain(units.encode_utf16());
                        (units.flat_map(u16::to_le_bytes).collect(), None)
                    }
                    3 => {
                        // The name's umlauts in Latin 1.
                        let bytes = bad.join("\n").chars().map(|c| c as u8).collect();
                        (bytes, Some("`encoding = ".to_string()))
                    }
                    4 => {
                        (0..3).for_each(|_| bad.insert(1 + random.below(bad.len() - 1), String::new()));
                        (bad.join("\n").into_bytes(), None)
                    }
                    5 => {
                        let mut order = [0, 1, 2, 3];
                        order.swap(random.below(4), random.below(4));
                        order.swap(random.below(4), random.below(4));
                        let names = order.map(|column| NAMES[column]);
                        let moved = |row: &Vec<String>| order.iter().map(|&column| row[column].clone()).collect();
                        let rows: Vec<Vec<String>> = want.iter().map(moved).collect();
                        let quoted = Format { is_quoted: false, ..*format };
                        (lines(&quoted, &names, &rows).join("\n").into_bytes(), None)
                    }
                    6 if format.is_quoted => {
                        // A quote that is never closed.
                        bad[at] = bad[at].replacen("\"", "", 2).replacen(&separator, &format!("{separator}\""), 1);
                        (bad.join("\n").into_bytes(), Some("line".to_string()))
                    }
                    6 => (bad.join("\r").into_bytes(), None),
                    _ => {
                        let cell = bad[at].find(format.separator).unwrap();
                        bad[at].replace_range(..cell, "oops");
                        let table =
                            read(format.name, bad.join("\n").as_bytes()).unwrap_or_else(|e| panic!("{what}: {e}"));
                        let label = table.column("class").unwrap();
                        let error = Features::fit(&table, &[label]).expect_err(&what).to_string();
                        assert!(
                            error.contains(&format!("line {}", at + 1)) && error.contains("oops"),
                            "{what}: {error}"
                        );
                        counts[1] += 1;
                        continue;
                    }
                };
                match (read(format.name, &bytes), refusal) {
                    (Ok(table), None) => {
                        assert_eq!(by_name(&table, &what), want, "{what}");
                        counts[0] += 1;
                    }
                    (Err(error), Some(part)) => {
                        assert!(error.contains(&part), "{what}: {error:?} lacks {part:?}");
                        counts[1] += 1;
                    }
                    (Ok(table), Some(_)) => panic!("{what}: read as {:?}, {:?}", table.header, table.notes),
                    (Err(error), None) => panic!("{what}: {error}"),
                }
            }
        }
    }
    assert_eq!(counts.iter().sum::<usize>(), FORMATS.len() * 5 * TIMES);
    assert!(counts.iter().all(|&count| count > TIMES), "both happen: {counts:?}");
}

#[test]
fn spoiled_json_lines_and_series_are_read_right_or_refused_with_the_line() {
    let json: Vec<String> =
        (0..60).map(|i| format!("{{\"text\": \"a film {i}\", \"n\": {i}, \"label\": \"{}\"}}", i % 2)).collect();
    let head = ["@problemName x", "@classLabel true a b", "@data"].map(String::from);
    let rows = (0..60).map(|i| format!("{},{},3:{}", i, i * 7 % 11, ["a", "b"][i % 2]));
    let series: Vec<String> = head.into_iter().chain(rows).collect();
    for (name, good, first) in [("t.jsonl", json, 0), ("t.ts", series, 3)] {
        let want = read(name, good.join("\n").as_bytes()).unwrap();
        let mut random = Random(11);
        for time in 0..TIMES {
            let mut bad = good.clone();
            let at = first + random.below(bad.len() - first);
            let what = format!("{name}, spoiling {time}, line {}", at + 1);
            let is_wrong = match random.below(4) {
                0 => {
                    // Before the label.
                    let end = bad[at].rfind(':').unwrap();
                    bad[at].truncate(end);
                    true
                }
                1 => {
                    let end = bad[at].rfind(':').unwrap();
                    bad[at].replace_range(end.., ":z}");
                    true
                }
                2 => {
                    bad.insert(at, String::new());
                    false
                }
                _ => {
                    bad.iter_mut().for_each(|line| line.push('\r'));
                    false
                }
            };
            match read(name, bad.join("\n").as_bytes()) {
                Ok(table) => {
                    assert!(!is_wrong, "{what}: read");
                    let cells = |table: &Table| table.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>();
                    assert_eq!((cells(&table), table.header), (cells(&want), want.header.clone()), "{what}");
                }
                Err(error) => assert!(is_wrong && error.contains(&format!("line {}", at + 1)), "{what}: {error}"),
            }
        }
    }
}

/// What a spoiling must come to.
enum Comes {
    /// The table as it was.
    Right,
    /// A refusal that says this.
    Refused(String),
}

#[test]
fn spoiled_arff_and_tagged_words_are_read_right_or_refused_with_the_line() {
    let head =
        ["@relation x", "@attribute size real", "@attribute kind {red, 'light blue'}", "@attribute n integer", "@data"];
    let row = |i: usize| format!("{}.5,{},{i}", i * 7 % 11, ["red", "'light blue'"][i % 2]);
    let arff: Vec<String> = head.into_iter().map(String::from).chain((0..60).map(row)).collect();
    let word = |i: usize| match i % 6 {
        5 => String::new(),
        _ => format!("word{i} NN B-{}", ["per", "loc"][i % 2]),
    };
    let words: Vec<String> = (0..120).map(word).collect();
    for (name, good, first) in [("t.arff", arff, head.len()), ("t.conll", words, 0)] {
        let want = read(name, good.join("\n").as_bytes()).unwrap();
        let cells = |table: &Table| table.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>();
        let mut random = Random(29);
        let mut refused = 0;
        for time in 0..TIMES {
            let mut bad = good.clone();
            let full: Vec<usize> = (first..bad.len()).filter(|&at| !bad[at].is_empty()).collect();
            let at = full[random.below(full.len())];
            let line = Comes::Refused(format!("line {}", at + 1));
            let comes = match random.below(6) {
                0 => {
                    // The last cell and what is before it.
                    let end = bad[at].rfind([',', ' ']).unwrap();
                    bad[at].truncate(end);
                    line
                }
                1 => {
                    bad[at].push_str(if first > 0 { ",1" } else { " X" });
                    line
                }
                2 if first > 0 => {
                    bad[at] = bad[at].replace("red", "green").replace("light", "dark");
                    line
                }
                2 => {
                    // A comment of CoNLL-U before a sentence.
                    let start = (0..at).rev().find(|&i| bad[i].is_empty()).map_or(0, |i| i + 1);
                    bad.insert(start, "# text = a sentence".into());
                    Comes::Right
                }
                3 => {
                    bad.iter_mut().for_each(|line| line.push('\r'));
                    Comes::Right
                }
                4 if first > 0 => {
                    bad.insert(at, "% a comment".into());
                    bad[1] = bad[1].to_uppercase().replace("SIZE", "size");
                    Comes::Right
                }
                4 => {
                    let gap = bad.iter().position(String::is_empty).unwrap();
                    bad.insert(gap, String::new());
                    Comes::Right
                }
                _ => {
                    bad.push(String::new());
                    Comes::Right
                }
            };
            let what = format!("{name}, spoiling {time}, line {}: {:?}", at + 1, bad[at]);
            match (read(name, bad.join("\n").as_bytes()), comes) {
                (Ok(table), Comes::Right) => {
                    assert_eq!((cells(&table), &table.header), (cells(&want), &want.header), "{what}");
                }
                (Err(error), Comes::Refused(part)) => {
                    assert!(error.contains(&part), "{what}: {error}");
                    refused += 1;
                }
                (Ok(table), Comes::Refused(_)) => panic!("{what}: read, {:?}", table.notes),
                (Err(error), Comes::Right) => panic!("{what}: {error}"),
            }
        }
        assert!((TIMES / 5..TIMES).contains(&refused), "{name}: {refused}");
    }
}

#[test]
fn spoiled_libsvm_is_read_right_or_refused_with_the_line() {
    let good: Vec<String> =
        (0..60).map(|i| format!("{} 1:{i}.5 {}:-2e-1 9:1", ["+1", "-1"][i % 2], 2 + i % 5)).collect();
    let cells = |table: &Table| table.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>();
    for name in ["t.svm", "t.txt", "t"] {
        let want = read(name, good.join("\n").as_bytes()).unwrap();
        assert_eq!(want.width(), 10);
        let mut random = Random(31);
        let mut refused = 0;
        for time in 0..TIMES {
            let mut bad = good.clone();
            let at = random.below(bad.len());
            let line = Comes::Refused(format!("line {}", at + 1));
            let comes = match random.below(8) {
                0 => {
                    bad[at] = bad[at].replace("9:1", "9:one");
                    line
                }
                1 => {
                    bad[at] = bad[at].replace("9:1", "9");
                    line
                }
                2 => {
                    bad[at] += " 3:1";
                    line
                }
                3 => {
                    // Its label is lost.
                    bad[at].replace_range(..3, "");
                    line
                }
                4 => {
                    bad[at] += " # 1:2 3:x";
                    Comes::Right
                }
                5 => {
                    bad.iter_mut().for_each(|line| line.push('\r'));
                    Comes::Right
                }
                6 => {
                    bad.insert(at, ["", "# a comment", "   "][at % 3].into());
                    Comes::Right
                }
                _ => {
                    bad[at] = bad[at].replace(' ', "  ") + " ";
                    Comes::Right
                }
            };
            let what = format!("{name}, spoiling {time}, line {}: {:?}", at + 1, bad[at]);
            match (read(name, bad.join("\n").as_bytes()), comes) {
                (Ok(table), Comes::Right) => assert_eq!(cells(&table), cells(&want), "{what}"),
                (Err(error), Comes::Refused(part)) => {
                    assert!(error.contains(&part), "{what}: {error}");
                    refused += 1;
                }
                (Ok(table), Comes::Refused(_)) => panic!("{what}: read, {:?}", table.notes),
                (Err(error), Comes::Right) => panic!("{what}: {error}"),
            }
        }
        assert!((TIMES / 5..TIMES).contains(&refused), "{name}: {refused}");
    }
}

#[test]
fn arrays_that_are_cut_or_whose_header_is_damaged_are_refused() {
    let mut header = "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 3), }".to_string();
    header.push_str(&" ".repeat(117 - header.len()));
    header.push('\n');
    let data: Vec<u8> = (0..60).flat_map(|i| (i as f32 / 7.0).to_le_bytes()).collect();
    let length = (header.len() as u16).to_le_bytes();
    let good = [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), &data].concat();
    let table = read("t.npy", &good).unwrap();
    assert_eq!((table.rows.len(), table.width()), (20, 3));
    let mut random = Random(31);
    for time in 0..TIMES {
        let mut bad = good.clone();
        let what = match random.below(5) {
            0 => {
                bad.truncate(7 + random.below(bad.len() - 7));
                "cut"
            }
            1 => {
                bad[8] = bad[8].wrapping_add(1 + random.below(254) as u8);
                "another length of the header"
            }
            2 => {
                let text =
                    String::from_utf8_lossy(&bad[10..10 + header.len()]).replace("(20, 3)", "(2000000000000000000, 3)");
                let text = &text.as_bytes()[..header.len()];
                bad[10..10 + header.len()].copy_from_slice(text);
                "more values than there are"
            }
            3 => {
                let at = 10 + header.find("'descr'").unwrap() + random.below(7);
                bad[at] = b'#';
                "no key"
            }
            _ => {
                let at = 10 + header.find("<f4").unwrap();
                bad[at..at + 3].copy_from_slice([b"|O8", b"<c8", b"<M8"][random.below(3)]);
                "other values"
            }
        };
        if let Ok(table) = read("t.npy", &bad) {
            panic!("spoiling {time}, {what}: read as {} x {}", table.rows.len(), table.width());
        }
    }
}
