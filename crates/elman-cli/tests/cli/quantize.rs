//! `elman quantize` and `elman bench`.

use crate::place::{Place, TINY};
use elman_graph::{Tensor, npy};
use serde_json::Value;

#[test]
fn a_model_in_fewer_bits_is_smaller_and_read_by_every_command() {
    let place = Place::new();
    place.train("run", "--quiet --hidden 64 --embedding 0 --max-steps 60 --lr 0.02");
    for (precision, most) in [("bf16", 0.7), ("int8", 0.6)] {
        let out = format!("{precision}.safetensors");
        let words = format!("quantize run/best.safetensors --precision {precision} --out {out} --data book.txt");
        let json: Value = serde_json::from_str(&place.ok(&format!("{words} --json")).stdout).unwrap();
        let number = |key: &str| json[key].as_f64().unwrap_or_else(|| panic!("{key}: {json}"));
        assert!(number("bytes_after") < most * number("bytes_before"), "{json}");
        assert_eq!(number("bytes_after") as usize, place.read(&out).len());
        let loss = (number("nats_after") - number("nats_before")).abs();
        assert!(loss > 0.0 && loss < 0.05, "{json}");
        // Before: what `eval` calls streaming.
        let eval = place.ok("eval run/best.safetensors book.txt --json").stdout;
        let eval: Value = serde_json::from_str(&eval).unwrap();
        assert!((eval["streaming_nats"].as_f64().unwrap() - number("nats_before")).abs() < 1e-4, "{eval} {json}");
        let text = place.ok(&words).stdout;
        assert!(text.contains(precision) && text.contains("loss") && text.contains("bits per character"), "{text}");
        place.ok(&format!("eval {out} book.txt"));
        assert_eq!(place.ok(&format!("sample {out} --length 20 --seed 1")).stdout.chars().count(), 21);
        let whole = place.ok("inspect run/best.safetensors --json").stdout;
        let parameters = |text: &str| serde_json::from_str::<Value>(text).unwrap()["parameters"].as_u64().unwrap();
        assert_eq!(parameters(&place.ok(&format!("inspect {out} --json")).stdout), parameters(&whole));
        assert!(place.ok(&format!("inspect {out}")).stdout.contains(if precision == "int8" { " I8 " } else { "BF16" }));
        place.run(&format!("quantize {out} --precision int8 --out again.safetensors")).fails(4, &["already rounded"]);
        let resumed = place.run(&format!("train --resume {out}"));
        assert_ne!(resumed.code, 0);
    }
}

#[test]
fn a_checkpoint_becomes_a_model_and_a_foreign_text_leaves_the_loss_unmeasured() {
    let place = Place::new();
    place.train("run", "--quiet");
    let text = place.ok("quantize run/last.safetensors --precision int8 --out small.safetensors").stdout;
    assert!(text.contains("not measured") && text.contains("--data"), "{text}");
    let config: Value = serde_json::from_str(&place.ok("inspect small.safetensors --json").stdout).unwrap();
    assert_eq!(config["config"]["kind"], "model");
}

#[test]
fn a_model_of_the_built_in_text_is_measured_on_it() {
    let place = Place::new();
    place.ok(&format!("train --preset quick --out run {} --quiet", TINY));
    let json = place.ok("quantize run/best.safetensors --precision bf16 --out small.safetensors --json").stdout;
    assert!(serde_json::from_str::<Value>(&json).unwrap()["symbols"].as_u64().unwrap() > 1000, "{json}");
}

