//! Runs models on recorded inputs and compares: `compare [--atol X] [--rtol X] [--time] FOLDER…`.
//!
//! A folder has `model.*` and `input_NAME.npy`, `output_NAME.npy`, by name or by position. Prints for each `right`,
//! `refused` with the reason, or `wrong` with the largest difference, and the three counts; with `--time` also the
//! microseconds of a run, minimum and median of 500, one thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use elman_graph::{Dtype, Interpreter, Tensor, npy, read};

fn main() {
    let (mut atol, mut rtol, mut timed, mut folders) = (1e-5, 0.0, false, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
        match arg.as_str() {
            "--atol" => atol = number(),
            "--rtol" => rtol = number(),
            "--time" => timed = true,
            _ => folders.push(PathBuf::from(arg)),
        }
    }
    let (mut right, mut refused, mut wrong) = (0, 0, 0);
    for folder in &folders {
        match compare(folder, atol, rtol, timed) {
            Ok((true, error)) => {
                right += 1;
                println!("right   {error:.1e} {}", folder.display());
            }
            Ok((false, error)) => {
                wrong += 1;
                println!("wrong   {error:.1e} {}", folder.display());
            }
            Err(reason) => {
                refused += 1;
                println!("refused {}: {reason}", folder.display());
            }
        }
    }
    println!("{right} right, {refused} refused, {wrong} wrong");
}

/// Whether the outputs lie within the bounds, and the largest difference.
fn compare(folder: &Path, atol: f64, rtol: f64, timed: bool) -> Result<(bool, f64), String> {
    let files = std::fs::read_dir(folder).map_err(|e| e.to_string())?;
    let names: Vec<String> = files.flatten().map(|f| f.file_name().to_string_lossy().into_owned()).collect();
    let model = names.iter().find(|n| n.starts_with("model.")).ok_or("no model")?;
    let graph = read::open(&folder.join(model), &read::Options::default()).map_err(|e| e.to_string())?;
    let arrays = |prefix: &str| -> Result<BTreeMap<String, Tensor>, String> {
        let of = |name: &String| Some((name.strip_prefix(prefix)?.strip_suffix(".npy")?.to_string(), name.clone()));
        let read = |(key, name): (String, String)| Ok((key, npy::read(&folder.join(name)).map_err(|e| e.to_string())?));
        names.iter().filter_map(of).map(read).collect()
    };
    let (given, wanted) = (arrays("input_")?, arrays("output_")?);
    let pick = |from: &BTreeMap<String, Tensor>, i: usize, name: &str| {
        from.get(name).or_else(|| from.get(&i.to_string())).cloned()
    };
    let mut inputs = Vec::new();
    for (i, port) in graph.inputs.iter().enumerate() {
        inputs.push(pick(&given, i, &port.name).ok_or(format!("no value for input {}", port.name))?);
    }
    let ports = graph.outputs.clone();
    let mut interpreter = Interpreter::new(graph).map_err(|e| e.to_string())?;
    let outputs = interpreter.run(&inputs).map_err(|e| e.to_string())?;
    if timed {
        let once = |_| {
            let begun = Instant::now();
            let _ = std::hint::black_box(interpreter.run(&inputs));
            begun.elapsed().as_secs_f64() * 1e6
        };
        let mut taken: Vec<f64> = (0..500).map(once).collect();
        taken.sort_by(f64::total_cmp);
        println!("{:.1} us minimum, {:.1} us median {}", taken[0], taken[250], folder.display());
    }
    let (mut fits, mut largest) = (true, 0.0f64);
    for (i, (port, got)) in ports.iter().zip(&outputs).enumerate() {
        let Some(want) = pick(&wanted, i, &port.name) else { continue };
        if got.dims() != want.dims() || (got.dtype() != want.dtype() && want.dtype() != Dtype::F64) {
            println!("{}: {} {:?}, not {} {:?}", port.name, got.dtype(), got.dims(), want.dtype(), want.dims());
            return Ok((false, f64::INFINITY));
        }
        let wide =
            |t: &Tensor| t.cast(Dtype::F64).ok().and_then(|t| t.as_f64().map(<[f64]>::to_vec)).unwrap_or_default();
        for (got, want) in wide(got).into_iter().zip(wide(&want)) {
            let error = if got == want || (got.is_nan() && want.is_nan()) { 0.0 } else { (got - want).abs() };
            let within = error == 0.0 || error <= atol + rtol * want.abs();
            fits &= within;
            largest = if error.is_nan() { f64::INFINITY } else { largest.max(error) };
        }
    }
    Ok((fits, largest))
}
