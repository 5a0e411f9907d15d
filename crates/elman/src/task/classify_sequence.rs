//! A series of measurements to a label: a movement, a beat, a fault; or to a number. Readers: tables with a row per step or a
//! row per series, images read row by row; shape: sequence input; measures: accuracy, or the squared error.

mod examples;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::examples::{Series, placed};
use super::model::{Input, Predict, Reads, wrong_input};
use super::plan::Callback;
use super::plan::{Plan, RunSummary, grouped};
use super::pretrained::Pretrained;
use super::row::{Task, planned, size, size_or, supervised};
use super::supervised::{
    Examples, FEW, Goal, Learned, Length, Named, Parts, Reading, SupervisedModel, SupervisedPlan, augmentation, divided,
};
use crate::cell::CellKind;
use crate::data::columns::Columns;
use crate::data::features::rounded;
use crate::data::inputs::Values;
use crate::data::sequences::{PUT_TOGETHER, Scale, SequenceTable, stand_together};
use crate::data::series::{Data as Read, Labelled, Reader, Source};
use crate::data::windows::{self, Windows};
use crate::data::{Labels, Vary, builtin, stratified_split};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::settings::{Auto, Keep, Settings, Standardize};
use crate::shape::{InputKind, SequenceInput, SequenceInputConfig, Targets};

/// Series to labels.
pub const CLASSIFY: Task = Task {
    name: "classify-sequence",
    about: "a series of measurements to a label: a movement, a beat, a fault",
    command: "predict",
    reads: &[
        "file", "cell", "forget_bias", "layers", "hidden", "bidirectional", "pooling", "weight_drop",
        "label_smoothing", "class_weights", "init", "val", "label_column", "sequence_column", "header", "encoding",
        "skip_bad", "image_size", "rows", "shift", "mirror", "distort", "gain", "noise", "calibrate", "folds", "fold",
        "refit", "ignore", "use_columns", "window", "stride", "standardize",
    ],
    sizes: &[
        size("cell", "/network/cell"),
        size("layers", "/network/layers"),
        size("hidden", "/network/hidden"),
        size("bidirectional", "/network/bidirectional"),
        size("pooling", "/network/pooling"),
        size_or("window", "/windows/length", "1"),
        size_or("stride", "/windows/stride", "1"),
        size_or("rows", "/reader/picture-rows", "false"),
    ],
    data: &["file"],
    eval_data: &["file"],
    evaluate: &["split", "mistakes", "curves"],
    predict: &["label_column", "sequence_column"],
    defaults: |_| defaults(CLASSIFY.name),
    plan: planned(plan),
    open,
};

/// Series to numbers.
pub const REGRESS: Task = Task {
    name: "regress-sequence",
    about: "a series of measurements to a number: a remaining life, a dose, a load",
    reads: &[
        "file", "cell", "forget_bias", "layers", "hidden", "bidirectional", "pooling", "weight_drop", "init", "val",
        "label_column", "sequence_column", "header", "encoding", "skip_bad", "image_size", "rows", "shift", "mirror",
        "distort", "gain", "noise", "folds", "fold", "refit", "ignore", "use_columns", "window", "stride",
        "standardize", "huber",
    ],
    evaluate: &["split"],
    defaults: |_| defaults(REGRESS.name),
    ..CLASSIFY
};

fn open(loaded: &Loaded) -> Result<Box<dyn super::Model>> {
    let is_regression = loaded.document.config()["task"] == REGRESS.name;
    let task = if is_regression { REGRESS.name } else { CLASSIFY.name };
    Ok(Box::new(SupervisedModel::<SequenceInput, SeriesReading>::open(loaded, task)?))
}

/// The length of runs.
const LENGTH_OF_IMAGES: Length = Length { batch: [8, 64], share: 8, updates: (5, [600, 600]), epochs: 12.0 };
const LENGTH_OF_SERIES: Length = Length { batch: [16, 64], share: 32, updates: (5, [400, 1000]), epochs: 12.0 };

fn defaults(task: &str) -> Settings {
    let is_regression = task == REGRESS.name;
    Settings {
        cell: CellKind::Gru,
        layers: usize::AUTO,
        hidden: usize::AUTO,
        bidirectional: true,
        dropout: f64::AUTO,
        noise: f64::AUTO,
        window: usize::AUTO,
        stride: usize::AUTO,
        standardize: Standardize::Auto,
        label_smoothing: if is_regression { 0.0 } else { 0.1 },
        huber: if is_regression { f64::AUTO } else { 0.0 },
        val_frac: if is_regression { f64::AUTO } else { 0.1 },
        lr: 0.003,
        shift: 2,
        distort: 8.0,
        ..supervised(task)
    }
}

