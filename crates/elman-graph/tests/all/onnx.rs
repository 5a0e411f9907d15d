//! ONNX files: the shared cases, what the format leaves open, and files that are broken or malicious.

use std::path::Path;
use std::time::Instant;

use crate::files::{array, close, data};
use elman_graph::read::{self, Options};
use elman_graph::{Dtype, Error, Graph, Interpreter, StepOptions, Tensor, onnx};

/// Protocol Buffers by hand.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut n: u64) -> Self {
        while n >= 128 {
            self.0.push(n as u8 | 128);
            n >>= 7;
        }
        self.0.push(n as u8);
        self
    }

    fn number(self, field: u64, n: i64) -> Self {
        self.varint(field << 3).varint(n as u64)
    }

    fn float(self, field: u64, x: f32) -> Self {
        let mut message = self.varint(field << 3 | 5);
        message.0.extend(x.to_le_bytes());
        message
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(bytes.len() as u64);
        message.0.extend(bytes);
        message
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }
}

fn message() -> Message {
    Message::default()
}

fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) -> Message {
    let node = inputs.iter().fold(message(), |m, i| m.text(1, i));
    let node = outputs.iter().fold(node, |m, o| m.text(2, o)).text(3, &format!("the {op}")).text(4, op);
    attributes.iter().fold(node, |m, a| m.message(5, a))
}

fn int(name: &str, n: i64) -> Message {
    message().text(1, name).number(3, n).number(20, 2)
}

fn text(name: &str, value: &str) -> Message {
    message().text(1, name).text(4, value).number(20, 3)
}

fn subgraph(name: &str, graph: &Message) -> Message {
    message().text(1, name).message(6, graph).number(20, 5)
}

fn port(name: &str, dtype: i64, dims: &[i64]) -> Message {
    let shape = dims.iter().fold(message(), |m, d| m.message(1, &message().number(1, *d)));
    let tensor = message().number(1, dtype).message(2, &shape);
    message().text(1, name).message(2, &message().message(1, &tensor))
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    dims.iter().fold(message(), |m, d| m.number(1, *d)).number(2, 1).text(8, name).bytes(9, &raw)
}

fn graph(nodes: &[Message], tensors: &[Message], inputs: &[Message], outputs: &[Message]) -> Message {
    let graph = nodes.iter().fold(message(), |m, n| m.message(1, n)).text(2, "g");
    let graph = tensors.iter().fold(graph, |m, t| m.message(5, t));
    let graph = inputs.iter().fold(graph, |m, i| m.message(11, i));
    outputs.iter().fold(graph, |m, o| m.message(12, o))
}

fn model(graph: &Message, opset: i64) -> Vec<u8> {
    let model = message().number(1, 8).text(2, "pytorch").text(3, "2.10.0").message(7, graph);
    model.message(8, &message().text(1, "").number(2, opset)).0
}

/// A model of one node from `x [2, 3]` to `y`.
fn one(op: &str, attributes: &[Message]) -> Vec<u8> {
    of(&[node(op, &["x"], &["y"], attributes)], &[])
}

fn of(nodes: &[Message], tensors: &[Message]) -> Vec<u8> {
    model(&graph(nodes, tensors, &[port("x", 1, &[2, 3])], &[port("y", 1, &[])]), 17)
}

fn open(folder: &Path, bytes: &[u8]) -> Result<Graph, Error> {
    let path = folder.join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    read::open(&path, &Options::default())
}

/// Reads and, if that works, runs on zeros.
fn run(folder: &Path, bytes: &[u8]) -> Result<Vec<Tensor>, Error> {
    let graph = open(folder, bytes)?;
    let inputs: Vec<Tensor> = graph
        .inputs
        .iter()
        .map(|p| {
            let dims: Vec<usize> = p.dims.iter().flatten().map(|d| d.fixed().unwrap_or(1)).collect();
            Tensor::zeros(dims).unwrap().cast(p.dtype).unwrap()
        })
        .collect();
    Interpreter::new(graph)?.run(&inputs)
}

