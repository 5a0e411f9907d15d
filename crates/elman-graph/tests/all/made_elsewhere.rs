//! Models made elsewhere, read and run whole: the numbers of their own runtimes.
//!
//! The files are in `../shared/data/interop` (or `ELMAN_DATA`); where they are absent the tests say so and pass.

use std::path::Path;

use elman_graph::read::{self, Options};

use crate::files::{array, close, data, fitted, run};
use elman_graph::{Graph, Interpreter, StepOptions, Tensor};

/// Reads a file and compares what it makes of the input with the recorded output.
fn check(folder: &str, file: &str, output: &str, bound: f64, answers: &[(&str, &str)]) {
    let Some(folder) = data(&format!("interop/{folder}")) else { return };
    let path = folder.join(file);
    let mut options = Options::default();
    for (name, answer) in answers {
        let answer = answer.replace("FOLDER", &folder.display().to_string());
        options.answers.insert((*name).into(), answer);
    }
    let graph = read::open(&path, &options).unwrap_or_else(|error| panic!("{error}"));
    stepped(&graph, &folder, &path, output, bound);
    let outputs = run(graph, &folder.join("input.npy"));
    close(&path.display().to_string(), &outputs[0], &folder.join(output), bound);
    for (at, output) in outputs.iter().enumerate().skip(1) {
        let expected = folder.join(format!("output_{at}.npy"));
        if expected.exists() {
            close(&format!("{} output {at}", path.display()), output, &expected, bound);
        }
    }
}

/// The same step by step, where the network is causal.
fn stepped(graph: &Graph, folder: &Path, path: &Path, output: &str, bound: f64) {
    let mut stepper = match graph.lower(&StepOptions::default()) {
        Ok(stepper) => stepper,
        Err(refused) => {
            let refused = refused.to_string();
            let reason = "it also reads the sequence from its end";
            assert!(refused.contains(reason), "{}: {refused}", path.display());
            return;
        }
    };
    let port = &graph.inputs[0];
    let input = fitted(array(&folder.join("input.npy")), port);
    let outputs = stepper.run(&[(port.name.clone(), input)]).unwrap();
    let first = outputs.iter().find(|(name, _)| *name == graph.outputs[0].name).unwrap();
    close(&format!("{} in steps", path.display()), &first.1, &folder.join(output), bound);
}

#[test]
fn amp_models() {
    for folder in ["nam-lstm-3", "nam-boss-1x16"] {
        check(folder, "model.nam", "output.npy", 1e-5, &[]);
    }
    for folder in ["rtneural-gru-1d", "rtneural-lstm", "rtneural-lstm-torch"] {
        check(folder, "model.json", "output.npy", 1e-5, &[]);
    }
}

#[test]
fn rnnoise() {
    check("rnnoise", "weights.rnn", "output_exact.npy", 2e-5, &[]);
    check("rnnoise", "weights.rnn", "output_own_table.npy", 2e-5, &[]);
}

#[cfg(feature = "pytorch")]
#[test]
fn torch_state_dicts() {
    for folder in ["lstm-1", "gru-2"] {
        check(&format!("torch/{folder}"), "model.pt", "output_0.npy", 1e-5, &[]);
    }
    for folder in ["gru-2-bi", "charlm-encoder-decoder"] {
        check(&format!("torch/{folder}"), "model.pt", "output_0.npy", 1e-5, &[("batch-first", "true")]);
    }
}

#[cfg(feature = "keras")]
#[test]
fn keras_models() {
    let folders = [
        "embedding-masked-lstm", "gru-reset-after", "lstm-last-softmax", "lstm-residual-amp", "lstm",
        "simple-rnn-tanh-nobias",
    ];
    for folder in folders {
        for file in ["model.keras", "model.h5", "model.weights.h5"] {
            check(&format!("keras/{folder}"), file, "output_0.npy", 1e-5, &[]);
        }
        check(&format!("keras/{folder}"), "model.weights.h5", "output_0.npy", 1e-5, &[("config", "FOLDER/model.h5")]);
    }
}

