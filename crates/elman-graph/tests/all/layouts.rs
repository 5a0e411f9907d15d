//! One cell with one set of weights, written in the layout of each format: each reading gives the numbers of the equations.
//!
//! An exchanged gate, a forgotten bias, initial state or forget bias, the wrong form of a GRU or of hard sigmoid: each makes
//! one of these fail.

use elman_graph::read::{self, Options};
use elman_graph::{Interpreter, Tensor};
use serde_json::{Value, json};

const I: usize = 3;
const H: usize = 4;
const T: usize = 6;

/// Numbers between -1 and 1 that follow no pattern.
fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (f64::from((state >> 40) as u32) / f64::from(1u32 << 24) - 0.5) * 2.0
        })
        .map(|x| f64::from(x as f32))
        .collect()
}

/// Gates in rows: `w[gate][unit][input]`.
struct Cell {
    w: Vec<Vec<Vec<f64>>>,
    r: Vec<Vec<Vec<f64>>>,
    b: Vec<Vec<f64>>,
    b_rec: Vec<Vec<f64>>,
}

impl Cell {
    fn new(gates: usize) -> Self {
        let matrix = |seed: u64, columns: usize| {
            let values = numbers(seed, gates * H * columns);
            values.chunks(H * columns).map(|gate| gate.chunks(columns).map(<[f64]>::to_vec).collect()).collect()
        };
        let vector = |seed| numbers(seed, gates * H).chunks(H).map(<[f64]>::to_vec).collect();
        Cell { w: matrix(1, I), r: matrix(2, H), b: vector(3), b_rec: vector(4) }
    }

    /// Products of one gate with the input and with the state, biases included.
    fn parts(&self, gate: usize, unit: usize, x: &[f64], h: &[f64]) -> (f64, f64) {
        let dot = |row: &[f64], v: &[f64]| row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>();
        (dot(&self.w[gate][unit], x) + self.b[gate][unit], dot(&self.r[gate][unit], h) + self.b_rec[gate][unit])
    }

    /// Gates `i f g o`.
    fn lstm(&self, xs: &[f64], mut h: Vec<f64>, mut c: Vec<f64>, gate: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut out = Vec::new();
        for x in xs.chunks(I) {
            let sum = |at: usize, unit: usize| {
                let (a, b) = self.parts(at, unit, x, &h);
                a + b
            };
            let next: Vec<f64> = (0..H).map(|u| gate(sum(1, u)) * c[u] + gate(sum(0, u)) * sum(2, u).tanh()).collect();
            let y: Vec<f64> = (0..H).map(|u| gate(sum(3, u)) * next[u].tanh()).collect();
            (h, c) = (y, next);
            out.extend(&h);
        }
        out
    }

    /// Gates `r z n`; the reset gate after the recurrent product, or before it.
    fn gru(&self, xs: &[f64], after: bool) -> Vec<f64> {
        let (mut h, mut out) = (vec![0.0; H], Vec::new());
        for x in xs.chunks(I) {
            let gate = |at: usize, unit: usize| {
                let (a, b) = self.parts(at, unit, x, &h);
                sigmoid(a + b)
            };
            let reset: Vec<f64> = (0..H).map(|u| gate(0, u) * h[u]).collect();
            let next = (0..H)
                .map(|u| {
                    let (a, b) = self.parts(2, u, x, &h);
                    let (_, before) = self.parts(2, u, x, &reset);
                    let n = (a + if after { gate(0, u) * b } else { before }).tanh();
                    (1.0 - gate(1, u)) * n + gate(1, u) * h[u]
                })
                .collect();
            h = next;
            out.extend(&h);
        }
        out
    }

    /// Rows, gates in the order of `order`.
    fn rows(&self, of: &[Vec<Vec<f64>>], order: &[usize]) -> Vec<Vec<f64>> {
        order.iter().flat_map(|gate| of[*gate].clone()).collect()
    }

    /// Columns, gates in the order of `order`.
    fn columns(&self, of: &[Vec<Vec<f64>>], order: &[usize]) -> Vec<Vec<f64>> {
        let rows = self.rows(of, order);
        (0..rows[0].len()).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
    }

    fn bias(&self, of: &[Vec<f64>], order: &[usize]) -> Vec<f64> {
        order.iter().flat_map(|gate| of[*gate].clone()).collect()
    }

    /// Both biases as one.
    fn sum(&self, order: &[usize]) -> Vec<f64> {
        self.bias(&self.b, order).iter().zip(self.bias(&self.b_rec, order)).map(|(a, b)| a + b).collect()
    }

