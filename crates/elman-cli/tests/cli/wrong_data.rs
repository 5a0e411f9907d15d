//! Wrong data of every classifying task: a message with the file and the line, the exit code of bad data, no panic.

use std::fs::create_dir_all;

use crate::place::{Place, Run, with_input};

/// A small network of the task that `words` name, and three steps.
fn short(words: &str) -> String {
    let sizes = match words.split_once("--task ").map(|(_, task)| task.split(' ').next().unwrap()) {
        Some("classify-text") => "--hidden 4 --embedding 4",
        Some("classify-sequence") => "--hidden 4",
        Some("classify-frames") => "--hidden 4 --dense 4",
        _ => "--dense 4",
    };
    format!("{words} {sizes} --max-steps 3 --seed 1 --threads 1 --quiet")
}

fn train(place: &Place, words: &str) -> Run {
    place.run(&format!("train {}", short(words)))
}

/// Trains a model into `out`.
fn trained(place: &Place, words: &str, out: &str) {
    place.ok(&format!("train {} --out {out}", short(words)));
}

/// A grey picture of noise.
fn picture(width: usize, height: usize, i: usize) -> Vec<u8> {
    let mut bytes = format!("P5 {width} {height} 255\n").into_bytes();
    bytes.extend((0..width * height).map(|at| (at * 37 + i * 11) as u8));
    bytes
}

/// Pictures in a folder for each class.
fn write_pictures(place: &Place, folder: &str, classes: &[&str], width: usize) {
    for class in classes {
        create_dir_all(place.path(&format!("{folder}/{class}"))).unwrap();
        (0..6).for_each(|i| place.write(&format!("{folder}/{class}/{i}.pgm"), picture(width, 8, i)));
    }
}

/// Ten clips of four frames; `labels` are those of each clip.
fn write_clips(place: &Place, folder: &str, width: usize, labels: impl Fn(usize) -> &'static str) {
    let mut text = String::from("id\tsplit\tlabels\n");
    for clip in 0..10 {
        create_dir_all(place.path(&format!("{folder}/c{clip}"))).unwrap();
        (0..4).for_each(|t| place.write(&format!("{folder}/c{clip}/{t}.pgm"), picture(width, 8, clip + t)));
        let split = if clip < 6 { "train" } else { ["dev", "test"][clip % 2] };
        text.push_str(&format!("c{clip}\t{split}\t{}\n", labels(clip)));
    }
    place.write(&format!("{folder}/labels.tsv"), text);
}

/// An idx file of unsigned bytes.
fn idx(dims: &[u32], data: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Pictures in idx files as MNIST's, the test's labels given.
fn write_idx(place: &Place, folder: &str, test: &[u8]) {
    create_dir_all(place.path(folder)).unwrap();
    let (images, labels) = (idx(&[20, 8, 8], (0..1280).map(|i| i as u8)), idx(&[20], (0..20).map(|i| i % 2)));
    place.write(&format!("{folder}/train-images-idx3-ubyte"), images);
    place.write(&format!("{folder}/train-labels-idx1-ubyte"), labels);
    let n = test.len() as u32;
    place.write(&format!("{folder}/t10k-images-idx3-ubyte"), idx(&[n, 8, 8], (0..64 * n).map(|i| i as u8)));
    place.write(&format!("{folder}/t10k-labels-idx1-ubyte"), idx(&[n], test.iter().copied()));
}

/// A gzip file of these bytes in a stored block (RFC 1951, 3.2.4), whose second half is missing.
fn cut_gzip(bytes: &[u8]) -> Vec<u8> {
    let size = bytes.len() as u16;
    let head = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1][..], &size.to_le_bytes(), &(!size).to_le_bytes()];
    [&head.concat(), &bytes[..bytes.len() / 2]].concat()
}

const ROWS: &str = "x,colour,class\n";
const SERIES: &str = "label,t0,t1,t2\n";
const STEPS: &str = "clip,x,label\n";

/// Tables of the three tasks that read numbers: rows, series, steps.
fn write_tables(place: &Place) {
    let rows = |i: usize| format!("{},{},{}\n", i % 7, ["red", "blue"][i % 2], ["a", "b"][i % 2]);
    place.write("rows.csv", ROWS.to_string() + &(0..40).map(rows).collect::<String>());
    let series = |i: usize| format!("{},{},{},{}\n", ["a", "b"][i % 2], i % 3, i % 2 * 5, i % 5);
    place.write("series.csv", SERIES.to_string() + &(0..40).map(series).collect::<String>());
    let step = |i: usize| format!("c{},{},{}\n", i / 5, i % 3, ["a", "b"][i % 2]);
    place.write("steps.csv", STEPS.to_string() + &(0..60).map(step).collect::<String>());
}

const OF_TABLES: [(&str, &str); 3] = [
    ("rows.csv", "--task classify"),
    ("series.csv", "--task classify-sequence"),
    ("steps.csv", "--task classify-frames --sequence-column clip"),
];