#[test]
fn shared_cases_are_within_their_bound() {
    for family in ["onnx-node", "onnx-random", "onnx-torch"] {
        let Some(folder) = data(&format!("interop/{family}")) else { continue };
        for case in std::fs::read_dir(folder).unwrap().flatten().filter(|c| c.path().is_dir()) {
            let (path, name) = (case.path(), case.file_name().to_string_lossy().into_owned());
            let graph = read::open(&path.join("model.onnx"), &Options::default()).unwrap();
            // Written and read again it has the same bits.
            let again = onnx::write(&graph).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let again = open(folder.path(), &again).unwrap();
            let file = |kind: &str, i: usize, name: &str| {
                let named = path.join(format!("{kind}_{name}.npy"));
                if named.exists() { named } else { path.join(format!("{kind}_{i}.npy")) }
            };
            let inputs: Vec<Tensor> =
                graph.inputs.iter().enumerate().map(|(i, p)| array(&file("input", i, &p.name))).collect();
            let ports = graph.outputs.clone();
            let outputs = Interpreter::new(graph).unwrap().run(&inputs).unwrap();
            for (i, (port, output)) in ports.iter().zip(&outputs).enumerate() {
                close(&format!("{family}/{name}"), output, &file("output", i, &port.name), 1e-5);
            }
            assert_eq!(Interpreter::new(again).unwrap().run(&inputs).unwrap(), outputs, "{name}");
        }
    }
}

#[test]
fn nodes_out_of_order_are_sorted_and_shadowed_names_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let sorted = of(&[node("Relu", &["a"], &["y"], &[]), node("Neg", &["x"], &["a"], &[])], &[]);
    assert_eq!(run(folder.path(), &sorted).unwrap()[0].dims(), [2, 3]);
    // Both branches call their value `v`.
    let branch = |op: &str| graph(&[node(op, &["x"], &["v"], &[])], &[], &[], &[message().text(1, "v")]);
    let condition = message().number(2, 9).text(8, "c").bytes(9, &[1]);
    let both = [subgraph("then_branch", &branch("Exp")), subgraph("else_branch", &branch("Neg"))];
    let chosen = of(&[node("If", &["c"], &["y"], &both)], &[condition]);
    assert_eq!(run(folder.path(), &chosen).unwrap()[0].as_f32(), Some(&[1.0; 6][..]));
}

#[test]
fn a_gru_of_new_pytorch_without_linear_before_reset_is_doubted() {
    let weights = [tensor("W", &[1, 3, 1], &[0.0; 3]), tensor("R", &[1, 3, 1], &[0.0; 3])];
    let gru = |lbr: i64| {
        let node = node("GRU", &["x", "W", "R"], &["y"], &[int("hidden_size", 1), int("linear_before_reset", lbr)]);
        model(&graph(&[node], &weights, &[port("x", 1, &[2, 1, 1])], &[port("y", 1, &[])]), 17)
    };
    let folder = tempfile::tempdir().unwrap();
    let notes = |bytes: &[u8]| open(folder.path(), bytes).unwrap().about.notes.join(" ");
    assert!(notes(&gru(0)).contains("linear_before_reset"));
    assert!(!notes(&gru(1)).contains("warning"));
}

#[test]
fn attributes_that_change_the_numbers_are_computed_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8]| open(folder.path(), bytes).unwrap_err().to_string();
    assert!(
        refused(&one("Relu", &[int("mystery", 1)])).contains("the Relu (Relu): attribute mystery is not supported")
    );
    assert!(refused(&one("Resize", &[])).contains("the operator Resize"));
    let weights = [tensor("W", &[1, 1, 3], &[0.1; 3]), tensor("R", &[1, 1, 1], &[0.1])];
    let rnn = |attributes: &[Message]| {
        let node = node("RNN", &["x", "W", "R"], &["y"], attributes);
        model(&graph(&[node], &weights, &[port("x", 1, &[2, 1, 3])], &[port("y", 1, &[])]), 17)
    };
    let activation = |name: &str| message().text(1, "activations").text(9, name).number(20, 8);
    assert!(refused(&rnn(&[int("hidden_size", 1), activation("Gelu")])).contains("activation Gelu"));
    assert!(refused(&rnn(&[int("hidden_size", 1), activation("ThresholdedRelu")])).contains("activation_alpha"));
    assert!(refused(&rnn(&[int("hidden_size", 2)])).contains("W: [1, 1, 3]"));
    let clip = message().text(1, "clip").float(2, 0.01).number(20, 1);
    assert!(run(folder.path(), &rnn(&[int("hidden_size", 1), clip])).is_ok());
}

