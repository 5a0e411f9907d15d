//! Tables of sequences: a row per step, or a row per sequence.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::deviation::above_zero;
use super::features::Features;
use super::natural;
use super::table::cells::{is_missing, number};
use super::table::{Row, Table};
use super::tags::StepWords;
use crate::error::Result;
use crate::file::fault;

/// The rows of one sequence in a table with a row per step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The id its rows share.
    pub id: String,
    /// Their indices in [`Table::rows`], in file order.
    pub rows: Vec<usize>,
}

/// Whether the rows of each sequence follow one another.
pub(crate) fn stand_together<'a>(mut sequences: impl Iterator<Item = &'a Vec<usize>>) -> bool {
    sequences.all(|rows| rows.windows(2).all(|two| two[0] + 1 == two[1]))
}

/// What is said of rows that did not stand together.
pub(crate) const PUT_TOGETHER: &str = "the rows of a sequence stand among those of others, as in a table by time: put together, in \
                                       their order";

/// The sequences of a table with a row per step: the rows of the same id, in file order; without a column of ids all rows are
/// one sequence, which has the file's name. Rows of a sequence are neighbours or, in a table that is in the order of time, stand
/// among those of others.
///
/// # Errors
/// An empty id; a sequence in few long pieces, which may be several of the same name.
pub fn groups(table: &Table, sequence_column: impl Into<Option<usize>>) -> Result<Vec<Group>> {
    let Some(sequence_column) = sequence_column.into() else {
        let name = table.path.file_name().unwrap_or(table.path.as_os_str());
        return Ok(vec![Group { id: name.to_string_lossy().into_owned(), rows: (0..table.rows.len()).collect() }]);
    };
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    let (mut last, mut pieces, mut torn) = (usize::MAX, 0, None);
    for (i, row) in table.rows.iter().enumerate() {
        let id = row.cell(sequence_column).trim();
        let at = |reason: String| fault(&table.path, format!("line {}: {reason}", row.line()));
        if id.is_empty() {
            let name = table.name(sequence_column);
            return Err(at(format!("the sequence id (column {name}) is empty")));
        }
        let place = *known.entry(id).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Group { id: id.into(), rows: Vec::new() });
        } else if place != last && torn.is_none() {
            torn = Some((place, row.line()));
        }
        pieces += usize::from(place != last);
        groups[place].rows.push(i);
        last = place;
    }
    match torn {
        // Mostly single rows among others.
        Some((place, line)) if 2 * pieces <= table.rows.len() => {
            let Group { id, rows } = &groups[place];
            let began = table.rows.row(rows[0]).line();
            let reason = format!(
                "line {line}: the sequence {id:?} began in line {began} and continues here, after another; put its rows \
                 together, in the order of its steps"
            );
            Err(fault(&table.path, reason))
        }
        _ => Ok(groups),
    }
}

/// A sequence of numbers, with its labels if it has any.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// Its id; without one, its row number from 1.
    pub id: String,
    /// The line of each step `[T]`, from 1; of a sequence in one row, that row's.
    pub lines: Vec<usize>,
    /// `[T, I]`.
    pub inputs: Vec<f32>,
    /// Indices into [`SequenceTable::classes`]: `[T]`, one per step; `[1]`, one for the sequence; or none.
    pub labels: Vec<usize>,
}

/// The sequences of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceTable {
    /// `I`, inputs per step.
    pub width: usize,
    /// The labels that occur, in natural order.
    pub classes: Vec<String>,
    /// In file order; each has at least one step.
    pub sequences: Vec<Sequence>,
}

impl SequenceTable {
    /// A table with a row per step: each step's inputs and, with a label column, its label.
    ///
    /// # Errors
    /// As [`groups`]; a row that `features` cannot read, a step without a label.
    pub fn read(
        table: &Table,
        sequence_column: impl Into<Option<usize>>,
        label_column: Option<usize>,
        features: &Features,
    ) -> Result<SequenceTable> {
        let classes = classes(table, label_column)?;
        let mut sequences = Vec::new();
        for Group { id, rows } in groups(table, sequence_column)? {
            let mut sequence =
                Sequence { id, lines: Vec::with_capacity(rows.len()), inputs: Vec::new(), labels: Vec::new() };
            for row in rows.iter().map(|&row| table.rows.row(row)) {
                features.row(row, &table.path, &mut sequence.inputs)?;
                sequence.lines.push(row.line());
                sequence.labels.extend(label_column.map(|column| class_index(&classes, row.cell(column))));
            }
            sequences.push(sequence);
        }
        Ok(SequenceTable { width: features.width(), classes, sequences })
    }

