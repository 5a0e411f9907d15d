//! Cells to numbers: numeric columns standardised, categories one-hot, missing values flagged.

mod column;
mod fit;

use std::path::Path;

use serde::{Deserialize, Serialize};

use self::column::missing_words;
pub(crate) use self::column::rounded;
pub use self::column::{Column, Kind};
pub(crate) use self::fit::is_of_words;
use self::fit::{fit_column, tell};
use super::columns::Choice;
use super::table::{Row, Table};
use crate::error::{Error, Result};
use crate::file::fault;

/// How a table's cells become a model's inputs; fitted on training rows and saved in the model.
///
/// A numeric column gives `(x - mean) / std`, with a missing value at the mean, and a missing-value indicator if
/// any were missing in training. A categorical column gives one input per category seen in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Cells in a row of the table it was fitted on.
    cells: usize,
    columns: Vec<Column>,
    /// Whether a column that the table at hand lacks is zero.
    #[serde(skip)]
    absent_are_zero: bool,
}

impl Features {
    /// How the columns of `what` become inputs: names and texts, a line each.
    pub fn describe(&self, what: &str) -> Vec<(&'static str, String)> {
        const NAMES: usize = 12;
        let mut lines = vec![("reads", format!("{what}, {} inputs of {} columns", self.width(), self.columns.len()))];
        for column in &self.columns {
            let how = match &column.kind {
                Kind::Numeric { mean, std, .. } => {
                    let words = missing_words(column);
                    format!("(value - {}) / {}{words}", rounded(*mean), rounded(*std))
                }
                Kind::Categorical { categories, other } => {
                    let shown = categories.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
                    let more = if categories.len() > NAMES { ", .." } else { "" };
                    let rest = if *other { ", others" } else { "" };
                    format!("an input for each of {}: {shown}{more}{rest}", categories.len())
                }
                Kind::Empty => "empty in training, left out".into(),
            };
            let missing = if column.missing { "; with a missing-value indicator" } else { "" };
            lines.push(("", format!("{}: {how}{missing}", column.title())));
        }
        lines
    }

    /// Fits all rows of a table; `exclude` lists columns that are not inputs, such as the label.
    ///
    /// # Errors
    /// A text among numbers, a number that is not finite, a text column whose values hardly ever repeat, no column
    /// left.
    pub fn fit(table: &Table, exclude: &[usize]) -> Result<Features> {
        Self::fit_rows(table, &(0..table.rows.len()).collect::<Vec<_>>(), exclude)
    }

    /// As [`Features::fit`], from the listed rows alone: those of the training set, so that the validation set stays
    /// unseen.
    ///
    /// # Errors
    /// As [`Features::fit`].
    pub fn fit_rows(table: &Table, rows: &[usize], exclude: &[usize]) -> Result<Features> {
        let kept = (0..table.width()).filter(|column| !exclude.contains(column));
        let columns = kept.map(|column| fit_column(table, rows, column, false)).collect::<Result<Vec<_>>>()?;
        let features = Features { cells: table.width(), columns, absent_are_zero: false };
        if features.width() == 0 {
            let reason = "there is no input column beside the label; every other is empty or excluded";
            return Err(fault(&table.path, reason));
        }
        Ok(features)
    }

