//! What the peers share: the file with weights and batch, and the commands of `train_step`.

use std::error::Error;
use std::io::{BufRead, Write, stdout};
use std::time::Instant;

use safetensors::SafeTensors;

pub const LR: f64 = 1e-3;
pub const CLIP_NORM: f32 = 5.0;

/// Weights as PyTorch names them, and a batch.
pub struct Problem {
    file: Vec<u8>,
    pub layers: usize,
    pub hidden: usize,
    pub vocab: usize,
    pub batch: usize,
    pub steps: usize,
    /// `[T + 1, B]`.
    tokens: Vec<u32>,
}

impl Problem {
    /// Reads FILE of `WORKER FILE CELL THREADS`; only `lstm` is known here.
    pub fn from_args() -> Result<Problem, Box<dyn Error>> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [file, cell, _] = &args[..] else { return Err("usage: WORKER FILE lstm THREADS".into()) };
        if cell != "lstm" {
            return Err("only the LSTM is compared".into());
        }
        let file = std::fs::read(file)?;
        let tensors = SafeTensors::deserialize(&file)?;
        let layers = (0..).take_while(|l| tensors.tensor(&format!("rnn.weight_hh_l{l}")).is_ok()).count();
        let [vocab, hidden] = tensors.tensor("output.weight")?.shape()[..] else { return Err("output.weight".into()) };
        let view = tensors.tensor("tokens")?;
        let [rows, batch] = view.shape()[..] else { return Err("tokens are not [T + 1, B]".into()) };
        let tokens = view.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        Ok(Problem { layers, hidden, vocab, batch, steps: rows - 1, tokens, file })
    }

    /// A tensor and its dimensions.
    pub fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), Box<dyn Error>> {
        let tensors = SafeTensors::deserialize(&self.file)?;
        let view = tensors.tensor(name)?;
        let values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok((view.shape().to_vec(), values))
    }

    /// Inputs as one-hot vectors `[B, T, V]`.
    pub fn one_hot(&self) -> Vec<f32> {
        let mut x = vec![0.0; self.batch * self.steps * self.vocab];
        for (row, token) in self.rows(0).enumerate() {
            x[row * self.vocab + token as usize] = 1.0;
        }
        x
    }

    /// Targets `[B, T]`.
    pub fn targets(&self) -> Vec<u32> {
        self.rows(1).collect()
    }

    fn rows(&self, shift: usize) -> impl Iterator<Item = u32> {
        (0..self.batch).flat_map(move |b| (0..self.steps).map(move |t| self.tokens[(t + shift) * self.batch + b]))
    }
}

/// Obeys the lines of standard input; `step` gives the loss before it.
pub fn serve(mut step: impl FnMut() -> Result<f64, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            Some(("step", count)) => {
                let start = Instant::now();
                let loss = step()?;
                for _ in 1..count.parse()? {
                    step()?;
                }
                serde_json::json!({ "seconds": start.elapsed().as_secs_f64(), "loss_nats": loss })
            }
            _ if line == "memory" => {
                let status = std::fs::read_to_string("/proc/self/status")?;
                let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
                serde_json::json!({ "bytes": peak.trim().trim_end_matches(" kB").parse::<u64>()? * 1024 })
            }
            _ => return Err(format!("{line:?} is no command").into()),
        };
        writeln!(stdout(), "{answer}")?;
        stdout().flush()?;
    }
    Ok(())
}
