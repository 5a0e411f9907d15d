//! A series of measurements to a label: a movement, a beat, a fault. Readers: tables with a row per step or a row per
//! series, pictures read row by row; shape: sequence input; measure: accuracy.

use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::classify::Dataset;
use super::judge::{Judge, Truth};
use super::plan::{self, Facts, grouped, memory};
use super::settings::{ClassWeights, Settings};
use super::supervised::{self, Examples, Supervised, Survey};
use crate::cell::Steps;
use crate::data::features::Features;
use crate::data::sequences::{Scale, SequenceTable};
use crate::data::table::Table;
use crate::data::{At, Labels, Pixels, Vary, builtin, held_out};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::layer::Loss;
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{InputKind, Inputs, SequenceInput, SequenceInputBatch, SequenceInputConfig};
use crate::train::{RunFolder, Session, Trainer};

/// The name in files and on the command line.
pub const NAME: &str = "classify-sequence";

/// How a series becomes numbers; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// A picture, a row of pixels at a step.
    PictureRows(Pixels),
    /// A row of a table at a step.
    Features(Features),
    /// One number at a step; a series stands in one row of a table.
    Series(Scale),
}

impl Reader {
    /// `I`, the numbers of a step.
    pub fn width(&self) -> usize {
        match self {
            Reader::PictureRows(pixels) => pixels.width * pixels.channels,
            Reader::Features(features) => features.width(),
            Reader::Series(_) => 1,
        }
    }
}

/// A series as it was read.
#[derive(Clone, Debug, PartialEq)]
enum Raw {
    Picture(Vec<u8>),
    /// `[T, I]`.
    Numbers(Vec<f32>),
}

/// Series as they were read, with their labels and the labels' places.
struct Data {
    series: Vec<(Raw, String, (Arc<Path>, At))>,
    path: PathBuf,
}

/// Series ready for a network.
#[derive(Clone, Debug)]
pub struct Series {
    reader: Reader,
    series: Vec<Raw>,
    labels: Vec<[u32; 1]>,
    vary: Vary,
}

impl Series {
    fn new(data: Data, reader: &Reader, labels: &Labels, vary: Vary) -> Result<Series> {
        let mut series = Series { reader: reader.clone(), series: Vec::new(), labels: Vec::new(), vary };
        for (raw, label, (file, at)) in data.series {
            series.labels.push([labels.index(&label, &file, at)?]);
            series.series.push(raw);
        }
        Ok(series)
    }

    /// The numbers `[T, I]` of a series.
    fn numbers(&self, example: usize, vary: Option<&mut Rng>) -> Vec<f32> {
        let variation = vary.filter(|_| !self.vary.is_nothing()).map(|rng| (self.vary.draw(rng), rng));
        match (&self.series[example], &self.reader) {
            (Raw::Picture(picture), Reader::PictureRows(pixels)) => {
                let mut out = vec![0.0; pixels.len()];
                let mut variation = variation;
                let variation = variation.as_mut().map(|(variation, rng)| (&*variation, &mut **rng));
                pixels.numbers(picture, variation, &mut out);
                out
            }
            (Raw::Numbers(numbers), _) => {
                let mut out = numbers.clone();
                if let Some((_, rng)) = variation {
                    out.iter_mut().for_each(|x| *x += (self.vary.noise * rng.normal()) as f32);
                }
                out
            }
            (Raw::Picture(_), _) => Vec::new(),
        }
    }
}

impl Examples<SequenceInput> for Series {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn steps(&self, example: usize) -> usize {
        match (&self.series[example], &self.reader) {
            (Raw::Picture(_), Reader::PictureRows(pixels)) => pixels.height,
            (Raw::Numbers(numbers), reader) => numbers.len() / reader.width(),
            (Raw::Picture(_), _) => 0,
        }
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        Truth::Classes(&self.labels[example])
    }

