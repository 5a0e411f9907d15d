//! Files and habits as people have them, taken from public reports: read right, or refused with the cause and the way out.

use crate::place::{Place, Run, with_input};

const SHORT: &str = "--max-steps 4 --seed 1 --threads 1 --quiet";

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (1..=count).map(|i| line(i) + "\n").collect()
}

fn reviews(count: usize, separator: &str) -> String {
    lines(count, |i| format!("{} film {i}{separator}{}", ["bad", "good"][i % 2], ["neg", "pos"][i % 2]))
}

fn train(place: &Place, words: &str) -> Run {
    place.run(&format!("train {words} {SHORT}"))
}

/// Trains and returns what was said, quietly or not.
fn said(place: &Place, words: &str) -> String {
    let run = place.ok(&format!("check-data {words}"));
    run.stdout + &run.stderr
}

/// A model of texts in `texts`.
fn text_model(place: &Place) {
    place.write("r.csv", reviews(60, ","));
    place.ok(&format!("train r.csv --task classify-text --hidden 8 --embedding 8 --out texts {SHORT}"));
}

#[test]
fn predict_reads_files_and_never_answers_about_their_names() {
    let place = Place::new();
    text_model(&place);
    place.write("new.csv", "text\ngood film\nbad film\n");
    place.write("lines.txt", "good film\n\nbad film\n");
    for words in ["new.csv --text-column text", "new.csv"] {
        let run = place.ok(&format!("predict texts {words}"));
        let inputs: Vec<&str> = run.stdout.lines().filter_map(|line| line.split('\t').nth(2)).collect();
        assert_eq!(inputs, ["good film", "bad film"], "{run:?}");
    }
    let run = place.ok("predict texts lines.txt");
    assert_eq!(run.stdout.lines().count(), 3, "a line for each: {run:?}");
    for words in ["none.csv --text-column text", "none.csv", "none.txt"] {
        place.run(&format!("predict texts {words}")).fails(3, &["none", "no such file"]);
    }
    let run = place.ok("predict texts xyzzy");
    assert!(run.stderr.contains("none of its 1 words is known"), "{run:?}");
}

#[test]
fn a_header_is_seen_also_beside_nameless_columns() {
    let place = Place::new();
    let rows = lines(80, |i| if i % 2 == 0 { format!("spam,win cash {i},,,") } else { format!("ham,see you {i},,,") });
    place.write("sms.csv", format!("v1,v2,,,\n{rows}"));
    for (label, text) in [("1", "2"), ("v1", "v2")] {
        let words = format!("sms.csv --task classify-text --label-column {label} --text-column {text}");
        let said = said(&place, &words);
        assert!(said.contains("2 classes") && said.contains("without a name"), "{said}");
    }
    place.write(
        "air.csv",
        format!(
            "Date;x;y;ok;;\n{}",
            lines(40, |i| { format!("{i}/03/2004;{i},5;{};{};;", i * 3, ["no", "yes"][i % 2]) })
        ),
    );
    let said = said(&place, "air.csv --task classify --label-column ok");
    assert!(said.contains("semicolons") && said.contains("decimal commas"), "{said}");
}

#[test]
fn another_encoding_is_named_and_read_by_its_name() {
    let place = Place::new();
    // 문장,감정 / 좋아요 1,긍정 / 별로 2,부정 in CP949.
    let mut bytes = b"\xb9\xae\xc0\xe5,\xb0\xa8\xc1\xa4\n".to_vec();
    for i in 0..40 {
        let row: &[u8] = if i % 2 == 0 {
            b"\xc1\xc1\xbe\xc6\xbf\xe4 1,\xb1\xe0\xc1\xa4\n"
        } else {
            b"\xba\xb0\xb7\xce 2,\xba\xce\xc1\xa4\n"
        };
        bytes.extend(row);
    }
    place.write("cp949.csv", &bytes);
    let words = "cp949.csv --task classify-text --text-column 1 --label-column 2";
    train(&place, words).fails(3, &["line 1", "0xB9", "CP949", "문장,감정", "--encoding"]);
    let said = said(&place, &format!("{words} --encoding cp949"));
    assert!(said.contains("2 classes"), "{said}");
    train(&place, &format!("{words} --encoding klingon")).fails(2, &["--encoding klingon", "cp949"]);
    place.write("quote.txt", b"it\x92s a book, isn\x92t it? ".repeat(40));
    place.run("train quote.txt").fails(3, &["0x92", "CP1252", "--encoding windows-1252"]);
}