    /// Fits the rows of the training `groups`: the sequences of a table, or all of its rows as one. Beside the columns `exclude`,
    /// those stay out that `choice` names and, unless it names the others, those that count or name. Says which these are.
    ///
    /// # Errors
    /// As [`Features::fit`]; a column of `choice` that is not there.
    pub(crate) fn choose(
        table: &Table,
        groups: &[Vec<usize>],
        exclude: &[usize],
        choice: &Choice,
    ) -> Result<(Features, Option<String>)> {
        let is_input = |column: &usize| !exclude.contains(column);
        let mut columns: Vec<usize> = choice.named(table)?.into_iter().filter(is_input).collect();
        let mut note = None;
        if choice.looks && choice.only.trim().is_empty() {
            let tells = |&column: &usize| Some((column, tell(table, groups, column)?));
            let left_out: Vec<(usize, &str)> = columns.iter().filter_map(tells).collect();
            let others = |column: &usize| left_out.iter().all(|(left, _)| left != column);
            // A column that counts may be all there is.
            if !left_out.is_empty() && columns.iter().any(others) {
                columns.retain(others);
                let said = left_out.iter().map(|(column, why)| format!("{} ({why})", table.name(*column)));
                note = Some(format!(
                    "left out of the inputs: {}; `use_columns` names the columns to use",
                    said.collect::<Vec<_>>().join(", ")
                ));
            }
        }
        let rows: Vec<usize> = groups.concat();
        let fit = |column: usize| fit_column(table, &rows, column, choice.looks);
        let features = Features {
            cells: table.width(),
            columns: columns.into_iter().map(fit).collect::<Result<Vec<_>>>()?,
            absent_are_zero: false,
        };
        if features.width() == 0 {
            let reason = "there is no input column beside the label; every other is empty or excluded";
            return Err(fault(&table.path, reason));
        }
        Ok((features, note))
    }

    /// `I`, the inputs a row gives.
    pub fn width(&self) -> usize {
        self.columns.iter().map(Column::width).sum()
    }

    /// Which inputs `[I]` are standardised numbers.
    pub(crate) fn numeric(&self) -> Vec<bool> {
        let of = |column: &Column| {
            let is_number = matches!(column.kind, Kind::Numeric { .. });
            (0..column.width()).map(move |i| is_number && i == 0)
        };
        self.columns.iter().flat_map(of).collect()
    }

    /// The columns in the order of their inputs.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The inputs `[I]` of a row of numbers, one for each column; NaN where a value is missing.
    ///
    /// # Errors
    /// [`Error::Usage`] for another number of values, an infinite one, or a column of words.
    pub(crate) fn numbers(&self, row: &[f64], out: &mut Vec<f32>) -> Result<()> {
        if row.len() != self.columns.len() {
            let (got, want) = (row.len(), self.columns.len());
            return Err(Error::Usage(format!("a row of {got} values; the model reads {want} columns")));
        }
        for (column, &value) in self.columns.iter().zip(row) {
            match &column.kind {
                Kind::Numeric { .. } if value.is_nan() => out.push(0.0),
                Kind::Numeric { mean, std, limits } => {
                    let x = ((value - mean) / std) as f32;
                    if !x.is_finite() {
                        let message =
                            format!("{}: {value} is too far outside the range of the training data", column.title());
                        return Err(Error::Usage(message));
                    }
                    out.push(limits.map_or(x, |[least, greatest]| x.clamp(least as f32, greatest as f32)));
                }
                Kind::Empty => {}
                Kind::Categorical { .. } => {
                    return Err(Error::Usage(format!("{} holds words, not numbers", column.title())));
                }
            }
            if column.missing {
                out.push(if value.is_nan() { 1.0 } else { 0.0 });
            }
        }
        Ok(())
    }

