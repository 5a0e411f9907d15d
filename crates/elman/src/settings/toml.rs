//! Settings as text: config files, single values, help.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::keys::{KEYS, Key, Settings};
use crate::error::{Error, Result};
use crate::file;

/// Names less alike than this are not suggested for one another.
const LIKENESS: f64 = 0.8;

/// What a config file sets, before it is known which defaults it changes.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
    /// Key, line and value.
    values: Vec<(&'static Key, usize, Value)>,
}

impl ConfigFile {
    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// If it cannot be read, or is not UTF-8; as [`ConfigFile::parse`].
    pub fn read(path: &Path) -> Result<ConfigFile> {
        Self::parse(file::utf8_after(0, &file::read(path)?, path)?, path)
    }

    /// The settings in a text; `path` is what messages name. Old names of settings are understood.
    ///
    /// # Errors
    /// [`Error::Data`] with the line and, for an unknown key, the nearest known one.
    pub fn parse(text: &str, path: &Path) -> Result<ConfigFile> {
        let data =
            |line: usize, reason: String| Error::Data { path: path.into(), reason: format!("line {line}: {reason}") };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            data(text[..at].matches('\n').count() + 1, error.message().into())
        })?;
        let mut values = Vec::with_capacity(table.len());
        for (name, value) in table {
            let is_here = |line: &str| {
                let rest = line.trim_start().trim_start_matches('"').strip_prefix(&name);
                rest.is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with('='))
            };
            let line = text.lines().position(is_here).map_or(1, |line| line + 1);
            let key = Key::find(&name).ok_or_else(|| data(line, unknown(&name).to_string()))?;
            let value = serde_json::to_value(value).map_err(|error| data(line, format!("{name}: {error}")))?;
            values.push((key, line, value));
        }
        Ok(ConfigFile { path: path.into(), values })
    }

    /// The task it names, if it does.
    pub fn task(&self) -> Option<&str> {
        self.get("task")
    }

    /// The text that it sets a key to, if it does.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(key, ..)| key.name == name).and_then(|(.., value)| value.as_str())
    }

    /// These settings with what the file changes in them.
    ///
    /// # Errors
    /// [`Error::Data`] with the line of a value of the wrong kind.
    pub fn apply(&self, settings: Settings) -> Result<Settings> {
        let mut settings = settings;
        for (key, line, value) in &self.values {
            settings = settings.with(key, value.clone()).map_err(|requirement| {
                let reason = format!("line {line}: {} = {value}: {requirement}", key.name);
                Error::Data { path: self.path.clone(), reason }
            })?;
        }
        Ok(settings)
    }

    /// Whether it sets a key.
    pub fn sets(&self, name: &str) -> bool {
        self.values.iter().any(|(key, ..)| key.name == name)
    }
}

impl Key {
    /// As [`Key::find`].
    ///
    /// # Errors
    /// [`Error::UnknownSetting`] with the nearest name.
    pub fn named(name: &str) -> Result<&'static Key> {
        Key::find(name).ok_or_else(|| unknown(name))
    }
}

/// The error for a name that is not a setting.
fn unknown(name: &str) -> Error {
    let asked = name.replace('-', "_");
    let near = KEYS.iter().map(|key| (strsim::jaro_winkler(&asked, key.name), key.name));
    let nearest = near.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > LIKENESS);
    Error::UnknownSetting { name: name.into(), nearest: nearest.map(|(_, name)| name.into()) }
}

/// What serde says of a value of the wrong kind, as a requirement.
fn requirement(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let words = |list: &str| list.replace('`', "").replace(" or ", ", ");
    if let Some((_, list)) = text.split_once("expected one of ").or_else(|| text.split_once("expected `")) {
        return format!("must be one of {}", words(list));
    }
    match text.split_once(", expected ") {
        Some((_, "usize" | "u64" | "u32")) => "must be a whole number".into(),
        Some((_, "f64")) => "must be a number".into(),
        Some((_, "a boolean")) => "must be true or false".into(),
        Some((_, "a string")) => "must be a text in quotes".into(),
        _ => text.into(),
    }
}

impl Settings {
    fn as_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            // A struct of words and numbers.
            _ => Map::new(),
        }
    }

    /// The same with another value of one key; the requirement that it does not meet, if it is of another kind.
    fn with(&self, key: &Key, value: Value) -> std::result::Result<Settings, String> {
        let mut map = self.as_map();
        map.insert(key.name.into(), value);
        serde_json::from_value(Value::Object(map)).map_err(|error| requirement(&error))
    }

    /// The settings as a commented `config.toml`: every key for which `is_read` holds, with what it does.
    pub(crate) fn to_toml_of(&self, is_read: impl Fn(&str) -> bool) -> String {
        let mut text = String::from("# Settings of a run. Each key is also a flag: clip_norm is --clip-norm.\n");
        let values = self.as_map();
        let mut group = "";
        for key in KEYS.iter().filter(|key| is_read(key.name)) {
            if key.group != group {
                group = key.group;
                text.push_str(&format!("\n# == {group} ==\n"));
            }
            let value = match &values[key.name] {
                // Rust's debug form of a float is a TOML float: it always has a point or an exponent.
                Value::Number(n) if n.is_f64() => format!("{:?}", n.as_f64().unwrap_or_default()),
                Value::String(word) => toml::Value::from(word.as_str()).to_string(),
                value => value.to_string(),
            };
            text.push_str(&format!("\n#{}\n{} = {value}\n", key.help.trim_end(), key.name));
        }
        text
    }

    /// Sets one key, named by its name or its old one, from its text on the command line.
    ///
    /// # Errors
    /// [`Error::UnknownSetting`] if there is no such key, [`Error::Setting`] if the text is not a value of its kind.
    pub fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let key = Key::named(name)?;
        let refuse = |requirement: String| Error::setting(key.name, text, requirement);
        let old = self.as_map()[key.name].clone();
        let whole = old.is_u64();
        let value = match &old {
            _ if key.may_be_auto => {
                let number = text.parse::<f64>().ok().filter(|x| x.is_finite()).map(Value::from);
                text.parse::<u64>().ok().map(Value::from).or(number).unwrap_or_else(|| text.into())
            }
            Value::Bool(_) => match text {
                "true" => true.into(),
                "false" => false.into(),
                _ => return Err(refuse("must be true or false".into())),
            },
            Value::Number(_) => match (text.parse::<u64>(), text.parse::<f64>()) {
                (Ok(n), _) => n.into(),
                (_, Ok(x)) if x.is_finite() && !whole => x.into(),
                _ if key.name == "checkpoint_every" => text.into(),
                _ if whole => return Err(refuse(format!("must be a whole number, such as {old}"))),
                _ => return Err(refuse(format!("must be a number, such as {old}"))),
            },
            _ => text.into(),
        };
        *self = self.with(key, value).map_err(refuse)?;
        Ok(())
    }

    /// The text of one key's value, for help.
    pub fn get(&self, name: &str) -> String {
        match self.as_map().get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }
}
