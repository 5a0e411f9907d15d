//! The settings of a run: the library's list as flags, as environment variables and as `-s KEY=VALUE`, and its help as the
//! task in hand reads it.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use elman::cell::CellKind;
use elman::format::model;
use elman::settings::{ConfigFile, Data, KEYS, Key, Settings};
use elman::task::{TASKS, Task, language_model};
use elman::{Error, Result};

/// Begins the names of environment variables.
const PREFIX: &str = "ELMAN_";
/// Where the test-suite finds the real data sets.
const DATA: &str = "ELMAN_DATA";
/// An option of every command.
const MAX_INPUT: &str = "ELMAN_MAX_INPUT";
/// The settings that are paths. They are made whole, so that a run can be resumed from any folder.
const PATHS: [&str; 12] = [
    "from", "file", "val", "embeddings", "features", "captions", "images", "encoder", "source", "target", "val_source",
    "val_target",
];

/// What was given on the command line.
#[derive(Debug, Default)]
pub(crate) struct SettingArgs {
    /// Key and text of each flag.
    flags: Vec<(&'static Key, String)>,
    /// `KEY=VALUE` of each `-s`.
    set: Vec<String>,
}

/// A setting that was given.
struct Given {
    key: &'static Key,
    text: String,
    /// The environment variable it comes from.
    variable: Option<String>,
}

impl Given {
    /// An error of this setting, by the name it was given under.
    fn refused(&self, error: Error) -> Error {
        match (error, self.variable.clone()) {
            (Error::Setting { value, requirement, .. }, Some(key)) => Error::Setting { key, value, requirement },
            (Error::Unread { value, readers, task, .. }, Some(key)) => Error::Unread { key, value, readers, task },
            (error, _) => error,
        }
    }
}

impl SettingArgs {
    /// The settings of a new run. A preset or a config file comes first, then the environment, then flags, then `-s`: each
    /// changes what stands before it. What the task does not read is refused.
    ///
    /// # Errors
    /// [`Error::Unread`], [`Error::Setting`], [`Error::UnknownSetting`]; a config file that cannot be used.
    pub(crate) fn settings(&self, files: &[PathBuf], preset: Option<&str>) -> Result<Settings> {
        let given = self.given()?;
        let is_config = |file: &&PathBuf| file.extension().is_some_and(|e| e == "toml");
        let (configs, files): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(is_config);
        if let Some(address) = files.iter().find(|file| file.to_string_lossy().contains("://")) {
            let message = format!("{}: is an address, and files are read; download it first", address.display());
            return Err(Error::Usage(message));
        }
        let config = match configs[..] {
            [] => None,
            [path] => Some(ConfigFile::read(path)?),
            [first, second, ..] => {
                let (first, second) = (first.display(), second.display());
                return Err(Error::Usage(format!("{first} and {second} are config files; name one of them")));
            }
        };
        if config.is_some() && preset.is_some() {
            return Err(Error::Usage("a config file and --preset were given; name one of them".into()));
        }
        let of_config = |key: &str| config.as_ref().and_then(|config| config.get(key)).filter(|text| !text.is_empty());
        let last = |key: &str| given.iter().rfind(|given| given.key.name == key).map(|given| given.text.as_str());
        let from = last("from").or(of_config("from")).filter(|path| !path.is_empty());
        let named = last("task").or(of_config("task"));
        let task = match (named, from) {
            (Some(name), _) => Task::find(name)?,
            (None, Some(from)) => elman::task::of_model(&model::load(Path::new(from))?)?,
            (None, None) => &language_model::TASK,
        };

        if let Some(val) = last("val").or(of_config("val"))
            && task.is_read("val")
            && val.trim_end_matches('%').parse::<f64>().is_ok()
            && !Path::new(val).exists()
        {
            let want = "names a file, and there is none of this name; `val_frac` is the share that is held out";
            return Err(Error::setting("val", val, want));
        }
        let is_given = |key: &str| {
            let is_file = key == "file" && !files.is_empty();
            is_file || last(key).or(of_config(key)).is_some_and(|text| !text.is_empty())
        };
        let data = if task.data.iter().any(|key| is_given(key)) { Data::Given } else { Data::Builtin };
        let mut settings = match preset {
            Some(preset) => self::preset(task, preset)?,
            None => (task.defaults)(data),
        };
        if let Some(from) = from {
            settings = settings.with_model(from)?;
        }
        if let Some(config) = &config {
            settings = config.apply(settings)?;
        }
        if !files.is_empty() {
            let names = files.iter().map(|file| text_of((*file).clone())).collect::<Result<Vec<_>>>()?;
            task.check_read("file", &names.join(", "))?;
            settings.file = names.join("\n");
        }
        for given in &given {
            let set = task.check_read(given.key.name, &given.text).map_err(|error| match error {
                Error::Unread { key, value, readers, task } if named.or(from).is_none() => {
                    Error::Unread { key, value, readers, task: format!("{task}, since none is named (`task`)") }
                }
                error => error,
            });
            set.and_then(|()| settings.set(given.key.name, &given.text)).map_err(|error| given.refused(error))?;
        }
        for key in PATHS {
            let whole = |path: &str| {
                let path = PathBuf::from(path);
                let is_stdin = path.as_os_str() == "-";
                let is_whole = is_stdin || path.is_absolute() || path.as_os_str().is_empty();
                text_of(if is_whole { path } else { std::path::absolute(&path).unwrap_or(path) })
            };
            let given = settings.get(key);
            let paths = given.split('\n').map(whole).collect::<Result<Vec<_>>>()?.join("\n");
            if paths != given {
                settings.set(key, &paths)?;
            }
        }
        Ok(settings)
    }

