//! A picture or a row of a table to a class, or to a number. Readers: idx files, folders of pictures, tables; shape:
//! fixed; measures: accuracy, or the squared error.

use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{Judge, Truth};
use super::plan::{self, Facts, grouped, memory};
use super::settings::{ClassWeights, Settings, Sizes};
use super::supervised::{self, Examples, Supervised, Survey};
use crate::data::features::Features;
use crate::data::table::Table;
use crate::data::{At, Labels, Pixels, Vary, builtin, held_out, idx};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::layer::{FrontConfig, Loss};
use crate::param::Params;
use crate::rng::Rng;
use crate::shape::{Fixed, FixedBatch, FixedConfig, Shape, Targets};
use crate::train::{RunFolder, Session, Trainer};

/// The names in files and on the command line.
pub const CLASSIFY: &str = "classify";
/// See [`CLASSIFY`].
pub const REGRESS: &str = "regress";

/// Layers where the settings name none.
const CONVS: [usize; 3] = [32, 64, 128];
const DENSE_OF_PICTURES: [usize; 1] = [256];
const DENSE_OF_ROWS: [usize; 2] = [128, 64];

/// How an input becomes numbers; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// A picture.
    Pixels(Pixels),
    /// A row of a table.
    Features(Features),
}

/// What an example is compared with, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RawInput {
    /// `[height, width, channels]`.
    Picture(Vec<u8>),
    /// Cells of a row.
    Row(Vec<String>),
}

/// An example as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw {
    input: RawInput,
    label: String,
    /// The file of the label, and the place there.
    file: Arc<Path>,
    at: At,
}

/// A data set as it was read.
pub(super) struct Dataset {
    pub(super) train: Vec<Raw>,
    pub(super) dev: Option<Vec<Raw>>,
    pub(super) test: Option<Vec<Raw>>,
    /// Of pictures: height, width, channels.
    pub(super) size: Option<[usize; 3]>,
    /// Of a table: its header and the label's column.
    table: Option<(Option<Vec<String>>, usize)>,
    pub(super) path: PathBuf,
}

impl Dataset {
    /// Reads what is there: a folder of idx files, a folder of pictures, a table.
    pub(super) fn read(path: &Path, settings: &Settings) -> Result<Dataset> {
        if !path.is_dir() {
            return Self::of_table(path, settings);
        }
        if let Some(idx::Dataset { train, test }) = idx::dataset(path)? {
            return Ok(Self::of_idx(&train, test.as_ref(), path));
        }
        Self::of_pictures(path)
    }

    pub(super) fn of_idx(train: &idx::Labelled, test: Option<&idx::Labelled>, path: &Path) -> Dataset {
        let raw = |part: &idx::Labelled| {
            let file: Arc<Path> = part.label_file.as_path().into();
            let one = |i: usize| Raw {
                input: RawInput::Picture(part.images.item(i).to_vec()),
                label: part.labels.item(i)[0].to_string(),
                file: file.clone(),
                at: At::Item(i + 1),
            };
            (0..part.images.len()).map(one).collect()
        };
        let dims = &train.images.dims;
        let size = [dims.get(1).copied().unwrap_or(1), dims.get(2).copied().unwrap_or(1), 1];
        Dataset {
            train: raw(train),
            dev: None,
            test: test.map(raw),
            size: Some(size),
            table: None,
            path: path.to_path_buf(),
        }
    }

    #[cfg(feature = "media")]
    pub(super) fn of_pictures(path: &Path) -> Result<Dataset> {
        use crate::data::images;
        let folder = images::labelled_folder(path)?;
        let mut size = None;
        let mut read = |files: &[(PathBuf, String)]| -> Result<Vec<Raw>> {
            let mut raw = Vec::with_capacity(files.len());
            for (file, label) in files {
                let picture = images::read(file, true)?;
                let found = [picture.height, picture.width, picture.channels];
                let want = *size.get_or_insert(found);
                if found != want {
                    let reason = format!(
                        "it is {} wide and {} high, but the first picture is {} x {}; make them all of one size",
                        found[1], found[0], want[1], want[0]
                    );
                    return Err(Error::Data { path: file.clone(), reason });
                }
                raw.push(Raw::new(picture.pixels, label.clone(), file.as_path().into(), At::File));
            }
            Ok(raw)
        };
        let train = read(&folder.train)?;
        let dev = folder.dev.as_deref().map(&mut read).transpose()?;
        let test = folder.test.as_deref().map(&mut read).transpose()?;
        Ok(Dataset { train, dev, test, size, table: None, path: path.to_path_buf() })
    }

