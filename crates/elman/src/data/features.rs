//! Cells to numbers: numeric columns standardised, categories one-hot, missing values marked.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file::fault;
use super::table::Table;
use crate::error::{Error, Result};

/// Words that stand for a value that is not there, beside the empty cell; case is ignored.
const MISSING: [&str; 6] = ["na", "n/a", "nan", "null", "none", "?"];
/// Inputs a categorical column may take; rarer categories share one more.
const MAX_CATEGORIES: usize = 100;
/// A column of this share of numbers is numeric, and a text in it a slip.
const SURELY_NUMERIC: f64 = 0.98;

/// Whether a cell says that its value is missing.
pub fn is_missing(cell: &str) -> bool {
    let cell = cell.trim();
    cell.is_empty() || MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// A cell as a number; infinity is one, for the reader of numbers to refuse with its place.
pub(crate) fn number(cell: &str) -> Option<f64> {
    cell.trim().parse().ok()
}

/// How a table's cells become a model's inputs; fitted on training rows and saved in the model.
///
/// A numeric column gives `(x - mean) / deviation`, with a missing value at the mean, and one more input that says so if
/// any were missing in training. A categorical column gives one input per category seen in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Cells in a row of the table it was fitted on.
    cells: usize,
    columns: Vec<Column>,
}

/// How the cells of one column become inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its place in a row.
    cell: usize,
    /// The header's name, if there is a header.
    name: Option<String>,
    /// Whether a value was missing in training: then one input says that it is.
    pub missing: bool,
    /// What its cells hold.
    pub kind: Kind,
}

/// What the cells of a column hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// Numbers, standardised by these.
    Numeric {
        /// Mean in training.
        mean: f64,
        /// Deviation in training.
        deviation: f64,
    },
    /// One of some texts.
    Categorical {
        /// From the most frequent one on.
        categories: Vec<String>,
        /// Whether rarer ones share an input of their own.
        other: bool,
    },
    /// No value in any row.
    Empty,
}

impl Column {
    /// The header's name, else the number from 1.
    pub fn title(&self) -> String {
        self.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| format!("column {}", self.cell + 1))
    }

    fn width(&self) -> usize {
        let kind = match &self.kind {
            Kind::Numeric { .. } => 1,
            Kind::Categorical { categories, other } => categories.len() + usize::from(*other),
            Kind::Empty => 0,
        };
        kind + usize::from(self.missing)
    }

    fn names(&self, names: &mut Vec<String>) {
        let title = self.title();
        match &self.kind {
            Kind::Numeric { .. } => names.push(title.clone()),
            Kind::Categorical { categories, other } => {
                names.extend(categories.iter().map(|category| format!("{title}={category}")));
                if *other {
                    names.push(format!("{title}=(other)"));
                }
            }
            Kind::Empty => {}
        }
        if self.missing {
            names.push(format!("{title} is missing"));
        }
    }

    fn push(&self, cell: &str, line: usize, path: &Path, out: &mut Vec<f32>) -> Result<()> {
        let missing = is_missing(cell);
        match &self.kind {
            Kind::Numeric { .. } if missing => out.push(0.0),
            Kind::Numeric { mean, deviation } => {
                let value = ((self.finite(cell, line, path)? - mean) / deviation) as f32;
                if !value.is_finite() {
                    return Err(self.refusal(cell, line, path, "is too far from all values of the training"));
                }
                out.push(value);
            }
            Kind::Categorical { categories, other } => {
                let place = categories.iter().position(|category| category == cell.trim());
                let hot = |at: usize| if place == Some(at) && !missing { 1.0 } else { 0.0 };
                out.extend((0..categories.len()).map(hot));
                if *other {
                    out.push(if place.is_none() && !missing { 1.0 } else { 0.0 });
                }
            }
            Kind::Empty => {}
        }
        if self.missing {
            out.push(if missing { 1.0 } else { 0.0 });
        }
        Ok(())
    }

    fn finite(&self, cell: &str, line: usize, path: &Path) -> Result<f64> {
        let remedy = "leave the cell empty if the value is missing";
        match number(cell) {
            Some(value) if (value as f32).is_finite() => Ok(value),
            Some(_) => Err(self.refusal(cell, line, path, &format!("is no finite number; {remedy}"))),
            None => Err(self.refusal(cell, line, path, &format!("is no number, as the others there are; {remedy}"))),
        }
    }

    fn refusal(&self, cell: &str, line: usize, path: &Path, what: &str) -> Error {
        let name = match &self.name {
            Some(name) => format!("column {} \"{name}\"", self.cell + 1),
            None => format!("column {}", self.cell + 1),
        };
        let short: String = cell.chars().take(40).collect();
        fault(path, format!("line {line}, {name}: {short:?} {what}"))
    }
}