    /// As [`SequenceTable::read`], of steps that are words: each is its token, `I = 1`.
    ///
    /// # Errors
    /// As [`groups`]; no such column; a step without a label.
    pub(crate) fn read_words(
        table: &Table,
        sequence_column: impl Into<Option<usize>>,
        label_column: Option<usize>,
        words: &StepWords,
    ) -> Result<SequenceTable> {
        let column = match table.column(&words.column) {
            Err(error) => table.text.ok_or(error)?,
            Ok(column) => column,
        };
        let classes = classes(table, label_column)?;
        let sequence = |Group { id, rows }: Group| {
            let rows = rows.iter().map(|&row| table.rows.row(row));
            let labels = |column: usize| rows.clone().map(|row| class_index(&classes, row.cell(column))).collect();
            Sequence {
                id,
                lines: rows.clone().map(Row::line).collect(),
                inputs: rows.clone().map(|row| words.token(row.cell(column)) as f32).collect(),
                labels: label_column.map(labels).unwrap_or_default(),
            }
        };
        let sequences = groups(table, sequence_column)?.into_iter().map(sequence).collect();
        Ok(SequenceTable { width: 1, classes, sequences })
    }

    /// As [`SequenceTable::read`], with one label per sequence, repeated in all its rows.
    ///
    /// # Errors
    /// As [`SequenceTable::read`]; rows of a sequence that disagree.
    pub fn read_whole(
        table: &Table,
        sequence_column: usize,
        label_column: usize,
        features: &Features,
    ) -> Result<SequenceTable> {
        for Group { id, rows } in groups(table, sequence_column)? {
            let first = table.rows.row(rows[0]);
            let want = first.cell(label_column).trim();
            if let Some(row) =
                rows.iter().map(|&row| table.rows.row(row)).find(|row| row.cell(label_column).trim() != want)
            {
                let reason = format!(
                    "line {}: the sequence {id:?} has the label {:?} here, but {want:?} in line {}; a whole \
                     sequence needs one label, labels per step are another task",
                    row.line(),
                    row.cell(label_column).trim(),
                    first.line()
                );
                return Err(fault(&table.path, reason));
            }
        }
        let mut all = Self::read(table, sequence_column, Some(label_column), features)?;
        all.sequences.iter_mut().for_each(|sequence| sequence.labels.truncate(1));
        Ok(all)
    }

    /// A table with a row per sequence: a label, if there is a column of them, and the values of its steps one after
    /// another, `I = 1`. Shorter sequences have empty cells at their ends. `exclude` lists columns that are not values.
    ///
    /// # Errors
    /// A cell that is not a finite number, a gap within a sequence, a sequence without values, an empty label.
    pub fn read_rows(
        table: &Table,
        label_column: Option<usize>,
        exclude: &[usize],
        scale: &Scale,
    ) -> Result<SequenceTable> {
        let classes = classes(table, label_column)?;
        let columns = value_columns(table, label_column, exclude);
        let mut sequences = Vec::with_capacity(table.rows.len());
        for (i, row) in table.rows.iter().enumerate() {
            let mut inputs = Vec::with_capacity(columns.len());
            values(table, i, &columns, |value| inputs.push(scale.apply(value)))?;
            let labels = label_column.map(|column| class_index(&classes, row.cell(column))).into_iter().collect();
            sequences.push(Sequence { id: (i + 1).to_string(), lines: vec![row.line()], inputs, labels });
        }
        Ok(SequenceTable { width: 1, classes, sequences })
    }
}

/// Mean and standard deviation of the values of a training table with a row per sequence; saved in the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Mean of all values of all steps.
    pub mean: f64,
    /// Their standard deviation; 1 where they are all equal.
    #[serde(rename = "deviation", deserialize_with = "above_zero")]
    pub std: f64,
}

