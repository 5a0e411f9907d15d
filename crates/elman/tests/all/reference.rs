//! Elman against numbers recorded by PyTorch and numpy: `tests/reference` at the root of the repository holds the
//! recordings, the scripts that made them and their formulas.
//!
//! Tensors are compared relative to their largest value: `|got - want| <= tolerance * max |want|` for every element.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use elman::Rnn;
use elman::cell::{CellKind, Input, Order, Source};
use elman::data::Vocab;
use elman::layer::{Stack, StackConfig, StackPrepared, StackTape};
use elman::optim::{Optimizer, OptimizerConfig, OptimizerKind, Plateau, ScheduleConfig, ScheduleKind, clip};
use elman::param::{Layout, Params};
use elman::shape::{Synced, SyncedConfig};
use elman_kernels::Scalar;
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name)
}

fn read(name: &str) -> String {
    let path = recording(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `amp sin(step i + phase)`: how both sides make weights and inputs without storing them.
fn wave<F: Scalar>(n: usize, amp: f64, step: f64, phase: f64) -> Vec<F> {
    (0..n).map(|i| F::from_f64(amp * (step * i as f64 + phase).sin())).collect()
}

fn phase_of(name: &str) -> f64 {
    0.01 * name.bytes().map(f64::from).sum::<f64>()
}

fn assert_near<F: Scalar>(what: &str, got: &[F], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: how many values");
    let largest = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let got = got.to_f64();
        assert!((got - want).abs() <= tolerance * largest, "{what} [{i}]: {got}, recorded {want}, largest {largest}");
    }
}

// Cells.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case)]
struct CellCase {
    cell: String,
    layers: usize,
    bidirectional: bool,
    lengths: Vec<usize>,
    T: usize,
    B: usize,
    I: usize,
    H: usize,
    bias_ih_offset: f64,
    loss: f64,
    y: Vec<f64>,
    h_n: Vec<f64>,
    #[serde(default)]
    c_n: Vec<f64>,
    dx: Vec<f64>,
    dh0: Vec<f64>,
    #[serde(default)]
    dc0: Vec<f64>,
    grads: BTreeMap<String, Vec<f64>>,
}

impl CellCase {
    fn check<F: Scalar>(&self, tolerance: f64) {
        let (batch, hidden) = (self.B, self.H);
        let at = |what: &str| {
            let CellCase { cell, layers, bidirectional, lengths, .. } = self;
            format!("{cell}, {layers} layers, bidirectional {bidirectional}, lengths {lengths:?}, {}: {what}", F::NAME)
        };
        let cell = match self.cell.as_str() {
            "rnn_tanh" => CellKind::RnnTanh,
            "rnn_relu" => CellKind::RnnRelu,
            "gru" => CellKind::Gru,
            "lstm" => CellKind::Lstm,
            other => panic!("a cell {other}"),
        };
        let mut layout = Layout::new();
        let config = StackConfig {
            cell,
            source: Source::Dense(self.I),
            hidden,
            layers: self.layers,
            bidirectional: self.bidirectional,
            dropout: 0.0,
            locked: false,
        };
        let stack = Stack::add(&mut layout, "", config).unwrap();
        let width = stack.output_width();
        let mut params = Params::<F>::zeros(&Arc::new(layout));
        for tensor in params.layout().clone().tensors() {
            let values = tensor.slot.of_mut(&mut params);
            values.copy_from_slice(&wave(values.len(), 0.5, 0.37, phase_of(&tensor.name)));
            if tensor.name.starts_with("bias_ih") {
                values.iter_mut().for_each(|x| *x += F::from_f64(self.bias_ih_offset));
            }
        }

        // The recording keeps the caller's order and pads; ours sorts and packs.
        let order = Order::new(&self.lengths);
        let rows = |name: &str, width| order.pack(&wave::<F>(self.T * batch * width, 1.0, 0.37, phase_of(name)), width);
        let (x, dy) = (rows("x", self.I), rows("dy", width));
        let mut state = stack.zero_state::<F>(batch);
        let mut dstate = state.clone();
        let states = self.h_n.len();
        let wave_of = |name: &str, amp| wave::<F>(states, amp, 0.37, phase_of(name));
        let (h0, c0, dh, dc) = (wave_of("h0", 0.5), wave_of("c0", 0.5), wave_of("dh", 1.0), wave_of("dc", 1.0));
        for (i, (state, dstate)) in state.cells.iter_mut().zip(&mut dstate.cells).enumerate() {
            let slice = i * batch * hidden..(i + 1) * batch * hidden;
            (state.h, dstate.h) = (order.sort(&h0[slice.clone()], hidden), order.sort(&dh[slice.clone()], hidden));
            if cell.has_c() {
                (state.c, dstate.c) = (order.sort(&c0[slice.clone()], hidden), order.sort(&dc[slice], hidden));
            }
        }

        let (mut prepared, mut tape) = (StackPrepared::default(), StackTape::default());
        let (mut grads, mut dx) = (Params::zeros(params.layout()), vec![F::ZERO; x.len()]);
        stack.prepare(&params, &mut prepared);
        stack.forward(&prepared, Input::Dense(&x), &order.steps, &mut state, &mut tape, None);
        let y = tape.output().to_vec();
        let mut loss = dot(&y, &dy);
        for (state, dstate) in state.cells.iter().zip(&dstate.cells) {
            loss += dot(&state.h, &dstate.h) + dot(&state.c, &dstate.c);
        }
        let (input, dx_out) = (Input::Dense(&x[..]), Some(&mut dx[..]));
        stack.backward(&params, &prepared, input, &order.steps, &mut tape, &dy, &mut dstate, &mut grads, dx_out);

        // Only an LSTM has a c.
        let unsort = |state: &[F]| if state.is_empty() { Vec::new() } else { order.unsort(state, hidden) };
        let all = |of: &dyn Fn(usize) -> Vec<F>| (0..state.cells.len()).flat_map(of).collect::<Vec<F>>();
        assert_near(&at("loss"), &[F::from_f64(loss)], &[self.loss], tolerance);
        assert_near(&at("y"), &order.unpack(&y, width, F::ZERO), &self.y, tolerance);
        assert_near(&at("h_n"), &all(&|i| unsort(&state.cells[i].h)), &self.h_n, tolerance);
        assert_near(&at("c_n"), &all(&|i| unsort(&state.cells[i].c)), &self.c_n, tolerance);
        assert_near(&at("dx"), &order.unpack(&dx, self.I, F::ZERO), &self.dx, tolerance);
        assert_near(&at("dh0"), &all(&|i| unsort(&dstate.cells[i].h)), &self.dh0, tolerance);
        assert_near(&at("dc0"), &all(&|i| unsort(&dstate.cells[i].c)), &self.dc0, tolerance);
        assert_eq!(self.grads.len(), params.layout().tensors().len(), "{}", at("names of gradients"));
        for (name, want) in &self.grads {
            let got = grads.get(name).unwrap_or_else(|| panic!("{}", at(name)));
            assert_near(&at(name), got, want, tolerance);
        }
    }
}

fn dot<F: Scalar>(a: &[F], b: &[F]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
}

fn cell_cases() -> Vec<CellCase> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("torch_cells.jsonl: {error}"));
    let cases: Vec<CellCase> = read("torch_cells.jsonl").lines().map(parse).collect();
    assert_eq!(cases.len(), 48);
    cases
}

