//! Readers of networks made elsewhere: one target for each kind of file, all through the one door that finds the kind by
//! content. What is read is also prepared for runs and steps.

use elman_graph::read::{self, Options};
use elman_graph::{
    Activation, Builder, Cell, Direction, Dtype, Graph, Interpreter, Recurrent, RecurrentWeights, StepOptions, Tensor,
    onnx as format, write,
};

use crate::{folder, kept, sealed};

macro_rules! readers {
    ($($(#[$doc:meta])* $name:ident),*) => {
        $($(#[$doc])* pub fn $name(data: &[u8]) {
            open(data, &Options::default());
        })*
    };
}

readers! {
    /// ONNX.
    onnx,
    /// State dicts, in archives and in bare pickles.
    pytorch,
    /// Keras' archives.
    keras,
    /// HDF5.
    hdf5,
    /// JSON of amplifiers and state dicts.
    amps,
    /// RNNoise.
    rnnoise,
    /// State dicts in safetensors.
    tensors
}

/// A file of our own, with the checksum that belongs to it.
pub fn graph(data: &[u8]) {
    if let Some(file) = sealed(data) {
        open(&file, &Options::default());
    }
}

/// A description of layers, a zero byte, and the file that it describes.
pub fn map(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == 0) else { return };
    let folder = folder();
    let path = folder.path().join("map.toml");
    std::fs::write(&path, &data[..end]).expect("a temporary file");
    let mut options = Options::default();
    options.answers.insert("map".into(), path.display().to_string());
    open(&data[end + 1..], &options);
}

fn open(data: &[u8], options: &Options) {
    let folder = folder();
    let path = folder.path().join("file");
    std::fs::write(&path, data).expect("a temporary file");
    let graph = match read::open(&path, options) {
        Ok(graph) => graph,
        Err(error) => return refused(&error),
    };
    if let Err(error) = Interpreter::new(graph.clone()) {
        refused(&error);
    }
    if let Err(error) = graph.lower(&StepOptions::default()) {
        refused(&error);
    }
}

/// A refusal says why.
fn refused(error: &elman_graph::Error) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 100_000, "a message of {} bytes", text.len());
}

/// A recurrent layer and a dense layer over `inputs` values.
fn network(cell: Cell, inputs: usize, hidden: usize, outputs: usize) -> Graph {
    let numbers = |dims: &[usize]| {
        let n: usize = dims.iter().product();
        Tensor::from_f32(dims, (0..n).map(|i| (i * 37 % 101) as f32 / 64.0 - 0.75).collect()).expect("as many values")
    };
    let mut b = Builder::new("seed");
    let x = b.input("x", Dtype::F32, ["B".into(), "T".into(), inputs.into()]);
    let rows = cell.gates() * hidden;
    let mut weights = RecurrentWeights::new(numbers(&[1, rows, inputs]), numbers(&[1, rows, hidden]));
    weights.b = Some(numbers(&[1, 2 * rows]));
    let layer = Recurrent { batch_first: true, ..Recurrent::new(cell, hidden, Direction::Forward) };
    let h = b.recurrent("lstm", &x, layer, weights, None).expect("widths that fit").0;
    let y = b.dense("dense", &h, numbers(&[hidden, outputs]), Some(numbers(&[outputs]))).expect("widths that fit");
    let y = if outputs == 1 { y } else { b.activation("dense", &y, Activation::Tanh) };
    b.output("y", &y);
    b.sequence(&x, Some(1), Some(0), Some("y"));
    b.finish().expect("a whole network")
}

const LSTM: Cell = Cell::Lstm { input_forget: false };

fn networks() -> [Graph; 3] {
    let gru = Cell::Gru { linear_before_reset: true };
    [network(LSTM, 1, 3, 1), network(gru, 2, 3, 2), network(Cell::Rnn, 2, 2, 1)]
}