impl Scale {
    /// Fits the listed rows, those of the training set; columns as in [`SequenceTable::read_rows`].
    ///
    /// # Errors
    /// As [`SequenceTable::read_rows`].
    pub fn fit(table: &Table, rows: &[usize], label_column: Option<usize>, exclude: &[usize]) -> Result<Scale> {
        let columns = value_columns(table, label_column, exclude);
        let mut all = Vec::new();
        for &row in rows {
            values(table, row, &columns, |value| all.push(value))?;
        }
        let Some(&first) = all.first() else {
            return Err(fault(&table.path, "there are no training rows"));
        };
        if all.iter().all(|&value| value == first) {
            return Ok(Scale { mean: first, std: 1.0 });
        }
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / all.len() as f64;
        let std = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        Ok(Scale { mean, std })
    }

    /// `(value - mean) / std`, clamped to finite numbers.
    fn apply(&self, value: f64) -> f32 {
        let scaled = ((value - self.mean) / self.std) as f32;
        scaled.clamp(f32::MIN, f32::MAX)
    }
}

/// The labels that occur, in natural order.
fn classes(table: &Table, label_column: Option<usize>) -> Result<Vec<String>> {
    let Some(column) = label_column else { return Ok(Vec::new()) };
    let mut seen: HashMap<&str, ()> = HashMap::new();
    for row in table.rows.iter() {
        let label = row.cell(column).trim();
        if label.is_empty() {
            let reason = format!("line {}: the label (column {}) is empty", row.line(), table.name(column));
            return Err(fault(&table.path, reason));
        }
        seen.insert(label, ());
    }
    let mut classes: Vec<String> = seen.into_keys().map(String::from).collect();
    classes.sort_by(|a, b| natural::compare(a, b));
    Ok(classes)
}

/// The index of a known label.
fn class_index(classes: &[String], label: &str) -> usize {
    classes.binary_search_by(|class| natural::compare(class, label.trim())).unwrap_or_default()
}

fn value_columns(table: &Table, label_column: Option<usize>, exclude: &[usize]) -> Vec<usize> {
    let is_value = |column: &usize| Some(*column) != label_column && !exclude.contains(column);
    (0..table.width()).filter(is_value).collect()
}

