//! `elman bench`: what this machine does at most, and what a model reaches on it.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use elman::Error;
use elman::cell::CellKind;
use elman::format::model::Loaded;
use elman::format::quantize::quantize;
use elman::param::{Init, Params};
use elman::rng::Rng;
use elman::shape::{InputKind, Synced, SyncedConfig};
use elman::step::model::Document;
use elman::step::{Network, Precision};
use elman::train::{Trial, threads, weights};
use elman_graph::{Graph, StepOptions};
use elman_kernels::{Isa, peak};
use serde::Serialize;
use serde_json::{Value, json};

use super::graphs::{Opened, none_open, open_any};
use crate::args::Bench;
use crate::exit_code::{Failure, Outcome};

/// Tokens of the standard sizes: the characters of a plain English text.
const VOCAB: usize = 65;
/// Sequences and steps of a training batch.
const BATCH: usize = 32;
const STEPS: usize = 50;
/// Layers and units whose training is measured without a model.
const TRAINED: [(usize, usize); 3] = [(1, 128), (2, 256), (2, 512)];
/// Units of the networks that are stepped without a model.
const STEPPED: [usize; 5] = [32, 64, 128, 256, 512];
/// How long one row is measured.
const STEP_TIME: Duration = Duration::from_millis(120);
/// Steps of the signal that a network which was not trained here reads over and over.
const SIGNAL: usize = 64;
const TRAINING_TIME: Duration = Duration::from_millis(700);

const PRECISIONS: [(&str, Precision); 3] =
    [("f32", Precision::F32), ("bf16", Precision::Bf16), ("int8", Precision::Int8)];

pub(crate) fn run(args: &Bench) -> Outcome {
    let threads = threads(args.threads);
    let report = match &args.model {
        Some(path) => match open_any(path, &args.foreign)? {
            Opened::Trained(loaded) => of_model(&loaded, threads)?,
            Opened::Graph(graph) => of_graph(path, &graph, threads)?,
        },
        None => {
            none_open(&args.foreign)?;
            of_standard_sizes(threads)?
        }
    };
    if args.json {
        println!("{}", report.as_json());
    } else {
        report.print();
    }
    Ok(0)
}

/// Time per step of one stream, microseconds.
#[derive(Serialize)]
struct StepRow {
    network: String,
    precision: &'static str,
    median_us: f64,
    p99_us: f64,
    worst_us: f64,
}

/// Time of a training step.
#[derive(Serialize)]
struct TrainingRow {
    network: String,
    batch: usize,
    steps: usize,
    ms: f64,
    symbols_per_s: f64,
    gflops: f64,
    share_of_peak: f64,
}

