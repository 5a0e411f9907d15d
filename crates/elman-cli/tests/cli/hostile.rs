//! Files made to take the machine: each is refused, or answered, before memory or time are taken for what it claims.

use elman::format::document::{DocumentWriter, Tensor, TensorData};
use elman::format::model;
use serde_json::{Value, json};

use crate::place::{Place, with_input};

/// Writes `to`: the model of the run `from` with its config and its first tensor changed, and the checksums right.
fn change(place: &Place, from: &str, to: &str, config: impl FnOnce(&mut Value), weight: Option<f32>) {
    let loaded = model::load(&place.path(from)).unwrap();
    let mut changed = loaded.document.config().clone();
    config(&mut changed);
    let names: Vec<&str> = loaded.document.names().collect();
    let mut values: Vec<Vec<f32>> = names.iter().map(|name| loaded.document.f32(name).unwrap().to_vec()).collect();
    if let Some(weight) = weight {
        values[0][0] = weight;
    }
    let tensor = |(name, values): (&&str, &'_ Vec<f32>)| -> (String, Vec<usize>, Vec<f32>) {
        (name.to_string(), loaded.document.tensor(name).unwrap().dims.to_vec(), values.clone())
    };
    let parts: Vec<_> = names.iter().zip(&values).map(tensor).collect();
    let tensors = parts.iter().map(|(name, dims, values)| Tensor {
        name: name.clone(),
        dims: dims.clone(),
        data: TensorData::F32(values),
    });
    place.write(to, DocumentWriter { config: changed, tensors: tensors.collect() }.to_bytes().unwrap());
}

/// Replaces every value of this key, however deep.
fn set(value: &mut Value, key: &str, new: &Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(name, value)| match name == key {
            true => *value = new.clone(),
            false => set(value, key, new),
        }),
        Value::Array(values) => values.iter_mut().for_each(|value| set(value, key, new)),
        _ => {}
    }
}

/// A row a step of two machines, and numbers to learn.
fn tables(place: &Place) {
    let rows: String = (0..80).map(|i| format!("{},{},{}\n", i / 40, i % 7, ["on", "off"][i / 4 % 2])).collect();
    place.write("log.csv", format!("sequence,x,label\n{rows}"));
    let rows: String = (0..40).map(|i| format!("{i},{}\n", 3 * i % 11)).collect();
    place.write("reg.csv", format!("x,y\n{rows}"));
    place.write("pairs.tsv", "a b c\tx y z\nd e\tu v\na d\tx u\nb e\ty v\n".repeat(10));
}

const SMALL: &str = "--max-steps 4 --batch 4 --seed 1 --threads 1 --quiet";

#[test]
fn a_network_of_more_layers_or_larger_than_its_tensors_is_refused_at_once() {
    let place = Place::new();
    tables(&place);
    place.ok(&format!("train log.csv --task classify-frames --sequence-column sequence --label-column label --out log --hidden 4 --layers 1 {SMALL}"));
    place.ok(&format!(
        "train pairs.tsv --task translate --out pairs --hidden 8 --encoder-hidden 8 --embedding 8 {SMALL}"
    ));
    place.train("text", "");
    for run in ["log", "pairs", "text"] {
        for key in ["layers", "hidden", "classes", "embedding"] {
            let size = json!(1_000_000_000_000u64);
            change(&place, run, "bad.safetensors", |config| set(&mut config["network"], key, &size), None);
            if model::load(&place.path("bad.safetensors")).unwrap().document.config()
                == model::load(&place.path(run)).unwrap().document.config()
            {
                continue;
            }
            place.run("inspect bad.safetensors").fails(4, &["bad.safetensors"]);
        }
    }
}

