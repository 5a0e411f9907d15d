//! min-char-rnn (Karpathy 2015, "The Unreasonable Effectiveness of Recurrent Neural Networks"), the whole loop:
//!
//!     cargo run --release --example min_char_rnn [TEXT_FILE [ITERATIONS]]
//!
//! A character-level language model with one layer of Elman's network, trained from left to right over the text, 25
//! characters at a time. Every 100 iterations it prints the smoothed loss and 200 characters of its own.

use std::path::Path;

use elman::data::Vocab;
use elman::decode::{Sampler, SamplerConfig};
use elman::optim::{Optimizer, OptimizerConfig, OptimizerKind, clip};
use elman::param::Init;
use elman::rng::Rng;
use elman::{Error, Result, Rnn};

const HIDDEN: usize = 100;
const SEQ_LEN: usize = 25; // steps that the gradient goes back through time
const LR: f64 = 0.1;

const TEXT: &str = "\
The river does not hurry, and yet it is always at the sea. It carries the leaf and the boat, the rain and the snow. \
What it was at the spring it is no more at the mill, and what it was at the mill it has left behind at the bridge. \
Only the bed remembers: it bends where the water bent it, and bends the water that comes after.\n";

fn main() {
    if let Err(error) = run(std::env::args().skip(1).collect()) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run(args: Vec<String>) -> Result<()> {
    let path = Path::new(args.first().map_or("the built-in text", String::as_str));
    let text = if args.is_empty() {
        TEXT.into()
    } else {
        std::fs::read(path).map_err(|source| Error::Io { path: path.into(), action: "read", source })?
    };
    let iterations = args.get(1).map_or(Ok(10_000), |n| n.parse());
    let iterations: u64 = iterations.map_err(|e| Error::Usage(format!("ITERATIONS {}: {e}", args[1])))?;
    let vocab = Vocab::of(&text, false, path)?;
    let (data, _) = vocab.encode(&text, true).map_err(|unseen| Error::Usage(unseen.to_string()))?;
    if data.len() < SEQ_LEN + 2 {
        return Err(Error::Usage(format!("the text has {} characters; give at least {}", data.len(), SEQ_LEN + 2)));
    }
    println!("data has {} characters, {} unique.", data.len(), vocab.len());

    // weights: small and random
    let mut rnn = Rnn::tokens(vocab.len(), HIDDEN, 1)?;
    rnn.init(Init::Normal(0.01), 1);
    let mut rng = Rng::new(1, "sample");

    let kind = OptimizerKind::Adagrad;
    let config = OptimizerConfig { kind, eps: 1e-8, eps_in_root: true, ..Default::default() };
    let mut adagrad = Optimizer::new(config, rnn.params().layout());

    let mut smooth_loss = (vocab.len() as f64).ln() * SEQ_LEN as f64; // of guessing
    let mut p = 0;
    for n in 0..=iterations {
        // The text is read from left to right, and again from its start with an empty memory.
        if p + SEQ_LEN + 1 >= data.len() {
            p = 0;
            rnn.reset();
        }
        let inputs = &data[p..p + SEQ_LEN];
        let targets = &data[p + 1..p + SEQ_LEN + 1];

        // What does it write by now?
        if n % 100 == 0 {
            let tokens = sample(rnn.clone(), inputs[0], 200, &mut rng)?;
            println!("----\n {} \n----", vocab.decode(&tokens));
        }

        // Forward through SEQ_LEN characters, and back through them for the gradients.
        let (loss, mut grads) = rnn.loss_and_grad_tokens(inputs, targets)?;
        smooth_loss = smooth_loss * 0.999 + loss * 0.001;
        if n % 100 == 0 {
            println!("iter {n}, loss: {smooth_loss:.6}");
        }

        // Bound what may have exploded, then step.
        clip::by_value(&mut grads, 5.0);
        if let Some(db_hh) = grads.get_mut("rnn.bias_hh_l0") {
            db_hh.fill(0.0); // a second bias, which PyTorch's layers have and the original has not
        }
        adagrad.update(rnn.params_mut(), &grads, LR, 1.0);
        p += SEQ_LEN;
    }
    Ok(())
}

/// `n` tokens of the model's own after `token`: each is drawn, and read as the next input.
fn sample(mut rnn: Rnn, mut token: u32, n: usize, rng: &mut Rng) -> Result<Vec<u32>> {
    let mut sampler = Sampler::new(SamplerConfig::default())?;
    let mut tokens = Vec::new();
    for _ in 0..n {
        token = sampler.pick(rnn.step_token(token)?, rng.uniform())?;
        tokens.push(token);
    }
    Ok(tokens)
}
