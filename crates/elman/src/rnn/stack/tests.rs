use super::*;
use crate::optim::{Optimizer, OptimizerConfig};
use crate::rnn::{Gru, Lstm, Rnn};

const fn promises<T: Send + Sync + Clone + fmt::Debug>() {}
const _: () = {
    promises::<Stack>();
    promises::<Rnn>();
    promises::<Gru>();
    promises::<Lstm>();
};

fn stacks() -> Vec<Stack> {
    let of = |cell, layers| {
        let tied = SyncedConfig { embedding: 9, tied: true, layers, ..SyncedConfig::language_model(cell, 9, 5) };
        [
            Stack::new(cell, 3, 9, layers, 4, 1).unwrap(),
            Stack::tokens(cell, 5, 9, layers, 1).unwrap(),
            Stack::from_config(tied, 1).unwrap(),
        ]
    };
    CellKind::ALL.into_iter().flat_map(|cell| [1, 2].map(|layers| of(cell, layers))).flatten().collect()
}

/// Inputs and targets of some steps.
fn sequence(stack: &Stack, steps: usize) -> (Inputs<f32>, Vec<u32>) {
    let mut rng = Rng::new(3, "sequence");
    let mut below = |n: usize| (0..steps).map(|_| rng.below(n) as u32).collect::<Vec<_>>();
    let targets = below(stack.config().classes);
    let inputs = match stack.config().feed {
        InputKind::Dense(width) => Inputs::Dense((0..steps * width).map(|i| (i as f32 * 0.7).sin()).collect()),
        InputKind::Tokens(vocab) => Inputs::Tokens(below(vocab)),
    };
    (inputs, targets)
}

/// The outputs `[T, V]`, a step at a time.
fn run(stack: &mut Stack, inputs: &Inputs<f32>) -> Vec<f32> {
    match inputs {
        Inputs::Dense(x) => x.chunks_exact(3).flat_map(|x| stack.step(x).unwrap().to_vec()).collect(),
        Inputs::Tokens(tokens) => tokens.iter().flat_map(|&token| stack.step_token(token).unwrap().to_vec()).collect(),
    }
}

fn loss_and_grad(stack: &mut Stack, inputs: &Inputs<f32>, targets: &[u32]) -> (f64, Grads<f32>) {
    match inputs {
        Inputs::Dense(x) => stack.loss_and_grad(x, targets).unwrap(),
        Inputs::Tokens(tokens) => stack.loss_and_grad_tokens(tokens, targets).unwrap(),
    }
}

#[test]
fn steps_equal_the_forward_pass_over_time() {
    for mut stack in stacks() {
        let (inputs, targets) = sequence(&stack, 7);
        let (mut prepared, mut tape) = (SyncedPrepared::default(), SyncedTape::default());
        stack.network.prepare(&stack.params, &mut prepared);
        let batch = SyncedBatch { steps: Steps::equal(7, 1), inputs: inputs.clone(), targets };
        stack.network.forward(&stack.params, &prepared, &batch, &mut stack.network.zero_state(1), &mut tape, None);
        for (got, want) in run(&mut stack, &inputs).iter().zip(tape.logits()) {
            assert!((got - want).abs() <= 2e-6, "{stack:?}: {got} {want}");
        }
    }
}

