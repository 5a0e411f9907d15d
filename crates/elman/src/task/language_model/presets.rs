//! Settings of a language model to begin from.

use crate::cell::CellKind;
use crate::error::{Error, Result};
use crate::optim::{OptimizerKind, ScheduleKind};
use crate::param::Init;
use crate::settings::{Auto, InitWord, Settings};

/// Names of the presets and what they are.
pub const PRESETS: &[(&str, &str)] = &[
    ("default", "network and length by the text, and by --max-time if it is given"),
    ("quick", "a small network for a first look; what `elman train` takes for its built-in text"),
    ("min-char-rnn", "the blog's 112 lines: one tanh layer of 100, one sequence of 25, Adagrad 0.1, clip +-5"),
    ("char-rnn", "karpathy/char-rnn: LSTM 2x128, batch 50, 50 steps, RMSprop 0.002, clip +-5, 50 epochs"),
];

/// Where both originals clip an element of the gradient. They clip its sum over the steps of a sequence; gradients are
/// means over them here, so the settings are divided by the steps.
const CLIP: f64 = 5.0;
/// What both add to a root of the gradients' squares.
const EPS: f64 = 1e-8;
/// Steps of a sequence in min-char-rnn and in char-rnn.
const BLOG_STEPS: usize = 25;
const CHAR_RNN_STEPS: usize = 50;

/// Tokens are characters.
fn base() -> Settings {
    Settings { vocab_size: usize::AUTO, ..Settings::base() }
}

/// What can be is left to the text and the time.
pub(super) fn automatic() -> Settings {
    Settings {
        hidden: usize::AUTO,
        embedding: usize::AUTO,
        batch: usize::AUTO,
        seq_len: usize::AUTO,
        lr: f64::AUTO,
        dropout: f64::AUTO,
        ema_decay: f64::AUTO,
        epochs: f64::AUTO,
        ..base()
    }
}

/// A small network for a first look.
pub(super) fn quick() -> Settings {
    Settings { hidden: 192, embedding: 64, epochs: 8.0, lr: 0.006, seq_len: 64, dropout: 0.1, ..base() }
}

