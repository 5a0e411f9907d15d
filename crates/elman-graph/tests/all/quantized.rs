//! Weights in fewer bits.

use elman_graph::read::{self, Options};
use elman_graph::{
    Activation, Builder, Cell, Direction, Dtype, Error, Graph, Interpreter, Recurrent, RecurrentWeights, StepOptions,
    Tensor, onnx,
};
use elman_step::Precision;

fn numbers(dims: &[usize], seed: usize) -> Tensor {
    let n: usize = dims.iter().product();
    let values = (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0);
    Tensor::from_f32(dims, values.map(|x| x * 0.4).collect()).unwrap()
}

/// Two recurrent layers and two dense ones.
fn network() -> Graph {
    let mut b = Builder::new("test");
    let x = b.input("x", Dtype::F32, ["B".into(), "T".into(), 5.into()]);
    let mut y = x.clone();
    let cells = [Cell::Lstm { input_forget: false }, Cell::Gru { linear_before_reset: true }];
    for (layer, cell) in cells.into_iter().enumerate() {
        let (width, rows) = (y.width().unwrap(), cell.gates() * 17);
        let mut weights = RecurrentWeights::new(numbers(&[1, rows, width], layer), numbers(&[1, rows, 17], layer + 2));
        weights.b = Some(numbers(&[1, 2 * rows], layer + 4));
        let kind = Recurrent { batch_first: true, ..Recurrent::new(cell, 17, Direction::Forward) };
        y = b.recurrent("layer", &y, kind, weights, None).unwrap().0;
    }
    y = b.dense("dense", &y, numbers(&[17, 9], 7), Some(numbers(&[9], 8))).unwrap();
    y = b.activation("dense", &y, Activation::Tanh);
    y = b.dense("output", &y, numbers(&[9, 3], 9), None).unwrap();
    b.output("y", &y);
    b.sequence(&x, Some(1), Some(0), Some("y"));
    b.finish().unwrap()
}

fn whole(graph: &Graph, x: &Tensor) -> Tensor {
    Interpreter::new(graph.clone()).unwrap().run(std::slice::from_ref(x)).unwrap().remove(0)
}

fn steps(graph: &Graph, precision: Precision, x: &Tensor) -> Tensor {
    let mut stepper = graph.lower(&StepOptions { precision, ..StepOptions::default() }).unwrap();
    stepper.run(&[("x".into(), x.clone())]).unwrap().remove(0).1
}

fn largest(a: &Tensor, b: &Tensor) -> f32 {
    a.to_f32().iter().zip(b.to_f32()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn rounded_weights_run_as_the_full_ones_do_in_that_precision() {
    let (full, x) = (network(), numbers(&[2, 30, 5], 11));
    for (precision, bound, size) in [(Precision::Bf16, 0.02, 0.6), (Precision::Int8, 0.1, 0.4)] {
        let rounded = full.quantize(precision).unwrap();
        let bytes = rounded.to_bytes().unwrap();
        let weights = |graph: &Graph| graph.constants.values().map(|t| t.len() * t.dtype().bytes()).sum::<usize>();
        assert!((weights(&rounded) as f64) < size * weights(&full) as f64, "{precision:?}");
        // Steps round what they multiply too, and weights that are rounded already are what they were.
        assert_eq!(steps(&rounded, Precision::F32, &x), steps(&full, precision, &x), "{precision:?}");
        let difference = largest(&whole(&rounded, &x), &whole(&full, &x));
        assert!(difference > 0.0 && difference < bound, "{precision:?}: {difference}");
        // Through files of our own and of ONNX.
        let again = Graph::from_bytes(&bytes).unwrap();
        assert_eq!(again, rounded);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), onnx::write(&rounded).unwrap()).unwrap();
        let foreign = read::open(file.path(), &Options::default()).unwrap();
        assert_eq!(whole(&foreign, &x), whole(&rounded, &x), "{precision:?}");
        let twice = rounded.quantize(precision).unwrap_err().to_string();
        assert!(twice.contains("already rounded"), "{twice}");
    }
    assert!(matches!(full.quantize(Precision::F32), Err(Error::Refused { .. })));
}

#[test]
fn what_no_product_reads_stays_and_what_is_not_finite_is_refused() {
    let mut b = Builder::new("test");
    let x = b.input("x", Dtype::F32, ["B".into(), "T".into(), 1.into()]);
    let y = b.activation("a", &x, Activation::Tanh);
    b.output("y", &y);
    b.sequence(&x, Some(1), Some(0), Some("y"));
    let error = b.finish().unwrap().quantize(Precision::Int8).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
    let mut graph = network();
    let biases = |graph: &Graph| -> Vec<Tensor> {
        graph.constants.values().filter(|t| t.dims() == [9] || t.dims() == [1, 136]).cloned().collect()
    };
    let rounded = graph.quantize(Precision::Int8).unwrap();
    assert_eq!(biases(&rounded), biases(&graph));
    assert_eq!(biases(&graph).len(), 2);
    let name = graph.constants.iter().find(|(_, t)| t.dims() == [17, 9]).unwrap().0.clone();
    let mut values = graph.constants[&name].to_f32();
    values[5] = f32::NAN;
    graph.constants.insert(name.clone(), Tensor::from_f32([17, 9], values).unwrap());
    let error = graph.quantize(Precision::Bf16).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("finite"), "{error}");
}

#[test]
fn a_test_signal_fits_the_inputs_it_is_made_for() {
    let graph = network();
    let signal = graph.test_signal(12).unwrap();
    assert_eq!(signal.len(), 1);
    assert_eq!((signal[0].0.as_str(), signal[0].1.dims()), ("x", &[1, 12, 5][..]));
    let values = signal[0].1.to_f32();
    assert!(values.iter().all(|x| x.abs() <= 0.5) && values.iter().any(|x| x.abs() > 0.25));
    assert_eq!(graph.test_signal(12), Some(signal));
    let mut b = Builder::new("test");
    let x = b.input("x", Dtype::I64, ["B".into(), "T".into()]);
    let y = b.embedding("table", &x, numbers(&[7, 3], 1)).unwrap();
    b.output("y", &y);
    b.sequence(&x, Some(1), Some(0), Some("y"));
    let (_, tokens) = b.finish().unwrap().test_signal(500).unwrap().remove(0);
    let tokens = tokens.as_i64().unwrap();
    assert!((0..7).all(|token| tokens.contains(&token)) && tokens.iter().all(|t| (0..7).contains(t)));
}
