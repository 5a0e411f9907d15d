//! A machine computes step by step what the interpreter computes over whole sequences.

use crate::random::{Numbers, graph, input, thinning};
use elman_graph::{
    Binary, Builder, Cell, Conv, Direction, Dtype, Interpreter, MaskedOutput, Op, Recurrent, RecurrentWeights, Reduce,
    StepOptions, Tensor, Value,
};
use proptest::prelude::*;

fn assert_near(got: &Tensor, want: &Tensor, what: &str) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    // Values that grow step by step are rounded where they are large.
    let largest = want.to_f32().iter().fold(1.0, |largest: f32, x| largest.max(x.abs()));
    for (i, (got, want)) in got.to_f32().iter().zip(want.to_f32()).enumerate() {
        let near = (got - want).abs() <= 1e-5 * largest || (got.is_nan() && want.is_nan());
        assert!(near, "{what} value {i}: {got}, not {want}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn steps_equal_the_whole(seed in any::<u64>(), rows in 1_usize..3, steps in 1_usize..9) {
        let graph = graph(seed);
        let x = input(&graph, seed, rows, steps);
        let mut stepper = graph.lower(&StepOptions::default()).unwrap();
        let got = stepper.run(&[("x".into(), x.clone())]).unwrap();
        let want = Interpreter::new(graph).unwrap().run(&[x]).unwrap();
        prop_assert_eq!(got.len(), 1);
        assert_near(&got[0].1, &want[0], "y");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn steps_that_are_left_out_are_those_of_the_whole(seed in any::<u64>(), rows in 1_usize..3, more in 0_usize..20) {
        let graph = thinning(seed);
        let mut of = Numbers(seed);
        let width = graph.inputs[0].dims.as_ref().unwrap()[2].fixed().unwrap();
        let mut stepper = graph.lower(&StepOptions::default()).unwrap();
        // At least one value of the slowest.
        let steps = stepper.outputs().iter().map(|port| port.pace.first).max().unwrap() + 1 + more;
        let x = of.tensor(&[rows, steps, width], 1.0);
        let want = Interpreter::new(graph).unwrap().run(std::slice::from_ref(&x)).unwrap();
        // Twice: a sequence begins anew.
        for _ in 0..2 {
            let got = stepper.run(&[("x".into(), x.clone())]).unwrap();
            for ((name, got), want) in got.iter().zip(&want) {
                assert_near(got, want, name);
            }
        }
    }
}

/// Why a graph of one layer is refused.
fn refusal(build: impl FnOnce(&mut Builder, &Value) -> Value) -> String {
    let mut b = Builder::new("test");
    let x = b.input("x", Dtype::F32, ["B".into(), "T".into(), 3.into()]);
    let y = build(&mut b, &x);
    b.output("y", &y);
    b.sequence(&x, Some(1), Some(0), Some("y"));
    b.finish().unwrap().lower(&StepOptions::default()).unwrap_err().to_string()
}

#[test]
fn what_reads_later_steps_is_refused_by_name() {
    let mut of = Numbers(1);
    let message = refusal(|b, x| {
        let layer = Recurrent::new(Cell::Lstm { input_forget: false }, 4, Direction::Bidirectional);
        let two = RecurrentWeights::new(of.tensor(&[2, 16, 3], 0.5), of.tensor(&[2, 16, 4], 0.5));
        b.recurrent("reader", x, Recurrent { batch_first: true, ..layer }, two, None).unwrap().0
    });
    assert!(message.starts_with("reader: it also reads the sequence from its end"), "{message}");
    let message = refusal(|b, x| b.node("attention", Op::Softmax { axis: 1 }, &[x], Dtype::F32, x.dims()));
    assert!(message.starts_with("attention: softmax over all steps"), "{message}");
    let message = refusal(|b, x| {
        let x = b.transpose("turn", x, &[0, 2, 1]).unwrap();
        let w = Tensor::zeros([2, 3, 3]).unwrap();
        b.conv("blur", &x, w, None, Conv { pads: vec![1, 1], groups: 1, ..Conv::default() }).unwrap()
    });
    assert!(message.starts_with("blur: it reads later steps"), "{message}");
    let message = refusal(|b, x| b.take("first", x, 1, 0).unwrap());
    assert!(message.starts_with("first: it mixes steps"), "{message}");
    let message = refusal(|b, x| {
        let mean = b.reduce("mean", x, Reduce::Mean, 1).unwrap();
        b.binary("centre", x, &mean, Binary::Sub).unwrap()
    });
    assert!(message.starts_with("centre: "), "{message}");
    let message = refusal(|b, x| {
        let turned = b.transpose("turn", x, &[0, 2, 1]).unwrap();
        let conv = Conv { strides: vec![2], pads: vec![2, 0], groups: 1, ..Conv::default() };
        let half = b.conv("half", &turned, Tensor::zeros([3, 3, 3]).unwrap(), None, conv).unwrap();
        b.add("residual", &turned, &half).unwrap()
    });
    assert!(message.starts_with("residual: its inputs have different numbers of steps"), "{message}");
}

#[test]
fn masked_steps_keep_the_state() {
    for masked in [MaskedOutput::Zero, MaskedOutput::Repeat] {
        let mut of = Numbers(5);
        let mut b = Builder::new("test");
        let x = b.input("x", Dtype::I64, ["B".into(), "T".into()]);
        let zero = b.constant("zero", Tensor::from_i64([], vec![0]).unwrap());
        let mask = b.binary("mask", &x, &zero, Binary::Greater).unwrap();
        let e = b.embedding("embedding", &x, of.tensor(&[7, 3], 1.0)).unwrap();
        let layer = Recurrent::new(Cell::Gru { linear_before_reset: true }, 4, Direction::Forward);
        let layer = Recurrent { batch_first: true, masked, ..layer };
        let mut weights = RecurrentWeights::new(of.tensor(&[1, 12, 3], 0.5), of.tensor(&[1, 12, 4], 0.5));
        weights.initial_h = Some(of.tensor(&[1, 1, 4], 0.5));
        let (y, h, _) = b.recurrent("gru", &e, layer, weights, Some(&mask)).unwrap();
        b.output("y", &y);
        b.output("h", &h);
        b.sequence(&x, Some(1), Some(0), Some("y"));
        let graph = b.finish().unwrap();
        let x = Tensor::from_i64([2, 6], vec![0, 3, 0, 0, 2, 6, 1, 2, 3, 0, 0, 0]).unwrap();
        let got = graph.lower(&StepOptions::default()).unwrap().run(&[("x".into(), x.clone())]).unwrap();
        let want = Interpreter::new(graph).unwrap().run(&[x]).unwrap();
        assert_near(&got[0].1, &want[0], "y");
    }
}

/// A graph whose runs are steps: one LSTM cell with its states among inputs and outputs, packed in one tensor.
#[test]
fn a_run_with_states_is_a_step() {
    let graph = graph(3);
    let step = elman_graph::write::stateful(&graph, &StepOptions::default()).unwrap();
    let mut run = step.clone();
    run.sequence = None;
    for port in run.inputs.iter_mut().chain(&mut run.outputs) {
        for dim in port.dims.iter_mut().flatten() {
            if dim.fixed().is_none() {
                *dim = 1.into();
            }
        }
    }
    let x = input(&graph, 3, 1, 6);
    let want = Interpreter::new(graph).unwrap().run(std::slice::from_ref(&x)).unwrap();
    // Steps in front, one sequence of one step each.
    let mut dims = x.dims().to_vec();
    dims.insert(0, 6);
    dims[2] = 1;
    let mut stepper = run.lower(&StepOptions::default()).unwrap();
    let got = stepper.run(&[("x".into(), x.reshaped(dims).unwrap())]).unwrap();
    let got = got[0].1.reshaped(want[0].dims()).unwrap();
    assert_near(&got, &want[0], "y");
}

#[test]
fn sequences_of_a_batch_stay_apart_where_time_comes_first_and_goes_away() {
    for pooled in [Reduce::Max, Reduce::Mean] {
        let mut of = Numbers(3);
        let mut b = Builder::new("test");
        let x = b.input("x", Dtype::F32, ["T".into(), "B".into(), 3.into()]);
        let layer = Recurrent::new(Cell::Rnn, 4, Direction::Forward);
        let weights = RecurrentWeights::new(of.tensor(&[1, 4, 3], 0.5), of.tensor(&[1, 4, 4], 0.5));
        let y = b.recurrent("rnn", &x, layer, weights, None).unwrap().0;
        let pooled = b.reduce("pool", &y, pooled, 0).unwrap();
        let last = b.take("last", &y, 0, -1).unwrap();
        b.output("pooled", &pooled);
        b.output("last", &last);
        b.sequence(&x, Some(0), Some(1), None);
        let graph = b.finish().unwrap();
        let x = of.tensor(&[6, 3, 3], 1.0);
        let got = graph.lower(&StepOptions::default()).unwrap().run(&[("x".into(), x.clone())]).unwrap();
        let want = Interpreter::new(graph).unwrap().run(&[x]).unwrap();
        for ((name, got), want) in got.iter().zip(&want) {
            assert_near(got, want, name);
        }
    }
}

#[test]
fn a_network_that_leaves_steps_out_is_no_single_step() {
    let graph = (0..).map(thinning).find(|graph| {
        let ports = graph.lower(&StepOptions::default()).unwrap().outputs().to_vec();
        ports.iter().any(|port| port.pace.period > 1)
    });
    let error = elman_graph::write::stateful(&graph.unwrap(), &StepOptions::default()).unwrap_err().to_string();
    assert!(error.contains("fewer outputs than steps"), "{error}");
}