#[test]
fn recurrent_layers_have_pytorchs_outputs_states_and_gradients_in_f64() {
    cell_cases().iter().for_each(|case| case.check::<f64>(1e-10));
}

#[test]
fn recurrent_layers_have_pytorchs_outputs_states_and_gradients_in_f32() {
    cell_cases().iter().for_each(|case| case.check::<f32>(1e-5));
}

// min-char-rnn.

#[derive(Deserialize)]
struct MinCharRnn {
    hidden: usize,
    seq: usize,
    iterations: usize,
    vocab_size: usize,
    data_len: usize,
    runs: Vec<MinCharRnnRun>,
}

#[derive(Deserialize)]
struct MinCharRnnRun {
    lr: f64,
    clipped: usize,
    /// The first five elements of h after some iterations.
    h: BTreeMap<usize, Vec<f64>>,
    loss: Vec<f64>,
}

/// What our loop did: of each iteration the loss, the first elements of h, whether a gradient was clipped.
struct Ours {
    loss: Vec<f64>,
    h: Vec<Vec<f64>>,
    clipped: usize,
}

impl MinCharRnn {
    fn run(&self, rate: f64) -> &MinCharRnnRun {
        self.runs.iter().find(|run| run.lr == rate).unwrap_or_else(|| panic!("no run at rate {rate}"))
    }

