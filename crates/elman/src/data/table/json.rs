//! JSON to rows: an object a line, a list of objects, one object of columns, lists of cells.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::limits::check_columns;
use super::rows::{Cells, Row, Rows};
use crate::error::Result;
use crate::file::fault;

/// What an object of a table looks like, for messages.
const EXAMPLE: &str = "{\"text\": \"..\", \"label\": \"..\"}";

/// A table in JSON: its columns in the order in which they first come, and its rows.
pub(super) struct Parsed {
    /// None where rows are lists, whose first may name the columns.
    pub header: Option<Vec<String>>,
    pub rows: Rows,
    /// What was read that is no list of objects, one on each line.
    pub note: Option<String>,
}

/// Reads JSON; `before` lines came before `text`.
///
/// # Errors
/// What is not JSON, with its line; what is no table; a key that occurs twice in an object.
pub(super) fn parse(text: &str, path: &Path, before: usize) -> Result<Parsed> {
    let start = text.trim_start();
    let first = start.lines().next().unwrap_or_default();
    let mut table = Builder::new(path);
    if let Some(inner) = start.strip_prefix('[') {
        let at = text.len() - inner.len();
        if inner.trim_start().starts_with('[') {
            return lists(text, at, before, path, "lists in a list");
        }
        if first.trim_end().ends_with(']') && serde_json::from_str::<Column>(first).is_ok() {
            return lists(text, at - 1, before, path, "a list on each line");
        }
        objects(text, at, before, &mut table)?;
        return Ok(table.done(Some("a list of objects in JSON")));
    }
    // One object may stand on many lines: of columns, or around the list of rows.
    if serde_json::from_str::<Entries>(first).is_err()
        && let Ok(Entries(entries)) = serde_json::from_str::<Entries>(start)
    {
        return whole(start, entries, before, table);
    }
    let mut lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    let (number, first) = lines.next().unwrap_or_default();
    let Entries(entries) = object(first, before + number + 1, path)?;
    if lines.peek().is_none() && entries.iter().any(|(_, value)| value.starts_with(['[', '{'])) && before == 0 {
        return whole(first, entries, before, table);
    }
    table.push(before + number + 1, entries)?;
    for (number, line) in lines {
        let Entries(entries) = object(line, before + number + 1, path)?;
        table.push(before + number + 1, entries)?;
    }
    Ok(table.done(None))
}

fn object(line: &str, number: usize, path: &Path) -> Result<Entries> {
    serde_json::from_str(line).map_err(|error| {
        // The parser's line number is relative to this line.
        let error = error.to_string().replace(" at line 1 column ", " at column ");
        let is_python = line.trim_start().starts_with("{'");
        let error = if is_python { "single quotes, as Python prints; write it by json.dumps".into() } else { error };
        fault(path, format!("line {number}: {error}; every line must be one JSON object, such as {EXAMPLE}"))
    })
}

/// The objects of a list that begins at byte `at`.
fn objects(text: &str, at: usize, before: usize, table: &mut Builder) -> Result<()> {
    let path = table.path;
    each(text, at, before, path, &format!("a list must hold objects, such as {EXAMPLE}"), |line, Entries(entries)| {
        table.push(line, entries)
    })
}

/// Rows that are lists of cells, from byte `at` on.
fn lists(text: &str, at: usize, before: usize, path: &Path, what: &str) -> Result<Parsed> {
    let mut rows = Rows::default();
    each(text, at, before, path, "every row must be a list, such as [1.5, \"red\"]", |line, row: Column| {
        let width = rows.first().map_or(row.values.len(), Row::width);
        if row.keys.is_some() || row.values.len() != width || width == 0 {
            let (found, cells) = (row.values.len(), if width == 1 { "cell" } else { "cells" });
            return Err(fault(
                path,
                format!("line {line}: a list of {found} values, where the first row has {width} {cells}"),
            ));
        }
        check_columns(width, line, path)?;
        rows.push(line, (0..width).map(|i| row.values.get(i)));
        Ok(())
    })?;
    Ok(Parsed { header: None, rows, note: Some(format!("{what} in JSON")) })
}