/// `y = lin(lstm(x)) + x` in the layout of GuitarML, with numbers that can be followed by hand.
#[test]
fn guitarml_adds_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amp.json");
    let (zeros, bias) = (vec![[0.0f32]; 4], [0.0f32; 4]);
    for (skip, expected) in [(1, [0.75, -0.25]), (0, [0.25, 0.25])] {
        let json = serde_json::json!({
            "model_data": {"model": "SimpleRNN", "input_size": 1, "skip": skip, "output_size": 1, "unit_type": "LSTM",
                           "num_layers": 1, "hidden_size": 1, "bias_fl": true},
            "state_dict": {"rec.weight_ih_l0": zeros, "rec.weight_hh_l0": zeros, "rec.bias_ih_l0": bias,
                           "rec.bias_hh_l0": bias, "lin.weight": [[2.0]], "lin.bias": [0.25]},
        });
        std::fs::write(&path, json.to_string()).unwrap();
        let graph = read::open(&path, &Options::default()).unwrap();
        let input = Tensor::from_f32([1, 2, 1], vec![0.5, -0.5]).unwrap();
        let y = Interpreter::new(graph).unwrap().run(&[input]).unwrap();
        assert_eq!(y[0].as_f32(), Some(&expected[..]));
    }
}

/// AIDA-X: gains in decibels, and the input after its gain added before the gain of the output.
#[test]
fn aida_x_adds_its_input_between_the_gains() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amp.json");
    let json = serde_json::json!({
        "in_shape": [null, null, 1], "in_skip": 1, "in_gain": 20.0, "out_gain": -20.0, "metadata": {"samplerate": "48000"},
        "layers": [{"type": "dense", "activation": "", "shape": [null, null, 1], "weights": [[[2.0]], [1.0]]}],
    });
    std::fs::write(&path, json.to_string()).unwrap();
    let graph = read::open(&path, &Options::default()).unwrap();
    let y = Interpreter::new(graph).unwrap().run(&[Tensor::from_f32([1, 1, 1], vec![0.5]).unwrap()]).unwrap();
    // (2 * 5 + 1 + 5) / 10
    assert!((y[0].to_f32()[0] - 1.6).abs() < 1e-6);
}