    #[cfg(not(feature = "media"))]
    pub(super) fn of_pictures(path: &Path) -> Result<Dataset> {
        let reason = "this program was built without pictures (feature `media`)".into();
        Err(Error::Data { path: path.into(), reason })
    }

    fn of_table(path: &Path, settings: &Settings) -> Result<Dataset> {
        let table = Table::read_with(path, super::classify_text::header(settings))?;
        let label = label_column(&table, settings)?;
        let file: Arc<Path> = path.into();
        let raw = |row: crate::data::table::Row| Raw {
            label: row.cells[label].trim().to_string(),
            file: file.clone(),
            at: At::Line(row.line),
            input: RawInput::Row(row.cells),
        };
        let header = table.header.clone();
        let train: Vec<Raw> = table.rows.into_iter().map(raw).collect();
        if let Some(row) = train.iter().find(|row| row.label.is_empty()) {
            let reason = format!("{}the label is empty; leave such rows out", row.at);
            return Err(Error::Data { path: path.into(), reason });
        }
        Ok(Dataset { train, dev: None, test: None, size: None, table: Some((header, label)), path: path.into() })
    }

    /// The part that `--split` names.
    pub(super) fn part(self, split: &str) -> Result<Vec<Raw>> {
        let found = match split {
            "" | "all" => Some(self.train),
            "train" => Some(self.train),
            "dev" => self.dev,
            "test" => self.test,
            _ => return Err(Error::Usage(format!("--split {split}: give train, dev or test"))),
        };
        found.ok_or_else(|| Error::Data { path: self.path, reason: format!("it has no part `{split}`") })
    }

    /// The table's rows again, for what reads whole tables.
    fn as_table(&self, rows: &[Raw]) -> Table {
        let header = self.table.as_ref().and_then(|(header, _)| header.clone());
        let rows = rows.iter().filter_map(|raw| match &raw.input {
            RawInput::Row(cells) => Some(crate::data::table::Row { line: raw.line(), cells: cells.clone() }),
            RawInput::Picture(_) => None,
        });
        Table { path: self.path.clone(), header, rows: rows.collect() }
    }
}

/// The column of the label: the one asked for, or one that is called so, or, without a header, the last.
///
/// # Errors
/// If there is none of that name.
pub(super) fn label_column(table: &Table, settings: &Settings) -> Result<usize> {
    if !settings.label_column.is_empty() {
        return table.column(&settings.label_column);
    }
    let named = |name: &str| ["label", "class", "target", "y"].contains(&name.trim().to_lowercase().as_str());
    if let Some(header) = &table.header {
        let found: Vec<usize> = (0..header.len()).filter(|&i| named(&header[i])).collect();
        return match found[..] {
            [column] => Ok(column),
            _ => {
                let reason = format!("which column is the label? Give --label-column; there are {}", header.join(", "));
                Err(Error::Data { path: table.path.clone(), reason })
            }
        };
    }
    let reason = format!("which column is the label? Give --label-column, a number from 1 to {}", table.width());
    Err(Error::Data { path: table.path.clone(), reason })
}

impl Raw {
    /// The picture, if it is one.
    pub(super) fn picture(&self) -> Option<&[u8]> {
        match &self.input {
            RawInput::Picture(pixels) => Some(pixels),
            RawInput::Row(_) => None,
        }
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn place(&self) -> (Arc<Path>, At) {
        (self.file.clone(), self.at)
    }

    /// The line of a row.
    fn line(&self) -> usize {
        if let At::Line(line) = self.at { line } else { 0 }
    }

    pub(super) fn new(picture: Vec<u8>, label: String, file: Arc<Path>, at: At) -> Raw {
        Raw { input: RawInput::Picture(picture), label, file, at }
    }
}

/// What examples are compared with.
#[derive(Clone, Debug)]
enum Answers {
    Classes(Vec<[u32; 1]>),
    /// In deviations from the mean.
    Values(Vec<[f32; 1]>),
}

/// Inputs ready for a network.
#[derive(Clone, Debug)]
pub struct Inputs {
    reader: Reader,
    pictures: Vec<Vec<u8>>,
    rows: Vec<f32>,
    answers: Answers,
    vary: Vary,
}

impl Examples<Fixed> for Inputs {
    fn len(&self) -> usize {
        match &self.answers {
            Answers::Classes(classes) => classes.len(),
            Answers::Values(values) => values.len(),
        }
    }