struct Report {
    threads: usize,
    /// GFLOP/s of multiply-adds on registers: of one thread, of all.
    peaks: [f64; 2],
    steps: Vec<StepRow>,
    training: Vec<TrainingRow>,
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Steps of a network that was not trained here, on its test signal.
fn of_graph(path: &Path, graph: &Graph, threads: usize) -> Result<Report, Failure> {
    let rounded = PRECISIONS.iter().find(|(name, _)| graph.about.extra.get("precision").is_some_and(|p| p == name));
    let signal = graph.test_signal(SIGNAL);
    let signal =
        signal.ok_or_else(|| Failure::Other("its inputs are not known, so that no step can be measured".into()))?;
    let mut steps = Vec::new();
    // Rounded weights are not the numbers of the full ones in another precision.
    for (name, precision) in rounded.map_or(&PRECISIONS[..], std::slice::from_ref) {
        let options = StepOptions { precision: *precision, ..StepOptions::default() };
        let mut stepper = graph.lower(&options).map_err(|e| e.at(path))?;
        stepper.run(&signal)?;
        let (x, mut y) = (stepper.steps_of(&signal)?, vec![0.0; stepper.machine().output_width()]);
        let width = stepper.machine().input_width();
        let mut machine = stepper.into_machine();
        let step = |at: u32| {
            let x = &x[at as usize % SIGNAL * width..][..width];
            machine.step(black_box(x), &mut y).map_err(|error| Error::Usage(error.to_string()))?;
            black_box(&mut y);
            Ok(())
        };
        steps.push(time_steps(&name_of(path), name, step)?);
    }
    Ok(Report { threads, peaks: [peak_of_one_thread(), 0.0], steps, training: Vec::new() })
}

/// The step of a network, by number.
fn step_of(mut network: Network) -> impl FnMut(u32) -> elman::Result<()> {
    let feed = network.config().feed;
    let x: Vec<f32> = match feed {
        InputKind::Dense(width) => (0..width).map(|i| (i as f32 * 0.37).sin()).collect(),
        InputKind::Tokens(_) => Vec::new(),
    };
    move |at| {
        let logits = match feed {
            InputKind::Dense(_) => network.step(black_box(&x)),
            InputKind::Tokens(vocab) => network.step_token(black_box(at.wrapping_mul(7) % vocab.max(1) as u32)),
        };
        black_box(logits.map_err(|error| Error::Usage(error.to_string()))?);
        Ok(())
    }
}

fn of_model(loaded: &Loaded, threads: usize) -> Result<Report, Failure> {
    let name = name_of(&loaded.path);
    // Weights in fewer bits are the numbers they stand for, so that every precision can be measured.
    let plain = quantize(&loaded.document, Precision::F32).and_then(|full| full.document().to_bytes());
    let plain = plain.map_err(|error| loaded.error(error))?;
    let plain = Document::parse(&plain).map_err(|error| loaded.error(error))?;
    let mut steps = Vec::new();
    for (precision_name, precision) in PRECISIONS {
        let network = Network::read(&plain, precision).map_err(|error| loaded.error(error))?;
        steps.push(time_steps(&name, precision_name, step_of(network))?);
    }
    let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
    let config: SyncedConfig = serde_json::from_value(plain.config()["network"].clone())
        .map_err(|error| wrong(format!("`network` in its metadata cannot be used: {error}")))?;
    let mut training = Training::new(config, threads)?;
    let peaks = [peak_of_one_thread(), training.peak()];
    Ok(Report { threads, peaks, steps, training: vec![training.row(&name, peaks[1])] })
}

fn of_standard_sizes(threads: usize) -> Result<Report, Failure> {
    let (mut steps, mut training) = (Vec::new(), Vec::new());
    for cell in [CellKind::Lstm, CellKind::Gru] {
        for hidden in STEPPED {
            // Vectors as wide as the network, and as many classes: every matrix is read whole.
            let config = SyncedConfig { feed: InputKind::Dense(hidden), ..standard(cell, 1, hidden, 1) };
            let file = file(&config)?;
            let model = |error| Failure::Other(format!("the network to measure cannot be built: {error}"));
            let document = Document::parse(&file).map_err(model)?;
            for (name, precision) in PRECISIONS {
                let network = Network::read(&document, precision).map_err(model)?;
                steps.push(time_steps(&format!("{} {hidden}", cell.name()), name, step_of(network))?);
            }
        }
    }
    let mut peaks = [peak_of_one_thread(), 0.0];
    for cell in [CellKind::Lstm, CellKind::Gru] {
        for (layers, hidden) in TRAINED {
            let mut run = Training::new(standard(cell, layers, hidden, VOCAB), threads)?;
            if peaks[1] == 0.0 {
                peaks[1] = run.peak();
            }
            training.push(run.row(&format!("{} {layers}x{hidden}", cell.name()), peaks[1]));
        }
    }
    Ok(Report { threads, peaks, steps, training })
}

fn standard(cell: CellKind, layers: usize, hidden: usize, classes: usize) -> SyncedConfig {
    SyncedConfig { layers, ..SyncedConfig::language_model(cell, hidden, classes) }
}

/// A model file of a network that nothing has trained.
fn file(config: &SyncedConfig) -> Result<Vec<u8>, Failure> {
    let network = Synced::new(config.clone())?;
    let params: Params<f32> = network.init(Init::Fan, &mut Rng::new(1, "weights"));
    let config = json!({"kind": "model", "shape": "synced", "network": config});
    let document = elman::format::document::DocumentWriter { config, tensors: weights(&params) };
    document.to_bytes().map_err(|error| Failure::Other(error.to_string()))
}

/// Times blocks of steps for the median, and single steps for the rest; the clock's own time is taken off.
fn time_steps(
    name: &str,
    precision: &'static str,
    mut step: impl FnMut(u32) -> elman::Result<()>,
) -> elman::Result<StepRow> {
    let mut at = 0u32;
    let mut step = || {
        at = at.wrapping_add(1);
        step(at)
    };
    let mut block = |n: usize| -> elman::Result<f64> {
        let began = Instant::now();
        (0..n).try_for_each(|_| step())?;
        Ok(began.elapsed().as_secs_f64() / n as f64)
    };
    block(50)?;
    let n = (20e-6 / block(50)?.max(1e-9)).clamp(1.0, 2000.0) as usize;
    let (mut blocks, mut singles) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < STEP_TIME || singles.len() < 100 {
        blocks.push(block(n)?);
        for _ in 0..n.min(20) {
            singles.push(block(1)?);
        }
    }
    let mut clock: Vec<f64> = (0..501).map(|_| Instant::now().elapsed().as_secs_f64()).collect();
    for times in [&mut blocks, &mut singles, &mut clock] {
        times.sort_by(f64::total_cmp);
    }
    let single = |share: f64| 1e6 * (singles[(share * (singles.len() - 1) as f64) as usize] - clock[250]).max(0.0);
    let median_us = 1e6 * blocks[blocks.len() / 2];
    Ok(StepRow { network: name.into(), precision, median_us, p99_us: single(0.99), worst_us: single(1.0) })
}

/// A network in training on one batch.
struct Training(Trial);

impl Training {
    fn new(config: SyncedConfig, threads: usize) -> elman::Result<Self> {
        Trial::new(config, BATCH, STEPS, threads).map(Training)
    }

