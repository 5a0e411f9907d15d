//! What is written is read back as the same network.

use std::collections::BTreeMap;
use std::path::Path;

use crate::random::{Numbers, Style, graph, input, layers};
use elman_graph::read::{self, Options};
use elman_graph::{
    Activation, Builder, Cell, Direction, Dtype, Graph, Interpreter, Recurrent, RecurrentWeights, StepOptions, Tensor,
    Value, onnx, write,
};

fn opened(folder: &Path, name: &str, bytes: &[u8], answers: &[(&str, &str)]) -> Graph {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    let answers: BTreeMap<String, String> = answers.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    read::open(&path, &Options { answers, ..Options::default() }).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Both graphs on one input, which is given batch first.
fn assert_same_bits(got: Graph, want: Graph, seed: u64) {
    let time_first = |graph: &Graph| graph.sequence.as_ref().unwrap().time == Some(0);
    let run = |graph: Graph| {
        let x = input(&graph, seed, 2, 5);
        let tensor = if time_first(&graph) {
            let mut dims = x.dims().to_vec();
            dims.swap(0, 1);
            x.reshaped(dims).unwrap()
        } else {
            x
        };
        Interpreter::new(graph).unwrap().run(&[tensor]).unwrap().swap_remove(0)
    };
    let (got, want) = (run(got), run(want));
    assert_eq!(got.dims(), want.dims(), "seed {seed}");
    for (g, w) in got.to_f32().iter().zip(want.to_f32()) {
        assert_eq!(g.to_bits(), w.to_bits(), "seed {seed}: {g}, not {w}");
    }
}

#[test]
fn state_dicts_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..40 {
        let graph = layers(seed, Style::Torch);
        let torch = write::torch(&graph).unwrap();
        let bytes = write::torch_file(&torch.tensors).unwrap();
        // Functions and pooling are not in a state dict.
        let mut list: Vec<String> = Vec::new();
        if torch.module.contains("Embedding") {
            list.push("embedding".into());
        }
        list.push("rnn".into());
        for (text, name) in [("x.mean", "mean"), ("x.amax", "max"), ("x.select", "last")] {
            list.extend(torch.module.contains(text).then(|| name.to_string()));
        }
        list.push("linear".into());
        for (text, name) in [("torch.tanh", "tanh"), ("torch.sigmoid", "sigmoid"), ("torch.softmax", "softmax")] {
            list.extend(torch.module.contains(text).then(|| name.to_string()));
        }
        let answers = [("layers", list.join(",")), ("nonlinearity", "tanh".into())];
        let answers = answers.each_ref().map(|(name, answer)| (*name, answer.as_str()));
        let got = opened(folder.path(), &format!("{seed}.pt"), &bytes, &answers);
        assert_same_bits(got, graph, seed);
    }
}

#[test]
fn keras_archives_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..40 {
        let graph = layers(seed, Style::Keras);
        let got = opened(folder.path(), &format!("{seed}.keras"), &write::keras(&graph).unwrap(), &[]);
        assert_same_bits(got, graph, seed);
    }
}

#[test]
fn amps_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let graph = layers(seed, Style::Nam);
        let got = opened(folder.path(), &format!("{seed}.nam"), write::nam(&graph).unwrap().as_bytes(), &[]);
        assert_same_bits(got, graph, seed);
        let graph = layers(seed, Style::RtNeural);
        let got = opened(folder.path(), &format!("{seed}.json"), write::rtneural(&graph).unwrap().as_bytes(), &[]);
        assert_same_bits(got, graph, seed);
    }
}