    fn steps(&self, _: usize) -> usize {
        1
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        match &self.answers {
            Answers::Classes(classes) => Truth::Classes(&classes[example]),
            Answers::Values(values) => Truth::Values(&values[example]),
        }
    }

    fn batch(&self, examples: &[usize], mut vary: Option<&mut Rng>, old: Option<FixedBatch<f32>>) -> FixedBatch<f32> {
        let mut inputs = old.map_or_else(Vec::new, |batch| batch.inputs);
        inputs.clear();
        match &self.reader {
            Reader::Pixels(pixels) => {
                inputs.resize(examples.len() * pixels.len(), 0.0);
                for (&i, out) in examples.iter().zip(inputs.chunks_exact_mut(pixels.len())) {
                    let variation = vary.as_deref_mut().filter(|_| !self.vary.is_nothing());
                    let mut variation = variation.map(|rng| (self.vary.draw(rng), rng));
                    let variation = variation.as_mut().map(|(variation, rng)| (&*variation, &mut **rng));
                    pixels.numbers(&self.pictures[i], variation, out);
                }
            }
            Reader::Features(features) => {
                let width = features.width();
                examples.iter().for_each(|&i| inputs.extend_from_slice(&self.rows[i * width..(i + 1) * width]));
                if let Some(rng) = vary.filter(|_| self.vary.noise > 0.0) {
                    inputs.iter_mut().for_each(|x| *x += (self.vary.noise * rng.normal()) as f32);
                }
            }
        }
        let targets = match &self.answers {
            Answers::Classes(classes) => Targets::Classes(examples.iter().map(|&i| classes[i][0]).collect()),
            Answers::Values(values) => Targets::Values(examples.iter().map(|&i| values[i][0]).collect()),
        };
        FixedBatch { inputs, targets }
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        match &self.reader {
            Reader::Pixels(_) => hasher.write(&self.pictures[example]),
            Reader::Features(features) => {
                let row = &self.rows[example * features.width()..][..features.width()];
                row.iter().for_each(|value| hasher.write(&value.to_le_bytes()));
            }
        }
    }
}

/// What is predicted; it is saved with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// One of these.
    Classes(Labels),
    /// A number, `output * deviation + mean`.
    Value {
        /// Mean in training.
        mean: f64,
        /// Deviation in training.
        deviation: f64,
    },
}

impl Goal {
    fn outputs(&self) -> usize {
        match self {
            Goal::Classes(labels) => labels.len(),
            Goal::Value { .. } => 1,
        }
    }

    fn judge(&self, temperature: f64) -> Judge {
        match self {
            Goal::Classes(labels) => Judge::Classes { classes: labels.len(), temperature },
            Goal::Value { deviation, .. } => Judge::Values { deviation: vec![*deviation] },
        }
    }

    fn answers(&self, rows: &[Raw]) -> Result<Answers> {
        Ok(match self {
            Goal::Classes(labels) => {
                let class = |row: &Raw| labels.index(&row.label, &row.file, row.at).map(|class| [class]);
                Answers::Classes(rows.iter().map(class).collect::<Result<_>>()?)
            }
            Goal::Value { mean, deviation } => {
                let value = |row: &Raw| number(row).map(|x| [((x - mean) / deviation) as f32]);
                Answers::Values(rows.iter().map(value).collect::<Result<_>>()?)
            }
        })
    }
}

fn number(row: &Raw) -> Result<f64> {
    row.label.parse::<f64>().ok().filter(|x| x.is_finite()).ok_or_else(|| {
        let reason = format!("{}`{}` is no number to predict; for names use --task classify", row.at, row.label);
        Error::Data { path: row.file.to_path_buf(), reason }
    })
}

