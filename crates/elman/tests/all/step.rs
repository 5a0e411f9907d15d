//! Running is training: a network stepped `T` times gives what the forward pass gives over `T` steps.

use elman::cell::{CellKind, Steps};
use elman::format::document::{DocumentWriter, Tensor, TensorData};
use elman::format::quantize::quantize;
use elman::param::{Init, Params};
use elman::rng::Rng;
use elman::shape::{InputKind, Inputs, Shape, Synced, SyncedBatch, SyncedConfig, SyncedPrepared, SyncedTape};
use elman::step::model::{Document, ModelError};
use elman::step::{Network, Precision};
use serde_json::{Value, json};

use crate::on_the_named_instruction_set;

const STEPS: usize = 30;
const CLASSES: usize = 11;

fn config(cell: CellKind, layers: usize, hidden: usize, feed: InputKind, embedding: usize) -> SyncedConfig {
    let tied = embedding == hidden;
    let base = SyncedConfig::language_model(cell, hidden, CLASSES);
    SyncedConfig { layers, feed, embedding, tied, dropout: 0.1, ..base }
}

struct Trained {
    network: Synced,
    params: Params<f32>,
}

impl Trained {
    fn new(config: SyncedConfig) -> Self {
        on_the_named_instruction_set();
        let network = Synced::new(config).unwrap();
        // Larger weights would make some of these networks chaotic, and two orders of a sum would part.
        let params = network.init(Init::Fan, &mut Rng::new(7, "weights"));
        Trained { network, params }
    }

    fn config(&self) -> Value {
        json!({"kind": "model", "task": "language-model", "shape": "synced", "network": self.network.config()})
    }

    /// The bytes of its model file, with another config if one is given.
    fn file(&self, config: Value) -> Vec<u8> {
        let tensors = self.network.layout().tensors().iter().map(|tensor| Tensor {
            name: tensor.name.clone(),
            dims: tensor.dims.clone(),
            data: TensorData::F32(tensor.slot.of(&self.params)),
        });
        DocumentWriter { config, tensors: tensors.collect() }.to_bytes().unwrap()
    }

    fn run(&self) -> Network {
        read(&self.file(self.config())).unwrap()
    }

    /// The logits `[T, V]` of one sequence.
    fn forward(&self, inputs: Inputs<f32>) -> Vec<f32> {
        let mut prepared = SyncedPrepared::default();
        self.network.prepare(&self.params, &mut prepared);
        let steps = Steps::ragged(&[STEPS]).unwrap();
        let batch = SyncedBatch { steps, inputs, targets: vec![0; STEPS] };
        let (mut state, mut tape) = (self.network.zero_state(1), SyncedTape::default());
        self.network.forward(&self.params, &prepared, &batch, &mut state, &mut tape, None);
        tape.logits().to_vec()
    }
}

fn read(bytes: &[u8]) -> Result<Network, ModelError> {
    Network::read(&Document::parse(bytes)?, Precision::F32)
}

fn inputs(feed: InputKind, seed: u64) -> Inputs<f32> {
    let mut rng = Rng::new(seed, "inputs");
    match feed {
        InputKind::Dense(width) => Inputs::Dense((0..STEPS * width).map(|_| rng.range(-1.0, 1.0) as f32).collect()),
        InputKind::Tokens(vocab) => Inputs::Tokens((0..STEPS).map(|_| rng.below(vocab) as u32).collect()),
    }
}

fn step(network: &mut Network, inputs: &Inputs<f32>, t: usize) -> Vec<f32> {
    match inputs {
        Inputs::Dense(x) => {
            let width = x.len() / STEPS;
            network.step(&x[t * width..(t + 1) * width]).unwrap().to_vec()
        }
        Inputs::Tokens(tokens) => network.step_token(tokens[t]).unwrap().to_vec(),
    }
}

fn assert_near(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    // Sums may be taken in another order; relative to the largest value.
    let scale = want.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= 1e-6 * scale, "{what}: value {i} is {got}, forward says {want}");
    }
}