#[test]
fn broken_and_malicious_files_are_refused_in_one_sentence() {
    let two = |a: &str, b: &str| of(&[node("Relu", &[a], &["y"], &[]), node("Neg", &[b], &["a"], &[])], &[]);
    let external = |location: &str| {
        let entry = message().text(1, "location").text(2, location);
        let tensor = message().number(1, 3).number(2, 1).text(8, "w").message(13, &entry).number(14, 1);
        of(&[node("Add", &["x", "w"], &["y"], &[])], &[tensor])
    };
    let deep =
        (0..60).fold(graph(&[node("Neg", &["x"], &["v"], &[])], &[], &[], &[message().text(1, "v")]), |inner, _| {
            let branches = [subgraph("then_branch", &inner), subgraph("else_branch", &inner)];
            if inner.0.len() > 40_000 {
                return inner;
            }
            let only = [
                branches[0].clone(),
                subgraph(
                    "else_branch",
                    &graph(&[node("Neg", &["x"], &["v"], &[])], &[], &[], &[message().text(1, "v")]),
                ),
            ];
            graph(&[node("If", &["c"], &["v"], &only)], &[], &[], &[message().text(1, "v")])
        });
    let condition = message().number(2, 9).text(8, "c").bytes(9, &[1]);
    let deep = {
        let branches = [subgraph("then_branch", &deep), subgraph("else_branch", &deep)];
        of(&[node("If", &["c"], &["y"], &branches)], std::slice::from_ref(&condition))
    };
    let shape = |dims: &[i64]| {
        let raw: Vec<u8> = dims.iter().flat_map(|d| d.to_le_bytes()).collect();
        message().number(1, dims.len() as i64).number(2, 7).text(8, "s").bytes(9, &raw)
    };
    let huge = shape(&[1 << 20, 1 << 20]);
    let forever = {
        let body = graph(
            &[node("Identity", &["cond"], &["go"], &[]), node("Neg", &["v"], &["w"], &[])],
            &[],
            &[message().text(1, "i"), message().text(1, "cond"), message().text(1, "v")],
            &[message().text(1, "go"), message().text(1, "w")],
        );
        of(&[node("Loop", &["", "c", "x"], &["y"], &[subgraph("body", &body)])], std::slice::from_ref(&condition))
    };
    let recurrent = |hidden: i64, direction: &str| {
        let weights = [tensor("W", &[1, 4, 3], &[0.0; 12]), tensor("R", &[1, 4, 2], &[0.0; 8])];
        of(
            &[node("LSTM", &["x", "W", "R"], &["y"], &[int("hidden_size", hidden), text("direction", direction)])],
            &weights,
        )
    };
    let add = |t: Message| of(&[node("Add", &["x", "w"], &["y"], &[])], &[t]);
    let sparse = {
        let mut g = graph(&[node("Neg", &["x"], &["y"], &[])], &[], &[port("x", 1, &[2, 3])], &[port("y", 1, &[])]);
        g = g.message(15, &message());
        model(&g, 17)
    };
    let many = (0..400_000).fold(message(), |m, _| m.bytes(1, &[])).message(12, &port("y", 1, &[]));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no graph", message().number(1, 8).message(8, &message().number(2, 17)).0),
        ("no operators' version", message().number(1, 8).message(7, &message()).0),
        ("an old version", model(&message(), 3)),
        ("a version to come", model(&message(), 99)),
        ("no outputs", model(&graph(&[node("Neg", &["x"], &["y"], &[])], &[], &[port("x", 1, &[1])], &[]), 17)),
        ("a cycle", two("a", "y")),
        ("a value of itself", of(&[node("Add", &["x", "y"], &["y"], &[])], &[])),
        ("nothing makes it", two("a", "nothing")),
        ("made twice", of(&[node("Neg", &["x"], &["y"], &[]), node("Exp", &["x"], &["y"], &[])], &[])),
        ("subgraphs too deep", deep),
        ("external data above", external("../../../../etc/passwd")),
        ("external data of the root", external("/etc/passwd")),
        ("external data unasked", external("weights.bin")),
        ("external data nowhere", external("")),
        ("dimensions beyond memory", add(tensor("w", &[1 << 62, 1 << 62], &[0.0]))),
        ("a negative dimension", add(tensor("w", &[-3], &[0.0]))),
        ("fewer values than dimensions", add(tensor("w", &[1 << 40], &[0.0; 3]))),
        ("more values than dimensions", add(tensor("w", &[1], &[0.0; 3]))),
        ("forty dimensions", add(tensor("w", &[1; 40], &[0.0]))),
        ("text as elements", add(message().number(1, 1).number(2, 8).text(8, "w").text(6, "a"))),
        ("an unknown element type", add(message().number(1, 1).number(2, 77).text(8, "w").bytes(9, &[0]))),
        ("values of another type", add(message().number(1, 1).number(2, 1).text(8, "w").number(7, 1))),
        ("a sparse tensor", sparse),
        ("a foreign domain", of(&[node("Neg", &["x"], &["y"], &[]).text(7, "com.example")], &[])),
        ("an attribute twice", one("LeakyRelu", &[int("alpha", 1), int("alpha", 2)])),
        ("an attribute of the wrong kind", one("LeakyRelu", &[int("alpha", 1)])),
        ("no units", recurrent(0, "forward")),
        ("a billion units", recurrent(1 << 40, "forward")),
        ("R of other units", recurrent(1, "forward")),
        ("a direction that is none", recurrent(2, "sideways")),
        ("a million empty nodes", model(&many, 17)),
        ("a number without end", [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255].to_vec()),
        ("a group of old", [8, 8, 0x3b].to_vec()),
        ("an output that is too large", of(&[node("Expand", &["x", "s"], &["y"], &[])], std::slice::from_ref(&huge))),
        (
            "a constant that is too large",
            of(&[node("ConstantOfShape", &["s"], &["y"], &[])], std::slice::from_ref(&huge)),
        ),
        ("a pad without end", of(&[node("Pad", &["x", "s"], &["y"], &[])], &[shape(&[0, 0, 0, 1 << 60])])),
        ("a shape of other size", of(&[node("Reshape", &["x", "s"], &["y"], &[])], &[shape(&[5])])),
        ("a loop without end", forever),
        ("a kernel without input", of(&[node("Conv", &["x", "x"], &["y"], &[])], &[])),
        ("axes that are not there", of(&[node("Squeeze", &["x", "s"], &["y"], &[])], &[shape(&[1 << 40])])),
        ("einsum of nonsense", one("Einsum", &[text("equation", "i->jj->k,")])),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (what, bytes) in &cases {
        let begun = Instant::now();
        let error = match run(folder.path(), bytes) {
            Err(error) => error.to_string(),
            Ok(outputs) => panic!("{what}: read and run, {:?}", outputs.iter().map(Tensor::dims).collect::<Vec<_>>()),
        };
        println!("{what}: {error}");
        assert!(!error.contains('\n') && error.len() < 400, "{what}: {error}");
        assert!(begun.elapsed().as_secs() < 2, "{what}: {:?}", begun.elapsed());
    }
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|f| f.file_name()).collect();
    assert_eq!(files, ["model.onnx"], "something else was written");
}