#[test]
fn numbers_are_numbers_however_they_are_written() {
    let place = Place::new();
    let ok = |i: usize| ["n", "y"][i % 2];
    place.write("dec.csv", format!("a;b;ok\n{}", lines(80, |i| format!("{},{};{i};{}", i % 9, i * 7 % 10, ok(i)))));
    place.write(
        "dot.csv",
        format!(
            "age,score,ok\n{}",
            lines(400, |i| {
                format!("{},{i},{}", if i % 20 == 0 { ".".into() } else { (20 + i % 40).to_string() }, ok(i / 20))
            })
        ),
    );
    place.write("bare.csv", lines(60, |i| format!("{},{};{}", i % 5, i % 7, ok(i))));
    for (file, label, inputs) in
        [("dec.csv", "ok", "1 inputs"), ("dot.csv", "ok", "2 inputs"), ("bare.csv", "2", "1 inputs")]
    {
        place.ok(&format!("train {file} --task classify --label-column {label} --out {file}.run {SHORT}"));
        let described = place.ok(&format!("inspect {file}.run")).stdout;
        assert!(described.contains(inputs), "{file}: {described}");
    }
}

#[test]
fn json_lines_may_have_other_keys_and_a_list_among_names_is_refused() {
    let place = Place::new();
    place.write(
        "keys.jsonl",
        lines(60, |i| {
            format!("{{\"t\":\"good {i}\",\"l\":\"pos\"}}\n{{\"t\":\"bad {i}\",\"l\":\"neg\",\"vote\":\"2\"}}")
        }),
    );
    let said = said(&place, "keys.jsonl --task classify-text --text-column t --label-column l");
    assert!(said.contains("2 classes"), "{said}");
    let label = |i| if i == 7 { "[\"a\",\"b\"]".into() } else { format!("\"{}\"", ["a", "b"][i % 2]) };
    place.write("lists.jsonl", lines(30, |i| format!("{{\"text\":\"t {i}\",\"label\":{}}}", label(i))));
    train(&place, "lists.jsonl --task classify-text").fails(3, &["line 7", "the label is a list"]);
}