    /// The settings of a run to go on with.
    ///
    /// # Errors
    /// If the folder holds no run, or a setting was given that a run keeps to its end.
    pub(crate) fn resumed(&self, folder: &Path) -> Result<Settings> {
        let mut settings = Settings::of_folder(folder)?;
        let given = self.given()?;
        if let Some(given) = given.iter().find(|given| !Settings::CHANGEABLE.contains(&given.key.name)) {
            let name = given.variable.clone().unwrap_or_else(|| given.key.flag());
            let those: Vec<String> =
                Settings::CHANGEABLE.iter().filter_map(|key| Some(Key::find(key)?.flag())).collect();
            return Err(Error::Usage(format!(
                "{name} cannot be changed by --resume, only {} can; `elman train DATA --from {}` begins a new run from its \
                 weights",
                those.join(", "),
                folder.display()
            )));
        }
        let changes: Vec<(&str, &str)> = given.iter().map(|given| (given.key.name, given.text.as_str())).collect();
        settings.change(&changes)?;
        Ok(settings)
    }

    /// All that was given, in the order in which it counts.
    fn given(&self) -> Result<Vec<Given>> {
        let mut given = environment();
        given.extend(self.flags.iter().map(|(key, text)| Given { key, text: text.clone(), variable: None }));
        for pair in &self.set {
            let Some((name, text)) = pair.split_once('=') else {
                return Err(Error::Usage(format!("-s {pair}: write KEY=VALUE, such as -s lr=0.002")));
            };
            given.push(Given { key: Key::named(name.trim())?, text: text.trim().into(), variable: None });
        }
        Ok(given)
    }
}

/// The settings of a preset; only language models have some.
///
/// # Errors
/// [`Error::Unread`] for another task; [`Error::Setting`] if there is none of that name.
pub(crate) fn preset(task: &Task, name: &str) -> Result<Settings> {
    task.check("preset", name, |task| task.name == language_model::TASK.name)?;
    Settings::preset(name)
}

/// The settings in the environment. A name that is not a setting is told, and passed over.
fn environment() -> Vec<Given> {
    let mut variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with(PREFIX) && name != DATA && name != MAX_INPUT)
        .collect();
    variables.sort();
    let mut given = Vec::new();
    for (variable, text) in variables {
        match Key::named(&variable[PREFIX.len()..].to_lowercase()) {
            Ok(key) => given.push(Given { key, text, variable: Some(variable) }),
            Err(Error::UnknownSetting { nearest: Some(name), .. }) => {
                eprintln!("elman: {variable} is not a setting; did you mean {PREFIX}{}?", name.to_uppercase());
            }
            Err(_) => eprintln!("elman: {variable} is not a setting; `elman init` lists them all"),
        }
    }
    given
}