impl Features {
    /// Fits all rows of a table; `exclude` lists columns that are no inputs, such as the label.
    ///
    /// # Errors
    /// A text among numbers, a number that is not finite, a column of texts that hardly ever come again, no column left.
    pub fn fit(table: &Table, exclude: &[usize]) -> Result<Features> {
        Self::fit_rows(table, &(0..table.rows.len()).collect::<Vec<_>>(), exclude)
    }

    /// As [`Features::fit`], from the rows listed alone: those of the training, so that validation stays unseen.
    ///
    /// # Errors
    /// As [`Features::fit`].
    pub fn fit_rows(table: &Table, rows: &[usize], exclude: &[usize]) -> Result<Features> {
        let kept = (0..table.width()).filter(|column| !exclude.contains(column));
        let columns = kept.map(|column| fit_column(table, rows, column)).collect::<Result<Vec<_>>>()?;
        let features = Features { cells: table.width(), columns };
        if features.width() == 0 {
            let reason = "there is no column to learn from beside the label; every other is empty or left out";
            return Err(fault(&table.path, reason));
        }
        Ok(features)
    }

    /// `I`, the inputs a row gives.
    pub fn width(&self) -> usize {
        self.columns.iter().map(Column::width).sum()
    }

    /// The columns in the order of their inputs.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What each input is, `[I]`: `age`, `age is missing`, `colour=red`.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.columns.iter().for_each(|column| column.names(&mut names));
        names
    }

    /// Whether these cells are a header: the names of all columns are among them.
    pub fn are_named(&self, cells: &[String]) -> bool {
        let is_there = |name: &String| !name.is_empty() && cells.contains(name);
        self.columns.iter().all(|column| column.name.as_ref().is_some_and(is_there))
    }

    /// The same features read from another table: columns are found by name where both have names, else by place, with
    /// or without the columns that were excluded.
    ///
    /// # Errors
    /// If a column is not there.
    pub fn bind(&self, table: &Table) -> Result<Features> {
        let mut bound = self.clone();
        bound.cells = table.width();
        let named = self.columns.iter().all(|column| column.name.as_ref().is_some_and(|name| !name.is_empty()));
        if let Some(header) = table.header.as_ref().filter(|_| named) {
            for column in &mut bound.columns {
                let at = header.iter().position(|name| Some(name) == column.name.as_ref());
                column.cell = at.map_or_else(|| table.column(&column.title()), Ok)?;
            }
        } else if table.width() == self.columns.len() {
            bound.columns.iter_mut().enumerate().for_each(|(cell, column)| column.cell = cell);
        } else if table.width() != self.cells {
            let reason = format!(
                "has {} columns, but the model was trained on a table of {} (or {} without the label)",
                table.width(),
                self.cells,
                self.columns.len()
            );
            return Err(fault(&table.path, reason));
        }
        Ok(bound)
    }

    /// Appends a row's inputs `[I]` to `out`; `line` and `path` are what messages name.
    ///
    /// # Errors
    /// A row of another length; a text in a numeric column, or a number that is not finite.
    pub fn row(&self, cells: &[String], line: usize, path: &Path, out: &mut Vec<f32>) -> Result<()> {
        if cells.len() != self.cells {
            let reason = format!("line {line} has {} cells, but {} are needed", cells.len(), self.cells);
            return Err(fault(path, reason));
        }
        for column in &self.columns {
            let cell = cells.get(column.cell).ok_or_else(|| fault(path, format!("line {line} is too short")))?;
            column.push(cell, line, path, out)?;
        }
        Ok(())
    }
}