    /// The blog's loop from the recording's weights.
    fn train<F: Scalar>(&self, rate: f64, iterations: usize) -> Ours {
        let path = recording("min_char_rnn.txt");
        let text = read("min_char_rnn.txt");
        let vocab = Vocab::of(text.as_bytes(), true, &path).unwrap();
        let (data, _) = vocab.encode(text.as_bytes(), false).unwrap();
        assert_eq!((vocab.len(), data.len()), (self.vocab_size, self.data_len));
        let config = SyncedConfig::language_model(CellKind::RnnTanh, self.hidden, vocab.len());
        let network = Synced::new(config).unwrap();
        let mut params = Params::<F>::zeros(network.layout());
        for (tensor, name) in [("rnn.weight_ih_l0", "w_xh"), ("rnn.weight_hh_l0", "w_hh"), ("output.weight", "w_hy")] {
            let weights = params.get_mut(tensor).unwrap();
            weights.copy_from_slice(&wave(weights.len(), 0.01, 12.9898, phase_of(name)));
        }
        let kind = OptimizerKind::Adagrad;
        let config = OptimizerConfig { kind, eps: 1e-8, eps_in_root: true, ..Default::default() };
        let mut adagrad = Optimizer::new(config, network.layout());

        let mut ours = Ours { loss: Vec::new(), h: Vec::new(), clipped: 0 };
        let (mut p, mut h) = (0, network.zero_state(1));
        for _ in 0..iterations {
            if p + self.seq + 1 >= data.len() {
                (p, h) = (0, network.zero_state(1));
            }
            let (inputs, targets) = (&data[p..p + self.seq], &data[p + 1..p + self.seq + 1]);
            let (loss_nats, mut grads, h_last) = network.loss_and_gradients(&params, inputs, targets, &h);
            // PyTorch's layers have a second bias of the same gradient; min-char-rnn has one.
            grads.get_mut("rnn.bias_hh_l0").unwrap().fill(F::ZERO);
            ours.clipped += usize::from(grads.values.iter().any(|g| g.to_f64().abs() > 5.0));
            clip::by_value(&mut grads, 5.0);
            adagrad.update(&mut params, &grads, rate, 1.0);
            h = h_last;
            p += self.seq;
            ours.loss.push(loss_nats);
            ours.h.push(h.cells[0].h[..5].iter().map(|x| x.to_f64()).collect());
        }
        ours
    }
}

fn assert_losses(got: &[f64], want: &[f64], tolerance: f64) {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let apart = (got - want).abs() / want;
        assert!(apart <= tolerance, "iteration {}: loss {got}, recorded {want}, {apart:e} apart", i + 1);
    }
}

#[test]
fn min_char_rnn_is_followed_over_all_iterations_at_a_low_rate() {
    let recorded: MinCharRnn = parse("min_char_rnn.json");
    let (run, ours) = (recorded.run(0.01), recorded.train::<f64>(0.01, recorded.iterations));
    assert_eq!((ours.loss.len(), run.loss.len()), (1000, 1000));
    assert_losses(&ours.loss[..100], &run.loss, 1e-9);
    assert_losses(&ours.loss, &run.loss, 1e-6);
    assert_eq!(ours.clipped, run.clipped);
    for (iteration, h) in &run.h {
        assert_near(&format!("h after iteration {iteration}"), &ours.h[iteration - 1], h, 1e-6);
    }
}

#[test]
fn min_char_rnn_at_its_own_rate_is_followed_until_chaos_and_then_in_the_mean() {
    let recorded: MinCharRnn = parse("min_char_rnn.json");
    let (run, ours) = (recorded.run(0.1), recorded.train::<f64>(0.1, recorded.iterations));
    assert_losses(&ours.loss[..5], &run.loss, 1e-9);
    let mean = |losses: &[f64]| losses[5..].iter().sum::<f64>() / (losses.len() - 5) as f64;
    assert_losses(&[mean(&ours.loss)], &[mean(&run.loss)], 0.02);
}