#[test]
fn a_classifier_is_measured_by_its_accuracy_on_data() {
    let place = Place::new();
    let row = |i: usize| format!("{},{}\n", i % 10, if i % 10 < 5 { "low" } else { "high" });
    place.write("t.csv", String::from("x,class\n") + &(0..100).map(row).collect::<String>());
    place.ok("train t.csv --task classify --label-column class --out run --max-steps 40 --seed 1 --quiet");
    let words = "quantize run --precision int8 --out small.safetensors";
    let text = place.ok(&format!("{words} --data t.csv")).stdout;
    assert!(text.contains("accuracy: ") && text.contains("measured on 100 examples"), "{text}");
    let json: Value = serde_json::from_str(&place.ok(&format!("{words} --data t.csv --json")).stdout).unwrap();
    assert!(json["accuracy_before"].is_number() && json["accuracy_after"].is_number(), "{json}");
    place.run(&format!("{words} --data t.csv --skip-unseen")).fails(2, &["--skip-unseen", "language-model"]);
    place.run(&format!("{words} --data t.csv --text-column x")).fails(2, &["--text-column x", "classify-text"]);
    assert!(place.ok(words).stdout.contains("not measured"));
}

#[test]
fn wrong_use_of_quantize_writes_nothing() {
    let place = Place::new();
    place.train("run", "--quiet");
    let quantize = |more: &str| place.run(&format!("quantize run/best.safetensors {more}"));
    quantize("--precision int4 --out small").fails(2, &["int4", "int8", "bf16"]);
    quantize("--out small").fails(2, &["--precision"]);
    quantize("--precision int8").fails(2, &["--out"]);
    quantize("--precision int8 --out run/best.safetensors").fails(2, &["--out", "another file"]);
    quantize("--precision int8 --out run/../run/best.safetensors").fails(2, &["another file"]);
    quantize("--precision int8 --out small --data absent.txt").fails(3, &["absent.txt"]);
    place.write("other.txt", "Ünknown symbols");
    quantize("--precision int8 --out small --data other.txt").fails(3, &["other.txt", "'Ü'", "--skip-unseen"]);
    quantize("--precision int8 --out none/small").fails(6, &["none"]);
    place.run("quantize book.txt --precision int8 --out small").fails(4, &["book.txt"]);
    place.run("quantize absent --precision int8 --out small").fails(4, &["absent"]);
    assert!(!place.path("small").exists());
}

