//! An image or a row of a table to a class, or to a number. Readers: idx files, folders of images, tables; shape: fixed;
//! measures: accuracy, or the squared error.

mod examples;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::examples::FixedExamples;
use super::model::{Input, Predict, Reads, wrong_input};
use super::plan::Callback;
use super::plan::{Plan, RunSummary, grouped};
use super::pretrained::Pretrained;
use super::row::{Task, planned, size_or, supervised};
use super::supervised::{
    Examples, Goal, Learned, Length, Named, Parts, Reading, SupervisedModel, SupervisedPlan, Survey, augmentation,
    divided, survey,
};
use crate::data::dataset::{Dataset, Raw};
use crate::data::features::Features;
use crate::data::inputs::{self, Reader, Values, builtin_data};
use crate::data::table::{Row, Table};
use crate::data::{Labels, Pixels};
use crate::error::Result;
use crate::file::{HAS_FILES, fault, listed};
use crate::format::model::Loaded;
use crate::layer::{FrontConfig, Loss};
use crate::settings::{Auto, Settings, Sizes};
use crate::shape::{Fixed, FixedConfig};

/// Images or rows to classes.
pub const CLASSIFY: Task = Task {
    name: "classify",
    about: "an image or a row of a table to a class",
    command: "predict",
    reads: &[
        "file", "convs", "dense", "label_smoothing", "class_weights", "val", "label_column", "header", "encoding",
        "skip_bad", "image_size", "shift", "mirror", "distort", "gain", "noise", "calibrate", "folds", "fold", "refit",
        "ignore", "use_columns",
    ],
    sizes: &[size_or("convs", "/network/front/convs", ""), size_or("dense", "/network/front/dense", "")],
    data: &["file"],
    eval_data: &["file"],
    evaluate: &["split", "mistakes", "curves"],
    predict: &[],
    defaults: |_| defaults("classify"),
    plan: planned(plan),
    open,
};

/// Images or rows to a number.
pub const REGRESS: Task = Task {
    name: "regress",
    about: "an image or a row of a table to a number",
    reads: &[
        "file", "convs", "dense", "val", "label_column", "header", "encoding", "skip_bad", "image_size", "shift",
        "mirror", "distort", "gain", "noise", "folds", "fold", "refit", "ignore", "use_columns", "huber",
    ],
    evaluate: &["split"],
    defaults: |_| defaults("regress"),
    ..CLASSIFY
};

/// Settings that only images have a use for.
const OF_IMAGES: [&str; 5] = ["image_size", "shift", "mirror", "distort", "gain"];

/// Layers where the settings name none.
const CONVS: [usize; 3] = [32, 64, 128];
const DENSE_OF_IMAGES: [usize; 1] = [256];

/// The length of runs.
const LENGTH_OF_IMAGES: Length = Length { batch: [8, 64], share: 8, updates: (1, [600, 600]), epochs: 12.0 };
const LENGTH_OF_ROWS: Length = Length { batch: [8, 64], share: 8, updates: (1, [600, 1500]), epochs: 12.0 };

/// The length of a run on rows of whose targets simple rules explain a share. What they do not explain may be noise, which a long
/// training learns by heart, numbers sooner than classes; what they explain a network goes on to learn better: from three
/// quarters on with twice the updates, numbers with four times.
fn length_of_rows(explained: f64, is_regression: bool) -> Length {
    let certain = ((explained - 0.55) / 0.2).clamp(0.0, 1.0);
    let times = |most: u64, updates: u64| updates + ((most - 1) as f64 * certain * updates as f64) as u64;
    if is_regression {
        return Length { updates: (1, [times(4, 600); 2]), ..LENGTH_OF_ROWS };
    }
    let (each, [least, most]) = LENGTH_OF_ROWS.updates;
    Length { updates: (times(2, each), [least, times(2, most)]), ..LENGTH_OF_ROWS }
}

