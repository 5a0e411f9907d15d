//! Whether settings fit each other and their task, and what some of them decide for others.

use super::settings::{EPOCHS, Settings};
use crate::data::Units;
use crate::data::words::Level;
use crate::error::{Error, Result};
use crate::train::Span;

impl Settings {
    /// Checks every value, and settles what others decide: the run's length.
    ///
    /// # Errors
    /// [`Error::Usage`] with the flag to change.
    pub fn resolve(mut self) -> Result<Settings> {
        let refuse = |flag: &str, value: &dyn std::fmt::Display, want: &str| {
            Err(Error::Usage(format!("--{flag} {value}: give {want}")))
        };
        for (flag, value) in [("hidden", self.hidden), ("layers", self.layers), ("batch", self.batch)] {
            if value == 0 {
                return refuse(flag, &value, "at least 1");
            }
            if value > 1 << 20 {
                return refuse(flag, &value, "at most 1048576");
            }
        }
        if self.seq_len == 0 || self.accumulate == 0 {
            let (flag, value) = if self.seq_len == 0 { ("seq-len", 0) } else { ("accumulate", 0) };
            return refuse(flag, &value, "at least 1");
        }
        if self.log_every == 0 {
            return refuse("log-every", &self.log_every, "at least 1");
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return refuse("lr", &self.lr, "a number above 0, such as 0.002");
        }
        for (flag, value) in [("dropout", self.dropout), ("state-reset", self.state_reset), ("average", self.average)] {
            if !(0.0..1.0).contains(&value) {
                return refuse(flag, &value, "a number from 0 to below 1");
            }
        }
        if !(self.val_frac > 0.0 && self.val_frac < 1.0) {
            return refuse("val-frac", &self.val_frac, "a share above 0 and below 1, such as 0.1");
        }
        let limits = [
            ("clip-norm", self.clip_norm),
            ("clip-value", self.clip_value),
            ("epochs", self.epochs),
            ("diverged-at", self.diverged_at),
        ];
        for (flag, value) in limits {
            if !(value >= 0.0 && value.is_finite()) {
                return refuse(flag, &value, "a number from 0 (off) upwards");
            }
        }
        for (flag, value) in [
            ("embedding-dropout", self.embedding_dropout),
            ("weight-drop", self.weight_drop),
            ("label-smoothing", self.label_smoothing),
            ("word-dropout", self.word_dropout),
            ("subword-dropout", self.subword_dropout),
            ("scheduled-sampling", self.scheduled_sampling),
            ("gain", self.gain),
        ] {
            if !(0.0..1.0).contains(&value) {
                return refuse(flag, &value, "a number from 0 to below 1");
            }
        }
        for (flag, value) in [
            ("noise", self.noise),
            ("distort", self.distort),
            ("word-odds", self.word_odds),
            ("naive-bayes", self.naive_bayes),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return refuse(flag, &value, "a number from 0 (off) upwards");
            }
        }
        if self.folds == 1 || self.fold > self.folds {
            return refuse("folds", &self.folds, "0 for none, or at least 2, and a --fold that is one of them");
        }
        if !["auto", "yes", "no"].contains(&self.header.as_str()) {
            return refuse("header", &self.header, "auto, yes or no");
        }
        if !super::NAMES.contains(&self.task.as_str()) {
            return refuse("task", &self.task, &format!("one of {}", super::NAMES.join(", ")));
        }
        let writes = [super::translate::NAME, super::caption::NAME].contains(&self.task.as_str());
        if !writes && self.scheduled_sampling > 0.0 {
            return refuse("scheduled-sampling", &self.scheduled_sampling, "it only to --task translate and caption");
        }
        let has_words = [super::translate::NAME, super::classify_text::NAME].contains(&self.task.as_str());
        if !has_words && self.word_dropout > 0.0 {
            return refuse("word-dropout", &self.word_dropout, "it only to --task classify-text and translate");
        }
        let cuts = self.task == super::translate::NAME && self.units == Units::Subword;
        if !cuts && self.subword_dropout > 0.0 {
            let want = "it only to --task translate with --units subword";
            return refuse("subword-dropout", &self.subword_dropout, want);
        }
        if self.conditional && (!writes || self.upper_layers != 1) {
            let want =
                "it only to --task translate and caption, and not with --upper-layers; --conditional=false has those";
            return refuse("conditional", &self.conditional, want);
        }
        if !writes && self.val_limit != Settings::default().val_limit {
            return refuse("val-limit", &self.val_limit, "it only to --task translate and caption");
        }
        let reads_whole = [super::classify_text::NAME, super::classify_sequence::NAME].contains(&self.task.as_str());
        if !reads_whole && self.weight_drop > 0.0 {
            return refuse("weight-drop", &self.weight_drop, "it only to --task classify-text and classify-sequence");
        }
        if self.level != Level::Word && self.task != super::classify_text::NAME {
            return refuse("level", &self.get("level"), "it only to --task classify-text; of pairs, --units");
        }
        if self.level == Level::Subword && !self.embeddings.is_empty() {
            return refuse("embeddings", &self.embeddings, "it only with --level word: its vectors are of words");
        }
        if self.scheduled_sampling > 0.0 && self.epochs == 0.0 && self.max_steps == 0 {
            let want = "0, or --epochs or --max-steps too, over which it grows: a share of --max-time would differ from \
                        run to run";
            return refuse("scheduled-sampling", &self.scheduled_sampling, want);
        }
        let of_pictures = [
            ("features", &self.features),
            ("captions", &self.captions),
            ("images", &self.images),
            ("encoder", &self.encoder),
            ("encoder-output", &self.encoder_output),
        ];
        if let Some((flag, value)) = of_pictures.iter().find(|(_, value)| !value.is_empty())
            && self.task != super::caption::NAME
        {
            return Err(Error::Usage(format!(
                "--{flag} {value}: is for --task {}, not {}",
                super::caption::NAME,
                self.task
            )));
        }
        self.memory_limit()?;
        self.optimizer_config().validate()?;
        self.schedule_config().validate()?;
        self.sampler().validate()?;
        if self.epochs == 0.0 && self.max_steps == 0 && self.max_time == Span::ZERO {
            self.epochs = EPOCHS;
        }
        Ok(self)
    }
}
