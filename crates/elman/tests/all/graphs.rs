//! Trained models as graphs: the numbers of the network that was trained.

use elman::cell::CellKind;
use elman::convert::{Graph, Interpreter, Tensor, onnx, read, write};
use elman::format::document::DocumentWriter;
use elman::layer::{AttentionKind, FrontConfig, Loss};
use elman::param::{Init, Params};
use elman::rng::Rng;
use elman::shape::{
    DecoderConfig, Fixed, FixedConfig, FixedPrepared, FixedTape, SequenceIo, SequenceIoConfig, SequenceIoPrepared,
    SequenceOutput, SequenceOutputConfig, SequenceOutputPrepared, Shape, Stepper,
};
use elman::train::weights;
use serde_json::{Value, json};

/// A model file of the network, and the graph that is read from it, `part` of it where it has two.
fn graph(shape: &str, network: &impl serde::Serialize, params: &Params<f32>, part: Option<&str>) -> Graph {
    let config = json!({"kind": "model", "shape": shape, "network": network, "labels": Value::Null});
    let bytes = DocumentWriter { config, tensors: weights(params) }.to_bytes().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut options = read::Options::default();
    options.answers.extend(part.map(|part| ("part".to_string(), part.to_string())));
    let graph = read::open(file.path(), &options).unwrap_or_else(|error| panic!("{error}"));
    if part.is_some() {
        let error = read::open(file.path(), &read::Options::default()).unwrap_err().to_string();
        assert!(error.contains("--part encoder"), "{error}");
    }
    graph
}

/// The outputs by name, which a file of ONNX gives to the last bit too.
fn run(graph: &Graph, inputs: &[(&str, &Tensor)]) -> Vec<(String, Tensor)> {
    let outputs = |graph: &Graph| {
        let find = |name: &str| inputs.iter().find(|(other, _)| *other == name).map(|(_, x)| (*x).clone());
        let given: Vec<Tensor> = graph.inputs.iter().map(|port| find(&port.name).expect("every input")).collect();
        let values = Interpreter::new(graph.clone()).unwrap().run(&given).unwrap_or_else(|error| panic!("{error}"));
        graph.outputs.iter().map(|port| port.name.clone()).zip(values).collect::<Vec<_>>()
    };
    let all = outputs(graph);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), onnx::write(graph).unwrap()).unwrap();
    let again = read::open(file.path(), &read::Options::default()).unwrap();
    for ((name, y), (_, z)) in all.iter().zip(outputs(&again)) {
        assert_eq!(y.to_f32(), z.to_f32(), "{name} through ONNX");
    }
    all
}

fn near(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= 5e-6 * want.abs().max(1.0), "{what}: {got}, not {want}");
    }
}

fn tokens(tokens: &[u32]) -> Tensor {
    Tensor::from_i64([1, tokens.len()], tokens.iter().map(|t| i64::from(*t)).collect()).unwrap()
}

const WRITTEN: [u32; 5] = [3, 0, 6, 6, 2];

/// The decoder's logits, written token by token and, where it can, all at once.
fn follow(what: &str, decoder: &Graph, begun: &[(String, Tensor)], mut stepper: Stepper<f32>) {
    let mut states: Vec<(String, Tensor)> = begun.to_vec();
    let mut all = Vec::new();
    for (t, token) in WRITTEN.into_iter().enumerate() {
        let token = [token];
        let want = stepper.logits(&[0], &token).to_vec();
        let x = tokens(&token);
        let mut inputs: Vec<(&str, &Tensor)> = states.iter().map(|(name, x)| (name.as_str(), x)).collect();
        inputs.push(("tokens", &x));
        let outputs = run(decoder, &inputs);
        near(&format!("{what}, token {t}"), &outputs[0].1.to_f32(), &want);
        for (name, y) in &outputs {
            if let Some(state) = name.strip_suffix("_next") {
                states.iter_mut().find(|(other, _)| other == state).expect("a state").1 = y.clone();
            }
        }
        all.extend(want);
    }
    assert_eq!(decoder.states.len(), states.iter().filter(|(name, _)| name.len() == 2).count());
    if decoder.sequence.as_ref().is_some_and(|sequence| sequence.time.is_some()) {
        let x = tokens(&WRITTEN);
        let mut inputs: Vec<(&str, &Tensor)> = begun.iter().map(|(name, x)| (name.as_str(), x)).collect();
        inputs.push(("tokens", &x));
        near(&format!("{what}, all at once"), &run(decoder, &inputs)[0].1.to_f32(), &all);
    }
}

fn decoder(cell: CellKind, attention: Option<AttentionKind>) -> DecoderConfig {
    DecoderConfig {
        cell,
        vocab: 7,
        embedding: 5,
        hidden: 8,
        layers: 1,
        upper_layers: 0,
        conditional: false,
        attention,
        attention_hidden: 6,
        scaled_attention: false,
        tied: false,
        dropout: 0.0,
        locked_dropout: false,
        label_smoothing: 0.0,
    }
}