#[test]
fn a_label_that_only_the_test_has_is_named_with_its_file_and_line() {
    let place = Place::new();
    write_tables(&place);
    for (i, (file, words)) in OF_TABLES.into_iter().enumerate() {
        trained(&place, &format!("{file} {words}"), &format!("t{i}"));
        let test = [
            format!("{ROWS}1,red,a\n2,red,q\n"),
            format!("{SERIES}a,1,2,3\nq,1,2,3\n"),
            format!("{STEPS}c0,1,a\nc0,2,q\n"),
        ];
        place.write("test.csv", &test[i]);
        let run = place.run(&format!("eval t{i}/best.safetensors test.csv"));
        run.fails(3, &["test.csv: line 3: label \"q\"", "a, b"]);
        let run = train(&place, &format!("{file} {words} --val test.csv --out x"));
        run.fails(3, &["test.csv: line 3: label \"q\""]);
    }
    write_pictures(&place, "pictures", &["a", "b"], 8);
    write_pictures(&place, "more", &["a", "b", "q"], 8);
    trained(&place, "pictures --task classify", "p");
    place.run("eval p/best.safetensors more").fails(3, &["more/q/0.pgm: label \"q\""]);
    write_idx(&place, "digits", &[0, 1, 7]);
    for (name, words) in [("d", "--task classify"), ("e", "--task classify-sequence --rows")] {
        trained(&place, &format!("digits {words}"), name);
        let run = place.run(&format!("eval {name}/best.safetensors digits"));
        run.fails(3, &["t10k-labels-idx1-ubyte: item 3: label \"7\""]);
    }
    write_clips(&place, "clips", 8, |_| "a a b b");
    write_clips(&place, "other", 8, |clip| if clip == 9 { "a a b q" } else { "a a b b" });
    trained(&place, "clips --task classify-frames", "c");
    place.run("eval c/best.safetensors other").fails(3, &["labels.tsv: line 11: label \"q\""]);
}

#[test]
fn one_class_and_rows_of_another_length_are_refused_by_every_task() {
    let place = Place::new();
    write_tables(&place);
    for (file, words) in OF_TABLES {
        let table = String::from_utf8(place.read(file)).unwrap();
        place.write("one.csv", table.replace(",b\n", ",a\n").replace("\nb,", "\na,"));
        train(&place, &format!("one.csv {words}")).fails(3, &["one.csv", "\"a\"", "one class only"]);
        place.write("few.csv", table.lines().take(4).collect::<Vec<_>>().join("\n") + "\n1\n");
        train(&place, &format!("few.csv {words}")).fails(3, &["few.csv: line 5 has 1 cell, but line 1 has"]);
    }
    write_clips(&place, "clips", 8, |_| "a a a a");
    train(&place, "clips --task classify-frames").fails(3, &["labels.tsv", "one class only"]);
    write_pictures(&place, "pictures", &["a"], 8);
    train(&place, "pictures --task classify").fails(3, &["pictures"]);
}

