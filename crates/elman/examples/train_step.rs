//! Training steps of a character model on command, for timing side by side with a peer (`bench/train/run.py`).
//!
//! `train_step FILE CELL THREADS [f32|bf16] [adam|adagrad]` reads weights and a batch from a safetensors file: tensors named as in our models,
//! `tokens` `[T + 1, B]` (i32), and for sequences of different lengths `lengths` `[B]` (i32, each at most `T`). Then it
//! obeys lines of standard input, each answered by one line of JSON: `step N` runs N steps and says how long they took,
//! the loss before the first and its gradient's norm; `peak` measures the multiply-add peak of all threads; `memory`
//! says the largest resident size so far.

use std::error::Error;
use std::io::{BufRead, Write, stdout};
use std::time::Instant;

use elman::cell::{CellKind, Order, Steps};
use elman::optim::{Optimizer, OptimizerConfig, OptimizerKind, clip};
use elman::param::Params;
use elman::shape::{Inputs, Synced, SyncedBatch, SyncedConfig};
use elman::train::{Engine, Precision, blocks, ranges};
use elman_kernels::{Isa, peak};
use safetensors::SafeTensors;

/// The learning rate of Adam, PyTorch's default.
const LR: f64 = 1e-3;
/// The norm that gradients are clipped to; with Adagrad, the size each is cut off at.
const CLIP: f64 = 5.0;
/// The learning rate of min-char-rnn's Adagrad.
const LR_ADAGRAD: f64 = 0.1;

/// A network, one batch it trains on again and again, and the optimizer.
struct Run {
    shape: Synced,
    params: Params<f32>,
    engine: Engine<f32, Synced>,
    batches: Vec<SyncedBatch<f32>>,
    optimizer: Optimizer<f32>,
    /// As min-char-rnn: Adagrad, and each gradient cut off by itself.
    is_classic: bool,
}

