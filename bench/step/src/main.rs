//! Steps of one recurrent cell on command, for timing side by side (`bench/step/run.py`).
//!
//! `step-bench ENGINE CELL HIDDEN CASE [LIBRARY]`: the engine is `f32`, `int8` (ours), `tract` or `onnxruntime`, the cell
//! `rnn`, `gru` or `lstm`. `CASE.bin` holds, as f32, `w_ih` and `w_hh` `[gH, H]`, `b_ih` and `b_hh` `[gH]` in PyTorch's
//! order of gates, then inputs `x` `[N, H]`; `CASE.onnx` the same cell for the others. Lines of standard input are obeyed,
//! each answered by one line of JSON: `check` steps once over all inputs from the zero state and gives the last `h`;
//! `step N` does N more steps, the state carried, and says how long they took.

mod onnxruntime;
mod ours;
mod tract;

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// A cell with its state. Inputs were handed over in whatever form the engine takes them.
pub trait Engine {
    /// One step from the input `x[t]`.
    fn step(&mut self, t: usize) -> Outcome<()>;
    /// `h` after the last step.
    fn h(&self) -> Outcome<Vec<f32>>;
}

/// A cell's weights and inputs.
pub struct Case {
    pub cell: String,
    pub hidden: usize,
    pub w_ih: Vec<f32>,
    pub w_hh: Vec<f32>,
    pub b_ih: Vec<f32>,
    pub b_hh: Vec<f32>,
    pub x: Vec<Vec<f32>>,
}

impl Case {
    fn read(cell: &str, hidden: usize, path: &str) -> Outcome<Case> {
        let gates = match cell {
            "rnn" => 1,
            "gru" => 3,
            "lstm" => 4,
            other => return Err(format!("no cell {other}").into()),
        };
        let bytes = std::fs::read(path)?;
        let mut numbers = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let mut take = |n: usize| numbers.by_ref().take(n).collect::<Vec<f32>>();
        let (w_ih, w_hh) = (take(gates * hidden * hidden), take(gates * hidden * hidden));
        let (b_ih, b_hh) = (take(gates * hidden), take(gates * hidden));
        let x: Vec<Vec<f32>> = take(usize::MAX).chunks_exact(hidden).map(<[f32]>::to_vec).collect();
        if x.is_empty() {
            return Err(format!("{path} is too short").into());
        }
        Ok(Case { cell: cell.into(), hidden, w_ih, w_hh, b_ih, b_hh, x })
    }

    /// Whether there is a `c` beside `h`.
    pub fn has_c(&self) -> bool {
        self.cell == "lstm"
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [engine, cell, hidden, base, rest @ ..] = &args[..] else {
        return Err("usage: step-bench ENGINE CELL HIDDEN CASE [LIBRARY]".into());
    };
    let case = Case::read(cell, hidden.parse()?, &format!("{base}.bin"))?;
    let onnx = format!("{base}.onnx");
    let mut engine: Box<dyn Engine> = match engine.as_str() {
        "f32" => Box::new(ours::Ours::new(&case, elman_step::Precision::F32)?),
        "int8" => Box::new(ours::Ours::new(&case, elman_step::Precision::Int8)?),
        "tract" => Box::new(tract::Tract::new(&case, &onnx)?),
        "onnxruntime" => {
            let library = rest.first().ok_or("onnxruntime: name its library")?;
            Box::new(onnxruntime::OnnxRuntime::new(&case, &onnx, library)?)
        }
        other => return Err(format!("no engine {other}").into()),
    };
    let inputs = case.x.len();
    for line in stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            Some(("step", n)) => {
                let n: usize = n.parse()?;
                let start = Instant::now();
                for t in 0..n {
                    engine.step(t % inputs)?;
                }
                format!("{{\"seconds\": {:e}}}", start.elapsed().as_secs_f64())
            }
            _ if line == "check" => {
                for t in 0..inputs {
                    engine.step(t)?;
                }
                format!("{{\"h\": {:?}}}", engine.h()?)
            }
            _ => return Err(format!("unknown command {line}").into()),
        };
        println!("{answer}");
        stdout().flush()?;
    }
    Ok(())
}