/// RNNoise as rnnoise-nu writes it is the same network as the bytes of nnnoiseless.
#[test]
fn rnnoise_as_text_is_rnnoise_as_bytes() {
    let Some(bytes) = data("interop/rnnoise/weights.rnn") else { return };
    let numbers: Vec<String> = std::fs::read(&bytes).unwrap().iter().map(|byte| (*byte as i8).to_string()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.txt");
    std::fs::write(&path, format!("rnnoise-nu model file version 1\n{}\n", numbers.join(" "))).unwrap();
    let (text, bytes) =
        (read::open(&path, &Options::default()).unwrap(), read::open(&bytes, &Options::default()).unwrap());
    assert_eq!(text, bytes);
}

/// The map of that name in `docs/maps`.
fn map(name: &str) -> String {
    format!("{}/../../docs/maps/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn maps_describe_files_without_a_network() {
    // Logits of up to 30, of which float32 holds 2e-6: sums of 64 products at most, and then of those, lie within the bound.
    check("ml5-char-shakespeare", "", "output.npy", 1e-5, &[("map", &map("char-rnn-tensorflow.toml"))]);
    check("icu-burmese", "weights.json", "output.npy", 1e-5, &[("map", &map("icu-segmentation.toml"))]);
    check(
        "silero-vad-safetensors",
        "silero_vad_16k.safetensors",
        "output.npy",
        1e-5,
        &[("map", &map("silero-vad.toml"))],
    );
}

/// The vocabulary of the charRNN model as published: `U` is empty and `u` two spaces, and nothing is sorted.
#[test]
fn foreign_vocabularies_keep_their_order_and_odd_symbols() {
    let Some(folder) = data("interop/ml5-char-shakespeare") else { return };
    let mut options = Options::default();
    options.answers.insert("map".into(), map("char-rnn-tensorflow.toml"));
    let vocabulary = read::open(&folder, &options).unwrap().about.vocabulary.unwrap();
    assert_eq!(vocabulary.len(), 65);
    assert_eq!(
        (&vocabulary[40][..], &vocabulary[13][..], &vocabulary[0][..], &vocabulary[10][..]),
        ("", "  ", " ", "\n")
    );
}

/// Letters to phonemes, greedily: the whole of g2p_en, whose file is `checkpoint20.npz` of the package g2p-en 2.1.0.
#[cfg(feature = "pytorch")]
#[test]
fn g2p_speaks_as_its_own_code() {
    let Some(cases) = data("interop/g2p-en/cases.json") else { return };
    let Some(file) = std::env::var_os("ELMAN_G2P") else {
        return println!("skipped: ELMAN_G2P does not name checkpoint20.npz");
    };
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(cases).unwrap()).unwrap();
    let open = |name: &str| {
        let mut options = Options::default();
        options.answers.insert("map".into(), map(name));
        Interpreter::new(read::open(file.as_ref(), &options).unwrap()).unwrap()
    };
    let (mut encoder, mut decoder) = (open("g2p-encoder.toml"), open("g2p-decoder.toml"));
    let names =
        |key: &str| cases[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>();
    let (graphemes, phonemes) = (names("graphemes"), names("phonemes"));
    let spoken: Vec<&serde_json::Value> = cases["cases"].as_array().unwrap().iter().collect();
    for case in &spoken {
        let word = case["word"].as_str().unwrap();
        let mut tokens: Vec<i64> =
            word.chars().map(|c| graphemes.iter().position(|g| **g == c.to_string()).unwrap_or(1) as i64).collect();
        tokens.push(2);
        let mut state = encoder.run(&[Tensor::from_i64([1, tokens.len()], tokens).unwrap()]).unwrap()[0]
            .reshaped([1, 1, 256])
            .unwrap();
        let (mut last, mut said) = (2i64, Vec::new());
        for _ in 0..20 {
            let step = decoder.run(&[Tensor::from_i64([1, 1], vec![last]).unwrap(), state]).unwrap();
            let logits = step[0].to_f32();
            last = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap() as i64;
            state = step[1].clone();
            if last == 3 {
                break;
            }
            said.push(phonemes[last as usize]);
        }
        let want: Vec<&str> = case["phonemes"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
        assert_eq!(said, want, "{word}");
    }
    println!("{} words as g2p_en says them", spoken.len());
}

/// Networks that read no later steps give the same numbers one step at a time.
#[test]
fn causal_models_step_by_step() {
    let cases = [
        ("nam-lstm-3", "model.nam", "output.npy", None),
        ("nam-boss-1x16", "model.nam", "output.npy", None),
        ("rtneural-gru-1d", "model.json", "output.npy", None),
        ("rtneural-lstm", "model.json", "output.npy", None),
        ("rtneural-lstm-torch", "model.json", "output.npy", None),
        ("rnnoise", "weights.rnn", "output_exact.npy", None),
        ("ml5-char-shakespeare", "", "output.npy", Some("char-rnn-tensorflow.toml")),
        ("silero-vad-safetensors", "silero_vad_16k.safetensors", "output.npy", Some("silero-vad.toml")),
        ("keras/lstm-residual-amp", "model.h5", "output_0.npy", None),
    ];
    for (folder, file, output, map_file) in cases {
        let Some(folder) = data(&format!("interop/{folder}")) else { continue };
        let mut options = Options::default();
        if let Some(name) = map_file {
            options.answers.insert("map".into(), map(name));
        }
        let graph = read::open(&folder.join(file), &options).unwrap();
        let input = fitted(array(&folder.join("input.npy")), &graph.inputs[0]);
        let mut stepper =
            graph.lower(&StepOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let outputs = stepper.run(&[(graph.inputs[0].name.clone(), input)]).unwrap();
        close(
            &format!("{} step by step", folder.display()),
            &outputs[0].1,
            &folder.join(output),
            if output == "output_exact.npy" { 2e-5 } else { 1e-5 },
        );
    }
}

/// What reads later steps is not run in steps, and says so.
#[test]
fn both_directions_are_not_stepped() {
    let Some(folder) = data("interop/icu-burmese") else { return };
    let mut options = Options::default();
    options.answers.insert("map".into(), map("icu-segmentation.toml"));
    let graph = read::open(&folder.join("weights.json"), &options).unwrap();
    let error = graph.lower(&StepOptions::default()).err().unwrap().to_string();
    assert!(error.contains("bilstm"), "{error}");
}
