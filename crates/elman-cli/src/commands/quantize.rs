//! `elman quantize`: a model in fewer bits, and what that costs.

use std::f64::consts::LN_2;
use std::path::Path;

use elman::Error;
use elman::data::{Vocab, builtin};
use elman::format::model::{self, Loaded};
use elman::format::quantize::quantize;
use elman::step::model::Document;
use elman::step::{Network, Precision};
use elman::task::language_model;
use elman::task::score::{self, Score};
use serde_json::json;

use super::{Outcome, load};
use crate::args::{FewerBits, Quantize};
use crate::exit_code::Failure;
use crate::progress::grouped;

/// Part of the built-in text that is measured: the tenth that training holds out.
const HELD_OUT: usize = 10;

pub(crate) fn run(args: Quantize) -> Outcome {
    let loaded = load(&args.model)?;
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    if same(&args.model).is_some_and(|model| same(&args.out) == Some(model)) {
        let message = "--out: the full model would be lost; name another file".to_string();
        return Err(Error::Usage(message).into());
    }
    let precision = match args.precision {
        FewerBits::Int8 => Precision::Int8,
        FewerBits::Bf16 => Precision::Bf16,
    };
    // Whatever can be wrong with the text is said before anything is written.
    let text = text(&args, &loaded)?;
    let quantized = quantize(&loaded.document, precision).map_err(|error| loaded.error(error))?;
    let document = quantized.document();
    let bytes = document.to_bytes().map_err(|error| loaded.error(error))?;
    let scores = match &text {
        None => None,
        Some(text) => {
            let rounded = Document::parse(&bytes).map_err(|error| loaded.error(error))?;
            let before = measure(&loaded, &loaded.document, Precision::F32, text)?;
            Some((before, measure(&loaded, &rounded, precision, text)?))
        }
    };
    model::save(&args.out, &document)?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    print(&args, scores, [size(&args.model), size(&args.out)]);
    Ok(0)
}

/// The tokens to measure on, if there are any.
fn text(args: &Quantize, loaded: &Loaded) -> Result<Option<Vec<u32>>, Failure> {
    let tokens = match &args.data {
        Some(path) => {
            let data = |reason: String| Error::Data { path: path.clone(), reason };
            let text = language_model::read_text(path)?;
            let tokens = language_model::vocab(loaded)?
                .encode(&text, args.skip_unseen)
                .map_err(|unseen| data(format!("{unseen}; --skip-unseen leaves such symbols out")))?;
            if tokens.0.len() < 2 {
                return Err(data(format!("{} symbols to measure on; it takes at least 2", tokens.0.len())).into());
            }
            tokens.0
        }
        None => {
            let text = builtin::project_text().as_bytes();
            let Ok(vocab) = language_model::vocab(loaded) else { return Ok(None) };
            if !Vocab::of(text, false, Path::new("the built-in text")).is_ok_and(|known| known == vocab) {
                return Ok(None);
            }
            let tokens = vocab.encode(text, true).map_or_else(|_| Vec::new(), |(tokens, _)| tokens);
            tokens[tokens.len() - tokens.len() / HELD_OUT..].to_vec()
        }
    };
    Ok(Some(tokens))
}

fn measure(loaded: &Loaded, document: &Document, precision: Precision, text: &[u32]) -> Result<Score, Failure> {
    let mut network = Network::read(document, precision).map_err(|error| loaded.error(error))?;
    Ok(score::stepped(&mut network, text).map_err(|error| Error::Usage(error.to_string()))?)
}

fn print(args: &Quantize, scores: Option<(Score, Score)>, [before, after]: [u64; 2]) {
    let name = match args.precision {
        FewerBits::Int8 => "int8",
        FewerBits::Bf16 => "bf16",
    };
    let nats = scores.map(|(before, after)| (before.mean_nats(), after.mean_nats()));
    if args.json {
        let line = json!({
            "precision": name, "bytes_before": before, "bytes_after": after,
            "nats_before": nats.map(|nats| nats.0), "nats_after": nats.map(|nats| nats.1),
            "symbols": scores.map(|scores| scores.0.symbols),
        });
        println!("{line}");
        return;
    }
    let share = 100.0 * after as f64 / before.max(1) as f64;
    let (before, after) = (grouped(before), grouped(after));
    println!("{}: {name}, {after} bytes of {before} ({share:.0} %)", args.out.display());
    let Some((before, after)) = nats else {
        println!("the loss was not measured: give a text by --data");
        return;
    };
    let line = |name: &str, nats: f64| println!("{name:<6} {nats:.4} nats  {:.4} bits per symbol", nats / LN_2);
    line("f32", before);
    line(name, after);
    println!("loss   {:+.4} nats  {:+.4} bits", after - before, (after - before) / LN_2);
    println!("over {} symbols, the state carried through the text", grouped(scores.map_or(0, |s| s.0.symbols as u64)));
}