fn defaults(task: &str) -> Settings {
    Settings {
        dropout: f64::AUTO,
        noise: f64::AUTO,
        lr: 0.003,
        warmup: 100,
        shift: 2,
        distort: 10.0,
        huber: if task == REGRESS.name { f64::AUTO } else { 0.0 },
        ..supervised(task)
    }
}

fn open(loaded: &Loaded) -> Result<Box<dyn super::Model>> {
    let is_regression = loaded.document.config()["task"] == REGRESS.name;
    let task = if is_regression { REGRESS.name } else { CLASSIFY.name };
    Ok(Box::new(SupervisedModel::<Fixed, FixedReading>::open(loaded, task)?))
}

impl Settings {
    /// Settles from where on errors count linearly, where that is left to the data, whose targets lie up to `heaviest` deviations
    /// from their mean; says so where they do.
    pub(super) fn settle_huber(&mut self, heaviest: f64) -> Option<String> {
        /// Deviations that a target of ten thousand is away by chance; and from where on errors then count linearly.
        const HEAVY: f64 = 6.0;
        const LIMIT: f64 = 3.0;
        let s = self;
        if !s.huber.is_auto() {
            return None;
        }
        s.huber = if heaviest > HEAVY { LIMIT } else { 0.0 };
        (s.huber > 0.0).then(|| {
            format!(
                "a target lies {heaviest:.0} deviations from the mean: errors beyond {LIMIT} deviations count linearly \
                 (`huber`)"
            )
        })
    }

    /// Settles layers, dropout and noise where they are left to the data: `examples` training examples of `inputs` numbers, or
    /// images. There is no more noise than simple rules bear.
    fn settle_layers(&mut self, examples: usize, inputs: Option<usize>, is_regression: bool, survey: Option<Survey>) {
        let s = self;
        /// Columns of many: pixels, spectra, counts of words.
        const WIDE: usize = 32;
        /// Rows of many, which a network does not learn by heart.
        const MANY: usize = 5_000;
        /// Rows of few; simple rules that explain less of them leave most to chance.
        const FEW: usize = 300;
        const UNCERTAIN: f64 = 0.75;
        let few = examples < MANY;
        let (dense, dropout, noise): (&[usize], _, _) = match inputs {
            None => (&DENSE_OF_IMAGES, 0.3, 0.0),
            Some(_) if is_regression && few => (&[64], 0.3, 0.2),
            Some(_) if is_regression => (&[128, 64], 0.1, 0.0),
            Some(WIDE..) => (&[256, 128], 0.3, if few { 0.3 } else { 0.0 }),
            Some(_) => (&[128, 64], 0.3, if few { 0.2 } else { 0.0 }),
        };
        if s.convs.0.is_empty() && s.dense.0.is_empty() {
            s.dense = Sizes(dense.to_vec());
        }
        let noise = survey.map_or(noise, |survey| survey.bears.min(noise));
        let is_uncertain = survey.is_some_and(|survey| survey.explained < UNCERTAIN);
        let dropout = if examples < FEW && is_uncertain { 0.5 } else { dropout };
        (s.dropout, s.noise) = (s.dropout.or(dropout), s.noise.or(noise));
    }
}