/// A path as a setting.
fn text_of(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|path| {
        let path = path.display();
        Error::Usage(format!("{path}: a path that is not in UTF-8 cannot be written into config.toml"))
    })
}

/// The keys that are flags; `file` is an argument.
fn flags() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.name != "file")
}

fn help(key: &Key) -> String {
    let help = key.help.trim();
    if key.name != "cell" {
        return help.into();
    }
    let cells = CellKind::ALL.map(CellKind::name).join(", ");
    format!("{}: {cells}.", help.split([':', '.']).next().unwrap_or(help))
}

/// The command line with the help of the task that `words` or the environment ask for: it lists what that task reads, with
/// the defaults of that task. What it does not read is hidden, and still understood, to be refused with the reason.
pub(crate) fn described(command: Command, words: &[String]) -> Command {
    let asked = asked_task(words).and_then(|name| Task::find(&name).ok());
    let task = asked.copied().unwrap_or(language_model::TASK);
    let defaults = (task.defaults)(Data::Given);
    let listed = |command: Command| {
        let command = flags().fold(command, |command, key| {
            let default = defaults.get(key.name);
            let default = if default.is_empty() { "none".into() } else { default };
            command.mut_arg(key.name, |arg| match task.is_read(key.name) {
                true => arg.help(format!("{} [default: {default}]", help(key))),
                false => arg.hide(true),
            })
        });
        let command = command.mut_arg("preset", |arg| arg.hide(task.name != language_model::TASK.name));
        command.after_help(about(asked, &task))
    };
    command.mut_subcommand("train", listed).mut_subcommand("check-data", listed)
}

/// What stands below the settings.
fn about(asked: Option<&Task>, task: &Task) -> String {
    if asked.is_some() {
        return format!(
            "These are the settings that the task {} reads ({}), with its defaults.",
            task.name, task.about
        );
    }
    let head = format!(
        "These are the settings of the task {}. `elman train --task TASK --help` lists those of another task:",
        task.name
    );
    TASKS.iter().fold(head, |text, task| format!("{text}\n  {:<18}{}", task.name, task.about))
}

/// The task that the words of a command line or the environment ask for.
fn asked_task(words: &[String]) -> Option<String> {
    let of = |i: usize| -> Option<&str> {
        let next = words.get(i + 1).map(String::as_str);
        match words[i].as_str() {
            "--task" => next,
            "-s" | "--set" => next?.strip_prefix("task="),
            word => ["--task=", "--set=task=", "-stask="].iter().find_map(|start| word.strip_prefix(start)),
        }
    };
    let of_words = (0..words.len()).filter_map(of).next_back().map(String::from);
    of_words.or_else(|| std::env::var(format!("{PREFIX}TASK")).ok())
}

impl Args for SettingArgs {
    fn augment_args(command: Command) -> Command {
        let defaults = (language_model::TASK.defaults)(Data::Given);
        let set = Arg::new("set").short('s').long("set").value_name("KEY=VALUE").action(ArgAction::Append);
        let set = set.help("Set any setting by its key, such as -s lr=0.002; may be repeated");
        flags().fold(command.arg(set), |command, key| {
            let is_switch = matches!(defaults.get(key.name).as_str(), "true" | "false");
            let arg = Arg::new(key.name)
                .long(key.name.replace('_', "-"))
                .help_heading(key.group)
                .value_name(if is_switch { "BOOL" } else { "VALUE" })
                .allow_negative_numbers(true)
                .help(help(key));
            let arg = if key.old_name.is_empty() { arg } else { arg.alias(key.old_name.replace('_', "-")) };
            command.arg(if is_switch {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let given = flags().filter_map(|key| Some((key, matches.get_one::<String>(key.name)?.clone())));
        let set = matches.get_many::<String>("set").unwrap_or_default().cloned().collect();
        Ok(SettingArgs { flags: given.collect(), set })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