impl Settings {
    /// Settles what is held out, where that is left to the data. Numbers to predict are noisy, as a rule, and a long training
    /// learns the noise of few by heart: its length is chosen by what is held out, which therefore is more.
    fn settle_hold_out(&mut self, examples: usize) {
        let is_few = examples < FEW;
        if self.task == REGRESS.name && self.keep == Keep::Auto && self.folds == 0 && is_few {
            self.keep = Keep::Best;
        }
        self.val_frac = self.val_frac.or(if is_few { 0.25 } else { 0.1 });
    }

    /// Settles sizes and regularization of the network where they are left to the data, series of so many steps on average.
    fn settle_series_network(&mut self, examples: usize, steps: usize, is_image: bool) {
        let s = self;
        // In few steps each says much; noise is enough.
        let is_short = windows::fitting(steps) == [1, 1];
        let (layers, hidden) = if is_image || examples < 100 { (1, 128) } else { (2, 64) };
        let few = !is_image && examples < 500;
        let dropout = match few {
            true if is_short => 0.0,
            true => 0.5,
            false => 0.3,
        };
        (s.layers, s.hidden) = (s.layers.or(layers), s.hidden.or(hidden));
        (s.dropout, s.noise) = (s.dropout.or(dropout), s.noise.or(if few { 0.1 } else { 0.0 }));
    }

    /// How the steps of the training series are read, settled where it is left to the data; none where they are read as they
    /// are.
    fn windows(&mut self, reader: &Reader, train: &Series) -> Option<Windows> {
        let s = self;
        let channels = reader.width();
        let [length, stride] = windows::fitting(mean_steps(&train.series, channels));
        (s.window, s.stride) = (s.window.or(length), s.stride.or(stride.min(s.window.or(length))));
        if s.window == 1 && s.standardize == Standardize::All {
            return None;
        }
        let standardize = match s.standardize {
            // A number depends on the level of its series, rather.
            Standardize::Auto if s.task == REGRESS.name => Standardize::All,
            given => given,
        };
        let classes = train.classes();
        let series = train.series.iter().zip(&classes).map(|(values, label)| (values.numbers(), label[0]));
        let windows = Windows::fit([s.window, s.stride], channels, standardize, series);
        s.standardize = windows.standardize();
        (s.window > 1 || s.standardize != Standardize::All).then_some(windows)
    }
}

impl Settings {
    /// The windows of the model that a run begins from, which settle how series are standardised.
    fn windows_of(&mut self, windows: Option<&Windows>) -> Result<Option<Windows>> {
        let own = windows.map_or(Standardize::All, Windows::standardize);
        if self.standardize != Standardize::Auto && self.standardize != own {
            let why = "is not how the model of `from` reads its series; leave it out";
            return Err(Error::setting("standardize", self.get("standardize"), why));
        }
        self.standardize = own;
        Ok(windows.cloned())
    }
}

/// Steps of a series on average, of so many channels each.
fn mean_steps<'a>(series: impl IntoIterator<Item = &'a Values>, channels: usize) -> usize {
    let (all, steps) = series.into_iter().fold((0, 0), |(all, steps), one| (all + 1, steps + one.len() / channels));
    steps / all.max(1)
}