/// Reads the examples and decides on the network.
fn plan(mut settings: Settings, _: &mut Callback) -> Result<Box<dyn Plan>> {
    let is_regression = settings.task == REGRESS.name;
    let mut data = match settings.file.as_str() {
        "" => builtin_data(settings.seed, is_regression),
        file => Dataset::read(Path::new(file), &settings.label_column, settings.form(), settings.scaled_size())?,
    };
    if is_regression {
        data.leave_out_missing_numbers(settings.skip_bad)?;
    }
    if !is_regression {
        let names = data.train.iter().map(Raw::label);
        Labels::check_are_classes(names, &data.path, REGRESS.name)?;
    }
    let is_image = data.size.is_some();
    if !is_image {
        CLASSIFY.check_default(&settings, &OF_IMAGES, "is only read for images, and these are rows of a table")?;
    } else {
        CLASSIFY.check_default(
            &settings,
            &["ignore", "use_columns"],
            "is only read for tables, and these are images",
        )?;
    }
    let path = data.path.clone();
    let rows = std::mem::take(&mut data.train);
    let own = data.dev.take().filter(|_| settings.val.is_empty() && settings.folds == 0);
    let size = data.size.map(|[height, width, _]| [height, width]);
    let read = |path: &Path| -> Result<Vec<Raw>> {
        let mut data = Dataset::read(path, &settings.label_column, settings.form(), size)?;
        if is_regression {
            data.leave_out_missing_numbers(settings.skip_bad)?;
        }
        Ok(data.train)
    };
    let (train, val) = match own {
        Some(dev) => (rows, dev),
        None => {
            let class: fn(&Raw) -> &str = if is_regression { |_| "" } else { Raw::label };
            divided(&settings, rows, &path, class, read).map(|(train, val, _)| (train, val))?
        }
    };
    let mut notes = std::mem::take(&mut data.notes);
    let from = Pretrained::open(&settings)?;
    let old = from.as_ref().map(Pretrained::reading::<FixedReading>).transpose()?;
    let names = || train.iter().map(Raw::label);
    let goal = match old.as_ref().map(|old| &old.goal) {
        Some(Learned::Classes(labels)) => Learned::Classes(labels.extended(names())),
        // Its weights predict numbers of this scale.
        Some(goal) => goal.clone(),
        None if is_regression => Learned::value_of(train.iter().map(Raw::labelled))?,
        None => Learned::Classes(Labels::of(names(), &path)?),
    };
    let (reader, input) = match (old.as_ref().map(|old| &old.reader), data.size) {
        (Some(reader), _) => {
            let label = data.table.as_ref().map(|(_, label)| *label);
            let (reader, unused) = trained_reader(reader, &data.as_table(&train), label, is_image, &settings)?;
            notes.extend(unused);
            let input = match &reader {
                Reader::Pixels(pixels) => [pixels.height, pixels.width, pixels.channels],
                Reader::Features(features) => [1, 1, features.width()],
            };
            (reader, input)
        }
        (None, Some([height, width, channels])) => {
            let pixels = Pixels::fit(height, width, channels, false, train.iter().filter_map(Raw::image));
            (Reader::Pixels(pixels), [height, width, channels])
        }
        (None, None) => {
            let label = data.table.as_ref().map_or(0, |(_, label)| *label);
            let groups = [(0..train.len()).collect()];
            let (features, left_out) = Features::choose(&data.as_table(&train), &groups, &[label], &settings.choice())?;
            notes.extend(left_out);
            let width = features.width();
            (Reader::Features(features), [1, 1, width])
        }
    };
    if is_image && settings.convs.0.is_empty() && settings.dense.0.is_empty() {
        // Each halves the image.
        let small = input[0].min(input[1]);
        settings.dense = Sizes(DENSE_OF_IMAGES.to_vec());
        settings.convs = Sizes(CONVS.iter().take_while(|_| small >= 8).copied().collect());
    }
    let train = FixedExamples::new(&train, &reader, &goal)?;
    let val = FixedExamples::new(&val, &reader, &goal)?.with_rows(val);
    let survey = if is_image { None } else { survey::<Fixed, _>(&train, goal.as_goal()) };
    if let Some(Survey { explained, bears }) = survey
        && (settings.epochs.is_auto() || settings.noise.is_auto())
    {
        let percent = 100.0 * explained;
        notes.push(format!(
            "simple rules explain {percent:.0} % of what is predicted, and bear noise of {bears} on the inputs"
        ));
    }
    settings.settle_layers(train.len(), (!is_image).then_some(input[2]), is_regression, survey);
    let train = train.varied(augmentation(&settings, is_image));
    let length = match is_image {
        true => LENGTH_OF_IMAGES,
        false => length_of_rows(survey.map_or(0.0, |survey| survey.explained), is_regression),
    };
    notes.extend(settings.settle_length(train.len(), length));
    if is_regression {
        notes.extend(train.heaviest().and_then(|heaviest| settings.settle_huber(heaviest)));
    }
    // Numbers of few columns are often nearly a linear map of them, beyond what was seen too, where normalised layers are bounded.
    let skip = match &from {
        Some(from) => from.config()["network"]["skip"] == true,
        // A run of version 0.1 goes on without.
        None => is_regression && !is_image && settings.rules > 1,
    };
    let s = &settings;
    let class_weights = match &goal {
        Learned::Classes(labels) => s.weights_of_classes(labels, train.classes()),
        Learned::Value { .. } => Vec::new(),
    };
    let sizes = FixedConfig {
        front: FrontConfig { input, convs: s.convs.0.clone(), dense: s.dense.0.clone(), dropout: s.dropout },
        outputs: goal.as_goal().outputs(),
        loss: Loss { smoothing: s.label_smoothing, class_weights },
        huber: (s.huber > 0.0).then_some(s.huber),
        skip,
    };
    let name = |(header, label): &(Option<Vec<String>>, usize)| match header {
        Some(header) => header[*label].clone(),
        None => (label + 1).to_string(),
    };
    let label_column = data.table.as_ref().map(name);
    let inputs: usize = input.iter().product();
    let layers = s.convs.0.iter().map(|c| format!("conv {c}")).chain(s.dense.0.iter().map(|d| format!("dense {d}")));
    let beside = if skip { " beside a linear map of the inputs" } else { "" };
    let what = if is_image { "images" } else { "rows" };
    let of_goal = match &goal {
        Learned::Classes(labels) => format!("{} classes", labels.len()),
        Learned::Value { mean, std } => format!("a number with mean {mean:.4} and standard deviation {std:.4}"),
    };
    let summary = RunSummary {
        network: layers.collect::<Vec<_>>().join(", ") + beside,
        data: format!("{} training {what}, {} validation {what}; {of_goal}", grouped(train.len()), grouped(val.len())),
        targets: train.len(),
        unit: "example",
        memory: train.len() * inputs,
        notes,
        json: json!({"inputs": inputs}),
        ..RunSummary::default()
    };
    let reading = FixedReading { reader, goal, label_column, header: s.header.clone() };
    let activations = s.batch.min(train.len()) * inputs * 24;
    Ok(Box::new(SupervisedPlan::<Fixed, _>::new(Parts { reading, sizes, train, val, summary, activations, settings })?))
}