#[test]
fn loss_and_gradients_are_the_shapes_and_the_state_advances() {
    for mut stack in stacks() {
        let (mut state, mut params) = (stack.network.zero_state(1), stack.params.clone());
        let mut adam = [(); 2].map(|()| Optimizer::new(OptimizerConfig::default(), params.layout()));
        for _ in 0..3 {
            let (inputs, targets) = sequence(&stack, 6);
            let (mut prepared, mut tape) = (SyncedPrepared::default(), SyncedTape::default());
            stack.network.prepare(&params, &mut prepared);
            let steps = Steps::equal(6, 1);
            let batch = SyncedBatch { steps, inputs: inputs.clone(), targets: targets.clone() };
            let mut want = Params::zeros(params.layout());
            let (network, state) = (&stack.network, &mut state);
            let loss = network.loss_and_grad(&params, &prepared, &batch, 1.0, None, state, &mut tape, &mut want);
            let (loss_nats, grads) = loss_and_grad(&mut stack, &inputs, &targets);
            assert!(loss_nats == loss && grads.values == want.values, "{stack:?}");
            let after: Vec<f32> = state.cells.iter().flat_map(|cell| [&cell.h[..], &cell.c].concat()).collect();
            assert_eq!(stack.state(), after);
            adam[0].update(stack.params_mut(), &grads, 0.1, 1.0);
            adam[1].update(&mut params, &want, 0.1, 1.0);
        }
        assert_eq!(stack.params().values, params.values);
    }
}

#[test]
fn a_trained_stack_says_hello_and_survives_saving_bit_for_bit() {
    // h e l l o: after an l comes an l, then an o.
    let (tokens, next) = ([0, 1, 2, 2], [1, 2, 2, 3]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello.safetensors");
    for cell in CellKind::ALL {
        let mut stack = Stack::tokens(cell, 4, 12, 1, 1).unwrap();
        let mut adam = Optimizer::new(OptimizerConfig::default(), stack.params().layout());
        let mut last_nats = f64::INFINITY;
        for _ in 0..150 {
            stack.reset();
            let (loss_nats, grads) = stack.loss_and_grad_tokens(&tokens, &next).unwrap();
            adam.update(stack.params_mut(), &grads, 0.03, 1.0);
            last_nats = loss_nats;
        }
        assert!(last_nats < 0.2, "{cell:?}: {last_nats} nats");
        stack.reset();
        let best = |y: &[f32]| (0..4).max_by(|&a, &b| y[a].total_cmp(&y[b])).unwrap() as u32;
        assert_eq!(tokens.map(|token| best(stack.step_token(token).unwrap())), next, "{cell:?}");

        stack.save(&path).unwrap();
        let document = model::load(&path).unwrap().document;
        let mut runner = Network::read(&document, Precision::F32).unwrap();
        let mut loaded = Stack::load(&path).unwrap();
        stack.reset();
        for token in tokens {
            let y = stack.step_token(token).unwrap();
            assert_eq!(y, loaded.step_token(token).unwrap());
            assert_eq!(y, runner.step_token(token).unwrap());
        }
        // And it continues training where it was.
        let (again, grads) = loaded.loss_and_grad_tokens(&tokens, &next).unwrap();
        let (loss_nats, want) = stack.loss_and_grad_tokens(&tokens, &next).unwrap();
        assert!(again == loss_nats && grads.values == want.values);
        assert_eq!(document.config()["task"], Value::Null);
    }
}

#[test]
fn a_file_of_another_cell_or_of_more_layers_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    Gru::new(2, 3, 2, 1).unwrap().save(&path).unwrap();
    assert!(Gru::load(&path).is_ok());
    let message = Rnn::load(&path).unwrap_err().to_string();
    assert!(message.ends_with("holds a layer of gru; `Stack::load` reads any cell and number of layers"), "{message}");
    Stack::new(CellKind::Lstm, 2, 3, 2, 2, 1).unwrap().save(&path).unwrap();
    assert!(Lstm::load(&path).unwrap_err().to_string().contains("holds 2 layers of lstm"));
    assert!(Stack::load(folder.path().join("none")).is_err());
}

#[test]
fn other_contents_of_a_file_survive_but_not_its_training_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut rnn: Stack = Rnn::tokens(3, 4, 1).unwrap().into();
    rnn.config["vocab"] = json!({"chars": "abc"});
    rnn.config["trained"] = json!({"steps": 7});
    rnn.save(&path).unwrap();
    Stack::load(&path).unwrap().save(&path).unwrap();
    let config = model::load(&path).unwrap().document.config().clone();
    assert!(config["vocab"]["chars"] == "abc" && config["trained"].is_null(), "{config}");
}