#[test]
fn every_cut_of_a_file_is_refused_or_is_no_network() {
    let whole = of(&[node("Add", &["x", "w"], &["y"], &[])], &[tensor("w", &[3], &[1.0, 2.0, 3.0])]);
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), &whole).is_ok());
    for cut in 0..whole.len() {
        assert!(run(folder.path(), &whole[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..whole.len() {
        // Whatever a changed byte makes of it: an error or numbers, no panic.
        for bit in [1, 16, 128] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            let _ = run(folder.path(), &changed);
        }
    }
}

#[test]
fn element_types_round_and_truncate_as_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let divided = {
        let raw: Vec<u8> = [-7i64, 7].iter().flat_map(|d| d.to_le_bytes()).collect();
        let seven = message().number(1, 2).number(2, 7).text(8, "a").bytes(9, &raw);
        let two = message().number(2, 7).text(8, "b").bytes(9, &2i64.to_le_bytes());
        let outputs = [port("y", 7, &[])];
        model(&graph(&[node("Div", &["a", "b"], &["y"], &[])], &[seven, two], &[], &outputs), 17)
    };
    assert_eq!(run(folder.path(), &divided).unwrap()[0].as_i64(), Some(&[-3, 3][..]));
    let half = of(&[node("Cast", &["x"], &["y"], &[int("to", 10)])], &[]);
    assert_eq!(run(folder.path(), &half).unwrap()[0].dtype(), Dtype::F16);
}

#[test]
fn the_largest_and_smallest_are_found_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let x = Tensor::from_f32([2, 3], vec![2.0, f32::NAN, 1.0, 5.0, 5.0, 4.0]).unwrap();
    let of = |k: i64, attributes: &[Message]| {
        let k = message().number(1, 1).number(2, 7).text(8, "k").bytes(9, &k.to_le_bytes());
        let node = node("TopK", &["x", "k"], &["v", "i"], attributes);
        let outputs = [port("v", 1, &[]), port("i", 7, &[])];
        let bytes = model(&graph(&[node], &[k], &[port("x", 1, &[2, 3])], &outputs), 17);
        open(folder.path(), &bytes).and_then(|graph| Interpreter::new(graph)?.run(std::slice::from_ref(&x)))
    };
    // NaN is above all numbers; of equal ones the first comes first.
    let largest = of(2, &[]).unwrap();
    assert_eq!(largest[1].as_i64(), Some(&[1, 0, 0, 1][..]));
    assert_eq!(largest[0].as_f32().unwrap()[1..], [2.0, 5.0, 5.0]);
    let smallest = of(1, &[int("axis", 0), int("largest", 0)]).unwrap();
    assert_eq!((smallest[0].as_f32(), smallest[1].as_i64()), (Some(&[2.0, 5.0, 1.0][..]), Some(&[0, 1, 0][..])));
    assert!(of(4, &[]).unwrap_err().to_string().contains("K must be one number from 0 to 3"));
    assert!(of(-1, &[]).is_err());
}

