//! Steps of imported networks, timed in bursts: a case by name on standard input, nanoseconds per step on standard output.
//!
//! `interop-bench export FOLDER` writes the same networks, one step with states, as ONNX files.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use elman_graph::read::{self, Options};
use elman_graph::{
    Activation, Builder, Cell, Direction, Dtype, Graph, Recurrent, RecurrentWeights, StepOptions, Tensor, onnx, write,
};
use elman_step::machine::Machine;
use elman_step::{CellKind, InputKind, Network, NetworkConfig, Precision};

#[allow(dead_code, clippy::all)]
mod util {
    include!(concat!(env!("OUT_DIR"), "/util.rs"));
}
#[allow(dead_code, clippy::all)]
mod rnn {
    include!(concat!(env!("OUT_DIR"), "/rnn.rs"));
}

fn numbers(n: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| (((i * 7919) % 2003) as f32 / 1001.5 - 1.0) * scale).collect()
}

/// Layers of a cell over vectors, a dense layer, and the input or a sigmoid after it.
fn network(cell: Cell, widths: [usize; 3], layers: usize, skip: bool) -> Graph {
    let [inputs, hidden, outputs] = widths;
    let mut b = Builder::new("bench");
    let input = b.input("x", Dtype::F32, ["B".into(), "T".into(), inputs.into()]);
    let (mut x, gh, scale) = (input.clone(), cell.gates() * hidden, 1.0 / (hidden as f32).sqrt());
    for layer in 0..layers {
        let width = x.width().unwrap();
        let tensor = |dims: [usize; 3]| Tensor::from_f32(dims, numbers(dims.iter().product(), scale)).unwrap();
        let mut weights = RecurrentWeights::new(tensor([1, gh, width]), tensor([1, gh, hidden]));
        weights.b = Some(Tensor::from_f32([1, 2 * gh], numbers(2 * gh, scale)).unwrap());
        let kind = Recurrent { batch_first: true, ..Recurrent::new(cell, hidden, Direction::Forward) };
        x = b.recurrent(&format!("layer{layer}"), &x, kind, weights, None).unwrap().0;
    }
    let kernel = Tensor::from_f32([hidden, outputs], numbers(hidden * outputs, scale)).unwrap();
    x = b.dense("dense", &x, kernel, Some(Tensor::zeros([outputs]).unwrap())).unwrap();
    x = if skip { b.add("skip", &x, &input).unwrap() } else { b.activation("mask", &x, Activation::Sigmoid) };
    b.output("y", &x);
    b.sequence(&input, Some(1), Some(0), Some("y"));
    b.finish().unwrap()
}

fn data() -> PathBuf {
    std::env::var_os("ELMAN_DATA").map_or_else(|| "../shared/data".into(), PathBuf::from).join("interop")
}

fn graphs() -> Vec<(&'static str, Graph)> {
    let open = |path: &Path| read::open(path, &Options::default()).unwrap();
    let mut graphs = vec![
        ("lstm32", network(Cell::Lstm { input_forget: false }, [1, 32, 1], 1, true)),
        ("gru32", network(Cell::Gru { linear_before_reset: true }, [1, 32, 1], 1, true)),
        ("dtln", network(Cell::Lstm { input_forget: false }, [257, 128, 257], 2, false)),
    ];
    for (name, file) in [("nam", "nam-boss-1x16/model.nam"), ("rnnoise", "rnnoise/weights.rnn")] {
        let path = data().join(file);
        if path.exists() {
            graphs.push((name, open(&path)));
        }
    }
    if let Some(path) = std::env::var_os("SILERO_ONNX") {
        graphs.push(("silero", open(Path::new(&path))));
    }
    graphs
}

fn machine(graph: &Graph) -> Machine {
    let mut options = StepOptions::default();
    if graph.inputs.iter().any(|port| port.name == "sr") {
        options.fixed.insert("sr".into(), Tensor::from_i64([], vec![16_000]).unwrap());
        options.dims.insert("input".into(), vec![1, 576]);
        options.dims.insert("state".into(), vec![2, 1, 128]);
    }
    graph.lower(&options).unwrap_or_else(|e| panic!("{e}")).into_machine()
}