/// The reader of the model that a run begins from, on other data of the same kind, and a word on columns that it does not read.
fn trained_reader(
    reader: &Reader,
    table: &Table,
    label: Option<usize>,
    is_image: bool,
    settings: &Settings,
) -> Result<(Reader, Option<String>)> {
    let unread = ["ignore", "use_columns"];
    CLASSIFY.check_default(settings, &unread, "is not read with `from`: the columns are those of the model")?;
    match reader {
        Reader::Features(features) if !is_image => {
            let (features, unused) = features.bind_noting(table, label.as_slice())?;
            Ok((Reader::Features(features), unused))
        }
        Reader::Pixels(_) if is_image => Ok((reader.clone(), None)),
        Reader::Features(_) => Err(fault(&table.path, "it holds images, and the model reads rows of a table")),
        Reader::Pixels(_) => Err(fault(&table.path, "it is a table, and the model reads images")),
    }
}

/// How images or rows are read, and what is predicted.
#[derive(Debug, Serialize, Deserialize)]
struct FixedReading {
    reader: Reader,
    goal: Learned,
    /// The column of the label, of a table.
    label_column: Option<String>,
    #[serde(default)]
    header: String,
}

impl FixedReading {
    /// The label of a model that reads columns by their names is found by its name too: called 3, it is not the third column.
    fn check_label(&self, data: &Dataset) -> Result<()> {
        let (Reader::Features(features), Some(trained), Some((Some(header), label))) =
            (&self.reader, &self.label_column, &data.table)
        else {
            return Ok(());
        };
        if trained.is_empty() || !features.are_by_name() || header[*label].to_lowercase() == trained.to_lowercase() {
            return Ok(());
        }
        let reason = format!("has no column {trained:?}, the label in training. Its columns: {}", listed(header));
        Err(fault(&data.path, reason))
    }
}