/// A tensor of single bytes: `dtype` 2 unsigned, 3 signed.
fn bytes(name: &str, dtype: i64, dims: &[i64], values: &[u8]) -> Message {
    dims.iter().fold(message(), |m, d| m.number(1, *d)).number(2, dtype).text(8, name).bytes(9, values)
}

#[test]
fn a_quantised_lstm_of_onnx_runtime_has_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let bias: Vec<f32> = (0..16).map(|i| -0.5 + i as f32 / 15.0).collect();
    let tensors = [
        bytes("W", 2, &[1, 2, 8], &[200, 100, 50, 180, 128, 90, 160, 140, 30, 220, 110, 140, 60, 150, 250, 10]),
        bytes("R", 2, &[1, 2, 8], &[120, 210, 70, 190, 40, 130, 150, 20, 240, 80, 160, 100, 170, 90, 60, 200]),
        tensor("B", &[1, 16], &bias),
        // One of all weights, and one of each row.
        tensor("Ws", &[1], &[0.01]),
        bytes("Wz", 2, &[1], &[128]),
        tensor("Rs", &[1, 8], &[0.011, 0.012, 0.013, 0.014, 0.015, 0.016, 0.017, 0.018]),
        bytes("Rz", 2, &[1, 8], &[128; 8]),
    ];
    let of = |lens: &str, domain: &str| {
        let inputs = ["X", "W", "R", "B", lens, "", "", "", "Ws", "Wz", "Rs", "Rz"];
        let lstm = node("DynamicQuantizeLSTM", &inputs, &["Y", "", "C"], &[int("hidden_size", 2)]).text(7, domain);
        let ports = [port("X", 1, &[3, 1, 2]), port("lens", 6, &[1])];
        let given = if lens.is_empty() { &ports[..1] } else { &ports };
        let bytes = model(&graph(&[lstm], &tensors, given, &[port("Y", 1, &[]), port("C", 1, &[])]), 17);
        open(folder.path(), &bytes)
    };
    let network = of("", "com.microsoft").unwrap();
    let x = Tensor::from_f32([3, 1, 2], vec![1.5, -0.7, 0.3, 2.2, -1.1, 0.4]).unwrap();
    let got = Interpreter::new(network.clone()).unwrap().run(&[x]).unwrap();
    // Of onnxruntime 1.32.0.
    let y = [-0.006_818_629, 0.115_247_09, 0.027_440_15, -0.339_061_4, 0.067_690_88, -0.269_700_97];
    for (tensor, want) in got.iter().zip([&y[..], &[0.112_456_96, -0.840_178_4]]) {
        for (got, want) in tensor.to_f32().iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }
    // Its range is that of all sequences and steps: no step knows it, and no other format has it.
    assert!(network.lower(&StepOptions::default()).is_err());
    assert!(onnx::write(&network).unwrap_err().to_string().contains("whose state is rounded"));
    let again = Graph::from_bytes(&network.to_bytes().unwrap()).unwrap();
    assert_eq!(again, network);
    let error = of("lens", "com.microsoft").unwrap_err().to_string();
    assert!(error.contains("sequence_lens beside quantised weights"), "{error}");
    let error = of("", "other").unwrap_err().to_string();
    assert!(error.contains("the operator other.DynamicQuantizeLSTM"), "{error}");
}