/// Reads the series and decides on the network.
fn plan(mut settings: Settings, _: &mut Callback) -> Result<Box<dyn Plan>> {
    let is_regression = settings.task == REGRESS.name;
    let s = &settings;
    let mut columns = Columns {
        label: s.label_column.clone(),
        sequence: Some(s.sequence_column.clone()),
        header: s.header.clone(),
        form: s.form(),
        text: None,
        label_separator: String::new(),
    };
    let (rows, size) = (s.rows, s.scaled_size());
    let read = |file: &str, columns: &Columns| Source::read(Path::new(file), columns, rows, size);
    let source = if s.file.is_empty() {
        Source::Rows(builtin::series(s.seed, is_regression)?)
    } else {
        read(&s.file, &columns)?
    };
    columns.label = source.label_column(&columns)?;
    let is_image = matches!(source, Source::Images(_));
    if is_image {
        CLASSIFY.check_default(s, &["sequence_column"], "is only read for tables, and these are images")?;
    } else {
        let of_images = ["rows", "image_size", "shift", "mirror", "distort", "gain"];
        CLASSIFY.check_default(s, &of_images, "is only read for images, and this is a table")?;
    }
    if !matches!(source, Source::Steps(_)) {
        CLASSIFY.check_default(s, &["ignore", "use_columns"], "is only read for tables with a row per step")?;
    }
    // What is held out is known before the reader is fitted: it sees the training series alone.
    let all = source.labels(&columns)?;
    let is_together = stand_together(all.iter().map(|(_, rows)| rows));
    settings.settle_hold_out(all.len());
    let s = &settings;
    if !is_regression {
        Labels::check_are_classes(all.iter().map(|(label, _)| label.as_str()), source.path(), REGRESS.name)?;
    }
    let class: fn(&(String, Vec<usize>)) -> &str = if is_regression { |_| "" } else { |(label, _)| label };
    let train = match s.rules {
        _ if is_image || !s.val.is_empty() => all,
        1 => all,
        _ => stratified_split(all, class, &s.hold_out(), source.path())?.0,
    };
    let train: Vec<Vec<usize>> = train.into_iter().map(|(_, rows)| rows).collect();
    let mut notes = source.notes().to_vec();
    notes.extend((!is_together).then(|| PUT_TOGETHER.to_string()));
    let old = Pretrained::open(s)?.map(|from| from.reading::<SeriesReading>()).transpose()?;
    let (reader, left_out) = match &old {
        Some(old) => {
            let unread = ["ignore", "use_columns"];
            CLASSIFY.check_default(s, &unread, "is not read with `from`: the columns are those of the model")?;
            (old.reader.clone(), None)
        }
        None => source.reader(&columns, &train, &s.choice())?,
    };
    notes.extend(left_out);
    let (train, val, path) = if s.val.is_empty() && s.folds == 0 && source.has_dev() {
        let again = read(&s.file, &columns)?.data(&reader, &columns, "dev")?;
        let Read { series, path } = source.data(&reader, &columns, "train")?;
        (series, again.series, path)
    } else {
        let Read { series, path } = source.data(&reader, &columns, "")?;
        let read = |_: &Path| Ok(read(&s.val, &columns)?.data(&reader, &columns, "")?.series);
        let class: fn(&Labelled) -> &str = if is_regression { |_| "" } else { |series| &series.1 };
        let (train, val, _) = divided(&settings, series, &path, class, read)?;
        (train, val, path)
    };
    let length = if is_image { LENGTH_OF_IMAGES } else { LENGTH_OF_SERIES };
    let length = settings.settle_length(train.len(), length);
    let steps = mean_steps(train.iter().map(|(values, ..)| values), reader.width());
    settings.settle_series_network(train.len(), steps, is_image);
    let names = || train.iter().map(|(_, label, _)| label.as_str());
    let goal = match old.as_ref().map(SeriesReading::learned) {
        Some(Learned::Classes(labels)) => Learned::Classes(labels.extended(names())),
        // Its weights predict numbers of this scale.
        Some(goal) => goal,
        None if is_regression => Learned::value_of(train.iter().map(placed))?,
        None => Learned::Classes(Labels::of(names(), &path)?),
    };
    let mut train = Series::new(train, &reader, &goal, augmentation(&settings, is_image))?;
    let mut val = Series::new(val, &reader, &goal, Vary::default())?;
    notes.extend(train.targets.heaviest().and_then(|heaviest| settings.settle_huber(heaviest)));
    if !is_image {
        let windows = match &old {
            Some(old) => settings.windows_of(old.windows.as_ref())?,
            None => settings.windows(&reader, &train),
        };
        (train.windows, val.windows) = (windows.clone(), windows);
    }
    let s = &settings;
    let windows = train.windows.clone();
    let (labels, value) = match goal {
        Learned::Classes(labels) => (labels, None),
        Learned::Value { mean, std } => (Labels::default(), Some(Scale { mean, std })),
    };
    let sizes = SequenceInputConfig {
        classes: if is_regression { 1 } else { labels.len() },
        huber: (s.huber > 0.0).then_some(s.huber),
        ..s.sequence_input(InputKind::Dense(train.width()), 0, &labels, &train.classes())
    };
    let longest = (0..train.len()).map(|i| train.steps(i)).max().unwrap_or(0);
    let steps: usize = (0..train.len()).map(|i| train.steps(i)).sum();
    let summary = RunSummary {
        network: sizes.in_words(),
        data: format!(
            "{} training series, {} validation series, {} steps each on average of {} numbers; {}",
            grouped(train.len()),
            grouped(val.len()),
            steps / train.len().max(1),
            train.width(),
            match value {
                Some(Scale { mean, std }) => format!("a number with mean {mean:.4} and standard deviation {std:.4}"),
                None => format!("{} classes", labels.len()),
            },
        ),
        targets: train.len(),
        unit: "series",
        notes: notes.into_iter().chain(length).collect(),
        json: json!({"steps": steps, "numbers": train.width(), "classes": labels}),
        ..RunSummary::default()
    };
    let activations = s.batch.min(train.len()) * longest * s.recurrent_values();
    let reading = SeriesReading { reader, labels, value, columns, windows };
    let parts = Parts { reading, sizes, train, val, summary, activations, settings };
    Ok(Box::new(SupervisedPlan::<SequenceInput, _>::new(parts)?))
}