#[test]
fn encoder_and_decoder_of_translation_are_two_graphs() {
    use AttentionKind::{Additive, Dot, General};
    let plain = |cell, attention| SequenceIoConfig {
        cell,
        source_vocab: 7,
        shared_embedding: false,
        layers: 2,
        hidden: 4,
        bidirectional: true,
        decoder: decoder(cell, attention),
    };
    let mut configs = vec![plain(CellKind::Lstm, None), plain(CellKind::RnnRelu, Some(Dot))];
    for cell in [CellKind::Lstm, CellKind::Gru, CellKind::GruResetBefore, CellKind::LstmPeephole] {
        let mut deep = plain(cell, Some(General));
        (deep.decoder.layers, deep.decoder.upper_layers, deep.decoder.scaled_attention) = (2, 2, true);
        (deep.shared_embedding, deep.decoder.tied) = (true, true);
        let mut conditional = plain(cell, Some(Additive));
        (conditional.bidirectional, conditional.decoder.conditional, conditional.decoder.tied) = (false, true, true);
        conditional.decoder.upper_layers = 1;
        configs.extend([deep, conditional]);
    }
    for config in configs {
        let what = format!("{:?} {:?}", config.cell, config.decoder.attention);
        let network = SequenceIo::new(config.clone()).unwrap();
        let params = network.init(Init::Uniform(0.6), &mut Rng::new(1, "weights"));
        let mut prepared = SequenceIoPrepared::default();
        network.prepare(&params, &mut prepared);
        let source = [1, 5, 2, 0, 6, 3];
        let encoder = graph("sequence-io", &config, &params, Some("encoder"));
        let begun = run(&encoder, &[("tokens", &tokens(&source))]);
        let decoder = graph("sequence-io", &config, &params, Some("decoder"));
        follow(&what, &decoder, &begun, network.stepper(&prepared, &[source]));
    }
}

#[test]
fn encoder_and_decoder_of_captions_are_two_graphs() {
    for (positions, attention) in [(1, None), (4, Some(AttentionKind::General)), (4, Some(AttentionKind::Additive))] {
        let config = SequenceOutputConfig {
            features: 9,
            positions,
            memory: 6,
            feature_dropout: 0.0,
            decoder: decoder(CellKind::Lstm, attention),
        };
        let network = SequenceOutput::new(config.clone()).unwrap();
        let params = network.init(Init::Uniform(0.6), &mut Rng::new(1, "weights"));
        let mut prepared = SequenceOutputPrepared::default();
        network.prepare(&params, &mut prepared);
        let x: Vec<f32> = (0..positions * 9).map(|i| (i as f32 * 0.7).sin()).collect();
        let encoder = graph("sequence-output", &config, &params, Some("encoder"));
        let features = Tensor::from_f32([1, positions, 9], x.clone()).unwrap();
        let begun = run(&encoder, &[("features", &features)]);
        let decoder = graph("sequence-output", &config, &params, Some("decoder"));
        follow(&format!("{positions} positions"), &decoder, &begun, network.stepper(&prepared, &x));
    }
}

#[test]
fn convolutions_over_images_are_those_of_the_trained_network() {
    for (input, skip) in [([5, 6, 2], false), ([8, 7, 1], true), ([1, 3, 4], false), ([1, 1, 9], true)] {
        let convs = if input[1] > 1 { vec![3, 4] } else { vec![] };
        let front = FrontConfig { input, convs, dense: vec![7, 5], dropout: 0.0 };
        let config = FixedConfig { front, outputs: 3, loss: Loss::default(), huber: None, skip };
        let network = Fixed::new(config.clone()).unwrap();
        let mut params: Params<f32> = network.init(&mut Rng::new(1, "weights"));
        for tensor in network.layout().tensors().iter().filter(|tensor| tensor.name == "skip.weight") {
            let weights = tensor.slot.of_mut(&mut params).iter_mut().enumerate();
            weights.for_each(|(i, w)| *w = (i as f32 * 0.3).cos());
        }
        let (mut prepared, mut tape) = (FixedPrepared::default(), FixedTape::default());
        network.prepare(&params, &mut prepared);
        let width: usize = input.iter().product();
        let x: Vec<f32> = (0..3 * width).map(|i| (i as f32 * 0.7).sin()).collect();
        network.forward(&params, &prepared, &x, &mut tape, None);
        let graph = graph("fixed", &config, &params, None);
        let rows = Tensor::from_f32([3, width], x.clone()).unwrap();
        near(&format!("{input:?}"), &run(&graph, &[("x", &rows)])[0].1.to_f32(), tape.outputs());
        if input[1] > 1 {
            continue;
        }
        // Of a stream of rows each is a step, in C too.
        let mut stepper = graph.lower(&Default::default()).unwrap();
        for (x, want) in x.chunks(width).zip(tape.outputs().chunks(3)) {
            let row = Tensor::from_f32([1, width], x.to_vec()).unwrap();
            near("a row", &stepper.run(&[("x".into(), row)]).unwrap()[0].1.to_f32(), want);
        }
        assert!(write::c(&graph, "net", &Default::default()).unwrap().contains("net_step("));
    }
}