    fn batch(
        &self,
        examples: &[usize],
        mut vary: Option<&mut Rng>,
        _: Option<SequenceInputBatch<f32>>,
    ) -> SequenceInputBatch<f32> {
        let width = self.reader.width();
        let numbers: Vec<Vec<f32>> = examples.iter().map(|&i| self.numbers(i, vary.as_deref_mut())).collect();
        let lengths: Vec<usize> = numbers.iter().map(|numbers| numbers.len() / width).collect();
        let steps = Steps::ragged(&lengths).unwrap_or_else(|_| Steps::equal(0, 0));
        let mut inputs = Vec::with_capacity(steps.rows() * width);
        for t in 0..steps.len() {
            for numbers in &numbers[..steps.active(t)] {
                inputs.extend_from_slice(&numbers[t * width..(t + 1) * width]);
            }
        }
        let targets = examples.iter().map(|&i| self.labels[i][0]).collect();
        SequenceInputBatch { steps, inputs: Inputs::Dense(inputs), extra: Vec::new(), targets }
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        match &self.series[example] {
            Raw::Picture(picture) => hasher.write(picture),
            Raw::Numbers(numbers) => numbers.iter().for_each(|value| hasher.write(&value.to_le_bytes())),
        }
    }
}

/// What was read, before the labels and the scale are known.
enum Source {
    Pictures(Dataset),
    /// A row of the table is a step.
    Steps(Table),
    /// A row of the table is a series.
    Rows(Table),
}

impl Source {
    fn read(path: &Path, settings: &Settings) -> Result<Source> {
        if path.is_dir() {
            if !settings.rows {
                let reason = "a folder holds pictures; --rows reads each as a sequence of its rows".into();
                return Err(Error::Data { path: path.into(), reason });
            }
            return Dataset::read(path, settings).map(Source::Pictures);
        }
        let table = Table::read_with(path, super::classify_text::header(settings))?;
        Ok(if settings.sequence_column.is_empty() { Source::Rows(table) } else { Source::Steps(table) })
    }

    /// How the series become numbers: learnt from them.
    fn reader(&self, settings: &Settings) -> Result<Reader> {
        Ok(match self {
            Source::Pictures(data) => {
                let [height, width, channels] = data.size.unwrap_or([1, 1, 1]);
                let pictures = data.train.iter().filter_map(super::classify::Raw::picture);
                Reader::PictureRows(Pixels::fit(height, width, channels, false, pictures))
            }
            Source::Steps(table) => {
                let label = super::classify::label_column(table, settings)?;
                let sequence = table.column(&settings.sequence_column)?;
                Reader::Features(Features::fit(table, &[label, sequence])?)
            }
            Source::Rows(table) => {
                let label = super::classify::label_column(table, settings)?;
                let all: Vec<usize> = (0..table.rows.len()).collect();
                Reader::Series(Scale::fit(table, &all, Some(label), &[])?)
            }
        })
    }

    /// The part of the data that `split` names, as numbers.
    fn data(self, reader: &Reader, settings: &Settings, split: &str) -> Result<Data> {
        let (path, table) = match (self, reader) {
            (Source::Pictures(data), Reader::PictureRows(pixels)) => {
                let (path, size) = (data.path.clone(), data.size);
                if size != Some([pixels.height, pixels.width, pixels.channels]) {
                    let reason = format!("the model reads pictures {} wide and {} high", pixels.width, pixels.height);
                    return Err(Error::Data { path, reason });
                }
                let part = data.part(split)?.into_iter();
                let one = |raw: super::classify::Raw| {
                    let picture = raw.picture().unwrap_or_default().to_vec();
                    (Raw::Picture(picture), raw.label().to_string(), raw.place())
                };
                return Ok(Data { series: part.map(one).collect(), path });
            }
            (Source::Steps(table), Reader::Features(features)) => {
                let label = super::classify::label_column(&table, settings)?;
                let sequence = table.column(&settings.sequence_column)?;
                let features = features.bind(&table)?;
                let sequences = SequenceTable::read_whole(&table, sequence, label, &features)?;
                (table.path, sequences)
            }
            (Source::Rows(table), Reader::Series(scale)) => {
                let label = super::classify::label_column(&table, settings)?;
                let sequences = SequenceTable::read_rows(&table, Some(label), &[], scale)?;
                (table.path, sequences)
            }
            _ => {
                let path = PathBuf::from(&settings.file);
                let reason = "it is not laid out as the data the model was trained on".into();
                return Err(Error::Data { path, reason });
            }
        };
        let SequenceTable { classes, sequences, .. } = table;
        let label = |labels: &[usize]| labels.first().map_or_else(String::new, |&label| classes[label].clone());
        let file: Arc<Path> = path.as_path().into();
        let one = |sequence: crate::data::sequences::Sequence| {
            (Raw::Numbers(sequence.inputs), label(&sequence.labels), (file.clone(), At::Line(sequence.lines[0])))
        };
        Ok(Data { series: sequences.into_iter().map(one).collect(), path })
    }
}