/// Every cell, 1 to 3 layers, every kind of input, sizes around the width of registers.
fn cases() -> Vec<SyncedConfig> {
    let mut cases = Vec::new();
    for cell in CellKind::ALL {
        for (layers, hidden) in [(1, 5), (2, 16), (3, 40)] {
            cases.push(config(cell, layers, hidden, InputKind::Dense(3), 0));
            cases.push(config(cell, layers, hidden, InputKind::Tokens(CLASSES), 0));
            cases.push(config(cell, layers, hidden, InputKind::Tokens(CLASSES), 7));
            cases.push(config(cell, layers, hidden, InputKind::Tokens(CLASSES), hidden));
            // A vocabulary too large for a table: the embedding is gathered.
            cases.push(config(cell, layers, hidden, InputKind::Tokens(3000), 2));
        }
    }
    cases
}

#[test]
fn steps_equal_the_forward_pass_over_time() {
    for config in cases() {
        let what = format!("{config:?}");
        let trained = Trained::new(config.clone());
        let inputs = inputs(config.feed, 1);
        let want = trained.forward(inputs.clone());
        let mut network = trained.run();
        for t in 0..STEPS {
            let got = step(&mut network, &inputs, t);
            assert_near(&got, &want[t * CLASSES..(t + 1) * CLASSES], &format!("{what} step {t}"));
        }
    }
}

#[test]
fn streams_have_the_bits_of_networks_by_themselves() {
    const ROWS: usize = 7;
    for config in cases() {
        let trained = Trained::new(config.clone());
        let mut networks = vec![trained.run(); ROWS];
        let mut streams = networks[0].streams(ROWS).unwrap();
        let inputs: Vec<Inputs<f32>> = (0..ROWS as u64).map(|row| inputs(config.feed, row)).collect();
        for t in 0..STEPS {
            let want: Vec<f32> =
                networks.iter_mut().zip(&inputs).flat_map(|(network, inputs)| step(network, inputs, t)).collect();
            let got = match config.feed {
                InputKind::Dense(width) => {
                    let x: Vec<f32> = inputs
                        .iter()
                        .flat_map(|inputs| match inputs {
                            Inputs::Dense(x) => x[t * width..(t + 1) * width].to_vec(),
                            Inputs::Tokens(_) => unreachable!("the feed is dense"),
                        })
                        .collect();
                    streams.step(&x).unwrap()
                }
                InputKind::Tokens(_) => {
                    let tokens: Vec<u32> = inputs
                        .iter()
                        .map(|inputs| match inputs {
                            Inputs::Tokens(tokens) => tokens[t],
                            Inputs::Dense(_) => unreachable!("the feed is tokens"),
                        })
                        .collect();
                    streams.step_tokens(&tokens).unwrap()
                }
            };
            assert_eq!(got, want, "{config:?} step {t}");
            if t == STEPS / 2 {
                streams.reset_row(3).unwrap();
                networks[3].reset();
            }
        }
    }
}

#[test]
fn a_state_taken_out_and_put_back_goes_on_with_the_same_bits() {
    for config in cases() {
        let trained = Trained::new(config.clone());
        let inputs = inputs(config.feed, 2);
        let (mut one, mut two) = (trained.run(), trained.run());
        for t in 0..5 {
            step(&mut one, &inputs, t);
        }
        two.set_state(one.state()).unwrap();
        for t in 5..9 {
            assert_eq!(step(&mut one, &inputs, t), step(&mut two, &inputs, t), "{config:?}");
            let layers = 0..config.layers;
            assert!(layers.clone().all(|layer| one.hidden(layer) == two.hidden(layer)));
            assert_eq!(one.hidden(config.layers), None);
        }
        one.reset();
        let mut fresh = trained.run();
        assert_eq!(step(&mut one, &inputs, 0), step(&mut fresh, &inputs, 0), "{config:?} after reset");
        assert!(one.set_state(&[0.0]).is_err());
    }
}