impl Run {
    fn new(
        file: &[u8],
        cell: &str,
        threads: usize,
        precision: Precision,
        is_classic: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let tensors = SafeTensors::deserialize(file)?;
        let dims = |name: &str| tensors.tensor(name).map(|t| t.shape().to_vec());
        let cell = CellKind::ALL.into_iter().find(|kind| kind.name() == cell).ok_or("no such cell")?;
        let output = dims("output.weight")?;
        let layers = (0..).take_while(|l| dims(&format!("rnn.weight_hh_l{l}")).is_ok()).count();
        let config = SyncedConfig::language_model(cell, output[1], output[0]);
        let shape = Synced::new(SyncedConfig { layers, ..config })?;
        let mut params = Params::zeros(shape.layout());
        for info in shape.layout().tensors() {
            let tensor = tensors.tensor(&info.name)?;
            assert_eq!(tensor.shape(), info.dims, "{}", info.name);
            for (to, from) in info.slot.of_mut(&mut params).iter_mut().zip(tensor.data().as_chunks().0) {
                *to = f32::from_le_bytes(*from);
            }
        }
        let numbers = |name: &str| -> Result<Vec<u32>, Box<dyn Error>> {
            Ok(tensors.tensor(name)?.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
        };
        let tokens = numbers("tokens")?;
        let [rows, batch] = dims("tokens")?[..] else { return Err("tokens are not [T + 1, B]".into()) };
        let lengths = numbers("lengths").unwrap_or_else(|_| vec![rows as u32 - 1; batch]);
        let batches = divide(&tokens, &lengths.iter().map(|&n| n as usize).collect::<Vec<_>>());
        let states = batches.iter().map(|b| shape.zero_state(b.steps.batch())).collect();
        let mut engine = Engine::new(&shape, states, threads)?;
        engine.set_precision(&shape, precision);
        let kind = if is_classic { OptimizerKind::Adagrad } else { OptimizerKind::Adam };
        let config = OptimizerConfig { kind, eps_in_root: is_classic, ..OptimizerConfig::default() };
        let optimizer = Optimizer::new(config, shape.layout());
        Ok(Run { shape, params, engine, batches, optimizer, is_classic })
    }

    /// One training step: the loss in nats per character before it, and the norm of its gradient.
    fn step(&mut self) -> (f64, f64) {
        let loss_nats = self.engine.loss_and_grad(&self.shape, &self.params, &self.batches, None);
        if self.is_classic {
            let grads = self.engine.grads_mut();
            // Its loss is a sum over the characters.
            let characters = self.batches.iter().map(|batch| batch.targets.len()).sum::<usize>() as f64;
            clip::by_value(grads, CLIP / characters);
            // PyTorch's second bias, which it has not.
            if let Some(bias) = grads.get_mut("rnn.bias_hh_l0") {
                bias.fill(0.0);
            }
            self.optimizer.update(&mut self.params, self.engine.grads(), LR_ADAGRAD, characters);
            return (loss_nats, 0.0);
        }
        let (engine, params, optimizer) = (&self.engine, &mut self.params, &mut self.optimizer);
        let norm = engine.install(|| {
            let norm = clip::global_norm(engine.grads());
            optimizer.update(params, engine.grads(), LR, clip::scale_for_norm(norm, CLIP));
            norm
        });
        (loss_nats, norm)
    }

    /// Floating-point operations a second that all threads together reach in multiply-adds on registers: the best of
    /// several short bursts of each, so that a neighbour's burst does not count.
    fn peak(&self) -> f64 {
        let burst = || {
            let start = Instant::now();
            let done = peak::multiply_adds(Isa::best(), 200_000);
            done / start.elapsed().as_secs_f64()
        };
        let best = |_: rayon::BroadcastContext| (0..20).map(|_| burst()).fold(0.0, f64::max);
        self.engine.install(|| rayon::broadcast(best).into_iter().sum())
    }
}

/// The blocks of a batch `[T + 1, B]`: sequences of equal length in their order, others dealt out by length so that
/// every block has as much to do.
fn divide(tokens: &[u32], lengths: &[usize]) -> Vec<SyncedBatch<f32>> {
    let batch = lengths.len();
    let ranges: Vec<_> = ranges(batch, blocks(batch)).collect();
    let Order { steps, sorted } = Order::new(lengths);
    let chosen = (0..ranges.len()).map(|i| -> Vec<usize> {
        if steps.is_ragged() {
            sorted.iter().copied().skip(i).step_by(ranges.len()).collect()
        } else {
            ranges[i].clone().collect()
        }
    });
    let block = |chosen: Vec<usize>| {
        let lengths: Vec<usize> = chosen.iter().map(|&i| lengths[i]).collect();
        let steps = Steps::ragged(&lengths).expect("sorted above");
        let rows = |shift: usize| -> Vec<u32> {
            let row = |t: usize, i: usize| tokens[(t + shift) * batch + i];
            let active = |t: usize| chosen[..steps.active(t)].iter().map(move |&i| (t, i));
            (0..steps.len()).flat_map(active).map(|(t, i)| row(t, i)).collect()
        };
        SyncedBatch { inputs: Inputs::Tokens(rows(0)), targets: rows(1), steps }
    };
    chosen.map(block).collect()
}

/// The largest resident size of this process in bytes.
fn memory() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, cell, threads, more @ ..] = &args[..] else {
        return Err("usage: train_step FILE CELL THREADS [f32|bf16] [adam|adagrad]".into());
    };
    let (mut precision, mut is_classic) = (Precision::F32, false);
    for word in more {
        match word.as_str() {
            "f32" | "adam" => {}
            "bf16" => precision = Precision::Bf16,
            "adagrad" => is_classic = true,
            _ => return Err(format!("{word:?}: give f32 or bf16, adam or adagrad").into()),
        }
    }
    let mut run = Run::new(&std::fs::read(file)?, cell, threads.parse()?, precision, is_classic)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            Some(("step", count)) => {
                let count: usize = count.parse()?;
                let start = Instant::now();
                // On a thread of the pool, as training runs.
                let (loss, norm) = run.engine.pool().install(|| {
                    let first = run.step();
                    (1..count).for_each(|_| _ = run.step());
                    first
                });
                let seconds = start.elapsed().as_secs_f64();
                serde_json::json!({ "seconds": seconds, "loss_nats": loss, "norm": norm })
            }
            _ if line == "peak" => serde_json::json!({ "flops_per_second": run.peak() }),
            _ if line == "memory" => serde_json::json!({ "bytes": memory()? }),
            _ => return Err(format!("{line:?} is no command").into()),
        };
        writeln!(stdout(), "{answer}")?;
        stdout().flush()?;
    }
    Ok(())
}