/// As [`Settings::preset`].
pub(in crate::task) fn preset(name: &str) -> Result<Settings> {
    let default = base();
    Ok(match name {
        "default" => automatic(),
        "quick" => quick(),
        "min-char-rnn" => Settings {
            cell: CellKind::RnnTanh,
            layers: 1,
            hidden: 100,
            dropout: 0.0,
            init: InitWord(Init::Normal(0.01)),
            single_bias: true,
            batch: 1,
            seq_len: BLOG_STEPS,
            state_reset: 0.0,
            optimizer: OptimizerKind::Adagrad,
            lr: 0.1,
            eps: EPS / (BLOG_STEPS * BLOG_STEPS) as f64,
            eps_in_root: true,
            weight_decay: 0.0,
            clip_norm: 0.0,
            clip_value: CLIP / BLOG_STEPS as f64,
            schedule: ScheduleKind::Constant,
            warmup: 0,
            log_every: 100,
            temperature: 1.0,
            ..default
        },
        "char-rnn" => Settings {
            cell: CellKind::Lstm,
            layers: 2,
            hidden: 128,
            dropout: 0.0,
            init: InitWord(Init::Uniform(0.08)),
            forget_bias: 1.0,
            val_frac: 0.05,
            batch: 50,
            seq_len: CHAR_RNN_STEPS,
            state_reset: 0.0,
            optimizer: OptimizerKind::Rmsprop,
            lr: 0.002,
            alpha: 0.95,
            eps: EPS / CHAR_RNN_STEPS as f64,
            weight_decay: 0.0,
            clip_norm: 0.0,
            clip_value: CLIP / CHAR_RNN_STEPS as f64,
            // The rate falls at the end of an epoch, for the first time at that of the tenth.
            schedule: ScheduleKind::Step,
            warmup: 0,
            decay: 0.97,
            decay_after: 9.0,
            decay_every: 1.0,
            epochs: 50.0,
            temperature: 1.0,
            ..default
        },
        _ => {
            let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
            return Err(Error::setting("preset", name, format!("must be one of {}", names.join(", "))));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::AtomicBool;

    use serde::Deserialize;

    use super::*;
    use crate::param::Params;
    use crate::rng::Rng;
    use crate::task::language_model::{Corpus, TextBatches, network};
    use crate::task::plan::{Start, session};

    #[derive(Deserialize)]
    struct Recorded {
        repeats: usize,
        iterations: u64,
        runs: Vec<Run>,
    }

    #[derive(Deserialize)]
    struct Run {
        lr: f64,
        /// Nats, the sum over the 25 steps.
        loss: Vec<f64>,
    }

    fn recording(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name)
    }

    /// The losses of the preset from the weights of the recording.
    fn losses(recorded: &Recorded, lr: f64) -> Vec<f64> {
        let text = std::fs::read(recording("min_char_rnn.txt")).unwrap();
        let settings = Settings {
            lr,
            bytes: true,
            max_steps: recorded.iterations,
            log_every: 1,
            val_every: 1000,
            sample_every: 0,
            diverged_at: 0.0,
            threads: 1,
            ..preset("min-char-rnn").unwrap()
        };
        let corpus = Corpus::of(&text.repeat(recorded.repeats), Some(&text), Path::new("text"), &settings).unwrap();
        let network = network(&settings, corpus.vocab.len()).unwrap();
        let mut params = Params::<f32>::zeros(network.layout());
        for (tensor, name) in [("rnn.weight_ih_l0", "w_xh"), ("rnn.weight_hh_l0", "w_hh"), ("output.weight", "w_hy")] {
            let phase = 0.01 * name.bytes().map(f64::from).sum::<f64>();
            let wave = (0..).map(|i| (0.01 * (12.9898 * f64::from(i) + phase).sin()) as f32);
            params.get_mut(tensor).unwrap().iter_mut().zip(wave).for_each(|(weight, value)| *weight = value);
        }
        let batches = TextBatches::new(&corpus, &settings).unwrap();
        let mut session = session(&network, batches, &settings, params, Start::default()).unwrap();
        session.run(&AtomicBool::new(false), &mut |_| ()).unwrap();
        let records = session.records().iter().filter_map(|record| record.train_nats);
        records.map(|nats| nats * settings.seq_len as f64).collect()
    }

    #[test]
    fn min_char_rnn_is_the_originals_loop() {
        let text = std::fs::read_to_string(recording("min_char_rnn_preset.json")).unwrap();
        let recorded: Recorded = serde_json::from_str(&text).unwrap();
        assert_eq!((recorded.iterations, preset("min-char-rnn").unwrap().lr), (300, 0.1));
        for (lr, apart) in [(0.01, 1e-4), (0.05, 0.03)] {
            let (ours, run) = (losses(&recorded, lr), recorded.runs.iter().find(|run| run.lr == lr).unwrap());
            assert_eq!((ours.len(), run.loss.len()), (300, 300));
            for (i, (ours, theirs)) in ours.iter().zip(&run.loss).enumerate() {
                assert!((ours / theirs - 1.0).abs() < apart, "rate {lr}, update {}: {ours}, recorded {theirs}", i + 1);
            }
        }
        // At its own rate it is chaotic: rounding decides after ten updates.
        let (ours, run) = (losses(&recorded, 0.1), recorded.runs.iter().find(|run| run.lr == 0.1).unwrap());
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        assert!((ours[1] / run.loss[1] - 1.0).abs() < 1e-4 && (mean(&ours) / mean(&run.loss) - 1.0).abs() < 0.05);
    }

    #[test]
    fn biases_are_set_where_a_cell_has_them() {
        let lstm = Settings { cell: CellKind::Lstm, forget_bias: 2.5, single_bias: true, ..quick() };
        assert!(lstm.clone().resolve().is_ok());
        for (key, gru) in [
            ("forget_bias", Settings { cell: CellKind::Gru, single_bias: false, ..lstm.clone() }),
            ("single_bias", Settings { cell: CellKind::Gru, forget_bias: 1.0, ..lstm.clone() }),
        ] {
            assert!(gru.resolve().unwrap_err().to_string().contains(key), "{key}");
        }
        let network = network(&Settings { hidden: 3, embedding: 0, ..lstm }, 5).unwrap();
        let mut params: Params<f32> = network.init(Init::Uniform(0.1), &mut Rng::new(1, "weights"));
        let before = params.clone();
        crate::cell::set_forget_bias(&mut params, 2.5);
        let [ih, hh] = ["bias_ih", "bias_hh"].map(|name| params.get(&format!("rnn.{name}_l0")).unwrap());
        assert_eq!((&ih[3..6], &hh[3..6]), (&[2.5; 3][..], &[0.0; 3][..]));
        let changed = params.values.iter().zip(&before.values).filter(|(now, then)| now != then).count();
        assert_eq!(changed, 3, "the forget gates' first bias alone: the second is zero from the start");
    }

    #[test]
    fn char_rnn_is_the_originals_settings() {
        let settings = preset("char-rnn").unwrap();
        // The sum over 50 steps is clipped at 5; the rate falls for the first time after the tenth epoch, at once.
        assert!((settings.clip_value * settings.seq_len as f64 - 5.0).abs() < 1e-12);
        let schedule = settings.schedule_config();
        let factor = |epoch| schedule.factor(1, epoch, 0.0, &crate::optim::Plateau::default());
        assert_eq!((factor(9.99), factor(10.0), factor(10.5)), (1.0, 0.97, 0.97));
        assert!((factor(49.5) - 0.97f64.powi(40)).abs() < 1e-12);
        // What `session` makes of it is that of every run: the forget gates start at 1.
        let network = network(&settings, 7).unwrap();
        let mut params: Params<f32> = network.init(settings.init.0, &mut Rng::new(1, "weights"));
        crate::cell::set_forget_bias(&mut params, settings.forget_bias);
        for layer in 0..2 {
            let bias = |name: &str| params.get(&format!("rnn.{name}_l{layer}")).unwrap()[128..256].to_vec();
            assert_eq!((bias("bias_ih"), bias("bias_hh")), (vec![1.0; 128], vec![0.0; 128]));
        }
    }
}
