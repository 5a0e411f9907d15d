//! Tasks: each joins a reader, a shape and its measures, and stands in one row of [`TASKS`].

pub mod caption;
pub mod classify;
pub mod classify_frames;
pub mod classify_sequence;
pub mod classify_text;
mod frozen;
pub mod language_model;
mod memory;
mod metadata;
mod model;
mod plan;
mod pretrained;
mod row;
mod supervised;
pub mod translate;
mod writing;

use std::path::Path;

use crate::data::words::Level;
use crate::error::{Error, Result};
use crate::format::model::{self as model_file, Loaded};
use crate::settings::{Auto, ConfigFile, Data, KEYS, Key, Settings};
use crate::train::{RunFolder, Span, run_folder};

pub use crate::metric::{Evaluation, Measure, Mistake, Unit};
pub use language_model::PRESETS;
pub use metadata::of_model;
pub use model::{
    Bitmap, Evaluate, Found, Input, Model, Output, Predict, Prediction, Reads, Sample, Source, StepKind, Stream,
    Written, most_likely,
};
pub use plan::{Callback, DataStatistics, Plan, RunSummary, Start, TextStatistics, grouped};
pub use row::{COMMON, Size, Task};

/// The tasks.
pub const TASKS: [Task; 9] = [
    language_model::TASK,
    classify::CLASSIFY,
    classify::REGRESS,
    classify_text::TASK,
    classify_sequence::CLASSIFY,
    classify_sequence::REGRESS,
    classify_frames::TASK,
    translate::TASK,
    caption::TASK,
];