/// A run before its first update.
pub struct Plan {
    settings: Settings,
    network: SequenceInput,
    reader: Reader,
    labels: Labels,
    train: Series,
    val: Series,
    judge: Judge,
}

impl Plan {
    /// Reads the series and lays the network out.
    ///
    /// # Errors
    /// What the readers meet; a network that cannot be.
    pub fn new(settings: Settings) -> Result<Plan> {
        let source = if settings.file.is_empty() {
            Source::Rows(builtin::series(settings.seed)?)
        } else {
            Source::read(Path::new(&settings.file), &settings)?
        };
        let reader = source.reader(&settings)?;
        let has_dev = matches!(&source, Source::Pictures(data) if data.dev.is_some()) && settings.folds == 0;
        let (train, val) = if !settings.val.is_empty() {
            let val = Settings { file: settings.val.clone(), ..settings.clone() };
            let val = Source::read(Path::new(&settings.val), &val)?.data(&reader, &val, "")?;
            (source.data(&reader, &settings, "")?, val)
        } else if has_dev {
            let again = Source::read(Path::new(&settings.file), &settings)?;
            (source.data(&reader, &settings, "train")?, again.data(&reader, &settings, "dev")?)
        } else {
            let Data { series, path } = source.data(&reader, &settings, "")?;
            let (train, val) = held_out(series, &settings.hold_out(), &path)?;
            (Data { series: train, path: path.clone() }, Data { series: val, path })
        };
        let labels = Labels::of(train.series.iter().map(|(_, label, _)| label.as_str()), &train.path)?;
        let vary = if let Reader::PictureRows(_) = reader {
            let s = &settings;
            Vary { shift: s.shift, mirror: s.mirror, distort: s.distort, gain: s.gain, noise: s.noise }
        } else {
            Vary { noise: settings.noise, ..Vary::default() }
        };
        let train = Series::new(train, &reader, &labels, vary)?;
        let val = Series::new(val, &reader, &labels, Vary::default())?;
        let class_weights = match settings.class_weights {
            ClassWeights::Equal => Vec::new(),
            ClassWeights::Balanced => labels.balanced(train.labels.iter().map(|label| label[0])),
        };
        let network = SequenceInput::new(SequenceInputConfig {
            cell: settings.cell,
            layers: settings.layers,
            hidden: settings.hidden,
            bidirectional: settings.bidirectional,
            feed: InputKind::Dense(reader.width()),
            embedding: 0,
            embedding_dropout: 0.0,
            locked: false,
            extra: 0,
            pooling: settings.pooling,
            classes: labels.len(),
            dropout: settings.dropout,
            weight_drop: settings.weight_drop,
            loss: Loss { smoothing: settings.label_smoothing, class_weights },
        })?;
        let judge = Judge::Classes { classes: labels.len(), temperature: 1.0 };
        Ok(Plan { settings, network, reader, labels, train, val, judge })
    }
}

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let s = &self.settings;
        let weights = self.network.layout().len();
        let longest = (0..self.train.len()).map(|i| self.train.steps(i)).max().unwrap_or(0);
        let steps: usize = (0..self.train.len()).map(|i| self.train.steps(i)).sum();
        let directions = if s.bidirectional { 2 } else { 1 };
        let activations = s.batch * longest * s.layers * directions * s.hidden * 12;
        Facts {
            network: format!("{}{} {}x{}", if s.bidirectional { "bi-" } else { "" }, s.cell.name(), s.layers, s.hidden),
            parameters: weights,
            data: format!(
                "{} series to learn from, {} held out, {} steps each on average of {} numbers; {} classes",
                grouped(self.train.len()),
                grouped(self.val.len()),
                steps / self.train.len().max(1),
                self.reader.width(),
                self.labels.len()
            ),
            targets: self.train.len(),
            unit: "series",
            notes: Vec::new(),
            memory: memory(weights, s.batch, activations),
            json: json!({
                "train": self.train.len(), "held_out": self.val.len(), "steps": steps,
                "numbers": self.reader.width(), "classes": self.labels.names(),
            }),
            command: "elman predict",
        }
    }

    fn survey(&self) -> Option<Survey> {
        Some(supervised::survey::<SequenceInput, _>(&self.train, &self.val, self.labels.names()))
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let config = json!({
            "task": NAME, "shape": "sequence-input", "reader": self.reader, "labels": self.labels,
            "columns": {"label": s.label_column, "sequence": s.sequence_column, "header": s.header},
        });
        let network = |network: &SequenceInput| json!(network.config());
        let task = Supervised::new(&self.train, &self.val, &self.judge, s, |_| (), config, network)?;
        let params = self.network.init(s.init.0, &mut Rng::new(s.seed, "weights"));
        let threads = super::language_model::threads(s.threads);
        let mut trainer = Trainer::new(&self.network, task, s.train_config(), params, threads, folder)?;
        if resume {
            trainer.resume()?;
        }
        Ok(Box::new(trainer))
    }
}