#[test]
fn a_text_may_have_several_labels_or_none() {
    let place = Place::new();
    // A word for each of three labels, in all combinations.
    let words = |i: usize| ["cash", "goal", "vote"].into_iter().enumerate().filter(move |(k, _)| i >> k & 1 == 1);
    let text = |i: usize| words(i).map(|(_, word)| word).chain(["the", "day"]).collect::<Vec<_>>().join(" ");
    let labels = |i: usize| words(i).map(|(k, _)| ["money", "sport", "state"][k]).collect::<Vec<_>>();
    place.write("s.jsonl", lines(240, |i| serde_json::json!({"text": text(i), "labels": labels(i)}).to_string()));
    place.write("s.csv", format!("text,labels\n{}", lines(240, |i| format!("{},{}|", text(i), labels(i).join("|")))));
    for (data, out) in [("s.jsonl", "lists"), ("s.csv --label-separator |", "cells")] {
        let words =
            format!("train {data} --task classify-text --hidden 16 --embedding 16 --seed 1 --threads 1 --out {out}");
        let run = place.ok(&words);
        assert!(run.stderr.contains("3 labels, several a text"), "{run:?}");
        let run = place.run(&format!("eval {out} {} --json", data.split(' ').next().unwrap()));
        let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        for measure in ["micro_f1", "subset_accuracy"] {
            assert!(value[measure].as_f64().unwrap() > 0.98, "{measure}: {run:?}");
        }
    }
    place.write("new.txt", "cash vote the day\nthe day\n");
    let run = place.ok("predict lists new.txt --json");
    let found: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut both: Vec<&str> = found[0]["labels"].as_array().unwrap().iter().filter_map(|l| l.as_str()).collect();
    both.sort_unstable();
    assert_eq!((both, &found[1]["labels"]), (vec!["money", "state"], &serde_json::json!([])), "{run:?}");
    assert!(found[0]["probabilities"]["sport"].as_f64().unwrap() < 0.5);
    let run = place.ok("predict lists new.txt");
    assert!(run.stdout.lines().nth(1).unwrap().starts_with("no label\t"), "{run:?}");
    place.ok("report lists");
    place.run("eval lists s.jsonl --curves c.csv").fails(2, &["two classes"]);
    train(&place, "s.jsonl --task classify-text --class-weights balanced").fails(2, &["several labels"]);
    place.write("one.csv", reviews(60, ","));
    train(&place, "one.csv --task classify-text --from lists").fails(2, &["several labels"]);
}

#[test]
fn a_language_model_reads_marks_compressed_files_words_and_standard_input() {
    let place = Place::new();
    let text = lines(400, |i| format!("the cat sat on the mat and saw the dog {i}"));
    let tiny = format!("--hidden 8 --batch 4 --sample-length 20 {SHORT}");
    place.write("lm.txt", &text);
    place.ok(&format!("train lm.txt --level word --out words {tiny}"));
    place.write("marked.txt", format!("\u{feff}{}", text.replace('\n', "\r\n")));
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    place.write("utf16.txt", utf16);
    let nats = |file: &str| {
        let run = place.ok(&format!("eval words {file} --json"));
        serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap()["windowed_nats"].clone()
    };
    assert_eq!((nats("marked.txt"), nats("utf16.txt")), (nats("lm.txt"), nats("lm.txt")));
    let run = with_input(&place, &format!("train - --out piped {tiny}"), text.as_bytes());
    assert_eq!(run.code, 0, "{run:?}");
    std::fs::create_dir(place.path("parts")).unwrap();
    place.write("parts/a.txt", &text);
    place.write("parts/b.txt", &text);
    place.ok(&format!("train parts --out parts.run {tiny}"));
}

#[test]
fn a_stream_of_texts_goes_on_after_a_blank_or_a_bad_line() {
    let place = Place::new();
    text_model(&place);
    let run = with_input(&place, "predict texts -", b"good film\n\nbad \xff film\nbad film\n");
    let answers: Vec<&str> = run.stdout.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!((run.code, answers.len(), answers[1], answers[2]), (0, 4, "n/a", "n/a"), "{run:?}");
    assert!(
        run.stderr.contains("line 2: the text is empty") && run.stderr.contains("line 3: it is not UTF-8"),
        "{run:?}"
    );
    let run = with_input(&place, "predict texts - --json", b"\ngood film\n");
    assert!(run.stdout.starts_with("{\"error\":\"the text is empty\""), "{run:?}");
}

#[test]
fn pairs_are_of_texts_and_their_columns_are_said() {
    let place = Place::new();
    place.write("p.jsonl", lines(120, |i| format!("{{\"id\":{i},\"en\":\"one two {i}\",\"fr\":\"un deux {i}\"}}")));
    let found = said(&place, "p.jsonl --task translate");
    assert!(found.contains("the source is column \"en\", the target is column \"fr\""), "{found}");
    let found = said(&place, "p.jsonl --task translate --source-column fr --target-column en");
    assert!(found.contains("the source is column \"fr\""), "{found}");
}