    /// The layout of CuDNN within Keras: each gate's block in rows of its transpose, read as `[inputs, units]`.
    fn cudnn(&self, of: &[Vec<Vec<f64>>], order: &[usize]) -> Vec<Vec<f64>> {
        let inputs = of[0][0].len();
        let blocks: Vec<Vec<f64>> = order.iter().map(|gate| of[*gate].concat()).collect();
        (0..inputs)
            .map(|row| blocks.iter().flat_map(|block| block[row * H..(row + 1) * H].to_vec()).collect())
            .collect()
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn input() -> Vec<f64> {
    numbers(9, T * I)
}

/// Reads JSON, runs it on the input, and compares.
fn check(what: &str, json: &Value, map: Option<&str>, want: &[f64]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    std::fs::write(&path, json.to_string()).unwrap();
    let mut options = Options::default();
    if let Some(map) = map {
        let map_path = folder.path().join("map.toml");
        std::fs::write(&map_path, map).unwrap();
        options.answers.insert("map".into(), map_path.display().to_string());
    }
    let graph = read::open(&path, &options).unwrap_or_else(|error| panic!("{what}: {error}"));
    let x = Tensor::from_f32([1, T, I], input().iter().map(|x| *x as f32).collect()).unwrap();
    let y = Interpreter::new(graph).unwrap().run(&[x]).unwrap()[0].to_f32();
    assert_eq!(y.len(), want.len(), "{what}");
    for (at, (got, want)) in y.iter().zip(want).enumerate() {
        assert!((f64::from(*got) - want).abs() < 2e-6, "{what}: {got} instead of {want} at {at}");
    }
}

fn zeros() -> Vec<f64> {
    vec![0.0; H]
}

fn refusal(json: &Value, map: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (path, map_path) = (folder.path().join("model.json"), folder.path().join("map.toml"));
    std::fs::write(&path, json.to_string()).unwrap();
    std::fs::write(&map_path, map).unwrap();
    let mut options = Options::default();
    options.answers.insert("map".into(), map_path.display().to_string());
    read::open(&path, &options).unwrap_err().to_string()
}

const IFGO: &[usize] = &[0, 1, 2, 3];
/// Keras' `z r h` of gates in the order `r z n`.
const ZRH: &[usize] = &[1, 0, 2];

#[test]
fn lstm_of_torch_and_of_rtneural() {
    let cell = Cell::new(4);
    let want = cell.lstm(&input(), zeros(), zeros(), sigmoid);
    let torch = json!({
        "rnn.weight_ih_l0": cell.rows(&cell.w, IFGO), "rnn.weight_hh_l0": cell.rows(&cell.r, IFGO),
        "rnn.bias_ih_l0": cell.bias(&cell.b, IFGO), "rnn.bias_hh_l0": cell.bias(&cell.b_rec, IFGO),
    });
    check("PyTorch", &torch, None, &want);
    let weights = json!([cell.columns(&cell.w, IFGO), cell.columns(&cell.r, IFGO), cell.sum(IFGO)]);
    let layers = json!([{"type": "lstm", "activation": "tanh", "shape": [null, null, H], "weights": weights}]);
    check("RTNeural", &json!({"in_shape": [null, null, I], "layers": layers}), None, &want);
}

#[test]
fn gru_resets_after_the_product_in_torch_and_rtneural() {
    let cell = Cell::new(3);
    let want = cell.gru(&input(), true);
    let rzn = &[0, 1, 2];
    let torch = json!({
        "weight_ih_l0": cell.rows(&cell.w, rzn), "weight_hh_l0": cell.rows(&cell.r, rzn),
        "bias_ih_l0": cell.bias(&cell.b, rzn), "bias_hh_l0": cell.bias(&cell.b_rec, rzn),
    });
    check("PyTorch", &torch, None, &want);
    let bias = json!([cell.bias(&cell.b, ZRH), cell.bias(&cell.b_rec, ZRH)]);
    let weights = json!([cell.columns(&cell.w, ZRH), cell.columns(&cell.r, ZRH), bias]);
    check(
        "RTNeural",
        &json!({"in_shape": [I], "layers": [{"type": "gru", "shape": [H], "weights": weights}]}),
        None,
        &want,
    );
}

#[test]
fn nam_begins_with_the_state_in_the_file() {
    let cell = Cell::new(4);
    let (h0, c0) = (numbers(20, H), numbers(21, H).iter().map(|c| 5.0 * c).collect::<Vec<_>>());
    let y = cell.lstm(&input(), h0.clone(), c0.clone(), sigmoid);
    let (head, bias) = (numbers(22, H), 0.25);
    let want: Vec<f64> = y.chunks(H).map(|h| h.iter().zip(&head).map(|(a, b)| a * b).sum::<f64>() + bias).collect();
    let (w, r) = (cell.rows(&cell.w, IFGO), cell.rows(&cell.r, IFGO));
    let mut weights: Vec<f64> = w.iter().zip(&r).flat_map(|(w, r)| [w.clone(), r.clone()].concat()).collect();
    weights.extend(cell.sum(IFGO));
    weights.extend([h0, c0, head, vec![bias]].concat());
    let config = json!({"input_size": I, "hidden_size": H, "num_layers": 1});
    check(
        "NAM",
        &json!({"version": "0.5.4", "architecture": "LSTM", "config": config, "weights": weights}),
        None,
        &want,
    );
}

const INPUT: &str = "[input]\nwidth = 3\n[[layer]]\nname = \"cell\"\n";

#[test]
fn forget_bias_of_tensorflow_is_added() {
    let mut cell = Cell::new(4);
    // i j f o, one matrix for [x; h].
    let order = &[0, 2, 1, 3];
    let both = [cell.columns(&cell.w, order), cell.columns(&cell.r, order)].concat();
    let json = json!({"weights": both, "biases": cell.sum(order)});
    let map = format!("layout = \"tensorflow\"\n{INPUT}kind = \"lstm\"\nweights = \"weights\"\nbias = \"biases\"\n");
    assert!(refusal(&json, &map).contains("forget_bias is missing"));
    cell.b[1].iter_mut().for_each(|b| *b += 1.0);
    let want = cell.lstm(&input(), zeros(), zeros(), sigmoid);
    check("TensorFlow", &json, Some(&format!("{map}forget_bias = 1.0\n")), &want);
}

#[test]
fn bias_of_8h_tells_the_layout_of_cudnn() {
    let cell = Cell::new(4);
    let want = cell.lstm(&input(), zeros(), zeros(), sigmoid);
    let keys = "kind = \"lstm\"\ninput_weights = \"w\"\nrecurrent_weights = \"r\"\nbias = \"b\"\n";
    let map = format!("layout = \"keras\"\n{INPUT}{keys}");
    let bias = [cell.bias(&cell.b, IFGO), cell.bias(&cell.b_rec, IFGO)].concat();
    check(
        "CuDNN",
        &json!({"w": cell.cudnn(&cell.w, IFGO), "r": cell.cudnn(&cell.r, IFGO), "b": bias}),
        Some(&map),
        &want,
    );
    check(
        "Keras",
        &json!({"w": cell.columns(&cell.w, IFGO), "r": cell.columns(&cell.r, IFGO), "b": cell.sum(IFGO)}),
        Some(&map),
        &want,
    );
}

#[test]
fn the_form_of_a_gru_is_asked_for() {
    let mut cell = Cell::new(3);
    // One bias: all of the candidate's is outside the reset gate.
    cell.b_rec.iter_mut().flatten().for_each(|b| *b = 0.0);
    let json = json!({"w": cell.columns(&cell.w, ZRH), "r": cell.columns(&cell.r, ZRH), "b": cell.sum(ZRH)});
    let map = format!(
        "layout = \"keras\"\n{INPUT}kind = \"gru\"\ninput_weights = \"w\"\nrecurrent_weights = \"r\"\nbias = \"b\"\n"
    );
    assert!(refusal(&json, &map).contains("reset is missing"));
    check("before", &json, Some(&format!("{map}reset = \"before\"\n")), &cell.gru(&input(), false));
    check("after", &json, Some(&format!("{map}reset = \"after\"\n")), &cell.gru(&input(), true));
}

#[test]
fn hard_sigmoid_has_two_definitions() {
    let cell = Cell::new(4);
    let json = json!({"w": cell.columns(&cell.w, IFGO), "r": cell.columns(&cell.r, IFGO), "b": cell.sum(IFGO)});
    let map = format!(
        "layout = \"keras\"\n{INPUT}kind = \"lstm\"\ninput_weights = \"w\"\nrecurrent_weights = \"r\"\nbias = \"b\"\n"
    );
    assert!(refusal(&json, &format!("{map}gate_activation = \"hard_sigmoid\"\n")).contains("hard_sigmoid"));
    for (name, slope) in [("hard_sigmoid_keras_2", 0.2), ("hard_sigmoid_keras_3", 1.0 / 6.0)] {
        let want = cell.lstm(&input(), zeros(), zeros(), |x| (slope * x + 0.5).clamp(0.0, 1.0));
        check(name, &json, Some(&format!("{map}gate_activation = \"{name}\"\n")), &want);
    }
}

#[test]
fn a_weight_left_over_and_a_key_that_is_not_known_are_named() {
    let json = json!({"w": [[1.0], [1.0], [1.0]], "x": [1.0]});
    let map = format!("layout = \"keras\"\n{INPUT}kind = \"dense\"\nweight = \"w\"\n");
    assert!(refusal(&json, &map).contains("tensor x"));
    assert!(refusal(&json, &format!("ignore = \"y\"\n{map}")).contains("\"y\""));
    assert!(refusal(&json, &format!("ignore = \"x\"\n{map}surprise = 1\n")).contains("surprise"));
}