#[test]
fn other_encodings_are_refused_and_marks_and_line_ends_of_windows_are_read() {
    let place = Place::new();
    write_tables(&place);
    for (file, words) in OF_TABLES {
        let table = String::from_utf8(place.read(file)).unwrap();
        // UTF-8 as far as the end, where a row in Latin-1 was appended.
        place.write("mixed.csv", [table.replace("c0", "ć0").as_bytes(), b"\xe9,1,1,1\n"].concat());
        let line = format!("mixed.csv: line {}: byte 0xE9", table.lines().count() + 1);
        train(&place, &format!("mixed.csv {words}")).fails(3, &[&line, "UTF-8"]);
        let marked = "\u{feff}".to_string() + &table.replace('\n', "\r\n");
        place.write("wide.csv", marked.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
        place.write("windows.csv", marked);
        place.write("plain.csv", &table);
        for name in ["windows", "plain", "wide"] {
            trained(&place, &format!("{name}.csv {words}"), &format!("{name}-{file}"));
        }
        let model = |name: &str| place.read(&format!("{name}-{file}/best.safetensors"));
        assert!(model("windows") == model("plain"), "{file}: a mark and line ends changed what was learnt");
        assert!(model("wide") == model("plain"), "{file}: UTF-16 changed what was learnt");
    }
    write_clips(&place, "clips", 8, |_| "a a b b");
    let labels = String::from_utf8(place.read("clips/labels.tsv")).unwrap();
    place.write("clips/labels.tsv", "\u{feff}".to_string() + &labels.replace('\n', "\r\n"));
    trained(&place, "clips --task classify-frames", "c");
    place.write("clips/labels.tsv", [labels.as_bytes(), b"c\xe9\ttest\ta\n"].concat());
    train(&place, "clips --task classify-frames").fails(3, &["labels.tsv: line 12: byte 0xE9"]);
}

#[test]
fn files_that_are_cut_damaged_or_claim_too_much_are_named() {
    let place = Place::new();
    write_tables(&place);
    place.write("cut.csv.gz", cut_gzip(&place.read("rows.csv")));
    train(&place, "cut.csv.gz --task classify").fails(3, &["cut.csv.gz", "cut short"]);
    train(&place, "cut.csv.gz --task classify-text").fails(3, &["cut.csv.gz", "cut short"]);
    write_idx(&place, "digits", &[0, 1]);
    place.write("digits/train-labels-idx1-ubyte", cut_gzip(&place.read("digits/train-labels-idx1-ubyte")));
    train(&place, "digits --task classify").fails(3, &["train-labels-idx1-ubyte", "cut short"]);

    let huge = b"P5 65535 65535 255\n12";
    for (bytes, parts) in [
        (&picture(8, 8, 1)[..40], &["cut short"][..]),
        (b"not an image at all", &["not an image"]),
        (huge, &["65535 x 65535"]),
    ] {
        write_pictures(&place, "pictures", &["a", "b"], 8);
        place.write("pictures/b/3.pgm", bytes);
        let parts = [&["pictures/b/3.pgm: "], parts].concat();
        train(&place, "pictures --task classify").fails(3, &parts);
        train(&place, "pictures --task classify-sequence --rows").fails(3, &parts);
        write_clips(&place, "clips", 8, |_| "a a b b");
        place.write("clips/c7/2.pgm", bytes);
        let parts = [&["clips/c7/2.pgm: "], &parts[1..]].concat();
        train(&place, "clips --task classify-frames").fails(3, &parts);
    }
    write_clips(&place, "clips", 8, |_| "a a b b");
    place.write("clips/c7/2.pgm", picture(9, 8, 1));
    train(&place, "clips --task classify-frames").fails(3, &["clips/c7/2.pgm: ", "9", "8 x 8"]);
    write_idx(&place, "claims", &[0, 1]);
    place.write("claims/train-images-idx3-ubyte", idx(&[20, 65535, 65535], 0..100));
    train(&place, "claims --task classify").fails(3, &["train-images-idx3-ubyte", "65535", "cut short"]);
}

#[test]
fn frames_of_another_size_than_the_model_reads_are_refused_and_pictures_scaled() {
    let place = Place::new();
    write_pictures(&place, "pictures", &["a", "b"], 8);
    write_pictures(&place, "wide", &["a", "b"], 9);
    trained(&place, "pictures --task classify", "p");
    place.ok("eval p/best.safetensors wide");
    write_clips(&place, "clips", 8, |_| "a a b b");
    write_clips(&place, "widec", 9, |_| "a a b b");
    trained(&place, "clips --task classify-frames", "c");
    place.run("eval c/best.safetensors widec").fails(3, &["widec", "9 wide and 8 high", "8 x 8"]);
    place.run("predict c/best.safetensors widec/c1").fails(3, &["c1", "9 wide and 8 high"]);
    place.write("widec/c2/2.pgm", picture(7, 8, 1));
    train(&place, "widec --task classify-frames").fails(3, &["c2/2.pgm: frame 3 is 7 x 8"]);
}

#[test]
fn a_stream_of_rows_goes_on_after_a_bad_line_and_says_what_is_wrong() {
    let place = Place::new();
    write_tables(&place);
    trained(&place, "steps.csv --task classify-frames --sequence-column clip", "t");
    let live = |input: &[u8]| with_input(&place, "predict t/best.safetensors - --json", input);
    for (input, answered, parts) in [
        (&b"1\n2\nmany\n"[..], 2, &["line 3, column 1", "\"many\""][..]),
        (b"x\n1\n2,3,4,5\n", 1, &["line 3 has 4 cells"]),
        (b"1\n\n\xff\n", 1, &["line 3: byte 0xFF", "UTF-8"]),
        (b"{\"x\": 1}\n{\"x\": }\n", 1, &["line 2: ", "JSON"]),
        (b"many\n", 0, &["line 1, column 1"]),
    ] {
        // The first line decides what the columns are.
        let run = live(input);
        assert_eq!(run.code, if answered == 0 { 3 } else { 0 }, "{run:?}");
        let (errors, answers): (Vec<&str>, Vec<&str>) = run.stdout.lines().partition(|line| line.contains("\"error\""));
        assert_eq!((answers.len(), errors.len()), (answered, answered.min(1)), "{run:?}");
        assert!(["standard input: "].iter().chain(parts).all(|part| run.stderr.contains(part)), "{run:?}");
    }
    // The same rows, whatever they look like.
    let want = live(b"1\n2\n0\n").stdout;
    assert_eq!(want.lines().count(), 3);
    for input in [
        &b"\xef\xbb\xbflabel,x,clip\r\na,1,c\r\n\r\nb,2,c\r\n,0,c"[..],
        b"{\"x\": 1, \"clip\": \"c\"}\n{\"clip\": 3, \"x\": 2}\n{\"x\": 0}\n",
        b"c\t1\ta\nc\t2\tb\nc\t0\ta\n",
    ] {
        assert_eq!(live(input).stdout, want);
    }
}
