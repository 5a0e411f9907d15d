//! `elman eval`: three numbers for a language model, named, never mixed.

use std::f64::consts::LN_2;

use elman::Error;
use elman::task::language_model::{self, Model};
use elman::task::score::{self, Dynamic, Score};
use serde_json::json;

use super::{Outcome, load};
use crate::args::Eval;
use crate::exit_code::Failure;

pub(crate) fn run(args: Eval) -> Outcome {
    if !(0.0..1.0).contains(&args.from) {
        return Err(Error::Usage(format!("--from {}: give a share from 0 to below 1", args.from)).into());
    }
    let dynamic = Dynamic { lr: args.dynamic_lr, decay: args.dynamic_decay, ..Dynamic::default() };
    if !(dynamic.lr > 0.0 && dynamic.lr.is_finite() && (0.0..=1.0).contains(&dynamic.decay)) {
        let message = "--dynamic-lr must be above 0 and --dynamic-decay from 0 to 1".to_string();
        return Err(Error::Usage(message).into());
    }
    let model = Model::from_file(&load(&args.model)?)?;
    let data = |reason: String| Error::Data { path: args.file.clone(), reason };
    let text = language_model::read_text(&args.file)?;
    let (tokens, skipped) = model
        .vocab
        .encode(&text, args.skip_unseen)
        .map_err(|unseen| data(format!("{unseen}; --skip-unseen leaves such symbols out")))?;
    let tokens = &tokens[(args.from * tokens.len() as f64) as usize..];
    if tokens.len() < 2 {
        return Err(data(format!("{} symbols to measure on; it takes at least 2", tokens.len())).into());
    }
    let threads = language_model::threads(args.threads);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| Failure::Other(format!("cannot start {threads} threads: {e}")))?;
    let (network, params) = (&model.network, &model.params);
    let (windowed, streaming, dynamic) = pool.install(|| {
        let streaming = |dynamic| score::streaming(network, params, tokens, dynamic);
        let dynamic = args.dynamic.then(|| streaming(Some(dynamic)).mean_nats());
        (score::windowed(network, params, tokens), streaming(None).mean_nats(), dynamic)
    });
    print(&args, windowed, streaming, dynamic, skipped);
    Ok(0)
}

fn print(args: &Eval, windowed: Score, streaming: f64, dynamic: Option<f64>, skipped: usize) {
    if args.json {
        let line = json!({
            "windowed_nats": windowed.mean_nats(),
            "streaming_nats": streaming,
            "dynamic_nats": dynamic,
            "symbols": windowed.symbols,
        });
        println!("{line}");
        return;
    }
    let line = |name: &str, nats: f64, what: &str| {
        println!("{name:<10} {nats:.4} nats  {:.4} bits per symbol   {what}", nats / LN_2);
    };
    line("windowed", windowed.mean_nats(), "windows of 256 symbols from the zero state");
    line("streaming", streaming, "the state carried through the text");
    if let Some(dynamic) = dynamic {
        line("dynamic", dynamic, "the weights adapt to what has been read");
    }
    println!("symbols    {}", windowed.symbols);
    if skipped > 0 {
        println!("left out   {skipped} symbols the model does not know");
    }
}