impl Inputs {
    fn new(rows: &[Raw], reader: &Reader, goal: &Goal, vary: Vary) -> Result<Inputs> {
        let answers = goal.answers(rows)?;
        let mut inputs = Inputs { reader: reader.clone(), pictures: Vec::new(), rows: Vec::new(), answers, vary };
        for row in rows {
            match (&row.input, reader) {
                (RawInput::Picture(picture), Reader::Pixels(pixels)) if picture.len() == pixels.len() => {
                    inputs.pictures.push(picture.clone());
                }
                (RawInput::Row(cells), Reader::Features(features)) => {
                    features.row(cells, row.line(), &row.file, &mut inputs.rows)?;
                }
                _ => {
                    let reason = match reader {
                        Reader::Pixels(p) => format!("the model reads pictures {} wide and {} high", p.width, p.height),
                        Reader::Features(_) => "the model reads rows of a table".into(),
                    };
                    return Err(Error::Data { path: row.file.to_path_buf(), reason: format!("{}{reason}", row.at) });
                }
            }
        }
        Ok(inputs)
    }
}

/// A run before its first update.
pub struct Plan {
    settings: Settings,
    network: Fixed,
    reader: Reader,
    goal: Goal,
    label_column: Value,
    train: Inputs,
    val: Inputs,
    judge: Judge,
}

impl Plan {
    /// Reads the examples and lays the network out.
    ///
    /// # Errors
    /// What the readers meet; a network that cannot be.
    pub fn new(mut settings: Settings) -> Result<Plan> {
        let is_regression = settings.task == REGRESS;
        let mut data = if settings.file.is_empty() {
            builtin_data(&settings)
        } else {
            Dataset::read(Path::new(&settings.file), &settings)?
        };
        let path = data.path.clone();
        let rows = std::mem::take(&mut data.train);
        let (train, val) = if !settings.val.is_empty() {
            let val_path = PathBuf::from(&settings.val);
            (rows, Dataset::read(&val_path, &settings)?.train)
        } else if let Some(dev) = data.dev.take().filter(|_| settings.folds == 0) {
            (rows, dev)
        } else {
            held_out(rows, &settings.hold_out(), &path)?
        };
        let goal = if is_regression {
            let values: Vec<f64> = train.iter().map(number).collect::<Result<_>>()?;
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
            Goal::Value { mean, deviation: if variance > 0.0 { variance.sqrt() } else { 1.0 } }
        } else {
            Goal::Classes(Labels::of(train.iter().map(|row| row.label.as_str()), &path)?)
        };
        let (reader, input) = match data.size {
            Some([height, width, channels]) => {
                let pixels = Pixels::fit(height, width, channels, false, train.iter().filter_map(Raw::picture));
                (Reader::Pixels(pixels), [height, width, channels])
            }
            None => {
                let label = data.table.as_ref().map_or(0, |(_, label)| *label);
                let features = Features::fit(&data.as_table(&train), &[label])?;
                let width = features.width();
                (Reader::Features(features), [1, 1, width])
            }
        };
        let is_picture = data.size.is_some();
        if settings.convs.0.is_empty() && settings.dense.0.is_empty() {
            if is_picture {
                // Each halves the picture.
                let small = input[0].min(input[1]);
                settings.convs = Sizes(CONVS.iter().take_while(|_| small >= 8).copied().collect());
            }
            let dense = if is_picture { &DENSE_OF_PICTURES[..] } else { &DENSE_OF_ROWS };
            settings.dense = Sizes(dense.to_vec());
        }
        let vary = vary(&settings, is_picture);
        let train = Inputs::new(&train, &reader, &goal, vary)?;
        let val = Inputs::new(&val, &reader, &goal, Vary::default())?;
        let class_weights = match (settings.class_weights, &goal, &train.answers) {
            (ClassWeights::Balanced, Goal::Classes(labels), Answers::Classes(classes)) => {
                labels.balanced(classes.iter().map(|class| class[0]))
            }
            _ => Vec::new(),
        };
        let network = Fixed::new(FixedConfig {
            front: FrontConfig {
                input,
                convs: settings.convs.0.clone(),
                dense: settings.dense.0.clone(),
                dropout: settings.dropout,
            },
            outputs: goal.outputs(),
            loss: Loss { smoothing: settings.label_smoothing, class_weights },
        })?;
        let label_column = match &data.table {
            Some((Some(header), label)) => json!(header[*label]),
            Some((None, label)) => json!((label + 1).to_string()),
            None => Value::Null,
        };
        let judge = goal.judge(1.0);
        Ok(Plan { settings, network, reader, goal, label_column, train, val, judge })
    }
}

