//! The classification tasks through the command: trained on small made data, measured, asked; wrong data refused.

use crate::place::{Place, Run, with_input};
use serde_json::Value;

const SMALL: &str = "--seed 1 --quiet --threads 1";

fn json(run: &Run) -> Value {
    serde_json::from_str(run.stdout.lines().next().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

fn lines(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sentences whose label is their adjective's.
fn reviews(n: usize) -> String {
    let good = ["good", "fine", "lovely"];
    let bad = ["bad", "poor", "awful"];
    let one = |i: usize| {
        let (word, label) = if i.is_multiple_of(2) { (good[i / 2 % 3], "pos") } else { (bad[i / 2 % 3], "neg") };
        format!("film number {} was {word} to me\t{label}\n", i % 7)
    };
    (0..n).map(one).collect()
}

/// A grey picture with a bright band in its upper or lower half.
fn picture(is_upper: bool, i: usize) -> Vec<u8> {
    let mut bytes = b"P5 8 8 255\n".to_vec();
    for y in 0..8 {
        let lit = (y < 4) == is_upper;
        bytes.extend((0..8).map(|x| if lit { 200 } else { 30 + ((x * 7 + y * 3 + i * 5) % 20) as u8 }));
    }
    bytes
}

#[test]
fn texts_are_learnt_measured_explained_and_answered_line_by_line() {
    let place = Place::new();
    place.write("train.tsv", reviews(120));
    place.write("test.tsv", reviews(40));
    let run = place.ok("train train.tsv --task classify-text --out run --seed 1 --epochs 20 --hidden 8 --embedding 8 --batch 12 --lr 0.01");
    assert!(run.stderr.contains("label is column 2"), "{run:?}");
    let found = json(&place.ok("eval run/best.safetensors test.tsv --json"));
    assert_eq!(found["accuracy"], 1.0, "{found}");
    assert!(found["macro_f1"].as_f64().unwrap() == 1.0 && found["loss_nats"].as_f64().unwrap() < 0.69, "{found}");
    let answers =
        lines(&with_input(&place, "predict run/best.safetensors --json", b"film 3 was awful\nit was lovely\n"));
    assert_eq!((&answers[0]["label"], &answers[1]["label"]), (&"neg".into(), &"pos".into()));
    let explained = lines(&place.ok("predict run/best.safetensors --json --explain awful"));
    assert_eq!(explained[1]["explains"], "neg");
    assert!(explained[1]["words"][0]["nats"].as_f64().unwrap() > 0.1, "{explained:?}");
    let csv = place.ok("predict run/best.safetensors --csv lovely").stdout;
    assert!(csv.starts_with("input,label,probability\nlovely,pos,0."), "{csv}");
    let asked = place.ok("predict run train.tsv --text-column 1 --csv").stdout;
    assert!(asked.lines().count() == 121 && asked.contains("film number 0 was good to me,pos,"), "{asked}");
}

#[test]
fn texts_are_read_in_subwords_with_weights_dropped_and_both_are_kept_in_the_run() {
    let place = Place::new();
    place.write("train.tsv", reviews(120));
    let words = "train train.tsv --task classify-text --level subword --vocab-size 60 --weight-drop 0.3 --naive-bayes 0 --word-odds 0 --hidden 8 --embedding 8 --batch 12 --lr 0.01 --seed 1";
    let run = place.ok(&format!("{words} --out run --epochs 20 --threads 1"));
    assert!(run.stderr.contains("known subwords"), "{run:?}");
    assert_eq!(json(&place.ok("eval run/best.safetensors train.tsv --json"))["accuracy"], 1.0);
    let explained = lines(&place.ok("predict run/best.safetensors --json --explain awful"));
    let pieces: Vec<&str> =
        explained[1]["words"].as_array().unwrap().iter().map(|w| w["word"].as_str().unwrap()).collect();
    assert_eq!(pieces.concat(), "▁awful");
    let config = String::from_utf8(place.read("run/config.toml")).unwrap();
    assert!(config.contains("level = \"subword\"") && config.contains("weight_drop = 0.3"), "{config}");
    let text = place.ok("inspect run/best.safetensors").stdout;
    assert!(text.contains("subwords: ") && text.contains("weight_drop 0.3") && text.contains("2: neg, pos"), "{text}");
    // What is dropped is drawn by the seed alone.
    place.ok(&format!("{words} --out again --epochs 20 --threads 2 --quiet"));
    assert!(place.read("run/best.safetensors") == place.read("again/best.safetensors"));
    place.ok(&format!("{words} --weight-drop 0 --out without --epochs 20 --threads 1 --quiet"));
    assert!(place.read("run/best.safetensors") != place.read("without/best.safetensors"));
    for (more, parts) in [
        ("--weight-drop 1", &["--weight-drop 1"][..]),
        ("--embeddings v.txt", &["--embeddings", "v.txt", "--level word"]),
        ("--level morpheme", &["--level morpheme", "subword"]),
        ("--task classify", &["--hidden 8", "classify-text", "the task is classify"]),
    ] {
        place.run(&format!("{words} {more} --out x")).fails(2, parts);
    }
}

#[test]
fn a_classification_stopped_and_resumed_is_the_one_never_stopped_on_any_threads() {
    let place = Place::new();
    place.write("train.tsv", reviews(120));
    let words = "train train.tsv --task classify-text --hidden 8 --embedding 8 --batch 16 --seed 1 --quiet";
    place.ok(&format!("{words} --max-steps 40 --out whole --threads 1"));
    place.ok(&format!("{words} --max-steps 40 --out threads --threads 2"));
    // Stopped at a step by its length, then given the length of the whole.
    let mut command = place.command(&format!("{words} --max-steps 40 --out part --checkpoint-every 5 --threads 2"));
    let mut child = command.spawn().unwrap();
    while !place.path("part/last.safetensors").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
    place.ok("train --resume part --quiet");
    for run in ["threads", "part"] {
        for file in ["best.safetensors", "last.safetensors"] {
            let (a, b) = (place.read(&format!("whole/{file}")), place.read(&format!("{run}/{file}")));
            if file == "best.safetensors" {
                assert!(a == b, "{run}/{file}");
            }
        }
    }
}

#[test]
fn rows_of_a_table_are_classified_and_regressed() {
    let place = Place::new();
    let row = |i: usize| {
        let (x, colour) = ((i * 37 % 100) as f64 / 10.0, ["red", "blue"][i % 2]);
        let class = if x > 5.0 { "high" } else { "low" };
        let missing = if i.is_multiple_of(11) { String::new() } else { format!("{}", i % 5) };
        format!("{x},{colour},{missing},{class},{}\n", 3.0 * x + if colour == "red" { 5.0 } else { 0.0 })
    };
    let table: String = "x,colour,n,class,size\n".chars().collect::<String>() + &(0..300).map(row).collect::<String>();
    place.write("t.csv", &table);
    place.ok(&format!("train t.csv --task classify --label-column class --out c --epochs 20 {SMALL}"));
    let found = json(&place.ok("eval c/best.safetensors t.csv --json"));
    assert!(found["accuracy"].as_f64().unwrap() > 0.95 && found["roc_auc"].as_f64().unwrap() > 0.98, "{found}");
    place.ok(&format!("train t.csv --task regress --label-column size --out r --epochs 30 {SMALL}"));
    let found = json(&place.ok("eval r/best.safetensors t.csv --json"));
    assert!(found["r2"].as_f64().unwrap() > 0.95, "{found}");
    // Asked without the label, by the columns' names.
    let asked =
        with_input(&place, "predict r/best.safetensors - --json", b"colour,x,n,class\nred,2,1,low\nblue,8,2,high\n");
    let values: Vec<f64> = lines(&asked).iter().map(|line| line["value"].as_f64().unwrap()).collect();
    assert!((values[0] - 11.0).abs() < 4.0 && (values[1] - 24.0).abs() < 4.0, "{values:?}");
    place.run(&format!("train t.csv --task classify --out x {SMALL}")).stderr.contains("class");
    let run = place.run(&format!("train t.csv --task regress --label-column colour --out y {SMALL}"));
    run.fails(3, &["line 2", "\"red\" is not a number"]);

    // A label called 4 is not whatever stands in the fourth column.
    let numbered =
        |header: &str| (0..60).fold(header.to_string(), |t, i| t + &format!("\n{i},{},{},{}", i % 7, i % 3, 2 * i));
    place.write("n.csv", numbered("1,2,3,4"));
    place.ok(&format!("train n.csv --task regress --header yes --label-column 4 --out n --epochs 1 {SMALL}"));
    place.ok("eval n/best.safetensors n.csv --header yes");
    place.write("other.csv", numbered("1,2,3,9"));
    place.run("eval n/best.safetensors other.csv --header yes").fails(3, &["has no column \"4\"", "1, 2, 3, 9"]);
    place.ok("eval n/best.safetensors other.csv --header yes --label-column 9");
    place.write("ragged.csv", "x,class\n1,a\n2\n");
    place.run(&format!("train ragged.csv --task classify --out z {SMALL}")).fails(3, &["ragged.csv", "line 3"]);
}

#[test]
fn pictures_are_classified_from_folders_and_other_sizes_refused() {
    let place = Place::new();
    for (name, is_upper) in [("upper", true), ("lower", false)] {
        std::fs::create_dir_all(place.path(&format!("set/{name}"))).unwrap();
        (0..30).for_each(|i| place.write(&format!("set/{name}/{i}.pgm"), picture(is_upper, i)));
    }
    place.ok(&format!(
        "train set --task classify --out run --epochs 20 --batch 8 --shift 0 --distort 0 --lr 0.01 {SMALL}"
    ));
    let found = json(&place.ok("eval run/best.safetensors set --json"));
    assert_eq!(found["accuracy"], 1.0, "{found}");
    let answers = lines(&place.ok("predict run/best.safetensors --json set/upper/3.pgm set/lower/4.pgm"));
    assert_eq!((&answers[0]["label"], &answers[1]["label"]), (&"upper".into(), &"lower".into()));
    place.write("small.pgm", b"P5 2 2 255\n1234");
    assert_eq!(place.ok("predict run/best.safetensors small.pgm").stdout.lines().count(), 1, "scaled");
    place.write("broken.pgm", b"P5 8 8 255\n12");
    place.run("predict run/best.safetensors broken.pgm").fails(3, &["broken.pgm"]);
    place.write("huge.pgm", b"P5 65535 65535 255\n12");
    place.run("predict run/best.safetensors huge.pgm").fails(3, &["huge.pgm"]);
    let rows = format!(
        "train set --task classify-sequence --rows --out rows --epochs 30 --batch 8 --hidden 16 --lr 0.01 {SMALL}"
    );
    place.ok(&format!("{rows} --shift 0 --distort 0"));
    let found = json(&place.ok("eval rows/best.safetensors set --json"));
    assert!(found["accuracy"].as_f64().unwrap() > 0.9, "{found}");
}

#[test]
fn series_are_classified_from_rows_and_from_groups_of_rows() {
    let place = Place::new();
    let value = |i: usize, t: usize| if i.is_multiple_of(2) { t as f64 } else { -(t as f64) } + (i % 5) as f64 * 0.1;
    let row = |i: usize| {
        let values: Vec<String> = (0..6 + i % 3).map(|t| value(i, t).to_string()).collect();
        let padded = format!("{}{}", values.join(","), ",".repeat(2 - i % 3));
        format!("{},{padded}\n", ["up", "down"][i % 2])
    };
    let header = "label,t0,t1,t2,t3,t4,t5,t6,t7\n";
    place.write("rows.csv", format!("{header}{}", (0..80).map(row).collect::<String>()));
    place.ok(&format!("train rows.csv --task classify-sequence --out r --hidden 8 --batch 8 {SMALL}"));
    assert_eq!(json(&place.ok("eval r/best.safetensors rows.csv --json"))["accuracy"], 1.0);
    let answers = lines(&place.ok("predict r/best.safetensors rows.csv --json"));
    assert_eq!((answers.len(), &answers[1]["label"]), (80, &"down".into()));
    let step =
        |i: usize| (0..5).map(|t| format!("s{i},{},{}\n", value(i, t), ["up", "down"][i % 2])).collect::<String>();
    place.write("steps.csv", format!("who,x,label\n{}", (0..60).map(step).collect::<String>()));
    let words = "train steps.csv --task classify-sequence --sequence-column who --out g --hidden 8 --batch 8";
    place.ok(&format!("{words} {SMALL}"));
    assert_eq!(json(&place.ok("eval g/best.safetensors steps.csv --json"))["accuracy"], 1.0);
}

/// A table of steps whose label is that of two steps ago: a step is seen, then answered later.
fn late_table() -> String {
    let mut text = String::from("clip,x,label\n");
    for clip in 0..40 {
        let x: Vec<usize> = (0..20).map(|t| (clip * 7 + t * t * 3 + t) % 11 / 6).collect();
        for t in 0..20 {
            text.push_str(&format!("c{clip},{},{}\n", x[t], ["off", "on"][if t + 2 < 20 { x[t + 2] } else { 0 }]));
        }
    }
    text
}

#[test]
fn steps_are_labelled_late_where_asked_and_live_answers_are_those_of_the_whole() {
    let place = Place::new();
    place.write("t.csv", late_table());
    let words = "train t.csv --task classify-frames --sequence-column clip --hidden 12 --layers 1 --batch 8 --epochs 60 --lr 0.01 --dropout 0";
    place.ok(&format!("{words} --out causal {SMALL}"));
    place.ok(&format!("{words} --out late --lookahead 2 {SMALL}"));
    let accuracy = |run: &str| {
        let found = json(&place.ok(&format!("eval {run}/best.safetensors t.csv --json")));
        for key in ["macro_f1", "loss_nats", "foreground_accuracy", "edit", "f1_10", "f1_25", "f1_50"] {
            assert!(found[key].is_number(), "{key}: {found}");
        }
        found["accuracy"].as_f64().unwrap()
    };
    // What comes two steps later is only known by waiting for it.
    assert!(accuracy("late") > 0.97 && accuracy("causal") < 0.95, "{} {}", accuracy("late"), accuracy("causal"));
    place.write("one.csv", late_table().lines().take(21).collect::<Vec<_>>().join("\n"));
    let whole = lines(&place.ok("predict late/best.safetensors one.csv --frames --json"));
    let stream = lines(&with_input(&place, "predict late/best.safetensors - --json", &place.read("one.csv")));
    assert_eq!((whole.len(), stream.len()), (20, 20));
    for (a, b) in whole.iter().zip(&stream) {
        assert_eq!((&a["label"], &a["probability"]), (&b["label"], &b["probability"]), "the same bits");
    }
    let runs = place.ok("predict late/best.safetensors one.csv --csv").stdout;
    assert!(runs.starts_with("input,first_frame,last_frame,label,probability") && runs.lines().count() < 20, "{runs}");
    place.run(&format!("{words} --out x --lookahead 2 --bidirectional {SMALL}")).fails(2, &["--lookahead"]);
    place.ok(&format!("{words} --out both --bidirectional {SMALL}"));
    with_input(&place, "predict both/best.safetensors -", b"1,off\n").fails(2, &["both directions", "--lookahead"]);
}

/// Clips of a bright column that moves right or rests, in folders of pictures.
fn write_clips(place: &Place, n: usize) {
    let mut labels = String::from("id\tsplit\tlabels\n");
    for clip in 0..n {
        std::fs::create_dir_all(place.path(&format!("clips/c{clip}"))).unwrap();
        let mut x = clip % 8;
        let mut words = Vec::new();
        for t in 0..12 {
            let moves = (t / 4 + clip) % 2 == 0;
            x = (x + usize::from(moves)) % 8;
            words.push(if moves { "moves" } else { "rests" });
            let mut bytes = b"P5 8 8 255\n".to_vec();
            bytes.extend((0..64).map(|i| if i % 8 == x { 220u8 } else { 20 }));
            place.write(&format!("clips/c{clip}/{t}.pgm"), bytes);
        }
        let split = ["train", "train", "train", "dev", "test"][clip % 5];
        labels.push_str(&format!("c{clip}\t{split}\t{}\n", words.join(" ")));
    }
    place.write("clips/labels.tsv", labels);
}

#[test]
fn frames_of_clips_are_labelled_and_a_live_stream_gives_the_same_bits() {
    let place = Place::new();
    write_clips(&place, 40);
    let words =
        "train clips --task classify-frames --hidden 16 --layers 1 --dense 16 --convs 8 --batch 8 --lookahead 1";
    place
        .ok(&format!("{words} --out run --epochs 80 --context 2 --shift 0 --jitter 0 --lr 0.01 --dropout 0.1 {SMALL}"));
    let found = json(&place.ok("eval run/best.safetensors clips --split test --json"));
    assert!(found["accuracy"].as_f64().unwrap() > 0.9, "{found}");
    let whole = lines(&place.ok("predict run/best.safetensors clips/c4 --frames --json"));
    let frames: Vec<u8> = (0..12).flat_map(|t| place.read(&format!("clips/c4/{t}.pgm"))[11..].to_vec()).collect();
    let stream = lines(&with_input(&place, "predict run/best.safetensors - --raw --json", &frames));
    assert_eq!((whole.len(), stream.len()), (12, 12));
    for (a, b) in whole.iter().zip(&stream) {
        assert_eq!((&a["label"], &a["probability"]), (&b["label"], &b["probability"]), "the same bits");
    }
    with_input(&place, "predict run/best.safetensors - --raw", &frames[..100]).fails(3, &["standard input"]);
    let y4m =
        with_input(&place, "predict run/best.safetensors -", b"YUV4MPEG2 W4 H4 F25:1 Cmono\nFRAME\n0123456789abcdef");
    y4m.fails(3, &["4 wide", "8 x 8"]);
    let labels = String::from_utf8(place.read("clips/labels.tsv")).unwrap();
    let short: Vec<String> = labels.lines().map(|l| l.replace("c1\ttrain\trests ", "c1\ttrain\t")).collect();
    place.write("clips/labels.tsv", short.join("\n"));
    place.run(&format!("{words} --out x {SMALL}")).fails(3, &["labels.tsv", "line 3", "12 frames", "11"]);
    place.write("clips/labels.tsv", labels.lines().take(5).collect::<Vec<_>>().join("\n"));
    place.run(&format!("{words} --out x {SMALL}")).fails(3, &["no labels"]);
}

#[test]
fn wrong_texts_are_refused_with_their_file_and_line() {
    let place = Place::new();
    let train = |text: &[u8], more: &str| {
        place.write("w.tsv", text);
        place.run(&format!(
            "train w.tsv --task classify-text --out w --epochs 1 --hidden 4 --embedding 4 {SMALL} {more}"
        ))
    };
    train(b"", "").fails(3, &["w.tsv"]);
    train(b"good film\tpos\nfine film\tpos\nok\tpos\n", "--label-column 2").fails(3, &["one class only"]);
    train(b"good film\tpos\n \tneg\nok then\tpos\n", "--label-column 2 --text-column 1").fails(3, &["line 2", "empty"]);
    train(b"good film\tpos\nbad\n", "").fails(3, &["line 2"]);
    train(b"good \xff film\tpos\nbad one\tneg\n", "").fails(3, &["line 1", "UTF-8"]);
    train(b"1\tx y\tpos\n2\tz\tneg\n3\tw\tpos\n", "").fails(3, &["--text-column", "--label-column"]);
    train(b"\x1f\x8b\x08\x00\x00", "").fails(3, &["w.tsv"]);
    // A mark at the beginning and Windows' line ends are no part of the texts.
    let run = train(("\u{feff}".to_string() + &reviews(40).replace('\n', "\r\n")).as_bytes(), "");
    assert_eq!(run.code, 0, "{run:?}");
    place.write("t.tsv", "good film\tpos\nodd film\tmixed\n");
    place.run("eval w/best.safetensors t.tsv").fails(3, &["t.tsv: line 2", "\"mixed\"", "neg, pos"]);
    place.run("eval w/best.safetensors t.tsv --split test").fails(2, &["--split test"]);
    place.run("sample w/best.safetensors").fails(4, &["classify-text"]);
    place.run("train --task classify-texts").fails(2, &["classify-text"]);
    place.run("predict run/none.safetensors x").fails(4, &["none.safetensors"]);
}

#[test]
fn every_task_has_built_in_data_and_folds_are_averaged() {
    let place = Place::new();
    for task in ["classify", "regress", "classify-text", "classify-sequence", "classify-frames"] {
        let run = place.ok(&format!("train --task {task} --out {task} --max-steps 3 --seed 1"));
        assert!(run.stderr.contains("elman predict"), "{run:?}");
        let again = place.ok(&format!("init {task}")).stdout;
        assert!(again.contains(&format!("task = \"{task}\"")), "{again}");
    }
    let folds =
        place.ok("train --task classify-text --folds 3 --max-steps 3 --hidden 4 --embedding 4 --out k --seed 1");
    assert!(folds.stderr.contains("3 folds, at the end of each: mean and standard deviation"), "{folds:?}");
    assert!(place.path("k/fold-3/best.safetensors").exists());
}