fn fit_column(table: &Table, rows: &[usize], cell: usize) -> Result<Column> {
    let name = table.header.as_ref().map(|header| header[cell].clone());
    let mut column = Column { cell, name, missing: false, kind: Kind::Empty };
    let all = rows.iter().map(|&row| (table.rows[row].line, table.rows[row].cells[cell].as_str()));
    let present: Vec<(usize, &str)> = all.filter(|(_, cell)| !is_missing(cell)).collect();
    if present.is_empty() {
        return Ok(column);
    }
    column.missing = present.len() < rows.len();
    let numbers = present.iter().filter(|(_, cell)| number(cell).is_some()).count();
    let share = numbers as f64 / present.len() as f64;
    let distinct = present.iter().map(|(_, cell)| cell.trim()).collect::<HashSet<_>>().len();
    // Among classes such as `0, 1, 2, 3+` the text comes again; among measured values it is a slip.
    let slip = share >= SURELY_NUMERIC || (share >= 0.5 && distinct * 2 > present.len());
    column.kind = if slip { numeric(&column, &present, &table.path)? } else { categorical(&column, &present, table)? };
    Ok(column)
}

fn numeric(column: &Column, present: &[(usize, &str)], path: &Path) -> Result<Kind> {
    let values = present.iter().map(|&(line, cell)| column.finite(cell, line, path)).collect::<Result<Vec<f64>>>()?;
    // In a column of one value the rounding of the mean would be all that is left.
    if values.iter().all(|value| *value == values[0]) {
        return Ok(Kind::Numeric { mean: values[0], deviation: 1.0 });
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
    let tiny = variance.sqrt() <= f64::EPSILON * mean.abs();
    Ok(Kind::Numeric { mean, deviation: if tiny { 1.0 } else { variance.sqrt() } })
}

fn categorical(column: &Column, present: &[(usize, &str)], table: &Table) -> Result<Kind> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    present.iter().for_each(|(_, cell)| *counts.entry(cell.trim()).or_default() += 1);
    if counts.len() > MAX_CATEGORIES && counts.len() * 2 > present.len() {
        let reason = format!(
            "column {} holds {} distinct texts in {} rows, as names or sentences do; leave it out of the inputs",
            table.name(column.cell),
            counts.len(),
            present.len()
        );
        return Err(fault(&table.path, reason));
    }
    let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let other = ranked.len() > MAX_CATEGORIES;
    let categories = ranked.iter().take(MAX_CATEGORIES).map(|(category, _)| category.to_string()).collect();
    Ok(Kind::Categorical { categories, other })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Table {
        Table::parse(text.as_bytes(), Path::new("t.csv"), None).unwrap()
    }

    fn inputs(features: &Features, cells: &[&str]) -> Result<Vec<f32>> {
        let cells: Vec<String> = cells.iter().map(|cell| cell.to_string()).collect();
        let mut out = Vec::new();
        features.row(&cells, 7, Path::new("new.csv"), &mut out).map(|()| out)
    }

    #[test]
    fn numbers_are_standardised_categories_one_hot_and_the_missing_marked() {
        let table = csv("age,colour,size,class\n1,red,5,a\n3,blue,NA,b\n?, red,7,a\n");
        let features = Features::fit(&table, &[3]).unwrap();
        assert_eq!(features.names(), ["age", "age is missing", "colour=red", "colour=blue", "size", "size is missing"]);
        assert_eq!(features.width(), 6);
        // Age: mean 2, deviation 1; size: mean 6, deviation 1.
        assert_eq!(inputs(&features, &["1", "red", "8", "b"]).unwrap(), [-1.0, 0.0, 1.0, 0.0, 2.0, 0.0]);
        assert_eq!(inputs(&features, &["", "green", "nan", "b"]).unwrap(), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn only_the_rows_of_the_training_are_fitted() {
        let table = csv("x,class\n1,a\n3,b\n1000,a\n");
        let features = Features::fit_rows(&table, &[0, 1], &[1]).unwrap();
        assert_eq!(inputs(&features, &["4", ""]).unwrap(), [2.0]);
    }

    #[test]
    fn a_constant_column_gives_zero_and_an_empty_one_nothing() {
        let table = csv("x,e,y,class\n0.1,,2,a\n0.1,NA,4,b\n0.1,,6,b\n");
        let features = Features::fit(&table, &[3]).unwrap();
        assert_eq!(features.names(), ["x", "y"]);
        assert_eq!(inputs(&features, &["0.1", "", "4", ""]).unwrap(), [0.0, 0.0]);
        assert!(Features::fit(&table, &[0, 2, 3]).unwrap_err().to_string().contains("no column to learn from"));
    }

    #[test]
    fn a_text_among_numbers_is_refused_with_line_and_column() {
        let classes = "0,a\n1,b\n2,a\n3+,b\n".repeat(5);
        assert_eq!(Features::fit(&csv(&classes), &[1]).unwrap().width(), 4, "a text that comes again is a class");
        let many: String = (0..100).map(|i| format!("{}.5,a\n", i)).collect();
        let table = Table::parse(format!("x,class\n{many}4o,b\n").as_bytes(), Path::new("t.csv"), Some(true)).unwrap();
        let error = Features::fit(&table, &[1]).unwrap_err().to_string();
        assert!(error.starts_with("t.csv: line 102, column 1 \"x\": \"4o\" is no number"), "{error}");
        let features = Features::fit(&csv("1.5,a\n2.5,b"), &[1]).unwrap();
        let error = inputs(&features, &["many", ""]).unwrap_err().to_string();
        assert!(error.starts_with("new.csv: line 7, column 1: \"many\" is no number"), "{error}");
        for cell in ["inf", "-infinity", "1e39"] {
            assert!(inputs(&features, &[cell, ""]).unwrap_err().to_string().contains("no finite number"), "{cell}");
        }
        assert!(
            Features::fit(&csv("1.5,a\ninf,b\n1e999,c"), &[1]).unwrap_err().to_string().contains("line 2, column 1")
        );
        assert!(inputs(&features, &["1"]).unwrap_err().to_string().contains("line 7 has 1 cells"));
    }

    #[test]
    fn many_categories_share_an_input_and_free_text_is_refused() {
        let rows: String = (0..300).map(|i| format!("c{},a\nc0,b\n", i % 150)).collect();
        let features = Features::fit(&csv(&rows), &[1]).unwrap();
        assert_eq!(features.width(), MAX_CATEGORIES + 1);
        let hot = |cell: &str| inputs(&features, &[cell, ""]).unwrap().iter().position(|&x| x == 1.0);
        assert_eq!((hot("c0"), hot("never seen"), hot("")), (Some(0), Some(MAX_CATEGORIES), None));
        let texts: String = (0..200).map(|i| format!("text {i},a\n")).collect();
        assert!(Features::fit(&csv(&texts), &[1]).unwrap_err().to_string().contains("200 distinct texts"));
    }

    #[test]
    fn features_survive_json_and_find_their_columns_in_another_table() {
        let table = csv("x,class,colour\n1,a,red\n2,b,blue\n4,b,red\n");
        let features = Features::fit(&table, &[1]).unwrap();
        let json = serde_json::to_string(&features).unwrap();
        let features: Features = serde_json::from_str(&json).unwrap();
        assert_eq!(features, Features::fit(&table, &[1]).unwrap());
        let want = inputs(&features, &["4", "b", "blue"]).unwrap();
        for (other, cells) in [
            ("colour,x\nred,1\nblue,2", &["blue", "4"][..]),
            ("1,red\n2,blue", &["4", "blue"]),
            ("1,a,red\n2,a,blue", &["4", "", "blue"]),
        ] {
            let bound = features.bind(&csv(other)).unwrap();
            assert_eq!(inputs(&bound, cells).unwrap(), want, "{other}");
        }
        assert!(features.bind(&csv("colour,y\nred,1\nblue,2")).unwrap_err().to_string().contains("no column \"x\""));
        assert!(features.bind(&csv("1,2,3,4")).unwrap_err().to_string().contains("has 4 columns"));
    }
}
