//! `elman train --task translate`, and what its models are used for.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use crate::place::{Place, Run};
use serde_json::Value;

/// Settings of a run that takes some seconds.
const SMALL: &str = "--hidden 32 --encoder-hidden 16 --embedding 24 --units word --vocab-min 1 --dropout 0 \
                     --label-smoothing 0 --average 0 --lr 0.01 --warmup 10 --batch 16 --seed 1 --threads 1";

/// Numbers of some digits and their names, each on a line of its own file.
fn pairs(n: usize, first: usize) -> (String, String) {
    const NAMES: [&str; 4] = ["zéro", "un", "deux", "trois"];
    let (mut source, mut target) = (String::new(), String::new());
    for i in first..first + n {
        let digits = [i % 4, i / 4 % 4, i / 16 % 4];
        let digits = &digits[..1 + i % 3];
        source.push_str(&digits.iter().map(usize::to_string).collect::<Vec<_>>().join(" "));
        target.push_str(&digits.iter().map(|&digit| NAMES[digit]).collect::<Vec<_>>().join(" "));
        source.push('\n');
        target.push('\n');
    }
    (source, target)
}

fn place() -> Place {
    let place = Place::new();
    for (name, n, first) in [("train", 400, 0), ("val", 40, 1000)] {
        let (source, target) = pairs(n, first);
        place.write(&format!("{name}.en"), source);
        place.write(&format!("{name}.fr"), target);
    }
    place
}

const DATA: &str = "--source train.en --target train.fr --val-source val.en --val-target val.fr";

fn train(place: &Place, name: &str, more: &str) -> Run {
    place.ok(&format!("train --task translate {DATA} --out {name} {SMALL} {more}"))
}

#[test]
fn a_small_language_is_learnt_measured_and_written() {
    let place = place();
    let run = train(&place, "run", "--epochs 25");
    for part in
        ["train.en: 400 training pairs", "BLEU", "perplexity", "per word", "teacher-forced", "words/s", "elman predict"]
    {
        assert!(run.stderr.contains(part), "`{part}` is not in {run:?}");
    }
    assert!(!run.stderr.contains("bits"), "{run:?}");
    let model = "run/best.safetensors";

    let words = format!("eval {model} --source val.en --target val.fr --json --threads 1");
    let found: Value = serde_json::from_str(&place.ok(&words).stdout).unwrap();
    assert!(found["bleu"].as_f64().unwrap() > 90.0 && found["chrf"].as_f64().unwrap() > 90.0, "{found}");
    assert!(found["loss_nats"].as_f64().unwrap() < 0.3 && found["pairs"] == 40 && found["beam"] == 5, "{found}");
    assert!(found["signature"].as_str().unwrap().contains("tok:13a"), "{found}");
    let text = place.ok(&format!("eval {model} --source val.en --target val.fr --beam 1")).stdout;
    assert!(text.contains("perplexity") && text.contains("per word") && text.contains("beam 1"), "{text}");

    let mut command = place.command(&format!("predict {model}"));
    let output = command.args(["2 1", "3"]).output().unwrap();
    assert_eq!(Run::of("predict", output).stdout, "deux un\ntrois\n");
    let run = place.ok(&format!("predict {model} 3 --nbest 3 --scores"));
    let scores: Vec<f64> = run.stdout.lines().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect();
    assert!(scores.len() == 3 && scores.is_sorted_by(|a, b| a >= b), "{run:?}");
    assert_eq!(run.stdout.lines().next().unwrap().split('\t').nth(2), Some("trois"));
    let run = place.ok(&format!("predict {model} 3 --nbest 2 --json"));
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&found["input"], &found["text"]), (&"3".into(), &"trois".into()));
    assert_eq!(found["nbest"].as_array().unwrap().len(), 2);

    let run = place.ok(&format!("predict {model} 3 --nbest 2 --csv"));
    assert!(
        run.stdout.starts_with("input,text,score,log_prob\n3,trois,-") && run.stdout.lines().count() == 3,
        "{run:?}"
    );

    // A symbol never seen is read as the unknown one.
    assert_eq!(place.ok(&format!("predict {model} 犬")).stdout.lines().count(), 1);
    // Any length is read; what is written is limited by it.
    place.write("long.txt", "2 1 ".repeat(5000) + "\n");
    let run = place.ok(&format!("predict {model} --source long.txt --beam 1"));
    assert_eq!(run.stdout.lines().count(), 1);
    assert!(run.stderr.contains("long.txt: line 1") && run.stderr.contains("10000"), "{}", run.stderr);
}