/// A trained classifier of series.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: SequenceInput,
    /// Its weights.
    pub params: Params<f32>,
    /// How its series are read.
    pub reader: Reader,
    /// Its classes.
    pub labels: Labels,
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
        let config: SequenceInputConfig = plan::part(loaded, "network")?;
        let (reader, labels): (Reader, Labels) = (plan::part(loaded, "reader")?, plan::part(loaded, "labels")?);
        if config.feed != InputKind::Dense(reader.width()) || config.classes != labels.len() {
            return Err(wrong("its reader or its labels do not fit its network".into()));
        }
        let network = SequenceInput::new(config).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, network.layout())?;
        let temperature: f64 = plan::part(loaded, "temperature")?;
        let columns = plan::part(loaded, "columns")?;
        Ok(Model { network, params, reader, labels, temperature, columns })
    }

    /// Reads series to be measured on.
    ///
    /// # Errors
    /// What the readers meet.
    pub fn read(&self, path: &Path, settings: &Settings, split: &str) -> Result<Series> {
        let mut settings = Settings { file: path.display().to_string(), ..settings.clone() };
        settings.rows = matches!(self.reader, Reader::PictureRows(_));
        let trained = |key: &str| self.columns[key].as_str().unwrap_or_default().to_string();
        for (column, key) in [(&mut settings.label_column, "label"), (&mut settings.sequence_column, "sequence")] {
            if column.is_empty() {
                *column = trained(key);
            }
        }
        let source = Source::read(path, &settings)?;
        let has_test = matches!(&source, Source::Pictures(data) if data.test.is_some());
        let split = if split.is_empty() && has_test { "test" } else { split };
        Series::new(source.data(&self.reader, &settings, split)?, &self.reader, &self.labels, Vary::default())
    }
}

impl Model {
    /// The name of each series of a table, and the probability of each class `[V]`. Columns left empty are those of the
    /// training; a label is not needed.
    ///
    /// # Errors
    /// What the model's reader cannot read.
    pub fn predict_table(
        &self,
        table: &Table,
        sequence_column: &str,
        label_column: &str,
    ) -> Result<Vec<(String, Vec<f64>)>> {
        let or_trained = |asked: &str, key: &str| {
            if asked.is_empty() {
                self.columns[key].as_str().unwrap_or_default().to_string()
            } else {
                asked.to_string()
            }
        };
        let read = match &self.reader {
            Reader::Features(features) => {
                let column = table.column(&or_trained(sequence_column, "sequence"))?;
                SequenceTable::read(table, column, None, &features.bind(table)?)?
            }
            Reader::Series(scale) => {
                // The label's column may be there; it is no value.
                let name = or_trained(label_column, "label");
                let named = if name.is_empty() { "label" } else { &name };
                let header = table.header.as_deref().unwrap_or_default();
                let label = match header.iter().position(|column| column == named) {
                    None if !name.is_empty() && header.is_empty() => table.column(&name).ok(),
                    found => found,
                };
                let exclude: Vec<usize> = label.into_iter().collect();
                SequenceTable::read_rows(table, None, &exclude, scale)?
            }
            Reader::PictureRows(_) => {
                return Err(Error::Usage("the model reads pictures, not rows of a table".into()));
            }
        };
        let ids: Vec<String> = read.sequences.iter().map(|s| s.id.clone()).collect();
        let series = Series {
            reader: self.reader.clone(),
            labels: vec![[0]; ids.len()],
            series: read.sequences.into_iter().map(|s| Raw::Numbers(s.inputs)).collect(),
            vary: Vary::default(),
        };
        let which: Vec<usize> = (0..ids.len()).collect();
        let logits = super::supervised::answers(&self.network, &self.params, &series, &which);
        let one = |logits: Vec<f32>| {
            let mut p = Vec::new();
            super::judge::probabilities(&logits, self.temperature, &mut p);
            p
        };
        Ok(ids.into_iter().zip(logits.into_iter().map(one)).collect())
    }
}
