//! `elman quantize` of a network that was not trained here: its error on a signal.

use elman::Error;
use elman::step::Precision;
use elman::task::grouped;
use elman_graph::{Graph, Tensor, npy};
use serde_json::json;

use super::eval_data;
use super::graphs::Inputs;
use crate::args::{FewerBits, Quantize};
use crate::exit_code::{Failure, Outcome};

/// Steps of the signal that the program makes: a tenth of a second of sound.
const STEPS: usize = 4800;
/// Above this ratio of the error's power to the signal's, 1 % of its size, the error of a well trained amplifier is reached: it is
/// told.
const AUDIBLE: f64 = 1e-4;

pub(super) fn run(args: &Quantize, graph: &Graph, precision: Precision) -> Outcome {
    let column =
        eval_data::columns(&args.columns).find(|(_, given)| given.is_some()).map(|(key, _)| key.replace('_', "-"));
    if let Some(option) = column.or(args.skip_unseen.then(|| "skip-unseen".into())) {
        return Err(Error::Usage(format!("--{option}: only of a model that was trained here")).into());
    }
    let rounded = graph.quantize(precision).map_err(|e| e.at(&args.model))?;
    let error = measure(args, graph, &rounded)?;
    let bytes = [graph, &rounded].map(|graph| graph.to_bytes().map_err(|e| e.at(&args.model)));
    let [before, after] = bytes;
    let (before, after) = (before?.len(), after?.len());
    rounded.save(&args.out)?;
    let name = match args.precision {
        FewerBits::Int8 => "int8",
        FewerBits::Bf16 => "bf16",
    };
    if args.json {
        println!(
            "{}",
            json!({
                "precision": name, "bytes_before": before, "bytes_after": after,
                "largest_error": error.as_ref().map(|e| e.largest), "error_to_signal": error.as_ref().map(Deviation::ratio),
                "values": error.as_ref().map(|e| e.values),
            })
        );
    } else {
        let share = 100.0 * after as f64 / before.max(1) as f64;
        println!("{}: {name}, {} bytes of {} ({share:.0} %)", args.out.display(), grouped(after), grouped(before));
        match &error {
            Some(e) => {
                let (signal, below) = (e.rms(e.signal), -10.0 * e.ratio().log10());
                println!("largest error {:.1e} of values of {signal:.2} (rms); {below:.0} dB below them", e.largest);
                let of = if args.data.is_some() {
                    "the data given"
                } else {
                    "noise or random tokens; --data measures on yours"
                };
                println!("measured on {} values, {of}", grouped(e.values));
            }
            None => println!("the cost was not measured: give an array by --data in.npy"),
        }
    }
    if let Some(e) = error.filter(|e| e.ratio().is_nan() || e.ratio() > AUDIBLE) {
        let percent = 100.0 * e.ratio().sqrt();
        eprintln!("warning: {name} changes the output by {percent:.1} % of its size; a sound is spoilt by less");
    }
    Ok(0)
}

/// How far outputs lie apart.
#[derive(Default)]
struct Deviation {
    largest: f64,
    /// Sums of squares.
    error: f64,
    signal: f64,
    values: usize,
}

impl Deviation {
    fn add(&mut self, full: &Tensor, rounded: &Tensor) {
        for (full, rounded) in full.to_f32().into_iter().zip(rounded.to_f32()) {
            let (full, error) = (f64::from(full), f64::from(rounded) - f64::from(full));
            // NaN stays.
            self.largest = if error.abs() <= self.largest { self.largest } else { error.abs() };
            self.error += error * error;
            self.signal += full * full;
            self.values += 1;
        }
    }

    fn ratio(&self) -> f64 {
        if self.error == 0.0 { 0.0 } else { self.error / self.signal }
    }

    fn rms(&self, squares: f64) -> f64 {
        (squares / self.values.max(1) as f64).sqrt()
    }
}

/// The outputs of both on the data, or on a signal that fits; `None` if there is none.
fn measure(args: &Quantize, graph: &Graph, rounded: &Graph) -> Result<Option<Deviation>, Failure> {
    let given = match &args.data {
        Some(path) => vec![(None, npy::read(path)?)],
        None => match graph.test_signal(STEPS) {
            Some(signal) => signal.into_iter().map(|(name, x)| (Some(name), x)).collect(),
            None => return Ok(None),
        },
    };
    let outputs = |graph: &Graph| {
        let inputs = Inputs::new(graph, &given)?;
        // Step by step where it can: then values are rounded too, as they are when the file runs so.
        match inputs.clone().run_steps(graph) {
            Err(Failure::Graph(elman_graph::Error::Refused { .. })) => inputs.run(graph),
            other => other,
        }
    };
    let (full, rounded) = match (outputs(graph), outputs(rounded)) {
        (Ok(full), Ok(rounded)) => (full, rounded),
        (Err(_), _) | (_, Err(_)) if args.data.is_none() => return Ok(None),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let mut found = Deviation::default();
    let is_state = |name: &str| graph.states.iter().any(|state| state.output == name);
    for (name, y) in full.iter().filter(|(name, _)| !is_state(name)) {
        if let Some((_, other)) = rounded.iter().find(|(other, _)| other == name) {
            found.add(y, other);
        }
    }
    Ok((found.values > 0).then_some(found))
}