/// How series are read.
#[derive(Debug, Serialize, Deserialize)]
struct SeriesReading {
    reader: Reader,
    /// The classes; none of a regression.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
    /// The scale of the number that a regression predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Scale>,
    columns: Columns,
    /// How their steps are read, where not one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    windows: Option<Windows>,
}

impl SeriesReading {
    /// What labels stand for.
    fn learned(&self) -> Learned {
        match self.value {
            Some(Scale { mean, std }) => Learned::Value { mean, std },
            None => Learned::Classes(self.labels.clone()),
        }
    }

    /// `I`, the numbers of a step.
    fn width(&self) -> usize {
        self.windows.as_ref().map_or_else(|| self.reader.width(), Windows::width)
    }
}

impl Reading<SequenceInput> for SeriesReading {
    type Examples = Series;

    const SHAPE: &'static str = "sequence-input";

    fn check(&self, sizes: &SequenceInputConfig) -> std::result::Result<(), &'static str> {
        let fits = self.windows.as_ref().is_none_or(|windows| windows.fits(self.reader.width()))
            && (sizes.feed, sizes.classes) == (InputKind::Dense(self.width()), self.goal().outputs())
            && self.value.is_some() == self.labels.is_empty();
        if fits { Ok(()) } else { Err("its reader, its windows or its labels do not fit its network") }
    }

    fn goal(&self) -> Goal<'_> {
        match self.value {
            Some(Scale { mean, std }) => Goal::Value { mean, std },
            None => Goal::Classes(&self.labels),
        }
    }

    fn describe(&self, _: &SequenceInputConfig) -> Vec<(&'static str, String)> {
        let mut lines = match &self.reader {
            Reader::PictureRows(pixels) => vec![("reads", pixels.describe("a row of pixels at a step"))],
            Reader::Features(features) => features.describe("a row a step"),
            Reader::Series(Scale { mean, std }) => {
                vec![("reads", format!("a number a step: (value - {}) / {}", rounded(*mean), rounded(*std)))]
            }
        };
        lines.extend(self.windows.as_ref().map(|windows| ("steps", windows.describe())));
        lines
    }

    fn reads(&self) -> Reads {
        Reads::Rows
    }

    fn labelled(&self, data: &Settings, split: &str) -> Result<Named<Series>> {
        let columns = self.columns.complete(data);
        let is_image = matches!(self.reader, Reader::PictureRows(_));
        let size = match &self.reader {
            Reader::PictureRows(pixels) => Some([pixels.height, pixels.width]),
            _ => None,
        };
        let source = match data.file.as_str() {
            "" => Source::Rows(builtin::series(data.seed, self.value.is_some())?),
            file => Source::read(Path::new(file), &columns, is_image, size)?,
        };
        let has_test = matches!(&source, Source::Images(data) if data.test.is_some());
        let split = if split.is_empty() && has_test { "test" } else { split };
        let series = source.data(&self.reader, &columns, split)?.series;
        let names = (1..=series.len()).map(|i| format!("series {i}")).collect();
        let mut examples = Series::new(series, &self.reader, &self.learned(), Vary::default())?;
        examples.windows.clone_from(&self.windows);
        Ok(Named::new(examples, names))
    }

    fn unlabelled(&self, input: Input, options: &Predict) -> Result<Named<Series>> {
        let Input::Table(table) = input else { return Err(wrong_input("tables of series")) };
        let or_trained = |asked: &Option<String>, trained: &str| asked.clone().unwrap_or_else(|| trained.to_string());
        let read = match &self.reader {
            Reader::Features(features) => {
                let asked = options.sequence_column.as_deref();
                let column = table.series_column_or_one(asked, self.columns.sequence())?;
                SequenceTable::read(table, column, None, &features.bind(table)?)?
            }
            Reader::Series(scale) => {
                // The label's column may be there; it is not a value.
                let name = or_trained(&options.label_column, &self.columns.label);
                let named = if name.is_empty() { "label" } else { &name };
                let header = table.header.as_deref().unwrap_or_default();
                let label = match header.iter().position(|column| column == named) {
                    None if !name.is_empty() && header.is_empty() => table.column(&name).ok(),
                    found => found,
                };
                let exclude: Vec<usize> = label.into_iter().collect();
                SequenceTable::read_rows(table, None, &exclude, scale)?
            }
            Reader::PictureRows(_) => return Err(wrong_input("images, which `evaluate` can read from a folder")),
        };
        let names: Vec<String> = read.sequences.iter().map(|s| s.id.clone()).collect();
        let examples = Series {
            reader: self.reader.clone(),
            targets: Targets::Classes(vec![0; names.len()]),
            series: read.sequences.into_iter().map(|s| Values::Numbers(s.inputs)).collect(),
            vary: Vary::default(),
            windows: self.windows.clone(),
        };
        Ok(Named::new(examples, names))
    }
}