#[test]
fn onnx_comes_back_whole_and_as_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut stateful = 0;
    for seed in 0..80 {
        let graph = graph(seed);
        let whole = match onnx::write(&graph) {
            Ok(bytes) => bytes,
            // ONNX has no projections, and fewer activations of gates.
            Err(_) => continue,
        };
        let got = opened(folder.path(), &format!("{seed}.onnx"), &whole, &[]);
        let x = input(&graph, seed, 2, 5);
        let want = Interpreter::new(graph.clone()).unwrap().run(std::slice::from_ref(&x)).unwrap();
        let got = Interpreter::new(got).unwrap().run(std::slice::from_ref(&x)).unwrap();
        // Functions that are no operator of ONNX come back as several, and round once more.
        for (got, want) in got[0].to_f32().iter().zip(want[0].to_f32()) {
            assert!((got - want).abs() <= 2e-6 * want.abs().max(1.0), "seed {seed}: {got}, not {want}");
        }
        let step = match write::stateful(&graph, &StepOptions::default()) {
            Ok(step) => step,
            Err(e) => {
                assert!(e.to_string().contains("of all steps"), "{e}");
                continue;
            }
        };
        stateful += 1;
        let read = opened(folder.path(), &format!("{seed}_step.onnx"), &onnx::write(&step).unwrap(), &[]);
        // One call per step, states handed on by name.
        let mut run = Interpreter::new(read).unwrap();
        let mut states: BTreeMap<String, Tensor> = BTreeMap::new();
        for state in &step.states {
            states.insert(state.input.clone(), step.initial_state(state, 2).unwrap());
        }
        let x_dims = x.dims().to_vec();
        let width: usize = x_dims[2..].iter().product();
        for t in 0..5 {
            let at = |b: usize| (b * 5 + t) * width..(b * 5 + t + 1) * width;
            let mut dims = x_dims.clone();
            dims[1] = 1;
            let now = match x.as_i64() {
                Some(x) => Tensor::from_i64(dims, [&x[at(0)], &x[at(1)]].concat()).unwrap(),
                None => Tensor::from_f32(dims, [&x.to_f32()[at(0)], &x.to_f32()[at(1)]].concat()).unwrap(),
            };
            let inputs: Vec<Tensor> =
                step.inputs.iter().map(|port| states.get(&port.name).cloned().unwrap_or_else(|| now.clone())).collect();
            let outputs = run.run(&inputs).unwrap();
            for (port, output) in step.outputs.iter().zip(&outputs) {
                if let Some(state) = step.states.iter().find(|state| state.output == port.name) {
                    states.insert(state.input.clone(), output.clone());
                    continue;
                }
                // A value for the whole sequence is there after the last step.
                if want[0].dims().len() == 2 && t < 4 {
                    continue;
                }
                let n = output.len() / 2;
                let whole = want[0].to_f32();
                for (i, got) in output.to_f32().iter().enumerate() {
                    let (b, k) = (i / n, i % n);
                    let want = if want[0].dims().len() == 2 { whole[i] } else { whole[(b * 5 + t) * n + k] };
                    assert!(
                        (got - want).abs() <= 1e-5 * want.abs().max(1.0),
                        "seed {seed} step {t}: {got}, not {want}"
                    );
                }
            }
        }
    }
    assert!(stateful >= 30, "{stateful}");
}

/// Why a layer cannot be written.
fn refusal(change: impl FnOnce(&mut Recurrent, &mut RecurrentWeights), write: impl Fn(&Graph) -> String) -> String {
    let mut of = Numbers(9);
    let mut b = Builder::new("test");
    let x = b.input("x", Dtype::F32, ["B".into(), "T".into(), 1.into()]);
    let mut layer = Recurrent::new(Cell::Lstm { input_forget: false }, 4, Direction::Forward);
    let mut weights = RecurrentWeights::new(of.tensor(&[1, 16, 1], 0.5), of.tensor(&[1, 16, 4], 0.5));
    layer.batch_first = true;
    change(&mut layer, &mut weights);
    let y: Value = b.recurrent("amp", &x, layer, weights, None).unwrap().0;
    let y = b.dense("head", &y, of.tensor(&[4, 1], 1.0), None).unwrap();
    b.output("y", &y);
    b.sequence(&x, Some(1), Some(0), Some("y"));
    write(&b.finish().unwrap())
}