#[test]
fn blank_texts_are_named_all_or_left_out_and_counted() {
    let place = Place::new();
    let row = |i: usize| {
        format!("{i}\t{}\t{}", if i.is_multiple_of(57) { String::new() } else { format!("영화 {i}") }, i % 2)
    };
    place.write("nsmc.txt", format!("id\tdocument\tlabel\n{}", lines(120, row)));
    train(&place, "nsmc.txt --task classify-text").fails(3, &["line 58", "likewise lines 115", "--skip-bad"]);
    let found = said(&place, "nsmc.txt --task classify-text --skip-bad");
    assert!(found.contains("2 rows without a text or a label left out"), "{found}");
}

#[test]
fn the_separator_is_told_by_content_whatever_the_name() {
    let place = Place::new();
    let rows = |sep: &str| {
        format!(
            "text{sep}label\n{}",
            lines(40, |i| format!("{} {i}{sep}{}", ["no", "yes"][i % 2], ["neg", "pos"][i % 2]))
        )
    };
    for (name, text) in [
        ("tabs.csv", rows("\t")),
        ("bars.txt", rows("|")),
        ("semicolons.txt", rows(";")),
        ("said.csv", format!("sep=;\n{}", rows(";"))),
        ("macintosh.csv", rows(",").replace('\n', "\r")),
        ("blank.csv", rows(",").replace(",", ", ").replace(", pos", ", \"pos\"").replace(", neg", ", \"neg\"")),
        ("comment.csv", format!("# made by hand\n{}", rows(","))),
        ("ends.csv", rows(";").replace('\n', ";\n")),
        ("commas.tsv", rows(",")),
    ] {
        place.write(name, text);
        let found = said(&place, &format!("{name} --task classify-text"));
        assert!(found.contains("2 classes"), "{name}: {found}");
    }
}

#[test]
fn words_at_each_step_are_read_as_words_and_conll_is_read() {
    let place = Place::new();
    let word = |s: usize, j: usize| (s * 7 + j * 61) % 400;
    let rows = |s: usize| (0..6).map(move |j| (word(s, j), ["V", "N"][word(s, j) % 2]));
    let table: String = (0..200).flat_map(|s| rows(s).map(move |(w, tag)| format!("{s},w{w},{tag}\n"))).collect();
    place.write("tags.csv", format!("sent,word,tag\n{table}"));
    let conll: String =
        (0..200).map(|s| rows(s).map(|(w, tag)| format!("w{w} {tag}\n")).collect::<String>() + "\n").collect();
    place.write("tags.conll", conll);
    let tagged = |s| rows(s).map(|(w, tag)| format!("w{w}/{tag}")).collect::<Vec<_>>().join(" ");
    place.write("tagged.txt", lines(200, tagged));
    let long = "--hidden 24 --max-steps 300 --seed 1 --threads 1 --vocab-min 1 --quiet";
    let files = [("tags.csv --sequence-column sent --label-column tag", "a"), ("tags.conll", "b"), ("tagged.txt", "c")];
    for (words, out) in files {
        place.ok(&format!("train {words} --task classify-frames --out {out} {long}"));
        let file = words.split(' ').next().unwrap();
        let run = place.ok(&format!("eval {out} {file} --json"));
        let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(found["frame_accuracy"].as_f64().or(found["accuracy"].as_f64()).unwrap() > 0.9, "{found}");
    }
    let sentences: String =
        (0..2).map(|s| rows(s).map(|(w, _)| format!("w{w}\n")).collect::<String>() + "\n").collect();
    let run = with_input(&place, "predict b", sentences.as_bytes());
    let labels: Vec<&str> = run.stdout.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    let want: Vec<&str> = (0..2).flat_map(|s| rows(s).map(|(_, tag)| tag)).collect();
    assert_eq!((run.code, labels), (0, want), "{run:?}");
    place.write("bad.txt", lines(200, |s| tagged(s).replace("w13/", "w13")));
    train(&place, "bad.txt --task classify-frames").fails(3, &["has no tag behind", "--skip-bad"]);
}

