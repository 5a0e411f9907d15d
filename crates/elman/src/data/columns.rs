//! The columns of a table that say what its rows are.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{Form, Table};
use crate::error::Result;

/// Columns by name or number, as a model's file holds those it was trained on; empty where there is none or it is found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Columns {
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The label.
    #[serde(default)]
    pub label: String,
    /// What stands between several labels in a cell; empty for one label, or a list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label_separator: String,
    /// What says which rows belong to one sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// Whether the first row of a table is a header: auto, yes or no.
    #[serde(default)]
    pub header: String,
    /// What else is said of the form of the files at hand: no property of a model.
    #[serde(skip)]
    pub form: Form,
}

/// Which columns of a table are inputs: the settings `ignore` and `use_columns`.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// Columns by name or number, separated by commas, that are none.
    pub ignore: String,
    /// Those that alone are; empty for all.
    pub only: String,
    /// Whether columns that count or name are left out, and outliers limited; version 0.1 did neither.
    pub looks: bool,
    /// Of steps that may be words: the most that are known, and how often each occurs at least.
    pub words: Option<[usize; 2]>,
}

impl Choice {
    /// The columns that `ignore` and `use_columns` leave.
    ///
    /// # Errors
    /// A column that is not there.
    pub(crate) fn named(&self, table: &Table) -> Result<Vec<usize>> {
        let listed = |names: &str| {
            let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(|name| table.column(name)).collect::<Result<Vec<usize>>>()
        };
        let (ignore, only) = (listed(&self.ignore)?, listed(&self.only)?);
        let is_named = |column: &usize| !ignore.contains(column) && (only.is_empty() || only.contains(column));
        Ok((0..table.width()).filter(is_named).collect())
    }
}

impl Columns {
    /// The column of the text; empty where there is none.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// The column of the sequence; empty where there is none.
    pub(crate) fn sequence(&self) -> &str {
        self.sequence.as_deref().unwrap_or_default()
    }

    /// The table of a file, with a header if its first row holds one of the columns by name.
    ///
    /// # Errors
    /// As [`Table::read_with`].
    pub(crate) fn read(&self, path: &Path) -> Result<Table> {
        Table::read_for(path, self.form(), &[self.text(), &self.label, self.sequence()])
    }

    /// What is said of a table's form.
    pub(crate) fn form(&self) -> Form {
        let header = match self.header.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        Form { header, ..self.form }
    }
}
