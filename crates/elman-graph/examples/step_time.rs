//! What a step of a network costs, without a caller around it: `step_time FILE` prints microseconds, the median of 15 bursts of 1333
//! steps from a row of zeros, as `bench/python/overheads.py` steps it from Python.

use std::time::Instant;

use elman_graph::{StepOptions, read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("name a model file")?;
    let network = read::open(path.as_ref(), &read::Options::default())?;
    let mut machine = network.lower(&StepOptions::default())?.into_machine();
    let (x, mut y) = (vec![0.0; machine.input_width()], vec![0.0; machine.output_width()]);
    const STEPS: u32 = 1333;
    let mut spent = Vec::new();
    for _ in 0..15 {
        let began = Instant::now();
        for _ in 0..STEPS {
            machine.step(std::hint::black_box(&x), std::hint::black_box(&mut y))?;
        }
        spent.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(STEPS));
    }
    spent.sort_by(f64::total_cmp);
    println!("{:.3}", spent[spent.len() / 2]);
    Ok(())
}