/// The seeds of a writer, then the files of the corpus.
fn seeds(name: &str, write: impl Fn(&Graph) -> elman_graph::Result<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = networks().iter().filter_map(|graph| write(graph).ok()).collect();
    seeds.extend(kept(name));
    seeds
}

pub(crate) fn onnx_files() -> Vec<Vec<u8>> {
    seeds("onnx", format::write)
}

pub(crate) fn pytorch_files() -> Vec<Vec<u8>> {
    seeds("pytorch", |graph| write::torch_file(&write::torch(graph)?.tensors))
}

pub(crate) fn keras_files() -> Vec<Vec<u8>> {
    seeds("keras", write::keras)
}

pub(crate) fn hdf5_files() -> Vec<Vec<u8>> {
    kept("hdf5")
}

pub(crate) fn amp_files() -> Vec<Vec<u8>> {
    let mut seeds = seeds("amps", |graph| Ok(write::nam(graph)?.into_bytes()));
    seeds.extend(networks().iter().filter_map(|graph| Some(write::rtneural(graph).ok()?.into_bytes())));
    let guitarml = r#"{"model_data": {"model": "SimpleRNN", "input_size": 1, "output_size": 1, "unit_type": "LSTM",
        "num_layers": 1, "hidden_size": 1, "skip": 1, "bias_fl": true}, "state_dict": {
        "rec.weight_ih_l0": [[0.1], [0.2], [0.3], [0.4]], "rec.weight_hh_l0": [[0.1], [0.2], [0.3], [0.4]],
        "rec.bias_ih_l0": [0.1, 0.2, 0.3, 0.4], "rec.bias_hh_l0": [0.1, 0.2, 0.3, 0.4],
        "lin.weight": [[0.5]], "lin.bias": [0.1]}}"#;
    seeds.push(guitarml.into());
    seeds
}

pub(crate) fn tensor_files() -> Vec<Vec<u8>> {
    seeds("tensors", |graph| write::safetensors(&write::torch(graph)?.tensors))
}

pub(crate) fn graph_files() -> Vec<Vec<u8>> {
    seeds("graph", Graph::to_bytes)
}

/// Six layers of RNNoise's form with one or two units, in bytes and in text.
pub(crate) fn rnnoise_files() -> Vec<Vec<u8>> {
    let mut numbers: Vec<u8> = Vec::new();
    // Inputs, units, activation, gates: the GRUs read the layers before them and the features.
    for [inputs, units, activation, gates] in
        [[42, 2, 0, 1], [2, 1, 2, 3], [45, 1, 2, 3], [44, 2, 2, 3], [2, 22, 1, 1], [1, 1, 1, 1]]
    {
        numbers.extend([inputs, units, activation]);
        let recurrent = if gates == 3 { units * units * gates } else { 0 };
        let count = usize::from(inputs) * usize::from(units * gates) + usize::from(recurrent + units * gates);
        numbers.extend((0..count).map(|i| (i * 37 % 251) as u8));
    }
    let words: Vec<String> = numbers.iter().map(|n| (*n as i8).to_string()).collect();
    let text = format!("rnnoise-nu model file version 1\n{}\n", words.join(" "));
    vec![numbers, text.into_bytes()]
}

pub(crate) fn map_files() -> Vec<Vec<u8>> {
    let map = "layout = \"torch\"\n[input]\nwidth = 1\n[[layer]]\nname = \"rnn\"\nkind = \"lstm\"\nmodule = \"lstm\"\n\
               [[layer]]\nkind = \"dense\"\ninput = [\"rnn\"]\nweight = \"dense.weight\"\nbias = \"dense.bias\"\n\
               activation = \"tanh\"\n";
    let of = |file: &Vec<u8>| [map.as_bytes(), &[0], file].concat();
    let mut seeds: Vec<Vec<u8>> = tensor_files().iter().chain(&pytorch_files()).map(of).collect();
    seeds.extend(kept("map"));
    seeds
}