#[test]
fn a_bench_of_a_model_has_a_row_for_each_precision_and_one_of_training() {
    let place = Place::new();
    place.train("run", "--quiet");
    let json: Value = serde_json::from_str(&place.ok("bench run/best.safetensors --json --threads 1").stdout).unwrap();
    let steps = json["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|row| row["precision"].as_str().unwrap()).collect::<Vec<_>>(), ["f32", "bf16", "int8"]);
    for row in steps {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(number("median_us") > 0.0 && number("worst_us") >= number("p99_us"), "{row}");
    }
    assert!(
        json["peak_gflops"].as_f64().unwrap() > 0.0 && json["training"][0]["share_of_peak"].as_f64().unwrap() > 0.0
    );
    place.ok("quantize run/best.safetensors --precision int8 --out small.safetensors");
    let text = place.ok("bench small.safetensors --threads 1").stdout;
    assert!(text.contains("GFLOP/s") && text.contains("int8") && text.contains("training step"), "{text}");
    place.run("bench absent.safetensors").fails(4, &["absent"]);
    place.run("bench book.txt").fails(4, &["book.txt"]);
}

/// A network that nothing here trained: an amplifier with weights of up to `loudest`.
fn amplifier(place: &Place, loudest: f32) {
    let hidden = 24;
    let row = |n: usize, seed: usize| -> Vec<String> {
        (0..n).map(|i| (loudest * (((i * 37 + seed) % 101) as f32 / 50.0 - 1.0)).to_string()).collect()
    };
    // Rows of i f g o over the input and the state, biases, and the initial h and c; then the head.
    let count = 4 * hidden * (1 + hidden) + 4 * hidden + 2 * hidden + hidden + 1;
    let config = format!("{{\"input_size\": 1, \"hidden_size\": {hidden}, \"num_layers\": 1}}");
    let text = format!(
        "{{\"version\": \"0.5.2\", \"architecture\": \"LSTM\", \"config\": {config}, \"weights\": [{}]}}",
        row(count, 3).join(", ")
    );
    place.write("amp.nam", text);
}

#[test]
fn a_foreign_network_is_measured_on_a_signal_and_the_loss_of_an_amplifier_is_told() {
    let place = Place::new();
    // So loud that a small change soon makes another signal.
    amplifier(&place, 5.0);
    let said = place.ok("quantize amp.nam --precision int8 --out int8.safetensors");
    assert!(said.stdout.contains("largest error") && said.stdout.contains("noise"), "{said:?}");
    assert!(said.stderr.contains("warning") && said.stderr.contains("int8"), "{said:?}");
    amplifier(&place, 1.25);
    let said = place.ok("quantize amp.nam --precision bf16 --out bf16.safetensors --json").stdout;
    let json: Value = serde_json::from_str(&said).unwrap();
    let number = |key: &str| json[key].as_f64().unwrap_or_else(|| panic!("{key}: {json}"));
    assert!(number("bytes_after") < number("bytes_before"), "{json}");
    assert!(number("largest_error") > 0.0 && number("error_to_signal") < 0.1 && number("values") == 4800.0, "{json}");

    // On data of the user's; the file that was written has that error when it runs.
    let x: Vec<f32> = (0..200).map(|t| (t as f32 * 0.3).sin() * 0.4).collect();
    npy::write(&place.path("in.npy"), &Tensor::from_f32([200], x).unwrap()).unwrap();
    let words = "quantize amp.nam --precision int8 --out small.safetensors --data in.npy --json";
    let json: Value = serde_json::from_str(&place.ok(words).stdout).unwrap();
    place.ok("run amp.nam --input in.npy --out full.npy --steps");
    place.ok("run small.safetensors --input in.npy --out small.npy --steps");
    let values = |name: &str| npy::read(&place.path(name)).unwrap().to_f32();
    let pairs = values("full.npy").into_iter().zip(values("small.npy"));
    let largest = pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    assert!((json["largest_error"].as_f64().unwrap() - largest).abs() < 1e-6, "{json} {largest}");
    place.ok("inspect small.safetensors");
    place.ok("export small.safetensors --to onnx --out small.onnx");
    place.run("quantize small.safetensors --precision int8 --out again").fails(4, &["already rounded"]);
    place.run("quantize amp.nam --precision int8 --out amp.nam").fails(2, &["another file"]);
    place.run("quantize amp.nam --precision int8 --out o --data in.npy --skip-unseen").fails(2, &["--skip-unseen"]);
    place.run("quantize amp.nam --precision int8 --out o --header no").fails(2, &["--header"]);
    place.run("quantize amp.nam --precision int8 --out o --data absent.npy").fails(4, &["absent.npy"]);
    assert!(!place.path("o").exists() && !place.path("again").exists());
}

#[test]
fn a_foreign_network_is_timed_in_each_precision_and_a_rounded_one_in_its_own() {
    let place = Place::new();
    amplifier(&place, 1.25);
    let precisions = |words: &str| -> Vec<String> {
        let json: Value = serde_json::from_str(&place.ok(words).stdout).unwrap();
        assert!(json["training"].as_array().unwrap().is_empty(), "{json}");
        let rows = json["steps"].as_array().unwrap().iter();
        rows.inspect(|row| assert!(row["median_us"].as_f64().unwrap() > 0.0, "{row}"))
            .map(|row| row["precision"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(precisions("bench amp.nam --json"), ["f32", "bf16", "int8"]);
    place.ok("quantize amp.nam --precision int8 --out int8.safetensors");
    assert_eq!(precisions("bench int8.safetensors --json"), ["int8"]);
    assert!(!place.ok("bench amp.nam").stdout.contains("training"));
    place.train("run", "--quiet");
    place.run("bench run --layers a,b").fails(2, &["--layers", "made elsewhere"]);
    place.run("bench --key a").fails(2, &["--key"]);
}