/// The variation that the settings ask for; rows of a table have noise only.
fn vary(settings: &Settings, is_picture: bool) -> Vary {
    let s = settings;
    if !is_picture {
        return Vary { noise: s.noise, ..Vary::default() };
    }
    Vary { shift: s.shift, mirror: s.mirror, distort: s.distort, gain: s.gain, noise: s.noise }
}

fn builtin_data(settings: &Settings) -> Dataset {
    let path = PathBuf::from("the built-in examples");
    let file: Arc<Path> = path.as_path().into();
    let digits = builtin::digits(settings.seed);
    if settings.task == REGRESS {
        // How many pixels of a digit are dark: a number that is known exactly.
        let raw = digits.into_iter().enumerate().map(|(i, (pixels, _))| {
            let dark = pixels.iter().filter(|&&pixel| pixel > 127).count();
            Raw::new(pixels, dark.to_string(), file.clone(), At::Item(i + 1))
        });
        let size = Some([builtin::DIGIT, builtin::DIGIT, 1]);
        return Dataset { train: raw.collect(), dev: None, test: None, size, table: None, path };
    }
    let raw = digits.into_iter().enumerate();
    let raw = raw.map(|(i, (pixels, digit))| Raw::new(pixels, digit.to_string(), file.clone(), At::Item(i + 1)));
    let size = Some([builtin::DIGIT, builtin::DIGIT, 1]);
    Dataset { train: raw.collect(), dev: None, test: None, size, table: None, path }
}

impl super::Plan for Plan {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn facts(&self) -> Facts {
        let s = &self.settings;
        let weights = self.network.layout().len();
        let input: usize = self.network.config().front.input_len();
        let goal = match &self.goal {
            Goal::Classes(labels) => format!("{} classes", labels.len()),
            Goal::Value { mean, deviation } => format!("a number around {mean:.4} with deviation {deviation:.4}"),
        };
        let what = if let Reader::Pixels(_) = self.reader { "pictures" } else { "rows" };
        let sizes = s.convs.0.iter().map(|c| format!("conv {c}")).chain(s.dense.0.iter().map(|d| format!("dense {d}")));
        Facts {
            network: sizes.collect::<Vec<_>>().join(", "),
            parameters: weights,
            data: format!(
                "{} {what} to learn from, {} held out; {goal}",
                grouped(self.train.len()),
                grouped(self.val.len())
            ),
            targets: self.train.len(),
            unit: "example",
            notes: Vec::new(),
            memory: memory(weights, s.batch, s.batch * input * 24) + self.train.len() * input,
            json: json!({"train": self.train.len(), "held_out": self.val.len(), "inputs": input}),
            command: "elman predict",
        }
    }

    fn survey(&self) -> Option<Survey> {
        let names = match &self.goal {
            Goal::Classes(labels) => labels.names(),
            _ => &[],
        };
        Some(supervised::survey::<Fixed, _>(&self.train, &self.val, names))
    }

    fn session<'a>(&'a self, folder: Option<RunFolder>, resume: bool) -> Result<Box<dyn Session + 'a>> {
        let s = &self.settings;
        let config = json!({
            "task": s.task, "shape": "fixed", "reader": self.reader, "goal": self.goal,
            "label_column": self.label_column, "header": s.header,
        });
        let network = |network: &Fixed| json!(network.config());
        let task = Supervised::new(&self.train, &self.val, &self.judge, s, |_| (), config, network)?;
        let params = self.network.init(&mut Rng::new(s.seed, "weights"));
        let threads = super::language_model::threads(s.threads);
        let mut trainer = Trainer::new(&self.network, task, s.train_config(), params, threads, folder)?;
        if resume {
            trainer.resume()?;
        }
        Ok(Box::new(trainer))
    }
}

/// A trained classifier, or regression, of pictures or rows.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: Fixed,
    /// Its weights.
    pub params: Params<f32>,
    /// How its inputs are read.
    pub reader: Reader,
    /// What it predicts.
    pub goal: Goal,
    /// What its logits are divided by.
    pub temperature: f64,
    /// The column of the label, where it was trained on a table.
    pub label_column: Option<String>,
}