/// Hands over values with their lines, of a list from byte `at` on or of lines, which have no end.
fn each<T: serde::de::DeserializeOwned>(
    text: &str,
    mut at: usize,
    before: usize,
    path: &Path,
    wanted: &str,
    mut take: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let is_list = at > 0 && text[..at].ends_with('[');
    let (mut line, mut counted) = (before + 1, 0);
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',').len();
        line += text[counted..at].matches('\n').count();
        counted = at;
        let rest = &text[at..];
        if is_list && rest.starts_with(']') || !is_list && rest.is_empty() {
            return Ok(());
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => take(line, value)?,
            Some(Err(error)) => {
                let wrong = if error.is_eof() { line } else { line + error.line().saturating_sub(1) };
                let error = error.to_string();
                let error = error.split(" at line ").next().unwrap_or_default();
                return Err(fault(path, format!("line {wrong}: {error}; {wanted}")));
            }
            None => return Err(fault(path, format!("line {line}: the list has no end"))),
        }
        at += values.byte_offset();
    }
}

/// One object: `{"data": [{..}, ..]}` around rows, or columns, each a list or an object by row.
fn whole(text: &str, entries: Vec<(String, String)>, before: usize, mut table: Builder) -> Result<Parsed> {
    let of_objects: Vec<&(String, String)> = entries.iter().filter(|(_, value)| value.starts_with("[{")).collect();
    if let [(key, value)] = of_objects[..] {
        objects(value, 1, before, &mut table)?;
        return Ok(table.done(Some(&format!("the list {key:?} of one object in JSON"))));
    }
    // As pandas splits a table: names, and lists of cells.
    let of = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if let (Some(names), Some(cells)) = (of("columns"), of("data").filter(|value| value.starts_with("[[")))
        && let Some(names) = Column::read(names).filter(|names| names.keys.is_none())
    {
        let parsed = lists(cells, 1, before, table.path, "names and lists of cells")?;
        if parsed.rows.first().is_some_and(|row| row.width() == names.values.len()) {
            let header = (0..names.values.len()).map(|i| names.values.get(i).to_string()).collect();
            return Ok(Parsed { header: Some(header), ..parsed });
        }
    }
    let columns: Option<Vec<(String, Column)>> =
        entries.into_iter().map(|(key, value)| Some((key, Column::read(&value)?))).collect();
    let alike = |columns: &Vec<(String, Column)>| {
        let first = columns.first().map(|(_, first)| first);
        first.is_some_and(|first| first.values.len() > 0 && columns.iter().all(|(_, column)| column.is_like(first)))
    };
    match columns.filter(alike) {
        Some(columns) => {
            for row in 0..columns[0].1.values.len() {
                let cell = |(key, column): &(String, Column)| (key.clone(), column.values.get(row).to_string());
                table.push(before + row + 1, columns.iter().map(cell).collect())?;
            }
            Ok(table.done(Some("one object of columns in JSON")))
        }
        // A single row, as a stream may hold.
        None if !text.trim().contains('\n') => {
            let Entries(entries) = object(text, before + 1, table.path)?;
            table.push(before + 1, entries)?;
            Ok(table.done(None))
        }
        None => {
            let reason = format!(
                "is one JSON object that is no table: its values must be columns of one length, or one of them a list of \
                 objects; else write an object on each line, such as {EXAMPLE}"
            );
            Err(fault(table.path, reason))
        }
    }
}

/// Objects within objects whose values are columns of their own.
const DEEPEST: usize = 4;

/// The entries of an object with those of the objects in it, which are called `outer.inner`.
fn flat(entries: Vec<(String, String)>, depth: usize) -> Vec<(String, String)> {
    if depth == 0 || !entries.iter().any(|(_, value)| value.starts_with('{')) {
        return entries;
    }
    let of = |(key, value): (String, String)| {
        let inner = value.starts_with('{').then(|| serde_json::from_str::<Entries>(&value).ok()).flatten();
        match inner.filter(|Entries(inner)| !inner.is_empty()) {
            Some(Entries(inner)) => {
                flat(inner.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)).collect(), depth - 1)
            }
            None => vec![(key, value)],
        }
    };
    entries.into_iter().flat_map(of).collect()
}

/// A table as its objects come.
struct Builder<'p> {
    path: &'p Path,
    header: Vec<String>,
    columns: HashMap<String, usize>,
    rows: Rows,
}