#[test]
fn series_are_read_from_ts_arff_and_rows_of_the_ucr_archive() {
    let place = Place::new();
    let series = |i: usize, n: usize| (0..n).map(|t| format!("{}", (i % 2) * t + i % 5)).collect::<Vec<_>>();
    let label = |i: usize| ["a", "b"][i % 2];
    let ts = lines(40, |i| format!("{}:{}", series(i, 12).join(","), label(i)));
    place.write("a.ts", format!("@problemName x\n@univariate true\n@classLabel true a b\n@data\n{ts}"));
    let arff = lines(40, |i| format!("{},{}", series(i, 3).join(","), label(i)));
    let attributes = lines(3, |i| format!("@attribute x{i} numeric"));
    place.write("a.arff", format!("@relation x\n{attributes}@attribute class {{a,b}}\n@data\n{arff}"));
    place.write("A_TRAIN.tsv", lines(40, |i| format!("{}\t{}", i % 2 + 1, series(i, 12).join(".5\t"))));
    for (words, what) in [
        ("a.ts --task classify-sequence", "format .ts"),
        ("a.arff --task classify", "ARFF"),
        ("A_TRAIN.tsv --task classify-sequence", "label in the first column"),
    ] {
        let found = said(&place, words);
        assert!(found.contains("2 classes") && found.contains(what), "{words}: {found}");
    }
    place.ok(&format!("train a.ts --task classify-sequence --hidden 8 --out ts {SHORT}"));
    assert_eq!(place.ok("predict ts a.ts").stdout.lines().count(), 40);
    place.write("bad.ts", "@classLabel true a b\n@data\n1,2:a\n1,2:c\n");
    train(&place, "bad.ts --task classify-sequence").fails(3, &["line 4", "\"c\""]);
}

#[test]
fn labels_that_are_measurements_are_refused_with_the_task_for_numbers() {
    let place = Place::new();
    place.write("m.csv", format!("x,y\n{}", lines(40, |i| format!("{},{}.25", i % 7, i * 3))));
    train(&place, "m.csv --task classify --label-column y")
        .fails(3, &["40 different numbers in 40 rows", "--task regress"]);
}

#[test]
fn memory_is_compared_with_what_there_is() {
    let place = Place::new();
    let run = place.run("train book.txt --hidden 20000 --layers 1 --embedding 20000 --out big");
    assert!(run.code == 2 || run.code == 0, "{run:?}");
    place.run("train book.txt --hidden 100000 --out big").fails(2, &["--hidden"]);
    assert!(!place.path("big").exists(), "nothing was begun");
}

#[test]
fn rows_unlike_anything_in_training_are_answered_with_a_word() {
    let place = Place::new();
    place.write(
        "p.csv",
        format!(
            "soil,light,ok\n{}",
            lines(60, |i| format!("{},{},{}", ["sand", "clay"][i % 2], i % 12, ["n", "y"][i % 2]))
        ),
    );
    place.ok(&format!("train p.csv --task classify --label-column ok --out p {SHORT}"));
    place.write("new.csv", "soil,light\nsand,4\nmud,4\nclay,1200000\n");
    let run = place.ok("predict p new.csv");
    assert_eq!(run.stdout.lines().count(), 3, "{run:?}");
    let said: Vec<&str> = run.stderr.lines().collect();
    assert!(said.len() == 2 && said[0].contains("\"mud\"") && said[1].contains("far outside"), "{said:?}");
}

