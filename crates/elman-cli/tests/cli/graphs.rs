//! `elman import`, `run`, `export` and `inspect` of networks of any kind.

use elman_graph::{Dtype, Tensor, npy};

use crate::place::Place;

/// `count` tokens that the model knows.
fn tokens(place: &Place, name: &str, count: usize) -> Vec<u32> {
    let tokens: Vec<u32> = (0..count as u32).map(|i| i * 7 % 20).collect();
    let tensor = Tensor::from_i64([count], tokens.iter().map(|t| i64::from(*t)).collect()).unwrap();
    npy::write(&place.path(name), &tensor).unwrap();
    tokens
}

fn values(place: &Place, name: &str) -> Vec<f32> {
    npy::read(&place.path(name)).unwrap().to_f32()
}

fn near(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0))
}

#[test]
fn a_trained_model_runs_whole_and_in_steps_and_comes_back_from_onnx_with_its_bits() {
    let place = Place::new();
    for cell in ["lstm", "lstm-peephole", "gru", "gru-reset-before", "rnn-tanh", "rnn-relu"] {
        place.train(cell, &format!("--quiet --layers 2 --cell {cell}"));
        let model = format!("{cell}/best.safetensors");
        let tokens = tokens(&place, "in.npy", 40);
        place.ok(&format!("run {model} --input in.npy --out y.npy"));
        place.ok(&format!("run {model} --input in.npy --out logits=steps.npy --steps"));
        let mut network = elman::Stack::load(place.path(&model)).unwrap();
        let want: Vec<f32> = tokens.iter().flat_map(|t| network.step_token(*t).unwrap().to_vec()).collect();
        let (whole, steps) = (values(&place, "y.npy"), values(&place, "steps.npy"));
        assert!(near(&whole, &want) && near(&steps, &want), "{cell}");
        assert_eq!(npy::read(&place.path("y.npy")).unwrap().dims()[0], 40);

        place.ok(&format!("import {model} --out X.safetensors --test in.npy y.npy"));
        place.ok("run X.safetensors --input in.npy --out x.npy");
        assert_eq!(values(&place, "x.npy"), whole, "{cell}");
        place.ok("export X.safetensors --to onnx --out m.onnx");
        place.ok("run m.onnx --input tokens=in.npy --out logits=onnx.npy");
        assert_eq!(values(&place, "onnx.npy"), whole, "{cell}");
        place.ok("export X.safetensors --to onnx --stateful --out step.onnx");
        place.ok("inspect step.onnx");
    }
}

#[test]
fn a_classifier_of_rows_runs_as_a_graph_with_the_probabilities_that_it_predicts() {
    let place = Place::new();
    // Means of 0 and deviations of 1: what a graph reads is standardized already.
    let row = |i: usize| [[-1.0f32, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]][i % 4];
    let cells = |i: usize| format!("{},{}", row(i)[0], row(i)[1]);
    let line = |i: usize| format!("{},{}\n", cells(i), ["a", "a", "b", "b"][i % 4]);
    place.write("rows.csv", format!("x,y,class\n{}", (0..64).map(line).collect::<String>()));
    let more = "--val rows.csv --max-steps 30 --quiet --seed 1 --threads 1";
    place.ok(&format!("train rows.csv --task classify --label-column class --dense 8,4 --out rows {more}"));
    let numbers: Vec<f32> = (0..8).flat_map(row).collect();
    npy::write(&place.path("in.npy"), &Tensor::from_f32([8, 2], numbers).unwrap()).unwrap();
    place.ok("run rows --input in.npy --out y.npy");
    place.write("in.csv", format!("x,y\n{}", (0..8).map(|i| cells(i) + "\n").collect::<String>()));
    let said = place.ok("predict rows in.csv --json").stdout;
    let want: Vec<f32> = said
        .lines()
        .flat_map(|line| {
            let answer: serde_json::Value = serde_json::from_str(line).unwrap();
            ["a", "b"].map(|label| answer["probabilities"][label].as_f64().unwrap() as f32)
        })
        .collect();
    let logits = values(&place, "y.npy");
    let softmax = |two: &[f32]| {
        let sum: f32 = two.iter().map(|x| x.exp()).sum();
        two.iter().map(move |x| x.exp() / sum).collect::<Vec<_>>()
    };
    let got: Vec<f32> = logits.chunks_exact(2).flat_map(softmax).collect();
    assert!(near(&got, &want), "{got:?} {want:?}");
    for to in ["onnx", "c", "keras", "pt"] {
        let run = place.run(&format!("export rows --to {to} --out rows.{to}"));
        assert!(run.code == 0 || (run.code == 4 && run.stderr.contains("rows")), "{run:?}");
    }
    place.ok("run rows.onnx --input in.npy --out onnx.npy");
    assert_eq!(values(&place, "onnx.npy"), logits);
}

#[test]
fn what_import_prints_names_every_tensor_and_a_wrong_test_fails() {
    let place = Place::new();
    place.train("run", "--quiet");
    let said = place.ok("import run").stdout;
    for part in ["format     Elman", "tensor     rnn.weight_ih_l0", "used", "input      tokens int64 [B, T]"] {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    tokens(&place, "in.npy", 3);
    npy::write(&place.path("want.npy"), &Tensor::zeros([3, 20]).unwrap()).unwrap();
    place.run("import run --test in.npy want.npy").fails(4, &["--test"]);
}

#[test]
fn what_cannot_be_read_run_or_written_is_said_in_one_sentence() {
    let place = Place::new();
    place.write("text.bin", "neither this nor that");
    place.run("import text.bin --out X.safetensors").fails(4, &["text.bin", "no kind of model file"]);
    place.run("import nothing.onnx").fails(4, &["nothing.onnx"]);
    place.write("cut.onnx", [8u8, 8, 58, 200]);
    place.run("import cut.onnx").fails(4, &["cut.onnx", "cut short"]);
    assert!(!place.path("X.safetensors").exists());
    place.train("run", "--quiet");
    tokens(&place, "in.npy", 3);
    place.run("run run --input other=in.npy --out y.npy").fails(4, &["other", "tokens"]);
    place.run("run run --input in.npy --out other=y.npy").fails(4, &["other", "logits"]);
    place.run("run run --input nothing.npy --out y.npy").fails(4, &["nothing.npy"]);
    let fractions = Tensor::from_f32([2], vec![0.5, 1.0]).unwrap();
    npy::write(&place.path("fractions.npy"), &fractions).unwrap();
    place.run("run run --input fractions.npy --out y.npy").fails(4, &["tokens", "fractions"]);
    let beyond = Tensor::from_i64([1], vec![100_000]).unwrap().cast(Dtype::I64).unwrap();
    npy::write(&place.path("beyond.npy"), &beyond).unwrap();
    place.run("run run --input beyond.npy --out y.npy").fails(4, &["100000"]);
    place.run("export run --to nam --out m.nam").fails(4, &["run"]);
    place.run("export run --to c --stateful --out m.h").fails(2, &["--stateful"]);
}