impl Task {
    /// The task of this name.
    ///
    /// # Errors
    /// [`Error::Setting`] that lists the tasks.
    pub fn find(name: &str) -> Result<&'static Task> {
        const ROWS: &[Task] = &TASKS;
        ROWS.iter().find(|task| task.name == name).ok_or_else(|| {
            let names: Vec<&str> = TASKS.iter().map(|task| task.name).collect();
            Error::setting("task", name, format!("must be one of {}", names.join(", ")))
        })
    }

    /// The tasks that read a setting.
    pub fn readers(key: &str) -> Vec<&'static str> {
        TASKS.iter().filter(|task| task.is_read(key)).map(|task| task.name).collect()
    }

    /// Refuses a setting that the task does not read.
    ///
    /// # Errors
    /// [`Error::Unread`] that says who reads it.
    pub fn check_read(&self, key: &str, value: &str) -> Result<()> {
        self.check(key, value, |task| task.is_read(key))
    }

    /// Refuses options of an evaluation that the task does not read.
    ///
    /// # Errors
    /// [`Error::Unread`] that says who reads it.
    pub fn check_evaluate(&self, options: &Evaluate) -> Result<()> {
        options.given().iter().try_for_each(|(name, value)| self.check_evaluate_option(name, value))
    }

    /// Refuses an option of an evaluation that the task does not read.
    ///
    /// # Errors
    /// [`Error::Unread`] that says who reads it.
    pub fn check_evaluate_option(&self, name: &str, value: &str) -> Result<()> {
        self.check(name, value, |task| task.evaluate.contains(&name))
    }

    /// Refuses options of predictions that the task does not read; `more` are those of the front end.
    ///
    /// # Errors
    /// [`Error::Unread`] that says who reads it.
    pub fn check_predict(&self, options: &Predict, more: &[(&'static str, String)]) -> Result<()> {
        let check = |(name, value): &(&str, String)| self.check(name, value, |task| task.predict.contains(name));
        options.given().iter().chain(more).try_for_each(check)
    }

    /// Refuses what the task does not read, where `is_read` says which tasks read it.
    ///
    /// # Errors
    /// [`Error::Unread`] that says who reads it.
    pub fn check(&self, key: &str, value: &str, is_read: impl Fn(&Task) -> bool) -> Result<()> {
        if is_read(self) {
            return Ok(());
        }
        let readers = TASKS.iter().filter(|task| is_read(task)).map(|task| task.name).collect();
        Err(Error::Unread { key: key.into(), value: value.into(), readers, task: self.name.into() })
    }
}

impl Settings {
    /// The default settings of a task on the user's data.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no task of this name.
    ///
    /// ```
    /// use elman::settings::Settings;
    ///
    /// let mut settings = Settings::for_task("classify")?;
    /// settings.file = "iris.csv".into();
    /// settings.label_column = "species".into();
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn for_task(task: &str) -> Result<Settings> {
        Ok((Task::find(task)?.defaults)(Data::Given))
    }

    /// The default settings of a task on the data that the program contains or generates for it.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no task of this name.
    pub fn for_builtin_data(task: &str) -> Result<Settings> {
        Ok((Task::find(task)?.defaults)(Data::Builtin))
    }

    /// The settings of a preset.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none of that name.
    pub fn preset(name: &str) -> Result<Settings> {
        language_model::preset(name)
    }

    /// Reads a `config.toml`: its task's defaults with what it changes in them. `path` is what messages name.
    ///
    /// # Errors
    /// [`Error::Data`] with the line of an unknown key or a value of the wrong kind.
    pub fn from_toml(text: &str, path: &Path) -> Result<Settings> {
        let file = ConfigFile::parse(text, path)?;
        let task = Task::find(file.task().unwrap_or(language_model::TASK.name))?;
        let is_given = task.data.iter().any(|key| file.get(key).is_some_and(|value| !value.is_empty()));
        file.apply((task.defaults)(if is_given { Data::Given } else { Data::Builtin }))
    }

    /// The settings of a run that is to go on, from its `config.toml`: what its task does not read is passed over, and a run
    /// of version 0.1 keeps to the rules of its time. `path` is what messages name.
    ///
    /// # Errors
    /// As [`Settings::from_toml`].
    pub fn of_run(text: &str, path: &Path) -> Result<Settings> {
        let is_old = !ConfigFile::parse(text, path)?.sets("rules");
        let settings = Settings::from_toml(text, path)?.without_unread()?;
        if !is_old {
            return Ok(settings);
        }
        let mut settings = settings;
        let task = Task::find(&settings.task)?;
        let was = [
            ("rules", "1"),
            ("keep", "best"),
            ("refit", "no"),
            ("window", "1"),
            ("stride", "1"),
            ("standardize", "all"),
        ];
        if task.name == language_model::TASK.name {
            settings.level = Level::Char;
            // All characters were tokens.
            settings.vocab_size = 1 << 20;
        }
        for (key, value) in was.into_iter().filter(|(key, _)| task.is_read(key)) {
            settings.set(key, value)?;
        }
        if settings.seq_len.is_auto() {
            // Whole sequences, however long.
            settings.seq_len = 1 << 20;
        }
        Ok(settings)
    }

    /// The settings of the run in a folder; the model that it began from is the copy in the folder.
    ///
    /// # Errors
    /// If it holds no run; as [`Settings::of_run`].
    pub fn of_folder(folder: &Path) -> Result<Settings> {
        let text = run_folder::config(folder)?;
        let mut settings = Settings::of_run(&text, &folder.join(run_folder::CONFIG))?;
        let copy = folder.join(run_folder::FROM);
        if !settings.from.is_empty() && copy.is_file() {
            settings.from = copy.display().to_string();
        }
        Ok(settings)
    }

    /// The settings that may be changed when a run goes on.
    pub const CHANGEABLE: &[&str] = &[
        "epochs", "max_steps", "max_time", "patience", "threads", "log_every", "val_every", "checkpoint_every",
        "sample_every",
    ];

    /// Changes settings of a run that goes on. A new length, of `epochs`, `max_steps` or `max_time`, takes the place of the
    /// one it had.
    ///
    /// # Errors
    /// [`Error::Usage`] for a setting that is not one of [`Self::CHANGEABLE`]; as [`Settings::set`].
    pub fn change(&mut self, changes: &[(&str, &str)]) -> Result<()> {
        const LENGTH: [&str; 3] = ["epochs", "max_steps", "max_time"];
        if let Some((key, _)) = changes.iter().find(|(key, _)| !Self::CHANGEABLE.contains(key)) {
            let those = Self::CHANGEABLE.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            return Err(Error::Usage(format!(
                "`{key}` cannot be changed in a run that goes on; only {those} can. A new run begins from its weights by \
                 `from`"
            )));
        }
        if changes.iter().any(|(key, _)| LENGTH.contains(key)) {
            (self.epochs, self.max_steps, self.max_time) = (0.0, 0, Span::ZERO);
        }
        changes.iter().try_for_each(|(key, text)| self.set(key, text))?;
        let is_endless = self.epochs == 0.0 && self.max_steps == 0 && self.max_time == Span::ZERO;
        if self.epochs.is_auto() || is_endless {
            return Err(Error::setting(
                "epochs",
                self.get("epochs"),
                "must be a number: a run that goes on has an end",
            ));
        }
        Ok(())
    }

    /// The settings that their task reads, as a commented `config.toml`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such task.
    pub fn to_toml(&self) -> Result<String> {
        let task = Task::find(&self.task)?;
        Ok(self.to_toml_of(|key| task.is_read(key)))
    }

    /// Checks every value, and that the task reads every setting that is not at its default.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::Unread`] with the setting.
    pub fn resolve(self) -> Result<Settings> {
        let task = Task::find(&self.task)?;
        let defaults = (task.defaults)(task.data_of(&self));
        if let Some((key, value)) = self.unread(&defaults, |key| task.is_read(key)) {
            task.check_read(key, &value)?;
        }
        let ruled = (task.defaults)(Data::Given);
        let no_rule = |key: &&Key| key.may_be_auto && self.get(key.name) == "auto" && ruled.get(key.name) != "auto";
        if let Some(key) = KEYS.iter().find(no_rule) {
            let want = format!("must be a number: the task {} has no rule for it", task.name);
            return Err(Error::setting(key.name, "auto", want));
        }
        self.resolve_values()
    }

    /// Puts settings that their task does not read back to their defaults: files of version 0.1 hold those of all tasks.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no such task.
    pub fn without_unread(self) -> Result<Settings> {
        let task = Task::find(&self.task)?;
        let defaults = (task.defaults)(task.data_of(&self));
        let mut settings = self;
        for key in KEYS.iter().filter(|key: &&Key| !task.is_read(key.name)) {
            settings.set(key.name, &defaults.get(key.name))?;
        }
        Ok(settings)
    }
}

/// Reads the data that settings name and lays the network out.
///
/// # Errors
/// As [`Settings::resolve`]; any reader error.
pub fn plan(settings: Settings) -> Result<Box<dyn Plan>> {
    plan_with(settings, &mut |_, _| true)
}

/// As [`plan`]; `callback` hears of preparations that take long, such as features of images, and may end them.
///
/// # Errors
/// As [`plan`]; [`Error::Stopped`] if `callback` ended it. What was made is kept for the next time.
pub fn plan_with(settings: Settings, callback: &mut Callback) -> Result<Box<dyn Plan>> {
    let settings = settings.resolve()?.fitted_to_model()?;
    let task = Task::find(&settings.task)?;
    if settings.file.contains('\n') && task.name != language_model::TASK.name {
        let files = settings.file.replace('\n', ", ");
        let want = format!("is several files, which `task = {}` alone reads, as one text", language_model::TASK.name);
        return Err(Error::setting("file", files, want));
    }
    let plan = (task.plan)(settings, callback)?;
    memory::check(&*plan, task)?;
    Ok(plan)
}

/// Opens a trained model, or a checkpoint, of any task: a file, or the folder of a run for its best model.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Model`] if it is damaged or not a model of a task.
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn Model>> {
    open_loaded(&model_file::load(path.as_ref())?)
}

/// As [`open`], of a file that has been read.
///
/// # Errors
/// [`Error::Model`] if it is not a model of a task.
pub fn open_loaded(loaded: &Loaded) -> Result<Box<dyn Model>> {
    (of_model(loaded)?.open)(loaded)
}

/// A model that was trained, and how.
#[derive(Debug)]
pub struct Trained {
    /// The best model by validation.
    pub model: Box<dyn Model>,
    /// The metrics of the run.
    pub records: Vec<crate::train::Record>,
}

/// Trains a model as the settings say, to the end of the run; `folder` is made for the run, with its settings, metrics,
/// samples and models.
///
/// # Errors
/// As [`plan`]; errors of the disk; [`Error::Diverged`].
///
/// ```
/// use elman::settings::Settings;
///
/// let folder = tempfile::tempdir().unwrap();
/// let mut settings = Settings::for_builtin_data("classify-sequence")?;
/// settings.max_steps = 20;
/// let run = elman::train(settings, folder.path().join("run"))?;
/// assert!(run.records.iter().any(|record| record.val("val_accuracy").is_some()));
/// # Ok::<(), elman::Error>(())
/// ```
pub fn train(settings: Settings, folder: impl AsRef<Path>) -> Result<Trained> {
    let plan = plan(settings)?;
    let run = RunFolder::create(folder.as_ref(), &plan.settings().to_toml()?)?;
    keep_from(&run, plan.settings())?;
    let mut session = plan.session(Start::new(run))?;
    session.run(&std::sync::atomic::AtomicBool::new(false), &mut |_| {})?;
    let records = session.records().to_vec();
    drop(session);
    Ok(Trained { model: open(folder)?, records })
}

/// Keeps the model that a new run begins from in the folder of the run.
///
/// # Errors
/// Errors of the disk.
pub fn keep_from(run: &RunFolder, settings: &Settings) -> Result<()> {
    match settings.from.as_str() {
        "" => Ok(()),
        from => run.keep_from(&model_file::load(Path::new(from))?.path),
    }
}

/// Writes into a run's folder the settings that it goes on with, but for the threads of this machine.
///
/// # Errors
/// Errors of the disk.
pub fn save_changes(folder: &Path, settings: &Settings) -> Result<()> {
    let was = Settings::of_run(&run_folder::config(folder)?, &folder.join(run_folder::CONFIG))?;
    let now = Settings { from: was.from.clone(), threads: was.threads, ..settings.clone() };
    if now == was { Ok(()) } else { run_folder::save_config(folder, &now.to_toml()?) }
}

/// Goes on with the run in a folder, to the end that it has with these `changes`: settings of [`Settings::CHANGEABLE`] and
/// their values as text. A length counts from the beginning of the run.
///
/// # Errors
/// As [`plan`] and [`Settings::change`]; a run whose length is over already; errors of the disk; [`Error::Diverged`].
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let mut settings = elman::Settings::for_builtin_data("classify-sequence")?;
/// # settings.max_steps = 10;
/// # let folder = folder.path().join("run");
/// elman::train(settings, &folder)?;
/// let run = elman::resume(&folder, &[("max_steps", "20")])?;
/// assert_eq!(run.records.last().unwrap().step, 20);
/// # Ok::<(), elman::Error>(())
/// ```
pub fn resume(folder: impl AsRef<Path>, changes: &[(&str, &str)]) -> Result<Trained> {
    let folder = folder.as_ref();
    let mut settings = Settings::of_folder(folder)?;
    settings.change(changes)?;
    let run = RunFolder::open(folder)?;
    let plan = plan(settings.clone())?;
    let mut session = plan.session(Start::resumed(run))?;
    save_changes(folder, &settings)?;
    session.run(&std::sync::atomic::AtomicBool::new(false), &mut |_| {})?;
    let records = session.records().to_vec();
    drop(session);
    Ok(Trained { model: open(folder)?, records })
}