impl Model {
    /// Reads a model or a checkpoint.
    ///
    /// # Errors
    /// [`Error::Model`] if the file holds another kind of model, or one that contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Model> {
        let wrong = |reason: String| Error::Model { path: loaded.path.clone(), reason };
        let config: FixedConfig = plan::part(loaded, "network")?;
        let (reader, goal): (Reader, Goal) = (plan::part(loaded, "reader")?, plan::part(loaded, "goal")?);
        let inputs = match &reader {
            Reader::Pixels(pixels) => pixels.len(),
            Reader::Features(features) => features.width(),
        };
        if config.front.input_len() != inputs || config.outputs != goal.outputs() {
            return Err(wrong("its reader or its labels do not fit its network".into()));
        }
        let network = Fixed::new(config).map_err(|error| wrong(error.to_string()))?;
        let params = plan::params(loaded, network.layout())?;
        let temperature: f64 = plan::part(loaded, "temperature")?;
        let label_column = plan::part(loaded, "label_column")?;
        Ok(Model { network, params, reader, goal, temperature, label_column })
    }

    /// Reads examples to be measured on: `split` of a data set with parts, all of a table.
    ///
    /// # Errors
    /// What the readers meet.
    pub fn read(&self, path: &Path, settings: &Settings, split: &str) -> Result<Inputs> {
        let mut settings = settings.clone();
        if let (true, Some(column)) = (settings.label_column.is_empty(), &self.label_column) {
            settings.label_column.clone_from(column);
        }
        let data = Dataset::read(path, &settings)?;
        // A data set that brings its own test is measured on it.
        let split = if split.is_empty() && data.test.is_some() { "test" } else { split };
        let reader = match &self.reader {
            Reader::Features(features) => Reader::Features(features.bind(&data.as_table(&data.train))?),
            reader => reader.clone(),
        };
        Inputs::new(&data.part(split)?, &reader, &self.goal, Vary::default())
    }

    /// How its answers are judged.
    pub fn judge(&self) -> Judge {
        self.goal.judge(self.temperature)
    }
}

/// An answer for one input.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The probability of each class.
    Classes(Vec<f64>),
    /// A number.
    Value(f64),
}

impl Model {
    /// Answers about pictures, read from their files.
    ///
    /// # Errors
    /// A file that is no picture, or of another size; a model that reads tables.
    #[cfg(feature = "media")]
    pub fn predict_pictures(&self, paths: &[PathBuf]) -> Result<Vec<Answer>> {
        let Reader::Pixels(pixels) = &self.reader else {
            return Err(Error::Usage("the model reads rows of a table, not pictures".into()));
        };
        let mut inputs = vec![0.0; paths.len() * pixels.len()];
        for (path, out) in paths.iter().zip(inputs.chunks_exact_mut(pixels.len())) {
            let picture = crate::data::images::read(path, pixels.channels == 1)?;
            if (picture.height, picture.width) != (pixels.height, pixels.width) {
                let reason = format!(
                    "it is {} x {}, but the model reads pictures {} wide and {} high",
                    picture.width, picture.height, pixels.width, pixels.height
                );
                return Err(Error::Data { path: path.clone(), reason });
            }
            pixels.numbers(&picture.pixels, None, out);
        }
        Ok(self.answer(&inputs))
    }

    /// Answers about the rows of a table, with or without the column of the label.
    ///
    /// # Errors
    /// Rows that the model cannot read; a model that reads pictures.
    pub fn predict_table(&self, table: &Table) -> Result<Vec<Answer>> {
        let Reader::Features(features) = &self.reader else {
            return Err(Error::Usage("the model reads pictures, not rows of a table".into()));
        };
        let features = features.bind(table)?;
        let mut inputs = Vec::new();
        for row in &table.rows {
            features.row(&row.cells, row.line, &table.path, &mut inputs)?;
        }
        Ok(self.answer(&inputs))
    }

    fn answer(&self, inputs: &[f32]) -> Vec<Answer> {
        use crate::shape::{FixedPrepared, FixedTape};
        let (mut prepared, mut tape) = (FixedPrepared::default(), FixedTape::default());
        self.network.prepare(&self.params, &mut prepared);
        self.network.forward(&self.params, &prepared, inputs, &mut tape, None);
        let one = |outputs: &[f32]| match &self.goal {
            Goal::Classes(_) => {
                let mut p = Vec::new();
                super::judge::probabilities(outputs, self.temperature, &mut p);
                Answer::Classes(p)
            }
            Goal::Value { mean, deviation } => Answer::Value(f64::from(outputs[0]) * deviation + mean),
        };
        tape.outputs().chunks_exact(self.goal.outputs()).map(one).collect()
    }
}