impl Reading<Fixed> for FixedReading {
    type Examples = FixedExamples;

    const SHAPE: &'static str = "fixed";

    fn check(&self, sizes: &FixedConfig) -> std::result::Result<(), &'static str> {
        let fits = sizes.front.input_len() == self.reader.width() && sizes.outputs == self.goal().outputs();
        if fits { Ok(()) } else { Err("its reader or what it predicts does not fit its network") }
    }

    fn goal(&self) -> Goal<'_> {
        self.goal.as_goal()
    }

    fn describe(&self, _: &FixedConfig) -> Vec<(&'static str, String)> {
        match &self.reader {
            Reader::Pixels(pixels) => vec![("reads", pixels.describe("an image"))],
            Reader::Features(features) => features.describe("a row of a table"),
        }
    }

    fn reads(&self) -> Reads {
        if let Reader::Pixels(_) = self.reader { Reads::Files } else { Reads::Rows }
    }

    fn labelled(&self, data: &Settings, split: &str) -> Result<Named<FixedExamples>> {
        let trained = self.label_column.as_deref().unwrap_or_default();
        let label = if data.label_column.is_empty() { trained } else { &data.label_column };
        let size = if let Reader::Pixels(pixels) = &self.reader { Some([pixels.height, pixels.width]) } else { None };
        let is_regression = matches!(self.goal, Learned::Value { .. });
        let mut read = match data.file.as_str() {
            "" => builtin_data(data.seed, is_regression),
            file => Dataset::read(Path::new(file), label, data.form(), size)?,
        };
        if data.label_column.is_empty() {
            self.check_label(&read)?;
        }
        if is_regression {
            read.leave_out_missing_numbers(data.skip_bad)?;
        }
        // A data set that brings its own test is evaluated on it.
        let split = if split.is_empty() && read.test.is_some() { "test" } else { split };
        let reader = match &self.reader {
            Reader::Features(features) => Reader::Features(features.bind(&read.as_table(&read.train))?),
            reader => reader.clone(),
        };
        let rows = read.part(split)?;
        let names = rows.iter().enumerate().map(|(i, row)| row.name(i)).collect();
        Ok(Named::new(FixedExamples::new(&rows, &reader, &self.goal)?.with_rows(rows), names))
    }

    fn unlabelled(&self, input: Input, _: &Predict) -> Result<Named<FixedExamples>> {
        let mut warnings = Vec::new();
        let (examples, names) = match (&self.reader, input) {
            (Reader::Pixels(pixels), Input::File(path)) if HAS_FILES => {
                let values = vec![Values::Pixels(inputs::image(path, pixels)?)];
                (FixedExamples::of(self.reader.clone(), values), vec![path.display().to_string()])
            }
            (Reader::Pixels(pixels), Input::Image(image)) => {
                let values = vec![Values::Pixels(inputs::bitmap(
                    [image.height, image.width, image.channels],
                    image.pixels,
                    pixels,
                )?)];
                (FixedExamples::of(self.reader.clone(), values), vec!["the image".into()])
            }
            (Reader::Features(features), Input::Table(table)) => {
                let features = features.bind(table)?;
                let read = |row: Row<'_>| {
                    let mut numbers = Vec::with_capacity(features.width());
                    features.row(row, &table.path, &mut numbers)?;
                    Ok(Values::Numbers(numbers))
                };
                let values = table.rows.iter().map(read).collect::<Result<_>>()?;
                warnings = table.rows.iter().map(|row| features.surprises(row)).collect();
                let names = table.rows.iter().map(|row| format!("line {}", row.line())).collect();
                (FixedExamples::of(Reader::Features(features), values), names)
            }
            (Reader::Pixels(_), _) => return Err(wrong_input("files of images")),
            (Reader::Features(_), _) => return Err(wrong_input("rows of a table")),
        };
        Ok(Named { warnings, ..Named::new(examples, names) })
    }
}
