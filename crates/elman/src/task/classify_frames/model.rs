//! A model of a file: what it reads, and what it answers.

use std::path::Path;

use serde_json::Value;

use super::sequences::{Data, Raw};
use super::{Reader, Sequences};
use crate::data::sequences::SequenceTable;
use crate::data::table::Table;
use crate::data::{Labels, Split};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::param::Params;
use crate::shape::{InputKind, Synced, SyncedConfig};
use crate::task::judge::{Judge, probabilities};
use crate::task::settings::Settings;
use crate::task::{plan, supervised};

/// A trained classifier of frames or steps.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: Synced,
    /// Its weights.
    pub params: Params<f32>,
    /// How its steps are read.
    pub reader: Reader,
    /// Its classes.
    pub labels: Labels,
    /// The class that means nothing is there.
    pub background: Option<u32>,
    /// Steps by which its answers come late.
    pub lookahead: usize,
    /// What its logits are divided by.
    pub temperature: f64,
    /// The columns it was trained on: `label`, `sequence`, `header`.
    pub columns: Value,
}

impl Model {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds another kind of model, or one that contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Model> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let config: SyncedConfig = plan::part(loaded, "network")?;
        let (reader, labels): (Reader, Labels) = (plan::part(loaded, "reader")?, plan::part(loaded, "labels")?);
        if config.feed != InputKind::Dense(reader.width()) || config.classes != labels.len() {
            return Err(wrong("its reader or its labels do not fit its network".into()));
        }
        if let Reader::Frames { context, ahead, .. } = reader
            && (context == 0 || ahead >= context)
        {
            return Err(wrong("its frames' context cannot be".into()));
        }
        let network = Synced::new(config).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, network.layout())?;
        let background: Option<u32> = plan::part(loaded, "background")?;
        let lookahead: usize = plan::part(loaded, "lookahead")?;
        let temperature: f64 = plan::part(loaded, "temperature")?;
        let columns = plan::part(loaded, "columns")?;
        Ok(Model { network, params, reader, labels, background, lookahead, temperature, columns })
    }

    /// Reads sequences to be measured on: of data with parts the one `split` names, else the test.
    ///
    /// # Errors
    /// What the readers meet.
    pub fn read(&self, path: &Path, settings: &Settings, split: &str) -> Result<Sequences> {
        let mut settings = settings.clone();
        for (column, key) in [(&mut settings.label_column, "label"), (&mut settings.sequence_column, "sequence")] {
            if column.is_empty() {
                *column = self.columns[key].as_str().unwrap_or_default().to_string();
            }
        }
        let mut data = Data::read(path, &settings, Some(&self.reader))?.0;
        let has_test = data.sequences.iter().any(|s| s.split == Some(Split::Test));
        if split != "all" && (has_test || !split.is_empty()) {
            let word = if split.is_empty() { "test" } else { split };
            let part = Split::of(word);
            data = data.part(part.ok_or_else(|| Error::Usage(format!("--split {word}: give {}", Split::WORDS)))?)?;
        }
        Sequences::new(data, &self.reader, &self.labels, self.lookahead)
    }

    /// How its answers are judged.
    pub fn judge(&self) -> Judge {
        let temperature = self.temperature;
        Judge::Frames { classes: self.labels.len(), background: self.background, temperature }
    }

    /// The probability of each class `[V]` at each frame of a clip.
    ///
    /// # Errors
    /// [`Error::Usage`] if its frames are of another size, or the model reads rows.
    #[cfg(feature = "media")]
    pub fn predict_clip(&self, clip: &crate::data::frames::Clip) -> Result<Vec<Vec<f64>>> {
        let Reader::Frames { pixels, .. } = &self.reader else {
            return Err(Error::Usage("the model reads rows of a table, not clips".into()));
        };
        if (clip.height, clip.width, clip.channels) != (pixels.height, pixels.width, pixels.channels) {
            let message = format!(
                "{}: its frames are {} wide and {} high, but the model reads {} x {}",
                clip.id, clip.width, clip.height, pixels.width, pixels.height
            );
            return Err(Error::Usage(message));
        }
        let raw = Raw::Frames(clip.pixels.clone());
        Ok(self.predict(vec![(clip.id.clone(), raw, clip.frames)]).pop().map(|(_, p)| p).unwrap_or_default())
    }

    /// The name of each sequence of a table, and the probability of each class `[V]` at each of its steps.
    ///
    /// # Errors
    /// What the model's reader cannot read.
    pub fn predict_table(&self, table: &Table, sequence_column: &str) -> Result<Vec<(String, Vec<Vec<f64>>)>> {
        let Reader::Features(features) = &self.reader else {
            return Err(Error::Usage("the model reads frames, not rows of a table".into()));
        };
        let trained = self.columns["sequence"].as_str().unwrap_or_default();
        let column = table.column(if sequence_column.is_empty() { trained } else { sequence_column })?;
        let read = SequenceTable::read(table, column, None, &features.bind(table)?)?;
        let width = read.width;
        let raw = |s: crate::data::sequences::Sequence| {
            let steps = s.inputs.len() / width;
            (s.id, Raw::Rows(s.inputs), steps)
        };
        Ok(self.predict(read.sequences.into_iter().map(raw).collect()))
    }

    fn predict(&self, sequences: Vec<(String, Raw, usize)>) -> Vec<(String, Vec<Vec<f64>>)> {
        let all = Sequences::unlabelled(sequences, &self.reader, self.labels.len(), self.lookahead);
        let which: Vec<usize> = (0..all.ids().len()).collect();
        let logits = supervised::answers(&self.network, &self.params, &all, &which);
        let steps = |logits: Vec<f32>| {
            let step = |logits: &[f32]| {
                let mut p = Vec::new();
                probabilities(logits, self.temperature, &mut p);
                p
            };
            logits.chunks_exact(self.labels.len()).map(step).collect()
        };
        all.ids().iter().cloned().zip(logits.into_iter().map(steps)).collect()
    }
}