#[test]
fn what_a_model_says_of_lengths_temperatures_and_deviations_is_in_range() {
    let place = Place::new();
    tables(&place);
    place.ok(&format!("train log.csv --task classify-frames --sequence-column sequence --label-column label --out log --hidden 4 --layers 1 --dense 4 {SMALL}"));
    place.ok(&format!("train reg.csv --task regress --label-column y --out reg --dense 4 {SMALL}"));
    place.ok(&format!(
        "train pairs.tsv --task translate --out pairs --hidden 8 --encoder-hidden 8 --embedding 8 {SMALL}"
    ));
    for (run, key, value) in [
        ("log", "lookahead", json!(100_000_000)),
        ("log", "lookahead", json!(u64::MAX)),
        ("log", "temperature", json!(0)),
        ("log", "temperature", json!(-1.0)),
        ("log", "deviation", json!(0)),
        ("reg", "deviation", json!(0.0)),
        ("pairs", "min-length", json!(1_000_000_000_000u64)),
    ] {
        let before = model::load(&place.path(run)).unwrap().document.config().clone();
        change(&place, run, "bad.safetensors", |config| set(config, key, &value), None);
        assert_ne!(
            model::load(&place.path("bad.safetensors")).unwrap().document.config(),
            &before,
            "{run} has no {key}"
        );
        place.run("inspect bad.safetensors").fails(4, &["bad.safetensors"]);
    }
    for weight in [f32::NAN, f32::INFINITY] {
        change(&place, "reg", "bad.safetensors", |_| {}, Some(weight));
        place.run("eval bad.safetensors reg.csv").fails(4, &["bad.safetensors", "not finite"]);
    }
}

#[test]
fn a_model_moves_no_cursor() {
    let place = Place::new();
    place.train("run", "");
    let escape = json!("\x1b[2J\x1b]0;owned\x07");
    change(&place, "run", "bad.safetensors", |config| config["trained"] = json!({"\x1b[31mkey": escape}), None);
    let shown = place.ok("inspect bad.safetensors");
    assert!(shown.stdout.contains("owned") && !shown.stdout.contains(['\x1b', '\x07']), "{shown:?}");
    change(&place, "run", "bad.safetensors", |config| config["task"] = escape.clone(), None);
    let refused = place.run("inspect bad.safetensors");
    assert!(refused.code == 4 && !refused.stderr.contains('\x1b'), "{refused:?}");
}

#[test]
fn a_run_folder_runs_no_script_in_the_page() {
    let place = Place::new();
    place.train("run", "");
    let metrics = String::from_utf8(place.read("run/metrics.jsonl")).unwrap();
    let hostile = metrics.replace("\"val_nats\":", "\"val_<script>alert(1)</script>\":1.0,\"val_nats\":");
    assert_ne!(hostile, metrics);
    place.write("run/metrics.jsonl", hostile);
    place.ok("report run --out page.html");
    let page = String::from_utf8(place.read("page.html")).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"), "{page}");
}

#[test]
fn what_is_read_of_a_file_and_the_threads_have_limits_that_can_be_set() {
    let place = Place::new();
    let words = "train book.txt --out run --hidden 8 --batch 4 --seq-len 16 --max-steps 2 --seed 1 --quiet";
    place.run(&format!("{words} --max-input 1KiB")).fails(3, &["book.txt", "more than 1024 bytes", "--max-input"]);
    place.run(&format!("{words} --max-input many")).fails(2, &["--max-input many"]);
    let mut command = place.command(words);
    let refused = command.env("ELMAN_MAX_INPUT", "1000").output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    place.ok(&format!("{words} --max-input 1MB"));
    for threads in ["60000", "9223372036854775807"] {
        place.run(&format!("{words} --threads {threads}")).fails(2, &["--threads", "1024"]);
        place.run(&format!("eval run book.txt --threads {threads}")).fails(2, &["--threads", "1024"]);
    }
}

#[test]
fn settings_without_end_are_refused() {
    let place = Place::new();
    tables(&place);
    for (task, flag, value) in [
        ("language-model", "seq-len", "18446744073709551615"),
        ("language-model", "embedding", "9223372036854775807"),
        ("language-model", "accumulate", "9223372036854775807"),
        ("language-model", "sample-length", "9223372036854775807"),
        ("language-model", "hidden", "1048576"),
        ("classify-frames", "context", "9223372036854775807"),
        ("classify-frames", "lookahead", "9223372036854775807"),
        ("translate", "coverage-penalty", "nan"),
        ("translate", "length-penalty", "inf"),
        ("caption", "feature-dropout", "nan"),
    ] {
        let run = place.run(&format!("train --task {task} --out run --max-steps 1 --{flag} {value}"));
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(&format!("--{flag}")) && !run.stderr.contains("panicked"), "{run:?}");
    }
}

#[test]
fn a_stream_without_line_ends_is_refused() {
    let place = Place::new();
    tables(&place);
    place.ok(&format!("train log.csv --task classify-frames --sequence-column sequence --label-column label --out log --hidden 4 --layers 1 {SMALL}"));
    let run = with_input(&place, "predict log/best.safetensors -", &vec![b'1'; 20 << 20]);
    run.fails(3, &["standard input", "line 1 is longer than 16 MiB"]);
}
