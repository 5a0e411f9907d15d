//! The keys of one table of a map, each asked for by name; what nobody asked for is an error.

use std::cell::RefCell;
use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::error::{Error, Result};

/// A table and the keys that were asked for.
pub(super) struct Fields<'a> {
    /// For messages: `layer lstm_0`.
    pub(super) part: String,
    table: &'a Table,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(part: impl Into<String>, table: &'a Table) -> Self {
        Fields { part: part.into(), table, asked: RefCell::default() }
    }

    /// An error about this table.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::malformed(format!("map: {}", self.part), reason)
    }

    fn get<T>(&self, key: &str, want: &str, of: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        self.asked.borrow_mut().insert(key.into());
        match self.table.get(key) {
            None => Ok(None),
            Some(value) => of(value).map(Some).ok_or_else(|| self.wrong(format!("{key} is not {want}"))),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key, "a text", Value::as_str)
    }

    /// A text that must be there.
    pub(super) fn needed(&self, key: &str) -> Result<&'a str> {
        self.text(key)?.ok_or_else(|| self.wrong(format!("{key} is missing")))
    }

    /// One of a few words.
    pub(super) fn word(&self, key: &str, words: &[&str]) -> Result<Option<&'a str>> {
        match self.text(key)? {
            Some(word) if !words.contains(&word) => {
                Err(self.wrong(format!("{key} is {word:?}, but must be one of {}", words.join(", "))))
            }
            word => Ok(word),
        }
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<usize>> {
        self.get(key, "a whole number from 0", |value| usize::try_from(value.as_integer()?).ok())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key, "a number", |value| value.as_float().or_else(|| Some(value.as_integer()? as f64)))
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        Ok(self.get(key, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    pub(super) fn table(&self, key: &str) -> Result<Option<Fields<'a>>> {
        let table = self.get(key, "a table", Value::as_table)?;
        Ok(table.map(|table| Fields::new(format!("{}, {key}", self.part), table)))
    }

    /// One text, or a list of them.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        self.get(key, "a text or a list of texts", |value| match value {
            Value::String(text) => Some(vec![text.as_str()]),
            value => value.as_array()?.iter().map(Value::as_str).collect(),
        })
    }

    /// A list of whole numbers.
    pub(super) fn sizes(&self, key: &str) -> Result<Option<Vec<usize>>> {
        self.get(key, "a list of whole numbers", |value| {
            value.as_array()?.iter().map(|size| usize::try_from(size.as_integer()?).ok()).collect()
        })
    }

    /// # Errors
    /// If the table has a key that was not asked for, other than `others`.
    pub(super) fn finish(&self, others: &[&str]) -> Result<()> {
        let asked = self.asked.borrow();
        match self.table.keys().find(|key| !asked.contains(*key) && !others.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let known: Vec<&str> = asked.iter().map(String::as_str).collect();
                Err(self.wrong(format!("the key {key:?} is not known here; known are {}", known.join(", "))))
            }
        }
    }
}