    /// Operations that a step needs: six for each weight and token. A table of tokens is looked up, not multiplied.
    fn flops(&self) -> f64 {
        let tokens = matches!(self.0.network().config().feed, InputKind::Tokens(_));
        let is_table = |name: &str| tokens && (name.starts_with("rnn.weight_ih_l0") || name.starts_with("embedding"));
        let tensors = self.0.network().layout().tensors().iter();
        let matrices = tensors.filter(|t| t.dims.len() == 2 && !is_table(&t.name) && !t.name.contains("peephole"));
        let mut weights: usize = matrices.map(|t| t.dims.iter().product::<usize>()).sum();
        let config = self.0.network().config();
        if config.tied {
            weights += config.classes * config.embedding;
        }
        6.0 * weights as f64 * (BATCH * STEPS) as f64
    }

    fn row(&mut self, name: &str, peak_gflops: f64) -> TrainingRow {
        self.0.step();
        let mut times = Vec::new();
        let began = Instant::now();
        // At least one, however slow.
        while began.elapsed() < TRAINING_TIME || times.is_empty() {
            let step = Instant::now();
            self.0.step();
            times.push(step.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let seconds = times[times.len() / 2];
        let gflops = self.flops() / seconds / 1e9;
        TrainingRow {
            network: name.into(),
            batch: BATCH,
            steps: STEPS,
            ms: 1e3 * seconds,
            symbols_per_s: (BATCH * STEPS) as f64 / seconds,
            gflops,
            share_of_peak: gflops / peak_gflops.max(1e-9),
        }
    }

    /// GFLOP/s of multiply-adds of all threads at once.
    fn peak(&self) -> f64 {
        self.0.install(|| rayon::broadcast(|_| peak_of_one_thread()).into_iter().sum())
    }
}

/// The best of short bursts, so that a neighbour's burst does not count.
fn peak_of_one_thread() -> f64 {
    let burst = |_| {
        let began = Instant::now();
        let done = peak::multiply_adds(Isa::best(), 200_000);
        done / began.elapsed().as_secs_f64() / 1e9
    };
    (0..40).map(burst).fold(0.0, f64::max)
}

impl Report {
    fn as_json(&self) -> Value {
        json!({
            "instruction_set": Isa::best().name(), "threads": self.threads,
            "peak_gflops_one_thread": self.peaks[0], "peak_gflops": self.peaks[1],
            "steps": self.steps, "training": self.training,
        })
    }

    fn print(&self) {
        let [one, all] = self.peaks;
        let name = Isa::best().name();
        match self.training.is_empty() {
            true => println!("{name}: {one:.0} GFLOP/s of multiply-adds on one thread"),
            false => println!("{name}: {one:.0} GFLOP/s of multiply-adds on one thread, {all:.0} on {}", self.threads),
        }
        println!("\none step of one stream, one thread");
        println!("{:<28} {:>9} {:>11} {:>11} {:>11}", "network", "precision", "median us", "p99 us", "worst us");
        for row in &self.steps {
            let (name, precision) = (&row.network, row.precision);
            println!("{name:<28} {precision:>9} {:>11.3} {:>11.3} {:>11.1}", row.median_us, row.p99_us, row.worst_us);
        }
        if self.training.is_empty() {
            return;
        }
        println!("\na training step of {BATCH} sequences of {STEPS}, threads: {}", self.threads);
        println!("{:<28} {:>9} {:>11} {:>11} {:>11}", "network", "ms", "tokens/s", "GFLOP/s", "of peak");
        for row in &self.training {
            let share = format!("{:.0} %", 100.0 * row.share_of_peak);
            println!(
                "{:<28} {:>9.2} {:>11.0} {:>11.1} {share:>11}",
                row.network, row.ms, row.symbols_per_s, row.gflops
            );
        }
    }
}