/// Something that steps.
struct Case {
    name: String,
    step: Box<dyn FnMut(usize)>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, graph) in graphs() {
        let mut machine = machine(&graph);
        let machine_of = machine.clone();
        let x = numbers(machine.input_width() * 64, 0.5);
        let mut y = vec![0.0; machine.output_width()];
        let width = machine.input_width();
        let step = move |steps: usize| {
            for t in 0..steps {
                machine.step(&x[t % 64 * width..][..width], &mut y).unwrap();
            }
        };
        let mut blocks = machine_of.clone();
        blocks.reserve(64);
        let x = numbers(width * 64, 0.5);
        let mut y = vec![0.0; blocks.output_width() * 64];
        let in_blocks = move |steps: usize| (0..steps / 64).for_each(|_| blocks.steps(&x, &mut y).unwrap());
        cases.push(Case { name: format!("ours-{name}"), step: Box::new(step) });
        cases.push(Case { name: format!("blocks-{name}"), step: Box::new(in_blocks) });
    }
    // A network of the form of nam-boss-1x16 as training makes it.
    let config = NetworkConfig {
        feed: InputKind::Dense(1),
        classes: 1,
        ..NetworkConfig::language_model(CellKind::Lstm, 16, 1)
    };
    let weights = |_: &str, dims: &[usize]| Ok(numbers(dims.iter().product(), 0.25));
    let mut trained = Network::new(config, Precision::F32, weights).unwrap();
    let x = numbers(64, 0.5);
    let step = move |steps: usize| (0..steps).for_each(|t| {
        std::hint::black_box(trained.step(&x[t % 64..][..1]).unwrap());
    });
    cases.push(Case { name: "trained-1x16".into(), step: Box::new(step) });
    if let Ok(text) = std::fs::read_to_string(data().join("nam-boss-1x16/model.nam")) {
        let model = nam_rs::NamModel::from_json_str(&text).unwrap();
        let mut model = nam_rs::Model::from_nam(&model).unwrap();
        let x = numbers(64, 0.5);
        let mut block = vec![0.0; 64];
        let step = move |steps: usize| {
            for _ in 0..steps / 64 {
                block.copy_from_slice(&x);
                model.process_buffer(&mut block);
            }
        };
        cases.push(Case { name: "nam-rs".into(), step: Box::new(step) });
    }
    let model = rnn::RnnModel::default();
    let mut state = rnn::RnnState::new(std::borrow::Cow::Owned(model));
    let (x, mut gains, mut vad) = (numbers(42, 0.5), [0.0; 22], [0.0]);
    let step = move |steps: usize| (0..steps).for_each(|_| state.compute(&mut gains, &mut vad, &x));
    cases.push(Case { name: "nnnoiseless".into(), step: Box::new(step) });
    cases
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, folder] = &arguments[..]
        && command == "export"
    {
        for (name, graph) in graphs() {
            if name != "silero" {
                let step = write::stateful(&graph, &StepOptions::default()).unwrap();
                std::fs::write(Path::new(folder).join(format!("{name}.onnx")), onnx::write(&step).unwrap()).unwrap();
            }
        }
        return;
    }
    let mut cases = cases();
    println!("{}", cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(" "));
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let case = cases.iter_mut().find(|case| case.name == line).unwrap();
        let mut time = |steps: usize| {
            let start = Instant::now();
            (case.step)(steps);
            start.elapsed().as_secs_f64() / steps as f64
        };
        // A burst of 20 ms, in whole blocks of 64.
        let steps = ((20e-3 / time(64)) as usize / 64).max(1) * 64;
        println!("{}", time(steps) * 1e9);
        std::io::stdout().flush().unwrap();
    }
}