#[test]
fn min_char_rnn_is_followed_in_f32() {
    let recorded: MinCharRnn = parse("min_char_rnn.json");
    let ours = recorded.train::<f32>(0.01, 100);
    assert_losses(&ours.loss, &recorded.run(0.01).loss, 1e-3);
}

#[test]
fn min_char_rnn_is_followed_by_the_object_that_steps() {
    let recorded: MinCharRnn = parse("min_char_rnn.json");
    let text = read("min_char_rnn.txt");
    let vocab = Vocab::of(text.as_bytes(), true, &recording("min_char_rnn.txt")).unwrap();
    let (data, _) = vocab.encode(text.as_bytes(), false).unwrap();
    let mut rnn = Rnn::tokens(vocab.len(), recorded.hidden, 1).unwrap();
    rnn.params_mut().zero();
    for (tensor, name) in [("rnn.weight_ih_l0", "w_xh"), ("rnn.weight_hh_l0", "w_hh"), ("output.weight", "w_hy")] {
        let weights = rnn.params_mut().get_mut(tensor).unwrap();
        weights.copy_from_slice(&wave(weights.len(), 0.01, 12.9898, phase_of(name)));
    }
    let kind = OptimizerKind::Adagrad;
    let config = OptimizerConfig { kind, eps: 1e-8, eps_in_root: true, ..Default::default() };
    let mut adagrad = Optimizer::new(config, rnn.params().layout());
    let (mut p, mut losses) = (0, Vec::new());
    for _ in 0..100 {
        if p + recorded.seq + 1 >= data.len() {
            p = 0;
            rnn.reset();
        }
        let (inputs, targets) = (&data[p..p + recorded.seq], &data[p + 1..p + recorded.seq + 1]);
        let (loss_nats, mut grads) = rnn.loss_and_grad_tokens(inputs, targets).unwrap();
        grads.get_mut("rnn.bias_hh_l0").unwrap().fill(0.0);
        clip::by_value(&mut grads, 5.0);
        adagrad.update(rnn.params_mut(), &grads, 0.01, 1.0);
        losses.push(loss_nats);
        p += recorded.seq;
    }
    assert_losses(&losses, &recorded.run(0.01).loss, 1e-3);
}

// Optimizers, clipping, schedules.

#[derive(Deserialize)]
struct Optim {
    optimizers: Vec<OptimizerCase>,
    clips: Vec<ClipCase>,
    schedules: Vec<ScheduleCase>,
}