#[test]
fn pictures_of_any_size_are_scaled() {
    let place = Place::new();
    for (i, class) in ["cat", "dog"].iter().cycle().take(24).enumerate() {
        let side = [8, 8, 12][i % 3];
        std::fs::create_dir_all(place.path(&format!("pictures/{class}"))).unwrap();
        let mut bytes = format!("P5 {side} {side} 255\n").into_bytes();
        bytes.extend((0..side * side).map(|at| (at * 37 + i * 11) as u8));
        place.write(&format!("pictures/{class}/{i}.pgm"), bytes);
    }
    let found = said(&place, "pictures --task classify");
    assert!(found.contains("8 images of other sizes are scaled to 8 wide and 8 high"), "{found}");
    place.ok(&format!("train pictures --task classify --dense 4 --size 10 --out p {SHORT}"));
    assert_eq!(place.ok("predict p pictures").stdout.lines().count(), 24, "a folder of folders");
    place.ok("eval p pictures");
}

#[test]
fn several_texts_are_one_and_a_config_goes_with_them() {
    let place = Place::new();
    let [a, b] = ["the cat sat", "a dog ran"].map(|words| lines(200, |i| format!("{words} {i}")));
    place.write("a.txt", a.trim_end());
    place.write("b.txt", &b);
    place.write("both.txt", format!("{a}{b}"));
    place.write("c.toml", "hidden = 8\nbatch = 4\nsample_length = 20\n");
    for (files, out) in [("a.txt b.txt c.toml", "two"), ("c.toml both.txt", "one")] {
        place.ok(&format!("train {files} --out {out} {SHORT}"));
    }
    assert_eq!(place.read("two/last.safetensors"), place.read("one/last.safetensors"));
    place.ok("train --resume two --max-steps 6 --quiet");
    train(&place, "c.toml c.toml").fails(2, &["config files"]);
    train(&place, "a.txt none.txt").fails(3, &["none.txt", "no such file"]);
    train(&place, "a.txt b.txt --task classify-text").fails(2, &["several files", "language-model"]);
}

#[test]
fn a_text_of_many_characters_is_learned_by_the_frequent_ones() {
    let place = Place::new();
    let rare: String = (0..700).filter_map(|i| char::from_u32(0x4E00 + i)).collect();
    place.write("book.txt", format!("{0}{rare}\n{0}", "Bäume und Blätter überall. ".repeat(8000)));
    let small = "--hidden 16 --batch 16 --quiet --threads 1";
    let run = place.ok(&format!("train book.txt --out run {}", small.replace("--quiet", "--max-steps 40")));
    assert!(run.stderr.contains("are spelled by their bytes (--vocab-size)"), "{run:?}");
    assert!(run.stderr.contains("bits per symbol"), "{run:?}");
    // A run that goes on has the vocabulary that it had.
    place.ok(&format!("train book.txt --out parts --max-steps 20 {small}"));
    place.ok("train --resume parts --max-steps 40 --quiet");
    let vocab = |run: &str| place.ok(&format!("inspect {run}/best.safetensors")).stdout;
    assert!(vocab("run").contains("symbols") && vocab("parts").contains("symbols"));
    // Characters that the text does not have are read; the program that is made of it has a name for each token.
    place.write("other.txt", "Ein 🦀 übt Bäume. ");
    place.run("eval run other.txt").fails(3, &["'E'", "not in the model's vocabulary"]);
    place.write("other.txt", "und 🦀 Bäume. ");
    assert!(place.ok("eval run other.txt").stdout.contains("bits per symbol"));
    place.ok("sample run --prompt Bäu🦀 --length 20");
    place.ok("export run/best.safetensors --to c --out net.h");
    assert!(String::from_utf8(place.read("net.h")).unwrap().contains("\\\\xf0"));
    // All of them, where they are asked for.
    let all = place.ok(&format!("train book.txt --out all --vocab-size 2000 --max-steps 2 {small}"));
    assert!(!all.stderr.contains("spelled") && vocab("all").contains("characters"));
    place.run("train book.txt --bytes --vocab-size 9").fails(2, &["--vocab-size", "is not read with --bytes"]);
}
