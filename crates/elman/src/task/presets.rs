//! Settings to begin from: presets of the language model, and the recommendation for each other task.

use super::settings::{InitWord, Settings};
use crate::cell::CellKind;
use crate::data::Units;
use crate::error::{Error, Result};
use crate::layer::AttentionKind;
use crate::optim::{OptimizerKind, ScheduleKind};
use crate::param::Init;

/// Names of the presets and what they are.
pub const PRESETS: &[(&str, &str)] = &[
    ("default", "our recommendation for a text of 100 KB to 100 MB"),
    ("quick", "a small network for a first look; what `elman train` takes for its built-in text"),
    ("min-char-rnn", "the blog's 112 lines: one tanh layer of 100, one sequence of 25, Adagrad 0.1, clip +-5"),
    ("char-rnn", "karpathy/char-rnn: LSTM 2x128, batch 50, 50 steps, RMSprop 0.002, clip +-5, 50 epochs"),
];

impl Settings {
    /// The settings of a preset.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn preset(name: &str) -> Result<Settings> {
        let default = Settings::default();
        Ok(match name {
            "default" => default,
            "quick" => Settings { hidden: 192, epochs: 8.0, lr: 0.006, seq_len: 64, dropout: 0.1, ..default },
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
                return Err(Error::Usage(format!("there is no preset `{name}`; there are {}", names.join(", "))));
            }
        })
    }

    /// What is recommended for a task on the data that the program makes for it.
    ///
    /// # Errors
    /// If there is no task of that name.
    pub fn for_made_data(task: &str) -> Result<Settings> {
        let usual = Self::for_task(task)?;
        Ok(match task {
            super::translate::NAME => Settings {
                hidden: 128,
                encoder_hidden: 96,
                embedding: 96,
                units: Units::Word,
                vocab_min: 1,
                dropout: 0.1,
                label_smoothing: 0.0,
                val_frac: 0.05,
                lr: 0.004,
                average: 0.99,
                warmup: 50,
                epochs: 6.0,
                ..usual
            },
            super::caption::NAME => Settings {
                cell: CellKind::Gru,
                hidden: 128,
                embedding: 64,
                units: Units::Word,
                vocab_min: 1,
                dropout: 0.1,
                feature_dropout: 0.0,
                label_smoothing: 0.0,
                scheduled_sampling: 0.0,
                val_frac: 0.05,
                lr: 0.004,
                average: 0.99,
                warmup: 50,
                epochs: 20.0,
                ..usual
            },
            _ => usual,
        })
    }

    /// What is recommended for a task.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn for_task(task: &str) -> Result<Settings> {
        let base = Settings {
            task: task.into(),
            state_reset: 0.0,
            log_every: 50,
            sample_every: 0,
            beta2: 0.99,
            average: 0.99,
            epochs: 10.0,
            ..Settings::default()
        };
        Ok(match task {
            super::language_model::NAME => Settings::default(),
            super::classify::CLASSIFY | super::classify::REGRESS => Settings {
                batch: 64,
                lr: 0.003,
                dropout: 0.3,
                warmup: 100,
                shift: 2,
                distort: 10.0,
                epochs: 12.0,
                ..base
            },
            super::classify_text::NAME => Settings {
                cell: CellKind::Gru,
                hidden: 128,
                embedding: 256,
                word_odds: 0.5,
                naive_bayes: 0.5,
                bidirectional: true,
                embedding_dropout: 0.5,
                word_dropout: 0.15,
                dropout: 0.5,
                label_smoothing: 0.05,
                batch: 24,
                lr: 0.001,
                weight_decay: 0.01,
                epochs: 6.0,
                ..base
            },
            super::classify_sequence::NAME => Settings {
                cell: CellKind::Lstm,
                hidden: 128,
                bidirectional: true,
                dropout: 0.3,
                batch: 64,
                lr: 0.003,
                shift: 2,
                distort: 8.0,
                epochs: 12.0,
                ..base
            },
            super::classify_frames::NAME => Settings {
                cell: CellKind::Gru,
                hidden: 256,
                layers: 2,
                dropout: 0.4,
                batch: 16,
                lr: 0.002,
                label_smoothing: 0.05,
                context: 5,
                shift: 3,
                gain: 0.25,
                noise: 0.05,
                jitter: 3,
                epochs: 40.0,
                ..base
            },
            super::translate::NAME => Settings {
                cell: CellKind::Gru,
                hidden: 384,
                encoder_hidden: 256,
                embedding: 256,
                tied: true,
                bidirectional: true,
                attention: AttentionKind::Additive,
                conditional: true,
                dropout: 0.3,
                label_smoothing: 0.1,
                vocab_size: 6000,
                max_len: 100,
                batch: 64,
                lr: 0.0015,
                beta2: 0.98,
                weight_decay: 0.01,
                average: 0.999,
                warmup: 300,
                sample_every: 1,
                epochs: 10.0,
                ..base
            },
            super::caption::NAME => Settings {
                cell: CellKind::Lstm,
                hidden: 512,
                embedding: 256,
                tied: true,
                attention: AttentionKind::Additive,
                dropout: 0.5,
                label_smoothing: 0.1,
                scheduled_sampling: 0.3,
                units: Units::Word,
                lowercase: true,
                vocab_min: 5,
                max_len: 60,
                batch: 64,
                lr: 0.001,
                weight_decay: 0.01,
                average: 0.999,
                warmup: 200,
                sample_every: 1,
                epochs: 10.0,
                // Greedily BLEU swings by a point between epochs, and the best so may write worse with the full beam.
                val_beam: 5,
                length_penalty: 0.7,
                ..base
            },
            _ => return Err(Error::Usage(format!("--task {task}: give one of {}", super::NAMES.join(", ")))),
        })
    }
}