#[test]
fn configs_that_contradict_the_tensors_are_refused_in_words() {
    let trained = Trained::new(config(CellKind::Lstm, 2, 5, InputKind::Tokens(CLASSES), 5));
    let message = |change: &dyn Fn(&mut Value)| {
        let mut config = trained.config();
        change(&mut config);
        read(&trained.file(config)).map(|_| ()).unwrap_err().to_string()
    };
    let set = |key: &'static str, value: Value| message(&move |config| config["network"][key] = value.clone());
    assert!(set("hidden", json!(6)).contains("tied to an embedding of other dimensions"));
    assert!(set("layers", json!(3)).contains("rnn.weight_ih_l2: not in the file"));
    assert!(set("layers", json!(0)).contains("`layers` is 0"));
    assert!(set("layers", json!(u64::MAX)).contains("rnn.weight_ih_l2: not in the file"));
    assert!(set("cell", json!("gru")).contains("[20, 5] in the file, but the config needs [15, 5]"));
    assert!(set("cell", json!("elman")).contains("unknown variant `elman`"));
    assert!(set("feed", json!({"tokens": 12})).contains("tied"));
    assert!(set("feed", json!({"dense": 5})).contains("there is an embedding"));
    assert!(set("tied", json!(false)).contains("output.weight: not in the file"));
    assert!(set("embedding", json!(4)).contains("tied"));
    assert!(set("bidirectional", json!(true)).contains("a stream has no end yet"));
    assert!(set("width", json!(1)).contains("unknown field `width`"));
    assert!(message(&|config| config["shape"] = json!("fixed")).contains("\"fixed\" has no output at every step"));
    assert!(message(&|config| config["network"] = Value::Null).contains("invalid type: null"));
    for (key, value) in [("hidden", json!(u64::MAX)), ("embedding", json!(u64::MAX)), ("classes", json!(u64::MAX))] {
        let mut config = trained.config();
        config["network"]["tied"] = json!(false);
        config["network"][key] = value;
        assert!(read(&trained.file(config)).is_err(), "{key}");
    }
}

#[test]
fn a_weight_that_is_not_finite_is_named() {
    let mut trained = Trained::new(config(CellKind::Gru, 1, 4, InputKind::Dense(2), 0));
    trained.params.get_mut("rnn.bias_hh_l0").unwrap()[3] = f32::NAN;
    let error = read(&trained.file(trained.config())).map(|_| ()).unwrap_err();
    assert_eq!(error, ModelError::NotFinite { tensor: "rnn.bias_hh_l0".into(), index: 3 });
}

#[test]
fn inputs_of_the_wrong_kind_or_size_are_refused_and_leave_the_state() {
    let tokens = Trained::new(config(CellKind::RnnTanh, 1, 4, InputKind::Tokens(CLASSES), 0));
    let mut network = tokens.run();
    network.step_token(3).unwrap();
    let state = network.state().to_vec();
    let outside = network.step_token(CLASSES as u32).unwrap_err().to_string();
    assert_eq!(outside, "token 11 is outside the vocabulary, which has tokens 0 to 10");
    assert_eq!(network.step(&[0.0; 4]).unwrap_err().to_string(), "this network reads tokens below 11, not vectors");
    assert_eq!(network.state(), state);

    let dense = Trained::new(config(CellKind::RnnTanh, 1, 4, InputKind::Dense(2), 0));
    let mut network = dense.run();
    assert_eq!(network.step_token(0).unwrap_err().to_string(), "this network reads vectors of width 2, not tokens");
    assert_eq!(network.step(&[1.0]).unwrap_err().to_string(), "the input has 1 values, but the sizes require 2");
    assert!(network.streams(0).is_err());
    let mut streams = network.streams(2).unwrap();
    assert!(streams.step(&[1.0, 2.0]).is_err() && streams.reset_row(2).is_err());
}

#[test]
fn a_model_in_fewer_bits_steps_as_the_full_one_does_in_that_precision_bit_for_bit() {
    for config in cases() {
        let trained = Trained::new(config.clone());
        let full = trained.file(trained.config());
        let full = Document::parse(&full).unwrap();
        for precision in [Precision::Int8, Precision::Bf16] {
            let rounded = quantize(&full, precision).unwrap().document().to_bytes().unwrap();
            let rounded = Document::parse(&rounded).unwrap();
            assert_eq!(rounded.precision(), precision);
            let mut want = Network::read(&full, precision).unwrap();
            let mut got = Network::read(&rounded, precision).unwrap();
            // The rounded weights with f32 arithmetic: near, not equal.
            let mut plain = Network::read(&rounded, Precision::F32).unwrap();
            let inputs = inputs(config.feed, 3);
            for t in 0..STEPS {
                let want = step(&mut want, &inputs, t);
                assert!(step(&mut got, &inputs, t) == want, "{config:?} {precision:?} step {t}");
                let near = step(&mut plain, &inputs, t);
                assert!(near.iter().zip(&want).all(|(a, b)| (a - b).abs() < 0.1), "{config:?} {precision:?} step {t}");
            }
        }
    }
}
