//! `elman import`: a network made elsewhere, read, told, tested and written as a model file.

use elman_graph::{Dtype, Tensor, npy};

use super::graphs::{Inputs, describe, open};
use crate::args::Import;
use crate::exit_code::{Failure, Outcome};
use crate::progress::shown;

pub(crate) fn run(args: &Import) -> Outcome {
    let graph = open(&args.file, &args.foreign)?;
    // What cannot be prepared cannot be run.
    elman_graph::Interpreter::new(graph.clone()).map_err(|e| e.at(&args.file))?;
    describe(&graph).iter().for_each(|line| println!("{}", shown(line, usize::MAX)));
    if let Some([input, want]) = args.test.as_deref() {
        let inputs = Inputs::new(&graph, &[(None, npy::read(input)?)])?;
        let outputs = inputs.run(&graph)?;
        let got = outputs.into_iter().next().map(|(_, y)| y);
        let got = got.ok_or_else(|| Failure::Other("the network has no output".into()))?;
        let (largest, fits) = compare(&got, &npy::read(want)?, args.within)?;
        println!("test       largest difference {largest:.1e} in {} values", got.len());
        if !fits {
            let reason = format!("it differs from {} by {largest:.1e}", want.display());
            let error = elman_graph::Error::Refused { part: "--test".into(), reason };
            return Err(Failure::Graph(error.at(&args.file)));
        }
    }
    if let Some(out) = &args.out {
        graph.save(out)?;
        println!("written    {}", shown(&out.display().to_string(), usize::MAX));
    }
    Ok(0)
}

/// The largest difference, and whether all lie within the bound: axes of size 1 do not count.
fn compare(got: &Tensor, want: &Tensor, within: f64) -> Result<(f64, bool), Failure> {
    let axes = |t: &Tensor| t.dims().iter().copied().filter(|d| *d != 1).collect::<Vec<_>>();
    if axes(got) != axes(want) {
        return Err(elman_graph::Error::dimensions("--test: the output", got.dims(), want.dims()).into());
    }
    let (got, want) = (got.cast(Dtype::F64)?, want.cast(Dtype::F64)?);
    let pairs = got.as_f64().unwrap_or_default().iter().zip(want.as_f64().unwrap_or_default());
    let mut largest = (0.0f64, true);
    for (got, want) in pairs {
        let error = if got.is_nan() && want.is_nan() { 0.0 } else { (got - want).abs() };
        // NaN is beyond any bound.
        let fits = error <= within * want.abs().max(1.0);
        largest = (if error > largest.0 || error.is_nan() { error } else { largest.0 }, largest.1 && fits);
    }
    Ok(largest)
}