#[test]
fn each_answer_is_there_before_the_next_line_is_read() {
    let place = place();
    train(&place, "run", "--max-steps 5 --quiet");
    let mut child =
        place.command("predict run/best.safetensors").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut input = child.stdin.take().unwrap();
    for text in ["1 2", "3", "0 0 1"] {
        writeln!(input, "{text}").unwrap();
        // Blocks for ever if the answer were kept until the end.
        answers.next().unwrap().unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn models_of_the_same_tokens_write_together_and_others_are_named() {
    let place = place();
    train(&place, "a", "--max-steps 60 --quiet");
    train(&place, "b", "--max-steps 60 --quiet --seed 2 --cell lstm --conditional=false");
    let eval = |more: &str| -> Value {
        let words = format!("eval a/best.safetensors --source val.en --target val.fr --json {more}");
        serde_json::from_str(&place.ok(&words).stdout).unwrap()
    };
    let (alone, twins) = (eval(""), eval("--ensemble a/best.safetensors"));
    assert_eq!((&alone["models"], &twins["models"]), (&1.into(), &2.into()));
    assert_eq!(alone["bleu"], twins["bleu"]);
    let nats = |found: &Value| found["loss_nats"].as_f64().unwrap();
    assert!((nats(&alone) - nats(&twins)).abs() < 1e-5);
    let both = eval("--ensemble b/best.safetensors");
    assert!(nats(&both) != nats(&alone));
    assert_eq!(place.ok("predict a/best.safetensors 3 --ensemble b/best.safetensors").stdout.lines().count(), 1);

    train(&place, "c", "--max-steps 2 --quiet --units char");
    let run = place.run("predict a/best.safetensors 3 --ensemble c/best.safetensors");
    run.fails(2, &["a/best.safetensors", "c/best.safetensors", "same tokens"]);
}

/// A run that is killed soon after its first checkpoint, and then goes on to its end.
fn killed_and_resumed(place: &Place, name: &str, words: &str) {
    let mut child = place.command(&format!("{words} --checkpoint-every 1")).spawn().unwrap();
    while !place.path(&format!("{name}/last.safetensors")).exists() {
        assert!(child.try_wait().unwrap().is_none_or(|status| status.success()));
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(50));
    // Too late is well too: it has ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
    place.ok(&format!("train --resume {name} --quiet"));
}

#[test]
fn scheduled_sampling_changes_training_and_repeats_and_resumes_bit_for_bit() {
    let place = place();
    let more = "--scheduled-sampling 0.5 --quiet --batch 32 --max-steps 30 --epochs 0 --val-every 30";
    train(&place, "a", more);
    place.ok(&format!("train --task translate {DATA} --out b {SMALL} {more} --threads 3"));
    train(&place, "none", "--quiet --batch 32 --max-steps 30 --epochs 0 --val-every 30");
    let best = |name: &str| place.read(&format!("{name}/best.safetensors"));
    assert!(best("a") == best("b") && best("a") != best("none"));

    killed_and_resumed(&place, "killed", &format!("train --task translate {DATA} --out killed {SMALL} {more}"));
    assert!(best("killed") == best("a"));
    let run = place.run(&format!(
        "train --task translate {DATA} --out c {SMALL} --epochs 0 --max-time 1s --scheduled-sampling 0.5"
    ));
    run.fails(2, &["--scheduled-sampling", "--max-steps"]);
    place.run("train book.txt --out d --scheduled-sampling 0.5").fails(2, &["--scheduled-sampling", "translate"]);
}

#[test]
fn texts_are_cut_and_blotted_out_another_way_each_time_and_such_a_run_repeats_and_resumes_bit_for_bit() {
    let place = place();
    let small = SMALL.replace("--units word --vocab-min 1", "--vocab-size 60 --vocab-min 1");
    let train = |name: &str, more: &str| {
        let end = "--quiet --batch 32 --max-steps 12 --epochs 0 --val-every 6";
        format!("train --task translate {DATA} --out {name} {small} {end} {more}")
    };
    let best = |name: &str| place.read(&format!("{name}/best.safetensors"));
    place.ok(&train("none", "--subword-dropout 0"));
    let ways =
        ["--subword-dropout 0.2", "--word-dropout 0.2", "--conditional=false --subword-dropout 0.1 --word-dropout 0.1"];
    for (i, way) in ways.into_iter().enumerate() {
        let (once, again, parts) = (format!("once{i}"), format!("again{i}"), format!("parts{i}"));
        place.ok(&train(&once, way));
        place.ok(&train(&again, &format!("{way} --threads 3")));
        assert!(best(&once) == best(&again) && best(&once) != best("none"), "{way}");
        killed_and_resumed(&place, &parts, &train(&parts, way));
        assert!(best(&parts) == best(&once), "{way}");
    }
    let refused = |more: &str, parts: &[&str]| {
        place.run(&format!("train --task translate {DATA} --out x {small} {more}")).fails(2, parts);
    };
    refused("--units word --subword-dropout 0.2", &["--subword-dropout", "--units subword"]);
    refused("--subword-dropout 1", &["--subword-dropout", "[0, 1)"]);
    refused("--upper-layers 2", &["--conditional", "--upper-layers", "--conditional=false"]);
    refused("--upper-layers 0", &["--conditional", "--upper-layers"]);
    place.run("train book.txt --out d --word-dropout 0.1").fails(2, &["--word-dropout", "translate"]);
    place.run("train book.txt --out d --conditional").fails(2, &["--conditional", "translate"]);
}

#[test]
fn a_decoder_of_layers_learns_with_dot_products_too_and_attention_is_drawn() {
    let place = place();
    train(&place, "run", "--epochs 25 --conditional=false --attention general --quiet");
    let model = "run/best.safetensors";
    let words = format!("eval {model} --source val.en --target val.fr --json --threads 1");
    let found: Value = serde_json::from_str(&place.ok(&words).stdout).unwrap();
    assert!(found["bleu"].as_f64().unwrap() > 90.0, "{found}");
    place.write("two.en", "2 1\n3\n");
    let run = place.ok(&format!("predict {model} --source two.en --attention looks.html"));
    assert_eq!(run.stdout, "deux un\ntrois\n");
    let page = String::from_utf8(place.read("looks.html")).unwrap();
    // A row for the tokens read, and one for each word written.
    assert_eq!(page.matches("<table").count(), 2, "{page}");
    assert_eq!(page.matches("<tr>").count(), (1 + 2) + (1 + 1), "{page}");
    for word in ["deux", "trois"] {
        assert!(page.contains(word), "{page}");
    }
}

#[test]
fn numbers_and_dates_are_learnt_from_without_a_file() {
    let place = Place::new();
    let run = place.ok("train --task translate --out run --max-steps 20 --seed 1 --threads 1");
    for part in ["built-in data: 5,700 training pairs", "300 validation pairs", "source: ", "written: ", "right: "] {
        assert!(run.stderr.contains(part), "`{part}` is not in {run:?}");
    }
}

#[test]
fn wrong_input_is_named() {
    let place = place();
    place.write("short.fr", "un\ndeux\n");
    let run = place.run(&format!("train --task translate --source train.en --target short.fr --out x {SMALL}"));
    run.fails(3, &["train.en", "400 lines", "short.fr", "2"]);
    place.write("gap.en", "1\n\n2\n");
    place.write("gap.fr", "un\nun\ndeux\n");
    let run = place.run(&format!("train --task translate --source gap.en --target gap.fr --out x {SMALL}"));
    run.fails(3, &["gap.en", "line 2", "empty"]);
    place.run("train --task translate --target train.fr --out x").fails(2, &["--target", "--source"]);
    train(&place, "run", "--max-steps 2 --quiet");
    let model = "run/best.safetensors";
    place.run(&format!("predict {model} --source gap.en")).fails(3, &["gap.en", "line 2", "empty"]);
    place.run(&format!("predict {model} --source none.en")).fails(3, &["none.en"]);
    place.run(&format!("predict {model} 3 --source val.en")).fails(2, &["--source"]);
    place.run(&format!("predict {model} 3 --nbest 9")).fails(2, &["--nbest 9"]);
    place.run(&format!("eval {model} --source val.en --target short.fr")).fails(3, &["40 lines", "short.fr has 2"]);
    place.run(&format!("eval {model} --source val.en")).fails(2, &["--target"]);
}