#[test]
fn what_a_format_has_no_words_for_is_refused_by_name() {
    let torch = |graph: &Graph| write::torch(graph).map(|_| ()).unwrap_err().to_string();
    let keras = |graph: &Graph| write::keras(graph).unwrap_err().to_string();
    let nam = |graph: &Graph| write::nam(graph).unwrap_err().to_string();
    let message = refusal(|_, w| w.peepholes = Some(Tensor::zeros([1, 12]).unwrap()), torch);
    assert_eq!(message, "amp: the format has no peepholes");
    let message = refusal(|layer, _| layer.clip = Some(1.0), keras);
    assert_eq!(message, "amp: the format has no clipping of gates");
    let message = refusal(|layer, _| layer.activations[1] = Activation::Relu, torch);
    assert_eq!(message, "amp: nn.LSTM has no other activations than its own");
    let ones = || Tensor::from_f32([1, 1, 4], vec![1.0; 4]).unwrap();
    let message = refusal(|_, w| w.initial_c = Some(ones()), keras);
    assert_eq!(message, "amp: the format has no initial states");
    let message = refusal(|layer, _| layer.activations[1] = Activation::Relu, nam);
    assert!(message.starts_with("amp: the format has only LSTM layers"), "{message}");
}

/// For `tests/reference/exports.py`: models in every format, inputs, and what the interpreter makes of them. Run with
/// `ELMAN_EXPORTS=FOLDER cargo test -p elman-graph --test all writers -- --ignored`.
#[test]
#[ignore = "writes files for a script"]
fn files_for_other_runtimes() {
    let Some(folder) = std::env::var_os("ELMAN_EXPORTS") else {
        println!("skipped: ELMAN_EXPORTS names no folder");
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: String, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let npy = |tensor: &Tensor| elman_graph::npy::bytes(tensor);
    let run = |graph: &Graph, x: &Tensor| {
        Interpreter::new(graph.clone()).unwrap().run(std::slice::from_ref(x)).unwrap().swap_remove(0)
    };
    let mut count = 0;
    for seed in 0..260 {
        let graph = graph(seed);
        let Ok(whole) = onnx::write(&graph) else { continue };
        let x = input(&graph, seed, 2, 5);
        write(format!("onnx_{seed}.onnx"), &whole);
        write(format!("onnx_{seed}.x.npy"), &npy(&x));
        write(format!("onnx_{seed}.y.npy"), &npy(&run(&graph, &x)));
        if let Ok(step) = write::stateful(&graph, &StepOptions::default()) {
            write(format!("onnx_{seed}.step.onnx"), &onnx::write(&step).unwrap());
            let mut list = Vec::new();
            for (i, state) in step.states.iter().enumerate() {
                let name = format!("onnx_{seed}.state{i}.npy");
                write(name.clone(), &npy(&step.initial_state(state, 2).unwrap()));
                list.push(serde_json::json!([state.input, state.output, name]));
            }
            write(format!("onnx_{seed}.states.json"), serde_json::json!(list).to_string().as_bytes());
        }
        count += 1;
    }
    assert!(count >= 150, "{count}");
    for seed in 0..60 {
        let graph = layers(seed, Style::Torch);
        let torch = elman_graph::write::torch(&graph).unwrap();
        write(format!("torch_{seed}.pt"), &elman_graph::write::torch_file(&torch.tensors).unwrap());
        write(format!("torch_{seed}.py"), torch.module.as_bytes());
        let x = input(&graph, seed, 2, 5);
        let mut dims = x.dims().to_vec();
        dims.swap(0, 1);
        let x = x.reshaped(dims).unwrap();
        write(format!("torch_{seed}.x.npy"), &npy(&x));
        write(format!("torch_{seed}.y.npy"), &npy(&run(&graph, &x)));
        let graph = layers(seed, Style::Keras);
        write(format!("keras_{seed}.keras"), &elman_graph::write::keras(&graph).unwrap());
        let x = input(&graph, seed, 2, 5);
        write(format!("keras_{seed}.x.npy"), &npy(&x));
        write(format!("keras_{seed}.y.npy"), &npy(&run(&graph, &x)));
    }
}
