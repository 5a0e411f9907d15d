//! Forms of files and ways to name them: an only recording, folders of texts, labelled lines, columns by name.

use crate::place::{Place, Run, with_input};

const SHORT: &str = "--max-steps 4 --seed 1 --threads 1 --quiet";

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(|i| line(i) + "\n").collect()
}

/// A log of one machine: what it does changes after `block` rows.
fn log(rows: usize, block: usize) -> String {
    let row = |i: usize| {
        let of = i / block % 3;
        format!("{}.{},{},{}", of * 5, i * 7 % 10, i * 3 % 17, ["sit", "walk", "run"][of])
    };
    format!("x,z,activity\n{}", lines(rows, row))
}

fn said(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

#[test]
fn an_only_recording_is_one_sequence_split_by_time() {
    let place = Place::new();
    place.write("log.csv", log(600, 60));
    let words = "log.csv --task classify-frames --label-column activity";
    let run = place.ok(&format!("check-data {words}"));
    assert!(
        said(&run).contains("steps of one recording") && said(&run).contains("60 steps, lines 542 to 601"),
        "{run:?}"
    );
    place.ok(&format!("train {words} --hidden 8 --out run {SHORT}"));
    let run = place.ok("eval run log.csv");
    assert!(run.stdout.contains("accuracy"), "{run:?}");
    place.write("new.csv", log(90, 30).replace(",activity", ",what"));
    let run = place.ok("predict run new.csv --frames");
    assert_eq!(run.stdout.lines().count(), 90, "a line for each step: {run:?}");
    // A class that is at the end alone is learned too: another stretch is held out.
    place.write("blocks.csv", log(600, 200));
    let run = place.ok(&format!("check-data {}", words.replace("log.csv", "blocks.csv")));
    assert!(said(&run).contains("lines 542 to 601"), "{run:?}");
    place.write("end.csv", format!("{}{}", log(540, 180), lines(50, |i| format!("99,{},fall", i % 7))));
    let run = place.ok(&format!("check-data {}", words.replace("log.csv", "end.csv")));
    assert!(said(&run).contains("lines 474 to 532") && said(&run).contains("4 classes"), "{run:?}");
    place.ok(&format!("train {words} --hidden 8 --folds 3 --out folds {SHORT}"));
}

#[test]
fn recordings_are_told_apart_by_a_column_that_is_called_so() {
    let place = Place::new();
    let rows = log(600, 30);
    let named = rows.lines().enumerate().map(|(i, row)| match i {
        0 => format!("session,{row}\n"),
        i => format!("s{},{row}\n", (i - 1) / 100),
    });
    place.write("logs.csv", named.collect::<String>());
    let words = "logs.csv --task classify-frames --label-column activity";
    let run = place.ok(&format!("check-data {words}"));
    assert!(
        said(&run).contains("each value of column \"session\"") && said(&run).contains("5 training sequences"),
        "{run:?}"
    );
    // A file of one recording lacks the column that a model was trained on.
    place.ok(&format!("train {words} --sequence-column session --hidden 8 --out run {SHORT}"));
    place.write("one.csv", log(50, 25));
    for words in ["predict run one.csv", "eval run one.csv"] {
        place.ok(words);
    }
    place.run("eval run one.csv --sequence-column sesion").fails(3, &["no column \"sesion\""]);
}

#[test]
fn texts_in_folders_are_read_and_predicted() {
    let place = Place::new();
    for label in ["pos", "neg"] {
        std::fs::create_dir_all(place.path(&format!("reviews/{label}"))).unwrap();
    }
    for i in 0..20 {
        place.write(&format!("reviews/pos/{i}.txt"), format!("a warm film {i}\nand good\n"));
        place.write(&format!("reviews/neg/{i}.txt"), format!("a dull film {i}\nand bad\n"));
    }
    let run = place.ok(&format!("train reviews --task classify-text --hidden 8 --embedding 8 --out run {SHORT}"));
    assert!(place.ok("check-data reviews --task classify-text").stdout.contains("40 texts in 2 folders"), "{run:?}");
    let run = place.ok("predict run reviews/neg");
    assert_eq!(run.stdout.lines().count(), 20, "{run:?}");
    assert!(run.stdout.contains("a dull film 3 and bad"), "{run:?}");
    place.run("train reviews --task classify --label-column x").fails(3, &["reviews"]);
}

#[test]
fn labelled_lines_of_fasttext_are_texts_with_labels() {
    let place = Place::new();
    place.write(
        "ft.txt",
        lines(60, |i| format!("__label__{} a {} film", ["neg", "pos"][i % 2], ["dull", "warm"][i % 2])),
    );
    place.ok(&format!("train ft.txt --task classify-text --hidden 8 --embedding 8 --out run {SHORT}"));
    let run = place.ok("predict run ft.txt");
    assert!(run.stdout.lines().count() == 60 && !run.stdout.contains("__label__"), "{run:?}");
    place.write("two.txt", lines(60, |i| format!("__label__x{} __label__{} w{}", i % 3, ["a", "b"][i % 2], i % 6)));
    let run = place.ok("check-data two.txt --task classify-text");
    assert!(said(&run).contains("may have several"), "{run:?}");
    place.write("bad.txt", "__label__a x\n__label__b y\nno label\n");
    place.run("train bad.txt --task classify-text").fails(3, &["line 3 has no label", "--skip-bad"]);
}

#[test]
fn rows_of_libsvm_are_tables_whose_files_may_lack_columns_of_zeros() {
    let place = Place::new();
    let row = |i: usize| format!("{}1 {}:{}.5 {}:1", ["+", "-"][i % 2], 1 + i % 2, i % 9, 3 + i % 3);
    place.write("train.txt", lines(80, row));
    let run = place.ok("check-data train.txt --task classify");
    assert!(said(&run).contains("a label and 5 columns"), "{run:?}");
    place.ok(&format!("train train.txt --task classify --out run {SHORT}"));
    // Columns 4 and 5 are zero in all rows, column 7 is no input.
    place.write("test.txt", lines(20, |i| format!("{}1 {}:3.5 3:1 7:2", ["+", "-"][i % 2], 1 + i % 2)));
    let run = place.ok("eval run test.txt");
    assert!(run.stdout.contains("examples             20"), "{run:?}");
    assert_eq!(place.ok("predict run test.txt").stdout.lines().count(), 20);
    place.write("bad.txt", format!("{}+1 2:x\n", lines(20, row)));
    place.run("train bad.txt --task classify").fails(3, &["line 21 has \"2:x\"", "--skip-bad"]);
    // A table without the columns that a model reads is none with zeros.
    place.write("less.csv", "label,1\n+1,2\n");
    place.run("eval run less.csv").fails(3, &["no column \"2\""]);
}

#[test]
fn a_column_that_is_named_makes_the_first_row_a_header() {
    let place = Place::new();
    place.write("twice.csv", format!("x,x,kind\n{}", lines(60, |i| format!("{i}a,{},{}", i % 7, ["p", "q"][i % 2]))));
    let run = place.ok("check-data twice.csv --task classify --label-column kind");
    assert!(said(&run).contains("the first row is the header: it holds \"kind\""), "{run:?}");
    place.write("units.csv", format!("h,ok\n{}", lines(60, |i| format!("{} cm,{}", 150 + i % 40, ["y", "n"][i % 2]))));
    let run = place.ok("check-data units.csv --task classify --label-column ok");
    assert!(said(&run).contains("2 classes"), "{run:?}");
    for label in ["-1", "OK"] {
        place.ok(&format!("check-data units.csv --task classify --label-column {label} --header yes"));
    }
    place.write("one.txt", "only\none\ncolumn\n".repeat(20));
    place.run("train one.txt --task classify --label-column 1").fails(3, &["has one column", "no separator"]);
}

#[test]
fn labels_that_look_like_slips_are_said_and_a_class_a_row_is_refused() {
    let place = Place::new();
    place.write("case.csv", format!("x,ok\n{}", lines(80, |i| format!("{},{}", i % 9, ["Yes", "no", "yes"][i % 3]))));
    let run = place.ok("check-data case.csv --task classify --label-column ok");
    assert!(said(&run).contains("the labels \"Yes\" and \"yes\" are two classes"), "{run:?}");
    place.write("ids.csv", format!("x,id\n{}", lines(80, |i| format!("{},k{i}", i % 9))));
    place.run("train ids.csv --task classify --label-column id").fails(3, &["80 rows has a label of its own"]);
    place.write("counts.csv", format!("x,n\n{}", lines(300, |i| format!("{},{}", i % 9, i * 37 % 290))));
    place.run("train counts.csv --task classify --label-column n").fails(3, &["290 different numbers", "regress"]);
}

#[test]
fn what_is_said_of_a_prediction_names_its_line_and_a_table_on_standard_input_is_seen() {
    let place = Place::new();
    place.write("r.csv", lines(60, |i| format!("{} film {i},{}", ["bad", "good"][i % 2], ["neg", "pos"][i % 2])));
    place.ok(&format!("train r.csv --task classify-text --hidden 8 --embedding 8 --out texts {SHORT}"));
    let run = with_input(&place, "predict texts", b"good film,pos\nbad film,neg\n");
    assert!(run.stderr.contains("--text-column") && run.stdout.lines().count() == 2, "{run:?}");
    place.write(
        "soil.csv",
        format!(
            "soil,x,ok\n{}",
            lines(60, |i| format!("{},{},{}", ["sand", "loam"][i % 2], i % 7, ["y", "n"][i % 3 % 2]))
        ),
    );
    place.ok(&format!("train soil.csv --task classify --label-column ok --out soil {SHORT}"));
    place.write("new.csv", "soil,x\nsand,1\nmud,2\n");
    let run = place.ok("predict soil new.csv");
    assert!(run.stderr.contains("line 3") && run.stderr.contains("\"mud\" did not occur"), "{run:?}");
    place.run("train https://x.org/r.csv --task classify-text").fails(2, &["is an address"]);
    place.run("train r.csv --task classify-text --val 20%").fails(2, &["--val 20%", "--val-frac"]);
}