    /// The names of the inputs, `[I]`: `age`, `age is missing`, `colour=red`.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.columns.iter().for_each(|column| column.names(&mut names));
        names
    }

    /// Whether its columns are found by their names, not by their places.
    pub(crate) fn are_by_name(&self) -> bool {
        self.columns.iter().all(|column| column.name.is_some())
    }

    /// Whether these cells are a header: the names of all columns are among them.
    pub fn are_named(&self, row: Row<'_>) -> bool {
        let is_there = |name: &String| !name.is_empty() && row.cells().any(|cell| cell == name);
        self.columns.iter().all(|column| column.name.as_ref().is_some_and(is_there))
    }

    /// The same features read from another table: columns are found by name where both have names, else by position,
    /// with or without the columns that were excluded.
    ///
    /// # Errors
    /// If a column is missing.
    pub fn bind(&self, table: &Table) -> Result<Features> {
        let mut bound = self.clone();
        (bound.cells, bound.absent_are_zero) = (table.width(), table.is_sparse);
        // A nameless column, of row numbers say, is found by its place among the others.
        if let Some(header) = table.header.as_ref().filter(|_| self.are_by_name()) {
            for column in &mut bound.columns {
                let at = header.iter().position(|name| Some(name) == column.name.as_ref());
                column.cell = match at {
                    // Behind the row's last cell.
                    None if table.is_sparse => table.width(),
                    None => table.column_named(&column.title())?,
                    Some(at) => at,
                };
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

    /// The cells of its columns with their names, the first of them.
    pub(crate) fn shown(&self, row: Row<'_>) -> String {
        const COLUMNS: usize = 8;
        let named = |column: &Column| format!("{} {}", column.title(), row.get(column.cell).unwrap_or_default());
        let more = if self.columns.len() > COLUMNS { ", .." } else { "" };
        self.columns.iter().take(COLUMNS).map(named).collect::<Vec<_>>().join(", ") + more
    }

    /// As [`Features::bind`], with a word on the columns of the table that are no inputs; the columns `known` are said elsewhere.
    ///
    /// # Errors
    /// As [`Features::bind`].
    pub(crate) fn bind_noting(&self, table: &Table, known: &[usize]) -> Result<(Features, Option<String>)> {
        let bound = self.bind(table)?;
        let is_read = |cell: &usize| known.contains(cell) || bound.columns.iter().any(|column| column.cell == *cell);
        let unused: Vec<String> =
            (0..table.width()).filter(|cell| !is_read(cell)).map(|cell| table.name(cell)).collect();
        let note = (!unused.is_empty()).then(|| format!("no inputs of the model, left out: {}", unused.join(", ")));
        Ok((bound, note))
    }

    /// What training did not see of a row: unknown categories, numbers far outside; in words, the first few.
    pub(crate) fn surprises(&self, row: Row<'_>) -> Option<String> {
        const SAID: usize = 3;
        let of = |column: &Column| column.surprise(row.get(column.cell)?);
        let all: Vec<String> = self.columns.iter().filter_map(of).collect();
        let more = if all.len() > SAID { format!("; and {} more", all.len() - SAID) } else { String::new() };
        (!all.is_empty()).then(|| all[..all.len().min(SAID)].join("; ") + &more)
    }

    /// Appends a row's inputs `[I]` to `out`; its line and `path` are named in messages.
    ///
    /// # Errors
    /// A row of another length; a text in a numeric column, or a number that is not finite.
    pub fn row(&self, row: Row<'_>, path: &Path, out: &mut Vec<f32>) -> Result<()> {
        let line = row.line();
        if row.width() != self.cells {
            let reason = format!("line {line} has {} cells, but {} are needed", row.width(), self.cells);
            return Err(fault(path, reason));
        }
        for column in &self.columns {
            let zero = self.absent_are_zero.then_some("0");
            let cell = row.get(column.cell).or(zero);
            let cell = cell.ok_or_else(|| fault(path, format!("line {line} is too short")))?;
            column.push(cell, line, path, out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::fit::MAX_CATEGORIES;
    use super::*;
    use crate::data::table::Rows;

    fn csv(text: &str) -> Table {
        Table::parse(text.as_bytes(), Path::new("t.csv"), None).unwrap()
    }

    fn inputs(features: &Features, cells: &[&str]) -> Result<Vec<f32>> {
        let rows: Rows = [(7, cells)].into_iter().collect();
        let mut out = Vec::new();
        features.row(rows.row(0), Path::new("new.csv"), &mut out).map(|()| out)
    }

    #[test]
    fn numbers_are_standardised_categories_one_hot_missing_values_flagged() {
        let table = csv("age,colour,size,class\n1,red,5,a\n3,blue,NA,b\n?, red,7,a\n");
        let features = Features::fit(&table, &[3]).unwrap();
        assert_eq!(features.names(), ["age", "age is missing", "colour=red", "colour=blue", "size", "size is missing"]);
        assert_eq!(features.width(), 6);
        // Age: mean 2, std 1; size: mean 6, std 1.
        assert_eq!(inputs(&features, &["1", "red", "8", "b"]).unwrap(), [-1.0, 0.0, 1.0, 0.0, 2.0, 0.0]);
        assert_eq!(inputs(&features, &["", "green", "nan", "b"]).unwrap(), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }

    fn chosen(
        text: &str,
        groups: &[Vec<usize>],
        exclude: &[usize],
        ignore: &str,
        only: &str,
    ) -> Result<(Vec<String>, String)> {
        let choice = Choice { ignore: ignore.into(), only: only.into(), looks: true, words: None };
        let (features, note) = Features::choose(&csv(text), groups, exclude, &choice)?;
        Ok((features.names(), note.unwrap_or_default()))
    }

    #[test]
    fn columns_that_count_or_name_are_left_out_and_named_unless_asked_for() {
        let row = |i: usize| format!("{},{},p{i},{},{}\n", i + 1, 9000 - 3 * i, i * 7 % 50, ["a", "b"][i % 2]);
        let text = format!("row,left,user_id,x,class\n{}", (0..50).map(row).collect::<String>());
        let all = [(0..50).collect::<Vec<_>>()];
        let (names, note) = chosen(&text, &all, &[4], "", "").unwrap();
        assert_eq!(names, ["x"]);
        for said in
            ["\"row\" (it counts the rows)", "\"left\" (it counts", "\"user_id\" (it names the rows)", "`use_columns`"]
        {
            assert!(note.contains(said), "{said}: {note}");
        }
        assert_eq!(chosen(&text, &all, &[4], "", "row, x").unwrap(), (vec!["row".into(), "x".into()], String::new()));
        assert_eq!(
            chosen(&text, &all, &[4], "x,left,3", "").unwrap().0,
            ["row"],
            "a column that counts may be all there is"
        );
        assert!(chosen(&text, &all, &[4], "y", "").unwrap_err().to_string().contains("no column \"y\""));
    }

    #[test]
    fn measurements_with_a_gap_are_read_and_shuffled_row_numbers_are_not() {
        let length = |i: usize| if i == 50 { String::new() } else { format!("{}.{}", 30 + i * 37 % 100, i % 10) };
        let row = |i: usize| format!("{},{},{},{},a\n", i * 37 % 151 + 1, length(i), i * i % 90, i * 37 % 151 + 1);
        let text = format!("nr,length,count,rank,class\n{}", (0..150).map(row).collect::<String>());
        let (names, note) = chosen(&text, &[(0..150).collect()], &[4], "", "").unwrap();
        assert_eq!(names, ["length", "length is missing", "count", "rank"]);
        assert!(note.contains("\"nr\" (it numbers the rows)"), "{note}");
    }

    #[test]
    fn times_within_sequences_and_their_names_are_no_measurements() {
        let row = |i: usize| {
            format!("s{},{}.5,{},{}\n", i / 10, 100 * (i / 10) + i % 10, i / 10 * 5, (i * 7 % 10) as f64 / 10.0)
        };
        let text = format!("id,time,subject,x\n{}", (0..40).map(row).collect::<String>());
        let groups: Vec<Vec<usize>> = (0..4).map(|g| (10 * g..10 * g + 10).collect()).collect();
        let (names, note) = chosen(&text, &groups, &[0], "", "").unwrap();
        assert_eq!(names, ["x"]);
        assert!(note.contains("\"time\" (it counts") && note.contains("\"subject\" (it names the sequence)"), "{note}");
        // As one table it is a measured value that nothing says the meaning of.
        let (names, _) = chosen(&text, &[(0..40).collect()], &[0], "", "").unwrap();
        assert!(names.contains(&"time".to_string()), "{names:?}");
    }

    #[test]
    fn an_outlier_sets_no_scale_and_inputs_stay_near_what_training_saw() {
        let text = format!("x,class\n{}1e9,a\n", (0..99).map(|i| format!("{},b\n", i % 10)).collect::<String>());
        let choice = Choice { ignore: String::new(), only: String::new(), looks: true, words: None };
        let (features, _) = Features::choose(&csv(&text), &[(0..100).collect()], &[1], &choice).unwrap();
        let of = |cell: &str| inputs(&features, &[cell, ""]).unwrap()[0];
        assert!(of("9") - of("0") > 1.0, "{} {}", of("0"), of("9"));
        assert!(of("1e9") < 12.0 && of("1e30") == of("1e12") && of("-1e9") > -3.0, "{} {}", of("1e9"), of("-1e9"));
    }

    #[test]
    fn only_the_training_rows_are_fitted() {
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
        assert!(Features::fit(&table, &[0, 2, 3]).unwrap_err().to_string().contains("no input column"));
    }

    #[test]
    fn a_text_among_numbers_is_refused_with_line_and_column() {
        let classes = "0,a\n1,b\n2,a\n3+,b\n".repeat(5);
        assert_eq!(Features::fit(&csv(&classes), &[1]).unwrap().width(), 4, "a text that repeats is a class");
        let many: String = (0..100).map(|i| format!("{}.5,a\n", i)).collect();
        let table = Table::parse(format!("x,class\n{many}4o,b\n").as_bytes(), Path::new("t.csv"), Some(true)).unwrap();
        let error = Features::fit(&table, &[1]).unwrap_err().to_string();
        assert!(error.starts_with("t.csv: line 102, column 1 \"x\": \"4o\" is not a number"), "{error}");
        let features = Features::fit(&csv("1.5,a\n2.5,b"), &[1]).unwrap();
        let error = inputs(&features, &["many", ""]).unwrap_err().to_string();
        assert!(error.starts_with("new.csv: line 7, column 1: \"many\" is not a number"), "{error}");
        for cell in ["inf", "-infinity", "1e39"] {
            assert!(inputs(&features, &[cell, ""]).unwrap_err().to_string().contains("not a finite number"), "{cell}");
        }
        assert!(
            Features::fit(&csv("1.5,a\ninf,b\n1e999,c"), &[1]).unwrap_err().to_string().contains("line 2, column 1")
        );
        assert!(inputs(&features, &["1"]).unwrap_err().to_string().contains("line 7 has 1 cells"));
    }

    #[test]
    fn rare_categories_share_an_input_and_free_text_is_refused() {
        let rows: String = (0..300).map(|i| format!("c{},a\nc0,b\n", i % 150)).collect();
        let features = Features::fit(&csv(&rows), &[1]).unwrap();
        assert_eq!(features.width(), MAX_CATEGORIES + 1);
        let hot = |cell: &str| inputs(&features, &[cell, ""]).unwrap().iter().position(|&x| x == 1.0);
        assert_eq!((hot("c0"), hot("never seen"), hot("")), (Some(0), Some(MAX_CATEGORIES), None));
        let texts: String = (0..200).map(|i| format!("text {i},a\n")).collect();
        assert!(Features::fit(&csv(&texts), &[1]).unwrap_err().to_string().contains("200 distinct values"));
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
        // A name that is a number is no place.
        let named = |text: &str| Table::parse(text.as_bytes(), Path::new("t.csv"), Some(true)).unwrap();
        let of_numbers = Features::fit(&named("1,2,y\n1,5,a\n2,7,b"), &[2]).unwrap();
        let error = of_numbers.bind(&named("y,1\na,2\nb,3")).unwrap_err().to_string();
        assert!(error.contains("no column \"2\""), "{error}");
        assert!(features.bind(&csv("colour,y\nred,1\nblue,2")).unwrap_err().to_string().contains("no column \"x\""));
        assert!(features.bind(&csv("1,2,3,4")).unwrap_err().to_string().contains("has 4 columns"));
    }
}