#[derive(Deserialize)]
struct OptimizerCase {
    name: OptimizerKind,
    settings: OptimizerSettings,
    /// `[20][10]`, after each step.
    params: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptimizerSettings {
    lr: f64,
    momentum: Option<f64>,
    alpha: Option<f64>,
    betas: Option<[f64; 2]>,
    eps: Option<f64>,
    weight_decay: Option<f64>,
    /// Variants that PyTorch has and Elman has not.
    #[serde(default)]
    nesterov: bool,
    #[serde(default)]
    centered: bool,
}

#[derive(Deserialize)]
struct ClipCase {
    kind: String,
    amp: f64,
    limit: f64,
    norm: Option<f64>,
    grads: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct ScheduleCase {
    name: String,
    settings: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    metric: Vec<f64>,
    lr: Vec<f64>,
}

impl OptimizerSettings {
    fn config(&self, kind: OptimizerKind) -> OptimizerConfig {
        let usual = OptimizerConfig::default();
        let [beta1, beta2] = self.betas.unwrap_or([usual.beta1, usual.beta2]);
        OptimizerConfig {
            kind,
            momentum: self.momentum.unwrap_or(usual.momentum),
            alpha: self.alpha.unwrap_or(usual.alpha),
            beta1,
            beta2,
            eps: self.eps.unwrap_or(usual.eps),
            eps_in_root: false,
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
        }
    }
}

/// One tensor, a matrix, so that all of it decays as in PyTorch.
fn matrix(n: usize) -> Arc<Layout> {
    let mut layout = Layout::new();
    layout.add("weight", &[1, n]);
    Arc::new(layout)
}

#[test]
fn every_optimizer_takes_pytorchs_steps() {
    let recorded: Optim = parse("optimizers.json");
    let ours = recorded.optimizers.iter().filter(|case| !case.settings.nesterov && !case.settings.centered);
    let mut kinds = Vec::new();
    for OptimizerCase { name, settings, params: want } in ours {
        let config = settings.config(*name);
        config.validate().unwrap();
        let layout = matrix(10);
        let mut params = Params::<f64>::zeros(&layout);
        params.values = wave(10, 0.5, 0.37, 1.0);
        let (mut grads, mut optimizer) = (params.clone(), Optimizer::new(config.clone(), &layout));
        for (s, want) in want.iter().enumerate() {
            let step = (s + 1) as f64;
            // Scaled and scaled back: both are exact.
            grads.values = wave(10, 4.0, 0.37, 1.3 * step);
            optimizer.update(&mut params, &grads, settings.lr, 0.25);
            assert_near(&format!("{config:?} after step {step}"), &params.values, want, 1e-12);
        }
        kinds.push(*name);
    }
    assert_eq!(kinds.len(), 10);
    assert!(OptimizerKind::ALL.iter().all(|kind| kinds.contains(kind)));
}

#[test]
fn gradients_are_clipped_as_pytorch_does() {
    let recorded: Optim = parse("optimizers.json");
    assert_eq!(recorded.clips.len(), 4);
    for case in recorded.clips {
        let mut layout = Layout::new();
        case.grads.iter().enumerate().for_each(|(k, tensor)| {
            layout.add(format!("{k}"), &[tensor.len()]);
        });
        let mut grads = Params::<f64>::zeros(&Arc::new(layout));
        grads.values = (0..3).flat_map(|k| wave::<f64>(case.grads[k].len(), case.amp, 0.37, k as f64)).collect();
        if case.kind == "norm" {
            let norm = clip::global_norm(&grads);
            assert_near("norm", &[norm], &[case.norm.unwrap()], 1e-13);
            let scale = clip::scale_for_norm(norm, case.limit);
            grads.values.iter_mut().for_each(|g| *g *= scale);
        } else {
            clip::by_value(&mut grads, case.limit);
        }
        assert_near(&case.kind, &grads.values, &case.grads.concat(), 1e-13);
    }
}

#[test]
fn rates_are_those_of_pytorchs_schedulers() {
    let recorded: Optim = parse("optimizers.json");
    let base = 0.1;
    let mut checked = 0;
    for case in recorded.schedules {
        let number = |key: &str| case.settings[key].as_f64().unwrap_or_else(|| panic!("{key} of {}", case.name));
        let usual = ScheduleConfig::default();
        let config = match case.name.as_str() {
            "step" => ScheduleConfig {
                kind: ScheduleKind::Step,
                decay: number("gamma"),
                decay_every: number("step_size"),
                ..usual
            },
            "exponential" => ScheduleConfig { kind: ScheduleKind::Exponential, decay: number("gamma"), ..usual },
            "warmup_cosine" => ScheduleConfig {
                kind: ScheduleKind::Cosine,
                warmup: number("warmup") as u64,
                min_lr_ratio: number("min_lr") / base,
                ..usual
            },
            // A loss is to fall; PyTorch's other modes Elman has not.
            "plateau" if case.settings["mode"] != "min" || case.settings["threshold_mode"] != "rel" => continue,
            "plateau" => ScheduleConfig {
                kind: ScheduleKind::Plateau,
                decay: number("factor"),
                patience: number("patience") as u32,
                min_lr_ratio: number("min_lr") / base,
                ..usual
            },
            other => panic!("a schedule {other}"),
        };
        let mut plateau = Plateau::default();
        let rates: Vec<f64> = (0..case.lr.len())
            .map(|k| {
                case.metric.get(k).iter().for_each(|loss| plateau.observe(**loss, &config));
                // An epoch of the recording is a step.
                base * config.factor(k as u64, k as f64, k as f64 / case.lr.len() as f64, &plateau)
            })
            .collect();
        // Each rate for itself: the last are small beside the first.
        for (k, (got, want)) in rates.iter().zip(&case.lr).enumerate() {
            assert!((got - want).abs() <= 1e-12 * want, "{} step {k}: {got}, recorded {want}", case.name);
        }
        checked += 1;
    }
    assert_eq!(checked, 4);
}
