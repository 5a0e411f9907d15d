//! Hundreds of models that Keras and PyTorch wrote, against what these made of them: right, refused by name, never wrong.
//!
//! `tests/reference/graph_keras.py` and `graph_torch.py` write them into a folder; `ELMAN_GENERATED` names it.

use std::collections::BTreeMap;
use std::path::Path;

use elman_graph::read::{self, Options};
use elman_graph::{Error, Interpreter, StepOptions, Tensor};
use serde_json::Value;

use crate::files::{array, difference, fitted};

/// Largest difference, in proportion to outputs above 1.
const BOUND: f64 = 1e-5;

#[derive(Default)]
struct Tally {
    read: usize,
    /// Of those, also step by step.
    stepped: usize,
    refused: usize,
    /// Outputs that differ, and refusals of what is to be read.
    wrong: Vec<String>,
    worst: f64,
}

fn outputs(folder: &Path) -> Vec<Tensor> {
    (0..)
        .map(|at| folder.join(format!("output_{at}.npy")))
        .take_while(|path| path.exists())
        .map(|path| array(&path))
        .collect()
}

fn check(folder: &Path, file: &str, options: &Options, refused: bool, tally: &mut Tally) {
    let path = folder.join(file);
    let say = |text: String| format!("{}: {text}", path.display());
    let graph = match read::open(&path, options) {
        Ok(_) if refused => return tally.wrong.push(say("it was read, and is to be refused".into())),
        Ok(graph) => graph,
        Err(error) if refused => {
            tally.refused += 1;
            return println!("refused {error}");
        }
        Err(error) => return tally.wrong.push(say(format!("refused: {error}"))),
    };
    let input = fitted(array(&folder.join("input.npy")), &graph.inputs[0]);
    // Step by step too, where a step needs no later ones.
    let steps = graph.lower(&StepOptions::default()).ok().map(|mut stepper| {
        let got = stepper.run(&[(graph.inputs[0].name.clone(), input.clone())]);
        got.map(|got| got.into_iter().map(|(_, output)| output).collect())
    });
    tally.stepped += usize::from(steps.is_some());
    let whole = Interpreter::new(graph).and_then(|mut interpreter| interpreter.run(&[input]));
    for run in [Some(whole), steps].into_iter().flatten() {
        compare(folder, &run, tally, &say);
    }
    tally.read += 1;
}

fn compare(folder: &Path, run: &Result<Vec<Tensor>, Error>, tally: &mut Tally, say: &impl Fn(String) -> String) {
    let got = match run {
        Ok(got) => got,
        Err(error) => return tally.wrong.push(say(format!("it does not run: {error}"))),
    };
    for (at, want) in outputs(folder).iter().enumerate() {
        let Some(got) = got.get(at) else { return tally.wrong.push(say(format!("no output {at}"))) };
        if got.len() != want.len() {
            return tally.wrong.push(say(format!("output {at} is {:?} instead of {:?}", got.dims(), want.dims())));
        }
        let scale = want.to_f32().iter().fold(1.0f64, |most, x| most.max(f64::from(x.abs())));
        let apart = difference(got, want) / scale;
        tally.worst = tally.worst.max(apart);
        if apart > BOUND {
            return tally.wrong.push(say(format!("output {at} is {apart:.2e} off")));
        }
    }
}

#[test]
fn generated_models_are_right_or_refused() {
    let Some(root) = std::env::var_os("ELMAN_GENERATED") else {
        return println!("skipped: ELMAN_GENERATED names no folder");
    };
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let Ok(want) = std::fs::read(folder.join("want.json")) else { continue };
        let want: Value = serde_json::from_slice(&want).unwrap();
        let mut options = Options::default();
        for (name, answer) in want["answers"].as_object().unwrap() {
            options.answers.insert(name.clone(), answer.as_str().unwrap().into());
        }
        for file in want["files"].as_array().unwrap() {
            let file = file.as_str().unwrap();
            let family = folder.file_name().unwrap().to_string_lossy().split('-').next().unwrap().to_owned();
            let tally = tallies.entry(format!("{family} {file}")).or_default();
            check(&folder, file, &options, want["expect"] == "refused", tally);
        }
    }
    let mut wrong = Vec::new();
    for (kind, tally) in tallies {
        println!(
            "{kind}: {} read ({} stepped, worst {:.1e}), {} refused, {} wrong",
            tally.read,
            tally.stepped,
            tally.worst,
            tally.refused,
            tally.wrong.len()
        );
        wrong.extend(tally.wrong);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