/// The values of a sequence in one row.
fn values(table: &Table, row: usize, columns: &[usize], mut take: impl FnMut(f64)) -> Result<()> {
    let (path, row): (&Path, _) = (&table.path, table.rows.row(row));
    let at = |column: usize, reason: String| {
        fault(path, format!("line {}, column {}: {reason}", row.line(), table.name(column)))
    };
    let len = columns.iter().rposition(|&column| !is_missing(row.cell(column))).map_or(0, |last| last + 1);
    if len == 0 {
        return Err(fault(path, format!("line {}: the sequence has no values", row.line())));
    }
    for &column in &columns[..len] {
        let cell = row.cell(column);
        match number(cell) {
            Some(value) if (value as f32).is_finite() => take(value),
            _ if is_missing(cell) => {
                let reason = "a value is missing within the sequence; only trailing cells may be empty";
                return Err(at(column, reason.into()));
            }
            _ => {
                let short: String = cell.chars().take(40).collect();
                return Err(at(
                    column,
                    format!("{short:?} is not a finite number, as the steps of a sequence must be"),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Table {
        Table::parse(text.as_bytes(), Path::new("t.csv"), None).unwrap()
    }

    const STEPS: &str = "seq,x,colour,label\na,1,red,up\na,3,blue,down\nb,1,red,up\nc,3,red,up\nc,3,red,up\n";

    #[test]
    fn rows_of_one_id_are_the_steps_of_a_sequence() {
        let table = csv(STEPS);
        let found = groups(&table, 0).unwrap();
        assert_eq!(found.iter().map(|group| group.rows.clone()).collect::<Vec<_>>(), [vec![0, 1], vec![2], vec![3, 4]]);
        // Fitted on the first sequence: mean 2, std 1.
        let features = Features::fit_rows(&table, &[0, 1], &[0, 3]).unwrap();
        let all = SequenceTable::read(&table, 0, Some(3), &features).unwrap();
        assert_eq!((all.width, all.sequences.len()), (3, 3));
        assert_eq!(all.classes, ["down", "up"]);
        let Sequence { id, lines, inputs, labels } = &all.sequences[0];
        assert_eq!((id.as_str(), &lines[..], &labels[..]), ("a", &[2, 3][..], &[1, 0][..]));
        // Equally frequent categories are in alphabetical order: blue, red.
        assert_eq!(inputs[..], [-1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!((&all.sequences[2].lines[..], all.sequences[2].inputs.len()), (&[5, 6][..], 6));
        let unlabelled = SequenceTable::read(&table, 0, None, &features).unwrap();
        assert!(unlabelled.classes.is_empty() && unlabelled.sequences[0].labels.is_empty());
    }

    #[test]
    fn sequences_in_the_order_of_time_are_put_together_and_one_in_pieces_is_refused_with_the_line() {
        let of = |text: &str| groups(&csv(text), 0).unwrap().into_iter().map(|group| (group.id, group.rows)).collect();
        let found: Vec<(String, Vec<usize>)> = of("seq,x\na,1\nb,2\na,3\nc,7\nb,4\nb,5\n");
        assert_eq!(found, [("a".into(), vec![0, 2]), ("b".into(), vec![1, 4, 5]), ("c".into(), vec![3])]);
        assert!(!stand_together(found.iter().map(|(_, rows)| rows)));
        let error = groups(&csv("seq,x\na,1\na,2\na,3\nb,2\nb,1\na,3\na,4\n"), 0).unwrap_err().to_string();
        assert!(error.starts_with("t.csv: line 7: the sequence \"a\" began in line 2"), "{error}");
        let error = groups(&csv("seq,x\na,1\n,2\n"), 0).unwrap_err().to_string();
        assert!(error.contains("line 3: the sequence id (column \"seq\")"), "{error}");
    }

    #[test]
    fn a_whole_sequence_has_the_one_label_of_its_rows() {
        let table = csv(STEPS);
        let features = Features::fit(&table, &[0, 3]).unwrap();
        let error = SequenceTable::read_whole(&table, 0, 3, &features).unwrap_err().to_string();
        assert!(
            error.contains("line 3: the sequence \"a\" has the label \"down\" here, but \"up\" in line 2"),
            "{error}"
        );
        let table = csv(&STEPS.replace("down", "up").replace("b,1,red,up", "b,1,red,down"));
        let all = SequenceTable::read_whole(&table, 0, 3, &features).unwrap();
        let labels: Vec<&[usize]> = all.sequences.iter().map(|sequence| &sequence.labels[..]).collect();
        assert_eq!(labels, [[1], [0], [1]]);
        let error = SequenceTable::read(&csv(&STEPS.replace("down", " ")), 0, Some(3), &features).unwrap_err();
        assert!(error.to_string().contains("line 3: the label (column \"label\") is empty"), "{error}");
    }

    #[test]
    fn a_row_per_sequence_may_be_shorter_than_the_longest() {
        let table = csv("c10,1,2,3\nc2,5,,\nc10,3,4,NA\n");
        let scale = Scale::fit(&table, &[0], Some(0), &[]).unwrap();
        assert_eq!(scale.mean, 2.0);
        let all = SequenceTable::read_rows(&table, Some(0), &[], &Scale { mean: 1.0, std: 2.0 }).unwrap();
        assert_eq!(all.classes, ["c2", "c10"]);
        let inputs: Vec<&[f32]> = all.sequences.iter().map(|sequence| &sequence.inputs[..]).collect();
        assert_eq!(inputs, [&[0.0, 0.5, 1.0][..], &[2.0], &[1.0, 1.5]]);
        assert_eq!((&all.sequences[1].lines[..], &all.sequences[1].labels[..]), (&[2][..], &[0][..]));
        let many: String = (0..30).map(|i| format!("{},{i}\n", i * 7 % 30)).collect();
        let all = SequenceTable::read_rows(&csv(&many), Some(0), &[], &scale).unwrap();
        for (i, sequence) in all.sequences.iter().enumerate() {
            assert_eq!(all.classes[sequence.labels[0]], (i * 7 % 30).to_string());
        }
        let fewer = SequenceTable::read_rows(&table, Some(0), &[3], &scale).unwrap();
        assert_eq!(fewer.sequences[0].inputs.len(), 2);
        for (text, want) in [
            ("a,1,,3\n", "line 1, column 3: a value is missing within"),
            ("a,1,2\nb,x,3\n", "line 2, column 2: \"x\" is not a finite number"),
            ("a,1,2\nb,inf,3\n", "line 2, column 2: \"inf\" is not a finite number"),
            ("a,1,2\nb,,\n", "line 2: the sequence has no values"),
        ] {
            let error = SequenceTable::read_rows(&csv(text), Some(0), &[], &scale).unwrap_err().to_string();
            assert!(error.contains(want), "{text:?}: {error}");
        }
    }
}
