//! Settings of a language model to begin from.

use crate::cell::CellKind;
use crate::error::{Error, Result};
use crate::optim::{OptimizerKind, ScheduleKind};
use crate::param::Init;
use crate::settings::{InitWord, Settings};

/// Names of the presets and what they are.
pub const PRESETS: &[(&str, &str)] = &[
    ("default", "our recommendation for a text of 100 KB to 100 MB"),
    ("quick", "a small network for a first look; what `elman train` takes for its built-in text"),
    ("min-char-rnn", "the blog's 112 lines: one tanh layer of 100, one sequence of 25, Adagrad 0.1, clip +-5"),
    ("char-rnn", "karpathy/char-rnn: LSTM 2x128, batch 50, 50 steps, RMSprop 0.002, clip +-5, 50 epochs"),
];

/// A small network for a first look.
pub(super) fn quick() -> Settings {
    Settings { hidden: 192, epochs: 8.0, lr: 0.006, seq_len: 64, dropout: 0.1, ..Settings::base() }
}

/// The settings of a preset.
///
/// # Errors
/// [`Error::Setting`] if there is none of that name.
pub fn preset(name: &str) -> Result<Settings> {
    let default = Settings::base();
    Ok(match name {
        "default" => default,
        "quick" => quick(),
        "min-char-rnn" => Settings {
            cell: CellKind::RnnTanh,
            layers: 1,
            hidden: 100,
            dropout: 0.0,
            init: InitWord(Init::Normal(0.01)),
            batch: 1,
            seq_len: 25,
            state_reset: 0.0,
            optimizer: OptimizerKind::Adagrad,
            lr: 0.1,
            eps_in_root: true,
            weight_decay: 0.0,
            clip_norm: 0.0,
            clip_value: 5.0,
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
            val_frac: 0.05,
            batch: 50,
            seq_len: 50,
            state_reset: 0.0,
            optimizer: OptimizerKind::Rmsprop,
            lr: 0.002,
            alpha: 0.95,
            weight_decay: 0.0,
            clip_norm: 0.0,
            clip_value: 5.0,
            schedule: ScheduleKind::Exponential,
            warmup: 0,
            decay: 0.97,
            decay_after: 10.0,
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