#[test]
fn quantised_networks_have_the_numbers_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let run = |nodes: &[Message], tensors: &[Message], outputs: &[Message], x: &Tensor| {
        let dims: Vec<i64> = x.dims().iter().map(|n| *n as i64).collect();
        let bytes = model(&graph(nodes, tensors, &[port("x", 1, &dims)], outputs), 21);
        open(folder.path(), &bytes).and_then(|graph| Interpreter::new(graph)?.run(std::slice::from_ref(x)))
    };
    // The examples of ONNX' own pages.
    let x = Tensor::from_f32([6], vec![0.0, 2.0, -3.0, -2.5, 1.34, 0.5]).unwrap();
    let dynamic = node("DynamicQuantizeLinear", &["x"], &["q", "scale", "zero"], &[]);
    let outputs = [port("q", 2, &[]), port("scale", 1, &[]), port("zero", 2, &[])];
    let got = run(std::slice::from_ref(&dynamic), &[], &outputs, &x).unwrap();
    assert_eq!(got[0].to_f32(), [153.0, 255.0, 0.0, 26.0, 221.0, 179.0]);
    assert!((got[1].to_f32()[0] - 0.019_607_844).abs() < 1e-9 && got[2].to_f32() == [153.0]);
    assert_eq!((got[0].dtype(), got[2].dtype()), (Dtype::U8, Dtype::U8));
    let nothing = run(std::slice::from_ref(&dynamic), &[], &outputs, &Tensor::zeros([3]).unwrap()).unwrap();
    assert_eq!((nothing[0].to_f32(), nothing[1].to_f32()), (vec![0.0; 3], vec![1.0]));

    let x = Tensor::from_f32([6], vec![0.0, 2.0, 3.0, 1000.0, -254.0, -1000.0]).unwrap();
    let (scale, zero) = (tensor("s", &[], &[2.0]), bytes("z", 2, &[], &[128]));
    let quantize = node("QuantizeLinear", &["x", "s", "z"], &["q"], &[]);
    let back = node("DequantizeLinear", &["q", "s", "z"], &["y"], &[]);
    let got = run(&[quantize, back], &[scale, zero], &[port("q", 2, &[]), port("y", 1, &[])], &x).unwrap();
    assert_eq!(got[0].to_f32(), [128.0, 129.0, 130.0, 255.0, 1.0, 0.0]);
    assert_eq!(got[1].to_f32(), [0.0, 2.0, 4.0, 254.0, -254.0, -256.0]);

    let a = bytes("a", 2, &[4, 3], &[11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0]);
    let b = bytes("b", 2, &[3, 2], &[1, 4, 2, 5, 3, 6]);
    let zeros = [bytes("az", 2, &[1], &[12]), bytes("bz", 2, &[1], &[0])];
    let product = node("MatMulInteger", &["a", "b", "az", "bz"], &["y"], &[]);
    let x = Tensor::zeros([1]).unwrap();
    let [az, bz] = zeros;
    let got = run(&[product], &[a, b, az, bz], &[port("y", 6, &[])], &x).unwrap();
    assert_eq!((got[0].dtype(), got[0].dims()), (Dtype::I32, &[4, 2][..]));
    assert_eq!(got[0].to_f32(), [-38.0, -83.0, -44.0, -98.0, -50.0, -113.0, -56.0, -128.0]);

    // A scale and a zero point for each row; of a computed value their number must be told.
    let (w, scales) = (bytes("w", 3, &[2, 2], &[1, 255, 4, 6]), tensor("s", &[2], &[0.5, 2.0]));
    let rows = node("DequantizeLinear", &["w", "s", "z"], &["y"], &[int("axis", 0)]);
    let got = run(&[rows], &[w, scales, bytes("z", 3, &[2], &[1, 2])], &[port("y", 1, &[])], &x).unwrap();
    assert_eq!(got[0].to_f32(), [0.0, -1.0, 4.0, 8.0]);
    let (square, q) = (node("Mul", &["x", "x"], &["s"], &[]), node("QuantizeLinear", &["x", "s"], &["y"], &[]));
    let error = run(&[square, q], &[], &[port("y", 2, &[])], &Tensor::zeros([3]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("a scale or zero point whose size the file does not say"), "{error}");

    // Several where one belongs to the whole.
    let conv = node("ConvInteger", &["a", "w", "az"], &["y"], &[]);
    let tensors = [bytes("a", 2, &[1, 1, 2], &[1, 2]), bytes("w", 2, &[1, 1, 1], &[3]), bytes("az", 2, &[2], &[1, 2])];
    let error = run(&[conv], &tensors, &[port("y", 6, &[])], &x).unwrap_err().to_string();
    assert!(error.contains("several scales or zero points of one tensor"), "{error}");
}