impl<'p> Builder<'p> {
    fn new(path: &'p Path) -> Self {
        Builder { path, header: Vec::new(), columns: HashMap::new(), rows: Rows::default() }
    }

    /// Adds an object; keys that are new to it are new columns.
    fn push(&mut self, line: usize, entries: Vec<(String, String)>) -> Result<()> {
        let mut cells: Vec<Option<String>> = vec![None; self.header.len()];
        for (key, value) in flat(entries, DEEPEST) {
            let next = self.header.len();
            let column = *self.columns.entry(key.clone()).or_insert(next);
            if column == next {
                self.header.push(key.clone());
                cells.push(None);
            }
            if cells[column].replace(value).is_some() {
                return Err(fault(self.path, format!("line {line}: the key {key:?} occurs twice")));
            }
        }
        if self.header.is_empty() {
            return Err(fault(self.path, format!("line {line}: the first object has no keys; they name the columns")));
        }
        check_columns(self.header.len(), line, self.path)?;
        self.rows.push(line, cells.iter().map(|cell| cell.as_deref().unwrap_or_default()));
        Ok(())
    }

    fn done(mut self, note: Option<&str>) -> Parsed {
        self.rows.widen(self.header.len());
        Parsed { header: Some(self.header), rows: self.rows, note: note.map(String::from) }
    }
}

/// A JSON object with its keys in the order of the file.
struct Entries(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key()? {
                    let mut cell = String::new();
                    map.next_value_seed(Cell { to: &mut cell, is_nested: false })?;
                    entries.push((key, cell));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A column: a list of values, or an object of them by row.
struct Column {
    /// The rows' names, of an object.
    keys: Option<Cells>,
    values: Cells,
}

impl Column {
    fn read(json: &str) -> Option<Column> {
        json.starts_with(['[', '{']).then(|| serde_json::from_str(json).ok())?
    }

    /// Whether both have the same rows.
    fn is_like(&self, other: &Column) -> bool {
        self.values.len() == other.values.len() && self.keys == other.keys
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Column;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list or an object")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Column, A::Error> {
                let (mut values, mut cell) = (Cells::default(), String::new());
                while list.next_element_seed(Cell { to: &mut cell, is_nested: false })?.is_some() {
                    values.push(&cell);
                    cell.clear();
                }
                Ok(Column { keys: None, values })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Column, A::Error> {
                let (mut keys, mut values, mut cell) = (Cells::default(), Cells::default(), String::new());
                while let Some(key) = map.next_key::<String>()? {
                    map.next_value_seed(Cell { to: &mut cell, is_nested: false })?;
                    keys.push(&key);
                    values.push(&cell);
                    cell.clear();
                }
                Ok(Column { keys: Some(keys), values })
            }
        }
        deserializer.deserialize_any(InOrder)
    }
}

/// A JSON value as a cell: `null` is an empty one, a nested value its JSON. It is written as it is read: a list of numbers takes
/// no more memory than its text.
struct Cell<'a> {
    to: &'a mut String,
    is_nested: bool,
}

impl Cell<'_> {
    fn nested(&mut self) -> Cell<'_> {
        Cell { to: self.to, is_nested: true }
    }

    fn add(self, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.to, "{value}");
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        if self.is_nested {
            self.add("null");
        }
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<(), E> {
        self.add(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<(), E> {
        self.add(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<(), E> {
        self.add(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<(), E> {
        self.add(serde_json::Value::from(value));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<(), E> {
        match self.is_nested {
            true => self.add(serde_json::Value::from(text)),
            false => self.to.push_str(text),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> std::result::Result<(), A::Error> {
        self.to.push('[');
        let mut len = self.to.len();
        while list.next_element_seed(self.nested())?.is_some() {
            len = self.to.len();
            self.to.push(',');
        }
        self.to.truncate(len);
        self.to.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> std::result::Result<(), A::Error> {
        self.to.push('{');
        let mut len = self.to.len();
        while let Some(key) = map.next_key::<String>()? {
            self.nested().add(serde_json::Value::from(key));
            self.to.push(':');
            map.next_value_seed(self.nested())?;
            len = self.to.len();
            self.to.push(',');
        }
        self.to.truncate(len);
        self.to.push('}');
        Ok(())
    }
}