#[test]
fn invalid_inputs_are_rejected_and_the_state_is_unchanged() {
    let mut rnn = Rnn::new(2, 4, 3, 1).unwrap();
    rnn.step(&[1.0, 2.0]).unwrap();
    let state = rnn.state().to_vec();
    assert!(rnn.step(&[1.0]).is_err() && rnn.step_token(0).is_err() && rnn.set_state(&[0.0]).is_err());
    let cases: [(&[f32], &[u32]); 4] = [(&[], &[]), (&[1.0], &[0]), (&[1.0; 4], &[0]), (&[1.0; 2], &[3])];
    for (inputs, targets) in cases {
        assert!(rnn.loss_and_grad(inputs, targets).is_err(), "{inputs:?} {targets:?}");
    }
    assert!(rnn.loss_and_grad_tokens(&[0], &[0]).is_err());
    assert_eq!(rnn.state(), state);

    let mut lstm = Lstm::tokens(5, 4, 1).unwrap();
    assert!(lstm.step_token(5).is_err() && lstm.step(&[0.0; 5]).is_err());
    let cases: [(&[u32], &[u32]); 4] = [(&[], &[]), (&[0, 1], &[0]), (&[5], &[0]), (&[0], &[5])];
    for (tokens, targets) in cases {
        assert!(lstm.loss_and_grad_tokens(tokens, targets).is_err(), "{tokens:?} {targets:?}");
    }
    assert!(lstm.loss_and_grad(&[0.0; 5], &[0]).is_err());
    assert!(lstm.state().iter().all(|x| *x == 0.0) && lstm.state().len() == 8);
}

#[test]
fn invalid_sizes_are_rejected() {
    for sizes in [[0, 1, 1], [1, 0, 1], [1, 1, 0], [usize::MAX, 2, 2], [2, usize::MAX / 2, 2], [2, 2, usize::MAX]] {
        assert!(Gru::new(sizes[0], sizes[1], sizes[2], 1).is_err(), "{sizes:?}");
    }
    assert!(Rnn::tokens(0, 4, 1).is_err() && Stack::tokens(CellKind::Gru, 4, 4, 0, 1).is_err());
    let config = SyncedConfig::language_model(CellKind::Gru, 4, 4);
    assert!(Stack::from_config(SyncedConfig { bidirectional: true, ..config }, 1).is_err());
}

#[test]
fn changed_weights_apply_to_the_next_step_and_the_state_is_kept() {
    let mut one = Gru::new(2, 5, 3, 1).unwrap();
    one.step(&[1.0, 2.0]).unwrap();
    let mut two = Gru::new(2, 5, 3, 2).unwrap();
    two.set_state(one.state()).unwrap();
    one.params_mut().values.copy_from_slice(&two.params().values);
    assert_eq!(one.step(&[3.0, 4.0]).unwrap(), two.step(&[3.0, 4.0]).unwrap());
    // Weights of a different network and NaN weights are rejected.
    *one.params_mut() = Gru::new(3, 5, 3, 1).unwrap().params().clone();
    assert!(one.step(&[1.0, 2.0]).is_err() && one.loss_and_grad(&[1.0, 2.0], &[0]).is_err());
    two.params_mut().values[0] = f32::NAN;
    assert!(two.step(&[1.0, 2.0]).unwrap_err().to_string().contains("rnn.weight_ih_l0"));
    assert!(two.save("nowhere/model.safetensors").is_err());
}

#[test]
fn a_clone_has_its_own_state() {
    let mut one = Lstm::new(1, 3, 1, 1).unwrap();
    one.step(&[1.0]).unwrap();
    let mut two = one.clone();
    assert_eq!(one.step(&[2.0]).unwrap(), two.step(&[2.0]).unwrap());
    two.reset();
    assert_ne!(one.state(), two.state());
}
